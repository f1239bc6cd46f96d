/* row.c - one row in and out of its table, and the stamps on it. Knows no group and no rule. */
#include "replica/room.h"

void copy_value(arena *memory, fb_value *v)
{
    if (v->kind == FB_KIND_TEXT) {
        v->u.text = arena_text(memory, v->u.text);
    }
}

int64_t value_number(const fb_value *v)
{
    return v->kind == FB_KIND_INT ? v->u.i : 0;
}

/* A copy that failed for lack of memory. */
static bool lost(const fb_value *v)
{
    return v->kind == FB_KIND_TEXT && v->u.text.data == NULL;
}

static fb_code take_row(sql_stmt *s, const cat_entity *e, arena *memory, fb_value *values)
{
    fb_code rc = FB_OK;
    for (uint32_t i = 0; i < e->columns_count; i++) {
        values[i] = sql_value(s, (int)i);
        copy_value(memory, &values[i]);
        if (lost(&values[i])) {
            rc = FB_E_NO_MEMORY;
        }
    }
    sql_reset(s);
    return rc;
}

static fb_code take_first(sql_stmt *s, const cat_entity *e, arena *memory, fb_value *values)
{
    bool row = false;
    FB_TRY(sql_step(s, &row));
    return row ? take_row(s, e, memory, values) : FB_E_NOT_FOUND;
}

fb_code row_load(replica *r, entity_plan *p, const fb_id *id, arena *memory, fb_value *values)
{
    sql_stmt *s = plan_read(r, p);
    sql_bind_id(s, 1, id);
    return take_first(s, p->entity, memory, values);
}

fb_code row_exists(replica *r, entity_plan *p, const fb_id *id, bool *out)
{
    sql_stmt *s = plan_exists(r, p);
    sql_bind_id(s, 1, id);
    FB_TRY(sql_step(s, out));
    if (*out) {
        sql_reset(s);
    }
    return FB_OK;
}

fb_code row_insert(replica *r, entity_plan *p, const fb_value *values)
{
    sql_stmt *s = plan_insert(r, p);
    for (uint32_t i = 0; i < p->entity->columns_count; i++) {
        sql_bind_value(s, (int)i + 1, &values[i]);
    }
    return sql_run(s);
}

fb_code row_update(replica *r, entity_plan *p, const fb_id *id, const int *columns,
                   const fb_value *values, uint32_t count)
{
    sql_stmt *s = plan_update(r, p, columns, count);
    for (uint32_t i = 0; i < count; i++) {
        sql_bind_value(s, (int)i + 1, &values[i]);
    }
    sql_bind_id(s, (int)count + 1, id);
    return sql_run(s);
}

fb_code row_remove(replica *r, entity_plan *p, const fb_id *id)
{
    sql_stmt *s = plan_remove(r, p);
    sql_bind_id(s, 1, id);
    return sql_run(s);
}

fb_code row_read(replica *r, const cat_entity *e, const fb_id *id, arena *memory, fb_value *values)
{
    FB_REQUIRE(r != NULL && e != NULL && id != NULL && memory != NULL && values != NULL);
    entity_plan *p = plan_if_ours(r, e);
    FB_REQUIRE(p != NULL);
    fb_id stands = *id;
    fb_code rc = row_load(r, p, id, memory, values);
    if (rc != FB_E_NOT_FOUND) {
        return rc;
    }
    FB_TRY(alias_of(r, &stands));
    return id_equal(&stands, id) ? FB_E_NOT_FOUND : row_load(r, p, &stands, memory, values);
}

fb_code row_find(replica *r, const cat_entity *e, int column, const fb_value *equal, arena *memory,
                 fb_value *values)
{
    FB_REQUIRE(r != NULL && e != NULL && equal != NULL && memory != NULL && values != NULL);
    FB_REQUIRE(column >= 0 && (uint32_t)column < e->columns_count);
    buf_reset(&r->text);
    buf_put_str(&r->text, "SELECT ");
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_put_str(&r->text, i == 0 ? "" : ",");
        buf_put_text(&r->text, e->columns[i].name);
    }
    buf_put_str(&r->text, " FROM ");
    buf_put_text(&r->text, e->name);
    buf_put_str(&r->text, " WHERE ");
    buf_put_text(&r->text, e->columns[column].name);
    buf_put_str(&r->text, " IS ?1 ORDER BY id LIMIT 1");
    sql_stmt *s = sql_prepare(r->db, buf_cstr(&r->text));
    sql_bind_value(s, 1, equal);
    return take_first(s, e, memory, values);
}

/* --- stamps -------------------------------------------------------------------------- */

static fb_value of_id(const fb_id *id)
{
    return id_is_none(id) ? (fb_value){.kind = FB_KIND_NULL}
                          : (fb_value){.kind = FB_KIND_ID, .u.id = *id};
}

static fb_value of_int(int64_t v)
{
    return (fb_value){.kind = FB_KIND_INT, .u.i = v};
}

static void set(fb_value *values, int column, fb_value v)
{
    if (column >= 0) {
        values[column] = v;
    }
}

void stamp_insert(const replica *r, const entity_plan *p, int64_t at_ms, fb_value *values)
{
    set(values, p->created_by, of_id(&r->me.user));
    set(values, p->created_at, of_int(at_ms));
    set(values, p->created_device, of_id(&r->me.device));
    set(values, p->updated_by, of_id(&r->me.user));
    set(values, p->updated_at, of_int(at_ms));
}

static void append(int *columns, fb_value *values, uint32_t *count, int column, fb_value v)
{
    if (column >= 0) {
        columns[*count] = column;
        values[*count] = v;
        (*count)++;
    }
}

void stamp_update(const replica *r, const entity_plan *p, int64_t at_ms, int *columns,
                  fb_value *values, uint32_t *count)
{
    append(columns, values, count, p->updated_by, of_id(&r->me.user));
    append(columns, values, count, p->updated_at, of_int(at_ms));
}
