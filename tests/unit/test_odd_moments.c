/* test_odd_moments.c - moments that a device seldom or never meets: a clock of any year, marks that
 * contradict each other, a server that is replaced again and again, sums that do not fit, a person
 * who takes a phone over with work in its tray. Nothing is lost, and nothing else changes. */
#include "base/id.h"
#include "support/lab.h"

#define DB lab_path("odd_moments")

static int64_t meta(lab *l, const char *key)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT coalesce((SELECT value FROM fb_meta WHERE key='%s'), 0)",
             key);
    return lab_count(l, sql);
}

/* --- clocks --------------------------------------------------------------------------------- */

static void clock__of_any_year_is_taken_or_left(void **state)
{
    enum { KEPT = 5000 };
    static const int64_t LEFT[][2] = {{0, 1}, {-1, 1}, {1, 0}, {1, -1}};
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    assert_int_equal(replica_clock_seen(l.r, LAB_WALL_MS + KEPT, LAB_WALL_MS), FB_OK);
    assert_int_equal(meta(&l, "clock_offset"), KEPT);
    for (size_t i = 0; i < sizeof LEFT / sizeof LEFT[0]; i++) {
        assert_int_equal(replica_clock_seen(l.r, LEFT[i][0], LEFT[i][1]), FB_OK);
        assert_int_equal(meta(&l, "clock_offset"), KEPT);
    }
    /* A server of the end of time, and then one that is as far behind. */
    assert_int_equal(replica_clock_seen(l.r, INT64_MAX, 1), FB_OK);
    const int64_t far = meta(&l, "clock_offset");
    assert_true(far == INT64_MAX - 1);
    assert_int_equal(replica_clock_seen(l.r, 1, INT64_MAX), FB_OK);
    assert_true(meta(&l, "clock_offset") == far);
    lab_save(&l, 1, "at a time that no number holds", 1);
    lab_check(&l);
    lab_stop(&l);
}

/* --- marks ---------------------------------------------------------------------------------- */

/* Another program wrote them: the check says so, whatever this one remembers. */
static void marks__that_contradict_each_other_are_found(void **state)
{
    static const char *const MARKS[] = {
        "('acked', 9)",
        "('settled', 1), ('acked', 1)",
        "('settled', 1), ('based', 1)",
        "('backed_up', 9)",
        "('pruned', 1), ('backed_up', 1)",
        "('pruned', 1), ('settled', 1), ('based', 1), ('acked', 1)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof MARKS / sizeof MARKS[0]; i++) {
        lab l, m;
        char sql[200];
        fb_error err = {.code = FB_OK};
        lab_start(&l, DB, 2);
        lab_save(&l, 1, "one", 1);
        m = l;
        m.r = NULL;
        lab_port(&m);
        assert_int_equal(lab_open(&m, &err), FB_OK);
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO fb_meta VALUES %s", MARKS[i]);
        assert_int_equal(sql_exec(replica_sql(m.r), sql), FB_OK);
        fb_code rc = replica_check(l.r, &err);
        if (rc != FB_E_CORRUPT || strcmp(err.field, "OUT-4") != 0) {
            fail_msg("%s: %s %s", MARKS[i], fb_code_name(rc), err.field);
        }
        lab_close(&m);
        lab_stop(&l);
    }
}

/* --- random bytes --------------------------------------------------------------------------- */

/* The lab is what its port knows: it stands first. */
typedef struct failing {
    lab l;
    int left;
    fb_code (*fill)(void *ctx, void *out, size_t size);
} failing;

static fb_code fill_some(void *ctx, void *out, size_t size)
{
    failing *f = ctx;
    memset(out, 0, size);
    return f->left-- > 0 ? f->fill(ctx, out, size) : FB_E_IO;
}

/* They end while a file is made, or while its person is told to it. */
static void random_bytes__that_end_are_told(void **state)
{
    enum { ENOUGH = 20 };
    int failures = 0;
    (void)state;
    for (int left = 0; left <= ENOUGH; left++) {
        failing f = {.left = left};
        fb_error err = {.code = FB_OK};
        lab_init(&f.l, DB, NULL, 5);
        f.fill = f.l.port.random;
        f.l.port.random = fill_some;
        fb_code rc = lab_open(&f.l, &err);
        if (rc == FB_OK) {
            const replica_identity me = {
                .device = f.l.device, .user = f.l.user, .epoch = f.l.epoch, .enrolled = true};
            rc = replica_identity_set(f.l.r, &me);
        }
        assert_true(rc == FB_OK || rc == FB_E_IO);
        assert_true(rc == FB_OK || left < ENOUGH);
        failures += rc != FB_OK;
        lab_stop(&f.l);
    }
    assert_true(failures > 2);
}

/* --- files ---------------------------------------------------------------------------------- */

/* It has no table yet, but another program has put its name into it. */
static void file__of_another_program_is_left_alone(void **state)
{
    lab l;
    sql_db *db = NULL;
    fb_error err = {.code = FB_OK};
    const sql_options o = {.create = true};
    (void)state;
    lab_init(&l, DB, NULL, 6);
    assert_int_equal(sql_open(DB, &o, &db, &err), FB_OK);
    assert_int_equal(sql_exec(db, "PRAGMA application_id=5"), FB_OK);
    sql_close(db);
    assert_int_equal(lab_open(&l, &err), FB_E_INVALID);
    assert_non_null(strstr(err.message, "choose another path"));
    lab_stop(&l);
}

/* --- servers -------------------------------------------------------------------------------- */

static fb_code epoch_try(lab *l, unsigned n, bool reset)
{
    static int64_t head = 100;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    char token[20];
    snprintf(token, sizeof token, "0.%d", (int)++head);
    const page_head page = {
        .token = text_of(token), .complete = true, .reset = reset, .of = T("0123456789abcdef")};
    l->epoch = lab_id(0xE00100 + n);
    reply_begin(l, &out, 0, 0, head);
    page_head_put(&out, &page);
    if (reset) {
        reply_rights(l, &out);
    }
    fb_code rc = reply_try(l, &out, &got, &err);
    assert_true(rc != FB_OK || got.epoch_changed);
    assert_true(rc != FB_OK || got.promoted == reset);
    return rc;
}

/* It remembers sixteen that it left, and none of them may come back. */
static void epoch__left_is_remembered_for_sixteen_more(void **state)
{
    enum { EPOCHS = 18, KEPT = 16, ID_CHARS = 36 };
    lab l;
    (void)state;
    lab_start(&l, DB, 3);
    for (unsigned n = 1; n <= EPOCHS; n++) {
        assert_int_equal(epoch_try(&l, n, n % 2 == 0), FB_OK);
    }
    assert_int_equal(lab_count(&l, "SELECT length(value) FROM fb_meta WHERE key='epochs_left'"),
                     KEPT * ID_CHARS);
    assert_int_equal(epoch_try(&l, EPOCHS - KEPT, true), FB_E_EPOCH);
    assert_int_equal(epoch_try(&l, EPOCHS - KEPT - 1, true), FB_OK); /* forgotten */
    lab_check(&l);
    lab_stop(&l);
}

static void epoch__must_be_named_by_the_first_reply(void **state)
{
    lab l;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&l, DB, NULL, 4);
    const fb_id named = l.epoch;
    l.epoch = (fb_id){{0}};
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    reply_begin(&l, &out, 0, 0, 1);
    reply_page(&out, "0.1", true, true);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_E_PROTOCOL);
    l.epoch = named;
    lab_first_sync(&l);
    lab_save(&l, 1, "one", 1);
    replica_identity me;
    assert_int_equal(replica_identity_get(l.r, &me), FB_OK);
    assert_true(id_equal(&me.epoch, &named));
    lab_stop(&l);
}

/* A verdict that was given stands: what is said of its group once more changes nothing. */
static void verdict__given_once_stands(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 5);
    lab_save(&l, 1, "applied", 1);
    lab_save(&l, 2, "held", 2);
    reply_begin(&l, &out, 2, 0, 5);
    verdict_run_put(&out, 1, 1, 5);
    reply_verdict(&out, 2, VERDICT_HELD, false);
    reply_page(&out, "0.5", true, false);
    reply_take(&l, &out);
    reply_begin(&l, &out, 2, 0, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_verdict(&out, 2, VERDICT_HELD, false);
    reply_page(&out, "0.6", true, false);
    stage_result got = reply_take(&l, &out);
    assert_int_equal(got.rejected + got.held, 0);
    assert_true(lab_has(&l, 1) && lab_has(&l, 2));
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_verdict"), 1);
    lab_check(&l);
    lab_stop(&l);
}

/* --- sums ----------------------------------------------------------------------------------- */

static fb_code first_warning(void *ctx, const warning *w)
{
    if (*(int64_t *)ctx == 0) {
        *(int64_t *)ctx = w->gseq;
    }
    return FB_OK;
}

/* The office set a quantity to which no difference can be added: it is shown as the office has it,
 * the person is warned, and the difference is sent all the same. */
static void difference__that_no_longer_fits_is_told(void **state)
{
    lab l;
    buf out;
    fb_error err;
    int64_t warned = 0;
    const fb_id six = lab_id(6);
    (void)state;
    lab_start(&l, DB, 6);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 6, "six", NULL, 10, 50);
    reply_take(&l, &out);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_delta(l.r, l.item, &six, l.qty, 3, &err), FB_OK);
    lab_commit(&l);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_row(&l, &out, 6, "six", NULL, INT64_MAX - 1, 60);
    reply_take(&l, &out);
    assert_true(lab_qty(&l, 6) == INT64_MAX - 1);
    assert_int_equal(warning_each(l.r, first_warning, &warned), FB_OK);
    assert_int_equal(warned, 1);
    outbox_state box;
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last - box.acked, 1);
    lab_check(&l);
    lab_stop(&l);
}

/* --- the tray ------------------------------------------------------------------------------- */

static void refused_difference(lab *l)
{
    buf out;
    fb_error err;
    const fb_id six = lab_id(6);
    reply_begin(l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(l, &out, 6, "six", NULL, 10, 50);
    reply_take(l, &out);
    lab_begin(l, "lab.save");
    assert_int_equal(capture_delta(l->r, l->item, &six, l->qty, 3, &err), FB_OK);
    lab_commit(l);
    reply_begin(l, &out, 1, 0, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
}

static fb_code correct(lab *l, int64_t gseq, const cat_entity *e, int column, int64_t value,
                       fb_error *err)
{
    int64_t made = 0;
    const problem_patch patch = {e, lab_id(6), column, {.kind = FB_KIND_INT, .u.i = value}};
    return problem_resubmit(l->r, gseq, &patch, 1, &made, err);
}

static void correction__must_leave_something_and_name_what_is_there(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 7);
    refused_difference(&l);
    assert_int_equal(correct(&l, 1, l.item, l.qty, 0, &err), FB_E_STATE);
    assert_non_null(strstr(err.message, "discard it instead"));
    assert_int_equal(correct(&l, 2, l.item, l.qty, 4, &err), FB_E_NOT_FOUND);
    assert_int_equal(correct(&l, 1, NULL, l.qty, 4, &err), FB_E_MISUSE);
    assert_int_equal(correct(&l, 1, l.item, 0, 4, &err), FB_E_MISUSE);
    assert_int_equal(correct(&l, 1, l.item, (int)l.item->columns_count, 4, &err), FB_E_MISUSE);
    assert_int_equal(correct(&l, 1, l.item, l.qty, 4, &err), FB_OK);
    assert_int_equal(lab_qty(&l, 6), 14);
    lab_check(&l);
    lab_stop(&l);
}

/* Everything is answered, but something waits for a decision of the person before. */
static void phone__with_a_tray_is_not_handed_over(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 8);
    refused_difference(&l);
    replica_identity me = {
        .device = l.device, .user = lab_id(0xF000FF), .epoch = l.epoch, .enrolled = true};
    assert_int_equal(replica_identity_set(l.r, &me), FB_E_STATE);
    assert_int_equal(problem_discard(l.r, 1, &err), FB_OK);
    assert_int_equal(replica_identity_set(l.r, &me), FB_OK);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 0);
    lab_stop(&l);
}

/* --- a file that need not wait for the disk -------------------------------------------------- */

static void relaxed_file__stays_relaxed_after_a_reply(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 9);
    lab_close(&l);
    const replica_options o = {.path = l.path, .port = &l.port, .sync_normal = true};
    assert_int_equal(replica_open(&o, &l.r, &err), FB_OK);
    lab_find_columns(&l);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 6, "six", NULL, 10, 50);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "PRAGMA synchronous"), 1);
    lab_save(&l, 1, "one", 1);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock__of_any_year_is_taken_or_left),
        cmocka_unit_test(marks__that_contradict_each_other_are_found),
        cmocka_unit_test(random_bytes__that_end_are_told),
        cmocka_unit_test(file__of_another_program_is_left_alone),
        cmocka_unit_test(epoch__left_is_remembered_for_sixteen_more),
        cmocka_unit_test(epoch__must_be_named_by_the_first_reply),
        cmocka_unit_test(verdict__given_once_stands),
        cmocka_unit_test(difference__that_no_longer_fits_is_told),
        cmocka_unit_test(correction__must_leave_something_and_name_what_is_there),
        cmocka_unit_test(phone__with_a_tray_is_not_handed_over),
        cmocka_unit_test(relaxed_file__stays_relaxed_after_a_reply),
    };
    return cmocka_run_group_tests_name("odd_moments", tests, NULL, NULL);
}
