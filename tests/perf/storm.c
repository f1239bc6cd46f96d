/* storm.c - STORM: every device of a company comes back within a minute, with a day of work each.
 *
 * The devices are light: what they send is made here, message by message, as protocol.md says; each
 * has a connection and an address of its own, retries as the library does (sync/retry.h) and obeys
 * the server. What is measured: how long until everybody is through, how often devices were sent
 * away, what the server's memory and its time came to, and whether every row is there exactly once.
 *
 *   crowd   people, devices, tokens: written into the company's database, then one sync each inside
 *           this process, so that everybody has a page token as after an ordinary day */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "perf/company.h"
#include "perf/net.h"
#include "perf/storm.h"
#include "platform/posix/port.h"
#include "schema/limits.h"
#include "sync/retry.h"
#include "wire/pack.h"

enum {
    DEVICES_FULL = 5000,
    DEVICES_QUICK = 400,
    GROUPS = 50, /* of each */
    WINDOW_MS = 60000,
    WINDOW_QUICK_MS = 4000,
    PATIENCE_MS = 60000, /* of a device for one answer */
    DRAIN_MS_MAX = 900000,
    EVENTS_MAX = 512,
    BYTES_MAX = 64 << 20
};

typedef enum phase { PHASE_WAITING, PHASE_OUT, PHASE_DONE } phase;

typedef struct caller {
    crowd_device d;
    phase phase;
    net_conn *conn;
    bool asked;
    int64_t at_ms;    /* WAITING: when it tries; OUT: when it gives up */
    int64_t first_ms; /* its first try */
    uint32_t attempts;
} caller;

typedef struct storm {
    const bench *b;
    company c;
    net *client;
    caller *all;
    uint32_t count, done, out, out_max;
    uint32_t tries, sent_away, broken, gave_up;
    int64_t *took_ns;
    int epoll;
    uint64_t random;
    int64_t begin_ms, last_ms;
    buf request;
} storm;

static int64_t now_ms(void)
{
    return now_ns() / 1000000;
}

static uint32_t draw(storm *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s->random >> 33);
}

/* ---- one device ---- */

static void hang_up(storm *s, caller *c)
{
    if (c->conn != NULL) {
        net_close(c->conn);
        c->conn = NULL;
        s->out--;
    }
}

static void try_later(storm *s, caller *c, uint32_t server_ms)
{
    hang_up(s, c);
    c->phase = PHASE_WAITING;
    c->at_ms = now_ms() + retry_wait_ms(c->attempts, server_ms, draw(s));
    c->attempts++;
}

static void call(storm *s, caller *c)
{
    uint32_t number = (uint32_t)(c - s->all);
    if (c->first_ms == 0) {
        c->first_ms = now_ms();
    }
    s->tries++;
    c->asked = false;
    c->conn = net_begin(s->client, s->c.port, 0x7f010000u + number + 1);
    if (c->conn == NULL) {
        s->broken++;
        try_later(s, c, 0);
        return;
    }
    s->out++;
    s->out_max = s->out > s->out_max ? s->out : s->out_max;
    c->phase = PHASE_OUT;
    c->at_ms = now_ms() + PATIENCE_MS;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = number};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->conn->fd, &e) != 0) {
        bench_die("epoll: %s", strerror(errno));
    }
}

static void ask(storm *s, caller *c)
{
    buf_reset(&s->request);
    crowd_ask(&c->d, &s->request);
    net_send(c->conn, s->request.data, s->request.size);
    c->asked = true;
}

static void answered(storm *s, caller *c, const fb_link_response *r)
{
    uint32_t retry_ms = 0;
    crowd_state state = crowd_take(&c->d, r, &retry_ms);
    if (state == CROWD_AGAIN) {
        c->attempts = 0;
        c->at_ms = now_ms() + PATIENCE_MS;
        ask(s, c);
    } else if (state == CROWD_SENT_AWAY) {
        s->sent_away++;
        try_later(s, c, retry_ms);
    } else {
        hang_up(s, c);
        c->phase = PHASE_DONE;
        s->last_ms = now_ms();
        s->took_ns[s->done++] = (s->last_ms - c->first_ms) * 1000000;
    }
}

static void heard(storm *s, caller *c)
{
    fb_link_response r;
    net_read(c->conn);
    if (c->conn->ready && !c->asked) {
        ask(s, c);
        net_read(c->conn);
    }
    if (c->asked && http_next(c->conn, &r)) {
        answered(s, c, &r);
    } else if (c->conn->closed) {
        s->broken++;
        try_later(s, c, 0);
    }
}

/* ---- all of them ---- */

static int clocks_look(storm *s)
{
    int64_t now = now_ms(), next = now + 100;
    for (uint32_t i = 0; i < s->count; i++) {
        caller *c = &s->all[i];
        if (c->phase == PHASE_DONE) {
            continue;
        }
        if (c->at_ms <= now && c->phase == PHASE_WAITING) {
            call(s, c);
        } else if (c->at_ms <= now) {
            s->gave_up++;
            try_later(s, c, 0);
        }
        next = c->at_ms < next ? c->at_ms : next;
    }
    return next > now ? (int)(next - now) : 0;
}

static void storm_run(storm *s)
{
    struct epoll_event events[EVENTS_MAX];
    s->begin_ms = now_ms();
    for (uint32_t i = 0; i < s->count; i++) {
        s->all[i].at_ms =
            s->begin_ms + draw(s) % (s->b->quick ? (uint32_t)WINDOW_QUICK_MS : WINDOW_MS);
    }
    while (s->done < s->count) {
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, clocks_look(s));
        for (int i = 0; i < n; i++) {
            caller *c = &s->all[events[i].data.u32];
            if (c->conn != NULL) {
                heard(s, c);
            }
        }
        if (now_ms() - s->begin_ms > DRAIN_MS_MAX) {
            bench_die("%u of %u devices were not through after %d s", s->count - s->done, s->count,
                      DRAIN_MS_MAX / 1000);
        }
    }
}

static void figures(storm *s, const sample *cost, int64_t rss_before_kib)
{
    int64_t wanted = (int64_t)s->count * GROUPS;
    int64_t rows = crowd_rows(s->c.home, false), distinct = crowd_rows(s->c.home, true);
    sort_ns(s->took_ns, s->count);
    report_note("STORM: %u devices with %d groups each within %d s, from %u addresses", s->count,
                GROUPS, (s->b->quick ? WINDOW_QUICK_MS : WINDOW_MS) / 1000, s->count);
    report_note("STORM: rows %lld of %lld, distinct %lld; tries %u, sent away %u, broken %u, gave "
                "up %u",
                (long long)rows, (long long)wanted, (long long)distinct, s->tries, s->sent_away,
                s->broken, s->gave_up);
    report_add(&(figure){"STORM", "until the last is through", UNIT_SECONDS,
                         (s->last_ms - s->begin_ms) * 1000000, 0, GOAL_VALUE_MAX, 300000, 90000});
    report_add(&(figure){"STORM", "p50 of a device", UNIT_MS,
                         quantile_ns(s->took_ns, s->count, 500), 0, GOAL_NONE, 0, 0});
    report_add(&(figure){"STORM", "p99 of a device", UNIT_MS,
                         quantile_ns(s->took_ns, s->count, 990), 0, GOAL_NONE, 0, 0});
    report_add(&(figure){"STORM", "connections at once, most", UNIT_COUNT, s->out_max, 0, GOAL_NONE,
                         0, 0});
    report_add(
        &(figure){"STORM", "server's CPU", UNIT_SECONDS, cost->server_cpu_ns, 0, GOAL_NONE, 0, 0});
    report_add(&(figure){"STORM", "server's memory, most", UNIT_KIB,
                         status_kib(s->c.server, "VmHWM"), 0, GOAL_VALUE_MAX, 524288000,
                         262144000});
    report_add(
        &(figure){"STORM", "server's memory before", UNIT_KIB, rss_before_kib, 0, GOAL_NONE, 0, 0});
    report_add(&(figure){"STORM", "rows lost or doubled", UNIT_COUNT,
                         wanted - rows + (rows - distinct) + (rows > wanted ? rows - wanted : 0), 0,
                         GOAL_VALUE_MAX, 0, 0});
}

static void descriptors_raise(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

void storm_run_all(const bench *b)
{
    storm s = {.b = b, .random = 8, .count = b->quick ? DEVICES_QUICK : DEVICES_FULL};
    char path[PATH_BYTES];
    stopwatch w;
    sample cost = {0};
    descriptors_raise();
    path_of(path, "%s/storm", b->home);
    company_make(&s.c, path, &GEN_SMALL, 1);
    s.all = calloc(s.count, sizeof *s.all);
    s.took_ns = calloc(s.count, sizeof *s.took_ns);
    if (s.all == NULL || s.took_ns == NULL) {
        bench_die("out of memory");
    }
    crowd *people = crowd_make(s.c.home, s.count, GROUPS);
    for (uint32_t i = 0; i < s.count; i++) {
        s.all[i].d = *crowd_device_of(people, i);
    }
    buf_init(&s.request, BYTES_MAX);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    company_start(&s.c);
    s.client = net_client(s.c.ca);
    int64_t before_kib = status_kib(s.c.server, "VmRSS");
    watch_begin(&w, s.c.server);
    storm_run(&s);
    watch_end(&w, &cost);
    figures(&s, &cost, before_kib);
    company_stop(&s.c);
    net_free(s.client);
    buf_clear(&s.request);
    crowd_free(people);
    free(s.took_ns);
    free(s.all);
}
