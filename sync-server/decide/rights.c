/* rights.c - roles and effective rights of a person, from user_role, role and role_permission rows.
 *
 * A permission is "entity.verb" with a verb of the table below. A role with rows in role_permission
 * has exactly those; a role without any has what the catalogue grants it (the device says the
 * same). Rights are the union over the person's roles that are active and valid on the day: today,
 * or, for work that comes late (late.c), the day it was captured. A person whose status is not
 * active has none; one whose row was changed later than the capture counts as active then. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

enum { ROLES_ROOM = 16 };

typedef struct rights_load {
    decide_cache *cache;
    store *view;
    const cat_entity *e; /* of the rows being read */
    user_facts *user;
    fb_id *roles;
    fb_text *codes;
    uint32_t count, room;
    bool any; /* the role being read has permissions of its own */
    fb_text day;
    int64_t as_of_ms; /* 0: now */
    arena *memory;    /* of what is read */
} rights_load;

static fb_code roles_grow(rights_load *l)
{
    uint32_t room = l->room > 0 ? 2 * l->room : ROLES_ROOM;
    fb_id *roles = arena_take(l->memory, room * sizeof *roles);
    if (roles == NULL) {
        return FB_E_NO_MEMORY;
    }
    if (l->count > 0) {
        memcpy(roles, l->roles, l->count * sizeof *roles);
    }
    l->roles = roles;
    l->room = room;
    return FB_OK;
}

static fb_code role_take(void *ctx, const fb_value *values)
{
    rights_load *l = ctx;
    bool valid = text_date_within(l->day, row_text(l->e, values, "valid_from"),
                                  row_text(l->e, values, "valid_to"));
    if (!valid) {
        return FB_OK;
    }
    FB_TRY(l->count == l->room ? roles_grow(l) : FB_OK);
    l->roles[l->count++] = row_id(l->e, values, "role_id");
    return FB_OK;
}

/* Which verb a permission names, as a right to be set. */
static const struct {
    const char *verb;
    size_t right;
} VERBS[] = {
    {"create", offsetof(row_rights, create)},   {"read", offsetof(row_rights, read)},
    {"update", offsetof(row_rights, update)},   {"delete", offsetof(row_rights, remove)},
    {"approve", offsetof(row_rights, approve)},
};

static void grant(row_rights *r, fb_text verb)
{
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        if (text_is(verb, VERBS[i].verb)) {
            *(bool *)((char *)r + VERBS[i].right) = true;
        }
    }
}

static fb_code permission_take(void *ctx, const fb_value *values)
{
    rights_load *l = ctx;
    fb_text p = row_text(l->e, values, "permission");
    const char *dot = p.size > 0 ? memchr(p.data, '.', p.size) : NULL;
    l->any = true;
    if (dot == NULL) {
        return FB_OK;
    }
    fb_text name = {p.data, (size_t)(dot - p.data)};
    const cat_entity *e = catalog_entity(l->cache->cat, name);
    if (e != NULL) {
        grant(&l->user->rights[e->number], (fb_text){dot + 1, p.size - name.size - 1});
    }
    return FB_OK;
}

static void grant_by_catalog(const rights_load *l, fb_text role)
{
    for (uint32_t i = 0; i < l->cache->cat->entities_count; i++) {
        const cat_entity *e = &l->cache->cat->entities[i];
        row_rights *r = &l->user->rights[i];
        for (uint32_t g = 0; g < e->grants_count; g++) {
            if (text_equal(e->grants[g].role, role)) {
                r->create |= e->grants[g].create;
                r->read |= e->grants[g].read;
                r->update |= e->grants[g].update;
                r->remove |= e->grants[g].remove;
                r->approve |= e->grants[g].approve;
            }
        }
    }
}

/* Code of an active role; its permissions are granted. */
static fb_code role_grant(rights_load *l, const fb_id *role, fb_text *code_out)
{
    decide_cache *c = l->cache;
    const cat_entity *e = c->role;
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = store_row_get(l->view, e, role, l->memory, row);
    if (rc != FB_OK || row_int(e, row, "active") == 0) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    *code_out = row_text(e, row, "code");
    fb_value equal = {.kind = FB_KIND_ID, .u.id = *role};
    l->e = c->permission;
    l->any = false;
    FB_TRY(store_rows_by(l->view, l->e, cat_column_str(l->e, "role_id"), &equal, l->memory,
                         permission_take, l));
    if (!l->any) {
        grant_by_catalog(l, *code_out);
    }
    return FB_OK;
}

static fb_code rights_read(rights_load *l)
{
    uint32_t codes = 0;
    fb_value equal = {.kind = FB_KIND_ID, .u.id = l->user->id};
    l->e = l->cache->user_role;
    FB_TRY(store_rows_by(l->view, l->e, cat_column_str(l->e, "user_id"), &equal, l->memory,
                         role_take, l));
    l->codes = arena_take(l->memory, (l->count + 1) * sizeof *l->codes);
    if (l->codes == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        fb_text code = {NULL, 0};
        FB_TRY(role_grant(l, &l->roles[i], &code));
        if (code.data != NULL) {
            l->codes[codes++] = code;
        }
    }
    l->count = codes;
    return FB_OK;
}

/* A row that was changed since may have said something else then. */
static fb_code changed_since(const rights_load *l, const cat_entity *e, const fb_value *row,
                             bool *out)
{
    store_stmt *q = store_prepare(l->view, STORE_decide_commit_get);
    bool found = false;
    store_bind_int(q, 1, value_int(row, cat_ver_column(e)) >> 20);
    FB_TRY(store_step(q, &found));
    if (found) {
        *out = store_int(q, 0) > l->as_of_ms;
        store_reset(q);
    }
    return FB_OK;
}

static fb_code user_is_active(const rights_load *l, bool *out)
{
    const cat_entity *e = l->cache->app_user;
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = store_row_get(l->view, e, &l->user->id, l->memory, row);
    *out = rc == FB_OK && text_is(row_text(e, row, "status"), "active");
    if (rc == FB_OK && !*out && l->as_of_ms > 0) {
        FB_TRY(changed_since(l, e, row, out));
    }
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static fb_code user_load(rights_load *l)
{
    user_facts *u = l->user;
    FB_TRY(user_is_active(l, &u->active));
    if (u->active) {
        FB_TRY(rights_read(l));
    }
    for (uint32_t i = 0; i < l->cache->cat->entities_count; i++) {
        u->rights[i].roles = l->codes;
        u->rights[i].roles_count = l->count;
        u->rights[i].actor = ACTOR_DEVICE;
    }
    return FB_OK;
}

fb_code user_as_of(decide *d, int64_t at_ms, user_facts **out)
{
    char day[TEXT_DATE_BYTES];
    user_facts *u = arena_take(d->memory, sizeof *u);
    row_rights *rights = arena_take(d->memory, d->cat->entities_count * sizeof *rights);
    if (u == NULL || rights == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(company_day(d->view, at_ms, day));
    *u = *d->user; /* scopes and the marks of what was seen within them are the person's */
    u->rights = rights;
    rights_load l = {.cache = d->cache,
                     .view = d->view,
                     .user = u,
                     .day = text_of(day),
                     .as_of_ms = at_ms,
                     .memory = d->memory};
    FB_TRY(user_load(&l));
    *out = u;
    return FB_OK;
}

fb_code user_read(decide_cache *c, store *view, const fb_id *user, user_facts **out)
{
    for (user_facts *u = c->users; u != NULL; u = u->next) {
        if (id_equal(&u->id, user)) {
            *out = u;
            return FB_OK;
        }
    }
    user_facts *u = arena_take(c->memory, sizeof *u);
    row_rights *rights = arena_take(c->memory, c->cat->entities_count * sizeof *rights);
    if (u == NULL || rights == NULL) {
        return FB_E_NO_MEMORY;
    }
    u->id = *user;
    u->number = ++c->users_count;
    u->rights = rights;
    rights_load l = {
        .cache = c, .view = view, .user = u, .day = text_of(c->today), .memory = c->memory};
    FB_TRY(user_load(&l));
    c->weight += 200;
    u->next = c->users;
    c->users = u;
    *out = u;
    return FB_OK;
}
