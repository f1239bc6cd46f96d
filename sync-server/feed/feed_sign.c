/* feed_sign.c - see feed_sign.h. */
#include "sync-server/feed/feed_sign.h"

#include <mbedtls/ecdsa.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

enum { NUMBER_BYTES = SIGN_BYTES / 2, DRAWS_MAX = 16 };

/* Numbers that nobody outside can guess, for blinding only: a hash over the secret and a counter.
 */
typedef struct blinding {
    digest seed;
    uint64_t count;
} blinding;

static int blind(void *ctx, unsigned char *out, size_t size)
{
    blinding *b = ctx;
    while (size > 0) {
        digest made;
        size_t n = size < DIGEST_BYTES ? size : DIGEST_BYTES;
        b->count++;
        digest_chain(&b->seed, &b->count, sizeof b->count, &made);
        memcpy(out, made.b, n);
        out += n;
        size -= n;
    }
    return 0;
}

static void blinding_init(blinding *b, const uint8_t secret[SIGN_SECRET_BYTES], fb_text text)
{
    *b = (blinding){.count = 0};
    digest_hmac(secret, SIGN_SECRET_BYTES, text.data, text.size, &b->seed);
}

static fb_code code_of(int rc)
{
    if (rc == MBEDTLS_ERR_ECP_ALLOC_FAILED || rc == MBEDTLS_ERR_MPI_ALLOC_FAILED) {
        return FB_E_NO_MEMORY;
    }
    return rc == 0 ? FB_OK : FB_E_INVALID;
}

/* The secret times G. FB_E_INVALID: these bytes are no secret of the curve: draw again. */
static fb_code public_of(sign_key *key)
{
    mbedtls_ecp_keypair pair;
    uint8_t point[1 + SIGN_BYTES];
    size_t size = 0;
    blinding b;
    mbedtls_ecp_keypair_init(&pair);
    blinding_init(&b, key->secret, text_of("public"));
    int rc = mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, &pair, key->secret, SIGN_SECRET_BYTES);
    rc = rc != 0 ? rc : mbedtls_ecp_keypair_calc_public(&pair, blind, &b);
    rc = rc != 0 ? rc
                 : mbedtls_ecp_write_public_key(&pair, MBEDTLS_ECP_PF_UNCOMPRESSED, &size, point,
                                                sizeof point);
    mbedtls_ecp_keypair_free(&pair);
    bytes_wipe(&b, sizeof b);
    FB_TRY(code_of(rc));
    FB_ASSERT(size == sizeof point);
    memcpy(key->open.b, point + 1, SIGN_BYTES);
    return FB_OK;
}

static fb_code draw(store *s, const fb_port *port, sign_key *key)
{
    fb_code rc = FB_E_INVALID;
    for (int i = 0; rc == FB_E_INVALID && i < DRAWS_MAX; i++) {
        FB_TRY(port->random(port->ctx, key->secret, sizeof key->secret));
        rc = public_of(key);
    }
    FB_TRY(rc);
    return store_meta_set(s, "sign_key", (fb_text){(const char *)key->secret, sizeof key->secret});
}

fb_code sign_key_open(store *s, const fb_port *port, sign_key *out)
{
    sign_key key = {.open = {{0}}};
    buf value;
    buf_init(&value, 256);
    fb_code rc = store_meta_get(s, "sign_key", &value);
    if (rc == FB_OK && value.size == sizeof key.secret) {
        memcpy(key.secret, value.data, sizeof key.secret);
        rc = public_of(&key);
    } else if (rc == FB_E_NOT_FOUND) {
        rc = draw(s, port, &key);
    } else if (rc == FB_OK) {
        rc = FB_E_CORRUPT;
    }
    if (value.data != NULL) {
        bytes_wipe(value.data, value.capacity);
    }
    buf_clear(&value);
    if (rc == FB_OK) {
        *out = key;
    }
    bytes_wipe(&key, sizeof key);
    return rc;
}

void sign_key_clear(sign_key *key)
{
    bytes_wipe(key, sizeof *key);
}

fb_code sign_make(const sign_key *key, fb_text text, signature *out)
{
    mbedtls_ecp_group curve;
    mbedtls_mpi r, s, d;
    digest hash;
    blinding b;
    signature made;
    mbedtls_ecp_group_init(&curve);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    mbedtls_mpi_init(&d);
    digest_of(text.data, text.size, &hash);
    blinding_init(&b, key->secret, text);
    int rc = mbedtls_ecp_group_load(&curve, MBEDTLS_ECP_DP_SECP256R1);
    rc = rc != 0 ? rc : mbedtls_mpi_read_binary(&d, key->secret, sizeof key->secret);
    rc = rc != 0 ? rc
                 : mbedtls_ecdsa_sign_det_ext(&curve, &r, &s, &d, hash.b, sizeof hash.b,
                                              MBEDTLS_MD_SHA256, blind, &b);
    rc = rc != 0 ? rc : mbedtls_mpi_write_binary(&r, made.b, NUMBER_BYTES);
    rc = rc != 0 ? rc : mbedtls_mpi_write_binary(&s, made.b + NUMBER_BYTES, NUMBER_BYTES);
    mbedtls_mpi_free(&d);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_group_free(&curve);
    bytes_wipe(&b, sizeof b);
    FB_TRY(code_of(rc));
    *out = made;
    return FB_OK;
}
