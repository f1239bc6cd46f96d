/* test_link.c - the link of a device: what it says when a certificate is not right, what it keeps
 * to.
 *
 * Method: libcurl against a real listener (support/server_rig.h) with certificates made wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/posix/file.h"
#include "platform/posix/port.h"
#include "support/server_rig.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static int64_t wall_ms(void)
{
    const fb_port *port = fb_port_posix();
    return port->wall_ms(port->ctx);
}

static fb_code try_link(const char *url, const char *ca, char message[400])
{
    fb_link *link = NULL;
    fb_code code = FB_OK;
    char answer[64];
    assert_int_equal(fb_link_curl_new(url, ca, &link, NULL), FB_OK);
    (void)rig_ask(link, "echo", answer, sizeof answer, &code);
    snprintf(message, 400, "%s", fb_link_curl_get_message(link));
    fb_link_curl_free(link);
    return code;
}

static void reissue(rig *r, const char *name, int64_t not_before_ms, uint32_t days)
{
    rig_issue(r, name, not_before_ms, days);
    listener_reload(rig_listener(r));
    rig_sleep_ms(150);
}

static void link__names_what_is_wrong_with_a_certificate(void **state)
{
    rig *r = rig_start(NULL), *other = rig_start(NULL);
    char message[400];
    (void)state;
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_OK);
    assert_string_equal(message, "");

    assert_int_equal(try_link(rig_url(r), rig_ca(other), message), FB_E_TLS);
    assert_non_null(strstr(message, "not signed by the company's authority"));

    reissue(r, "127.0.0.1", wall_ms() - 10 * DAY_MS, 5);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_E_TLS);
    assert_non_null(strstr(message, "has expired"));

    reissue(r, "127.0.0.1", wall_ms() + 2 * DAY_MS, 5);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_E_TLS);
    assert_non_null(strstr(message, "not valid yet"));

    /* A phone in the wrong century: a person is told to look at its clock (T1). */
    reissue(r, "127.0.0.1", DAY_MS, 300);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_E_TLS);
    assert_non_null(strstr(message, "check this device's clock"));
    reissue(r, "127.0.0.1", 131 * INT64_C(365) * DAY_MS, 300);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_E_TLS);
    assert_non_null(strstr(message, "clock is probably behind"));

    reissue(r, "localhost", 0, 5);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_E_TLS);
    assert_non_null(strstr(message, "not for this host name"));

    reissue(r, "127.0.0.1", 0, 5);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_OK);
    rig_stop(other);
    rig_stop(r);
}

/* LIS-3 */
static void listen__a_reload_that_fails_keeps_the_old_certificate(void **state)
{
    rig *r = rig_start(NULL);
    char message[400];
    (void)state;
    assert_int_equal(file_replace(rig_path(r, "server.pem"), text_of("junk"), false, NULL), FB_OK);
    listener_reload(rig_listener(r));
    rig_sleep_ms(150);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_OK);
    rig_stop(r);
}

static void link__addresses_must_be_plain_https(void **state)
{
    static const char *const BAD[] = {"",
                                      "http://h",
                                      "https://",
                                      "https://h/x",
                                      "https://u@h",
                                      "https://h?x",
                                      "https://h h",
                                      "ftp://h",
                                      "HTTPS://h",
                                      "https://h#x",
                                      "https://h\\x",
                                      "h"};
    rig *r = rig_start(NULL);
    fb_error err = {0};
    fb_link *link = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(fb_link_curl_new(BAD[i], rig_ca(r), &link, &err), FB_E_FORMAT);
        assert_null(link);
    }
    assert_int_equal(fb_link_curl_new("https://h", "/nonexistent", &link, &err), FB_E_NOT_FOUND);
    assert_string_equal(err.field, "ca_file");
    rig_stop(r);
}

/* LNK-1 */
static void link__does_not_follow_the_environment_to_a_proxy(void **state)
{
    rig *r = rig_start(NULL);
    char message[400];
    (void)state;
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(try_link(rig_url(r), rig_ca(r), message), FB_OK);
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    rig_stop(r);
}

static fb_code ask_bounded(fb_link *link, const char *body, uint32_t timeout_ms, uint32_t max,
                           fb_link_response *out)
{
    fb_link_request q = {.method = "POST",
                         .path = "/v1/sync",
                         .content_type = "application/x-fieldbook",
                         .body = {.data = body, .size = strlen(body)},
                         .timeout_ms = timeout_ms,
                         .response_bytes_max = max};
    return link->exchange(link->ctx, &q, out);
}

static void link__keeps_its_bounds_and_goes_on(void **state)
{
    rig *r = rig_start(NULL);
    fb_link *link = NULL;
    fb_link_response a = {.status = 77};
    (void)state;
    assert_int_equal(fb_link_curl_new(rig_url(r), rig_ca(r), &link, NULL), FB_OK);
    assert_int_equal(ask_bounded(link, "big 1001", 5000, 1000, &a), FB_E_LIMIT);
    assert_int_equal(a.status, 77); /* untouched */
    assert_int_equal(ask_bounded(link, "big 1000", 5000, 1000, &a), FB_OK);
    assert_int_equal(a.body.size, 1000);
    assert_int_equal(ask_bounded(link, "slow 2000", 300, 1000, &a), FB_E_TIMEOUT);
    assert_int_equal(ask_bounded(link, "echo", 5000, 1000, &a), FB_OK);
    fb_link_curl_free(link);
    rig_stop(r);
}

static void link__a_server_that_is_not_there_is_offline(void **state)
{
    rig *r = rig_start(NULL);
    char message[400];
    (void)state;
    assert_int_equal(try_link("https://127.0.0.1:1", rig_ca(r), message), FB_E_OFFLINE);
    assert_int_equal(try_link("https://does-not-exist.invalid", rig_ca(r), message), FB_E_OFFLINE);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link__names_what_is_wrong_with_a_certificate),
        cmocka_unit_test(listen__a_reload_that_fails_keeps_the_old_certificate),
        cmocka_unit_test(link__addresses_must_be_plain_https),
        cmocka_unit_test(link__does_not_follow_the_environment_to_a_proxy),
        cmocka_unit_test(link__keeps_its_bounds_and_goes_on),
        cmocka_unit_test(link__a_server_that_is_not_there_is_offline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
