/* w23.c - W2: push all orders until they are acknowledged durable. W3: bootstrap a fresh device
 * with every row. Both begin from a device that recorded the orders. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "perf/company.h"
#include "perf/floor.h"
#include "sync-server/store/store_pack.h"
#include "wire/pack.h"

/* The device with all orders in its outbox, made once. */
static const char *recorded_device(const bench *b)
{
    static char db[PATH_BYTES];
    if (db[0] == '\0') {
        company c;
        char device[PATH_BYTES];
        full_company(b, &c, device);
        path_of(db, "%s/recorded.db", b->home);
        file_copy(device, db);
        const char *args[] = {"record", db,  number_text(b->orders), "normal", "record", "full",
                              "0",      NULL};
        (void)role_run(args);
    }
    return db;
}

static sample ours_push(const bench *b, company *to, const char *folder)
{
    char device[PATH_BYTES], db[PATH_BYTES];
    company c;
    full_company(b, &c, device);
    company_copy(&c, to, folder);
    path_of(db, "%s/pushing.db", b->home);
    file_copy(recorded_device(b), db);
    int64_t before = company_bytes(to);
    company_start(to);
    const char *args[] = {"sync", db, number_text(to->port), number_text(to->server), to->ca, NULL};
    sample s = role_run(args);
    company_stop(to);
    s.file_bytes = company_bytes(to) - before;
    file_remove(db);
    return s;
}

typedef struct floor_run {
    char db[PATH_BYTES];
    pid_t pid;
    int64_t port;
} floor_run;

static void floor_start(const bench *b, floor_run *f, uint32_t orders, const char *file)
{
    sample ready;
    path_of(f->db, "%s/floor-server.db", b->home);
    file_remove(f->db);
    const char *args[] = {"floor-server",      f->db, b->cert, b->key, "full",
                          number_text(orders), file,  NULL};
    f->pid = role_start(args, &ready);
    f->port = ready.port;
}

/* ---------------------------------------------------------------- W2 */

static sample floor_push(const bench *b)
{
    floor_run f;
    char db[PATH_BYTES];
    path_of(db, "%s/floor-push.db", b->home);
    file_remove(db);
    const char *record[] = {"floor-record", db, number_text(b->orders), "normal", NULL};
    (void)role_run(record);
    floor_start(b, &f, 0, NULL);
    int64_t before = file_bytes_of(f.db);
    const char *args[] = {"floor-push", db, number_text(f.port), number_text(f.pid), b->ca, NULL};
    sample s = role_run(args);
    role_stop(f.pid);
    s.file_bytes = file_bytes_of(f.db) - before;
    file_remove(db);
    return s;
}

static void w2_figures(const series *floor, const series *ours)
{
    int64_t rows = MEDIAN(floor, rows);
    report_add(&(figure){"W2", "wall", UNIT_MS, MEDIAN(ours, wall_ns), MEDIAN(floor, wall_ns),
                         GOAL_RATIO_MAX, 2500, 1300});
    report_add(&(figure){"W2", "server CPU", UNIT_MS, MEDIAN(ours, server_cpu_ns),
                         MEDIAN(floor, server_cpu_ns), GOAL_RATIO_MAX, 2500, 1300});
    report_add(&(figure){"W2", "client CPU", UNIT_MS, MEDIAN(ours, cpu_ns), MEDIAN(floor, cpu_ns),
                         GOAL_NONE, 0, 0});
    report_add(&(figure){"W2", "bytes up for one row (floor: raw)", UNIT_BYTES,
                         per_milli(MEDIAN(ours, up_bytes), rows),
                         per_milli(MEDIAN(floor, up_bytes), rows), GOAL_VALUE_MAX, 50000, 30000});
    report_add(&(figure){"W2", "bytes up for one row (floor: with zstd)", UNIT_BYTES,
                         per_milli(MEDIAN(ours, up_bytes), rows),
                         per_milli(MEDIAN(floor, count), rows), GOAL_NONE, 0, 0});
    report_add(&(figure){"W2", "bytes down in all", UNIT_COUNT, MEDIAN(ours, down_bytes),
                         MEDIAN(floor, down_bytes), GOAL_NONE, 0, 0});
    report_add(&(figure){"W2", "rows a second", UNIT_PER_SECOND,
                         rows * 1000000000 / MEDIAN(ours, wall_ns),
                         rows * 1000000000 / MEDIAN(floor, wall_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W2", "growth of the server's file", UNIT_KIB,
                         MEDIAN(ours, file_bytes) / 1024, MEDIAN(floor, file_bytes) / 1024,
                         GOAL_NONE, 0, 0});
    report_add(&(figure){"W2", "client peak memory", UNIT_KIB, MEDIAN(ours, peak_kib),
                         MEDIAN(floor, peak_kib), GOAL_NONE, 0, 0});
    report_add(&(figure){"W2", "requests", UNIT_COUNT, MEDIAN(ours, count), 0, GOAL_NONE, 0, 0});
}

void w2_run(const bench *b)
{
    series floor = {0}, ours = {0};
    char folder[PATH_BYTES];
    company c;
    path_of(folder, "%s/pushed", b->home);
    for (uint32_t i = 0; i < b->repeats; i++) {
        sample s = floor_push(b);
        series_add(&floor, &s);
        s = ours_push(b, &c, folder);
        series_add(&ours, &s);
    }
    w2_figures(&floor, &ours);
}

/* ---------------------------------------------------------------- W3 */

enum { PACKS_WAIT_S = 60 };

typedef struct w3 {
    series floor, file, ours;
} w3;

/* The device's file as the floor made it, packed. */
static void file_pack(const char *from, const char *to)
{
    buf plain, packed;
    buf_init(&plain, FLOOR_BYTES_MAX);
    buf_init(&packed, FLOOR_BYTES_MAX);
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char *room = buf_reserve(&plain, FLOOR_BYTES_MAX - 1);
    if (in == NULL || out == NULL || room == NULL) {
        bench_die("cannot read %s or write %s", from, to);
    }
    plain.size = fread(room, 1, FLOOR_BYTES_MAX - 1, in);
    must(pack_put(&packed, buf_text(&plain)), NULL, "zstd");
    if (fwrite(packed.data, 1, packed.size, out) != packed.size || fclose(out) != 0) {
        bench_die("cannot write %s", to);
    }
    fclose(in);
    buf_clear(&plain);
    buf_clear(&packed);
}

static sample floor_role(const bench *b, const floor_run *f, const char *role, const char *db)
{
    file_remove(db);
    const char *args[] = {role, db, number_text(f->port), number_text(f->pid), b->ca, NULL};
    return role_run(args);
}

static void floor_bootstrap(const bench *b, w3 *m)
{
    char db[PATH_BYTES], file[PATH_BYTES];
    floor_run f;
    path_of(db, "%s/floor-w3.db", b->home);
    path_of(file, "%s/floor-w3.zst", b->home);
    floor_start(b, &f, b->orders, NULL);
    sample s = floor_role(b, &f, "floor-pull", db);
    series_add(&m->floor, &s);
    role_stop(f.pid);
    file_pack(db, file);
    floor_start(b, &f, 0, file);
    s = floor_role(b, &f, "floor-file", db);
    series_add(&m->file, &s);
    role_stop(f.pid);
}

static fb_code pack_count(void *ctx, const pack_info *info)
{
    *(int64_t *)ctx += info->rows;
    return FB_OK;
}

/* The server makes packs in the background: a company that has run for a minute has them. */
static void packs_wait(const company *c)
{
    char path[PATH_BYTES];
    int64_t rows = 0, before = -1;
    path_of(path, "%s/master.db.packs", c->home);
    for (int i = 0; i < PACKS_WAIT_S && (rows == 0 || rows != before); i++) {
        pack_store *packs = NULL;
        sleep(1);
        before = rows;
        rows = 0;
        if (pack_store_open(path, NULL, false, &packs, NULL) == FB_OK) {
            must(pack_store_each(packs, pack_count, &rows), NULL, "packs");
            pack_store_close(packs);
        }
    }
    if (rows == 0) {
        bench_die("the server made no packs in %d seconds", PACKS_WAIT_S);
    }
}

static void ours_bootstrap(const bench *b, company *c, w3 *m)
{
    char db[PATH_BYTES];
    path_of(db, "%s/fresh.db", b->home);
    company_enrol_only(c, 0, db);
    const char *args[] = {"sync", db, number_text(c->port), number_text(c->server), c->ca, NULL};
    sample s = role_run(args);
    if (s.rows < MEDIAN(&m->floor, rows)) {
        bench_die("a fresh device got %lld rows of %lld", (long long)s.rows,
                  (long long)MEDIAN(&m->floor, rows));
    }
    series_add(&m->ours, &s);
    file_remove(db);
}

static void w3_figures(const w3 *m)
{
    int64_t rows = MEDIAN(&m->floor, rows);
    report_add(&(figure){"W3", "wall", UNIT_MS, MEDIAN(&m->ours, wall_ns),
                         MEDIAN(&m->floor, wall_ns), GOAL_RATIO_MAX, 2000, 600});
    report_add(&(figure){"W3", "wall, beside the packed file", UNIT_MS, MEDIAN(&m->ours, wall_ns),
                         MEDIAN(&m->file, wall_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W3", "client CPU", UNIT_MS, MEDIAN(&m->ours, cpu_ns),
                         MEDIAN(&m->floor, cpu_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W3", "server CPU", UNIT_MS, MEDIAN(&m->ours, server_cpu_ns),
                         MEDIAN(&m->floor, server_cpu_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W3", "bytes down for one row (floor: raw)", UNIT_BYTES,
                         per_milli(MEDIAN(&m->ours, down_bytes), rows),
                         per_milli(MEDIAN(&m->floor, down_bytes), rows), GOAL_VALUE_MAX, 55000,
                         30000});
    report_add(&(figure){"W3", "bytes down for one row (floor: packed file)", UNIT_BYTES,
                         per_milli(MEDIAN(&m->ours, down_bytes), rows),
                         per_milli(MEDIAN(&m->file, down_bytes), rows), GOAL_NONE, 0, 0});
    report_add(&(figure){"W3", "client peak memory", UNIT_KIB, MEDIAN(&m->ours, peak_kib),
                         MEDIAN(&m->floor, peak_kib), GOAL_VALUE_MAX, INT64_C(40960000),
                         INT64_C(16384000)});
    report_add(&(figure){"W3", "rows a second", UNIT_PER_SECOND,
                         rows * 1000000000 / MEDIAN(&m->ours, wall_ns),
                         rows * 1000000000 / MEDIAN(&m->floor, wall_ns), GOAL_NONE, 0, 0});
    report_add(&(figure){"W3", "the device's file", UNIT_KIB, MEDIAN(&m->ours, file_bytes) / 1024,
                         MEDIAN(&m->floor, file_bytes) / 1024, GOAL_NONE, 0, 0});
    report_add(
        &(figure){"W3", "requests", UNIT_COUNT, MEDIAN(&m->ours, count), 0, GOAL_NONE, 0, 0});
}

void w3_run(const bench *b)
{
    w3 m = {0};
    company c;
    char folder[PATH_BYTES];
    path_of(folder, "%s/served", b->home);
    (void)ours_push(b, &c, folder);
    company_start(&c);
    packs_wait(&c);
    for (uint32_t i = 0; i < b->repeats; i++) {
        floor_bootstrap(b, &m);
        ours_bootstrap(b, &c, &m);
    }
    company_stop(&c);
    w3_figures(&m);
}
