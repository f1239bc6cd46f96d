/* effects.c - a commit against the model: is what the server wrote what the group says? See
 * check.h. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

static change *change_find(judge *j, uint32_t entity, name_id id)
{
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        change *c = &j->tx.changes[i];
        if (c->id == id && c->entity == entity) {
            return c;
        }
    }
    return NULL;
}

static value of_values(const value *values, uint32_t count, uint32_t column)
{
    return column < count ? values[column] : (value){NULL, 0};
}

/* Is there anything that the server had to write? */
static bool needs_change(judge *j, const wish *w)
{
    const row *r = row_find(j, w->entity, w->id);
    if (w->exists != w->existed) {
        return w->touched;
    }
    for (uint32_t i = 0; w->exists && i < w->count; i++) {
        if (w->asked[i] != 0 && !value_same(w->values[i], row_value(r, (int)i))) {
            return true;
        }
    }
    return false;
}

static bool is_text(value v, const char *text)
{
    return v.p != NULL && v.n == strlen(text) + 1 && memcmp(v.p + 1, text, v.n - 1) == 0;
}

static int column_named(judge *j, uint32_t entity, const char *name)
{
    return column_of(j, entity, (str){name, strlen(name)});
}

/* --- conflicts that a person settles ------------------------------------------------------------
 */

/* A record that this commit made "resolved" or "decided": which value of which row was chosen. */
typedef struct pick {
    uint32_t entity;
    name_id id;
    int column;
    value chosen;
} pick;

static bool pick_target(judge *j, const change *c, pick *out)
{
    value entity = of_values(c->values, c->count, (uint32_t)column_named(j, c->entity, "entity"));
    value id = of_values(c->values, c->count, (uint32_t)column_named(j, c->entity, "entity_id"));
    value field = of_values(c->values, c->count, (uint32_t)column_named(j, c->entity, "field"));
    int64_t index = 0;
    if (field.p == NULL || field.p[0] != 's' ||
        !table_get(&j->entity_at, key_of(value_name(j, entity), 0), &index)) {
        return false;
    }
    out->entity = (uint32_t)index;
    out->id = value_name(j, id);
    out->column = column_of(j, out->entity, (str){field.p + 1, field.n - 1});
    return true;
}

static bool pick_of(judge *j, const change *c, pick *out)
{
    static const char *const CHOICES[][2] = {
        {"mine", "mine"}, {"theirs", "theirs"}, {"base", "base"}, {"person", "resolved_value"}};
    const row *r = row_find(j, c->entity, c->id);
    int state = column_named(j, c->entity, "state");
    value now = of_values(c->values, c->count, (uint32_t)state);
    bool ends = is_text(now, "resolved") || is_text(now, "decided");
    if (strcmp(say(j, j->entities[c->entity].name), "conflict") != 0 || r == NULL || !r->alive ||
        c->gone || !ends || value_same(now, row_value(r, state)) || !pick_target(j, c, out)) {
        return false;
    }
    value winner = of_values(c->values, c->count, (uint32_t)column_named(j, c->entity, "winner"));
    for (size_t i = 0; i < sizeof CHOICES / sizeof *CHOICES; i++) {
        if (is_text(winner, CHOICES[i][0])) {
            int at = column_named(j, c->entity, CHOICES[i][1]);
            out->chosen = of_values(c->values, c->count, (uint32_t)at);
            return true;
        }
    }
    return false;
}

static bool is_picked(judge *j, uint32_t entity, name_id id, int column)
{
    pick p;
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        if (pick_of(j, &j->tx.changes[i], &p) && p.entity == entity && p.id == id &&
            p.column == column) {
            return true;
        }
    }
    return false;
}

/* The server stamps who settled a record and when. */
static bool is_settler(judge *j, const change *c, int column)
{
    pick p;
    const char *name = say(j, j->entities[c->entity].columns[column].name);
    return (strcmp(name, "resolved_by") == 0 || strcmp(name, "resolved_at") == 0) &&
           pick_of(j, c, &p);
}

static void settler_judge(judge *j, const change *c)
{
    value by = of_values(c->values, c->count, (uint32_t)column_named(j, c->entity, "resolved_by"));
    const group *g = j->tx.group != 0 ? &j->groups[j->tx.group - 1] : NULL;
    if (g != NULL && by.p != NULL && value_name(j, by) != j->users[g->user].name) {
        broken(j, CHECK_settler_wrong, "conflict %s", say(j, c->id));
    }
}

/* The digits without point and zeros at the ends: a record has numbers as people write them. */
static size_t digits_of(value v, char *out, size_t room)
{
    size_t n = 0;
    for (uint32_t i = 1; v.p != NULL && i < v.n; i++) {
        if (strchr("0123456789", v.p[i]) == NULL) {
            if (strchr("-.", v.p[i]) == NULL) {
                return 0;
            }
        } else if ((n > 0 || v.p[i] != '0') && n < room) {
            out[n++] = v.p[i];
        }
    }
    while (n > 0 && out[n - 1] == '0') {
        n--;
    }
    return n;
}

static bool stands_as_chosen(value stands, value chosen)
{
    char a[64], b[64];
    size_t n = digits_of(stands, a, sizeof a);
    bool none = stands.p == NULL || stands.n == 1, nothing = chosen.p == NULL || chosen.n == 1;
    if (none || nothing || value_same(stands, chosen)) {
        return none == nothing;
    }
    return (n > 0 || stands.p[0] == 'i') && n == digits_of(chosen, b, sizeof b) &&
           memcmp(a, b, n) == 0;
}

void picks_judge(judge *j)
{
    pick p;
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        if (!pick_of(j, &j->tx.changes[i], &p)) {
            continue;
        }
        settler_judge(j, &j->tx.changes[i]);
        const change *c = change_find(j, p.entity, p.id);
        const row *r = row_find(j, p.entity, p.id);
        bool there = c != NULL ? !c->gone : r != NULL && r->alive;
        value now = c != NULL               ? of_values(c->values, c->count, (uint32_t)p.column)
                    : r != NULL && r->alive ? row_value(r, p.column)
                                            : (value){NULL, 0};
        if (there && !stands_as_chosen(now, p.chosen)) {
            broken(j, CHECK_pick_wrong, "%s %s.%s", say(j, j->entities[p.entity].name),
                   say(j, p.id), say(j, j->entities[p.entity].columns[p.column].name));
        }
    }
}

/* --- groups -------------------------------------------------------------------------------------
 */

static void column_judge(judge *j, const wish *w, const change *c, uint32_t i)
{
    const column_info *col = &j->entities[w->entity].columns[i];
    const row *r = row_find(j, w->entity, w->id);
    value wrote = of_values(c->values, c->count, i);
    if (col->policy == POLICY_SRV || is_picked(j, w->entity, w->id, (int)i) ||
        is_settler(j, c, (int)i)) {
        return;
    }
    if (w->asked[i] != 0 && !value_same(wrote, w->values[i])) {
        broken(j, w->asked[i] == 2 ? CHECK_counter_wrong : CHECK_merge_wrong,
               "%s %s.%s is %.*s and must be %.*s", say(j, j->entities[w->entity].name),
               say(j, w->id), say(j, col->name), (int)(wrote.p != NULL ? wrote.n - 1 : 4),
               wrote.p != NULL ? wrote.p + 1 : "null",
               (int)(w->values[i].p != NULL ? w->values[i].n - 1 : 4),
               w->values[i].p != NULL ? w->values[i].p + 1 : "null");
    } else if (w->asked[i] == 0 && w->existed && !value_same(wrote, row_value(r, (int)i))) {
        broken(j, CHECK_effect_foreign, "%s %s.%s", say(j, j->entities[w->entity].name),
               say(j, w->id), say(j, col->name));
    }
}

static void wish_judge(judge *j, const wish *w, const change *c)
{
    if (w->exists == c->gone) {
        broken(j, CHECK_merge_wrong, "%s %s was %s", say(j, j->entities[w->entity].name),
               say(j, w->id), c->gone ? "deleted" : "not deleted");
        return;
    }
    for (uint32_t i = 0; w->exists && i < array_count(j->entities[w->entity].columns); i++) {
        column_judge(j, w, c, i);
    }
}

/* The server may write other rows too, but only in columns that are its own. */
static void foreign_judge(judge *j, const change *c)
{
    const row *r = row_find(j, c->entity, c->id);
    const entity_info *e = &j->entities[c->entity];
    bool own = !c->gone && r != NULL && r->alive;
    for (uint32_t i = 0; own && i < array_count(e->columns); i++) {
        own = e->columns[i].policy == POLICY_SRV || is_picked(j, c->entity, c->id, (int)i) ||
              value_same(of_values(c->values, c->count, i), row_value(r, (int)i));
    }
    bool is_record =
        strcmp(say(j, e->name), "conflict") == 0 || strcmp(say(j, e->name), "held_group") == 0;
    if (!own && !is_record) {
        broken(j, CHECK_effect_foreign, "%s %s", say(j, e->name), say(j, c->id));
    }
}

/* Numbers are written for people in a record, so only texts are compared. */
static bool record_keeps(value kept, value lost)
{
    int64_t number;
    return lost.p == NULL || lost.p[0] == 'i' || value_int(lost, &number) || value_same(kept, lost);
}

static bool record_is_of(judge *j, const change *c, const clash *lost)
{
    uint32_t e = c->entity;
    value id = of_values(c->values, c->count, (uint32_t)column_named(j, e, "entity_id"));
    value field = of_values(c->values, c->count, (uint32_t)column_named(j, e, "field"));
    value mine = of_values(c->values, c->count, (uint32_t)column_named(j, e, "mine"));
    value theirs = of_values(c->values, c->count, (uint32_t)column_named(j, e, "theirs"));
    const char *column = say(j, j->entities[lost->entity].columns[lost->column].name);
    return is_text(id, say(j, lost->id)) && is_text(field, column) &&
           record_keeps(mine, lost->mine) && record_keeps(theirs, lost->theirs);
}

static void clash_judge(judge *j, const clash *lost, group_code code)
{
    const entity_info *e = &j->entities[lost->entity];
    bool kept = !j->conflicts;
    for (size_t i = 0; i < array_count(j->tx.changes) && !kept; i++) {
        const change *c = &j->tx.changes[i];
        kept = strcmp(say(j, j->entities[c->entity].name), "conflict") == 0 &&
               record_is_of(j, c, lost);
    }
    if (!kept) {
        broken(j, CHECK_loser_dropped, "%s %s.%s", say(j, e->name), say(j, lost->id),
               say(j, e->columns[lost->column].name));
    }
    if (!lost->mine_won && code == CODE_APPLIED) {
        broken(j, CHECK_lost_unsaid, "%s %s.%s", say(j, e->name), say(j, lost->id),
               say(j, e->columns[lost->column].name));
    }
}

/* How much of the group was written: nothing, a part, all. */
static void parts_judge(judge *j, const group *g, const plan *p)
{
    size_t missing = 0, done = 0;
    name_id lacks = 0;
    for (size_t i = 0; i < array_count(p->wishes); i++) {
        const wish *w = &p->wishes[i];
        bool wrote = change_find(j, w->entity, w->id) != NULL;
        if (needs_change(j, w)) {
            done += wrote;
            missing += !wrote;
            lacks = wrote ? lacks : w->id;
        }
    }
    if (missing > 0) {
        broken(j, done > 0 ? CHECK_commit_half : CHECK_effect_missing,
               "group %lld of %s: %s was not written", (long long)g->gseq, say(j, g->inc),
               say(j, lacks));
    }
}

void commit_judge(judge *j, const group *g, group_code code)
{
    plan p;
    int64_t received_at_ms = j->tx.open ? j->tx.at_ms : j->last_commit_at_ms;
    if (model_run(j, g, received_at_ms, &p)) {
        for (size_t i = 0; i < array_count(p.wishes); i++) {
            change *c = change_find(j, p.wishes[i].entity, p.wishes[i].id);
            if (c != NULL) {
                c->used = true;
                wish_judge(j, &p.wishes[i], c);
            }
        }
        parts_judge(j, g, &p);
        for (size_t i = 0; i < array_count(j->tx.changes); i++) {
            if (!j->tx.changes[i].used) {
                foreign_judge(j, &j->tx.changes[i]);
            }
        }
        for (size_t i = 0; i < array_count(p.clashes); i++) {
            clash_judge(j, &p.clashes[i], code);
        }
        if (p.inserts_again) {
            broken(j, CHECK_effect_twice, "group %lld of %s inserts a row that stands already",
                   (long long)g->gseq, say(j, g->inc));
        }
    }
    plan_free(&p);
}

static void erased_judge(judge *j, const row *r, const change *c)
{
    const entity_info *e = &j->entities[c->entity];
    for (uint32_t i = 0; r->erased && i < c->count; i++) {
        if (e->columns[i].personal && c->values[i].p != NULL) {
            broken(j, CHECK_erased_returns, "%s %s.%s", say(j, e->name), say(j, c->id),
                   say(j, e->columns[i].name));
        }
    }
}

void changes_apply(judge *j)
{
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        change *c = &j->tx.changes[i];
        row *r = row_make(j, c->entity, c->id);
        if (c->gone) {
            row_delete(j, r, c->ver);
            continue;
        }
        if (!r->alive && r->ver != 0) {
            broken(j, CHECK_server_revives, "%s %s in commit %lld",
                   say(j, j->entities[c->entity].name), say(j, c->id), (long long)j->tx.cid);
        }
        erased_judge(j, r, c);
        row_write(j, r, c->ver, c->values, c->count);
        c->values = NULL;
        c->count = 0;
    }
}

typedef struct scope_question {
    judge *j;
    uint32_t user;
} scope_question;

static bool scope_op(void *ctx, const op *o)
{
    const scope_question *q = ctx;
    judge *j = q->j;
    row *r = row_find(j, o->entity, o->id);
    if (r != NULL && entity_is_scoped(j, r) && !row_in_scope(j, q->user, r)) {
        broken(j, CHECK_taken_out_of_scope, "%s %s for %s", say(j, j->entities[o->entity].name),
               say(j, o->id), say(j, j->users[q->user].name));
    }
    return true;
}

void scope_judge(judge *j, const group *g)
{
    scope_question q = {j, g->user};
    if (!g->in_scope && !g->was_held) { /* else whoever decided it may take it */
        group_ops(j, g->text, g->text_bytes, scope_op, &q);
    }
}
