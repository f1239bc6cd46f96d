/* view.c - the group's own rows laid over the store. Rows are few: a small table of chains. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

static view_row **bucket_of(decide *d, const fb_id *id)
{
    unsigned h = id->b[5] * 7u + id->b[6] * 31u + id->b[7] * 131u + id->b[15];
    return &d->buckets[h % VIEW_BUCKETS];
}

view_row *view_find(decide *d, const cat_entity *e, const fb_id *id)
{
    for (view_row *row = *bucket_of(d, id); row != NULL; row = row->chain) {
        if (row->e == e && id_equal(&row->id, id)) {
            return row;
        }
    }
    return NULL;
}

static fb_code rows_grow(decide *d)
{
    uint32_t capacity = d->rows_capacity > 0 ? d->rows_capacity * 2 : 16;
    view_row **rows = arena_take(d->memory, capacity * sizeof(view_row *));
    if (rows == NULL) {
        return FB_E_NO_MEMORY;
    }
    if (d->rows_count > 0) {
        memcpy(rows, d->rows, d->rows_count * sizeof(view_row *));
    }
    d->rows = rows;
    d->rows_capacity = capacity;
    return FB_OK;
}

static fb_code link_row(decide *d, view_row *row)
{
    if (d->rows_count == d->rows_capacity) {
        FB_TRY(rows_grow(d));
    }
    view_row **bucket = bucket_of(d, &row->id);
    row->chain = *bucket;
    *bucket = row;
    d->rows[d->rows_count++] = row;
    return FB_OK;
}

fb_code view_add(decide *d, const cat_entity *e, const fb_id *id, fb_value *values, view_row **out)
{
    view_row *row = arena_take(d->memory, sizeof *row);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    *row = (view_row){.e = e, .id = *id, .values = values};
    FB_TRY(link_row(d, row));
    *out = row;
    return FB_OK;
}

fb_code view_get(decide *d, const cat_entity *e, const fb_id *id, view_row **out)
{
    view_row *row = view_find(d, e, id);
    if (row == NULL) {
        fb_value *before = arena_take(d->memory, e->columns_count * sizeof *before);
        fb_value *values = arena_take(d->memory, e->columns_count * sizeof *values);
        if (before == NULL || values == NULL) {
            return FB_E_NO_MEMORY;
        }
        FB_TRY(store_row_get(d->view, e, id, d->memory, before));
        memcpy(values, before, e->columns_count * sizeof *values);
        FB_TRY(view_add(d, e, id, values, &row));
        row->before = before;
        known_add(d->cache, e, id);
    }
    *out = row;
    return row->deleted ? FB_E_NOT_FOUND : FB_OK;
}

void view_put(view_row *row, int column, const fb_value *v)
{
    FB_ASSERT(column > 0 && (row->before == NULL || row->touched != NULL));
    if (row->touched != NULL) {
        row->touched[column] = true;
    }
    row->values[column] = *v;
}

fb_code view_set(decide *d, view_row *row, int column, const fb_value *v)
{
    if (row->before != NULL && row->touched == NULL) {
        row->touched = arena_take(d->memory, row->e->columns_count * sizeof *row->touched);
        if (row->touched == NULL) {
            return FB_E_NO_MEMORY;
        }
    }
    view_put(row, column, v);
    return FB_OK;
}

fb_code view_exists(decide *d, const cat_entity *e, const fb_id *id, bool *out)
{
    const view_row *row = view_find(d, e, id);
    if (row != NULL) {
        *out = !row->deleted;
        return FB_OK;
    }
    *out = known_has(d->cache, e, id);
    if (!*out) {
        FB_TRY(store_row_exists(d->view, e, id, out));
        if (*out) {
            known_add(d->cache, e, id);
        }
    }
    return FB_OK;
}

static fb_code update_change(decide *d, const view_row *row, change *ch)
{
    const cat_entity *e = row->e;
    int *columns = arena_take(d->memory, e->columns_count * sizeof *columns);
    fb_value *values = arena_take(d->memory, e->columns_count * sizeof *values);
    if (columns == NULL || values == NULL) {
        return FB_E_NO_MEMORY;
    }
    uint32_t count = 0;
    for (int i = 1; i < cat_ver_column(e); i++) {
        if (row->touched[i] && !fb_value_equal(&row->values[i], &row->before[i])) {
            columns[count] = i;
            values[count++] = row->values[i];
        }
    }
    *ch = (change){.kind = CHANGE_UPDATE,
                   .entity = e,
                   .id = row->id,
                   .columns = columns,
                   .values = values,
                   .columns_count = count,
                   .before = row->before};
    return FB_OK;
}

/* False where the row needs no change. */
static fb_code change_of(decide *d, const view_row *row, change *ch, bool *needed)
{
    *needed = true;
    if (row->before == NULL) {
        *ch = (change){.kind = CHANGE_INSERT,
                       .entity = row->e,
                       .id = row->id,
                       .values = row->values,
                       .columns_count = row->e->columns_count};
        *needed = !row->deleted; /* made and deleted in one group: nothing remains */
        return FB_OK;
    }
    if (row->deleted) {
        *ch =
            (change){.kind = CHANGE_DELETE, .entity = row->e, .id = row->id, .before = row->before};
        return FB_OK;
    }
    *needed = row->touched != NULL;
    if (*needed) {
        FB_TRY(update_change(d, row, ch));
        *needed = ch->columns_count > 0;
    }
    return FB_OK;
}

static fb_code list_change(decide *d, view_row *row, change *changes, uint32_t *count, bool *needed)
{
    *needed = false;
    if (row->listed) {
        return FB_OK;
    }
    row->listed = true;
    FB_TRY(change_of(d, row, &changes[*count], needed));
    *count += *needed;
    return FB_OK;
}

/* First the rows that the group names, in the order it names them: a device that sent a plain group
 * knows their versions by that (protocol.md section 5.2). Then what the rules added. */
fb_code view_changes(decide *d)
{
    change *changes = arena_take(d->memory, (d->rows_count + 1) * sizeof *changes);
    uint32_t count = 0;
    bool needed = false;
    if (changes == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < d->g->ops_count; i++) {
        view_row *row = view_find(d, d->g->ops[i].entity, &d->g->ops[i].id);
        if (row != NULL && !row->listed) {
            FB_TRY(list_change(d, row, changes, &count, &needed));
            d->plain &= needed;
        }
    }
    for (uint32_t i = 0; i < d->rows_count; i++) {
        FB_TRY(list_change(d, d->rows[i], changes, &count, &needed));
    }
    d->out->changes = changes;
    d->out->changes_count = count;
    return FB_OK;
}

bool state_became(const view_row *row, const char *state)
{
    int column = row->e->states.column;
    if (row->deleted || column < 0 || !text_is(value_text(row->values, column), state)) {
        return false;
    }
    return row->before == NULL || !text_is(value_text(row->before, column), state);
}
