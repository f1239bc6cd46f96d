/* main.c - fieldbookd: reads the configuration, opens the server, lets the listener serve it.
 *
 * The composition root: the only place that knows the server library and the platform. Exit codes:
 * 0 stopped as asked, 1 could not start or broke down, 2 wrong arguments. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "fieldbook/version.h"
#include "platform/posix/config.h"
#include "platform/posix/file.h"
#include "platform/posix/files.h"
#include "platform/posix/listen.h"
#include "platform/posix/port.h"
#include "platform/posix/tls.h"
#include "sync-server/server.h"

enum { EXIT_FINE = 0, EXIT_BROKEN = 1, EXIT_USAGE = 2 };

static const char HELP[] =
    "fieldbookd --config FILE [--check] [--ready-file FILE]\n"
    "\n"
    "Serves a company's devices over HTTPS until SIGTERM or SIGINT. SIGHUP takes the certificate\n"
    "anew and reopens the log.\n"
    "\n"
    "  --config FILE      the configuration (fieldbook-admin init writes one)\n"
    "  --check            only say whether configuration, certificate and database are usable\n"
    "  --ready-file FILE  written once connections are accepted; holds the port\n"
    "  --print-config     every key with its meaning and default\n"
    "  --version, --help\n";

typedef struct arguments {
    const char *config, *ready_file;
    bool check;
} arguments;

typedef struct daemon_state {
    server_config config;
    posix_log log;
    fb_port port;
} daemon_state;

static const server_ops SERVER_OPS = {
    .reader_open = server_reader_open,
    .reader_close = server_reader_close,
    .prepare = server_prepare,
    .write = server_write,
    .read = server_read,
    .job_next = server_job_next,
    .job_wait_until_ms = server_job_wait_until_ms,
    .job_reply = server_job_reply,
    .job_free = server_job_free,
    .head = server_head,
    .tick = server_tick,
    .build = server_build,
};

/* The process ends after it; systemd or whoever starts it again finds the reason in the journal. */
static void report_bug(const char *expr, const char *file, int line)
{
    dprintf(STDERR_FILENO, "fieldbookd: broken promise \"%s\" at %s:%d: please report it\n", expr,
            file, line);
}

static int say_failure(const char *what, fb_code code, const fb_error *err)
{
    fprintf(stderr, "fieldbookd: %s: %s%s%s (%s)\n", what, err->field,
            err->field[0] != '\0' ? ": " : "",
            err->message[0] != '\0' ? err->message : fb_code_text(code, "en"), fb_code_name(code));
    return EXIT_BROKEN;
}

static int print_config(void)
{
    server_config config;
    buf text;
    config_init(&config);
    buf_init(&text, CONFIG_FILE_BYTES_MAX);
    config_put(&text, &config);
    fputs(buf_cstr(&text), stdout);
    buf_clear(&text);
    return EXIT_FINE;
}

/* -1: go on; else the exit code. */
static int take_arguments(int argc, char **argv, arguments *out)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(HELP, stdout);
            return EXIT_FINE;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("fieldbookd %s\n", FB_VERSION_TEXT);
            return EXIT_FINE;
        }
        if (strcmp(argv[i], "--print-config") == 0) {
            return print_config();
        }
        if (strcmp(argv[i], "--check") == 0) {
            out->check = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            out->config = argv[++i];
        } else if (strcmp(argv[i], "--ready-file") == 0 && i + 1 < argc) {
            out->ready_file = argv[++i];
        } else {
            fprintf(stderr, "fieldbookd: argument %d is not understood: see fieldbookd --help\n",
                    i);
            return EXIT_USAGE;
        }
    }
    if (out->config == NULL) {
        fprintf(stderr, "fieldbookd: --config FILE is missing: see fieldbookd --help\n");
        return EXIT_USAGE;
    }
    return -1;
}

/* A descriptor for the log; standard error when the file cannot be opened. */
static fb_code open_log(const server_config *config, int *fd_out, fb_error *err)
{
    if (config->log_file[0] == '\0') {
        *fd_out = STDERR_FILENO;
        return FB_OK;
    }
    int fd = open(config->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        return fail(err, FB_E_CONFIG, "log_file", "cannot be opened: check the folder's rights");
    }
    *fd_out = fd;
    return FB_OK;
}

/* After a log rotation: the number stays, so that no thread ever writes to a closed one. */
static void reopen_log(void *ctx)
{
    daemon_state *d = ctx;
    int fd = -1;
    if (d->log.fd == STDERR_FILENO || open_log(&d->config, &fd, NULL) != FB_OK) {
        return;
    }
    dup3(fd, d->log.fd, O_CLOEXEC);
    close(fd);
}

static fb_code write_ready_file(const char *path, uint16_t port, fb_error *err)
{
    char text[16];
    if (path == NULL) {
        return FB_OK;
    }
    snprintf(text, sizeof text, "%u\n", (unsigned)port);
    return file_replace(path, text_of(text), false, err);
}

static fb_code serve(daemon_state *d, server *s, const char *ready_file, fb_error *err)
{
    const server_config *c = &d->config;
    listen_options o = {.address = c->address,
                        .port = (uint16_t)c->port,
                        .cert_file = c->certificate,
                        .key_file = c->key,
                        .port_of_os = &d->port,
                        .server = s,
                        .ops = &SERVER_OPS,
                        .readers_count = c->readers,
                        .limits = c->limits,
                        .handle_signals = true,
                        .reloaded = reopen_log,
                        .ctx = d};
    listener *l = NULL;
    FB_TRY(listener_open(&o, &l, err));
    fb_code rc = write_ready_file(ready_file, listener_get_port(l), err);
    if (rc == FB_OK) {
        log_line(&d->port, FB_LOG_INFO, "ready address=%s port=%u version=%s", c->address,
                 (unsigned)listener_get_port(l), FB_VERSION_TEXT);
        rc = listener_run(l);
    }
    listener_close(l);
    return rc;
}

/* What --check looks at beside the database: the files that the listener would load. */
static fb_code check_files(const server_config *c, fb_error *err)
{
    tls_server *tls = NULL;
    FB_TRY(tls_server_new(c->certificate, c->key, &tls, err));
    tls_server_free(tls);
    return FB_OK;
}

static fb_code run(daemon_state *d, const arguments *a, fb_error *err)
{
    server *s = NULL;
    server_options o = {
        .path = d->config.database,
        .port = &d->port,
        .cache_kib = (int)d->config.cache_kib,
        .sync_interval_ms = d->config.sync_interval_s * 1000,
        .gone_days = d->config.gone_days,
        .packing = {.off = d->config.packs == 0,
                    .path = d->config.packs_file[0] != '\0' ? d->config.packs_file : NULL,
                    .rows_min = d->config.packs_rows_min,
                    .rest_ms = d->config.packs_rest_s * 1000,
                    .age_ms = d->config.packs_age_s * 1000},
        .files = fb_files_posix(),
        .blobs = {.device_day_bytes = (int64_t)d->config.blob_device_day_mib << 20,
                  .total_bytes = (int64_t)d->config.blob_total_mib << 20,
                  .free_bytes_min = (int64_t)d->config.blob_free_min_mib << 20,
                  .unnamed_days = d->config.blob_unnamed_days}};
    FB_TRY(check_files(&d->config, err));
    fb_code rc = server_open(&o, &s, err);
    if (rc != FB_OK && server_restore_was_cut(o.path)) {
        return fail(err, rc, "database",
                    "a restore into it was cut short (power, kill): run the same fieldbook-admin "
                    "restore again; what stood here is beside it as master.db.replaced-TIME");
    }
    FB_TRY(rc);
    if (a->check && server_is_suspect(s)) {
        rc = fail(err, FB_E_EPOCH, "database",
                  "it was put back from an older copy: fieldbook-admin restore --confirm if that "
                  "is meant");
    } else if (a->check) {
        printf("fieldbookd: configuration, certificate and database are usable\n");
    } else {
        rc = serve(d, s, a->ready_file, err);
    }
    server_close(s);
    return rc;
}

int main(int argc, char **argv)
{
    arguments a = {0};
    daemon_state d;
    fb_error err = {0};
    int exit_code = take_arguments(argc, argv, &a);
    if (exit_code >= 0) {
        return exit_code;
    }
    (void)umask(077); /* database, log and copies hold personal data */
    signal(SIGPIPE, SIG_IGN);
    bug_hook_set(report_bug);
    memset(&d, 0, sizeof d);
    fb_code rc = config_get(a.config, &d.config, &err);
    if (rc != FB_OK) {
        return say_failure("configuration", rc, &err);
    }
    if (log_level_get(d.config.log_level, &d.log.level) != FB_OK ||
        open_log(&d.config, &d.log.fd, &err) != FB_OK) {
        return say_failure("log", FB_E_CONFIG, &err);
    }
    d.port = fb_port_posix_to(&d.log);
    rc = run(&d, &a, &err);
    if (rc != FB_OK) {
        log_line(&d.port, FB_LOG_ERROR, "failed code=%s field=%s reason=\"%s\"", fb_code_name(rc),
                 err.field, err.message);
        return d.log.fd == STDERR_FILENO ? EXIT_BROKEN : say_failure("stopped", rc, &err);
    }
    return EXIT_FINE;
}
