/* enrol.c - a device introduces itself: straight to the server, over a link that never fails. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/sim.h"
#include "sync-server/door/door.h"

typedef struct direct_link {
    server *srv;
    server_reader *reader;
    server_job *job;
} direct_link;

_Noreturn static void enrol_failed(const char *what, fb_code rc, const fb_error *err)
{
    fprintf(stderr, "sim: %s: %s %s\n", what, fb_code_name(rc), err->message);
    abort();
}

static fb_code direct_exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    direct_link *l = ctx;
    server_job_free(l->job);
    server_request r = {
        .method = text_of(q->method),
        .path = text_of(q->path),
        .authorization = text_of(q->authorization),
        .content_type = text_of(q->content_type),
        .content_encoding = text_of(q->content_encoding),
        .peer = text_of("sim"),
        .body = q->body,
    };
    l->job = server_handle(l->srv, l->reader, &r);
    const server_reply *reply = server_job_reply(l->job);
    *out = (fb_link_response){.status = reply->status, .zstd = reply->zstd, .body = reply->body};
    return FB_OK;
}

static void code_make(sim *s, sim_device *d, buf *code)
{
    store *db = world_store_open("server/master.db");
    fb_error err = {0};
    fb_code rc = store_begin(db);
    if (rc == FB_OK) {
        rc = door_code_make(db, &d->user, s->now_ms, 3600000, &s->server_port, code);
    }
    if (rc == FB_OK) {
        rc = store_commit(db);
    }
    store_close(db);
    if (rc != FB_OK) {
        enrol_failed("enrolment code", rc, &err);
    }
}

static fb_code whole_sync(fb_db *db, const fb_link *link, fb_error *err)
{
    fb_sync *sync = NULL;
    fb_sync_report report = {0};
    fb_code rc = fb_sync_open(db, NULL, &sync, err);
    if (rc == FB_OK) {
        rc = fb_sync_step(sync, link, 0, &report, err);
    }
    fb_sync_close(sync);
    return rc == FB_OK && !report.complete ? FB_E_BUSY : rc;
}

fb_code direct_sync(server *srv, server_reader *reader, fb_db *db)
{
    fb_error err = {0};
    direct_link l = {.srv = srv, .reader = reader};
    fb_link link = {&l, direct_exchange};
    fb_code rc = whole_sync(db, &link, &err);
    server_job_free(l.job);
    return rc;
}

/* Nothing fails here, except that the system still has to tell of syncs that failed before: each
 * open file once. */
enum { TRIES_MAX = 4 };

/* What it downloads from nothing later comes over the network like everything else. */
bool device_enrol(sim *s, sim_device *d)
{
    fb_error err = {0};
    direct_link l = {.srv = s->srv, .reader = s->reader};
    fb_link link = {&l, direct_exchange};
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    fb_code rc = FB_E_IO;
    o.server_url = "https://sim";
    o.again = d->must_enrol;
    for (int tries = 0; tries < TRIES_MAX && rc != FB_OK; tries++) {
        buf code;
        buf_init(&code, 100);
        code_make(s, d, &code);
        o.code = buf_cstr(&code);
        rc = fb_enrol(d->db, &link, &o, &err);
        buf_clear(&code);
    }
    if (rc == FB_E_RATE && d->must_enrol) { /* all of them at once: one after the other, then */
        server_job_free(l.job);
        return false;
    }
    if (rc == FB_E_CORRUPT && d->must_enrol) { /* a page struck before: made again by opening it */
        server_job_free(l.job);
        device_restart(d);
        return false;
    }
    if (rc != FB_OK) {
        enrol_failed("enrolment", rc, &err);
    }
    if (!d->must_enrol && (rc = whole_sync(d->db, &link, &err)) != FB_OK) {
        enrol_failed("first sync", rc, &err);
    }
    server_job_free(l.job);
    return true;
}

bool device_enrol_again(sim_device *d)
{
    sim *s = d->world;
    if (!device_alive(d) || !server_alive(s)) {
        return false;
    }
    fb_lane_close(d->lane); /* they speak for the device that was */
    fb_sync_close(d->sync);
    d->lane = NULL;
    d->lane_turn = false;
    d->sync = NULL;
    d->in_flight = false;
    d->follows = FOLLOWS_NOBODY;
    if (!device_enrol(s, d)) {
        return false;
    }
    d->session = true;
    d->wake_ms = s->now_ms;
    return true;
}
