/* server.c - the server's process, seen from outside: begun, looked at, ended. See soak.h. */
#include "soak/soak.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void ready_path(const soak *s, char out[PATH_BYTES + 16])
{
    snprintf(out, PATH_BYTES + 16, "%s/ready", s->folder);
}

void server_begin(soak *s)
{
    char ready[PATH_BYTES + 16];
    ready_path(s, ready);
    (void)unlink(ready);
    const char *const argv[] = {"fieldbookd",   "--config", s->server_conf,
                                "--ready-file", ready,      NULL};
    start how = {
        .host = s->server.host, .out = s->server_log, .err = s->server_log, .append = true};
    s->server.pid = proc_start(s, &how, argv);
    s->server.pidfd = proc_pidfd(s->server.pid);
    s->server.wanted = true;
    s->server.ready = false;
    s->server.started_ms = now_ms();
    s->server.starts++;
}

/* A server that ends by itself breaks a promise, unless its disk gave it no chance to begin. */
void server_ended(soak *s, int exit_code)
{
    server_state *v = &s->server;
    close(v->pidfd);
    note(s, "server %d ended with %d", (int)v->pid, exit_code);
    v->pid = 0;
    v->pidfd = -1;
    bool starved = !v->ready && (v->fault == FAULT_FULL_SERVER || v->fault == FAULT_INODES_SERVER ||
                                 v->fault == FAULT_EMFILE_SERVER);
    if (v->wanted && !starved) {
        violation(s, "the server ended by itself with %d", exit_code);
        server_begin(s);
    }
    v->ready = false;
}

static void look_whether_ready(soak *s)
{
    char ready[PATH_BYTES + 16];
    server_state *v = &s->server;
    ready_path(s, ready);
    if (v->ready || v->pid == 0) {
        return;
    }
    int64_t took = now_ms() - v->started_ms;
    if (access(ready, F_OK) == 0) {
        v->ready = true;
        v->restart_ms_max = took > v->restart_ms_max ? took : v->restart_ms_max;
        note(s, "server %d is ready after %lld ms", (int)v->pid, (long long)took);
    } else if (took > READY_LIMIT_MS && v->fault == FAULT_NONE) {
        violation(s, "the server is not ready after %lld ms", (long long)took);
        v->started_ms = now_ms();
    }
}

void server_look(soak *s)
{
    char wal[PATH_BYTES + 32];
    server_state *v = &s->server;
    look_whether_ready(s);
    if (v->pid == 0 || now_ms() < s->next_look_ms) {
        return;
    }
    s->next_look_ms = now_ms() + 200;
    int fds = proc_fds(v->pid);
    long rss = proc_rss_kib(v->pid);
    snprintf(wal, sizeof wal, "%s/master.db-wal", s->home);
    long bytes = (long)file_bytes(wal);
    v->fds_max = fds > v->fds_max ? fds : v->fds_max;
    v->rss_kib_max = rss > v->rss_kib_max ? rss : v->rss_kib_max;
    v->wal_bytes_max = bytes > v->wal_bytes_max ? bytes : v->wal_bytes_max;
}

void server_await(soak *s)
{
    int64_t deadline = now_ms() + READY_LIMIT_MS;
    while (!s->server.ready) {
        struct pollfd p = {.fd = s->server.pidfd, .events = POLLIN};
        if (poll(&p, 1, 5) == 1 || now_ms() > deadline) {
            give_up("the server does not start: see %s", s->server_log);
        }
        look_whether_ready(s);
    }
}

void server_end(soak *s)
{
    s->server.wanted = false;
    if (s->server.pid == 0) {
        return;
    }
    (void)kill(s->server.pid, SIGCONT);
    (void)kill(s->server.pid, SIGTERM);
    int code = proc_wait_until(s->server.pid, now_ms() + 30 * MS);
    if (code < 0) {
        violation(s, "the server does not end within 30 s of SIGTERM");
        (void)kill(s->server.pid, SIGKILL);
        code = proc_wait(s->server.pid);
    } else if (code != 0) {
        violation(s, "the server ended with %d after SIGTERM", code);
    }
    server_ended(s, code);
}
