/* test_restore.c - fieldbook-admin backup, backup verify, restore: the program itself in a folder
 * of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

/* Exit code of `fieldbook-admin --home FOLDER/co ARGUMENTS`, run inside the folder. */
static int admin(const char *arguments)
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
    assert_int_equal(admin("init --company Acme"), 0);
    assert_int_equal(admin("backup good.db"), 0);
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
    assert_int_equal(admin("backup verify good.db"), 0);
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
            assert_int_equal(admin("backup verify good.db"), flip == 0 ? 1 : 0);
        }
        fclose(f);
    }
    assert_int_equal(shell("rm good.db.sha256"), 0);
    assert_int_equal(admin("backup verify good.db"), 1);
}

static void restore__replaces_nothing_unless_told_and_keeps_what_stood_there(void **state)
{
    (void)state;
    assert_int_equal(admin("setting set order.credit_check 0"), 0);
    assert_int_equal(admin("restore good.db"), 4);
    assert_int_equal(admin("setting list"), 0);
    assert_int_equal(admin("restore good.db --replace"), 0);
    assert_int_equal(shell("ls co/master.db.replaced-* >/dev/null"), 0);
    assert_int_equal(admin("check"), 0);
    assert_int_equal(admin("audit --limit 1"), 0);
    assert_int_equal(shell("grep -q restore out"), 0);
}

static void restore__refuses_a_damaged_backup_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(
        shell("cp good.db bad.db && cp good.db.sha256 bad.db.sha256 && printf x >>bad.db"), 0);
    assert_int_equal(shell("sha256sum co/master.db >before"), 0);
    assert_int_equal(admin("restore bad.db --replace"), 1);
    assert_int_equal(shell("sha256sum -c --status before"), 0);
    assert_int_equal(shell("ls co | grep -q -e replaced -e restoring"), 1);
}

static void server__does_not_pass_its_check_when_its_database_was_put_back(void **state)
{
    (void)state;
    assert_int_equal(shell("cp co/master.db old.db"), 0);
    assert_int_equal(admin("setting set order.credit_check 0"), 0);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 0);
    assert_int_equal(shell("cp old.db co/master.db"), 0);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 1);
    assert_int_equal(shell("grep -q 'restore --confirm' out"), 0);
    assert_int_equal(admin("restore --confirm"), 0);
    assert_int_equal(
        shell(FB_BINARY_DIR "/fieldbookd --config co/fieldbookd.conf --check >out 2>&1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(backup_verify__fails_on_one_flipped_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(
            restore__replaces_nothing_unless_told_and_keeps_what_stood_there, setup, teardown),
        cmocka_unit_test_setup_teardown(restore__refuses_a_damaged_backup_and_changes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            server__does_not_pass_its_check_when_its_database_was_put_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
