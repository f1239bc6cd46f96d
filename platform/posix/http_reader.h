/* http_reader.h - collects one HTTP request from the plain bytes of a connection.
 *
 * llhttp splits, strictly; sync-server/http/head.h judges the head before a byte of the body is
 * taken. Requests are read one at a time: bytes behind a request stay with the caller, so that
 * pipelined requests are answered in order and none is looked at while another is worked on.
 *
 *   RDR-1  memory grows with bytes that arrived, never with a length that was announced
 *   RDR-2  after a refusal nothing more of the connection is read as a request */
#ifndef FB_POSIX_HTTP_READER_H
#define FB_POSIX_HTTP_READER_H

#include <llhttp.h>

#include "sync-server/http/head.h"

typedef struct text_span {
    uint16_t at, size; /* inside http_reader.head */
} text_span;

typedef enum read_step {
    READ_MORE = 0,   /* the request is not whole yet */
    READ_WHOLE = 1,  /* whole: verdict, head and body are valid */
    READ_REFUSED = 2 /* verdict.status says with what */
} read_step;

typedef struct http_reader {
    llhttp_t parser;
    buf head; /* the texts that the spans and the verdict refer to */
    buf body;
    text_span method, target;
    text_span names[HTTP_HEADERS_MAX], values[HTTP_HEADERS_MAX];
    uint32_t headers_count;
    size_t head_bytes; /* as they came, with line ends */
    size_t line_bytes; /* of the request line, likewise */
    bool line_ended;
    bool begun;    /* a byte of a request has come */
    bool has_head; /* the head is whole and served */
    bool is_whole;
    http_verdict verdict;
} http_reader;

void http_reader_init(http_reader *r);
/* Frees; the next request may be read at once. */
void http_reader_clear(http_reader *r);
/* *used_out <= size bytes belong to this request. */
read_step http_reader_feed(http_reader *r, const char *data, size_t size, size_t *used_out);
fb_text http_reader_get_method(const http_reader *r);
fb_text http_reader_get_path(const http_reader *r);

#endif
