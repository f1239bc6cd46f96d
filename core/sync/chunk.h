/* chunk.h - how much one exchange carries: less after it broke, more again when exchanges succeed.
 *
 *   level 0   whatever there is                       4 MiB of groups, the server's page
 *   level n   a quarter of the level before           ...
 *   level 6   one group, a page of 1 KiB              what gets through a connection that dies
 * young
 *
 * A chunk of a pack comes in pieces of a page's size.
 *
 * From level 4 on (a page of 16 KiB) the line is thin: what is large and can wait, a newer
 * catalogue and the sums of a digest, stays away until all else is through, and packs are not
 * offered. Otherwise it would break every exchange, and the work that is to go up with it. Where
 * rows cannot come before a catalogue (push.c) they wait for the work as well.
 *
 * A cut or a timeout goes three levels down; a server that was not reached one level, because the
 * request may have broken the connection or there was none. After an absence the first success
 * goes straight back to level 0. Where that breaks again the climb is one level at a time and needs
 * twice as many successes each time it fails, at most CHUNK_PATIENCE_MAX.
 *
 * Pure. Level and patience are kept with the replica, so that background windows that each break
 * learn from each other.
 *
 *   CHK-1  on the last level an exchange carries a group if there is one, and it settles durably
 *          when its answer arrives */
#ifndef FB_SYNC_CHUNK_H
#define FB_SYNC_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNK_LEVEL_THIN = 4, CHUNK_LEVEL_LAST = 6, CHUNK_PATIENCE_MAX = 16 };

typedef struct chunk {
    uint32_t level;
    uint32_t good;     /* successes since the level changed */
    uint32_t patience; /* successes before the next climb; 1: nothing was cut since level 0 */
    bool absent_only;  /* all failures since the last success: the server was not reached */
} chunk;

/* From what was kept: 0 and 1 at first; beyond the largest is the largest. */
void chunk_init(chunk *c, uint32_t level, uint32_t patience);
/* was_reached: something of the exchange was carried before it broke. */
void chunk_broke(chunk *c, bool was_reached);
void chunk_carried(chunk *c);
bool chunk_is_thin(const chunk *c);
/* At the present level and within `room` bytes of a budget (0: none). */
size_t chunk_group_bytes(const chunk *c, uint64_t room);
uint32_t chunk_groups_max(const chunk *c);
/* `wanted`: by the app, 0 the server's choice; the answer likewise. */
uint32_t chunk_page_bytes(const chunk *c, uint32_t wanted, uint64_t room);

#endif
