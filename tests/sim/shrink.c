/* shrink.c - from a seed that breaks a promise to a few events that do. See sim.h.
 *
 * Every event draws its details from its own number, so leaving some out does not change the
 * others. First whole kinds and whole devices go, then halves, quarters ... of what is left, until
 * no single event can go. A list of events counts as broken when the same promise (the first word
 * of the violation) is broken. Each attempt is a process of its own: one that dies is an answer
 * too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/sim.h"

enum { ATTEMPTS_MAX = 1500, ATTEMPT_S = 60, PROMISE_BYTES = 12 };

typedef struct shrinking {
    const sim_plan *p;
    sim_company *all;
    char promise[PROMISE_BYTES];
    bool *keep, *trial;
    uint32_t left, attempts;
} shrinking;

static void promise_of(const char *why, char out[PROMISE_BYTES])
{
    size_t n = strcspn(why, ": ");
    n = n < PROMISE_BYTES - 1 ? n : PROMISE_BYTES - 1;
    memcpy(out, why, n);
    out[n] = '\0';
}

static bool breaks(shrinking *w, const bool *keep)
{
    int status = 0;
    if (++w->attempts > ATTEMPTS_MAX) {
        return false;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sim *s = malloc(sizeof *s);
        char promise[PROMISE_BYTES];
        alarm(ATTEMPT_S);
        if (s == NULL || freopen("/dev/null", "w", stderr) == NULL) {
            _exit(0);
        }
        sim_run(s, w->p, keep, w->all, false);
        promise_of(s->why, promise);
        _exit(s->violations > 0 && strcmp(promise, w->promise) == 0 ? 1 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 1
               ? strcmp(w->promise, "crash") != 0
               : WIFSIGNALED(status) && strcmp(w->promise, "crash") == 0;
}

/* Keep the trial if it still breaks the promise. */
static bool trial_take(shrinking *w)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < w->p->events_count; i++) {
        left += w->trial[i];
    }
    if (left == w->left || !breaks(w, w->trial)) {
        return false;
    }
    memcpy(w->keep, w->trial, w->p->events_count);
    w->left = left;
    return true;
}

static void trial_begin(shrinking *w)
{
    memcpy(w->trial, w->keep, w->p->events_count);
}

/* Nothing after the first `upto` of what is left. */
static void prefix_find(shrinking *w)
{
    for (uint32_t cut = w->left / 2; cut > 0;) {
        uint32_t seen = 0, left = w->left;
        trial_begin(w);
        for (uint32_t i = 0; i < w->p->events_count; i++) {
            seen += w->trial[i];
            w->trial[i] &= seen <= left - cut;
        }
        cut = trial_take(w) && cut < w->left ? cut : cut / 2;
    }
}

static void kinds_drop(shrinking *w)
{
    for (int k = KINDS - 1; k >= 0; k--) {
        trial_begin(w);
        for (uint32_t i = 0; i < w->p->events_count; i++) {
            w->trial[i] &= w->p->events[i].kind != k;
        }
        (void)trial_take(w);
    }
    for (int d = 0; d < w->p->devices_count; d++) {
        trial_begin(w);
        for (uint32_t i = 0; i < w->p->events_count; i++) {
            w->trial[i] &= w->p->events[i].device != d;
        }
        (void)trial_take(w);
    }
}

/* Pieces of `size` events, each left out in turn; true: something went. */
static bool pieces_drop(shrinking *w, uint32_t size)
{
    bool any = false;
    for (uint32_t from = 0; from < w->left;) {
        uint32_t seen = 0;
        trial_begin(w);
        for (uint32_t i = 0; i < w->p->events_count; i++) {
            if (w->keep[i]) {
                w->trial[i] = seen < from || seen >= from + size;
                seen++;
            }
        }
        if (trial_take(w)) {
            any = true;
        } else {
            from += size;
        }
    }
    return any;
}

static void shrink_all(shrinking *w)
{
    prefix_find(w);
    kinds_drop(w);
    for (uint32_t size = w->left / 2 + 1; size > 0;) {
        bool any = pieces_drop(w, size);
        size = size == 1 && any ? 1 : size / 2;
    }
}

void shrink(uint64_t seed, const sim_options *o, const char *why, sim_company *all)
{
    sim_plan p;
    plan_make(&p, seed, o);
    shrinking w = {.p = &p, .all = all, .left = p.events_count};
    promise_of(why, w.promise);
    w.keep = malloc(p.events_count);
    w.trial = malloc(p.events_count);
    if (w.keep == NULL || w.trial == NULL) {
        abort();
    }
    memset(w.keep, true, p.events_count);
    if (breaks(&w, w.keep)) {
        shrink_all(&w);
        printf("  shrunk to %u events: ./run sim --seed %llu --days %lld%s --only ", w.left,
               (unsigned long long)seed, (long long)o->days,
               o->class == CLASS_PARTITION ? " --class partition" : "");
        const char *comma = "";
        for (uint32_t i = 0; i < p.events_count; i++) {
            if (w.keep[i]) {
                printf("%s%u", comma, (unsigned)i);
                comma = ",";
            }
        }
        puts(w.left == 0 ? "none" : "");
    } else {
        puts("  it does not break again in a process of its own");
    }
    free(w.keep);
    free(w.trial);
    plan_free(&p);
}
