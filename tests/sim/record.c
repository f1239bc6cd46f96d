/* record.c - one life written down for fb-check. See sim.h, support/history.h.
 *
 * With what happened goes measured evidence: how long each device took once the faults stopped
 * (L1), what it sent and took against the published limits (L3), what was not given back (I17), and
 * the hash of the trace: the judge compares it with that of the same life in another history
 * (I18). */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "schema/limits.h"

/* L1's bound is for one connection; what the office and the operator mend while everything heals
 * brings more. */
enum { HEALED_RTT_MS = 200, HEALED_CHUNKS = 100, LOG_BYTES_MAX = 16 << 20 };

/* What the recorder cannot see from outside, or what strikes its own looks into the files. */
bool record_leaves_out(sim_kind kind)
{
    switch (kind) {
    case KIND_PHONE_BACKUP:
    case KIND_PHONE_RESTORED:
    case KIND_PHONE_TORN:
    case KIND_PHONE_CLONED:
    case KIND_PAGE_DAMAGED:
    case KIND_SERVER_OLDER:
    case KIND_SERVER_PUT_BACK:
    case KIND_SERVER_EMPTIED:
    case KIND_TWO_SERVERS:
    case KIND_READ_ERROR_DEVICE:
    case KIND_READ_ERROR_SERVER:
    case KIND_NO_MEMORY_SERVER:
    case KIND_REPLAY:
    case KIND_FOREIGN:
    case KIND_GARBAGE:
    case KIND_STALE_REPLY:
    case KIND_ERASED:
        return true;
    default:
        return false;
    }
}

void record_open(sim *s)
{
    const char *path = s->plan->o.history;
    if (path == NULL) {
        return;
    }
    s->recorder = history_open(&(history_options){.path = path,
                                                  .name = "sim",
                                                  .server = "server/master.db",
                                                  .vfs = "simfs",
                                                  .seed = s->seed});
    int64_t now_ms = s->now_ms;
    s->now_ms -= 1000000000;
    s->company = &s->own;
    company_build(s, &s->own, s->plan->variant, s->plan->devices_count);
    s->now_ms = now_ms;
    record_server(s);
    history_note(s->recorder, "rule",
                 "\"kind\":\"sum\",\"e\":\"sales_order\",\"col\":\"total\",\"plus\":[\"rounding\","
                 "\"freight_amount\"],\"child\":\"sales_order_line\",\"ref\":\"order_id\",\"add\":"
                 "\"gross\"");
    history_note(s->recorder, "rule",
                 "\"kind\":\"floor\",\"e\":\"sim_stock\",\"col\":\"on_hand\",\"min\":0");
    for (int i = 0; i < s->devices_count; i++) {
        history_device(s->recorder, i + 1, s->devices[i].path, &s->own.users[i]);
    }
    s->recorded = true;
}

static void record_trace(const sim *s, history *h)
{
    char members[300];
    buf hex;
    buf_init(&hex, 100);
    hex_put(&hex, s->hash.b, sizeof s->hash.b);
    snprintf(members, sizeof members,
             "\"seed\":\"%llu of class %d, %lld days\",\"build\":\"%s\",\"sha\":\"%s\"",
             (unsigned long long)s->seed, (int)s->plan->o.class, (long long)s->plan->o.days,
             history_build(), buf_cstr(&hex));
    history_note(h, "trace", members);
    buf_clear(&hex);
}

void record_close(sim *s)
{
    history *h = s->recorder;
    if (h == NULL) {
        return;
    }
    record_time(s); /* the last ones to come to rest */
    s->recorder = NULL;
    record_trace(s, h);
    history_memory(h);
    if (s->violations == 0) {
        history_dump_server(h);
        for (int i = 0; i < s->devices_count; i++) {
            history_dump_device(h, i + 1, false);
        }
    }
    history_close(h);
}

static bool is_drained(sim_device *d)
{
    fb_status st = FB_STATUS_INIT;
    return d->rounds > 0 && d->db != NULL && fb_status_get(d->db, &st, NULL) == FB_OK &&
           st.pending_count == 0;
}

/* The clock jumps from one thing that is due to the next: who came to rest did so before. */
void record_time(sim *s)
{
    if (s->recorder == NULL) {
        return;
    }
    for (int i = 0; s->healing && i < s->devices_count; i++) {
        if (is_drained(&s->devices[i])) {
            history_drained(s->recorder, i + 1);
        }
    }
    history_time(s->recorder, s->now_ms);
    if (s->healing) {
        history_quiet(s->recorder, HEALED_RTT_MS, HEALED_CHUNKS);
    }
}

void record_server(sim *s)
{
    if (s->recorder != NULL) {
        record_time(s);
        (void)history_server(s->recorder);
    }
}

void record_save(sim_device *d)
{
    if (d->world->recorder != NULL) {
        history_save(d->world->recorder, d->number + 1);
    }
}

/* Nobody was told: the device went down in it, or its answer may have come after the commit. */
void record_saved(sim_device *d, fb_code code)
{
    if (d->world->recorder != NULL) {
        bool unsure = code == FB_E_IO || code == FB_E_DISK_FULL || code == FB_E_NO_MEMORY;
        history_saved(d->world->recorder, d->number + 1, code, unsure || !device_alive(d));
    }
}

int64_t record_send(sim_device *d, const fb_link_request *q)
{
    sim *s = d->world;
    if (s->recorder == NULL) {
        return 0;
    }
    record_server(s);
    history_bound(s->recorder, d->number + 1, d->lane_turn ? "piece" : "request",
                  (int64_t)q->body.size,
                  d->lane_turn ? BLOB_CHUNK_BYTES_MAX + BLOB_LINE_BYTES_MAX : SYNC_BODY_BYTES_MAX);
    return history_send(s->recorder, d->number + 1, q);
}

void record_arrive(sim *s, const sim_flight *f)
{
    if (s->recorder != NULL) {
        record_server(s);
        history_arrive(s->recorder, f->recorded);
    }
}

void record_reply(sim *s, const sim_flight *f, const server_reply *reply)
{
    if (s->recorder == NULL) {
        return;
    }
    fb_link_response r = {.status = reply->status, .zstd = reply->zstd, .body = reply->body};
    record_server(s);
    history_bound(s->recorder, f->device + 1, f->photo ? "piece" : "reply",
                  (int64_t)reply->body.size,
                  f->photo ? BLOB_CHUNK_BYTES_MAX + BLOB_LINE_BYTES_MAX : PAGE_BYTES_MAX);
    history_reply(s->recorder, f->recorded, f->device + 1, &r);
}

/* The log of each database, in the machine's folder. */
static void log_sample(void *ctx, const char *file, const void *data, size_t size)
{
    sim *s = ctx;
    const char *end = strrchr(file, '-');
    (void)data;
    for (int i = 0; end != NULL && strcmp(end, "-wal") == 0 && i < s->devices_count; i++) {
        size_t n = strlen(s->devices[i].path);
        if (strncmp(file, s->devices[i].path, n) == 0 && file + n == end) {
            history_bound(s->recorder, i + 1, "log", (int64_t)size, LOG_BYTES_MAX);
        }
    }
}

void record_take(sim_device *d, const sim_flight *f, const fb_link_response *r, fb_code code)
{
    if (d->world->recorder != NULL) {
        crash_vfs_each(d->world->vfs, log_sample, d->world);
        history_take(d->world->recorder, f->recorded, d->number + 1, r, code);
    }
}
