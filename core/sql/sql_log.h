/* sql_log.h - the write-ahead log's file: a sync that failed is made good before another one
 * succeeds.
 *
 * What a failed sync should have written may never be written by a later one, although that one
 * succeeds (Linux marks the pages clean). A commit behind such a hole goes with the power, and a
 * checkpoint that the power interrupts leaves half of what stood in it in the database. So this
 * file remembers up to where it was last known to be on the disk, and after a failed sync writes
 * everything behind that once more, the same bytes at the same place, before it syncs again.
 *
 *   LOG-1  a sync answers SQLITE_OK only when everything this connection wrote is on the disk
 *   LOG-2  what an earlier sync made to last is not written again: a power loss may spoil a write
 *
 * A log that this connection only found is safe as far as it reaches at the first sync; what was
 * written behind its end and taken back is not counted once this connection writes there.
 *
 * Another connection's failed sync is not known here; Linux tells each open file of it once. */
#ifndef FB_SQL_SQL_LOG_H
#define FB_SQL_SQL_LOG_H

struct sqlite3_file;
struct sqlite3_vfs;

/* Bytes of the struct that stands before the base layer's own. */
int sql_log_file_bytes(void);
/* `file` has room for both. As sqlite3_vfs.xOpen. */
int sql_log_open(struct sqlite3_vfs *base, const char *name, struct sqlite3_file *file, int flags,
                 int *flags_out);

#endif
