/* w45.c - W4: everyday sync, its latency and how many a second. W5: a change reaches live devices.
 * SIZE: what the library weighs. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf/company.h"

/* A device may ask 40 times in a row, then ten times a second: nobody here asks more often. */
enum {
    CONNECTIONS = 5,
    LOADS = 4,
    LOAD_DEVICES = 64,
    LOAD_SYNCS = 35,
    EVERYDAY_SYNCS = 30,
    LIVE_DEVICES = 100
};

static const uint32_t DEVICES[LOADS] = {1, 8, 32, 64};

typedef struct sides {
    const bench *b;
    company ours; /* a copy of the small company, running between start and stop */
    pid_t floor;
    int64_t floor_port;
} sides;

static void floor_start(sides *s)
{
    sample ready;
    char db[PATH_BYTES];
    path_of(db, "%s/floor-small.db", s->b->home);
    file_remove(db);
    const char *args[] = {"floor-server", db, s->b->cert, s->b->key, "small", "0", NULL};
    s->floor = role_start(args, &ready);
    s->floor_port = ready.port;
}

static void ours_start(sides *s)
{
    company made;
    char folder[PATH_BYTES];
    small_company(s->b, &made);
    path_of(folder, "%s/small-run", s->b->home);
    company_copy(&made, &s->ours, folder);
    company_start(&s->ours);
}

/* ---------------------------------------------------------------- W4: latency */

static sample floor_everyday(sides *s, int mode)
{
    floor_start(s);
    const char *args[] = {"floor-everyday",
                          number_text(s->floor_port),
                          number_text(s->floor),
                          s->b->ca,
                          number_text(mode),
                          number_text(EVERYDAY_SYNCS),
                          "0",
                          NULL};
    sample one = role_run(args);
    role_stop(s->floor);
    return one;
}

static sample ours_everyday(sides *s, int mode)
{
    char device[PATH_BYTES], db[PATH_BYTES];
    ours_start(s);
    small_device(s->b, 0, device);
    path_of(db, "%s/everyday.db", s->b->home);
    file_copy(device, db);
    const char *args[] = {"everyday",
                          db,
                          number_text(s->ours.port),
                          number_text(s->ours.server),
                          s->ours.ca,
                          number_text(mode),
                          number_text(EVERYDAY_SYNCS),
                          "0",
                          NULL};
    sample one = role_run(args);
    company_stop(&s->ours);
    file_remove(db);
    return one;
}

static void latency_figures(const series floor[MODES], const series ours[CONNECTIONS])
{
    static const struct {
        const char *name;
        goal goal;
        int64_t target, wish;
    } MADE[CONNECTIONS] = {{"p50, connection kept", GOAL_RATIO_MAX, 3000, 1300},
                           {"p50, resumed", GOAL_NONE, 0, 0},
                           {"p50, new", GOAL_RATIO_MAX, 2000, 1200},
                           {"p50, kept, through libcurl", GOAL_NONE, 0, 0},
                           {"p50, new, through libcurl", GOAL_NONE, 0, 0}};
    static const int FLOOR_OF[CONNECTIONS] = {NET_KEPT, NET_RESUMED, NET_NEW, NET_KEPT, NET_NEW};
    for (int i = 0; i < CONNECTIONS; i++) {
        report_add(&(figure){"W4", MADE[i].name, UNIT_MS, MEDIAN(&ours[i], p50_ns),
                             MEDIAN(&floor[FLOOR_OF[i]], p50_ns), MADE[i].goal, MADE[i].target,
                             MADE[i].wish});
    }
    report_add(&(figure){"W4", "p99, connection kept", UNIT_MS, MEDIAN(&ours[0], p99_ns),
                         MEDIAN(&floor[0], p99_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W4", "requests of one sync", UNIT_COUNT, MEDIAN(&ours[0], count), 1,
                         GOAL_NONE, 0, 0});
    report_add(&(figure){"W4", "bytes up, on the wire", UNIT_COUNT, MEDIAN(&ours[0], up_bytes),
                         MEDIAN(&floor[0], up_bytes), GOAL_VALUE_MAX, 2000000, 700000});
    report_add(&(figure){"W4", "bytes down, on the wire", UNIT_COUNT, MEDIAN(&ours[0], down_bytes),
                         61 + 27, GOAL_VALUE_MAX, 400000, 120000});
    report_add(&(figure){"W4", "bytes up, body", UNIT_COUNT, MEDIAN(&ours[3], up_bytes), 0,
                         GOAL_NONE, 0, 0});
    report_add(&(figure){"W4", "bytes down, body", UNIT_COUNT, MEDIAN(&ours[3], down_bytes), 0,
                         GOAL_NONE, 0, 0});
    report_add(&(figure){"W4", "peak heap of the device", UNIT_KIB, MEDIAN(&ours[0], growth_kib), 0,
                         GOAL_VALUE_MAX, 4096000, 1024000});
}

static void latency(sides *s)
{
    series floor[MODES] = {{.count = 0}}, ours[CONNECTIONS] = {{.count = 0}};
    for (uint32_t i = 0; i < s->b->repeats; i++) {
        for (int mode = 0; mode < CONNECTIONS; mode++) {
            sample one;
            if (mode < MODES) {
                one = floor_everyday(s, mode);
                series_add(&floor[mode], &one);
            }
            one = ours_everyday(s, mode);
            series_add(&ours[mode], &one);
        }
    }
    latency_figures(floor, ours);
}

/* ---------------------------------------------------------------- W4: load */

static void load_devices(const bench *b, const char *folder, uint32_t syncs)
{
    folder_make(folder);
    for (uint32_t i = 0; i < LOAD_DEVICES; i++) {
        char device[PATH_BYTES], db[PATH_BYTES];
        small_device(b, i, device);
        path_of(db, "%s/d%03u.db", folder, i);
        file_copy(device, db);
        const char *args[] = {"record", db,      number_text(syncs), "normal",
                              "record", "small", number_text(i),     NULL};
        (void)role_run(args);
    }
}

static sample floor_load(sides *s, uint32_t devices, uint32_t syncs)
{
    floor_start(s);
    const char *args[] = {
        "floor-load",         number_text(s->floor_port), number_text(s->floor), s->b->ca,
        number_text(devices), number_text(LOAD_DEVICES),  number_text(syncs),    NULL};
    sample one = role_run(args);
    role_stop(s->floor);
    return one;
}

static sample ours_load(sides *s, const char *folder, uint32_t devices, uint32_t syncs)
{
    ours_start(s);
    const char *args[] = {"load",
                          folder,
                          number_text(s->ours.port),
                          number_text(s->ours.server),
                          s->ours.ca,
                          number_text(devices),
                          number_text(LOAD_DEVICES),
                          number_text(syncs),
                          NULL};
    sample one = role_run(args);
    company_stop(&s->ours);
    return one;
}

static int64_t a_second(const series *s)
{
    return MEDIAN(s, count) * 1000000000 / MEDIAN(s, wall_ns);
}

static void load_figures(const series floor[LOADS], const series ours[LOADS])
{
    for (int i = 0; i < LOADS; i++) {
        char name[64];
        snprintf(name, sizeof name, "syncs a second, %u devices", DEVICES[i]);
        report_add(&(figure){"W4", name, UNIT_PER_SECOND, a_second(&ours[i]), a_second(&floor[i]),
                             DEVICES[i] == 32 ? GOAL_RATIO_MIN : GOAL_NONE,
                             DEVICES[i] == 32 ? 400 : 0, DEVICES[i] == 32 ? 800 : 0});
    }
    report_add(&(figure){"W4", "server CPU of one sync, 32 devices", UNIT_MS,
                         MEDIAN(&ours[2], server_cpu_ns) / MEDIAN(&ours[2], count),
                         MEDIAN(&floor[2], server_cpu_ns) / MEDIAN(&floor[2], count), GOAL_NONE, 0,
                         0});
}

static void load_all(sides *s)
{
    series floor[LOADS] = {{.count = 0}}, ours[LOADS] = {{.count = 0}};
    uint32_t syncs = s->b->quick ? LOAD_SYNCS / 5 : LOAD_SYNCS;
    char folder[PATH_BYTES];
    path_of(folder, "%s/load", s->b->home);
    load_devices(s->b, folder, syncs);
    for (uint32_t i = 0; i < s->b->repeats; i++) {
        for (int k = 0; k < LOADS; k++) {
            sample one = floor_load(s, DEVICES[k], syncs);
            series_add(&floor[k], &one);
            one = ours_load(s, folder, DEVICES[k], syncs);
            series_add(&ours[k], &one);
        }
    }
    load_figures(floor, ours);
}

void w4_run(const bench *b)
{
    sides s = {.b = b};
    company made;
    small_company(b, &made);
    latency(&s);
    load_all(&s);
}

/* ---------------------------------------------------------------- W5 */

static sample floor_live(sides *s, const char *rounds)
{
    floor_start(s);
    const char *args[] = {"floor-live", number_text(s->floor_port), number_text(s->floor),
                          s->b->ca,     number_text(LIVE_DEVICES),  rounds,
                          NULL};
    sample one = role_run(args);
    role_stop(s->floor);
    return one;
}

static sample ours_live(sides *s, const char *rounds)
{
    char from[PATH_BYTES], folder[PATH_BYTES];
    path_of(from, "%s/devices", s->b->home);
    path_of(folder, "%s/live", s->b->home);
    folder_copy(from, folder);
    ours_start(s);
    const char *args[] = {"live",
                          folder,
                          number_text(s->ours.port),
                          number_text(s->ours.server),
                          s->ours.ca,
                          number_text(LIVE_DEVICES),
                          rounds,
                          NULL};
    sample one = role_run(args);
    company_stop(&s->ours);
    return one;
}

void w5_run(const bench *b)
{
    sides s = {.b = b};
    series floor = {0}, ours = {0};
    company made;
    const char *rounds = b->quick ? "5" : "30";
    small_company(b, &made);
    for (uint32_t i = 0; i < b->repeats; i++) {
        sample one = floor_live(&s, rounds);
        series_add(&floor, &one);
        one = ours_live(&s, rounds);
        series_add(&ours, &one);
    }
    report_add(&(figure){"W5", "p50 to 100 live devices", UNIT_MS, MEDIAN(&ours, p50_ns),
                         MEDIAN(&floor, p50_ns), GOAL_RATIO_MAX, 4000, 1500});
    report_add(&(figure){"W5", "p99 to 100 live devices", UNIT_MS, MEDIAN(&ours, p99_ns),
                         MEDIAN(&floor, p99_ns), GOAL_RATIO_MAX, 4000, 2000});
    report_add(&(figure){"W5", "server CPU of one change", UNIT_MS,
                         MEDIAN(&ours, server_cpu_ns) / MEDIAN(&ours, count),
                         MEDIAN(&floor, server_cpu_ns) / MEDIAN(&floor, count), GOAL_NONE, 0, 0});
    report_add(
        &(figure){"W5", "server memory of one live device", UNIT_BYTES,
                  MEDIAN(&ours, growth_kib) * 1024 * 1000 / (LIVE_DEVICES - LIVE_DEVICES / 5), 0,
                  GOAL_VALUE_MAX, 65536000, 24576000});
}

/* ---------------------------------------------------------------- SIZE */

void size_run(const bench *b)
{
    char library[PATH_BYTES], stripped[PATH_BYTES];
    program_path("libfieldbook.so", library);
    path_of(stripped, "%s/stripped.so", b->home);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("strip", "strip", "-o", stripped, "--", library, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        report_note("the library's size is left out: strip did not run");
        return;
    }
    report_add(&(figure){"SIZE", "libfieldbook.so, stripped, without SQLite", UNIT_KIB,
                         file_bytes_of(stripped) / 1024, 0, GOAL_VALUE_MAX, 600000, 300000});
}
