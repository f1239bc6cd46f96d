/* lane_work.c - see lane_work.h. */
#include "sync/lane_work.h"

#include <stdlib.h>

#include "base/check.h"
#include "sync/retry.h"

enum { SCRATCH_BYTES_MAX = 256 << 10, DAMAGED_MAX = 1000 };

/* --- out ------------------------------------------------------------------------------------- */

static void ask_build(const blob_work *w, buf *body)
{
    blob_ask *m = malloc(sizeof *m);
    if (m == NULL) {
        body->code = FB_E_NO_MEMORY;
        return;
    }
    m->protocol = PROTOCOL_VERSION;
    m->count = w->count;
    for (uint32_t i = 0; i < w->count; i++) {
        m->hashes[i] = w->hashes[i];
    }
    blob_ask_put(body, m);
    free(m);
}

static fb_code put_build(replica *r, const blob_info *b, uint32_t piece_bytes, buf *body)
{
    buf piece;
    buf_init(&piece, BLOB_CHUNK_BYTES_MAX);
    fb_code rc = blob_piece(r, b, piece_bytes, &piece);
    if (rc == FB_OK) {
        blob_put_put(body, &(blob_put){.protocol = PROTOCOL_VERSION,
                                       .hash = b->hash,
                                       .size = b->size,
                                       .offset = b->offset,
                                       .count = (uint32_t)piece.size,
                                       .bytes = buf_text(&piece)});
        rc = body->code;
    }
    buf_clear(&piece);
    return rc;
}

static fb_code one_build(replica *r, uint32_t piece_bytes, buf *body, lane_request *out)
{
    const blob_info *b = &out->work.blob;
    out->response_bytes_max = BLOB_ASK_BYTES_MAX;
    switch (out->work.todo) {
    case BLOB_TODO_ASK:
        out->path = "/v1/blob/have";
        ask_build(&out->work, body);
        break;
    case BLOB_TODO_PUT:
        out->path = "/v1/blob/put";
        return put_build(r, b, piece_bytes, body);
    case BLOB_TODO_GET:
        out->path = "/v1/blob/get";
        out->response_bytes_max = piece_bytes + BLOB_LINE_BYTES_MAX;
        blob_get_put(body, &(blob_get){PROTOCOL_VERSION, b->hash, b->offset, piece_bytes});
        break;
    case BLOB_TODO_NONE:
        break;
    }
    return body->code;
}

fb_code lane_build(replica *r, const blob_rules *rules, uint32_t piece_bytes,
                   const lane_clock *clock, buf *body, lane_request *out)
{
    fb_code rc = FB_E_CORRUPT;
    FB_REQUIRE(r != NULL && rules != NULL && body != NULL && out != NULL);
    /* A damaged file is no work any more once it is noted: the loop ends. */
    for (int i = 0; rc == FB_E_CORRUPT && i < DAMAGED_MAX; i++) {
        buf_reset(body);
        out->path = NULL;
        FB_TRY(blob_next(r, rules, clock->now_ms, &out->work));
        rc = one_build(r, piece_bytes, body, out);
    }
    return rc;
}

/* --- in -------------------------------------------------------------------------------------- */

static int64_t retry_at_ms(const blob_info *b, const lane_clock *clock)
{
    return clock->now_ms + retry_wait_ms(b->tries, 0, clock->random);
}

static fb_code take_had(replica *r, const lane_request *q, fb_text body, arena *scratch)
{
    blob_had *m = arena_take(scratch, sizeof *m);
    if (m == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(blob_had_get(body, scratch, m));
    return blob_had_take(r, &q->work, m);
}

static fb_code take_stored(replica *r, const lane_request *q, fb_text body, arena *scratch,
                           const lane_clock *clock, lane_result *out)
{
    blob_stored m;
    FB_TRY(blob_stored_get(body, scratch, &m));
    FB_TRY(blob_stored_take(r, &q->work.blob, &m, retry_at_ms(&q->work.blob, clock)));
    out->stored = m.state != BLOB_STATE_PART;
    return FB_OK;
}

static fb_code take_got(replica *r, const lane_request *q, fb_text body, arena *scratch,
                        const lane_clock *clock, lane_result *out)
{
    blob_got m;
    blob_info now;
    const blob_info *b = &q->work.blob;
    FB_TRY(blob_got_get(body, scratch, &m));
    int64_t next_ms = m.absent ? clock->now_ms + LANE_ABSENT_RETRY_MS : retry_at_ms(b, clock);
    FB_TRY(blob_got_take(r, b, &m, next_ms));
    FB_TRY(blob_find(r, &b->hash, &now));
    out->fetched = blob_is_here(&now);
    out->trouble = now.error;
    return FB_OK;
}

static fb_code take_good(replica *r, const lane_request *q, const pull_answer *a,
                         const lane_clock *clock, lane_result *out)
{
    arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    fb_code rc = FB_E_NO_MEMORY;
    if (a->zstd) {
        rc = FB_E_PROTOCOL; /* photos do not shrink: these answers are never packed */
    } else if (scratch != NULL && q->work.todo == BLOB_TODO_ASK) {
        rc = take_had(r, q, a->body, scratch);
    } else if (scratch != NULL && q->work.todo == BLOB_TODO_PUT) {
        rc = take_stored(r, q, a->body, scratch, clock, out);
    } else if (scratch != NULL) {
        rc = take_got(r, q, a->body, scratch, clock, out);
    }
    arena_free(scratch);
    if (rc == FB_OK) {
        out->event = EV_MORE;
    }
    return rc;
}

/* Is it this file's trouble alone? Then the others go on. */
static bool is_of_one_file(fb_code code)
{
    return code == FB_E_NOT_FOUND || code == FB_E_INVALID || code == FB_E_LIMIT;
}

static fb_code take_refused(replica *r, const lane_request *q, fb_code code,
                            const lane_clock *clock, lane_result *out)
{
    fb_class klass = fb_code_class(code);
    if (q->work.todo != BLOB_TODO_ASK && is_of_one_file(code)) {
        FB_TRY(blob_failed(r, &q->work.blob, code, retry_at_ms(&q->work.blob, clock)));
        out->event = EV_MORE;
        out->trouble = code;
        return FB_OK;
    }
    if (klass == FB_CLASS_RETRY || klass == FB_CLASS_STORAGE || code == FB_E_EPOCH) {
        return FB_OK;
    }
    if (klass == FB_CLASS_AUTH || code == FB_E_VERSION || code == FB_E_PATH) {
        out->event = EV_REFUSED;
    }
    return code;
}

/* An answer that is not 200. */
static fb_code take_no(replica *r, const lane_request *q, const pull_answer *a,
                       const lane_clock *clock, lane_result *out, fb_error *err)
{
    fb_code code = FB_E_OFFLINE;
    FB_TRY(pull_refusal_read(a, &code, &out->retry_ms, err));
    fb_code rc = take_refused(r, q, code, clock, out);
    if (rc == FB_OK) {
        return FB_OK;
    }
    return rc == code
               ? fail(err, rc, "server", "the server refused the request (HTTP %d)", a->status)
               : fail(err, rc, "attachment",
                      "what the server said of it could not be noted: try again later");
}

fb_code lane_take(replica *r, const lane_request *q, const pull_answer *a, const lane_clock *clock,
                  lane_result *out, fb_error *err)
{
    FB_REQUIRE(r != NULL && q != NULL && q->path != NULL && a != NULL && out != NULL);
    *out = (lane_result){.event = EV_LATER};
    if (a->status != 200) {
        return take_no(r, q, a, clock, out, err);
    }
    fb_code rc = take_good(r, q, a, clock, out);
    if (rc != FB_OK && q->work.todo != BLOB_TODO_ASK) {
        /* Its next try waits; what could not even be noted comes again at once. */
        fb_code noted = blob_failed(r, &q->work.blob, rc, retry_at_ms(&q->work.blob, clock));
        (void)noted;
    }
    return rc == FB_OK ? FB_OK
                       : fail(err, rc, "attachment",
                              "the server's answer could not be taken (%s): try again later",
                              fb_code_text(rc, "en"));
}
