/* raw_trial.c - see raw_trial.h. */
#include "support/raw_trial.h"

#include "support/each_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct trial {
    raw_world *w;
    intake in;
    fb_code (*work)(struct trial *t);
    intake_request r;
    const intake_decision *how;
    intake_result first; /* of the call in which nothing failed */
    intake_result result;
    bool known;
} trial;

static fb_code undone(void *ctx)
{
    trial *t = ctx;
    store *db = t->w->admin;
    int64_t head = 0;
    decide_cache_drop(t->in.cache);
    FB_TRY(store_begin(db));
    fb_code rc = ledger_head(db, &head);
    if (rc == FB_OK) {
        rc = decide_cache_begin(t->in.cache, db, head, t->w->now_ms);
    }
    decide_cache_check_ids(t->in.cache, true);
    if (rc == FB_OK) {
        rc = t->work(t);
    }
    store_rollback(db);
    return rc;
}

static fb_code request_work(trial *t)
{
    return intake_sync(&t->in, &t->r, &t->result);
}

static fb_code held_work(trial *t)
{
    return intake_held_decide(&t->in, t->how);
}

/* As many groups refused as without the failure, and the same answer to the whole. */
static void same_result(void *ctx)
{
    trial *t = ctx;
    if (!t->known) {
        t->first = t->result;
        t->known = true;
    }
    assert_int_equal(t->result.answer, t->first.answer);
    assert_int_equal(t->result.pushed, t->first.pushed);
    assert_int_equal(t->result.refused, t->first.refused);
}

static void trial_run(trial *t, void (*done)(void *ctx))
{
    fb_error err = {0};
    t->in = (intake){.db = t->w->admin,
                     .cache = decide_cache_new(),
                     .work = arena_new(64 << 20),
                     .attempts = true};
    assert_int_equal(store_catalog_refresh(t->w->admin, &err), FB_OK);
    each_site_fails(&(each_site){undone, done, t});
    decide_cache_free(t->in.cache);
    arena_free(t->in.work);
}

void raw_trial(raw_device *d, const sync_request *q)
{
    fb_text lines[RAW_GROUPS_MAX];
    for (uint32_t i = 0; i < q->groups_count; i++) {
        lines[i] = buf_text(&d->groups[q->first - 1 + i]);
    }
    trial t = {.w = d->w,
               .work = request_work,
               .r = {.q = q, .lines = lines, .device = d->id, .now_ms = d->w->now_ms}};
    trial_run(&t, same_result);
}

void raw_trial_held(raw_world *w, const intake_decision *how)
{
    trial t = {.w = w, .work = held_work, .how = how};
    trial_run(&t, NULL);
}
