/* blob_file.c - the files of blob.h: names, locks, pieces. No database here. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/blob/blob_inside.h"

enum { PATH_BYTES_LIMIT = 8192 };

fb_code blob_place_init(blob_place *p, const fb_files *files, const char *database,
                        const blob_limits *limits)
{
    buf name;
    p->files = files;
    p->limits = *limits;
    buf_init(&name, PATH_BYTES_LIMIT);
    buf_printf(&name, "%s.blobs", database);
    const char *folder = buf_cstr(&name);
    p->folder = name.code == FB_OK ? strdup(folder) : NULL;
    buf_clear(&name);
    return p->folder != NULL ? FB_OK : FB_E_NO_MEMORY;
}

void blob_place_clear(blob_place *p)
{
    free(p->folder);
    p->folder = NULL;
}

const char *blob_path_in(const char *folder, const digest *hash, buf *path)
{
    char name[BLOB_NAME_BYTES + 1];
    blob_name_put(hash, name);
    buf_init(path, PATH_BYTES_LIMIT);
    buf_printf(path, "%s/%.2s/%.2s/%s", folder, name, name + 2, name);
    return buf_cstr(path);
}

const char *blob_place_path(const blob_place *p, const digest *hash, buf *path)
{
    return blob_path_in(p->folder, hash, path);
}

const char *blob_part_path(const blob_place *p, const digest *hash, const fb_id *device, buf *path)
{
    char name[BLOB_NAME_BYTES + 1];
    char id[FB_ID_TEXT_BYTES];
    blob_name_put(hash, name);
    id_put(device, id);
    buf_init(path, PATH_BYTES_LIMIT);
    buf_printf(path, "%s/part/%s-%s", p->folder, name, id);
    return buf_cstr(path);
}

static fb_code folder_make(const fb_files *f, const char *root, const char *below, size_t size)
{
    buf path;
    buf_init(&path, PATH_BYTES_LIMIT);
    buf_printf(&path, "%s%s%.*s", root, size > 0 ? "/" : "", (int)size, below);
    const char *name = buf_cstr(&path);
    fb_code rc = path.code == FB_OK ? f->folder(f->ctx, name) : path.code;
    buf_clear(&path);
    return rc;
}

fb_code blob_folders_make(const fb_files *f, const char *root, const digest *hash)
{
    char below[BLOB_NAME_BYTES + 2];
    char name[BLOB_NAME_BYTES + 1];
    blob_name_put(hash, name);
    memcpy(below, name, 2);
    below[2] = '/';
    memcpy(below + 3, name + 2, 2);
    FB_TRY(folder_make(f, root, "", 0));
    FB_TRY(folder_make(f, root, below, 2));
    return folder_make(f, root, below, 5);
}

fb_code blob_file_size(const blob_place *p, const char *path, int64_t *out)
{
    fb_code rc = p->files->size(p->files->ctx, path, out);
    if (rc == FB_E_NOT_FOUND) {
        *out = -1;
        return FB_OK;
    }
    return rc;
}

fb_code blob_is_there(const blob_place *p, const digest *hash, int64_t size, bool *out)
{
    buf path;
    int64_t found = -1;
    const char *name = blob_place_path(p, hash, &path);
    fb_code rc = path.code == FB_OK ? blob_file_size(p, name, &found) : path.code;
    buf_clear(&path);
    *out = found == size;
    return rc;
}

fb_code blob_part_size(const blob_place *p, const digest *hash, const fb_id *device, int64_t *out)
{
    buf path;
    const char *name = blob_part_path(p, hash, device, &path);
    fb_code rc = path.code == FB_OK ? blob_file_size(p, name, out) : path.code;
    buf_clear(&path);
    *out = *out < 0 ? 0 : *out;
    return rc;
}

/* ---- locks: one request at a time writes a part. Parts that meet by chance wait: E_BUSY ---- */

static uint64_t lock_number(const blob_caller *c, const digest *hash)
{
    uint64_t a = 0;
    uint64_t b = 0;
    memcpy(&a, hash->b, sizeof a);
    memcpy(&b, c->device.b + 8, sizeof b);
    return (a ^ b) == 0 ? 1 : a ^ b;
}

static _Atomic uint64_t *lock_take(blob_place *p, uint64_t number)
{
    _Atomic uint64_t *lock = &p->locks[number % BLOB_LOCKS];
    uint64_t nobody = 0;
    return atomic_compare_exchange_strong(lock, &nobody, number) ? lock : NULL;
}

/* ---- pieces ---- */

static fb_code room_check(const blob_place *p, uint32_t count)
{
    int64_t free_bytes = 0;
    FB_TRY(p->files->free_bytes(p->files->ctx, p->folder, &free_bytes));
    return free_bytes - (int64_t)count >= p->limits.free_bytes_min ? FB_OK : FB_E_DISK_FULL;
}

/* The part is as long as the file should be: give it its name, or drop it. */
static fb_code part_finish(blob_place *p, const blob_put *q, const char *part, const char *path,
                           bool *whole_out)
{
    FB_TRY(blob_folders_make(p->files, p->folder, &q->hash));
    fb_code rc = blob_file_finish(p->files, part, path, &q->hash, q->size);
    *whole_out = rc == FB_OK;
    return rc == FB_E_CORRUPT ? FB_E_INVALID : rc;
}

/* A piece for another place than the part's end is left alone: an answer was lost, and the device
 * is told where to go on. A part that is whole already was not finished: its last request failed
 * between the write and the name (test_attachment_crash). */
static fb_code piece_take(blob_place *p, const blob_put *q, const char *part, const char *path,
                          int64_t *size, bool *whole_out)
{
    if (*size < q->size && *size != q->offset) {
        return FB_OK;
    }
    if (*size < q->size) {
        FB_TRY(p->files->write(p->files->ctx, part, q->offset, q->bytes, true));
        *size = q->offset + (int64_t)q->count;
    }
    return *size < q->size ? FB_OK : part_finish(p, q, part, path, whole_out);
}

static fb_code put_locked(blob_place *p, const blob_caller *c, const blob_put *q,
                          int64_t *offset_out, bool *whole_out)
{
    buf part;
    buf path;
    int64_t size = -1;
    FB_TRY(folder_make(p->files, p->folder, "", 0));
    FB_TRY(folder_make(p->files, p->folder, "part", 4));
    FB_TRY(room_check(p, q->count));
    const char *part_name = blob_part_path(p, &q->hash, &c->device, &part);
    const char *name = blob_place_path(p, &q->hash, &path);
    fb_code rc = part.code != FB_OK ? part.code : path.code;
    if (rc == FB_OK && (rc = blob_file_size(p, part_name, &size)) == FB_OK) {
        *offset_out = size < 0 ? 0 : size;
        rc = piece_take(p, q, part_name, name, offset_out, whole_out);
    }
    buf_clear(&part);
    buf_clear(&path);
    return rc;
}

fb_code blob_put_write(blob_place *p, const blob_caller *c, const blob_put *q, int64_t *offset_out,
                       bool *whole_out)
{
    _Atomic uint64_t *lock = lock_take(p, lock_number(c, &q->hash));
    if (lock == NULL) {
        return FB_E_BUSY;
    }
    *whole_out = false;
    fb_code rc = put_locked(p, c, q, offset_out, whole_out);
    atomic_store(lock, 0);
    return rc;
}

fb_code blob_get_read(const blob_place *p, const digest *hash, blob_got *m, buf *out)
{
    buf path;
    size_t got = 0;
    char *room = buf_reserve(out, m->count);
    if (room == NULL) {
        return out->code;
    }
    const char *name = blob_place_path(p, hash, &path);
    fb_code rc = path.code == FB_OK
                     ? p->files->read(p->files->ctx, name, m->offset, room, m->count, &got)
                     : path.code;
    buf_clear(&path);
    if (rc == FB_OK && got != m->count) {
        rc = FB_E_IO; /* shorter than a moment ago */
    }
    if (rc == FB_OK) {
        out->size += got;
        m->bytes = buf_text(out);
    }
    return rc;
}
