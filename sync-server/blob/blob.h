/* blob.h - the bytes of attachments on the server: files named by hash in a folder beside the
 * database, and who may bring and fetch them.
 *
 *   DATABASE.blobs/ab/cd/HASH          whole, checked, synced; fs_blob has a row
 *   DATABASE.blobs/part/HASH-DEVICE    an upload that goes on at its size; fs_blob_part has a row
 *
 * Only the writer touches the tables, any thread the files: a piece is written by the reader that
 * took the request, so that photos never hold up the rows of others.
 *
 *   BSV-1  "stored" is said only after the file has its name and the row is committed
 *   BSV-2  a part belongs to one device: nobody can spoil another one's upload
 *   BSV-3  bytes go only to a device that sees a row that names them, and only if the person who
 *          made that row has sent the bytes: a hash is no key to what somebody else has
 *   BSV-4  the answer about a hash that a device may not see is that about one that nobody has
 *   BSV-5  a file is believed only after its size was looked at; what a check finds damaged is
 *          taken away, so that a device that still has it sends it again */
#ifndef FB_BLOB_BLOB_H
#define FB_BLOB_BLOB_H

#include <stdatomic.h>

#include "base/blob_file.h"
#include "sync-server/feed/feed.h"
#include "sync-server/store/store.h"
#include "wire/blob_msg.h"

enum { BLOB_LOCKS = 64 };

typedef struct blob_limits {
    int64_t device_day_bytes; /* what one device may send in 24 hours; 0: no limit */
    int64_t total_bytes;      /* all files together; 0: no limit */
    int64_t free_bytes_min;   /* left on the disk for the database */
    int64_t unnamed_days;     /* after which bytes that no row names are removed */
} blob_limits;

typedef struct blob_place {
    const fb_files *files;
    char *folder; /* owned */
    blob_limits limits;
    _Atomic uint64_t locks[BLOB_LOCKS]; /* parts being written now, by a number of theirs */
} blob_place;
/* files NULL: no attachments are served. E_NO_MEMORY. */
FB_MUST_USE fb_code blob_place_init(blob_place *p, const fb_files *files, const char *database,
                                    const blob_limits *limits);
void blob_place_clear(blob_place *p);
/* Path of a whole file; look at path->code, then clear it. */
const char *blob_place_path(const blob_place *p, const digest *hash, buf *path);

/* False: the company's catalogue is older than attachments. */
bool blob_is_known(store *s);

/* Who asks. */
typedef struct blob_caller {
    fb_id device, user;
    int64_t now_ms;
} blob_caller;

/* --- reading, inside a snapshot ----------------------------------------------------------------
 */

/* What the server holds of each, as this device may know it (BSV-4). */
FB_MUST_USE fb_code blob_have(const blob_place *p, store *view, const blob_caller *c,
                              const blob_ask *q, blob_had *out);

/* May this piece be taken? *stored_out: the whole file is here already, *begun_out: the upload has
 * a row. E_RATE: the device's day is full. E_DISK_FULL: the server's room is. */
FB_MUST_USE fb_code blob_put_check(const blob_place *p, store *view, const blob_caller *c,
                                   const blob_put *q, bool *begun_out, blob_stored *stored_out);
/* BSV-3. E_NOT_FOUND: not for this device. *out->absent: for this device, but not here yet. */
FB_MUST_USE fb_code blob_get_find(const blob_place *p, store *view, const blob_caller *c,
                                  const blob_get *q, arena *memory, blob_got *out);

/* --- files, any thread --------------------------------------------------------------------------
 */

/* Write the piece; *whole_out: it was the last one, and the file has its name. E_BUSY: another
 * request writes this part now. E_INVALID: the bytes are not what their hash says; the part is
 * gone. */
FB_MUST_USE fb_code blob_put_write(blob_place *p, const blob_caller *c, const blob_put *q,
                                   int64_t *offset_out, bool *whole_out);
/* Read the piece found before into `out`. */
FB_MUST_USE fb_code blob_get_read(const blob_place *p, const digest *hash, blob_got *m, buf *out);

/* --- writing, inside the writer's transaction ---------------------------------------------------
 */

FB_MUST_USE fb_code blob_part_begin(store *s, const blob_caller *c, const blob_put *q);
FB_MUST_USE fb_code blob_whole(store *s, const blob_caller *c, const blob_put *q);

/* --- upkeep: the administrator and the server's timer, own transactions -------------------------
 */

typedef struct blob_report {
    int64_t files, bytes; /* whole, by the database */
    int64_t missing, damaged;
    int64_t waiting; /* attachments whose bytes have not arrived */
    int64_t removed; /* uploads nobody names, and parts left lying */
    int64_t copied;
} blob_report;
/* Count what is stored and what rows wait for. */
FB_MUST_USE fb_code blob_count(store *s, blob_report *out);
/* Every whole file against its hash. With `repair` what is missing or damaged is noted as lost and
 * taken away (BSV-5). fn (may be NULL) is told each. */
typedef void (*blob_bad_fn)(void *ctx, const char *hash, fb_code what);
FB_MUST_USE fb_code blob_check(const blob_place *p, store *s, int64_t now_ms, bool repair,
                               blob_bad_fn fn, void *ctx, blob_report *out);
/* fn for every hash that a row names and the server has not got. */
FB_MUST_USE fb_code blob_missing(store *s, void (*fn)(void *ctx, const char *hash), void *ctx);
/* Remove bytes that no row has named for limits.unnamed_days, parts as old, and files of parts that
 * the database does not know (it was restored, or a crash came between). */
FB_MUST_USE fb_code blob_collect(const blob_place *p, store *s, int64_t now_ms, blob_report *out);
/* The bytes of a file that no row names any more go at once. *removed_out false: a row names it. */
FB_MUST_USE fb_code blob_forget(const blob_place *p, store *s, const digest *hash,
                                bool *removed_out);
typedef struct blob_moment {
    int64_t now_ms, hold_ms;
} blob_moment;
/* Copy every whole file that `copy`, the backup of the database, counts as stored and `to_folder`
 * lacks, checked on both ends, and mark it in `s` as backed up: only what a restore would know of
 * (BAK-1), and only once a backup of hold_ms ago had it (BAK-2): a restore of any moment since then
 * does. What arrived after the copy waits for the next. Files of earlier backups stay. */
FB_MUST_USE fb_code blob_backup(const blob_place *p, store *copy, store *s, const char *to_folder,
                                const blob_moment *at, blob_report *out, fb_error *err);
/* Every file of from_folder against the hash that is its name. What should be there and is not,
 * blob_backup_verify tells. */
FB_MUST_USE fb_code blob_folder_check(const fb_files *files, const char *folder, blob_report *out,
                                      fb_error *err);
/* Every file that the database of a backup counts as stored, against its hash in from_folder. */
FB_MUST_USE fb_code blob_backup_verify(const fb_files *files, store *backup,
                                       const char *from_folder, blob_report *out, fb_error *err);
/* Put the files of a backup back where this database lacks them. */
FB_MUST_USE fb_code blob_restore(const blob_place *p, store *s, const char *from_folder,
                                 blob_report *out, fb_error *err);

#endif
