/* feed_class.c - the writer's side of the digest (protocol.md section 6.5): what each class of rows
 * sums up to. A class is an exact set of scopes; a row is in one class.
 *
 * What a transaction changes is kept in memory and written when the store says so (before a commit
 * and before a savepoint): one write for a class and batch, not one for a row. What an undo takes
 * back was in memory or is in the database, never in both.
 *
 *   CLS-1  the sums of a class are those of the rows whose entries say exactly its scopes
 *   CLS-2  a database from before there were digests is counted once, by its first writer */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sync-server/feed/feed_inside.h"

enum { SLOTS_FIRST = 64, PENDING_MAX = 1024, SCOPES_BYTES_MAX = 32 << 10 };

/* ---- classes in memory ---- */

static uint32_t hash_of(const int64_t *scopes, uint32_t count)
{
    uint64_t h = count;
    for (uint32_t i = 0; i < count; i++) {
        h = (h ^ (uint64_t)scopes[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return (uint32_t)(h >> 16);
}

static uint32_t slot_of(const class_map *m, const scope_list *scopes)
{
    uint32_t mask = m->slots_count - 1;
    uint32_t i = hash_of(scopes->scopes, scopes->count) & mask;
    while (m->slots[i] != 0 && !scope_list_equal(&m->list[m->slots[i] - 1]->scopes, scopes)) {
        i = (i + 1) & mask;
    }
    return i;
}

static fb_code map_grow(class_map *m)
{
    if (m->slots_count > 0 && m->count < m->slots_count / 2) {
        return FB_OK;
    }
    uint32_t slots_count = m->slots_count > 0 ? m->slots_count * 2 : SLOTS_FIRST;
    struct class_sums **list = realloc(m->list, slots_count / 2 * sizeof(struct class_sums *));
    m->list = list != NULL ? list : m->list;
    uint32_t *slots = calloc(slots_count, sizeof *slots);
    if (list == NULL || slots == NULL) {
        free(slots);
        return FB_E_NO_MEMORY;
    }
    free(m->slots);
    m->slots = slots;
    m->slots_count = slots_count;
    for (uint32_t i = 0; i < m->count; i++) {
        m->slots[slot_of(m, &m->list[i]->scopes)] = i + 1;
    }
    return FB_OK;
}

fb_code class_map_sums(class_map *m, const scope_list *scopes, row_sums **out)
{
    if (m->last != NULL && scope_list_equal(&m->last->scopes, scopes)) {
        *out = &m->last->sums;
        return FB_OK;
    }
    FB_TRY(map_grow(m));
    uint32_t slot = slot_of(m, scopes);
    if (m->slots[slot] == 0) {
        struct class_sums *c = calloc(1, sizeof *c + scopes->count * sizeof(int64_t));
        if (c == NULL) {
            return FB_E_NO_MEMORY;
        }
        c->scopes = (scope_list){.scopes = c->numbers, .count = scopes->count};
        memcpy(c->numbers, scopes->scopes, scopes->count * sizeof(int64_t));
        m->list[m->count++] = c;
        m->slots[slot] = m->count;
    }
    m->last = m->list[m->slots[slot] - 1];
    *out = &m->last->sums;
    return FB_OK;
}

void class_map_clear(class_map *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        free(m->list[i]);
    }
    free(m->list);
    free(m->slots);
    *m = (class_map){.count = 0};
}

/* ---- classes in the table ---- */

fb_code class_sums_get(store_stmt *q, int column, row_sums *out)
{
    fb_text blob = store_blob(q, column);
    if (blob.size != (size_t)ROW_BUCKETS * 8) {
        return FB_E_CORRUPT;
    }
    for (size_t b = 0; b < ROW_BUCKETS; b++) {
        uint64_t v = 0;
        for (size_t i = 0; i < 8; i++) {
            v = v << 8 | (uint8_t)blob.data[8 * b + i];
        }
        out->bucket[b] = v;
    }
    return FB_OK;
}

static void bind_sums(store_stmt *q, int first, const row_sums *s, uint8_t *room)
{
    for (size_t b = 0; b < ROW_BUCKETS; b++) {
        for (size_t i = 0; i < 8; i++) {
            room[8 * b + i] = (uint8_t)(s->bucket[b] >> (56 - 8 * i));
        }
    }
    store_bind_int(q, first, s->rows);
    store_bind_int(q, first + 1, (int64_t)row_totals_of(s).sum);
    store_bind_blob(q, first + 2, room, (size_t)ROW_BUCKETS * 8);
}

static fb_code class_write(store *s, fb_text scopes, const row_sums *more, int64_t cid)
{
    uint8_t room[ROW_BUCKETS * 8];
    row_sums sums = {.rows = 0};
    bool row = false;
    int64_t number = 0;
    store_stmt *q = store_prepare(s, STORE_feed_class_get);
    store_bind_text(q, 1, scopes);
    FB_TRY(store_step(q, &row));
    if (row) {
        number = store_int(q, 0);
        sums.rows = store_int(q, 1);
        fb_code rc = class_sums_get(q, 2, &sums);
        store_reset(q);
        FB_TRY(rc);
    }
    row_sums_join(&sums, more);
    q = store_prepare(s, row ? STORE_feed_class_put : STORE_feed_class_add);
    if (row) {
        store_bind_int(q, 1, number);
    } else {
        store_bind_text(q, 1, scopes);
    }
    store_bind_int(q, 2, cid);
    bind_sums(q, 3, &sums, room);
    return store_run(q);
}

static fb_code map_write(store *s, const class_map *m)
{
    static const row_sums nothing;
    int64_t cid = 0;
    buf text;
    FB_TRY(store_one(store_prepare(s, STORE_ledger_head), &cid));
    buf_init(&text, SCOPES_BYTES_MAX);
    fb_code rc = FB_OK;
    for (uint32_t i = 0; rc == FB_OK && i < m->count; i++) {
        if (!row_sums_equal(&m->list[i]->sums, &nothing)) {
            buf_reset(&text);
            scope_list_write(&text, &m->list[i]->scopes);
            rc = text.code == FB_OK ? class_write(s, buf_text(&text), &m->list[i]->sums, cid)
                                    : text.code;
        }
    }
    buf_clear(&text);
    return rc;
}

static fb_code pending_write(store *s)
{
    feed_state *f = store_room_get(s, STORE_ROOM_FEED);
    fb_code rc = FB_OK;
    if (f->pending.count == 0) {
        return FB_OK;
    }
    if (f->pending_undos == store_undos(s)) {
        rc = map_write(s, &f->pending);
    }
    class_map_clear(&f->pending);
    return rc;
}

/* ---- counting anew ---- */

typedef struct counting {
    store *store;
    class_map *map;
    arena *memory;
    int64_t entity;
    fb_id id;
    int64_t ver; /* 0: no entry of the row said it yet */
    scope_builder scopes;
} counting;

static fb_code count_row(counting *c)
{
    row_sums *sums = NULL;
    if (c->scopes.count == 0) {
        return FB_OK;
    }
    const cat_entity *e = store_entity_by_number(c->store, c->entity);
    if (e == NULL) {
        return FB_E_CORRUPT;
    }
    if (c->ver == 0) { /* it came into all its scopes by moving */
        FB_TRY(store_row_ver(c->store, e, &c->id, &c->ver));
    }
    FB_TRY(class_map_sums(
        c->map, &(scope_list){.scopes = c->scopes.scopes, .count = c->scopes.count}, &sums));
    row_sums_add(sums, e->name, &c->id, c->ver);
    return FB_OK;
}

static fb_code count_entry(counting *c, store_stmt *q)
{
    fb_id id = store_id(q, 1);
    if (c->scopes.count == 0 || c->entity != store_int(q, 0) || !id_equal(&c->id, &id)) {
        FB_TRY(count_row(c));
        arena_reset(c->memory);
        c->scopes = (scope_builder){.memory = c->memory};
        c->entity = store_int(q, 0);
        c->id = id;
        c->ver = 0;
    }
    if (store_int(q, 4) == FEED_ROW) {
        c->ver = store_int(q, 3);
    }
    return scope_builder_add(&c->scopes, store_int(q, 2));
}

fb_code class_map_count(store *s, class_map *out)
{
    bool row = true;
    counting c = {.store = s, .map = out, .memory = arena_new(SCOPES_BYTES_MAX * 4)};
    store_stmt *q = store_prepare(s, STORE_feed_entries_all);
    fb_code rc = c.memory != NULL ? store_step(q, &row) : FB_E_NO_MEMORY;
    while (rc == FB_OK && row) {
        rc = count_entry(&c, q);
        if (rc == FB_OK) {
            rc = store_step(q, &row);
        }
    }
    store_reset(q);
    if (rc == FB_OK) {
        rc = count_row(&c);
    }
    arena_free(c.memory);
    return rc;
}

fb_code feed_digest_built(store *s, bool *out)
{
    int64_t built = 0;
    feed_state *f = NULL;
    FB_TRY(feed_state_get(s, &f));
    if (f->digest_built && f->digest_undos == store_undos(s)) {
        *out = true;
        return FB_OK;
    }
    FB_TRY(store_meta_int(s, "digest_built", 0, &built));
    f->digest_built = *out = built != 0;
    f->digest_undos = store_undos(s);
    return FB_OK;
}

static fb_code build(store *s)
{
    class_map map = {.count = 0};
    FB_TRY(store_run(store_prepare(s, STORE_feed_classes_clear)));
    fb_code rc = class_map_count(s, &map);
    if (rc == FB_OK) {
        rc = map_write(s, &map);
    }
    class_map_clear(&map);
    return rc == FB_OK ? store_meta_int_set(s, "digest_built", 1) : rc;
}

/* ---- the ledger's side ---- */

fb_code feed_class_begin(store *s)
{
    bool built = false;
    feed_state *f = NULL;
    FB_TRY(feed_digest_built(s, &built));
    if (!built) {
        FB_TRY(build(s)); /* CLS-2 */
    }
    FB_TRY(feed_state_get(s, &f));
    if (f->pending_undos != store_undos(s)) {
        class_map_clear(&f->pending);
        f->pending_undos = store_undos(s);
    }
    if (f->pending.count >= PENDING_MAX) {
        FB_TRY(pending_write(s));
    }
    store_room_flush(s, STORE_ROOM_FEED, pending_write);
    return FB_OK;
}

fb_code feed_class_sums(store *s, const scope_list *scopes, row_sums **out)
{
    feed_state *f = store_room_get(s, STORE_ROOM_FEED);
    FB_ASSERT(f != NULL && f->pending_undos == store_undos(s));
    return class_map_sums(&f->pending, scopes, out);
}
