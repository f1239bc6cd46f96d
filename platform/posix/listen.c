/* listen.c - the loop of the listener: accepting, turns at handshakes, time, signals, stopping.
 * One connection is conn.c. See listen.h and listen_inside.h. */
#include "platform/posix/listen.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "platform/posix/listen_inside.h"
#include "platform/posix/port.h"

enum { BACKLOG = 1024, DAY_MS = 24 * 3600 * 1000, EXPIRY_WARN_DAYS = 30, FDS_BESIDE = 64 };

const listen_limits LISTEN_LIMITS_DEFAULT = {
    .connections_max = 5000,
    .strangers_per_address_max = 500,
    .requests_per_connection_max = 100000,
    .handshake_ms = 20000,
    .head_ms = 10000,
    .idle_ms = 30000,
    .progress_ms = 10000,
    .body_ms = 120000,
    .reply_ms = 300000,
    .linger_ms = 2000,
    .stop_ms = 10000,
};

/* ---------------------------------------------------------------- who is connected */

/* An IPv6 customer has a whole /64: it counts as one address. */
static size_t peer_key_bytes(const uint8_t peer[16])
{
    static const uint8_t V4_MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(peer, V4_MAPPED, sizeof V4_MAPPED) == 0 ? 16 : 8;
}

static uint32_t bucket_of(const uint8_t peer[16])
{
    uint32_t hash = 2166136261u; /* FNV-1a; an attacker gains at most a slow count */
    for (size_t i = 0; i < peer_key_bytes(peer); i++) {
        hash = (hash ^ peer[i]) * 16777619u;
    }
    return hash % PEER_BUCKETS;
}

void listener_add(listener *l, conn *c)
{
    conn **bucket = &l->peers[bucket_of(c->peer)];
    c->next = l->conns;
    if (l->conns != NULL) {
        l->conns->prev = c;
    }
    l->conns = c;
    c->peer_next = *bucket;
    if (*bucket != NULL) {
        (*bucket)->peer_prev = c;
    }
    *bucket = c;
    l->conns_count++;
}

static void maybe_finish(listener *l);

void listener_remove(listener *l, conn *c)
{
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        l->conns = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    if (c->peer_prev != NULL) {
        c->peer_prev->peer_next = c->peer_next;
    } else {
        l->peers[bucket_of(c->peer)] = c->peer_next;
    }
    if (c->peer_next != NULL) {
        c->peer_next->peer_prev = c->peer_prev;
    }
    FB_ASSERT(l->conns_count > 0);
    l->conns_count--;
    maybe_finish(l);
}

uint32_t listener_strangers(const listener *l, const uint8_t peer[16])
{
    uint32_t count = 0;
    size_t key_bytes = peer_key_bytes(peer);
    for (const conn *c = l->peers[bucket_of(peer)]; c != NULL; c = c->peer_next) {
        count += !c->is_known && peer_key_bytes(c->peer) == key_bytes &&
                 memcmp(c->peer, peer, key_bytes) == 0;
    }
    return count;
}

/* ---------------------------------------------------------------- turns at handshakes */

/* A handshake costs a millisecond of arithmetic. However many begin at once, the loop does a few
 * and then looks after everybody else. */
static void on_turn(uv_idle_t *turn)
{
    listener *l = turn->data;
    for (int i = 0; i < HANDSHAKES_PER_TURN && l->turn_first != NULL; i++) {
        conn *c = l->turn_first;
        listener_drop_turn(l, c);
        conn_take_turn(c);
    }
    if (l->turn_first == NULL) {
        uv_idle_stop(&l->turn);
    }
    if (l->accept_due && !l->stopping && l->turns_count < TURNS_MAX / 2) {
        conn_accept(l);
    }
}

void listener_queue_turn(listener *l, conn *c)
{
    if (c->in_turn) {
        return;
    }
    c->in_turn = true;
    c->turn_at_ms = listener_now_ms(l);
    c->turn_next = NULL;
    l->turns_count++;
    if (l->turn_last != NULL) {
        l->turn_last->turn_next = c;
    } else {
        l->turn_first = c;
    }
    l->turn_last = c;
    uv_idle_start(&l->turn, on_turn);
}

void listener_drop_turn(listener *l, conn *c)
{
    if (!c->in_turn) {
        return;
    }
    conn *before = NULL;
    for (conn *at = l->turn_first; at != c; at = at->turn_next) {
        before = at;
    }
    if (before != NULL) {
        before->turn_next = c->turn_next;
    } else {
        l->turn_first = c->turn_next;
    }
    if (l->turn_last == c) {
        l->turn_last = before;
    }
    c->in_turn = false;
    l->turns_count--;
    if (c->deadline_ms != 0) { /* the wait was ours */
        c->deadline_ms += listener_now_ms(l) - c->turn_at_ms;
    }
}

/* ---------------------------------------------------------------- stopping */

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void maybe_finish(listener *l)
{
    if (!l->stopping || l->finished || l->conns_count > 0 || work_inside_count(l->work) > 0) {
        return;
    }
    l->finished = true;
    uv_walk(&l->loop, close_handle, NULL);
}

static void begin_stop(listener *l)
{
    if (l->stopping) {
        return;
    }
    log_line(l->o.port_of_os, FB_LOG_INFO, "stopping connections=%u", (unsigned)l->conns_count);
    l->stopping = true;
    l->stop_at_ms = listener_now_ms(l) + l->o.limits.stop_ms;
    uv_close((uv_handle_t *)&l->tcp, NULL);
    work_stop_waiting(l->work);
    for (conn *c = l->conns; c != NULL; c = c->next) {
        conn_stop(c);
    }
    maybe_finish(l);
}

/* LIS-3 */
static void reload(listener *l)
{
    fb_error err = {0};
    if (tls_server_reload(l->tls, l->o.cert_file, l->o.key_file, &err) == FB_OK) {
        l->expiry_at_ms = 0;
        log_line(l->o.port_of_os, FB_LOG_INFO, "certificate_reloaded");
    } else {
        log_line(l->o.port_of_os, FB_LOG_ERROR,
                 "certificate_kept code=%s file=%s reason=\"%s\" cure=\"mend the file and send "
                 "SIGHUP again\"",
                 fb_code_name(err.code), err.field, err.message);
    }
    if (l->o.reloaded != NULL) {
        l->o.reloaded(l->o.ctx);
    }
}

static void on_command(uv_async_t *command)
{
    listener *l = command->data;
    if (atomic_exchange(&l->reload_wanted, false)) {
        reload(l);
    }
    if (atomic_exchange(&l->stop_wanted, false)) {
        begin_stop(l);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    listener *l = handle->data;
    if (number == SIGHUP) {
        reload(l);
    } else {
        begin_stop(l);
    }
}

/* ---------------------------------------------------------------- what the loop calls */

static void on_connection(uv_stream_t *stream, int status)
{
    if (status == 0) {
        conn_accept(stream->data);
    }
}

static void on_done(uv_async_t *done)
{
    listener *l = done->data;
    for (work_item *item = work_take_done(l->work), *next = NULL; item != NULL; item = next) {
        next = item->next;
        if (item->owner != NULL) {
            conn_answer(item->owner);
        } else {
            work_item_free(l->work, item);
        }
    }
    maybe_finish(l);
}

static void notify_done(void *ctx)
{
    listener *l = ctx;
    uv_async_send(&l->done);
}

/* One line a minute whatever happens: a flood must not fill the disk. */
static void report(listener *l, uint64_t now_ms)
{
    static const listen_counts NOTHING;
    uint32_t queue_max = 0, sent_away = 0;
    if (now_ms < l->report_at_ms) {
        return;
    }
    l->report_at_ms = now_ms + REPORT_MS;
    work_counts_take(l->work, &queue_max, &sent_away);
    if (memcmp(&l->counts, &NOTHING, sizeof NOTHING) == 0) {
        return;
    }
    bool odd = l->counts.turned_away + l->counts.refused + l->counts.timed_out > 0;
    log_line(l->o.port_of_os, odd ? FB_LOG_WARN : FB_LOG_INFO,
             "traffic open=%u accepted=%u turned_away=%u handshakes_failed=%u refused=%u "
             "timed_out=%u queue_max=%u sent_away=%u",
             (unsigned)l->conns_count, (unsigned)l->counts.accepted,
             (unsigned)l->counts.turned_away, (unsigned)l->counts.handshakes_failed,
             (unsigned)l->counts.refused, (unsigned)l->counts.timed_out, (unsigned)queue_max,
             (unsigned)sent_away);
    l->counts = NOTHING;
}

static void watch_expiry(listener *l, uint64_t now_ms)
{
    if (now_ms < l->expiry_at_ms) {
        return;
    }
    l->expiry_at_ms = now_ms + DAY_MS;
    int64_t wall_ms = l->o.port_of_os->wall_ms(l->o.port_of_os->ctx);
    int64_t days = (tls_server_expires_ms(l->tls) - wall_ms) / DAY_MS;
    if (days < EXPIRY_WARN_DAYS) {
        log_line(l->o.port_of_os, days < EXPIRY_WARN_DAYS / 4 ? FB_LOG_ERROR : FB_LOG_WARN,
                 "certificate_ends days=%d cure=\"issue a new one, then send SIGHUP\"", (int)days);
    }
}

static void on_sweep(uv_timer_t *sweep)
{
    listener *l = sweep->data;
    uint64_t now = listener_now_ms(l);
    bool out_of_time = l->stopping && now >= l->stop_at_ms;
    for (conn *c = l->conns; c != NULL; c = c->next) {
        if (out_of_time) {
            conn_close(c);
        } else {
            conn_check_time(c, now);
        }
    }
    if (l->accept_due && !l->stopping) {
        conn_accept(l);
    }
    work_expire(l->work, now);
    report(l, now);
    watch_expiry(l, now);
    maybe_finish(l);
}

/* ---------------------------------------------------------------- life */

static fb_code check_limit(const char *name, uint32_t value, uint32_t max, fb_error *err)
{
    if (value == 0 || value > max) {
        return fail(err, FB_E_CONFIG, name, "must be 1 to %u", (unsigned)max);
    }
    return FB_OK;
}

static fb_code check_options(const listen_options *o, fb_error *err)
{
    const listen_limits *is = &o->limits, *max = &LISTEN_LIMITS_DEFAULT;
    FB_REQUIRE(o->address != NULL && o->cert_file != NULL && o->key_file != NULL);
    FB_REQUIRE(o->ops != NULL && o->port_of_os != NULL);
    FB_TRY(check_limit("connections_max", is->connections_max, max->connections_max, err));
    FB_TRY(check_limit("strangers_per_address_max", is->strangers_per_address_max,
                       max->strangers_per_address_max, err));
    FB_TRY(check_limit("requests_per_connection_max", is->requests_per_connection_max,
                       max->requests_per_connection_max, err));
    FB_TRY(check_limit("handshake_ms", is->handshake_ms, max->handshake_ms, err));
    FB_TRY(check_limit("head_ms", is->head_ms, max->head_ms, err));
    FB_TRY(check_limit("idle_ms", is->idle_ms, max->idle_ms, err));
    FB_TRY(check_limit("progress_ms", is->progress_ms, max->progress_ms, err));
    FB_TRY(check_limit("body_ms", is->body_ms, max->body_ms, err));
    FB_TRY(check_limit("reply_ms", is->reply_ms, max->reply_ms, err));
    FB_TRY(check_limit("linger_ms", is->linger_ms, max->linger_ms, err));
    FB_TRY(check_limit("stop_ms", is->stop_ms, max->stop_ms, err));
    return check_limit("readers", o->readers_count, WORK_READERS_MAX, err);
}

/* A connection is a file descriptor: without room for all of them the limit would be a lie. */
static fb_code raise_descriptors(const listen_options *o, fb_error *err)
{
    struct rlimit r;
    rlim_t wanted = (rlim_t)o->limits.connections_max + FDS_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= wanted) {
        return FB_OK;
    }
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur < wanted) {
        return fail(err, FB_E_CONFIG, "connections_max",
                    "%u connections need %u file descriptors and the system allows %u: lower it "
                    "or raise the limit (ulimit -n)",
                    (unsigned)o->limits.connections_max, (unsigned)wanted, (unsigned)r.rlim_max);
    }
    return FB_OK;
}

static fb_code init_loop(listener *l, fb_error *err)
{
    static const int NUMBERS[] = {SIGTERM, SIGINT, SIGHUP};
    int rc = uv_loop_init(&l->loop);
    l->loop_ready = rc == 0;
    rc = rc != 0 ? rc : uv_timer_init(&l->loop, &l->sweep);
    rc = rc != 0 ? rc : uv_async_init(&l->loop, &l->done, on_done);
    rc = rc != 0 ? rc : uv_async_init(&l->loop, &l->command, on_command);
    rc = rc != 0 ? rc : uv_idle_init(&l->loop, &l->turn);
    rc = rc != 0 ? rc : uv_tcp_init(&l->loop, &l->tcp);
    rc = rc != 0 ? rc : uv_timer_start(&l->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    for (size_t i = 0; rc == 0 && l->o.handle_signals && i < 3; i++) {
        l->signals[i].data = l;
        rc = uv_signal_init(&l->loop, &l->signals[i]);
        rc = rc != 0 ? rc : uv_signal_start(&l->signals[i], on_signal, NUMBERS[i]);
    }
    l->sweep.data = l->done.data = l->command.data = l->turn.data = l->tcp.data = l;
    return rc == 0 ? FB_OK
                   : fail(err, FB_E_IO, "", "the event loop cannot start: %s", uv_strerror(rc));
}

static fb_code start_listening(listener *l, fb_error *err)
{
    struct sockaddr_storage name;
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    memset(&name, 0, sizeof name);
    if (uv_ip4_addr(l->o.address, l->o.port, &v4) == 0) {
        memcpy(&name, &v4, sizeof v4);
    } else if (uv_ip6_addr(l->o.address, l->o.port, &v6) == 0) {
        memcpy(&name, &v6, sizeof v6);
    } else {
        return fail(err, FB_E_CONFIG, "address",
                    "must be an IP address of this machine, 0.0.0.0 or :: for all");
    }
    int rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&name, 0);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    int size = sizeof name;
    rc = rc != 0 ? rc : uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&name, &size);
    if (rc != 0) {
        return fail(err, FB_E_CONFIG, "port",
                    "cannot listen on port %u: %s: choose a free port and an address of this "
                    "machine",
                    (unsigned)l->o.port, uv_strerror(rc));
    }
    memcpy(&v4, &name, sizeof v4);
    memcpy(&v6, &name, sizeof v6);
    l->port = ntohs(name.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
    return FB_OK;
}

static fb_code open_parts(listener *l, fb_error *err)
{
    FB_TRY(raise_descriptors(&l->o, err));
    FB_TRY(init_loop(l, err));
    FB_TRY(tls_server_new(l->o.cert_file, l->o.key_file, &l->tls, err));
    work_options w = {.server = l->o.server,
                      .ops = l->o.ops,
                      .port = l->o.port_of_os,
                      .readers_count = l->o.readers_count,
                      .notify = notify_done,
                      .ctx = l};
    FB_TRY(work_open(&w, &l->work, err));
    return start_listening(l, err);
}

fb_code listener_open(const listen_options *o, listener **out, fb_error *err)
{
    FB_REQUIRE(o != NULL && out != NULL);
    FB_TRY(check_options(o, err));
    listener *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory");
    }
    l->o = *o;
    atomic_init(&l->stop_wanted, false);
    atomic_init(&l->reload_wanted, false);
    l->report_at_ms = listener_now_ms(l) + REPORT_MS;
    fb_code rc = open_parts(l, err);
    if (rc != FB_OK) {
        listener_close(l);
        return rc;
    }
    *out = l;
    return FB_OK;
}

fb_code listener_run(listener *l)
{
    FB_REQUIRE(l != NULL);
    int left = uv_run(&l->loop, UV_RUN_DEFAULT);
    log_line(l->o.port_of_os, FB_LOG_INFO, "stopped");
    return left == 0 ? FB_OK : FB_E_BUG;
}

void listener_close(listener *l)
{
    if (l == NULL) {
        return;
    }
    work_close(l->work);
    if (l->loop_ready) {
        uv_walk(&l->loop, close_handle, NULL);
        uv_run(&l->loop, UV_RUN_DEFAULT);
        FB_ASSERT(uv_loop_close(&l->loop) == 0);
    }
    tls_server_free(l->tls);
    free(l);
}

uint16_t listener_get_port(const listener *l)
{
    return l->port;
}

void listener_stop(listener *l)
{
    atomic_store(&l->stop_wanted, true);
    uv_async_send(&l->command);
}

void listener_reload(listener *l)
{
    atomic_store(&l->reload_wanted, true);
    uv_async_send(&l->command);
}

uint32_t listener_get_connections(const listener *l)
{
    return l->conns_count;
}
