/* sha256.h - FIPS 180-4, written for the checker: the product's own is what is being judged. */
#ifndef CHECK_SHA256_H
#define CHECK_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} sha256;

void sha256_begin(sha256 *s);
void sha256_add(sha256 *s, const void *data, size_t size);
void sha256_end(sha256 *s, unsigned char out[32]);

#endif
