/* test_second_copy.c - a database and a second copy of two moments, two lives or two programs: what
 * an open or the next save does about them (SEC-1..3, JRN-1, OUT-2).
 *
 * Method: files of one moment are put beside those of another (disk_fixture.h), or records are
 * written into the second copy by journal.h while a replica is open. In the end the database is
 * deleted: every saved group comes back from the second copy. */
#include "disk_fixture.h"
#include "replica/second.h"

enum { SEGMENT_BYTES_MAX = 1 << 20 };

/* --- pieces --------------------------------------------------------------------------------- */

static const char *const SEGMENTS[] = {DB "-outbox1", DB "-outbox2"};

typedef struct pair {
    file_bytes of[2];
} pair;

static pair pair_read(void)
{
    return (pair){{file_read(SEGMENTS[0]), file_read(SEGMENTS[1])}};
}

/* The files of that moment instead of what stands there. */
static void pair_put(pair *p)
{
    for (int i = 0; i < 2; i++) {
        file_delete(SEGMENTS[i]);
        if (p->of[i].data != NULL) {
            crash_vfs_put(disk, SEGMENTS[i], p->of[i].data, p->of[i].size);
        }
        free(p->of[i].data);
    }
}

static size_t pair_bytes(void)
{
    pair p = pair_read();
    size_t size = p.of[0].size + p.of[1].size;
    free(p.of[0].data);
    free(p.of[1].data);
    return size;
}

static bool is_salvaged(lab *l)
{
    return lab_count(l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'") == 1;
}

/* Groups of rows 1 .. count come back, each once and in order, from the second copy alone. */
static void all_come_back(lab *l, unsigned count)
{
    lab_close(l);
    lose_database();
    lab_reopen(l);
    assert_int_equal(groups_pending(l), count);
    for (unsigned i = 1; i <= count; i++) {
        assert_true(lab_has(l, i));
    }
    lab_check(l);
    lab_close(l);
}

/* Another program's handle of the same files. */
static void beside(lab *m, const lab *l)
{
    fb_error err = {.code = FB_OK};
    lab_init(m, l->path, VFS, 77);
    assert_int_equal(lab_open(m, &err), FB_OK);
    lab_find_columns(m);
}

static fb_code save_try(lab *l, unsigned id)
{
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    lab_begin(l, "lab.save");
    lab_insert(l, id, "tried", 1);
    return capture_commit(l->r, &gseq, &err);
}

/* --- two programs --------------------------------------------------------------------------- */

static void two_programs__keep_one_second_copy(void **state)
{
    lab l, m;
    (void)state;
    start(&l);
    beside(&m, &l);
    for (unsigned i = 1; i <= 6; i++) {
        assert_int_equal(lab_save(i % 3 == 0 ? &l : &m, i, "of one of them", 1), i);
    }
    assert_int_equal(replica_refresh(l.r), FB_OK);
    assert_int_equal(groups_pending(&l), 6);
    lab_close(&m);
    all_come_back(&l, 6);
}

/* What another program noted is read, not written over: a draft is on no other paper. */
static void draft_of_another_program__comes_back(void **state)
{
    const draft d = {.id = lab_id(7), .kind = T("visit"), .body = T("a long story")};
    lab l, m;
    (void)state;
    start(&l);
    beside(&m, &l);
    lab_save(&l, 1, "before", 1);
    assert_int_equal(draft_put(m.r, &d), FB_OK);
    lab_save(&l, 2, "behind", 1);
    lab_close(&m);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_true(lab_has(&l, 1) && lab_has(&l, 2));
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_draft"), 1);
    lab_close(&l);
}

typedef struct copying {
    journal to;
    buf group; /* the newest */
} copying;

static fb_code copy_record(void *ctx, const journal_record *record)
{
    copying *c = ctx;
    if (record->type == JOURNAL_GROUP) {
        buf_reset(&c->group);
        buf_put_text(&c->group, record->payload);
    }
    return c->to.making == NULL
               ? FB_OK
               : journal_append(&c->to, record->type, record->gseq, record->payload, false);
}

/* A second copy of another life, or with one group more, appears while two replicas are open. */
static void segment_change(bool another_life)
{
    journal from;
    copying c = {.to = {.file = NULL}};
    buf_init(&c.group, SEGMENT_BYTES_MAX);
    assert_int_equal(journal_init(&from, VFS, DB), FB_OK);
    assert_int_equal(journal_init(&c.to, VFS, DB), FB_OK);
    assert_int_equal(journal_open(&from), FB_OK);
    assert_int_equal(journal_open(&c.to), FB_OK);
    if (another_life) {
        assert_int_equal(journal_begin(&c.to, from.life + 1), FB_OK);
    }
    assert_int_equal(journal_follow(&from, copy_record, &c), FB_OK);
    if (another_life) {
        assert_int_equal(journal_end(&c.to), FB_OK);
    } else {
        assert_int_equal(journal_append(&from, JOURNAL_GROUP, 2, buf_text(&c.group), false), FB_OK);
    }
    journal_clear(&from);
    journal_clear(&c.to);
    buf_clear(&c.group);
}

/* What the second copy holds and the database does not must not be written over. */
static void second_copy_ahead__refuses_what_would_write_over_it(void **state)
{
    (void)state;
    for (int another_life = 0; another_life < 2; another_life++) {
        lab l, m;
        crash_vfs_remove(disk, "phone");
        start(&l);
        beside(&m, &l);
        lab_save(&l, 1, "one", 1);
        segment_change(another_life != 0);
        assert_int_equal(save_try(&m, 2), FB_E_CORRUPT);
        assert_false(lab_has(&m, 2));
        lab_close(&m);
        lab_close(&l);
        lab_reopen(&l);
        assert_true(is_salvaged(&l));
        assert_true(lab_has(&l, 1));
        assert_false(lab_has(&l, 2));
        lab_check(&l);
        lab_close(&l);
    }
}

/* --- two lives ------------------------------------------------------------------------------ */

static void two_lives__the_newer_one_counts(void **state)
{
    (void)state;
    for (int old_database = 0; old_database < 2; old_database++) {
        lab l;
        fb_error err = {.code = FB_OK};
        crash_vfs_remove(disk, "phone");
        start(&l);
        lab_save(&l, 1, "one", 1);
        lab_save(&l, 2, "two", 2);
        lab_close(&l);
        file_bytes database = file_read(DB);
        pair segments = pair_read();
        lab_reopen(&l);
        assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
        lab_save(&l, 3, "of the new life", 3);
        lab_close(&l);
        if (old_database) {
            file_write(&database);
            free(segments.of[0].data);
            free(segments.of[1].data);
        } else {
            pair_put(&segments);
        }
        free(database.data);
        lab_reopen(&l);
        assert_int_equal(is_salvaged(&l), old_database);
        assert_int_equal(groups_pending(&l), 3);
        all_come_back(&l, 3);
    }
}

/* --- two moments ---------------------------------------------------------------------------- */

static void three_groups(lab *l, pair *after_one)
{
    start(l);
    lab_save(l, 1, "one", 1);
    lab_close(l);
    *after_one = pair_read();
    lab_reopen(l);
    lab_save(l, 2, "two", 2);
    lab_save(l, 3, "three", 3);
    lab_close(l);
}

static void older_second_copy__gets_what_it_lacks(void **state)
{
    lab l;
    pair after_one;
    (void)state;
    three_groups(&l, &after_one);
    pair_put(&after_one);
    lab_reopen(&l);
    assert_false(is_salvaged(&l));
    all_come_back(&l, 3);
}

static fb_code keep_third(void *ctx, const journal_record *record)
{
    if (record->type == JOURNAL_GROUP && record->gseq == 3) {
        buf_put_text(ctx, record->payload);
    }
    return FB_OK;
}

/* A record that waits for its commit, of a group the database has, but not the next one: as if it
 * were not there, or the one between would be missing for ever. */
static void open_record__of_a_later_group_is_withdrawn(void **state)
{
    lab l;
    pair after_one;
    buf third;
    journal j;
    (void)state;
    buf_init(&third, SEGMENT_BYTES_MAX);
    three_groups(&l, &after_one);
    assert_int_equal(journal_init(&j, VFS, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, keep_third, &third), FB_OK);
    journal_clear(&j);
    pair_put(&after_one);
    assert_int_equal(journal_init(&j, VFS, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, NULL, NULL), FB_OK);
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, 3, buf_text(&third), true), FB_OK);
    journal_clear(&j);
    buf_clear(&third);
    lab_reopen(&l);
    assert_false(is_salvaged(&l));
    all_come_back(&l, 3);
}

/* The commit succeeds and the mark of its record cannot be written: the next save repairs it. */
static void mark_that_was_not_written__is_written_by_the_next_save(void **state)
{
    lab l;
    bool repaired = false;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    for (uint64_t call = 1; call < 40 && !repaired; call++) {
        crash_vfs_remove(disk, "phone");
        crash_vfs_copy(disk, "before", "phone");
        lab_reopen(&l);
        crash_vfs_fail(disk, "phone", call, SQLITE_IOERR_WRITE, false);
        fb_code rc = save_try(&l, 2);
        repaired = rc == FB_OK && crash_vfs_failed(disk, "phone");
        crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
        if (repaired) {
            lab_save(&l, 3, "three", 3);
            all_come_back(&l, 3);
        }
        lab_close(&l);
    }
    assert_true(repaired);
}

/* What is in a backup left both; the second copy is written anew behind it. */
static void pruned_part__is_where_a_new_second_copy_begins(void **state)
{
    lab l;
    buf out;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    reply_begin(&l, &out, 1, 1, 5);
    reply_verdict(&out, 1, VERDICT_APPLIED, false);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", NULL, 1, 5);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT min(gseq) FROM fb_outbox"), 2);
    lab_close(&l);
    file_delete(SEGMENTS[0]);
    file_delete(SEGMENTS[1]);
    for (int turn = 0; turn < 2; turn++) { /* it is written, then it fits */
        lab_reopen(&l);
        assert_false(is_salvaged(&l));
        assert_int_equal(groups_pending(&l), 1);
        lab_close(&l);
    }
    lose_database();
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 1);
    assert_true(lab_has(&l, 2));
    lab_check(&l);
    lab_close(&l);
}

/* The database is older, and just now its second copy cannot be read: what the server says next may
 * be taken, but what was not looked at is not written over. */
static void unread_second_copy__is_not_written_over(void **state)
{
    lab l;
    buf out;
    bool opened = false, failed = true;
    (void)state;
    start(&l);
    lab_close(&l);
    file_bytes old = file_read(DB);
    lab_reopen(&l);
    for (unsigned i = 1; i <= 3; i++) {
        lab_save(&l, i, "saved", 1);
    }
    lab_close(&l);
    file_write(&old);
    free(old.data);
    crash_vfs_copy(disk, "phone", "before");
    for (uint64_t call = 1; failed && !opened; call++) {
        fb_error err = {.code = FB_OK};
        crash_vfs_remove(disk, "phone");
        crash_vfs_copy(disk, "before", "phone");
        crash_vfs_fail(disk, "phone", call, SQLITE_IOERR_READ, false);
        fb_code rc = lab_open(&l, &err);
        failed = crash_vfs_failed(disk, "phone");
        crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
        opened = failed && rc == FB_OK && groups_pending(&l) == 0;
        if (!opened) {
            lab_close(&l);
        }
    }
    assert_true(opened);
    lab_find_columns(&l);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 3);
    lab_close(&l);
}

/* --- a database that contradicts itself ----------------------------------------------------- */

static void wrong_database(lab *l, const char *sql, pair *after)
{
    lab_reopen(l);
    assert_int_equal(sql_exec(replica_sql(l->r), sql), FB_OK);
    lab_close(l);
    pair_put(after);
}

/* The last group of the second copy is missing in the database, though later ones are there. */
static void group_missing_in_the_middle__is_made_again(void **state)
{
    lab l;
    pair after_two;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_close(&l);
    after_two = pair_read();
    lab_reopen(&l);
    lab_save(&l, 3, "three", 3);
    lab_close(&l);
    wrong_database(&l, "DELETE FROM fb_outbox WHERE gseq=2", &after_two);
    lab_reopen(&l);
    assert_true(is_salvaged(&l));
    assert_true(lab_has(&l, 1) && lab_has(&l, 2));
    lab_check(&l);
    lab_close(&l);
}

/* Half a chain in the middle: no group is left out of a second copy for it. */
static void half_a_chain__leaves_no_group_out(void **state)
{
    lab l;
    (void)state;
    start(&l);
    for (unsigned i = 1; i <= 3; i++) {
        lab_save(&l, i, "some", 1);
    }
    assert_int_equal(sql_exec(replica_sql(l.r), "UPDATE fb_outbox SET chain=x'01' WHERE gseq=2"),
                     FB_OK);
    lab_close(&l);
    file_delete(SEGMENTS[0]);
    file_delete(SEGMENTS[1]);
    lab_reopen(&l);
    all_come_back(&l, 3);
}

/* --- heads ---------------------------------------------------------------------------------- */

enum { HEAD_VERSION_AT = 7, HEAD_SUM_AT = 48, HEAD_SUM_BYTES = 16 }; /* schema/README.md */

/* Both segments of a later version, or with heads that nobody wrote. */
static void heads_change(bool later)
{
    pair p = pair_read();
    for (int i = 0; i < 2; i++) {
        digest sum;
        if (p.of[i].size >= HEAD_SUM_AT + HEAD_SUM_BYTES) {
            p.of[i].data[HEAD_VERSION_AT]++;
            digest_of(p.of[i].data, HEAD_SUM_AT, &sum);
            memcpy(p.of[i].data + HEAD_SUM_AT, sum.b, later ? HEAD_SUM_BYTES : 1);
        }
    }
    pair_put(&p);
}

static void later_second_copy__is_left_to_the_later_version(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    heads_change(true);
    assert_int_equal(lab_open(&l, &err), FB_E_NEWER);
    assert_non_null(strstr(err.message, "upgrade the app"));
    lose_database();
    assert_int_equal(lab_open(&l, &err), FB_E_NEWER);
}

static void damaged_head__is_no_second_copy(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    heads_change(false);
    lab_reopen(&l);
    all_come_back(&l, 1);
}

/* --- upkeep --------------------------------------------------------------------------------- */

/* Most of what it holds is in a backup: it is written anew, without that. */
static void worn_second_copy__is_written_anew(void **state)
{
    enum { GROUPS = 12, BACKED_UP = 10, ROWS = 16, TEXT_BYTES = 1900 };
    lab l;
    buf out;
    char text[TEXT_BYTES + 1] = {0};
    (void)state;
    start(&l);
    for (unsigned i = 0; i < GROUPS * ROWS; i++) {
        if (i % ROWS == 0) {
            lab_begin(&l, "lab.save");
        }
        lab_insert(&l, i, "long", 1);
        for (int k = 0; k < TEXT_BYTES; k++) { /* so that it does not pack well */
            text[k] = (char)('0' + lab_random(&l) % 75);
        }
        lab_set(&l, i, l.note, text);
        if (i % ROWS == ROWS - 1) {
            lab_commit(&l);
        }
    }
    size_t before = pair_bytes();
    reply_begin(&l, &out, GROUPS, BACKED_UP, 5);
    verdict_run_put(&out, 1, GROUPS, 1);
    reply_page(&out, "0.5", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), GROUPS - BACKED_UP);
    assert_true(pair_bytes() < before / 2);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), GROUPS - BACKED_UP);
    lab_close(&l);
}

/* A log that has grown goes into the database, without anything having been purged. */
static void long_log__goes_into_the_database(void **state)
{
    enum { LARGE_BYTES = 5 << 20 };
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    file_bytes before = file_read(DB);
    free(before.data);
    assert_true(before.size < LARGE_BYTES);
    assert_int_equal(sql_exec(replica_sql(l.r), "CREATE TABLE large AS SELECT zeroblob(5242880)"),
                     FB_OK);
    lab_save(&l, 2, "two", 2);
    file_bytes after = file_read(DB);
    free(after.data);
    assert_true(after.size > LARGE_BYTES);
    lab_close(&l);
}

/* --- none ----------------------------------------------------------------------------------- */

/* A database in memory has nothing beside it: everything else works. */
static void memory_alone__has_no_second_copy(void **state)
{
    lab l, m;
    buf out;
    uint32_t count = 0;
    digest chain;
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, ":memory:", 5);
    lab_save(&l, 1, "one", 1);
    lab_begin(&l, "lab.save");
    lab_insert(&l, 2, "given up", 2);
    capture_abort(l.r);
    draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{}")};
    assert_int_equal(draft_put(l.r, &d), FB_OK);
    buf_init(&out, SEGMENT_BYTES_MAX);
    assert_int_equal(outbox_read(l.r, 1, 1, 1, &out, &count, &chain), FB_OK);
    lab_start(&m, ":memory:", 6);
    const fb_text line = {out.data, out.size - 1}; /* without its end */
    assert_int_equal(rescue_take(m.r, line, &gseq, &err), FB_OK);
    assert_int_equal(gseq, 1);
    assert_true(lab_has(&m, 1));
    buf_clear(&out);
    lab_close(&m);
    reply_begin(&l, &out, 1, 1, 5);
    reply_verdict(&out, 1, VERDICT_APPLIED, false);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", NULL, 1, 5);
    reply_take(&l, &out);
    assert_int_equal(groups_pending(&l), 0);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    lab_check(&l);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(two_programs__keep_one_second_copy),
        TEST(draft_of_another_program__comes_back),
        TEST(second_copy_ahead__refuses_what_would_write_over_it),
        TEST(two_lives__the_newer_one_counts),
        TEST(older_second_copy__gets_what_it_lacks),
        TEST(open_record__of_a_later_group_is_withdrawn),
        TEST(mark_that_was_not_written__is_written_by_the_next_save),
        TEST(pruned_part__is_where_a_new_second_copy_begins),
        TEST(unread_second_copy__is_not_written_over),
        TEST(group_missing_in_the_middle__is_made_again),
        TEST(half_a_chain__leaves_no_group_out),
        TEST(later_second_copy__is_left_to_the_later_version),
        TEST(damaged_head__is_no_second_copy),
        TEST(worn_second_copy__is_written_anew),
        TEST(long_log__goes_into_the_database),
        cmocka_unit_test(memory_alone__has_no_second_copy),
    };
    return cmocka_run_group_tests_name("second_copy", tests, NULL, NULL);
}
