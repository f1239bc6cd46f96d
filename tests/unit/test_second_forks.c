/* test_second_forks.c - a database and a second copy that went different ways from the same file,
 * and what an open meets after an end without closing. The usual ways: test_second_copy.c. */
#include "disk_fixture.h"
#include "replica/second.h"
#include "sql/sql.h"

enum { SEGMENT_BYTES_MAX = 1 << 20, LARGE_BYTES = 9 << 20, RESERVED_AT = 20 };

static bool is_salvaged(lab *l)
{
    return lab_count(l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'") == 1;
}

static fb_code keep_second(void *ctx, const journal_record *record)
{
    if (record->type == JOURNAL_GROUP && record->gseq == 2) {
        buf_reset(ctx);
        buf_put_text(ctx, record->payload);
    }
    return FB_OK;
}

static void journal_read(buf *group_two)
{
    journal j;
    assert_int_equal(journal_init(&j, VFS, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, keep_second, group_two), FB_OK);
    journal_clear(&j);
}

/* Behind what the second copy has: a record that waits for its commit. */
static void journal_wait(const buf *group_two)
{
    journal j;
    assert_int_equal(journal_init(&j, VFS, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, NULL, NULL), FB_OK);
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, 2, buf_text(group_two), true), FB_OK);
    journal_clear(&j);
}

/* Both went on from group 1. Here is the database of one way; what waits in the second copy is of
 * the other: it is no group, and the database's own takes its place (JRN-1). */
static void open_record__of_another_way_is_withdrawn(void **state)
{
    lab l;
    buf group_two;
    (void)state;
    buf_init(&group_two, SEGMENT_BYTES_MAX);
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    lab_reopen(&l);
    lab_save(&l, 2, "one way", 2);
    lab_close(&l);
    journal_read(&group_two);
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    file_bytes old[] = {file_read(DB "-outbox1"), file_read(DB "-outbox2")};
    lab_reopen(&l);
    lab_save(&l, 3, "the other", 3);
    lab_close(&l);
    for (size_t i = 0; i < 2; i++) {
        if (old[i].data != NULL) {
            file_write(&old[i]);
            free(old[i].data);
        }
    }
    journal_wait(&group_two);
    lab_reopen(&l);
    assert_false(is_salvaged(&l));
    assert_true(lab_has(&l, 3) && !lab_has(&l, 2));
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_true(lab_has(&l, 1) && lab_has(&l, 3) && !lab_has(&l, 2));
    assert_int_equal(groups_pending(&l), 2);
    lab_check(&l);
    lab_close(&l);
    buf_clear(&group_two);
}

/* Both went on from group 1 with a group of the same number. Neither is the older one of the other:
 * nothing of either is lost. */
static void groups__of_one_number_are_told_apart(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    lab_reopen(&l);
    lab_save(&l, 2, "one way", 2);
    lab_close(&l);
    file_bytes database = file_read(DB);
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    lab_reopen(&l);
    lab_save(&l, 3, "the other", 3);
    lab_close(&l);
    file_write(&database);
    free(database.data);
    lab_reopen(&l);
    assert_true(is_salvaged(&l));
    assert_true(lab_has(&l, 1) && lab_has(&l, 2) && lab_has(&l, 3));
    assert_int_equal(groups_pending(&l), 3);
    lab_check(&l);
    lab_close(&l);
}

/* A copy began a new life, and so did the file it was copied from: the same number, and two lives.
 * What one of them has sent is in a backup; what the other's second copy holds is no part of that,
 * although its numbers are lower. Nothing of either is lost. */
static void lives__of_one_number_are_told_apart(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    lab_reopen(&l);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    lab_save(&l, 2, "two", 2);
    reply_begin(&l, &out, 2, 2, 9);
    verdict_run_put(&out, 1, 2, 8);
    reply_page(&out, "0.9", true, true);
    reply_rights(&l, &out);
    reply_take(&l, &out);
    lab_close(&l);
    file_bytes database = file_read(DB);
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    l.random ^= 77;
    lab_reopen(&l);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    lab_close(&l);
    file_write(&database);
    free(database.data);
    lab_reopen(&l);
    assert_true(is_salvaged(&l) && lab_has(&l, 1));
    lab_check(&l);
    lab_close(&l);
}

/* The first record is damaged: there is a file, and nobody's. A device that becomes somebody's
 * writes it anew. */
static void second_copy__without_its_first_record_is_nobodys(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    for (int i = 1; i <= 2; i++) {
        file_bytes f = file_read(i == 1 ? DB "-outbox1" : DB "-outbox2");
        if (f.size > 200) {
            memset(f.data + 100, 0xFF, 50);
            file_write(&f);
        }
        free(f.data);
    }
    lose_database();
    start(&l);
    lab_save(&l, 2, "two", 2);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_true(lab_has(&l, 2) && groups_pending(&l) == 1);
    lab_check(&l);
    lab_close(&l);
}

/* A connection that met a page of nonsense. */
static sql_db *reader_that_saw_damage(void)
{
    static const char OTHER[] = "phone/other.db";
    enum { PAGE_BYTES = 4096 };
    const sql_options o = {.vfs = VFS, .create = true};
    sql_db *db = NULL;
    fb_error err = {.code = FB_OK};
    crash_vfs_remove_under(disk, OTHER);
    assert_int_equal(sql_open(OTHER, &o, &db, &err), FB_OK);
    assert_int_equal(sql_exec(db, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"), FB_OK);
    sql_close(db);
    file_bytes f = file_read(OTHER);
    assert_true(f.size >= 2 * PAGE_BYTES);
    memset(f.data + PAGE_BYTES, 0xFF, PAGE_BYTES);
    file_write(&f);
    free(f.data);
    assert_int_equal(sql_open(OTHER, &o, &db, &err), FB_OK);
    assert_int_equal(sql_exec(db, "SELECT a FROM t"), FB_E_CORRUPT);
    return db;
}

/* Another handle saw a page that cannot be read: this one writes it down, and the next open makes
 * the database again. */
static void damage__that_another_handle_saw_is_remembered(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    sql_db *reader = reader_that_saw_damage();
    replica_remember_damage(l.r, NULL);
    lab_reopen(&l);
    assert_false(is_salvaged(&l));
    replica_remember_damage(l.r, reader);
    lab_reopen(&l);
    assert_true(is_salvaged(&l) && lab_has(&l, 1));
    lab_check(&l);
    lab_close(&l);
    /* Where even that cannot be written it will be met again. */
    lab_reopen(&l);
    crash_vfs_fail(disk, "phone", 1, SQLITE_CANTOPEN, true);
    replica_remember_damage(l.r, reader);
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    lab_reopen(&l);
    assert_true(lab_has(&l, 1));
    lab_close(&l);
    sql_close(reader);
}

/* A file of nobody whose beginnings cannot be read just now is not taken for a new one. */
static void file_of_nobody__waits_for_the_disk(void **state)
{
    static const int RESULTS[] = {SQLITE_CANTOPEN, SQLITE_IOERR_READ};
    (void)state;
    for (size_t i = 0; i < sizeof RESULTS / sizeof RESULTS[0]; i++) {
        lab l;
        bool fired = true;
        int refused = 0;
        fb_error err = {.code = FB_OK};
        start(&l);
        lab_save(&l, 1, "one", 1);
        lab_close(&l);
        lose_database(); /* its second copy stays */
        lab_init(&l, DB, VFS, 9);
        file_bytes kept[] = {file_read(DB "-outbox1"), file_read(DB "-outbox2")};
        file_delete(DB "-outbox1");
        file_delete(DB "-outbox2");
        assert_int_equal(lab_open(&l, &err), FB_OK);
        lab_close(&l);
        for (size_t k = 0; k < 2; k++) {
            if (kept[k].data != NULL) {
                file_write(&kept[k]);
                free(kept[k].data);
            }
        }
        for (uint64_t call = 1; fired; call++) {
            crash_vfs_fail(disk, "phone", call, RESULTS[i], false);
            fb_code rc = lab_open(&l, &err);
            fired = crash_vfs_failed(disk, "phone");
            crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
            assert_true(rc == FB_OK || (fired && err.message[0] != '\0'));
            refused += rc != FB_OK;
            lab_close(&l);
        }
        assert_true(refused > 0);
        crash_vfs_remove(disk, "phone");
    }
}

/* --- after an end without closing ------------------------------------------------------------- */

/* A large file is not read whole for it. */
static void large_file__is_not_read_whole_after_a_kill(void **state)
{
    lab l;
    (void)state;
    start(&l);
    assert_int_equal(sql_exec(replica_sql(l.r), "CREATE TABLE large AS SELECT zeroblob(9437184)"),
                     FB_OK);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    file_bytes f = file_read(DB);
    assert_true(f.size > LARGE_BYTES);
    memset(f.data + f.size - 100000, 0xFF, 5000); /* in the midst of the large table */
    file_write(&f);
    free(f.data);
    lab_reopen(&l);
    lab_save(&l, 2, "two", 2);
    crash_vfs_kill(disk, "phone");
    lab_close(&l);
    lab_reopen(&l);
    assert_true(!is_salvaged(&l) && lab_has(&l, 1) && lab_has(&l, 2));
    lab_close(&l);
}

/* The first page says that no page has a sum, and the file says that all have. */
static void first_page__that_lost_the_sums_is_damage(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    file_bytes f = file_read(DB);
    assert_true(f.data[RESERVED_AT] != 0);
    f.data[RESERVED_AT] = 0;
    file_write(&f);
    free(f.data);
    lab_reopen(&l);
    assert_true(is_salvaged(&l) && lab_has(&l, 1));
    lab_check(&l);
    lab_close(&l);
}

/* The same of a file whose pages have room for none. */
static void sums__that_a_file_cannot_have_are_damage(void **state)
{
    lab l;
    sql_db *db = NULL;
    fb_error err = {.code = FB_OK};
    const sql_options o = {.create = true, .vfs = VFS};
    (void)state;
    assert_int_equal(sql_open(DB, &o, &db, &err), FB_OK);
    assert_int_equal(sql_exec(db, "PRAGMA application_id=0x4642644B"), FB_OK);
    sql_close(db);
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_reopen(&l);
    assert_false(is_salvaged(&l));
    assert_int_equal(sql_exec(replica_sql(l.r), "INSERT INTO fb_meta VALUES ('page_sums', 1)"),
                     FB_OK);
    lab_reopen(&l);
    assert_true(is_salvaged(&l) && lab_has(&l, 1));
    lab_check(&l);
    lab_close(&l);
}

/* There is no room for a group, and no reserve: another program removed it. */
static void reserve__that_is_gone_gives_no_room(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    int64_t gseq = 0;
    (void)state;
    start(&l);
    file_delete(DB "-reserve");
    lab_begin(&l, "lab.save");
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(5)};
    values[l.name] = (fb_value){.kind = FB_KIND_TEXT, .u.text = T("five")};
    assert_int_equal(capture_insert(l.r, l.item, values, &err), FB_OK);
    crash_vfs_fail(disk, "phone", 1, SQLITE_FULL, true);
    assert_int_equal(capture_commit(l.r, &gseq, &err), FB_E_DISK_FULL);
    assert_non_null(strstr(err.message, "free some space; nothing was changed"));
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    lab_save(&l, 6, "six", 1);
    assert_false(lab_has(&l, 5));
    lab_check(&l);
    lab_close(&l);
}

/* A disk that is full, and fails when the reserve is given up: there is no more room than before.
 */
static void reserve__that_cannot_be_given_up_gives_no_room(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    int64_t gseq = 0;
    (void)state;
    start(&l);
    lab_begin(&l, "lab.save");
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(5)};
    values[l.name] = (fb_value){.kind = FB_KIND_TEXT, .u.text = T("five")};
    assert_int_equal(capture_insert(l.r, l.item, values, &err), FB_OK);
    crash_vfs_quota(disk, "phone", crash_vfs_used(disk, "phone"));
    crash_vfs_fail_sync(disk, "phone", 1);
    assert_int_equal(capture_commit(l.r, &gseq, &err), FB_E_DISK_FULL);
    assert_non_null(strstr(err.message, "free some space; nothing was changed"));
    crash_vfs_fail_sync(disk, "phone", 0);
    crash_vfs_quota(disk, "phone", 0);
    lab_save(&l, 6, "six", 1);
    assert_false(lab_has(&l, 5));
    lab_check(&l);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(open_record__of_another_way_is_withdrawn),
        TEST(groups__of_one_number_are_told_apart),
        TEST(lives__of_one_number_are_told_apart),
        TEST(second_copy__without_its_first_record_is_nobodys),
        TEST(damage__that_another_handle_saw_is_remembered),
        TEST(file_of_nobody__waits_for_the_disk),
        TEST(large_file__is_not_read_whole_after_a_kill),
        TEST(first_page__that_lost_the_sums_is_damage),
        TEST(sums__that_a_file_cannot_have_are_damage),
        TEST(reserve__that_is_gone_gives_no_room),
        TEST(reserve__that_cannot_be_given_up_gives_no_room),
    };
    return cmocka_run_group_tests_name("second_forks", tests, NULL, NULL);
}
