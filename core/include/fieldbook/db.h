/* db.h - a person's replica: one file, opened, written in groups, closed.
 *
 * Threads: one fb_db handle is used by one thread at a time; a file may have several handles in one
 * process (one for the screens, one for a background synchronisation). Writers take turns: a call
 * that meets another handle's write transaction waits up to five seconds, then FB_E_BUSY, and
 * nothing changed. No call starts a thread.
 *
 * Groups: what a person does is one group: its rows are accepted or refused together by the server.
 * Without fb_group_begin every writing call is a group of its own.
 *
 *   fb_group_begin -> visit, order, payment calls -> fb_group_commit | fb_group_abort */
#ifndef FIELDBOOK_DB_H
#define FIELDBOOK_DB_H

#include "fieldbook/error.h"
#include "fieldbook/files.h"
#include "fieldbook/port.h"
#include "fieldbook/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_db fb_db;

typedef struct fb_db_options {
    uint32_t size_bytes; /* sizeof(fb_db_options), set by FB_DB_OPTIONS_INIT */
    const fb_port *port; /* clock, randomness, log; required; borrowed until fb_db_close */
    const char *vfs;     /* SQLite file layer by name; NULL: the default; borrowed for the call */
    bool create;         /* make the file when there is none */
    bool read_only;      /* refuse every write with FB_E_READ_ONLY */
    bool
        sync_normal; /* do not sync every commit: power loss may take the last ones. Benches only */
    int32_t cache_kib;     /* page cache; 0: SQLite's default */
    int32_t tz_offset_min; /* minutes east of UTC that turn an instant into a business date;
                              -720..840 */
    const fb_files *files; /* for the bytes of attachments, kept in PATH.blobs; NULL: none are kept;
                              borrowed until fb_db_close */
} fb_db_options;

/* clang-format off */
#define FB_DB_OPTIONS_INIT {sizeof(fb_db_options), NULL, NULL, true, false, false, 0, 0, NULL}
/* clang-format on */

/* Open the replica at `path` (UTF-8), bringing its tables to this version, and set *out, which the
 * caller ends with fb_db_close. `options` is borrowed for the call. FB_E_MISUSE: path, out or
 * options->port missing. FB_E_NEWER: written by a newer version. A damaged, lost or older
 * database is made again from the second copy beside it (README.md, "When the file is damaged";
 * fb_status.salvaged_ms), as is one with a place that four openings could not read. FB_E_CORRUPT:
 * it is damaged and there is no second copy, or it was opened for reading. FB_E_LOCKED: it is
 * damaged and another process has it open. FB_E_BUSY: another process writes. FB_E_NOT_FOUND: there
 * is no file and create is false. FB_E_DISK_FULL, FB_E_IO: the file. *out is untouched and the data
 * unchanged. */
FB_API FB_MUST_USE fb_code fb_db_open(const char *path, const fb_db_options *options, fb_db **out,
                                      fb_error *err);

/* Close the handle and free everything it lent. An open group is aborted. NULL is fine. Handles
 * that hang on it (fb_order, fb_sync) must have been closed before. */
FB_API void fb_db_close(fb_db *db);

/* Check the file and every promise of the replica (outbox without gaps, chain, undo images,
 * visible = base + pending). Reads everything and changes no row. FB_E_CORRUPT, here as from every
 * other call: err->message names what is broken, and it is noted beside the file, so that the next
 * fb_db_open makes the database again from the second copy: close it and open it. */
FB_API FB_MUST_USE fb_code fb_db_check(fb_db *db, fb_error *err);

/* Who this replica belongs to. Texts are terminated; empty before enrolment. */
typedef struct fb_identity {
    uint32_t size_bytes; /* set by the caller: sizeof(fb_identity) */
    bool enrolled;
    fb_id device, user;
    char device_code[16]; /* stands in document numbers */
    char user_code[48];
    char user_name[128]; /* personal data: not for logs */
    char server_url[256];
} fb_identity;

/* Fill *out. An unenrolled replica is no failure: enrolled is false. */
FB_API FB_MUST_USE fb_code fb_db_identity(fb_db *db, fb_identity *out, fb_error *err);

/* Milliseconds UTC by the device's clock, corrected by the offset measured at the last sync.
 * *suspect_out (may be NULL): the clock is implausible, e.g. behind the last server time seen. */
FB_API int64_t fb_db_now_ms(fb_db *db, bool *suspect_out);

/* --- groups ------------------------------------------------------------------------------------
 */

/* Begin a group: the writing calls that follow become one atomic group with one verdict. `kind`
 * says what the person did, "visit.done", [a-z._], at most 40 bytes; NULL: "group". at_ms: when,
 * milliseconds UTC; 0: now. A write transaction stays open until the end, so begin late and commit
 * soon; no fb_sync call may come in between. A writing call that FAILS inside the group aborts it:
 * nothing of the group is kept, and the next fb_group_commit answers FB_E_STATE. FB_E_STATE: a
 * group is open already. FB_E_BUSY, FB_E_READ_ONLY, FB_E_DISK_FULL: nothing changed. */
FB_API FB_MUST_USE fb_code fb_group_begin(fb_db *db, const char *kind, int64_t at_ms,
                                          fb_error *err);

/* Commit the open group. Afterwards it is visible, queued for the server and survives power loss:
 * one transaction, synced. *gseq_out (may be NULL): its number; 0 when it was empty and nothing was
 * written. FB_E_STATE: no group is open, or a call inside it failed. FB_E_DISK_FULL, FB_E_IO:
 * nothing changed. In every case no group is open afterwards. */
FB_API FB_MUST_USE fb_code fb_group_commit(fb_db *db, int64_t *gseq_out, fb_error *err);

/* Abort the open group: nothing of it is kept. Without an open group nothing happens. */
FB_API void fb_group_abort(fb_db *db);

/* --- texts the library returned ------------------------------------------------------------------
 */

/* Wipe and free a text returned through a `char **json_out`. NULL is fine. */
FB_API void fb_string_free(char *text);

/* Write the 36 characters and the terminator of an id. A NULL id writes the id with all bytes zero.
 */
FB_API void fb_id_put(const fb_id *id, char out[FB_ID_TEXT_BYTES]);

/* Read an id: 36 characters, lower case, hyphenated. False: *out untouched. */
FB_API bool fb_id_get(const char *text, fb_id *out);

#ifdef __cplusplus
}
#endif
#endif
