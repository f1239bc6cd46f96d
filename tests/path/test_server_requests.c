/* test_server_requests.c - requests that come too often, too early, again, or with too much in
 * them, through the stations of server.h one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/raw_work.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 1 */
} bench;

static int setup(void **state)
{
    static bench b;
    raw_world_open(&b.w);
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[1], 2);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_world_close(&b->w);
    return 0;
}

/* Its own pace for each device; nothing of a request beyond it is looked at. */
static void device_that_asks_too_often_waits(void **state)
{
    enum { AT_ONCE = 40 }; /* DEVICE_RATE of server_prepare.c */
    bench *b = *state;
    sync_request q = raw_request(&b->a);
    job_next next;
    int refused = 0;
    for (int i = 0; i < 2 * AT_ONCE; i++) {
        server_job *job = raw_prepare(&b->a, &q, &next);
        if (next == JOB_DONE) {
            assert_int_equal(server_job_reply(job)->status, 429);
            assert_true(server_job_reply(job)->retry_s > 0);
            refused++;
        }
        server_job_free(job);
    }
    assert_in_range(refused, 1, AT_ONCE);
    q = raw_request(&b->b);
    server_job *job = raw_prepare(&b->b, &q, &next); /* another one's is untouched */
    assert_int_not_equal(next, JOB_DONE);
    server_job_free(job);
}

/* A membership begins between the commit of a request and the snapshot of its page: the page would
 * be of scopes that the device is not registered with. It comes again, and has all of it. */
static void scopes_that_move_behind_the_commit_make_it_come_again(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    job_next next;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    sync_request q = raw_request(&b->a);
    server_job *job = raw_prepare(&b->a, &q, &next);
    assert_int_equal(next, JOB_WRITE);
    server_write(b->w.srv, &job, 1);
    assert_int_equal(server_job_next(job), JOB_READ);
    company_add(&b->w.company, "user_territory",
                PAIRS("user_id", id_text(&b->a.user), "territory_id", id_text(&b->w.territories[1]),
                      "valid_from", "2020-01-01"));
    server_read(b->w.srv, b->w.reader, job);
    assert_int_equal(server_job_reply(job)->status, 503);
    assert_true(server_job_reply(job)->retry_s > 0);
    server_job_free(job);
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_true(raw_page_has(&r, &b->w.customers[1]));
    raw_reply_clear(&r);
}

/* A reply was lost: what is known comes again in front of what is new, and only that is decided. */
static void known_groups_before_new_ones_are_decided_once(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_sync(&b->a, &r);
    raw_reply_clear(&r);
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    raw_sync(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_APPLIED);
    assert_true(raw_server_ver(&b->w, "sales_order", &order) > 0);
    raw_reply_clear(&r);
}

static void what_follows_the_end_of_a_request_is_refused(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    buf_printf(&b->a.groups[0], "\n{\"m\":\"end\"}");
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 400);
    assert_int_equal(r.error, FB_E_PROTOCOL);
    raw_reply_clear(&r);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(device_that_asks_too_often_waits),
        CASE(scopes_that_move_behind_the_commit_make_it_come_again),
        CASE(known_groups_before_new_ones_are_decided_once),
        CASE(what_follows_the_end_of_a_request_is_refused),
    };
    return cmocka_run_group_tests_name("server_requests", tests, NULL, NULL);
}
