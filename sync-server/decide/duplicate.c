/* duplicate.c - the same customer entered twice, on two devices that had not met.
 *
 * Same company code, same licence, or same name and phone: the new row is dropped and its id
 * becomes an alias of the row that exists; what the rest of the group, and later groups, say of it
 * is said of that row. If the person cannot see the other row, a manager decides. Merged rows lead
 * on to their survivor. */
#include "sync-server/decide/decide_inside.h"

enum { SURVIVOR_HOPS_MAX = 8 };

static const saying HIDDEN = {FB_E_DUPLICATE,
                              "this customer exists already, outside your territory",
                              "该客户已存在，但不在您的区域内",
                              "your manager decides; nothing to do", "由经理决定，无需操作"};

typedef struct twin_search {
    const cat_entity *e;
    const fb_value *values;
    int also;   /* second column that must be equal, -1 none */
    fb_id twin; /* none: not found */
} twin_search;

static fb_code twin_take(void *ctx, const fb_value *values)
{
    twin_search *s = ctx;
    bool same = s->also < 0 || fb_value_equal(&values[s->also], &s->values[s->also]);
    if (same && id_is_none(&s->twin)) {
        s->twin = values[0].u.id;
    }
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

static fb_code twin_find(decide *d, twin_search *s)
{
    for (size_t i = 0; i < sizeof TWINS / sizeof TWINS[0] && id_is_none(&s->twin); i++) {
        int column = cat_column_str(s->e, TWINS[i].column);
        s->also = TWINS[i].also != NULL ? cat_column_str(s->e, TWINS[i].also) : -1;
        bool asked = is_filled(s->values, column) &&
                     (TWINS[i].also == NULL || is_filled(s->values, s->also));
        if (asked) {
            FB_TRY(
                store_rows_by(d->view, s->e, column, &s->values[column], d->memory, twin_take, s));
        }
    }
    return FB_OK;
}

/* The twin's row; where it was merged, the row it was merged into. */
static fb_code survivor_get(decide *d, twin_search *s, view_row **out)
{
    for (int hops = 0; hops < SURVIVOR_HOPS_MAX; hops++) {
        FB_TRY(view_get(d, s->e, &s->twin, out));
        fb_id into = row_id(s->e, (*out)->values, "merged_into_id");
        if (id_is_none(&into)) {
            return FB_OK;
        }
        s->twin = into;
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
    twin_search s = {.e = e, .values = values, .also = -1};
    view_row *row = NULL;
    bool inside = false;
    *aliased = false;
    FB_TRY(twin_find(d, &s));
    if (id_is_none(&s.twin)) {
        return FB_OK;
    }
    FB_TRY(survivor_get(d, &s, &row));
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
