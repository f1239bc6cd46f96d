/* test_link_answers.c - the link of a device and answers that no server of ours gives: what it
 * cannot read is never handed on as if it could.
 *
 * Method: a server on a thread that speaks TLS through platform/posix/tls.h, with the certificate
 * of a rig, and answers each connection with bytes of our choice. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/posix/tls.h"
#include "support/server_rig.h"

typedef struct fake {
    tls_server *tls;
    int socket;
    const char *answer; /* of every connection */
} fake;

static bool flush(int to, tls_conn *c)
{
    buf *out = tls_conn_out(c);
    size_t sent = 0;
    while (sent < out->size) {
        ssize_t n = send(to, out->data + sent, out->size - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        sent += (size_t)n;
    }
    buf_reset(out);
    return true;
}

/* More of the peer's bytes; what is to be said goes first. False: it has gone. */
static bool more(int from, tls_conn *c)
{
    char bytes[4096];
    if (!flush(from, c)) {
        return false;
    }
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    return n > 0 && tls_conn_feed(c, bytes, (size_t)n) == FB_OK && tls_conn_keep(c) == FB_OK;
}

/* The head of the request and then its body "echo" are read; then the answer is given. */
static void conversation(const fake *f, int with)
{
    tls_conn *c = NULL;
    char request[4096];
    size_t size = 0, n = 0;
    tls_status s = TLS_MORE;
    if (tls_conn_new(f->tls, &c) != FB_OK) {
        return;
    }
    while (s == TLS_MORE && more(with, c)) {
        s = tls_conn_handshake(c);
    }
    while (s == TLS_DONE || s == TLS_MORE) {
        s = tls_conn_read(c, request + size, sizeof request - 1 - size, &n);
        size += s == TLS_DONE ? n : 0;
        request[size] = '\0';
        if (strstr(request, "\r\n\r\necho") != NULL || (s == TLS_MORE && !more(with, c))) {
            break;
        }
    }
    if (tls_conn_write(c, f->answer, strlen(f->answer)) == TLS_DONE) {
        tls_conn_say_goodbye(c);
        (void)flush(with, c);
    }
    tls_conn_free(c);
}

static void *serve(void *ctx)
{
    const fake *f = ctx;
    int with = accept(f->socket, NULL, NULL);
    if (with >= 0) {
        conversation(f, with);
        (void)close(with);
    }
    return NULL;
}

/* One question to a server that gives this answer. */
static int ask(rig *r, const char *answer, char *body, size_t body_bytes, fb_code *code)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char url[64], cert[200];
    pthread_t thread;
    fb_link *link = NULL;
    fb_error err = {0};
    fake f = {.socket = socket(AF_INET, SOCK_STREAM, 0), .answer = answer};
    snprintf(cert, sizeof cert, "%s", rig_path(r, "server.pem"));
    assert_int_equal(tls_server_new(cert, rig_path(r, "server.key"), &f.tls, &err), FB_OK);
    assert_int_equal(bind(f.socket, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(f.socket, 1), 0);
    assert_int_equal(getsockname(f.socket, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &f), 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(fb_link_curl_new(url, rig_ca(r), &link, NULL), FB_OK);
    int status = rig_ask(link, "echo", body, body_bytes, code);
    fb_link_curl_free(link);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(close(f.socket), 0);
    tls_server_free(f.tls);
    return status;
}

static void link__encoding_that_is_not_known_is_no_answer(void **state)
{
    static const struct {
        const char *header;
        fb_code code;
    } ANSWERS[] = {
        {"", FB_OK},
        {"Content-Encoding: identity\r\n", FB_OK},
        {"Content-Encoding: gzip\r\n", FB_E_PROTOCOL},
        {"Content-Encoding: br\r\n", FB_E_PROTOCOL},
        {"content-encoding: zstd, gzip\r\n", FB_E_PROTOCOL},
    };
    rig *r = rig_start(NULL);
    (void)state;
    for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; i++) {
        char answer[200], body[64];
        fb_code code = FB_OK;
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n%sConnection: close\r\n\r\nhello",
                 ANSWERS[i].header);
        int status = ask(r, answer, body, sizeof body, &code);
        if (code != ANSWERS[i].code) {
            print_error("%s: %s\n", ANSWERS[i].header, fb_code_name(code));
        }
        assert_int_equal(code, ANSWERS[i].code);
        if (code == FB_OK) {
            assert_int_equal(status, 200);
            assert_string_equal(body, "hello");
        }
    }
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link__encoding_that_is_not_known_is_no_answer),
    };
    return cmocka_run_group_tests_name("link_answers", tests, NULL, NULL);
}
