/* column_time.c - when a column was last changed, and by whom: a row's own stamp speaks of
 * whichever column came last, and "the later one wins" is asked of one column (sync.md decision 5).
 *
 * Kept for the policies whose clashes are recorded; inserted rows cost nothing. LED-4: an entry is
 * written in the transaction of the change it speaks of, and goes with its row. */
#include "sync-server/ledger/ledger_inside.h"
#include "sync-server/store/fill.h"

static bool is_kept(const change *c, uint32_t i)
{
    cat_policy p = c->entity->columns[c->columns[i]].policy;
    return (p == CAT_LWW || p == CAT_SM || p == CAT_MAN) &&
           !fb_value_equal(&c->before[c->columns[i]], &c->values[i]);
}

/* The row's stamp after the change. A group always stamps, so one that is not listed stands as it
 * was; IT's imports do not, and what stands then is somebody else's. NULL: none. */
static const fb_value *stamp_of(const commit_job *job, const change *c, const char *name)
{
    if (!c->entity->stamps) {
        return NULL;
    }
    int column = cat_column_str(c->entity, name); /* a catalogue is loaded with all of them */
    const fb_value *v = id_is_none(&job->from->device) ? NULL : &c->before[column];
    for (uint32_t i = 0; i < c->columns_count; i++) {
        v = c->columns[i] == column ? &c->values[i] : v;
    }
    return v != NULL && v->kind != FB_KIND_NULL ? v : NULL;
}

static fb_code entry_put(const commit_job *job, const change *c, fb_text name)
{
    const fb_value *at = stamp_of(job, c, "updated_at"), *by = stamp_of(job, c, "updated_by");
    const fb_id *user = by != NULL ? &by->u.id : &job->from->user;
    store_stmt *q = store_prepare(job->store, STORE_ledger_column_time_put);
    store_bind_int(q, 1, store_entity_number(job->store, c->entity));
    store_bind_id(q, 2, &c->id);
    store_bind_text(q, 3, name);
    store_bind_int(q, 4, at != NULL ? at->u.i : job->from->at_ms);
    store_bind_id(q, 5, id_is_none(user) ? NULL : user);
    return store_run(q);
}

static fb_code entries_drop(const commit_job *job, const change *c)
{
    store_stmt *q = store_prepare(job->store, STORE_ledger_column_times_drop);
    store_bind_int(q, 1, store_entity_number(job->store, c->entity));
    store_bind_id(q, 2, &c->id);
    return store_run(q);
}

fb_code ledger_column_times(const commit_job *job, const change *c)
{
    if (c->kind == CHANGE_DELETE) {
        return entries_drop(job, c);
    }
    for (uint32_t i = 0; c->kind == CHANGE_UPDATE && i < c->columns_count; i++) {
        const cat_column *column = &c->entity->columns[c->columns[i]];
        if (!column->derived && is_kept(c, i)) {
            FB_TRY(entry_put(job, c, column->name));
        }
    }
    return FB_OK;
}
