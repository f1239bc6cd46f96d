/* shelf_inside.h - what shelf.c (reading) and shelf_add.c (writing) share; nobody else includes it.
 */
#ifndef FB_ADMIN_SHELF_INSIDE_H
#define FB_ADMIN_SHELF_INSIDE_H

#include "sync-server/admin/shelf.h"
#include "wire/fields.h"

enum { SHELF_VERSION = 1, HEAD_BYTES_MAX = 4096, RECORD_HEAD_BYTES = 4 };
static const int64_t SHELF_PAGES_MAX = INT64_C(1) << 31;

extern const message SHELF_HEAD;

/* The full copy that this file stands on, by names. */
static inline uint32_t shelf_full_before(const shelf *c, uint32_t index)
{
    while (index > 0 && !c->points[index].full) {
        index--;
    }
    return index;
}

static inline const uint8_t *record_at(const shelf_point *p, int64_t i)
{
    return p->records + (size_t)i * (p->head.page_bytes + RECORD_HEAD_BYTES);
}

/* shelf_image that also gives the digest of every page; the caller frees the table. */
FB_MUST_USE fb_code shelf_table(shelf *c, uint32_t index, shelf_page_fn fn, void *ctx,
                                digest **table_out, fb_error *err);

#endif
