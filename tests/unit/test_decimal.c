/* test_decimal.c - exact numbers. Method: edges of int64 by hand; mul_div_round against a second,
 * independent calculation (the compiler's 128 bits, where the product fits) over random numbers,
 * and against values worked out beforehand where it needs all 192 bits. */
#include "support/wire_fixture.h"

#include "base/decimal.h"

static void decimal__texts_become_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned digits;
        int64_t value;
    } good[] = {
        {"12.5", 4, 125000},
        {"0", 4, 0},
        {"-0.01", 2, -1},
        {"12.50", 1, 125},
        {"7", 0, 7},
        {"12.000000000000000000000000000", 2, 1200},
        {"-0", 2, 0},
        {"007.5", 1, 75},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"92233720368547758.07", 2, INT64_MAX},
        {"-92233720368547758.08", 2, INT64_MIN},
        {"0.000000000000000001", 18, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t v = 99;
        assert_true(decimal_get(text_of(good[i].text), good[i].digits, &v));
        assert_true(v == good[i].value);
    }
}

static void decimal__other_texts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned digits;
    } bad[] = {
        {"", 2},
        {"-", 2},
        {"+1", 2},
        {" 1", 2},
        {"1 ", 2},
        {"1.", 2},
        {".5", 2},
        {"1.234", 2},
        {"1e3", 2},
        {"1.2.3", 2},
        {"1,5", 2},
        {"--1", 2},
        {"1.-5", 2},
        {"0x10", 2},
        {"NaN", 2},
        {"9223372036854775808", 0},
        {"-9223372036854775809", 0},
        {"92233720368547758.08", 2},
        {"99999999999999999999999", 0},
        {"10", 18},
        {"1.0000000000000000000x", 2},
        {"１", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t v = 99;
        if (decimal_get(text_of(bad[i].text), bad[i].digits, &v)) {
            fail_msg("accepted \"%s\"", bad[i].text);
        }
        assert_true(v == 99);
    }
    int64_t v;
    assert_false(decimal_get(T("1"), 19, &v));
}

static void put_is(int64_t value, unsigned digits, bool trim, const char *wanted)
{
    buf b;
    buf_init(&b, 100);
    decimal_put(&b, value, digits, trim);
    assert_buf_is(&b, wanted);
    buf_clear(&b);
}

static void decimal__integers_become_texts(void **state)
{
    (void)state;
    put_is(125000, 4, false, "12.5000");
    put_is(125000, 4, true, "12.5");
    put_is(120000, 4, true, "12");
    put_is(0, 2, false, "0.00");
    put_is(0, 2, true, "0");
    put_is(-1, 2, false, "-0.01");
    put_is(5, 0, false, "5");
    put_is(100, 0, true, "100");
    put_is(INT64_MIN, 4, false, "-922337203685477.5808");
    put_is(INT64_MAX, 18, false, "9.223372036854775807");
    put_is(1, 18, false, "0.000000000000000001");
}

static void mul_div_is(int64_t a, int64_t b, int64_t c, int64_t by, int64_t wanted)
{
    int64_t v = 99;
    if (!mul_div_round(a, b, c, by, &v) || v != wanted) {
        fail_msg("%lld * %lld * %lld / %lld = %lld", (long long)a, (long long)b, (long long)c,
                 (long long)by, (long long)v);
    }
}

static void mul_div_round__half_goes_away_from_zero(void **state)
{
    (void)state;
    mul_div_is(5, 1, 1, 10, 1);
    mul_div_is(-5, 1, 1, 10, -1);
    mul_div_is(4, 1, 1, 10, 0);
    mul_div_is(-4, 1, 1, 10, 0);
    mul_div_is(15, 1, 1, 10, 2);
    mul_div_is(-25, -1, -1, 10, -3);
    mul_div_is(1, 1, 1, 3, 0);
    mul_div_is(2, 1, 1, 3, 1);
    mul_div_is(0, -5, 7, 3, 0);
    mul_div_is(125000, 3000, 9500, 10000000, 356250); /* 12.5 x 3 at 95 percent */
}

static void mul_div_round__edges_of_192_bits_are_exact(void **state)
{
    (void)state;
    const int64_t max = INT64_MAX, min = INT64_MIN;
    mul_div_is(max, max, 1, max, max);
    mul_div_is(min, max, 1, max, min);
    mul_div_is(min, 1, 1, 1, min);
    mul_div_is(max, 4, 1, 8, INT64_C(4611686018427387904)); /* exactly half: up */
    mul_div_is(min, -1, 1, 2, INT64_C(4611686018427387904));
    mul_div_is(max, max, 0, 1, 0);
    mul_div_is(INT64_C(4294967296), INT64_C(4294967296), INT64_C(1000000007), max,
               INT64_C(2000000014));
    mul_div_is(INT64_C(2097152), INT64_C(2097152), INT64_C(2097151), 1,
               INT64_C(9223367638808264704));
    int64_t v = 99;
    assert_false(mul_div_round(max, max, max, max, &v));
    assert_false(mul_div_round(max, 2, 1, 1, &v));
    assert_false(mul_div_round(min, -1, 1, 1, &v));
    assert_false(mul_div_round(max, max, max, 1, &v));
    assert_false(mul_div_round(1, 1, 1, 0, &v));
    assert_false(mul_div_round(1, 1, 1, -3, &v));
    assert_true(v == 99);
}

/* Worked out beforehand with integers of any size. */
static void mul_div_round__three_large_factors_are_exact(void **state)
{
    (void)state;
    static const int64_t rows[][5] = {
        /* a carry of 33 bits between limbs */
        {INT64_C(1099511627775), INT64_C(1099511627777), INT64_C(35184372088831), INT64_MAX,
         INT64_C(4611686018427256832)},
        {INT64_C(4743413005406631124), INT64_C(3721762756), INT64_C(-3052),
         INT64_C(2290508201274396647), INT64_C(-23522978070229)},
        {INT64_C(-807869008354140963), INT64_C(-7652601288032), INT64_C(5274),
         INT64_C(1779148987253290409), INT64_C(18326428726581220)},
        {INT64_C(-7736909387157270468), INT64_C(3293242034), INT64_C(0),
         INT64_C(1654539945634991525), INT64_C(0)},
        {INT64_C(-1985258800932950328), INT64_C(-909502118), INT64_C(-1670296),
         INT64_C(9081955626128355710), INT64_C(-332074028056127)},
        {INT64_C(8814278549364800218), INT64_C(-298197949505393560), INT64_C(0),
         INT64_C(6383097089394466236), INT64_C(0)},
        {INT64_C(-8797331125917810750), INT64_C(7285729671344), INT64_C(308648),
         INT64_C(7119870552005601136), INT64_C(-2778531735280774374)},
        {INT64_C(-9188169845631956885), INT64_C(2821946869184284483), INT64_C(0),
         INT64_C(6562364475759198321), INT64_C(0)},
        {INT64_C(1594484333924615328), INT64_C(818164118218718001), INT64_C(1),
         INT64_C(4232241484409058945), INT64_C(308240886982644611)},
        {INT64_C(587067011393762173), INT64_C(90598195), INT64_C(-2), INT64_C(6688727356413930296),
         INT64_C(-15903537)},
        {INT64_C(-2472739606964019071), INT64_C(464288114), INT64_C(-7896),
         INT64_C(5754711542649490317), INT64_C(1575250155594)},
        {INT64_C(-5120668729139409710), INT64_C(3116213256), INT64_C(7687),
         INT64_C(1670776663868551018), INT64_C(-73416272720475)},
        {INT64_C(-3874538680291688608), INT64_C(3028621539328), INT64_C(4975),
         INT64_C(141542949500846913), INT64_C(-412448616718651024)},
        {INT64_C(2768966883832283166), INT64_C(6838539644250), INT64_C(-2638979),
         INT64_C(9125955411451200734), INT64_C(-5475688352912242339)},
        {INT64_C(-5804230600116226727), INT64_C(-953063455667), INT64_C(7565),
         INT64_C(317714915371781045), INT64_C(131715778924173930)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int64_t *x = rows[i];
        mul_div_is(x[0], x[1], x[2], x[3], x[4]);
        mul_div_is(x[2], x[0], x[1], x[3], x[4]);
        mul_div_is(x[1], x[2], x[0], x[3], x[4]);
    }
}

#if defined(__SIZEOF_INT128__)
__extension__ typedef __int128 wide;

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void mul_div_round__agrees_with_a_second_calculation(void **state)
{
    (void)state;
    uint64_t seed = 0x9E3779B97F4A7C15u;
    for (int i = 0; i < 200000; i++) {
        unsigned full = i % 2 == 0 ? 1 : 63; /* every second one with all its bits */
        int64_t a = (int64_t)next_random(&seed) >> (next_random(&seed) % full);
        int64_t b = (int64_t)next_random(&seed) >> (next_random(&seed) % full);
        int64_t by = (int64_t)(next_random(&seed) >> 1) >> (next_random(&seed) % full % 62);
        by = by == 0 ? 1 : by;
        wide product = (wide)a * b;
        wide magnitude = product < 0 ? -product : product;
        wide quotient = magnitude / by;
        quotient += magnitude % by >= by - magnitude % by ? 1 : 0;
        wide wanted = product < 0 ? -quotient : quotient;
        bool fits = wanted >= INT64_MIN && wanted <= INT64_MAX;
        int64_t got = 0, turned = 0;
        assert_int_equal(mul_div_round(a, b, 1, by, &got), fits);
        assert_int_equal(mul_div_round(1, a, b, by, &turned), fits);
        if (fits) {
            assert_true(got == (int64_t)wanted && turned == got);
        }
    }
}
#endif

static void i64__sums_beyond_the_edge_are_refused(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(i64_add(INT64_MAX - 1, 1, &v) && v == INT64_MAX);
    assert_false(i64_add(INT64_MAX, 1, &v));
    assert_true(i64_add(INT64_MIN + 1, -1, &v) && v == INT64_MIN);
    assert_false(i64_add(INT64_MIN, -1, &v));
    assert_true(i64_add(INT64_MIN, INT64_MAX, &v) && v == -1);
}

static void i64__only_the_strict_form_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "-0",
                                      "00",
                                      "01",
                                      "-01",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e2",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "a",
                                      "18446744073709551616",
                                      "1_000"};
    int64_t v = 99;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(i64_get(text_of(bad[i]), &v));
    }
    assert_true(v == 99);
    assert_true(i64_get(T("0"), &v) && v == 0);
    assert_true(i64_get(T("-10"), &v) && v == -10);
    assert_true(i64_get(T("9223372036854775807"), &v) && v == INT64_MAX);
    assert_true(i64_get(T("-9223372036854775808"), &v) && v == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal__texts_become_integers),
        cmocka_unit_test(decimal__other_texts_are_refused),
        cmocka_unit_test(decimal__integers_become_texts),
        cmocka_unit_test(mul_div_round__half_goes_away_from_zero),
        cmocka_unit_test(mul_div_round__edges_of_192_bits_are_exact),
        cmocka_unit_test(mul_div_round__three_large_factors_are_exact),
#if defined(__SIZEOF_INT128__)
        cmocka_unit_test(mul_div_round__agrees_with_a_second_calculation),
#endif
        cmocka_unit_test(i64__sums_beyond_the_edge_are_refused),
        cmocka_unit_test(i64__only_the_strict_form_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
