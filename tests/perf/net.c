/* net.c - see net.h. */
#include "perf/net.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <psa/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/decimal.h"

enum {
    IN_BYTES_MAX = 64 << 20,
    READ_BYTES = 16384,
    READ_ENOUGH_BYTES = 1 << 20,
    TICKET_S = 3600,
    FRAME_HEAD = 5,
    BACKLOG = 512
};

struct net {
    mbedtls_ssl_config config;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
};

static const int SUITES[] = {MBEDTLS_TLS1_3_AES_128_GCM_SHA256, 0};
static const uint16_t GROUPS[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_NONE};

static void tls_must(int rc, const char *what)
{
    if (rc != 0) {
        bench_die("TLS: %s: -0x%04x", what, (unsigned)-rc);
    }
}

static int random_get(void *ctx, unsigned char *out, size_t size)
{
    (void)ctx;
    for (size_t have = 0; have < size;) {
        ssize_t n = getrandom(out + have, size - have, 0);
        if (n <= 0) {
            return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
        }
        have += (size_t)n;
    }
    return 0;
}

static net *net_new(int endpoint)
{
    net *n = calloc(1, sizeof *n);
    if (n == NULL || psa_crypto_init() != PSA_SUCCESS) {
        bench_die("the TLS library cannot start");
    }
    mbedtls_ssl_config_init(&n->config);
    mbedtls_x509_crt_init(&n->cert);
    mbedtls_pk_init(&n->key);
    mbedtls_ssl_ticket_init(&n->tickets);
    tls_must(mbedtls_ssl_config_defaults(&n->config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT),
             "settings");
    mbedtls_ssl_conf_rng(&n->config, random_get, NULL);
    mbedtls_ssl_conf_min_tls_version(&n->config, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_max_tls_version(&n->config, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(&n->config, SUITES);
    mbedtls_ssl_conf_groups(&n->config, GROUPS);
    return n;
}

net *net_server(const char *cert_file, const char *key_file)
{
    net *n = net_new(MBEDTLS_SSL_IS_SERVER);
    tls_must(mbedtls_x509_crt_parse_file(&n->cert, cert_file), cert_file);
    tls_must(mbedtls_pk_parse_keyfile(&n->key, key_file, NULL, random_get, NULL), key_file);
    tls_must(mbedtls_ssl_conf_own_cert(&n->config, &n->cert, &n->key), "certificate");
    tls_must(mbedtls_ssl_ticket_setup(&n->tickets, random_get, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                      TICKET_S),
             "tickets");
    mbedtls_ssl_conf_session_tickets_cb(&n->config, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &n->tickets);
    return n;
}

net *net_client(const char *ca_file)
{
    net *n = net_new(MBEDTLS_SSL_IS_CLIENT);
    tls_must(mbedtls_x509_crt_parse_file(&n->cert, ca_file), ca_file);
    mbedtls_ssl_conf_ca_chain(&n->config, &n->cert, NULL);
    mbedtls_ssl_conf_authmode(&n->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &n->config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return n;
}

void net_free(net *n)
{
    if (n != NULL) {
        mbedtls_ssl_config_free(&n->config);
        mbedtls_x509_crt_free(&n->cert);
        mbedtls_pk_free(&n->key);
        mbedtls_ssl_ticket_free(&n->tickets);
        free(n);
    }
}

/* ---------------------------------------------------------------- connections */

static int wire_send(void *ctx, const unsigned char *data, size_t size)
{
    net_conn *c = ctx;
    ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
    if (n < 0) {
        bool later = errno == EAGAIN || errno == EINTR || errno == ENOTCONN; /* net_begin */
        return later ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_CONN_EOF;
    }
    c->up_bytes += n;
    return (int)n;
}

static int wire_receive(void *ctx, unsigned char *data, size_t size)
{
    net_conn *c = ctx;
    ssize_t n = recv(c->fd, data, size, 0);
    if (n < 0) {
        bool later = errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        return later ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_CONN_EOF;
    }
    c->down_bytes += n;
    return n == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : (int)n;
}

static net_conn *conn_new(net *n, int fd)
{
    net_conn *c = calloc(1, sizeof *c);
    int on = 1;
    if (c == NULL) {
        bench_die("out of memory");
    }
    c->fd = fd;
    c->blocking = true;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    buf_init(&c->in, IN_BYTES_MAX);
    mbedtls_ssl_init(&c->ssl);
    tls_must(mbedtls_ssl_setup(&c->ssl, &n->config), "connection");
    mbedtls_ssl_set_bio(&c->ssl, c, wire_send, wire_receive, NULL);
    return c;
}

void net_unblock(net_conn *c)
{
    int flags = fcntl(c->fd, F_GETFL);
    c->blocking = false;
    if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        bench_die("fcntl: %s", strerror(errno));
    }
}

net_conn *net_accepted(net *n, int fd)
{
    net_conn *c = conn_new(n, fd);
    net_unblock(c);
    return c;
}

static void ticket_take(net_conn *c)
{
    if (c->ticket == NULL) {
        c->ticket = calloc(1, sizeof *c->ticket);
    } else {
        mbedtls_ssl_session_free(c->ticket);
    }
    if (c->ticket == NULL) {
        bench_die("out of memory");
    }
    mbedtls_ssl_session_init(c->ticket);
    tls_must(mbedtls_ssl_get_session(&c->ssl, c->ticket), "ticket");
}

net_conn *net_connect(net *n, int port, const mbedtls_ssl_session *ticket)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        bench_die("connect to port %d: %s", port, strerror(errno));
    }
    net_conn *c = conn_new(n, fd);
    tls_must(mbedtls_ssl_set_hostname(&c->ssl, "localhost"), "host name");
    if (ticket != NULL) {
        tls_must(mbedtls_ssl_set_session(&c->ssl, ticket), "resumption");
    }
    tls_must(mbedtls_ssl_handshake(&c->ssl), "handshake");
    c->ready = true;
    return c;
}

net_conn *net_begin(net *n, int port, uint32_t from)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        bench_die("a socket from an address of its own: %s", strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(fd);
        return NULL;
    }
    net_conn *c = conn_new(n, fd);
    net_unblock(c);
    tls_must(mbedtls_ssl_set_hostname(&c->ssl, "localhost"), "host name");
    return c;
}

void net_close(net_conn *c)
{
    if (c == NULL) {
        return;
    }
    mbedtls_ssl_free(&c->ssl);
    if (c->ticket != NULL) {
        mbedtls_ssl_session_free(c->ticket);
        free(c->ticket);
    }
    buf_clear(&c->in);
    close(c->fd);
    free(c);
}

static void room_wait(net_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    if (poll(&p, 1, -1) < 0 && errno != EINTR) {
        bench_die("poll: %s", strerror(errno));
    }
}

void net_send(net_conn *c, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size > 0 && !c->closed) {
        int n = mbedtls_ssl_write(&c->ssl, at, size);
        if (n == MBEDTLS_ERR_SSL_WANT_WRITE) {
            room_wait(c);
        } else if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            ticket_take(c); /* it lay before what we send */
        } else if (n < 0 && n != MBEDTLS_ERR_SSL_WANT_READ) {
            c->closed = true;
        } else if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
}

static void in_compact(net_conn *c)
{
    if (c->taken == c->in.size) {
        c->taken = c->in.size = 0;
    } else if (c->taken > c->in.size / 2) {
        memmove(c->in.data, c->in.data + c->taken, c->in.size - c->taken);
        c->in.size -= c->taken;
        c->taken = 0;
    }
}

/* One record. False: nothing more now. */
static bool read_once(net_conn *c)
{
    if (!c->ready) {
        int rc = mbedtls_ssl_handshake(&c->ssl);
        c->ready = rc == 0;
        c->closed = rc != 0 && rc != MBEDTLS_ERR_SSL_WANT_READ && rc != MBEDTLS_ERR_SSL_WANT_WRITE;
        return c->ready;
    }
    char *room = buf_reserve(&c->in, READ_BYTES);
    if (room == NULL) {
        bench_die("a message is larger than %d bytes", IN_BYTES_MAX);
    }
    int n = mbedtls_ssl_read(&c->ssl, (unsigned char *)room, READ_BYTES);
    if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        ticket_take(c);
        return true;
    }
    if (n > 0) {
        c->in.size += (size_t)n;
        return true;
    }
    c->closed = n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE;
    return false;
}

void net_read(net_conn *c)
{
    in_compact(c);
    size_t had = c->in.size;
    while (read_once(c)) {
        if (c->in.size > (c->blocking ? had : had + READ_ENOUGH_BYTES)) {
            return;
        }
    }
}

int net_listen(int *port_out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        bench_die("cannot listen on loopback: %s", strerror(errno));
    }
    *port_out = ntohs(a.sin_port);
    return fd;
}

/* ---------------------------------------------------------------- frames */

void frame_put(buf *out, char kind, fb_text payload)
{
    uint32_t size = (uint32_t)payload.size + 1;
    char head[FRAME_HEAD] = {(char)size, (char)(size >> 8), (char)(size >> 16), (char)(size >> 24),
                             kind};
    buf_put(out, head, sizeof head);
    buf_put_text(out, payload);
}

bool frame_next(net_conn *c, frame *out)
{
    const uint8_t *at = (const uint8_t *)c->in.data + c->taken;
    size_t have = c->in.size - c->taken;
    if (have < FRAME_HEAD) {
        return false;
    }
    size_t size = at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (have < 4 + size) {
        return false;
    }
    *out = (frame){(char)at[4], {(const char *)at + FRAME_HEAD, size - 1}};
    c->taken += 4 + size;
    return true;
}

frame frame_wait(net_conn *c)
{
    frame f;
    while (!frame_next(c, &f)) {
        net_read(c);
        if (c->closed) {
            bench_die("the floor's server closed the connection");
        }
    }
    return f;
}

/* ---------------------------------------------------------------- HTTP */

void http_put(buf *out, const fb_link_request *q)
{
    buf_printf(out,
               "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
               q->method, q->path, q->content_type, q->body.size);
    if (q->content_encoding != NULL) {
        buf_printf(out, "Content-Encoding: %s\r\n", q->content_encoding);
    }
    if (q->authorization != NULL) {
        buf_printf(out, "Authorization: %s\r\n", q->authorization);
    }
    buf_put_str(out, "\r\n");
    buf_put_text(out, q->body);
    must(out->code, NULL, "a request");
}

static bool header_value(const char *head, const char *name, size_t name_size, fb_text *out)
{
    for (const char *at = strstr(head, "\r\n"); at != NULL; at = strstr(at + 2, "\r\n")) {
        if (strncasecmp(at + 2, name, name_size) == 0 && at[2 + name_size] == ':') {
            const char *from = at + 3 + name_size + strspn(at + 3 + name_size, " ");
            *out = (fb_text){from, strcspn(from, "\r")};
            return true;
        }
    }
    return false;
}

bool http_next(net_conn *c, fb_link_response *out)
{
    buf_put_char(&c->in, '\0');
    c->in.size--;
    char *head = c->in.data + c->taken;
    char *end = c->in.size > c->taken ? strstr(head, "\r\n\r\n") : NULL;
    fb_text length, encoding;
    int64_t size = 0;
    if (end == NULL) {
        return false;
    }
    end[2] = '\0';
    bool known = header_value(head, "Content-Length", 14, &length) && i64_get(length, &size);
    bool packed =
        header_value(head, "Content-Encoding", 16, &encoding) && text_is(encoding, "zstd");
    end[2] = '\r';
    if (!known || strncmp(head, "HTTP/1.1 ", 9) != 0) {
        bench_die("an answer that is not HTTP as agreed: %.60s", head);
    }
    size_t body_at = (size_t)(end - c->in.data) + 4;
    if (c->in.size - body_at < (size_t)size) {
        return false;
    }
    *out = (fb_link_response){.status =
                                  (head[9] - '0') * 100 + (head[10] - '0') * 10 + (head[11] - '0'),
                              .zstd = packed,
                              .body = {c->in.data + body_at, (size_t)size}};
    c->taken = body_at + (size_t)size;
    return true;
}

/* ---------------------------------------------------------------- a link */

static void link_drop(net_link *l)
{
    if (l->conn == NULL) {
        return;
    }
    l->up_bytes += l->conn->up_bytes;
    l->down_bytes += l->conn->down_bytes;
    if (l->conn->ticket != NULL) {
        if (l->ticket != NULL) {
            mbedtls_ssl_session_free(l->ticket);
            free(l->ticket);
        }
        l->ticket = l->conn->ticket;
        l->conn->ticket = NULL;
    }
    net_close(l->conn);
    l->conn = NULL;
}

static fb_code link_exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    net_link *l = ctx;
    if (l->mode != NET_KEPT) {
        link_drop(l);
    }
    if (l->conn == NULL) {
        l->conn = net_connect(l->client, l->port, l->mode == NET_RESUMED ? l->ticket : NULL);
    }
    buf_reset(&l->out);
    http_put(&l->out, q);
    net_send(l->conn, l->out.data, l->out.size);
    while (!http_next(l->conn, out)) {
        net_read(l->conn);
        if (l->conn->closed) {
            link_drop(l);
            return FB_E_OFFLINE;
        }
    }
    return FB_OK;
}

void net_link_init(net_link *l, net *client, int port, net_mode mode)
{
    *l = (net_link){.client = client, .port = port, .mode = mode};
    l->link = (fb_link){l, link_exchange};
    buf_init(&l->out, IN_BYTES_MAX);
}

void net_link_clear(net_link *l)
{
    link_drop(l);
    if (l->ticket != NULL) {
        mbedtls_ssl_session_free(l->ticket);
        free(l->ticket);
    }
    buf_clear(&l->out);
}

void net_link_bytes(const net_link *l, int64_t *up_out, int64_t *down_out)
{
    *up_out = l->up_bytes + (l->conn != NULL ? l->conn->up_bytes : 0);
    *down_out = l->down_bytes + (l->conn != NULL ? l->conn->down_bytes : 0);
}
