/* store_catalog.c - see store.h: the active catalogue, its tables and the stable entity numbers.
 *
 *   STC-1  every entity of the active catalogue has a number in fs_entity, which never changes
 *   STC-2  statements prepared for one catalogue are never used with another */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "schema/limits.h"
#include "sync-server/store/store_inside.h"

enum { PLANS_BYTES_MAX = 8 << 20 };

void store_catalog_drop(store *s)
{
    store_views_end(s);
    arena_free(s->plans_memory);
    catalog_free(s->catalog);
    s->plans_memory = NULL;
    s->catalog = NULL;
    s->plans = NULL;
    s->number_of = NULL;
    s->entity_of = NULL;
    s->entity_of_count = 0;
}

static fb_code numbers_count(store *s, int64_t *out)
{
    store_stmt *q = store_prepare(s, STORE_store_entity_all);
    bool row = true;
    *out = 1;
    while (true) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            return FB_OK;
        }
        int64_t number = store_int(q, 0);
        *out = number >= *out ? number + 1 : *out;
    }
}

static fb_code numbers_read(store *s, const catalog *c, int64_t *number_of,
                            const cat_entity **entity_of)
{
    store_stmt *q = store_prepare(s, STORE_store_entity_all);
    bool row = true;
    while (true) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            return FB_OK;
        }
        const cat_entity *e = catalog_entity(c, store_text(q, 1));
        if (e != NULL) {
            number_of[e->number] = store_int(q, 0);
            entity_of[store_int(q, 0)] = e;
        }
    }
}

static bool names_column(const cat_entity *e, int column)
{
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        if (e->scopes[i].column == column) {
            return true;
        }
    }
    return false;
}

static bool plan_init(row_plan *p, const cat_entity *e, arena *memory)
{
    p->by = arena_take(memory, e->columns_count * sizeof(sql_stmt *));
    p->keys_by = arena_take(memory, e->columns_count * sizeof(sql_stmt *));
    p->key_columns = arena_take(memory, (SCOPE_RULES_MAX + 2) * sizeof(int));
    if (p->by == NULL || p->keys_by == NULL || p->key_columns == NULL) {
        return false;
    }
    for (int i = 0; i < (int)e->columns_count; i++) {
        if (i == 0 || i == cat_ver_column(e) || names_column(e, i)) {
            p->key_columns[p->keys_count++] = i;
        }
    }
    return true;
}

/* Make `take` the catalogue in use; consumed also on failure. */
fb_code store_catalog_use(store *s, catalog *take)
{
    arena *memory = arena_new(PLANS_BYTES_MAX);
    int64_t numbers = 0;
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : numbers_count(s, &numbers);
    row_plan *plans = NULL;
    int64_t *number_of = NULL;
    const cat_entity **entity_of = NULL;
    if (rc == FB_OK) {
        plans = arena_take(memory, take->entities_count * sizeof *plans);
        number_of = arena_take(memory, take->entities_count * sizeof *number_of);
        entity_of = arena_take(memory, (size_t)numbers * sizeof *entity_of);
        rc = plans != NULL && number_of != NULL && entity_of != NULL ? FB_OK : FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; rc == FB_OK && i < take->entities_count; i++) {
        rc = plan_init(&plans[i], &take->entities[i], memory) ? FB_OK : FB_E_NO_MEMORY;
    }
    if (rc == FB_OK) {
        rc = numbers_read(s, take, number_of, entity_of);
    }
    if (rc != FB_OK) {
        arena_free(memory);
        catalog_free(take);
        return rc;
    }
    store_catalog_drop(s);
    s->catalog = take;
    s->plans_memory = memory;
    s->plans = plans;
    s->number_of = number_of;
    s->entity_of = entity_of;
    s->entity_of_count = numbers;
    s->stamp++;
    return FB_OK;
}

/* Read the newest catalogue of the database; none is fine. */
fb_code store_catalog_load(store *s, fb_error *err)
{
    store_stmt *q = store_prepare(s, STORE_store_catalog_newest);
    catalog *made = NULL;
    bool row = false;
    fb_code rc = store_step(q, &row);
    if (rc != FB_OK) {
        return fail(err, rc, "catalog", "cannot read the catalogue: %s", sql_message(s->db));
    }
    if (!row) {
        store_catalog_drop(s);
        return FB_OK;
    }
    rc = catalog_load(store_text(q, 1), &made, err);
    store_reset(q);
    FB_TRY(rc);
    rc = store_catalog_use(s, made);
    return rc == FB_OK ? FB_OK : fail(err, rc, "catalog", "cannot use the catalogue");
}

const catalog *store_catalog(store *s)
{
    return s->catalog;
}

fb_code store_catalog_refresh(store *s, fb_error *err)
{
    store_stmt *q = store_prepare(s, STORE_store_catalog_version);
    bool row = false;
    fb_code rc = store_step(q, &row);
    if (rc != FB_OK) {
        return fail(err, rc, "catalog", "cannot read the catalogue: %s", sql_message(s->db));
    }
    int64_t newest = row ? store_int(q, 0) : 0;
    store_reset(q);
    if (s->catalog != NULL ? newest == (int64_t)s->catalog->version : newest == 0) {
        return FB_OK;
    }
    return store_catalog_load(s, err);
}

static fb_code run_ddl(void *ctx, const char *sql)
{
    store *s = ctx;
    return sql_exec(s->db, sql);
}

static fb_code number_entities(store *s, const catalog *c)
{
    for (uint32_t i = 0; i < c->entities_count; i++) {
        store_stmt *q = store_prepare(s, STORE_store_entity_add);
        store_bind_text(q, 1, c->entities[i].name);
        FB_TRY(store_run(q));
    }
    return FB_OK;
}

static fb_code install(store *s, const catalog *next)
{
    store_views_end(s); /* a table cannot change under a statement that stands on it */
    FB_TRY(catalog_migrate(s->catalog, next, CAT_SERVER, run_ddl, s));
    FB_TRY(number_entities(s, next));
    store_stmt *q = store_prepare(s, STORE_store_catalog_add);
    store_bind_int(q, 1, next->version);
    store_bind_text(q, 2, next->text);
    return store_run(q);
}

fb_code store_catalog_install(store *s, fb_text text, fb_error *err)
{
    FB_REQUIRE(!s->read_only);
    catalog *next = NULL;
    FB_TRY(catalog_load(text, &next, err));
    fb_code rc = FB_OK;
    if (s->catalog != NULL) {
        rc = catalog_extends(s->catalog, next, err);
        if (rc == FB_OK && next->version <= s->catalog->version) {
            rc = fail(err, FB_E_CATALOG, "version", "version %u is active: give a greater one",
                      s->catalog->version);
        }
    }
    if (rc == FB_OK) {
        rc = install(s, next);
        if (rc != FB_OK) {
            fail(err, rc, "catalog", "cannot make the tables: %s", sql_message(s->db));
        }
    }
    if (rc != FB_OK) {
        catalog_free(next);
        return rc;
    }
    s->installed = true;
    return store_catalog_use(s, next);
}

int64_t store_entity_number(store *s, const cat_entity *e)
{
    FB_ASSERT(s->number_of[e->number] > 0); /* STC-1 */
    return s->number_of[e->number];
}

const cat_entity *store_entity_by_number(store *s, int64_t number)
{
    return number > 0 && number < s->entity_of_count ? s->entity_of[number] : NULL;
}
