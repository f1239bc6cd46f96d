/* test_row_value.c - one value against its column: limits, forms by name, times, dates in order.
 * Method: good and bad values by column, tried on insert and on update (row_fixture.h). */
#include "unit/row_fixture.h"

/* Values by column: each good one passes and each bad one is refused, on insert and on update. */
/* clang-format off */
static const struct {
    const char *column, *value;
    fb_code code;
} TEXTS[] = {
    {"phone", "138 0013 8000", FB_OK}, {"phone", "+49 (0)30-0074321", FB_OK},
    {"phone", "40.32.2555", FB_OK}, {"phone", "０１０６２７", FB_OK}, {"phone", "110", FB_OK},
    {"phone", "12", FB_E_FORMAT}, {"phone", "call me", FB_E_FORMAT},
    {"phone", "1380+0138000", FB_E_FORMAT}, {"phone", "1234567890123456", FB_E_FORMAT},
    {"office_mobile", "13800138000", FB_OK}, {"office_mobile", "none", FB_E_FORMAT},
    {"email", "a@b.cn", FB_OK}, {"email", "a.b.cn", FB_E_FORMAT},
    {"usc_code", "91350100M000100Y43", FB_OK}, {"usc_code", "91350100M000100Y44", FB_E_FORMAT},
    {"gtin", "4006381333931", FB_OK}, {"gtin", "4006381333932", FB_E_FORMAT},
    {"valid_from", "2024-02-29", FB_OK}, {"valid_from", "2023-02-29", FB_E_FORMAT},
    {"kind", "ka", FB_OK}, {"kind", "shop", FB_E_ENUM},
    {"name", "123456789012345678901234567890123456789012345678901234567890", FB_OK},
    {"name", "1234567890123456789012345678901234567890123456789012345678901", FB_E_LENGTH},
    {"name", "\xC3\x28", FB_E_FORMAT}, {"phone", "", FB_OK},
};
/* clang-format on */

static void row_value__texts_have_the_form_of_their_column(void **state)
{
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        row r = right_shop(state);
        updates(&r, TEXTS[i].column, text_v(TEXTS[i].value), TEXTS[i].code);
        set(&r, TEXTS[i].column, text_v(TEXTS[i].value));
        inserts(&r, TEXTS[i].code, TEXTS[i].column);
    }
}

/* next_at may lie ahead: it is a plan. */
static void row_value__numbers_and_times_stay_in_range(void **state)
{
    const int64_t ten_minutes_ms = 10 * 60 * 1000;
    const struct {
        const char *column;
        int64_t value;
        fb_code code;
    } rows[] = {
        /* clang-format off */
        {"lat_e7", 900000000, FB_OK}, {"lat_e7", -900000001, FB_E_RANGE},
        {"lon_e7", -1800000000, FB_OK}, {"lon_e7", 1800000001, FB_E_RANGE},
        {"discount_bp", 10000, FB_OK}, {"discount_bp", 10001, FB_E_RANGE},
        {"check_in_at", now_ms + ten_minutes_ms, FB_OK},
        {"check_in_at", now_ms + ten_minutes_ms + 1, FB_E_FUTURE}, {"next_at", now_ms * 2, FB_OK},
        {"name", 5, FB_E_INVALID},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row r = right_shop(state);
        updates(&r, rows[i].column, int_v(rows[i].value), rows[i].code);
        set(&r, rows[i].column, int_v(rows[i].value));
        inserts(&r, rows[i].code, rows[i].column);
    }
}

static void says(const row *r, const char *column, fb_value mine, const char *text_en,
                 const char *cure_en)
{
    issue i;
    int columns[] = {at(r, column)};
    assert_int_not_equal(row_check_update(r->e, r->v, columns, &mine, 1, &DEVICE, now_ms, &i),
                         FB_OK);
    assert_string_equal(i.text_en, text_en);
    assert_string_equal(i.cure_en, cure_en);
}

static void row_value__words_carry_the_numbers_a_person_needs(void **state)
{
    row r = right_shop(state);
    says(&r, "discount_bp", int_v(10050), "Discount: 100.5 is not between 0 and 100",
         "enter a number from 0 to 100");
    says(&r, "kind", text_v("x"), "Kind: not one of the allowed values",
         "choose one of: retail, ka");
    says(&r, "usc_code", text_v("1234567890123456789"),
         "Company is too long: 19 bytes of at most 18",
         "shorten it (a Chinese character takes 3 bytes)");
    says(&r, "check_in_at", int_v(now_ms + 15 * 60 * 1000),
         "Check-in lies 15 minutes in the future", "check the clock of the device");
    says(&r, "lat_e7", int_v(1200000000), "Latitude: 120 degrees is not between -90 and 90",
         "take the position again; check that latitude and longitude are not exchanged");
}

static void row_value__long_lists_are_cut_with_a_sign(void **state)
{
    row r = right_note(state, "draft");
    issue i;
    int column = at(&r, "word");
    fb_value mine = text_v("x");
    assert_int_equal(row_check_update(r.e, r.v, &column, &mine, 1, &DEVICE, now_ms, &i), FB_E_ENUM);
    assert_string_equal(i.cure_en,
                        "choose one of: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "
                        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccccccccc, "
                        "dddddddddddddddddddddddddddddd ...");
}

static void row_value__dates_stand_in_order(void **state)
{
    row r = right_shop(state);
    set(&r, "valid_from", text_v("2024-06-07"));
    set(&r, "valid_to", text_v("2024-06-07"));
    inserts(&r, FB_OK, "");
    set(&r, "valid_to", text_v("2024-06-06"));
    inserts(&r, FB_E_INVALID, "valid_to");
    updates(&r, "name", text_v("x"), FB_OK); /* not what this change is about */
    set(&r, "valid_to", null_v());
    inserts(&r, FB_OK, "");
    updates(&r, "valid_to", text_v("2024-06-06"), FB_E_INVALID);
    updates_two(&r, "check_in_at", int_v(2), "check_out_at", int_v(2), FB_OK, "");
    updates_two(&r, "check_in_at", int_v(2), "check_out_at", int_v(1), FB_E_INVALID,
                "check_out_at");
    updates_two(&r, "valid_from", text_v("2024-06-09"), "valid_to", text_v("2024-06-08"),
                FB_E_INVALID, "valid_to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_value__texts_have_the_form_of_their_column),
        cmocka_unit_test(row_value__numbers_and_times_stay_in_range),
        cmocka_unit_test(row_value__words_carry_the_numbers_a_person_needs),
        cmocka_unit_test(row_value__long_lists_are_cut_with_a_sign),
        cmocka_unit_test(row_value__dates_stand_in_order),
    };
    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
