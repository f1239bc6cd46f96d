/* main.c - fb-torture: the loop over sites and what must hold after each. See torture.h. */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/decimal.h"
#include "fault/torture/calls.h"
#include "fault/torture/torture.h"

/* STATEMENT, ARENA: see calls.h. FILLED: the disk takes so many bytes more and then no more growth,
 * as a real one does; DISK_FULL: every change is refused from a call on. OPEN_ERROR: no descriptor
 * or inode is left. BESIDE, BESIDE_FULL: the plain files beside the replica. */
typedef enum weapon {
    NO_MEMORY,
    STATEMENT,
    ARENA,
    WRITE_ERROR,
    DISK_FULL,
    READ_ERROR,
    FILLED,
    OPEN_ERROR,
    BESIDE,
    BESIDE_FULL,
    WEAPONS
} weapon;
static const char *const WEAPON_NAMES[WEAPONS] = {"malloc", "statement",  "arena",  "write",
                                                  "full",   "read",       "filled", "open",
                                                  "beside", "beside-full"};
enum { SHOWN_MAX = 400, FILLED_STEP_BYTES = 512, QUICK_SCENES = 5 };

typedef struct options {
    const char *api, *with;
    uint64_t every, seed, only;
    bool calls, quick;
} options;

typedef struct counters {
    uint64_t sites, runs, unclear, leaks, bad, scenes;
} counters;

typedef struct torture {
    stage *s;
    const scene *played;
    counters *n;
    weapon with;
    bool for_ever;
    uint64_t site;
    uint64_t random;                      /* what the device draws from, as the scene began */
    uint64_t before, after, after_counts; /* dumps around an undisturbed run */
    uint64_t seen;                        /* after it */
    int64_t live;
    uint64_t refused; /* growths, before the attempt */
} torture;

static void bad(torture *t, const char *what, fb_code rc, const fb_error *err)
{
    if (t->n->bad++ < SHOWN_MAX) {
        fprintf(stderr, "bad: %s %s site=%llu %s: %s: %s %s %s\n", t->played->name,
                WEAPON_NAMES[t->with], (unsigned long long)t->site,
                t->for_ever ? "for ever" : "once", what, fb_code_name(rc), err->field,
                err->message);
    }
}

/* A crash must say where. */
static char crash_line[200];
static void crashed(int sig)
{
    static const char END[] = "\ntorture failed: crashes=1\n";
    (void)sig;
    if (write(STDERR_FILENO, crash_line, strlen(crash_line)) < 0 ||
        write(STDOUT_FILENO, END, sizeof END - 1) < 0) {
        _exit(1);
    }
    _exit(1);
}

static void arm(torture *t, uint64_t n)
{
    static const int RESULTS[WEAPONS] = {[WRITE_ERROR] = SQLITE_IOERR_WRITE,
                                         [DISK_FULL] = SQLITE_FULL,
                                         [READ_ERROR] = SQLITE_IOERR_READ,
                                         [OPEN_ERROR] = SQLITE_CANTOPEN};
    snprintf(crash_line, sizeof crash_line, "crash: %s %s site=%llu %s", t->played->name,
             WEAPON_NAMES[t->with], (unsigned long long)n, t->for_ever ? "for ever" : "once");
    if (t->with == NO_MEMORY) {
        heap_arm(n, t->for_ever);
    } else if (t->with <= ARENA) {
        calls_arm(t->with == ARENA ? CALL_ARENA : CALL_STATEMENT, n, t->for_ever);
    } else if (t->with >= BESIDE) {
        mem_files_fail(t->s->f.files, n, t->with == BESIDE ? FB_E_IO : FB_E_DISK_FULL, t->for_ever);
    } else if (t->with == FILLED) {
        crash_vfs *v = t->s->f.vfs;
        t->refused = crash_vfs_count(v)->full;
        crash_vfs_quota(v, "dev1", crash_vfs_used(v, "dev1") + 1 + (n - 1) * FILLED_STEP_BYTES);
    } else {
        crash_vfs_fail(t->s->f.vfs, "dev1", n, RESULTS[t->with], t->for_ever);
    }
}

/* True: a fault fired. */
static bool disarm(torture *t)
{
    if (t->with == NO_MEMORY) {
        (void)heap_disarm();
        return heap_fired();
    }
    if (t->with <= ARENA) {
        return calls_disarm();
    }
    if (t->with >= BESIDE) {
        bool failed = mem_files_failed(t->s->f.files);
        mem_files_fail(t->s->f.files, 0, FB_OK, false);
        return failed;
    }
    if (t->with == FILLED) {
        crash_vfs_quota(t->s->f.vfs, "dev1", 0);
        return crash_vfs_count(t->s->f.vfs)->full > t->refused;
    }
    bool fired = crash_vfs_failed(t->s->f.vfs, "dev1");
    crash_vfs_fail(t->s->f.vfs, "dev1", 0, SQLITE_OK, false);
    return fired;
}

/* What a scene opened is closed, so that it can be played again on the same handle. */
static void rewind_scene(torture *t)
{
    stage *s = t->s;
    if (t->played->before == NULL) {
        fb_order_close(s->order);
        fb_sync_close(s->sync);
        fb_lane_close(s->lane);
        s->order = NULL;
        s->sync = NULL;
        s->lane = NULL;
    }
    if ((t->played->flags & (UNENROLLED | TOKEN)) != 0) {
        s->random = t->random; /* the server has only seen the token of the recorded enrolment */
    }
    s->waited_ms += 3600000; /* past every scheduled retry */
}

/* The undisturbed run: the dumps around it. */
static bool learn(torture *t)
{
    stage *s = t->s;
    fb_error err = {0};
    stage_turn(s, t->played);
    stage_set(s, t->played);
    t->before = stage_dump(s, false);
    fb_code rc = t->played->play(s, &err);
    t->after = stage_dump(s, false);
    t->after_counts = stage_dump(s, true);
    t->seen = stage_seen(s);
    stage_close(s);
    s->recording = false;
    if (rc != FB_OK) {
        bad(t, "the undisturbed run fails", rc, &err);
    }
    return rc == FB_OK;
}

/* After a failure: the file, then the same scene again, then every promise of the replica. */
static void failed_check(torture *t, fb_code rc, const fb_error *err)
{
    stage *s = t->s;
    fb_error again = {0};
    uint64_t dump = stage_dump(s, false), counts = stage_dump(s, true);
    bool done = dump == t->after || counts == t->after_counts;
    if (fb_code_class(rc) == FB_CLASS_BUG || fb_code_class(rc) == FB_CLASS_CALLER) {
        bad(t, "the error says something else than what happened", rc, err);
    }
    if (dump != t->before && !done) {
        t->n->unclear++;
        if ((t->played->flags & STEPS) == 0) {
            bad(t, "the replica is neither as before nor as after", rc, err);
        }
    }
    rewind_scene(t);
    fb_code second = t->played->play(s, &again);
    if (second != FB_OK && (dump == t->before || (t->played->flags & SEEN) != 0)) {
        bad(t, "the same call fails again without a fault", second, &again);
    }
}

static void ended_check(torture *t)
{
    stage *s = t->s;
    fb_error err = {0};
    if ((t->played->flags & SEEN) != 0 && stage_seen(s) != t->seen) {
        bad(t, "a person sees something else in the end", FB_OK, &err);
    }
    if (s->db != NULL) {
        fb_code rc = fb_db_check(s->db, &err);
        if (rc != FB_OK) {
            bad(t, "fb_db_check", rc, &err);
        }
    }
    stage_close(s);
    int64_t left = heap_live() - t->live;
    if (left != 0) {
        t->n->leaks++;
        char what[60];
        snprintf(what, sizeof what, "%lld allocations are left", (long long)left);
        bad(t, what, FB_OK, &err);
    }
}

/* TOR-5: what a person reads names the full disk and its cure. */
static void error_check(torture *t, fb_code rc, const fb_error *err)
{
    bool full = t->with == DISK_FULL || t->with == FILLED;
    if (full && (rc != FB_E_DISK_FULL || strstr(err->message, "space") == NULL)) {
        bad(t, "the error does not say that the disk is full and what to do", rc, err);
    }
    if (err->message[0] == '\0') {
        bad(t, "the error says nothing", rc, err);
    }
}

/* The reserve may have made room: it is done, or it is refused for the same reason. */
static void once_more_while_full(torture *t)
{
    const crash_vfs_counters *n = crash_vfs_count(t->s->f.vfs);
    uint64_t refused = n->full;
    fb_error err = {0};
    rewind_scene(t);
    fb_code rc = t->played->play(t->s, &err);
    if (rc != FB_OK && n->full > refused) {
        error_check(t, rc, &err);
    }
}

/* One attempt. False: no fault fired any more. */
static bool attempt(torture *t)
{
    stage *s = t->s;
    fb_error err = {0};
    t->live = heap_live();
    stage_set(s, t->played);
    t->random = s->random;
    arm(t, t->site);
    fb_code rc = t->played->play(s, &err);
    if (rc != FB_OK && t->with == FILLED && t->for_ever) {
        once_more_while_full(t);
    }
    bool fired = disarm(t);
    if (rc != FB_OK) {
        error_check(t, rc, &err);
        failed_check(t, rc, &err);
    } else if (fired && (t->played->flags & HINT) == 0 && t->after != stage_dump(s, false) &&
               t->after_counts != stage_dump(s, true)) {
        bad(t, "success, but not its effect", rc, &err);
    }
    if (rc != FB_OK && !fired) {
        bad(t, "fails without a fault", rc, &err);
    }
    ended_check(t);
    t->n->runs++;
    return fired;
}

/* Once and for ever. False: no fault fired any more. */
static bool site_use(torture *t)
{
    t->for_ever = false;
    if (!attempt(t)) {
        return false;
    }
    t->n->sites++;
    t->for_ever = true;
    (void)attempt(t);
    return true;
}

/* The first site of each call, instead of every one. */
static void weapon_use_calls(torture *t)
{
    static uint64_t found[SITES_MAX];
    stage *s = t->s;
    fb_error err = {0};
    size_t count = 0;
    stage_set(s, t->played);
    sites_begin((int)t->with);
    arm(t, 0);
    (void)t->played->play(s, &err);
    (void)disarm(t);
    memcpy(found, sites_end(&count), sizeof found);
    stage_close(s);
    for (size_t i = 0; i < count; i++) {
        t->site = found[i];
        (void)site_use(t);
    }
}

/* Of the lives, whose scenes are long, one site with one weapon suffices for every test run. */
static bool is_sampled(const scene *c, const options *o)
{
    return o->quick && scene_moment(c) != MOMENT_STAGE;
}

static void weapon_use(torture *t, const options *o)
{
    if (o->calls && t->with <= ARENA) {
        weapon_use_calls(t);
        return;
    }
    bool one = o->only > 0 || is_sampled(t->played, o);
    uint64_t first = o->only > 0 ? o->only : 1 + (o->seed + t->n->scenes) % o->every;
    for (t->site = first;; t->site += o->every) {
        if (!site_use(t) || one) {
            return;
        }
    }
}

static void scene_torture(stage *s, const scene *c, const options *o, counters *n)
{
    torture t = {.s = s, .played = c, .n = n};
    if (!learn(&t)) {
        return;
    }
    n->scenes++;
    for (int with = 0; with < WEAPONS; with++) {
        t.with = (weapon)with;
        bool rare = t.with == STATEMENT || t.with == ARENA;
        bool left_out = is_sampled(c, o) ? (uint64_t)with != n->scenes % FILLED
                                         : o->quick && rare && n->scenes % QUICK_SCENES != 0;
        if (left_out) {
            continue;
        }
        if (o->with == NULL || strcmp(o->with, WEAPON_NAMES[with]) == 0) {
            weapon_use(&t, o);
        }
    }
}

static int usage(void)
{
    fputs(
        "fb-torture: every allocation and file call of every public function fails once, and for "
        "ever\n"
        "  --api NAME    only the function with this name\n"
        "  --with CLASS  only this kind of fault: malloc, statement, arena, write, full, read,\n"
        "                filled, open, beside, beside-full\n"
        "  --every N     only every N-th site (default 1: all)\n"
        "  --calls       of malloc, statement and arena only the sites that are the first to make "
        "some\n"
        "                call of the product fail; of the others as --every says\n"
        "  --seed S      where counting by N begins (default 0)\n"
        "  --site N      only this site\n"
        "  --quick       every 300th site, for every test run; statement and arena in every fifth\n"
        "                function; of those at a moment of a longer life one site each\n"
        "  --list        the functions\n",
        stdout);
    return 0;
}

static int scenes_count(void)
{
    return SCENES_COUNT + LANE_SCENES_COUNT + LIFE_SCENES_COUNT + FILE_SCENES_COUNT;
}

static const scene *scene_at(int i)
{
    const scene *const lists[] = {SCENES, LANE_SCENES, LIFE_SCENES, FILE_SCENES};
    const int counts[] = {SCENES_COUNT, LANE_SCENES_COUNT, LIFE_SCENES_COUNT, FILE_SCENES_COUNT};
    int list = 0;
    while (i >= counts[list]) {
        i -= counts[list++];
    }
    return &lists[list][i];
}

static int list(void)
{
    for (int i = 0; i < scenes_count(); i++) {
        puts(scene_at(i)->name);
    }
    return 0;
}

static bool weapon_is_known(const char *name)
{
    for (int i = 0; i < WEAPONS; i++) {
        if (strcmp(name, WEAPON_NAMES[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool options_take(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int64_t v = 0;
        bool more = i + 1 < argc, number = more && i64_get(text_of(argv[i + 1]), &v) && v >= 0;
        if (strcmp(argv[i], "--quick") == 0) {
            o->every = 300;
            o->quick = true;
        } else if (strcmp(argv[i], "--calls") == 0) {
            o->calls = true;
        } else if (strcmp(argv[i], "--api") == 0 && more) {
            o->api = argv[++i];
        } else if (strcmp(argv[i], "--with") == 0 && more && weapon_is_known(argv[i + 1])) {
            o->with = argv[++i];
        } else if (strcmp(argv[i], "--every") == 0 && number && v > 0) {
            o->every = (uint64_t)v;
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 && number) {
            o->seed = (uint64_t)v;
            i++;
        } else if (strcmp(argv[i], "--site") == 0 && number) {
            o->only = (uint64_t)v;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static stage s;
    options o = {.every = 1};
    counters n = {0};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage();
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        return list();
    }
    if (!options_take(&o, argc, argv)) {
        fputs("fb-torture: unknown option or bad number: see --help\n", stderr);
        return 2;
    }
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    signal(SIGBUS, crashed);
    stage_make(&s);
    time_t told = time(NULL);
    int count = scenes_count();
    for (int i = 0; i < count; i++) {
        const scene *c = scene_at(i);
        if (o.api == NULL || strcmp(o.api, c->name) == 0) {
            scene_torture(&s, c, &o, &n);
        }
        if (time(NULL) - told >= 10) {
            told = time(NULL);
            fprintf(stderr, "torture: %s (%d/%d) runs=%llu bad=%llu\n", c->name, i + 1, count,
                    (unsigned long long)n.runs, (unsigned long long)n.bad);
        }
    }
    stage_free(&s);
    printf("torture %s: functions=%llu sites=%llu runs=%llu crashes=0 leaks=%llu bad=%llu "
           "every=%llu\n",
           n.bad == 0 ? "ok" : "failed", (unsigned long long)n.scenes, (unsigned long long)n.sites,
           (unsigned long long)n.runs, (unsigned long long)n.leaks, (unsigned long long)n.bad,
           (unsigned long long)o.every);
    return n.bad == 0 ? 0 : 1;
}
