/* payment.c - money collected, and what it pays. See fieldbook/payment.h. */
#include "fieldbook/payment.h"

#include <stdio.h>

#include "api/handle.h"
#include "base/decimal.h"
#include "schema/numbers.h"

enum { ALLOCATIONS_MAX = 100 };

static fb_code wrong_allocation(uint32_t i, const char *column, fb_code code, const char *why,
                                fb_error *err)
{
    char field[96];

    (void)snprintf(field, sizeof field, "payment_allocation[%u].%s", i + 1, column);
    return fail(err, code, field, "%s", why);
}

static fb_code check_order(fb_db *db, const fb_id *customer, const fb_allocation *a, uint32_t i,
                           fb_error *err)
{
    arena *memory = arena_new(CALL_BYTES_MAX);
    rec order;

    if (memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = rec_read(&order, db, "sales_order", &a->order, memory, err);
    if (rc == FB_OK) {
        fb_id of = rec_get_id(&order, "customer_id");
        rc = id_equal(&of, customer) ? FB_OK : FB_E_NOT_FOUND;
    }
    arena_free(memory);
    if (rc == FB_E_NOT_FOUND) {
        return wrong_allocation(i, "order_id", FB_E_REFERENCE,
                                "it is no order of this customer: choose another", err);
    }
    return rc;
}

static fb_code check_allocation(fb_db *db, const fb_id *customer, const fb_allocation *a,
                                uint32_t i, fb_error *err)
{
    bool has_invoice = a->invoice_no != NULL && a->invoice_no[0] != '\0';
    bool has_order = !id_is_none(&a->order);

    if (a->amount_minor <= 0) {
        return wrong_allocation(i, "amount", FB_E_RANGE,
                                "the amount must be above zero: correct it", err);
    }
    if (has_invoice == has_order) {
        return wrong_allocation(i, "order_id", FB_E_REQUIRED,
                                "name one order or one invoice: correct it", err);
    }
    return has_order ? check_order(db, customer, a, i, err) : FB_OK;
}

static fb_code check_allocations(fb_db *db, const fb_id *customer, int64_t amount_minor,
                                 const fb_payment_options *o, fb_error *err)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < o->allocations_count; i++) {
        FB_TRY(check_allocation(db, customer, &o->allocations[i], i, err));
        if (!i64_add(sum, o->allocations[i].amount_minor, &sum) || sum > amount_minor) {
            return wrong_allocation(i, "amount", FB_E_OVERPAID,
                                    "the allocations exceed the payment: lower them", err);
        }
    }
    return FB_OK;
}

/* The handle's default currency: setting currency, else CNY. */
static fb_code fill_currency(rec *r, const char *currency, buf *memory)
{
    if (currency != NULL) {
        rec_str(r, "currency", currency);
        return FB_OK;
    }
    FB_TRY(api_setting(r->db, "currency", memory));
    rec_str(r, "currency", memory->size > 0 ? buf_cstr(memory) : "CNY");
    return memory->code;
}

static void fill_payment(rec *r, const fb_id *customer, int64_t amount_minor,
                         const fb_payment_options *o, const api_person *me, int64_t at_ms)
{
    rec_id(r, "customer_id", customer);
    rec_id(r, "territory_id", &me->territory);
    rec_id(r, "collected_by", &me->user);
    rec_str(r, "method", o->method == NULL ? "cash" : o->method);
    rec_int(r, "amount", amount_minor);
    rec_str(r, "ref_no", o->ref_no);
    rec_int(r, "received_at", at_ms);
    rec_str(r, "note", o->note);
    rec_str(r, "status", "recorded");
}

static fb_code insert_allocations(fb_db *db, const fb_id *payment, const fb_payment_options *o,
                                  int64_t at_ms, fb_error *err)
{
    for (uint32_t i = 0; i < o->allocations_count; i++) {
        rec r;
        rec_new(&r, db, "payment_allocation");
        rec_id(&r, "payment_id", payment);
        rec_id(&r, "order_id", &o->allocations[i].order);
        rec_str(&r, "invoice_no", o->allocations[i].invoice_no);
        rec_int(&r, "amount", o->allocations[i].amount_minor);
        rec_int(&r, "at", at_ms);
        FB_TRY(rec_insert(&r, err));
    }
    return FB_OK;
}

static fb_code insert_payment(rec *r, const fb_payment_options *o, const fb_id *visit,
                              int64_t at_ms, fb_payment_receipt *out, fb_error *err)
{
    char day[DAY_TEXT_BYTES];
    buf number;
    buf currency;

    day_of(r->db, at_ms, day);
    buf_init(&number, 64);
    buf_init(&currency, 64);
    fb_code rc = capture_number(r->db->r, NUMBER_PREFIX_PAYMENT, &number, err);
    if (rc == FB_OK && (rc = fill_currency(r, o->currency, &currency)) == FB_OK) {
        rec_str(r, "payment_date", day);
        rec_id(r, "visit_id", visit);
        rec_text(r, "payment_no", buf_text(&number));
        out->id = r->values[0].u.id;
        (void)snprintf(out->payment_no, sizeof out->payment_no, "%s", buf_cstr(&number));
        rc = rec_insert(r, err);
    }
    buf_clear(&number);
    buf_clear(&currency);
    return rc;
}

static fb_code add_payment(fb_db *db, const fb_id *customer, int64_t amount_minor,
                           const fb_payment_options *o, int64_t at_ms, fb_payment_receipt *out,
                           fb_error *err)
{
    api_person me;
    rec r;
    fb_id visit = o->visit;
    api_customer known;

    FB_TRY(not_in_future(db, at_ms, "payment.received_at", err));
    FB_TRY(api_person_get(db, &me, err));
    FB_TRY(api_customer_get(db, customer, &known, err));
    FB_TRY(check_allocations(db, &known.id, amount_minor, o, err));
    if (id_is_none(&visit)) {
        FB_TRY(visit_for(db, &known.id, at_ms, &visit));
    }
    if (id_is_none(&me.territory)) {
        me.territory = known.territory;
    }
    rec_new(&r, db, "payment");
    fill_payment(&r, customer, amount_minor, o, &me, at_ms);
    FB_TRY(insert_payment(&r, o, &visit, at_ms, out, err));
    return insert_allocations(db, &out->id, o, at_ms, err);
}

fb_code fb_payment_add(fb_db *db, const fb_id *customer, int64_t amount_minor,
                       const fb_payment_options *options, fb_payment_receipt *out, fb_error *err)
{
    fb_payment_options o = FB_PAYMENT_OPTIONS_INIT;
    fb_payment_receipt made = {{{0}}, ""};
    api_write w;

    FB_REQUIRE(db != NULL && customer != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_REQUIRE(o.allocations_count == 0 || o.allocations != NULL);
    if (amount_minor <= 0) {
        return fail(err, FB_E_RANGE, "payment.amount", "the amount must be above zero: correct it");
    }
    if (o.allocations_count > ALLOCATIONS_MAX) {
        return fail(err, FB_E_LIMIT, "payment_allocation",
                    "at most %d allocations: split the payment", ALLOCATIONS_MAX);
    }
    FB_TRY(write_begin(db, "payment.add", o.at_ms, &w, err));
    fb_code rc =
        write_end(&w, add_payment(db, customer, amount_minor, &o, w.at_ms, &made, err), NULL, err);
    if (rc == FB_OK && out != NULL) {
        *out = made;
    }
    return rc;
}
