/* crash_vfs.h - a file system in memory that loses power when it is told to.
 *
 * An SQLite VFS whose files live in memory. Every write since the last sync of its file is kept in
 * a list; at a crash each of them is, by the seed, kept, lost, torn at a 512-byte boundary, or its
 * tail filled with garbage; synced bytes survive (VFS-1). After a crash every open handle is dead:
 * its calls fail with an I/O error until the owner closes it; new opens see what survived. Several
 * "machines" may share the VFS: files belong to the machine named by the part of the path before
 * the first '/'.
 *
 *   VFS-1  bytes that were synced are never lost
 *   VFS-2  the same seed and the same calls give the same bytes
 *
 * One thread. Shared memory for WAL works between connections of one machine. */
#ifndef FB_TESTS_CRASH_VFS_H
#define FB_TESTS_CRASH_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct crash_vfs crash_vfs;

/* Registers an SQLite VFS under `name` (must outlive it). */
crash_vfs *crash_vfs_new(const char *name, uint64_t seed);
void crash_vfs_free(crash_vfs *v);

/* The machine's n-th mutating call from now (write, truncate, sync, delete) crashes it instead of
 * being carried out; 0 = never. */
void crash_vfs_crash_after(crash_vfs *v, const char *machine, uint64_t calls);
/* Crash now. */
void crash_vfs_crash(crash_vfs *v, const char *machine);
bool crash_vfs_is_crashed(const crash_vfs *v, const char *machine);
/* Power comes back: unsynced writes are lost or torn by the seed; open handles stay dead. */
void crash_vfs_reboot(crash_vfs *v, const char *machine);

/* The machine's program is killed: what it wrote stays, unsynced as it is; open handles are dead.
 */
void crash_vfs_kill(crash_vfs *v, const char *machine);
/* What is drawn from now on (what survives a reboot) depends on this number alone. */
void crash_vfs_reseed(crash_vfs *v, uint64_t seed);

/* Writes that would grow the machine's files beyond this fail with SQLITE_FULL; 0 = no limit. */
void crash_vfs_quota(crash_vfs *v, const char *machine, uint64_t bytes);
uint64_t crash_vfs_used(const crash_vfs *v, const char *machine);
/* The machine's n-th sync from now fails with an I/O error, once; 0 = never. What it should have
 * written is forgotten: it can be read until the power goes, and no later sync writes it. */
void crash_vfs_fail_sync(crash_vfs *v, const char *machine, uint64_t syncs);

/* The machine's n-th mutating call from now fails with this SQLite result and changes nothing; with
 * for_ever, all later ones fail too; a sync that fails forgets as above. SQLITE_IOERR_READ: its
 * n-th read instead; SQLITE_CANTOPEN: its n-th open of a file (no descriptor, no inode left);
 * SQLITE_IOERR_FSTAT: its n-th question for a file's size. 0 = never. */
void crash_vfs_fail(crash_vfs *v, const char *machine, uint64_t calls, int result, bool for_ever);
/* fn is told of every call that a fault of this result could meet, counted from 1; NULL: nobody. */
void crash_vfs_watch(crash_vfs *v, const char *machine, int result, void (*fn)(uint64_t n));
/* Did a fault of crash_vfs_fail fire since it was set? */
bool crash_vfs_failed(const crash_vfs *v, const char *machine);

/* What holds this byte of the file cannot be read, however often; a file made anew under the name
 * can. One sector of all; NULL: none. */
void crash_vfs_bad_sector(crash_vfs *v, const char *file, uint64_t offset);

/* Be told of every mutating call that was carried out, in order; NULL: nobody. Borrowed for the
 * call. */
typedef enum crash_vfs_op {
    CRASH_VFS_WRITE,
    CRASH_VFS_TRUNCATE,
    CRASH_VFS_SYNC,
    CRASH_VFS_DELETE,
    CRASH_VFS_RENAME /* of plain files alone: mem_files.h */
} crash_vfs_op;
typedef struct crash_vfs_event {
    crash_vfs_op op;
    const char *file;
    uint64_t offset; /* TRUNCATE: the new size */
    const void *data;
    size_t size;
    const char *to; /* RENAME */
} crash_vfs_event;
void crash_vfs_listen(crash_vfs *v, void (*fn)(void *ctx, const crash_vfs_event *e), void *ctx);
/* Lend every file as it reads now. */
void crash_vfs_each(const crash_vfs *v,
                    void (*fn)(void *ctx, const char *file, const void *data, size_t size),
                    void *ctx);
/* Make a file with these bytes, synced. It must not be open. */
void crash_vfs_put(crash_vfs *v, const char *file, const void *data, size_t size);

/* Plain files, for disk_files.h. Rename within one machine, over what stands there, durable on
 * return as on a journaling disk: the name, not bytes that were never synced. A mutating call.
 * SQLITE_OK, SQLITE_NOTFOUND or the fault's result. */
int crash_vfs_rename(crash_vfs *v, const char *from, const char *to);
/* Bytes that the machine may still write; INT64_MAX: no limit. */
int64_t crash_vfs_room(const crash_vfs *v, const char *machine);
/* Remove every file whose name begins with this, in no program's name: nothing can fail. */
void crash_vfs_remove_under(crash_vfs *v, const char *prefix);

/* Memory of the file layer itself. Weak: a test of failing allocations brings its own. */
void *crash_vfs_realloc(void *p, size_t size);
void crash_vfs_release(void *p);

/* Copy every file of one machine (its present bytes) to another name: a phone backup, a clone. */
void crash_vfs_copy(crash_vfs *v, const char *from_machine, const char *to_machine);
void crash_vfs_remove(crash_vfs *v, const char *machine);

typedef struct crash_vfs_counters {
    uint64_t calls, writes, syncs, crashes, lost, torn, garbage, full, sync_errors;
} crash_vfs_counters;
const crash_vfs_counters *crash_vfs_count(const crash_vfs *v);

#endif
