/* feed_inside.h - what the files of this room share; nobody else includes it. */
#ifndef FB_FEED_FEED_INSIDE_H
#define FB_FEED_FEED_INSIDE_H

#include "schema/limits.h"
#include "sync-server/feed/feed.h"

enum {
    COMMIT_BITS = 20, /* STO-1: pos = cid << COMMIT_BITS | index */
    USER_SLOTS = 1024,
    SCOPE_SLOTS_FIRST = 256,
};
#define POS_IN_COMMIT_MAX (((int64_t)1 << COMMIT_BITS) - 1)

typedef enum scope_kind { /* fs_scope.kind */
                          KIND_GLOBAL = 1,
                          KIND_TERRITORY = 2,
                          KIND_REGION = 3,
                          KIND_USER = 4
} scope_kind;
enum { SCOPE_NUMBER_GLOBAL = 1 };

/* The entities that say who may see what: every catalogue has them. */
typedef struct feed_words {
    const cat_entity *customer_assignment, *app_user, *role, *user_role, *user_territory,
        *territory, *org_unit;
    int assignment_customer, assignment_user, assignment_territory, assignment_from, assignment_to;
    int user_unit, role_scope, role_user, territory_user, territory_parent, territory_unit;
    int unit_parent;
} feed_words;

/* Classes with their sums, or with what was added to them (feed_class.c). */
typedef struct class_map {
    struct class_sums {
        scope_list scopes;
        row_sums sums;
        int64_t numbers[];
    } * *list, *last; /* last: the one found last */
    uint32_t count;
    uint32_t *slots; /* index + 1; 0: free */
    uint32_t slots_count;
} class_map;

/* The classes as the database has them (feed_digest.c). */
typedef struct known_classes {
    struct known_class {
        int64_t number;
        scope_list scopes; /* owned */
        row_totals totals;
    } * list;
    uint32_t count, capacity;
    int64_t cid; /* the commit up to which they are right */
    uint64_t undos;
} known_classes;

/* What this room remembers per connection. */
typedef struct feed_state {
    uint64_t stamp; /* store_stamp for which the rest is right */
    bool created;   /* numbers were made since the table was emptied: an undo may take them back */
    struct scope_slot {
        int64_t number; /* 0: free */
        scope_kind kind;
        fb_id ref;
    } * slots;
    uint32_t slots_count, slots_used;
    int64_t clock_ms; /* assignments are judged at this time (feed.h) */
    int64_t zone_minutes;
    feed_words words;
    struct user_slot {
        fb_id user;
        int64_t scope_stamp, day;
        int64_t *scopes; /* owned */
        uint32_t count;
    } users[USER_SLOTS];
    class_map pending; /* what this transaction has changed, while pending_undos is store_undos */
    uint64_t pending_undos, digest_undos;
    bool digest_built;
    known_classes known;
} feed_state;

/* The state, brought up to date. */
FB_MUST_USE fb_code feed_state_get(store *s, feed_state **out);
/* Over all 16 bytes: ids made by one maker share their tail. */
uint32_t feed_id_hash(const fb_id *id);

/* Where the row's entry stands in the scope; 0: it has none there. */
FB_MUST_USE fb_code feed_entry_at(store *s, int64_t scope, const cat_entity *e, const fb_id *id,
                                  int64_t ver, int64_t *pos_out);

/* A growing ascending list without repeats. */
typedef struct scope_builder {
    int64_t *scopes;
    uint32_t count, capacity;
    arena *memory;
} scope_builder;
FB_MUST_USE fb_code scope_builder_add(scope_builder *b, int64_t scope);
/* Where it stands in the list; `count`: nowhere. */
uint32_t scope_list_at(const scope_list *list, int64_t scope);
bool scope_list_has(const scope_list *list, int64_t scope);
/* Number of a scope; 0 when it has none and `create` is false. */
FB_MUST_USE fb_code scope_number(store *s, feed_state *f, scope_kind kind, const fb_id *ref,
                                 bool create, int64_t *out);
FB_MUST_USE fb_code scope_list_read(fb_text text, arena *memory, scope_list *out);
void scope_list_write(buf *out, const scope_list *list);

/* Writer: before entries are written, and the sums that a row with these scopes counts in. */
FB_MUST_USE fb_code feed_class_begin(store *s);
FB_MUST_USE fb_code feed_class_sums(store *s, const scope_list *scopes, row_sums **out);
FB_MUST_USE fb_code class_map_sums(class_map *m, const scope_list *scopes, row_sums **out);
void class_map_clear(class_map *m);
/* All classes, counted from the feed. */
FB_MUST_USE fb_code class_map_count(store *s, class_map *out);
/* The buckets in a column of the statement's row. */
FB_MUST_USE fb_code class_sums_get(store_stmt *q, int column, row_sums *out);
void known_classes_clear(known_classes *k);
/* Does fs_scope_class count everything? Not before the first commit after an upgrade. */
FB_MUST_USE fb_code feed_digest_built(store *s, bool *out);
/* Of a device with these scopes, in this snapshot. */
FB_MUST_USE fb_code feed_digest_totals(store *s, const scope_list *set, arena *memory,
                                       row_totals *out);

/* Where a download stands (feed_token.c). */
enum { TOKEN_LAYERS_MAX = 4 };
typedef struct feed_token {
    struct token_layer {
        int64_t set, pos;
    } layers[TOKEN_LAYERS_MAX];
    uint32_t count;
    bool dropping;     /* scopes of earlier layers that the last one lacks are being emptied */
    int64_t drop_pos;  /* done up to here */
    int64_t whole_pos; /* the device was complete here, in the scopes of all layers */
    bool filling;      /* after packs: scopes are being filled up to the last layer's pos */
    int64_t fill_pos;  /* done up to here */
    fb_text packed;    /* while filling: where each pack stands; borrowed */
} feed_token;
bool feed_token_get(fb_text text, feed_token *out);
void feed_token_put(buf *out, const feed_token *t);

/* Entries of several scopes in the order of positions (feed_merge.c). */
typedef struct feed_entry {
    int64_t pos, entity;
    fb_id id;
    feed_kind kind;
    int64_t since; /* in the table: of a LEAVE, of a ROW that moved */
    bool kept;     /* the device holds the row as it was before this entry */
} feed_entry;
typedef struct feed_merge feed_merge;
/* cursors[i]: entries of scopes->scopes[i] after that position. */
FB_MUST_USE fb_code feed_merge_open(store *s, const scope_list *scopes, const int64_t *cursors,
                                    arena *memory, feed_merge **out);
/* wholes[i]: up to where the device holds everything that was in scopes->scopes[i]. Without it
 * nothing is `kept`. */
void feed_merge_wholes(feed_merge *m, const int64_t *wholes);
/* The next position, once: kind is ROW or CAME when any of its entries is. *found_out false at the
 * end. */
FB_MUST_USE fb_code feed_merge_next(feed_merge *m, feed_entry *out, bool *found_out);
bool feed_merge_ended(const feed_merge *m);

/* A page being read (feed_view.c prepares and judges, feed_page.c writes). */
typedef struct feed_view {
    store *store;
    const page_request *request;
    arena *memory;
    feed_token token;
    bool reset; /* starts from nothing */
    bool echo;  /* the echo rule holds: the device's rows are settled up to its position */
    scope_list sets[TOKEN_LAYERS_MAX];
    int64_t *cursors; /* per scope of request->set */
    int64_t *wholes;  /* likewise: up to there the device holds all that was in the scope then */
    int64_t cursor_max;
    int64_t head_pos;  /* last possible position of the snapshot */
    scope_list packed; /* token.packed: the scopes, and where their packs stand */
    int64_t *packed_pos;
    bool offered; /* this page goes with packs, and without rows: they come before it */
    scope_cache *cache;
    int64_t incarnation; /* number; -1: not looked up yet, 0: unknown to the server */
    int64_t commit_cid;  /* the commit looked at last, and whether it is an own plain one */
    bool commit_own;
} feed_view;
typedef enum feed_send { SEND_NOTHING, SEND_ROW, SEND_MOVE, SEND_LEAVE, SEND_DELETE } feed_send;
FB_MUST_USE fb_code feed_view_open(store *s, const page_request *q, arena *memory, feed_view *v);
/* Where every scope of the set stands, after the token was changed. */
void feed_view_cursors(feed_view *v);
/* A download from nothing (feed_pack.c): if some of its scopes have packs, append their offers to
 * `out` and let the token say that they are there. */
FB_MUST_USE fb_code feed_pack_offer(feed_view *v, buf *out);
/* Scopes of earlier layers that the device no longer has. */
FB_MUST_USE fb_code feed_view_dropped(const feed_view *v, scope_list *out);
/* What the device is told about this entry; in_dropped: it was found in a dropped scope. */
FB_MUST_USE fb_code feed_view_judge(feed_view *v, const feed_entry *entry, bool in_dropped,
                                    const cat_entity **entity_out, feed_send *out);

#endif
