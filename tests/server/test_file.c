/* test_file.c - files that are written whole: what is reported as written outlives a power loss.
 *
 * Power cannot be lost here, so the calls are watched: this program's fsync takes the place of the
 * library's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/posix/file.h"

#include <cmocka.h>

static char folder[64], path[128], beside[136];

/* What fsync was asked, in order: 'n' the file beside while `path` still has what it had before,
 * 'f' the file under its name, 'd' its folder. */
static struct {
    char calls[8];
    size_t count;
    int fails; /* errno of a file's fsync; 0: it succeeds */
} sync_log;

static bool is_same(const struct stat *a, const char *name)
{
    struct stat b;
    return stat(name, &b) == 0 && a->st_ino == b.st_ino && a->st_dev == b.st_dev;
}

int fsync(int fd)
{
    struct stat s;
    assert_int_equal(fstat(fd, &s), 0);
    assert_true(sync_log.count + 1 < sizeof sync_log.calls);
    sync_log.calls[sync_log.count++] = S_ISDIR(s.st_mode)    ? 'd'
                                       : is_same(&s, beside) ? 'n'
                                       : is_same(&s, path)   ? 'f'
                                                             : '?';
    if (sync_log.fails != 0 && !S_ISDIR(s.st_mode)) {
        errno = sync_log.fails;
        return -1;
    }
    return 0;
}

static void watch(int fails)
{
    memset(&sync_log, 0, sizeof sync_log);
    sync_log.fails = fails;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fb-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.conf", folder);
    snprintf(beside, sizeof beside, "%s.new", path);
    watch(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left behind */
    return 0;
}

static void holds(const char *expected)
{
    buf text;
    buf_init(&text, 100);
    assert_int_equal(file_get(path, &text, NULL), FB_OK);
    assert_string_equal(buf_cstr(&text), expected);
    buf_clear(&text);
}

static void file__is_on_disk_before_it_has_its_name(void **state)
{
    (void)state;
    assert_int_equal(file_create(path, text_of("one"), false, NULL), FB_OK);
    assert_string_equal(sync_log.calls, "fd");
    watch(0);
    assert_int_equal(file_replace(path, text_of("two"), true, NULL), FB_OK);
    assert_string_equal(sync_log.calls, "ndd");
    holds("two");
}

static void file__that_cannot_be_kept_is_not_reported_as_written(void **state)
{
    static const struct {
        int error;
        fb_code code;
    } CASES[] = {{EIO, FB_E_IO}, {ENOSPC, FB_E_DISK_FULL}, {EDQUOT, FB_E_DISK_FULL}};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fb_error err = {.code = FB_OK};
        watch(CASES[i].error);
        assert_int_equal(file_create(path, text_of("one"), false, &err), CASES[i].code);
        assert_string_equal(err.field, path);
        assert_int_equal(access(path, F_OK), -1);
        watch(0);
        assert_int_equal(file_create(path, text_of("one"), false, NULL), FB_OK);
        watch(CASES[i].error);
        assert_int_equal(file_replace(path, text_of("two"), false, NULL), CASES[i].code);
        holds("one");
        assert_int_equal(unlink(path), 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(file__is_on_disk_before_it_has_its_name),
        CASE(file__that_cannot_be_kept_is_not_reported_as_written),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
