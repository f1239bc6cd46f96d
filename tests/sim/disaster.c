/* disaster.c - files that are put back, copied or torn, on phones and on the server. See sim.h.
 *
 * The oracle is told what each disaster may take. A phone that is put back loses what it saved
 * since: what the server does not hold is gone for good (doubt), of the rest the server has the
 * only copy (server_only). A server that is put back loses of those what its backup did not hold;
 * everything that a device still has must come again. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/ledger/ledger.h"

static bool on_server(sqlite3 *master, const sim_action *a)
{
    char sql[200];
    if (a->column == NULL) {
        return true;
    }
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE %s = ?1", a->entity, a->column);
    return number(master, sql, a->marker) > 0;
}

/* ---- phones ---- */

static const char *backup_name(const sim_device *d)
{
    static const char *const NAMES[SIM_DEVICES_MAX] = {"bak0", "bak1", "bak2", "bak3",
                                                       "bak4", "bak5", "bak6", "bak7"};
    return NAMES[d->number];
}

static void phone_backup(sim *s, sim_device *d, bool torn)
{
    char file[40];
    crash_vfs_copy(s->vfs, d->machine, backup_name(d));
    if (torn) { /* the database without what its WAL held */
        snprintf(file, sizeof file, "%s/replica.db-wal", backup_name(d));
        crash_vfs_put(s->vfs, file, NULL, 0);
    }
    d->has_backup = true;
    d->backup_torn = torn;
    d->backup_actions = s->actions_count;
    sim_trace(s, "%s is backed up%s", d->machine, torn ? ", torn" : "");
}

/* A torn copy is as old as its last checkpoint: everything of this device is in question. */
static void phone_losses(sim *s, sim_device *d, sqlite3 *master)
{
    for (int i = d->backup_torn ? 0 : d->backup_actions; i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        if (a->device == d->number) {
            a->server_only = true;
            a->doubt |= !on_server(master, a);
        }
    }
}

static void phone_put_back(sim *s, sim_device *d)
{
    sqlite3 *master = open_file(s, "server/master.db");
    if (master == NULL) {
        return;
    }
    phone_losses(s, d, master);
    sqlite3_close(master);
    s->fired[d->backup_torn ? FAULT_PHONE_TORN : FAULT_PHONE_RESTORED]++;
    sim_trace(s, "%s is put back%s", d->machine, d->backup_torn ? ", torn" : "");
    device_down(d);
    crash_vfs_remove(s->vfs, d->machine);
    crash_vfs_copy(s->vfs, backup_name(d), d->machine);
    device_boot(d);
}

static void phone_clone(sim *s, sim_device *d)
{
    sim_device *twin = device_new(s, d->number);
    if (twin == NULL) {
        return;
    }
    s->fired[FAULT_PHONE_CLONED]++;
    sim_trace(s, "%s is a clone of %s", twin->machine, d->machine);
    crash_vfs_copy(s->vfs, d->machine, twin->machine);
    device_boot(twin);
}

static void phone_step(sim *s)
{
    sim_device *d = &s->devices[sim_random(s, (uint64_t)s->devices_count)];
    bool restores = s->faults[FAULT_PHONE_RESTORED], tears = s->faults[FAULT_PHONE_TORN];
    if (!device_alive(d) || d->must_enrol || !server_alive(s)) {
        return;
    }
    if ((restores || tears) && sim_chance(s, 4)) {
        phone_backup(s, d, tears && (!restores || sim_chance(s, 50)));
    } else if (d->has_backup &&
               s->faults[d->backup_torn ? FAULT_PHONE_TORN : FAULT_PHONE_RESTORED] &&
               sim_chance(s, 2)) {
        phone_put_back(s, d);
    } else if (s->faults[FAULT_PHONE_CLONED] && sim_random(s, 200) == 0) {
        phone_clone(s, d);
    }
}

static void enrol_step(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        fb_identity who = {.size_bytes = sizeof who};
        if (device_alive(d) && fb_db_identity(d->db, &who, NULL) == FB_OK && !who.enrolled) {
            d->must_enrol = true; /* what was put back is older than its enrolment */
        }
        /* The enrolment itself is not what is tested: no power is lost in it. */
        if (d->must_enrol && device_alive(d) && server_alive(s) && !server_is_suspect(s->srv)) {
            crash_vfs_crash_after(s->vfs, d->machine, 0);
            crash_vfs_crash_after(s->vfs, "server", 0);
            crash_vfs_quota(s->vfs, d->machine, 0);
            crash_vfs_quota(s->vfs, "server", 0);
            crash_vfs_fail_sync(s->vfs, d->machine, 0);
            if (device_enrol_again(d)) {
                sim_trace(s, "%s is enrolled again", d->machine);
                d->must_enrol = false;
            }
        }
    }
}

/* ---- the server ---- */

/* What fieldbook-admin backup does: copy, check the copy, and only then say so. */
static void server_backup(sim *s)
{
    store *copy = NULL, *db = NULL;
    fb_error err = {0};
    int64_t head = 0, entries = 0, bad = 0;
    crash_vfs_copy(s->vfs, "server", "srvbak");
    store_options o = {.path = "srvbak/master.db", .vfs = "simfs"};
    fb_code rc = store_open(&o, &copy, &err);
    if (rc == FB_OK) {
        rc = store_check(copy, &err);
    }
    if (rc == FB_OK) {
        rc = audit_verify(copy, &entries, &bad);
    }
    if (rc == FB_OK && bad == 0) {
        rc = ledger_head(copy, &head);
    }
    store_close(copy);
    if (rc != FB_OK || bad != 0) {
        sim_violation(s, "a copy of a sound server is no backup: %s %s", fb_code_name(rc),
                      err.message);
        return;
    }
    s->has_backup = true;
    db = world_store_open(s);
    if (db == NULL || store_begin(db) != FB_OK) {
        store_close(db);
        return;
    }
    rc = store_meta_int_set(db, "backed_up_cid", head);
    if (rc != FB_OK || store_commit(db) != FB_OK) {
        store_rollback(db);
    }
    store_close(db);
    sim_trace(s, "server is backed up to commit %lld", (long long)head);
}

static void server_losses(sim *s)
{
    sqlite3 *copy = open_file(s, "srvbak/master.db");
    for (int i = 0; copy != NULL && i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        a->doubt |= a->server_only && !on_server(copy, a);
    }
    sqlite3_close(copy);
}

typedef struct file_copy {
    const char *name;
    void *data;
    size_t size;
    bool found;
} file_copy;

static void file_take(void *ctx, const char *file, const void *data, size_t size)
{
    file_copy *f = ctx;
    if (strcmp(file, f->name) != 0) {
        return;
    }
    f->data = malloc(size + 1);
    if (f->data != NULL && size > 0) {
        memcpy(f->data, data, size);
    }
    f->size = size;
    f->found = true;
}

/* The database's files alone: the mark beside them stays. */
static void server_files_back(sim *s, bool mark_stays)
{
    file_copy mark = {.name = "server/master.db.high-water"};
    if (mark_stays) {
        crash_vfs_each(s->vfs, file_take, &mark);
    }
    crash_vfs_remove(s->vfs, "server");
    crash_vfs_copy(s->vfs, "srvbak", "server");
    if (mark.found) {
        crash_vfs_put(s->vfs, mark.name, mark.data, mark.size);
    }
    free(mark.data);
}

static void epoch_new(sim *s)
{
    fb_error err = {0};
    int64_t head = 0;
    server_epoch_options o = {.path = "server/master.db", .vfs = "simfs", .port = &s->server_port};
    fb_code rc = server_epoch_new(&o, &head, &err);
    if (rc != FB_OK) {
        sim_violation(s, "the restore fails: %s %s", fb_code_name(rc), err.message);
    }
    sim_trace(s, "server begins a new epoch at commit %lld", (long long)head);
}

/* fieldbook-admin restore: the copy back, a new epoch; then the catalogue's newest modules again.
 */
static void server_restore(sim *s)
{
    s->fired[FAULT_SERVER_RESTORED]++;
    server_losses(s);
    server_down(s);
    server_files_back(s, false);
    epoch_new(s);
    office_grow(s);
    server_boot(s);
}

static int64_t server_head_of(sim *s, const char *path)
{
    sqlite3 *db = open_file(s, path);
    int64_t head = db != NULL ? number(db, "SELECT max(cid) FROM fs_commit", NULL) : 0;
    sqlite3_close(db);
    return head;
}

/* T7: somebody copies the old file back and tells nobody. The server must notice and take nothing.
 */
static void server_put_back(sim *s)
{
    int64_t now = server_head_of(s, "server/master.db"),
            then = server_head_of(s, "srvbak/master.db");
    s->fired[FAULT_SERVER_PUT_BACK]++;
    server_losses(s);
    server_down(s); /* a clean end: the mark is at the last commit */
    server_files_back(s, true);
    sim_trace(s, "server's database is put back by hand from %lld to %lld", (long long)now,
              (long long)then);
    server_boot(s);
    s->server_suspect = s->srv != NULL && server_is_suspect(s->srv);
    if (s->srv != NULL && now != then && !s->server_suspect) {
        sim_violation(s, "T7: the server does not notice that its database was put back");
    }
}

static void server_confirm(sim *s)
{
    s->server_suspect = false;
    server_down(s);
    epoch_new(s);
    office_grow(s);
    server_boot(s);
}

static bool server_is_quiet(sim *s)
{
    return server_alive(s) && !s->faults[FAULT_CRASH_SERVER] && !s->faults[FAULT_DISK_FULL_SERVER];
}

static void server_step(sim *s)
{
    if (!server_is_quiet(s)) {
        return;
    }
    if (s->server_suspect) {
        if (sim_chance(s, 5)) {
            server_confirm(s);
        }
    } else if (sim_fault_draw(s, FAULT_SERVER_BACKUP, 3)) {
        server_backup(s);
    } else if (s->has_backup && s->faults[FAULT_SERVER_RESTORED] && sim_chance(s, 1)) {
        server_restore(s);
    } else if (s->has_backup && s->faults[FAULT_SERVER_PUT_BACK] && sim_chance(s, 1)) {
        server_put_back(s);
    }
}

void disaster_step(sim *s)
{
    enrol_step(s);
    phone_step(s);
    server_step(s);
}

void disaster_heal(sim *s)
{
    if (s->server_suspect) {
        server_confirm(s);
    }
    enrol_step(s);
}
