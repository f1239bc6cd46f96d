/* check.c - replica_check: the invariants of replica.h, asked of the file itself.
 *
 * PRO-1 is tested by doing it: take everything on top off, put it on again, compare every row, and
 * roll back. Slow by design; for tests, support and debug builds. */
#include <string.h>

#include "replica/room.h"
#include "schema/limits.h"

static fb_code broken(fb_error *err, const char *name, const char *what)
{
    return fail(err, FB_E_CORRUPT, name, "%s: save a copy of the file and report it", what);
}

static fb_code check_state(replica *r, fb_error *err)
{
    if (!state_agrees(&r->state)) {
        return broken(err, "OUT-4", "settled, acked, backed_up and last contradict each other");
    }
    return FB_OK;
}

static fb_code check_group(replica *r, sql_stmt *s, int64_t gseq, digest *chain, fb_error *err)
{
    if (sql_int(s, 0) != gseq) {
        return broken(err, "OUT-2", "a group is missing in the outbox");
    }
    FB_TRY(body_unpack(&r->packed, sql_blob(s, 1), GROUP_BYTES_MAX));
    digest before = *chain;
    digest_chain(&before, r->packed.data, r->packed.size, chain);
    fb_text stored = sql_blob(s, 2);
    if (stored.size != sizeof chain->b || memcmp(stored.data, chain->b, stored.size) != 0) {
        return broken(err, "OUT-3", "the chain of a group does not match its body");
    }
    return FB_OK;
}

static fb_code check_outbox(replica *r, fb_error *err)
{
    bool row = false;
    int64_t gseq = r->state.pruned;
    digest chain = r->state.pruned_chain;
    sql_stmt *s =
        sql_prepare(r->db, "SELECT gseq, body, chain FROM fb_outbox WHERE gseq > ?1 ORDER BY gseq");
    sql_bind_int(s, 1, gseq);
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        rc = check_group(r, s, ++gseq, &chain, err);
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    FB_TRY(rc);
    return gseq == r->state.last
               ? FB_OK
               : broken(err, "OUT-2", "the newest group is missing in the outbox");
}

/* --- PRO-1 --------------------------------------------------------------------------- */

static void put_row(buf *out, sql_stmt *s)
{
    for (int i = 0; i < sql_columns(s); i++) {
        fb_value v = sql_value(s, i);
        buf_put_char(out, (char)v.kind);
        if (v.kind == FB_KIND_INT) {
            buf_put(out, &v.u.i, sizeof v.u.i);
        } else if (v.kind == FB_KIND_TEXT) {
            buf_put(out, &v.u.text.size, sizeof v.u.text.size);
            buf_put_text(out, v.u.text);
        } else if (v.kind == FB_KIND_ID) {
            buf_put(out, v.u.id.b, sizeof v.u.id.b);
        }
    }
}

static fb_code digest_table(replica *r, const cat_entity *e, digest *out)
{
    bool row = false;
    buf_reset(&r->text);
    buf_printf(&r->text, "SELECT * FROM %.*s ORDER BY id", (int)e->name.size, e->name.data);
    const char *text = buf_cstr(&r->text);
    sql_stmt *s = sql_prepare(r->db, text);
    FB_TRY(sql_step(s, &row));
    while (row) {
        buf_reset(&r->packed);
        put_row(&r->packed, s);
        FB_TRY(r->packed.code);
        digest before = *out;
        digest_chain(&before, r->packed.data, r->packed.size, out);
        FB_TRY(sql_step(s, &row));
    }
    return FB_OK;
}

static fb_code digest_rows(replica *r, digest *out)
{
    const catalog *c = r->edition->catalog;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < c->entities_count; i++) {
        digest before = *out;
        digest_chain(&before, c->entities[i].name.data, c->entities[i].name.size, out);
        FB_TRY(digest_table(r, &c->entities[i], out));
    }
    return FB_OK;
}

/* The next group on top after (or, backwards, before) gseq. */
static fb_code next_on_top(replica *r, bool backwards, int64_t *gseq, bool *found)
{
    sql_stmt *s =
        sql_prepare(r->db, backwards ? "SELECT gseq, state FROM fb_outbox WHERE gseq < ?1 AND gseq "
                                       "> 0 AND state IN (0, 1) ORDER BY gseq DESC"
                                     : "SELECT gseq, state FROM fb_outbox WHERE gseq > ?1 AND "
                                       "state IN (0, 1) ORDER BY gseq");
    bool row = false;
    sql_bind_int(s, 1, *gseq);
    *found = false;
    FB_TRY(sql_step(s, &row));
    while (row && !*found) {
        *found = group_is_on_top(r, sql_int(s, 0), sql_int(s, 1));
        if (*found) {
            *gseq = sql_int(s, 0);
        } else {
            FB_TRY(sql_step(s, &row));
        }
    }
    sql_reset(s);
    return FB_OK;
}

static fb_code undo_and_replay(replica *r)
{
    int64_t gseq = INT64_MAX;
    bool found = false;
    FB_TRY(next_on_top(r, true, &gseq, &found));
    while (found) {
        FB_TRY(group_undo(r, gseq));
        FB_TRY(next_on_top(r, true, &gseq, &found));
    }
    FB_TRY(run_text(r, "DELETE FROM fb_undo"));
    gseq = 0;
    FB_TRY(next_on_top(r, false, &gseq, &found));
    while (found) {
        FB_TRY(group_replay(r, gseq, REPLAY_PENDING));
        FB_TRY(next_on_top(r, false, &gseq, &found));
    }
    return FB_OK;
}

static fb_code check_visible(replica *r, fb_error *err)
{
    digest before;
    digest after;
    FB_TRY(digest_rows(r, &before));
    fb_code rc = undo_and_replay(r);
    if (rc == FB_E_CORRUPT) {
        return broken(err, "PRO-1", "the image of a group is missing or does not fit");
    }
    FB_TRY(rc);
    FB_TRY(digest_rows(r, &after));
    if (memcmp(&before, &after, sizeof before) != 0) {
        return broken(err, "PRO-1", "undoing and replaying pending groups gives other rows");
    }
    return FB_OK;
}

/* SUM-1: with everything off and the own versions given, the sums are what a count says. */
static fb_code check_sums(replica *r, fb_error *err)
{
    int64_t gseq = INT64_MAX;
    bool found = false;
    row_sums sums;
    FB_TRY(next_on_top(r, true, &gseq, &found));
    while (found) {
        FB_TRY(group_undo(r, gseq));
        FB_TRY(next_on_top(r, true, &gseq, &found));
    }
    FB_TRY(sums_begin(r, false));
    FB_TRY(sums_own_versions(r));
    r->sums.counting = false;
    FB_TRY(sums_count(r, &sums));
    if (!r->sums.uncertain && !row_sums_equal(&sums, &r->sums.now)) {
        return broken(err, "SUM-1", "the digest is not that of the rows");
    }
    return FB_OK;
}

static fb_code check_inside(replica *r, fb_error *err)
{
    FB_TRY(replica_refresh(r));
    FB_TRY(check_state(r, err));
    FB_TRY(check_outbox(r, err));
    if (r->state.base_stale || r->read_only) {
        return FB_OK; /* VIS-3 */
    }
    FB_TRY(check_visible(r, err));
    return check_sums(r, err);
}

fb_code replica_check(replica *r, fb_error *err)
{
    FB_REQUIRE(r != NULL && !r->capture.open);
    fb_error found = {.code = FB_OK};
    fb_code rc = r->read_only ? sql_begin_read(r->db) : sql_begin(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    rc = check_inside(r, &found);
    r->broken |= rc == FB_E_CORRUPT;
    sql_rollback(r->db);
    fb_code reload = replica_reload(r);
    if (rc == FB_OK) {
        rc = reload;
    }
    if (rc == FB_OK) {
        return FB_OK;
    }
    if (found.code == FB_OK) {
        return sql_fail(r, rc, err);
    }
    if (err != NULL) {
        *err = found;
    }
    return rc;
}
