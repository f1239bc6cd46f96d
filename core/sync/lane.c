/* lane.c - see lane.h. */
#include "sync/lane.h"

#include "base/check.h"

void lane_init(lane_machine *l, uint32_t piece_bytes_max)
{
    uint32_t max = piece_bytes_max == 0 ? LANE_PIECE_BYTES_MAX : piece_bytes_max;
    if (max > BLOB_CHUNK_BYTES_MAX) {
        max = BLOB_CHUNK_BYTES_MAX;
    }
    session_init(&l->session);
    l->piece_bytes_max = max < LANE_PIECE_BYTES_MIN ? LANE_PIECE_BYTES_MIN : max;
    l->piece_bytes =
        LANE_PIECE_BYTES_FIRST < l->piece_bytes_max ? LANE_PIECE_BYTES_FIRST : l->piece_bytes_max;
}

static uint32_t piece_after(const lane_machine *l, session_event event)
{
    if (event == EV_LATER) {
        return l->piece_bytes / 2 > LANE_PIECE_BYTES_MIN ? l->piece_bytes / 2
                                                         : LANE_PIECE_BYTES_MIN;
    }
    if (event == EV_MORE) {
        return l->piece_bytes < l->piece_bytes_max / 2 ? l->piece_bytes * 2 : l->piece_bytes_max;
    }
    return l->piece_bytes;
}

fb_code lane_step(lane_machine *l, session_event event, uint64_t now_ms, uint32_t wait_ms,
                  session_action *action_out)
{
    FB_REQUIRE(l != NULL);
    FB_TRY(session_step(&l->session, event, now_ms, wait_ms, action_out));
    l->piece_bytes = piece_after(l, event);
    FB_ASSERT(l->piece_bytes >= LANE_PIECE_BYTES_MIN && l->piece_bytes <= l->piece_bytes_max);
    return FB_OK;
}

blob_rules lane_rules(bool network_is_metered, lane_metered policy)
{
    bool all = !network_is_metered || policy == LANE_METERED_ALL;
    return (blob_rules){.thumbs = all || policy == LANE_METERED_THUMBS, .originals = all};
}
