/* record.c - one life written down for fb-check. See sim.h, support/history.h. */
#include "sim/sim.h"

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

void record_close(sim *s)
{
    history *h = s->recorder;
    if (h == NULL) {
        return;
    }
    s->recorder = NULL;
    if (s->violations == 0) {
        history_dump_server(h);
        for (int i = 0; i < s->devices_count; i++) {
            history_dump_device(h, i + 1, false);
        }
    }
    history_close(h);
}

void record_time(sim *s)
{
    if (s->recorder != NULL) {
        history_time(s->recorder, s->now_ms);
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
    history_reply(s->recorder, f->recorded, f->device + 1, &r);
}

void record_take(sim_device *d, const sim_flight *f, const fb_link_response *r, fb_code code)
{
    if (d->world->recorder != NULL) {
        history_take(d->world->recorder, f->recorded, d->number + 1, r, code);
    }
}
