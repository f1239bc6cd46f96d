/* sql_log.c - see sql_log.h. */
#include "sql/sql_log.h"

#include <stdbool.h>
#include <string.h>

#include "sql/sql_pass.h"

/* sqlite.org/fileformat2.html, 4.1: a head with two salts; frames, each a head that repeats them
 * and a page. */
enum {
    HEAD_BYTES = 32,
    PAGE_SIZE_AT = 8,
    SALTS_AT = 16,
    FRAME_HEAD_BYTES = 24,
    FRAME_SALTS_AT = 8,
    SALTS_BYTES = 8,
    PIECE_BYTES = 4096
};

typedef struct log_file {
    pass_file pass;                      /* the real one stands behind this struct */
    sqlite3_int64 end_bytes;             /* of the last write since a sync; 0: none */
    sqlite3_int64 safe_bytes;            /* known to be on the disk */
    unsigned char safe_head[HEAD_BYTES]; /* the log it is known of: another one begins anew */
    bool doubtful;                       /* a sync failed */
} log_file;

static int read_real(const log_file *l, void *out, int amount, sqlite3_int64 offset)
{
    return l->pass.real->pMethods->xRead(l->pass.real, out, amount, offset);
}

/* Nobody else writes: only a writer and a checkpoint sync, and each holds its lock. Who reads sees
 * the same bytes. */
static int write_again(const log_file *l)
{
    unsigned char piece[PIECE_BYTES];
    sqlite3_int64 size = 0;
    int rc = l->pass.real->pMethods->xFileSize(l->pass.real, &size);
    if (rc != SQLITE_OK || size < HEAD_BYTES) {
        return rc;
    }
    rc = read_real(l, piece, HEAD_BYTES, 0);
    bool known = memcmp(piece, l->safe_head, HEAD_BYTES) == 0;
    sqlite3_int64 at = known ? l->safe_bytes : 0;
    while (rc == SQLITE_OK && at < size) {
        int n = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
        rc = read_real(l, piece, n, at);
        rc = rc == SQLITE_OK ? l->pass.real->pMethods->xWrite(l->pass.real, piece, n, at) : rc;
        at += n;
    }
    return rc;
}

/* Behind the last frame of this log; what an earlier one left behind it has other salts. */
static sqlite3_int64 end_of(const log_file *l, const unsigned char head[HEAD_BYTES])
{
    sqlite3_int64 page = 0, at = HEAD_BYTES;
    unsigned char frame[FRAME_HEAD_BYTES];
    for (int i = 0; i < 4; i++) {
        page = page << 8 | head[PAGE_SIZE_AT + i];
    }
    while (page > 0 && read_real(l, frame, FRAME_HEAD_BYTES, at) == SQLITE_OK &&
           memcmp(frame + FRAME_SALTS_AT, head + SALTS_AT, SALTS_BYTES) == 0) {
        at += FRAME_HEAD_BYTES + page;
    }
    return at;
}

/* Everything that was written by anybody is on the disk now. Where that ends, this connection knows
 * from its own last write or, when it wrote nothing, looks up once for each log. */
static void note_safe(log_file *l)
{
    unsigned char head[HEAD_BYTES];
    bool told = read_real(l, head, HEAD_BYTES, 0) == SQLITE_OK;
    bool same = told && memcmp(head, l->safe_head, HEAD_BYTES) == 0;
    if (!told || !same) {
        l->safe_bytes = 0;
    }
    if (told && l->end_bytes > l->safe_bytes) {
        l->safe_bytes = l->end_bytes;
    } else if (told && !same) {
        l->safe_bytes = end_of(l, head);
    }
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
    rc = l->pass.real->pMethods->xSync(l->pass.real, flags);
    l->doubtful = rc != SQLITE_OK;
    if (rc == SQLITE_OK) {
        note_safe(l);
    }
    return rc;
}

static int x_write(sqlite3_file *f, const void *data, int amount, sqlite3_int64 offset)
{
    log_file *l = (log_file *)f;
    l->end_bytes = offset + amount;
    l->safe_bytes = offset < l->safe_bytes ? offset : l->safe_bytes; /* what was rolled back */
    return l->pass.real->pMethods->xWrite(l->pass.real, data, amount, offset);
}

/* Version 1: shared memory and mapping are the database file's. */
static const sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = pass_close,
    .xRead = pass_read,
    .xWrite = x_write,
    .xTruncate = pass_truncate,
    .xSync = x_sync,
    .xFileSize = pass_file_size,
    .xLock = pass_lock,
    .xUnlock = pass_unlock,
    .xCheckReservedLock = pass_check_reserved,
    .xFileControl = pass_file_control,
    .xSectorSize = pass_sector_size,
    .xDeviceCharacteristics = pass_characteristics,
};

int sql_log_file_bytes(void)
{
    return (int)sizeof(log_file);
}

int sql_log_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    log_file *l = (log_file *)file;
    *l = (log_file){.pass.real = (sqlite3_file *)(void *)(l + 1)};
    int rc = base->xOpen(base, name, l->pass.real, flags, flags_out);
    if (l->pass.real->pMethods != NULL) {
        file->pMethods = &METHODS;
    }
    return rc;
}
