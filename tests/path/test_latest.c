/* test_latest.c - "the later one wins", whatever the phones' clocks say.
 *
 * Property over clocks from 1901 to beyond 2106: two people change one column from the same base.
 * What is compared is the capture time, not before the base version's commit and not after the time
 * of receipt; on a tie the server's value stays; the loser is in a conflict record with both times.
 * The server's side of it is the time of the column itself, whatever was written beside it since.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/raw_device.h"

#include <cmocka.h>

enum { ROUNDS = 400 };

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 2: the same territory */
    uint64_t random;
} bench;

static int setup(void **state)
{
    static bench b;
    raw_reply r;
    b.random = 3;
    raw_world_open(&b.w);
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_exchange(&b.a, &r);
    raw_reply_clear(&r);
    raw_exchange(&b.b, &r);
    raw_reply_clear(&r);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_world_close(&b->w);
    return 0;
}

static int64_t draw(bench *b, int64_t below)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((b->random >> 20) % (uint64_t)below);
}

/* What a phone's clock may say at this moment. */
static int64_t clock_of(bench *b, int64_t now_ms)
{
    static const int64_t PLACES[] = {
        INT64_C(-2177452800000), /* 1901 */
        -1,
        1,                      /* 1970 */
        INT64_C(2147483647000), /* 2038 */
        INT64_C(2147483648000),
        INT64_C(4294967295000), /* 2106 */
        INT64_C(4294967296000),
    };
    switch (draw(b, 5)) {
    case 0:
        return PLACES[draw(b, sizeof PLACES / sizeof PLACES[0])];
    case 1:
        return draw(b, INT64_C(4294967296000));
    case 2:
        return now_ms; /* right */
    default:
        return now_ms - 40000 + draw(b, 80000); /* nearly right */
    }
}

static int64_t clamped(int64_t at, int64_t base, int64_t received)
{
    at = at < base ? base : at;
    return at > received ? received : at;
}

static int64_t commit_at(bench *b, int64_t ver)
{
    int64_t at = -1;
    bool row = false;
    store_stmt *q = store_prepare(b->w.admin, STORE_decide_commit_get);
    store_bind_int(q, 1, ver >> 20);
    assert_int_equal(store_step(q, &row), FB_OK);
    assert_true(row);
    at = store_int(q, 0);
    store_reset(q);
    return at;
}

static void edit_column(bench *b, raw_device *d, int64_t ver, const char *const *triple, int64_t at)
{
    raw_group g;
    raw_begin(&g, d, "customer.edit", at, 0);
    raw_update(&g, "customer", &b->w.customers[0], ver, triple);
    raw_end(&g);
}

static void edit(bench *b, raw_device *d, int64_t ver, const char *base, const char *mine,
                 int64_t at)
{
    edit_column(b, d, ver, PAIRS("phone", base, mine), at);
}

/* The only conflict record of this value. */
static void conflict_is(bench *b, const char *mine, bool mine_won, int64_t mine_at,
                        int64_t theirs_at, const fb_id *other)
{
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "conflict");
    arena *memory = arena_new(1 << 20);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of(mine)};
    assert_int_equal(store_row_by(b->w.admin, e, cat_column_str(e, "mine"), &equal, memory, values),
                     FB_OK);
    assert_true(text_is(values[cat_column_str(e, "winner")].u.text, mine_won ? "mine" : "theirs"));
    assert_int_equal(values[cat_column_str(e, "mine_at")].u.i, mine_at);
    assert_int_equal(values[cat_column_str(e, "theirs_at")].u.i, theirs_at);
    assert_memory_equal(&values[cat_column_str(e, "other_user_id")].u.id, other, sizeof *other);
    arena_free(memory);
}

static void round_run(bench *b, int number)
{
    char before[256], after[256], phone[2][20];
    raw_reply r;
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    int64_t base_at = commit_at(b, ver);
    raw_server_text(&b->w, "customer", &b->w.customers[0], "phone", before);
    snprintf(phone[0], sizeof phone[0], "+86138%08d", 2 * number);
    snprintf(phone[1], sizeof phone[1], "+86138%08d", 2 * number + 1);
    b->w.now_ms += 1 + draw(b, 30000);
    int64_t at[2] = {clock_of(b, b->w.now_ms), clock_of(b, b->w.now_ms)};
    edit(b, &b->a, ver, before, phone[0], at[0]);
    edit(b, &b->b, ver, before, phone[1], at[1]);
    raw_exchange(&b->a, &r);
    int64_t received_a = b->w.now_ms;
    assert_int_equal(raw_verdict(&r, b->a.last).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    b->w.now_ms += draw(b, 30000);
    raw_exchange(&b->b, &r);
    int64_t mine_at = clamped(at[1], base_at, b->w.now_ms),
            theirs_at = clamped(at[0], base_at, received_a);
    verdict_msg m = raw_verdict(&r, b->b.last);
    assert_int_equal(m.code, VERDICT_MERGED);
    assert_int_equal(m.columns_count, 1);
    assert_int_equal(m.columns[0].mine_won, mine_at > theirs_at);
    raw_reply_clear(&r);
    raw_server_text(&b->w, "customer", &b->w.customers[0], "phone", after);
    assert_string_equal(after, phone[mine_at > theirs_at]);
    conflict_is(b, phone[1], mine_at > theirs_at, mine_at, theirs_at, &b->a.user);
}

static void later_one_wins_by_corrected_clamped_time(void **state)
{
    bench *b = *state;
    for (int i = 1; i <= ROUNDS; i++) {
        if (b->a.last == RAW_GROUPS_MAX) { /* a new life: its groups are all settled */
            raw_incarnation(&b->a);
            raw_incarnation(&b->b);
        }
        round_run(b, i);
    }
}

/* ---- one column among others ---- */

enum { COLUMNS = 3, COLUMN_ROUNDS = 200 };
static const char *const NAMES[COLUMNS] = {"phone", "remark", "website"};

/* What a naive reader of the rule knows of one column. */
typedef struct column_life {
    char before[256], now[256];
    bool changed, by_office;
    int64_t at;
} column_life;

static void value_draw(int number, int step, int column, char out[256])
{
    snprintf(out, 256, column == 0 ? "+8613%04d%04d" : "value %d.%d", number % 10000, step);
}

/* IT's own change carries no capture time: its commit's counts. */
static void office_edits(bench *b, column_life *c, int column)
{
    fb_error err = {0};
    b->w.now_ms += draw(b, 2000);
    assert_int_equal(store_catalog_refresh(b->w.admin, &err), FB_OK);
    company_set(&b->w.company, "customer", &b->w.customers[0], PAIRS(NAMES[column], c->now));
    c->at = commit_at(b, raw_server_ver(&b->w, "customer", &b->w.customers[0]));
    c->by_office = true;
}

static void a_edits(bench *b, column_life *c, const char *was, int column)
{
    raw_reply r;
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    int64_t at = clock_of(b, b->w.now_ms), base_at = commit_at(b, ver);
    b->w.now_ms += 1 + draw(b, 30000);
    edit_column(b, &b->a, ver, PAIRS(NAMES[column], was, c->now), at);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, b->a.last).code, VERDICT_APPLIED);
    c->at = clamped(at, base_at, b->w.now_ms);
    c->by_office = false;
    raw_reply_clear(&r);
}

static int columns_change(bench *b, column_life *life, int number)
{
    int last = 0;
    for (int step = 0, steps = 1 + (int)draw(b, 5); step < steps; step++) {
        char was[256];
        last = (int)draw(b, COLUMNS);
        column_life *c = &life[last];
        snprintf(was, sizeof was, "%s", c->now);
        value_draw(number, step, last, c->now);
        c->changed = true;
        if (draw(b, 4) == 0) {
            office_edits(b, c, last);
        } else {
            a_edits(b, c, was, last);
        }
    }
    int column = (int)draw(b, COLUMNS); /* often not the one that was changed last */
    return life[column].changed ? column : last;
}

/* b saw the row before all that and wrote one of the columns. */
static void columns_round(bench *b, int number)
{
    column_life life[COLUMNS] = {{{0}, {0}, false, false, 0}};
    char mine[256], after[256];
    raw_reply r;
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    int64_t base_at = commit_at(b, ver);
    for (int i = 0; i < COLUMNS; i++) {
        raw_server_text(&b->w, "customer", &b->w.customers[0], NAMES[i], life[i].before);
        memcpy(life[i].now, life[i].before, sizeof life[i].now);
    }
    b->w.now_ms += 1 + draw(b, 30000);
    int column = columns_change(b, life, number);
    const column_life *c = &life[column];
    value_draw(number, 9, column, mine);
    int64_t at = draw(b, 3) == 0 ? c->at + draw(b, 3) - 1 : clock_of(b, b->w.now_ms);
    edit_column(b, &b->b, ver, PAIRS(NAMES[column], c->before, mine), at);
    b->w.now_ms += draw(b, 3000);
    raw_exchange(&b->b, &r);
    int64_t mine_at = clamped(at, base_at, b->w.now_ms);
    bool wins = mine_at > c->at;
    verdict_msg m = raw_verdict(&r, b->b.last);
    assert_int_equal(m.code, VERDICT_MERGED);
    assert_int_equal(m.columns[0].mine_won, wins);
    raw_reply_clear(&r);
    raw_server_text(&b->w, "customer", &b->w.customers[0], NAMES[column], after);
    assert_string_equal(after, wins ? mine : c->now);
    fb_id other = c->by_office ? (fb_id){{0}} : b->a.user;
    conflict_is(b, mine, wins, mine_at, c->at, &other);
}

/* An older change of another column makes nobody late, and a later one nobody early. */
static void time_of_the_column_counts_not_of_the_row(void **state)
{
    bench *b = *state;
    for (int i = 1; i <= COLUMN_ROUNDS; i++) {
        if (b->a.last > RAW_GROUPS_MAX - 6) {
            raw_incarnation(&b->a);
        }
        if (b->b.last == RAW_GROUPS_MAX) {
            raw_incarnation(&b->b);
        }
        columns_round(b, i);
    }
}

/* ---- what was seen ---- */

/* A restored server gives version numbers again, and has lost changes that a device saw: neither
 * the number nor a plain group of the device's own says that the value before is the server's. */
static void value_before__counts_and_not_the_version(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_error err = {0};
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    assert_int_equal(store_catalog_refresh(b->w.admin, &err), FB_OK);
    company_set(&b->w.company, "customer", &b->w.customers[0], PAIRS("phone", "+8613800000005"));
    ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    b->w.now_ms += 5000;
    edit(b, &b->a, ver, "+8613800000003", "+8613800000004", b->w.now_ms); /* the number is right */
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, b->a.last).code, VERDICT_MERGED);
    raw_reply_clear(&r);

    ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    edit_column(b, &b->a, ver, PAIRS("remark", "", "own"), b->w.now_ms); /* a plain one */
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, b->a.last).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    b->w.now_ms += 5000;
    edit_column(b, &b->a, ver + (50 << 20), PAIRS("remark", "the office's", "mine"), b->w.now_ms);
    raw_exchange(&b->a, &r);
    verdict_msg m = raw_verdict(&r, b->a.last);
    assert_int_equal(m.code, VERDICT_MERGED);
    assert_int_equal(m.columns_count, 1);
    assert_true(text_is(m.columns[0].theirs, "\"own\""));
    raw_reply_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(later_one_wins_by_corrected_clamped_time, setup, teardown),
        cmocka_unit_test_setup_teardown(time_of_the_column_counts_not_of_the_row, setup, teardown),
        cmocka_unit_test_setup_teardown(value_before__counts_and_not_the_version, setup, teardown),
    };
    return cmocka_run_group_tests_name("latest", tests, NULL, NULL);
}
