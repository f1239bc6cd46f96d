/* session.c - the transition table of session.h. */
#include "sync/session.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "sync/retry.h"

typedef struct transition {
    bool allowed;
    session_state next;
    session_action action;
} transition;

/* Rows: where we are. Columns: what happened. A blank cell is FB_E_MISUSE. */
/* clang-format off */
static const transition TABLE[SES_STATES][EV_COUNT] = {
    [SES_IDLE][EV_START]       = {true, SES_EXCHANGE, ACT_SEND},
    [SES_EXCHANGE][EV_MORE]    = {true, SES_EXCHANGE, ACT_SEND},
    [SES_EXCHANGE][EV_DONE]    = {true, SES_IDLE,     ACT_FINISH},
    [SES_EXCHANGE][EV_LATER]   = {true, SES_WAIT,     ACT_SET_TIMER},
    [SES_EXCHANGE][EV_REFUSED] = {true, SES_IDLE,     ACT_FINISH},
    [SES_WAIT][EV_TIMER]       = {true, SES_EXCHANGE, ACT_SEND},
    [SES_WAIT][EV_START]       = {true, SES_EXCHANGE, ACT_SEND},
};
/* clang-format on */

void session_init(session *s)
{
    *s = (session){.state = SES_IDLE};
}

static uint32_t bounded(uint32_t wait_ms)
{
    if (wait_ms == 0) {
        return 1;
    }
    return wait_ms < RETRY_WAIT_MS_MAX ? wait_ms : RETRY_WAIT_MS_MAX;
}

fb_code session_step(session *s, session_event event, uint64_t now_ms, uint32_t wait_ms,
                     session_action *action_out)
{
    FB_REQUIRE(s != NULL && action_out != NULL);
    FB_REQUIRE((unsigned)event < EV_COUNT);
    FB_ASSERT((unsigned)s->state < SES_STATES);

    const transition *t = &TABLE[s->state][event];
    FB_REQUIRE(t->allowed);

    if (event == EV_LATER) {
        s->wait_until_ms = now_ms + bounded(wait_ms);
        s->attempts += s->attempts < UINT32_MAX;
    } else if (event == EV_MORE || event == EV_DONE) {
        s->attempts = 0;
    }
    s->state = t->next;
    *action_out = t->action;

    FB_ASSERT(s->state != SES_WAIT || s->wait_until_ms > now_ms); /* SES-2 */
    return FB_OK;
}
