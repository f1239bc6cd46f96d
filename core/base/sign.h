/* sign.h - is this text from who holds the key? ECDSA over P-256 with SHA-256.
 *
 * Only the question is here: a device asks it. The server's side, which holds the secret, is
 * sync-server/feed/feed_sign.c. Key and signature travel as plain numbers, big-endian: x and y; r
 * and s. Source: FIPS 186-5 section 6, protocol.md 6.6. */
#ifndef FB_BASE_SIGN_H
#define FB_BASE_SIGN_H

#include "base/bytes.h"

enum { SIGN_BYTES = 64 };

typedef struct sign_public {
    uint8_t b[SIGN_BYTES];
} sign_public;
typedef struct signature {
    uint8_t b[SIGN_BYTES];
} signature;

/* FB_OK: `text` was signed by the holder of the key's secret. FB_E_INVALID: it was not, or key or
 * signature are no such numbers. FB_E_NO_MEMORY. */
FB_MUST_USE fb_code sign_check(const sign_public *key, fb_text text, const signature *sig);

#endif
