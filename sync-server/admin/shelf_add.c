/* shelf_add.c - writing into a folder of backups, pruning it, and writing out a moment: see
 * shelf.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob_file.h"
#include "sync-server/admin/shelf_inside.h"

/* A full copy after so many increments: a restore reads them all, and one damaged spoils the rest.
 */
enum { INCREMENTS_MAX = 200, PAGE_SIZE_AT = 16, BLOCK_BYTES = 1 << 20 };

/* ---- a file being written ---- */

typedef struct sink {
    const fb_files *files;
    char part[SHELF_NAME_BYTES];
    char *block;
    size_t used;
    int64_t bytes, written;
    fb_code code; /* first failure */
} sink;

static void sink_flush(sink *k, bool sync)
{
    if (k->code == FB_OK) {
        k->code =
            k->files->write(k->files->ctx, k->part, k->written, (fb_text){k->block, k->used}, sync);
        k->written += (int64_t)k->used;
    }
    k->used = 0;
}

static void sink_put(sink *k, const void *data, size_t size)
{
    const char *at = data;
    k->bytes += (int64_t)size;
    while (size > 0 && k->code == FB_OK) {
        size_t n = BLOCK_BYTES - k->used < size ? BLOCK_BYTES - k->used : size;
        memcpy(k->block + k->used, at, n);
        k->used += n;
        at += n;
        size -= n;
        if (k->used == BLOCK_BYTES) {
            sink_flush(k, false);
        }
    }
}

static fb_code sink_open(sink *k, const fb_files *files, const char *path, fb_error *err)
{
    *k = (sink){.files = files};
    snprintf(k->part, sizeof k->part, "%.4090s.part", path);
    fb_code rc = files->remove(files->ctx, k->part); /* of a run that died */
    if (rc != FB_OK) {
        return fail(err, rc, k->part, "cannot be removed: check folder and rights");
    }
    k->block = malloc(BLOCK_BYTES);
    return k->block != NULL ? FB_OK : fail(err, FB_E_NO_MEMORY, path, "out of memory");
}

static fb_code name_is_free(const sink *k, const char *path)
{
    int64_t size = 0;
    fb_code rc = k->files->size(k->files->ctx, path, &size);
    return rc == FB_E_NOT_FOUND ? FB_OK : rc == FB_OK ? FB_E_EXISTS : rc;
}

/* SHF-1. Who writes here holds the folder's lock, or the name is its own: nothing is replaced. */
static fb_code sink_close(sink *k, const char *path, fb_code rc, fb_error *err)
{
    bool told = rc != FB_OK;
    if (rc == FB_OK) {
        sink_flush(k, true);
        rc = k->code == FB_OK ? name_is_free(k, path) : k->code;
    }
    if (rc == FB_OK) {
        rc = k->files->rename(k->files->ctx, k->part, path);
    }
    if (rc != FB_OK) {
        fb_code ignored = k->files->remove(k->files->ctx, k->part);
        (void)ignored;
    }
    free(k->block);
    return rc == FB_OK || told ? rc
                               : fail(err, rc, path,
                                      "cannot be written: check that the name is free, folder, "
                                      "rights and free space");
}

/* ---- a moment, written out ---- */

static fb_code page_out(void *ctx, int64_t number, const uint8_t *page, uint32_t bytes)
{
    sink *k = ctx;
    (void)number;
    sink_put(k, page, bytes);
    return k->code;
}

fb_code shelf_write_image(shelf *c, uint32_t index, const char *to, fb_error *err)
{
    sink k;
    fb_code rc = sink_open(&k, c->files, to, err);
    if (rc == FB_OK) {
        rc = shelf_image(c, index, page_out, &k, err);
        if (rc != FB_OK && rc == k.code) {
            (void)fail(err, rc, to, "cannot be written: check free space");
        }
    }
    return sink_close(&k, to, rc, err);
}

/* ---- a new file ---- */

typedef struct adding {
    shelf *c;
    shelf_new *n;
    const uint8_t *snapshot;
    size_t size;
    digest *table, *before; /* of the snapshot; of the moment before, NULL: none */
    int64_t before_pages;
} adding;

static fb_code snapshot_map(adding *a, fb_error *err)
{
    struct stat st;
    int fd = open(a->n->snapshot, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= 512;
    void *bytes = good ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (fd >= 0) {
        close(fd);
    }
    if (bytes == MAP_FAILED) {
        return fail(err, FB_E_IO, a->n->snapshot, "the snapshot cannot be read");
    }
    a->snapshot = bytes;
    a->size = (size_t)st.st_size;
    uint32_t page = (uint32_t)a->snapshot[PAGE_SIZE_AT] << 8 | a->snapshot[PAGE_SIZE_AT + 1];
    page = page == 1 ? 65536 : page;
    if (page < 512 || a->size % page != 0) {
        return fail(err, FB_E_CORRUPT, a->n->snapshot, "the snapshot is no database");
    }
    a->n->head.page_bytes = page;
    a->n->head.pages = (int64_t)(a->size / page);
    return FB_OK;
}

static const uint8_t *page_of(const adding *a, int64_t n)
{
    return a->snapshot + (size_t)n * a->n->head.page_bytes;
}

static bool is_changed(const adding *a, int64_t n)
{
    return a->before == NULL || n >= a->before_pages ||
           memcmp(a->before[n].b, a->table[n].b, DIGEST_BYTES) != 0;
}

static fb_code table_make(adding *a)
{
    shelf_head *h = &a->n->head;
    a->table = calloc((size_t)h->pages, sizeof *a->table);
    if (a->table == NULL) {
        return FB_E_NO_MEMORY;
    }
    h->stored = 0;
    for (int64_t n = 0; n < h->pages; n++) {
        digest_of(page_of(a, n), h->page_bytes, &a->table[n]);
        h->stored += is_changed(a, n);
    }
    digest_of(a->table, (size_t)h->pages * sizeof *a->table, &h->image);
    return FB_OK;
}

/* Why an increment will not do; NULL: it will. */
static const char *full_reason(const adding *a)
{
    shelf *c = a->c;
    const shelf_point *last = c->count > 0 ? &c->points[c->count - 1] : NULL;
    if (last == NULL) {
        return "";
    }
    uint32_t full = shelf_full_before(c, c->count - 1);
    shelf_judge(c, full, c->count - 1);
    if (!last->good) {
        return last->why;
    }
    if (!id_equal(&last->head.epoch, &a->n->head.epoch)) {
        return "the database has a new epoch";
    }
    if (last->head.page_bytes != a->n->head.page_bytes) {
        return "the page size changed";
    }
    return c->count - 1 - full >= INCREMENTS_MAX ? "" : NULL;
}

/* The moment before, put together again: what it stands on is checked with every increment. */
static fb_code before_read(adding *a, fb_error *err)
{
    const char *why = a->n->full ? "" : full_reason(a);
    fb_error spoilt = {0};
    a->n->why_full[0] = '\0';
    a->n->head.full = why != NULL;
    if (why != NULL) {
        snprintf(a->n->why_full, sizeof a->n->why_full, "%s", why);
        return FB_OK;
    }
    uint32_t last = a->c->count - 1;
    fb_code rc = shelf_table(a->c, last, NULL, NULL, &a->before, &spoilt);
    if (rc == FB_E_CORRUPT) {
        a->n->head.full = true;
        snprintf(a->n->why_full, sizeof a->n->why_full, "%.100s", spoilt.message);
        return FB_OK;
    }
    if (rc != FB_OK) {
        return fail(err, rc, a->c->folder, "%s", spoilt.message);
    }
    a->before_pages = a->c->points[last].head.pages;
    a->n->head.before = a->c->points[last].own;
    return FB_OK;
}

static void records_put(const adding *a, sink *k)
{
    for (int64_t n = 0; n < a->n->head.pages; n++) {
        if (is_changed(a, n)) {
            int64_t number = n + 1;
            const uint8_t at[RECORD_HEAD_BYTES] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                                                   (uint8_t)(number >> 8), (uint8_t)number};
            sink_put(k, at, sizeof at);
            sink_put(k, page_of(a, n), a->n->head.page_bytes);
        }
    }
}

/* The digest is taken of what the file gives back, not of what was meant to be in it. */
static fb_code own_digest_put(sink *k)
{
    digest own;
    int64_t size = 0;
    sink_flush(k, false);
    FB_TRY(k->code);
    FB_TRY(blob_file_hash(k->files, k->part, &own, &size));
    sink_put(k, own.b, sizeof own.b);
    return k->code;
}

static fb_code file_write(adding *a, fb_error *err)
{
    char path[SHELF_NAME_BYTES];
    sink k;
    buf head;
    digest line;
    shelf_point_path(a->c->folder, a->n->head.number, a->n->head.full, path);
    buf_init(&head, HEAD_BYTES_MAX);
    message_line_put(&head, &SHELF_HEAD, &a->n->head);
    fb_code rc = head.code != FB_OK ? head.code : sink_open(&k, a->c->files, path, err);
    if (rc != FB_OK) {
        buf_clear(&head);
        return rc;
    }
    digest_of(head.data, head.size, &line);
    sink_put(&k, head.data, head.size);
    sink_put(&k, line.b, sizeof line.b);
    records_put(a, &k);
    rc = own_digest_put(&k);
    a->n->bytes = k.bytes;
    buf_clear(&head);
    if (rc != FB_OK) {
        (void)fail(err, rc, path, "cannot be written: check free space");
    }
    return sink_close(&k, path, rc, err);
}

fb_code shelf_add(shelf *c, shelf_new *n, fb_error *err)
{
    adding a = {.c = c, .n = n};
    n->head.version = SHELF_VERSION;
    n->head.number = c->count > 0 ? c->points[c->count - 1].number + 1 : 1;
    n->head.before = (digest){{0}};
    fb_code rc = snapshot_map(&a, err);
    if (rc == FB_OK) {
        rc = before_read(&a, err);
    }
    if (rc == FB_OK && (rc = table_make(&a)) != FB_OK) {
        (void)fail(err, rc, n->snapshot, "out of memory");
    }
    if (rc == FB_OK) {
        rc = file_write(&a, err);
    }
    if (a.snapshot != NULL) {
        munmap((void *)(uintptr_t)a.snapshot, a.size);
    }
    free(a.table);
    free(a.before);
    return rc;
}

/* ---- pruning ---- */

static int64_t good_from(const shelf *c, uint32_t from)
{
    int64_t count = 0;
    for (uint32_t i = from; i < c->count; i++) {
        count += c->points[i].good;
    }
    return count;
}

/* Out of the folder's names, for good before this returns: a rename is synced, a removal is not. */
static fb_code point_remove(const shelf *c, const shelf_point *p, const char *gone, fb_error *err)
{
    char path[SHELF_NAME_BYTES];
    shelf_point_path(c->folder, p->number, p->full, path);
    fb_code rc = c->files->rename(c->files->ctx, path, gone);
    return rc == FB_OK ? FB_OK : fail(err, rc, path, "cannot be removed: check folder and rights");
}

fb_code shelf_prune(const shelf *c, int64_t keep, uint32_t *removed_out, fb_error *err)
{
    char gone[SHELF_NAME_BYTES];
    uint32_t first = 0;
    for (uint32_t i = 1; i < c->count; i++) {
        if (c->points[i].good && c->points[i].full && good_from(c, i) >= keep) {
            first = i;
        }
    }
    snprintf(gone, sizeof gone, "%.4090s/.pruned", c->folder);
    /* SHF-4: newest first, each for good before the next. */
    for (uint32_t i = first; i-- > 0;) {
        FB_TRY(point_remove(c, &c->points[i], gone, err));
        (*removed_out)++;
    }
    fb_code rc = c->files->remove(c->files->ctx, gone); /* also of a run that died */
    return rc == FB_OK ? FB_OK : fail(err, rc, gone, "cannot be removed: check folder and rights");
}
