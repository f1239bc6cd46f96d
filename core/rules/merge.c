/* merge.c - see merge.h for MRG-1 and MRG-2. One table says for each policy what happens when only
 * mine changed and when both did; the few policies that compare or add have a function. */
#include "rules/merge.h"

#include "base/check.h"
#include "base/decimal.h"
#include "base/id.h"

static merge_output theirs_stands(const merge_input *in, merge_result result, bool keep_loser)
{
    merge_output out = {.result = result, .keep_loser = keep_loser};
    if (keep_loser) {
        out.loser = *in->mine;
    }
    return out;
}

/* Mine is written; what the server had, if it is not what the device saw, is kept (MRG-1). */
static merge_output mine_stands(const merge_input *in)
{
    merge_output out = {.result = MERGE_MINE, .value = *in->mine};
    out.keep_loser = !fb_value_equal(in->base, in->theirs);
    if (out.keep_loser) {
        out.loser = *in->theirs;
    }
    return out;
}

static merge_output keep_theirs(const merge_input *in)
{
    return theirs_stands(in, MERGE_THEIRS, true);
}

static merge_output refuse(const merge_input *in)
{
    return theirs_stands(in, MERGE_REFUSE, true);
}

static merge_output later(const merge_input *in)
{
    bool mine_wins = in->mine_at_ms > in->theirs_at_ms ||
                     (in->mine_at_ms == in->theirs_at_ms && in->mine_is_person_in_charge);
    return mine_wins ? mine_stands(in) : keep_theirs(in);
}

/* A total order over all values: null first, then by kind, then by value. */
static int value_order(const fb_value *a, const fb_value *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    switch (a->kind) {
    case FB_KIND_INT:
        return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    case FB_KIND_TEXT:
        return text_compare(a->u.text, b->u.text);
    case FB_KIND_ID:
        return id_compare(&a->u.id, &b->u.id);
    case FB_KIND_NULL:
        break;
    }
    return 0;
}

static merge_output larger(const merge_input *in)
{
    return value_order(in->mine, in->theirs) > 0 ? mine_stands(in) : keep_theirs(in);
}

/* Null is "no value yet": any value is better, in both directions. */
static merge_output smaller(const merge_input *in)
{
    bool mine_wins = in->mine->kind != FB_KIND_NULL &&
                     (in->theirs->kind == FB_KIND_NULL || value_order(in->mine, in->theirs) < 0);
    return mine_wins ? mine_stands(in) : keep_theirs(in);
}

/* The integer of a counter; null counts as 0, anything else is no counter. */
static bool count_get(const fb_value *v, int64_t *out)
{
    *out = v->kind == FB_KIND_INT ? v->u.i : 0;
    return v->kind == FB_KIND_INT || v->kind == FB_KIND_NULL;
}

static bool difference(int64_t mine, int64_t base, int64_t *out)
{
    return base != INT64_MIN && i64_add(mine, -base, out);
}

static merge_output sum(const merge_input *in)
{
    int64_t base = 0, mine = 0, theirs = 0, change = 0, total = 0;
    if (!count_get(in->base, &base) || !count_get(in->mine, &mine) ||
        !count_get(in->theirs, &theirs) || !difference(mine, base, &change) ||
        !i64_add(theirs, change, &total)) {
        return refuse(in);
    }
    merge_output out = {.result = MERGE_SUM};
    out.value.kind = FB_KIND_INT;
    out.value.u.i = total;
    return out;
}

/* Mine differs from base and from theirs. */
typedef merge_output (*merge_rule)(const merge_input *in);
static const struct {
    merge_rule only_mine; /* the server still has what the device saw */
    merge_rule both;
} RULES[] = {
    [CAT_SW] = {refuse, refuse},           [CAT_LWW] = {mine_stands, later},
    [CAT_AO] = {refuse, refuse},           [CAT_DELTA] = {sum, sum},
    [CAT_SM] = {mine_stands, keep_theirs}, [CAT_MAX] = {larger, larger},
    [CAT_MIN] = {smaller, smaller},        [CAT_SEQ] = {refuse, refuse},
    [CAT_RES] = {mine_stands, refuse},     [CAT_MAN] = {mine_stands, keep_theirs},
    [CAT_SIG] = {mine_stands, refuse},
};

merge_output merge_column(const merge_input *in)
{
    FB_ASSERT((size_t)in->policy < sizeof RULES / sizeof RULES[0]);
    bool mine_changed = !fb_value_equal(in->mine, in->base);
    if (in->policy == CAT_DELTA && mine_changed) {
        return sum(in); /* also where both arrived at the same number: each added its own */
    }
    if (fb_value_equal(in->mine, in->theirs)) {
        return theirs_stands(in, MERGE_SAME, false);
    }
    if (!mine_changed) {
        return theirs_stands(in, MERGE_THEIRS, false);
    }
    bool theirs_changed = !fb_value_equal(in->theirs, in->base);
    return theirs_changed ? RULES[in->policy].both(in) : RULES[in->policy].only_mine(in);
}

int64_t merge_clamp(int64_t captured_at_ms, int64_t base_commit_at_ms, int64_t received_at_ms)
{
    int64_t at_ms = captured_at_ms > base_commit_at_ms ? captured_at_ms : base_commit_at_ms;
    return at_ms < received_at_ms ? at_ms
                                  : received_at_ms; /* the server's own clock has the last word */
}
