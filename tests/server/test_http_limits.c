/* test_http_limits.c - requests whose end two servers could read differently, sent through real
 * TLS.
 *
 * Method: every case goes alone over its own connection, followed in the same bytes by a canary
 * (GET /v1/health). The connection must be answered with a refusal, once, and closed; the canary
 * must never be answered and nothing may reach the server. Source: reliability.md 6.2, RFC 9112. */
#include <stdio.h>
#include <string.h>

#include "schema/limits.h"
#include "support/server_rig.h"

#define CANARY "GET /v1/health HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST /v1/sync HTTP/1.1\r\n"
#define HOST "Host: h\r\n"
#define TYPE "Content-Type: application/x-fieldbook\r\n"
#define BEGIN POST HOST TYPE
#define HEALTH "GET /v1/health HTTP/1.1\r\n"

enum { OUT_BYTES = 16384, WAIT_MS = 5000 };

typedef struct bad_case {
    const char *what;
    const char *bytes;
    size_t size; /* 0: strlen */
} bad_case;

#define CASE(what, bytes)              \
    {                                  \
        what, bytes, sizeof(bytes) - 1 \
    }

static const bad_case FRAMING[] = {
    CASE("length and chunked",
         BEGIN "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    CASE("chunked and length",
         BEGIN "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
    CASE("two lengths, same", BEGIN "Content-Length: 4\r\nContent-Length: 4\r\n\r\necho"),
    CASE("two lengths, other", BEGIN "Content-Length: 4\r\nContent-Length: 5\r\n\r\necho"),
    CASE("length list, same", BEGIN "Content-Length: 4, 4\r\n\r\necho"),
    CASE("length list, other", BEGIN "Content-Length: 4,5\r\n\r\necho"),
    CASE("length with plus", BEGIN "Content-Length: +4\r\n\r\necho"),
    CASE("length negative", BEGIN "Content-Length: -1\r\n\r\necho"),
    CASE("length minus nought", BEGIN "Content-Length: -0\r\n\r\necho"),
    CASE("length with zero before", BEGIN "Content-Length: 04\r\n\r\necho"),
    CASE("length hexadecimal", BEGIN "Content-Length: 0x4\r\n\r\necho"),
    CASE("length with blank inside", BEGIN "Content-Length: 4 4\r\n\r\necho"),
    CASE("length with underscore", BEGIN "Content-Length: 4_0\r\n\r\necho"),
    CASE("length empty", BEGIN "Content-Length:\r\n\r\necho"),
    CASE("length 2^63", BEGIN "Content-Length: 9223372036854775808\r\n\r\necho"),
    CASE("length 2^64 + 4", BEGIN "Content-Length: 18446744073709551620\r\n\r\necho"),
    CASE("length of 30 digits", BEGIN "Content-Length: 100000000000000000000000000000\r\n\r\necho"),
    CASE("length missing", BEGIN "\r\necho"),
    CASE("chunked", BEGIN "Transfer-Encoding: chunked\r\n\r\n4\r\necho\r\n0\r\n\r\n"),
    CASE("chunked with 1.0", "POST /v1/sync HTTP/1.0\r\n" HOST TYPE
                             "Transfer-Encoding: chunked\r\n\r\n4\r\necho\r\n0\r\n\r\n"),
    CASE("xchunked", BEGIN "Transfer-Encoding: xchunked\r\n\r\n4\r\necho\r\n0\r\n\r\n"),
    CASE("chunked, identity", BEGIN "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    CASE("identity, chunked", BEGIN "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    CASE("chunked after a fold", BEGIN "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    CASE("chunked after \\x0b", BEGIN "Transfer-Encoding: \x0b"
                                      "chunked\r\n\r\n0\r\n\r\n"),
    CASE("chunked before NUL", BEGIN "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"),
    CASE("Transfer_Encoding", BEGIN "Transfer_Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    CASE("blank before colon", BEGIN "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    CASE("two codings",
         BEGIN "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    CASE("coding with comma behind", BEGIN "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    CASE("coding with comma before", BEGIN "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    CASE("ChUnKeD", BEGIN "Transfer-Encoding: ChUnKeD\r\n\r\n0\r\n\r\n"),
    CASE("quoted chunked", BEGIN "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    CASE("coding empty", BEGIN "Transfer-Encoding:\r\nContent-Length: 4\r\n\r\necho"),
    CASE("length before blank and colon", BEGIN "Content-Length : 4\r\n\r\necho"),
    CASE("tab before colon", BEGIN "X-A\t: b\r\nContent-Length: 0\r\n\r\n"),
    CASE("empty name", BEGIN ": b\r\nContent-Length: 0\r\n\r\n"),
    CASE("name with bracket", BEGIN "X(A): b\r\nContent-Length: 0\r\n\r\n"),
    CASE("name with high byte", BEGIN "X\x80: b\r\nContent-Length: 0\r\n\r\n"),
    CASE("NUL in value", BEGIN "X-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
    CASE("CR in value", BEGIN "X-A: a\rb\r\nContent-Length: 0\r\n\r\n"),
    CASE("LF ends a line", BEGIN "X-A: a\nContent-Length: 0\r\n\r\n"),
    CASE("LF ends the request line",
         "POST /v1/sync HTTP/1.1\n" HOST TYPE "Content-Length: 0\r\n\r\n"),
    CASE("LF ends the head", BEGIN "Content-Length: 0\r\n\n"),
    CASE("only LF", "POST /v1/sync HTTP/1.1\nHost: h\nContent-Length: 0\n\n"),
    CASE("CR CR LF", BEGIN "X-A: a\r\r\nContent-Length: 0\r\n\r\n"),
    CASE("folded value", BEGIN "X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    CASE("folded by tab", BEGIN "X-A: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"),
    CASE("blank before first header", POST " " HOST TYPE "Content-Length: 0\r\n\r\n"),
    CASE("header without colon", BEGIN "X-A\r\nContent-Length: 0\r\n\r\n"),
    CASE("control in value", BEGIN "X-A: \x01\r\nContent-Length: 0\r\n\r\n"),
    CASE("upgrade", BEGIN "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"),
    CASE("expect", BEGIN "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
};

static const bad_case HOSTS[] = {
    CASE("no host", HEALTH "\r\n"),
    CASE("two hosts", HEALTH HOST HOST "\r\n"),
    CASE("host list", HEALTH "Host: a, b\r\n\r\n"),
    CASE("host with user", HEALTH "Host: u@h\r\n\r\n"),
    CASE("host with path", HEALTH "Host: h/p\r\n\r\n"),
    CASE("host empty", HEALTH "Host:\r\n\r\n"),
    CASE("host with blank", HEALTH "Host: a b\r\n\r\n"),
    CASE("absolute form", "GET https://other/v1/health HTTP/1.1\r\n" HOST "\r\n"),
};

static const bad_case LINES[] = {
    CASE("GET with body", HEALTH HOST "Content-Length: 4\r\n\r\necho"),
    CASE("GET with empty body", HEALTH HOST "Content-Length: 0\r\n\r\n"),
    CASE("HEAD with body", "HEAD /v1/health HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\necho"),
    CASE("OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
    CASE("TRACE", "TRACE /v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("CONNECT", "CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n"),
    CASE("lower case method", "get /v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("unknown method", "GETS /v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("method with NUL", "GE\0T /v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("tab in line", "GET\t/v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("two blanks", "GET  /v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("two blanks behind", "GET /v1/health  HTTP/1.1\r\n" HOST "\r\n"),
    CASE("blank before", " GET /v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("no target", "GET HTTP/1.1\r\n" HOST "\r\n"),
    CASE("blank behind version", "GET /v1/health HTTP/1.1 \r\n" HOST "\r\n"),
    CASE("HTTP/2.0", "GET /v1/health HTTP/2.0\r\n" HOST "\r\n"),
    CASE("HTTP/1.2", "GET /v1/health HTTP/1.2\r\n" HOST "\r\n"),
    CASE("http/1.1", "GET /v1/health http/1.1\r\n" HOST "\r\n"),
    CASE("HTTP/01.1", "GET /v1/health HTTP/01.1\r\n" HOST "\r\n"),
    CASE("HTTP/1.10", "GET /v1/health HTTP/1.10\r\n" HOST "\r\n"),
    CASE("HTTP/1.0", "GET /v1/health HTTP/1.0\r\n" HOST "\r\n"),
    CASE("HTTP/0.9", "GET /v1/health\r\n"),
    CASE("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    CASE("fragment", "GET /v1/health#x HTTP/1.1\r\n" HOST "\r\n"),
    CASE("query", "GET /v1/health?x HTTP/1.1\r\n" HOST "\r\n"),
    CASE("%00", "GET /v1/health%00 HTTP/1.1\r\n" HOST "\r\n"),
    CASE("%0d%0a", "GET /v1/health%0d%0aX:%20y HTTP/1.1\r\n" HOST "\r\n"),
    CASE("overlong UTF-8", "GET /v1/\xc0\xafhealth HTTP/1.1\r\n" HOST "\r\n"),
    CASE("backslash", "GET /v1\\health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("high byte", "GET /v1/h\xe9"
                      "alth HTTP/1.1\r\n" HOST "\r\n"),
    CASE("dot dot", "GET /v1/../v1/health HTTP/1.1\r\n" HOST "\r\n"),
    CASE("wrong type", POST HOST "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\necho"),
    CASE("wrong coding", BEGIN "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\necho"),
    CASE("a TLS record inside", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
};

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

/* One refusal, then the end, and nothing behind it. */
static void check_refusal(const bad_case *c, const char *out, bool closed)
{
    int status = 0;
    bool fine = closed && count_of(out, "HTTP/1.1 ") == 1 &&
                sscanf(out, "HTTP/1.1 %d", &status) == 1 && status >= 400 && status < 600 &&
                status != 500 && strstr(out, "\r\nConnection: close\r\n") != NULL &&
                strstr(out, "\r\nCache-Control: no-store\r\n") != NULL &&
                strstr(out, "\r\nContent-Length: ") != NULL && strstr(out, "Server:") == NULL;
    if (!fine) {
        print_error("case \"%s\": closed %d, answer: %s\n", c->what, closed, out);
    }
    assert_true(fine);
}

static void send_case(const rig *r, const bad_case *c, char *out)
{
    raw_line line;
    char bytes[4096];
    size_t size = c->size;
    assert_true(size + sizeof CANARY < sizeof bytes);
    memcpy(bytes, c->bytes, size);
    memcpy(bytes + size, CANARY, sizeof CANARY - 1);
    raw_open(&line, r);
    assert_true(raw_send(&line, bytes, size + sizeof CANARY - 1));
    bool closed = raw_get(&line, out, OUT_BYTES, WAIT_MS);
    check_refusal(c, out, closed);
    raw_close(&line);
}

static void send_cases(const bad_case *cases, size_t count)
{
    rig *r = rig_start(NULL);
    char out[OUT_BYTES];
    for (size_t i = 0; i < count; i++) {
        send_case(r, &cases[i], out);
        if (rig_seen(r) != 0) {
            print_error("case \"%s\" reached the server\n", cases[i].what);
        }
        assert_int_equal(rig_seen(r), 0);
    }
    rig_stop(r);
}

static void limits__doubtful_framing_is_refused_and_the_canary_stays_silent(void **state)
{
    (void)state;
    send_cases(FRAMING, sizeof FRAMING / sizeof FRAMING[0]);
}

static void limits__doubtful_hosts_are_refused(void **state)
{
    (void)state;
    send_cases(HOSTS, sizeof HOSTS / sizeof HOSTS[0]);
}

static void limits__doubtful_request_lines_are_refused(void **state)
{
    (void)state;
    send_cases(LINES, sizeof LINES / sizeof LINES[0]);
}

static void limits__the_canary_alone_sings(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    char out[OUT_BYTES];
    (void)state;
    raw_open(&line, r);
    assert_true(raw_send(&line, CANARY, sizeof CANARY - 1));
    assert_false(raw_get(&line, out, sizeof out, 300));
    assert_int_equal(count_of(out, "HTTP/1.1 200 OK"), 1);
    assert_int_equal(rig_seen(r), 1);
    raw_close(&line);
    rig_stop(r);
}

/* CL.0: what follows an empty body is a request of its own, or the end. */
static void limits__bytes_behind_an_empty_body_are_a_new_request(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    char out[OUT_BYTES];
    static const char SENT[] = BEGIN "Content-Length: 0\r\n\r\n" CANARY "junk";
    (void)state;
    raw_open(&line, r);
    assert_true(raw_send(&line, SENT, sizeof SENT - 1));
    assert_true(raw_send(&line, "\r\n\r\n", 4));
    assert_true(raw_get(&line, out, sizeof out, WAIT_MS));
    assert_int_equal(count_of(out, "HTTP/1.1 200 OK"), 2);
    assert_int_equal(count_of(out, "HTTP/1.1 400 "), 1);
    assert_int_equal(rig_seen(r), 2);
    raw_close(&line);
    rig_stop(r);
}

/* 413 comes before the body is read; what still arrives is thrown away, never parsed. */
static void limits__a_body_too_large_is_refused_before_it_is_read(void **state)
{
    static const struct {
        const char *path;
        long length;
    } ROUTES[] = {{"/v1/sync", SYNC_BODY_BYTES_MAX + 1}, {"/v1/enrol", ENROL_BODY_BYTES_MAX + 1}};
    rig *r = rig_start(NULL);
    raw_line line;
    char out[OUT_BYTES], sent[512];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int size = snprintf(sent, sizeof sent,
                            "POST %s HTTP/1.1\r\n" HOST TYPE "Content-Length: %ld\r\n\r\n",
                            ROUTES[i].path, ROUTES[i].length);
        raw_open(&line, r);
        assert_true(raw_send(&line, sent, (size_t)size));
        assert_true(raw_send(&line, CANARY CANARY, 2 * (sizeof CANARY - 1)));
        assert_true(raw_get(&line, out, sizeof out, WAIT_MS));
        assert_int_equal(count_of(out, "HTTP/1.1 "), 1);
        assert_non_null(strstr(out, "HTTP/1.1 413 "));
        raw_close(&line);
    }
    assert_int_equal(rig_seen(r), 0);
    rig_stop(r);
}

/* A client that pours on after its refusal is cut off within bounds. */
static void limits__a_refused_client_that_pours_on_is_cut(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    static char junk[64 << 10];
    static const char HEAD[] = BEGIN "Content-Length: 999999999\r\n\r\n";
    (void)state;
    raw_open(&line, r);
    assert_true(raw_send(&line, HEAD, sizeof HEAD - 1));
    bool open = true;
    for (int i = 0; i < 2000 && open; i++) {
        open = raw_send(&line, junk, sizeof junk);
    }
    assert_false(open);
    raw_close(&line);
    rig_stop(r);
}

/* The line ends inside a body, at every byte: nothing reaches the server. */
static void limits__a_body_cut_anywhere_has_no_effect(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    static const char SENT[] = BEGIN "Content-Length: 5\r\n\r\nwrite";
    (void)state;
    for (size_t size = sizeof SENT - 1 - 5; size < sizeof SENT - 1; size++) {
        raw_open(&line, r);
        assert_true(raw_send(&line, SENT, size));
        raw_close(&line);
    }
    rig_sleep_ms(100);
    assert_int_equal(rig_seen(r), 0);
    assert_int_equal(rig_written(r), 0);
    rig_stop(r);
}

static void limits__heads_too_large_are_refused(void **state)
{
    rig *r = rig_start(NULL);
    char out[OUT_BYTES];
    buf bytes;
    (void)state;
    buf_init(&bytes, 256 << 10);
    for (int kind = 0; kind < 4; kind++) {
        raw_line line;
        buf_reset(&bytes);
        buf_put_str(&bytes, kind == 0 ? "GET /" : HEALTH HOST);
        for (int i = 0; i < (kind == 3 ? 1000 : 1); i++) {
            buf_put_str(&bytes, kind == 0 ? "" : "Cookie: a=b; ");
            for (int k = 0; k < (kind == 1 ? 64 << 10 : kind == 3 ? 4 : 5000); k++) {
                buf_put_char(&bytes, 'c');
            }
            buf_put_str(&bytes, kind == 0 ? " HTTP/1.1\r\n" HOST : "\r\n");
        }
        buf_put_str(&bytes, "\r\n" CANARY);
        raw_open(&line, r);
        /* May fail half-way: the refusal comes before all has been sent. */
        (void)raw_send(&line, bytes.data, bytes.size);
        assert_true(raw_get(&line, out, sizeof out, WAIT_MS));
        assert_int_equal(count_of(out, "HTTP/1.1 "), 1);
        assert_non_null(strstr(out, kind == 0 ? "HTTP/1.1 414 " : "HTTP/1.1 431 "));
        raw_close(&line);
    }
    buf_clear(&bytes);
    assert_int_equal(rig_seen(r), 0);
    rig_stop(r);
}

/* Nothing a client sends comes back in a refusal. */
static void limits__refusals_repeat_nothing_of_the_request(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    char out[OUT_BYTES];
    static const char SENT[] =
        "GET /v1/xyzzy-secret HTTP/1.1\r\nHost: xyzzy-host\r\nX-A: xyzzy-value\r\n\r\n";
    (void)state;
    raw_open(&line, r);
    assert_true(raw_send(&line, SENT, sizeof SENT - 1));
    assert_true(raw_get(&line, out, sizeof out, WAIT_MS));
    assert_non_null(strstr(out, "HTTP/1.1 404 "));
    assert_non_null(strstr(out, "\"code\":\"E_PATH\""));
    assert_null(strstr(out, "xyzzy"));
    raw_close(&line);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits__the_canary_alone_sings),
        cmocka_unit_test(limits__doubtful_framing_is_refused_and_the_canary_stays_silent),
        cmocka_unit_test(limits__doubtful_hosts_are_refused),
        cmocka_unit_test(limits__doubtful_request_lines_are_refused),
        cmocka_unit_test(limits__bytes_behind_an_empty_body_are_a_new_request),
        cmocka_unit_test(limits__a_body_too_large_is_refused_before_it_is_read),
        cmocka_unit_test(limits__a_refused_client_that_pours_on_is_cut),
        cmocka_unit_test(limits__a_body_cut_anywhere_has_no_effect),
        cmocka_unit_test(limits__heads_too_large_are_refused),
        cmocka_unit_test(limits__refusals_repeat_nothing_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
