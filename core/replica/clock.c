/* clock.c - wall time corrected by what the server's clock showed at the last sync.
 *
 * Nothing is ordered by it (sync.md decision 1); it is the time people see and the capture time
 * that "latest wins" compares, clamped by the server. */
#include "base/decimal.h"
#include "replica/room.h"

enum { OFFSET_STEP_MS = 500 };
#define FAR_MS (INT64_C(3653) * DAY_MS) /* ten years */

int64_t replica_now_ms(replica *r, int64_t *offset_out, bool *suspect_out)
{
    int64_t now = 0;
    int64_t offset = r->state.clock_offset_ms;
    int64_t seen = r->state.server_seen_ms;
    if (!i64_add(r->port->wall_ms(r->port->ctx), offset, &now)) {
        now = seen;
    }
    if (offset_out != NULL) {
        *offset_out = offset;
    }
    if (suspect_out != NULL) {
        *suspect_out = seen > 0 && (now < seen || now - seen > FAR_MS);
    }
    return now;
}

/* Small differences are the network's, not the clock's: they change nothing and write nothing. */
void clock_take(replica *r, int64_t server_wall_ms, int64_t device_wall_ms)
{
    if (server_wall_ms <= 0 || device_wall_ms <= 0) {
        return;
    }
    int64_t offset = server_wall_ms - device_wall_ms; /* of two that are positive */
    int64_t off_by = 0;
    if (!i64_add(offset, -r->state.clock_offset_ms, &off_by)) {
        return;
    }
    if (off_by > OFFSET_STEP_MS || off_by < -OFFSET_STEP_MS) {
        r->state.clock_offset_ms = offset;
    }
    if (server_wall_ms > r->state.server_seen_ms) {
        r->state.server_seen_ms = server_wall_ms;
    }
}

fb_code replica_clock_seen(replica *r, int64_t server_wall_ms, int64_t device_wall_ms)
{
    FB_REQUIRE(r != NULL && !r->capture.open);
    FB_TRY(sql_begin(r->db));
    fb_code rc = replica_refresh(r);
    replica_state before = r->state;
    if (rc == FB_OK) {
        clock_take(r, server_wall_ms, device_wall_ms);
        rc = state_save(r, &before);
    }
    if (rc != FB_OK) {
        sql_rollback(r->db);
    } else {
        rc = sql_commit(r->db);
    }
    if (rc != FB_OK) {
        r->state = before;
    }
    return rc;
}
