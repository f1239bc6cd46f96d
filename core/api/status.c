/* status.c - what is unsent, refused, waiting. See fieldbook/status.h. */
#include "fieldbook/status.h"

#include <string.h>

#include "api/handle.h"

static fb_code status_read(fb_db *db, fb_status *out)
{
    replica_status s;
    replica_identity who;
    bool suspect = false;

    FB_TRY(replica_status_get(db->r, &s));
    FB_TRY(replica_identity_get(db->r, &who));
    bytes_wipe(&who.token, sizeof who.token);
    int64_t now_ms = fb_db_now_ms(db, &suspect);
    *out = (fb_status){
        .catalog_version = s.catalog_version,
        .pending_count = s.pending,
        .rejected_count = s.rejected,
        .held_count = s.held,
        .blocked_count = s.blocked,
        .conflicts_count = s.conflicts_open,
        .oldest_pending_ms = s.oldest_pending_ms,
        .last_sync_ms = s.last_sync_ms,
        .lag_ms = s.last_sync_ms == 0       ? -1
                  : now_ms > s.last_sync_ms ? now_ms - s.last_sync_ms
                                            : 0,
        .head_cid = s.head_cid,
        .clock_offset_ms = s.clock_offset_ms,
        .clock_suspect = suspect,
        .enrolled = who.enrolled,
        .digest_alarm = s.digest_alarm,
        .digest_faults_count = s.digest_faults,
        .digest_fault_ms = s.digest_fault_ms,
        .digest_buckets_count = s.digest_buckets,
        .salvaged_ms = s.salvaged_ms,
        .salvaged_groups = s.salvaged_groups,
        .parked_count = s.parked,
        .warnings_count = s.warnings,
        .chunks_count = s.chunks_here,
        .chunks_left = s.chunks_left,
        .next_sync_ms = s.next_sync_ms,
    };
    return api_read_int(db, "SELECT count(*) FROM fb_draft", NULL, 0, &out->drafts_count);
}

fb_code fb_status_get(fb_db *db, fb_status *out, fb_error *err)
{
    fb_status now;

    FB_REQUIRE(db != NULL && out != NULL && out->size_bytes >= sizeof out->size_bytes);
    api_clear(err);
    bool own = false;
    fb_code rc = replica_view_begin(db->r, &own);
    if (rc == FB_OK) {
        rc = status_read(db, &now);
    }
    replica_view_end(db->r, own);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    now.size_bytes = out->size_bytes;
    memcpy(out, &now, out->size_bytes < sizeof now ? out->size_bytes : sizeof now);
    return FB_OK;
}
