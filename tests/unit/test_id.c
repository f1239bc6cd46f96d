/* test_id.c - ids: order, uniqueness whatever the clock does (ID-1), strict text form. */
#include "support/wire_fixture.h"

static const uint8_t RANDOM[8] = {0xFF, 1, 2, 3, 4, 5, 6, 7};

static void id__ID_1_never_repeats_and_always_rises(void **state)
{
    (void)state;
    id_maker m;
    id_maker_init(&m, RANDOM);
    fb_id last = id_make(&m, 1700000000000);
    for (int i = 0; i < 20000; i++) { /* more than the counter holds; the clock jumps about */
        int64_t wall = i % 7 == 0 ? 0 : i % 11 == 0 ? -5 : 1700000000000 + i / 5000;
        fb_id next = id_make(&m, wall);
        assert_true(id_compare(&last, &next) < 0);
        last = next;
    }
}

static void id__layout_is_version_7_with_the_source_behind(void **state)
{
    (void)state;
    id_maker m;
    id_maker_init(&m, RANDOM);
    fb_id id = id_make(&m, 0x0123456789AB);
    const uint8_t wanted[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0x70, 0x00,
                                0xBF, 1,    2,    3,    4,    5,    6,    7};
    assert_memory_equal(id.b, wanted, 16);
    for (int i = 0; i < 0x1000; i++) {
        id = id_make(&m, 0x0123456789AB);
    }
    assert_int_equal(id.b[5], 0xAC); /* 4096 more: the next millisecond, counter 0 */
    assert_int_equal(id.b[6] << 8 | id.b[7], 0x7000);
}

static void id__clock_beyond_48_bits_is_not_believed(void **state)
{
    (void)state;
    id_maker m;
    id_maker_init(&m, RANDOM);
    fb_id a = id_make(&m, 5);
    fb_id b = id_make(&m, INT64_MAX);
    assert_memory_equal(a.b, b.b, 6);
    assert_true(id_compare(&a, &b) < 0);
}

static void id__text_goes_round(void **state)
{
    (void)state;
    char text[FB_ID_TEXT_BYTES];
    fb_id id = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x7a, 0xbc, 0x8d, 0xef, 0, 0x11, 0x22, 0x33,
                 0x44, 0xff}};
    id_put(&id, text);
    assert_string_equal(text, "018bcfe5-6800-7abc-8def-0011223344ff");
    fb_id back = {{0}};
    assert_true(id_get(text_of(text), &back));
    assert_true(id_equal(&id, &back));
}

static void id__any_other_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "018bcfe5-6800-7abc-8def-0011223344f",
                                      "018bcfe5-6800-7abc-8def-0011223344fff",
                                      "018BCFE5-6800-7abc-8def-0011223344ff",
                                      "018bcfe5-6800-7Abc-8def-0011223344ff",
                                      "018bcfe5-6800-7aBc-8def-0011223344ff",
                                      "018bcfe5-6800-7abC-8def-0011223344ff",
                                      "018bcfe5-6800-7abc-8Def-0011223344ff",
                                      "018bcfe5-6800-7abc-8dEf-0011223344ff",
                                      "018bcfe5-6800-7abc-8deF-0011223344ff",
                                      "018bcfe5-6800-7abc-8def-0011223344fg",
                                      "018bcfe5_6800-7abc-8def-0011223344ff",
                                      "018bcfe56-800-7abc-8def-0011223344ff",
                                      "018bcfe5-68007-abc-8def-0011223344ff",
                                      "018bcfe5-6800-7abc8-def-0011223344ff",
                                      "018bcfe5-6800-7abc-8def0-011223344ff",
                                      "018bcfe5-6800-7abc-8def-0011223344f ",
                                      "018bcfe5-6800-7abc-8def-0011223344\xC3\xA9"};
    fb_id id = id_of(3), before = id;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(id_get(text_of(bad[i]), &id));
        assert_true(id_equal(&id, &before));
    }
}

static void id__none_is_all_zero(void **state)
{
    (void)state;
    fb_id none = {{0}}, some = {{0}};
    some.b[15] = 1;
    assert_true(id_is_none(&none));
    assert_false(id_is_none(&some));
    assert_true(id_compare(&none, &some) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id__ID_1_never_repeats_and_always_rises),
        cmocka_unit_test(id__layout_is_version_7_with_the_source_behind),
        cmocka_unit_test(id__clock_beyond_48_bits_is_not_believed),
        cmocka_unit_test(id__text_goes_round),
        cmocka_unit_test(id__any_other_text_is_refused),
        cmocka_unit_test(id__none_is_all_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
