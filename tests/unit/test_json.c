/* test_json.c - strict JSON. Method: a table of texts that must be refused and one of texts that
 * must be taken, both through json_check; every cut of a rich text is refused; then the typed
 * reads, the limits met exactly and exceeded by one, and the writer against the reader. */
#include "support/wire_fixture.h"

#include "schema/limits.h"
#include "wire/json.h"

static arena *scratch;

static int setup(void **state)
{
    (void)state;
    scratch = arena_new(8 << 20);
    return scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(scratch);
    return 0;
}

/* In memory of exactly its size, so that a read past the end is seen. */
static fb_code check_exact(fb_text t)
{
    char *copy = malloc(t.size > 0 ? t.size : 1);
    if (t.size > 0) {
        memcpy(copy, t.data, t.size);
    }
    arena_reset(scratch);
    fb_code code = json_check((fb_text){copy, t.size}, scratch);
    free(copy);
    return code;
}

/* clang-format off */
static const fb_text REFUSED[] = {
    /* nothing, half values, words */
    T(""), T(" "), T("\n\t\r "), T("n"), T("nul"), T("nulll"), T("Null"), T("NULL"), T("t"),
    T("tru"), T("truE"), T("True"), T("fals"), T("falsee"), T("undefined"), T("NaN"),
    T("Infinity"), T("-Infinity"), T("nan"), T("a"), T("'a'"), T("`a`"), T("true false"),
    T("null,"), T(",null"), T("1 2"), T("\"a\" \"b\""), T("[]{}"), T("[] ]"), T("{} }"),
    T("[]x"), T("null\0"), T("\0null"), T("[1]\0"), T("*"), T("//c\n1"), T("1//c"), T("/*c*/1"),
    T("#c\n1"), T("1;"), T("(1)"), T("<1>"), T("\\u0031"),
    /* byte order marks and other encodings */
    T("\xEF\xBB\xBF" "1"), T("\xEF\xBB\xBF"), T("\xFE\xFF\0" "1"), T("1\0"), T("\xEF\xBB\xBF{}"),
    /* blanks that are none */
    T("\x0B" "1"), T("\x0C" "1"), T("\xC2\xA0" "1"), T("1\xE3\x80\x80"), T("[1,\x0B" "2]"),
    T("\xE2\x80\xA8" "1"), T("\x08" "1"), T("[\xC2\x85]"), T("\x1F{}"),
    /* numbers */
    T("01"), T("-01"), T("00"), T("-00"), T("+1"), T("-"), T("--1"), T("-a"), T("1."), T(".1"),
    T("-.1"), T("1.e1"), T("1e"), T("1E"), T("1e+"), T("1e-"), T("1ee1"), T("1e1.5"), T("1.2.3"),
    T("0x10"), T("0b1"), T("1_000"), T("1,000"), T("1 000"), T("1a"), T("1-"), T("1+1"),
    T("0e"), T("-e1"), T("[1.]"), T("[01]"), T("[-]"), T("{\"a\":+1}"), T("\xEF\xBC\x91"),
    T("1\xC2\xB2"), T("012.5"), T("- 1"), T("1 .5"), T("1. 5"), T("1e 5"), T("0.e5"),
    /* strings */
    T("\""), T("\"a"), T("a\""), T("\"\\\""), T("\"\\"), T("\"\\x41\""), T("\"\\a\""),
    T("\"\\'\""), T("\"\\0\""), T("\"\\ \""), T("\"\\\n\""), T("\"\\U0041\""), T("\"\\u\""),
    T("\"\\u1\""), T("\"\\u12\""), T("\"\\u123\""), T("\"\\u123g\""), T("\"\\u 123\""),
    T("\"\\u+123\""), T("\"\\u0000\""), T("\"a\\u0000b\""), T("\"\\ud800\""), T("\"\\udbff\""),
    T("\"\\udc00\""), T("\"\\udfff\""), T("\"\\ud800a\""), T("\"\\ud800\\u0041\""),
    T("\"\\ud800\\ud800\""), T("\"\\ud800\\ndc00\""), T("\"\\udc00\\ud800\""), T("\"\\ud83d\\\""), T("\"\\ud83d\\n\""),
    T("\"\\ud83d\\u\""), T("\"\\ud83d\\ude\""), T("\"\\ud83d\""), T("\"\n\""), T("\"\t\""),
    T("\"\r\""), T("\"\0\""), T("\"a\0b\""), T("\"\x01\""), T("\"\x1F\""), T("\"12345678\x1F\""),
    T("\"1234567\n\""), T("\"123456789\0abcdef\""), T("\"\\uD834\\uDD\""), T("\"\\t\t\""),
    /* not UTF-8 */
    T("\"\x80\""), T("\"\xBF\""), T("\"\xC0\xAF\""), T("\"\xC1\xBF\""), T("\"\xC2\""),
    T("\"\xC3(\""), T("\"\xE0\x80\xAF\""), T("\"\xE0\x9F\xBF\""), T("\"\xE4\xB8\""),
    T("\"\xE4\xB8\xAD\xE4\""), T("\"\xED\xA0\x80\""), T("\"\xED\xB0\x80\""), T("\"\xF0\x80\x80\xAF\""),
    T("\"\xF0\x8F\xBF\xBF\""), T("\"\xF0\x9F\x98\""), T("\"\xF4\x90\x80\x80\""), T("\"\xF5\x80\x80\x80\""),
    T("\"\xF8\x88\x80\x80\x80\""), T("\"\xFE\""), T("\"\xFF\""), T("\"12345678\xFF\""),
    T("\"\\n\xFF\""), T("{\"\xFF\":1}"), T("\"\xE4\xB8"),
    /* arrays */
    T("["), T("]"), T("[1"), T("[1,"), T("[,"), T("[,]"), T("[1,]"), T("[,1]"), T("[1,,2]"),
    T("[1 2]"), T("[1;2]"), T("[1}"), T("[[]"), T("[]]"), T("[[1]"), T("[\"a]"), T("[a]"),
    T("[1:2]"), T("[\"a\":1]"), T("[1]]"), T("[1,2"), T("[null"), T("[tru]"), T("[\"a\"\"b\"]"),
    T("[...]"), T("[1,...]"), T("[-]"), T("[\n"),
    /* objects */
    T("{"), T("}"), T("{}}"), T("{\"a\""), T("{\"a\":"), T("{\"a\":1"), T("{\"a\":1,"),
    T("{\"a\":1,}"), T("{,}"), T("{,\"a\":1}"), T("{\"a\" 1}"), T("{\"a\"::1}"), T("{\"a\":}"),
    T("{:1}"), T("{a:1}"), T("{'a':1}"), T("{1:1}"), T("{null:1}"), T("{[]:1}"), T("{\"a\":1 \"b\":2}"),
    T("{\"a\":1;\"b\":2}"), T("{\"a\":1,,\"b\":2}"), T("{\"a\":1]"), T("{\"a\",1}"), T("{\"a\"}"),
    T("{\"a\":1:2}"), T("{\"a\":1,\"b\"}"), T("{{}}"), T("{\"a\":{}"), T("{\"a\":1,\"a\":2}"),
    T("{\"\":1,\"\":1}"), T("{\"a\":1,\"\\u0061\":2}"), T("{\"x\":[{\"a\":1,\"b\":2,\"a\":3}]}"),
    T("{\"a\":{\"b\":1,\"b\":1}}"), T("{\"\\u4e2d\":1,\"\xE4\xB8\xAD\":2}"), T("{\"a\\u0000\":1}"),
    T("{\"a\":1}{}"), T("{\"a\" : 1 , }"), T("{/**/}"), T("{\"a\":1}//"), T("{\"a\":1,\"b\":2,\"c\":3,\"b\":4}"),
};

static const fb_text TAKEN[] = {
    T("null"), T("true"), T("false"), T(" null "), T("\r\n\t true\r\n\t "), T("0"), T("-0"), T("1"),
    T("-1"), T("10"), T("1234567890"), T("9223372036854775807"), T("-9223372036854775808"),
    T("123456789012345678901234567890"), T("0.0"), T("-0.5"), T("1.50"), T("1e5"), T("1E5"),
    T("1e+5"), T("1e-5"), T("0e0"), T("0.1e1"), T("-12.34E-56"), T("1e999"), T("\"\""),
    T("\"a\""), T("\"1234567\""), T("\"12345678\""), T("\"123456789abcdef\""),
    T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), T("\"\\u0041\""), T("\"\\u00e9\\u4E2d\""),
    T("\"\\ud83d\\ude00\""), T("\"\\uD83D\\uDE00\""), T("\"\\ud800\\udc00\""), T("\"\\udbff\\udfff\""),
    T("\"\\u0001\""), T("\"\\u001f\""), T("\"\\ufeff\""), T("\"\\uffff\""), T("\"\x7F\""),
    T("\"\xC2\x80\""), T("\"\xDF\xBF\""), T("\"\xE0\xA0\x80\""), T("\"\xED\x9F\xBF\""),
    T("\"\xEE\x80\x80\""), T("\"\xEF\xBF\xBF\""), T("\"\xF0\x90\x80\x80\""), T("\"\xF4\x8F\xBF\xBF\""),
    T("\"\xE5\x8C\x97\xE4\xBA\xAC\xE5\xA4\xA7\xE5\xAD\xA6 Peking\""), T("\"/\""), T("\"'\""),
    T("\"\xE2\x80\xA8\""), T("\"\xEF\xBB\xBF\""), T("[]"), T("[ ]"), T("[\n]"), T("[1]"),
    T("[1,2,3]"), T(" [ 1 , 2 ] "), T("[[]]"), T("[[],[]]"), T("[null,true,false,0,\"\",[],{}]"),
    T("{}"), T("{ }"), T("{\"a\":1}"), T("{\"\":1}"), T("{\"a\":1,\"b\":2}"), T("{\"a\":1,\"A\":2}"),
    T(" { \"a\" : { \"a\" : [ { \"a\" : null } ] } } "), T("[{\"a\":1},{\"a\":1}]"),
    T("{\"a\":{\"b\":1},\"b\":{\"b\":1}}"), T("{\"\\u0061\":1,\"b\":2}"), T("{\"a b\":\"c\\nd\"}"),
    T("{\"0\":0,\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"9\":9,\"10\":10,\"11\":11,\"12\":12,\"13\":13}"),
    T("[\"\\\\\"]"), T("[\"a\\\\\",\"b\"]"), T("\"\\\\u0000\""),
};
/* clang-format on */

enum {
    REFUSED_COUNT = sizeof REFUSED / sizeof REFUSED[0],
    TAKEN_COUNT = sizeof TAKEN / sizeof TAKEN[0]
};
_Static_assert(REFUSED_COUNT >= 120 && TAKEN_COUNT >= 60, "the tables are as rich as promised");

static void json__must_reject(void **state)
{
    (void)state;
    for (size_t i = 0; i < REFUSED_COUNT; i++) {
        fb_code code = check_exact(REFUSED[i]);
        if (code != FB_E_JSON) {
            fail_msg("text %zu <%s> gave %s", i, REFUSED[i].data, fb_code_name(code));
        }
    }
}

static void json__must_accept(void **state)
{
    (void)state;
    for (size_t i = 0; i < TAKEN_COUNT; i++) {
        fb_code code = check_exact(TAKEN[i]);
        if (code != FB_OK) {
            fail_msg("text %zu <%s> gave %s", i, TAKEN[i].data, fb_code_name(code));
        }
    }
}

static void json__every_cut_is_refused(void **state)
{
    (void)state;
    fb_text whole = T("{\"a\":[1,-2.5e3,\"x\\n\\ud83d\\ude00中\",true,null],\"b\":{\"c\":[]}}");
    assert_int_equal(check_exact(whole), FB_OK);
    for (size_t n = 0; n < whole.size; n++) {
        assert_int_equal(check_exact((fb_text){whole.data, n}), FB_E_JSON);
    }
}

static void json__quotes_are_found_at_every_place_of_a_word(void **state)
{
    (void)state;
    static const char marks[] = {'"', '\\', '\x1F', '\x80', '\n'};
    for (size_t n = 0; n < 40; n++) {
        for (size_t m = 0; m < sizeof marks; m++) {
            char text[64] = "\"";
            memset(text + 1, '~', n);
            text[n + 1] = marks[m];
            memset(text + n + 2, '!', 10);
            text[n + 12] = '"';
            fb_text t = {text, n + 13};
            assert_int_equal(check_exact(t), FB_E_JSON);
            t.size = n + 2;
            assert_int_equal(check_exact(t), marks[m] == '"' ? FB_OK : FB_E_JSON);
        }
    }
}

static void json__depth_32_is_the_limit(void **state)
{
    (void)state;
    char text[200];
    for (int depth = 31; depth <= 34; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(check_exact((fb_text){text, (size_t)depth * 2}),
                         depth <= 32 ? FB_OK : FB_E_LIMIT);
    }
    char objects[1024] = "";
    size_t n = 0;
    for (int i = 0; i < 33; i++) {
        n += (size_t)snprintf(objects + n, sizeof objects - n, "{\"a\":");
    }
    assert_int_equal(check_exact((fb_text){objects, n}), FB_E_LIMIT);
}

static void json__256_members_are_the_limit(void **state)
{
    (void)state;
    for (int members = 255; members <= 257; members++) {
        buf b;
        buf_init(&b, 1 << 16);
        buf_put_char(&b, '{');
        for (int i = 0; i < members; i++) {
            buf_printf(&b, "%s\"k%d\":%d", i > 0 ? "," : "", i, i);
        }
        buf_put_char(&b, '}');
        assert_int_equal(check_exact(buf_text(&b)), members <= 256 ? FB_OK : FB_E_LIMIT);
        buf_clear(&b);
    }
}

static void json__a_key_that_stands_twice_far_apart_is_refused(void **state)
{
    (void)state;
    for (int twice = 0; twice < 40; twice++) {
        buf b;
        buf_init(&b, 1 << 16);
        buf_put_char(&b, '{');
        for (int i = 0; i < 40; i++) {
            buf_printf(&b, "\"k%d\":{\"k%d\":0},", i, i);
        }
        buf_printf(&b, "\"k%d\":1}", twice);
        assert_int_equal(check_exact(buf_text(&b)), FB_E_JSON);
        buf_clear(&b);
    }
}

static void json__string_limit_counts_decoded_bytes(void **state)
{
    (void)state;
    for (int more = 0; more <= 1; more++) {
        for (int escaped = 0; escaped <= 1; escaped++) {
            buf b;
            buf_init(&b, 1 << 20);
            buf_put_char(&b, '"');
            for (int i = 0; i < JSON_STRING_BYTES_MAX + more; i++) {
                buf_put_str(&b, escaped ? "\\u0041" : "A");
            }
            buf_put_char(&b, '"');
            assert_int_equal(check_exact(buf_text(&b)), more ? FB_E_LIMIT : FB_OK);
            buf_clear(&b);
        }
    }
}

static void json__keys_of_many_objects_reuse_their_memory(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 4 << 20);
    buf_put_char(&b, '[');
    for (int i = 0; i < 20000; i++) {
        buf_put_str(&b, i > 0 ? ",{\"a\":{\"b\":1}}" : "{\"a\":{\"b\":1}}");
    }
    buf_put_char(&b, ']');
    arena *small = arena_new(2048);
    assert_int_equal(json_check(buf_text(&b), small), FB_OK);
    arena_free(small);
    buf_clear(&b);
}

static void json__without_memory_the_failure_is_no_memory(void **state)
{
    (void)state;
    assert_int_equal(json_check(T("{\"a\":1}"), NULL), FB_E_NO_MEMORY);
    assert_int_equal(json_check(T("\"\\n\""), NULL), FB_E_NO_MEMORY);
    assert_int_equal(json_check(T("[1,\"plain\"]"), NULL), FB_OK);
}

static void reader__takes_every_type(void **state)
{
    (void)state;
    json_reader r;
    fb_text key;
    arena_reset(scratch);
    json_reader_init(
        &r,
        T(" {\"s\":\"a\\u4e2db\", \"i\":-12 ,\"w\":\"9007199254740993\",\"t\":true,\"f\":"
          "false,\"n\":null,\"r\":[ 1, {\"x\" :2}],\"e\":\"\"} "),
        scratch);
    assert_int_equal(json_peek(&r), JSON_OBJECT);
    json_object_begin(&r);
    assert_true(json_object_next(&r, &key));
    assert_text_is(key, "s");
    assert_int_equal(json_peek(&r), JSON_STRING);
    assert_text_is(json_string(&r), "a中b");
    assert_true(json_object_next(&r, &key));
    assert_int_equal(json_int(&r), -12);
    assert_true(json_object_next(&r, &key));
    assert_true(json_int_string(&r) == INT64_C(9007199254740993)); /* a double would lose this */
    assert_true(json_object_next(&r, &key));
    assert_int_equal(json_peek(&r), JSON_TRUE);
    assert_true(json_bool(&r));
    assert_true(json_object_next(&r, &key));
    assert_false(json_bool(&r));
    assert_true(json_object_next(&r, &key));
    assert_true(json_null(&r));
    assert_true(json_object_next(&r, &key));
    assert_false(json_null(&r));
    assert_text_is(json_raw(&r), "[ 1, {\"x\" :2}]");
    assert_true(json_object_next(&r, &key));
    fb_text empty = json_string(&r);
    assert_non_null(empty.data);
    assert_int_equal(empty.size, 0);
    assert_false(json_object_next(&r, &key));
    assert_null(key.data);
    assert_int_equal(json_finish(&r), FB_OK);
}

static void reader__borrows_strings_without_escapes(void **state)
{
    (void)state;
    json_reader r;
    fb_text text = T("[\"plain 中\",\"esc\\t\"]");
    arena_reset(scratch);
    json_reader_init(&r, text, scratch);
    json_array_begin(&r);
    assert_true(json_array_next(&r));
    fb_text s = json_string(&r);
    assert_true(s.data > text.data && s.data < text.data + text.size);
    assert_true(json_array_next(&r));
    s = json_string(&r);
    assert_false(s.data > text.data && s.data < text.data + text.size);
    assert_text_is(s, "esc\t");
    assert_false(json_array_next(&r));
    assert_int_equal(json_finish(&r), FB_OK);
}

static fb_code int_code(const char *text, bool in_string, int64_t *out)
{
    json_reader r;
    json_reader_init(&r, text_of(text), scratch);
    *out = in_string ? json_int_string(&r) : json_int(&r);
    return json_finish(&r);
}

static void reader__integers_are_strict(void **state)
{
    (void)state;
    static const char *const wrong[] = {"1.0",
                                        "1e2",
                                        "-0",
                                        "0.5",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "99999999999999999999999999",
                                        "\"1\"",
                                        "true",
                                        "null",
                                        "[1]",
                                        "{}"};
    static const char *const wrong_strings[] = {
        "\"\"",   "\"1.0\"", "\"-0\"",  "\"01\"", "\" 1\"",
        "\"1 \"", "\"+1\"",  "\"1e2\"", "\"a\"",  "\"9223372036854775808\"",
        "1",      "null",    "\"0x1\""};
    int64_t v;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(int_code(wrong[i], false, &v), FB_E_PROTOCOL);
        assert_true(v == 0);
    }
    for (size_t i = 0; i < sizeof wrong_strings / sizeof wrong_strings[0]; i++) {
        assert_int_equal(int_code(wrong_strings[i], true, &v), FB_E_PROTOCOL);
        assert_true(v == 0);
    }
    assert_int_equal(int_code("01", false, &v), FB_E_JSON);
    assert_int_equal(int_code("1x", false, &v), FB_E_JSON);
    assert_int_equal(int_code("-", false, &v), FB_E_JSON);
    assert_int_equal(int_code("9223372036854775807", false, &v), FB_OK);
    assert_true(v == INT64_MAX);
    assert_int_equal(int_code("-9223372036854775808", false, &v), FB_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(int_code("\"-9223372036854775808\"", true, &v), FB_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(int_code("\"\\u0031\\u0032\"", true, &v), FB_OK);
    assert_true(v == 12);
}

static void reader__JSN_1_first_failure_sticks_and_reads_yield_nothing(void **state)
{
    (void)state;
    json_reader r;
    fb_text key;
    json_reader_init(&r, T("[1,\"a\",true]"), scratch);
    json_array_begin(&r);
    assert_true(json_array_next(&r));
    assert_null(json_string(&r).data);
    assert_int_equal(r.code, FB_E_PROTOCOL);
    assert_string_equal(r.why, "a string is expected");
    json_fail(&r, FB_E_LIMIT, "later");
    assert_false(json_array_next(&r));
    assert_int_equal(json_int(&r), 0);
    assert_false(json_bool(&r));
    assert_false(json_null(&r));
    assert_int_equal(json_peek(&r), JSON_NONE);
    json_object_begin(&r);
    assert_false(json_object_next(&r, &key));
    assert_null(json_raw(&r).data);
    assert_int_equal(json_finish(&r), FB_E_PROTOCOL);
    assert_string_equal(r.why, "a string is expected");
}

static void reader__why_is_cut_to_its_room(void **state)
{
    (void)state;
    json_reader r;
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[199] = '\0';
    json_reader_init(&r, T("1"), scratch);
    json_fail(&r, FB_E_PROTOCOL, longer);
    assert_int_equal(strlen(r.why), sizeof r.why - 1);
}

static void reader__finish_wants_one_whole_value(void **state)
{
    (void)state;
    json_reader r;
    json_reader_init(&r, T("[1,2]"), scratch);
    json_array_begin(&r);
    assert_true(json_array_next(&r));
    assert_int_equal(json_int(&r), 1);
    assert_int_equal(json_finish(&r), FB_E_JSON);
    json_reader_init(&r, T("["), scratch);
    json_array_begin(&r);
    assert_int_equal(json_finish(&r), FB_E_JSON); /* opened, and nothing follows */
    assert_string_equal(r.why, "the value is not closed");
    json_reader_init(&r, T("  "), scratch);
    assert_int_equal(json_finish(&r), FB_E_JSON);
    json_reader_init(&r, T(" 1 "), scratch);
    assert_int_equal(json_finish(&r), FB_E_JSON);
    json_reader_init(&r, (fb_text){NULL, 0}, scratch);
    json_skip(&r);
    assert_int_equal(json_finish(&r), FB_E_JSON);
}

static void writer__puts_commas_and_ends(void **state)
{
    (void)state;
    buf b;
    json_writer w;
    buf_init(&b, 1000);
    json_writer_init(&w, &b);
    json_put_object(&w);
    json_put_key(&w, "a");
    json_put_array(&w);
    json_put_int(&w, 0);
    json_put_int(&w, INT64_MIN);
    json_put_int_string(&w, INT64_MAX);
    json_put_int_string(&w, -5);
    json_put_bool(&w, true);
    json_put_bool(&w, false);
    json_put_null(&w);
    json_put_array(&w);
    json_put_end(&w);
    json_put_object(&w);
    json_put_end(&w);
    json_put_end(&w);
    json_put_key_text(&w, T("b\""));
    json_put_raw(&w, T("{\"raw\":1}"));
    json_put_key(&w, "c");
    json_put_object(&w);
    json_put_key(&w, "id");
    fb_id id = id_of(258);
    json_put_id(&w, &id);
    json_put_end(&w);
    json_put_key(&w, "d");
    json_put_str(&w, "");
    json_put_end(&w);
    assert_buf_is(&b,
                  "{\"a\":[0,-9223372036854775808,\"9223372036854775807\",\"-5\",true,false,null,"
                  "[],{}],\"b\\\"\":{\"raw\":1},\"c\":{\"id\":\"018bcfe5-6800-7000-8000-"
                  "000000000102\"},\"d\":\"\"}");
    assert_int_equal(check_exact(buf_text(&b)), FB_OK);
    buf_clear(&b);
}

static void writer__escapes_only_what_it_must(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1000);
    json_escape(&b, T("a\"b\\c/\b\f\n\r\t\x01\x1F\x7F 北京😀'"));
    assert_buf_is(&b, "a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F 北京😀'");
    buf_clear(&b);
}

static void writer__every_string_comes_back(void **state)
{
    (void)state;
    for (size_t n = 0; n < 40; n++) {
        for (int c = 1; c < 0x80; c++) {
            char text[64];
            memset(text, 'x', n);
            text[n] = (char)c;
            memset(text + n + 1, 'y', 9);
            buf b;
            json_writer w;
            json_reader r;
            buf_init(&b, 1000);
            json_writer_init(&w, &b);
            json_put_string(&w, (fb_text){text, n + 10});
            arena_reset(scratch);
            json_reader_init(&r, buf_text(&b), scratch);
            fb_text back = json_string(&r);
            assert_int_equal(json_finish(&r), FB_OK);
            assert_int_equal(back.size, n + 10);
            assert_memory_equal(back.data, text, n + 10);
            buf_clear(&b);
        }
    }
}

static void writer__fills_a_buffer_to_its_last_byte(void **state)
{
    (void)state;
    const char *wanted = "[\"ab\",\"c\\n\",-7,\"7\",true]";
    size_t size = strlen(wanted);
    for (size_t max = size - 1; max <= size; max++) {
        buf b;
        json_writer w;
        buf_init(&b, max);
        json_writer_init(&w, &b);
        json_put_array(&w);
        json_put_str(&w, "ab");
        json_put_str(&w, "c\n");
        json_put_int(&w, -7);
        json_put_int_string(&w, 7);
        json_put_bool(&w, true);
        json_put_end(&w);
        assert_int_equal(b.code, max == size ? FB_OK : FB_E_LIMIT);
        if (max == size) {
            assert_buf_is(&b, wanted);
        }
        buf_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__must_reject),
        cmocka_unit_test(json__must_accept),
        cmocka_unit_test(json__every_cut_is_refused),
        cmocka_unit_test(json__quotes_are_found_at_every_place_of_a_word),
        cmocka_unit_test(json__depth_32_is_the_limit),
        cmocka_unit_test(json__256_members_are_the_limit),
        cmocka_unit_test(json__a_key_that_stands_twice_far_apart_is_refused),
        cmocka_unit_test(json__string_limit_counts_decoded_bytes),
        cmocka_unit_test(json__keys_of_many_objects_reuse_their_memory),
        cmocka_unit_test(json__without_memory_the_failure_is_no_memory),
        cmocka_unit_test(reader__takes_every_type),
        cmocka_unit_test(reader__borrows_strings_without_escapes),
        cmocka_unit_test(reader__integers_are_strict),
        cmocka_unit_test(reader__JSN_1_first_failure_sticks_and_reads_yield_nothing),
        cmocka_unit_test(reader__why_is_cut_to_its_room),
        cmocka_unit_test(reader__finish_wants_one_whole_value),
        cmocka_unit_test(writer__puts_commas_and_ends),
        cmocka_unit_test(writer__escapes_only_what_it_must),
        cmocka_unit_test(writer__every_string_comes_back),
        cmocka_unit_test(writer__fills_a_buffer_to_its_last_byte),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
