/* query.c - read-only SQL on a connection of its own that can do nothing else. See
 * fieldbook/query.h. */
#include "fieldbook/query.h"

#include "api/handle.h"

enum { READER_BUSY_MS = 5000, PARAMS_MAX = 100, QUERY_COLUMNS_MAX = 500 };

fb_code api_reader(fb_db *db, sql_db **out, fb_error *err)
{
    sql_options o = {
        .read_only = true, .vfs = db->vfs, .page_sums = true, .busy_timeout_ms = READER_BUSY_MS};

    if (db->reader == NULL) {
        FB_TRY(sql_open(db->path, &o, &db->reader, err));
        sql_restrict_reads(db->reader);
    }
    *out = db->reader;
    return FB_OK;
}

static fb_code wrong_params(json_reader *r, fb_error *err)
{
    return fail(err, r->code == FB_OK ? FB_E_JSON : r->code, "params",
                "parameters are a JSON array of null, integers, texts (%s): correct them", r->why);
}

/* Ids must outlive the binding, so they are kept in the arena. */
static fb_code bind_text(sql_stmt *s, int i, fb_text text, arena *memory)
{
    fb_id id;

    if (!id_get(text, &id)) {
        sql_bind_text(s, i, text);
        return FB_OK;
    }
    fb_id *kept = arena_take(memory, sizeof *kept);
    if (kept == NULL) {
        return FB_E_NO_MEMORY;
    }
    *kept = id;
    sql_bind_id(s, i, kept);
    return FB_OK;
}

/* {"text": "..."}: a text even when it looks like an id. */
static void bind_forced_text(json_reader *r, sql_stmt *s, int i)
{
    fb_text key;

    json_object_begin(r);
    while (json_object_next(r, &key)) {
        if (!text_is(key, "text")) {
            json_fail(r, FB_E_JSON, "only {\"text\": ...} is known here");
            return;
        }
        sql_bind_text(s, i, json_string(r));
    }
}

static fb_code bind_param(json_reader *r, sql_stmt *s, int i, arena *memory)
{
    switch (json_peek(r)) {
    case JSON_NULL:
        (void)json_null(r);
        sql_bind_null(s, i);
        return r->code;
    case JSON_TRUE:
    case JSON_FALSE:
        sql_bind_int(s, i, json_bool(r) ? 1 : 0);
        return r->code;
    case JSON_NUMBER:
        sql_bind_int(s, i, json_int(r));
        return r->code;
    case JSON_OBJECT:
        bind_forced_text(r, s, i);
        return r->code;
    default: {
        fb_text text = json_string(r);
        FB_TRY(r->code);
        return bind_text(s, i, text, memory);
    }
    }
}

static fb_code bind_params(sql_stmt *s, const char *json, arena *memory, fb_error *err)
{
    json_reader r;
    int i = 0;

    if (json == NULL) {
        return FB_OK;
    }
    json_reader_init(&r, text_of(json), memory);
    if (json_peek(&r) != JSON_ARRAY) {
        return wrong_params(&r, err);
    }
    json_array_begin(&r);
    while (json_array_next(&r)) {
        i++;
        fb_code rc = i > PARAMS_MAX ? FB_E_LIMIT : bind_param(&r, s, i, memory);
        if (rc != FB_OK) {
            return r.code != FB_OK ? wrong_params(&r, err) : rc;
        }
    }
    return json_finish(&r) == FB_OK ? FB_OK : wrong_params(&r, err);
}

/* One result row as lent: ids become texts in `ids`. */
typedef struct result_row {
    int columns_count;
    const char **names;
    fb_value *values;
    char (*ids)[FB_ID_TEXT_BYTES];
} result_row;

static fb_code result_init(result_row *r, sql_stmt *s, arena *memory)
{
    r->columns_count = sql_columns(s);
    if (r->columns_count > QUERY_COLUMNS_MAX) {
        return FB_E_LIMIT;
    }
    size_t count = r->columns_count > 0 ? (size_t)r->columns_count : 1;
    r->names = arena_take(memory, count * sizeof *r->names);
    r->values = arena_take(memory, count * sizeof *r->values);
    r->ids = arena_take(memory, count * sizeof *r->ids);
    if (r->names == NULL || r->values == NULL || r->ids == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (int i = 0; i < r->columns_count; i++) {
        fb_text name = arena_text(memory, text_of(sql_column_name(s, i)));
        if (name.data == NULL) {
            return FB_E_NO_MEMORY;
        }
        r->names[i] = name.data;
    }
    return FB_OK;
}

static void result_read(result_row *r, sql_stmt *s)
{
    for (int i = 0; i < r->columns_count; i++) {
        r->values[i] = sql_value(s, i);
        if (r->values[i].kind == FB_KIND_ID) {
            id_put(&r->values[i].u.id, r->ids[i]);
            r->values[i] =
                (fb_value){.kind = FB_KIND_TEXT, .u.text = {r->ids[i], FB_ID_TEXT_BYTES - 1}};
        }
    }
}

static fb_code lend_rows(sql_stmt *s, arena *memory, fb_row_fn fn, void *ctx)
{
    result_row r;
    bool row = false;
    fb_code rc = FB_OK;

    FB_TRY(result_init(&r, s, memory));
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        result_read(&r, s);
        fb_row lent = {
            .columns_count = (uint32_t)r.columns_count, .names = r.names, .values = r.values};
        if ((rc = fn(ctx, &lent)) != FB_OK) {
            break;
        }
    }
    return rc;
}

/* What the restricted connection forbids is the query's fault, not a matter of roles. */
static fb_code query_refused(sql_db *reader, fb_code rc, fb_error *err)
{
    if (rc == FB_E_FORBIDDEN || rc == FB_E_INVALID || rc == FB_E_BUG) {
        return fail(err, FB_E_INVALID, "sql", "%s; only one SELECT over the entities is allowed",
                    sql_message(reader));
    }
    return rc;
}

fb_code fb_query(fb_db *db, const char *sql, const char *params_json, fb_row_fn fn, void *ctx,
                 fb_error *err)
{
    sql_db *reader = NULL;
    sql_stmt *s = NULL;

    FB_REQUIRE(db != NULL && sql != NULL && fn != NULL);
    api_clear(err);
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : api_reader(db, &reader, err);
    if (rc == FB_OK) {
        rc = query_refused(reader, sql_prepare_once(reader, text_of(sql), &s, err), err);
    }
    if (rc == FB_OK && (rc = bind_params(s, params_json, memory, err)) == FB_OK) {
        rc = lend_rows(s, memory, fn, ctx);
    }
    sql_finalize(s);
    arena_free(memory);
    return api_said(db, rc, err);
}

static fb_code put_row(void *ctx, const fb_row *row)
{
    json_writer *w = ctx;

    json_put_object(w);
    for (uint32_t i = 0; i < row->columns_count; i++) {
        const fb_value *v = &row->values[i];
        json_put_key(w, row->names[i]);
        if (v->kind == FB_KIND_INT) {
            json_put_int(w, v->u.i);
        } else if (v->kind == FB_KIND_TEXT) {
            json_put_string(w, v->u.text);
        } else {
            json_put_null(w);
        }
    }
    json_put_end(w);
    return w->out->code;
}

fb_code fb_query_json(fb_db *db, const char *sql, const char *params_json, char **json_out,
                      fb_error *err)
{
    buf out;
    json_writer w;

    FB_REQUIRE(db != NULL && sql != NULL && json_out != NULL);
    buf_init(&out, JSON_OUT_BYTES_MAX);
    json_writer_init(&w, &out);
    json_put_array(&w);
    fb_code rc = fb_query(db, sql, params_json, put_row, &w, err);
    json_put_end(&w);
    if (rc == FB_OK) {
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&out);
    return api_said(db, rc, err);
}

fb_code fb_snapshot_begin(fb_db *db, fb_error *err)
{
    sql_db *reader = NULL;

    FB_REQUIRE(db != NULL);
    api_clear(err);
    if (db->snapshot) {
        return fail(err, FB_E_STATE, "snapshot", "a snapshot is held already: end it first");
    }
    FB_TRY(api_reader(db, &reader, err));
    fb_code rc = sql_begin_read(reader);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    db->snapshot = true;
    return FB_OK;
}

void fb_snapshot_end(fb_db *db)
{
    if (db != NULL && db->snapshot) {
        sql_rollback(db->reader);
        db->snapshot = false;
    }
}
