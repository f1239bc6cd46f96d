/* world.c - the machines: opening, crashing, rebooting; their clocks. See sim.h. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stream_fill(uint64_t *state, void *out, size_t size)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        *state = mix64(*state, 3);
        bytes[i] = (unsigned char)*state;
    }
}

/* ---- ports ---- */

/* Counts from the last boot, as a phone's does. */
static uint64_t device_mono(void *ctx)
{
    const sim_device *d = ctx;
    return (uint64_t)(d->world->now_ms - d->boot_ms);
}

static int64_t device_wall(void *ctx)
{
    const sim_device *d = ctx;
    return d->world->now_ms + d->clock_skew_ms;
}

static fb_code device_random(void *ctx, void *out, size_t size)
{
    stream_fill(&((sim_device *)ctx)->random, out, size);
    return FB_OK;
}

fb_port device_port(sim_device *d)
{
    return (fb_port){
        .ctx = d, .mono_ms = device_mono, .wall_ms = device_wall, .random = device_random};
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

/* ---- server ---- */

bool server_alive(sim *s)
{
    return s->srv != NULL && !crash_vfs_is_crashed(s->vfs, "server");
}

bool server_sound(sim *s)
{
    return server_alive(s) && !server_is_suspect(s->srv);
}

void server_down(sim *s)
{
    store_close(s->slow);
    store_close(s->admin);
    sqlite3_close(s->look);
    server_reader_close(s->reader);
    server_close(s->srv);
    s->slow = s->admin = NULL;
    s->look = NULL;
    s->reader = NULL;
    s->srv = NULL;
}

fb_code server_start(sim *s, const char *path, server **srv, server_reader **reader)
{
    fb_error err = {0};
    server_options o = {
        .path = path,
        .vfs = "simfs",
        .port = &s->server_port,
        .files = &s->files,
        .blobs = {.free_bytes_min = 4096},
        .gone_days = 1, /* of a fleet's days: many devices are away longer */
        .packing = {.rows_min = 10, .chunk_bytes = 16000, .rest_ms = 60000, .age_ms = 600000}};
    fb_code rc = server_open(&o, srv, &err);
    if (rc == FB_OK) {
        rc = server_reader_open(*srv, reader, &err);
    }
    if (rc != FB_OK) {
        sim_trace(s, "%s does not start: %s %s", path, fb_code_name(rc), err.message);
    }
    return rc;
}

void server_boot(sim *s)
{
    fb_code rc = server_start(s, "server/master.db", &s->srv, &s->reader);
    if (rc == FB_OK) {
        return;
    }
    server_down(s);
    s->server_dark_until_ms = s->now_ms + 600000;
    if (s->healing) {
        sim_violation(s, "L1: the server does not open after a crash: %s", fb_code_name(rc));
    }
}

store *world_store_open(const char *path)
{
    store *db = NULL;
    fb_error err = {0};
    store_options o = {.path = path, .vfs = "simfs"};
    return store_open(&o, &db, &err) == FB_OK ? db : NULL;
}

static void server_tend(sim *s)
{
    if (s->slow != NULL && s->now_ms >= s->slow_until_ms) {
        store_snapshot_end(s->slow);
        store_close(s->slow);
        s->slow = NULL;
    }
    if (crash_vfs_is_crashed(s->vfs, "server")) {
        if (s->srv != NULL) {
            sim_trace(s, "server is down");
            if (s->recorder != NULL) {
                history_crash(s->recorder, -1);
            }
            server_down(s);
            s->server_dark_until_ms = s->now_ms + (int64_t)sim_random(s, 3600000);
        }
        if (s->now_ms >= s->server_dark_until_ms || s->healing) {
            crash_vfs_reseed(s->vfs, mix64(s->seed, (uint64_t)s->server_dark_until_ms));
            crash_vfs_reboot(s->vfs, "server");
            sim_trace(s, "server boots");
        }
    }
    if (s->srv == NULL && !crash_vfs_is_crashed(s->vfs, "server") &&
        (s->now_ms >= s->server_dark_until_ms || s->healing)) {
        server_boot(s);
    }
    if (s->srv != NULL && s->now_ms >= s->ticked_ms + 1000) {
        server_tick(s->srv, (uint64_t)s->now_ms);
        if (s->twin != NULL) {
            server_tick(s->twin, (uint64_t)s->now_ms);
        }
        s->ticked_ms = s->now_ms;
    }
}

/* ---- devices ---- */

bool device_alive(const sim_device *d)
{
    return d->db != NULL && !d->suspended && !crash_vfs_is_crashed(d->world->vfs, d->machine);
}

void device_down(sim_device *d)
{
    fb_lane_close(d->lane);
    fb_sync_close(d->sync);
    fb_db_close(d->db);
    d->lane = NULL;
    d->lane_turn = false;
    d->sync = NULL;
    d->db = NULL;
    d->in_flight = d->connected = d->unreachable = false;
    d->suspended = false;
}

void device_boot(sim_device *d)
{
    sim *s = d->world;
    fb_error err = {0};
    fb_identity who = {.size_bytes = sizeof who};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &d->port;
    o.vfs = "simfs";
    o.files = &s->files;
    fb_code rc = fb_db_open(d->path, &o, &d->db, &err);
    d->wake_ms = s->now_ms;
    d->session = true;
    if (rc != FB_OK) {
        sim_trace(s, "%s does not open: %s %s", d->machine, fb_code_name(rc), err.message);
        d->dark_until_ms = s->now_ms + 600000;
        if (s->healing) {
            sim_violation(s, "L1: %s does not open after a crash: %s %s", d->machine,
                          fb_code_name(rc), err.message);
        }
        return;
    }
    if (s->recorder != NULL && s->recorded) {
        history_reopen(s->recorder, d->number + 1);
    }
    if (fb_db_identity(d->db, &who, NULL) == FB_OK && !who.enrolled) {
        d->must_enrol = true; /* what was put back is older than its enrolment */
    }
}

void device_restart(sim_device *d)
{
    sim_trace(d->world, "%s starts again: its database is damaged", d->machine);
    device_down(d);
    device_boot(d);
}

static void device_tend(sim *s, sim_device *d)
{
    if (d->suspended && (s->now_ms >= d->dark_until_ms || s->healing)) {
        d->suspended = false;
        sim_trace(s, "%s wakes up", d->machine);
    }
    if (crash_vfs_is_crashed(s->vfs, d->machine)) {
        if (d->db != NULL) {
            sim_trace(s, "%s is down", d->machine);
            if (s->recorder != NULL) {
                history_crash(s->recorder, d->number + 1);
            }
            device_down(d);
            d->dark_until_ms = s->now_ms + (int64_t)sim_random(s, 3600000);
        }
        if (s->now_ms >= d->dark_until_ms || s->healing) {
            crash_vfs_reseed(s->vfs, mix64(s->seed, (uint64_t)d->dark_until_ms));
            crash_vfs_reboot(s->vfs, d->machine);
            d->boot_ms = s->now_ms;
            sim_trace(s, "%s boots", d->machine);
        }
    }
    if (d->db == NULL && !crash_vfs_is_crashed(s->vfs, d->machine) &&
        (s->now_ms >= d->dark_until_ms || s->healing)) {
        device_boot(d);
    }
}

/* The enrolment itself is not what is tested: nothing fails in it. */
static void enrol_tend(sim *s, sim_device *d)
{
    if (!d->must_enrol || !device_alive(d) || !server_sound(s)) {
        return;
    }
    crash_vfs_crash_after(s->vfs, d->machine, 0);
    crash_vfs_crash_after(s->vfs, "server", 0);
    crash_vfs_quota(s->vfs, d->machine, 0);
    crash_vfs_quota(s->vfs, "server", 0);
    crash_vfs_fail_sync(s->vfs, d->machine, 0);
    crash_vfs_fail_sync(s->vfs, "server", 0);
    crash_vfs_fail(s->vfs, d->machine, 0, SQLITE_OK, false);
    crash_vfs_fail(s->vfs, "server", 0, SQLITE_OK, false);
    if (device_enrol_again(d)) {
        sim_trace(s, "%s is enrolled again", d->machine);
        d->must_enrol = false;
    }
}

void machines_tend(sim *s)
{
    faults_tend(s);
    for (int i = 0; i < s->devices_count; i++) {
        device_tend(s, &s->devices[i]);
    }
    server_tend(s);
    twin_tend(s);
    for (int i = 0; i < s->devices_count; i++) {
        enrol_tend(s, &s->devices[i]);
    }
}

int64_t machines_due(const sim *s)
{
    int64_t due = INT64_MAX;
    for (int i = 0; i < s->devices_count; i++) {
        const sim_device *d = &s->devices[i];
        if ((d->db == NULL || d->suspended) && d->dark_until_ms < due) {
            due = d->dark_until_ms;
        }
    }
    if (s->srv == NULL && s->server_dark_until_ms < due) {
        due = s->server_dark_until_ms;
    }
    return due > s->now_ms ? due : s->now_ms;
}

static void machine_heal(sim *s, const char *machine)
{
    crash_vfs_crash_after(s->vfs, machine, 0);
    crash_vfs_quota(s->vfs, machine, 0);
    crash_vfs_fail_sync(s->vfs, machine, 0);
    crash_vfs_fail(s->vfs, machine, 0, SQLITE_OK, false);
}

void machines_heal(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        machine_heal(s, d->machine);
        d->weather = KINDS;
        d->clock_skew_ms = 0;
        d->dark_until_ms = 0;
        d->heap_in = 0;
        if (s->plan->o.class == CLASS_PARTITION) {
            fb_sync_close(d->sync); /* the phone says that there is a network: the app asks anew */
            d->sync = NULL;
            d->session = false;
        }
        memset(d->arms, 0, sizeof d->arms);
    }
    machine_heal(s, "server");
    s->server_dark_until_ms = 0;
    s->slow_until_ms = 0;
    s->server_heap_in = 0;
    s->poison = 0;
    machines_tend(s);
    faults_heal(s);
}

static void device_init(sim *s, int i, const fb_id *user)
{
    sim_device *d = &s->devices[i];
    *d = (sim_device){.world = s,
                      .number = i,
                      .manager = i == 0,
                      .user = *user,
                      .weather = KINDS,
                      .boot_ms = s->now_ms - 1000,
                      .random = mix64(s->seed, 1000 + (uint64_t)i)};
    snprintf(d->machine, sizeof d->machine, "dev%d", i);
    snprintf(d->path, sizeof d->path, "dev%d/replica.db", i);
    d->port = device_port(d);
}

sim_device *device_new(sim *s, int like)
{
    if (s->devices_count == SIM_DEVICES_MAX) {
        return NULL;
    }
    int i = s->devices_count++;
    device_init(s, i, &s->devices[like].user);
    s->devices[i].manager = s->devices[like].manager;
    return &s->devices[i];
}

void world_open(sim *s, sim_company *all)
{
    s->vfs = crash_vfs_new("simfs", s->seed);
    s->files = disk_files(s->vfs);
    s->server_random = mix64(s->seed, 0x5eed);
    s->server_port = (fb_port){
        .ctx = s, .mono_ms = server_mono, .wall_ms = server_wall, .random = server_random_fill};
    if (all == NULL) {
        return; /* the company is about to be made */
    }
    s->devices_count = s->plan->devices_count;
    record_open(s);
    if (s->recorder == NULL) {
        company_copy(s, all);
    }
    for (int i = 0; i < s->devices_count; i++) {
        device_init(s, i, &s->company->users[i]);
        device_boot(&s->devices[i]);
    }
    server_boot(s);
    photos_watch(s);
}

void world_close(sim *s)
{
    record_close(s);
    net_drop_all(s);
    for (int i = 0; i < s->devices_count; i++) {
        device_down(&s->devices[i]);
    }
    server_down(s);
    twin_close(s);
    crash_vfs_free(s->vfs);
    free(s->actions);
    s->actions = NULL;
}
