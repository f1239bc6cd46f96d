/* late.c - indexes after the rows: a table that is empty and about to take many rows loads
 * several times faster without its secondary indexes. Same transaction, so nobody sees it. */
#include "replica/room.h"

static fb_code table_is_empty(replica *r, const cat_entity *e, bool *out)
{
    bool row = false;
    buf_reset(&r->text);
    buf_printf(&r->text, "SELECT 1 FROM %.*s LIMIT 1", (int)e->name.size, e->name.data);
    const char *text = buf_cstr(&r->text);
    sql_stmt *s = sql_prepare(r->db, text);
    FB_TRY(sql_step(s, &row));
    if (row) {
        sql_reset(s);
    }
    *out = !row;
    return FB_OK;
}

static fb_code remember(late_indexes *late, fb_text sql)
{
    struct late_index *made = arena_take(late->memory, sizeof *made);
    fb_text copy = arena_text(late->memory, sql);
    if (made == NULL || copy.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    made->sql = copy.data;
    made->next = late->first;
    late->first = made;
    return FB_OK;
}

/* The texts of an entity's indexes into `late`, their names as statements into r->text. */
static fb_code list_indexes(replica *r, const cat_entity *e, late_indexes *late)
{
    bool row = false;
    sql_stmt *s =
        sql_prepare(r->db, "SELECT name, sql FROM sqlite_schema WHERE type='index' AND tbl_name=?1"
                           " AND sql IS NOT NULL");
    buf_reset(&r->text);
    sql_bind_text(s, 1, e->name);
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        fb_text name = sql_text(s, 0);
        buf_printf(&r->text, "DROP INDEX %.*s;", (int)name.size, name.data);
        rc = remember(late, sql_text(s, 1));
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    return rc;
}

fb_code late_drop(replica *r, const page_counts *counts, late_indexes *out)
{
    const catalog *c = r->edition->catalog;
    for (uint32_t i = 0; i < c->entities_count; i++) {
        bool empty = false;
        if (counts->rows[i] <= LATE_INDEX_ROWS) {
            continue;
        }
        FB_TRY(table_is_empty(r, &c->entities[i], &empty));
        if (!empty) {
            continue;
        }
        FB_TRY(list_indexes(r, &c->entities[i], out));
        const char *drops = buf_cstr(&r->text);
        FB_TRY(r->text.code);
        FB_TRY(sql_exec(r->db, drops));
    }
    return FB_OK;
}

fb_code late_create(replica *r, const late_indexes *late)
{
    for (const struct late_index *i = late->first; i != NULL; i = i->next) {
        FB_TRY(sql_exec(r->db, i->sql));
    }
    return FB_OK;
}
