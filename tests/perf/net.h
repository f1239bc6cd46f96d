/* net.h - TLS 1.3 over loopback with mbedTLS: the floor's transport, and a link for the product's
 * devices that can keep, resume or renew its connection at will.
 *
 * A frame is  size (4 bytes, little endian, of what follows) | kind (1 byte) | payload.
 * Bytes are counted as they stand on the wire: TLS records, handshake included. */
#ifndef FB_BENCH_NET_H
#define FB_BENCH_NET_H

#include <mbedtls/ssl.h>

#include "fieldbook/sync.h"
#include "perf/bench.h"

typedef struct net net; /* settings, certificate or trust */

net *net_server(const char *cert_file, const char *key_file);
net *net_client(const char *ca_file);
void net_free(net *n);

typedef struct net_conn {
    mbedtls_ssl_context ssl;
    int fd;
    bool ready; /* the handshake is done */
    bool closed, blocking;
    int64_t up_bytes, down_bytes; /* of the client's view: sent, received */
    buf in;                       /* read, not taken yet */
    size_t taken;                 /* of `in` */
    mbedtls_ssl_session *ticket;  /* the newest one received; NULL: none */
} net_conn;

/* Client: connects to loopback and shakes hands, resuming from `ticket` if there is one. */
net_conn *net_connect(net *n, int port, const mbedtls_ssl_session *ticket);
/* Client: begins to connect from this address of loopback (127.0.0.0/8, host order) and waits for
 * nothing; net_read goes on with the handshake. NULL: refused. */
net_conn *net_begin(net *n, int port, uint32_t from);
/* Server: takes over an accepted socket and makes it non-blocking. */
net_conn *net_accepted(net *n, int fd);
void net_close(net_conn *c);
/* From now on reads return at once when there is nothing. */
void net_unblock(net_conn *c);

/* Sends all of it, waiting for room where the socket is full. */
void net_send(net_conn *c, const void *data, size_t size);
/* Reads what is there into c->in; blocking connections wait for the first byte. Sets c->closed. */
void net_read(net_conn *c);

int net_listen(int *port_out); /* loopback, any port */

/* --- frames --- */
typedef struct frame {
    char kind;
    fb_text payload; /* borrowed until the next net_read */
} frame;
void frame_put(buf *out, char kind, fb_text payload);
bool frame_next(net_conn *c, frame *out); /* false: no whole frame yet */
frame frame_wait(net_conn *c);            /* blocking */

/* --- HTTP --- */
void http_put(buf *out, const fb_link_request *q);
/* False: not whole yet. body is borrowed until the next net_read. */
bool http_next(net_conn *c, fb_link_response *out);

/* An fb_link over one connection of its own. */
typedef struct net_link {
    fb_link link;
    net *client;
    int port;
    net_mode mode; /* what happens before each exchange */
    net_conn *conn;
    mbedtls_ssl_session *ticket;
    int64_t up_bytes, down_bytes; /* of the connections already closed */
    buf out;
} net_link;
void net_link_init(net_link *l, net *client, int port, net_mode mode);
void net_link_clear(net_link *l);
void net_link_bytes(const net_link *l, int64_t *up_out, int64_t *down_out);

#endif
