/* commits.c - the server's log: numbers, epochs, order, verdicts, origin. See check.h.
 *
 * A commit is read whole (commit, its changes, then the verdict) and only then judged (effects.c).
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { CIDS_MAX = 1 << 28 };

static int64_t commit_time(const judge *j, int64_t cid)
{
    return cid > 0 && (size_t)cid < array_count(j->commit_at_ms) ? j->commit_at_ms[cid] : 0;
}

bool base_stands(const judge *j, const group *g, int64_t base_ver)
{
    bool stands = true;
    for (size_t i = 1; i < array_count(j->epochs) && g->ep != j->epoch; i++) {
        stands = stands && base_ver >> 20 <= j->epoch_cids[i];
    }
    return stands;
}

int64_t base_time(const judge *j, const group *g, int64_t base_ver)
{
    return base_stands(j, g, base_ver) ? commit_time(j, base_ver >> 20) : 0;
}

static void commit_time_keep(judge *j, int64_t cid, int64_t at_ms)
{
    while (array_count(j->commit_at_ms) <= (size_t)cid) {
        array_add(j->commit_at_ms, 0);
    }
    j->commit_at_ms[cid] = at_ms;
}

/* --- which group --------------------------------------------------------------------------------
 */

/* By its number; of several with that number by its line, else the newest that has no verdict. */
static group *group_named(judge *j, const event *ev, bool *altered)
{
    json inc = event_get(ev, "inc"), h = event_get(ev, "h");
    int64_t gseq = member_or(ev, "g", 0);
    char hex[17] = {0};
    group *newest = group_find(j, name_of(&j->names, inc.raw), gseq), *g = newest;
    if (h.kind != JSON_TEXT || h.raw.n < 16) {
        while (g != NULL && g->code != CODE_NONE && g->older != 0) {
            g = &j->groups[g->older - 1];
        }
        return g != NULL && g->code == CODE_NONE ? g : newest;
    }
    memcpy(hex, h.raw.p, 16);
    uint64_t hash = strtoull(hex, NULL, 16);
    while (g != NULL && g->hash != hash && g->older != 0) {
        g = &j->groups[g->older - 1];
    }
    if (g != NULL && g->hash == hash) {
        return g;
    }
    group *elsewhere = group_of_line(j, hex);
    *altered = elsewhere == NULL && newest != NULL;
    return elsewhere;
}

/* --- epochs -------------------------------------------------------------------------------------
 */

/* The answer that the backup holds. */
static void undo_answer(group *g, int64_t cid)
{
    bool stood = g->standing && (g->cid != 0 ? g->cid : g->decided_at_cid) <= cid;
    bool settled = g->was_held && g->held_at_cid <= cid;
    int64_t since = !stood && settled ? g->held_at_cid : g->decided_at_cid;
    bool held = !stood && since <= cid && (settled || g->code == CODE_HELD);
    g->at_edge = since == cid && (held || (stood && g->cid == 0));
    g->undone |= !stood || g->at_edge;
    g->code = stood ? g->code : held ? CODE_HELD : CODE_NONE;
    g->standing = stood;
    g->cid = stood ? g->cid : 0;
    g->decided_at_cid = since;
    if (!stood) {
        g->told = held && g->told != CODE_NONE ? CODE_HELD : CODE_NONE;
    }
}

static void undo_groups(judge *j, int64_t cid)
{
    size_t kept = 0;
    for (size_t i = 0; i < array_count(j->groups); i++) {
        group *g = &j->groups[i];
        if (g->code != CODE_NONE && (g->cid > cid || g->decided_at_cid >= cid)) {
            undo_answer(g, cid);
        }
    }
    for (size_t i = 0; i < array_count(j->decided); i++) {
        if (j->groups[j->decided[i]].standing) {
            j->decided[kept++] = j->decided[i];
        }
    }
    array_trim(j->decided, kept);
    j->forgotten = j->forgotten < kept ? j->forgotten : kept;
    table_clear(&j->inc_at);
}

bool on_epoch(judge *j, const event *ev)
{
    name_id ep;
    int64_t cid = 0;
    if (!member_name(j, ev, "ep", &ep) || !member_int(j, ev, "cid", &cid)) {
        return false;
    }
    for (size_t i = 0; i < array_count(j->epochs); i++) {
        if (j->epochs[i] == ep) {
            broken(j, CHECK_epoch_reused, "epoch %s", say(j, ep));
        }
    }
    array_add(j->epochs, ep);
    array_add(j->epoch_cids, cid);
    j->epoch = ep;
    if (array_count(j->epochs) > 1) {
        undo_groups(j, cid);
        j->restoring = true;
        j->mark++;
        for (size_t i = (size_t)cid + 1; i < array_count(j->audited); i++) {
            j->audited[i] = 0;
        }
        j->audit_last = member_or(ev, "audit", -1);
        array_trim(j->commit_at_ms, array_count(j->commit_at_ms) > (size_t)cid
                                        ? (size_t)cid + 1
                                        : array_count(j->commit_at_ms));
    }
    j->cid = cid;
    return true;
}

bool on_have(judge *j, const event *ev)
{
    uint32_t entity, count;
    name_id id;
    int64_t ver;
    value *values;
    if (!j->restoring) {
        return refuse(j, "\"have\" stands only behind the \"epoch\" of a restored server");
    }
    if (!member_entity(j, ev, &entity) || !member_name(j, ev, "id", &id) ||
        !member_int(j, ev, "ver", &ver) || !values_read(j, entity, ev, &values, &count, NULL)) {
        return false;
    }
    row *r = row_make(j, entity, id);
    if (ver >> 20 > j->cid || version_same(j, r, ver, values, count) != 1) {
        broken(j, CHECK_restore_differs, "%s %s version %lld", say(j, j->entities[entity].name),
               say(j, id), (long long)ver);
    }
    r->mark = j->mark;
    bool as_it_was = r->alive && r->ver == ver;
    row_write(j, r, ver, values, count);
    if (!as_it_was) {
        row_times_forget(r); /* its columns' times went back too, to what nobody kept */
    }
    return true;
}

bool on_restored(judge *j, const event *ev)
{
    (void)ev;
    for (size_t i = 0; i < array_count(j->rows); i++) {
        row *r = &j->rows[i];
        bool was_there = r->born != 0 && r->born >> 20 <= j->cid;
        bool untouched = r->ver >> 20 <= j->cid;
        if (r->mark == j->mark) {
            continue;
        }
        if (was_there && (r->alive || !untouched)) {
            broken(j, CHECK_restore_lacks_row, "%s %s", say(j, j->entities[r->entity].name),
                   say(j, r->id));
        }
        if (!was_there) { /* it had not been made yet */
            r->born = r->ver = 0;
        }
        r->alive = false;
    }
    j->restoring = false;
    money_restart(j);
    return true;
}

/* --- commits ------------------------------------------------------------------------------------
 */

static void tx_clear(judge *j)
{
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        values_free(j->tx.changes[i].values, j->tx.changes[i].count);
    }
    array_trim(j->tx.changes, 0);
    j->tx = (commit){.changes = j->tx.changes};
}

/* Reads the server's rows up to here: the changes become rows. */
void commit_close(judge *j, bool answered)
{
    if (!answered && j->tx.group != 0) {
        const group *g = &j->groups[j->tx.group - 1];
        broken(j, CHECK_effect_unanswered, "commit %lld of group %lld of %s", (long long)j->tx.cid,
               (long long)g->gseq, say(j, g->inc));
    }
    picks_judge(j);
    changes_apply(j);
    money_judge(j);
    tx_clear(j);
}

bool on_commit(judge *j, const event *ev)
{
    int64_t cid, at_ms;
    bool altered = false;
    if (!member_int(j, ev, "cid", &cid) || !member_int(j, ev, "at", &at_ms)) {
        return false;
    }
    if (cid < 1 || cid > CIDS_MAX) {
        return refuse(j, "\"cid\" must be between 1 and %d", CIDS_MAX);
    }
    if (cid <= j->cid) {
        broken(j, CHECK_commit_reused, "commit %lld after %lld", (long long)cid, (long long)j->cid);
    }
    if (at_ms < j->last_commit_at_ms) {
        broken(j, CHECK_commit_time_back, "commit %lld at %lld ms after %lld ms", (long long)cid,
               (long long)at_ms, (long long)j->last_commit_at_ms);
    }
    j->evidence[I14] |= j->last_commit_at_ms != INT64_MIN;
    j->evidence[I9] |= array_count(j->epochs) > 0;
    j->last_commit_at_ms = at_ms;
    j->cid = cid > j->cid ? cid : j->cid;
    commit_time_keep(j, cid, at_ms);
    j->tx.open = true;
    j->tx.cid = cid;
    j->tx.at_ms = at_ms;
    j->tx.line = j->line;
    j->tx.office = event_get(ev, "g").kind == JSON_NONE;
    group *g = j->tx.office ? NULL : group_named(j, ev, &altered);
    if (g != NULL) {
        j->tx.group = (uint32_t)(g - j->groups) + 1;
    } else if (event_get(ev, "h").kind ==
               JSON_TEXT) { /* without it the verdict says whose it was */
        broken(j, altered ? CHECK_group_altered : CHECK_group_forged, "commit %lld",
               (long long)cid);
    }
    return true;
}

bool on_change(judge *j, const event *ev)
{
    change c = {0};
    json kind = event_get(ev, "k");
    int64_t cid;
    uint32_t entity;
    if (!member_entity(j, ev, &entity) || !member_name(j, ev, "id", &c.id) ||
        !member_int(j, ev, "cid", &cid)) {
        return false;
    }
    if (!j->tx.open || cid != j->tx.cid) {
        return refuse(j, "\"change\" must stand directly behind the \"commit\" of its cid");
    }
    c.entity = entity;
    c.gone = kind.kind == JSON_TEXT && str_is(kind.raw, "delete");
    c.ver = member_or(ev, "ver", (cid << 20) + (int64_t)array_count(j->tx.changes) + 1);
    if (!values_read(j, entity, ev, &c.values, &c.count, NULL)) {
        return false;
    }
    array_add(j->tx.changes, c);
    return true;
}

/* --- verdicts -----------------------------------------------------------------------------------
 */

static void order_judge(judge *j, name_id inc, int64_t gseq, const group *g)
{
    int64_t last = 0;
    uint64_t key = key_of(inc, 0);
    bool known = table_get(&j->inc_at, key, &last);
    if (!known && array_count(j->epochs) > 1) {
        last = gseq - 1; /* restored: where it goes on is known from the groups alone */
    }
    if (gseq > last + 1) {
        broken(j, CHECK_group_gap, "group %lld of %s after %lld", (long long)gseq, say(j, inc),
               (long long)last);
    } else if (gseq <= last && (g == NULL || g->code == CODE_NONE)) {
        broken(j, CHECK_group_back, "group %lld of %s after %lld", (long long)gseq, say(j, inc),
               (long long)last);
    }
    if (gseq > last) {
        table_put(&j->inc_at, key, gseq);
    }
}

static void origin_judge(judge *j, const event *ev, uint32_t device, group_code code)
{
    json q = event_get(ev, "q");
    int64_t how = 0;
    if (code_stands((uint8_t)code) && !device_has_access(j, device)) {
        broken(j, CHECK_taken_from_revoked, "device %s, group %lld",
               say(j, j->devices[device].name), (long long)member_or(ev, "g", 0));
    }
    if (q.kind != JSON_NONE && table_get(&j->request_at, key_of((uint64_t)q.number, 0), &how) &&
        how != 0) {
        broken(j, CHECK_refused_request_acts, "request %lld, group %lld", (long long)q.number,
               (long long)member_or(ev, "g", 0));
    }
}

static uint64_t line_of(const event *ev)
{
    json line = event_get(ev, "line");
    return line.kind == JSON_TEXT ? hash_of(line.raw.p, line.raw.n) | 1 : 0;
}

/* The commit that is open belongs to this verdict: judge it, make it rows. */
static void effect_judge(judge *j, group *g, group_code code)
{
    bool mine = j->tx.open && j->tx.group == (uint32_t)(g - j->groups) + 1;
    g->standing &= !(mine && g->at_edge); /* it was not in that backup */
    g->at_edge = false;
    if (mine && !code_stands((uint8_t)code)) {
        broken(j, CHECK_effect_of_refused, "group %lld of %s", (long long)g->gseq, say(j, g->inc));
    } else if (mine && g->standing) {
        broken(j, CHECK_effect_twice, "group %lld of %s", (long long)g->gseq, say(j, g->inc));
    } else if (code_stands((uint8_t)code) && !g->standing) {
        commit_judge(j, g, code);
    }
    bool judged = mine && code_stands((uint8_t)code);
    if (mine) {
        g->cid = j->tx.cid;
        commit_close(j, true);
    }
    if (judged) {
        scope_judge(j, g);
        array_add(j->decided, (uint32_t)(g - j->groups));
    }
    j->evidence[I4] |= judged;
}

/* Of the bytes of the verdict under this number; 0: unknown. A group that got another number has
 * one under each. */
uint64_t verdict_bytes(const judge *j, name_id inc, int64_t gseq)
{
    int64_t line = 0;
    return table_get(&j->verdict_at, key_of(inc, (uint64_t)gseq), &line) ? (uint64_t)line : 0;
}

static void verdict_keep(judge *j, const event *ev, group *g, group_code code, uint64_t number)
{
    effect_judge(j, g, code);
    g->code = (uint8_t)code;
    g->standing = code_stands((uint8_t)code);
    g->decided_at_cid = j->cid;
    table_put(&j->verdict_at, number, (int64_t)line_of(ev));
}

static bool verdict_take(judge *j, const event *ev, group *g, group_code code, name_id inc,
                         int64_t gseq)
{
    uint64_t number = key_of(inc, (uint64_t)gseq);
    if (g->code == CODE_NONE || g->at_edge || (j->tx.open && j->tx.group != 0)) {
        verdict_keep(j, ev, g, code, number);
        return true;
    }
    uint64_t line = line_of(ev), before = verdict_bytes(j, inc, gseq);
    bool again = member_or(ev, "again", 0) == 1; /* known under another number */
    if (g->code != code || (!again && line != 0 && before != 0 && line != before)) {
        broken(j, CHECK_verdict_changed, "group %lld of %s", (long long)g->gseq, say(j, g->inc));
    }
    if (again) {
        table_put(&j->verdict_at, number, (int64_t)line);
    }
    return true;
}

static bool code_read(judge *j, const event *ev, group_code *out)
{
    json word = event_get(ev, "code");
    *out = word.kind == JSON_TEXT ? code_of(word.raw) : CODE_NONE;
    return *out != CODE_NONE || refuse(j, "\"code\" must be one of applied, merged, alias, "
                                          "rejected, held, blocked");
}

bool on_decide(judge *j, const event *ev)
{
    uint32_t device;
    name_id inc;
    int64_t gseq;
    group_code code;
    bool altered = false;
    if (!member_device(j, ev, "d", &device) || !member_name(j, ev, "inc", &inc) ||
        !member_int(j, ev, "g", &gseq) || !code_read(j, ev, &code)) {
        return false;
    }
    if (gseq < 1) {
        return refuse(j, "\"g\" counts from 1");
    }
    j->evidence[I5] = j->evidence[I6] = true;
    if (j->tx.open && j->tx.office) {
        commit_close(j, true);
    }
    group *g = group_named(j, ev, &altered);
    order_judge(j, inc, gseq, g);
    origin_judge(j, ev, device, code);
    if (g != NULL) {
        table_put(&j->group_at, key_of(inc, (uint64_t)gseq), g - j->groups);
        return verdict_take(j, ev, g, code, inc, gseq);
    }
    if (altered) {
        broken(j, CHECK_group_altered, "group %lld of %s", (long long)gseq, say(j, inc));
    } else {
        broken(j, CHECK_group_forged, "group %lld of %s", (long long)gseq, say(j, inc));
    }
    if (j->tx.open) {
        commit_close(j, true);
    }
    return true;
}

bool on_settle(judge *j, const event *ev)
{
    name_id inc;
    int64_t gseq;
    group_code code;
    bool altered = false;
    if (!member_name(j, ev, "inc", &inc) || !member_int(j, ev, "g", &gseq) ||
        !code_read(j, ev, &code)) {
        return false;
    }
    group *g = group_named(j, ev, &altered);
    if (g == NULL || g->code != CODE_HELD) {
        broken(j, CHECK_verdict_changed, "group %lld of %s was not held", (long long)gseq,
               say(j, inc));
        return true;
    }
    g->was_held = true;
    g->held_at_cid = g->decided_at_cid;
    verdict_keep(j, ev, g, code, key_of(inc, (uint64_t)gseq));
    return true;
}

bool on_alias(judge *j, const event *ev)
{
    name_id from, to;
    if (!member_name(j, ev, "from", &from) || !member_name(j, ev, "to", &to)) {
        return false;
    }
    table_put(&j->alias_at, key_of(from, 0), to);
    return true;
}

bool on_backup(judge *j, const event *ev)
{
    int64_t cid;
    if (!member_int(j, ev, "cid", &cid)) {
        return false;
    }
    if (cid > j->cid) {
        broken(j, CHECK_head_invented, "a backup up to commit %lld of %lld", (long long)cid,
               (long long)j->cid);
    }
    while (j->forgotten < array_count(j->decided) &&
           j->groups[j->decided[j->forgotten]].cid <= cid) {
        group_forget_text(&j->groups[j->decided[j->forgotten++]]);
    }
    return true;
}
