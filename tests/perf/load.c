/* load.c - see load.h; also the floor's side of it. */
#include "perf/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "perf/floor.h"

enum { EVENTS_MAX = 256 };

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (p == NULL) {
        bench_die("out of memory");
    }
    return p;
}

static int epoll_of(net_conn **conns, uint32_t count)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        net_unblock(conns[i]);
        if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, conns[i]->fd, &e) != 0) {
            bench_die("epoll: %s", strerror(errno));
        }
    }
    return fd;
}

static void read_open(net_conn *c)
{
    net_read(c);
    if (c->closed) {
        bench_die("the server closed a connection");
    }
}

/* ---------------------------------------------------------------- W4 */

typedef struct load_conn {
    net_conn *net;
    uint32_t device, number; /* of the sync that is out */
    int64_t since_ns;
} load_conn;

typedef struct load_state {
    const load *l;
    load_conn *conns;
    int64_t *took_ns;
    size_t took_count;
    buf out;
} load_state;

static void ask(load_state *s, load_conn *c)
{
    if (c->device >= s->l->devices) {
        return;
    }
    buf_reset(&s->out);
    s->l->ask(s->l->ctx, c->device, c->number, &s->out);
    c->since_ns = now_ns();
    net_send(c->net, s->out.data, s->out.size);
}

static void take(load_state *s, load_conn *c)
{
    read_open(c->net);
    if (!s->l->answered(s->l->ctx, c->device, c->net)) {
        return;
    }
    s->took_ns[s->took_count++] = now_ns() - c->since_ns;
    if (++c->number == s->l->syncs) {
        c->number = 0;
        c->device += s->l->connections;
    }
    ask(s, c);
}

static void load_loop(load_state *s, int epoll)
{
    struct epoll_event events[EVENTS_MAX];
    size_t all = (size_t)s->l->devices * s->l->syncs;
    for (uint32_t i = 0; i < s->l->connections; i++) {
        ask(s, &s->conns[i]);
    }
    while (s->took_count < all) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            take(s, &s->conns[events[i].data.u32]);
        }
    }
}

static void load_result(load_state *s, net_conn **nets, sample *out)
{
    out->count = (int64_t)s->took_count;
    sort_ns(s->took_ns, s->took_count);
    out->p50_ns = quantile_ns(s->took_ns, s->took_count, 500);
    out->p99_ns = quantile_ns(s->took_ns, s->took_count, 990);
    for (uint32_t i = 0; i < s->l->connections; i++) {
        out->up_bytes += nets[i]->up_bytes;
        out->down_bytes += nets[i]->down_bytes;
        net_close(nets[i]);
    }
}

void load_run(const load *l, const load_server *server, sample *out)
{
    load_state s = {.l = l,
                    .conns = zeroed(l->connections, sizeof *s.conns),
                    .took_ns = zeroed((size_t)l->devices * l->syncs, sizeof *s.took_ns)};
    net_conn **nets = zeroed(l->connections, sizeof *nets);
    stopwatch w;
    buf_init(&s.out, 16 << 20);
    for (uint32_t i = 0; i < l->connections; i++) {
        nets[i] = net_connect(server->client, server->port, NULL);
        s.conns[i] = (load_conn){.net = nets[i], .device = i};
    }
    int epoll = epoll_of(nets, l->connections);
    watch_begin(&w, server->pid);
    load_loop(&s, epoll);
    watch_end(&w, out);
    load_result(&s, nets, out);
    close(epoll);
    buf_clear(&s.out);
    free(nets);
    free(s.conns);
    free(s.took_ns);
}

/* ---------------------------------------------------------------- W5 */

static void round_run(const live *l, int epoll, int64_t *took_ns)
{
    struct epoll_event events[EVENTS_MAX];
    bool have[BENCH_DEVICES_MAX + 1] = {false};
    uint32_t missing = l->devices + 1;
    int64_t start = now_ns();
    while (missing > 0) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, 20000);
        if (n == 0) {
            bench_die("a change did not reach %u of the waiting devices within 20 s", missing);
        }
        for (int i = 0; i < n; i++) {
            uint32_t device = events[i].data.u32;
            read_open(l->conns[device]);
            if (!have[device] && l->arrived(l->ctx, device, l->conns[device])) {
                have[device] = true;
                missing--;
                if (device < l->devices) {
                    took_ns[device] = now_ns() - start;
                }
            }
        }
    }
}

void live_run(const live *l, const load_server *server, sample *out)
{
    int64_t *took = zeroed((size_t)l->devices * l->rounds, sizeof *took);
    stopwatch w;
    buf ask;
    int epoll = epoll_of(l->conns, l->devices + 1);
    buf_init(&ask, 16 << 20);
    watch_begin(&w, server->pid);
    for (uint32_t r = 0; r < l->rounds; r++) {
        l->wait_all(l->ctx, r);
        buf_reset(&ask);
        l->change(l->ctx, r, &ask);
        net_send(l->conns[l->devices], ask.data, ask.size);
        round_run(l, epoll, &took[(size_t)r * l->devices]);
        l->round_end(l->ctx, r);
    }
    watch_end(&w, out);
    size_t count = (size_t)l->devices * l->rounds;
    sort_ns(took, count);
    out->count = l->rounds;
    out->p50_ns = quantile_ns(took, count, 500);
    out->p99_ns = quantile_ns(took, count, 990);
    close(epoll);
    buf_clear(&ask);
    free(took);
}

/* ---------------------------------------------------------------- the floor's side */

typedef struct floor_side {
    buf asks;   /* of all devices, one behind the other */
    size_t *at; /* devices * syncs + 1 */
    uint32_t syncs, devices;
    net_conn **conns;
    buf change;
} floor_side;

static catalog *load_catalog(void)
{
    catalog *cat = NULL;
    fb_error err = {0};
    must(catalog_load(catalog_builtin_text(), &cat, &err), &err, "catalogue");
    return cat;
}

static void asks_make(floor_side *s, const catalog *cat, const tables *t)
{
    gen_row rows[GEN_ORDER_ROWS];
    buf packed;
    buf_init(&packed, 1 << 20);
    for (uint32_t d = 0; d < s->devices; d++) {
        gen *g = floor_gen(cat, "small", d);
        for (uint32_t i = 0; i < s->syncs; i++) {
            gen_order(g, i, rows);
            buf_reset(&packed);
            for (int k = 0; k < GEN_ORDER_ROWS; k++) {
                row_pack(&packed, t, &rows[k]);
            }
            s->at[(size_t)d * s->syncs + i] = s->asks.size;
            frame_put(&s->asks, 'S', buf_text(&packed));
        }
        gen_free(g);
    }
    s->at[(size_t)s->devices * s->syncs] = s->asks.size;
    buf_clear(&packed);
}

static void floor_ask(void *ctx, uint32_t device, uint32_t number, buf *out)
{
    const floor_side *s = ctx;
    const size_t *at = &s->at[(size_t)device * s->syncs + number];
    buf_put(out, s->asks.data + at[0], at[1] - at[0]);
}

static bool floor_answered(void *ctx, uint32_t device, net_conn *c)
{
    frame f;
    (void)ctx;
    (void)device;
    return frame_next(c, &f);
}

/* floor-load PORT SERVER CA CONNECTIONS DEVICES SYNCS */
void role_floor_load(int argc, char **argv, sample *out)
{
    tables t;
    if (argc != 6) {
        bench_die("floor-load: PORT SERVER CA CONNECTIONS DEVICES SYNCS");
    }
    floor_side s = {.devices = (uint32_t)number_of(argv[4]), .syncs = (uint32_t)number_of(argv[5])};
    catalog *cat = load_catalog();
    load_server server = {net_client(argv[2]), (int)number_of(argv[0]), (pid_t)number_of(argv[1])};
    s.at = zeroed((size_t)s.devices * s.syncs + 1, sizeof *s.at);
    buf_init(&s.asks, FLOOR_BYTES_MAX);
    tables_open(&t, cat, &(tables_options){.path = ":memory:"});
    asks_make(&s, cat, &t);
    load_run(
        &(load){&s, (uint32_t)number_of(argv[3]), s.devices, s.syncs, floor_ask, floor_answered},
        &server, out);
    tables_close(&t);
    buf_clear(&s.asks);
    free(s.at);
    net_free(server.client);
    catalog_free(cat);
}

static void floor_wait_all(void *ctx, uint32_t round)
{
    floor_side *s = ctx;
    frame f;
    buf ask;
    buf_init(&ask, 64);
    frame_put(&ask, 'W', (fb_text){NULL, 0});
    for (uint32_t i = 0; round == 0 && i < s->devices; i++) {
        net_send(s->conns[i], ask.data, ask.size);
        while (!frame_next(s->conns[i], &f)) {
            read_open(s->conns[i]);
        }
    }
    buf_clear(&ask);
}

static void floor_change(void *ctx, uint32_t round, buf *out)
{
    floor_side *s = ctx;
    (void)round;
    frame_put(out, 'U', buf_text(&s->change));
}

static void floor_round_end(void *ctx, uint32_t round)
{
    (void)ctx;
    (void)round;
}

/* floor-live PORT SERVER CA DEVICES ROUNDS */
void role_floor_live(int argc, char **argv, sample *out)
{
    tables t;
    if (argc != 5) {
        bench_die("floor-live: PORT SERVER CA DEVICES ROUNDS");
    }
    floor_side s = {.devices = (uint32_t)number_of(argv[3])};
    catalog *cat = load_catalog();
    load_server server = {net_client(argv[2]), (int)number_of(argv[0]), (pid_t)number_of(argv[1])};
    gen *g = floor_gen(cat, "small", 0);
    gen_row customer = gen_customer(g, GEN_SHARED_CUSTOMER);
    tables_open(&t, cat, &(tables_options){.path = ":memory:"});
    buf_init(&s.change, 1 << 20);
    row_pack(&s.change, &t, &customer);
    s.conns = zeroed(s.devices + 1, sizeof *s.conns);
    for (uint32_t i = 0; i <= s.devices; i++) {
        s.conns[i] = net_connect(server.client, server.port, NULL);
    }
    live_run(&(live){&s, s.devices, (uint32_t)number_of(argv[4]), s.conns, floor_wait_all,
                     floor_change, floor_answered, floor_round_end},
             &server, out);
    for (uint32_t i = 0; i <= s.devices; i++) {
        net_close(s.conns[i]);
    }
    free(s.conns);
    buf_clear(&s.change);
    tables_close(&t);
    gen_free(g);
    net_free(server.client);
    catalog_free(cat);
}
