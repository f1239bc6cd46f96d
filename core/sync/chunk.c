/* chunk.c - see chunk.h. */
#include "sync/chunk.h"

#include "schema/limits.h"

enum { DOWN_CUT = 3, DOWN_ABSENT = 1, PAGE_BYTES_MIN = 1024 };

void chunk_init(chunk *c, uint32_t level, uint32_t patience)
{
    *c = (chunk){.level = level < CHUNK_LEVEL_LAST ? level : CHUNK_LEVEL_LAST,
                 .patience = patience < CHUNK_PATIENCE_MAX ? patience : CHUNK_PATIENCE_MAX};
    c->patience += c->patience == 0;
    c->absent_only = c->patience == 1;
}

void chunk_broke(chunk *c, bool was_reached)
{
    /* The climb before it was too early. */
    if (c->good == 0 && c->level < CHUNK_LEVEL_LAST && c->patience < CHUNK_PATIENCE_MAX &&
        !c->absent_only) {
        c->patience *= 2;
    }
    c->level += was_reached ? DOWN_CUT : DOWN_ABSENT;
    c->level = c->level < CHUNK_LEVEL_LAST ? c->level : CHUNK_LEVEL_LAST;
    c->absent_only = c->absent_only && !was_reached;
    c->patience += c->patience == 1 && was_reached;
    c->good = 0;
}

void chunk_carried(chunk *c)
{
    if (c->level == 0) {
        chunk_init(c, 0, 1);
        return;
    }
    if (c->absent_only) { /* so patience is 1 */
        c->level = 0;
        c->patience = 2; /* should that break at once, it was no absence */
        c->absent_only = false;
        return;
    }
    c->absent_only = false;
    if (++c->good >= c->patience) {
        c->level--;
        c->good = 0;
    }
}

bool chunk_is_thin(const chunk *c)
{
    return c->level >= CHUNK_LEVEL_THIN;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

size_t chunk_group_bytes(const chunk *c, uint64_t room)
{
    uint64_t bytes = (uint64_t)PUSH_BYTES_TARGET >> (2 * c->level);
    return (size_t)(room > 0 ? least(bytes, room / 2) : bytes);
}

uint32_t chunk_groups_max(const chunk *c)
{
    return c->level == CHUNK_LEVEL_LAST ? 1 : PUSH_GROUPS_MAX;
}

uint32_t chunk_page_bytes(const chunk *c, uint32_t wanted, uint64_t room)
{
    uint64_t bytes = wanted > 0 ? wanted : PAGE_BYTES_TARGET;
    if (c->level == 0 && room == 0) {
        return wanted;
    }
    bytes = least(bytes, (uint64_t)PAGE_BYTES_TARGET >> (2 * c->level));
    /* Pages travel packed, to about a third. */
    bytes = room > 0 ? least(bytes, room) : bytes;
    return (uint32_t)(bytes > PAGE_BYTES_MIN ? bytes : PAGE_BYTES_MIN);
}
