/* sql_inside.h - what the files of this room share; nobody else includes it. */
#ifndef FB_SQL_SQL_INSIDE_H
#define FB_SQL_SQL_INSIDE_H

#include <sqlite3.h>

#include "sql/sql.h"

struct sql_stmt {
    sqlite3_stmt *handle; /* NULL: it could not be prepared, bind_rc says why */
    sql_db *db;
    const char *text; /* owned copy; NULL for a private statement */
    uint32_t hash;
    int bind_rc; /* first failure of a bind since the last reset; reported by the next step */
};

struct sql_db {
    sqlite3 *handle;
    sql_stmt **slots; /* open addressing; slots_count is a power of two */
    uint32_t slots_count, stmts_count;
    sql_stmt nothing;       /* what sql_prepare gives when it fails */
    sqlite3_stmt *rollback; /* prepared at open: taking back must work when memory is gone */
    bool rollback_due;      /* even so one failed: nothing else runs before it is done */
    bool begun;             /* a transaction of ours is open */
    bool strict_due; /* commits may not wait for the disk: sql_restore failed, or sql_relax */
    int doomed;      /* SQLite took it back, or a savepoint could not be undone: the result
                        of everything until sql_rollback */
    bool inside;     /* one of our own texts is running: sql_restrict_reads lets it through */
    bool damaged;    /* SQLite said so at least once */
    bool unread;     /* a place of a file could not be read */
    int log_pages;
    int busy_timeout_ms;
    fb_code code;
    char message[192];
};

/* The one mapping of SQLite's results to ours. */
fb_code sql_code_of(int rc);
/* Remember a failure; returns its code. */
fb_code sql_failed(sql_db *db, int rc);

#endif
