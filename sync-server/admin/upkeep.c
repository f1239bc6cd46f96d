/* upkeep.c - check, backup, catalogue additions. See admin.h.
 *
 * A backup is a consistent copy made page by page while the server goes on; it is checked before it
 * counts, and only then is the commit it reaches recorded as backed up: devices keep their sent
 * groups until then (sync.md decision 7). */
#include "sync-server/admin/admin.h"

#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "sync-server/door/door.h"

bool file_load(const char *path, buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0) {
        buf_put(out, block, n);
    }
    bool good = ferror(f) == 0 && out->code == FB_OK;
    fclose(f);
    return good;
}

static fb_code check_run(admin *a, int64_t *commits, int64_t *entries, fb_error *err)
{
    FB_TRY(store_check(a->db, err));
    FB_TRY(ledger_head(a->db, commits));
    int64_t bad = 0;
    FB_TRY(audit_verify(a->db, entries, &bad));
    if (bad != 0) {
        return fail(err, FB_E_CORRUPT, "fs_audit",
                    "audit entry %lld does not fit the chain: it or one before it was changed",
                    (long long)bad);
    }
    return FB_OK;
}

int command_check(admin *a)
{
    int64_t commits = 0, entries = 0;
    fb_error err = {0};
    fb_code rc = check_run(a, &commits, &entries, &err);
    if (a->json) {
        printf("{\"ok\":%s,\"commits\":\"%lld\",\"audit_entries\":\"%lld\"}\n",
               rc == FB_OK ? "true" : "false", (long long)commits, (long long)entries);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_CHECK_OK, (long long)commits, (long long)entries);
    return EXIT_DONE;
}

static void backup_progress(void *ctx, int done, int total)
{
    const admin *a = ctx;
    if (!a->json && total > 0) {
        fprintf(stderr, a->chinese ? "\r备份 %d %%" : "\rbackup %d %%",
                (int)(100LL * done / total));
    }
}

static fb_code backup_record(admin *a, int64_t head, const char *hash_hex)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)head);
    FB_TRY(store_begin(a->db));
    char detail[160];
    snprintf(detail, sizeof detail, "{\"commit\":\"%s\",\"sha256\":\"%s\"}", number, hash_hex);
    fb_code rc = store_meta_set(a->db, "backed_up_cid", text_of(number));
    if (rc == FB_OK) {
        rc = audit_put(a->db, a->port->wall_ms(a->port->ctx), text_of("admin"), text_of("backup"),
                       (fb_text){NULL, 0}, NULL, text_of(detail));
    }
    if (rc != FB_OK) {
        store_rollback(a->db);
        return rc;
    }
    return store_commit(a->db);
}

/* Needs the company only here: a backup can be checked where there is none. */
static fb_code company_open(admin *a, fb_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/master.db", a->home);
    return store_open(&(store_options){.path = path}, &a->db, err);
}

static fb_code backup_make(admin *a, const char *path, backup_facts *facts, fb_error *err)
{
    FB_TRY(company_open(a, err));
    fb_code rc = store_backup(a->db, path, backup_progress, a, err);
    if (!a->json) {
        fputc('\n', stderr);
    }
    if (rc == FB_OK) {
        rc = backup_manifest_write(path, facts, err);
    }
    if (rc == FB_OK) {
        rc = backup_check(path, facts, err);
    }
    if (rc == FB_OK) {
        rc = backup_record(a, facts->head, facts->sha256);
    }
    store_close(a->db);
    a->db = NULL;
    return rc;
}

static int backup_run(admin *a, const char *path)
{
    backup_facts facts = {0};
    fb_error err = {0};
    struct stat st;
    if (stat(path, &st) == 0) {
        return admin_failed(a, fail(&err, FB_E_EXISTS, path, "the file exists: choose a new name"),
                            &err);
    }
    fb_code rc = backup_make(a, path, &facts, &err);
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

int command_backup(admin *a)
{
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc == 2 && strcmp(a->argv[0], "verify") == 0) {
        return command_backup_verify(a, a->argv[1]);
    }
    if (a->argc == 1) {
        return backup_run(a, a->argv[0]);
    }
    admin_warn(a, TEXT_MISSING_ARGUMENT, "FILE", a->command);
    return EXIT_USAGE;
}

static int catalog_install(admin *a, const char *path)
{
    buf module;
    buf_init(&module, 4 << 20);
    fb_error err = {0};
    fb_code rc = file_load(path, &module)
                     ? door_catalog_grow(a->db, buf_text(&module), a->port, &err)
                     : fail(&err, FB_E_IO, path, "cannot read the file: check its name and rights");
    buf_clear(&module);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_CATALOG_DONE, store_catalog(a->db)->version);
    return EXIT_DONE;
}

int command_catalog(admin *a)
{
    if (!options_left(a) && a->argc == 2 && strcmp(a->argv[0], "add") == 0) {
        return catalog_install(a, a->argv[1]);
    }
    if (a->argc == 1 && strcmp(a->argv[0], "show") == 0) {
        puts(store_catalog(a->db)->text.data);
        return EXIT_DONE;
    }
    admin_warn(a, TEXT_MISSING_ARGUMENT, "show | add FILE.json", a->command);
    return EXIT_USAGE;
}
