/* bench.h - the five workloads against their floors: `./run bench`.
 *
 *   main.c          options, the order of the workloads
 *   measure.c       clocks, processes, samples of several repetitions
 *   report.c        lines, the table, the JSON file
 *   gen.c           the data: fixed seed, the same rows for floor and product
 *   table.c         the floor's tables, bare prepared statements, compact binary rows
 *   net.c           TLS 1.3 over loopback: connections, frames, HTTP; counts what is carried
 *   floor_server.c  the minimal server           floor_client.c  the minimal client's roles
 *   company.c       the product's server: a company with the generated master data
 *   device.c        the product's device through the public API
 *   load.c          many devices in one process, for both sides
 *   w1.c .. w5.c    one workload each: floor and product in turn, medians
 *   crowd.c         thousands of light devices   storm.c, restart.c   scenarios of the server alone
 *
 * Whatever is measured runs in a process of its own (a role of this program), so that CPU and
 * memory are its own; server and client share nothing but the socket.
 *
 *   BEN-1  floor and product write the same rows, into tables made by the same statements
 *   BEN-2  a ratio is taken between two medians of the same run, never across runs
 *   BEN-3  numbers are integers: nanoseconds, bytes, thousandths */
#ifndef FB_BENCH_H
#define FB_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

enum {
    PATH_BYTES = 1024,
    REPEATS_MAX = 9,
    BENCH_DEVICES_MAX = 128,
    MODES = 3, /* of a connection: kept, resumed, new */
};

typedef enum net_mode { NET_KEPT, NET_RESUMED, NET_NEW } net_mode;

typedef struct bench {
    const char *json_path; /* NULL: none */
    bool quick, enforce, keep;
    uint32_t repeats;
    uint32_t orders;                                        /* of W1 .. W3 */
    char home[PATH_BYTES];                                  /* everything below it is ours */
    char ca[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES]; /* of the floor */
} bench;

/* --- measure.c ---------------------------------------------------------------------------------
 */

/* What one role measured of itself. Unused fields are 0. */
typedef struct sample {
    int64_t wall_ns, cpu_ns, server_cpu_ns;
    int64_t rows, count;
    int64_t up_bytes, down_bytes;
    int64_t peak_kib;   /* VmHWM at the end */
    int64_t growth_kib; /* peak over what stood before the measured part */
    int64_t file_bytes;
    int64_t p50_ns, p99_ns;
    int64_t port; /* of a server role */
} sample;

int64_t now_ns(void);
int64_t cpu_ns_of(pid_t pid); /* user and system, all threads; 0: this process */
/* A line of /proc/PID/status in KiB: "VmHWM", "VmRSS". pid 0: this process. */
int64_t status_kib(pid_t pid, const char *name);
void peak_restart(void);                 /* VmHWM begins anew from what is resident now */
int64_t file_bytes_of(const char *path); /* with its -wal, 0 when there is none */
/* What a synced write of 4 KiB costs in this folder: with it every ratio of wall time moves. */
int64_t sync_ns_of(const char *folder);
void sort_ns(int64_t *values, size_t count);
/* values must be sorted; per_mille 500 is the median. */
int64_t quantile_ns(const int64_t *values, size_t count, uint32_t per_mille);

/* Cost of the part between begin and end, of this process and of the server. */
typedef struct stopwatch {
    pid_t server;
    int64_t wall_ns, cpu_ns, server_cpu_ns;
} stopwatch;
void watch_begin(stopwatch *w, pid_t server);
void watch_end(const stopwatch *w, sample *out);

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must(fb_code rc, const fb_error *err, const char *what);
void path_of(char out[PATH_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));
void folder_make(const char *path);
void folder_copy(const char *from, const char *to); /* `to` is made anew */
void file_copy(const char *from, const char *to);
void file_remove(const char *path); /* with -wal and -shm; absent is fine */
void folder_remove(const char *path);

/* Runs `fb-bench --role args...` and waits: its sample. args ends with NULL. */
sample role_run(const char *const *args);
/* The same for a server: returns once it is ready. */
pid_t role_start(const char *const *args, sample *ready_out);
void role_stop(pid_t pid);
/* In the role: hand the sample to the parent. A server goes on afterwards. */
void role_report(const sample *s);
int role_main(int argc, char **argv);
/* Runs another program of this build beside this one; dies when it fails. */
void program_run(const char *const *argv, const char *log_path);
pid_t program_start(const char *const *argv, const char *log_path);
void program_path(const char *name, char out[PATH_BYTES]);

/* Decimal text of an argument. */
int64_t number_of(const char *text);
/* Text of a number, in a ring of buffers: for the argument lists of roles. */
const char *number_text(int64_t v);

/* Repetitions of one measurement. */
typedef struct series {
    sample s[REPEATS_MAX];
    uint32_t count;
} series;
void series_add(series *s, const sample *one);
int64_t series_median(const series *s, size_t field_offset);
#define MEDIAN(series_, field_) series_median(series_, offsetof(sample, field_))

/* --- report.c -----------------------------------------------------------------------------------
 */

typedef enum unit {
    UNIT_MS,
    UNIT_SECONDS,
    UNIT_COUNT,
    UNIT_PER_SECOND,
    UNIT_BYTES,
    UNIT_KIB,
    UNIT_RATIO
} unit;
typedef enum goal { GOAL_NONE, GOAL_RATIO_MAX, GOAL_RATIO_MIN, GOAL_VALUE_MAX } goal;

/* One figure. value and floor in nanoseconds for UNIT_MS and UNIT_SECONDS, thousandths for
 * UNIT_RATIO and UNIT_BYTES, else as they are; floor 0: there is none. target in thousandths of a
 * ratio, or of the unit shown. */
typedef struct figure {
    const char *workload, *name;
    unit unit;
    int64_t value, floor;
    goal goal;
    int64_t target_milli, wish_milli; /* good enough to ship; what we are after (0: not stated) */
} figure;
void report_add(const figure *f);
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the table; writes the JSON file if there is a path. Returns the figures beyond target. */
uint32_t report_end(const bench *b);
/* value * 1000 / count, rounded; 0 for count 0. */
int64_t per_milli(int64_t value, int64_t count);

/* --- the workloads ------------------------------------------------------------------------------
 */
void w1_run(const bench *b);
void w2_run(const bench *b);
void w3_run(const bench *b);
void w4_run(const bench *b);
void w5_run(const bench *b);
void size_run(const bench *b);

/* Roles: each is given its arguments and fills what it measured. */
typedef void (*role_fn)(int argc, char **argv, sample *out);
void role_floor_server(int argc, char **argv, sample *out);
void role_floor_record(int argc, char **argv, sample *out);
void role_floor_push(int argc, char **argv, sample *out);
void role_floor_pull(int argc, char **argv, sample *out);
void role_floor_file(int argc, char **argv, sample *out);
void role_floor_everyday(int argc, char **argv, sample *out);
void role_floor_load(int argc, char **argv, sample *out);
void role_floor_live(int argc, char **argv, sample *out);
void role_enrol(int argc, char **argv, sample *out);
void role_record(int argc, char **argv, sample *out);
void role_sync(int argc, char **argv, sample *out);
void role_everyday(int argc, char **argv, sample *out);
void role_load(int argc, char **argv, sample *out);
void role_live(int argc, char **argv, sample *out);

#endif
