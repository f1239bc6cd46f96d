/* duplicate.c - the same customer entered twice, on two devices that had not met.
 *
 * Same company code, same licence, or same name and phone: the new row is dropped and its id
 * becomes an alias of the row that exists; what the rest of the group, and later groups, say of it
 * is said of that row. If the person cannot see the other row, a manager decides. Merged rows lead
 * on to their survivor; one whose survivor is gone is nobody's twin. */
#include "sync-server/decide/decide_inside.h"

enum { SURVIVOR_HOPS_MAX = 8 };

static const saying HIDDEN = {FB_E_DUPLICATE,
                              "this customer exists already, outside your territory",
                              "该客户已存在，但不在您的区域内",
                              "your manager decides; nothing to do", "由经理决定，无需操作"};

typedef struct twin {
    struct twin *next;
    fb_id id;
} twin;

typedef struct twin_search {
    const fb_value *values;
    arena *memory;
    int also; /* second column that must be equal, -1 none */
    twin *first, **last;
} twin_search;

static fb_code twin_take(void *ctx, const fb_value *values)
{
    twin_search *s = ctx;
    if (s->also >= 0 && !fb_value_equal(&values[s->also], &s->values[s->also])) {
        return FB_OK;
    }
    twin *t = arena_take(s->memory, sizeof *t);
    if (t == NULL) {
        return FB_E_NO_MEMORY;
    }
    *t = (twin){.id = values[0].u.id};
    *s->last = t;
    s->last = &t->next;
    return FB_OK;
}

/* Which columns make a twin; a null value makes none. */
static const struct {
    const char *column, *also;
} TWINS[] = {{"usc_code", NULL}, {"licence_no", NULL}, {"name_key", "phone"}};

static bool is_filled(const fb_value *values, int column)
{
    return column >= 0 && values[column].kind == FB_KIND_TEXT && values[column].u.text.size > 0;
}

/* The twin's row; where it was merged, the row it was merged into. NULL: gone meanwhile, or in this
 * very group. */
static fb_code survivor_get(decide *d, const cat_entity *e, const twin *t, view_row **out)
{
    fb_id id = t->id;
    for (int hops = 0; hops < SURVIVOR_HOPS_MAX; hops++) {
        fb_code rc = view_get(d, e, &id, out);
        if (rc != FB_OK) {
            *out = NULL;
            return rc == FB_E_NOT_FOUND ? FB_OK : rc;
        }
        fb_id into = row_id(e, (*out)->values, "merged_into_id");
        if (id_is_none(&into)) {
            return FB_OK;
        }
        id = into;
    }
    return FB_OK;
}

/* The first that stands, in the order of the columns; NULL: none. */
static fb_code twin_find(decide *d, const cat_entity *e, const fb_value *values, view_row **out)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof TWINS / sizeof TWINS[0] && *out == NULL; i++) {
        int column = cat_column_str(e, TWINS[i].column);
        twin_search s = {.values = values, .memory = d->memory};
        s.last = &s.first;
        s.also = TWINS[i].also != NULL ? cat_column_str(e, TWINS[i].also) : -1;
        if (!is_filled(values, column) || (TWINS[i].also != NULL && !is_filled(values, s.also))) {
            continue;
        }
        FB_TRY(store_rows_by(d->view, e, column, &values[column], d->memory, twin_take, &s));
        for (const twin *t = s.first; t != NULL && *out == NULL; t = t->next) {
            FB_TRY(survivor_get(d, e, t, out));
        }
    }
    return FB_OK;
}

static fb_code alias_add(decide *d, const cat_entity *e, const fb_id *from, const fb_id *to)
{
    alias_pair *a = arena_take(d->memory, sizeof *a);
    if (a == NULL) {
        return FB_E_NO_MEMORY;
    }
    *a = (alias_pair){d->aliases, e, *from, *to};
    d->aliases = a;
    d->plain = false;
    return FB_OK;
}

fb_code duplicate_check(decide *d, const cat_entity *e, const fb_id *id, const fb_value *values,
                        bool *aliased)
{
    view_row *row = NULL;
    bool inside = false;
    *aliased = false;
    FB_TRY(twin_find(d, e, values, &row));
    if (row == NULL) {
        return FB_OK;
    }
    FB_TRY(row_in_scope(d, e, &row->id, row->values, &inside));
    if (!inside && d->who->waived) {
        return FB_OK;
    }
    if (!inside) {
        issue why;
        say(&why, &HIDDEN, e, -1);
        return verdict_refuse(d, VERDICT_HELD, &why, "MGR");
    }
    *aliased = true;
    return alias_add(d, e, id, &row->id);
}
