/* merge.h - three-way merge of one column: base (what the device saw), mine, theirs (the server's).
 *
 * Pure and total: every policy has an answer for every triple. MRG-1: no value disappears without
 * keep_loser. MRG-2: theirs == base means mine stands; mine == theirs means nothing to decide.
 * What a policy says beats MRG-2: SW, AO and SEQ refuse any change, MAX and MIN never go back, and
 * a DELTA is added even where both sides stand at the same number. mine == base: nothing was asked.
 * Source: domain.md 3.3, sync.md decision 5. */
#ifndef FB_RULES_MERGE_H
#define FB_RULES_MERGE_H

#include "catalog/catalog.h"

typedef enum merge_result {
    MERGE_MINE,   /* write mine */
    MERGE_THEIRS, /* keep theirs */
    MERGE_SAME,   /* mine == theirs: nothing to write */
    MERGE_SUM,    /* DELTA: *out holds theirs + difference */
    MERGE_REFUSE  /* the policy forbids this write (SW, AO, SIG, SEQ, RES lost) */
} merge_result;

typedef struct merge_input {
    cat_policy policy;
    const fb_value *base, *mine, *theirs;
    int64_t mine_at_ms;            /* corrected capture time, already clamped (merge_clamp) */
    int64_t theirs_at_ms;          /* when the server's value was captured */
    bool mine_is_person_in_charge; /* task assigner etc.: wins ties */
} merge_input;

typedef struct merge_output {
    merge_result result;
    bool keep_loser; /* a conflict record is due: both changed the column, differently */
    fb_value value;  /* MERGE_MINE, MERGE_SUM */
    fb_value loser;  /* with keep_loser */
} merge_output;

merge_output merge_column(const merge_input *in);
/* Capture time clamped between the base commit's time and the time of receipt. */
int64_t merge_clamp(int64_t captured_at_ms, int64_t base_commit_at_ms, int64_t received_at_ms);

#endif
