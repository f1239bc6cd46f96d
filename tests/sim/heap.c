/* heap.c - SQLite's memory with a number that it fails at (C6). Its own allocations only: those of
 * the product are made to fail by fb-torture. */
#include <malloc.h>
#include <sqlite3.h>

#include "sim/sim.h"

static sqlite3_mem_methods real;
static uint64_t fail_in;
static bool failed;

static bool fails(void)
{
    if (fail_in == 0 || --fail_in > 0) {
        return false;
    }
    failed = true;
    return true;
}

static void *heap_get(int size)
{
    return fails() ? NULL : real.xMalloc(size);
}

static void *heap_change(void *p, int size)
{
    return fails() ? NULL : real.xRealloc(p, size);
}

/* One thread, and lives that take and give back the same memory a million times: SQLite without
 * its locks, and a heap that keeps what it got from the system. */
void heap_install(void)
{
    enum { KEPT_BYTES = 512 << 20 };
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_TOP_PAD, 16 << 20);
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
    sqlite3_mem_methods mine = real;
    mine.xMalloc = heap_get;
    mine.xRealloc = heap_change;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &mine);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

void heap_fail_after(uint64_t allocations)
{
    fail_in = allocations;
    failed = false;
}

bool heap_failed(void)
{
    return failed;
}
