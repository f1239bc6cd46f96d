/* digest.c - see digest.h. HMAC (RFC 2104) is written over the SHA-256 context, on the stack: the
 * generic HMAC of mbedTLS allocates, and a void function must not be able to run out of memory. */
#include "base/digest.h"

#include <mbedtls/sha256.h>
#include <string.h>

#include "base/check.h"

enum { HMAC_BLOCK_BYTES = 64 };

/* SHA-256(first || second); the software implementation cannot fail. */
static void sha256_two(const void *first, size_t first_size, const void *second, size_t second_size,
                       uint8_t out[DIGEST_BYTES])
{
    mbedtls_sha256_context ctx;
    mbedtls_sha256_init(&ctx);
    int rc = mbedtls_sha256_starts(&ctx, 0);
    if (rc == 0 && first_size > 0) {
        rc = mbedtls_sha256_update(&ctx, first, first_size);
    }
    if (rc == 0 && second_size > 0) {
        rc = mbedtls_sha256_update(&ctx, second, second_size);
    }
    if (rc == 0) {
        rc = mbedtls_sha256_finish(&ctx, out);
    }
    mbedtls_sha256_free(&ctx);
    FB_ASSERT(rc == 0);
}

void digest_of(const void *data, size_t size, digest *out)
{
    digest made;
    sha256_two(NULL, 0, data, size, made.b);
    *out = made;
}

void digest_chain(const digest *before, const void *data, size_t size, digest *out)
{
    digest made;
    sha256_two(before->b, sizeof before->b, data, size, made.b);
    *out = made; /* before and out may be the same */
}

void digest_hmac(const void *key, size_t key_size, const void *data, size_t size, digest *out)
{
    uint8_t block[HMAC_BLOCK_BYTES] = {0};
    if (key_size > sizeof block) {
        sha256_two(NULL, 0, key, key_size, block);
    } else if (key_size > 0) {
        memcpy(block, key, key_size);
    }
    uint8_t inner[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36;
    }
    sha256_two(block, sizeof block, data, size, inner);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36 ^ 0x5C;
    }
    sha256_two(block, sizeof block, inner, sizeof inner, out->b);
    bytes_wipe(block, sizeof block);
    bytes_wipe(inner, sizeof inner);
}
