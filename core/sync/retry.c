/* retry.c - see retry.h. */
#include "sync/retry.h"

enum { DOUBLINGS_MAX = 10 };

/* Half fixed, half random: a wait that is never zero and never in step with the others. */
static uint32_t own_wait_ms(uint32_t attempts, uint32_t random)
{
    uint32_t full = (uint32_t)RETRY_WAIT_MS_MIN
                    << (attempts < DOUBLINGS_MAX ? attempts : DOUBLINGS_MAX);
    uint32_t half = (full < RETRY_WAIT_MS_MAX ? full : RETRY_WAIT_MS_MAX) / 2;

    return half + random % (half + 1);
}

uint32_t retry_wait_ms(uint32_t attempts, uint32_t server_ms, uint32_t random)
{
    uint32_t own = own_wait_ms(attempts, random);

    if (server_ms >= RETRY_WAIT_MS_MAX) {
        return RETRY_WAIT_MS_MAX;
    }
    if (server_ms <= own) {
        return own;
    }
    uint32_t asked = server_ms + random % (server_ms / 10 + 1);
    return asked < RETRY_WAIT_MS_MAX ? asked : RETRY_WAIT_MS_MAX;
}
