/* digest.c - does the base hold what the server says it must? Judged inside a promotion, while
 * nothing is on top (protocol.md section 6.5).
 *
 *   FINE ---- totals differ, also after a count ----> MENDING   the next request carries the
 * buckets MENDING - a page brought buckets, totals agree -> FINE MENDING - a bucket is wrong a
 * second time ------> ANEW      the token is dropped: a reset page ANEW ---- and then they agree
 * ------------------> FINE ANEW ---- or not -------------------------------> ALARM     a person
 * must look; again in a day
 *
 * Every fault is counted and told, also one that mended itself. Nothing of it touches pending work.
 * Once a day the tables are counted and the server is asked, whether anything came or not. */
#include <string.h>

#include "base/trace.h"
#include "replica/room.h"

typedef struct judging {
    replica *r;
    const page_head *page;
    bool reset;
    bool asked; /* the request carried the buckets, as far as it could */
    stage_result *result;
    bool counted;      /* the sums are a count of the tables */
    bool sums_strayed; /* the tables did not hold what had been summed up */
} judging;

static bool is_due(replica *r)
{
    int64_t now = replica_now_ms(r, NULL, NULL);
    int64_t then = r->state.digest_checked_ms;
    return now - then >= DAY_MS || then > now;
}

static fb_code count_again(judging *j)
{
    row_sums sums;
    FB_TRY(sums_count(j->r, &sums));
    j->sums_strayed = !j->r->sums.uncertain && !row_sums_equal(&sums, &j->r->sums.now);
    j->r->sums.now = sums;
    j->r->sums.uncertain = false;
    j->counted = true;
    return FB_OK;
}

static void note_fault(judging *j)
{
    replica_state *s = &j->r->state;
    s->digest_faults++;
    s->digest_fault_ms = replica_now_ms(j->r, NULL, NULL);
    j->result->digest_wrong = true;
    trace(j->r->port, TRACE_DIGEST, "faults=%lld state=%lld strayed=%d",
          (long long)s->digest_faults, (long long)s->digest_state, j->sums_strayed);
}

static fb_code agree(judging *j)
{
    replica_state *s = &j->r->state;
    if (j->sums_strayed && s->digest_state == DIGEST_FINE) {
        note_fault(j); /* the rows are right, the sum was not */
    }
    if (s->digest_state == DIGEST_MENDING || s->digest_state == DIGEST_ANEW) {
        trace(j->r->port, TRACE_DIGEST, "faults=%lld state=%lld strayed=%d",
              (long long)s->digest_faults, (long long)DIGEST_FINE, j->sums_strayed);
    }
    s->digest_state = DIGEST_FINE;
    s->digest_checked_ms = replica_now_ms(j->r, NULL, NULL);
    return meta_drop(j->r, "digest_fixed");
}

/* The buckets mended in this affair; *again: one of the page's is among them already, or none came
 * although they were asked for. */
static fb_code remember_fixed(judging *j, bool *again)
{
    bucket_set fixed = {{0}};
    FB_TRY(meta_find_blob(j->r, "digest_fixed", &fixed, sizeof fixed));
    *again = j->asked && bucket_set_count(&j->page->fix) == 0;
    for (unsigned b = 0; b < ROW_BUCKETS; b++) {
        if (bucket_set_has(&j->page->fix, b)) {
            *again |= bucket_set_has(&fixed, b);
            bucket_set_add(&fixed, b);
        }
    }
    return meta_put_blob(j->r, "digest_fixed", &fixed, sizeof fixed);
}

static fb_code differ(judging *j)
{
    replica_state *s = &j->r->state;
    bool again = false;
    if (s->digest_state == DIGEST_FINE || (s->digest_state == DIGEST_ALARM && is_due(j->r))) {
        s->digest_state = DIGEST_MENDING;
        note_fault(j);
        FB_TRY(meta_drop(j->r, "digest_fixed"));
    } else if (j->reset && s->digest_state != DIGEST_ALARM) {
        s->digest_state = DIGEST_ALARM;
        s->digest_checked_ms = replica_now_ms(j->r, NULL, NULL);
        note_fault(j);
    } else if (s->digest_state == DIGEST_MENDING) {
        FB_TRY(remember_fixed(j, &again));
        s->digest_state = again ? DIGEST_ANEW : DIGEST_MENDING;
    }
    j->result->digest_again = s->digest_state == DIGEST_MENDING || s->digest_state == DIGEST_ANEW;
    return FB_OK;
}

fb_code digest_judge(replica *r, const page_head *page, bool reset, bool direct,
                     stage_result *result)
{
    judging j = {.r = r,
                 .page = page,
                 .reset = reset,
                 .asked = direct && !r->sums.withheld,
                 .result = result};
    row_totals told;
    bool is_told = row_totals_get(page->totals, &told);
    if (r->sums.uncertain || is_due(r)) {
        FB_TRY(count_again(&j));
    }
    row_totals mine = row_totals_of(&r->sums.now);
    if (is_told && !j.counted && (mine.rows != told.rows || mine.sum != told.sum)) {
        FB_TRY(count_again(&j));
        mine = row_totals_of(&r->sums.now);
    }
    result->digest_fixed = bucket_set_count(&page->fix);
    r->state.digest_buckets += result->digest_fixed;
    if (is_told) {
        FB_TRY(mine.rows == told.rows && mine.sum == told.sum ? agree(&j) : differ(&j));
    } else if (j.sums_strayed) {
        note_fault(&j);
        r->state.digest_checked_ms = 0; /* ask for the totals */
    }
    result->digest_alarm = r->state.digest_state == DIGEST_ALARM;
    return FB_OK;
}

fb_code digest_ask(replica *r, bool thin, bool *check, buf *buckets)
{
    row_sums sums;
    bool known = false;
    int64_t staged = 0;
    FB_REQUIRE(r != NULL && check != NULL && buckets != NULL);
    *check = r->state.head_cid > 0 && is_due(r);
    r->sums.withheld = false;
    if (r->state.digest_state != DIGEST_MENDING || r->state.base_stale) {
        return FB_OK;
    }
    /* In the course of a download the sums say nothing, and asking would begin it anew. */
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_stage)", &staged));
    if (staged != 0) {
        return FB_OK;
    }
    r->sums.withheld = thin;
    if (thin) {
        return FB_OK;
    }
    FB_TRY(sums_load(r, &sums, &known));
    if (known) {
        row_buckets_put(buckets, &sums);
    }
    return buckets->code;
}
