/* catalogue.c - IT, or a new release, adds entities and columns: the new catalogue becomes active,
 * and the grants of the new entities become permissions of the roles, in one transaction. See
 * door.h. */
#include "sync-server/door/door.h"

#include "base/id.h"
#include "sync-server/ledger/ledger.h"

enum {
    GROW_BYTES_MAX = 32 << 20,
    GROW_ROWS_MAX = 4096,
    CATALOG_TEXT_BYTES_MAX = 8 << 20,
    FILL_ROWS = 1000 /* rows of one commit */
};

typedef struct growth {
    store *db;
    arena *memory;
    id_maker ids;
    int64_t now_ms;
    bool *is_new;         /* by entity of the new catalogue: the one before lacks it */
    bool **is_new_column; /* by entity and column */
    const cat_entity *permission;
    change *changes;
    uint32_t count;
} growth;

static fb_code permission_add(growth *g, const fb_id *role, const cat_entity *e, const char *verb,
                              bool granted)
{
    if (!granted) {
        return FB_OK;
    }
    const cat_entity *p = g->permission;
    fb_value *row = arena_take(g->memory, sizeof *row * p->columns_count);
    if (row == NULL || g->count == GROW_ROWS_MAX) {
        return FB_E_LIMIT;
    }
    buf text;
    buf_init(&text, 128);
    buf_put_text(&text, e->name);
    buf_printf(&text, ".%s", verb);
    fb_text name = arena_text(g->memory, buf_text(&text));
    buf_clear(&text);
    row[0] = (fb_value){.kind = FB_KIND_ID, .u.id = id_make(&g->ids, g->now_ms)};
    row[cat_column_str(p, "role_id")] = (fb_value){.kind = FB_KIND_ID, .u.id = *role};
    row[cat_column_str(p, "permission")] = (fb_value){.kind = FB_KIND_TEXT, .u.text = name};
    row[cat_ver_column(p)] = (fb_value){.kind = FB_KIND_INT};
    g->changes[g->count++] = (change){.kind = CHANGE_INSERT,
                                      .entity = p,
                                      .id = row[0].u.id,
                                      .values = row,
                                      .columns_count = p->columns_count};
    return name.data == NULL ? FB_E_NO_MEMORY : FB_OK;
}

/* A role the company does not have is left out: there is nobody to grant to. */
static fb_code grant_add(growth *g, const cat_entity *e, const cat_grant *grant)
{
    const cat_entity *role = catalog_entity_str(store_catalog(g->db), "role");
    fb_value *row = arena_take(g->memory, sizeof *row * role->columns_count);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_value code = {.kind = FB_KIND_TEXT, .u.text = grant->role};
    fb_code rc = store_row_by(g->db, role, cat_column_str(role, "code"), &code, g->memory, row);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    const fb_id *id = &row[0].u.id;
    FB_TRY(permission_add(g, id, e, "create", grant->create));
    FB_TRY(permission_add(g, id, e, "read", grant->read));
    FB_TRY(permission_add(g, id, e, "update", grant->update));
    FB_TRY(permission_add(g, id, e, "delete", grant->remove));
    return permission_add(g, id, e, "approve", grant->approve);
}

static fb_code permissions_write(growth *g)
{
    const catalog *c = store_catalog(g->db);
    g->permission = catalog_entity_str(c, "role_permission");
    g->changes = arena_take(g->memory, sizeof *g->changes * GROW_ROWS_MAX);
    if (g->changes == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        for (uint32_t k = 0; g->is_new[i] && k < e->grants_count; k++) {
            FB_TRY(grant_add(g, e, &e->grants[k]));
        }
    }
    commit_source from = {.at_ms = g->now_ms, .kind = text_of("admin.catalog")};
    int64_t cid;
    return g->count == 0 ? FB_OK : ledger_commit(g->db, &from, g->changes, g->count, &cid);
}

/* ---- rows that were there before a column took the place of another ---- */

static fb_code fill_change(growth *g, arena *memory, const cat_entity *e, int column,
                           const fb_id *id, change *out, bool *made)
{
    fb_value *row = arena_take(memory, e->columns_count * sizeof *row);
    fb_value *values = arena_take(memory, sizeof *values);
    int *columns = arena_take(memory, sizeof *columns);
    if (row == NULL || columns == NULL || values == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(g->db, e, id, memory, row));
    *columns = column;
    *made = cat_value_from(e, column, &row[e->columns[column].from_column], values);
    *out = (change){.kind = CHANGE_UPDATE,
                    .entity = e,
                    .id = *id,
                    .columns = columns,
                    .values = values,
                    .columns_count = 1,
                    .before = row};
    return FB_OK;
}

static fb_code fill_commit(growth *g, arena *memory, const cat_entity *e, int column,
                           const fb_id *ids, uint32_t ids_count)
{
    const commit_source from = {.at_ms = g->now_ms, .kind = text_of("admin.catalog")};
    change changes[FILL_ROWS];
    uint32_t count = 0;
    int64_t cid = 0;
    for (uint32_t i = 0; i < ids_count; i++) {
        bool made = false;
        FB_TRY(fill_change(g, memory, e, column, &ids[i], &changes[count], &made));
        count += made;
    }
    return count == 0 ? FB_OK : ledger_commit(g->db, &from, changes, count, &cid);
}

static fb_code fill_column(growth *g, const cat_entity *e, int column)
{
    fb_id ids[FILL_ROWS];
    fb_id at = {{0}};
    uint32_t count = FILL_ROWS;
    while (count == FILL_ROWS) {
        FB_TRY(
            store_ids_after(g->db, e, e->columns[column].from_column, &at, FILL_ROWS, ids, &count));
        arena *memory = arena_new(GROW_BYTES_MAX);
        fb_code rc =
            memory == NULL ? FB_E_NO_MEMORY : fill_commit(g, memory, e, column, ids, count);
        arena_free(memory);
        FB_TRY(rc);
        at = count > 0 ? ids[count - 1] : at;
    }
    return FB_OK;
}

static fb_code columns_fill(growth *g)
{
    const catalog *c = store_catalog(g->db);
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        for (int k = 1; e->has_from && k < cat_ver_column(e); k++) {
            bool asked = e->columns[k].from_column > 0 && !g->is_new[i];
            if (asked && g->is_new_column[i][k]) {
                FB_TRY(fill_column(g, e, k));
            }
        }
    }
    return FB_OK;
}

static fb_code find_new_columns(growth *g, const cat_entity *before, const cat_entity *now)
{
    bool *is_new = arena_take(g->memory, now->columns_count * sizeof *is_new);
    for (uint32_t i = 0; is_new != NULL && i < now->columns_count; i++) {
        is_new[i] = cat_column_find(before, now->columns[i].name) < 0;
    }
    g->is_new_column[now->number] = is_new;
    return is_new != NULL ? FB_OK : FB_E_NO_MEMORY;
}

/* Asked before the new catalogue takes the place of the old one. */
static fb_code find_new(growth *g, fb_text text, fb_error *err)
{
    catalog *next = NULL;
    FB_TRY(catalog_load(text, &next, err));
    g->is_new = arena_take(g->memory, next->entities_count * sizeof *g->is_new);
    g->is_new_column = arena_take(g->memory, next->entities_count * sizeof *g->is_new_column);
    fb_code rc = g->is_new != NULL && g->is_new_column != NULL ? FB_OK : FB_E_NO_MEMORY;
    for (uint32_t i = 0; rc == FB_OK && i < next->entities_count; i++) {
        const cat_entity *before = catalog_entity(store_catalog(g->db), next->entities[i].name);
        g->is_new[i] = before == NULL;
        rc = before != NULL ? find_new_columns(g, before, &next->entities[i]) : FB_OK;
    }
    catalog_free(next);
    return rc;
}

static fb_code grow_inside(growth *g, fb_text text, fb_error *err)
{
    FB_TRY(find_new(g, text, err));
    FB_TRY(store_catalog_install(g->db, text, err));
    FB_TRY(permissions_write(g));
    FB_TRY(columns_fill(g));
    return audit_put(g->db, g->now_ms, text_of("admin"), text_of("catalog"), (fb_text){NULL, 0},
                     NULL, text_of("{}"));
}

/* The text becomes the active catalogue, in a transaction of its own. */
static fb_code grow_to(store *s, fb_text text, const fb_port *port, fb_error *err)
{
    uint8_t random[8];
    FB_TRY(port->random(port->ctx, random, sizeof random));
    growth g = {.db = s, .memory = arena_new(GROW_BYTES_MAX), .now_ms = port->wall_ms(port->ctx)};
    if (g.memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    id_maker_init(&g.ids, random);
    fb_code rc = store_begin(s);
    if (rc == FB_OK) {
        rc = grow_inside(&g, text, err);
        if (rc == FB_OK) {
            rc = store_commit(s);
        } else {
            store_rollback(s);
        }
    }
    arena_free(g.memory);
    return rc;
}

fb_code door_catalog_grow(store *s, fb_text module, const fb_port *port, fb_error *err)
{
    buf text;
    buf_init(&text, CATALOG_TEXT_BYTES_MAX);
    fb_code rc = catalog_add(store_catalog(s), module, &text, err);
    if (rc == FB_OK) {
        rc = grow_to(s, buf_text(&text), port, err);
    }
    buf_clear(&text);
    return rc;
}

fb_code door_catalog_renew(store *s, fb_text builtin, const fb_port *port, bool *changed_out,
                           fb_error *err)
{
    buf text;
    buf_init(&text, CATALOG_TEXT_BYTES_MAX);
    fb_code rc = catalog_release(store_catalog(s), builtin, &text, changed_out, err);
    if (rc == FB_OK && *changed_out) {
        rc = grow_to(s, buf_text(&text), port, err);
    }
    buf_clear(&text);
    return rc;
}
