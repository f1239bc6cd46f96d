/* history_inside.h - what the files of the recorder share. See history.h. */
#ifndef FB_TESTS_HISTORY_INSIDE_H
#define FB_TESTS_HISTORY_INSIDE_H

#define SQLITE_ENABLE_PREUPDATE_HOOK 1 /* Debian's library has it, its header asks */
#include <sqlite3.h>
#include <stdio.h>

#include "base/digest.h"
#include "base/id.h"
#include "catalog/catalog.h"
#include "support/history.h"
#include "wire/json.h"

enum { HISTORY_DEVICES_MAX = 64, HISTORY_COLUMNS_MAX = 160, HISTORY_BOUNDS_MAX = 16 };

/* The most that something took. */
typedef struct recorded_bound {
    int device;
    char what[24];
    int64_t most;
} recorded_bound;

/* A value as SQLite gave it. */
typedef struct cell {
    int type; /* SQLITE_NULL ... */
    int64_t number;
    char *bytes;
    size_t size;
} cell;

/* One row written, or one row of fs_commit: the end of a transaction of the log. */
typedef struct written {
    char table[64];
    bool gone;
    int count;
    cell *cells;
} written;

typedef struct recorded_device {
    bool known;
    char path[64];
    fb_id incarnation, user;
    int64_t seen;  /* greatest gseq that was written down */
    int64_t calls; /* of history_save */
    bool calling;
    bool asked, drained; /* since the faults stopped */
    int64_t asked_ms;
} recorded_device;

typedef struct recorded_inc { /* every incarnation that was seen, and the lines sent under it */
    fb_id incarnation;
    int device;
    int64_t decided;
    digest *lines; /* by gseq - 1 */
    int64_t lines_count;
    int64_t *held; /* gseqs */
    int held_count;
} recorded_inc;

struct history {
    history_options o;
    FILE *out;
    int64_t files; /* that were open before */
    buf line;
    json_writer w;
    int64_t now_ms;
    catalog *cat;
    int64_t catalog_version;
    written *pending;
    size_t pending_count, pending_room;
    fb_id epoch;
    bool begun;
    int64_t cid, audit_seq, alias_count, requests;
    digest *audit_hashes; /* of entry i + 1, audit_seq of them */
    recorded_device devices[HISTORY_DEVICES_MAX];
    recorded_inc *incs;
    size_t incs_count;
    bool quiet;
    recorded_bound bounds[HISTORY_DEVICES_MAX * HISTORY_BOUNDS_MAX];
    int bounds_count;
    char **members; /* "user territory" */
    size_t members_count;
};

_Noreturn void history_fail(history *h, const char *what, const char *why);
/* An event is begun, filled through h->w, and ended. */
void event_begin(history *h, const char *name);
void event_end(history *h);
void put_text(history *h, const char *key, const char *text);
void put_number(history *h, const char *key, int64_t n);
void put_id(history *h, const char *key, const fb_id *id);
void put_device(history *h, const char *key, int device);

sqlite3 *history_file(const history *h, const char *path); /* NULL: it cannot be read now */
sqlite3_stmt *history_query(history *h, sqlite3 *db, const char *sql);
bool history_row(history *h, sqlite3_stmt *q); /* false: no more; q is finalized */
fb_id column_id(sqlite3_stmt *q, int column);

cell cell_copy(sqlite3_value *v);
void written_free(written *w);
void value_write(history *h, const cat_column *c, const cell *v);
/* "c" and "r" of a row: names[i] is the column of cells[i]; id and ver are put as members. */
void row_write(history *h, const cat_entity *e, char *const *names, const cell *cells, int count,
               bool version);
void hook_set(history *h);                  /* NULL: none */
void catalog_look(history *h, sqlite3 *db); /* what the server's catalogue got since */
void rows_of_table(history *h, sqlite3 *db, const cat_entity *e, const char *event, bool version);

recorded_inc *inc_get(history *h, const fb_id *incarnation, int device);
void device_look(history *h, int device); /* new groups of its outbox, a new incarnation */
bool body_open(const fb_link_response *r, buf *out);

#endif
