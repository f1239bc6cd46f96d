/* test_bytes.c - buffers, arenas, checked sizes, hexadecimal, and the error table.
 * Method: each limit is met exactly, then exceeded by one. */
#include "support/wire_fixture.h"

static void buf__max_is_reached_exactly_and_never_passed(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 10);
    buf_put(&b, "0123456789", 10);
    assert_int_equal(b.code, FB_OK);
    assert_string_equal(buf_cstr(&b), "0123456789");
    buf_put_char(&b, 'x');
    assert_int_equal(b.code, FB_E_LIMIT);
    assert_int_equal(b.size, 10);
    buf_clear(&b);
}

static void buf__first_failure_sticks_until_reset(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 4);
    buf_put_str(&b, "12345");
    buf_put_str(&b, "1");
    assert_int_equal(b.code, FB_E_LIMIT);
    assert_int_equal(b.size, 0);
    assert_null(buf_text(&b).data);
    assert_string_equal(buf_cstr(&b), "");
    buf_reset(&b);
    buf_put_str(&b, "1");
    assert_buf_is(&b, "1");
    buf_clear(&b);
    assert_int_equal(b.max, 4);
    buf_put_str(&b, "1234");
    assert_int_equal(b.code, FB_OK);
    buf_clear(&b);
}

static void buf__grows_in_many_steps_and_keeps_everything(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++) {
        buf_put_char(&b, (char)('a' + i % 26));
    }
    assert_int_equal(b.size, 100000);
    for (size_t i = 0; i < b.size; i++) {
        assert_int_equal(b.data[i], 'a' + (int)(i % 26));
    }
    buf_clear(&b);
}

static void buf__printf_writes_whole_texts_at_the_limit(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 8);
    buf_printf(&b, "%s-%d", "abc", 1234);
    assert_buf_is(&b, "abc-1234");
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.code, FB_E_LIMIT);
    buf_clear(&b);
}

static void buf__size_that_overflows_is_refused(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_char(&b, 'a');
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_int_equal(b.code, FB_E_LIMIT);
    buf_clear(&b);
}

static void arena__memory_is_zeroed_aligned_and_bounded(void **state)
{
    (void)state;
    arena *a = arena_new(64);
    char *p = arena_take(a, 17);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    memset(p, 0xFF, 17);
    assert_non_null(arena_take(a, 32));
    assert_null(arena_take(a, 1));
    arena_reset(a);
    p = arena_take(a, 64);
    assert_non_null(p);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(p[i], 0);
    }
    arena_free(a);
    arena_free(NULL);
}

static void arena__large_and_many_pieces_do_not_overlap(void **state)
{
    (void)state;
    arena *a = arena_new(8 << 20);
    unsigned char *all[600];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 600; i++) {
            size_t size = i == 300 ? 1u << 20 : (size_t)i + 1;
            all[i] = arena_take(a, size);
            assert_non_null(all[i]);
            memset(all[i], i & 0xFF, size);
        }
        for (int i = 0; i < 600; i++) {
            assert_int_equal(all[i][0], i & 0xFF);
            assert_int_equal(all[i][i == 300 ? 4096 : i], i & 0xFF);
        }
        arena_reset(a);
    }
    assert_null(arena_take(a, SIZE_MAX));
    assert_null(arena_take(a, SIZE_MAX - 20));
    arena_free(a);
}

static void arena__texts_are_copied_and_terminated(void **state)
{
    (void)state;
    arena *a = arena_new(1024);
    char source[] = "abcdef";
    fb_text t = arena_text(a, (fb_text){source, 3});
    char *s = arena_str(a, source);
    source[0] = 'x';
    assert_string_equal(t.data, "abc");
    assert_int_equal(t.size, 3);
    assert_string_equal(s, "abcdef");
    fb_text none = arena_text(a, (fb_text){NULL, 0});
    assert_non_null(none.data);
    assert_string_equal(none.data, "");
    arena_free(a);
}

/* ARN-1: who asks once at the end hears of every refusal before, whatever was taken after it. */
static void arena__first_failure_sticks_until_reset(void **state)
{
    (void)state;
    char source[64] = {0};
    arena *a = arena_new(64);
    buf b;
    buf_init(&b, 40);
    for (int how = 0; how < 5; how++) {
        assert_false(arena_failed(a));
        buf_put(&b, source, how == 3 ? 41 : 1);
        assert_true(how != 0 || arena_take(a, 65) == NULL);
        assert_true(how != 1 || arena_text(a, (fb_text){source, 64}).data == NULL);
        assert_true(how != 2 || arena_text(a, (fb_text){source, SIZE_MAX}).data == NULL);
        assert_true(how != 3 || arena_keep(a, &b).data == NULL);
        assert_int_equal(arena_failed(a), how < 4);
        assert_non_null(arena_take(a, 16));
        assert_int_equal(arena_failed(a), how < 4);
        buf_clear(&b);
        arena_reset(a);
    }
    buf_put_str(&b, "kept");
    fb_text kept = arena_keep(a, &b);
    assert_true(text_is(kept, "kept") && b.data == NULL);
    assert_false(arena_failed(a));
    arena_free(a);
}

static void text__comparing_is_bytewise_shorter_first(void **state)
{
    (void)state;
    assert_true(text_equal(text_of(NULL), T("")));
    assert_false(text_equal(T("ab"), T("a")));
    assert_true(text_is(T("abc"), "abc"));
    assert_false(text_is(T("abc"), "abd"));
    assert_true(text_compare(T("a"), T("ab")) < 0);
    assert_true(text_compare(T("b"), T("ab")) > 0);
    assert_true(text_compare(T("\xC3"), T("z")) > 0);
    assert_int_equal(text_compare(T(""), text_of(NULL)), 0);
}

static void size__overflow_is_found(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(size_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &out));
    assert_true(size_mul(SIZE_MAX / 2, 2, &out));
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(size_mul(0, SIZE_MAX, &out));
    assert_true(out == 0);
}

static void hex__both_directions_and_strict(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 100);
    const uint8_t data[4] = {0x00, 0x9a, 0xbc, 0xff};
    hex_put(&b, data, sizeof data);
    assert_buf_is(&b, "009abcff");
    uint8_t back[4] = {1, 1, 1, 1};
    assert_true(hex_get(T("009abcff"), back, 4));
    assert_memory_equal(back, data, 4);
    assert_false(hex_get(T("009abcf"), back, 4));
    assert_false(hex_get(T("009abcff0"), back, 4));
    assert_false(hex_get(T("009abcfF"), back, 4));
    assert_false(hex_get(T("009abcfg"), back, 4));
    assert_false(hex_get(T("11111/11"), back, 4));
    assert_memory_equal(back, data, 4);
    buf_clear(&b);
}

static void bytes__wipe_and_constant_time_compare(void **state)
{
    (void)state;
    char secret[8] = "secret!";
    assert_true(bytes_equal_ct(secret, "secret!", 8));
    assert_false(bytes_equal_ct(secret, "secret?", 8));
    bytes_wipe(secret, sizeof secret);
    assert_memory_equal(secret, "\0\0\0\0\0\0\0\0", 8);
    assert_true(bytes_equal_ct(NULL, NULL, 0));
}

static void error__table_answers_for_known_and_unknown_codes(void **state)
{
    (void)state;
    assert_string_equal(fb_code_name(FB_E_OFFLINE), "E_OFFLINE");
    assert_string_equal(fb_code_name((fb_code)9999), "E_UNKNOWN");
    assert_int_equal(fb_code_class(FB_E_DISK_FULL), FB_CLASS_STORAGE);
    assert_int_equal(fb_code_class((fb_code)9999), FB_CLASS_BUG);
    assert_int_equal(fb_code_http(FB_OK), 200);
    assert_int_equal(fb_code_http(FB_E_RATE), 429);
    assert_string_equal(fb_code_text(FB_OK, "zh"), "成功");
    assert_string_equal(fb_code_text(FB_OK, "zh-CN"), "成功");
    assert_string_equal(fb_code_text(FB_OK, NULL), "ok");
    assert_int_equal(fb_code_from_name("E_CREDIT", 8), FB_E_CREDIT);
    assert_int_equal(fb_code_from_name("OK", 2), FB_OK);
    assert_int_equal(fb_code_from_name("E_CREDI", 7), FB_E_BUG);
    assert_int_equal(fb_code_from_name(NULL, 0), FB_E_BUG);
}

static void fail__fills_the_error_and_cuts_at_a_character(void **state)
{
    (void)state;
    fb_error err = {0};
    char longer[400];
    memset(longer, 'a', sizeof longer);
    memcpy(longer + 254, "\xE5\xAE\xA2", 3); /* the limit of 255 falls inside this character */
    longer[399] = '\0';
    assert_int_equal((fail)(&err, FB_E_RANGE, "customer.name", "%s", longer), FB_E_RANGE);
    assert_int_equal(err.code, FB_E_RANGE);
    assert_string_equal(err.field, "customer.name");
    assert_int_equal(strlen(err.message), 254);
    assert_int_equal((fail)(&err, FB_E_RANGE, NULL, "%d is too many", 3), FB_E_RANGE);
    assert_string_equal(err.field, "");
    assert_string_equal(err.message, "3 is too many");
    assert_int_equal((fail)(&err, FB_E_IO, "a", "again: %s", err.message), FB_E_IO);
    assert_string_equal(err.message, "again: 3 is too many");
    assert_int_equal((fail)(NULL, FB_E_IO, "a", "b"), FB_E_IO);
}

static jmp_buf bug_back;
static void note_bug(const char *expr, const char *file, int line)
{
    assert_string_equal(expr, "1 == 2");
    assert_non_null(strstr(file, "test_bytes.c"));
    assert_true(line > 0);
    longjmp(bug_back, 1);
}

static void bug__hook_is_told_what_and_where(void **state)
{
    (void)state;
    fb_bug_hook_set(note_bug);
    if (setjmp(bug_back) == 0) {
        FB_ASSERT(1 == 2);
        fail_msg("an assertion went through");
    }
    bug_hook_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf__max_is_reached_exactly_and_never_passed),
        cmocka_unit_test(buf__first_failure_sticks_until_reset),
        cmocka_unit_test(buf__grows_in_many_steps_and_keeps_everything),
        cmocka_unit_test(buf__printf_writes_whole_texts_at_the_limit),
        cmocka_unit_test(buf__size_that_overflows_is_refused),
        cmocka_unit_test(arena__memory_is_zeroed_aligned_and_bounded),
        cmocka_unit_test(arena__large_and_many_pieces_do_not_overlap),
        cmocka_unit_test(arena__texts_are_copied_and_terminated),
        cmocka_unit_test(arena__first_failure_sticks_until_reset),
        cmocka_unit_test(text__comparing_is_bytewise_shorter_first),
        cmocka_unit_test(size__overflow_is_found),
        cmocka_unit_test(hex__both_directions_and_strict),
        cmocka_unit_test(bytes__wipe_and_constant_time_compare),
        cmocka_unit_test(error__table_answers_for_known_and_unknown_codes),
        cmocka_unit_test(fail__fills_the_error_and_cuts_at_a_character),
        cmocka_unit_test(bug__hook_is_told_what_and_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
