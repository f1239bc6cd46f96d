/* sql_sum.h - a file layer that puts a checksum on every page of a database and checks it on every
 * read.
 *
 * A flipped bit, a zeroed sector, a page of another place or of another file is met as
 * SQLITE_CORRUPT at the first read of that page: no row of it is ever shown. The sum stands in the
 * last 8 bytes of a page, which SQLite is told to leave alone (reserved bytes, byte 20 of the
 * header), and covers the page's bytes and its number.
 *
 *   SUM-1  a page is written to the database's file with its sum; the log has its own (WAL frames)
 *   SUM-2  a database made without sums gets none: they begin with a new file
 *   SUM-3  a page, with a sum or without, is written without the bytes between its list of cells
 * and the first of them: with secure_delete, what was deleted is in no file once the log is in the
 * database and gone
 *
 * Every database is opened through it, also one without sums: its log is sql_log.h's file, and what
 * a failed sync forgets of its own file is sql_unsynced.h's.
 *
 * Not covered: an older version of the same page at its own place (a lost write). Other programs
 * may read such a file; one that writes it leaves pages without a sum. */
#ifndef FB_SQL_SQL_SUM_H
#define FB_SQL_SQL_SUM_H

#include <stdbool.h>

struct sqlite3;

/* Name of the layer over `base` (NULL: the default), registered at first use; NULL: out of memory
 * or there is no such base. */
const char *sql_sum_layer(const char *base);
/* Before anything is written to a new database: reserve the bytes. */
int sql_sum_reserve(struct sqlite3 *handle);
/* Does this connection's file have sums? */
bool sql_sum_is_on(struct sqlite3 *handle);

#endif
