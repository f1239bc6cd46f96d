/* test_held_rows.c - a group waits, and its phone begins a new life without it (it was put back
 * from an old backup): the server has the only copy. A decision means the group that its row shows,
 * whatever waits under the same number now, by a manager's device and by fieldbook-admin.
 *
 * Method: raw devices over a real file, so that the program can work on it beside the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "support/raw_trial.h"
#include "support/raw_work.h"
#include "sync-server/intake/intake.h"

#include <cmocka.h>
#undef fail

enum { LIVES = 2, NUMBER = 2 }; /* of the phone; of the group that waits, in each life */

/* A group that waits: the order in it, and the row that shows it. */
typedef struct waiting {
    fb_id order, row;
} waiting;

typedef struct bench {
    raw_world w;
    raw_device a, m; /* a rep and his manager */
    waiting old, now;
    char out[2000]; /* what fieldbook-admin said */
} bench;

static void hear(raw_device *d)
{
    raw_reply r;
    raw_exchange(d, &r);
    assert_int_equal(r.status, 200);
    raw_reply_clear(&r);
}

static void orders_wait(bench *b, const char *first, const char *second, waiting *out)
{
    (void)raw_push_order(&b->a, first, &RAW_GOOD, 0, &out->order);
    assert_int_equal(raw_push_order(&b->a, second, &RAW_GOOD, 0, &out->order), NUMBER);
    out->row = held_row_id(&b->a.user, buf_text(&b->a.groups[NUMBER - 1]));
    hear(&b->a);
}

/* One order is within the limit, no second one. */
static int bench_open(void **state)
{
    static bench b;
    raw_world_open(&b.w);
    b.w.trial = raw_trial;
    company_add(&b.w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "global", "value", "12000"));
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.m, &b.w.manager, 3);
    orders_wait(&b, "SO-A1-1", "SO-A1-2", &b.old);
    hear(&b.m);
    raw_incarnation(&b.a);
    hear(&b.a);
    *state = &b;
    return 0;
}

static int bench_close(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->m);
    raw_world_close(&b->w);
    return 0;
}

/* In the new life another group waits under the same number. */
static void another_waits(bench *b)
{
    orders_wait(b, "SO-A1-3", "SO-A1-4", &b->now);
    hear(&b->m);
}

static void state_is(bench *b, const waiting *g, const char *text)
{
    char room[256];
    raw_server_text(&b->w, "held_group", &g->row, "state", room);
    assert_string_equal(room, text);
}

static bool is_there(bench *b, const fb_id *order)
{
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "sales_order");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    fb_code rc = store_row_get(b->w.admin, e, order, memory, row);
    arena_free(memory);
    assert_true(rc == FB_OK || rc == FB_E_NOT_FOUND);
    return rc == FB_OK;
}

/* It is decided, and what it holds is there or not. */
static void is_decided(bench *b, const waiting *g, bool accept)
{
    state_is(b, g, accept ? "accepted" : "rejected");
    assert_int_equal(is_there(b, &g->order), accept);
}

static void still_waits(bench *b, const waiting *g)
{
    state_is(b, g, "open");
    assert_false(is_there(b, &g->order));
}

static void sql(bench *b, const char *text)
{
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);
}

static int64_t number(bench *b, const char *text, const fb_id *id)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, text, -1, &q, NULL), SQLITE_OK);
    sqlite3_bind_blob(q, 1, id->b, sizeof id->b, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t result = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(raw);
    return result;
}

/* fs_incarnation.no of the rep's first, second ... life; behind the last: of nobody's. */
static int64_t life_no(bench *b, int64_t life)
{
    int64_t first = number(b, "SELECT min(no) FROM fs_incarnation WHERE device = ?1", &b->a.id);
    int64_t last = number(b, "SELECT max(no) FROM fs_incarnation WHERE device = ?1", &b->a.id);
    assert_true(last > first);
    return life == 1 ? first : life == LIVES ? last : last + 100;
}

/* --- who decides ------------------------------------------------------------------------------ */

/* The manager's device decides what this row shows. */
static verdict_code manager_decides(bench *b, const waiting *g, bool accept, fb_code *error_out)
{
    raw_group line;
    raw_reply r;
    raw_begin(&line, &b->m, "held.decide", 0, 0);
    raw_update(&line, "held_group", &g->row, raw_server_ver(&b->w, "held_group", &g->row),
               PAIRS("state", "open", accept ? "accepted" : "rejected", "reason", "", "because"));
    int64_t gseq = raw_end(&line);
    raw_exchange(&b->m, &r);
    verdict_msg v = raw_verdict(&r, gseq);
    *error_out = v.error;
    assert_true(v.error == FB_OK || (v.cure_en.size > 0 && v.cure_zh.size > 0));
    raw_reply_clear(&r);
    return v.code;
}

static void manager_does(bench *b, const waiting *g, bool accept)
{
    fb_code error = FB_OK;
    assert_int_equal(manager_decides(b, g, accept, &error), VERDICT_APPLIED);
}

/* The function behind fieldbook-admin; `life` 0: the current one. */
static fb_code administrator_decides(bench *b, int64_t life, bool accept)
{
    intake in = {.db = b->w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    int64_t head = 0;
    const intake_decision how = {.device = b->a.id,
                                 .incarnation_no = life > 0 ? life_no(b, life) : 0,
                                 .gseq = NUMBER,
                                 .now_ms = b->w.now_ms,
                                 .accept = accept,
                                 .reason = text_of("because")};
    if (life <= LIVES) {
        raw_trial_held(&b->w, &how);
    }
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(ledger_head(b->w.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, b->w.admin, head, b->w.now_ms), FB_OK);
    fb_code rc = intake_held_decide(&in, &how);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    decide_cache_free(in.cache);
    arena_free(in.work);
    return rc;
}

/* fieldbook-admin held `words`; what it says is in b->out. */
static int program(bench *b, const char *words, ...) __attribute__((format(printf, 2, 3)));
static int program(bench *b, const char *words, ...)
{
    char text[300], line[600];
    va_list args;
    va_start(args, words);
    vsnprintf(text, sizeof text, words, args);
    va_end(args);
    snprintf(line, sizeof line,
             FB_BINARY_DIR "/fieldbook-admin --home %s --lang en held %s >%s/out 2>&1", b->w.folder,
             text, b->w.folder);
    int status = system(line);
    snprintf(line, sizeof line, "%s/out", b->w.folder);
    FILE *f = fopen(line, "r");
    assert_non_null(f);
    b->out[fread(b->out, 1, sizeof b->out - 1, f)] = '\0';
    (void)fclose(f);
    (void)remove(line);
    server_tick(b->w.srv, (uint64_t)b->w.now_ms);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- a life that is over ---------------------------------------------------------------------- */

static void decision_for_a_life_that_is_over_stands(void **state)
{
    bench *b = *state;
    raw_reply r;
    int64_t entries = 0, bad = 0;
    manager_does(b, &b->old, true);
    is_decided(b, &b->old, true);
    assert_int_equal(number(b,
                            "SELECT incarnation FROM fs_commit WHERE cid = (SELECT ver >> 20 FROM "
                            "sales_order WHERE id = ?1)",
                            &b->old.order),
                     life_no(b, 1));
    raw_exchange(&b->a, &r);
    assert_true(raw_page_has(&r, &b->old.order));
    assert_true(raw_page_has(&r, &b->old.row));
    assert_false(raw_has_verdict(&r, NUMBER)); /* this life has no such group */
    raw_reply_clear(&r);
    assert_int_equal(audit_verify(b->w.admin, &entries, &bad), FB_OK);
    assert_int_equal(bad, 0);
}

/* Its author reads why in the row. */
static void refusal_for_a_life_that_is_over_stands(void **state)
{
    bench *b = *state;
    raw_reply r;
    char room[256];
    manager_does(b, &b->old, false);
    is_decided(b, &b->old, false);
    raw_server_text(&b->w, "held_group", &b->old.row, "reason", room);
    assert_string_equal(room, "because");
    raw_exchange(&b->a, &r);
    assert_true(raw_page_has(&r, &b->old.row));
    raw_reply_clear(&r);
}

/* --- two lives, one number -------------------------------------------------------------------- */

static void manager_decides_what_he_looked_at(void **state)
{
    bench *b = *state;
    raw_reply r;
    another_waits(b);
    manager_does(b, &b->old, true);
    is_decided(b, &b->old, true);
    still_waits(b, &b->now);
    raw_exchange(&b->a, &r);
    assert_false(raw_has_verdict(&r, NUMBER)); /* that one is not this life's */
    raw_reply_clear(&r);
    manager_does(b, &b->now, false);
    is_decided(b, &b->now, false);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, NUMBER).code, VERDICT_REJECTED);
    raw_reply_clear(&r);
}

static void manager_decides_the_new_one_first(void **state)
{
    bench *b = *state;
    another_waits(b);
    manager_does(b, &b->now, true);
    is_decided(b, &b->now, true);
    still_waits(b, &b->old);
    manager_does(b, &b->old, false);
    is_decided(b, &b->old, false);
}

/* Held by a version that did not note what its row is called. */
static void row_of_an_earlier_version_is_found_by_the_group(void **state)
{
    bench *b = *state;
    another_waits(b);
    sql(b, "UPDATE fs_verdict SET held_row = NULL");
    manager_does(b, &b->old, true);
    is_decided(b, &b->old, true);
    still_waits(b, &b->now);
    manager_does(b, &b->now, true);
    is_decided(b, &b->now, true);
}

static void administrator_says_which_life(void **state)
{
    bench *b = *state;
    another_waits(b);
    assert_int_equal(administrator_decides(b, LIVES + 1, true), FB_E_NOT_FOUND); /* there is none */
    assert_int_equal(administrator_decides(b, 1, true), FB_OK);
    is_decided(b, &b->old, true);
    still_waits(b, &b->now);
    assert_int_equal(administrator_decides(b, 0, false), FB_OK);
    is_decided(b, &b->now, false);
}

static void administrator_decides_the_new_one_first(void **state)
{
    bench *b = *state;
    another_waits(b);
    assert_int_equal(administrator_decides(b, 2, false), FB_OK);
    is_decided(b, &b->now, false);
    still_waits(b, &b->old);
    assert_int_equal(administrator_decides(b, 1, false), FB_OK);
    is_decided(b, &b->old, false);
}

/* --- whose it is ------------------------------------------------------------------------------ */

static void group_is_applied_as_its_authors(void **state)
{
    bench *b = *state;
    char room[256], author[FB_ID_TEXT_BYTES], text[200], other[FB_ID_TEXT_BYTES];
    id_put(&b->a.user, author);
    id_put(&b->w.users[1], other);
    snprintf(text, sizeof text,
             "UPDATE fs_device SET user_id = (SELECT id FROM app_user WHERE code = 'R2') WHERE "
             "code = '%s'",
             b->a.code);
    raw_server_text(&b->w, "app_user", &b->w.users[1], "code", room);
    assert_string_equal(room, "R2");
    sql(b, text);
    manager_does(b, &b->old, true);
    is_decided(b, &b->old, true);
    raw_server_text(&b->w, "sales_order", &b->old.order, "created_by", room);
    assert_string_equal(room, author);
}

/* The row was opened again by hand: no group waits. */
static void row_without_a_group_decides_nothing(void **state)
{
    bench *b = *state;
    fb_code error = FB_OK;
    manager_does(b, &b->old, false);
    another_waits(b);
    company_set(&b->w.company, "held_group", &b->old.row, PAIRS("state", "open"));
    assert_int_equal(manager_decides(b, &b->old, true, &error), VERDICT_REJECTED);
    assert_int_equal(error, FB_E_STATE);
    still_waits(b, &b->old);
    still_waits(b, &b->now);
}

/* --- fieldbook-admin -------------------------------------------------------------------------- */

static void program_lists_what_waits_with_its_row(void **state)
{
    bench *b = *state;
    another_waits(b);
    assert_int_equal(program(b, "list"), 0);
    assert_non_null(strstr(b->out, id_text(&b->old.row)));
    assert_non_null(strstr(b->out, id_text(&b->now.row)));
    assert_non_null(strstr(b->out, b->a.code));
    assert_non_null(strstr(b->out, "E_CREDIT"));
}

static void program_decides_by_the_number_while_that_says_which(void **state)
{
    bench *b = *state;
    assert_int_equal(program(b, "accept %s %d", b->a.code, NUMBER), 0); /* of the old life */
    is_decided(b, &b->old, true);
    assert_int_equal(program(b, "accept %s %d", b->a.code, NUMBER), 1);
    assert_non_null(strstr(b->out, "E_NOT_FOUND"));
    another_waits(b);
    assert_int_equal(program(b, "refuse %s %d --reason because", b->a.code, NUMBER), 0);
    is_decided(b, &b->now, false);
    assert_int_equal(program(b, "accept %s 77", b->a.code), 1);
    assert_int_equal(program(b, "accept NOBODY %d", NUMBER), 1);
    assert_non_null(strstr(b->out, "E_NOT_FOUND"));
}

static void program_asks_which_where_two_lives_have_the_number(void **state)
{
    bench *b = *state;
    another_waits(b);
    assert_int_equal(program(b, "accept %s %d", b->a.code, NUMBER), 4);
    assert_non_null(strstr(b->out, "E_STATE"));
    assert_non_null(strstr(b->out, "use the id"));
    assert_int_equal(program(b, "refuse %s %d --reason because", b->a.code, NUMBER), 4);
    still_waits(b, &b->old);
    still_waits(b, &b->now);
}

static void program_decides_by_the_row(void **state)
{
    bench *b = *state;
    another_waits(b);
    assert_int_equal(program(b, "refuse %s", id_text(&b->old.row)), 2); /* why? */
    assert_int_equal(program(b, "refuse %s --reason ''", id_text(&b->old.row)), 2);
    assert_int_equal(program(b, "accept %s", b->a.code), 2);
    assert_int_equal(program(b, "accept %s", id_text(&b->old.order)), 1);
    still_waits(b, &b->old);
    assert_int_equal(program(b, "accept %s", id_text(&b->old.row)), 0);
    assert_non_null(strstr(b->out, b->a.code));
    is_decided(b, &b->old, true);
    still_waits(b, &b->now);
    assert_int_equal(program(b, "accept %s", id_text(&b->old.row)), 1);
    assert_non_null(strstr(b->out, "E_NOT_FOUND"));
    sql(b, "UPDATE fs_verdict SET held_row = NULL"); /* as an earlier version left it */
    assert_int_equal(program(b, "refuse %s --reason because", id_text(&b->now.row)), 0);
    is_decided(b, &b->now, false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(decision_for_a_life_that_is_over_stands),
        CASE(refusal_for_a_life_that_is_over_stands),
        CASE(manager_decides_what_he_looked_at),
        CASE(manager_decides_the_new_one_first),
        CASE(row_of_an_earlier_version_is_found_by_the_group),
        CASE(administrator_says_which_life),
        CASE(administrator_decides_the_new_one_first),
        CASE(group_is_applied_as_its_authors),
        CASE(row_without_a_group_decides_nothing),
        CASE(program_lists_what_waits_with_its_row),
        CASE(program_decides_by_the_number_while_that_says_which),
        CASE(program_asks_which_where_two_lives_have_the_number),
        CASE(program_decides_by_the_row),
    };
    return cmocka_run_group_tests_name("held_rows", tests, NULL, NULL);
}
