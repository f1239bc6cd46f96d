/* grid.c - see crash.h: the images of a tape, in order, and pairs of crashes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fault/crash/crash.h"

enum { MEMO_SLOTS = 1 << 14, DBS_MAX = 3, WINDOW = 40, SHOWN_MAX = 10, LATE_JUDGE_EVERY = 4 };

enum { MASTER, BACKUP, PACKS }; /* of grid.dbs */

static const char LATE[] = "late"; /* the second workload, in --replay */

typedef struct state_seen {
    uint64_t step, hash;
} state_seen;

typedef struct memo_slot {
    uint64_t key, hash[DBS_MAX];
    uint64_t plain; /* of all plain files of the machine */
    int rc;
} memo_slot;

typedef struct grid {
    const crash_options *o;
    crash_counters *n;
    const tape *t;
    disk d;
    int machine;
    judge_target target;
    const char *dbs[DBS_MAX];
    int dbs_count;
    state_seen *history[DBS_MAX];
    size_t history_count[DBS_MAX], history_room[DBS_MAX];
    uint64_t *judged; /* hashes of states that were judged */
    size_t judged_count, judged_room;
    uint64_t kept; /* state if nothing is lost at this step */
    uint64_t plain_judged;
    uint64_t memo_version, draws, calls, calls_max;
    memo_slot *memo;
    const char *called; /* in --replay: the machine, or "late" */
    int64_t indexes;
    uint64_t every; /* images at every so many calls; what nothing was lost of, at each */
    uint64_t job;   /* this process makes the images of every jobs-th of those calls */
    bool second;    /* a crash within the recovery of another one: all of it is this process's */
    char before[120];
} grid;

typedef struct point {
    fate_mode mode;
    uint64_t draw;
} point;

static fate fate_at(const grid *g, point at)
{
    uint64_t seed = mix(mix(g->o->seed, g->d.step), mix((uint64_t)at.mode, at.draw));
    return (fate){at.mode, seed};
}

static void bad(grid *g, point at, const char *why)
{
    g->n->bad++;
    if (g->n->bad <= SHOWN_MAX) {
        fprintf(stderr,
                "bad: %s%s k=%llu mode=%s draw=%llu: %s\n     --seed %llu --ops %llu --replay "
                "%s:%llu:%s:%llu\n",
                g->before, g->called, (unsigned long long)g->d.step, FATE_NAMES[at.mode],
                (unsigned long long)at.draw, why, (unsigned long long)g->o->seed,
                (unsigned long long)g->o->ops, g->called, (unsigned long long)g->d.step,
                FATE_NAMES[at.mode], (unsigned long long)at.draw);
    }
}

/* --- judging
 * -------------------------------------------------------------------------------------- */

/* Every machine but the crashed one goes on with what it has. */
static void others_keep(grid *g)
{
    for (int m = 0; m < g->t->machines_count; m++) {
        if (m != g->machine) {
            (void)disk_image(&g->d, m, (fate){FATE_KEPT, 0});
        }
    }
}

static void judge_here(grid *g, point at, uint64_t plain)
{
    const tape_promise *now = tape_promise_at(g->t, g->d.step);
    judge_state j = {.image = &g->d,
                     .target = g->target,
                     .now_ms = now != NULL ? now->now_ms : 0,
                     .fresh = plain != g->plain_judged,
                     .moment = now != NULL ? now->moment : 0,
                     .indexes = g->indexes,
                     .last_least = -1};
    if (now != NULL && !g->second && g->target == JUDGE_DEVICE) {
        bool more = now + 1 < g->t->promises + g->t->promises_count;
        j.last_least = now->last;
        j.last_most = more ? now[1].last : now->last;
    }
    others_keep(g);
    g->plain_judged = plain;
    g->n->judged++;
    if (!judge(&j)) {
        bad(g, at, j.why);
    }
}

/* The images of this call are this process's. What stands if nothing is lost each of them needs. */
static bool is_mine(const grid *g)
{
    return g->second || g->calls / g->every % g->o->jobs == g->job;
}

static bool judge_due(grid *g, uint64_t hash)
{
    if (hash == 0) {
        return false; /* nothing to judge, or nothing new */
    }
    for (size_t i = g->judged_count; i-- > 0;) {
        if (g->judged[i] == hash) {
            return false;
        }
    }
    if (g->judged_count == g->judged_room) {
        g->judged_room = g->judged_room * 2 + 256;
        g->judged = realloc(g->judged, g->judged_room * sizeof *g->judged);
        if (g->judged == NULL) {
            abort();
        }
    }
    g->judged[g->judged_count++] = hash;
    g->n->states += is_mine(g);
    return is_mine(g) && g->judged_count % g->o->judge_every == 0;
}

/* --- one image
 * ------------------------------------------------------------------------------------- */

static void history_add(grid *g, int db, uint64_t hash)
{
    size_t n = g->history_count[db];
    if (n > 0 && g->history[db][n - 1].hash == hash) {
        return;
    }
    if (n == g->history_room[db]) {
        g->history_room[db] = n * 2 + 64;
        g->history[db] = realloc(g->history[db], g->history_room[db] * sizeof **g->history);
        if (g->history[db] == NULL) {
            abort();
        }
    }
    g->history[db][g->history_count[db]++] = (state_seen){g->d.step, hash};
}

/* Is it a committed state, and not older than the last promise? */
static bool is_allowed(const grid *g, int db, uint64_t hash)
{
    bool promised = db != PACKS; /* they can be made again */
    const tape_promise *p = tape_promise_at(g->t, g->d.step);
    while (p != NULL && g->target == JUDGE_DEVICE && !p->device) {
        p = p > g->t->promises ? p - 1 : NULL;
    }
    uint64_t least = p != NULL ? p->events : 0;
    for (size_t i = g->history_count[db]; i-- > 0;) {
        if (g->history[db][i].hash == hash) {
            return true;
        }
        if (promised && g->history[db][i].step <= least) {
            return false; /* what stood when the promise was made */
        }
    }
    return false;
}

static const memo_slot *recover(grid *g, uint64_t key)
{
    if (g->memo_version != g->d.version) {
        memset(g->memo, 0, MEMO_SLOTS * sizeof *g->memo);
        g->memo_version = g->d.version;
    }
    memo_slot *slot = &g->memo[key % MEMO_SLOTS];
    if (slot->key == key) {
        return slot;
    }
    *slot = (memo_slot){.key = key, .plain = image_plain(&g->d, g->machine)};
    for (int i = 0; i < g->dbs_count && slot->rc == 0; i++) {
        slot->rc = image_recover(&g->d, g->dbs[i], &slot->hash[i]);
    }
    g->n->recovered++;
    return slot;
}

/* Database, packs and plain files together; 0: no database yet. */
static uint64_t state_of(const memo_slot *r)
{
    return r->hash[MASTER] == 0 ? 0 : mix(mix(r->hash[MASTER], r->hash[PACKS]), r->plain);
}

/* An older state beside what the other machines have become by now is a state of its own; 0: not
 * older. */
static uint64_t older_with_now(const grid *g, uint64_t state)
{
    const tape_promise *p = tape_promise_at(g->t, g->d.step);
    return state == 0 || state == g->kept || p == NULL
               ? 0
               : mix(state, (uint64_t)(p - g->t->promises) + 1);
}

static void image_try(grid *g, point at)
{
    uint64_t key = disk_image(&g->d, g->machine, fate_at(g, at));
    const memo_slot *r = recover(g, key);
    char why[120];
    if (r->rc != 0) {
        snprintf(why, sizeof why, "SQLite cannot recover the file: %d", r->rc);
        bad(g, at, why);
    }
    for (int i = 0; i < g->dbs_count && r->rc == 0; i++) {
        if (at.mode == FATE_KEPT) {
            history_add(g, i, r->hash[i]);
        } else if (!is_allowed(g, i, r->hash[i])) {
            snprintf(why, sizeof why, "%s is not one of the states between promise and crash",
                     g->dbs[i]);
            bad(g, at, why);
        }
    }
    disk_revert(&g->d);
    bool sample = at.mode != FATE_KEPT && g->n->images % (g->o->judge_every * 2000) == 1999;
    g->kept = at.mode == FATE_KEPT ? state_of(r) : g->kept;
    bool first =
        r->rc == 0 && judge_due(g, at.mode == FATE_KEPT ? g->kept : older_with_now(g, state_of(r)));
    if (sample || first || g->o->replay != NULL) {
        (void)disk_image(&g->d, g->machine, fate_at(g, at));
        judge_here(g, at, r->plain); /* on the image itself: recovery has not touched it */
        disk_revert(&g->d);
    }
}

static void step_try(grid *g)
{
    image_try(g, (point){FATE_KEPT, 0});
    for (int mode = 0; mode < FATES && is_mine(g) && g->calls % g->every == 0; mode++) {
        uint64_t draws = mode == FATE_LOST ? 1 : g->draws;
        for (uint64_t i = 0; i < draws; i++) {
            image_try(g, (point){(fate_mode)mode, i});
            g->n->images++;
        }
    }
}

/* --- grids
 * ------------------------------------------------------------------------------------------ */

static void grid_open(grid *g, const crash_options *o, crash_counters *n, const tape *t,
                      judge_target target)
{
    *g = (grid){
        .o = o, .n = n, .t = t, .target = target, .draws = 1, .every = 1, .calls_max = UINT64_MAX};
    g->machine = tape_machine(t, target == JUDGE_DEVICE ? "dev1" : "server");
    g->dbs[MASTER] = target == JUDGE_DEVICE ? "dev1/replica.db" : "server/master.db";
    g->dbs[BACKUP] = "server/backup1.db";
    g->dbs[PACKS] = "server/master.db.packs";
    g->dbs_count = target == JUDGE_DEVICE ? 1 : DBS_MAX;
    g->memo = calloc(MEMO_SLOTS, sizeof *g->memo);
    if (g->memo == NULL || g->machine < 0) {
        abort();
    }
    g->called = t->machines[g->machine];
    disk_open(&g->d, t);
}

static void grid_close(grid *g)
{
    for (int i = 0; i < DBS_MAX; i++) {
        free(g->history[i]);
    }
    free(g->judged);
    free(g->memo);
    disk_close(&g->d);
}

static uint64_t calls_of(const tape *t, const char *machine)
{
    uint64_t n = 0;
    int m = tape_machine(t, machine);
    for (uint64_t i = 0; i < t->events_count; i++) {
        n += t->files[t->events[i].file].machine == m;
    }
    return n;
}

static void progress(const grid *g)
{
    static time_t last;
    time_t now = time(NULL);
    if (now - last >= 10) {
        fprintf(stderr, "crash: %s k=%llu/%llu images=%llu judged=%llu pairs=%llu bad=%llu\n",
                g->t->machines[g->machine], (unsigned long long)g->d.step,
                (unsigned long long)g->t->events_count, (unsigned long long)g->n->images,
                (unsigned long long)g->n->judged, (unsigned long long)g->n->pairs,
                (unsigned long long)g->n->bad);
        last = now;
    }
}

static void pairs_try(grid *first, uint64_t number);

static void grid_walk(grid *g, uint64_t pairs)
{
    uint64_t every = pairs > 0 ? g->t->events_count / pairs + 1 : UINT64_MAX, next = every / 2;
    for (uint64_t k = 0; k <= g->t->events_count && g->calls < g->calls_max; k++) {
        disk_walk(&g->d, k);
        if (!disk_step_is_of(&g->d, g->machine)) {
            continue;
        }
        g->calls++;
        step_try(g);
        if (k >= next) {
            if (k / every % g->o->jobs == g->job) {
                pairs_try(g, k / every);
            }
            next += every;
        }
        if (!g->second) {
            progress(g);
        }
    }
}

/* The power goes, and goes again at each of the next calls of the recovery. */
static void pairs_try(grid *first, uint64_t number)
{
    tape t = {0};
    point at = {(fate_mode)(number % FATES), number};
    const tape_promise *now = tape_promise_at(first->t, first->d.step);
    judge_state j = {.image = &first->d,
                     .target = first->target,
                     .now_ms = now != NULL ? now->now_ms : 0,
                     .last_least = -1};
    (void)disk_image(&first->d, first->machine, fate_at(first, at));
    others_keep(first);
    bool good = judge_recover(&j, &t);
    disk_revert(&first->d);
    if (!good) {
        bad(first, at, j.why);
        tape_free(&t);
        return;
    }
    if (tape_machine(&t, first->t->machines[first->machine]) >= 0) {
        grid g;
        grid_open(&g, first->o, first->n, &t, first->target);
        g.second = true;
        g.calls_max = WINDOW;
        snprintf(g.before, sizeof g.before,
                 "after %s k=%llu mode=%s: ", first->t->machines[first->machine],
                 (unsigned long long)first->d.step, FATE_NAMES[at.mode]);
        grid_walk(&g, 0);
        first->n->pairs += g.calls;
        grid_close(&g);
    }
    tape_free(&t);
}

bool replay(const crash_options *o, crash_counters *n, tape *t)
{
    char machine[16], mode[16];
    unsigned long long k = 0, number = 0;
    if (sscanf(o->replay, "%15[^:]:%llu:%15[^:]:%llu", machine, &k, mode, &number) != 4) {
        return false;
    }
    point at = {FATES, number};
    for (int i = 0; i <= FATES; i++) {
        at.mode = strcmp(mode, FATE_NAMES[i]) == 0 ? (fate_mode)i : at.mode;
    }
    crash_options plain = *o;
    grid g;
    plain.replay = NULL;
    plain.jobs = 1;
    plain.judge_every = UINT64_MAX / 4000;
    int64_t indexes = 0;
    if (strcmp(machine, LATE) == 0) {
        work_report r;
        tape_free(t);
        work_run_late(t, &r);
        indexes = r.indexes;
    }
    grid_open(&g, &plain, n, t, strcmp(machine, "server") == 0 ? JUDGE_SERVER : JUDGE_DEVICE);
    g.indexes = indexes;
    for (uint64_t i = 0; i <= k; i++) {
        disk_walk(&g.d, i);
        if (disk_step_is_of(&g.d, g.machine)) {
            image_try(&g, (point){FATE_KEPT, 0}); /* what is allowed */
        }
    }
    g.o = o;
    image_try(&g, at);
    n->images++;
    grid_close(&g);
    return true;
}

void grids(const crash_options *o, uint64_t job, crash_counters *n, const tape *t)
{
    uint64_t calls = calls_of(t, "dev1") + calls_of(t, "server");
    uint64_t each = o->images / (calls + 1);
    for (int target = JUDGE_DEVICE; target <= JUDGE_SERVER; target++) {
        grid g;
        if (o->only != NULL && strcmp(o->only, target == JUDGE_DEVICE ? "dev1" : "server") != 0) {
            continue;
        }
        grid_open(&g, o, n, t, (judge_target)target);
        g.job = job;
        g.draws = each > FATES ? (each - 1 + FATES - 2) / (FATES - 1) : 1;
        grid_walk(&g, (o->doubles + 1) / 2);
        grid_close(&g);
    }
}

void late_grid(const crash_options *o, uint64_t job, crash_counters *n, const late_work *late)
{
    crash_options often = *o; /* it has few states */
    grid g;
    often.judge_every = o->judge_every < LATE_JUDGE_EVERY ? o->judge_every : LATE_JUDGE_EVERY;
    grid_open(&g, &often, n, &late->t, JUDGE_DEVICE);
    g.job = job;
    g.called = LATE;
    g.indexes = late->r.indexes;
    g.every = o->late_every;
    grid_walk(&g, 0);
    n->calls = g.calls;
    grid_close(&g);
}
