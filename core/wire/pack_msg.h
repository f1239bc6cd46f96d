/* pack_msg.h - row packs on the wire: the offer in a reply, the manifest inside it
 * (protocol.md 6.6).
 *
 *   {"m":"pack","key":"<128 hex>","sig":"<128 hex>","of":{"m":"manifest",...}}
 * The signature is over the exact bytes of the value of "of"; their SHA-256 is the pack's name in
 * GET /v1/pack/<name>/<chunk>, and of a piece in /v1/pack/<name>/<chunk>/<offset>/<bytes>. */
#ifndef FB_WIRE_PACK_MSG_H
#define FB_WIRE_PACK_MSG_H

#include "base/digest.h"
#include "base/sign.h"
#include "wire/json.h"

typedef struct pack_chunk {
    digest hash;         /* SHA-256 of the frame */
    uint32_t size_bytes; /* of the zstd frame */
    uint32_t raw_bytes;  /* unpacked: page blocks */
} pack_chunk;

typedef struct pack_count {
    fb_text entity;
    uint32_t rows;
} pack_count;

/* One scope's rows at one position. */
typedef struct pack_manifest {
    uint32_t version; /* PACK_VERSION */
    fb_id epoch;
    int64_t scope, position;
    uint32_t catalog_version;
    int64_t rows;
    pack_count *counts; /* rows of each entity */
    uint32_t counts_count;
    pack_chunk *chunks; /* in their order */
    uint32_t chunks_count;
} pack_manifest;

enum { PACK_VERSION = 1 };

/* The manifest alone, without an end of line. */
void pack_manifest_put(buf *out, const pack_manifest *m);
/* Keeps the limits: chunks, their sizes, the sum of rows. E_VERSION: of another version. */
FB_MUST_USE fb_code pack_manifest_get(fb_text text, arena *scratch, pack_manifest *out);

/* The offer's line: what the texts say is checked by pack_offer_check. */
typedef struct pack_offer {
    fb_text key, signature; /* 128 hexadecimal digits each */
    fb_text manifest;       /* exact bytes */
} pack_offer;
void pack_offer_put(buf *out, const sign_public *key, const signature *sig, fb_text manifest);
FB_MUST_USE fb_code pack_offer_get(fb_text line, arena *scratch, pack_offer *out);
/* The members of an offer after its "m" was taken. */
void pack_offer_members_get(json_reader *r, pack_offer *out);
/* E_INVALID: `key` is not its key or did not sign it. */
FB_MUST_USE fb_code pack_offer_check(const pack_offer *o, const sign_public *key);

/* Which bytes are asked for. */
typedef struct pack_piece {
    digest name; /* of the pack */
    uint32_t chunk;
    uint32_t offset, bytes; /* bytes 0: the whole chunk */
} pack_piece;
/* "/v1/pack/<64 hex>/<chunk>", and "/<offset>/<bytes>" for a piece of it. */
void pack_path_put(buf *out, const pack_piece *p);
bool pack_path_get(fb_text path, pack_piece *out);

#endif
