/* jobs.c - see crash.h: the same work in several processes, each with its share. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/crash/crash.h"

static bool read_whole(int fd, void *out, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, (char *)out + got, size - got);
        if (n <= 0) {
            return false; /* it died before it had finished */
        }
        got += (size_t)n;
    }
    return true;
}

static void job_be(int fd, job_work work, void *ctx, uint64_t job, void *made, size_t size)
{
    work(ctx, job, made);
    bool told = write(fd, made, size) == (ssize_t)size;
    close(fd);
    exit(told ? 0 : 2); /* not _exit: a sanitizer looks for leaks at the end */
}

bool jobs_run(uint64_t jobs, job_work work, void *ctx, void *made, size_t size)
{
    pid_t pids[JOBS_MAX];
    int ends[JOBS_MAX];
    bool good = true;
    for (uint64_t i = 0; i < jobs; i++) {
        int both[2];
        fflush(NULL);
        if (pipe(both) != 0 || (pids[i] = fork()) < 0) {
            perror("crash: a process cannot be started");
            exit(2);
        }
        if (pids[i] == 0) {
            close(both[0]);
            job_be(both[1], work, ctx, i, (char *)made + i * size, size);
        }
        close(both[1]);
        ends[i] = both[0];
    }
    for (uint64_t i = 0; i < jobs; i++) {
        int status = 0;
        good &= read_whole(ends[i], (char *)made + i * size, size);
        close(ends[i]);
        (void)waitpid(pids[i], &status, 0);
        if (status != 0) {
            fprintf(stderr, "crash: process %llu of %llu ended with %s %d\n",
                    (unsigned long long)i + 1, (unsigned long long)jobs,
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            good = false;
        }
    }
    return good;
}
