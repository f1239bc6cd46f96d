/* measure.c - see bench.h: clocks, processes, files, samples. */
#include "perf/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/decimal.h"

enum { ROLE_FD = 9, ROLE_ARGS_MAX = 24, NUMBER_TEXTS = 32 };

/* ---------------------------------------------------------------- clocks and memory */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        bench_die("a clock cannot be read: %s", strerror(errno));
    }
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t cpu_ns_of(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    if (pid != 0 && clock_getcpuclockid(pid, &clock) != 0) {
        bench_die("the CPU time of process %d cannot be read", (int)pid);
    }
    return clock_ns(clock);
}

int64_t status_kib(pid_t pid, const char *name)
{
    char path[64], line[256];
    int64_t kib = 0;
    if (pid == 0) {
        snprintf(path, sizeof path, "/proc/self/status");
    } else {
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    }
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            kib = strtoll(line + strlen(name) + 1, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

void peak_restart(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "5", 1) != 1) {
        bench_die("/proc/self/clear_refs cannot be written: %s", strerror(errno));
    }
    close(fd);
}

void watch_begin(stopwatch *w, pid_t server)
{
    w->server = server;
    w->server_cpu_ns = server == 0 ? 0 : cpu_ns_of(server);
    w->cpu_ns = cpu_ns_of(0);
    w->wall_ns = now_ns();
}

void watch_end(const stopwatch *w, sample *out)
{
    out->wall_ns = now_ns() - w->wall_ns;
    out->cpu_ns = cpu_ns_of(0) - w->cpu_ns;
    out->server_cpu_ns = w->server == 0 ? 0 : cpu_ns_of(w->server) - w->server_cpu_ns;
    out->peak_kib = status_kib(0, "VmHWM");
}

int64_t sync_ns_of(const char *folder)
{
    enum { WRITES = 41 };
    static const char PAGE[4096];
    char path[PATH_BYTES];
    int64_t took[WRITES];
    path_of(path, "%s/sync-probe", folder);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    for (int i = 0; i < WRITES; i++) {
        int64_t start = now_ns();
        if (fd < 0 || write(fd, PAGE, sizeof PAGE) != (ssize_t)sizeof PAGE || fdatasync(fd) != 0) {
            bench_die("cannot write %s: %s", path, strerror(errno));
        }
        took[i] = now_ns() - start;
    }
    close(fd);
    unlink(path);
    sort_ns(took, WRITES);
    return quantile_ns(took, WRITES, 500);
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void sort_ns(int64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_ns);
}

int64_t quantile_ns(const int64_t *values, size_t count, uint32_t per_mille)
{
    if (count == 0) {
        return 0;
    }
    size_t at = count * per_mille / 1000;
    return values[at < count ? at : count - 1];
}

/* ---------------------------------------------------------------- failures and numbers */

void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("fb-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(3);
}

void must(fb_code rc, const fb_error *err, const char *what)
{
    if (rc == FB_OK) {
        return;
    }
    bool told = err != NULL && err->code == rc;
    bench_die("%s: %s %s %s", what, fb_code_name(rc), told ? err->field : "",
              told ? err->message : "");
}

int64_t number_of(const char *text)
{
    int64_t v = 0;
    if (text == NULL || !i64_get(text_of(text), &v)) {
        bench_die("'%s' is not a whole number", text == NULL ? "" : text);
    }
    return v;
}

const char *number_text(int64_t v)
{
    static char texts[NUMBER_TEXTS][24];
    static uint32_t next;
    char *text = texts[next++ % NUMBER_TEXTS];
    snprintf(text, sizeof texts[0], "%lld", (long long)v);
    return text;
}

/* ---------------------------------------------------------------- files */

void path_of(char out[PATH_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, PATH_BYTES, format, args);
    va_end(args);
    if (n < 0 || n >= PATH_BYTES) {
        bench_die("a path is longer than %d bytes: choose another --dir", PATH_BYTES);
    }
}

void folder_make(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        bench_die("cannot make the folder %s: %s", path, strerror(errno));
    }
}

int64_t file_bytes_of(const char *path)
{
    char wal[PATH_BYTES];
    struct stat st;
    int64_t bytes = stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
    path_of(wal, "%s-wal", path);
    return bytes + (stat(wal, &st) == 0 ? (int64_t)st.st_size : 0);
}

void file_remove(const char *path)
{
    static const char *const TAILS[] = {"",         "-wal",  "-shm",    "-outbox1",
                                        "-outbox2", "-sync", "-reserve"};
    for (size_t i = 0; i < sizeof TAILS / sizeof *TAILS; i++) {
        char name[PATH_BYTES];
        path_of(name, "%s%s", path, TAILS[i]);
        unlink(name);
    }
}

static void tool_run(const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        bench_die("%s failed", argv[0]);
    }
}

void file_copy(const char *from, const char *to)
{
    const char *argv[] = {"cp", "--", from, to, NULL};
    file_remove(to);
    tool_run(argv);
}

void folder_remove(const char *path)
{
    const char *argv[] = {"rm", "-rf", "--", path, NULL};
    tool_run(argv);
}

void folder_copy(const char *from, const char *to)
{
    const char *argv[] = {"cp", "-r", "--", from, to, NULL};
    folder_remove(to);
    tool_run(argv);
}

/* ---------------------------------------------------------------- processes */

static void argv_fill(const char **argv, const char *const *args)
{
    size_t n = 0;
    argv[n++] = "fb-bench";
    argv[n++] = "--role";
    for (size_t i = 0; args[i] != NULL; i++) {
        if (n + 1 >= ROLE_ARGS_MAX) {
            bench_die("a role has too many arguments");
        }
        argv[n++] = args[i];
    }
    argv[n] = NULL;
}

static pid_t role_spawn(const char *const *args, int *fd_out)
{
    const char *argv[ROLE_ARGS_MAX];
    int fds[2];
    argv_fill(argv, args);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        bench_die("pipe: %s", strerror(errno));
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(fds[1], ROLE_FD) < 0) {
            _exit(127);
        }
        execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid < 0) {
        bench_die("fork: %s", strerror(errno));
    }
    close(fds[1]);
    *fd_out = fds[0];
    return pid;
}

static void sample_read(int fd, const char *role, sample *out)
{
    size_t have = 0;
    while (have < sizeof *out) {
        ssize_t n = read(fd, (char *)out + have, sizeof *out - have);
        if (n <= 0) {
            bench_die("the role %s ended without a result", role);
        }
        have += (size_t)n;
    }
    close(fd);
}

sample role_run(const char *const *args)
{
    int fd = -1, status = 0;
    sample s;
    pid_t pid = role_spawn(args, &fd);
    sample_read(fd, args[0], &s);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        bench_die("the role %s failed", args[0]);
    }
    return s;
}

pid_t role_start(const char *const *args, sample *ready_out)
{
    int fd = -1;
    pid_t pid = role_spawn(args, &fd);
    sample_read(fd, args[0], ready_out);
    return pid;
}

void role_stop(pid_t pid)
{
    int status = 0;
    kill(pid, SIGTERM);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
}

void role_report(const sample *s)
{
    if (write(ROLE_FD, s, sizeof *s) != (ssize_t)sizeof *s) {
        bench_die("a role is started by fb-bench itself, not by hand");
    }
    close(ROLE_FD);
}

/* The programs stand beside this one. */
void program_path(const char *name, char out[PATH_BYTES])
{
    char self[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) {
        bench_die("cannot tell where this program stands");
    }
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    path_of(out, "%s/%s", self, name);
}

pid_t program_start(const char *const *argv, const char *log_path)
{
    char path[PATH_BYTES];
    program_path(argv[0], path);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        bench_die("fork: %s", strerror(errno));
    }
    if (pid > 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(127);
    }
    execv(path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

void program_run(const char *const *argv, const char *log_path)
{
    int status = 0;
    pid_t pid = program_start(argv, log_path);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        bench_die("%s failed: see %s", argv[0], log_path);
    }
}

/* ---------------------------------------------------------------- series */

void series_add(series *s, const sample *one)
{
    if (s->count == REPEATS_MAX) {
        bench_die("more than %d repetitions", REPEATS_MAX);
    }
    s->s[s->count++] = *one;
}

int64_t series_median(const series *s, size_t field_offset)
{
    int64_t values[REPEATS_MAX];
    for (uint32_t i = 0; i < s->count; i++) {
        memcpy(&values[i], (const char *)&s->s[i] + field_offset, sizeof values[i]);
    }
    sort_ns(values, s->count);
    return quantile_ns(values, s->count, 500);
}
