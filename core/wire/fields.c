/* fields.c - see fields.h. */
#include "wire/fields.h"

#include <string.h>

#include "base/digest.h"
#include "base/id.h"

/* ---- writing ---- */

static bool is_zero(const void *data, size_t size)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_default(field_kind kind, const void *at)
{
    switch (kind) {
    case FIELD_U32:
    case FIELD_NAME:
        return *(const uint32_t *)at == 0;
    case FIELD_FLAG:
        return !*(const bool *)at;
    case FIELD_I64:
    case FIELD_COUNT:
        return *(const int64_t *)at == 0;
    case FIELD_TEXT:
    case FIELD_RAW:
        return ((const fb_text *)at)->size == 0;
    case FIELD_ID:
        return id_is_none(at);
    case FIELD_DIGEST:
        return is_zero(at, DIGEST_BYTES);
    case FIELD_ERROR:
        return *(const fb_code *)at == FB_OK;
    }
    return false;
}

static void digest_put(json_writer *w, const void *at)
{
    char room[DIGEST_BYTES * 2];
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = at;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        room[2 * i] = digits[b[i] >> 4];
        room[2 * i + 1] = digits[b[i] & 15];
    }
    json_put_string(w, (fb_text){room, sizeof room});
}

static void name_put(json_writer *w, const message *m, uint32_t number)
{
    FB_ASSERT(number < m->names_count && m->names[number] != NULL);
    json_put_str(w, m->names[number]);
}

static void field_put(json_writer *w, const message *m, field_kind kind, const void *at)
{
    switch (kind) {
    case FIELD_U32:
        json_put_int(w, *(const uint32_t *)at);
        return;
    case FIELD_FLAG:
        json_put_int(w, *(const bool *)at ? 1 : 0);
        return;
    case FIELD_I64:
    case FIELD_COUNT:
        json_put_int_string(w, *(const int64_t *)at);
        return;
    case FIELD_TEXT:
        json_put_string(w, *(const fb_text *)at);
        return;
    case FIELD_RAW:
        json_put_raw(w, *(const fb_text *)at);
        return;
    case FIELD_ID:
        json_put_id(w, at);
        return;
    case FIELD_DIGEST:
        digest_put(w, at);
        return;
    case FIELD_NAME:
        name_put(w, m, *(const uint32_t *)at);
        return;
    case FIELD_ERROR:
        json_put_str(w, fb_code_name(*(const fb_code *)at));
        return;
    }
}

void fields_put(json_writer *w, const message *m, const void *from)
{
    json_put_object(w);
    json_put_key(w, "m");
    json_put_str(w, m->name);
    for (uint32_t i = 0; i < m->fields_count; i++) {
        const field *f = &m->fields[i];
        const void *at = (const char *)from + f->offset;
        if (f->need == FIELD_REQUIRED || !is_default(f->kind, at)) {
            json_put_key(w, f->key);
            field_put(w, m, f->kind, at);
        }
    }
}

void message_line_put(buf *out, const message *m, const void *from)
{
    json_writer w;
    json_writer_init(&w, out);
    fields_put(&w, m, from);
    json_put_end(&w);
    buf_put_char(out, '\n');
}

/* ---- reading ---- */

static void u32_get(json_reader *r, uint32_t *out)
{
    int64_t v = json_int(r);
    if (v < 0 || v > UINT32_MAX) {
        json_fail(r, FB_E_PROTOCOL, "a number outside 0..4294967295");
        return;
    }
    *out = (uint32_t)v;
}

static void flag_get(json_reader *r, bool *out)
{
    int64_t v = json_int(r);
    if (v != 0 && v != 1) {
        json_fail(r, FB_E_PROTOCOL, "a flag is 0 or 1");
        return;
    }
    *out = v == 1;
}

static void count_get(json_reader *r, int64_t *out)
{
    int64_t v = json_int_string(r);
    if (v < 0) {
        json_fail(r, FB_E_PROTOCOL, "a count below 0");
        return;
    }
    *out = v;
}

static void id_take(json_reader *r, fb_id *out)
{
    fb_text s = json_string(r);
    if (r->code == FB_OK && !id_get(s, out)) {
        json_fail(r, FB_E_PROTOCOL, "an id is 36 lower-case characters");
    }
}

static void digest_get(json_reader *r, void *out)
{
    fb_text s = json_string(r);
    if (r->code == FB_OK && !hex_get(s, out, DIGEST_BYTES)) {
        json_fail(r, FB_E_PROTOCOL, "a digest is 64 lower-case hexadecimal digits");
    }
}

static void error_get(json_reader *r, fb_code *out)
{
    fb_text s = json_string(r);
    if (r->code != FB_OK) {
        return;
    }
    fb_code code = fb_code_from_name(s.data, s.size);
    bool known = code != FB_E_BUG || text_is(s, "E_BUG");
    *out = known ? code : FB_E_INVALID;
}

static void name_get(json_reader *r, const message *m, uint32_t *out)
{
    fb_text s = json_string(r);
    for (uint32_t i = 0; r->code == FB_OK && i < m->names_count; i++) {
        if (m->names[i] != NULL && text_is(s, m->names[i])) {
            *out = i;
            return;
        }
    }
    json_fail(r, FB_E_PROTOCOL, "a word this version does not know: upgrade the app");
}

static void field_get(json_reader *r, const message *m, field_kind kind, void *at)
{
    switch (kind) {
    case FIELD_U32:
        u32_get(r, at);
        return;
    case FIELD_FLAG:
        flag_get(r, at);
        return;
    case FIELD_I64:
        *(int64_t *)at = json_int_string(r);
        return;
    case FIELD_COUNT:
        count_get(r, at);
        return;
    case FIELD_TEXT:
        *(fb_text *)at = json_string(r);
        return;
    case FIELD_RAW:
        *(fb_text *)at = json_raw(r);
        return;
    case FIELD_ID:
        id_take(r, at);
        return;
    case FIELD_DIGEST:
        digest_get(r, at);
        return;
    case FIELD_NAME:
        name_get(r, m, at);
        return;
    case FIELD_ERROR:
        error_get(r, at);
        return;
    }
}

fb_text message_begin(json_reader *r)
{
    fb_text key;
    json_object_begin(r);
    if (!json_object_next(r, &key) || !text_is(key, "m")) {
        json_fail(r, FB_E_PROTOCOL, "the first member of a message is \"m\"");
        return (fb_text){NULL, 0};
    }
    return json_string(r);
}

static uint32_t field_find(const message *m, fb_text key)
{
    uint32_t i = 0;
    while (i < m->fields_count && !text_is(key, m->fields[i].key)) {
        i++;
    }
    return i;
}

void fields_get(json_reader *r, const message *m, void *into, field_other other)
{
    FB_ASSERT(m->fields_count <= 32);
    uint32_t seen = 0;
    fb_text key;
    while (json_object_next(r, &key)) {
        uint32_t i = field_find(m, key);
        if (i < m->fields_count) {
            field_get(r, m, m->fields[i].kind, (char *)into + m->fields[i].offset);
            seen |= UINT32_C(1) << i;
        } else if (other == NULL || !other(r, key, into)) {
            json_skip(r);
        }
    }
    for (uint32_t i = 0; i < m->fields_count && r->code == FB_OK; i++) {
        if (m->fields[i].need == FIELD_REQUIRED && (seen >> i & 1) == 0) {
            char why[sizeof r->why] = "a required member is missing: ";
            strncat(why, m->fields[i].key, sizeof why - strlen(why) - 1);
            json_fail(r, FB_E_PROTOCOL, why);
        }
    }
}

fb_code message_get(fb_text text, arena *scratch, const message *m, void *into)
{
    json_reader r;
    json_reader_init(&r, text, scratch);
    fb_text name = message_begin(&r);
    if (r.code == FB_OK && !text_is(name, m->name)) {
        json_fail(&r, FB_E_PROTOCOL, "another message is expected here");
    }
    fields_get(&r, m, into, NULL);
    return json_finish(&r);
}
