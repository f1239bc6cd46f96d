/* store_row.c - see store.h: entity rows by catalogue, one prepared statement per entity and
 * purpose.
 *
 * Statement texts are made once from the catalogue and kept by sql/; the pointers are found by
 * entity number without hashing. Values keep catalogue order, whatever order the file has. */
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/store/store_inside.h"

enum { ROW_SQL_BYTES_MAX = 64 << 10 };

static row_plan *plan_of(store *s, const cat_entity *e)
{
    FB_ASSERT(s->catalog != NULL && e == &s->catalog->entities[e->number]); /* STC-2 */
    return &s->plans[e->number];
}

/* ---- statement texts ---- */

static void put_columns(buf *b, const cat_entity *e, const int *columns, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(b, i == 0 ? "" : ", ");
        buf_put_text(b, e->columns[columns != NULL ? columns[i] : (int)i].name);
    }
}

static void put_select(buf *b, const cat_entity *e, const int *columns, uint32_t count, int where)
{
    buf_put_str(b, "SELECT ");
    put_columns(b, e, columns, count);
    buf_put_str(b, " FROM ");
    buf_put_text(b, e->name);
    buf_put_str(b, " WHERE ");
    buf_put_text(b, e->columns[where].name);
    buf_put_str(b, where == 0 ? " = ?1" : " = ?1 ORDER BY id");
}

static void put_insert(buf *b, const cat_entity *e)
{
    buf_put_str(b, "INSERT INTO ");
    buf_put_text(b, e->name);
    buf_put_str(b, " (");
    put_columns(b, e, NULL, e->columns_count);
    buf_put_str(b, ") VALUES (");
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_put_str(b, i == 0 ? "?" : ", ?");
    }
    buf_put_char(b, ')');
}

/* id is the last parameter. */
static void put_update(buf *b, const cat_entity *e, const int *columns, uint32_t count)
{
    buf_put_str(b, "UPDATE ");
    buf_put_text(b, e->name);
    buf_put_str(b, " SET ");
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(b, i == 0 ? "" : ", ");
        buf_put_text(b, e->columns[columns[i]].name);
        buf_put_str(b, " = ?");
    }
    buf_put_str(b, " WHERE id = ?");
}

/* Prepare what was written into `text` and forget it. */
static fb_code prepare_text(store *s, buf *text, sql_stmt **out)
{
    fb_code rc = text->code;
    const char *terminated = buf_cstr(text);
    if (rc == FB_OK) {
        sql_stmt *made = sql_prepare(s->db, terminated);
        rc = sql_is_prepared(made) ? FB_OK : sql_code(s->db);
        *out = rc == FB_OK ? made : NULL;
    }
    buf_clear(text);
    return rc;
}

static fb_code prepare_select(store *s, const cat_entity *e, const int *columns, uint32_t count,
                              int where, sql_stmt **out)
{
    if (*out != NULL) {
        sql_reset(*out);
        return FB_OK;
    }
    buf text;
    buf_init(&text, ROW_SQL_BYTES_MAX);
    put_select(&text, e, columns, count, where);
    return prepare_text(s, &text, out);
}

/* ---- reading ---- */

static fb_code find(sql_stmt *q, const fb_id *id)
{
    bool row = false;
    sql_bind_id(q, 1, id);
    FB_TRY(sql_step(q, &row));
    return row ? FB_OK : FB_E_NOT_FOUND;
}

static bool keep_texts(fb_value *values, uint32_t count, arena *memory)
{
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].kind == FB_KIND_TEXT) {
            values[i].u.text = arena_text(memory, values[i].u.text);
            if (values[i].u.text.data == NULL) {
                return false;
            }
        }
    }
    return true;
}

static void read_values(sql_stmt *q, const cat_entity *e, fb_value *values)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        values[i] = sql_value(q, (int)i);
    }
}

static void remember_view(store *s, row_plan *p)
{
    if (!p->in_views) {
        p->in_views = true;
        p->next_view = s->views;
        s->views = p;
    }
}

void store_views_end(store *s)
{
    for (row_plan *p = s->views; p != NULL; p = p->next_view) {
        p->in_views = false;
        if (p->get != NULL) {
            sql_reset(p->get);
        }
        if (p->keys != NULL) {
            sql_reset(p->keys);
        }
    }
    s->views = NULL;
}

fb_code store_row_view(store *s, const cat_entity *e, const fb_id *id, fb_value *values)
{
    row_plan *p = plan_of(s, e);
    remember_view(s, p);
    FB_TRY(prepare_select(s, e, NULL, e->columns_count, 0, &p->get));
    FB_TRY(find(p->get, id));
    read_values(p->get, e, values);
    return FB_OK;
}

fb_code store_row_get(store *s, const cat_entity *e, const fb_id *id, arena *memory,
                      fb_value *values)
{
    FB_TRY(store_row_view(s, e, id, values));
    bool kept = keep_texts(values, e->columns_count, memory);
    sql_reset(plan_of(s, e)->get);
    return kept ? FB_OK : FB_E_NO_MEMORY;
}

fb_code store_row_keys(store *s, const cat_entity *e, const fb_id *id, fb_value *values)
{
    row_plan *p = plan_of(s, e);
    remember_view(s, p);
    FB_TRY(prepare_select(s, e, p->key_columns, p->keys_count, 0, &p->keys));
    FB_TRY(find(p->keys, id));
    memset(values, 0, e->columns_count * sizeof *values);
    for (uint32_t i = 0; i < p->keys_count; i++) {
        values[p->key_columns[i]] = sql_value(p->keys, (int)i);
    }
    return FB_OK;
}

fb_code store_row_exists(store *s, const cat_entity *e, const fb_id *id, bool *out)
{
    static const int columns[] = {0};
    row_plan *p = plan_of(s, e);
    FB_TRY(prepare_select(s, e, columns, 1, 0, &p->exists));
    fb_code rc = find(p->exists, id);
    if (rc != FB_OK && rc != FB_E_NOT_FOUND) {
        return rc;
    }
    *out = rc == FB_OK;
    sql_reset(p->exists);
    return FB_OK;
}

fb_code store_row_ver(store *s, const cat_entity *e, const fb_id *id, int64_t *ver_out)
{
    const int columns[] = {cat_ver_column(e)};
    row_plan *p = plan_of(s, e);
    FB_TRY(prepare_select(s, e, columns, 1, 0, &p->ver));
    FB_TRY(find(p->ver, id));
    *ver_out = sql_int(p->ver, 0);
    sql_reset(p->ver);
    return FB_OK;
}

/* Rows of one column value, read in full before anybody sees them. */
typedef struct row_list {
    struct row_node {
        struct row_node *next;
        fb_value *values;
    } * first, **end;
} row_list;

static fb_code append_row(sql_stmt *q, uint32_t count, arena *memory, row_list *list)
{
    struct row_node *node = arena_take(memory, sizeof *node);
    fb_value *values = arena_take(memory, count * sizeof *values);
    if (node == NULL || values == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        values[i] = sql_value(q, (int)i);
    }
    if (!keep_texts(values, count, memory)) {
        return FB_E_NO_MEMORY;
    }
    node->values = values;
    *list->end = node;
    list->end = &node->next;
    return FB_OK;
}

/* `count` columns of every row the statement gives, or of the first one. */
static fb_code read_rows(sql_stmt *q, const fb_value *equal, uint32_t count, bool only_first,
                         arena *memory, row_list *list)
{
    bool row = true;
    list->end = &list->first;
    sql_bind_value(q, 1, equal);
    FB_TRY(sql_step(q, &row));
    while (row) {
        fb_code rc = append_row(q, count, memory, list);
        if (rc == FB_OK && !only_first) {
            rc = sql_step(q, &row);
        } else {
            row = false;
            sql_reset(q);
        }
        FB_TRY(rc);
    }
    return FB_OK;
}

static fb_code rows_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                       bool only_first, arena *memory, row_list *list)
{
    row_plan *p = plan_of(s, e);
    if (equal->kind == FB_KIND_NULL) {
        return FB_OK;
    }
    FB_TRY(prepare_select(s, e, NULL, e->columns_count, column, &p->by[column]));
    return read_rows(p->by[column], equal, e->columns_count, only_first, memory, list);
}

fb_code store_row_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                     arena *memory, fb_value *values)
{
    row_list list = {0};
    FB_TRY(rows_by(s, e, column, equal, true, memory, &list));
    if (list.first == NULL) {
        return FB_E_NOT_FOUND;
    }
    memcpy(values, list.first->values, e->columns_count * sizeof *values);
    return FB_OK;
}

fb_code store_rows_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                      arena *memory, fb_code (*fn)(void *ctx, const fb_value *values), void *ctx)
{
    row_list list = {0};
    FB_TRY(rows_by(s, e, column, equal, false, memory, &list));
    for (const struct row_node *n = list.first; n != NULL; n = n->next) {
        FB_TRY(fn(ctx, n->values));
    }
    return FB_OK;
}

fb_code store_rows_without(store *s, const cat_entity *e, const int *columns, uint32_t count,
                           arena *memory, fb_code (*fn)(void *ctx, const fb_value *values),
                           void *ctx)
{
    static const fb_value nothing = {.kind = FB_KIND_NULL};
    buf text;
    sql_stmt *q = NULL;
    row_list list = {0};
    buf_init(&text, ROW_SQL_BYTES_MAX);
    buf_put_str(&text, "SELECT ");
    put_columns(&text, e, NULL, e->columns_count);
    buf_put_str(&text, " FROM ");
    buf_put_text(&text, e->name);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(&text, i == 0 ? " WHERE " : " AND ");
        buf_put_text(&text, e->columns[columns[i]].name);
        buf_put_str(&text, " IS ?1");
    }
    buf_put_str(&text, " ORDER BY id");
    FB_TRY(prepare_text(s, &text, &q));
    FB_TRY(read_rows(q, &nothing, e->columns_count, false, memory, &list));
    for (const struct row_node *n = list.first; n != NULL; n = n->next) {
        FB_TRY(fn(ctx, n->values));
    }
    return FB_OK;
}

fb_code store_keys_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                      arena *memory, fb_code (*fn)(void *ctx, const fb_value *values), void *ctx)
{
    row_plan *p = plan_of(s, e);
    row_list list = {0};
    fb_value values[CATALOG_COLUMNS_LIMIT];
    if (equal->kind == FB_KIND_NULL) {
        return FB_OK;
    }
    FB_TRY(prepare_select(s, e, p->key_columns, p->keys_count, column, &p->keys_by[column]));
    FB_TRY(read_rows(p->keys_by[column], equal, p->keys_count, false, memory, &list));
    for (const struct row_node *n = list.first; n != NULL; n = n->next) {
        memset(values, 0, e->columns_count * sizeof *values);
        for (uint32_t i = 0; i < p->keys_count; i++) {
            values[p->key_columns[i]] = n->values[i];
        }
        FB_TRY(fn(ctx, values));
    }
    return FB_OK;
}

fb_code store_ids_after(store *s, const cat_entity *e, int column, const fb_id *after,
                        uint32_t most, fb_id *ids_out, uint32_t *count_out)
{
    buf text;
    sql_stmt *q = NULL;
    bool row = true;
    buf_init(&text, ROW_SQL_BYTES_MAX);
    buf_put_str(&text, "SELECT id FROM ");
    buf_put_text(&text, e->name);
    buf_put_str(&text, " WHERE id > ?1 AND ");
    buf_put_text(&text, e->columns[column].name);
    buf_put_str(&text, " IS NOT NULL ORDER BY id LIMIT ?2");
    FB_TRY(prepare_text(s, &text, &q));
    sql_bind_blob(q, 1, after->b, sizeof after->b);
    sql_bind_int(q, 2, most);
    *count_out = 0;
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        ids_out[(*count_out)++] = sql_id(q, 0);
        rc = sql_step(q, &row);
    }
    sql_reset(q);
    return rc;
}

/* ---- writing ---- */

fb_code store_row_insert(store *s, const cat_entity *e, const fb_value *values)
{
    row_plan *p = plan_of(s, e);
    if (p->insert == NULL) {
        buf text;
        buf_init(&text, ROW_SQL_BYTES_MAX);
        put_insert(&text, e);
        FB_TRY(prepare_text(s, &text, &p->insert));
    }
    for (uint32_t i = 0; i < e->columns_count; i++) {
        sql_bind_value(p->insert, (int)i + 1, &values[i]);
    }
    return sql_run(p->insert);
}

static fb_code prepare_update(store *s, const cat_entity *e, const int *columns, uint32_t count,
                              sql_stmt **out)
{
    buf text;
    buf_init(&text, ROW_SQL_BYTES_MAX);
    put_update(&text, e, columns, count);
    return prepare_text(s, &text, out);
}

/* The statement for this list of columns; NULL when the entity has too many different lists. */
static fb_code update_plan(store *s, const cat_entity *e, const int *columns, uint32_t count,
                           sql_stmt **out)
{
    row_plan *p = plan_of(s, e);
    for (uint32_t i = 0; i < p->updates_count; i++) {
        const struct row_update *u = &p->updates[i];
        if (u->count == count && memcmp(u->columns, columns, count * sizeof *columns) == 0) {
            *out = u->stmt;
            return FB_OK;
        }
    }
    *out = NULL;
    int *kept = p->updates_count < ROW_UPDATES_MAX
                    ? arena_take(s->plans_memory, count * sizeof *columns)
                    : NULL;
    if (kept == NULL) {
        return FB_OK;
    }
    FB_TRY(prepare_update(s, e, columns, count, out));
    memcpy(kept, columns, count * sizeof *columns);
    p->updates[p->updates_count++] =
        (struct row_update){.stmt = *out, .columns = kept, .count = count};
    return FB_OK;
}

static fb_code run_update(store *s, sql_stmt *q, const fb_value *values, uint32_t count,
                          const fb_id *id)
{
    for (uint32_t i = 0; i < count; i++) {
        sql_bind_value(q, (int)i + 1, &values[i]);
    }
    sql_bind_id(q, (int)count + 1, id);
    FB_TRY(sql_run(q));
    return sql_changes(s->db) == 1 ? FB_OK : FB_E_NOT_FOUND;
}

/* Write every column, so that one statement serves all rare lists of columns. */
static fb_code update_whole(store *s, const cat_entity *e, const fb_id *id, const int *columns,
                            const fb_value *values, uint32_t count)
{
    fb_value row[CATALOG_COLUMNS_LIMIT];
    int all[CATALOG_COLUMNS_LIMIT];
    sql_stmt *q = NULL;
    FB_TRY(store_row_view(s, e, id, row));
    for (uint32_t i = 0; i < e->columns_count; i++) {
        all[i] = (int)i;
    }
    for (uint32_t i = 0; i < count; i++) {
        row[columns[i]] = values[i];
    }
    fb_code rc = prepare_update(s, e, all, e->columns_count, &q); /* found again by its text */
    if (rc == FB_OK) {
        rc = run_update(s, q, row, e->columns_count, id);
    }
    sql_reset(plan_of(s, e)->get);
    return rc;
}

fb_code store_row_update(store *s, const cat_entity *e, const fb_id *id, const int *columns,
                         const fb_value *values, uint32_t count)
{
    FB_REQUIRE(count > 0 && count <= e->columns_count);
    sql_stmt *q = NULL;
    FB_TRY(update_plan(s, e, columns, count, &q));
    if (q == NULL) {
        return update_whole(s, e, id, columns, values, count);
    }
    return run_update(s, q, values, count, id);
}

fb_code store_row_delete(store *s, const cat_entity *e, const fb_id *id)
{
    row_plan *p = plan_of(s, e);
    if (p->remove == NULL) {
        buf text;
        buf_init(&text, ROW_SQL_BYTES_MAX);
        buf_put_str(&text, "DELETE FROM ");
        buf_put_text(&text, e->name);
        buf_put_str(&text, " WHERE id = ?1");
        FB_TRY(prepare_text(s, &text, &p->remove));
    }
    sql_bind_id(p->remove, 1, id);
    FB_TRY(sql_run(p->remove));
    return sql_changes(s->db) == 1 ? FB_OK : FB_E_NOT_FOUND;
}
