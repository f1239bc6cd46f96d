/* outbox.c - groups at rest: appended by capture, read by sync, pruned by promote.
 *
 * A stored body is the group's line, or its zstd form when that is shorter; a line begins with
 * '{', a zstd frame never does. Unpacked it is the exact line the chain covers (OUT-3). */
#include <string.h>

#include "replica/room.h"
#include "schema/limits.h"
#include "wire/pack.h"

enum { PACK_FROM_BYTES = 700 }; /* below it compressing costs more time than it saves space */

fb_code outbox_last_load(replica *r)
{
    bool row = false;
    r->state.last = r->state.pruned;
    r->state.chain_last = r->state.pruned_chain;
    sql_stmt *s = sql_prepare(
        r->db, "SELECT gseq, chain FROM fb_outbox WHERE gseq > ?1 ORDER BY gseq DESC LIMIT 1");
    sql_bind_int(s, 1, r->state.pruned);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return FB_OK;
    }
    fb_text chain = sql_blob(s, 1);
    r->state.last = sql_int(s, 0);
    bool whole = chain.size == sizeof r->state.chain_last.b;
    if (whole) {
        memcpy(r->state.chain_last.b, chain.data, chain.size);
    }
    sql_reset(s);
    return whole ? FB_OK : file_broken(r);
}

fb_text outbox_pack(replica *r, fb_text body)
{
    if (body.size < PACK_FROM_BYTES) {
        return body;
    }
    buf_reset(&r->packed);
    if (packer_put(r->packer, &r->packed, body) != FB_OK) {
        return body;
    }
    return buf_text(&r->packed);
}

fb_code outbox_append(replica *r, int64_t gseq, const group_head *head, fb_text stored,
                      const digest *chain)
{
    sql_stmt *s = sql_prepare(
        r->db,
        "INSERT INTO fb_outbox (gseq, at_ms, kind, body, chain) VALUES (?1, ?2, ?3, ?4, ?5)");
    sql_bind_int(s, 1, gseq);
    sql_bind_int(s, 2, head->captured_at_ms);
    sql_bind_text(s, 3, head->kind);
    sql_bind_blob(s, 4, stored.data, stored.size);
    sql_bind_blob(s, 5, chain->b, sizeof chain->b);
    return sql_run(s);
}

/* What we packed ourselves can only be damaged; want of memory is not damage. */
static fb_code unpack_code(fb_code rc)
{
    return rc == FB_OK || rc == FB_E_NO_MEMORY ? rc : FB_E_CORRUPT;
}

fb_code body_unpack(buf *out, fb_text stored, size_t max_bytes)
{
    buf_reset(out);
    if (stored.size > 0 && stored.data[0] != '{') {
        return unpack_code(pack_get(out, stored, max_bytes));
    }
    buf_put_text(out, stored);
    return out->code;
}

static fb_code line_unpack(replica *r, fb_text stored, buf *out)
{
    fb_code rc = FB_OK;
    if (stored.size == 0 || stored.data[0] == '{') {
        rc = body_unpack(out, stored, GROUP_BYTES_MAX);
    } else {
        buf_reset(out);
        rc = unpack_code(packer_get(r->packer, out, stored, GROUP_BYTES_MAX));
    }
    return rc == FB_E_CORRUPT ? file_broken(r) : rc;
}

fb_code outbox_body(replica *r, int64_t gseq, buf *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT body FROM fb_outbox WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return file_broken(r); /* OUT-2: whoever asks knows that it is there */
    }
    fb_code rc = line_unpack(r, sql_blob(s, 0), out);
    sql_reset(s);
    return rc;
}

fb_code outbox_state_put(replica *r, int64_t gseq, group_state state)
{
    return run_int2(r, "UPDATE fb_outbox SET state=?2 WHERE gseq=?1 AND state<>?2", gseq, state);
}

fb_code outbox_state_get(replica *r, outbox_state *out)
{
    FB_REQUIRE(r != NULL && out != NULL);
    if (!r->capture.open) {
        FB_TRY(replica_refresh(r));
    }
    int64_t old = r->state.old_base < 0 ? r->state.last : r->state.old_base;
    *out = (outbox_state){.last = r->state.last,
                          .old_base = old > r->state.acked ? old : 0,
                          .acked = r->state.acked,
                          .settled = r->state.settled,
                          .backed_up = r->state.backed_up,
                          .chain_last = r->state.chain_last};
    return FB_OK;
}

/* --- reading for the wire ------------------------------------------------------------ */

fb_code chain_at(replica *r, int64_t gseq, digest *out)
{
    bool row = false;
    if (gseq == 0) {
        chain_start(&r->me.incarnation, out);
        return FB_OK;
    }
    if (gseq == r->state.pruned) {
        *out = r->state.pruned_chain;
        return FB_OK;
    }
    sql_stmt *s = sql_prepare(r->db, "SELECT chain FROM fb_outbox WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return FB_E_GAP;
    }
    fb_text chain = sql_blob(s, 0);
    bool whole = chain.size == sizeof out->b;
    if (whole) {
        memcpy(out->b, chain.data, chain.size);
    }
    sql_reset(s);
    return whole ? FB_OK : file_broken(r);
}

static fb_code read_groups(replica *r, sql_stmt *s, int64_t first, size_t bytes_target, buf *out,
                           uint32_t *count_out)
{
    size_t start = out->size;
    uint32_t count = 0;
    bool row = false;
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row && (count == 0 || out->size - start < bytes_target)) {
        if (sql_int(s, 0) != first + count) {
            rc = file_broken(r); /* OUT-2 */
            break;
        }
        rc = line_unpack(r, sql_blob(s, 1), &r->packed);
        buf_put_text(out, buf_text(&r->packed));
        buf_put_char(out, '\n');
        count++;
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    *count_out = count;
    return rc == FB_OK ? out->code : rc;
}

fb_code outbox_read(replica *r, int64_t first, uint32_t groups_max, size_t bytes_target, buf *out,
                    uint32_t *count_out, digest *chain_before_out)
{
    FB_REQUIRE(r != NULL && first > 0 && out != NULL && count_out != NULL &&
               chain_before_out != NULL);
    FB_TRY(chain_at(r, first - 1, chain_before_out));
    sql_stmt *s = sql_prepare(
        r->db, "SELECT gseq, body FROM fb_outbox WHERE gseq >= ?1 ORDER BY gseq LIMIT ?2");
    sql_bind_int(s, 1, first);
    sql_bind_int(s, 2, groups_max);
    return read_groups(r, s, first, bytes_target, out, count_out);
}

/* --- pruning ------------------------------------------------------------------------- */

static fb_code prune_to(replica *r, int64_t limit)
{
    digest chain;
    FB_TRY(chain_at(r, limit, &chain));
    FB_TRY(run_int(r, "DELETE FROM fb_meta WHERE key GLOB 'decided/*' AND value < ?1", limit));
    FB_TRY(run_int(
        r, "DELETE FROM fb_outbox WHERE gseq BETWEEN 1 AND ?1 AND state=0 AND NOT " IS_DECIDED,
        limit));
    FB_TRY(run_int(r,
                   "DELETE FROM fb_verdict WHERE gseq BETWEEN 1 AND ?1 AND gseq NOT IN (SELECT "
                   "gseq FROM fb_outbox)",
                   limit));
    r->state.pruned = limit;
    r->state.pruned_chain = chain;
    return FB_OK;
}

/* SUM-1: rows get their versions while their groups are still there. With something on top that
 * waits for the next promotion that moves rows, and the groups with it. (None is held: as long as
 * one is, whatever settles moves rows.) */
static fb_code versions_first(replica *r, int64_t *limit)
{
    if (*limit <= r->state.versioned) {
        return FB_OK;
    }
    if (r->state.last > r->state.based) {
        *limit = r->state.versioned;
        return FB_OK;
    }
    FB_TRY(sums_begin(r, false));
    FB_TRY(sums_own_versions(r));
    FB_TRY(sums_end(r));
    return run_int(r, "DELETE FROM fb_ack WHERE gseq_to <= ?1", r->state.versioned);
}

/* OUT-4, by range. What the tray closed is kept for ARCHIVE_DAYS. */
fb_code outbox_prune(replica *r)
{
    int64_t limit = r->state.settled < r->state.backed_up ? r->state.settled : r->state.backed_up;
    FB_TRY(versions_first(r, &limit));
    if (limit > r->state.pruned) {
        FB_TRY(prune_to(r, limit));
    }
    /* A backup that holds a group of this life holds what earlier lives were answered before it. */
    if (r->state.backed_up > 0) {
        FB_TRY(run_text(r, "DELETE FROM fb_outbox WHERE state<>0 AND state=5"));
    }
    int64_t now = replica_now_ms(r, NULL, NULL);
    return run_int2(
        r, "DELETE FROM fb_outbox WHERE state<>0 AND state=4 AND gseq <= ?1 AND at_ms < ?2",
        r->state.pruned, now - ARCHIVE_DAYS * DAY_MS);
}
