/* fetch.h - one chunk of a pack: what to ask for, and what the answer means.
 *
 * The session decides when (core/api/sync.c): groups go first, then chunks, then pages. A chunk
 * that came is stored at once; one that cannot be had lets the download begin anew (PAK-3). Where
 * exchanges break a chunk comes in pieces that fit (chunk.h), each stored at once. */
#ifndef FB_SYNC_FETCH_H
#define FB_SYNC_FETCH_H

#include "sync/pull.h"

/* Is a chunk the next thing to ask for? Then its path is appended to `path`, of no more than
 * bytes_max of its bytes. */
FB_MUST_USE fb_code fetch_build(replica *r, uint32_t bytes_max, pack_want *want_out, buf *path);

typedef struct fetch_result {
    session_event event; /* EV_MORE, EV_LATER or EV_REFUSED */
    uint32_t retry_ms;
    uint32_t rows;
    int64_t left; /* chunks still missing */
    bool part;    /* bytes of this one too */
    bool dropped; /* the download begins anew */
} fetch_result;
/* Like pull_take: *out is filled in every case. FB_E_INVALID: the chunk is not what was promised;
 * FB_E_NOT_FOUND, FB_E_SCOPE ...: the pack cannot be had any more. Both go on with EV_MORE. */
FB_MUST_USE fb_code fetch_take(replica *r, const pack_want *want, const pull_answer *answer,
                               fetch_result *out, fb_error *err);

#endif
