/* attempt.h - groups that fail or crash the server again and again end as held E_POISON.
 *
 * Costs nothing while nothing fails:
 *   - a group whose decision or commit fails (not for disk or memory) is noted after the rollback;
 * the fourth attempt gives its verdict instead;
 *   - a crash leaves no note, but the next start sees that the last run did not end well (fs_meta
 *     running) and is careful for a while: before each batch the devices in it that bring new
 *     groups are marked, in a transaction of their own; the marks go with the batch. Where marks
 *     survived, devices are written one by one, and one whose mark survived one group at a time, so
 *     that the mark names the group at fault.
 *
 *   ATT-1  an attempt is counted before it is made, durably
 *   ATT-2  only a group that was about to be decided is counted: no repeat, no refused request, and
 *          nothing that disk or memory failed */
#ifndef FB_INTAKE_ATTEMPT_H
#define FB_INTAKE_ATTEMPT_H

#include "sync-server/intake/intake.h"

enum { ATTEMPTS_MAX = 3 };

typedef struct attempt {
    bool found;
    int64_t gseq, tries;
} attempt;

FB_MUST_USE fb_code attempt_get(store *s, const fb_id *device, attempt *out);
FB_MUST_USE fb_code attempt_put(store *s, const fb_id *device, int64_t gseq, int64_t tries);
FB_MUST_USE fb_code attempt_delete(store *s, const fb_id *device);

/* In a transaction of its own, after the rollback: one more failed attempt at this group. */
FB_MUST_USE fb_code attempt_note(intake *in, const fb_id *device, int64_t gseq);
/* Careful: one more attempt, about to be made at the first new group of the request, if it has one.
 * stood: an earlier mark stands. In a transaction begun by the caller. */
typedef struct attempt_marked {
    bool marked, stood;
} attempt_marked;
FB_MUST_USE fb_code attempt_mark(intake *in, const fb_id *device, const sync_request *q,
                                 attempt_marked *out);
/* The attempt was not made after all (ATT-2). In a transaction begun by the caller. */
FB_MUST_USE fb_code attempt_unmark(intake *in, const fb_id *device);
/* Do rows stand? Sets in->attempts. */
FB_MUST_USE fb_code attempt_look(intake *in);

#endif
