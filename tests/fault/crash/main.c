/* main.c - fb-crash: options, processes, the summary line. See crash.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"
#include "fault/crash/crash.h"

/* --- the work of all processes
 * -------------------------------------------------------------------------- */

typedef struct whole_work {
    const crash_options *o;
    const tape *t;
    const late_work *late; /* NULL: without it */
} whole_work;

typedef struct outcome {
    crash_counters n, late;
} outcome;

static uint64_t cpu_ms_since(clock_t began)
{
    return (uint64_t)(clock() - began) / (CLOCKS_PER_SEC / 1000) + 1;
}

static void share_do(void *ctx, uint64_t job, void *made)
{
    const whole_work *w = ctx;
    outcome *out = made;
    clock_t began = clock();
    grids(w->o, job, &out->n, w->t);
    out->n.cpu_ms = cpu_ms_since(began);
    began = clock();
    if (w->late != NULL) {
        late_grid(w->o, job, &out->late, w->late);
    }
    out->late.cpu_ms = cpu_ms_since(began);
}

static void counters_add(crash_counters *to, const crash_counters *n)
{
    to->images += n->images;
    to->recovered += n->recovered;
    to->states += n->states;
    to->judged += n->judged;
    to->pairs += n->pairs;
    to->calls = n->calls;
    to->cpu_ms += n->cpu_ms;
    to->bad += n->bad;
}

/* A process that died counts as one that found something bad. */
static void all_do(const whole_work *w, outcome *sum)
{
    outcome each[JOBS_MAX] = {0};
    whole_work own = *w;
    bool good = jobs_run(w->o->jobs, share_do, &own, each, sizeof *each);
    for (uint64_t i = 0; i < w->o->jobs; i++) {
        counters_add(&sum->n, &each[i].n);
        counters_add(&sum->late, &each[i].late);
    }
    sum->n.bad += good ? 0 : 1;
}

/* --- options
 * ----------------------------------------------------------------------------------------- */

static int usage(void)
{
    fputs(
        "fb-crash: power loss after every file call of a workload, and what must stand afterwards\n"
        "  --images N    images to make in all (default 50000; at least one of each mode for each "
        "call)\n"
        "  --ops N       operations of the workload (default 300)\n"
        "  --seed S      default 1\n"
        "  --doubles N   first crashes whose recovery crashes again, at each of 40 calls (default "
        "40)\n"
        "  --judge N     judge every N-th distinct state with the product (default 1)\n"
        "  --late N      a second workload, whose download builds its indexes last: images at "
        "every "
        "N-th\n"
        "                call (default 1; 0: without it)\n"
        "  --only M      the images of dev1 alone, or of server, of those that --images makes of "
        "both\n"
        "  --jobs N      processes, at most 64 (default 2)\n"
        "  --planted     the device does not sync its commits: the grid must find it (exit 1)\n"
        "  --quick       a workload of 25 operations, for every test run\n"
        "  --replay M:K:MODE:DRAW   one image, with the seed and ops that showed it\n",
        stdout);
    return 0;
}

static bool options_take(crash_options *o, int argc, char **argv)
{
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"--images", &o->images},     {"--ops", &o->ops},
                   {"--seed", &o->seed},         {"--doubles", &o->doubles},
                   {"--judge", &o->judge_every}, {"--late", &o->late_every},
                   {"--jobs", &o->jobs}};
    for (int i = 1; i < argc; i++) {
        bool known = false;
        if (strcmp(argv[i], "--quick") == 0) {
            *o = (crash_options){.seed = o->seed,
                                 .planted = o->planted,
                                 .images = 1,
                                 .ops = 25,
                                 .doubles = 2,
                                 .judge_every = 30,
                                 .late_every = 40,
                                 .jobs = 1};
            continue;
        }
        if (strcmp(argv[i], "--planted") == 0) {
            o->planted = true;
            continue;
        }
        if (strcmp(argv[i], "--replay") == 0 && i + 1 < argc) {
            o->replay = argv[++i];
            continue;
        }
        if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            o->only = argv[++i];
            continue;
        }
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers && i + 1 < argc && !known; k++) {
            int64_t v = 0;
            known = strcmp(argv[i], numbers[k].name) == 0 && i64_get(text_of(argv[i + 1]), &v) &&
                    v >= 0;
            *numbers[k].value = known ? (uint64_t)v : *numbers[k].value;
        }
        if (!known) {
            return false;
        }
        i++;
    }
    o->judge_every += o->judge_every == 0;
    bool machine =
        o->only == NULL || strcmp(o->only, "dev1") == 0 || strcmp(o->only, "server") == 0;
    return machine && o->jobs >= 1 && o->jobs <= JOBS_MAX;
}

static void late_say(const crash_options *o, const work_report *r, const crash_counters *n)
{
    printf("late indexes: rows=%u indexes=%lld chunks=%u calls=%llu every=%llu images=%llu "
           "judged=%llu cpu_ms=%llu bad=%llu\n",
           r->late_rows, (long long)r->indexes, r->chunks, (unsigned long long)n->calls,
           (unsigned long long)o->late_every, (unsigned long long)n->images,
           (unsigned long long)n->judged, (unsigned long long)n->cpu_ms,
           (unsigned long long)n->bad);
}

static void workload_say(const work_report *r, uint64_t calls)
{
    printf("workload: ops=%u groups=%u syncs=%u rejected=%u migrations=%u backups=%u moments=%u "
           "reopened=%u "
           "chunks=%u photos=%u stored=%u fetched=%u calls=%llu\n",
           r->ops, r->groups, r->syncs, r->rejected, r->migrations, r->backups, r->moments,
           r->reopened, r->chunks, r->photos, r->stored, r->fetched, (unsigned long long)calls);
}

/* True: nothing bad. */
static bool sum_say(const outcome *sum)
{
    const crash_counters *n = &sum->n;
    uint64_t bad = n->bad + sum->late.bad;
    printf("crash %s: images=%llu distinct=%llu states=%llu judged=%llu pairs=%llu cpu_ms=%llu "
           "images_per_s=%llu late=%llu bad=%llu\n",
           bad == 0 ? "ok" : "failed", (unsigned long long)n->images,
           (unsigned long long)n->recovered, (unsigned long long)n->states,
           (unsigned long long)n->judged, (unsigned long long)n->pairs,
           (unsigned long long)n->cpu_ms, (unsigned long long)(n->images * 1000 / n->cpu_ms),
           (unsigned long long)sum->late.images, (unsigned long long)bad);
    return bad == 0;
}

int main(int argc, char **argv)
{
    crash_options o = {.seed = 1,
                       .images = 50000,
                       .ops = 300,
                       .doubles = 40,
                       .judge_every = 1,
                       .late_every = 1,
                       .jobs = 2};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage();
    }
    if (!options_take(&o, argc, argv)) {
        fputs("fb-crash: unknown option or bad number: see --help\n", stderr);
        return 2;
    }
    tape t;
    work_report r;
    outcome sum = {0};
    late_work late = {.r = {0}};
    bool with_late = o.replay == NULL && o.only == NULL && !o.planted && o.late_every > 0;
    image_vfs_start();
    work_run(&t, &(work_options){o.seed, (uint32_t)o.ops, o.planted}, &r);
    if (with_late) {
        work_run_late(&late.t, &late.r);
    }
    if (o.replay == NULL) {
        all_do(&(whole_work){&o, &t, with_late ? &late : NULL}, &sum);
    } else if (!replay(&o, &sum.n, &t)) {
        fputs("fb-crash: --replay wants MACHINE:K:MODE:DRAW as printed\n", stderr);
        return 2;
    }
    sum.n.cpu_ms += o.replay != NULL;
    if (with_late) {
        late_say(&o, &late.r, &sum.late);
        tape_free(&late.t);
    }
    workload_say(&r, t.events_count);
    bool good = sum_say(&sum);
    tape_free(&t);
    return good ? 0 : 1;
}
