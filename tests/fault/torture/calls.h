/* calls.h - what fails beside memory and files, and which sites are worth a failure.
 *
 * SQLite's own calls fail (a page that cannot be read, a lock that is lost: the caller cannot
 * tell), and an arena is at its end at any request. Both stand in front of the real ones (--wrap,
 * see tests/CMakeLists.txt).
 *
 * Sites: a call of the product is under way when its return address is on the stack. A site whose
 * stack holds an address that no site before it had is the first that makes this call fail; the
 * others of the same calls fail the same way. */
#ifndef FB_FAULT_CALLS_H
#define FB_FAULT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum call_kind {
    CALL_STATEMENT,
    CALL_ARENA,
    CALL_KINDS,
    CALL_HEAP = CALL_KINDS /* of each_site.h alone: fb-torture has heap.h */
} call_kind;

/* The n-th call of this kind from now fails (n 0: none); with for_ever all later ones too. */
void calls_arm(call_kind kind, uint64_t n, bool for_ever);
/* Stop failing. True: one has failed. */
bool calls_disarm(void);
/* A call of this kind is made: must it fail? */
bool calls_must_fail(call_kind kind);

/* From here to sites_end every counted site (also of heap.c) is looked at; `set` keeps apart what
 * fails in different ways. */
enum { SITES_MAX = 8192 };
void sites_begin(int set);
/* Called at each site; n counts from 1. */
void sites_pass(uint64_t n);
/* The sites that were the first of a call; valid until the next sites_begin. */
const uint64_t *sites_end(size_t *count);

#endif
