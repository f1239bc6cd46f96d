/* chain.c - see chain.h. */
#include "sync-server/intake/chain.h"

#include <string.h>

static bool is_same(const digest *a, const digest *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* Carried: first .. first + count - 1, of `last` written. */
static bool numbers_fit(const sync_request *q)
{
    if (q->acked < 0 || q->settled < 0 || q->settled > q->acked || q->last < q->acked) {
        return false;
    }
    if (q->groups_count == 0) {
        return true;
    }
    return q->first == q->acked + 1 && q->groups_count <= (uint64_t)(q->last - q->acked);
}

fb_code chain_judge(const door_device *d, const sync_request *q, const fb_text *lines,
                    chain_place *out)
{
    *out = (chain_place){0};
    if (!numbers_fit(q)) {
        return FB_E_PROTOCOL;
    }
    if (q->last < d->applied) {
        return FB_E_FORK;
    }
    if (q->acked > d->applied) {
        return FB_E_GAP;
    }
    if (q->groups_count == 0) { /* chain_before is that of `last` */
        return q->last == d->applied && !is_same(&q->chain_before, &d->chain) ? FB_E_FORK : FB_OK;
    }
    int64_t known = d->applied - q->acked;
    out->repeated = known < (int64_t)q->groups_count ? (uint32_t)known : q->groups_count;
    out->by_marks = known > (int64_t)q->groups_count;
    if (out->by_marks) {
        return FB_OK;
    }
    digest chain = q->chain_before;
    for (uint32_t i = 0; i < out->repeated; i++) {
        digest_chain(&chain, lines[i].data, lines[i].size, &chain);
    }
    return is_same(&chain, &d->chain) ? FB_OK : FB_E_FORK;
}

/* Eight bytes at a time, each word multiplied and folded in; the length closes it. */
uint64_t mark_of(fb_text line)
{
    const uint64_t k = 0x9e3779b97f4a7c15u;
    uint64_t h = (uint64_t)line.size * k, word = 0;
    size_t at = 0;
    for (; at + sizeof word <= line.size; at += sizeof word) {
        memcpy(&word, line.data + at, sizeof word);
        h = (h ^ word) * k;
        h ^= h >> 32;
    }
    word = 0;
    if (at < line.size) {
        memcpy(&word, line.data + at, line.size - at);
    }
    h = (h ^ word) * k;
    return h ^ (h >> 29);
}
