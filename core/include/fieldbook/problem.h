/* problem.h - the tray of groups that were not accepted: see why, correct, send again, or give up.
 *
 * Nothing a person entered is lost: a refused group keeps its rows here until somebody decides.
 *
 *   rejected, blocked: effect undone; resubmit or discard      held: visible, a manager decides
 *
 * Threads: as fb_db. */
#ifndef FIELDBOOK_PROBLEM_H
#define FIELDBOOK_PROBLEM_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed for the callback; texts are not terminated. */
typedef struct fb_problem {
    int64_t gseq;  /* number of the group; less than 0: of an earlier life of the device */
    fb_text state; /* "rejected" "held" "blocked" */
    fb_text kind;  /* what the person did: "order.submit" */
    fb_code error;
    fb_text field;            /* "sales_order_line[3].discount_bp" */
    fb_text text_en, text_zh; /* what is wrong */
    fb_text cure_en, cure_zh; /* what to do */
    fb_text who;              /* held: the role that decides */
    int64_t captured_at_ms;   /* milliseconds UTC */
    int64_t blocked_by;       /* gseq of the group it waits for; 0: none */
    fb_text body;             /* the group as stored: one JSON object (protocol.md section 4) */
    fb_text verdict; /* the server's answer as JSON: holds the server's row where there is one */
} fb_problem;

typedef fb_code (*fb_problem_fn)(void *ctx, const fb_problem *problem);

/* Lend every open problem to `fn` in the order of gseq. */
FB_API FB_MUST_USE fb_code fb_problem_each(fb_db *db, fb_problem_fn fn, void *ctx, fb_error *err);

/* One problem. FB_E_NOT_FOUND: no open problem has this number. */
FB_API FB_MUST_USE fb_code fb_problem_get(fb_db *db, int64_t gseq, fb_problem_fn fn, void *ctx,
                                          fb_error *err);

typedef struct fb_problem_patch {
    const char *entity; /* "sales_order_line" */
    fb_id id;           /* a row of the group */
    const char *column;
    fb_value value; /* storage units */
} fb_problem_patch;

/* Send the group again with these values replaced (count 0: unchanged): a new group is captured,
 * which names the one it replaces; the old one is closed in the same synced transaction. Orders in
 * the group are priced again: net, tax and sums follow what was corrected. FB_E_NOT_FOUND;
 * FB_E_STATE: it is held. Rules are checked again: errors as fb_record_insert and fb_order_submit;
 * nothing changed then. */
FB_API FB_MUST_USE fb_code fb_problem_resubmit(fb_db *db, int64_t gseq,
                                               const fb_problem_patch *patches, uint32_t count,
                                               int64_t *gseq_out, fb_error *err);

/* The same with texts: a JSON array of {"entity", "id" or "line", "column", "value"}, values in
 * record.h form; "line" is the line number people see, as in err->field "sales_order_line[3]...".
 * Neither is needed where the group has one row of the entity. NULL: no patches. */
FB_API FB_MUST_USE fb_code fb_problem_resubmit_json(fb_db *db, int64_t gseq,
                                                    const char *patches_json, int64_t *gseq_out,
                                                    fb_error *err);

/* Give the group up; this is recorded. FB_E_STATE: it is held, a manager decides. FB_E_NOT_FOUND.
 */
FB_API FB_MUST_USE fb_code fb_problem_discard(fb_db *db, int64_t gseq, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
