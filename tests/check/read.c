/* read.c - see read.h. A recursive descent over RFC 8259; UTF-8 is taken as it comes. */
#include "read.h"

#include <string.h>

enum { DEPTH_MAX = 24 };

bool str_is(str s, const char *text)
{
    size_t n = strlen(text);
    return s.n == n && memcmp(s.p, text, n) == 0;
}

bool str_same(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static const char *space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }
    return p;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* p is behind the opening quote. */
static const char *text_value(const char *p, const char *end, json *out)
{
    const char *from = p;
    while (p < end && *p != '"') {
        if ((unsigned char)*p < 0x20) {
            return NULL;
        }
        if (*p == '\\') {
            if (end - p < 2 || strchr("\"\\/bfnrtu", p[1]) == NULL) {
                return NULL;
            }
            if (p[1] == 'u') {
                if (end - p < 6 || !is_hex(p[2]) || !is_hex(p[3]) || !is_hex(p[4]) ||
                    !is_hex(p[5])) {
                    return NULL;
                }
                p += 4;
            }
            p++;
        }
        p++;
    }
    if (p >= end) {
        return NULL;
    }
    *out = (json){.kind = JSON_TEXT, .raw = {from, (size_t)(p - from)}};
    return p + 1;
}

static bool digits_int(const char *p, const char *end, int64_t *out)
{
    bool minus = p < end && *p == '-';
    int64_t n = 0;
    p += minus;
    if (p == end) {
        return false;
    }
    for (; p < end; p++) {
        if (!is_digit(*p) || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_sub_overflow(n, *p - '0', &n)) {
            return false;
        }
    }
    if (!minus && __builtin_sub_overflow(0, n, &n)) {
        return false;
    }
    *out = n;
    return true;
}

static const char *number_value(const char *p, const char *end, json *out)
{
    const char *from = p;
    p += *p == '-';
    if (p >= end || !is_digit(*p) || (*p == '0' && p + 1 < end && is_digit(p[1]))) {
        return NULL;
    }
    while (p < end && is_digit(*p)) {
        p++;
    }
    const char *whole = p;
    if (p < end && *p == '.') {
        const char *dot = ++p;
        while (p < end && is_digit(*p)) {
            p++;
        }
        if (p == dot) {
            return NULL;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const char *exponent = p;
        while (p < end && is_digit(*p)) {
            p++;
        }
        if (p == exponent) {
            return NULL;
        }
    }
    *out = (json){.kind = JSON_INT, .raw = {from, (size_t)(p - from)}};
    if (p != whole || !digits_int(from, p, &out->number)) {
        out->kind = JSON_FRACTION;
    }
    return p;
}

static const char *word_value(const char *p, const char *end, json *out)
{
    static const struct {
        const char *word;
        json_kind kind;
        int number;
    } WORDS[] = {{"null", JSON_NULL, 0}, {"true", JSON_BOOL, 1}, {"false", JSON_BOOL, 0}};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        size_t n = strlen(WORDS[i].word);
        if ((size_t)(end - p) >= n && memcmp(p, WORDS[i].word, n) == 0) {
            *out = (json){.kind = WORDS[i].kind, .raw = {p, n}, .number = WORDS[i].number};
            return p + n;
        }
    }
    return NULL;
}

static const char *value_at(const char *p, const char *end, json *out, int depth);

/* A member's name and its colon. */
static const char *name_value(const char *p, const char *end, str *name)
{
    json text;
    p = space(p, end);
    if (p >= end || *p != '"' || (p = text_value(p + 1, end, &text)) == NULL) {
        return NULL;
    }
    p = space(p, end);
    if (p >= end || *p != ':') {
        return NULL;
    }
    *name = text.raw;
    return space(p + 1, end);
}

static const char *nest_value(const char *p, const char *end, json *out, int depth)
{
    const char *from = p;
    bool object = *p == '{';
    char close = object ? '}' : ']';
    p = space(p + 1, end);
    if (p < end && *p == close) {
        *out =
            (json){.kind = object ? JSON_OBJECT : JSON_LIST, .raw = {from, (size_t)(p + 1 - from)}};
        return p + 1;
    }
    for (;;) {
        json inner;
        str name;
        if (object && (p = name_value(p, end, &name)) == NULL) {
            return NULL;
        }
        p = value_at(space(p, end), end, &inner, depth + 1);
        if (p == NULL || (p = space(p, end)) >= end || (*p != ',' && *p != close)) {
            return NULL;
        }
        if (*p++ == close) {
            break;
        }
    }
    *out = (json){.kind = object ? JSON_OBJECT : JSON_LIST, .raw = {from, (size_t)(p - from)}};
    return p;
}

static const char *value_at(const char *p, const char *end, json *out, int depth)
{
    if (p >= end || depth > DEPTH_MAX) {
        return NULL;
    }
    switch (*p) {
    case '"':
        return text_value(p + 1, end, out);
    case '{':
    case '[':
        return nest_value(p, end, out, depth);
    case 'n':
    case 't':
    case 'f':
        return word_value(p, end, out);
    default:
        return *p == '-' || is_digit(*p) ? number_value(p, end, out) : NULL;
    }
}

const char *json_value(const char *p, const char *end, json *out)
{
    return value_at(space(p, end), end, out, 0);
}

bool json_next(const json *of, size_t *at, str *name, json *out)
{
    if (of->kind != JSON_LIST && of->kind != JSON_OBJECT) {
        return false;
    }
    const char *end = of->raw.p + of->raw.n - 1; /* the closing bracket */
    const char *p = space(of->raw.p + (*at == 0 ? 1 : *at), end);
    if (p < end && *p == ',') {
        p = space(p + 1, end);
    }
    if (p >= end) {
        return false;
    }
    str unused;
    if (of->kind == JSON_OBJECT) {
        p = name_value(p, end, name != NULL ? name : &unused);
    }
    p = p != NULL ? value_at(p, end, out, 1) : NULL;
    if (p == NULL) {
        return false;
    }
    *at = (size_t)(p - of->raw.p);
    return true;
}

json json_member(const json *object, const char *name)
{
    size_t at = 0;
    str found;
    json v;
    while (object->kind == JSON_OBJECT && json_next(object, &at, &found, &v)) {
        if (str_is(found, name)) {
            return v;
        }
    }
    return (json){.kind = JSON_NONE};
}

static unsigned hex4(const char *p)
{
    unsigned n = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        n = n * 16 + (unsigned)(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    return n;
}

static size_t put_utf8(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

size_t json_text(str raw, char *out)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] != '\\') {
            out[n++] = raw.p[i];
            continue;
        }
        char c = raw.p[++i];
        if (c != 'u') {
            out[n++] = TO[strchr(FROM, c) - FROM];
            continue;
        }
        unsigned code = hex4(raw.p + i + 1);
        i += 4;
        if (code >= 0xD800 && code < 0xDC00 && i + 6 < raw.n + 0 && raw.p[i + 1] == '\\' &&
            raw.p[i + 2] == 'u') {
            code = 0x10000 + ((code - 0xD800) << 10) + (hex4(raw.p + i + 3) - 0xDC00);
            i += 6;
        }
        n += put_utf8(code, out + n);
    }
    return n;
}

bool json_int(const json *v, int64_t *out)
{
    if (v->kind == JSON_INT) {
        *out = v->number;
        return true;
    }
    return v->kind == JSON_TEXT && digits_int(v->raw.p, v->raw.p + v->raw.n, out);
}

bool event_read(str line, event *out, const char **why)
{
    const char *p = line.p, *end = line.p + line.n;
    out->count = 0;
    out->name = (str){NULL, 0};
    p = space(p, end);
    if (p >= end || *p != '{') {
        *why = "it is no JSON object";
        return false;
    }
    p = space(p + 1, end);
    while (p < end && *p != '}') {
        if (out->count == EVENT_MEMBERS_MAX) {
            *why = "it has more than 32 members";
            return false;
        }
        str *name = &out->names[out->count];
        json *v = &out->values[out->count++];
        p = name_value(p, end, name);
        p = p != NULL ? value_at(p, end, v, 1) : NULL;
        p = p != NULL ? space(p, end) : NULL;
        if (p == NULL || p >= end || (*p != ',' && *p != '}')) {
            *why = "it is no valid JSON";
            return false;
        }
        if (*p == ',') {
            p = space(p + 1, end);
            if (p < end && *p == '}') {
                *why = "it is no valid JSON";
                return false;
            }
        }
        if (str_is(*name, "ev") && v->kind == JSON_TEXT) {
            out->name = v->raw;
        }
    }
    if (p >= end || space(p + 1, end) != end) {
        *why = "it is cut off, or something follows the object";
        return false;
    }
    if (out->name.p == NULL) {
        *why = "it has no member \"ev\" that names the event";
        return false;
    }
    return true;
}

json event_get(const event *ev, const char *name)
{
    for (int i = 0; i < ev->count; i++) {
        if (str_is(ev->names[i], name)) {
            return ev->values[i];
        }
    }
    return (json){.kind = JSON_NONE};
}
