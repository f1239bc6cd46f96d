/* catalog_states.c - who may do what: the grants of an entity and its state machine. */
#include "catalog/catalog_in.h"

#include <string.h>

#include "base/check.h"

static const char *const states_keys[] = {"column", "initial", "sealed_from", "transitions", NULL};
static const char *const transition_keys[] = {"from", "to", "device", "roles", "requires", NULL};

static bool add_letter(cat_grant *g, char letter)
{
    bool *right = letter == 'c'   ? &g->create
                  : letter == 'r' ? &g->read
                  : letter == 'u' ? &g->update
                  : letter == 'd' ? &g->remove
                  : letter == 'a' ? &g->approve
                                  : NULL;

    if (right == NULL || *right) {
        return false;
    }
    *right = true;
    return true;
}

static fb_code read_grant(loader *l, const cJSON *item, cat_grant *out)
{
    fb_text role = text_of(item->string);
    fb_text letters = {0};

    if (!word_is_role(role)) {
        return catalog_refuse(l, "the role \"%.*s\" is not a role code: use capitals such as REP",
                              SHOWN(role));
    }
    if (!json_text_of(item, &letters) || letters.size == 0) {
        return catalog_refuse(
            l, "role %.*s needs letters out of \"cruda\": add them or remove the role",
            SHOWN(role));
    }
    for (size_t i = 0; i < letters.size; i++) {
        if (!add_letter(out, letters.data[i])) {
            return catalog_refuse(
                l, "the rights of role %.*s must be single letters out of \"cruda\": correct them",
                SHOWN(role));
        }
    }
    return load_text(l, role, &out->role);
}

fb_code grants_read(loader *l, cat_entity *e, const cJSON *object)
{
    const cJSON *grants = cJSON_GetObjectItemCaseSensitive(object, "grants");
    const cJSON *item = NULL;

    l->column = (fb_text){0};
    if (!cJSON_IsObject(grants) || cJSON_GetArraySize(grants) == 0) {
        return catalog_refuse(l, "\"grants\" must give at least one role its rights: add it");
    }
    e->grants = load_take(l, (size_t)cJSON_GetArraySize(grants), sizeof *e->grants);
    if (e->grants == NULL) {
        return refuse_memory(l);
    }
    cJSON_ArrayForEach(item, grants)
    {
        FB_TRY(read_grant(l, item, &e->grants[e->grants_count]));
        e->grants_count++;
    }
    return FB_OK;
}

const cat_grant *grant_find(const cat_entity *e, fb_text role)
{
    for (uint32_t i = 0; i < e->grants_count; i++) {
        if (text_equal(e->grants[i].role, role)) {
            return &e->grants[i];
        }
    }
    return NULL;
}

static fb_code check_state(const loader *l, const cat_entity *e, fb_text code)
{
    const cat_column *column = &e->columns[e->states.column];

    for (uint32_t i = 0; i < column->values_count; i++) {
        if (text_equal(column->values[i], code)) {
            return FB_OK;
        }
    }
    return catalog_refuse(
        l, "the state \"%.*s\" is not among the column's values: add it there or correct it",
        SHOWN(code));
}

static fb_code read_roles(loader *l, const cat_entity *e, const cJSON *object, cat_transition *out)
{
    const cJSON *list = NULL;
    const cJSON *item = NULL;

    FB_TRY(member_array(l, object, "roles", MEMBER_OPTIONAL, &list));
    out->roles = load_take(l, (size_t)cJSON_GetArraySize(list), sizeof *out->roles);
    if (out->roles == NULL) {
        return refuse_memory(l);
    }
    cJSON_ArrayForEach(item, list)
    {
        fb_text role = {0};
        const cat_grant *grant = NULL;
        if (!json_text_of(item, &role) || !word_is_role(role)) {
            return catalog_refuse(
                l, "a transition's \"roles\" must be role codes such as REP: correct them");
        }
        grant = grant_find(e, role);
        if (grant == NULL || (!grant->update && !grant->approve)) {
            return catalog_refuse(
                l,
                "role %.*s may neither update nor approve here: grant it \"u\" or \"a\", "
                "or remove it",
                SHOWN(role));
        }
        FB_TRY(load_text(l, role, &out->roles[out->roles_count]));
        out->roles_count++;
    }
    return FB_OK;
}

static fb_code check_transition_once(const loader *l, const cat_states *s, const cat_transition *t)
{
    if (text_equal(t->from, t->to)) {
        return catalog_refuse(l, "a transition from \"%.*s\" to itself changes nothing: remove it",
                              SHOWN(t->from));
    }
    for (uint32_t i = 0; i < s->transitions_count; i++) {
        if (text_equal(s->transitions[i].from, t->from) &&
            text_equal(s->transitions[i].to, t->to)) {
            return catalog_refuse(
                l, "the transition \"%.*s\" to \"%.*s\" is listed twice: join the two",
                SHOWN(t->from), SHOWN(t->to));
        }
    }
    return FB_OK;
}

static fb_code read_transition(loader *l, cat_entity *e, const cJSON *item)
{
    cat_transition t = {.device = true};

    FB_TRY(member_only(l, item, transition_keys));
    FB_TRY(member_text(l, item, "from", MEMBER_NEEDED, &t.from));
    FB_TRY(member_text(l, item, "to", MEMBER_NEEDED, &t.to));
    FB_TRY(member_bool(l, item, "device", &t.device));
    FB_TRY(member_text(l, item, "requires", MEMBER_OPTIONAL, &t.requires_column));
    if (!text_is(t.from, "*")) {
        FB_TRY(check_state(l, e, t.from));
    }
    FB_TRY(check_state(l, e, t.to));
    FB_TRY(check_transition_once(l, &e->states, &t));
    if (t.requires_column.size > 0 && cat_column_find(e, t.requires_column) < 0) {
        return catalog_refuse(l, "\"requires\" names the unknown column \"%.*s\": correct it",
                              SHOWN(t.requires_column));
    }
    FB_TRY(read_roles(l, e, item, &t));
    e->states.transitions[e->states.transitions_count++] = t;
    return FB_OK;
}

static fb_code read_initial(loader *l, cat_entity *e, const cJSON *object)
{
    const size_t room = sizeof e->states.initial / sizeof e->states.initial[0];
    const cJSON *list = NULL;
    const cJSON *item = NULL;

    FB_TRY(member_array(l, object, "initial", MEMBER_NEEDED, &list));
    cJSON_ArrayForEach(item, list)
    {
        fb_text code = {0};
        if (!json_text_of(item, &code) || e->states.initial_count == room) {
            return catalog_refuse(l, "\"initial\" must list 1 to %zu states: correct it", room);
        }
        FB_TRY(check_state(l, e, code));
        FB_TRY(load_text(l, code, &e->states.initial[e->states.initial_count]));
        e->states.initial_count++;
    }
    return FB_OK;
}

static fb_code find_state_column(loader *l, cat_entity *e, const cJSON *object)
{
    FB_TRY(member_text(l, object, "column", MEMBER_NEEDED, &l->column));
    e->states.column = cat_column_find(e, l->column);
    if (e->states.column < 0) {
        return catalog_refuse(
            l, "the state machine names an unknown column: add it or correct \"states.column\"");
    }
    if (e->columns[e->states.column].type != CAT_ENUM ||
        e->columns[e->states.column].policy != CAT_SM) {
        return catalog_refuse(
            l, "the column of a state machine needs type enum and policy SM: change it");
    }
    return FB_OK;
}

/* A column with policy SM without a machine could never change. */
static fb_code check_sm_columns(loader *l, const cat_entity *e)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (e->columns[i].policy == CAT_SM && (int)i != e->states.column) {
            l->column = e->columns[i].name;
            return catalog_refuse(
                l, "policy SM needs this column to be the one of \"states\": add it or "
                   "change the policy");
        }
    }
    l->column = (fb_text){0};
    return FB_OK;
}

static fb_code read_machine(loader *l, cat_entity *e, const cJSON *object)
{
    const cJSON *list = NULL;
    const cJSON *item = NULL;

    FB_TRY(member_only(l, object, states_keys));
    FB_TRY(find_state_column(l, e, object));
    FB_TRY(read_initial(l, e, object));
    FB_TRY(member_text(l, object, "sealed_from", MEMBER_OPTIONAL, &e->states.sealed_from));
    if (e->states.sealed_from.size > 0) {
        FB_TRY(check_state(l, e, e->states.sealed_from));
    }
    FB_TRY(member_array(l, object, "transitions", MEMBER_NEEDED, &list));
    e->states.transitions =
        load_take(l, (size_t)cJSON_GetArraySize(list), sizeof *e->states.transitions);
    if (e->states.transitions == NULL) {
        return refuse_memory(l);
    }
    cJSON_ArrayForEach(item, list)
    {
        FB_TRY(read_transition(l, e, item));
    }
    return FB_OK;
}

fb_code states_read(loader *l, cat_entity *e, const cJSON *object)
{
    const cJSON *states = cJSON_GetObjectItemCaseSensitive(object, "states");

    e->states.column = -1;
    if (states != NULL) {
        FB_TRY(read_machine(l, e, states));
    }
    return check_sm_columns(l, e);
}
