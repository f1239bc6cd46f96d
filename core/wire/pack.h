/* pack.h - zstd for bodies: bounded in both directions. */
#ifndef FB_WIRE_PACK_H
#define FB_WIRE_PACK_H

#include "base/bytes.h"

/* Append the compressed form of `in` (level 1). */
FB_MUST_USE fb_code pack_put(buf *out, fb_text in);
/* The same, pressed harder (level 9): for what is made once and sent often. */
FB_MUST_USE fb_code pack_put_small(buf *out, fb_text in);
/* Append the unpacked form; E_LIMIT beyond max_bytes, E_PROTOCOL for damage or trailing bytes. */
FB_MUST_USE fb_code pack_get(buf *out, fb_text in, size_t max_bytes);

/* The same with the state of zstd kept between calls: for many small texts. One thread at a time.
 */
typedef struct packer packer;
packer *packer_new(void);    /* NULL when out of memory */
void packer_free(packer *p); /* NULL is fine */
FB_MUST_USE fb_code packer_put(packer *p, buf *out, fb_text in);
FB_MUST_USE fb_code packer_get(packer *p, buf *out, fb_text in, size_t max_bytes);

#endif
