/* test_reading_fails.c - calls that change nothing: the check of every promise, the lists a person
 * looks at, the request that goes up next. When a statement fails, or memory is short, they say so
 * (each_site.h); the same call made again has its answer. */
#include "support/each_site.h"
#include "support/lab.h"
#include "sync/push.h"

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

static void reading__says_what_failed(void **state)
{
    static fb_code (*const CALLS[])(void *ctx) = {check_it, check_untold, problems, parked,
                                                  warnings, drafts,       status,   request};
    lab l;
    (void)state;
    everything_make(&l);
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        each_site_fails(&(each_site){CALLS[i], NULL, &l});
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading__says_what_failed),
        cmocka_unit_test(list__ends_where_its_reader_stops),
    };
    return cmocka_run_group_tests_name("reading_fails", tests, NULL, NULL);
}
