/* test_restore.c - fieldbook-admin backup, backup verify, restore: the program itself in a folder
 * of its own. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync-server/admin/admin.h"

#include <cmocka.h>
#undef fail

static char folder[64];

/* Exit code of `fieldbook-admin --home FOLDER/co ARGUMENTS`, run inside the folder. */
static int run_admin(const char *arguments)
{
    char line[600];
    snprintf(line, sizeof line, "cd %s && " FB_BINARY_DIR "/fieldbook-admin --home co %s >out 2>&1",
             folder, arguments);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int shell(const char *command)
{
    char line[600];
    snprintf(line, sizeof line, "cd %s && %s", folder, command);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fb_restore_XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(shell("mkdir co"), 0);
    assert_int_equal(run_admin("init --company Acme"), 0);
    assert_int_equal(run_admin("backup good.db"), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char line[100];
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line);
}

static void backup_verify__fails_on_one_flipped_bit(void **state)
{
    (void)state;
    char path[100];
    assert_int_equal(run_admin("backup verify good.db"), 0);
    assert_int_equal(shell("sha256sum -c --status good.db.sha256"), 0);
    for (int at = 0; at < 8; at++) {
        snprintf(path, sizeof path, "%s/good.db", folder);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, 0, SEEK_END), 0);
        long offset = ftell(f) / 8 * at;
        for (int flip = 0; flip < 2; flip++) {
            assert_int_equal(fseek(f, offset, SEEK_SET), 0);
            int c = fgetc(f);
            assert_int_equal(fseek(f, offset, SEEK_SET), 0);
            fputc(c ^ 1 << at, f);
            assert_int_equal(fflush(f), 0);
            assert_int_equal(run_admin("backup verify good.db"), flip == 0 ? 1 : 0);
        }
        fclose(f);
    }
    assert_int_equal(shell("rm good.db.sha256"), 0);
    assert_int_equal(run_admin("backup verify good.db"), 1);
}

/* Positions all over the file, each with another bit: the digest is compared in this process. */
static void backup_verify__fails_on_a_flipped_bit_in_every_page(void **state)
{
    (void)state;
    char path[100], beside[120];
    backup_facts facts;
    fb_error err = {0};
    snprintf(path, sizeof path, "%s/good.db", folder);
    snprintf(beside, sizeof beside, "%s.sha256", path);
    assert_int_equal(backup_check(path, &facts, &err), FB_OK);
    const char *const files[] = {path, beside};
    for (int which = 0; which < 2; which++) {
        long step = which == 0 ? 4001 : 1, size = 0;
        FILE *f = fopen(files[which], "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, 0, SEEK_END), 0);
        size = ftell(f);
        for (long at = 0; at < size; at += step) {
            for (int flip = 0; flip < 2; flip++) {
                assert_int_equal(fseek(f, at, SEEK_SET), 0);
                int c = fgetc(f);
                assert_int_equal(fseek(f, at, SEEK_SET), 0);
                fputc(c ^ 1 << at % 8, f);
                assert_int_equal(fflush(f), 0);
                if (flip == 0) {
                    assert_int_equal(backup_check(path, &facts, &err), FB_E_CORRUPT);
                }
            }
        }
        fclose(f);
    }
    assert_int_equal(backup_check(path, &facts, &err), FB_OK);
}

/* Commit N of the company: the setting says N. */
static void setting_put(int n)
{
    char line[100];
    snprintf(line, sizeof line, "setting set order.credit_check %d", n);
    assert_int_equal(run_admin(line), 0);
}

static bool restored_says(const char *how, int commit)
{
    char line[300];
    assert_int_equal(shell("rm -rf back && mkdir back"), 0);
    snprintf(line, sizeof line, "restore shelf %s --to back/master.db", how);
    if (run_admin(line) != 0) {
        return false;
    }
    snprintf(line, sizeof line,
             FB_BINARY_DIR "/fieldbook-admin --home back check >/dev/null && test \"$(sqlite3 "
                           "back/master.db \"SELECT max(cid) FROM fs_commit\")\" = %d",
             commit);
    return shell(line) == 0;
}

static void restore__puts_together_any_moment_of_a_folder(void **state)
{
    (void)state;
    char how[60];
    for (int n = 1; n <= 5; n++) { /* commit 1 is the company itself */
        assert_int_equal(run_admin(n == 4 ? "backup shelf/ --full" : "backup shelf/"), 0);
        setting_put(n + 1);
        setting_put(n + 101);
    }
    for (int n = 1; n <= 9; n += 4) {
        snprintf(how, sizeof how, "--commit %d", n);
        assert_true(restored_says(how, n));
        snprintf(how, sizeof how, "--commit %d", n + 1); /* not a moment: the one before */
        assert_true(restored_says(how, n));
    }
    assert_true(restored_says("--number 3", 5));
    assert_true(restored_says("", 9));
    assert_int_equal(run_admin("restore shelf --commit 0 --to no.db"), 1);
    assert_int_equal(run_admin("restore shelf --at 2001-01-01 --to no.db"), 1);
    assert_int_equal(run_admin("restore shelf --at yesterday --to no.db"), 2);
    assert_int_equal(run_admin("restore good.db --commit 3 --to no.db"), 2);
    assert_int_equal(shell("test ! -e no.db"), 0);
    assert_int_equal(run_admin("backup drill shelf"), 0);
    assert_int_equal(run_admin("restore shelf --replace"), 0);
    assert_int_equal(run_admin("check"), 0);
    assert_int_equal(run_admin("backup shelf/"), 0); /* a new epoch: a full copy */
    assert_int_equal(shell("ls shelf | grep -q 00000006.full"), 0);
}

/* BAK-1 */
static void backup__counts_only_when_it_was_read_back(void **state)
{
    (void)state;
    static const char number[] =
        "test \"$(sqlite3 co/master.db \"SELECT value FROM fs_meta WHERE key = "
        "'backed_up_cid'\")\" = ";
    char line[300];
    setting_put(5);
    assert_int_equal(shell("mkdir shelf && touch shelf/00000001.full shelf/00000001.inc"), 0);
    /* Damaged files stand there: a full copy. */
    assert_int_equal(run_admin("backup shelf --hold-days 0"), 0);
    snprintf(line, sizeof line, "%s2", number);
    assert_int_equal(shell(line), 0);
    setting_put(6);
    char lock[100];
    snprintf(lock, sizeof lock, "%s/shelf/.lock", folder);
    int fd = open(lock, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(run_admin("backup shelf --hold-days 0"), 1); /* another one runs */
    assert_int_equal(close(fd), 0);
    assert_int_equal(shell(line), 0);
    assert_int_equal(run_admin("backup shelf --hold-days 91"), 2);
    assert_int_equal(run_admin("backup shelf"), 0);
    assert_int_equal(shell(line), 0); /* BAK-2 */
    assert_int_equal(run_admin("backup drill shelf"), 0);
    assert_int_equal(run_admin("backup verify shelf"), 1); /* those that stood there */
    assert_int_equal(shell("rm shelf/00000001.*"), 0);
    assert_int_equal(run_admin("backup verify shelf"), 0);
}

static void backup__is_whole_while_others_write(void **state)
{
    (void)state;
    assert_int_equal(
        shell("{ (for i in 1 2 3 4 5 6 7 8; do " FB_BINARY_DIR
              "/fieldbook-admin --home co setting set order.credit_check $i; done) >/dev/null & "
              "for i in 1 2 3 4; do " FB_BINARY_DIR
              "/fieldbook-admin --home co backup shelf/ --keep 2 || exit 1; done >/dev/null 2>&1; "
              "wait; }"),
        0);
    assert_int_equal(run_admin("backup verify shelf"), 0);
    assert_int_equal(run_admin("restore shelf --to out.db"), 0);
}

/* Two who change one row at once: each starts from what the other one left. */
static void set__of_two_at_once_leaves_a_sound_database(void **state)
{
    (void)state;
    assert_int_equal(shell("for k in 1 2; do (for i in $(seq 40); do " FB_BINARY_DIR
                           "/fieldbook-admin --home co set setting order.credit_check value=$k$i "
                           "|| exit 1; done) >/dev/null & done; wait %1 && wait %2"),
                     0);
    assert_int_equal(run_admin("check"), 0);
}

static int sql(const char *text)
{
    char line[500];
    snprintf(line, sizeof line, "sqlite3 co/master.db \"%s\"", text);
    return shell(line);
}

static void lives_add(const char *with, const char *since_ms)
{
    char line[400];
    snprintf(line, sizeof line,
             "%s INSERT INTO fs_incarnation (device, incarnation, user_id, chain, since_ms) "
             "SELECT x'01', CAST(i AS BLOB), x'02', x'', %s FROM n",
             with, since_ms);
    assert_int_equal(sql(line), 0);
}

/* Monitoring reads the exit code. */
static void status__says_what_needs_a_person(void **state)
{
    (void)state;
    assert_int_equal(run_admin("status"), 0);
    assert_int_equal(run_admin("--json status"), 0);
    assert_int_equal(shell("grep -q '\"alarms\":\\[\\]' out"), 0);
    assert_int_equal(sql("INSERT INTO fs_attempt VALUES (x'01', 7, 2)"), 0);
    assert_int_equal(run_admin("status"), 3);
    assert_int_equal(shell("grep -q '^! attempts' out"), 0);
    assert_int_equal(sql("DELETE FROM fs_attempt"), 0);
    assert_int_equal(sql("INSERT INTO fs_verdict (incarnation, gseq, upto, cid, head, code, plain, "
                         "marks, verdict)"
                         " VALUES (1, 1, 1, 0, 1, 4, 0, x'00', '{\\\"err\\\":\\\"E_POISON\\\"}')"),
                     0);
    assert_int_equal(run_admin("--json status"), 3);
    assert_int_equal(shell("grep -q '\"alarms\":\\[\"poison\"\\]' out"), 0);
    assert_int_equal(sql("UPDATE fs_verdict SET state = 1"), 0);
    assert_int_equal(run_admin("status"), 0);
    lives_add("WITH n(i) AS (VALUES (1), (2), (3), (4))", "unixepoch() * 1000");
    lives_add("WITH n(i) AS (VALUES (5))", "(unixepoch() - 8 * 86400) * 1000");
    assert_int_equal(run_admin("status"), 0);
    lives_add("WITH n(i) AS (VALUES (6))", "unixepoch() * 1000");
    assert_int_equal(run_admin("--json status"), 3);
    assert_int_equal(shell("grep -q '\"alarms\":\\[\"phones_copied\"\\]' out"), 0);
    assert_int_equal(sql("DELETE FROM fs_incarnation WHERE device = x'01'"), 0);
    assert_int_equal(
        sql("UPDATE fs_meta SET value = CAST('1000' AS BLOB) WHERE key = 'backed_up_ms'"), 0);
    assert_int_equal(run_admin("status"), 3);
    assert_int_equal(run_admin("status --backup-hours none"), 2);
    assert_int_equal(run_admin("backup new.db"), 0);
    assert_int_equal(run_admin("status"), 0);
    assert_int_equal(shell("cp co/master.db old.db"), 0);
    setting_put(8);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 0);
    assert_int_equal(shell("cp old.db co/master.db && rm -f co/master.db-*"), 0);
    assert_int_equal(run_admin("--json status"), 3);
    assert_int_equal(shell("grep -q '\"alarms\":\\[\"database\"\\]' out"), 0);
}

static void restore__replaces_nothing_unless_told_and_keeps_what_stood_there(void **state)
{
    (void)state;
    assert_int_equal(run_admin("setting set order.credit_check 0"), 0);
    assert_int_equal(run_admin("restore good.db"), 4);
    assert_int_equal(run_admin("setting list"), 0);
    assert_int_equal(run_admin("restore good.db --replace"), 0);
    assert_int_equal(shell("ls co/master.db.replaced-* >/dev/null"), 0);
    assert_int_equal(run_admin("check"), 0);
    assert_int_equal(run_admin("audit --limit 1"), 0);
    assert_int_equal(shell("grep -q restore out"), 0);
}

/* Whatever second it is: an earlier restore's name stands already. */
static void restore__keeps_what_an_earlier_one_of_the_same_second_kept(void **state)
{
    (void)state;
    assert_int_equal(shell("for i in $(seq 0 60); do echo kept >co/master.db.replaced-"
                           "$(date -u -d \"+$i seconds\" +%Y%m%dT%H%M%SZ); done"),
                     0);
    assert_int_equal(run_admin("restore good.db --replace"), 0);
    assert_int_equal(shell("test $(ls co/master.db.replaced-*Z-2 | wc -l) = 1"), 0);
    assert_int_equal(shell("test $(grep -lx kept co/master.db.replaced-*Z | wc -l) = 61"), 0);
}

static void restore__refuses_a_damaged_backup_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(
        shell("cp good.db bad.db && cp good.db.sha256 bad.db.sha256 && printf x >>bad.db"), 0);
    assert_int_equal(shell("sha256sum co/master.db >before"), 0);
    assert_int_equal(run_admin("restore bad.db --replace"), 1);
    assert_int_equal(shell("sha256sum -c --status before"), 0);
    assert_int_equal(shell("ls co | grep -q -e replaced -e restoring"), 1);
}

static void server__does_not_pass_its_check_when_its_database_was_put_back(void **state)
{
    (void)state;
    assert_int_equal(shell("cp co/master.db old.db"), 0);
    assert_int_equal(run_admin("setting set order.credit_check 0"), 0);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 0);
    assert_int_equal(shell("cp old.db co/master.db"), 0);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 1);
    assert_int_equal(shell("grep -q 'restore --confirm' out"), 0);
    assert_int_equal(run_admin("restore --confirm"), 0);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(backup_verify__fails_on_one_flipped_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(backup_verify__fails_on_a_flipped_bit_in_every_page, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(restore__puts_together_any_moment_of_a_folder, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(backup__counts_only_when_it_was_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(status__says_what_needs_a_person, setup, teardown),
        cmocka_unit_test_setup_teardown(backup__is_whole_while_others_write, setup, teardown),
        cmocka_unit_test_setup_teardown(set__of_two_at_once_leaves_a_sound_database, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            restore__replaces_nothing_unless_told_and_keeps_what_stood_there, setup, teardown),
        cmocka_unit_test_setup_teardown(restore__keeps_what_an_earlier_one_of_the_same_second_kept,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(restore__refuses_a_damaged_backup_and_changes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            server__does_not_pass_its_check_when_its_database_was_put_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
