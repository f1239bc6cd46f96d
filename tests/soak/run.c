/* run.c - set-up, chaos, healing. See soak.h. */
#include "soak/soak.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { HEAL_LIMIT_MS = 180 * MS, QUIET_ROUNDS_MAX = 12 };

/* ---------------------------------------------------------------- set-up */

static void place(soak *s)
{
    s->tmpfs = disk_prepare();
    s->netns = s->o.hosts && hosts_prepare(s);
    snprintf(s->home, sizeof s->home, "%s/server", s->folder);
    snprintf(s->shelf, sizeof s->shelf, "%s/shelf/", s->folder);
    snprintf(s->server_conf, sizeof s->server_conf, "%s/fieldbookd.conf", s->home);
    snprintf(s->server_log, sizeof s->server_log, "%s/server.log", s->folder);
    folder_make(s->home);
    folder_make(s->shelf);
    s->tmpfs = s->tmpfs && disk_mount(s->home, SERVER_DISK);
}

static void device_place(soak *s, int i)
{
    soak_device *d = &s->devices[i];
    *d = (soak_device){.index = i,
                       .is_manager = i == s->devices_count - 1,
                       .net = FAULT_NONE,
                       .process = FAULT_NONE,
                       .address_last = 2};
    d->dice.state = s->o.seed * 1000003 + (uint64_t)i;
    snprintf(d->user, sizeof d->user, "%c%d", d->is_manager ? 'M' : 'E', d->is_manager ? 1 : i + 1);
    snprintf(d->folder, sizeof d->folder, "%s/d%d", s->folder, i);
    snprintf(d->copy, sizeof d->copy, "%s/d%d.copy", s->folder, i);
    snprintf(d->db, sizeof d->db, "%s/d%d/me.db", s->folder, i);
    snprintf(d->acks, sizeof d->acks, "%s/d%d.acks", s->folder, i);
    folder_make(d->folder);
    if (s->tmpfs && !disk_mount(d->folder, PHONE_DISK)) {
        give_up("cannot mount a disk at %s: %s", d->folder, strerror(errno));
    }
    if (s->netns) {
        d->host = host_make(s, i + 1);
    }
}

static void proxy_start(soak *s)
{
    char cert[PATH_BYTES + 32], key[PATH_BYTES + 32], other_cert[PATH_BYTES + 32],
        other_key[PATH_BYTES + 32];
    int listeners[DEVICES_MAX + 1];
    snprintf(cert, sizeof cert, "%s/server.pem", s->home);
    snprintf(key, sizeof key, "%s/server.key", s->home);
    snprintf(other_cert, sizeof other_cert, "%s/stranger/server.pem", s->folder);
    snprintf(other_key, sizeof other_key, "%s/stranger/server.key", s->folder);
    const proxy_files files = {cert, key, other_cert, other_key};
    s->lanes = mmap(NULL, sizeof(lane) * (DEVICES_MAX + 1), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->lanes == MAP_FAILED) {
        give_up("out of memory");
    }
    for (int i = 0; i < s->devices_count; i++) {
        soak_device *d = &s->devices[i];
        uint16_t port = 0;
        listeners[i] = proxy_listen(s->proxy_address, &port);
        snprintf(d->url, sizeof d->url, "https://%s:%u", s->proxy_address, (unsigned)port);
        snprintf(d->direct_url, sizeof d->direct_url, "https://%s:%u", s->server_address,
                 (unsigned)s->server_port);
    }
    s->proxy = fork();
    if (s->proxy == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        proxy_run(s->lanes, s->devices_count, listeners, s->server_address, s->server_port, &files);
    }
    for (int i = 0; i < s->devices_count; i++) {
        close(listeners[i]);
    }
}

static void deck_make(soak *s)
{
    for (int i = 0; i < FAULTS; i++) {
        const fault_row *row = &FAULT_ROWS[i];
        if ((row->needs == NEED_TMPFS && !s->tmpfs) || (row->needs == NEED_NETNS && !s->netns) ||
            s->o.seconds < row->seconds_min) {
            continue;
        }
        s->deck[s->deck_count++] = (fault_kind)i;
    }
    faults_shuffle(s);
}

static void set_up(soak *s)
{
    char path[PATH_BYTES + 16];
    s->server_address = s->proxy_address = "127.0.0.1";
    s->devices_count = s->o.devices + 1;
    s->dice.state = s->o.seed;
    s->server.fault = FAULT_NONE;
    place(s);
    snprintf(path, sizeof path, "%s/photos", s->folder);
    folder_make(path);
    snprintf(path, sizeof path, "%s/book.log", s->folder);
    book_init(&s->book, path);
    for (int i = 0; i < s->devices_count; i++) {
        device_place(s, i);
    }
    if (s->netns) {
        s->server.host = host_make(s, 0);
    }
    s->server_port = 18443;
    if (!s->netns) {
        close(proxy_listen(s->server_address, &s->server_port));
    }
    company_make(s);
    proxy_start(s);
    server_begin(s);
    server_await(s);
    devices_enrol(s);
    s->server.fds_at_rest = proc_fds(s->server.pid);
    deck_make(s);
}

/* ---------------------------------------------------------------- chaos */

/* Of jobs that never end, and of nothing else, a clock decides. */
static void look_at_job(soak *s, soak_device *d, int slot)
{
    job *j = &d->jobs[slot];
    int64_t limit = JOB_LIMIT_MS + j->stopped_ms + (j->kind == JOB_WAIT ? 120 * MS : 0);
    if (now_ms() - j->started_ms > limit && d->process == FAULT_NONE &&
        j->killed_by == FAULT_NONE) {
        violation(s, "device %d: job %d does not end within %lld ms", d->index, (int)j->kind,
                  (long long)limit);
        j->killed_by = FAULT_NONE + 1;
        (void)kill(j->pid, SIGKILL);
    }
}

static int64_t earliest(const soak *s, bool begin_jobs)
{
    int64_t at = s->server.ready || s->server.pid == 0 ? s->next_look_ms : now_ms() + 5;
    at = s->end_ms < at ? s->end_ms : at;
    for (int i = 0; i < s->timers_count; i++) {
        at = s->timers[i].at_ms < at ? s->timers[i].at_ms : at;
    }
    if (!begin_jobs) {
        return at;
    }
    at = s->next_fault_ms < at ? s->next_fault_ms : at;
    for (int i = 0; i < s->devices_count; i++) {
        const soak_device *d = &s->devices[i];
        for (int slot = 0; slot < SLOTS; slot++) {
            bool waits = d->jobs[slot].kind == JOB_NONE;
            at = waits && d->next_job_ms[slot] < at ? d->next_job_ms[slot] : at;
        }
    }
    return at;
}

/* Sleeps until a process ends or the earliest moment comes. */
static void wait_for_events(soak *s, int64_t until_ms)
{
    struct pollfd fds[1 + (DEVICES_MAX + 1) * SLOTS];
    int where[1 + (DEVICES_MAX + 1) * SLOTS];
    int n = 0;
    if (s->server.pid != 0) {
        where[n] = -1;
        fds[n++] = (struct pollfd){.fd = s->server.pidfd, .events = POLLIN};
    }
    for (int i = 0; i < s->devices_count * SLOTS; i++) {
        const job *j = &s->devices[i / SLOTS].jobs[i % SLOTS];
        if (j->kind != JOB_NONE) {
            where[n] = i;
            fds[n++] = (struct pollfd){.fd = j->pidfd, .events = POLLIN};
        }
    }
    int64_t left = until_ms - now_ms();
    (void)poll(fds, (nfds_t)n, left > 0 ? (int)left : 0);
    for (int i = 0; i < n; i++) {
        if (fds[i].revents == 0) {
            continue;
        }
        if (where[i] < 0) {
            server_ended(s, proc_wait(s->server.pid));
        } else {
            job_end(s, &s->devices[where[i] / SLOTS], where[i] % SLOTS);
        }
    }
}

static void run_timers(soak *s)
{
    for (int i = 0; i < s->timers_count;) {
        timer t = s->timers[i];
        if (t.at_ms > now_ms()) {
            i++;
            continue;
        }
        s->timers[i] = s->timers[--s->timers_count];
        note(s, "fault ends: %s %d", FAULT_ROWS[t.kind].name, t.device);
        fault_end(s, &t);
    }
}

/* The long ones hold everything up: one in two minutes. */
static bool may_begin(soak *s, fault_kind kind)
{
    return FAULT_ROWS[kind].seconds_min == 0 || now_ms() >= s->next_long_ms;
}

/* What finds nothing to strike stays in the deck for the next time; long ones do not hold up a new
 * shuffle. */
static void deal(soak *s)
{
    bool more = false;
    for (int i = s->deck_at; i < s->deck_count; i++) {
        fault_kind kind = s->deck[i];
        if (may_begin(s, kind) && fault_begin(s, kind)) {
            note(s, "fault: %s", FAULT_ROWS[kind].name);
            s->next_long_ms =
                FAULT_ROWS[kind].seconds_min > 0 ? now_ms() + 120 * MS : s->next_long_ms;
            s->deck[i] = s->deck[s->deck_at];
            s->deck[s->deck_at++] = kind;
            break;
        }
    }
    for (int i = s->deck_at; i < s->deck_count; i++) {
        more = more || FAULT_ROWS[s->deck[i]].seconds_min == 0;
    }
    if (!more) {
        faults_shuffle(s);
    }
    s->next_fault_ms = now_ms() + dice_between(&s->dice, 50, 600);
}

static void begin_jobs(soak *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        soak_device *d = &s->devices[i];
        for (int slot = 0; slot < SLOTS; slot++) {
            if (d->jobs[slot].kind != JOB_NONE) {
                look_at_job(s, d, slot);
            } else if (!d->frozen && now_ms() >= d->next_job_ms[slot]) {
                job_choose(s, d, slot);
            }
        }
    }
}

/* IT works on the same database: a change a second or so, which must go through, whoever writes. */
static void office(soak *s)
{
    char out[PATH_BYTES + 16], customer[32], remark[48];
    if (now_ms() < s->next_office_ms || s->server.fault != FAULT_NONE) {
        return;
    }
    snprintf(customer, sizeof customer, "K%u-%u", dice_between(&s->dice, 1, (uint32_t)s->o.devices),
             dice_between(&s->dice, 1, CUSTOMERS_EACH));
    snprintf(remark, sizeof remark, "remark=office %u", ++s->office_changes);
    snprintf(out, sizeof out, "%s/office.out", s->folder);
    const char *const argv[] = {"fieldbook-admin", "--home", s->home, "set",
                                "customer",        customer, remark,  NULL};
    int code = proc_run(s, argv, out, out);
    if (code != 0) {
        char *text = file_text(out);
        violation(s, "the office cannot change a customer (%d): %.300s", code, text);
        free(text);
    }
    s->next_office_ms = now_ms() + dice_between(&s->dice, 300, 2000);
}

static void chaos(soak *s)
{
    s->begin_ms = now_ms();
    s->end_ms = s->begin_ms + s->o.seconds * MS;
    while (now_ms() < s->end_ms && s->violations == 0) {
        begin_jobs(s);
        wait_for_events(s, earliest(s, true));
        server_look(s);
        run_timers(s);
        if (now_ms() >= s->next_fault_ms) {
            deal(s);
        }
        office(s);
    }
}

/* ---------------------------------------------------------------- healing */

/* The faults end; what runs may run out. Long waits are ended as a person would end them. */
static void let_jobs_end(soak *s)
{
    int64_t deadline = now_ms() + JOB_LIMIT_MS;
    faults_end_all(s);
    for (int i = 0; i < s->devices_count; i++) {
        job *j = &s->devices[i].jobs[SLOT_WORKER];
        s->devices[i].frozen = true;
        if (j->kind == JOB_WAIT) {
            j->killed_by = FAULT_KILL_SYNC;
            (void)kill(j->pid, SIGKILL);
        }
    }
    s->end_ms = deadline;
    for (bool busy = true; busy;) {
        busy = !s->server.ready;
        for (int i = 0; i < s->devices_count * SLOTS; i++) {
            busy = busy || s->devices[i / SLOTS].jobs[i % SLOTS].kind != JOB_NONE;
        }
        if (busy && now_ms() > deadline) {
            violation(s, "processes or the server hang after the faults are over");
            return;
        }
        if (busy) {
            wait_for_events(s, earliest(s, false));
            server_look(s);
        }
    }
}

/* One round of syncs of everybody; true: nobody had anything to send or to fetch. */
static bool round_of_syncs(soak *s, int64_t deadline)
{
    bool quiet = true;
    for (int i = 0; i < s->devices_count; i++) {
        soak_device *d = &s->devices[i];
        job *j = &d->jobs[SLOT_WORKER];
        bool complete = false;
        while (!complete && now_ms() < deadline && s->violations == 0) {
            job_begin(s, d, SLOT_WORKER, JOB_SYNC);
            s->end_ms = deadline;
            while (j->kind != JOB_NONE && now_ms() < deadline) {
                wait_for_events(s, deadline);
            }
            quiet = job_sync_is_quiet(j, &complete) && quiet;
        }
        if (j->kind != JOB_NONE) {
            (void)kill(j->pid, SIGKILL);
            j->killed_by = FAULT_NONE + 1;
            job_end(s, d, SLOT_WORKER);
        }
        if (!complete) {
            violation(s, "device %d is not synchronised within the limit", i);
        }
    }
    return quiet;
}

static void heal(soak *s)
{
    int64_t begun = now_ms(), deadline = begun + HEAL_LIMIT_MS;
    let_jobs_end(s);
    int rounds = 0;
    while (s->violations == 0 && !round_of_syncs(s, deadline)) {
        if (++rounds > QUIET_ROUNDS_MAX) {
            violation(s, "after %d rounds of syncs there is still something to send or fetch",
                      rounds);
        }
    }
    note(s, "healed in %lld ms, %d rounds", (long long)(now_ms() - begun), rounds + 1);
}

/* Descriptors must go back to what they were; connections in their last seconds may still close. */
static void server_at_rest(soak *s)
{
    char wal[PATH_BYTES + 32];
    int64_t deadline = now_ms() + 45 * MS;
    int fds = proc_fds(s->server.pid), most = s->server.fds_at_rest + FDS_GROWTH_MAX;
    while (fds > most && now_ms() < deadline) {
        wait_for_events(s, now_ms() + 100);
        fds = proc_fds(s->server.pid);
    }
    if (fds > most) {
        violation(s, "the server holds %d files at rest, and %d at its start", fds,
                  s->server.fds_at_rest);
    }
    snprintf(wal, sizeof wal, "%s/master.db-wal", s->home);
    if (file_bytes(wal) > WAL_BYTES_AT_REST_MAX) {
        violation(s, "the server's WAL still has %lld bytes", (long long)file_bytes(wal));
    }
    if (s->server.rss_kib_max > RSS_KIB_MAX) {
        violation(s, "the server had %ld KiB of memory", s->server.rss_kib_max);
    }
    if (s->server.wal_bytes_max > WAL_BYTES_MAX) {
        violation(s, "the server's WAL had %ld bytes", s->server.wal_bytes_max);
    }
}

void soak_run(soak *s)
{
    set_up(s);
    chaos(s);
    heal(s);
    if (s->violations == 0) {
        server_at_rest(s);
    }
    server_end(s);
    if (s->violations == 0) {
        judge_run(s);
    }
    (void)kill(s->proxy, SIGKILL);
    (void)proc_wait(s->proxy);
    for (int i = 0; i < s->devices_count; i++) {
        hosts_release(s->devices[i].host);
    }
    hosts_release(s->server.host);
    proc_judge_left(s);
}
