/* ledger_inside.h - what the files of this room share; nobody else includes it. */
#ifndef FB_LEDGER_LEDGER_INSIDE_H
#define FB_LEDGER_LEDGER_INSIDE_H

#include "sync-server/feed/feed.h"
#include "sync-server/ledger/ledger.h"

enum { VER_BITS = 20, DETAIL_BYTES_MAX = 64 << 10 };

/* What this room remembers per connection; everything but the memory is right for one stamp. */
typedef struct ledger_state {
    uint64_t stamp;
    int64_t head;      /* last cid */
    int64_t audit_seq; /* last entry, and its hash */
    digest audit_hash;
    fb_id device, incarnation; /* the source looked up last, and its number */
    int64_t incarnation_no;
    int64_t due_ms; /* no assignment begins or ends between the scope clock and this */
    feed_assignment assignment;
    const catalog *catalog;
    arena *parents_memory; /* scopes of parents, kept over commits while nothing moves */
    scope_cache *parents;
    arena *memory; /* of one commit */
    buf text;      /* canonical audit text */
} ledger_state;

FB_MUST_USE fb_code ledger_state_get(store *s, ledger_state **out);
/* Scopes moved: forget what was remembered of parents. */
FB_MUST_USE fb_code ledger_parents_forget(ledger_state *l);

/* One commit in its course. */
typedef struct commit_job {
    store *store;
    ledger_state *state;
    const commit_source *from;
    const change *changes;
    uint32_t count;
    int64_t cid;
    uint32_t followers; /* rows that moved, unchanged, because a row above them did */
} commit_job;

/* moves.c: commits in which rows may change their scopes. */
FB_MUST_USE fb_code moves_run(commit_job *job);

/* column_time.c: after the change is written, or its row deleted. */
FB_MUST_USE fb_code ledger_column_times(const commit_job *job, const change *c);

/* audit.c */
FB_MUST_USE fb_code audit_commit(const commit_job *job);
/* A row with its new version; asserts that `values` name the change's own id. */
FB_MUST_USE fb_code ledger_row_write(const commit_job *job, const change *c, int64_t ver);

#endif
