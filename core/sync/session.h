/* session.h - one synchronisation with the server, as a pure step machine.
 *
 *   IDLE --start--> EXCHANGE --done--> IDLE
 *                    |  ^  |
 *                    |  +--+ more (groups are left, or the page was not the last one)
 *                  later            refused: EXCHANGE --> IDLE
 *                    v
 *                   WAIT --timer--> EXCHANGE        WAIT --start--> EXCHANGE (a person insists)
 *
 * The session performs no I/O, reads no clock and allocates nothing: it is given one event and
 * answers with one action. core/api/sync.c does the action.
 *
 * Invariants
 *   SES-1  a group leaves the outbox only through a reply, never through a send
 *   SES-2  WAIT always has a deadline in the future, at most 15 minutes away
 *   SES-3  a request is out only in EXCHANGE, and only one
 *   SES-4  of all handles and processes on one replica only one has a request out */
#ifndef FB_SYNC_SESSION_H
#define FB_SYNC_SESSION_H

#include <stdint.h>

#include "fieldbook/error.h"

typedef enum session_state { SES_IDLE, SES_EXCHANGE, SES_WAIT, SES_STATES } session_state;

typedef enum session_event {
    EV_START,   /* somebody wants to synchronise */
    EV_MORE,    /* a reply was taken, there is more to do */
    EV_DONE,    /* a reply was taken, nothing is left */
    EV_LATER,   /* no reply, or one that says later */
    EV_REFUSED, /* going on is useless until a person acts */
    EV_TIMER,   /* the deadline of WAIT has passed */
    EV_COUNT
} session_event;

typedef enum session_action { ACT_NONE, ACT_SEND, ACT_SET_TIMER, ACT_FINISH } session_action;

typedef struct session {
    session_state state;
    uint32_t attempts;      /* failures since the last good reply */
    uint64_t wait_until_ms; /* monotonic; meaningful in SES_WAIT only */
} session;

void session_init(session *s);

/* Feed one event. now_ms: monotonic milliseconds. wait_ms: for EV_LATER, what retry_wait_ms said;
 * it is kept between 1 and RETRY_WAIT_MS_MAX. FB_E_MISUSE when the event has no meaning in the
 * present state; the session is then unchanged. */
FB_MUST_USE fb_code session_step(session *s, session_event event, uint64_t now_ms, uint32_t wait_ms,
                                 session_action *action_out);

#endif
