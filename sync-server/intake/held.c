/* held.c - a person decides a held group (intake_held_decide, see intake.h).
 *
 * Both ways end in a commit, so that the device's position tells when it has the new verdict: the
 * group's own rows, or, where it is refused or changes nothing, the device's row. */
#include "sync-server/intake/intake.h"

#include "base/id.h"
#include "sync-server/intake/verdict_rows.h"
#include "sync-server/ledger/fill.h"

typedef struct holding {
    intake *in;
    const intake_decision *how;
    door_device d;
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

/* The device's row is touched: a commit that its page will pass. */
static fb_code device_touch(holding *h)
{
    const cat_entity *e = catalog_entity_str(store_catalog(h->in->db), "device");
    int column = e != NULL ? cat_column_str(e, "last_seen_at") : -1;
    fb_value *row = column >= 0 ? arena_take(h->in->work, e->columns_count * sizeof *row) : NULL;
    if (row == NULL) {
        return column < 0 ? FB_OK : FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(h->in->db, e, &h->d.device, h->in->work, row));
    fb_value at = {.kind = FB_KIND_INT, .u.i = h->how->now_ms};
    const change ch = {.kind = CHANGE_UPDATE,
                       .entity = e,
                       .id = h->d.device,
                       .columns = &column,
                       .values = &at,
                       .columns_count = 1,
                       .before = row};
    const commit_source from = {.at_ms = h->how->now_ms, .kind = text_of("held.decide")};
    int64_t cid = 0;
    FB_TRY(ledger_commit(h->in->db, &from, &ch, 1, &cid));
    decide_cache_committed(h->in->cache, &ch, 1, cid);
    return FB_OK;
}

static fb_code accept(holding *h)
{
    const decide_session who = {.device = h->d.device,
                                .user = h->d.user,
                                .incarnation = h->d.incarnation,
                                .received_at_ms = h->how->now_ms,
                                .gseq = h->how->gseq,
                                .waived = true};
    group g;
    fb_error err;
    FB_TRY(group_get(h->found.payload, store_catalog(h->in->db), h->in->work, &g, &err));
    FB_TRY(decide_group(h->in->cache, h->in->db, &who, &g, h->in->work, &h->decided));
    h->decided.plain = false;
    h->decided.verdict.echo = true;
    if (h->decided.changes_count == 0) {
        return device_touch(h);
    }
    const commit_source from = {.device = who.device,
                                .incarnation = who.incarnation,
                                .user = who.user,
                                .gseq = who.gseq,
                                .at_ms = who.received_at_ms,
                                .kind = g.head.kind};
    FB_TRY(ledger_commit(h->in->db, &from, h->decided.changes, h->decided.changes_count,
                         &h->decided.verdict.cid));
    decide_cache_committed(h->in->cache, h->decided.changes, h->decided.changes_count,
                           h->decided.verdict.cid);
    return FB_OK;
}

static fb_code refuse_held(holding *h)
{
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
    return device_touch(h);
}

fb_code intake_held_decide(intake *in, const intake_decision *how)
{
    holding h = {.in = in, .how = how};
    arena_reset(in->work);
    FB_TRY(door_device_get(in->db, &how->device, &h.d));
    FB_TRY(verdict_find(in->db, h.d.incarnation_no, how->gseq, in->work, &h.found));
    if (h.found.code != VERDICT_HELD || h.found.state != 0 || h.found.payload.data == NULL) {
        return FB_E_STATE;
    }
    FB_TRY(how->accept ? accept(&h) : refuse_held(&h));
    return verdict_settle(&h);
}
