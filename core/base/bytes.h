/* bytes.h - growing buffers, arenas and checked size arithmetic.
 *
 * buf    one growing run of bytes with a maximum; failure sticks (BUF-1), so that a message
 *        is written as a plain list of puts followed by one check of `code`.
 * arena  many small allocations released together; used once per transaction or request. Failure
 *        sticks here too (ARN-1): who took many texts asks arena_failed once at the end. */
#ifndef FB_BASE_BYTES_H
#define FB_BASE_BYTES_H

#include "fieldbook/error.h"
#include "fieldbook/types.h"

typedef struct buf {
    char *data;      /* owned; NULL while empty; never terminated unless buf_cstr was called */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t max;      /* hard limit; growing beyond sets code = E_LIMIT */
    fb_code code;    /* first failure: FB_E_LIMIT or FB_E_NO_MEMORY; then every put does nothing */
} buf;

void buf_init(buf *b, size_t max_bytes);
void buf_clear(buf *b); /* frees; the buffer may be initialised or used again (same max) */
void buf_reset(buf *b); /* size = 0, code = OK, keeps the memory */
void buf_put(buf *b, const void *data, size_t size);
void buf_put_text(buf *b, fb_text t);
void buf_put_str(buf *b, const char *terminated);
void buf_put_char(buf *b, char c);
void buf_printf(buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `size` more bytes at the returned address; commit them with b->size += n. NULL on
 * failure. */
char *buf_reserve(buf *b, size_t size);
/* Terminates the content (not counted in size) and returns it; "" when empty or failed. */
const char *buf_cstr(buf *b);
fb_text buf_text(const buf *b);

typedef struct arena arena;
arena *arena_new(size_t max_bytes); /* NULL when out of memory */
void arena_free(arena *a);          /* NULL is fine */
void arena_reset(arena *a);         /* keeps the first block */
void *arena_take(arena *a,
                 size_t size); /* zeroed, aligned to 16; NULL beyond the maximum or memory */
fb_text arena_text(arena *a, fb_text t); /* copies and terminates; data NULL on failure */
char *arena_str(arena *a, const char *s);
/* The content of a buffer, which is cleared; data NULL when the buffer had failed or memory is out.
 */
fb_text arena_keep(arena *a, buf *take);
bool arena_failed(const arena *a); /* something was refused since arena_new or arena_reset */

fb_text text_of(const char *terminated); /* borrowed view; NULL gives {NULL,0} */
bool text_equal(fb_text a, fb_text b);
bool text_is(fb_text a, const char *terminated);
int text_compare(fb_text a, fb_text b); /* bytewise, shorter first */

bool size_add(size_t a, size_t b, size_t *sum_out); /* false on overflow */
bool size_mul(size_t a, size_t b, size_t *product_out);

void bytes_wipe(void *data, size_t size);                       /* not optimised away */
bool bytes_equal_ct(const void *a, const void *b, size_t size); /* constant time */
void hex_put(buf *b, const void *data, size_t size);            /* lower case */
bool hex_get(fb_text hex, void *out, size_t size); /* exactly size*2 lower-case digits */

#endif
