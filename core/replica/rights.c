/* rights.c - what the person of this device may do, from the synced rows of roles and permissions.
 *
 * A role with rows in role_permission has exactly those; a role without any has what the catalogue
 * grants to its code. Kept per entity until the next promotion (or another connection's write).
 * Before the first sync nothing is known and nothing is allowed: E_AUTH. */
#include "replica/room.h"

enum { ROLES_MAX = 64 };

void rights_forget(replica *r)
{
    r->rights_serial++;
    r->roles_known = 0;
    r->roles_count = 0;
}

static const char roles_text[] =
    "SELECT role.id, role.code FROM user_role JOIN role ON role.id=user_role.role_id"
    " WHERE user_role.user_id=?1 AND coalesce(role.active, 1)=1"
    " AND (user_role.valid_from IS NULL OR user_role.valid_from='' OR user_role.valid_from<=?2)"
    " AND (user_role.valid_to IS NULL OR user_role.valid_to='' OR user_role.valid_to>=?2)"
    " ORDER BY role.code LIMIT 64";

/* Today's business date by the corrected clock: "YYYY-MM-DD". */
static fb_code today(replica *r, arena *memory, fb_text *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT date(?1 / 1000, 'unixepoch')");
    sql_bind_int(s, 1, replica_now_ms(r, NULL, NULL) + r->tz_offset_min * INT64_C(60000));
    FB_TRY(sql_step(s, &row));
    FB_ASSERT(row); /* of no table */
    *out = arena_text(memory, sql_text(s, 0));
    sql_reset(s);
    return out->data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static fb_code read_roles(replica *r, sql_stmt *s)
{
    bool row = false;
    FB_TRY(sql_step(s, &row));
    while (row && r->roles_count < ROLES_MAX) {
        r->role_ids[r->roles_count] = sql_id(s, 0);
        r->roles[r->roles_count] = arena_text(r->rights_memory, sql_text(s, 1));
        if (r->roles[r->roles_count++].data == NULL) {
            sql_reset(s);
            return FB_E_NO_MEMORY;
        }
        FB_TRY(sql_step(s, &row));
    }
    sql_reset(s);
    return FB_OK;
}

static fb_code load_roles(replica *r)
{
    int64_t any = 0;
    fb_text date;
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM user_role)", &any));
    if (any == 0) {
        r->roles_known = -1;
        return FB_OK;
    }
    arena_reset(r->rights_memory);
    r->roles_count = 0;
    r->roles = arena_take(r->rights_memory, ROLES_MAX * sizeof *r->roles);
    r->role_ids = arena_take(r->rights_memory, ROLES_MAX * sizeof *r->role_ids);
    if (r->roles == NULL || r->role_ids == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(today(r, r->rights_memory, &date));
    sql_stmt *s = sql_prepare(r->db, roles_text);
    sql_bind_id(s, 1, &r->me.user);
    sql_bind_text(s, 2, date);
    FB_TRY(read_roles(r, s));
    r->roles_known = 1;
    return FB_OK;
}

static void grant_verb(fb_text verb, row_rights *out)
{
    out->create |= text_is(verb, "create");
    out->read |= text_is(verb, "read");
    out->update |= text_is(verb, "update");
    out->remove |= text_is(verb, "delete");
    out->approve |= text_is(verb, "approve");
}

/* "customer.update" for customer: the verb; other permissions are other rooms' business. */
static void grant_permission(const cat_entity *e, fb_text permission, row_rights *out)
{
    size_t n = e->name.size;
    if (permission.size > n + 1 && permission.data[n] == '.' &&
        text_equal((fb_text){permission.data, n}, e->name)) {
        grant_verb((fb_text){permission.data + n + 1, permission.size - n - 1}, out);
    }
}

static void grant_by_catalog(const cat_entity *e, fb_text role, row_rights *out)
{
    for (uint32_t i = 0; i < e->grants_count; i++) {
        const cat_grant *g = &e->grants[i];
        if (text_equal(g->role, role)) {
            out->create |= g->create;
            out->read |= g->read;
            out->update |= g->update;
            out->remove |= g->remove;
            out->approve |= g->approve;
        }
    }
}

static fb_code grant_role(replica *r, const cat_entity *e, uint32_t role, row_rights *out)
{
    bool row = false;
    bool any = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT permission FROM role_permission WHERE role_id=?1");
    sql_bind_id(s, 1, &r->role_ids[role]);
    FB_TRY(sql_step(s, &row));
    while (row) {
        any = true;
        grant_permission(e, sql_text(s, 0), out);
        FB_TRY(sql_step(s, &row));
    }
    if (!any) {
        grant_by_catalog(e, r->roles[role], out);
    }
    return FB_OK;
}

fb_code replica_rights(replica *r, const cat_entity *e, row_rights *out)
{
    FB_REQUIRE(r != NULL && e != NULL && out != NULL);
    row_rights made = {.actor = ACTOR_DEVICE};
    if (!r->me.enrolled) {
        return FB_E_AUTH;
    }
    if (r->roles_known == 0) {
        FB_TRY(load_roles(r));
    }
    if (r->roles_known < 0) {
        return FB_E_AUTH;
    }
    for (uint32_t i = 0; i < r->roles_count; i++) {
        FB_TRY(grant_role(r, e, i, &made));
    }
    made.roles = r->roles;
    made.roles_count = r->roles_count;
    *out = made;
    return FB_OK;
}
