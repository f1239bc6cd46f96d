/* lane.h - the lane of attachments: what may go over the present network, how large the pieces are,
 * when to come back. A pure step machine beside the session's.
 *
 *   IDLE --start--> EXCHANGE --more--> EXCHANGE --done--> IDLE      as session.h, of which it is
 * one pieces: grow to twice after each one that got through, halve after each that did not
 *
 * It never waits for the row synchronisation and never makes it wait: the app drives each by its
 * own calls. What is done is core/replica/blob_lane.c; core/api/lane.c does the action.
 *
 * Invariants
 *   LAN-1  a piece has LANE_PIECE_BYTES_MIN..LANE_PIECE_BYTES_MAX bytes; the last one of a file
 * less LAN-2  over a metered network only what the policy or the person allows is chosen */
#ifndef FB_SYNC_LANE_H
#define FB_SYNC_LANE_H

#include "replica/replica.h"
#include "sync/session.h"

enum {
    LANE_PIECE_BYTES_MIN = 16 << 10, /* gets through in 120 s at 137 bytes a second */
    LANE_PIECE_BYTES_FIRST = 128 << 10,
    LANE_PIECE_BYTES_MAX = 1 << 20
};

typedef enum lane_metered {
    LANE_METERED_THUMBS,
    LANE_METERED_NOTHING,
    LANE_METERED_ALL
} lane_metered;

typedef struct lane_machine {
    session session;
    uint32_t piece_bytes, piece_bytes_max;
} lane_machine;

/* piece_bytes_max 0: LANE_PIECE_BYTES_MAX. */
void lane_init(lane_machine *l, uint32_t piece_bytes_max);
/* As session_step, and the size of the next piece. */
FB_MUST_USE fb_code lane_step(lane_machine *l, session_event event, uint64_t now_ms,
                              uint32_t wait_ms, session_action *action_out);
/* LAN-2. */
blob_rules lane_rules(bool network_is_metered, lane_metered policy);

#endif
