/* tls.h - the small shim over the TLS library: server side, memory in and memory out.
 *
 * The caller owns sockets and time; this file owns mbedTLS. To put another library in its place,
 * rewrite tls.c behind these functions. What is offered (reliability.md 6.4, SC1):
 *
 *   TLS 1.3 and 1.2 (ECDHE-ECDSA with AEAD only), X25519 P-256 P-384, signatures of SHA-256 and
 *   up, ALPN http/1.1, session tickets whose key changes every TLS_TICKET_S, no renegotiation
 *
 *   TLS-1  TLS 1.2 without extended master secret is refused: mbedTLS only negotiates it, so the
 *          client's hello is looked at before (tls_hello_check)
 *   TLS-2  a reload that fails changes nothing; connections keep the certificate they began with
 *   TLS-3  an idle connection holds no buffer of ours, and of mbedTLS's two record buffers only the
 *          pages at their beginning, once tls_conn_rest was called */
#ifndef FB_POSIX_TLS_H
#define FB_POSIX_TLS_H

#include "base/bytes.h"

enum {
    TLS_TICKET_S = 12 * 3600,
    TLS_RECORD_BYTES_MAX = 16384,
    /* Bytes from the peer that wait because a request is being answered. */
    TLS_KEPT_BYTES_MAX = 128 << 10,
    TLS_OUT_BYTES_MAX = 1 << 20
};

typedef struct tls_server tls_server; /* certificate, key, tickets; one thread */
typedef struct tls_conn tls_conn;

/* FB_E_CONFIG, FB_E_NOT_FOUND, FB_E_FORMAT, FB_E_IO: err->field is the file at fault. */
FB_MUST_USE fb_code tls_server_new(const char *cert_file, const char *key_file, tls_server **out,
                                   fb_error *err);
/* After the last of its connections. NULL is fine. */
void tls_server_free(tls_server *s);
/* Take new files for connections to come. On failure the old ones stay. */
FB_MUST_USE fb_code tls_server_reload(tls_server *s, const char *cert_file, const char *key_file,
                                      fb_error *err);
/* When the certificate in use ends, UTC. */
int64_t tls_server_expires_ms(const tls_server *s);

FB_MUST_USE fb_code tls_conn_new(tls_server *s, tls_conn **out);
void tls_conn_free(tls_conn *c);

/* Bytes from the socket; borrowed until tls_conn_keep, which copies what nobody has read yet.
 * FB_E_LIMIT beyond TLS_KEPT_BYTES_MAX, FB_E_NO_MEMORY. */
FB_MUST_USE fb_code tls_conn_feed(tls_conn *c, const void *data, size_t size);
FB_MUST_USE fb_code tls_conn_keep(tls_conn *c);
size_t tls_conn_fed_bytes(const tls_conn *c); /* not read yet */

typedef enum tls_status {
    TLS_DONE = 0,   /* did what was asked */
    TLS_MORE = 1,   /* needs more bytes of the peer */
    TLS_CLOSED = 2, /* the peer said good-bye */
    TLS_FAILED = 3  /* not usable any more; an alert may stand in tls_conn_out */
} tls_status;

tls_status tls_conn_handshake(tls_conn *c);
/* 1..max bytes on TLS_DONE. */
tls_status tls_conn_read(tls_conn *c, void *out, size_t max, size_t *size_out);
/* All of it, as records appended to tls_conn_out; never TLS_MORE. */
tls_status tls_conn_write(tls_conn *c, const void *data, size_t size);
void tls_conn_say_goodbye(tls_conn *c);
/* Nothing has moved for a while: give memory back to the system. Costs a few microseconds now and
 * a page fault when a large record comes. */
void tls_conn_rest(tls_conn *c);

/* Bytes for the socket: send them, then buf_reset or buf_clear. */
buf *tls_conn_out(tls_conn *c);
/* "TLSv1.3", for logs. */
const char *tls_conn_version(const tls_conn *c);
bool tls_conn_is_closing(const tls_conn *c);

typedef enum tls_hello { HELLO_FINE = 0, HELLO_MORE = 1, HELLO_REFUSED = 2 } tls_hello;

/* Pure: looks at the first bytes of a connection. What is no hello at all is FINE: mbedTLS refuses
 * it with the proper alert. */
tls_hello tls_hello_check(const uint8_t *data, size_t size);

#endif
