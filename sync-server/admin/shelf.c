/* shelf.c - reading a folder of backups: see shelf.h. Writing is shelf_add.c. */
#include "sync-server/admin/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sync-server/admin/shelf_inside.h"

/* ---- the head ---- */

#define AT(name) offsetof(shelf_head, name)
static const field HEAD_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(version)},
    {"number", FIELD_COUNT, FIELD_REQUIRED, AT(number)},
    {"full", FIELD_FLAG, FIELD_OPTIONAL, AT(full)},
    {"page", FIELD_U32, FIELD_REQUIRED, AT(page_bytes)},
    {"pages", FIELD_COUNT, FIELD_REQUIRED, AT(pages)},
    {"stored", FIELD_COUNT, FIELD_OPTIONAL, AT(stored)},
    {"commit", FIELD_COUNT, FIELD_OPTIONAL, AT(commit)},
    {"entries", FIELD_COUNT, FIELD_OPTIONAL, AT(entries)},
    {"at", FIELD_I64, FIELD_REQUIRED, AT(at_ms)},
    {"epoch", FIELD_ID, FIELD_REQUIRED, AT(epoch)},
    {"before", FIELD_DIGEST, FIELD_OPTIONAL, AT(before)},
    {"image", FIELD_DIGEST, FIELD_REQUIRED, AT(image)},
};
#undef AT
const message SHELF_HEAD = MESSAGE("backup", HEAD_FIELDS);

static void bad(shelf_point *p, const char *why)
{
    snprintf(p->why, sizeof p->why, "%s", why);
    p->good = false;
}

/* The line, and its digest behind it: a moment is chosen by what heads say. */
static fb_code head_read(shelf_point *p, arena *scratch)
{
    digest own;
    size_t most = p->size < HEAD_BYTES_MAX ? p->size : HEAD_BYTES_MAX;
    const uint8_t *end = most > 0 ? memchr(p->bytes, '\n', most) : NULL;
    size_t size = end != NULL ? (size_t)(end - p->bytes) : 0;
    if (end == NULL || p->size - size - 1 < 2 * DIGEST_BYTES) {
        return FB_E_CORRUPT;
    }
    digest_of(p->bytes, size + 1, &own);
    if (memcmp(own.b, end + 1, DIGEST_BYTES) != 0) {
        return FB_E_CORRUPT;
    }
    FB_TRY(message_get((fb_text){(const char *)p->bytes, size}, scratch, &SHELF_HEAD, &p->head));
    p->records = end + 1 + DIGEST_BYTES;
    return FB_OK;
}

static void head_get(shelf_point *p)
{
    arena *scratch = arena_new(1 << 16);
    p->good = scratch != NULL && head_read(p, scratch) == FB_OK;
    if (!p->good) {
        bad(p, "its head cannot be read");
    }
    arena_free(scratch);
}

/* Sizes are checked before anything is multiplied or read. */
static bool geometry_fits(const shelf_point *p)
{
    const shelf_head *h = &p->head;
    int64_t record = (int64_t)h->page_bytes + RECORD_HEAD_BYTES;
    size_t left = p->size - (size_t)(p->records - p->bytes);
    return h->version == SHELF_VERSION && h->number == p->number && h->full == p->full &&
           h->page_bytes >= 512 && h->page_bytes <= 65536 && h->pages > 0 &&
           h->pages <= SHELF_PAGES_MAX && h->stored <= h->pages &&
           (!h->full || h->stored == h->pages) &&
           left == (size_t)(h->stored * record) + DIGEST_BYTES;
}

static int64_t record_number(const shelf_point *p, int64_t i)
{
    const uint8_t *at = record_at(p, i);
    return (int64_t)at[0] << 24 | (int64_t)at[1] << 16 | (int64_t)at[2] << 8 | at[3];
}

static bool records_ascend(const shelf_point *p)
{
    int64_t last = 0;
    for (int64_t i = 0; i < p->head.stored; i++) {
        int64_t number = record_number(p, i);
        if (number <= last || number > p->head.pages) {
            return false;
        }
        last = number;
    }
    return true;
}

static void point_judge(shelf_point *p)
{
    p->judged = true;
    if (!p->good) {
        return;
    }
    digest_of(p->bytes, p->size - DIGEST_BYTES, &p->own);
    if (memcmp(p->own.b, p->bytes + p->size - DIGEST_BYTES, DIGEST_BYTES) != 0) {
        bad(p, "its bytes are not the ones that were written");
    } else if (!geometry_fits(p) || !records_ascend(p)) {
        bad(p, "its head does not fit its pages");
    }
}

static bool follows(const shelf_point *p, const shelf_point *before)
{
    return before != NULL && before->good && before->number + 1 == p->number &&
           memcmp(p->head.before.b, before->own.b, DIGEST_BYTES) == 0 &&
           p->head.page_bytes == before->head.page_bytes;
}

void shelf_judge(shelf *c, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last && i < c->count; i++) {
        shelf_point *p = &c->points[i];
        if (p->judged) {
            continue;
        }
        point_judge(p);
        if (p->good && !p->full && !follows(p, i > 0 ? &c->points[i - 1] : NULL)) {
            bad(p, "the file before it is missing, damaged or of another chain");
        }
    }
}

/* ---- the folder ---- */

bool shelf_is_folder(const char *path)
{
    struct stat st;
    size_t size = strlen(path);
    return (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || (size > 0 && path[size - 1] == '/');
}

void shelf_point_path(const char *folder, int64_t number, bool full, char out[SHELF_NAME_BYTES])
{
    snprintf(out, SHELF_NAME_BYTES, "%.4096s/%08lld.%s", folder, (long long)number,
             full ? "full" : "inc");
}

/* "00000012.inc"; 0: another file. */
static int64_t number_of_name(const char *name, bool *full)
{
    int64_t number = 0;
    for (int i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return 0;
        }
        number = number * 10 + (name[i] - '0');
    }
    *full = strcmp(name + 8, ".full") == 0;
    return *full || strcmp(name + 8, ".inc") == 0 ? number : 0;
}

static void point_map(const shelf *c, shelf_point *p)
{
    char path[SHELF_NAME_BYTES];
    struct stat st;
    shelf_point_path(c->folder, p->number, p->full, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        p->bytes = bytes != MAP_FAILED ? bytes : NULL;
        p->size = p->bytes != NULL ? (size_t)st.st_size : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static fb_code names_take(shelf *c, DIR *d, fb_error *err)
{
    uint32_t capacity = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        bool full = false;
        int64_t number = strlen(e->d_name) > 8 ? number_of_name(e->d_name, &full) : 0;
        if (number == 0) {
            continue;
        }
        if (c->count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            shelf_point *wider =
                capacity <= SHELF_POINTS_MAX ? realloc(c->points, capacity * sizeof *wider) : NULL;
            if (wider == NULL) {
                return fail(err, FB_E_LIMIT, c->folder, "too many backups: prune with --keep");
            }
            c->points = wider;
        }
        c->points[c->count] = (shelf_point){.number = number, .full = full};
        point_map(c, &c->points[c->count++]);
    }
    return FB_OK;
}

static int by_number(const void *a, const void *b)
{
    const shelf_point *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

fb_code shelf_open(const fb_files *files, const char *folder, shelf *out, fb_error *err)
{
    *out = (shelf){.files = files};
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') {
        size--;
    }
    snprintf(out->folder, sizeof out->folder, "%.*s", (int)size, folder);
    DIR *d = opendir(out->folder);
    if (d == NULL) {
        return fail(err, errno == ENOENT ? FB_E_NOT_FOUND : FB_E_IO, folder,
                    "the folder of backups cannot be read: check its name and rights");
    }
    fb_code rc = names_take(out, d, err);
    closedir(d);
    if (rc != FB_OK) {
        shelf_close(out);
        return rc;
    }
    if (out->count > 0) {
        qsort(out->points, out->count, sizeof *out->points, by_number);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        head_get(&out->points[i]);
    }
    return FB_OK;
}

void shelf_close(shelf *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->points[i].bytes != NULL) {
            munmap((void *)(uintptr_t)c->points[i].bytes, c->points[i].size);
        }
    }
    free(c->points);
    *c = (shelf){.count = 0};
}

/* Commits and times grow with the numbers, so the search goes from the newest down. */
fb_code shelf_find(const shelf *c, int64_t commit_max, int64_t at_max_ms, uint32_t *index_out,
                   fb_error *err)
{
    const shelf_point *unread = NULL;
    for (uint32_t i = c->count; i-- > 0;) {
        const shelf_point *p = &c->points[i];
        bool fits =
            p->records != NULL && p->head.commit <= commit_max && p->head.at_ms <= at_max_ms;
        if (fits && unread != NULL) {
            return fail(err, FB_E_CORRUPT, c->folder,
                        "the head of backup %lld cannot be read: it may be the moment you asked "
                        "for; name another one with --number, for example %lld",
                        (long long)unread->number, (long long)p->number);
        }
        if (fits) {
            *index_out = i;
            return FB_OK;
        }
        unread = p->records == NULL ? p : NULL;
    }
    return fail(err, FB_E_NOT_FOUND, c->folder,
                "no backup is as old as that: see backup list, or name a later moment");
}

/* ---- putting together ---- */

/* Every file that this moment stands on must be good. */
static fb_code full_of(shelf *c, uint32_t index, uint32_t *out, fb_error *err)
{
    char name[SHELF_NAME_BYTES];
    *out = shelf_full_before(c, index);
    shelf_judge(c, *out, index);
    for (uint32_t i = *out; i <= index; i++) {
        const shelf_point *p = &c->points[i];
        if (!p->good) {
            shelf_point_path(c->folder, p->number, p->full, name);
            return fail(err, FB_E_CORRUPT, name, "%s: use a moment before it, or another folder",
                        p->why);
        }
    }
    return FB_OK;
}

static fb_code pages_find(const shelf *c, uint32_t from, uint32_t to, const uint8_t **pages)
{
    int64_t count = c->points[to].head.pages;
    for (uint32_t i = from; i <= to; i++) {
        const shelf_point *p = &c->points[i];
        for (int64_t r = 0; r < p->head.stored; r++) {
            int64_t number = record_number(p, r);
            if (number <= count) {
                pages[number - 1] = record_at(p, r) + RECORD_HEAD_BYTES;
            }
        }
    }
    for (int64_t n = 0; n < count; n++) {
        if (pages[n] == NULL) {
            return FB_E_CORRUPT;
        }
    }
    return FB_OK;
}

static fb_code pages_give(const shelf_head *h, const uint8_t **pages, digest *table,
                          shelf_page_fn fn, void *ctx)
{
    digest image;
    for (int64_t n = 0; n < h->pages; n++) {
        digest_of(pages[n], h->page_bytes, &table[n]);
        if (fn != NULL) {
            FB_TRY(fn(ctx, n + 1, pages[n], h->page_bytes));
        }
    }
    digest_of(table, (size_t)h->pages * sizeof *table, &image);
    return memcmp(image.b, h->image.b, sizeof image.b) == 0 ? FB_OK : FB_E_CORRUPT;
}

fb_code shelf_table(shelf *c, uint32_t index, shelf_page_fn fn, void *ctx, digest **table_out,
                    fb_error *err)
{
    uint32_t from = 0;
    FB_TRY(full_of(c, index, &from, err));
    const shelf_head *h = &c->points[index].head;
    const uint8_t **pages = calloc((size_t)h->pages, sizeof *pages);
    digest *table = calloc((size_t)h->pages, sizeof *table);
    fb_code rc = pages != NULL && table != NULL ? FB_OK : FB_E_NO_MEMORY;
    bool given = false;
    if (rc == FB_OK) {
        rc = pages_find(c, from, index, pages);
    }
    if (rc == FB_OK) {
        given = true;
        rc = pages_give(h, pages, table, fn, ctx);
    }
    free(pages);
    if (rc == FB_OK) {
        *table_out = table;
        return FB_OK;
    }
    free(table);
    if (rc == FB_E_CORRUPT) {
        return fail(err, rc, c->folder,
                    "the database of backup %lld does not come out as it was: use another moment",
                    (long long)h->number);
    }
    return given ? rc : fail(err, rc, c->folder, "out of memory");
}

fb_code shelf_image(shelf *c, uint32_t index, shelf_page_fn fn, void *ctx, fb_error *err)
{
    digest *table = NULL;
    fb_code rc = shelf_table(c, index, fn, ctx, &table, err);
    free(table);
    return rc;
}
