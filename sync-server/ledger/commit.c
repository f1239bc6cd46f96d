/* commit.c - see ledger.h: one commit from decided changes.
 *
 *   most commits        insert rows that nothing depends on yet: rows, then their feed entries
 *   all others          moves.c: scopes before, rows, scopes after
 *   then both           fs_commit, audit, and a mark when the rows say who sees what
 *
 * What is remembered between commits (last cid, audit head, parents' scopes) is dropped when the
 * store's stamp moves, so an undone savepoint takes it back too. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/ledger/ledger_inside.h"

enum {
    COMMIT_BYTES_MAX = 1 << 30,
    PARENTS_BYTES_MAX = 256 << 20,
    PARENTS_COUNT_MAX = 20000,
    TEXT_BYTES_MAX = DETAIL_BYTES_MAX * 2
};

/* ---- state of the connection ---- */

static void state_free(void *state)
{
    ledger_state *l = state;
    arena_free(l->parents_memory);
    arena_free(l->memory);
    buf_clear(&l->text);
    free(l);
}

static ledger_state *state_new(void)
{
    ledger_state *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    buf_init(&l->text, TEXT_BYTES_MAX);
    l->memory = arena_new(COMMIT_BYTES_MAX);
    l->parents_memory = arena_new(PARENTS_BYTES_MAX);
    if (l->memory == NULL || l->parents_memory == NULL) {
        state_free(l);
        return NULL;
    }
    return l;
}

fb_code ledger_parents_forget(ledger_state *l)
{
    arena_reset(l->parents_memory);
    l->parents = scope_cache_new(l->parents_memory);
    return l->parents != NULL ? FB_OK : FB_E_NO_MEMORY;
}

fb_code ledger_head(store *s, int64_t *cid_out)
{
    return store_one(store_prepare(s, STORE_ledger_head), cid_out);
}

static fb_code read_audit_head(store *s, ledger_state *l)
{
    store_stmt *q = store_prepare(s, STORE_ledger_audit_last);
    bool row = false;
    FB_TRY(store_step(q, &row));
    l->audit_seq = 0;
    memset(&l->audit_hash, 0, sizeof l->audit_hash);
    if (!row) {
        return FB_OK;
    }
    fb_text hash = store_blob(q, 1);
    l->audit_seq = store_int(q, 0);
    bool whole = hash.size == sizeof l->audit_hash.b;
    if (whole) {
        memcpy(l->audit_hash.b, hash.data, sizeof l->audit_hash.b);
    }
    store_reset(q);
    return whole ? FB_OK : FB_E_CORRUPT;
}

static fb_code state_refresh(store *s, ledger_state *l)
{
    l->catalog = store_catalog(s);
    FB_ASSERT(l->catalog != NULL);
    l->incarnation_no = 0;
    l->due_ms = 0; /* unknown: the next commit looks */
    FB_TRY(feed_assignment_get(s, &l->assignment));
    FB_TRY(ledger_head(s, &l->head));
    FB_TRY(read_audit_head(s, l));
    FB_TRY(ledger_parents_forget(l));
    l->stamp = store_stamp(s);
    return FB_OK;
}

fb_code ledger_state_get(store *s, ledger_state **out)
{
    ledger_state *l = store_room_get(s, STORE_ROOM_LEDGER);
    if (l == NULL) {
        l = state_new();
        if (l == NULL) {
            return FB_E_NO_MEMORY;
        }
        store_room_set(s, STORE_ROOM_LEDGER, l, state_free);
    }
    if (l->stamp != store_stamp(s)) {
        FB_TRY(state_refresh(s, l));
    }
    if (scope_cache_count(l->parents) > PARENTS_COUNT_MAX) {
        FB_TRY(ledger_parents_forget(l));
    }
    *out = l;
    return FB_OK;
}

/* ---- rows ---- */

static fb_code write_insert(const commit_job *job, const change *c, int64_t ver)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    FB_ASSERT(c->columns_count == c->entity->columns_count);
    FB_ASSERT(c->values[0].kind == FB_KIND_ID && id_equal(&c->values[0].u.id, &c->id));
    memcpy(values, c->values, c->columns_count * sizeof *values);
    values[cat_ver_column(c->entity)] = (fb_value){.kind = FB_KIND_INT, .u.i = ver};
    return store_row_insert(job->store, c->entity, values);
}

static fb_code write_update(const commit_job *job, const change *c, int64_t ver)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    int columns[CATALOG_COLUMNS_LIMIT];
    FB_ASSERT(c->columns_count < c->entity->columns_count);
    for (uint32_t i = 0; i < c->columns_count; i++) {
        FB_ASSERT(c->columns[i] > 0 && c->columns[i] < cat_ver_column(c->entity));
        columns[i] = c->columns[i];
        values[i] = c->values[i];
    }
    columns[c->columns_count] = cat_ver_column(c->entity);
    values[c->columns_count] = (fb_value){.kind = FB_KIND_INT, .u.i = ver};
    return store_row_update(job->store, c->entity, &c->id, columns, values, c->columns_count + 1);
}

static fb_code write_change(const commit_job *job, const change *c, int64_t ver)
{
    switch (c->kind) {
    case CHANGE_INSERT:
        return write_insert(job, c, ver);
    case CHANGE_UPDATE:
        return write_update(job, c, ver);
    case CHANGE_DELETE:
        break;
    }
    return store_row_delete(job->store, c->entity, &c->id);
}

fb_code ledger_row_write(const commit_job *job, const change *c, int64_t ver)
{
    FB_TRY(write_change(job, c, ver));
    return ledger_column_times(job, c);
}

/* New rows that move nothing else: no list of scopes before, parents from memory. */
static fb_code insert_all(const commit_job *job)
{
    feed_new *rows = arena_take(job->state->memory, job->count * sizeof *rows);
    if (rows == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < job->count; i++) {
        FB_TRY(ledger_row_write(job, &job->changes[i], job->cid << VER_BITS | i));
    }
    for (uint32_t i = 0; i < job->count; i++) {
        const change *c = &job->changes[i];
        rows[i] = (feed_new){.entity = c->entity, .id = c->id, .pos = job->cid << VER_BITS | i};
        FB_TRY(feed_scopes_of_row(job->store, job->state->parents, c->entity, c->values, true,
                                  job->state->memory, &rows[i].scopes));
    }
    return feed_entries_add(job->store, rows, job->count);
}

static bool is_insert_only(const commit_job *job)
{
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->changes[i].kind != CHANGE_INSERT ||
            job->changes[i].entity == job->state->assignment.entity) {
            return false;
        }
    }
    return true;
}

/* ---- the commit itself ---- */

static fb_code find_incarnation(store *s, ledger_state *l, const commit_source *from, int64_t *out)
{
    bool row = false;
    if (id_is_none(&from->incarnation)) {
        *out = 0;
        return FB_OK;
    }
    if (l->incarnation_no > 0 && id_equal(&l->incarnation, &from->incarnation) &&
        id_equal(&l->device, &from->device)) {
        *out = l->incarnation_no;
        return FB_OK;
    }
    store_stmt *q = store_prepare(s, STORE_ledger_incarnation_no);
    store_bind_id(q, 1, &from->device);
    store_bind_id(q, 2, &from->incarnation);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    l->device = from->device;
    l->incarnation = from->incarnation;
    l->incarnation_no = store_int(q, 0);
    store_reset(q);
    *out = l->incarnation_no;
    return FB_OK;
}

static fb_code put_commit_row(const commit_job *job, int64_t incarnation)
{
    const commit_source *from = job->from;
    store_stmt *q = store_prepare(job->store, STORE_ledger_commit_add);
    store_bind_int(q, 1, job->cid);
    store_bind_int(q, 2, from->at_ms);
    store_bind_int(q, 3, incarnation);
    store_bind_int(q, 4, from->gseq);
    store_bind_int(q, 5, from->plain ? 1 : 0);
    store_bind_id(q, 6, incarnation == 0 ? &from->user : NULL);
    return store_run(q);
}

/* Rows that feed_scopes_of_user reads. */
static bool says_who_sees(const cat_entity *e)
{
    static const char *const names[] = {"org_unit",  "territory",      "role",
                                        "user_role", "user_territory", "app_user"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_is(e->name, names[i])) {
            return true;
        }
    }
    return false;
}

static fb_code mark_who_sees(const commit_job *job)
{
    bool marked = false;
    for (uint32_t i = 0; i < job->count; i++) {
        const change *c = &job->changes[i];
        if (c->entity->klass == CAT_FACT || !says_who_sees(c->entity)) {
            continue;
        }
        marked = true;
        if (c->kind == CHANGE_INSERT) {
            FB_TRY(feed_scope_make(job->store, c->entity, &c->id));
        }
    }
    return marked ? feed_scopes_changed(job->store) : FB_OK;
}

static fb_code finish(commit_job *job, int64_t *cid_out)
{
    int64_t incarnation = 0;
    FB_TRY(find_incarnation(job->store, job->state, job->from, &incarnation));
    FB_TRY(put_commit_row(job, incarnation));
    FB_TRY(audit_commit(job));
    FB_TRY(mark_who_sees(job));
    FB_ASSERT(job->cid == job->state->head + 1); /* LED-1 */
    job->state->head = job->cid;
    *cid_out = job->cid;
    return FB_OK;
}

static fb_code job_init(commit_job *job, store *s, const commit_source *from)
{
    *job = (commit_job){.store = s, .from = from};
    FB_TRY(ledger_state_get(s, &job->state));
    arena_reset(job->state->memory);
    job->cid = job->state->head + 1;
    return FB_OK;
}

fb_code ledger_commit(store *s, const commit_source *from, const change *changes, uint32_t count,
                      int64_t *cid_out)
{
    commit_job job;
    FB_REQUIRE(from != NULL && cid_out != NULL && (changes != NULL || count == 0));
    FB_REQUIRE(count < (1u << VER_BITS));
    if (count == 0) {
        *cid_out = 0;
        return FB_OK;
    }
    FB_TRY(job_init(&job, s, from));
    job.changes = changes;
    job.count = count;
    if (from->at_ms < job.state->due_ms && is_insert_only(&job)) {
        FB_TRY(insert_all(&job));
    } else {
        FB_TRY(moves_run(&job));
    }
    return finish(&job, cid_out);
}

fb_code ledger_time(store *s, int64_t at_ms, int64_t *cid_out)
{
    const commit_source from = {.at_ms = at_ms, .kind = text_of("scope.clock")};
    commit_job job;
    FB_REQUIRE(cid_out != NULL);
    FB_TRY(job_init(&job, s, &from));
    *cid_out = 0;
    if (at_ms < job.state->due_ms) {
        return FB_OK;
    }
    FB_TRY(moves_run(&job));
    return job.followers == 0 ? FB_OK : finish(&job, cid_out);
}
