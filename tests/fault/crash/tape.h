/* tape.h - every mutating file call of a workload, in order, and the disks that a power loss after
 * any of them may leave.
 *
 * The workload runs once over crash_vfs; the tape keeps its file calls and the promises made
 * between them (a call of the public API, or a reply of the server, came back). A disk is then
 * walked along the tape; at each step it holds the synced bytes and knows what is pending, and
 * makes images:
 *
 *   FATE_KEPT       everything pending survives: the process died, the machine did not
 *   FATE_LOST       nothing pending survives
 *   FATE_TORN_512   a prefix survives, the next write is torn at a 512-byte sector
 *   FATE_TORN_4096  the same at a 4,096-byte page of the disk
 *   FATE_REORDERED  any subset survives
 *   FATE_GARBAGE    a prefix survives, then a write whose tail is garbage, later ones garbage or
 * lost
 *
 *   TAP-1  synced bytes are in every image
 *   TAP-2  a file that was deleted, or renamed, and made again keeps no write of the new one if
 * that is lost TAP-3  the same tape, step, fate and seed give the same image TAP-4  a rename may
 * survive without the bytes of its file, unless they were synced before it
 *
 * Images are made in place and taken back by an undo list; tests/fault/crash/image_vfs.h shows them
 * to SQLite, whose writes are taken back as well. */
#ifndef FB_FAULT_TAPE_H
#define FB_FAULT_TAPE_H

#include "support/mem_files.h"

enum { TAPE_FILES_MAX = 2048, TAPE_MACHINES_MAX = 4, TAPE_NAME_BYTES = 192 };

typedef enum fate_mode {
    FATE_LOST,
    FATE_TORN_512,
    FATE_TORN_4096,
    FATE_REORDERED,
    FATE_GARBAGE,
    FATES,
    FATE_KEPT = FATES
} fate_mode;
extern const char *const FATE_NAMES[FATES + 1];

typedef struct tape_event {
    crash_vfs_op op;
    int file, to; /* to: of a rename */
    uint64_t offset;
    uint32_t size;
    unsigned char *data;
} tape_event;

typedef struct tape_promise {
    uint64_t events; /* on the tape when it was made: set by tape_promise_add */
    int64_t now_ms;
    int64_t moment; /* newest one of the folder of backups; 0: none */
    int64_t last;   /* newest group of the first device; -1: no replica yet */
    bool device;    /* dev1 saved: its file is promised as it is; what a server said is promised to
                       nobody */
} tape_promise;

typedef struct tape_file {
    char name[TAPE_NAME_BYTES];
    int machine;
    unsigned char *base; /* bytes when the tape began */
    size_t base_size;
    bool base_exists;
    bool plain; /* no database: beside SQLite, through fb_files */
} tape_file;

typedef struct tape {
    crash_vfs *vfs;
    mem_files *plain;
    char machines[TAPE_MACHINES_MAX][TAPE_NAME_BYTES];
    int machines_count;
    tape_file files[TAPE_FILES_MAX];
    uint64_t names[TAPE_FILES_MAX]; /* sums of their names: to look them up */
    int files_count;
    tape_event *events;
    uint64_t events_count, events_room;
    tape_promise *promises;
    uint64_t promises_count, promises_room;
} tape;

/* Begin: what the files hold now is on the platter. */
void tape_start(tape *t, crash_vfs *vfs, mem_files *plain);
void tape_stop(tape *t);
void tape_free(tape *t);
void tape_promise_add(tape *t, const tape_promise *p);
/* The newest promise made before or at this step; NULL: none. */
const tape_promise *tape_promise_at(const tape *t, uint64_t step);
int tape_machine(const tape *t, const char *name); /* -1: never wrote */

/* --- disks --------------------------------------------------------------------------------- */

enum { DISK_PAGE_BYTES = 4096 };

/* So that only those pages are hashed that an image changed: see image_vfs.c. */
typedef struct disk_page {
    uint64_t sum;     /* of the page without an image; 0: not known */
    uint64_t changed; /* the last image that wrote into it */
} disk_page;

typedef struct disk_file {
    unsigned char *data;
    size_t size, room;
    bool exists;
    disk_page *pages;
    size_t pages_room, sums_reserved; /* bytes at a page's end that its sum leaves out */
} disk_file;

typedef struct disk_undo {
    int file;
    bool exists;
    uint64_t offset;
    size_t file_size, bytes_at, bytes_size; /* bytes_at: in disk.undo_bytes */
} disk_undo;

typedef struct disk {
    const tape *tape;
    uint64_t step, version; /* version: changes whenever synced bytes change */
    uint64_t images;        /* made so far */
    disk_file files[TAPE_FILES_MAX];
    uint64_t *pending[TAPE_MACHINES_MAX]; /* numbers of events, in order */
    size_t pending_count[TAPE_MACHINES_MAX], pending_room[TAPE_MACHINES_MAX];
    disk_undo *undo;
    size_t undo_count, undo_room;
    unsigned char *undo_bytes;
    size_t undo_bytes_count, undo_bytes_room;
    bool undoing;
} disk;

void disk_open(disk *d, const tape *t);
void disk_close(disk *d);
/* Walk forward until this many events have happened. */
void disk_walk(disk *d, uint64_t step);
/* The step's event concerns this machine. */
bool disk_step_is_of(const disk *d, int machine);

typedef struct fate {
    fate_mode mode;
    uint64_t seed;
} fate;
/* Make the image; equal keys: equal bytes on this machine. Taken back by disk_revert. */
uint64_t disk_image(disk *d, int machine, fate how);
void disk_revert(disk *d);

/* For the file layer: changes that disk_revert takes back. */
void disk_write(disk *d, int file, uint64_t offset, const void *data, size_t size);
void disk_truncate(disk *d, int file, uint64_t size);
void disk_delete(disk *d, int file);
int disk_find(const disk *d, const char *name); /* -1 */

uint64_t mix(uint64_t a, uint64_t b);

#endif
