/* test_intake.c - what a device says of itself, runs of verdicts, attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/raw_device.h"
#include "sync-server/intake/attempt.h"
#include "sync-server/intake/chain.h"
#include "sync-server/intake/verdict_rows.h"

#include <cmocka.h>

enum { LINES = 6 };
static const char *const TEXTS[LINES] = {"{\"a\":1}", "{\"b\":2}", "{\"c\":3}",
                                         "{\"d\":4}", "{\"e\":5}", "{\"f\":6}"};

/* What a device may say when the server has applied 3 of its groups. */
static const struct {
    const char *what;
    int64_t acked, first, last;
    uint32_t count;
    int64_t chain_at; /* which chain hash it sends; -1: a wrong one */
    fb_code code;
    uint32_t repeated;
    bool by_marks;
} CLAIMS[] = {
    {"nothing new", 3, 0, 3, 0, 3, FB_OK, 0, false},
    {"nothing new, another past", 3, 0, 3, 0, -1, FB_E_FORK, 0, false},
    {"has groups, sends none", 3, 0, 5, 0, 5, FB_OK, 0, false},
    {"one new", 3, 4, 4, 1, 3, FB_OK, 0, false},
    {"one new on another past", 3, 4, 4, 1, -1, FB_E_FORK, 0, false},
    {"lost reply: all again", 0, 1, 3, 3, 0, FB_OK, 3, false},
    {"lost reply, and one new", 1, 2, 4, 3, 1, FB_OK, 2, false},
    {"lost reply, another past", 1, 2, 4, 3, -1, FB_E_FORK, 2, false},
    {"lost reply, fewer again", 0, 1, 6, 2, 0, FB_OK, 2, true},
    {"restored: wrote less", 2, 0, 2, 0, 2, FB_E_FORK, 0, false},
    {"knows verdicts nobody gave", 4, 5, 5, 1, 4, FB_E_GAP, 0, false},
    {"first is not acked + 1", 3, 5, 6, 1, 3, FB_E_PROTOCOL, 0, false},
    {"more than it wrote", 3, 4, 4, 2, 3, FB_E_PROTOCOL, 0, false},
    {"acked beyond last", 4, 0, 3, 0, 3, FB_E_PROTOCOL, 0, false},
};

static void claims_are_judged_by_chain_and_numbers(void **state)
{
    digest chain[LINES + 1];
    (void)state;
    memset(chain[0].b, 7, sizeof chain[0].b);
    for (int i = 0; i < LINES; i++) {
        digest_chain(&chain[i], TEXTS[i], strlen(TEXTS[i]), &chain[i + 1]);
    }
    door_device d = {.applied = 3, .chain = chain[3]};
    for (size_t i = 0; i < sizeof CLAIMS / sizeof CLAIMS[0]; i++) {
        fb_text lines[LINES];
        chain_place place;
        sync_request q = {.acked = CLAIMS[i].acked,
                          .first = CLAIMS[i].first,
                          .last = CLAIMS[i].last,
                          .groups_count = CLAIMS[i].count};
        for (uint32_t k = 0; k < CLAIMS[i].count && q.first + k <= LINES; k++) {
            lines[k] = text_of(TEXTS[q.first - 1 + k]);
        }
        q.chain_before = chain[CLAIMS[i].chain_at < 0 ? 6 : CLAIMS[i].chain_at];
        fb_code rc = chain_judge(&d, &q, lines, &place);
        if (rc != CLAIMS[i].code) {
            print_error("%s: %s\n", CLAIMS[i].what, fb_code_name(rc));
        }
        assert_int_equal(rc, CLAIMS[i].code);
        if (rc == FB_OK) {
            assert_int_equal(place.repeated, CLAIMS[i].repeated);
            assert_int_equal(place.by_marks, CLAIMS[i].by_marks);
        }
    }
}

/* Numbers that no device can mean. */
static void numbers_that_contradict_each_other_are_refused(void **state)
{
    static const struct {
        int64_t acked, settled, last;
        fb_code code;
    } NUMBERS[] = {
        {3, 3, 3, FB_OK},         {-1, 0, 3, FB_E_PROTOCOL}, {3, -1, 3, FB_E_PROTOCOL},
        {2, 3, 3, FB_E_PROTOCOL}, {3, 0, 2, FB_E_PROTOCOL},
    };
    const door_device d = {.applied = 3};
    (void)state;
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        chain_place place;
        const sync_request q = {
            .acked = NUMBERS[i].acked, .settled = NUMBERS[i].settled, .last = NUMBERS[i].last};
        assert_int_equal(chain_judge(&d, &q, NULL, &place), NUMBERS[i].code);
    }
}

static void mark_tells_lines_apart(void **state)
{
    char line[8 * 8 + 7]; /* words, and bytes that make none */
    (void)state;
    memset(line, 'x', sizeof line);
    uint64_t all = mark_of((fb_text){line, sizeof line});
    for (size_t i = 0; i < sizeof line; i++) {
        line[i] = 'y';
        assert_true(mark_of((fb_text){line, sizeof line}) != all);
        line[i] = 'x';
        assert_true(mark_of((fb_text){line, i}) != all);
    }
    assert_true(mark_of((fb_text){line, sizeof line}) == all);
    uint8_t bytes[8];
    mark_put(all, bytes);
    assert_true(mark_get(bytes) == all);
}

static void run_takes_only_what_follows(void **state)
{
    static verdict_run run;
    (void)state;
    run_begin(&run, 1);
    assert_true(run_add(&run, 5, 100, 1));
    assert_true(run_add(&run, 6, 101, 2));
    assert_false(run_add(&run, 8, 102, 3)); /* a group between them is not plain */
    assert_false(run_add(&run, 7, 103, 3)); /* another device committed in between */
    assert_true(run_add(&run, 7, 102, 3));
    for (int64_t g = 8; g < 5 + INTAKE_GROUPS_MAX; g++) {
        assert_true(run_add(&run, g, 95 + g, 4));
    }
    assert_false(run_add(&run, 5 + INTAKE_GROUPS_MAX, 100 + INTAKE_GROUPS_MAX, 4)); /* full */
}

/* --- with a database --- */

typedef struct bench {
    raw_world w;
    raw_device d;
    intake in;
} bench;

static int setup(void **state)
{
    static bench b;
    raw_world_open(&b.w);
    raw_enrol(&b.w, &b.d, &b.w.users[0], 1);
    b.in = (intake){.db = b.w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    raw_reply r;
    raw_exchange(&b.d, &r);
    raw_reply_clear(&r);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    decide_cache_free(b->in.cache);
    arena_free(b->in.work);
    raw_device_clear(&b->d);
    raw_world_close(&b->w);
    return 0;
}

/* Rows of fs_verdict: runs 1..3 and 4..5 that follow, a rejection at 6, a run 7..7. */
static void rows_put(bench *b, int64_t no)
{
    static verdict_run run;
    static const struct {
        int64_t gseq, cid;
        bool ends;
    } plain[] = {{1, 50, false}, {2, 51, false}, {3, 52, true},
                 {4, 53, false}, {5, 54, true},  {7, 60, true}};
    const verdict_row rejected = {.incarnation_no = no,
                                  .gseq = 6,
                                  .code = VERDICT_REJECTED,
                                  .line = text_of("REJECTED 6\n"),
                                  .payload = text_of("{}")};
    run_begin(&run, no);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        assert_true(run_add(&run, plain[i].gseq, plain[i].cid, 9));
        if (plain[i].ends) {
            assert_int_equal(run_flush(b->w.admin, &run), FB_OK);
        }
    }
    assert_int_equal(verdict_row_add(b->w.admin, &rejected), FB_OK);
}

static const struct {
    int64_t acked;
    const char *lines;
} REPLIES[] = {
    {0, "{\"m\":\"ok\",\"g\":\"1\",\"to\":\"5\",\"cid\":\"50\"}\nREJECTED "
        "6\n{\"m\":\"ok\",\"g\":\"7\",\"cid\":\"60\"}\n"},
    {2, "{\"m\":\"ok\",\"g\":\"3\",\"to\":\"5\",\"cid\":\"52\"}\nREJECTED "
        "6\n{\"m\":\"ok\",\"g\":\"7\",\"cid\":\"60\"}\n"},
    {5, "REJECTED 6\n{\"m\":\"ok\",\"g\":\"7\",\"cid\":\"60\"}\n"},
    {6, "{\"m\":\"ok\",\"g\":\"7\",\"cid\":\"60\"}\n"},
    {7, ""},
};

static void verdicts_begin_behind_what_the_device_knows(void **state)
{
    bench *b = *state;
    door_device d;
    assert_int_equal(door_device_get(b->w.admin, &b->d.id, &d), FB_OK);
    d.applied = 7;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    rows_put(b, d.incarnation_no);
    for (size_t i = 0; i < sizeof REPLIES / sizeof REPLIES[0]; i++) {
        buf out;
        buf_init(&out, 1 << 16);
        assert_int_equal(
            intake_verdicts_put(b->w.admin, &d, REPLIES[i].acked, text_of("1.5"), &out), FB_OK);
        assert_string_equal(buf_cstr(&out), REPLIES[i].lines);
        buf_clear(&out);
    }
    store_rollback(b->w.admin);
}

static void verdicts_are_found_by_any_number_they_cover(void **state)
{
    static const struct {
        int64_t gseq;
        fb_code code;
        int64_t from;
    } FIND[] = {{0, FB_E_NOT_FOUND, 0}, {1, FB_OK, 1}, {3, FB_OK, 1},         {5, FB_OK, 4},
                {6, FB_OK, 6},          {7, FB_OK, 7}, {8, FB_E_NOT_FOUND, 0}};
    bench *b = *state;
    door_device d;
    assert_int_equal(door_device_get(b->w.admin, &b->d.id, &d), FB_OK);
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    rows_put(b, d.incarnation_no);
    for (size_t i = 0; i < sizeof FIND / sizeof FIND[0]; i++) {
        verdict_found v;
        assert_int_equal(verdict_find(b->w.admin, d.incarnation_no, FIND[i].gseq, b->in.work, &v),
                         FIND[i].code);
        assert_true(FIND[i].code != FB_OK || v.gseq == FIND[i].from);
    }
    store_rollback(b->w.admin);
}

/* A row that a disk lost takes no other one with it, and numbers that do not follow are told apart.
 */
static void verdicts_around_a_lost_row_are_told(void **state)
{
    static verdict_run run;
    bench *b = *state;
    door_device d;
    verdict_msg m;
    buf out;
    assert_int_equal(door_device_get(b->w.admin, &b->d.id, &d), FB_OK);
    d.applied = 8;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    rows_put(b, d.incarnation_no);
    run_begin(&run, d.incarnation_no);
    assert_true(run_add(&run, 8, 99, 9)); /* somebody else's commits lie between */
    assert_int_equal(run_flush(b->w.admin, &run), FB_OK);
    int64_t no = d.incarnation_no;
    d.incarnation_no = -1; /* rows of nobody: none */
    buf_init(&out, 1 << 16);
    assert_int_equal(intake_verdicts_put(b->w.admin, &d, 5, text_of("1.5"), &out), FB_OK);
    assert_int_equal(out.size, 0);
    d.incarnation_no = no;
    assert_int_equal(intake_verdicts_put(b->w.admin, &d, 6, text_of("1.5"), &out), FB_OK);
    assert_string_equal(buf_cstr(&out), "{\"m\":\"ok\",\"g\":\"7\",\"cid\":\"60\"}\n"
                                        "{\"m\":\"ok\",\"g\":\"8\",\"cid\":\"99\"}\n");
    store_rollback(b->w.admin);
    buf_clear(&out);
    assert_int_equal(verdict_line_get(text_of(""), b->in.work, &m), FB_E_CORRUPT);
}

static void verdict_that_is_lost_is_left_out(void **state)
{
    bench *b = *state;
    door_device d;
    buf out;
    verdict_run run;
    assert_int_equal(door_device_get(b->w.admin, &b->d.id, &d), FB_OK);
    d.applied = 7;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    run_begin(&run, d.incarnation_no);
    for (int64_t g = 1; g <= 7; g++) { /* 4 and 5 are missing */
        if (g != 4 && g != 5) {
            assert_true(run_add(&run, g, 50 + g, 9));
        }
        if (g == 3 || g == 7) {
            assert_int_equal(run_flush(b->w.admin, &run), FB_OK);
        }
    }
    buf_init(&out, 1 << 16);
    assert_int_equal(intake_verdicts_put(b->w.admin, &d, 4, text_of("1.5"), &out), FB_OK);
    assert_string_equal(buf_cstr(&out), "{\"m\":\"ok\",\"g\":\"6\",\"to\":\"7\",\"cid\":\"56\"}\n");
    buf_reset(&out);
    assert_int_equal(intake_verdicts_put(b->w.admin, &d, 0, text_of("1.5"), &out), FB_OK);
    assert_string_equal(buf_cstr(&out), "{\"m\":\"ok\",\"g\":\"1\",\"to\":\"3\",\"cid\":\"51\"}\n"
                                        "{\"m\":\"ok\",\"g\":\"6\",\"to\":\"7\",\"cid\":\"56\"}\n");
    store_rollback(b->w.admin);
    buf_clear(&out);
}

/* A verdict that was decided later is told until the token says that its commit was passed. */
static void later_verdict_is_told_until_its_commit_is_passed(void **state)
{
    static const struct {
        const char *token;
        bool told;
    } TOKENS[] = {{"", true},
                  {"3", true},
                  {"3.", true},
                  {"3.x", true},
                  {"3.52428799", true},  /* commit 49 to its end */
                  {"3.53477376", false}, /* the last place of commit 50 */
                  {"3.53477376+4.0", false},
                  {"3.99999999999999999999999999", false}};
    bench *b = *state;
    door_device d;
    assert_int_equal(door_device_get(b->w.admin, &b->d.id, &d), FB_OK);
    d.applied = 7;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    rows_put(b, d.incarnation_no);
    store_stmt *q = store_prepare(b->w.admin, STORE_intake_verdict_settle);
    store_bind_int(q, 1, d.incarnation_no);
    store_bind_int(q, 2, 6);
    store_bind_int(q, 3, 50);
    store_bind_int(q, 4, 50);
    store_bind_int(q, 5, VERDICT_APPLIED);
    store_bind_text(q, 6, text_of("ACCEPTED 6\n"));
    assert_int_equal(store_run(q), FB_OK);
    for (size_t i = 0; i < sizeof TOKENS / sizeof TOKENS[0]; i++) {
        buf out;
        buf_init(&out, 1 << 16);
        assert_int_equal(intake_verdicts_put(b->w.admin, &d, 7, text_of(TOKENS[i].token), &out),
                         FB_OK);
        assert_string_equal(buf_cstr(&out), TOKENS[i].told ? "ACCEPTED 6\n" : "");
        buf_clear(&out);
    }
    store_rollback(b->w.admin);
}

static attempt attempt_of(bench *b)
{
    attempt a;
    assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
    return a;
}

/* ATT-2: a mark is taken back to what stood before it; one that is not there leaves nothing. */
static void marks_are_made_and_taken_back(void **state)
{
    bench *b = *state;
    store *db = b->w.admin;
    const fb_id stranger = {{9}};
    attempt_marked m;
    raw_line(&b->d, "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[]}");
    sync_request q = raw_request(&b->d);
    assert_int_equal(store_begin(db), FB_OK);
    assert_int_equal(attempt_mark(&b->in, &stranger, &q, &m), FB_OK);
    assert_false(m.marked);
    assert_int_equal(attempt_unmark(&b->in, &b->d.id), FB_OK);
    assert_false(attempt_of(b).found);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(attempt_mark(&b->in, &b->d.id, &q, &m), FB_OK);
        assert_true(m.marked);
        assert_int_equal(m.stood, i == 2);
        assert_int_equal(attempt_of(b).tries, i);
    }
    assert_int_equal(attempt_unmark(&b->in, &b->d.id), FB_OK);
    assert_int_equal(attempt_of(b).tries, 1);
    assert_int_equal(attempt_unmark(&b->in, &b->d.id), FB_OK);
    assert_false(attempt_of(b).found);
    b->in.attempts = true;
    assert_int_equal(attempt_look(&b->in), FB_OK);
    assert_false(b->in.attempts);
    store_rollback(db);
}

/* Where an attempt stands after a request in which `tried` was the group in doubt. */
static void attempts_are_over_or_at_the_next_group(void **state)
{
    static const struct {
        int64_t tried;
        bool careful, one_group, found;
        int64_t gseq, pushed;
    } CASES[] = {
        {1, true, true, true, 2, 1},   /* one by one: the next is in doubt now */
        {1, true, false, false, 0, 2}, /* all through */
        {1, false, true, false, 0, 1},
        {2, true, true, true, 2, 1}, /* not reached yet */
    };
    bench *b = *state;
    store *db = b->w.admin;
    fb_text lines[2];
    for (int i = 0; i < 2; i++) {
        raw_line(&b->d, "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[]}");
        lines[i] = buf_text(&b->d.groups[i]);
    }
    sync_request q = raw_request(&b->d);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const intake_request r = {
            .q = &q, .lines = lines, .device = b->d.id, .now_ms = b->w.now_ms};
        intake_result got;
        int64_t head = 0;
        b->in.careful = CASES[i].careful;
        b->in.one_group = CASES[i].one_group;
        b->in.attempts = true;
        assert_int_equal(store_begin(db), FB_OK);
        assert_int_equal(attempt_put(db, &b->d.id, CASES[i].tried, 1), FB_OK);
        assert_int_equal(ledger_head(db, &head), FB_OK);
        assert_int_equal(decide_cache_begin(b->in.cache, db, head, b->w.now_ms), FB_OK);
        assert_int_equal(intake_sync(&b->in, &r, &got), FB_OK);
        assert_int_equal(got.pushed, CASES[i].pushed);
        attempt a = attempt_of(b);
        assert_int_equal(a.found, CASES[i].found);
        assert_true(!a.found || a.gseq == CASES[i].gseq);
        store_rollback(db);
        decide_cache_drop(b->in.cache);
    }
    b->in = (intake){.db = db, .cache = b->in.cache, .work = b->in.work};
}

/* Groups that are sent again without reaching what was applied: no chain hash stands for them. */
static void repeats_are_told_apart_by_their_marks(void **state)
{
    bench *b = *state;
    raw_reply r;
    for (int i = 0; i < 3; i++) {
        raw_line(&b->d, "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[]}");
    }
    raw_sync(&b->d, &r); /* the reply is lost */
    assert_int_equal(r.status, 200);
    raw_reply_clear(&r);
    sync_request q = raw_request(&b->d);
    q.groups_count = 2;
    for (int altered = 0; altered <= 2; altered++) {
        char *at = altered > 0 ? (char *)b->d.groups[altered - 1].data + 6 : NULL;
        if (at != NULL) {
            *at = 'y';
        }
        raw_sync_with(&b->d, &q, &r);
        assert_int_equal(r.error, altered > 0 ? FB_E_FORK : FB_OK);
        raw_reply_clear(&r);
        if (at != NULL) {
            *at = 'x';
        }
    }
    memset(&q.incarnation, 0, sizeof q.incarnation);
    raw_sync_with(&b->d, &q, &r); /* nobody's */
    assert_int_equal(r.error, FB_E_PROTOCOL);
    raw_reply_clear(&r);
}

static void failures_of_one_group_are_counted_and_others_forgotten(void **state)
{
    bench *b = *state;
    attempt a;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(attempt_note(&b->in, &b->d.id, 4), FB_OK);
        assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
        assert_int_equal(a.tries, i);
    }
    assert_true(b->in.attempts);
    assert_int_equal(attempt_note(&b->in, &b->d.id, 5), FB_OK);
    assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
    assert_int_equal(a.gseq, 5);
    assert_int_equal(a.tries, 1);
    b->in.careful = true; /* the mark made before the batch has counted it */
    assert_int_equal(attempt_note(&b->in, &b->d.id, 5), FB_OK);
    assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
    assert_int_equal(a.tries, 1);
    assert_int_equal(attempt_note(&b->in, &b->d.id, 6), FB_OK); /* no mark counted that one */
    assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
    assert_int_equal(a.gseq, 6);
    assert_int_equal(a.tries, 1);
    assert_int_equal(attempt_delete(b->w.admin, &b->d.id), FB_OK);
    assert_int_equal(attempt_note(&b->in, &b->d.id, 6), FB_OK);
    assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
    assert_true(a.found && a.tries == 1);
}

static void attempts_survive_the_server_and_end_in_a_verdict(void **state)
{
    bench *b = *state;
    raw_reply r;
    raw_line(&b->d, "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[]}");
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        assert_int_equal(attempt_note(&b->in, &b->d.id, 1), FB_OK);
    }
    raw_server_restart(&b->w, false); /* reads that there are rows */
    raw_exchange(&b->d, &r);
    assert_int_equal(raw_verdict(&r, 1).error, FB_E_POISON);
    raw_reply_clear(&r);
    attempt a;
    assert_int_equal(attempt_get(b->w.admin, &b->d.id, &a), FB_OK);
    assert_false(a.found);
}

/* What the door let in waits for the writer; meanwhile the administrator may have said no. */
static void groups_are_taken_of_devices_that_are_active_now(void **state)
{
    bench *b = *state;
    store *db = b->w.admin;
    const fb_id stranger = {{9}};
    const struct {
        const fb_id *device;
        bool blocked;
        fb_code answer;
    } CASES[] = {
        {&b->d.id, true, FB_E_DEVICE},
        {&stranger, false, FB_E_DEVICE},
        {&b->d.id, false, FB_OK},
    };
    raw_line(&b->d, "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[]}");
    fb_text line = buf_text(&b->d.groups[0]);
    sync_request q = raw_request(&b->d);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        intake_result got;
        int64_t head = 0;
        const intake_request r = {
            .q = &q, .lines = &line, .device = *CASES[i].device, .now_ms = b->w.now_ms};
        assert_int_equal(store_begin(db), FB_OK);
        if (CASES[i].blocked) {
            assert_int_equal(door_device_block(db, CASES[i].device, b->w.now_ms), FB_OK);
        }
        assert_int_equal(ledger_head(db, &head), FB_OK);
        assert_int_equal(decide_cache_begin(b->in.cache, db, head, b->w.now_ms), FB_OK);
        assert_int_equal(intake_sync(&b->in, &r, &got), FB_OK);
        assert_int_equal(got.answer, CASES[i].answer);
        assert_int_equal(got.pushed, CASES[i].answer == FB_OK ? 1 : 0);
        store_rollback(db);
        decide_cache_drop(b->in.cache);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_judged_by_chain_and_numbers),
        cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
        cmocka_unit_test(mark_tells_lines_apart),
        cmocka_unit_test(run_takes_only_what_follows),
        CASE(verdicts_begin_behind_what_the_device_knows),
        CASE(verdicts_are_found_by_any_number_they_cover),
        CASE(verdicts_around_a_lost_row_are_told),
        CASE(verdict_that_is_lost_is_left_out),
        CASE(later_verdict_is_told_until_its_commit_is_passed),
        CASE(repeats_are_told_apart_by_their_marks),
        CASE(marks_are_made_and_taken_back),
        CASE(attempts_are_over_or_at_the_next_group),
        CASE(failures_of_one_group_are_counted_and_others_forgotten),
        CASE(attempts_survive_the_server_and_end_in_a_verdict),
        CASE(groups_are_taken_of_devices_that_are_active_now),
    };
    return cmocka_run_group_tests_name("intake", tests, NULL, NULL);
}
