/* test_sign.c - signatures under the manifests of packs: the vector of RFC 6979 A.2.5, every bit of
 * text, key and signature counts, degenerate numbers are refused. */
#include "support/wire_fixture.h"

#include "sync-server/feed/feed_sign.h"

static const char SECRET[] = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
static const char PUBLIC[] = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                             "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
/* "sample" with SHA-256 */
static const char SIGNED[] = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
                             "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
/* n, the order of the curve */
static const char ORDER[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

static sign_key key;
static signature sig;

static void take(const char *hex, void *out, size_t size)
{
    assert_true(hex_get(text_of(hex), out, size));
}

static int setup(void **state)
{
    (void)state;
    take(SECRET, key.secret, sizeof key.secret);
    take(PUBLIC, key.open.b, sizeof key.open.b);
    take(SIGNED, sig.b, sizeof sig.b);
    return 0;
}

static void sign__makes_and_checks_the_vector_of_the_rfc(void **state)
{
    (void)state;
    signature made;
    assert_int_equal(sign_make(&key, text_of("sample"), &made), FB_OK);
    assert_memory_equal(made.b, sig.b, sizeof sig.b);
    assert_int_equal(sign_check(&key.open, text_of("sample"), &sig), FB_OK);
}

static void sign__every_bit_counts(void **state)
{
    (void)state;
    char text[] = "sample";
    for (size_t i = 0; i < 6; i++) {
        text[i] ^= 1;
        assert_int_equal(sign_check(&key.open, (fb_text){text, 6}, &sig), FB_E_INVALID);
        text[i] ^= 1;
    }
    assert_int_equal(sign_check(&key.open, (fb_text){text, 5}, &sig), FB_E_INVALID);
    for (size_t i = 0; i < SIGN_BYTES; i++) {
        signature wrong = sig;
        sign_public other = key.open;
        wrong.b[i] ^= (uint8_t)(1 << (i % 8));
        other.b[i] ^= (uint8_t)(1 << (i % 8));
        assert_int_equal(sign_check(&key.open, text_of("sample"), &wrong), FB_E_INVALID);
        assert_int_equal(sign_check(&other, text_of("sample"), &sig), FB_E_INVALID);
    }
}

static void sign__numbers_outside_the_curve_are_refused(void **state)
{
    (void)state;
    signature bad = {{0}};
    sign_public none = {{0}};
    assert_int_equal(sign_check(&key.open, text_of("sample"), &bad), FB_E_INVALID);
    assert_int_equal(sign_check(&none, text_of("sample"), &sig), FB_E_INVALID);
    for (int half = 0; half < 2; half++) {
        bad = sig;
        memset(bad.b + 32 * half, 0, 32);
        assert_int_equal(sign_check(&key.open, text_of("sample"), &bad), FB_E_INVALID);
        take(ORDER, bad.b + 32 * half, 32);
        assert_int_equal(sign_check(&key.open, text_of("sample"), &bad), FB_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sign__makes_and_checks_the_vector_of_the_rfc, setup),
        cmocka_unit_test_setup(sign__every_bit_counts, setup),
        cmocka_unit_test_setup(sign__numbers_outside_the_curve_are_refused, setup),
    };
    return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
