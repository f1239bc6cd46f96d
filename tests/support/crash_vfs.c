/* crash_vfs.c - see crash_vfs.h. */
#include "support/crash_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MACHINES_MAX = 64,
    NAME_MAX_BYTES = 160,
    SECTOR = 512,
    SHM_REGIONS_MAX = 64,
    SHM_LOCKS = 8,
    WRITE_BYTES_MAX = 0x1ffff
};

typedef struct pending_write {
    uint64_t offset;
    uint32_t size; /* 0: a truncation to `offset` */
    struct pending_write *next;
    unsigned char data[];
} pending_write;

typedef struct shm_node {
    void *regions[SHM_REGIONS_MAX];
    int regions_count, region_bytes;
    int shared[SHM_LOCKS];
    bool exclusive[SHM_LOCKS];
    int users;
} shm_node;

typedef enum fail_what { FAIL_CHANGES, FAIL_READS, FAIL_OPENS, FAIL_SIZES } fail_what;

typedef struct machine {
    char name[NAME_MAX_BYTES];
    uint32_t generation; /* handles of an older one are dead */
    bool crashed;
    uint64_t crash_in, fail_sync_in, quota;
    uint64_t fail_in; /* calls until fail_result; 0: never */
    int fail_result;
    bool fail_for_ever, failed;
    fail_what fail_counts;
    void (*watch)(uint64_t n);
    fail_what watch_counts;
    uint64_t watched;
} machine;

typedef struct image {
    unsigned char *bytes;
    size_t size, capacity;
} image;

typedef struct mem_file {
    char name[NAME_MAX_BYTES];
    machine *owner;
    image synced, now; /* what survives for sure; what is read */
    pending_write *first, **last;
    shm_node shm;
    int lock_shared;
    bool lock_reserved, lock_pending, lock_exclusive;
    bool deleted, bad;
    uint64_t bad_at; /* a byte of it that cannot be read */
    int handles;
    uint32_t sync_errors; /* failed syncs */
    struct mem_file *next;
} mem_file;

struct crash_vfs {
    sqlite3_vfs base;
    mem_file *files;
    machine machines[MACHINES_MAX];
    int machines_count;
    uint64_t random;
    crash_vfs_counters counters;
    void (*listen)(void *ctx, const crash_vfs_event *e);
    void *listen_ctx;
};

typedef struct handle {
    sqlite3_file base;
    crash_vfs *vfs;
    mem_file *file;
    uint32_t generation;
    uint32_t sync_errors; /* those of the file that it has been told of */
    bool temporary;
    bool of_sqlite; /* not of disk_files.h */
    int lock;
    uint8_t shm_shared, shm_exclusive; /* bits held by this handle */
    bool shm_used;
} handle;

static uint64_t random_next(crash_vfs *v)
{
    uint64_t z = (v->random += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static void *must(void *p)
{
    if (p == NULL) {
        abort(); /* the test machine itself is out of memory */
    }
    return p;
}

/* Weak: a program that makes allocations fail keeps those of the file layer out of it. */
__attribute__((weak)) void *crash_vfs_realloc(void *p, size_t size)
{
    return realloc(p, size);
}

__attribute__((weak)) void crash_vfs_release(void *p)
{
    free(p);
}

static void *zeroed(size_t size)
{
    void *p = must(crash_vfs_realloc(NULL, size));
    memset(p, 0, size);
    return p;
}

static machine *machine_get(crash_vfs *v, const char *path)
{
    size_t n = strcspn(path, "/");
    for (int i = 0; i < v->machines_count; i++) {
        if (strlen(v->machines[i].name) == n && memcmp(v->machines[i].name, path, n) == 0) {
            return &v->machines[i];
        }
    }
    if (v->machines_count == MACHINES_MAX || n >= NAME_MAX_BYTES) {
        abort();
    }
    machine *m = &v->machines[v->machines_count++];
    *m = (machine){.generation = 1};
    memcpy(m->name, path, n);
    return m;
}

/* --- content ------------------------------------------------------------------------------- */

static void image_write(image *m, uint64_t offset, const void *data, size_t size)
{
    size_t end = (size_t)offset + size;
    if (end > m->capacity) {
        size_t capacity = end * 2 + 4096;
        m->bytes = must(crash_vfs_realloc(m->bytes, capacity));
        m->capacity = capacity;
    }
    if (end > m->size) {
        if (offset > m->size) {
            memset(m->bytes + m->size, 0, (size_t)offset - m->size);
        }
        m->size = end;
    }
    memcpy(m->bytes + offset, data, size);
}

static void image_truncate(image *m, uint64_t size)
{
    if (size < m->size) {
        m->size = (size_t)size;
    } else if (size > m->size) {
        unsigned char zero = 0;
        image_write(m, size - 1, &zero, 1);
    }
}

static void pending_drop(mem_file *f)
{
    while (f->first != NULL) {
        pending_write *next = f->first->next;
        crash_vfs_release(f->first);
        f->first = next;
    }
    f->last = &f->first;
}

static void pending_add(mem_file *f, uint64_t offset, const void *data, uint32_t size)
{
    pending_write *w = must(crash_vfs_realloc(NULL, sizeof *w + size));
    w->offset = offset;
    w->size = size;
    w->next = NULL;
    if (size > 0) {
        memcpy(w->data, data, size);
    }
    *f->last = w;
    f->last = &w->next;
}

/* What is read now is on the platter: after a reboot, or when bytes were put there. */
static void file_settle(mem_file *f)
{
    f->synced.size = 0;
    if (f->now.size > 0) {
        image_write(&f->synced, 0, f->now.bytes, f->now.size);
    }
    pending_drop(f);
}

/* Only what was written since the last sync is copied. */
static void file_sync(mem_file *f)
{
    for (const pending_write *w = f->first; w != NULL; w = w->next) {
        if (w->size == 0) {
            image_truncate(&f->synced, w->offset);
        } else {
            image_write(&f->synced, w->offset, w->data, w->size);
        }
    }
    pending_drop(f);
}

/* As Linux does it: what the sync should have written reads well from memory, is on the disk or is
 * not, and no later sync writes it again. Every handle that was open is told once, at its own next
 * sync (errseq_t, since Linux 4.13). */
static void file_sync_failed(crash_vfs *v, mem_file *f)
{
    v->counters.sync_errors++;
    f->sync_errors++;
    for (const pending_write *w = f->first; w != NULL; w = w->next) {
        if (random_next(v) % 4 != 0) {
            v->counters.lost++;
        } else if (w->size == 0) {
            image_truncate(&f->synced, w->offset);
        } else {
            image_write(&f->synced, w->offset, w->data, w->size);
        }
    }
    pending_drop(f);
}

/* One unsynced write, as the disk may have left it. */
static void pending_survive(crash_vfs *v, mem_file *f, pending_write *w)
{
    uint64_t fate = random_next(v) % 8;
    if (fate < 3) {
        v->counters.lost++;
        return;
    }
    if (w->size == 0) {
        image_truncate(&f->now, w->offset);
        return;
    }
    uint32_t size = w->size;
    if (fate == 3 && size > SECTOR) {
        size = (uint32_t)(random_next(v) % (size / SECTOR)) * SECTOR;
        v->counters.torn++;
    } else if (fate == 4) {
        uint32_t from = (uint32_t)(random_next(v) % (size + SECTOR - 1) / SECTOR) * SECTOR;
        for (uint32_t i = from; i < size; i++) {
            w->data[i] = (unsigned char)random_next(v);
        }
        v->counters.garbage++;
    }
    image_write(&f->now, w->offset, w->data, size);
}

static void locks_forget(mem_file *f)
{
    f->lock_shared = 0;
    f->lock_reserved = f->lock_pending = f->lock_exclusive = false;
    for (int i = 0; i < f->shm.regions_count; i++) {
        crash_vfs_release(f->shm.regions[i]);
    }
    f->shm = (shm_node){0};
}

static void file_reboot(crash_vfs *v, mem_file *f)
{
    f->now.size = 0;
    if (f->synced.size > 0) {
        image_write(&f->now, 0, f->synced.bytes, f->synced.size);
    }
    for (pending_write *w = f->first; w != NULL; w = w->next) {
        pending_survive(v, f, w);
    }
    locks_forget(f);
    file_settle(f);
}

static mem_file *file_find(crash_vfs *v, const char *name)
{
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        if (!f->deleted && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

static mem_file *file_make(crash_vfs *v, const char *name)
{
    mem_file *f = must(zeroed(sizeof *f));
    snprintf(f->name, sizeof f->name, "%s", name);
    f->owner = machine_get(v, name);
    f->last = &f->first;
    f->next = v->files;
    v->files = f;
    return f;
}

static void file_free(mem_file *f)
{
    pending_drop(f);
    for (int i = 0; i < f->shm.regions_count; i++) {
        crash_vfs_release(f->shm.regions[i]);
    }
    crash_vfs_release(f->now.bytes);
    crash_vfs_release(f->synced.bytes);
    crash_vfs_release(f);
}

/* Frees deleted files nobody holds. */
static void files_sweep(crash_vfs *v)
{
    for (mem_file **at = &v->files; *at != NULL;) {
        mem_file *f = *at;
        if (f->deleted && f->handles == 0) {
            *at = f->next;
            file_free(f);
        } else {
            at = &f->next;
        }
    }
}

/* A call that changes something: counts down to the crash. False: the machine is dead. */
static bool machine_step(crash_vfs *v, machine *m)
{
    v->counters.calls++;
    if (m->crash_in > 0 && --m->crash_in == 0 && !m->crashed) {
        m->crashed = true;
        v->counters.crashes++;
    }
    return !m->crashed;
}

/* The result that an injected fault asks for, or SQLITE_OK. */
static int machine_fault(machine *m, fail_what call)
{
    if (m->watch != NULL && m->watch_counts == call) {
        m->watch(++m->watched);
    }
    if (m->fail_in == 0 || m->fail_counts != call) {
        return SQLITE_OK;
    }
    if (m->fail_in > 1) {
        m->fail_in--;
        return SQLITE_OK;
    }
    m->failed = true;
    m->fail_in = m->fail_for_ever ? 1 : 0;
    return m->fail_result;
}

static void tell(crash_vfs *v, const crash_vfs_event *e)
{
    if (v->listen != NULL) {
        v->listen(v->listen_ctx, e);
    }
}

static bool handle_lives(const handle *h)
{
    return h->temporary ||
           (!h->file->owner->crashed && h->generation == h->file->owner->generation);
}

/* --- sqlite3_io_methods ---------------------------------------------------------------------- */

static void shm_release(handle *h);

static int x_close(sqlite3_file *base)
{
    handle *h = (handle *)base;
    if (handle_lives(h) && !h->temporary) {
        shm_release(h);
        h->base.pMethods->xUnlock(base, SQLITE_LOCK_NONE);
    }
    h->file->handles--;
    if (h->file->deleted) {
        files_sweep(h->vfs);
    }
    return SQLITE_OK;
}

static int x_read(sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
    handle *h = (handle *)base;
    if (!handle_lives(h)) {
        return SQLITE_IOERR_READ;
    }
    int fault = h->temporary ? SQLITE_OK : machine_fault(h->file->owner, FAIL_READS);
    if (fault != SQLITE_OK) {
        return fault;
    }
    uint64_t from = (uint64_t)offset;
    if (h->file->bad && from <= h->file->bad_at && h->file->bad_at < from + (uint64_t)amount) {
        return SQLITE_IOERR_READ;
    }
    size_t have = (size_t)offset < h->file->now.size ? h->file->now.size - (size_t)offset : 0;
    size_t n = have < (size_t)amount ? have : (size_t)amount;
    if (n > 0) {
        memcpy(out, h->file->now.bytes + offset, n);
    }
    if (n < (size_t)amount) {
        memset((char *)out + n, 0, (size_t)amount - n);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int x_write(sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
    handle *h = (handle *)base;
    machine *m = h->file->owner;
    if (h->temporary) {
        image_write(&h->file->now, (uint64_t)offset, data, (size_t)amount);
        return SQLITE_OK;
    }
    if (!handle_lives(h) || !machine_step(h->vfs, m)) {
        return SQLITE_IOERR_WRITE;
    }
    int fault = machine_fault(m, FAIL_CHANGES);
    if (fault != SQLITE_OK) {
        return fault;
    }
    if (h->of_sqlite && amount > WRITE_BYTES_MAX) { /* as SQLite's layer for Unix says of it */
        return SQLITE_FULL;
    }
    uint64_t end = (uint64_t)offset + (uint64_t)amount;
    if (m->quota > 0 && end > h->file->now.size &&
        crash_vfs_used(h->vfs, m->name) + (end - h->file->now.size) > m->quota) {
        h->vfs->counters.full++;
        return SQLITE_FULL;
    }
    h->vfs->counters.writes++;
    image_write(&h->file->now, (uint64_t)offset, data, (size_t)amount);
    pending_add(h->file, (uint64_t)offset, data, (uint32_t)amount);
    tell(h->vfs, &(crash_vfs_event){CRASH_VFS_WRITE, h->file->name, (uint64_t)offset, data,
                                    (size_t)amount, NULL});
    return SQLITE_OK;
}

static int x_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    handle *h = (handle *)base;
    if (h->temporary) {
        image_truncate(&h->file->now, (uint64_t)size);
        return SQLITE_OK;
    }
    if (!handle_lives(h) || !machine_step(h->vfs, h->file->owner)) {
        return SQLITE_IOERR_TRUNCATE;
    }
    int fault = machine_fault(h->file->owner, FAIL_CHANGES);
    if (fault != SQLITE_OK) {
        return fault;
    }
    image_truncate(&h->file->now, (uint64_t)size);
    pending_add(h->file, (uint64_t)size, NULL, 0);
    tell(h->vfs, &(crash_vfs_event){
                     .op = CRASH_VFS_TRUNCATE, .file = h->file->name, .offset = (uint64_t)size});
    return SQLITE_OK;
}

static int x_sync(sqlite3_file *base, int flags)
{
    handle *h = (handle *)base;
    (void)flags;
    if (h->temporary) {
        return SQLITE_OK;
    }
    machine *m = h->file->owner;
    if (!handle_lives(h) || !machine_step(h->vfs, m)) {
        return SQLITE_IOERR_FSYNC;
    }
    int fault = machine_fault(m, FAIL_CHANGES);
    if (fault == SQLITE_OK && m->fail_sync_in > 0 && --m->fail_sync_in == 0) {
        fault = SQLITE_IOERR_FSYNC;
    }
    if (fault != SQLITE_OK) {
        file_sync_failed(h->vfs, h->file);
        h->sync_errors = h->file->sync_errors;
        return fault;
    }
    h->vfs->counters.syncs++;
    file_sync(h->file);
    if (h->sync_errors != h->file->sync_errors) {
        h->sync_errors = h->file->sync_errors;
        return SQLITE_IOERR_FSYNC;
    }
    tell(h->vfs, &(crash_vfs_event){.op = CRASH_VFS_SYNC, .file = h->file->name});
    return SQLITE_OK;
}

static int x_file_size(sqlite3_file *base, sqlite3_int64 *out)
{
    handle *h = (handle *)base;
    if (!handle_lives(h)) {
        return SQLITE_IOERR_FSTAT;
    }
    int fault = machine_fault(h->file->owner, FAIL_SIZES);
    if (fault != SQLITE_OK) {
        return fault;
    }
    *out = (sqlite3_int64)h->file->now.size;
    return SQLITE_OK;
}

static int x_lock(sqlite3_file *base, int level)
{
    handle *h = (handle *)base;
    mem_file *f = h->file;
    if (!handle_lives(h)) {
        return SQLITE_IOERR_LOCK;
    }
    if (level <= h->lock) {
        return SQLITE_OK;
    }
    if (level == SQLITE_LOCK_SHARED) {
        if (f->lock_exclusive || f->lock_pending) {
            return SQLITE_BUSY;
        }
        f->lock_shared++;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (f->lock_reserved) {
            return SQLITE_BUSY;
        }
        f->lock_reserved = true;
    } else {
        bool reserved_by_other = f->lock_reserved && h->lock < SQLITE_LOCK_RESERVED;
        if (reserved_by_other || f->lock_exclusive || f->lock_shared > 1) {
            return SQLITE_BUSY;
        }
        f->lock_exclusive = true;
        f->lock_reserved = true;
    }
    h->lock = level;
    return SQLITE_OK;
}

static int x_unlock(sqlite3_file *base, int level)
{
    handle *h = (handle *)base;
    mem_file *f = h->file;
    if (!handle_lives(h) || level >= h->lock) {
        return SQLITE_OK;
    }
    if (h->lock >= SQLITE_LOCK_EXCLUSIVE) {
        f->lock_exclusive = false;
    }
    if (h->lock >= SQLITE_LOCK_RESERVED && level < SQLITE_LOCK_RESERVED) {
        f->lock_reserved = false;
    }
    if (h->lock >= SQLITE_LOCK_SHARED && level == SQLITE_LOCK_NONE) {
        f->lock_shared--;
    }
    h->lock = level;
    return SQLITE_OK;
}

static int x_check_reserved(sqlite3_file *base, int *out)
{
    *out = ((handle *)base)->file->lock_reserved;
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
    return SECTOR;
}

static int x_characteristics(sqlite3_file *base)
{
    (void)base;
    return 0; /* no promise: not even sequential writes */
}

static int x_shm_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **out)
{
    handle *h = (handle *)base;
    shm_node *s = &h->file->shm;
    *out = NULL;
    if (!handle_lives(h) || region >= SHM_REGIONS_MAX) {
        return SQLITE_IOERR_SHMMAP;
    }
    if (!h->shm_used) {
        h->shm_used = true;
        s->users++;
    }
    while (region >= s->regions_count) {
        if (!extend) {
            return SQLITE_OK;
        }
        s->regions[s->regions_count++] = must(zeroed((size_t)bytes));
        s->region_bytes = bytes;
    }
    *out = s->regions[region];
    return SQLITE_OK;
}

static int shm_lock_shared(handle *h, int from, int n)
{
    shm_node *s = &h->file->shm;
    for (int i = from; i < from + n; i++) {
        if (s->exclusive[i] && (h->shm_exclusive & (1u << i)) == 0) {
            return SQLITE_BUSY;
        }
    }
    for (int i = from; i < from + n; i++) {
        if ((h->shm_shared & (1u << i)) == 0) {
            s->shared[i]++;
            h->shm_shared = (uint8_t)(h->shm_shared | (1u << i));
        }
    }
    return SQLITE_OK;
}

static int shm_lock_exclusive(handle *h, int from, int n)
{
    shm_node *s = &h->file->shm;
    for (int i = from; i < from + n; i++) {
        int others = s->shared[i] - ((h->shm_shared >> i) & 1);
        if (others > 0 || (s->exclusive[i] && (h->shm_exclusive & (1u << i)) == 0)) {
            return SQLITE_BUSY;
        }
    }
    for (int i = from; i < from + n; i++) {
        s->exclusive[i] = true;
        h->shm_exclusive = (uint8_t)(h->shm_exclusive | (1u << i));
    }
    return SQLITE_OK;
}

static void shm_unlock(handle *h, int from, int n)
{
    shm_node *s = &h->file->shm;
    for (int i = from; i < from + n; i++) {
        if (h->shm_shared & (1u << i)) {
            s->shared[i]--;
        }
        if (h->shm_exclusive & (1u << i)) {
            s->exclusive[i] = false;
        }
        h->shm_shared = (uint8_t)(h->shm_shared & ~(1u << i));
        h->shm_exclusive = (uint8_t)(h->shm_exclusive & ~(1u << i));
    }
}

static int x_shm_lock(sqlite3_file *base, int from, int n, int flags)
{
    handle *h = (handle *)base;
    if (!handle_lives(h)) {
        return SQLITE_IOERR_SHMLOCK;
    }
    if (flags & SQLITE_SHM_UNLOCK) {
        shm_unlock(h, from, n);
        return SQLITE_OK;
    }
    return flags & SQLITE_SHM_SHARED ? shm_lock_shared(h, from, n) : shm_lock_exclusive(h, from, n);
}

static void x_shm_barrier(sqlite3_file *base)
{
    (void)base;
}

static void shm_release(handle *h)
{
    shm_unlock(h, 0, SHM_LOCKS);
    if (h->shm_used) {
        h->shm_used = false;
        h->file->shm.users--;
    }
}

static int x_shm_unmap(sqlite3_file *base, int delete_it)
{
    handle *h = (handle *)base;
    if (!handle_lives(h)) {
        return SQLITE_OK;
    }
    shm_release(h);
    shm_node *s = &h->file->shm;
    if (delete_it && s->users == 0) {
        for (int i = 0; i < s->regions_count; i++) {
            crash_vfs_release(s->regions[i]);
        }
        *s = (shm_node){0};
    }
    return SQLITE_OK;
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_reserved,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

/* --- sqlite3_vfs -------------------------------------------------------------------------------
 */

static int x_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags,
                  int *flags_out)
{
    crash_vfs *v = (crash_vfs *)base;
    handle *h = (handle *)file;
    const int kinds = ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    *h = (handle){.vfs = v, .of_sqlite = (flags & kinds) != 0};
    if (name == NULL) {
        h->temporary = true;
        h->file = file_make(v, "temporary/file");
        h->file->deleted = true; /* goes with its handle */
    } else {
        if (machine_get(v, name)->crashed) {
            return SQLITE_CANTOPEN;
        }
        int fault = machine_fault(machine_get(v, name), FAIL_OPENS);
        if (fault != SQLITE_OK) {
            return fault;
        }
        h->file = file_find(v, name);
        if (h->file == NULL) {
            if ((flags & SQLITE_OPEN_CREATE) == 0) {
                return SQLITE_CANTOPEN;
            }
            h->file = file_make(v, name);
        }
        h->generation = h->file->owner->generation;
        h->sync_errors = h->file->sync_errors;
    }
    h->file->handles++;
    h->base.pMethods = &METHODS;
    if (flags_out != NULL) {
        *flags_out = flags;
    }
    return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
    crash_vfs *v = (crash_vfs *)base;
    (void)sync_dir;
    mem_file *f = file_find(v, name);
    if (!machine_step(v, machine_get(v, name))) {
        return SQLITE_IOERR_DELETE;
    }
    int fault = machine_fault(machine_get(v, name), FAIL_CHANGES);
    if (fault != SQLITE_OK) {
        return fault;
    }
    if (f == NULL) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    tell(v, &(crash_vfs_event){.op = CRASH_VFS_DELETE, .file = f->name});
    f->deleted = true;
    files_sweep(v);
    return SQLITE_OK;
}

static int x_access(sqlite3_vfs *base, const char *name, int flags, int *out)
{
    (void)flags;
    mem_file *f = file_find((crash_vfs *)base, name);
    *out = f != NULL && (flags != SQLITE_ACCESS_EXISTS || f->now.size > 0);
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
    for (int i = 0; i < size; i++) {
        out[i] = (char)random_next((crash_vfs *)base);
    }
    return size;
}

static int x_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;
    return microseconds; /* nobody else runs meanwhile: a wait would be for ever */
}

static int x_time(sqlite3_vfs *base, sqlite3_int64 *out)
{
    (void)base;
    *out = 212000000000000LL; /* a fixed Julian time: nothing may depend on it */
    return SQLITE_OK;
}

static int x_last_error(sqlite3_vfs *base, int size, char *out)
{
    (void)base;
    (void)size;
    (void)out;
    return 0;
}

crash_vfs *crash_vfs_new(const char *name, uint64_t seed)
{
    crash_vfs *v = must(zeroed(sizeof *v));
    v->random = seed;
    v->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(handle),
        .mxPathname = NAME_MAX_BYTES - 1,
        .zName = name,
        .xOpen = x_open,
        .xDelete = x_delete,
        .xAccess = x_access,
        .xFullPathname = x_full_path,
        .xRandomness = x_randomness,
        .xSleep = x_sleep,
        .xCurrentTimeInt64 = x_time,
        .xGetLastError = x_last_error,
    };
    sqlite3_vfs_register(&v->base, 0);
    return v;
}

void crash_vfs_free(crash_vfs *v)
{
    if (v == NULL) {
        return;
    }
    sqlite3_vfs_unregister(&v->base);
    while (v->files != NULL) {
        mem_file *next = v->files->next;
        file_free(v->files);
        v->files = next;
    }
    crash_vfs_release(v);
}

void crash_vfs_crash_after(crash_vfs *v, const char *name, uint64_t calls)
{
    machine_get(v, name)->crash_in = calls;
}

void crash_vfs_crash(crash_vfs *v, const char *name)
{
    machine *m = machine_get(v, name);
    v->counters.crashes += !m->crashed;
    m->crashed = true;
}

bool crash_vfs_is_crashed(const crash_vfs *v, const char *name)
{
    for (int i = 0; i < v->machines_count; i++) {
        if (strcmp(v->machines[i].name, name) == 0) {
            return v->machines[i].crashed;
        }
    }
    return false;
}

void crash_vfs_reboot(crash_vfs *v, const char *name)
{
    machine *m = machine_get(v, name);
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        if (f->owner == m && !f->deleted) {
            file_reboot(v, f);
        }
    }
    m->crashed = false;
    m->crash_in = 0;
    m->generation++;
}

void crash_vfs_kill(crash_vfs *v, const char *name)
{
    machine *m = machine_get(v, name);
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        if (f->owner == m && !f->deleted) {
            locks_forget(f);
        }
    }
    m->generation++;
}

void crash_vfs_reseed(crash_vfs *v, uint64_t seed)
{
    v->random = seed;
}

void crash_vfs_quota(crash_vfs *v, const char *name, uint64_t bytes)
{
    machine_get(v, name)->quota = bytes;
}

uint64_t crash_vfs_used(const crash_vfs *v, const char *name)
{
    uint64_t used = 0;
    for (const mem_file *f = v->files; f != NULL; f = f->next) {
        if (!f->deleted && strcmp(f->owner->name, name) == 0) {
            used += f->now.size;
        }
    }
    return used;
}

void crash_vfs_fail_sync(crash_vfs *v, const char *name, uint64_t syncs)
{
    machine_get(v, name)->fail_sync_in = syncs;
}

static fail_what counts_of(int result)
{
    return result == SQLITE_IOERR_READ    ? FAIL_READS
           : result == SQLITE_CANTOPEN    ? FAIL_OPENS
           : result == SQLITE_IOERR_FSTAT ? FAIL_SIZES
                                          : FAIL_CHANGES;
}

void crash_vfs_watch(crash_vfs *v, const char *name, int result, void (*fn)(uint64_t n))
{
    machine *m = machine_get(v, name);
    m->watch = fn;
    m->watch_counts = counts_of(result);
    m->watched = 0;
}

void crash_vfs_fail(crash_vfs *v, const char *name, uint64_t calls, int result, bool for_ever)
{
    machine *m = machine_get(v, name);
    m->fail_in = calls;
    m->fail_result = result;
    m->fail_for_ever = for_ever;
    m->fail_counts = counts_of(result);
    m->failed = false;
}

void crash_vfs_bad_sector(crash_vfs *v, const char *name, uint64_t offset)
{
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        f->bad = name != NULL && !f->deleted && strcmp(f->name, name) == 0;
        f->bad_at = offset;
    }
}

bool crash_vfs_failed(const crash_vfs *v, const char *name)
{
    for (int i = 0; i < v->machines_count; i++) {
        if (strcmp(v->machines[i].name, name) == 0) {
            return v->machines[i].failed;
        }
    }
    return false;
}

void crash_vfs_listen(crash_vfs *v, void (*fn)(void *ctx, const crash_vfs_event *e), void *ctx)
{
    v->listen = fn;
    v->listen_ctx = ctx;
}

void crash_vfs_each(const crash_vfs *v,
                    void (*fn)(void *ctx, const char *file, const void *data, size_t size),
                    void *ctx)
{
    for (const mem_file *f = v->files; f != NULL; f = f->next) {
        if (!f->deleted) {
            fn(ctx, f->name, f->now.bytes, f->now.size);
        }
    }
}

void crash_vfs_put(crash_vfs *v, const char *name, const void *data, size_t size)
{
    mem_file *f = file_find(v, name);
    if (f == NULL) {
        f = file_make(v, name);
    }
    if (f->handles > 0) {
        abort(); /* the test would change an open file under its reader */
    }
    f->now.size = 0;
    if (size > 0) {
        image_write(&f->now, 0, data, size);
    }
    file_settle(f);
}

void crash_vfs_copy(crash_vfs *v, const char *from, const char *to)
{
    machine *source = machine_get(v, from);
    crash_vfs_remove(v, to);
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        size_t n = strlen(from);
        if (f->owner != source || f->deleted || f->now.size == 0) {
            continue;
        }
        char name[NAME_MAX_BYTES];
        snprintf(name, sizeof name, "%.20s%.138s", to, f->name + n);
        mem_file *copy = file_make(v, name);
        image_write(&copy->now, 0, f->now.bytes, f->now.size);
        file_settle(copy);
    }
}

void crash_vfs_remove(crash_vfs *v, const char *name)
{
    machine *m = machine_get(v, name);
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        if (f->owner == m) {
            f->deleted = true;
        }
    }
    m->generation++;
    files_sweep(v);
}

void crash_vfs_remove_under(crash_vfs *v, const char *prefix)
{
    for (mem_file *f = v->files; f != NULL; f = f->next) {
        f->deleted |= strncmp(f->name, prefix, strlen(prefix)) == 0;
    }
    files_sweep(v);
}

int crash_vfs_rename(crash_vfs *v, const char *from, const char *to)
{
    machine *m = machine_get(v, from);
    mem_file *f = file_find(v, from), *old = file_find(v, to);
    if (!machine_step(v, m)) {
        return SQLITE_IOERR;
    }
    int fault = machine_fault(m, FAIL_CHANGES);
    if (fault != SQLITE_OK || f == NULL) {
        return fault != SQLITE_OK ? fault : SQLITE_NOTFOUND;
    }
    if (old != NULL && old != f) {
        old->deleted = true;
    }
    snprintf(f->name, sizeof f->name, "%s", to);
    files_sweep(v);
    return SQLITE_OK;
}

int64_t crash_vfs_room(const crash_vfs *v, const char *name)
{
    for (int i = 0; i < v->machines_count; i++) {
        const machine *m = &v->machines[i];
        if (strcmp(m->name, name) == 0 && m->quota > 0) {
            uint64_t used = crash_vfs_used(v, name);
            return used < m->quota ? (int64_t)(m->quota - used) : 0;
        }
    }
    return INT64_MAX;
}

const crash_vfs_counters *crash_vfs_count(const crash_vfs *v)
{
    return &v->counters;
}
