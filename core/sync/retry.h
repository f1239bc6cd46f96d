/* retry.h - how long to wait after a failure: doubling, with jitter, never beyond 15 minutes.
 *
 * Pure: the caller brings the random number. A thousand phones that lost the server together do not
 * come back together. */
#ifndef FB_SYNC_RETRY_H
#define FB_SYNC_RETRY_H

#include <stdint.h>

enum { RETRY_WAIT_MS_MIN = 1000, RETRY_WAIT_MS_MAX = 15 * 60 * 1000 };

/* Milliseconds before attempt number `attempts` + 1 (0: the first repetition), RETRY_WAIT_MS_MIN /
 * 2 .. RETRY_WAIT_MS_MAX. server_ms: what the server asked for, 0 nothing; the wait is never
 * shorter than that, except where it is beyond the maximum. `random`: 32 random bits. */
uint32_t retry_wait_ms(uint32_t attempts, uint32_t server_ms, uint32_t random);

#endif
