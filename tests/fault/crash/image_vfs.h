/* image_vfs.h - shows an image of a disk (tape.h) to SQLite, without copying it.
 *
 * For one connection at a time in exclusive locking mode: no locks, no shared memory. Writes go
 * into the image and are taken back with it by disk_revert. */
#ifndef FB_FAULT_IMAGE_VFS_H
#define FB_FAULT_IMAGE_VFS_H

#include "fault/crash/tape.h"

#define IMAGE_VFS "imagefs"

void image_vfs_start(void);
/* Recover the database as SQLite does after a power loss and hash every page a reader would see.
 * *hash_out is 0 for a database that does not exist or is empty. Returns SQLite's result. */
int image_recover(disk *d, const char *path, uint64_t *hash_out);
/* Hash of the machine's plain files. */
uint64_t image_plain(disk *d, int machine);

#endif
