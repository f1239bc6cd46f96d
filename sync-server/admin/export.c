/* export.c - rows of one entity as CSV or NDJSON, from one snapshot. See admin.h.
 *
 * CSV: the catalogue's columns as header, human numbers, references as ids; texts that a
 * spreadsheet would run get an apostrophe (csv_put_safe). NDJSON: one object per row, raw integers.
 */
#include "sync-server/admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "sql/sql.h"
#include "wire/json.h"
#include "wire/row_msg.h"

typedef struct export
{
    admin *a;
    const cat_entity *entity;
    FILE *out;
    bool ndjson;
    uint32_t rows;
}
export;

static void csv_header(const cat_entity *e, buf *line)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (i > 0) {
            buf_put_char(line, ',');
        }
        csv_put(line, e->columns[i].name);
    }
    buf_put_str(line, "\r\n");
}

static void csv_row(const cat_entity *e, sql_stmt *s, buf *line, buf *cell)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        fb_value v = sql_value(s, (int)i);
        buf_reset(cell);
        cat_value_print(e, (int)i, &v, true, cell);
        if (i > 0) {
            buf_put_char(line, ',');
        }
        if (v.kind == FB_KIND_TEXT) {
            csv_put_safe(line, buf_text(cell));
        } else {
            csv_put(line, buf_text(cell));
        }
    }
    buf_put_str(line, "\r\n");
}

static void json_row(const cat_entity *e, sql_stmt *s, buf *line)
{
    json_writer w;
    json_writer_init(&w, line);
    json_put_object(&w);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        fb_value v = sql_value(s, (int)i);
        json_put_key_text(&w, e->columns[i].name);
        value_put(&w, &e->columns[i], &v);
    }
    json_put_end(&w);
    buf_put_char(line, '\n');
}

static fb_code line_write(export *x, buf *line)
{
    FB_TRY(line->code);
    if (fwrite(line->data, 1, line->size, x->out) != line->size) {
        return FB_E_IO;
    }
    buf_reset(line);
    return FB_OK;
}

static fb_code rows_write(export *x, sql_stmt *s, buf *line, buf *cell)
{
    if (!x->ndjson) {
        csv_header(x->entity, line);
        FB_TRY(line_write(x, line));
    }
    for (bool row = true;;) {
        FB_TRY(sql_step(s, &row));
        if (!row) {
            return FB_OK;
        }
        if (x->ndjson) {
            json_row(x->entity, s, line);
        } else {
            csv_row(x->entity, s, line, cell);
        }
        FB_TRY(line_write(x, line));
        x->rows++;
    }
}

static fb_code export_run(export *x, fb_error *err)
{
    buf sql, line, cell;
    buf_init(&sql, 1 << 16);
    buf_init(&line, 16 << 20);
    buf_init(&cell, 1 << 20);
    buf_put_str(&sql, "SELECT ");
    for (uint32_t i = 0; i < x->entity->columns_count; i++) {
        buf_printf(&sql, "%s%s", i > 0 ? "," : "", x->entity->columns[i].name.data);
    }
    buf_printf(&sql, " FROM %s ORDER BY id", x->entity->name.data);
    sql_stmt *s = NULL;
    fb_code rc = store_query(x->a->db, buf_text(&sql), &s, err);
    if (rc == FB_OK) {
        rc = rows_write(x, s, &line, &cell);
    }
    sql_finalize(s);
    buf_clear(&cell);
    buf_clear(&line);
    buf_clear(&sql);
    return rc;
}

int command_export(admin *a)
{
    const char *path = option_take(a, "--out"), *format = option_take(a, "--format");
    bool ndjson = format != NULL && strcmp(format, "ndjson") == 0;
    const cat_entity *e =
        a->argc == 1 ? catalog_entity_str(store_catalog(a->db), a->argv[0]) : NULL;
    if (options_left(a) || e == NULL || (format != NULL && !ndjson && strcmp(format, "csv") != 0)) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "ENTITY [--out FILE] [--format csv|ndjson]",
                   a->command);
        return EXIT_USAGE;
    }
    export x = {
        .a = a, .entity = e, .ndjson = ndjson, .out = path != NULL ? fopen(path, "wbx") : stdout};
    fb_error err = {0};
    if (x.out == NULL) {
        return admin_failed(
            a, fail(&err, FB_E_EXISTS, path, "cannot create the file: choose a new name"), &err);
    }
    fb_code rc = export_run(&x, &err);
    if (fflush(x.out) != 0 && rc == FB_OK) {
        rc = FB_E_IO;
    }
    if (path != NULL) {
        fclose(x.out);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    if (path != NULL) {
        admin_say(a, TEXT_EXPORT_DONE, e->name.data, x.rows, path);
    }
    return EXIT_DONE;
}
