/* row_state.c - the state machines of the catalogue: a step is a row of `transitions`, nothing
 * else.
 *
 *   STA-1  a step that no row allows is refused, and the answer names the steps that are allowed */
#include "base/check.h"
#include "rules/row_rule.h"

enum { LIST_BYTES = 120, NEXT_MAX = 16 };

/* Why a row of the table does not help, from least to most telling. */
typedef enum verdict { NO_ROW, NOT_ON_DEVICE, NOT_THE_ROLE, NOT_FILLED, ALLOWED } verdict;

static bool leads_from(const cat_transition *t, fb_text from)
{
    return text_equal(t->from, from) || text_is(t->from, "*");
}

static bool leads(const cat_transition *t, fb_text from, fb_text to)
{
    return leads_from(t, from) && text_equal(t->to, to);
}

const cat_transition *row_transition(const cat_entity *e, fb_text from, fb_text to)
{
    for (uint32_t i = 0; i < e->states.transitions_count; i++) {
        if (leads(&e->states.transitions[i], from, to)) {
            return &e->states.transitions[i];
        }
    }
    return NULL;
}

/* No roles named: whoever may update. A job of the server has no roles and needs none. */
static bool has_role(const cat_transition *t, const row_rights *who)
{
    if (t->roles_count == 0 || (who->actor == ACTOR_SERVER && who->roles_count == 0)) {
        return true;
    }
    for (uint32_t i = 0; i < t->roles_count; i++) {
        for (uint32_t k = 0; k < who->roles_count; k++) {
            if (text_equal(t->roles[i], who->roles[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool is_filled(const cat_entity *e, const cat_transition *t, const fb_value *row_after)
{
    int column = t->requires_column.size > 0 ? cat_column_find(e, t->requires_column) : -1;
    return column < 0 || (row_after != NULL && !row_is_empty(&row_after[column]));
}

static verdict verdict_of(const row_case *c, const cat_transition *t, const fb_value *row_after)
{
    if (row_by_device(c) && !t->device) {
        return NOT_ON_DEVICE;
    }
    if (!has_role(t, c->who)) {
        return NOT_THE_ROLE;
    }
    return is_filled(c->e, t, row_after) ? ALLOWED : NOT_FILLED;
}

/* The row that comes nearest to allowing the step, and why it does not. */
static const cat_transition *nearest(const row_case *c, fb_text from, fb_text to,
                                     const fb_value *row_after, verdict *out)
{
    const cat_transition *best = NULL;
    *out = NO_ROW;
    for (uint32_t i = 0; i < c->e->states.transitions_count; i++) {
        const cat_transition *t = &c->e->states.transitions[i];
        verdict v = leads(t, from, to) ? verdict_of(c, t, row_after) : NO_ROW;
        if (v > *out) {
            best = t;
            *out = v;
        }
    }
    return best;
}

static bool listed(const fb_text *items, size_t count, fb_text item)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(items[i], item)) {
            return true;
        }
    }
    return false;
}

/* The states this actor may go to from here, each once. */
static size_t next_states(const row_case *c, fb_text from, fb_text next[NEXT_MAX])
{
    size_t count = 0;
    for (uint32_t i = 0; i < c->e->states.transitions_count && count < NEXT_MAX; i++) {
        const cat_transition *t = &c->e->states.transitions[i];
        bool may = leads_from(t, from) && !text_equal(t->to, from) &&
                   (t->device || !row_by_device(c)) && has_role(t, c->who);
        if (may && !listed(next, count, t->to)) {
            next[count++] = t->to;
        }
    }
    return count;
}

static fb_code say_no_row(const row_case *c, fb_text from, fb_text to)
{
    fb_text next[NEXT_MAX];
    char room[LIST_BYTES];
    size_t count = next_states(c, from, next);
    const issue_arg args[] = {issue_code(from), issue_code(to),
                              issue_code(row_list(room, sizeof room, next, count))};
    return row_say(c, count > 0 ? ROW_STEP : ROW_STEP_LAST, c->e->states.column, args, 3);
}

static fb_code say_why(const row_case *c, const cat_transition *t, verdict v, fb_text from)
{
    char room[LIST_BYTES];
    const issue_arg args[] = {issue_code(from), issue_code(t->to),
                              issue_code(row_list(room, sizeof room, t->roles, t->roles_count))};
    switch (v) {
    case NOT_ON_DEVICE:
        return row_say(c, ROW_STEP_SERVER, c->e->states.column, args, 3);
    case NOT_THE_ROLE:
        return row_say(c, ROW_STEP_ROLE, c->e->states.column, args, 3);
    default:
        return row_say(c, ROW_STEP_REQUIRES, cat_column_find(c->e, t->requires_column), args, 3);
    }
}

fb_code state_check(const cat_entity *e, fb_text from, fb_text to, const row_rights *who,
                    const fb_value *row_after, issue *out)
{
    FB_REQUIRE(e != NULL && who != NULL && out != NULL && e->states.column >= 0);
    const row_case c = {e, who, 0, out};
    verdict v = NO_ROW;
    if (text_equal(from, to)) {
        return FB_OK; /* no step at all */
    }
    const cat_transition *t = nearest(&c, from, to, row_after, &v);
    if (v == ALLOWED) {
        return FB_OK;
    }
    return t == NULL ? say_no_row(&c, from, to) : say_why(&c, t, v, from); /* STA-1 */
}
