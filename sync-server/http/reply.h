/* reply.h - writes the head of a reply. Pure; the body is the server's or conn_out.c's.
 *
 *   HTT-4  every reply has an exact Content-Length, Date, no-store and nosniff, and says nothing
 *          about the program; nothing of the request is ever repeated in it
 * Source: protocol.md 1, reliability.md 6.1. */
#ifndef FB_HTTP_REPLY_H
#define FB_HTTP_REPLY_H

#include "base/bytes.h"

typedef struct http_reply {
    int status;
    size_t body_bytes;
    bool zstd;         /* Content-Encoding: zstd */
    bool close;        /* the connection closes after it */
    uint32_t retry_s;  /* Retry-After; 0: none */
    const char *allow; /* Allow; NULL: none */
    int64_t wall_ms;   /* for Date */
} http_reply;

void http_reply_put(buf *out, const http_reply *reply);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7). */
void http_date_put(buf *out, int64_t wall_ms);

#endif
