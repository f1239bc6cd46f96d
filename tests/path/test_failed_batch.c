/* test_failed_batch.c - one job of a batch cannot be written: the others are, as if it had not been
 * there; what it brought is forgotten, and a group that does it again and again is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "fault/torture/calls.h"
#include "support/each_site.h"
#include "support/raw_work.h"
#include "sync-server/intake/attempt.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 2: the same territory */
} bench;

static int setup(void **state)
{
    static bench b;
    raw_reply r;
    raw_world_open(&b.w);
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_exchange(&b.a, &r);
    raw_reply_clear(&r);
    raw_exchange(&b.b, &r);
    raw_reply_clear(&r);
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

/* All of them in one batch, in which the n-th statement fails (0: none); what each is told. True:
 * it has failed. */
static bool batch_write(bench *b, raw_device *const *devices, uint32_t count, uint64_t n,
                        int *statuses)
{
    server_job *jobs[4];
    job_next next;
    b->w.now_ms += 1000;
    for (uint32_t i = 0; i < count; i++) {
        sync_request q = raw_request(devices[i]);
        jobs[i] = raw_prepare(devices[i], &q, &next);
        assert_int_equal(next, JOB_WRITE);
    }
    calls_arm(CALL_STATEMENT, n, false);
    server_write(b->w.srv, jobs, count);
    bool fired = calls_disarm();
    for (uint32_t i = 0; i < count; i++) {
        if (server_job_next(jobs[i]) == JOB_READ) {
            server_read(b->w.srv, b->w.reader, jobs[i]);
        }
        statuses[i] = server_job_reply(jobs[i])->status;
        server_job_free(jobs[i]);
    }
    return fired;
}

/* The database itself refuses one order; the others in its batch know nothing of it. */
static void group_that_fails_alone_is_counted_and_held(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id good, bad;
    sqlite3 *raw = NULL;
    raw_device *both[] = {&b->a, &b->b};
    int statuses[2];
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw,
                                  "CREATE TRIGGER no BEFORE INSERT ON sales_order WHEN "
                                  "new.order_no = 'SO-A1-2' BEGIN SELECT RAISE(ABORT, 'no'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    raw_server_restart(&b->w, false);
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &good);
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &bad);
    raw_push_order(&b->b, "SO-A2-1", &RAW_GOOD, 0, &good);
    for (int i = 1; i <= ATTEMPTS_MAX; i++) {
        attempt a;
        (void)batch_write(b, both, 2, 0, statuses);
        assert_int_equal(statuses[1], 200);
        assert_true(statuses[0] >= 500);
        assert_int_equal(attempt_get(b->w.admin, &b->a.id, &a), FB_OK);
        assert_true(a.found);
        assert_int_equal(a.gseq, 2);
        assert_int_equal(a.tries, i);
    }
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, 2).error, FB_E_POISON);
    raw_reply_clear(&r);
    sqlite3_close(raw);
}

static void contact_new(raw_device *d, const fb_id *customer, fb_id *contact)
{
    raw_group g;
    raw_begin(&g, d, "contact.new", 0, 0);
    *contact =
        raw_insert(&g, "contact", PAIRS("customer_id", id_text(customer), "name", "Somebody new"));
    raw_end(&g);
}

/* Nobody's scope depends on the contact of a note: all that is asked is whether there is one. */
static int64_t note(raw_device *d, const fb_id *contact)
{
    raw_group g;
    raw_begin(&g, d, "activity.log", 0, 0);
    raw_insert(&g, "activity",
               PAIRS("customer_id", id_text(&d->w->customers[0]), "contact_id", id_text(contact),
                     "user_id", id_text(&d->user), "type", "call", "at", "1760000000000", "subject",
                     "hello"));
    return raw_end(&g);
}

/* A batch fails when its first group is decided already; then somebody else's commit takes the
 * number that the group would have had. What it brought is not known to anybody. */
static void what_a_failed_batch_brought_is_forgotten(void **state)
{
    enum { STEP = 5, CALLS_MOST = 2000 };
    bench *b = *state;
    raw_device *only[] = {&b->a};
    raw_reply r;
    fb_id contact;
    int failed = 0, statuses[1];
    contact_new(&b->a, &b->w.customers[0], &contact);
    note(&b->a, &contact);
    for (int n = 1; n < CALLS_MOST; n += STEP) {
        if (!batch_write(b, only, 1, (uint64_t)n, statuses)) {
            break;
        }
        failed++;
        company_set(&b->w.company, "product", &b->w.product,
                    PAIRS("remark", failed % 2 == 0 ? "even" : "odd"));
        int64_t g = note(&b->b, &contact);
        raw_exchange(&b->b, &r);
        assert_int_equal(raw_verdict(&r, g).error, FB_E_REFERENCE);
        raw_reply_clear(&r);
    }
    assert_true(failed > 3);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static int64_t devices_count(bench *b)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw,
                                        "SELECT (SELECT count(*) FROM fs_device) + (SELECT "
                                        "count(*) FROM device) + (SELECT count(*) FROM "
                                        "fs_incarnation)",
                                        -1, &q, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(raw);
    return count;
}

/* Memory is short at each point of an enrolment: nothing of it stays, and the code serves again. */
static void enrolment_that_fails_half_way_leaves_nothing(void **state)
{
    enum { STEP = 2, CALLS_MOST = 200, RATE_MS = 30000 };
    bench *b = *state;
    raw_device again;
    char room[32];
    int failed = 0;
    fb_text code = raw_code_make(&b->w, &b->w.users[0], room);
    int64_t before = devices_count(b);
    for (int n = 1; n < CALLS_MOST; n += STEP) {
        calls_arm(CALL_ARENA, (uint64_t)n, false);
        int status = raw_enrol_try(&b->w, code, 77);
        bool fired = calls_disarm();
        if (!fired) {
            break;
        }
        failed++;
        assert_int_equal(status, 503);
        assert_int_equal(devices_count(b), before);
        b->w.now_ms += RATE_MS;
    }
    assert_true(failed > 3);
    assert_true(devices_count(b) > before);
    raw_enrol(&b->w, &again, &b->w.users[1], 5);
    raw_device_clear(&again);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(group_that_fails_alone_is_counted_and_held),
        CASE(what_a_failed_batch_brought_is_forgotten),
        CASE(enrolment_that_fails_half_way_leaves_nothing),
    };
    return cmocka_run_group_tests_name("failed_batch", tests, NULL, NULL);
}
