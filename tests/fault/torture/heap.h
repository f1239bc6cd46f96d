/* heap.h - malloc and its family, which count, and fail when they are told to. */
#ifndef FB_FAULT_HEAP_H
#define FB_FAULT_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th allocation from now fails (n 0: none); with for_ever all later ones too. */
void heap_arm(uint64_t n, bool for_ever);
/* Stop failing. Returns the allocations made since heap_arm. */
uint64_t heap_disarm(void);
bool heap_fired(void);
int64_t heap_live(void); /* allocations that were not freed; the file layer's own do not count */
/* What the server in the same process allocates in between neither fails nor counts. */
void heap_pause(void);
void heap_resume(void);
bool heap_is_paused(void);

#endif
