/* payment.c - what is allocated of a payment never exceeds it. */
#include "base/decimal.h"
#include "sync-server/decide/decide_inside.h"

static const saying OVERPAID = {
    FB_E_OVERPAID, "the allocations exceed the payment", "核销金额超过收款金额",
    "lower the allocation to what is left of the payment", "请将核销金额降到收款余额以内"};

typedef struct allocation_sum {
    decide *d;
    const cat_entity *e;
    int64_t total_minor;
    bool overflow;
} allocation_sum;

static void add(allocation_sum *s, const fb_value *values)
{
    s->overflow |= !i64_add(s->total_minor, row_int(s->e, values, "amount"), &s->total_minor);
}

/* Rows of this group are counted from the view. */
static fb_code stored_add(void *ctx, const fb_value *values)
{
    allocation_sum *s = ctx;
    if (view_find(s->d, s->e, &values[0].u.id) == NULL) {
        add(s, values);
    }
    return FB_OK;
}

fb_code allocation_rule(decide *d, view_row *row)
{
    allocation_sum s = {.d = d, .e = row->e};
    int column = cat_column_str(row->e, "payment_id");
    view_row *payment = NULL;
    fb_value equal = {.kind = FB_KIND_ID, .u.id = value_id(row->values, column)};
    if (row->deleted || column < 0) {
        return FB_OK;
    }
    const cat_entity *pe = &d->cat->entities[row->e->columns[column].to_entity];
    FB_TRY(view_get(d, pe, &equal.u.id, &payment));
    for (uint32_t i = 0; i < d->rows_count; i++) {
        const view_row *other = d->rows[i];
        if (other->e == row->e && !other->deleted &&
            fb_value_equal(&other->values[column], &equal)) {
            add(&s, other->values);
        }
    }
    if (payment->before != NULL) {
        FB_TRY(store_rows_by(d->view, row->e, column, &equal, d->memory, stored_add, &s));
    }
    if (!s.overflow && s.total_minor <= row_int(pe, payment->values, "amount")) {
        return FB_OK;
    }
    issue why;
    say(&why, &OVERPAID, row->e, cat_column_str(row->e, "amount"));
    return refuse_row(d, VERDICT_REJECTED, &why, "", payment);
}
