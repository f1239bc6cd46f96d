/* net.c - messages in flight: lost, doubled, late, cut, forged. See sim.h. */
#include "sim/sim.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LATE_MS_MAX = 4 * 3600 * 1000,
    TROUBLE_MS = 60000,
    CONNECT_MS = 10000,
    GROUPS_FROM_BYTES = 400,
    DAY_MS = 24 * 3600 * 1000,
    DAY_REQUESTS_MAX = 2000 /* of one device; the busiest day needs about 200 */
};

/* ---- what lies in wait for a device's next message ---- */

static bool arm(sim *s, sim_device *d, sim_kind kind)
{
    d->arms[kind].count++;
    d->arms[kind].random = mix64(s->random, kind);
    return false; /* counted when it strikes */
}

bool arm_take(sim_device *d, sim_kind kind)
{
    sim *s = d->world;
    if (d->arms[kind].count == 0 || s->healing) {
        return false;
    }
    d->arms[kind].count--;
    s->fired[kind]++;
    s->random = d->arms[kind].random; /* its details do not depend on what happened since */
    return true;
}

#define ARMED(function, kind)            \
    bool function(sim *s, sim_device *d) \
    {                                    \
        return arm(s, d, kind);          \
    }
ARMED(net_arm_lose_request, KIND_LOSE_REQUEST)
ARMED(net_arm_lose_reply, KIND_LOSE_REPLY)
ARMED(net_arm_double_request, KIND_DOUBLE_REQUEST)
ARMED(net_arm_late_request, KIND_LATE_REQUEST)
ARMED(net_arm_late_reply, KIND_LATE_REPLY)
ARMED(net_arm_cut_request, KIND_CUT_REQUEST)
ARMED(net_arm_cut_reply, KIND_CUT_REPLY)
ARMED(net_arm_portal, KIND_PORTAL)
ARMED(net_arm_stale_reply, KIND_STALE_REPLY)
ARMED(net_arm_photo_cut, KIND_PHOTO_CUT)

/* ---- flights ---- */

static sim_flight *flight_new(sim *s)
{
    for (int i = 0; i < SIM_FLIGHTS_MAX; i++) {
        if (!s->flights[i].used) {
            s->flights[i] = (sim_flight){.used = true};
            return &s->flights[i];
        }
    }
    return NULL; /* the network is full: lost */
}

static void flight_free(sim_flight *f)
{
    free(f->body);
    *f = (sim_flight){0};
}

static void body_copy(sim_flight *f, const void *data, size_t size)
{
    f->size = size;
    f->body = malloc(size + 1);
    if (f->body == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(f->body, data, size);
    }
}

/* The client's own time-out, or what the phone says at once. */
static void give_up(sim_device *d, fb_code code)
{
    d->in_flight = d->connected = d->unreachable = false;
    if (d->sync != NULL) {
        fb_error err = {0};
        fb_code rc = d->lane_turn ? fb_lane_failed(d->lane, code, &err)
                                  : fb_sync_failed(d->sync, code, &err);
        if (rc != FB_OK) {
            sim_trace(d->world, "%s cannot note the failure: %s", d->machine, err.message);
        }
    }
    d->wake_ms = d->world->now_ms + 1000;
}

void net_drop_all(sim *s)
{
    for (int i = 0; i < SIM_FLIGHTS_MAX; i++) {
        flight_free(&s->flights[i]);
    }
    for (int i = 0; i < SIM_RECORDINGS; i++) {
        flight_free(&s->recordings[i]);
    }
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        flight_free(&d->kept);
        if (d->in_flight && d->sync != NULL) {
            give_up(d, FB_E_OFFLINE);
        }
        d->in_flight = false;
    }
}

int64_t net_due(const sim *s)
{
    int64_t due = INT64_MAX;
    for (int i = 0; i < SIM_FLIGHTS_MAX; i++) {
        if (s->flights[i].used && s->flights[i].due_ms < due) {
            due = s->flights[i].due_ms;
        }
    }
    return due;
}

static int64_t travel_ms(sim *s, sim_device *d, sim_kind late)
{
    int64_t ms = 20 + (int64_t)(mix64(s->seed, s->flights_count) % 80);
    if (arm_take(d, late)) {
        ms += (int64_t)sim_random(s, LATE_MS_MAX);
    }
    if (d->weather == KIND_HALF_OPEN && s->now_ms < d->weather_until_ms) {
        ms += d->weather_until_ms - s->now_ms; /* it hangs until the link lives again */
        s->fired[KIND_HALF_OPEN]++;
    }
    return ms;
}

/* ---- requests ---- */

/* The last requests of everybody, for those who send them again. */
static void request_record(sim *s, const sim_flight *f)
{
    sim_flight *r = &s->recordings[s->recordings_count++ % SIM_RECORDINGS];
    flight_free(r);
    *r = *f;
    r->number = 0;
    r->second = false;
    body_copy(r, f->body, f->size);
}

static void request_fly(sim *s, sim_device *d, const fb_link_request *q, int64_t recorded, bool cut)
{
    sim_flight *f = flight_new(s);
    if (f == NULL) {
        return;
    }
    f->kind = FLIGHT_REQUEST;
    f->device = d->number;
    f->number = d->flight_number;
    f->recorded = recorded;
    f->due_ms = s->now_ms + travel_ms(s, d, KIND_LATE_REQUEST);
    body_copy(f, q->body.data, q->body.size);
    snprintf(f->path, sizeof f->path, "%s", q->path);
    snprintf(f->authorization, sizeof f->authorization, "%s",
             q->authorization != NULL ? q->authorization : "");
    f->zstd = q->content_encoding != NULL;
    f->asks = strcmp(q->method, "GET") == 0;
    f->photo = d->lane_turn;
    f->second = twin_is_reached(s);
    old_app_request(d, f);
    if (cut && f->size > 0) {
        f->size = (size_t)sim_random(s, f->size);
    }
    if (!cut) {
        request_record(s, f);
    }
}

/* A device that goes round in circles would keep a seed busy for ever, and nobody would be told. */
static void request_count(sim *s, sim_device *d, const fb_link_request *q)
{
    int64_t day = s->now_ms / DAY_MS;
    d->day_requests = day == d->day ? d->day_requests + 1 : 1;
    d->day = day;
    s->requests++;
    if (d->day_requests == DAY_REQUESTS_MAX && !s->healing) { /* then drain counts */
        sim_violation(
            s, "L1: %s does not come to rest: %u requests in a day, the last %s %s after %s",
            d->machine, (unsigned)d->day_requests, q->method, q->path, fb_code_name(d->taken));
    }
}

static void request_send(sim *s, sim_device *d, const fb_link_request *q)
{
    d->in_flight = true;
    d->flight_number = ++s->flights_count;
    d->wake_ms = s->now_ms + q->timeout_ms;
    request_count(s, d, q);
    sim_trace(s, "%s sends %llu bytes=%zu", d->machine, (unsigned long long)d->flight_number,
              q->body.size);
    int64_t recorded = d->lane_turn ? 0 : record_send(d, q);
    if (!d->connected && weather_parts(d)) {
        d->unreachable = true;
        d->wake_ms = s->now_ms + CONNECT_MS;
        return;
    }
    if (weather_stops(d, true, q->body.size) || arm_take(d, KIND_LOSE_REQUEST)) {
        if (d->weather_period_ms % 2 == 1) {
            give_up(d, FB_E_OFFLINE); /* no network at all is known at once */
        }
        return;
    }
    bool piece = strcmp(q->path, "/v1/blob/put") == 0;
    request_fly(s, d, q, recorded,
                (piece && arm_take(d, KIND_PHOTO_CUT)) || arm_take(d, KIND_CUT_REQUEST));
    if (arm_take(d, KIND_DOUBLE_REQUEST)) {
        request_fly(s, d, q, recorded, false);
    }
}

/* A message of somebody, sent again by somebody. Nobody waits for the answer. */
static sim_flight *recording_fly(sim *s)
{
    uint64_t have =
        s->recordings_count < SIM_RECORDINGS ? s->recordings_count : (uint64_t)SIM_RECORDINGS;
    sim_flight *f = have > 0 ? flight_new(s) : NULL;
    if (f == NULL) {
        return NULL;
    }
    const sim_flight *r = &s->recordings[sim_random(s, have)];
    *f = *r;
    body_copy(f, r->body, r->size);
    f->due_ms = s->now_ms + (int64_t)sim_random(s, LATE_MS_MAX);
    return f;
}

bool net_replay(sim *s, sim_device *d)
{
    (void)d;
    return recording_fly(s) != NULL;
}

/* With the credentials of another device. */
bool net_foreign(sim *s, sim_device *d)
{
    sim_flight *f = recording_fly(s);
    for (int i = 0; f != NULL && i < SIM_RECORDINGS; i++) {
        const sim_flight *r = &s->recordings[i];
        if (r->used && r->device == d->number && r->device != f->device) {
            memcpy(f->authorization, r->authorization, sizeof f->authorization);
            return true;
        }
    }
    if (f != NULL) {
        flight_free(f);
    }
    return false;
}

bool net_garbage(sim *s, sim_device *d)
{
    (void)d;
    sim_flight *f = recording_fly(s);
    if (f == NULL || f->size == 0) {
        return false;
    }
    size_t from = (size_t)sim_random(s, f->size < 32 ? f->size : 32);
    for (size_t i = from; i < f->size; i++) {
        f->body[i] = (char)sim_random(s, 256);
    }
    return true;
}

/* ---- a device's session ---- */

static void call_begin(sim_device *d)
{
    heap_fail_after(d->world->healing ? 0 : d->heap_in);
    d->heap_in = 0;
}

static void call_end(sim_device *d)
{
    d->world->fired[KIND_NO_MEMORY_DEVICE] += heap_failed();
    heap_fail_after(0);
}

/* The rows first, then the lane of photos in the same window. */
static fb_code session_next(sim_device *d, fb_sync_action *action, fb_link_request *q,
                            uint32_t *wait_ms)
{
    if (d->lane_turn) {
        FB_TRY(lane_open(d));
        return fb_lane_next(d->lane, action, q, wait_ms, NULL);
    }
    if (d->sync == NULL) {
        FB_TRY(fb_sync_open(d->db, NULL, &d->sync, NULL));
    }
    return fb_sync_next(d->sync, action, q, wait_ms, NULL);
}

void device_sync_step(sim_device *d)
{
    sim *s = d->world;
    if (!d->session || !device_alive(d) || d->must_enrol || s->now_ms < d->wake_ms) {
        return;
    }
    if (d->in_flight) {
        sim_trace(s, "%s gives up %s", d->machine, d->unreachable ? "connecting" : "waiting");
        give_up(d, d->unreachable ? FB_E_OFFLINE : FB_E_TIMEOUT);
        return;
    }
    fb_sync_action action;
    fb_link_request q;
    uint32_t wait_ms = 0;
    call_begin(d);
    fb_code rc = session_next(d, &action, &q, &wait_ms);
    call_end(d);
    if (rc != FB_OK) {
        sim_trace(s, "%s cannot sync: %s", d->machine, fb_code_name(rc));
        if (rc == FB_E_CORRUPT) {
            device_restart(d);
        }
        d->wake_ms = s->now_ms + TROUBLE_MS;
    } else if (action == FB_SYNC_SEND) {
        request_send(s, d, &q);
    } else if (action == FB_SYNC_WAIT && (!d->lane_turn || s->healing)) {
        d->wake_ms = s->now_ms + (wait_ms > 0 ? wait_ms : 1);
    } else if (d->lane_turn) { /* nothing is left, or not now: rows do not wait for photos */
        d->lane_turn = d->session = false;
    } else {
        s->sessions += d->answered;
        if (s->recorder != NULL && d->answered) {
            history_synced(s->recorder, d->number + 1);
        }
        d->rounds += d->answered && s->healing;
        d->answered = false;
        d->session = d->lane_turn = photos_have(s);
    }
}

bool sessions_begin(sim *s, int turn)
{
    int copies = 0;
    bool any = false;
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        bool mine = turn == (d->cloned ? ++copies : 0);
        if (mine && !d->session && d->db != NULL) {
            d->session = any = true;
            d->wake_ms = s->now_ms;
        }
    }
    return any;
}

/* ---- what arrives ---- */

/* Something between the phone and the server that answers itself. */
static void portal_answer(sim *s, sim_flight *f)
{
    static const char HTML[] = "<html><body>Please log in to the hotel's network</body></html>";
    static const int STATUS[] = {200, 200, 302, 511, 204, 404, 502};
    uint64_t how = sim_random(s, 9);
    if (how >= 7) { /* the answer is real, but its encoding was changed */
        f->zstd = !f->zstd;
        return;
    }
    free(f->body);
    f->status = STATUS[how];
    f->zstd = how == 1;
    body_copy(f, HTML, how == 4 ? 0 : sizeof HTML - 1);
}

/* A proxy that answers with what it kept from the request before. */
static void reply_stale(sim_device *d, sim_flight *f)
{
    sim_flight kept = d->kept;
    d->kept = *f;
    body_copy(&d->kept, f->body, f->size);
    if (kept.body != NULL && arm_take(d, KIND_STALE_REPLY)) {
        free(f->body);
        body_copy(f, kept.body, kept.size);
        f->zstd = kept.zstd;
        f->stale = true;
        f->status = kept.status;
    }
    free(kept.body);
}

static void reply_fly(sim *s, const sim_flight *q, const server_reply *reply)
{
    sim_device *d = &s->devices[q->device];
    sim_flight *f = flight_new(s);
    if (f == NULL) {
        return;
    }
    f->kind = FLIGHT_REPLY;
    f->device = q->device;
    f->number = q->number;
    f->asks = q->asks;
    f->photo = q->photo;
    f->second = q->second;
    f->recorded = q->recorded;
    f->due_ms = s->now_ms + travel_ms(s, d, KIND_LATE_REPLY);
    f->status = reply->status;
    f->zstd = reply->zstd;
    f->retry_ms = reply->retry_s * 1000;
    body_copy(f, reply->body.data, reply->body.size);
    reply_stale(d, f);
    if (f->size > 0 && arm_take(d, KIND_CUT_REPLY)) {
        f->size = (size_t)sim_random(s, f->size);
    } else if (arm_take(d, KIND_PORTAL)) {
        portal_answer(s, f);
    }
}

/* One of the first syncs of a message with groups, which its commit waits for. */
static server_job *request_carry(sim *s, const server_request *q, bool second)
{
    bool fails = s->commit_fails && !s->healing && q->body.size > GROUPS_FROM_BYTES;
    uint64_t before = crash_vfs_count(s->vfs)->sync_errors;
    if (fails) {
        crash_vfs_fail_sync(s->vfs, "server", 1 + sim_random(s, 2));
    }
    server_job *job =
        second ? server_handle(s->twin, s->twin_reader, q) : server_handle(s->srv, s->reader, q);
    if (fails) {
        bool struck = crash_vfs_count(s->vfs)->sync_errors > before;
        crash_vfs_fail_sync(s->vfs, "server", 0);
        s->fired[KIND_COMMIT_FAILED_SERVER] += struck;
        s->commit_fails = !struck;
    }
    return job;
}

static server_job *request_handle(sim *s, const sim_flight *f)
{
    server_request q = {
        .method = text_of(f->asks ? "GET" : "POST"),
        .path = text_of(f->path),
        .authorization = text_of(f->authorization),
        .content_type = text_of(f->asks ? NULL : "application/x-fieldbook"),
        .content_encoding = f->zstd ? text_of("zstd") : (fb_text){NULL, 0},
        .peer = text_of("sim"),
        .body = {f->body, f->size},
    };
    heap_fail_after(s->healing ? 0 : s->server_heap_in);
    s->server_heap_in = 0;
    server_job *job = request_carry(s, &q, f->second);
    s->fired[KIND_NO_MEMORY_SERVER] += heap_failed();
    heap_fail_after(0);
    return job;
}

static void request_arrive(sim *s, const sim_flight *f)
{
    sim_device *d = &s->devices[f->device];
    if (f->second ? s->twin == NULL : !server_alive(s)) {
        return;
    }
    if (s->poison > 0 && s->poison_device == f->device && f->size > GROUPS_FROM_BYTES) {
        s->poison--;
        s->fired[KIND_POISON]++;
        crash_vfs_crash_after(s->vfs, "server", 2 + sim_random(s, 12));
    }
    if (!f->photo) {
        record_arrive(s, f);
    }
    server_job *job = request_handle(s, f);
    if (job == NULL) {
        return;
    }
    const server_reply *reply = server_job_reply(job);
    if (!f->photo) {
        record_reply(s, f, reply);
    }
    sim_trace(s, "server answers %llu status=%d bytes=%zu", (unsigned long long)f->number,
              reply->status, reply->body.size);
    /* A server that died while answering sends nothing. */
    if (f->number != 0 && !crash_vfs_is_crashed(s->vfs, "server") &&
        !weather_stops(d, false, reply->body.size) && !arm_take(d, KIND_LOSE_REPLY)) {
        reply_fly(s, f, reply);
    }
    server_job_free(job);
}

static void reply_arrive(sim *s, const sim_flight *f)
{
    sim_device *d = &s->devices[f->device];
    if (!device_alive(d) || !d->in_flight || d->flight_number != f->number) {
        return;
    }
    d->in_flight = false;
    d->connected = true;
    s->fired[KIND_PACKS] += f->asks && f->status == 200;
    fb_link_response r = {
        .status = f->status, .zstd = f->zstd, .retry_ms = f->retry_ms, .body = {f->body, f->size}};
    fb_error err = {0};
    call_begin(d);
    fb_code rc = d->lane_turn ? fb_lane_reply(d->lane, &r, &err) : fb_sync_reply(d->sync, &r, &err);
    call_end(d);
    if (!f->photo) {
        record_take(d, f, &r, rc);
    }
    d->taken = rc;
    sim_trace(s, "%s takes %llu: %s %s", d->machine, (unsigned long long)f->number,
              fb_code_name(rc), err.message);
    if (rc == FB_E_CORRUPT) { /* for ever, while nothing can be written that would cure it */
        device_restart(d);
        d->wake_ms = s->now_ms + TROUBLE_MS;
        return;
    }
    if (!f->photo && !f->stale) {
        twin_taken(d, f->second, rc);
    }
    d->answered = rc == FB_OK && !d->lane_turn;
    numbers_reborn(d);
    d->must_enrol |=
        rc == FB_E_AUTH && !f->second; /* the server was put back to before it was enrolled */
    if (rc == FB_E_DEVICE || rc == FB_E_AUTH || rc == FB_E_FORK) { /* a person is asked */
        /* Rows wait for him; photos go on where the server knows the device. */
        d->session = d->lane_turn = rc == FB_E_FORK && !d->lane_turn && photos_have(s);
    }
    d->wake_ms = rc == FB_OK ? s->now_ms : s->now_ms + 1000;
}

void net_deliver(sim *s)
{
    for (int i = 0; i < SIM_FLIGHTS_MAX; i++) {
        sim_flight f = s->flights[i];
        if (!f.used || f.due_ms > s->now_ms) {
            continue;
        }
        s->flights[i] = (sim_flight){0};
        if (f.kind == FLIGHT_REPLY) {
            old_app_reply(&s->devices[f.device], &f);
        }
        if (f.kind == FLIGHT_REQUEST) {
            request_arrive(s, &f);
        } else {
            reply_arrive(s, &f);
        }
        flight_free(&f);
    }
}
