/* push.h - what goes up: which groups, and the body that carries them.
 *
 * Chooses from the outbox and writes one request body; nothing in the replica changes (SES-1). The
 * session decides when, core/api/sync.c hands the body to the link. */
#ifndef FB_SYNC_PUSH_H
#define FB_SYNC_PUSH_H

#include "replica/replica.h"

/* Bodies up to this size travel plain: below it zstd saves nothing. */
enum { PUSH_PLAIN_BYTES_MAX = 300 };

typedef struct push_plan {
    uint32_t wait_ms;    /* long poll, used only when no group is carried */
    uint32_t page_bytes; /* 0: the server's choice */
    bool thin;           /* the line carries little: what can wait stays away (chunk_is_thin) */
    uint32_t groups_max; /* at most, 0: PUSH_GROUPS_MAX */
    size_t group_bytes;  /* no further group beyond it, 0: PUSH_BYTES_TARGET */
    int64_t wall_ms;     /* device clock, uncorrected */
} push_plan;

typedef struct push_request {
    int64_t first; /* gseq of the first group carried, 0 none */
    uint32_t groups_count;
    uint32_t wait_ms; /* asked of the server in this request */
    bool zstd;
} push_request;

/* Write the next request into `body` (emptied before). Fewer groups go when the body as carried
 * would pass PUSH_BODY_BYTES_TARGET; one group always goes, within SYNC_BODY_BYTES_MAX. FB_E_AUTH:
 * not enrolled. */
FB_MUST_USE fb_code push_build(replica *r, const push_plan *plan, buf *body, push_request *out,
                               fb_error *err);

/* "Fieldbook <device>:<token>" for the Authorization header; secret. */
FB_MUST_USE fb_code push_authorization(replica *r, buf *out);

#endif
