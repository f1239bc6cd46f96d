/* money.c - sums, floors and balances over the server's rows, kept as they change. See check.h. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

/* A fraction anywhere in a value that is saved, written or shown. */
void money_fractions(judge *j, const json *v)
{
    if (v->kind == JSON_FRACTION) {
        broken(j, CHECK_fraction_used, "%.*s", (int)v->raw.n, v->raw.p);
    }
}

static bool entity_named(judge *j, const event *ev, const char *member, uint32_t *out)
{
    json v = event_get(ev, member);
    int64_t at = 0;
    if (v.kind != JSON_TEXT ||
        !table_get(&j->entity_at, key_of(name_of(&j->names, v.raw), 0), &at)) {
        return refuse(j, "event \"rule\": \"%s\" must name an entity of the set-up", member);
    }
    *out = (uint32_t)at;
    return true;
}

static int column_member(judge *j, const event *ev, const char *member, uint32_t entity)
{
    json v = event_get(ev, member);
    return v.kind == JSON_TEXT ? column_of(j, entity, v.raw) : -1;
}

static bool sum_read(judge *j, const event *ev, money_rule *r)
{
    json plus = event_get(ev, "plus"), one;
    size_t at = 0;
    if (!entity_named(j, ev, "child", &r->child)) {
        return false;
    }
    r->ref = column_member(j, ev, "ref", r->child);
    r->add = column_member(j, ev, "add", r->child);
    while (r->plus_count < 8 && json_next(&plus, &at, NULL, &one)) {
        r->plus[r->plus_count++] = column_of(j, r->entity, one.raw);
    }
    return (r->ref >= 0 && r->add >= 0) || refuse(j, "a sum needs \"child\", \"ref\" and \"add\"");
}

bool on_rule(judge *j, const event *ev)
{
    json kind = event_get(ev, "kind");
    money_rule r = {.min = member_or(ev, "min", 0)};
    if (!entity_named(j, ev, "e", &r.entity)) {
        return false;
    }
    r.column = column_member(j, ev, "col", r.entity);
    r.by = column_member(j, ev, "by", r.entity);
    if (r.column < 0) {
        return refuse(j, "a rule needs \"col\"");
    }
    if (kind.kind == JSON_TEXT && str_is(kind.raw, "sum")) {
        r.kind = RULE_SUM;
        if (!sum_read(j, ev, &r)) {
            return false;
        }
    } else if (kind.kind == JSON_TEXT && str_is(kind.raw, "floor")) {
        r.kind = RULE_FLOOR;
    } else if (kind.kind == JSON_TEXT && str_is(kind.raw, "balance")) {
        r.kind = RULE_BALANCE;
    } else {
        return refuse(j, "a rule's \"kind\" is sum, floor or balance");
    }
    array_add(j->rules, r);
    return true;
}

static uint64_t sum_key(size_t rule, name_id key)
{
    return key_of(rule + 1, key);
}

static void sum_add(judge *j, size_t rule, name_id key, int64_t amount)
{
    int64_t sum = 0;
    uint64_t at = sum_key(rule, key);
    table_get(&j->sum_at, at, &sum);
    if (__builtin_add_overflow(sum, amount, &sum)) {
        broken(j, CHECK_sum_wrong, "a sum does not fit into 64 bits");
    }
    table_put(&j->sum_at, at, sum);
}

static value at_column(const value *values, uint32_t count, int column)
{
    return column >= 0 && (uint32_t)column < count ? values[column] : (value){NULL, 0};
}

static int64_t amount_of(const value *values, uint32_t count, int column)
{
    int64_t n = 0;
    return value_int(at_column(values, count, column), &n) ? n : 0;
}

static void touch(judge *j, size_t rule, name_id key)
{
    const touched t = {rule, key};
    for (size_t i = 0; i < array_count(j->touched); i++) {
        if (j->touched[i].rule == rule && j->touched[i].key == key) {
            return;
        }
    }
    array_add(j->touched, t);
}

static void child_move(judge *j, size_t rule, const value *values, uint32_t count, int sign)
{
    const money_rule *r = &j->rules[rule];
    name_id parent = value_name(j, at_column(values, count, r->ref));
    if (parent != 0) {
        sum_add(j, rule, parent, sign * amount_of(values, count, r->add));
        touch(j, rule, parent);
    }
}

void money_row(judge *j, uint32_t entity, name_id id, const value *before, uint32_t before_count,
               const value *after, uint32_t after_count)
{
    for (size_t i = 0; i < array_count(j->rules); i++) {
        const money_rule *r = &j->rules[i];
        if (r->kind == RULE_SUM && r->child == entity) {
            child_move(j, i, before, before_count, -1);
            child_move(j, i, after, after_count, 1);
        }
        if (r->entity != entity) {
            continue;
        }
        j->evidence[I11] = true;
        if (r->kind == RULE_SUM) {
            touch(j, i, id);
        } else if (r->kind == RULE_BALANCE && before_count == 0) {
            name_id by = value_name(j, at_column(after, after_count, r->by));
            sum_add(j, i, by, amount_of(after, after_count, r->column));
            touch(j, i, by);
        } else if (r->kind == RULE_FLOOR && after != NULL &&
                   amount_of(after, after_count, r->column) < r->min) {
            broken(j, CHECK_floor_broken, "%s %s is %lld", say(j, j->entities[entity].name),
                   say(j, id), (long long)amount_of(after, after_count, r->column));
        }
    }
}

static void sum_judge(judge *j, size_t rule, name_id key)
{
    const money_rule *r = &j->rules[rule];
    int64_t sum = 0;
    table_get(&j->sum_at, sum_key(rule, key), &sum);
    if (r->kind == RULE_BALANCE) {
        if (sum != 0) {
            broken(j, CHECK_unbalanced, "%s by %s: %lld", say(j, j->entities[r->entity].name),
                   say(j, key), (long long)sum);
        }
        table_remove(&j->sum_at, sum_key(rule, key));
        return;
    }
    const row *parent = row_find(j, r->entity, key);
    if (parent == NULL || !parent->alive) {
        return;
    }
    for (int i = 0; i < r->plus_count; i++) {
        sum += amount_of(parent->values, parent->count, r->plus[i]);
    }
    int64_t stands = amount_of(parent->values, parent->count, r->column);
    if (stands != sum) {
        broken(j, CHECK_sum_wrong, "%s %s.%s is %lld and its parts are %lld",
               say(j, j->entities[r->entity].name), say(j, key),
               say(j, j->entities[r->entity].columns[r->column].name), (long long)stands,
               (long long)sum);
    }
}

void money_judge(judge *j)
{
    for (size_t i = 0; i < array_count(j->touched); i++) {
        sum_judge(j, j->touched[i].rule, j->touched[i].key);
    }
    array_trim(j->touched, 0);
}

/* After a restore: the sums of the rows that are there now. */
void money_restart(judge *j)
{
    table_clear(&j->sum_at);
    array_trim(j->touched, 0);
    for (size_t i = 0; i < array_count(j->rows); i++) {
        const row *r = &j->rows[i];
        for (size_t n = 0; r->alive && n < array_count(j->rules); n++) {
            if (j->rules[n].kind == RULE_SUM && j->rules[n].child == r->entity) {
                child_move(j, n, r->values, r->count, 1);
            }
        }
    }
    money_judge(j);
}
