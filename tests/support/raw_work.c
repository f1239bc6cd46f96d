/* raw_work.c - see raw_work.h. */
#include "support/raw_work.h"

#include <stdio.h>

const raw_order_texts RAW_GOOD = {"100000", "11300", "submitted", "account"};

fb_id raw_visit(raw_group *g, const fb_id *customer)
{
    char at[24], out[24];
    snprintf(at, sizeof at, "%lld", (long long)g->d->w->now_ms - 60000);
    snprintf(out, sizeof out, "%lld", (long long)g->d->w->now_ms - 1000);
    return raw_insert(g, "visit",
                      PAIRS("customer_id", id_text(customer), "user_id", id_text(&g->d->user),
                            "visit_date", "2025-10-09", "check_in_at", at, "check_out_at", out,
                            "status", "completed"));
}

fb_id raw_order(raw_group *g, const char *no, const fb_id *customer, const raw_order_texts *t)
{
    raw_world *w = g->d->w;
    fb_id order = raw_insert(g, "sales_order",
                             PAIRS("order_no", no, "customer_id", id_text(customer), "user_id",
                                   id_text(&g->d->user), "order_date", "2025-10-09", "subtotal",
                                   "10000", "tax", "1300", "total", t->total, "payment_term",
                                   t->term, "status", t->status));
    raw_insert(g, "sales_order_line",
               PAIRS("order_id", id_text(&order), "line_no", "1", "product_id",
                     id_text(&w->product), "uom", "EA", "qty_milli", "10000", "base_qty_milli",
                     "10000", "unit_price_4dp", t->price, "list_price_4dp", t->price, "tax_code_id",
                     id_text(&w->tax), "net", "10000", "tax", "1300", "gross", "11300"));
    return order;
}

int64_t raw_push_order(raw_device *d, const char *no, const raw_order_texts *t, int64_t replaces,
                       fb_id *order)
{
    raw_group g;
    raw_begin(&g, d, "order.submit", 0, replaces);
    raw_visit(&g, &d->w->customers[0]);
    *order = raw_order(&g, no, &d->w->customers[0], t);
    return raw_end(&g);
}
