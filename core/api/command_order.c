/* command_order.c - orders by name: step by step through a draft, or whole in one call. See
 * command_inside.h. */
#include "api/command_inside.h"

#include <stdio.h>
#include <string.h>

static fb_code read_head(command_call *c, fb_order_options *o)
{
    const char *remark = arg_text(c, "remark");

    FB_TRY(arg_instant(c, "at", &o->at_ms));
    FB_TRY(arg_ref(c, "visit", "visit", &o->visit));
    FB_TRY(arg_ref(c, "price_list", "price_list", &o->price_list));
    FB_TRY(arg_ref(c, "ship_to", "customer_address", &o->ship_address));
    FB_TRY(arg_decimal(c, "header_discount", 2, &o->header_discount_minor));
    FB_TRY(arg_decimal(c, "freight", 2, &o->freight_minor));
    o->order_date = arg_text(c, "date");
    o->requested_date = arg_text(c, "requested_date");
    o->currency = arg_text(c, "currency");
    o->note = remark != NULL ? remark : arg_text(c, "note");
    return FB_OK;
}

static fb_code new_order(command_call *c, fb_order **out)
{
    fb_order_options o = FB_ORDER_OPTIONS_INIT;
    fb_id customer;

    if (arg_text(c, "customer") == NULL) {
        return arg_wrong(c, "customer", FB_E_REQUIRED,
                         "the customer is missing: give its code or id");
    }
    FB_TRY(arg_ref(c, "customer", "customer", &customer));
    FB_TRY(read_head(c, &o));
    return fb_order_new(c->db, &customer, &o, out, c->err);
}

static fb_code open_draft(command_call *c, fb_order **out)
{
    fb_id id;

    if (!fb_id_get(arg_text(c, "order"), &id)) {
        return arg_wrong(c, "order", FB_E_FORMAT,
                         "the id of a draft is expected: see the list of drafts");
    }
    return fb_order_open(c->db, &id, out, c->err);
}

static fb_code put_order(command_call *c, const fb_order *o)
{
    char *json = NULL;

    return out_json(c, fb_order_json(o, &json, c->err), &json);
}

fb_code cmd_order_new(command_call *c)
{
    fb_order *o = NULL;

    FB_TRY(new_order(c, &o));
    fb_code rc = put_order(c, o);
    fb_order_close(o);
    return rc;
}

/* --- lines ------------------------------------------------------------------------------------ */

static fb_code read_line_options(command_call *c, fb_order_line_options *o)
{
    int64_t discount = 0;

    FB_TRY(arg_decimal(c, "discount", 2, &discount));
    FB_TRY(arg_decimal(c, "price", 4, &o->unit_price_4dp));
    FB_TRY(arg_bool(c, "free", &o->is_free));
    if (discount < 0 || discount > 10000) {
        return arg_wrong(c, "discount", FB_E_DISCOUNT, "a discount is 0..100 %: correct it");
    }
    o->discount_bp = (int32_t)discount;
    o->has_price = arg_text(c, "price") != NULL;
    o->reason = arg_text(c, "reason");
    o->promo_code = arg_text(c, "promo");
    return FB_OK;
}

static fb_code add_line(command_call *c, fb_order *o)
{
    fb_order_line_options in = FB_ORDER_LINE_OPTIONS_INIT;
    fb_id product;
    int64_t qty = 0;

    if (arg_text(c, "product") == NULL) {
        return arg_wrong(c, "product", FB_E_REQUIRED,
                         "the product is missing: give its code or id");
    }
    FB_TRY(arg_ref(c, "product", "product", &product));
    FB_TRY(arg_decimal(c, "qty", 3, &qty));
    FB_TRY(read_line_options(c, &in));
    return fb_order_line_add(o, &product, arg_text(c, "uom"), qty, &in, NULL, c->err);
}

static bool has_line_options(const command_call *c)
{
    static const char *const NAMES[] = {"discount", "price", "free", "reason", "promo"};

    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (arg_text(c, NAMES[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static fb_code set_line(command_call *c, fb_order *o)
{
    fb_order_line_options in = FB_ORDER_LINE_OPTIONS_INIT;
    int64_t line_no = 0;
    int64_t qty = 0;

    FB_TRY(arg_int(c, "line_no", 1, INT32_MAX, &line_no));
    FB_TRY(arg_decimal(c, "qty", 3, &qty));
    FB_TRY(read_line_options(c, &in));
    return fb_order_line_set(o, (int32_t)line_no, qty, has_line_options(c) ? &in : NULL, c->err);
}

fb_code cmd_order_line(command_call *c)
{
    fb_order *o = NULL;

    FB_TRY(open_draft(c, &o));
    fb_code rc = arg_text(c, "line_no") != NULL ? set_line(c, o) : add_line(c, o);
    if (rc == FB_OK) {
        rc = put_order(c, o);
    }
    fb_order_close(o);
    return rc;
}

fb_code cmd_order_remove_line(command_call *c)
{
    fb_order *o = NULL;
    int64_t line_no = 0;

    FB_TRY(arg_int(c, "line_no", 1, INT32_MAX, &line_no));
    FB_TRY(open_draft(c, &o));
    fb_code rc = fb_order_line_remove(o, (int32_t)line_no, c->err);
    if (rc == FB_OK) {
        rc = put_order(c, o);
    }
    fb_order_close(o);
    return rc;
}

/* --- show ------------------------------------------------------------------------------------- */

static fb_code put_stored_lines(command_call *c, const fb_id *order)
{
    bool row = false;
    fb_code rc = FB_OK;
    sql_stmt *s =
        sql_prepare(replica_sql(c->db->r),
                    "SELECT id FROM sales_order_line WHERE order_id = ?1 ORDER BY line_no, id");

    sql_bind_id(s, 1, order);
    json_put_key(c->w, "lines");
    json_put_array(c->w);
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        rec line;
        fb_id id = sql_id(s, 0);
        if ((rc = rec_read(&line, c->db, "sales_order_line", &id, c->memory, c->err)) != FB_OK) {
            break;
        }
        form_put_row(c->w, line.e, line.values, true);
    }
    sql_reset(s);
    json_put_end(c->w);
    return rc;
}

static fb_code put_stored(command_call *c, const fb_id *order)
{
    rec head;

    FB_TRY(rec_read(&head, c->db, "sales_order", order, c->memory, c->err));
    json_put_object(c->w);
    json_put_key(c->w, "order");
    form_put_row(c->w, head.e, head.values, true);
    FB_TRY(put_stored_lines(c, order));
    json_put_end(c->w);
    return FB_OK;
}

static fb_code show_order(command_call *c)
{
    fb_order *o = NULL;
    fb_id id;
    fb_code rc = FB_E_NOT_FOUND;

    if (fb_id_get(arg_text(c, "order"), &id)) {
        rc = fb_order_open(c->db, &id, &o, NULL);
    }
    if (rc == FB_OK) {
        rc = put_order(c, o);
        fb_order_close(o);
        return rc;
    }
    FB_TRY(arg_ref(c, "order", "sales_order", &id));
    return put_stored(c, &id);
}

/* The order and its lines, or the draft that it was, of one moment. */
fb_code cmd_order_show(command_call *c)
{
    return view_run(c, show_order);
}

/* --- submit ----------------------------------------------------------------------------------- */

static fb_code check_line_args(const command_call *c, uint32_t i)
{
    static const char *const KNOWN = " product qty uom discount price free reason promo ";
    char word[64];

    for (uint32_t k = 0; k < c->args_count; k++) {
        (void)snprintf(word, sizeof word, " %.40s ", c->args[k].name.data);
        if (strstr(KNOWN, word) == NULL) {
            char field[64];
            (void)snprintf(field, sizeof field, "lines[%u].%.40s", i + 1, c->args[k].name.data);
            return fail(c->err, FB_E_INVALID, field,
                        "a line has no such argument: correct the name");
        }
    }
    return FB_OK;
}

static fb_code add_lines(command_call *c, fb_order *o)
{
    json_reader r;
    command_call line = *c;
    uint32_t i = 0;

    json_reader_init(&r, text_of(arg_text(c, "lines")), c->memory);
    if (json_peek(&r) != JSON_ARRAY) {
        return arg_wrong(c, "lines", FB_E_JSON, "a list of lines is expected: correct it");
    }
    json_array_begin(&r);
    while (json_array_next(&r)) {
        fb_text item = json_raw(&r);
        if (r.code != FB_OK) {
            break;
        }
        FB_TRY(args_read(&line, item));
        FB_TRY(check_line_args(&line, i));
        FB_TRY(add_line(&line, o));
        i++;
    }
    return json_finish(&r) == FB_OK ? FB_OK
                                    : arg_wrong(c, "lines", FB_E_JSON,
                                                "the list of lines is not strict JSON: correct it");
}

static void put_receipt(command_call *c, const fb_order_receipt *r, int64_t gseq)
{
    json_put_object(c->w);
    out_id(c, "id", &r->id);
    out_text(c, "order_no", r->order_no);
    out_text(c, "currency", r->totals.currency);
    out_decimal(c, "total", r->totals.total_minor, 2);
    out_int(c, "lines", r->totals.lines_count);
    json_put_key(c->w, "over_credit");
    json_put_bool(c->w, r->over_credit);
    if (gseq > 0) {
        out_int(c, "gseq", gseq);
    }
    json_put_end(c->w);
}

/* A whole order in one call: no draft is stored, so it runs inside a group. */
static fb_code submit_whole(command_call *c, fb_order_receipt *receipt)
{
    fb_order *o = NULL;

    FB_TRY(new_order(c, &o));
    fb_code rc = add_lines(c, o);
    if (rc == FB_OK) {
        rc = fb_order_submit(o, receipt, c->err);
    }
    fb_order_close(o);
    return rc;
}

static fb_code submit_in_group(command_call *c, fb_order_receipt *receipt, int64_t *gseq_out)
{
    int64_t at_ms = 0;

    if (c->db->group_open) {
        return submit_whole(c, receipt);
    }
    FB_TRY(arg_instant(c, "at", &at_ms));
    FB_TRY(fb_group_begin(c->db, "order.submit", at_ms, c->err));
    fb_code rc = submit_whole(c, receipt);
    if (rc != FB_OK) {
        fb_group_abort(c->db);
        return rc;
    }
    return fb_group_commit(c->db, gseq_out, c->err);
}

static fb_code submit_draft(command_call *c, fb_order_receipt *receipt, int64_t *gseq_out)
{
    fb_order *o = NULL;

    FB_TRY(open_draft(c, &o));
    fb_code rc = fb_order_submit(o, receipt, c->err);
    fb_order_close(o);
    *gseq_out = receipt->gseq;
    return rc;
}

fb_code cmd_order_submit(command_call *c)
{
    fb_order_receipt receipt = {.gseq = 0};
    int64_t gseq = 0;
    bool by_draft = arg_text(c, "order") != NULL;

    if (by_draft == (arg_text(c, "lines") != NULL)) {
        return arg_wrong(c, "order", FB_E_REQUIRED,
                         "name a draft, or give customer and lines: one of the two");
    }
    FB_TRY(by_draft ? submit_draft(c, &receipt, &gseq) : submit_in_group(c, &receipt, &gseq));
    put_receipt(c, &receipt, gseq);
    return FB_OK;
}

fb_code cmd_order_discard(command_call *c)
{
    fb_order *o = NULL;

    FB_TRY(open_draft(c, &o));
    fb_id id = *fb_order_id(o);
    fb_code rc = fb_order_discard(o, c->err);
    fb_order_close(o);
    if (rc == FB_OK) {
        out_id_object(c, &id);
    }
    return rc;
}

fb_code cmd_order_cancel(command_call *c)
{
    fb_id id;

    FB_TRY(arg_ref(c, "order", "sales_order", &id));
    FB_TRY(fb_order_cancel(c->db, &id, arg_text(c, "reason"), c->err));
    out_id_object(c, &id);
    return FB_OK;
}

fb_code cmd_order_drafts(command_call *c)
{
    char *json = NULL;

    return out_json(c, fb_order_drafts(c->db, &json, c->err), &json);
}
