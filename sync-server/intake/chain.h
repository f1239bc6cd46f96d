/* chain.h - does what the device says of itself fit what the server has? Pure.
 *
 * E_FORK   the device was restored or copied: it wrote less than was taken from it, or something
 * else E_GAP    groups are missing before the first one carried, or the device knows verdicts
 * nobody gave E_PROTOCOL the numbers contradict themselves */
#ifndef FB_INTAKE_CHAIN_H
#define FB_INTAKE_CHAIN_H

#include "sync-server/intake/intake.h"

/* How far the carried groups repeat what was applied. */
typedef struct chain_place {
    uint32_t repeated; /* leading lines that were applied before */
    bool by_marks;     /* they end before `applied`: the chain says nothing, compare their marks */
} chain_place;
FB_MUST_USE fb_code chain_judge(const door_device *d, const sync_request *q, const fb_text *lines,
                                chain_place *out);

/* 64-bit hash of a group line. */
uint64_t mark_of(fb_text line);

#endif
