/* conn.c - one connection: accepting, handshake, requests, time. See the picture in
 * listen_inside.h; what leaves the connection is conn_out.c. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "platform/posix/listen_inside.h"

enum { KEEPALIVE_S = 60 };

/* ---------------------------------------------------------------- the end of a connection */

static void on_closed(uv_handle_t *handle)
{
    conn *c = handle->data;
    listener_remove(c->l, c);
    tls_conn_free(c->tls);
    buf_clear(&c->plain);
    buf_clear(&c->own);
    buf_clear(&c->sending);
    free(c);
}

void conn_drop_reader(conn *c)
{
    if (c->reader != NULL) {
        http_reader_clear(c->reader);
        free(c->reader);
        c->reader = NULL;
    }
}

/* In work: it comes back later, to nobody. Answered: it is ours. */
static void drop_item(conn *c)
{
    if (c->item != NULL && c->state == CONN_WORK) {
        work_cancel(c->l->work, c->item);
    } else {
        work_item_free(c->l->work, c->item);
    }
    c->item = NULL;
}

void conn_close(conn *c)
{
    if (c->state == CONN_CLOSED) {
        return;
    }
    drop_item(c);
    conn_drop_reader(c);
    listener_drop_turn(c->l, c);
    c->state = CONN_CLOSED;
    c->reply = (fb_text){0};
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes);

static void lend_incoming(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    conn *c = handle->data;
    (void)wanted;
    *out = uv_buf_init(c->l->incoming, sizeof c->l->incoming);
}

void conn_set_reading(conn *c, bool wanted)
{
    if (wanted && !c->is_reading) {
        c->is_reading = uv_read_start((uv_stream_t *)&c->tcp, lend_incoming, on_read) == 0;
        if (!c->is_reading) {
            conn_close(c);
        }
    } else if (!wanted && c->is_reading) {
        c->is_reading = false;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

/* ---------------------------------------------------------------- requests */

static void put_peer(const conn *c, char out[WORK_PEER_BYTES])
{
    static const uint8_t V4_MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool v4 = memcmp(c->peer, V4_MAPPED, sizeof V4_MAPPED) == 0;
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->peer + 12 : c->peer, out, WORK_PEER_BYTES) ==
        NULL) {
        out[0] = '\0';
    }
}

static void start_work(conn *c)
{
    http_reader *r = c->reader;
    uint32_t retry_ms = work_admit(c->l->work);
    if (retry_ms > 0) {
        conn_send_away(c, FB_E_BUSY, retry_ms);
        return;
    }
    work_item *item = work_item_new();
    if (item == NULL) {
        conn_refuse(c, 503, FB_E_NO_MEMORY, NULL);
        return;
    }
    item->owner = c;
    put_peer(c, item->peer);
    item->request = (server_request){.method = http_reader_get_method(r),
                                     .path = http_reader_get_path(r),
                                     .authorization = r->verdict.authorization,
                                     .content_type = r->verdict.content_type,
                                     .content_encoding = r->verdict.content_encoding,
                                     .peer = text_of(item->peer),
                                     .body = buf_text(&r->body)};
    item->head = r->head; /* the request's texts stay where they are */
    item->body = r->body;
    buf_init(&r->head, 0);
    buf_init(&r->body, 0);
    c->has_authorization = r->verdict.authorization.data != NULL;
    c->requests_count++;
    c->close_after =
        r->verdict.close || c->requests_count >= c->l->o.limits.requests_per_connection_max;
    conn_drop_reader(c);
    c->item = item;
    c->state = CONN_WORK;
    conn_set_deadline(c, 0, 0);
    work_submit(c->l->work, item);
}

static bool begin_request(conn *c)
{
    if (c->reader != NULL) {
        return true;
    }
    c->reader = malloc(sizeof *c->reader);
    if (c->reader == NULL) {
        conn_close(c);
        return false;
    }
    http_reader_init(c->reader);
    if (c->requests_count > 0) {
        conn_set_deadline(c, c->l->o.limits.head_ms, 0);
    }
    return true;
}

/* `data` is the listener's scratch: what is not used must be copied. */
static void take_plain(conn *c, const char *data, size_t size)
{
    if (!begin_request(c)) {
        return;
    }
    size_t used = 0;
    read_step step = http_reader_feed(c->reader, data, size, &used);
    if (step == READ_REFUSED) {
        http_verdict v = c->reader->verdict;
        conn_refuse(c, v.status, v.code, v.allow);
        return;
    }
    if (step == READ_WHOLE) {
        buf_put(&c->plain, data + used, size - used);
        if (c->plain.code != FB_OK) {
            conn_close(c);
            return;
        }
        start_work(c);
        return;
    }
    if (c->reader->has_head && c->state == CONN_REQUEST) {
        c->state = CONN_BODY;
        conn_set_deadline(c, c->l->o.limits.progress_ms, c->l->o.limits.body_ms);
    }
    c->moved_bytes += size;
}

/* Plain bytes into the listener's scratch: first what was read behind the last request. */
static size_t next_plain(conn *c)
{
    char *plain = c->l->plain;
    size_t size = c->plain.size;
    if (size > 0) {
        memcpy(plain, c->plain.data, size);
        buf_clear(&c->plain);
        return size;
    }
    switch (tls_conn_read(c->tls, plain, TLS_RECORD_BYTES_MAX, &size)) {
    case TLS_DONE:
        return size;
    case TLS_MORE:
        return 0;
    case TLS_CLOSED:
    case TLS_FAILED:
        (void)conn_flush(c); /* an alert, if there is one */
        conn_close(c);
        return 0;
    }
    return 0;
}

void conn_advance(conn *c)
{
    c->is_resting = false;
    c->busy_at_ms = listener_now_ms(c->l);
    while (c->state == CONN_REQUEST || c->state == CONN_BODY) {
        size_t size = next_plain(c);
        if (size == 0) {
            break;
        }
        take_plain(c, c->l->plain, size);
    }
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER) {
        return;
    }
    if (tls_conn_keep(c->tls) != FB_OK) {
        conn_close(c);
        return;
    }
    conn_set_reading(c, tls_conn_fed_bytes(c->tls) < BEHIND_BYTES_MAX);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
    conn *c = stream->data;
    if (size == 0 || c->state == CONN_CLOSED) {
        return;
    }
    if (size < 0) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_LINGER) {
        c->lingered_bytes += (size_t)size;
        if (c->lingered_bytes > LISTEN_LINGER_BYTES_MAX) {
            conn_close(c);
        }
        return;
    }
    if (tls_conn_feed(c->tls, bytes->base, (size_t)size) != FB_OK) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_HANDSHAKE) {
        listener_queue_turn(c->l, c);
    }
    conn_advance(c);
}

/* ---------------------------------------------------------------- the beginning */

void conn_take_turn(conn *c)
{
    tls_status status = tls_conn_handshake(c->tls);
    if (status == TLS_DONE) {
        c->state = CONN_REQUEST;
        conn_set_deadline(c, c->l->o.limits.head_ms, 0);
        if (conn_flush(c)) {
            buf_clear(tls_conn_out(c->tls));
            conn_advance(c);
        }
        return;
    }
    if (status == TLS_MORE) {
        if (conn_flush(c)) {
            conn_advance(c);
        }
        return;
    }
    c->l->counts.handshakes_failed++;
    conn_linger(c); /* the alert says why */
}

static void get_peer(conn *c)
{
    struct sockaddr_storage name;
    int size = sizeof name;
    memset(&name, 0, sizeof name);
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&name, &size) != 0) {
        return;
    }
    if (name.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &name, sizeof v6);
        memcpy(c->peer, &v6.sin6_addr, 16);
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, &name, sizeof v4);
        c->peer[10] = 0xff;
        c->peer[11] = 0xff;
        memcpy(c->peer + 12, &v4.sin_addr, 4);
    }
}

static bool is_welcome(listener *l, const conn *c)
{
    return !l->stopping && l->conns_count < l->o.limits.connections_max &&
           listener_strangers(l, c->peer) < l->o.limits.strangers_per_address_max;
}

static void begin(conn *c)
{
    listener *l = c->l;
    bool welcome = is_welcome(l, c);
    listener_add(l, c);
    if (!welcome || tls_conn_new(l->tls, &c->tls) != FB_OK) {
        l->counts.turned_away++;
        conn_close(c);
        return;
    }
    l->counts.accepted++;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
    conn_set_deadline(c, l->o.limits.handshake_ms, 0);
    conn_set_reading(c, true);
}

void conn_accept(listener *l)
{
    bool crowded = l->turns_count >= TURNS_MAX;
    conn *c = crowded ? NULL : calloc(1, sizeof *c);
    l->accept_due = c == NULL; /* libuv reports nothing more until it is accepted */
    if (c == NULL) {
        return;
    }
    c->l = l;
    c->tcp.data = c;
    buf_init(&c->plain, TLS_RECORD_BYTES_MAX);
    buf_init(&c->own, ERROR_BODY_BYTES_MAX);
    buf_init(&c->sending, TLS_OUT_BYTES_MAX);
    if (uv_tcp_init(&l->loop, &c->tcp) != 0) {
        free(c);
        return;
    }
    if (uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)&c->tcp) != 0) {
        listener_add(l, c);
        conn_close(c);
        return;
    }
    get_peer(c);
    begin(c);
}

/* ---------------------------------------------------------------- time */

static bool has_progress(conn *c, uint64_t now_ms)
{
    bool body = c->state == CONN_BODY;
    if ((!body && c->state != CONN_REPLY) || (c->final_ms != 0 && now_ms >= c->final_ms)) {
        return false;
    }
    if (conn_bytes_moved(c) - c->mark_bytes < LISTEN_PROGRESS_BYTES) {
        return false;
    }
    c->mark_bytes = conn_bytes_moved(c);
    c->deadline_ms = now_ms + c->l->o.limits.progress_ms;
    return true;
}

static void rest(conn *c, uint64_t now_ms)
{
    bool idle = c->state == CONN_WORK || (c->state == CONN_REQUEST && c->reader == NULL);
    if (idle && !c->is_resting && now_ms - c->busy_at_ms > REST_AFTER_MS) {
        tls_conn_rest(c->tls);
        c->is_resting = true;
    }
}

void conn_check_time(conn *c, uint64_t now_ms)
{
    rest(c, now_ms);
    bool due = (c->deadline_ms != 0 && now_ms >= c->deadline_ms) ||
               (c->final_ms != 0 && now_ms >= c->final_ms);
    if (!due || c->state == CONN_CLOSED || c->in_turn || has_progress(c, now_ms)) {
        return;
    }
    bool half_request = c->state == CONN_BODY || (c->state == CONN_REQUEST && c->reader != NULL);
    c->l->counts.timed_out += c->state != CONN_REQUEST || half_request;
    if (half_request) {
        conn_refuse(c, 408, FB_E_TIMEOUT, NULL);
    } else if (c->state == CONN_REQUEST) {
        tls_conn_say_goodbye(c->tls);
        conn_linger(c);
    } else {
        conn_close(c);
    }
}

void conn_stop(conn *c)
{
    if (c->state == CONN_REQUEST) {
        tls_conn_say_goodbye(c->tls);
        conn_linger(c);
    } else if (c->state == CONN_HANDSHAKE || c->state == CONN_BODY) {
        conn_close(c);
    }
}
