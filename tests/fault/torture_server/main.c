/* main.c - fb-torture-server: the loop over requests and sites, and what must hold after each. See
 * story.h. */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/decimal.h"
#include "fault/torture/calls.h"
#include "fault/torture/heap.h"
#include "fault/torture_server/story.h"
#include "wire/pack.h"

typedef enum weapon {
    NO_MEMORY,
    STATEMENT,
    ARENA,
    WRITE_ERROR,
    DISK_FULL,
    READ_ERROR,
    BESIDE,
    BESIDE_FULL,
    WEAPONS
} weapon;
static const char *const WEAPON_NAMES[WEAPONS] = {"malloc", "statement", "arena",  "write",
                                                  "full",   "read",      "beside", "beside-full"};
enum { GROUPS_MAX = 8, SHOWN_MAX = 400, UNPACKED_BYTES_MAX = 64 << 20 };

typedef struct options {
    const char *name;
    uint64_t every, seed, only;
    bool calls, quick;
} options;

typedef struct counters {
    uint64_t sites, runs, leaks, bad, requests, later, restarts;
} counters;

typedef struct torture {
    story *s;
    const talk *asked;
    counters *n;
    weapon with;
    bool for_ever;
    uint64_t site, dump; /* dump: of the master after the undisturbed run */
    uint64_t packs;      /* of a build: what it must come to */
    int status;
    buf answer; /* unpacked */
    int64_t live;
} torture;

static void bad(torture *t, const char *what, const server_reply *reply)
{
    if (t->n->bad++ < SHOWN_MAX) {
        bool text = reply != NULL && !reply->zstd && reply->status != 200;
        fprintf(stderr, "bad: %s %s site=%llu %s: %s: HTTP %d %.*s\n", t->asked->name,
                WEAPON_NAMES[t->with], (unsigned long long)t->site,
                t->for_ever ? "for ever" : "once", what, reply != NULL ? reply->status : 0,
                text ? (int)reply->body.size : 0, text ? reply->body.data : "");
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

static void arm(torture *t)
{
    static const int RESULTS[WEAPONS] = {[WRITE_ERROR] = SQLITE_IOERR_WRITE,
                                         [DISK_FULL] = SQLITE_FULL,
                                         [READ_ERROR] = SQLITE_IOERR_READ};
    snprintf(crash_line, sizeof crash_line, "crash: %s %s site=%llu %s", t->asked->name,
             WEAPON_NAMES[t->with], (unsigned long long)t->site, t->for_ever ? "for ever" : "once");
    if (t->with == NO_MEMORY) {
        heap_arm(t->site, t->for_ever);
    } else if (t->with <= ARENA) {
        calls_arm(t->with == ARENA ? CALL_ARENA : CALL_STATEMENT, t->site, t->for_ever);
    } else if (t->with >= BESIDE) {
        mem_files_fail(t->s->f.files, t->site, t->with == BESIDE ? FB_E_IO : FB_E_DISK_FULL,
                       t->for_ever);
    } else {
        crash_vfs_fail(t->s->f.vfs, "server", t->site, RESULTS[t->with], t->for_ever);
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
    bool fired = t->with >= BESIDE ? mem_files_failed(t->s->f.files)
                                   : crash_vfs_failed(t->s->f.vfs, "server");
    mem_files_fail(t->s->f.files, 0, FB_OK, false);
    crash_vfs_fail(t->s->f.vfs, "server", 0, SQLITE_OK, false);
    return fired;
}

static void unpack(const server_reply *reply, buf *out)
{
    buf_init(out, UNPACKED_BYTES_MAX);
    if (!reply->zstd) {
        buf_put_text(out, reply->body);
    } else {
        fleet_must(pack_get(out, reply->body, UNPACKED_BYTES_MAX), NULL, "unpack");
    }
}

static bool is_answer(torture *t, const server_reply *reply)
{
    buf body;
    unpack(reply, &body);
    bool same = reply->status == t->status && text_equal(buf_text(&body), buf_text(&t->answer));
    buf_clear(&body);
    return same;
}

static bool offers_packs(const buf *answer)
{
    static const char OFFER[] = "{\"m\":\"pack\"";
    return memmem(answer->data, answer->size, OFFER, sizeof OFFER - 1) != NULL;
}

/* The same request once more; after trouble that lasts, to a server that was started anew. What
 * failed in the middle is taken up one group a request, so that a group that brings the server down
 * is found: the device asks on until all are answered. */
static void ask_again(torture *t)
{
    const server_reply *reply = story_ask(t->s, t->asked);
    for (int i = 0; i < GROUPS_MAX && reply->status == 200 && !is_answer(t, reply); i++) {
        reply = story_ask(t->s, t->asked);
    }
    if (!is_answer(t, reply) && reply->status >= 500) {
        fb_error err = {0};
        t->n->restarts++;
        story_stop(t->s);
        fleet_must(story_start(t->s, &err), &err, "start again");
        reply = story_ask(t->s, t->asked);
    }
    if (!is_answer(t, reply)) {
        bad(t, "the request put again has another answer", reply);
    }
    if (story_dump() != t->dump) {
        bad(t, "the database is not what it was without the fault", reply);
    }
}

static bool start_in_trouble(torture *t, bool *fired)
{
    fb_error err = {0};
    arm(t);
    fb_code rc = story_start(t->s, &err);
    *fired = disarm(t);
    if (rc != FB_OK && !code_is_machines(rc) && rc != FB_E_CORRUPT) {
        fprintf(stderr, "start: %s %s %s\n", fb_code_name(rc), err.field, err.message);
        bad(t, "the start says something else than what happened", NULL);
    }
    if (rc != FB_OK) {
        t->n->later++;
        story_stop(t->s);
        err = (fb_error){0};
        fleet_must(story_start(t->s, &err), &err, "start after a fault");
    }
    return rc == FB_OK;
}

/* What was not made is made an hour later. */
static bool build_in_trouble(torture *t)
{
    arm(t);
    story_build(t->s);
    bool fired = disarm(t);
    story_build(t->s);
    if (story_packs() != t->packs) {
        bad(t, "the packs are not what they were without the fault", NULL);
    }
    return fired;
}

static bool request_in_trouble(torture *t)
{
    arm(t);
    const server_reply *reply = story_ask(t->s, t->asked);
    bool fired = disarm(t);
    bool later = reply->status == 503 || reply->status == 429 || reply->status == 504;
    t->n->later += later;
    bool pages = reply->status == 200 && offers_packs(&t->answer);
    bool bare = reply->status == t->status && t->status >= 400 && reply->body.size == 0;
    if (!is_answer(t, reply) && !later && !pages && !bare) {
        bad(t, "neither the answer nor \"later\"", reply);
    }
    return fired;
}

/* One attempt. False: no fault fired any more. */
static bool attempt(torture *t, bool starting)
{
    bool fired = false;
    story_stop(t->s);
    story_files(t->s, t->asked);
    t->live = heap_live();
    if (starting) {
        (void)start_in_trouble(t, &fired);
    } else {
        fb_error err = {0};
        fleet_must(story_start(t->s, &err), &err, "server");
        fired = t->asked->build ? build_in_trouble(t) : request_in_trouble(t);
    }
    if (t->asked->build) {
        if (story_dump() != t->dump) {
            bad(t, "a build changed the database", NULL);
        }
    } else {
        ask_again(t);
    }
    story_stop(t->s);
    if (heap_live() != t->live) {
        t->n->leaks++;
        bad(t, "allocations are left", NULL);
    }
    t->n->runs++;
    return fired;
}

/* Once and for ever. False: no fault fired any more. */
static bool site_use(torture *t, bool starting)
{
    t->for_ever = false;
    if (!attempt(t, starting)) {
        return false;
    }
    t->n->sites++;
    t->for_ever = true;
    (void)attempt(t, starting);
    return true;
}

/* The first site of each call, instead of every one. */
static void weapon_use_calls(torture *t, bool starting)
{
    static uint64_t found[SITES_MAX];
    size_t count = 0;
    t->site = 0;
    sites_begin((int)t->with);
    (void)attempt(t, starting);
    memcpy(found, sites_end(&count), sizeof found);
    for (size_t i = 0; i < count; i++) {
        t->site = found[i];
        (void)site_use(t, starting);
    }
}

/* Of the longer lives one site with one weapon suffices for every test run. */
static bool is_sampled(const torture *t, const options *o)
{
    return o->quick && t->asked->of_lives;
}

static void weapon_use(torture *t, const options *o, bool starting)
{
    if (o->calls && t->with <= ARENA) {
        weapon_use_calls(t, starting);
        return;
    }
    bool one = o->only > 0 || is_sampled(t, o);
    t->site = o->only > 0 ? o->only : 1 + (o->seed + t->n->requests * 7) % o->every;
    for (;; t->site += o->every) {
        if (!site_use(t, starting) || one) {
            return;
        }
    }
}

/* The undisturbed run. False: there is nothing to compare with. */
static bool learn(torture *t)
{
    story_turn_to(t->s, t->asked);
    if (t->asked->build) {
        story_build(t->s);
        story_build(t->s);
        t->packs = story_packs();
        t->dump = story_dump();
        return true;
    }
    const server_reply *reply = story_ask(t->s, t->asked);
    t->status = reply->status;
    unpack(reply, &t->answer);
    t->dump = story_dump();
    if (t->status >= 500) {
        bad(t, "the undisturbed request is put off", reply);
    }
    return t->status < 500;
}

static void request_torture(story *s, const talk *asked, const options *o, counters *n,
                            bool starting)
{
    torture t = {.s = s, .asked = asked, .n = n};
    if (!learn(&t)) {
        return;
    }
    n->requests++;
    for (int with = 0; with < WEAPONS; with++) {
        t.with = (weapon)with;
        if (!is_sampled(&t, o) || (uint64_t)with == n->requests % BESIDE) {
            weapon_use(&t, o, starting);
        }
    }
    buf_clear(&t.answer);
}

static int usage(void)
{
    fputs(
        "fb-torture-server: every allocation and file call of the server's work on a request "
        "fails, once and for ever\n"
        "  --request N   only this request of --list; 0: only the server's start\n"
        "  --every N     only every N-th site (default 1: all)\n"
        "  --calls       of malloc, statement and arena only the sites that are the first to make "
        "some\n"
        "                call of the product fail; of the others as --every says\n"
        "  --seed S      where counting by N begins (default 0)\n"
        "  --site N      only this site\n"
        "  --quick       every 800th site, for every test run; of requests of a longer life one\n"
        "  --list        the requests\n",
        stdout);
    return 0;
}

static bool options_take(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int64_t v = 0;
        bool more = i + 1 < argc, number = more && i64_get(text_of(argv[i + 1]), &v) && v >= 0;
        if (strcmp(argv[i], "--quick") == 0) {
            o->every = 800;
            o->quick = true;
        } else if (strcmp(argv[i], "--calls") == 0) {
            o->calls = true;
        } else if (strcmp(argv[i], "--request") == 0 && number) {
            o->name = argv[++i];
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

static int list(const story *s)
{
    for (int i = 0; i < s->talks_count; i++) {
        printf("%s (%zu bytes)\n", s->talks[i].name, s->talks[i].body_size);
    }
    return 0;
}

static void all_torture(story *s, const options *o, counters *n)
{
    time_t told = time(NULL);
    for (int i = 0; i <= s->talks_count; i++) { /* 0: the start of the server */
        if (o->name == NULL || atoi(o->name) == i) {
            request_torture(s, &s->talks[i == 0 ? s->talks_count - 1 : i - 1], o, n, i == 0);
        }
        if (time(NULL) - told >= 10) {
            told = time(NULL);
            fprintf(stderr, "torture: %d/%d runs=%llu bad=%llu\n", i, s->talks_count,
                    (unsigned long long)n->runs, (unsigned long long)n->bad);
        }
    }
}

int main(int argc, char **argv)
{
    static story s;
    options o = {.every = 1};
    counters n = {0};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage();
    }
    bool listing = argc == 2 && strcmp(argv[1], "--list") == 0;
    if (!listing && !options_take(&o, argc, argv)) {
        fputs("fb-torture-server: unknown option or bad number: see --help\n", stderr);
        return 2;
    }
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    signal(SIGBUS, crashed);
    story_make(&s);
    if (listing) {
        return list(&s);
    }
    all_torture(&s, &o, &n);
    story_free(&s);
    printf("torture %s: requests=%llu sites=%llu runs=%llu later=%llu restarts=%llu crashes=0 "
           "leaks=%llu bad=%llu every=%llu\n",
           n.bad == 0 ? "ok" : "failed", (unsigned long long)n.requests,
           (unsigned long long)n.sites, (unsigned long long)n.runs, (unsigned long long)n.later,
           (unsigned long long)n.restarts, (unsigned long long)n.leaks, (unsigned long long)n.bad,
           (unsigned long long)o.every);
    return n.bad == 0 ? 0 : 1;
}
