/* restore.c - backups checked, and put back: backup verify, restore. See admin.h.
 *
 * A backup is a database and FILE.sha256 beside it, in the form sha256sum reads. It is good if its
 * bytes are the ones that were written, the database is sound and the audit chain holds. Or it is
 * a moment of a folder (shelf.h): then the one asked for is put together. A restore
 * writes only what it has checked, moves what stood there aside, and draws a new epoch, so that
 * every device sends again what it holds and no backup does (sync.md decision 7).
 *
 *   RST-1  nothing is taken away: the database that stood there is kept beside the new one
 *   RST-2  no database serves devices under an epoch whose answers it has lost: the copy has its
 *          new epoch before it has its name
 *   RST-3  whenever the power goes, the old database stands there, or the new one as a whole, or
 *          none, with the old one and the new one beside it: server_restore_was_cut tells whoever
 *          looks for a database, and the same command ends it
 *   RST-4  who was erased since the backup was made is erased again before the copy has its name */
#include "sync-server/admin/shelf.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sql/sql.h"
#include "sync-server/server.h"

enum {
    PATH_BYTES = 4096,
    NAME_BYTES = 4200,
    LOCK_WAIT_MS = 2000,
    COPY_BYTES = 1 << 20,
    ASIDE_MAX = 99
};

static const char *const PARTS[] = {"", "-wal", "-shm"};
static const char MARK[] = ".high-water";

int command_backup_verify(admin *a, const char *path)
{
    backup_facts facts;
    fb_error err = {0};
    fb_code rc = backup_check(path, &facts, &err);
    if (rc == FB_OK) {
        rc = blobs_verify(a, path, path, false, &err);
    }
    if (a->json) {
        printf("{\"ok\":%s,\"commit\":\"%lld\",\"audit_entries\":\"%lld\",\"bytes\":\"%lld\","
               "\"sha256\":\"%s\"}\n",
               rc == FB_OK ? "true" : "false", (long long)facts.head, (long long)facts.entries,
               (long long)facts.bytes, facts.sha256);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_VERIFY_OK, path, (long long)facts.head, (long long)facts.entries,
              (long long)facts.bytes);
    return EXIT_DONE;
}

/* ---- putting back ---- */

typedef struct restoring {
    admin *a;
    const char *from;
    int64_t number, commit_max, at_max_ms; /* of a folder: which moment; 0 and the greatest: any */
    int64_t at_ms;                         /* the moment taken, 0: of a single file */
    char to[PATH_BYTES], fresh[NAME_BYTES], aside[NAME_BYTES];
    bool replaced;
    backup_facts facts;
} restoring;

static bool stands(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* A running server keeps the file open, and would go on writing to it under its new name. */
static fb_code server_is_stopped(const char *path, fb_error *err)
{
    sql_db *db = NULL;
    const sql_options o = {.busy_timeout_ms = LOCK_WAIT_MS};
    if (sql_open(path, &o, &db, NULL) != FB_OK) {
        return FB_OK; /* damaged: that is why it is replaced */
    }
    fb_code rc = sql_exec(db, "PRAGMA journal_mode=DELETE"); /* needs the file for itself */
    sql_close(db);
    return rc == FB_OK || rc == FB_E_CORRUPT ? FB_OK
                                             : fail(err, FB_E_LOCKED, path,
                                                    "another process holds the database: stop "
                                                    "fieldbookd and other commands first");
}

static fb_code bytes_put(const fb_files *files, int from, const char *to)
{
    static char block[COPY_BYTES];
    for (int64_t at = 0;;) {
        ssize_t n = read(from, block, sizeof block);
        if (n < 0) {
            return FB_E_IO;
        }
        FB_TRY(files->write(files->ctx, to, at, (fb_text){block, (size_t)n}, n == 0));
        if (n == 0) {
            return FB_OK;
        }
        at += n;
    }
}

static fb_code bytes_copy(const fb_files *files, const char *from, const char *to)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return FB_E_IO;
    }
    fb_code rc = bytes_put(files, fd, to);
    close(fd);
    return rc;
}

/* What a restore that was cut short, or this one, left of the copy. */
static fb_code fresh_remove(const restoring *r, fb_error *err)
{
    char path[NAME_BYTES + 16];
    const fb_files *files = r->a->files;
    static const char *const ENDS[] = {MARK, "-wal", "-shm", ""};
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        snprintf(path, sizeof path, "%s%s", r->fresh, ENDS[i]);
        fb_code rc = files->remove(files->ctx, path);
        if (rc != FB_OK) {
            return fail(err, rc, path, "cannot be removed: check folder and rights");
        }
    }
    return FB_OK;
}

static fb_code moment_find(const restoring *r, const shelf *c, uint32_t *index, fb_error *err)
{
    for (uint32_t i = 0; r->number > 0 && i < c->count; i++) {
        if (c->points[i].number == r->number) {
            *index = i;
            return FB_OK;
        }
    }
    return r->number > 0 ? fail(err, FB_E_NOT_FOUND, r->from,
                                "there is no backup with this number: see backup list")
                         : shelf_find(c, r->commit_max, r->at_max_ms, index, err);
}

/* The database of one moment of a folder, put together beside its place and checked there. */
static fb_code moment_make(restoring *r, fb_error *err)
{
    shelf c;
    uint32_t index = 0;
    FB_TRY(shelf_open(r->a->files, r->from, &c, err));
    fb_code rc = moment_find(r, &c, &index, err);
    if (rc == FB_OK) {
        rc = shelf_write_image(&c, index, r->fresh, err);
    }
    if (rc == FB_OK) {
        r->number = c.points[index].number;
        r->at_ms = c.points[index].head.at_ms;
        rc = backup_content_check(r->fresh, &r->facts, err);
    }
    shelf_close(&c);
    return rc;
}

static fb_code copy_make(restoring *r, fb_error *err)
{
    backup_facts copied = {0};
    digest hash;
    fb_code rc = bytes_copy(r->a->files, r->from, r->fresh);
    if (rc != FB_OK) {
        return fail(err, rc, r->fresh, "the backup cannot be copied: check free space and rights");
    }
    FB_TRY(backup_file_digest(r->fresh, &hash, &copied.bytes, err));
    digest_text(&hash, copied.sha256);
    return strcmp(copied.sha256, r->facts.sha256) == 0
               ? FB_OK
               : fail(err, FB_E_IO, r->fresh, "the copy differs from the backup: check the disk");
}

static bool any_part_stands(const char *path)
{
    bool any = false;
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        char part[NAME_BYTES + 8];
        snprintf(part, sizeof part, "%s%s", path, PARTS[i]);
        any |= stands(part);
    }
    return any;
}

/* "PATH.replaced-20260314T081500Z", with "-2" behind it for the second of one second. */
static void aside_name(restoring *r)
{
    char stamp[32];
    time_t now = (time_t)(r->a->port->wall_ms(r->a->port->ctx) / 1000);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
    snprintf(r->aside, sizeof r->aside, "%s.replaced-%s", r->to, stamp);
    for (int n = 2; n <= ASIDE_MAX && any_part_stands(r->aside); n++) {
        snprintf(r->aside, sizeof r->aside, "%s.replaced-%s-%d", r->to, stamp, n);
    }
}

/* What stood there, with what belongs to it. A WAL without its database goes too: it must not be
 * read into another one. */
static fb_code old_aside(restoring *r, fb_error *err)
{
    char from[NAME_BYTES], to[NAME_BYTES + 8];
    aside_name(r);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        snprintf(from, sizeof from, "%s%s", r->to, PARTS[i]);
        snprintf(to, sizeof to, "%s%s", r->aside, PARTS[i]);
        fb_code rc = !stands(from) ? FB_OK
                     : stands(to)  ? FB_E_EXISTS
                                   : r->a->files->rename(r->a->files->ctx, from, to);
        if (rc != FB_OK) {
            return fail(err, rc, from, "cannot be moved to %s: %s", to, fb_code_text(rc, "en"));
        }
        r->replaced |= i == 0 && stands(to);
    }
    return FB_OK;
}

/* The database, and behind it the mark that knows its epoch: between the two the old mark makes the
 * server refuse everybody (server_mark.c), so nothing is served that was not meant. */
static fb_code new_in_place(const restoring *r, fb_error *err)
{
    char from[NAME_BYTES + 16], to[NAME_BYTES];
    const fb_files *files = r->a->files;
    snprintf(from, sizeof from, "%s%s", r->fresh, MARK);
    snprintf(to, sizeof to, "%s%s", r->to, MARK);
    fb_code rc = files->rename(files->ctx, r->fresh, r->to);
    if (rc == FB_OK) {
        rc = files->rename(files->ctx, from, to);
    }
    return rc == FB_OK
               ? FB_OK
               : fail(err, rc, r->to, "the copy cannot be put in place: %s; what stood there is %s",
                      fb_code_text(rc, "en"), r->aside);
}

static fb_code put_back(restoring *r, bool is_folder, fb_error *err)
{
    FB_TRY(fresh_remove(r, err));
    FB_TRY(is_folder ? moment_make(r, err) : copy_make(r, err));
    FB_TRY(erased_restore(r->fresh, r->to, r->from, is_folder, err)); /* RST-4 */
    FB_TRY(server_epoch_new(&(server_epoch_options){.path = r->fresh, .port = r->a->port},
                            &r->facts.head, err));
    FB_TRY(old_aside(r, err));
    FB_TRY(new_in_place(r, err));
    return blobs_restore(r->a, r->to, r->from, is_folder, err);
}

static fb_code restore_run(restoring *r, bool may_replace, fb_error *err)
{
    bool is_folder = shelf_is_folder(r->from);
    if (!is_folder) {
        FB_TRY(backup_check(r->from, &r->facts, err));
    }
    if (stands(r->to) && !may_replace) {
        return fail(err, FB_E_EXISTS, r->to,
                    "a database stands here: stop fieldbookd and use --replace, which keeps it "
                    "beside the new one");
    }
    if (stands(r->to)) {
        FB_TRY(server_is_stopped(r->to, err));
    }
    fb_code rc = put_back(r, is_folder, err);
    if (rc != FB_OK && (!r->replaced || stands(r->to))) { /* else nothing else stands there */
        (void)!fresh_remove(r, NULL);
    }
    return rc;
}

static void say_what_follows(const restoring *r)
{
    const admin *a = r->a;
    char at[TIME_TEXT_BYTES] = "";
    if (r->at_ms != 0) {
        time_text(r->at_ms, at);
    }
    if (a->json) {
        printf("{\"commit\":\"%lld\",\"number\":%lld,\"at\":\"%s\",\"file\":\"%s\",\"replaced\":\"%"
               "s\"}\n",
               (long long)r->facts.head, (long long)r->number, at, r->to,
               r->replaced ? r->aside : "");
    }
    if (r->replaced) {
        admin_say(a, TEXT_RESTORE_ASIDE, r->aside);
    }
    if (r->at_ms != 0) {
        admin_say(a, TEXT_RESTORE_MOMENT, (long long)r->number, at);
    }
    admin_say(a, TEXT_RESTORE_DONE, (long long)r->facts.head, (long long)r->facts.head);
}

static int confirm(restoring *r)
{
    fb_error err = {0};
    if (!stands(r->to)) {
        return admin_no_company(r->a);
    }
    fb_code rc = server_epoch_new(&(server_epoch_options){.path = r->to, .port = r->a->port},
                                  &r->facts.head, &err);
    if (rc != FB_OK) {
        return admin_failed(r->a, rc, &err);
    }
    say_what_follows(r);
    return EXIT_DONE;
}

/* What the options ask for; false: said what is wrong with them. */
static bool moment_options(restoring *r)
{
    const char *at = option_take(r->a, "--at"), *commit = option_take(r->a, "--commit"),
               *number = option_take(r->a, "--number"), *to = option_take(r->a, "--to");
    r->commit_max = INT64_MAX;
    r->at_max_ms = INT64_MAX;
    bool good = (at == NULL || time_get(at, &r->at_max_ms)) &&
                (commit == NULL || i64_get(text_of(commit), &r->commit_max)) &&
                (number == NULL || (i64_get(text_of(number), &r->number) && r->number > 0));
    if (!good) {
        admin_warn(r->a, TEXT_BAD_MOMENT, r->a->command);
    }
    if (to != NULL) {
        snprintf(r->to, sizeof r->to, "%s", to);
    } else {
        snprintf(r->to, sizeof r->to, "%s/master.db", r->a->home);
    }
    snprintf(r->fresh, sizeof r->fresh, "%s" SERVER_RESTORING, r->to);
    return good;
}

static bool names_moment(const restoring *r)
{
    return r->number > 0 || r->commit_max != INT64_MAX || r->at_max_ms != INT64_MAX;
}

int command_restore(admin *a)
{
    bool may_replace = flag_take(a, "--replace"), confirms = flag_take(a, "--confirm");
    restoring r = {.a = a};
    fb_error err = {0};
    if (!moment_options(&r) || options_left(a)) {
        return EXIT_USAGE;
    }
    if (confirms && a->argc == 0 && !may_replace) {
        return confirm(&r);
    }
    if (confirms || a->argc != 1) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "FILE [--replace] | --confirm", a->command);
        return EXIT_USAGE;
    }
    r.from = a->argv[0];
    if (names_moment(&r) && !shelf_is_folder(r.from)) {
        admin_warn(a, TEXT_MOMENT_OF_FILE, r.from);
        return EXIT_USAGE;
    }
    fb_code rc = restore_run(&r, may_replace, &err);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    say_what_follows(&r);
    return EXIT_DONE;
}
