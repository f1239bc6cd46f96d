/* digest.h - SHA-256, HMAC-SHA-256. The only file of core that includes mbedTLS.
 * On x86 with the SHA instructions they are used instead (sha256_x86.h). */
#ifndef FB_BASE_DIGEST_H
#define FB_BASE_DIGEST_H

#include "base/bytes.h"

#define DIGEST_BYTES 32

typedef struct digest {
    uint8_t b[DIGEST_BYTES];
} digest;

void digest_of(const void *data, size_t size, digest *out);
/* The same by mbedTLS whatever the processor can do: the reference of the tests. */
void digest_of_portable(const void *data, size_t size, digest *out);
/* SHA-256(before || data): the chain over a device's groups (OUT-3). */
void digest_chain(const digest *before, const void *data, size_t size, digest *out);
/* The same piece by piece: begin, any number of adds, end. */
typedef struct digest_run {
    union {
        uint64_t align;
        uint8_t bytes[192]; /* digest.c's own */
    } room;
} digest_run;
void digest_begin(digest_run *r);
void digest_add(digest_run *r, const void *data, size_t size);
void digest_end(digest_run *r, digest *out);
void digest_hmac(const void *key, size_t key_size, const void *data, size_t size, digest *out);

#endif
