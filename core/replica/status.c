/* status.c - the numbers people ask for: what is still to be sent, what waits for whom. */
#include "replica/room.h"

static const char counts_text[] =
    "SELECT (SELECT count(*) FROM fb_outbox WHERE state=0 AND gseq > ?1),"
    " count(*) FILTER (WHERE state=2), count(*) FILTER (WHERE state=1),"
    " count(*) FILTER (WHERE state=3),"
    " coalesce((SELECT min(at_ms) FROM fb_outbox WHERE state=0 AND gseq > ?1), 0)"
    " FROM fb_outbox WHERE state<>0";

static fb_code count_groups(replica *r, replica_status *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, counts_text);
    sql_bind_int(s, 1, r->state.acked);
    FB_TRY(sql_step(s, &row));
    FB_ASSERT(row); /* a count always has one */
    out->pending = sql_int(s, 0);
    out->rejected = sql_int(s, 1);
    out->held = sql_int(s, 2);
    out->blocked = sql_int(s, 3);
    out->oldest_pending_ms = sql_int(s, 4);
    sql_reset(s);
    return FB_OK;
}

fb_code replica_status_get(replica *r, replica_status *out)
{
    FB_REQUIRE(r != NULL && out != NULL);
    replica_status made = {.rows = 0};
    if (!r->capture.open) {
        FB_TRY(replica_refresh(r));
    }
    FB_TRY(count_groups(r, &made));
    if (catalog_entity_str(r->edition->catalog, "conflict") != NULL) {
        FB_TRY(read_count(r, "SELECT count(*) FROM conflict WHERE state='open'",
                          &made.conflicts_open));
    }
    FB_TRY(read_count(r, "SELECT coalesce((SELECT value FROM fb_meta WHERE key='salvaged_ms'), 0)",
                      &made.salvaged_ms));
    FB_TRY(read_count(r,
                      "SELECT coalesce((SELECT value FROM fb_meta WHERE key='salvaged_groups'), 0)",
                      &made.salvaged_groups));
    FB_TRY(read_count(r, "SELECT count(*) FROM fb_parked", &made.parked));
    FB_TRY(read_count(r, "SELECT count(*) FROM fb_warning", &made.warnings));
    FB_TRY(pack_progress(r, &made.chunks_here, &made.chunks_left));
    made.last_sync_ms = r->state.last_sync_ms;
    made.next_sync_ms = r->state.next_sync_ms;
    made.head_cid = r->state.head_cid;
    made.catalog_version = r->edition->catalog->version;
    made.clock_offset_ms = r->state.clock_offset_ms;
    made.digest_faults = r->state.digest_faults;
    made.digest_fault_ms = r->state.digest_fault_ms;
    made.digest_buckets = r->state.digest_buckets;
    made.digest_alarm = r->state.digest_state == DIGEST_ALARM;
    *out = made;
    return FB_OK;
}
