/* restore.c - backups checked, and put back: backup verify, restore. See admin.h.
 *
 * A backup is a database and FILE.sha256 beside it, in the form sha256sum reads. It is good if its
 * bytes are the ones that were written, the database is sound and the audit chain holds. A restore
 * writes only what it has checked, moves what stood there aside, and draws a new epoch, so that
 * every device sends again what it holds and no backup does (sync.md decision 7).
 *
 *   RST-1  nothing is taken away: the database that stood there is kept beside the new one
 *   RST-2  no database serves devices under an epoch whose answers it has lost */
#include "sync-server/admin/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/posix/file.h"
#include "sql/sql.h"
#include "sync-server/server.h"

enum {
    PATH_BYTES = 4096,
    NAME_BYTES = 4200,
    LOCK_WAIT_MS = 2000,
    COPY_BYTES = 1 << 20,
    HEX_BYTES = 2 * DIGEST_BYTES
};

static const char *const PARTS[] = {"", "-wal", "-shm"};

/* ---- checking ---- */

static fb_code file_digest(const char *path, digest *out, int64_t *bytes_out, fb_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        if (fd >= 0) {
            close(fd);
        }
        return fail(err, FB_E_IO, path, "cannot be read or is empty: check its name and rights");
    }
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED) {
        return fail(err, FB_E_IO, path, "cannot be read: %s", strerror(errno));
    }
    digest_of(bytes, (size_t)st.st_size, out);
    *bytes_out = (int64_t)st.st_size;
    munmap(bytes, (size_t)st.st_size);
    return FB_OK;
}

static void manifest_name(const char *path, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%.4096s.sha256", path);
}

static void digest_text(const digest *d, char out[HEX_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof d->b; i++) {
        out[2 * i] = digits[d->b[i] >> 4];
        out[2 * i + 1] = digits[d->b[i] & 15];
    }
    out[HEX_BYTES] = '\0';
}

fb_code backup_manifest_write(const char *path, backup_facts *out, fb_error *err)
{
    char name[NAME_BYTES], line[NAME_BYTES + HEX_BYTES + 4];
    digest hash;
    const char *base = strrchr(path, '/');
    FB_TRY(file_digest(path, &hash, &out->bytes, err));
    digest_text(&hash, out->sha256);
    snprintf(line, sizeof line, "%s  %s\n", out->sha256, base != NULL ? base + 1 : path);
    manifest_name(path, name);
    return file_replace(name, text_of(line), true, err);
}

static fb_code manifest_check(const char *path, backup_facts *out, fb_error *err)
{
    char name[NAME_BYTES];
    digest hash;
    buf line;
    buf_init(&line, 2 * NAME_BYTES);
    manifest_name(path, name);
    fb_code rc = file_get(name, &line, err);
    if (rc == FB_OK) {
        rc = file_digest(path, &hash, &out->bytes, err);
    }
    if (rc == FB_OK) {
        digest_text(&hash, out->sha256);
        bool same = line.size > HEX_BYTES && memcmp(line.data, out->sha256, HEX_BYTES) == 0;
        rc = same ? FB_OK
                  : fail(err, FB_E_CORRUPT, path,
                         "its bytes are not the ones that were written (SHA-256 differs from %s): "
                         "use another backup",
                         name);
    }
    buf_clear(&line);
    return rc;
}

static fb_code content_check(const char *path, backup_facts *out, fb_error *err)
{
    store *copy = NULL;
    int64_t bad = 0;
    FB_TRY(store_open(&(store_options){.path = path, .read_only = true}, &copy, err));
    fb_code rc = store_check(copy, err);
    if (rc == FB_OK) {
        rc = ledger_head(copy, &out->head);
    }
    if (rc == FB_OK) {
        rc = audit_verify(copy, &out->entries, &bad);
    }
    store_close(copy);
    if (rc == FB_OK && bad != 0) {
        rc = fail(err, FB_E_CORRUPT, path,
                  "audit entry %lld does not fit the chain: use another backup", (long long)bad);
    }
    return rc;
}

fb_code backup_check(const char *path, backup_facts *out, fb_error *err)
{
    *out = (backup_facts){0};
    FB_TRY(manifest_check(path, out, err));
    return content_check(path, out, err);
}

int command_backup_verify(admin *a, const char *path)
{
    backup_facts facts;
    fb_error err = {0};
    fb_code rc = backup_check(path, &facts, &err);
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

static fb_code bytes_copy(int from, int to)
{
    static char block[COPY_BYTES];
    for (;;) {
        ssize_t n = read(from, block, sizeof block);
        if (n <= 0) {
            return n == 0 && fsync(to) == 0 ? FB_OK : FB_E_IO;
        }
        for (ssize_t done = 0; done < n;) {
            ssize_t put = write(to, block + done, (size_t)(n - done));
            if (put <= 0) {
                return errno == ENOSPC ? FB_E_DISK_FULL : FB_E_IO;
            }
            done += put;
        }
    }
}

static fb_code copy_make(restoring *r, fb_error *err)
{
    backup_facts copied = {0};
    digest hash;
    int from = open(r->from, O_RDONLY | O_CLOEXEC);
    int to = open(r->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fb_code rc = from >= 0 && to >= 0 ? bytes_copy(from, to) : FB_E_IO;
    if (from >= 0) {
        close(from);
    }
    if (to >= 0 && close(to) != 0 && rc == FB_OK) {
        rc = FB_E_IO;
    }
    if (rc != FB_OK) {
        return fail(err, rc, r->fresh, "the backup cannot be copied: check free space and rights");
    }
    FB_TRY(file_digest(r->fresh, &hash, &copied.bytes, err));
    digest_text(&hash, copied.sha256);
    return strcmp(copied.sha256, r->facts.sha256) == 0
               ? FB_OK
               : fail(err, FB_E_IO, r->fresh, "the copy differs from the backup: check the disk");
}

/* "PATH.replaced-20260314T081500Z" with what belongs to it. A WAL without its database goes too: it
 * must not be read into another one. */
static fb_code old_aside(restoring *r, fb_error *err)
{
    char stamp[32], from[NAME_BYTES], to[NAME_BYTES + 8];
    time_t now = (time_t)(r->a->port->wall_ms(r->a->port->ctx) / 1000);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
    snprintf(r->aside, sizeof r->aside, "%s.replaced-%s", r->to, stamp);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        snprintf(from, sizeof from, "%s%s", r->to, PARTS[i]);
        snprintf(to, sizeof to, "%s%s", r->aside, PARTS[i]);
        if (stands(from) && (stands(to) || rename(from, to) != 0)) {
            return fail(err, FB_E_IO, from, "cannot be moved to %s: %s", to, strerror(errno));
        }
        r->replaced |= i == 0 && stands(to);
    }
    return FB_OK;
}

static fb_code folder_sync(const admin *a)
{
    int fd = open(a->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good ? FB_OK : FB_E_IO;
}

static fb_code put_back(restoring *r, fb_error *err)
{
    FB_TRY(copy_make(r, err));
    FB_TRY(old_aside(r, err));
    if (rename(r->fresh, r->to) != 0 || folder_sync(r->a) != FB_OK) {
        return fail(err, FB_E_IO, r->to,
                    "the copy cannot be put in place: %s; what stood there is %s", strerror(errno),
                    r->aside);
    }
    return server_epoch_new(&(server_epoch_options){.path = r->to, .port = r->a->port},
                            &r->facts.head, err);
}

static fb_code restore_run(restoring *r, bool may_replace, fb_error *err)
{
    FB_TRY(backup_check(r->from, &r->facts, err));
    if (stands(r->to) && !may_replace) {
        return fail(err, FB_E_EXISTS, r->to,
                    "a database stands here: stop fieldbookd and use --replace, which keeps it "
                    "beside the new one");
    }
    if (stands(r->to)) {
        FB_TRY(server_is_stopped(r->to, err));
    }
    fb_code rc = put_back(r, err);
    (void)unlink(r->fresh);
    return rc;
}

static void say_what_follows(const restoring *r)
{
    const admin *a = r->a;
    if (a->json) {
        printf("{\"commit\":\"%lld\",\"replaced\":\"%s\"}\n", (long long)r->facts.head,
               r->replaced ? r->aside : "");
    }
    if (r->replaced) {
        admin_say(a, TEXT_RESTORE_ASIDE, r->aside);
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

int command_restore(admin *a)
{
    bool may_replace = flag_take(a, "--replace"), confirms = flag_take(a, "--confirm");
    restoring r = {.a = a};
    fb_error err = {0};
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    snprintf(r.to, sizeof r.to, "%s/master.db", a->home);
    snprintf(r.fresh, sizeof r.fresh, "%s.restoring", r.to);
    if (confirms && a->argc == 0 && !may_replace) {
        return confirm(&r);
    }
    if (confirms || a->argc != 1) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "FILE [--replace] | --confirm", a->command);
        return EXIT_USAGE;
    }
    r.from = a->argv[0];
    fb_code rc = restore_run(&r, may_replace, &err);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    say_what_follows(&r);
    return EXIT_DONE;
}
