/* json.h - strict JSON, read by pulling and written by putting.
 *
 * The reader walks one text with an explicit stack, checks everything it passes over and never
 * builds a tree: UTF-8, grammar, depth, no NUL, no duplicate keys, no bytes after the value.
 * Numbers are integers within int64 only where an integer is asked for; nothing goes through
 * double. The first failure sticks (JSN-1), reads then yield empty values, so that a message is
 * decoded as a list of fields and one check. Strings without escapes are borrowed from the text;
 * others are decoded into the reader's scratch arena. Source: reliability.md 0.4, SB7. */
#ifndef FB_WIRE_JSON_H
#define FB_WIRE_JSON_H

#include "base/bytes.h"
#include "base/check.h"

enum { JSON_DEPTH_LIMIT = 32 };

typedef enum json_type {
    JSON_NONE,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_type;

typedef struct json_reader {
    const char *start, *at, *end;
    fb_code code; /* first failure: E_JSON (grammar), E_PROTOCOL (not the type asked for, or set by
                     a caller), E_LIMIT, E_NO_MEMORY */
    char why[80]; /* what was wrong, for the log */
    arena *scratch; /* borrowed; needed only for strings with escapes and for object keys seen */
    int depth;
    int levels_ready; /* levels[0 .. levels_ready) have been used before: their keys may be reused
                       */
    struct json_level {
        char kind; /* '[' or '{' */
        bool first;
        uint32_t count;
        struct json_keys *keys; /* of the object that is open here: for the search for duplicates */
    } levels[JSON_DEPTH_LIMIT];
} json_reader;

void json_reader_init(json_reader *r, fb_text text, arena *scratch);
/* Type of the next value, without taking it. */
json_type json_peek(json_reader *r);
/* Arrays: begin, then while (json_array_next) { take one value }. The end is taken by next. */
void json_array_begin(json_reader *r);
bool json_array_next(json_reader *r);
/* Objects: begin, then while (json_object_next(&key)) { take one value }. Duplicate keys fail. */
void json_object_begin(json_reader *r);
bool json_object_next(json_reader *r, fb_text *key_out);
fb_text json_string(json_reader *r);
int64_t json_int(json_reader *r);        /* JSON integer: no fraction, no exponent, no "-0" */
int64_t json_int_string(json_reader *r); /* "123": strict integer inside a string */
bool json_bool(json_reader *r);
bool json_null(json_reader *r);   /* takes a null if it is next */
void json_skip(json_reader *r);   /* any value, fully checked */
fb_text json_raw(json_reader *r); /* any value, fully checked; its exact text */
void json_fail(json_reader *r, fb_code code, const char *why);
/* FB_OK when exactly one value was read and only blanks follow. */
FB_MUST_USE fb_code json_finish(json_reader *r);
/* Whole text is one strict JSON value. Used before cJSON sees anything. */
FB_MUST_USE fb_code json_check(fb_text text, arena *scratch);

/* Writing: commas are put by the writer. */
typedef struct json_writer {
    buf *out;
    uint8_t first[JSON_DEPTH_LIMIT]; /* bit 0: nothing put yet, bit 1: an object */
    int depth;
    bool after_key;
} json_writer;

void json_writer_init(json_writer *w, buf *out);
void json_put_object(json_writer *w);
void json_put_array(json_writer *w);
void json_put_end(json_writer *w); /* closes the innermost */
void json_put_key(json_writer *w, const char *key);
void json_put_key_text(json_writer *w, fb_text key);
void json_put_string(json_writer *w, fb_text s);
void json_put_str(json_writer *w, const char *s);
void json_put_int(json_writer *w, int64_t v);
void json_put_int_string(json_writer *w, int64_t v);
void json_put_bool(json_writer *w, bool v);
void json_put_null(json_writer *w);
void json_put_raw(json_writer *w, fb_text json);
void json_put_id(json_writer *w, const fb_id *id);
/* Escapes only what JSON demands, without the quotes around; the text must be valid UTF-8. */
void json_escape(buf *out, fb_text s);

#endif
