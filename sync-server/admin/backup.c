/* backup.c - backup FILE | DIR, list, verify, drill. See admin.h; a folder of backups is shelf.h.
 *
 * A backup is a consistent copy made page by page while the server goes on; it is checked before it
 * counts. Devices keep what they sent until a backup of days ago holds it.
 *
 *   BAK-1  only a backup that was read back and is good counts
 *   BAK-2  devices let go of what a backup of days ago holds: store_backup_counts */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "sync-server/admin/shelf.h"

enum { HOLD_DAYS = 7, HOLD_DAYS_MAX = 90, HOLD_DAYS_UNSAID = -1 };
static const int64_t DAY_MS = 86400000;

static void backup_progress(void *ctx, int done, int total)
{
    const admin *a = ctx;
    if (!a->json && total > 0) {
        fprintf(stderr, a->chinese ? "\r备份 %d %%" : "\rbackup %d %%",
                (int)(100LL * done / total));
    }
}

static fb_code record_write(admin *a, int64_t head, const char *hash_hex, int64_t hold_ms)
{
    char detail[160];
    int64_t now_ms = a->port->wall_ms(a->port->ctx);
    snprintf(detail, sizeof detail, "{\"commit\":\"%lld\",\"sha256\":\"%s\"}", (long long)head,
             hash_hex);
    FB_TRY(store_backup_counts(a->db, head, now_ms, hold_ms));
    FB_TRY(store_meta_int_set(a->db, "backed_up_ms", now_ms));
    return audit_put(a->db, now_ms, text_of("admin"), text_of("backup"), (fb_text){NULL, 0}, NULL,
                     text_of(detail));
}

static fb_code backup_record(admin *a, int64_t head, const char *hash_hex, int64_t hold_ms)
{
    FB_TRY(store_begin(a->db));
    fb_code rc = record_write(a, head, hash_hex, hold_ms);
    if (rc != FB_OK) {
        store_rollback(a->db);
        return rc;
    }
    return store_commit(a->db);
}

/* Needs the company only here: a backup can be checked where there is none. */
static fb_code company_open(admin *a, fb_error *err)
{
    char path[SHELF_PATH_BYTES];
    snprintf(path, sizeof path, "%s/master.db", a->home);
    return store_open(&(store_options){.path = path}, &a->db, err);
}

static void company_close(admin *a)
{
    store_close(a->db);
    a->db = NULL;
}

static fb_code copy_make(admin *a, const char *path, fb_error *err)
{
    fb_code rc = store_backup(a->db, path, backup_progress, a, err);
    if (!a->json) {
        fputc('\n', stderr);
    }
    return rc;
}

/* ---- one file ---- */

static fb_code file_make(admin *a, const char *path, int64_t hold_ms, backup_facts *facts,
                         fb_error *err)
{
    FB_TRY(company_open(a, err));
    fb_code rc = copy_make(a, path, err);
    if (rc == FB_OK) {
        rc = backup_manifest_write(path, facts, err);
    }
    if (rc == FB_OK) {
        rc = backup_check(path, facts, err);
    }
    if (rc == FB_OK) {
        rc = blobs_backup(a, path, path, false, hold_ms, err);
    }
    if (rc == FB_OK) {
        rc = erased_backup(a, path, false, err);
    }
    if (rc == FB_OK) {
        rc = backup_record(a, facts->head, facts->sha256, hold_ms);
    }
    company_close(a);
    return rc;
}

static int file_run(admin *a, const char *path, int64_t hold_ms)
{
    backup_facts facts = {0};
    fb_error err = {0};
    struct stat st;
    if (stat(path, &st) == 0) {
        return admin_failed(a, fail(&err, FB_E_EXISTS, path, "the file exists: choose a new name"),
                            &err);
    }
    fb_code rc = file_make(a, path, hold_ms, &facts, &err);
    if (rc == FB_E_NOT_FOUND) {
        return admin_no_company(a);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_BACKUP_DONE, path, (long long)facts.bytes, (long long)facts.head,
              facts.sha256);
    if (a->json) {
        printf("{\"file\":\"%s\",\"bytes\":\"%lld\",\"commit\":\"%lld\",\"sha256\":\"%s\"}\n", path,
               (long long)facts.bytes, (long long)facts.head, facts.sha256);
    }
    return EXIT_DONE;
}

/* ---- a folder ---- */

typedef struct folder_run {
    admin *a;
    char folder[SHELF_PATH_BYTES], snapshot[SHELF_NAME_BYTES];
    int lock;
    bool full;
    int64_t keep; /* 0: nothing is removed */
    int64_t hold_ms;
    shelf_new made;
    backup_facts facts;
    uint32_t removed;
} folder_run;

static fb_code folder_lock(folder_run *f, fb_error *err)
{
    char path[SHELF_NAME_BYTES];
    if (mkdir(f->folder, 0700) != 0 && errno != EEXIST) {
        return fail(err, FB_E_IO, f->folder, "cannot be made: %s", strerror(errno));
    }
    snprintf(path, sizeof path, "%s/.lock", f->folder);
    snprintf(f->snapshot, sizeof f->snapshot, "%s/.snapshot", f->folder);
    f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->lock < 0) {
        return fail(err, FB_E_IO, path, "cannot be made: %s", strerror(errno));
    }
    return flock(f->lock, LOCK_EX | LOCK_NB) == 0
               ? FB_OK
               : fail(err, FB_E_LOCKED, f->folder, "another backup into this folder is running");
}

/* A copy that a run before left half made is no database to copy into. */
static void snapshot_remove(const folder_run *f)
{
    char journal[SHELF_NAME_BYTES + 8];
    snprintf(journal, sizeof journal, "%s-journal", f->snapshot);
    (void)unlink(f->snapshot);
    (void)unlink(journal);
}

static fb_code snapshot_make(folder_run *f, fb_error *err)
{
    snapshot_remove(f);
    FB_TRY(copy_make(f->a, f->snapshot, err));
    f->made.head.at_ms = f->a->port->wall_ms(f->a->port->ctx);
    FB_TRY(backup_content_check(f->snapshot, &f->facts, err));
    f->made.snapshot = f->snapshot;
    f->made.full = f->full;
    f->made.head.commit = f->facts.head;
    f->made.head.entries = f->facts.entries;
    f->made.head.epoch = f->facts.epoch;
    return FB_OK;
}

/* BAK-1: what was written is read back from the folder before it counts. */
static fb_code point_verify(folder_run *f, fb_error *err)
{
    shelf c;
    FB_TRY(shelf_open(f->a->files, f->folder, &c, err));
    const shelf_point *last = c.count > 0 ? &c.points[c.count - 1] : NULL;
    fb_code rc = last != NULL && last->number == f->made.head.number
                     ? shelf_image(&c, c.count - 1, NULL, NULL, err)
                     : fail(err, FB_E_CORRUPT, f->folder, "the new backup is not there");
    if (rc == FB_OK) {
        digest_text(&last->own, f->facts.sha256);
    }
    if (rc == FB_OK && f->keep > 0) {
        rc = shelf_prune(&c, f->keep, &f->removed, err);
    }
    shelf_close(&c);
    return rc;
}

static fb_code folder_add(folder_run *f, fb_error *err)
{
    shelf c;
    FB_TRY(folder_lock(f, err));
    FB_TRY(snapshot_make(f, err));
    FB_TRY(shelf_open(f->a->files, f->folder, &c, err));
    fb_code rc = shelf_add(&c, &f->made, err);
    shelf_close(&c);
    FB_TRY(rc);
    FB_TRY(point_verify(f, err));
    FB_TRY(blobs_backup(f->a, f->snapshot, f->folder, true, f->hold_ms, err));
    FB_TRY(erased_backup(f->a, f->folder, true, err));
    return backup_record(f->a, f->facts.head, f->facts.sha256, f->hold_ms);
}

static void folder_say(const folder_run *f)
{
    const shelf_head *h = &f->made.head;
    if (f->a->json) {
        printf("{\"number\":%lld,\"full\":%s,\"bytes\":\"%lld\",\"pages\":\"%lld\",\"stored\":\"%"
               "lld\","
               "\"commit\":\"%lld\",\"sha256\":\"%s\",\"removed\":%u}\n",
               (long long)h->number, h->full ? "true" : "false", (long long)f->made.bytes,
               (long long)h->pages, (long long)h->stored, (long long)h->commit, f->facts.sha256,
               f->removed);
    }
    if (f->made.why_full[0] != '\0') {
        admin_warn(f->a, TEXT_BACKUP_WHY_FULL, f->made.why_full);
    }
    admin_say(f->a, h->full ? TEXT_BACKUP_FULL : TEXT_BACKUP_INC, (long long)h->number,
              (long long)h->stored, (long long)h->pages, (long long)f->made.bytes,
              (long long)h->commit, f->facts.sha256);
    if (f->removed > 0) {
        admin_say(f->a, TEXT_BACKUP_PRUNED, f->removed);
    }
}

/* *asked: its lock, full, keep and hold_ms are set. */
static int folder_make(admin *a, const char *folder, const folder_run *asked)
{
    folder_run f = *asked;
    fb_error err = {0};
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') {
        size--;
    }
    snprintf(f.folder, sizeof f.folder, "%.*s", (int)size, folder);
    fb_code rc = company_open(a, &err);
    if (rc == FB_E_NOT_FOUND) {
        return admin_no_company(a);
    }
    if (rc == FB_OK) {
        rc = folder_add(&f, &err);
        if (f.lock >= 0 && rc != FB_E_LOCKED) {
            snapshot_remove(&f);
        }
    }
    if (f.lock >= 0) {
        close(f.lock);
    }
    company_close(a);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    folder_say(&f);
    return EXIT_DONE;
}

/* ---- looking at a folder ---- */

static void point_say(const admin *a, const shelf_point *p)
{
    char at[TIME_TEXT_BYTES];
    const char *state = !p->good ? p->why : p->judged ? "good" : "";
    if (p->records == NULL) {
        memcpy(at, "?", 2);
    } else {
        time_text(p->head.at_ms, at);
    }
    if (a->json) {
        printf("{\"number\":%lld,\"full\":%s,\"at\":\"%s\",\"commit\":\"%lld\",\"bytes\":\"%lld\","
               "\"checked\":%s,\"good\":%s,\"why\":\"%s\"}\n",
               (long long)p->number, p->full ? "true" : "false", at, (long long)p->head.commit,
               (long long)p->size, p->judged ? "true" : "false", p->good ? "true" : "false",
               p->why);
    }
    admin_say(a, p->full ? TEXT_BACKUP_LINE_FULL : TEXT_BACKUP_LINE_INC, (long long)p->number, at,
              (long long)p->head.commit, (long long)p->size, state);
}

static int folder_list(admin *a, const char *folder)
{
    shelf c;
    fb_error err = {0};
    fb_code rc = shelf_open(a->files, folder, &c, &err);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    for (uint32_t i = 0; i < c.count; i++) {
        point_say(a, &c.points[i]);
    }
    shelf_close(&c);
    return EXIT_DONE;
}

/* Every byte of every file, and the database of the newest moment of each chain. */
static fb_code folder_check(admin *a, shelf *c, fb_error *err)
{
    fb_code rc = FB_OK;
    shelf_judge(c, 0, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        bool ends = i + 1 == c->count || c->points[i + 1].full;
        fb_error mine = {0};
        fb_code one = ends || !c->points[i].good ? shelf_image(c, i, NULL, NULL, &mine) : FB_OK;
        if (one != FB_OK && rc == FB_OK) {
            rc = one;
            *err = mine;
        }
        point_say(a, &c->points[i]);
    }
    return rc == FB_OK && c->count == 0
               ? fail(err, FB_E_NOT_FOUND, c->folder, "no backup is in this folder")
               : rc;
}

static int folder_verify(admin *a, const char *folder)
{
    shelf c;
    fb_error err = {0};
    fb_code rc = shelf_open(a->files, folder, &c, &err);
    if (rc == FB_OK) {
        rc = folder_check(a, &c, &err);
        shelf_close(&c);
    }
    if (rc == FB_OK) {
        rc = blobs_folder_check(a, folder, &err);
    }
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, &err);
}

/* A restore of the newest moment into a file of its own, looked at and thrown away. */
static fb_code drill_run(admin *a, shelf *c, backup_facts *facts, fb_error *err)
{
    char path[SHELF_NAME_BYTES];
    snprintf(path, sizeof path, "%.4000s/.drill", c->folder);
    (void)unlink(path);
    if (c->count == 0) {
        return fail(err, FB_E_NOT_FOUND, c->folder, "no backup is in this folder");
    }
    FB_TRY(shelf_write_image(c, c->count - 1, path, err));
    fb_code rc = backup_content_check(path, facts, err);
    const shelf_head *h = &c->points[c->count - 1].head;
    if (rc == FB_OK && (facts->head != h->commit || facts->entries != h->entries)) {
        rc = fail(err, FB_E_CORRUPT, path, "it stands at commit %lld, its head says %lld",
                  (long long)facts->head, (long long)h->commit);
    }
    if (rc == FB_OK) {
        rc = blobs_verify(a, path, c->folder, true, err);
    }
    (void)unlink(path);
    return rc;
}

static int folder_drill(admin *a, const char *folder)
{
    shelf c;
    backup_facts facts = {0};
    fb_error err = {0};
    fb_code rc = shelf_open(a->files, folder, &c, &err);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    rc = drill_run(a, &c, &facts, &err);
    if (a->json) {
        printf("{\"ok\":%s,\"number\":%lld,\"commit\":\"%lld\",\"audit_entries\":\"%lld\"}\n",
               rc == FB_OK ? "true" : "false",
               c.count > 0 ? (long long)c.points[c.count - 1].number : 0LL, (long long)facts.head,
               (long long)facts.entries);
    }
    if (rc == FB_OK) {
        char at[TIME_TEXT_BYTES];
        time_text(c.points[c.count - 1].head.at_ms, at);
        admin_say(a, TEXT_BACKUP_DRILL, (long long)c.points[c.count - 1].number, at,
                  (long long)facts.head, (long long)facts.entries);
    }
    shelf_close(&c);
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, &err);
}

/* ---- the command ---- */

static int usage_missing(const admin *a)
{
    admin_warn(a, TEXT_MISSING_ARGUMENT, "FILE | DIR/", a->command);
    return EXIT_USAGE;
}

static int backup_verb(admin *a, const char *verb, const char *path)
{
    if (strcmp(verb, "verify") == 0) {
        return shelf_is_folder(path) ? folder_verify(a, path) : command_backup_verify(a, path);
    }
    if (strcmp(verb, "list") == 0) {
        return folder_list(a, path);
    }
    return strcmp(verb, "drill") == 0 ? folder_drill(a, path) : usage_missing(a);
}

/* False: said. */
static bool count_take(admin *a, const char *name, int64_t low, int64_t high, int64_t *out)
{
    const char *text = option_take(a, name);
    if (text == NULL || (i64_get(text_of(text), out) && *out >= low && *out <= high)) {
        return true;
    }
    admin_warn(a, TEXT_OPTION_VALUE, name, a->command);
    return false;
}

int command_backup(admin *a)
{
    folder_run f = {.a = a, .lock = -1, .full = flag_take(a, "--full")};
    int64_t days = HOLD_DAYS_UNSAID;
    if (!count_take(a, "--keep", 1, INT64_MAX, &f.keep) ||
        !count_take(a, "--hold-days", 0, HOLD_DAYS_MAX, &days) || options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc == 2 && !f.full && f.keep == 0 && days == HOLD_DAYS_UNSAID) {
        return backup_verb(a, a->argv[0], a->argv[1]);
    }
    if (a->argc != 1) {
        return usage_missing(a);
    }
    bool folder = shelf_is_folder(a->argv[0]);
    if (!folder && (f.full || f.keep > 0)) {
        return usage_missing(a);
    }
    f.hold_ms = (days == HOLD_DAYS_UNSAID ? HOLD_DAYS : days) * DAY_MS;
    return folder ? folder_make(a, a->argv[0], &f) : file_run(a, a->argv[0], f.hold_ms);
}
