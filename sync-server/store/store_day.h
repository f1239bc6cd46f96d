/* store_day.h - the calendar of the company, of which its server has one: which day it is at a
 * moment. Rights, scopes and the dates of orders ask here. See store_zone_minutes. */
#ifndef FB_STORE_STORE_DAY_H
#define FB_STORE_STORE_DAY_H

#include <stdint.h>

/* Counted from 1970-01-01, as text_date_put takes it; `zone_minutes` beyond UTC. */
static inline int64_t store_day_of(int64_t at_ms, int64_t zone_minutes)
{
    return (at_ms + zone_minutes * 60000) / 86400000;
}

#endif
