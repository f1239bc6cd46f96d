/* parked.h - records that left this device while work on them is not judged yet.
 *
 * When a customer moves to another territory, or a right is taken away, its records leave the
 * device. One that a pending, held or refused group changes or refers to is kept aside, parked: in
 * no list and no query, not to be edited, but with what the person has pending on it, until the
 * last such group is settled. Its bytes go then. The pending work itself is sent in any case and
 * judged by what was the person's when it was captured. */
#ifndef FIELDBOOK_PARKED_H
#define FIELDBOOK_PARKED_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_parked {
    fb_text entity;
    fb_id id;
    int64_t left_ms;      /* milliseconds UTC when it left */
    int64_t gseq;         /* newest group that needs it */
    bool changed;         /* an open group changes it; false: one refers to it */
    bool deleted;         /* an open group deletes it */
    const fb_row *theirs; /* as the server last showed it */
    const fb_row *mine;   /* with the open groups' changes; borrowed like everything here */
} fb_parked;

typedef fb_code (*fb_parked_fn)(void *ctx, const fb_parked *parked);

/* Lend every parked record to `fn`, by entity and id, values in `form`. Anything but FB_OK from
 * `fn` ends the walk and is returned. FB_E_STATE: a group is open on this handle. */
FB_API FB_MUST_USE fb_code fb_parked_each(fb_db *db, fb_form form, fb_parked_fn fn, void *ctx,
                                          fb_error *err);

/* What of the pending work cannot be shown on the records that are here now. It is sent all the
 * same. */
typedef struct fb_warning {
    int64_t gseq;
    fb_text entity;           /* empty: the whole group */
    fb_id id;                 /* none: the whole group */
    fb_text text_en, text_zh; /* what it means */
} fb_warning;

typedef fb_code (*fb_warning_fn)(void *ctx, const fb_warning *warning);

/* Lend every warning to `fn`, in the order of groups. FB_E_STATE as above. */
FB_API FB_MUST_USE fb_code fb_warning_each(fb_db *db, fb_warning_fn fn, void *ctx, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
