/* test_tls.c - what the TLS front offers and refuses, and the company's authority.
 *
 * Method: real sockets with libcurl (another TLS library) for versions, suites and failures; and an
 * mbedTLS client joined to the shim by memory where a client must misbehave. */
#include <arpa/inet.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/posix/mbed.h"
#include "platform/posix/port.h"
#include "platform/posix/tls.h"
#include "support/server_rig.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static int64_t wall_ms(void)
{
    const fb_port *port = fb_port_posix();
    return port->wall_ms(port->ctx);
}

/* ---------------------------------------------------------------- versions and suites, sockets */

typedef struct offer {
    long version;       /* CURL_SSLVERSION_... | CURL_SSLVERSION_MAX_... */
    const char *suites; /* of TLS 1.2 */
    const char *curves;
    bool fine;
} offer;

static size_t ignore_body(char *data, size_t one, size_t size, void *ctx)
{
    (void)data;
    (void)one;
    (void)ctx;
    return size;
}

static CURLcode ask_health(const rig *r, const offer *o, char reason[CURL_ERROR_SIZE])
{
    char url[128];
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    snprintf(url, sizeof url, "%s/v1/health", rig_url(r));
    reason[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CAINFO, rig_ca(r));
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, o->version);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_body);
    if (o->suites != NULL) {
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, o->suites), CURLE_OK);
    }
    if (o->curves != NULL) {
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_SSL_EC_CURVES, o->curves), CURLE_OK);
    }
    CURLcode rc = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    return rc;
}

enum {
    V_1_0 = CURL_SSLVERSION_TLSv1_0 | CURL_SSLVERSION_MAX_TLSv1_0,
    V_1_1 = CURL_SSLVERSION_TLSv1_1 | CURL_SSLVERSION_MAX_TLSv1_1,
    V_1_2 = CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2,
    V_1_3 = CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3,
};

static const offer OFFERS[] = {
    {V_1_3, NULL, NULL, true},
    {V_1_3, NULL, "P-256", true},
    {V_1_3, NULL, "X25519", true},
    {V_1_3, NULL, "P-384", true},
    {V_1_3, NULL, "P-521", false},
    {V_1_3, NULL, "X448", false},
    {V_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL, true},
    {V_1_2, "ECDHE-ECDSA-AES256-GCM-SHA384", NULL, true},
    {V_1_2, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL, true},
    {V_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "P-521", false},
    {V_1_2, "ECDHE-ECDSA-AES128-SHA256", NULL, false},
    {V_1_2, "ECDHE-ECDSA-AES256-SHA384", NULL, false},
    {V_1_2, "ECDHE-ECDSA-AES128-SHA", NULL, false},
    {V_1_2, "ECDHE-ECDSA-AES128-CCM", NULL, false},
    {V_1_2, "ECDHE-ECDSA-CAMELLIA128-SHA256", NULL, false},
    {V_1_2, "ECDHE-RSA-AES128-GCM-SHA256", NULL, false},
    {V_1_2, "DHE-RSA-AES128-GCM-SHA256", NULL, false},
    {V_1_2, "AES128-GCM-SHA256:AES128-SHA", NULL, false},
    {V_1_1, "ALL:@SECLEVEL=0", NULL, false},
    {V_1_0, "ALL:@SECLEVEL=0", NULL, false},
};

static void tls__only_strong_versions_suites_and_curves_are_served(void **state)
{
    rig *r = rig_start(NULL);
    char reason[CURL_ERROR_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof OFFERS / sizeof OFFERS[0]; i++) {
        const offer *o = &OFFERS[i];
        CURLcode rc = ask_health(r, o, reason);
        /* Refused by the server's alert, not by this client's own taste. */
        bool as_wanted = o->fine ? rc == CURLE_OK
                                 : rc == CURLE_SSL_CONNECT_ERROR && strstr(reason, "alert") != NULL;
        if (!as_wanted) {
            print_error("offer %zu (%s): %d %s\n", i, o->suites != NULL ? o->suites : "-", (int)rc,
                        reason);
        }
        assert_true(as_wanted);
    }
    rig_stop(r);
}

static void tls__plain_http_gets_no_http(void **state)
{
    rig *r = rig_start(NULL);
    static const char SENT[] = "GET /v1/health HTTP/1.1\r\nHost: h\r\n\r\n";
    char got[512] = "";
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(rig_port(r)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(write(fd, SENT, sizeof SENT - 1), sizeof SENT - 1);
    ssize_t size = 0;
    while ((size = read(fd, got, sizeof got - 1)) > 0) {
        got[size] = '\0';
        assert_null(strstr(got, "HTTP"));
    }
    close(fd);
    assert_int_equal(rig_seen(r), 0);
    rig_stop(r);
}

/* ---------------------------------------------------------------- a client in memory */

typedef struct memory_client {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca;
    mbedtls_ssl_session session;
    tls_conn *server;
    buf to_server, to_client;
    size_t from_server_bytes; /* all that the server sent */
} memory_client;

static int client_send(void *ctx, const unsigned char *data, size_t size)
{
    memory_client *m = ctx;
    buf_put(&m->to_server, data, size);
    return (int)size;
}

static int client_recv(void *ctx, unsigned char *out, size_t max)
{
    memory_client *m = ctx;
    if (m->to_client.size == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    size_t size = m->to_client.size < max ? m->to_client.size : max;
    memcpy(out, m->to_client.data, size);
    memmove(m->to_client.data, m->to_client.data + size, m->to_client.size - size);
    m->to_client.size -= size;
    return (int)size;
}

static void client_init(memory_client *m, const char *ca)
{
    memset(m, 0, sizeof *m);
    mbedtls_ssl_init(&m->ssl);
    mbedtls_ssl_config_init(&m->config);
    mbedtls_x509_crt_init(&m->ca);
    mbedtls_ssl_session_init(&m->session);
    buf_init(&m->to_server, 1 << 20);
    buf_init(&m->to_client, 1 << 20);
    assert_int_equal(mbed_load_cert(&m->ca, ca, NULL), FB_OK);
    assert_int_equal(mbedtls_ssl_config_defaults(&m->config, MBEDTLS_SSL_IS_CLIENT,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&m->config, mbed_random, NULL);
    mbedtls_ssl_conf_ca_chain(&m->config, &m->ca, NULL);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &m->config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
}

static void client_clear(memory_client *m)
{
    mbedtls_ssl_free(&m->ssl);
    mbedtls_ssl_config_free(&m->config);
    mbedtls_x509_crt_free(&m->ca);
    mbedtls_ssl_session_free(&m->session);
    buf_clear(&m->to_server);
    buf_clear(&m->to_client);
    tls_conn_free(m->server);
}

/* What one has for the other crosses over. */
static tls_status server_turn(memory_client *m)
{
    assert_int_equal(tls_conn_feed(m->server, m->to_server.data, m->to_server.size), FB_OK);
    tls_status status = tls_conn_handshake(m->server);
    assert_int_equal(tls_conn_keep(m->server), FB_OK);
    buf_reset(&m->to_server);
    buf *out = tls_conn_out(m->server);
    m->from_server_bytes += out->size;
    buf_put(&m->to_client, out->data, out->size);
    buf_reset(out);
    return status;
}

static tls_status shake_hands(memory_client *m, tls_server *s)
{
    tls_status status = TLS_MORE;
    assert_int_equal(mbedtls_ssl_setup(&m->ssl, &m->config), 0);
    assert_int_equal(mbedtls_ssl_set_hostname(&m->ssl, "localhost"), 0);
    mbedtls_ssl_set_bio(&m->ssl, m, client_send, client_recv, NULL);
    assert_int_equal(tls_conn_new(s, &m->server), FB_OK);
    int rc = MBEDTLS_ERR_SSL_WANT_READ;
    for (int i = 0; i < 20 && status == TLS_MORE; i++) {
        rc = rc == 0 ? 0 : mbedtls_ssl_handshake(&m->ssl);
        status = server_turn(m);
    }
    if (status == TLS_DONE && rc != 0) {
        assert_int_equal(mbedtls_ssl_handshake(&m->ssl), 0);
    }
    return status;
}

typedef struct tls_fixture {
    char folder[64], ca[96], ca_key[96], cert[96], key[96];
    tls_server *server;
} tls_fixture;

static void fixture_open(tls_fixture *f)
{
    static const char *const NAMES[] = {"localhost"};
    memset(f, 0, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/fb-tls-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->ca, sizeof f->ca, "%s/ca.pem", f->folder);
    snprintf(f->ca_key, sizeof f->ca_key, "%s/ca.key", f->folder);
    snprintf(f->cert, sizeof f->cert, "%s/server.pem", f->folder);
    snprintf(f->key, sizeof f->key, "%s/server.key", f->folder);
    ca_leaf leaf = {
        .names = NAMES, .names_count = 1, .days = 30, .cert_path = f->cert, .key_path = f->key};
    assert_int_equal(ca_create(f->ca, f->ca_key, "Müller & 北京, \"AG\"", NULL), FB_OK);
    assert_int_equal(ca_issue(f->ca, f->ca_key, &leaf, NULL), FB_OK);
    assert_int_equal(tls_server_new(f->cert, f->key, &f->server, NULL), FB_OK);
}

static void fixture_close(tls_fixture *f)
{
    tls_server_free(f->server);
    unlink(f->ca);
    unlink(f->ca_key);
    unlink(f->cert);
    unlink(f->key);
    rmdir(f->folder);
}

/* TLS-1 */
static void tls__1_2_needs_the_extended_master_secret(void **state)
{
    tls_fixture f;
    memory_client m;
    (void)state;
    fixture_open(&f);
    for (int safe = 0; safe < 2; safe++) {
        client_init(&m, f.ca);
        mbedtls_ssl_conf_max_tls_version(&m.config, MBEDTLS_SSL_VERSION_TLS1_2);
        mbedtls_ssl_conf_extended_master_secret(&m.config, safe ? MBEDTLS_SSL_EXTENDED_MS_ENABLED
                                                                : MBEDTLS_SSL_EXTENDED_MS_DISABLED);
        assert_int_equal(shake_hands(&m, f.server), safe ? TLS_DONE : TLS_FAILED);
        if (!safe) {
            assert_int_equal(m.to_client.size, 7); /* an alert, not a silent end */
            assert_int_equal(m.to_client.data[0], 21);
        }
        client_clear(&m);
    }
    fixture_close(&f);
}

static void read_ticket(memory_client *m)
{
    unsigned char ignored[16];
    for (int i = 0; i < 4; i++) {
        int rc = mbedtls_ssl_read(&m->ssl, ignored, sizeof ignored);
        if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            return;
        }
    }
}

/* A resumed handshake carries no certificate: the server sends far less. Also after a reload. */
static void tls__sessions_are_resumed_by_ticket(void **state)
{
    static const mbedtls_ssl_protocol_version VERSIONS[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                            MBEDTLS_SSL_VERSION_TLS1_3};
    tls_fixture f;
    memory_client first, second;
    (void)state;
    fixture_open(&f);
    for (int i = 0; i < 2; i++) {
        client_init(&first, f.ca);
        mbedtls_ssl_conf_max_tls_version(&first.config, VERSIONS[i]);
        assert_int_equal(shake_hands(&first, f.server), TLS_DONE);
        read_ticket(&first);
        assert_int_equal(mbedtls_ssl_get_session(&first.ssl, &first.session), 0);
        assert_int_equal(tls_server_reload(f.server, f.cert, f.key, NULL), FB_OK);

        client_init(&second, f.ca);
        mbedtls_ssl_conf_max_tls_version(&second.config, VERSIONS[i]);
        assert_int_equal(mbedtls_ssl_setup(&second.ssl, &second.config), 0);
        assert_int_equal(mbedtls_ssl_set_session(&second.ssl, &first.session), 0);
        mbedtls_ssl_set_bio(&second.ssl, &second, client_send, client_recv, NULL);
        assert_int_equal(mbedtls_ssl_set_hostname(&second.ssl, "localhost"), 0);
        assert_int_equal(tls_conn_new(f.server, &second.server), FB_OK);
        tls_status status = TLS_MORE;
        for (int turn = 0; turn < 10 && status == TLS_MORE; turn++) {
            (void)mbedtls_ssl_handshake(&second.ssl);
            status = server_turn(&second);
        }
        assert_int_equal(status, TLS_DONE);
        assert_true(second.from_server_bytes * 3 < first.from_server_bytes * 2);
        client_clear(&second);
        client_clear(&first);
    }
    fixture_close(&f);
}

static void tls__other_protocols_by_alpn_are_refused(void **state)
{
    static const char *H2[] = {"h2", NULL};
    tls_fixture f;
    memory_client m;
    (void)state;
    fixture_open(&f);
    client_init(&m, f.ca);
    assert_int_equal(mbedtls_ssl_conf_alpn_protocols(&m.config, H2), 0);
    assert_int_equal(shake_hands(&m, f.server), TLS_FAILED);
    client_clear(&m);
    fixture_close(&f);
}

static void tls__renegotiation_is_refused(void **state)
{
    tls_fixture f;
    memory_client m;
    char ignored[16];
    size_t size = 0;
    (void)state;
    fixture_open(&f);
    client_init(&m, f.ca);
    mbedtls_ssl_conf_max_tls_version(&m.config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_renegotiation(&m.config, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    assert_int_equal(shake_hands(&m, f.server), TLS_DONE);
    (void)mbedtls_ssl_renegotiate(&m.ssl);
    assert_true(m.to_server.size > 0);
    assert_int_equal(tls_conn_feed(m.server, m.to_server.data, m.to_server.size), FB_OK);
    /* A warning alert, and never a second handshake. */
    tls_status status = tls_conn_read(m.server, ignored, sizeof ignored, &size);
    assert_true(status == TLS_MORE || status == TLS_FAILED);
    assert_true(tls_conn_out(m.server)->size > 0 && tls_conn_out(m.server)->size < 64);
    client_clear(&m);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- the look at the hello */

static void capture_hello(buf *out, const char *ca, mbedtls_ssl_protocol_version max)
{
    memory_client m;
    client_init(&m, ca);
    mbedtls_ssl_conf_max_tls_version(&m.config, max);
    assert_int_equal(mbedtls_ssl_setup(&m.ssl, &m.config), 0);
    assert_int_equal(mbedtls_ssl_set_hostname(&m.ssl, "localhost"), 0);
    mbedtls_ssl_set_bio(&m.ssl, &m, client_send, client_recv, NULL);
    (void)mbedtls_ssl_handshake(&m.ssl);
    buf_put(out, m.to_server.data, m.to_server.size);
    client_clear(&m);
}

static void hello__is_judged_only_when_whole(void **state)
{
    tls_fixture f;
    buf hello;
    (void)state;
    fixture_open(&f);
    buf_init(&hello, 1 << 16);
    capture_hello(&hello, f.ca, MBEDTLS_SSL_VERSION_TLS1_3);
    const uint8_t *bytes = (const uint8_t *)hello.data;
    for (size_t size = 0; size < hello.size; size++) {
        assert_int_equal(tls_hello_check(bytes, size), HELLO_MORE);
    }
    assert_int_equal(tls_hello_check(bytes, hello.size), HELLO_FINE);
    /* A hello in two records cannot be judged: refused. */
    hello.data[3] = 0;
    hello.data[4] = 50;
    assert_int_equal(tls_hello_check(bytes, hello.size), HELLO_REFUSED);
    buf_clear(&hello);
    fixture_close(&f);
}

/* No change of any byte makes it read beyond the end (the sanitizer watches). */
static void hello__survives_every_changed_byte(void **state)
{
    tls_fixture f;
    buf hello;
    (void)state;
    fixture_open(&f);
    buf_init(&hello, 1 << 16);
    capture_hello(&hello, f.ca, MBEDTLS_SSL_VERSION_TLS1_2);
    uint8_t *copy = malloc(hello.size);
    assert_non_null(copy);
    int refused = 0;
    for (size_t i = 0; i < hello.size; i++) {
        for (int value = 0; value < 256; value += 5) {
            memcpy(copy, hello.data, hello.size);
            copy[i] = (uint8_t)value;
            refused += tls_hello_check(copy, hello.size) == HELLO_REFUSED;
        }
    }
    assert_true(refused > 100);
    free(copy);
    buf_clear(&hello);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- certificates and keys */

static void tls__keys_that_others_may_read_are_refused(void **state)
{
    tls_fixture f;
    tls_server *refused = NULL;
    fb_error err = {0};
    (void)state;
    fixture_open(&f);
    assert_int_equal(chmod(f.key, 0640), 0);
    assert_int_equal(tls_server_new(f.cert, f.key, &refused, &err), FB_E_CONFIG);
    assert_string_equal(err.field, f.key);
    assert_non_null(strstr(err.message, "chmod 600"));
    assert_null(refused);
    fixture_close(&f);
}

static void tls__a_key_of_another_certificate_is_refused(void **state)
{
    tls_fixture f;
    tls_server *refused = NULL;
    fb_error err = {0};
    (void)state;
    fixture_open(&f);
    assert_int_equal(tls_server_new(f.cert, f.ca_key, &refused, &err), FB_E_CONFIG);
    assert_non_null(strstr(err.message, "does not belong"));
    fixture_close(&f);
}

/* CA-1, CA-2 */
static void ca__overwrites_nothing_and_keeps_its_bounds(void **state)
{
    static const char *const BAD[] = {"", "a b", "-x", "a..b", "h/p", "*"};
    tls_fixture f;
    fb_error err = {0};
    struct stat s;
    (void)state;
    fixture_open(&f);
    assert_int_equal(ca_create(f.ca, f.ca_key, "Other", &err), FB_E_EXISTS);
    assert_int_equal(stat(f.ca_key, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(stat(f.key, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    const char *name = "localhost";
    ca_leaf leaf = {
        .names = &name, .names_count = 1, .days = 399, .cert_path = f.cert, .key_path = f.key};
    assert_int_equal(ca_issue(f.ca, f.ca_key, &leaf, &err), FB_E_RANGE);
    assert_string_equal(err.field, "days");
    leaf.days = 10;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        name = BAD[i];
        assert_int_equal(ca_issue(f.ca, f.ca_key, &leaf, &err), FB_E_FORMAT);
    }
    assert_true(tls_server_expires_ms(f.server) > wall_ms() + 29 * DAY_MS);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls__only_strong_versions_suites_and_curves_are_served),
        cmocka_unit_test(tls__plain_http_gets_no_http),
        cmocka_unit_test(tls__1_2_needs_the_extended_master_secret),
        cmocka_unit_test(tls__sessions_are_resumed_by_ticket),
        cmocka_unit_test(tls__other_protocols_by_alpn_are_refused),
        cmocka_unit_test(tls__renegotiation_is_refused),
        cmocka_unit_test(hello__is_judged_only_when_whole),
        cmocka_unit_test(hello__survives_every_changed_byte),
        cmocka_unit_test(tls__keys_that_others_may_read_are_refused),
        cmocka_unit_test(tls__a_key_of_another_certificate_is_refused),
        cmocka_unit_test(ca__overwrites_nothing_and_keeps_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
