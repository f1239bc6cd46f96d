/* net.c - messages in flight: lost, doubled, delayed, cut. See sim.h. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void body_copy(sim_flight *f, fb_text body)
{
    f->size = body.size;
    f->body = malloc(body.size + 1);
    if (body.size > 0) {
        memcpy(f->body, body.data, body.size);
    }
}

/* The client's own time-out: five minutes after nothing came. */
static void give_up(sim_device *d, fb_code code)
{
    d->in_flight = false;
    if (d->sync != NULL) {
        fb_error err = {0};
        if (fb_sync_failed(d->sync, code, &err) != FB_OK) {
            sim_trace(d->world, "%s cannot note the failure: %s", d->machine, err.message);
        }
    }
    d->wake_ms = d->world->now_ms + 60000;
}

void net_drop_all(sim *s)
{
    for (int i = 0; i < SIM_FLIGHTS_MAX; i++) {
        flight_free(&s->flights[i]);
    }
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        if (d->in_flight && d->sync != NULL) {
            give_up(d, FB_E_OFFLINE);
        }
        d->in_flight = false;
    }
}

static int64_t delay_ms(sim *s)
{
    int64_t delay = 20 + (int64_t)sim_random(s, 80);
    if (sim_fault_draw(s, FAULT_DELAY, 20)) {
        delay += (int64_t)sim_random(s, 4 * 3600 * 1000);
    }
    return delay;
}

static void request_fly(sim *s, sim_device *d, const fb_link_request *q, bool cut)
{
    sim_flight *f = flight_new(s);
    if (f == NULL) {
        return;
    }
    f->kind = FLIGHT_REQUEST;
    f->device = d->number;
    f->number = d->flight_number;
    f->due_ms = s->now_ms + delay_ms(s);
    body_copy(f, q->body);
    if (cut && f->size > 0) {
        f->size = (size_t)sim_random(s, f->size);
    }
    snprintf(f->path, sizeof f->path, "%s", q->path);
    snprintf(f->authorization, sizeof f->authorization, "%s",
             q->authorization != NULL ? q->authorization : "");
    f->zstd = q->content_encoding != NULL;
}

static void request_send(sim *s, sim_device *d, const fb_link_request *q)
{
    d->in_flight = true;
    d->flight_number = ++s->flights_count;
    sim_trace(s, "%s sends %llu bytes=%zu", d->machine, (unsigned long long)d->flight_number,
              q->body.size);
    if (d->partitioned || sim_fault_draw(s, FAULT_LOSE_REQUEST, 10)) {
        return;
    }
    request_fly(s, d, q, sim_fault_draw(s, FAULT_CUT_REQUEST, 5));
    if (sim_fault_draw(s, FAULT_DOUBLE_REQUEST, 10)) {
        request_fly(s, d, q, false);
    }
}

void device_sync_step(sim_device *d)
{
    sim *s = d->world;
    if (!device_alive(d) || d->in_flight || s->now_ms < d->wake_ms) {
        return;
    }
    if (d->sync == NULL && fb_sync_open(d->db, NULL, &d->sync, NULL) != FB_OK) {
        d->wake_ms = s->now_ms + 60000;
        return;
    }
    fb_sync_action action;
    fb_link_request q;
    uint32_t wait_ms = 0;
    fb_code rc = fb_sync_next(d->sync, &action, &q, &wait_ms, NULL);
    if (rc != FB_OK) {
        d->wake_ms = s->now_ms + 60000;
    } else if (action == FB_SYNC_SEND) {
        request_send(s, d, &q);
        d->wake_ms = s->now_ms + 300000; /* time-out */
    } else {
        d->rounds_healed += action == FB_SYNC_DONE && d->answered && s->healing;
        d->answered = d->answered && action != FB_SYNC_DONE;
        d->wake_ms =
            s->now_ms +
            (action == FB_SYNC_WAIT ? (int64_t)wait_ms : 600000 + (int64_t)sim_random(s, 3600000));
    }
}

static void reply_fly(sim *s, const sim_flight *q, const server_reply *reply)
{
    sim_flight *f = flight_new(s);
    if (f == NULL) {
        return;
    }
    f->kind = FLIGHT_REPLY;
    f->device = q->device;
    f->number = q->number;
    f->due_ms = s->now_ms + delay_ms(s);
    f->status = reply->status;
    f->zstd = reply->zstd;
    f->retry_ms = reply->retry_s * 1000;
    body_copy(f, reply->body);
    if (f->size > 0 && sim_fault_draw(s, FAULT_CUT_REPLY, 5)) {
        f->size = (size_t)sim_random(s, f->size);
    }
}

static void request_arrive(sim *s, const sim_flight *f)
{
    if (!server_alive(s)) {
        return;
    }
    server_request q = {
        .method = text_of("POST"),
        .path = text_of(f->path),
        .authorization = text_of(f->authorization),
        .content_type = text_of("application/x-fieldbook"),
        .content_encoding = f->zstd ? text_of("zstd") : (fb_text){NULL, 0},
        .peer = text_of("sim"),
        .body = {f->body, f->size},
    };
    server_job *job = server_handle(s->srv, s->reader, &q);
    if (job == NULL) {
        return;
    }
    const server_reply *reply = server_job_reply(job);
    sim_trace(s, "server answers %llu status=%d bytes=%zu", (unsigned long long)f->number,
              reply->status, reply->body.size);
    /* A server that died while answering sends nothing. */
    if (!crash_vfs_is_crashed(s->vfs, "server") && !s->devices[f->device].partitioned &&
        !sim_fault_draw(s, FAULT_LOSE_REPLY, 10)) {
        reply_fly(s, f, reply);
    }
    server_job_free(job);
}

static void reply_arrive(sim *s, const sim_flight *f)
{
    sim_device *d = &s->devices[f->device];
    if (!device_alive(d) || !d->in_flight || d->flight_number != f->number || d->partitioned) {
        return;
    }
    d->in_flight = false;
    fb_link_response r = {
        .status = f->status, .zstd = f->zstd, .retry_ms = f->retry_ms, .body = {f->body, f->size}};
    fb_error err = {0};
    fb_code rc = fb_sync_reply(d->sync, &r, &err);
    sim_trace(s, "%s takes %llu: %s %s", d->machine, (unsigned long long)f->number,
              fb_code_name(rc), err.message);
    d->answered = rc == FB_OK;
    d->must_enrol |=
        rc == FB_E_AUTH; /* the server was put back to before this device was enrolled */
    d->wake_ms = rc == FB_OK ? s->now_ms : s->now_ms + 60000;
}

void net_step(sim *s)
{
    for (int i = 0; i < SIM_FLIGHTS_MAX; i++) {
        sim_flight f = s->flights[i];
        if (!f.used || (f.due_ms > s->now_ms && !s->healing)) {
            continue;
        }
        s->flights[i] = (sim_flight){0};
        if (f.kind == FLIGHT_REQUEST) {
            request_arrive(s, &f);
        } else {
            reply_arrive(s, &f);
        }
        flight_free(&f);
    }
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        if (d->in_flight && s->now_ms >= d->wake_ms) {
            sim_trace(s, "%s gives up waiting", d->machine);
            give_up(d, FB_E_TIMEOUT);
        }
    }
}
