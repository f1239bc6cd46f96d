/* sql_unsynced.h - the pieces of a database's file that were written and are not known to be on the
 * disk: a sync that failed is made good before another one succeeds, as sql_log.h does it for the
 * log.
 *
 * SQLite writes a failed checkpoint's pages again, but only from where the checkpoint before it
 * ended. While somebody reads an older state, a checkpoint ends in the middle of the log, without a
 * sync: what it wrote is left to the sync of the next one. When that fails, the system forgets
 * those pages too, SQLite never writes them again, and begins the log anew.
 *
 *   UNS-1  a sync answers SQLITE_OK only when everything this connection wrote is on the disk
 *   UNS-2  only what was written since the last good sync is written again: the log still has it,
 *          should the power spoil it
 *
 * Another connection's pages are not known here. */
#ifndef FB_SQL_SQL_UNSYNCED_H
#define FB_SQL_SQL_UNSYNCED_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct unsynced {
    unsigned char *bits; /* one for each piece of the file */
    size_t size;         /* in bytes */
    size_t from, to;     /* bytes of `bits` that may have one set */
    bool doubtful;       /* a sync failed */
} unsynced;

/* Before a write. SQLITE_IOERR_NOMEM: it must not be made. */
int unsynced_note(unsynced *u, sqlite3_int64 offset, int amount);
/* Sync `real`. */
int unsynced_sync(unsynced *u, sqlite3_file *real, int flags);
void unsynced_clear(unsynced *u);

#endif
