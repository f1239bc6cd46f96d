/* main.c - the command line and the summary line. See sim.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"
#include "sim/sim.h"

enum { SHRUNK_MAX = 3, TELL_S = 10 }; /* seeds that are shrunk after a run */

typedef struct arguments {
    int64_t from, to, jobs;
    sim_options o;
    const char *only; /* events to keep, by number */
    bool one, shrink;
} arguments;

typedef struct sums {
    const arguments *a;
    uint64_t seeds, device_days, violations, fired[KINDS], groups, sessions, requests;
    int64_t healed_ms_max;
    time_t told_s; /* when it last said how far it is */
    struct {
        uint64_t seed;
        char why[400];
    } bad[SHRUNK_MAX];
} sums;

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
    puts(
        "fb-sim --seeds A-B        run seeds; ends with\n"
        "                          `sim ok: seeds=N device_days=D faults_fired=F/F violations=0`\n"
        "fb-sim --seed N           replay one seed with its trace and its trace hash\n"
        "   --only 3,17,40         ... of its events only these (what shrinking prints), or none\n"
        "   --days N               simulated days per seed (4)\n"
        "   --jobs N               processes (2)\n"
        "   --class partition      5 to 10 devices, 2 busy hours a day, links bad in every shape,\n"
        "                          nothing else wrong; quiet within 60 simulated seconds\n"
        "   --without a,b          leave these faults out\n"
        "   --history FILE         with --seed: write what happened, for fb-check; leaves out what "
        "the\n"
        "                          format cannot tell (copies of phones, failing reads)\n"
        "   --no-shrink            do not look for the smallest list of events after a violation\n"
        "   --faults               list every fault: name, ids of the fault list\n"
        "\n"
        "A device-day is one device for one day in which its person does something 30 times (a\n"
        "third of it visits with an order of 1 to 5 lines; each one atomic, synced group) and 12\n"
        "sync sessions begin, plus those that follow a restart or a failure. Each seed has a\n"
        "random third of the faults. Exit code 1: a promise was broken; the seed, a shrunk list\n"
        "of events and the command that replays it are printed.");
    return exit_code;
}

static int faults_list(void)
{
    for (int k = FAULTS_FIRST; k < KINDS; k++) {
        printf("%-20s %s\n", KIND_ROWS[k].name, KIND_ROWS[k].ids);
    }
    return 0;
}

static bool option_read(arguments *a, const char *name, const char *value)
{
    if (strcmp(name, "--seeds") == 0) {
        return range_get(value, &a->from, &a->to);
    }
    if (strcmp(name, "--seed") == 0) {
        a->one = true;
        return range_get(value, &a->from, &a->to) && a->from == a->to;
    }
    if (strcmp(name, "--days") == 0) {
        return i64_get(text_of(value), &a->o.days) && a->o.days > 0 && a->o.days <= 1000;
    }
    if (strcmp(name, "--jobs") == 0) {
        return i64_get(text_of(value), &a->jobs) && a->jobs > 0 && a->jobs <= 64;
    }
    if (strcmp(name, "--class") == 0) {
        a->o.class = strcmp(value, "partition") == 0 ? CLASS_PARTITION : CLASS_FLEET;
        return a->o.class == CLASS_PARTITION || strcmp(value, "fleet") == 0;
    }
    if (strcmp(name, "--without") == 0) {
        a->o.without = value;
        return true;
    }
    if (strcmp(name, "--history") == 0) {
        a->o.history = value;
        return true;
    }
    a->only = value;
    return strcmp(name, "--only") == 0;
}

/* -1: go on; else the exit code. */
static int arguments_read(arguments *a, int argc, char **argv)
{
    *a = (arguments){
        .from = 1, .to = 20, .jobs = 2, .shrink = true, .o = {.days = 4, .without = ""}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return usage(0);
        }
        if (strcmp(argv[i], "--faults") == 0) {
            return faults_list();
        }
        if (strcmp(argv[i], "--no-shrink") == 0) {
            a->shrink = false;
        } else if (i + 1 >= argc || !option_read(a, argv[i], argv[i + 1])) {
            return usage(2);
        } else {
            i++;
        }
    }
    return (a->only != NULL || a->o.history != NULL) && !a->one ? usage(2) : -1;
}

static void progress_tell(sums *sum)
{
    time_t now_s = time(NULL);
    if (now_s - sum->told_s >= TELL_S) {
        fprintf(stderr, "sim: %llu of %lld seeds, %llu device-days, %llu violations\n",
                (unsigned long long)sum->seeds, (long long)(sum->a->to - sum->a->from + 1),
                (unsigned long long)sum->device_days, (unsigned long long)sum->violations);
        sum->told_s = now_s;
    }
}

static void sums_add(void *ctx, const sim_result *r)
{
    sums *sum = ctx;
    sum->seeds++;
    sum->device_days += r->device_days;
    sum->groups += r->groups;
    sum->sessions += r->sessions;
    sum->requests += r->requests;
    sum->healed_ms_max = r->healed_ms > sum->healed_ms_max ? r->healed_ms : sum->healed_ms_max;
    for (int k = 0; k < KINDS; k++) {
        sum->fired[k] += r->fired[k];
    }
    if (r->violations > 0) {
        if (sum->violations < SHRUNK_MAX) {
            sum->bad[sum->violations].seed = r->seed;
            snprintf(sum->bad[sum->violations].why, sizeof sum->bad[0].why, "%s", r->why);
        }
        sum->violations++;
        printf("seed %llu: %s\n", (unsigned long long)r->seed, r->why);
    }
    progress_tell(sum);
}

static void sums_print(const sums *sum)
{
    int fired = 0;
    for (int k = 0; k < KINDS; k++) {
        fired += k >= FAULTS_FIRST && sum->fired[k] > 0;
        printf("  %-20s %llu\n", KIND_ROWS[k].name, (unsigned long long)sum->fired[k]);
    }
    double days = sum->device_days > 0 ? (double)sum->device_days : 1;
    printf("  per device-day: groups saved %.1f, complete syncs %.1f, requests %.1f\n",
           (double)sum->groups / days, (double)sum->sessions / days, (double)sum->requests / days);
    printf("  longest healing: %lld simulated seconds\n", (long long)(sum->healed_ms_max / 1000));
    printf("sim %s: seeds=%llu device_days=%llu faults_fired=%d/%d violations=%llu\n",
           sum->violations == 0 ? "ok" : "failed", (unsigned long long)sum->seeds,
           (unsigned long long)sum->device_days, fired, KINDS - FAULTS_FIRST,
           (unsigned long long)sum->violations);
}

static bool only_read(const char *only, bool *keep, uint32_t count)
{
    memset(keep, false, count);
    for (const char *at = only; strcmp(only, "none") != 0 && *at != '\0';) {
        size_t n = strcspn(at, ",");
        int64_t index = 0;
        if (!i64_get((fb_text){at, n}, &index) || index < 0 || index >= (int64_t)count) {
            fprintf(stderr, "fb-sim: --only: the seed has events 0 to %u\n", count - 1);
            return false;
        }
        keep[index] = true;
        at += at[n] == ',' ? n + 1 : n;
    }
    return true;
}

static int one_run(const arguments *a)
{
    sim_company all[SIM_VARIANTS] = {0};
    sim_plan p;
    companies_make(all);
    plan_make(&p, (uint64_t)a->from, &a->o);
    sim *s = malloc(sizeof *s);
    bool *keep = malloc(p.events_count);
    if (s == NULL || keep == NULL) {
        abort();
    }
    if (a->only != NULL && !only_read(a->only, keep, p.events_count)) {
        return 2;
    }
    sim_run(s, &p, a->only != NULL ? keep : NULL, all, true);
    buf hex;
    buf_init(&hex, 100);
    hex_put(&hex, s->hash.b, sizeof s->hash.b);
    printf("trace hash %s\n", buf_cstr(&hex));
    buf_clear(&hex);
    sums sum = {.seeds = 1, .device_days = (uint64_t)(p.devices_count * a->o.days)};
    sum.violations = s->violations > 0;
    sum.groups = (uint64_t)s->actions_count;
    sum.sessions = s->sessions;
    sum.requests = s->requests;
    sum.healed_ms_max = s->healed_ms;
    memcpy(sum.fired, s->fired, sizeof sum.fired);
    sums_print(&sum);
    if (s->violations > 0) {
        printf("broken: %s\n", s->why);
    }
    companies_free(all);
    memo_clear();
    plan_free(&p);
    free(keep);
    free(s);
    return sum.violations > 0;
}

int main(int argc, char **argv)
{
    arguments a;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a violation is seen when it happens */
    int code = arguments_read(&a, argc, argv);
    if (code >= 0) {
        return code;
    }
    heap_install();
    if (a.one) {
        return one_run(&a);
    }
    sums sum = {.a = &a, .told_s = time(NULL)};
    sim_company all[SIM_VARIANTS] = {0};
    companies_make(all);
    jobs_run(a.from, a.to, (int)a.jobs, &a.o, all, sums_add, &sum);
    for (uint64_t i = 0; a.shrink && i < sum.violations && i < SHRUNK_MAX; i++) {
        printf("seed %llu: ./run sim --seed %llu --days %lld%s\n",
               (unsigned long long)sum.bad[i].seed, (unsigned long long)sum.bad[i].seed,
               (long long)a.o.days, a.o.class == CLASS_PARTITION ? " --class partition" : "");
        shrink(sum.bad[i].seed, &a.o, sum.bad[i].why, all);
    }
    companies_free(all);
    memo_clear();
    sums_print(&sum);
    return sum.violations == 0 ? 0 : 1;
}
