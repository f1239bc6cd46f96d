/* test_issue.c - messages for people. Goal: whatever is put in, each text is complete UTF-8 within
 * its field (ISS-1), and numbers read as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/text.h"
#include "rules/issue.h"

enum { LONG_BYTES = 400 };

/* `shift` ASCII characters, then Chinese ones: moves the cut through all three bytes. */
static void fill_long(char *text, size_t shift)
{
    memset(text, 'a', shift);
    for (size_t at = shift; at + 3 < LONG_BYTES; at += 3) {
        memcpy(text + at, "客", 3);
        text[at + 3] = '\0';
    }
}

static void is_whole(const char *field, size_t size)
{
    size_t used = strlen(field);
    assert_true(used < size && used + 3 >= size); /* full, but for a character that did not fit */
    assert_true(utf8_valid(text_of(field)));
}

static void issue_set__is_cut_between_characters_ISS_1(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        char text[LONG_BYTES];
        issue i;
        fill_long(text, shift);
        assert_int_equal(issue_set(&i, FB_E_INVALID, text, text, text, text, text), FB_E_INVALID);
        is_whole(i.field, sizeof i.field);
        is_whole(i.text_en, sizeof i.text_en);
        is_whole(i.text_zh, sizeof i.text_zh);
        is_whole(i.cure_en, sizeof i.cure_en);
        is_whole(i.cure_zh, sizeof i.cure_zh);
    }
}

static void issue_fill__is_cut_between_characters_ISS_1(void **state)
{
    (void)state;
    static const issue_words words = {FB_E_RANGE, "{1}.x",   "<{1}> {2}",
                                      "“{1}”{2}", "{2} {1}", "{2}{1}"};
    for (size_t shift = 0; shift < 8; shift++) {
        char text[LONG_BYTES];
        issue i;
        fill_long(text, shift);
        const issue_arg args[] = {issue_code(text_of(text)), issue_code(text_of("end"))};
        assert_int_equal(issue_fill(&i, &words, args, 2), FB_E_RANGE);
        is_whole(i.field, sizeof i.field);
        is_whole(i.text_zh, sizeof i.text_zh);
        is_whole(i.cure_en, sizeof i.cure_en);
        assert_null(strstr(i.text_zh, "end")); /* nothing follows a cut */
    }
}

static void issue_to_error__is_cut_between_characters_ISS_1(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        char text[LONG_BYTES];
        issue i;
        fb_error err;
        fill_long(text, shift);
        (void)issue_set(&i, FB_E_INVALID, text, text, "", text, "");
        assert_int_equal(issue_to_error(&i, &err), FB_E_INVALID);
        is_whole(err.field, sizeof err.field);
        is_whole(err.message, sizeof err.message);
    }
}

static void issue_to_error__names_field_breach_and_cure(void **state)
{
    (void)state;
    issue i;
    fb_error err;
    (void)issue_set(&i, FB_E_PRICE, "a.b", "it is wrong", "错", "mend it", "改");
    assert_int_equal(issue_to_error(&i, &err), FB_E_PRICE);
    assert_int_equal(err.code, FB_E_PRICE);
    assert_string_equal(err.field, "a.b");
    assert_string_equal(err.message, "it is wrong: mend it");
    assert_int_equal(issue_to_error(&i, NULL), FB_E_PRICE);
}

static void issue_fill__puts_arguments_by_number_and_language(void **state)
{
    (void)state;
    static const issue_words words = {FB_E_RANGE,   "t[{1}]", "{2} then {1} {9} {",
                                      "先{1}后{2}", "{1}{1}", ""};
    const issue_arg args[] = {issue_code(text_of("7")), {text_of("phone"), text_of("电话")}};
    issue i;
    (void)issue_fill(&i, &words, args, 2);
    assert_string_equal(i.field, "t[7]");
    assert_string_equal(i.text_en, "phone then 7 {9} {"); /* no such argument: left alone */
    assert_string_equal(i.text_zh, "先7后电话");
    assert_string_equal(i.cure_en, "77");
    assert_string_equal(i.cure_zh, "");
}

static void issue_fill__takes_nine_arguments(void **state)
{
    (void)state;
    static const issue_words words = {FB_E_RANGE, "{9}{1}", "{1}}", "{", "{a}", "x{1"};
    issue_arg args[9];
    issue i;
    for (int k = 0; k < 9; k++) {
        args[k] = issue_code((fb_text){&"123456789"[k], 1});
    }
    (void)issue_fill(&i, &words, args, 9);
    assert_string_equal(i.field, "91");
    assert_string_equal(i.text_en, "1}");
    assert_string_equal(i.text_zh, "{");
    assert_string_equal(i.cure_en, "{a}");
    assert_string_equal(i.cure_zh, "x{1");
}

static void issue_number__reads_as_people_write(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        unsigned digits, keep;
        const char *text;
    } rows[] = {
        {305000, 4, 2, "30.50"},
        {305001, 4, 2, "30.5001"},
        {300000, 4, 2, "30.00"},
        {50000, 3, 0, "50"},
        {2500, 3, 0, "2.5"},
        {5, 3, 0, "0.005"},
        {-5, 2, 2, "-0.05"},
        {0, 2, 2, "0.00"},
        {0, 3, 0, "0"},
        {1200, 0, 0, "1200"},
        {INT64_MIN, 2, 2, "-92233720368547758.08"},
        {INT64_MAX, 18, 18, "9.223372036854775807"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char room[ISSUE_NUMBER_BYTES];
        issue_arg arg = issue_number(room, rows[i].value, rows[i].digits, rows[i].keep);
        assert_true(text_is(arg.en, rows[i].text));
        assert_true(text_equal(arg.en, arg.zh));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issue_set__is_cut_between_characters_ISS_1),
        cmocka_unit_test(issue_fill__is_cut_between_characters_ISS_1),
        cmocka_unit_test(issue_to_error__is_cut_between_characters_ISS_1),
        cmocka_unit_test(issue_to_error__names_field_breach_and_cure),
        cmocka_unit_test(issue_fill__puts_arguments_by_number_and_language),
        cmocka_unit_test(issue_fill__takes_nine_arguments),
        cmocka_unit_test(issue_number__reads_as_people_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
