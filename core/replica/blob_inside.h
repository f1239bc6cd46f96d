/* blob_inside.h - what blob.c and blob_lane.c share; nobody else includes it. */
#ifndef FB_REPLICA_BLOB_INSIDE_H
#define FB_REPLICA_BLOB_INSIDE_H

#include "replica/room.h"

enum { BLOB_UP = 1, BLOB_DOWN = 2 }; /* fb_blob.direction */
#define BLOB_ABSENT "absent"         /* fb_blob.error: the server has not got it yet */
#define BLOB_PART ".part"

/* E_CONFIG with the cure when the handle was opened without files. */
FB_MUST_USE fb_code blobs_need_files(const replica *r, fb_error *err);
/* FOLDER/HASH and the ending; look at path->code, then clear it. */
const char *blob_path(replica *r, buf *path, const digest *hash, const char *ending);
FB_MUST_USE fb_code blob_file_drop(replica *r, const digest *hash, const char *ending);
/* Columns size .. error of blob.c's SELECT, beginning at column `at`. */
void blob_info_read(sql_stmt *s, int at, blob_info *out);
/* Inside a transaction: the stage, nothing under way, and why. */
FB_MUST_USE fb_code blob_stage_put(replica *r, const digest *hash, blob_stage stage, fb_code error);
/* Nothing here is still on its way to being judged: a row that is missing is missing for good. */
FB_MUST_USE fb_code blob_all_is_settled(replica *r, bool *out);
/* Inside a transaction: the file is not what it was. */
FB_MUST_USE fb_code blob_damaged(replica *r, const blob_info *b);

/* Everything but `hash` is as `b` says; epoch and error are empty. */
FB_MUST_USE fb_code blob_row_put(replica *r, const blob_info *b, int64_t at_ms);

#endif
