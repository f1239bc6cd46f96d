/* rebirth.c - a new incarnation: this database was copied or restored, or the device is enrolled
 * anew.
 *
 * Groups the server has not answered are renumbered from 1 in their order, bodies untouched, and
 * chained to the new incarnation. In front of them goes what is sent a second time: groups that
 * wait for a person, so that his decision reaches this life; the server knows the line and judges
 * nothing anew. If the server was restored, everything answered that is in no backup as well
 * (rebirth_revive): until a backup holds a group of this life, and with it everything before, this
 * device has the second copy. So has it of what a manager refused, which lies in the tray meanwhile
 * (OUT-5): the restored server may have it decided otherwise. The rest of the tray, and what is in
 * no backup yet, moves to negative numbers, the newest next to zero. The base is rebuilt by a reset
 * page, so that nothing depends on which rows the earlier life had. Document numbers jump, because
 * an earlier life may have used the next ones. */
#include "replica/room.h"
#include "schema/limits.h"
#include "schema/numbers.h"

enum { NUMBERS_SKIPPED = 1000 };

/* State 6 stands only within this transaction: it goes on in the new life. Not what was emptied
 * (FGT-1), whose line the server would not know, decided or not: it is decided by its row there,
 * which the person sees. */
static fb_code mark_waiting(replica *r)
{
    FB_TRY(run_int(r,
                   "UPDATE fb_outbox SET state=6 WHERE gseq BETWEEN 1 AND ?1 AND (state=1 OR"
                   " (state=0 AND gseq IN (SELECT gseq FROM fb_verdict WHERE code=4 AND"
                   " in_effect=0))) AND NOT EXISTS (SELECT 1 FROM fb_meta WHERE"
                   " key='emptied/'||gseq)",
                   r->state.acked));
    FB_TRY(run_text(r, "DELETE FROM fb_meta WHERE key GLOB 'decided/*' AND EXISTS (SELECT 1 FROM"
                       " fb_meta e WHERE e.key='emptied/'||substr(fb_meta.key, 9))"));
    return run_text(r, "DELETE FROM fb_meta WHERE key GLOB 'emptied/*'");
}

/* Refusals whose decision no backup holds, as 7 and 8 while the numbers change: as 6, within this
 * transaction only. Not what its author has closed. */
static fb_code mark_refused(replica *r)
{
    FB_TRY(run_text(r, "UPDATE fb_outbox SET state=state+5 WHERE state<>0 AND state IN (2, 3) AND"
                       " " IS_DECIDED));
    return run_text(r, "DELETE FROM fb_meta WHERE key GLOB 'decided/*'");
}

/* Marked with 0: any group of the new life is behind the decision. */
static fb_code keep_refused(replica *r)
{
    FB_TRY(run_text(r, "INSERT INTO fb_meta (key, value) SELECT 'decided/'||gseq, 0 FROM fb_outbox"
                       " WHERE state<>0 AND state IN (7, 8)"));
    return run_text(r, "UPDATE fb_outbox SET state=state-5 WHERE state<>0 AND state IN (7, 8)");
}

static fb_code archive_answered(replica *r)
{
    int64_t acked = r->state.acked;
    /* Refusals that were waiting for their page: the tray must not lose them. */
    FB_TRY(run_text(r, "UPDATE fb_outbox SET state=2 WHERE state IN (0, 1) AND gseq IN"
                       " (SELECT gseq FROM fb_verdict WHERE code=3 AND in_effect=0)"));
    FB_TRY(run_text(r, "UPDATE fb_outbox SET state=3 WHERE state IN (0, 1) AND gseq IN"
                       " (SELECT gseq FROM fb_verdict WHERE code=6 AND in_effect=0)"));
    FB_TRY(mark_waiting(r));
    FB_TRY(run_int(
        r, "DELETE FROM fb_outbox WHERE gseq BETWEEN 1 AND ?1 AND state=0 AND NOT " IS_DECIDED,
        r->state.backed_up));
    FB_TRY(mark_refused(r));
    FB_TRY(run_text(r, "DELETE FROM fb_verdict WHERE gseq NOT IN (SELECT gseq FROM fb_outbox)"));
    FB_TRY(run_int(r, "UPDATE fb_outbox SET state=4 WHERE gseq BETWEEN 1 AND ?1 AND state=1",
                   r->state.backed_up));
    FB_TRY(run_int(
        r, "UPDATE fb_outbox SET state=5 WHERE gseq BETWEEN 1 AND ?1 AND state IN (0, 1)", acked));
    FB_TRY(run_int(r, "UPDATE fb_outbox SET gseq=gseq-?1 WHERE gseq < 0", acked));
    FB_TRY(run_int(r, "UPDATE fb_verdict SET gseq=gseq-?1 WHERE gseq < 0", acked));
    FB_TRY(run_int(r, "UPDATE fb_alias SET gseq=gseq-?1 WHERE gseq < 0", acked));
    FB_TRY(run_int(r, "UPDATE fb_alias SET gseq=gseq-?1-1 WHERE gseq BETWEEN 1 AND ?1", acked));
    FB_TRY(run_int(r, "UPDATE fb_outbox SET gseq=gseq-?1-1 WHERE gseq BETWEEN 1 AND ?1", acked));
    return run_int(
        r, "UPDATE fb_verdict SET gseq=gseq-?1-1, in_effect=1 WHERE gseq BETWEEN 1 AND ?1", acked);
}

/* Far enough that no number is taken twice on the way. */
#define OUT_OF_THE_WAY "1000000000000"

/* Behind what goes on from earlier. */
static fb_code renumber_pending(replica *r, int64_t before)
{
    int64_t down = r->state.acked - before;
    FB_TRY(run_int(r, "UPDATE fb_outbox SET gseq=gseq+" OUT_OF_THE_WAY " WHERE gseq > ?1",
                   r->state.acked));
    FB_TRY(run_int(r, "UPDATE fb_verdict SET gseq=gseq+" OUT_OF_THE_WAY " WHERE gseq > ?1",
                   r->state.acked));
    FB_TRY(run_int(
        r, "UPDATE fb_outbox SET gseq=gseq-" OUT_OF_THE_WAY "-?1 WHERE gseq > " OUT_OF_THE_WAY,
        down));
    return run_int(
        r, "UPDATE fb_verdict SET gseq=gseq-" OUT_OF_THE_WAY "-?1 WHERE gseq > " OUT_OF_THE_WAY,
        down);
}

static fb_code go_on_one(replica *r, int64_t from, int64_t to)
{
    FB_TRY(run_int(r, "DELETE FROM fb_verdict WHERE gseq=?1", from));
    return run_int2(r, "UPDATE fb_outbox SET gseq=?2, state=0 WHERE gseq=?1", from, to);
}

/* From their negative numbers, in their order. */
static fb_code go_on(replica *r, int64_t count)
{
    for (int64_t g = 1; g <= count; g++) {
        int64_t next = 0;
        FB_TRY(read_count(r, "SELECT min(gseq) FROM fb_outbox WHERE state<>0 AND state=6", &next));
        FB_TRY(go_on_one(r, next, g));
    }
    return FB_OK;
}

static fb_code put_chain(replica *r, int64_t gseq, const digest *chain)
{
    sql_stmt *s = sql_prepare(r->db, "UPDATE fb_outbox SET chain=?2 WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    sql_bind_blob(s, 2, chain->b, sizeof chain->b);
    return sql_run(s);
}

/* OUT-3 for the new incarnation. */
static fb_code chain_again(replica *r, int64_t count)
{
    digest chain;
    chain_start(&r->me.incarnation, &chain);
    for (int64_t g = 1; g <= count; g++) {
        FB_TRY(outbox_body(r, g, &r->packed));
        digest before = chain;
        digest_chain(&before, r->packed.data, r->packed.size, &chain);
        FB_TRY(put_chain(r, g, &chain));
    }
    return FB_OK;
}

static fb_code forget_download(replica *r)
{
    FB_TRY(run_text(r, "DELETE FROM fb_ack"));
    FB_TRY(run_text(r, "DELETE FROM fb_undo"));
    FB_TRY(run_text(r, "DELETE FROM fb_stage"));
    FB_TRY(meta_drop(r, "token_staged"));
    FB_TRY(meta_drop(r, "packs"));
    return meta_drop(r, "token");
}

/* Also of series that this copy has not begun: the life it was copied from may have. Before its
 * first life nothing was given. */
static const char series_text[] =
    "INSERT OR IGNORE INTO fb_counter (name, next) VALUES ('" NUMBER_PREFIX_ORDER
    "', 1), ('" NUMBER_PREFIX_PAYMENT "', 1), ('" NUMBER_PREFIX_VISIT
    "', 1), ('" NUMBER_PREFIX_CUSTOMER "', 1)";

static fb_code numbers_skip(replica *r)
{
    if (r->life > 1) {
        FB_TRY(run_text(r, series_text));
    }
    return run_int(r, "UPDATE fb_counter SET next=next+?1", NUMBERS_SKIPPED);
}

/* What was answered and is in no backup is pending again, without what came with its answer; so is
 * what was refused by a decision that is in none. */
static fb_code revive_answered(replica *r)
{
    FB_TRY(run_text(r, "DELETE FROM fb_alias WHERE gseq IN"
                       " (SELECT gseq FROM fb_outbox WHERE state<>0 AND state=5)"));
    return run_text(r, "UPDATE fb_outbox SET state=6 WHERE state<>0 AND state IN (5, 7, 8)");
}

static fb_code renumber(replica *r, bool revive, int64_t *last_out)
{
    int64_t again = 0;
    FB_TRY(archive_answered(r));
    FB_TRY((revive ? revive_answered : keep_refused)(r));
    FB_TRY(read_count(r, "SELECT count(*) FROM fb_outbox WHERE state<>0 AND state=6", &again));
    *last_out = r->state.last - r->state.acked + again;
    FB_TRY(renumber_pending(r, again));
    return go_on(r, again);
}

static fb_code reborn(replica *r, bool revive)
{
    replica_state before = r->state;
    fb_id incarnation;
    int64_t last = 0;

    if (r->port->random(r->port->ctx, incarnation.b, sizeof incarnation.b) != FB_OK) {
        return FB_E_IO;
    }
    FB_TRY(renumber(r, revive, &last));
    r->me.incarnation = incarnation;
    FB_TRY(meta_put_blob(r, "incarnation", incarnation.b, sizeof incarnation.b));
    r->life++;
    FB_TRY(meta_put_int(r, "life", r->life));
    FB_TRY(meta_put_int(r, "evidence", last)); /* SLV-6: in the new life's numbers */
    FB_TRY(chain_again(r, last));
    FB_TRY(numbers_skip(r));
    FB_TRY(forget_download(r));

    replica_state *s = &r->state;
    s->settled = s->acked = s->based = s->backed_up = s->pruned = s->versioned = 0;
    if (s->old_base >= 0) { /* some of what waits, or none */
        s->old_base = s->old_base > before.acked ? last : 0;
    }
    chain_start(&incarnation, &s->pruned_chain);
    FB_TRY(outbox_last_load(r));
    s->base_stale |= s->visible > 0 || s->head_cid > 0;
    s->head_cid = 0;
    return state_save(r, &before);
}

fb_code rebirth_has_more(replica *r, bool *out)
{
    int64_t any = 0;
    fb_code rc = read_count(r,
                            "SELECT EXISTS (SELECT 1 FROM fb_outbox WHERE state<>0 AND (state=5 OR"
                            " (state IN (2, 3) AND gseq < 0 AND " IS_DECIDED " AND NOT EXISTS"
                            " (SELECT 1 FROM fb_meta WHERE key='emptied/'||gseq))))",
                            &any);
    *out = any != 0;
    return rc;
}

fb_code rebirth_inside(replica *r)
{
    return reborn(r, false);
}

fb_code rebirth_revive(replica *r)
{
    return reborn(r, true);
}

static fb_code rebirth_now(replica *r)
{
    FB_TRY(replica_refresh(r));
    FB_TRY(rebirth_inside(r));
    return replica_reload(r);
}

fb_code replica_rebirth(replica *r, fb_error *err)
{
    FB_REQUIRE(r != NULL && !r->capture.open);
    fb_code rc = sql_begin(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    rc = rebirth_now(r);
    if (rc != FB_OK) {
        sql_rollback(r->db);
    } else {
        rc = sql_commit(r->db);
    }
    if (rc != FB_OK) {
        (void)sql_fail(r, rc, err);
        (void)!replica_reload(r); /* the first failure is the one to report */
        return rc;
    }
    second_tend(r);
    return FB_OK;
}
