/* server_rig.c - see server_rig.h. */
#include "support/server_rig.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "platform/posix/file.h"
#include "platform/posix/port.h"

enum { BODY_BYTES_MAX = 8 << 20 };

/* The listener's opaque types, filled by this test. */
struct server {
    atomic_int_fast64_t head;
    atomic_uint seen, batches, written;
};

struct server_reader {
    int nothing;
};

struct server_job {
    buf body;
    server_reply reply;
    job_next next;
    server *s;
    int64_t head_at_start;
    uint64_t wait_until_ms;
    uint32_t slow_ms;
    bool is_wait, is_late;
};

struct rig {
    server server;
    listener *l;
    pthread_t thread;
    fb_code ended;
    char folder[64];
    char url[64];
    char ca[128], cert[128], key[128], path[192];
};

uint64_t rig_now_ms(void)
{
    const fb_port *port = fb_port_posix();
    return port->mono_ms(port->ctx);
}

void rig_sleep_ms(uint32_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* ---------------------------------------------------------------- the pretended server */

static fb_code reader_open(server *s, server_reader **out, fb_error *err)
{
    (void)s;
    (void)err;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static void reader_close(server_reader *r)
{
    free(r);
}

static void answer(server_job *j, const char *text)
{
    buf_reset(&j->body);
    buf_put_str(&j->body, text);
    j->reply.body = buf_text(&j->body);
    j->next = JOB_DONE;
}

static bool begins(fb_text body, const char *word, uint32_t *number_out)
{
    size_t size = strlen(word);
    if (body.size < size || memcmp(body.data, word, size) != 0) {
        return false;
    }
    uint32_t number = 0;
    for (size_t i = size; i < body.size; i++) {
        if (body.data[i] >= '0' && body.data[i] <= '9') {
            number = number * 10 + (uint32_t)(body.data[i] - '0');
        }
    }
    *number_out = number;
    return true;
}

static server_job *prepare(server *s, server_reader *r, const server_request *q, job_next *next_out)
{
    server_job *j = calloc(1, sizeof *j);
    uint32_t number = 0;
    (void)r;
    atomic_fetch_add(&s->seen, 1);
    assert_non_null(j);
    buf_init(&j->body, BODY_BYTES_MAX);
    j->s = s;
    j->reply.status = 200;
    j->head_at_start = atomic_load(&s->head);
    j->next = JOB_DONE;
    if (begins(q->body, "write", &number)) {
        j->next = JOB_WRITE;
    } else if (begins(q->body, "wait", &number)) {
        j->is_wait = true;
        j->wait_until_ms = rig_now_ms() + number;
        j->next = JOB_READ;
        j->is_late = begins(q->body, "wait late", &number);
    } else if (begins(q->body, "slow", &number)) {
        j->slow_ms = number;
        j->next = JOB_READ;
    } else if (begins(q->body, "big", &number)) {
        char *at = buf_reserve(&j->body, number);
        assert_non_null(at);
        memset(at, 'x', number);
        j->body.size = number;
    } else {
        buf_put_text(&j->body, q->body);
    }
    j->reply.body = buf_text(&j->body);
    *next_out = j->next;
    return j;
}

static void write_jobs(server *s, server_job **jobs, uint32_t count)
{
    rig_sleep_ms(2); /* as if synced: others queue meanwhile */
    atomic_fetch_add(&s->batches, 1);
    atomic_fetch_add(&s->written, count);
    atomic_fetch_add(&s->head, count);
    for (uint32_t i = 0; i < count; i++) {
        jobs[i]->next = JOB_READ;
    }
}

static void read_job(server *s, server_reader *r, server_job *j)
{
    (void)r;
    if (j->slow_ms > 0) {
        rig_sleep_ms(j->slow_ms);
        answer(j, "slept");
    } else if (!j->is_wait) {
        answer(j, "written");
    } else if (atomic_load(&s->head) != j->head_at_start) {
        answer(j, "news");
    } else if (rig_now_ms() >= j->wait_until_ms) {
        answer(j, "time");
    } else {
        rig_sleep_ms(j->is_late ? 400 : 0); /* the picture is old when it is handed back */
        j->is_late = false;
        j->next = JOB_WAIT;
    }
}

static job_next next_of(const server_job *j)
{
    return j->next;
}

static uint64_t wait_until(const server_job *j)
{
    return j->wait_until_ms;
}

static const server_reply *reply_of(const server_job *j)
{
    return &j->reply;
}

static void job_free(server_job *j)
{
    buf_clear(&j->body);
    free(j);
}

static int64_t head_of(server *s)
{
    return atomic_load(&s->head);
}

static void tick(server *s, uint64_t mono_ms)
{
    (void)s;
    (void)mono_ms;
}

static const server_ops OPS = {
    .reader_open = reader_open,
    .reader_close = reader_close,
    .prepare = prepare,
    .write = write_jobs,
    .read = read_job,
    .job_next = next_of,
    .job_wait_until_ms = wait_until,
    .job_reply = reply_of,
    .job_free = job_free,
    .head = head_of,
    .tick = tick,
};

/* ---------------------------------------------------------------- the listener's thread */

const char *rig_path(rig *r, const char *name)
{
    snprintf(r->path, sizeof r->path, "%s/%s", r->folder, name);
    return r->path;
}

void rig_issue(rig *r, const char *name, int64_t not_before_ms, uint32_t days)
{
    char ca_key[128];
    const char *names[] = {name, "localhost"};
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", r->folder);
    ca_leaf leaf = {.names = names,
                    .names_count = strcmp(name, "localhost") == 0 ? 1 : 2,
                    .days = days,
                    .not_before_ms = not_before_ms,
                    .cert_path = r->cert,
                    .key_path = r->key};
    assert_int_equal(ca_issue(r->ca, ca_key, &leaf, NULL), FB_OK);
}

static void *run(void *ctx)
{
    rig *r = ctx;
    r->ended = listener_run(r->l);
    return NULL;
}

rig *rig_start(const listen_limits *limits)
{
    rig *r = calloc(1, sizeof *r);
    fb_error err = {0};
    assert_non_null(r);
    snprintf(r->folder, sizeof r->folder, "/tmp/fb-rig-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    snprintf(r->ca, sizeof r->ca, "%s/ca.pem", r->folder);
    assert_int_equal(ca_create(r->ca, rig_path(r, "ca.key"), "Test", &err), FB_OK);
    snprintf(r->cert, sizeof r->cert, "%s/server.pem", r->folder);
    snprintf(r->key, sizeof r->key, "%s/server.key", r->folder);
    rig_issue(r, "127.0.0.1", 0, 30);

    static const posix_log QUIET = {.fd = STDERR_FILENO, .level = 0};
    static fb_port port;
    port = fb_port_posix_to(&QUIET);
    listen_options o = {.address = "127.0.0.1",
                        .cert_file = r->cert,
                        .key_file = r->key,
                        .port_of_os = &port,
                        .server = &r->server,
                        .ops = &OPS,
                        .readers_count = 2,
                        .limits = LISTEN_LIMITS_DEFAULT};
    o.limits.connections_max = 500;
    if (limits != NULL) {
        o.limits = *limits;
    }
    fb_code rc = listener_open(&o, &r->l, &err);
    if (rc != FB_OK) {
        print_error("listener_open: %s: %s\n", err.field, err.message);
    }
    assert_int_equal(rc, FB_OK);
    snprintf(r->url, sizeof r->url, "https://127.0.0.1:%u", (unsigned)listener_get_port(r->l));
    assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
    return r;
}

void rig_begin_stop(rig *r)
{
    listener_stop(r->l);
}

void rig_stop(rig *r)
{
    static const char *const FILES[] = {"ca.pem", "ca.key", "server.pem", "server.key"};
    listener_stop(r->l);
    pthread_join(r->thread, NULL);
    assert_int_equal(r->ended, FB_OK);
    assert_int_equal(listener_get_connections(r->l), 0);
    listener_close(r->l);
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        unlink(rig_path(r, FILES[i]));
    }
    rmdir(r->folder);
    free(r);
}

listener *rig_listener(rig *r)
{
    return r->l;
}

uint16_t rig_port(const rig *r)
{
    return listener_get_port(r->l);
}

const char *rig_url(const rig *r)
{
    return r->url;
}

const char *rig_ca(const rig *r)
{
    return r->ca;
}

uint32_t rig_seen(const rig *r)
{
    return atomic_load(&r->server.seen);
}

uint32_t rig_batches(const rig *r)
{
    return atomic_load(&r->server.batches);
}

uint32_t rig_written(const rig *r)
{
    return atomic_load(&r->server.written);
}

/* ---------------------------------------------------------------- clients */

int rig_ask(fb_link *link, const char *body, char *body_out, size_t body_out_bytes,
            fb_code *code_out)
{
    fb_link_request q = {.method = "POST",
                         .path = "/v1/sync",
                         .content_type = "application/x-fieldbook",
                         .authorization = "Fieldbook test",
                         .body = {.data = body, .size = strlen(body)},
                         .timeout_ms = 20000,
                         .response_bytes_max = BODY_BYTES_MAX};
    fb_link_response a = {0};
    fb_code rc = link->exchange(link->ctx, &q, &a);
    if (code_out != NULL) {
        *code_out = rc;
    }
    if (rc != FB_OK) {
        return 0;
    }
    size_t size = a.body.size < body_out_bytes ? a.body.size : body_out_bytes;
    if (size > 0) {
        memcpy(body_out, a.body.data, size);
    }
    if (size < body_out_bytes) {
        body_out[size] = '\0';
    }
    return a.status;
}

void raw_open(raw_line *line, const rig *r)
{
    line->easy = curl_easy_init();
    assert_non_null(line->easy);
    curl_easy_setopt(line->easy, CURLOPT_URL, r->url);
    curl_easy_setopt(line->easy, CURLOPT_CAINFO, r->ca);
    curl_easy_setopt(line->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(line->easy, CURLOPT_NOPROXY, "*");
    assert_int_equal(curl_easy_perform(line->easy), CURLE_OK);
    assert_int_equal(curl_easy_getinfo(line->easy, CURLINFO_ACTIVESOCKET, &line->socket), CURLE_OK);
}

bool raw_send(raw_line *line, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        size_t sent = 0;
        CURLcode rc = curl_easy_send(line->easy, at, size, &sent);
        if (rc == CURLE_AGAIN) {
            struct pollfd p = {.fd = line->socket, .events = POLLOUT};
            if (poll(&p, 1, 10000) != 1) {
                return false;
            }
            continue;
        }
        if (rc != CURLE_OK) {
            return false;
        }
        at += sent;
        size -= sent;
    }
    return true;
}

bool raw_get(raw_line *line, char *out, size_t max, int ms)
{
    size_t used = 0;
    for (;;) {
        size_t got = 0;
        char spill[4096];
        bool full = used + 1 >= max;
        CURLcode rc = curl_easy_recv(line->easy, full ? spill : out + used,
                                     full ? sizeof spill : max - used - 1, &got);
        if (rc == CURLE_AGAIN) {
            struct pollfd p = {.fd = line->socket, .events = POLLIN};
            if (poll(&p, 1, ms) != 1) {
                out[used] = '\0';
                return false;
            }
            continue;
        }
        if (rc != CURLE_OK || got == 0) {
            out[used] = '\0';
            return true;
        }
        used += full ? 0 : got;
    }
}

void raw_close(raw_line *line)
{
    curl_easy_cleanup(line->easy);
    line->easy = NULL;
}
