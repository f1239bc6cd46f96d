/* test_packs.c - row packs from the builder to the screen: what a device shows after a download in
 * packs is what pages would have shown, whatever happens on the way. Over a server and devices in
 * memory; tests/sim does the same at random.
 *
 * The measure is always the same: two replicas of the same person hold the same rows, and one of
 * them never saw a pack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/door/door.h"
#include "sync-server/feed/feed.h"
#include "sync/push.h"
#include "wire/pack.h"

#include <cmocka.h>

enum { CUSTOMERS = 60, EXCHANGES_MAX = 400 };

static fleet f;
static fb_id customers[CUSTOMERS];
static char why[200];

static const char *numbered(const char *letter, int n)
{
    static char room[4][32];
    static int at;
    char *out = room[at++ % 4];
    snprintf(out, sizeof room[0], "%s%d", letter, n);
    return out;
}

static int setup(void **state)
{
    (void)state;
    f = (fleet){.packing = {.rows_min = 20, .chunk_bytes = 3000, .rest_ms = 1000, .age_ms = 1000}};
    fleet_open(&f);
    for (int i = 0; i < CUSTOMERS; i++) {
        customers[i] = company_add(&f.company, "customer",
                                   PAIRS("code", numbered("K", i), "name", numbered("name ", i),
                                         "party_type", "customer", "status", "active",
                                         "territory_id", id_text(&f.territories[0])));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

/* Everything two replicas show, table by table: the same rows at the same versions. */
static void assert_same(fleet_device *a, fleet_device *b)
{
    static const char *const TABLES[] = {"customer",   "app_user", "role_permission", "setting",
                                         "org_unit",   "activity", "territory",       "product",
                                         "enum_value", "role"};
    for (size_t i = 0; i < sizeof TABLES / sizeof TABLES[0]; i++) {
        static const char *const ASKED[] = {"count(*)", "coalesce(sum(ver % 1000003), 0)",
                                            "coalesce(max(ver), 0)"};
        for (size_t n = 0; n < 3; n++) {
            char sql[128];
            snprintf(sql, sizeof sql, "SELECT %s FROM %s", ASKED[n], TABLES[i]);
            if (fleet_number(a, sql) != fleet_number(b, sql)) {
                fail_msg("%s: %lld and %lld", sql, (long long)fleet_number(a, sql),
                         (long long)fleet_number(b, sql));
            }
        }
    }
}

/* Exchanges until nothing is left; the number of chunks that came. */
static uint32_t download(fleet_device *d)
{
    uint32_t chunks = 0;
    bool done = false;
    for (int i = 0; !done; i++) {
        fb_error err = {0};
        fb_code rc = fleet_exchange(d, &done, &err);
        if (rc != FB_OK) {
            snprintf(why, sizeof why, "%s: %s", fb_code_name(rc), err.message);
        }
        chunks += d->report.chunks_count;
        if (i > EXCHANGES_MAX) {
            fail_msg("the device is stuck: %s", why);
        }
    }
    return chunks;
}

/* A device that never saw a pack. */
static fleet_device *by_pages(const fb_id *user)
{
    f.packing.rows_min = 0;
    fleet_device *d = fleet_device_new(&f, user);
    fb_error err = {0};
    sql_db *db = NULL;
    const sql_options o = {.vfs = "fleetfs"};
    fleet_must(sql_open(d->path, &o, &db, &err), &err, "sql_open");
    fleet_must(sql_exec(db, "INSERT INTO fb_meta (key, value) VALUES ('packs_failed', 3)"), NULL,
               "packs_failed");
    sql_close(db);
    assert_int_equal(download(d), 0);
    return d;
}

static int64_t packs_number(const char *sql)
{
    fb_error err = {0};
    sql_db *db = NULL;
    bool row = false;
    const sql_options o = {.vfs = "fleetfs"};
    fleet_must(sql_open("server/master.db.packs", &o, &db, &err), &err, "packs");
    sql_stmt *s = sql_prepare(db, sql);
    assert_non_null(s);
    fleet_must(sql_step(s, &row), NULL, sql);
    int64_t v = row ? sql_int(s, 0) : -1;
    sql_close(db);
    return v;
}

static void packs_run(const char *sql)
{
    fb_error err = {0};
    sql_db *db = NULL;
    const sql_options o = {.vfs = "fleetfs"};
    fleet_must(sql_open("server/master.db.packs", &o, &db, &err), &err, "packs");
    fleet_must(sql_exec(db, sql), NULL, sql);
    sql_close(db);
}

static void customer_rename(int i, const char *name)
{
    company_set(&f.company, "customer", &customers[i], PAIRS("name", name));
}

static void move_to_second_territory(int i)
{
    company_set(&f.company, "customer", &customers[i],
                PAIRS("territory_id", id_text(&f.territories[1])));
}

static void packs__a_first_download_comes_as_packs(void **state)
{
    (void)state;
    fleet_build(&f);
    assert_true(packs_number("SELECT count(*) FROM pack WHERE name IS NOT NULL") >= 2);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    uint32_t chunks = download(d);
    assert_true(chunks > 5);
    assert_same(d, by_pages(&f.users[0]));
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer"), CUSTOMERS + 1);
    /* every chunk is asked for once, and the next sync is an everyday one */
    customer_rename(3, "renamed");
    assert_int_equal(download(d), 0);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE name='renamed'"), 1);
}

/* What the person is told of the download, after a restart too. */
static void is_under_way(fleet_device *d, int64_t here, int64_t left)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    assert_int_equal(s.chunks_count, here);
    assert_int_equal(s.chunks_left, left);
}

static void packs__what_came_after_them_follows_as_pages(void **state)
{
    (void)state;
    fleet_build(&f);
    customer_rename(1, "later");
    company_add(&f.company, "customer",
                PAIRS("code", "N1", "name", "new", "party_type", "customer", "status", "active",
                      "territory_id", id_text(&f.territories[0])));
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    assert_true(d->report.chunks_left > 3);
    int64_t all = d->report.chunks_left;
    is_under_way(d, 0, all);
    /* in the middle of the download rows change, leave and go */
    fleet_must(fleet_exchange(d, &done, &err), &err, "chunk");
    fleet_reopen(d);
    is_under_way(d, 1, all - 1);
    customer_rename(2, "in the middle");
    move_to_second_territory(4);
    company_delete(&f.company, "customer", &customers[5]);
    assert_true(download(d) > 3);
    is_under_way(d, 0, 0);
    assert_same(d, by_pages(&f.users[0]));
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer"), CUSTOMERS + 2 - 2);
    assert_int_equal(
        fleet_number(d, "SELECT count(*) FROM customer WHERE name IN ('later', 'in the middle')"),
        2);
}

/* FED-6: the person may not have been in the scope when the row was. */
static void packs__are_not_offered_when_a_row_has_left_since(void **state)
{
    (void)state;
    fleet_build(&f);
    move_to_second_territory(4);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    int64_t of_territory = packs_number("SELECT chunks FROM pack WHERE scope <> 1 LIMIT 1");
    assert_true(of_territory > 0);
    assert_int_equal(d->report.chunks_left,
                     packs_number("SELECT sum(chunks) FROM pack WHERE scope = 1"));
    download(d);
    assert_same(d, by_pages(&f.users[0]));
    fleet_build(&f);
    fleet_device *e = fleet_device_new(&f, &f.users[0]);
    fleet_must(fleet_exchange(e, &done, &err), &err, "offer");
    assert_true(e->report.chunks_left > d->report.chunks_left);
    download(e);
    assert_same(d, e);
}

/* Killed after every exchange: what came stays, and is not asked for again. */
static void packs__a_download_goes_on_where_it_was_killed(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    uint32_t chunks = 0;
    bool done = false;
    fb_error err = {0};
    int64_t wanted = packs_number("SELECT sum(chunks) FROM pack");
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
        chunks += d->report.chunks_count;
        fleet_device_reopen(d);
    }
    assert_true(done);
    assert_int_equal(chunks, wanted);
    assert_same(d, by_pages(&f.users[0]));
}

/* The machine loses its power after each exchange: relaxed transactions may be gone, nothing else.
 */
static void packs__a_download_survives_power_losses(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
        if (i % 3 == 1) {
            crash_vfs_crash(f.vfs, "dev1");
            fb_db_close(d->db);
            d->db = NULL;
            crash_vfs_reboot(f.vfs, "dev1");
            fb_db_options o = FB_DB_OPTIONS_INIT;
            o.port = &d->port;
            o.vfs = "fleetfs";
            fleet_must(fb_db_open(d->path, &o, &d->db, &err), &err, "open after the crash");
        }
        if (i > 40) { /* it would lose every third chunk for ever */
            download(d);
            done = true;
        }
    }
    assert_true(done);
    assert_same(d, by_pages(&f.users[0]));
}

static void packs__own_work_goes_first_and_stays_on_top(void **state)
{
    (void)state;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fleet_build(&f);
    fb_error err = {0};
    bool done = false;
    fleet_must(fb_activity_log(d->db, &customers[1], "before", NULL, NULL, &err), &err, "log");
    /* away for too long: its token is refused */
    move_to_second_territory(7);
    int64_t head = 0;
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(ledger_head(f.admin, &head), NULL, "head");
    fleet_must(feed_horizon_set(f.admin, (head + 1) << 20), NULL, "horizon");
    fleet_must(store_commit(f.admin), NULL, "commit");
    customer_rename(1, "a commit behind the horizon");
    fleet_build(&f);
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    assert_int_equal(d->report.groups_sent, 1);
    assert_true(d->report.chunks_left > 3);
    fleet_must(fleet_exchange(d, &done, &err), &err, "chunk");
    fleet_must(fb_activity_log(d->db, &customers[2], "between", NULL, NULL, &err), &err, "log");
    fleet_must(fleet_exchange(d, &done, &err), &err, "groups");
    assert_int_equal(d->report.groups_sent, 1); /* it did not wait for the chunks */
    assert_false(done);
    fleet_must(fb_activity_log(d->db, &customers[3], "pending", NULL, NULL, &err), &err, "log");
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), 3);
    download(d);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), 3);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer"), CUSTOMERS);
    assert_same(d, by_pages(&f.users[0]));
}

/* Another process of the phone sent all that waited: what is asked in between are verdicts alone,
 * and nobody waits for them while chunks are missing. */
static void packs__who_misses_chunks_waits_for_nothing_else(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    fb_error err = {0};
    bool done = false;
    replica *r = NULL;
    push_request out;
    buf body;
    const push_plan plan = {.wait_ms = 5};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    assert_true(d->report.chunks_left > 0);
    const replica_options o = {.path = d->path, .port = &d->port, .vfs = "fleetfs"};
    fleet_must(replica_open(&o, &r, &err), &err, "replica_open");
    buf_init(&body, 4 << 20);
    fleet_must(push_build(r, &plan, &body, &out, &err), &err, "push_build");
    assert_true(out.groups_count == 0 && out.wait_ms == 0);
    replica_close(r);
    download(d);
    fleet_must(replica_open(&o, &r, &err), &err, "replica_open");
    fleet_must(push_build(r, &plan, &body, &out, &err), &err, "push_build");
    assert_true(out.groups_count == 0 && out.wait_ms == 5);
    replica_close(r);
    buf_clear(&body);
}

/* ---- what is wrong is dropped, told, and got around ---- */

typedef struct spoiler {
    buf body;
    int chunks, spoiled, every, status;
    size_t cut;
} spoiler;

static void spoil(void *ctx, const fb_link_request *q, fb_link_response *r)
{
    spoiler *s = ctx;
    if (strncmp(q->path, "/v1/pack/", 9) != 0 || r->status != 200 || ++s->chunks % s->every != 0) {
        return;
    }
    buf_reset(&s->body);
    buf_put_text(&s->body, r->body);
    s->body.data[s->body.size / 2] ^= 1;
    s->body.size -= s->cut;
    r->body = buf_text(&s->body);
    s->spoiled++;
}

static void spoil_and_download(spoiler *s)
{
    uint32_t dropped = 0;
    bool done = false;
    buf_init(&s->body, 1 << 20);
    f.answered = spoil;
    f.answered_ctx = s;
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fb_error err = {0};
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
        dropped += d->report.packs_dropped;
    }
    f.answered = NULL;
    buf_clear(&s->body);
    assert_true(done);
    assert_int_equal(s->spoiled, dropped); /* every one was noticed and told */
    assert_same(d, by_pages(&f.users[0]));
}

static void packs__a_damaged_chunk_is_dropped_and_got_around(void **state)
{
    (void)state;
    fleet_build(&f);
    spoiler once = {.every = 7};
    spoil_and_download(&once);
    assert_in_range(once.spoiled, 1, 3);
    spoiler always = {.every = 1};
    spoil_and_download(&always);
    assert_int_equal(always.spoiled, 3); /* then it came as pages */
    spoiler cut = {.every = 1, .cut = 1};
    spoil_and_download(&cut);
    assert_int_equal(cut.spoiled, 3);
}

static void assert_gets_around(const char *damage, uint32_t dropped_least)
{
    fleet_build(&f);
    packs_run(damage);
    uint32_t dropped = 0;
    bool done = false;
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fb_error err = {0};
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
        dropped += d->report.packs_dropped;
    }
    assert_true(done);
    assert_in_range(dropped, dropped_least, 3);
    assert_same(d, by_pages(&f.users[0]));
}

static void packs__a_forged_manifest_is_refused(void **state)
{
    (void)state;
    assert_gets_around("UPDATE pack SET manifest=replace(manifest, '\"cat\":1', '\"cat\":2')", 3);
    packs_run("DELETE FROM pack");
    assert_gets_around("UPDATE pack SET sig=zeroblob(64)", 3);
}

/* The damage below makes of a chunk nothing but zeros. */
static void look_for_zeros(void *ctx, const fb_link_request *q, fb_link_response *r)
{
    static const char ZEROS[64];
    *(bool *)ctx |= strncmp(q->path, "/v1/pack/", 9) == 0 && r->status == 200 &&
                    r->body.size >= sizeof ZEROS && memcmp(r->body.data, ZEROS, sizeof ZEROS) == 0;
}

static void packs__the_server_serves_no_damaged_chunk(void **state)
{
    bool served = false;
    (void)state;
    f.answered = look_for_zeros;
    f.answered_ctx = &served;
    assert_gets_around("UPDATE chunk SET body=zeroblob(length(body)) WHERE n=2", 1);
    f.answered = NULL;
    assert_false(served);
    assert_gets_around("DELETE FROM chunk WHERE n=3", 1);
    assert_gets_around("UPDATE pack SET epoch=zeroblob(16)", 0);
}

/* What a chunk holds is read at its promotion: a server that packs nonsense must not stop a device.
 */
static void packs__rows_that_cannot_be_read_are_got_around(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    while (d->report.chunks_left != 1) {
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
    }
    sql_db *db = NULL;
    const sql_options o = {.vfs = "fleetfs"};
    fleet_must(sql_open(d->path, &o, &db, &err), &err, "sql_open");
    fleet_must(sql_exec(db, "UPDATE fb_stage SET body=zeroblob(10) WHERE n=3"), NULL, "damage");
    sql_close(db);
    fb_code first = FB_OK;
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fb_code rc = fleet_exchange(d, &done, &err);
        first = first == FB_OK ? rc : first;
    }
    assert_int_not_equal(first, FB_OK); /* told */
    assert_true(done);
    assert_same(d, by_pages(&f.users[0]));
}

static fb_code membership_take(void *ctx, const fb_value *values)
{
    *(fb_id *)ctx = values[0].u.id;
    return FB_OK;
}

static void membership_end(const fb_id *user)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), "user_territory");
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *user};
    fb_id membership = {{0}};
    arena *memory = arena_new(1 << 20);
    fleet_must(store_rows_by(f.admin, e, cat_column_str(e, "user_id"), &key, memory,
                             membership_take, &membership),
               NULL, "membership");
    arena_free(memory);
    company_delete(&f.company, "user_territory", &membership);
}

static void packs__who_left_the_scope_gets_no_further_chunk(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    fleet_must(fleet_exchange(d, &done, &err), &err, "chunk");
    membership_end(&f.users[0]);
    uint32_t dropped = 0;
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
        dropped += d->report.packs_dropped;
    }
    assert_true(done);
    assert_int_equal(dropped, 1);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer"), 0);
    assert_same(d, by_pages(&f.users[0]));
}

/* Scopes change while the rest is being filled: the set of the token is not the device's any more.
 */
static void packs__new_scopes_in_the_middle_are_filled(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    company_add(&f.company, "user_territory",
                PAIRS("user_id", id_text(&f.users[0]), "territory_id", id_text(&f.territories[1])));
    download(d);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer"), CUSTOMERS + 2);
    assert_same(d, by_pages(&f.users[0]));
}

static void packs__a_newer_pack_does_not_disturb_a_download(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    fleet_must(fleet_exchange(d, &done, &err), &err, "chunk");
    move_to_second_territory(9);
    fleet_build(&f);
    assert_true(packs_number("SELECT count(*) FROM pack WHERE scope=(SELECT scope FROM pack"
                             " GROUP BY scope HAVING count(*)=2)") == 2);
    uint32_t chunks = download(d);
    assert_int_equal(d->report.packs_dropped, 0);
    assert_true(chunks > 3);
    assert_same(d, by_pages(&f.users[0]));
    /* two generations later its pack is gone */
    fleet_device *e = fleet_device_new(&f, &f.users[0]);
    fleet_must(fleet_exchange(e, &done, &err), &err, "offer");
    for (int i = 10; i < 13; i++) {
        move_to_second_territory(i);
        company_set(&f.company, "product", &f.product, PAIRS("name", numbered("p", i)));
        fleet_build(&f);
    }
    download(e);
    assert_same(e, by_pages(&f.users[0]));
}

static void packs_delete(void)
{
    fleet_server_stop(&f);
    fleet_must(sql_remove("server/master.db.packs", "fleetfs"), NULL, "remove");
    fleet_server_start(&f);
}

/* PAK-5: two processes on one phone; the other one began anew, with other packs. */
static void packs__another_process_began_anew(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    fleet_must(fleet_exchange(d, &done, &err), &err, "chunk");
    packs_delete();
    customer_rename(1, "later");
    fleet_build(&f);
    fb_db *first = d->db;
    fleet_open_again(d);
    fleet_must(fleet_exchange(d, &done, &err), &err, "a chunk that is gone");
    assert_int_equal(d->report.packs_dropped, 1);
    fleet_must(fleet_exchange(d, &done, &err), &err, "another offer");
    int64_t all = d->report.chunks_left;
    fleet_must(fleet_exchange(d, &done, &err), &err, "its chunk");
    fb_db_close(d->db);
    d->db = first;
    fleet_must(fleet_exchange(d, &done, &err), &err, "the next chunk");
    assert_int_equal(d->report.packs_dropped, 0);
    is_under_way(d, 2, all - 2);
    download(d);
    assert_same(d, by_pages(&f.users[0]));
}

static void packs__of_an_earlier_epoch_are_dropped_on_both_sides(void **state)
{
    (void)state;
    fleet_build(&f);
    int64_t commit = 0;
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    fleet_must(fleet_exchange(d, &done, &err), &err, "chunk");
    fleet_server_stop(&f);
    server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    fleet_server_start(&f);
    assert_true(packs_number("SELECT count(*) FROM pack") > 0); /* nobody looked at them yet */
    fleet_must(fleet_exchange(d, &done, &err), &err, "a chunk of the old epoch");
    assert_int_equal(d->report.packs_dropped, 1);
    fleet_must(fleet_exchange(d, &done, &err), &err, "the new epoch");
    assert_true(d->report.epoch_changed);
    assert_int_equal(d->report.chunks_left, 0);
    assert_int_equal(download(d), 0);
    fleet_build(&f);
    assert_int_equal(packs_number("SELECT count(DISTINCT epoch) FROM pack"), 1);
    fleet_device *e = fleet_device_new(&f, &f.users[0]);
    assert_true(download(e) > 3);
    assert_same(d, e);
}

/* Somebody else answers: the same company, another key under the manifests. */
static void another_key_signs(bool in_a_new_epoch)
{
    int64_t commit = 0;
    fb_error err = {0};
    sql_db *db = NULL;
    const sql_options o = {.vfs = "fleetfs"};
    const server_epoch_options next = {
        .path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_server_stop(&f);
    fleet_must(sql_open("server/master.db", &o, &db, &err), &err, "master");
    fleet_must(sql_exec(db, "UPDATE fs_meta SET value=CAST(substr(value, 2)||x'07' AS BLOB) WHERE "
                            "key='sign_key'"),
               NULL, "another key");
    sql_close(db);
    fleet_must(sql_remove("server/master.db.packs", "fleetfs"), NULL, "remove");
    if (in_a_new_epoch) {
        fleet_must(server_epoch_new(&next, &commit, &err), &err, "server_epoch_new");
    }
    fleet_server_start(&f);
    fleet_build(&f);
    assert_true(packs_number("SELECT count(*) FROM pack") > 0);
}

/* PAK-4, and PAK-3: the rows come all the same. */
static void packs__of_another_key_are_refused_until_enrolled_anew(void **state)
{
    (void)state;
    for (int in_a_new_epoch = 0; in_a_new_epoch < 2; in_a_new_epoch++) {
        fb_error err = {0};
        bool done = false;
        int64_t dropped = 0;
        fleet_device *d = fleet_device_new(&f, &f.users[0]);
        another_key_signs(in_a_new_epoch);
        for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
            fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
            assert_int_equal(d->report.chunks_count, 0);
            dropped += d->report.packs_dropped;
        }
        assert_true(done && dropped >= 3);
        fleet_must(fleet_enrol_again(d, &f.users[0], &err), &err, "enrol again");
        assert_true(download(d) > 3);
    }
}

/* An older server says no key: what it would sign is not asked for. */
static void key_cut(void *ctx, const fb_link_request *q, fb_link_response *r)
{
    static buf plain;
    static const char NAME[] = ",\"pack_key\":\"";
    (void)ctx;
    if (strcmp(q->path, "/v1/enrol") != 0) {
        return;
    }
    buf_clear(&plain);
    buf_init(&plain, 1 << 16);
    if (r->zstd) {
        fleet_must(pack_get(&plain, r->body, 1 << 16), NULL, "unpack");
    } else {
        buf_put_text(&plain, r->body);
    }
    char *at = memmem(plain.data, plain.size, NAME, sizeof NAME - 1);
    assert_non_null(at);
    size_t cut = sizeof NAME - 1 + 2 * SIGN_BYTES + 1;
    memmove(at, at + cut, (size_t)((char *)plain.data + plain.size - at) - cut);
    plain.size -= cut;
    r->body = buf_text(&plain);
    r->zstd = false;
}

static void packs__are_not_asked_for_without_a_key(void **state)
{
    (void)state;
    fleet_build(&f);
    f.answered = key_cut;
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    f.answered = NULL;
    assert_int_equal(download(d), 0);
    assert_int_equal(d->report.packs_dropped, 0);
    assert_same(d, by_pages(&f.users[0]));
}

/* The file may go at any time, also while it is served from. */
static void packs__may_be_deleted_or_damaged_at_any_time(void **state)
{
    (void)state;
    fleet_build(&f);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    bool done = false;
    fb_error err = {0};
    fleet_must(fleet_exchange(d, &done, &err), &err, "offer");
    packs_delete();
    assert_int_equal(download(d), 0);
    fleet_build(&f);
    fleet_device *e = fleet_device_new(&f, &f.users[0]);
    assert_true(download(e) > 3);
    assert_same(d, e);
    fleet_server_stop(&f);
    fleet_must(sql_remove("server/master.db.packs", "fleetfs"), NULL, "remove");
    crash_vfs_put(f.vfs, "server/master.db.packs", "this is no database, but it is long enough",
                  42);
    fleet_server_start(&f);
    fleet_device *g = fleet_device_new(&f, &f.users[0]);
    assert_int_equal(download(g), 0);
    fleet_build(&f);
    assert_true(packs_number("SELECT count(*) FROM pack") > 0);
    assert_same(d, g);
}

static void packs__are_made_anew_for_a_newer_catalogue(void **state)
{
    (void)state;
    static const char MODULE[] =
        "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":"
        "[{\"name\":\"shelf\",\"type\":\"text\",\"policy\":\"LWW\",\"label\":{\"en\":\"Shelf\","
        "\"zh\":\"货架\"}}]}]}";
    fb_error err = {0};
    fleet_build(&f);
    fleet_must(door_catalog_grow(f.admin, text_of(MODULE), &f.port, &err), &err, "grow");
    customer_rename(3, "after");
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    assert_int_equal(download(d), 0); /* the packs lack the column */
    fleet_build(&f);
    fleet_device *e = fleet_device_new(&f, &f.users[0]);
    assert_true(download(e) > 3);
    assert_same(d, e);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(packs__a_first_download_comes_as_packs),
        TEST(packs__what_came_after_them_follows_as_pages),
        TEST(packs__are_not_offered_when_a_row_has_left_since),
        TEST(packs__a_download_goes_on_where_it_was_killed),
        TEST(packs__a_download_survives_power_losses),
        TEST(packs__own_work_goes_first_and_stays_on_top),
        TEST(packs__who_misses_chunks_waits_for_nothing_else),
        TEST(packs__a_damaged_chunk_is_dropped_and_got_around),
        TEST(packs__a_forged_manifest_is_refused),
        TEST(packs__the_server_serves_no_damaged_chunk),
        TEST(packs__rows_that_cannot_be_read_are_got_around),
        TEST(packs__who_left_the_scope_gets_no_further_chunk),
        TEST(packs__new_scopes_in_the_middle_are_filled),
        TEST(packs__a_newer_pack_does_not_disturb_a_download),
        TEST(packs__another_process_began_anew),
        TEST(packs__of_an_earlier_epoch_are_dropped_on_both_sides),
        TEST(packs__of_another_key_are_refused_until_enrolled_anew),
        TEST(packs__are_not_asked_for_without_a_key),
        TEST(packs__may_be_deleted_or_damaged_at_any_time),
        TEST(packs__are_made_anew_for_a_newer_catalogue),
    };
    return cmocka_run_group_tests_name("packs", tests, NULL, NULL);
}
