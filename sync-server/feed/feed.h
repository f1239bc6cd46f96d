/* feed.h - who sees what: scopes of rows, scopes of devices, pages.
 *
 * Reads only, except feed_entry_* which the ledger calls inside its transaction.
 *
 *   FED-1  a page holds no row outside the device's scopes in the page's own snapshot
 *   FED-2  complete is said only when the snapshot had nothing after the page's position in any
 * scope
 *   FED-3  a row in several scopes of the device is sent once; leaving one of them sends nothing
 *   FED-4  own plain commits with gseq > settled are left out (echo rule)
 *   FED-5  a row that moves between scopes of the device, unchanged, is not sent again; of one
 *          that was changed by its move alone, only what names its scopes */
#ifndef FB_FEED_FEED_H
#define FB_FEED_FEED_H

#include "sync-server/feed/feed_sign.h"
#include "sync-server/store/store.h"
#include "sync-server/store/store_pack.h"
#include "wire/sync_msg.h"

typedef struct scope_list {
    int64_t *scopes; /* numbers, ascending, unique */
    uint32_t count;
} scope_list;

/* Scopes of a row (values: whole row). Creates scope numbers as needed when `create`. Parents are
 * read through `cache` (per transaction), which must be dropped when rows it saw change scope. */
typedef struct scope_cache scope_cache;
scope_cache *scope_cache_new(arena *memory);
FB_MUST_USE fb_code feed_scopes_of_row(store *s, scope_cache *cache, const cat_entity *e,
                                       const fb_value *values, bool create, arena *memory,
                                       scope_list *out);
bool scope_list_equal(const scope_list *a, const scope_list *b);
uint32_t scope_cache_count(const scope_cache *c); /* rows remembered, to bound its memory */
/* Assignments are judged at the scope clock, which only the ledger moves, together with the rows
 * concerned. */
FB_MUST_USE fb_code feed_clock(store *s, int64_t *ms_out);
FB_MUST_USE fb_code feed_clock_set(store *s, int64_t ms);
/* The entity that gives a customer to a territory or a person for a time. E_CATALOG: there is none.
 */
typedef struct feed_assignment {
    const cat_entity *entity;
    int customer, from, to;
} feed_assignment;
FB_MUST_USE fb_code feed_assignment_get(store *s, feed_assignment *out);
/* Rows that feed_scopes_of_user reads were changed (writer). */
FB_MUST_USE fb_code feed_scopes_changed(store *s);
/* A territory, org unit or user was inserted: its scope exists from now on, also before any row is
 * in it (writer). Other entities name no scope. */
FB_MUST_USE fb_code feed_scope_make(store *s, const cat_entity *e, const fb_id *id);
/* What a person is told when a commit that adds rows of `e` was refused with E_LIMIT (SCO-3);
 * whatever else it was refused with is left to others. Gives rc back. */
fb_code feed_scope_refused(const cat_entity *e, fb_code rc, fb_error *err);
/* Scopes of a user's devices now (protocol.md section 8). */
FB_MUST_USE fb_code feed_scopes_of_user(store *s, const fb_id *user, int64_t now_ms, arena *memory,
                                        scope_list *out);

/* Ledger's side: move the row's entries to position `pos` in `now`, LEAVE in scopes of `before`
 * that are not in `now` (DELETE everywhere when `how` says so). old_pos: the row's ver before, 0
 * for an insert. */
typedef enum feed_change {
    FEED_CHANGED,
    FEED_MOVED, /* an update of nothing but columns that scope rules name */
    FEED_DELETED
} feed_change;
typedef enum feed_kind {
    FEED_ROW = 0,
    FEED_LEAVE = 1,
    FEED_DELETE = 2,
    FEED_CAME = 3 /* the row as it was, moved into the scope */
} feed_kind;
FB_MUST_USE fb_code feed_entry_move(store *s, const cat_entity *e, const fb_id *id, int64_t old_pos,
                                    int64_t pos, const scope_list *before, const scope_list *now,
                                    feed_change how);
/* A row that keeps its version `ver` and only moves: CAME in scopes it enters, LEAVE in those it
 * leaves, nothing in those it stays in. */
FB_MUST_USE fb_code feed_entry_follow(store *s, const cat_entity *e, const fb_id *id, int64_t ver,
                                      int64_t pos, const scope_list *before, const scope_list *now);

/* The same for rows that are new, many at a time; positions ascending. */
typedef struct feed_new {
    const cat_entity *entity;
    fb_id id;
    int64_t pos;
    scope_list scopes;
} feed_new;
FB_MUST_USE fb_code feed_entries_add(store *s, const feed_new *rows, uint32_t count);
/* Writer: forget LEAVE and DELETE entries before pos; tokens that stand before it get a reset page.
 */
FB_MUST_USE fb_code feed_horizon_set(store *s, int64_t pos);
/* The same for all commits that are older than `age_ms` at now_ms. A clock that runs ahead of the
 * newest commit forgets nothing that this one would not. *moved_out false: nothing was written. */
FB_MUST_USE fb_code feed_horizon_age(store *s, int64_t now_ms, int64_t age_ms, bool *moved_out);

/* The digest (protocol.md section 6.5). *wrong: buckets of a device with these scopes that are not
 * as `device` says; *rows_out: all its rows. E_CORRUPT: the digests do not count what the feed
 * holds. */
FB_MUST_USE fb_code feed_digest_wrong(store *s, const scope_list *set, const row_sums *device,
                                      arena *memory, bucket_set *wrong, int64_t *rows_out);
FB_MUST_USE fb_code feed_digest_check(store *s, fb_error *err);
/* Packs: the rows of one scope at one position, made once for all devices that begin with it
 * (protocol.md 6.6). A pack is offered only while it says nothing that a page would not say:
 *
 *   FED-6  of this epoch and catalogue, between horizon and head, and no row has left its scope
 *          since: who may see the scope now might have been shown every row of it */
typedef struct pack_source {
    pack_store *store;
    const sign_key *key;
    fb_id epoch;
} pack_source;
/* FED-6, but for who may see its scope; head_pos: the last possible position of the snapshot. */
FB_MUST_USE fb_code feed_pack_is_good(store *s, const pack_info *info, const fb_id *epoch,
                                      int64_t head_pos, bool *out);
/* Rows from which on a pack pays; bytes of a chunk, unpacked; rest between two rounds over all
 * scopes, and least age of a pack before a newer one is made. 0: the default. */
typedef struct pack_limits {
    uint32_t rows_min, chunk_bytes, rest_ms, age_ms;
} pack_limits;
/* Makes packs that are missing and renews those that are no longer offered or have grown old, a
 * step at a time, on connections of its own: `view` reads, `packs` takes them. */
typedef struct pack_builder pack_builder;
pack_builder *pack_builder_new(store *view, const pack_source *packs, const pack_limits *limits);
void pack_builder_free(pack_builder *b); /* NULL is fine */
/* One bounded piece of work; *more_out: there is another at once. The snapshot it reads stays open
 * between the steps of one pack and no longer. */
FB_MUST_USE fb_code pack_builder_step(pack_builder *b, uint64_t mono_ms, int64_t wall_ms,
                                      bool *more_out);
/* Is the row, whose version is `ver`, in one of these scopes? Inside a snapshot. */
FB_MUST_USE fb_code feed_row_is_in(store *s, const cat_entity *e, const fb_id *id, int64_t ver,
                                   const scope_list *scopes, bool *out);

/* One page for a device. Inside a snapshot. Appends the page line and its blocks to `out` (not the
 * end line). `token` as the device sent it; the new token stands in the page line. Stores nothing:
 * a changed scope set is registered beforehand by feed_scope_set (writer). */
typedef struct page_request {
    fb_id device, incarnation, user;
    fb_text token;
    int64_t settled;
    uint32_t page_bytes;
    int64_t set_number;       /* current scope set of the device */
    const scope_list *set;    /* its scopes */
    bool check;               /* totals even if there is no row */
    fb_text buckets;          /* the device's sums: what is wrong is sent anew */
    const pack_source *packs; /* NULL: a download from nothing comes as pages */
    bool takes_moves;         /* with the catalogue of this snapshot */
} page_request;
typedef struct page_result {
    bool complete, empty, reset;
    uint32_t rows;
    uint32_t fixed; /* buckets sent anew */
} page_result;
FB_MUST_USE fb_code feed_page(store *s, const page_request *q, arena *memory, buf *out,
                              page_result *result);
/* Would a page for this token be empty now? Cheap: for long polls. */
FB_MUST_USE fb_code feed_is_empty(store *s, const page_request *q, bool *out);

/* Writer: the device's scope set for these scopes; a new number when it differs from the newest. */
FB_MUST_USE fb_code feed_scope_set(store *s, const fb_id *device, const scope_list *set,
                                   int64_t *number_out);
/* Reader: newest set of the device; *number_out 0 when none. */
FB_MUST_USE fb_code feed_scope_set_get(store *s, const fb_id *device, arena *memory,
                                       scope_list *out, int64_t *number_out);

#endif
