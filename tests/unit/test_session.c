/* test_session.c - the session table and the waits: liveness and refusal of impossible events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/retry.h"
#include "sync/session.h"

static void session__impossible_event_changes_nothing(void **state)
{
    session s;
    session_action a = ACT_NONE;
    (void)state;
    session_init(&s);
    for (int e = EV_MORE; e < EV_COUNT; e++) {
        assert_int_equal(session_step(&s, (session_event)e, 0, 1, &a), FB_E_MISUSE);
        assert_int_equal(s.state, SES_IDLE);
        assert_int_equal(a, ACT_NONE);
    }
    assert_int_equal(session_step(&s, EV_COUNT, 0, 1, &a), FB_E_MISUSE);
}

static void session__goes_round_and_ends(void **state)
{
    session s;
    session_action a = ACT_NONE;
    (void)state;
    session_init(&s);
    assert_int_equal(session_step(&s, EV_START, 0, 0, &a), FB_OK);
    assert_int_equal(a, ACT_SEND);
    assert_int_equal(session_step(&s, EV_START, 0, 0, &a), FB_E_MISUSE); /* SES-3 */
    assert_int_equal(session_step(&s, EV_MORE, 0, 0, &a), FB_OK);
    assert_int_equal(a, ACT_SEND);
    assert_int_equal(session_step(&s, EV_DONE, 0, 0, &a), FB_OK);
    assert_int_equal(a, ACT_FINISH);
    assert_int_equal(s.state, SES_IDLE);
}

/* SES-2: whatever order links fail in, the wait is positive and bounded. */
static void session__wait_is_always_bounded(void **state)
{
    session s;
    session_action a;
    (void)state;
    session_init(&s);
    assert_int_equal(session_step(&s, EV_START, 0, 0, &a), FB_OK);
    uint64_t now = 5;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t wait = i % 3 == 0 ? 0 : i % 3 == 1 ? UINT32_MAX : 1000;
        assert_int_equal(session_step(&s, EV_LATER, now, wait, &a), FB_OK);
        assert_int_equal(a, ACT_SET_TIMER);
        assert_true(s.wait_until_ms > now && s.wait_until_ms - now <= RETRY_WAIT_MS_MAX);
        now = s.wait_until_ms;
        assert_int_equal(session_step(&s, i % 2 == 0 ? EV_TIMER : EV_START, now, 0, &a), FB_OK);
        assert_int_equal(a, ACT_SEND);
    }
    assert_int_equal(s.attempts, 1000);
    assert_int_equal(session_step(&s, EV_DONE, now, 0, &a), FB_OK);
    assert_int_equal(s.attempts, 0);
}

static void retry__doubles_with_jitter_up_to_fifteen_minutes(void **state)
{
    (void)state;
    assert_int_equal(retry_wait_ms(0, 0, 0), 500);
    assert_int_equal(retry_wait_ms(0, 0, 500), 1000);
    assert_int_equal(retry_wait_ms(3, 0, 0), 4000);
    for (uint32_t attempts = 0; attempts < 100; attempts++) {
        for (uint32_t r = 0; r < 1000; r += 37) {
            uint32_t wait = retry_wait_ms(attempts, 0, r * 4242421u);
            assert_true(wait >= RETRY_WAIT_MS_MIN / 2 && wait <= RETRY_WAIT_MS_MAX);
        }
    }
    assert_true(retry_wait_ms(50, 0, 0) >= RETRY_WAIT_MS_MAX / 2);
}

static void retry__never_comes_before_the_server_asked(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < 5000; r += 7) {
        assert_true(retry_wait_ms(0, 30000, r) >= 30000);
        assert_true(retry_wait_ms(0, 30000, r) <= 33000);
    }
    assert_int_equal(retry_wait_ms(0, UINT32_MAX, 99), RETRY_WAIT_MS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session__impossible_event_changes_nothing),
        cmocka_unit_test(session__goes_round_and_ends),
        cmocka_unit_test(session__wait_is_always_bounded),
        cmocka_unit_test(retry__doubles_with_jitter_up_to_fifteen_minutes),
        cmocka_unit_test(retry__never_comes_before_the_server_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
