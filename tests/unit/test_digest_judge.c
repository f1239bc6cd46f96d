/* test_digest_judge.c - what the device does about totals that differ from its rows (protocol.md
 * section 6.5), step by step, against pages written by hand. With a server: test_digest_repair. */
#include "support/lab.h"
#include "wire/row_sum.h"

#define DB lab_path("digest_judge")
#define WRONG T("99:0123456789abcdef")
enum { DAY = 24 * 60 * 60 * 1000 };

/* What the device has summed up (schema: fb_digest). */
static row_totals totals_now(lab *l)
{
    bool row = false;
    sql_stmt *q = sql_prepare(replica_sql(l->r), "SELECT rows, buckets FROM fb_digest");
    assert_int_equal(sql_step(q, &row), FB_OK);
    assert_true(row);
    const fb_text buckets = sql_blob(q, 1);
    assert_int_equal(buckets.size, ROW_BUCKETS * sizeof(uint64_t));
    row_sums sums = {.rows = sql_int(q, 0)};
    for (size_t i = 0; i < buckets.size; i++) {
        uint64_t *bucket = &sums.bucket[i / sizeof(uint64_t)];
        *bucket = *bucket << 8 | (uint8_t)buckets.data[i];
    }
    sql_reset(q);
    return row_totals_of(&sums);
}

static stage_result page_take(lab *l, fb_text totals, bool reset, const bucket_set *fix)
{
    static int64_t head = 5;
    buf out;
    char token[20];
    head++;
    snprintf(token, sizeof token, "0.%d", (int)head);
    page_head page = {.token = text_of(token), .complete = true, .reset = reset, .totals = totals};
    if (fix != NULL) {
        page.fix = *fix;
    }
    reply_begin(l, &out, 0, 0, head);
    page_head_put(&out, &page);
    if (reset) {
        reply_rights(l, &out);
    }
    return reply_take(l, &out);
}

static stage_result right_take(lab *l)
{
    char room[ROW_TOTALS_TEXT_BYTES];
    const row_totals totals = totals_now(l);
    return page_take(l, row_totals_put(&totals, room), false, NULL);
}

static int64_t faults(lab *l)
{
    replica_status st;
    assert_int_equal(replica_status_get(l->r, &st), FB_OK);
    return st.digest_faults;
}

/* Does the next request carry the buckets? */
static bool asks_buckets(lab *l)
{
    bool check = false;
    buf buckets;
    buf_init(&buckets, 1 << 16);
    assert_int_equal(digest_ask(l->r, false, &check, &buckets), FB_OK);
    bool any = buckets.size > 0;
    buf_clear(&buckets);
    return any;
}

static void mending__ends_when_the_totals_agree(void **state)
{
    lab l;
    bucket_set one = {{1}}, two = {{2}};
    (void)state;
    lab_start(&l, DB, 1);
    stage_result got = right_take(&l);
    assert_false(got.digest_wrong || got.digest_again || asks_buckets(&l));
    got = page_take(&l, WRONG, false, NULL);
    assert_true(got.digest_wrong && got.digest_again && !got.digest_alarm);
    assert_true(asks_buckets(&l));
    assert_int_equal(faults(&l), 1);
    /* Other buckets each time: it goes on. */
    got = page_take(&l, WRONG, false, &one);
    assert_true(got.digest_again && got.digest_fixed == 1 && asks_buckets(&l));
    got = page_take(&l, WRONG, false, &two);
    assert_true(got.digest_again && asks_buckets(&l));
    assert_int_equal(faults(&l), 1); /* one affair */
    got = right_take(&l);
    assert_false(got.digest_again || got.digest_alarm || asks_buckets(&l));
    lab_check(&l);
    lab_stop(&l);
}

/* In MENDING: a page that mends what was mended already, or nothing. */
static void same_bucket__twice_means_anew(void **state)
{
    const bucket_set one = {{1}};
    (void)state;
    for (int none = 0; none < 2; none++) {
        lab l;
        lab_start(&l, DB, 1);
        (void)page_take(&l, WRONG, false, NULL);
        if (none == 0) {
            (void)page_take(&l, WRONG, false, &one);
            assert_true(asks_buckets(&l));
        }
        stage_result got = page_take(&l, WRONG, false, none == 0 ? &one : NULL);
        assert_true(got.digest_again);
        assert_false(asks_buckets(&l)); /* everything comes again instead */
        buf token;
        buf_init(&token, 1000);
        assert_int_equal(stage_token(l.r, &token), FB_OK);
        assert_int_equal(token.size, 0);
        buf_clear(&token);
        lab_stop(&l);
    }
}

/* In MENDING: without a base, or a sum of one's own, there is nothing to ask with; and a page of a
 * download, whose request named no bucket, proves nothing. */
static void mending__asks_with_what_there_is(void **state)
{
    lab l;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 1);
    (void)page_take(&l, WRONG, false, NULL);
    assert_true(asks_buckets(&l));
    assert_int_equal(sql_exec(replica_sql(l.r), "CREATE TABLE kept AS SELECT * FROM fb_digest;"
                                                "DELETE FROM fb_digest"),
                     FB_OK);
    assert_false(asks_buckets(&l));
    assert_int_equal(sql_exec(replica_sql(l.r), "INSERT INTO fb_digest SELECT * FROM kept"), FB_OK);
    reply_begin(&l, &out, 0, 0, 1000);
    reply_page(&out, "0.1000", false, false);
    reply_row(&l, &out, 5, "five", NULL, 5, 50);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_OK);
    const page_head last = {.token = T("0.1001"), .complete = true, .totals = WRONG};
    reply_begin(&l, &out, 0, 0, 1001);
    page_head_put(&out, &last);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_OK);
    assert_true(got.digest_again && asks_buckets(&l)); /* still mending */
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    assert_false(asks_buckets(&l)); /* everything comes anew */
    lab_stop(&l);
}

static void alarm__stands_for_a_day_and_ends_when_they_agree(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    (void)page_take(&l, WRONG, false, NULL);
    (void)page_take(&l, WRONG, false, NULL); /* anew */
    stage_result got = page_take(&l, WRONG, true, NULL);
    assert_true(got.digest_alarm && got.digest_wrong && !got.digest_again);
    assert_int_equal(faults(&l), 2);
    /* The same day: a page or a download that is wrong again says nothing new. */
    got = page_take(&l, WRONG, false, NULL);
    assert_true(got.digest_alarm && !got.digest_wrong && !got.digest_again);
    got = page_take(&l, WRONG, true, NULL);
    assert_true(got.digest_alarm && !got.digest_wrong && !got.digest_again);
    assert_int_equal(faults(&l), 2);
    l.wall_ms += DAY + 1; /* tried once more */
    got = page_take(&l, WRONG, false, NULL);
    assert_true(!got.digest_alarm && got.digest_wrong && got.digest_again);
    assert_int_equal(faults(&l), 3);
    (void)page_take(&l, WRONG, false, NULL);
    got = page_take(&l, WRONG, true, NULL);
    assert_true(got.digest_alarm);
    got = right_take(&l);
    assert_false(got.digest_alarm || got.digest_again);
    lab_check(&l);
    lab_stop(&l);
}

/* A sum that strayed from rows that are right: told once, and no row is fetched. */
static void strayed_sum__is_told_and_put_right(void **state)
{
    lab l;
    char room[ROW_TOTALS_TEXT_BYTES];
    (void)state;
    lab_start(&l, DB, 1);
    (void)right_take(&l);
    const row_totals right = totals_now(&l);
    assert_int_equal(sql_exec(replica_sql(l.r), "UPDATE fb_digest SET rows = rows + 1"), FB_OK);
    lab_reopen(&l);
    l.wall_ms += DAY + 1; /* the rows are counted once a day */
    stage_result got = page_take(&l, row_totals_put(&right, room), false, NULL);
    assert_true(got.digest_wrong && !got.digest_again && !got.digest_alarm);
    assert_int_equal(faults(&l), 1);
    got = page_take(&l, row_totals_put(&right, room), false, NULL);
    assert_false(got.digest_wrong || got.digest_again);
    lab_check(&l);
    lab_stop(&l);
}

static stage_result row_take(lab *l, unsigned id)
{
    static int64_t head = 500;
    buf out;
    char token[20];
    head++;
    snprintf(token, sizeof token, "0.%d", (int)head);
    reply_begin(l, &out, 0, 0, head);
    reply_page(&out, token, true, false);
    reply_row(l, &out, id, "row", NULL, 1, head);
    return reply_take(l, &out);
}

static void sum_stray(lab *l)
{
    assert_int_equal(sql_exec(replica_sql(l->r), "UPDATE fb_digest SET rows = rows + 1"), FB_OK);
    lab_reopen(l);
    l->wall_ms += DAY + 1;
}

/* Nobody told the totals: it is told, and they are asked for. */
static void strayed_sum__is_found_without_totals(void **state)
{
    lab l;
    bool check = false;
    buf buckets;
    (void)state;
    lab_start(&l, DB, 1);
    (void)right_take(&l);
    sum_stray(&l);
    const stage_result got = row_take(&l, 5);
    assert_true(got.digest_wrong && !got.digest_again && faults(&l) == 1);
    buf_init(&buckets, 1 << 16);
    assert_int_equal(digest_ask(l.r, false, &check, &buckets), FB_OK);
    assert_true(check);
    buf_clear(&buckets);
    lab_check(&l);
    lab_stop(&l);
}

/* Its fault was told when the mending began: it ends, and nothing new is said. */
static void strayed_sum__in_the_midst_of_mending(void **state)
{
    lab l;
    char room[ROW_TOTALS_TEXT_BYTES];
    (void)state;
    lab_start(&l, DB, 1);
    (void)right_take(&l);
    const row_totals right = totals_now(&l);
    (void)page_take(&l, WRONG, false, NULL);
    sum_stray(&l);
    const stage_result got = page_take(&l, row_totals_put(&right, room), false, NULL);
    assert_false(got.digest_wrong || got.digest_again);
    assert_int_equal(faults(&l), 1);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mending__ends_when_the_totals_agree),
        cmocka_unit_test(same_bucket__twice_means_anew),
        cmocka_unit_test(alarm__stands_for_a_day_and_ends_when_they_agree),
        cmocka_unit_test(strayed_sum__is_told_and_put_right),
        cmocka_unit_test(strayed_sum__is_found_without_totals),
        cmocka_unit_test(strayed_sum__in_the_midst_of_mending),
        cmocka_unit_test(mending__asks_with_what_there_is),
    };
    return cmocka_run_group_tests_name("digest_judge", tests, NULL, NULL);
}
