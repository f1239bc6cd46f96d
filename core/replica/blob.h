/* blob.h - the bytes of attachments on a device: what is here, what goes up, what is wanted.
 *
 * A row of the entity `attachment` travels in groups and pages like any other; it names its bytes
 * by SHA-256. The bytes stand as files in the folder PATH.blobs and travel in a lane of their own
 * (core/sync/lane.h), so a row may refer to bytes that have not arrived.
 *
 *   made here:   ASK --server lacks it--> SEND --whole--> SENT --in a verified backup--> SAFE
 *                 ^  `--server has it-----------------------^                            |
 *                 '------- new epoch, or some hours later ---------- SENT, SAFE          v
 *   elsewhere:   (no row) --want--> WANTED --whole, hash fits--> HERE --evict--> GONE  <-'
 *
 *   BLO-1  a row in ASK..SAFE or HERE has its whole file on the disk, synced before the row was
 *   BLO-2  bytes made here leave the device only from SAFE in the server's present epoch, and not
 *          while a group is open that may be the only thing that names them: the server forgets
 *          bytes that none of its rows has named for long
 *   BLO-3  bytes become HERE only when their hash fits; a file is checked again when it is lent
 *   BLO-4  a file without a row in such a state is an orphan of a crash, and removed */
#ifndef FB_REPLICA_BLOB_H
#define FB_REPLICA_BLOB_H

#include "base/blob_file.h"
#include "replica/replica.h"
#include "wire/blob_msg.h"

typedef enum blob_stage {
    BLOB_NONE = 0, /* no row: nothing is known here */
    BLOB_ASK = 1,
    BLOB_SEND = 2,
    BLOB_SENT = 3,
    BLOB_SAFE = 4,
    BLOB_WANTED = 5,
    BLOB_HERE = 6,
    BLOB_GONE = 7
} blob_stage;

typedef struct blob_info {
    digest hash;
    int64_t size;
    blob_stage stage;
    bool thumb, made_here;
    bool metered;   /* goes over a metered network whatever the policy */
    bool absent;    /* the server had not got it when it was asked last */
    int64_t offset; /* bytes that arrived: at the server, or here */
    int64_t next_ms;
    uint32_t tries; /* failures in a row */
    fb_code error;  /* of the last one */
} blob_info;
bool blob_is_here(const blob_info *b);

/* --- at rest (blob.c); all answer E_CONFIG when the handle was opened without files ----------- */

/* Inside an open capture: the bytes are on the disk, and go up when the group is committed.
 * E_LENGTH: none, or more than `max`. E_DISK_FULL, E_IO: nothing changed. */
FB_MUST_USE fb_code blob_add_bytes(replica *r, fb_text bytes, bool thumb, digest *hash_out,
                                   fb_error *err);
/* The same for a file that the app wrote; it is copied. E_NOT_FOUND: no such file. */
FB_MUST_USE fb_code blob_add_file(replica *r, const char *path, digest *hash_out, int64_t *size_out,
                                  fb_error *err);
/* What is known; stage NONE where there is no row. */
FB_MUST_USE fb_code blob_find(replica *r, const digest *hash, blob_info *out);
/* Check the file and lend it piece by piece. E_NOT_FOUND: not here. E_CORRUPT: damaged, and noted:
 * a copy of the server's is wanted again. */
FB_MUST_USE fb_code blob_lend(replica *r, const digest *hash,
                              fb_code (*fn)(void *ctx, fb_text piece), void *ctx);
/* Fetch it from the server. Here already, or on its way: nothing happens but `metered`. */
FB_MUST_USE fb_code blob_want(replica *r, const digest *hash, int64_t size, bool thumb,
                              bool metered);
/* Remove originals that the server can give again (BLO-2), oldest first, until the files take at
 * most keep_bytes. Thumbnails stay. */
FB_MUST_USE fb_code blob_evict(replica *r, int64_t keep_bytes, int64_t *freed_out);

typedef struct blob_totals {
    int64_t here_count, here_bytes;
    int64_t unsent_count, unsent_bytes; /* made here, not known to be whole at the server */
    int64_t wanted_count, wanted_bytes;
    int64_t failed_count; /* unsent or wanted, and the last try failed */
} blob_totals;
FB_MUST_USE fb_code blob_totals_get(replica *r, blob_totals *out);

/* --- on the way (blob_lane.c), for core/sync ---------------------------------------------------
 */

/* Before a round: what a new epoch or the hours ask for again, thumbnails of new rows, bytes that
 * no row names any more, orphans. One transaction. */
FB_MUST_USE fb_code blob_round_begin(replica *r, int64_t now_ms);

typedef enum blob_todo { BLOB_TODO_NONE, BLOB_TODO_ASK, BLOB_TODO_PUT, BLOB_TODO_GET } blob_todo;
typedef struct blob_rules {
    bool thumbs, originals; /* what may go over the present network */
} blob_rules;
typedef struct blob_work {
    blob_todo todo;
    digest hashes[BLOB_ASK_MAX]; /* ASK */
    uint32_t count;
    blob_info blob; /* PUT, GET */
} blob_work;
/* The next piece of work: questions, thumbnails up, thumbnails down, originals a person waits for,
 * then originals up, each oldest first. Reads only. */
FB_MUST_USE fb_code blob_next(replica *r, const blob_rules *rules, int64_t now_ms, blob_work *out);
/* Append at most `count` bytes from the blob's offset. E_NOT_FOUND, E_CORRUPT: the file is not what
 * it was; noted. */
FB_MUST_USE fb_code blob_piece(replica *r, const blob_info *b, uint32_t count, buf *out);

/* Each one transaction; now_ms: when, next_ms of a failure: when to try again. */
FB_MUST_USE fb_code blob_had_take(replica *r, const blob_work *w, const blob_had *m);
FB_MUST_USE fb_code blob_stored_take(replica *r, const blob_info *b, const blob_stored *m,
                                     int64_t next_ms);
FB_MUST_USE fb_code blob_got_take(replica *r, const blob_info *b, const blob_got *m,
                                  int64_t next_ms);
FB_MUST_USE fb_code blob_failed(replica *r, const blob_info *b, fb_code code, int64_t next_ms);

#endif
