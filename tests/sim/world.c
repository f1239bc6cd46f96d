/* world.c - the machines and the company. See sim.h. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/door/door.h"

static uint64_t stream_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static void stream_fill(uint64_t *state, void *out, size_t size)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)stream_next(state);
    }
}

static uint64_t device_mono(void *ctx)
{
    return (uint64_t)((sim_device *)ctx)->world->now_ms;
}

static int64_t device_wall(void *ctx)
{
    sim_device *d = ctx;
    return d->world->now_ms + d->clock_skew_ms;
}

static fb_code device_random(void *ctx, void *out, size_t size)
{
    stream_fill(&((sim_device *)ctx)->random, out, size);
    return FB_OK;
}

static uint64_t server_mono(void *ctx)
{
    return (uint64_t)((sim *)ctx)->now_ms;
}

static int64_t server_wall(void *ctx)
{
    return ((sim *)ctx)->now_ms;
}

static fb_code server_random_fill(void *ctx, void *out, size_t size)
{
    stream_fill(&((sim *)ctx)->server_random, out, size);
    return FB_OK;
}

_Noreturn static void setup_failed(const char *what, fb_code rc, const fb_error *err)
{
    fprintf(stderr, "sim: setting up failed: %s: %s %s\n", what, fb_code_name(rc), err->message);
    abort();
}

/* --- server ------------------------------------------------------------------------------------
 */

bool server_alive(sim *s)
{
    return s->srv != NULL && !crash_vfs_is_crashed(s->vfs, "server");
}

void server_down(sim *s)
{
    server_reader_close(s->reader);
    server_close(s->srv);
    s->reader = NULL;
    s->srv = NULL;
}

void server_boot(sim *s)
{
    fb_error err = {0};
    server_options o = {.path = "server/master.db", .vfs = "simfs", .port = &s->server_port};
    fb_code rc = server_open(&o, &s->srv, &err);
    if (rc == FB_OK) {
        rc = server_reader_open(s->srv, &s->reader, &err);
    }
    if (rc == FB_OK) {
        return;
    }
    server_down(s);
    sim_trace(s, "server does not start: %s %s", fb_code_name(rc), err.message);
    if (s->healing) {
        sim_violation(s, "the server does not open after a crash: %s %s", fb_code_name(rc),
                      err.message);
    }
}

store *world_store_open(sim *s)
{
    (void)s; /* one file layer for all */
    store *db = NULL;
    fb_error err = {0};
    store_options o = {.path = "server/master.db", .vfs = "simfs"};
    return store_open(&o, &db, &err) == FB_OK ? db : NULL;
}

/* --- devices ------------------------------------------------------------------------------------
 */

bool device_alive(sim_device *d)
{
    return d->db != NULL && !crash_vfs_is_crashed(d->world->vfs, d->machine);
}

void device_down(sim_device *d)
{
    fb_sync_close(d->sync);
    fb_db_close(d->db);
    d->sync = NULL;
    d->db = NULL;
    d->in_flight = false;
}

void device_boot(sim_device *d)
{
    sim *s = d->world;
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &d->port;
    o.vfs = "simfs";
    fb_code rc = fb_db_open(d->path, &o, &d->db, &err);
    if (rc != FB_OK && s->healing) {
        sim_violation(s, "%s does not open after a crash: %s %s", d->machine, fb_code_name(rc),
                      err.message);
    }
    d->wake_ms = s->now_ms;
}

static void device_tend(sim *s, sim_device *d)
{
    if (crash_vfs_is_crashed(s->vfs, d->machine)) {
        if (d->db != NULL) {
            sim_trace(s, "%s is down", d->machine);
            device_down(d);
            d->dark_until_ms = s->now_ms + (int64_t)sim_random(s, 3600000);
        }
        if (s->now_ms >= d->dark_until_ms || s->healing) {
            crash_vfs_reboot(s->vfs, d->machine);
            sim_trace(s, "%s boots", d->machine);
        }
    }
    if (d->db == NULL && !crash_vfs_is_crashed(s->vfs, d->machine)) {
        device_boot(d);
    }
}

void machines_tend(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        device_tend(s, &s->devices[i]);
    }
    if (crash_vfs_is_crashed(s->vfs, "server")) {
        if (s->srv != NULL) {
            sim_trace(s, "server is down");
            server_down(s);
            s->server_dark_until_ms = s->now_ms + (int64_t)sim_random(s, 3600000);
        }
        if (s->now_ms >= s->server_dark_until_ms || s->healing) {
            crash_vfs_reboot(s->vfs, "server");
            sim_trace(s, "server boots");
        }
    }
    if (s->srv == NULL && !crash_vfs_is_crashed(s->vfs, "server")) {
        server_boot(s);
    }
    if (s->srv != NULL) {
        server_tick(s->srv, (uint64_t)s->now_ms);
    }
}

/* --- company
 * -------------------------------------------------------------------------------------- */

static void company_people(sim *s, company *c)
{
    fb_id region =
        company_add(c, "org_unit", PAIRS("code", "R1", "name", "Region", "kind", "region"));
    fb_id rep = company_find(c, "role", "REP"), mgr = company_find(c, "role", "MGR");
    for (int t = 0; t < SIM_TERRITORIES; t++) {
        char code[8];
        snprintf(code, sizeof code, "T%d", t);
        s->territories[t] = company_add(
            c, "territory", PAIRS("code", code, "name", code, "org_unit_id", id_text(&region)));
    }
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        d->user = company_add(c, "app_user",
                              PAIRS("code", d->user_key, "name", d->user_key, "org_unit_id",
                                    id_text(&region), "status", "active"));
        company_add(
            c, "user_role",
            PAIRS("user_id", id_text(&d->user), "role_id", id_text(d->manager ? &mgr : &rep)));
        if (!d->manager) {
            const fb_id *t = &s->territories[i % SIM_TERRITORIES];
            company_add(c, "user_territory",
                        PAIRS("user_id", id_text(&d->user), "territory_id", id_text(t)));
        }
    }
}

static void company_goods(sim *s, company *c)
{
    fb_id list = company_add(c, "price_list",
                             PAIRS("code", "L1", "name", "List", "currency", "CNY", "tax_included",
                                   "0", "priority", "0", "active", "1"));
    company_add(c, "price_assignment",
                PAIRS("target_kind", "global", "price_list_id", id_text(&list), "priority", "0"));
    for (int p = 0; p < SIM_PRODUCTS; p++) {
        char code[8], price[16];
        snprintf(code, sizeof code, "P%d", p);
        snprintf(price, sizeof price, "%d.25", 3 + 7 * p);
        s->products[p] = company_add(c, "product",
                                     PAIRS("code", code, "name", code, "base_uom", "EA", "type",
                                           "good", "status", "active"));
        company_add(c, "price_list_item",
                    PAIRS("price_list_id", id_text(&list), "product_id", id_text(&s->products[p]),
                          "uom", "EA", "min_qty_milli", "0", "price_4dp", price));
    }
    for (int k = 0; k < SIM_CUSTOMERS; k++) {
        char code[8], name[16];
        snprintf(code, sizeof code, "C%d", k);
        snprintf(name, sizeof name, "Shop %d", k);
        s->customers[k] = company_add(c, "customer",
                                      PAIRS("code", code, "name", name, "party_type", "customer",
                                            "status", "active", "territory_id",
                                            id_text(&s->territories[k % SIM_TERRITORIES])));
    }
    /* Two customers belong to two territories. */
    for (int k = 0; k < 2; k++) {
        company_add(c, "customer_assignment",
                    PAIRS("customer_id", id_text(&s->customers[k]), "territory_id",
                          id_text(&s->territories[(k + 1) % SIM_TERRITORIES]), "from_at",
                          "2001-09-09T00:00:00Z"));
    }
}

/* What a device's link does when it enrols: straight to the server, no faults yet. */
typedef struct direct_link {
    sim *world;
    server_job *job;
} direct_link;

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
    l->job = server_handle(l->world->srv, l->world->reader, &r);
    const server_reply *reply = server_job_reply(l->job);
    *out = (fb_link_response){.status = reply->status, .zstd = reply->zstd, .body = reply->body};
    return FB_OK;
}

static void device_enrol(sim *s, sim_device *d, const char *code)
{
    fb_error err = {0};
    direct_link l = {.world = s};
    fb_link link = {&l, direct_exchange};
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    o.server_url = "https://sim";
    o.code = code;
    o.again = d->must_enrol;
    fb_code rc = fb_enrol(d->db, &link, &o, &err);
    if (rc != FB_OK) {
        setup_failed("enrolment", rc, &err);
    }
    fb_sync *sync = NULL;
    fb_sync_report report;
    rc = fb_sync_open(d->db, NULL, &sync, &err);
    if (rc == FB_OK) {
        rc = fb_sync_step(sync, &link, 0, &report, &err);
    }
    if (rc != FB_OK || !report.complete) {
        setup_failed("first sync", rc, &err);
    }
    fb_sync_close(sync);
    server_job_free(l.job);
}

static void code_make(sim *s, sim_device *d, buf *code)
{
    store *db = world_store_open(s);
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
        setup_failed("enrolment code", rc, &err);
    }
}

static void devices_enrol(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        fb_error err = {0};
        buf code;
        buf_init(&code, 100);
        code_make(s, d, &code);
        device_boot(d);
        if (d->db == NULL) {
            setup_failed("replica", FB_E_IO, &err);
        }
        device_enrol(s, d, buf_cstr(&code));
        buf_clear(&code);
    }
}

bool device_enrol_again(sim_device *d)
{
    sim *s = d->world;
    buf code;
    if (!device_alive(d) || !server_alive(s)) {
        return false;
    }
    fb_sync_close(d->sync); /* it speaks for the device that was */
    d->sync = NULL;
    d->in_flight = false;
    buf_init(&code, 100);
    code_make(s, d, &code);
    device_enrol(s, d, buf_cstr(&code));
    buf_clear(&code);
    return true;
}

static void device_init(sim *s, int i)
{
    sim_device *d = &s->devices[i];
    *d = (sim_device){
        .world = s, .number = i, .manager = i == 0, .random = s->seed * 1000 + (uint64_t)i};
    snprintf(d->machine, sizeof d->machine, "dev%d", i);
    snprintf(d->path, sizeof d->path, "dev%d/replica.db", i);
    snprintf(d->user_key, sizeof d->user_key, "U%d", i);
    d->port = (fb_port){
        .ctx = d, .mono_ms = device_mono, .wall_ms = device_wall, .random = device_random};
}

sim_device *device_new(sim *s, int like)
{
    if (s->devices_count == SIM_DEVICES_MAX) {
        return NULL;
    }
    int i = s->devices_count++;
    device_init(s, i);
    s->devices[i].manager = s->devices[like].manager;
    s->devices[i].user = s->devices[like].user;
    return &s->devices[i];
}

void world_open(sim *s)
{
    s->vfs = crash_vfs_new("simfs", s->seed);
    s->server_random = s->seed ^ 0x5eed;
    s->server_port = (fb_port){
        .ctx = s, .mono_ms = server_mono, .wall_ms = server_wall, .random = server_random_fill};
    s->devices_count = 3 + (int)sim_random(s, SIM_DEVICES_MAX - 4);
    for (int i = 0; i < s->devices_count; i++) {
        device_init(s, i);
    }
    fb_error err = {0};
    server_create_options o = {.path = "server/master.db",
                               .vfs = "simfs",
                               .port = &s->server_port,
                               .company_code = "SIM",
                               .company_name = "Simulated"};
    fb_code rc = server_create(&o, &err);
    if (rc != FB_OK) {
        setup_failed("server", rc, &err);
    }
    store *db = world_store_open(s);
    company c;
    company_init(&c, db, &s->server_port, s->seed);
    company_people(s, &c);
    company_goods(s, &c);
    store_close(db);
    server_boot(s);
    if (s->srv == NULL) {
        setup_failed("server", FB_E_IO, &err);
    }
    devices_enrol(s);
}

void world_close(sim *s)
{
    net_drop_all(s);
    for (int i = 0; i < s->devices_count; i++) {
        device_down(&s->devices[i]);
    }
    server_down(s);
    crash_vfs_free(s->vfs);
}
