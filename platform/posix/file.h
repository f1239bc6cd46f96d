/* file.h - whole small files: certificates, keys, configuration.
 *
 *   FIL-1  file_create never replaces a file and is on disk when it returns
 *   FIL-2  a private file is created with mode 0600, never widened and narrowed afterwards */
#ifndef FB_POSIX_FILE_H
#define FB_POSIX_FILE_H

#include "base/bytes.h"

/* Append the whole file to `out`, whose maximum bounds it.
 * FB_E_NOT_FOUND, FB_E_IO, FB_E_LIMIT, FB_E_NO_MEMORY; err->field is the path. */
FB_MUST_USE fb_code file_get(const char *path, buf *out, fb_error *err);

/* Create `path` with `content`: mode 0600 if private, else 0644 less the umask.
 * FB_E_EXISTS when something stands there; FB_E_IO, FB_E_DISK_FULL: nothing is left behind. */
FB_MUST_USE fb_code file_create(const char *path, fb_text content, bool is_private, fb_error *err);

/* Replace `path` as a whole (written beside it, then renamed); readers see the old or the new. */
FB_MUST_USE fb_code file_replace(const char *path, fb_text content, bool is_private, fb_error *err);

/* FB_OK when only its owner may read it; FB_E_CONFIG with the cure when others may too. */
FB_MUST_USE fb_code file_require_private(const char *path, fb_error *err);

#endif
