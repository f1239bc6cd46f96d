/* erase_again.c - a database that was put back is erased again (ERS-4). See erase.h. */
#include <string.h>

#include "base/id.h"
#include "sync-server/erase/erase_inside.h"
#include "sync-server/store/fill.h"

enum { LIST_PAGE = 256, AGAIN_BYTES_MAX = 1 << 30 };

typedef struct again {
    store *s;
    const catalog *cat;
    const cat_entity *list;
    arena *memory;
    store_erasure *all; /* of one side, what the other one may lack */
    uint32_t count, capacity;
} again;

static fb_code one_add(again *g, const store_erasure *one)
{
    if (g->count == g->capacity) {
        uint32_t capacity = g->capacity == 0 ? 64 : g->capacity * 2;
        store_erasure *grown = arena_take(g->memory, capacity * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (g->count > 0) {
            memcpy(grown, g->all, g->count * sizeof *grown);
        }
        g->all = grown;
        g->capacity = capacity;
    }
    g->all[g->count++] = (store_erasure){.entity = arena_text(g->memory, one->entity),
                                         .reason = arena_text(g->memory, one->reason),
                                         .id = one->id,
                                         .at_ms = one->at_ms};
    return arena_failed(g->memory) ? FB_E_NO_MEMORY : FB_OK;
}

/* From the file: those of which the database does not know. */
static fb_code lacking_take(void *ctx, const store_erasure *one)
{
    again *g = ctx;
    fb_id at = erasure_id(&one->id);
    bool known = false;
    FB_TRY(store_row_exists(g->s, g->list, &at, &known));
    return known ? FB_OK : one_add(g, one);
}

static fb_code row_take(again *g, const fb_id *at)
{
    fb_value *row = arena_take(g->memory, g->list->columns_count * sizeof *row);
    store_erasure one = {.at_ms = 0};
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(g->s, g->list, at, g->memory, row));
    one.entity = row_text(g->list, row, "entity");
    one.reason = row_text(g->list, row, "reason");
    one.at_ms = row_int(g->list, row, "erased_at");
    return id_get(row_text(g->list, row, "entity_id"), &one.id) ? one_add(g, &one) : FB_OK;
}

static fb_code listed_take(again *g)
{
    int column = cat_column_str(g->list, "entity_id");
    fb_id ids[LIST_PAGE], after = {{0}};
    uint32_t count = 0;
    do {
        FB_TRY(store_ids_after(g->s, g->list, column, &after, LIST_PAGE, ids, &count));
        for (uint32_t i = 0; i < count; i++) {
            FB_TRY(row_take(g, &ids[i]));
        }
        after = count > 0 ? ids[count - 1] : after;
    } while (count == LIST_PAGE);
    return FB_OK;
}

fb_code erase_list_keep(store *s, const char *path, const char *vfs, fb_error *err)
{
    again g = {.s = s, .cat = store_catalog(s), .memory = arena_new(AGAIN_BYTES_MAX)};
    g.list = catalog_entity_str(g.cat, "erasure");
    fb_code rc = g.memory == NULL ? FB_E_NO_MEMORY : FB_OK;
    if (rc == FB_OK && g.list != NULL) {
        rc = listed_take(&g);
    }
    if (rc == FB_OK) {
        rc = store_erased_put(path, vfs, g.all, g.count, err);
    }
    arena_free(g.memory);
    return rc;
}

static fb_code one_erase(again *g, const store_erasure *one, fb_error *err)
{
    erase_report report;
    const erase_order order = {.entity = one->entity,
                               .id = one->id,
                               .reason = one->reason,
                               .at_ms = one->at_ms,
                               .row_may_lack = true};
    fb_error why = {0};
    fb_code rc = erase_person(g->s, &order, g->memory, &report, &why);
    if (rc == FB_E_INVALID) { /* of an entity that this company's catalogue has not got */
        return FB_OK;
    }
    return rc == FB_OK ? FB_OK : fail(err, rc, "erased", "%s", why.message);
}

static fb_code lacking_erase(again *g, fb_error *err)
{
    FB_TRY(store_begin(g->s));
    fb_code rc = FB_OK;
    for (uint32_t i = 0; rc == FB_OK && i < g->count; i++) {
        rc = one_erase(g, &g->all[i], err);
    }
    if (rc != FB_OK) {
        store_rollback(g->s);
        return rc;
    }
    return store_commit(g->s);
}

fb_code erase_again(store *s, const char *path, const char *vfs, bool *erased_out, fb_error *err)
{
    again g = {.s = s, .cat = store_catalog(s), .memory = arena_new(AGAIN_BYTES_MAX)};
    g.list = catalog_entity_str(g.cat, "erasure");
    *erased_out = false;
    if (g.memory == NULL || g.list == NULL) {
        arena_free(g.memory);
        return g.list == NULL ? FB_OK : FB_E_NO_MEMORY;
    }
    fb_code rc = store_erased_each(path, vfs, lacking_take, &g, err);
    if (rc == FB_OK && g.count > 0) {
        rc = lacking_erase(&g, err);
        *erased_out = rc == FB_OK;
    }
    arena_free(g.memory);
    return rc == FB_OK ? erase_list_keep(s, path, vfs, err) : rc;
}
