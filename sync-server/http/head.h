/* head.h - is this request head one that Fieldbook serves? Pure: text in, verdict out.
 *
 * The parser (llhttp, in platform/) has split the bytes; this file refuses what a parser lets
 * through and two servers in a row might read differently. Any doubt about where a request ends
 * closes the connection.
 *
 *   HTT-1  a body has exactly one Content-Length of plain digits; transfer codings do not exist
 *   HTT-2  a refusal of the head always closes: its body may be on the way, unread
 *   HTT-3  the size of a body is known and within its route's limit before a byte of it is read
 * Source: protocol.md 1, RFC 9112, reliability.md 6.1 and 6.2. */
#ifndef FB_HTTP_HEAD_H
#define FB_HTTP_HEAD_H

#include "base/bytes.h"

enum {
    HTTP_LINE_BYTES_MAX = 2048,   /* request line */
    HTTP_HEADER_BYTES_MAX = 4096, /* one header line */
    HTTP_HEADERS_MAX = 32,
    HTTP_HEAD_BYTES_MAX = 16384, /* all header lines together */
};

typedef struct http_header {
    fb_text name, value; /* borrowed */
} http_header;

typedef struct http_head {
    fb_text method, target;
    int major, minor;
    http_header headers[HTTP_HEADERS_MAX];
    uint32_t headers_count;
} http_head;

typedef struct http_verdict {
    int status;        /* 0: serve it; else the refusal, after which the connection closes */
    fb_code code;      /* for the body of the refusal */
    const char *allow; /* 405: value of the Allow header */
    /* When served; texts are borrowed from the head, data NULL when absent. */
    uint32_t body_bytes;
    bool close; /* the client wants the connection closed afterwards */
    fb_text authorization, content_type, content_encoding;
} http_verdict;

void http_head_check(const http_head *head, http_verdict *out);

#endif
