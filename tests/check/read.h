/* read.h - lines of a history: strict JSON, read in place.
 *
 * A value is a span of its line. Nothing is copied or allocated; a line is checked once, as a
 * whole, when its members are found, so that the walks afterwards cannot leave it. */
#ifndef CHECK_READ_H
#define CHECK_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct str {
    const char *p;
    size_t n;
} str;

typedef enum json_kind {
    JSON_NONE, /* absent */
    JSON_NULL,
    JSON_BOOL,
    JSON_INT,
    JSON_FRACTION, /* a number with a fraction or an exponent, or beyond 64 bits */
    JSON_TEXT,
    JSON_LIST,
    JSON_OBJECT
} json_kind;

typedef struct json {
    json_kind kind;
    str raw; /* text: without its quotes, escapes as written */
    int64_t number;
} json;

enum { EVENT_MEMBERS_MAX = 32, TEXT_BYTES_MAX = 1 << 20 };

typedef struct event {
    int64_t line;
    str name; /* member "ev" */
    str names[EVENT_MEMBERS_MAX];
    json values[EVENT_MEMBERS_MAX];
    int count;
} event;

/* false: *why says what is wrong, in plain words. */
bool event_read(str line, event *out, const char **why);
json event_get(const event *ev, const char *name);

/* The whole value at p; NULL when it is no JSON. *out is filled on success. */
const char *json_value(const char *p, const char *end, json *out);
/* Walks a list or an object: *at starts as 0. In a list *name may be NULL. */
bool json_next(const json *of, size_t *at, str *name, json *out);
json json_member(const json *object, const char *name);
/* The bytes of a text value, escapes resolved, into out; its length. At most n bytes of raw. */
size_t json_text(str raw, char *out);

bool str_is(str s, const char *text);
bool str_same(str a, str b);
/* An integer as such or inside a text, as on the wire. */
bool json_int(const json *v, int64_t *out);

#endif
