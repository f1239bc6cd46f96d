/* raw_work.h - a day's work of a raw device: visits and orders at the prices of raw_world. */
#ifndef FB_TESTS_RAW_WORK_H
#define FB_TESTS_RAW_WORK_H

#include "support/raw_device.h"

/* Ten pieces at 10.00, 13 % on top: 100.00 + 13.00. */
typedef struct raw_order_texts {
    const char *price, *total, *status, *term;
} raw_order_texts;
extern const raw_order_texts RAW_GOOD;

/* A completed visit of the device's user at the customer. */
fb_id raw_visit(raw_group *g, const fb_id *customer);
fb_id raw_order(raw_group *g, const char *no, const fb_id *customer, const raw_order_texts *t);
/* A group of a visit and an order at the first customer; its gseq. */
int64_t raw_push_order(raw_device *d, const char *no, const raw_order_texts *t, int64_t replaces,
                       fb_id *order);

#endif
