/* feed_user.c - scopes of a user's devices (protocol.md section 8).
 *
 * Always: global, the user's own, the user's org unit. By user_territory rows valid today: that
 * territory. By roles valid today: data scope `region` adds the org units below the user's own and
 * the territories that belong to them or lie below those; `all` adds every scope there is. Validity
 * is by calendar days of the company (fs_meta zone_minutes).
 *
 * A list is remembered until the day ends or fs_meta scope_stamp moves; whoever changes one of the
 * rows it is made of calls feed_scopes_changed (the ledger does). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "base/text.h"
#include "sync-server/feed/feed_inside.h"
#include "sync-server/store/fill.h"
#include "sync-server/store/store_day.h"

enum { UNIT_TREE_MAX = DEVICE_SCOPES_MAX }; /* each has a scope */

typedef struct user_scan {
    store *store;
    feed_state *state;
    arena *memory;
    scope_builder builder;
    char today[TEXT_DATE_BYTES];
    bool region, all;
    /* Units or territories found so far; each is expanded once, so a loop in the tree ends. */
    fb_id *found;
    uint32_t found_count;
} user_scan;

/* Last day included, as a person means it. */
static bool is_valid_today(const user_scan *u, const cat_entity *e, const fb_value *values)
{
    return text_date_within(text_of(u->today), row_text(e, values, "valid_from"),
                            row_text(e, values, "valid_to"));
}

/* Scopes that no row ever had have no number; when one gets it, scope_stamp moves. */
static fb_code add_scope(user_scan *u, scope_kind kind, const fb_id *ref)
{
    int64_t number = 0;
    FB_TRY(scope_number(u->store, u->state, kind, ref, false, &number));
    return number == 0 ? FB_OK : scope_builder_add(&u->builder, number);
}

static fb_code on_territory(void *ctx, const fb_value *values)
{
    user_scan *u = ctx;
    const cat_entity *e = u->state->words.user_territory;
    fb_id territory = row_id(e, values, "territory_id");
    return is_valid_today(u, e, values) ? add_scope(u, KIND_TERRITORY, &territory) : FB_OK;
}

static fb_code on_role(void *ctx, const fb_value *values)
{
    user_scan *u = ctx;
    const feed_words *w = &u->state->words;
    fb_id role = row_id(w->user_role, values, "role_id");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    if (!is_valid_today(u, w->user_role, values)) {
        return FB_OK;
    }
    fb_code rc = store_row_get(u->store, w->role, &role, u->memory, row);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    fb_text scope = value_text(row, w->role_scope);
    bool active = row_int(w->role, row, "active") != 0;
    u->region |= active && text_is(scope, "region");
    u->all |= active && text_is(scope, "all");
    return FB_OK;
}

/* Remember an id to expand; false when it is known or there is no room. */
static bool find_once(user_scan *u, const fb_id *id)
{
    for (uint32_t i = 0; i < u->found_count; i++) {
        if (id_equal(&u->found[i], id)) {
            return false;
        }
    }
    if (u->found_count == UNIT_TREE_MAX) {
        return false;
    }
    u->found[u->found_count++] = *id;
    return true;
}

static fb_code on_found(void *ctx, const fb_value *values)
{
    user_scan *u = ctx;
    (void)find_once(u, &values[0].u.id);
    return FB_OK;
}

static fb_code find_rows(user_scan *u, const cat_entity *e, int column, const fb_id *equal)
{
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *equal};
    return store_keys_by(u->store, e, column, &key, u->memory, on_found, u);
}

/* Everything below what was found, breadth first; then each one's scope. */
static fb_code expand(user_scan *u, const cat_entity *e, int parent, scope_kind kind)
{
    for (uint32_t i = 0; i < u->found_count; i++) {
        FB_TRY(find_rows(u, e, parent, &u->found[i]));
        FB_TRY(add_scope(u, kind, &u->found[i]));
    }
    return FB_OK;
}

static fb_code add_region(user_scan *u, const fb_id *unit)
{
    const feed_words *w = &u->state->words;
    u->found = arena_take(u->memory, UNIT_TREE_MAX * sizeof *u->found);
    if (u->found == NULL) {
        return FB_E_NO_MEMORY;
    }
    (void)find_once(u, unit);
    FB_TRY(expand(u, w->org_unit, w->unit_parent, KIND_REGION));
    const fb_id *units = u->found;
    uint32_t units_count = u->found_count;
    u->found = arena_take(u->memory, UNIT_TREE_MAX * sizeof *u->found);
    u->found_count = 0;
    if (u->found == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < units_count; i++) {
        FB_TRY(find_rows(u, w->territory, w->territory_unit, &units[i]));
    }
    return expand(u, w->territory, w->territory_parent, KIND_TERRITORY);
}

static fb_code add_all(user_scan *u)
{
    store_stmt *q = store_prepare(u->store, STORE_feed_scopes_all);
    bool row = true;
    while (true) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            return FB_OK;
        }
        fb_code rc = scope_builder_add(&u->builder, store_int(q, 0));
        if (rc != FB_OK) {
            store_reset(q);
            return rc;
        }
    }
}

static fb_code unit_of_user(user_scan *u, const fb_id *user, fb_id *out)
{
    const feed_words *w = &u->state->words;
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = store_row_get(u->store, w->app_user, user, u->memory, row);
    *out = rc == FB_OK ? value_id(row, w->user_unit) : (fb_id){{0}};
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static fb_code scan_user(user_scan *u, const fb_id *user)
{
    const feed_words *w = &u->state->words;
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *user};
    fb_id unit;
    FB_TRY(scope_builder_add(&u->builder, SCOPE_NUMBER_GLOBAL));
    FB_TRY(add_scope(u, KIND_USER, user));
    FB_TRY(unit_of_user(u, user, &unit));
    FB_TRY(store_rows_by(u->store, w->user_territory, w->territory_user, &key, u->memory,
                         on_territory, u));
    FB_TRY(store_rows_by(u->store, w->user_role, w->role_user, &key, u->memory, on_role, u));
    if (u->all) {
        return add_all(u);
    }
    if (id_is_none(&unit)) {
        return FB_OK;
    }
    return u->region ? add_region(u, &unit) : add_scope(u, KIND_REGION, &unit);
}

/* ---- the remembered lists ---- */

static fb_code copy_list(const int64_t *scopes, uint32_t count, arena *memory, scope_list *out)
{
    int64_t *copy = arena_take(memory, count * sizeof *copy);
    if (copy == NULL) {
        return FB_E_NO_MEMORY;
    }
    memcpy(copy, scopes, count * sizeof *copy);
    *out = (scope_list){.scopes = copy, .count = count};
    return FB_OK;
}

static void remember(struct user_slot *slot, const fb_id *user, int64_t stamp, int64_t day,
                     const scope_list *list)
{
    int64_t *copy = realloc(slot->scopes, list->count * sizeof *copy);
    if (copy == NULL) {
        slot->count = 0; /* not remembered; computed again next time */
        return;
    }
    memcpy(copy, list->scopes, list->count * sizeof *copy);
    slot->user = *user;
    slot->scope_stamp = stamp;
    slot->day = day;
    slot->scopes = copy;
    slot->count = list->count;
}

fb_code feed_scopes_of_user(store *s, const fb_id *user, int64_t now_ms, arena *memory,
                            scope_list *out)
{
    user_scan u = {.store = s, .memory = memory, .builder = {.memory = memory}};
    int64_t stamp = 0;
    FB_REQUIRE(user != NULL && out != NULL);
    FB_TRY(feed_state_get(s, &u.state));
    FB_TRY(store_meta_int(s, "scope_stamp", 0, &stamp));
    int64_t day = store_day_of(now_ms, u.state->zone_minutes);
    struct user_slot *slot = &u.state->users[feed_id_hash(user) % USER_SLOTS];
    if (slot->count > 0 && id_equal(&slot->user, user) && slot->scope_stamp == stamp &&
        slot->day == day) {
        return copy_list(slot->scopes, slot->count, memory, out);
    }
    text_date_put(day, u.today);
    FB_TRY(scan_user(&u, user));
    if (u.builder.count > DEVICE_SCOPES_MAX) {
        return FB_E_LIMIT;
    }
    *out = (scope_list){.scopes = u.builder.scopes, .count = u.builder.count};
    remember(slot, user, stamp, day, out);
    return FB_OK;
}
