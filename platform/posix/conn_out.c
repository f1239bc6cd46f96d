/* conn_out.c - what leaves a connection: replies, refusals, the last words. See listen_inside.h. */
#include "base/check.h"
#include "platform/posix/listen_inside.h"
#include "sync-server/http/reply.h"

enum { OUT_BYTES_TARGET = 64 << 10, REPLY_HEAD_BYTES_MAX = 2048 };

static void push_reply(conn *c);

/* ---------------------------------------------------------------- bytes out */

static void sent(uv_write_t *write, int status)
{
    conn *c = write->data;
    buf_clear(&c->sending);
    if (c->state == CONN_CLOSED) {
        return;
    }
    if (status < 0) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_REPLY) {
        push_reply(c);
        conn_advance(c);
    }
}

bool conn_flush(conn *c)
{
    buf *out = tls_conn_out(c->tls);
    if (c->sending.size > 0 || out->size == 0) {
        return true;
    }
    uv_buf_t bytes = uv_buf_init(out->data, (unsigned)out->size);
    int done = uv_try_write((uv_stream_t *)&c->tcp, &bytes, 1);
    if (done < 0 && done != UV_EAGAIN) {
        conn_close(c);
        return false;
    }
    size_t put = done > 0 ? (size_t)done : 0;
    c->moved_bytes += out->size;
    if (put == out->size) {
        buf_reset(out);
        return true;
    }
    c->sending = *out;
    buf_init(out, TLS_OUT_BYTES_MAX);
    bytes = uv_buf_init(c->sending.data + put, (unsigned)(c->sending.size - put));
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &bytes, 1, sent) != 0) {
        conn_close(c);
        return false;
    }
    return true;
}

uint64_t conn_bytes_moved(const conn *c)
{
    uint64_t waiting = uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
    return c->moved_bytes > waiting ? c->moved_bytes - waiting : 0;
}

void conn_set_deadline(conn *c, uint32_t ms, uint32_t final_ms)
{
    uint64_t now = listener_now_ms(c->l);
    c->deadline_ms = ms == 0 ? 0 : now + ms;
    c->final_ms = final_ms == 0 ? 0 : now + final_ms;
    c->mark_bytes = conn_bytes_moved(c);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status; /* the linger's time ends the connection either way */
}

void conn_linger(conn *c)
{
    if (!conn_flush(c)) {
        return;
    }
    c->state = CONN_LINGER;
    conn_set_deadline(c, c->l->o.limits.linger_ms, 0);
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
        conn_close(c);
        return;
    }
    conn_set_reading(c, true);
}

/* ---------------------------------------------------------------- replies */

static void finish_reply(conn *c)
{
    work_item_free(c->l->work, c->item);
    c->item = NULL;
    buf_clear(&c->own);
    buf_clear(tls_conn_out(c->tls)); /* CON-2 */
    if (c->close_after || c->l->stopping) {
        tls_conn_say_goodbye(c->tls);
        conn_linger(c);
        return;
    }
    c->state = CONN_REQUEST;
    conn_set_deadline(c, c->l->o.limits.idle_ms, 0);
}

static bool encrypt(conn *c, const void *data, size_t size)
{
    if (tls_conn_write(c->tls, data, size) == TLS_DONE) {
        return true;
    }
    conn_close(c);
    return false;
}

static void push_reply(conn *c)
{
    const buf *out = tls_conn_out(c->tls);
    for (;;) {
        while (c->reply.size > 0 && out->size < OUT_BYTES_TARGET) {
            size_t size = c->reply.size;
            size = size < TLS_RECORD_BYTES_MAX ? size : TLS_RECORD_BYTES_MAX;
            if (!encrypt(c, c->reply.data, size)) {
                return;
            }
            c->reply.data += size;
            c->reply.size -= size;
        }
        if (!conn_flush(c) || c->sending.size > 0) {
            return; /* sent() goes on */
        }
        if (c->reply.size == 0) {
            finish_reply(c);
            return;
        }
    }
}

/* Head and the first of the body leave in one record. */
static void send_reply(conn *c, http_reply *reply, fb_text body)
{
    buf first;
    buf_init(&first, TLS_RECORD_BYTES_MAX);
    reply->body_bytes = body.size;
    reply->close = reply->close || c->close_after || c->l->stopping;
    reply->wall_ms = c->l->o.port_of_os->wall_ms(c->l->o.port_of_os->ctx);
    c->close_after = reply->close;
    http_reply_put(&first, reply);
    FB_ASSERT(first.size < REPLY_HEAD_BYTES_MAX);
    size_t fits = TLS_RECORD_BYTES_MAX - first.size;
    size_t size = body.size < fits ? body.size : fits;
    buf_put(&first, body.data, size);
    if (first.code != FB_OK) {
        buf_clear(&first);
        conn_close(c);
        return;
    }
    c->reply = (fb_text){.data = body.data + size, .size = body.size - size};
    c->state = CONN_REPLY;
    conn_set_deadline(c, c->l->o.limits.progress_ms, c->l->o.limits.reply_ms);
    bool fine = encrypt(c, first.data, first.size);
    buf_clear(&first);
    if (fine) {
        push_reply(c);
    }
}

/* {"m":"error",...} as protocol.md section 1 asks of every answer other than 200. */
static void put_error_body(buf *out, fb_code code, uint32_t retry_ms)
{
    error_msg m = {.code = code, .text = text_of(fb_code_text(code, "en")), .retry_ms = retry_ms};
    error_msg_put(out, &m);
}

/* What stands behind every refusal. */
static void refuse(conn *c, http_reply *reply, fb_code code, uint32_t retry_ms)
{
    bool bodyless = c->reader != NULL && text_is(http_reader_get_method(c->reader), "HEAD");
    conn_drop_reader(c);
    buf_clear(&c->plain);
    buf_init(&c->own, ERROR_BODY_BYTES_MAX);
    if (!bodyless) {
        put_error_body(&c->own, code, retry_ms);
    }
    c->l->counts.refused++;
    send_reply(c, reply, buf_text(&c->own));
}

void conn_refuse(conn *c, int status, fb_code code, const char *allow)
{
    uint32_t retry_s = fb_code_class(code) == FB_CLASS_RETRY ? 1 : 0;
    http_reply reply = {.status = status, .close = true, .retry_s = retry_s, .allow = allow};
    refuse(c, &reply, code, retry_s * 1000);
}

void conn_send_away(conn *c, fb_code code, uint32_t retry_ms)
{
    http_reply reply = {.status = 503, .close = true, .retry_s = (retry_ms + 999) / 1000};
    refuse(c, &reply, code, retry_ms);
}

void conn_answer(conn *c)
{
    const server_ops *ops = c->l->o.ops;
    FB_ASSERT(c->state == CONN_WORK && c->item != NULL);
    server_job *job = c->item->job;
    c->state = CONN_REPLY;
    if (job == NULL || ops->job_next(job) != JOB_DONE) {
        /* Memory was short, or it waited and the server stops. */
        conn_refuse(c, 503, job == NULL ? FB_E_NO_MEMORY : FB_E_BUSY, NULL);
        conn_advance(c);
        return;
    }
    const server_reply *r = ops->job_reply(job);
    http_reply reply = {
        .status = r->status, .zstd = r->zstd, .close = r->close, .retry_s = r->retry_s};
    c->is_known = c->is_known || (r->status == 200 && c->has_authorization);
    send_reply(c, &reply, r->body);
    conn_advance(c);
}
