/* test_open_strays.c - what an open finds beside the database after a kill, a failed disk, or a
 * backup that caught the files at different instants: nothing saved is lost, nothing foreign is
 * shown, and what was shown stays (reliability.md C4, C8, T5). */
#include <sys/stat.h>
#include <unistd.h>

#include "disk_fixture.h"
#include "sql/sql_sum.h"

enum { SEEDS = 2 };

/* --- a log that nobody synced -------------------------------------------------------- */

/* A save is interrupted at its n-th change of a file, by a failure of the disk and then the end of
 * the program. False: it was not. */
static bool save_is_cut(lab *l, uint64_t call, unsigned id)
{
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    lab_begin(l, "lab.save");
    lab_insert(l, id, "two", 2);
    crash_vfs_fail(disk, "phone", call, SQLITE_IOERR_FSYNC, true);
    fb_code rc = capture_commit(l->r, &gseq, &err);
    bool fired = crash_vfs_failed(disk, "phone");
    assert_true(fired || rc == FB_OK);
    crash_vfs_kill(disk, "phone");
    lab_close(l);
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    return fired;
}

static bool is_salvaged(lab *l)
{
    return lab_count(l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'") == 1;
}

/* I2: what the next program shows is there after the power went, whatever the disk forgot. */
static void unsynced_log__is_made_to_last_before_it_is_shown(void **state)
{
    lab l;
    unsigned seen = 0;
    bool cut = true;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    crash_vfs_kill(disk, "phone"); /* its log is not empty */
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    for (uint64_t call = 1; cut; call++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            crash_vfs_remove(disk, "phone");
            crash_vfs_copy(disk, "before", "phone");
            crash_vfs_reseed(disk, call * SEEDS + seed);
            lab_reopen(&l);
            cut = save_is_cut(&l, call, 2);
            lab_reopen(&l);
            bool there = lab_has(&l, 2);
            int64_t pending = groups_pending(&l);
            crash_vfs_crash(disk, "phone");
            lab_close(&l);
            crash_vfs_reboot(disk, "phone");
            lab_reopen(&l);
            bool kept = lab_has(&l, 2) && groups_pending(&l) == pending && !is_salvaged(&l);
            if (there && !kept) {
                fail_msg("call %u, seed %u: the database lost a group that it had shown",
                         (unsigned)call, (unsigned)seed);
            }
            assert_true(lab_has(&l, 1));
            lab_check(&l);
            lab_close(&l);
            seen += there && cut;
        }
    }
    assert_true(seen > 0);
}

/* The simulator's seeds 15, 100 and 310: a sync failed, or the disk was read-only for a while, and
 * what it should have written was forgotten, also the commit before it that had not waited for the
 * disk. The next group was saved behind that hole, in the same handle, and went with the power; or
 * it could not be saved as long as somebody read. */
typedef enum trouble { FAILED_SYNC, FAILED_SYNC_WITH_READER, FAILED_CALL, TROUBLES } trouble;

static sqlite3 *reader_begin(const lab *l)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(l->path, &db, SQLITE_OPEN_READWRITE, sql_sum_layer(VFS)),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM fb_outbox", NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

static void trouble_then_saved(lab *l, trouble kind, uint64_t seed)
{
    buf answer;
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    sqlite3 *reader = NULL;
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    crash_vfs_reseed(disk, seed);
    lab_reopen(l);
    reply_begin(l, &answer, 0, 0, 5);
    reply_page(&answer, "0.5", true, false);
    reply_row(l, &answer, 10, "theirs", NULL, 3, 50);
    reply_take(l, &answer);
    if (kind == FAILED_SYNC_WITH_READER) {
        reader = reader_begin(l);
    }
    lab_begin(l, "lab.save");
    lab_insert(l, 11, "refused", 1);
    if (kind == FAILED_CALL) {
        crash_vfs_fail(disk, "phone", 1 + seed, SQLITE_IOERR_WRITE, true);
    } else {
        crash_vfs_fail_sync(disk, "phone", 1);
    }
    fb_code rc = capture_commit(l->r, &gseq, &err);
    assert_true(rc == FB_E_IO || (kind == FAILED_CALL && rc == FB_OK));
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    lab_save(l, 12, "saved", 1);
    sqlite3_close(reader);
    crash_vfs_crash(disk, "phone");
    lab_close(l);
    crash_vfs_reboot(disk, "phone");
    lab_reopen(l);
    if (!lab_has(l, 12)) {
        fail_msg("trouble %d, seed %u: a group saved after it is lost", (int)kind, (unsigned)seed);
    }
    lab_check(l);
    lab_close(l);
}

static void failed_sync__does_not_take_the_next_group_along(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    for (int kind = 0; kind < TROUBLES; kind++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            trouble_then_saved(&l, (trouble)kind, seed);
        }
    }
}

/* --- files that do not belong together ----------------------------------------------- */

/* The program ends without closing: the log stays as it is. */
static void end_killed(lab *l)
{
    crash_vfs_kill(disk, "phone");
    lab_close(l);
}

static void put_beside(const char *from, const char *to)
{
    file_bytes f = file_read(from);
    f.name = to;
    assert_non_null(f.data);
    file_write(&f);
    free(f.data);
}

/* Three groups, the last two of them in the log alone, and nobody has the files open. */
static void three_groups(lab *l)
{
    start(l);
    lab_save(l, 1, "one", 1);
    lab_close(l);
    lab_reopen(l);
    lab_save(l, 2, "two", 2);
    lab_save(l, 3, "three", 3);
    end_killed(l);
}

static void all_are_there(lab *l)
{
    lab_reopen(l);
    assert_int_equal(groups_pending(l), 3);
    for (unsigned id = 1; id <= 3; id++) {
        assert_true(lab_has(l, id));
    }
    lab_check(l);
}

static void log_without_database__is_no_database(void **state)
{
    lab l;
    (void)state;
    three_groups(&l);
    file_delete(DB);
    all_are_there(&l);
    assert_true(is_salvaged(&l));
    lab_close(&l);
}

static void database_without_log__is_not_trusted(void **state)
{
    lab l;
    (void)state;
    three_groups(&l);
    file_delete(DB "-wal");
    all_are_there(&l);
    assert_true(is_salvaged(&l));
    lab_close(&l);
}

/* Of this very database, but of an earlier day. */
static void older_log__brings_nothing_back(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    crash_vfs_copy(disk, "phone", "before");
    lab_close(&l);
    lab_reopen(&l);
    lab_save(&l, 2, "two", 2);
    lab_save(&l, 3, "three", 3);
    lab_close(&l);
    put_beside("before/replica.db-wal", DB "-wal");
    all_are_there(&l);
    lab_close(&l);
}

/* Another phone's, of another person. */
static void foreign_log__shows_nothing_of_the_other(void **state)
{
    lab l;
    lab other;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&other, "other/replica.db", VFS, 99);
    assert_int_equal(lab_open(&other, &err), FB_OK);
    lab_enrol(&other);
    lab_first_sync(&other);
    lab_save(&other, 77, "of the other", 1);
    crash_vfs_kill(disk, "other");
    lab_close(&other);
    for (int closed = 0; closed < 2; closed++) {
        crash_vfs_remove(disk, "phone");
        three_groups(&l);
        if (closed) {
            lab_reopen(&l);
            lab_close(&l);
        }
        put_beside("other/replica.db-wal", DB "-wal");
        all_are_there(&l);
        assert_false(lab_has(&l, 77));
        lab_close(&l);
    }
}

static void run_sql(sqlite3 *handle, const char *text)
{
    if (sqlite3_exec(handle, text, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", text, sqlite3_errmsg(handle));
    }
}

/* On machine "journal": the database in the middle of a transaction with a rollback journal. */
static void one_group_and_a_journal(lab *l)
{
    sqlite3 *handle = NULL;
    start(l);
    lab_save(l, 1, "one", 1);
    lab_close(l);
    crash_vfs_copy(disk, "phone", "before");
    assert_int_equal(
        sqlite3_open_v2("before/replica.db", &handle, SQLITE_OPEN_READWRITE, sql_sum_layer(VFS)),
        SQLITE_OK);
    run_sql(handle, "PRAGMA journal_mode=DELETE; PRAGMA cache_size=1; BEGIN");
    run_sql(handle, "UPDATE fb_outbox SET kind='x'; UPDATE fb_meta SET value=zeroblob(9000);"
                    "UPDATE lab_item SET name='y'");
    crash_vfs_copy(disk, "before", "journal");
    run_sql(handle, "ROLLBACK");
    sqlite3_close(handle);
}

/* It would put the pages of an earlier moment back. Our databases have none once they are made. */
static void stray_journal__rolls_nothing_back(void **state)
{
    lab l;
    (void)state;
    one_group_and_a_journal(&l);
    for (int closed = 0; closed < 2; closed++) {
        lab_reopen(&l);
        lab_save(&l, 2 + (unsigned)closed, "later", 2);
        if (closed) {
            lab_close(&l);
        } else {
            end_killed(&l);
        }
        put_beside("journal/replica.db-journal", DB "-journal");
        lab_reopen(&l);
        assert_int_equal(groups_pending(&l), 2 + closed);
        assert_false(is_salvaged(&l));
        lab_check(&l);
        lab_close(&l);
    }
    assert_null(file_read(DB "-journal").data);
}

/* Another program had turned the log off, and was killed. */
static void journal_of_its_own__is_honoured(void **state)
{
    lab l;
    (void)state;
    one_group_and_a_journal(&l);
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "journal", "phone");
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 1);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    assert_false(is_salvaged(&l));
    lab_check(&l);
    lab_close(&l);
}

/* --- on real files: shared memory ---------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    size_t n = 0;
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_true(in != NULL && out != NULL);
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0) {
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    }
    fclose(in);
    fclose(out);
}

/* The files as an operating system's backup takes them from a program that runs. */
static void copy_running(const char *from, const char *to, const char *const *ends)
{
    char a[200];
    char b[200];
    for (; *ends != NULL; ends++) {
        snprintf(a, sizeof a, "%s%s", from, *ends);
        snprintf(b, sizeof b, "%s%s", to, *ends);
        copy_file(a, b);
    }
}

static void real_phone(lab *l, lab *copy)
{
    static const char *const ends[] = {"", "-wal", "-outbox1", NULL};
    lab_start(l, lab_path("strays.db"), 5);
    lab_save(l, 1, "one", 1);
    lab_save(l, 2, "two", 2);
    lab_init(copy, lab_path("strays_copy.db"), NULL, 6);
    copy_running(l->path, copy->path, ends);
}

static void stale_shared_memory__is_made_anew(void **state)
{
    lab l;
    lab copy;
    char shm[200];
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        real_phone(&l, &copy);
        snprintf(shm, sizeof shm, "%s-shm", copy.path);
        if (kind == 0) {
            static const char *const shm_end[] = {"-shm", NULL};
            lab_save(&l, 3, "three", 3); /* an index of more than the copied log has */
            copy_running(l.path, copy.path, shm_end);
        } else {
            FILE *f = fopen(shm, "wb");
            assert_non_null(f);
            for (int i = 0; i < 40000; i++) {
                fputc(i * 7, f);
            }
            fclose(f);
        }
        lab_reopen(&copy);
        assert_int_equal(groups_pending(&copy), 2);
        assert_true(lab_has(&copy, 1) && lab_has(&copy, 2));
        lab_stop(&copy);
        lab_stop(&l);
    }
}

static fb_code count_line(void *ctx, const rescued *r)
{
    (void)r;
    ++*(int *)ctx;
    return FB_OK;
}

/* The place of the shared memory cannot be written: a clear refusal, the outbox can be read, and
 * once the cause is gone everything is there. */
static void unwritable_shared_memory__is_refused_with_a_cure(void **state)
{
    lab l;
    lab copy;
    char shm[200];
    int lines = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    real_phone(&l, &copy);
    snprintf(shm, sizeof shm, "%s-shm", copy.path);
    assert_int_equal(mkdir(shm, 0700), 0);
    assert_int_equal(fb_code_class(lab_open(&copy, &err)), FB_CLASS_STORAGE);
    assert_int_not_equal(err.code, FB_E_CORRUPT);
    assert_string_equal(err.field, "path");
    assert_non_null(strstr(err.message, "-shm"));
    const replica_options o = {.path = copy.path, .port = &copy.port, .read_only = true};
    assert_int_equal(rescue_each(&o, count_line, &lines, &err), FB_OK);
    assert_int_equal(lines, 2);
    assert_int_equal(rmdir(shm), 0);
    lab_reopen(&copy);
    assert_int_equal(groups_pending(&copy), 2);
    lab_stop(&copy);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(unsynced_log__is_made_to_last_before_it_is_shown),
        TEST(failed_sync__does_not_take_the_next_group_along),
        TEST(log_without_database__is_no_database),
        TEST(database_without_log__is_not_trusted),
        TEST(older_log__brings_nothing_back),
        TEST(foreign_log__shows_nothing_of_the_other),
        TEST(stray_journal__rolls_nothing_back),
        TEST(journal_of_its_own__is_honoured),
        cmocka_unit_test(stale_shared_memory__is_made_anew),
        cmocka_unit_test(unwritable_shared_memory__is_refused_with_a_cure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
