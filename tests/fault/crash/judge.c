/* judge.c - see crash.h: one state, judged by the product. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/crash/crash.h"
#include "sync-server/ledger/ledger.h"

#define JUDGE_VFS "judgefs"
enum { DEVICES = 2 };
static const char MASTER[] = "server/master.db";

typedef struct court {
    fleet f;
    judge_state *j;
} court;

static bool no(judge_state *j, const char *what, fb_code rc, const fb_error *err)
{
    snprintf(j->why, sizeof j->why, "%s: %s %s %s", what, fb_code_name(rc), err->field,
             err->message);
    return false;
}

static bool no_number(judge_state *j, const char *what, int64_t value)
{
    snprintf(j->why, sizeof j->why, "%s: %lld", what, (long long)value);
    return false;
}

/* --- the world of the image ----------------------------------------------------------------------
 */

static fb_code noise(uint64_t *state, void *out, size_t size)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        *state = mix(*state, i);
        bytes[i] = (unsigned char)*state;
    }
    return FB_OK;
}

static uint64_t server_mono(void *ctx)
{
    return (uint64_t)((fleet *)ctx)->now_ms;
}

static int64_t server_wall(void *ctx)
{
    return ((fleet *)ctx)->now_ms;
}

static fb_code server_random(void *ctx, void *out, size_t size)
{
    return noise(&((fleet *)ctx)->random, out, size);
}

static uint64_t device_mono(void *ctx)
{
    return (uint64_t)((fleet_device *)ctx)->world->now_ms;
}

static int64_t device_wall(void *ctx)
{
    return ((fleet_device *)ctx)->world->now_ms;
}

static fb_code device_random(void *ctx, void *out, size_t size)
{
    return noise(&((fleet_device *)ctx)->random, out, size);
}

/* The folder of backups is a real one: folder_sound. */
static void files_put(fleet *f, const disk *image)
{
    static const char FOLDER[] = FOLDER_NAME;
    for (int i = 0; i < image->tape->files_count; i++) {
        if (image->files[i].exists &&
            strncmp(image->tape->files[i].name, FOLDER, sizeof FOLDER - 1) != 0) {
            const tape_file *t = &image->tape->files[i];
            const disk_file *d = &image->files[i];
            if (t->plain) {
                mem_files_put(f->files, t->name, d->data, d->size);
            } else {
                crash_vfs_put(f->vfs, t->name, d->data, d->size);
            }
        }
    }
}

static void device_place(fleet *f, int i)
{
    fleet_device *d = &f->devices[f->devices_count++];
    *d = (fleet_device){.world = f, .random = mix(f->random, (uint64_t)i)};
    snprintf(d->path, sizeof d->path, "dev%d/replica.db", i + 1);
    d->port = (fb_port){d, device_mono, device_wall, device_random, NULL};
}

static void court_open(court *c, judge_state *j)
{
    fleet *f = &c->f;
    c->j = j;
    *f = (fleet){.now_ms = j->now_ms + 1000, .random = mix((uint64_t)j->now_ms, 0xc0de)};
    f->vfs = crash_vfs_new(JUDGE_VFS, 5);
    f->files = mem_files_new(5);
    f->port = (fb_port){f, server_mono, server_wall, server_random, NULL};
    for (int i = 0; i < DEVICES; i++) {
        device_place(f, i);
    }
    folder_vfs(JUDGE_VFS);
    files_put(f, j->image);
}

static void court_close(court *c)
{
    fleet *f = &c->f;
    for (int i = 0; i < f->devices_count; i++) {
        fb_db_close(f->devices[i].db);
    }
    server_job_free(f->job);
    server_reader_close(f->reader);
    server_close(f->srv);
    store_close(f->admin);
    crash_vfs_free(f->vfs);
    mem_files_free(f->files);
}

static bool server_up(court *c)
{
    fb_error err = {0};
    server_options o = {.path = MASTER,
                        .vfs = JUDGE_VFS,
                        .port = &c->f.port,
                        .packing = WORK_PACKING,
                        .files = mem_files_port(c->f.files)};
    fb_code rc = server_open(&o, &c->f.srv, &err);
    if (rc == FB_OK) {
        rc = server_reader_open(c->f.srv, &c->f.reader, &err);
    }
    return rc == FB_OK || no(c->j, "the server does not open", rc, &err);
}

static bool device_up(court *c, fleet_device *d)
{
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &d->port;
    o.vfs = JUDGE_VFS;
    o.files = mem_files_port(c->f.files);
    fb_code rc = fb_db_open(d->path, &o, &d->db, &err);
    if (rc != FB_OK) {
        return no(c->j, "the replica does not open", rc, &err);
    }
    rc = fb_db_check(d->db, &err);
    return rc == FB_OK || no(c->j, "the replica's check", rc, &err);
}

/* By SQL of our own. */
static int64_t number(const char *path, const char *sql)
{
    return judge_number(JUDGE_VFS, path, sql);
}

static bool user_find(fb_id *out)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    bool found = sqlite3_open_v2(MASTER, &db, SQLITE_OPEN_READWRITE, JUDGE_VFS) == SQLITE_OK &&
                 sqlite3_prepare_v2(db, "SELECT id FROM app_user WHERE code = 'U1'", -1, &s,
                                    NULL) == SQLITE_OK &&
                 sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == sizeof out->b;
    if (found) {
        memcpy(out->b, sqlite3_column_blob(s, 0), sizeof out->b);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return found;
}

/* --- the server
 * ------------------------------------------------------------------------------------ */

/* As it is now: not as an earlier look left it. */
static bool master_reopen(court *c)
{
    fb_error err = {0};
    store_close(c->f.admin);
    c->f.admin = NULL;
    fb_code rc = store_open(&(store_options){.path = MASTER, .vfs = JUDGE_VFS}, &c->f.admin, &err);
    return rc == FB_OK || no(c->j, "the server's database", rc, &err);
}

static bool ledger_sound(court *c)
{
    fb_error err = {0};
    int64_t entries = 0, bad = 0;
    fb_code rc = store_check(c->f.admin, &err);
    if (rc != FB_OK) {
        return no(c->j, "the server's check", rc, &err);
    }
    rc = audit_verify(c->f.admin, &entries, &bad);
    if (rc != FB_OK || bad != 0) {
        return no(c->j, "the audit chain", rc != FB_OK ? rc : FB_E_CORRUPT, &err);
    }
    int64_t wrong = number(
        MASTER,
        "SELECT count(*) FROM (SELECT incarnation, sum(upto - gseq + 1) AS n, max(upto) AS m "
        "FROM fs_verdict GROUP BY incarnation HAVING n <> m)");
    if (wrong != 0) {
        return no_number(c->j, "incarnations with a gap or a repeat in their verdicts", wrong);
    }
    wrong = number(MASTER, "SELECT count(*) FROM fs_incarnation i WHERE applied <> "
                           "coalesce((SELECT max(upto) FROM fs_verdict v "
                           "WHERE v.incarnation = i.no), 0)");
    if (wrong != 0) {
        return no_number(c->j, "incarnations whose `applied` is not their last verdict", wrong);
    }
    wrong = number(MASTER, "SELECT max(cid) - count(*) FROM fs_commit");
    return wrong == 0 || no_number(c->j, "missing numbers of commits", wrong);
}

static int64_t meta_number(const char *key)
{
    char sql[120];
    snprintf(sql, sizeof sql,
             "SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM fs_meta WHERE key = '%s'", key);
    return number(MASTER, sql);
}

/* The newest backup into one file that counts; *head_out: where it ends, 0: there is none. */
static bool copy_sound(court *c, int64_t *head_out)
{
    char path[40];
    fb_error err = {0};
    store *copy = NULL;
    int64_t last = meta_number("test_backup");
    *head_out = 0;
    if (last <= 0) {
        return true;
    }
    snprintf(path, sizeof path, "server/backup%lld.db", (long long)last);
    fb_code rc = store_open(&(store_options){.path = path, .vfs = JUDGE_VFS, .read_only = true},
                            &copy, &err);
    if (rc == FB_OK) {
        rc = store_check(copy, &err);
    }
    if (rc == FB_OK) {
        rc = ledger_head(copy, head_out);
    }
    bool photos = rc != FB_OK || lane_backup_sound(&c->f, copy, c->j->why);
    store_close(copy);
    return rc == FB_OK ? photos : no(c->j, "the backup that was told", rc, &err);
}

/* What devices were told is backed up must be in a sound backup. */
static bool backup_sound(court *c)
{
    int64_t head = 0, told = meta_number("backed_up_cid");
    if (!copy_sound(c, &head)) {
        return false;
    }
    const folder_wanted w = {c->j->moment, head >= told ? 0 : told, c->j->fresh};
    return folder_sound(&c->f, c->j->image, &w, c->j->why);
}

/* --- devices
 * ------------------------------------------------------------------------------------------ */

static bool groups_promised(court *c)
{
    judge_state *j = c->j;
    if (j->last_least < 0) {
        return true;
    }
    int64_t last = judge_last_group(JUDGE_VFS, c->f.devices[0].path);
    return (last >= j->last_least && last <= j->last_most) ||
           no_number(j, "the newest group is not the promised one", last);
}

/* A new phone takes what the packs hold, and has what the server says: its digests tell. */
static bool packs_sound(court *c)
{
    fb_error err = {0};
    fb_id user = {{0}};
    fleet_device *d = &c->f.devices[DEVICES];
    device_place(&c->f, DEVICES);
    if (!user_find(&user)) {
        return true; /* the company is not complete yet */
    }
    if (!device_up(c, d)) {
        return false;
    }
    fb_code rc = fleet_enrol_again(d, &user, &err);
    if (rc == FB_OK) {
        rc = fleet_try_sync(d, &err);
    }
    if (rc != FB_OK || !d->report.complete) {
        return no(c->j, "a first download after the crash", rc, &err);
    }
    if (d->report.packs_dropped + d->report.digest_faults_count > 0) {
        return no_number(c->j, "packs that were not what the server had signed",
                         d->report.packs_dropped);
    }
    rc = fb_db_check(d->db, &err);
    return rc == FB_OK || no(c->j, "the check of a new replica", rc, &err);
}

/* Indexes that are built after the rows are there, whatever was cut. */
static bool indexes_stand(court *c, const fleet_device *d)
{
    int64_t n = judge_indexes(JUDGE_VFS, d->path);
    return c->j->indexes == 0 || n == c->j->indexes || no_number(c->j, "indexes of the replica", n);
}

static bool is_enrolled(fleet_device *d)
{
    fb_identity me = {.size_bytes = sizeof me};
    return fb_db_identity(d->db, &me, NULL) == FB_OK && me.enrolled;
}

static bool heals(court *c, fleet_device *d)
{
    fb_error err = {0};
    fb_status st = FB_STATUS_INIT;
    if (!is_enrolled(d)) {
        return true; /* the power went during enrolment: the person types the code again */
    }
    c->f.now_ms += 3600000;
    fb_code rc = fleet_try_sync(d, &err);
    if (rc != FB_OK || !d->report.complete) {
        return no(c->j, "the sync after the crash", rc, &err);
    }
    if (d->report.rebirths_count != 0) {
        return no_number(c->j, "a server that lost nothing sees a fork: rebirths",
                         d->report.rebirths_count);
    }
    rc = fb_status_get(d->db, &st, &err);
    if (rc != FB_OK || st.pending_count != 0) {
        return no_number(c->j, "groups still unanswered after the sync", st.pending_count);
    }
    if (!lane_heals(d, c->j->why)) {
        return false;
    }
    rc = fb_db_check(d->db, &err);
    return rc == FB_OK || no(c->j, "the replica's check after the sync", rc, &err);
}

static bool devices_heal(court *c, int count)
{
    for (int i = 0; i < count; i++) {
        fleet_device *d = &c->f.devices[i];
        int file = disk_find(c->j->image, d->path);
        if (file < 0 || !c->j->image->files[file].exists) {
            continue; /* not made yet */
        }
        if (!device_up(c, d) || !indexes_stand(c, d) || (i == 0 && !groups_promised(c)) ||
            !lane_whole(d, false, c->j->why) || !heals(c, d) || !indexes_stand(c, d)) {
            return false;
        }
    }
    return true;
}

bool judge(judge_state *j)
{
    court *c = calloc(1, sizeof *c);
    if (c == NULL) {
        abort();
    }
    court_open(c, j);
    bool of_server = j->target == JUDGE_SERVER;
    bool good = server_up(c) && (!of_server || (master_reopen(c) && ledger_sound(c))) &&
                devices_heal(c, DEVICES) && master_reopen(c) &&
                lane_arrived(&c->f, c->f.admin, j->why) &&
                (!of_server || (packs_sound(c) && ledger_sound(c) && backup_sound(c)));
    court_close(c);
    free(c);
    return good;
}

bool judge_recover(judge_state *j, tape *t)
{
    court *c = calloc(1, sizeof *c);
    if (c == NULL) {
        abort();
    }
    court_open(c, j);
    tape_start(t, c->f.vfs, c->f.files);
    bool good = server_up(c) && devices_heal(c, 1);
    court_close(c); /* closing writes too: it belongs to the tape */
    t->vfs = NULL;
    free(c);
    return good;
}
