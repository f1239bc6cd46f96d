/* room.h - what the files of core/replica share; nobody else includes it.
 *
 *   open.c      the handle, migrations;  catalogue.c  the active catalogue
 *   edition.c   one catalogue with its prepared statements; earlier ones stay until close
 *   meta.c      fb_meta: sync state, identity, texts;  clock.c  corrected time
 *   row.c       one row in and out, stamps, aliases
 *   capture.c   a group under construction;  outbox.c  groups at rest
 *   parked.c    rows that left while open groups need them;  warning.c  what replay cannot show
 *   forget.c    what is kept of an erased person
 *   undo.c      before-images;  replay.c  a stored group onto the tables
 *   reply.c     a reply taken apart;  stage.c  verdicts and pages into the file
 *   pack.c      a first download chunk by chunk
 *   page.c      blocks and rows onto the tables;  promote.c  PRO-1;  alias.c  two ids, one row
 *   sums.c      the digest of the base;  digest.c  compared with the server's
 *   blob.c      bytes of attachments at rest;  blob_lane.c  on their way (blob.h)
 *   problem.c   the tray;  rights.c  who may what;  observe.c  what changed;  rebirth.c  new
 * incarnation check.c     the invariants
 *   reserve.c   space for the last order;  rescue.c  the outbox of a file that cannot be opened
 *   journal.c   the second copy's file;  second*.c  what is in it and when;  salvage*.c  a lost
 * database made again from it
 *
 * What lies on top of the base state is decided in one place (group_is_on_top):
 *   VIS-1  a group's effect is on top of the base if it is HELD, or PENDING with gseq > based
 *   VIS-2  settled <= based; groups in (settled, based] are inside the base although their verdict
 *          is not known yet (only after a new epoch); groups <= based are never undone or replayed
 *   PUR-1  once a row has left, and no other connection reads, none of its bytes is in any file:
 *          secure_delete clears pages, second_tend the write-ahead log
 *   VIS-3  while base_stale only a reset page may be promoted: images of old groups are gone */
#ifndef FB_REPLICA_ROOM_H
#define FB_REPLICA_ROOM_H

#include "base/check.h"
#include "replica/replica.h"
#include "replica/second.h"
#include "rules/row_check.h"

enum {
    DEVICE_APPLICATION_ID = 0x4642644B, /* "FBdK" */
    ARENA_BYTES_LIMIT = 64 << 20,
    BUSY_TIMEOUT_MS = 10000,
    LATE_INDEX_ROWS = 2000,
    CAPTURE_DRAFTS_MAX = 4,
    CHECK_PAGES_MAX = 2000, /* of a file that is checked whole after an unclean end */
    ARCHIVE_DAYS = 30,
    VER_BITS = 20 /* protocol.md section 6.1 */
};
#define DAY_MS INT64_C(86400000)

/* Written by embed.cmake from schema/device. */
extern const char *const device_steps[];
extern const uint32_t device_steps_count;

/* OUT-5: fb_meta decided/<gseq> is the newest group that was there when its decision was heard; of
 * a refusal that an earlier life heard, 0. */
#define IS_DECIDED "EXISTS (SELECT 1 FROM fb_meta WHERE key='decided/'||gseq)"

typedef enum group_state {
    STATE_PENDING = 0,
    STATE_HELD = 1,
    STATE_REJECTED = 2,
    STATE_BLOCKED = 3,
    STATE_CLOSED = 4,
    STATE_ANSWERED =
        5 /* by an earlier life, in no backup we know of: sent again if the server is restored */
} group_state;

typedef enum digest_state { /* digest.c */
                            DIGEST_FINE = 0,
                            DIGEST_MENDING = 1,
                            DIGEST_ANEW = 2,
                            DIGEST_ALARM = 3
} digest_state;

/* An entity's statements and what the hot paths need to know about it. */
typedef struct entity_plan {
    const cat_entity *entity;
    sql_stmt *read, *insert, *remove, *exists; /* prepared at first use; exists gives the ver */
    sql_stmt *update;                          /* for update_columns */
    int update_columns[CATALOG_COLUMNS_LIMIT];
    uint32_t update_count;
    int created_by, created_at, created_device, updated_by, updated_at; /* columns, -1: none */
    uint8_t carried[CATALOG_COLUMNS_LIMIT]; /* columns that travel in insert ops */
    const int *insert_columns; /* last insert op's list; lives in the capture's arena */
    uint32_t insert_count;
    uint64_t insert_serial; /* capture it belongs to */
    row_rights rights;
    int64_t rights_serial; /* 0: not known */
} entity_plan;

/* A catalogue in use, the newest first. */
typedef struct edition {
    struct edition *before;
    catalog *catalog;
    entity_plan *plans;  /* by entity number; entity NULL until used */
    int64_t *changed_at; /* stamp of the last visible change, by entity number */
    int64_t adopted; /* servers' catalogues that had replaced ours when it came (catalog_adopt) */
    arena *memory;
} edition;

enum { BASE_IS_OLD = -1 };

typedef struct replica_state {
    int64_t settled, acked, backed_up, based;
    int64_t versioned; /* own groups up to here have their versions in the base rows (SUM-1) */
    int64_t digest_state, digest_faults, digest_fault_ms, digest_checked_ms, digest_buckets;
    int64_t pruned; /* groups up to here left the outbox, except those in the tray */
    digest pruned_chain;
    int64_t last; /* newest group, and its chain: from fb_outbox */
    digest chain_last;
    int64_t old_base; /* groups up to here were captured over a base of an earlier epoch; less than
                         0: the base is of one still */
    int64_t head_cid, last_sync_ms, next_sync_ms;
    int64_t clock_offset_ms, server_seen_ms;
    int64_t visible; /* grows with every promotion that changed rows */
    bool base_stale;
} replica_state;

typedef struct capture {
    bool open;
    uint64_t serial;
    group_head head;
    int64_t replaces; /* also of an earlier life, less than 0: only the second copy is told of it */
    group_writer writer;
    buf body, image; /* group line; before-images */
    bool needs_image;
    uint32_t ops;
    arena *memory;
    buf numbers;                           /* document numbers taken: lines "name next" */
    fb_id drafts_gone[CAPTURE_DRAFTS_MAX]; /* deleted inside it */
    uint32_t drafts_gone_count;
} capture;

struct replica {
    sql_db *db;
    const fb_port *port;
    id_maker ids;
    bool read_only;
    bool sync_normal;      /* benches only: no commit waits for the disk */
    int tz_offset_min;     /* minutes east of UTC of the business day */
    const fb_files *files; /* NULL: no bytes of attachments are kept */
    char *blob_folder;     /* PATH.blobs */
    bool blobs_swept;      /* the folder was compared with fb_blob since open */
    edition *edition;
    replica_identity me;
    replica_state state;
    capture capture;
    buf packed;                 /* scratch: a stored body */
    struct pack_offers *offers; /* the download's, taken apart (pack.c); NULL: not yet */
    struct packer *packer;      /* for bodies */
    buf text;                   /* scratch: SQL text */
    arena *scratch;             /* reset by whoever starts a piece of work */
    int64_t data_version;       /* PRAGMA data_version when the memory was last true */
    int64_t rights_serial;
    arena *rights_memory;
    fb_text *roles;
    fb_id *role_ids;
    uint32_t roles_count;
    int roles_known; /* 0 not read, 1 read, -1 nothing synced yet */
    bool has_alias;
    bool purge_due; /* rows left this device: their bytes go from the write-ahead log as well
                       (PUR-1) */
    int64_t stamp;
    int64_t life;               /* incarnations this file has had */
    uint8_t salvaged_nonce[16]; /* of the salvage that made this file; zero: none */
    second second;
    struct base_sums { /* during a promotion (sums.c) */
        row_sums now, before;
        bool counting, uncertain;
        bool withheld; /* the request that is out should have carried them: digest_ask */
    } sums;
    bool reserved; /* reserve.c holds space */
    bool broken;   /* what stands in the file contradicts itself */
    bool asked;    /* the next open salvages: it is written beside the file */
    bool in_use;   /* opened: what cannot be read now was not met by the opening */
    bool counted;  /* a place that could not be read: it is written beside the file */
};

/* --- open.c --- */
/* Forget what memory holds and read it again: after a rollback. */
FB_MUST_USE fb_code replica_reload(replica *r);
/* --- catalogue.c --- */
FB_MUST_USE fb_code catalog_install(replica *r, fb_text text, bool *changed_out, fb_error *err);
FB_MUST_USE fb_code catalog_adopt(replica *r, fb_text text, bool *changed_out, fb_error *err);
/* After another connection installed one, or after a rollback took ours away. */
FB_MUST_USE fb_code catalog_follow(replica *r);
/* At the first open of a handle. */
FB_MUST_USE fb_code catalog_boot(replica *r, fb_error *err);
/* Fill *err from the connection's last failure. */
fb_code sql_fail(replica *r, fb_code code, fb_error *err);
FB_MUST_USE fb_code run_text(replica *r, const char *text);
FB_MUST_USE fb_code run_int(replica *r, const char *text, int64_t a);
FB_MUST_USE fb_code run_int2(replica *r, const char *text, int64_t a, int64_t b);
/* First column of the first row; *found false when there is none. */
FB_MUST_USE fb_code read_int(replica *r, const char *text, int64_t a, bool *found, int64_t *out);
/* The same for a statement without parameters whose answer is always there. */
FB_MUST_USE fb_code read_count(replica *r, const char *text, int64_t *out);

/* --- edition.c --- */
FB_MUST_USE fb_code edition_new(catalog *take, edition **out);
void edition_free(edition *e);
/* The plan of an entity of any edition; plan_if_ours: NULL when it is of none. */
entity_plan *plan_of(replica *r, const cat_entity *e);
entity_plan *plan_if_ours(replica *r, const cat_entity *e);
/* The statements, prepared at first use; NULL with sql_code set. */
sql_stmt *plan_read(replica *r, entity_plan *p);
sql_stmt *plan_insert(replica *r, entity_plan *p);
sql_stmt *plan_remove(replica *r, entity_plan *p);
sql_stmt *plan_exists(replica *r, entity_plan *p);
/* UPDATE e SET columns... WHERE id: parameters are the columns in order, then the id. */
sql_stmt *plan_update(replica *r, entity_plan *p, const int *columns, uint32_t count);

/* --- meta.c --- */
FB_MUST_USE fb_code state_load(replica *r);
bool state_agrees(const replica_state *s); /* OUT-4: the marks stand in their order */
/* Write what differs from `before`, which is what the file holds. */
FB_MUST_USE fb_code state_save(replica *r, const replica_state *before);
FB_MUST_USE fb_code meta_get_int(replica *r, const char *key, int64_t *out); /* 0 if absent */
FB_MUST_USE fb_code meta_put_int(replica *r, const char *key, int64_t v);
FB_MUST_USE fb_code meta_put_blob(replica *r, const char *key, const void *data, size_t size);
FB_MUST_USE fb_code meta_put_text(replica *r, const char *key, fb_text v);
FB_MUST_USE fb_code meta_drop(replica *r, const char *key);
FB_MUST_USE fb_code identity_load(replica *r);
void chain_start(const fb_id *incarnation, digest *out); /* chain(0) of OUT-3 */
/* --- clock.c --- */
void clock_take(replica *r, int64_t server_wall_ms, int64_t device_wall_ms); /* state only */

/* Left as it is when the key is absent or of another size. */
FB_MUST_USE fb_code meta_find_blob(replica *r, const char *key, void *out, size_t size);

/* --- sums.c --- */
FB_MUST_USE fb_code sums_begin(replica *r, bool reset);
FB_MUST_USE fb_code sums_end(replica *r);
FB_MUST_USE fb_code sums_load(replica *r, row_sums *out, bool *known);
/* Nothing unless a promotion counts. */
void sums_add(replica *r, const cat_entity *e, const fb_id *id, int64_t ver);
void sums_take(replica *r, const cat_entity *e, const fb_id *id, int64_t ver);
FB_MUST_USE fb_code sums_take_row(replica *r, entity_plan *p, const fb_id *id);
/* All base rows; nothing may be on top. */
FB_MUST_USE fb_code sums_count(replica *r, row_sums *out);
FB_MUST_USE fb_code sums_empty_buckets(replica *r, const bucket_set *set);
/* Versions of a plain group's ops, in the scratch arena; NULL when its commit is not known. */
FB_MUST_USE fb_code own_versions(replica *r, int64_t gseq, const group *g, int64_t **out);
FB_MUST_USE fb_code sums_own_versions(replica *r);
/* --- digest.c --- */
/* direct: no page was staged before this one. */
FB_MUST_USE fb_code digest_judge(replica *r, const page_head *page, bool reset, bool direct,
                                 stage_result *result);

/* --- row.c --- */
FB_MUST_USE fb_code row_load(replica *r, entity_plan *p, const fb_id *id, arena *memory,
                             fb_value *values);
FB_MUST_USE fb_code row_exists(replica *r, entity_plan *p, const fb_id *id, bool *out);
FB_MUST_USE fb_code row_insert(replica *r, entity_plan *p, const fb_value *values);
FB_MUST_USE fb_code row_update(replica *r, entity_plan *p, const fb_id *id, const int *columns,
                               const fb_value *values, uint32_t count);
FB_MUST_USE fb_code row_remove(replica *r, entity_plan *p, const fb_id *id);
/* Stamps of an insert; of an update they are appended to columns/values. */
void stamp_insert(const replica *r, const entity_plan *p, int64_t at_ms, fb_value *values);
void stamp_update(const replica *r, const entity_plan *p, int64_t at_ms, int *columns,
                  fb_value *values, uint32_t *count);
int64_t value_number(const fb_value *v);     /* 0 for NULL */
void copy_value(arena *memory, fb_value *v); /* texts into memory; an empty text when it is full */

/* --- alias.c --- */
FB_MUST_USE fb_code alias_values(replica *r, const cat_entity *e, const int *columns,
                                 fb_value *values,
                                 uint32_t count); /* columns NULL: catalogue order */
FB_MUST_USE fb_code alias_store(replica *r, int64_t gseq, fb_text entity, const fb_id *from,
                                const fb_id *to);
/* Base rows and drafts that name `from` name `to`. */
FB_MUST_USE fb_code alias_rewrite(replica *r, fb_text entity, const fb_id *from, const fb_id *to);
FB_MUST_USE fb_code alias_notice(replica *r); /* sets has_alias from the file */

/* --- forget.c --- */
FB_MUST_USE fb_code forget_due(replica *r, bool *due_out);
/* In a promotion, behind its pages and before groups are put on again. */
FB_MUST_USE fb_code forget_erased(replica *r);

/* --- outbox.c --- */
FB_MUST_USE fb_code outbox_append(replica *r, int64_t gseq, const group_head *head, fb_text stored,
                                  const digest *chain);
/* The group's line, unpacked into `out` (reset first). E_CORRUPT: it is not there. */
FB_MUST_USE fb_code outbox_body(replica *r, int64_t gseq, buf *out);
FB_MUST_USE fb_code outbox_state_put(replica *r, int64_t gseq, group_state state);
FB_MUST_USE fb_code outbox_last_load(replica *r); /* state.last, chain_last */
FB_MUST_USE fb_code outbox_prune(replica *r);
/* The body as it is stored: `body` itself or its packed form in r->packed. */
fb_text outbox_pack(replica *r, fb_text body);
/* chain(gseq): of the outbox, where it was pruned, or of the start. E_GAP: not there. */
FB_MUST_USE fb_code chain_at(replica *r, int64_t gseq, digest *out);
/* Unpack a stored body; out is reset first. */
FB_MUST_USE fb_code body_unpack(buf *out, fb_text stored, size_t max_bytes);

/* --- undo.c --- */
void image_put_insert(buf *out, const cat_entity *e, const fb_id *id);
void image_put_set(buf *out, const cat_entity *e, const fb_id *id, const int *columns,
                   const fb_value *old, uint32_t count);
void image_put_row(buf *out, const cat_entity *e, const fb_value *values);
FB_MUST_USE fb_code image_store(replica *r, int64_t gseq, const buf *image);
/* The row of an image that is one '*' entry; columns that it lacks are null. Borrows. */
FB_MUST_USE fb_code image_row_get(fb_text image, const cat_entity *e, fb_value *values);
/* Does a group in (from, to] delete a row that was there before it? */
FB_MUST_USE fb_code images_delete(replica *r, int64_t from, int64_t to, bool *out);
/* Take the effect of one group off the tables (its image, or the ids its body inserts). */
FB_MUST_USE fb_code group_undo(replica *r, int64_t gseq);

/* --- replay.c --- */
typedef enum replay_mode {
    REPLAY_BASE,   /* the group's effect becomes base state: nothing to undo later */
    REPLAY_PENDING /* on top: record images, warn of ops that no longer apply */
} replay_mode;
FB_MUST_USE fb_code group_replay(replica *r, int64_t gseq, replay_mode mode);
/* Parse a stored group into the scratch arena. */
FB_MUST_USE fb_code group_load(replica *r, int64_t gseq, group *out);

/* --- page.c --- */
typedef struct page_counts {
    uint32_t *rows; /* by entity number of the active catalogue */
    uint32_t total;
} page_counts;
/* Strict check of all blocks and rows; adds to counts. */
FB_MUST_USE fb_code page_check(replica *r, fb_text lines, page_counts *counts, fb_error *err);
/* Only counts, reading no row. */
FB_MUST_USE fb_code page_count(replica *r, fb_text lines, page_counts *counts, fb_error *err);
FB_MUST_USE fb_code page_apply(replica *r, fb_text lines, fb_error *err);
FB_MUST_USE fb_code unknown_apply(replica *r, fb_error *err);
/* Rows that no table holds yet. */
FB_MUST_USE fb_code unknown_count(replica *r, row_sums *out);
/* Append the text in which the row is kept; id_at: where the id stands in it. */
FB_MUST_USE fb_code kept_row_put(const block_head *h, fb_text head_line, uint32_t id_at,
                                 fb_text line, arena *scratch, buf *out);
FB_MUST_USE fb_code page_counts_new(replica *r, arena *memory, page_counts *out);
void page_counts_put(replica *r, const page_counts *counts, buf *out);
FB_MUST_USE fb_code page_counts_add(replica *r, fb_text text, page_counts *counts);

/* --- parked.c --- */
FB_MUST_USE fb_code parked_gather(replica *r);
FB_MUST_USE fb_code parked_settle(replica *r);
FB_MUST_USE fb_code parked_prune(replica *r);
FB_MUST_USE fb_code parked_forget(replica *r, const cat_entity *e, const fb_id *id);
FB_MUST_USE fb_code parked_has(replica *r, const cat_entity *e, const fb_id *id, bool *out);
/* fn for each; one of an entity that the catalogue in use does not know is passed over. */
FB_MUST_USE fb_code parked_walk(replica *r,
                                fb_code (*fn)(void *ctx, const cat_entity *e, const fb_id *id),
                                void *ctx);
/* The row as it left, in theirs[columns_count], and since when; texts in `memory`. E_NOT_FOUND. */
FB_MUST_USE fb_code parked_load(replica *r, const cat_entity *e, const fb_id *id, arena *memory,
                                parked_row *out, fb_value *theirs);
/* --- warning.c --- */
/* op NULL: the whole group. */
FB_MUST_USE fb_code warning_add(replica *r, int64_t gseq, const char *word, const group_op *op);

/* --- late.c --- */
/* Indexes of tables that are empty and about to take many rows: dropped, and made afterwards. */
typedef struct late_indexes {
    struct late_index {
        struct late_index *next;
        const char *sql;
    } * first;
    arena *memory;
} late_indexes;
FB_MUST_USE fb_code late_drop(replica *r, const page_counts *counts, late_indexes *out);
FB_MUST_USE fb_code late_create(replica *r, const late_indexes *late);

/* --- stage.c --- */
FB_MUST_USE fb_code stage_drop(replica *r); /* what is downloaded and not shown yet */
/* Around a transaction that can be repeated from what the server says: it waits for no disk. The
 * write-ahead log is synced in order, so a group saved later takes it along. */
FB_MUST_USE fb_code sync_relax(replica *r);
FB_MUST_USE fb_code sync_restore(replica *r);

/* --- pack.c --- */
/* Offers, before their page is staged. *taken_out false: refused, nothing is to be staged. */
FB_MUST_USE fb_code pack_offers_take(replica *r, fb_text lines, arena *memory, bool *taken_out);
FB_MUST_USE fb_code pack_failed(replica *r);             /* one more; what is staged goes */
FB_MUST_USE fb_code pack_forgive(replica *r);            /* a download was promoted */
FB_MUST_USE fb_code pack_is_open(replica *r, bool *out); /* chunks are missing */
FB_MUST_USE fb_code pack_progress(replica *r, int64_t *here, int64_t *left); /* chunks */
void pack_offers_forget(replica *r);
FB_MUST_USE fb_code pack_is_staged(replica *r, bool *out); /* chunks are among what is staged */

/* --- reply.c --- */
typedef struct reply_verdict {
    reply_item item; /* LINE_RUN or LINE_VERDICT */
    fb_text line;
} reply_verdict;
typedef struct reply {
    sync_reply head;
    reply_verdict *verdicts;
    uint32_t verdicts_count;
    fb_text catalog_json;
    fb_text packs; /* lines of offers */
    bool has_page;
    page_head page;
    fb_text lines; /* the page's blocks and rows */
} reply;
FB_MUST_USE fb_code reply_get(fb_text body, arena *memory, reply *out, fb_error *err);

/* --- promote.c --- */
typedef struct promotion {
    const sync_reply *head;
    const page_head *page;
    bool direct; /* the page is taken from memory and nothing is staged */
    fb_text lines;
    stage_result *result;
    fb_error *err;
} promotion;
FB_MUST_USE fb_code promote(replica *r, const promotion *p);
/* VIS-1. */
bool group_is_on_top(const replica *r, int64_t gseq, int64_t state);
/* Delete every row of every entity. */
FB_MUST_USE fb_code base_wipe(replica *r);

/* --- reserve.c --- */
void reserve_keep(replica *r);
bool reserve_free(replica *r); /* true: there is more space now */

/* --- salvage.c --- */
/* The database is lost or damaged: move it aside, make a new one from the second copy and whatever
 * of the old one is still sound, and open that. `why` is what was found; returned unchanged when
 * there is nothing to salvage from. */
FB_MUST_USE fb_code salvage(const replica_options *o, fb_code why, replica **out, fb_error *err);
/* E_CORRUPT for what stands in the database itself and contradicts itself: replica_remember_damage
 * writes it down. */
fb_code file_broken(replica *r);
/* The file was found damaged in use: the next open salvages. */
void salvage_ask(const char *vfs, const char *path);
bool salvage_is_asked(const char *vfs, const char *path);
/* An opening ended with E_IO, or went well, and then a place could not be read. */
void salvage_count_unread(const char *vfs, const char *path);
/* True: it was counted often enough, and the place is still there. */
bool salvage_is_due(const char *vfs, const char *path);
/* Open without looking at the second copy. */
FB_MUST_USE fb_code replica_open_plain(const replica_options *o, replica **out, fb_error *err);

/* --- rights.c, observe.c, rebirth.c --- */
void rights_forget(replica *r);
void observe_entity(replica *r, const cat_entity *e); /* visible rows of e changed */
void observe_all(replica *r);
/* Inside a transaction: a fresh incarnation, pending groups renumbered from 1. */
FB_MUST_USE fb_code rebirth_inside(replica *r);
/* The same after the server was restored: what it had answered earlier lives of this device, and no
 * backup holds, is pending again, in front. */
FB_MUST_USE fb_code rebirth_revive(replica *r);
/* Is there any such of earlier lives? */
FB_MUST_USE fb_code rebirth_has_more(replica *r, bool *out);

#endif
