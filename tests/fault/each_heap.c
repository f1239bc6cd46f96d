/* each_heap.c - malloc and its family as sites of each_site.h, where a sanitizer stands in front of
 * the C library's: the linker puts these between the product and it (--wrap, tests/CMakeLists.txt).
 * What SQLite and zstd allocate is not asked here; fault/torture/heap.h does that. */
#include <stddef.h>

#include "fault/torture/calls.h"

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
/* NOLINTEND(bugprone-reserved-identifier) */
