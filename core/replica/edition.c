/* edition.c - one catalogue in use, with the prepared statements of its entities.
 *
 * A newer catalogue comes in front of the older ones, which stay until the handle is closed: an
 * entity that a caller still holds keeps its columns and its statements, and both name their
 * columns, so they stay right while the tables only grow (CAT-4). */
#include <stdlib.h>
#include <string.h>

#include "replica/room.h"

fb_code edition_new(catalog *take, edition **out)
{
    edition *e = calloc(1, sizeof *e);
    arena *memory = arena_new(ARENA_BYTES_LIMIT);
    if (e == NULL || memory == NULL) {
        free(e);
        arena_free(memory);
        return FB_E_NO_MEMORY;
    }
    e->memory = memory;
    e->plans = arena_take(memory, (take->entities_count + 1) * sizeof *e->plans);
    e->changed_at = arena_take(memory, (take->entities_count + 1) * sizeof *e->changed_at);
    if (e->plans == NULL || e->changed_at == NULL) {
        free(e);
        arena_free(memory);
        return FB_E_NO_MEMORY;
    }
    e->catalog = take;
    *out = e;
    return FB_OK;
}

void edition_free(edition *e)
{
    catalog_free(e->catalog);
    arena_free(e->memory);
    free(e);
}

static void find_stamps(entity_plan *p, const cat_entity *e)
{
    p->created_by = p->created_at = p->created_device = p->updated_by = p->updated_at = -1;
    if (e->stamps) {
        p->created_by = cat_column_str(e, "created_by");
        p->created_at = cat_column_str(e, "created_at");
        p->created_device = cat_column_str(e, "created_device");
        p->updated_by = cat_column_str(e, "updated_by");
        p->updated_at = cat_column_str(e, "updated_at");
    }
}

/* Derived columns, as id, ver and stamps are, are made on each side and never travel. */
static void plan_init(entity_plan *p, const cat_entity *e)
{
    p->entity = e;
    find_stamps(p, e);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        p->carried[i] = !e->columns[i].derived;
    }
}

static entity_plan *plan_in(edition *d, const cat_entity *e)
{
    FB_ASSERT(e->number >= 0 && e == &d->catalog->entities[e->number]);
    entity_plan *p = &d->plans[e->number];
    if (p->entity == NULL) {
        plan_init(p, e);
    }
    return p;
}

entity_plan *plan_if_ours(replica *r, const cat_entity *e)
{
    for (edition *d = r->edition; d != NULL; d = d->before) {
        const cat_entity *first = d->catalog->entities;
        if (e >= first && e < first + d->catalog->entities_count) {
            return plan_in(d, e);
        }
    }
    return NULL;
}

entity_plan *plan_of(replica *r, const cat_entity *e)
{
    entity_plan *p = plan_if_ours(r, e);
    FB_ASSERT(p != NULL);
    return p;
}

/* --- statements ---------------------------------------------------------------------- */

static void put_columns(buf *out, const cat_entity *e)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_put_str(out, i == 0 ? "" : ",");
        buf_put_text(out, e->columns[i].name);
    }
}

static sql_stmt *prepared(replica *r, sql_stmt **slot)
{
    /* A text that memory did not suffice for is empty, which sql_prepare says. What failed is asked
     * for again by the next call. */
    sql_stmt *s = sql_prepare(r->db, buf_cstr(&r->text));
    *slot = sql_is_prepared(s) ? s : NULL;
    return s;
}

sql_stmt *plan_read(replica *r, entity_plan *p)
{
    if (p->read != NULL) {
        return p->read;
    }
    buf_reset(&r->text);
    buf_put_str(&r->text, "SELECT ");
    put_columns(&r->text, p->entity);
    buf_put_str(&r->text, " FROM ");
    buf_put_text(&r->text, p->entity->name);
    buf_put_str(&r->text, " WHERE id=?1");
    return prepared(r, &p->read);
}

sql_stmt *plan_insert(replica *r, entity_plan *p)
{
    if (p->insert != NULL) {
        return p->insert;
    }
    buf_reset(&r->text);
    buf_put_str(&r->text, "INSERT INTO ");
    buf_put_text(&r->text, p->entity->name);
    buf_put_str(&r->text, " (");
    put_columns(&r->text, p->entity);
    buf_put_str(&r->text, ") VALUES (");
    for (uint32_t i = 0; i < p->entity->columns_count; i++) {
        buf_put_str(&r->text, i == 0 ? "?" : ",?");
    }
    buf_put_str(&r->text, ")");
    return prepared(r, &p->insert);
}

sql_stmt *plan_remove(replica *r, entity_plan *p)
{
    if (p->remove != NULL) {
        return p->remove;
    }
    buf_reset(&r->text);
    buf_put_str(&r->text, "DELETE FROM ");
    buf_put_text(&r->text, p->entity->name);
    buf_put_str(&r->text, " WHERE id=?1");
    return prepared(r, &p->remove);
}

sql_stmt *plan_exists(replica *r, entity_plan *p)
{
    if (p->exists != NULL) {
        return p->exists;
    }
    buf_reset(&r->text);
    buf_put_str(&r->text, "SELECT ver FROM ");
    buf_put_text(&r->text, p->entity->name);
    buf_put_str(&r->text, " WHERE id=?1");
    return prepared(r, &p->exists);
}

sql_stmt *plan_update(replica *r, entity_plan *p, const int *columns, uint32_t count)
{
    if (p->update != NULL && p->update_count == count &&
        memcmp(p->update_columns, columns, count * sizeof *columns) == 0) {
        return p->update;
    }
    FB_ASSERT(count > 0 && count <= CATALOG_COLUMNS_LIMIT);
    buf_reset(&r->text);
    buf_put_str(&r->text, "UPDATE ");
    buf_put_text(&r->text, p->entity->name);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(&r->text, i == 0 ? " SET " : ",");
        buf_put_text(&r->text, p->entity->columns[columns[i]].name);
        buf_put_str(&r->text, "=?");
    }
    buf_put_str(&r->text, " WHERE id=?");
    memcpy(p->update_columns, columns, count * sizeof *columns);
    p->update_count = count;
    return prepared(r, &p->update);
}
