/* test_chunk.c - how much an exchange carries (CHK-1), by levels alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/limits.h"
#include "sync/chunk.h"

#include <cmocka.h>

static void chunk__carries_everything_while_nothing_breaks(void **state)
{
    chunk c;
    (void)state;
    chunk_init(&c, 0, 1);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(chunk_groups_max(&c), PUSH_GROUPS_MAX);
        assert_int_equal(chunk_group_bytes(&c, 0), PUSH_BYTES_TARGET);
        assert_int_equal(chunk_page_bytes(&c, 0, 0), 0); /* the server's choice */
        assert_int_equal(chunk_page_bytes(&c, 5000, 0), 5000);
        chunk_carried(&c);
    }
    assert_int_equal(c.level, 0);
}

static void chunk__falls_to_one_group_after_two_cuts(void **state)
{
    chunk c;
    (void)state;
    chunk_init(&c, 0, 1);
    chunk_broke(&c, true);
    chunk_broke(&c, true);
    assert_int_equal(c.level, CHUNK_LEVEL_LAST);
    assert_int_equal(chunk_groups_max(&c), 1);
    assert_int_equal(chunk_page_bytes(&c, 0, 0), 1024);
    chunk_broke(&c, true);
    assert_int_equal(c.level, CHUNK_LEVEL_LAST);
}

static void chunk__comes_back_at_once_after_an_absence(void **state)
{
    chunk c;
    (void)state;
    chunk_init(&c, 0, 1);
    for (int i = 0; i < 20; i++) {
        chunk_broke(&c, false);
    }
    assert_int_equal(c.level, CHUNK_LEVEL_LAST);
    chunk_carried(&c);
    assert_int_equal(c.level, 0);
}

/* A connection that lets through what fits `bytes` and breaks everything larger, for ever: nearly
 * every exchange must succeed, whatever it calls itself when it breaks. */
static void settles_below(size_t bytes, bool was_reached)
{
    enum { EXCHANGES = 400 };
    chunk c;
    int good = 0;
    chunk_init(&c, 0, 1);
    for (int i = 0; i < EXCHANGES; i++) {
        if (chunk_group_bytes(&c, 0) <= bytes) {
            good++;
            chunk_carried(&c);
        } else {
            chunk_broke(&c, was_reached);
        }
    }
    assert_true(good > EXCHANGES * 8 / 10);
}

static void chunk__settles_at_what_gets_through(void **state)
{
    (void)state;
    for (size_t bytes = 1 << 10; bytes <= PUSH_BYTES_TARGET; bytes *= 2) {
        settles_below(bytes, true);
        settles_below(bytes, false);
    }
}

static void chunk__grows_again_when_the_network_is_good(void **state)
{
    chunk c;
    int exchanges = 0;
    (void)state;
    chunk_init(&c, CHUNK_LEVEL_LAST, CHUNK_PATIENCE_MAX);
    while (c.level > 0 && exchanges < 1000) {
        chunk_carried(&c);
        exchanges++;
    }
    assert_true(exchanges <= CHUNK_PATIENCE_MAX * CHUNK_LEVEL_LAST);
    assert_int_equal(c.level, 0);
}

static void chunk__keeps_within_a_budget_of_bytes(void **state)
{
    chunk c;
    (void)state;
    chunk_init(&c, 0, 1);
    assert_int_equal(chunk_group_bytes(&c, 10000), 5000);
    assert_int_equal(chunk_page_bytes(&c, 0, 10000), 10000);
    assert_int_equal(chunk_page_bytes(&c, 0, 1), 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunk__carries_everything_while_nothing_breaks),
        cmocka_unit_test(chunk__falls_to_one_group_after_two_cuts),
        cmocka_unit_test(chunk__comes_back_at_once_after_an_absence),
        cmocka_unit_test(chunk__settles_at_what_gets_through),
        cmocka_unit_test(chunk__grows_again_when_the_network_is_good),
        cmocka_unit_test(chunk__keeps_within_a_budget_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
