/* sql_pass.h - a file that stands before the base layer's: what sql_sum.c and sql_log.c do not
 * change goes through as it is. Nobody else includes it. */
#ifndef FB_SQL_SQL_PASS_H
#define FB_SQL_SQL_PASS_H

#include <sqlite3.h>

/* First member of such a file. */
typedef struct pass_file {
    sqlite3_file file;
    sqlite3_file *real;
} pass_file;

static inline sqlite3_file *pass_real(sqlite3_file *f)
{
    return ((pass_file *)f)->real;
}

int pass_close(sqlite3_file *f);
int pass_read(sqlite3_file *f, void *out, int amount, sqlite3_int64 offset);
int pass_truncate(sqlite3_file *f, sqlite3_int64 size);
int pass_file_size(sqlite3_file *f, sqlite3_int64 *out);
int pass_lock(sqlite3_file *f, int level);
int pass_unlock(sqlite3_file *f, int level);
int pass_check_reserved(sqlite3_file *f, int *out);
int pass_file_control(sqlite3_file *f, int op, void *argument);
int pass_sector_size(sqlite3_file *f);
int pass_characteristics(sqlite3_file *f);

#endif
