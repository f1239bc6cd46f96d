/* problem_inside.h - sending a group again: the group read back, and the values to be replaced.
 *
 *   problem.c        the tray, the call             problem_patch.c  patches written as JSON
 *   problem_order.c  amounts of orders follow what was corrected */
#ifndef FB_API_PROBLEM_INSIDE_H
#define FB_API_PROBLEM_INSIDE_H

#include "api/handle.h"

typedef struct resubmission {
    fb_db *db;
    int64_t gseq;
    arena *memory;
    fb_text body; /* in memory; group borrows from it */
    group group;
    problem_patch *patches; /* later ones win */
    uint32_t count, capacity;
} resubmission;

FB_MUST_USE fb_code resubmission_patch(resubmission *s, const problem_patch *patch);
/* Entity and column by name. */
FB_MUST_USE fb_code resubmission_target(fb_db *db, const char *entity, const char *column,
                                        problem_patch *out, fb_error *err);
FB_MUST_USE fb_code resubmission_json(resubmission *s, const char *json, fb_error *err);
/* Find prices and sums of the group's orders again, with the patches applied, and patch them too;
 * the order rules are asked as for a new order. */
FB_MUST_USE fb_code resubmission_orders(resubmission *s, fb_error *err);

#endif
