/* test_server_device.c - devices through server_handle: repeats, forks, gaps, epochs, poison,
 * batches, waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "schema/limits.h"
#include "sql/sql.h"
#include "support/raw_trial.h"
#include "support/raw_work.h"
#include "sync-server/door/door.h"
#include "sync-server/intake/intake.h"
#include "wire/pack.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 2: the same territory */
} bench;

static int setup(void **state)
{
    static bench b;
    raw_world_open(&b.w);
    b.w.trial = raw_trial;
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_reply r;
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

static void page_holds_nothing_outside_the_scopes(void **state)
{
    bench *b = *state;
    raw_device other;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    raw_enrol(&b->w, &other, &b->w.users[1], 3);
    raw_exchange(&other, &r);
    assert_true(r.complete);
    assert_true(raw_page_has(&r, &b->w.customers[1]));
    assert_false(raw_page_has(&r, &b->w.customers[0]));
    assert_false(raw_page_has(&r, &order));
    raw_reply_clear(&r);
    raw_device_clear(&other);
}

static void repeated_request_gets_the_same_verdicts(void **state)
{
    bench *b = *state;
    raw_reply first, second;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_push_order(&b->a, "SO-A1-2", &(raw_order_texts){"99999", "11300", "submitted", "account"},
                   0, &order);
    raw_push_order(&b->a, "SO-A1-3", &RAW_GOOD, 0, &order);
    raw_sync(&b->a, &first);
    int64_t head = server_head(b->w.srv);
    raw_sync(&b->a, &second);
    assert_int_equal(server_head(b->w.srv), head); /* nothing was done twice */
    assert_int_equal(first.items_count, 3);
    assert_int_equal(first.verdicts.size, second.verdicts.size);
    assert_memory_equal(first.verdicts.data, second.verdicts.data, first.verdicts.size);
    raw_reply_clear(&first);
    /* A shorter repeat does not reach what was applied: known by its marks. */
    sync_request q = raw_request(&b->a);
    q.groups_count = 1;
    raw_sync_with(&b->a, &q, &first);
    assert_int_equal(first.status, 200);
    assert_memory_equal(first.verdicts.data, second.verdicts.data, first.verdicts.size);
    raw_reply_clear(&first);
    raw_reply_clear(&second);
}

static void unreadable_group_does_not_block_the_next(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    int64_t bad = raw_line(
        &b->a,
        "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[[\"+\",\"no_such_entity\",[\"id\"],[]]]}");
    int64_t worse = raw_line(&b->a, "{not json");
    int64_t good = raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, bad).code, VERDICT_REJECTED);
    assert_int_equal(raw_verdict(&r, bad).error, FB_E_PROTOCOL);
    assert_int_equal(raw_verdict(&r, worse).error, FB_E_JSON);
    assert_int_equal(raw_verdict(&r, good).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void identity_used_twice_is_rejected(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_begin(&g, &b->a, "order.draft", 0, 0);
    raw_insert_id(&g, "sales_order", &order,
                  PAIRS("order_no", "SO-A1-9", "customer_id", id_text(&b->w.customers[0]),
                        "user_id", id_text(&b->a.user), "order_date", "2025-10-09"));
    int64_t twice = raw_end(&g);
    int64_t good = raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    int64_t number = raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, twice).error, FB_E_EXISTS);
    assert_int_equal(raw_verdict(&r, good).code, VERDICT_APPLIED);
    /* The number of a series may come from a copied phone: the document stands under another. */
    verdict_msg v = raw_verdict(&r, number);
    assert_int_equal(v.code, VERDICT_MERGED);
    assert_true(v.echo && v.columns_count == 1);
    assert_true(text_is(v.columns[0].column, "order_no") && text_is(v.columns[0].policy, "SEQ"));
    assert_true(!v.columns[0].mine_won && text_is(v.columns[0].mine, "\"SO-A1-2\""));
    assert_true(text_is(v.columns[0].theirs, "\"SO-A1-2-2\""));
    assert_true(raw_page_has(&r, &order));
    char no[256];
    raw_server_text(&b->w, "sales_order", &order, "order_no", no);
    assert_string_equal(no, "SO-A1-2-2");
    raw_reply_clear(&r);
    number = raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, number).code, VERDICT_MERGED);
    raw_reply_clear(&r);
    raw_server_text(&b->w, "sales_order", &order, "order_no", no);
    assert_string_equal(no, "SO-A1-2-3");
}

static void restored_device_is_told_and_loses_nothing(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order[4];
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order[0]);
    raw_push_order(&b->a, "SO-A1-2", &(raw_order_texts){"99999", "11300", "submitted", "account"},
                   0, &order[1]);
    raw_push_order(&b->a, "SO-A1-3", &RAW_GOOD, 0, &order[2]);
    raw_sync(&b->a, &r); /* the device never hears of it: it is restored to before */
    int64_t cid = raw_verdict(&r, 3).cid;
    raw_reply_clear(&r);
    b->a.last = 2;
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 409);
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
    b->a.last = 3;
    fb_id kept = b->a.incarnation;
    raw_incarnation(&b->a);
    raw_push_order(&b->a, "SO-A1-4", &RAW_GOOD, 0, &order[3]);
    int64_t head = server_head(b->w.srv);
    raw_exchange(&b->a, &r);
    assert_int_equal(r.sync.applied, 4);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_true(raw_verdict(&r, 1).echo);
    assert_int_equal(raw_verdict(&r, 2).error, FB_E_PRICE);
    assert_int_equal(raw_verdict(&r, 3).cid, cid);
    assert_true(raw_page_has(&r, &order[0]));
    assert_int_equal(server_head(b->w.srv), head + 1); /* only the fourth was new */
    raw_reply_clear(&r);
    sync_request q = raw_request(&b->a);
    q.incarnation = kept; /* the copy that kept the old one */
    raw_sync_with(&b->a, &q, &r);
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
}

/* Refused groups that wait for a person, in the server's table. */
static int64_t waiting(bench *b)
{
    sql_stmt *q = NULL;
    fb_error err = {0};
    bool row = false;
    fb_text sql = text_of("SELECT count(*) FROM fs_verdict WHERE code = 3 AND state = 0");
    assert_int_equal(store_query(b->w.admin, sql, &q, &err), FB_OK);
    assert_int_equal(sql_step(q, &row), FB_OK);
    int64_t count = sql_int(q, 0);
    sql_finalize(q);
    return count;
}

/* The same group under the number of a new life is one question, not two. */
static void refused_group_of_a_restored_device_waits_once(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &(raw_order_texts){"99999", "11300", "submitted", "account"},
                   0, &order);
    raw_sync(&b->a, &r);
    raw_reply_clear(&r);
    assert_int_equal(waiting(b), 1);
    raw_incarnation(&b->a);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).error, FB_E_PRICE);
    raw_reply_clear(&r);
    assert_int_equal(waiting(b), 1);
}

/* A token opens the door of one device; what it then says of itself must be that one. */
static void device_speaks_for_itself_alone(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_exchange(&b->b, &r);
    raw_reply_clear(&r);
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    sync_request q = raw_request(&b->a);
    q.device = b->b.id;
    raw_sync_with(&b->a, &q, &r);
    assert_int_equal(r.status, 401);
    assert_int_equal(r.error, FB_E_AUTH);
    raw_reply_clear(&r);
    raw_exchange(&b->b, &r);
    assert_false(raw_page_has(&r, &order)); /* nothing was written */
    raw_reply_clear(&r);
}

static void chain_that_differs_is_a_fork(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    b->a.chain[1].b[0] ^= 1;
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    raw_sync(&b->a, &r);
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
}

/* A request that carries fewer groups than are known shows nothing of those behind: they may be
 * those of a copy that was restored, whose own group with that number was never sent. So it is told
 * what it showed, and no page, whose snapshot holds more. Found by the Promela model. */
static void verdicts_end_with_what_was_shown(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    raw_push_order(&b->a, "SO-A1-3", &RAW_GOOD, 0, &order);
    raw_sync(&b->a, &r);
    raw_reply_clear(&r);
    b->a.last = 2; /* restored to before the third, and another one is saved */
    buf_clear(&b->a.groups[2]);
    raw_push_order(&b->a, "SO-A1-4", &RAW_GOOD, 0, &order);
    sync_request q = raw_request(&b->a);
    q.groups_count = 2;
    raw_sync_with(&b->a, &q, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.sync.applied, 2);
    assert_false(raw_has_verdict(&r, 3));
    assert_false(r.complete);
    raw_reply_clear(&r);
    b->a.acked = 2;
    raw_sync(&b->a, &r); /* now the third is shown */
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
}

static void gap_is_named(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    b->a.acked = 1; /* of a verdict nobody gave */
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 409);
    assert_int_equal(r.error, FB_E_GAP);
    raw_reply_clear(&r);
}

static void other_epoch_gets_a_reset_and_no_verdicts(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    b->a.epoch.b[0] ^= 1;
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.items_count, 0);
    assert_true(r.reset);
    assert_int_equal(r.sync.applied, 0);
    raw_reply_clear(&r);
}

static void crashing_group_is_held_after_its_attempts(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    /* As three crashes leave it. */
    raw_server_restart(&b->w, true);
    store_stmt *q = NULL;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    q = store_prepare(b->w.admin, STORE_intake_attempt_put);
    store_bind_id(q, 1, &b->a.id);
    store_bind_int(q, 2, 1);
    store_bind_int(q, 3, 3);
    assert_int_equal(store_run(q), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, 1).error, FB_E_POISON);
    assert_true(text_is(raw_verdict(&r, 1).who, "IT"));
    assert_int_equal(r.sync.applied, 1); /* careful: one group at a time */
    raw_reply_clear(&r);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void blocked_device_is_turned_away(void **state)
{
    bench *b = *state;
    raw_reply r;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(door_device_block(b->w.admin, &b->a.id, b->w.now_ms), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 403);
    assert_int_equal(r.error, FB_E_DEVICE);
    raw_reply_clear(&r);
    b->b.token.b[0] ^= 1;
    raw_sync(&b->b, &r);
    assert_int_equal(r.status, 401);
    raw_reply_clear(&r);
}

/* Requests that never reach a room. */
static const struct {
    const char *method, *path, *type, *encoding;
    int status;
} ROUTES[] = {
    {"GET", "/v1/health", "", "", 200},
    {"GET", "/v1/sync", "application/x-fieldbook", "", 405},
    {"POST", "/v2/sync", "application/x-fieldbook", "", 404},
    {"POST", "/v1/sync", "application/x-fieldbook", "", 401},
    {"POST", "/v1/enrol", "text/plain", "", 415},
    {"POST", "/v1/enrol", "application/x-fieldbook", "gzip", 415},
    {"POST", "/v1/enrol", "application/x-fieldbook", "", 400},
};

static void strange_requests_get_their_status(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        server_request q = {.method = text_of(ROUTES[i].method),
                            .path = text_of(ROUTES[i].path),
                            .content_type = text_of(ROUTES[i].type),
                            .content_encoding = text_of(ROUTES[i].encoding),
                            .peer = text_of("10.0.0.1"),
                            .body = text_of("{}")};
        server_job *job = server_handle(b->w.srv, b->w.reader, &q);
        assert_int_equal(server_job_reply(job)->status, ROUTES[i].status);
        server_job_free(job);
    }
}

/* One job reuses an id, one is a fork: the batch is written again for the first, and all get their
 * own answer. */
static void batch_is_answered_job_by_job(void **state)
{
    bench *b = *state;
    raw_device fork;
    raw_group g;
    raw_reply r;
    fb_id order;
    job_next next;
    raw_enrol(&b->w, &fork, &b->w.users[0], 9);
    raw_push_order(&fork, "SO-A3-1", &RAW_GOOD, 0, &order);
    raw_exchange(&fork, &r);
    raw_reply_clear(&r);
    fork.chain[1].b[0] ^= 1;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_begin(&g, &b->b, "contact.add", 0, 0);
    raw_insert_id(&g, "contact", &b->w.customers[0],
                  PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    raw_end(&g);
    raw_begin(&g, &b->b, "customer.add", 0, 0);
    raw_insert_id(
        &g, "customer", &b->w.customers[0],
        PAIRS("code", "C9", "name", "Other", "status", "draft", "owner_id", id_text(&b->b.user)));
    raw_end(&g);
    raw_device *devices[] = {&b->a, &b->b, &fork};
    server_job *jobs[3];
    for (int i = 0; i < 3; i++) {
        sync_request q = raw_request(devices[i]);
        jobs[i] = raw_prepare(devices[i], &q, &next);
        assert_int_equal(next, JOB_WRITE);
    }
    server_write(b->w.srv, jobs, 3);
    assert_int_equal(server_job_next(jobs[0]), JOB_READ);
    assert_int_equal(server_job_next(jobs[1]), JOB_READ);
    assert_int_equal(server_job_next(jobs[2]), JOB_DONE);
    assert_int_equal(server_job_reply(jobs[2])->status, 409);
    for (int i = 0; i < 3; i++) {
        server_job_free(jobs[i]);
    }
    raw_sync(&b->a, &r); /* written once, although the batch ran twice */
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    raw_sync(&b->b, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED); /* another entity: its own ids */
    assert_int_equal(raw_verdict(&r, 2).error, FB_E_EXISTS);
    raw_reply_clear(&r);
    raw_device_clear(&fork);
}

static void unchanged_device_is_answered_without_the_writer(void **state)
{
    bench *b = *state;
    raw_reply r;
    job_next next;
    raw_exchange(&b->a, &r); /* tells what it acked and settled */
    raw_reply_clear(&r);
    sync_request q = raw_request(&b->a);
    server_job *job = raw_prepare(&b->a, &q, &next);
    assert_int_equal(next, JOB_READ);
    server_job_free(job);
    b->w.now_ms += 60000; /* once a minute its contact is noted */
    job = raw_prepare(&b->a, &q, &next);
    assert_int_equal(next, JOB_WRITE);
    server_job_free(job);
}

static void idle_device_waits_until_something_is_there(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    job_next next;
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    sync_request q = raw_request(&b->a);
    q.wait_ms = 30000;
    server_job *job = raw_prepare(&b->a, &q, &next);
    assert_int_equal(next, JOB_READ);
    server_read(b->w.srv, b->w.reader, job);
    assert_int_equal(server_job_next(job), JOB_WAIT);
    assert_int_equal(server_job_wait_until_ms(job), b->w.now_ms + 30000);
    int64_t head = server_head(b->w.srv);
    raw_push_order(&b->b, "SO-A2-1", &RAW_GOOD, 0, &order);
    raw_exchange(&b->b, &r);
    raw_reply_clear(&r);
    assert_true(server_head(b->w.srv) > head);
    server_read(b->w.srv, b->w.reader, job);
    assert_int_equal(server_job_next(job), JOB_DONE);
    assert_int_equal(server_job_reply(job)->status, 200);
    server_job_free(job);
    job = raw_prepare(&b->a, &q, &next);
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    q = raw_request(&b->a);
    q.wait_ms = 30000;
    server_job_free(job);
    job = raw_prepare(&b->a, &q, &next);
    if (next == JOB_WRITE) {
        server_write(b->w.srv, &job, 1);
    }
    server_read(b->w.srv, b->w.reader, job);
    assert_int_equal(server_job_next(job), JOB_WAIT);
    b->w.now_ms += 30000;
    server_read(b->w.srv, b->w.reader, job); /* the time is over: an ordinary reply */
    assert_int_equal(server_job_next(job), JOB_DONE);
    server_job_free(job);
}

/* How a body may come and what it may unpack to, asked before a line of it is read. */
static void body_is_bounded_packed_and_unpacked(void **state)
{
    static const char OURS[] = "application/x-fieldbook";
    static const struct {
        const char *type, *encoding;
        size_t size; /* of empty lines, before they are packed */
        bool packed;
        fb_code code;
    } CASES[] = {
        {OURS, "", SYNC_BODY_UNPACKED_BYTES_MAX, false, FB_E_PROTOCOL},
        {OURS, "", SYNC_BODY_UNPACKED_BYTES_MAX + 1, false, FB_E_LIMIT},
        {OURS, "zstd", SYNC_BODY_UNPACKED_BYTES_MAX, true, FB_E_PROTOCOL},
        {OURS, "zstd", SYNC_BODY_UNPACKED_BYTES_MAX + 1, true, FB_E_LIMIT},
        {OURS, "zstd", SYNC_BODY_BYTES_MAX, false, FB_E_PROTOCOL},
        {OURS, "zstd", SYNC_BODY_BYTES_MAX + 1, false, FB_E_LIMIT},
        {OURS, "gzip", 1, false, FB_E_MEDIA},
        {"text/plain", "", 1, false, FB_E_MEDIA},
    };
    static char text[SYNC_BODY_UNPACKED_BYTES_MAX + 1];
    bench *b = *state;
    arena *memory = arena_new(1 << 20);
    buf packed, auth;
    memset(text, '\n', sizeof text);
    buf_init(&packed, 2 * sizeof text);
    buf_init(&auth, 256);
    buf_printf(&auth, "Fieldbook %s:", id_text(&b->a.id));
    hex_put(&auth, b->a.token.b, sizeof b->a.token.b);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fb_text body = {text, CASES[i].size};
        buf_reset(&packed);
        if (CASES[i].packed) {
            assert_int_equal(pack_put(&packed, body), FB_OK);
            body = buf_text(&packed);
        }
        const server_request q = {.method = text_of("POST"),
                                  .path = text_of("/v1/sync"),
                                  .authorization = buf_text(&auth),
                                  .content_type = text_of(CASES[i].type),
                                  .content_encoding = text_of(CASES[i].encoding),
                                  .peer = text_of("127.0.0.1"),
                                  .body = body};
        error_msg m = {.code = FB_OK};
        server_job *job = server_handle(b->w.srv, b->w.reader, &q);
        assert_int_equal(error_msg_get(server_job_reply(job)->body, memory, &m), FB_OK);
        assert_int_equal(m.code, CASES[i].code);
        server_job_free(job);
    }
    buf_clear(&packed);
    buf_clear(&auth);
    arena_free(memory);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(page_holds_nothing_outside_the_scopes),
        CASE(repeated_request_gets_the_same_verdicts),
        CASE(unreadable_group_does_not_block_the_next),
        CASE(identity_used_twice_is_rejected),
        CASE(restored_device_is_told_and_loses_nothing),
        CASE(refused_group_of_a_restored_device_waits_once),
        CASE(device_speaks_for_itself_alone),
        CASE(chain_that_differs_is_a_fork),
        CASE(verdicts_end_with_what_was_shown),
        CASE(gap_is_named),
        CASE(other_epoch_gets_a_reset_and_no_verdicts),
        CASE(crashing_group_is_held_after_its_attempts),
        CASE(blocked_device_is_turned_away),
        CASE(strange_requests_get_their_status),
        CASE(batch_is_answered_job_by_job),
        CASE(idle_device_waits_until_something_is_there),
        CASE(body_is_bounded_packed_and_unpacked),
        CASE(unchanged_device_is_answered_without_the_writer),
    };
    return cmocka_run_group_tests_name("server_device", tests, NULL, NULL);
}
