/* test_journal.c - a record whose commit failed, and the one that took its place, when the power
 * goes (journal.h JRN-1, JRN-5).
 *
 * Method: of the writes since the last sync, the file layer keeps some and loses some by its seed
 * (crash_vfs.h). The first record reached the disk; with the later one lost and its mark kept, the
 * first one must not count. */
#include "disk_fixture.h"
#include "replica/journal.h"

enum { SEEDS = 128, FAILED_GSEQ = 2, SAVED_GSEQ = 3 };

static void opened(journal *j)
{
    assert_int_equal(journal_init(j, VFS, DB), FB_OK);
    fb_code rc = journal_open(j);
    assert_true(rc == FB_OK || rc == FB_E_NOT_FOUND);
}

static fb_code note_failed(void *ctx, const journal_record *record)
{
    *(bool *)ctx |= record->confirmed && record->gseq == FAILED_GSEQ;
    return FB_OK;
}

static void put(journal *j, int64_t gseq, bool open)
{
    assert_int_equal(journal_append(j, JOURNAL_GROUP, gseq, T("what was saved"), open), FB_OK);
}

/* A segment with one group, and behind it, on the disk, a record that waits for its commit. */
static void begun(journal *j, uint64_t seed)
{
    crash_vfs_remove(disk, "phone");
    crash_vfs_reseed(disk, seed);
    opened(j);
    assert_int_equal(journal_begin(j, 1), FB_OK);
    put(j, 1, false);
    assert_int_equal(journal_end(j), FB_OK);
    put(j, FAILED_GSEQ, true);
    assert_int_equal(journal_sync(j), FB_OK);
}

static void ended(journal *j)
{
    crash_vfs_crash(disk, "phone");
    journal_clear(j);
    crash_vfs_reboot(disk, "phone");
}

static void failed_record__does_not_count_later(journal *j, uint64_t seed)
{
    bool counts = false;
    put(j, SAVED_GSEQ, true);
    assert_int_equal(journal_confirm(j), FB_OK);
    ended(j);
    opened(j);
    assert_int_equal(journal_follow(j, note_failed, &counts), FB_OK);
    journal_clear(j);
    if (counts) {
        fail_msg("seed %u: the record whose commit failed counts", (unsigned)seed);
    }
}

static void withdrawn__does_not_count_later(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        journal j;
        begun(&j, seed);
        journal_withdraw(&j);
        failed_record__does_not_count_later(&j, seed);
    }
}

static void left_by_a_crash__does_not_count_later(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        journal j;
        bool counts = false;
        begun(&j, seed);
        ended(&j);
        opened(&j);
        assert_int_equal(journal_follow(&j, note_failed, &counts), FB_OK);
        assert_true(j.open && !counts);
        journal_withdraw(&j);
        failed_record__does_not_count_later(&j, seed);
    }
}

/* The program was killed before it could withdraw; another one, which had the file open, goes on.
 */
static void left_by_another__does_not_count_later(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        journal j, other;
        begun(&j, seed);
        opened(&other);
        assert_int_equal(journal_follow(&other, NULL, NULL), FB_OK);
        journal_leave_open(&other);
        journal_clear(&j);
        failed_record__does_not_count_later(&other, seed);
    }
}

/* A sync that failed may have forgotten that the tail was cut off. */
static void tail__is_cut_off_again_after_a_failed_sync(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        journal j;
        begun(&j, seed);
        journal_withdraw(&j);
        crash_vfs_fail_sync(disk, "phone", 1);
        assert_int_equal(journal_append(&j, JOURNAL_GROUP, SAVED_GSEQ, T("what was saved"), true),
                         FB_E_IO);
        failed_record__does_not_count_later(&j, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(withdrawn__does_not_count_later),
        TEST(left_by_a_crash__does_not_count_later),
        TEST(left_by_another__does_not_count_later),
        TEST(tail__is_cut_off_again_after_a_failed_sync),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
