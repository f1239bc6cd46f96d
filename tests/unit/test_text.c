/* test_text.c - UTF-8, search keys, initials, everyday forms. Method: tables of real texts. */
#include "support/wire_fixture.h"

#include "base/text.h"

typedef struct pair {
    const char *from, *to;
} pair;

static void each_is(void (*make)(buf *, fb_text), const pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf b;
        buf_init(&b, 1000);
        make(&b, text_of(pairs[i].from));
        if (!text_is(buf_text(&b), pairs[i].to)) {
            fail_msg("\"%s\" gave \"%.*s\", wanted \"%s\"", pairs[i].from, (int)b.size,
                     b.data != NULL ? b.data : "", pairs[i].to);
        }
        buf_clear(&b);
    }
}
#define EACH_IS(make, pairs) each_is(make, pairs, sizeof(pairs) / sizeof((pairs)[0]))

static void utf8__only_strict_text_is_valid(void **state)
{
    (void)state;
    static const fb_text good[] = {{"", 0},
                                   {"abc", 3},
                                   {"é", 2},
                                   {"北京", 6},
                                   {"😀", 4},
                                   {"\xC2\x80", 2},
                                   {"\xDF\xBF", 2},
                                   {"\xE0\xA0\x80", 3},
                                   {"\xED\x9F\xBF", 3},
                                   {"\xEE\x80\x80", 3},
                                   {"\xEF\xBF\xBF", 3},
                                   {"\xF0\x90\x80\x80", 4},
                                   {"\xF4\x8F\xBF\xBF", 4}};
    static const fb_text bad[] = {{"a\0b", 3},
                                  {"\x80", 1},
                                  {"\xBF", 1},
                                  {"\xC0\xAF", 2},
                                  {"\xC1\xBF", 2},
                                  {"\xC2", 1},
                                  {"\xC2\x41", 2},
                                  {"\xE0\x9F\xBF", 3},
                                  {"\xE4\xB8", 2},
                                  {"\xE4\xB8\x41", 3},
                                  {"\xE4\x41\x80", 3},
                                  {"\xED\xA0\x80", 3},
                                  {"\xED\xBF\xBF", 3},
                                  {"\xF0\x8F\xBF\xBF", 4},
                                  {"\xF0\x90\x80", 3},
                                  {"\xF0\x90\x80\x41", 4},
                                  {"\xF0\x90\x41\x80", 4},
                                  {"\xF4\x90\x80\x80", 4},
                                  {"\xF5\x80\x80\x80", 4},
                                  {"\xFF", 1},
                                  {"\xFE\xFE", 2},
                                  {"abcdefgh\xE4\xB8", 10}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(utf8_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (utf8_valid(bad[i])) {
            fail_msg("bad text %zu is taken for valid", i);
        }
    }
    assert_int_equal(utf8_count(T("a北京😀é")), 5);
}

static void text_key__folds_case_width_accents_and_blanks(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"Ｍüller  AG", "muller ag"},
        {"muller ag", "muller ag"},
        {"ÉCOLE Straße", "ecole strasse"},
        {"Ångström Øl Łódź", "angstrom ol lodz"},
        {"Æsir Œuvre þorn", "aesir oeuvre thorn"},
        {"ΑΘΉΝΑ ΣΊΣΥΦΟΣ", "αθηνα σισυφοσ"},
        {"МОСКВА Ёлка", "москва елка"},
        {"Nguyễn Việt", "nguyen viet"},
        {"e\xCC\x81t\xCC\x82", "et"},
        {"  A-1 / b_2. ", "a 1 b 2"},
        {"O'Neil’s", "oneils"},
        {"北京　（朝阳）店", "北京 朝阳 店"},
        {"北京(朝阳)店", "北京 朝阳 店"},
        {"七·十一", "七 十一"},
        {"老者胡同", "老者胡同"},
        {"佐々木〇一", "佐々木〇一"},
        {"", ""},
        {" ,. ", ""},
        {"a\xE2\x80\x8B"
         "b",
         "ab"},
        {"ﾃｽﾄ", "ﾃｽﾄ"},
        {"１２３ＡＢＣ", "123abc"},
        {"æ", "ae"},
        {"x æ", "x ae"},
        {"ß ß", "ss ss"},
        {"😀 ok", "😀 ok"},
        {"Đặng", "dang"},
        {"İstanbul ıı", "istanbul ii"},
        {"Ǆ", "dz"},
    };
    EACH_IS(text_key, pairs);
}

static void text_key__of_a_key_is_the_key(void **state)
{
    (void)state;
    for (uint32_t c = 0xC0; c < 0x2000; c++) {
        char raw[4] = {0};
        size_t n = c < 0x800 ? 2 : 3;
        raw[0] = (char)(n == 2 ? 0xC0 | c >> 6 : 0xE0 | c >> 12);
        raw[n - 2] = (char)(n == 2 ? raw[0] : (char)(0x80 | (c >> 6 & 0x3F)));
        raw[n - 1] = (char)(0x80 | (c & 0x3F));
        buf once, twice;
        buf_init(&once, 100);
        buf_init(&twice, 100);
        text_key(&once, (fb_text){raw, n});
        text_key(&twice, buf_text(&once));
        if (!text_equal(buf_text(&once), buf_text(&twice))) {
            fail_msg("U+%04X: key \"%s\" has key \"%s\"", (unsigned)c, buf_cstr(&once),
                     buf_cstr(&twice));
        }
        buf_clear(&once);
        buf_clear(&twice);
    }
}

static void text_initials__of_real_names(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"北京大学", "bjdx"},
        {"上海浦东发展银行", "shpdfzyh"},
        {"重庆火锅", "cqhg"},
        {"重量", "zl"},
        {"厦门航空", "xmhk"},
        {"华强商行", "hqsh"},
        {"长沙臭豆腐", "cscdf"},
        {"沈阳", "sy"},
        {"翟记曾家小馆", "zjzjxg"},
        {"7-11便利店", "711bld"},
        {"Müller AG", "ma"},
        {"A8 咖啡(西单)", "a8kfxd"},
        {"KFC肯德基", "kkdj"},
        {"龥", "y"},
        {"一", "y"},
        {"", ""},
        {"Ｃoop Ｍarkt", "cm"},
        {"略懂", "ld"},
        {"Ελλάδα", "ε"},
        {"老重庆", "lcq"},
    };
    EACH_IS(text_initials, pairs);
}

static void text_initials__every_character_has_a_letter_or_none(void **state)
{
    (void)state;
    size_t without = 0;
    for (uint32_t c = 0x4E00; c <= 0x9FA5; c++) {
        char raw[3] = {(char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3F)),
                       (char)(0x80 | (c & 0x3F))};
        buf b;
        buf_init(&b, 10);
        text_initials(&b, (fb_text){raw, 3});
        without += b.size == 0;
        assert_true(b.size == 0 || (b.size == 1 && b.data[0] >= 'a' && b.data[0] <= 'z'));
        buf_clear(&b);
    }
    assert_int_equal(without, 10);
}

static void text_normalise__keeps_case_and_words(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"  ＡＢＣ　１２３  ", "ABC 123"},
        {"北京\t\n大学", "北京 大学"},
        {"Müller （ＡＧ）", "Müller （AG）"},
        {"\xEF\xBB\xBFname\xC2\xA0x", "name x"},
        {"", ""},
        {" \t ", ""},
        {"，。", "，。"},
        {"a", "a"},
    };
    EACH_IS(text_normalise, pairs);
}

static void phone_is(const char *raw, const char *country, const char *wanted)
{
    buf b;
    buf_init(&b, 100);
    bool good = text_phone(&b, text_of(raw), country);
    if (good != (wanted != NULL) || (good && !text_is(buf_text(&b), wanted))) {
        fail_msg("\"%s\" (%s) gave \"%s\"", raw, country != NULL ? country : "-", buf_cstr(&b));
    }
    buf_clear(&b);
}

static void text_phone__gives_the_international_form(void **state)
{
    (void)state;
    phone_is("138 0013 8000", "86", "+8613800138000");
    phone_is("１３８－００１３－８０００", "CN", "+8613800138000");
    phone_is("+86 (138) 0013-8000", NULL, "+8613800138000");
    phone_is("0086-13800138000", NULL, "+8613800138000");
    phone_is("8613800138000", "+86", "+8613800138000");
    phone_is("010-12345678", "86", "+861012345678");
    phone_is("（0755）8888-8888", "86", "+8675588888888");
    phone_is("4008001234", "86", "+864008001234");
    phone_is("030 901820", "49", "+4930901820");
    phone_is("(212) 555-0100", "US", "+12125550100");
    phone_is("1-212-555-0100", "1", "+12125550100");
    phone_is("06 698 12345", "IT", "+390669812345");
    phone_is("＋44 20 7946 0000", NULL, "+442079460000");
}

static void text_phone__refuses_what_cannot_be_called(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "abc",
                                      "1380013800",
                                      "138001380001",
                                      "+",
                                      "+86",
                                      "12",
                                      "1380013800a",
                                      "13800138000 ext 5",
                                      "13800138000转12",
                                      "13800138000/13900139000",
                                      "+0123456789",
                                      "++8613800138000",
                                      "1380+0138000",
                                      "123456789012345678901234567890",
                                      "110"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        phone_is(bad[i], "86", NULL);
    }
    phone_is("13800138000", NULL, NULL);
    phone_is("13800138000", "XX", NULL);
    phone_is("13800138000", "", NULL);
    phone_is("5550100", "US", NULL);
}

static void text_usc__checks_the_check_character(void **state)
{
    (void)state;
    assert_true(text_usc_valid(T("91350100M000100Y43")));
    assert_true(text_usc_valid(T("91110000600037341L")));
    assert_false(text_usc_valid(T("91350100M000100Y44")));
    assert_false(text_usc_valid(T("91530100M000100Y43")));
    assert_false(text_usc_valid(T("91350100m000100Y43")));
    assert_false(text_usc_valid(T("91350100I000100Y43")));
    assert_false(text_usc_valid(T("91350100M000100Y4")));
    assert_false(text_usc_valid(T("91350100M000100Y430")));
}

static void text_gtin__checks_the_check_digit(void **state)
{
    (void)state;
    assert_true(text_gtin_valid(T("6901234567892")));
    assert_true(text_gtin_valid(T("4006381333931")));
    assert_true(text_gtin_valid(T("96385074")));
    assert_true(text_gtin_valid(T("036000291452")));
    assert_true(text_gtin_valid(T("10614141000415")));
    assert_false(text_gtin_valid(T("6901234567893")));
    assert_false(text_gtin_valid(T("6910234567892")));
    assert_false(text_gtin_valid(T("690123456789")));
    assert_false(text_gtin_valid(T("690123456789a")));
    assert_false(text_gtin_valid(T("")));
}

static void text_email__takes_usual_addresses_only(void **state)
{
    (void)state;
    static const char *const good[] = {"a@b.cn", "first.last+tag@sub.example.com", "张三@例子.中国",
                                       "x_1-2@a-b.co"};
    static const char *const bad[] = {
        "",          "a",        "@b.cn",     "a@",      "a@b",      "a@.cn",      "a@b.",
        "a..b@c.cn", ".a@b.cn",  "a.@b.cn",   "a@b..cn", "a@-b.cn",  "a@b-.cn",    "a b@c.cn",
        "a@b.c n",   "a@b@c.cn", "a@1.2.3.4", "a@b.cn ", "a,b@c.cn", "a\xFF@b.cn", "<a@b.cn>"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(text_email_valid(text_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (text_email_valid(text_of(bad[i]))) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
    char longer[300];
    memset(longer, 'a', sizeof longer);
    memcpy(longer + 64, "@b.cn", 5);
    assert_true(text_email_valid((fb_text){longer, 69}));
    memcpy(longer + 64, "a@b.cn", 6);
    assert_false(text_email_valid((fb_text){longer, 70}));
}

static void text_date__must_exist(void **state)
{
    (void)state;
    static const char *const good[] = {"2026-01-31", "2024-02-29", "2000-02-29", "0001-01-01",
                                       "9999-12-31"};
    static const char *const bad[] = {"2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01",
                                      "2026-00-01", "2026-01-00", "2026-01-32", "0000-01-01",
                                      "2026-1-01",  "26-01-01",   "2026/01/01", "2026-01-01 ",
                                      "2026-01-0a", "",           "20260101"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(text_date_valid(text_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (text_date_valid(text_of(bad[i]))) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
}

static void dates_are_counted_and_compared(void **state)
{
    static const struct {
        int64_t day;
        const char *date;
    } DAYS[] = {{0, "1970-01-01"},         {-1, "1969-12-31"},       {11016, "2000-02-29"},
                {11017, "2000-03-01"},     {47540, "2100-02-28"},    {47541, "2100-03-01"},
                {20454, "2026-01-01"},     {20512, "2026-02-28"},    {-719162, "0001-01-01"},
                {-719163, "0001-01-01"},   {2932896, "9999-12-31"},  {2932897, "9999-12-31"},
                {INT64_MIN, "0001-01-01"}, {INT64_MAX, "9999-12-31"}};
    static const struct {
        const char *from, *to;
        bool within;
    } SPANS[] = {{"", "", true},
                 {"2026-02-28", "2026-02-28", true},
                 {"2026-03-01", "", false},
                 {"", "2026-02-27", false},
                 {"2026-01-01", "", true},
                 {"", "2026-12-31", true}};
    char date[TEXT_DATE_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof DAYS / sizeof DAYS[0]; i++) {
        text_date_put(DAYS[i].day, date);
        assert_string_equal(date, DAYS[i].date);
        assert_true(text_date_valid(text_of(date)));
    }
    for (size_t i = 0; i < sizeof SPANS / sizeof SPANS[0]; i++) {
        assert_int_equal(
            text_date_within(text_of("2026-02-28"), text_of(SPANS[i].from), text_of(SPANS[i].to)),
            SPANS[i].within);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8__only_strict_text_is_valid),
        cmocka_unit_test(text_key__folds_case_width_accents_and_blanks),
        cmocka_unit_test(text_key__of_a_key_is_the_key),
        cmocka_unit_test(text_initials__of_real_names),
        cmocka_unit_test(text_initials__every_character_has_a_letter_or_none),
        cmocka_unit_test(text_normalise__keeps_case_and_words),
        cmocka_unit_test(text_phone__gives_the_international_form),
        cmocka_unit_test(text_phone__refuses_what_cannot_be_called),
        cmocka_unit_test(text_usc__checks_the_check_character),
        cmocka_unit_test(text_gtin__checks_the_check_digit),
        cmocka_unit_test(text_email__takes_usual_addresses_only),
        cmocka_unit_test(text_date__must_exist),
        cmocka_unit_test(dates_are_counted_and_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
