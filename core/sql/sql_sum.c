/* sql_sum.c - see sql_sum.h.
 *
 * The database's own file is wrapped here, its log in sql_log.c; every other file is the base
 * layer's from its opening on. The base is looked up by name at every call, so that a test may
 * bring another one. */
#include "sql/sql_sum.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql_log.h"
#include "sql/sql_pass.h"
#include "sql/sql_unsynced.h"

enum { PAGE_BYTES = 4096, SUM_BYTES = 8, RESERVED_AT = 20, HEAD_BYTES = 100 };
static const char PREFIX[] = "fieldbook-";
static const char MAGIC[16] = "SQLite format 3";

typedef struct sum_layer {
    sqlite3_vfs vfs;
    char *base_name;
} sum_layer;

typedef struct sum_file {
    pass_file pass; /* the real one stands behind this struct */
    unsynced written;
    bool on;
    unsigned char page[PAGE_BYTES]; /* a page on its way out: the caller's bytes are not ours */
} sum_file;

/* Four lanes, as fast as memory; the number tells a page from the same bytes elsewhere. */
static void sum_of(const unsigned char *page, uint64_t number, unsigned char out[SUM_BYTES])
{
    enum { LANES = 4, WORD = 8 };
    uint64_t lanes[LANES] = {number, ~number, 0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu};
    for (size_t at = 0; at < PAGE_BYTES - SUM_BYTES; at += WORD) {
        uint64_t word = 0;
        memcpy(&word, page + at, WORD);
        uint64_t *lane = &lanes[at / WORD % LANES];
        *lane = (*lane ^ word) * 0x9E3779B97F4A7C15u;
        *lane ^= *lane >> 29;
    }
    uint64_t sum = 0;
    for (int i = 0; i < LANES; i++) {
        sum = (sum ^ lanes[i]) * 0xD6E8FEB86659FD93u;
        sum ^= sum >> 32;
    }
    for (int i = 0; i < SUM_BYTES; i++) {
        out[i] = (unsigned char)(sum >> (8 * i));
    }
}

static bool is_head_with_sums(const unsigned char *head)
{
    return memcmp(head, MAGIC, sizeof MAGIC) == 0 && head[RESERVED_AT] == SUM_BYTES;
}

static bool is_whole_page(int amount, sqlite3_int64 offset)
{
    return amount == PAGE_BYTES && offset % PAGE_BYTES == 0;
}

/* SUM-3. Between a tree page's list of cells and its first cell nothing is said by the format
 * (sqlite.org/fileformat2.html, 1.6). When SQLite spreads cells over pages anew, what stood there
 * stays, also with secure_delete. A page of another kind begins with the number of the next one,
 * whose first byte is 0 below 64 GiB. */
static void gap_clear(unsigned char *page, sqlite3_int64 offset)
{
    enum { INDEX_INNER = 2, TABLE_INNER = 5, INDEX_LEAF = 10, TABLE_LEAF = 13, LEAF_HEAD = 8 };
    unsigned char *head = offset == 0 ? page + HEAD_BYTES : page;
    bool inner = *head == INDEX_INNER || *head == TABLE_INNER;
    if (!inner && *head != INDEX_LEAF && *head != TABLE_LEAF) {
        return;
    }
    size_t cells = (size_t)head[3] << 8 | head[4];
    size_t from = (size_t)(head - page) + LEAF_HEAD + (inner ? 4 : 0) + 2 * cells;
    size_t to = (size_t)head[5] << 8 | head[6];
    if (from < to && to <= PAGE_BYTES) {
        memset(page + from, 0, to - from);
    }
}

static bool has_its_sum(const unsigned char *page, sqlite3_int64 offset)
{
    unsigned char sum[SUM_BYTES];
    sum_of(page, (uint64_t)(offset / PAGE_BYTES), sum);
    return memcmp(sum, page + PAGE_BYTES - SUM_BYTES, SUM_BYTES) == 0;
}

/* --- the file ------------------------------------------------------------------------ */

/* Since its version 3.45 SQLite reads the front of a page where a long value goes on, past its own
 * cache (SQLITE_DIRECT_OVERFLOW_READ). */
static int read_part(const sum_file *s, void *out, int amount, sqlite3_int64 offset)
{
    unsigned char page[PAGE_BYTES];
    sqlite3_int64 at = offset % PAGE_BYTES;
    if (offset < PAGE_BYTES || at + amount > PAGE_BYTES) {
        return SQLITE_CORRUPT; /* the header names another page size than the file was made with */
    }
    int rc = s->pass.real->pMethods->xRead(s->pass.real, page, PAGE_BYTES, offset - at);
    if (rc != SQLITE_OK) {
        return rc;
    }
    memcpy(out, page + at, (size_t)amount);
    return has_its_sum(page, offset) ? SQLITE_OK : SQLITE_CORRUPT;
}

static int x_read(sqlite3_file *f, void *out, int amount, sqlite3_int64 offset)
{
    const sum_file *s = (const sum_file *)f;
    bool of_head = offset + amount <= HEAD_BYTES;
    if (s->on && !of_head && !is_whole_page(amount, offset)) {
        return read_part(s, out, amount, offset);
    }
    int rc = s->pass.real->pMethods->xRead(s->pass.real, out, amount, offset);
    if (rc != SQLITE_OK || !s->on || of_head) {
        return rc;
    }
    return has_its_sum(out, offset) ? SQLITE_OK : SQLITE_CORRUPT;
}

static int x_write(sqlite3_file *f, const void *data, int amount, sqlite3_int64 offset)
{
    sum_file *s = (sum_file *)f;
    int rc = unsynced_note(&s->written, offset, amount);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (offset == 0 && amount >= HEAD_BYTES) {
        s->on = is_head_with_sums(data);
    }
    if (!is_whole_page(amount, offset)) {
        return s->pass.real->pMethods->xWrite(s->pass.real, data, amount, offset);
    }
    memcpy(s->page, data, PAGE_BYTES);
    gap_clear(s->page, offset);
    if (s->on) {
        sum_of(s->page, (uint64_t)(offset / PAGE_BYTES), s->page + PAGE_BYTES - SUM_BYTES);
    }
    return s->pass.real->pMethods->xWrite(s->pass.real, s->page, amount, offset);
}

static int x_sync(sqlite3_file *f, int flags)
{
    sum_file *s = (sum_file *)f;
    return unsynced_sync(&s->written, s->pass.real, flags);
}

static int x_close(sqlite3_file *f)
{
    unsynced_clear(&((sum_file *)f)->written);
    return pass_close(f);
}

static int x_shm_map(sqlite3_file *f, int region, int bytes, int extend, void volatile **out)
{
    return pass_real(f)->pMethods->xShmMap(pass_real(f), region, bytes, extend, out);
}

static int x_shm_lock(sqlite3_file *f, int from, int n, int flags)
{
    return pass_real(f)->pMethods->xShmLock(pass_real(f), from, n, flags);
}

static void x_shm_barrier(sqlite3_file *f)
{
    pass_real(f)->pMethods->xShmBarrier(pass_real(f));
}

static int x_shm_unmap(sqlite3_file *f, int delete_it)
{
    return pass_real(f)->pMethods->xShmUnmap(pass_real(f), delete_it);
}

/* Version 2: no mapping of pages into memory, which would go round the check. */
static const sqlite3_io_methods METHODS = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = pass_truncate,
    .xSync = x_sync,
    .xFileSize = pass_file_size,
    .xLock = pass_lock,
    .xUnlock = pass_unlock,
    .xCheckReservedLock = pass_check_reserved,
    .xFileControl = pass_file_control,
    .xSectorSize = pass_sector_size,
    .xDeviceCharacteristics = pass_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

/* --- the layer ----------------------------------------------------------------------- */

static sqlite3_vfs *base_of(sqlite3_vfs *v)
{
    return sqlite3_vfs_find(((sum_layer *)v)->base_name);
}

static int room_of(const sqlite3_vfs *base)
{
    int before = sql_log_file_bytes();
    before = before > (int)sizeof(sum_file) ? before : (int)sizeof(sum_file);
    return before + base->szOsFile;
}

static int open_database(sqlite3_vfs *base, const char *name, sqlite3_file *f, int flags,
                         int *flags_out)
{
    unsigned char head[HEAD_BYTES];
    sum_file *s = (sum_file *)f;
    s->pass.real = (sqlite3_file *)(void *)(s + 1);
    s->on = false;
    s->written = (unsynced){.bits = NULL};
    int rc = base->xOpen(base, name, s->pass.real, flags, flags_out);
    if (s->pass.real->pMethods == NULL) {
        return rc;
    }
    f->pMethods = &METHODS;
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = s->pass.real->pMethods->xRead(s->pass.real, head, HEAD_BYTES, 0);
    if (rc == SQLITE_IOERR_SHORT_READ) {
        return SQLITE_OK; /* a new file */
    }
    s->on = rc == SQLITE_OK && head[RESERVED_AT] == SUM_BYTES;
    return rc; /* what could not be read is not known to be without sums: that is no damage */
}

static int x_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
    sqlite3_vfs *base = base_of(v);
    f->pMethods = NULL;
    if (base == NULL || room_of(base) > v->szOsFile) {
        return SQLITE_CANTOPEN;
    }
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
        return open_database(base, name, f, flags, flags_out);
    }
    if ((flags & SQLITE_OPEN_WAL) != 0) {
        return sql_log_open(base, name, f, flags, flags_out);
    }
    return base->xOpen(base, name, f, flags, flags_out);
}

static int x_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
    sqlite3_vfs *base = base_of(v);
    return base->xDelete(base, name, sync_dir);
}

static int x_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
    sqlite3_vfs *base = base_of(v);
    return base->xAccess(base, name, flags, out);
}

static int x_full_path(sqlite3_vfs *v, const char *name, int size, char *out)
{
    sqlite3_vfs *base = base_of(v);
    return base->xFullPathname(base, name, size, out);
}

static int x_randomness(sqlite3_vfs *v, int size, char *out)
{
    sqlite3_vfs *base = base_of(v);
    return base->xRandomness(base, size, out);
}

static int x_sleep(sqlite3_vfs *v, int microseconds)
{
    sqlite3_vfs *base = base_of(v);
    return base->xSleep(base, microseconds);
}

static int x_time_ms(sqlite3_vfs *v, sqlite3_int64 *out)
{
    sqlite3_vfs *base = base_of(v);
    return base->xCurrentTimeInt64(base, out);
}

static int x_last_error(sqlite3_vfs *v, int size, char *out)
{
    sqlite3_vfs *base = base_of(v);
    return base->xGetLastError != NULL ? base->xGetLastError(base, size, out) : 0;
}

/* One block, kept for the life of the process: SQLite has no end of layers either. */
static sum_layer *layer_new(const sqlite3_vfs *base)
{
    size_t base_size = strlen(base->zName) + 1;
    size_t size = sizeof(sum_layer) + 2 * base_size + sizeof PREFIX;
    sum_layer *made = calloc(1, size);
    if (made == NULL) {
        return NULL;
    }
    made->base_name = (char *)(made + 1);
    memcpy(made->base_name, base->zName, base_size);
    char *name = made->base_name + base_size;
    memcpy(name, PREFIX, sizeof PREFIX - 1);
    memcpy(name + sizeof PREFIX - 1, base->zName, base_size);
    made->vfs = (sqlite3_vfs){.iVersion = 2,
                              .szOsFile = room_of(base),
                              .mxPathname = base->mxPathname,
                              .zName = name,
                              .xOpen = x_open,
                              .xDelete = x_delete,
                              .xAccess = x_access,
                              .xFullPathname = x_full_path,
                              .xRandomness = x_randomness,
                              .xSleep = x_sleep,
                              .xCurrentTime = base->xCurrentTime,
                              .xGetLastError = x_last_error,
                              .xCurrentTimeInt64 = x_time_ms};
    if (base->iVersion < 2 || base->xCurrentTimeInt64 == NULL) {
        made->vfs.iVersion = 1;
    }
    return made;
}

static const char *layer_find_or_make(sqlite3_vfs *base)
{
    char name[128];
    size_t size = strlen(base->zName) + 1;
    if (sizeof PREFIX + size > sizeof name) {
        return NULL;
    }
    memcpy(name, PREFIX, sizeof PREFIX - 1);
    memcpy(name + sizeof PREFIX - 1, base->zName, size);
    const sqlite3_vfs *found = sqlite3_vfs_find(name);
    if (found != NULL) {
        return found->zName;
    }
    sum_layer *made = layer_new(base);
    if (made == NULL || sqlite3_vfs_register(&made->vfs, 0) != SQLITE_OK) {
        free(made);
        return NULL;
    }
    return made->vfs.zName;
}

const char *sql_sum_layer(const char *base_name)
{
    if (sqlite3_initialize() != SQLITE_OK) {
        return NULL;
    }
    sqlite3_vfs *base = sqlite3_vfs_find(base_name);
    if (base == NULL) {
        return NULL;
    }
    sqlite3_mutex *guard = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);
    sqlite3_mutex_enter(guard);
    const char *name = layer_find_or_make(base);
    sqlite3_mutex_leave(guard);
    return name;
}

int sql_sum_reserve(sqlite3 *handle)
{
    int bytes = SUM_BYTES;
    return sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
}

bool sql_sum_is_on(sqlite3 *handle)
{
    sqlite3_file *f = NULL;
    return sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &f) == SQLITE_OK &&
           f != NULL && f->pMethods == &METHODS && ((sum_file *)f)->on;
}
