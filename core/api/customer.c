/* customer.c - look up, create and change a customer. See fieldbook/customer.h. */
#include "fieldbook/customer.h"

#include <stdio.h>

#include "api/handle.h"
#include "schema/numbers.h"
#include "wire/row_msg.h"

fb_code lookup_by_key(fb_db *db, const char *entity, fb_text key_or_id, fb_id *out, fb_error *err)
{
    const cat_entity *e = NULL;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_value key = {.kind = FB_KIND_TEXT, .u.text = key_or_id};
    fb_id id;

    FB_TRY(api_entity(db, entity, &e, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : FB_E_NOT_FOUND;
    if (rc == FB_E_NOT_FOUND && id_get(key_or_id, &id)) {
        rc = row_read(db->r, e, &id, memory, values);
    } else if (rc == FB_E_NOT_FOUND && e->business_key >= 0 && key_or_id.size > 0) {
        rc = row_find(db->r, e, e->business_key, &key, memory, values);
    }
    if (rc == FB_OK) {
        *out = values[0].u.id;
    }
    arena_free(memory);
    if (rc == FB_E_NOT_FOUND) {
        return fail(err, rc, entity,
                    "no record with this code or id is on this device: synchronise, or correct it");
    }
    return rc;
}

fb_code fb_customer_lookup(fb_db *db, const char *code_or_id, fb_id *out, fb_error *err)
{
    FB_REQUIRE(db != NULL && out != NULL);
    api_clear(err);
    return api_said(db, lookup_by_key(db, "customer", text_of(code_or_id), out, err), err);
}

static void copy_column(sql_stmt *s, int i, char *out, size_t size)
{
    fb_text t = sql_text(s, i);

    (void)snprintf(out, size, "%.*s", (int)(t.size < size ? t.size : size - 1),
                   t.data == NULL ? "" : t.data);
}

fb_code api_customer_get(fb_db *db, const fb_id *id, api_customer *out, fb_error *err)
{
    bool row = false;
    fb_id stands = *id; /* a screen may be older than the last sync */
    FB_TRY(alias_of(db->r, &stands));
    sql_stmt *s = sql_prepare(replica_sql(db->r),
                              "SELECT status, grade, channel, payment_term, territory_id, "
                              "price_list_id FROM customer WHERE id = ?1");
    sql_bind_id(s, 1, &stands);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return fail(err, FB_E_NOT_FOUND, "customer",
                    "the customer is not on this device: synchronise, or check the id");
    }
    *out = (api_customer){.id = stands, .territory = sql_id(s, 4), .price_list = sql_id(s, 5)};
    copy_column(s, 0, out->status, sizeof out->status);
    copy_column(s, 1, out->grade, sizeof out->grade);
    copy_column(s, 2, out->channel, sizeof out->channel);
    copy_column(s, 3, out->payment_term, sizeof out->payment_term);
    sql_reset(s);
    return FB_OK;
}

/* A row or a change as it came in JSON. */
typedef struct input {
    const cat_entity *e;
    arena *memory;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    bool given[CATALOG_COLUMNS_LIMIT];
} input;

static fb_code input_read(input *in, fb_db *db, const char *json, fb_error *err)
{
    in->memory = arena_new(CALL_BYTES_MAX);
    if (in->memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(api_entity(db, "customer", &in->e, err));
    return form_get_row(db, text_of(json), in->e, in->memory, in->values, in->given, err);
}

static void fill_absent(input *in, const char *column, fb_value v)
{
    int i = cat_column_str(in->e, column);

    if (i >= 0 && in->values[i].kind == FB_KIND_NULL) {
        in->values[i] = v;
    }
}

static fb_code fill_code(fb_db *db, input *in, fb_error *err)
{
    buf code;
    int column = cat_column_str(in->e, "code");

    if (column < 0 || in->values[column].kind != FB_KIND_NULL) {
        return FB_OK;
    }
    buf_init(&code, 64);
    fb_code rc = capture_number(db->r, NUMBER_PREFIX_CUSTOMER, &code, err);
    fb_text kept = arena_text(in->memory, buf_text(&code));
    buf_clear(&code);
    if (rc == FB_OK && kept.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    in->values[column] = (fb_value){.kind = FB_KIND_TEXT, .u.text = kept};
    return rc;
}

static fb_code fill_customer(fb_db *db, input *in, fb_error *err)
{
    api_person me;

    FB_TRY(api_person_get(db, &me, err));
    FB_TRY(fill_code(db, in, err));
    fill_absent(in, "id", (fb_value){.kind = FB_KIND_ID, .u.id = api_id(db)});
    fill_absent(in, "status", (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of("pending")});
    fill_absent(in, "owner_id", (fb_value){.kind = FB_KIND_ID, .u.id = me.user});
    if (!id_is_none(&me.territory)) {
        fill_absent(in, "territory_id", (fb_value){.kind = FB_KIND_ID, .u.id = me.territory});
    }
    return FB_OK;
}

fb_code fb_customer_create(fb_db *db, const char *json, fb_id *id_out, fb_error *err)
{
    input in = {0};
    api_write w;

    FB_REQUIRE(db != NULL && json != NULL);
    api_clear(err);
    fb_code rc = input_read(&in, db, json, err);
    if (rc == FB_OK && (rc = write_begin(db, "customer.create", 0, &w, err)) == FB_OK) {
        if ((rc = fill_customer(db, &in, err)) == FB_OK) {
            rc = capture_insert(db->r, in.e, in.values, err);
        }
        rc = write_end(&w, rc, NULL, err);
    }
    if (rc == FB_OK) {
        db->group_customer = in.values[0].u.id;
        if (id_out != NULL) {
            *id_out = in.values[0].u.id;
        }
    }
    arena_free(in.memory);
    return api_said(db, rc, err);
}

/* --- change ------------------------------------------------------------------------------------
 */

/* Devices may write the column themselves. */
static bool is_free_column(const cat_column *c)
{
    return !c->guarded && c->policy != CAT_SW;
}

/* Splits what was given into columns to write and columns to ask for; unchanged ones are dropped.
 */
typedef struct split {
    int free_columns[CATALOG_COLUMNS_LIMIT];
    fb_value free_values[CATALOG_COLUMNS_LIMIT];
    int asked[CATALOG_COLUMNS_LIMIT];
    uint32_t free_count, asked_count;
} split;

static void split_columns(const input *in, const fb_value *current, split *out)
{
    out->free_count = out->asked_count = 0;
    for (int i = 1; i < cat_ver_column(in->e); i++) {
        if (!in->given[i] || fb_value_equal(&in->values[i], &current[i])) {
            continue;
        }
        if (is_free_column(&in->e->columns[i])) {
            out->free_columns[out->free_count] = i;
            out->free_values[out->free_count++] = in->values[i];
        } else {
            out->asked[out->asked_count++] = i;
        }
    }
}

/* {"column": {"base": before, "mine": wanted}} with values as on the wire: the server applies it
 * when the request is approved (sync-server/decide/change_request.c). */
static void put_diff(buf *out, const input *in, const split *s, const fb_value *current)
{
    json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    for (uint32_t i = 0; i < s->asked_count; i++) {
        const cat_column *column = &in->e->columns[s->asked[i]];
        json_put_key_text(&w, column->name);
        json_put_object(&w);
        json_put_key(&w, "base");
        value_put(&w, column, &current[s->asked[i]]);
        json_put_key(&w, "mine");
        value_put(&w, column, &in->values[s->asked[i]]);
        json_put_end(&w);
    }
    json_put_end(&w);
}

static fb_code request_change(fb_db *db, const input *in, const split *s, const fb_value *current,
                              fb_id *id_out, fb_error *err)
{
    rec r;
    buf diff;
    char target[FB_ID_TEXT_BYTES];
    api_person me;

    FB_TRY(api_person_get(db, &me, err));
    buf_init(&diff, 64 << 10);
    put_diff(&diff, in, s, current);
    id_put(&current[0].u.id, target);
    rec_new(&r, db, "change_request");
    rec_str(&r, "target_entity", "customer");
    rec_str(&r, "target_id", target);
    rec_id(&r, "customer_id", &current[0].u.id);
    rec_str(&r, "kind", "update");
    rec_text(&r, "diff_json", buf_text(&diff));
    rec_id(&r, "requested_by", &me.user);
    rec_str(&r, "status", "submitted");
    fb_code rc = diff.code == FB_OK ? rec_insert(&r, err) : diff.code;
    buf_clear(&diff);
    if (rc == FB_OK) {
        *id_out = r.values[0].u.id;
    }
    return rc;
}

static fb_code apply_split(fb_db *db, const input *in, const fb_value *current,
                           fb_customer_change *out, fb_error *err)
{
    split s;

    split_columns(in, current, &s);
    *out =
        (fb_customer_change){.columns_written = s.free_count, .columns_requested = s.asked_count};
    if (s.free_count > 0) {
        FB_TRY(capture_update(db->r, in->e, &current[0].u.id, s.free_columns, s.free_values,
                              s.free_count, err));
    }
    if (s.asked_count > 0) {
        FB_TRY(request_change(db, in, &s, current, &out->change_request, err));
    }
    return FB_OK;
}

fb_code fb_customer_update(fb_db *db, const fb_id *customer, const char *json,
                           fb_customer_change *out, fb_error *err)
{
    input in = {0};
    rec current;
    api_write w;
    fb_customer_change done = {0};

    FB_REQUIRE(db != NULL && customer != NULL && json != NULL);
    api_clear(err);
    fb_code rc = input_read(&in, db, json, err);
    if (rc == FB_OK && (rc = write_begin(db, "customer.update", 0, &w, err)) == FB_OK) {
        if ((rc = rec_read(&current, db, "customer", customer, in.memory, err)) == FB_OK) {
            rc = apply_split(db, &in, current.values, &done, err);
        }
        rc = write_end(&w, rc, NULL, err);
    }
    arena_free(in.memory);
    if (rc == FB_OK && out != NULL) {
        *out = done;
    }
    return api_said(db, rc, err);
}
