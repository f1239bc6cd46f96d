/* export.c - everything this device may see, as a plain SQLite file. See fieldbook/export.h. */
#include "fieldbook/export.h"

#include "api/handle.h"

/* One entity on its way into the file. */
typedef struct exporter {
    sql_db *to;
    const cat_entity *e;
    sql_stmt *insert;
    int64_t rows_count;
} exporter;

static const char *stored_type(cat_type t)
{
    return cat_is_integer(t) ? "INTEGER" : "TEXT";
}

static fb_code make_table(sql_db *to, const cat_entity *e)
{
    buf sql;

    buf_init(&sql, 64 << 10);
    buf_printf(&sql, "CREATE TABLE \"%s\"(", e->name.data);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_printf(&sql, "%s\"%s\" %s%s", i == 0 ? "" : ", ", e->columns[i].name.data,
                   stored_type(e->columns[i].type), i == 0 ? " PRIMARY KEY" : "");
    }
    buf_put_char(&sql, ')');
    fb_code rc = sql.code == FB_OK ? sql_exec(to, buf_cstr(&sql)) : sql.code;
    buf_clear(&sql);
    return rc;
}

static fb_code prepare_insert(exporter *x, fb_error *err)
{
    buf sql;

    buf_init(&sql, 64 << 10);
    buf_printf(&sql, "INSERT INTO \"%s\" VALUES(", x->e->name.data);
    for (uint32_t i = 0; i < x->e->columns_count; i++) {
        buf_printf(&sql, "%s?%u", i == 0 ? "" : ",", i + 1);
    }
    buf_put_char(&sql, ')');
    fb_code rc =
        sql.code == FB_OK ? sql_prepare_once(x->to, buf_text(&sql), &x->insert, err) : sql.code;
    buf_clear(&sql);
    return rc;
}

static fb_code put_row(void *ctx, const fb_row *row)
{
    exporter *x = ctx;
    char ids[CATALOG_COLUMNS_LIMIT][FB_ID_TEXT_BYTES];

    for (uint32_t i = 0; i < row->columns_count; i++) {
        const fb_value *v = &row->values[i];
        if (v->kind == FB_KIND_ID) {
            id_put(&v->u.id, ids[i]);
            sql_bind_text(x->insert, (int)i + 1, text_of(ids[i]));
        } else {
            sql_bind_value(x->insert, (int)i + 1, v);
        }
    }
    x->rows_count++;
    return sql_run(x->insert);
}

static fb_code export_entity(fb_db *db, exporter *x, fb_error *err)
{
    FB_TRY(make_table(x->to, x->e));
    FB_TRY(prepare_insert(x, err));
    fb_code rc = fb_record_each(db, x->e->name.data, FB_FORM_RAW, put_row, x, err);
    sql_finalize(x->insert);
    x->insert = NULL;
    return rc;
}

static fb_code export_all(fb_db *db, sql_db *to, fb_export_report *report, fb_error *err)
{
    const catalog *cat = replica_catalog(db->r);

    FB_TRY(sql_begin(to));
    for (uint32_t i = 0; i < cat->entities_count; i++) {
        exporter x = {.to = to, .e = &cat->entities[i]};
        FB_TRY(export_entity(db, &x, err));
        report->entities_count++;
        report->rows_count += x.rows_count;
    }
    FB_TRY(sql_commit(to));
    return sql_exec(to, "PRAGMA journal_mode=DELETE");
}

/* An existing database answers with a table or more; a fresh file has none. */
static fb_code refuse_used(sql_db *to, fb_error *err)
{
    bool row = false;
    sql_stmt *s = sql_prepare(to, "SELECT count(*) FROM sqlite_master");

    FB_TRY(sql_step(s, &row));
    int64_t tables = row ? sql_int(s, 0) : 0;
    sql_reset(s);
    return tables == 0
               ? FB_OK
               : fail(err, FB_E_EXISTS, "path", "the file exists already: choose another name");
}

fb_code fb_export_sqlite(fb_db *db, const char *path, fb_export_report *report_out, fb_error *err)
{
    sql_options o = {.create = true, .sync_normal = true};
    sql_db *to = NULL;
    fb_export_report report = {0};

    FB_REQUIRE(db != NULL && path != NULL);
    bool own_snapshot = !db->snapshot;
    if (own_snapshot) {
        FB_TRY(fb_snapshot_begin(db, err));
    }
    api_clear(err);
    fb_code rc = sql_open(path, &o, &to, err);
    if (rc == FB_OK && (rc = refuse_used(to, err)) == FB_OK) {
        rc = export_all(db, to, &report, err);
    }
    sql_close(to);
    if (own_snapshot) {
        fb_snapshot_end(db);
    }
    if (rc == FB_OK && report_out != NULL) {
        *report_out = report;
    }
    return api_said(NULL, rc, err);
}
