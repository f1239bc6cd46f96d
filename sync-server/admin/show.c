/* show.c - entities, list, query: what stands in the master data, for people and for programs. */
#include "sync-server/admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "sql/sql.h"
#include "wire/json.h"

enum { ROW_BYTES_MAX = 4 << 20 };

static const char *const TYPE_NAMES[] = {
    [CAT_ID] = "id",       [CAT_REF] = "ref",     [CAT_TEXT] = "text",       [CAT_ENUM] = "enum",
    [CAT_DATE] = "date",   [CAT_JSON] = "json",   [CAT_BOOL] = "bool",       [CAT_INT32] = "int32",
    [CAT_BP] = "bp",       [CAT_E7] = "e7",       [CAT_INT64] = "int64",     [CAT_MINOR] = "minor",
    [CAT_PRICE] = "price", [CAT_MILLI] = "milli", [CAT_INSTANT] = "instant",
};

static void entity_show(const admin *a, const catalog *c, const cat_entity *e)
{
    printf("%s  %s  (%u columns)\n", e->name.data, a->chinese ? e->label_zh.data : e->label_en.data,
           e->columns_count);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        const cat_column *k = &e->columns[i];
        printf("  %-22s %-8s %s%s%s%s\n", k->name.data, TYPE_NAMES[k->type],
               k->required ? "required " : "", k->type == CAT_REF ? "-> " : "",
               k->type == CAT_REF ? c->entities[k->to_entity].name.data : "",
               k->custom ? " (custom)" : "");
    }
}

int command_entities(admin *a)
{
    const catalog *c = store_catalog(a->db);
    if (a->argc == 1) {
        const cat_entity *e = catalog_entity_str(c, a->argv[0]);
        if (e == NULL) {
            admin_warn(a, TEXT_NO_ENTITY, a->argv[0]);
            return EXIT_REFUSED;
        }
        entity_show(a, c, e);
        return EXIT_DONE;
    }
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        printf("%-24s %-10s %s\n", e->name.data, e->module.data,
               a->chinese ? e->label_zh.data : e->label_en.data);
    }
    return EXIT_DONE;
}

static void cell_print(const fb_value *v, buf *out)
{
    char id[FB_ID_TEXT_BYTES];
    switch (v->kind) {
    case FB_KIND_NULL:
        break;
    case FB_KIND_INT:
        buf_printf(out, "%lld", (long long)v->u.i);
        break;
    case FB_KIND_TEXT:
        buf_put_text(out, v->u.text);
        break;
    case FB_KIND_ID:
        id_put(&v->u.id, id);
        buf_put_str(out, id);
        break;
    }
}

static void cell_put_json(json_writer *w, const fb_value *v)
{
    switch (v->kind) {
    case FB_KIND_NULL:
        json_put_null(w);
        break;
    case FB_KIND_INT:
        json_put_int(w, v->u.i);
        break;
    case FB_KIND_TEXT:
        json_put_string(w, v->u.text);
        break;
    case FB_KIND_ID:
        json_put_id(w, &v->u.id);
        break;
    }
}

/* Bytes that are no identity are shown as hexadecimal digits. */
static fb_code cell_as_hex(fb_value *v, buf *hex)
{
    buf_reset(hex);
    hex_put(hex, (const uint8_t *)v->u.text.data, v->u.text.size);
    v->u.text = buf_text(hex);
    return hex->code;
}

/* One result row: tab separated, or a JSON object on a line of its own. */
static fb_code result_row_put(const admin *a, sql_stmt *s, buf *hex, buf *out)
{
    json_writer w;
    json_writer_init(&w, out);
    if (a->json) {
        json_put_object(&w);
    }
    for (int i = 0; i < sql_columns(s); i++) {
        fb_value v = sql_value(s, i);
        if (v.kind == FB_KIND_TEXT && sql_is_blob(s, i)) {
            FB_TRY(cell_as_hex(&v, hex));
        }
        if (a->json) {
            json_put_key(&w, sql_column_name(s, i));
            cell_put_json(&w, &v);
            continue;
        }
        if (i > 0) {
            buf_put_char(out, '\t');
        }
        cell_print(&v, out);
    }
    if (a->json) {
        json_put_end(&w);
    }
    buf_put_char(out, '\n');
    return out->code;
}

static void header_put(const admin *a, sql_stmt *s, buf *out)
{
    for (int i = 0; !a->json && i < sql_columns(s); i++) {
        buf_printf(out, "%s%s", i > 0 ? "\t" : "", sql_column_name(s, i));
    }
    if (!a->json) {
        buf_put_char(out, '\n');
    }
}

int rows_show(admin *a, fb_text sql)
{
    fb_error err = {0};
    sql_stmt *s = NULL;
    fb_code rc = store_query(a->db, sql, &s, &err);
    buf out, hex;
    buf_init(&out, ROW_BYTES_MAX);
    buf_init(&hex, ROW_BYTES_MAX);
    if (rc == FB_OK) {
        header_put(a, s, &out);
    }
    bool row = rc == FB_OK;
    while (rc == FB_OK && row) {
        rc = sql_step(s, &row);
        if (rc == FB_OK && row) {
            rc = result_row_put(a, s, &hex, &out);
        }
        fwrite(out.data, 1, out.size, stdout);
        buf_reset(&out);
    }
    sql_finalize(s);
    buf_clear(&hex);
    buf_clear(&out);
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, &err);
}

int command_query(admin *a)
{
    if (options_left(a) || a->argc != 1) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "SQL", a->command);
        return EXIT_USAGE;
    }
    return rows_show(a, text_of(a->argv[0]));
}

static int limit_take(admin *a)
{
    const char *text = option_take(a, "--limit");
    int64_t limit = 100;
    if (text != NULL && (!i64_get(text_of(text), &limit) || limit < 1 || limit > 1000000)) {
        return -1;
    }
    return (int)limit;
}

int command_list(admin *a)
{
    int limit = limit_take(a);
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    const cat_entity *e =
        a->argc == 1 ? catalog_entity_str(store_catalog(a->db), a->argv[0]) : NULL;
    if (e == NULL || limit < 0) {
        admin_warn(a, a->argc == 1 && e == NULL ? TEXT_NO_ENTITY : TEXT_MISSING_ARGUMENT,
                   a->argc == 1 ? a->argv[0] : "ENTITY", a->command);
        return EXIT_USAGE;
    }
    char sql[256];
    /* The name comes from the catalogue, never from the person. */
    snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY id LIMIT %d", e->name.data, limit);
    return rows_show(a, text_of(sql));
}

int command_audit(admin *a)
{
    int limit = limit_take(a);
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (limit < 0) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "--limit 1..1000000", a->command);
        return EXIT_USAGE;
    }
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT * FROM fs_audit ORDER BY seq DESC LIMIT %d", limit);
    return rows_show(a, text_of(sql));
}
