/* price.h - what a line costs, the same on the phone and on the server, to the cent.
 *
 * Pure: candidates come in as rows, nothing is read here. Integers only: price 1/10000, quantity
 * 1/1000, discount basis points, amounts minor units; one rounding per line, half away from zero
 * (四舍五入), sums are exact. Vectors: schema/vectors/price.jsonl. Source: domain.md 3.2, 6.7.
 *
 *   PRC-1  net = round(qty * price * (10000 - discount) / (1000 * 10000 * 10000 / 10^digits))
 *   PRC-2  the pick does not depend on the order of the candidates */
#ifndef FB_RULES_PRICE_H
#define FB_RULES_PRICE_H

#include "base/bytes.h"

/* One price_list_item together with what matters of its list and assignment. */
typedef struct price_candidate {
    fb_id item, list;
    fb_text uom;
    int64_t min_qty_milli;
    int64_t price_4dp;
    fb_text item_from, item_to, list_from, list_to; /* dates, inclusive; "" = open */
    int32_t assignment_rank; /* customer 50, grade 40, channel 30, territory 20, global 10 */
    int32_t assignment_priority, list_priority; /* higher wins */
    bool list_on_order;                         /* the order names this list: beats every rank */
    bool tax_included;
} price_candidate;

/* Best candidate valid on `date` for this uom and quantity, or NULL. Order: list_on_order, rank,
 * assignment priority, list priority, larger min_qty (tier), later list_from, later item_from,
 * smaller id. */
const price_candidate *price_pick(const price_candidate *c, size_t count, fb_text uom,
                                  int64_t qty_milli, fb_text date);

typedef struct price_line {
    int64_t qty_milli, price_4dp;
    int32_t discount_bp;
    int32_t tax_rate_bp;
    bool tax_included; /* price holds the tax */
    bool is_free;
    uint32_t currency_digits; /* 2 for CNY, USD; 0 for JPY */
    /* out */
    int64_t gross_list_minor;                  /* before discount, rounded */
    int64_t discount_minor;                    /* gross_list - what remains */
    int64_t net_minor, tax_minor, gross_minor; /* gross = net + tax */
} price_line;

/* Fill the outputs; E_RANGE when an amount leaves int64 or quantity, price or tax rate is negative
 * (a return is a positive line of its own document), E_DISCOUNT outside 0..10000. A failure leaves
 * the outputs as they were. A free line keeps its list value, all of it discount; net and tax 0. */
FB_MUST_USE fb_code price_line_compute(price_line *line);

typedef struct price_totals {
    int64_t subtotal_minor; /* sum of gross_list */
    int64_t line_discount_minor, header_discount_minor, freight_minor;
    int64_t tax_minor, rounding_minor, net_minor, total_minor;
} price_totals;

/* Sum lines: total = sum(net) - header_discount + sum(tax) + freight + rounding; net = sum(net) -
 * header_discount. */
FB_MUST_USE fb_code price_totals_compute(const price_line *lines, size_t count,
                                         int64_t header_discount_minor, int64_t freight_minor,
                                         price_totals *out);

/* The same line by line, for callers that hold no array: start from {0}, add, then finish once. A
 * failure leaves *totals as it was. */
FB_MUST_USE fb_code price_totals_add(price_totals *totals, const price_line *line);
FB_MUST_USE fb_code price_totals_finish(price_totals *totals, int64_t header_discount_minor,
                                        int64_t freight_minor);

/* qty in base units = round(qty * num / den). */
FB_MUST_USE fb_code price_base_qty(int64_t qty_milli, int64_t num, int64_t den, int64_t *out);

/* ISO 4217 digits of a currency code: 0, 2 or 3; 2 for unknown ones. */
uint32_t currency_digits(fb_text code);

#endif
