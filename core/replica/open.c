/* open.c - the handle: opening, migrating, and staying true to the file.
 *
 * Leaves rows to row.c, groups to capture.c and promote.c. Several handles, also of several
 * processes, may hold one file: what this one keeps in memory is read again whenever PRAGMA
 * data_version says that another one wrote, and every decision is taken inside BEGIN IMMEDIATE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "replica/room.h"
#include "schema/limits.h"
#include "wire/pack.h"

fb_code sql_fail(replica *r, fb_code code, fb_error *err)
{
    switch (code) {
    case FB_E_DISK_FULL:
        if (reserve_free(r)) {
            return fail(err, code, "",
                        "the disk is full and nothing was changed, but a reserve was freed: save "
                        "once more, then free some space");
        }
        return fail(err, code, "", "the disk is full: free some space; nothing was changed");
    case FB_E_BUSY:
        return fail(err, code, "", "another process is writing: try again");
    case FB_E_NO_MEMORY:
        return fail(err, code, "", "out of memory: close something and try again");
    case FB_E_READ_ONLY: /* of the person's phone, or remounted after an error */
        return fail(err, code, "path",
                    "the file, or PATH-wal or PATH-shm beside it, cannot be written: check their "
                    "rights, the folder's and the disk; nothing was changed");
    default:
        return fail(err, code, "", "the database answered: %s",
                    sql_code(r->db) == code ? sql_message(r->db) : fb_code_text(code, "en"));
    }
}

fb_code run_text(replica *r, const char *text)
{
    return sql_run(sql_prepare(r->db, text));
}

fb_code run_int(replica *r, const char *text, int64_t a)
{
    sql_stmt *s = sql_prepare(r->db, text);
    sql_bind_int(s, 1, a);
    return sql_run(s);
}

fb_code run_int2(replica *r, const char *text, int64_t a, int64_t b)
{
    sql_stmt *s = sql_prepare(r->db, text);
    sql_bind_int(s, 1, a);
    sql_bind_int(s, 2, b);
    return sql_run(s);
}

static fb_code first_int(sql_stmt *s, bool *found, int64_t *out)
{
    FB_TRY(sql_step(s, found));
    if (*found) {
        *out = sql_int(s, 0);
        sql_reset(s);
    }
    return FB_OK;
}

fb_code read_int(replica *r, const char *text, int64_t a, bool *found, int64_t *out)
{
    sql_stmt *s = sql_prepare(r->db, text);
    sql_bind_int(s, 1, a);
    return first_int(s, found, out);
}

fb_code read_count(replica *r, const char *text, int64_t *out)
{
    sql_stmt *s = sql_prepare(r->db, text);
    bool found = false;
    FB_TRY(first_int(s, &found, out));
    FB_ASSERT(found);
    return FB_OK;
}

/* --- migrations ---------------------------------------------------------------------- */

static fb_code pragma_set(replica *r, const char *name, int64_t v)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA %s=%lld", name, (long long)v);
    return sql_exec(r->db, text);
}

static const char NEWER_TEXT[] =
    "the file was written by a newer version: upgrade the app; nothing was changed";

static fb_code file_check(replica *r, int64_t *step_out, fb_error *err)
{
    int64_t application = 0;
    int64_t tables = 0;
    fb_code rc = read_count(r, "PRAGMA application_id", &application);
    if (rc == FB_OK) {
        rc = read_count(r, "PRAGMA user_version", step_out);
    }
    if (rc == FB_OK) {
        rc = read_count(r, "SELECT count(*) FROM sqlite_schema", &tables);
    }
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    if (application != DEVICE_APPLICATION_ID && (application != 0 || tables != 0)) {
        return fail(err, FB_E_INVALID, "path",
                    "the file belongs to another program: choose another path");
    }
    if (*step_out > (int64_t)device_steps_count) {
        return fail(err, FB_E_NEWER, "path", NEWER_TEXT);
    }
    return FB_OK;
}

/* What tells this file from another one at the same path; a copy has it too. */
static fb_code name_file(replica *r)
{
    fb_id id;
    int64_t named = 0;
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_meta WHERE key='file_id')", &named));
    if (named != 0) {
        return FB_OK;
    }
    FB_TRY(r->port->random(r->port->ctx, id.b, sizeof id.b));
    if (sql_has_sums(r->db)) {
        FB_TRY(meta_put_int(r, "page_sums", 1));
    }
    FB_TRY(meta_put_int(r, "outbox_generation", 0));
    return meta_put_blob(r, "file_id", id.b, sizeof id.b);
}

static fb_code migrate_inside(replica *r, fb_error *err)
{
    int64_t step = 0;
    FB_TRY(file_check(r, &step, err)); /* again: another process may have been faster */
    for (int64_t i = step; i < (int64_t)device_steps_count; i++) {
        fb_code rc = sql_exec(r->db, device_steps[i]);
        if (rc != FB_OK) {
            return sql_fail(r, rc, err);
        }
    }
    fb_code rc = step == 0 ? pragma_set(r, "application_id", DEVICE_APPLICATION_ID) : FB_OK;
    if (rc == FB_OK && step < (int64_t)device_steps_count) {
        rc = pragma_set(r, "user_version", (int64_t)device_steps_count);
    }
    if (rc == FB_OK) {
        rc = name_file(r);
    }
    return rc == FB_OK ? catalog_boot(r, err) : sql_fail(r, rc, err);
}

static fb_code migrate(replica *r, fb_error *err)
{
    int64_t step = 0;
    FB_TRY(file_check(r, &step, err));
    if (r->read_only) {
        return catalog_boot(r, err);
    }
    fb_code rc = sql_begin(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    rc = migrate_inside(r, err);
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    rc = sql_commit(r->db);
    return rc == FB_OK ? FB_OK : sql_fail(r, rc, err);
}

/* --- handle -------------------------------------------------------------------------- */

static fb_code ids_start(replica *r, fb_error *err)
{
    uint8_t random[8];
    if (r->port->random(r->port->ctx, random, sizeof random) != FB_OK) {
        return fail(err, FB_E_IO, "random", "the source of random numbers failed: check the port");
    }
    id_maker_init(&r->ids, random);
    return FB_OK;
}

static bool memory_start(replica *r)
{
    buf_init(&r->capture.body, GROUP_BYTES_MAX);
    buf_init(&r->capture.image, (size_t)4 * GROUP_BYTES_MAX);
    buf_init(&r->capture.numbers, UINT16_MAX);
    buf_init(&r->packed, (size_t)2 * PAGE_BYTES_MAX);
    buf_init(&r->text, (size_t)2 * LINE_BYTES_MAX + 4096); /* kept_row.c: two lines */
    r->packer = packer_new();
    r->capture.memory = arena_new(ARENA_BYTES_LIMIT);
    r->scratch = arena_new(ARENA_BYTES_LIMIT);
    r->rights_memory = arena_new(ARENA_BYTES_LIMIT);
    return r->packer != NULL && r->capture.memory != NULL && r->scratch != NULL &&
           r->rights_memory != NULL;
}

/* A file that was made with sums and shows none has lost them with its first page. */
static fb_code check_sums(replica *r, fb_error *err)
{
    int64_t made_with = 0;
    fb_code rc = read_count(
        r, "SELECT coalesce((SELECT value FROM fb_meta WHERE key='page_sums'), 0)", &made_with);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    return made_with == 0 || sql_has_sums(r->db)
               ? FB_OK
               : fail(err, FB_E_CORRUPT, "path", "the first page of the database is damaged");
}

/* After an end without closing. A large file is not read whole each time: what is wrong in it is
 * found where it is read. */
static fb_code check_small(replica *r, fb_error *err)
{
    int64_t pages = 0;
    fb_code rc = read_count(r, "PRAGMA page_count", &pages);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    return pages <= CHECK_PAGES_MAX ? sql_check(r->db, err) : FB_OK;
}

/* Files stand beside the database: PATH.blobs. */
static bool blob_folder_name(replica *r, const char *path)
{
    static const char ending[] = ".blobs";
    size_t size = strlen(path) + sizeof ending;
    r->blob_folder = malloc(size);
    if (r->blob_folder != NULL) {
        snprintf(r->blob_folder, size, "%s%s", path, ending);
    }
    return r->blob_folder != NULL;
}

static fb_code open_inside(replica *r, const replica_options *o, fb_error *err)
{
    const sql_options s = {.read_only = o->read_only,
                           .create = o->create,
                           .vfs = o->vfs,
                           .page_sums = true,
                           .cache_kib = o->cache_kib,
                           .busy_timeout_ms = BUSY_TIMEOUT_MS,
                           .sync_normal = o->sync_normal,
                           .secure = true};
    if (!memory_start(r)) {
        return fail(err, FB_E_NO_MEMORY, "",
                    "out of memory while opening the database: close something and try again");
    }
    FB_TRY(ids_start(r, err));
    bool unclean = sql_log_exists(o->vfs, o->path);
    FB_TRY(sql_open(o->path, &s, &r->db, err));
    sql_checkpoint_by_hand(r->db);
    r->purge_due = unclean; /* it may have been killed between the two */
    FB_TRY(migrate(r, err));
    FB_TRY(check_sums(r, err));
    if (unclean && !o->read_only) {
        FB_TRY(check_small(r, err));
    }
    fb_code rc = replica_reload(r);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    /* With such numbers the server would refuse every request. */
    return state_agrees(&r->state)
               ? FB_OK
               : fail(err, FB_E_CORRUPT, "path", "the marks of the outbox contradict each other");
}

fb_code replica_open_plain(const replica_options *o, replica **out, fb_error *err)
{
    replica *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return fail(err, FB_E_NO_MEMORY, "",
                    "out of memory while opening the database: close something and try again");
    }
    r->port = o->port;
    r->files = o->files;
    r->sync_normal = o->sync_normal;
    r->tz_offset_min = o->tz_offset_min;
    r->read_only = o->read_only;
    r->stamp = 1;
    fb_code rc = o->files == NULL || blob_folder_name(r, o->path)
                     ? open_inside(r, o, err)
                     : fail(err, FB_E_NO_MEMORY, "", "out of memory: close something");
    if (rc != FB_OK) {
        replica_close(r);
        return rc;
    }
    *out = r;
    return FB_OK;
}

/* --- with the second copy ------------------------------------------------------------ */

/* Nobody sees what the next power loss could take back. The log of a program that was killed or
 * whose disk failed was not synced since (sql_settle_log); records first (JRN-3). */
static fb_code settle_log(replica *r, fb_error *err)
{
    if (!r->purge_due) {
        return FB_OK; /* it was closed in order */
    }
    if (r->read_only) {
        (void)!sql_sync_log(r->db); /* the disk may take nothing: who only reads promises nothing */
        return FB_OK;
    }
    bool synced = journal_sync(&r->second.j) == FB_OK;
    fb_code rc = synced ? sql_settle_log(r->db) : sql_sync_log(r->db);
    return rc == FB_OK ? FB_OK
                       : fail(err, rc, "path",
                              "the disk does not keep what was saved last: check the disk, then "
                              "open it again; nothing was changed");
}

/* Of a file that will be put aside: what a newer app's holds is not this one's to make again. A
 * version that cannot be read refuses nothing; want of memory says nothing of it. */
static fb_code refuse_newer(const replica_options *o, fb_error *err)
{
    const sql_options look = {.read_only = true, .vfs = o->vfs, .page_sums = true};
    sql_db *db = NULL;
    bool row = false;
    int64_t version = 0;
    fb_code rc = sql_open(o->path, &look, &db, err);
    if (rc == FB_OK) {
        sql_stmt *s = sql_prepare(db, "PRAGMA user_version");
        rc = sql_step(s, &row);
        version = rc == FB_OK ? sql_int(s, 0) : 0;
    }
    sql_close(db);
    if (rc == FB_E_NO_MEMORY) {
        return fail(err, rc, "", "out of memory while opening the database: close something");
    }
    return version > (int64_t)device_steps_count ? fail(err, FB_E_NEWER, "path", NEWER_TEXT)
                                                 : FB_OK;
}

static fb_code open_and_judge(const replica_options *o, replica **out, fb_error *err)
{
    replica *r = NULL;
    second_verdict verdict = SECOND_MATCHES;
    if (!o->read_only && (salvage_is_asked(o->vfs, o->path) || salvage_is_due(o->vfs, o->path))) {
        FB_TRY(refuse_newer(o, err));
        return fail(err, FB_E_CORRUPT, "path", "the file was found damaged");
    }
    FB_TRY(replica_open_plain(o, &r, err));
    fb_code rc = second_start(r, o, &verdict);
    if (rc == FB_OK && verdict != SECOND_AHEAD) {
        rc = settle_log(r, err);
        if (rc == FB_OK) {
            r->in_use = true;
            *out = r;
            return FB_OK;
        }
        replica_close(r);
        return rc;
    }
    replica_close(r);
    if (rc == FB_E_NEWER) {
        return fail(err, rc, "path", NEWER_TEXT);
    }
    if (rc == FB_E_NO_MEMORY) { /* says nothing of the file, which must not be made again for it */
        return fail(err, rc, "", "out of memory while opening the database: close something");
    }
    if (rc != FB_OK && rc != FB_E_CORRUPT) {
        return fail(err, rc, "path",
                    "the second copy beside the database cannot be read: check the disk, then open "
                    "it again; nothing was changed");
    }
    return fail(err, FB_E_CORRUPT, "path",
                "the database lacks what its second copy holds: it is older or another one");
}

fb_code replica_open(const replica_options *o, replica **out, fb_error *err)
{
    FB_REQUIRE(o != NULL && o->path != NULL && o->port != NULL && out != NULL);
    fb_code rc = open_and_judge(o, out, err);
    if (rc == FB_E_IO && !o->read_only) {
        salvage_count_unread(o->vfs, o->path);
    }
    if (o->read_only || (rc != FB_E_CORRUPT && rc != FB_E_NOT_FOUND)) {
        return rc;
    }
    return salvage(o, rc, out, err);
}

fb_code file_broken(replica *r)
{
    r->broken = true;
    return FB_E_CORRUPT;
}

static bool one_saw(bool (*saw)(const sql_db *), const replica *r, const sql_db *reader)
{
    return saw(r->db) || (reader != NULL && saw(reader)); /* second.on: r->db is there */
}

void replica_remember_damage(replica *r, const sql_db *reader)
{
    if (!r->second.on) {
        return;
    }
    if (!r->asked && (r->broken || one_saw(sql_saw_damage, r, reader))) {
        salvage_ask(r->second.j.vfs, r->second.j.path);
        r->asked = true;
    }
    if (r->in_use && !r->counted && one_saw(sql_saw_unread, r, reader)) {
        salvage_count_unread(r->second.j.vfs, r->second.j.path);
        r->counted = true;
    }
}

void replica_close(replica *r)
{
    if (r == NULL) {
        return;
    }
    if (r->db != NULL) {
        capture_abort(r);
    }
    replica_remember_damage(r, NULL);
    second_close(r);
    sql_close(r->db);
    while (r->edition != NULL) {
        edition *e = r->edition;
        r->edition = e->before;
        edition_free(e);
    }
    buf_clear(&r->capture.body);
    buf_clear(&r->capture.image);
    buf_clear(&r->capture.numbers);
    buf_clear(&r->packed);
    pack_offers_forget(r);
    packer_free(r->packer);
    buf_clear(&r->text);
    arena_free(r->capture.memory);
    arena_free(r->scratch);
    arena_free(r->rights_memory);
    free(r->blob_folder);
    bytes_wipe(&r->me, sizeof r->me);
    free(r);
}

enum { VERSION_UNKNOWN = -1 }; /* no PRAGMA data_version answers it */

static fb_code reload(replica *r)
{
    FB_TRY(read_count(r, "PRAGMA data_version", &r->data_version));
    r->second.check = true;
    FB_TRY(catalog_follow(r));
    FB_TRY(identity_load(r));
    FB_TRY(state_load(r));
    rights_forget(r);
    return alias_notice(r);
}

static fb_code moment_begin(replica *r, bool *own_out)
{
    *own_out = !sql_is_begun(r->db);
    return *own_out ? sql_begin_read(r->db) : FB_OK;
}

void replica_view_end(replica *r, bool own)
{
    if (own) {
        sql_rollback(r->db);
    }
}

/* What is in memory may be of a transaction that was undone: until a reload succeeds every call
 * begins with one. Of one moment: marks of two would contradict each other. */
fb_code replica_reload(replica *r)
{
    bool own = false;
    fb_code rc = moment_begin(r, &own);
    if (rc == FB_OK) {
        rc = reload(r);
        replica_view_end(r, own);
    }
    if (rc != FB_OK) {
        r->data_version = VERSION_UNKNOWN;
    }
    return rc;
}

fb_code replica_refresh(replica *r)
{
    int64_t version = 0;
    int64_t visible = r->state.visible;
    int64_t last = r->state.last;

    FB_TRY(read_count(r, "PRAGMA data_version", &version));
    if (version == r->data_version) {
        return FB_OK;
    }
    FB_TRY(replica_reload(r));
    if (r->state.visible != visible || r->state.last != last) {
        observe_all(r); /* which rows the other one changed is not recorded */
    }
    return FB_OK;
}

fb_code replica_view_begin(replica *r, bool *own_out)
{
    FB_REQUIRE(r != NULL && own_out != NULL);
    fb_code rc = moment_begin(r, own_out);
    if (rc == FB_OK && *own_out && (rc = replica_refresh(r)) != FB_OK) {
        replica_view_end(r, true);
    }
    *own_out = *own_out && rc == FB_OK;
    return rc;
}

sql_db *replica_sql(replica *r)
{
    return r->db;
}

const catalog *replica_catalog(replica *r)
{
    return r->edition->catalog;
}

id_maker *replica_ids(replica *r)
{
    return &r->ids;
}

const fb_port *replica_port(replica *r)
{
    return r->port;
}

const fb_files *replica_files(replica *r)
{
    return r->files;
}
