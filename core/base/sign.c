/* sign.c - see sign.h. Verification over the curve arithmetic of mbedTLS: its own ECDSA file would
 * bring signing, random generators and ASN.1 into every phone.
 *
 *   SIG-1  r and s are within 1..n-1 and the key is a point of the curve before anything is
 *          multiplied; no early way out says yes */
#include "base/sign.h"

#include <mbedtls/ecp.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

enum { NUMBER_BYTES = SIGN_BYTES / 2, POINT_BYTES = 1 + SIGN_BYTES, POINT_PLAIN = 4 };

/* What one verification works with. */
typedef struct checking {
    mbedtls_ecp_group curve;
    mbedtls_ecp_point key, point;
    mbedtls_mpi r, s, e, u1, u2;
} checking;

static void checking_init(checking *c)
{
    mbedtls_ecp_group_init(&c->curve);
    mbedtls_ecp_point_init(&c->key);
    mbedtls_ecp_point_init(&c->point);
    mbedtls_mpi_init(&c->r);
    mbedtls_mpi_init(&c->s);
    mbedtls_mpi_init(&c->e);
    mbedtls_mpi_init(&c->u1);
    mbedtls_mpi_init(&c->u2);
}

static void checking_clear(checking *c)
{
    mbedtls_mpi_free(&c->u2);
    mbedtls_mpi_free(&c->u1);
    mbedtls_mpi_free(&c->e);
    mbedtls_mpi_free(&c->s);
    mbedtls_mpi_free(&c->r);
    mbedtls_ecp_point_free(&c->point);
    mbedtls_ecp_point_free(&c->key);
    mbedtls_ecp_group_free(&c->curve);
}

static int read_key(checking *c, const sign_public *key)
{
    uint8_t point[POINT_BYTES] = {POINT_PLAIN};
    memcpy(point + 1, key->b, SIGN_BYTES);
    int rc = mbedtls_ecp_group_load(&c->curve, MBEDTLS_ECP_DP_SECP256R1);
    rc = rc != 0 ? rc : mbedtls_ecp_point_read_binary(&c->curve, &c->key, point, sizeof point);
    return rc != 0 ? rc : mbedtls_ecp_check_pubkey(&c->curve, &c->key);
}

static bool is_in_range(const checking *c, const mbedtls_mpi *x)
{
    return mbedtls_mpi_cmp_int(x, 1) >= 0 && mbedtls_mpi_cmp_mpi(x, &c->curve.N) < 0;
}

static int read_signature(checking *c, const signature *sig)
{
    int rc = mbedtls_mpi_read_binary(&c->r, sig->b, NUMBER_BYTES);
    rc = rc != 0 ? rc : mbedtls_mpi_read_binary(&c->s, sig->b + NUMBER_BYTES, NUMBER_BYTES);
    if (rc != 0) {
        return rc;
    }
    return is_in_range(c, &c->r) && is_in_range(c, &c->s) ? 0 : MBEDTLS_ERR_ECP_VERIFY_FAILED;
}

/* u1 = hash / s, u2 = r / s, then u1 G + u2 key must have r as its x. */
static int compare(checking *c, const digest *hash)
{
    int rc = mbedtls_mpi_read_binary(&c->e, hash->b, DIGEST_BYTES);
    rc = rc != 0 ? rc : mbedtls_mpi_inv_mod(&c->s, &c->s, &c->curve.N);
    rc = rc != 0 ? rc : mbedtls_mpi_mul_mpi(&c->u1, &c->e, &c->s);
    rc = rc != 0 ? rc : mbedtls_mpi_mod_mpi(&c->u1, &c->u1, &c->curve.N);
    rc = rc != 0 ? rc : mbedtls_mpi_mul_mpi(&c->u2, &c->r, &c->s);
    rc = rc != 0 ? rc : mbedtls_mpi_mod_mpi(&c->u2, &c->u2, &c->curve.N);
    rc = rc != 0 ? rc
                 : mbedtls_ecp_muladd(&c->curve, &c->point, &c->u1, &c->curve.G, &c->u2, &c->key);
    if (rc != 0) {
        return rc;
    }
    if (mbedtls_ecp_is_zero(&c->point)) {
        return MBEDTLS_ERR_ECP_VERIFY_FAILED;
    }
    rc = mbedtls_mpi_mod_mpi(&c->e, &c->point.MBEDTLS_PRIVATE(X), &c->curve.N);
    if (rc != 0) {
        return rc;
    }
    return mbedtls_mpi_cmp_mpi(&c->e, &c->r) == 0 ? 0 : MBEDTLS_ERR_ECP_VERIFY_FAILED;
}

fb_code sign_check(const sign_public *key, fb_text text, const signature *sig)
{
    FB_REQUIRE(key != NULL && sig != NULL && (text.data != NULL || text.size == 0));
    checking c;
    digest hash;
    checking_init(&c);
    digest_of(text.data, text.size, &hash);
    int rc = read_key(&c, key);
    rc = rc != 0 ? rc : read_signature(&c, sig);
    rc = rc != 0 ? rc : compare(&c, &hash);
    checking_clear(&c);
    if (rc == MBEDTLS_ERR_ECP_ALLOC_FAILED || rc == MBEDTLS_ERR_MPI_ALLOC_FAILED) {
        return FB_E_NO_MEMORY;
    }
    return rc == 0 ? FB_OK : FB_E_INVALID;
}
