/* row_check.c - see row_check.h. Rights first, then who may write which column, then the values.
 *
 * Policies, guards and stamps bind devices only: the server writes in the name of its jobs, of
 * imports and of people in the office. Values, required columns and steps bind both.
 *
 *   ROW-1  a column that keeps its value is never a breach, whatever its policy
 *   ROW-2  on failure nothing but *out is written */
#include "rules/row_check.h"

#include <string.h>

#include "base/check.h"
#include "rules/row_rule.h"

enum { LIST_BYTES = 100 };

bool row_by_device(const row_case *c)
{
    return c->who->actor == ACTOR_DEVICE;
}

/* A change of one row, laid over what was there. */
typedef struct row_change {
    const fb_value *current;
    fb_value row[CATALOG_COLUMNS_LIMIT]; /* after the change */
    bool changed[CATALOG_COLUMNS_LIMIT]; /* the value differs from current */
} row_change;

static const struct {
    const char *en, *zh;
} VERBS[] = {{"create", "新建"}, {"update", "修改"}, {"delete", "删除"}};
typedef enum verb { VERB_CREATE, VERB_UPDATE, VERB_DELETE } verb;

static fb_code rights_check(const row_case *c, verb v, bool granted)
{
    const issue_arg args[] = {{text_of(VERBS[v].en), text_of(VERBS[v].zh)}};
    if (!granted) {
        return row_say(c, ROW_MAY_NOT, -1, args, 1);
    }
    if (row_by_device(c) && !c->e->device_writes) {
        return row_say(c, ROW_NOT_ON_DEVICES, -1, args, 1);
    }
    return FB_OK;
}

static bool is_stamp(const cat_entity *e, int column, bool of_creation)
{
    static const char *const stamps[] = {"created_by", "created_at", "created_device", "updated_by",
                                         "updated_at"};
    enum { CREATION = 3, ALL = 5 };
    size_t from = of_creation ? 0 : CREATION, to = of_creation ? CREATION : ALL;
    for (size_t i = from; e->stamps && i < to; i++) {
        if (text_is(e->columns[column].name, stamps[i])) {
            return true;
        }
    }
    return false;
}

/* Columns a device's message may hold but that count for nothing: the server sets them. */
static bool is_ignored(const row_case *c, int column)
{
    return row_by_device(c) && (is_stamp(c->e, column, true) || is_stamp(c->e, column, false));
}

/* Filled later by row_derive or a job. */
static bool fills_itself(const cat_entity *e, int column)
{
    const cat_column *col = &e->columns[column];
    return col->derived || col->default_value.kind != FB_KIND_NULL ||
           (column == e->states.column && e->states.initial_count > 0);
}

static fb_code initial_check(const row_case *c, const fb_value *values)
{
    const cat_states *s = &c->e->states;
    if (s->column < 0 || s->initial_count == 0 || !row_by_device(c) ||
        values[s->column].kind != FB_KIND_TEXT) {
        return FB_OK;
    }
    fb_text state = values[s->column].u.text;
    for (uint32_t i = 0; i < s->initial_count; i++) {
        if (text_equal(state, s->initial[i])) {
            return FB_OK;
        }
    }
    char room[LIST_BYTES];
    const issue_arg args[] = {
        issue_code(state), issue_code(row_list(room, sizeof room, s->initial, s->initial_count))};
    return row_say(c, ROW_INITIAL, s->column, args, 2);
}

static fb_code insert_column_check(const row_case *c, const fb_value *values, int column)
{
    const cat_column *col = &c->e->columns[column];
    const fb_value *v = &values[column];
    if (is_ignored(c, column)) {
        return FB_OK;
    }
    if (col->required && row_is_empty(v) &&
        !(v->kind == FB_KIND_NULL && fills_itself(c->e, column))) {
        return row_say(c, ROW_REQUIRED, column, NULL, 0);
    }
    if (v->kind == FB_KIND_NULL) {
        return FB_OK;
    }
    if (col->derived && row_by_device(c) && !row_derived_holds(c->e, values, column)) {
        return row_say(c, ROW_DERIVED, column, NULL, 0);
    }
    return row_value_check(c, column, v);
}

fb_code row_check_insert(const cat_entity *e, const fb_value *values, const row_rights *who,
                         int64_t now_ms, issue *out)
{
    FB_REQUIRE(e != NULL && values != NULL && who != NULL && out != NULL);
    const row_case c = {e, who, now_ms, out};
    FB_TRY(rights_check(&c, VERB_CREATE, who->create));
    if (values[0].kind != FB_KIND_ID) {
        return row_say(&c, ROW_NO_ID, 0, NULL, 0);
    }
    for (int i = 1; i < cat_ver_column(e); i++) {
        FB_TRY(insert_column_check(&c, values, i));
    }
    FB_TRY(initial_check(&c, values));
    return row_dates_check(&c, values, NULL);
}

/* Lays the change over the row. A column named twice is the sender's mistake. */
static fb_code lay_over(const row_case *c, row_change *ch, const int *columns, const fb_value *mine,
                        uint32_t count)
{
    bool seen[CATALOG_COLUMNS_LIMIT] = {false};
    memcpy(ch->row, ch->current, c->e->columns_count * sizeof *ch->row);
    memset(ch->changed, 0, sizeof ch->changed);
    for (uint32_t i = 0; i < count; i++) {
        FB_REQUIRE(columns[i] >= 0 && columns[i] < (int)c->e->columns_count);
        if (seen[columns[i]]) {
            return row_say(c, ROW_TWICE, columns[i], NULL, 0);
        }
        seen[columns[i]] = true;
        ch->row[columns[i]] = mine[i];
        ch->changed[columns[i]] = !fb_value_equal(&ch->current[columns[i]], &mine[i]);
    }
    return FB_OK;
}

static fb_text state_of(const cat_entity *e, const fb_value *row)
{
    if (e->states.column < 0 || row[e->states.column].kind != FB_KIND_TEXT) {
        return (fb_text){NULL, 0};
    }
    return row[e->states.column].u.text;
}

/* Has the row left the state up to which its content may change? */
static bool is_sealed(const cat_entity *e, const fb_value *row)
{
    return e->states.column >= 0 && e->states.sealed_from.size > 0 &&
           !text_equal(state_of(e, row), e->states.sealed_from);
}

/* The column that the step taken in this very change asks for, such as a cancel reason. */
static bool is_asked_by_step(const cat_entity *e, const row_change *ch, int column)
{
    int state = e->states.column;
    if (state < 0 || !ch->changed[state]) {
        return false;
    }
    const cat_transition *t = row_transition(e, state_of(e, ch->current), state_of(e, ch->row));
    return t != NULL && text_equal(t->requires_column, e->columns[column].name);
}

/* What a device may do with a column once the row exists. */
static const struct {
    bool refused;
    row_word w;
} DEVICE_POLICY[] = {
    [CAT_SW] = {true, ROW_SERVER_ONLY}, [CAT_LWW] = {false, ROW_FIXED},
    [CAT_AO] = {true, ROW_FIXED},       [CAT_DELTA] = {false, ROW_FIXED},
    [CAT_SM] = {false, ROW_FIXED},      [CAT_MAX] = {false, ROW_FIXED},
    [CAT_MIN] = {false, ROW_FIXED},     [CAT_SEQ] = {true, ROW_FIXED},
    [CAT_RES] = {false, ROW_FIXED},     [CAT_MAN] = {false, ROW_FIXED},
    [CAT_SIG] = {false, ROW_FIXED}, /* sealed, see below */
};

static fb_code sealed_check(const row_case *c, const row_change *ch, int column)
{
    cat_policy p = c->e->columns[column].policy;
    if (p == CAT_SIG && c->e->states.sealed_from.size == 0 && !row_is_empty(&ch->current[column])) {
        return row_say(c, ROW_FIXED, column, NULL,
                       0); /* no draft state: sealed when first written */
    }
    if (p == CAT_SM || p == CAT_SW || column == c->e->states.column ||
        !is_sealed(c->e, ch->current) || is_asked_by_step(c->e, ch, column)) {
        return FB_OK;
    }
    const issue_arg args[] = {issue_code(c->e->states.sealed_from)};
    return row_say(c, ROW_SEALED, column, args, 1);
}

static fb_code device_column_check(const row_case *c, const row_change *ch, int column)
{
    const cat_column *col = &c->e->columns[column];
    if (is_stamp(c->e, column, true)) {
        return row_say(c, ROW_OWN_COLUMN, column, NULL, 0);
    }
    if (col->derived) {
        return row_derived_holds(c->e, ch->row, column) ? FB_OK
                                                        : row_say(c, ROW_DERIVED, column, NULL, 0);
    }
    if (col->guarded) {
        return row_say(c, ROW_GUARDED, column, NULL, 0);
    }
    if (DEVICE_POLICY[col->policy].refused) {
        return row_say(c, DEVICE_POLICY[col->policy].w, column, NULL, 0);
    }
    return sealed_check(c, ch, column);
}

static fb_code update_column_check(const row_case *c, const row_change *ch, int column)
{
    const cat_entity *e = c->e;
    if (column == 0 || column == cat_ver_column(e)) {
        return row_say(c, ROW_OWN_COLUMN, column, NULL, 0);
    }
    if (row_by_device(c)) {
        if (is_stamp(e, column, false)) {
            return FB_OK;
        }
        FB_TRY(device_column_check(c, ch, column));
    }
    if (e->columns[column].required && row_is_empty(&ch->row[column])) {
        return row_say(c, ROW_REQUIRED, column, NULL, 0);
    }
    if (ch->row[column].kind != FB_KIND_NULL) {
        FB_TRY(row_value_check(c, column, &ch->row[column]));
    }
    if (column != e->states.column) {
        return FB_OK;
    }
    return state_check(e, state_of(e, ch->current), state_of(e, ch->row), c->who, ch->row, c->out);
}

/* Who may only approve may take steps and nothing else. */
static bool only_steps(const cat_entity *e, const row_change *ch)
{
    for (int i = 0; i < (int)e->columns_count; i++) {
        if (ch->changed[i] && e->columns[i].policy != CAT_SM && !is_stamp(e, i, false)) {
            return false;
        }
    }
    return true;
}

fb_code row_check_update(const cat_entity *e, const fb_value *current, const int *columns,
                         const fb_value *mine, uint32_t count, const row_rights *who,
                         int64_t now_ms, issue *out)
{
    FB_REQUIRE(e != NULL && current != NULL && who != NULL && out != NULL);
    FB_REQUIRE((columns != NULL && mine != NULL) || count == 0);
    FB_REQUIRE(e->columns_count <= CATALOG_COLUMNS_LIMIT);
    const row_case c = {e, who, now_ms, out};
    row_change ch = {.current = current};
    FB_TRY(lay_over(&c, &ch, columns, mine, count));
    FB_TRY(rights_check(&c, VERB_UPDATE, who->update || (who->approve && only_steps(e, &ch))));
    for (uint32_t i = 0; i < count; i++) {
        if (ch.changed[columns[i]]) { /* ROW-1 */
            FB_TRY(update_column_check(&c, &ch, columns[i]));
        }
    }
    return row_dates_check(&c, ch.row, ch.changed);
}

fb_code row_check_delete(const cat_entity *e, const fb_value *current, const row_rights *who,
                         issue *out)
{
    FB_REQUIRE(e != NULL && who != NULL && out != NULL);
    const row_case c = {e, who, 0, out};
    FB_TRY(rights_check(&c, VERB_DELETE, who->remove));
    if (current == NULL || !row_by_device(&c) || !is_sealed(e, current)) {
        return FB_OK;
    }
    const issue_arg args[] = {issue_code(e->states.sealed_from)};
    return row_say(&c, ROW_SEALED_DELETE, -1, args, 1);
}
