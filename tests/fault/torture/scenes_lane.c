/* scenes_lane.c - see torture.h: attachments and their lane, the outbox of a file, and a replica
 * that is made again from its second copy. */
#include <string.h>

#include "fault/torture/torture.h"

/* --- attachment.h ----------------------------------------------------------------------------- */

static fb_code attachment_add(stage *s, fb_error *err)
{
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    in.media_type = "image/png";
    in.kind = "signature";
    in.data = text_of("signed");
    in.thumb = text_of("small");
    in.customer = s->customer;
    return fb_attachment_add(s->db, &in, NULL, err);
}

static fb_code attachment_status(stage *s, fb_error *err)
{
    fb_attachment_state state = {.size_bytes = sizeof state};
    return fb_attachment_status(s->db, &s->photo, &state, err);
}

static fb_code piece_take(void *ctx, fb_text piece)
{
    (void)ctx;
    return piece.size > 0 ? FB_OK : FB_E_BUG;
}

static fb_code attachment_read(stage *s, fb_error *err)
{
    return fb_attachment_read(s->db, &s->photo, FB_PART_ORIGINAL, piece_take, NULL, err);
}

static fb_code attachment_want(stage *s, fb_error *err)
{
    return fb_attachment_want(s->db, &s->photo_sent, FB_PART_ORIGINAL, true, err);
}

static fb_code attachment_free(stage *s, fb_error *err)
{
    int64_t freed;
    return fb_attachment_free(s->db, 0, &freed, err);
}

static fb_code attachment_count(stage *s, fb_error *err)
{
    fb_attachment_totals totals = {.size_bytes = sizeof totals};
    return fb_attachment_count(s->db, &totals, err);
}

static fb_code lane_open(stage *s, fb_error *err)
{
    return fb_lane_open(s->db, NULL, &s->lane, err);
}

static fb_code lane_before(stage *s)
{
    return lane_open(s, NULL);
}

static fb_code lane_loop(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    for (int i = 0; i < 20; i++) {
        fb_sync_action action;
        fb_link_request q;
        fb_link_response r;
        uint32_t wait_ms;
        fb_code rc = fb_lane_next(s->lane, &action, &q, &wait_ms, err);
        if (rc != FB_OK || action == FB_SYNC_DONE) {
            return rc;
        }
        if (action == FB_SYNC_WAIT) {
            s->waited_ms += wait_ms;
            continue;
        }
        rc = link.exchange(link.ctx, &q, &r);
        rc = rc == FB_OK ? fb_lane_reply(s->lane, &r, err) : fb_lane_failed(s->lane, rc, err);
        if (rc != FB_OK) {
            return rc;
        }
    }
    return FB_E_BUG;
}

static fb_code lane_failed(stage *s, fb_error *err)
{
    fb_sync_action action;
    fb_link_request q;
    uint32_t wait_ms;
    fb_code rc = fb_lane_next(s->lane, &action, &q, &wait_ms, err);
    return rc == FB_OK && action == FB_SYNC_SEND ? fb_lane_failed(s->lane, FB_E_OFFLINE, err) : rc;
}

/* --- outbox.h -----------------------------------------------------------------------------------
 */

static fb_db_options plain(stage *s)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &s->port;
    o.vfs = STAGE_VFS;
    return o;
}

static fb_code line_look(void *ctx, const fb_outbox_group *g)
{
    (void)ctx;
    return g->line.size > 0 ? FB_OK : FB_E_BUG;
}

static fb_code outbox_each(stage *s, fb_error *err)
{
    fb_db_options o = plain(s);
    return fb_outbox_each("dev1/replica.db", &o, line_look, NULL, err);
}

static fb_code line_keep(void *ctx, const fb_outbox_group *g)
{
    stage *s = ctx;
    if (g->line.size >= sizeof s->line) {
        return FB_E_BUG;
    }
    memcpy(s->line, g->line.data, g->line.size);
    s->line[g->line.size] = '\0';
    return FB_OK;
}

/* The last group says "pending" somewhere: with another word it is another group. */
static fb_code take_before(stage *s)
{
    fb_db_options o = plain(s);
    fb_code rc = fb_outbox_each("dev1/replica.db", &o, line_keep, s, NULL);
    char *word = strstr(s->line, "pending");
    if (rc != FB_OK || word == NULL) {
        return FB_E_BUG;
    }
    memcpy(word, "another", strlen("another"));
    return FB_OK;
}

static fb_code outbox_take(stage *s, fb_error *err)
{
    int64_t gseq = 0;
    return fb_outbox_take(s->db, text_of(s->line), &gseq, err);
}

/* --- a file that does not open -------------------------------------------------------------- */

/* Its first page is gone: the second copy has what was saved. */
static fb_code spoil(stage *s)
{
    static const char NOTHING[4096];
    crash_vfs_put(s->f.vfs, "dev1/replica.db", NOTHING, sizeof NOTHING);
    return FB_OK;
}

static fb_code make_again(stage *s, fb_error *err)
{
    fb_db_close(s->db);
    s->db = NULL;
    return stage_open(s, err);
}

/* clang-format off */
const scene LANE_SCENES[] = {
    {"fb_attachment_add", NULL, attachment_add, 0},
    {"fb_attachment_status", NULL, attachment_status, 0},
    {"fb_attachment_read", NULL, attachment_read, 0},
    {"fb_attachment_want", NULL, attachment_want, 0},
    {"fb_attachment_free", NULL, attachment_free, 0},
    {"fb_attachment_count", NULL, attachment_count, 0},
    {"fb_lane_open", NULL, lane_open, 0},
    {"fb_lane_step", lane_before, stage_lane, STEPS},
    {"fb_lane_reply", lane_before, lane_loop, STEPS},
    {"fb_lane_failed", lane_before, lane_failed, STEPS | HINT},
    {"fb_outbox_each", NULL, outbox_each, BARE},
    {"fb_outbox_take", take_before, outbox_take, 0},
    {"fb_db_open of a damaged file", spoil, make_again, BARE | STEPS},
};
/* clang-format on */
const int LANE_SCENES_COUNT = sizeof LANE_SCENES / sizeof *LANE_SCENES;
