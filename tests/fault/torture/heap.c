/* heap.c - see heap.h. The program's own malloc stands in front of the C library's for every
 * library in the process: SQLite, cJSON and zstd allocate through it too. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "fault/torture/calls.h"
#include "fault/torture/heap.h"
#include "support/crash_vfs.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);
void *__libc_memalign(size_t alignment, size_t size);

static struct {
    bool armed, for_ever, fired;
    bool paused;
    int64_t live_at_pause;
    uint64_t calls, fail_at;
    int64_t live;
} heap;

static bool must_fail(void)
{
    if (!heap.armed || heap.paused) {
        return false;
    }
    sites_pass(++heap.calls);
    bool hit = heap.fail_at > 0 &&
               (heap.calls == heap.fail_at || (heap.for_ever && heap.calls > heap.fail_at));
    heap.fired |= hit;
    if (hit) {
        errno = ENOMEM;
    }
    return hit;
}

static void *counted(void *p)
{
    heap.live += p != NULL;
    return p;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    return must_fail() ? NULL : counted(__libc_malloc(size));
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : counted(__libc_calloc(count, size));
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t size)
{
    if (must_fail()) {
        return NULL;
    }
    void *made = __libc_realloc(p, size);
    if (p == NULL) {
        return counted(made);
    }
    heap.live -= size == 0 && made == NULL;
    return made;
}

__attribute__((visibility("default"))) void free(void *p)
{
    heap.live -= p != NULL;
    __libc_free(p);
}

/* Nobody in this process asks for these but the C library itself. */
__attribute__((visibility("default"))) int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = must_fail() ? NULL : counted(__libc_memalign(alignment, size));
    if (p == NULL) {
        return ENOMEM;
    }
    *out = p;
    return 0;
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : counted(__libc_memalign(alignment, size));
}

/* The file layer keeps what a disk holds: not the program's memory. */
void *crash_vfs_realloc(void *p, size_t size)
{
    return __libc_realloc(p, size);
}

void crash_vfs_release(void *p)
{
    __libc_free(p);
}

void heap_arm(uint64_t n, bool for_ever)
{
    heap.armed = true;
    heap.fired = false;
    heap.for_ever = for_ever;
    heap.calls = 0;
    heap.fail_at = n;
}

uint64_t heap_disarm(void)
{
    heap.armed = false;
    return heap.calls;
}

bool heap_fired(void)
{
    return heap.fired;
}

int64_t heap_live(void)
{
    return heap.live;
}

void heap_pause(void)
{
    heap.paused = true;
    heap.live_at_pause = heap.live;
}

void heap_resume(void)
{
    heap.paused = false;
    heap.live = heap.live_at_pause;
}

bool heap_is_paused(void)
{
    return heap.paused;
}
