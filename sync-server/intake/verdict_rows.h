/* verdict_rows.h - fs_verdict: what was answered to which group. Nobody outside this room includes
 * it. */
#ifndef FB_INTAKE_VERDICT_ROWS_H
#define FB_INTAKE_VERDICT_ROWS_H

#include "sync-server/intake/intake.h"

/* A run of plain groups, not yet written. */
typedef struct verdict_run {
    int64_t incarnation_no;
    int64_t from, to, cid; /* cid of `from`; from 0: empty */
    uint8_t marks[8 * INTAKE_GROUPS_MAX];
} verdict_run;
void run_begin(verdict_run *r, int64_t incarnation_no);
/* False when the group does not continue the run: flush first. */
bool run_add(verdict_run *r, int64_t gseq, int64_t cid, uint64_t mark);
FB_MUST_USE fb_code run_flush(store *s, verdict_run *r);

/* One verdict that is not plain. */
typedef struct verdict_row {
    int64_t incarnation_no, gseq, cid, head;
    uint64_t mark;
    verdict_code code;
    fb_text line;    /* with its "\n" */
    fb_text payload; /* data NULL: none */
    fb_id held_row; /* held: what the row that shows it is called. None: an earlier version noted it
                       only where something was erased from the payload, else the payload says */
    bool old_base;  /* decide_session, for who accepts it later */
} verdict_row;
FB_MUST_USE fb_code verdict_row_add(store *s, const verdict_row *v);

/* Later groups follow the aliases that this verdict names. */
FB_MUST_USE fb_code verdict_aliases_add(store *s, const verdict_msg *m);

/* The row that covers gseq; E_NOT_FOUND. Texts are copied to `memory`. */
typedef struct verdict_found {
    int64_t gseq, upto, cid, head;
    verdict_code code;
    bool plain, old_base;
    int64_t state;
    fb_text marks, line, payload;
    fb_id held_row;
} verdict_found;
/* Something of the group stands: where it is not as it was sent, a page brings its rows (echo). */
bool verdict_stands(verdict_code code);
/* The words of a verdict as they stand in its row. E_CORRUPT: there are none. */
FB_MUST_USE fb_code verdict_line_get(fb_text line, arena *memory, verdict_msg *out);
FB_MUST_USE fb_code verdict_find(store *s, int64_t incarnation_no, int64_t gseq, arena *memory,
                                 verdict_found *out);
/* Mark of gseq in the row. */
uint64_t verdict_mark(const verdict_found *v, int64_t gseq);

uint64_t mark_get(const uint8_t at[8]);
void mark_put(uint64_t mark, uint8_t at[8]);

#endif
