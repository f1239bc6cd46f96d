/* head.c - see head.h. */
#include "sync-server/http/head.h"

#include <string.h>

#include "schema/limits.h"

typedef struct route {
    const char *method, *path;
    uint32_t body_bytes_max;
} route;

static const route ROUTES[] = {
    {"POST", "/v1/sync", SYNC_BODY_BYTES_MAX},
    {"POST", "/v1/enrol", ENROL_BODY_BYTES_MAX},
    {"GET", "/v1/pack/", 0}, /* ends with a slash: everything below it */
    {"POST", "/v1/blob/have", BLOB_ASK_BYTES_MAX},
    {"POST", "/v1/blob/put", BLOB_CHUNK_BYTES_MAX + BLOB_LINE_BYTES_MAX},
    {"POST", "/v1/blob/get", BLOB_LINE_BYTES_MAX},
    {"GET", "/v1/health", 0},
};

/* What the checks need of the headers: each at most once. */
typedef enum known {
    KNOWN_HOST,
    KNOWN_LENGTH,
    KNOWN_TYPE,
    KNOWN_ENCODING,
    KNOWN_AUTHORIZATION,
    KNOWN_CONNECTION,
    KNOWN_EXPECT,
    KNOWN_TRANSFER,
    KNOWN_UPGRADE,
    KNOWN_COUNT
} known;

static const char *const KNOWN_NAMES[KNOWN_COUNT] = {
    "host",       "content-length", "content-type",      "content-encoding", "authorization",
    "connection", "expect",         "transfer-encoding", "upgrade",
};

typedef struct known_headers {
    fb_text value[KNOWN_COUNT];
    bool present[KNOWN_COUNT];
} known_headers;

static void refuse(http_verdict *out, int status, fb_code code)
{
    out->status = status;
    out->code = code;
    out->close = true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(fb_text t, const char *lower_case)
{
    size_t size = strlen(lower_case);
    if (t.size != size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (lower(t.data[i]) != lower_case[i]) {
            return false;
        }
    }
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* RFC 9110 tchar without the underscore, which some servers take for a hyphen. */
static bool name_is_fine(fb_text name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!is_letter(c) && !is_digit(c) && (c == '\0' || strchr("!#$%&'*+-.^`|~", c) == NULL)) {
            return false;
        }
    }
    return name.size > 0;
}

static bool value_is_fine(fb_text value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* False on a bad header or a second one of a kind that decides something. */
static bool gather(const http_head *head, known_headers *out)
{
    for (uint32_t i = 0; i < head->headers_count; i++) {
        const http_header *h = &head->headers[i];
        if (!name_is_fine(h->name) || !value_is_fine(h->value)) {
            return false;
        }
        for (int k = 0; k < KNOWN_COUNT; k++) {
            if (!is_word(h->name, KNOWN_NAMES[k])) {
                continue;
            }
            if (out->present[k]) {
                return false;
            }
            out->present[k] = true;
            out->value[k] = h->value;
        }
    }
    return true;
}

static bool port_is_fine(fb_text port)
{
    for (size_t i = 0; i < port.size; i++) {
        if (!is_digit(port.data[i])) {
            return false;
        }
    }
    return port.size >= 1 && port.size <= 5;
}

/* name, IPv4 or [IPv6], each with an optional port; nothing else may hide in it. */
static bool host_is_fine(fb_text host)
{
    bool bracket = host.size > 0 && host.data[0] == '[';
    size_t at = bracket ? 1 : 0;
    size_t begin = at;
    while (at < host.size) {
        char c = host.data[at];
        bool fine = is_letter(c) || is_digit(c) || c == '.' || (bracket ? c == ':' : c == '-');
        if (!fine) {
            break;
        }
        at++;
    }
    if (at == begin) {
        return false;
    }
    if (bracket) {
        if (at == host.size || host.data[at] != ']') {
            return false;
        }
        at++;
    }
    if (at == host.size) {
        return true;
    }
    return host.data[at] == ':' &&
           port_is_fine((fb_text){.data = host.data + at + 1, .size = host.size - at - 1});
}

/* 1*DIGIT without leading zeros. Beyond `max` the value is max + 1. */
static bool length_get(fb_text text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (text.size == 0 || (text.size > 1 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
        if (value > max) {
            value = (uint64_t)max + 1;
        }
    }
    *out = (uint32_t)value;
    return true;
}

static bool target_is_fine(fb_text target)
{
    for (size_t i = 0; i < target.size; i++) {
        unsigned char c = (unsigned char)target.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '#' || c == '%' || c == '\\') {
            return false;
        }
    }
    return target.size > 0 && target.data[0] == '/';
}

/* CASE 1 of 3: could two readers disagree about this request? */
static bool framing_is_fine(const http_head *head, const known_headers *k)
{
    uint32_t ignored = 0;
    if (!k->present[KNOWN_HOST] || !host_is_fine(k->value[KNOWN_HOST])) {
        return false;
    }
    if (k->present[KNOWN_LENGTH] && !length_get(k->value[KNOWN_LENGTH], UINT32_MAX - 1, &ignored)) {
        return false;
    }
    if (k->present[KNOWN_CONNECTION] && !is_word(k->value[KNOWN_CONNECTION], "keep-alive") &&
        !is_word(k->value[KNOWN_CONNECTION], "close")) {
        return false;
    }
    return !k->present[KNOWN_TRANSFER] && !k->present[KNOWN_UPGRADE] &&
           target_is_fine(head->target);
}

static bool is_route(fb_text target, const char *path)
{
    size_t size = strlen(path);
    return text_is(target, path) ||
           (path[size - 1] == '/' && target.size > size && memcmp(target.data, path, size) == 0);
}

/* CASE 2 of 3: is there such a route? NULL after a refusal. */
static const route *find_route(const http_head *head, http_verdict *out)
{
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        const route *r = &ROUTES[i];
        if (!is_route(head->target, r->path)) {
            continue;
        }
        if (text_is(head->method, r->method)) {
            return r;
        }
        refuse(out, 405, FB_E_METHOD);
        out->allow = r->method;
        return NULL;
    }
    refuse(out, 404, FB_E_PATH);
    return NULL;
}

/* CASE 3 of 3: is the body one that the route takes? */
static void check_body(const route *r, const known_headers *k, http_verdict *out)
{
    fb_text encoding = k->value[KNOWN_ENCODING];
    if (r->body_bytes_max == 0) {
        if (k->present[KNOWN_LENGTH]) {
            refuse(out, 400, FB_E_PROTOCOL);
        }
        return;
    }
    if (!k->present[KNOWN_LENGTH]) {
        refuse(out, 411, FB_E_PROTOCOL);
        return;
    }
    if (!length_get(k->value[KNOWN_LENGTH], r->body_bytes_max, &out->body_bytes) ||
        out->body_bytes > r->body_bytes_max) {
        refuse(out, 413, FB_E_LIMIT);
        return;
    }
    if (!is_word(k->value[KNOWN_TYPE], "application/x-fieldbook") ||
        (k->present[KNOWN_ENCODING] && !is_word(encoding, "zstd"))) {
        refuse(out, 415, FB_E_MEDIA);
    }
}

void http_head_check(const http_head *head, http_verdict *out)
{
    known_headers k;
    memset(&k, 0, sizeof k);
    *out = (http_verdict){.code = FB_OK};
    if (head->major != 1 || head->minor != 1) {
        refuse(out, 505, FB_E_PROTOCOL);
        return;
    }
    if (!gather(head, &k) || !framing_is_fine(head, &k)) {
        refuse(out, 400, FB_E_PROTOCOL);
        return;
    }
    if (k.present[KNOWN_EXPECT]) {
        refuse(out, 417, FB_E_PROTOCOL);
        return;
    }
    const route *r = find_route(head, out);
    if (r == NULL) {
        return;
    }
    check_body(r, &k, out);
    if (out->status == 0) {
        out->close = k.present[KNOWN_CONNECTION] && is_word(k.value[KNOWN_CONNECTION], "close");
        out->authorization = k.value[KNOWN_AUTHORIZATION];
        /* As checked, whatever their case: nobody behind compares again in another way. */
        bool has_body = r->body_bytes_max > 0;
        out->content_type = has_body ? text_of("application/x-fieldbook") : (fb_text){NULL, 0};
        out->content_encoding =
            has_body && k.present[KNOWN_ENCODING] ? text_of("zstd") : (fb_text){NULL, 0};
    }
}
