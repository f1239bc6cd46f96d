/* decide_inside.h - what the files of this room share; nobody outside includes it.
 *
 *   decide.c     the loop over the ops and the order of questions
 *   cache.c      what is read once for many groups
 *   view.c       rows changed earlier in this group laid over the store
 *   rights.c     roles and rights of a person      scope.c   is the row within the person's scopes
 *   late.c       judged by the rights at capture
 *   refs.c       references, aliases, dependants   merge.c   three-way merge, conflict records
 *   row_ops.c    insert and delete of one row      duplicate.c  the same customer twice
 *   order.c facts.c payment.c visit.c change_request.c conflict.c held.c    business rules
 *   erased.c     what was erased stays out   verdict.c    refusals in words
 *
 * A function that asks a rule returns FB_OK, or a code with d->refused set: the verdict is then
 * in d->out. A code without d->refused is trouble (disk, memory). */
#ifndef FB_DECIDE_INSIDE_H
#define FB_DECIDE_INSIDE_H

#include "base/check.h"
#include "base/id.h"
#include "base/text.h"
#include "rules/issue.h"
#include "rules/row_check.h"
#include "sync-server/decide/decide.h"
#include "sync-server/store/fill.h"

/* Entities with a rule of their own. */
typedef enum special {
    SPECIAL_NONE,
    SPECIAL_CUSTOMER,
    SPECIAL_ORDER,
    SPECIAL_ORDER_LINE,
    SPECIAL_PAYMENT,
    SPECIAL_ALLOCATION,
    SPECIAL_VISIT,
    SPECIAL_CHANGE_REQUEST,
    SPECIAL_CONFLICT,
    SPECIAL_HELD
} special;

/* What an entity means to this room, worked out once per catalogue. */
typedef struct entity_facts {
    special rule;
    int created_by, created_at, created_device, updated_by, updated_at; /* -1: no stamps */
    int *refs;     /* columns that name another row, stamps left out */
    bool *servers; /* per column: the server's own, what a group holds for it is ignored */
    int *fills;    /* columns that row_derive may fill */
    int *uniques;
    uint32_t refs_count, fills_count, uniques_count;
    bool is_target;    /* some reference leads here */
    bool is_reference; /* its rows are held in the cache: a change drops it */
} entity_facts;

typedef struct user_facts {
    struct user_facts *next;
    fb_id id;
    uint32_t number; /* for marks in the table of known ids */
    bool active;
    row_rights *rights; /* one per entity */
    scope_list scopes;
    bool scopes_read;
} user_facts;

/* An id known to exist, direct-mapped; `user` saw it within its scopes, 0 nobody yet. */
typedef struct known_row {
    fb_id id;
    int32_t entity; /* number + 1, 0 empty */
    uint32_t user, generation;
} known_row;
enum { KNOWN_ROWS = 1 << 13 };

/* Ids of the entity `erasure`, open addressing; all zero: free. */
typedef struct erased_set {
    fb_id *ids;
    uint32_t slots; /* 0: nobody was erased */
    store *view;    /* where rows above them are looked for, set for each use */
} erased_set;

struct price_shelf;
struct decide_cache {
    arena *memory;       /* everything below, until the next drop */
    arena *scope_memory; /* parents seen by the feed, until the next batch */
    scope_cache *scopes;
    const catalog *cat;
    uint32_t cat_version;
    /* What says who may do what: every catalogue has them. */
    const cat_entity *app_user, *user_role, *role, *permission, *setting;
    int64_t head, day, now_ms;
    char today[TEXT_DATE_BYTES];
    bool ready, stale, check_ids;
    uint32_t weight;     /* things held, to bound the memory */
    entity_facts *facts; /* one per entity */
    user_facts *users;
    uint32_t users_count;
    struct setting_row *settings;
    bool settings_read;
    struct price_shelf *shelf;
    erased_set erased;
    uint32_t generation; /* of scopes: raised when a row may have moved */
    known_row *known;
};

/* One row as this group sees it. */
typedef struct view_row {
    const cat_entity *e;
    fb_id id;
    fb_value *values;       /* after the ops so far */
    const fb_value *before; /* as in the store; NULL: inserted by this group */
    bool *touched;          /* per column; NULL: untouched */
    bool deleted;
    bool listed; /* view_changes has seen it */
    struct view_row *chain;
} view_row;

typedef struct alias_pair {
    struct alias_pair *next;
    const cat_entity *e;
    fb_id from, to;
} alias_pair;

typedef struct merged_column {
    struct merged_column *next;
    verdict_column column;
} merged_column;

enum { VIEW_BUCKETS = 64 };
typedef struct decide {
    decide_cache *cache;
    store *view;
    const catalog *cat;
    const decide_session *who;
    const group *g;
    arena *memory;
    decision *out;
    user_facts *user;
    int64_t at_ms; /* capture time, clamped to the time of receipt */
    bool plain, refused, unchanged_time;
    view_row **rows; /* in the order they were first touched */
    uint32_t rows_count, rows_capacity;
    view_row *buckets[VIEW_BUCKETS];
    alias_pair *aliases;
    merged_column *merged, **merged_end;
    uint32_t merged_count, made; /* rows the server made */
    erased_parts erased;         /* what was taken out of the group before it was judged */
    const view_row *collided;    /* inserted under an id that is another row's */
} decide;

static inline const entity_facts *facts_of(const decide *d, const cat_entity *e)
{
    return &d->cache->facts[e->number];
}
static inline const row_rights *rights_of(const decide *d, const cat_entity *e)
{
    return &d->user->rights[e->number];
}

/* --- cache.c --- */
/* The person with rights and scopes; renews a stale cache. */
FB_MUST_USE fb_code user_get(decide_cache *c, store *view, const fb_id *user, user_facts **out);
bool known_has(decide_cache *c, const cat_entity *e, const fb_id *id);
void known_add(decide_cache *c, const cat_entity *e, const fb_id *id);
bool known_in_scope(decide_cache *c, const cat_entity *e, const fb_id *id, const user_facts *u);
/* "YYYY-MM-DD" of an instant in the company's calendar. */
FB_MUST_USE fb_code company_day(store *view, int64_t at_ms, char out[TEXT_DATE_BYTES]);
void known_set_scope(decide_cache *c, const cat_entity *e, const fb_id *id, const user_facts *u);
/* --- erased.c --- */
FB_MUST_USE fb_code erased_load(decide_cache *c, store *view);
/* The group without what was erased; d->erased says what that was. */
FB_MUST_USE fb_code group_erase(decide *d, group *g);
/* The same for rows that this group has just learned to be another row's (aliases). */
FB_MUST_USE fb_code aliased_erase(decide *d);
/* Each of d->erased as a column that lost, with no value: the verdict names where, not what. */
FB_MUST_USE fb_code erased_merged(decide *d);
/* --- settings.c --- */
/* Before setting_int: the settings are there. */
FB_MUST_USE fb_code settings_need(decide *d);
/* The setting that binds this person most closely (user, role, global); fallback if none. */
int64_t setting_int(const decide *d, const char *key, int64_t fallback);

/* --- rights.c --- */
FB_MUST_USE fb_code user_read(decide_cache *c, store *view, const fb_id *user, user_facts **out);
/* The group's person with the rights of another day; lives in d->memory. */
FB_MUST_USE fb_code user_as_of(decide *d, int64_t at_ms, user_facts **out);

/* --- late.c: a refusal for want of a right that the person had when it was captured --- */
FB_MUST_USE fb_code late_captured_ms(decide *d, int64_t *out);
bool late_is_asked(const decide *d);
fb_code late_hold(decide *d);

/* --- view.c --- */
view_row *view_find(decide *d, const cat_entity *e,
                    const fb_id *id); /* touched by this group, or NULL */
/* The row as this group sees it, read from the store at first sight. E_NOT_FOUND also for deleted
 * ones. */
FB_MUST_USE fb_code view_get(decide *d, const cat_entity *e, const fb_id *id, view_row **out);
FB_MUST_USE fb_code view_add(decide *d, const cat_entity *e, const fb_id *id, fb_value *values,
                             view_row **out);
FB_MUST_USE fb_code view_set(decide *d, view_row *row, int column, const fb_value *v);
/* One more column of a row that this group has changed already. */
void view_put(view_row *row, int column, const fb_value *v);
FB_MUST_USE fb_code view_exists(decide *d, const cat_entity *e, const fb_id *id, bool *out);
/* Changes of the group as the ledger wants them. */
FB_MUST_USE fb_code view_changes(decide *d);

/* --- verdict.c --- */
fb_code verdict_refuse(decide *d, verdict_code v, const issue *why, const char *who);
/* This row is not there: may it come yet? (DEC-5) Asked before the refusal: a failure is none. */
FB_MUST_USE fb_code row_awaited(decide *d, const cat_entity *e, const fb_id *id);
/* The row at fault goes with the verdict. */
fb_code refuse_row(decide *d, verdict_code v, const issue *why, const char *who,
                   const view_row *row);
fb_code refuse_blocked(decide *d, int64_t by, const cat_entity *e, int column);
fb_text row_json(const cat_entity *e, const fb_value *values, arena *memory);
fb_text value_json(const cat_column *c, const fb_value *v, arena *memory);
/* "entity.column" */
fb_text field_name(const cat_entity *e, int column, char room[96]);
/* An issue about one column: {1} its name is not needed, the texts stand as they are. */
typedef struct saying {
    fb_code code;
    const char *text_en, *text_zh, *cure_en, *cure_zh;
} saying;
void say(issue *out, const saying *s, const cat_entity *e, int column);
/* Verdict at the end of a group that stands. */
FB_MUST_USE fb_code verdict_accept(decide *d);

/* --- refs.c --- */
/* Every reference of these columns leads to a row; aliases are followed, values rewritten. */
FB_MUST_USE fb_code refs_check(decide *d, const cat_entity *e, fb_value *values, const int *columns,
                               uint32_t count);
/* The id to use for a row this op names: itself, or what it was merged into. */
FB_MUST_USE fb_code alias_follow(decide *d, const cat_entity *e, fb_id *id, bool *followed);
/* T10: the id is a row of somebody else's, and this device meant its own, which was refused. */
FB_MUST_USE fb_code collided_by(decide *d, const cat_entity *e, const fb_id *id, int64_t *gseq_out);
FB_MUST_USE fb_code blocked_by(decide *d, const fb_id *id, int64_t *gseq_out); /* 0: by none */
/* A number of a device's series (policy SEQ) that another record has: *v becomes the next free
 * "<number>-2" and so on, *holder the record that has it. Where none is free *v stays taken. */
FB_MUST_USE fb_code number_renew(decide *d, const cat_entity *e, const fb_id *id, int column,
                                 fb_value *v, fb_id *holder);
FB_MUST_USE fb_code unique_lists_check(decide *d, const cat_entity *e, const fb_id *id,
                                       const fb_value *values);
FB_MUST_USE fb_code uniques_check(decide *d, const cat_entity *e, const fb_id *id,
                                  const fb_value *values, const int *columns, uint32_t count);
/* The three above for columns of a row that are about to be set; an alias in values is rewritten.
 */
FB_MUST_USE fb_code others_check(decide *d, const view_row *row, const int *columns,
                                 fb_value *values, uint32_t count);

/* --- scope.c --- */
FB_MUST_USE fb_code scope_check_new(decide *d, const cat_entity *e, const fb_id *id,
                                    const fb_value *values);
FB_MUST_USE fb_code scope_check_row(decide *d, const view_row *row);
FB_MUST_USE fb_code row_in_scope(decide *d, const cat_entity *e, const fb_id *id,
                                 const fb_value *values, bool *out);

/* --- row_ops.c, merge.c --- */
FB_MUST_USE fb_code op_insert(decide *d, const group_op *op);
FB_MUST_USE fb_code ids_check(decide *d); /* rows made by this group are new on the server */
FB_MUST_USE fb_code op_delete(decide *d, const group_op *op);
FB_MUST_USE fb_code op_update(decide *d, const group_op *op); /* also deltas */
/* The row an op names, in scope; followed aliases, dependants and deleted rows answered. */
FB_MUST_USE fb_code op_row(decide *d, const group_op *op, view_row **out);
/* Is the row, on the server, as the device saw it (echo rule)? */
FB_MUST_USE fb_code seen_as_is(decide *d, const view_row *row, int64_t base_ver, bool *out);
/* at_ms: when it was captured, as the server believes it (merge.c). */
void stamps_add(decide *d, view_row *row, int64_t at_ms);
/* Who decided this row, and when it was captured; the columns by name. */
void person_stamp(decide *d, view_row *row, const char *by, const char *at);
/* A new row's number was renewed: the number given is kept like any value that lost (DEC-3). */
FB_MUST_USE fb_code number_lost(decide *d, view_row *row, int column, const fb_value *given,
                                const fb_id *holder);
/* A person's choice takes the place of a value that he has not seen: that one is kept likewise.
 * Before the choice is written. `base`: what stood as far as he knew. */
FB_MUST_USE fb_code settled_over(decide *d, view_row *row, int column, const fb_value *base,
                                 const fb_value *chosen);
/* Commit time of a version, 0 when unknown. */
FB_MUST_USE fb_code commit_time(decide *d, int64_t ver, int64_t *at_ms_out);
/* The same for the version that this group says its author saw; 0: it is of an earlier epoch, and
 * was lost with it. */
FB_MUST_USE fb_code base_time(decide *d, int64_t base_ver, int64_t *at_ms_out);

/* A row the server makes in this group: fresh id, derived from the group and its place and from
 * nothing else, so that a server that was put back makes the same row again. */
fb_id made_id(decide *d);

/* Server-side change of columns of one row: rules, derived columns, stamps. */
FB_MUST_USE fb_code server_set(decide *d, view_row *row, const int *columns, const fb_value *values,
                               uint32_t count);

/* --- business rules over a row of the group --- */
FB_MUST_USE fb_code duplicate_check(decide *d, const cat_entity *e, const fb_id *id,
                                    const fb_value *values, bool *aliased);
FB_MUST_USE fb_code order_rule(decide *d, view_row *row);
FB_MUST_USE fb_code order_line_rule(decide *d, view_row *row);
FB_MUST_USE fb_code allocation_rule(decide *d, view_row *row);
FB_MUST_USE fb_code visit_rule(decide *d, view_row *row);
FB_MUST_USE fb_code change_request_rule(decide *d, view_row *row);
FB_MUST_USE fb_code conflict_rule(decide *d, view_row *row);
FB_MUST_USE fb_code held_rule(decide *d, view_row *row);
/* Before a row is changed: the row of a held group is decided once, and by nothing but its own
 * step. `by_server`: on behalf of another rule. */
FB_MUST_USE fb_code held_check(decide *d, const view_row *row, bool by_server);

/* State column of a row: did this group bring it to `state`? */
bool state_became(const view_row *row, const char *state);

/* upgrade.c: *g is changed to what a newer app would have sent; *upgraded: it is not as sent. */
FB_MUST_USE fb_code group_upgrade(group *g, arena *memory, bool *upgraded);

#endif
