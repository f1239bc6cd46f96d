/* heap.c - SQLite's memory with a number that it fails at (C6). Its own allocations only: those of
 * the product are made to fail by fb-torture. */
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

void heap_install(void)
{
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
