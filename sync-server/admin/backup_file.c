/* backup_file.c - one backup file and FILE.sha256 beside it: written, compared, looked into; and
 * moments as text. See admin.h. */
#include "sync-server/admin/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/posix/file.h"

enum {
    NAME_BYTES = 4200,
    HEX_BYTES = DIGEST_TEXT_BYTES - 1,
    LINE_BYTES = NAME_BYTES + HEX_BYTES + 4
};

fb_code backup_file_digest(const char *path, digest *out, int64_t *bytes_out, fb_error *err)
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

void digest_text(const digest *d, char out[DIGEST_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof d->b; i++) {
        out[2 * i] = digits[d->b[i] >> 4];
        out[2 * i + 1] = digits[d->b[i] & 15];
    }
    out[HEX_BYTES] = '\0';
}

/* "<64 hex>  <name>\n", as sha256sum writes it. */
static void manifest_line(const char *path, const char *sha256, char out[LINE_BYTES])
{
    const char *base = strrchr(path, '/');
    snprintf(out, LINE_BYTES, "%s  %s\n", sha256, base != NULL ? base + 1 : path);
}

fb_code backup_manifest_write(const char *path, backup_facts *out, fb_error *err)
{
    char name[NAME_BYTES], line[LINE_BYTES];
    digest hash;
    FB_TRY(backup_file_digest(path, &hash, &out->bytes, err));
    digest_text(&hash, out->sha256);
    manifest_line(path, out->sha256, line);
    manifest_name(path, name);
    return file_replace(name, text_of(line), true, err);
}

static fb_code manifest_compare(const char *path, const char *name, const buf *written,
                                const backup_facts *facts, fb_error *err)
{
    char line[LINE_BYTES];
    manifest_line(path, facts->sha256, line);
    if (written->size <= HEX_BYTES || memcmp(written->data, line, HEX_BYTES) != 0) {
        return fail(err, FB_E_CORRUPT, path,
                    "its bytes are not the ones that were written (SHA-256 differs from %s): "
                    "use another backup",
                    name);
    }
    return text_is(buf_text(written), line)
               ? FB_OK
               : fail(err, FB_E_CORRUPT, name,
                      "it names another file, or was damaged: if the backup was renamed, write its "
                      "new name there");
}

static fb_code manifest_check(const char *path, backup_facts *out, fb_error *err)
{
    char name[NAME_BYTES];
    digest hash;
    buf line;
    buf_init(&line, LINE_BYTES);
    manifest_name(path, name);
    fb_code rc = file_get(name, &line, err);
    if (rc == FB_OK) {
        rc = backup_file_digest(path, &hash, &out->bytes, err);
    }
    if (rc == FB_OK) {
        digest_text(&hash, out->sha256);
        rc = manifest_compare(path, name, &line, out, err);
    }
    buf_clear(&line);
    return rc;
}

void time_text(int64_t ms, char out[TIME_TEXT_BYTES])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(out, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

bool time_get(const char *text, int64_t *ms_out)
{
    static const char *const FORMS[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        struct tm utc = {0};
        const char *end = strptime(text, FORMS[i], &utc);
        if (end != NULL && (*end == '\0' || strcmp(end, "Z") == 0)) {
            *ms_out = (int64_t)timegm(&utc) * 1000;
            return true;
        }
    }
    return false;
}

static fb_code epoch_get(store *copy, fb_id *out)
{
    buf value;
    buf_init(&value, 64);
    fb_code rc = store_meta_get(copy, "epoch", &value);
    if (rc == FB_OK && value.size != sizeof out->b) {
        rc = FB_E_CORRUPT;
    }
    if (rc == FB_OK) {
        memcpy(out->b, value.data, sizeof out->b);
    }
    buf_clear(&value);
    return rc;
}

fb_code backup_content_check(const char *path, backup_facts *out, fb_error *err)
{
    store *copy = NULL;
    int64_t bad = 0;
    FB_TRY(store_open(&(store_options){.path = path, .read_only = true}, &copy, err));
    fb_code rc = store_check(copy, err);
    if (rc == FB_OK) {
        rc = epoch_get(copy, &out->epoch);
    }
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
    return backup_content_check(path, out, err);
}
