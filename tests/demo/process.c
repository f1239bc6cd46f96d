/* process.c - see demo.h. */
#include "demo/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t running_server; /* stopped also when the demo fails */

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void demo_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("demo failed: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    server_stop(running_server);
    exit(1);
}

bool file_read(const char *path, buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0) {
        buf_put(out, block, n);
    }
    bool good = ferror(f) == 0 && out->code == FB_OK;
    fclose(f);
    return good;
}

void file_write(const char *path, const buf *content)
{
    FILE *f = fopen(path, "wb");
    bool good = f != NULL && content->code == FB_OK &&
                fwrite(content->data, 1, content->size, f) == content->size;
    if (f == NULL || fclose(f) != 0 || !good) {
        demo_die("cannot write %s", path);
    }
}

void make_folder(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        demo_die("cannot make the folder %s: %s", path, strerror(errno));
    }
}

/* The programs stand beside this one. */
static void program_path(const char *name, char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0) {
        demo_die("cannot tell where this program stands");
    }
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    size_t folder = (size_t)(slash - out) + 1;
    const char *tests = strstr(out, "/tests/");
    if (tests != NULL) {
        folder = (size_t)(tests - out) + 1; /* build/x/tests/fb-demo: programs in build/x */
    }
    snprintf(out + folder, size - folder, "%s", name);
}

static pid_t spawn(const char *const *argv, int out_fd, const char *log_path)
{
    char path[2048];
    program_path(argv[0], path, sizeof path);
    pid_t pid = fork();
    if (pid < 0) {
        demo_die("fork: %s", strerror(errno));
    }
    if (pid > 0) {
        return pid;
    }
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(out_fd >= 0 ? out_fd : log, 1) < 0 ||
        dup2(log, 2) < 0) {
        _exit(127);
    }
    execv(path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

run_result run_program(const char *const *argv, const char *log_path)
{
    run_result r = {0};
    buf_init(&r.out, 256 << 20);
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        demo_die("pipe: %s", strerror(errno));
    }
    int64_t start = now_ms();
    pid_t pid = spawn(argv, pipe_fd[1], log_path);
    close(pipe_fd[1]);
    char block[65536];
    ssize_t n;
    while ((n = read(pipe_fd[0], block, sizeof block)) > 0) {
        buf_put(&r.out, block, (size_t)n);
    }
    close(pipe_fd[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    r.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    r.elapsed_ms = now_ms() - start;
    return r;
}

run_result run_ok(const char *const *argv, const char *log_path)
{
    run_result r = run_program(argv, log_path);
    if (r.exit_code != 0) {
        fprintf(stderr, "this command failed with exit code %d:\n ", r.exit_code);
        for (size_t i = 0; argv[i] != NULL; i++) {
            fprintf(stderr, " %s", argv[i]);
        }
        fprintf(stderr, "\n%s\n", buf_cstr(&r.out));
        buf log;
        buf_init(&log, 64 << 20);
        if (file_read(log_path, &log)) {
            const char *text = buf_cstr(&log);
            fprintf(stderr, "last of its log:\n%s\n",
                    log.size > 3000 ? text + log.size - 3000 : text);
        }
        buf_clear(&log);
        demo_die("see above");
    }
    return r;
}

void run_free(run_result *r)
{
    buf_clear(&r->out);
}

int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        demo_die("no free port on loopback: %s", strerror(errno));
    }
    close(fd);
    return ntohs(a.sin_port);
}

/* Ready means: the server wrote its ready file, which it does once it accepts connections. */
pid_t server_start(const char *home, const char *log_path)
{
    char config[1200], ready[1200];
    snprintf(config, sizeof config, "%s/fieldbookd.conf", home);
    snprintf(ready, sizeof ready, "%s/fieldbookd.ready", home);
    unlink(ready);
    const char *argv[] = {"fieldbookd", "--config", config, "--ready-file", ready, NULL};
    pid_t pid = spawn(argv, -1, log_path);
    running_server = pid;
    for (int64_t start = now_ms(); access(ready, F_OK) != 0;) {
        if (waitpid(pid, NULL, WNOHANG) == pid || now_ms() - start > 20000) {
            running_server = 0;
            demo_die("the server did not start; see %s", log_path);
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return pid;
}

void server_stop(pid_t pid)
{
    if (pid <= 0) {
        return;
    }
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    running_server = 0;
}
