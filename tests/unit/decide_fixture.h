/* decide_fixture.h - for test_decide*.c: a company, two
 * devices of it, and what their newest group would become. */
#ifndef FB_TESTS_UNIT_DECIDE_FIXTURE_H
#define FB_TESTS_UNIT_DECIDE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/each_site.h"
#include "support/raw_device.h"
#include "sync-server/decide/decide.h"

#include <cmocka.h>
#include <sqlite3.h>

typedef struct bench {
    raw_world w;
    raw_device d, manager; /* of the first person, and of who may approve */
    decide_cache *cache;
    arena *memory;
    bool old_base, waived, collided; /* of the next groups */
} bench;

static inline int setup(void **state)
{
    static bench b;
    raw_world_open(&b.w);
    raw_enrol(&b.w, &b.d, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.manager, &b.w.manager, 2);
    b.cache = decide_cache_new();
    b.old_base = b.waived = b.collided = false;
    b.memory = arena_new(16 << 20);
    *state = &b;
    return 0;
}

static inline int teardown(void **state)
{
    bench *b = *state;
    decide_cache_free(b->cache);
    arena_free(b->memory);
    raw_device_clear(&b->d);
    raw_device_clear(&b->manager);
    raw_world_close(&b->w);
    return 0;
}

/* The device's newest group, decided as its user. */
typedef struct deciding {
    bench *b;
    const raw_device *from;
    arena *memory;
    bool cold;     /* nothing is remembered of earlier groups */
    bool going_on; /* in the middle of a batch */
    decision d;
} deciding;

static inline fb_code newest_decide(void *ctx)
{
    deciding *t = ctx;
    bench *b = t->b;
    group g;
    fb_error err;
    int64_t head = 0;
    const decide_session who = {.device = t->from->id,
                                .user = t->from->user,
                                .incarnation = t->from->incarnation,
                                .received_at_ms = b->w.now_ms,
                                .gseq = t->from->last,
                                .old_base = b->old_base,
                                .waived = b->waived,
                                .collided = b->collided};
    if (t->cold) {
        decide_cache_drop(b->cache);
        arena_reset(t->memory);
    }
    FB_TRY(ledger_head(b->w.admin, &head));
    if (!t->going_on) {
        FB_TRY(decide_cache_begin(b->cache, b->w.admin, head, b->w.now_ms));
    }
    FB_TRY(group_get(buf_text(&t->from->groups[t->from->last - 1]), store_catalog(b->w.admin),
                     t->memory, &g, &err));
    return decide_group(b->cache, b->w.admin, &who, &g, t->memory, &t->d);
}

/* EST-1: what failed is no reason for another verdict. */
static inline void same_verdict(void *ctx)
{
    const deciding *trial = ctx;
    deciding right = {.b = trial->b, .from = trial->from, .memory = arena_new(16 << 20)};
    assert_int_equal(newest_decide(&right), FB_OK);
    const verdict_msg *v = &trial->d.verdict, *w = &right.d.verdict;
    if (!arena_failed(trial->memory)) { /* the caller looks (ITK-4) */
        assert_int_equal(v->code, w->code);
        assert_int_equal(v->error, w->error);
        assert_true(text_equal(v->field, w->field));
        assert_int_equal(trial->d.changes_count, right.d.changes_count);
        assert_int_equal(trial->d.awaits, right.d.awaits);
    }
    arena_free(right.memory);
}

static inline decision decided_of(bench *b, const raw_device *from)
{
    deciding t = {.b = b, .from = from, .memory = arena_new(16 << 20), .cold = true};
    each_site_fails(&(each_site){newest_decide, same_verdict, &t});
    arena_free(t.memory);
    t.memory = b->memory;
    t.cold = false;
    assert_int_equal(newest_decide(&t), FB_OK);
    return t.d;
}

static inline decision decided(bench *b)
{
    return decided_of(b, &b->d);
}

/* The same with nothing failing: for scenes whose calls fail elsewhere. */
static inline decision asked_of(bench *b, const raw_device *from)
{
    deciding t = {.b = b, .from = from, .memory = b->memory};
    decide_cache_drop(b->cache);
    assert_int_equal(newest_decide(&t), FB_OK);
    return t.d;
}

/* What no company would write, straight into the file. */
static inline void store_says(bench *b, const char *sql)
{
    sqlite3 *raw = NULL;
    char *why = NULL;
    assert_int_equal(store_begin(b->w.admin), FB_OK); /* lets go of what it stands on */
    store_rollback(b->w.admin);
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    if (sqlite3_exec(raw, sql, NULL, NULL, &why) != SQLITE_OK) {
        print_error("%s: %s\n", sql, why);
        assert_true(false);
    }
    sqlite3_close(raw);
}

/* An id that is another row's since it was given. */
static inline void alias_is(bench *b, const fb_id *from, const char *entity, const fb_id *to)
{
    store_stmt *q = store_prepare(b->w.admin, STORE_decide_alias_add);
    store_bind_id(q, 1, from);
    store_bind_text(q, 2, text_of(entity));
    store_bind_id(q, 3, to);
    assert_int_equal(store_run(q), FB_OK);
}

/* field NULL: applied. */
static inline void is(const decision *d, fb_code error, const char *field)
{
    verdict_code code = field == NULL ? VERDICT_APPLIED : VERDICT_REJECTED;
    if (d->verdict.error != error || d->verdict.code != code ||
        (field != NULL && !text_is(d->verdict.field, field))) {
        print_error("verdict %d %s %.*s\n", d->verdict.code, fb_code_name(d->verdict.error),
                    (int)d->verdict.field.size, d->verdict.field.data);
        print_error("expected %d %s %s\n", code, fb_code_name(error), field != NULL ? field : "");
        assert_true(false);
    }
    assert_true(field == NULL || d->changes_count == 0); /* DEC-2 */
}

static inline const change *change_to(const decision *d, const char *entity)
{
    for (uint32_t i = 0; i < d->changes_count; i++) {
        if (text_is(d->changes[i].entity->name, entity)) {
            return &d->changes[i];
        }
    }
    return NULL;
}

static inline const fb_value *value_in(const change *c, const char *column)
{
    int number = cat_column_str(c->entity, column);
    for (uint32_t i = 0; c->kind == CHANGE_UPDATE && i < c->columns_count; i++) {
        if (c->columns[i] == number) {
            return &c->values[i];
        }
    }
    return c->kind == CHANGE_INSERT ? &c->values[number] : NULL;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
