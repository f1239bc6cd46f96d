/* payment.h - money collected in the field (回款), and which orders or invoices it pays.
 *
 * Payments are append-only: a wrong one is corrected by the finance department. Threads: as fb_db.
 */
#ifndef FIELDBOOK_PAYMENT_H
#define FIELDBOOK_PAYMENT_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_allocation {
    fb_id order;            /* exactly one of order and invoice_no is given */
    const char *invoice_no; /* NULL: none */
    int64_t amount_minor;   /* minor units, > 0 */
} fb_allocation;

typedef struct fb_payment_options {
    uint32_t size_bytes;
    const char *method; /* "cash" "transfer" "cheque" "wechat" "alipay" "card" "credit_note"; NULL:
                           "cash" */
    const char *currency;             /* ISO 4217; NULL: setting currency, else CNY */
    const char *ref_no;               /* cheque or transfer number; NULL: none */
    int64_t at_ms;                    /* when received; 0: now, or the group's time */
    fb_id visit;                      /* none: the person's open visit there, if any */
    const fb_allocation *allocations; /* allocations_count entries; borrowed */
    uint32_t allocations_count;       /* at most 100 */
    const char *note;
} fb_payment_options;

/* clang-format off */
#define FB_PAYMENT_OPTIONS_INIT                                                                    \
    {sizeof(fb_payment_options), NULL, NULL, NULL, 0, {{0}}, NULL, 0, NULL}
/* clang-format on */

typedef struct fb_payment_receipt {
    fb_id id;
    char payment_no[40];
} fb_payment_receipt;

/* Record a payment of amount_minor (> 0) and its allocations in one group. options may be NULL.
 * FB_E_RANGE: the amount. FB_E_OVERPAID: the allocations exceed it. FB_E_NOT_FOUND: customer.
 * FB_E_REFERENCE: an order is not this customer's. Nothing changed then. */
FB_API FB_MUST_USE fb_code fb_payment_add(fb_db *db, const fb_id *customer, int64_t amount_minor,
                                          const fb_payment_options *options,
                                          fb_payment_receipt *out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
