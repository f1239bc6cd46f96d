/* test_price.c - prices to the cent. Goal: the published vectors (schema/vectors/price.jsonl, made
 * by another program) hold in every line, and the pick does not depend on the order of candidates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/decimal.h"
#include "base/id.h"
#include "rules/price.h"

enum { LINE_BYTES_MAX = 8192, CANDIDATES_MAX = 16, LINES_MAX = 8 };

static const char *text_at(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsString(v)) {
        fail_msg("missing text %s", key);
    }
    return v->valuestring;
}

static int64_t wide_at(const cJSON *o, const char *key)
{
    int64_t value = 0;
    if (!i64_get(text_of(text_at(o, key)), &value)) {
        fail_msg("not a 64-bit number: %s", key);
    }
    return value;
}

static int32_t int_at(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsNumber(v)) {
        fail_msg("missing number %s", key);
    }
    return v->valueint;
}

static bool flag_at(const cJSON *o, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static fb_id item_at(const cJSON *o, const char *key)
{
    fb_id id;
    assert_true(id_get(text_of(text_at(o, key)), &id));
    return id;
}

static price_line line_from(const cJSON *in)
{
    return (price_line){.qty_milli = wide_at(in, "qty_milli"),
                        .price_4dp = wide_at(in, "price_4dp"),
                        .discount_bp = int_at(in, "discount_bp"),
                        .tax_rate_bp = int_at(in, "tax_rate_bp"),
                        .tax_included = flag_at(in, "tax_included"),
                        .is_free = flag_at(in, "is_free"),
                        .currency_digits = currency_digits(text_of(text_at(in, "currency")))};
}

/* The amounts of `out` beside those computed. */
static void amounts_hold(const cJSON *v, const char *const *names, const int64_t *amounts, size_t n)
{
    const cJSON *out = cJSON_GetObjectItemCaseSensitive(v, "out");
    for (size_t i = 0; i < n; i++) {
        int64_t right = wide_at(out, names[i]);
        if (amounts[i] != right) {
            fail_msg("%s: %s is %lld, must be %lld", text_at(v, "name"), names[i],
                     (long long)amounts[i], (long long)right);
        }
    }
}

static bool code_holds(const cJSON *v, fb_code got)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(v, "error");
    fb_code right = FB_OK;
    if (error != NULL) {
        right = fb_code_from_name(error->valuestring, strlen(error->valuestring));
    }
    if (got != right) {
        fail_msg("%s: %s, must be %s", text_at(v, "name"), fb_code_name(got), fb_code_name(right));
    }
    return got == FB_OK;
}

static void check_line(const cJSON *v, const cJSON *in)
{
    static const char *const names[] = {"gross_list_minor", "discount_minor", "net_minor",
                                        "tax_minor", "gross_minor"};
    price_line l = line_from(in);
    if (code_holds(v, price_line_compute(&l))) {
        const int64_t amounts[] = {l.gross_list_minor, l.discount_minor, l.net_minor, l.tax_minor,
                                   l.gross_minor};
        amounts_hold(v, names, amounts, 5);
    }
}

static void check_base(const cJSON *v, const cJSON *in)
{
    static const char *const names[] = {"qty_milli"};
    int64_t base = 0;
    fb_code rc =
        price_base_qty(wide_at(in, "qty_milli"), wide_at(in, "num"), wide_at(in, "den"), &base);
    if (code_holds(v, rc)) {
        amounts_hold(v, names, &base, 1);
    }
}

static void check_totals(const cJSON *v, const cJSON *in)
{
    static const char *const names[] = {"subtotal_minor", "line_discount_minor", "tax_minor",
                                        "net_minor", "total_minor"};
    price_line lines[LINES_MAX];
    size_t count = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(in, "lines"))
    {
        assert_true(count < LINES_MAX);
        lines[count] = line_from(item);
        assert_int_equal(price_line_compute(&lines[count++]), FB_OK);
    }
    price_totals t = {0};
    fb_code rc = price_totals_compute(lines, count, wide_at(in, "header_discount_minor"),
                                      wide_at(in, "freight_minor"), &t);
    if (code_holds(v, rc)) {
        const int64_t amounts[] = {t.subtotal_minor, t.line_discount_minor, t.tax_minor,
                                   t.net_minor, t.total_minor};
        amounts_hold(v, names, amounts, 5);
        assert_int_equal(t.rounding_minor, 0);
    }
}

static price_candidate candidate_from(const cJSON *c)
{
    return (price_candidate){.item = item_at(c, "item"),
                             .list = item_at(c, "list"),
                             .uom = text_of(text_at(c, "uom")),
                             .min_qty_milli = wide_at(c, "min_qty_milli"),
                             .price_4dp = wide_at(c, "price_4dp"),
                             .item_from = text_of(text_at(c, "item_from")),
                             .item_to = text_of(text_at(c, "item_to")),
                             .list_from = text_of(text_at(c, "list_from")),
                             .list_to = text_of(text_at(c, "list_to")),
                             .assignment_rank = int_at(c, "assignment_rank"),
                             .assignment_priority = int_at(c, "assignment_priority"),
                             .list_priority = int_at(c, "list_priority"),
                             .list_on_order = flag_at(c, "list_on_order"),
                             .tax_included = flag_at(c, "tax_included")};
}

static void pick_holds(const cJSON *v, const cJSON *in, const price_candidate *c, size_t count)
{
    const cJSON *right =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(v, "out"), "item");
    const price_candidate *best =
        price_pick(c, count, text_of(text_at(in, "uom")), wide_at(in, "qty_milli"),
                   text_of(text_at(in, "date")));
    char got[FB_ID_TEXT_BYTES] = "null";
    if (best != NULL) {
        id_put(&best->item, got);
    }
    const char *must = cJSON_IsString(right) ? right->valuestring : "null";
    if (strcmp(got, must) != 0) {
        fail_msg("%s: %s, must be %s", text_at(v, "name"), got, must);
    }
}

/* PRC-2: every rotation, forwards and backwards, gives the same answer. */
static void check_pick(const cJSON *v, const cJSON *in)
{
    price_candidate c[CANDIDATES_MAX], turned[CANDIDATES_MAX];
    size_t count = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(in, "candidates"))
    {
        assert_true(count < CANDIDATES_MAX);
        c[count++] = candidate_from(item);
    }
    pick_holds(v, in, c, count);
    for (size_t turn = 0; turn < count; turn++) {
        for (size_t i = 0; i < count; i++) {
            turned[i] = c[(i + turn) % count];
        }
        pick_holds(v, in, turned, count);
        for (size_t i = 0; i < count; i++) {
            turned[i] = c[(2 * count - i - turn) % count];
        }
        pick_holds(v, in, turned, count);
    }
}

static const struct {
    const char *op;
    void (*check)(const cJSON *v, const cJSON *in);
    int at_least;
} OPS[] = {{"line", check_line, 200},
           {"base", check_base, 10},
           {"totals", check_totals, 10},
           {"pick", check_pick, 40}};

/* Runs every vector of one op; the count guards against a file that was cut. */
static void run_op(size_t op)
{
    static char line[LINE_BYTES_MAX];
    FILE *f = fopen(FB_SOURCE_DIR "/schema/vectors/price.jsonl", "r");
    int seen = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        cJSON *v = cJSON_Parse(line);
        assert_non_null(v);
        if (strcmp(text_at(v, "op"), OPS[op].op) == 0) {
            OPS[op].check(v, cJSON_GetObjectItemCaseSensitive(v, "in"));
            seen++;
        }
        cJSON_Delete(v);
    }
    (void)fclose(f);
    assert_true(seen >= OPS[op].at_least);
}

static void price_line__agrees_with_the_vectors_PRC_1(void **state)
{
    (void)state;
    run_op(0);
}

static void price_base_qty__agrees_with_the_vectors(void **state)
{
    (void)state;
    run_op(1);
}

static void price_totals__agree_with_the_vectors(void **state)
{
    (void)state;
    run_op(2);
}

static void price_pick__agrees_with_the_vectors_in_any_order_PRC_2(void **state)
{
    (void)state;
    run_op(3);
}

static void price_line__failure_leaves_the_outputs(void **state)
{
    (void)state;
    price_line l = {.qty_milli = INT64_MAX,
                    .price_4dp = INT64_MAX,
                    .currency_digits = 2,
                    .gross_list_minor = 7,
                    .net_minor = 8,
                    .gross_minor = 9};
    assert_int_equal(price_line_compute(&l), FB_E_RANGE);
    assert_int_equal(l.gross_list_minor, 7);
    assert_int_equal(l.net_minor, 8);
    assert_int_equal(l.gross_minor, 9);
}

static void price_line__digits_beyond_four_are_a_misuse(void **state)
{
    (void)state;
    price_line l = {.qty_milli = 1, .price_4dp = 1, .currency_digits = 5};
    assert_int_equal(price_line_compute(&l), FB_E_MISUSE);
    l.currency_digits = 4;
    assert_int_equal(price_line_compute(&l), FB_OK);
}

static void price_totals__failure_leaves_the_output(void **state)
{
    (void)state;
    price_totals t = {.total_minor = 5};
    assert_int_equal(price_totals_compute(NULL, 0, -1, 0, &t), FB_E_RANGE);
    assert_int_equal(t.total_minor, 5);
}

static void price_totals__rounding_counts_towards_the_total_only(void **state)
{
    (void)state;
    price_totals t = {.rounding_minor = -3, .net_minor = 100, .tax_minor = 13};
    assert_int_equal(price_totals_finish(&t, 0, 0), FB_OK);
    assert_int_equal(t.net_minor, 100);
    assert_int_equal(t.total_minor, 110);
}

static void currency_digits__follow_iso_4217(void **state)
{
    (void)state;
    assert_int_equal(currency_digits(text_of("CNY")), 2);
    assert_int_equal(currency_digits(text_of("JPY")), 0);
    assert_int_equal(currency_digits(text_of("KWD")), 3);
    assert_int_equal(currency_digits(text_of("jpy")), 2);
    assert_int_equal(currency_digits(text_of("")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(price_line__agrees_with_the_vectors_PRC_1),
        cmocka_unit_test(price_base_qty__agrees_with_the_vectors),
        cmocka_unit_test(price_totals__agree_with_the_vectors),
        cmocka_unit_test(price_pick__agrees_with_the_vectors_in_any_order_PRC_2),
        cmocka_unit_test(price_line__failure_leaves_the_outputs),
        cmocka_unit_test(price_line__digits_beyond_four_are_a_misuse),
        cmocka_unit_test(price_totals__failure_leaves_the_output),
        cmocka_unit_test(price_totals__rounding_counts_towards_the_total_only),
        cmocka_unit_test(currency_digits__follow_iso_4217),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
