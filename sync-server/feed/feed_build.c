/* feed_build.c - makes packs in the background, one bounded step at a time. See feed.h.
 *
 *   walk over all scopes: too small, or its pack is good --> the next scope
 *                         no pack, or an old one         --> begin: one snapshot
 *   step: rows of that snapshot until a chunk is full    --> chunk into the store
 *         the scope ends                                 --> manifest, signature: the pack is there
 *   all scopes seen --> rest
 *
 * A pack's rows stand by entity and id, so that neighbours are alike (they pack well) and a device
 * writes its tables from front to back. Memory: one chunk, and the list of chunks. */
#include <stdlib.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/feed/feed_inside.h"
#include "wire/pack.h"
#include "wire/pack_msg.h"

enum {
    ROWS_MIN = 2000,
    CHUNK_BYTES = 1 << 20,
    REST_MS = 60000,
    AGE_MS = 600000,
    SCOPES_A_STEP = 64,
    STALE_PART = 10, /* renewed when a tenth of it came after it */
    BUILD_BYTES_MAX = 64 << 20
};

struct pack_builder {
    store *view;
    pack_source packs;
    pack_limits limits;
    arena *memory; /* of one pack */
    buf raw, frame;
    int64_t scope;    /* walked up to here; being packed while `rows` */
    store_stmt *rows; /* NULL: no pack is being made */
    uint64_t rest_until_ms;
    int64_t no, wall_ms;
    pack_manifest made; /* chunks and counts grow */
    uint32_t chunks_room;
    const cat_entity *entity; /* whose block is open in `raw` */
    int64_t bytes;
    int all_columns[CATALOG_COLUMNS_LIMIT];
};

static uint32_t or_default(uint32_t value, uint32_t normal)
{
    return value == 0 ? normal : value;
}

pack_builder *pack_builder_new(store *view, const pack_source *packs, const pack_limits *limits)
{
    pack_builder *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    b->view = view;
    b->packs = *packs;
    b->limits = (pack_limits){.rows_min = or_default(limits->rows_min, ROWS_MIN),
                              .chunk_bytes = or_default(limits->chunk_bytes, CHUNK_BYTES),
                              .rest_ms = or_default(limits->rest_ms, REST_MS),
                              .age_ms = or_default(limits->age_ms, AGE_MS)};
    b->memory = arena_new(BUILD_BYTES_MAX);
    buf_init(&b->raw, PACK_CHUNK_RAW_BYTES_MAX);
    buf_init(&b->frame, PACK_CHUNK_BYTES_MAX);
    for (int i = 0; i < CATALOG_COLUMNS_LIMIT; i++) {
        b->all_columns[i] = i;
    }
    if (b->memory == NULL) {
        pack_builder_free(b);
        return NULL;
    }
    return b;
}

/* The pack in work is left: what of it is in the store, the next begin forgets. */
static void leave(pack_builder *b)
{
    if (b->rows != NULL) {
        store_reset(b->rows);
        b->rows = NULL;
        store_snapshot_end(b->view);
    }
    buf_clear(&b->raw);
    buf_clear(&b->frame);
    arena_reset(b->memory);
}

void pack_builder_free(pack_builder *b)
{
    if (b != NULL) {
        if (b->memory != NULL) {
            leave(b);
        }
        arena_free(b->memory);
        free(b);
    }
}

/* ---- which scope ---- */

static fb_code has_more(pack_builder *b, int64_t after, int64_t than, bool *out)
{
    store_stmt *q = store_prepare(b->view, STORE_feed_has_more);
    store_bind_int(q, 1, b->scope);
    store_bind_int(q, 2, after);
    store_bind_int(q, 3, than);
    FB_TRY(store_step(q, out));
    store_reset(q);
    return FB_OK;
}

static fb_code head_pos(pack_builder *b, int64_t *out)
{
    int64_t head = 0;
    FB_TRY(store_one(store_prepare(b->view, STORE_ledger_head), &head));
    *out = head << COMMIT_BITS | POS_IN_COMMIT_MAX;
    return FB_OK;
}

/* Does this scope need a pack now? */
static fb_code is_due(pack_builder *b, int64_t wall_ms, bool *out)
{
    pack_info info;
    bool good = false, stale = false;
    int64_t head = 0;
    FB_TRY(has_more(b, 0, (int64_t)b->limits.rows_min - 1, out));
    if (!*out) {
        return FB_OK;
    }
    fb_code rc = pack_store_newest(b->packs.store, b->scope, b->memory, &info);
    arena_reset(b->memory);
    if (rc == FB_E_NOT_FOUND || rc == FB_E_CORRUPT) {
        return FB_OK;
    }
    FB_TRY(rc);
    bool same = id_equal(&info.epoch, &b->packs.epoch) &&
                info.catalog_version == store_catalog(b->view)->version;
    bool young = wall_ms >= info.made_ms && wall_ms - info.made_ms < b->limits.age_ms;
    if (same && young) {
        *out = false;
        return FB_OK;
    }
    FB_TRY(head_pos(b, &head));
    FB_TRY(feed_pack_is_good(b->view, &info, &b->packs.epoch, head, &good));
    FB_TRY(has_more(b, info.position, info.rows / STALE_PART, &stale));
    *out = !good || stale;
    return FB_OK;
}

/* *found_out false: all have been seen. */
static fb_code next_scope(pack_builder *b, bool *found_out)
{
    store_stmt *q = store_prepare(b->view, STORE_feed_scope_next);
    store_bind_int(q, 1, b->scope);
    FB_TRY(store_step(q, found_out));
    b->scope = *found_out ? store_int(q, 0) : 0;
    store_reset(q);
    return FB_OK;
}

/* ---- one pack ---- */

static fb_code begin(pack_builder *b, int64_t wall_ms)
{
    b->made = (pack_manifest){.version = PACK_VERSION,
                              .epoch = b->packs.epoch,
                              .scope = b->scope,
                              .catalog_version = store_catalog(b->view)->version};
    b->chunks_room = 0;
    b->bytes = 0;
    b->wall_ms = wall_ms;
    b->entity = NULL;
    b->made.counts =
        arena_take(b->memory, store_catalog(b->view)->entities_count * sizeof *b->made.counts);
    if (b->made.counts == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(head_pos(b, &b->made.position));
    FB_TRY(pack_store_begin(b->packs.store, b->scope, &b->no));
    b->rows = store_prepare(b->view, STORE_feed_rows_sorted);
    store_bind_int(b->rows, 1, b->scope);
    return FB_OK;
}

static fb_code chunk_add(pack_builder *b, const pack_chunk *chunk)
{
    pack_manifest *m = &b->made;
    if (m->chunks_count == PACK_CHUNKS_MAX) {
        return FB_E_LIMIT;
    }
    if (m->chunks_count == b->chunks_room) {
        uint32_t room = b->chunks_room == 0 ? 16 : 2 * b->chunks_room;
        pack_chunk *grown = arena_take(b->memory, room * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        for (uint32_t i = 0; i < m->chunks_count; i++) {
            grown[i] = m->chunks[i];
        }
        m->chunks = grown;
        b->chunks_room = room;
    }
    m->chunks[m->chunks_count++] = *chunk;
    return FB_OK;
}

static fb_code chunk_end(pack_builder *b)
{
    pack_chunk chunk = {.raw_bytes = (uint32_t)b->raw.size};
    buf_reset(&b->frame);
    FB_TRY(pack_put_small(&b->frame, buf_text(&b->raw)));
    chunk.size_bytes = (uint32_t)b->frame.size;
    digest_of(b->frame.data, b->frame.size, &chunk.hash);
    FB_TRY(pack_store_chunk_put(b->packs.store, b->no, b->made.chunks_count, &chunk.hash,
                                buf_text(&b->frame)));
    FB_TRY(chunk_add(b, &chunk));
    b->bytes += chunk.size_bytes;
    buf_reset(&b->raw);
    b->entity = NULL; /* every chunk can be read alone */
    return FB_OK;
}

static void count_row(pack_builder *b, const cat_entity *e)
{
    pack_manifest *m = &b->made;
    if (m->counts_count == 0 || !text_equal(m->counts[m->counts_count - 1].entity, e->name)) {
        FB_ASSERT(m->counts_count < store_catalog(b->view)->entities_count);
        m->counts[m->counts_count++] = (pack_count){.entity = e->name};
    }
    m->counts[m->counts_count - 1].rows++;
    m->rows++;
}

static fb_code row_add(pack_builder *b)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    const cat_entity *e = store_entity_by_number(b->view, store_int(b->rows, 0));
    const fb_id id = store_id(b->rows, 1);
    if (e == NULL) {
        return FB_E_BUSY; /* a newer catalogue: again later */
    }
    fb_code rc = store_row_view(b->view, e, &id, values);
    FB_TRY(rc == FB_E_NOT_FOUND ? FB_E_CORRUPT : rc); /* STO-2 */
    if (e != b->entity) {
        block_head_put(&b->raw, e, BLOCK_ROW, b->all_columns, e->columns_count);
        b->entity = e;
    }
    row_put(&b->raw, e, b->all_columns, e->columns_count, values);
    count_row(b, e);
    return b->raw.code;
}

static fb_code finish(pack_builder *b)
{
    pack_info info = {.no = b->no,
                      .scope = b->made.scope,
                      .position = b->made.position,
                      .rows = b->made.rows,
                      .bytes = b->bytes,
                      .made_ms = b->wall_ms,
                      .catalog_version = b->made.catalog_version,
                      .chunks = b->made.chunks_count,
                      .epoch = b->made.epoch};
    buf_reset(&b->raw);
    pack_manifest_put(&b->raw, &b->made);
    FB_TRY(b->raw.code);
    info.manifest = buf_text(&b->raw);
    digest_of(info.manifest.data, info.manifest.size, &info.name);
    FB_TRY(sign_make(b->packs.key, info.manifest, &info.sig));
    return pack_store_finish(b->packs.store, &info);
}

/* Rows until a chunk is full; the end of the scope makes the pack. */
static fb_code work(pack_builder *b)
{
    bool row = true;
    while (row && b->raw.size < b->limits.chunk_bytes) {
        FB_TRY(store_step(b->rows, &row));
        if (row) {
            FB_TRY(row_add(b));
        }
    }
    if (b->raw.size > 0) {
        FB_TRY(chunk_end(b));
    }
    if (row) {
        return FB_OK;
    }
    fb_code rc = b->made.chunks_count > 0 ? finish(b) : FB_OK; /* it emptied meanwhile */
    leave(b);
    return rc;
}

/* Scopes until one is due, and begins. */
static fb_code walk(pack_builder *b, int64_t wall_ms, bool *found_out)
{
    fb_error err;
    bool due = false;
    *found_out = true;
    FB_TRY(store_catalog_refresh(b->view, &err));
    for (int i = 0; i < SCOPES_A_STEP && *found_out && !due; i++) {
        FB_TRY(next_scope(b, found_out));
        if (*found_out) {
            FB_TRY(is_due(b, wall_ms, &due));
        }
    }
    return due ? begin(b, wall_ms) : FB_OK;
}

fb_code pack_builder_step(pack_builder *b, uint64_t mono_ms, int64_t wall_ms, bool *more_out)
{
    bool found = true;
    fb_code rc = FB_OK;
    *more_out = false;
    if (b->rows != NULL) {
        rc = work(b);
    } else {
        if (mono_ms < b->rest_until_ms) {
            return FB_OK;
        }
        FB_TRY(store_snapshot(b->view));
        rc = walk(b, wall_ms, &found);
        if (b->rows == NULL) {
            store_snapshot_end(b->view);
        }
    }
    if (rc != FB_OK) {
        leave(b);
    }
    b->rest_until_ms = rc != FB_OK || !found ? mono_ms + b->limits.rest_ms : 0;
    *more_out = rc == FB_OK && found;
    return rc;
}
