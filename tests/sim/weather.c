/* weather.c - links that are bad for a while, in every shape. See sim.h.
 *
 * A shape is counted for every message that it stops, not when it begins. */
#include "sim/sim.h"

enum { MINUTE_MS = 60000 };

bool weather_stops(sim_device *d, bool up, size_t bytes)
{
    sim *s = d->world;
    bool stops = false;
    if (d->weather == KINDS || s->healing || s->now_ms >= d->weather_until_ms) {
        d->weather = KINDS;
        return false;
    }
    switch (d->weather) {
    case KIND_PARTITION:
    case KIND_BRIDGE:
    case KIND_SWIZZLE:
        stops = true;
        break;
    case KIND_PARTITION_UP:
        stops = up;
        break;
    case KIND_PARTITION_DOWN:
        stops = !up;
        break;
    case KIND_FLAPPING:
        stops = (s->now_ms / d->weather_period_ms) % 2 == 0;
        break;
    case KIND_BLACK_HOLE:
        stops = bytes > 600;
        break; /* only small packets get through */
    default:
        break; /* half-open: it is late, not lost */
    }
    s->fired[d->weather] += stops;
    return stops;
}

bool weather_parts(sim_device *d)
{
    bool both_ways = d->weather == KIND_PARTITION || d->weather == KIND_BRIDGE ||
                     d->weather == KIND_SWIZZLE || d->weather == KIND_FLAPPING ||
                     d->weather == KIND_PARTITION_UP;
    return both_ways && weather_stops(d, true, 0);
}

static void weather_begin(sim *s, sim_device *d, sim_kind kind, int minutes_max)
{
    d->weather = kind;
    d->weather_until_ms =
        s->now_ms + MINUTE_MS + (int64_t)sim_random(s, (uint64_t)minutes_max) * MINUTE_MS;
    d->weather_period_ms = 500 + (uint32_t)sim_random(s, 30000);
}

static int longest(const sim *s)
{
    return s->plan->o.class == CLASS_PARTITION ? 40 : 360;
}

#define SHAPE(function, kind)                  \
    bool function(sim *s, sim_device *d)       \
    {                                          \
        weather_begin(s, d, kind, longest(s)); \
        return false;                          \
    }
SHAPE(net_partition, KIND_PARTITION)
SHAPE(net_partition_up, KIND_PARTITION_UP)
SHAPE(net_partition_down, KIND_PARTITION_DOWN)
SHAPE(net_flapping, KIND_FLAPPING)
SHAPE(net_half_open, KIND_HALF_OPEN)
SHAPE(net_black_hole, KIND_BLACK_HOLE)

/* Half of the devices lose the server at once, and find it again at once. */
bool net_bridge(sim *s, sim_device *d)
{
    weather_begin(s, d, KIND_BRIDGE, longest(s));
    for (int i = 0; i < s->devices_count; i++) {
        if (&s->devices[i] != d && sim_chance(s, 50)) {
            s->devices[i].weather = KIND_BRIDGE;
            s->devices[i].weather_until_ms = d->weather_until_ms;
            s->devices[i].weather_period_ms = d->weather_period_ms;
        }
    }
    return false;
}

/* All are clogged one after the other and released in another order. */
bool net_swizzle(sim *s, sim_device *d)
{
    (void)d;
    for (int i = 0; i < s->devices_count; i++) {
        if (sim_chance(s, 80)) {
            weather_begin(s, &s->devices[i], KIND_SWIZZLE, longest(s));
        }
    }
    return false;
}
