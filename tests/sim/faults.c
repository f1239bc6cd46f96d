/* faults.c - what breaks: power, processes, disks, memory, clocks. See sim.h. */
#include "sim/sim.h"

#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60000, DAY_MS = 24 * 3600 * 1000 };

/* ---- devices ---- */

bool fault_crash_device(sim *s, sim_device *d)
{
    crash_vfs_crash_after(s->vfs, d->machine, 1 + sim_random(s, 60));
    return device_alive(d);
}

bool fault_power_loss(sim *s, sim_device *d)
{
    if (!device_alive(d)) {
        return false;
    }
    crash_vfs_crash(s->vfs, d->machine);
    return true;
}

/* The system ends the program: what it wrote is in the system's cache. */
bool fault_killed(sim *s, sim_device *d)
{
    if (!device_alive(d)) {
        return false;
    }
    crash_vfs_kill(s->vfs, d->machine);
    device_down(d);
    if (s->recorder != NULL) {
        history_crash(s->recorder, d->number + 1);
    }
    d->dark_until_ms = s->now_ms + (int64_t)sim_random(s, 30 * MINUTE_MS);
    return true;
}

bool fault_suspended(sim *s, sim_device *d)
{
    if (!device_alive(d)) {
        return false;
    }
    d->suspended = true;
    d->dark_until_ms = s->now_ms + (int64_t)sim_random(s, 300 * MINUTE_MS);
    return true;
}

static int64_t until_somebody_helps(sim *s)
{
    return s->now_ms + (20 + (int64_t)sim_random(s, 700)) * MINUTE_MS;
}

static bool full(sim *s, const char *machine, int64_t *until_ms)
{
    crash_vfs_quota(s->vfs, machine, crash_vfs_used(s->vfs, machine) + 1 + sim_random(s, 60000));
    *until_ms = until_somebody_helps(s);
    return true;
}

bool fault_disk_full_device(sim *s, sim_device *d)
{
    return full(s, d->machine, &d->full_until_ms);
}

/* The file system is mounted anew without writing: every change fails, until it is cured. */
bool fault_read_only_device(sim *s, sim_device *d)
{
    crash_vfs_fail(s->vfs, d->machine, 1 + sim_random(s, 40), SQLITE_IOERR_WRITE, true);
    d->read_only_until_ms = until_somebody_helps(s);
    return true;
}

static bool over(const sim *s, int64_t *until_ms)
{
    bool ends = *until_ms != 0 && (s->now_ms >= *until_ms || s->healing);
    if (ends) {
        *until_ms = 0;
    }
    return ends;
}

/* Whoever looks after his phone looks at all of it once: damage that nobody has touched yet is met
 * now, and the app starts again. What this look does not find, the check after healing does. */
void faults_heal(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        if (d->damaged && d->db != NULL && fb_db_check(d->db, NULL) == FB_E_CORRUPT) {
            device_restart(d);
        }
    }
}

void faults_tend(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        if (over(s, &d->full_until_ms)) {
            crash_vfs_quota(s->vfs, d->machine, 0);
        }
        if (over(s, &d->read_only_until_ms)) {
            crash_vfs_fail(s->vfs, d->machine, 0, SQLITE_OK, false);
        }
    }
    if (over(s, &s->server_full_until_ms)) {
        crash_vfs_quota(s->vfs, "server", 0);
    }
}

bool fault_sync_error_device(sim *s, sim_device *d)
{
    crash_vfs_fail_sync(s->vfs, d->machine, 1 + sim_random(s, 10));
    return true;
}

bool fault_read_error_device(sim *s, sim_device *d)
{
    crash_vfs_fail(s->vfs, d->machine, 1 + sim_random(s, 60), SQLITE_IOERR_READ, false);
    return true;
}

bool fault_no_memory_device(sim *s, sim_device *d)
{
    d->heap_in = 1 + sim_random(s, sim_chance(s, 50) ? 60 : 2000);
    return false; /* counted when an allocation fails */
}

typedef struct damage {
    const char *file;
    unsigned char *bytes;
    size_t size;
} damage;

static void damage_take(void *ctx, const char *file, const void *data, size_t size)
{
    damage *w = ctx;
    if (strcmp(file, w->file) == 0 && size > 0) {
        w->bytes = malloc(size);
        w->size = size;
        if (w->bytes != NULL) {
            memcpy(w->bytes, data, size);
        }
    }
}

/* Flash that forgets: while the app is away one page of its database loses a bit, a sector or
 * everything. It is met at the next start or at the first touch, and the replica is made again from
 * the second copy of its groups and from the server. */
bool fault_page_damaged(sim *s, sim_device *d)
{
    damage w = {.file = d->path};
    /* A disk that takes nothing lets nobody end in order: the second copy may not be on it. */
    if (!device_alive(d) || d->read_only_until_ms != 0 || d->full_until_ms != 0) {
        return false;
    }
    device_down(d); /* a clean end: what is damaged is the file alone */
    crash_vfs_each(s->vfs, damage_take, &w);
    if (w.bytes != NULL) {
        size_t page = (size_t)sim_random(s, w.size / 4096) * 4096;
        size_t at = page + (size_t)sim_random(s, 4096 - 512);
        switch (sim_random(s, 3)) {
        case 0:
            w.bytes[at] ^= (unsigned char)(1u << sim_random(s, 8));
            break;
        case 1:
            memset(w.bytes + at, 0, 512);
            break;
        default:
            memset(w.bytes + page, 0xA5, 4096);
            break;
        }
        crash_vfs_put(s->vfs, w.file, w.bytes, w.size);
    }
    bool damaged = w.bytes != NULL;
    d->damaged |= damaged;
    d->follows = damaged ? FOLLOWS_NOBODY : d->follows; /* what it knew may be made anew */
    free(w.bytes);
    device_boot(d);
    return damaged;
}

/* An app of an older version meets this replica: a copy is opened that says it is newer. */
bool fault_downgrade(sim *s, sim_device *d)
{
    fb_db *db = NULL;
    sql_db *raw = NULL;
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    const sql_options newer = {.vfs = "simfs", .page_sums = true};
    if (!device_alive(d)) {
        return false;
    }
    crash_vfs_copy(s->vfs, d->machine, "newer");
    bool made = sql_open("newer/replica.db", &newer, &raw, NULL) == FB_OK &&
                sql_exec(raw, "PRAGMA user_version = 9999") == FB_OK;
    sql_close(raw);
    o.port = &d->port;
    o.vfs = "simfs";
    o.files = &s->files;
    fb_code rc = made ? fb_db_open("newer/replica.db", &o, &db, &err) : FB_E_NEWER;
    fb_db_close(db);
    crash_vfs_remove(s->vfs, "newer");
    if (rc != FB_E_NEWER) {
        sim_violation(s, "C10: a replica of a newer version is not refused: %s", fb_code_name(rc));
    }
    return made;
}

/* 1970, 2038, 2106, and shorter ways off. */
bool fault_clock_jump(sim *s, sim_device *d)
{
    static const int64_t YEARS[] = {-55, -20, -1, 12, 13, 80};
    int64_t to = 0;
    switch (sim_random(s, 4)) {
    case 0:
        to = YEARS[sim_random(s, 6)] * 365 * DAY_MS;
        break;
    case 1:
        to = ((int64_t)sim_random(s, 800) - 400) * DAY_MS;
        break;
    case 2:
        to = ((int64_t)sim_random(s, 7200) - 3600) * 1000;
        break;
    default:
        to = 0;
        break; /* somebody sets it right */
    }
    d->clock_skew_ms = to;
    sim_trace(s, "%s clock off by %lld ms", d->machine, (long long)to);
    return true;
}

/* Nobody works for weeks: messages on their way, copies and tokens grow old. */
bool fault_holiday(sim *s, sim_device *d)
{
    (void)d;
    s->now_ms += (1 + (int64_t)sim_random(s, 40)) * DAY_MS;
    return true;
}

/* Two phones that draw the same numbers. */
bool fault_same_random(sim *s, sim_device *d)
{
    sim_device *other = &s->devices[sim_random(s, (uint64_t)s->devices_count)];
    d->random = other->random;
    return other != d;
}

/* ---- the server ---- */

bool fault_crash_server(sim *s, sim_device *d)
{
    (void)d;
    crash_vfs_crash_after(s->vfs, "server", 1 + sim_random(s, 80));
    return server_alive(s);
}

bool fault_killed_server(sim *s, sim_device *d)
{
    (void)d;
    if (!server_alive(s)) {
        return false;
    }
    crash_vfs_kill(s->vfs, "server");
    server_down(s);
    if (s->recorder != NULL) {
        history_crash(s->recorder, -1);
    }
    s->server_dark_until_ms = s->now_ms + (int64_t)sim_random(s, 10 * MINUTE_MS);
    return true;
}

bool fault_disk_full_server(sim *s, sim_device *d)
{
    (void)d;
    return full(s, "server", &s->server_full_until_ms);
}

bool fault_sync_error_server(sim *s, sim_device *d)
{
    (void)d;
    crash_vfs_fail_sync(s->vfs, "server", 1 + sim_random(s, 10));
    return true;
}

/* The disk fails just when the groups of the next message are to be kept: the answer must not speak
 * of what is not there. */
bool fault_commit_failed_server(sim *s, sim_device *d)
{
    (void)d;
    s->commit_fails = true;
    return false; /* counted when a sync fails */
}

bool fault_read_error_server(sim *s, sim_device *d)
{
    (void)d;
    crash_vfs_fail(s->vfs, "server", 1 + sim_random(s, 60), SQLITE_IOERR_READ, false);
    return true;
}

bool fault_no_memory_server(sim *s, sim_device *d)
{
    (void)d;
    s->server_heap_in = 1 + sim_random(s, sim_chance(s, 50) ? 60 : 3000);
    return false;
}

/* A manager's report keeps its snapshot for hours: the WAL cannot be taken over meanwhile. */
bool fault_long_reader(sim *s, sim_device *d)
{
    (void)d;
    if (!server_alive(s) || s->slow != NULL) {
        return false;
    }
    s->slow = world_store_open("server/master.db");
    if (s->slow == NULL || store_snapshot(s->slow) != FB_OK) {
        store_close(s->slow);
        s->slow = NULL;
        return false;
    }
    s->slow_until_ms = s->now_ms + (int64_t)sim_random(s, 300 * MINUTE_MS);
    return true;
}

/* The server makes row packs, or a part of one. Of some devices the download is lost then: they
 * introduce themselves again, and what they are sent from nothing comes as packs. */
bool fault_packs(sim *s, sim_device *d)
{
    bool more = server_alive(s);
    for (uint64_t left = 1 + sim_random(s, 60); left > 0 && more; left--) {
        more = server_build(s->srv, (uint64_t)s->now_ms);
    }
    d->must_enrol |= sim_chance(s, 30) && device_alive(d) && !d->blocked;
    return false; /* counted when a device takes a chunk */
}

/* The server dies three times over this device's groups. */
bool fault_poison(sim *s, sim_device *d)
{
    s->poison = 3;
    s->poison_device = d->number;
    return false; /* counted when it dies */
}
