/* upgrade.c - a group of an app that does not know a newer column yet (catalog_from.c).
 *
 * An insert or update that sets the older column and not the newer one is taken as if it had set
 * both, the newer one to what follows from the older; of an update the value before too, so that
 * the merge is as fair as if the app had known. A column whose older one has itself taken a place
 * follows from what that one became: a source stands before its column (CAT-5), so one walk does.
 * The group does not stand as sent then: the device gets its rows back. */
#include <string.h>

#include "sync-server/decide/decide_inside.h"

typedef struct widening {
    const group_op *op;
    int *columns;
    fb_value *base, *mine;
    uint32_t count;
} widening;

/* Where the column stands, as sent or by now; -1: nowhere. */
static int place_of(const widening *w, int column)
{
    const int *columns = w->columns != NULL ? w->columns : w->op->columns;
    for (uint32_t i = 0; i < w->count; i++) {
        if (columns[i] == column) {
            return (int)i;
        }
    }
    return -1;
}

/* Not the op's own lists: those are as they were sent. */
static fb_code widen_begin(widening *w, arena *memory)
{
    const group_op *op = w->op;
    size_t room = op->entity->columns_count;
    w->columns = arena_take(memory, room * sizeof *w->columns);
    w->mine = arena_take(memory, room * sizeof *w->mine);
    w->base = arena_take(memory, room * sizeof *w->base);
    if (w->columns == NULL || w->mine == NULL || w->base == NULL) {
        return FB_E_NO_MEMORY;
    }
    memcpy(w->columns, op->columns, op->columns_count * sizeof *w->columns);
    memcpy(w->mine, op->mine, op->columns_count * sizeof *w->mine);
    if (op->base != NULL) {
        memcpy(w->base, op->base, op->columns_count * sizeof *w->base);
    }
    return FB_OK;
}

static void widen_by(widening *w, int column)
{
    const cat_entity *e = w->op->entity;
    int at = place_of(w, e->columns[column].from_column);
    fb_value mine = {.kind = FB_KIND_NULL};
    fb_value base = {.kind = FB_KIND_NULL};
    bool cleared = w->mine[at].kind == FB_KIND_NULL;

    if (!cleared && !cat_value_from(e, column, &w->mine[at], &mine)) {
        return; /* the newer column has no such value: only the older one is written */
    }
    if (w->op->base != NULL) {
        (void)cat_value_from(e, column, &w->base[at], &base);
    }
    w->columns[w->count] = column;
    w->mine[w->count] = mine;
    w->base[w->count] = base;
    w->count++;
}

static bool wants(const widening *w, int column)
{
    const cat_column *c = &w->op->entity->columns[column];
    return c->from_column > 0 && place_of(w, c->from_column) >= 0 && place_of(w, column) < 0;
}

static fb_code op_upgrade(group_op *op, arena *memory, bool *upgraded)
{
    widening w = {.op = op, .count = op->columns_count};
    for (int c = 1; c < cat_ver_column(op->entity); c++) {
        if (!wants(&w, c)) {
            continue;
        }
        if (w.columns == NULL) {
            FB_TRY(widen_begin(&w, memory));
        }
        widen_by(&w, c);
    }
    if (w.count == op->columns_count) {
        return FB_OK;
    }
    op->columns = w.columns;
    op->mine = w.mine;
    op->base = op->base != NULL ? w.base : NULL;
    op->columns_count = w.count;
    *upgraded = true;
    return FB_OK;
}

fb_code group_upgrade(group *g, arena *memory, bool *upgraded)
{
    bool any = false;
    *upgraded = false;
    for (uint32_t i = 0; i < g->ops_count; i++) {
        any = any || g->ops[i].entity->has_from;
    }
    if (!any) {
        return FB_OK;
    }
    group_op *ops = arena_take(memory, g->ops_count * sizeof *ops);
    if (ops == NULL) {
        return FB_E_NO_MEMORY;
    }
    memcpy(ops, g->ops, g->ops_count * sizeof *ops);
    g->ops = ops;
    for (uint32_t i = 0; i < g->ops_count; i++) {
        if (ops[i].entity->has_from && (ops[i].kind == OP_INSERT || ops[i].kind == OP_UPDATE)) {
            FB_TRY(op_upgrade(&ops[i], memory, upgraded));
        }
    }
    return FB_OK;
}
