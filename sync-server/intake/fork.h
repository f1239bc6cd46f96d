/* fork.h - after a fork: groups that an older incarnation delivered are recognised and get their
 * old verdict. */
#ifndef FB_INTAKE_FORK_H
#define FB_INTAKE_FORK_H

#include "sync-server/intake/verdict_rows.h"

/* Marks of all groups of the device's other incarnations; read once per request, only while
 * gseq <= fork_last. */
typedef struct fork_marks {
    bool read;
    buf marks; /* struct fork_mark, sorted by mark */
} fork_marks;
void fork_marks_clear(fork_marks *f);

/* The verdict of an older incarnation's group with this line, as a row for gseq of the new one;
 * *found false when there is none. Rows that group would have made now point to the new number. */
FB_MUST_USE fb_code fork_recognise(store *s, fork_marks *f, const door_device *d, int64_t gseq,
                                   uint64_t mark, arena *memory, verdict_row *out, bool *found);

#endif
