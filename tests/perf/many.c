/* many.c - the product's devices by the dozen: load (W4) and live (W5). See load.h.
 *
 * load   a light client: groups that real devices recorded, sent one by one with requests made by
 *        the library's own wire room, so that the server is what is measured
 * live   real devices, each with its replica, waiting at the server */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fieldbook/fieldbook.h"
#include "perf/gen.h"
#include "perf/load.h"
#include "platform/posix/port.h"
#include "replica/replica.h"
#include "schema/limits.h"
#include "sync/push.h"
#include "wire/pack.h"

enum {
    WAIT_MS = 60000,
    PARK_MS = 100,
    REST_S = 2,
    FIRST_PART = 5,
    BYTES_MAX = 64 << 20,
    LINE_BYTES = 64 << 10
};

/* ---------------------------------------------------------------- load */

typedef struct light {
    sync_request next; /* of the request to come */
    buf token, authorization;
    buf *lines;     /* one group each, with its end */
    digest *chains; /* before each */
} light;

typedef struct lights {
    light d[BENCH_DEVICES_MAX];
    buf body, packed, plain;
    arena *memory;
} lights;

static void groups_read(replica *r, light *d, uint32_t count)
{
    outbox_state state;
    uint32_t got = 0;
    must(outbox_state_get(r, &state), NULL, "outbox");
    d->lines = calloc(count, sizeof *d->lines);
    d->chains = calloc(count, sizeof *d->chains);
    if (d->lines == NULL || d->chains == NULL) {
        bench_die("out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        buf_init(&d->lines[i], LINE_BYTES);
        must(outbox_read(r, state.acked + 1 + i, 1, LINE_BYTES, &d->lines[i], &got, &d->chains[i]),
             NULL, "outbox");
    }
    d->next.acked = state.acked;
    d->next.settled = state.settled;
    d->next.last = state.last;
}

static void light_open(light *d, const char *path, uint32_t count)
{
    replica *r = NULL;
    replica_identity me;
    fb_error err = {0};
    must(replica_open(&(replica_options){.path = path, .port = fb_port_posix()}, &r, &err), &err,
         path);
    must(replica_identity_get(r, &me), NULL, "identity");
    d->next = (sync_request){.protocol = PROTOCOL_VERSION,
                             .device = me.device,
                             .incarnation = me.incarnation,
                             .epoch = me.epoch,
                             .catalog_version = replica_catalog(r)->version,
                             .groups_count = 1};
    buf_init(&d->token, LINE_BYTES);
    buf_init(&d->authorization, 256);
    must(stage_token(r, &d->token), NULL, "token");
    must(push_authorization(r, &d->authorization), NULL, "authorization");
    groups_read(r, d, count);
    replica_close(r);
}

/* The whole of what a device says after having taken the answer before: all verdicts known. */
static void light_ask(void *ctx, uint32_t device, uint32_t number, buf *out)
{
    lights *all = ctx;
    light *d = &all->d[device];
    d->next.first = d->next.acked + 1;
    d->next.chain_before = d->chains[number];
    d->next.token = buf_text(&d->token);
    d->next.wall_ms = fb_port_posix()->wall_ms(fb_port_posix()->ctx);
    buf_reset(&all->body);
    buf_reset(&all->packed);
    sync_request_put(&all->body, &d->next);
    buf_put_text(&all->body, buf_text(&d->lines[number]));
    sync_end_put(&all->body);
    must(pack_put(&all->packed, buf_text(&all->body)), NULL, "a request");
    http_put(out, &(fb_link_request){.method = "POST",
                                     .path = "/v1/sync",
                                     .content_type = "application/x-fieldbook",
                                     .content_encoding = "zstd",
                                     .authorization = buf_cstr(&d->authorization),
                                     .body = buf_text(&all->packed)});
}

static void token_take(lights *all, light *d, fb_text body)
{
    line_reader lines;
    fb_text line;
    sync_reply reply;
    bool applied = false, quiet = false;
    arena_reset(all->memory);
    line_reader_init(&lines, body);
    if (!line_next(&lines, &line) || sync_reply_get(line, all->memory, &reply) != FB_OK) {
        bench_die("an answer cannot be read: %.*s", (int)(body.size < 200 ? body.size : 200),
                  body.data);
    }
    while (line_next(&lines, &line)) {
        reply_item item;
        must(reply_item_get(line, all->memory, &item), NULL, "an answer");
        applied = applied || item.line == LINE_RUN;
        if (item.line == LINE_PAGE) {
            buf_reset(&d->token);
            buf_put_text(&d->token, item.page.token);
            quiet = line_next(&lines, &line) && text_is(line, "{\"m\":\"end\"}");
            break;
        }
    }
    if (!applied || !quiet) {
        bench_die("an order was not applied, or there was news: %.*s",
                  (int)(body.size < 6000 ? body.size : 6000), body.data);
    }
    d->next.settled = d->next.acked = reply.applied;
}

static bool light_answered(void *ctx, uint32_t device, net_conn *c)
{
    lights *all = ctx;
    fb_link_response r;
    if (!http_next(c, &r)) {
        return false;
    }
    if (r.status != 200) {
        bench_die("the server answered %d: %.*s", r.status,
                  (int)(r.body.size < 200 ? r.body.size : 200), r.body.data);
    }
    if (r.zstd) {
        buf_reset(&all->plain);
        must(pack_get(&all->plain, r.body, PAGE_BYTES_MAX), NULL, "an answer");
        r.body = buf_text(&all->plain);
    }
    token_take(all, &all->d[device], r.body);
    return true;
}

/* load FOLDER PORT SERVER CA CONNECTIONS DEVICES SYNCS */
void role_load(int argc, char **argv, sample *out)
{
    static lights all;
    if (argc != 7) {
        bench_die("load: FOLDER PORT SERVER CA CONNECTIONS DEVICES SYNCS");
    }
    uint32_t devices = (uint32_t)number_of(argv[5]), syncs = (uint32_t)number_of(argv[6]);
    load_server server = {net_client(argv[3]), (int)number_of(argv[1]), (pid_t)number_of(argv[2])};
    all.memory = arena_new(BYTES_MAX);
    buf_init(&all.body, BYTES_MAX);
    buf_init(&all.packed, BYTES_MAX);
    buf_init(&all.plain, BYTES_MAX);
    for (uint32_t i = 0; i < devices; i++) {
        char path[PATH_BYTES];
        path_of(path, "%s/d%03u.db", argv[0], i);
        light_open(&all.d[i], path, syncs);
    }
    load_run(&(load){&all, (uint32_t)number_of(argv[4]), devices, syncs, light_ask, light_answered},
             &server, out);
    net_free(server.client);
}

/* ---------------------------------------------------------------- live */

typedef struct waiting {
    fb_db *db;
    fb_sync *sync;
    buf answer;
    fb_link_response response;
} waiting;

typedef struct crowd {
    waiting d[BENCH_DEVICES_MAX + 1];
    uint32_t devices;
    net_conn *conns[BENCH_DEVICES_MAX + 1];
    buf out;
} crowd;

static void waiting_open(waiting *w, const char *path, uint32_t wait_ms)
{
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    fb_sync_options how = FB_SYNC_OPTIONS_INIT;
    o.port = fb_port_posix();
    o.sync_normal = true;
    how.wait_ms = wait_ms;
    must(fb_db_open(path, &o, &w->db, &err), &err, path);
    must(fb_sync_open(w->db, &how, &w->sync, &err), &err, path);
    buf_init(&w->answer, BYTES_MAX);
}

/* The next request of this device; a finished round begins the next one. */
static void request_put(waiting *w, buf *out)
{
    fb_error err = {0};
    fb_link_request q;
    uint32_t wait_ms = 0;
    for (int tries = 0; tries < 10; tries++) {
        fb_sync_action action;
        must(fb_sync_next(w->sync, &action, &q, &wait_ms, &err), &err, "sync");
        if (action == FB_SYNC_SEND) {
            http_put(out, &q);
            return;
        }
        if (action == FB_SYNC_WAIT) {
            bench_die("a device was sent away for %u ms", wait_ms);
        }
    }
    bench_die("a device has nothing to say");
}

static void crowd_wait(crowd *all, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        buf_reset(&all->out);
        request_put(&all->d[i], &all->out);
        net_send(all->conns[i], all->out.data, all->out.size);
    }
}

static void crowd_wait_all(void *ctx, uint32_t round)
{
    crowd *all = ctx;
    if (round > 0) { /* in the first they wait already: crowd_come */
        crowd_wait(all, 0, all->devices);
    }
    nanosleep(&(struct timespec){.tv_nsec = PARK_MS * 1000000}, NULL);
}

/* Devices from..to connect and wait; then the server's memory, once it is quiet: a connection gives
 * memory back when nothing has moved for a second. */
static int64_t crowd_come(crowd *all, const load_server *server, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        all->conns[i] = net_connect(server->client, server->port, NULL);
    }
    crowd_wait(all, from, to);
    nanosleep(&(struct timespec){.tv_sec = REST_S}, NULL);
    return status_kib(server->pid, "VmRSS");
}

static void crowd_change(void *ctx, uint32_t round, buf *out)
{
    crowd *all = ctx;
    waiting *w = &all->d[all->devices];
    fb_error err = {0};
    char text[64];
    fb_id customer = gen_id(GEN_CUSTOMER, GEN_SHARED_CUSTOMER);
    const char *name = "opening_hours";
    snprintf(text, sizeof text, "09:00-18:00, round %u", round);
    fb_value value = gen_str(text);
    must(
        fb_record_update(w->db, "customer", &customer, &(fb_record_change){&name, &value, 1}, &err),
        &err, "change");
    request_put(w, out);
}

static bool crowd_arrived(void *ctx, uint32_t device, net_conn *c)
{
    crowd *all = ctx;
    waiting *w = &all->d[device];
    if (!http_next(c, &w->response)) {
        return false;
    }
    buf_reset(&w->answer);
    buf_put_text(&w->answer, w->response.body);
    w->response.body = buf_text(&w->answer);
    return true;
}

static void crowd_round_end(void *ctx, uint32_t round)
{
    crowd *all = ctx;
    fb_error err = {0};
    (void)round;
    for (uint32_t i = 0; i <= all->devices; i++) {
        must(fb_sync_reply(all->d[i].sync, &all->d[i].response, &err), &err, "an answer");
    }
}

static void crowd_close(crowd *all)
{
    for (uint32_t i = 0; i <= all->devices; i++) {
        fb_sync_close(all->d[i].sync);
        fb_db_close(all->d[i].db);
        buf_clear(&all->d[i].answer);
        net_close(all->conns[i]);
    }
    buf_clear(&all->out);
}

/* live FOLDER PORT SERVER CA DEVICES ROUNDS: device number DEVICES makes the changes. growth_kib is
 * what the devices beyond the first fifth cost, which warmed the server up. */
void role_live(int argc, char **argv, sample *out)
{
    static crowd all;
    if (argc != 6) {
        bench_die("live: FOLDER PORT SERVER CA DEVICES ROUNDS");
    }
    load_server server = {net_client(argv[3]), (int)number_of(argv[1]), (pid_t)number_of(argv[2])};
    all.devices = (uint32_t)number_of(argv[4]);
    buf_init(&all.out, BYTES_MAX);
    for (uint32_t i = 0; i <= all.devices; i++) {
        char path[PATH_BYTES];
        path_of(path, "%s/d%03u.db", argv[0], i);
        waiting_open(&all.d[i], path, i < all.devices ? WAIT_MS : 0);
    }
    all.conns[all.devices] = net_connect(server.client, server.port, NULL);
    int64_t first_kib = crowd_come(&all, &server, 0, all.devices / FIRST_PART);
    out->growth_kib = crowd_come(&all, &server, all.devices / FIRST_PART, all.devices) - first_kib;
    live_run(&(live){&all, all.devices, (uint32_t)number_of(argv[5]), all.conns, crowd_wait_all,
                     crowd_change, crowd_arrived, crowd_round_end},
             &server, out);
    crowd_close(&all);
    net_free(server.client);
}
