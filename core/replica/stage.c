/* stage.c - a reply into the file: epoch, catalogue, verdicts, page; promotion when it is complete.
 *
 * Everything of one reply happens in one transaction or not at all. What a verdict means for the
 * rows is promote.c's; here it is only recorded (PRO-3).
 *
 * New epoch: the server was restored or replaced. What it had not backed up is pending again (acked
 * goes back to backed_up, settled and based with it), and held groups whose decision it may not
 * hold are held again; aliases it had not backed up are taken back. The base is stale until a reset
 * page is promoted. Verdicts of that reply are left: the server repeats them for all behind
 * `acked`. Where that is not enough, because earlier lives of this device were answered by the
 * server that was lost, or because it was restored from an older backup than the one it had told
 * of, the device begins a new life with everything it still has in front (rebirth_revive). */
#include <string.h>

#include "base/id.h"
#include "replica/room.h"
#include "schema/limits.h"
#include "wire/pack.h"

typedef struct taking {
    replica *r;
    const reply *in;
    stage_result *result;
    fb_error *err;
    arena *memory;
} taking;

/* --- epoch and order ----------------------------------------------------------------- */

fb_code stage_drop(replica *r)
{
    FB_TRY(run_text(r, "DELETE FROM fb_stage"));
    FB_TRY(meta_drop(r, "packs"));
    return meta_drop(r, "token_staged");
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Held again, until the server says what was decided: OUT-5; the aliases of a decision go with it.
 * What its author closed stays closed. Earlier lives (gseq < 0): rebirth_revive. */
static fb_code forget_decisions(replica *r, int64_t backed_up)
{
    FB_TRY(run_int(r,
                   "UPDATE fb_outbox SET state=1 WHERE gseq BETWEEN 1 AND ?1 AND state IN (0, 2, 3)"
                   " AND " IS_DECIDED,
                   backed_up));
    FB_TRY(run_text(r, "UPDATE fb_verdict SET code=4, in_effect=0 WHERE gseq > 0 AND " IS_DECIDED));
    FB_TRY(run_text(r, "DELETE FROM fb_alias WHERE " IS_DECIDED));
    return run_text(r, "DELETE FROM fb_meta WHERE key GLOB 'decided/[0-9]*'");
}

/* Answers that the server no longer knows it gave; those of earlier lives: rebirth_revive. */
static fb_code forget_answers(replica *r, int64_t backed_up)
{
    FB_TRY(forget_decisions(r, backed_up));
    FB_TRY(run_int(r, "DELETE FROM fb_verdict WHERE in_effect=0 AND gseq > ?1", backed_up));
    FB_TRY(run_int(r, "DELETE FROM fb_alias WHERE gseq > ?1", backed_up));
    FB_TRY(run_text(r, "DELETE FROM fb_ack"));
    FB_TRY(run_text(r, "DELETE FROM fb_undo"));
    return alias_notice(r);
}

/* An epoch that was left never comes back by a restore, which draws a new one: another server
 * answers under the same name. The device stays where it is. */
static fb_code epoch_leave(taking *t)
{
    enum { EPOCHS_KEPT = 16 };
    buf left;
    char id[FB_ID_TEXT_BYTES];
    buf_init(&left, 4096);
    fb_code rc = replica_meta_get(t->r, "epochs_left", &left);
    id_put(&t->in->head.epoch, id);
    if (rc == FB_OK && strstr(buf_cstr(&left), id) != NULL) {
        rc = fail(t->err, FB_E_EPOCH, "ep",
                  "the server that was left before answers again: two servers use this address; IT "
                  "must stop one of them; nothing was changed");
    }
    if (rc == FB_OK) {
        id_put(&t->r->me.epoch, id);
        buf_put_str(&left, id);
        size_t size = FB_ID_TEXT_BYTES - 1, kept = left.size / size;
        size_t old = kept > EPOCHS_KEPT ? (kept - EPOCHS_KEPT) * size : 0;
        rc = left.code == FB_OK
                 ? meta_put_text(t->r, "epochs_left", (fb_text){left.data + old, left.size - old})
                 : left.code;
    }
    buf_clear(&left);
    return rc;
}

static fb_code take_epoch(taking *t)
{
    replica *r = t->r;
    bool known = !id_is_none(&r->me.epoch);
    bool named = !id_is_none(&t->in->head.epoch);
    if (!known && !named) {
        return FB_E_PROTOCOL;
    }
    if (known && (!named || id_equal(&r->me.epoch, &t->in->head.epoch))) {
        return FB_OK;
    }
    if (known) {
        FB_TRY(epoch_leave(t));
    }
    FB_TRY(meta_put_blob(r, "epoch", t->in->head.epoch.b, sizeof t->in->head.epoch.b));
    r->me.epoch = t->in->head.epoch;
    if (!known) {
        return FB_OK;
    }
    replica_state *s = &r->state;
    bool is_older = t->in->head.applied < s->backed_up;
    if (is_older) {
        s->backed_up = s->pruned;
    }
    s->acked = s->backed_up;
    s->settled = smaller(s->settled, s->acked);
    s->based = smaller(s->based, s->acked);
    s->versioned = s->settled; /* the reset page brings them */
    s->base_stale = true;
    s->old_base = BASE_IS_OLD;
    s->head_cid = 0;
    t->result->epoch_changed = true;
    FB_TRY(stage_drop(r));
    FB_TRY(meta_drop(r, "token"));
    FB_TRY(pack_forgive(r));
    FB_TRY(forget_answers(r, s->backed_up));
    bool has_more = false;
    FB_TRY(rebirth_has_more(r, &has_more));
    if (is_older || has_more) {
        t->result->reborn = true;
        return rebirth_revive(r);
    }
    return FB_OK;
}

static fb_code check_order(const taking *t)
{
    const sync_reply *h = &t->in->head;
    const replica_state *s = &t->r->state;
    if (h->applied > s->last) {
        return fail(t->err, FB_E_FORK, "ap",
                    "the server holds groups this device never wrote: it was restored or copied "
                    "and takes a new incarnation");
    }
    if (t->result->epoch_changed) {
        return FB_OK;
    }
    if (h->head < s->head_cid) {
        return fail(t->err, FB_E_BUSY, "head",
                    "the reply is older than what is shown already: ask again");
    }
    if (h->applied < s->acked) {
        return fail(t->err, FB_E_PROTOCOL, "ap",
                    "the server forgot groups it had answered: report it; nothing was changed");
    }
    return FB_OK;
}

/* --- verdicts ------------------------------------------------------------------------ */

static fb_code refuse_number(const taking *t)
{
    return fail(t->err, FB_E_PROTOCOL, "g",
                "a verdict is missing or for a group that was never written: report it; nothing "
                "was changed");
}

static fb_code verdict_write(replica *r, const verdict_msg *v, fb_text line)
{
    sql_stmt *s = sql_prepare(r->db, "INSERT OR REPLACE INTO fb_verdict (gseq, code, cid, echo, "
                                     "body) VALUES (?1, ?2, ?3, ?4, ?5)");
    sql_bind_int(s, 1, v->gseq);
    sql_bind_int(s, 2, v->code);
    sql_bind_int(s, 3, v->cid);
    sql_bind_int(s, 4, v->echo);
    sql_bind_text(s, 5, line);
    return sql_run(s);
}

static fb_code ack_write(replica *r, int64_t from, int64_t to, int64_t cid)
{
    sql_stmt *s = sql_prepare(
        r->db, "INSERT OR REPLACE INTO fb_ack (gseq_from, gseq_to, cid_from) VALUES (?1, ?2, ?3)");
    sql_bind_int(s, 1, from);
    sql_bind_int(s, 2, to);
    sql_bind_int(s, 3, cid);
    FB_TRY(sql_run(s));
    /* After a new epoch a group may be answered differently than the first time. */
    return run_int2(r, "DELETE FROM fb_verdict WHERE gseq BETWEEN ?1 AND ?2", from, to);
}

/* OUT-5: an own group behind the newest one is answered behind the decision. */
static fb_code decided_note(replica *r, int64_t from, int64_t to)
{
    sql_stmt *s = sql_prepare(r->db, "INSERT OR REPLACE INTO fb_meta (key, value) SELECT"
                                     " 'decided/'||gseq, ?3 FROM fb_verdict WHERE code=4 AND gseq"
                                     " BETWEEN ?1 AND ?2");
    sql_bind_int(s, 1, from);
    sql_bind_int(s, 2, to);
    sql_bind_int(s, 3, r->state.last);
    return sql_run(s);
}

/* Repeats of what is known change nothing; but a run over a held group settles it: its rows come
 * in the page. */
static fb_code run_again(replica *r, int64_t from, int64_t to)
{
    FB_TRY(decided_note(r, from, to));
    return run_int2(
        r,
        "UPDATE fb_verdict SET code=1, echo=1, in_effect=0 WHERE gseq BETWEEN ?1 AND ?2 AND code=4",
        from, to);
}

static fb_code take_run(taking *t, const reply_item *i)
{
    replica_state *s = &t->r->state;
    if (i->run_from > s->acked + 1 || i->run_to > s->last) {
        return refuse_number(t);
    }
    if (i->run_from <= s->acked) {
        FB_TRY(run_again(t->r, i->run_from, i->run_to < s->acked ? i->run_to : s->acked));
    }
    if (i->run_to > s->acked) {
        FB_TRY(ack_write(t->r, s->acked + 1, i->run_to, i->run_cid + (s->acked + 1 - i->run_from)));
        t->result->verdicts += (uint32_t)(i->run_to - s->acked);
        s->acked = i->run_to;
    }
    return FB_OK;
}

static void count_verdict(stage_result *out, const verdict_msg *v)
{
    out->verdicts++;
    out->rejected += v->code == VERDICT_REJECTED || v->code == VERDICT_BLOCKED;
    out->held += v->code == VERDICT_HELD;
    out->merged += v->code == VERDICT_MERGED;
}

/* A later verdict counts only for a group that was held, and only if it says something new. */
static fb_code take_later(taking *t, const verdict_msg *v, fb_text line)
{
    bool found = false;
    int64_t known = 0;
    FB_TRY(read_int(t->r, "SELECT code FROM fb_verdict WHERE gseq=?1", v->gseq, &found, &known));
    if (!found || known != VERDICT_HELD || v->code == VERDICT_HELD) {
        return FB_OK;
    }
    count_verdict(t->result, v);
    FB_TRY(decided_note(t->r, v->gseq, v->gseq));
    return verdict_write(t->r, v, line);
}

static fb_code take_verdict(taking *t, const verdict_msg *v, fb_text line)
{
    replica_state *s = &t->r->state;
    if (v->gseq > s->acked + 1 || v->gseq > s->last) {
        return refuse_number(t);
    }
    if (v->gseq <= s->acked) {
        return take_later(t, v, line);
    }
    s->acked++;
    count_verdict(t->result, v);
    if (v->code == VERDICT_APPLIED && !v->echo) {
        return ack_write(t->r, v->gseq, v->gseq, v->cid);
    }
    return verdict_write(t->r, v, line);
}

static fb_code take_verdicts(taking *t)
{
    for (uint32_t i = 0; i < t->in->verdicts_count; i++) {
        const reply_verdict *v = &t->in->verdicts[i];
        fb_code rc = v->item.line == LINE_RUN ? take_run(t, &v->item)
                                              : take_verdict(t, &v->item.verdict, v->line);
        FB_TRY(rc);
    }
    return t->r->state.acked >= t->in->head.applied ? FB_OK : refuse_number(t);
}

static void take_backed_up(taking *t)
{
    replica_state *s = &t->r->state;
    int64_t told = t->in->head.backed_up;
    if (told > s->acked) {
        told = s->acked; /* more cannot be in a backup than was answered */
    }
    if (told > s->backed_up) {
        s->backed_up = told;
    }
}

/* --- page ---------------------------------------------------------------------------- */

static fb_code stage_write(taking *t, const page_counts *counts)
{
    replica *r = t->r;
    buf text;
    sql_stmt *s = sql_prepare(
        r->db,
        "INSERT INTO fb_stage (applied, reset, rows, counts, body) VALUES (?1, ?2, ?3, ?4, ?5)");
    buf_reset(&r->packed);
    FB_TRY(pack_put(&r->packed, t->in->lines));
    buf_init(&text, (size_t)1 << 20);
    page_counts_put(r, counts, &text);
    sql_bind_int(s, 1, t->in->head.applied);
    sql_bind_int(s, 2, t->in->page.reset);
    sql_bind_int(s, 3, counts->total);
    sql_bind_text(s, 4, text.data != NULL ? buf_text(&text) : text_of(""));
    sql_bind_blob(s, 5, r->packed.data, r->packed.size);
    fb_code rc = text.code == FB_OK ? sql_run(s) : text.code;
    buf_clear(&text);
    return rc;
}

static fb_code stage_page(taking *t)
{
    page_counts counts;
    FB_TRY(page_counts_new(t->r, t->memory, &counts));
    FB_TRY(page_check(t->r, t->in->lines, &counts, t->err));
    t->result->rows = counts.total;
    FB_TRY(stage_write(t, &counts));
    return meta_put_text(t->r, "token_staged", t->in->page.token);
}

/* Offers come with the first page of a download from nothing, which says what they do not. */
static fb_code take_offers(taking *t, bool *taken)
{
    if (!t->in->page.reset || t->in->page.complete) {
        return fail(t->err, FB_E_PROTOCOL, "pack",
                    "packs come with a page that begins anew and is not complete: report it; "
                    "nothing was changed");
    }
    FB_TRY(pack_offers_take(t->r, t->in->packs, t->memory, taken));
    t->result->packs_refused = !*taken;
    return FB_OK;
}

/* Is this page to be looked at? Between the offers and their last chunk only one that begins anew
 * is (PAK-2): the others will come again. */
static fb_code page_counts_now(taking *t, bool *out)
{
    bool open = false;
    *out = true;
    if (t->in->page.reset) {
        FB_TRY(stage_drop(t->r));
        return t->in->packs.size > 0 ? take_offers(t, out) : FB_OK;
    }
    if (t->in->packs.size > 0) {
        return take_offers(t, out);
    }
    FB_TRY(pack_is_open(t->r, &open));
    *out = !open;
    return FB_OK;
}

/* A page is the difference to one state of this device. What a proxy kept, or what was on its way
 * when the power failed and the device fell back to an earlier state, is a difference to another.
 */
static fb_code check_continues(taking *t)
{
    char mark[TOKEN_MARK_TEXT_BYTES];
    buf token;
    const page_head *page = &t->in->page;
    if (page->reset || page->of.size == 0 || t->result->epoch_changed) {
        return FB_OK;
    }
    buf_init(&token, SYNC_BODY_BYTES_MAX);
    fb_code rc = stage_token(t->r, &token);
    token_mark(buf_text(&token), mark);
    buf_clear(&token);
    if (rc == FB_OK && !text_is(page->of, mark)) {
        rc = fail(t->err, FB_E_PROTOCOL, "of",
                  "the answer belongs to an earlier question: something on the way keeps answers; "
                  "nothing was changed, try again");
    }
    return rc;
}

/* A reply that tells of a new epoch has no verdicts, and what was decided about held groups is told
 * only to a device whose token has not passed it: the page is left, and asked for anew. */
static fb_code page_waits_for_verdicts(taking *t, bool *now_out)
{
    int64_t held = 0;
    *now_out = true;
    if (t->result->epoch_changed) {
        FB_TRY(read_count(
            t->r, "SELECT count(*) FROM fb_outbox WHERE state<>0 AND state=1 AND gseq > 0", &held));
        *now_out = held == 0;
    }
    return FB_OK;
}

static fb_code take_page(taking *t)
{
    const page_head *page = &t->in->page;
    int64_t staged = 0;
    bool now = true;
    FB_TRY(check_continues(t));
    FB_TRY(page_waits_for_verdicts(t, &now));
    if (!now) {
        return FB_OK;
    }
    FB_TRY(page_counts_now(t, &now));
    if (!now) {
        return FB_OK;
    }
    FB_TRY(read_count(t->r, "SELECT EXISTS (SELECT 1 FROM fb_stage)", &staged));
    if (t->r->state.base_stale && !page->reset && staged == 0) {
        if (t->result->epoch_changed) {
            return FB_OK; /* the next request has no token and gets the reset */
        }
        return fail(t->err, FB_E_PROTOCOL, "reset",
                    "a device without a base needs a page that starts anew: report it; nothing was "
                    "changed");
    }
    bool direct = page->complete && staged == 0;
    if (!direct) {
        FB_TRY(stage_page(t));
    }
    if (!page->complete) {
        return FB_OK;
    }
    t->result->complete = true;
    FB_TRY(pack_forgive(t->r));
    const promotion p = {.head = &t->in->head,
                         .page = page,
                         .direct = direct,
                         .lines = t->in->lines,
                         .result = t->result,
                         .err = t->err};
    return promote(t->r, &p);
}

/* --- the whole reply ----------------------------------------------------------------- */

static void take_clock(taking *t, int64_t request_wall_ms)
{
    replica *r = t->r;
    int64_t now = r->port->wall_ms(r->port->ctx);
    int64_t middle = now;
    if (request_wall_ms > 0 && request_wall_ms <= now && now - request_wall_ms < WAIT_MS_MAX) {
        middle = request_wall_ms + (now - request_wall_ms) / 2;
    }
    clock_take(r, t->in->head.server_wall_ms, middle);
}

/* Without a token the base is nobody's and the server's catalogue counts, whatever its number. */
static fb_code take_catalog(taking *t)
{
    buf token;
    if (t->in->catalog_json.size == 0) {
        return FB_OK;
    }
    buf_init(&token, SYNC_BODY_BYTES_MAX);
    fb_code rc = stage_token(t->r, &token);
    bool is_met_anew = token.size == 0;
    buf_clear(&token);
    FB_TRY(rc);
    return (is_met_anew ? catalog_adopt : catalog_install)(t->r, t->in->catalog_json,
                                                           &t->result->catalog_changed, t->err);
}

static fb_code take_reply(taking *t, int64_t request_wall_ms)
{
    replica *r = t->r;
    FB_TRY(replica_refresh(r));
    replica_state before = r->state;
    FB_TRY(take_epoch(t));
    if (t->result->reborn) { /* the rest of the reply speaks to the earlier life */
        FB_TRY(state_save(r, &before));
        return replica_reload(r);
    }
    FB_TRY(check_order(t));
    FB_TRY(take_catalog(t));
    if (!t->result->epoch_changed) {
        FB_TRY(take_verdicts(t));
    }
    take_backed_up(t);
    take_clock(t, request_wall_ms);
    if (t->in->has_page) {
        FB_TRY(take_page(t));
    }
    if (t->result->complete) {
        r->state.last_sync_ms = replica_now_ms(r, NULL, NULL);
    }
    uint32_t next_ms = t->in->head.next_ms;
    r->state.next_sync_ms = next_ms > 0 ? replica_now_ms(r, NULL, NULL) + next_ms : 0;
    t->result->applied = t->in->head.applied;
    t->result->retry_ms = t->in->head.retry_ms;
    t->result->catalog_waits = t->in->head.catalog_waits > r->edition->catalog->version;
    return state_save(r, &before);
}

static fb_code take_in_transaction(taking *t, int64_t request_wall_ms)
{
    replica *r = t->r;
    fb_code rc = sql_begin(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, t->err);
    }
    if (t->err != NULL) {
        t->err->code = FB_OK;
    }
    rc = take_reply(t, request_wall_ms);
    if (rc == FB_OK && (rc = sql_commit(r->db)) == FB_OK) {
        return FB_OK;
    }
    if (t->err == NULL || t->err->code == FB_OK) {
        (void)sql_fail(r, rc, t->err); /* nobody has told yet: it came from the database */
    }
    sql_rollback(r->db);
    (void)!replica_reload(r); /* the first failure is the one to report */
    return rc;
}

fb_code sync_relax(replica *r)
{
    return r->sync_normal ? FB_OK : sql_relax(r->db);
}

fb_code sync_restore(replica *r)
{
    return r->sync_normal ? FB_OK : sql_restore(r->db);
}

/* What the server says can be asked again, so its transaction need not wait for the disk: after a
 * power loss the device stands where it stood before and asks from there. The write-ahead log is
 * synced in order, so a group saved later, which does wait, takes everything before it along. A
 * change of epoch waits. */
static fb_code take_relaxed(taking *t, int64_t request_wall_ms)
{
    replica *r = t->r;
    bool repeatable = id_is_none(&t->in->head.epoch) || id_equal(&r->me.epoch, &t->in->head.epoch);
    fb_code rc = repeatable ? sync_relax(r) : FB_OK;
    if (rc != FB_OK) {
        return sql_fail(r, rc, t->err);
    }
    rc = take_in_transaction(t, request_wall_ms);
    if (repeatable) {
        fb_code back = sync_restore(r);
        rc = rc == FB_OK && back != FB_OK ? sql_fail(r, back, t->err) : rc;
    }
    return rc;
}

/* Chunks are not read before they are promoted: what the server packed wrongly shows only then, and
 * must not stand in the way for ever (PAK-3). `rc` is the failure of the promotion. */
static fb_code packs_unusable(replica *r, fb_code rc)
{
    bool staged = false;
    bool of_rows = rc == FB_E_PROTOCOL || rc == FB_E_JSON || rc == FB_E_LIMIT ||
                   rc == FB_E_TRUNCATED || rc == FB_E_CORRUPT;
    if (of_rows && pack_is_staged(r, &staged) == FB_OK && staged) {
        fb_error ignored;
        (void)!pack_give_up(r, &ignored); /* the first failure is the one to report */
    }
    return rc;
}

fb_code stage_reply(replica *r, fb_text body, int64_t request_wall_ms, stage_result *out,
                    fb_error *err)
{
    FB_REQUIRE(r != NULL && out != NULL && !r->capture.open);
    reply in;
    stage_result result = {.complete = false};
    arena *memory = arena_new(ARENA_BYTES_LIMIT);
    if (memory == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory: close something and try again");
    }
    fb_code rc = reply_get(body, memory, &in, err);
    if (rc == FB_OK) {
        taking t = {.r = r, .in = &in, .result = &result, .err = err, .memory = memory};
        rc = take_relaxed(&t, request_wall_ms);
        rc = rc != FB_OK && result.complete ? packs_unusable(r, rc) : rc;
    }
    arena_free(memory);
    if (rc == FB_OK) {
        *out = result;
        second_tend(r);
        if (!r->reserved) {
            reserve_keep(r);
        }
    }
    return rc;
}

fb_code stage_token(replica *r, buf *out)
{
    FB_REQUIRE(r != NULL && out != NULL);
    size_t before = out->size;
    FB_TRY(replica_meta_get(r, "token_staged", out));
    return out->size > before ? FB_OK : replica_meta_get(r, "token", out);
}
