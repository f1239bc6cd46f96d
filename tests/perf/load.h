/* load.h - many devices in one process, over kept connections: the load of W4, the live ones of W5.
 *
 * The same loops drive floor and product; a side says only what is asked and what an answer is. */
#ifndef FB_BENCH_LOAD_H
#define FB_BENCH_LOAD_H

#include "perf/net.h"

/* W4: `connections` at once. Each carries the syncs of its devices, one after the other: number k
 * those of devices k, k + connections, ... A device may not ask as often as a bench wants (the
 * server's rate limit), so that even one connection needs many of them. */
typedef struct load {
    void *ctx;
    uint32_t connections, devices, syncs; /* syncs of each device */
    void (*ask)(void *ctx, uint32_t device, uint32_t number, buf *out);
    /* True when a whole answer was there and is taken. */
    bool (*answered)(void *ctx, uint32_t device, net_conn *c);
} load;
typedef struct load_server {
    net *client;
    int port;
    pid_t pid;
} load_server;
/* wall, CPU, p50, p99 and count of syncs. */
void load_run(const load *l, const load_server *server, sample *out);

/* W5: `devices` wait; one more, the last, changes something; how long until each has it. */
typedef struct live {
    void *ctx;
    uint32_t devices, rounds;
    net_conn **conns;                            /* devices + 1; the last one writes */
    void (*wait_all)(void *ctx, uint32_t round); /* every device waits at the server afterwards */
    void (*change)(void *ctx, uint32_t round, buf *out);
    bool (*arrived)(void *ctx, uint32_t device, net_conn *c);
    void (*round_end)(void *ctx, uint32_t round);
} live;
void live_run(const live *l, const load_server *server, sample *out);

#endif
