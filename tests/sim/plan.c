/* plan.c - a seed drawn out into a list of events. See sim.h.
 *
 * Everything that the seed decides is decided here, but for the details of an event, which are
 * drawn from its own index when it happens. */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 24 * 3600 * 1000, PARTITION_DAY_MS = 2 * 3600 * 1000, ENABLED_PERCENT = 35 };

const sim_kind_row KIND_ROWS[KINDS] = {
#define X(NAME, printed, ids, chance, function) {printed, ids, chance, function},
#include "sim/kinds.def"
#undef X
};

uint64_t mix64(uint64_t a, uint64_t b)
{
    uint64_t z = a * 0x2545F4914F6CDD1DULL + b * 0x9E3779B97F4A7C15ULL + 0x1234567;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

typedef struct drawing {
    sim_plan *p;
    uint64_t random;
    int64_t day_ms;
} drawing;

static uint64_t draw(drawing *w, uint64_t below)
{
    w->random = mix64(w->random, 77);
    return w->random % below;
}

static void event_add(drawing *w, int day, int device, sim_kind kind)
{
    sim_plan *p = w->p;
    if (p->events_count == p->events_room) {
        p->events_room = p->events_room * 2 + 256;
        p->events = realloc(p->events, p->events_room * sizeof *p->events);
        if (p->events == NULL) {
            abort();
        }
    }
    p->events[p->events_count++] =
        (sim_event){.at_ms = day * w->day_ms + (int64_t)draw(w, (uint64_t)w->day_ms),
                    .kind = (uint8_t)kind,
                    .device = (uint8_t)device};
}

static int event_order(const void *a, const void *b)
{
    const sim_event *x = a, *y = b;
    if (x->at_ms != y->at_ms) {
        return x->at_ms < y->at_ms ? -1 : 1;
    }
    return x->device != y->device ? x->device - y->device : x->kind - y->kind;
}

/* Names in a list "a,b". */
static bool named(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(list, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool belongs_to_partitions(sim_kind k)
{
    return (k >= KIND_PARTITION && k <= KIND_SWIZZLE) ||
           (k >= KIND_LOSE_REQUEST && k <= KIND_LATE_REPLY) || k == KIND_RACE;
}

static void kinds_draw(drawing *w)
{
    sim_plan *p = w->p;
    for (int k = FAULTS_FIRST; k < KINDS; k++) {
        bool drawn = draw(w, 100) < ENABLED_PERCENT;
        if (p->o.class == CLASS_PARTITION) {
            drawn = belongs_to_partitions((sim_kind)k) && draw(w, 100) < 60;
        }
        p->enabled[k] = drawn && !named(p->o.without, KIND_ROWS[k].name) &&
                        !(p->o.history != NULL && record_leaves_out((sim_kind)k));
    }
    for (int k = KIND_PHOTO_WANTED; k <= KIND_BLOB_DAMAGED; k++) {
        p->enabled[k] |=
            p->enabled[KIND_PHOTO] && draw(w, 2) == 0 && !named(p->o.without, KIND_ROWS[k].name);
        p->enabled[k] &= p->enabled[KIND_PHOTO];
    }
    p->enabled[KIND_CATALOGUE] |= p->enabled[KIND_OLD_APP];
    /* Nothing can be put back where no copy is taken. */
    p->enabled[KIND_SERVER_BACKUP] |=
        p->enabled[KIND_SERVER_RESTORED] || p->enabled[KIND_SERVER_PUT_BACK];
    p->enabled[KIND_PHONE_BACKUP] |= p->enabled[KIND_PHONE_RESTORED] || p->enabled[KIND_PHONE_TORN];
    /* The office works on a sound machine only: its own faults are the server's. */
    bool office = draw(w, 2) == 0;
    for (int k = KIND_SERVER_BACKUP; k < KINDS; k++) {
        p->enabled[k] &= office || p->o.class == CLASS_PARTITION;
    }
    for (int k = KIND_CRASH_SERVER; k <= KIND_POISON; k++) {
        p->enabled[k] &= !office;
    }
    p->enabled[KIND_BLOB_DAMAGED] &= !office; /* no backup: every device has its own still */
}

void plan_make(sim_plan *p, uint64_t seed, const sim_options *o)
{
    bool partition = o->class == CLASS_PARTITION;
    *p = (sim_plan){.o = *o, .seed = seed};
    drawing w = {p, mix64(seed, 1), partition ? PARTITION_DAY_MS : DAY_MS};
    p->devices_count = partition ? 5 + (int)draw(&w, 6) : 3 + (int)draw(&w, 6);
    p->variant = (int)draw(&w, SIM_VARIANTS);
    kinds_draw(&w);
    uint64_t strength = 1 + draw(&w, 3); /* of this seed's faults, in halves */
    if (partition) {
        strength *= 3;
    }
    for (int day = 0; day < (int)o->days; day++) {
        for (int d = 0; d < p->devices_count; d++) {
            for (int n = 0; n < ACTS_PER_DAY; n++) {
                event_add(&w, day, d, KIND_ACT);
            }
            for (int n = 0; n < SYNCS_PER_DAY; n++) {
                event_add(&w, day, d, KIND_SYNC);
            }
            for (int k = FAULTS_FIRST; k < KINDS; k++) {
                uint64_t times = (uint64_t)KIND_ROWS[k].chance * strength / 2 + draw(&w, 100);
                for (uint64_t n = 0; p->enabled[k] && n < times / 100; n++) {
                    event_add(&w, day, d, (sim_kind)k);
                }
            }
        }
    }
    qsort(p->events, p->events_count, sizeof *p->events, event_order);
    for (uint32_t i = 0; i < p->events_count; i++) {
        p->events[i].index = i;
    }
}

void plan_free(sim_plan *p)
{
    free(p->events);
    *p = (sim_plan){0};
}
