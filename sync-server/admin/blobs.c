/* blobs.c - the bytes of attachments: list, check, missing, collect; and their part in a backup.
 * See admin.h and sync-server/blob/blob.h.
 *
 * A backup of the database is one file or one of a folder; the bytes stand in a folder beside it
 * (FILE.blobs, DIR/blobs) that every backup adds to. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sync-server/erase/erase.h"

enum { BLOBS_PATH_BYTES = 4200, UNNAMED_DAYS = 30 };

static fb_code place_open(const admin *a, const char *database, blob_place *out)
{
    memset(out, 0, sizeof *out);
    return blob_place_init(out, a->files, database, &(blob_limits){.unnamed_days = UNNAMED_DAYS});
}

static fb_code home_open(const admin *a, blob_place *out)
{
    char path[BLOBS_PATH_BYTES];
    snprintf(path, sizeof path, "%s/master.db", a->home);
    return place_open(a, path, out);
}

fb_code blobs_erase(admin *a, const erase_report *r, fb_error *err)
{
    blob_place place;
    fb_code rc = home_open(a, &place);
    if (rc == FB_OK) {
        rc = erase_files(&place, a->db, r);
    }
    blob_place_clear(&place);
    return rc == FB_OK ? FB_OK
                       : fail(err, rc, "blobs",
                              "a file of an erased photo could not be removed: check the folder's "
                              "rights, then blobs collect");
}

static void report_say(const admin *a, const blob_report *r, bool ok)
{
    if (a->json) {
        printf("{\"ok\":%s,\"files\":\"%lld\",\"bytes\":\"%lld\",\"missing\":\"%lld\",\"damaged\":"
               "\"%lld\",\"waiting\":\"%lld\",\"removed\":\"%lld\"}\n",
               ok ? "true" : "false", (long long)r->files, (long long)r->bytes,
               (long long)r->missing, (long long)r->damaged, (long long)r->waiting,
               (long long)r->removed);
    }
    admin_say(a, TEXT_BLOBS_REPORT, (long long)r->files, (long long)r->bytes, (long long)r->waiting,
              (long long)r->missing, (long long)r->damaged);
}

/* ---- list, missing ---- */

static int list(admin *a)
{
    static const char SQL[] =
        "SELECT b.hash, b.size, strftime('%Y-%m-%dT%H:%M:%SZ', b.stored_ms / 1000, 'unixepoch') AS "
        "stored, CASE WHEN b.lost_ms > 0 THEN 'lost' WHEN b.backed_ms > 0 THEN 'backed up' ELSE "
        "'stored' END AS state, (SELECT count(*) FROM attachment a WHERE a.sha256 = b.hash) + "
        "(SELECT count(*) FROM attachment a WHERE a.thumb_sha256 = b.hash) AS \"rows\" FROM "
        "fs_blob b ORDER BY b.stored_ms, b.hash";
    return rows_show(a, text_of(SQL));
}

static int missing(admin *a)
{
    static const char SQL[] =
        "SELECT n.hash, n.id, n.part, u.code AS \"user\", strftime('%Y-%m-%dT%H:%M:%SZ', n.taken_at"
        " / 1000, 'unixepoch') AS taken FROM (SELECT id, created_by, taken_at, sha256 AS hash, "
        "'original' AS part FROM attachment UNION ALL SELECT id, created_by, taken_at, "
        "thumb_sha256, 'thumbnail' FROM attachment WHERE thumb_sha256 IS NOT NULL) n LEFT JOIN "
        "app_user u ON u.id = n.created_by WHERE NOT EXISTS (SELECT 1 FROM fs_blob b WHERE b.hash "
        "= n.hash AND b.lost_ms = 0) ORDER BY n.taken_at, n.id";
    return rows_show(a, text_of(SQL));
}

/* ---- check, collect ---- */

static void bad_say(void *ctx, const char *hash, fb_code what)
{
    const admin *a = ctx;
    if (a->json) {
        printf("{\"hash\":\"%s\",\"what\":\"%s\"}\n", hash,
               what == FB_E_NOT_FOUND ? "missing" : "damaged");
    }
    admin_say(a, what == FB_E_NOT_FOUND ? TEXT_BLOB_MISSING : TEXT_BLOB_DAMAGED, hash);
}

static int check(admin *a, bool repair)
{
    blob_place p;
    blob_report r = {0};
    fb_code rc = home_open(a, &p);
    if (rc == FB_OK) {
        rc = blob_check(&p, a->db, a->port->wall_ms(a->port->ctx), repair, bad_say, a, &r);
    }
    blob_place_clear(&p);
    if (rc != FB_OK) {
        return admin_failed(a, rc, NULL);
    }
    bool ok = r.missing + r.damaged == 0;
    report_say(a, &r, ok);
    if (!ok) {
        admin_say(a, repair ? TEXT_BLOBS_REPAIRED : TEXT_BLOBS_REPAIR);
    }
    return ok || repair ? EXIT_DONE : EXIT_FAILED;
}

static int collect(admin *a)
{
    blob_place p;
    blob_report r = {0};
    fb_code rc = home_open(a, &p);
    if (rc == FB_OK) {
        rc = blob_collect(&p, a->db, a->port->wall_ms(a->port->ctx), &r);
    }
    if (rc == FB_OK) {
        rc = blob_count(a->db, &r);
    }
    blob_place_clear(&p);
    if (rc != FB_OK) {
        return admin_failed(a, rc, NULL);
    }
    report_say(a, &r, true);
    admin_say(a, TEXT_BLOBS_REMOVED, (long long)r.removed);
    return EXIT_DONE;
}

int command_blobs(admin *a)
{
    bool repair = flag_take(a, "--repair");
    const char *verb = a->argc == 1 ? a->argv[0] : "";
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (!blob_is_known(a->db)) {
        fb_error err = {0};
        return admin_failed(a,
                            fail(&err, FB_E_CATALOG, "attachment",
                                 "the company's catalogue has no attachments: add the entity"),
                            &err);
    }
    if (strcmp(verb, "check") == 0) {
        return check(a, repair);
    }
    if (!repair && strcmp(verb, "list") == 0) {
        return list(a);
    }
    if (!repair && strcmp(verb, "missing") == 0) {
        return missing(a);
    }
    if (!repair && strcmp(verb, "collect") == 0) {
        return collect(a);
    }
    admin_warn(a, TEXT_MISSING_ARGUMENT, "list | check [--repair] | missing | collect", a->command);
    return EXIT_USAGE;
}

/* ---- in a backup ---- */

/* FILE.blobs, or DIR/blobs. */
static void folder_of(const char *backup, bool is_folder, char out[BLOBS_PATH_BYTES])
{
    size_t size = strlen(backup);
    while (is_folder && size > 1 && backup[size - 1] == '/') {
        size--;
    }
    snprintf(out, BLOBS_PATH_BYTES, "%.*s%s", (int)size, backup, is_folder ? "/blobs" : ".blobs");
}

fb_code blobs_backup(admin *a, const char *copy, const char *backup, bool is_folder,
                     int64_t hold_ms, fb_error *err)
{
    char to[BLOBS_PATH_BYTES];
    store *made = NULL;
    blob_place p;
    blob_report r = {0};
    folder_of(backup, is_folder, to);
    FB_TRY(store_open(&(store_options){.path = copy, .read_only = true}, &made, err));
    fb_code rc = home_open(a, &p);
    if (rc == FB_OK) {
        const blob_moment at = {a->port->wall_ms(a->port->ctx), hold_ms};
        rc = blob_backup(&p, made, a->db, to, &at, &r, err);
    }
    blob_place_clear(&p);
    store_close(made);
    if (rc == FB_OK && r.files + r.missing + r.damaged > 0) {
        admin_say(a, TEXT_BLOBS_BACKED, (long long)r.files, (long long)r.copied, to);
    }
    if (rc == FB_OK && r.missing + r.damaged > 0) {
        admin_warn(a, TEXT_BLOBS_NOT_BACKED, (long long)(r.missing + r.damaged));
    }
    return rc;
}

fb_code blobs_verify(const admin *a, const char *database, const char *backup, bool is_folder,
                     fb_error *err)
{
    char from[BLOBS_PATH_BYTES];
    store *s = NULL;
    blob_report r = {0};
    folder_of(backup, is_folder, from);
    FB_TRY(store_open(&(store_options){.path = database, .read_only = true}, &s, err));
    fb_code rc = blob_backup_verify(a->files, s, from, &r, err);
    store_close(s);
    return rc;
}

fb_code blobs_folder_check(const admin *a, const char *backup, fb_error *err)
{
    char folder[BLOBS_PATH_BYTES];
    blob_report r = {0};
    folder_of(backup, true, folder);
    return blob_folder_check(a->files, folder, &r, err);
}

fb_code blobs_restore(admin *a, const char *database, const char *backup, bool is_folder,
                      fb_error *err)
{
    char from[BLOBS_PATH_BYTES];
    store *s = NULL;
    blob_place p;
    blob_report r = {0};
    folder_of(backup, is_folder, from);
    FB_TRY(store_open(&(store_options){.path = database}, &s, err));
    fb_code rc = place_open(a, database, &p);
    if (rc == FB_OK) {
        rc = blob_restore(&p, s, from, &r, err);
    }
    blob_place_clear(&p);
    store_close(s);
    if (rc == FB_OK && r.copied > 0) {
        admin_say(a, TEXT_BLOBS_RESTORED, (long long)r.copied);
    }
    if (rc == FB_OK && r.missing + r.damaged > 0) {
        admin_warn(a, TEXT_BLOBS_NOT_RESTORED, (long long)(r.missing + r.damaged));
    }
    return rc;
}
