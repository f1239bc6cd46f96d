/* refs.c - references lead to rows; aliases are followed; dependants of refused groups are blocked.
 *
 * The ordinary case costs one look into the group's own rows or the table of known ids. */
#include "sync-server/decide/decide_inside.h"

#include <stdio.h>
#include <string.h>

enum { ALIAS_HOPS_MAX = 8 };

static const saying NO_REFERENCE = {
    FB_E_REFERENCE, "it refers to a record that does not exist", "引用的记录不存在",
    "sync, choose an existing record and send it again", "请先同步，选择存在的记录后重新发送"};
static const saying TAKEN = {FB_E_EXISTS, "another record has this value already",
                             "已有其他记录使用此值", "use another value, or the existing record",
                             "请改用其他值，或使用已有记录"};

static fb_code alias_stored(decide *d, const cat_entity *e, fb_id *id, bool *followed)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_alias_get);
    bool row = false;
    store_bind_id(q, 1, id);
    store_bind_text(q, 2, e->name);
    FB_TRY(store_step(q, &row));
    if (row) {
        *id = store_id(q, 0);
        *followed = true;
        store_reset(q);
    }
    return FB_OK;
}

static bool alias_in_group(const decide *d, const cat_entity *e, fb_id *id)
{
    for (const alias_pair *a = d->aliases; a != NULL; a = a->next) {
        if (a->e == e && id_equal(&a->from, id)) {
            *id = a->to;
            return true;
        }
    }
    return false;
}

fb_code alias_follow(decide *d, const cat_entity *e, fb_id *id, bool *followed)
{
    *followed = false;
    for (int hops = 0; hops < ALIAS_HOPS_MAX; hops++) {
        bool moved = alias_in_group(d, e, id);
        if (!moved) {
            FB_TRY(alias_stored(d, e, id, &moved));
        }
        if (!moved) {
            return FB_OK;
        }
        *followed = true;
    }
    return FB_OK;
}

fb_code blocked_by(decide *d, const fb_id *id, int64_t *gseq_out)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_blocked_get);
    bool row = false;
    *gseq_out = 0;
    store_bind_id(q, 1, id);
    store_bind_id(q, 2, &d->who->device);
    FB_TRY(store_step(q, &row));
    if (row) {
        *gseq_out = store_int(q, 0);
        store_reset(q);
    }
    return FB_OK;
}

fb_code collided_by(decide *d, const cat_entity *e, const fb_id *id, int64_t *gseq_out)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_collided_get);
    bool row = false;
    *gseq_out = 0;
    store_bind_id(q, 1, id);
    store_bind_text(q, 2, e->name);
    store_bind_id(q, 3, &d->who->device);
    FB_TRY(store_step(q, &row));
    if (row) {
        *gseq_out = store_int(q, 0);
        store_reset(q);
    }
    return FB_OK;
}

/* A phone that has not come yet sends what it made again, and the server makes of it what it made
 * then (made_id). */
fb_code row_awaited(decide *d, const cat_entity *e, const fb_id *id)
{
    bool deleted = false;
    if (!d->who->old_base) {
        return FB_OK;
    }
    store_stmt *q = store_prepare(d->view, STORE_decide_deleted);
    store_bind_text(q, 1, e->name);
    store_bind_id(q, 2, id);
    FB_TRY(store_step(q, &deleted));
    if (deleted) {
        store_reset(q);
    }
    d->out->awaits = !deleted;
    return FB_OK;
}

/* The reference leads nowhere: an alias, a dependant, or a mistake. */
static fb_code ref_resolve(decide *d, const cat_entity *e, int column, fb_value *v)
{
    const cat_entity *to = &d->cat->entities[e->columns[column].to_entity];
    bool followed = false, exists = false;
    int64_t by = 0;
    fb_id id = v->u.id;
    FB_TRY(alias_follow(d, to, &id, &followed));
    if (followed) {
        FB_TRY(view_exists(d, to, &id, &exists));
    }
    if (exists) {
        v->u.id = id;
        d->plain = false; /* the device holds another id */
        return FB_OK;
    }
    FB_TRY(blocked_by(d, &v->u.id, &by));
    if (by > 0) {
        return refuse_blocked(d, by, e, column);
    }
    FB_TRY(row_awaited(d, to, &id));
    issue why;
    say(&why, &NO_REFERENCE, e, column);
    return verdict_refuse(d, VERDICT_REJECTED, &why, "");
}

static fb_code ref_check(decide *d, const cat_entity *e, int column, fb_value *v)
{
    bool exists = false;
    if (v->kind != FB_KIND_ID) {
        return FB_OK;
    }
    const cat_entity *to = &d->cat->entities[e->columns[column].to_entity];
    FB_TRY(view_exists(d, to, &v->u.id, &exists));
    if (exists && d->who->collided) {
        int64_t by = 0;
        FB_TRY(collided_by(d, to, &v->u.id, &by));
        if (by > 0) {
            return refuse_blocked(d, by, e, column);
        }
    }
    return exists ? FB_OK : ref_resolve(d, e, column, v);
}

fb_code refs_check(decide *d, const cat_entity *e, fb_value *values, const int *columns,
                   uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (e->columns[columns[i]].type == CAT_REF) {
            FB_TRY(ref_check(d, e, columns[i], &values[columns[i]]));
        }
    }
    return FB_OK;
}

/* The row in the store with this value, unless this group gives it up. */
static fb_code holder_of(decide *d, const cat_entity *e, int column, const fb_value *v,
                         fb_id *holder)
{
    fb_value *row = arena_take(d->memory, e->columns_count * sizeof *row);
    *holder = (fb_id){{0}};
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = store_row_by(d->view, e, column, v, d->memory, row);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    const view_row *seen = view_find(d, e, &row[0].u.id);
    if (seen == NULL || (!seen->deleted && fb_value_equal(&seen->values[column], v))) {
        *holder = row[0].u.id;
    }
    return FB_OK;
}

static fb_code taken_in_group(decide *d, const cat_entity *e, const fb_id *id, int column,
                              const fb_value *v)
{
    for (uint32_t i = 0; i < d->rows_count; i++) {
        const view_row *row = d->rows[i];
        if (row->e == e && !row->deleted && !id_equal(&row->id, id) &&
            fb_value_equal(&row->values[column], v)) {
            return FB_E_EXISTS;
        }
    }
    return FB_OK;
}

/* *holder: whose it is in the store; none where this group itself has given it twice. */
static fb_code is_taken(decide *d, const cat_entity *e, const fb_id *id, int column,
                        const fb_value *v, fb_id *holder, bool *out)
{
    *holder = (fb_id){{0}};
    *out = taken_in_group(d, e, id, column, v) != FB_OK;
    if (!*out) {
        FB_TRY(holder_of(d, e, column, v, holder));
        *out = !id_is_none(holder) && !id_equal(holder, id);
    }
    return FB_OK;
}

fb_code number_renew(decide *d, const cat_entity *e, const fb_id *id, int column, fb_value *v,
                     fb_id *holder)
{
    enum { TRIES_MAX = 100 };
    const fb_text given = v->u.text;
    char room[80];
    size_t most = e->columns[column].max_bytes;
    most = most < sizeof room ? most : sizeof room - 1;
    fb_id other;
    bool taken = false;
    FB_TRY(is_taken(d, e, id, column, v, holder, &taken));
    for (int n = 2; taken && n <= TRIES_MAX && given.size < most; n++) {
        int size = snprintf(room, sizeof room, "%.*s-%d", (int)given.size, given.data, n);
        if ((size_t)size > most) {
            return FB_OK; /* no room for it: refused as taken */
        }
        v->u.text = arena_text(d->memory, text_of(room));
        if (v->u.text.data == NULL) {
            return FB_E_NO_MEMORY;
        }
        FB_TRY(is_taken(d, e, id, column, v, &other, &taken));
    }
    return FB_OK;
}

fb_code uniques_check(decide *d, const cat_entity *e, const fb_id *id, const fb_value *values,
                      const int *columns, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const fb_value *v = &values[columns[i]];
        fb_id holder = {{0}};
        if (!e->columns[columns[i]].unique || v->kind == FB_KIND_NULL) {
            continue;
        }
        bool taken = false;
        FB_TRY(is_taken(d, e, id, columns[i], v, &holder, &taken));
        if (taken) {
            issue why;
            say(&why, &TAKEN, e, columns[i]);
            return verdict_refuse(d, VERDICT_REJECTED, &why, "");
        }
    }
    return FB_OK;
}

/* A list of columns that is unique together; NULLs in it are equal. */
typedef struct list_search {
    decide *d;
    const cat_entity *e;
    const struct cat_index *list;
    const fb_id *id;
    const fb_value *values;
    bool taken;
} list_search;

static bool same_list(const list_search *s, const fb_value *other)
{
    for (uint32_t i = 0; i < s->list->columns_count; i++) {
        int column = s->list->columns[i];
        if (!fb_value_equal(&other[column], &s->values[column])) {
            return false;
        }
    }
    return true;
}

/* Rows of this group are judged as the group leaves them. */
static fb_code list_stored(void *ctx, const fb_value *values)
{
    list_search *s = ctx;
    bool other =
        view_find(s->d, s->e, &values[0].u.id) == NULL && !id_equal(&values[0].u.id, s->id);
    s->taken |= other && same_list(s, values);
    return FB_OK;
}

static fb_code list_search_run(list_search *s)
{
    int by = -1;
    for (uint32_t i = 0; i < s->d->rows_count; i++) {
        const view_row *row = s->d->rows[i];
        bool other = row->e == s->e && !row->deleted && !id_equal(&row->id, s->id);
        s->taken |= other && same_list(s, row->values);
    }
    for (uint32_t i = 0; i < s->list->columns_count && by < 0; i++) {
        by = s->values[s->list->columns[i]].kind != FB_KIND_NULL ? s->list->columns[i] : -1;
    }
    if (s->taken) {
        return FB_OK;
    }
    return by < 0
               ? store_rows_without(s->d->view, s->e, s->list->columns, s->list->columns_count,
                                    s->d->memory, list_stored, s)
               : store_rows_by(s->d->view, s->e, by, &s->values[by], s->d->memory, list_stored, s);
}

fb_code unique_lists_check(decide *d, const cat_entity *e, const fb_id *id, const fb_value *values)
{
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        list_search s = {d, e, &e->indexes[i], id, values, false};
        if (!s.list->unique || s.list->columns_count < 2) {
            continue;
        }
        FB_TRY(list_search_run(&s));
        if (s.taken) {
            issue why;
            say(&why, &TAKEN, e, s.list->columns[0]);
            return verdict_refuse(d, VERDICT_REJECTED, &why, "");
        }
    }
    return FB_OK;
}

fb_code others_check(decide *d, const view_row *row, const int *columns, fb_value *values,
                     uint32_t count)
{
    const cat_entity *e = row->e;
    fb_value after[CATALOG_COLUMNS_LIMIT];
    memcpy(after, row->values, e->columns_count * sizeof *after);
    for (uint32_t i = 0; i < count; i++) {
        after[columns[i]] = values[i];
    }
    FB_TRY(refs_check(d, e, after, columns, count));
    FB_TRY(uniques_check(d, e, &row->id, after, columns, count));
    FB_TRY(unique_lists_check(d, e, &row->id, after));
    for (uint32_t i = 0; i < count; i++) {
        values[i] = after[columns[i]];
    }
    return FB_OK;
}
