/* calls.c - see calls.h. */
#include <execinfo.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "fault/torture/calls.h"
#include "fault/torture/heap.h"

/* --- sites ---------------------------------------------------------------------------------- */

extern const char __executable_start, etext;

enum { FRAMES_MAX = 100, ADDRESSES_MAX = 1 << 16, SETS_MAX = 8 };

static struct {
    bool on;
    int set;
    size_t count;
    uint64_t found[SITES_MAX];
} sites;
static uintptr_t seen[SETS_MAX][ADDRESSES_MAX]; /* open addressing; 0: free */

static bool is_ours(uintptr_t at)
{
    return at >= (uintptr_t)&__executable_start && at < (uintptr_t)&etext;
}

/* True: it was not there. */
static bool see(uintptr_t at)
{
    for (size_t i = (at * 0x9E3779B97F4A7C15u) >> 48;; i = (i + 1) % ADDRESSES_MAX) {
        if (seen[sites.set][i] == at) {
            return false;
        }
        if (seen[sites.set][i] == 0) {
            seen[sites.set][i] = at;
            return true;
        }
    }
}

void sites_begin(int set)
{
    void *frames[2];
    if (set >= SETS_MAX) {
        abort();
    }
    (void)backtrace(frames, 2); /* the first call allocates */
    sites.set = set;
    sites.count = 0;
    sites.on = true;
}

void sites_pass(uint64_t n)
{
    void *frames[FRAMES_MAX];
    bool first = false;
    if (!sites.on) {
        return;
    }
    sites.on = false; /* what looking at the stack does is no site */
    int depth = backtrace(frames, FRAMES_MAX);
    for (int i = 0; i < depth; i++) {
        first |= is_ours((uintptr_t)frames[i]) && see((uintptr_t)frames[i]);
    }
    if (first && sites.count == SITES_MAX) {
        abort();
    }
    if (first) {
        sites.found[sites.count++] = n;
    }
    sites.on = true;
}

const uint64_t *sites_end(size_t *count)
{
    sites.on = false;
    *count = sites.count;
    return sites.found;
}

/* --- calls ---------------------------------------------------------------------------------- */

static struct {
    bool armed, for_ever, fired;
    call_kind kind;
    uint64_t count, fail_at;
} calls;

bool calls_must_fail(call_kind kind)
{
    if (!calls.armed || calls.kind != kind || heap_is_paused()) {
        return false;
    }
    sites_pass(++calls.count);
    bool hit = calls.fail_at > 0 &&
               (calls.count == calls.fail_at || (calls.for_ever && calls.count > calls.fail_at));
    calls.fired |= hit;
    return hit;
}

void calls_arm(call_kind kind, uint64_t n, bool for_ever)
{
    calls.armed = true;
    calls.fired = false;
    calls.for_ever = for_ever;
    calls.kind = kind;
    calls.count = 0;
    calls.fail_at = n;
}

bool calls_disarm(void)
{
    calls.armed = false;
    return calls.fired;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_sqlite3_step(sqlite3_stmt *s);
int __wrap_sqlite3_step(sqlite3_stmt *s);
int __wrap_sqlite3_step(sqlite3_stmt *s)
{
    return calls_must_fail(CALL_STATEMENT) ? SQLITE_IOERR : __real_sqlite3_step(s);
}

int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                        void *ctx, char **message);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                        void *ctx, char **message);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                        void *ctx, char **message)
{
    return calls_must_fail(CALL_STATEMENT) ? SQLITE_IOERR
                                           : __real_sqlite3_exec(db, sql, fn, ctx, message);
}

int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags,
                              sqlite3_stmt **out, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags,
                              sqlite3_stmt **out, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags,
                              sqlite3_stmt **out, const char **tail)
{
    *out = NULL;
    return calls_must_fail(CALL_STATEMENT)
               ? SQLITE_IOERR
               : __real_sqlite3_prepare_v3(db, sql, size, flags, out, tail);
}

void *__real_arena_take(arena *a, size_t size);
void *__wrap_arena_take(arena *a, size_t size);
void *__wrap_arena_take(arena *a, size_t size)
{
    return __real_arena_take(a, calls_must_fail(CALL_ARENA) ? SIZE_MAX : size);
}

fb_text __real_arena_text(arena *a, fb_text t);
fb_text __wrap_arena_text(arena *a, fb_text t);
fb_text __wrap_arena_text(arena *a, fb_text t)
{
    return __real_arena_text(a, calls_must_fail(CALL_ARENA) ? (fb_text){t.data, SIZE_MAX} : t);
}

char *__real_arena_str(arena *a, const char *s);
char *__wrap_arena_str(arena *a, const char *s);
char *__wrap_arena_str(arena *a, const char *s)
{
    return calls_must_fail(CALL_ARENA) ? __real_arena_take(a, SIZE_MAX) : __real_arena_str(a, s);
}

fb_text __real_arena_keep(arena *a, buf *take);
fb_text __wrap_arena_keep(arena *a, buf *take);
fb_text __wrap_arena_keep(arena *a, buf *take)
{
    take->code = calls_must_fail(CALL_ARENA) ? FB_E_NO_MEMORY : take->code;
    return __real_arena_keep(a, take);
}
/* NOLINTEND(bugprone-reserved-identifier) */
