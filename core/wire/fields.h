/* fields.h - messages that are one flat JSON object, described once and used in both directions.
 *
 * A message is a table of fields; fields_put and fields_get walk the same table, so the two sides
 * cannot drift apart. The first member of every message is "m", its name. Optional fields that
 * hold their default (0, false, "", no id) are left out; unknown members are skipped, a missing
 * required one is E_PROTOCOL. Used by the *_msg.c files of this room only. */
#ifndef FB_WIRE_FIELDS_H
#define FB_WIRE_FIELDS_H

#include "wire/json.h"

typedef enum field_kind {
    FIELD_U32,    /* uint32_t: JSON number */
    FIELD_FLAG,   /* bool: JSON number 0 or 1 */
    FIELD_I64,    /* int64_t: integer inside a string */
    FIELD_COUNT,  /* int64_t, never negative: integer inside a string */
    FIELD_TEXT,   /* fb_text: JSON string */
    FIELD_ID,     /* fb_id: text form */
    FIELD_DIGEST, /* digest: 64 lower-case hexadecimal digits */
    FIELD_RAW,    /* fb_text holding one JSON value, written as it is */
    FIELD_NAME, /* enum of 32 bits: its name, by the message's table; an unknown name is refused */
    FIELD_ERROR /* fb_code: its name; a name that only the other side knows becomes E_INVALID */
} field_kind;

typedef enum field_need { FIELD_OPTIONAL, FIELD_REQUIRED } field_need;

typedef struct field {
    const char *key;
    field_kind kind;
    field_need need;
    size_t offset; /* in the message's struct */
} field;

typedef struct message {
    const char *name; /* value of "m" */
    const field *fields;
    uint32_t fields_count;    /* at most 32 */
    const char *const *names; /* of its FIELD_NAME, by number; NULL entries are no names */
    uint32_t names_count;
} message;

#define MESSAGE(name, table)                                     \
    {                                                            \
        name, table, sizeof(table) / sizeof((table)[0]), NULL, 0 \
    }

/* Writes {"m":name and the fields; the object stays open for more members. */
void fields_put(json_writer *w, const message *m, const void *from);

/* Begins the object and takes "m", which must come first; its text. */
fb_text message_begin(json_reader *r);
/* Takes the members behind "m" to the end of the object. `other` (may be NULL) is offered the keys
 * that are not in the table; it takes the value and returns true, or returns false. */
typedef bool (*field_other)(json_reader *r, fb_text key, void *into);
void fields_get(json_reader *r, const message *m, void *into, field_other other);
/* A whole text that holds one message: begin, check the name, fields, finish. */
FB_MUST_USE fb_code message_get(fb_text text, arena *scratch, const message *m, void *into);
/* A whole message and "\n". */
void message_line_put(buf *out, const message *m, const void *from);

#endif
