/* test_fieldbookd.c - the program itself: starts on what fieldbook-admin init made, says when it is
 * ready, refuses what is wrong with a cure, stops cleanly. Method: the built programs, as
 * processes. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/posix/file.h"
#include "support/server_rig.h"

enum { ARGS_MAX = 16, START_MS = 20000 };

static char folder[64], home[96], config[160], ready[160], output[160];

static pid_t spawn(const char *program, const char *const *args)
{
    char path[512];
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t)program};
    snprintf(path, sizeof path, "%s/%s", FB_BINARY_DIR, program);
    for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++) {
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execv(path, argv);
        _exit(127);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const char *program, const char *const *args)
{
    return wait_for(spawn(program, args));
}

static bool output_has(const char *text)
{
    buf got;
    buf_init(&got, 1 << 20);
    assert_int_equal(file_get(output, &got, NULL), FB_OK);
    bool has = strstr(buf_cstr(&got), text) != NULL;
    if (!has) {
        print_error("\"%s\" is not in: %s\n", text, buf_cstr(&got));
    }
    buf_clear(&got);
    return has;
}

static uint16_t start_daemon(pid_t *pid_out)
{
    const char *args[ARGS_MAX] = {"--config", config, "--ready-file", ready, NULL};
    buf port;
    unlink(ready);
    *pid_out = spawn("fieldbookd", args);
    uint64_t until_ms = rig_now_ms() + START_MS;
    while (access(ready, F_OK) != 0) {
        assert_true(rig_now_ms() < until_ms && waitpid(*pid_out, NULL, WNOHANG) == 0);
        rig_sleep_ms(10);
    }
    buf_init(&port, 64);
    assert_int_equal(file_get(ready, &port, NULL), FB_OK);
    long number = strtol(buf_cstr(&port), NULL, 10);
    buf_clear(&port);
    assert_true(number > 0 && number < 65536);
    return (uint16_t)number;
}

/* Port 0 cannot be asked of init: the file is changed as an administrator would. */
static void set_port_to_any(void)
{
    buf text, changed;
    buf_init(&text, 1 << 16);
    buf_init(&changed, 1 << 16);
    assert_int_equal(file_get(config, &text, NULL), FB_OK);
    const char *at = strstr(buf_cstr(&text), "\nport = 18443\n");
    assert_non_null(at);
    buf_printf(&changed, "%.*s\nport = 0\n%s", (int)(at - text.data), text.data,
               at + strlen("\nport = 18443\n"));
    assert_int_equal(file_replace(config, buf_text(&changed), false, NULL), FB_OK);
    buf_clear(&text);
    buf_clear(&changed);
}

static int make_company(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fb-daemon-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(home, sizeof home, "%s/home", folder);
    snprintf(config, sizeof config, "%s/fieldbookd.conf", home);
    snprintf(ready, sizeof ready, "%s/ready", folder);
    snprintf(output, sizeof output, "%s/output", folder);
    const char *args[ARGS_MAX] = {"--home",    home,     "--lang",
                                  "en",        "init",   "--company",
                                  "Test Ltd.", "--host", "127.0.0.1,localhost",
                                  "--port",    "18443",  "--listen",
                                  "127.0.0.1", NULL};
    int exit_code = run("fieldbook-admin", args);
    if (exit_code != 0) {
        (void)output_has("(its output)");
    }
    assert_int_equal(exit_code, 0);
    set_port_to_any();
    return 0;
}

static int drop_company(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static fb_code ask_health(uint16_t port, int *status_out)
{
    char url[64], ca[160];
    fb_link *link = NULL;
    fb_link_request q = {
        .method = "GET", .path = "/v1/health", .timeout_ms = 10000, .response_bytes_max = 4096};
    fb_link_response a = {0};
    snprintf(url, sizeof url, "https://127.0.0.1:%u", (unsigned)port);
    snprintf(ca, sizeof ca, "%s/ca.pem", home);
    assert_int_equal(fb_link_curl_new(url, ca, &link, NULL), FB_OK);
    fb_code rc = link->exchange(link->ctx, &q, &a);
    *status_out = a.status;
    fb_link_curl_free(link);
    return rc;
}

static void fieldbookd__serves_reloads_and_stops_cleanly(void **state)
{
    pid_t pid = 0;
    int status = 0;
    (void)state;
    uint16_t port = start_daemon(&pid);
    assert_int_equal(ask_health(port, &status), FB_OK);
    assert_int_equal(status, 200);
    assert_int_equal(kill(pid, SIGHUP), 0);
    rig_sleep_ms(200);
    assert_int_equal(ask_health(port, &status), FB_OK);
    assert_int_equal(status, 200);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_for(pid), 0);
    assert_true(output_has("level=info event=ready address=127.0.0.1 port="));
    assert_true(output_has("event=certificate_reloaded"));
    assert_true(output_has("event=stopped"));
    assert_int_equal(ask_health(port, &status), FB_E_OFFLINE);
}

static void fieldbookd__check_says_what_is_usable(void **state)
{
    const char *args[ARGS_MAX] = {"--config", config, "--check", NULL};
    (void)state;
    assert_int_equal(run("fieldbookd", args), 0);
    assert_true(output_has("usable"));
}

/* Where a restore was cut between two names it is not "no such database". */
static void fieldbookd__says_that_a_restore_was_cut(void **state)
{
    const char *args[ARGS_MAX] = {"--config", config, "--check", NULL};
    char database[160], restoring[200];
    (void)state;
    snprintf(database, sizeof database, "%s/master.db", home);
    snprintf(restoring, sizeof restoring, "%s.restoring", database);
    assert_int_equal(rename(database, restoring), 0);
    assert_int_equal(run("fieldbookd", args), 1);
    assert_true(output_has("restore into it was cut short"));
    assert_int_equal(rename(restoring, database), 0);
    assert_int_equal(run("fieldbookd", args), 0);
    assert_false(output_has("cut short"));
}

static void fieldbookd__refuses_a_key_that_others_may_read(void **state)
{
    const char *args[ARGS_MAX] = {"--config", config, NULL};
    char key[160];
    (void)state;
    snprintf(key, sizeof key, "%s/server.key", home);
    assert_int_equal(chmod(key, 0644), 0);
    assert_int_equal(run("fieldbookd", args), 1);
    assert_true(output_has("chmod 600"));
    assert_int_equal(chmod(key, 0600), 0);
}

static void fieldbookd__names_wrong_arguments_and_lines(void **state)
{
    char wrong[160];
    const char *none[ARGS_MAX] = {NULL};
    const char *unknown[ARGS_MAX] = {"--confg", "x", NULL};
    const char *bad_file[ARGS_MAX] = {"--config", wrong, NULL};
    (void)state;
    assert_int_equal(run("fieldbookd", none), 2);
    assert_true(output_has("--config FILE is missing"));
    assert_int_equal(run("fieldbookd", unknown), 2);
    snprintf(wrong, sizeof wrong, "%s/wrong.conf", folder);
    assert_int_equal(file_replace(wrong, text_of("port = 1\nprot = 2\n"), false, NULL), FB_OK);
    assert_int_equal(run("fieldbookd", bad_file), 1);
    assert_true(output_has("line 2: there is no such key"));
}

/* No bit for group or others on anything that holds personal data or keys. */
static void assert_private(const char *name)
{
    char path[256];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", home, name);
    if (stat(path, &s) != 0 || (s.st_mode & 077) != 0) {
        print_error("%s is missing or may be read by others\n", path);
        assert_true(false);
    }
}

static void data_is_private_whatever_the_umask(void **state)
{
    pid_t pid = 0;
    char copy[160];
    const char *backup[ARGS_MAX] = {"--home", home, "backup", copy, NULL};
    (void)state;
    mode_t before = umask(0);
    snprintf(copy, sizeof copy, "%s/copy.db", home);
    (void)start_daemon(&pid);
    assert_private("master.db");
    assert_private("master.db-wal");
    assert_private("master.db-shm");
    int exit_code = run("fieldbook-admin", backup);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_for(pid), 0);
    umask(before);
    assert_int_equal(exit_code, 0);
    assert_private("copy.db");
    unlink(copy);
}

static void certificate__renews_with_the_same_names(void **state)
{
    pid_t pid = 0;
    int status = 0;
    const char *show[ARGS_MAX] = {"--home", home, "--lang", "en", "certificate", "show", NULL};
    const char *renew[ARGS_MAX] = {"--home", home,     "--lang", "en", "certificate",
                                   "renew",  "--days", "30",     NULL};
    const char *other[ARGS_MAX] = {"--home",      home,    "--lang", "en",
                                   "certificate", "renew", "--host", "127.0.0.1,sync.example.com",
                                   NULL};
    const char *too_long[ARGS_MAX] = {"--home", home,  "certificate", "renew",
                                      "--days", "399", NULL};
    (void)state;
    assert_int_equal(run("fieldbook-admin", show), 0);
    assert_true(output_has("names: 127.0.0.1,localhost"));
    uint16_t port = start_daemon(&pid);
    char was[160]; /* the daemon's output is gone with the next run: only its answers count */
    snprintf(was, sizeof was, "%s", output);
    snprintf(output, sizeof output, "%s/output-admin", folder);
    assert_int_equal(run("fieldbook-admin", renew), 0);
    assert_true(output_has("names: 127.0.0.1,localhost"));
    assert_true(output_has("(29 days left)"));
    assert_true(output_has("SIGHUP"));
    assert_private("server.key");
    assert_int_equal(kill(pid, SIGHUP), 0);
    rig_sleep_ms(200);
    assert_int_equal(ask_health(port, &status), FB_OK); /* the authority is the same */
    assert_int_equal(run("fieldbook-admin", other), 0);
    assert_true(output_has("names: 127.0.0.1,sync.example.com"));
    assert_int_equal(run("fieldbook-admin", too_long), 2);
    snprintf(output, sizeof output, "%s", was);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_for(pid), 0);
    assert_true(output_has("event=certificate_reloaded"));
}

static void admin__says_what_is_missing(void **state)
{
    const char *nowhere[ARGS_MAX] = {"--home", "/nowhere", "--lang", "en", "list", "role", NULL};
    const char *bare[ARGS_MAX] = {"--home", folder, "--lang", "en", "init", "--company", NULL};
    const char *eaten[ARGS_MAX] = {"--home",    folder,   "--lang", "en", "init",
                                   "--company", "--code", "X",      NULL};
    const char *unknown[ARGS_MAX] = {"--home", home, "--lang", "en", "list", "role", "--lim", NULL};
    (void)state;
    assert_int_equal(run("fieldbook-admin", nowhere), 1);
    assert_true(output_has("there is no company in /nowhere: run init"));
    assert_int_equal(run("fieldbook-admin", bare), 2);
    assert_true(output_has("the option --company needs a value"));
    assert_int_equal(run("fieldbook-admin", eaten), 2);
    assert_true(output_has("the option --company needs a value"));
    assert_int_equal(run("fieldbook-admin", unknown), 2);
    assert_true(output_has("--lim is not known"));
}

static void query__shows_bytes_as_hex(void **state)
{
    const char *args[ARGS_MAX] = {"--home", home, "query", "SELECT x'00ff41' AS a, 'b' AS b", NULL};
    const char *json[ARGS_MAX] = {"--home", home, "--json", "query", "SELECT x'00ff41' AS a", NULL};
    (void)state;
    assert_int_equal(run("fieldbook-admin", args), 0);
    assert_true(output_has("00ff41\tb\n"));
    assert_int_equal(run("fieldbook-admin", json), 0);
    assert_true(output_has("{\"a\":\"00ff41\"}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fieldbookd__serves_reloads_and_stops_cleanly),
        cmocka_unit_test(fieldbookd__check_says_what_is_usable),
        cmocka_unit_test(fieldbookd__says_that_a_restore_was_cut),
        cmocka_unit_test(fieldbookd__refuses_a_key_that_others_may_read),
        cmocka_unit_test(fieldbookd__names_wrong_arguments_and_lines),
        cmocka_unit_test(data_is_private_whatever_the_umask),
        cmocka_unit_test(certificate__renews_with_the_same_names),
        cmocka_unit_test(admin__says_what_is_missing),
        cmocka_unit_test(query__shows_bytes_as_hex),
    };
    return cmocka_run_group_tests(tests, make_company, drop_company);
}
