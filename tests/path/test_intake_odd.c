/* test_intake_odd.c - groups as they come from devices that were put back more than once, groups
 * that replace what was replaced, held work whose row, author or number is gone: the server answers
 * each, and keeps what it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "support/each_site.h"
#include "support/raw_trial.h"
#include "support/raw_work.h"
#include "sync-server/intake/attempt.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a;
} bench;

static int setup(void **state)
{
    static bench b;
    raw_reply r;
    raw_world_open(&b.w);
    b.w.trial = raw_trial;
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_exchange(&b.a, &r);
    raw_reply_clear(&r);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_world_close(&b->w);
    return 0;
}

static void sql(bench *b, const char *text)
{
    sqlite3 *raw = NULL;
    char *why = NULL;
    assert_int_equal(store_begin(b->w.admin), FB_OK); /* lets go of what it stands on */
    store_rollback(b->w.admin);
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    sqlite3_busy_timeout(raw, 5000);
    if (sqlite3_exec(raw, text, NULL, NULL, &why) != SQLITE_OK) {
        print_error("%s: %s\n", text, why);
        assert_true(false);
    }
    sqlite3_close(raw);
}

static int64_t sql_count(bench *b, const char *text)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, text, -1, &q, NULL), SQLITE_OK);
    int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    sqlite3_close(raw);
    return n;
}

static int64_t contact_new(raw_device *d, const char *name, int64_t replaces)
{
    raw_group g;
    raw_begin(&g, d, "contact.add", 0, replaces);
    raw_insert(&g, "contact", PAIRS("customer_id", id_text(&d->w->customers[0]), "name", name));
    return raw_end(&g);
}

/* For somebody in another territory: his manager decides. */
static void task_put(raw_group *g)
{
    raw_insert(g, "task",
               PAIRS("title", "Call", "kind", "todo", "priority", "normal", "assignee_id",
                     id_text(&g->d->w->users[1]), "status", "todo"));
}

static int64_t task_new(raw_device *d, int64_t replaces)
{
    raw_group g;
    raw_begin(&g, d, "task.new", 0, replaces);
    task_put(&g);
    return raw_end(&g);
}

static verdict_code heard(raw_device *d, int64_t gseq)
{
    raw_reply r;
    raw_exchange(d, &r);
    verdict_code code = raw_verdict(&r, gseq).code;
    raw_reply_clear(&r);
    return code;
}

static fb_code decide_held(bench *b, int64_t gseq, bool accept, const char *reason, bool trial)
{
    intake in = {.db = b->w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    const intake_decision how = {.device = b->a.id,
                                 .gseq = gseq,
                                 .now_ms = b->w.now_ms,
                                 .accept = accept,
                                 .reason = text_of(reason)};
    int64_t head = 0;
    if (trial) {
        raw_trial_held(&b->w, &how);
    }
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(ledger_head(b->w.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, b->w.admin, head, b->w.now_ms), FB_OK);
    fb_code rc = intake_held_decide(&in, &how);
    if (rc == FB_OK) {
        assert_int_equal(store_commit(b->w.admin), FB_OK);
        server_tick(b->w.srv, (uint64_t)b->w.now_ms);
    } else {
        store_rollback(b->w.admin);
    }
    decide_cache_free(in.cache);
    arena_free(in.work);
    return rc;
}

/* --- lives of one device ------------------------------------------------------------------ */

static void again(raw_device *d)
{
    d->settled = 0;
    raw_incarnation(d);
}

/* Put back twice: two earlier lives have the group, and it stands once. */
static void group_of_two_earlier_lives_stands_once(void **state)
{
    bench *b = *state;
    contact_new(&b->a, "Li", 0);
    assert_int_equal(heard(&b->a, 1), VERDICT_APPLIED);
    for (int life = 0; life < 2; life++) {
        again(&b->a);
        contact_new(&b->a, life == 0 ? "Wu" : "Qi", 0);
        assert_int_equal(heard(&b->a, 1), VERDICT_APPLIED);
    }
    assert_int_equal(sql_count(b, "SELECT count(*) FROM contact"), 3);
}

/* What is new stands before what was there: one run of verdicts ends, then it is recognised. */
static void new_group_before_an_old_one_ends_its_run(void **state)
{
    bench *b = *state;
    raw_reply r;
    char old[2000];
    contact_new(&b->a, "Li", 0);
    assert_int_equal(heard(&b->a, 1), VERDICT_APPLIED);
    snprintf(old, sizeof old, "%.*s", (int)b->a.groups[0].size, b->a.groups[0].data);
    again(&b->a);
    b->a.last = 0;
    contact_new(&b->a, "Wu", 0);
    raw_line(&b->a, old);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    assert_int_equal(sql_count(b, "SELECT count(*) FROM contact"), 2);
}

/* The same number in the same instant: there is nothing to tell the manager anew. */
static void held_group_that_comes_again_unchanged_is_one_row(void **state)
{
    bench *b = *state;
    const int64_t at_ms = b->w.now_ms;
    int64_t number = task_new(&b->a, 0);
    assert_int_equal(heard(&b->a, number), VERDICT_HELD);
    int64_t commits = sql_count(b, "SELECT count(*) FROM fs_commit WHERE plain = 0");
    int64_t ver = sql_count(b, "SELECT ver FROM held_group");
    again(&b->a);
    b->w.now_ms = at_ms;
    assert_int_equal(heard(&b->a, number), VERDICT_HELD);
    assert_int_equal(sql_count(b, "SELECT count(*) FROM held_group"), 1);
    assert_int_equal(sql_count(b, "SELECT ver FROM held_group"), ver);
    assert_true(commits > 0);
}

/* --- what is replaced --------------------------------------------------------------------- */

static void group_replaces_what_has_no_verdict_to_be_replaced(void **state)
{
    bench *b = *state;
    raw_reply r;
    contact_new(&b->a, "Li", 0);
    contact_new(&b->a, "Wu", 1); /* the first is applied, and not even written down yet */
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void held_group_is_replaced_once(void **state)
{
    bench *b = *state;
    int64_t first = task_new(&b->a, 0);
    assert_int_equal(heard(&b->a, first), VERDICT_HELD);
    int64_t second = contact_new(&b->a, "Li", first);
    assert_int_equal(heard(&b->a, second), VERDICT_APPLIED);
    int64_t ver = sql_count(b, "SELECT ver FROM held_group");
    int64_t third = contact_new(&b->a, "Wu", first);
    assert_int_equal(heard(&b->a, third), VERDICT_APPLIED);
    assert_int_equal(sql_count(b, "SELECT replaced_by FROM fs_verdict WHERE state = 2"), second);
    assert_int_equal(sql_count(b, "SELECT ver FROM held_group"), ver);
    assert_int_equal(decide_held(b, first, true, "", false), FB_E_STATE);
}

/* --- held work ---------------------------------------------------------------------------- */

/* Its row was lost: withdrawn without it; decided, it is made anew, so that its people hear. */
static void held_work_whose_row_is_gone_is_decided_all_the_same(void **state)
{
    bench *b = *state;
    int64_t first = task_new(&b->a, 0), second = task_new(&b->a, 0);
    assert_int_equal(heard(&b->a, second), VERDICT_HELD);
    sql(b, "DELETE FROM held_group");
    contact_new(&b->a, "Li", first);
    assert_int_equal(heard(&b->a, 3), VERDICT_APPLIED);
    assert_int_equal(sql_count(b, "SELECT count(*) FROM held_group"), 0);
    b->w.now_ms += 1000;
    assert_int_equal(decide_held(b, second, true, "", true), FB_OK);
    assert_int_equal(
        sql_count(b, "SELECT count(*) FROM held_group WHERE state = 'accepted' AND number = 2"), 1);
    assert_int_equal(heard(&b->a, second), VERDICT_APPLIED);
}

static void held_work_whose_content_is_gone_cannot_be_decided(void **state)
{
    bench *b = *state;
    int64_t held = task_new(&b->a, 0);
    assert_int_equal(heard(&b->a, held), VERDICT_HELD);
    sql(b, "UPDATE fs_verdict SET payload = NULL");
    assert_int_equal(decide_held(b, held, true, "", false), FB_E_STATE);
    assert_int_equal(decide_held(b, held, false, "no", false), FB_E_STATE);
}

/* The person is gone; what his device sent again and again is shown without a unit. */
static void held_work_of_nobody_is_shown_to_it(void **state)
{
    bench *b = *state;
    int64_t gseq = contact_new(&b->a, "Li", 0);
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(attempt_put(b->w.admin, &b->a.id, gseq, ATTEMPTS_MAX), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    raw_server_restart(&b->w, false); /* reads that there are attempts */
    sql(b, "DELETE FROM app_user WHERE code = 'R1'");
    assert_int_equal(heard(&b->a, gseq), VERDICT_HELD);
    assert_int_equal(sql_count(b, "SELECT count(*) FROM held_group WHERE org_unit_id IS NULL AND "
                                  "role = 'IT' AND state = 'open'"),
                     1);
}

/* More than people read: the row tells of it, the content stays where it is. */
static void large_held_work_is_told_without_its_content(void **state)
{
    bench *b = *state;
    raw_group g;
    char remark[380];
    memset(remark, 'x', sizeof remark - 1);
    remark[sizeof remark - 1] = '\0';
    raw_begin(&g, &b->a, "task.new", 0, 0);
    task_put(&g);
    for (int i = 0; i < 50; i++) {
        raw_insert(
            &g, "contact",
            PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li", "remark", remark));
    }
    int64_t held = raw_end(&g);
    assert_int_equal(heard(&b->a, held), VERDICT_HELD);
    assert_int_equal(sql_count(b, "SELECT count(*) FROM held_group WHERE content IS NULL AND kind "
                                  "= 'task.new'"),
                     1);
    assert_int_equal(decide_held(b, held, true, "", false), FB_OK);
    assert_int_equal(sql_count(b, "SELECT count(*) FROM contact"), 50);
}

/* Accepted, and refused for another reason by then; or by then another row's. */
static void accepted_work_is_judged_as_it_is_then(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->a, "customer.new", 0, 0);
    raw_insert(&g, "customer",
               PAIRS("code", "N1", "name", "Mine", "status", "draft", "licence_no", "L-77",
                     "territory_id", id_text(&b->w.territories[0])));
    task_put(&g);
    int64_t twin = raw_end(&g);
    raw_begin(&g, &b->a, "task.new", 0, 0);
    task_put(&g);
    raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    int64_t orphan = raw_end(&g);
    assert_int_equal(heard(&b->a, orphan), VERDICT_HELD);
    company_add(&b->w.company, "customer",
                PAIRS("code", "K1", "name", "Green", "status", "active", "licence_no", "L-77",
                      "territory_id", id_text(&b->w.territories[0])));
    company_delete(&b->w.company, "customer", &b->w.customers[0]);
    b->w.now_ms += 1000;
    assert_int_equal(decide_held(b, twin, true, "", true), FB_OK);
    assert_int_equal(decide_held(b, orphan, true, "", true), FB_OK);
    assert_int_equal(heard(&b->a, twin), VERDICT_ALIAS);
    assert_int_equal(sql_count(b, "SELECT code FROM fs_verdict WHERE gseq = 2"), VERDICT_REJECTED);
}

/* A reason that is no text at all is none that a device could read. */
static void reason_that_is_no_text_reaches_nobody(void **state)
{
    bench *b = *state;
    char reason[500];
    memset(reason, 0x80, sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    int64_t held = task_new(&b->a, 0);
    assert_int_equal(heard(&b->a, held), VERDICT_HELD);
    b->w.now_ms += 1000;
    assert_int_equal(decide_held(b, held, false, reason, false), FB_E_FORMAT);
    assert_int_equal(heard(&b->a, contact_new(&b->a, "Li", 0)), VERDICT_APPLIED);
    assert_int_equal(decide_held(b, held, false, "名", false), FB_OK);
    assert_int_equal(heard(&b->a, held), VERDICT_REJECTED);
}

/* --- attempts ----------------------------------------------------------------------------- */

typedef struct noting {
    bench *b;
    intake in;
} noting;

static fb_code note_once(void *ctx)
{
    noting *n = ctx;
    return attempt_note(&n->in, &n->b->a.id, 7);
}

/* What cannot be counted is not half counted. */
static void attempt_is_noted_or_not(void **state)
{
    bench *b = *state;
    attempt a;
    noting n = {.b = b, .in = {.db = b->w.admin}};
    for (int careful = 0; careful < 2; careful++) {
        n.in.careful = careful;
        each_site_fails(&(each_site){note_once, NULL, &n});
    }
    assert_int_equal(attempt_get(b->w.admin, &b->a.id, &a), FB_OK);
    assert_true(a.found && a.gseq == 7 && a.tries >= 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(group_of_two_earlier_lives_stands_once),
        CASE(new_group_before_an_old_one_ends_its_run),
        CASE(held_group_that_comes_again_unchanged_is_one_row),
        CASE(group_replaces_what_has_no_verdict_to_be_replaced),
        CASE(held_group_is_replaced_once),
        CASE(held_work_whose_row_is_gone_is_decided_all_the_same),
        CASE(held_work_whose_content_is_gone_cannot_be_decided),
        CASE(held_work_of_nobody_is_shown_to_it),
        CASE(large_held_work_is_told_without_its_content),
        CASE(accepted_work_is_judged_as_it_is_then),
        CASE(reason_that_is_no_text_reaches_nobody),
        CASE(attempt_is_noted_or_not),
    };
    return cmocka_run_group_tests_name("intake_odd", tests, NULL, NULL);
}
