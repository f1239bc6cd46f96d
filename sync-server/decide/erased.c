/* erased.c - the data of an erased person is not taken again, whatever device brings it, however
 * late: a stale outbox, a phone put back from a copy, a server put back (D10).
 *
 * The rows of the entity `erasure` name whom (sync-server/erase); what hangs on them is found by
 * the catalogue (wire/erased.h). A group is judged without the values at fault: what else it does
 * stands, so no work is lost, and the verdict says E_ERASED and which columns. Where nobody was
 * erased nothing is asked. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

enum { ERASED_PAGE = 256, SLOTS_FIRST = 64, ALIAS_HOPS_MAX = 8 };

static fb_id *slot_of(const erased_set *set, const fb_id *id)
{
    uint64_t low = 0;
    memcpy(&low, id->b + 8, sizeof low);
    uint32_t at = (uint32_t)((low * 0x9E3779B97F4A7C15u) >> 32) & (set->slots - 1);
    while (!id_is_none(&set->ids[at]) && !id_equal(&set->ids[at], id)) {
        at = (at + 1) & (set->slots - 1);
    }
    return &set->ids[at];
}

static fb_code set_grow(decide_cache *c, uint32_t count)
{
    erased_set grown = {.slots = c->erased.slots > 0 ? c->erased.slots * 2 : SLOTS_FIRST};
    if (count * 2 < c->erased.slots) {
        return FB_OK;
    }
    grown.ids = arena_take(c->memory, grown.slots * sizeof *grown.ids);
    if (grown.ids == NULL) {
        return FB_E_NO_MEMORY;
    }
    memset(grown.ids, 0, grown.slots * sizeof *grown.ids);
    for (uint32_t i = 0; i < c->erased.slots; i++) {
        if (!id_is_none(&c->erased.ids[i])) {
            *slot_of(&grown, &c->erased.ids[i]) = c->erased.ids[i];
        }
    }
    c->erased = grown;
    return FB_OK;
}

static fb_code rows_take(decide_cache *c, store *view, const cat_entity *e, const fb_id *ids,
                         uint32_t count, uint32_t *all)
{
    fb_value *row = arena_take(c->memory, e->columns_count * sizeof *row);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        fb_id id;
        FB_TRY(store_row_get(view, e, &ids[i], c->memory, row));
        if (id_get(row_text(e, row, "entity_id"), &id) && !id_is_none(&id)) {
            FB_TRY(set_grow(c, ++*all));
            *slot_of(&c->erased, &id) = id;
        }
    }
    return FB_OK;
}

fb_code erased_load(decide_cache *c, store *view)
{
    const cat_entity *e = catalog_entity_str(c->cat, "erasure");
    int column = e != NULL ? cat_column_str(e, "entity_id") : -1;
    fb_id ids[ERASED_PAGE], after = {{0}};
    uint32_t count = 0, all = 0;
    c->erased = (erased_set){.slots = 0};
    do {
        FB_TRY(column < 0 ? FB_OK
                          : store_ids_after(view, e, column, &after, ERASED_PAGE, ids, &count));
        FB_TRY(count > 0 ? rows_take(c, view, e, ids, count, &all) : FB_OK);
        after = count > 0 ? ids[count - 1] : after;
    } while (count == ERASED_PAGE);
    return FB_OK;
}

/* An id that turned out to be another row's is that row. */
static fb_code listed(void *ctx, const fb_id *id, bool *out)
{
    const erased_set *set = ctx;
    fb_id at = *id;
    bool more = true;
    *out = !id_is_none(slot_of(set, &at));
    for (int hops = 0; !*out && more && hops < ALIAS_HOPS_MAX; hops++) {
        store_stmt *q = store_prepare(set->view, STORE_decide_alias_any);
        store_bind_id(q, 1, &at);
        FB_TRY(store_step(q, &more));
        if (more) {
            at = store_id(q, 0);
            store_reset(q);
            *out = !id_is_none(slot_of(set, &at));
        }
    }
    return FB_OK;
}

static fb_code row_of(void *ctx, const cat_entity *e, const fb_id *id, arena *memory,
                      fb_value *values)
{
    const erased_set *set = ctx;
    return store_row_get(set->view, e, id, memory, values);
}

bool decide_erased_view(decide_cache *c, store *view, erased_view *out)
{
    c->erased.view = view;
    *out = (erased_view){&c->erased, c->cat, listed, row_of};
    return c->erased.slots > 0;
}

fb_code group_erase(decide *d, group *g)
{
    erased_view v;
    if (decide_erased_view(d->cache, d->view, &v)) {
        FB_TRY(erased_group(&v, g, d->memory, &d->erased));
    }
    d->plain = d->plain && d->erased.count == 0;
    return FB_OK;
}

static fb_code row_in_view(void *ctx, const cat_entity *e, const fb_id *id, arena *memory,
                           fb_value *values)
{
    decide *d = ctx;
    const view_row *row = view_find(d, e, id);
    if (row == NULL) {
        return row_of(&d->cache->erased, e, id, memory, values);
    }
    memcpy(values, row->values, e->columns_count * sizeof *values);
    return FB_OK;
}

static fb_code listed_in_view(void *ctx, const fb_id *id, bool *out)
{
    decide *d = ctx;
    return listed(&d->cache->erased, id, out);
}

fb_code aliased_erase(decide *d)
{
    const erased_view v = {d, d->cat, listed_in_view, row_in_view};
    if (d->aliases == NULL || d->cache->erased.slots == 0) {
        return FB_OK;
    }
    for (uint32_t i = 0; i < d->rows_count; i++) {
        view_row *row = d->rows[i];
        erased_columns gone;
        FB_TRY(erased_columns_of(&v, row->e, &row->id, row->values, d->memory, &gone));
        row->deleted = row->deleted || (gone.whole && row->before == NULL);
        for (int c = 1; gone.any && c < cat_ver_column(row->e); c++) {
            if (gone.column[c]) {
                FB_TRY(erased_value(&v, row->e, c, row->values, d->memory, &row->values[c]));
            }
        }
    }
    return FB_OK;
}

fb_code erased_merged(decide *d)
{
    for (uint32_t i = 0; i < d->erased.count; i++) {
        const erased_part *p = &d->erased.part[i];
        merged_column *at = arena_take(d->memory, sizeof *at);
        char id[FB_ID_TEXT_BYTES];
        if (at == NULL) {
            return FB_E_NO_MEMORY;
        }
        id_put(&p->id, id);
        *at = (merged_column){
            .column = {.entity = p->entity->name,
                       .id = arena_text(d->memory, text_of(id)),
                       .column = p->entity->columns[p->column < 0 ? 0 : p->column].name,
                       .policy = text_of("SW")}};
        *d->merged_end = at;
        d->merged_end = &at->next;
        d->merged_count++;
    }
    return FB_OK;
}
