/* decide.c - the order of questions. See decide.h for DEC-1..4.
 *
 *   older columns become newer ones (upgrade.c), what was erased is taken out (erased.c)
 *   each op: rights, values, references, scope, merge -> the group's view
 *   then each row of the view: the business rule of its entity
 *   then the changes, and the verdict */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

typedef fb_code (*row_rule)(decide *d, view_row *row);
static const row_rule RULES[] = {
    [SPECIAL_NONE] = NULL,
    [SPECIAL_CUSTOMER] = NULL,
    [SPECIAL_ORDER] = order_rule,
    [SPECIAL_ORDER_LINE] = order_line_rule,
    [SPECIAL_PAYMENT] = NULL,
    [SPECIAL_ALLOCATION] = allocation_rule,
    [SPECIAL_VISIT] = visit_rule,
    [SPECIAL_CHANGE_REQUEST] = change_request_rule,
    [SPECIAL_CONFLICT] = conflict_rule,
    [SPECIAL_HELD] = held_rule,
};

static fb_code op_decide(decide *d, const group_op *op)
{
    switch (op->kind) {
    case OP_INSERT:
        return op_insert(d, op);
    case OP_UPDATE:
    case OP_DELTA:
        return op_update(d, op);
    case OP_DELETE:
        return op_delete(d, op);
    }
    return FB_E_BUG;
}

/* Rules may bring rows into the view (a change request its target): only those there now are asked.
 */
static fb_code rules_ask(decide *d)
{
    uint32_t count = d->rows_count;
    for (uint32_t i = 0; i < count; i++) {
        view_row *row = d->rows[i];
        row_rule rule = RULES[facts_of(d, row->e)->rule];
        bool changed = row->before == NULL || row->touched != NULL || row->deleted;
        if (rule != NULL && changed) {
            FB_TRY(rule(d, row));
        }
    }
    return FB_OK;
}

static fb_code all_decide(decide *d)
{
    for (uint32_t i = 0; i < d->g->ops_count; i++) {
        FB_TRY(op_decide(d, &d->g->ops[i]));
    }
    FB_TRY(aliased_erase(d));
    FB_TRY(rules_ask(d));
    FB_TRY(ids_check(d));
    FB_TRY(view_changes(d));
    return verdict_accept(d);
}

/* What a refused group would have made: whatever names it later is blocked. */
static fb_code blocked_list(decide *d)
{
    decision *out = d->out;
    out->changes = NULL;
    out->changes_count = 0; /* DEC-2 */
    out->plain = false;
    out->held = (decided_held){.number = 0};
    out->blocked = arena_take(d->memory, (d->g->ops_count + 1) * sizeof *out->blocked);
    if (out->blocked == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < d->g->ops_count; i++) {
        const group_op *op = &d->g->ops[i];
        bool collided = d->collided != NULL && d->collided->e == op->entity &&
                        id_equal(&d->collided->id, &op->id);
        if (op->kind == OP_INSERT && (collided || facts_of(d, op->entity)->is_target)) {
            out->blocked[out->blocked_count++] = (decided_block){op->entity, op->id, collided};
        }
    }
    return FB_OK;
}

/* All questions with the rights that the person has now; a refusal is in *out. */
static fb_code decide_with(decide *d, decision *out)
{
    *out = (decision){.plain = d->plain};
    d->out = out;
    d->merged_end = &d->merged;
    FB_TRY(erased_merged(d));
    fb_code rc = all_decide(d);
    return d->refused ? FB_OK : rc;
}

/* Refused for want of a right: had it come when it was captured, would it stand? Then a person
 * decides, and what he accepted (waived) stands by those rights. */
static fb_code decide_late(decide *d, const decide *fresh, decision *out)
{
    decide then = *fresh;
    decision local;
    int64_t at_ms = 0;
    FB_TRY(late_captured_ms(d, &at_ms));
    FB_TRY(user_as_of(d, at_ms, &then.user));
    FB_TRY(decide_with(&then, &local));
    bool would_stand = !then.refused || local.verdict.code == VERDICT_HELD;
    if (!would_stand || local.held.number != 0) {
        return FB_OK; /* a decision about others' work is for who has the role now */
    }
    if (d->who->waived) {
        *d = then;
        *out = local;
        d->out = out;
        return FB_OK;
    }
    (void)late_hold(d);
    return FB_OK;
}

fb_code decide_group(decide_cache *c, store *view, const decide_session *who, const group *g,
                     arena *memory, decision *out)
{
    decision local;
    group as_meant = *g;
    bool upgraded = false;
    FB_TRY(group_upgrade(&as_meant, memory, &upgraded));
    decide d = {.cache = c,
                .view = view,
                .cat = store_catalog(view),
                .who = who,
                .g = &as_meant,
                .memory = memory,
                .plain = !upgraded};
    FB_TRY(user_get(c, view, &who->user, &d.user)); /* also renews a stale cache */
    FB_TRY(group_erase(&d, &as_meant));
    d.at_ms =
        g->head.captured_at_ms < who->received_at_ms ? g->head.captured_at_ms : who->received_at_ms;
    d.unchanged_time = d.at_ms == g->head.captured_at_ms;
    const decide fresh = d;
    FB_TRY(decide_with(&d, &local));
    if (late_is_asked(&d)) {
        FB_TRY(decide_late(&d, &fresh, &local));
    }
    if (d.refused) {
        FB_TRY(blocked_list(&d));
    }
    *out = local;
    return FB_OK;
}
