/* csv.c - see csv.h. */
#include "base/csv.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"

/* Bytes of the byte order mark that the text begins with. */
static size_t mark_size(fb_text t)
{
    return t.size >= 3 && memcmp(t.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

void csv_reader_init(csv_reader *r, fb_text text, arena *memory)
{
    const char *start = text.data != NULL ? text.data : ""; /* NULL + 0 is not defined */
    *r = (csv_reader){.at = start, .end = start + text.size, .next_line = 1, .memory = memory};
    r->at += mark_size(text);
}

static fb_code refuse(csv_reader *r, fb_code code, const char *why)
{
    r->why = why;
    return code;
}

/* A quoted field: at stands behind the opening quote; afterwards behind the closing one. */
static fb_code quoted_get(csv_reader *r, fb_text *out)
{
    const char *start = r->at;
    size_t doubled = 0;
    for (;; r->at++) {
        if (r->at == r->end) {
            return refuse(r, FB_E_FORMAT, "a quote is never closed");
        }
        if (*r->at == '\n') {
            r->next_line++;
        }
        if (*r->at != '"') {
            continue;
        }
        if (r->at + 1 < r->end && r->at[1] == '"') {
            doubled++;
            r->at++;
            continue;
        }
        break;
    }
    size_t size = (size_t)(r->at - start);
    r->at++;
    *out = (fb_text){start, size};
    if (doubled == 0) {
        return FB_OK;
    }
    char *copy = arena_take(r->memory, size);
    if (copy == NULL) {
        return refuse(r, FB_E_NO_MEMORY, "out of memory");
    }
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        copy[n++] = start[i];
        i += start[i] == '"'; /* the pair counts once */
    }
    *out = (fb_text){copy, n};
    return FB_OK;
}

static fb_code bare_get(csv_reader *r, fb_text *out)
{
    const char *start = r->at;
    while (r->at < r->end && *r->at != ',' && *r->at != '\n' && *r->at != '\r') {
        if (*r->at == '"') {
            return refuse(r, FB_E_FORMAT, "a quote stands inside a field that is not quoted");
        }
        r->at++;
    }
    *out = (fb_text){start, (size_t)(r->at - start)};
    return FB_OK;
}

/* The end of a record; true when it was one. */
static bool record_end(csv_reader *r)
{
    if (r->at == r->end) {
        return true;
    }
    if (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n') {
        r->at++;
    }
    if (*r->at != '\n') {
        return false;
    }
    r->at++;
    r->next_line++;
    return true;
}

fb_code csv_next(csv_reader *r, fb_text *fields, uint32_t *count)
{
    *count = 0;
    r->line = r->next_line;
    if (r->at == r->end) {
        return FB_OK;
    }
    for (uint32_t n = 0; n < CSV_FIELDS_MAX; n++) {
        bool quoted = r->at < r->end && *r->at == '"';
        r->at += quoted;
        FB_TRY(quoted ? quoted_get(r, &fields[n]) : bare_get(r, &fields[n]));
        if (!utf8_valid(fields[n])) {
            return refuse(r, FB_E_FORMAT, "a field is not valid UTF-8");
        }
        if (r->at < r->end && *r->at == ',') {
            r->at++;
            continue;
        }
        if (!record_end(r)) {
            return refuse(r, FB_E_FORMAT, "text stands behind a closing quote");
        }
        *count = n + 1;
        return FB_OK;
    }
    return refuse(r, FB_E_LIMIT, "the record has too many fields");
}

void csv_put(buf *out, fb_text field)
{
    bool quote = mark_size(field) > 0; /* else it is lost as the first of a file */
    for (size_t i = 0; i < field.size && !quote; i++) {
        quote = strchr("\",\r\n", field.data[i]) != NULL;
    }
    if (!quote) {
        buf_put_text(out, field);
        return;
    }
    buf_put_char(out, '"');
    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] == '"') {
            buf_put_char(out, '"');
        }
        buf_put_char(out, field.data[i]);
    }
    buf_put_char(out, '"');
}

void csv_put_safe(buf *out, fb_text field)
{
    if (field.size == 0 || strchr("=+-@\t\r", field.data[0]) == NULL) {
        csv_put(out, field);
        return;
    }
    buf safe;
    buf_init(&safe, field.size + 1);
    buf_put_char(&safe, '\'');
    buf_put_text(&safe, field);
    csv_put(out, buf_text(&safe));
    if (safe.code != FB_OK) {
        out->code = safe.code;
    }
    buf_clear(&safe);
}
