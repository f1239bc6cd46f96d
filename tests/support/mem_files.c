/* mem_files.c - see mem_files.h. */
#include "support/mem_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 4096, SECTOR = 512, NAME_BYTES = 256 };
#define PLENTY (INT64_C(1) << 40)

typedef struct mem_bytes {
    char *data;
    int64_t size;
} mem_bytes;

typedef struct mem_file {
    char *path; /* NULL: free slot */
    mem_bytes now, synced;
    bool is_synced; /* the name would survive */
    bool removed;   /* and might come back */
} mem_file;

struct mem_files {
    fb_files port;
    mem_file files[FILES_MAX];
    uint64_t seed, calls, crash_at, fail_at;
    fb_code fail_code;
    int64_t quota;
    bool crashed, fail_for_ever;
    void (*listen)(void *ctx, const crash_vfs_event *e);
    void *listen_ctx;
};

void mem_files_tell(const mem_files *m, const crash_vfs_event *e)
{
    if (m->listen != NULL) {
        m->listen(m->listen_ctx, e);
    }
}

static uint64_t draw(mem_files *m)
{
    m->seed = m->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return m->seed >> 33;
}

/* What a disk holds is not the program's memory: see crash_vfs_realloc. */
static void *resize(void *p, int64_t size)
{
    void *made = crash_vfs_realloc(p, (size_t)size + 1);
    if (made == NULL) {
        abort(); /* the test machine itself is out of memory */
    }
    return made;
}

static void set_bytes(mem_bytes *b, const char *data, int64_t size)
{
    char *copy = resize(NULL, size);
    if (size > 0) {
        memcpy(copy, data, (size_t)size);
    }
    crash_vfs_release(b->data);
    *b = (mem_bytes){copy, size};
}

static char *name_copy(const char *path)
{
    size_t size = strlen(path);
    char *copy = resize(NULL, (int64_t)size);
    memcpy(copy, path, size + 1);
    return copy;
}

static void drop(mem_file *f)
{
    crash_vfs_release(f->path);
    crash_vfs_release(f->now.data);
    crash_vfs_release(f->synced.data);
    *f = (mem_file){0};
}

static mem_file *find(mem_files *m, const char *path, bool with_removed)
{
    for (int i = 0; i < FILES_MAX; i++) {
        mem_file *f = &m->files[i];
        if (f->path != NULL && strcmp(f->path, path) == 0 && (with_removed || !f->removed)) {
            return f;
        }
    }
    return NULL;
}

static mem_file *make(mem_files *m, const char *path)
{
    mem_file *f = find(m, path, true);
    if (f != NULL && f->removed) {
        drop(f);
        f = NULL;
    }
    for (int i = 0; f == NULL && i < FILES_MAX; i++) {
        if (m->files[i].path == NULL) {
            f = &m->files[i];
            f->path = name_copy(path);
        }
    }
    if (f == NULL) {
        abort();
    }
    return f;
}

static fb_code mutate(mem_files *m)
{
    if (m->crashed) {
        return FB_E_IO;
    }
    m->calls++;
    if (m->crash_at != 0 && m->calls >= m->crash_at) {
        m->crashed = true;
        return FB_E_IO;
    }
    if (m->fail_at != 0 &&
        (m->calls == m->fail_at || (m->fail_for_ever && m->calls > m->fail_at))) {
        return m->fail_code;
    }
    return FB_OK;
}

static int64_t used(const mem_files *m)
{
    int64_t sum = 0;
    for (int i = 0; i < FILES_MAX; i++) {
        sum += m->files[i].path != NULL && !m->files[i].removed ? m->files[i].now.size : 0;
    }
    return sum;
}

static fb_code folder(void *ctx, const char *path)
{
    const mem_files *m = ctx;
    (void)path; /* names hold their folders; making one costs nothing and cannot be torn */
    return m->crashed ? FB_E_IO : FB_OK;
}

static void written_tell(const mem_files *m, const char *path, int64_t offset, fb_text bytes,
                         bool shorter, bool sync)
{
    mem_files_tell(m, &(crash_vfs_event){.op = CRASH_VFS_WRITE,
                                         .file = path,
                                         .offset = (uint64_t)offset,
                                         .data = bytes.data,
                                         .size = bytes.size});
    if (shorter) {
        mem_files_tell(m, &(crash_vfs_event){.op = CRASH_VFS_TRUNCATE,
                                             .file = path,
                                             .offset = (uint64_t)offset + bytes.size});
    }
    if (sync) {
        mem_files_tell(m, &(crash_vfs_event){.op = CRASH_VFS_SYNC, .file = path});
    }
}

static fb_code write_at(void *ctx, const char *path, int64_t offset, fb_text bytes, bool sync)
{
    mem_files *m = ctx;
    fb_code rc = mutate(m);
    if (rc != FB_OK) {
        return rc;
    }
    mem_file *f = find(m, path, false);
    int64_t size = f == NULL ? 0 : f->now.size;
    int64_t end = offset + (int64_t)bytes.size;
    if (offset < 0 || offset > size) {
        return FB_E_IO;
    }
    if (m->quota > 0 && used(m) - size + end > m->quota) {
        return FB_E_DISK_FULL;
    }
    f = f == NULL ? make(m, path) : f;
    char *grown = resize(f->now.data, end);
    if (bytes.size > 0) {
        memcpy(grown + offset, bytes.data, bytes.size);
    }
    f->now = (mem_bytes){grown, end};
    if (sync) {
        set_bytes(&f->synced, f->now.data, end);
        f->is_synced = true;
    }
    written_tell(m, path, offset, bytes, end < size, sync);
    return FB_OK;
}

static fb_code read_at(void *ctx, const char *path, int64_t offset, void *out, size_t size,
                       size_t *got_out)
{
    mem_files *m = ctx;
    const mem_file *f = find(m, path, false);
    if (m->crashed) {
        return FB_E_IO;
    }
    if (f == NULL) {
        return FB_E_NOT_FOUND;
    }
    int64_t left = offset < f->now.size ? f->now.size - offset : 0;
    size_t got = (int64_t)size < left ? size : (size_t)left;
    if (got > 0) {
        memcpy(out, f->now.data + offset, got);
    }
    *got_out = got;
    return FB_OK;
}

static fb_code size_of(void *ctx, const char *path, int64_t *size_out)
{
    mem_files *m = ctx;
    const mem_file *f = find(m, path, false);
    if (m->crashed) {
        return FB_E_IO;
    }
    if (f == NULL) {
        return FB_E_NOT_FOUND;
    }
    *size_out = f->now.size;
    return FB_OK;
}

static fb_code move(void *ctx, const char *from, const char *to)
{
    mem_files *m = ctx;
    fb_code rc = mutate(m);
    mem_file *f = find(m, from, false);
    if (rc != FB_OK || f == NULL) {
        return rc != FB_OK ? rc : FB_E_NOT_FOUND;
    }
    mem_file *old = find(m, to, true);
    if (old != NULL && old != f) {
        drop(old);
    }
    char *name = name_copy(to);
    crash_vfs_release(f->path);
    f->path = name;
    mem_files_tell(m, &(crash_vfs_event){.op = CRASH_VFS_RENAME, .file = from, .to = to});
    mem_files_tell(m, &(crash_vfs_event){.op = CRASH_VFS_SYNC, .file = to}); /* the folder: MFS-1 */
    return FB_OK;
}

static fb_code unlink_file(void *ctx, const char *path)
{
    mem_files *m = ctx;
    fb_code rc = mutate(m);
    mem_file *f = find(m, path, false);
    if (rc != FB_OK || f == NULL) {
        return rc;
    }
    f->removed = true;
    mem_files_tell(m, &(crash_vfs_event){.op = CRASH_VFS_DELETE, .file = path});
    return FB_OK;
}

/* The name of the entry of the folder that leads to this file, or is it; 0 bytes: not in it. */
static size_t entry_of(const mem_file *f, const char *folder, size_t size)
{
    bool within = f->path != NULL && !f->removed && strncmp(f->path, folder, size) == 0 &&
                  f->path[size] == '/';
    return within ? strcspn(f->path + size + 1, "/") : 0;
}

/* A folder whose name another file gave already. */
static bool was_before(const mem_files *m, int i, size_t size, size_t name_size)
{
    const char *path = m->files[i].path;
    bool found = false, folder = path[size + 1 + name_size] == '/';
    for (int k = 0; k < i && folder && !found; k++) {
        found = entry_of(&m->files[k], path, size) == name_size &&
                strncmp(m->files[k].path + size + 1, path + size + 1, name_size) == 0;
    }
    return found;
}

static fb_code each(void *ctx, const char *folder, fb_file_fn fn, void *fn_ctx)
{
    mem_files *m = ctx;
    size_t size = strlen(folder);
    fb_code rc = m->crashed ? FB_E_IO : FB_OK;
    for (int i = 0; rc == FB_OK && i < FILES_MAX; i++) {
        size_t name_size = entry_of(&m->files[i], folder, size);
        if (name_size > 0 && !was_before(m, i, size, name_size)) {
            char name[NAME_BYTES];
            snprintf(name, sizeof name, "%.*s", (int)name_size, m->files[i].path + size + 1);
            rc = fn(fn_ctx, name);
        }
    }
    return rc;
}

static fb_code free_bytes(void *ctx, const char *path, int64_t *bytes_out)
{
    const mem_files *m = ctx;
    (void)path;
    *bytes_out = m->quota > 0 ? m->quota - used(m) : PLENTY;
    return m->crashed ? FB_E_IO : FB_OK;
}

mem_files *mem_files_new(uint64_t seed)
{
    mem_files *m = calloc(1, sizeof *m);
    if (m == NULL) {
        abort();
    }
    m->seed = seed;
    m->port = (fb_files){.ctx = m,
                         .folder = folder,
                         .write = write_at,
                         .read = read_at,
                         .size = size_of,
                         .rename = move,
                         .remove = unlink_file,
                         .each = each,
                         .free_bytes = free_bytes};
    return m;
}

void mem_files_free(mem_files *m)
{
    for (int i = 0; m != NULL && i < FILES_MAX; i++) {
        drop(&m->files[i]);
    }
    free(m);
}

const fb_files *mem_files_port(mem_files *m)
{
    return &m->port;
}

void mem_files_crash_after(mem_files *m, uint64_t calls)
{
    m->crash_at = calls == 0 ? 0 : m->calls + calls;
}

bool mem_files_is_crashed(const mem_files *m)
{
    return m->crashed;
}

void mem_files_fail(mem_files *m, uint64_t calls, fb_code code, bool for_ever)
{
    m->fail_at = calls == 0 ? 0 : m->calls + calls;
    m->fail_code = code;
    m->fail_for_ever = for_ever;
}

bool mem_files_failed(const mem_files *m)
{
    return m->fail_at != 0 && m->calls >= m->fail_at;
}

void mem_files_quota(mem_files *m, int64_t bytes)
{
    m->quota = bytes;
}

uint64_t mem_files_calls(const mem_files *m)
{
    return m->calls;
}

static bool is_of(const mem_file *f, const char *machine)
{
    size_t size = strlen(machine);
    return f->path != NULL && strncmp(f->path, machine, size) == 0 && f->path[size] == '/';
}

/* Unsynced bytes behind the synced ones: kept, lost, or torn at a sector. */
static void lose_power(mem_files *m, mem_file *f)
{
    if (f->removed) {
        if (draw(m) % 2 == 0 || !f->is_synced) {
            drop(f);
            return;
        }
        f->removed = false;
    }
    uint64_t fate = draw(m) % 3;
    if (fate == 0) {
        return; /* the system had written it out */
    }
    if (!f->is_synced && fate == 1) {
        drop(f);
        return;
    }
    int64_t keep = f->is_synced ? f->synced.size : 0;
    int64_t torn = f->now.size / 2 / SECTOR * SECTOR;
    if (fate == 2 && torn > keep) {
        f->now.size = torn;
    } else {
        set_bytes(&f->now, f->synced.data, keep);
    }
}

void mem_files_reboot(mem_files *m, const char *machine)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (is_of(&m->files[i], machine)) {
            lose_power(m, &m->files[i]);
        }
    }
    m->crashed = false;
    m->crash_at = 0;
}

void mem_files_listen(mem_files *m, void (*fn)(void *ctx, const crash_vfs_event *e), void *ctx)
{
    m->listen = fn;
    m->listen_ctx = ctx;
}

void mem_files_put(mem_files *m, const char *path, const void *data, size_t size)
{
    mem_file *f = make(m, path);
    set_bytes(&f->now, data, (int64_t)size);
    set_bytes(&f->synced, data, (int64_t)size);
    f->is_synced = true;
}

bool mem_files_flip(mem_files *m, const char *path, int64_t at)
{
    mem_file *f = find(m, path, false);
    if (f == NULL || at >= f->now.size) {
        return false;
    }
    f->now.data[at] ^= 1;
    set_bytes(&f->synced, f->now.data, f->now.size);
    return true;
}

void mem_files_each(const mem_files *m,
                    void (*fn)(void *ctx, const char *path, const void *data, size_t size),
                    void *ctx)
{
    for (int i = 0; i < FILES_MAX; i++) {
        const mem_file *f = &m->files[i];
        if (f->path != NULL && !f->removed) {
            fn(ctx, f->path, f->now.data, (size_t)f->now.size);
        }
    }
}

void mem_files_copy(mem_files *m, const char *from, const char *to)
{
    char path[512];
    for (int i = 0; i < FILES_MAX; i++) {
        const mem_file *f = &m->files[i];
        if (is_of(f, from) && !f->removed) {
            snprintf(path, sizeof path, "%s%s", to, f->path + strlen(from));
            mem_files_put(m, path, f->now.data, (size_t)f->now.size);
        }
    }
}

void mem_files_remove(mem_files *m, const char *machine)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (is_of(&m->files[i], machine)) {
            drop(&m->files[i]);
        }
    }
}
