/* fetch.c - see fetch.h. */
#include "sync/fetch.h"

#include "base/check.h"
#include "base/trace.h"
#include "wire/pack_msg.h"

static void path_put(const pack_want *w, buf *path)
{
    bool whole = w->bytes == w->size_bytes;
    pack_path_put(path, &(pack_piece){.name = w->name,
                                      .chunk = w->chunk,
                                      .offset = w->offset,
                                      .bytes = whole ? 0 : w->bytes});
}

fb_code fetch_build(replica *r, uint32_t bytes_max, pack_want *want_out, buf *path)
{
    outbox_state outbox;
    FB_REQUIRE(r != NULL && bytes_max > 0 && want_out != NULL && path != NULL);
    *want_out = (pack_want){.any = false};
    FB_TRY(outbox_state_get(r, &outbox));
    if (outbox.acked < outbox.last) {
        return FB_OK; /* what a person saved goes first */
    }
    FB_TRY(pack_want_get(r, want_out));
    if (want_out->any) {
        want_out->bytes = want_out->bytes < bytes_max ? want_out->bytes : bytes_max;
        path_put(want_out, path);
    }
    return path->code;
}

/* A refusal that time or a person can cure leaves the download as it is. */
static fb_code take_no(replica *r, const pull_answer *a, fetch_result *out, fb_error *err)
{
    pull_result as_pull;
    fb_code rc = pull_refusal(r, a, &as_pull, err);
    out->event = as_pull.event;
    out->retry_ms = as_pull.retry_ms;
    bool gone = rc == FB_E_NOT_FOUND || rc == FB_E_SCOPE || rc == FB_E_PATH || rc == FB_E_METHOD;
    if (!gone) {
        return rc;
    }
    FB_TRY(pack_give_up(r, err));
    out->event = EV_MORE;
    out->dropped = true;
    return FB_OK;
}

static fb_code take_chunk(replica *r, const pack_want *want, const pull_answer *a,
                          fetch_result *out, fb_error *err)
{
    pack_taken taken;
    FB_TRY(pack_chunk_take(r, want, a->body, &taken, err));
    out->event = EV_MORE;
    out->rows = taken.rows;
    out->left = taken.left;
    out->part = taken.part;
    out->dropped = taken.refused;
    trace(replica_port(r), TRACE_PULL, "chunk=%u from=%u bytes=%u left=%lld refused=%d",
          want->chunk, want->offset, want->bytes, (long long)taken.left, taken.refused);
    return FB_OK;
}

fb_code fetch_take(replica *r, const pack_want *want, const pull_answer *answer, fetch_result *out,
                   fb_error *err)
{
    FB_REQUIRE(r != NULL && want != NULL && answer != NULL && out != NULL);
    *out = (fetch_result){.event = EV_LATER, .left = want->left};
    return answer->status == 200 ? take_chunk(r, want, answer, out, err)
                                 : take_no(r, answer, out, err);
}
