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

#define SERVER "server/master.db"

static bool is_on(const uint8_t *marks, const sim_action *a)
{
    return a->column == NULL || marks[a->mark] > 0;
}

/* ---- phones ---- */

static const char *backup_name(const sim_device *d)
{
    static const char *const NAMES[SIM_DEVICES_MAX] = {"bak0",  "bak1",  "bak2",  "bak3", "bak4",
                                                       "bak5",  "bak6",  "bak7",  "bak8", "bak9",
                                                       "bak10", "bak11", "bak12", "bak13"};
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
    photos_device_lost(s, d->number, d->backup_torn ? 0 : d->backup_actions);
    uint8_t *marks = marks_count(s, master);
    for (int i = d->backup_torn ? 0 : d->backup_actions; i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        if (a->device == d->number) {
            a->server_only = true;
            a->doubt |= !is_on(marks, a);
        }
    }
    free(marks);
}

static void phone_put_back(sim *s, sim_device *d)
{
    sqlite3 *master = open_file(s, "server/master.db");
    if (master == NULL) {
        return;
    }
    phone_losses(s, d, master);
    sqlite3_close(master);
    sim_trace(s, "%s is put back%s", d->machine, d->backup_torn ? ", torn" : "");
    device_down(d);
    d->torn_back |= d->backup_torn;
    numbers_leave(d);
    d->follows = FOLLOWS_NOBODY; /* its copy may not know the second server */
    crash_vfs_remove(s->vfs, d->machine);
    crash_vfs_copy(s->vfs, backup_name(d), d->machine);
    numbers_copied(d, false);
    device_boot(d);
}

/* A copy is taken when phone and server are well: what a copy loses must be known. */
static bool phone_is_quiet(sim *s, const sim_device *d)
{
    return device_alive(d) && !d->must_enrol && server_alive(s);
}

bool disaster_phone_backup(sim *s, sim_device *d)
{
    bool restores = s->plan->enabled[KIND_PHONE_RESTORED],
         tears = s->plan->enabled[KIND_PHONE_TORN];
    if (!phone_is_quiet(s, d)) {
        return false;
    }
    phone_backup(s, d, tears && (!restores || sim_chance(s, 50)));
    return true;
}

bool disaster_phone_restored(sim *s, sim_device *d)
{
    if (!phone_is_quiet(s, d) || !d->has_backup || d->backup_torn) {
        return false;
    }
    phone_put_back(s, d);
    return true;
}

bool disaster_phone_torn(sim *s, sim_device *d)
{
    if (!phone_is_quiet(s, d) || !d->has_backup || !d->backup_torn) {
        return false;
    }
    phone_put_back(s, d);
    return true;
}

bool disaster_phone_cloned(sim *s, sim_device *d)
{
    sim_device *twin = phone_is_quiet(s, d) ? device_new(s, d->number) : NULL;
    if (twin == NULL) {
        return false;
    }
    sim_trace(s, "%s is a clone of %s", twin->machine, d->machine);
    crash_vfs_copy(s->vfs, d->machine, twin->machine);
    numbers_copied(d, true);
    numbers_copied(twin, true);
    d->cloned = twin->cloned = true;
    twin->damaged = d->damaged; /* a page that nobody has touched is copied too */
    device_boot(twin);
    return true;
}

/* ---- the server ---- */

enum { HOLD_MS = 6 * 3600 * 1000 };

/* What fieldbook-admin backup does: copy, check the copy, and only then say so. */
static void server_backup(sim *s)
{
    store *copy = NULL, *db = NULL;
    fb_error err = {0};
    int64_t head = 0, entries = 0, bad = 0;
    if (s->has_backup) {
        crash_vfs_remove(s->vfs, "srvold");
        crash_vfs_copy(s->vfs, "srvbak", "srvold");
        s->has_older = true;
        s->older_ms = s->backup_ms;
    }
    crash_vfs_remove(s->vfs, "srvbak");
    crash_vfs_copy(s->vfs, "server", "srvbak");
    crash_vfs_remove_under(s->vfs,
                           "srvbak/master.db.blobs"); /* photos have a folder of their own */
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
    s->backup_ms = s->now_ms;
    db = world_store_open("server/master.db");
    photos_backup(s, db);
    if (db == NULL || store_begin(db) != FB_OK) {
        store_close(db);
        return;
    }
    rc = store_backup_counts(db, head, s->now_ms, HOLD_MS);
    if (rc != FB_OK || store_commit(db) != FB_OK) {
        store_rollback(db);
    }
    store_close(db);
    sim_trace(s, "server is backed up to commit %lld", (long long)head);
}

static void server_losses(sim *s, const char *backup)
{
    sqlite3 *copy = open_file(s, backup);
    uint8_t *marks = copy != NULL ? marks_count(s, copy) : NULL;
    for (int i = 0; copy != NULL && i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        a->doubt |= a->server_only && !is_on(marks, a);
    }
    free(marks);
    sqlite3_close(copy);
    photos_server_lost(s);
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

/* The database's files alone: the mark beside them stays, and the photos. */
static void server_files_back(sim *s, const char *backup, bool mark_stays)
{
    file_copy mark = {.name = "server/master.db.high-water"};
    if (mark_stays) {
        crash_vfs_each(s->vfs, file_take, &mark);
    }
    photos_aside(s);
    crash_vfs_remove(s->vfs, "server");
    crash_vfs_copy(s->vfs, backup, "server");
    photos_aside_back(s);
    if (mark.found) {
        crash_vfs_put(s->vfs, mark.name, mark.data, mark.size);
    }
    free(mark.data);
    erase_list_back(s);
}

void epoch_new(sim *s, const char *path)
{
    fb_error err = {0};
    int64_t head = 0;
    server_epoch_options o = {.path = path, .vfs = "simfs", .port = &s->server_port};
    fb_code rc = server_epoch_new(&o, &head, &err);
    if (rc != FB_OK) {
        sim_violation(s, "the restore fails: %s %s", fb_code_name(rc), err.message);
    }
    for (int i = 0; i < s->devices_count && strcmp(path, SERVER) == 0; i++) {
        s->devices[i].follows = FOLLOWS_NOBODY;
    }
    sim_trace(s, "%s begins a new epoch at commit %lld", path, (long long)head);
}

/* fieldbook-admin restore: the copy back, a new epoch; then the catalogue's newest modules again.
 */
static void server_restore(sim *s)
{
    server_losses(s, "srvbak/master.db");
    record_server(s);
    server_down(s);
    if (s->recorder != NULL) {
        history_crash(s->recorder, -1);
    }
    if (sim_chance(s, 50)) { /* the whole disk is a new one */
        crash_vfs_remove_under(s->vfs, "server/master.db.blobs");
    }
    server_files_back(s, "srvbak", false);
    epoch_new(s, SERVER);
    record_server(s); /* before the next commit */
    photos_put_back(s);
    server_boot(s);
    office_grow(s);
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
    server_losses(s, "srvbak/master.db");
    server_down(s); /* a clean end: the mark is at the last commit */
    server_files_back(s, "srvbak", true);
    sim_trace(s, "server's database is put back by hand from %lld to %lld", (long long)now,
              (long long)then);
    server_boot(s);
    s->server_suspect = s->srv != NULL && server_is_suspect(s->srv);
    if (s->srv != NULL && now != then && !s->server_suspect) {
        sim_violation(s, "T7: the server does not notice that its database was put back");
    }
}

void server_confirm(sim *s)
{
    s->server_suspect = false;
    server_down(s);
    epoch_new(s, SERVER);
    server_boot(s);
    office_grow(s);
}

bool disaster_server_backup(sim *s, sim_device *d)
{
    (void)d;
    if (!server_sound(s)) {
        return false;
    }
    server_backup(s);
    return true;
}

bool disaster_server_restored(sim *s, sim_device *d)
{
    (void)d;
    if (!server_sound(s) || !s->has_backup) {
        return false;
    }
    server_restore(s);
    return true;
}

/* The newest backup cannot be read, or an earlier moment is wanted: the one before it. While it is
 * no older than HOLD_MS the devices have all that it lacks (BAK-2). */
bool disaster_server_older(sim *s, sim_device *d)
{
    (void)d;
    if (!server_sound(s) || !s->has_older || s->now_ms - s->older_ms > HOLD_MS) {
        return false;
    }
    crash_vfs_remove(s->vfs, "srvbak");
    crash_vfs_copy(s->vfs, "srvold", "srvbak");
    s->has_older = false;
    s->backup_ms = s->older_ms;
    server_restore(s);
    return true;
}

/* The next of these is the operator who looks at what happened. */
bool disaster_server_put_back(sim *s, sim_device *d)
{
    (void)d;
    if (s->server_suspect) {
        server_confirm(s);
        return false;
    }
    if (!server_sound(s) || !s->has_backup) {
        return false;
    }
    server_put_back(s);
    return true;
}

/* T8: no backup at all. The company's data is put in again; no device is known, and everything they
 * made must come from them. Where a backup exists, devices may have let go of what it holds. */
bool disaster_server_emptied(sim *s, sim_device *d)
{
    (void)d;
    if (!server_sound(s) || s->has_backup || s->plan->enabled[KIND_SERVER_BACKUP]) {
        return false;
    }
    crash_vfs_remove_under(s->vfs, "server/master.db.blobs");
    server_losses(s, "bare/master.db");
    s->emptied = true;
    server_down(s);
    server_files_back(s, "bare", false);
    epoch_new(s, SERVER);
    server_boot(s);
    office_grow(s);
    return true;
}

void disaster_heal(sim *s)
{
    if (s->server_suspect) {
        server_confirm(s);
    }
}
