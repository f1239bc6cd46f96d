/* files.h - what the app lends to Fieldbook for plain files: the bytes of photos and signatures.
 *
 * platform/posix provides fb_files_posix(); tests provide one that loses power. Every path is
 * UTF-8 and complete; nothing is kept open between two calls, so that a killed process leaves
 * nothing behind. Calls may come from several threads, never two at once for one path.
 *
 * All of them answer FB_E_IO, FB_E_DISK_FULL or FB_E_NO_MEMORY when the system fails. */
#ifndef FIELDBOOK_FILES_H
#define FIELDBOOK_FILES_H

#include "fieldbook/error.h"
#include "fieldbook/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* name: without the folder; borrowed for the call. Anything but FB_OK ends the walk. */
typedef fb_code (*fb_file_fn)(void *ctx, const char *name);

typedef struct fb_files {
    void *ctx;
    /* Make a folder for its owner alone (mode 0700), durable on return. One that is there: FB_OK.
     */
    fb_code (*folder)(void *ctx, const char *path);
    /* Write at `offset`, which is at most the file's size, and cut the file behind it. A new file
     * is its owner's alone (mode 0600). `sync`: everything written so far is on the disk on
     * return. */
    fb_code (*write)(void *ctx, const char *path, int64_t offset, fb_text bytes, bool sync);
    /* At most `size` bytes from `offset`; fewer only at the end. FB_E_NOT_FOUND: no such file. */
    fb_code (*read)(void *ctx, const char *path, int64_t offset, void *out, size_t size,
                    size_t *got_out);
    /* FB_E_NOT_FOUND: no such file. */
    fb_code (*size)(void *ctx, const char *path, int64_t *size_out);
    /* Within one file system, in place of what stands at `to`; durable on return. */
    fb_code (*rename)(void *ctx, const char *from, const char *to);
    /* One that is not there: FB_OK. */
    fb_code (*remove)(void *ctx, const char *path);
    /* Lend the name of every entry but . and .. to fn, in any order. No such folder: none. fn may
     * remove and rename. */
    fb_code (*each)(void *ctx, const char *folder, fb_file_fn fn, void *fn_ctx);
    /* Bytes that may still be written there. */
    fb_code (*free_bytes)(void *ctx, const char *folder, int64_t *bytes_out);
} fb_files;

#ifdef __cplusplus
}
#endif
#endif
