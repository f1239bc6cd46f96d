/* dice.c - the plan's random numbers (splitmix64). See soak.h. */
#include "soak/soak.h"

uint64_t dice_next(dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint32_t dice_below(dice *d, uint32_t n)
{
    return (uint32_t)(dice_next(d) % n);
}

uint32_t dice_between(dice *d, uint32_t low, uint32_t high)
{
    return low + dice_below(d, high - low + 1);
}
