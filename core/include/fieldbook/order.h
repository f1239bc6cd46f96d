/* order.h - an order (订单): a draft that survives crashes, priced like the server prices,
 * submitted once.
 *
 *   fb_order_new -> DRAFT -> line_add, set ... -> fb_order_submit -> row of sales_order, SUBMITTED
 *                     ^            |
 *                     +- fb_order_open after a crash          fb_order_cancel: SUBMITTED -> cancel
 *
 * The draft is stored at every change (one synced transaction each), except while a group is open:
 * then it lives in the handle only. A draft is seen by this device only. Threads: an fb_order
 * belongs to its fb_db; close it before. */
#ifndef FIELDBOOK_ORDER_H
#define FIELDBOOK_ORDER_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_order fb_order;

typedef struct fb_order_options {
    uint32_t size_bytes;
    int64_t at_ms;              /* when taken; 0: now, or the group's time */
    const char *order_date;     /* YYYY-MM-DD, decides the price; NULL: the day of at_ms */
    const char *requested_date; /* wished delivery; NULL: none */
    fb_id visit;          /* the visit it belongs to; none: the person's open visit there, if any */
    fb_id price_list;     /* none: by assignment to the customer, grade, channel, territory, all */
    fb_id ship_address;   /* none: not given */
    const char *currency; /* ISO 4217; NULL: of the price list, else setting currency, else CNY */
    int64_t header_discount_minor; /* minor units, >= 0 */
    int64_t freight_minor;         /* minor units, >= 0 */
    const char *note;
} fb_order_options;

/* clang-format off */
#define FB_ORDER_OPTIONS_INIT                                                                      \
    {sizeof(fb_order_options), 0, NULL, NULL, {{0}}, {{0}}, {{0}}, NULL, 0, 0, NULL}
/* clang-format on */

/* Begin a draft for the customer and set *out; ends with fb_order_close. All is borrowed for the
 * call. options may be NULL. FB_E_NOT_FOUND: the customer. FB_E_FORMAT: a date. Nothing changed
 * then. */
FB_API FB_MUST_USE fb_code fb_order_new(fb_db *db, const fb_id *customer,
                                        const fb_order_options *options, fb_order **out,
                                        fb_error *err);

/* Open a stored draft again by its id. FB_E_NOT_FOUND: no such draft, or submitted already. */
FB_API FB_MUST_USE fb_code fb_order_open(fb_db *db, const fb_id *id, fb_order **out, fb_error *err);

/* Free the handle; the stored draft stays. NULL is fine. */
FB_API void fb_order_close(fb_order *order);

/* The id the order has as a draft and keeps for ever. Borrowed until fb_order_close. */
FB_API const fb_id *fb_order_id(const fb_order *order);

typedef struct fb_order_line_options {
    uint32_t size_bytes;
    bool has_price;         /* unit_price_4dp overrides the list price; reason is then required */
    bool is_free;           /* gift (赠品): price 0, reason is required */
    int32_t discount_bp;    /* 0..10000 basis points */
    int64_t unit_price_4dp; /* 1/10000 of the major unit, >= 0 */
    const char *reason;
    const char *promo_code; /* NULL: no promotion */
} fb_order_line_options;

/* clang-format off */
#define FB_ORDER_LINE_OPTIONS_INIT {sizeof(fb_order_line_options), false, false, 0, 0, NULL, NULL}
/* clang-format on */

/* Add a line: quantity in 1/1000 of `uom` (NULL: the product's base unit). The price is found for
 * the customer, unit, quantity and order date among the price lists on this device. *line_no_out
 * (may be NULL): 1, 2, 3 ... FB_E_PRODUCT: unknown or not for sale. FB_E_QUANTITY: not positive, or
 * below the minimum, or not a multiple. FB_E_PRICE: no valid price and none given. FB_E_REQUIRED: a
 * reason is missing. FB_E_DISCOUNT: outside 0..10000. FB_E_LIMIT: more than 500 lines. The draft is
 * unchanged then. */
FB_API FB_MUST_USE fb_code fb_order_line_add(fb_order *order, const fb_id *product, const char *uom,
                                             int64_t qty_milli,
                                             const fb_order_line_options *options,
                                             int32_t *line_no_out, fb_error *err);

/* Change quantity and options of a line; the price is found again. Errors as fb_order_line_add;
 * FB_E_NOT_FOUND: no such line. options NULL: keep them. */
FB_API FB_MUST_USE fb_code fb_order_line_set(fb_order *order, int32_t line_no, int64_t qty_milli,
                                             const fb_order_line_options *options, fb_error *err);

/* Take a line out; the others keep their numbers until submit. FB_E_NOT_FOUND. */
FB_API FB_MUST_USE fb_code fb_order_line_remove(fb_order *order, int32_t line_no, fb_error *err);

typedef struct fb_order_totals_out {
    uint32_t lines_count;
    char currency[4];
    /* minor units of the currency */
    int64_t subtotal_minor; /* lines before discounts */
    int64_t line_discount_minor;
    int64_t header_discount_minor;
    int64_t net_minor;
    int64_t tax_minor;
    int64_t freight_minor;
    int64_t total_minor; /* to be paid */
} fb_order_totals_out;

/* What the draft costs now. Touches no disk. FB_E_RANGE: an amount is too large. */
FB_API FB_MUST_USE fb_code fb_order_totals(const fb_order *order, fb_order_totals_out *out,
                                           fb_error *err);

/* The draft as JSON (header, lines with how each price came about, totals). Ends with
 * fb_string_free. */
FB_API FB_MUST_USE fb_code fb_order_json(const fb_order *order, char **json_out, fb_error *err);

typedef struct fb_order_receipt {
    fb_id id;
    char order_no[40]; /* from the device's own number range: never used twice */
    int64_t gseq;      /* 0 while a group is open: fb_group_commit says it */
    bool over_credit;  /* the credit limit known here is exceeded: expect the server to hold it */
    fb_order_totals_out totals;
} fb_order_receipt;

/* Save the order and queue it for the server. Afterwards it is SUBMITTED, visible, and survives
 * power loss; the draft is gone and the handle can only be closed. *receipt_out may be NULL. Prices
 * are found again for the day. FB_E_REQUIRED: no lines. FB_E_STATE: the customer may not be sold
 * to, or submitted already. FB_E_PRODUCT, FB_E_QUANTITY, FB_E_PRICE, FB_E_DISCOUNT, FB_E_TOTALS:
 * err->field names the line. FB_E_DISK_FULL. The draft is unchanged then. */
FB_API FB_MUST_USE fb_code fb_order_submit(fb_order *order, fb_order_receipt *receipt_out,
                                           fb_error *err);

/* Throw the draft away. The handle can only be closed afterwards. */
FB_API FB_MUST_USE fb_code fb_order_discard(fb_order *order, fb_error *err);

/* Ask for the cancellation of a submitted order; the server decides. `reason` is required.
 * FB_E_STATE: it has gone too far. */
FB_API FB_MUST_USE fb_code fb_order_cancel(fb_db *db, const fb_id *id, const char *reason,
                                           fb_error *err);

/* All stored drafts as a JSON array: id, customer, order_date, lines, total, updated_at. */
FB_API FB_MUST_USE fb_code fb_order_drafts(fb_db *db, char **json_out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
