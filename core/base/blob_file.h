/* blob_file.h - files named by the SHA-256 of what they hold: the same on device and server.
 *
 * A file grows under another name ("part") and gets its own name only when it is whole, checked and
 * synced, so that a file with a hash for a name is never half there. Both sides check again before
 * they believe their disk.
 *
 *   BLB-1  a file named by a hash was whole, synced and had that hash when it got the name
 *   BLB-2  bytes that do not have the hash they were promised to have are dropped, never kept */
#ifndef FB_BASE_BLOB_FILE_H
#define FB_BASE_BLOB_FILE_H

#include "base/digest.h"
#include "fieldbook/files.h"

enum { BLOB_NAME_BYTES = 2 * DIGEST_BYTES };

/* 64 lower-case hexadecimal digits and the terminator. */
void blob_name_put(const digest *hash, char out[BLOB_NAME_BYTES + 1]);
/* False: not 64 lower-case hexadecimal digits. What is not a hash never becomes a path. */
bool blob_name_get(fb_text name, digest *out);

/* SHA-256 and size of the file. FB_E_NOT_FOUND. */
FB_MUST_USE fb_code blob_file_hash(const fb_files *files, const char *path, digest *out,
                                   int64_t *size_out);
/* Does the file hold what its name says? FB_E_CORRUPT: it does not. FB_E_NOT_FOUND. */
FB_MUST_USE fb_code blob_file_check(const fb_files *files, const char *path, const digest *hash,
                                    int64_t size);
/* The part is complete: check it and give it its name (BLB-1). FB_E_CORRUPT: it was not what was
 * promised, and is gone (BLB-2). */
FB_MUST_USE fb_code blob_file_finish(const fb_files *files, const char *part, const char *path,
                                     const digest *hash, int64_t size);

#endif
