/* order_draft.c - the draft at rest: what the person entered, as one JSON object in fb_draft.
 *
 *   {"customer": id, "at": "ms", "order_date": d, ..., "lines": [{"n": 1, "product": id, "uom": u,
 * "qty": "12000", ...}]}
 *
 * Prices are not stored: they are found again when the draft is opened. Amounts in storage units.
 */
#include "api/order_inside.h"

#include <string.h>

static const char KIND[] = "order";

/* --- out -------------------------------------------------------------------------------------- */

static void put_text(json_writer *w, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        json_put_key(w, key);
        json_put_str(w, value);
    }
}

static void put_int(json_writer *w, const char *key, int64_t value)
{
    json_put_key(w, key);
    json_put_int_string(w, value);
}

static void put_id(json_writer *w, const char *key, const fb_id *id)
{
    if (!id_is_none(id)) {
        json_put_key(w, key);
        json_put_id(w, id);
    }
}

static void put_line(json_writer *w, const order_line *l)
{
    json_put_object(w);
    json_put_key(w, "n");
    json_put_int(w, l->line_no);
    put_id(w, "product", &l->product);
    put_text(w, "uom", l->uom);
    put_int(w, "qty", l->qty_milli);
    if (l->has_price) {
        put_int(w, "price", l->price_given_4dp);
    }
    if (l->is_free) {
        json_put_key(w, "free");
        json_put_bool(w, true);
    }
    put_int(w, "discount", l->discount_bp);
    put_text(w, "reason", l->reason);
    put_text(w, "promo", l->promo_code);
    json_put_end(w);
}

static void put_draft(json_writer *w, const fb_order *o)
{
    json_put_object(w);
    put_id(w, "customer", &o->customer.id);
    put_id(w, "visit", &o->visit);
    put_id(w, "price_list", &o->price_list);
    put_id(w, "ship_to", &o->ship_to);
    put_int(w, "at", o->at_ms);
    json_put_key(w, "at_given");
    json_put_bool(w, o->at_given);
    put_text(w, "order_date", o->order_date);
    put_text(w, "requested_date", o->requested_date);
    put_text(w, "currency", o->currency);
    put_int(w, "header_discount", o->header_discount_minor);
    put_int(w, "freight", o->freight_minor);
    put_text(w, "note", o->note);
    json_put_key(w, "lines");
    json_put_array(w);
    for (uint32_t i = 0; i < o->lines_count; i++) {
        put_line(w, &o->lines[i]);
    }
    json_put_end(w);
    json_put_end(w);
}

/* While a group is open the handle is the only copy: the group's transaction is not the draft's. */
fb_code order_draft_store(fb_order *o, fb_error *err)
{
    buf body;
    json_writer w;

    if (o->db->group_open) {
        return FB_OK;
    }
    buf_init(&body, 1 << 20);
    json_writer_init(&w, &body);
    put_draft(&w, o);
    draft d = {.id = o->id,
               .kind = text_of(KIND),
               .updated_ms = fb_db_now_ms(o->db, NULL),
               .body = buf_text(&body)};
    fb_code rc = body.code == FB_OK ? draft_put(o->db->r, &d) : body.code;
    buf_clear(&body);
    o->stored = o->stored || rc == FB_OK;
    return rc == FB_OK ? FB_OK
                       : fail(err, rc, "draft", "the draft could not be stored: %s",
                              fb_code_text(rc, "en"));
}

/* --- in --------------------------------------------------------------------------------------- */

static void take_id(json_reader *r, fb_id *out)
{
    if (!id_get(json_string(r), out)) {
        json_fail(r, FB_E_CORRUPT, "a draft holds a wrong id");
    }
}

static void take_day(json_reader *r, char out[DAY_TEXT_BYTES])
{
    fb_text t = json_string(r);

    if (!text_date_valid(t)) {
        json_fail(r, FB_E_CORRUPT, "a draft holds a wrong date");
        return;
    }
    memcpy(out, t.data, DAY_TEXT_BYTES - 1);
}

static void take_currency(json_reader *r, fb_order *o)
{
    fb_text t = json_string(r);

    if (t.size == sizeof o->currency - 1) {
        memcpy(o->currency, t.data, t.size);
    }
}

static const char *take_text(json_reader *r, fb_order *o)
{
    const char *copy = order_text(o, json_string(r));

    if (copy == NULL) {
        json_fail(r, FB_E_NO_MEMORY, "a draft is too large");
    }
    return copy;
}

static void take_line_field(json_reader *r, fb_order *o, fb_text key, order_line *l)
{
    if (text_is(key, "n")) {
        l->line_no = (int32_t)json_int(r);
    } else if (text_is(key, "product")) {
        take_id(r, &l->product);
    } else if (text_is(key, "uom")) {
        l->uom = take_text(r, o);
    } else if (text_is(key, "qty")) {
        l->qty_milli = json_int_string(r);
    } else if (text_is(key, "price")) {
        l->has_price = true;
        l->price_given_4dp = json_int_string(r);
    } else if (text_is(key, "free")) {
        l->is_free = json_bool(r);
    } else if (text_is(key, "discount")) {
        l->discount_bp = (int32_t)json_int_string(r);
    } else if (text_is(key, "reason")) {
        l->reason = take_text(r, o);
    } else if (text_is(key, "promo")) {
        l->promo_code = take_text(r, o);
    } else {
        json_skip(r);
    }
}

static void take_lines(json_reader *r, fb_order *o)
{
    fb_text key;

    json_array_begin(r);
    while (json_array_next(r)) {
        order_line l = {.reason = "", .promo_code = ""};
        json_object_begin(r);
        while (json_object_next(r, &key)) {
            take_line_field(r, o, key, &l);
        }
        if (order_line_room(o) != FB_OK || o->lines_count >= ORDER_LINES_MAX) {
            json_fail(r, FB_E_LIMIT, "a draft has too many lines");
            return;
        }
        o->lines[o->lines_count++] = l;
    }
}

static void take_field(json_reader *r, fb_order *o, fb_text key)
{
    if (text_is(key, "customer")) {
        take_id(r, &o->customer.id);
    } else if (text_is(key, "visit")) {
        take_id(r, &o->visit);
    } else if (text_is(key, "price_list")) {
        take_id(r, &o->price_list);
    } else if (text_is(key, "ship_to")) {
        take_id(r, &o->ship_to);
    } else if (text_is(key, "at")) {
        o->at_ms = json_int_string(r);
    } else if (text_is(key, "at_given")) {
        o->at_given = json_bool(r);
    } else if (text_is(key, "order_date")) {
        take_day(r, o->order_date);
    } else if (text_is(key, "requested_date")) {
        take_day(r, o->requested_date);
    } else if (text_is(key, "currency")) {
        take_currency(r, o);
    } else if (text_is(key, "header_discount")) {
        o->header_discount_minor = json_int_string(r);
    } else if (text_is(key, "freight")) {
        o->freight_minor = json_int_string(r);
    } else if (text_is(key, "note")) {
        o->note = take_text(r, o);
    } else if (text_is(key, "lines")) {
        take_lines(r, o);
    } else {
        json_skip(r);
    }
}

fb_code order_draft_load(fb_order *o, fb_text json, fb_error *err)
{
    json_reader r;
    fb_text key;

    json_reader_init(&r, json, o->memory);
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        take_field(&r, o, key);
    }
    if (json_finish(&r) != FB_OK) {
        return fail(err, FB_E_CORRUPT, "draft", "the stored draft cannot be read (%s): discard it",
                    r.why);
    }
    FB_TRY(api_customer_get(o->db, &o->customer.id, &o->customer, err));
    for (uint32_t i = 0; i < o->lines_count; i++) {
        FB_TRY(order_line_resolve(o, &o->lines[i], err));
    }
    o->stored = true;
    return FB_OK;
}

static fb_code draft_open(fb_db *db, const fb_id *id, fb_order **out, fb_error *err)
{
    buf body;

    buf_init(&body, 1 << 20);
    fb_code rc = draft_get(db->r, text_of(KIND), id, &body);
    if (rc == FB_E_NOT_FOUND) {
        (void)fail(err, rc, "draft", "there is no such draft: it was submitted or discarded");
    }
    if (rc == FB_OK && (rc = order_alloc(db, out)) == FB_OK) {
        fb_order *o = *out;
        fb_text json = arena_text(o->memory, buf_text(&body));
        o->id = *id;
        rc = json.data == NULL ? FB_E_NO_MEMORY : order_draft_load(o, json, err);
    }
    buf_clear(&body);
    return rc;
}

fb_code fb_order_open(fb_db *db, const fb_id *id, fb_order **out, fb_error *err)
{
    fb_order *o = NULL;
    bool own = false;

    FB_REQUIRE(db != NULL && id != NULL && out != NULL);
    api_clear(err);
    /* A promotion renames a customer in drafts and takes the row away. */
    fb_code rc = replica_view_begin(db->r, &own);
    if (rc == FB_OK) {
        rc = draft_open(db, id, &o, err);
    }
    replica_view_end(db->r, own);
    if (rc != FB_OK) {
        fb_order_close(o);
        return api_said(db, rc, err);
    }
    *out = o;
    return FB_OK;
}

fb_code fb_order_discard(fb_order *order, fb_error *err)
{
    FB_REQUIRE(order != NULL);
    api_clear(err);
    fb_code rc = order->stored ? draft_delete(order->db->r, &order->id) : FB_OK;
    order->finished = order->finished || rc == FB_OK;
    return api_said(order->db, rc, err);
}

/* --- for people --------------------------------------------------------------------------------
 */

static const cat_column AMOUNTS[] = {
    {.name = {"minor", 5}, .type = CAT_MINOR, .to_entity = -1},
    {.name = {"price", 5}, .type = CAT_PRICE, .to_entity = -1},
    {.name = {"milli", 5}, .type = CAT_MILLI, .to_entity = -1},
    {.name = {"bp", 2}, .type = CAT_BP, .to_entity = -1},
};
enum { AS_MINOR, AS_PRICE, AS_MILLI, AS_BP };

static void put_amount(json_writer *w, const char *key, int as, int64_t value)
{
    const cat_entity e = {.columns = (cat_column *)(uintptr_t)AMOUNTS, .columns_count = 4};
    fb_value v = {.kind = FB_KIND_INT, .u.i = value};

    json_put_key(w, key);
    form_put(w, &e, as, &v);
}

static void put_line_view(json_writer *w, const order_line *l)
{
    json_put_object(w);
    json_put_key(w, "line_no");
    json_put_int(w, l->line_no);
    put_id(w, "product_id", &l->product);
    json_put_key(w, "product");
    json_put_string(w, l->product_code);
    json_put_key(w, "name");
    json_put_string(w, l->product_name);
    put_text(w, "uom", l->uom);
    put_amount(w, "qty", AS_MILLI, l->qty_milli);
    put_amount(w, "list_price", AS_PRICE, l->facts.list_price_4dp);
    put_amount(w, "unit_price", AS_PRICE, l->facts.unit_price_4dp);
    json_put_key(w, "price_source");
    json_put_string(w, l->facts.price_source);
    put_amount(w, "discount", AS_BP, l->discount_bp);
    put_amount(w, "discount_amount", AS_MINOR, l->amounts.discount_minor);
    put_amount(w, "net", AS_MINOR, l->amounts.net_minor);
    put_amount(w, "tax", AS_MINOR, l->amounts.tax_minor);
    put_amount(w, "gross", AS_MINOR, l->amounts.gross_minor);
    put_text(w, "reason", l->reason);
    json_put_end(w);
}

static void put_totals_view(json_writer *w, const fb_order *o, const price_totals *t)
{
    json_put_key(w, "totals");
    json_put_object(w);
    put_text(w, "currency", o->currency);
    put_amount(w, "subtotal", AS_MINOR, t->subtotal_minor);
    put_amount(w, "line_discount", AS_MINOR, t->line_discount_minor);
    put_amount(w, "header_discount", AS_MINOR, t->header_discount_minor);
    put_amount(w, "net", AS_MINOR, t->net_minor);
    put_amount(w, "tax", AS_MINOR, t->tax_minor);
    put_amount(w, "freight", AS_MINOR, t->freight_minor);
    put_amount(w, "total", AS_MINOR, t->total_minor);
    json_put_end(w);
}

static void put_view(json_writer *w, const fb_order *o, const price_totals *t)
{
    json_put_object(w);
    put_id(w, "id", &o->id);
    put_id(w, "customer_id", &o->customer.id);
    put_id(w, "visit_id", &o->visit);
    put_text(w, "order_date", o->order_date);
    put_text(w, "requested_date", o->requested_date);
    put_text(w, "note", o->note);
    json_put_key(w, "lines");
    json_put_array(w);
    for (uint32_t i = 0; i < o->lines_count; i++) {
        put_line_view(w, &o->lines[i]);
    }
    json_put_end(w);
    put_totals_view(w, o, t);
    json_put_end(w);
}

fb_code fb_order_json(const fb_order *order, char **json_out, fb_error *err)
{
    price_totals t = {0};
    json_writer w;
    buf out;

    FB_REQUIRE(order != NULL && json_out != NULL);
    api_clear(err);
    buf_init(&out, JSON_OUT_BYTES_MAX);
    fb_code rc = order_totals(order, &t);
    if (rc == FB_OK) {
        json_writer_init(&w, &out);
        put_view(&w, order, &t);
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&out);
    return api_said(order->db, rc, err);
}

/* --- the list --------------------------------------------------------------------------------- */

typedef struct draft_ids {
    fb_id *ids;
    int64_t *updated_ms;
    uint32_t count, capacity;
} draft_ids;

static fb_code note_draft(void *ctx, const draft *d)
{
    draft_ids *all = ctx;

    if (all->count < all->capacity) {
        all->ids[all->count] = d->id;
        all->updated_ms[all->count] = d->updated_ms;
        all->count++;
    }
    return FB_OK;
}

static fb_code put_draft_view(fb_db *db, json_writer *w, const fb_id *id, int64_t updated_ms,
                              fb_error *err)
{
    fb_order *o = NULL;
    price_totals t = {0};
    buf when;

    FB_TRY(fb_order_open(db, id, &o, err));
    fb_code rc = order_totals(o, &t);
    buf_init(&when, 64);
    instant_print(updated_ms, &when);
    json_put_object(w);
    put_id(w, "id", id);
    put_id(w, "customer_id", &o->customer.id);
    put_text(w, "order_date", o->order_date);
    json_put_key(w, "lines");
    json_put_int(w, o->lines_count);
    put_text(w, "currency", o->currency);
    put_amount(w, "total", AS_MINOR, t.total_minor);
    json_put_key(w, "updated_at");
    json_put_string(w, buf_text(&when));
    json_put_end(w);
    buf_clear(&when);
    fb_order_close(o);
    return rc;
}

fb_code fb_order_drafts(fb_db *db, char **json_out, fb_error *err)
{
    enum { DRAFTS_SHOWN_MAX = 1000 };
    json_writer w;
    buf out;
    draft_ids all = {.capacity = DRAFTS_SHOWN_MAX};
    bool own = false;

    FB_REQUIRE(db != NULL && json_out != NULL);
    api_clear(err);
    arena *memory = arena_new(CALL_BYTES_MAX);
    buf_init(&out, JSON_OUT_BYTES_MAX);
    json_writer_init(&w, &out);
    all.ids = memory == NULL ? NULL : arena_take(memory, DRAFTS_SHOWN_MAX * sizeof *all.ids);
    all.updated_ms =
        memory == NULL ? NULL : arena_take(memory, DRAFTS_SHOWN_MAX * sizeof *all.updated_ms);
    fb_code rc = all.ids == NULL || all.updated_ms == NULL ? FB_E_NO_MEMORY
                                                           : replica_view_begin(db->r, &own);
    if (rc == FB_OK) {
        rc = draft_each(db->r, text_of(KIND), note_draft, &all);
    }
    json_put_array(&w);
    for (uint32_t i = 0; rc == FB_OK && i < all.count; i++) {
        rc = put_draft_view(db, &w, &all.ids[i], all.updated_ms[i], err);
    }
    replica_view_end(db->r, own);
    json_put_end(&w);
    if (rc == FB_OK) {
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&out);
    arena_free(memory);
    return api_said(db, rc, err);
}
