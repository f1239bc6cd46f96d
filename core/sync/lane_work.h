/* lane_work.h - one request of the attachment lane: what it asks, and what its answer means.
 *
 * Builds from the replica, gives the answer to the replica; core/sync/lane.h says how large and
 * when, core/api/lane.c carries. */
#ifndef FB_SYNC_LANE_WORK_H
#define FB_SYNC_LANE_WORK_H

#include "sync/lane.h"
#include "sync/pull.h"

/* Of the server's answer to a piece that has not arrived there yet. */
enum { LANE_ABSENT_RETRY_MS = 5 * 60000 };

typedef struct lane_request {
    const char *path; /* NULL: nothing is left to do */
    blob_work work;
    uint32_t response_bytes_max;
} lane_request;

typedef struct lane_clock {
    int64_t now_ms;  /* corrected wall clock */
    uint32_t random; /* 32 random bits */
} lane_clock;

/* Write the next request into `body` (emptied before). Files that turn out damaged are noted and
 * passed over. */
FB_MUST_USE fb_code lane_build(replica *r, const blob_rules *rules, uint32_t piece_bytes,
                               const lane_clock *clock, buf *body, lane_request *out);

typedef struct lane_result {
    session_event event; /* EV_MORE, EV_LATER or EV_REFUSED */
    uint32_t retry_ms;
    bool stored, fetched; /* a file became whole at the server, or here */
    fb_code trouble;      /* of this file alone: the others go on */
} lane_result;
/* Take one answer; *out is filled in every case. Failures as pull_take. */
FB_MUST_USE fb_code lane_take(replica *r, const lane_request *q, const pull_answer *a,
                              const lane_clock *clock, lane_result *out, fb_error *err);

#endif
