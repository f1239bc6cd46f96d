/* row_ops.c - one inserted or deleted row: rights, values, references, scope, stamps. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

static const saying EXISTS = {FB_E_EXISTS, "a record with this identity exists already",
                              "该标识的记录已存在", "enter it again as a new record",
                              "请作为新记录重新录入"};
static const saying GONE = {FB_E_NOT_FOUND, "the record was deleted meanwhile", "该记录已被删除",
                            "sync; enter it as a new record if it is still needed",
                            "请同步；如仍需要请新建记录"};
static const saying CHANGED = {FB_E_STATE, "the record was changed meanwhile", "该记录已被他人修改",
                               "sync, look at it and delete it again if that still holds",
                               "请同步查看后，如仍需删除请重新删除"};
static const saying HAS_CHILDREN = {FB_E_STATE, "other records belong to this one",
                                    "仍有其他记录属于该记录", "delete those first",
                                    "请先删除下属记录"};

static void stamp(fb_value *values, int column, fb_kind kind, int64_t at_ms, const fb_id *id)
{
    if (column < 0) {
        return;
    }
    values[column].kind = kind;
    if (kind == FB_KIND_INT) {
        values[column].u.i = at_ms;
    } else {
        values[column].u.id = *id;
    }
}

static void stamp_insert(decide *d, const entity_facts *f, fb_value *values)
{
    stamp(values, f->created_by, FB_KIND_ID, 0, &d->who->user);
    stamp(values, f->updated_by, FB_KIND_ID, 0, &d->who->user);
    stamp(values, f->created_at, FB_KIND_INT, d->at_ms, NULL);
    stamp(values, f->updated_at, FB_KIND_INT, d->at_ms, NULL);
    stamp(values, f->created_device, FB_KIND_ID, 0, &d->who->device);
    d->plain &= f->created_at < 0 || d->unchanged_time;
}

void stamps_add(decide *d, view_row *row, int64_t at_ms)
{
    const entity_facts *f = facts_of(d, row->e);
    if (f->updated_at < 0) {
        return;
    }
    fb_value at = {.kind = FB_KIND_INT, .u.i = at_ms};
    fb_value by = {.kind = FB_KIND_ID, .u.id = d->who->user};
    d->plain &= at_ms == d->g->head.captured_at_ms;
    view_put(row, f->updated_at, &at);
    view_put(row, f->updated_by, &by);
}

void person_stamp(decide *d, view_row *row, const char *by, const char *at)
{
    const fb_value who = {.kind = FB_KIND_ID, .u.id = d->who->user};
    const fb_value when = {.kind = FB_KIND_INT, .u.i = d->at_ms};
    int by_column = cat_column_str(row->e, by), at_column = cat_column_str(row->e, at);
    d->plain = false;
    view_put(row, by_column, &who);
    view_put(row, at_column, &when);
}

/* The op's values in catalogue order; derived columns are left to row_derive. */
static fb_value *values_of(decide *d, const group_op *op)
{
    const cat_entity *e = op->entity;
    fb_value *values = fill_row(e, &op->id, d->memory);
    for (uint32_t i = 0; values != NULL && i < op->columns_count; i++) {
        values[op->columns[i]] = op->mine[i]; /* neither id nor version: group_get */
    }
    return values;
}

/* Defaults and derived columns; the device holds what it sent, so any difference needs an echo. */
static fb_code fill_derived(decide *d, const cat_entity *e, fb_value *values)
{
    const entity_facts *f = facts_of(d, e);
    fb_value sent[CATALOG_COLUMNS_LIMIT];
    if (f->fills_count == 0) {
        return FB_OK;
    }
    for (uint32_t i = 0; i < f->fills_count; i++) {
        sent[i] = values[f->fills[i]];
        if (e->columns[f->fills[i]].derived) {
            values[f->fills[i]].kind = FB_KIND_NULL;
        }
    }
    FB_TRY(row_derive(e, values, d->memory));
    for (uint32_t i = 0; i < f->fills_count; i++) {
        d->plain &= fb_value_equal(&sent[i], &values[f->fills[i]]);
    }
    return FB_OK;
}

static fb_code refuse_id(decide *d, const cat_entity *e)
{
    issue why;
    say(&why, &EXISTS, e, -1);
    return verdict_refuse(d, VERDICT_REJECTED, &why, "");
}

/* Asked last, when all else is well: so the verdict is the same whether the ids are looked up here
 * or the ledger meets them first. */
fb_code ids_check(decide *d)
{
    for (uint32_t i = 0; d->cache->check_ids && i < d->rows_count; i++) {
        const view_row *row = d->rows[i];
        bool exists = false;
        if (row->before == NULL && !row->deleted) {
            FB_TRY(store_row_exists(d->view, row->e, &row->id, &exists));
        }
        if (exists) {
            d->collided = row;
            return refuse_id(d, row->e);
        }
    }
    return FB_OK;
}

static fb_code rules_insert(decide *d, const cat_entity *e, const fb_value *values)
{
    issue why;
    fb_code rc = row_check_insert(e, values, rights_of(d, e), d->who->received_at_ms, &why);
    return rc == FB_OK ? FB_OK : verdict_refuse(d, VERDICT_REJECTED, &why, "");
}

/* Two phones of one series (a copied device) gave the same number: nobody has to type the document
 * again. */
typedef struct renewal {
    int column;
    fb_value given;
    fb_id holder;
} renewal;

static fb_code numbers_renew(decide *d, const cat_entity *e, const fb_id *id, fb_value *values,
                             renewal *out, uint32_t *count_out)
{
    const entity_facts *f = facts_of(d, e);
    for (uint32_t i = 0; i < f->uniques_count; i++) {
        int column = f->uniques[i];
        fb_value *v = &values[column];
        renewal *r = &out[*count_out];
        if (e->columns[column].policy != CAT_SEQ || v->kind != FB_KIND_TEXT) {
            continue;
        }
        *r = (renewal){.column = column, .given = *v};
        FB_TRY(number_renew(d, e, id, column, v, &r->holder));
        *count_out += fb_value_equal(v, &r->given) ? 0 : 1;
    }
    return FB_OK;
}

static fb_code row_add(decide *d, const cat_entity *e, const fb_id *id, fb_value *values)
{
    const entity_facts *f = facts_of(d, e);
    view_row *row = NULL;
    uint32_t count = 0;
    renewal *renewed = arena_take(d->memory, (f->uniques_count + 1) * sizeof *renewed);
    if (renewed == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(numbers_renew(d, e, id, values, renewed, &count));
    FB_TRY(uniques_check(d, e, id, values, f->uniques, f->uniques_count));
    FB_TRY(unique_lists_check(d, e, id, values));
    FB_TRY(view_add(d, e, id, values, &row));
    for (uint32_t i = 0; i < count; i++) {
        FB_TRY(number_lost(d, row, renewed[i].column, &renewed[i].given, &renewed[i].holder));
    }
    return FB_OK;
}

fb_code op_insert(decide *d, const group_op *op)
{
    const cat_entity *e = op->entity;
    const entity_facts *f = facts_of(d, e);
    fb_value *values = values_of(d, op);
    bool aliased = false;
    if (values == NULL) {
        return FB_E_NO_MEMORY;
    }
    stamp_insert(d, f, values);
    FB_TRY(fill_derived(d, e, values));
    FB_TRY(rules_insert(d, e, values));
    if (view_find(d, e, &op->id) != NULL) {
        return refuse_id(d, e);
    }
    FB_TRY(refs_check(d, e, values, f->refs, f->refs_count));
    FB_TRY(scope_check_new(d, e, &op->id, values));
    if (f->rule == SPECIAL_CUSTOMER) {
        FB_TRY(duplicate_check(d, e, &op->id, values, &aliased));
    }
    if (aliased) {
        return FB_OK;
    }
    return row_add(d, e, &op->id, values);
}

static fb_code row_is_gone(decide *d, const group_op *op)
{
    int64_t by = 0;
    FB_TRY(blocked_by(d, &op->id, &by));
    if (by > 0) {
        return refuse_blocked(d, by, op->entity, -1);
    }
    FB_TRY(row_awaited(d, op->entity, &op->id));
    issue why;
    say(&why, &GONE, op->entity, -1);
    return verdict_refuse(d, VERDICT_REJECTED, &why, "");
}

fb_code op_row(decide *d, const group_op *op, view_row **out)
{
    fb_id id = op->id;
    bool followed = false;
    fb_code rc = view_get(d, op->entity, &id, out);
    if (rc == FB_E_NOT_FOUND) {
        FB_TRY(alias_follow(d, op->entity, &id, &followed));
        d->plain &= !followed;
        rc = followed ? view_get(d, op->entity, &id, out) : rc;
    }
    if (rc == FB_E_NOT_FOUND) {
        return op->kind == OP_DELETE ? rc : row_is_gone(d, op);
    }
    FB_TRY(rc);
    if (d->who->collided && op->base_ver == 0 && (*out)->before != NULL) {
        int64_t by = 0; /* no version seen: it means the row it made itself */
        FB_TRY(collided_by(d, op->entity, &id, &by));
        if (by > 0) {
            return refuse_blocked(d, by, op->entity, -1);
        }
    }
    return scope_check_row(d, *out);
}

/* A commit of this incarnation's own plain group: the device holds exactly that row. */
static fb_code is_own_plain(decide *d, int64_t ver, bool *out)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_commit_get);
    bool found = false;
    *out = false;
    store_bind_int(q, 1, ver >> 20);
    FB_TRY(store_step(q, &found));
    if (found) {
        fb_id device = store_id(q, 2), incarnation = store_id(q, 3);
        *out = store_int(q, 1) != 0 && id_equal(&device, &d->who->device) &&
               id_equal(&incarnation, &d->who->incarnation);
        store_reset(q);
    }
    return FB_OK;
}

/* After a restore commits have the numbers of lost ones again. What was seen of those has, by its
 * number, the version of something else. */
static fb_code base_known(decide *d, int64_t base_ver, bool *out)
{
    int64_t last_shared = 0;
    *out = true;
    if (d->who->old_base) {
        FB_TRY(store_meta_int(d->view, "epoch_cid", 0, &last_shared));
        *out = base_ver >> 20 <= last_shared;
    }
    return FB_OK;
}

fb_code seen_as_is(decide *d, const view_row *row, int64_t base_ver, bool *out)
{
    int64_t ver = row->before != NULL ? value_int(row->before, cat_ver_column(row->e)) : 0;
    bool known = true;
    if (row->before != NULL && ver == base_ver) {
        FB_TRY(base_known(d, base_ver, &known));
    }
    *out = row->before == NULL || (ver == base_ver && known);
    return *out ? FB_OK : is_own_plain(d, ver, out);
}

fb_code commit_time(decide *d, int64_t ver, int64_t *at_ms_out)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_commit_get);
    bool found = false;
    *at_ms_out = 0;
    store_bind_int(q, 1, ver >> 20);
    FB_TRY(store_step(q, &found));
    if (found) {
        *at_ms_out = store_int(q, 0);
        store_reset(q);
    }
    return FB_OK;
}

fb_code base_time(decide *d, int64_t base_ver, int64_t *at_ms_out)
{
    bool known = true;
    *at_ms_out = 0;
    FB_TRY(base_known(d, base_ver, &known));
    return known ? commit_time(d, base_ver, at_ms_out) : FB_OK;
}

typedef struct child_search {
    decide *d;
    const cat_entity *e;
    bool found;
} child_search;

/* Stops at the first child that this group does not delete too. */
static fb_code child_seen(void *ctx, const fb_value *values)
{
    child_search *c = ctx;
    const view_row *seen = view_find(c->d, c->e, &values[0].u.id);
    c->found = seen == NULL || !seen->deleted;
    return c->found ? FB_E_STATE : FB_OK;
}

/* Rows below it would lose their scope. */
static fb_code children_check(decide *d, const view_row *row)
{
    fb_value equal = {.kind = FB_KIND_ID, .u.id = row->id};
    for (uint32_t i = 0; i < row->e->children_count; i++) {
        child_search c = {d, &d->cat->entities[row->e->children[i].entity], false};
        fb_code rc = store_rows_by(d->view, c.e, row->e->children[i].column, &equal, d->memory,
                                   child_seen, &c);
        if (c.found) {
            issue why;
            say(&why, &HAS_CHILDREN, row->e, -1);
            return refuse_row(d, VERDICT_REJECTED, &why, "", row);
        }
        FB_TRY(rc);
    }
    return FB_OK;
}

static fb_code rules_delete(decide *d, const group_op *op, const view_row *row)
{
    issue why;
    bool as_seen = false;
    if (row_check_delete(row->e, row->values, rights_of(d, row->e), &why) != FB_OK) {
        return refuse_row(d, VERDICT_REJECTED, &why, "", row);
    }
    FB_TRY(seen_as_is(d, row, op->base_ver, &as_seen));
    if (!as_seen) {
        say(&why, &CHANGED, row->e, -1);
        return refuse_row(d, VERDICT_REJECTED, &why, "", row);
    }
    return row->before != NULL ? children_check(d, row) : FB_OK;
}

fb_code op_delete(decide *d, const group_op *op)
{
    view_row *row = NULL;
    fb_code rc = op_row(d, op, &row);
    if (rc == FB_E_NOT_FOUND) {
        d->plain = false; /* gone already: both agree; or not there again yet */
        return row_awaited(d, op->entity, &op->id);
    }
    FB_TRY(rc);
    FB_TRY(rules_delete(d, op, row));
    row->deleted = true;
    return FB_OK;
}
