/* sql_unsynced.c - see sql_unsynced.h. */
#include "sql/sql_unsynced.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 4096, GROW_BYTES = 256 };

static int grow(unsynced *u, size_t size)
{
    if (size <= u->size) {
        return SQLITE_OK;
    }
    size_t wanted = size * 2 > GROW_BYTES ? size * 2 : GROW_BYTES;
    unsigned char *bits = realloc(u->bits, wanted);
    if (bits == NULL) {
        return SQLITE_IOERR_NOMEM;
    }
    memset(bits + u->size, 0, wanted - u->size);
    u->bits = bits;
    u->size = wanted;
    return SQLITE_OK;
}

int unsynced_note(unsynced *u, sqlite3_int64 offset, int amount)
{
    size_t first = (size_t)(offset / PIECE_BYTES);
    size_t last = (size_t)((offset + amount - 1) / PIECE_BYTES);
    int rc = grow(u, last / 8 + 1);
    if (rc != SQLITE_OK) {
        return rc;
    }
    for (size_t i = first; i <= last; i++) {
        u->bits[i / 8] |= (unsigned char)(1 << i % 8);
    }
    u->from = u->to == 0 || first / 8 < u->from ? first / 8 : u->from;
    u->to = last / 8 + 1 > u->to ? last / 8 + 1 : u->to;
    return SQLITE_OK;
}

/* As it reads now; the last piece may be a part. */
static int write_piece(sqlite3_file *real, sqlite3_int64 at, sqlite3_int64 size)
{
    unsigned char piece[PIECE_BYTES];
    int n = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
    int rc = n > 0 ? real->pMethods->xRead(real, piece, n, at) : SQLITE_OK;
    return rc == SQLITE_OK && n > 0 ? real->pMethods->xWrite(real, piece, n, at) : rc;
}

static int write_again(const unsynced *u, sqlite3_file *real)
{
    sqlite3_int64 size = 0;
    int rc = real->pMethods->xFileSize(real, &size);
    for (size_t i = u->from * 8; rc == SQLITE_OK && i < u->to * 8; i++) {
        if ((u->bits[i / 8] & 1 << i % 8) != 0) {
            rc = write_piece(real, (sqlite3_int64)i * PIECE_BYTES, size);
        }
    }
    return rc;
}

int unsynced_sync(unsynced *u, sqlite3_file *real, int flags)
{
    int rc = u->doubtful ? write_again(u, real) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = real->pMethods->xSync(real, flags);
    u->doubtful = rc != SQLITE_OK;
    if (rc == SQLITE_OK && u->to > 0) {
        memset(u->bits + u->from, 0, u->to - u->from);
        u->from = u->to = 0;
    }
    return rc;
}

void unsynced_clear(unsynced *u)
{
    free(u->bits);
    *u = (unsynced){.bits = NULL};
}
