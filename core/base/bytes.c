/* bytes.c - see bytes.h for buf, arena, BUF-1 and ARN-1. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BUF_FIRST_BYTES = 256 };

void buf_init(buf *b, size_t max_bytes)
{
    *b = (buf){.max = max_bytes};
}

void buf_clear(buf *b)
{
    free(b->data);
    *b = (buf){.max = b->max};
}

void buf_reset(buf *b)
{
    b->size = 0;
    b->code = FB_OK;
}

/* Allocates for `wanted` bytes of content and one terminator; false sets the code. */
static bool grow(buf *b, size_t wanted)
{
    size_t capacity = b->capacity < SIZE_MAX / 2 ? b->capacity * 2 : SIZE_MAX;
    if (capacity < BUF_FIRST_BYTES) {
        capacity = BUF_FIRST_BYTES;
    }
    if (capacity > b->max) {
        capacity = b->max;
    }
    if (capacity < wanted) {
        capacity = wanted;
    }
    char *data = capacity < SIZE_MAX ? realloc(b->data, capacity + 1) : NULL;
    if (data == NULL) {
        b->code = FB_E_NO_MEMORY; /* BUF-1 */
        return false;
    }
    b->data = data;
    b->capacity = capacity + 1;
    return true;
}

char *buf_reserve(buf *b, size_t size)
{
    if (b->code != FB_OK) {
        return NULL;
    }
    FB_ASSERT(b->size <= b->max && (b->data != NULL || b->size == 0));
    size_t wanted = 0;
    if (!size_add(b->size, size, &wanted) || wanted > b->max) {
        b->code = FB_E_LIMIT; /* BUF-1 */
        return NULL;
    }
    if (wanted >= b->capacity && !grow(b, wanted)) {
        return NULL;
    }
    return b->data + b->size;
}

void buf_put(buf *b, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    char *to = buf_reserve(b, size);
    if (to != NULL) {
        memcpy(to, data, size);
        b->size += size;
    }
}

void buf_put_text(buf *b, fb_text t)
{
    buf_put(b, t.data, t.size);
}

void buf_put_str(buf *b, const char *terminated)
{
    buf_put(b, terminated, strlen(terminated));
}

void buf_put_char(buf *b, char c)
{
    char *to = buf_reserve(b, 1);
    if (to != NULL) {
        *to = c;
        b->size++;
    }
}

void buf_printf(buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    FB_ASSERT(size >= 0);
    char *to = buf_reserve(b, (size_t)size);
    if (to == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(to, (size_t)size + 1, format, args); /* capacity always leaves room for the end */
    va_end(args);
    b->size += (size_t)size;
}

const char *buf_cstr(buf *b)
{
    if (b->code != FB_OK || b->data == NULL) {
        return "";
    }
    FB_ASSERT(b->size < b->capacity);
    b->data[b->size] = '\0';
    return b->data;
}

fb_text buf_text(const buf *b)
{
    return b->code == FB_OK ? (fb_text){b->data, b->size} : (fb_text){NULL, 0};
}

/* Arena: blocks in a list, the newest first; `first` is kept by arena_reset. */
enum { BLOCK_FIRST_BYTES = 4 << 10, BLOCK_BYTES_MAX = 256 << 10, ALIGN = 16 };

typedef struct block {
    struct block *before;
    size_t size, used;
    _Alignas(ALIGN) char data[];
} block;

struct arena {
    block *newest, *first;
    size_t max, taken;
    bool failed;
};

arena *arena_new(size_t max_bytes)
{
    arena *a = malloc(sizeof *a);
    if (a != NULL) {
        *a = (arena){.max = max_bytes};
    }
    return a;
}

void arena_reset(arena *a)
{
    while (a->newest != a->first) {
        block *b = a->newest;
        a->newest = b->before;
        free(b);
    }
    if (a->first != NULL) {
        a->first->used = 0;
    }
    a->taken = 0;
    a->failed = false;
}

void arena_free(arena *a)
{
    if (a == NULL) {
        return;
    }
    arena_reset(a);
    free(a->first);
    free(a);
}

static block *block_add(arena *a, size_t size)
{
    size_t wanted = a->newest == NULL ? BLOCK_FIRST_BYTES : a->newest->size;
    if (a->newest != NULL && wanted < BLOCK_BYTES_MAX) {
        wanted *= 2;
    }
    if (wanted > BLOCK_BYTES_MAX) {
        wanted = BLOCK_BYTES_MAX;
    }
    if (wanted < size) {
        wanted = size;
    }
    size_t bytes = 0;
    block *b = size_add(wanted, sizeof(block), &bytes) ? malloc(bytes) : NULL;
    if (b == NULL) {
        return NULL;
    }
    b->before = a->newest;
    b->size = wanted;
    b->used = 0;
    a->newest = b;
    if (a->first == NULL) {
        a->first = b;
    }
    return b;
}

static void *take_inside(arena *a, size_t size)
{
    size_t rounded = 0;
    if (!size_add(size, ALIGN - 1, &rounded)) {
        return NULL;
    }
    rounded &= ~(size_t)(ALIGN - 1);
    if (rounded > a->max - a->taken) {
        return NULL;
    }
    block *b = a->newest;
    if ((b == NULL || b->size - b->used < rounded) && (b = block_add(a, rounded)) == NULL) {
        return NULL;
    }
    char *at = b->data + b->used;
    b->used += rounded;
    a->taken += rounded;
    return at;
}

/* `size` bytes, not zeroed. */
static void *take(arena *a, size_t size)
{
    void *at = take_inside(a, size);
    a->failed = a->failed || at == NULL; /* ARN-1 */
    return at;
}

void *arena_take(arena *a, size_t size)
{
    void *at = take(a, size);
    return at != NULL ? memset(at, 0, size) : NULL;
}

fb_text arena_text(arena *a, fb_text t)
{
    size_t bytes = 0;
    char *at = take(a, size_add(t.size, 1, &bytes) ? bytes : SIZE_MAX);
    if (at == NULL) {
        return (fb_text){NULL, 0};
    }
    if (t.size > 0) {
        memcpy(at, t.data, t.size);
    }
    at[t.size] = '\0';
    return (fb_text){at, t.size};
}

char *arena_str(arena *a, const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *at = take(a, bytes);
    return at != NULL ? memcpy(at, s, bytes) : NULL;
}

fb_text arena_keep(arena *a, buf *take)
{
    fb_text kept = {NULL, 0};
    if (take->code == FB_OK) {
        kept = arena_text(a, buf_text(take));
    } else {
        a->failed = true;
    }
    buf_clear(take);
    return kept;
}

bool arena_failed(const arena *a)
{
    return a->failed;
}

fb_text text_of(const char *terminated)
{
    return (fb_text){terminated, terminated != NULL ? strlen(terminated) : 0};
}

bool text_equal(fb_text a, fb_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool text_is(fb_text a, const char *terminated)
{
    return text_equal(a, text_of(terminated));
}

int text_compare(fb_text a, fb_text b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

bool size_add(size_t a, size_t b, size_t *sum_out)
{
    if (b > SIZE_MAX - a) {
        return false;
    }
    *sum_out = a + b;
    return true;
}

bool size_mul(size_t a, size_t b, size_t *product_out)
{
    if (a != 0 && b > SIZE_MAX / a) {
        return false;
    }
    *product_out = a * b;
    return true;
}

void bytes_wipe(void *data, size_t size)
{
    if (size > 0) {
        memset(data, 0, size);
        __asm__ __volatile__("" : : "r"(data) : "memory"); /* the compiler must assume it is read */
    }
}

bool bytes_equal_ct(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *x = a, *y = b;
    unsigned different = 0;
    for (size_t i = 0; i < size; i++) {
        different |= (unsigned)x[i] ^ (unsigned)y[i];
    }
    return different == 0;
}

void hex_put(buf *b, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;
    size_t chars = 0;
    if (!size_mul(size, 2, &chars)) {
        b->code = FB_E_LIMIT;
        return;
    }
    char *to = buf_reserve(b, chars);
    if (to == NULL) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
    b->size += chars;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_get(fb_text hex, void *out, size_t size)
{
    size_t chars = 0;
    if (!size_mul(size, 2, &chars) || hex.size != chars) {
        return false;
    }
    for (size_t i = 0; i < chars; i++) { /* check all first: on failure out is untouched */
        if (hex_digit(hex.data[i]) < 0) {
            return false;
        }
    }
    uint8_t *to = out;
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)(hex_digit(hex.data[2 * i]) << 4 | hex_digit(hex.data[2 * i + 1]));
    }
    return true;
}
