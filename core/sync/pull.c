/* pull.c - see pull.h. */
#include "sync/pull.h"

#include "base/check.h"
#include "base/trace.h"
#include "schema/limits.h"
#include "wire/pack.h"

/* The keys of a body of so many bytes, whoever wrote it, fit the scratch: want of memory is ours.
 */
enum { SCRATCH_BYTES_MAX = 8 << 20, ERROR_BODY_BYTES_MAX = 64 << 10 };
static const char NO_MEMORY[] =
    "out of memory while the server's answer was read: close something and try again";
static const char UNREADABLE[] =
    "the server's answer is damaged or too large: it was left alone, try again";

static fb_code unpack(const pull_answer *a, size_t max_bytes, buf *memory, fb_text *body_out)
{
    *body_out = a->body;
    if (!a->zstd) {
        return a->body.size <= max_bytes ? FB_OK : FB_E_LIMIT;
    }
    FB_TRY(pack_get(memory, a->body, max_bytes));
    *body_out = buf_text(memory);
    return FB_OK;
}

/* Nothing was judged although groups went up, and nothing came: asking again at once would spin. */
static bool stood_still(const pull_answer *a, const stage_result *s)
{
    return a->groups_sent > 0 && s->verdicts == 0 && s->rows == 0 && !s->epoch_changed;
}

static session_event next_event(replica *r, const pull_answer *a, pull_result *out)
{
    outbox_state outbox;
    const stage_result *s = &out->stage;

    if (outbox_state_get(r, &outbox) != FB_OK) {
        return EV_LATER;
    }
    bool groups_left = outbox.acked < outbox.last;
    if (s->complete && !groups_left) {
        out->all_but_late = s->digest_again || s->catalog_waits;
        return out->all_but_late ? EV_MORE : EV_DONE;
    }
    return groups_left && stood_still(a, s) ? EV_LATER : EV_MORE;
}

static fb_code take_fork(replica *r, pull_result *out, fb_error *err)
{
    FB_TRY(replica_rebirth(r, err));
    out->reborn = true;
    out->event = EV_MORE;
    return FB_OK;
}

static fb_code take_reply(replica *r, const pull_answer *a, pull_result *out, fb_error *err)
{
    buf memory;
    fb_text body;

    buf_init(&memory, PAGE_BYTES_MAX);
    fb_code rc = unpack(a, PAGE_BYTES_MAX, &memory, &body);
    if (rc != FB_OK) {
        rc = fail(err, rc, "reply", "%s", rc == FB_E_NO_MEMORY ? NO_MEMORY : UNREADABLE);
    } else if ((rc = stage_reply(r, body, a->request_wall_ms, &out->stage, err)) == FB_OK) {
        out->staged = true;
        out->event = next_event(r, a, out);
        out->retry_ms = out->stage.retry_ms;
        trace(replica_port(r), TRACE_PULL, "applied=%lld rows=%u verdicts=%u complete=%d",
              (long long)out->stage.applied, (unsigned)out->stage.rows,
              (unsigned)out->stage.verdicts, out->stage.complete);
    }
    buf_clear(&memory);
    /* The server has verdicts for groups this file never wrote: it is an old copy. */
    return rc == FB_E_FORK ? take_fork(r, out, err) : rc;
}

static fb_code error_read(const pull_answer *a, buf *memory, error_msg *out)
{
    fb_text body;
    arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    if (scratch == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = unpack(a, ERROR_BODY_BYTES_MAX, memory, &body);
    rc = rc == FB_OK ? error_msg_get(body, scratch, out) : rc;
    arena_free(scratch); /* the text is not looked at */
    return rc;
}

fb_code pull_refusal_read(const pull_answer *a, fb_code *code_out, uint32_t *retry_ms_out,
                          fb_error *err)
{
    buf memory;
    error_msg m = {.code = FB_E_OFFLINE};

    buf_init(&memory, ERROR_BODY_BYTES_MAX);
    fb_code rc = error_read(a, &memory, &m);
    buf_clear(&memory);
    if (rc != FB_OK) {
        m = (error_msg){.code = FB_E_OFFLINE};
    }
    *retry_ms_out = m.retry_ms > a->retry_ms ? m.retry_ms : a->retry_ms;
    if (rc == FB_E_NO_MEMORY) {
        return fail(err, rc, "server", "%s", NO_MEMORY);
    }
    *code_out = m.code == FB_OK ? FB_E_PROTOCOL : m.code;
    return FB_OK;
}

/* What the person can do about a refusal; "" where the code's own text says it. */
static const char *cure_of(fb_code code)
{
    switch (code) {
    case FB_E_AUTH:
        return ": enrol this replica again with a new code; what is saved is kept";
    case FB_E_DEVICE:
        return ": ask your administrator to activate it, or for a new code to enrol it again; what "
               "is saved is kept";
    case FB_E_GAP:
        return ": synchronise again; if it stays, tell IT: the server may have been restored";
    default:
        return "";
    }
}

/* A proxy in front of the server says 429 or 5xx when there is too much to do. Anything else that
 * is not the server's own answer comes from a network that wants a sign-in, or from another server.
 */
static bool is_foreign(fb_code code, int status)
{
    enum { SIGN_IN = 511, TOO_MANY = 429, TROUBLE = 500 };
    return code == FB_E_OFFLINE && status != TOO_MANY && (status < TROUBLE || status == SIGN_IN);
}

fb_code pull_refusal(replica *r, const pull_answer *a, pull_result *out, fb_error *err)
{
    FB_REQUIRE(r != NULL && a != NULL && out != NULL);
    *out = (pull_result){.event = EV_LATER};
    fb_code code = FB_E_OFFLINE;
    FB_TRY(pull_refusal_read(a, &code, &out->retry_ms, err));
    fb_class klass = fb_code_class(code);

    if (code == FB_E_FORK) {
        return take_fork(r, out, err);
    }
    if (is_foreign(code, a->status)) {
        return fail(err, code, "server",
                    "something else than the server answered (HTTP %d): sign in to this network or "
                    "check the address; what is saved stays saved",
                    a->status);
    }
    if (klass == FB_CLASS_RETRY || klass == FB_CLASS_STORAGE) {
        return FB_OK;
    }
    if (klass == FB_CLASS_AUTH || code == FB_E_VERSION) {
        out->event = EV_REFUSED;
    }
    return fail(err, code, "server", "the server refused the request (HTTP %d)%s", a->status,
                cure_of(code));
}

fb_code pull_take(replica *r, const pull_answer *answer, pull_result *out, fb_error *err)
{
    FB_REQUIRE(r != NULL && answer != NULL && out != NULL);

    *out = (pull_result){.event = EV_LATER};
    return answer->status == 200 ? take_reply(r, answer, out, err)
                                 : pull_refusal(r, answer, out, err);
}
