/* w1.c - record orders offline, each one atomic durable group, against bare prepared inserts. */
#include "perf/company.h"

typedef struct w1 {
    series floor_full, floor_normal, full, normal, typed;
} w1;

static sample floor_once(const bench *b, const char *sync)
{
    char db[PATH_BYTES];
    path_of(db, "%s/floor-w1.db", b->home);
    file_remove(db);
    const char *args[] = {"floor-record", db, number_text(b->orders), sync, NULL};
    return role_run(args);
}

static sample ours_once(const bench *b, const char *device, const char *sync, const char *how)
{
    char db[PATH_BYTES];
    path_of(db, "%s/w1.db", b->home);
    file_copy(device, db);
    const char *args[] = {"record", db, number_text(b->orders), sync, how, "full", "0", NULL};
    sample s = role_run(args);
    file_remove(db);
    return s;
}

static void figures(const w1 *m, uint32_t orders)
{
    int64_t rows = MEDIAN(&m->full, rows);
    report_add(&(figure){"W1", "CPU, synchronous FULL", UNIT_MS, MEDIAN(&m->full, cpu_ns),
                         MEDIAN(&m->floor_full, cpu_ns), GOAL_RATIO_MAX, 1300, 1100});
    report_add(&(figure){"W1", "CPU, synchronous NORMAL", UNIT_MS, MEDIAN(&m->normal, cpu_ns),
                         MEDIAN(&m->floor_normal, cpu_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W1", "wall, synchronous FULL", UNIT_MS, MEDIAN(&m->full, wall_ns),
                         MEDIAN(&m->floor_full, wall_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W1", "wall, synchronous NORMAL", UNIT_MS, MEDIAN(&m->normal, wall_ns),
                         MEDIAN(&m->floor_normal, wall_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W1", "CPU, visit and order API with pricing, FULL", UNIT_MS,
                         MEDIAN(&m->typed, cpu_ns), MEDIAN(&m->floor_full, cpu_ns), GOAL_NONE, 0,
                         0});
    report_add(&(figure){"W1", "file growth", UNIT_KIB, MEDIAN(&m->full, file_bytes) / 1024,
                         MEDIAN(&m->floor_full, file_bytes) / 1024, GOAL_RATIO_MAX, 1700, 1250});
    report_add(&(figure){"W1", "rows a second, FULL", UNIT_PER_SECOND,
                         rows * 1000000000 / MEDIAN(&m->full, wall_ns),
                         rows * 1000000000 / MEDIAN(&m->floor_full, wall_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W1", "CPU of one order, FULL", UNIT_MS, MEDIAN(&m->full, cpu_ns) / orders,
                         MEDIAN(&m->floor_full, cpu_ns) / orders, GOAL_NONE, 0, 0});
}

void w1_run(const bench *b)
{
    w1 m = {0};
    company c;
    char device[PATH_BYTES];
    full_company(b, &c, device);
    for (uint32_t i = 0; i < b->repeats; i++) {
        sample s = floor_once(b, "full");
        series_add(&m.floor_full, &s);
        s = ours_once(b, device, "full", "record");
        series_add(&m.full, &s);
        s = floor_once(b, "normal");
        series_add(&m.floor_normal, &s);
        s = ours_once(b, device, "normal", "record");
        series_add(&m.normal, &s);
        if (i == 0) { /* a disk that is slow to sync makes this the longest of all */
            s = ours_once(b, device, "full", "order");
            series_add(&m.typed, &s);
        }
    }
    figures(&m, b->orders);
}
