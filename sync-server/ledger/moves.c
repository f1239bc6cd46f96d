/* moves.c - commits in which rows may change their scopes.
 *
 *   1 before   every row that is changed, and everything below a row whose scopes may move, with
 *              the scopes it has now; nothing is written yet
 *   2 write    the rows, each with its new version; the scope clock
 *   3 after    the scopes again: entries move (feed_entry_move). A row that was not changed itself
 * but whose scopes did (a follower) keeps its version and takes a position of this commit for the
 * move alone (feed_entry_follow): devices that had it and still may are sent nothing
 *
 * What moves rows: a changed column that a scope rule names; a delete; an assignment that is
 * written, begins or ends (the clock). Below: children[] of the catalogue, recursively.
 *
 *   LED-3  after step 3 the entries of each row are exactly its scopes at the scope clock
 *   MOV-1  a row is listed once, however many changes it has and however many ways lead to it */
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/ledger/ledger_inside.h"

enum { SLOTS_FIRST = 64 };

typedef struct moved {
    const cat_entity *entity;
    fb_id id;
    int64_t old_ver; /* 0: the row is new */
    int64_t ver;     /* of the last change in this commit; 0: not changed itself */
    scope_list before;
    bool exists, below; /* below: rows below it are listed */
    bool changed;       /* by this commit itself */
    bool only_moved;    /* its changes touch nothing but what names its scopes */
    struct moved *next;
} moved;

typedef struct moves {
    commit_job *job;
    arena *memory;
    scope_cache *before;
    moved *first, **end;
    moved **slots;
    uint32_t slots_count, count;
    int64_t clock_ms; /* the scope clock after this commit */
    bool spread;      /* something below a row was looked for */
} moves;

/* ---- the list ---- */

static uint32_t hash_of(const cat_entity *e, const fb_id *id)
{
    uint64_t low;
    uint64_t high;
    memcpy(&high, id->b, sizeof high);
    memcpy(&low, id->b + sizeof high, sizeof low);
    uint64_t mixed = (high ^ (low * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93u; /* upper bits of `high` come down */
    return (uint32_t)(mixed >> 32) + (uint32_t)e->number;
}

static moved **slot_of(const moves *m, const cat_entity *e, const fb_id *id)
{
    uint32_t mask = m->slots_count - 1;
    uint32_t i = hash_of(e, id) & mask;
    while (m->slots[i] != NULL && (m->slots[i]->entity != e || !id_equal(&m->slots[i]->id, id))) {
        i = (i + 1) & mask;
    }
    return &m->slots[i];
}

static fb_code slots_grow(moves *m)
{
    if (m->slots_count > 0 && m->count < m->slots_count / 2) {
        return FB_OK;
    }
    m->slots_count = m->slots_count > 0 ? m->slots_count * 2 : SLOTS_FIRST;
    m->slots = arena_take(m->memory, m->slots_count * sizeof *m->slots);
    if (m->slots == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (moved *r = m->first; r != NULL; r = r->next) {
        *slot_of(m, r->entity, &r->id) = r;
    }
    return FB_OK;
}

/* The row in the list; `before`: its columns now, NULL for a row that is not there yet. */
static fb_code list_row(moves *m, const cat_entity *e, const fb_id *id, const fb_value *before,
                        moved **out)
{
    FB_TRY(slots_grow(m));
    moved **slot = slot_of(m, e, id);
    if (*slot == NULL) {
        moved *r = arena_take(m->memory, sizeof *r);
        if (r == NULL) {
            return FB_E_NO_MEMORY;
        }
        r->entity = e;
        r->id = *id;
        if (before != NULL) {
            r->exists = true;
            r->old_ver = before[cat_ver_column(e)].u.i;
            FB_TRY(feed_scopes_of_row(m->job->store, m->before, e, before, true, m->memory,
                                      &r->before));
        }
        *slot = r;
        *m->end = r;
        m->end = &r->next;
        m->count++;
    }
    *out = *slot;
    return FB_OK;
}

/* ---- 1 before ---- */

typedef struct child_walk {
    moves *moves;
    const cat_entity *entity;
} child_walk;

static fb_code list_below(moves *m, moved *r);

static fb_code on_child(void *ctx, const fb_value *values)
{
    const child_walk *w = ctx;
    moved *r = NULL;
    FB_TRY(list_row(w->moves, w->entity, &values[0].u.id, values, &r));
    return list_below(w->moves, r);
}

/* Depth is bounded by the catalogue (CAT-3). */
static fb_code list_below(moves *m, moved *r)
{
    const fb_value key = {.kind = FB_KIND_ID, .u.id = r->id};
    if (r->below || r->old_ver == 0) {
        return FB_OK;
    }
    r->below = true;
    m->spread = true;
    for (uint32_t i = 0; i < r->entity->children_count; i++) {
        const struct cat_child *child = &r->entity->children[i];
        child_walk w = {.moves = m, .entity = &m->job->state->catalog->entities[child->entity]};
        FB_TRY(
            store_keys_by(m->job->store, w.entity, child->column, &key, m->memory, on_child, &w));
    }
    return FB_OK;
}

static fb_code list_customer(moves *m, const fb_value *customer)
{
    const ledger_state *l = m->job->state;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    moved *r = NULL;
    if (customer->kind != FB_KIND_ID) {
        return FB_OK;
    }
    const feed_assignment *a = &l->assignment;
    const cat_entity *e = &l->catalog->entities[a->entity->columns[a->customer].to_entity];
    fb_code rc = store_row_keys(m->job->store, e, &customer->u.id, values);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc; /* inserted by this commit: scopes come after */
    }
    FB_TRY(list_row(m, e, &customer->u.id, values, &r));
    return list_below(m, r);
}

static const fb_value *value_after(const change *c, int column)
{
    if (c->kind == CHANGE_INSERT) {
        return &c->values[column];
    }
    for (uint32_t i = 0; c->kind == CHANGE_UPDATE && i < c->columns_count; i++) {
        if (c->columns[i] == column) {
            return &c->values[i];
        }
    }
    return c->kind == CHANGE_UPDATE ? &c->before[column] : NULL;
}

/* An assignment that is written now is judged at the commit's time at once. */
static fb_code note_assignment(moves *m, const change *c)
{
    ledger_state *l = m->job->state;
    const int times[] = {l->assignment.from, l->assignment.to};
    const fb_value *customer = value_after(c, l->assignment.customer);
    if (m->clock_ms < m->job->from->at_ms) {
        m->clock_ms = m->job->from->at_ms;
    }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        const fb_value *at = value_after(c, times[i]);
        if (at != NULL && at->kind == FB_KIND_INT && at->u.i > m->clock_ms && at->u.i < l->due_ms) {
            l->due_ms = at->u.i;
        }
    }
    if (c->before != NULL) {
        FB_TRY(list_customer(m, &c->before[l->assignment.customer]));
    }
    return customer == NULL ? FB_OK : list_customer(m, customer);
}

static bool is_scope_column(const cat_entity *e, int column)
{
    bool found = false;
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        found = found || e->scopes[i].column == column;
    }
    return found;
}

static bool names_scope_column(const change *c)
{
    bool found = false;
    for (uint32_t i = 0; i < c->columns_count; i++) {
        found = found || is_scope_column(c->entity, c->columns[i]);
    }
    return found;
}

/* Nothing but what names its scopes differs from what the row's devices have. */
static bool moves_only(const change *c)
{
    bool any = false;
    for (uint32_t i = 0; c->kind == CHANGE_UPDATE && i < c->columns_count; i++) {
        bool differs = !fb_value_equal(&c->before[c->columns[i]], &c->values[i]);
        if (differs && !is_scope_column(c->entity, c->columns[i])) {
            return false;
        }
        any = any || differs;
    }
    return any;
}

/* Its entries are moved from where `before` says they stand: a row read before the transaction, and
 * changed by another writer since, would leave them behind, and every page of them break off. */
static fb_code check_still(moves *m, const change *c, const moved *r)
{
    int64_t ver = 0;
    FB_TRY(store_row_ver(m->job->store, c->entity, &c->id, &ver));
    return ver == r->old_ver ? FB_OK : FB_E_BUSY;
}

static fb_code note_change(moves *m, const change *c)
{
    moved *r = NULL;
    uint32_t listed = m->count;
    FB_ASSERT(c->kind == CHANGE_INSERT || c->before != NULL);
    FB_TRY(list_row(m, c->entity, &c->id, c->kind == CHANGE_INSERT ? NULL : c->before, &r));
    if (m->count > listed && c->kind != CHANGE_INSERT) {
        FB_TRY(check_still(m, c, r));
    }
    r->only_moved = moves_only(c) && (r->only_moved || !r->changed);
    r->changed = true;
    if (c->entity == m->job->state->assignment.entity) {
        FB_TRY(note_assignment(m, c));
    }
    if (c->kind == CHANGE_DELETE || (c->kind == CHANGE_UPDATE && names_scope_column(c))) {
        return list_below(m, r);
    }
    return FB_OK;
}

/* The customers of assignments that began or ended since the clock stood still. */
static fb_code note_due(moves *m, int64_t at_ms)
{
    store_stmt *q = store_prepare(m->job->store, STORE_ledger_assignments_due);
    struct due {
        struct due *next;
        fb_id customer;
    } *list = NULL;
    bool row = true;
    store_bind_int(q, 1, m->clock_ms);
    store_bind_int(q, 2, at_ms);
    FB_TRY(store_step(q, &row));
    while (row) {
        struct due *d = arena_take(m->memory, sizeof *d);
        if (d == NULL) {
            store_reset(q);
            return FB_E_NO_MEMORY;
        }
        *d = (struct due){.next = list, .customer = store_id(q, 0)};
        list = d;
        FB_TRY(store_step(q, &row));
    }
    for (; list != NULL; list = list->next) {
        const fb_value customer = {.kind = FB_KIND_ID, .u.id = list->customer};
        FB_TRY(list_customer(m, &customer));
    }
    return FB_OK;
}

static fb_code next_due(store *s, int64_t clock_ms, int64_t *out)
{
    store_stmt *q = store_prepare(s, STORE_ledger_assignments_next);
    store_bind_int(q, 1, clock_ms);
    FB_TRY(store_one(q, out));
    *out = *out > 0 ? *out : INT64_MAX; /* none */
    return FB_OK;
}

/* The clock moves only over a time at which something begins or ends: otherwise it may stand. */
static fb_code note_clock(moves *m)
{
    ledger_state *l = m->job->state;
    int64_t at_ms = m->job->from->at_ms;
    FB_TRY(feed_clock(m->job->store, &m->clock_ms));
    if (l->due_ms == 0) {
        FB_TRY(next_due(m->job->store, m->clock_ms, &l->due_ms));
    }
    if (at_ms < l->due_ms) {
        return FB_OK;
    }
    FB_TRY(note_due(m, at_ms));
    m->clock_ms = at_ms;
    return next_due(m->job->store, at_ms, &l->due_ms);
}

/* ---- 2 write, 3 after ---- */

static fb_code write_rows(moves *m)
{
    const commit_job *job = m->job;
    int64_t clock_ms = 0;
    for (uint32_t i = 0; i < job->count; i++) {
        const change *c = &job->changes[i];
        moved *r = *slot_of(m, c->entity, &c->id);
        FB_ASSERT(r != NULL);
        r->ver = job->cid << VER_BITS | i;
        r->exists = c->kind != CHANGE_DELETE;
        FB_TRY(ledger_row_write(job, c, r->ver));
    }
    FB_TRY(feed_clock(job->store, &clock_ms));
    return m->clock_ms > clock_ms ? feed_clock_set(job->store, m->clock_ms) : FB_OK;
}

static fb_code follow(moves *m, const moved *r, const scope_list *now)
{
    uint32_t index = m->job->count + m->job->followers;
    if (index >= 1u << VER_BITS) {
        return FB_E_LIMIT;
    }
    m->job->followers++;
    return feed_entry_follow(m->job->store, r->entity, &r->id, r->old_ver,
                             m->job->cid << VER_BITS | index, &r->before, now);
}

static fb_code move_row(moves *m, moved *r, scope_cache *after)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    scope_list now = {0};
    store *s = m->job->store;
    if (!r->exists) {
        return r->old_ver == 0 ? FB_OK
                               : feed_entry_move(s, r->entity, &r->id, r->old_ver, r->ver,
                                                 &r->before, &now, FEED_DELETED);
    }
    FB_TRY(store_row_keys(s, r->entity, &r->id, values));
    FB_TRY(feed_scopes_of_row(s, after, r->entity, values, true, m->memory, &now));
    if (r->ver == 0) {
        return scope_list_equal(&r->before, &now) ? FB_OK : follow(m, r, &now);
    }
    return feed_entry_move(s, r->entity, &r->id, r->old_ver, r->ver, &r->before, &now,
                           r->only_moved ? FEED_MOVED : FEED_CHANGED);
}

fb_code moves_run(commit_job *job)
{
    moves m = {.job = job, .memory = job->state->memory};
    m.end = &m.first;
    m.before = scope_cache_new(m.memory);
    scope_cache *after = scope_cache_new(m.memory);
    if (m.before == NULL || after == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(note_clock(&m));
    for (uint32_t i = 0; i < job->count; i++) {
        FB_TRY(note_change(&m, &job->changes[i]));
    }
    FB_TRY(write_rows(&m));
    if (m.spread) {
        FB_TRY(ledger_parents_forget(job->state));
    }
    for (moved *r = m.first; r != NULL; r = r->next) {
        FB_TRY(move_row(&m, r, after));
    }
    return FB_OK;
}
