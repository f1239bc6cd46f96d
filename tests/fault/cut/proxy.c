/* proxy.c - see cut.h. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault/cut/cut.h"

struct proxy {
    int listening;
    uint16_t port, target;
    pthread_t thread;
    atomic_bool stopping, cut;
    atomic_int_fast64_t limits[2]; /* up, down */
};

static struct sockaddr_in local(uint16_t port)
{
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static bool send_all(int to, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(to, data, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* One readable side. False: the connection is over. */
static bool carry(proxy *p, int from, int to, int64_t *left)
{
    char bytes[4096];
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    if (n <= 0) {
        return false;
    }
    if (*left >= 0 && n >= *left) {
        (void)send_all(to, bytes, (size_t)*left);
        atomic_store(&p->cut, true);
        return false;
    }
    *left -= *left >= 0 ? n : 0;
    return send_all(to, bytes, (size_t)n);
}

static void serve(proxy *p, int client)
{
    int64_t left[2] = {atomic_load(&p->limits[0]), atomic_load(&p->limits[1])};
    struct sockaddr_in a = local(p->target);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = server >= 0 && connect(server, (struct sockaddr *)&a, sizeof a) == 0;
    while (open && !atomic_load(&p->stopping)) {
        struct pollfd sides[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(sides, 2, 100) <= 0) {
            continue;
        }
        open = (sides[0].revents == 0 || carry(p, client, server, &left[0])) &&
               (sides[1].revents == 0 || carry(p, server, client, &left[1]));
    }
    if (server >= 0) {
        close(server);
    }
    close(client);
}

static void *run(void *ctx)
{
    proxy *p = ctx;
    while (!atomic_load(&p->stopping)) {
        struct pollfd side = {p->listening, POLLIN, 0};
        if (poll(&side, 1, 100) <= 0) {
            continue;
        }
        int client = accept4(p->listening, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            serve(p, client);
        }
    }
    return NULL;
}

proxy *proxy_start(uint16_t port)
{
    proxy *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    struct sockaddr_in a = local(0);
    socklen_t size = sizeof a;
    p->target = port;
    p->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    proxy_cut(p, -1, -1);
    if (p->listening < 0 || bind(p->listening, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(p->listening, 16) != 0 ||
        getsockname(p->listening, (struct sockaddr *)&a, &size) != 0 ||
        pthread_create(&p->thread, NULL, run, p) != 0) {
        if (p->listening >= 0) {
            close(p->listening);
        }
        free(p);
        return NULL;
    }
    p->port = ntohs(a.sin_port);
    return p;
}

void proxy_stop(proxy *p)
{
    if (p != NULL) {
        atomic_store(&p->stopping, true);
        pthread_join(p->thread, NULL);
        close(p->listening);
        free(p);
    }
}

uint16_t proxy_port(const proxy *p)
{
    return p->port;
}

void proxy_cut(proxy *p, int64_t up, int64_t down)
{
    atomic_store(&p->limits[0], up);
    atomic_store(&p->limits[1], down);
    atomic_store(&p->cut, false);
}

bool proxy_did_cut(proxy *p)
{
    return atomic_load(&p->cut);
}
