/* intake.c - one request's groups. See intake.h for ITK-1..3. */
#include "sync-server/intake/intake.h"

#include <string.h>

#include "base/id.h"
#include "base/trace.h"
#include "sync-server/intake/attempt.h"
#include "sync-server/intake/chain.h"
#include "sync-server/intake/fork.h"
#include "sync-server/intake/held_record.h"

/* How long the groups of a device wait for rows that others send again (ITK-5). */
enum { AWAIT_MS = 60 * 60 * 1000 };

/* One request on its way through the room. */
typedef struct taking {
    intake *in;
    const intake_request *r;
    door_device d;
    attempt tried;
    verdict_run run;
    fork_marks marks;
    int64_t head;      /* last commit */
    digest chain_next; /* after the group being taken */
    bool collided;     /* decide_session */
    bool awaits; /* the group that is next may stand when others have come: it goes no further */
    intake_result *out;
} taking;

/* ---- who is it, and where do we stand ---- */

static fb_code device_read(taking *t)
{
    fb_code rc = door_device_get(t->in->db, &t->r->device, &t->d);
    if (rc == FB_OK && t->d.status == DOOR_ACTIVE) {
        return FB_OK;
    }
    t->out->answer = FB_E_DEVICE; /* blocked between the door and the writer */
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

/* As what the groups are judged: a new incarnation stands at 0. E_FORK: it was current before. */
static fb_code place_of(taking *t, door_device *as, bool *is_new)
{
    const fb_id *incarnation = &t->r->q->incarnation;
    bool known = false;
    *as = t->d;
    *is_new = !id_equal(&as->incarnation, incarnation);
    if (!*is_new) {
        return FB_OK;
    }
    FB_TRY(door_incarnation_known(t->in->db, &t->d.device, incarnation, &known));
    if (known || id_is_none(incarnation)) {
        t->out->answer = known ? FB_E_FORK : FB_E_PROTOCOL;
    }
    as->applied = 0;
    digest_of(incarnation->b, sizeof incarnation->b, &as->chain);
    return FB_OK;
}

/* Judged on a copy: nothing is written for a request that is not taken. */
static fb_code place_judge(taking *t, chain_place *place)
{
    const sync_request *q = t->r->q;
    door_device as;
    bool is_new = false;
    FB_TRY(place_of(t, &as, &is_new));
    if (t->out->answer == FB_OK && !t->r->groups_ignored) {
        t->out->answer = chain_judge(&as, q, t->r->lines, place);
    }
    if (t->out->answer != FB_OK || !is_new) {
        return FB_OK;
    }
    return door_incarnation_begin(t->in->db, &t->d, &q->incarnation, q->last, t->r->now_ms);
}

/* Repeated groups that end before `applied`: compared one by one. */
static fb_code marks_judge(taking *t, const chain_place *place)
{
    for (uint32_t i = 0; place->by_marks && i < place->repeated && t->out->answer == FB_OK; i++) {
        verdict_found v;
        int64_t gseq = t->r->q->first + i;
        FB_TRY(verdict_find(t->in->db, t->d.incarnation_no, gseq, t->in->work, &v));
        if (verdict_mark(&v, gseq) != mark_of(t->r->lines[i])) {
            t->out->answer = FB_E_FORK;
        }
        arena_reset(t->in->work);
    }
    return FB_OK;
}

/* ---- one group ---- */

static bool keeps_payload(verdict_code code)
{
    return code != VERDICT_APPLIED && code != VERDICT_MERGED;
}

static fb_code blocked_add(taking *t, int64_t gseq, const decision *d)
{
    for (uint32_t i = 0; i < d->blocked_count; i++) {
        store_stmt *q = store_prepare(t->in->db, STORE_intake_blocked_add);
        store_bind_id(q, 1, &d->blocked[i].id);
        store_bind_text(q, 2, d->blocked[i].entity->name);
        store_bind_int(q, 3, t->d.incarnation_no);
        store_bind_int(q, 4, gseq);
        store_bind_int(q, 5, d->blocked[i].collided);
        FB_TRY(store_run(q));
        t->collided = t->collided || d->blocked[i].collided;
    }
    return FB_OK;
}

static fb_code collided_read(taking *t)
{
    store_stmt *q = store_prepare(t->in->db, STORE_intake_collided);
    int64_t any = 0;
    store_bind_int(q, 1, t->d.incarnation_no);
    FB_TRY(store_one(q, &any));
    t->collided = any != 0;
    return FB_OK;
}

/* HLD-1: the row by which people decide it; its commit is the server's own. */
static fb_code held_tell(taking *t, const verdict_row *row)
{
    const held_place place = {&t->d,        row->gseq, t->r->now_ms,
                              row->payload, row->line, row->held_row};
    FB_TRY(held_record_open(t->in, &place));
    return ledger_head(t->in->db, &t->head);
}

/* HLD-2 for the group that was replaced. */
static fb_code held_withdraw(taking *t, int64_t replaced)
{
    verdict_found v;
    fb_code rc = verdict_find(t->in->db, t->d.incarnation_no, replaced, t->in->work, &v);
    if (rc != FB_OK || v.code != VERDICT_HELD || v.state != 0) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    const held_place place = {&t->d, replaced, t->r->now_ms, v.payload, v.line, v.held_row};
    FB_TRY(held_record_withdraw(t->in, &place));
    return ledger_head(t->in->db, &t->head);
}

/* A number of an earlier life means another group, or none, in this one. */
static fb_code replaced_mark(taking *t, int64_t gseq, const group_head *head)
{
    const int64_t replaces = head->replaces;
    if (replaces <= 0 || replaces >= gseq ||
        (!id_is_none(&head->replaces_in) && !id_equal(&head->replaces_in, &t->d.incarnation))) {
        return FB_OK;
    }
    FB_TRY(held_withdraw(t, replaces));
    store_stmt *q = store_prepare(t->in->db, STORE_intake_verdict_replace);
    store_bind_int(q, 1, t->d.incarnation_no);
    store_bind_int(q, 2, replaces);
    store_bind_int(q, 3, gseq);
    return store_run(q);
}

/* The first commit whose presence in a backup proves that the verdict is in it too: its own, or,
 * where nothing was committed, the next one. */
static int64_t verdict_head(const taking *t, int64_t cid)
{
    return cid > 0 ? cid : t->head + 1;
}

/* What is kept of a group that does not stand: the line, without what was erased. */
static fb_code payload_of(taking *t, fb_text line, verdict_row *row)
{
    erased_view v;
    buf less;
    bool changed = false;
    row->payload = line;
    if (!decide_erased_view(t->in->cache, t->in->db, &v)) {
        return FB_OK;
    }
    buf_init(&less, line.size + 1024);
    fb_code rc = erased_line(&v, line, t->in->work, &less, &changed);
    if (rc == FB_OK && changed) {
        row->payload = arena_text(t->in->work, buf_text(&less));
        rc = row->payload.data == NULL ? FB_E_NO_MEMORY : FB_OK;
    }
    buf_clear(&less);
    return rc;
}

/* The versions that it names may be of an earlier epoch. */
static bool is_of_old_base(const taking *t, int64_t gseq)
{
    return gseq <= t->r->q->old_base;
}

/* Everything but a plain run: the verdict in words. */
static fb_code verdict_keep(taking *t, int64_t gseq, uint64_t mark, fb_text line, const decision *d)
{
    buf words;
    buf_init(&words, 8 << 20);
    verdict_put(&words, &d->verdict);
    verdict_row row = {.incarnation_no = t->d.incarnation_no,
                       .gseq = gseq,
                       .cid = d->verdict.cid,
                       .head = verdict_head(t, d->verdict.cid),
                       .mark = mark,
                       .code = d->verdict.code,
                       .line = buf_text(&words)};
    fb_code rc = words.code;
    if (row.code == VERDICT_HELD) {
        row.held_row = held_row_id(&t->d.user, line);
        row.old_base = is_of_old_base(t, gseq);
    }
    if (rc == FB_OK && keeps_payload(row.code)) {
        rc = payload_of(t, line, &row);
    }
    rc = rc == FB_OK ? verdict_row_add(t->in->db, &row) : rc;
    if (rc == FB_OK && row.code == VERDICT_HELD) {
        rc = held_tell(t, &row);
    }
    buf_clear(&words);
    return rc;
}

static fb_code decision_write(taking *t, const decide_session *who, const group *g, decision *d)
{
    const commit_source from = {.device = who->device,
                                .incarnation = who->incarnation,
                                .user = who->user,
                                .gseq = who->gseq,
                                .at_ms = who->received_at_ms,
                                .plain = d->plain,
                                .kind = g->head.kind,
                                /* As sent: the device's chain covers all that is written. */
                                .proof = d->plain ? &t->chain_next : NULL};
    int64_t cid = 0;
    if (d->changes_count == 0) {
        return FB_OK;
    }
    FB_TRY(ledger_commit(t->in->db, &from, d->changes, d->changes_count, &cid));
    FB_ASSERT(cid > t->head);
    d->verdict.cid = cid;
    t->head = cid;
    decide_cache_committed(t->in->cache, d->changes, d->changes_count, cid);
    return FB_OK;
}

static fb_code verdict_write(taking *t, int64_t gseq, uint64_t mark, fb_text line,
                             const decision *d)
{
    if (d->plain) {
        if (run_add(&t->run, gseq, d->verdict.cid, mark)) {
            return FB_OK;
        }
        FB_TRY(run_flush(t->in->db, &t->run)); /* behind a commit of the server's own */
        FB_ASSERT(run_add(&t->run, gseq, d->verdict.cid, mark));
        return FB_OK;
    }
    FB_TRY(run_flush(t->in->db, &t->run));
    t->out->refused += keeps_payload(d->verdict.code) && d->verdict.code != VERDICT_ALIAS;
    FB_TRY(blocked_add(t, gseq, d));
    FB_TRY(verdict_aliases_add(t->in->db, &d->verdict));
    return verdict_keep(t, gseq, mark, line, d);
}

/* Careful: the mark counts the attempt that is being made now. */
static bool is_poison(const taking *t, int64_t gseq)
{
    int64_t failed = t->tried.tries - (t->in->careful ? 1 : 0);
    return t->tried.found && t->tried.gseq == gseq && failed >= ATTEMPTS_MAX;
}

/* Unreadable: a verdict like any other (ITK-3); trouble of ours is passed up. */
static fb_code group_read(taking *t, const decide_session *who, fb_text line, group *g, decision *d,
                          bool *readable)
{
    fb_error err = {.code = FB_OK};
    fb_code rc = group_get(line, store_catalog(t->in->db), t->in->work, g, &err);
    *readable = rc == FB_OK;
    if (rc == FB_E_NO_MEMORY || rc == FB_OK) {
        return rc;
    }
    decide_refuse_unread(who, rc, err.field, t->in->work, d);
    return FB_OK;
}

/* ITK-5 */
static fb_code may_await(taking *t, bool *out)
{
    char key[8 + FB_ID_TEXT_BYTES] = "awaits.";
    int64_t epoch_ms = 0, until_ms = 0, now_ms = t->r->now_ms;
    id_put(&t->d.device, key + strlen(key));
    FB_TRY(store_meta_int(t->in->db, "epoch_ms", 0, &epoch_ms));
    FB_TRY(store_meta_int(t->in->db, key, 0, &until_ms));
    if (until_ms <= epoch_ms || until_ms > now_ms + AWAIT_MS) {
        until_ms = now_ms + AWAIT_MS;
        FB_TRY(store_meta_int_set(t->in->db, key, until_ms));
    }
    *out = now_ms < until_ms;
    return FB_OK;
}

static fb_code group_decide(taking *t, const decide_session *who, fb_text line, uint64_t mark)
{
    group g = {.ops_count = 0};
    decision d = {.plain = false};
    bool readable = false;
    if (is_poison(t, who->gseq)) {
        decide_hold_poison(who, t->in->work, &d);
        t->out->poison_gseq = who->gseq;
    } else {
        FB_TRY(group_read(t, who, line, &g, &d, &readable));
    }
    if (readable) {
        trace(t->in->trace, TRACE_INTAKE, "gseq=%lld ops=%u", (long long)who->gseq,
              (unsigned)g.ops_count);
        FB_TRY(decide_group(t->in->cache, t->in->db, who, &g, t->in->work, &d));
        trace(t->in->trace, TRACE_DECIDE, "gseq=%lld verdict=%s error=%s changes=%u",
              (long long)who->gseq, verdict_name(d.verdict.code), fb_code_name(d.verdict.error),
              (unsigned)d.changes_count);
        FB_TRY(d.awaits ? may_await(t, &t->awaits) : FB_OK);
        if (t->awaits) {
            return FB_OK;
        }
        FB_TRY(decision_write(t, who, &g, &d));
        trace(t->in->trace, TRACE_LEDGER, "gseq=%lld cid=%lld", (long long)who->gseq,
              (long long)d.verdict.cid);
    }
    FB_TRY(verdict_write(t, who->gseq, mark, line, &d));
    if (d.held.number != 0) {
        FB_TRY(held_settle(t->in, &d.held, who->received_at_ms));
        FB_TRY(ledger_head(t->in->db, &t->head));
    }
    return replaced_mark(t, who->gseq, &g.head);
}

static fb_code group_take(taking *t, int64_t gseq, fb_text line)
{
    const decide_session who = {.device = t->d.device,
                                .user = t->d.user,
                                .incarnation = t->d.incarnation,
                                .received_at_ms = t->r->now_ms,
                                .gseq = gseq,
                                .old_base = is_of_old_base(t, gseq),
                                .collided = t->collided};
    uint64_t mark = mark_of(line);
    verdict_row old;
    bool recognised = false;
    digest_chain(&t->d.chain, line.data, line.size, &t->chain_next);
    if (gseq <= t->d.fork_last) {
        FB_TRY(fork_recognise(t->in->db, &t->marks, &t->d, gseq, mark, t->in->work, &old,
                              &recognised));
    }
    if (recognised) {
        FB_TRY(run_flush(t->in->db, &t->run));
        old.head = verdict_head(t, 0);
        FB_TRY(verdict_row_add(t->in->db, &old));
        if (old.code == VERDICT_HELD) {
            FB_TRY(held_tell(t, &old));
        }
    } else {
        FB_TRY(group_decide(t, &who, line, mark));
    }
    if (t->awaits) {
        fb_code rc = arena_failed(t->in->work) ? FB_E_NO_MEMORY : FB_OK; /* ITK-4 */
        arena_reset(t->in->work);
        return rc;
    }
    t->d.chain = t->chain_next;
    t->d.applied = gseq;
    t->out->pushed++;
    /* ITK-4: a text that memory did not suffice for is missing in what was written. */
    fb_code rc = arena_failed(t->in->work) ? FB_E_NO_MEMORY : FB_OK;
    arena_reset(t->in->work);
    return rc;
}

/* ---- all groups of the request ---- */

static uint32_t groups_limit(const taking *t, const chain_place *place)
{
    uint32_t carried = t->r->q->groups_count - place->repeated;
    uint32_t most = t->in->one_group ? 1 : INTAKE_GROUPS_MAX;
    return carried < most ? carried : most;
}

static fb_code groups_take(taking *t, const chain_place *place)
{
    uint32_t count = groups_limit(t, place);
    FB_TRY(count > 0 ? collided_read(t) : FB_OK);
    for (uint32_t i = 0; i < count && !t->awaits; i++) {
        int64_t gseq = t->d.applied + 1;
        fb_code rc = group_take(t, gseq, t->r->lines[place->repeated + i]);
        if (rc != FB_OK) {
            t->out->failed_gseq = gseq;
            return rc;
        }
    }
    return run_flush(t->in->db, &t->run);
}

/* The attempts of this device: over when its groups are through, else at the next one. */
static fb_code attempts_settle(taking *t, const chain_place *place)
{
    if (t->tried.found && t->awaits) { /* it was decided without failing */
        return attempt_delete(t->in->db, &t->d.device);
    }
    if (!t->tried.found || t->d.applied < t->tried.gseq) {
        return FB_OK;
    }
    bool more = t->out->pushed < t->r->q->groups_count - place->repeated;
    return more && t->in->careful ? attempt_put(t->in->db, &t->d.device, t->d.applied + 1, 1)
                                  : attempt_delete(t->in->db, &t->d.device);
}

static fb_code backup_read(taking *t)
{
    store_stmt *q = store_prepare(t->in->db, STORE_intake_backed_up);
    bool row = false;
    if (t->in->backed_cid <= t->d.backed_cid) {
        return FB_OK;
    }
    store_bind_int(q, 1, t->d.incarnation_no);
    store_bind_int(q, 2, t->d.backed_up);
    store_bind_int(q, 3, t->in->backed_cid);
    FB_TRY(store_step(q, &row));
    if (row) {
        t->d.backed_up = store_int(q, 0);
        store_reset(q);
    }
    t->d.backed_cid = t->in->backed_cid;
    return FB_OK;
}

static fb_code device_write(taking *t)
{
    const sync_request *q = t->r->q;
    const door_contact contact = {.now_ms = t->r->now_ms,
                                  .catalog_version = q->catalog_version,
                                  .epoch = q->epoch,
                                  .pushed = t->out->pushed,
                                  .refused = t->out->refused};
    scope_list scopes;
    int64_t number = 0;
    if (!t->r->groups_ignored) {
        t->d.acked = q->acked;
        t->d.settled = q->settled;
    }
    FB_TRY(backup_read(t));
    FB_TRY(decide_scopes_of_user(t->in->cache, t->in->db, &t->d.user, &scopes));
    FB_TRY(feed_scope_set(t->in->db, &t->d.device, &scopes, &number));
    return door_device_put(t->in->db, &t->d, &contact);
}

static fb_code request_take(taking *t)
{
    chain_place place = {0};
    FB_TRY(device_read(t));
    if (t->out->answer != FB_OK) {
        return FB_OK;
    }
    FB_TRY(place_judge(t, &place));
    FB_TRY(marks_judge(t, &place));
    if (t->out->answer != FB_OK) {
        return FB_OK;
    }
    if (t->in->attempts) {
        FB_TRY(attempt_get(t->in->db, &t->d.device, &t->tried));
    }
    run_begin(&t->run, t->d.incarnation_no);
    if (!t->r->groups_ignored) {
        FB_TRY(groups_take(t, &place));
        FB_TRY(attempts_settle(t, &place));
    }
    return device_write(t);
}

fb_code intake_sync(intake *in, const intake_request *r, intake_result *out)
{
    taking t = {.in = in, .r = r, .out = out};
    *out = (intake_result){.answer = FB_OK};
    arena_reset(in->work);
    FB_TRY(ledger_head(in->db, &t.head));
    fb_code rc = request_take(&t);
    fork_marks_clear(&t.marks);
    return rc;
}
