/* test_background.c - short windows and bad connections: every window makes durable progress, and
 * one synchronises at a time. Over a server and devices in memory; real processes are in
 * tests/server/test_two_processes.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/door/door.h"

#include <cmocka.h>

enum { LETS_THROUGH = 4096, GROUPS = 60 };

static fleet f;

typedef struct thin_link {
    fb_link inner;
    size_t bytes_max;      /* of one exchange, both ways together */
    uint64_t bytes_passed; /* in all, also of broken ones */
    int64_t chunk_bytes;   /* of packs, that arrived */
    int exchanges, broken;
} thin_link;

/* A connection that dies when it has carried so much: the server may or may not have heard. */
static fb_code thin_exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    thin_link *t = ctx;
    fb_link_response whole = {.status = 0};
    t->exchanges++;
    if (q->body.size > t->bytes_max) {
        t->bytes_passed += t->bytes_max;
        t->broken++;
        return FB_E_TIMEOUT;
    }
    fb_code rc = t->inner.exchange(t->inner.ctx, q, &whole);
    if (rc == FB_OK && q->body.size + whole.body.size > t->bytes_max) {
        t->bytes_passed += t->bytes_max;
        t->broken++;
        return FB_E_TRUNCATED;
    }
    t->bytes_passed += q->body.size + whole.body.size;
    t->chunk_bytes += strncmp(q->path, "/v1/pack/", 9) == 0 ? (int64_t)whole.body.size : 0;
    *out = whole;
    return rc;
}

static int setup(void **state)
{
    (void)state;
    f = (fleet){.vfs = NULL};
    fleet_open(&f);
    return 0;
}

static int setup_packs(void **state)
{
    (void)state;
    f = (fleet){.packing = {.rows_min = 20, .rest_ms = 1000, .age_ms = 1000}};
    fleet_open(&f);
    return 0;
}

/* What is said of so many chunks is more than 4 KB. */
static int setup_many_chunks(void **state)
{
    (void)state;
    f = (fleet){.packing = {.rows_min = 20, .chunk_bytes = 500, .rest_ms = 1000, .age_ms = 1000}};
    fleet_open(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static void talk(fleet_device *d, int number)
{
    /* Texts that do not pack: a group of about a kilobyte. */
    char subject[40];
    char content[900];
    uint64_t z = (uint64_t)number * 7919 + 1;
    for (size_t i = 0; i + 1 < sizeof content; i++) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        content[i] = (char)('!' + (z >> 33) % 90);
        content[i] = content[i] == '"' || content[i] == '\\' ? 'x' : content[i];
    }
    content[sizeof content - 1] = '\0';
    snprintf(subject, sizeof subject, "talk %d", number);
    fb_activity_options o = FB_ACTIVITY_OPTIONS_INIT;
    o.content = content;
    fleet_must(fb_activity_log(d->db, &f.customers[0], subject, &o, NULL, NULL), NULL, "talk");
}

static int64_t groups_left(fleet_device *d)
{
    fb_status st = FB_STATUS_INIT;
    fleet_must(fb_status_get(d->db, &st, NULL), NULL, "status");
    return st.pending_count;
}

/* One window of a background worker: a process of its own, so it knows only what the replica does.
 */
static void window(fleet_device *d, thin_link *thin, const fb_sync_options *o, fb_sync_report *r)
{
    fb_sync *sync = NULL;
    fb_link link = {thin, thin_exchange};
    fleet_reopen(d);
    fleet_must(fb_sync_open(d->db, o, &sync, NULL), NULL, "fb_sync_open");
    f.now_ms += 1000;
    (void)!fb_sync_step(sync, &link, 25000, r, NULL);
    fb_sync_close(sync);
}

static void window__makes_progress_through_four_kilobytes(void **state)
{
    (void)state;
    fb_sync_report r;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    thin_link thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH};
    for (int i = 0; i < GROUPS; i++) {
        talk(d, i);
    }
    int windows = 0;
    while (groups_left(d) > 0 && windows < 1000) {
        window(d, &thin, NULL, &r);
        windows++;
    }
    assert_int_equal(groups_left(d), 0);
    /* One group for each 4 KiB that got through, but for the first windows, which learn. */
    assert_true(thin.bytes_passed <= (uint64_t)(GROUPS + 16) * LETS_THROUGH);
    assert_int_equal(r.rebirths_count, 0);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(fleet_number(other, "SELECT count(*) FROM activity"), GROUPS);
}

static const char PACKS[] = "server/master.db.packs";

static int64_t number_in(const char *path, const char *sql)
{
    sql_db *db = NULL;
    bool row = false;
    fb_error err = {0};
    const sql_options o = {.vfs = "fleetfs"};
    fleet_must(sql_open(path, &o, &db, &err), &err, path);
    sql_stmt *q = sql_prepare(db, sql);
    fleet_must(sql_step(q, &row), NULL, sql);
    int64_t number = sql_int(q, 0);
    sql_close(db);
    return number;
}

static void windows_until_sent(fleet_device *d, thin_link *thin)
{
    fb_sync_report r;
    for (int windows = 0; groups_left(d) > 0 && windows < 300; windows++) {
        window(d, thin, NULL, &r);
    }
    assert_int_equal(groups_left(d), 0);
    assert_true(thin->bytes_passed <= (uint64_t)(GROUPS + 16) * LETS_THROUGH);
}

static void catalogue_grow(void)
{
    static const char MODULE[] =
        "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":"
        "\"fridge_no\",\"type\":\"text\",\"label\":{\"en\":\"Fridge\",\"zh\":\"冰柜\"}}]}]}";
    fb_error err = {0};
    fleet_must(door_catalog_grow(f.admin, text_of(MODULE), &f.port, &err), &err, "grow");
}

/* What the server would like to tell beside the verdicts is larger than all that gets through: a
 * catalogue that IT has changed. Work goes first; the catalogue comes over a better line. */
static void window__sends_groups_under_a_catalogue_that_has_changed(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    thin_link thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH};
    for (int i = 0; i < GROUPS; i++) {
        talk(d, i);
    }
    catalogue_grow();
    company_set(&f.company, "customer", &f.customers[0], PAIRS("fridge_no", "F-1"));
    windows_until_sent(d, &thin);
    fleet_sync(d);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE fridge_no='F-1'"), 1);
    fleet_must(fb_db_check(d->db, &err), &err, "check");
}

/* Nor does a digest that differs: its sums are 4 KB, and the rows of a bucket may be many. */
static void window__sends_groups_while_rows_are_wrong(void **state)
{
    enum { SHOPS = 400, BUCKET_THROUGH = 5000 }; /* the sums and the rows of one bucket */
    (void)state;
    fb_error err = {0};
    fb_sync_report r = {.complete = false};
    uint64_t rows = 0;
    sql_db *db = NULL;
    char code[16];
    for (int i = 0; i < SHOPS; i++) {
        snprintf(code, sizeof code, "K%d", i);
        company_add(&f.company, "customer",
                    PAIRS("code", code, "name", code, "territory_id", id_text(&f.territories[0])));
    }
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    thin_link thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH};
    fleet_must(sql_open(d->path, &(sql_options){.vfs = "fleetfs"}, &db, &err), &err, "tamper");
    fleet_must(
        sql_exec(db, "UPDATE customer SET name='wrong', ver=ver-1 WHERE code GLOB 'K1[0-3]*'"),
        NULL, "tamper");
    sql_close(db);
    f.now_ms += 86400000; /* the tables are counted */
    for (int i = 0; i < GROUPS; i++) {
        talk(d, i);
    }
    windows_until_sent(d, &thin);
    thin.bytes_max = BUCKET_THROUGH;
    for (int windows = 0; !r.complete && windows < 300; windows++) { /* bucket by bucket */
        window(d, &thin, NULL, &r);
        rows += r.rows_count;
    }
    assert_true(r.complete);
    assert_in_range(rows, 44, 2 * SHOPS); /* the wrong buckets, not everything anew */
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE name='wrong'"), 0);
    fleet_must(fb_db_check(d->db, &err), &err, "check");
}

static void window__downloads_through_four_kilobytes(void **state)
{
    (void)state;
    fb_sync_report r = {.complete = false};
    fleet_device *writer = fleet_device_add(&f, &f.users[0]);
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    thin_link thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH};
    for (int i = 0; i < GROUPS; i++) {
        talk(writer, i);
    }
    fleet_sync(writer);
    int windows = 0;
    while (!r.complete && windows < 300) {
        window(d, &thin, NULL, &r);
        windows++;
    }
    assert_true(r.complete);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), GROUPS);
}

typedef struct fetched {
    uint32_t offered, chunks, dropped;
    thin_link thin;
} fetched;

/* A first download of GROUPS rows that comes as packs, over 4 KB each time but for the offer. */
static void fetch_in_windows(fetched *out)
{
    fb_error err = {0};
    fb_sync_report r = {.complete = false};
    bool done = false;
    fleet_device *writer = fleet_device_add(&f, &f.users[0]);
    for (int i = 0; i < GROUPS; i++) {
        talk(writer, i);
    }
    fleet_sync(writer);
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    fleet_must(fleet_exchange(d, &done, &err), &err, "the offer");
    *out = (fetched){.offered = d->report.chunks_left,
                     .thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH}};
    assert_true(number_in(PACKS, "SELECT max(length(body)) FROM chunk") > 8 * LETS_THROUGH);
    for (int windows = 0; !r.complete && windows < 300; windows++) {
        window(d, &out->thin, NULL, &r);
        out->chunks += r.chunks_count;
        out->dropped += r.packs_dropped;
        out->thin.bytes_max =
            out->dropped > 0 ? SIZE_MAX : LETS_THROUGH; /* begins anew: all of it */
    }
    assert_true(r.complete);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), GROUPS);
    fleet_must(fb_db_check(d->db, &err), &err, "check");
}

/* A chunk cannot shrink: it is fetched in pieces, and none that came is fetched again. */
static void window__fetches_a_chunk_larger_than_what_gets_through(void **state)
{
    (void)state;
    enum { LEARNING = 16 };
    fetched got;
    fetch_in_windows(&got);
    int64_t bytes = number_in(PACKS, "SELECT sum(bytes) FROM pack");
    assert_int_equal(number_in(PACKS, "SELECT count(*) FROM chunk"), got.offered);
    assert_int_equal(got.chunks, got.offered);
    assert_int_equal(got.dropped, 0);
    assert_int_equal(got.thin.chunk_bytes, bytes);
    assert_true(got.thin.bytes_passed <= (uint64_t)bytes + LEARNING * LETS_THROUGH);
}

static void spoil_a_piece(void *ctx, const fb_link_request *q, fb_link_response *r)
{
    enum { NUMBER = 5 };
    int *pieces = ctx;
    if (r->body.size > 0 && strncmp(q->path, "/v1/pack/", 9) == 0 && ++*pieces == NUMBER) {
        ((char *)(uintptr_t)r->body.data)[0] ^= 1;
    }
}

/* PAK-1, PAK-3 */
static void window__gets_around_a_damaged_piece(void **state)
{
    (void)state;
    int pieces = 0;
    fetched got;
    f.answered = spoil_a_piece;
    f.answered_ctx = &pieces;
    fetch_in_windows(&got);
    assert_int_equal(got.dropped, 1);
}

/* Nor do packs that are offered stand before work: here the server does not know the token. */
static void window__sends_groups_while_packs_are_offered(void **state)
{
    (void)state;
    fb_error err = {0};
    fb_sync_report r = {.complete = false};
    sql_db *db = NULL;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fleet_device *writer = fleet_device_add(&f, &f.users[0]);
    for (int i = 0; i < 2 * GROUPS; i++) {
        talk(writer, GROUPS + i);
    }
    fleet_sync(writer);
    fleet_build(&f);
    for (int i = 0; i < GROUPS; i++) {
        talk(d, i);
    }
    fleet_must(sql_open(d->path, &(sql_options){.vfs = "fleetfs"}, &db, &err), &err, "token");
    fleet_must(sql_exec(db, "UPDATE fb_meta SET value='another' WHERE key='token'"), NULL, "token");
    sql_close(db);
    thin_link thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH};
    windows_until_sent(d, &thin);
    for (int windows = 0; !r.complete && windows < 300; windows++) {
        window(d, &thin, NULL, &r);
    }
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), 3 * GROUPS);
    fleet_must(fb_db_check(d->db, &err), &err, "check");
}

/* Nor does the catalogue of a server that is met anew, which has to come before any row does. */
static void window__sends_groups_to_a_restored_server(void **state)
{
    static const char FRIDGE_COLUMNS[] =
        "SELECT count(*) FROM pragma_table_info('customer') WHERE name='fridge_no'";
    (void)state;
    fb_error err = {0};
    int64_t commit = 0;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    thin_link thin = {.inner = fleet_link(d), .bytes_max = LETS_THROUGH};
    fleet_server_stop(&f);
    crash_vfs_copy(f.vfs, "server", "backup");
    fleet_server_start(&f);
    catalogue_grow(); /* the backup lacks it */
    fleet_sync(d);
    assert_int_equal(number_in(d->path, FRIDGE_COLUMNS), 1);
    for (int i = 0; i < GROUPS; i++) {
        talk(d, i);
    }
    fleet_server_stop(&f);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "backup", "server");
    server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    fleet_server_start(&f);
    windows_until_sent(d, &thin);
    fleet_sync(d);
    assert_int_equal(number_in(d->path, FRIDGE_COLUMNS), 0);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), GROUPS);
    fleet_must(fb_db_check(d->db, &err), &err, "check");
}

static void budget__of_bytes_ends_a_step_and_says_what_is_left(void **state)
{
    (void)state;
    fb_sync_report r;
    fb_sync_options o = FB_SYNC_OPTIONS_INIT;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    thin_link wide = {.inner = fleet_link(d), .bytes_max = SIZE_MAX};
    for (int i = 0; i < GROUPS; i++) {
        talk(d, i);
    }
    o.budget_bytes = 8192;
    window(d, &wide, &o, &r);
    assert_false(r.complete);
    assert_true(r.groups_left > 0 && r.groups_left < GROUPS);
    assert_int_equal(r.groups_left, groups_left(d));
    assert_true(r.bytes_up + r.bytes_down < 2 * o.budget_bytes);
    assert_int_equal(r.budget_bytes_left, 0);
    o.budget_bytes = 0;
    window(d, &wide, &o, &r);
    assert_true(r.complete);
    assert_int_equal(r.groups_left, 0);
}

/* SES-4 */
/* One try of a handle that stays open, as an app's does; the bytes that came down. */
static size_t try_again(fb_sync *sync, fleet_device *d, fb_code *code)
{
    fb_sync_action action;
    fb_link_request q;
    fb_link_response r;
    fb_link link = fleet_link(d);
    uint32_t wait_ms = 0;
    f.now_ms += 16 * 60000;
    fleet_must(fb_sync_next(sync, &action, &q, &wait_ms, NULL), NULL, "fb_sync_next");
    assert_int_equal(action, FB_SYNC_SEND);
    fleet_must(link.exchange(link.ctx, &q, &r), NULL, "exchange");
    *code = fb_sync_reply(sync, &r, NULL);
    return r.body.size;
}

/* In the field: a phone that was full for three days had downloaded the same page 400 times. */
static void full_disk__does_not_pay_for_the_same_page_again(void **state)
{
    (void)state;
    enum { TRIES = 12 };
    fb_code rc = FB_OK;
    fb_sync *sync = NULL;
    fleet_device *writer = fleet_device_add(&f, &f.users[0]);
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    for (int i = 0; i < GROUPS; i++) {
        talk(writer, i);
    }
    fleet_sync(writer);
    fleet_must(fb_sync_open(d->db, NULL, &sync, NULL), NULL, "fb_sync_open");
    crash_vfs_fail(f.vfs, "dev2", 1, SQLITE_FULL, true);
    size_t first = try_again(sync, d, &rc), later = 0;
    assert_int_equal(rc, FB_E_DISK_FULL);
    for (int i = 0; i < TRIES; i++) {
        later += try_again(sync, d, &rc);
        assert_int_equal(rc, FB_E_DISK_FULL);
    }
    assert_true(later < 2 * first); /* a dozen tries for less than two of the first kind */
    crash_vfs_fail(f.vfs, "dev2", 0, SQLITE_OK, false);
    fb_sync_close(sync);
    fleet_sync(d);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), GROUPS);
}

typedef struct answer_kept {
    fb_link inner;
    fb_link_response r;
    buf body;
    bool instead; /* of the server's */
} answer_kept;

static fb_code kept_exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    answer_kept *k = ctx;
    if (k->instead) {
        *out = k->r;
        return FB_OK;
    }
    fb_code rc = k->inner.exchange(k->inner.ctx, q, out);
    buf_reset(&k->body);
    buf_put(&k->body, out->body.data, out->body.size);
    k->r = *out;
    k->r.body = buf_text(&k->body);
    return rc;
}

static fb_code kept_sync(fleet_device *d, answer_kept *k, fb_error *err)
{
    fb_sync *sync = NULL;
    fb_sync_report r;
    fb_link link = {k, kept_exchange};
    k->inner = fleet_link(d);
    f.now_ms += 60000;
    fleet_must(fb_sync_open(d->db, NULL, &sync, NULL), NULL, "fb_sync_open");
    fb_code rc = fb_sync_step(sync, &link, 0, &r, err);
    fb_sync_close(sync);
    return rc;
}

/* The simulator's seed 6: the power failed over an answer, the device fell back to the state before
 * the answer before it, and a proxy gave it the lost one again: what came between the two was
 * missing. Here another device of the same person stands for the state before. */
static void answer__counts_for_the_state_that_asked_alone(void **state)
{
    (void)state;
    fb_error err = {0};
    answer_kept k = {.instead = false};
    buf_init(&k.body, 1 << 20);
    fleet_device *writer = fleet_device_add(&f, &f.users[0]);
    fleet_device *ahead = fleet_device_add(&f, &f.users[0]);
    fleet_device *behind = fleet_device_add(&f, &f.users[0]);
    talk(writer, 1);
    fleet_sync(writer);
    fleet_sync(ahead);
    talk(writer, 2);
    fleet_sync(writer);
    fleet_must(kept_sync(ahead, &k, &err), &err, "sync");
    assert_int_equal(fleet_number(ahead, "SELECT count(*) FROM activity"), 2);
    k.instead = true;
    assert_int_equal(kept_sync(behind, &k, &err), FB_E_PROTOCOL);
    assert_string_equal(err.field, "of");
    assert_int_equal(fleet_number(behind, "SELECT count(*) FROM activity"), 0);
    fleet_sync(behind);
    assert_int_equal(fleet_number(behind, "SELECT count(*) FROM activity"), 2);
    buf_clear(&k.body);
}

static void two_handles__do_not_synchronise_at_once(void **state)
{
    (void)state;
    fb_db *db = NULL;
    fb_sync *first = NULL;
    fb_sync *second = NULL;
    fb_sync_report r;
    fb_error err = {0};
    fb_sync_action action;
    fb_link_request request;
    uint32_t wait_ms = 0;
    fb_db_options o = FB_DB_OPTIONS_INIT;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fb_link link = fleet_link(d);
    talk(d, 1);
    o.port = &d->port;
    o.vfs = "fleetfs";
    fleet_must(fb_db_open(d->path, &o, &db, &err), &err, "second handle");
    fleet_must(fb_sync_open(d->db, NULL, &first, &err), &err, "first");
    fleet_must(fb_sync_open(db, NULL, &second, &err), &err, "second");
    fleet_must(fb_sync_next(first, &action, &request, &wait_ms, &err), &err, "next");
    assert_int_equal(action, FB_SYNC_SEND);
    assert_int_equal(fb_sync_step(second, &link, 0, &r, &err), FB_E_BUSY);
    assert_true(r.crowded);
    assert_string_equal(err.field, "device");
    assert_int_equal(fb_task_add(db, "saved meanwhile", NULL, NULL, &err), FB_OK);
    fleet_must(fb_sync_failed(first, FB_E_OFFLINE, &err), &err, "failed");
    fleet_must(fb_sync_step(second, &link, 0, &r, &err), &err, "now");
    assert_true(r.complete && !r.crowded);
    fb_sync_close(first);
    fb_sync_close(second);
    fb_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST_WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST(name) TEST_WITH(setup, name)
        TEST(window__makes_progress_through_four_kilobytes),
        TEST(window__sends_groups_under_a_catalogue_that_has_changed),
        TEST(window__sends_groups_while_rows_are_wrong),
        TEST(window__downloads_through_four_kilobytes),
        TEST_WITH(setup_packs, window__fetches_a_chunk_larger_than_what_gets_through),
        TEST_WITH(setup_packs, window__gets_around_a_damaged_piece),
        TEST_WITH(setup_many_chunks, window__sends_groups_while_packs_are_offered),
        TEST(window__sends_groups_to_a_restored_server),
        TEST(budget__of_bytes_ends_a_step_and_says_what_is_left),
        TEST(full_disk__does_not_pay_for_the_same_page_again),
        TEST(answer__counts_for_the_state_that_asked_alone),
        TEST(two_handles__do_not_synchronise_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
