/* json_write.c - the writer of json.h. Commas, quotes and escapes are put here and nowhere else. */
#include <string.h>

#include "base/id.h"
#include "wire/json_inside.h"

enum { FIRST = 1, OBJECT = 2, INT_CHARS = 20 };

void json_writer_init(json_writer *w, buf *out)
{
    w->out = out;
    w->depth = 0;
    w->after_key = false;
}

/* Room for n bytes; the usual case without a call, since what was allocated is within the limit.
 * NULL after a failure of the buffer. */
static inline char *room(buf *b, size_t n)
{
    if (b->code == FB_OK && n < b->capacity - b->size) {
        return b->data + b->size;
    }
    return buf_reserve(b, n);
}

/* True when a comma stands before the value or key that is about to be written. */
static inline bool comma_due(json_writer *w)
{
    if (w->after_key || w->depth == 0) {
        w->after_key = false;
        return false;
    }
    uint8_t *level = &w->first[w->depth - 1];
    bool first = (*level & FIRST) != 0;
    *level &= (uint8_t)~FIRST;
    return !first;
}

/* One short value, with its comma. */
static inline void short_put(json_writer *w, const char *data, size_t size)
{
    size_t comma = comma_due(w) ? 1 : 0;
    char *to = room(w->out, size + comma);
    if (to != NULL) {
        to[0] = ',';
        memcpy(to + comma, data, size);
        w->out->size += size + comma;
    }
}

static void level_put(json_writer *w, char open, uint8_t kind)
{
    FB_ASSERT(w->depth < JSON_DEPTH_LIMIT);
    short_put(w, &open, 1);
    w->first[w->depth++] = (uint8_t)(FIRST | kind);
}

void json_put_object(json_writer *w)
{
    level_put(w, '{', OBJECT);
}

void json_put_array(json_writer *w)
{
    level_put(w, '[', 0);
}

void json_put_end(json_writer *w)
{
    FB_ASSERT(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_put_char(w->out, (w->first[w->depth] & OBJECT) != 0 ? '}' : ']');
}

static bool must_escape(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* Bytes from t.data[i] on that need no escape. */
static size_t run_size(fb_text t, size_t i)
{
    size_t start = i;
    for (; t.size - i >= 8; i += 8) {
        uint64_t x;
        memcpy(&x, t.data + i, sizeof x);
        uint64_t control = (x - ONES * 0x20) & ~x;
        if (((control | HAS_ZERO(x ^ (ONES * '"')) | HAS_ZERO(x ^ (ONES * '\\'))) & HIGHS) != 0) {
            break;
        }
    }
    while (i < t.size && !must_escape(t.data[i])) {
        i++;
    }
    return i - start;
}

static void escape_put(buf *out, char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
    static const char digits[] = "0123456789abcdef";
    const char *known = memchr(from, c, sizeof from - 1);
    if (known != NULL) {
        char two[2] = {'\\', into[known - from]};
        buf_put(out, two, sizeof two);
        return;
    }
    char six[6] = {'\\', 'u', '0', '0', digits[(unsigned char)c >> 4], digits[c & 15]};
    buf_put(out, six, sizeof six);
}

void json_escape(buf *out, fb_text s)
{
    for (size_t i = 0; i < s.size;) {
        size_t n = run_size(s, i);
        buf_put(out, s.data + i, n);
        i += n;
        if (i < s.size) {
            escape_put(out, s.data[i++]);
        }
    }
}

/* [comma] quote text quote */
static void quoted_put(json_writer *w, fb_text s)
{
    size_t comma = comma_due(w) ? 1 : 0, whole = 0;
    if (!size_add(s.size, comma + 2, &whole) || run_size(s, 0) != s.size) {
        static const char front[2] = {',', '"'};
        buf_put(w->out, front + 1 - comma, comma + 1);
        json_escape(w->out, s);
        buf_put_char(w->out, '"');
        return;
    }
    char *to = room(w->out, whole); /* nothing to escape: one piece */
    if (to != NULL) {
        to[0] = ',';
        to[comma] = '"';
        if (s.size > 0) {
            memcpy(to + comma + 1, s.data, s.size);
        }
        to[whole - 1] = '"';
        w->out->size += whole;
    }
}

void json_put_key_text(json_writer *w, fb_text key)
{
    FB_ASSERT(w->depth > 0 && !w->after_key && (w->first[w->depth - 1] & OBJECT) != 0);
    quoted_put(w, key);
    buf_put_char(w->out, ':');
    w->after_key = true;
}

void json_put_key(json_writer *w, const char *key)
{
    json_put_key_text(w, text_of(key));
}

void json_put_string(json_writer *w, fb_text s)
{
    quoted_put(w, s);
}

void json_put_str(json_writer *w, const char *s)
{
    quoted_put(w, text_of(s));
}

/* Writes v so that it ends at `end`; returns its start. */
static char *int_print(char *end, int64_t v)
{
    uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--end = (char)('0' + m % 10);
        m /= 10;
    } while (m > 0);
    if (v < 0) {
        *--end = '-';
    }
    return end;
}

void json_put_int(json_writer *w, int64_t v)
{
    char text[INT_CHARS];
    char *start = int_print(text + sizeof text, v);
    short_put(w, start, (size_t)(text + sizeof text - start));
}

void json_put_int_string(json_writer *w, int64_t v)
{
    char text[INT_CHARS + 2];
    text[sizeof text - 1] = '"';
    char *start = int_print(text + sizeof text - 1, v);
    *--start = '"';
    short_put(w, start, (size_t)(text + sizeof text - start));
}

void json_put_bool(json_writer *w, bool v)
{
    short_put(w, v ? "true" : "false", v ? 4 : 5);
}

void json_put_null(json_writer *w)
{
    short_put(w, "null", 4);
}

void json_put_raw(json_writer *w, fb_text json)
{
    if (comma_due(w)) {
        buf_put_char(w->out, ',');
    }
    buf_put_text(w->out, json);
}

void json_put_id(json_writer *w, const fb_id *id)
{
    char text[FB_ID_TEXT_BYTES + 2];
    text[0] = '"';
    id_put(id, text + 1);
    text[FB_ID_TEXT_BYTES] = '"'; /* over the terminator */
    short_put(w, text, FB_ID_TEXT_BYTES + 1);
}
