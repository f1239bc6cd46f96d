/* pack_msg.c - see pack_msg.h.
 *
 *   manifest {"m":"manifest","v":1,"ep":"<id>","scope":"7","pos":"...","cat":3,"rows":"113000",
 *             "n":[["customer",5000],...],"chunks":[["<64 hex>",131072,1048576],...]} */
#include "wire/pack_msg.h"

#include <string.h>

#include "base/decimal.h"
#include "schema/limits.h"
#include "wire/fields.h"

#define PACK_PATH "/v1/pack/"
enum { HEX_DIGEST = 2 * DIGEST_BYTES, HEX_SIGN = 2 * SIGN_BYTES, NUMBER_DIGITS_MAX = 7 };

/* ---- manifest ---- */

#define AT(name) offsetof(pack_manifest, name)
static const field MANIFEST_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(version)},
    {"ep", FIELD_ID, FIELD_REQUIRED, AT(epoch)},
    {"scope", FIELD_COUNT, FIELD_REQUIRED, AT(scope)},
    {"pos", FIELD_COUNT, FIELD_REQUIRED, AT(position)},
    {"cat", FIELD_U32, FIELD_REQUIRED, AT(catalog_version)},
    {"rows", FIELD_COUNT, FIELD_REQUIRED, AT(rows)},
};
#undef AT
static const message MANIFEST = MESSAGE("manifest", MANIFEST_FIELDS);

static void digest_put(json_writer *w, const digest *d)
{
    buf hex;
    buf_init(&hex, HEX_DIGEST);
    hex_put(&hex, d->b, sizeof d->b);
    json_put_string(w, buf_text(&hex));
    if (hex.code != FB_OK && w->out->code == FB_OK) {
        w->out->code = hex.code;
    }
    buf_clear(&hex);
}

void pack_manifest_put(buf *out, const pack_manifest *m)
{
    json_writer w;
    json_writer_init(&w, out);
    fields_put(&w, &MANIFEST, m);
    json_put_key(&w, "n");
    json_put_array(&w);
    for (uint32_t i = 0; i < m->counts_count; i++) {
        json_put_array(&w);
        json_put_string(&w, m->counts[i].entity);
        json_put_int(&w, m->counts[i].rows);
        json_put_end(&w);
    }
    json_put_end(&w);
    json_put_key(&w, "chunks");
    json_put_array(&w);
    for (uint32_t i = 0; i < m->chunks_count; i++) {
        json_put_array(&w);
        digest_put(&w, &m->chunks[i].hash);
        json_put_int(&w, m->chunks[i].size_bytes);
        json_put_int(&w, m->chunks[i].raw_bytes);
        json_put_end(&w);
    }
    json_put_end(&w);
    json_put_end(&w);
}

/* The next member of an array of arrays; further ones behind it are skipped. */
static bool value_next(json_reader *r)
{
    if (!json_array_next(r)) {
        json_fail(r, FB_E_PROTOCOL, "an entry of a manifest is too short");
        return false;
    }
    return true;
}

static uint32_t number_get(json_reader *r, int64_t min, int64_t max)
{
    int64_t v = value_next(r) ? json_int(r) : min;
    if (v < min || v > max) {
        json_fail(r, FB_E_LIMIT, "a number of a manifest is out of its range");
        return 0;
    }
    return (uint32_t)v;
}

static void rest_skip(json_reader *r)
{
    while (json_array_next(r)) {
        json_skip(r);
    }
}

static void chunk_get(json_reader *r, pack_chunk *out)
{
    json_array_begin(r);
    fb_text hex = value_next(r) ? json_string(r) : (fb_text){NULL, 0};
    if (r->code == FB_OK && !hex_get(hex, out->hash.b, sizeof out->hash.b)) {
        json_fail(r, FB_E_PROTOCOL, "a chunk's hash is 64 hexadecimal digits");
    }
    out->size_bytes = number_get(r, 1, PACK_CHUNK_BYTES_MAX);
    out->raw_bytes = number_get(r, 1, PACK_CHUNK_RAW_BYTES_MAX);
    rest_skip(r);
}

static void count_get(json_reader *r, pack_count *out)
{
    json_array_begin(r);
    out->entity = value_next(r) ? json_string(r) : (fb_text){NULL, 0};
    out->rows = number_get(r, 0, UINT32_MAX);
    rest_skip(r);
}

/* An array whose elements are read by `get` into a list that grows in the scratch arena. */
typedef struct list_reader {
    size_t element_bytes;
    uint32_t max;
    void (*get)(json_reader *r, void *element);
} list_reader;

static void *list_get(json_reader *r, const list_reader *l, uint32_t *count_out)
{
    char *list = NULL;
    uint32_t count = 0, room = 0;
    json_array_begin(r);
    while (json_array_next(r)) {
        if (count == l->max) {
            json_fail(r, FB_E_LIMIT, "a manifest has too many entries");
            return NULL;
        }
        if (count == room) {
            uint32_t more = room == 0 ? 16 : room * 2;
            char *grown = arena_take(r->scratch, more * l->element_bytes);
            if (grown == NULL) {
                json_fail(r, FB_E_NO_MEMORY, "no memory for a manifest");
                return NULL;
            }
            if (count > 0) {
                memcpy(grown, list, count * l->element_bytes);
            }
            list = grown;
            room = more;
        }
        l->get(r, list + count++ * l->element_bytes);
    }
    *count_out = count;
    return list;
}

static void chunk_element(json_reader *r, void *element)
{
    chunk_get(r, element);
}

static void count_element(json_reader *r, void *element)
{
    count_get(r, element);
}

static bool manifest_other(json_reader *r, fb_text key, void *into)
{
    static const list_reader CHUNKS = {sizeof(pack_chunk), PACK_CHUNKS_MAX, chunk_element};
    static const list_reader COUNTS = {sizeof(pack_count), CATALOG_ENTITIES_MAX, count_element};
    pack_manifest *m = into;
    if (text_is(key, "chunks")) {
        m->chunks = list_get(r, &CHUNKS, &m->chunks_count);
        return true;
    }
    if (text_is(key, "n")) {
        m->counts = list_get(r, &COUNTS, &m->counts_count);
        return true;
    }
    return false;
}

static fb_code manifest_check(const pack_manifest *m)
{
    int64_t rows = 0;
    if (m->version != PACK_VERSION) {
        return FB_E_VERSION;
    }
    for (uint32_t i = 0; i < m->counts_count; i++) {
        rows += m->counts[i].rows;
    }
    return m->chunks_count > 0 && rows == m->rows ? FB_OK : FB_E_PROTOCOL;
}

fb_code pack_manifest_get(fb_text text, arena *scratch, pack_manifest *out)
{
    json_reader r;
    pack_manifest m = {.version = 0};
    json_reader_init(&r, text, scratch);
    fb_text name = message_begin(&r);
    if (r.code == FB_OK && !text_is(name, MANIFEST.name)) {
        json_fail(&r, FB_E_PROTOCOL, "a manifest is expected here");
    }
    fields_get(&r, &MANIFEST, &m, manifest_other);
    FB_TRY(json_finish(&r));
    FB_TRY(manifest_check(&m));
    *out = m;
    return FB_OK;
}

/* ---- offer ---- */

#define AT(name) offsetof(pack_offer, name)
static const field OFFER_FIELDS[] = {
    {"key", FIELD_TEXT, FIELD_REQUIRED, AT(key)},
    {"sig", FIELD_TEXT, FIELD_REQUIRED, AT(signature)},
    {"of", FIELD_RAW, FIELD_REQUIRED, AT(manifest)},
};
#undef AT
static const message OFFER = MESSAGE("pack", OFFER_FIELDS);

void pack_offer_put(buf *out, const sign_public *key, const signature *sig, fb_text manifest)
{
    buf hex;
    buf_init(&hex, 2 * HEX_SIGN);
    hex_put(&hex, key->b, sizeof key->b);
    hex_put(&hex, sig->b, sizeof sig->b);
    if (hex.code != FB_OK) {
        out->code = out->code == FB_OK ? hex.code : out->code;
    } else {
        const pack_offer o = {{hex.data, HEX_SIGN}, {hex.data + HEX_SIGN, HEX_SIGN}, manifest};
        message_line_put(out, &OFFER, &o);
    }
    buf_clear(&hex);
}

void pack_offer_members_get(json_reader *r, pack_offer *out)
{
    fields_get(r, &OFFER, out, NULL);
}

fb_code pack_offer_get(fb_text line, arena *scratch, pack_offer *out)
{
    pack_offer o = {.key = {NULL, 0}};
    FB_TRY(message_get(line, scratch, &OFFER, &o));
    *out = o;
    return FB_OK;
}

fb_code pack_offer_check(const pack_offer *o, const sign_public *key)
{
    sign_public own;
    signature sig;
    if (!hex_get(o->key, own.b, sizeof own.b) || !hex_get(o->signature, sig.b, sizeof sig.b) ||
        memcmp(key->b, own.b, sizeof own.b) != 0) {
        return FB_E_INVALID;
    }
    return sign_check(key, o->manifest, &sig);
}

/* ---- path ---- */

void pack_path_put(buf *out, const pack_piece *p)
{
    buf_put_str(out, PACK_PATH);
    hex_put(out, p->name.b, sizeof p->name.b);
    buf_printf(out, "/%u", p->chunk);
    if (p->bytes > 0) {
        buf_printf(out, "/%u/%u", p->offset, p->bytes);
    }
}

/* "/<digits>" off the front of *path, from `least` up to `most`. */
static bool number_take(fb_text *path, int64_t least, int64_t most, uint32_t *out)
{
    int64_t number = 0;
    size_t size = 1;
    if (path->size == 0 || path->data[0] != '/') {
        return false;
    }
    while (size < path->size && path->data[size] != '/') {
        size++;
    }
    if (size - 1 > NUMBER_DIGITS_MAX || !i64_get((fb_text){path->data + 1, size - 1}, &number) ||
        number < least || number > most) {
        return false;
    }
    *path = (fb_text){path->data + size, path->size - size};
    *out = (uint32_t)number;
    return true;
}

bool pack_path_get(fb_text path, pack_piece *out)
{
    const size_t prefix = sizeof PACK_PATH - 1, head = prefix + HEX_DIGEST;
    pack_piece p = {.bytes = 0};
    if (path.size < head || memcmp(path.data, PACK_PATH, prefix) != 0 ||
        !hex_get((fb_text){path.data + prefix, HEX_DIGEST}, p.name.b, sizeof p.name.b)) {
        return false;
    }
    fb_text rest = {path.data + head, path.size - head};
    bool fine = number_take(&rest, 0, PACK_CHUNKS_MAX - 1, &p.chunk);
    if (fine && rest.size > 0) {
        fine = number_take(&rest, 0, PACK_CHUNK_BYTES_MAX - 1, &p.offset) &&
               number_take(&rest, 1, PACK_CHUNK_BYTES_MAX, &p.bytes) && rest.size == 0;
    }
    if (fine) {
        *out = p;
    }
    return fine;
}
