/* each_site.h - one call of the product, in which every place that can fail fails once: a statement
 * of SQLite, a request to an arena, an allocation.
 *
 * The fixtures do it with what their tests are about to do anyhow, so that every scene of a test is
 * a scene of this one too. fb-torture-server does it with whole requests; here are the calls that
 * no request of its story makes. Only programs of SITE_TESTS in tests/CMakeLists.txt can: the
 * failing calls stand in front of the real ones (fault/torture/calls.h).
 *
 *   EST-1  a call in which a site failed says that the machine is in trouble, or has done its work
 *   EST-2  what it leaves behind in memory does no harm: the same call made once more, and the test
 *          that goes on with it, come to what they would have come to */
#ifndef FB_TESTS_EACH_SITE_H
#define FB_TESTS_EACH_SITE_H

#include "base/check.h"

typedef struct each_site {
    fb_code (*call)(void *ctx); /* leaves the database as it was */
    /* What must hold when the call says FB_OK although a site failed; NULL: nothing more. */
    void (*done)(void *ctx);
    void *ctx;
} each_site;

/* Of the sites only those that are the first to make a call of the product fail, in the whole life
 * of the process: the others fail the same way. */
void each_site_fails(const each_site *e);

#endif
