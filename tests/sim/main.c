/* main.c - runs seeds and prints the summary line. See sim.h. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"

const char *const FAULT_NAMES[FAULTS] = {
    "lose_request",     "lose_reply", "double_request", "delay",          "cut_reply",
    "cut_request",      "partition",  "crash_device",   "crash_server",   "disk_full_device",
    "disk_full_server", "sync_error", "clock_jump",     "territory_move", "server_edit",
    "phone_restored",   "phone_torn", "phone_cloned",   "server_backup",  "server_restored",
    "server_put_back",  "membership", "assignment",     "role",           "catalogue",
};

enum { STEPS_PER_DAY = 220, HEAL_ROUNDS_MAX = 400, DAY_MS = 24 * 3600 * 1000 };

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

bool sim_fault_draw(sim *s, sim_fault fault, unsigned percent)
{
    bool fires = !s->healing && s->faults[fault] && sim_chance(s, percent);
    s->fired[fault] += fires;
    return fires;
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

/* Two complete syncs of everybody over a good network: the second sees what the first of the others
 * brought. */
static bool settled(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        fb_status st = FB_STATUS_INIT;
        if (d->rounds_healed < 2 || d->db == NULL || d->in_flight ||
            fb_status_get(d->db, &st, NULL) != FB_OK || st.pending_count > 0) {
            return false;
        }
    }
    return true;
}

static void heal(sim *s)
{
    s->healing = true;
    sim_trace(s, "heal");
    net_drop_all(s);
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        crash_vfs_crash_after(s->vfs, d->machine, 0);
        crash_vfs_quota(s->vfs, d->machine, 0);
        crash_vfs_fail_sync(s->vfs, d->machine, 0);
        d->partitioned = false;
        d->clock_skew_ms = 0;
        d->dark_until_ms = 0;
    }
    crash_vfs_crash_after(s->vfs, "server", 0);
    crash_vfs_quota(s->vfs, "server", 0);
    crash_vfs_fail_sync(s->vfs, "server", 0);
    s->server_dark_until_ms = 0;
    machines_tend(s);
    office_heal(s);
    bool quiet = false;
    for (int round = 0; round < HEAL_ROUNDS_MAX && !quiet; round++) {
        s->now_ms += 60000;
        machines_tend(s);
        disaster_heal(s);
        for (int i = 0; i < s->devices_count; i++) {
            s->devices[i].wake_ms = 0;
            for (int k = 0; k < 40; k++) {
                device_sync_step(&s->devices[i]);
                s->now_ms += 5;
                net_step(s);
            }
        }
        quiet = settled(s);
    }
    if (!quiet) {
        sim_violation(s, "L1: after healing the outboxes do not drain");
    }
}

static void run_seed(sim *s, uint64_t seed, int days, bool trace, const char *without)
{
    *s = (sim){.seed = seed,
               .random = seed * 0x2545F4914F6CDD1DULL + 1,
               .trace = trace,
               .now_ms = 1760000000000LL};
    s->actions = calloc(SIM_ACTIONS_MAX, sizeof *s->actions);
    for (int f = 0; f < FAULTS; f++) {
        bool drawn = sim_chance(s, 40);
        s->faults[f] = drawn && strstr(without, FAULT_NAMES[f]) == NULL;
    }
    /* Nothing can be put back where no backup is taken. */
    s->faults[FAULT_SERVER_BACKUP] |=
        s->faults[FAULT_SERVER_RESTORED] || s->faults[FAULT_SERVER_PUT_BACK];
    world_open(s);
    for (int step = 0; step < days * STEPS_PER_DAY && s->violations == 0; step++) {
        s->now_ms += (int64_t)sim_random(s, 2 * DAY_MS / STEPS_PER_DAY);
        machines_tend(s);
        fault_step(s);
        office_step(s);
        disaster_step(s);
        act_step(s);
        for (int i = 0; i < s->devices_count; i++) {
            device_sync_step(&s->devices[i]);
        }
        net_step(s);
    }
    if (s->violations == 0) {
        heal(s);
    }
    if (s->violations == 0) {
        check_all(s);
    }
    world_close(s);
    free(s->actions);
}

static bool range_get(const char *text, int64_t *from, int64_t *to)
{
    const char *dash = strchr(text, '-');
    if (dash == NULL) {
        return i64_get(text_of(text), from) && i64_get(text_of(text), to);
    }
    return i64_get((fb_text){text, (size_t)(dash - text)}, from) &&
           i64_get(text_of(dash + 1), to) && *from <= *to;
}

static int usage(int exit_code)
{
    puts("fb-sim --seeds A-B [--days N]   run seeds; ends with `sim ok: seeds=N device_days=D "
         "violations=0`\n"
         "fb-sim --seed N [--days N]      replay one seed with its trace\n"
         "   --without a,b                leave these faults out, to find the one that matters");
    return exit_code;
}

typedef struct sim_sum {
    uint64_t seeds, device_days, violations, fired[FAULTS], groups;
    crash_vfs_counters disk;
} sim_sum;

static void faults_print(const sim_sum *sum)
{
    int fired = 0;
    for (int f = 0; f < FAULTS; f++) {
        fired += sum->fired[f] > 0;
        printf("  %-18s %llu\n", FAULT_NAMES[f], (unsigned long long)sum->fired[f]);
    }
    printf("  groups saved       %llu\n", (unsigned long long)sum->groups);
    printf("  faults fired       %d of %d\n", fired, FAULTS);
    printf("sim %s: seeds=%llu device_days=%llu violations=%llu\n",
           sum->violations == 0 ? "ok" : "failed", (unsigned long long)sum->seeds,
           (unsigned long long)sum->device_days, (unsigned long long)sum->violations);
}

int main(int argc, char **argv)
{
    int64_t from = 1, to = 20, days = 2;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a violation is seen when it happens */
    bool trace = false;
    const char *without = "";
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--help") == 0) {
            return usage(0);
        }
        if (strcmp(argv[i], "--seeds") == 0 && has_value && range_get(argv[i + 1], &from, &to)) {
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 && has_value &&
                   range_get(argv[i + 1], &from, &to)) {
            trace = true;
            i++;
        } else if (strcmp(argv[i], "--days") == 0 && has_value &&
                   i64_get(text_of(argv[i + 1]), &days)) {
            i++;
        } else if (strcmp(argv[i], "--without") == 0 && has_value) {
            without = argv[++i];
        } else {
            return usage(2);
        }
    }
    sim_sum sum = {0};
    static sim s;
    for (int64_t seed = from; seed <= to; seed++) {
        run_seed(&s, (uint64_t)seed, (int)days, trace, without);
        sum.seeds++;
        sum.device_days += (uint64_t)(s.devices_count * days);
        sum.groups += (uint64_t)s.actions_count;
        for (int f = 0; f < FAULTS; f++) {
            sum.fired[f] += s.fired[f];
        }
        if (s.violations > 0) {
            sum.violations++;
            printf("seed %lld: %s\n  replay: ./run sim --seed %lld --days %lld\n", (long long)seed,
                   s.why, (long long)seed, (long long)days);
        }
        if (trace) {
            buf hex;
            buf_init(&hex, 100);
            hex_put(&hex, s.hash.b, sizeof s.hash.b);
            printf("trace hash %s\n", buf_cstr(&hex));
            buf_clear(&hex);
        } else if (seed % 50 == 0) {
            fprintf(stderr, "\rseed %lld", (long long)seed);
        }
    }
    faults_print(&sum);
    return sum.violations == 0 ? 0 : 1;
}
