/* order_submit.c - judge, capture, cancel. See fieldbook/order.h.
 *
 * The rules are rules/order_check.c, the same code the server asks again with its own facts. */
#include <stdio.h>
#include <stdlib.h>

#include "api/order_inside.h"
#include "rules/issue.h"
#include "schema/numbers.h"

enum { DISCOUNT_ALL_BP = 10000 };

/* --- judge ------------------------------------------------------------------------------------ */

static fb_code settings_facts(const fb_order *o, order_facts *f)
{
    int64_t discount_max = 0;
    int64_t override = 0;

    FB_TRY(api_setting_int(o->db, "order.discount_max_bp", DISCOUNT_ALL_BP, &discount_max));
    FB_TRY(api_setting_int(o->db, "order.price_override", 1, &override));
    discount_max = discount_max < 0                 ? 0
                   : discount_max > DISCOUNT_ALL_BP ? DISCOUNT_ALL_BP
                                                    : discount_max;
    f->discount_max_bp = (int32_t)discount_max;
    f->may_override_price = override != 0;
    return FB_OK;
}

/* Open orders of the customer known here; the server knows all and asks again. */
static fb_code credit_facts(const fb_order *o, order_facts *f)
{
    int64_t check = 0;

    FB_TRY(api_setting_int(o->db, "order.credit_check", 1, &check));
    if (check == 0 || text_is(text_of(o->customer.payment_term), "cash")) {
        return FB_OK;
    }
    f->customer_cash_only = text_is(text_of(o->customer.status), "pending");
    FB_TRY(api_setting_int(o->db, "order.credit_limit_minor", -1, &f->credit_limit_minor));
    if (f->credit_limit_minor < 0 || f->customer_cash_only) {
        f->credit_limit_minor = 0;
        return FB_OK;
    }
    f->credit_known = true;
    return api_read_int(
        o->db,
        "SELECT sum(total) FROM sales_order WHERE customer_id = ?1 AND status NOT IN "
        "('draft', 'closed', 'cancelled', 'rejected')",
        &o->customer.id, 0, &f->credit_used_minor);
}

static void head_facts(const fb_order *o, const price_totals *t, order_facts *f)
{
    fb_text status = text_of(o->customer.status);

    f->status = text_of("submitted");
    f->customer_found = true;
    f->customer_orderable = text_is(status, "pending") || text_is(status, "active");
    f->currency = text_of(o->currency);
    f->header_discount_minor = t->header_discount_minor;
    f->freight_minor = t->freight_minor;
    f->rounding_minor = t->rounding_minor;
    f->subtotal_minor = t->subtotal_minor;
    f->line_discount_minor = t->line_discount_minor;
    f->tax_minor = t->tax_minor;
    f->total_minor = t->total_minor;
}

static fb_code judge_facts(const order_facts *f, bool *over_credit, fb_error *err)
{
    issue why;
    fb_code rc = order_check(f, &why);

    *over_credit = rc == FB_E_CREDIT;
    return rc == FB_OK || rc == FB_E_CREDIT ? FB_OK : issue_to_error(&why, err);
}

/* `whole`: all lines with header amounts and credit; else these lines alone. */
fb_code order_judge(const fb_order *o, const order_line *lines, uint32_t count, bool whole,
                    bool *over_credit, fb_error *err)
{
    order_facts f = {.lines_count = count};
    price_totals t = {0};
    size_t n = count > 0 ? count : 1;
    order_line_facts *facts = calloc(n, sizeof *facts);
    price_line *amounts = calloc(n, sizeof *amounts);

    fb_code rc = facts == NULL || amounts == NULL ? FB_E_NO_MEMORY : FB_OK;
    for (uint32_t i = 0; rc == FB_OK && i < count; i++) {
        facts[i] = lines[i].facts;
        amounts[i] = lines[i].amounts;
    }
    if (rc == FB_OK) {
        rc = price_totals_compute(amounts, count, whole ? o->header_discount_minor : 0,
                                  whole ? o->freight_minor : 0, &t);
    }
    f.lines = facts;
    if (rc == FB_OK && (rc = settings_facts(o, &f)) == FB_OK && whole) {
        rc = credit_facts(o, &f);
    }
    if (rc == FB_OK) {
        head_facts(o, &t, &f);
        f.customer_orderable = f.customer_orderable || !whole;
        rc = judge_facts(&f, over_credit, err);
    }
    free(facts);
    free(amounts);
    return rc;
}

/* --- capture ---------------------------------------------------------------------------------- */

typedef struct submission {
    fb_order *o;
    api_person me;
    price_totals totals;
    bool over_credit;
    int64_t at_ms; /* submission */
    buf number;
} submission;

static void fill_head_amounts(rec *r, const price_totals *t)
{
    rec_int(r, "subtotal", t->subtotal_minor);
    rec_int(r, "line_discount", t->line_discount_minor);
    rec_int(r, "header_discount", t->header_discount_minor);
    rec_int(r, "freight_amount", t->freight_minor);
    rec_int(r, "tax", t->tax_minor);
    rec_int(r, "rounding", t->rounding_minor);
    rec_int(r, "total", t->total_minor);
}

static void fill_head(rec *r, const submission *s)
{
    const fb_order *o = s->o;

    r->values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = o->id};
    rec_text(r, "order_no", buf_text(&s->number));
    rec_id(r, "customer_id", &o->customer.id);
    rec_id(r, "user_id", &s->me.user);
    rec_id(r, "territory_id",
           id_is_none(&s->me.territory) ? &o->customer.territory : &s->me.territory);
    rec_id(r, "visit_id", &o->visit);
    rec_str(r, "order_date", o->order_date);
    rec_int(r, "tz_offset_min", o->db->tz_offset_min);
    rec_str(r, "requested_date", o->requested_date);
    rec_id(r, "ship_to_id", &o->ship_to);
    rec_id(r, "price_list_id", &o->price_list);
    rec_str(r, "payment_term", o->customer.payment_term);
    rec_str(r, "currency", o->currency);
    rec_int(r, "price_as_of", s->at_ms);
    rec_str(r, "credit_check_result", s->over_credit ? "over_limit" : NULL);
    rec_str(r, "note", o->note);
    rec_int(r, "submitted_at", s->at_ms);
    rec_str(r, "status", "submitted");
    fill_head_amounts(r, &s->totals);
}

static fb_code insert_line(const submission *s, const order_line *l, fb_error *err)
{
    rec r;

    rec_new(&r, s->o->db, "sales_order_line");
    rec_id(&r, "order_id", &s->o->id);
    rec_int(&r, "line_no", l->line_no);
    rec_id(&r, "product_id", &l->product);
    rec_str(&r, "uom", l->uom);
    rec_int(&r, "qty_milli", l->qty_milli);
    rec_int(&r, "base_qty_milli", l->facts.base_qty_milli);
    rec_int(&r, "unit_price_4dp", l->facts.unit_price_4dp);
    rec_int(&r, "list_price_4dp", l->facts.list_price_4dp);
    rec_text(&r, "price_source", l->facts.price_source);
    rec_int(&r, "discount_bp", l->discount_bp);
    rec_int(&r, "discount_amount", l->amounts.discount_minor);
    rec_str(&r, "promo_code", l->promo_code);
    rec_int(&r, "is_free", l->is_free);
    rec_id(&r, "tax_code_id", &l->tax_code);
    rec_int(&r, "net", l->amounts.net_minor);
    rec_int(&r, "tax", l->amounts.tax_minor);
    rec_int(&r, "gross", l->amounts.gross_minor);
    rec_str(&r, "reason", l->reason);
    return rec_insert(&r, err);
}

static fb_code capture_order(submission *s, fb_error *err)
{
    rec head;
    fb_order *o = s->o;

    FB_TRY(capture_number(o->db->r, NUMBER_PREFIX_ORDER, &s->number, err));
    rec_new(&head, o->db, "sales_order");
    fill_head(&head, s);
    FB_TRY(rec_insert(&head, err));
    for (uint32_t i = 0; i < o->lines_count; i++) {
        FB_TRY(insert_line(s, &o->lines[i], err));
    }
    return o->stored ? draft_delete(o->db->r, &o->id) : FB_OK;
}

/* Prices of the day, numbers without gaps. */
static fb_code refresh_lines(fb_order *o, fb_error *err)
{
    FB_TRY(api_customer_get(o->db, &o->customer.id, &o->customer, err));
    for (uint32_t i = 0; i < o->lines_count; i++) {
        o->lines[i].line_no = (int32_t)i + 1;
        FB_TRY(order_line_resolve(o, &o->lines[i], err));
    }
    return FB_OK;
}

static fb_code prepare(submission *s, fb_error *err)
{
    fb_order *o = s->o;

    if (o->lines_count == 0) {
        return fail(err, FB_E_REQUIRED, "sales_order_line",
                    "the order has no lines: add at least one product");
    }
    FB_TRY(api_person_get(o->db, &s->me, err));
    FB_TRY(refresh_lines(o, err));
    FB_TRY(order_judge(o, o->lines, o->lines_count, true, &s->over_credit, err));
    return order_totals(o, &s->totals);
}

static void fill_receipt(const submission *s, int64_t gseq, fb_order_receipt *out)
{
    fb_text number = buf_text(&s->number);

    *out = (fb_order_receipt){.id = s->o->id, .gseq = gseq, .over_credit = s->over_credit};
    (void)snprintf(out->order_no, sizeof out->order_no, "%.*s", (int)number.size, number.data);
    order_totals_copy(s->o, &s->totals, &out->totals);
}

/* Rules come before the write: a refused order leaves an open group as it was. */
static fb_code submit(submission *s, int64_t *gseq_out, fb_error *err)
{
    api_write w;

    FB_TRY(prepare(s, err));
    FB_TRY(write_begin(s->o->db, "order.submit", s->o->at_given ? s->o->at_ms : 0, &w, err));
    s->at_ms = w.at_ms;
    return write_end(&w, capture_order(s, err), gseq_out, err);
}

fb_code fb_order_submit(fb_order *order, fb_order_receipt *receipt_out, fb_error *err)
{
    submission s = {.o = order};
    int64_t gseq = 0;

    FB_REQUIRE(order != NULL);
    api_clear(err);
    if (order->finished) {
        return fail(err, FB_E_STATE, "sales_order.status",
                    "the order was submitted or discarded: begin a new one");
    }
    buf_init(&s.number, 64);
    fb_code rc = submit(&s, &gseq, err);
    if (rc == FB_OK) {
        order->finished = true;
        order->db->group_order = order->id;
        if (receipt_out != NULL) {
            fill_receipt(&s, gseq, receipt_out);
        }
    }
    buf_clear(&s.number);
    return api_said(order->db, rc, err);
}

/* --- cancel ----------------------------------------------------------------------------------- */

fb_code fb_order_cancel(fb_db *db, const fb_id *id, const char *reason, fb_error *err)
{
    change c;
    api_write w;

    FB_REQUIRE(db != NULL && id != NULL);
    api_clear(err);
    if (reason == NULL || reason[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "sales_order.cancel_reason",
                    "a reason is needed: give one");
    }
    FB_TRY(write_begin(db, "order.cancel", 0, &w, err));
    change_new(&c, db, "sales_order");
    change_str(&c, "cancel_reason", reason);
    change_str(&c, "status", "cancel_requested");
    return write_end(&w, change_apply(&c, id, err), NULL, err);
}
