/* blob_msg.c - see blob_msg.h. The tables are the format (protocol.md 13):
 *
 *   up    {"m":"have","v":1,"h":["<64 hex>",...]}
 *   down  {"m":"had","ep":"<id>","n":[["<offset>",0|1|2],...]}
 *   up    {"m":"put","v":1,"h":"<64 hex>","size":"<bytes>","at":"<offset>","n":<count>}  + bytes
 *   down  {"m":"stored","ep":"<id>","at":"<offset>","s":0|1|2}
 *   up    {"m":"get","v":1,"h":"<64 hex>","at":"<offset>","n":<count>}
 *   down  {"m":"got","size":"<bytes>","at":"<offset>","n":<count>}  + bytes, or
 * {"m":"got","gone":1}
 */
#include "wire/blob_msg.h"

#include <string.h>

#include "base/blob_file.h"
#include "wire/fields.h"

#define AT(name) offsetof(blob_ask, name)
static const field ASK_FIELDS[] = {{"v", FIELD_U32, FIELD_REQUIRED, AT(protocol)}};
#undef AT
#define AT(name) offsetof(blob_had, name)
static const field HAD_FIELDS[] = {{"ep", FIELD_ID, FIELD_REQUIRED, AT(epoch)}};
#undef AT
#define AT(name) offsetof(blob_put, name)
static const field PUT_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(protocol)},
    {"h", FIELD_DIGEST, FIELD_REQUIRED, AT(hash)},
    {"size", FIELD_COUNT, FIELD_REQUIRED, AT(size)},
    {"at", FIELD_COUNT, FIELD_OPTIONAL, AT(offset)},
    {"n", FIELD_U32, FIELD_REQUIRED, AT(count)},
};
#undef AT
#define AT(name) offsetof(blob_stored, name)
static const field STORED_FIELDS[] = {
    {"ep", FIELD_ID, FIELD_REQUIRED, AT(epoch)},
    {"at", FIELD_COUNT, FIELD_OPTIONAL, AT(offset)},
    {"s", FIELD_U32, FIELD_OPTIONAL, AT(state)},
};
#undef AT
#define AT(name) offsetof(blob_get, name)
static const field GET_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(protocol)},
    {"h", FIELD_DIGEST, FIELD_REQUIRED, AT(hash)},
    {"at", FIELD_COUNT, FIELD_OPTIONAL, AT(offset)},
    {"n", FIELD_U32, FIELD_REQUIRED, AT(count)},
};
#undef AT
#define AT(name) offsetof(blob_got, name)
static const field GOT_FIELDS[] = {
    {"gone", FIELD_FLAG, FIELD_OPTIONAL, AT(absent)},
    {"size", FIELD_COUNT, FIELD_OPTIONAL, AT(size)},
    {"at", FIELD_COUNT, FIELD_OPTIONAL, AT(offset)},
    {"n", FIELD_U32, FIELD_OPTIONAL, AT(count)},
};
#undef AT

static const message ASK = MESSAGE("have", ASK_FIELDS);
static const message HAD = MESSAGE("had", HAD_FIELDS);
static const message PUT = MESSAGE("put", PUT_FIELDS);
static const message STORED = MESSAGE("stored", STORED_FIELDS);
static const message GET = MESSAGE("get", GET_FIELDS);
static const message GOT = MESSAGE("got", GOT_FIELDS);

/* ---- messages with a list ---- */

typedef struct list_put {
    const message *m;
    const void *from;
    const char *key;
} list_put;

static void list_begin(json_writer *w, buf *out, const list_put *l)
{
    json_writer_init(w, out);
    fields_put(w, l->m, l->from);
    json_put_key(w, l->key);
    json_put_array(w);
}

static void list_end(json_writer *w)
{
    json_put_end(w);
    json_put_end(w);
    buf_put_char(w->out, '\n');
}

static fb_code list_get(fb_text body, arena *scratch, const message *m, void *into,
                        field_other other)
{
    json_reader r;
    json_reader_init(&r, body, scratch);
    if (!text_is(message_begin(&r), m->name)) {
        json_fail(&r, FB_E_PROTOCOL, "another message");
    }
    fields_get(&r, m, into, other);
    return json_finish(&r);
}

void blob_ask_put(buf *out, const blob_ask *m)
{
    json_writer w;
    char name[BLOB_NAME_BYTES + 1];
    list_begin(&w, out, &(list_put){&ASK, m, "h"});
    for (uint32_t i = 0; i < m->count; i++) {
        blob_name_put(&m->hashes[i], name);
        json_put_str(&w, name);
    }
    list_end(&w);
}

static bool ask_other(json_reader *r, fb_text key, void *into)
{
    blob_ask *m = into;
    if (!text_is(key, "h")) {
        return false;
    }
    json_array_begin(r);
    while (json_array_next(r)) {
        fb_text name = json_string(r);
        if (m->count == BLOB_ASK_MAX) {
            json_fail(r, FB_E_LIMIT, "too many hashes");
        } else if (!blob_name_get(name, &m->hashes[m->count])) {
            json_fail(r, FB_E_PROTOCOL, "a hash has 64 hexadecimal digits");
        } else {
            m->count++;
        }
    }
    return true;
}

fb_code blob_ask_get(fb_text body, arena *scratch, blob_ask *out)
{
    if (body.size > BLOB_ASK_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    out->count = 0;
    FB_TRY(list_get(body, scratch, &ASK, out, ask_other));
    return out->count > 0 ? FB_OK : FB_E_PROTOCOL;
}

void blob_had_put(buf *out, const blob_had *m)
{
    json_writer w;
    list_begin(&w, out, &(list_put){&HAD, m, "n"});
    for (uint32_t i = 0; i < m->count; i++) {
        json_put_array(&w);
        json_put_int_string(&w, m->items[i].offset);
        json_put_int(&w, m->items[i].state);
        json_put_end(&w);
    }
    list_end(&w);
}

static void had_item_get(json_reader *r, struct blob_had_item *item)
{
    int64_t state = -1;
    json_array_begin(r);
    bool more = json_array_next(r); /* not to be asked again after it said no */
    if (more) {
        item->offset = json_int_string(r);
        more = json_array_next(r);
    }
    if (more) {
        state = json_int(r);
        more = json_array_next(r);
    }
    while (more) {
        json_skip(r);
        more = json_array_next(r);
    }
    if (item->offset < 0 || state < BLOB_STATE_PART || state > BLOB_STATE_BACKED) {
        json_fail(r, FB_E_PROTOCOL, "an offset and a state are expected");
        return;
    }
    item->state = (blob_state)state;
}

static bool had_other(json_reader *r, fb_text key, void *into)
{
    blob_had *m = into;
    if (!text_is(key, "n")) {
        return false;
    }
    json_array_begin(r);
    while (json_array_next(r)) {
        if (m->count == BLOB_ASK_MAX) {
            json_fail(r, FB_E_LIMIT, "too many answers");
        } else {
            had_item_get(r, &m->items[m->count]);
            m->count++;
        }
    }
    return true;
}

fb_code blob_had_get(fb_text body, arena *scratch, blob_had *out)
{
    if (body.size > BLOB_ASK_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    memset(out, 0, sizeof *out);
    return list_get(body, scratch, &HAD, out, had_other);
}

/* ---- messages with bytes behind the line ---- */

/* The line, and what stands behind its "\n". */
static fb_code split(fb_text body, fb_text *line_out, fb_text *bytes_out)
{
    size_t most = body.size < BLOB_LINE_BYTES_MAX ? body.size : BLOB_LINE_BYTES_MAX;
    const char *end = most == 0 ? NULL : memchr(body.data, '\n', most);
    if (end == NULL) {
        return body.size < BLOB_LINE_BYTES_MAX ? FB_E_TRUNCATED : FB_E_LIMIT;
    }
    size_t size = (size_t)(end - body.data) + 1;
    *line_out = (fb_text){body.data, size};
    *bytes_out = (fb_text){body.data + size, body.size - size};
    return FB_OK;
}

/* Exactly the bytes that the line promises, inside a file that may be that large. */
static fb_code piece_check(fb_text bytes, uint32_t count, int64_t offset, int64_t size)
{
    if (count > BLOB_CHUNK_BYTES_MAX || size > BLOB_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    if (bytes.size < count) {
        return FB_E_TRUNCATED;
    }
    return bytes.size == count && offset <= size && (int64_t)count <= size - offset ? FB_OK
                                                                                    : FB_E_PROTOCOL;
}

void blob_put_put(buf *out, const blob_put *m)
{
    message_line_put(out, &PUT, m);
    buf_put_text(out, m->bytes);
}

fb_code blob_put_get(fb_text body, arena *scratch, blob_put *out)
{
    fb_text line;
    blob_put m = {0};
    FB_TRY(split(body, &line, &m.bytes));
    FB_TRY(message_get(line, scratch, &PUT, &m));
    FB_TRY(piece_check(m.bytes, m.count, m.offset, m.size));
    if (m.size == 0 || m.count == 0) {
        return FB_E_PROTOCOL; /* an empty file is no attachment, an empty piece no progress */
    }
    *out = m;
    return FB_OK;
}

void blob_stored_put(buf *out, const blob_stored *m)
{
    message_line_put(out, &STORED, m);
}

fb_code blob_stored_get(fb_text body, arena *scratch, blob_stored *out)
{
    if (body.size > BLOB_LINE_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    blob_stored m = {0};
    FB_TRY(message_get(body, scratch, &STORED, &m));
    if (m.state > BLOB_STATE_BACKED) {
        return FB_E_PROTOCOL;
    }
    *out = m;
    return FB_OK;
}

void blob_get_put(buf *out, const blob_get *m)
{
    message_line_put(out, &GET, m);
}

fb_code blob_get_get(fb_text body, arena *scratch, blob_get *out)
{
    if (body.size > BLOB_LINE_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    blob_get m = {0};
    FB_TRY(message_get(body, scratch, &GET, &m));
    if (m.count == 0 || m.count > BLOB_CHUNK_BYTES_MAX) {
        return m.count == 0 ? FB_E_PROTOCOL : FB_E_LIMIT;
    }
    *out = m;
    return FB_OK;
}

void blob_got_put(buf *out, const blob_got *m)
{
    message_line_put(out, &GOT, m);
    buf_put_text(out, m->bytes);
}

fb_code blob_got_get(fb_text body, arena *scratch, blob_got *out)
{
    fb_text line;
    blob_got m = {0};
    FB_TRY(split(body, &line, &m.bytes));
    FB_TRY(message_get(line, scratch, &GOT, &m));
    FB_TRY(piece_check(m.bytes, m.count, m.offset, m.size));
    if (!m.absent && (m.size == 0 || m.count == 0)) {
        return FB_E_PROTOCOL;
    }
    *out = m;
    return FB_OK;
}
