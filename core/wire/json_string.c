/* json_string.c - the strings of the strict reader, see json.h.
 *
 * Runs of plain characters are passed over eight bytes at a time; a string without escapes is
 * borrowed from the text, one with escapes is decoded into the scratch arena. */
#include <string.h>

#include "base/utf8.h"
#include "schema/limits.h"
#include "wire/json_inside.h"

/* First byte in [p, end) that is a quote, a backslash, a control character or not ASCII. */
static inline const char *plain_end(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, sizeof x);
        uint64_t special =
            (x | (x - ONES * 0x20) | HAS_ZERO(x ^ (ONES * '"')) | HAS_ZERO(x ^ (ONES * '\\'))) &
            HIGHS;
        if (special != 0) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(special) >> 3); /* the lowest mark is always a true one */
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\') {
        p++;
    }
    return p;
}

/* End of the run that may be copied as it is: at a quote or a backslash. NULL after a failure. */
static inline const char *run_end(json_reader *r, const char *p)
{
    for (;;) {
        p = plain_end(p, r->end);
        if (p == r->end) {
            json_fail(r, FB_E_JSON, "a string is not closed");
            return NULL;
        }
        if (*p == '"' || *p == '\\') {
            return p;
        }
        if ((unsigned char)*p < 0x20) {
            json_fail(r, FB_E_JSON, "a control character in a string");
            return NULL;
        }
        while (p < r->end && (unsigned char)*p >= 0x80) {
            size_t n = utf8_wide_size(p, r->end);
            if (n == 0) {
                json_fail(r, FB_E_JSON, "a string is not UTF-8");
                return NULL;
            }
            p += n;
        }
    }
}

/* Four hexadecimal digits, either case; -1 when there are none. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        char low = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            value = value << 4 | (c - '0');
        } else if (low >= 'a' && low <= 'f') {
            value = value << 4 | (low - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

static char *utf8_write(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* The code point of \uXXXX, p behind the u; moves p. 0 when it is none that may stand here. */
static uint32_t unicode_escape(const char **p_io, const char *end)
{
    const char *p = *p_io;
    int32_t unit = hex4(p, end);
    if (unit <= 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) {
        return 0; /* no digits, NUL, or a low surrogate alone */
    }
    p += 4;
    uint32_t c = (uint32_t)unit;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
            return 0;
        }
        int32_t low = hex4(p + 2, end);
        if (low < 0xDC00 || low > 0xDFFF) {
            return 0;
        }
        c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
        p += 6;
    }
    *p_io = p;
    return c;
}

/* One escape, p at the backslash: writes its character, moves both. False when it is none.
 * Something stands behind every backslash: quote_find has seen the quote that closes the string. */
static bool escape_take(const char **p_io, const char *end, char **to_io)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char *p = *p_io + 1;
    if (*p == 'u') {
        p++;
        uint32_t c = unicode_escape(&p, end);
        if (c == 0) {
            return false;
        }
        *to_io = utf8_write(*to_io, c);
        *p_io = p;
        return true;
    }
    const char *known = memchr(from, *p, sizeof from - 1);
    if (known == NULL) {
        return false;
    }
    *(*to_io)++ = into[known - from];
    *p_io = p + 1;
    return true;
}

/* The closing quote, for the size of the decoded text; the decoder checks what lies between. */
static const char *quote_find(const char *p, const char *end)
{
    for (; p < end && *p != '"'; p++) {
        if (*p == '\\' && ++p == end) {
            return NULL;
        }
    }
    return p < end ? p : NULL;
}

/* A string with escapes: `start` behind the quote, `p` at the first backslash. */
static fb_text string_decode(json_reader *r, const char *start, const char *p)
{
    const fb_text none = {NULL, 0};
    const char *quote = quote_find(p, r->end);
    if (quote == NULL) {
        json_fail(r, FB_E_JSON, "a string is not closed");
        return none;
    }
    if (quote - start > (ptrdiff_t)JSON_STRING_BYTES_MAX * 6) { /* \u0041 is six bytes for one */
        json_fail(r, FB_E_LIMIT, "a string is too long");
        return none;
    }
    char *made = r->scratch != NULL ? arena_take(r->scratch, (size_t)(quote - start) + 1) : NULL;
    if (made == NULL) {
        json_fail(r, FB_E_NO_MEMORY, "no memory for a string");
        return none;
    }
    char *to = made;
    const char *run = start;
    while (*p != '"') {
        memcpy(to, run, (size_t)(p - run));
        to += p - run;
        if (!escape_take(&p, r->end, &to)) {
            json_fail(r, FB_E_JSON, "an escape that is not allowed");
            return none;
        }
        run = p;
        p = run_end(r, p);
        if (p == NULL) {
            return none;
        }
    }
    memcpy(to, run, (size_t)(p - run));
    to += p - run;
    r->at = p + 1;
    return (fb_text){made, (size_t)(to - made)};
}

fb_text json_string_take(json_reader *r)
{
    const char *start = r->at + 1;
    const char *p = run_end(r, start);
    if (p == NULL) {
        return (fb_text){NULL, 0};
    }
    fb_text s = {start, (size_t)(p - start)};
    if (*p == '"') {
        r->at = p + 1;
    } else {
        s = string_decode(r, start, p);
    }
    if (s.size > JSON_STRING_BYTES_MAX) {
        json_fail(r, FB_E_LIMIT, "a string is too long");
        return (fb_text){NULL, 0};
    }
    return s;
}
