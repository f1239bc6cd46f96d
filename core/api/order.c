/* order.c - the order as the person builds it: handle, lines, totals. See fieldbook/order.h. */
#include "fieldbook/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/order_inside.h"
#include "rules/issue.h"

enum { QTY_MILLI_MAX = 2000000000 };

const char *order_text(fb_order *o, fb_text t)
{
    if (t.size == 0) {
        return "";
    }
    return arena_text(o->memory, t).data;
}

fb_code order_alloc(fb_db *db, fb_order **out)
{
    fb_order *o = calloc(1, sizeof *o);

    if (o == NULL) {
        return FB_E_NO_MEMORY;
    }
    o->db = db;
    o->note = "";
    o->memory = arena_new(ORDER_BYTES_MAX);
    if (o->memory == NULL) {
        free(o);
        return FB_E_NO_MEMORY;
    }
    *out = o;
    return FB_OK;
}

void fb_order_close(fb_order *order)
{
    if (order != NULL) {
        arena_free(order->memory);
        free(order->lines);
        free(order);
    }
}

const fb_id *fb_order_id(const fb_order *order)
{
    return order == NULL ? NULL : &order->id;
}

fb_code order_line_room(fb_order *o)
{
    if (o->lines_count < o->lines_capacity) {
        return FB_OK;
    }
    uint32_t capacity = o->lines_capacity == 0 ? 8 : o->lines_capacity * 2;
    size_t bytes = 0;
    if (!size_mul(capacity, sizeof *o->lines, &bytes)) {
        return FB_E_NO_MEMORY;
    }
    order_line *lines = realloc(o->lines, bytes);
    if (lines == NULL) {
        return FB_E_NO_MEMORY;
    }
    o->lines = lines;
    o->lines_capacity = capacity;
    return FB_OK;
}

/* --- new -------------------------------------------------------------------------------------- */

static fb_code take_date(const char *text, const char *field, char out[DAY_TEXT_BYTES],
                         fb_error *err)
{
    if (text == NULL || text[0] == '\0') {
        return FB_OK;
    }
    if (!text_date_valid(text_of(text))) {
        return fail(err, FB_E_FORMAT, field,
                    "the date must exist and be written YYYY-MM-DD: correct it");
    }
    memcpy(out, text, DAY_TEXT_BYTES);
    return FB_OK;
}

/* The currency of the list the order names, if it names one. */
static fb_code take_currency(fb_order *o, const char *given, fb_error *err)
{
    bool row = false;

    if (given != NULL && strlen(given) != 3) {
        return fail(err, FB_E_FORMAT, "sales_order.currency",
                    "a currency has three letters, such as CNY: correct it");
    }
    if (given != NULL) {
        memcpy(o->currency, given, sizeof o->currency);
        return FB_OK;
    }
    if (id_is_none(&o->price_list)) {
        return FB_OK;
    }
    sql_stmt *s =
        sql_prepare(replica_sql(o->db->r), "SELECT currency FROM price_list WHERE id = ?1");
    sql_bind_id(s, 1, &o->price_list);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return fail(err, FB_E_REFERENCE, "sales_order.price_list_id",
                    "the price list is not on this device: choose another");
    }
    (void)snprintf(o->currency, sizeof o->currency, "%.*s", 3, sql_text(s, 0).data);
    sql_reset(s);
    return FB_OK;
}

static fb_code take_amounts(fb_order *o, const fb_order_options *in, fb_error *err)
{
    if (in->header_discount_minor < 0 || in->freight_minor < 0) {
        return fail(err, FB_E_RANGE,
                    in->freight_minor < 0 ? "sales_order.freight_amount"
                                          : "sales_order.header_discount",
                    "the amount is below zero: enter zero or more");
    }
    o->header_discount_minor = in->header_discount_minor;
    o->freight_minor = in->freight_minor;
    return FB_OK;
}

static fb_code take_options(fb_order *o, const fb_order_options *in, fb_error *err)
{
    o->at_ms = in->at_ms != 0                                 ? in->at_ms
               : o->db->group_open && o->db->group_at_ms != 0 ? o->db->group_at_ms
                                                              : fb_db_now_ms(o->db, NULL);
    o->at_given = in->at_ms != 0;
    day_of(o->db, o->at_ms, o->order_date);
    o->visit = in->visit;
    o->price_list = in->price_list;
    o->ship_to = in->ship_address;
    FB_TRY(not_in_future(o->db, o->at_ms, "sales_order.submitted_at", err));
    FB_TRY(take_date(in->order_date, "sales_order.order_date", o->order_date, err));
    FB_TRY(take_date(in->requested_date, "sales_order.requested_date", o->requested_date, err));
    FB_TRY(take_amounts(o, in, err));
    FB_TRY(take_currency(o, in->currency, err));
    o->note = order_text(o, text_of(in->note));
    if (o->note == NULL) {
        return FB_E_NO_MEMORY;
    }
    return id_is_none(&o->visit) ? visit_for(o->db, &o->customer.id, o->at_ms, &o->visit) : FB_OK;
}

fb_code fb_order_new(fb_db *db, const fb_id *customer, const fb_order_options *options,
                     fb_order **out, fb_error *err)
{
    fb_order_options in = FB_ORDER_OPTIONS_INIT;
    fb_order *o = NULL;

    FB_REQUIRE(db != NULL && customer != NULL && out != NULL);
    api_clear(err);
    FB_TRY(options_copy(&in, sizeof in, options));
    fb_code rc = order_alloc(db, &o);
    if (rc == FB_OK && (rc = api_customer_get(db, customer, &o->customer, err)) == FB_OK &&
        (rc = take_options(o, &in, err)) == FB_OK) {
        o->id = api_id(db);
        rc = order_draft_store(o, err);
    }
    if (rc != FB_OK) {
        fb_order_close(o);
        return api_said(db, rc, err);
    }
    *out = o;
    return FB_OK;
}

/* --- lines ------------------------------------------------------------------------------------ */

static fb_code refuse_finished(const fb_order *o, fb_error *err)
{
    if (o->finished) {
        return fail(err, FB_E_STATE, "sales_order.status",
                    "the order was submitted or discarded: begin a new one");
    }
    return FB_OK;
}

static fb_code line_field(const order_line *l, const char *column, fb_code code, const char *why,
                          fb_error *err)
{
    char field[96];

    (void)snprintf(field, sizeof field, "sales_order_line[%d].%s", (int)l->line_no, column);
    return fail(err, code, field, "%s", why);
}

static fb_code take_line_options(fb_order *o, order_line *l, const fb_order_line_options *in,
                                 fb_error *err)
{
    l->has_price = in->has_price;
    l->price_given_4dp = in->unit_price_4dp;
    l->is_free = in->is_free;
    l->discount_bp = in->discount_bp;
    l->reason = order_text(o, text_of(in->reason));
    l->promo_code = order_text(o, text_of(in->promo_code));
    if (l->reason == NULL || l->promo_code == NULL) {
        return FB_E_NO_MEMORY;
    }
    if (l->has_price && l->price_given_4dp < 0) {
        return line_field(l, "unit_price_4dp", FB_E_RANGE,
                          "the price is below zero: enter zero or more", err);
    }
    if (l->is_free && l->reason[0] == '\0') {
        return line_field(l, "reason", FB_E_REQUIRED, "a free line needs a reason: give one", err);
    }
    return FB_OK;
}

static fb_code check_qty(const order_line *l, fb_error *err)
{
    if (l->qty_milli <= 0 || l->qty_milli > QTY_MILLI_MAX * INT64_C(1000)) {
        return line_field(l, "qty_milli", FB_E_QUANTITY,
                          "the quantity must be above zero and sensible: correct it", err);
    }
    return FB_OK;
}

/* Facts, amounts, and the rules for this line alone. */
static fb_code settle_line(fb_order *o, order_line *l, fb_error *err)
{
    bool over_credit = false;
    bool own = false;

    FB_TRY(check_qty(l, err));
    fb_code rc = replica_view_begin(o->db->r, &own); /* prices are read row by row */
    if (rc == FB_OK && (rc = order_line_resolve(o, l, err)) == FB_OK) {
        rc = order_judge(o, l, 1, false, &over_credit, err);
    }
    replica_view_end(o->db->r, own);
    return rc;
}

static int32_t next_line_no(const fb_order *o)
{
    int32_t last = 0;

    for (uint32_t i = 0; i < o->lines_count; i++) {
        last = o->lines[i].line_no > last ? o->lines[i].line_no : last;
    }
    return last + 1;
}

static fb_code add_line(fb_order *o, order_line *l, fb_error *err)
{
    char currency[sizeof o->currency];

    memcpy(currency, o->currency, sizeof currency);
    FB_TRY(order_line_room(o));
    fb_code rc = settle_line(o, l, err);
    if (rc == FB_OK) {
        o->lines[o->lines_count++] = *l;
        rc = order_draft_store(o, err);
        o->lines_count -= rc != FB_OK;
    }
    if (rc != FB_OK) {
        memcpy(o->currency, currency, sizeof currency);
    }
    return rc;
}

fb_code fb_order_line_add(fb_order *order, const fb_id *product, const char *uom, int64_t qty_milli,
                          const fb_order_line_options *options, int32_t *line_no_out, fb_error *err)
{
    fb_order_line_options in = FB_ORDER_LINE_OPTIONS_INIT;

    FB_REQUIRE(order != NULL && product != NULL);
    api_clear(err);
    FB_TRY(refuse_finished(order, err));
    FB_TRY(options_copy(&in, sizeof in, options));
    if (order->lines_count >= ORDER_LINES_MAX) {
        return fail(err, FB_E_LIMIT, "sales_order_line", "at most %d lines: begin another order",
                    ORDER_LINES_MAX);
    }
    order_line l = {.line_no = next_line_no(order), .product = *product, .qty_milli = qty_milli};
    l.uom = uom == NULL || uom[0] == '\0' ? NULL : order_text(order, text_of(uom));
    fb_code rc = take_line_options(order, &l, &in, err);
    if (rc == FB_OK) {
        rc = add_line(order, &l, err);
    }
    if (rc == FB_OK && line_no_out != NULL) {
        *line_no_out = l.line_no;
    }
    return api_said(order->db, rc, err);
}

static order_line *find_line(fb_order *o, int32_t line_no)
{
    for (uint32_t i = 0; i < o->lines_count; i++) {
        if (o->lines[i].line_no == line_no) {
            return &o->lines[i];
        }
    }
    return NULL;
}

static fb_code no_line(fb_error *err)
{
    return fail(err, FB_E_NOT_FOUND, "line_no", "the order has no such line: see its lines");
}

fb_code fb_order_line_set(fb_order *order, int32_t line_no, int64_t qty_milli,
                          const fb_order_line_options *options, fb_error *err)
{
    fb_order_line_options in = FB_ORDER_LINE_OPTIONS_INIT;

    FB_REQUIRE(order != NULL);
    api_clear(err);
    FB_TRY(refuse_finished(order, err));
    order_line *at = find_line(order, line_no);
    if (at == NULL) {
        return no_line(err);
    }
    FB_TRY(options_copy(&in, sizeof in, options));
    order_line before = *at;
    order_line l = *at;
    l.qty_milli = qty_milli;
    fb_code rc = options == NULL ? FB_OK : take_line_options(order, &l, &in, err);
    if (rc == FB_OK && (rc = settle_line(order, &l, err)) == FB_OK) {
        *at = l;
        rc = order_draft_store(order, err);
    }
    if (rc != FB_OK) {
        *at = before;
    }
    return api_said(order->db, rc, err);
}

fb_code fb_order_line_remove(fb_order *order, int32_t line_no, fb_error *err)
{
    FB_REQUIRE(order != NULL);
    api_clear(err);
    FB_TRY(refuse_finished(order, err));
    order_line *at = find_line(order, line_no);
    if (at == NULL) {
        return no_line(err);
    }
    order_line gone = *at;
    size_t after = (size_t)(&order->lines[order->lines_count] - (at + 1));
    memmove(at, at + 1, after * sizeof *at);
    order->lines_count--;
    fb_code rc = order_draft_store(order, err);
    if (rc != FB_OK) {
        memmove(at + 1, at, after * sizeof *at);
        *at = gone;
        order->lines_count++;
    }
    return api_said(order->db, rc, err);
}

/* --- totals ----------------------------------------------------------------------------------- */

fb_code order_totals(const fb_order *o, price_totals *out)
{
    size_t bytes = 0;

    if (!size_mul(o->lines_count + (size_t)1, sizeof(price_line), &bytes)) {
        return FB_E_NO_MEMORY;
    }
    price_line *lines = malloc(bytes);
    if (lines == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < o->lines_count; i++) {
        lines[i] = o->lines[i].amounts;
    }
    fb_code rc = price_totals_compute(lines, o->lines_count, o->header_discount_minor,
                                      o->freight_minor, out);
    free(lines);
    return rc;
}

void order_totals_copy(const fb_order *o, const price_totals *t, fb_order_totals_out *out)
{
    *out = (fb_order_totals_out){
        .lines_count = o->lines_count,
        .subtotal_minor = t->subtotal_minor,
        .line_discount_minor = t->line_discount_minor,
        .header_discount_minor = t->header_discount_minor,
        .net_minor = t->net_minor,
        .tax_minor = t->tax_minor,
        .freight_minor = t->freight_minor,
        .total_minor = t->total_minor,
    };
    memcpy(out->currency, o->currency, sizeof out->currency);
}

fb_code fb_order_totals(const fb_order *order, fb_order_totals_out *out, fb_error *err)
{
    price_totals t = {0};

    FB_REQUIRE(order != NULL && out != NULL);
    api_clear(err);
    fb_code rc = order_totals(order, &t);
    if (rc != FB_OK) {
        return fail(err, rc, "sales_order.total", "the total cannot be computed: %s",
                    fb_code_text(rc, "en"));
    }
    order_totals_copy(order, &t, out);
    return FB_OK;
}
