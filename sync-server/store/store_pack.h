/* store_pack.h - where row packs rest: PATH.packs, a database of its own beside the master.
 *
 * A cache: it may be deleted at any time, is in no backup, and waits for no disk. What it holds is
 * never believed: chunks carry their hash, packs the epoch, position and catalogue they were made
 * of, and who serves them compares (feed.h). One connection = one thread at a time; one builder
 * writes, readers may drop what they find damaged.
 *
 *   PCK-1  a pack is found only when it is whole: chunks first, then its name in one transaction
 *   PCK-2  at most PACKS_KEPT packs of a scope: the newest, and one that devices may be in the
 *          middle of */
#ifndef FB_STORE_STORE_PACK_H
#define FB_STORE_STORE_PACK_H

#include "base/bytes.h"
#include "base/digest.h"
#include "base/sign.h"

enum { PACKS_KEPT = 2 };

typedef struct pack_store pack_store;

/* What is known of a whole pack. */
typedef struct pack_info {
    int64_t no;
    digest name; /* of the manifest's bytes */
    int64_t scope, position, rows, bytes, made_ms;
    uint32_t catalog_version, chunks;
    fb_id epoch;
    signature sig;
    fb_text manifest; /* in the arena; empty where none was given */
} pack_info;

/* Where they are kept unless somebody says otherwise: beside the database. Free it; NULL: no
 * memory. */
char *pack_store_path(const char *db_path);
/* The file `path`. E_NOT_FOUND: there is none, and `create` is false. With `create` a damaged file
 * is replaced. */
FB_MUST_USE fb_code pack_store_open(const char *path, const char *vfs, bool create,
                                    pack_store **out, fb_error *err);
void pack_store_close(pack_store *p); /* NULL is fine */

/* Builder: begin (what an earlier builder left unfinished is forgotten), chunks 0, 1, ..., finish.
 */
FB_MUST_USE fb_code pack_store_begin(pack_store *p, int64_t scope, int64_t *no_out);
FB_MUST_USE fb_code pack_store_chunk_put(pack_store *p, int64_t no, uint32_t n, const digest *hash,
                                         fb_text body);
FB_MUST_USE fb_code pack_store_finish(pack_store *p, const pack_info *info);

/* E_NOT_FOUND. */
FB_MUST_USE fb_code pack_store_newest(pack_store *p, int64_t scope, arena *memory, pack_info *out);
FB_MUST_USE fb_code pack_store_find(pack_store *p, const digest *name, pack_info *out);
/* Appends the frame. E_NOT_FOUND; E_CORRUPT: it is not what was put. */
FB_MUST_USE fb_code pack_store_chunk_get(pack_store *p, int64_t no, uint32_t n, buf *out);
/* Every whole pack, by scope and age, without manifests. */
FB_MUST_USE fb_code pack_store_each(pack_store *p, fb_code (*fn)(void *ctx, const pack_info *i),
                                    void *ctx);
/* no 0: all of them, also what is unfinished. */
FB_MUST_USE fb_code pack_store_drop(pack_store *p, int64_t no);
/* Packs that were made before this position go, and with them every byte of theirs: somebody was
 * erased there. */
FB_MUST_USE fb_code pack_store_forget(pack_store *p, int64_t before);
/* Packs of another epoch than this go. */
FB_MUST_USE fb_code pack_store_keep_epoch(pack_store *p, const fb_id *epoch);

#endif
