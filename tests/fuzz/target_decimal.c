/* target_decimal.c - the small texts people type: numbers, names, phones, codes, dates.
 *
 * What decimal_get accepts is written by decimal_put in one form that is read as the same number;
 * a normalised text does not change when it is normalised again. */
#include "fuzz.h"

#include "base/decimal.h"
#include "base/id.h"
#include "base/text.h"

void fuzz_open(void)
{
}

void fuzz_finish(void)
{
}

static void number(fb_text in, unsigned digits)
{
    int64_t value = 0, again = 0;
    if (!decimal_get(in, digits, &value)) {
        return;
    }
    for (int trim = 0; trim < 2; trim++) {
        buf out;
        buf_init(&out, 256);
        decimal_put(&out, value, digits, trim == 1);
        MUST_OK(out.code);
        MUST(decimal_get(buf_text(&out), digits, &again) && again == value);
        buf_clear(&out);
    }
}

static void whole_number(fb_text in)
{
    int64_t value = 0;
    char text[32];
    if (i64_get(in, &value)) {
        int n = snprintf(text, sizeof text, "%lld", (long long)value);
        MUST(in.size == (size_t)n && memcmp(text, in.data, in.size) == 0);
    }
}

/* The exact product through a wider type. */
static void product(fb_text in)
{
    int64_t v[4], got = 0, wide = 0;
    for (int i = 0; i < 4; i++) {
        v[i] = (int64_t)((uint64_t)take_number(&in, 4) << 32 | take_number(&in, 4));
    }
    bool fine = mul_div_round(v[0], v[1], 1, v[3], &got);
    (void)mul_div_round(v[0], v[1], v[2], v[3], &wide);
    if (v[3] <= 0) {
        MUST(!fine);
        return;
    }
    __int128 p = (__int128)v[0] * v[1], half = v[3] / 2 + v[3] % 2;
    __int128 q = p / v[3], rest = p % v[3] < 0 ? -(p % v[3]) : p % v[3];
    q += rest >= half ? (p < 0 ? -1 : 1) : 0;
    MUST(fine == (q >= INT64_MIN && q <= INT64_MAX));
    MUST(!fine || got == (int64_t)q);
}

static void texts(fb_text in)
{
    buf once, twice;
    fb_id id;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    text_normalise(&once, in);
    MUST_OK(once.code);
    text_normalise(&twice, buf_text(&once));
    MUST(text_equal(buf_text(&once), buf_text(&twice)));
    MUST(utf8_valid(buf_text(&once)));
    buf_reset(&once);
    buf_reset(&twice);
    text_key(&once, in);
    text_key(&twice, buf_text(&once));
    MUST(text_equal(buf_text(&once), buf_text(&twice)));
    buf_reset(&once);
    text_initials(&once, in);
    MUST(utf8_valid(buf_text(&once)) && once.code == FB_OK);
    buf_reset(&once);
    buf_reset(&twice);
    if (text_phone(&once, in, "+86")) {
        MUST(text_phone(&twice, buf_text(&once), "+86"));
        MUST(text_equal(buf_text(&once), buf_text(&twice)));
    }
    (void)utf8_count(in);
    (void)text_usc_valid(in);
    (void)text_gtin_valid(in);
    (void)text_email_valid(in);
    (void)text_date_valid(in);
    (void)id_get(in, &id);
    buf_clear(&once);
    buf_clear(&twice);
}

void fuzz_run(fb_text in)
{
    unsigned digits = take_byte(&in) % 20;
    number(in, digits);
    whole_number(in);
    product(in);
    if (utf8_valid(in)) {
        texts(in);
    }
}

void fuzz_seeds(void)
{
    static const char *const TEXTS[] = {"\00412.5",
                                        "\002-0.00",
                                        "\022-9.223372036854775808",
                                        "\0029223372036854775807",
                                        "\001-9223372036854775808",
                                        "\001Ｍüller  AG",
                                        "\001北京大学 １２３",
                                        "\001+86 138 1234 5678",
                                        "\001010-12345678",
                                        "\00191350100M000100Y43",
                                        "\0016901234567892",
                                        "\001a.b+c@example.com",
                                        "\0012024-02-29",
                                        "\001018bcfe5-6800-7000-8000-000000000001",
                                        "\00104006381333931"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        seed_put(text_of(TEXTS[i]));
    }
}
