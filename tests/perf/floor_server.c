/* floor_server.c - the minimal server every workload is held against.
 *
 * One thread, epoll, TLS 1.3, compact rows, prepared upserts, one FULL commit for all requests
 * that were readable together (P: one for each frame, that is 500 orders). No bookkeeping at all:
 * no verdict stored, no feed, no rights, no repeat detected.
 *
 *   P rows   -> p            push                    S rows -> s verdict     an everyday sync
 *   G        -> g blocks, e  all rows                F      -> f file, e     the compressed file
 *   W        -> w            wait for news           U row  -> u, and n row to every waiting one */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/floor.h"

enum { EVENTS_MAX = 256, CONNS_MAX = 512, VERDICT_BYTES = 60 };

typedef struct floor_conn {
    net_conn *net;
    buf out;
    bool waiting;
} floor_conn;

typedef struct floor_server {
    int epoll, listener;
    net *tls;
    catalog *cat;
    tables tables;
    buf file, block, news; /* news: the frame for those who wait */
    floor_conn *conns[CONNS_MAX];
    uint32_t conns_count;
    bool in_transaction;
} floor_server;

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void watch(floor_server *s, int fd, void *what)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        bench_die("epoll: %s", strerror(errno));
    }
}

static void conn_add(floor_server *s)
{
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        floor_conn *c = calloc(1, sizeof *c);
        if (c == NULL || s->conns_count == CONNS_MAX) {
            bench_die("more than %d connections", CONNS_MAX);
        }
        c->net = net_accepted(s->tls, fd);
        buf_init(&c->out, FLOOR_BYTES_MAX);
        s->conns[s->conns_count++] = c;
        watch(s, fd, c);
    }
}

static void conn_remove(floor_server *s, floor_conn *c)
{
    for (uint32_t i = 0; i < s->conns_count; i++) {
        if (s->conns[i] == c) {
            s->conns[i] = s->conns[--s->conns_count];
            break;
        }
    }
    net_close(c->net);
    buf_clear(&c->out);
    free(c);
}

/* ---------------------------------------------------------------- requests */

static void transaction(floor_server *s, bool open)
{
    if (s->in_transaction != open) {
        tables_run(&s->tables, open ? "BEGIN IMMEDIATE" : "COMMIT");
        s->in_transaction = open;
    }
}

static void conn_flush(floor_conn *c)
{
    net_send(c->net, c->out.data, c->out.size);
    buf_reset(&c->out);
}

typedef struct block_to {
    floor_server *server;
    floor_conn *conn;
} block_to;

static void block_send(void *ctx, buf *block, uint32_t rows)
{
    block_to *to = ctx;
    (void)rows;
    frame_put(&to->conn->out, 'g', buf_text(block));
    conn_flush(to->conn);
    buf_reset(block);
}

static void all_rows(floor_server *s, floor_conn *c)
{
    block_to to = {s, c};
    buf_reset(&s->block);
    tables_each(&s->tables, FLOOR_BLOCK_BYTES, &s->block, block_send, &to);
    frame_put(&c->out, 'e', (fb_text){NULL, 0});
}

static void whole_file(floor_server *s, floor_conn *c)
{
    for (size_t at = 0; at < s->file.size; at += FLOOR_BLOCK_BYTES) {
        size_t left = s->file.size - at;
        frame_put(
            &c->out, 'f',
            (fb_text){s->file.data + at, left < FLOOR_BLOCK_BYTES ? left : FLOOR_BLOCK_BYTES});
        conn_flush(c);
    }
    frame_put(&c->out, 'e', (fb_text){NULL, 0});
}

static void answer(floor_server *s, floor_conn *c, const frame *f)
{
    static const char VERDICT[VERDICT_BYTES] = "applied";
    switch (f->kind) {
    case 'P':
        transaction(s, true);
        rows_write_packed(&s->tables, f->payload.data, f->payload.size);
        transaction(s, false);
        frame_put(&c->out, 'p', (fb_text){NULL, 0});
        break;
    case 'S':
        transaction(s, true);
        rows_write_packed(&s->tables, f->payload.data, f->payload.size);
        frame_put(&c->out, 's', (fb_text){VERDICT, sizeof VERDICT});
        break;
    case 'U':
        transaction(s, true);
        rows_write_packed(&s->tables, f->payload.data, f->payload.size);
        frame_put(&c->out, 'u', (fb_text){NULL, 0});
        frame_put(&s->news, 'n', f->payload);
        break;
    case 'G':
        all_rows(s, c);
        break;
    case 'F':
        whole_file(s, c);
        break;
    case 'W':
        c->waiting = true;
        frame_put(&c->out, 'w', (fb_text){NULL, 0});
        break;
    default:
        bench_die("the floor's server was asked for '%c'", f->kind);
    }
}

/* ---------------------------------------------------------------- the loop */

static void round_end(floor_server *s)
{
    transaction(s, false);
    for (uint32_t i = 0; i < s->conns_count; i++) {
        floor_conn *c = s->conns[i];
        if (s->news.size > 0 && c->waiting) {
            buf_put_text(&c->out, buf_text(&s->news));
        }
        if (c->out.size > 0) {
            conn_flush(c);
        }
    }
    buf_reset(&s->news);
}

static void serve(floor_server *s)
{
    struct epoll_event events[EVENTS_MAX];
    while (!stopping) {
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            floor_conn *c = events[i].data.ptr;
            frame f;
            if (c == NULL) {
                conn_add(s);
                continue;
            }
            net_read(c->net);
            while (frame_next(c->net, &f)) {
                answer(s, c, &f);
            }
            if (c->net->closed) {
                conn_remove(s, c);
            }
        }
        round_end(s);
    }
}

static void file_load(floor_server *s, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *room = buf_reserve(&s->file, FLOOR_BYTES_MAX);
    if (f == NULL || room == NULL) {
        bench_die("cannot read %s", path);
    }
    s->file.size = fread(room, 1, FLOOR_BYTES_MAX, f);
    fclose(f);
}

/* floor-server DB CERT KEY SIZE ORDERS [FILE]: SIZE "full", "small" or "none" seeds master data,
 * ORDERS adds that many orders. */
void role_floor_server(int argc, char **argv, sample *out)
{
    static floor_server s;
    fb_error err = {0};
    int port = 0;
    if (argc < 5) {
        bench_die("floor-server: arguments are missing");
    }
    must(catalog_load(catalog_builtin_text(), &s.cat, &err), &err, "catalogue");
    tables_open(&s.tables, s.cat,
                &(tables_options){.path = argv[0], .side = CAT_SERVER, .upsert = true});
    floor_fill(&s.tables, argv[3], (uint32_t)number_of(argv[4]));
    buf_init(&s.block, FLOOR_BYTES_MAX);
    buf_init(&s.news, FLOOR_BYTES_MAX);
    buf_init(&s.file, FLOOR_BYTES_MAX + 1);
    if (argc > 5) {
        file_load(&s, argv[5]);
    }
    s.tls = net_server(argv[1], argv[2]);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    s.listener = net_listen(&port);
    watch(&s, s.listener, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    out->port = port;
    role_report(out);
    serve(&s);
    tables_close(&s.tables);
}
