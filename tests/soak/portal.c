/* portal.c - see proxy.h: a network that answers in the server's place.
 *
 * The worst portal has a certificate that the phone trusts (a company that looks into its own
 * traffic): the phone must then see from the answer itself that it is not the server's. The lab
 * lends it the server's own key. */
#include "soak/proxy.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char HTML[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 60\r\n"
                           "Connection: close\r\n\r\n"
                           "<html><body>Welcome to our network. Please log in.</body></html>";
static const char MOVED[] = "HTTP/1.1 302 Found\r\nLocation: http://login.example.net/\r\n"
                            "Content-Length: 0\r\nConnection: close\r\n\r\n";

bool portal_open(portal *p, const proxy_files *files)
{
    fb_error err = {.code = FB_OK};
    return tls_server_new(files->cert, files->key, &p->right, &err) == FB_OK &&
           tls_server_new(files->other_cert, files->other_key, &p->other, &err) == FB_OK;
}

static bool send_out(conn *c)
{
    buf *out = tls_conn_out(c->tls);
    if (out->size > 0 && send(c->phone, out->data, out->size, MSG_NOSIGNAL) != (ssize_t)out->size) {
        return false;
    }
    buf_reset(out);
    return true;
}

static bool answer(conn *c, const char *text)
{
    c->answered = true;
    bool good = tls_conn_write(c->tls, text, strlen(text)) == TLS_DONE;
    tls_conn_say_goodbye(c->tls);
    return send_out(c) && good && shutdown(c->phone, SHUT_WR) == 0;
}

/* Whatever it asked, as soon as it asked. */
static bool talk(conn *c, lane_mode mode)
{
    char block[4096];
    size_t size = 0;
    tls_status status = tls_conn_handshake(c->tls);
    while (status == TLS_DONE) {
        status = tls_conn_read(c->tls, block, sizeof block, &size);
        c->asked += status == TLS_DONE ? size : 0;
    }
    bool good = (status == TLS_MORE || status == TLS_CLOSED) && send_out(c);
    if (good && c->asked > 0 && !c->answered) {
        return answer(c, mode == LANE_PORTAL_MOVED ? MOVED : HTML);
    }
    return good && status != TLS_CLOSED;
}

bool portal_step(portal *p, conn *c, lane_mode mode)
{
    char block[16384];
    ssize_t n = recv(c->phone, block, sizeof block, MSG_DONTWAIT);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    c->struck = true;
    if (c->answered) {
        return true;
    }
    if (mode == LANE_PORTAL_PLAIN) {
        c->answered = true;
        return send(c->phone, HTML, strlen(HTML), MSG_NOSIGNAL) == (ssize_t)strlen(HTML) &&
               shutdown(c->phone, SHUT_WR) == 0;
    }
    if (c->tls == NULL &&
        tls_conn_new(mode == LANE_OTHER_CERT ? p->other : p->right, &c->tls) != FB_OK) {
        return false;
    }
    return tls_conn_feed(c->tls, block, (size_t)n) == FB_OK && talk(c, mode) &&
           tls_conn_keep(c->tls) == FB_OK;
}
