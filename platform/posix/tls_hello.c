/* tls_hello.c - the look at a client's first record that tls.h TLS-1 needs.
 *
 *   record    type(1)=22 version(2) length(2)
 *   hello     type(1)=1 length(3) version(2) random(32) id<1> suites<2> compression<1>
 * extensions<2> extension type(2) length(2) ... Source: RFC 5246 7.4.1.2, RFC 7627 5.3, RFC
 * 8446 4.2.1. */
#include "platform/posix/tls.h"

enum {
    RECORD_HEAD_BYTES = 5,
    HANDSHAKE_HEAD_BYTES = 4,
    RECORD_HANDSHAKE = 22,
    HANDSHAKE_CLIENT_HELLO = 1,
    VERSION_1_2 = 0x0303,
    VERSION_1_3 = 0x0304,
    EXT_EXTENDED_MASTER_SECRET = 23,
    EXT_SUPPORTED_VERSIONS = 43,
};

typedef struct reader {
    const uint8_t *at, *end;
    bool broken;
} reader;

static uint32_t get_number(reader *r, size_t bytes)
{
    uint32_t value = 0;
    if ((size_t)(r->end - r->at) < bytes) {
        r->broken = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | *r->at++;
    }
    return value;
}

static reader get_run(reader *r, size_t bytes)
{
    reader run = {.at = r->at, .end = r->at};
    if (r->broken || (size_t)(r->end - r->at) < bytes) {
        r->broken = true;
        run.broken = true;
        return run;
    }
    run.end = r->at + bytes;
    r->at = run.end;
    return run;
}

static bool offers_version_1_3(reader list)
{
    reader versions = get_run(&list, get_number(&list, 1));
    while (!versions.broken && versions.at < versions.end) {
        if (get_number(&versions, 2) == VERSION_1_3) {
            return true;
        }
    }
    return false;
}

static tls_hello check_hello(reader r)
{
    uint32_t version = get_number(&r, 2);
    get_run(&r, 32);
    get_run(&r, get_number(&r, 1));
    get_run(&r, get_number(&r, 2));
    get_run(&r, get_number(&r, 1));
    if (version < VERSION_1_2) {
        return HELLO_FINE; /* too old: mbedTLS answers with protocol_version */
    }
    reader extensions = get_run(&r, get_number(&r, 2));
    bool safe = false;
    while (!extensions.broken && extensions.at < extensions.end) {
        uint32_t type = get_number(&extensions, 2);
        reader body = get_run(&extensions, get_number(&extensions, 2));
        if (extensions.broken) {
            break;
        }
        safe = safe || type == EXT_EXTENDED_MASTER_SECRET ||
               (type == EXT_SUPPORTED_VERSIONS && offers_version_1_3(body));
    }
    return safe ? HELLO_FINE : HELLO_REFUSED;
}

tls_hello tls_hello_check(const uint8_t *data, size_t size)
{
    reader r = {.at = data, .end = data + size};
    if (size == 0 || data[0] != RECORD_HANDSHAKE) {
        return size == 0 ? HELLO_MORE : HELLO_FINE;
    }
    if (size < RECORD_HEAD_BYTES) {
        return HELLO_MORE;
    }
    get_run(&r, 3);
    uint32_t record_bytes = get_number(&r, 2);
    if (record_bytes > TLS_RECORD_BYTES_MAX) {
        return HELLO_FINE; /* mbedTLS answers with record_overflow */
    }
    if (record_bytes < HANDSHAKE_HEAD_BYTES) {
        return HELLO_REFUSED; /* no honest client cuts its hello like this */
    }
    if (size < RECORD_HEAD_BYTES + record_bytes) {
        return HELLO_MORE;
    }
    reader record = get_run(&r, record_bytes);
    if (get_number(&record, 1) != HANDSHAKE_CLIENT_HELLO) {
        return HELLO_FINE;
    }
    reader hello = get_run(&record, get_number(&record, 3));
    return hello.broken ? HELLO_REFUSED : check_hello(hello);
}
