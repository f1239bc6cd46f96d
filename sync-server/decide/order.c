/* order.c - may this order be submitted? The facts are gathered here, order_check answers.
 *
 * Asked when a group brings an order to `submitted`. Lines of an order that is no longer a draft
 * cannot be added, changed or deleted. Credit: setting order.credit_check (default 1) and
 * order.credit_limit_minor (none: no limit); a pending customer pays cash. Over the limit the group
 * is held for the manager.
 *
 * Price candidates of a line: every item of the product whose list is active and of the order's
 * currency, and which the order names, the customer's own list, or an assignment gives it. */
#include "base/decimal.h"
#include "sync-server/decide/facts.h"

typedef struct order_case {
    decide *d;
    const order_columns *cols;
    const view_row *order;
    const fb_value *customer; /* NULL: none */
    fb_id order_list, customer_list;
    fb_text date, currency;
    order_facts facts;
    order_line_facts *lines;
    uint32_t lines_count, lines_capacity;
} order_case;

static const saying SEALED = {FB_E_STATE, "the order was submitted: its lines are fixed",
                              "订单已提交，明细不可更改", "cancel the order and enter a new one",
                              "请取消该订单后重新录入"};

enum rank {
    RANK_GLOBAL = 10,
    RANK_TERRITORY = 20,
    RANK_CHANNEL = 30,
    RANK_GRADE = 40,
    RANK_CUSTOMER = 50
};

static fb_text customer_text(const order_case *o, int column)
{
    return o->customer != NULL ? value_text(o->customer, column) : (fb_text){NULL, 0};
}

static bool id_of_customer(const order_case *o, const fb_id *id, int column)
{
    if (o->customer == NULL || id_is_none(id)) {
        return false;
    }
    fb_id own = value_id(o->customer, column);
    return id_equal(&own, id);
}

static bool code_of_customer(const order_case *o, fb_text code, int column)
{
    return code.size > 0 && text_equal(code, customer_text(o, column));
}

/* 0: the assignment is not for this customer. */
static int32_t rank_of(const order_case *o, const struct assignment_facts *a)
{
    if (text_is(a->kind, "global")) {
        return RANK_GLOBAL;
    }
    if (text_is(a->kind, "customer")) {
        return id_of_customer(o, &a->customer, 0) ? RANK_CUSTOMER : 0;
    }
    if (text_is(a->kind, "territory")) {
        return id_of_customer(o, &a->territory, o->cols->c.territory_id) ? RANK_TERRITORY : 0;
    }
    if (text_is(a->kind, "channel")) {
        return code_of_customer(o, a->code, o->cols->c.channel) ? RANK_CHANNEL : 0;
    }
    return text_is(a->kind, "grade") && code_of_customer(o, a->code, o->cols->c.grade) ? RANK_GRADE
                                                                                       : 0;
}

/* The best assignment of the list for this customer. */
static void assignment_pick(const order_case *o, const list_facts *l, price_candidate *c)
{
    if (!id_is_none(&o->customer_list) && id_equal(&o->customer_list, &l->id)) {
        c->assignment_rank = RANK_CUSTOMER;
    }
    for (const struct assignment_facts *a = l->assignments; a != NULL; a = a->next) {
        int32_t rank = rank_of(o, a);
        if (rank > c->assignment_rank ||
            (rank == c->assignment_rank && rank > 0 && a->priority > c->assignment_priority)) {
            c->assignment_rank = rank;
            c->assignment_priority = a->priority;
        }
    }
}

/* False: this item is no candidate. */
static bool candidate_of(const order_case *o, const item_facts *i, price_candidate *c)
{
    const list_facts *l = i->list;
    if (!l->found || !l->active || !text_equal(l->currency, o->currency)) {
        return false;
    }
    *c = (price_candidate){.item = i->id,
                           .list = l->id,
                           .uom = i->uom,
                           .min_qty_milli = i->min_qty_milli,
                           .price_4dp = i->price_4dp,
                           .item_from = i->from,
                           .item_to = i->to,
                           .list_from = l->from,
                           .list_to = l->to,
                           .list_priority = l->priority,
                           .tax_included = l->tax_included};
    c->list_on_order = !id_is_none(&o->order_list) && id_equal(&o->order_list, &l->id);
    assignment_pick(o, l, c);
    return c->list_on_order || c->assignment_rank > 0;
}

static fb_code price_facts(order_case *o, const product_facts *p, fb_text uom,
                           order_line_facts *line)
{
    price_candidate *c = arena_take(o->d->memory, (p->items_count + 1) * sizeof *c);
    size_t count = 0;
    if (c == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (const item_facts *i = p->items; i != NULL; i = i->next) {
        count += candidate_of(o, i, &c[count]);
    }
    const price_candidate *best = price_pick(c, count, uom, line->qty_milli, o->date);
    line->price_found = best != NULL;
    if (best != NULL) {
        line->price_4dp = best->price_4dp;
        line->tax_included = best->tax_included;
        return FB_OK;
    }
    list_facts *named = NULL;
    if (!id_is_none(&o->order_list)) {
        FB_TRY(facts_list(o->d, &o->order_list, &named));
        line->tax_included = named->found && named->tax_included;
    }
    return FB_OK;
}

static void uom_facts_take(const product_facts *p, fb_text uom, order_line_facts *line)
{
    line->uom_num = line->uom_den = 1;
    line->uom_found = text_equal(uom, p->base_uom);
    for (const uom_facts *u = p->uoms; u != NULL && !line->uom_found; u = u->next) {
        if (text_equal(u->uom, uom)) {
            line->uom_found = true;
            line->uom_num = u->num;
            line->uom_den = u->den;
        }
    }
}

/* The line's own code, else the product's; neither: no tax. */
static fb_code tax_facts_take(order_case *o, const product_facts *p, fb_id tax_code,
                              order_line_facts *line)
{
    tax_facts *tax = NULL;
    line->tax_known = true;
    if (id_is_none(&tax_code)) {
        tax_code = p->tax_code;
    }
    if (id_is_none(&tax_code)) {
        return FB_OK;
    }
    FB_TRY(facts_tax(o->d, &tax_code, &tax));
    line->tax_known = tax->found;
    line->tax_rate_bp = tax->rate_bp;
    return FB_OK;
}

static void line_written(const order_columns *cols, const fb_value *row, order_line_facts *line)
{
    line->line_no = (int32_t)value_int(row, cols->l.line_no);
    line->qty_milli = value_int(row, cols->l.qty_milli);
    line->base_qty_milli = value_int(row, cols->l.base_qty_milli);
    line->unit_price_4dp = value_int(row, cols->l.unit_price_4dp);
    line->list_price_4dp = value_int(row, cols->l.list_price_4dp);
    line->price_source = value_text(row, cols->l.price_source);
    line->reason = value_text(row, cols->l.reason);
    line->discount_bp = (int32_t)value_int(row, cols->l.discount_bp);
    line->net_minor = value_int(row, cols->l.net);
    line->tax_minor = value_int(row, cols->l.tax);
    line->gross_minor = value_int(row, cols->l.gross);
}

static fb_code line_facts(order_case *o, const fb_value *row, order_line_facts *line)
{
    product_facts *p = NULL;
    fb_id product = value_id(row, o->cols->l.product_id);
    fb_text uom = value_text(row, o->cols->l.uom);
    line_written(o->cols, row, line);
    FB_TRY(facts_product(o->d, &product, &p));
    line->product_found = p->found;
    line->product_active = p->active;
    line->min_order_qty_milli = p->min_order_qty_milli;
    line->order_multiple_milli = p->order_multiple_milli;
    if (!p->found) {
        return FB_OK;
    }
    uom_facts_take(p, uom, line);
    FB_TRY(price_facts(o, p, uom, line));
    return tax_facts_take(o, p, value_id(row, o->cols->l.tax_code_id), line);
}

static fb_code line_add(order_case *o, const fb_value *row)
{
    if (o->lines_count == o->lines_capacity) {
        uint32_t capacity = o->lines_capacity > 0 ? o->lines_capacity * 2 : 16;
        order_line_facts *lines = arena_take(o->d->memory, capacity * sizeof *lines);
        if (lines == NULL) {
            return FB_E_NO_MEMORY;
        }
        for (uint32_t i = 0; i < o->lines_count; i++) {
            lines[i] = o->lines[i];
        }
        o->lines = lines;
        o->lines_capacity = capacity;
    }
    o->lines[o->lines_count] = (order_line_facts){.line_no = 0};
    return line_facts(o, row, &o->lines[o->lines_count++]);
}

/* Ids of lines in the store, noted first: facts are read when the rows' statement is free again. */
typedef struct stored_lines {
    order_case *o;
    struct stored_line {
        struct stored_line *next;
        const fb_value *values;
    } * first, **end;
} stored_lines;

static fb_code stored_take(void *ctx, const fb_value *values)
{
    stored_lines *s = ctx;
    const cat_entity *e = s->o->cols->line;
    struct stored_line *line = arena_take(s->o->d->memory, sizeof *line);
    fb_value *copy = arena_take(s->o->d->memory, e->columns_count * sizeof *copy);
    if (line == NULL || copy == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < e->columns_count; i++) {
        copy[i] = values[i];
    }
    line->values = copy;
    *s->end = line;
    s->end = &line->next;
    return FB_OK;
}

/* Lines the store has, as this group leaves them. */
static fb_code lines_stored(order_case *o, int order_column)
{
    stored_lines s = {.o = o};
    fb_value equal = {.kind = FB_KIND_ID, .u.id = o->order->id};
    s.end = &s.first;
    FB_TRY(store_rows_by(o->d->view, o->cols->line, order_column, &equal, o->d->memory, stored_take,
                         &s));
    for (const struct stored_line *l = s.first; l != NULL; l = l->next) {
        const view_row *seen = view_find(o->d, o->cols->line, &l->values[0].u.id);
        if (seen == NULL || !seen->deleted) {
            FB_TRY(line_add(o, seen != NULL ? seen->values : l->values));
        }
    }
    return FB_OK;
}

static fb_code lines_gather(order_case *o)
{
    int order_column = o->cols->l.order_id;
    for (uint32_t i = 0; i < o->d->rows_count; i++) {
        const view_row *row = o->d->rows[i];
        if (row->e == o->cols->line && row->before == NULL && !row->deleted &&
            id_equal(&row->values[order_column].u.id, &o->order->id)) {
            FB_TRY(line_add(o, row->values));
        }
    }
    return o->order->before != NULL ? lines_stored(o, order_column) : FB_OK;
}

/* Orders of the customer that are neither drafts nor over. */
typedef struct credit_sum {
    const order_case *o;
    int64_t used_minor;
} credit_sum;

static bool is_open_order(fb_text status)
{
    static const char *const closed[] = {"draft", "closed", "cancelled", "rejected"};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        if (text_is(status, closed[i])) {
            return false;
        }
    }
    return true;
}

static fb_code credit_take(void *ctx, const fb_value *values)
{
    credit_sum *s = ctx;
    const order_columns *cols = s->o->cols;
    bool counts = !id_equal(&values[0].u.id, &s->o->order->id) &&
                  is_open_order(value_text(values, cols->o.status));
    int64_t total_minor = counts ? value_int(values, cols->o.total) : 0;
    if (!i64_add(s->used_minor, total_minor, &s->used_minor)) {
        s->used_minor = INT64_MAX; /* no limit is as high */
    }
    return FB_OK;
}

static fb_code credit_facts(order_case *o)
{
    decide *d = o->d;
    int64_t limit_minor = setting_int(d, "order.credit_limit_minor", -1);
    bool cash = text_is(value_text(o->order->values, o->cols->o.payment_term), "cash");
    if (setting_int(d, "order.credit_check", 1) == 0 || cash) {
        return FB_OK;
    }
    o->facts.customer_cash_only = text_is(customer_text(o, o->cols->c.status), "pending");
    if (limit_minor < 0 || o->facts.customer_cash_only || o->customer == NULL) {
        return FB_OK;
    }
    credit_sum sum = {o, 0};
    fb_value equal = {.kind = FB_KIND_ID, .u.id = o->customer[0].u.id};
    FB_TRY(store_rows_by(d->view, o->order->e, o->cols->o.customer_id, &equal, d->memory,
                         credit_take, &sum));
    o->facts.credit_known = true;
    o->facts.credit_limit_minor = limit_minor;
    o->facts.credit_used_minor = sum.used_minor;
    return FB_OK;
}

static void head_facts(order_case *o)
{
    const order_columns *cols = o->cols;
    const fb_value *row = o->order->values;
    fb_text status = customer_text(o, cols->c.status);
    o->facts.status = value_text(row, cols->o.status);
    o->facts.customer_found = o->customer != NULL;
    o->facts.customer_orderable = text_is(status, "pending") || text_is(status, "active");
    o->facts.currency = o->currency;
    o->facts.header_discount_minor = value_int(row, cols->o.header_discount);
    o->facts.freight_minor = value_int(row, cols->o.freight_amount);
    o->facts.rounding_minor = value_int(row, cols->o.rounding);
    o->facts.subtotal_minor = value_int(row, cols->o.subtotal);
    o->facts.line_discount_minor = value_int(row, cols->o.line_discount);
    o->facts.tax_minor = value_int(row, cols->o.tax);
    o->facts.total_minor = value_int(row, cols->o.total);
}

static fb_code settings_facts(order_case *o)
{
    FB_TRY(settings_need(o->d));
    int64_t discount_max = setting_int(o->d, "order.discount_max_bp", 10000);
    int64_t override = setting_int(o->d, "order.price_override", 1);
    o->facts.discount_max_bp = (int32_t)(discount_max < 0       ? 0
                                         : discount_max > 10000 ? 10000
                                                                : discount_max);
    o->facts.may_override_price = override != 0;
    return FB_OK;
}

static fb_code customer_get(order_case *o)
{
    view_row *row = NULL;
    fb_id id = value_id(o->order->values, o->cols->o.customer_id);
    fb_code rc = view_get(o->d, o->cols->customer, &id, &row);
    if (rc == FB_OK) {
        o->customer = row->values;
        o->customer_list = value_id(row->values, o->cols->c.price_list_id);
    }
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static fb_code facts_gather(order_case *o)
{
    const fb_value *row = o->order->values;
    o->date = value_text(row, o->cols->o.order_date);
    o->currency = value_text(row, o->cols->o.currency);
    o->order_list = value_id(row, o->cols->o.price_list_id);
    FB_TRY(customer_get(o));
    head_facts(o);
    FB_TRY(settings_facts(o));
    FB_TRY(lines_gather(o));
    FB_TRY(credit_facts(o));
    o->facts.lines = o->lines;
    o->facts.lines_count = o->lines_count;
    return FB_OK;
}

fb_code order_rule(decide *d, view_row *row)
{
    issue why;
    order_case o = {.d = d, .order = row};
    if (!state_became(row, "submitted")) {
        return FB_OK;
    }
    FB_TRY(facts_columns(d, &o.cols));
    FB_TRY(facts_gather(&o));
    fb_code rc = order_check(&o.facts, &why);
    if (rc == FB_OK || (rc == FB_E_CREDIT && d->who->waived)) {
        return FB_OK;
    }
    return rc == FB_E_CREDIT ? refuse_row(d, VERDICT_HELD, &why, "MGR", row)
                             : refuse_row(d, VERDICT_REJECTED, &why, "", row);
}

/* A line follows its order: fixed once that has left `draft`, unless the order comes with this
 * group. */
fb_code order_line_rule(decide *d, view_row *row)
{
    view_row *order = NULL;
    const order_columns *cols = NULL;
    FB_TRY(facts_columns(d, &cols));
    fb_id id = value_id(row->values, cols->l.order_id);
    fb_code rc = view_get(d, cols->order, &id, &order);
    if (rc == FB_E_NOT_FOUND) {
        return FB_OK; /* it goes with this group */
    }
    FB_TRY(rc);
    if (order->before == NULL) {
        return FB_OK;
    }
    if (text_is(value_text(order->before, cols->o.status), "draft")) {
        return FB_OK;
    }
    issue why;
    say(&why, &SEALED, row->e, cols->l.order_id);
    return refuse_row(d, VERDICT_REJECTED, &why, "", order);
}
