/* scope.c - is a row within the scopes of the person behind the device?
 *
 * Yes when the row's scopes and the person's meet today. What was captured earlier is also judged
 * by the person's places at capture time, and by the scopes the row has left since, within a grace
 * of 30 days; beyond that the group is held for the manager, never dropped (sync.md, trap
 * "territory move").
 *
 * A new row is in scope when every parent it names is, or, where it names none, when its own scopes
 * meet the person's. A row of a global entity needs the right only. */
#include "sync-server/decide/decide_inside.h"

static const int64_t GRACE_MS = (int64_t)30 * 86400000;

static const saying OUTSIDE = {FB_E_SCOPE, "the record is outside your territory",
                               "记录不在您的区域内", "your manager decides; nothing to do",
                               "由经理决定，无需操作"};

static bool scopes_meet(const scope_list *a, const scope_list *b)
{
    uint32_t i = 0, j = 0;
    while (i < a->count && j < b->count) {
        if (a->scopes[i] == b->scopes[j]) {
            return true;
        }
        if (a->scopes[i] < b->scopes[j]) {
            i++;
        } else {
            j++;
        }
    }
    return false;
}

static bool scope_in(const scope_list *l, int64_t scope)
{
    scope_list one = {&scope, 1};
    return scopes_meet(l, &one);
}

/* Scopes the row left at or after capture: it was still there when the device saw it. */
static fb_code left_since_capture(decide *d, const cat_entity *e, const fb_id *id,
                                  const scope_list *user, bool *out)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_left_since);
    bool row = true;
    store_bind_text(q, 1, e->name);
    store_bind_id(q, 2, id);
    store_bind_int(q, 3, d->at_ms);
    for (;;) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            return FB_OK;
        }
        if (scope_in(user, store_int(q, 0))) {
            *out = true;
            store_reset(q);
            return FB_OK;
        }
    }
}

/* The person's places at capture time, within the grace. */
static fb_code in_scope_at_capture(decide *d, const cat_entity *e, const fb_id *id,
                                   const scope_list *row, bool *out)
{
    scope_list then;
    if (d->who->received_at_ms - d->at_ms > GRACE_MS) {
        return FB_OK;
    }
    FB_TRY(feed_scopes_of_user(d->view, &d->who->user, d->at_ms, d->memory, &then));
    *out = scopes_meet(row, &then);
    return *out ? FB_OK : left_since_capture(d, e, id, &then, out);
}

/* Nothing is remembered: the row may never come to be. */
static fb_code values_in_scope(decide *d, const cat_entity *e, const fb_id *id,
                               const fb_value *values, bool *now, bool *out)
{
    scope_list row;
    FB_TRY(feed_scopes_of_row(d->view, d->cache->scopes, e, values, false, d->memory, &row));
    *now = *out = scopes_meet(&row, &d->user->scopes);
    return *out ? FB_OK : in_scope_at_capture(d, e, id, &row, out);
}

fb_code row_in_scope(decide *d, const cat_entity *e, const fb_id *id, const fb_value *values,
                     bool *out)
{
    bool now = false;
    *out = known_in_scope(d->cache, e, id, d->user);
    if (*out) {
        return FB_OK;
    }
    FB_TRY(values_in_scope(d, e, id, values, &now, out));
    if (now) {
        known_set_scope(d->cache, e, id, d->user);
    }
    /* Accepted by grace: no page will bring or drop it, so the device must not keep it (echo rule).
     */
    d->plain &= now;
    return FB_OK;
}

static fb_code refuse_scope(decide *d, const cat_entity *e, int column)
{
    issue why;
    if (d->who->waived) {
        return FB_OK;
    }
    say(&why, &OUTSIDE, e, column);
    return verdict_refuse(d, VERDICT_HELD, &why, "MGR");
}

fb_code scope_check_row(decide *d, const view_row *row)
{
    bool inside = row->before == NULL;
    if (!inside) {
        FB_TRY(row_in_scope(d, row->e, &row->id, row->before, &inside));
    }
    return inside ? FB_OK : refuse_scope(d, row->e, -1);
}

/* A parent of a new row: made by this group (checked when it was made), known, or read. */
static fb_code parent_check(decide *d, const cat_entity *e, int column, const fb_id *id)
{
    const cat_entity *to = &d->cat->entities[e->columns[column].to_entity];
    const view_row *made = view_find(d, to, id);
    bool inside =
        (made != NULL && made->before == NULL) || known_in_scope(d->cache, to, id, d->user);
    if (!inside) {
        view_row *row = NULL;
        FB_TRY(view_get(d, to, id, &row));
        FB_TRY(row_in_scope(d, to, id, row->before, &inside));
    }
    return inside ? FB_OK : refuse_scope(d, e, column);
}

/* Rules that need no look at the store. */
static bool is_plainly_inside(const decide *d, const cat_scope_rule *rule, const fb_value *values)
{
    if (rule->kind == SCOPE_GLOBAL || rule->kind == SCOPE_NONE) {
        return true;
    }
    return rule->kind == SCOPE_USER && values[rule->column].kind == FB_KIND_ID &&
           id_equal(&values[rule->column].u.id, &d->who->user);
}

fb_code scope_check_new(decide *d, const cat_entity *e, const fb_id *id, const fb_value *values)
{
    bool inside = e->scopes_count == 0, now = false;
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        const cat_scope_rule *rule = &e->scopes[i];
        if (rule->kind == SCOPE_PARENT && values[rule->column].kind == FB_KIND_ID) {
            FB_TRY(parent_check(d, e, rule->column, &values[rule->column].u.id));
            inside = true;
        }
        inside = inside || is_plainly_inside(d, rule, values);
    }
    if (!inside) {
        FB_TRY(values_in_scope(d, e, id, values, &now, &inside));
    }
    return inside ? FB_OK : refuse_scope(d, e, -1);
}
