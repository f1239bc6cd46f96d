/* groups.c - groups as people saved them, under which numbers, and what they say. See check.h.
 *
 * A number (incarnation, gseq) can belong to two groups: a phone that was put back, or copied, uses
 * its numbers again. The older one is kept behind the newer (group.older); the hash of the line
 * says which one a verdict is about. */
#include "check.h"
#include "sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_OPEN = 1, CALL_FAILED = 2, CALL_UNSURE = 3, CALL_SAVED = 4 };

static const char *const CODE_WORDS[CODES] = {"",         "applied", "merged", "alias",
                                              "rejected", "held",    "blocked"};

group_code code_of(str word)
{
    for (int i = CODE_APPLIED; i < CODES; i++) {
        if (str_is(word, CODE_WORDS[i])) {
            return (group_code)i;
        }
    }
    return CODE_NONE;
}

bool code_stands(uint8_t code)
{
    return code == CODE_APPLIED || code == CODE_MERGED || code == CODE_ALIAS;
}

static uint64_t line_hash(const void *data, size_t size)
{
    unsigned char out[32];
    uint64_t first = 0;
    sha256 s;
    sha256_begin(&s);
    sha256_add(&s, data, size);
    sha256_end(&s, out);
    for (int i = 0; i < 8; i++) {
        first = first << 8 | out[i];
    }
    return first;
}

group *group_find(judge *j, name_id inc, int64_t gseq)
{
    int64_t at = 0;
    return table_get(&j->group_at, key_of(inc, (uint64_t)gseq), &at) ? &j->groups[at] : NULL;
}

group *group_of_line(judge *j, const char *hex)
{
    int64_t at = 0;
    uint64_t hash = strtoull(hex, NULL, 16);
    return table_get(&j->line_at, key_of(hash, 1), &at) ? &j->groups[at] : NULL;
}

/* --- operations ---------------------------------------------------------------------------------
 */

static bool op_start(judge *j, const json *list, size_t *at, op *o)
{
    json kind, entity;
    int64_t index = 0;
    if (!json_next(list, at, NULL, &kind) || !json_next(list, at, NULL, &entity) ||
        kind.raw.n != 1 || strchr("+~-^", kind.raw.p[0]) == NULL ||
        !table_get(&j->entity_at, key_of(name_of(&j->names, entity.raw), 0), &index)) {
        return false;
    }
    o->kind = kind.raw.p[0] == '+'   ? OP_INSERT
              : kind.raw.p[0] == '~' ? OP_UPDATE
              : kind.raw.p[0] == '-' ? OP_DELETE
                                     : OP_DELTA;
    o->entity = (uint32_t)index;
    o->count = 0;
    o->base_ver = 0;
    return true;
}

static bool op_columns(judge *j, const json *list, op *o)
{
    size_t at = 0;
    json name;
    for (o->count = 0; json_next(list, &at, NULL, &name); o->count++) {
        if (o->count == COLUMNS_MAX || name.kind != JSON_TEXT) {
            return false;
        }
        o->columns[o->count] = column_of(j, o->entity, name.raw);
        o->base[o->count] = (json){.kind = JSON_NULL};
    }
    return list->kind == JSON_LIST;
}

static bool op_values(judge *j, const json *list, int count, json *out)
{
    size_t at = 0;
    int n = 0;
    while (n < count && json_next(list, &at, NULL, &out[n])) {
        money_fractions(j, &out[n++]);
    }
    return n == count;
}

/* ["+", entity, ["id", ...], [[id, ...], ...]]: one op a row. */
static bool insert_rows(judge *j, const json *list, size_t *at, op *o, op_visit visit, void *ctx)
{
    json columns, rows, list_row;
    size_t row_at = 0;
    if (!json_next(list, at, NULL, &columns) || !json_next(list, at, NULL, &rows) ||
        !op_columns(j, &columns, o) || o->count == 0) {
        return false;
    }
    while (json_next(&rows, &row_at, NULL, &list_row)) {
        if (!op_values(j, &list_row, o->count, o->mine) || o->mine[0].kind != JSON_TEXT) {
            return false;
        }
        o->id = name_of(&j->names, o->mine[0].raw);
        op one = *o;
        one.count--;
        memmove(one.columns, one.columns + 1, (size_t)one.count * sizeof *one.columns);
        memmove(one.mine, one.mine + 1, (size_t)one.count * sizeof *one.mine);
        if (!visit(ctx, &one)) {
            return false;
        }
    }
    return true;
}

static bool change_row(judge *j, const json *list, size_t *at, op *o, op_visit visit, void *ctx)
{
    json id, ver, columns, values;
    if (!json_next(list, at, NULL, &id) || id.kind != JSON_TEXT) {
        return false;
    }
    o->id = name_of(&j->names, id.raw);
    if (o->kind != OP_DELTA &&
        (!json_next(list, at, NULL, &ver) || !json_int(&ver, &o->base_ver))) {
        return false;
    }
    if (o->kind == OP_DELETE) {
        return visit(ctx, o);
    }
    if (!json_next(list, at, NULL, &columns) || !op_columns(j, &columns, o)) {
        return false;
    }
    if (o->kind == OP_UPDATE &&
        (!json_next(list, at, NULL, &values) || !op_values(j, &values, o->count, o->base))) {
        return false;
    }
    return json_next(list, at, NULL, &values) && op_values(j, &values, o->count, o->mine) &&
           visit(ctx, o);
}

bool group_ops(judge *j, const char *text, size_t bytes, op_visit visit, void *ctx)
{
    json whole, one;
    size_t at = 0;
    if (text == NULL || json_value(text, text + bytes, &whole) == NULL) {
        return false;
    }
    json ops = json_member(&whole, "ops");
    while (json_next(&ops, &at, NULL, &one)) {
        op o;
        size_t inner = 0;
        if (!op_start(j, &one, &inner, &o)) {
            return false;
        }
        bool done = o.kind == OP_INSERT ? insert_rows(j, &one, &inner, &o, visit, ctx)
                                        : change_row(j, &one, &inner, &o, visit, ctx);
        if (!done) {
            return false;
        }
    }
    return ops.kind == JSON_LIST;
}

json group_head(const group *g, const char *member)
{
    json whole;
    if (g->text == NULL || json_value(g->text, g->text + g->text_bytes, &whole) == NULL) {
        return (json){.kind = JSON_NONE};
    }
    return json_member(&whole, member);
}

void group_forget_text(group *g)
{
    free(g->text);
    g->text = NULL;
}

/* --- saving -------------------------------------------------------------------------------------
 */

typedef struct capture {
    judge *j;
    uint32_t device, group;
    bool in_scope;
} capture;

/* A row that is being inserted is seen through its parent, which may be as new as it is itself. */
static bool insert_in_scope(capture *c, const op *o)
{
    judge *j = c->j;
    uint32_t who = j->devices[c->device].user;
    value values[COLUMNS_MAX] = {{0}};
    row fresh = {.entity = o->entity, .id = o->id, .count = COLUMNS_MAX, .values = values};
    for (int i = 0; i < o->count; i++) {
        free(values[o->columns[i]].p);
        values[o->columns[i]] = value_read(&o->mine[i]);
    }
    bool seen = row_in_scope(j, who, &fresh);
    const scope_term *terms = j->entities[o->entity].terms;
    bool top = true;
    for (size_t i = 0; i < array_count(terms); i++) {
        name_id parent = value_name(j, row_value(&fresh, terms[i].column));
        int64_t born = 0;
        top &= terms[i].kind != SCOPE_PARENT;
        seen |= terms[i].kind == SCOPE_PARENT && parent != 0 &&
                table_get(&j->birth_at, key_of(parent, 0), &born) && j->groups[born].user == who;
    }
    for (int i = 0; i < COLUMNS_MAX; i++) {
        free(values[i].p);
    }
    return seen || top; /* nobody's child: who makes it may see it */
}

static bool capture_op(void *ctx, const op *o)
{
    capture *c = ctx;
    judge *j = c->j;
    const phone *d = &j->devices[c->device];
    row *r = row_find(j, o->entity, o->id);
    if (o->kind == OP_INSERT) {
        table_put(&j->birth_at, key_of(o->id, 0), c->group);
        c->in_scope &= insert_in_scope(c, o);
    } else if (r != NULL && entity_is_scoped(j, r)) {
        c->in_scope &= row_in_scope(j, d->user, r);
    }
    int64_t seen = o->base_ver >> 20;
    bool own = r != NULL && r->ver == o->base_ver;
    if (d->promoted && seen > d->head && !own) {
        broken(j, CHECK_base_from_future, "%s of device %s builds on commit %lld and shows %lld",
               say(j, o->id), say(j, d->name), (long long)seen, (long long)d->head);
    }
    return true;
}

static bool group_add(judge *j, const event *ev, uint32_t at, int64_t gseq)
{
    json text = event_get(ev, "group");
    name_id inc;
    int64_t older = 0;
    if (!member_name(j, ev, "inc", &inc)) {
        return false;
    }
    if (text.kind != JSON_OBJECT) {
        return refuse(j, "event \"%.*s\" needs the object \"group\", the group's line",
                      (int)ev->name.n, ev->name.p);
    }
    phone *d = &j->devices[at];
    if (d->inc == inc && d->last_saved > 0 && gseq != d->last_saved + 1) {
        broken(j, CHECK_gseq_not_next, "device %s saved group %lld after %lld", say(j, d->name),
               (long long)gseq, (long long)d->last_saved);
    }
    d->inc = inc;
    d->last_saved = gseq;
    group made = {.hash = line_hash(text.raw.p, text.raw.n),
                  .inc = inc,
                  .device = at,
                  .user = d->user,
                  .gseq = gseq,
                  .ep = d->ep,
                  .line = j->line,
                  .syncs = d->syncs};
    made.text = must_take(NULL, text.raw.n);
    made.text_bytes = (uint32_t)text.raw.n;
    memcpy(made.text, text.raw.p, text.raw.n);
    uint32_t index = (uint32_t)array_count(j->groups);
    if (table_get(&j->group_at, key_of(inc, (uint64_t)gseq), &older)) {
        made.older = (uint32_t)older + 1;
    }
    array_add(j->groups, made);
    array_add(d->top, index);
    table_put(&j->group_at, key_of(inc, (uint64_t)gseq), index);
    if (!table_get(&j->line_at, key_of(made.hash, 1), &older)) {
        table_put(&j->line_at, key_of(made.hash, 1), index);
    }
    capture c = {j, at, index, true};
    if (!group_ops(j, j->groups[index].text, text.raw.n, capture_op, &c)) {
        return refuse(j, "\"group\" is no group line, or names an entity without an event "
                         "\"entity\"");
    }
    j->groups[index].in_scope = c.in_scope;
    return true;
}

static bool call_key(judge *j, const event *ev, uint32_t *at, uint64_t *key)
{
    int64_t call;
    if (!member_device(j, ev, "d", at) || !member_int(j, ev, "call", &call)) {
        return false;
    }
    *key = key_of(*at, (uint64_t)call);
    return true;
}

bool on_save(judge *j, const event *ev)
{
    uint32_t at;
    uint64_t key;
    if (!call_key(j, ev, &at, &key)) {
        return false;
    }
    table_put(&j->call_at, key, CALL_OPEN);
    return true;
}

static bool call_ends(judge *j, const event *ev, int64_t state, int64_t *before)
{
    uint32_t at;
    uint64_t key;
    *before = 0;
    if (!call_key(j, ev, &at, &key)) {
        return false;
    }
    if (!table_get(&j->call_at, key, before)) {
        return refuse(j, "call %lld of this device was never made: write \"save\" before",
                      (long long)member_or(ev, "call", 0));
    }
    if (state == CALL_SAVED) {
        table_remove(&j->call_at, key);
    } else {
        table_put(&j->call_at, key, state);
    }
    return true;
}

bool on_saved(judge *j, const event *ev)
{
    uint32_t at;
    int64_t gseq, before;
    return call_ends(j, ev, CALL_SAVED, &before) && member_device(j, ev, "d", &at) &&
           member_int(j, ev, "g", &gseq) && group_add(j, ev, at, gseq) && (j->evidence[I2] = true);
}

bool on_failed(judge *j, const event *ev)
{
    int64_t before;
    return call_ends(j, ev, CALL_FAILED, &before);
}

bool on_unsure(judge *j, const event *ev)
{
    int64_t before;
    return call_ends(j, ev, CALL_UNSURE, &before);
}

bool on_found(judge *j, const event *ev)
{
    uint32_t at;
    int64_t gseq, before;
    if (!call_ends(j, ev, CALL_SAVED, &before) || !member_device(j, ev, "d", &at) ||
        !member_int(j, ev, "g", &gseq)) {
        return false;
    }
    if (before == CALL_FAILED) {
        broken(j, CHECK_failed_partly_there, "call %lld of device %s said that it failed",
               (long long)member_or(ev, "call", 0), say(j, j->devices[at].name));
    }
    return group_add(j, ev, at, gseq);
}

bool on_withdraw(judge *j, const event *ev)
{
    name_id inc;
    int64_t gseq;
    if (!member_name(j, ev, "inc", &inc) || !member_int(j, ev, "g", &gseq)) {
        return false;
    }
    group *g = group_find(j, inc, gseq);
    if (g != NULL) {
        g->withdrawn = true;
    }
    return true;
}

/* --- machines -----------------------------------------------------------------------------------
 */

bool on_open(judge *j, const event *ev)
{
    uint32_t at;
    int64_t last = 0;
    name_id inc;
    if (!member_device(j, ev, "d", &at) || !member_name(j, ev, "inc", &inc) ||
        !member_int(j, ev, "last", &last)) {
        return false;
    }
    const phone *d = &j->devices[at];
    if (inc == d->inc && last < d->last_saved) {
        broken(j, CHECK_open_lost, "device %s holds groups up to %lld and had saved %lld",
               say(j, d->name), (long long)last, (long long)d->last_saved);
    }
    return true;
}

static bool is_listed(const json *list, int64_t gseq)
{
    size_t at = 0;
    json one;
    int64_t n;
    while (json_next(list, &at, NULL, &one)) {
        if (json_int(&one, &n) && n == gseq) {
            return true;
        }
    }
    return false;
}

bool on_rollback(judge *j, const event *ev)
{
    uint32_t at;
    int64_t upto;
    if (!member_device(j, ev, "d", &at) || !member_int(j, ev, "g", &upto)) {
        return false;
    }
    json lost = event_get(ev, "lost");
    phone *d = &j->devices[at];
    size_t kept = 0;
    for (size_t i = 0; i < array_count(d->top); i++) {
        group *g = &j->groups[d->top[i]];
        if (g->inc == d->inc && g->gseq > upto) {
            g->excused |= is_listed(&lost, g->gseq);
        } else {
            d->top[kept++] = d->top[i];
        }
    }
    array_trim(d->top, kept);
    d->last_saved = upto;
    session_reset(j, at);
    return true;
}

bool on_rebirth(judge *j, const event *ev)
{
    uint32_t at;
    name_id inc;
    int64_t n = 0;
    if (!member_device(j, ev, "d", &at) || !member_name(j, ev, "inc", &inc)) {
        return false;
    }
    phone *d = &j->devices[at];
    for (size_t i = 0; i < array_count(d->top); i++) {
        if (j->groups[d->top[i]].told == CODE_NONE) {
            table_put(&j->group_at, key_of(inc, (uint64_t)++n), d->top[i]);
        }
    }
    d->inc = inc;
    d->last_saved = member_or(ev, "n", n);
    return true;
}

bool on_clone(judge *j, const event *ev)
{
    uint32_t at, from;
    if (!member_device(j, ev, "d", &at) || !member_device(j, ev, "from", &from)) {
        return false;
    }
    phone *d = &j->devices[at];
    const phone *source = &j->devices[from];
    array_trim(d->top, 0);
    for (size_t i = 0; i < array_count(source->top); i++) {
        array_add(d->top, source->top[i]);
    }
    d->inc = source->inc;
    d->ep = source->ep;
    d->head = source->head;
    d->promoted = source->promoted;
    d->last_saved = source->last_saved;
    session_reset(j, at);
    return true;
}
