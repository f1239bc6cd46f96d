/* listen.h - the server's front: TCP, TLS and HTTP on one loop thread, work on others (work.h).
 *
 * Nothing is served without TLS. One request at a time per connection; everything that takes
 * memory or time has a limit below, and its breach ends the connection (reliability.md 6.1).
 *
 *   LIS-1  a reply is sent only when server.h handed the job back as done (SRV-1)
 *   LIS-2  stopping accepts nothing new, answers every job in flight, then returns FB_OK
 *   LIS-3  a certificate that cannot be loaded leaves the old one in use */
#ifndef FB_POSIX_LISTEN_H
#define FB_POSIX_LISTEN_H

#include "platform/posix/work.h"

typedef struct listen_limits {
    uint32_t connections_max;
    /* Connections of one address (IPv6: one /64) that have not yet been answered 200 with their
     * authorisation. Hundreds of phones may share the address of an office or a mobile carrier. */
    uint32_t strangers_per_address_max;
    /* A kept connection costs nothing but memory, a new one a millisecond of processor time for its
     * handshake; the limit only makes sure that load spreads again some day. */
    uint32_t requests_per_connection_max;
    uint32_t handshake_ms;
    uint32_t head_ms; /* from the first byte of a request, or from accepting, to its last header */
    uint32_t idle_ms; /* between requests */
    uint32_t progress_ms; /* within which LISTEN_PROGRESS_BYTES must move, body or reply */
    uint32_t body_ms;     /* for a whole body */
    uint32_t reply_ms;    /* for a whole reply */
    uint32_t linger_ms;   /* after a refusal, so that it is read before the line is cut */
    uint32_t stop_ms;     /* for jobs in flight when stopping */
} listen_limits;

enum { LISTEN_PROGRESS_BYTES = 1024, LISTEN_LINGER_BYTES_MAX = 64 << 10 };

/* Also the ceilings: listener_open refuses more. */
extern const listen_limits LISTEN_LIMITS_DEFAULT;

typedef struct listen_options {
    const char *address; /* "0.0.0.0", "::", "127.0.0.1" */
    uint16_t port;       /* 0: chosen by the system */
    const char *cert_file, *key_file;
    const fb_port *port_of_os; /* clock and log; any thread */
    server *server;
    const server_ops *ops;
    uint32_t readers_count;
    listen_limits limits;
    bool handle_signals;         /* SIGTERM and SIGINT stop, SIGHUP reloads */
    void (*reloaded)(void *ctx); /* after SIGHUP, on the loop thread; may be NULL */
    void *ctx;
} listen_options;

typedef struct listener listener;

/* Listens when it returns. `o`'s texts, ops and server must outlive the listener.
 * FB_E_CONFIG, FB_E_FORMAT ...: err->field is the option or file at fault. */
FB_MUST_USE fb_code listener_open(const listen_options *o, listener **out, fb_error *err);
/* After listener_run, or instead of it. NULL is fine. */
void listener_close(listener *l);
uint16_t listener_get_port(const listener *l);

/* Serve on this thread until stopped. */
FB_MUST_USE fb_code listener_run(listener *l);
/* Any thread. */
void listener_stop(listener *l);
/* Any thread: take the certificate files anew. */
void listener_reload(listener *l);

/* Open connections. Any thread. */
uint32_t listener_get_connections(const listener *l);

#endif
