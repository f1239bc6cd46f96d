/* test_merge.c - three-way merge. Method: every triple over {null, 1, 2, 3}, every policy, every
 * order of times; MRG-1 and MRG-2 are asked of each, then each policy's own promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules/merge.h"

enum { VALUES = 4, POLICIES = CAT_SIG + 1 };

static fb_value value_of(int n) /* 0 is null */
{
    fb_value v = {.kind = n == 0 ? FB_KIND_NULL : FB_KIND_INT};
    v.u.i = n;
    return v;
}

static fb_value text_value(const char *s)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(s)};
}

/* One point of the enumeration. */
typedef struct point {
    fb_value base, mine, theirs;
    merge_input in;
    merge_output out;
} point;

static void merge_point(point *p)
{
    p->in.base = &p->base;
    p->in.mine = &p->mine;
    p->in.theirs = &p->theirs;
    p->out = merge_column(&p->in);
}

static bool same(const fb_value *a, const fb_value *b)
{
    return fb_value_equal(a, b);
}

/* What the column holds afterwards. */
static fb_value final_of(const point *p)
{
    bool written = p->out.result == MERGE_MINE || p->out.result == MERGE_SUM;
    return written ? p->out.value : p->theirs;
}

#define HOLDS(p, cond)                                                                         \
    do {                                                                                       \
        if (!(cond)) {                                                                         \
            fail_msg("%s: policy %d base %d mine %d theirs %d at %d/%d gives %d", #cond,       \
                     (int)(p)->in.policy, (int)(p)->base.u.i, (int)(p)->mine.u.i,              \
                     (int)(p)->theirs.u.i, (int)(p)->in.mine_at_ms, (int)(p)->in.theirs_at_ms, \
                     (int)(p)->out.result);                                                    \
        }                                                                                      \
    } while (0)

typedef void (*promise)(const point *p);

static void for_all(promise check)
{
    for (int n = 0; n < POLICIES * VALUES * VALUES * VALUES * 3 * 2; n++) {
        int rest = n;
        point p = {.in = {.policy = (cat_policy)(rest % POLICIES)}};
        rest /= POLICIES;
        p.base = value_of(rest % VALUES);
        rest /= VALUES;
        p.mine = value_of(rest % VALUES);
        rest /= VALUES;
        p.theirs = value_of(rest % VALUES);
        rest /= VALUES;
        p.in.mine_at_ms = 100;
        p.in.theirs_at_ms = 99 + rest % 3; /* earlier, the same, later */
        rest /= 3;
        p.in.mine_is_person_in_charge = rest == 1;
        merge_point(&p);
        check(&p);
    }
}

/* A value somebody wrote is the final one, is the kept loser, or (DELTA) is in the sum. */
static void nothing_disappears(const point *p)
{
    fb_value final = final_of(p);
    bool mine_written = !same(&p->mine, &p->base);
    bool theirs_written = !same(&p->theirs, &p->base);
    if (p->in.policy == CAT_DELTA) {
        int64_t sum = p->theirs.u.i + (mine_written ? p->mine.u.i - p->base.u.i : 0);
        HOLDS(p, final.u.i == sum);
        return;
    }
    HOLDS(p, !mine_written || same(&final, &p->mine) ||
                 (p->out.keep_loser && same(&p->out.loser, &p->mine)));
    HOLDS(p, !theirs_written || same(&final, &p->theirs) ||
                 (p->out.keep_loser && same(&p->out.loser, &p->theirs)));
}

static void merge__nothing_disappears_unkept_MRG_1(void **state)
{
    (void)state;
    for_all(nothing_disappears);
}

static bool never_back(const point *p)
{
    int64_t mine = p->mine.u.i, theirs = p->theirs.u.i;
    bool better =
        p->in.policy == CAT_MAX ? mine > theirs : mine != 0 && (theirs == 0 || mine < theirs);
    return (p->in.policy == CAT_MAX || p->in.policy == CAT_MIN) && !better;
}

static bool forbidden(cat_policy p)
{
    return p == CAT_SW || p == CAT_AO || p == CAT_SEQ;
}

static void mine_stands_on_what_it_saw(const point *p)
{
    fb_value final = final_of(p);
    if (same(&p->mine, &p->base)) { /* nothing was asked: nothing is written or kept */
        HOLDS(p, p->out.result == (same(&p->mine, &p->theirs) ? MERGE_SAME : MERGE_THEIRS));
        HOLDS(p, !p->out.keep_loser);
        return;
    }
    if (p->in.policy != CAT_DELTA && same(&p->mine, &p->theirs)) {
        HOLDS(p, p->out.result == MERGE_SAME && !p->out.keep_loser);
        return;
    }
    if (!same(&p->theirs, &p->base)) {
        return;
    }
    if (forbidden(p->in.policy)) {
        HOLDS(p, p->out.result == MERGE_REFUSE);
    } else if (never_back(p)) {
        HOLDS(p, p->out.result == MERGE_THEIRS);
    } else {
        HOLDS(p, final.u.i == p->mine.u.i);
        HOLDS(p, !p->out.keep_loser);
    }
}

static void merge__mine_stands_on_what_it_saw_MRG_2(void **state)
{
    (void)state;
    for_all(mine_stands_on_what_it_saw);
}

static void record_only_for_two_changes(const point *p)
{
    bool both =
        !same(&p->mine, &p->base) && !same(&p->theirs, &p->base) && !same(&p->mine, &p->theirs);
    bool refused = p->out.result == MERGE_REFUSE || never_back(p);
    HOLDS(p, !p->out.keep_loser || both || refused);
    HOLDS(p, !both || p->out.keep_loser || p->out.result == MERGE_SUM);
    HOLDS(p, p->out.result != MERGE_MINE || same(&p->out.value, &p->mine));
}

static void merge__conflict_record_is_due_when_both_changed(void **state)
{
    (void)state;
    for_all(record_only_for_two_changes);
}

/* What each policy says when both changed the column, differently, and mine is earlier/tie/later.
 */
static const struct {
    cat_policy policy;
    merge_result earlier, tie, later;
} BOTH[] = {
    {CAT_SW, MERGE_REFUSE, MERGE_REFUSE, MERGE_REFUSE},
    {CAT_LWW, MERGE_THEIRS, MERGE_THEIRS, MERGE_MINE},
    {CAT_AO, MERGE_REFUSE, MERGE_REFUSE, MERGE_REFUSE},
    {CAT_DELTA, MERGE_SUM, MERGE_SUM, MERGE_SUM},
    {CAT_SM, MERGE_THEIRS, MERGE_THEIRS, MERGE_THEIRS},
    {CAT_MAX, MERGE_MINE, MERGE_MINE, MERGE_MINE},
    {CAT_MIN, MERGE_THEIRS, MERGE_THEIRS, MERGE_THEIRS},
    {CAT_SEQ, MERGE_REFUSE, MERGE_REFUSE, MERGE_REFUSE},
    {CAT_RES, MERGE_REFUSE, MERGE_REFUSE, MERGE_REFUSE},
    {CAT_MAN, MERGE_THEIRS, MERGE_THEIRS, MERGE_THEIRS},
    {CAT_SIG, MERGE_REFUSE, MERGE_REFUSE, MERGE_REFUSE},
};

static void merge__every_policy_answers_when_both_changed(void **state)
{
    (void)state;
    assert_int_equal(sizeof BOTH / sizeof BOTH[0], POLICIES);
    for (size_t i = 0; i < POLICIES; i++) {
        const merge_result right[] = {BOTH[i].earlier, BOTH[i].tie, BOTH[i].later};
        for (int k = 0; k < 3; k++) {
            point p = {value_of(1), value_of(3), value_of(2), {.policy = BOTH[i].policy}, {0}};
            p.in.mine_at_ms = k;
            p.in.theirs_at_ms = 1;
            merge_point(&p);
            HOLDS(&p, p.out.result == right[k]);
        }
    }
}

static void merge__tie_goes_to_the_person_in_charge(void **state)
{
    (void)state;
    point p = {value_of(1),
               value_of(2),
               value_of(3),
               {.policy = CAT_LWW, .mine_is_person_in_charge = true},
               {0}};
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_MINE && same(&p.out.loser, &p.theirs));
    p.in.theirs_at_ms = 1; /* in charge does not mean always right */
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_THEIRS && same(&p.out.loser, &p.mine));
}

static void merge__delta_adds_what_each_added(void **state)
{
    (void)state;
    point p = {value_of(1), value_of(3), value_of(3), {.policy = CAT_DELTA}, {0}};
    merge_point(&p); /* both added 2 */
    HOLDS(&p, p.out.result == MERGE_SUM && p.out.value.u.i == 5);
    p.base = value_of(0);
    p.theirs = value_of(0);
    merge_point(&p); /* null counts as 0 */
    HOLDS(&p, p.out.result == MERGE_SUM && p.out.value.u.i == 3);
}

static void merge__delta_that_leaves_the_range_is_refused_and_kept(void **state)
{
    (void)state;
    point p = {value_of(0), value_of(3), value_of(1), {.policy = CAT_DELTA}, {0}};
    p.theirs.u.i = INT64_MAX - 2;
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_REFUSE && p.out.keep_loser && same(&p.out.loser, &p.mine));
    p.theirs.u.i = INT64_MAX - 3;
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_SUM && p.out.value.u.i == INT64_MAX);
    p.base = value_of(1);
    p.base.u.i = INT64_MIN;
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_REFUSE);
    p.base = value_of(1);
    p.mine = text_value("seven");
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_REFUSE && p.out.keep_loser);
}

static void merge__max_and_min_compare_texts_too(void **state)
{
    (void)state;
    point p = {
        value_of(0), text_value("2024-06-07"), text_value("2024-06-06"), {.policy = CAT_MAX}, {0}};
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_MINE);
    p.in.policy = CAT_MIN;
    merge_point(&p);
    HOLDS(&p, p.out.result == MERGE_THEIRS);
    p.theirs = value_of(0);
    p.base = text_value("x");
    merge_point(&p); /* no value yet is never the least */
    HOLDS(&p, p.out.result == MERGE_MINE);
}

/* The server as the devices' changes arrive one after another. */
typedef struct cell {
    fb_value value;
    int64_t at_ms;
} cell;

typedef struct change {
    fb_value value;
    int64_t at_ms;
} change;

static void arrive(cell *c, const fb_value *base, const change *ch, cat_policy policy)
{
    merge_input in = {.policy = policy,
                      .base = base,
                      .mine = &ch->value,
                      .theirs = &c->value,
                      .mine_at_ms = ch->at_ms,
                      .theirs_at_ms = c->at_ms};
    merge_output out = merge_column(&in);
    if (out.result == MERGE_MINE || out.result == MERGE_SUM) {
        c->value = out.value;
        c->at_ms = ch->at_ms;
    }
}

/* Two devices started from the same base; the order in which the server hears them must not matter.
 */
static void converges(cat_policy policy, int b, int x, int y, int64_t x_at, int64_t y_at)
{
    const fb_value base = value_of(b);
    const change first = {value_of(x), x_at}, second = {value_of(y), y_at};
    cell one = {base, 0}, two = {base, 0};
    arrive(&one, &base, &first, policy);
    arrive(&one, &base, &second, policy);
    arrive(&two, &base, &second, policy);
    arrive(&two, &base, &first, policy);
    if (one.value.u.i != two.value.u.i) {
        fail_msg("policy %d base %d: %d at %d and %d at %d do not converge", (int)policy, b, x,
                 (int)x_at, y, (int)y_at);
    }
}

static void merge__order_of_arrival_does_not_matter(void **state)
{
    (void)state;
    static const cat_policy policies[] = {CAT_LWW, CAT_DELTA, CAT_MAX, CAT_MIN};
    for (int n = 0; n < 4 * VALUES * VALUES * VALUES; n++) {
        int b = n / 4 % VALUES, x = n / 16 % VALUES, y = n / 64;
        converges(policies[n % 4], b, x, y, 10, 20);
        converges(policies[n % 4], b, x, y, 20, 10);
    }
}

static void merge_clamp__keeps_capture_between_base_and_receipt(void **state)
{
    (void)state;
    assert_int_equal(merge_clamp(50, 10, 100), 50);
    assert_int_equal(merge_clamp(5, 10, 100), 10);     /* a clock left behind */
    assert_int_equal(merge_clamp(9999, 10, 100), 100); /* a phone set to 2099 gains nothing */
    assert_int_equal(merge_clamp(50, 200, 100), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge__nothing_disappears_unkept_MRG_1),
        cmocka_unit_test(merge__mine_stands_on_what_it_saw_MRG_2),
        cmocka_unit_test(merge__conflict_record_is_due_when_both_changed),
        cmocka_unit_test(merge__every_policy_answers_when_both_changed),
        cmocka_unit_test(merge__tie_goes_to_the_person_in_charge),
        cmocka_unit_test(merge__delta_adds_what_each_added),
        cmocka_unit_test(merge__delta_that_leaves_the_range_is_refused_and_kept),
        cmocka_unit_test(merge__max_and_min_compare_texts_too),
        cmocka_unit_test(merge__order_of_arrival_does_not_matter),
        cmocka_unit_test(merge_clamp__keeps_capture_between_base_and_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
