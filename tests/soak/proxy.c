/* proxy.c - see soak.h and proxy.h. */
#include "soak/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_LOOK_MS = 20 }; /* how late an order in shared memory may be seen */

typedef struct proxy {
    lane *lanes;
    int lanes_count;
    int listeners[DEVICES_MAX + 1];
    struct sockaddr_in server;
    portal portal;
    conn conns[CONNS_MAX];
    dice dice;
} proxy;

int proxy_listen(const char *address, uint16_t *port_out)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        give_up("cannot listen on %s: %s", address, strerror(errno));
    }
    *port_out = ntohs(a.sin_port);
    return fd;
}

static lane *lane_of(proxy *p, const conn *c)
{
    return &p->lanes[c->lane];
}

static lane_mode mode_of(proxy *p, const conn *c)
{
    return (lane_mode)atomic_load(&lane_of(p, c)->mode);
}

static void strike(proxy *p, conn *c)
{
    if (!c->struck) {
        c->struck = true;
        atomic_fetch_add(&lane_of(p, c)->struck, 1);
    }
}

static void conn_close(conn *c, bool reset)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (reset) {
        (void)setsockopt(c->phone, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    close(c->phone);
    if (c->server >= 0) {
        close(c->server);
    }
    flow_clear(&c->up);
    flow_clear(&c->down);
    tls_conn_free(c->tls);
    memset(c, 0, sizeof *c);
    c->lane = -1;
}

static bool is_portal(lane_mode mode)
{
    return mode >= LANE_PORTAL_PLAIN;
}

static bool connect_server(proxy *p, conn *c)
{
    int one = 1;
    c->server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->server < 0) {
        return false;
    }
    (void)setsockopt(c->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->connecting = true;
    return connect(c->server, (struct sockaddr *)&p->server, sizeof p->server) == 0 ||
           errno == EINPROGRESS;
}

static void conn_begin(proxy *p, int number, int fd)
{
    int one = 1;
    conn *c = NULL;
    for (int i = 0; i < CONNS_MAX && c == NULL; i++) {
        c = p->conns[i].lane < 0 ? &p->conns[i] : NULL;
    }
    if (c == NULL) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *c = (conn){.lane = number, .phone = fd, .server = -1};
    atomic_fetch_add(&lane_of(p, c)->connections, 1);
    c->reset_seen = atomic_load(&lane_of(p, c)->reset_order);
    c->portal = is_portal(mode_of(p, c));
    if (!flow_init(&c->up) || !flow_init(&c->down) || (!c->portal && !connect_server(p, c))) {
        conn_close(c, true);
    }
}

/* What a mode does to bytes on their way. false: the connection ends. */
static bool meet_limits(proxy *p, conn *c, lane_mode mode)
{
    uint64_t limit = atomic_load(&lane_of(p, c)->a);
    bool reached = (mode == LANE_CUT_UP && c->up.passed >= limit) ||
                   ((mode == LANE_CUT_DOWN || mode == LANE_RESET || mode == LANE_HALF_OPEN) &&
                    c->down.passed >= limit) ||
                   (mode == LANE_BLACKHOLE && c->up.passed >= limit);
    if (!reached) {
        return true;
    }
    strike(p, c);
    if (mode == LANE_HALF_OPEN || mode == LANE_BLACKHOLE) {
        c->dead = true;
        return true;
    }
    return false;
}

static bool take_in(proxy *p, conn *c, flow *f, int fd, bool is_up)
{
    lane *l = lane_of(p, c);
    lane_mode mode = mode_of(p, c);
    uint32_t a = atomic_load(&l->a), delay = 0, rate = 0;
    uint64_t before = f->passed;
    if (mode == LANE_DELAY) {
        delay = a;
    } else if (mode == LANE_JITTER) {
        delay = dice_below(&p->dice, a + 1);
    } else if (mode == LANE_RATE) {
        rate = a;
    }
    if (!flow_take(f, fd, now_ms(), delay, rate)) {
        return false;
    }
    atomic_fetch_add(is_up ? &l->up_bytes : &l->down_bytes, f->passed - before);
    if ((delay > 0 || rate > 0) && f->passed > before) {
        strike(p, c);
    }
    return meet_limits(p, c, mode);
}

/* A dead connection swallows what comes, and is noticed only by whoever gives up. */
static bool swallow(int fd)
{
    char block[8192];
    ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The server side of a half-open line goes on to be heard; the phone's end of it is not. */
static bool dead_step(conn *c, short phone, short server)
{
    if (server != 0 && c->server >= 0 && !swallow(c->server)) {
        close(c->server);
        c->server = -1;
    }
    return phone == 0 || swallow(c->phone);
}

static bool conn_step(proxy *p, conn *c, short phone, short server)
{
    if (c->portal) {
        bool was = c->struck;
        bool good = phone == 0 || portal_step(&p->portal, c, mode_of(p, c));
        if (c->struck && !was) {
            c->struck = false;
            strike(p, c);
        }
        return good;
    }
    if (c->dead) {
        return dead_step(c, phone, server);
    }
    if (c->connecting && server != 0) {
        int error = 0;
        socklen_t size = sizeof error;
        c->connecting = false;
        if (getsockopt(c->server, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
            return false;
        }
    }
    if ((phone & (POLLIN | POLLHUP | POLLERR)) != 0 && flow_has_room(&c->up) &&
        !take_in(p, c, &c->up, c->phone, true)) {
        return false;
    }
    if (!c->connecting && (server & (POLLIN | POLLHUP | POLLERR)) != 0 && flow_has_room(&c->down) &&
        !take_in(p, c, &c->down, c->server, false)) {
        return false;
    }
    int64_t now = now_ms();
    return c->dead ||
           (flow_give(&c->down, c->phone, now) &&
            (c->connecting || flow_give(&c->up, c->server, now)) && !(c->up.told && c->down.told));
}

static short phone_events(const conn *c)
{
    int64_t now = now_ms();
    return (short)((c->dead || c->portal || flow_has_room(&c->up) ? POLLIN : 0) |
                   (!c->dead && !c->portal && flow_due_ms(&c->down) <= now ? POLLOUT : 0));
}

static short server_events(const conn *c)
{
    int64_t now = now_ms();
    return (short)((c->dead || flow_has_room(&c->down) ? POLLIN : 0) |
                   (c->connecting || (!c->dead && flow_due_ms(&c->up) <= now) ? POLLOUT : 0));
}

static void take_orders(proxy *p)
{
    for (int i = 0; i < CONNS_MAX; i++) {
        conn *c = &p->conns[i];
        if (c->lane >= 0 && atomic_load(&lane_of(p, c)->reset_order) != c->reset_seen) {
            conn_close(c, true);
        }
    }
}

static int collect(proxy *p, struct pollfd *fds, int *timeout_ms)
{
    int n = 0;
    int64_t now = now_ms(), due = now + IDLE_LOOK_MS;
    for (int i = 0; i < p->lanes_count; i++) {
        fds[n++] = (struct pollfd){.fd = p->listeners[i], .events = POLLIN};
    }
    for (int i = 0; i < CONNS_MAX; i++) {
        conn *c = &p->conns[i];
        bool used = c->lane >= 0;
        /* An end that said all it had to say is asked nothing, or its hang-up would wake us for
         * ever. */
        short phone = used ? phone_events(c) : 0, server = used ? server_events(c) : 0;
        fds[n++] = (struct pollfd){.fd = phone != 0 ? c->phone : -1, .events = phone};
        fds[n++] =
            (struct pollfd){.fd = server != 0 && !c->portal ? c->server : -1, .events = server};
        if (used && !c->dead && !c->portal) {
            int64_t up = flow_due_ms(&c->up), down = flow_due_ms(&c->down);
            due = up > now && up < due ? up : due;
            due = down > now && down < due ? down : due;
        }
    }
    *timeout_ms = (int)(due - now);
    return n;
}

static void accept_all(proxy *p, int number)
{
    for (int fd;
         (fd = accept4(p->listeners[number], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        conn_begin(p, number, fd);
    }
}

static void turn(proxy *p)
{
    static struct pollfd fds[DEVICES_MAX + 1 + 2 * CONNS_MAX];
    int timeout_ms = 0;
    int n = collect(p, fds, &timeout_ms);
    if (poll(fds, (nfds_t)n, timeout_ms) < 0 && errno != EINTR) {
        give_up("the proxy's poll: %s", strerror(errno));
    }
    for (int i = 0; i < CONNS_MAX; i++) {
        const struct pollfd *at = &fds[p->lanes_count + 2 * i];
        conn *c = &p->conns[i];
        if (c->lane >= 0 && !conn_step(p, c, at[0].revents, at[1].revents)) {
            conn_close(c, mode_of(p, c) == LANE_RESET);
        }
    }
    for (int i = 0; i < p->lanes_count; i++) {
        if (fds[i].revents != 0) {
            accept_all(p, i);
        }
    }
    take_orders(p);
}

_Noreturn void proxy_run(lane *lanes, int count, const int *listeners, const char *server_address,
                         uint16_t server_port, const proxy_files *files)
{
    static proxy p;
    p.lanes = lanes;
    p.lanes_count = count;
    p.server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(server_port)};
    memcpy(p.listeners, listeners, (size_t)count * sizeof *listeners);
    for (int i = 0; i < CONNS_MAX; i++) {
        p.conns[i].lane = -1;
    }
    if (inet_pton(AF_INET, server_address, &p.server.sin_addr) != 1 ||
        !portal_open(&p.portal, files)) {
        give_up("the proxy cannot begin");
    }
    for (;;) {
        turn(&p);
    }
}
