/* held.c - a person decides a held group: by the administrator's program (intake_held_decide, see
 * intake.h) or by a group of a manager's device (held_settle). One code for both.
 *
 * Both ways end in a commit, so that the device's position tells when it has the new verdict: the
 * row of the held group is closed in it (HLD-2), together with the group's own rows. */
#include "base/id.h"
#include "base/text.h"
#include "sync-server/intake/held_record.h"
#include "sync-server/intake/verdict_rows.h"
#include "sync-server/store/fill.h"

typedef struct holding {
    intake *in;
    const intake_decision *how;
    door_device d; /* life_get */
    verdict_found found;
    decision decided;
} holding;

static fb_code verdict_settle(holding *h)
{
    buf line;
    const verdict_msg *m = &h->decided.verdict;
    buf_init(&line, 8 << 20);
    verdict_put(&line, m);
    fb_code rc = line.code;
    if (rc == FB_OK) {
        int64_t head = 0;
        rc = ledger_head(h->in->db, &head);
        store_stmt *q = store_prepare(h->in->db, STORE_intake_verdict_settle);
        store_bind_int(q, 1, h->d.incarnation_no);
        store_bind_int(q, 2, h->how->gseq);
        store_bind_int(q, 3, m->cid);
        store_bind_int(q, 4, head);
        store_bind_int(q, 5, m->code);
        store_bind_text(q, 6, buf_text(&line));
        rc = rc == FB_OK ? store_run(q) : rc;
    }
    buf_clear(&line);
    return rc;
}

/* The device's row is touched: a commit that its page will pass, where the catalogue has no row for
 * held groups yet. */
static fb_code device_touch(holding *h, change *out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(h->in->db), "device");
    FB_ASSERT(e != NULL); /* the group's device has a row of it */
    int number = cat_column_str(e, "last_seen_at");
    if (number < 0) {
        return FB_E_CATALOG;
    }
    fb_value *row = arena_take(h->in->work, e->columns_count * sizeof *row);
    fb_value *at = arena_take(h->in->work, sizeof *at);
    int *column = arena_take(h->in->work, sizeof *column);
    if (row == NULL || at == NULL || column == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(h->in->db, e, &h->d.device, h->in->work, row));
    *column = number;
    *at = (fb_value){.kind = FB_KIND_INT, .u.i = h->how->now_ms};
    *out = (change){.kind = CHANGE_UPDATE,
                    .entity = e,
                    .id = h->d.device,
                    .columns = column,
                    .values = at,
                    .columns_count = 1,
                    .before = row};
    return FB_OK;
}

/* The group's changes and, behind them, the row that tells of the decision: one commit. */
static fb_code decided_commit(holding *h, const commit_source *from)
{
    uint32_t count = h->decided.changes_count;
    change *all = arena_take(h->in->work, (count + 1) * sizeof *all);
    const held_place place = {&h->d,         h->how->gseq,     h->how->now_ms, h->found.payload,
                              h->found.line, h->found.held_row};
    bool any = false;
    int64_t cid = 0;
    if (all == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        all[i] = h->decided.changes[i];
    }
    FB_TRY(held_record_close(h->in, &place, h->how, h->decided.verdict.code, &all[count], &any));
    FB_TRY(any ? FB_OK : device_touch(h, &all[count]));
    FB_TRY(ledger_commit(h->in->db, from, all, count + 1, &cid));
    decide_cache_committed(h->in->cache, all, count + 1, cid);
    h->decided.verdict.cid = count > 0 ? cid : 0;
    return FB_OK;
}

static fb_code accept(holding *h)
{
    const decide_session who = {.device = h->d.device,
                                .user = h->d.user,
                                .incarnation = h->d.incarnation,
                                .received_at_ms = h->how->now_ms,
                                .gseq = h->how->gseq,
                                .waived = true,
                                .old_base = h->found.old_base};
    group g;
    fb_error err;
    FB_TRY(group_get(h->found.payload, store_catalog(h->in->db), h->in->work, &g, &err));
    FB_TRY(decide_group(h->in->cache, h->in->db, &who, &g, h->in->work, &h->decided));
    FB_TRY(verdict_aliases_add(h->in->db, &h->decided.verdict));
    h->decided.plain = false;
    h->decided.verdict.echo = verdict_stands(h->decided.verdict.code);
    const commit_source from = {.device = who.device,
                                .incarnation = who.incarnation,
                                .user = who.user,
                                .gseq = who.gseq,
                                .at_ms = who.received_at_ms,
                                .kind = g.head.kind};
    const commit_source bare = {.at_ms = who.received_at_ms, .kind = text_of("held.decide")};
    return decided_commit(h, h->decided.changes_count > 0 ? &from : &bare);
}

static fb_code refuse_held(holding *h)
{
    const commit_source from = {.at_ms = h->how->now_ms, .kind = text_of("held.decide")};
    h->decided.verdict =
        (verdict_msg){.gseq = h->how->gseq,
                      .code = VERDICT_REJECTED,
                      .error = FB_E_FORBIDDEN,
                      .text_en = h->how->reason,
                      .text_zh = h->how->reason,
                      .cure_en = text_of("change it and send it again, or discard it"),
                      .cure_zh = text_of("请修改后重新发送，或放弃")};
    if (h->how->reason.size == 0) {
        h->decided.verdict.text_en = text_of("the manager did not agree");
        h->decided.verdict.text_zh = text_of("经理未同意");
    }
    return decided_commit(h, &from);
}

/* The device as it was in the life in which it sent the group: what it wrote then is its own still,
 * and its author's. */
static fb_code life_get(intake *in, const intake_decision *how, door_device *d)
{
    bool found = false;
    FB_TRY(door_device_get(in->db, &how->device, d));
    d->incarnation_no = how->incarnation_no != 0 ? how->incarnation_no : d->incarnation_no;
    store_stmt *q = store_prepare(in->db, STORE_intake_life);
    store_bind_int(q, 1, d->incarnation_no);
    store_bind_id(q, 2, &how->device);
    FB_TRY(store_step(q, &found));
    if (!found) {
        return FB_E_NOT_FOUND;
    }
    d->incarnation = store_id(q, 0);
    d->user = store_id(q, 1);
    store_reset(q);
    return FB_OK;
}

static fb_code held_decide(intake *in, const intake_decision *how)
{
    holding h = {.in = in, .how = how};
    if (!utf8_valid(how->reason)) { /* no device could read the reply that holds it */
        return FB_E_FORMAT;
    }
    FB_TRY(life_get(in, how, &h.d));
    FB_TRY(verdict_find(in->db, h.d.incarnation_no, how->gseq, in->work, &h.found));
    if (h.found.code != VERDICT_HELD || h.found.state != 0 || h.found.payload.data == NULL) {
        return FB_E_STATE;
    }
    FB_TRY(how->accept ? accept(&h) : refuse_held(&h));
    FB_TRY(verdict_settle(&h));
    return arena_failed(in->work) ? FB_E_NO_MEMORY : FB_OK; /* ITK-4 */
}

fb_code intake_held_decide(intake *in, const intake_decision *how)
{
    arena_reset(in->work);
    return held_decide(in, how);
}

/* `what` lives in in->work, behind which the held group is read. */
fb_code held_settle(intake *in, const decided_held *what, int64_t now_ms)
{
    const intake_decision how = {.device = what->device,
                                 .incarnation_no = what->incarnation_no,
                                 .gseq = what->number,
                                 .now_ms = now_ms,
                                 .accept = what->accept,
                                 .reason = what->reason};
    return held_decide(in, &how);
}
