/* upgrade.c - a group of an app that does not know a newer column yet (catalog_from.c).
 *
 * An insert or update that sets the older column and not the newer one is taken as if it had set
 * both, the newer one to what follows from the older; of an update the value before too, so that
 * the merge is as fair as if the app had known. The group does not stand as sent then: the device
 * gets its rows back. */
#include <string.h>

#include "sync-server/decide/decide_inside.h"

static int place_of(const group_op *op, int column)
{
    for (uint32_t i = 0; i < op->columns_count; i++) {
        if (op->columns[i] == column) {
            return (int)i;
        }
    }
    return -1;
}

typedef struct widening {
    const group_op *op;
    int *columns;
    fb_value *base, *mine;
    uint32_t count;
} widening;

static fb_code widen_begin(widening *w, const group_op *op, arena *memory)
{
    size_t room = op->entity->columns_count;
    *w = (widening){.op = op, .count = op->columns_count};
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
    int at = place_of(w->op, e->columns[column].from_column);
    fb_value mine = {.kind = FB_KIND_NULL};
    fb_value base = {.kind = FB_KIND_NULL};
    bool cleared = w->op->mine[at].kind == FB_KIND_NULL;

    if (!cleared && !cat_value_from(e, column, &w->op->mine[at], &mine)) {
        return; /* the newer column has no such value: only the older one is written */
    }
    if (w->op->base != NULL) {
        (void)cat_value_from(e, column, &w->op->base[at], &base);
    }
    w->columns[w->count] = column;
    w->mine[w->count] = mine;
    w->base[w->count] = base;
    w->count++;
}

static bool wants(const group_op *op, int column)
{
    const cat_column *c = &op->entity->columns[column];
    return c->from_column > 0 && place_of(op, c->from_column) >= 0 && place_of(op, column) < 0;
}

static fb_code op_upgrade(group_op *op, arena *memory, bool *upgraded)
{
    widening w = {.op = NULL};
    for (int c = 1; c < cat_ver_column(op->entity); c++) {
        if (!wants(op, c)) {
            continue;
        }
        if (w.op == NULL) {
            FB_TRY(widen_begin(&w, op, memory));
        }
        widen_by(&w, c);
    }
    if (w.op == NULL || w.count == op->columns_count) {
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
