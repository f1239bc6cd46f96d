/* order_inside.h - what the four files of the order share.
 *
 *   order.c         handle, lines, totals            order_price.c   facts of a line, picked price
 *   order_draft.c   the draft as JSON and back       order_submit.c  check, capture, cancel
 *
 * A line keeps what the person entered; `facts` and `amounts` are found again whenever it changes.
 */
#ifndef FB_API_ORDER_INSIDE_H
#define FB_API_ORDER_INSIDE_H

#include "api/handle.h"
#include "rules/order_check.h"

enum { ORDER_LINES_MAX = 500, ORDER_BYTES_MAX = 8 << 20 };

typedef struct order_line {
    int32_t line_no;
    fb_id product;
    const char *uom; /* memory of the order, as all texts here */
    int64_t qty_milli;
    bool has_price, is_free;
    int64_t price_given_4dp;
    int32_t discount_bp;
    const char *reason, *promo_code; /* "" none */
    /* found */
    fb_id tax_code;
    fb_text product_code, product_name;
    order_line_facts facts;
    price_line amounts;
} order_line;

struct fb_order {
    fb_db *db;
    arena *memory;
    fb_id id, visit, price_list, ship_to;
    api_customer customer;
    int64_t at_ms; /* when it was begun, or when the caller says it was taken */
    bool at_given;
    char order_date[DAY_TEXT_BYTES], requested_date[DAY_TEXT_BYTES]; /* "" none */
    char currency[4]; /* "" until a price list decides */
    int64_t header_discount_minor, freight_minor;
    const char *note;
    order_line *lines;
    uint32_t lines_count, lines_capacity;
    bool finished; /* submitted or discarded: the handle can only be closed */
    bool stored;   /* a draft row exists */
};

/* --- order.c --- */
FB_MUST_USE fb_code order_alloc(fb_db *db, fb_order **out);
FB_MUST_USE fb_code order_line_room(fb_order *o); /* room for one more in lines */
const char *order_text(fb_order *o, fb_text t);   /* copy into the order's memory; NULL when full */
FB_MUST_USE fb_code order_totals(const fb_order *o, price_totals *out);
void order_totals_copy(const fb_order *o, const price_totals *t, fb_order_totals_out *out);

/* --- order_price.c --- */
/* Find product, unit, tax and price of the line again and compute its amounts. A missing product or
 * price is no failure here: the facts say so and order_check judges. */
FB_MUST_USE fb_code order_line_resolve(fb_order *o, order_line *line, fb_error *err);
/* Amounts from the facts alone. */
FB_MUST_USE fb_code order_line_compute(const fb_order *o, order_line *line);

/* --- order_draft.c --- */
FB_MUST_USE fb_code order_draft_store(fb_order *o, fb_error *err);
FB_MUST_USE fb_code order_draft_load(fb_order *o, fb_text json, fb_error *err);

/* --- order_submit.c --- */
/* order_check over these lines; *over_credit instead of E_CREDIT. */
FB_MUST_USE fb_code order_judge(const fb_order *o, const order_line *lines, uint32_t count,
                                bool whole, bool *over_credit, fb_error *err);

#endif
