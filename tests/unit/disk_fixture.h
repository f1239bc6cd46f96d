/* disk_fixture.h - a lab's phone over files in memory (crash_vfs): its database and what stands
 * beside it can be read, deleted, replaced and put back. */
#ifndef FB_TESTS_DISK_FIXTURE_H
#define FB_TESTS_DISK_FIXTURE_H

#include <sqlite3.h>
#include <stdlib.h>

#include "support/crash_vfs.h"
#include "support/lab.h"

#define DB "phone/replica.db"
#define VFS "labfs"

static crash_vfs *disk;

static inline int setup(void **state)
{
    (void)state;
    disk = crash_vfs_new(VFS, 11);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    crash_vfs_free(disk);
    return 0;
}

static inline void start(lab *l)
{
    fb_error err = {.code = FB_OK};
    lab_init(l, DB, VFS, 3);
    if (lab_open(l, &err) != FB_OK) {
        fail_msg("open: %s: %s", err.field, err.message);
    }
    lab_enrol(l);
    lab_first_sync(l);
}

/* A file of the phone as it reads now. */
typedef struct file_bytes {
    const char *name;
    unsigned char *data;
    size_t size;
} file_bytes;

static inline void take(void *ctx, const char *file, const void *data, size_t size)
{
    file_bytes *f = ctx;
    if (strcmp(file, f->name) == 0) {
        f->data = malloc(size + 1);
        assert_non_null(f->data);
        memcpy(f->data, data, size);
        f->size = size;
    }
}

static inline file_bytes file_read(const char *name)
{
    file_bytes f = {.name = name};
    crash_vfs_each(disk, take, &f);
    return f;
}

static inline void file_delete(const char *name)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(VFS);
    (void)vfs->xDelete(vfs, name, 0);
}

static inline void file_write(const file_bytes *f)
{
    file_delete(f->name);
    crash_vfs_put(disk, f->name, f->data, f->size);
}

static inline void lose_database(void)
{
    file_delete(DB);
    file_delete(DB "-wal");
    file_delete(DB "-shm");
}

/* What the device would send, whatever its numbers are. */
static inline int64_t groups_pending(lab *l)
{
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    return box.last - box.acked;
}

#endif
