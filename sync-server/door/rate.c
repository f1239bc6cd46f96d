/* rate.c - token buckets without locks: one 64-bit word each, changed by compare-and-swap.
 *
 * A bucket holds thousandths of a request in its low 26 bits and the millisecond of the last refill
 * above, as far as it fits: a clock may begin anywhere. Buckets are found by a hash of the key; two
 * keys that meet share one, which only makes the pair a little poorer. Nothing is ever removed: a
 * full bucket is the same as none. */
#include "sync-server/door/door.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BUCKETS = 1 << 16, MILLI_BITS = 26, MILLI_MASK = (1 << MILLI_BITS) - 1, BURST_MAX = 60000 };
#define TIME_MASK ((UINT64_C(1) << (64 - MILLI_BITS)) - 1)

struct door_rate {
    _Atomic uint64_t buckets[BUCKETS]; /* 0: never used, that is full */
};

door_rate *door_rate_new(void)
{
    return calloc(1, sizeof(door_rate));
}

void door_rate_free(door_rate *r)
{
    free(r);
}

static uint64_t hash_of(const void *key, size_t size)
{
    const unsigned char *at = key;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ at[i]) * 1099511628211u;
    }
    return h ^ (h >> 29);
}

/* Thousandths in the bucket now. */
static uint64_t filled_milli(uint64_t bucket, const door_rate_limit *limit, uint64_t mono_ms)
{
    uint64_t full = (uint64_t)limit->burst * 1000;
    if (bucket == 0) {
        return full;
    }
    uint64_t since_ms = (mono_ms - (bucket >> MILLI_BITS)) & TIME_MASK;
    if (since_ms > TIME_MASK / 2) { /* another thread's clock was read later */
        since_ms = 0;
    }
    if (since_ms >= full) { /* at least one thousandth a millisecond: full by now */
        return full;
    }
    uint64_t milli = (bucket & MILLI_MASK) + since_ms * limit->per_second;
    return milli < full ? milli : full;
}

bool door_rate_take(door_rate *r, const void *key, size_t size, const door_rate_limit *limit,
                    uint64_t mono_ms, uint32_t *retry_ms_out)
{
    FB_ASSERT(limit->burst > 0 && limit->burst <= BURST_MAX && limit->per_second > 0);
    _Atomic uint64_t *bucket = &r->buckets[hash_of(key, size) % BUCKETS];
    uint64_t seen = atomic_load(bucket);
    for (;;) {
        uint64_t milli = filled_milli(seen, limit, mono_ms);
        if (milli < 1000) {
            *retry_ms_out = (uint32_t)((1000 - milli + limit->per_second - 1) / limit->per_second);
            return false;
        }
        uint64_t next = (mono_ms + (mono_ms == 0)) << MILLI_BITS | (milli - 1000);
        if (atomic_compare_exchange_weak(bucket, &seen, next)) {
            return true;
        }
    }
}
