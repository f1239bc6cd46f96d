/* test_held_lives.c - work that waits for a manager while its phone is put back, enrolled anew, or
 * loses its database: it goes on waiting, for its author as for the manager, and is decided once.
 * And while the server is put back to before the decision: what its author hears in the end is what
 * the server says.
 *
 * Method: devices over a server in memory; files of the phone or the server are copied and put
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/erase/erase.h"
#include "sync-server/intake/intake.h"
#include "sync-server/store/fill.h"

#include <cmocka.h>
#undef fail

#define DAY_MS INT64_C(86400000)

static fleet f;
static fb_id shop, buyer;
static fleet_device *rep, *manager;

static int people_open(void **state)
{
    (void)state;
    fleet_open(&f);
    shop = company_add(&f.company, "customer",
                       PAIRS("code", "K1", "name", "Corner", "remark", "as it was", "territory_id",
                             id_text(&f.territories[0])));
    buyer = company_add(&f.company, "contact",
                        PAIRS("customer_id", id_text(&shop), "name", "Wu", "hobby", "golf"));
    rep = fleet_device_add(&f, &f.users[0]);
    manager = fleet_device_add(&f, &f.manager);
    return 0;
}

static int people_close(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static void people_anew(int round)
{
    if (round > 0) {
        people_close(NULL);
        people_open(NULL);
    }
}

static void talk(const char *subject)
{
    fb_error err = {0};
    f.now_ms += 60000;
    fleet_must(fb_activity_log(rep->db, &f.customers[0], subject, NULL, NULL, &err), &err, subject);
}

static int64_t talks(fleet_device *d, const char *subject)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM activity WHERE subject='%s'", subject);
    return fleet_number(d, sql);
}

static void remark_is_edited(void)
{
    static const char *const columns[] = {"remark"};
    const fb_value values[] = {{.kind = FB_KIND_TEXT, .u.text = {"by the rep", 10}}};
    const fb_record_change c = {columns, values, 1};
    fb_error err = {0};
    fleet_must(fb_record_update(rep->db, "customer", &shop, &c, &err), &err, "remark");
}

/* Edited offline, the shop moved, met again so late that a manager must decide; both have heard. */
static void work_is_held(bool with_buyer)
{
    static const char *const personal[] = {"hobby"};
    const fb_value values[] = {{.kind = FB_KIND_TEXT, .u.text = {"by the rep", 10}}};
    const fb_record_change more = {personal, values, 1};
    fb_error err = {0};
    fleet_must(fb_group_begin(rep->db, "shop.change", 0, &err), &err, "begin");
    remark_is_edited();
    if (with_buyer) {
        fleet_must(fb_record_update(rep->db, "contact", &buyer, &more, &err), &err, "hobby");
    }
    fleet_must(fb_group_commit(rep->db, NULL, &err), &err, "commit");
    f.now_ms += 40 * DAY_MS;
    company_set(&f.company, "customer", &shop, PAIRS("territory_id", id_text(&f.territories[1])));
    f.now_ms += 40 * DAY_MS;
    fleet_sync(rep);
    fleet_sync(manager);
}

static int64_t in_tray(void)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(rep->db, &s, &err), &err, "status");
    assert_int_equal(s.pending_count, 0);
    return s.held_count * 100 + s.rejected_count * 10 + s.blocked_count;
}

static fb_code decide(const char *command, const char *reason)
{
    char id[64], args[200];
    fb_error err = {0};
    char *json = NULL;
    fleet_text(manager,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\",\"reason\":\"%s\"}", id, reason);
    fb_code rc = fb_command_run(manager->db, command, args, &json, &err);
    fb_string_free(json);
    return rc;
}

static void shop_says(const char *remark)
{
    char now[100];
    fleet_text(manager, "SELECT remark FROM customer WHERE code='K1'", now, sizeof now);
    assert_string_equal(now, remark);
}

/* A backup holds everything: devices let go of what is settled. */
static void all_is_backed_up(void)
{
    int64_t cid = 0;
    fleet_must(ledger_head(f.admin, &cid), NULL, "ledger_head");
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(store_meta_int_set(f.admin, "backed_up_cid", cid), NULL, "backed_up_cid");
    fleet_must(store_commit(f.admin), NULL, "commit");
    server_tick(f.srv, (uint64_t)f.now_ms);
    fleet_sync(rep);
    fleet_sync(rep);
}

static void buyer_is_erased(void)
{
    const erase_order o = {.entity = text_of("contact"),
                           .id = buyer,
                           .reason = text_of("on request"),
                           .at_ms = f.now_ms};
    erase_report r;
    fb_error err = {0};
    arena *memory = arena_new(64 << 20);
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(erase_person(f.admin, &o, memory, &r, &err), &err, "erase");
    fleet_must(store_commit(f.admin), NULL, "commit");
    arena_free(memory);
    server_tick(f.srv, (uint64_t)f.now_ms);
}

/* ---- what becomes of a phone ---- */

/* The copy knows that the group waits; what was saved after it is with the server alone. */
static void phone_is_put_back(void)
{
    fleet_reopen(rep);
    crash_vfs_copy(f.vfs, "dev1", "cloud");
    talk("after the copy");
    fleet_sync(rep);
    fb_db_close(rep->db);
    rep->db = NULL;
    crash_vfs_remove(f.vfs, "dev1");
    crash_vfs_copy(f.vfs, "cloud", "dev1");
    fleet_open_again(rep);
}

static void phone_loses_its_database(void)
{
    fleet_lose_database(rep);
}

static void nothing_happens(void)
{
}

typedef void (*accident)(void);
static const accident ACCIDENTS[] = {nothing_happens, phone_is_put_back, phone_loses_its_database};
enum { ACCIDENTS_COUNT = sizeof ACCIDENTS / sizeof ACCIDENTS[0] };

/* ---- what becomes of the server ---- */

static void server_is_copied(void)
{
    crash_vfs_remove(f.vfs, "backup");
    crash_vfs_copy(f.vfs, "server", "backup");
}

/* fieldbook-admin restore. */
static void server_is_put_back(void)
{
    fb_error err = {0};
    int64_t commit = 0;
    server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_server_stop(&f);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "backup", "server");
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    fleet_server_start(&f);
}

/* fieldbook-admin held accept. */
static void administrator_accepts(void)
{
    intake in = {.db = f.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    held_waiting waiting;
    fb_id row;
    char hex[40];
    int64_t head = 0;
    fleet_text(manager, "SELECT lower(hex(id)) FROM held_group", hex, sizeof hex);
    assert_true(hex_get(text_of(hex), row.b, sizeof row.b));
    assert_int_equal(held_waiting_row(f.admin, &row, &waiting), FB_OK);
    assert_int_equal(waiting.count, 1);
    const intake_decision how = {.device = waiting.device,
                                 .incarnation_no = waiting.incarnation_no,
                                 .gseq = waiting.number,
                                 .now_ms = f.now_ms,
                                 .accept = true};
    assert_int_equal(store_begin(f.admin), FB_OK);
    assert_int_equal(ledger_head(f.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, f.admin, head, f.now_ms), FB_OK);
    assert_int_equal(intake_held_decide(&in, &how), FB_OK);
    assert_int_equal(store_commit(f.admin), FB_OK);
    server_tick(f.srv, (uint64_t)f.now_ms);
    decide_cache_free(in.cache);
    arena_free(in.work);
}

/* The group is in a backup, and everything before it let go of. */
static void work_is_held_and_backed_up(void)
{
    work_is_held(false);
    talk("settled");
    fleet_sync(rep);
    all_is_backed_up();
    server_is_copied();
}

static void manager_decides(const char *command)
{
    fleet_sync(manager);
    assert_int_equal(decide(command, "seen"), FB_OK);
    fleet_sync(manager);
}

static void is_decided(const char *command)
{
    manager_decides(command);
    fleet_sync(rep);
}

static fb_code keep_number(void *ctx, const fb_problem *p)
{
    *(int64_t *)ctx = p->gseq;
    return FB_OK;
}

/* ---- tests ---- */

static void accepted_after_the_accident__stands_and_leaves_the_tray(void **state)
{
    for (int i = 0; i < 2 * ACCIDENTS_COUNT; i++) {
        people_anew(i);
        work_is_held(false);
        if (i >= ACCIDENTS_COUNT) {
            talk("settled");
            buyer_is_erased(); /* of whom the work says nothing */
            fleet_sync(rep);
            all_is_backed_up();
        }
        ACCIDENTS[i % ACCIDENTS_COUNT]();
        fleet_sync(rep);
        talk("new life");
        fleet_sync(rep);
        assert_int_equal(in_tray(), 100); /* it still waits, and he still sees it */
        fleet_sync(manager);
        assert_int_equal(fleet_number(manager, "SELECT count(*) FROM held_group"), 1);
        assert_int_equal(decide("held.accept", "seen"), FB_OK);
        fleet_sync(manager);
        shop_says("by the rep");
        fleet_sync(rep);
        assert_int_equal(in_tray(), 0);
        assert_int_equal(talks(manager, "new life"), 1);
    }
    (void)state;
}

static void rejected_after_the_accident__can_be_corrected(void **state)
{
    for (int i = 0; i < ACCIDENTS_COUNT; i++) {
        people_anew(i);
        work_is_held(false);
        ACCIDENTS[i]();
        fleet_sync(rep);
        fleet_sync(manager);
        assert_int_equal(decide("held.reject", "not ours"), FB_OK);
        fleet_sync(manager);
        shop_says("as it was");
        fleet_sync(rep);
        assert_int_equal(in_tray(), 10);
    }
    (void)state;
}

/* What was taken out of a group makes it another line: it is not sent again. Its row is decided,
 * and its author sees it there. */
static void emptied_by_an_erasure__is_decided_by_its_row(void **state)
{
    char told[40];
    (void)state;
    work_is_held(true);
    talk("settled");
    buyer_is_erased();
    fleet_sync(rep);
    all_is_backed_up();
    assert_int_equal(in_tray(), 100);
    phone_is_put_back();
    fleet_sync(rep);
    assert_int_equal(in_tray(), 0);
    fleet_sync(manager);
    assert_int_equal(decide("held.accept", "seen"), FB_OK);
    fleet_sync(manager);
    fleet_sync(rep);
    fleet_text(rep, "SELECT group_concat(state) FROM held_group", told, sizeof told);
    assert_string_equal(told, "accepted");
}

/* The copy is older than the decision, which it hears again. */
static void decided_before_the_accident__is_heard_again(void **state)
{
    (void)state;
    work_is_held(false);
    fleet_reopen(rep);
    crash_vfs_copy(f.vfs, "dev1", "cloud");
    assert_int_equal(decide("held.reject", "not ours"), FB_OK);
    fleet_sync(manager);
    talk("after the copy");
    fleet_sync(rep);
    assert_int_equal(in_tray(), 10);
    fb_db_close(rep->db);
    rep->db = NULL;
    crash_vfs_remove(f.vfs, "dev1");
    crash_vfs_copy(f.vfs, "cloud", "dev1");
    fleet_open_again(rep);
    fleet_sync(rep);
    assert_int_equal(in_tray(), 10);
}

/* The backup holds the group and not the decision, which its author has heard: it waits again, and
 * the decision, sent again, ends otherwise. */
static void server_put_back__decision_that_ends_otherwise_comes_to_the_tray(void **state)
{
    (void)state;
    work_is_held_and_backed_up();
    is_decided("held.accept");
    assert_int_equal(in_tray(), 0);
    server_is_put_back();
    fleet_sync(rep);
    assert_int_equal(in_tray(), 100);
    company_delete(&f.company, "contact", &buyer);
    company_delete(&f.company, "customer", &shop); /* nothing to change any more */
    fleet_sync(manager);
    fleet_sync(rep);
    assert_int_equal(in_tray(), 10);
}

/* The phone has begun a new life since it heard. */
static void server_put_back__a_new_life_has_the_group_too(void **state)
{
    (void)state;
    work_is_held_and_backed_up();
    is_decided("held.accept");
    phone_is_put_back();
    fleet_sync(rep);
    assert_int_equal(in_tray(), 0);
    server_is_put_back();
    fleet_sync(rep);
    assert_int_equal(in_tray(), 100);
    fleet_sync(manager);
    fleet_sync(rep);
    assert_int_equal(in_tray(), 0);
    shop_says("by the rep");
}

static void server_put_back__decision_comes_again(void **state)
{
    (void)state;
    work_is_held_and_backed_up();
    is_decided("held.accept");
    server_is_put_back();
    fleet_sync(rep);
    assert_int_equal(in_tray(), 100);
    fleet_sync(manager);
    shop_says("by the rep");
    fleet_sync(rep);
    assert_int_equal(in_tray(), 0);
}

/* The backup holds the decision, which its author has heard or not, in this life or an earlier. */
static void server_put_back__to_behind_the_decision_nothing_waits(void **state)
{
    static const char *const COMMANDS[] = {"held.accept", "held.reject"};
    (void)state;
    for (int i = 0; i < 8; i++) {
        people_anew(i);
        work_is_held_and_backed_up();
        manager_decides(COMMANDS[i % 2]);
        if (i & 2) {
            fleet_sync(rep);
        }
        if (i & 4) {
            phone_is_put_back();
            fleet_sync(rep);
        }
        server_is_copied();
        server_is_put_back();
        fleet_sync(rep);
        assert_int_equal(in_tray(), i % 2 * 10);
    }
}

/* Refused, then put back to before it; somebody else accepts first. Its author's phone is in the
 * life that heard the refusal, or in the second after it. */
static void server_put_back__what_was_refused_may_be_accepted(void **state)
{
    (void)state;
    for (int i = 0; i < ACCIDENTS_COUNT; i++) {
        people_anew(i);
        work_is_held_and_backed_up();
        is_decided("held.reject");
        for (int life = 0; life < 2; life++) {
            ACCIDENTS[i]();
            fleet_sync(rep);
            assert_int_equal(in_tray(), 10);
        }
        server_is_put_back();
        administrator_accepts();
        fleet_sync(rep);
        assert_int_equal(in_tray(), 0);
        fleet_sync(manager);
        shop_says("by the rep");
    }
}

/* What its author gave up or corrected does not go up again; the correction does. */
static void server_put_back__what_its_author_closed_stays_closed(void **state)
{
    fb_error err = {0};
    int64_t number = 0, made = 0;
    (void)state;
    for (int corrected = 0; corrected < 2; corrected++) {
        people_anew(corrected);
        work_is_held_and_backed_up();
        is_decided("held.reject");
        talk("in no backup"); /* for which a new life begins */
        fleet_sync(rep);
        company_set(&f.company, "customer", &shop,
                    PAIRS("territory_id", id_text(&f.territories[0])));
        phone_is_put_back();
        fleet_sync(rep);
        fleet_must(fb_problem_each(rep->db, keep_number, &number, &err), &err, "tray");
        fb_code rc = corrected ? fb_problem_resubmit(rep->db, number, NULL, 0, &made, &err)
                               : fb_problem_discard(rep->db, number, &err);
        fleet_must(rc, &err, "closed");
        server_is_put_back();
        fleet_sync(rep);
        assert_int_equal(in_tray(), corrected * 100);
    }
}

/* What the rep saw is lost with its number, which another commit has: whose time says nothing of
 * when the rep wrote. Somebody wrote later, and that stands, whoever accepts the rep's work and in
 * whatever life of his phone. */
static void held_over_a_lost_base__is_not_timed_by_another_commit(void **state)
{
    (void)state;
    for (int i = 0; i < ACCIDENTS_COUNT; i++) {
        int64_t lost = 0, again = 0;
        people_anew(i);
        server_is_copied();
        company_set(&f.company, "customer", &shop, PAIRS("short_name", "as seen"));
        company_set(&f.company, "customer", &shop, PAIRS("short_name", "lost"));
        fleet_must(ledger_head(f.admin, &lost), NULL, "head");
        fleet_sync(rep);
        remark_is_edited();
        f.now_ms += 10 * DAY_MS;
        server_is_put_back();
        company_set(&f.company, "customer", &shop, PAIRS("remark", "later"));
        f.now_ms += 30 * DAY_MS;
        company_set(&f.company, "customer", &shop,
                    PAIRS("territory_id", id_text(&f.territories[1])));
        fleet_must(ledger_head(f.admin, &again), NULL, "head");
        assert_int_equal(again, lost);
        f.now_ms += 40 * DAY_MS;
        fleet_sync(rep);
        fleet_sync(manager);
        assert_int_equal(in_tray(), 100);
        ACCIDENTS[i]();
        fleet_sync(rep);
        is_decided("held.accept");
        assert_int_equal(in_tray(), 0);
        shop_says("later");
    }
}

#define EMPTIED "SELECT count(*) FROM fb_meta WHERE key GLOB 'emptied/*'"
#define LIFE "SELECT value FROM fb_meta WHERE key='life'"

/* What the phone's file says, of its own tables. */
static int64_t file_number(const char *sql)
{
    sql_db *db = NULL;
    bool row = false;
    fleet_must(sql_open(rep->path, &(sql_options){.read_only = true, .vfs = "fleetfs"}, &db, NULL),
               NULL, "the phone's file");
    sql_stmt *q = sql_prepare(db, sql);
    assert_int_equal(sql_step(q, &row), FB_OK);
    int64_t n = row ? sql_int(q, 0) : -1;
    sql_reset(q);
    sql_close(db);
    return n;
}

/* It is kept for the sake of its decision only (OUT-5): the person goes out of it at once. */
static void accepted_and_kept__is_emptied_by_an_erasure(void **state)
{
    (void)state;
    work_is_held(true);
    talk("settled");
    fleet_sync(rep);
    all_is_backed_up();
    is_decided("held.accept");
    assert_int_equal(file_number("SELECT count(*) FROM fb_outbox WHERE state=0"), 1);
    buyer_is_erased();
    fleet_sync(rep);
    assert_int_equal(file_number("SELECT count(*) FROM fb_outbox WHERE state=0"), 1);
    assert_int_equal(file_number(EMPTIED), 1);
}

/* Emptied, it is another line: a server that is put back would hold it as new work. */
static void emptied_and_decided__is_not_sent_by_a_new_life(void **state)
{
    static const char *const COMMANDS[] = {"held.accept", "held.reject", "held.reject"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool in_new_life = i == 2;
        people_anew(i);
        work_is_held(true);
        talk("settled");
        fleet_sync(rep);
        all_is_backed_up();
        if (!in_new_life) {
            buyer_is_erased();
            fleet_sync(rep);
            assert_int_equal(file_number(EMPTIED), 1);
        }
        server_is_copied();
        is_decided(COMMANDS[i]);
        phone_is_put_back();
        fleet_sync(rep);
        if (in_new_life) {
            buyer_is_erased();
            fleet_sync(rep);
            assert_int_equal(file_number(EMPTIED), 1);
        }
        int64_t life = file_number(LIFE);
        server_is_put_back();
        fleet_sync(rep);
        fleet_sync(rep);
        assert_int_equal(file_number(LIFE), life);
        fleet_sync(manager);
        assert_int_equal(fleet_number(manager, "SELECT count(*) FROM held_group"), 1);
        assert_int_equal(in_tray(), i > 0 ? 10 : 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, people_open, people_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accepted_after_the_accident__stands_and_leaves_the_tray),
        TEST(rejected_after_the_accident__can_be_corrected),
        TEST(emptied_by_an_erasure__is_decided_by_its_row),
        TEST(accepted_and_kept__is_emptied_by_an_erasure),
        TEST(emptied_and_decided__is_not_sent_by_a_new_life),
        TEST(decided_before_the_accident__is_heard_again),
        TEST(server_put_back__decision_that_ends_otherwise_comes_to_the_tray),
        TEST(server_put_back__decision_comes_again),
        TEST(server_put_back__a_new_life_has_the_group_too),
        TEST(server_put_back__to_behind_the_decision_nothing_waits),
        TEST(server_put_back__what_was_refused_may_be_accepted),
        TEST(server_put_back__what_its_author_closed_stays_closed),
        TEST(held_over_a_lost_base__is_not_timed_by_another_commit),
    };
    return cmocka_run_group_tests_name("held_lives", tests, NULL, NULL);
}
