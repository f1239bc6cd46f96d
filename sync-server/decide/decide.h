/* decide.h - authority: one group in, one decision out. Pure over a read view; writes nothing.
 *
 * Order: permission and rules of every op, references, three-way merge per column, duplicates,
 * scope, then business rules over the group as a whole (orders, payments, visits, change requests,
 * conflicts). A failure of a rule is a verdict, never an error; an error (disk, memory) means:
 * nothing happened, try again.
 *
 *   DEC-1  the decision depends only on the view, the group and the session (caches hold what the
 * view says) DEC-2  rejected, held and blocked decisions have no changes DEC-3  no value loses
 * without a conflict record among the changes (MAX and MIN keep the better value by their nature
 * and need none) DEC-4  one row has at most one change in a decision
 *   DEC-5  of what was captured over an earlier epoch's base a decision says whether a row was
 *          missing that nobody is known to have deleted */
#ifndef FB_DECIDE_DECIDE_H
#define FB_DECIDE_DECIDE_H

#include "sync-server/feed/feed.h"
#include "sync-server/ledger/ledger.h"
#include "wire/erased.h"
#include "wire/group_msg.h"

typedef struct decide_session {
    fb_id device, user, incarnation;
    int64_t received_at_ms; /* server clock */
    int64_t gseq;
    bool waived;   /* a person accepted it: credit, scope and hidden duplicates do not hold it */
    bool old_base; /* captured over a base of an earlier epoch: newer versions than fs_meta
                      epoch_cid mean nothing here */
    bool collided; /* a row of this incarnation had another one's id: fs_blocked names it */
} decide_session;

typedef struct decided_block {
    const cat_entity *entity;
    fb_id id;
    bool collided; /* with a row of somebody else */
} decided_block;

/* A held group that this one decides (held.c): carried out behind it, in the same transaction. */
typedef struct decided_held {
    fb_id device;
    int64_t incarnation_no; /* the life of the device in which it was sent */
    int64_t number;         /* 0: nothing is decided */
    bool accept;
    fb_text reason;
} decided_held;

typedef struct decision {
    verdict_msg verdict; /* texts live in the arena */
    change *changes;     /* ledger's input, in order */
    uint32_t changes_count;
    bool plain;  /* echo rule */
    bool awaits; /* judged without a row that a restore may have lost: whoever made it sends it
                    again, and it may be judged otherwise then (DEC-5) */
    decided_block *blocked; /* rows a refused group would have made */
    uint32_t blocked_count;
    decided_held held;
} decision;

/* What is read once and used for many groups: rights, scopes, settings, products, prices, ids known
 * to exist. Owned by the writer; told of every commit, dropped when someone else committed. */
typedef struct decide_cache decide_cache;
decide_cache *decide_cache_new(void); /* NULL: out of memory */
void decide_cache_free(decide_cache *c);
/* At the start of a write transaction, `head` being its last commit: drops what may be old. */
FB_MUST_USE fb_code decide_cache_begin(decide_cache *c, store *view, int64_t head, int64_t now_ms);
/* After each commit of the same transaction. cid 0: nothing was written. */
void decide_cache_committed(decide_cache *c, const change *changes, uint32_t count, int64_t cid);
/* The transaction was rolled back, or something changed that was not told. */
void decide_cache_drop(decide_cache *c);
/* Look up every inserted id before it is written. Off in ordinary life: the insert itself tells
 * (ledger_commit E_EXISTS), the batch is then done again with this on. */
void decide_cache_check_ids(decide_cache *c, bool on);
/* Scopes of a user's devices today, from the cache. Borrowed until the next drop. */
FB_MUST_USE fb_code decide_scopes_of_user(decide_cache *c, store *view, const fb_id *user,
                                          scope_list *out);

/* `c` must have been begun in the open transaction. */
FB_MUST_USE fb_code decide_group(decide_cache *c, store *view, const decide_session *who,
                                 const group *g, arena *memory, decision *out);

/* What is known of erased persons, for lines that are kept (wire/erased.h). False: nobody was
 * erased. Good until the next drop or fill, inside the open transaction. */
bool decide_erased_view(decide_cache *c, store *view, erased_view *out);

/* Is `now`, in that column of a row of `e`, a value that this record of the entity conflict (`ce`)
 * holds? Else somebody changed it since, and whoever settles the record has not seen it. */
FB_MUST_USE fb_code conflict_knows(const cat_entity *ce, const fb_value *record,
                                   const cat_entity *e, int column, const fb_value *now, bool *out);

/* What the row of a held group is called: its author and its bytes as they were sent. */
fb_id held_row_id(const fb_id *user, fb_text line);

/* A group that waits for a person. Each life of a device (incarnation) counts its groups from 1. */
typedef struct held_waiting {
    fb_id device;
    int64_t number, incarnation_no;
    uint32_t count; /* as many fit what was asked; this is the newest. 0: none waits */
} held_waiting;
/* With this number, in any life of the device. */
FB_MUST_USE fb_code held_waiting_at(store *view, const fb_id *device, int64_t number,
                                    held_waiting *out);
/* Shown by this row, of whatever device. */
FB_MUST_USE fb_code held_waiting_row(store *view, const fb_id *row, held_waiting *out);

/* The verdict for a group that cannot be decided: unreadable (rejected) or poisonous (held). */
void decide_refuse_unread(const decide_session *who, fb_code code, const char *why, arena *memory,
                          decision *out);
void decide_hold_poison(const decide_session *who, arena *memory, decision *out);

#endif
