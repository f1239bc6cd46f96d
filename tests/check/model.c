/* model.c - the reference model: what a group must do to the server's rows, naive and from the
 * published rules (protocol.md 4.2), not from the product. See check.h.
 *
 * Works on copies of the rows that the group names (wishes), operation by operation. The commit is
 * compared with them afterwards; nothing here writes. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

typedef struct running {
    judge *j;
    const group *g;
    plan *out;
    int64_t received_at_ms, at_ms;
} running;

static name_id stands_for(judge *j, name_id id)
{
    int64_t other = 0;
    for (int hops = 0; hops < 16 && table_get(&j->alias_at, key_of(id, 0), &other); hops++) {
        id = (name_id)other;
    }
    return id;
}

static wish *wish_find(running *run, uint32_t entity, name_id id)
{
    plan *p = run->out;
    for (size_t i = 0; i < array_count(p->wishes); i++) {
        if (p->wishes[i].id == id && p->wishes[i].entity == entity) {
            return &p->wishes[i];
        }
    }
    row *r = row_find(run->j, entity, id);
    wish made = {.entity = entity, .id = id};
    made.count = COLUMNS_MAX;
    made.values = must_take(NULL, COLUMNS_MAX * sizeof *made.values);
    memset(made.values, 0, COLUMNS_MAX * sizeof *made.values);
    made.exists = made.existed = r != NULL && r->alive;
    for (uint32_t i = 0; made.exists && i < r->count; i++) {
        made.values[i] = value_copy(r->values[i]);
    }
    array_add(p->wishes, made);
    return &p->wishes[array_count(p->wishes) - 1];
}

static void wish_set(wish *w, int column, value v)
{
    free(w->values[column].p);
    w->values[column] = v;
    w->touched = true;
}

/* A reference to a duplicate means the row that stays. */
static value followed(judge *j, value v)
{
    name_id name = v.p != NULL && v.p[0] == 's' && j->alias_at.count > 0
                       ? name_of(&j->names, (str){v.p + 1, v.n - 1})
                       : 0;
    name_id stays = stands_for(j, name);
    if (stays != name) {
        str text = name_text(&j->names, stays);
        v.p = must_take(v.p, text.n + 1);
        memcpy(v.p + 1, text.p, text.n);
        v.n = (uint32_t)text.n + 1;
    }
    return v;
}

static void insert(running *run, wish *w, const op *o)
{
    if (w->exists && stands_for(run->j, o->id) != o->id) {
        return; /* a duplicate: the row that stays keeps its values */
    }
    run->out->inserts_again |= w->exists;
    w->exists = w->fresh = w->touched = true;
    for (int i = 0; i < o->count; i++) {
        wish_set(w, o->columns[i], followed(run->j, value_read(&o->mine[i])));
        w->asked[o->columns[i]] = 1;
    }
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A restore took the column's time back to one that no event told: what was written is believed. */
static bool wrote(const running *run, const wish *w, int column, value mine)
{
    const judge *j = run->j;
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        const change *c = &j->tx.changes[i];
        if (c->entity == w->entity && c->id == w->id) {
            return (uint32_t)column < c->count && value_same(c->values[column], mine);
        }
    }
    return false;
}

static bool in_charge(const running *run, const wish *w)
{
    const entity_info *e = &run->j->entities[w->entity];
    return e->charge >= 0 &&
           value_name(run->j, w->values[e->charge]) == run->j->users[run->g->user].name;
}

/* Of the column, not of its row: others may have been changed since. */
static bool later_wins(const running *run, const wish *w, const op *o, int i, value mine_value)
{
    const row *r = row_find(run->j, w->entity, w->id);
    int64_t mine = later_of(run->at_ms, base_time(run->j, run->g, o->base_ver));
    int64_t theirs = r != NULL && r->alive ? row_time(r, o->columns[i]) : 0;
    if (theirs == TIME_UNKNOWN) {
        return wrote(run, w, o->columns[i], mine_value);
    }
    mine = mine < run->received_at_ms ? mine : run->received_at_ms;
    return mine > theirs || (mine == theirs && in_charge(run, w));
}

/* Null first, then numbers, then texts; numbers may stand inside texts. */
static int value_compare(value a, value b)
{
    int64_t x, y;
    if (a.p == NULL || b.p == NULL) {
        return (a.p != NULL) - (b.p != NULL);
    }
    if (value_int(a, &x) && value_int(b, &y)) {
        return (x > y) - (x < y);
    }
    uint32_t n = a.n < b.n ? a.n : b.n;
    int c = memcmp(a.p, b.p, n);
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static bool step_allowed(judge *j, uint32_t entity, int column, value from, value to)
{
    const step *steps = j->entities[entity].steps;
    name_id a = value_name(j, from), b = value_name(j, to);
    for (size_t i = 0; i < array_count(steps); i++) {
        if (steps[i].column == column && steps[i].to == b &&
            (steps[i].from == a || strcmp(say(j, steps[i].from), "*") == 0)) {
            return true;
        }
    }
    return false;
}

static bool mine_wins(running *run, const wish *w, const op *o, int i, value base, value mine)
{
    int column = o->columns[i];
    value theirs = w->values[column];
    bool both = !value_same(theirs, base);
    switch (run->j->entities[w->entity].columns[column].policy) {
    case POLICY_LWW:
        return !both || later_wins(run, w, o, i, mine);
    case POLICY_MAX:
        return value_compare(mine, theirs) > 0;
    case POLICY_MIN:
        return mine.p != NULL && (theirs.p == NULL || value_compare(mine, theirs) < 0);
    case POLICY_SM:
        return !both || step_allowed(run->j, w->entity, column, theirs, mine);
    case POLICY_MAN:
    case POLICY_FIRST:
        return !both;
    default:
        return false;
    }
}

static void clash_note(running *run, const wish *w, int column, bool won, value mine)
{
    policy p = run->j->entities[w->entity].columns[column].policy;
    if (p == POLICY_MAX || p == POLICY_MIN) {
        return;
    }
    const clash c = {
        w->entity, w->id, column, won, value_copy(mine), value_copy(w->values[column])};
    array_add(run->out->clashes, c);
}

/* DELTA: theirs + (mine - base); for the operation "^" mine is the difference itself. */
static void count_on(wish *w, int column, value base, value mine)
{
    char text[32];
    int64_t theirs = 0, to = 0, from = 0, sum = 0;
    value_int(w->values[column], &theirs);
    value_int(mine, &to);
    value_int(base, &from);
    if (__builtin_sub_overflow(to, from, &to) || __builtin_add_overflow(theirs, to, &sum)) {
        return;
    }
    char kind = w->values[column].p != NULL ? w->values[column].p[0]
                : mine.p != NULL            ? mine.p[0]
                                            : 'i';
    size_t n = 0;
    uint64_t rest = sum < 0 ? (uint64_t)0 - (uint64_t)sum : (uint64_t)sum;
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (sum < 0) {
        text[--at] = '-';
    }
    n = sizeof text - at;
    value v = {must_take(NULL, n + 1), (uint32_t)n + 1};
    v.p[0] = kind;
    memcpy(v.p + 1, text + at, n);
    wish_set(w, column, v);
    w->asked[column] = 2;
}

static void update_column(running *run, wish *w, const op *o, int i, bool as_seen)
{
    int column = o->columns[i];
    policy p = run->j->entities[w->entity].columns[column].policy;
    value mine = followed(run->j, value_read(&o->mine[i]));
    value base =
        as_seen ? value_copy(w->values[column]) : followed(run->j, value_read(&o->base[i]));
    if (o->kind == OP_DELTA) {
        free(base.p);
        base = (value){NULL, 0};
    }
    if (p == POLICY_SRV) {
        w->touched = true;
    } else if (o->kind == OP_DELTA || (p == POLICY_DELTA && !value_same(mine, base))) {
        count_on(w, column, base, mine);
    } else if (!value_same(mine, base) && !value_same(mine, w->values[column])) {
        bool won = mine_wins(run, w, o, i, base, mine);
        if (!value_same(base, w->values[column])) {
            clash_note(run, w, column, won, mine);
        }
        if (won) {
            wish_set(w, column, value_copy(mine));
        }
        w->asked[column] = 1;
    } else {
        w->asked[column] = 1;
    }
    free(mine.p);
    free(base.p);
}

static bool run_op(void *ctx, const op *o)
{
    running *run = ctx;
    wish *w = wish_find(run, o->entity, stands_for(run->j, o->id));
    const row *r = row_find(run->j, w->entity, w->id);
    if (o->kind == OP_INSERT) {
        insert(run, w, o);
        return true;
    }
    if (o->kind == OP_DELETE) {
        w->touched |= w->exists;
        w->exists = false;
        return true;
    }
    if (!w->exists) {
        run->out->revives |= w->existed == false && r != NULL;
        return true;
    }
    bool as_seen = r != NULL && r->alive && o->base_ver == r->ver && !w->touched &&
                   base_stands(run->j, run->g, o->base_ver);
    for (int i = 0; i < o->count; i++) {
        update_column(run, w, o, i, as_seen);
    }
    return true;
}

bool model_run(judge *j, const group *g, int64_t received_at_ms, plan *out)
{
    *out = (plan){0};
    running run = {.j = j, .g = g, .out = out, .received_at_ms = received_at_ms};
    json at = group_head(g, "at");
    json_int(&at, &run.at_ms);
    return group_ops(j, g->text, g->text_bytes, run_op, &run);
}

void plan_free(plan *p)
{
    for (size_t i = 0; i < array_count(p->wishes); i++) {
        values_free(p->wishes[i].values, p->wishes[i].count);
    }
    for (size_t i = 0; i < array_count(p->clashes); i++) {
        free(p->clashes[i].mine.p);
        free(p->clashes[i].theirs.p);
    }
    array_free(p->wishes);
    array_free(p->clashes);
}
