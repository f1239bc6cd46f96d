/* http_reader.c - see http_reader.h. */
#include "platform/posix/http_reader.h"

#include <string.h>

#include "base/check.h"

enum {
    /* What of a request line is not its target: method, two blanks, version, line end. */
    LINE_REST_BYTES = 18,
    HEAD_STORE_BYTES_MAX = HTTP_LINE_BYTES_MAX + HTTP_HEAD_BYTES_MAX,
    STOP = -1, /* what a callback says to end the parser */
};

static int refuse(http_reader *r, int status, fb_code code)
{
    if (r->verdict.status == 0) {
        r->verdict = (http_verdict){.status = status, .code = code, .close = true};
    }
    return STOP;
}

static fb_text text_at(const http_reader *r, text_span span)
{
    return (fb_text){.data = r->head.data + span.at, .size = span.size};
}

/* A text may come in pieces: they follow each other in the store. */
static int extend(http_reader *r, text_span *span, const char *at, size_t size, size_t max,
                  int status)
{
    if (span->size == 0) {
        span->at = (uint16_t)r->head.size;
    }
    if (span->size + size > max) {
        return refuse(r, status, FB_E_LIMIT);
    }
    buf_put(&r->head, at, size);
    if (r->head.code == FB_E_NO_MEMORY) {
        return refuse(r, 503, FB_E_NO_MEMORY);
    }
    if (r->head.code != FB_OK) {
        return refuse(r, 431, FB_E_LIMIT);
    }
    span->size = (uint16_t)(span->size + size);
    return 0;
}

static int on_method(llhttp_t *p, const char *at, size_t size)
{
    http_reader *r = p->data;
    return extend(r, &r->method, at, size, LINE_REST_BYTES, 400);
}

static int on_url(llhttp_t *p, const char *at, size_t size)
{
    http_reader *r = p->data;
    return extend(r, &r->target, at, size, HTTP_LINE_BYTES_MAX - LINE_REST_BYTES, 414);
}

static int on_header_field(llhttp_t *p, const char *at, size_t size)
{
    http_reader *r = p->data;
    if (r->headers_count == HTTP_HEADERS_MAX) {
        return refuse(r, 431, FB_E_LIMIT);
    }
    return extend(r, &r->names[r->headers_count], at, size, HTTP_HEADER_BYTES_MAX, 431);
}

static int on_header_value(llhttp_t *p, const char *at, size_t size)
{
    http_reader *r = p->data;
    uint32_t i = r->headers_count;
    /* ": " and the line end belong to the line too. */
    size_t rest_bytes = HTTP_HEADER_BYTES_MAX - 4;
    size_t name_bytes = r->names[i].size;
    return extend(r, &r->values[i], at, size, name_bytes < rest_bytes ? rest_bytes - name_bytes : 0,
                  431);
}

static int on_header_value_complete(llhttp_t *p)
{
    http_reader *r = p->data;
    r->headers_count++;
    return 0;
}

/* llhttp skips further blanks between the words of a request line without telling. */
static bool line_has_single_blanks(const http_reader *r)
{
    return r->line_bytes == r->method.size + r->target.size + sizeof "  HTTP/1.1\r\n" - 1u;
}

static void count_line(http_reader *r, const char *data, size_t size)
{
    for (size_t i = 0; i < size && !r->line_ended; i++) {
        bool is_end = data[i] == '\n';
        if (r->line_bytes == 0 && (is_end || data[i] == '\r')) {
            continue; /* empty lines before a request are allowed */
        }
        r->line_bytes++;
        r->line_ended = is_end;
    }
}

static int on_headers_complete(llhttp_t *p)
{
    http_reader *r = p->data;
    http_head head;
    if (!line_has_single_blanks(r)) {
        return refuse(r, 400, FB_E_PROTOCOL);
    }
    head.method = text_at(r, r->method);
    head.target = text_at(r, r->target);
    head.major = llhttp_get_http_major(p);
    head.minor = llhttp_get_http_minor(p);
    head.headers_count = r->headers_count;
    for (uint32_t i = 0; i < r->headers_count; i++) {
        head.headers[i].name = text_at(r, r->names[i]);
        head.headers[i].value = text_at(r, r->values[i]);
    }
    http_head_check(&head, &r->verdict);
    r->body.max = r->verdict.body_bytes;
    r->has_head = r->verdict.status == 0;
    return r->has_head ? 0 : STOP;
}

static int on_body(llhttp_t *p, const char *at, size_t size)
{
    http_reader *r = p->data;
    buf_put(&r->body, at, size);
    return r->body.code == FB_OK ? 0 : refuse(r, 503, FB_E_NO_MEMORY);
}

static int on_message_complete(llhttp_t *p)
{
    http_reader *r = p->data;
    r->is_whole = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t SETTINGS = {
    .on_method = on_method,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_reader_init(http_reader *r)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->head, HEAD_STORE_BYTES_MAX);
    buf_init(&r->body, 0);
    /* No lenient flag is set: whatever llhttp finds doubtful is refused. */
    llhttp_init(&r->parser, HTTP_REQUEST, &SETTINGS);
    r->parser.data = r;
}

void http_reader_clear(http_reader *r)
{
    buf_clear(&r->head);
    buf_clear(&r->body);
    http_reader_init(r);
}

static read_step step_of(http_reader *r, llhttp_errno_t rc)
{
    if (r->verdict.status != 0) {
        return READ_REFUSED;
    }
    if (r->is_whole) {
        FB_ASSERT(r->body.size == r->verdict.body_bytes); /* HTT-1 */
        return READ_WHOLE;
    }
    if (rc != HPE_OK) {
        refuse(r, rc == HPE_INVALID_VERSION ? 505 : 400, FB_E_PROTOCOL);
        return READ_REFUSED;
    }
    return READ_MORE;
}

read_step http_reader_feed(http_reader *r, const char *data, size_t size, size_t *used_out)
{
    FB_ASSERT(!r->is_whole && r->verdict.status == 0); /* RDR-2 */
    r->begun = r->begun || size > 0;
    bool in_head = !r->has_head;
    count_line(r, data, size);
    llhttp_errno_t rc = llhttp_execute(&r->parser, data, size);
    size_t used = size;
    if (rc != HPE_OK) {
        const char *at = llhttp_get_error_pos(&r->parser);
        used = at >= data && at <= data + size ? (size_t)(at - data) : size;
    }
    if (in_head && !r->has_head && r->verdict.status == 0) {
        r->head_bytes += used;
        if (r->head_bytes > HEAD_STORE_BYTES_MAX) {
            refuse(r, 431, FB_E_LIMIT);
        }
    }
    *used_out = used;
    return step_of(r, rc);
}

fb_text http_reader_get_method(const http_reader *r)
{
    return text_at(r, r->method);
}

fb_text http_reader_get_path(const http_reader *r)
{
    return text_at(r, r->target);
}
