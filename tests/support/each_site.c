/* each_site.c - see each_site.h. */
#include "support/each_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fault/torture/calls.h"
#include "fault/torture/heap.h"

#include <cmocka.h>

/* Allocations are not among the sites: the sanitizers stand in front of malloc. */
bool heap_is_paused(void)
{
    return false;
}

static void site_fails(const each_site *e, call_kind kind, uint64_t n)
{
    calls_arm(kind, n, false);
    fb_code rc = e->call(e->ctx);
    bool fired = calls_disarm();
    if (rc != FB_OK && !(fired && code_is_machines(rc))) {
        print_error("%s %llu: %s\n", kind == CALL_ARENA ? "arena" : "statement",
                    (unsigned long long)n, fb_code_name(rc));
        assert_true(false); /* EST-1 */
    }
    if (rc == FB_OK && e->done != NULL) {
        e->done(e->ctx);
    }
}

void each_site_fails(const each_site *e)
{
    static uint64_t found[SITES_MAX];
    assert_int_equal(e->call(e->ctx), FB_OK); /* from here on its statements are prepared */
    for (int kind = 0; kind < CALL_KINDS; kind++) {
        size_t count = 0;
        calls_arm((call_kind)kind, 0, false);
        sites_begin(kind);
        assert_int_equal(e->call(e->ctx), FB_OK);
        memcpy(found, sites_end(&count), sizeof found);
        (void)calls_disarm();
        for (size_t i = 0; i < count; i++) {
            site_fails(e, (call_kind)kind, found[i]);
        }
    }
    assert_int_equal(e->call(e->ctx), FB_OK); /* EST-2 */
    if (e->done != NULL) {
        e->done(e->ctx);
    }
}
