/* digest.c - see digest.h. HMAC (RFC 2104) is written over the SHA-256 context, on the stack: the
 * generic HMAC of mbedTLS allocates, and a void function must not be able to run out of memory. */
#include "base/digest.h"

#include <mbedtls/sha256.h>
#include <string.h>

#include "base/check.h"
#include "base/sha256_x86.h"

enum { HMAC_BLOCK_BYTES = 64, SHA_BLOCK_BYTES = 64, SHA_LENGTH_AT = 56 };

/* Bytes that do not fill a block yet. */
typedef struct sha_stream {
    uint32_t state[8];
    uint8_t rest[SHA_BLOCK_BYTES];
    size_t rest_size;
    uint64_t size;
} sha_stream;

static void stream_add(sha_stream *s, const uint8_t *data, size_t size)
{
    s->size += size;
    if (s->rest_size > 0) {
        size_t room = SHA_BLOCK_BYTES - s->rest_size, n = size < room ? size : room;
        memcpy(s->rest + s->rest_size, data, n);
        s->rest_size += n;
        data += n;
        size -= n;
        if (s->rest_size < SHA_BLOCK_BYTES) {
            return;
        }
        sha256_x86_blocks(s->state, s->rest, 1);
        s->rest_size = 0;
    }
    size_t whole = size / SHA_BLOCK_BYTES;
    sha256_x86_blocks(s->state, data, whole);
    s->rest_size = size - whole * SHA_BLOCK_BYTES;
    memcpy(s->rest, data + whole * SHA_BLOCK_BYTES, s->rest_size);
}

/* Padding of FIPS 180-4 section 5.1.1, then the state, big-endian. */
static void stream_end(sha_stream *s, uint8_t out[DIGEST_BYTES])
{
    uint8_t tail[2 * SHA_BLOCK_BYTES] = {0};
    size_t blocks = s->rest_size < SHA_LENGTH_AT ? 1 : 2;
    memcpy(tail, s->rest, s->rest_size);
    tail[s->rest_size] = 0x80;
    for (size_t i = 0; i < 8; i++) {
        tail[blocks * SHA_BLOCK_BYTES - 1 - i] = (uint8_t)(s->size * 8 >> (8 * i));
    }
    sha256_x86_blocks(s->state, tail, blocks);
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
    }
    bytes_wipe(tail, sizeof tail);
}

static const sha_stream STREAM_BEGIN = {.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};

static void sha256_two_x86(const void *first, size_t first_size, const void *second,
                           size_t second_size, uint8_t out[DIGEST_BYTES])
{
    sha_stream s = STREAM_BEGIN;
    if (first_size > 0) {
        stream_add(&s, first, first_size);
    }
    if (second_size > 0) {
        stream_add(&s, second, second_size);
    }
    stream_end(&s, out);
    bytes_wipe(&s, sizeof s);
}

/* SHA-256(first || second) by mbedTLS; the software implementation cannot fail. */
static void sha256_two_portable(const void *first, size_t first_size, const void *second,
                                size_t second_size, uint8_t out[DIGEST_BYTES])
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

static void sha256_two(const void *first, size_t first_size, const void *second, size_t second_size,
                       uint8_t out[DIGEST_BYTES])
{
    if (sha256_x86_available()) {
        sha256_two_x86(first, first_size, second, second_size, out);
    } else {
        sha256_two_portable(first, first_size, second, second_size, out);
    }
}

void digest_of_portable(const void *data, size_t size, digest *out)
{
    sha256_two_portable(NULL, 0, data, size, out->b);
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

/* ---- piece by piece ---- */

_Static_assert(sizeof(sha_stream) <= sizeof(((digest_run *)0)->room) &&
                   sizeof(mbedtls_sha256_context) <= sizeof(((digest_run *)0)->room),
               "digest_run has room for either");

void digest_begin(digest_run *r)
{
    memset(r, 0, sizeof *r);
    if (sha256_x86_available()) {
        memcpy(&r->room, &STREAM_BEGIN, sizeof STREAM_BEGIN);
        return;
    }
    mbedtls_sha256_context *ctx = (void *)r->room.bytes;
    mbedtls_sha256_init(ctx);
    FB_ASSERT(mbedtls_sha256_starts(ctx, 0) == 0);
}

void digest_add(digest_run *r, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    if (sha256_x86_available()) {
        stream_add((void *)r->room.bytes, data, size);
        return;
    }
    FB_ASSERT(mbedtls_sha256_update((void *)r->room.bytes, data, size) == 0);
}

void digest_end(digest_run *r, digest *out)
{
    if (sha256_x86_available()) {
        stream_end((void *)r->room.bytes, out->b);
    } else {
        FB_ASSERT(mbedtls_sha256_finish((void *)r->room.bytes, out->b) == 0);
        mbedtls_sha256_free((void *)r->room.bytes);
    }
    bytes_wipe(r, sizeof *r);
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
