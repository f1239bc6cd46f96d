/* sql_log.c - see sql_log.h. */
#include "sql/sql_log.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

enum { HEAD_BYTES = 32, PIECE_BYTES = 4096 }; /* sqlite.org/fileformat2.html, 4.1: the salts */

typedef struct log_file {
    sqlite3_file file;
    sqlite3_file *real;                  /* behind this struct */
    sqlite3_int64 end_bytes;             /* of the last write since a sync; 0: none */
    sqlite3_int64 safe_bytes;            /* known to be on the disk */
    unsigned char safe_head[HEAD_BYTES]; /* the log it is known of: another one begins anew */
    bool doubtful;                       /* a sync failed */
} log_file;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((log_file *)f)->real;
}

/* --- the sync ------------------------------------------------------------------------ */

static int read_real(const log_file *l, void *out, int amount, sqlite3_int64 offset)
{
    return l->real->pMethods->xRead(l->real, out, amount, offset);
}

/* Nobody else writes: only a writer and a checkpoint sync, and each holds its lock. Who reads sees
 * the same bytes. */
static int write_again(const log_file *l)
{
    unsigned char piece[PIECE_BYTES];
    sqlite3_int64 size = 0;
    int rc = l->real->pMethods->xFileSize(l->real, &size);
    if (rc != SQLITE_OK || size < HEAD_BYTES) {
        return rc;
    }
    rc = read_real(l, piece, HEAD_BYTES, 0);
    bool known = memcmp(piece, l->safe_head, HEAD_BYTES) == 0;
    sqlite3_int64 at = known ? l->safe_bytes : 0;
    while (rc == SQLITE_OK && at < size) {
        int n = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
        rc = read_real(l, piece, n, at);
        rc = rc == SQLITE_OK ? l->real->pMethods->xWrite(l->real, piece, n, at) : rc;
        at += n;
    }
    return rc;
}

/* Everything that was written by anybody is on the disk now; where that ends, this connection knows
 * only from its own last write. */
static void note_safe(log_file *l)
{
    unsigned char head[HEAD_BYTES];
    bool told = read_real(l, head, HEAD_BYTES, 0) == SQLITE_OK;
    bool same = told && memcmp(head, l->safe_head, HEAD_BYTES) == 0;
    l->safe_bytes = same && l->safe_bytes > l->end_bytes ? l->safe_bytes : told ? l->end_bytes : 0;
    l->end_bytes = 0;
    if (told) {
        memcpy(l->safe_head, head, HEAD_BYTES);
    }
}

static int x_sync(sqlite3_file *f, int flags)
{
    log_file *l = (log_file *)f;
    int rc = l->doubtful ? write_again(l) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = l->real->pMethods->xSync(l->real, flags);
    l->doubtful = rc != SQLITE_OK;
    if (rc == SQLITE_OK) {
        note_safe(l);
    }
    return rc;
}

static int x_write(sqlite3_file *f, const void *data, int amount, sqlite3_int64 offset)
{
    ((log_file *)f)->end_bytes = offset + amount;
    return real_of(f)->pMethods->xWrite(real_of(f), data, amount, offset);
}

/* --- as they are ---------------------------------------------------------------------- */

static int x_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int x_read(sqlite3_file *f, void *out, int amount, sqlite3_int64 offset)
{
    return real_of(f)->pMethods->xRead(real_of(f), out, amount, offset);
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int x_file_size(sqlite3_file *f, sqlite3_int64 *out)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), out);
}

static int x_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int x_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int x_check_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int x_file_control(sqlite3_file *f, int op, void *argument)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, argument);
}

static int x_sector_size(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int x_characteristics(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

/* Version 1: shared memory and mapping are the database file's. */
static const sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_reserved,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_characteristics,
};

int sql_log_file_bytes(void)
{
    return (int)sizeof(log_file);
}

int sql_log_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    log_file *l = (log_file *)file;
    *l = (log_file){.real = (sqlite3_file *)(void *)(l + 1)};
    int rc = base->xOpen(base, name, l->real, flags, flags_out);
    if (l->real->pMethods != NULL) {
        file->pMethods = &METHODS;
    }
    return rc;
}
