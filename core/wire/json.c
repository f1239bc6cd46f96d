/* json.c - the strict reader of json.h; strings are in json_string.c, the writer in json_write.c.
 *
 * The server reads every pushed byte through this file. The only allocations are decoded escapes
 * and the keys of open objects (kept per level and reused). */
#include "wire/json.h"

#include <string.h>

#include "base/decimal.h"
#include "schema/limits.h"
#include "wire/json_inside.h"

_Static_assert((int)JSON_DEPTH_LIMIT == (int)JSON_DEPTH_MAX, "json.h and limits.h agree");

enum { KEYS_PER_CHUNK = 12 };

/* Keys of one open object; chunks are chained and stay with their level. */
typedef struct json_keys {
    struct json_keys *next;
    fb_text keys[KEYS_PER_CHUNK];
} json_keys;

void json_reader_init(json_reader *r, fb_text text, arena *scratch)
{
    r->start = r->at = text.size > 0 ? text.data : "";
    r->end = r->start + text.size;
    r->code = FB_OK;
    r->why[0] = '\0';
    r->scratch = scratch;
    r->depth = 0;
    r->levels_ready = 0; /* levels are made ready on their first use: a row costs no clearing */
}

void json_fail(json_reader *r, fb_code code, const char *why)
{
    if (r->code != FB_OK) {
        return; /* JSN-1 */
    }
    r->code = code;
    size_t n = strlen(why);
    n = n < sizeof r->why ? n : sizeof r->why - 1;
    memcpy(r->why, why, n);
    r->why[n] = '\0';
}

/* First byte of the next value or mark behind blanks; 0 at the end of the text or after failure. */
static inline char next_char(json_reader *r)
{
    if (r->code != FB_OK) {
        return 0;
    }
    const char *p = r->at;
    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    r->at = p;
    return p < r->end ? *p : 0;
}

static json_type type_of(char c)
{
    switch (c) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER : JSON_NONE;
    }
}

json_type json_peek(json_reader *r)
{
    return type_of(next_char(r));
}

/* The next thing is not what was asked for: bad grammar, or a good value of another type. */
static void refuse(json_reader *r, const char *wanted)
{
    char c = next_char(r);
    if (type_of(c) != JSON_NONE) {
        json_skip(r); /* fails with E_JSON when it only starts like a value */
        json_fail(r, FB_E_PROTOCOL, wanted);
    } else {
        json_fail(r, FB_E_JSON, r->at == r->end ? "the text ends too early" : "a value is missing");
    }
}

fb_text json_string(json_reader *r)
{
    if (next_char(r) != '"') {
        refuse(r, "a string is expected");
        return (fb_text){NULL, 0};
    }
    return json_string_take(r);
}

/* ---- numbers and words ---- */

static const char *digits_end(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

/* End of the number at p, which is before the end, by JSON's grammar; NULL when it is none. */
static const char *number_end(const char *p, const char *end)
{
    p += *p == '-';
    const char *whole = p;
    p = digits_end(p, end);
    if (p == whole || (*whole == '0' && p - whole > 1)) {
        return NULL;
    }
    if (p < end && *p == '.') {
        const char *part = p + 1;
        p = digits_end(part, end);
        if (p == part) {
            return NULL;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const char *exponent = p;
        p = digits_end(p, end);
        if (p == exponent) {
            return NULL;
        }
    }
    return p;
}

static fb_text number_take(json_reader *r)
{
    const char *end = number_end(r->at, r->end);
    if (end == NULL) {
        json_fail(r, FB_E_JSON, "a number is not written as JSON demands");
        return (fb_text){NULL, 0};
    }
    fb_text number = {r->at, (size_t)(end - r->at)};
    r->at = end;
    return number;
}

int64_t json_int(json_reader *r)
{
    char c = next_char(r);
    if (c != '-' && (c < '0' || c > '9')) {
        refuse(r, "an integer is expected");
        return 0;
    }
    fb_text number = number_take(r);
    int64_t v = 0;
    if (r->code == FB_OK && !i64_get(number, &v)) {
        json_fail(r, FB_E_PROTOCOL, "an integer of at most 64 bits is expected");
    }
    return v;
}

int64_t json_int_string(json_reader *r)
{
    if (next_char(r) != '"') {
        refuse(r, "an integer inside a string is expected");
        return 0;
    }
    fb_text s = json_string_take(r);
    int64_t v = 0;
    if (r->code == FB_OK && !i64_get(s, &v)) {
        json_fail(r, FB_E_PROTOCOL, "an integer inside a string is expected");
    }
    return v;
}

/* Takes the word if it stands here. */
static bool word_take(json_reader *r, const char *word, size_t size)
{
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0) {
        json_fail(r, FB_E_JSON, "a word other than true, false and null");
        return false;
    }
    r->at += size;
    return true;
}

bool json_bool(json_reader *r)
{
    char c = next_char(r);
    if (c == 't') {
        return word_take(r, "true", 4);
    }
    if (c == 'f') {
        word_take(r, "false", 5);
        return false;
    }
    refuse(r, "true or false is expected");
    return false;
}

bool json_null(json_reader *r)
{
    return next_char(r) == 'n' && word_take(r, "null", 4);
}

/* ---- arrays and objects ---- */

static void level_begin(json_reader *r, char kind, const char *wanted)
{
    if (next_char(r) != kind) {
        refuse(r, wanted);
        return;
    }
    if (r->depth == JSON_DEPTH_LIMIT) {
        json_fail(r, FB_E_LIMIT, "nested too deeply");
        return;
    }
    struct json_level *level = &r->levels[r->depth];
    if (r->depth == r->levels_ready) {
        level->keys = NULL;
        r->levels_ready++;
    }
    level->kind = kind;
    level->first = true;
    level->count = 0;
    r->depth++;
    r->at++;
}

void json_array_begin(json_reader *r)
{
    level_begin(r, '[', "an array is expected");
}

void json_object_begin(json_reader *r)
{
    level_begin(r, '{', "an object is expected");
}

/* Takes the comma before a next element or the closing mark; true when an element follows. */
static inline bool element_next(json_reader *r, char kind, char close)
{
    if (r->code != FB_OK) {
        return false;
    }
    FB_ASSERT(r->depth > 0 && r->levels[r->depth - 1].kind == kind);
    struct json_level *level = &r->levels[r->depth - 1];
    char c = next_char(r);
    if (c == close) {
        r->at++;
        r->depth--;
        return false;
    }
    if (level->first) {
        level->first = false;
        return true; /* the value itself finds out whether the text ends here */
    }
    if (c != ',') {
        json_fail(r, FB_E_JSON, "a comma or the end of an array or object is expected");
        return false;
    }
    r->at++;
    return true;
}

bool json_array_next(json_reader *r)
{
    return element_next(r, '[', ']');
}

static bool key_stands(const json_keys *chunk, uint32_t count, fb_text key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal(chunk->keys[i], key)) {
            return true;
        }
    }
    return false;
}

/* Notes a key of the innermost object; fails when it was there before or memory is out. */
static void key_note(json_reader *r, fb_text key)
{
    struct json_level *level = &r->levels[r->depth - 1];
    json_keys **chunk = &level->keys;
    uint32_t left = level->count;
    bool twice = false;
    for (; left >= KEYS_PER_CHUNK; chunk = &(*chunk)->next, left -= KEYS_PER_CHUNK) {
        twice = twice || key_stands(*chunk, KEYS_PER_CHUNK, key);
    }
    if (twice || (left > 0 && key_stands(*chunk, left, key))) {
        json_fail(r, FB_E_JSON, "a key stands twice in one object");
        return;
    }
    if (*chunk == NULL) {
        *chunk = r->scratch != NULL ? arena_take(r->scratch, sizeof(json_keys)) : NULL;
        if (*chunk == NULL) {
            json_fail(r, FB_E_NO_MEMORY, "no memory for the keys of an object");
            return;
        }
    }
    (*chunk)->keys[left] = key;
    level->count++;
}

bool json_object_next(json_reader *r, fb_text *key_out)
{
    *key_out = (fb_text){NULL, 0};
    if (!element_next(r, '{', '}')) {
        return false;
    }
    if (next_char(r) != '"') {
        json_fail(r, FB_E_JSON, "a key in quotes is expected");
        return false;
    }
    fb_text key = json_string_take(r);
    if (r->code != FB_OK) {
        return false;
    }
    if (r->levels[r->depth - 1].count == JSON_MEMBERS_MAX) {
        json_fail(r, FB_E_LIMIT, "an object has too many members");
        return false;
    }
    key_note(r, key);
    if (next_char(r) != ':') {
        json_fail(r, FB_E_JSON, "a colon is expected behind a key");
        return false;
    }
    r->at++;
    *key_out = key;
    return true;
}

/* Takes a value that holds no others, or opens one that does. */
static void value_enter(json_reader *r)
{
    switch (json_peek(r)) {
    case JSON_OBJECT:
        json_object_begin(r);
        return;
    case JSON_ARRAY:
        json_array_begin(r);
        return;
    case JSON_STRING:
        json_string_take(r);
        return;
    case JSON_NUMBER:
        number_take(r);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        json_bool(r);
        return;
    case JSON_NULL:
        json_null(r);
        return;
    case JSON_NONE:
        break;
    }
    refuse(r, "a value is expected");
}

void json_skip(json_reader *r)
{
    const int depth = r->depth;
    fb_text key;
    while (r->code == FB_OK) {
        value_enter(r);
        bool more = false;
        while (r->code == FB_OK && r->depth > depth && !more) {
            more = r->levels[r->depth - 1].kind == '[' ? json_array_next(r)
                                                       : json_object_next(r, &key);
        }
        if (!more) {
            return;
        }
    }
}

fb_text json_raw(json_reader *r)
{
    next_char(r);
    const char *start = r->at;
    json_skip(r);
    return r->code == FB_OK ? (fb_text){start, (size_t)(r->at - start)} : (fb_text){NULL, 0};
}

fb_code json_finish(json_reader *r)
{
    char c = next_char(r);
    if (r->code != FB_OK) {
        return r->code;
    }
    if (c != 0 || r->at != r->end || r->depth != 0) {
        json_fail(r, FB_E_JSON,
                  r->depth != 0 ? "the value is not closed" : "bytes behind the value");
        return r->code;
    }
    for (const char *p = r->start; p < r->at; p++) {
        if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t') {
            return FB_OK;
        }
    }
    json_fail(r, FB_E_JSON, "the text is empty");
    return r->code;
}

fb_code json_check(fb_text text, arena *scratch)
{
    json_reader r;
    json_reader_init(&r, text, scratch);
    json_skip(&r);
    return json_finish(&r);
}
