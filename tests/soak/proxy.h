/* proxy.h - inside the proxy's process: connections, and bytes that wait in a flow.
 *
 *   phone --> up --> server        a flow holds bytes until their moment: pieces with the time at
 *   phone <-- down <-- server      which they may go on, in order
 *
 * A mode that eats bytes makes a connection dead: it never carries anything again, because no
 * network that lost bytes of a TCP stream would give the ones after them. */
#ifndef FB_SOAK_PROXY_H
#define FB_SOAK_PROXY_H

#include "platform/posix/tls.h"
#include "soak/soak.h"

enum { FLOW_BYTES = 128 << 10, PIECES_MAX = 128, PIECE_BYTES = 4096, CONNS_MAX = 256 };

typedef struct piece {
    int64_t due_ms;
    size_t size;
} piece;

typedef struct flow {
    char *data; /* FLOW_BYTES, a ring */
    size_t head, size;
    piece pieces[PIECES_MAX]; /* a ring too */
    int first, count;
    int64_t last_due_ms;
    uint64_t passed;  /* bytes taken in so far */
    bool ended, told; /* the sender is done; the receiver knows */
} flow;

bool flow_init(flow *f);
void flow_clear(flow *f);
bool flow_has_room(const flow *f);
/* Read from fd once. false: the connection is broken. */
bool flow_take(flow *f, int fd, int64_t now, uint32_t delay_ms, uint32_t rate);
/* Send what is due. false: the connection is broken. */
bool flow_give(flow *f, int fd, int64_t now);
int64_t flow_due_ms(const flow *f); /* INT64_MAX: nothing waits */

typedef struct conn {
    int lane; /* -1: free */
    int phone, server;
    bool connecting, dead, struck, portal;
    unsigned reset_seen;
    flow up, down;
    tls_conn *tls; /* a portal's */
    size_t asked;  /* bytes of the request that a portal read */
    bool answered;
} conn;

typedef struct portal {
    tls_server *right, *other; /* with the server's certificate, and with a stranger's */
} portal;

bool portal_open(portal *p, const proxy_files *files);
/* One step with what the phone sent. false: the connection ends. */
bool portal_step(portal *p, conn *c, lane_mode mode);

#endif
