/* test_parked_rows.c - rows that left while open groups need them, and the tray, where the
 * catalogue or the person they speak of is gone meanwhile. The usual course: path/test_parked. */
#include <sqlite3.h>

#include "person_fixture.h"
#include "sql/sql.h"

#define DB lab_path("parked_rows")

static void sql(lab *l, const char *text)
{
    if (sql_exec(replica_sql(l->r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(l->r)));
    }
}

/* A row of an entity that an earlier catalogue had, in front of all others. */
#define STRANGER "INSERT INTO fb_parked VALUES ('a_entity', zeroblob(16), 5, 1, x'07');"
/* Its name is longer than any entity's. */
#define LONG_STRANGER                                                                        \
    "INSERT INTO fb_parked VALUES ('a_entity_a_entity_a_entity_a_entity_a_entity_a_entity'," \
    " zeroblob(16), 5, 1, x'07');"

/* --- where the catalogue is another ----------------------------------------------------------- */

typedef struct shown {
    int count;
    bool changed, deleted;
    int64_t qty, mine;
} shown;

static fb_code see(void *ctx, const parked_row *row)
{
    shown *s = ctx;
    const int qty = cat_column_str(row->e, "qty");
    s->count++;
    s->changed = row->changed;
    s->deleted = row->deleted;
    if (qty >= 0) {
        s->qty = row->theirs[qty].u.i;
        s->mine = row->mine[qty].u.i;
    }
    return FB_OK;
}

static shown parked_show(lab *l)
{
    shown s = {.count = 0};
    assert_int_equal(parked_each(l->r, see, &s), FB_OK);
    return s;
}

static void page_take(lab *l, const char *token, unsigned row, unsigned leaves)
{
    buf out;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, token, true, false);
    if (row > 0) {
        reply_row(l, &out, row, "of the server", NULL, 10, 60);
    }
    if (leaves > 0) {
        reply_gone(l, &out, BLOCK_LEAVE, leaves);
    }
    reply_take(l, &out);
}

/* Rows 5 and 6 of the server, a difference on each that waits. */
static void differences_make(lab *l)
{
    fb_error err = {.code = FB_OK};
    const fb_id five = lab_id(5), six = lab_id(6);
    lab_start(l, DB, 4);
    page_take(l, "0.5", 5, 0);
    page_take(l, "0.6", 6, 0);
    lab_begin(l, "lab.save");
    assert_int_equal(capture_delta(l->r, l->item, &five, l->qty, 3, &err), FB_OK);
    assert_int_equal(capture_delta(l->r, l->item, &six, l->qty, 4, &err), FB_OK);
    lab_commit(l);
}

static void difference__is_shown_on_the_row_that_left(void **state)
{
    lab l;
    (void)state;
    differences_make(&l);
    page_take(&l, "0.7", 0, 5);
    const shown s = parked_show(&l);
    assert_true(s.count == 1 && s.changed && !s.deleted);
    assert_true(s.qty == 10 && s.mine == 13);
    lab_check(&l);
    lab_stop(&l);
}

/* PRK-1 and PRK-2 hold behind it too: the walk once ended at a row that it did not know, and what
 * was still here stayed parked. */
static void row_of_no_entity__is_passed_over(void **state)
{
    static const char *const STRANGERS[] = {STRANGER, LONG_STRANGER};
    (void)state;
    for (size_t i = 0; i < sizeof STRANGERS / sizeof STRANGERS[0]; i++) {
        lab l;
        differences_make(&l);
        page_take(&l, "0.7", 0, 5);
        sql(&l, STRANGERS[i]);
        assert_int_equal(parked_show(&l).count, 1);
        page_take(&l, "0.8", 0, 1); /* any row that leaves: 6 is copied, and is still here */
        assert_int_equal(parked_show(&l).count, 1);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_parked"), 1); /* row 5 */
        lab_check(&l);
        lab_stop(&l);
    }
}

/* --- where another program writes ------------------------------------------------------------- */

/* Another program syncs: what is on the row stands now, and so it is needed no more. */
static void other_syncs(lab *other)
{
    buf out;
    reply_begin(other, &out, 1, 1, 10);
    verdict_run_put(&out, 1, 1, 10);
    reply_page(&out, "0.8", true, false);
    reply_row(other, &out, 6, "of the server", NULL, 14, 61);
    reply_take(other, &out);
}

typedef struct moment {
    lab *other;
    int in; /* statements */
} moment;

static int statement_begins(unsigned why, void *ctx, void *statement, void *text)
{
    moment *m = ctx;
    (void)why;
    (void)statement;
    (void)text;
    if (--m->in == 0) {
        other_syncs(m->other);
    }
    return 0;
}

/* Before whichever statement of the walk it is: no row, or the whole one. A row or a group that was
 * listed and is gone once was called damage, and the next open made the file anew. */
static void row_that_goes_meanwhile__is_shown_whole_or_not(void **state)
{
    int seen[2] = {0, 0};
    bool fired = true;
    (void)state;
    for (int in = 1; fired; in++) {
        lab l, other;
        fb_error err;
        differences_make(&l);
        page_take(&l, "0.7", 0, 5);
        other = l;
        lab_port(&other);
        assert_int_equal(lab_open(&other, &err), FB_OK);
        moment m = {&other, in};
        sqlite3 *db = sql_handle(replica_sql(l.r));
        assert_int_equal(sqlite3_trace_v2(db, SQLITE_TRACE_STMT, statement_begins, &m), SQLITE_OK);
        const shown s = parked_show(&l);
        assert_int_equal(sqlite3_trace_v2(db, 0, NULL, NULL), SQLITE_OK);
        fired = m.in <= 0;
        assert_true(s.count == 0 || (s.count == 1 && s.changed && s.qty == 10 && s.mine == 13));
        seen[s.count]++;
        assert_int_equal(parked_show(&l).count, !fired);
        lab_close(&other);
        lab_reopen(&l);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 0);
        lab_check(&l);
        lab_stop(&l);
    }
    assert_true(seen[0] > 1 && seen[1] > 1);
}

/* --- where a person was erased ---------------------------------------------------------------- */

#define NUMBERS                                                                             \
    "SELECT (SELECT count(*) FROM fb_outbox WHERE instr(CAST(body AS TEXT), '0202') > 0) +" \
    " (SELECT count(*) FROM fb_verdict WHERE instr(body, '0303') > 0) +"                    \
    " (SELECT count(*) FROM fb_parked WHERE instr(CAST(body AS TEXT), '0101') > 0)"

static void erase(lab *l)
{
    fb_error err = {.code = FB_OK};
    if (erased(l, &err) != FB_OK) {
        fail_msg("%s %s: %s", fb_code_name(err.code), err.field, err.message);
    }
    lab_check(l);
}

/* It once was called damage, and the database was made anew for it. */
static void erasure__passes_over_a_row_of_no_entity(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 4);
    person_make(&l);
    sql(&l, STRANGER);
    assert_int_equal(lab_count(&l, NUMBERS), 3);
    erase(&l);
    assert_int_equal(lab_count(&l, NUMBERS), 0);
    lab_stop(&l);
}

/* A tray and a row that left which say nothing of the person stay as they are, also where a verdict
 * was lost. */
static void erasure__leaves_what_is_not_the_persons(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 4);
    person_make(&l);
    sql(&l,
        "INSERT INTO fb_parked SELECT entity, x'01900000000070008000000000000032', left_ms, gseq,"
        " body FROM fb_parked");
    sql(&l, "INSERT INTO fb_outbox SELECT -5, at_ms, kind, "
            "CAST('{\"k\":\"x\",\"at\":\"5\",\"cv\":2,\"ops\":"
            "[[\"+\",\"lab_item\",[\"id\",\"name\"],[[\"01900000-0000-7000-8000-000000000021\","
            "\"y\"]]]]}' AS BLOB),"
            " chain, 2 FROM fb_outbox");
    assert_int_equal(erased(&l, &err), FB_OK);
    assert_int_equal(lab_count(&l, NUMBERS), 0); /* the copy was needed by nobody */
    assert_int_equal(
        lab_count(&l, "SELECT instr(CAST(body AS TEXT), '\"y\"') > 0 FROM fb_outbox WHERE gseq=-5"),
        1);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(difference__is_shown_on_the_row_that_left),
        cmocka_unit_test(row_of_no_entity__is_passed_over),
        cmocka_unit_test(row_that_goes_meanwhile__is_shown_whole_or_not),
        cmocka_unit_test(erasure__passes_over_a_row_of_no_entity),
        cmocka_unit_test(erasure__leaves_what_is_not_the_persons),
    };
    return cmocka_run_group_tests_name("parked_rows", tests, NULL, NULL);
}
