/* test_config.c - fieldbookd's configuration file: what is written can be read, what is wrong is
 * named with line and cure (CFG-1). Also the log's promises LOG-1, LOG-2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/posix/config.h"
#include "platform/posix/file.h"
#include "platform/posix/port.h"

#include <cmocka.h>

static char folder[64] = "";
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fb-config-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fieldbookd.conf", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static fb_code read_text(const char *text, server_config *out, fb_error *err)
{
    assert_int_equal(file_replace(path, text_of(text), false, NULL), FB_OK);
    return config_get(path, out, err);
}

static void config__what_is_written_is_read_back(void **state)
{
    server_config given, read;
    buf text;
    char expected[160];
    (void)state;
    config_init(&given);
    given.port = 0;
    given.limits.idle_ms = 1234;
    snprintf(given.log_level, sizeof given.log_level, "debug");
    buf_init(&text, CONFIG_FILE_BYTES_MAX);
    config_put(&text, &given);
    assert_int_equal(read_text(buf_cstr(&text), &read, NULL), FB_OK);
    assert_int_equal(read.port, 0);
    assert_int_equal(read.readers, 2);
    assert_int_equal(read.limits.idle_ms, 1234);
    assert_int_equal(read.limits.head_ms, LISTEN_LIMITS_DEFAULT.head_ms);
    assert_string_equal(read.log_level, "debug");
    assert_string_equal(read.log_file, "");
    snprintf(expected, sizeof expected, "%s/master.db", folder);
    assert_string_equal(read.database, expected); /* below the file's folder */
    buf_clear(&text);
}

/* A default of the table that is above a ceiling of the listener would refuse every start. */
static void config__defaults_are_the_listener_s(void **state)
{
    server_config config;
    (void)state;
    config_init(&config);
    assert_memory_equal(&config.limits, &LISTEN_LIMITS_DEFAULT, sizeof config.limits);
}

static void config__mistakes_are_named_with_line_and_cure(void **state)
{
    static const struct {
        const char *text, *field, *message;
    } CASES[] = {
        {"port = 1\nprot = 2\n", NULL, "line 2: there is no such key"},
        {"# x\n\nport\n", NULL, "line 3: write `key = value`"},
        {"port = 65536\n", "port", "line 1: must be a whole number from 0 to 65535"},
        {"port = -1\n", "port", "line 1: "},
        {"port = 8 443\n", "port", "line 1: "},
        {"port =\n", "port", "line 1: "},
        {"port = 99999999999999999999\n", "port", "line 1: "},
        {"readers = 0\n", "readers", "from 1 to 16"},
        {"idle_ms = 30001\n", "idle_ms", "from 1 to 30000"},
        {"log_level = loud\n", "log_level", "error, warn, info or debug"},
        {"port = 1\nport = 2\n", "port", "line 2: the key was given before"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        server_config config = {.port = 7};
        fb_error err = {0};
        assert_int_equal(read_text(CASES[i].text, &config, &err), FB_E_CONFIG);
        assert_string_equal(err.field, CASES[i].field != NULL ? CASES[i].field : path);
        assert_non_null(strstr(err.message, CASES[i].message));
        assert_int_equal(config.port, 7); /* untouched */
    }
}

/* Found by fuzzing: the value ended at the NUL byte and the rest was forgotten. */
static void config__a_nul_byte_is_no_text(void **state)
{
    static const char TEXT[] = "port = 1\naddress = ::1\0x\n";
    server_config config = {.port = 7};
    fb_error err = {0};
    (void)state;
    assert_int_equal(file_replace(path, (fb_text){TEXT, sizeof TEXT - 1}, false, NULL), FB_OK);
    assert_int_equal(config_get(path, &config, &err), FB_E_CONFIG);
    assert_non_null(strstr(err.message, "line 2: there is a NUL byte"));
    assert_int_equal(config.port, 7);
}

static void config__blanks_comments_and_absolute_paths_are_fine(void **state)
{
    server_config config;
    (void)state;
    assert_int_equal(read_text("  # a\r\n\tport\t=  12 \r\ndatabase = /srv/x y.db", &config, NULL),
                     FB_OK);
    assert_int_equal(config.port, 12);
    assert_string_equal(config.database, "/srv/x y.db");
}

static void config__a_missing_file_is_named(void **state)
{
    server_config config;
    fb_error err = {0};
    (void)state;
    assert_int_equal(config_get("/nonexistent/f.conf", &config, &err), FB_E_NOT_FOUND);
    assert_string_equal(err.field, "/nonexistent/f.conf");
}

static void log__a_line_stays_one_line_and_knows_its_level(void **state)
{
    int ends[2];
    char got[4096];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    posix_log log = {.fd = ends[1], .level = FB_LOG_INFO};
    fb_port port = fb_port_posix_to(&log);
    log_line(&port, FB_LOG_DEBUG, "dropped");
    log_line(&port, FB_LOG_INFO, "ready text=\"a\nb\x1b[0m\"");
    ssize_t size = read(ends[0], got, sizeof got - 1);
    assert_true(size > 0);
    got[size] = '\0';
    assert_non_null(strstr(got, " level=info event=ready text=\"a?b?[0m\"\n"));
    assert_true(strncmp(got, "time=20", 7) == 0 && strchr(got, '\n') == got + size - 1);

    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    port.log(port.ctx, FB_LOG_ERROR, longer);
    size = read(ends[0], got, sizeof got - 1);
    assert_true(size > LOG_LINE_BYTES_MAX && size < LOG_LINE_BYTES_MAX + 128);
    assert_int_equal(got[size - 1], '\n');
    close(ends[0]);
    close(ends[1]);
}

static void file__creates_once_and_privately(void **state)
{
    fb_error err = {0};
    buf text;
    char secret[160];
    (void)state;
    snprintf(secret, sizeof secret, "%s/secret", folder);
    assert_int_equal(file_create(secret, text_of("one"), true, &err), FB_OK);
    assert_int_equal(file_create(secret, text_of("two"), true, &err), FB_E_EXISTS);
    assert_int_equal(file_require_private(secret, &err), FB_OK);
    buf_init(&text, 2);
    assert_int_equal(file_get(secret, &text, &err), FB_E_LIMIT);
    buf_clear(&text);
    buf_init(&text, 4096);
    assert_int_equal(file_get(secret, &text, &err), FB_OK);
    assert_string_equal(buf_cstr(&text), "one");
    buf_clear(&text);
    unlink(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config__what_is_written_is_read_back),
        cmocka_unit_test(config__defaults_are_the_listener_s),
        cmocka_unit_test(config__mistakes_are_named_with_line_and_cure),
        cmocka_unit_test(config__a_nul_byte_is_no_text),
        cmocka_unit_test(config__blanks_comments_and_absolute_paths_are_fine),
        cmocka_unit_test(config__a_missing_file_is_named),
        cmocka_unit_test(log__a_line_stays_one_line_and_knows_its_level),
        cmocka_unit_test(file__creates_once_and_privately),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
