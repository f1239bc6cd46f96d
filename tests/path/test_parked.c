/* test_parked.c - a row leaves a device while work on it is open: the person still sees the work
 * and what it was about, cannot go on with it, and when it is settled no byte of it stays (PRK-1,
 * PRK-2, PUR-1). Over a server and devices in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/fleet.h"
#include "sync-server/intake/intake.h"

#include <cmocka.h>
#undef fail

#define CANARY "zq-canary-91c2"
/* A group keeps what it changed, before and after: the search is for what it did not. */
#define BEFORE "as it was"
#define MINE "written by the rep"
#define DAY_MS INT64_C(86400000)

static fleet f;
static fb_id shop;
static fleet_device *rep;

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    shop = company_add(&f.company, "customer",
                       PAIRS("code", "K1", "name", CANARY, "remark", BEFORE, "territory_id",
                             id_text(&f.territories[0])));
    rep = fleet_device_add(&f, &f.users[0]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static fb_code remark(const char *text, fb_error *err)
{
    static const char *const columns[] = {"remark"};
    const fb_value values[] = {{.kind = FB_KIND_TEXT, .u.text = {text, strlen(text)}}};
    const fb_record_change c = {columns, values, 1};
    return fb_record_update(rep->db, "customer", &shop, &c, err);
}

static void edit(void)
{
    fb_error err = {0};
    fleet_must(remark(MINE, &err), &err, "remark");
}

static void move_to(int territory)
{
    company_set(&f.company, "customer", &shop,
                PAIRS("territory_id", id_text(&f.territories[territory])));
}

/* --- looking ------------------------------------------------------------------------- */

typedef struct parked {
    int count, changed, warnings;
    int64_t left_ms;
    char theirs[100], mine[100], name[100], warning[200], warning_zh[200];
} parked;

static void take(const fb_row *row, const char *column, char *out, size_t size)
{
    for (uint32_t i = 0; i < row->columns_count; i++) {
        if (strcmp(row->names[i], column) == 0) {
            fb_text t = row->values[i].u.text;
            snprintf(out, size, "%.*s", (int)t.size, t.data);
        }
    }
}

static fb_code look(void *ctx, const fb_parked *p)
{
    parked *k = ctx;
    bool is_shop = memcmp(&p->id, &shop, sizeof shop) == 0;
    if (is_shop) {
        k->count++;
        k->changed += p->changed;
        k->left_ms = p->left_ms;
        take(p->theirs, "remark", k->theirs, sizeof k->theirs);
        take(p->mine, "remark", k->mine, sizeof k->mine);
        take(p->mine, "name", k->name, sizeof k->name);
    }
    return FB_OK;
}

static fb_code hear(void *ctx, const fb_warning *w)
{
    parked *k = ctx;
    k->warnings++;
    snprintf(k->warning, sizeof k->warning, "%.*s", (int)w->text_en.size, w->text_en.data);
    snprintf(k->warning_zh, sizeof k->warning_zh, "%.*s", (int)w->text_zh.size, w->text_zh.data);
    return FB_OK;
}

static parked parked_now(void)
{
    parked k = {0};
    fb_error err = {0};
    fb_status s = FB_STATUS_INIT;
    fleet_must(fb_parked_each(rep->db, FB_FORM_TEXT, look, &k, &err), &err, "parked");
    fleet_must(fb_warning_each(rep->db, hear, &k, &err), &err, "warnings");
    fleet_must(fb_status_get(rep->db, &s, &err), &err, "status");
    assert_int_equal(s.warnings_count, k.warnings);
    assert_true(s.parked_count >= k.count);
    return k;
}

static int64_t shown(void)
{
    return fleet_number(rep, "SELECT count(*) FROM customer WHERE code='K1'");
}

static void search_file(void *ctx, const char *file, const void *data, size_t size)
{
    if (strncmp(file, "dev1", 4) == 0 && size > 0 &&
        memmem(data, size, CANARY, strlen(CANARY)) != NULL) {
        ++*(int *)ctx;
    }
}

static int files_with_canary(void)
{
    int files = 0;
    crash_vfs_each(f.vfs, search_file, &files);
    return files;
}

/* A manager's decision at the server. */
static void held_decide(bool accept)
{
    intake in = {.db = f.admin, .cache = decide_cache_new(), .work = arena_new(64 << 20)};
    intake_decision how = {.gseq = 1, .now_ms = f.now_ms, .accept = accept};
    fb_identity me = {.size_bytes = sizeof me};
    fb_error err = {0};
    fleet_must(fb_db_identity(rep->db, &me, &err), &err, "identity");
    how.device = me.device;
    int64_t head = 0;
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(ledger_head(f.admin, &head), NULL, "head");
    fleet_must(decide_cache_begin(in.cache, f.admin, head, f.now_ms), NULL, "cache");
    fleet_must(intake_held_decide(&in, &how), NULL, "decide");
    fleet_must(store_commit(f.admin), NULL, "commit");
    decide_cache_free(in.cache);
    arena_free(in.work);
}

/* Edited offline, moved, met again so late that a manager must decide. */
static void held_while_the_row_left(void)
{
    edit();
    f.now_ms += 40 * DAY_MS;
    move_to(1);
    f.now_ms += 40 * DAY_MS;
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer"), 1); /* C1 */
}

static void row_that_left__is_parked_while_its_group_is_held(void **state)
{
    fb_error err = {0};
    (void)state;
    held_while_the_row_left();
    parked k = parked_now();
    assert_int_equal(shown(), 0); /* PRK-1 */
    assert_int_equal(k.count, 1);
    assert_int_equal(k.changed, 1);
    assert_true(k.left_ms > 0);
    assert_string_equal(k.theirs, BEFORE);
    assert_string_equal(k.mine, MINE);
    assert_string_equal(k.name, CANARY);
    assert_int_equal(k.warnings, 1);
    assert_non_null(strstr(k.warning, "left your area"));
    assert_non_null(strstr(k.warning_zh, "区域"));
    assert_int_equal(remark("more", &err), FB_E_SCOPE);
    assert_non_null(strstr(err.message, "left your area"));
    fleet_reopen(rep);
    assert_string_equal(parked_now().mine, MINE);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
}

static void parked_row__goes_with_its_bytes_when_its_group_is_settled(void **state)
{
    fb_error err = {0};
    (void)state;
    held_while_the_row_left();
    assert_true(files_with_canary() > 0);
    held_decide(true);
    fleet_sync(rep);
    assert_int_equal(parked_now().count, 0); /* PRK-2 */
    assert_int_equal(parked_now().warnings, 0);
    assert_int_equal(files_with_canary(), 0);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
}

/* Refused, the work is in the tray until the person gives it up. */
static void parked_row__stays_while_its_group_is_in_the_tray(void **state)
{
    fb_error err = {0};
    (void)state;
    held_while_the_row_left();
    held_decide(false);
    fleet_sync(rep);
    assert_int_equal(parked_now().count, 1);
    fleet_must(fb_problem_discard(rep->db, 1, &err), &err, "discard");
    assert_int_equal(parked_now().count, 0);
    assert_int_equal(files_with_canary(), 0);
}

static void parked_row__comes_back_with_its_territory(void **state)
{
    char text[100];
    (void)state;
    held_while_the_row_left();
    move_to(0);
    fleet_sync(rep);
    assert_int_equal(parked_now().count, 0);
    assert_int_equal(shown(), 1);
    fleet_text(rep, "SELECT remark FROM customer WHERE code='K1'", text, sizeof text);
    assert_string_equal(text, MINE); /* held: on top */
}

static void row_that_was_deleted__is_not_kept(void **state)
{
    (void)state;
    held_while_the_row_left();
    move_to(0);
    fleet_sync(rep);
    company_delete(&f.company, "customer", &shop);
    fleet_sync(rep);
    assert_int_equal(parked_now().count, 0);
    assert_non_null(strstr(parked_now().warning, "is gone"));
}

/* What a group only refers to is kept too: the visit's customer. */
static void row_that_a_group_refers_to__is_parked(void **state)
{
    fb_error err = {0};
    fb_visit_in visit;
    (void)state;
    fleet_must(fb_visit_check_in(rep->db, &shop, NULL, &visit, &err), &err, "check in");
    f.now_ms += 40 * DAY_MS;
    move_to(1);
    f.now_ms += 40 * DAY_MS;
    fleet_sync(rep);
    parked k = parked_now();
    assert_int_equal(k.count, 1);
    assert_int_equal(k.changed, 0);
    assert_string_equal(k.mine, BEFORE);
    assert_string_equal(k.name, CANARY);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM visit"), 1); /* the work itself */
    held_decide(true);
    fleet_sync(rep);
    assert_int_equal(parked_now().count, 0);
    assert_int_equal(files_with_canary(), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(row_that_left__is_parked_while_its_group_is_held),
        CASE(parked_row__goes_with_its_bytes_when_its_group_is_settled),
        CASE(parked_row__stays_while_its_group_is_in_the_tray),
        CASE(parked_row__comes_back_with_its_territory),
        CASE(row_that_was_deleted__is_not_kept),
        CASE(row_that_a_group_refers_to__is_parked),
    };
    return cmocka_run_group_tests_name("parked", tests, NULL, NULL);
}
