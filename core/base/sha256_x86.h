/* sha256_x86.h - SHA-256 blocks by the processor's own instructions, where it has them.
 *
 * The chain over a device's groups hashes every byte a rep saves, on the phone and again on the
 * server; in software that was the largest part of a capture. mbedTLS uses the ARM instructions by
 * itself, but has no x86 path. Same results as mbedTLS for every length: tests/unit/test_digest.c.
 */
#ifndef FB_BASE_SHA256_X86_H
#define FB_BASE_SHA256_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False: use mbedTLS. Cheap: reads what the C runtime found out at start. */
bool sha256_x86_available(void);
/* Fold `blocks` times 64 bytes into the state (FIPS 180-4 section 6.2.2). */
void sha256_x86_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);

#endif
