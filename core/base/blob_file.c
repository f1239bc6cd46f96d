/* blob_file.c - see blob_file.h. */
#include "base/blob_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BLOCK_BYTES = 64 << 10 };

void blob_name_put(const digest *hash, char out[BLOB_NAME_BYTES + 1])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = DIGITS[hash->b[i] >> 4];
        out[2 * i + 1] = DIGITS[hash->b[i] & 15];
    }
    out[BLOB_NAME_BYTES] = '\0';
}

bool blob_name_get(fb_text name, digest *out)
{
    return name.size == BLOB_NAME_BYTES && hex_get(name, out->b, sizeof out->b);
}

static fb_code hash_blocks(const fb_files *files, const char *path, char *block, digest_run *run,
                           int64_t *size_out)
{
    int64_t at = 0;
    size_t got = BLOCK_BYTES;
    while (got == BLOCK_BYTES) {
        FB_TRY(files->read(files->ctx, path, at, block, BLOCK_BYTES, &got));
        digest_add(run, block, got);
        at += (int64_t)got;
    }
    *size_out = at;
    return FB_OK;
}

fb_code blob_file_hash(const fb_files *files, const char *path, digest *out, int64_t *size_out)
{
    digest_run run;
    digest made;
    int64_t size = 0;
    char *block = malloc(BLOCK_BYTES);
    if (block == NULL) {
        return FB_E_NO_MEMORY;
    }
    digest_begin(&run);
    fb_code rc = hash_blocks(files, path, block, &run, &size);
    digest_end(&run, &made);
    free(block);
    if (rc == FB_OK) {
        *out = made;
        *size_out = size;
    }
    return rc;
}

fb_code blob_file_check(const fb_files *files, const char *path, const digest *hash, int64_t size)
{
    digest found;
    int64_t found_size = 0;
    FB_TRY(files->size(files->ctx, path, &found_size)); /* cheap, and enough for most damage */
    if (found_size != size) {
        return FB_E_CORRUPT;
    }
    FB_TRY(blob_file_hash(files, path, &found, &found_size));
    return found_size == size && memcmp(found.b, hash->b, sizeof found.b) == 0 ? FB_OK
                                                                               : FB_E_CORRUPT;
}

fb_code blob_file_finish(const fb_files *files, const char *part, const char *path,
                         const digest *hash, int64_t size)
{
    fb_code rc = blob_file_check(files, part, hash, size);
    if (rc == FB_E_CORRUPT) {
        FB_TRY(files->remove(files->ctx, part));
        return FB_E_CORRUPT;
    }
    FB_TRY(rc);
    return files->rename(files->ctx, part, path);
}
