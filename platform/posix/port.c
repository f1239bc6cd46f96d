/* port.c - see port.h. */
#include "platform/posix/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

static const char *const LEVELS[] = {"", "error", "warn", "info", "debug"};

static uint64_t clock_ms(clockid_t id)
{
    struct timespec t;
    FB_ASSERT(clock_gettime(id, &t) == 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* CLOCK_BOOTTIME also counts the time a device sleeps, so that waits end when it wakes. */
static uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return clock_ms(CLOCK_BOOTTIME);
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return (int64_t)clock_ms(CLOCK_REALTIME);
}

static fb_code draw_random(void *ctx, void *out, size_t size)
{
    (void)ctx;
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR) {
            return FB_E_IO;
        }
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return FB_OK;
}

/* LOG-2: a line stays one line, whatever a peer managed to get into it. */
static void replace_controls(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = '?';
        }
    }
}

static void log_to(void *ctx, fb_level level, const char *line)
{
    const posix_log *log = ctx;
    if (level > log->level || level < FB_LOG_ERROR || level > FB_LOG_DEBUG) {
        return;
    }
    char out[LOG_LINE_BYTES_MAX + 128];
    char stamp[32];
    uint64_t now_ms = clock_ms(CLOCK_REALTIME);
    time_t now_s = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&now_s, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int size = snprintf(out, sizeof out - 1, "time=%s.%03uZ level=%s event=%.*s", stamp,
                        (unsigned)(now_ms % 1000), LEVELS[level], LOG_LINE_BYTES_MAX, line);
    if (size < 0) {
        return;
    }
    size_t used = (size_t)size < sizeof out - 1 ? (size_t)size : sizeof out - 2;
    replace_controls(out, used);
    out[used++] = '\n';
    /* A log that cannot be written must not stop the work it reports on. */
    ssize_t ignored = write(log->fd, out, used);
    (void)ignored;
}

static const posix_log STANDARD_ERROR = {.fd = STDERR_FILENO, .level = FB_LOG_WARN};
static const fb_port STANDARD_PORT = {
    .ctx = (void *)&STANDARD_ERROR,
    .mono_ms = mono_ms,
    .wall_ms = wall_ms,
    .random = draw_random,
    .log = log_to,
};

const fb_port *fb_port_posix(void)
{
    return &STANDARD_PORT;
}

fb_port fb_port_posix_to(const posix_log *log)
{
    fb_port port = STANDARD_PORT;
    port.ctx = (void *)log;
    port.log = log != NULL ? log_to : NULL;
    return port;
}

const char *log_level_name(fb_level level)
{
    return level >= FB_LOG_ERROR && level <= FB_LOG_DEBUG ? LEVELS[level] : "";
}

fb_code log_level_get(const char *name, fb_level *level_out)
{
    for (int i = FB_LOG_ERROR; i <= FB_LOG_DEBUG; i++) {
        if (strcmp(name, LEVELS[i]) == 0) {
            *level_out = (fb_level)i;
            return FB_OK;
        }
    }
    return FB_E_ENUM;
}

void log_line(const fb_port *port, fb_level level, const char *format, ...)
{
    if (port->log == NULL) {
        return;
    }
    char line[LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size >= 0) {
        port->log(port->ctx, level, line);
    }
}
