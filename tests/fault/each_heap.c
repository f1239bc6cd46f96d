/* each_heap.c - malloc and its family as sites of each_site.h, where a sanitizer stands in front of
 * the C library's: the linker puts these between the product and it (--wrap, tests/CMakeLists.txt).
 * Of what SQLite and zstd allocate only zstd's state is asked here; fault/torture/heap.h does all.
 */
#include <stddef.h>
#include <stdlib.h>
#include <zstd.h>

#include "fault/torture/calls.h"
#include "support/crash_vfs.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return calls_must_fail(CALL_HEAP) ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return calls_must_fail(CALL_HEAP) ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return calls_must_fail(CALL_HEAP) ? NULL : __real_realloc(p, size);
}

ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
    return calls_must_fail(CALL_HEAP) ? NULL : __real_ZSTD_createCCtx();
}

ZSTD_DCtx *__real_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
    return calls_must_fail(CALL_HEAP) ? NULL : __real_ZSTD_createDCtx();
}

/* The file layer keeps what a disk holds: not the program's memory. */
void *crash_vfs_realloc(void *p, size_t size)
{
    return __real_realloc(p, size);
}

void crash_vfs_release(void *p)
{
    free(p);
}
/* NOLINTEND(bugprone-reserved-identifier) */
