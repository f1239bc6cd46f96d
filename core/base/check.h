/* check.h - the caller's contract, our own model, and passing errors up.
 *
 *   FB_REQUIRE  the caller broke the contract: return E_MISUSE, change nothing
 *   FB_ASSERT   our own model is broken: report through bug_report, never compiled out
 *   FB_TRY      pass a failure up unchanged
 * In a function that owns something use `if ((rc = f()) != FB_OK) goto done;` instead. */
#ifndef FB_BASE_CHECK_H
#define FB_BASE_CHECK_H

#include <stdbool.h>

#include "fieldbook/error.h"

/* Provided by base/error.c: prints nothing itself; calls the hook set by bug_hook_set or,
 * when none is set, aborts. */
_Noreturn void bug_report(const char *expr, const char *file, int line);
/* Called by bug_report before the process ends, to leave a trace; set once, at the start of main.
 * The process is aborted when the hook returns. NULL takes it away. */
typedef fb_bug_hook bug_hook;
void bug_hook_set(bug_hook hook); /* fb_bug_hook_set, under the name used inside */

#define FB_REQUIRE(cond)        \
    do {                        \
        if (!(cond)) {          \
            return FB_E_MISUSE; \
        }                       \
    } while (0)

#define FB_ASSERT(cond) ((cond) ? (void)0 : bug_report(#cond, __FILE__, __LINE__))

#define FB_TRY(call)                 \
    do {                             \
        fb_code fb_try_rc_ = (call); \
        if (fb_try_rc_ != FB_OK) {   \
            return fb_try_rc_;       \
        }                            \
    } while (0)

/* Memory, locks or the disk of this machine: says nothing about what was asked for, which may be
 * right another time. A damaged file is no such trouble. */
bool code_is_machines(fb_code code);

/* Fill *err (may be NULL) and return the code. The format must not carry customer data. */
fb_code fail(fb_error *err, fb_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
