/* ends.c - final states: replicas against the server's rows, every saved group in one place. See
 * check.h. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

bool on_dump(judge *j, const event *ev)
{
    json of = event_get(ev, "of"), why = event_get(ev, "why");
    int64_t head = 0;
    if (j->dump.open) {
        return refuse(j, "a dump begins inside another one: \"dumped\" is missing");
    }
    if (of.kind != JSON_TEXT || !member_int(j, ev, "head", &head)) {
        return refuse(j, "a dump needs the text \"of\" and the integer \"head\"");
    }
    j->dump = (dump){.open = true, .mark = ++j->mark, .comparable = head == j->cid};
    j->dump.server = str_is(of.raw, "server");
    j->dump.scope = why.kind == JSON_TEXT && str_is(why.raw, "scope");
    table_clear(&j->left_out);
    return j->dump.server || member_device(j, ev, "of", &j->dump.device);
}

static bool leave_out(void *ctx, const op *o)
{
    judge *j = ctx;
    table_put(&j->left_out, key_of(o->entity, o->id), 1);
    return true;
}

bool on_holds(judge *j, const event *ev)
{
    name_id inc;
    int64_t gseq;
    json h = event_get(ev, "h"), state = event_get(ev, "state");
    char hex[17] = {0};
    if (!j->dump.open || j->dump.server || state.kind != JSON_TEXT) {
        return refuse(j, "\"holds\" with a \"state\" stands inside the dump of a device");
    }
    if (!member_name(j, ev, "inc", &inc) || !member_int(j, ev, "g", &gseq)) {
        return false;
    }
    if (h.kind == JSON_TEXT && h.raw.n >= 16) {
        memcpy(hex, h.raw.p, 16);
    }
    group *g = hex[0] != '\0' ? group_of_line(j, hex) : group_find(j, inc, gseq);
    if (g == NULL) {
        broken(j, CHECK_failed_partly_there, "device %s holds group %lld, which no call saved",
               say(j, j->devices[j->dump.device].name), (long long)gseq);
        return true;
    }
    g->pending |= str_is(state.raw, "pending");
    g->kept |= str_is(state.raw, "kept");
    g->in_tray |= str_is(state.raw, "rejected") || str_is(state.raw, "blocked") ||
                  str_is(state.raw, "held") || str_is(state.raw, "closed");
    if (str_is(state.raw, "pending") || str_is(state.raw, "held")) {
        group_ops(j, g->text, g->text_bytes, leave_out, j);
    }
    return true;
}

static bool is_left_out(const judge *j, uint32_t entity, name_id id)
{
    int64_t yes;
    return table_get(&j->left_out, key_of(entity, id), &yes);
}

/* The column in which they differ, -1 none, -2 the version. */
static int difference(judge *j, const row *r, int64_t ver, const value *values, uint32_t count)
{
    for (uint32_t i = 0; i < array_count(j->entities[r->entity].columns); i++) {
        if (!value_same(i < count ? values[i] : (value){NULL, 0}, row_value(r, (int)i))) {
            return (int)i;
        }
    }
    return ver == r->ver ? -1 : -2;
}

static void has_judge(judge *j, const row *r, int64_t ver, const value *values, uint32_t count)
{
    const struct dump *d = &j->dump;
    const char *e = say(j, j->entities[r->entity].name), *id = say(j, r->id);
    const char *who = d->server ? "the server" : say(j, j->devices[d->device].name);
    if (!r->alive) {
        broken(j, CHECK_dump_holds_deleted, "%s %s on %s", e, id, who);
        return;
    }
    if (!d->server && entity_is_scoped(j, r) && !row_in_scope(j, j->devices[d->device].user, r)) {
        broken(j, CHECK_scope_row_left, "%s %s on %s", e, id, who);
        return;
    }
    int column = d->comparable ? difference(j, r, ver, values, count) : -1;
    if (column != -1) {
        broken(j, d->server ? CHECK_server_differs : CHECK_replica_differs, "%s %s.%s on %s", e, id,
               column >= 0 ? say(j, j->entities[r->entity].columns[column].name) : "ver", who);
    }
}

bool on_has(judge *j, const event *ev)
{
    uint32_t entity, count;
    name_id id;
    value *values;
    if (!j->dump.open) {
        return refuse(j, "\"has\" stands only inside a dump");
    }
    if (!member_entity(j, ev, &entity) || !member_name(j, ev, "id", &id) ||
        !values_read(j, entity, ev, &values, &count, NULL)) {
        return false;
    }
    row *r = row_find(j, entity, id);
    bool known = r != NULL && r->born != 0;
    if (known) {
        r->mark = j->dump.mark;
    }
    if (!is_left_out(j, entity, id)) {
        if (known) {
            has_judge(j, r, member_or(ev, "ver", r->ver), values, count);
        } else {
            broken(j, j->dump.server ? CHECK_server_differs : CHECK_replica_invents_row, "%s %s",
                   say(j, j->entities[entity].name), say(j, id));
        }
    }
    values_free(values, count);
    return true;
}

static void missing_judge(judge *j, const row *r)
{
    const struct dump *d = &j->dump;
    const char *e = say(j, j->entities[r->entity].name), *id = say(j, r->id);
    if (!r->alive || r->mark == d->mark || is_left_out(j, r->entity, r->id)) {
        return;
    }
    if (d->server) {
        broken(j, CHECK_server_lacks_row, "%s %s", e, id);
    } else if (entity_is_scoped(j, r) && row_in_scope(j, j->devices[d->device].user, r)) {
        broken(j, d->scope ? CHECK_scope_row_missing : CHECK_replica_lacks_row, "%s %s on %s", e,
               id, say(j, j->devices[d->device].name));
    }
}

bool on_dumped(judge *j, const event *ev)
{
    (void)ev;
    struct dump *d = &j->dump;
    if (!d->open) {
        return refuse(j, "\"dumped\" without a dump");
    }
    for (size_t i = 0; d->comparable && i < array_count(j->rows); i++) {
        missing_judge(j, &j->rows[i]);
    }
    d->open = false;
    j->evidence[I10] |= d->scope && d->comparable;
    if (d->server) {
        j->server_dumped |= d->comparable;
    } else if (!d->scope) {
        j->devices[d->device].dumped = true;
        j->devices[d->device].compared |= d->comparable;
    }
    return true;
}

/* Two people's groups with the same bytes are one: what one is, the other is. */
static const group *group_that_counts(judge *j, const group *g)
{
    int64_t at = 0;
    bool other = g->code == CODE_NONE && table_get(&j->line_at, key_of(g->hash, 1), &at);
    return other ? &j->groups[at] : g;
}

static void group_judge(judge *j, const group *saved)
{
    const group *g = group_that_counts(j, saved);
    const char *d = say(j, j->devices[saved->device].name);
    bool visible = saved->pending || saved->in_tray || saved->withdrawn;
    if (saved->excused) {
        return;
    }
    j->line = saved->line;
    if (g->code == CODE_NONE && !visible && !saved->kept) {
        broken(j, CHECK_saved_nowhere, "group %lld of device %s", (long long)saved->gseq, d);
    } else if (g->standing && code_stands(saved->told) && (saved->pending || saved->in_tray)) {
        broken(j, CHECK_saved_twice_kept, "group %lld of device %s", (long long)saved->gseq, d);
    } else if ((g->code == CODE_REJECTED || g->code == CODE_BLOCKED) && !visible) {
        broken(j, CHECK_refusal_vanished, "group %lld of device %s", (long long)saved->gseq, d);
    }
}

void ends_judge(judge *j)
{
    bool dumped = array_count(j->devices) > 0, compared = j->server_dumped;
    for (size_t i = 0; i < array_count(j->devices); i++) {
        dumped &= j->devices[i].dumped;
        compared &= j->devices[i].compared || !device_has_access(j, (uint32_t)i);
    }
    j->evidence[I1] = dumped && compared;
    j->evidence[I2] &= dumped;
    int64_t line = j->line;
    for (size_t i = 0; dumped && i < array_count(j->groups); i++) {
        group_judge(j, &j->groups[i]);
    }
    j->line = line;
}
