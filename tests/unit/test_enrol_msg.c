/* test_enrol_msg.c - enrolment: fields land where they belong, sizes are bounded; the bytes are in
 * the golden messages. */
#include "support/wire_fixture.h"

#include "schema/limits.h"
#include "wire/enrol_msg.h"

static void enrol__request_goes_round(void **state)
{
    (void)state;
    enrol_request m = {.protocol = 1,
                       .code = T("ABCD-1234"),
                       .platform = T("ios"),
                       .app_version = T("1.2"),
                       .name = T("张三的\"手机\"")},
                  back;
    memset(m.token.b, 0xA7, sizeof m.token.b);
    arena *a = arena_new(1 << 16);
    buf b;
    buf_init(&b, ENROL_BODY_BYTES_MAX);
    enrol_request_put(&b, &m);
    assert_int_equal(enrol_request_get(buf_text(&b), a, &back), FB_OK);
    assert_int_equal(back.protocol, 1);
    assert_text_is(back.code, "ABCD-1234");
    assert_memory_equal(back.token.b, m.token.b, sizeof m.token.b);
    assert_text_is(back.platform, "ios");
    assert_text_is(back.app_version, "1.2");
    assert_text_is(back.name, "张三的\"手机\"");
    buf_clear(&b);
    arena_free(a);
}

#define KEY                                                            \
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" \
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

static void enrol__reply_goes_round(void **state)
{
    (void)state;
    const enrol_reply m = {id_of(1),  T("T17"), id_of(2),      T("E1"),
                           T("张三"), id_of(3), 1700000000123, T(KEY)};
    enrol_reply back;
    arena *a = arena_new(1 << 16);
    buf b;
    buf_init(&b, ENROL_BODY_BYTES_MAX);
    enrol_reply_put(&b, &m);
    assert_int_equal(enrol_reply_get(buf_text(&b), a, &back), FB_OK);
    assert_true(id_equal(&back.device, &m.device) && id_equal(&back.user, &m.user));
    assert_true(id_equal(&back.epoch, &m.epoch) && back.server_wall_ms == 1700000000123);
    assert_text_is(back.device_code, "T17");
    assert_text_is(back.user_code, "E1");
    assert_text_is(back.user_name, "张三");
    assert_text_is(back.pack_key, KEY);
    buf_clear(&b);
    arena_free(a);
}

static void enrol__body_has_a_longest_length(void **state)
{
    (void)state;
    arena *a = arena_new(1 << 16);
    static char body[ENROL_BODY_BYTES_MAX + 1];
    enrol_request m = {.protocol = 77};
    enrol_reply r = {.server_wall_ms = 77};
    memset(body, ' ', sizeof body);
    assert_int_equal(enrol_request_get((fb_text){body, sizeof body}, a, &m), FB_E_LIMIT);
    assert_int_equal(enrol_reply_get((fb_text){body, sizeof body}, a, &r), FB_E_LIMIT);
    assert_int_equal(enrol_request_get((fb_text){body, sizeof body - 1}, a, &m), FB_E_JSON);
    assert_true(m.protocol == 77 && r.server_wall_ms == 77);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enrol__request_goes_round),
        cmocka_unit_test(enrol__reply_goes_round),
        cmocka_unit_test(enrol__body_has_a_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
