/* feed_scope.c - scopes of rows: numbers of scopes, rules of the catalogue, parents through a
 * cache.
 *
 * A number is for ever once it is committed. One made inside a transaction that was undone is
 * forgotten with it: the table is emptied when the store's stamp moves.
 *
 *   SCO-1  the list of a row is the union of its rules; a rule with a NULL column adds nothing
 *   SCO-2  a parent that does not exist adds nothing, and is not remembered
 *   SCO-3  no company has more scopes than one device may have: who would pass that is refused
 *          where the person, territory or org unit is added, not at every sync of who sees all */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/feed/feed_inside.h"
#include "sync-server/store/fill.h"

enum { CACHE_SLOTS_FIRST = 64 };

/* ---- state of the connection ---- */

static void state_free(void *state)
{
    feed_state *f = state;
    for (int i = 0; i < USER_SLOTS; i++) {
        free(f->users[i].scopes);
    }
    free(f->slots);
    class_map_clear(&f->pending);
    known_classes_clear(&f->known);
    free(f);
}

/* clang-format off */
static const struct {
    const char *entity, *column;
    size_t entity_at, column_at; /* in feed_words */
} WORDS[] = {
#define AT(entity, column, place) {#entity, column, offsetof(feed_words, entity), offsetof(feed_words, place)}
    AT(app_user, "org_unit_id", user_unit), AT(role, "data_scope", role_scope), AT(user_role, "user_id", role_user),
    AT(user_territory, "user_id", territory_user), AT(territory, "parent_id", territory_parent),
    AT(territory, "org_unit_id", territory_unit), AT(org_unit, "parent_id", unit_parent),
    AT(customer_assignment, "customer_id", assignment_customer), AT(customer_assignment, "user_id", assignment_user),
    AT(customer_assignment, "territory_id", assignment_territory), AT(customer_assignment, "from_at", assignment_from),
    AT(customer_assignment, "to_at", assignment_to),
#undef AT
};
/* clang-format on */

/* A catalogue without one of them could show anything to anybody. */
static fb_code look_up_words(const catalog *c, feed_words *w)
{
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        const cat_entity *e = catalog_entity_str(c, WORDS[i].entity);
        int column = e != NULL ? cat_column_str(e, WORDS[i].column) : -1;
        if (column < 0) {
            return FB_E_CATALOG;
        }
        *(const cat_entity **)(void *)((char *)w + WORDS[i].entity_at) = e;
        *(int *)(void *)((char *)w + WORDS[i].column_at) = column;
    }
    return FB_OK;
}

static fb_code state_refresh(store *s, feed_state *f)
{
    if (f->created) {
        memset(f->slots, 0, f->slots_count * sizeof *f->slots);
        f->slots_used = 0;
        f->created = false;
    }
    FB_TRY(store_meta_int(s, "scope_clock_ms", 0, &f->clock_ms));
    FB_TRY(store_zone_minutes(s, &f->zone_minutes));
    FB_TRY(look_up_words(store_catalog(s), &f->words));
    f->stamp = store_stamp(s);
    return FB_OK;
}

fb_code feed_state_get(store *s, feed_state **out)
{
    feed_state *f = store_room_get(s, STORE_ROOM_FEED);
    FB_ASSERT(store_catalog(s) != NULL);
    if (f == NULL) {
        f = calloc(1, sizeof *f);
        if (f == NULL) {
            return FB_E_NO_MEMORY;
        }
        store_room_set(s, STORE_ROOM_FEED, f, state_free);
    }
    if (f->stamp != store_stamp(s)) { /* a catalogue that is loaded moves it too */
        FB_TRY(state_refresh(s, f));
    }
    *out = f;
    return FB_OK;
}

fb_code feed_clock(store *s, int64_t *ms_out)
{
    feed_state *f = NULL;
    FB_TRY(feed_state_get(s, &f));
    *ms_out = f->clock_ms;
    return FB_OK;
}

fb_code feed_assignment_get(store *s, feed_assignment *out)
{
    feed_state *f = NULL;
    FB_TRY(feed_state_get(s, &f));
    const feed_words *w = &f->words;
    *out = (feed_assignment){w->customer_assignment, w->assignment_customer, w->assignment_from,
                             w->assignment_to};
    return FB_OK;
}

fb_code feed_clock_set(store *s, int64_t ms)
{
    feed_state *f = NULL;
    FB_TRY(feed_state_get(s, &f));
    FB_ASSERT(ms >= f->clock_ms);
    FB_TRY(store_meta_int_set(s, "scope_clock_ms", ms));
    f->clock_ms = ms;
    return FB_OK;
}

/* ---- lists ---- */

fb_code scope_builder_add(scope_builder *b, int64_t scope)
{
    uint32_t at = b->count;
    while (at > 0 && b->scopes[at - 1] >= scope) {
        at--;
    }
    if (at < b->count && b->scopes[at] == scope) {
        return FB_OK;
    }
    if (b->count == b->capacity) {
        uint32_t capacity = b->capacity > 0 ? b->capacity * 2 : 8;
        int64_t *grown = arena_take(b->memory, capacity * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (b->count > 0) {
            memcpy(grown, b->scopes, b->count * sizeof *grown);
        }
        b->scopes = grown;
        b->capacity = capacity;
    }
    memmove(b->scopes + at + 1, b->scopes + at, (b->count - at) * sizeof *b->scopes);
    b->scopes[at] = scope;
    b->count++;
    return FB_OK;
}

static fb_code add_list(scope_builder *b, const scope_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        FB_TRY(scope_builder_add(b, list->scopes[i]));
    }
    return FB_OK;
}

uint32_t scope_list_at(const scope_list *list, int64_t scope)
{
    uint32_t low = 0;
    uint32_t high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->scopes[middle] < scope) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < list->count && list->scopes[low] == scope ? low : list->count;
}

bool scope_list_has(const scope_list *list, int64_t scope)
{
    return scope_list_at(list, scope) < list->count;
}

bool scope_list_equal(const scope_list *a, const scope_list *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->scopes, b->scopes, a->count * sizeof *a->scopes) == 0);
}

/* ---- numbers of scopes ---- */

uint32_t feed_id_hash(const fb_id *id)
{
    uint64_t low;
    uint64_t high;
    memcpy(&high, id->b, sizeof high);
    memcpy(&low, id->b + sizeof high, sizeof low);
    uint64_t mixed = (high ^ (low * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    /* Ids of one maker differ in the last bytes of `high`, its upper bits: bring them down first.
     */
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(mixed >> 32);
}

static struct scope_slot *slot_of(feed_state *f, scope_kind kind, const fb_id *ref)
{
    uint32_t mask = f->slots_count - 1;
    uint32_t i = (feed_id_hash(ref) + (uint32_t)kind) & mask;
    while (f->slots[i].number != 0 &&
           (f->slots[i].kind != kind || !id_equal(&f->slots[i].ref, ref))) {
        i = (i + 1) & mask;
    }
    return &f->slots[i];
}

static bool slots_grow(feed_state *f)
{
    if (f->slots_count > 0 && f->slots_used < f->slots_count / 2) {
        return true;
    }
    struct scope_slot *old = f->slots;
    uint32_t old_count = f->slots_count;
    uint32_t count = old_count > 0 ? old_count * 2 : SCOPE_SLOTS_FIRST;
    struct scope_slot *made = calloc(count, sizeof *made);
    if (made == NULL) {
        return false;
    }
    f->slots = made;
    f->slots_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i].number != 0) {
            *slot_of(f, old[i].kind, &old[i].ref) = old[i];
        }
    }
    free(old);
    return true;
}

fb_code feed_scopes_changed(store *s)
{
    int64_t stamp = 0;
    FB_TRY(store_meta_int(s, "scope_stamp", 0, &stamp));
    return store_meta_int_set(s, "scope_stamp", stamp + 1);
}

/* A new scope may belong to a user whose list was made without it. */
static fb_code number_make(store *s, scope_kind kind, const fb_id *ref, int64_t *out)
{
    store_stmt *q = store_prepare(s, STORE_feed_scope_add);
    bool row = false;
    store_bind_int(q, 1, kind);
    store_bind_blob(q, 2, ref->b, sizeof ref->b);
    FB_TRY(store_step(q, &row));
    FB_ASSERT(row);
    int64_t made = store_int(q, 0);
    FB_TRY(store_run(q));
    if (made > DEVICE_SCOPES_MAX) { /* SCO-3 */
        return FB_E_LIMIT;
    }
    *out = made;
    return feed_scopes_changed(s);
}

static fb_code number_read(store *s, scope_kind kind, const fb_id *ref, int64_t *out)
{
    store_stmt *q = store_prepare(s, STORE_feed_scope_find);
    store_bind_int(q, 1, kind);
    store_bind_blob(q, 2, ref->b, sizeof ref->b);
    return store_one(q, out);
}

fb_code scope_number(store *s, feed_state *f, scope_kind kind, const fb_id *ref, bool create,
                     int64_t *out)
{
    if (!slots_grow(f)) {
        return FB_E_NO_MEMORY;
    }
    struct scope_slot *slot = slot_of(f, kind, ref);
    if (slot->number == 0) {
        int64_t number = 0;
        FB_TRY(number_read(s, kind, ref, &number));
        if (number == 0 && create) {
            FB_TRY(number_make(s, kind, ref, &number));
            f->created = true;
        }
        if (number == 0) {
            *out = 0;
            return FB_OK;
        }
        *slot = (struct scope_slot){.number = number, .kind = kind, .ref = *ref};
        f->slots_used++;
    }
    *out = slot->number;
    return FB_OK;
}

fb_code feed_scope_make(store *s, const cat_entity *e, const fb_id *id)
{
    feed_state *f = NULL;
    int64_t number = 0;
    FB_TRY(feed_state_get(s, &f));
    if (e == f->words.territory) {
        return scope_number(s, f, KIND_TERRITORY, id, true, &number);
    }
    if (e == f->words.org_unit) {
        return scope_number(s, f, KIND_REGION, id, true, &number);
    }
    return e == f->words.app_user ? scope_number(s, f, KIND_USER, id, true, &number) : FB_OK;
}

fb_code feed_scope_refused(const cat_entity *e, fb_code rc, fb_error *err)
{
    static const char *const named[] = {"territory", "org_unit", "app_user"};
    for (size_t i = 0; rc == FB_E_LIMIT && i < sizeof named / sizeof named[0]; i++) {
        if (text_is(e->name, named[i])) {
            return fail(err, rc, named[i],
                        "the company has %d people, territories and org units, those of earlier "
                        "years among them, and a device cannot hold more scopes: instead of adding "
                        "one, rename one that is not needed any more",
                        DEVICE_SCOPES_MAX);
        }
    }
    return rc;
}

/* ---- cache of parents ---- */

struct scope_cache {
    arena *memory;
    struct cache_slot {
        int entity; /* number + 1; 0: free */
        fb_id id;
        scope_list list;
    } * slots;
    uint32_t slots_count, used;
};

scope_cache *scope_cache_new(arena *memory)
{
    scope_cache *c = arena_take(memory, sizeof *c);
    if (c != NULL) {
        c->memory = memory;
        c->slots = arena_take(memory, CACHE_SLOTS_FIRST * sizeof *c->slots);
        c->slots_count = CACHE_SLOTS_FIRST;
    }
    return c != NULL && c->slots != NULL ? c : NULL;
}

uint32_t scope_cache_count(const scope_cache *c)
{
    return c->used;
}

static struct cache_slot *cache_slot_of(const scope_cache *c, const cat_entity *e, const fb_id *id)
{
    uint32_t mask = c->slots_count - 1;
    uint32_t i = (feed_id_hash(id) + (uint32_t)e->number) & mask;
    while (c->slots[i].entity != 0 &&
           (c->slots[i].entity != e->number + 1 || !id_equal(&c->slots[i].id, id))) {
        i = (i + 1) & mask;
    }
    return &c->slots[i];
}

static fb_code cache_grow(scope_cache *c)
{
    if (c->used < c->slots_count / 2) {
        return FB_OK;
    }
    scope_cache grown = {.memory = c->memory, .slots_count = c->slots_count * 2, .used = c->used};
    grown.slots = arena_take(c->memory, grown.slots_count * sizeof *grown.slots);
    if (grown.slots == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < c->slots_count; i++) {
        const struct cache_slot *old = &c->slots[i];
        const cat_entity key = {.number = old->entity - 1};
        if (old->entity != 0) {
            *cache_slot_of(&grown, &key, &old->id) = *old;
        }
    }
    *c = grown;
    return FB_OK;
}

static fb_code cache_keep(scope_cache *c, const cat_entity *e, const fb_id *id,
                          const scope_list *list, bool copied)
{
    FB_TRY(cache_grow(c));
    struct cache_slot *slot = cache_slot_of(c, e, id);
    scope_list kept = *list;
    if (!copied && list->count > 0) {
        kept.scopes = arena_take(c->memory, list->count * sizeof *kept.scopes);
        if (kept.scopes == NULL) {
            return FB_E_NO_MEMORY;
        }
        memcpy(kept.scopes, list->scopes, list->count * sizeof *kept.scopes);
    }
    c->used += slot->entity == 0 ? 1 : 0;
    *slot = (struct cache_slot){.entity = e->number + 1, .id = *id, .list = kept};
    return FB_OK;
}

/* ---- scopes of a row ---- */

typedef struct scoping {
    store *store;
    feed_state *state;
    scope_cache *cache;
    bool create;
    scope_builder *builder;
} scoping;

static fb_code add_number(scoping *x, scope_kind kind, const fb_value *ref)
{
    int64_t number = 0;
    if (ref->kind != FB_KIND_ID) {
        return FB_OK;
    }
    FB_TRY(scope_number(x->store, x->state, kind, &ref->u.id, x->create, &number));
    return number == 0 ? FB_OK : scope_builder_add(x->builder, number);
}

static bool is_active(const feed_words *w, const fb_value *values, int64_t clock_ms)
{
    const fb_value *to = &values[w->assignment_to];
    return value_int(values, w->assignment_from) <= clock_ms &&
           (to->kind == FB_KIND_NULL || clock_ms < to->u.i);
}

static fb_code add_assignment(void *ctx, const fb_value *values)
{
    scoping *x = ctx;
    const feed_words *w = &x->state->words;
    if (!is_active(w, values, x->state->clock_ms)) {
        return FB_OK;
    }
    FB_TRY(add_number(x, KIND_TERRITORY, &values[w->assignment_territory]));
    return add_number(x, KIND_USER, &values[w->assignment_user]);
}

static fb_code add_assignments(scoping *x, const fb_id *customer)
{
    const feed_words *w = &x->state->words;
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *customer};
    return store_rows_by(x->store, w->customer_assignment, w->assignment_customer, &key,
                         x->cache->memory, add_assignment, x);
}

static fb_code scopes_of_parent(store *s, scope_cache *cache, const cat_entity *e, const fb_id *id,
                                bool create, scope_list *out)
{
    const struct cache_slot *slot = cache_slot_of(cache, e, id);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    if (slot->entity != 0) {
        *out = slot->list;
        return FB_OK;
    }
    fb_code rc = store_row_keys(s, e, id, values);
    if (rc == FB_E_NOT_FOUND) {
        *out = (scope_list){0};
        return FB_OK; /* SCO-2 */
    }
    FB_TRY(rc);
    return feed_scopes_of_row(s, cache, e, values, create, cache->memory, out);
}

static fb_code parent_of_rule(scoping *x, const cat_entity *e, int column, const fb_value *value,
                              scope_list *out)
{
    const cat_entity *parent = &store_catalog(x->store)->entities[e->columns[column].to_entity];
    *out = (scope_list){0};
    if (value->kind != FB_KIND_ID) {
        return FB_OK;
    }
    return scopes_of_parent(x->store, x->cache, parent, &value->u.id, x->create, out);
}

static fb_code add_rule(scoping *x, const cat_entity *e, const cat_scope_rule *rule,
                        const fb_value *values)
{
    const fb_value *value = rule->column >= 0 ? &values[rule->column] : NULL;
    scope_list parents = {0};
    switch (rule->kind) {
    case SCOPE_GLOBAL:
        return scope_builder_add(x->builder, SCOPE_NUMBER_GLOBAL);
    case SCOPE_TERRITORY:
        return add_number(x, KIND_TERRITORY, value);
    case SCOPE_REGION:
        return add_number(x, KIND_REGION, value);
    case SCOPE_USER:
        return add_number(x, KIND_USER, value);
    case SCOPE_PARENT:
        FB_TRY(parent_of_rule(x, e, rule->column, value, &parents));
        return add_list(x->builder, &parents);
    case SCOPE_ASSIGNMENT:
        return add_assignments(x, &values[0].u.id);
    case SCOPE_NONE:
        break;
    }
    return FB_OK;
}

fb_code feed_scopes_of_row(store *s, scope_cache *cache, const cat_entity *e,
                           const fb_value *values, bool create, arena *memory, scope_list *out)
{
    FB_ASSERT(values[0].kind == FB_KIND_ID);
    scoping x = {.store = s, .cache = cache, .create = create};
    scope_builder builder = {.memory = memory};
    FB_TRY(feed_state_get(s, &x.state));
    x.builder = &builder;
    if (e->scopes_count == 1 && e->scopes[0].kind == SCOPE_PARENT) {
        /* The usual child: exactly its parent's list, shared with the cache. */
        int column = e->scopes[0].column;
        FB_TRY(parent_of_rule(&x, e, column, &values[column], out));
    } else {
        for (uint32_t i = 0; i < e->scopes_count; i++) {
            FB_TRY(add_rule(&x, e, &e->scopes[i], values));
        }
        *out = (scope_list){.scopes = builder.scopes, .count = builder.count};
    }
    if (e->children_count == 0) {
        return FB_OK;
    }
    return cache_keep(cache, e, &values[0].u.id, out, memory == cache->memory);
}
