/* mem_files.h - plain files in memory that lose power when they are told to: fieldbook/files.h with
 * the crash model of crash_vfs.h.
 *
 * Bytes that were synced survive; what was written since is, by the seed, kept, lost, or torn at a
 * 512-byte boundary. A removed file may come back; a rename has happened or not. Files belong to
 * the machine named by the part of the path before the first '/'.
 *
 *   MFS-1  bytes that were synced, and names given by rename, are never lost
 *   MFS-2  the same seed and the same calls give the same bytes */
#ifndef FB_TESTS_MEM_FILES_H
#define FB_TESTS_MEM_FILES_H

#include "fieldbook/files.h"
#include "support/crash_vfs.h"

typedef struct mem_files mem_files;

mem_files *mem_files_new(uint64_t seed);
void mem_files_free(mem_files *m);
const fb_files *mem_files_port(mem_files *m);

/* The n-th mutating call from now is not carried out and its machine is dead until
 * mem_files_reboot; 0: never. */
void mem_files_crash_after(mem_files *m, uint64_t calls);
bool mem_files_is_crashed(const mem_files *m);
/* Power comes back for one machine; unsynced bytes are lost or torn. */
void mem_files_reboot(mem_files *m, const char *machine);
/* The n-th mutating call from now (for_ever: and every later one) fails with this code and changes
 * nothing; 0: never. */
void mem_files_fail(mem_files *m, uint64_t calls, fb_code code, bool for_ever);
bool mem_files_failed(const mem_files *m);
/* Bytes all files together may have; 0: no limit. Beyond: FB_E_DISK_FULL. */
void mem_files_quota(mem_files *m, int64_t bytes);
uint64_t mem_files_calls(const mem_files *m); /* mutating calls so far */

/* Be told of every mutating call that was carried out, as crash_vfs_listen; NULL: nobody. A write
 * that syncs, and a rename, tell of a sync after them. */
void mem_files_listen(mem_files *m, void (*fn)(void *ctx, const crash_vfs_event *e), void *ctx);
/* Tell who listens of a call that was carried out elsewhere. */
void mem_files_tell(const mem_files *m, const crash_vfs_event *e);
/* Make a file with these bytes, synced. */
void mem_files_put(mem_files *m, const char *path, const void *data, size_t size);

/* Change one byte of a file; false when there is none. */
bool mem_files_flip(mem_files *m, const char *path, int64_t at);
/* Lend every path with its present bytes. */
void mem_files_each(const mem_files *m,
                    void (*fn)(void *ctx, const char *path, const void *data, size_t size),
                    void *ctx);
/* Every file of one machine again under another name, and all of one gone. */
void mem_files_copy(mem_files *m, const char *from, const char *to);
void mem_files_remove(mem_files *m, const char *machine);

#endif
