/* sync.c - drives the session: builds requests, takes replies, counts. See fieldbook/sync.h.
 *
 * The table of states is core/sync/session.c; what goes up is push.c, what comes down pull.c. */
#include "fieldbook/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/decimal.h"
#include "schema/limits.h"
#include "sql/sql_file.h"
#include "sync/chunk.h"
#include "sync/fetch.h"
#include "sync/pull.h"
#include "sync/push.h"
#include "sync/retry.h"
#include "sync/session.h"

enum {
    TIMEOUT_DEFAULT_MS = 60000,
    TIMEOUT_MS_MIN = 1000,
    CROWDED_MS = 1000,
    CHUNK_CODE = 100,
    REBIRTHS_MAX = 3,
    AUTHORIZATION_BYTES_MAX = 256,
    PATH_BYTES_MAX = 128
};
static const char CHUNK_KEY[] = "sync_chunk";

struct fb_sync {
    fb_db *db;
    fb_sync_options o;
    session session;
    bool finished; /* a round ended: the next call of fb_sync_next says DONE */
    bool fresh;    /* the next round begins with an empty report */
    bool out;      /* a request is built and not answered: SES-3 */
    push_request sent;
    pack_want want; /* any: the request asks for this chunk instead */
    int64_t sent_wall_ms;
    buf body, authorization, path;
    chunk chunk;
    bool all_but_late;  /* all went up and came down but what was left out on a thin line */
    int64_t chunk_kept; /* as the replica remembers it: patience * CHUNK_CODE + level */
    sql_file *alone;    /* held while a request is out: SES-4 */
    uint64_t carried_bytes;
    uint64_t step_end_ms, step_end_bytes; /* of the running fb_sync_step; 0: no limit */
    fb_sync_report report;
};

static uint64_t now_ms(const fb_sync *s)
{
    return s->db->port->mono_ms(s->db->port->ctx);
}

/* Jitter only: when the source fails, none is added. */
static uint32_t random_bits(const fb_sync *s)
{
    uint32_t bits = 0;

    if (s->db->port->random(s->db->port->ctx, &bits, sizeof bits) != FB_OK) {
        bits = 0;
    }
    return bits;
}

static fb_code step(fb_sync *s, session_event event, uint32_t server_ms, session_action *action_out)
{
    uint32_t wait_ms = 0;

    if (event == EV_LATER) {
        wait_ms = retry_wait_ms(s->session.attempts, server_ms, random_bits(s));
    }
    FB_TRY(session_step(&s->session, event, now_ms(s), wait_ms, action_out));
    s->report.waiting = *action_out == ACT_SET_TIMER;
    s->report.retry_ms =
        *action_out == ACT_SET_TIMER ? (uint32_t)(s->session.wait_until_ms - now_ms(s)) : 0;
    return FB_OK;
}

/* --- how much -------------------------------------------------------------------------------- */

/* What exchanges before this handle have learned; a level that cannot be read is none. */
static void chunk_recall(fb_sync *s)
{
    buf text;
    int64_t kept = 0;

    buf_init(&text, 20);
    if (replica_meta_get(s->db->r, CHUNK_KEY, &text) != FB_OK || !i64_get(buf_text(&text), &kept) ||
        kept < 0 || kept > CHUNK_CODE * CHUNK_CODE) {
        kept = 0;
    }
    buf_clear(&text);
    chunk_init(&s->chunk, (uint32_t)(kept % CHUNK_CODE), (uint32_t)(kept / CHUNK_CODE));
    s->chunk_kept = kept;
}

/* Each step down or up is kept: a window that ends before the climb is over must not begin at the
 * bottom again. What cannot be kept is learned again. */
static void chunk_keep(fb_sync *s)
{
    char text[24];
    const chunk *c = &s->chunk;
    int64_t now = c->level == 0 && c->patience == 1 ? 0 : c->patience * CHUNK_CODE + c->level;

    s->report.chunk_level = c->level;
    if (now != s->chunk_kept) {
        (void)snprintf(text, sizeof text, "%lld", (long long)now);
        if (replica_meta_set(s->db->r, CHUNK_KEY, text_of(text)) == FB_OK) {
            s->chunk_kept = now;
        }
    }
}

static void chunk_note(fb_sync *s, fb_code code)
{
    if (code == FB_OK) {
        chunk_carried(&s->chunk);
    } else if (code == FB_E_TRUNCATED || code == FB_E_TIMEOUT || code == FB_E_LIMIT ||
               code == FB_E_DISK_FULL || code == FB_E_IO || code == FB_E_NO_MEMORY) {
        /* What arrived and found no place is paid for again at each try: let it be little. */
        chunk_broke(&s->chunk, true);
    } else if (code == FB_E_OFFLINE) {
        chunk_broke(&s->chunk, false);
    }
    chunk_keep(s);
}

/* Bytes that the running step may still carry; 0: no limit. */
static uint64_t bytes_room(const fb_sync *s)
{
    if (s->step_end_bytes == 0) {
        return 0;
    }
    return s->carried_bytes < s->step_end_bytes ? s->step_end_bytes - s->carried_bytes : 1;
}

/* Milliseconds that the running step may still take; UINT32_MAX: no limit. */
static uint32_t ms_room(const fb_sync *s)
{
    if (s->step_end_ms == 0) {
        return UINT32_MAX;
    }
    uint64_t now = now_ms(s);
    return s->step_end_ms > now ? (uint32_t)(s->step_end_ms - now) : 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* --- one at a time --------------------------------------------------------------------------- */

static void alone_end(fb_sync *s)
{
    sql_file_close(s->alone);
    s->alone = NULL;
}

/* SES-4. The lock is the operating system's: it goes with the process that held it. A folder in
 * which no lock can be had is no reason not to synchronise: every step is a transaction anyway. */
static fb_code alone_begin(fb_sync *s)
{
    char *name = NULL;
    size_t room = strlen(s->db->path) + sizeof "-sync";

    if (s->alone != NULL || s->db->path[0] == ':') {
        return FB_OK;
    }
    name = malloc(room);
    if (name == NULL) {
        return FB_E_NO_MEMORY;
    }
    (void)snprintf(name, room, "%s-sync", s->db->path);
    fb_code rc = sql_file_open_alone(s->db->vfs, name, &s->alone);
    free(name);
    return rc == FB_E_BUSY || rc == FB_E_NO_MEMORY ? rc : FB_OK;
}

fb_code fb_sync_open(fb_db *db, const fb_sync_options *options, fb_sync **out, fb_error *err)
{
    api_person me;
    fb_sync_options o = FB_SYNC_OPTIONS_INIT;

    FB_REQUIRE(db != NULL && out != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    if (o.wait_ms > WAIT_MS_MAX) {
        return fail(err, FB_E_RANGE, "wait_ms", "at most %d ms: lower it", WAIT_MS_MAX);
    }
    fb_code rc = api_person_get(db, &me, err);
    fb_sync *s = rc == FB_OK ? calloc(1, sizeof *s) : NULL;
    if (s == NULL) {
        return api_said(db, rc == FB_OK ? FB_E_NO_MEMORY : rc, err);
    }
    s->db = db;
    s->o = o;
    if (s->o.timeout_ms == 0) {
        s->o.timeout_ms = TIMEOUT_DEFAULT_MS;
    }
    session_init(&s->session);
    chunk_recall(s);
    s->report.chunk_level = s->chunk.level;
    buf_init(&s->body, SYNC_BODY_UNPACKED_BYTES_MAX);
    buf_init(&s->authorization, AUTHORIZATION_BYTES_MAX);
    buf_init(&s->path, PATH_BYTES_MAX);
    *out = s;
    return FB_OK;
}

static void wipe_authorization(fb_sync *s)
{
    if (s->authorization.data != NULL) {
        bytes_wipe(s->authorization.data, s->authorization.capacity);
    }
    buf_reset(&s->authorization);
}

void fb_sync_close(fb_sync *sync)
{
    if (sync != NULL) {
        alone_end(sync);
        wipe_authorization(sync);
        buf_clear(&sync->authorization);
        buf_clear(&sync->path);
        buf_clear(&sync->body);
        free(sync);
    }
}

/* --- out ------------------------------------------------------------------------------------- */

static fb_code build(fb_sync *s, fb_error *err)
{
    uint64_t room = bytes_room(s);
    push_plan plan = {.wait_ms =
                          s->o.within_budget ? smaller(s->o.wait_ms, ms_room(s) / 2) : s->o.wait_ms,
                      .page_bytes = chunk_page_bytes(&s->chunk, s->o.page_bytes, room),
                      .thin = chunk_is_thin(&s->chunk) && !s->all_but_late,
                      .groups_max = chunk_groups_max(&s->chunk),
                      .group_bytes = chunk_group_bytes(&s->chunk, room),
                      .wall_ms = s->db->port->wall_ms(s->db->port->ctx)};

    wipe_authorization(s);
    buf_reset(&s->path);
    FB_TRY(fetch_build(s->db->r, chunk_page_bytes(&s->chunk, PACK_CHUNK_BYTES_MAX, room), &s->want,
                       &s->path));
    if (s->want.any) {
        buf_reset(&s->body);
        s->sent = (push_request){.first = 0};
    } else {
        FB_TRY(push_build(s->db->r, &plan, &s->body, &s->sent, err));
    }
    FB_TRY(push_authorization(s->db->r, &s->authorization));
    s->sent_wall_ms = plan.wall_ms;
    s->out = true;
    s->report.requests_count++;
    s->report.groups_sent += s->sent.groups_count;
    s->report.bytes_up += s->body.size;
    s->carried_bytes += s->body.size;
    return FB_OK;
}

static void describe(fb_sync *s, fb_link_request *out)
{
    uint32_t timeout_ms = s->o.timeout_ms + s->sent.wait_ms;
    uint32_t room_ms = ms_room(s);

    if (s->o.within_budget && room_ms < timeout_ms) {
        timeout_ms = room_ms > TIMEOUT_MS_MIN ? room_ms : TIMEOUT_MS_MIN;
    }
    if (s->want.any) {
        *out = (fb_link_request){
            .method = "GET",
            .path = buf_cstr(&s->path),
            .authorization = buf_cstr(&s->authorization),
            .timeout_ms = timeout_ms,
            .response_bytes_max = PACK_CHUNK_BYTES_MAX,
        };
        return;
    }
    *out = (fb_link_request){
        .method = "POST",
        .path = "/v1/sync",
        .content_type = "application/x-fieldbook",
        .content_encoding = s->sent.zstd ? "zstd" : NULL,
        .authorization = buf_cstr(&s->authorization),
        .body = buf_text(&s->body),
        .timeout_ms = timeout_ms,
        .response_bytes_max = PAGE_BYTES_MAX,
    };
}

/* Bring the session into EXCHANGE, or say what stands in the way. */
static fb_code enter_exchange(fb_sync *s, fb_sync_action *action_out, uint32_t *wait_ms_out)
{
    session_action action = ACT_NONE;

    if (s->finished) {
        s->finished = false;
        s->fresh = true;
        *action_out = FB_SYNC_DONE;
        return FB_OK;
    }
    if (s->session.state == SES_WAIT && now_ms(s) < s->session.wait_until_ms) {
        *wait_ms_out = (uint32_t)(s->session.wait_until_ms - now_ms(s));
        *action_out = FB_SYNC_WAIT;
        return FB_OK;
    }
    if (s->session.state == SES_IDLE && s->fresh) {
        s->report = (fb_sync_report){.chunk_level = s->chunk.level};
        s->fresh = false;
    }
    if (s->session.state != SES_EXCHANGE) {
        FB_TRY(step(s, s->session.state == SES_IDLE ? EV_START : EV_TIMER, 0, &action));
    }
    *action_out = FB_SYNC_SEND;
    return FB_OK;
}

fb_code fb_sync_next(fb_sync *sync, fb_sync_action *action_out, fb_link_request *request_out,
                     uint32_t *wait_ms_out, fb_error *err)
{
    fb_sync_action action = FB_SYNC_SEND;
    uint32_t wait_ms = 0;

    FB_REQUIRE(sync != NULL && action_out != NULL && request_out != NULL && wait_ms_out != NULL);
    api_clear(err);
    if (capture_is_open(sync->db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    fb_code rc = sync->out ? FB_OK : enter_exchange(sync, &action, &wait_ms);
    if (rc == FB_OK && action == FB_SYNC_SEND && !sync->out) {
        rc = alone_begin(sync);
        sync->report.crowded = rc == FB_E_BUSY;
        if (rc == FB_E_BUSY) {
            *action_out = FB_SYNC_WAIT;
            *wait_ms_out = CROWDED_MS + random_bits(sync) % CROWDED_MS;
            return FB_OK;
        }
        rc = rc == FB_OK ? build(sync, err) : rc;
    }
    if (rc != FB_OK) {
        if (!sync->out) {
            alone_end(sync);
        }
        return api_said(sync->db, rc, err);
    }
    if (action == FB_SYNC_SEND) {
        describe(sync, request_out);
    }
    *action_out = action;
    *wait_ms_out = wait_ms;
    return FB_OK;
}

/* --- in -------------------------------------------------------------------------------------- */

static void count_stage(fb_sync_report *r, const stage_result *s)
{
    uint32_t other = s->rejected + s->held + s->merged;

    r->verdicts_count += s->verdicts;
    r->rejected_count += s->rejected;
    r->held_count += s->held;
    r->merged_count += s->merged;
    r->applied_count += s->verdicts > other ? s->verdicts - other : 0;
    r->rows_count += s->rows;
    r->epoch_changed = r->epoch_changed || s->epoch_changed;
    r->catalog_changed = r->catalog_changed || s->catalog_changed;
    r->digest_faults_count += s->digest_wrong;
    r->digest_buckets_count += s->digest_fixed;
    r->digest_alarm = s->digest_alarm;
    r->packs_dropped += s->packs_refused;
}

static fb_code forked_again(fb_sync *s, pull_result *result, fb_error *err)
{
    s->report.rebirths_count++;
    if (s->report.rebirths_count <= REBIRTHS_MAX) {
        return FB_OK;
    }
    result->event = EV_REFUSED;
    return fail(
        err, FB_E_FORK, "device",
        "the server refuses every new incarnation: another copy of this file is in use, remove it");
}

/* The answer to a request for a chunk. */
static fb_code reply_chunk(fb_sync *s, const pull_answer *answer, pull_result *out, fb_error *err)
{
    fetch_result got;
    fb_code rc = fetch_take(s->db->r, &s->want, answer, &got, err);

    *out = (pull_result){.event = got.event, .retry_ms = got.retry_ms};
    s->report.rows_count += got.rows;
    s->report.chunks_count += rc == FB_OK && !got.dropped && !got.part;
    s->report.chunks_left = (uint32_t)got.left;
    s->report.packs_dropped += got.dropped;
    if (rc == FB_OK) {
        api_clear(err); /* a pack that is gone is no failure of this call */
    }
    return rc;
}

static fb_code reply_sync(fb_sync *s, const pull_answer *answer, pull_result *out, fb_error *err)
{
    pack_want want;
    fb_code rc = pull_take(s->db->r, answer, out, err);

    if (out->staged) {
        count_stage(&s->report, &out->stage);
    }
    if (rc == FB_OK && out->reborn) {
        rc = forked_again(s, out, err);
    }
    if (pack_want_get(s->db->r, &want) == FB_OK) {
        s->report.chunks_left = (uint32_t)want.left;
    }
    return rc;
}

fb_code fb_sync_reply(fb_sync *sync, const fb_link_response *response, fb_error *err)
{
    pull_result result;
    session_action action = ACT_NONE;

    FB_REQUIRE(sync != NULL && response != NULL && sync->out);
    api_clear(err);
    if (capture_is_open(sync->db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    pull_answer answer = {.status = response->status,
                          .zstd = response->zstd,
                          .retry_ms = response->retry_ms,
                          .body = response->body,
                          .request_wall_ms = sync->sent_wall_ms,
                          .groups_sent = sync->sent.groups_count};
    sync->out = false;
    sync->report.bytes_down += response->body.size;
    sync->carried_bytes += response->body.size;
    fb_code rc = sync->want.any ? reply_chunk(sync, &answer, &result, err)
                                : reply_sync(sync, &answer, &result, err);
    alone_end(sync);
    if (rc != FB_OK || response->status == 200) {
        chunk_note(sync, rc);
    }
    fb_code stepped = step(sync, result.event, result.retry_ms, &action);
    FB_ASSERT(stepped == FB_OK);
    sync->all_but_late = result.all_but_late;
    sync->finished = result.event == EV_DONE;
    sync->report.complete = result.event == EV_DONE;
    sync->fresh = sync->fresh || result.event == EV_REFUSED;
    return api_said(sync->db, rc, err);
}

fb_code fb_sync_failed(fb_sync *sync, fb_code code, fb_error *err)
{
    session_action action = ACT_NONE;

    FB_REQUIRE(sync != NULL && sync->out && code != FB_OK);
    api_clear(err);
    sync->out = false;
    sync->all_but_late = false;
    alone_end(sync);
    chunk_note(sync, code);
    return api_said(sync->db, step(sync, EV_LATER, 0, &action), err);
}

void fb_sync_get_report(const fb_sync *sync, fb_sync_report *out)
{
    if (sync != NULL && out != NULL) {
        outbox_state box = {.last = 0};
        *out = sync->report;
        out->groups_left = outbox_state_get(sync->db->r, &box) == FB_OK ? box.last - box.acked : 0;
    }
}

/* --- blocking -------------------------------------------------------------------------------- */

static fb_code carry(fb_sync *s, const fb_link *link, const fb_link_request *request, fb_error *err)
{
    fb_link_response response = {.status = 0};
    fb_code rc = link->exchange(link->ctx, request, &response);

    if (rc == FB_OK) {
        return fb_sync_reply(s, &response, err);
    }
    fb_code stepped = fb_sync_failed(s, rc, err);
    FB_ASSERT(stepped == FB_OK);
    return fail(err, rc, "server",
                "the server was not reached: what is saved stays saved, try again later");
}

/* A person who asks does not wait for the timer. */
static fb_code insist(fb_sync *s)
{
    session_action action = ACT_NONE;

    return s->session.state == SES_WAIT ? step(s, EV_START, 0, &action) : FB_OK;
}

static bool is_used_up(const fb_sync *s)
{
    return ms_room(s) == 0 || (s->step_end_bytes > 0 && s->carried_bytes >= s->step_end_bytes);
}

static fb_code run(fb_sync *s, const fb_link *link, fb_error *err)
{
    fb_sync_action action = FB_SYNC_SEND;
    fb_link_request request;
    uint32_t wait_ms = 0;

    FB_TRY(insist(s));
    do {
        FB_TRY(fb_sync_next(s, &action, &request, &wait_ms, err));
        if (action == FB_SYNC_SEND) {
            FB_TRY(carry(s, link, &request, err));
        }
        /* Used up or not: that the server asked to wait must be said, or the app steps again at
         * once. */
    } while (action == FB_SYNC_SEND && !s->finished &&
             (!is_used_up(s) || s->session.state == SES_WAIT));
    if (action == FB_SYNC_WAIT && s->report.crowded) {
        return fail(err, FB_E_BUSY, "device",
                    "another process synchronises this replica: it brings the news here as well");
    }
    if (action == FB_SYNC_WAIT) {
        return fail(err, FB_E_BUSY, "server",
                    "the server asks to come back later: try again in %u ms", wait_ms);
    }
    if (s->finished) { /* fb_sync_next is asked once more, so that the next round is a new one */
        return fb_sync_next(s, &action, &request, &wait_ms, err);
    }
    return FB_OK;
}

fb_code fb_sync_step(fb_sync *sync, const fb_link *link, uint32_t budget_ms,
                     fb_sync_report *report_out, fb_error *err)
{
    FB_REQUIRE(sync != NULL && link != NULL && link->exchange != NULL);
    api_clear(err);
    uint64_t begin_ms = now_ms(sync);
    uint64_t before_ms = sync->fresh ? 0 : sync->report.elapsed_ms;
    sync->step_end_ms = budget_ms > 0 ? begin_ms + budget_ms : 0;
    sync->step_end_bytes =
        sync->o.budget_bytes > 0 ? sync->carried_bytes + sync->o.budget_bytes : 0;
    fb_code rc = run(sync, link, err);

    sync->report.elapsed_ms = before_ms + (now_ms(sync) - begin_ms);
    sync->report.budget_ms_left = budget_ms > 0 ? ms_room(sync) : 0;
    sync->report.budget_bytes_left =
        sync->o.budget_bytes > 0 && !is_used_up(sync) ? bytes_room(sync) : 0;
    sync->step_end_ms = sync->step_end_bytes = 0;
    fb_sync_get_report(sync, report_out);
    return api_said(sync->db, rc, err);
}
