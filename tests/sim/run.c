/* run.c - one life: the planned events in time, then healing, then the check. See sim.h.
 *
 * The clock jumps from one thing that is due to the next: an event, a message, a device's own
 * timer, a machine that boots. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    START_MS_HIGH = 1760000, /* in millions: where true time begins */
    PACK_PIECES_MAX = 1000,
    HEAL_ROUNDS_MAX = 40,
    HEAL_MS = 2 * 3600 * 1000,     /* L1 for a fleet that had everything */
    AWAIT_MS = 3600 * 1000,        /* more for each copy of a phone: they come in turn, and ITK-5 is
                                      for each device */
    HEAL_PARTITION_MS = 60 * 1000, /* L1 where only the network was bad */
    ROUND_REQUESTS_MAX = 2000      /* per device, four lives of many chunks: it gets nowhere */
};

uint64_t sim_random(sim *s, uint64_t below)
{
    uint64_t z = (s->random += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return below == 0 ? 0 : (z ^ (z >> 31)) % below;
}

bool sim_chance(sim *s, unsigned percent)
{
    return sim_random(s, 100) < percent;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void sim_trace(sim *s, const char *format, ...)
{
    char line[400];
    va_list args;
    va_start(args, format);
    int n = snprintf(line, sizeof line, "[%10lld] ", (long long)(s->now_ms % 100000000000LL));
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    digest_chain(&s->hash, line, strlen(line), &s->hash);
    if (s->trace) {
        puts(line);
    }
}

void sim_violation(sim *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char text[400];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (s->violations++ == 0) {
        snprintf(s->why, sizeof s->why, "%s", text);
    }
    sim_trace(s, "VIOLATION %s", text);
}
#pragma GCC diagnostic pop

static void event_happen(sim *s, const sim_event *e)
{
    sim_device *d = &s->devices[e->device];
    s->random = mix64(s->seed, e->index);
    record_time(s);
    if (e->kind >= FAULTS_FIRST) {
        sim_trace(s, "#%u %s %s", (unsigned)e->index, KIND_ROWS[e->kind].name, d->machine);
    }
    if (KIND_ROWS[e->kind].strike(s, d)) {
        s->fired[e->kind]++;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When something is due that no event brings. */
static int64_t life_due(const sim *s)
{
    int64_t due = earlier(net_due(s), machines_due(s));
    for (int i = 0; i < s->devices_count; i++) {
        const sim_device *d = &s->devices[i];
        if (d->session && device_alive(d) && !d->must_enrol) {
            int64_t at =
                d->suspended && d->dark_until_ms > d->wake_ms ? d->dark_until_ms : d->wake_ms;
            due = earlier(due, at);
        }
    }
    return due;
}

/* Messages and timers up to then. */
static void life_go_on(sim *s, int64_t until_ms)
{
    for (;;) {
        int64_t due = life_due(s);
        if (due >= until_ms || s->violations > 0) {
            break;
        }
        s->now_ms = due > s->now_ms ? due : s->now_ms;
        record_time(s);
        s->random = mix64(s->seed, (uint64_t)s->now_ms);
        machines_tend(s);
        net_deliver(s);
        for (int i = 0; i < s->devices_count; i++) {
            device_sync_step(&s->devices[i]);
        }
    }
    s->now_ms = until_ms > s->now_ms ? until_ms : s->now_ms;
    machines_tend(s);
}

/* Nothing waits anywhere, and everybody has seen the last commit. */
static bool settled(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        fb_status st = FB_STATUS_INIT;
        if (d->rounds < 2 || d->db == NULL || d->in_flight ||
            fb_status_get(d->db, &st, NULL) != FB_OK || st.pending_count > 0 ||
            !photos_settled(d)) {
            return false;
        }
    }
    return true;
}

static bool sessions_over(const sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        if (s->devices[i].session) {
            return false;
        }
    }
    return true;
}

/* A server's thread goes on with the pack it began, whose snapshot is open until then. */
static void packs_finish(sim *s)
{
    for (int i = 0; i < PACK_PIECES_MAX && s->srv != NULL; i++) {
        if (!server_build(s->srv, (uint64_t)s->now_ms)) {
            return;
        }
    }
}

static void sessions_run(sim *s, int64_t end_ms)
{
    uint64_t talk = s->requests + (uint64_t)(ROUND_REQUESTS_MAX * s->devices_count);
    while (s->now_ms < end_ms && s->requests < talk && !sessions_over(s) && s->violations == 0) {
        life_go_on(s, earlier(life_due(s) + 1, end_ms));
    }
}

/* Everybody synchronises until nobody has anything left. */
static void drain(sim *s)
{
    int64_t began_ms = s->now_ms;
    bool partition = s->plan->o.class == CLASS_PARTITION;
    int64_t head = -1, turns_ms = 0, end_ms = began_ms + 4 * HEAL_MS;
    bool quiet = false;
    for (int round = 0; round < HEAL_ROUNDS_MAX && !quiet && s->violations == 0; round++) {
        machines_tend(s);
        disaster_heal(s);
        office_heal(s);
        packs_finish(s);
        int64_t before = head;
        for (int turn = 0; turn == 0 || (turn <= SIM_DEVICES_MAX && sessions_over(s)); turn++) {
            if (sessions_begin(s, turn) || turn == 0) { /* and those that are under way */
                turns_ms = turn * AWAIT_MS > turns_ms ? turn * AWAIT_MS : turns_ms;
                sessions_run(s, end_ms);
            }
        }
        if (!sessions_over(s)) {
            break;
        }
        head = s->srv != NULL ? server_head(s->srv) : -1;
        quiet = settled(s) && head == before;
        if (!quiet) {
            s->healed_ms = s->now_ms - began_ms;
        }
    }
    if (!quiet && s->violations == 0) {
        sim_violation(s, "L1: after healing the outboxes do not drain");
    } else if (s->healed_ms > (partition ? HEAL_PARTITION_MS : HEAL_MS + turns_ms)) {
        sim_violation(s, "L1: draining took %lld s after healing",
                      (long long)(s->healed_ms / 1000));
    }
}

static void heal(sim *s)
{
    s->healing = true;
    sim_trace(s, "heal");
    net_drop_all(s);
    machines_heal(s);
    photos_heal(s);
    drain(s);
    if (photos_have(s) && s->violations == 0) {
        photos_heal_look(s);
        drain(s);
    }
    while (erase_heal(s)) {
        drain(s);
    }
}

void sim_run(sim *s, const sim_plan *p, const bool *keep, sim_company *all, bool trace)
{
    *s = (sim){.plan = p,
               .seed = p->seed,
               .random = mix64(p->seed, 2),
               .trace = trace,
               .now_ms = (int64_t)START_MS_HIGH * 1000000};
    world_open(s, all);
    int64_t start_ms = s->now_ms, holidays_ms = 0;
    for (uint32_t i = 0; i < p->events_count && s->violations == 0; i++) {
        if (keep != NULL && !keep[i]) {
            continue;
        }
        life_go_on(s, start_ms + holidays_ms + p->events[i].at_ms);
        int64_t before_ms = s->now_ms;
        event_happen(s, &p->events[i]);
        holidays_ms +=
            s->now_ms - before_ms; /* an event that lets time pass moves all that follow */
        machines_tend(s);
    }
    if (s->violations == 0) {
        heal(s);
    }
    if (s->violations == 0) {
        check_all(s);
    }
    record_server(s);
    world_close(s);
}

void seed_run(uint64_t seed, const sim_options *o, sim_company *all, sim_result *out)
{
    sim_plan p;
    sim *s = malloc(sizeof *s);
    if (s == NULL) {
        abort();
    }
    plan_make(&p, seed, o);
    sim_run(s, &p, NULL, all, false);
    *out = (sim_result){.seed = seed,
                        .groups = (uint64_t)s->actions_count,
                        .sessions = s->sessions,
                        .requests = s->requests,
                        .device_days = (uint64_t)(p.devices_count * o->days),
                        .healed_ms = s->healed_ms,
                        .violations = s->violations,
                        .hash = s->hash};
    memcpy(out->fired, s->fired, sizeof out->fired);
    snprintf(out->why, sizeof out->why, "%s", s->why);
    if (seed % 100 == 0 && s->violations == 0) {
        sim_run(s, &p, NULL, all, false);
        if (memcmp(&s->hash, &out->hash, sizeof s->hash) != 0) {
            out->violations = 1;
            snprintf(out->why, sizeof out->why, "I18: the same seed gave two different traces");
        }
    }
    plan_free(&p);
    free(s);
}
