/* faults.c - each kind of faults.def: how it begins, how it ends, when it counts. See soak.h.
 *
 * The kinds lie in a shuffled deck and are dealt one after another, so that each comes up as often
 * as the others; a kind that finds nothing to strike goes back under the deck. At most one fault at
 * a time holds the server, one the line of a device and one its processes. */
#include "soak/soak.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define NEED(x) NEED_##x
#define CLASS(x) CLASS_##x
const fault_row FAULT_ROWS[FAULTS] = {
#define X(NAME, printed, class, needs, seconds) {printed, CLASS(class), NEED(needs), seconds},
#include "soak/faults.def"
#undef X
};

enum { LONG_MS = 36 * MS, SERVER = -1 };

void faults_shuffle(soak *s)
{
    s->deck_at = 0;
    for (int i = s->deck_count - 1; i > 0; i--) {
        int k = (int)dice_below(&s->dice, (uint32_t)i + 1);
        fault_kind other = s->deck[k];
        s->deck[k] = s->deck[i];
        s->deck[i] = other;
    }
}

void fault_later(soak *s, int64_t in_ms, fault_kind kind, int device)
{
    if (s->timers_count == TIMERS_MAX) {
        give_up("too many faults at once");
    }
    s->timers[s->timers_count++] = (timer){now_ms() + in_ms, kind, device};
}

static soak_device *any_device(soak *s)
{
    return &s->devices[dice_below(&s->dice, (uint32_t)s->devices_count)];
}

/* ---------------------------------------------------------------- processes of a phone */

static bool strike_process(soak *s, fault_kind kind, int slot, int64_t in_ms)
{
    for (int tries = 0; tries < s->devices_count; tries++) {
        soak_device *d = any_device(s);
        if (d->process != FAULT_NONE || d->frozen) {
            continue;
        }
        if (d->jobs[slot].kind == JOB_NONE) {
            job_begin(s, d, slot, slot == SLOT_APP ? JOB_SAVE : JOB_SYNC);
        }
        d->process = kind;
        d->process_slot = slot;
        d->process_job_ms = d->jobs[slot].started_ms;
        fault_later(s, in_ms, kind, d->index);
        return true;
    }
    return false;
}

static bool stop_process(soak *s, fault_kind kind, int64_t for_ms)
{
    int slot = dice_below(&s->dice, 3) == 0 ? SLOT_APP : SLOT_WORKER;
    for (int tries = 0; tries < s->devices_count; tries++) {
        soak_device *d = any_device(s);
        if (d->process != FAULT_NONE || d->jobs[slot].kind == JOB_NONE) {
            continue;
        }
        if (kill(d->jobs[slot].pid, SIGSTOP) != 0) {
            return false;
        }
        d->process = kind;
        d->process_slot = slot;
        d->process_job_ms = d->jobs[slot].started_ms;
        d->jobs[slot].stopped_ms += for_ms;
        fault_later(s, for_ms, kind, d->index);
        return true;
    }
    return false;
}

static void process_end(soak *s, soak_device *d, fault_kind kind)
{
    job *j = &d->jobs[d->process_slot];
    bool same = j->kind != JOB_NONE && j->started_ms == d->process_job_ms;
    d->process = FAULT_NONE;
    if (kind == FAULT_STOP_CLIENT || kind == FAULT_STOP_CLIENT_LONG) {
        if (same && kill(j->pid, SIGCONT) == 0) {
            s->fired[kind]++;
        }
    } else if (same && j->killed_by == FAULT_NONE) {
        j->killed_by = kind; /* counted when it ended of it */
        (void)kill(j->pid, SIGKILL);
    }
}

/* ---------------------------------------------------------------- the line */

typedef struct net_row {
    fault_kind kind;
    lane_mode mode;
    uint32_t low, high; /* of a */
} net_row;
static const net_row NET_ROWS[] = {
    {FAULT_NET_DELAY, LANE_DELAY, 50, 800},         {FAULT_NET_JITTER, LANE_JITTER, 20, 400},
    {FAULT_NET_RATE, LANE_RATE, 1000, 30000},       {FAULT_NET_CUT_UP, LANE_CUT_UP, 0, 6000},
    {FAULT_NET_CUT_DOWN, LANE_CUT_DOWN, 1, 6000},   {FAULT_NET_RESET, LANE_RESET, 1, 6000},
    {FAULT_NET_HALF_OPEN, LANE_HALF_OPEN, 1, 4000}, {FAULT_NET_BLACKHOLE, LANE_BLACKHOLE, 0, 4000},
    {FAULT_NET_DEAD_LONG, LANE_BLACKHOLE, 0, 4000}, {FAULT_PORTAL_PLAIN, LANE_PORTAL_PLAIN, 0, 0},
    {FAULT_PORTAL_HTML, LANE_PORTAL_HTML, 0, 0},    {FAULT_PORTAL_MOVED, LANE_PORTAL_MOVED, 0, 0},
    {FAULT_OTHER_CERT, LANE_OTHER_CERT, 0, 0},
};

static const net_row *net_row_of(fault_kind kind)
{
    for (size_t i = 0; i < sizeof NET_ROWS / sizeof *NET_ROWS; i++) {
        if (NET_ROWS[i].kind == kind) {
            return &NET_ROWS[i];
        }
    }
    return NULL;
}

static bool net_begin(soak *s, const net_row *row)
{
    soak_device *d = any_device(s);
    lane *l = &s->lanes[d->index];
    bool dead = row->kind == FAULT_NET_DEAD_LONG;
    if (d->net != FAULT_NONE) {
        return false;
    }
    d->net = row->kind;
    d->struck_before = atomic_load(&l->struck);
    atomic_store(&l->a, dice_between(&s->dice, row->low, row->high));
    atomic_store(&l->mode, (int)row->mode);
    fault_later(s, dead ? LONG_MS : dice_between(&s->dice, 400, 3000), row->kind, d->index);
    if (d->jobs[SLOT_WORKER].kind == JOB_NONE && !d->frozen) {
        job_begin(s, d, SLOT_WORKER, JOB_SYNC);
    }
    return true;
}

/* After a short blackhole the line comes back as another one: what hung in it is reset. The long
 * one says nothing at all. */
static void net_end(soak *s, soak_device *d, fault_kind kind)
{
    lane *l = &s->lanes[d->index];
    atomic_store(&l->mode, LANE_CLEAN);
    if (kind == FAULT_NET_HALF_OPEN || kind == FAULT_NET_BLACKHOLE) {
        atomic_fetch_add(&l->reset_order, 1);
    }
    s->fired[kind] += atomic_load(&l->struck) - d->struck_before;
    d->net = FAULT_NONE;
}

static bool link_begin(soak *s, fault_kind kind)
{
    soak_device *d = any_device(s);
    bool busy = d->jobs[SLOT_WORKER].kind == JOB_SYNC || d->jobs[SLOT_WORKER].kind == JOB_WAIT;
    if (d->net != FAULT_NONE || !busy) {
        return false;
    }
    if (kind == FAULT_ROAM) {
        s->fired[kind] += host_roam(s, d);
        return true;
    }
    if (!host_link(s, d, false)) {
        return false;
    }
    d->net = kind;
    fault_later(s, dice_between(&s->dice, 200, 3000), kind, d->index);
    return true;
}

/* ---------------------------------------------------------------- disks and descriptors */

static bool is_full(const char *folder)
{
    static const char block[16384];
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/probe", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool full = fd < 0 && errno == ENOSPC;
    if (fd >= 0) {
        full = write(fd, block, sizeof block) != (ssize_t)sizeof block;
        close(fd);
        (void)unlink(path);
    }
    return full;
}

static bool full_server(soak *s, fault_kind kind)
{
    if (s->server.fault != FAULT_NONE || !disk_fill(s->home, kind == FAULT_INODES_SERVER)) {
        return false;
    }
    s->server.fault = kind;
    s->fired[kind] += is_full(s->home);
    fault_later(s, dice_between(&s->dice, 400, 3000), kind, SERVER);
    return true;
}

static bool full_client(soak *s, fault_kind kind)
{
    soak_device *d = any_device(s);
    if (d->disk_full || !disk_fill(d->folder, kind == FAULT_INODES_CLIENT)) {
        return false;
    }
    d->disk_full = true;
    s->fired[kind] += is_full(d->folder);
    fault_later(s, dice_between(&s->dice, 400, 3000), kind, d->index);
    return true;
}

/* The lowest number that is free: with the limit there, no descriptor can be opened any more. */
static int lowest_free_fd(pid_t pid)
{
    char path[64];
    for (int fd = 0;; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
            return fd;
        }
    }
}

static bool emfile_begin(soak *s)
{
    struct rlimit now, less;
    if (s->server.fault != FAULT_NONE || !s->server.ready ||
        prlimit(s->server.pid, RLIMIT_NOFILE, NULL, &now) != 0) {
        return false;
    }
    less = now;
    less.rlim_cur = (rlim_t)lowest_free_fd(s->server.pid);
    s->server.files_limit = (long)now.rlim_cur;
    s->connections_before = 0;
    for (int i = 0; i < s->devices_count; i++) {
        s->connections_before += atomic_load(&s->lanes[i].connections);
    }
    if (prlimit(s->server.pid, RLIMIT_NOFILE, &less, NULL) != 0) {
        return false;
    }
    s->server.fault = FAULT_EMFILE_SERVER;
    fault_later(s, dice_between(&s->dice, 400, 3000), FAULT_EMFILE_SERVER, SERVER);
    return true;
}

static void emfile_end(soak *s)
{
    struct rlimit limit;
    unsigned connections = 0;
    if (s->server.pid != 0 && prlimit(s->server.pid, RLIMIT_NOFILE, NULL, &limit) == 0) {
        limit.rlim_cur = (rlim_t)s->server.files_limit;
        (void)prlimit(s->server.pid, RLIMIT_NOFILE, &limit, NULL);
    }
    for (int i = 0; i < s->devices_count; i++) {
        connections += atomic_load(&s->lanes[i].connections);
    }
    s->fired[FAULT_EMFILE_SERVER] += connections > s->connections_before;
}

/* ---------------------------------------------------------------- the server */

static bool kill_server(soak *s, fault_kind kind)
{
    bool is_kill =
        kind == FAULT_KILL_SERVER; /* also before it is ready; an end needs its handler */
    if (s->server.fault != FAULT_NONE || s->server.pid == 0 || (!is_kill && !s->server.ready)) {
        return false;
    }
    if (!is_kill) {
        server_end(s);
    } else {
        s->server.wanted = false;
        (void)kill(s->server.pid, SIGKILL);
        server_ended(s, proc_wait(s->server.pid));
    }
    s->server.fault = kind;
    s->fired[kind]++;
    fault_later(s, dice_below(&s->dice, 3) == 0 ? 0 : dice_between(&s->dice, 50, 2000), kind,
                SERVER);
    return true;
}

static bool stop_server(soak *s, fault_kind kind)
{
    bool is_long = kind == FAULT_STOP_SERVER_LONG;
    if (s->server.fault != FAULT_NONE || !s->server.ready || kill(s->server.pid, SIGSTOP) != 0) {
        return false;
    }
    s->server.fault = kind;
    fault_later(s, is_long ? LONG_MS : dice_between(&s->dice, 200, 2500), kind, SERVER);
    return true;
}

static bool query_begin(soak *s)
{
    char path[PATH_BYTES + 32], out[PATH_BYTES + 32];
    if (s->reader != 0) {
        return false;
    }
    snprintf(path, sizeof path, "%s/master.db", s->home);
    snprintf(out, sizeof out, "%s/reader.out", s->folder);
    const char *const argv[] = {"fb-soak", "--reader", path, NULL};
    s->reader = proc_start(s, &(start){.out = out, .err = out}, argv);
    fault_later(s, dice_between(&s->dice, 1500, 6000), FAULT_LONG_QUERY, SERVER);
    return true;
}

static void query_end(soak *s)
{
    char out[PATH_BYTES + 32];
    if (s->reader == 0) {
        return;
    }
    snprintf(out, sizeof out, "%s/reader.out", s->folder);
    char *text = file_text(out);
    (void)kill(s->reader, SIGKILL);
    s->fired[FAULT_LONG_QUERY] +=
        proc_wait(s->reader) == 128 + SIGKILL && strstr(text, "reading") != NULL;
    free(text);
    s->reader = 0;
}

/* Connections keep the certificate they began with; nobody may be turned away. */
static bool renew_certificate(soak *s)
{
    char out[PATH_BYTES + 32];
    if (s->server.fault != FAULT_NONE || !s->server.ready) {
        return false;
    }
    snprintf(out, sizeof out, "%s/renew.out", s->folder);
    const char *const argv[] = {"fieldbook-admin", "--home", s->home, "certificate", "renew", NULL};
    if (proc_run(s, argv, out, out) != 0 || kill(s->server.pid, SIGHUP) != 0) {
        violation(s, "the certificate cannot be renewed: see %s", out);
    }
    s->fired[FAULT_RENEW]++;
    return true;
}

static bool put_server_back(soak *s)
{
    if (s->server.fault != FAULT_NONE || !s->server.ready || (s->backups == 0 && !backup_make(s))) {
        return false;
    }
    query_end(s);
    s->fired[FAULT_RESTORE_SERVER] += server_restore(s);
    return true;
}

static bool put_phone_back(soak *s)
{
    soak_device *d = any_device(s);
    if (d->disk_full || d->process != FAULT_NONE) {
        return false;
    }
    if (d->copied && dice_below(&s->dice, 2) == 0) {
        s->fired[FAULT_RESTORE_PHONE] += phone_put_back(s, d);
        return true;
    }
    return phone_copy(s, d);
}

/* ---------------------------------------------------------------- all of them */

bool fault_begin(soak *s, fault_kind kind)
{
    switch (kind) {
    case FAULT_KILL_SAVE:
        return strike_process(s, kind, SLOT_APP, dice_between(&s->dice, 0, 60));
    case FAULT_KILL_SYNC:
        return strike_process(s, kind, SLOT_WORKER, dice_between(&s->dice, 0, 150));
    case FAULT_STOP_CLIENT:
        return stop_process(s, kind, dice_between(&s->dice, 100, 2500));
    case FAULT_STOP_CLIENT_LONG:
        return stop_process(s, kind, LONG_MS);
    case FAULT_KILL_SERVER:
    case FAULT_END_SERVER:
        return kill_server(s, kind);
    case FAULT_STOP_SERVER:
    case FAULT_STOP_SERVER_LONG:
        return stop_server(s, kind);
    case FAULT_FULL_SERVER:
    case FAULT_INODES_SERVER:
        return full_server(s, kind);
    case FAULT_FULL_CLIENT:
    case FAULT_INODES_CLIENT:
        return full_client(s, kind);
    case FAULT_EMFILE_SERVER:
        return emfile_begin(s);
    case FAULT_LONG_QUERY:
        return query_begin(s);
    case FAULT_BACKUP:
        return backup_make(s);
    case FAULT_RENEW:
        return renew_certificate(s);
    case FAULT_RESTORE_SERVER:
        return put_server_back(s);
    case FAULT_RESTORE_PHONE:
        return put_phone_back(s);
    case FAULT_LINK_DOWN:
    case FAULT_ROAM:
        return link_begin(s, kind);
    default:
        return net_begin(s, net_row_of(kind));
    }
}

static void server_fault_end(soak *s, fault_kind kind)
{
    if (kind == FAULT_EMFILE_SERVER) {
        emfile_end(s);
    } else if (kind == FAULT_FULL_SERVER || kind == FAULT_INODES_SERVER) {
        disk_free(s->home, SERVER_DISK);
    } else if (kind == FAULT_STOP_SERVER || kind == FAULT_STOP_SERVER_LONG) {
        s->fired[kind] += s->server.pid != 0 && kill(s->server.pid, SIGCONT) == 0;
    }
    s->server.fault = FAULT_NONE;
    if (s->server.pid == 0) {
        server_begin(s);
    }
}

void fault_end(soak *s, const timer *t)
{
    soak_device *d = t->device == SERVER ? NULL : &s->devices[t->device];
    switch (t->kind) {
    case FAULT_LONG_QUERY:
        query_end(s);
        return;
    case FAULT_KILL_SAVE:
    case FAULT_KILL_SYNC:
    case FAULT_STOP_CLIENT:
    case FAULT_STOP_CLIENT_LONG:
        process_end(s, d, t->kind);
        return;
    case FAULT_FULL_CLIENT:
    case FAULT_INODES_CLIENT:
        disk_free(d->folder, PHONE_DISK);
        d->disk_full = false;
        return;
    case FAULT_LINK_DOWN:
        s->fired[t->kind] += host_link(s, d, true);
        d->net = FAULT_NONE;
        return;
    default:
        if (d == NULL) {
            server_fault_end(s, t->kind);
        } else {
            net_end(s, d, t->kind);
        }
    }
}

void faults_end_all(soak *s)
{
    while (s->timers_count > 0) {
        timer t = s->timers[--s->timers_count];
        fault_end(s, &t);
    }
}
