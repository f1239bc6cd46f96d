/* feed_sign.h - the server's signature under the manifests of packs (protocol.md 6.6).
 *
 * The secret is 32 bytes in fs_meta, drawn when a server first opens its database; a backup holds
 * it, so a restored server signs as before. base/sign.h is the device's side. */
#ifndef FB_FEED_FEED_SIGN_H
#define FB_FEED_FEED_SIGN_H

#include "base/port.h"
#include "base/sign.h"
#include "sync-server/store/store.h"

enum { SIGN_SECRET_BYTES = 32 };

typedef struct sign_key {
    uint8_t secret[SIGN_SECRET_BYTES]; /* wiped by sign_key_clear */
    sign_public open;
} sign_key;

/* Writer, inside a transaction: the database's key, drawn where there is none. */
FB_MUST_USE fb_code sign_key_open(store *s, const fb_port *port, sign_key *out);
void sign_key_clear(sign_key *key);
/* Deterministic (RFC 6979): the same text has the same signature. */
FB_MUST_USE fb_code sign_make(const sign_key *key, fb_text text, signature *out);

#endif
