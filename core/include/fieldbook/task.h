/* task.h - what somebody promised or has to do (任务). Threads: as fb_db. */
#ifndef FIELDBOOK_TASK_H
#define FIELDBOOK_TASK_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_task_options {
    uint32_t size_bytes;
    const char *kind;     /* "todo" "promise" "follow_up" "care" "call" ...; NULL: "todo" */
    const char *priority; /* "low" "normal" "high" "urgent"; NULL: "normal" */
    int64_t due_at_ms;    /* 0: none */
    int64_t at_ms;        /* 0: now, or the group's time */
    fb_id customer;       /* none: about nobody */
    fb_id assignee;       /* none: the person */
} fb_task_options;

/* clang-format off */
#define FB_TASK_OPTIONS_INIT {sizeof(fb_task_options), NULL, NULL, 0, 0, {{0}}, {{0}}}
/* clang-format on */

/* Add a task. `title` is required; the person is the assigner. *id_out may be NULL. Errors as
 * fb_record_insert; nothing changed then. */
FB_API FB_MUST_USE fb_code fb_task_add(fb_db *db, const char *title, const fb_task_options *options,
                                       fb_id *id_out, fb_error *err);

/* The task is done; `result` may be NULL. at_ms 0: now. FB_E_NOT_FOUND; FB_E_STATE: done or
 * cancelled. */
FB_API FB_MUST_USE fb_code fb_task_done(fb_db *db, const fb_id *task, const char *result,
                                        int64_t at_ms, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
