/* ledger.h - the only writer: number, rows, feed, verdict, audit in one transaction.
 *
 * Takes a finished decision and makes it durable; decides nothing. Called inside the writer's
 * transaction (group commit: many commits, a savepoint each, one sync to disk).
 *
 *   LED-1  every commit has the next cid, no gaps, assigned inside the write transaction
 *   LED-2  row write, feed entries, commit row, verdict and device.applied stand or fall together
 *   LED-3  a row's feed entries are exactly its scopes after the commit (STO-2)
 *   LED-4  a column's own time (fs_column_time) stands or falls with its change */
#ifndef FB_LEDGER_LEDGER_H
#define FB_LEDGER_LEDGER_H

#include "sync-server/store/store.h"
#include "wire/sync_msg.h"

typedef enum change_kind { CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE } change_kind;

/* One row change, decided. values: INSERT all columns; UPDATE the listed columns. */
typedef struct change {
    change_kind kind;
    const cat_entity *entity;
    fb_id id;
    const int *columns; /* UPDATE */
    const fb_value *values;
    uint32_t columns_count; /* INSERT: entity->columns_count */
    const fb_value *before; /* UPDATE, DELETE: whole row before (all columns), read by decide */
} change;

typedef struct commit_source {
    fb_id device, incarnation, user; /* none for the administrator / server jobs */
    int64_t gseq;                    /* 0 for server changes */
    int64_t at_ms;                   /* server time */
    bool plain;                      /* echo rule: the device already holds exactly this */
    fb_text kind;                    /* "order.submit", "import", ... for the audit */
    const digest *proof; /* chain hash of the group, for the audit; NULL: hash of the changes */
} commit_source;

/* Write one commit: *cid_out. No changes at all: no cid is used, *cid_out 0. The row of change
 * number i gets ver = cid << 20 | i; rows that follow a moved parent keep theirs. On failure the
 * caller undoes its savepoint. E_NOT_FOUND: a row to change, or the device's incarnation
 * (fs_incarnation), does not exist. E_EXISTS: an inserted id or a unique value exists already. */
FB_MUST_USE fb_code ledger_commit(store *s, const commit_source *from, const change *changes,
                                  uint32_t count, int64_t *cid_out);
/* Assignments that began or ended until at_ms: move the customers concerned. server_tick calls it
 * once a minute; every commit does it as well when one is due. *cid_out 0 when nothing moved. */
FB_MUST_USE fb_code ledger_time(store *s, int64_t at_ms, int64_t *cid_out);
/* Last commit number. */
FB_MUST_USE fb_code ledger_head(store *s, int64_t *cid_out);

/* Audit: one hash-chained entry. detail_json without personal data. */
FB_MUST_USE fb_code audit_put(store *s, int64_t at_ms, fb_text actor, fb_text action,
                              fb_text entity, const fb_id *id, fb_text detail_json);
/* Hash of the newest entry; all zero when there is none. Devices witness its first 16 bytes. */
FB_MUST_USE fb_code audit_head(store *s, digest *out);
/* *first_bad_out: number of the first entry that was changed, removed or put in between; 0 none. */
FB_MUST_USE fb_code audit_verify(store *s, int64_t *entries_out, int64_t *first_bad_out);

#endif
