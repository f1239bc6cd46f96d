/* moment.h - a moment in the life of a device and its server: every file of both, as it was. */
#ifndef FB_FAULT_MOMENT_H
#define FB_FAULT_MOMENT_H

#include "support/fleet.h"

enum { MOMENT_FILES_MAX = 40 };

typedef struct kept_file {
    char name[120]; /* "server/...", "dev1/..." whichever device it was */
    void *data;
    size_t size;
    bool beside; /* one of mem_files.h */
} kept_file;

typedef struct moment {
    kept_file files[MOMENT_FILES_MAX];
    int files_count;
    int64_t now_ms;
    server_packing packing;
} moment;

/* Of the device d (NULL: none), whose replica, if open, is closed and opened again for it, and of
 * the server, which goes on. */
void moment_keep(moment *m, fleet *f, fleet_device *d);
/* Put back what belongs to one machine, "server" or "dev1". Nothing of it may be open. */
void moment_put(const moment *m, fleet *f, const char *machine);
void moment_drop(moment *m);

#endif
