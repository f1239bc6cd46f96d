/* form.c - values in their JSON exchange form, and back. See fieldbook/record.h.
 *
 * Exactness: a JSON number is read from its text, never through floating point. */
#include "api/handle.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

void form_put(json_writer *w, const cat_entity *e, int column, const fb_value *v)
{
    const cat_column *c = &e->columns[column];
    buf text;

    if (v->kind == FB_KIND_NULL) {
        json_put_null(w);
    } else if (c->type == CAT_BOOL && v->kind == FB_KIND_INT) {
        json_put_bool(w, v->u.i != 0);
    } else if (c->type == CAT_INT32 && v->kind == FB_KIND_INT) {
        json_put_int(w, v->u.i);
    } else if (v->kind == FB_KIND_TEXT) {
        json_put_string(w, v->u.text);
    } else {
        buf_init(&text, 64);
        cat_value_print(e, column, v, true, &text);
        json_put_string(w, buf_text(&text));
        buf_clear(&text);
    }
}

void form_put_row(json_writer *w, const cat_entity *e, const fb_value *values, bool sparse)
{
    json_put_object(w);
    for (int i = 0; i < (int)e->columns_count; i++) {
        if (values[i].kind != FB_KIND_NULL || !sparse) {
            json_put_key_text(w, e->columns[i].name);
            form_put(w, e, i, &values[i]);
        }
    }
    json_put_end(w);
}

static void column_field(const cat_entity *e, int column, char out[96])
{
    (void)snprintf(out, 96, "%.*s.%.*s", (int)e->name.size, e->name.data,
                   (int)e->columns[column].name.size, e->columns[column].name.data);
}

/* A ref may be written as the business key of the row it names. */
static fb_code parse_ref(fb_db *db, fb_text text, const cat_entity *e, int column, fb_value *out,
                         fb_error *err)
{
    const cat_entity *to = &replica_catalog(db->r)->entities[e->columns[column].to_entity];
    fb_id id;
    char field[96];

    if (!id_get(text, &id)) {
        fb_code rc = lookup_by_key(db, to->name.data, text, &id, NULL);
        if (rc != FB_OK) {
            column_field(e, column, field);
            return fail(err, rc == FB_E_NOT_FOUND ? FB_E_REFERENCE : rc, field,
                        "it names no record on this device: use its id or its code");
        }
    }
    *out = (fb_value){.kind = FB_KIND_ID, .u.id = id};
    return FB_OK;
}

fb_code form_parse(fb_db *db, fb_text text, const cat_entity *e, int column, arena *memory,
                   fb_value *out, fb_error *err)
{
    cat_type type = e->columns[column].type;
    int64_t ms = 0;

    if (text.size > 0 && type == CAT_REF && e->columns[column].to_entity >= 0) {
        return parse_ref(db, text, e, column, out, err);
    }
    if (text.size > 0 && type == CAT_INSTANT && instant_parse(db, text, &ms)) {
        *out = (fb_value){.kind = FB_KIND_INT, .u.i = ms};
        return cat_value_check(e, column, out, err);
    }
    text = arena_text(memory, text);
    if (text.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    return cat_value_parse(e, column, text, true, out, err);
}

fb_code form_get(fb_db *db, json_reader *r, const cat_entity *e, int column, arena *memory,
                 fb_value *out, fb_error *err)
{
    fb_text text = {NULL, 0};
    json_type type = json_peek(r);
    char field[96];

    if (type == JSON_NULL) {
        (void)json_null(r);
        *out = (fb_value){.kind = FB_KIND_NULL};
        return r->code;
    }
    bool is_tree = type == JSON_ARRAY || type == JSON_OBJECT;
    if (is_tree && e->columns[column].type != CAT_JSON) {
        column_field(e, column, field);
        return fail(err, FB_E_INVALID, field, "one value is expected, not a list: correct it");
    }
    text = type == JSON_STRING ? json_string(r) : json_raw(r);
    FB_TRY(r->code);
    return form_parse(db, text, e, column, memory, out, err);
}

static fb_code unknown_column(const cat_entity *e, fb_text key, fb_error *err)
{
    char field[96];

    (void)snprintf(field, sizeof field, "%.*s.%.*s", (int)e->name.size, e->name.data,
                   key.size < 48 ? (int)key.size : 48, key.data == NULL ? "" : key.data);
    return fail(err, FB_E_INVALID, field, "the entity has no such column: correct the name");
}

static fb_code not_json(json_reader *r, fb_error *err)
{
    return fail(err, r->code == FB_OK ? FB_E_JSON : r->code, "json",
                "the text is not one strict JSON object (%s): correct it", r->why);
}

fb_code form_get_row(fb_db *db, fb_text json, const cat_entity *e, arena *memory, fb_value *values,
                     bool *given, fb_error *err)
{
    json_reader r;
    fb_text key;

    for (uint32_t i = 0; i < e->columns_count; i++) {
        values[i] = (fb_value){.kind = FB_KIND_NULL};
        given[i] = false;
    }
    json_reader_init(&r, json, memory);
    if (json_peek(&r) != JSON_OBJECT) {
        return not_json(&r, err);
    }
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        int column = cat_column_find(e, key);
        if (column < 0) {
            return unknown_column(e, key, err);
        }
        fb_code rc = form_get(db, &r, e, column, memory, &values[column], err);
        if (rc != FB_OK) {
            return r.code != FB_OK ? not_json(&r, err) : rc;
        }
        given[column] = true;
    }
    return json_finish(&r) == FB_OK ? FB_OK : not_json(&r, err);
}

static void put_stored(json_writer *w, const fb_value *v)
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

fb_code form_put_rows(json_writer *w, sql_stmt *s)
{
    bool row = false;
    fb_code rc = FB_OK;

    json_put_array(w);
    while ((rc = sql_step(s, &row)) == FB_OK && row && w->out->code == FB_OK) {
        json_put_object(w);
        for (int i = 0; i < sql_columns(s); i++) {
            fb_value v = sql_value(s, i);
            json_put_key(w, sql_column_name(s, i));
            put_stored(w, &v);
        }
        json_put_end(w);
    }
    sql_reset(s);
    json_put_end(w);
    return rc != FB_OK ? rc : w->out->code;
}
