/* activity.h - the contact log (联系记录): calls, mails, meetings. Append-only.
 *
 * A correction is a new entry that supersedes the old one; nothing is rewritten. Threads: as fb_db.
 */
#ifndef FIELDBOOK_ACTIVITY_H
#define FIELDBOOK_ACTIVITY_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_activity_options {
    uint32_t size_bytes;
    const char *type;        /* "call" "meeting" "email" "objection" ...; NULL: "call" */
    const char *direction;   /* "in" or "out"; NULL: "out" */
    const char *content;     /* NULL: none */
    const char *result_code; /* NULL: none */
    const char *next_action; /* NULL: none */
    int64_t next_at_ms;      /* 0: none */
    int64_t at_ms;           /* 0: now, or the group's time */
    int32_t duration_s;      /* seconds, 0: unknown */
    fb_id contact;           /* none: not given */
} fb_activity_options;

/* clang-format off */
#define FB_ACTIVITY_OPTIONS_INIT                                                                   \
    {sizeof(fb_activity_options), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, {{0}}}
/* clang-format on */

/* Log an activity with this customer. `subject` is required. *id_out may be NULL. FB_E_NOT_FOUND:
 * the customer. FB_E_FUTURE: more than ten minutes ahead. Errors as fb_record_insert; nothing
 * changed then. */
FB_API FB_MUST_USE fb_code fb_activity_log(fb_db *db, const fb_id *customer, const char *subject,
                                           const fb_activity_options *options, fb_id *id_out,
                                           fb_error *err);

/* Correct an activity: a new entry with the columns of `json` (record.h form) replaced and
 * supersedes_id set. FB_E_NOT_FOUND; FB_E_STATE: superseded already. */
FB_API FB_MUST_USE fb_code fb_activity_correct(fb_db *db, const fb_id *activity, const char *json,
                                               fb_id *id_out, fb_error *err);

/* Declare an activity void: a new entry that supersedes it and carries the reason (required). */
FB_API FB_MUST_USE fb_code fb_activity_void(fb_db *db, const fb_id *activity, const char *reason,
                                            fb_id *id_out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
