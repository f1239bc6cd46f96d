/* blob_upkeep.c - check, collect, backup and restore of the files of blob.h.
 *
 * A backup of the database is one file; the files here never change once they have their name, so a
 * backup of them is a folder that only grows: what it lacks is copied, what it has stays. */
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/blob/blob_inside.h"

enum { COPY_BYTES = 256 << 10, COLLECT_MAX = 200 };
#define DAY_MS INT64_C(86400000)

/* ---- one row after the other, in the order of hashes ---- */

typedef struct blob_step {
    char name[BLOB_NAME_BYTES + 1]; /* "": before the first */
    digest hash;
    int64_t size;
    bool backed, lost;
} blob_step;

static fb_code step_next(store *s, blob_step *x, bool *row_out)
{
    store_stmt *q = store_prepare(s, STORE_blob_next);
    store_bind_text(q, 1, text_of(x->name));
    FB_TRY(store_step(q, row_out));
    if (!*row_out) {
        return FB_OK;
    }
    bool good = blob_name_get(store_text(q, 0), &x->hash);
    x->size = store_int(q, 1);
    x->backed = store_int(q, 2) > 0;
    x->lost = store_int(q, 3) != 0;
    store_reset(q);
    blob_name_put(&x->hash, x->name);
    return good ? FB_OK : FB_E_CORRUPT;
}

static fb_code check_in(const fb_files *files, const char *folder, const blob_step *x)
{
    buf path;
    const char *name = blob_path_in(folder, &x->hash, &path);
    fb_code rc = path.code == FB_OK ? blob_file_check(files, name, &x->hash, x->size) : path.code;
    buf_clear(&path);
    return rc;
}

/* Inside its own transaction: name with one hash and a time. */
static fb_code mark(store *s, store_name statement, const digest *hash, int64_t now_ms)
{
    char name[BLOB_NAME_BYTES + 1];
    FB_TRY(store_begin(s));
    store_stmt *q = store_prepare(s, statement);
    blob_bind(q, 1, hash, name);
    store_bind_int(q, 2, now_ms);
    fb_code rc = store_run(q);
    if (rc != FB_OK) {
        store_rollback(s);
        return rc;
    }
    return store_commit(s);
}

/* ---- count, missing, check ---- */

fb_code blob_missing(store *s, void (*fn)(void *ctx, const char *hash), void *ctx)
{
    bool row = true;
    char name[BLOB_NAME_BYTES + 1];
    fb_code rc = FB_OK;
    if (!blob_is_known(s)) {
        return FB_OK;
    }
    store_stmt *q = store_prepare(s, STORE_blob_waiting);
    while ((rc = store_step(q, &row)) == FB_OK && row) {
        fb_text hash = store_text(q, 0);
        size_t size = hash.size < BLOB_NAME_BYTES ? hash.size : BLOB_NAME_BYTES;
        memcpy(name, hash.data, size);
        name[size] = '\0';
        fn(ctx, name);
    }
    return rc;
}

static void count_one(void *ctx, const char *hash)
{
    (void)hash;
    ++*(int64_t *)ctx;
}

fb_code blob_count(store *s, blob_report *out)
{
    bool row = false;
    store_stmt *q = store_prepare(s, STORE_blob_count);
    FB_TRY(store_step(q, &row));
    if (row) {
        out->files = store_int(q, 0);
        out->bytes = store_int(q, 1);
        store_reset(q);
    }
    out->waiting = 0;
    return blob_missing(s, count_one, &out->waiting);
}

static fb_code take_away(const blob_place *p, store *s, const blob_step *x, int64_t now_ms)
{
    buf path;
    FB_TRY(mark(s, STORE_blob_lost, &x->hash, now_ms));
    const char *name = blob_place_path(p, &x->hash, &path);
    fb_code rc = path.code == FB_OK ? p->files->remove(p->files->ctx, name) : path.code;
    buf_clear(&path);
    return rc;
}

static void tally(blob_report *out, fb_code rc)
{
    out->missing += rc == FB_E_NOT_FOUND;
    out->damaged += rc == FB_E_CORRUPT;
}

static bool is_bad(fb_code rc)
{
    return rc == FB_E_NOT_FOUND || rc == FB_E_CORRUPT;
}

fb_code blob_check(const blob_place *p, store *s, int64_t now_ms, bool repair, blob_bad_fn fn,
                   void *ctx, blob_report *out)
{
    blob_step x = {.name = ""};
    bool row = true;
    FB_TRY(blob_count(s, out));
    while (row) {
        FB_TRY(step_next(s, &x, &row));
        if (!row || x.lost) {
            continue;
        }
        fb_code rc = check_in(p->files, p->folder, &x);
        tally(out, rc);
        if (!is_bad(rc)) {
            FB_TRY(rc);
            continue;
        }
        if (fn != NULL) {
            fn(ctx, x.name, rc);
        }
        if (repair) {
            FB_TRY(take_away(p, s, &x, now_ms));
        }
    }
    return FB_OK;
}

/* ---- collect ---- */

static fb_code drop_rows(store *s, const digest *hash)
{
    char name[BLOB_NAME_BYTES + 1];
    static const store_name DROPS[] = {STORE_blob_drop, STORE_blob_source_drop};
    for (size_t i = 0; i < sizeof DROPS / sizeof DROPS[0]; i++) {
        store_stmt *q = store_prepare(s, DROPS[i]);
        blob_bind(q, 1, hash, name);
        FB_TRY(store_run(q));
    }
    return FB_OK;
}

/* One upload that no row has named for long; the row lets go before the file does. */
static fb_code collect_whole(const blob_place *p, store *s, int64_t before_ms, bool *row_out)
{
    digest hash;
    buf path;
    FB_TRY(store_begin(s));
    store_stmt *q = store_prepare(s, STORE_blob_unnamed);
    store_bind_int(q, 1, before_ms);
    fb_code rc = store_step(q, row_out);
    if (rc == FB_OK && *row_out) {
        rc = blob_name_get(store_text(q, 0), &hash) ? FB_OK : FB_E_CORRUPT;
        store_reset(q);
        rc = rc == FB_OK ? drop_rows(s, &hash) : rc;
    }
    if (rc != FB_OK || !*row_out) {
        store_rollback(s);
        return rc;
    }
    FB_TRY(store_commit(s));
    const char *name = blob_place_path(p, &hash, &path);
    rc = path.code == FB_OK ? p->files->remove(p->files->ctx, name) : path.code;
    buf_clear(&path);
    return rc;
}

fb_code blob_forget(const blob_place *p, store *s, const digest *hash, bool *removed_out)
{
    char name[BLOB_NAME_BYTES + 1];
    bool named = false;
    buf path;
    *removed_out = false;
    FB_TRY(store_begin(s));
    store_stmt *q = store_prepare(s, STORE_blob_named);
    blob_bind(q, 1, hash, name);
    fb_code rc = store_step(q, &named);
    store_reset(q);
    rc = rc == FB_OK && !named ? drop_rows(s, hash) : rc;
    if (rc != FB_OK || named) {
        store_rollback(s);
        return rc;
    }
    FB_TRY(store_commit(s));
    const char *file = blob_place_path(p, hash, &path);
    rc = path.code == FB_OK ? p->files->remove(p->files->ctx, file) : path.code;
    buf_clear(&path);
    *removed_out = rc == FB_OK;
    return rc;
}

static fb_code part_drop(store *s, const digest *hash, const fb_id *device)
{
    char name[BLOB_NAME_BYTES + 1];
    store_stmt *q = store_prepare(s, STORE_blob_part_drop);
    blob_bind(q, 1, hash, name);
    store_bind_id(q, 2, device);
    return store_run(q);
}

static fb_code collect_part(const blob_place *p, store *s, int64_t before_ms, bool *row_out)
{
    digest hash;
    fb_id device = {{0}};
    buf path;
    FB_TRY(store_begin(s));
    store_stmt *q = store_prepare(s, STORE_blob_part_old);
    store_bind_int(q, 1, before_ms);
    fb_code rc = store_step(q, row_out);
    if (rc == FB_OK && *row_out) {
        rc = blob_name_get(store_text(q, 0), &hash) ? FB_OK : FB_E_CORRUPT;
        device = store_id(q, 1);
        store_reset(q);
        rc = rc == FB_OK ? part_drop(s, &hash, &device) : rc;
    }
    if (rc != FB_OK || !*row_out) {
        store_rollback(s);
        return rc;
    }
    FB_TRY(store_commit(s));
    const char *name = blob_part_path(p, &hash, &device, &path);
    rc = path.code == FB_OK ? p->files->remove(p->files->ctx, name) : path.code;
    buf_clear(&path);
    return rc;
}

typedef struct sweep {
    const blob_place *p;
    store *s;
    int64_t removed;
} sweep;

/* A part's row comes before its file and goes before it: a file alone is what a crash or a restored
 * database left. What is not called HASH-DEVICE is not ours to remove. */
static fb_code sweep_one(void *ctx, const char *name)
{
    sweep *w = ctx;
    digest hash;
    fb_id device;
    bool row = true;
    buf path;
    const fb_text all = text_of(name);
    if (all.size < BLOB_NAME_BYTES + 2 || all.data[BLOB_NAME_BYTES] != '-' ||
        !blob_name_get((fb_text){name, BLOB_NAME_BYTES}, &hash) ||
        !id_get(text_of(name + BLOB_NAME_BYTES + 1), &device) || w->removed >= COLLECT_MAX) {
        return FB_OK;
    }
    FB_TRY(blob_part_known(w->s, &hash, &device, &row, NULL));
    if (row) {
        return FB_OK;
    }
    const char *at = blob_part_path(w->p, &hash, &device, &path);
    fb_code rc = path.code == FB_OK ? w->p->files->remove(w->p->files->ctx, at) : path.code;
    buf_clear(&path);
    w->removed += rc == FB_OK;
    return rc;
}

/* Parts that no row knows. */
static fb_code parts_sweep(const blob_place *p, store *s, blob_report *out)
{
    sweep w = {.p = p, .s = s};
    buf folder;
    buf_init(&folder, 8192);
    buf_printf(&folder, "%s/part", p->folder);
    const char *path = buf_cstr(&folder);
    fb_code rc = folder.code;
    rc = rc == FB_OK ? p->files->each(p->files->ctx, path, sweep_one, &w) : rc;
    buf_clear(&folder);
    out->removed += w.removed;
    return rc;
}

fb_code blob_collect(const blob_place *p, store *s, int64_t now_ms, blob_report *out)
{
    int64_t before_ms = now_ms - p->limits.unnamed_days * DAY_MS;
    bool row = blob_is_known(s);
    for (int i = 0; row && i < COLLECT_MAX; i++) {
        FB_TRY(collect_whole(p, s, before_ms, &row));
        out->removed += row;
    }
    row = true;
    for (int i = 0; row && i < COLLECT_MAX; i++) {
        FB_TRY(collect_part(p, s, before_ms, &row));
        out->removed += row;
    }
    return blob_is_known(s) ? parts_sweep(p, s, out) : FB_OK;
}

/* ---- backup and restore ---- */

static fb_code copy_blocks(const fb_files *f, const char *from, const char *to, char *block)
{
    int64_t at = 0;
    size_t got = COPY_BYTES;
    while (got == COPY_BYTES) {
        FB_TRY(f->read(f->ctx, from, at, block, COPY_BYTES, &got));
        FB_TRY(f->write(f->ctx, to, at, (fb_text){block, got}, got < COPY_BYTES));
        at += (int64_t)got;
    }
    return FB_OK;
}

/* FROM/ab/cd/HASH to TO/ab/cd/HASH, by way of TO/new, checked there. */
static fb_code copy_one(const fb_files *f, const char *from_folder, const char *to_folder,
                        const blob_step *x)
{
    buf from, to, fresh, block;
    const char *from_path = blob_path_in(from_folder, &x->hash, &from);
    const char *to_path = blob_path_in(to_folder, &x->hash, &to);
    buf_init(&fresh, 8192);
    buf_printf(&fresh, "%s/new", to_folder);
    const char *fresh_path = buf_cstr(&fresh);
    buf_init(&block, COPY_BYTES);
    char *room = buf_reserve(&block, COPY_BYTES);
    fb_code rc = from.code != FB_OK || to.code != FB_OK || fresh.code != FB_OK || room == NULL
                     ? FB_E_NO_MEMORY
                     : blob_folders_make(f, to_folder, &x->hash);
    if (rc == FB_OK) {
        rc = copy_blocks(f, from_path, fresh_path, room);
    }
    if (rc == FB_OK) {
        rc = blob_file_finish(f, fresh_path, to_path, &x->hash, x->size);
    }
    buf_clear(&from);
    buf_clear(&to);
    buf_clear(&fresh);
    buf_clear(&block);
    return rc;
}

/* In the target already and sound, or copied there. */
static fb_code bring(const fb_files *f, const char *from, const char *to, const blob_step *x,
                     blob_report *out)
{
    fb_code rc = check_in(f, to, x);
    if (rc != FB_E_NOT_FOUND && rc != FB_E_CORRUPT) {
        return rc;
    }
    FB_TRY(copy_one(f, from, to, x));
    out->copied++;
    return FB_OK;
}

static fb_code backed_mark(store *s, const digest *hash, const blob_moment *at)
{
    char name[BLOB_NAME_BYTES + 1];
    store_stmt *q = store_prepare(s, STORE_blob_backed);
    blob_bind(q, 1, hash, name);
    store_bind_int(q, 2, at->now_ms);
    store_bind_int(q, 3, at->hold_ms);
    return store_run(q);
}

fb_code blob_backup(const blob_place *p, store *copy, store *s, const char *to_folder,
                    const blob_moment *at, blob_report *out, fb_error *err)
{
    blob_step x = {.name = ""};
    bool row = true;
    while (row) {
        FB_TRY(step_next(copy, &x, &row));
        if (!row || x.lost) {
            continue;
        }
        fb_code rc = bring(p->files, p->folder, to_folder, &x, out);
        tally(out, rc);
        if (rc != FB_OK && !is_bad(rc)) {
            return fail(err, rc, to_folder, "attachment %s could not be copied: %s", x.name,
                        fb_code_text(rc, "en"));
        }
        if (rc == FB_OK) {
            out->files++;
            out->bytes += x.size;
            FB_TRY(x.backed ? FB_OK : backed_mark(s, &x.hash, at));
        }
    }
    return FB_OK;
}

static fb_code has_table(store *s, bool *out)
{
    bool row = false;
    store_stmt *q = store_prepare(s, STORE_blob_table);
    FB_TRY(store_step(q, &row));
    *out = row && store_int(q, 0) > 0;
    store_reset(q);
    return FB_OK;
}

fb_code blob_backup_verify(const fb_files *files, store *backup, const char *from_folder,
                           blob_report *out, fb_error *err)
{
    blob_step x = {.name = ""};
    bool row = true;
    FB_TRY(has_table(backup, &row)); /* one that was made before there were attachments */
    while (row) {
        FB_TRY(step_next(backup, &x, &row));
        if (!row || x.lost) {
            continue;
        }
        fb_code rc = check_in(files, from_folder, &x);
        tally(out, rc);
        if (rc != FB_OK) {
            return fail(err, rc == FB_E_NOT_FOUND ? FB_E_CORRUPT : rc, from_folder,
                        "attachment %s %s: make a new backup, after blobs check --repair", x.name,
                        rc == FB_E_NOT_FOUND ? "is missing"
                        : rc == FB_E_CORRUPT ? "is damaged"
                                             : "cannot be read");
        }
        out->files++;
        out->bytes += x.size;
    }
    return FB_OK;
}

/* A walk through FOLDER/ab/cd. */
typedef struct folder_walk {
    const fb_files *files;
    const char *within;
    int depth; /* of `within`, in FOLDER */
    blob_report *report;
    char *bad; /* [BLOB_NAME_BYTES + 1]: the first one that is not what its name says */
} folder_walk;

static fb_code walk_one(folder_walk *w, const char *name)
{
    blob_step x = {.name = ""};
    digest found;
    buf path;
    if (!blob_name_get(text_of(name), &x.hash)) {
        return FB_OK; /* a copy that was cut off: the next backup writes it anew */
    }
    buf_init(&path, 8192);
    buf_printf(&path, "%s/%s", w->within, name);
    const char *whole = buf_cstr(&path);
    fb_code rc = path.code == FB_OK ? blob_file_hash(w->files, whole, &found, &x.size) : path.code;
    buf_clear(&path);
    if (rc == FB_OK && memcmp(&found, &x.hash, sizeof found) != 0) {
        rc = FB_E_CORRUPT;
    }
    tally(w->report, rc);
    if (rc == FB_OK) {
        w->report->files++;
        w->report->bytes += x.size;
    } else if (is_bad(rc) && w->bad[0] == '\0') {
        blob_name_put(&x.hash, w->bad);
    }
    return is_bad(rc) ? FB_OK : rc;
}

static bool is_hex_pair(const char *name)
{
    return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static fb_code walk_folder(folder_walk *above, const char *name);

static fb_code walk_entry(void *ctx, const char *name)
{
    folder_walk *w = ctx;
    if (w->depth == 2) {
        return walk_one(w, name);
    }
    return is_hex_pair(name) ? walk_folder(w, name) : FB_OK;
}

static fb_code walk_folder(folder_walk *above, const char *name)
{
    folder_walk w = *above;
    buf within;
    buf_init(&within, 8192);
    buf_printf(&within, "%s/%s", above->within, name);
    w.within = buf_cstr(&within);
    w.depth++;
    fb_code rc = within.code;
    rc = rc == FB_OK ? w.files->each(w.files->ctx, w.within, walk_entry, &w) : rc;
    buf_clear(&within);
    return rc;
}

fb_code blob_folder_check(const fb_files *files, const char *folder, blob_report *out,
                          fb_error *err)
{
    char bad[BLOB_NAME_BYTES + 1] = "";
    folder_walk w = {.files = files, .within = folder, .report = out, .bad = bad};
    fb_code rc = files->each(files->ctx, folder, walk_entry, &w);
    if (rc == FB_OK && bad[0] != '\0') {
        rc = FB_E_CORRUPT;
    }
    return rc == FB_OK || bad[0] == '\0'
               ? rc
               : fail(err, rc, folder,
                      "attachment %s is damaged: make a new backup, which writes it anew", bad);
}

fb_code blob_restore(const blob_place *p, store *s, const char *from_folder, blob_report *out,
                     fb_error *err)
{
    blob_step x = {.name = ""};
    bool row = true;
    while (row) {
        FB_TRY(step_next(s, &x, &row));
        if (!row || x.lost) {
            continue;
        }
        fb_code rc = bring(p->files, from_folder, p->folder, &x, out);
        tally(out, rc);
        if (rc != FB_OK && !is_bad(rc)) {
            return fail(err, rc, p->folder, "attachment %s could not be put back: %s", x.name,
                        fb_code_text(rc, "en"));
        }
    }
    return FB_OK;
}
