/* test_row_sum.c - the digest of rows: the golden numbers of protocol.md section 6.5, worked out by
 * other means, and the texts that carry it. */
#include "support/wire_fixture.h"

#include <string.h>

#include "wire/row_sum.h"

static fb_id id_read(const char *text)
{
    fb_id id;
    assert_true(id_get(text_of(text), &id));
    return id;
}

static void sums__are_those_of_the_protocol(void **state)
{
    (void)state;
    const fb_id a = id_read("018bcfe5-6800-7000-8000-000000000001");
    const fb_id b = id_read("018bcfe5-6800-7001-8000-000000000001");
    row_sums s = {.rows = 0};
    assert_int_equal(row_bucket(T("customer"), &a), 37);
    assert_int_equal(row_bucket(T("promotion_quota"), &b), 23);
    row_sums_add(&s, T("customer"), &a, 5368709120);
    assert_true(s.bucket[37] == 0x1c68851bacce47d0u);
    row_sums_add(&s, T("promotion_quota"), &b, 5368709122);
    row_totals t = row_totals_of(&s);
    assert_int_equal(t.rows, 2);
    assert_true(t.sum == 0x6fb89e80ee7b61acu);
    row_sums_take(&s, T("customer"), &a, 5368709120);
    row_sums_take(&s, T("promotion_quota"), &b, 5368709122);
    assert_true(row_sums_equal(&s, &(row_sums){.rows = 0}));
}

static void sums__go_through_their_texts(void **state)
{
    (void)state;
    char room[ROW_TOTALS_TEXT_BYTES];
    row_sums s = {.rows = 12};
    row_sums back;
    row_totals t;
    buf out;
    for (size_t i = 0; i < ROW_BUCKETS; i++) {
        s.bucket[i] = i * 0x0123456789ABCDEFu;
    }
    const row_totals mine = row_totals_of(&s);
    fb_text text = row_totals_put(&mine, room);
    assert_true(row_totals_get(text, &t));
    assert_true(t.rows == 12 && t.sum == mine.sum);
    static const char *const bad[] = {"",
                                      ":0123456789abcdef",
                                      "1:0123456789ABCDEF",
                                      "1:123456789abcdef",
                                      "-1:0123456789abcdef",
                                      "x:0123456789abcdef",
                                      "1.0123456789abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(row_totals_get(text_of(bad[i]), &t));
    }
    buf_init(&out, 1 << 16);
    row_buckets_put(&out, &s);
    assert_true(row_buckets_get(buf_text(&out), &back));
    assert_memory_equal(back.bucket, s.bucket, sizeof s.bucket);
    out.data[4000] = 'g';
    assert_false(row_buckets_get(buf_text(&out), &back));
    assert_false(row_buckets_get((fb_text){out.data, out.size - 1}, &back));
    buf_clear(&out);
}

static void buckets__make_sets(void **state)
{
    (void)state;
    bucket_set set = {{0}};
    bucket_set_add(&set, 0);
    bucket_set_add(&set, 37);
    bucket_set_add(&set, 255);
    bucket_set_add(&set, 255);
    assert_int_equal(bucket_set_count(&set), 3);
    assert_true(bucket_set_has(&set, 37));
    assert_false(bucket_set_has(&set, 36));
    assert_int_equal(set.bits[37 / 8], 1 << 37 % 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums__are_those_of_the_protocol),
        cmocka_unit_test(sums__go_through_their_texts),
        cmocka_unit_test(buckets__make_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
