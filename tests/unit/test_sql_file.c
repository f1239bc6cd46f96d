/* test_sql_file.c - files beside a database through SQLite's own file layer: what is written is
 * there, whatever its size.
 * Method: real files, since the file layer of the tests is not the one that phones have. */
#include "support/wire_fixture.h"

#include <unistd.h>

#include "sql/sql_file.h"

/* A group of more than 128 KiB that does not shrink could not be saved: SQLite's layer takes no
 * more in one call, and what it says of the rest is that the disk is full. */
static void sql_file__takes_any_size_at_any_place(void **state)
{
    static const size_t SIZES[] = {2,      4096,   65536,  65537,   131071,
                                   131072, 131073, 262144, 1000203, 3 << 20};
    static const uint64_t OFFSETS[] = {0, 1, 13935, 131072};
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "fb-sql-file-%ld", (long)getpid());
    char *out = malloc(3 << 20), *back = malloc(3 << 20);
    assert_true(out != NULL && back != NULL);
    for (size_t i = 0; i < 3 << 20; i++) {
        out[i] = (char)(i * 2654435761u >> 13);
    }
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        for (size_t o = 0; o < sizeof OFFSETS / sizeof OFFSETS[0]; o++) {
            sql_file *f = NULL;
            uint64_t end = 0;
            size_t got = 0;
            assert_int_equal(sql_file_open(NULL, path, true, &f), FB_OK);
            fb_code rc = sql_file_write(f, OFFSETS[o], out, SIZES[i]);
            if (rc != FB_OK) {
                fail_msg("%zu bytes at %llu: %s", SIZES[i], (unsigned long long)OFFSETS[o],
                         fb_code_name(rc));
            }
            assert_int_equal(sql_file_size(f, &end), FB_OK);
            assert_int_equal(end, OFFSETS[o] + SIZES[i]);
            assert_int_equal(sql_file_read(f, OFFSETS[o], back, SIZES[i], &got), FB_OK);
            assert_int_equal(got, SIZES[i]);
            assert_memory_equal(back, out, SIZES[i]);
            sql_file_close(f);
            assert_int_equal(sql_file_delete(NULL, path), FB_OK);
        }
    }
    free(out);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sql_file__takes_any_size_at_any_place),
    };
    return cmocka_run_group_tests_name("sql_file", tests, NULL, NULL);
}
