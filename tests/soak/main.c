/* main.c - fb-soak: the command line and the summary. See soak.h. */
#include "soak/soak.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] =
    "fb-soak [--minutes N | --seconds N] [--seed S] [--devices N] [--no-hosts] [--keep]\n"
    "\n"
    "Runs fieldbookd and several phones as real processes over a network of its own, breaks them "
    "and\n"
    "their network and their disks as the seed says, lets everything settle, and counts from "
    "outside\n"
    "whether each group that was acknowledged is there once.\n"
    "\n"
    "  --minutes N    how long things break (2); healing and counting come after it\n"
    "  --seed S       which faults, in which order, and what people do (1)\n"
    "  --devices N    reps with a phone, 1 to 32 (4); a manager is always there\n"
    "  --no-hosts     all in one network, even where network namespaces are permitted\n"
    "  --keep         keep the folder also when all is well\n"
    "  --faults       every kind of fault and what it needs\n"
    "\n"
    "Network namespaces and disks that fill need root; without it they are left out, and the "
    "summary\n"
    "says netns=no, tmpfs=no. Exit codes: 0 ok, 1 a promise was broken, 2 wrong arguments, 3 the\n"
    "machine does not permit the run.\n";

static FILE *log_file; /* of the one run of this process */

static void say(FILE *out, const char *head, const char *format, va_list args)
{
    fputs(head, out);
    vfprintf(out, format, args);
    fputc('\n', out);
    fflush(out);
}

void note(soak *s, const char *format, ...)
{
    char head[40];
    va_list args;
    if (log_file == NULL) {
        return;
    }
    snprintf(head, sizeof head, "%8lld ", (long long)(now_ms() - s->begin_ms));
    va_start(args, format);
    say(log_file, head, format, args);
    va_end(args);
}

void violation(soak *s, const char *format, ...)
{
    va_list args;
    s->violations++;
    va_start(args, format);
    say(stderr, "violation: ", format, args);
    va_end(args);
    if (log_file != NULL) {
        va_start(args, format);
        say(log_file, "violation: ", format, args);
        va_end(args);
    }
}

void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(stderr, "fb-soak cannot go on: ", format, args);
    va_end(args);
    exit(3);
}

static bool number_get(const char *text, int64_t low, int64_t high, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = text == NULL ? 0 : strtoll(text, &end, 10);
    return text != NULL && *text != '\0' && *end == '\0' && errno == 0 && *out >= low &&
           *out <= high;
}

static int usage(const char *what)
{
    fprintf(stderr, "fb-soak: %s: see fb-soak --help\n", what);
    return 2;
}

static void faults_print(void)
{
    static const char *const NEEDS[] = {"", "root: a disk of its own",
                                        "root and ip: a host of its own"};
    for (int i = 0; i < FAULTS; i++) {
        printf("%-28s", FAULT_ROWS[i].name);
        printf(FAULT_ROWS[i].seconds_min > 0 ? " in runs of %d s and more" : "%.0d",
               FAULT_ROWS[i].seconds_min);
        printf(" %s\n", NEEDS[FAULT_ROWS[i].needs]);
    }
}

/* -1: go on; else the exit code. */
static int take_arguments(int argc, char **argv, options *o)
{
    int64_t n = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--help") == 0) {
            fputs(HELP, stdout);
            return 0;
        }
        if (strcmp(a, "--faults") == 0) {
            faults_print();
            return 0;
        }
        if (strcmp(a, "--keep") == 0) {
            o->keep = true;
        } else if (strcmp(a, "--no-hosts") == 0) {
            o->hosts = false;
        } else if (strcmp(a, "--minutes") == 0 && number_get(value, 1, 100000, &n)) {
            o->seconds = n * 60;
            i++;
        } else if (strcmp(a, "--seconds") == 0 && number_get(value, 1, 6000000, &n)) {
            o->seconds = n;
            i++;
        } else if (strcmp(a, "--seed") == 0 && number_get(value, 0, INT64_MAX, &n)) {
            o->seed = (uint64_t)n;
            i++;
        } else if (strcmp(a, "--devices") == 0 && number_get(value, 1, DEVICES_MAX, &n)) {
            o->devices = (int)n;
            i++;
        } else {
            return usage(a);
        }
    }
    return -1;
}

static void programs_find(soak *s)
{
    ssize_t n = readlink("/proc/self/exe", s->programs, sizeof s->programs - 1);
    if (n <= 0) {
        give_up("cannot tell where this program stands");
    }
    s->programs[n] = '\0';
    *strrchr(s->programs, '/') = '\0';
}

static unsigned fired_of(const soak *s, fault_class class)
{
    unsigned n = 0;
    for (int i = 0; i < FAULTS; i++) {
        n += FAULT_ROWS[i].class == class ? s->fired[i] : 0;
    }
    return n;
}

static void print_faults(const soak *s)
{
    for (int i = 0; i < FAULTS; i++) {
        printf("%s%s=%u", i % 6 == 0 ? "  " : " ", FAULT_ROWS[i].name, s->fired[i]);
        fputs(i % 6 == 5 || i == FAULTS - 1 ? "\n" : "", stdout);
    }
}

static void print_summary(const soak *s)
{
    int fired = 0;
    size_t saved = 0;
    for (int i = 0; i < FAULTS; i++) {
        fired += s->fired[i] > 0;
    }
    for (size_t i = 0; i < s->book.count; i++) {
        saved += s->book.groups[i].state == GROUP_SAVED;
    }
    printf("faults that fired:\n");
    print_faults(s);
    refusals_print(s);
    printf("server: starts=%d ready_ms_max=%lld rss_kib_max=%ld files_max=%d wal_bytes_max=%ld\n",
           s->server.starts, (long long)s->server.restart_ms_max, s->server.rss_kib_max,
           s->server.fds_max, s->server.wal_bytes_max);
    printf(
        "soak %s: seed=%llu minutes=%lld.%lld devices=%d groups=%zu jobs=%u kills=%u stops=%u "
        "nets=%u "
        "cuts=%u fulls=%u faults_fired=%d/%d netns=%s tmpfs=%s lost=%u doubled=%u violations=%u\n",
        s->violations == 0 ? "ok" : "not ok", (unsigned long long)s->o.seed,
        (long long)s->o.seconds / 60, (long long)s->o.seconds % 60 * 10 / 60, s->o.devices, saved,
        s->jobs_done, fired_of(s, CLASS_KILL), fired_of(s, CLASS_STOP), fired_of(s, CLASS_NET),
        fired_of(s, CLASS_CUT), fired_of(s, CLASS_FULL), fired, (int)FAULTS,
        s->netns ? "yes" : "no", s->tmpfs ? "yes" : "no", s->lost, s->doubled, s->violations);
}

/* Disks of the run are gone with its last process: what is on them is copied for whoever looks. */
static void keep(soak *s)
{
    char from[PATH_BYTES + 32], to[PATH_BYTES + 32];
    for (int i = -1; s->tmpfs && i < s->devices_count; i++) {
        snprintf(from, sizeof from, "%s", i < 0 ? s->home : s->devices[i].folder);
        snprintf(to, sizeof to, "%s.kept", from);
        (void)folder_copy(s, from, to);
    }
    printf("kept: %s (disks as they were at the end: *.kept; soak.log, book.log, server.log)\n",
           s->folder);
}

int main(int argc, char **argv)
{
    static soak s;
    char path[PATH_BYTES + 16];
    if (argc > 1 && strcmp(argv[1], "--phone") == 0) {
        return phone_main(argc, argv);
    }
    if (argc > 1 && strcmp(argv[1], "--reader") == 0) {
        return reader_main(argc, argv);
    }
    s.o = (options){.seconds = 120, .seed = 1, .devices = 4, .hosts = true};
    int exit_code = take_arguments(argc, argv, &s.o);
    if (exit_code >= 0) {
        return exit_code;
    }
    const char *tmp = getenv("TMPDIR");
    snprintf(s.folder, sizeof s.folder, "%s/fb_soak_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(s.folder) == NULL) {
        give_up("cannot make a folder at %s", s.folder);
    }
    snprintf(path, sizeof path, "%s/soak.log", s.folder);
    log_file = fopen(path, "wbe");
    programs_find(&s);
    signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    s.begin_ms = now_ms();
    soak_run(&s);
    print_summary(&s);
    if (s.violations > 0 || s.o.keep) {
        keep(&s);
        printf("again: fb-soak --seconds %lld --seed %llu --devices %d%s\n", (long long)s.o.seconds,
               (unsigned long long)s.o.seed, s.o.devices, s.o.hosts ? "" : " --no-hosts");
    } else {
        leave_disks(&s);
        folder_remove(s.folder);
    }
    return s.violations > 0 ? 1 : 0;
}
