/* upkeep.c - check, catalogue additions. See admin.h. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sync-server/door/door.h"
#include "sync-server/feed/feed.h"

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
    FB_TRY(feed_digest_check(a->db, err));
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

/* Devices mend themselves; a person is to know that they had to. */
static fb_code check_devices(admin *a, int64_t *faults)
{
    int64_t devices = 0;
    FB_TRY(door_device_faults(a->db, &devices, faults));
    if (*faults > 0) {
        admin_warn(a, TEXT_CHECK_DIGEST, (long long)devices, (long long)*faults);
    }
    return FB_OK;
}

int command_check(admin *a)
{
    int64_t commits = 0, entries = 0, faults = 0;
    fb_error err = {0};
    fb_code rc = check_run(a, &commits, &entries, &err);
    if (rc == FB_OK) {
        rc = check_devices(a, &faults);
    }
    if (a->json) {
        printf("{\"ok\":%s,\"commits\":\"%lld\",\"audit_entries\":\"%lld\","
               "\"digest_faults\":\"%lld\"}\n",
               rc == FB_OK ? "true" : "false", (long long)commits, (long long)entries,
               (long long)faults);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_CHECK_OK, (long long)commits, (long long)entries);
    return EXIT_DONE;
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
