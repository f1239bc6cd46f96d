/* pack.c - packs: the bulk of a first download, chunk by chunk (protocol.md 6.6).
 *
 *   offer     the reply's reset page and its packs: checked against the server's key, the page is
 *             staged, the offers are kept (fb_meta packs)
 *   chunk     the next missing one: its size and hash are in the signed manifest, so it is staged
 *             as it came, one transaction each
 *   piece     of a chunk that a line does not carry at once: staged likewise, read by nobody until
 *             the last one makes it a chunk
 *   all there  the offers go; the page's token asks for what came after the packs
 *   trouble   everything of this download goes, and is asked for anew; after PACK_FAILURES_MAX
 *             times as pages, until one download was promoted
 *
 *   PAK-1  nothing of a chunk is unpacked before its hash was compared with a manifest whose
 *          signature was checked
 *   PAK-2  staged rows while offers are kept: the reset page, then chunks 0 .. n-1 of the packs in
 *          their order, then pieces of chunk n in theirs; no other page comes between them
 *   PAK-3  a pack that cannot be had or applied never stops a device: pages are always there
 *   PAK-4  the server's key comes with the enrolment and with nothing else: no reply and no new
 *          epoch brings another one; without it there are no packs, only pages
 *   PAK-5  what memory keeps of the offers is compared with what is stored before each use: taking
 *          them apart for every chunk would cost the square of a download */
#include <string.h>

#include "replica/room.h"
#include "schema/limits.h"
#include "wire/pack.h"

enum { PACK_FAILURES_MAX = 3, OFFERS_BYTES_MAX = 4 << 20, STAGED_CHUNK = 2, STAGED_PIECE = 3 };

/* The packs of one download, in order. */
typedef struct offer_list {
    pack_manifest *manifests;
    digest *names;
    uint32_t count;
    int64_t chunks;
} offer_list;

/* PAK-5. */
typedef struct pack_offers {
    arena *memory;
    fb_text lines; /* as stored */
    offer_list list;
} pack_offers;

/* --- offers -------------------------------------------------------------------------- */

static uint32_t count_lines(fb_text lines)
{
    uint32_t count = 0;
    for (size_t i = 0; i < lines.size; i++) {
        count += lines.data[i] == '\n' ? 1 : 0;
    }
    return count;
}

/* PAK-4. */
static fb_code key_read(replica *r, sign_public *key, bool *known)
{
    buf value;
    buf_init(&value, 256);
    fb_code rc = replica_meta_get(r, "pack_key", &value);
    *known = rc == FB_OK && value.size == sizeof key->b;
    if (*known) {
        memcpy(key->b, value.data, sizeof key->b);
    }
    buf_clear(&value);
    return rc;
}

static fb_code offer_check(replica *r, fb_text line, arena *memory)
{
    pack_offer offer;
    sign_public pinned;
    bool known = false;
    FB_TRY(pack_offer_get(line, memory, &offer));
    FB_TRY(key_read(r, &pinned, &known));
    return known ? pack_offer_check(&offer, &pinned) : FB_E_INVALID;
}

/* Offers as lines, taken apart; their signatures are not looked at here. */
static fb_code offers_get(fb_text lines, arena *memory, offer_list *out)
{
    line_reader l;
    fb_text line;
    uint32_t room = count_lines(lines);
    offer_list list = {.count = 0};
    list.manifests = arena_take(memory, (room + 1) * sizeof *list.manifests);
    list.names = arena_take(memory, (room + 1) * sizeof *list.names);
    if (list.manifests == NULL || list.names == NULL) {
        return FB_E_NO_MEMORY;
    }
    line_reader_init(&l, lines);
    while (line_next(&l, &line)) {
        pack_offer offer;
        pack_manifest *m = &list.manifests[list.count];
        FB_TRY(pack_offer_get(line, memory, &offer));
        FB_TRY(pack_manifest_get(offer.manifest, memory, m));
        digest_of(offer.manifest.data, offer.manifest.size, &list.names[list.count]);
        if (list.count > 0 && m->position < list.manifests[list.count - 1].position) {
            return FB_E_PROTOCOL; /* a row in two of them would end at its older version */
        }
        list.chunks += m->chunks_count;
        list.count++;
    }
    FB_TRY(l.code);
    *out = list;
    return FB_OK;
}

static fb_code offers_check(replica *r, fb_text lines, arena *memory)
{
    line_reader l;
    fb_text line;
    offer_list list;
    FB_TRY(offers_get(lines, memory, &list));
    for (uint32_t i = 0; i < list.count; i++) {
        if (!id_equal(&list.manifests[i].epoch, &r->me.epoch)) {
            return FB_E_PROTOCOL;
        }
    }
    line_reader_init(&l, lines);
    while (line_next(&l, &line)) {
        FB_TRY(offer_check(r, line, memory));
    }
    return l.code;
}

fb_code pack_offers_take(replica *r, fb_text lines, arena *memory, bool *taken_out)
{
    fb_code rc = lines.size <= OFFERS_BYTES_MAX ? offers_check(r, lines, memory) : FB_E_LIMIT;
    fb_class c = fb_code_class(rc);
    *taken_out = rc == FB_OK;
    if (rc == FB_OK) {
        return meta_put_text(r, "packs", lines);
    }
    return c == FB_CLASS_STORAGE || c == FB_CLASS_RETRY ? rc : pack_failed(r);
}

/* --- failures ------------------------------------------------------------------------ */

fb_code pack_failed(replica *r)
{
    int64_t failures = 0;
    FB_TRY(meta_get_int(r, "packs_failed", &failures));
    FB_TRY(meta_put_int(r, "packs_failed", failures + 1));
    return stage_drop(r);
}

fb_code pack_forgive(replica *r)
{
    return meta_drop(r, "packs_failed");
}

fb_code pack_wanted_get(replica *r, bool *out)
{
    int64_t failures = 0;
    sign_public key;
    bool known = false;
    FB_REQUIRE(r != NULL && out != NULL);
    FB_TRY(meta_get_int(r, "packs_failed", &failures));
    FB_TRY(key_read(r, &key, &known));
    *out = known && failures < PACK_FAILURES_MAX;
    return FB_OK;
}

fb_code pack_is_staged(replica *r, bool *out)
{
    int64_t any = 0;
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_stage WHERE reset=2)", &any));
    *out = any != 0;
    return FB_OK;
}

fb_code pack_is_open(replica *r, bool *out)
{
    int64_t any = 0;
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_meta WHERE key='packs')", &any));
    *out = any != 0;
    return FB_OK;
}

/* --- chunks -------------------------------------------------------------------------- */

void pack_offers_forget(replica *r)
{
    if (r->offers != NULL) {
        arena_free(r->offers->memory);
        r->offers = NULL;
    }
}

static fb_code offers_keep(arena *memory, fb_text lines, pack_offers **out)
{
    pack_offers *kept = arena_take(memory, sizeof *kept);
    if (kept == NULL) {
        return FB_E_NO_MEMORY;
    }
    *kept = (pack_offers){.memory = memory, .lines = arena_text(memory, lines)};
    if (kept->lines.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(offers_get(kept->lines, memory, &kept->list));
    *out = kept;
    return FB_OK;
}

/* PAK-5. The list lives until the next call, or until the offers are forgotten. */
static fb_code offers_of(replica *r, fb_text lines, const offer_list **out)
{
    if (r->offers == NULL || !text_equal(r->offers->lines, lines)) {
        pack_offers_forget(r);
        arena *memory = arena_new(ARENA_BYTES_LIMIT);
        fb_code rc = memory != NULL ? offers_keep(memory, lines, &r->offers) : FB_E_NO_MEMORY;
        if (rc != FB_OK) {
            arena_free(memory);
            return rc;
        }
    }
    *out = &r->offers->list;
    return FB_OK;
}

/* Which chunk is missing first. */
typedef struct missing {
    pack_want want;
    const pack_manifest *manifest;
    fb_text counts; /* for the choice of late indexes: with a pack's first chunk */
} missing;

/* PAK-2: pieces are of the chunk that is missing first. */
static fb_code piece_find(replica *r, pack_want *out)
{
    int64_t here = 0;
    FB_TRY(
        read_count(r, "SELECT coalesce(sum(length(body)), 0) FROM fb_stage WHERE reset=3", &here));
    if (here >= out->size_bytes) {
        return FB_E_CORRUPT; /* the last one made it a chunk */
    }
    out->offset = (uint32_t)here;
    out->bytes = out->size_bytes - out->offset;
    return FB_OK;
}

static fb_code missing_in(replica *r, const offer_list *list, missing *out)
{
    int64_t staged = 0;
    FB_TRY(read_count(r, "SELECT count(*) FROM fb_stage WHERE reset=2", &staged));
    out->want.left = list->chunks - staged;
    for (uint32_t i = 0; i < list->count; i++) {
        const pack_manifest *m = &list->manifests[i];
        if (staged < m->chunks_count) {
            out->want.any = true;
            out->want.name = list->names[i];
            out->want.chunk = (uint32_t)staged;
            out->want.size_bytes = m->chunks[staged].size_bytes;
            out->manifest = m;
            return piece_find(r, &out->want);
        }
        staged -= m->chunks_count;
    }
    return FB_E_CORRUPT; /* PAK-2: with the last one the offers went */
}

/* As offers_of. */
static fb_code missing_find(replica *r, missing *out)
{
    const offer_list *list = NULL;
    buf lines;
    *out = (missing){.want = {.any = false}};
    buf_init(&lines, OFFERS_BYTES_MAX);
    fb_code rc = replica_meta_get(r, "packs", &lines);
    if (rc == FB_OK && lines.size > 0) {
        rc = offers_of(r, buf_text(&lines), &list);
    }
    buf_clear(&lines);
    FB_TRY(rc);
    if (list == NULL) {
        pack_offers_forget(r);
        return FB_OK;
    }
    return missing_in(r, list, out);
}

fb_code pack_want_get(replica *r, pack_want *out)
{
    missing m;
    FB_REQUIRE(r != NULL && out != NULL);
    *out = (pack_want){.any = false};
    FB_TRY(missing_find(r, &m));
    *out = m.want;
    return FB_OK;
}

fb_code pack_progress(replica *r, int64_t *here, int64_t *left)
{
    pack_want want;
    bool found = false;
    *here = 0;
    FB_TRY(pack_want_get(r, &want));
    *left = want.left;
    return read_int(r, "SELECT count(*) FROM fb_stage WHERE reset=?1", STAGED_CHUNK, &found, here);
}

/* The rows of its pack, by entity: with the first chunk, so that they are counted once. */
static void counts_put(const missing *m, buf *out)
{
    for (uint32_t i = 0; m->want.chunk == 0 && i < m->manifest->counts_count; i++) {
        buf_put_text(out, m->manifest->counts[i].entity);
        buf_printf(out, " %u\n", m->manifest->counts[i].rows);
    }
}

static fb_code staged_write(replica *r, int kind, fb_text counts, fb_text body)
{
    sql_stmt *s = sql_prepare(
        r->db, "INSERT INTO fb_stage (applied, reset, rows, counts, body) SELECT applied, ?1, 0,"
               " ?2, ?3 FROM fb_stage WHERE reset=1");
    sql_bind_int(s, 1, kind);
    sql_bind_text(s, 2, counts);
    sql_bind_blob(s, 3, body.data, body.size);
    return sql_run(s);
}

static fb_code chunk_write(replica *r, const missing *m, fb_text frame)
{
    buf counts;
    buf_init(&counts, (size_t)1 << 20);
    counts_put(m, &counts);
    fb_text text = counts.size > 0 ? buf_text(&counts) : text_of("");
    fb_code rc = counts.code == FB_OK ? staged_write(r, STAGED_CHUNK, text, frame) : counts.code;
    buf_clear(&counts);
    return rc;
}

/* The pieces that are here, in their order. */
static fb_code pieces_read(replica *r, buf *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT body FROM fb_stage WHERE reset=?1 ORDER BY n");
    sql_bind_int(s, 1, STAGED_PIECE);
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        buf_put_text(out, sql_blob(s, 0));
        rc = sql_step(s, &row);
    }
    sql_reset(s);
    return rc == FB_OK ? out->code : rc;
}

/* PAK-1. */
static bool chunk_fits(const missing *m, fb_text frame)
{
    const pack_chunk *c = &m->manifest->chunks[m->want.chunk];
    digest made;
    if (frame.size != c->size_bytes) {
        return false;
    }
    digest_of(frame.data, frame.size, &made);
    return memcmp(made.b, c->hash.b, sizeof made.b) == 0;
}

static fb_code chunk_take(replica *r, const missing *m, fb_text frame, pack_taken *out)
{
    if (!chunk_fits(m, frame)) {
        out->refused = true;
        return pack_failed(r);
    }
    FB_TRY(chunk_write(r, m, frame));
    out->rows = m->want.chunk == 0 ? (uint32_t)m->manifest->rows : 0;
    out->left = m->want.left - 1;
    return out->left == 0 ? meta_drop(r, "packs") : FB_OK;
}

/* The pieces and the last of them are the chunk. */
static fb_code pieces_take(replica *r, const missing *m, fb_text last, pack_taken *out)
{
    buf frame;
    buf_init(&frame, PACK_CHUNK_BYTES_MAX);
    fb_code rc = pieces_read(r, &frame);
    if (rc == FB_OK) {
        buf_put_text(&frame, last);
        rc = frame.code;
    }
    if (rc == FB_OK) {
        rc = run_int(r, "DELETE FROM fb_stage WHERE reset=?1", STAGED_PIECE);
    }
    if (rc == FB_OK) {
        rc = chunk_take(r, m, buf_text(&frame), out);
    }
    buf_clear(&frame);
    return rc;
}

static fb_code chunk_inside(replica *r, const pack_want *want, fb_text bytes, pack_taken *out)
{
    missing m;
    FB_TRY(replica_refresh(r));
    FB_TRY(missing_find(r, &m));
    bool same = m.want.any && m.want.chunk == want->chunk && m.want.offset == want->offset &&
                memcmp(m.want.name.b, want->name.b, sizeof want->name.b) == 0;
    if (!same) {
        return FB_OK; /* another connection was faster, or began anew */
    }
    if (bytes.size != want->bytes || want->bytes > m.want.bytes) {
        out->refused = true;
        return pack_failed(r);
    }
    out->part = bytes.size < m.want.bytes;
    if (out->part) {
        out->left = m.want.left;
        return staged_write(r, STAGED_PIECE, text_of(""), bytes);
    }
    return want->offset > 0 ? pieces_take(r, &m, bytes, out) : chunk_take(r, &m, bytes, out);
}

/* Like a page it can be asked for again: the transaction waits for no disk. */
static fb_code in_transaction(replica *r, const pack_want *want, const fb_text *bytes,
                              pack_taken *out)
{
    FB_TRY(sql_begin(r->db));
    fb_code rc = bytes != NULL ? chunk_inside(r, want, *bytes, out) : pack_failed(r);
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    return sql_commit(r->db);
}

static fb_code relaxed(replica *r, const pack_want *want, const fb_text *bytes, pack_taken *out,
                       fb_error *err)
{
    pack_taken taken = {.left = 0};
    FB_TRY(sync_relax(r));
    fb_code rc = in_transaction(r, want, bytes, &taken);
    if (rc != FB_OK) {
        (void)sql_fail(r, rc, err);
    }
    fb_code back = sync_restore(r);
    rc = rc == FB_OK ? back : rc;
    if (rc == FB_OK) {
        *out = taken;
    }
    return rc;
}

fb_code pack_chunk_take(replica *r, const pack_want *want, fb_text bytes, pack_taken *out,
                        fb_error *err)
{
    FB_REQUIRE(r != NULL && want != NULL && want->any && out != NULL && !r->capture.open);
    return relaxed(r, want, &bytes, out, err);
}

fb_code pack_give_up(replica *r, fb_error *err)
{
    pack_taken none;
    FB_REQUIRE(r != NULL && !r->capture.open);
    return relaxed(r, NULL, NULL, &none, err);
}
