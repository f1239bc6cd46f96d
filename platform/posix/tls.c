/* tls.c - see tls.h. The hello check is in tls_hello.c. */
#include "platform/posix/tls.h"

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_ticket.h>
#include <psa/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "platform/posix/mbed.h"

enum { RECORD_HEAD_BYTES_KEPT = 512 };

static const int SUITES[] = {MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                             MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
                             MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                             0};
static const uint16_t GROUPS[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
static const uint16_t SIGNATURES[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                      MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
                                      MBEDTLS_TLS1_3_SIG_NONE};
static const char *const PROTOCOLS[] = {"http/1.1", NULL};

/* One certificate with its settings. Connections keep it alive across a reload (TLS-2). */
typedef struct identity {
    mbedtls_ssl_config config;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    uint32_t users;
} identity;

struct tls_server {
    mbedtls_ssl_ticket_context tickets;
    identity *now;
};

struct tls_conn {
    mbedtls_ssl_context ssl;
    identity *identity;
    const uint8_t *fed; /* not read yet: the caller's bytes, or inside kept */
    size_t fed_bytes;
    buf kept;
    buf out;
    bool hello_seen, has_spoken, closing;
};

/* ---------------------------------------------------------------- certificate and settings */

static void identity_drop(identity *i)
{
    if (i == NULL || --i->users > 0) {
        return;
    }
    mbedtls_ssl_config_free(&i->config);
    mbedtls_x509_crt_free(&i->cert);
    mbedtls_pk_free(&i->key);
    free(i);
}

static fb_code check_pair(identity *i, const char *cert_file, const char *key_file, fb_error *err)
{
    if (!mbedtls_pk_can_do(&i->cert.pk, MBEDTLS_PK_ECDSA)) {
        return fail(err, FB_E_CONFIG, cert_file,
                    "the certificate's key must be an elliptic curve key (P-256 or P-384): make "
                    "one with fieldbook-admin");
    }
    return mbed_check_pair(&i->cert, &i->key, key_file, err);
}

static fb_code set_config(identity *i, mbedtls_ssl_ticket_context *tickets)
{
    mbedtls_ssl_config *c = &i->config;
    if (mbedtls_ssl_config_defaults(c, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0 ||
        mbedtls_ssl_conf_own_cert(c, &i->cert, &i->key) != 0 ||
        mbedtls_ssl_conf_alpn_protocols(c, (const char **)(uintptr_t)PROTOCOLS) != 0) {
        return FB_E_NO_MEMORY;
    }
    mbedtls_ssl_conf_rng(c, mbed_random, NULL);
    mbedtls_ssl_conf_min_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(c, SUITES);
    mbedtls_ssl_conf_groups(c, GROUPS);
    mbedtls_ssl_conf_sig_algs(c, SIGNATURES);
    mbedtls_ssl_conf_authmode(c, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_renegotiation(c, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_legacy_renegotiation(c, MBEDTLS_SSL_LEGACY_BREAK_HANDSHAKE);
    mbedtls_ssl_conf_extended_master_secret(c, MBEDTLS_SSL_EXTENDED_MS_ENABLED);
    mbedtls_ssl_conf_session_tickets_cb(c, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                        tickets);
    return FB_OK;
}

static fb_code identity_new(mbedtls_ssl_ticket_context *tickets, const char *cert_file,
                            const char *key_file, identity **out, fb_error *err)
{
    identity *i = calloc(1, sizeof *i);
    if (i == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory");
    }
    i->users = 1;
    mbedtls_ssl_config_init(&i->config);
    mbedtls_x509_crt_init(&i->cert);
    mbedtls_pk_init(&i->key);
    fb_code rc = mbed_load_cert(&i->cert, cert_file, err);
    if (rc == FB_OK) {
        rc = mbed_load_key(&i->key, key_file, err);
    }
    if (rc == FB_OK) {
        rc = check_pair(i, cert_file, key_file, err);
    }
    if (rc == FB_OK && set_config(i, tickets) != FB_OK) {
        rc = fail(err, FB_E_NO_MEMORY, "", "out of memory");
    }
    if (rc != FB_OK) {
        identity_drop(i);
        return rc;
    }
    *out = i;
    return FB_OK;
}

fb_code tls_server_new(const char *cert_file, const char *key_file, tls_server **out, fb_error *err)
{
    FB_REQUIRE(cert_file != NULL && key_file != NULL && out != NULL);
    tls_server *s = calloc(1, sizeof *s);
    if (s == NULL || psa_crypto_init() != PSA_SUCCESS) {
        free(s);
        return fail(err, FB_E_NO_MEMORY, "", "the TLS library cannot start: memory is short");
    }
    mbedtls_ssl_ticket_init(&s->tickets);
    fb_code rc = FB_OK;
    if (mbedtls_ssl_ticket_setup(&s->tickets, mbed_random, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                 TLS_TICKET_S) != 0) {
        rc = fail(err, FB_E_NO_MEMORY, "", "the key of the session tickets cannot be made");
    }
    if (rc == FB_OK) {
        rc = identity_new(&s->tickets, cert_file, key_file, &s->now, err);
    }
    if (rc != FB_OK) {
        tls_server_free(s);
        return rc;
    }
    *out = s;
    return FB_OK;
}

void tls_server_free(tls_server *s)
{
    if (s == NULL) {
        return;
    }
    FB_ASSERT(s->now == NULL || s->now->users == 1);
    identity_drop(s->now);
    mbedtls_ssl_ticket_free(&s->tickets);
    free(s);
}

fb_code tls_server_reload(tls_server *s, const char *cert_file, const char *key_file, fb_error *err)
{
    FB_REQUIRE(s != NULL && cert_file != NULL && key_file != NULL);
    identity *fresh = NULL;
    FB_TRY(identity_new(&s->tickets, cert_file, key_file, &fresh, err));
    identity_drop(s->now);
    s->now = fresh;
    return FB_OK;
}

int64_t tls_server_expires_ms(const tls_server *s)
{
    return mbed_time_ms(&s->now->cert.valid_to);
}

/* ---------------------------------------------------------------- bytes in and out */

/* Before the first word of ours an alert goes in the clear. */
static void refuse_hello(tls_conn *c)
{
    static const uint8_t HANDSHAKE_FAILURE[] = {21, 3, 3, 0, 2, 2, 40};
    buf_put(&c->out, HANDSHAKE_FAILURE, sizeof HANDSHAKE_FAILURE);
}

static int take_fed(void *ctx, unsigned char *out, size_t max)
{
    tls_conn *c = ctx;
    if (!c->hello_seen) {
        tls_hello hello = tls_hello_check(c->fed, c->fed_bytes);
        if (hello == HELLO_REFUSED) {
            refuse_hello(c);
            return MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
        }
        c->hello_seen = hello == HELLO_FINE;
    }
    if (!c->hello_seen || c->fed_bytes == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    size_t size = c->fed_bytes < max ? c->fed_bytes : max;
    memcpy(out, c->fed, size);
    c->fed += size;
    c->fed_bytes -= size;
    return (int)size;
}

static int put_out(void *ctx, const unsigned char *data, size_t size)
{
    tls_conn *c = ctx;
    c->has_spoken = true;
    buf_put(&c->out, data, size);
    return c->out.code == FB_OK ? (int)size : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

fb_code tls_conn_new(tls_server *s, tls_conn **out)
{
    FB_REQUIRE(s != NULL && out != NULL);
    tls_conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return FB_E_NO_MEMORY;
    }
    mbedtls_ssl_init(&c->ssl);
    buf_init(&c->kept, TLS_KEPT_BYTES_MAX);
    buf_init(&c->out, TLS_OUT_BYTES_MAX);
    c->identity = s->now;
    c->identity->users++;
    if (mbedtls_ssl_setup(&c->ssl, &c->identity->config) != 0) {
        tls_conn_free(c);
        return FB_E_NO_MEMORY;
    }
    mbedtls_ssl_set_bio(&c->ssl, c, put_out, take_fed, NULL);
    *out = c;
    return FB_OK;
}

void tls_conn_free(tls_conn *c)
{
    if (c == NULL) {
        return;
    }
    mbedtls_ssl_free(&c->ssl);
    buf_clear(&c->kept);
    buf_clear(&c->out);
    identity_drop(c->identity);
    free(c);
}

/* What is kept comes first: new bytes go behind it. */
fb_code tls_conn_feed(tls_conn *c, const void *data, size_t size)
{
    if (c->fed_bytes == 0) {
        c->fed = data;
        c->fed_bytes = size;
        return FB_OK;
    }
    FB_ASSERT(c->fed >= (const uint8_t *)c->kept.data &&
              c->fed + c->fed_bytes == (const uint8_t *)c->kept.data + c->kept.size);
    size_t read_bytes = c->kept.size - c->fed_bytes;
    buf_put(&c->kept, data, size);
    if (c->kept.code != FB_OK) {
        return c->kept.code;
    }
    c->fed = (const uint8_t *)c->kept.data + read_bytes;
    c->fed_bytes += size;
    return FB_OK;
}

fb_code tls_conn_keep(tls_conn *c)
{
    const uint8_t *kept = (const uint8_t *)c->kept.data;
    if (c->fed_bytes == 0) {
        buf_clear(&c->kept); /* TLS-3 */
        c->fed = NULL;
        return FB_OK;
    }
    if (kept != NULL && c->fed >= kept && c->fed < kept + c->kept.size) {
        memmove(c->kept.data, c->fed, c->fed_bytes);
        c->kept.size = c->fed_bytes;
    } else {
        buf_reset(&c->kept);
        buf_put(&c->kept, c->fed, c->fed_bytes);
        if (c->kept.code != FB_OK) {
            return c->kept.code;
        }
    }
    c->fed = (const uint8_t *)c->kept.data;
    return FB_OK;
}

size_t tls_conn_fed_bytes(const tls_conn *c)
{
    return c->fed_bytes;
}

buf *tls_conn_out(tls_conn *c)
{
    return &c->out;
}

/* ---------------------------------------------------------------- the connection */

static tls_status status_of(int rc)
{
    switch (rc) {
    case 0:
        return TLS_DONE;
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
    case MBEDTLS_ERR_SSL_ASYNC_IN_PROGRESS:
    case MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS:
        return TLS_MORE;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return TLS_CLOSED;
    default:
        return TLS_FAILED;
    }
}

tls_status tls_conn_handshake(tls_conn *c)
{
    tls_status status = status_of(mbedtls_ssl_handshake(&c->ssl));
    if (status == TLS_FAILED && !c->has_spoken && c->out.size == 0) {
        refuse_hello(c); /* mbedTLS leaves silently, for one, a client without a common curve */
    }
    return status;
}

tls_status tls_conn_read(tls_conn *c, void *out, size_t max, size_t *size_out)
{
    int rc = mbedtls_ssl_read(&c->ssl, out, max);
    if (rc > 0) {
        *size_out = (size_t)rc;
        return TLS_DONE;
    }
    return rc == 0 ? TLS_CLOSED : status_of(rc);
}

tls_status tls_conn_write(tls_conn *c, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size > 0) {
        int rc = mbedtls_ssl_write(&c->ssl, at, size);
        if (rc <= 0) {
            return TLS_FAILED;
        }
        at += rc;
        size -= (size_t)rc;
    }
    return TLS_DONE;
}

void tls_conn_say_goodbye(tls_conn *c)
{
    if (!c->closing) {
        c->closing = true;
        /* The peer may be gone: nothing depends on this alert. */
        (void)mbedtls_ssl_close_notify(&c->ssl);
    }
}

/* The first bytes of a record buffer hold the record counter; the rest is only the last record. */
static void drop_pages(unsigned char *buffer, size_t size, size_t page_bytes)
{
    uintptr_t from = (uintptr_t)buffer + RECORD_HEAD_BYTES_KEPT;
    uintptr_t until = ((uintptr_t)buffer + size) & ~(uintptr_t)(page_bytes - 1);
    from = (from + page_bytes - 1) & ~(uintptr_t)(page_bytes - 1);
    if (buffer != NULL && from < until) {
        /* Refused or not: the contents are not needed. */
        (void)madvise((void *)from, until - from, MADV_DONTNEED);
    }
}

/* Two of 3.6's fields are read that mbedTLS does not promise: the record buffers, which stay at
 * their 16 KiB for the life of a connection. Without them an idle device costs twice the memory. */
void tls_conn_rest(tls_conn *c)
{
    long page_bytes = sysconf(_SC_PAGESIZE);
    if (page_bytes <= 0 || c->fed_bytes > 0 || mbedtls_ssl_check_pending(&c->ssl) != 0 ||
        c->ssl.MBEDTLS_PRIVATE(out_left) > 0 || c->ssl.MBEDTLS_PRIVATE(in_left) > 0) {
        return;
    }
    drop_pages(c->ssl.MBEDTLS_PRIVATE(in_buf), MBEDTLS_SSL_IN_CONTENT_LEN, (size_t)page_bytes);
    drop_pages(c->ssl.MBEDTLS_PRIVATE(out_buf), MBEDTLS_SSL_OUT_CONTENT_LEN, (size_t)page_bytes);
}

bool tls_conn_is_closing(const tls_conn *c)
{
    return c->closing;
}

const char *tls_conn_version(const tls_conn *c)
{
    return mbedtls_ssl_get_version(&c->ssl);
}
