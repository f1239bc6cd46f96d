/* main.c - fb-bench: options, the order of the workloads, the table of roles. See bench.h. */
#include "perf/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "perf/storm.h"
#include "platform/posix/ca.h"

enum { ORDERS_FULL = 10000, ORDERS_QUICK = 1000, REPEATS_FULL = 3, REPEATS_QUICK = 1 };

static const struct {
    const char *name;
    role_fn fn;
} ROLES[] = {
    {"floor-server", role_floor_server},
    {"floor-record", role_floor_record},
    {"floor-push", role_floor_push},
    {"floor-pull", role_floor_pull},
    {"floor-file", role_floor_file},
    {"floor-everyday", role_floor_everyday},
    {"floor-load", role_floor_load},
    {"floor-live", role_floor_live},
    {"enrol", role_enrol},
    {"record", role_record},
    {"sync", role_sync},
    {"everyday", role_everyday},
    {"load", role_load},
    {"live", role_live},
};

static const struct {
    const char *name;
    void (*run)(const bench *b);
    bool only_by_name; /* scenarios: minutes each, no floor beside them */
} WORKLOADS[] = {{"W1", w1_run, false},          {"W2", w2_run, false},
                 {"W3", w3_run, false},          {"W4", w4_run, false},
                 {"W5", w5_run, false},          {"SIZE", size_run, false},
                 {"STORM", storm_run_all, true}, {"RESTART", restart_run, true}};
enum { WORKLOADS_COUNT = sizeof WORKLOADS / sizeof *WORKLOADS };

int role_main(int argc, char **argv)
{
    sample s = {0};
    for (size_t i = 0; i < sizeof ROLES / sizeof *ROLES; i++) {
        if (strcmp(argv[0], ROLES[i].name) == 0) {
            ROLES[i].fn(argc - 1, argv + 1, &s);
            if (s.port == 0) {
                role_report(&s);
            }
            return 0;
        }
    }
    bench_die("there is no role %s", argv[0]);
}

static void usage(void)
{
    puts("fb-bench: the five workloads beside their floors\n"
         "  --json FILE          write the figures to FILE as well\n"
         "  --workload W1,W3     only these: W1 W2 W3 W4 W5 SIZE\n"
         "                       and by name alone: STORM (5,000 devices come back within a "
         "minute),\n"
         "                       RESTART (killed with 1 GiB and requests in flight)\n"
         "  --quick              a tenth of the data, one repetition: to see that it runs\n"
         "  --repeat N           repetitions of floor and product in turn, 1 to 9\n"
         "  --enforce            exit code 1 when a target is missed\n"
         "  --dir DIR            where the databases go; default $TMPDIR or /tmp\n"
         "  --keep               leave the databases there");
}

static bool wanted(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (n == size && strncasecmp(at, name, n) == 0) {
            return true;
        }
        at += n + (at[n] == ',');
    }
    return list == NULL;
}

static const char *next_of(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        bench_die("%s needs a value; see --help", argv[*i]);
    }
    return argv[++*i];
}

static void options_read(bench *b, int argc, char **argv, const char **list, const char **folder)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            b->json_path = next_of(argc, argv, &i);
        } else if (strcmp(argv[i], "--workload") == 0) {
            *list = next_of(argc, argv, &i);
        } else if (strcmp(argv[i], "--repeat") == 0) {
            b->repeats = (uint32_t)number_of(next_of(argc, argv, &i));
        } else if (strcmp(argv[i], "--dir") == 0) {
            *folder = next_of(argc, argv, &i);
        } else if (strcmp(argv[i], "--quick") == 0) {
            b->quick = true;
        } else if (strcmp(argv[i], "--enforce") == 0) {
            b->enforce = true;
        } else if (strcmp(argv[i], "--keep") == 0) {
            b->keep = true;
        } else {
            usage();
            exit(strcmp(argv[i], "--help") == 0 ? 0 : 2);
        }
    }
}

static void home_make(bench *b, const char *folder)
{
    static const char *const NAMES[] = {"localhost", "127.0.0.1"};
    const char *base = folder != NULL ? folder : getenv("TMPDIR");
    char ca_key[PATH_BYTES];
    fb_error err = {0};
    path_of(b->home, "%s/fieldbook-bench-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(b->home) == NULL) {
        bench_die("cannot make a folder below %s: %s", base != NULL ? base : "/tmp",
                  strerror(errno));
    }
    path_of(b->ca, "%s/floor-ca.pem", b->home);
    path_of(ca_key, "%s/floor-ca.key", b->home);
    path_of(b->cert, "%s/floor.pem", b->home);
    path_of(b->key, "%s/floor.key", b->home);
    must(ca_create(b->ca, ca_key, "Floor", &err), &err, "certificate authority");
    must(ca_issue(b->ca, ca_key,
                  &(ca_leaf){.names = NAMES,
                             .names_count = 2,
                             .days = 30,
                             .cert_path = b->cert,
                             .key_path = b->key},
                  &err),
         &err, "certificate");
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--role") == 0) {
        return role_main(argc - 2, argv + 2);
    }
    bench b = {0};
    const char *list = NULL, *folder = NULL;
    options_read(&b, argc, argv, &list, &folder);
    b.orders = b.quick ? ORDERS_QUICK : ORDERS_FULL;
    b.repeats = b.repeats != 0 ? b.repeats : b.quick ? REPEATS_QUICK : REPEATS_FULL;
    if (b.repeats > REPEATS_MAX) {
        bench_die("--repeat takes 1 to %d", REPEATS_MAX);
    }
    home_make(&b, folder);
    int64_t sync_us = sync_ns_of(b.home) / 1000;
    report_note("a synced write of 4 KiB takes %lld.%03lld ms in %s", (long long)(sync_us / 1000),
                (long long)(sync_us % 1000), b.home);
    for (size_t i = 0; i < WORKLOADS_COUNT; i++) {
        if (wanted(list, WORKLOADS[i].name) && (list != NULL || !WORKLOADS[i].only_by_name)) {
            WORKLOADS[i].run(&b);
        }
    }
    uint32_t missed = report_end(&b);
    if (b.keep) {
        printf("the databases are in %s\n", b.home);
    } else {
        folder_remove(b.home);
    }
    return missed > 0 && b.enforce ? 1 : 0;
}
