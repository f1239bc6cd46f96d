/* company.c - entities, people, devices, and who may see a row. See check.h.
 *
 * A row is seen through any of its entity's terms: by territory, by person, through its parent, or
 * through a link row (an assignment). Computed anew at each question, from the server's rows. */
#include "check.h"

#include <string.h>

static const struct {
    const char *code;
    policy policy;
} POLICIES[] = {
    {"SRV", POLICY_SRV},   {"LWW", POLICY_LWW},    {"DELTA", POLICY_DELTA}, {"MAX", POLICY_MAX},
    {"MIN", POLICY_MIN},   {"SM", POLICY_SM},      {"MAN", POLICY_MAN},     {"SIG", POLICY_FIRST},
    {"RES", POLICY_FIRST}, {"SW", POLICY_REFUSED}, {"AO", POLICY_REFUSED},  {"SEQ", POLICY_REFUSED},
    {"SET", POLICY_LWW},
};

enum { PARENTS_MAX = 8 };

static bool policy_of(str code, policy *out)
{
    for (size_t i = 0; i < sizeof POLICIES / sizeof *POLICIES; i++) {
        if (str_is(code, POLICIES[i].code)) {
            *out = POLICIES[i].policy;
            return true;
        }
    }
    return false;
}

static int column_find(const entity_info *e, name_id name)
{
    for (size_t i = 0; i < array_count(e->columns); i++) {
        if (e->columns[i].name == name) {
            return (int)i;
        }
    }
    return -1;
}

int column_of(judge *j, uint32_t entity, str name)
{
    entity_info *e = &j->entities[entity];
    name_id id = name_of(&j->names, name);
    int found = column_find(e, id);
    if (found >= 0) {
        return found;
    }
    if (array_count(e->columns) == COLUMNS_MAX) {
        return -1;
    }
    const column_info made = {.name = id, .policy = POLICY_SRV};
    array_add(e->columns, made);
    return (int)array_count(e->columns) - 1;
}

static uint32_t entity_make(judge *j, name_id name)
{
    int64_t at = 0;
    if (table_get(&j->entity_at, key_of(name, 0), &at)) {
        return (uint32_t)at;
    }
    const entity_info made = {.name = name,
                              .at = -1,
                              .charge = -1,
                              .link_key = -1,
                              .link_ter = -1,
                              .link_user = -1,
                              .link_end = -1};
    uint32_t index = (uint32_t)array_count(j->entities);
    array_add(j->entities, made);
    table_put(&j->entity_at, key_of(name, 0), index);
    return index;
}

bool member_entity(judge *j, const event *ev, uint32_t *out)
{
    name_id name;
    int64_t at = 0;
    if (!member_name(j, ev, "e", &name)) {
        return false;
    }
    if (!table_get(&j->entity_at, key_of(name, 0), &at)) {
        return refuse(j, "the entity \"%s\" has no event \"entity\": write one in the set-up",
                      say(j, name));
    }
    *out = (uint32_t)at;
    return true;
}

bool member_device(judge *j, const event *ev, const char *member, uint32_t *out)
{
    name_id name;
    int64_t at = 0;
    if (!member_name(j, ev, member, &name)) {
        return false;
    }
    if (!table_get(&j->device_at, key_of(name, 0), &at)) {
        return refuse(j, "the device \"%s\" has no event \"device\": write one before",
                      say(j, name));
    }
    *out = (uint32_t)at;
    return true;
}

/* "name" and "policy" of each column; a later event may add columns. */
static bool columns_read(judge *j, uint32_t entity, const json *list)
{
    size_t at = 0;
    json one, part;
    while (json_next(list, &at, NULL, &one)) {
        size_t inner = 0;
        json name;
        policy p = POLICY_SRV;
        if (!json_next(&one, &inner, NULL, &name) || !json_next(&one, &inner, NULL, &part) ||
            !policy_of(part.raw, &p)) {
            return refuse(j, "\"cols\" must hold [name, policy] pairs with a known policy");
        }
        int column = column_of(j, entity, name.raw);
        if (column < 0) {
            return refuse(j, "an entity has at most %d columns", COLUMNS_MAX);
        }
        j->entities[entity].columns[column].policy = p;
        j->entities[entity].columns[column].personal =
            json_next(&one, &inner, NULL, &part) && part.number == 1;
    }
    return true;
}

static bool term_read(judge *j, uint32_t entity, const json *one)
{
    static const char *const KINDS[] = {"global", "territory", "user", "parent", "link"};
    json parts[3] = {{0}};
    size_t at = 0;
    for (int i = 0; i < 3 && json_next(one, &at, NULL, &parts[i]); i++) {
    }
    for (int kind = 0; kind < 5; kind++) {
        if (parts[0].kind == JSON_TEXT && str_is(parts[0].raw, KINDS[kind])) {
            scope_term t = {.kind = (scope_kind)kind, .column = -1};
            if (parts[1].kind == JSON_TEXT) {
                t.column = str_is(parts[1].raw, "id") ? -2 : column_of(j, entity, parts[1].raw);
            }
            if (parts[2].kind == JSON_TEXT) {
                t.parent = name_of(&j->names, parts[2].raw);
            }
            array_add(j->entities[entity].terms, t);
            return true;
        }
    }
    return refuse(j, "\"scope\" must hold [by, column, entity] with by one of global, territory, "
                     "user, parent, link");
}

static bool steps_read(judge *j, uint32_t entity, const json *list)
{
    size_t at = 0;
    json one;
    while (json_next(list, &at, NULL, &one)) {
        json parts[3] = {{0}};
        size_t inner = 0;
        for (int i = 0; i < 3 && json_next(&one, &inner, NULL, &parts[i]); i++) {
        }
        if (parts[2].kind != JSON_TEXT) {
            return refuse(j, "\"steps\" must hold [column, from, to] texts");
        }
        const step s = {.column = column_of(j, entity, parts[0].raw),
                        .from = name_of(&j->names, parts[1].raw),
                        .to = name_of(&j->names, parts[2].raw)};
        array_add(j->entities[entity].steps, s);
    }
    return true;
}

static int optional_column(judge *j, uint32_t entity, const event *ev, const char *member)
{
    json v = event_get(ev, member);
    return v.kind == JSON_TEXT ? column_of(j, entity, v.raw) : -1;
}

bool on_entity(judge *j, const event *ev)
{
    name_id name;
    size_t at = 0;
    json one, scope = event_get(ev, "scope"), cols = event_get(ev, "cols"),
              steps = event_get(ev, "steps");
    if (!member_name(j, ev, "e", &name)) {
        return false;
    }
    uint32_t entity = entity_make(j, name);
    if (!columns_read(j, entity, &cols) || !steps_read(j, entity, &steps)) {
        return false;
    }
    if (scope.kind == JSON_LIST) {
        array_trim(j->entities[entity].terms, 0);
    }
    while (json_next(&scope, &at, NULL, &one)) {
        if (!term_read(j, entity, &one)) {
            return false;
        }
    }
    int column = optional_column(j, entity, ev, "at");
    j->entities[entity].at = column >= 0 ? column : j->entities[entity].at;
    column = optional_column(j, entity, ev, "charge");
    j->entities[entity].charge = column >= 0 ? column : j->entities[entity].charge;
    j->conflicts |= strcmp(say(j, name), "conflict") == 0;
    return true;
}

bool on_link(judge *j, const event *ev)
{
    uint32_t entity;
    if (!member_entity(j, ev, &entity)) {
        return false;
    }
    int key = optional_column(j, entity, ev, "key");
    int ter = optional_column(j, entity, ev, "territory");
    int user = optional_column(j, entity, ev, "user");
    int end = optional_column(j, entity, ev, "end");
    entity_info *e = &j->entities[entity];
    e->link_key = key;
    e->link_ter = ter;
    e->link_user = user;
    e->link_end = end;
    return key >= 0 || refuse(j, "event \"link\" needs the text \"key\"");
}

static uint32_t user_make(judge *j, name_id name)
{
    int64_t at = 0;
    if (table_get(&j->user_at, key_of(name, 0), &at)) {
        return (uint32_t)at;
    }
    const person made = {.name = name};
    uint32_t index = (uint32_t)array_count(j->users);
    array_add(j->users, made);
    table_put(&j->user_at, key_of(name, 0), index);
    return index;
}

bool on_user(judge *j, const event *ev)
{
    name_id name;
    if (!member_name(j, ev, "u", &name)) {
        return false;
    }
    uint32_t at = user_make(j, name);
    j->users[at].all = member_or(ev, "all", 0) == 1;
    return true;
}

bool on_device(judge *j, const event *ev)
{
    name_id name, who, inc;
    int64_t at = 0;
    if (!member_name(j, ev, "d", &name) || !member_name(j, ev, "u", &who) ||
        !member_name(j, ev, "inc", &inc)) {
        return false;
    }
    uint32_t owner = user_make(j, who);
    if (!table_get(&j->device_at, key_of(name, 0), &at)) {
        const phone made = {.name = name};
        at = (int64_t)array_count(j->devices);
        array_add(j->devices, made);
        table_put(&j->device_at, key_of(name, 0), at);
    }
    phone *d = &j->devices[at];
    d->user = owner;
    d->inc = inc;
    d->revoked = false;
    d->last_saved = 0;
    return true;
}

static bool holds(const name_id *set, name_id what)
{
    for (size_t i = 0; i < array_count(set); i++) {
        if (set[i] == what) {
            return true;
        }
    }
    return false;
}

bool on_member(judge *j, const event *ev)
{
    name_id who, ter;
    int64_t in = 0;
    if (!member_name(j, ev, "u", &who) || !member_name(j, ev, "ter", &ter) ||
        !member_int(j, ev, "in", &in)) {
        return false;
    }
    uint32_t whose = user_make(j, who);
    person *u = &j->users[whose];
    size_t count = array_count(u->territories);
    for (size_t i = 0; i < count; i++) {
        if (u->territories[i] == ter) {
            u->territories[i] = u->territories[count - 1];
            array_trim(u->territories, count - 1);
            break;
        }
    }
    if (in == 1) {
        array_add(u->territories, ter);
        if (!holds(u->ever, ter)) {
            array_add(u->ever, ter);
        }
    }
    return true;
}

static void entry_due(judge *j, const event *ev)
{
    json v = event_get(ev, "action");
    int64_t due = 0;
    if (v.kind == JSON_TEXT) {
        uint64_t key = key_of(name_of(&j->names, v.raw), 0);
        table_get(&j->promised_at, key, &due);
        table_put(&j->promised_at, key, due + 1);
    }
}

bool on_access(judge *j, const event *ev)
{
    bool revoked = str_is(ev->name, "revoke");
    uint32_t at;
    name_id name;
    if (event_get(ev, "d").kind != JSON_NONE) {
        if (!member_device(j, ev, "d", &at)) {
            return false;
        }
        j->devices[at].revoked = revoked;
    } else {
        if (!member_name(j, ev, "u", &name)) {
            return false;
        }
        at = user_make(j, name);
        j->users[at].revoked = revoked;
    }
    entry_due(j, ev);
    return true;
}

bool device_has_access(const judge *j, uint32_t d)
{
    return !j->devices[d].revoked && !j->users[j->devices[d].user].revoked;
}

static bool sees_territory(const person *u, name_id territory)
{
    return territory != 0 && (u->all || holds(u->territories, territory));
}

static bool in_scope(judge *j, uint32_t who, const row *r, int depth);

static bool linked(judge *j, uint32_t who, const row *r)
{
    const person *u = &j->users[who];
    for (size_t i = 0; i < array_count(r->links); i++) {
        const row *link = &j->rows[r->links[i]];
        const entity_info *e = &j->entities[link->entity];
        if (!link->alive || value_name(j, row_value(link, e->link_key)) != r->id ||
            (e->link_end >= 0 && row_value(link, e->link_end).p != NULL)) {
            continue;
        }
        if ((e->link_ter >= 0 && sees_territory(u, value_name(j, row_value(link, e->link_ter)))) ||
            (e->link_user >= 0 && value_name(j, row_value(link, e->link_user)) == u->name)) {
            return true;
        }
    }
    return false;
}

static bool through(judge *j, uint32_t who, const row *r, const scope_term *t, int depth)
{
    name_id target = t->column == -2 ? r->id : value_name(j, row_value(r, t->column));
    int64_t at = 0;
    switch (t->kind) {
    case SCOPE_GLOBAL:
        return true;
    case SCOPE_TERRITORY:
        return sees_territory(&j->users[who], target);
    case SCOPE_USER:
        return target != 0 && target == j->users[who].name;
    case SCOPE_LINK:
        return linked(j, who, r);
    case SCOPE_PARENT:
        break;
    }
    if (target == 0 || depth == PARENTS_MAX ||
        !table_get(&j->entity_at, key_of(t->parent, 0), &at)) {
        return false;
    }
    const row *parent = row_find(j, (uint32_t)at, target);
    return parent != NULL && in_scope(j, who, parent, depth + 1);
}

static bool in_scope(judge *j, uint32_t who, const row *r, int depth)
{
    const scope_term *terms = j->entities[r->entity].terms;
    for (size_t i = 0; i < array_count(terms); i++) {
        if (through(j, who, r, &terms[i], depth)) {
            return true;
        }
    }
    return false;
}

bool row_in_scope(judge *j, uint32_t who, const row *r)
{
    return in_scope(j, who, r, 0);
}

bool entity_is_scoped(const judge *j, const row *r)
{
    return array_count(j->entities[r->entity].terms) > 0;
}
