/* facts.h - what an order line is judged by: product, units, tax, price candidates; from the cache.
 *
 * Only order.c and facts.c include it. All texts live in the cache until its next drop. */
#ifndef FB_DECIDE_FACTS_H
#define FB_DECIDE_FACTS_H

#include "rules/order_check.h"
#include "sync-server/decide/decide_inside.h"

typedef struct list_facts {
    struct list_facts *next;
    fb_id id;
    bool found, active, tax_included;
    fb_text currency, from, to;
    int32_t priority;
    struct assignment_facts {
        struct assignment_facts *next;
        fb_text kind, code;
        fb_id customer, territory;
        int32_t priority;
    } * assignments;
} list_facts;

typedef struct item_facts {
    struct item_facts *next;
    fb_id id;
    list_facts *list;
    fb_text uom, from, to;
    int64_t min_qty_milli, price_4dp;
} item_facts;

typedef struct uom_facts {
    struct uom_facts *next;
    fb_text uom;
    int64_t num, den;
} uom_facts;

typedef struct product_facts {
    struct product_facts *next;
    fb_id id, tax_code;
    bool found, active;
    fb_text base_uom;
    int64_t min_order_qty_milli, order_multiple_milli;
    uom_facts *uoms;
    item_facts *items;
    uint32_t items_count;
} product_facts;

typedef struct tax_facts {
    struct tax_facts *next;
    fb_id id;
    bool found;
    int32_t rate_bp;
} tax_facts;

/* Entities and column numbers that every order asks for; -1 where the catalogue has no such column.
 */
typedef struct order_columns {
    const cat_entity *order, *line, *customer, *product, *uom, *tax, *list, *item, *assignment;
    struct {
        int status, customer_id, order_date, currency, price_list_id, payment_term, header_discount,
            freight_amount, rounding, subtotal, line_discount, tax, total;
    } o;
    struct {
        int order_id, line_no, product_id, uom, qty_milli, base_qty_milli, unit_price_4dp,
            list_price_4dp, price_source, reason, discount_bp, tax_code_id, net, tax, gross;
    } l;
    struct {
        int status, territory_id, channel, grade, price_list_id;
    } c;
} order_columns;
/* Before the others. E_CATALOG: an entity is missing. */
FB_MUST_USE fb_code facts_columns(decide *d, const order_columns **out);

FB_MUST_USE fb_code facts_product(decide *d, const fb_id *id, product_facts **out);
FB_MUST_USE fb_code facts_tax(decide *d, const fb_id *id, tax_facts **out);
FB_MUST_USE fb_code facts_list(decide *d, const fb_id *id, list_facts **out);

#endif
