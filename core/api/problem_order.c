/* problem_order.c - an order that is sent again is priced again: who corrects a discount or a
 * quantity must not compute taxes and sums. See problem_inside.h. */
#include "api/order_inside.h"
#include "api/problem_inside.h"

#include <stdio.h>

/* One op with the patches laid over its values. */
typedef struct patched_row {
    const resubmission *s;
    const group_op *op;
} patched_row;

static fb_value value_of(const patched_row *row, const char *column)
{
    fb_value v = {.kind = FB_KIND_NULL};
    int c = cat_column_str(row->op->entity, column);

    for (uint32_t i = 0; i < row->op->columns_count; i++) {
        v = row->op->columns[i] == c ? row->op->mine[i] : v;
    }
    for (uint32_t i = 0; i < row->s->count; i++) {
        const problem_patch *p = &row->s->patches[i];
        if (p->entity == row->op->entity && p->column == c && id_equal(&p->id, &row->op->id)) {
            v = p->value;
        }
    }
    return v;
}

static int64_t int_of(const patched_row *row, const char *column)
{
    fb_value v = value_of(row, column);

    return v.kind == FB_KIND_INT ? v.u.i : 0;
}

static fb_id id_of(const patched_row *row, const char *column)
{
    fb_value v = value_of(row, column);

    return v.kind == FB_KIND_ID ? v.u.id : (fb_id){{0}};
}

static const char *text_of_row(fb_order *o, const patched_row *row, const char *column)
{
    fb_value v = value_of(row, column);

    return v.kind == FB_KIND_TEXT ? order_text(o, v.u.text) : "";
}

static bool is_patched(const patched_row *row, const char *column)
{
    int c = cat_column_str(row->op->entity, column);

    for (uint32_t i = 0; i < row->s->count; i++) {
        const problem_patch *p = &row->s->patches[i];
        if (p->entity == row->op->entity && p->column == c && id_equal(&p->id, &row->op->id)) {
            return true;
        }
    }
    return false;
}

/* --- in --------------------------------------------------------------------------------------- */

/* A price that a person wrote stays theirs; a list price is picked again. */
static fb_code take_line(fb_order *o, const patched_row *row, fb_error *err)
{
    FB_TRY(order_line_room(o));
    order_line *l = &o->lines[o->lines_count];
    *l = (order_line){
        .line_no = (int32_t)int_of(row, "line_no"),
        .product = id_of(row, "product_id"),
        .uom = text_of_row(o, row, "uom"),
        .qty_milli = int_of(row, "qty_milli"),
        .price_given_4dp = int_of(row, "unit_price_4dp"),
        .discount_bp = (int32_t)int_of(row, "discount_bp"),
        .is_free = int_of(row, "is_free") != 0,
        .reason = text_of_row(o, row, "reason"),
        .promo_code = text_of_row(o, row, "promo_code"),
    };
    fb_value source = value_of(row, "price_source");
    bool was_override = source.kind == FB_KIND_TEXT && text_is(source.u.text, "override");
    l->has_price = was_override || is_patched(row, "unit_price_4dp");
    if (l->uom == NULL || l->reason == NULL || l->promo_code == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(order_line_resolve(o, l, err));
    o->lines_count++;
    return FB_OK;
}

/* A customer made in the same refused group is not here: its order is judged as one of a pending
 * customer. */
static fb_code take_customer(fb_order *o, const fb_id *id, fb_error *err)
{
    fb_code rc = api_customer_get(o->db, id, &o->customer, NULL);

    (void)err;
    if (rc == FB_E_NOT_FOUND) {
        o->customer = (api_customer){.id = *id, .status = "pending"};
        return FB_OK;
    }
    return rc;
}

static fb_code take_head(fb_order *o, const patched_row *row, fb_error *err)
{
    fb_id customer = id_of(row, "customer_id");

    o->id = row->op->id;
    o->price_list = id_of(row, "price_list_id");
    o->header_discount_minor = int_of(row, "header_discount");
    o->freight_minor = int_of(row, "freight_amount");
    (void)snprintf(o->order_date, sizeof o->order_date, "%s", text_of_row(o, row, "order_date"));
    (void)snprintf(o->currency, sizeof o->currency, "%s", text_of_row(o, row, "currency"));
    return take_customer(o, &customer, err);
}

static bool is_line_of(const group_op *op, const fb_id *order)
{
    int column = cat_column_str(op->entity, "order_id");

    if (op->kind != OP_INSERT || !text_is(op->entity->name, "sales_order_line")) {
        return false;
    }
    for (uint32_t i = 0; i < op->columns_count; i++) {
        if (op->columns[i] == column) {
            return op->mine[i].kind == FB_KIND_ID && id_equal(&op->mine[i].u.id, order);
        }
    }
    return false;
}

/* --- out -------------------------------------------------------------------------------------- */

static fb_code put(resubmission *s, const group_op *op, const char *column, fb_value v)
{
    problem_patch p = {.entity = op->entity,
                       .id = op->id,
                       .column = cat_column_str(op->entity, column),
                       .value = v};

    return p.column < 0 ? FB_OK : resubmission_patch(s, &p);
}

static fb_code put_int(resubmission *s, const group_op *op, const char *column, int64_t v)
{
    return put(s, op, column, (fb_value){.kind = FB_KIND_INT, .u.i = v});
}

static fb_code put_id(resubmission *s, const group_op *op, const char *column, const fb_id *id)
{
    bool none = id_is_none(id);

    return put(s, op, column, (fb_value){.kind = none ? FB_KIND_NULL : FB_KIND_ID, .u.id = *id});
}

static fb_code put_line(resubmission *s, const group_op *op, const order_line *l)
{
    FB_TRY(put(s, op, "price_source",
               (fb_value){.kind = FB_KIND_TEXT, .u.text = l->facts.price_source}));
    FB_TRY(put_id(s, op, "tax_code_id", &l->tax_code));
    FB_TRY(put_int(s, op, "base_qty_milli", l->facts.base_qty_milli));
    FB_TRY(put_int(s, op, "unit_price_4dp", l->facts.unit_price_4dp));
    FB_TRY(put_int(s, op, "list_price_4dp", l->facts.list_price_4dp));
    FB_TRY(put_int(s, op, "discount_amount", l->amounts.discount_minor));
    FB_TRY(put_int(s, op, "net", l->amounts.net_minor));
    FB_TRY(put_int(s, op, "tax", l->amounts.tax_minor));
    return put_int(s, op, "gross", l->amounts.gross_minor);
}

static fb_code put_head(resubmission *s, const group_op *op, const price_totals *t)
{
    FB_TRY(put_int(s, op, "subtotal", t->subtotal_minor));
    FB_TRY(put_int(s, op, "line_discount", t->line_discount_minor));
    FB_TRY(put_int(s, op, "tax", t->tax_minor));
    FB_TRY(put_int(s, op, "rounding", t->rounding_minor));
    return put_int(s, op, "total", t->total_minor);
}

static fb_code put_order(resubmission *s, const fb_order *o, const group_op *head)
{
    price_totals totals = {0};
    uint32_t at = 0;

    FB_TRY(order_totals(o, &totals));
    FB_TRY(put_head(s, head, &totals));
    for (uint32_t i = 0; i < s->group.ops_count && at < o->lines_count; i++) {
        if (is_line_of(&s->group.ops[i], &o->id)) {
            FB_TRY(put_line(s, &s->group.ops[i], &o->lines[at]));
            at++;
        }
    }
    return FB_OK;
}

static fb_code price_again(resubmission *s, fb_order *o, const group_op *head, fb_error *err)
{
    bool over_credit = false;
    patched_row row = {.s = s, .op = head};

    FB_TRY(take_head(o, &row, err));
    for (uint32_t i = 0; i < s->group.ops_count; i++) {
        row.op = &s->group.ops[i];
        if (is_line_of(row.op, &o->id)) {
            FB_TRY(take_line(o, &row, err));
        }
    }
    FB_TRY(order_judge(o, o->lines, o->lines_count, true, &over_credit, err));
    return put_order(s, o, head);
}

fb_code resubmission_orders(resubmission *s, fb_error *err)
{
    for (uint32_t i = 0; i < s->group.ops_count; i++) {
        const group_op *op = &s->group.ops[i];
        fb_order *o = NULL;
        if (op->kind != OP_INSERT || !text_is(op->entity->name, "sales_order")) {
            continue;
        }
        FB_TRY(order_alloc(s->db, &o));
        fb_code rc = price_again(s, o, op, err);
        fb_order_close(o);
        FB_TRY(rc);
    }
    return FB_OK;
}
