/* listen_inside.h - what listen.c (loop, timers, stopping), conn.c and conn_out.c (one connection)
 * share.
 *
 *            hello          head whole          body whole        job done
 *   HANDSHAKE ----> REQUEST -----------> BODY ------------> WORK ----------> REPLY
 *                     ^  '---- no body ---------------------^                  |
 *                     '--------------------------- reply out, kept ------------'
 *   any refusal or "close": REPLY -> LINGER (our end closed, the rest is thrown away) -> CLOSED
 *   any breach of time, any error of the line: CLOSED
 *
 *   CON-1  one request in work per connection; bytes behind it wait, encrypted or plain, bounded
 *   CON-2  an idle connection holds its TLS state and nothing else of size */
#ifndef FB_POSIX_LISTEN_INSIDE_H
#define FB_POSIX_LISTEN_INSIDE_H

#include <stdatomic.h>
#include <uv.h>

#include "platform/posix/http_reader.h"
#include "platform/posix/listen.h"
#include "platform/posix/tls.h"

enum {
    SWEEP_MS = 250,
    PEER_BUCKETS = 1024,
    READ_BYTES = 64 << 10,
    HANDSHAKES_PER_TURN = 4,
    /* So many wait for their turn at most; who comes after them waits unaccepted, and costs
       nothing. */
    TURNS_MAX = 128,
    REPORT_MS = 60000,
    /* More encrypted bytes than this behind a request in work: the socket is not read. */
    BEHIND_BYTES_MAX = 64 << 10,
    ERROR_BODY_BYTES_MAX = 1024,
    /* A connection on which nothing has moved for so long gives memory back. */
    REST_AFTER_MS = 1000,
};

typedef enum conn_state {
    CONN_HANDSHAKE,
    CONN_REQUEST,
    CONN_BODY,
    CONN_WORK,
    CONN_REPLY,
    CONN_LINGER,
    CONN_CLOSED
} conn_state;

typedef struct conn {
    uv_tcp_t tcp;
    listener *l;
    struct conn *next, *prev;           /* all connections */
    struct conn *peer_next, *peer_prev; /* same bucket of addresses */
    struct conn *turn_next;             /* waiting for a turn at the handshake */
    uint8_t peer[16];
    conn_state state;
    bool in_turn, is_known, is_reading, is_resting, close_after, has_authorization;
    uint32_t requests_count;
    uint64_t busy_at_ms;              /* when bytes last moved */
    uint64_t turn_at_ms;              /* waiting for a turn since */
    uint64_t deadline_ms, final_ms;   /* 0: none */
    uint64_t moved_bytes, mark_bytes; /* of the body or the reply; when the deadline was set */
    tls_conn *tls;
    http_reader *reader; /* while a request is being read */
    buf plain;           /* read, but behind the request in work */
    work_item *item;     /* in work, or whose reply is going out */
    fb_text reply;       /* of the body, what has not been encrypted yet; in item->job or own */
    buf own;             /* a body of ours */
    buf sending;         /* with the socket until sent() */
    uv_write_t write;
    uv_shutdown_t shutdown;
    size_t lingered_bytes;
} conn;

typedef struct listen_counts {
    uint32_t accepted, turned_away, handshakes_failed, refused, timed_out;
} listen_counts;

struct listener {
    listen_options o;
    uv_loop_t loop;
    uv_tcp_t tcp;
    uv_timer_t sweep;
    uv_async_t done, command;
    uv_idle_t turn;
    uv_signal_t signals[3];
    bool loop_ready, stopping, finished;
    bool accept_due; /* a connection waits: memory was short, or too many wait for a turn */
    atomic_bool stop_wanted, reload_wanted; /* set by any thread, then `command` is sent */
    uint64_t stop_at_ms, report_at_ms, expiry_at_ms;
    tls_server *tls;
    work *work;
    conn *conns;
    atomic_uint conns_count; /* tests look from other threads */
    conn *peers[PEER_BUCKETS];
    conn *turn_first, *turn_last;
    uint32_t turns_count;
    listen_counts counts;
    uint16_t port;
    char incoming[READ_BYTES]; /* one read of a socket */
    char plain[TLS_RECORD_BYTES_MAX];
};

static inline uint64_t listener_now_ms(const listener *l)
{
    return l->o.port_of_os->mono_ms(l->o.port_of_os->ctx);
}

/* conn.c */
void conn_accept(listener *l);
/* A turn at the handshake: at most one step of heavy arithmetic. */
void conn_take_turn(conn *c);
void conn_check_time(conn *c, uint64_t now_ms);
void conn_stop(conn *c); /* close unless a job is in flight */
void conn_close(conn *c);

/* Work on what has come until more is needed or a request is in work, then keep the rest. */
void conn_advance(conn *c);
void conn_set_reading(conn *c, bool wanted);
void conn_drop_reader(conn *c);

/* conn_out.c */
void conn_answer(conn *c); /* its item is done */
/* A refusal of ours, after which the connection closes. */
void conn_refuse(conn *c, int status, fb_code code, const char *allow);
/* 503, with the time to come back. */
void conn_send_away(conn *c, fb_code code, uint32_t retry_ms);
/* Close our half and throw away what still comes, so that the peer reads our last words instead
 * of a reset. */
void conn_linger(conn *c);
/* Give the socket what TLS has for it. False: the connection is closed. */
bool conn_flush(conn *c);
/* Bytes of body or reply that really moved: what waits in the socket's queue has not. */
uint64_t conn_bytes_moved(const conn *c);
/* From now; 0: none. */
void conn_set_deadline(conn *c, uint32_t ms, uint32_t final_ms);

/* listen.c */
void listener_add(listener *l, conn *c);
void listener_remove(listener *l, conn *c);
uint32_t listener_strangers(const listener *l, const uint8_t peer[16]);
void listener_queue_turn(listener *l, conn *c);
void listener_drop_turn(listener *l, conn *c);

#endif
