/* proc.c - processes: begun in a host, waited for, looked at from outside. See soak.h. */
#include "soak/soak.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void wait_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

static bool enter_host(pid_t host)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)host);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
}

static bool send_to(int fd, const char *path, bool append)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC);
    int file = open(path == NULL ? "/dev/null" : path, flags, 0600);
    return file >= 0 && dup2(file, fd) == fd;
}

/* Programs of this build are named without a slash, others with their whole path. */
pid_t proc_start(const soak *s, const start *how, const char *const *argv)
{
    char path[PATH_BYTES * 2];
    bool own = strchr(argv[0], '/') == NULL;
    snprintf(path, sizeof path, "%s%s%s", own ? s->programs : "", own ? "/" : "", argv[0]);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        give_up("fork: %s", strerror(errno));
    }
    if (pid > 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (getppid() != parent || (how->host != 0 && !enter_host(how->host)) || null < 0 ||
        dup2(null, 0) != 0 || !send_to(1, how->out, how->append) ||
        !send_to(2, how->err, how->append)) {
        _exit(126);
    }
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

int proc_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        give_up("pidfd_open: %s", strerror(errno));
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static int code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int proc_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return code_of(status);
}

int proc_wait_until(pid_t pid, int64_t deadline_ms)
{
    struct pollfd p = {.fd = proc_pidfd(pid), .events = POLLIN};
    int64_t left = deadline_ms - now_ms();
    int n = poll(&p, 1, left > 0 ? (int)left : 0);
    close(p.fd);
    return n == 1 ? proc_wait(pid) : -1;
}

int proc_run(const soak *s, const char *const *argv, const char *out, const char *err)
{
    return proc_wait(proc_start(s, &(start){.out = out, .err = err}, argv));
}

void proc_must(const soak *s, const char *const *argv)
{
    char out[PATH_BYTES + 16];
    snprintf(out, sizeof out, "%s/last.out", s->folder);
    int code = proc_run(s, argv, out, out);
    if (code != 0) {
        char *text = file_text(out);
        fprintf(stderr, "%s", text);
        free(text);
        give_up("%s %s %s ended with %d", argv[0], argv[1], argv[2] == NULL ? "" : argv[2], code);
    }
}

int proc_fds(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    int n = 0;
    while (d != NULL && readdir(d) != NULL) {
        n++;
    }
    if (d != NULL) {
        closedir(d);
    }
    return n > 2 ? n - 2 : 0;
}

long proc_rss_kib(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    char *text = file_text(path);
    const char *at = strstr(text, "VmRSS:");
    long kib = at != NULL ? strtol(at + 6, NULL, 10) : 0;
    free(text);
    return kib;
}

/* The harness is the parent of whatever loses its own (PR_SET_CHILD_SUBREAPER): everything that
 * was begun must have ended by now. Helpers of a sanitizer, whose process was killed in its last
 * moments, end by themselves. */
void proc_judge_left(soak *s)
{
    char path[64];
    pid_t self = getpid(), ended = 0;
    int64_t deadline = now_ms() + 5 * MS;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0 || (ended == 0 && now_ms() < deadline)) {
        wait_ms(ended == 0 ? 10 : 0);
    }
    if (ended < 0) {
        return;
    }
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)self, (int)self);
    char *pids = file_text(path);
    snprintf(path, sizeof path, "/proc/%ld/cmdline", strtol(pids, NULL, 10));
    char *name = file_text(path);
    violation(s, "a process is left over: %s (%s)", pids, name);
    free(name);
    free(pids);
}

char *file_text(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    char block[16384];
    size_t n;
    FILE *out = open_memstream(&text, &size);
    FILE *in = fopen(path, "rbe");
    if (out == NULL) {
        give_up("out of memory");
    }
    while (in != NULL && (n = fread(block, 1, sizeof block, in)) > 0) {
        (void)fwrite(block, 1, n, out);
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    (void)fclose(out);
    return text;
}

int64_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}
