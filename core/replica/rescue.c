/* rescue.c - the outbox without the database: groups read from a file that cannot be opened, and
 * taken into another replica of the same person.
 *
 * Reading changes nothing, so it also serves a file of a newer version. A group goes over with the
 * exact bytes of its line: where the server has it already, from whatever device of this person,
 * it is recognised and answered as before. */
#include <string.h>

#include "base/check.h"
#include "base/trace.h"
#include "replica/salvage.h"
#include "schema/limits.h"

typedef struct rescue {
    rescue_fn fn;
    void *ctx;
    second_seen seen;
    extras x;
    uint64_t count;
    buf closed; /* int64_t of groups that a person closed later */
} rescue;

static void close_group(rescue *w, int64_t gseq)
{
    buf_put(&w->closed, &gseq, sizeof gseq);
}

static bool is_closed(const rescue *w, int64_t gseq)
{
    for (size_t i = 0; i + sizeof gseq <= w->closed.size; i += sizeof gseq) {
        if (memcmp(w->closed.data + i, &gseq, sizeof gseq) == 0) {
            return true;
        }
    }
    return false;
}

/* A group that cannot be unpacked has nothing to give. */
static fb_code lend(rescue *w, journal_type type, int64_t gseq, fb_text payload)
{
    stored_group g;
    if (type != JOURNAL_GROUP && type != JOURNAL_ARCHIVED) {
        return FB_OK;
    }
    FB_TRY(stored_group_get(payload, &g));
    fb_code rc = body_unpack(&w->x.line, g.body, GROUP_BYTES_MAX);
    if (rc != FB_OK) {
        return rc == FB_E_NO_MEMORY ? rc : FB_OK;
    }
    const rescued r = {.gseq = gseq,
                       .captured_at_ms = g.at_ms,
                       .state = is_closed(w, gseq) ? STATE_CLOSED : g.state,
                       .kind = g.kind,
                       .line = buf_text(&w->x.line)};
    w->count++;
    return w->fn(w->ctx, &r);
}

static fb_code note_closed(void *ctx, const journal_record *record)
{
    rescue *w = ctx;
    stored_group g;
    if (record->type == JOURNAL_CLOSED) {
        close_group(w, record->gseq);
    } else if (record->type == JOURNAL_GROUP && record->confirmed) {
        FB_TRY(stored_group_get(record->payload, &g));
        if (g.replaces != 0) {
            close_group(w, g.replaces);
        }
    }
    return w->closed.code;
}

static fb_code take_record(void *ctx, const journal_record *record)
{
    rescue *w = ctx;
    stored_group g;
    FB_TRY(second_see(&w->seen, record));
    if (!record->confirmed) {
        return FB_OK; /* JRN-1 */
    }
    if (record->type == JOURNAL_GROUP || record->type == JOURNAL_ARCHIVED) {
        FB_TRY(stored_group_get(record->payload, &g));
        fb_code rc = extras_mark(&w->x, g.body);
        FB_TRY(rc == FB_E_CORRUPT ? FB_OK : rc);
    }
    return lend(w, record->type, record->gseq, record->payload);
}

static fb_code read_both(rescue *w, const replica_options *o)
{
    journal j;
    fb_code rc = journal_init(&j, o->vfs, o->path);
    if (rc == FB_OK) {
        rc = journal_open(&j);
    }
    if (rc == FB_OK) {
        rc = journal_follow(&j, note_closed, w);
    }
    if (rc == FB_OK) {
        j.open = false; /* read again, not settled */
        journal_rewind(&j);
        rc = journal_follow(&j, take_record, w);
    }
    journal_clear(&j);
    FB_TRY(rc == FB_E_NOT_FOUND ? FB_OK : rc);
    FB_TRY(extras_read(o, &w->seen, &w->x));
    for (const extra *e = w->x.first; e != NULL; e = e->next) {
        FB_TRY(lend(w, e->type, e->gseq, e->payload));
    }
    return FB_OK;
}

fb_code rescue_each(const replica_options *o, rescue_fn fn, void *ctx, fb_error *err)
{
    rescue w = {.fn = fn, .ctx = ctx};
    FB_REQUIRE(o != NULL && o->path != NULL && fn != NULL);
    fb_code rc = extras_init(&w.x);
    buf_init(&w.closed, EXTRAS_BYTES_MAX);
    if (rc == FB_OK) {
        rc = read_both(&w, o);
    }
    fb_code trouble = rc == FB_OK ? w.x.trouble : FB_OK;
    bool nothing = rc == FB_OK && w.count == 0 && !w.seen.identity && !w.x.identity;
    extras_clear(&w.x);
    buf_clear(&w.closed);
    if (trouble != FB_OK) {
        return fail(err, trouble, "path",
                    "the database could not be read whole: what could be read was given; check the "
                    "disk and ask again");
    }
    if (nothing) {
        return fail(err, FB_E_NOT_FOUND, "path",
                    "there is no outbox at this path, and no second copy of one: check the path");
    }
    return rc;
}

/* --- into another replica ------------------------------------------------------------ */

static fb_code is_here(replica *r, fb_text line, bool *out)
{
    bool row = false;
    sql_stmt *q = sql_prepare(r->db, "SELECT gseq FROM fb_outbox ORDER BY gseq");
    buf here;
    *out = false;
    buf_init(&here, GROUP_BYTES_MAX);
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row && !*out) {
        rc = outbox_body(r, sql_int(q, 0), &here);
        *out = rc == FB_OK && text_equal(buf_text(&here), line);
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    buf_clear(&here);
    return rc;
}

/* What the group's records look like is shown where it fits; it is sent in any case. */
static fb_code show(replica *r, int64_t gseq)
{
    FB_TRY(sql_savepoint(r->db));
    fb_code rc = group_replay(r, gseq, REPLAY_PENDING);
    if (rc == FB_OK) {
        return sql_savepoint_release(r->db);
    }
    sql_savepoint_undo(r->db);
    return code_is_machines(rc) ? rc : FB_OK;
}

static fb_code take_inside(replica *r, fb_text line, digest *chain, fb_error *err)
{
    group g;
    int64_t gseq = r->state.last + 1;
    arena_reset(r->scratch);
    fb_code rc = group_get(line, r->edition->catalog, r->scratch, &g, err);
    if (rc != FB_OK) {
        return rc;
    }
    digest_chain(&r->state.chain_last, line.data, line.size, chain);
    fb_text kind = arena_text(r->scratch, g.head.kind);
    FB_TRY(kind.data != NULL ? FB_OK : FB_E_NO_MEMORY);
    fb_text stored = outbox_pack(r, line);
    FB_TRY(outbox_append(r, gseq, &g.head, stored, chain));
    const stored_group s = {
        .at_ms = g.head.captured_at_ms, .chain = *chain, .kind = kind, .body = stored};
    FB_TRY(second_payload(r, &s)); /* before the replay uses the scratch buffers */
    FB_TRY(show(r, gseq));
    return second_prepare(r, gseq);
}

fb_code rescue_take(replica *r, fb_text line, int64_t *gseq_out, fb_error *err)
{
    bool here = false;
    digest chain;
    FB_REQUIRE(r != NULL && gseq_out != NULL && !r->capture.open);
    if (!r->me.enrolled) {
        return fail(err, FB_E_AUTH, "", "the device is not enrolled yet: enrol it first");
    }
    fb_code rc = sql_begin(r->db);
    if (rc == FB_OK) {
        rc = replica_refresh(r);
    }
    if (rc == FB_OK) {
        rc = is_here(r, line, &here);
    }
    if (rc == FB_OK && !here) {
        rc = take_inside(r, line, &chain, err);
    }
    if (rc != FB_OK || here) {
        second_withdraw(r);
        sql_rollback(r->db);
        *gseq_out = 0;
        return rc == FB_OK || (err != NULL && err->code == rc) ? rc : sql_fail(r, rc, err);
    }
    rc = sql_commit(r->db);
    if (rc != FB_OK) {
        second_withdraw(r);
        return sql_fail(r, rc, err);
    }
    r->state.last++;
    r->state.chain_last = chain;
    second_confirm(r, r->state.last, &chain);
    second_tend(r);
    *gseq_out = r->state.last;
    return FB_OK;
}
