/* floor.h - what the floor's server and clients agree on. */
#ifndef FB_BENCH_FLOOR_H
#define FB_BENCH_FLOOR_H

#include "perf/net.h"
#include "perf/table.h"

enum {
    FLOOR_BYTES_MAX = 128 << 20,
    FLOOR_BLOCK_BYTES = 256 << 10,
    FLOOR_PUSH_ORDERS = 500, /* of one frame and one commit */
};

/* Master data of `size` ("full", "small", "none") and the first orders of rep 0, where missing. */
void floor_fill(tables *t, const char *size, uint32_t orders);
gen *floor_gen(const catalog *cat, const char *size, uint32_t user);

#endif
