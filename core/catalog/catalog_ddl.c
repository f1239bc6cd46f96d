/* catalog_ddl.c - the SQL that holds the entities: tables, indexes, and the way from one
 * catalogue to the next. Writes text only; executing it is the caller's.
 *
 *   DDL-1  every table is STRICT and WITHOUT ROWID, its key is `id BLOB`, and no column is REAL
 *   DDL-2  required is not NOT NULL: rows from before a column was added lack it, rules check it
 *   DDL-3  a migration only adds; a column added later stands after `ver` in the file, so that
 *          statements name their columns
 *   DDL-4  a default stands in the table too: rows from before read it on both sides alike */
#include "catalog/catalog.h"

#include "base/check.h"

enum { STATEMENT_BYTES_MAX = 256 << 10 };

static const char *sql_type(cat_type t)
{
    switch (cat_kind(t)) {
    case FB_KIND_INT:
        return "INTEGER";
    case FB_KIND_ID:
        return "BLOB";
    default:
        return "TEXT";
    }
}

static void put_default(const fb_value *v, buf *out)
{
    if (v->kind == FB_KIND_INT) {
        buf_printf(out, " DEFAULT %lld", (long long)v->u.i);
    } else if (v->kind == FB_KIND_TEXT) {
        buf_put_str(out, " DEFAULT '");
        for (size_t i = 0; i < v->u.text.size; i++) {
            if (v->u.text.data[i] == '\'') {
                buf_put_char(out, '\'');
            }
            buf_put_char(out, v->u.text.data[i]);
        }
        buf_put_char(out, '\'');
    }
}

static void put_column(const cat_entity *e, uint32_t i, buf *out)
{
    const cat_column *c = &e->columns[i];

    buf_put_text(out, c->name);
    buf_put_char(out, ' ');
    buf_put_str(out, sql_type(c->type));
    if (i == 0) {
        buf_put_str(out, " NOT NULL PRIMARY KEY");
    } else if ((int)i == cat_ver_column(e)) {
        buf_put_str(out, " NOT NULL DEFAULT 0");
    } else {
        put_default(&c->default_value, out);
    }
}

void catalog_table_sql(const cat_entity *e, cat_side side, buf *out)
{
    (void)side; /* both sides hold the same columns; they differ in indexes */
    buf_put_str(out, "CREATE TABLE ");
    buf_put_text(out, e->name);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_put_str(out, i == 0 ? " (" : ", ");
        put_column(e, i, out);
    }
    buf_put_str(out, ") STRICT, WITHOUT ROWID");
}

/* In a unique list NULLs are equal: two settings of one key for everybody are a duplicate. */
static void put_index_column(const cat_column *c, bool folds_null, buf *out)
{
    if (!folds_null || c->required) {
        buf_put_text(out, c->name);
        return;
    }
    buf_put_str(out, "coalesce(");
    buf_put_text(out, c->name);
    buf_put_str(out, cat_kind(c->type) == FB_KIND_ID     ? ", x'')"
                     : cat_kind(c->type) == FB_KIND_TEXT ? ", '')"
                                                         : ", -9223372036854775808)");
}

static void put_index_name(const cat_entity *e, const struct cat_index *index, buf *out)
{
    buf_put_str(out, "ix_");
    buf_put_text(out, e->name);
    for (uint32_t i = 0; i < index->columns_count; i++) {
        buf_put_str(out, "__");
        buf_put_text(out, e->columns[index->columns[i]].name);
    }
}

void catalog_index_sql(const cat_entity *e, uint32_t i, cat_side side, buf *out)
{
    const struct cat_index *index = NULL;
    bool unique = false;

    FB_ASSERT(i < e->indexes_count);
    index = &e->indexes[i];
    FB_ASSERT(side == CAT_SERVER || !index->server_only);
    unique = index->unique && side == CAT_SERVER;
    buf_put_str(out, unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    put_index_name(e, index, out);
    buf_put_str(out, " ON ");
    buf_put_text(out, e->name);
    for (uint32_t n = 0; n < index->columns_count; n++) {
        buf_put_str(out, n == 0 ? " (" : ", ");
        put_index_column(&e->columns[index->columns[n]], unique && index->columns_count > 1, out);
    }
    buf_put_char(out, ')');
    if (unique && index->columns_count == 1) {
        buf_put_str(out, " WHERE ");
        buf_put_text(out, e->columns[index->columns[0]].name);
        buf_put_str(out, " IS NOT NULL");
    }
}

/* One migration: where it goes, and the statement being written. */
typedef struct migration {
    const catalog *from, *to;
    cat_side side;
    fb_code (*fn)(void *ctx, const char *sql);
    void *ctx;
    buf statement;
} migration;

static fb_code emit(migration *m)
{
    const char *sql = buf_cstr(&m->statement);
    fb_code rc = m->statement.code == FB_OK ? m->fn(m->ctx, sql) : m->statement.code;

    buf_reset(&m->statement);
    return rc;
}

static fb_code add_columns(migration *m, const cat_entity *old, const cat_entity *e)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (cat_column_find(old, e->columns[i].name) >= 0) {
            continue;
        }
        buf_put_str(&m->statement, "ALTER TABLE ");
        buf_put_text(&m->statement, e->name);
        buf_put_str(&m->statement, " ADD COLUMN ");
        put_column(e, i, &m->statement);
        FB_TRY(emit(m));
    }
    return FB_OK;
}

/* Numbers of columns change between catalogues: compare by name. */
static bool same_index(const cat_entity *old, const struct cat_index *a, const cat_entity *e,
                       const struct cat_index *b)
{
    if (a->columns_count != b->columns_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->columns_count; i++) {
        if (!text_equal(old->columns[a->columns[i]].name, e->columns[b->columns[i]].name)) {
            return false;
        }
    }
    return true;
}

static bool had_index(const migration *m, const cat_entity *old, const cat_entity *e,
                      const struct cat_index *index)
{
    for (uint32_t i = 0; old != NULL && i < old->indexes_count; i++) {
        bool was_here = m->side == CAT_SERVER || !old->indexes[i].server_only;
        if (was_here && same_index(old, &old->indexes[i], e, index)) {
            return true;
        }
    }
    return false;
}

static fb_code add_indexes(migration *m, const cat_entity *old, const cat_entity *e)
{
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        if (m->side == CAT_DEVICE && e->indexes[i].server_only) {
            continue;
        }
        if (had_index(m, old, e, &e->indexes[i])) {
            continue;
        }
        catalog_index_sql(e, i, m->side, &m->statement);
        FB_TRY(emit(m));
    }
    return FB_OK;
}

static fb_code migrate_entity(migration *m, const cat_entity *e)
{
    const cat_entity *old = m->from == NULL ? NULL : catalog_entity(m->from, e->name);

    if (m->side == CAT_DEVICE && e->scopes[0].kind == SCOPE_NONE) {
        return FB_OK;
    }
    if (old != NULL) {
        FB_TRY(add_columns(m, old, e));
    } else {
        catalog_table_sql(e, m->side, &m->statement);
        FB_TRY(emit(m));
    }
    return add_indexes(m, old, e);
}

fb_code catalog_migrate(const catalog *from, const catalog *to, cat_side side,
                        fb_code (*fn)(void *ctx, const char *sql), void *ctx)
{
    migration m = {.from = from, .to = to, .side = side, .fn = fn, .ctx = ctx};
    fb_code rc = FB_OK;

    FB_REQUIRE(to != NULL && fn != NULL);
    buf_init(&m.statement, STATEMENT_BYTES_MAX);
    for (uint32_t i = 0; rc == FB_OK && i < to->entities_count; i++) {
        rc = migrate_entity(&m, &to->entities[i]);
    }
    buf_clear(&m.statement);
    return rc;
}
