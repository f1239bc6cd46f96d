/* blob_inside.h - what the files of sync-server/blob share; nobody else includes it.
 *
 *   blob_file.c    names, locks, pieces: the files      any thread
 *   blob_rows.c    who may what: the tables             snapshot or the writer's transaction
 *   blob_upkeep.c  check, collect, backup, restore      the administrator, the timer */
#ifndef FB_BLOB_BLOB_INSIDE_H
#define FB_BLOB_BLOB_INSIDE_H

#include "sync-server/blob/blob.h"

/* FOLDER/ab/cd/HASH; look at path->code, then clear it. */
const char *blob_path_in(const char *folder, const digest *hash, buf *path);
const char *blob_part_path(const blob_place *p, const digest *hash, const fb_id *device, buf *path);
FB_MUST_USE fb_code blob_folders_make(const fb_files *f, const char *root, const digest *hash);
/* -1: there is no such file. */
FB_MUST_USE fb_code blob_file_size(const blob_place *p, const char *path, int64_t *out);
FB_MUST_USE fb_code blob_is_there(const blob_place *p, const digest *hash, int64_t size, bool *out);
FB_MUST_USE fb_code blob_part_size(const blob_place *p, const digest *hash, const fb_id *device,
                                   int64_t *out);

/* fs_blob. found false: no row, or its file was lost. */
typedef struct blob_row {
    bool found, backed;
    int64_t size;
} blob_row;
FB_MUST_USE fb_code blob_row_get(store *s, const digest *hash, blob_row *out);
/* Has this upload begun? Then *size_out (may be NULL) is the size it was announced with. */
FB_MUST_USE fb_code blob_part_known(store *s, const digest *hash, const fb_id *device,
                                    bool *row_out, int64_t *size_out);
/* Bind the 64 digits of the hash; `room` lives until the statement is reset. */
void blob_bind(store_stmt *q, int i, const digest *hash, char room[BLOB_NAME_BYTES + 1]);

#endif
