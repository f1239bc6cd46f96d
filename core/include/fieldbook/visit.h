/* visit.h - a visit (拜访): check in, what was done, check out.
 *
 *   check_in -> OPEN -> action* -> check_out -> COMPLETED        OPEN -> cancel -> CANCELLED
 *
 * A person has at most one open visit. Threads: as fb_db. */
#ifndef FIELDBOOK_VISIT_H
#define FIELDBOOK_VISIT_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_visit_in_options {
    uint32_t size_bytes;
    bool fix;       /* lat_e7, lon_e7 and accuracy_m hold a position */
    bool mock;      /* the system says the position is made up */
    int32_t lat_e7; /* 1e-7 degree, WGS-84 */
    int32_t lon_e7;
    int32_t accuracy_m; /* metres; 0: unknown */
    int64_t at_ms;      /* when; 0: now, or the group's time */
    fb_id plan;         /* visit_plan row; none: unplanned */
    const char *kind;   /* "planned" "unplanned" "phone" "co_visit"; NULL: by plan */
    const char *reason; /* why out of range; NULL: none */
    const char *note;
} fb_visit_in_options;

/* clang-format off */
#define FB_VISIT_IN_OPTIONS_INIT                                                                   \
    {sizeof(fb_visit_in_options), false, false, 0, 0, 0, 0, {{0}}, NULL, NULL, NULL}
/* clang-format on */

typedef struct fb_visit_in {
    fb_id visit;
    bool distance_known;
    int64_t distance_m;  /* to the customer's visit address, when distance_known */
    char geo_result[16]; /* "in_range" "out_of_range" "no_fix" "no_address" "mock" */
} fb_visit_in;

/* Check in (签到): a visit is open afterwards. The distance to the customer's visit address is
 * measured and judged by the address's geofence (default 300 m); out of range is recorded, not
 * refused. options may be NULL. FB_E_VISIT_OPEN: another visit is open, check out first.
 * FB_E_NOT_FOUND: customer. FB_E_FUTURE: at_ms is more than ten minutes ahead. Nothing changed
 * then. One synced transaction. */
FB_API FB_MUST_USE fb_code fb_visit_check_in(fb_db *db, const fb_id *customer,
                                             const fb_visit_in_options *options, fb_visit_in *out,
                                             fb_error *err);

typedef struct fb_visit_action_options {
    uint32_t size_bytes;
    const char *status; /* "done" "skipped" "pending"; NULL: "done" */
    int64_t at_ms;      /* 0: now, or the group's time */
    fb_id ref;          /* the order, payment ... it led to; none: nothing */
    const char *note;   /* why skipped, or a remark */
} fb_visit_action_options;

/* clang-format off */
#define FB_VISIT_ACTION_OPTIONS_INIT {sizeof(fb_visit_action_options), NULL, 0, {{0}}, NULL}
/* clang-format on */

/* Record one action of the visit: "presentation" "order" "payment" "shelf_audit" ... (the
 * catalogue's visit_action types). FB_E_STATE: the visit is not open. FB_E_ENUM: unknown action. */
FB_API FB_MUST_USE fb_code fb_visit_action(fb_db *db, const fb_id *visit, const char *action,
                                           const fb_visit_action_options *options, fb_id *id_out,
                                           fb_error *err);

typedef struct fb_visit_out_options {
    uint32_t size_bytes;
    bool fix;
    int32_t lat_e7;
    int32_t lon_e7;
    int64_t at_ms;               /* 0: now, or the group's time */
    const char *no_sale_reason;  /* "closed" "owner_absent" "no_need" ...; NULL: none given */
    const char *next_visit_date; /* YYYY-MM-DD; NULL: none */
    const char *note;
} fb_visit_out_options;

/* clang-format off */
#define FB_VISIT_OUT_OPTIONS_INIT {sizeof(fb_visit_out_options), false, 0, 0, 0, NULL, NULL, NULL}
/* clang-format on */

/* Check out (签退): the visit is completed, its duration and whether it was productive (an order or
 * a payment hangs on it) are recorded. FB_E_STATE: not open. FB_E_RANGE: at_ms before the check-in.
 */
FB_API FB_MUST_USE fb_code fb_visit_check_out(fb_db *db, const fb_id *visit,
                                              const fb_visit_out_options *options, fb_error *err);

/* Cancel an open visit. `reason` is required (FB_E_REQUIRED). */
FB_API FB_MUST_USE fb_code fb_visit_cancel(fb_db *db, const fb_id *visit, const char *reason,
                                           fb_error *err);

/* The person's open visit. FB_E_NOT_FOUND: there is none; *out untouched. */
FB_API FB_MUST_USE fb_code fb_visit_get_open(fb_db *db, fb_id *out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
