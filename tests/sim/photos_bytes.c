/* photos_bytes.c - the bytes of a picture, and where they stand. See photos.h.
 *
 * They follow from a number: the oracle makes them again and compares. */
#include "sim/photos.h"

#include <stdio.h>
#include <string.h>

/* ---- bytes ---- */

static size_t content_size(uint64_t number, int part)
{
    bool large = part == ORIGINAL && mix64(number, 4) % 4 == 0;
    return 1 + (size_t)(mix64(number, 5) % (large ? LARGE_BYTES_MAX : SMALL_BYTES_MAX));
}

void content_make(uint64_t number, int part, content *out)
{
    out->size = content_size(number, part);
    uint64_t word = number;
    for (size_t i = 0; i < out->size; i++) {
        word = i % 8 == 0 ? mix64(word, 6) : word >> 8;
        out->bytes[i] = (unsigned char)word;
    }
}

fb_text content_text(const content *c)
{
    return (fb_text){(const char *)c->bytes, c->size};
}

/* ---- files on the disks ---- */

typedef struct lent {
    const char *file;
    const void *data;
    size_t size;
} lent;

static void lent_take(void *ctx, const char *file, const void *data, size_t size)
{
    lent *l = ctx;
    if (strcmp(file, l->file) == 0) {
        l->data = data != NULL ? data : "";
        l->size = size;
    }
}

bool stands(sim *s, const char *file, const content *c)
{
    lent l = {.file = file};
    crash_vfs_each(s->vfs, lent_take, &l);
    return l.data != NULL && l.size == c->size && memcmp(l.data, c->bytes, c->size) == 0;
}

bool server_has(sim *s, const char *folder, const content *c)
{
    digest hash;
    char name[BLOB_NAME_BYTES + 1], file[160];
    digest_of(c->bytes, c->size, &hash);
    blob_name_put(&hash, name);
    snprintf(file, sizeof file, "%s/%.2s/%.2s/%s", folder, name, name + 2, name);
    return stands(s, file, c);
}

bool name_of(const char *file, digest *out)
{
    const char *name = strrchr(file, '/');
    bool within = strstr(file, ".blobs/") != NULL || strncmp(file, BACKUP_FOLDER, 12) == 0;
    return within && name != NULL && blob_name_get(text_of(name + 1), out);
}
