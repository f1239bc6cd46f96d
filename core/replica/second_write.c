/* second_write.c - a whole segment of the second copy, from the database. See second.h.
 *
 * Runs under the write lock. Everybody who has the file open learns of the new segment from the
 * commit that notes its generation; only then the old one is emptied. */
#include <string.h>

#include "replica/room.h"
#include "schema/limits.h"
#include "wire/pack.h"

const char second_identity_text[] =
    "SELECT key, value, typeof(value) FROM fb_meta WHERE key NOT IN ('token', 'token_staged',"
    " 'head', 'visible', 'last_sync', 'base_stale')";

static fb_code append(replica *r, journal_type type, int64_t gseq)
{
    journal *j = &r->second.j;
    FB_TRY(j->payload.code);
    return journal_append(j, type, gseq, buf_text(&j->payload), false);
}

/* Columns: gseq, at_ms, kind, body, chain, state, and for archived ones the verdict. */
fb_code second_append_row(replica *r, sql_stmt *q, journal_type type)
{
    second *s = &r->second;
    fb_text chain = sql_blob(q, 4);
    stored_group g = {.at_ms = sql_int(q, 1), .kind = sql_text(q, 2), .body = sql_blob(q, 3)};
    g.state = (uint8_t)sql_int(q, 5);
    if (type == JOURNAL_GROUP && chain.size == sizeof g.chain.b) {
        memcpy(g.chain.b, chain.data, chain.size);
    } else if (type == JOURNAL_ARCHIVED) {
        g.verdict = sql_text(q, 6);
    }
    buf_reset(&s->j.payload);
    stored_group_put(&s->j.payload, &g);
    int64_t gseq = sql_int(q, 0);
    FB_TRY(append(r, type, gseq));
    if (type == JOURNAL_GROUP) {
        s->seen.last = gseq;
        s->seen.chain_last = g.chain;
        s->seen.groups++;
    }
    return FB_OK;
}

named_value named_of_row(sql_stmt *q)
{
    named_value n = {.name = sql_text(q, 0), .number = sql_int(q, 1), .bytes = sql_blob(q, 1)};
    n.kind = sql_is_null(q, 1) || sql_is_blob(q, 1) ? NAMED_BLOB : NAMED_TEXT;
    if (text_is(sql_text(q, 2), "integer")) {
        n.kind = NAMED_INT;
    }
    return n;
}

static fb_code append_names(replica *r, journal_type type, const char *text)
{
    journal *j = &r->second.j;
    bool row = false;
    sql_stmt *q = sql_prepare(r->db, text);
    buf_reset(&j->payload);
    FB_TRY(sql_step(q, &row));
    while (row) {
        const named_value n = named_of_row(q);
        named_put(&j->payload, &n);
        FB_TRY(sql_step(q, &row));
    }
    return append(r, type, 0);
}

static fb_code append_catalog(replica *r)
{
    journal *j = &r->second.j;
    buf_reset(&j->payload);
    FB_TRY(pack_put(&j->payload, r->edition->catalog->text));
    return append(r, JOURNAL_CATALOG, r->edition->catalog->version);
}

static fb_code append_groups(replica *r, journal_type type, const char *text)
{
    bool row = false;
    sql_stmt *q = sql_prepare(r->db, text);
    sql_bind_int(q, 1, r->state.pruned);
    sql_bind_int(q, 2, r->state.last);
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        rc = second_append_row(r, q, type);
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    return rc;
}

static fb_code append_drafts(replica *r)
{
    journal *j = &r->second.j;
    bool row = false;
    sql_stmt *q = sql_prepare(r->db, "SELECT id, updated_ms, kind, body FROM fb_draft");
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        const draft d = {.id = sql_id(q, 0),
                         .updated_ms = sql_int(q, 1),
                         .kind = sql_text(q, 2),
                         .body = sql_text(q, 3)};
        buf_reset(&j->payload);
        second_draft_put(&j->payload, &d);
        rc = append(r, JOURNAL_DRAFT, 0);
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    return rc;
}

static fb_code append_all(replica *r)
{
    FB_TRY(append_names(r, JOURNAL_IDENTITY, second_identity_text));
    FB_TRY(append_catalog(r));
    FB_TRY(append_names(r, JOURNAL_COUNTERS, "SELECT name, next, 'integer' FROM fb_counter"));
    FB_TRY(append_drafts(r));
    FB_TRY(append_groups(
        r, JOURNAL_ARCHIVED,
        "SELECT o.gseq, o.at_ms, o.kind, o.body, o.chain, o.state, coalesce(v.body, '')"
        " FROM fb_outbox o LEFT JOIN fb_verdict v ON v.gseq=o.gseq WHERE o.gseq <= ?1 AND"
        " ?1 <= ?2 ORDER BY o.gseq"));
    return append_groups(r, JOURNAL_GROUP,
                         "SELECT gseq, at_ms, kind, body, chain, state FROM fb_outbox"
                         " WHERE gseq > ?1 AND gseq <= ?2 ORDER BY gseq");
}

static fb_code write_segment(replica *r)
{
    second *s = &r->second;
    FB_TRY(meta_put_int(r, "outbox_generation", (int64_t)s->j.generation + 1));
    FB_TRY(journal_begin(&s->j, r->life));
    s->seen = (second_seen){.identity = true,
                            .incarnation = r->me.incarnation,
                            .device = r->me.device,
                            .epoch = r->me.epoch,
                            .catalog_version = r->edition->catalog->version,
                            .pruned = r->state.pruned,
                            .last = r->state.pruned,
                            .chain_last = r->state.pruned_chain};
    FB_TRY(append_all(r));
    if (s->seen.last != r->state.last) {
        return file_broken(r); /* OUT-2 */
    }
    return journal_end(&s->j);
}

fb_code second_write(replica *r)
{
    second *s = &r->second;
    journal_withdraw(&s->j);
    fb_code rc = write_segment(r);
    if (rc != FB_OK) {
        journal_give_up(&s->j);
        s->seen = (second_seen){.identity = false}; /* read it again */
        s->check = true;
        sql_file_close(s->j.file);
        s->j.file = NULL;
        return rc;
    }
    s->check = false;
    return FB_OK;
}

fb_code second_rewrite(replica *r)
{
    FB_TRY(sql_begin(r->db));
    fb_code rc = replica_refresh(r);
    if (rc == FB_OK) {
        rc = second_write(r);
    }
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    FB_TRY(sql_commit(r->db));
    journal_forget_old(&r->second.j);
    return FB_OK;
}
