/* target_http.c - one connection's plain bytes: the request reader and the judgement of heads.
 *
 * The first byte says how the bytes are cut; the answer must be the same as for bytes in one piece
 * (RDR-2, HTT-1, HTT-3). */
#include "fuzz.h"

#include "platform/posix/http_reader.h"
#include "sync-server/http/reply.h"

void fuzz_open(void)
{
}

void fuzz_finish(void)
{
}

typedef struct outcome {
    read_step step;
    size_t used;
    buf texts; /* what the server would see */
} outcome;

static void see(outcome *o, const http_reader *r)
{
    buf_init(&o->texts, 4u << 20);
    if (o->step == READ_REFUSED) {
        MUST(r->verdict.status >= 400 && r->verdict.status < 600);
        MUST(r->verdict.code != FB_OK && r->verdict.code != FB_E_BUG);
        buf_printf(&o->texts, "%d %d", r->verdict.status, (int)r->verdict.code);
        return;
    }
    if (o->step == READ_WHOLE) {
        MUST(r->verdict.status == 0);
        MUST(r->body.size == r->verdict.body_bytes);
        const fb_text seen[] = {http_reader_get_method(r),   http_reader_get_path(r),
                                r->verdict.authorization,    r->verdict.content_type,
                                r->verdict.content_encoding, buf_text(&r->body)};
        for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
            buf_printf(&o->texts, "[%zu]", seen[i].size);
            buf_put_text(&o->texts, seen[i]);
        }
    }
}

static outcome feed(fb_text in, size_t piece)
{
    outcome o = {.step = READ_MORE};
    http_reader r;
    http_reader_init(&r);
    while (o.step == READ_MORE && o.used < in.size) {
        size_t used = 0, size = in.size - o.used < piece ? in.size - o.used : piece;
        o.step = http_reader_feed(&r, in.data + o.used, size, &used);
        MUST(used <= size);
        MUST(o.step != READ_MORE || used == size);
        o.used += used;
    }
    see(&o, &r);
    http_reader_clear(&r);
    return o;
}

void fuzz_run(fb_text in)
{
    size_t piece = (size_t)take_byte(&in) + 1;
    outcome whole = feed(in, SIZE_MAX), pieces = feed(in, piece);
    MUST(whole.step == pieces.step);
    MUST(whole.step == READ_REFUSED || whole.used == pieces.used);
    /* What is wrong in two ways may be refused for the one that comes first. */
    MUST(whole.step == READ_REFUSED || text_equal(buf_text(&whole.texts), buf_text(&pieces.texts)));
    buf_clear(&whole.texts);
    buf_clear(&pieces.texts);
}

void fuzz_seeds(void)
{
    static const char *const REQUESTS[] = {
        "\003POST /v1/sync HTTP/1.1\r\nHost: fb.example.com:8443\r\nAuthorization: Fieldbook "
        "018bcfe5-6800-7000-8000-00000000d001 abc\r\nContent-Type: application/x-fieldbook\r\n"
        "Content-Length: 12\r\n\r\n{\"m\":\"end\"}\n",
        "\377POST /v1/enrol HTTP/1.1\r\nhost: a\r\nContent-Encoding: zstd\r\nContent-Type: "
        "application/x-fieldbook\r\nAccept-Encoding: zstd\r\nUser-Agent: x/1\r\n"
        "Content-Length: 4\r\n\r\nabcd",
        "\001GET /v1/health HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\nGET /",
        "\020GET /v1/health HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "\040POST /v1/sync HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: x\r\n\r\n1\r\n"
        "a\r\n0\r\n\r\n",
        "\040PUT http://a/v1/sync?x=1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "\002OPTIONS * HTTP/1.1\nHost: a\n\n",
        "\002PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (size_t i = 0; i < sizeof REQUESTS / sizeof REQUESTS[0]; i++) {
        seed_put(text_of(REQUESTS[i]));
    }
}
