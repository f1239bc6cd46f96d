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

static const char *const KINDS[] = {
    [CALL_STATEMENT] = "statement", [CALL_ARENA] = "arena", [CALL_HEAP] = "allocation"};
enum { KINDS_COUNT = sizeof KINDS / sizeof KINDS[0] };

/* Allocations are sites of their own here (each_heap.c), not those of fb-torture. */
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
        print_error("%s %llu: %s\n", KINDS[kind], (unsigned long long)n, fb_code_name(rc));
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
    for (int kind = 0; kind < KINDS_COUNT; kind++) {
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
