/* image_vfs.c - see image_vfs.h. */
#include "fault/crash/image_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct image_file {
    sqlite3_file base;
    int file; /* of the disk; -1: not on it */
} image_file;

static disk *shown; /* the image at hand: SQLite gives the file layer no better place */

/* A file that is not on the tape was never written: it reads as empty. */
static const disk_file *file_at(sqlite3_file *base)
{
    static const disk_file EMPTY = {0};
    int file = ((image_file *)base)->file;
    return file < 0 ? &EMPTY : &shown->files[file];
}

static int x_close(sqlite3_file *base)
{
    (void)base;
    return SQLITE_OK;
}

static int x_read(sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
    const disk_file *f = file_at(base);
    size_t have = (size_t)offset < f->size ? f->size - (size_t)offset : 0;
    size_t n = have < (size_t)amount ? have : (size_t)amount;
    if (n > 0) {
        memcpy(out, f->data + offset, n);
    }
    if (n < (size_t)amount) {
        memset((char *)out + n, 0, (size_t)amount - n);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int x_write(sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
    int file = ((image_file *)base)->file;
    if (file < 0) {
        return SQLITE_IOERR_WRITE;
    }
    disk_write(shown, file, (uint64_t)offset, data, (size_t)amount);
    return SQLITE_OK;
}

static int x_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int file = ((image_file *)base)->file;
    if (file >= 0) {
        disk_truncate(shown, file, (uint64_t)size);
    }
    return SQLITE_OK;
}

static int x_sync(sqlite3_file *base, int flags)
{
    (void)base;
    (void)flags;
    return SQLITE_OK;
}

static int x_file_size(sqlite3_file *base, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)file_at(base)->size;
    return SQLITE_OK;
}

static int x_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int x_check_reserved(sqlite3_file *base, int *out)
{
    (void)base;
    *out = 0;
    return SQLITE_OK;
}

static int x_file_control(sqlite3_file *base, int op, void *argument)
{
    (void)base;
    (void)op;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int x_sector_size(sqlite3_file *base)
{
    (void)base;
    return 512;
}

static int x_characteristics(sqlite3_file *base)
{
    (void)base;
    return 0;
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_lock,
    .xCheckReservedLock = x_check_reserved,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_characteristics,
};

static int x_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags,
                  int *flags_out)
{
    (void)base;
    image_file *f = (image_file *)file;
    *f = (image_file){.file = name == NULL ? -1 : disk_find(shown, name)};
    bool exists = f->file >= 0 && shown->files[f->file].exists;
    if (!exists && (flags & SQLITE_OPEN_CREATE) == 0) {
        return SQLITE_CANTOPEN;
    }
    if (!exists && f->file >= 0) {
        disk_truncate(shown, f->file, 0);
    }
    f->base.pMethods = &METHODS;
    if (flags_out != NULL) {
        *flags_out = flags;
    }
    return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
    (void)base;
    (void)sync_dir;
    int file = disk_find(shown, name);
    if (file < 0 || !shown->files[file].exists) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    disk_delete(shown, file);
    return SQLITE_OK;
}

static int x_access(sqlite3_vfs *base, const char *name, int flags, int *out)
{
    (void)base;
    int file = disk_find(shown, name);
    *out = file >= 0 && shown->files[file].exists &&
           (flags != SQLITE_ACCESS_EXISTS || shown->files[file].size > 0);
    return SQLITE_OK;
}

static int x_full_path(sqlite3_vfs *base, const char *name, int size, char *out)
{
    (void)base;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static int x_randomness(sqlite3_vfs *base, int size, char *out)
{
    (void)base;
    memset(out, 7, (size_t)size);
    return size;
}

static int x_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;
    return microseconds;
}

static int x_time(sqlite3_vfs *base, sqlite3_int64 *out)
{
    (void)base;
    *out = 212000000000000LL;
    return SQLITE_OK;
}

static int x_last_error(sqlite3_vfs *base, int size, char *out)
{
    (void)base;
    (void)size;
    (void)out;
    return 0;
}

void image_vfs_start(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(image_file),
        .mxPathname = TAPE_NAME_BYTES * 2,
        .zName = IMAGE_VFS,
        .xOpen = x_open,
        .xDelete = x_delete,
        .xAccess = x_access,
        .xFullPathname = x_full_path,
        .xRandomness = x_randomness,
        .xSleep = x_sleep,
        .xCurrentTimeInt64 = x_time,
        .xGetLastError = x_last_error,
    };
    sqlite3_vfs_register(&vfs, 0);
}

enum { RESERVED_AT = 20 };

/* Four lanes: as fast as memory. */
static uint64_t hash_bytes(const unsigned char *data, size_t size)
{
    uint64_t lanes[4] = {size, 1, 2, 3}, words[4];
    for (size_t at = 0; at + sizeof words <= size; at += sizeof words) {
        memcpy(words, data + at, sizeof words);
        for (int i = 0; i < 4; i++) {
            lanes[i] = (lanes[i] ^ words[i]) * 0x9E3779B97F4A7C15ULL;
            lanes[i] ^= lanes[i] >> 29;
        }
    }
    return mix(mix(lanes[0], lanes[1]), mix(lanes[2], lanes[3])) | 1;
}

/* One page as SQLite reads it. image: the one at hand; 0: sums that were kept are of no use. */
static uint64_t hash_page(disk_file *f, size_t n, size_t reserved, uint64_t image)
{
    disk_page *p = n < f->pages_room ? &f->pages[n] : NULL;
    bool same = p != NULL && image != 0 && p->changed != image;
    if (same && p->sum != 0) {
        return p->sum;
    }
    const unsigned char *at = f->data + n * DISK_PAGE_BYTES;
    uint64_t sum = mix(hash_bytes(at, DISK_PAGE_BYTES - reserved), n) | 1;
    if (same) {
        p->sum = sum;
    }
    return sum;
}

/* Behind what SQLite keeps on a page stands the page's sum, which this file layer does not put: how
 * many bytes that are, the first page says. */
static uint64_t hash_file(disk *d, int file)
{
    disk_file *f = &d->files[file];
    bool paged = !d->tape->files[file].plain && f->size > RESERVED_AT;
    size_t reserved = paged ? f->data[RESERVED_AT] : 0, n = 0;
    bool first_same = f->pages_room > 0 && f->pages[0].changed != d->images;
    if (first_same && f->sums_reserved != reserved) {
        for (size_t i = 0; i < f->pages_room; i++) {
            f->pages[i].sum = 0;
        }
        f->sums_reserved = reserved;
    }
    uint64_t image = f->sums_reserved == reserved ? d->images : 0;
    uint64_t hash = mix(f->size, reserved);
    for (; n < f->size / DISK_PAGE_BYTES; n++) {
        hash = mix(hash, hash_page(f, n, reserved, image));
    }
    n *= DISK_PAGE_BYTES;
    return mix(hash, hash_bytes(f->data + n, f->size - n)) | 1;
}

uint64_t image_plain(disk *d, int machine)
{
    uint64_t hash = 1;
    for (int i = 0; i < d->tape->files_count; i++) {
        const tape_file *t = &d->tape->files[i];
        if (t->plain && t->machine == machine && d->files[i].exists) {
            hash = mix(hash, mix((uint64_t)i, hash_file(d, i)));
        }
    }
    return hash;
}

int image_recover(disk *d, const char *path, uint64_t *hash_out)
{
    sqlite3 *db = NULL;
    int file = disk_find(d, path);
    *hash_out = 0;
    if (file < 0 || !d->files[file].exists || d->files[file].size == 0) {
        return SQLITE_OK;
    }
    shown = d;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, IMAGE_VFS);
    if (rc == SQLITE_OK) {
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    }
    /* A write transaction recovers without parsing the schema; what the WAL holds is then brought
     * into the file. */
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE; ROLLBACK", NULL,
                          NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
    }
    if (rc == SQLITE_OK && d->files[file].size > 0) {
        *hash_out = hash_file(d, file);
    }
    sqlite3_close(db);
    return rc;
}
