/* ca.c - see ca.h. */
#include "platform/posix/ca.h"

#include <arpa/inet.h>
#include <mbedtls/asn1.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "platform/posix/file.h"
#include "platform/posix/mbed.h"
#include "platform/posix/port.h"

enum {
    PEM_BYTES_MAX = 8192,
    SERIAL_BYTES = 16,
    DN_BYTES_MAX = 512,
    NAME_LENGTH_MAX = 253, /* of a DNS name */
    HOUR_MS = 3600 * 1000,
};
#define DAY_MS ((int64_t)24 * HOUR_MS)

static fb_code crypto_failure(fb_error *err, const char *field, const char *what, int error)
{
    char text[120] = "";
    mbedtls_strerror(error, text, sizeof text);
    return fail(err, error == MBEDTLS_ERR_PK_ALLOC_FAILED ? FB_E_NO_MEMORY : FB_E_FORMAT, field,
                "%s failed: %s", what, text);
}

static int new_key(mbedtls_pk_context *key)
{
    int rc = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    return rc != 0 ? rc
                   : mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), mbed_random,
                                         NULL);
}

static void put_time(char out[16], int64_t wall_ms)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&s, &utc);
    strftime(out, 16, "%Y%m%d%H%M%S", &utc);
}

/* A value inside a distinguished name: what has a meaning there is escaped. */
static void put_dn_value(buf *out, const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        bool edge_blank = *at == ' ' && (at == value || at[1] == '\0');
        if (edge_blank || strchr(",+\"\\<>;=#", *at) != NULL) {
            buf_put_char(out, '\\');
        }
        buf_put_char(out, *at);
    }
}

static int set_times(mbedtls_x509write_cert *w, int64_t from_ms, int64_t until_ms)
{
    char from[16], until[16];
    put_time(from, from_ms);
    put_time(until, until_ms);
    return mbedtls_x509write_crt_set_validity(w, from, until);
}

/* What both kinds of certificate share. */
static int begin_cert(mbedtls_x509write_cert *w, mbedtls_pk_context *subject,
                      mbedtls_pk_context *issuer)
{
    unsigned char serial[SERIAL_BYTES];
    mbedtls_x509write_crt_init(w);
    mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(w, subject);
    mbedtls_x509write_crt_set_issuer_key(w, issuer);
    int rc = mbed_random(NULL, serial, sizeof serial);
    if (rc != 0) {
        return rc;
    }
    serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40); /* positive and of full length */
    return mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof serial);
}

/* Sign and hand back both PEM texts, terminated. */
static int end_cert(mbedtls_x509write_cert *w, mbedtls_pk_context *key, unsigned char *cert_pem,
                    unsigned char *key_pem)
{
    int rc = mbedtls_x509write_crt_set_subject_key_identifier(w);
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_authority_key_identifier(w);
    }
    if (rc == 0) {
        rc = mbedtls_x509write_crt_pem(w, cert_pem, PEM_BYTES_MAX, mbed_random, NULL);
    }
    return rc != 0 ? rc : mbedtls_pk_write_key_pem(key, key_pem, PEM_BYTES_MAX);
}

static int fill_authority(mbedtls_x509write_cert *w, const char *dn)
{
    const fb_port *port = fb_port_posix();
    int64_t now_ms = port->wall_ms(port->ctx);
    int rc = mbedtls_x509write_crt_set_subject_name(w, dn);
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_issuer_name(w, dn);
    }
    if (rc == 0) {
        rc = set_times(w, now_ms - HOUR_MS, now_ms + CA_DAYS * DAY_MS);
    }
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_basic_constraints(w, 1, 0);
    }
    return rc != 0 ? rc
                   : mbedtls_x509write_crt_set_key_usage(w, MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                                MBEDTLS_X509_KU_CRL_SIGN);
}

static fb_code make_authority(const char *company, unsigned char *cert_pem, unsigned char *key_pem,
                              fb_error *err)
{
    mbedtls_pk_context key;
    mbedtls_x509write_cert w;
    buf dn;
    buf_init(&dn, DN_BYTES_MAX);
    buf_put_str(&dn, "CN=Fieldbook CA,O=");
    put_dn_value(&dn, company);
    mbedtls_pk_init(&key);
    mbedtls_x509write_crt_init(&w);

    int rc = new_key(&key);
    if (rc == 0) {
        rc = begin_cert(&w, &key, &key);
    }
    if (rc == 0) {
        rc = fill_authority(&w, buf_cstr(&dn));
    }
    if (rc == 0) {
        rc = end_cert(&w, &key, cert_pem, key_pem);
    }
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    buf_clear(&dn);
    return rc == 0 ? FB_OK : crypto_failure(err, "company", "making the authority", rc);
}

static fb_text pem_text(const unsigned char *pem)
{
    return text_of((const char *)pem);
}

fb_code ca_create(const char *cert_path, const char *key_path, const char *company, fb_error *err)
{
    FB_REQUIRE(cert_path != NULL && key_path != NULL && company != NULL);
    if (company[0] == '\0' || strlen(company) > 128) {
        return fail(err, FB_E_LENGTH, "company", "the company's name must have 1 to 128 bytes");
    }
    unsigned char cert_pem[PEM_BYTES_MAX], key_pem[PEM_BYTES_MAX];
    fb_code rc = make_authority(company, cert_pem, key_pem, err);
    if (rc == FB_OK) {
        rc = file_create(key_path, pem_text(key_pem), true, err);
    }
    if (rc == FB_OK) {
        rc = file_create(cert_path, pem_text(cert_pem), false, err);
        if (rc != FB_OK) {
            (void)remove(key_path); /* ours: file_create does not replace */
        }
    }
    bytes_wipe(key_pem, sizeof key_pem);
    return rc;
}

/* ---------------------------------------------------------------- server certificates */

typedef struct san_names {
    mbedtls_x509_san_list list[CA_NAMES_MAX];
    unsigned char ip[CA_NAMES_MAX][16];
} san_names;

static bool is_dns_name(const char *name)
{
    size_t size = strlen(name);
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    return size > 0 && size <= NAME_LENGTH_MAX && strspn(name, allowed) == size && name[0] != '.' &&
           name[0] != '-' && strstr(name, "..") == NULL;
}

static fb_code put_names(san_names *out, const ca_leaf *leaf, fb_error *err)
{
    for (uint32_t i = 0; i < leaf->names_count; i++) {
        const char *name = leaf->names[i];
        uint32_t at = leaf->names_count - 1 - i; /* mbedTLS writes its list from the end */
        mbedtls_x509_subject_alternative_name *node = &out->list[at].node;
        bool v4 = inet_pton(AF_INET, name, out->ip[i]) == 1;
        bool v6 = !v4 && inet_pton(AF_INET6, name, out->ip[i]) == 1;
        if (v4 || v6) {
            node->type = MBEDTLS_X509_SAN_IP_ADDRESS;
            node->san.unstructured_name.p = out->ip[i];
            node->san.unstructured_name.len = v4 ? 4 : 16;
        } else if (is_dns_name(name)) {
            node->type = MBEDTLS_X509_SAN_DNS_NAME;
            node->san.unstructured_name.p = (unsigned char *)(uintptr_t)name;
            node->san.unstructured_name.len = strlen(name);
        } else {
            return fail(err, FB_E_FORMAT, "names",
                        "name %u is neither a DNS name nor an IP address: give the name that "
                        "devices will use to reach the server",
                        (unsigned)i + 1);
        }
        out->list[at].next = i > 0 ? &out->list[at + 1] : NULL;
    }
    return FB_OK;
}

typedef struct authority {
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
} authority;

static fb_code load_authority(authority *a, const char *cert_path, const char *key_path,
                              fb_error *err)
{
    FB_TRY(mbed_load_cert(&a->cert, cert_path, err));
    FB_TRY(mbed_load_key(&a->key, key_path, err));
    return mbed_check_pair(&a->cert, &a->key, key_path, err);
}

static int fill_leaf(mbedtls_x509write_cert *w, authority *a, const ca_leaf *leaf,
                     const san_names *names)
{
    const fb_port *port = fb_port_posix();
    int64_t from_ms =
        leaf->not_before_ms != 0 ? leaf->not_before_ms : port->wall_ms(port->ctx) - HOUR_MS;
    int64_t until_ms = from_ms + leaf->days * DAY_MS;
    int64_t ca_until_ms = mbed_time_ms(&a->cert.valid_to); /* CA-2 */
    char issuer[DN_BYTES_MAX], subject[DN_BYTES_MAX];
    mbedtls_asn1_sequence server_auth = {0};

    server_auth.buf.tag = MBEDTLS_ASN1_OID;
    server_auth.buf.p = (unsigned char *)(uintptr_t)MBEDTLS_OID_SERVER_AUTH;
    server_auth.buf.len = MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH);
    int rc = mbedtls_x509_dn_gets(issuer, sizeof issuer, &a->cert.subject);
    if (rc < 0) {
        return rc;
    }
    /* A common name has at most 64 characters; devices look at the alternative names only. */
    snprintf(subject, sizeof subject, "CN=%.64s", leaf->names[0]);
    rc = mbedtls_x509write_crt_set_issuer_name(w, issuer);
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_subject_name(w, subject);
    }
    if (rc == 0) {
        rc = set_times(w, from_ms, until_ms < ca_until_ms ? until_ms : ca_until_ms);
    }
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_basic_constraints(w, 0, -1);
    }
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_key_usage(w, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    }
    if (rc == 0) {
        rc = mbedtls_x509write_crt_set_ext_key_usage(w, &server_auth);
    }
    return rc != 0 ? rc : mbedtls_x509write_crt_set_subject_alternative_name(w, names->list);
}

static fb_code make_leaf(authority *a, const ca_leaf *leaf, const san_names *names,
                         unsigned char *cert_pem, unsigned char *key_pem, fb_error *err)
{
    mbedtls_pk_context key;
    mbedtls_x509write_cert w;
    mbedtls_pk_init(&key);
    mbedtls_x509write_crt_init(&w);

    int rc = new_key(&key);
    if (rc == 0) {
        rc = begin_cert(&w, &key, &a->key);
    }
    if (rc == 0) {
        rc = fill_leaf(&w, a, leaf, names);
    }
    if (rc == 0) {
        rc = end_cert(&w, &key, cert_pem, key_pem);
    }
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    return rc == 0 ? FB_OK : crypto_failure(err, "names", "making the certificate", rc);
}

static fb_code check_leaf(const ca_leaf *leaf, fb_error *err)
{
    FB_REQUIRE(leaf != NULL && leaf->cert_path != NULL && leaf->key_path != NULL);
    if (leaf->names_count == 0 || leaf->names_count > CA_NAMES_MAX) {
        return fail(err, FB_E_RANGE, "names", "give 1 to %d DNS names or IP addresses",
                    CA_NAMES_MAX);
    }
    if (leaf->days == 0 || leaf->days > CA_LEAF_DAYS_MAX) {
        return fail(err, FB_E_RANGE, "days", "a server certificate lives 1 to %d days",
                    CA_LEAF_DAYS_MAX);
    }
    return FB_OK;
}

fb_code ca_issue(const char *ca_cert_path, const char *ca_key_path, const ca_leaf *leaf,
                 fb_error *err)
{
    FB_REQUIRE(ca_cert_path != NULL && ca_key_path != NULL);
    FB_TRY(check_leaf(leaf, err));
    san_names names;
    memset(&names, 0, sizeof names);
    FB_TRY(put_names(&names, leaf, err));

    authority a;
    unsigned char cert_pem[PEM_BYTES_MAX], key_pem[PEM_BYTES_MAX];
    mbedtls_x509_crt_init(&a.cert);
    mbedtls_pk_init(&a.key);
    fb_code rc = load_authority(&a, ca_cert_path, ca_key_path, err);
    if (rc == FB_OK) {
        rc = make_leaf(&a, leaf, &names, cert_pem, key_pem, err);
    }
    if (rc == FB_OK) {
        rc = file_replace(leaf->key_path, pem_text(key_pem), true, err);
    }
    if (rc == FB_OK) {
        rc = file_replace(leaf->cert_path, pem_text(cert_pem), false, err);
    }
    bytes_wipe(key_pem, sizeof key_pem);
    mbedtls_pk_free(&a.key);
    mbedtls_x509_crt_free(&a.cert);
    return rc;
}

/* ---------------------------------------------------------------- reading one back */

/* DNS names and addresses; other kinds are left out: nothing here issues them. False: no room. */
static bool name_take(ca_info *out, const mbedtls_x509_buf *raw)
{
    char name[CA_NAME_BYTES];
    int kind = raw->tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
    if (kind == MBEDTLS_X509_SAN_DNS_NAME && raw->len < sizeof name) {
        snprintf(name, sizeof name, "%.*s", (int)raw->len, (const char *)raw->p);
    } else if (kind == MBEDTLS_X509_SAN_IP_ADDRESS && (raw->len == 4 || raw->len == 16)) {
        int family = raw->len == 4 ? AF_INET : AF_INET6;
        if (inet_ntop(family, raw->p, name, sizeof name) == NULL) {
            return false;
        }
    } else {
        return true;
    }
    if (out->names_count == CA_NAMES_MAX) {
        return false;
    }
    memcpy(out->names[out->names_count++], name, sizeof name);
    return true;
}

static fb_code info_fill(const mbedtls_x509_crt *cert, const char *path, ca_info *out,
                         fb_error *err)
{
    out->not_before_ms = mbed_time_ms(&cert->valid_from);
    out->not_after_ms = mbed_time_ms(&cert->valid_to);
    for (const mbedtls_x509_sequence *n = &cert->subject_alt_names; n != NULL; n = n->next) {
        if (n->buf.p != NULL && !name_take(out, &n->buf)) {
            return fail(err, FB_E_LIMIT, path, "the certificate has more than %d names",
                        CA_NAMES_MAX);
        }
    }
    return FB_OK;
}

fb_code ca_read(const char *cert_path, ca_info *out, fb_error *err)
{
    mbedtls_x509_crt cert;
    ca_info info;
    FB_REQUIRE(cert_path != NULL && out != NULL);
    memset(&info, 0, sizeof info);
    mbedtls_x509_crt_init(&cert);
    fb_code rc = mbed_load_cert(&cert, cert_path, err);
    if (rc == FB_OK) {
        rc = info_fill(&cert, cert_path, &info, err);
    }
    mbedtls_x509_crt_free(&cert);
    if (rc == FB_OK) {
        *out = info;
    }
    return rc;
}
