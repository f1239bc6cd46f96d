/* cut.h - every message is cut after every byte, and its effects must still come exactly once.
 *
 *   main.c    options, the summary line
 *   inner.c   bodies cut between device and server in one process: every byte, both directions
 *   lane.c    the same for the bytes of attachments
 *   pack.c    the same for a first download in packs
 *   tls.c     a real listener, a real link, and the encrypted stream cut between them
 *   tls_bytes.c  the same with pieces of attachments, chunks of packs, GET /v1/health in it
 *   proxy.c   the TCP proxy that cuts
 *
 *   CUT-1  a request that was cut has no effect and is not answered with 200
 *   CUT-2  an answer that was cut is refused as a whole; the device asks again with the same bytes
 *   CUT-3  the verdicts in the answer to the repeat are byte for byte those that were lost
 *   CUT-4  in the end every group stands exactly once, and the device's check passes */
#ifndef FB_FAULT_CUT_H
#define FB_FAULT_CUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CUT_BODY_BYTES_MAX = 8 << 20,
    CUT_PACE_MS = 500 /* from request to request: the door's rate refuses none of them */
};

typedef struct cut_options {
    uint64_t every, tls_every, seed;
    uint64_t ask_every; /* requests of a download, in steps of tls_every: each costs a download */
} cut_options;

typedef struct cut_counters {
    uint64_t plain, packed, tls, messages, bad;
} cut_counters;

void cut_bad(cut_counters *n, const char *message, const char *direction, uint64_t byte,
             const char *why);
void inner_cuts(const cut_options *o, cut_counters *n);
void pack_cuts(const cut_options *o, cut_counters *n);
void lane_cuts(const cut_options *o, cut_counters *n);
void tls_cuts(const cut_options *o, cut_counters *n);

typedef struct proxy proxy;
/* Listens on 127.0.0.1 and carries to `port` there; a thread of its own. NULL: cannot. */
proxy *proxy_start(uint16_t port);
void proxy_stop(proxy *p);
uint16_t proxy_port(const proxy *p);
/* The next connection is cut after so many bytes up or down; -1: never. */
void proxy_cut(proxy *p, int64_t up, int64_t down);
/* Was a connection cut since proxy_cut? */
bool proxy_did_cut(proxy *p);

#endif
