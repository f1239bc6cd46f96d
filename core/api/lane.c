/* lane.c - drives the attachment lane: builds requests, takes answers, counts. See
 * fieldbook/attachment.h; the machine is core/sync/lane.c, one request core/sync/lane_work.c. */
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "fieldbook/attachment.h"
#include "sync/lane_work.h"
#include "sync/push.h"
#include "sync/retry.h"

enum { LANE_TIMEOUT_MS = 120000, LANE_AUTHORIZATION_BYTES = 256 };

struct fb_lane {
    fb_db *db;
    fb_lane_options o;
    blob_rules rules;
    lane_machine machine;
    bool begun;    /* blob_round_begin was done in this round */
    bool out;      /* a request is built and not answered */
    bool finished; /* nothing was left: the next call of fb_lane_next says DONE */
    bool fresh;    /* the next round begins with an empty report */
    lane_request sent;
    buf body, authorization;
    fb_lane_report report;
};

static uint64_t mono_of(const fb_lane *l)
{
    return l->db->port->mono_ms(l->db->port->ctx);
}

static lane_clock clock_of(const fb_lane *l)
{
    lane_clock c = {.now_ms = fb_db_now_ms(l->db, NULL)};
    if (l->db->port->random(l->db->port->ctx, &c.random, sizeof c.random) != FB_OK) {
        c.random = 0; /* jitter only */
    }
    return c;
}

static fb_code move(fb_lane *l, session_event event, uint32_t server_ms)
{
    session_action action = ACT_NONE;
    uint32_t wait_ms = 0;
    if (event == EV_LATER) {
        wait_ms = retry_wait_ms(l->machine.session.attempts, server_ms, clock_of(l).random);
    }
    FB_TRY(lane_step(&l->machine, event, mono_of(l), wait_ms, &action));
    l->report.waiting = action == ACT_SET_TIMER;
    l->report.retry_ms =
        action == ACT_SET_TIMER ? (uint32_t)(l->machine.session.wait_until_ms - mono_of(l)) : 0;
    return FB_OK;
}

static fb_code options_check(const fb_lane_options *o, fb_error *err)
{
    if (o->policy != FB_METERED_THUMBS && o->policy != FB_METERED_NOTHING &&
        o->policy != FB_METERED_ALL) {
        return fail(err, FB_E_RANGE, "policy", "there is no such policy: use one of fb_metered");
    }
    if (o->piece_bytes_max != 0 &&
        (o->piece_bytes_max < LANE_PIECE_BYTES_MIN || o->piece_bytes_max > BLOB_CHUNK_BYTES_MAX)) {
        return fail(err, FB_E_RANGE, "piece_bytes_max", "%d to %d bytes, or 0: correct it",
                    LANE_PIECE_BYTES_MIN, BLOB_CHUNK_BYTES_MAX);
    }
    return FB_OK;
}

static lane_metered policy_of(fb_metered p)
{
    switch (p) {
    case FB_METERED_NOTHING:
        return LANE_METERED_NOTHING;
    case FB_METERED_ALL:
        return LANE_METERED_ALL;
    case FB_METERED_THUMBS:
        break;
    }
    return LANE_METERED_THUMBS;
}

fb_code fb_lane_open(fb_db *db, const fb_lane_options *options, fb_lane **out, fb_error *err)
{
    api_person me;
    fb_lane_options o = FB_LANE_OPTIONS_INIT;

    FB_REQUIRE(db != NULL && out != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_TRY(options_check(&o, err));
    fb_code rc = api_person_get(db, &me, err);
    fb_lane *l = rc == FB_OK ? calloc(1, sizeof *l) : NULL;
    if (l == NULL) {
        return api_said(db, rc == FB_OK ? FB_E_NO_MEMORY : rc, err);
    }
    l->db = db;
    l->o = o;
    if (l->o.timeout_ms == 0) {
        l->o.timeout_ms = LANE_TIMEOUT_MS;
    }
    l->rules = lane_rules(o.metered, policy_of(o.policy));
    lane_init(&l->machine, o.piece_bytes_max);
    buf_init(&l->body, BLOB_CHUNK_BYTES_MAX + BLOB_ASK_BYTES_MAX);
    buf_init(&l->authorization, LANE_AUTHORIZATION_BYTES);
    *out = l;
    return FB_OK;
}

static void wipe_authorization(fb_lane *l)
{
    if (l->authorization.data != NULL) {
        bytes_wipe(l->authorization.data, l->authorization.capacity);
    }
    buf_reset(&l->authorization);
}

void fb_lane_close(fb_lane *lane)
{
    if (lane != NULL) {
        wipe_authorization(lane);
        buf_clear(&lane->authorization);
        buf_clear(&lane->body);
        free(lane);
    }
}

/* --- out ------------------------------------------------------------------------------------- */

static void describe(const fb_lane *l, fb_link_request *out, const char *authorization)
{
    *out = (fb_link_request){.method = "POST",
                             .path = l->sent.path,
                             .content_type = "application/x-fieldbook",
                             .authorization = authorization,
                             .body = buf_text(&l->body),
                             .timeout_ms = l->o.timeout_ms,
                             .response_bytes_max = l->sent.response_bytes_max};
}

static fb_code build(fb_lane *l)
{
    lane_clock clock = clock_of(l);

    if (!l->begun) {
        FB_TRY(blob_round_begin(l->db->r, clock.now_ms));
        l->begun = true;
    }
    wipe_authorization(l);
    FB_TRY(lane_build(l->db->r, &l->rules, l->machine.piece_bytes, &clock, &l->body, &l->sent));
    if (l->sent.path == NULL) {
        l->begun = false;
        l->finished = true;
        l->report.complete = true;
        return move(l, EV_DONE, 0);
    }
    FB_TRY(push_authorization(l->db->r, &l->authorization));
    l->out = true;
    l->report.requests_count++;
    l->report.bytes_up += l->body.size;
    return FB_OK;
}

static fb_code enter(fb_lane *l, fb_sync_action *action_out, uint32_t *wait_ms_out)
{
    session *s = &l->machine.session;

    if (s->state == SES_WAIT && mono_of(l) < s->wait_until_ms) {
        *wait_ms_out = (uint32_t)(s->wait_until_ms - mono_of(l));
        *action_out = FB_SYNC_WAIT;
        return FB_OK;
    }
    if (s->state == SES_IDLE && l->fresh) {
        l->report = (fb_lane_report){.complete = false};
        l->fresh = false;
    }
    if (s->state != SES_EXCHANGE) {
        FB_TRY(move(l, s->state == SES_IDLE ? EV_START : EV_TIMER, 0));
    }
    FB_TRY(build(l));
    *action_out = l->finished ? FB_SYNC_DONE : FB_SYNC_SEND;
    l->fresh = l->finished;
    l->finished = false;
    return FB_OK;
}

fb_code fb_lane_next(fb_lane *lane, fb_sync_action *action_out, fb_link_request *request_out,
                     uint32_t *wait_ms_out, fb_error *err)
{
    fb_sync_action action = FB_SYNC_SEND;
    uint32_t wait_ms = 0;

    FB_REQUIRE(lane != NULL && action_out != NULL && request_out != NULL && wait_ms_out != NULL);
    api_clear(err);
    if (capture_is_open(lane->db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    fb_code rc = lane->out ? FB_OK : enter(lane, &action, &wait_ms);
    if (rc != FB_OK) {
        return api_said(lane->db, rc, err);
    }
    if (action == FB_SYNC_SEND) {
        describe(lane, request_out, buf_cstr(&lane->authorization));
    }
    *action_out = action;
    *wait_ms_out = wait_ms;
    return FB_OK;
}

/* --- in -------------------------------------------------------------------------------------- */

fb_code fb_lane_reply(fb_lane *lane, const fb_link_response *response, fb_error *err)
{
    lane_result result;

    FB_REQUIRE(lane != NULL && response != NULL && lane->out);
    api_clear(err);
    if (capture_is_open(lane->db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    lane_clock clock = clock_of(lane);
    pull_answer answer = {.status = response->status,
                          .zstd = response->zstd,
                          .retry_ms = response->retry_ms,
                          .body = response->body};
    lane->out = false;
    lane->report.bytes_down += response->body.size;
    fb_code rc = lane_take(lane->db->r, &lane->sent, &answer, &clock, &result, err);
    lane->report.stored_count += result.stored;
    lane->report.fetched_count += result.fetched;
    if (result.trouble != FB_OK) {
        lane->report.failed_count++;
        lane->report.trouble = result.trouble;
    }
    fb_code moved = move(lane, result.event, result.retry_ms);
    FB_ASSERT(moved == FB_OK);
    lane->begun = lane->begun && result.event == EV_MORE;
    lane->fresh = lane->fresh || result.event == EV_REFUSED;
    return api_said(lane->db, rc, err);
}

fb_code fb_lane_failed(fb_lane *lane, fb_code code, fb_error *err)
{
    FB_REQUIRE(lane != NULL && lane->out && code != FB_OK);
    api_clear(err);
    lane->out = false;
    lane->begun = false;
    return api_said(lane->db, move(lane, EV_LATER, 0), err);
}

/* --- blocking -------------------------------------------------------------------------------- */

static fb_code carry(fb_lane *l, const fb_link *link, const fb_link_request *request, fb_error *err)
{
    fb_link_response response = {.status = 0};
    fb_code rc = link->exchange(link->ctx, request, &response);

    if (rc == FB_OK) {
        return fb_lane_reply(l, &response, err);
    }
    fb_code moved = fb_lane_failed(l, rc, err);
    FB_ASSERT(moved == FB_OK);
    return fail(err, rc, "server",
                "the server was not reached: what got through is kept, try again later");
}

static fb_code run(fb_lane *l, const fb_link *link, uint32_t budget_ms, fb_error *err)
{
    fb_sync_action action = FB_SYNC_SEND;
    fb_link_request request;
    uint32_t wait_ms = 0;
    uint64_t begin_ms = mono_of(l);
    bool used_up = false;

    if (l->machine.session.state == SES_WAIT) { /* who asks does not wait for the timer */
        FB_TRY(move(l, EV_START, 0));
    }
    while (action == FB_SYNC_SEND && !used_up) {
        FB_TRY(fb_lane_next(l, &action, &request, &wait_ms, err));
        if (action == FB_SYNC_SEND) {
            FB_TRY(carry(l, link, &request, err));
        }
        /* As in sync.c: that the server asked to wait is said on any budget. */
        used_up = budget_ms > 0 && mono_of(l) - begin_ms >= budget_ms &&
                  l->machine.session.state != SES_WAIT;
    }
    return action == FB_SYNC_WAIT
               ? fail(err, FB_E_BUSY, "server",
                      "the server asks to come back later: try again in %u ms", wait_ms)
               : FB_OK;
}

fb_code fb_lane_step(fb_lane *lane, const fb_link *link, uint32_t budget_ms,
                     fb_lane_report *report_out, fb_error *err)
{
    FB_REQUIRE(lane != NULL && link != NULL && link->exchange != NULL);
    api_clear(err);
    fb_code rc = run(lane, link, budget_ms, err);

    if (report_out != NULL) {
        *report_out = lane->report;
    }
    return api_said(lane->db, rc, err);
}
