/* replica.h - the device's database: rows a person sees, the outbox, staged downloads.
 *
 * One SQLite file. Entity tables hold the VISIBLE state: what the server said last, with this
 * device's pending groups on top. Internal tables carry the prefix fb_:
 *
 *   fb_meta(key PRIMARY KEY, value)        identity, epoch, token, settled, acked, backed_up, ...
 *   fb_catalog(version PRIMARY KEY, body)  catalogue texts received; the greatest is active
 *   fb_outbox(gseq INTEGER PRIMARY KEY, at_ms, kind, body BLOB, chain BLOB, state)
 *   fb_undo(gseq INTEGER PRIMARY KEY, body BLOB)     only for groups that are not inserts only
 *   fb_ack(gseq_from PRIMARY KEY, gseq_to, cid_from) runs of plain applied groups
 *   fb_verdict(gseq PRIMARY KEY, code, cid, echo, in_effect, body) verdicts other than plain
 * applied fb_stage(n, applied, reset, rows, counts, body)  page lines as they arrived, zstd
 *   fb_unknown(entity, id, body)                     rows that await a newer catalogue
 *   fb_draft(id PRIMARY KEY, kind, updated_ms, body) drafts that are not groups yet
 *   fb_counter(name PRIMARY KEY, next)               document numbers
 *   fb_alias(from_id PRIMARY KEY, entity, to_id, gseq)
 *   fb_warning(n, gseq, text)                        replayed ops that no longer applied
 *   fb_parked(entity, id, left_ms, gseq, body)       rows that left while open groups need them
 *   fb_digest(n, rows, buckets)                      what the base rows sum up to
 *   fb_blob(hash PRIMARY KEY, ...)                   bytes of attachments: replica/blob.h
 *
 *   capture:   rows + undo + outbox group            one transaction, fsynced       OUT-1
 *   promote:   undo pending, apply staged, drop settled, replay, store token        PRO-1
 *
 * Invariants
 *   OUT-1  a group is in the outbox if and only if its effect was applied, in one transaction
 *   OUT-2  gseq of one incarnation: 1, 2, 3 ... without gaps, never reused
 *   OUT-3  chain(g) = SHA-256(chain(g-1) || body(g)); chain(0) = SHA-256(incarnation bytes)
 *   OUT-4  a body is never rewritten; it leaves the outbox only when settled and backed up, and
 *          only then a person who was erased is taken out of what stays (forget.c)
 *   OUT-5  what a manager decided about a held group is an answer like any other: the group stays
 *          until a backup holds the decision, that is, an own group that was written after it was
 *          heard; a server put back to before it has the group held again, and so has the device
 *   PRO-1  visible state = base state at token + pending groups in gseq order
 *   PRO-2  staged pages become visible only together, when the complete one is there
 *   PRO-3  a verdict's effect becomes visible only together with the state that contains it
 *
 * Group states (fb_outbox.state): PENDING (0) also for settled ones (gseq <= settled tells),
 * HELD: still visible, shown in the tray; REJECTED, BLOCKED: effect undone, in the tray;
 * CLOSED: discarded or replaced by a later group. 5, 6: rebirth.c. */
#ifndef FB_REPLICA_REPLICA_H
#define FB_REPLICA_REPLICA_H

#include "base/id.h"
#include "base/port.h"
#include "catalog/catalog.h"
#include "fieldbook/files.h"
#include "sql/sql.h"
#include "wire/sync_msg.h"

typedef struct replica replica;
struct row_rights; /* rules/row_check.h */

typedef struct replica_options {
    const char *path;
    const fb_port *port; /* borrowed until close */
    const char *vfs;     /* NULL: default */
    bool create;
    bool read_only;
    bool sync_normal; /* benches only */
    int cache_kib;
    int tz_offset_min; /* minutes east of UTC of the business day: rights begin and end with it */
    const fb_files *files; /* for the bytes of attachments; NULL: none are kept */
} replica_options;

/* Opens or creates; migrates; checks the file. E_NEWER: written by a newer version, untouched. */
FB_MUST_USE fb_code replica_open(const replica_options *o, replica **out, fb_error *err);
void replica_close(replica *r);
sql_db *replica_sql(replica *r);
/* The newest known; earlier ones and their entities stay valid until close, so that a caller may
 * finish with the entity it holds after a promotion brought a newer catalogue. */
const catalog *replica_catalog(replica *r);
/* Notice what another handle or process did, its catalogue too; cheap when it did nothing. Not
 * while a capture is open: that one looked when it began, and inside its transaction the answer
 * stays true. */
FB_MUST_USE fb_code replica_refresh(replica *r);
/* What is read from here to replica_view_end is of one moment, whatever others commit meanwhile; it
 * begins with what replica_refresh does. Nothing is written in between, and nobody outside who
 * might write is called. A view inside another, or while a capture is open, is part of that one.
 * Each begin has its end, also one that failed. */
FB_MUST_USE fb_code replica_view_begin(replica *r, bool *own_out);
void replica_view_end(replica *r, bool own);
id_maker *replica_ids(replica *r);
const fb_port *replica_port(replica *r);
const fb_files *replica_files(replica *r); /* NULL: none were given */

/* --- identity ------------------------------------------------------------------------- */
typedef struct replica_identity {
    fb_id device, user, incarnation, epoch;
    char device_code[16], user_code[48], user_name[128];
    digest token; /* secret; wiped with bytes_wipe by whoever copies it */
    char server_url[256];
    sign_public pack_key; /* given at enrolment only (PAK-4): replica_identity_get leaves it zero */
    bool enrolled, has_pack_key;
} replica_identity;
FB_MUST_USE fb_code replica_identity_get(replica *r, replica_identity *out);
/* At enrolment; a new incarnation is drawn here (in->incarnation is not read). Another user than
 * before: E_STATE while anything of the person before is unanswered, in the tray or a draft; then
 * their rows go. */
FB_MUST_USE fb_code replica_identity_set(replica *r, const replica_identity *in);
FB_MUST_USE fb_code replica_meta_get(replica *r, const char *key, buf *out); /* empty if absent */
FB_MUST_USE fb_code replica_meta_set(replica *r, const char *key,
                                     fb_text value); /* E_MISUSE: a key of the sync state */

/* Wall clock corrected by the offset measured at the last sync; *suspect set when implausible
 * (before the last server time seen, or more than 10 years after it). */
int64_t replica_now_ms(replica *r, int64_t *offset_out, bool *suspect_out);
FB_MUST_USE fb_code replica_clock_seen(replica *r, int64_t server_wall_ms, int64_t device_wall_ms);

/* --- capture -------------------------------------------------------------------------- */
/* A group under construction: one SQLite write transaction is open from begin to commit/abort.
 * Reads through the same replica see its rows. */
FB_MUST_USE fb_code capture_begin(replica *r, const char *kind,
                                  int64_t captured_at_ms /* 0 = now */, int64_t replaces,
                                  fb_error *err);
/* Insert one row: values[columns_count] in catalogue order, id set by the caller, ver ignored.
 * Stamps and derived columns are filled here. Rules: row_check_insert with the person's rights. */
FB_MUST_USE fb_code capture_insert(replica *r, const cat_entity *e, fb_value *values,
                                   fb_error *err);
/* Change columns of one row; columns whose value is unchanged are dropped; nothing left = no op. */
FB_MUST_USE fb_code capture_update(replica *r, const cat_entity *e, const fb_id *id,
                                   const int *columns, const fb_value *mine, uint32_t count,
                                   fb_error *err);
FB_MUST_USE fb_code capture_delete(replica *r, const cat_entity *e, const fb_id *id, fb_error *err);
FB_MUST_USE fb_code capture_delta(replica *r, const cat_entity *e, const fb_id *id, int column,
                                  int64_t difference, fb_error *err);
/* One transaction, synced: returns after the fsync. *gseq_out 0 when the group was empty (nothing
 * written). On failure everything is rolled back: nothing changed. */
FB_MUST_USE fb_code capture_commit(replica *r, int64_t *gseq_out, fb_error *err);
void capture_abort(replica *r);
bool capture_is_open(const replica *r);
/* Document number inside the open capture: "SO-A1-000123" (prefix, device code, own counter). */
FB_MUST_USE fb_code capture_number(replica *r, const char *prefix, buf *out, fb_error *err);
/* The person's effective rights on an entity, from role_permission / user_role rows. */
FB_MUST_USE fb_code replica_rights(replica *r, const cat_entity *e, struct row_rights *out);

/* --- rows ------------------------------------------------------------------------------ */
/* In place: the id that stands for this one since the server found both to be one thing. */
FB_MUST_USE fb_code alias_of(replica *r, fb_id *id);
/* Read one row: values[columns_count]; texts live in `memory`. An id that is an alias: the row that
 * stands. E_NOT_FOUND. */
FB_MUST_USE fb_code row_read(replica *r, const cat_entity *e, const fb_id *id, arena *memory,
                             fb_value *values);
FB_MUST_USE fb_code row_find(replica *r, const cat_entity *e, int column, const fb_value *equal,
                             arena *memory, fb_value *values); /* first by id; E_NOT_FOUND */

/* --- outbox, for core/sync -------------------------------------------------------------- */
typedef struct outbox_state {
    int64_t last, acked, settled, backed_up; /* gseq */
    int64_t old_base; /* unanswered groups up to here were captured over an earlier epoch's base */
    digest chain_last;
} outbox_state;
FB_MUST_USE fb_code outbox_state_get(replica *r, outbox_state *out);
/* Append to `out` the body lines of groups from `first` on: at most groups_max, stop beyond
 * bytes_target (always at least one). *count_out groups; chain_before of `first`. */
FB_MUST_USE fb_code outbox_read(replica *r, int64_t first, uint32_t groups_max, size_t bytes_target,
                                buf *out, uint32_t *count_out, digest *chain_before_out);

/* --- staging and promotion --------------------------------------------------------------- */
/* Take one reply: verdicts and page are stored in one transaction (staged), which does not wait for
 * the disk unless the epoch changed: after a power loss the device stands before it and asks again;
 * when the page is complete everything staged is promoted in that same transaction. `body` is the
 * unpacked reply. A reply that breaks the protocol changes nothing: E_PROTOCOL and friends. E_FORK:
 * it counts groups that this device never wrote (call replica_rebirth). E_BUSY: it is older than
 * what is shown; ask again. E_IO and other codes of the machine: it was not taken, or its commit
 * reached the disk and what came after did not, and the next opening may find it taken; either way
 * the next request asks from where the file stands, and the same reply may be taken again. */
typedef struct stage_result {
    bool complete; /* the device is at the server's head as of this reply */
    bool promoted; /* visible state changed */
    bool epoch_changed, catalog_changed;
    bool catalog_waits; /* the server has a newer one, which was not asked for (push_plan.thin) */
    bool reborn; /* the restored server lacks what earlier lives were answered: sent again as a new
                    one */
    uint32_t rows, verdicts, rejected, held, merged;
    bool packs_refused; /* an offer's signature was not the server's: the download begins anew */
    int64_t applied;    /* server's applied gseq */
    uint32_t retry_ms;
    bool digest_wrong;     /* the rows here were not what the server says they must be */
    bool digest_again;     /* and another exchange mends them */
    bool digest_alarm;     /* and could not be mended: a person must look */
    uint32_t digest_fixed; /* buckets sent anew by this page */
} stage_result;
FB_MUST_USE fb_code stage_reply(replica *r, fb_text body, int64_t request_wall_ms,
                                stage_result *out, fb_error *err);
FB_MUST_USE fb_code stage_token(replica *r, buf *out); /* token for the next request */
/* The digest in the next request: totals wanted; the 256 sums where they did not agree, else none.
 * thin: not in this one, they are 4 KB (push_plan). */
FB_MUST_USE fb_code digest_ask(replica *r, bool thin, bool *check, buf *buckets);
/* --- packs: a first download chunk by chunk (pack.c) ------------------------------------- */
/* The chunk that is missing first. While one is, no page is staged; groups may be sent. */
typedef struct pack_want {
    bool any;
    digest name; /* of the pack */
    uint32_t chunk, size_bytes;
    uint32_t offset, bytes; /* what is asked for: all behind the bytes that are here, or less */
    int64_t left;           /* chunks missing in all */
} pack_want;
FB_MUST_USE fb_code pack_want_get(replica *r, pack_want *out);
/* May the server offer packs? Not after they failed several times: then pages come. */
FB_MUST_USE fb_code pack_wanted_get(replica *r, bool *out);
typedef struct pack_taken {
    bool refused; /* not the bytes that the manifest names: the download begins anew */
    bool part;    /* bytes of the chunk are still missing */
    uint32_t rows;
    int64_t left;
} pack_taken;
/* Stage a chunk or a piece of it as it came, in one transaction that waits for no disk. What is not
 * wanted any more changes nothing. */
FB_MUST_USE fb_code pack_chunk_take(replica *r, const pack_want *want, fb_text bytes,
                                    pack_taken *out, fb_error *err);
/* The pack cannot be had: what is staged goes, the download begins anew. */
FB_MUST_USE fb_code pack_give_up(replica *r, fb_error *err);
/* The device was copied or restored (E_FORK), or the server asks: a new incarnation; pending groups
 * are renumbered from 1 in order, nothing is lost. The base is rebuilt by the next reset page (the
 * token is empty); until then rows stay as they are. */
FB_MUST_USE fb_code replica_rebirth(replica *r, fb_error *err);

/* --- problems ----------------------------------------------------------------------------- */
typedef struct problem {
    int64_t gseq;
    verdict_code code;
    fb_code error;
    fb_text kind, field, text_en, text_zh, cure_en, cure_zh, who, body, verdict_json;
    int64_t captured_at_ms, blocked_by;
} problem;
/* fn is called for each open problem in gseq order; texts are borrowed for the call. */
FB_MUST_USE fb_code problem_each(replica *r, fb_code (*fn)(void *ctx, const problem *p), void *ctx);
/* Close a problem as discarded: its effect stays undone; recorded. Held groups cannot be discarded
 * here. */
FB_MUST_USE fb_code problem_discard(replica *r, int64_t gseq, fb_error *err);
/* Capture a new group with the same ops, edited: patches[] replace values by (entity, id, column).
 * The new group names `replaces`; the old one is CLOSED in the same transaction. */
typedef struct problem_patch {
    const cat_entity *entity;
    fb_id id;
    int column;
    fb_value value;
} problem_patch;
FB_MUST_USE fb_code problem_resubmit(replica *r, int64_t gseq, const problem_patch *patches,
                                     uint32_t count, int64_t *gseq_out, fb_error *err);

/* --- rows that left (parked.c), what cannot be shown (warning.c) ------------------------------ */
typedef struct parked_row {
    const cat_entity *e;
    fb_id id;
    int64_t left_ms, gseq; /* gseq: newest group that needs it */
    bool changed, deleted; /* by open groups */
    const fb_value *theirs, *mine;
} parked_row;
FB_MUST_USE fb_code parked_each(replica *r, fb_code (*fn)(void *ctx, const parked_row *row),
                                void *ctx);
typedef struct warning {
    int64_t gseq;
    fb_text entity; /* empty, and id none: the whole group */
    fb_id id;
    fb_text text_en, text_zh;
} warning;
FB_MUST_USE fb_code warning_each(replica *r, fb_code (*fn)(void *ctx, const warning *w), void *ctx);

/* --- the outbox of a file that cannot be opened (rescue.c) ------------------------------------ */
typedef struct rescued {
    int64_t gseq, captured_at_ms;
    uint8_t state;      /* as in fb_outbox; what was not answered is 0 */
    fb_text kind, line; /* borrowed */
} rescued;
typedef fb_code (*rescue_fn)(void *ctx, const rescued *group);
/* Every group of the second copy, and those of the database that it lacks and whose bytes the chain
 * proves. Writes nothing. E_NOT_FOUND: there is nothing at the path. E_IO and other codes of the
 * machine: fn was lent what could be read; asked again it may be more. */
FB_MUST_USE fb_code rescue_each(const replica_options *o, rescue_fn fn, void *ctx, fb_error *err);
/* The same line as a new group of this replica; *gseq_out 0: it is in the outbox already. E_AUTH:
 * not enrolled; E_PROTOCOL and friends: it is no group of this catalogue. Synced. */
FB_MUST_USE fb_code rescue_take(replica *r, fb_text line, int64_t *gseq_out, fb_error *err);

/* --- drafts: work that is no group yet, seen by this device only (draft.c) ------------------- */
typedef struct draft {
    fb_id id;
    fb_text kind; /* "order" */
    int64_t updated_ms;
    fb_text body; /* JSON; borrowed */
} draft;
/* Store or replace. Inside an open capture it belongs to that transaction, else it is a synced one.
 */
FB_MUST_USE fb_code draft_put(replica *r, const draft *d);
/* Append the body to `body_out`. E_NOT_FOUND: no draft of this kind has the id. */
FB_MUST_USE fb_code draft_get(replica *r, fb_text kind, const fb_id *id, buf *body_out);
FB_MUST_USE fb_code draft_delete(replica *r, const fb_id *id); /* an absent one is fine */
/* Lend every draft of the kind to fn, oldest id first; fn must not write. */
FB_MUST_USE fb_code draft_each(replica *r, fb_text kind, fb_code (*fn)(void *ctx, const draft *d),
                               void *ctx);

/* --- status --------------------------------------------------------------------------------- */
typedef struct replica_status {
    int64_t pending, rejected, held, blocked, conflicts_open;
    int64_t oldest_pending_ms; /* capture time, 0 none */
    int64_t last_sync_ms;      /* corrected wall time of the last complete sync, 0 never */
    int64_t next_sync_ms;      /* when the server expects the next one; 0: it did not say */
    int64_t head_cid;          /* server commit of the visible base state */
    int64_t rows;              /* not counted unless asked */
    uint32_t catalog_version;
    int64_t clock_offset_ms;
    int64_t digest_faults;   /* times the rows here were not what the server said */
    int64_t digest_fault_ms; /* when last, 0 never */
    int64_t digest_buckets;  /* of 256, sent anew in all */
    bool digest_alarm;
    int64_t salvaged_ms, salvaged_groups; /* of the last salvage; 0: never */
    int64_t parked, warnings;
    int64_t chunks_here, chunks_left; /* of a first download in packs that is not shown yet */
} replica_status;
FB_MUST_USE fb_code replica_status_get(replica *r, replica_status *out);

/* Observation: a stamp that grows with every visible change; which entities changed since. */
int64_t replica_stamp(replica *r);
FB_MUST_USE fb_code replica_changed_since(replica *r, int64_t stamp,
                                          bool *entities_changed /* [entities_count] */,
                                          int64_t *stamp_out);

/* A call failed: when the database turned out to be damaged, through this connection or through
 * another one of the caller (`reader`; NULL: none), that is written down at once beside it, and the
 * next open makes it again from the second copy, also after the program was killed and where the
 * open itself would not touch what is damaged. A place that cannot be read counts as an opening
 * that failed for it (SLV-5). Once each; nothing for a file that has no second copy. */
void replica_remember_damage(replica *r, const sql_db *reader);

/* Every invariant above, on a quiet replica: OUT-2, OUT-3, undo images present, PRO-1 by undoing
 * and replaying inside a transaction that is rolled back. E_CORRUPT names the invariant. */
FB_MUST_USE fb_code replica_check(replica *r, fb_error *err);

#include "replica/blob.h"

#endif
