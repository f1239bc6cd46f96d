/* disk_files.h - fieldbook/files.h on the disks of crash_vfs.h: what strikes a machine's database
 * strikes the bytes of its photos as well. Power, room, failing calls and syncs, copies of a whole
 * machine: all of them are crash_vfs.h's. */
#ifndef FB_TESTS_DISK_FILES_H
#define FB_TESTS_DISK_FILES_H

#include "fieldbook/files.h"
#include "support/crash_vfs.h"

/* Borrows `v`. */
fb_files disk_files(crash_vfs *v);

#endif
