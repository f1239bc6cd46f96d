/* feed_entry.c - the ledger's side of the feed: entries move with their rows.
 *
 *        before has scope   now has scope   afterwards, row changed   row only moved
 *             yes               yes         ROW at pos                as before
 *             no                yes         ROW at pos                CAME at pos
 *             yes               no          LEAVE (or DELETE) at pos  LEAVE at pos, since where it
 * was
 *
 * A change of nothing but what names the scopes: ROW and LEAVE say since where the entry was; ROW
 * in a scope that is new to the row: SINCE_ELSEWHERE. So a page knows that whoever had the row
 * before lacks only that (FED-5).
 *
 * An older LEAVE of the row in a scope it enters is removed. A row that only moves keeps its
 * version, so it costs nothing where it stays and one small entry where it comes or goes. A missing
 * old entry is no failure: the row was without a parent then (SCO-2). */
#include <stdlib.h>

#include "base/check.h"
#include "base/decimal.h"
#include "sync-server/feed/feed_inside.h"

enum {
    CHUNK_ROWS = 8, /* of the statement feed_entry_insert_8 */
    SINCE_ELSEWHERE = -1
};

typedef struct entry_move {
    store *store;
    const cat_entity *e;
    int64_t entity;
    const fb_id *id;
    int64_t old_pos, pos;
} entry_move;

static fb_code entry_put(const entry_move *m, int64_t scope, feed_kind kind, int64_t since)
{
    store_stmt *q = store_prepare(m->store, STORE_feed_entry_insert);
    store_bind_int(q, 1, scope);
    store_bind_int(q, 2, m->pos);
    store_bind_int(q, 3, m->entity);
    store_bind_id(q, 4, m->id);
    store_bind_int(q, 5, kind);
    store_bind_int(q, 6, since);
    return store_run(q);
}

/* What lies beside the row's own entry: a tombstone, or CAME. */
static fb_code tombstone_take_away(const entry_move *m, int64_t scope)
{
    store_stmt *q = store_prepare(m->store, STORE_feed_gone_delete);
    store_bind_int(q, 1, m->entity);
    store_bind_id(q, 2, m->id);
    store_bind_int(q, 3, scope);
    return store_run(q);
}

fb_code feed_entry_at(store *s, int64_t scope, const cat_entity *e, const fb_id *id, int64_t ver,
                      int64_t *pos_out)
{
    store_stmt *q = store_prepare(s, STORE_feed_entry_at);
    store_bind_int(q, 1, scope);
    store_bind_int(q, 2, ver);
    store_bind_int(q, 3, store_entity_number(s, e));
    store_bind_id(q, 4, id);
    return store_one(q, pos_out);
}

/* *pos_out: where the entry stood; 0: it was missing. */
static fb_code entry_take_away(const entry_move *m, int64_t scope, int64_t *pos_out)
{
    store_stmt *q = store_prepare(m->store, STORE_feed_entry_delete);
    store_bind_int(q, 1, scope);
    store_bind_int(q, 2, m->old_pos);
    FB_TRY(store_run(q));
    *pos_out = m->old_pos;
    if (store_changes(m->store) > 0) {
        return FB_OK;
    }
    FB_TRY(feed_entry_at(m->store, scope, m->e, m->id, m->old_pos, pos_out));
    return tombstone_take_away(m, scope);
}

/* ---- what changes in the digest ---- */

static fb_code count_in(const entry_move *m, const scope_list *scopes, int64_t ver)
{
    row_sums *sums = NULL;
    if (scopes->count == 0) {
        return FB_OK;
    }
    FB_TRY(feed_class_sums(m->store, scopes, &sums));
    row_sums_add(sums, m->e->name, m->id, ver);
    return FB_OK;
}

static fb_code count_out(const entry_move *m, const scope_list *scopes)
{
    row_sums *sums = NULL;
    if (scopes->count == 0) {
        return FB_OK;
    }
    FB_TRY(feed_class_sums(m->store, scopes, &sums));
    row_sums_take(sums, m->e->name, m->id, m->old_pos);
    return FB_OK;
}

/* ---- moving ---- */

fb_code feed_row_is_in(store *s, const cat_entity *e, const fb_id *id, int64_t ver,
                       const scope_list *scopes, bool *out)
{
    int64_t pos = 0;
    for (uint32_t i = 0; pos == 0 && i < scopes->count; i++) {
        FB_TRY(feed_entry_at(s, scopes->scopes[i], e, id, ver, &pos));
    }
    *out = pos != 0;
    return FB_OK;
}

/* Scopes that truly had an entry, and where it stood. */
typedef struct places {
    scope_list scopes;
    int64_t *at;
} places;

static fb_code places_init(places *p, uint32_t room)
{
    *p = (places){.at = malloc((room + 1) * sizeof *p->at)};
    p->scopes.scopes = malloc((room + 1) * sizeof *p->scopes.scopes);
    return p->at != NULL && p->scopes.scopes != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static void places_clear(places *p)
{
    free(p->at);
    free(p->scopes.scopes);
}

static int64_t since_of(const places *p, int64_t scope)
{
    for (uint32_t i = 0; i < p->scopes.count; i++) {
        if (p->scopes.scopes[i] == scope) {
            return p->at[i];
        }
    }
    return SINCE_ELSEWHERE;
}

static fb_code leave_scopes(const entry_move *m, const scope_list *before, const scope_list *now,
                            feed_change how, places *found)
{
    for (uint32_t i = 0; i < before->count; i++) {
        int64_t pos = 0;
        FB_TRY(entry_take_away(m, before->scopes[i], &pos));
        if (pos > 0) {
            found->at[found->scopes.count] = pos;
            found->scopes.scopes[found->scopes.count++] = before->scopes[i];
        }
        if (!scope_list_has(now, before->scopes[i])) {
            FB_TRY(entry_put(m, before->scopes[i], how == FEED_DELETED ? FEED_DELETE : FEED_LEAVE,
                             how == FEED_MOVED ? pos : 0));
        }
    }
    return count_out(m, &found->scopes);
}

static fb_code enter_scopes(const entry_move *m, const scope_list *before, const scope_list *now,
                            feed_change how, const places *found)
{
    for (uint32_t i = 0; i < now->count; i++) {
        if (m->old_pos > 0 && !scope_list_has(before, now->scopes[i])) {
            FB_TRY(tombstone_take_away(m, now->scopes[i]));
        }
        FB_TRY(entry_put(m, now->scopes[i], FEED_ROW,
                         how == FEED_MOVED ? since_of(found, now->scopes[i]) : 0));
    }
    return count_in(m, now, m->pos);
}

fb_code feed_entry_move(store *s, const cat_entity *e, const fb_id *id, int64_t old_pos,
                        int64_t pos, const scope_list *before, const scope_list *now,
                        feed_change how)
{
    const entry_move m = {.store = s,
                          .e = e,
                          .entity = store_entity_number(s, e),
                          .id = id,
                          .old_pos = old_pos,
                          .pos = pos};
    places found;
    FB_ASSERT(pos > old_pos && old_pos >= 0);
    FB_ASSERT(how != FEED_DELETED || now->count == 0);
    fb_code rc = places_init(&found, before->count);
    rc = rc == FB_OK ? feed_class_begin(s) : rc;
    if (rc == FB_OK && old_pos > 0) {
        rc = leave_scopes(&m, before, now, how, &found);
    }
    if (rc == FB_OK) {
        rc = enter_scopes(&m, before, now, how, &found);
    }
    places_clear(&found);
    return rc;
}

/* A row that stays whole: the scopes that truly have an entry of it, those of them that it leaves.
 */
static fb_code follow_out(const entry_move *m, const scope_list *before, const scope_list *now,
                          scope_list *found)
{
    for (uint32_t i = 0; i < before->count; i++) {
        int64_t scope = before->scopes[i];
        int64_t pos = 0;
        if (scope_list_has(now, scope)) {
            FB_TRY(feed_entry_at(m->store, scope, m->e, m->id, m->old_pos, &pos));
        } else {
            FB_TRY(entry_take_away(m, scope, &pos));
            FB_TRY(entry_put(m, scope, FEED_LEAVE, pos));
        }
        if (pos > 0) {
            found->scopes[found->count++] = scope;
        }
    }
    return count_out(m, found);
}

static fb_code follow_in(const entry_move *m, const scope_list *found, const scope_list *now)
{
    for (uint32_t i = 0; i < now->count; i++) {
        if (!scope_list_has(found, now->scopes[i])) {
            FB_TRY(tombstone_take_away(m, now->scopes[i]));
            FB_TRY(entry_put(m, now->scopes[i], FEED_CAME, 0));
        }
    }
    return count_in(m, now, m->old_pos);
}

fb_code feed_entry_follow(store *s, const cat_entity *e, const fb_id *id, int64_t ver, int64_t pos,
                          const scope_list *before, const scope_list *now)
{
    const entry_move m = {.store = s,
                          .e = e,
                          .entity = store_entity_number(s, e),
                          .id = id,
                          .old_pos = ver,
                          .pos = pos};
    scope_list found = {.scopes = malloc((before->count + 1) * sizeof *found.scopes)};
    FB_ASSERT(pos > ver && ver > 0);
    fb_code rc = found.scopes != NULL ? feed_class_begin(s) : FB_E_NO_MEMORY;
    if (rc == FB_OK) {
        rc = follow_out(&m, before, now, &found);
    }
    if (rc == FB_OK) {
        rc = follow_in(&m, &found, now);
    }
    free(found.scopes);
    return rc;
}

/* Eight entries of one scope by one statement: they lie side by side in the table. */
static fb_code put_chunk(store *s, int64_t scope, const feed_new *rows)
{
    store_stmt *q = store_prepare(s, STORE_feed_entry_insert_8);
    store_bind_int(q, 1, scope);
    for (int i = 0; i < CHUNK_ROWS; i++) {
        store_bind_int(q, 2 + 3 * i, rows[i].pos);
        store_bind_int(q, 3 + 3 * i, store_entity_number(s, rows[i].entity));
        store_bind_id(q, 4 + 3 * i, &rows[i].id);
    }
    return store_run(q);
}

static fb_code put_run(store *s, int64_t scope, const feed_new *rows, uint32_t count)
{
    uint32_t i = 0;
    for (; count - i >= CHUNK_ROWS; i += CHUNK_ROWS) {
        FB_TRY(put_chunk(s, scope, rows + i));
    }
    for (; i < count; i++) {
        const entry_move m = {.store = s,
                              .e = rows[i].entity,
                              .entity = store_entity_number(s, rows[i].entity),
                              .id = &rows[i].id,
                              .pos = rows[i].pos};
        FB_TRY(entry_put(&m, scope, FEED_ROW, 0));
    }
    return FB_OK;
}

/* Rows of one class. */
static fb_code count_run(store *s, const feed_new *rows, uint32_t count)
{
    row_sums *sums = NULL;
    if (rows[0].scopes.count == 0) {
        return FB_OK;
    }
    FB_TRY(feed_class_sums(s, &rows[0].scopes, &sums));
    for (uint32_t i = 0; i < count; i++) {
        row_sums_add(sums, rows[i].entity->name, &rows[i].id, rows[i].pos);
    }
    return FB_OK;
}

fb_code feed_entries_add(store *s, const feed_new *rows, uint32_t count)
{
    FB_TRY(feed_class_begin(s));
    for (uint32_t start = 0, end = 0; start < count; start = end) {
        const scope_list *scopes = &rows[start].scopes;
        for (end = start + 1; end < count && scope_list_equal(scopes, &rows[end].scopes); end++) {
            FB_ASSERT(rows[end].pos > rows[end - 1].pos);
        }
        for (uint32_t i = 0; i < scopes->count; i++) {
            FB_TRY(put_run(s, scopes->scopes[i], rows + start, end - start));
        }
        FB_TRY(count_run(s, rows + start, end - start));
    }
    return FB_OK;
}

fb_code feed_horizon_set(store *s, int64_t pos)
{
    int64_t now = 0;
    FB_TRY(store_meta_int(s, "horizon", 0, &now));
    if (pos <= now) {
        return FB_OK;
    }
    store_stmt *q = store_prepare(s, STORE_feed_gone_prune);
    store_bind_int(q, 1, pos);
    FB_TRY(store_run(q));
    return store_meta_int_set(s, "horizon", pos);
}

/* The first commit from `from` on that is not older than `since_ms`; behind the head: all are. */
static fb_code commit_since(store *s, int64_t from, int64_t since_ms, int64_t head, int64_t *out)
{
    store_stmt *q = store_prepare(s, STORE_feed_commit_since);
    bool row = false;
    store_bind_int(q, 1, from);
    store_bind_int(q, 2, since_ms);
    FB_TRY(store_step(q, &row));
    *out = row ? store_int(q, 0) : head + 1;
    store_reset(q);
    return FB_OK;
}

fb_code feed_horizon_age(store *s, int64_t now_ms, int64_t age_ms, bool *moved_out)
{
    int64_t horizon = 0, head = 0, head_ms = 0, young = 0;
    *moved_out = false;
    FB_TRY(store_meta_int(s, "horizon", 0, &horizon));
    FB_TRY(store_one(store_prepare(s, STORE_ledger_head), &head));
    store_stmt *q = store_prepare(s, STORE_feed_commit_time);
    store_bind_int(q, 1, head);
    FB_TRY(store_one(q, &head_ms));
    int64_t since_ms = (now_ms < head_ms ? now_ms : head_ms) - age_ms;
    const int64_t from = (horizon >> COMMIT_BITS) + 1;
    FB_TRY(commit_since(s, from, since_ms, head, &young));
    *moved_out = young > from;
    /* Behind the last old commit, not before the first young one: who has all of it lacks nothing.
     */
    return *moved_out ? feed_horizon_set(s, (young << COMMIT_BITS) - 1) : FB_OK;
}
