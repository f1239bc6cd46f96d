/* folder.c - see crash.h: a folder of backups made by fieldbook-admin's own command in the middle
 * of the workload, and what may be found of it.
 *
 * The folder is a real one, because the product maps its files; what is written into it is told to
 * the tape under "server/shelf/...". The snapshot that SQLite writes there first is not: it is
 * thrown away, and found as garbage after every crash. */
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault/crash/crash.h"
#include "platform/posix/files.h"
#include "sync-server/admin/shelf.h"

enum { PATH_BYTES = 300 };
static const char USAGE[] = "DIR/ [--full] [--keep N] [--hold-days N]";

struct folder {
    fb_files port;
    mem_files *mem;
    char root[64];
};

/* --- plain files, in memory or of the folder -----------------------------------------------------
 */

static bool is_real(const char *path)
{
    return path[0] == '/';
}

static const fb_files *side(const folder *f, const char *path)
{
    return is_real(path) ? fb_files_posix() : mem_files_port(f->mem);
}

static void told(const folder *f, crash_vfs_event e, const char *path, const char *to)
{
    if (is_real(path)) {
        e.file = path + strlen(f->root) + 1;
        e.to = to != NULL ? to + strlen(f->root) + 1 : NULL;
        mem_files_tell(f->mem, &e);
    }
}

static fb_code make(void *ctx, const char *path)
{
    const fb_files *s = side(ctx, path);
    return s->folder(s->ctx, path);
}

static fb_code write_at(void *ctx, const char *path, int64_t offset, fb_text bytes, bool sync)
{
    const fb_files *s = side(ctx, path);
    FB_TRY(s->write(s->ctx, path, offset, bytes, sync));
    told(ctx,
         (crash_vfs_event){.op = CRASH_VFS_WRITE,
                           .offset = (uint64_t)offset,
                           .data = bytes.data,
                           .size = bytes.size},
         path, NULL);
    told(ctx, (crash_vfs_event){.op = CRASH_VFS_TRUNCATE, .offset = (uint64_t)offset + bytes.size},
         path, NULL);
    if (sync) {
        told(ctx, (crash_vfs_event){.op = CRASH_VFS_SYNC}, path, NULL);
    }
    return FB_OK;
}

static fb_code read_at(void *ctx, const char *path, int64_t offset, void *out, size_t size,
                       size_t *got_out)
{
    const fb_files *s = side(ctx, path);
    return s->read(s->ctx, path, offset, out, size, got_out);
}

static fb_code size_of(void *ctx, const char *path, int64_t *size_out)
{
    const fb_files *s = side(ctx, path);
    return s->size(s->ctx, path, size_out);
}

static fb_code move(void *ctx, const char *from, const char *to)
{
    const fb_files *s = side(ctx, from);
    FB_TRY(s->rename(s->ctx, from, to));
    told(ctx, (crash_vfs_event){.op = CRASH_VFS_RENAME}, from, to);
    told(ctx, (crash_vfs_event){.op = CRASH_VFS_SYNC}, to, NULL);
    return FB_OK;
}

static fb_code drop(void *ctx, const char *path)
{
    const fb_files *s = side(ctx, path);
    FB_TRY(s->remove(s->ctx, path));
    told(ctx, (crash_vfs_event){.op = CRASH_VFS_DELETE}, path, NULL);
    return FB_OK;
}

static fb_code each(void *ctx, const char *path, fb_file_fn fn, void *fn_ctx)
{
    const fb_files *s = side(ctx, path);
    return s->each(s->ctx, path, fn, fn_ctx);
}

static fb_code room(void *ctx, const char *path, int64_t *bytes_out)
{
    const fb_files *s = side(ctx, path);
    return s->free_bytes(s->ctx, path, bytes_out);
}

static int gone(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

folder *folder_new(mem_files *mem)
{
    char machine[PATH_BYTES];
    folder *f = calloc(1, sizeof *f);
    if (f == NULL) {
        abort();
    }
    f->mem = mem;
    f->port = (fb_files){f, make, write_at, read_at, size_of, move, drop, each, room};
    snprintf(f->root, sizeof f->root, "/tmp/fb-crash-XXXXXX");
    if (mkdtemp(f->root) == NULL) {
        abort();
    }
    snprintf(machine, sizeof machine, "%s/server", f->root);
    fleet_must(make(f, machine), NULL, "a folder for backups");
    return f;
}

void folder_free(folder *f)
{
    if (f != NULL) {
        (void)nftw(f->root, gone, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
    }
}

/* --- SQLite: a name that begins with a slash is a real file --------------------------------------
 */

static sqlite3_vfs *inner, *outer; /* SQLite gives a file layer no better place */

static sqlite3_vfs *vfs_of(const char *name)
{
    return name == NULL || is_real(name) ? outer : inner;
}

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    sqlite3_vfs *v = vfs_of(name);
    (void)vfs;
    return v->xOpen(v, name, file, flags, out);
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    sqlite3_vfs *v = vfs_of(name);
    (void)vfs;
    return v->xDelete(v, name, sync_dir);
}

static int x_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    sqlite3_vfs *v = vfs_of(name);
    (void)vfs;
    return v->xAccess(v, name, flags, out);
}

static int x_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    sqlite3_vfs *v = vfs_of(name);
    (void)vfs;
    return v->xFullPathname(v, name, size, out);
}

void folder_vfs(const char *name)
{
    static sqlite3_vfs vfs;
    if (outer == NULL) {
        outer = sqlite3_vfs_find("unix");
        vfs = *outer;
        vfs.iVersion = 1;
        vfs.pNext = NULL;
        vfs.szOsFile *= 4; /* of whichever file layer it is */
        vfs.zName = "crashfs";
        vfs.xOpen = x_open;
        vfs.xDelete = x_delete;
        vfs.xAccess = x_access;
        vfs.xFullPathname = x_full_path;
        sqlite3_vfs_register(&vfs, 1);
    }
    inner = sqlite3_vfs_find(name);
    if (inner == NULL || inner->szOsFile > vfs.szOsFile) {
        abort();
    }
}

/* --- the command -------------------------------------------------------------------------------
 */

/* Its exit code. What it prints is for people. */
static int command(fleet *f, folder *at, char **words, int count)
{
    admin a = {.home = "server",
               .command = "backup",
               .usage = USAGE,
               .json = true,
               .port = &f->port,
               .files = &at->port,
               .argc = count,
               .argv = words};
    fflush(stdout);
    fflush(stderr);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), nobody = open("/dev/null", O_WRONLY);
    if (out < 0 || err < 0 || nobody < 0 || dup2(nobody, STDOUT_FILENO) < 0 ||
        dup2(nobody, STDERR_FILENO) < 0) {
        abort();
    }
    int code = command_backup(&a);
    fflush(stdout);
    fflush(stderr);
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0) {
        abort();
    }
    close(out);
    close(err);
    close(nobody);
    return code;
}

static void path_of(const folder *f, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/" FOLDER_NAME, f->root);
}

bool folder_backup(fleet *f, folder *at, bool full)
{
    char path[PATH_BYTES], full_word[] = "--full", keep[] = "--keep", days[] = "--hold-days",
                           three[] = "3", zero[] = "0";
    path_of(at, path);
    char *words[] = {path, keep, three, days, zero, full_word};
    return command(f, at, words, full ? 6 : 5) == EXIT_DONE;
}

/* --- what must be found ------------------------------------------------------------------------
 */

typedef struct trial {
    fleet *f;
    folder *at;
    shelf c;
    char path[PATH_BYTES];
    char *why;
} trial;

static bool no(trial *t, const char *what, int64_t number, fb_code rc, const fb_error *err)
{
    snprintf(t->why, LANE_WHY_BYTES, "%s %lld: %s %s %s", what, (long long)number, fb_code_name(rc),
             err->field, err->message);
    return false;
}

/* A database, sound, with every photo that it counts as stored. */
static fb_code restores(trial *t, uint32_t index, fb_error *err)
{
    char to[PATH_BYTES];
    backup_facts facts = {0};
    admin a = {.home = "server", .port = &t->f->port, .files = &t->at->port};
    snprintf(to, sizeof to, "%s/restored.db", t->at->root);
    (void)unlink(to);
    FB_TRY(shelf_write_image(&t->c, index, to, err));
    FB_TRY(backup_content_check(to, &facts, err));
    return blobs_verify(&a, to, t->c.folder, true, err);
}

/* Which moment holds what: the one that was promised, and what devices were told. Whatever has its
 * name is whole (SHF-1), promised or not. */
static bool moments_sound(trial *t, int64_t promised, int64_t told_cid)
{
    bool holds = told_cid <= 0, found = promised == 0;
    for (uint32_t i = 0; i < t->c.count; i++) {
        fb_error err = {0};
        const shelf_point *p = &t->c.points[i];
        fb_code rc = shelf_image(&t->c, i, NULL, NULL, &err);
        if (rc != FB_OK) {
            return no(t, "a finished backup is spoilt, moment", p->number, rc, &err);
        }
        bool wanted = p->number == promised || (!holds && p->head.commit >= told_cid);
        if (wanted) {
            rc = restores(t, i, &err);
        }
        if (rc != FB_OK && p->number == promised) {
            return no(t, "the promised moment", promised, rc, &err);
        }
        found |= p->number == promised;
        holds |= wanted && rc == FB_OK && p->head.commit >= told_cid;
    }
    fb_error none = {.message = "it is not there"};
    return !found   ? no(t, "the promised moment", promised, FB_E_NOT_FOUND, &none)
           : !holds ? no(t, "a moment with commit", told_cid, FB_E_NOT_FOUND, &none)
                    : true;
}

static bool goes_on(trial *t)
{
    fb_error err = {0};
    if (!folder_backup(t->f, t->at, false)) {
        return no(t, "the next backup fails, moments", t->c.count, FB_E_IO, &err);
    }
    fb_code rc = shelf_open(&t->at->port, t->path, &t->c, &err);
    if (rc == FB_OK) {
        rc = t->c.count > 0 ? restores(t, t->c.count - 1, &err) : FB_E_NOT_FOUND;
        shelf_close(&t->c);
    }
    return rc == FB_OK || no(t, "the next backup, moments", t->c.count, rc, &err);
}

static bool is_of_folder(const char *name)
{
    static const char NAME[] = FOLDER_NAME;
    return strncmp(name, NAME, sizeof NAME - 1) == 0;
}

/* The tape of a recovery has the databases alone: a server that starts touches no backup. */
static bool is_on_tape(const tape *t)
{
    bool found = false;
    for (int i = 0; i < t->files_count && !found; i++) {
        found = is_of_folder(t->files[i].name);
    }
    return found;
}

/* The files of the image, and garbage where the snapshot was being made. */
static bool put(trial *t, const disk *image)
{
    static const char GARBAGE[] = "no database, but the half of one";
    char path[PATH_BYTES];
    bool any = false;
    for (int i = 0; i < image->tape->files_count; i++) {
        const char *name = image->tape->files[i].name;
        if (!is_of_folder(name) || !image->files[i].exists) {
            continue;
        }
        for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
            snprintf(path, sizeof path, "%s/%.*s", t->at->root, (int)(slash - name), name);
            fleet_must(make(t->at, path), NULL, path);
        }
        snprintf(path, sizeof path, "%s/%s", t->at->root, name);
        fb_text bytes = {(const char *)image->files[i].data, image->files[i].size};
        fleet_must(write_at(t->at, path, 0, bytes, false), NULL, path);
        any = true;
    }
    if (any) {
        snprintf(path, sizeof path, "%s.snapshot", t->path);
        fleet_must(write_at(t->at, path, 0, text_of(GARBAGE), false), NULL, path);
    }
    return any;
}

bool folder_sound(fleet *f, const disk *image, const folder_wanted *w, char why[LANE_WHY_BYTES])
{
    char verify[] = "verify";
    fb_error err = {0};
    if (!is_on_tape(image->tape)) {
        return true;
    }
    trial t = {.f = f, .at = folder_new(f->files), .why = why};
    path_of(t.at, t.path);
    bool any = put(&t, image);
    bool good = any || (w->moment == 0 && w->told_cid <= 0) ||
                no(&t, "no folder of backups, promised", w->moment, FB_E_NOT_FOUND, &err);
    if (good && any) {
        char *words[] = {verify, t.path};
        bool verified = command(f, t.at, words, 2) == EXIT_DONE;
        fb_code rc = shelf_open(&t.at->port, t.path, &t.c, &err);
        good = rc == FB_OK ? moments_sound(&t, w->moment, w->told_cid)
                           : no(&t, "the folder", w->moment, rc, &err);
        good = good && (verified || t.c.count == 0 ||
                        no(&t, "backup verify fails, moments", t.c.count, FB_E_CORRUPT, &err));
        shelf_close(&t.c);
        good = good && (!w->goes_on || goes_on(&t));
    }
    folder_free(t.at);
    return good;
}
