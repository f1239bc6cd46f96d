/* crash.h - the crash grid: power fails after every file call of a workload, in every way, and the
 * product must come back with exactly what it had promised.
 *
 *   main.c       options, processes, the summary line
 *   grid.c       every call, every way: the images of a tape in order; pairs of crashes
 *   jobs.c       the same in several processes, each with its share of the calls
 *   work.c       the workload: devices, server, office and administrator over crash_vfs; and a
 *                second one: a download whose indexes are built last
 *   lane.c       photos: taken, carried, let go; and what of them must be found
 *   folder.c     a folder of backups: made, and what of it must be found
 *   judge.c      the full check of one state with the product's own code, and healing by one sync
 *   tape.c       the record of file calls and the images made of it
 *   image_vfs.c  an image as SQLite sees it
 *
 * Method. Every image is recovered by SQLite and all its pages are hashed. C(j) is the hash of the
 * state at call j if nothing is lost, so the C(j) are the committed states of the workload. With p
 * the call at which the last promise was made, a crash at k must recover to one of C(p)..C(k): no
 * less than was promised, and nothing that was never committed. What a device took from the server
 * is no promise until its next group is saved: it asks again (replica/stage.c). Every distinct
 * C(j), and every older one beside what the other machines have become at k, is then judged by the
 * product: it opens, its checks pass, its groups are the promised ones, one sync heals without a
 * fork. With the database go the packs, from which a new device must download well, and the plain
 * files of the lane: a photo is whole under its name or fetched on, and an original is on the
 * device until the server has it. That is as strong as opening every image with the product,
 * because what the product reads of an image are the pages that were hashed; a sample of the images
 * themselves is judged as well.
 */
#ifndef FB_FAULT_CRASH_H
#define FB_FAULT_CRASH_H

#include "fault/crash/image_vfs.h"
#include "support/fleet.h"

/* So small that the company of the workload has packs, and so many chunks that they are staged. */
#define WORK_PACKING                                                         \
    (server_packing)                                                         \
    {                                                                        \
        .rows_min = 5, .chunk_bytes = 12000, .rest_ms = 1000, .age_ms = 1000 \
    }

typedef struct work_report {
    uint32_t ops, groups, rejected, syncs, migrations, backups, moments, reopened, chunks;
    int64_t indexes;                  /* of the first device's database */
    uint32_t late_rows;               /* of the entity whose indexes are built last */
    uint32_t photos, stored, fetched; /* parts that became whole at the server, and here again */
} work_report;

typedef struct work_options {
    uint64_t seed;
    uint32_t ops;
    bool planted; /* the first device does not sync its commits */
} work_options;
/* Run the workload and leave its tape in *t. */
void work_run(tape *t, const work_options *o, work_report *out);
/* A first download of an entity with so many rows that its indexes are built behind them, and one
 * group on top. */
void work_run_late(tape *t, work_report *out);

typedef enum judge_target { JUDGE_DEVICE, JUDGE_SERVER } judge_target;
typedef struct judge_state {
    disk *image;
    judge_target target;
    int64_t now_ms;
    int64_t moment;                /* of the folder of backups: the newest promised one; 0: none */
    bool fresh;                    /* the plain files are not those of the state judged before */
    int64_t indexes;               /* that the device's database must have; 0: not known */
    int64_t last_least, last_most; /* newest group of device 1 allowed; -1: not known */
    char why[400];
} judge_state;
/* True: the state is sound and heals. */
bool judge(judge_state *j);
/* What a person does after a crash, recorded for a second one: open, check, sync. */
bool judge_recover(judge_state *j, tape *t);
/* One number of a database, the newest group of a replica, its indexes: read without the product;
 * -1: cannot be read, there is none. */
int64_t judge_number(const char *vfs, const char *path, const char *sql);
int64_t judge_last_group(const char *vfs, const char *path);
int64_t judge_indexes(const char *vfs, const char *path);

/* --- photos (lane.c) ----------------------------------------------------------------------------
 */

enum { LANE_WHY_BYTES = 300 };
#define LANE_BACKUP "server/backup.blobs"
fb_code lane_photo(fleet_device *d, const fb_id *shop, uint32_t number);
fb_code lane_round(fleet_device *d, fb_lane_report *out, fb_error *err);
void lane_let_go(fleet_device *d);
void lane_backup(fleet *f);
/* What the device calls here is whole; all: every original, here or not. */
bool lane_whole(fleet_device *d, bool all, char why[LANE_WHY_BYTES]);
bool lane_heals(fleet_device *d, char why[LANE_WHY_BYTES]);
bool lane_arrived(fleet *f, store *s, char why[LANE_WHY_BYTES]);
bool lane_backup_sound(fleet *f, store *copy, char why[LANE_WHY_BYTES]);

/* --- a folder of backups (folder.c) -------------------------------------------------------------
 */

#define FOLDER_NAME "server/shelf/"
typedef struct folder folder;
/* A real one, empty; what is written into it is told to who listens to `mem`. */
folder *folder_new(mem_files *mem);
void folder_free(folder *f);
/* From now on SQLite's default file layer: this one, and the system's for names with a slash in
 * front. */
void folder_vfs(const char *name);
/* fieldbook-admin backup DIR/; false: it failed. */
bool folder_backup(fleet *f, folder *at, bool full);
typedef struct folder_wanted {
    int64_t moment;   /* the promised one; 0: none */
    int64_t told_cid; /* what devices were told is backed up, and no other backup holds; or 0 */
    bool goes_on;     /* and the next backup is good */
} folder_wanted;
/* At any crash: the moment that was promised restores, so does one with all that devices were told
 * of; every other one is good or refused. */
bool folder_sound(fleet *f, const disk *image, const folder_wanted *w, char why[LANE_WHY_BYTES]);

typedef struct crash_options {
    uint64_t seed, images, ops, doubles, judge_every, late_every, jobs;
    const char *replay; /* machine:step:mode:draw, "dev1:812:torn-512:3" */
    const char *only;   /* the images of this machine alone, "dev1" or "server"; NULL: both */
    bool planted;
} crash_options;

typedef struct crash_counters {
    uint64_t images, recovered, states, judged, pairs, calls, cpu_ms, bad;
} crash_counters;

typedef struct late_work {
    tape t;
    work_report r;
} late_work;

/* The share of process `job` in the grids of both machines, and in that of the second workload: the
 * images of every jobs-th call. What they found is added to *n and told on stderr. */
void grids(const crash_options *o, uint64_t job, crash_counters *n, const tape *t);
void late_grid(const crash_options *o, uint64_t job, crash_counters *n, const late_work *late);
/* The one image that o->replay names. False: it names none. */
bool replay(const crash_options *o, crash_counters *n, tape *t);

/* `jobs` processes (JOBS_MAX at most) each do work(ctx, job, made[job]), job from 0; what they
 * made, `size` bytes of plain numbers each, is in `made` afterwards. False, and said on stderr: one
 * of them died. */
enum { JOBS_MAX = 64 };
typedef void (*job_work)(void *ctx, uint64_t job, void *made);
bool jobs_run(uint64_t jobs, job_work work, void *ctx, void *made, size_t size);

#endif
