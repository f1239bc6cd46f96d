/* cache.c - what is read once for many groups. See decide.h.
 *
 *   CCH-1  a cached fact is what the view says: dropped at rollback, at a commit of reference data,
 * when the day or the catalogue changes, and when a commit was made that this cache was not told of
 *   CCH-2  memory is bounded: `weight` counts what is held, beyond the limit all is dropped */
#include "sync-server/decide/decide_inside.h"

#include <stdlib.h>
#include <string.h>

#include "sync-server/store/store_day.h"

enum { WEIGHT_MAX = 60000, CACHE_BYTES_MAX = 256 << 20, SCOPE_BYTES_MAX = 128 << 20 };

decide_cache *decide_cache_new(void)
{
    decide_cache *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->memory = arena_new(CACHE_BYTES_MAX);
    c->scope_memory = arena_new(SCOPE_BYTES_MAX);
    c->known = calloc(KNOWN_ROWS, sizeof *c->known);
    if (c->memory == NULL || c->scope_memory == NULL || c->known == NULL) {
        decide_cache_free(c);
        return NULL;
    }
    return c;
}

void decide_cache_free(decide_cache *c)
{
    if (c != NULL) {
        arena_free(c->memory);
        arena_free(c->scope_memory);
        free(c->known);
        free(c);
    }
}

void decide_cache_drop(decide_cache *c)
{
    c->ready = false;
}

void decide_cache_check_ids(decide_cache *c, bool on)
{
    c->check_ids = on;
}

static const struct {
    const char *entity;
    special rule;
} SPECIALS[] = {
    {"customer", SPECIAL_CUSTOMER},
    {"sales_order", SPECIAL_ORDER},
    {"sales_order_line", SPECIAL_ORDER_LINE},
    {"payment", SPECIAL_PAYMENT},
    {"payment_allocation", SPECIAL_ALLOCATION},
    {"visit", SPECIAL_VISIT},
    {"change_request", SPECIAL_CHANGE_REQUEST},
    {"conflict", SPECIAL_CONFLICT},
    {"held_group", SPECIAL_HELD},
};

static const char *const REFERENCE[] = {
    "org_unit",        "territory",        "app_user",       "role",
    "role_permission", "user_role",        "user_territory", "setting",
    "product",         "product_uom",      "tax_code",       "price_list",
    "price_list_item", "price_assignment",
};

static bool is_reference(const cat_entity *e)
{
    for (size_t i = 0; i < sizeof REFERENCE / sizeof REFERENCE[0]; i++) {
        if (text_is(e->name, REFERENCE[i])) {
            return true;
        }
    }
    return false;
}

static special special_of(const cat_entity *e)
{
    for (size_t i = 0; i < sizeof SPECIALS / sizeof SPECIALS[0]; i++) {
        if (text_is(e->name, SPECIALS[i].entity)) {
            return SPECIALS[i].rule;
        }
    }
    return SPECIAL_NONE;
}

static void stamps_find(const cat_entity *e, entity_facts *f)
{
    const struct {
        const char *name;
        int *column;
    } stamps[] = {{"created_by", &f->created_by},
                  {"created_at", &f->created_at},
                  {"created_device", &f->created_device},
                  {"updated_by", &f->updated_by},
                  {"updated_at", &f->updated_at}};
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        *stamps[i].column = e->stamps ? cat_column_str(e, stamps[i].name) : -1;
        if (e->stamps) {
            f->servers[*stamps[i].column] = true; /* a catalogue is loaded with all of them */
        }
    }
}

static fb_code entity_facts_make(decide_cache *c, const cat_entity *e)
{
    entity_facts *f = &c->facts[e->number];
    f->rule = special_of(e);
    f->is_reference = is_reference(e);
    int *room = arena_take(c->memory, 3 * (size_t)e->columns_count * sizeof *room);
    f->servers = arena_take(c->memory, e->columns_count * sizeof *f->servers);
    if (room == NULL || f->servers == NULL) {
        return FB_E_NO_MEMORY;
    }
    stamps_find(e, f);
    f->refs = room;
    f->fills = room + e->columns_count;
    f->uniques = f->fills + e->columns_count;
    for (int i = 1; i < cat_ver_column(e); i++) {
        const cat_column *col = &e->columns[i];
        if (f->servers[i]) {
            continue; /* a stamp */
        }
        f->servers[i] = col->derived;
        if (col->type == CAT_REF) {
            f->refs[f->refs_count++] = i;
            c->facts[col->to_entity].is_target = true;
        }
        if (col->derived || col->default_value.kind != FB_KIND_NULL || i == e->states.column) {
            f->fills[f->fills_count++] = i;
        }
        if (col->unique) {
            f->uniques[f->uniques_count++] = i;
        }
    }
    return FB_OK;
}

/* What was remembered of rows' scopes; made anew when it is asked for next. */
static void scopes_forget(decide_cache *c)
{
    c->scopes = NULL;
    c->generation++;
}

static fb_code scopes_need(decide_cache *c)
{
    if (c->scopes == NULL) {
        arena_reset(c->scope_memory);
        c->scopes = scope_cache_new(c->scope_memory);
    }
    return c->scopes != NULL ? FB_OK : FB_E_NO_MEMORY;
}

/* Without them nobody has a right, and nobody would know why. */
static fb_code people_find(decide_cache *c)
{
    const struct {
        const char *name;
        const cat_entity **at;
    } needed[] = {{"app_user", &c->app_user},
                  {"user_role", &c->user_role},
                  {"role", &c->role},
                  {"role_permission", &c->permission},
                  {"setting", &c->setting}};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        *needed[i].at = catalog_entity_str(c->cat, needed[i].name);
        if (*needed[i].at == NULL) {
            return FB_E_CATALOG;
        }
    }
    return FB_OK;
}

static fb_code cache_fill(decide_cache *c, store *view)
{
    arena_reset(c->memory);
    memset(c->known, 0, KNOWN_ROWS * sizeof *c->known);
    c->cat = store_catalog(view);
    c->cat_version = c->cat->version;
    c->users = NULL;
    c->settings = NULL;
    c->settings_read = false;
    c->shelf = NULL;
    c->users_count = 0;
    c->weight = 0;
    c->stale = false;
    FB_TRY(people_find(c));
    c->facts = arena_take(c->memory, c->cat->entities_count * sizeof *c->facts);
    if (c->facts == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < c->cat->entities_count; i++) {
        FB_TRY(entity_facts_make(c, &c->cat->entities[i]));
    }
    FB_TRY(erased_load(c, view));
    c->ready = true;
    return FB_OK;
}

/* Of the company's calendar. */
static fb_code day_number(store *view, int64_t at_ms, int64_t *out)
{
    int64_t zone_minutes = 0;
    FB_TRY(store_zone_minutes(view, &zone_minutes));
    *out = store_day_of(at_ms, zone_minutes);
    return FB_OK;
}

fb_code company_day(store *view, int64_t at_ms, char out[TEXT_DATE_BYTES])
{
    int64_t day = 0;
    FB_TRY(day_number(view, at_ms, &day));
    text_date_put(day, out);
    return FB_OK;
}

fb_code decide_cache_begin(decide_cache *c, store *view, int64_t head, int64_t now_ms)
{
    int64_t day = 0;
    FB_TRY(day_number(view, now_ms, &day));
    const catalog *cat = store_catalog(view);
    bool holds = c->ready && !c->stale && c->head == head && c->day == day && c->cat == cat &&
                 c->cat_version == cat->version && c->weight < WEIGHT_MAX;
    c->head = head;
    c->day = day;
    c->now_ms = now_ms;
    text_date_put(day, c->today);
    if (!holds) {
        FB_TRY(cache_fill(c, view)); /* CCH-1 */
    }
    scopes_forget(c);
    return FB_OK;
}

/* Called again inside a batch when a commit of reference data made the cache stale. */
static bool moves_scopes(const entity_facts *f, const change *ch)
{
    return f->is_reference || text_is(ch->entity->name, "customer_assignment") ||
           (ch->kind != CHANGE_INSERT && ch->entity->children_count > 0);
}

static known_row *known_place(decide_cache *c, const fb_id *id)
{
    uint32_t h = 0;
    memcpy(&h, id->b + 4, sizeof h);
    uint32_t low = 0;
    memcpy(&low, id->b + 12, sizeof low);
    h = (h ^ low) * 2654435761u;
    return &c->known[h >> (32 - 13)];
}

bool known_has(decide_cache *c, const cat_entity *e, const fb_id *id)
{
    const known_row *k = known_place(c, id);
    return k->entity == e->number + 1 && id_equal(&k->id, id);
}

void known_add(decide_cache *c, const cat_entity *e, const fb_id *id)
{
    if (!known_has(c, e, id)) {
        *known_place(c, id) = (known_row){.id = *id, .entity = e->number + 1};
    }
}

bool known_in_scope(decide_cache *c, const cat_entity *e, const fb_id *id, const user_facts *u)
{
    const known_row *k = known_place(c, id);
    return known_has(c, e, id) && k->user == u->number && k->generation == c->generation;
}

void known_set_scope(decide_cache *c, const cat_entity *e, const fb_id *id, const user_facts *u)
{
    known_add(c, e, id);
    known_row *k = known_place(c, id);
    k->user = u->number;
    k->generation = c->generation;
}

void decide_cache_committed(decide_cache *c, const change *changes, uint32_t count, int64_t cid)
{
    bool moved = false;
    for (uint32_t i = 0; i < count; i++) {
        const entity_facts *f = &c->facts[changes[i].entity->number];
        c->stale |= f->is_reference;
        moved |= moves_scopes(f, &changes[i]);
        if (changes[i].kind == CHANGE_DELETE && known_has(c, changes[i].entity, &changes[i].id)) {
            *known_place(c, &changes[i].id) = (known_row){.entity = 0};
        } else if (changes[i].kind == CHANGE_INSERT && f->is_target) {
            known_add(c, changes[i].entity, &changes[i].id);
        }
    }
    if (cid > 0) {
        c->head = cid;
    }
    if (moved) {
        scopes_forget(c);
    }
}

fb_code user_get(decide_cache *c, store *view, const fb_id *user, user_facts **out)
{
    user_facts *u = NULL;
    FB_TRY(scopes_need(c));
    if (!c->ready || c->stale) {
        FB_TRY(cache_fill(c, view));
    }
    FB_TRY(user_read(c, view, user, &u));
    if (!u->scopes_read) {
        FB_TRY(feed_scopes_of_user(view, user, c->now_ms, c->memory, &u->scopes));
        u->scopes_read = true;
    }
    *out = u;
    return FB_OK;
}

fb_code decide_scopes_of_user(decide_cache *c, store *view, const fb_id *user, scope_list *out)
{
    user_facts *u = NULL;
    FB_TRY(user_get(c, view, user, &u));
    *out = u->scopes;
    return FB_OK;
}
