/* order_check.h - may this order be submitted? The same answer on the phone and on the server.
 *
 * Pure: the caller brings the facts (product, prices, limits) it read from its own database; on the
 * phone they may be older, which is why the server asks again. First breach wins, in line order.
 * Source: domain.md 5.5, 8.1, 13.3. */
#ifndef FB_RULES_ORDER_CHECK_H
#define FB_RULES_ORDER_CHECK_H

#include "rules/issue.h"
#include "rules/price.h"

typedef struct order_line_facts {
    int32_t line_no;
    /* as written on the line */
    int64_t qty_milli, base_qty_milli, unit_price_4dp, list_price_4dp;
    fb_text price_source; /* list override promo free */
    fb_text reason;
    int32_t discount_bp;
    int64_t net_minor, tax_minor, gross_minor;
    /* as known to this side */
    bool product_found, product_active;
    int64_t min_order_qty_milli, order_multiple_milli; /* 0 = none */
    int64_t uom_num, uom_den;                          /* to the base unit */
    bool uom_found;
    bool price_found;
    int64_t price_4dp; /* the picked price */
    bool tax_included;
    int32_t tax_rate_bp;
    bool tax_known;
    bool promo_found; /* a promotion gives this line a price; else price_source promo is refused */
    int64_t promo_price_4dp;
    int32_t promo_discount_bp; /* what it allows beyond the role limit; 0 = nothing */
} order_line_facts;

typedef struct order_facts {
    fb_text status;                          /* being submitted: "submitted" */
    bool customer_found, customer_orderable; /* status pending or active */
    bool customer_cash_only;                 /* pending customers: credit limit 0 */
    fb_text currency;
    int64_t header_discount_minor, freight_minor, rounding_minor;
    int64_t subtotal_minor, line_discount_minor, tax_minor, total_minor;
    int32_t discount_max_bp; /* role limit, setting order.discount_max_bp */
    bool may_override_price; /* setting order.price_override, default true with a reason */
    bool credit_known;
    int64_t credit_limit_minor, credit_used_minor; /* used includes open orders, not this one */
    const order_line_facts *lines;
    size_t lines_count;
} order_facts;

/* FB_OK and issue untouched, or the first breach: E_REQUIRED (no lines), E_REFERENCE, E_PRODUCT,
 * E_QUANTITY, E_PRICE, E_DISCOUNT, E_TOTALS, E_STATE; E_CREDIT is the only one that means "held".
 */
FB_MUST_USE fb_code order_check(const order_facts *o, issue *out);

#endif
