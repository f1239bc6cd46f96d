/* sessions.c - what devices sent, took and showed. See check.h. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { VIEW_ROWS_MAX = 256 };

void session_reset(judge *j, uint32_t device)
{
    j->devices[device].life++;
    j->devices[device].promoted = false;
}

static uint64_t seen_key(const phone *d, const row *r)
{
    return key_of(key_of(key_of(d->name, d->life), d->ep), key_of(r->entity, r->id));
}

static void seen_raise(judge *j, const phone *d, const row *r, int64_t ver)
{
    int64_t before = 0;
    uint64_t key = seen_key(d, r);
    if (!table_get(&j->seen_at, key, &before) || ver > before) {
        table_put(&j->seen_at, key, ver);
    }
}

/* --- messages -----------------------------------------------------------------------------------
 */

bool on_send(judge *j, const event *ev)
{
    uint32_t at;
    int64_t q;
    return member_device(j, ev, "d", &at) && member_int(j, ev, "q", &q);
}

bool on_arrive(judge *j, const event *ev)
{
    int64_t q;
    if (!member_int(j, ev, "q", &q)) {
        return false;
    }
    bool powerless = member_or(ev, "auth", 1) == 0 || member_or(ev, "replay", 0) == 1;
    table_put(&j->request_at, key_of((uint64_t)q, 0), powerless);
    return true;
}

bool on_reply(judge *j, const event *ev)
{
    uint32_t at;
    int64_t q;
    if (!member_int(j, ev, "q", &q) || !member_device(j, ev, "d", &at)) {
        return false;
    }
    table_put(&j->reply_at, key_of((uint64_t)q, at), 1);
    json ep = event_get(ev, "ep");
    if (ep.kind == JSON_TEXT && j->epoch != 0 && name_of(&j->names, ep.raw) != j->epoch) {
        broken(j, CHECK_epoch_reused, "reply %lld in epoch %.*s", (long long)q, (int)ep.raw.n,
               ep.raw.p);
    }
    if (member_or(ev, "head", 0) > j->cid) {
        broken(j, CHECK_head_invented, "reply %lld at commit %lld of %lld", (long long)q,
               (long long)member_or(ev, "head", 0), (long long)j->cid);
    }
    return true;
}

bool on_take(judge *j, const event *ev)
{
    uint32_t at;
    int64_t q, known;
    if (!member_device(j, ev, "d", &at) || !member_int(j, ev, "q", &q)) {
        return false;
    }
    j->evidence[I13] = true;
    if (!table_get(&j->reply_at, key_of((uint64_t)q, at), &known)) {
        broken(j, CHECK_reply_invented, "device %s, request %lld", say(j, j->devices[at].name),
               (long long)q);
    }
    return true;
}

/* The values of a row that is sent or shown are those that its version had. */
static bool values_true(judge *j, const row *r, int64_t ver, const value *values, uint32_t count,
                        const bool *given, const bool *own)
{
    if (r == NULL || ver != r->ver || !r->alive) {
        return true;
    }
    for (uint32_t i = 0; i < array_count(j->entities[r->entity].columns); i++) {
        if (given[i] && !own[i] &&
            !value_same(i < count ? values[i] : (value){NULL, 0}, row_value(r, (int)i))) {
            return false;
        }
    }
    return true;
}

static void sent_judge(judge *j, const event *ev, const phone *d, const row *r, int64_t ver)
{
    static const bool NONE[COLUMNS_MAX];
    bool given[COLUMNS_MAX];
    value *values;
    uint32_t count;
    const char *e = say(j, j->entities[r->entity].name), *id = say(j, r->id);
    if (!r->alive) {
        broken(j, CHECK_sent_after_delete, "%s %s to device %s", e, id, say(j, d->name));
    } else if (entity_is_scoped(j, r) && !row_in_scope(j, d->user, r)) {
        broken(j, CHECK_sent_out_of_scope, "%s %s to device %s of %s", e, id, say(j, d->name),
               say(j, j->users[d->user].name));
    }
    if (event_get(ev, "c").kind != JSON_LIST ||
        !values_read(j, r->entity, ev, &values, &count, given)) {
        return;
    }
    j->evidence[I12] = true;
    if (!values_true(j, r, ver, values, count, given, NONE) ||
        (ver != r->ver && version_same(j, r, ver, values, count) != 1)) {
        broken(j, CHECK_sent_wrong, "%s %s version %lld to device %s", e, id, (long long)ver,
               say(j, d->name));
    }
    for (uint32_t i = 0; r->erased && i < count; i++) {
        if (values[i].p != NULL && j->entities[r->entity].columns[i].personal) {
            broken(j, CHECK_erased_returns, "%s %s sent to device %s", e, id, say(j, d->name));
        }
    }
    values_free(values, count);
}

bool on_row(judge *j, const event *ev)
{
    uint32_t at, entity;
    name_id id;
    json kind = event_get(ev, "k");
    if (!member_device(j, ev, "d", &at) || !member_entity(j, ev, &entity) ||
        !member_name(j, ev, "id", &id)) {
        return false;
    }
    const phone *d = &j->devices[at];
    row *r = row_find(j, entity, id);
    j->evidence[I8] = true;
    if (kind.kind == JSON_TEXT && str_is(kind.raw, "delete")) {
        if (r != NULL) {
            table_put(&j->taken_delete_at, seen_key(d, r), r->ver >> 20);
        }
        return true;
    }
    if (kind.kind != JSON_TEXT || !str_is(kind.raw, "row")) {
        return true; /* leave: nothing is given away */
    }
    if (!device_has_access(j, at)) {
        broken(j, CHECK_sent_to_revoked, "%s to device %s", say(j, id), say(j, d->name));
    } else if (r == NULL || r->born == 0) {
        broken(j, CHECK_sent_wrong, "%s %s to device %s: nobody ever wrote it",
               say(j, j->entities[entity].name), say(j, id), say(j, d->name));
    } else {
        sent_judge(j, ev, d, r, member_or(ev, "ver", r->ver));
    }
    return true;
}

/* The group that was decided under this number. */
static group *group_told(judge *j, name_id inc, int64_t gseq)
{
    group *g = group_find(j, inc, gseq);
    while (g != NULL && g->code == CODE_NONE && !g->undone && g->older != 0) {
        g = &j->groups[g->older - 1];
    }
    return g;
}

bool on_told(judge *j, const event *ev)
{
    uint32_t at;
    name_id inc;
    int64_t gseq;
    json word = event_get(ev, "code"), line = event_get(ev, "line");
    if (!member_device(j, ev, "d", &at) || !member_name(j, ev, "inc", &inc) ||
        !member_int(j, ev, "g", &gseq)) {
        return false;
    }
    group_code code = word.kind == JSON_TEXT ? code_of(word.raw) : CODE_NONE;
    group *g = group_told(j, inc, gseq);
    j->evidence[I13] = true;
    if (g == NULL || (g->code == CODE_NONE && !g->undone)) {
        broken(j, CHECK_verdict_invented, "device %s, group %lld of %s",
               say(j, j->devices[at].name), (long long)gseq, say(j, inc));
        return true;
    }
    bool late = g->undone || (code == CODE_HELD && g->was_held);
    uint64_t hash = line.kind == JSON_TEXT ? hash_of(line.raw.p, line.raw.n) | 1 : 0;
    uint64_t decided = verdict_bytes(j, inc, gseq);
    if (!late && (code != g->code || (hash != 0 && decided != 0 && hash != decided))) {
        broken(j, CHECK_told_differs, "device %s, group %lld of %s", say(j, j->devices[at].name),
               (long long)gseq, say(j, inc));
    }
    g->told = (uint8_t)code;
    return true;
}

/* --- the base -----------------------------------------------------------------------------------
 */

typedef struct landing {
    judge *j;
    const phone *d;
    int64_t ver;
} landing;

static bool land_op(void *ctx, const op *o)
{
    landing *l = ctx;
    row *r = row_find(l->j, o->entity, o->id);
    if (r != NULL && r->ver >= l->ver) {
        seen_raise(l->j, l->d, r, l->ver);
    }
    return true;
}

/* Groups that were answered, and whose commit the base holds, are no longer on top of it. */
static void top_settle(judge *j, phone *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < array_count(d->top); i++) {
        group *g = &j->groups[d->top[i]];
        bool stands = code_stands(g->told);
        bool off = g->told == CODE_REJECTED || g->told == CODE_BLOCKED || g->withdrawn ||
                   (stands && (g->cid <= d->head || g->undone));
        if (off && stands && g->standing) {
            landing l = {j, d, g->cid << 20};
            group_ops(j, g->text, g->text_bytes, land_op, &l);
        }
        if (!off) {
            d->top[kept++] = d->top[i];
        }
    }
    array_trim(d->top, kept);
}

bool on_promote(judge *j, const event *ev)
{
    uint32_t at;
    name_id ep;
    int64_t head;
    if (!member_device(j, ev, "d", &at) || !member_name(j, ev, "ep", &ep) ||
        !member_int(j, ev, "head", &head)) {
        return false;
    }
    phone *d = &j->devices[at];
    j->evidence[I7] = true;
    if (d->promoted && d->ep == ep && head < d->head) {
        broken(j, CHECK_cursor_back, "device %s from commit %lld to %lld", say(j, d->name),
               (long long)d->head, (long long)head);
    }
    if (ep == j->epoch && head > j->cid) {
        broken(j, CHECK_head_invented, "device %s at commit %lld of %lld", say(j, d->name),
               (long long)head, (long long)j->cid);
    }
    d->promoted = true;
    d->ep = ep;
    d->head = head;
    top_settle(j, d);
    return true;
}

bool on_synced(judge *j, const event *ev)
{
    uint32_t at;
    if (!member_device(j, ev, "d", &at)) {
        return false;
    }
    phone *d = &j->devices[at];
    d->syncs++;
    j->evidence[L2] |= d->syncs >= 2;
    for (size_t i = 0; i < array_count(d->top); i++) {
        const group *g = &j->groups[d->top[i]];
        if (g->told == CODE_NONE && g->device == at && d->syncs - g->syncs >= 2) {
            broken(j, CHECK_head_of_line, "group %lld of device %s", (long long)g->gseq,
                   say(j, d->name));
        }
    }
    return true;
}

/* --- what people saw ----------------------------------------------------------------------------
 */

/* What the groups on top of a device make of one row. */
typedef struct own_row {
    judge *j;
    uint32_t entity;
    name_id id;
    bool any, there, gone;
    bool wrote[COLUMNS_MAX];
    json mine[COLUMNS_MAX];
} own_row;

static bool own_op(void *ctx, const op *o)
{
    own_row *own = ctx;
    if (o->entity != own->entity || o->id != own->id) {
        return true;
    }
    own->any = true;
    own->there = o->kind == OP_INSERT || (own->there && o->kind != OP_DELETE);
    own->gone = o->kind == OP_DELETE;
    for (int i = 0; i < o->count; i++) {
        own->wrote[o->columns[i]] = true;
        own->mine[o->columns[i]] =
            o->kind == OP_DELTA ? (json){.kind = JSON_NONE} : o->mine[i]; /* NONE: not judged */
    }
    return true;
}

static void own_find(judge *j, const phone *d, uint32_t entity, name_id id, own_row *out)
{
    *out = (own_row){.j = j, .entity = entity, .id = id};
    for (size_t i = 0; i < array_count(d->top); i++) {
        const group *g = &j->groups[d->top[i]];
        group_ops(j, g->text, g->text_bytes, own_op, out);
    }
}

static void own_judge(judge *j, const phone *d, const own_row *own, const value *values,
                      uint32_t count, const bool *given)
{
    const entity_info *e = &j->entities[own->entity];
    if (own->gone) {
        broken(j, CHECK_own_write_unseen, "%s %s is shown on device %s after it was deleted there",
               say(j, e->name), say(j, own->id), say(j, d->name));
    }
    for (uint32_t i = 0; i < array_count(e->columns); i++) {
        if (!given[i] || !own->wrote[i] || own->mine[i].kind == JSON_NONE ||
            e->columns[i].policy == POLICY_SRV) {
            continue;
        }
        value mine = value_read(&own->mine[i]);
        if (!value_same(mine, i < count ? values[i] : (value){NULL, 0})) {
            broken(j, CHECK_own_write_unseen, "%s %s.%s on device %s", say(j, e->name),
                   say(j, own->id), say(j, e->columns[i].name), say(j, d->name));
        }
        free(mine.p);
    }
}

static void shown_judge(judge *j, const event *ev, const phone *d, row *r, own_row *own)
{
    bool given[COLUMNS_MAX];
    value *values;
    uint32_t count;
    int64_t ver = member_or(ev, "ver", -1), seen = 0, deleted = 0;
    if (!values_read(j, own->entity, ev, &values, &count, given)) {
        return;
    }
    if (ver < 0 && r != NULL && d->promoted && d->ep == j->epoch && d->head == j->cid) {
        ver = r->ver; /* it stands where the server stands */
    }
    own_judge(j, d, own, values, count, given);
    for (uint32_t i = 0; own->any && i < array_count(j->entities[own->entity].columns); i++) {
        own->wrote[i] |= j->entities[own->entity].columns[i].policy == POLICY_SRV;
    }
    if (r != NULL) {
        const char *e = say(j, j->entities[r->entity].name), *id = say(j, r->id);
        if (table_get(&j->taken_delete_at, seen_key(d, r), &deleted) && deleted <= d->head &&
            !r->alive && !own->there) {
            broken(j, CHECK_shown_after_delete, "%s %s on device %s", e, id, say(j, d->name));
        }
        if (ver >= 0 && table_get(&j->seen_at, seen_key(d, r), &seen) && ver < seen) {
            broken(j, CHECK_row_back, "%s %s on device %s: version %lld after %lld", e, id,
                   say(j, d->name), (long long)ver, (long long)seen);
        }
        if (ver >= 0) {
            seen_raise(j, d, r, ver);
        }
    }
    bool whole = member_or(ev, "all", 0) == 1 && !own->any && r != NULL && ver != r->ver;
    bool known =
        r != NULL && (ver == r->ver || ver == 0 || version_same(j, r, ver, values, count) >= 0);
    j->evidence[I12] |= count > 0 && ver > 0;
    if (member_or(ev, "stale", 0) == 0 && ver > 0 &&
        (!known || !values_true(j, r, ver, values, count, given, own->wrote) ||
         (whole && version_same(j, r, ver, values, count) == 0))) {
        broken(j, CHECK_shown_wrong, "%s on device %s, version %lld", say(j, own->id),
               say(j, d->name), (long long)ver);
    }
    values_free(values, count);
}

static void unseen_judge(judge *j, const phone *d, const row *r, const own_row *own)
{
    int64_t seen = 0;
    if (own->there) {
        broken(j, CHECK_own_write_unseen, "%s is not shown on device %s", say(j, own->id),
               say(j, d->name));
    } else if (!own->gone && r != NULL && r->alive && row_in_scope(j, d->user, r) &&
               table_get(&j->seen_at, seen_key(d, r), &seen) && seen == r->ver) {
        broken(j, CHECK_row_vanished, "%s on device %s", say(j, own->id), say(j, d->name));
    }
}

bool on_show(judge *j, const event *ev)
{
    uint32_t at, entity;
    name_id id;
    own_row own;
    if (!member_device(j, ev, "d", &at) || !member_entity(j, ev, &entity) ||
        !member_name(j, ev, "id", &id)) {
        return false;
    }
    const phone *d = &j->devices[at];
    row *r = row_find(j, entity, id);
    j->evidence[I7] = true;
    own_find(j, d, entity, id, &own);
    if (member_or(ev, "gone", 0) == 1) {
        unseen_judge(j, d, r, &own);
    } else {
        shown_judge(j, ev, d, r, &own);
    }
    return true;
}

static bool pair_read(judge *j, const json *pair, uint32_t *entity, name_id *id)
{
    json e, i;
    size_t at = 0;
    int64_t index = 0;
    if (!json_next(pair, &at, NULL, &e) || !json_next(pair, &at, NULL, &i) ||
        !table_get(&j->entity_at, key_of(name_of(&j->names, e.raw), 0), &index)) {
        return refuse(j, "a row is named by [entity, id]");
    }
    *entity = (uint32_t)index;
    *id = name_of(&j->names, i.raw);
    return true;
}

/* A row of the group is not there for a reason of its own: deleted, or out of the person's sight.
 */
static bool absent_rightly(judge *j, const phone *d, uint32_t entity, name_id id)
{
    const row *r = row_find(j, entity, id);
    own_row own;
    own_find(j, d, entity, id, &own);
    return own.gone || (r != NULL && r->born != 0 &&
                        (!r->alive || (entity_is_scoped(j, r) && !row_in_scope(j, d->user, r))));
}

bool on_view(judge *j, const event *ev)
{
    uint32_t at, entity;
    name_id id;
    int64_t absent[VIEW_ROWS_MAX], born = 0;
    size_t count = 0, from = 0, to = 0;
    json rows = event_get(ev, "rows"), gone = event_get(ev, "gone"), one;
    if (!member_device(j, ev, "d", &at)) {
        return false;
    }
    j->evidence[I4] = true;
    while (json_next(&gone, &from, NULL, &one)) {
        if (!pair_read(j, &one, &entity, &id)) {
            return false;
        }
        if (count < VIEW_ROWS_MAX && table_get(&j->birth_at, key_of(id, 0), &born) &&
            !absent_rightly(j, &j->devices[at], entity, id)) {
            absent[count++] = born;
        }
    }
    while (json_next(&rows, &to, NULL, &one)) {
        if (!pair_read(j, &one, &entity, &id)) {
            return false;
        }
        bool half = false;
        for (size_t i = 0; i < count && table_get(&j->birth_at, key_of(id, 0), &born); i++) {
            half |= absent[i] == born;
        }
        if (half) {
            broken(j, CHECK_view_half, "device %s shows %s of a group and not all of it",
                   say(j, j->devices[at].name), say(j, id));
        }
    }
    return true;
}

bool on_list(judge *j, const event *ev)
{
    uint32_t at;
    size_t from = 0;
    int64_t before = -1, born = 0;
    json ids = event_get(ev, "ids"), one;
    if (!member_device(j, ev, "d", &at)) {
        return false;
    }
    j->evidence[I14] = true;
    while (json_next(&ids, &from, NULL, &one)) {
        name_id id = name_of(&j->names, one.raw);
        if (!table_get(&j->birth_at, key_of(id, 0), &born) || j->groups[born].device != at) {
            continue;
        }
        if (born < before) {
            broken(j, CHECK_list_out_of_order, "device %s, at %s", say(j, j->devices[at].name),
                   say(j, id));
        }
        before = born;
    }
    return true;
}
