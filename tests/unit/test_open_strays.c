/* test_open_strays.c - what an open finds beside the database after a kill, a failed disk, or a
 * backup that caught the files at different instants: nothing saved is lost, nothing foreign is
 * shown, and what was shown stays (reliability.md C4, C8, T5). */
#include "disk_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(unsynced_log__is_made_to_last_before_it_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
