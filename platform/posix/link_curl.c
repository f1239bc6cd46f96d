/* link_curl.c - see link_curl.h. */
#include "platform/posix/link_curl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "platform/posix/port.h"

enum {
    URL_BYTES_MAX = 512,
    RETRY_S_MAX = 86400,
    /* The server closes idle connections after 30 s; an older one is not worth trying. */
    KEPT_CONNECTION_S = 25,
    /* A large page's memory is not held through the small exchanges that follow. */
    KEPT_BODY_BYTES = 256 << 10,
};

/* What the TLS library says about a certificate (X509_V_ERR_..., the numbers are fixed). */
enum {
    CERT_FINE = 0,
    CERT_UNDECIDED = 1, /* what libcurl leaves when the chain was fine and the name was not */
    CERT_NOT_YET_VALID = 9,
    CERT_EXPIRED = 10,
    CERT_HOST = 62,
    CERT_IP = 64,
};

typedef struct link_curl {
    fb_link link;
    CURL *easy;
    char base_url[URL_BYTES_MAX];
    buf body;
    fb_code refused; /* why our own callback ended the transfer */
    bool zstd, encoding_unknown;
    uint32_t retry_ms;
    uint64_t moved_at_ms; /* when bytes last moved */
    curl_off_t moved;
    char reason[CURL_ERROR_SIZE];
    char message[384];
} link_curl;

/* ---------------------------------------------------------------- callbacks of one transfer */

static size_t take_body(char *data, size_t one, size_t size, void *ctx)
{
    link_curl *c = ctx;
    (void)one;
    buf_put(&c->body, data, size);
    if (c->body.code != FB_OK) {
        c->refused = c->body.code;
        return 0;
    }
    return size;
}

static bool header_is(const char *line, size_t size, const char *name, const char **value_out,
                      size_t *value_size_out)
{
    size_t name_size = strlen(name);
    if (size <= name_size || strncasecmp(line, name, name_size) != 0 || line[name_size] != ':') {
        return false;
    }
    const char *value = line + name_size + 1;
    const char *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) {
        end--;
    }
    *value_out = value;
    *value_size_out = (size_t)(end - value);
    return true;
}

static uint32_t retry_of(const char *value, size_t size)
{
    uint32_t seconds = 0;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9') {
            return 0; /* a date: its meaning hangs on two clocks, so our own schedule is used */
        }
        seconds = seconds * 10 + (uint32_t)(value[i] - '0');
        if (seconds > RETRY_S_MAX) {
            seconds = RETRY_S_MAX;
        }
    }
    return seconds * 1000;
}

static size_t take_header(char *line, size_t one, size_t size, void *ctx)
{
    link_curl *c = ctx;
    const char *value = NULL;
    size_t value_size = 0;
    (void)one;
    if (header_is(line, size, "Content-Encoding", &value, &value_size)) {
        c->zstd = value_size == 4 && strncasecmp(value, "zstd", 4) == 0;
        c->encoding_unknown =
            !c->zstd && !(value_size == 8 && strncasecmp(value, "identity", 8) == 0);
    } else if (header_is(line, size, "Retry-After", &value, &value_size)) {
        c->retry_ms = retry_of(value, value_size);
    }
    return size;
}

static uint64_t now_ms(void)
{
    const fb_port *port = fb_port_posix();
    return port->mono_ms(port->ctx);
}

/* LNK-4. Not curl's low-speed limit: that one cannot tell a long poll from a dead line. */
static int watch_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                          curl_off_t up)
{
    link_curl *c = ctx;
    uint64_t now = now_ms();
    (void)down_total;
    if (down + up != c->moved || (down == 0 && up == up_total)) {
        c->moved = down + up;
        c->moved_at_ms = now;
    }
    if (now - c->moved_at_ms > LINK_STALL_MS) {
        c->refused = FB_E_TIMEOUT;
        return 1;
    }
    return 0;
}

/* ---------------------------------------------------------------- failures */

typedef struct failure {
    CURLcode curl;
    fb_code code;
    const char *text;
} failure;

static const failure FAILURES[] = {
    {CURLE_COULDNT_RESOLVE_HOST, FB_E_OFFLINE,
     "the server's name cannot be resolved: check the network and the address"},
    {CURLE_COULDNT_RESOLVE_PROXY, FB_E_OFFLINE, "the proxy's name cannot be resolved"},
    {CURLE_COULDNT_CONNECT, FB_E_OFFLINE,
     "no connection to the server: check the network, the address and the port"},
    {CURLE_SEND_ERROR, FB_E_OFFLINE, "the connection broke while sending: it will be tried again"},
    {CURLE_RECV_ERROR, FB_E_OFFLINE, "the connection broke while waiting: it will be tried again"},
    {CURLE_GOT_NOTHING, FB_E_OFFLINE, "the server closed the connection without an answer"},
    {CURLE_PARTIAL_FILE, FB_E_TRUNCATED, "the answer was cut short: it will be tried again"},
    {CURLE_OPERATION_TIMEDOUT, FB_E_TIMEOUT, "no answer in time: it will be tried again"},
    {CURLE_OUT_OF_MEMORY, FB_E_NO_MEMORY, "out of memory"},
    {CURLE_SSL_CONNECT_ERROR, FB_E_TLS,
     "the server and this device agree on no TLS version or cipher"},
    {CURLE_SSL_CACERT_BADFILE, FB_E_TLS,
     "the company's CA file cannot be read: enrol again or copy the file anew"},
    {CURLE_SSL_CERTPROBLEM, FB_E_TLS, "the local certificate is not usable"},
    {CURLE_SSL_CIPHER, FB_E_TLS, "the TLS cipher is not usable"},
    {CURLE_WEIRD_SERVER_REPLY, FB_E_PROTOCOL, "the answer is not HTTP"},
    {CURLE_UNSUPPORTED_PROTOCOL, FB_E_PROTOCOL, "the answer is not HTTP 1.1"},
};

static fb_code say(link_curl *c, fb_code code, const char *text)
{
    if (c->reason[0] != '\0') {
        snprintf(c->message, sizeof c->message, "%s (%s)", text, c->reason);
    } else {
        snprintf(c->message, sizeof c->message, "%s", text);
    }
    return code;
}

static fb_code certificate_failure(link_curl *c)
{
    long verdict = 0;
    curl_easy_getinfo(c->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
    switch (verdict) {
    case CERT_EXPIRED:
        return say(c, FB_E_TLS,
                   "the server's certificate has expired: check this device's clock, then ask the "
                   "administrator to renew it");
    case CERT_NOT_YET_VALID:
        return say(c, FB_E_TLS,
                   "the server's certificate is not valid yet: this device's clock is probably "
                   "behind, set it");
    case CERT_FINE:
    case CERT_UNDECIDED:
    case CERT_HOST:
    case CERT_IP:
        return say(c, FB_E_TLS,
                   "the certificate is not for this host name: check the server's address");
    default:
        return say(c, FB_E_TLS,
                   "the server's certificate is not signed by the company's authority: somebody "
                   "may be in between, or the CA file is old");
    }
}

/* A line that broke during the handshake is the network's fault, not the certificate's. */
static bool handshake_was_cut(link_curl *c)
{
    long os_errno = 0;
    curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_errno);
    return os_errno != 0 || strstr(c->reason, "SYSCALL") != NULL ||
           strstr(c->reason, "unexpected eof") != NULL || strstr(c->reason, "reset") != NULL;
}

static fb_code timeout_failure(link_curl *c)
{
    curl_off_t connected_us = 0;
    curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    if (connected_us == 0) {
        return say(c, FB_E_OFFLINE, "the server cannot be reached: check the network");
    }
    return say(c, FB_E_TIMEOUT, "no answer in time: it will be tried again");
}

static fb_code refused_failure(link_curl *c)
{
    const char *text = "out of memory";
    if (c->refused == FB_E_LIMIT) {
        text = "the answer is longer than allowed";
    } else if (c->refused == FB_E_TIMEOUT) {
        text = "the transfer stalled: it will be tried again";
    }
    return say(c, c->refused, text);
}

static fb_code map_failure(link_curl *c, CURLcode rc)
{
    if (c->refused != FB_OK) {
        return refused_failure(c);
    }
    if (rc == CURLE_PEER_FAILED_VERIFICATION) {
        return certificate_failure(c);
    }
    if (rc == CURLE_SSL_CONNECT_ERROR && handshake_was_cut(c)) {
        return say(c, FB_E_OFFLINE, "the connection broke during the handshake");
    }
    if (rc == CURLE_OPERATION_TIMEDOUT) {
        return timeout_failure(c);
    }
    if (rc == CURLE_RECV_ERROR && c->body.size > 0) {
        return say(c, FB_E_TRUNCATED, "the answer was cut short: it will be tried again");
    }
    for (size_t i = 0; i < sizeof FAILURES / sizeof FAILURES[0]; i++) {
        if (FAILURES[i].curl == rc) {
            return say(c, FAILURES[i].code, FAILURES[i].text);
        }
    }
    return say(c, FB_E_OFFLINE, "the exchange failed");
}

/* ---------------------------------------------------------------- one exchange */

static bool put_header(struct curl_slist **list, const char *name, const char *value)
{
    char line[512];
    int size = value == NULL ? snprintf(line, sizeof line, "%s:", name)
                             : snprintf(line, sizeof line, "%s: %s", name, value);
    bool fits = size > 0 && (size_t)size < sizeof line;
    struct curl_slist *longer = fits ? curl_slist_append(*list, line) : NULL;
    bytes_wipe(line, sizeof line);
    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

/* The headers hold the device's secret: gone from memory when the exchange is over. */
static void drop_headers(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at != NULL; at = at->next) {
        bytes_wipe(at->data, strlen(at->data));
    }
    curl_slist_free_all(list);
}

static bool put_headers(struct curl_slist **list, const fb_link_request *q)
{
    bool fine = put_header(list, "Accept", NULL) && put_header(list, "Expect", NULL);
    if (q->content_type != NULL) {
        fine = fine && put_header(list, "Content-Type", q->content_type);
    }
    if (q->content_encoding != NULL) {
        fine = fine && put_header(list, "Content-Encoding", q->content_encoding);
    }
    if (q->authorization != NULL) {
        fine = fine && put_header(list, "Authorization", q->authorization);
    }
    return fine;
}

static void set_method(link_curl *c, const fb_link_request *q)
{
    if (strcmp(q->method, "POST") == 0) {
        curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, q->body.size > 0 ? q->body.data : "");
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.size);
    } else {
        curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
    }
}

static void begin_transfer(link_curl *c, const fb_link_request *q)
{
    if (c->body.capacity > KEPT_BODY_BYTES) {
        buf_clear(&c->body);
    }
    buf_reset(&c->body);
    c->body.max = q->response_bytes_max;
    c->refused = FB_OK;
    c->zstd = false;
    c->encoding_unknown = false;
    c->retry_ms = 0;
    c->moved = -1;
    c->moved_at_ms = now_ms();
    c->reason[0] = '\0';
    c->message[0] = '\0';
}

static fb_code end_transfer(link_curl *c, CURLcode rc, fb_link_response *response)
{
    long status = 0;
    if (rc != CURLE_OK) {
        return map_failure(c, rc);
    }
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->encoding_unknown) {
        return say(c, FB_E_PROTOCOL, "the answer has a Content-Encoding other than zstd");
    }
    *response = (fb_link_response){.status = (int)status,
                                   .zstd = c->zstd,
                                   .retry_ms = c->retry_ms,
                                   .body = buf_text(&c->body)};
    return FB_OK;
}

static fb_code exchange(void *ctx, const fb_link_request *q, fb_link_response *response)
{
    link_curl *c = ctx;
    FB_REQUIRE(q != NULL && response != NULL && q->method != NULL && q->path != NULL);
    FB_REQUIRE(strcmp(q->method, "POST") == 0 || strcmp(q->method, "GET") == 0);
    FB_REQUIRE(q->path[0] == '/');
    char url[URL_BYTES_MAX + 64];
    int size = snprintf(url, sizeof url, "%s%s", c->base_url, q->path);
    FB_REQUIRE(size > 0 && (size_t)size < sizeof url);

    begin_transfer(c, q);
    struct curl_slist *headers = NULL;
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    if (put_headers(&headers, q)) {
        set_method(c, q);
        curl_easy_setopt(c->easy, CURLOPT_URL, url);
        curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
        rc = curl_easy_perform(c->easy);
        curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, NULL);
    }
    drop_headers(headers);
    return end_transfer(c, rc, response);
}

/* ---------------------------------------------------------------- the link's life */

static bool set_trust(CURL *easy, const char *ca_file)
{
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
}

static bool set_transport(CURL *easy)
{
    /* The server's library is fastest on P-256: offering that share first spares it X25519. A
     * backend without this option keeps its own order. */
    curl_easy_setopt(easy, CURLOPT_SSL_EC_CURVES, "P-256:X25519:P-384");
    return curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)LINK_CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)KEPT_CONNECTION_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L) == CURLE_OK;
}

static bool set_callbacks(link_curl *c)
{
    return curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->reason) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_XFERINFOFUNCTION, watch_progress) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_XFERINFODATA, c) == CURLE_OK;
}

static bool set_all(link_curl *c, const char *ca_file)
{
    return set_trust(c->easy, ca_file) && set_transport(c->easy) && set_callbacks(c);
}

/* "https://host[:port]", one slash after it forgiven. */
static bool take_base_url(link_curl *c, const char *base_url)
{
    const char *scheme = "https://";
    size_t size = strlen(base_url);
    if (size > 0 && base_url[size - 1] == '/') {
        size--;
    }
    if (size >= sizeof c->base_url || strncmp(base_url, scheme, strlen(scheme)) != 0) {
        return false;
    }
    for (size_t i = strlen(scheme); i < size; i++) {
        unsigned char at = (unsigned char)base_url[i];
        if (at <= ' ' || at >= 0x7f || strchr("/?#@\\", at) != NULL) {
            return false;
        }
    }
    memcpy(c->base_url, base_url, size);
    c->base_url[size] = '\0';
    return size > strlen(scheme);
}

static fb_code check_arguments(link_curl *c, const char *base_url, const char *ca_file,
                               fb_error *err)
{
    if (!take_base_url(c, base_url)) {
        return fail(err, FB_E_FORMAT, "server_url",
                    "the address must have the form https://host or https://host:port");
    }
    if (access(ca_file, R_OK) != 0) {
        return fail(err, FB_E_NOT_FOUND, "ca_file",
                    "the company's CA file cannot be read: give the file the server made (ca.pem)");
    }
    return FB_OK;
}

fb_code fb_link_curl_new(const char *base_url, const char *ca_file, fb_link **out, fb_error *err)
{
    FB_REQUIRE(base_url != NULL && ca_file != NULL && out != NULL);
    link_curl *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory");
    }
    buf_init(&c->body, 0);
    c->link.ctx = c;
    c->link.exchange = exchange;
    fb_code rc = check_arguments(c, base_url, ca_file, err);
    if (rc == FB_OK) {
        /* Counted and thread safe in libcurl; the end of the process is its clean-up. */
        curl_global_init(CURL_GLOBAL_DEFAULT);
        c->easy = curl_easy_init();
        if (c->easy == NULL || !set_all(c, ca_file)) {
            rc = fail(err, FB_E_NO_MEMORY, "", "libcurl refuses its options or memory is short");
        }
    }
    if (rc != FB_OK) {
        fb_link_curl_free(&c->link);
        return rc;
    }
    *out = &c->link;
    return FB_OK;
}

void fb_link_curl_free(fb_link *link)
{
    if (link == NULL) {
        return;
    }
    link_curl *c = link->ctx;
    curl_easy_cleanup(c->easy);
    buf_clear(&c->body);
    free(c);
}

fb_code fb_link_curl_set_proxy(fb_link *link, const char *proxy_url)
{
    FB_REQUIRE(link != NULL);
    link_curl *c = link->ctx;
    bool fine =
        curl_easy_setopt(c->easy, CURLOPT_PROXY, proxy_url != NULL ? proxy_url : "") == CURLE_OK &&
        curl_easy_setopt(c->easy, CURLOPT_NOPROXY, proxy_url != NULL ? "" : "*") == CURLE_OK;
    return fine ? FB_OK : FB_E_NO_MEMORY;
}

const char *fb_link_curl_get_message(const fb_link *link)
{
    const link_curl *c = link->ctx;
    return c->message;
}

uint32_t fb_link_curl_get_connects(const fb_link *link)
{
    const link_curl *c = link->ctx;
    long connects = 0;
    curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &connects);
    return (uint32_t)connects;
}
