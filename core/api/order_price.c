/* order_price.c - what a line costs: product, unit, tax and price list rows of this device, picked
 * by rules/price.c exactly as the server does (sync-server/decide/order.c gathers the same facts).
 */
#include <stdio.h>

#include "api/order_inside.h"

enum { RANK_CUSTOMER = 50 };

static sql_stmt *prepare(const fb_order *o, const char *sql)
{
    return sql_prepare(replica_sql(o->db->r), sql);
}

static fb_code read_product(fb_order *o, order_line *l, fb_text *base_uom)
{
    bool row = false;
    sql_stmt *s = prepare(
        o, "SELECT code, name, base_uom, status, min_order_qty, order_multiple, tax_code_id "
           "FROM product WHERE id = ?1");
    sql_bind_id(s, 1, &l->product);
    FB_TRY(sql_step(s, &row));
    l->facts.product_found = row;
    if (row) {
        l->product_code = arena_text(o->memory, sql_text(s, 0));
        l->product_name = arena_text(o->memory, sql_text(s, 1));
        *base_uom = arena_text(o->memory, sql_text(s, 2));
        l->facts.product_active = text_is(sql_text(s, 3), "active");
        l->facts.min_order_qty_milli = sql_int(s, 4);
        l->facts.order_multiple_milli = sql_int(s, 5);
        l->tax_code = sql_id(s, 6);
    }
    sql_reset(s);
    return FB_OK;
}

static fb_code read_uom(fb_order *o, order_line *l, fb_text base_uom)
{
    bool row = false;

    if (l->uom == NULL) {
        l->uom = base_uom.data == NULL ? "" : base_uom.data;
    }
    l->facts.uom_num = l->facts.uom_den = 1;
    l->facts.uom_found = text_is(base_uom, l->uom);
    if (l->facts.uom_found) {
        return FB_OK;
    }
    sql_stmt *s = prepare(
        o,
        "SELECT num, den FROM product_uom WHERE product_id = ?1 AND uom = ?2 ORDER BY id LIMIT 1");
    sql_bind_id(s, 1, &l->product);
    sql_bind_text(s, 2, text_of(l->uom));
    FB_TRY(sql_step(s, &row));
    l->facts.uom_found = row;
    if (row) {
        l->facts.uom_num = sql_int(s, 0);
        l->facts.uom_den = sql_int(s, 1);
    }
    sql_reset(s);
    return FB_OK;
}

/* The product's code; a product without one bears no tax. */
static fb_code read_tax(fb_order *o, order_line *l)
{
    bool row = false;

    l->facts.tax_known = true;
    l->facts.tax_rate_bp = 0;
    if (id_is_none(&l->tax_code)) {
        return FB_OK;
    }
    sql_stmt *s = prepare(o, "SELECT rate_bp FROM tax_code WHERE id = ?1");
    sql_bind_id(s, 1, &l->tax_code);
    FB_TRY(sql_step(s, &row));
    l->facts.tax_known = row;
    l->facts.tax_rate_bp = row ? (int32_t)sql_int(s, 0) : 0;
    sql_reset(s);
    return FB_OK;
}

/* --- candidates ----------------------------------------------------------------------------------
 */

/* The best candidate so far: price_pick is a total order (PRC-2), so it may be asked pair by pair.
 */
typedef struct best_price {
    bool found;
    price_candidate candidate;
    char currency[4];
} best_price;

/* The best assignment of the list for this customer; rank 0: none. */
static fb_code read_assignment(fb_order *o, const fb_id *list, price_candidate *c)
{
    bool row = false;
    const api_customer *k = &o->customer;

    if (!id_is_none(&k->price_list) && id_equal(&k->price_list, list)) {
        c->assignment_rank = RANK_CUSTOMER;
    }
    sql_stmt *s =
        prepare(o, "SELECT CASE target_kind WHEN 'customer' THEN 50 WHEN 'grade' THEN 40 WHEN "
                   "'channel' THEN 30 "
                   "WHEN 'territory' THEN 20 ELSE 10 END AS rank, priority FROM price_assignment "
                   "WHERE price_list_id = ?1 AND (target_kind = 'global' "
                   "OR (target_kind = 'customer' AND customer_id = ?2) "
                   "OR (target_kind = 'territory' AND territory_id = ?3) "
                   "OR (target_kind = 'grade' AND target_code = ?4 AND ?4 <> '') "
                   "OR (target_kind = 'channel' AND target_code = ?5 AND ?5 <> '')) "
                   "ORDER BY rank DESC, priority DESC LIMIT 1");
    sql_bind_id(s, 1, list);
    sql_bind_id(s, 2, &k->id);
    sql_bind_id(s, 3, &k->territory);
    sql_bind_text(s, 4, text_of(k->grade));
    sql_bind_text(s, 5, text_of(k->channel));
    FB_TRY(sql_step(s, &row));
    int32_t rank = row ? (int32_t)sql_int(s, 0) : 0;
    int32_t priority = row ? (int32_t)sql_int(s, 1) : 0;
    sql_reset(s);
    if (rank > c->assignment_rank ||
        (rank > 0 && rank == c->assignment_rank && priority > c->assignment_priority)) {
        c->assignment_rank = rank;
        c->assignment_priority = priority;
    }
    return FB_OK;
}

static void read_candidate(sql_stmt *s, const order_line *l, arena *memory, price_candidate *c)
{
    *c = (price_candidate){
        .item = sql_id(s, 0),
        .list = sql_id(s, 1),
        .uom = text_of(l->uom),
        .min_qty_milli = sql_int(s, 2),
        .price_4dp = sql_int(s, 3),
        .item_from = arena_text(memory, sql_text(s, 4)),
        .item_to = arena_text(memory, sql_text(s, 5)),
        .list_from = arena_text(memory, sql_text(s, 6)),
        .list_to = arena_text(memory, sql_text(s, 7)),
        .list_priority = (int32_t)sql_int(s, 8),
        .tax_included = sql_int(s, 9) != 0,
    };
}

static fb_code weigh_candidate(fb_order *o, const order_line *l, sql_stmt *s, arena *memory,
                               best_price *best)
{
    price_candidate pair[2];
    char currency[4];
    fb_text code = sql_text(s, 10);

    if (o->currency[0] != '\0' && !text_is(code, o->currency)) {
        return FB_OK;
    }
    (void)snprintf(currency, sizeof currency, "%.*s", (int)(code.size < 4 ? code.size : 3),
                   code.data);
    read_candidate(s, l, memory, &pair[0]);
    pair[0].list_on_order = !id_is_none(&o->price_list) && id_equal(&o->price_list, &pair[0].list);
    FB_TRY(read_assignment(o, &pair[0].list, &pair[0]));
    if (!pair[0].list_on_order && pair[0].assignment_rank == 0) {
        return FB_OK;
    }
    pair[1] = best->candidate;
    const price_candidate *won = price_pick(pair, best->found ? 2 : 1, text_of(l->uom),
                                            l->qty_milli, text_of(o->order_date));
    if (won == &pair[0]) {
        best->found = true;
        best->candidate = pair[0];
        (void)snprintf(best->currency, sizeof best->currency, "%s", currency);
    }
    return FB_OK;
}

static fb_code find_best(fb_order *o, const order_line *l, arena *memory, best_price *best)
{
    bool row = false;
    fb_code rc = FB_OK;
    sql_stmt *s = prepare(
        o,
        "SELECT i.id, l.id, i.min_qty_milli, i.price_4dp, i.valid_from, i.valid_to, l.valid_from, "
        "l.valid_to, l.priority, l.tax_included, l.currency FROM price_list_item i "
        "JOIN price_list l ON l.id = i.price_list_id "
        "WHERE i.product_id = ?1 AND i.uom = ?2 AND l.active = 1");
    sql_bind_id(s, 1, &l->product);
    sql_bind_text(s, 2, text_of(l->uom));
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        if ((rc = weigh_candidate(o, l, s, memory, best)) != FB_OK) {
            break;
        }
    }
    sql_reset(s);
    return rc;
}

static fb_code settle_currency(fb_order *o, const char *of_list)
{
    buf text;

    if (o->currency[0] != '\0') {
        return FB_OK;
    }
    buf_init(&text, 64);
    fb_code rc = of_list == NULL ? api_setting(o->db, "currency", &text) : FB_OK;
    if (rc == FB_OK) {
        const char *code = of_list != NULL ? of_list : text.size == 3 ? buf_cstr(&text) : "CNY";
        (void)snprintf(o->currency, sizeof o->currency, "%s", code);
    }
    buf_clear(&text);
    return rc;
}

/* Without any valid price the tax form is that of the list the order names. */
static fb_code read_named_list(fb_order *o, order_line *l)
{
    int64_t included = 0;

    if (!id_is_none(&o->price_list)) {
        FB_TRY(api_read_int(o->db, "SELECT tax_included FROM price_list WHERE id = ?1",
                            &o->price_list, 0, &included));
    }
    l->facts.tax_included = included != 0;
    return FB_OK;
}

static fb_code pick_price(fb_order *o, order_line *l, arena *memory)
{
    best_price best = {.found = false};

    FB_TRY(find_best(o, l, memory, &best));
    l->facts.price_found = best.found;
    if (!best.found) {
        FB_TRY(settle_currency(o, NULL));
        return read_named_list(o, l);
    }
    l->facts.price_4dp = best.candidate.price_4dp;
    l->facts.tax_included = best.candidate.tax_included;
    return settle_currency(o, best.currency);
}

/* --- the line ------------------------------------------------------------------------------------
 */

static void settle_price(order_line *l)
{
    order_line_facts *f = &l->facts;
    bool override = l->has_price && !(f->price_found && l->price_given_4dp == f->price_4dp);

    f->list_price_4dp = f->price_found ? f->price_4dp : 0;
    f->unit_price_4dp = f->list_price_4dp;
    f->price_source = text_of("list");
    if (l->is_free) {
        f->unit_price_4dp = 0;
        f->price_source = text_of("free");
    } else if (override) {
        f->unit_price_4dp = l->price_given_4dp;
        f->price_source = text_of("override");
    }
}

fb_code order_line_compute(const fb_order *o, order_line *l)
{
    order_line_facts *f = &l->facts;

    l->amounts = (price_line){
        .qty_milli = l->qty_milli,
        .price_4dp = f->unit_price_4dp,
        .discount_bp = l->discount_bp,
        .tax_rate_bp = f->tax_rate_bp,
        .tax_included = f->tax_included,
        .is_free = l->is_free,
        .currency_digits = currency_digits(text_of(o->currency)),
    };
    FB_TRY(price_line_compute(&l->amounts));
    f->net_minor = l->amounts.net_minor;
    f->tax_minor = l->amounts.tax_minor;
    f->gross_minor = l->amounts.gross_minor;
    return FB_OK;
}

static fb_code refuse_range(const order_line *l, fb_code rc, fb_error *err)
{
    char field[64];

    (void)snprintf(field, sizeof field, "sales_order_line[%d].%s", (int)l->line_no,
                   rc == FB_E_DISCOUNT ? "discount_bp" : "qty_milli");
    return fail(err, rc, field, "%s",
                rc == FB_E_DISCOUNT ? "a discount is 0..100 %: correct it"
                                    : "quantity or price is too large: split the line");
}

fb_code order_line_resolve(fb_order *o, order_line *l, fb_error *err)
{
    fb_text base_uom = {NULL, 0};
    arena *memory = arena_new(CALL_BYTES_MAX);

    l->facts = (order_line_facts){.line_no = l->line_no,
                                  .qty_milli = l->qty_milli,
                                  .discount_bp = l->discount_bp,
                                  .reason = text_of(l->reason)};
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : read_product(o, l, &base_uom);
    if (rc == FB_OK && (rc = read_uom(o, l, base_uom)) == FB_OK && (rc = read_tax(o, l)) == FB_OK) {
        rc = pick_price(o, l, memory);
    }
    arena_free(memory);
    FB_TRY(rc);
    settle_price(l);
    bool measured = l->facts.uom_num > 0 && l->facts.uom_den > 0 && l->qty_milli > 0;
    if (measured && price_base_qty(l->qty_milli, l->facts.uom_num, l->facts.uom_den,
                                   &l->facts.base_qty_milli) != FB_OK) {
        return refuse_range(l, FB_E_RANGE, err);
    }
    rc = l->qty_milli > 0 ? order_line_compute(o, l) : FB_OK;
    return rc == FB_E_RANGE || rc == FB_E_DISCOUNT ? refuse_range(l, rc, err) : rc;
}
