/* jobs.c - seeds shared out to processes: worker k takes every jobs-th seed. See sim.h.
 *
 * Each worker writes its results into a pipe of its own and keeps the seed it is at in shared
 * memory. One that dies is the failure of that seed, and a new one goes on behind it. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/sim.h"

enum { JOBS_MAX = 64 };

typedef struct team {
    int64_t to;
    int jobs;
    const sim_options *o;
    sim_company *all;
    volatile int64_t *at; /* shared: the seed each worker is at */
    pid_t pids[JOBS_MAX];
    struct pollfd pipes[JOBS_MAX];
} team;

static _Noreturn void worker(const team *t, int k, int out, int64_t first)
{
    for (int64_t seed = first; seed <= t->to; seed += t->jobs) {
        sim_result r;
        t->at[k] = seed;
        seed_run((uint64_t)seed, t->o, t->all, &r);
        if (write(out, &r, sizeof r) != (ssize_t)sizeof r) {
            _exit(3);
        }
    }
    companies_free(t->all);
    memo_clear();
    exit(0); /* not _exit: a leak is found here */
}

static void worker_start(team *t, int k, int64_t first)
{
    int ends[2];
    t->at[k] = first;
    fflush(NULL);
    if (pipe(ends) != 0 || (t->pids[k] = fork()) < 0) {
        perror("sim: a worker cannot be started");
        exit(2);
    }
    if (t->pids[k] == 0) {
        close(ends[0]);
        worker(t, k, ends[1], first);
    }
    close(ends[1]);
    t->pipes[k] = (struct pollfd){.fd = ends[0], .events = POLLIN};
}

/* Its pipe is closed. True: it died over a seed. */
static bool worker_end(team *t, int k, sim_result *failure)
{
    int status = 0;
    close(t->pipes[k].fd);
    t->pipes[k].fd = -1;
    (void)waitpid(t->pids[k], &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return false;
    }
    *failure = (sim_result){.seed = (uint64_t)t->at[k], .violations = 1};
    snprintf(failure->why, sizeof failure->why, "crash: the process ended with %s %d",
             WIFSIGNALED(status) ? "signal" : "exit code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (t->at[k] + t->jobs <= t->to) {
        worker_start(t, k, t->at[k] + t->jobs);
    }
    return true;
}

static bool result_read(int fd, sim_result *r)
{
    size_t have = 0;
    while (have < sizeof *r) {
        ssize_t n = read(fd, (char *)r + have, sizeof *r - have);
        if (n <= 0) {
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

void jobs_run(int64_t from, int64_t to, int jobs, const sim_options *o, sim_company *all,
              void (*ended)(void *ctx, const sim_result *r), void *ctx)
{
    sim_result r;
    team t = {.to = to, .jobs = jobs < JOBS_MAX ? jobs : JOBS_MAX, .o = o, .all = all};
    t.at = mmap(NULL, JOBS_MAX * sizeof *t.at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (t.at == MAP_FAILED) {
        perror("sim: no shared memory");
        exit(2);
    }
    for (int k = 0; k < t.jobs; k++) {
        t.pipes[k].fd = -1;
        if (from + k <= to) {
            worker_start(&t, k, from + k);
        }
    }
    for (bool open = true; open;) {
        open = false;
        (void)poll(t.pipes, (nfds_t)t.jobs, -1);
        for (int k = 0; k < t.jobs; k++) {
            if (t.pipes[k].fd >= 0 && t.pipes[k].revents != 0 &&
                (result_read(t.pipes[k].fd, &r) || worker_end(&t, k, &r))) {
                ended(ctx, &r);
            }
            open |= t.pipes[k].fd >= 0;
        }
    }
    munmap((void *)t.at, JOBS_MAX * sizeof *t.at);
}
