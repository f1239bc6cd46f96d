/* journal.h - the second copy of what a person saved: an append-only, checksummed file beside the
 * database, enough to rebuild the outbox when the database is lost.
 *
 * Two files take turns, <database>-outbox1 and -outbox2: a new one is written whole, synced, and
 * becomes the current one with its first 64 bytes; then the other one is emptied. Both go through
 * the database's file layer (sql_file.h).
 *
 *   segment   "FBoutbx1" | generation u64 | life i64 | 24 zeros | sum 16     64 bytes
 *   record    sum 16 | size u32 | type u8 | mark u8 | 0 u16 | gseq i64 | payload
 *             sum = SHA-256(sum of the record before | the 16 bytes behind it, mark as 0 | payload)
 *             cut to 16 bytes: a record fits only behind the one it was written behind
 *
 * All numbers little-endian. The order of a capture, all of it under the database's write lock:
 *
 *   record, mark 0 -> COMMIT, synced -> mark 1 -> "saved"
 *
 *   JRN-1  a group whose commit failed is never read back: it is the last record, with mark 0
 *   JRN-2  a group that was reported saved is here with mark 1, or behind it stands another record
 *   JRN-3  records are synced before the write-ahead log is brought into the database: what is not
 *          synced here is still in that log, synced
 *   JRN-4  the current segment alone is enough: nothing in it refers to another file
 *   JRN-5  where a record that does not count stood, the next one is written only when nothing of
 * it can come back: with the power gone, the later one's mark would make it count
 *
 * Knows nothing of tables; second.c says what is written and when, salvage.c reads it back. */
#ifndef FB_REPLICA_JOURNAL_H
#define FB_REPLICA_JOURNAL_H

#include "base/digest.h"
#include "sql/sql_file.h"

enum { JOURNAL_SUM_BYTES = 16, JOURNAL_RECORD_BYTES_MAX = 16 << 20 };

typedef enum journal_type {
    JOURNAL_IDENTITY = 'I', /* who this device is, and where the pruned part ends */
    JOURNAL_CATALOG = 'K',  /* a catalogue's text, packed */
    JOURNAL_COUNTERS = 'N', /* document numbers */
    JOURNAL_GROUP = 'G',    /* a group of this incarnation */
    JOURNAL_ARCHIVED = 'A', /* one of the tray or of an earlier incarnation, with its verdict */
    JOURNAL_CLOSED = 'C',   /* a person closed a refused group */
    JOURNAL_DRAFT = 'F',    /* a draft as it is now; without a body: it is gone */
    JOURNAL_SALVAGE = 'S'   /* this segment is all there is: the database is to be made from it */
} journal_type;

typedef struct journal_record {
    journal_type type;
    int64_t gseq;
    bool confirmed; /* mark 1, or another record behind it: its commit was seen */
    fb_text payload;
} journal_record;

typedef struct journal {
    char *vfs, *path; /* of the database; vfs NULL: default */
    sql_file *file;   /* the current segment; NULL: there is none */
    int segment;      /* 1 or 2 */
    uint64_t generation;
    int64_t life;
    uint64_t end; /* behind the last record that counts */
    uint8_t sum[JOURNAL_SUM_BYTES];
    bool open; /* at `end` stands a record with mark 0: confirm or withdraw it */
    uint64_t open_size;
    uint8_t open_sum[JOURNAL_SUM_BYTES];
    bool unsynced;      /* something was written since the last sync */
    bool tail_in_doubt; /* what stood behind `end` is not known to be gone: JRN-5 */
    sql_file *making;   /* the other segment, being written */
    int64_t making_life;
    uint64_t kept_end; /* of the current one meanwhile */
    uint8_t kept_sum[JOURNAL_SUM_BYTES];
    sql_file *before;   /* the segment that was current until journal_end */
    buf bytes, payload; /* scratch */
} journal;

/* Lends the path; opens nothing. */
FB_MUST_USE fb_code journal_init(journal *j, const char *vfs, const char *path);
void journal_clear(journal *j); /* closes; safe on a zeroed one */

/* Find the current segment; the one that is open already stays where it stands. E_NOT_FOUND:
 * neither file is one. E_NEWER: of a later version. */
FB_MUST_USE fb_code journal_open(journal *j);
/* Read on from `end` as far as records fit, and give each to fn (NULL: to nobody). `end` and `sum`
 * then stand behind the last confirmed one; a last one that is not is the open record. What stands
 * behind is what a crash left. */
FB_MUST_USE fb_code journal_follow(journal *j,
                                   fb_code (*fn)(void *ctx, const journal_record *record),
                                   void *ctx);
void journal_rewind(journal *j); /* follow from the first record again */

/* Write one record behind the others. `open`: with mark 0. On failure nothing was added. */
FB_MUST_USE fb_code journal_append(journal *j, journal_type type, int64_t gseq, fb_text payload,
                                   bool open);
FB_MUST_USE fb_code journal_confirm(journal *j);
/* The open record does not count: the next one takes its place. */
void journal_withdraw(journal *j);
/* Read it again next time: it may be another process's, which is about to confirm it. */
void journal_leave_open(journal *j);
FB_MUST_USE fb_code journal_sync(journal *j); /* JRN-3; nothing to do: nothing is done */

/* Write a new segment: begin, appends (never open), end. Until end the old one stands. */
FB_MUST_USE fb_code journal_begin(journal *j, int64_t life);
FB_MUST_USE fb_code journal_end(journal *j);
void journal_give_up(journal *j);    /* instead of end */
void journal_forget_old(journal *j); /* empty the segment before: the new one is known to all */

#endif
