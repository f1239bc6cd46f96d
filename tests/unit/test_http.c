/* test_http.c - the judgement of request heads and the form of replies (sync-server/http), and the
 * collecting of a request from bytes cut anywhere (platform/posix/http_reader).
 *
 * Method: tables of heads that two servers could read differently; each must be refused alone.
 * The same cases travel through real TLS in tests/server/test_http_limits.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "platform/posix/http_reader.h"
#include "sync-server/http/head.h"
#include "sync-server/http/reply.h"

#include <cmocka.h>

static http_head plain_post(void)
{
    http_head h = {.method = text_of("POST"),
                   .target = text_of("/v1/sync"),
                   .major = 1,
                   .minor = 1,
                   .headers = {{text_of("Host"), text_of("fb.example.com:8443")},
                               {text_of("Content-Type"), text_of("application/x-fieldbook")},
                               {text_of("Content-Length"), text_of("12")}},
                   .headers_count = 3};
    return h;
}

static http_verdict verdict_of(const http_head *h)
{
    http_verdict v;
    http_head_check(h, &v);
    return v;
}

static void add(http_head *h, const char *name, const char *value)
{
    h->headers[h->headers_count].name = text_of(name);
    h->headers[h->headers_count].value = text_of(value);
    h->headers_count++;
}

static void head__ordinary_requests_are_served(void **state)
{
    (void)state;
    http_head h = plain_post();
    add(&h, "Authorization", "Fieldbook x");
    add(&h, "content-encoding", "zstd");
    http_verdict v = verdict_of(&h);
    assert_int_equal(v.status, 0);
    assert_int_equal(v.body_bytes, 12);
    assert_false(v.close);
    assert_int_equal(v.authorization.size, 11);
    assert_int_equal(v.content_encoding.size, 4);

    http_head get = {.method = text_of("GET"),
                     .target = text_of("/v1/health"),
                     .major = 1,
                     .minor = 1,
                     .headers = {{text_of("host"), text_of("[::1]:1")},
                                 {text_of("Connection"), text_of("Close")}},
                     .headers_count = 2};
    v = verdict_of(&get);
    assert_int_equal(v.status, 0);
    assert_true(v.close);
}

static void head__doubtful_lengths_are_refused(void **state)
{
    static const char *const LENGTHS[] = {"",    "+4",  "-1",   "-0",   "04",  "0x4", "4 ",
                                          " 4",  "1 2", "4_0",  "4, 4", "4,5", "4;",  "00",
                                          "4\t", "4.0", "four", "4 4",  "４"};
    (void)state;
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        http_head h = plain_post();
        h.headers[2].value = text_of(LENGTHS[i]);
        http_verdict v = verdict_of(&h);
        assert_int_equal(v.status, 400);
        assert_true(v.close); /* HTT-2 */
    }
}

static void head__lengths_beyond_the_route_are_refused_unread(void **state)
{
    static const char *const LENGTHS[] = {"1179649", "4294967295", "4294967296",
                                          "18446744073709551620",
                                          "1000000000000000000000000000000"};
    (void)state;
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        http_head h = plain_post();
        h.headers[2].value = text_of(LENGTHS[i]);
        http_verdict v = verdict_of(&h);
        assert_int_equal(v.status, 413);
        assert_true(v.close);
    }
    http_head h = plain_post();
    h.headers[2].value = text_of("1179648");
    assert_int_equal(verdict_of(&h).status, 0);
    h.target = text_of("/v1/enrol");
    assert_int_equal(verdict_of(&h).status, 413);
    h.headers[2].value = text_of("4096");
    assert_int_equal(verdict_of(&h).status, 0);
}

static void head__headers_that_decide_may_come_once(void **state)
{
    static const char *const NAMES[][2] = {{"Content-Length", "12"},
                                           {"content-LENGTH", "13"},
                                           {"Host", "fb.example.com:8443"},
                                           {"Content-Type", "application/x-fieldbook"}};
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        http_head h = plain_post();
        add(&h, NAMES[i][0], NAMES[i][1]);
        assert_int_equal(verdict_of(&h).status, 400);
    }
    http_head h = plain_post();
    add(&h, "Authorization", "a");
    add(&h, "authorization", "b");
    assert_int_equal(verdict_of(&h).status, 400);
}

static void head__transfer_codings_and_upgrades_do_not_exist(void **state)
{
    static const char *const NAMES[][2] = {
        {"Transfer-Encoding", "chunked"}, {"TRANSFER-encoding", "identity"},
        {"Transfer-Encoding", ""},        {"Transfer_Encoding", "chunked"},
        {"Content_Length", "3"},          {"Upgrade", "h2c"},
        {"Connection", "Upgrade"},        {"Connection", "close, te"},
        {"Connection", "content-length"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        http_head h = plain_post();
        add(&h, NAMES[i][0], NAMES[i][1]);
        assert_int_equal(verdict_of(&h).status, 400);
    }
    http_head h = plain_post();
    add(&h, "Expect", "100-continue");
    assert_int_equal(verdict_of(&h).status, 417);
}

static void head__hosts_must_be_one_plain_host(void **state)
{
    static const char *const BAD[] = {"",         "a, b", "u@h",  "h/p",   "h:",     "h:x",
                                      "h:123456", ":443", "[::1", "[]",    "[::1]x", "h h",
                                      "h\\",      "h?",   "h#",   "[a@b]", "h:1:2"};
    static const char *const GOOD[] = {"h", "a.b-c.example", "127.0.0.1:8443", "[fe80::1]", "H:1"};
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        http_head h = plain_post();
        h.headers[0].value = text_of(BAD[i]);
        assert_int_equal(verdict_of(&h).status, 400);
    }
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        http_head h = plain_post();
        h.headers[0].value = text_of(GOOD[i]);
        assert_int_equal(verdict_of(&h).status, 0);
    }
    http_head h = plain_post();
    h.headers[0].name = text_of("Hose");
    assert_int_equal(verdict_of(&h).status, 400);
}

static void head__names_and_values_hold_no_controls(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[2] = {(char)c, '\0'};
        http_head h = plain_post();
        add(&h, "X-Other", "");
        h.headers[3].value = (fb_text){.data = text, .size = 1};
        bool value_fine = (c >= 0x20 && c != 0x7f) || c == '\t';
        assert_int_equal(verdict_of(&h).status, value_fine ? 0 : 400);

        h.headers[3].value = text_of("v");
        h.headers[3].name = (fb_text){.data = text, .size = 1};
        bool name_fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || (c != 0 && strchr("!#$%&'*+-.^`|~", c) != NULL);
        assert_int_equal(verdict_of(&h).status, name_fine ? 0 : 400);
    }
    http_head h = plain_post();
    add(&h, "", "v");
    assert_int_equal(verdict_of(&h).status, 400);
}

static void head__only_the_routes_are_served(void **state)
{
    static const struct {
        const char *method, *target;
        int status;
    } CASES[] = {
        {"GET", "/v1/sync", 405},
        {"HEAD", "/v1/health", 405},
        {"POST", "/v1/health", 405},
        {"OPTIONS", "/v1/sync", 405},
        {"TRACE", "/v1/sync", 405},
        {"POST", "/v1/sync/", 404},
        {"POST", "/v1/sync?x=1", 404},
        {"POST", "/V1/sync", 404},
        {"POST", "//v1/sync", 404},
        {"POST", "/v1/../v1/sync", 404},
        {"POST", "/", 404},
        {"OPTIONS", "*", 400},
        {"POST", "http://h/v1/sync", 400},
        {"POST", "", 400},
        {"POST", "/v1/sync#f", 400},
        {"POST", "/v1/%73ync", 400},
        {"POST", "/v1/sync%00", 400},
        {"POST", "/v1\\sync", 400},
        {"POST", "/v1/s\x80nc", 400},
        {"POST", "/v1/ sync", 400},
        {"CONNECT", "h:443", 400},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        http_head h = plain_post();
        h.method = text_of(CASES[i].method);
        h.target = text_of(CASES[i].target);
        http_verdict v = verdict_of(&h);
        assert_int_equal(v.status, CASES[i].status);
        assert_true(v.close);
        assert_true((v.allow != NULL) == (CASES[i].status == 405));
    }
}

static void head__versions_other_than_1_1_are_refused(void **state)
{
    static const int VERSIONS[][2] = {{1, 0}, {0, 9}, {2, 0}, {1, 2}, {11, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof VERSIONS / sizeof VERSIONS[0]; i++) {
        http_head h = plain_post();
        h.major = VERSIONS[i][0];
        h.minor = VERSIONS[i][1];
        assert_int_equal(verdict_of(&h).status, 505);
    }
}

static void head__bodies_must_be_ours(void **state)
{
    (void)state;
    http_head h = plain_post();
    h.headers[1].value = text_of("application/json");
    assert_int_equal(verdict_of(&h).status, 415);
    h = plain_post();
    add(&h, "Content-Encoding", "gzip");
    assert_int_equal(verdict_of(&h).status, 415);
    h = plain_post();
    add(&h, "Content-Encoding", "identity");
    assert_int_equal(verdict_of(&h).status, 415);
    h = plain_post();
    h.headers[1].value = text_of("Application/X-Fieldbook");
    add(&h, "Content-Encoding", "ZSTD");
    http_verdict spelled = verdict_of(&h); /* allowed, and passed on in the one spelling */
    assert_int_equal(spelled.status, 0);
    assert_true(text_is(spelled.content_encoding, "zstd"));
    assert_true(text_is(spelled.content_type, "application/x-fieldbook"));
    h = plain_post();
    h.headers_count = 2;
    assert_int_equal(verdict_of(&h).status, 411);
    h = plain_post();
    h.method = text_of("GET");
    h.target = text_of("/v1/health");
    assert_int_equal(verdict_of(&h).status, 400); /* a GET has no body, not even an empty one */
}

/* ---------------------------------------------------------------- replies */

static void reply__holds_what_every_reply_must(void **state)
{
    buf out;
    (void)state;
    buf_init(&out, 4096);
    http_reply r = {.status = 405,
                    .body_bytes = 17,
                    .close = true,
                    .retry_s = 9,
                    .allow = "POST",
                    .zstd = true,
                    .wall_ms = 784111777000};
    http_reply_put(&out, &r);
    assert_string_equal(buf_cstr(&out), "HTTP/1.1 405 Method Not Allowed\r\n"
                                        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                        "Content-Length: 17\r\n"
                                        "Cache-Control: no-store\r\n"
                                        "X-Content-Type-Options: nosniff\r\n"
                                        "Content-Type: application/x-fieldbook\r\n"
                                        "Content-Encoding: zstd\r\n"
                                        "Retry-After: 9\r\n"
                                        "Allow: POST\r\n"
                                        "Connection: close\r\n\r\n");
    buf_clear(&out);
}

static void date__is_right_around_leap_days(void **state)
{
    static const struct {
        int64_t wall_ms;
        const char *text;
    } CASES[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951782399999, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {951868800000, "Wed, 01 Mar 2000 00:00:00 GMT"},
        {1735689599000, "Tue, 31 Dec 2024 23:59:59 GMT"},
        {1709164800000, "Thu, 29 Feb 2024 00:00:00 GMT"},
        {4107542399000, "Sun, 28 Feb 2100 23:59:59 GMT"},
        {4107542400000, "Mon, 01 Mar 2100 00:00:00 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        buf out;
        buf_init(&out, 64);
        http_date_put(&out, CASES[i].wall_ms);
        assert_string_equal(buf_cstr(&out), CASES[i].text);
        buf_clear(&out);
    }
}

/* ---------------------------------------------------------------- the reader */

static const char WHOLE[] = "POST /v1/sync HTTP/1.1\r\nHost: h\r\nAuthorization: Fieldbook abc\r\n"
                            "Content-Type: application/x-fieldbook\r\nX-Empty:\r\n"
                            "Content-Length: 5\r\n\r\nhello";

static void check_whole(const http_reader *r)
{
    fb_text method = http_reader_get_method(r), path = http_reader_get_path(r);
    assert_true(text_is(method, "POST") && text_is(path, "/v1/sync"));
    assert_true(text_is(r->verdict.authorization, "Fieldbook abc"));
    assert_true(text_is(buf_text(&r->body), "hello"));
}

/* However the bytes are cut, the request is the same, and what follows is left alone. */
static void reader__is_indifferent_to_cuts(void **state)
{
    char bytes[sizeof WHOLE + 8];
    size_t size = sizeof WHOLE - 1;
    (void)state;
    snprintf(bytes, sizeof bytes, "%sGET ", WHOLE);
    for (size_t cut = 1; cut < size; cut++) {
        http_reader r;
        size_t used = 0;
        http_reader_init(&r);
        assert_int_equal(http_reader_feed(&r, bytes, cut, &used), READ_MORE);
        assert_int_equal(used, cut);
        assert_int_equal(http_reader_feed(&r, bytes + cut, size + 4 - cut, &used), READ_WHOLE);
        assert_int_equal(used, size - cut);
        check_whole(&r);
        http_reader_clear(&r);
    }
}

static read_step feed_text(http_reader *r, const char *text)
{
    size_t used = 0;
    return http_reader_feed(r, text, strlen(text), &used);
}

static int status_of_long(const char *before, size_t filler, const char *after)
{
    http_reader r;
    buf text;
    buf_init(&text, 32 << 10);
    buf_put_str(&text, before);
    for (size_t i = 0; i < filler; i++) {
        buf_put_char(&text, 'a');
    }
    buf_put_str(&text, after);
    http_reader_init(&r);
    int status = feed_text(&r, buf_cstr(&text)) == READ_REFUSED ? r.verdict.status : 0;
    http_reader_clear(&r);
    buf_clear(&text);
    return status;
}

static void reader__limits_of_the_head_hold(void **state)
{
    buf many;
    (void)state;
    buf_init(&many, 4096);
    buf_put_str(&many, "GET /v1/health HTTP/1.1\r\n");
    assert_int_equal(status_of_long("GET /", 2100, " HTTP/1.1\r\n"), 414);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\nX: ", 4094, "\r\n"), 431);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\n", 4097, ": v\r\n"), 431);
    /* Within the limits it goes on to the judgement of the head. */
    assert_int_equal(status_of_long("GET /", 2000, " HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\nHost: h\r\nX: ", 4000, "\r\n\r\n"), 404);
    for (int i = 0; i < HTTP_HEADERS_MAX + 1; i++) {
        buf_put_str(&many, "X: y\r\n");
    }
    assert_int_equal(status_of_long(buf_cstr(&many), 0, "\r\n"), 431);
    buf_clear(&many);
}

static void reader__the_whole_head_is_bounded(void **state)
{
    http_reader r;
    char line[4100];
    read_step step = READ_MORE;
    (void)state;
    http_reader_init(&r);
    assert_int_equal(feed_text(&r, "GET / HTTP/1.1\r\n"), READ_MORE);
    memset(line, 'a', sizeof line);
    memcpy(line, "X: ", 3);
    memcpy(line + 4000, "\r\n", 3);
    for (int i = 0; i < 6 && step == READ_MORE; i++) {
        step = feed_text(&r, line);
    }
    assert_int_equal(step, READ_REFUSED);
    assert_int_equal(r.verdict.status, 431);
    http_reader_clear(&r);

    /* Empty lines before a request are skipped by the parser, but not without end. */
    http_reader_init(&r);
    step = READ_MORE;
    for (int i = 0; i < 20000 && step == READ_MORE; i++) {
        step = feed_text(&r, "\r\n");
    }
    assert_int_equal(step, READ_REFUSED);
    http_reader_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head__ordinary_requests_are_served),
        cmocka_unit_test(head__doubtful_lengths_are_refused),
        cmocka_unit_test(head__lengths_beyond_the_route_are_refused_unread),
        cmocka_unit_test(head__headers_that_decide_may_come_once),
        cmocka_unit_test(head__transfer_codings_and_upgrades_do_not_exist),
        cmocka_unit_test(head__hosts_must_be_one_plain_host),
        cmocka_unit_test(head__names_and_values_hold_no_controls),
        cmocka_unit_test(head__only_the_routes_are_served),
        cmocka_unit_test(head__versions_other_than_1_1_are_refused),
        cmocka_unit_test(head__bodies_must_be_ours),
        cmocka_unit_test(reply__holds_what_every_reply_must),
        cmocka_unit_test(date__is_right_around_leap_days),
        cmocka_unit_test(reader__is_indifferent_to_cuts),
        cmocka_unit_test(reader__limits_of_the_head_hold),
        cmocka_unit_test(reader__the_whole_head_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
