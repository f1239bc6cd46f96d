/* test_reading_fails.c - calls that change nothing: the check of every promise, the lists a person
 * looks at, the request that goes up next, the opening of files in every state, each time of the
 * same ones. When a statement fails, or memory is short, they say so
 * (each_site.h); the same call made again has its answer. */
#include "fault/torture/calls.h"
#include "replica/second.h"
#include "steps_fixture.h"
#include "support/each_site.h"
#include "sync/fetch.h"
#include "sync/push.h"
#include "wire/sync_msg.h"

#define DB lab_path("reading_fails")

/* Changes that were refused and some that wait, a row that left, a draft. */
static void everything_make(lab *l)
{
    buf out;
    lab_start(l, DB, 9);
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    for (unsigned i = 5; i <= 7; i++) {
        reply_row(l, &out, i, "of the server", "note", 10, 50);
    }
    reply_take(l, &out);
    lab_change(l, 5, l->name, "refused");
    lab_change(l, 6, l->name, "waits");
    lab_save(l, 1, "new", 1);
    reply_begin(l, &out, 1, 0, 7);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.7", true, false);
    reply_gone(l, &out, BLOCK_LEAVE, 6);
    reply_take(l, &out);
    const draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{}")};
    assert_int_equal(draft_put(l->r, &d), FB_OK);
    assert_int_equal(
        sql_exec(replica_sql(l->r),
                 "INSERT INTO fb_alias VALUES (x'01900000000070008000000000000061', 'lab_item',"
                 " x'01900000000070008000000000000062', 0)"),
        FB_OK); /* each id is looked up */
    lab_reopen(l);
}

/* A group that stands since no row moved: its versions are still to be given. */
static void settled_make(lab *l)
{
    buf out;
    lab_start(l, DB, 9);
    lab_save(l, 1, "one", 1);
    reply_begin(l, &out, 1, 0, 6);
    verdict_run_put(&out, 1, 1, 5);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
}

/* --- the calls ------------------------------------------------------------------------------ */

static fb_code check_it(void *ctx)
{
    fb_error err = {.code = FB_OK};
    return replica_check(((lab *)ctx)->r, &err);
}

static fb_code check_untold(void *ctx)
{
    return replica_check(((lab *)ctx)->r, NULL);
}

static fb_code see_problem(void *ctx, const problem *p)
{
    assert_true(p->gseq > 0);
    ++*(int *)ctx;
    return FB_OK;
}

static fb_code problems(void *ctx)
{
    int seen = 0;
    fb_code rc = problem_each(((lab *)ctx)->r, see_problem, &seen);
    assert_true(rc != FB_OK || seen == 1);
    return rc;
}

static fb_code see_parked(void *ctx, const parked_row *row)
{
    assert_non_null(row->e);
    ++*(int *)ctx;
    return FB_OK;
}

static fb_code parked(void *ctx)
{
    int seen = 0;
    fb_code rc = parked_each(((lab *)ctx)->r, see_parked, &seen);
    assert_true(rc != FB_OK || seen == 1);
    return rc;
}

static fb_code see_warning(void *ctx, const warning *w)
{
    (void)ctx;
    assert_true(w->gseq > 0);
    return FB_OK;
}

static fb_code warnings(void *ctx)
{
    return warning_each(((lab *)ctx)->r, see_warning, NULL);
}

static fb_code see_draft(void *ctx, const draft *d)
{
    ++*(int *)ctx;
    return d->body.size > 0 ? FB_OK : FB_E_CORRUPT;
}

static fb_code drafts(void *ctx)
{
    int seen = 0;
    fb_code rc = draft_each(((lab *)ctx)->r, T("order"), see_draft, &seen);
    assert_true(rc != FB_OK || seen == 1);
    return rc;
}

static fb_code status(void *ctx)
{
    replica_status st;
    return replica_status_get(((lab *)ctx)->r, &st);
}

static fb_code request(void *ctx)
{
    const push_plan plan = {.wall_ms = LAB_WALL_MS};
    push_request made = {0};
    fb_error err = {.code = FB_OK};
    buf body;
    buf_init(&body, SYNC_BODY_BYTES_MAX);
    fb_code rc = push_build(((lab *)ctx)->r, &plan, &body, &made, &err);
    assert_true(rc == FB_OK ? made.groups_count == 2 : strcmp(err.field, "outbox") == 0);
    buf_clear(&body);
    return rc;
}

/* Nobody may change it, and nobody is told that there is no such row because it cannot be looked
 * up. */
static fb_code change_parked(void *ctx)
{
    lab *l = ctx;
    const fb_id six = lab_id(6);
    const fb_value mine = {.kind = FB_KIND_TEXT, .u.text = T("mine")};
    fb_error err = {.code = FB_OK};
    fb_code rc = capture_begin(l->r, "lab.save", 0, 0, &err);
    if (rc == FB_OK) {
        rc = capture_update(l->r, l->item, &six, &l->name, &mine, 1, &err);
    }
    capture_abort(l->r);
    assert_true(rc != FB_OK);
    return rc == FB_E_SCOPE ? FB_OK : rc;
}

static void reading__says_what_failed(void **state)
{
    static fb_code (*const CALLS[])(void *ctx) = {
        check_it, check_untold, problems, parked, warnings, drafts, status, change_parked, request};
    lab l;
    (void)state;
    everything_make(&l);
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        each_site_fails(&(each_site){CALLS[i], NULL, &l});
    }
    lab_check(&l);
    lab_stop(&l);
}

/* The pack that a device wants is no longer kept: it gives the download up, or says why it cannot.
 */
static void fetch__giving_up_fails_as_a_whole(void **state)
{
    const pack_want want = {.any = true};
    lab l;
    buf no;
    (void)state;
    everything_make(&l);
    buf_init(&no, 1 << 10);
    error_msg_put(&no, &(error_msg){.code = FB_E_NOT_FOUND});
    const pull_answer a = {.status = 404, .body = buf_text(&no)};
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        fetch_result got;
        fb_error err = {.code = FB_OK};
        calls_arm(CALL_STATEMENT, n, false);
        fb_code rc = fetch_take(l.r, &want, &a, &got, &err);
        fired = calls_disarm();
        assert_true(fired ? code_is_machines(rc) : rc == FB_OK);
        assert_int_equal(got.dropped, !fired);
        assert_true(n > 1 || fired);
    }
    buf_clear(&no);
    lab_check(&l);
    lab_stop(&l);
}

/* A person's program stops a list in the middle: that is no failure of ours, and nothing more is
 * lent. */
static fb_code stop(void *ctx, const draft *d)
{
    assert_true(d->body.size > 0);
    return ++*(int *)ctx == 1 ? FB_E_BUSY : FB_OK;
}

static void list__ends_where_its_reader_stops(void **state)
{
    lab l;
    int seen = 0;
    (void)state;
    everything_make(&l);
    const draft d = {.id = lab_id(501), .kind = T("order"), .updated_ms = 6, .body = T("{}")};
    assert_int_equal(draft_put(l.r, &d), FB_OK);
    assert_int_equal(draft_each(l.r, T("order"), stop, &seen), FB_E_BUSY);
    assert_int_equal(seen, 1);
    lab_stop(&l);
}

static void check__of_versions_says_what_failed(void **state)
{
    lab l;
    (void)state;
    settled_make(&l);
    each_site_fails(&(each_site){check_it, NULL, &l});
    lab_check(&l);
    lab_stop(&l);
}

/* --- opening -------------------------------------------------------------------------------- */

enum { BASE = 1, FIRST = 2, SECOND = 4, LOG = 8 }; /* files, as steps_fixture.h counts them */

typedef struct opening {
    const char *why;
    unsigned files;
    bool broken;      /* it was found damaged in use */
    const buf *waits; /* a record of the newest group, whose commit is there; NULL: none */
    int64_t newest;
    kept *all;
    lab to; /* where they are put each time */
    int64_t groups;
} opening;

static void broken_put(const lab *l)
{
    char name[200];
    snprintf(name, sizeof name, "%s-broken", l->path);
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    fputc('1', f); /* SQLite takes an empty file for none */
    fclose(f);
}

static void record_put(const opening *o)
{
    journal j;
    assert_int_equal(journal_init(&j, NULL, o->to.path), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, NULL, NULL), FB_OK);
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, o->newest, buf_text(o->waits), true), FB_OK);
    journal_clear(&j);
}

static fb_code open_copy(void *ctx)
{
    opening *o = ctx;
    kept some = *o->all;
    fb_error err = {.code = FB_OK};
    for (int i = 0; i < FILES_MAX; i++) {
        some.data[i] = (o->files & 1u << i) != 0 ? some.data[i] : NULL;
    }
    files_write(&o->to, &some);
    if (o->broken) {
        broken_put(&o->to);
    }
    if (o->waits != NULL) {
        record_put(o);
    }
    fb_code rc = lab_open(&o->to, &err);
    if (rc == FB_OK) {
        rc = count_try(&o->to, "SELECT count(*) FROM fb_outbox", &o->groups);
    }
    int64_t salvaged = 0;
    if (rc == FB_OK) {
        rc = count_try(&o->to, "SELECT count(*) FROM fb_meta WHERE key='salvaged'", &salvaged);
    }
    if (rc == FB_OK && salvaged != (o->broken || (o->files & BASE) == 0)) {
        rc = FB_E_BUG; /* or the scene is not what it says */
    }
    lab_stop(&o->to);
    return rc;
}

static fb_code keep_newest(void *ctx, const journal_record *record)
{
    if (record->type == JOURNAL_GROUP) {
        buf_reset(ctx);
        buf_put_text(ctx, record->payload);
    }
    return FB_OK;
}

static void newest_read(const lab *l, buf *out)
{
    journal j;
    assert_int_equal(journal_init(&j, NULL, l->path), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, keep_newest, out), FB_OK);
    journal_clear(&j);
}

/* A refused group that was corrected, and is of an earlier life then; some that wait; the newest
 * one apart. */
static void lives_make(lab *l, kept *first, kept *before, kept *closed, kept *killed, buf *newest)
{
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    everything_make(l);
    const problem_patch patch = {
        l->item, lab_id(5), l->name, {.kind = FB_KIND_TEXT, .u.text = T("corrected")}};
    if (problem_resubmit(l->r, 1, &patch, 1, &gseq, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    lab_close(l);
    files_keep(l, first);
    lab_reopen(l);
    assert_int_equal(replica_rebirth(l->r, &err), FB_OK);
    lab_close(l);
    files_keep(l, before);
    lab_reopen(l);
    lab_save(l, 2, "newest", 1);
    files_keep(l, killed); /* as it stands now, its log too */
    lab_close(l);
    files_keep(l, closed);
    newest_read(l, newest);
    lab_reopen(l);
}

static void open__says_what_failed(void **state)
{
    lab l;
    kept first, before, closed, killed, mixed;
    buf newest;
    (void)state;
    buf_init(&newest, 1 << 20);
    lives_make(&l, &first, &before, &closed, &killed, &newest);
    const int64_t groups = lab_count(&l, "SELECT count(*) FROM fb_outbox");
    const int64_t last = lab_count(&l, "SELECT max(gseq) FROM fb_outbox");
    mixed = closed;
    for (int i = 1; i < 3; i++) { /* the second copy of before */
        mixed.data[i] = before.data[i];
        mixed.size[i] = before.size[i];
    }
    opening openings[] = {
        {"in order", BASE | FIRST | SECOND, false, NULL, 0, &closed, l, 0},
        {"the program was killed", BASE | FIRST | SECOND | LOG, false, NULL, 0, &killed, l, 0},
        {"the database is lost", FIRST | SECOND, false, NULL, 0, &closed, l, 0},
        {"the second copy is lost", BASE, true, NULL, 0, &closed, l, 0},
        {"both, and damaged", BASE | FIRST | SECOND, true, NULL, 0, &closed, l, 0},
        {"a correction stands only there", FIRST | SECOND, false, NULL, 0, &first, l, 0},
        {"the newest mark was not written", BASE | FIRST | SECOND, false, &newest, last, &mixed, l,
         0},
    };
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        opening *o = &openings[i];
        if (EVERY > 1 && i != 2) {
            continue; /* one of them for every test run; ./run coverage takes them all */
        }
        snprintf(o->to.path, sizeof o->to.path, "%s", lab_path("reading_fails_to"));
        o->to.r = NULL;
        lab_port(&o->to);
        each_site_fails(&(each_site){open_copy, NULL, o});
        if (o->groups < groups - 2) { /* from the database alone: what was answered is not there */
            fail_msg("%s: %d groups", o->why, (int)o->groups);
        }
    }
    lab_check(&l);
    lab_stop(&l);
    buf_clear(&newest);
    files_drop(&first);
    files_drop(&before);
    files_drop(&closed);
    files_drop(&killed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading__says_what_failed),
        cmocka_unit_test(check__of_versions_says_what_failed),
        cmocka_unit_test(open__says_what_failed),
        cmocka_unit_test(fetch__giving_up_fails_as_a_whole),
        cmocka_unit_test(list__ends_where_its_reader_stops),
    };
    return cmocka_run_group_tests_name("reading_fails", tests, NULL, NULL);
}
