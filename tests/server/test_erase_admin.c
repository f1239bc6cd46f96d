/* test_erase_admin.c - a person's data goes, with the programs themselves: fieldbook-admin erases,
 * a phone forgets, an older backup that is put back is erased again. */
#include <setjmp.h>
#include <signal.h>
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

/* Exit code of a shell line run inside the folder; $B, $A, $F are the programs. */
static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
    char line[2000], text[1400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(line, sizeof line,
             "cd %s && B=" FB_BINARY_DIR " && A=\"$B/fieldbook-admin --home co --lang en\" && "
             "F=\"$B/fieldbook --lang en --db\" && { %s; } >out 2>&1",
             folder, text);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void must(const char *text)
{
    if (shell("%s", text) != 0) {
        shell("cat out >&2");
        fail_msg("failed: %s", text);
    }
}

/* The port goes into the file `port`; the daemon's own stays free. */
static pid_t server_start(void)
{
    char config[100], ready[100];
    snprintf(config, sizeof config, "%s/co/fieldbookd.conf", folder);
    snprintf(ready, sizeof ready, "%s/ready", folder);
    (void)unlink(ready);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(FB_BINARY_DIR "/fieldbookd", "fieldbookd", "--config", config, "--ready-file", ready,
              (char *)NULL);
        _exit(127);
    }
    must("for i in $(seq 600); do test -s ready && break; sleep 0.05; done; test -s ready");
    return pid;
}

static void server_stop(pid_t pid, int signal_number)
{
    int status = 0;
    assert_int_equal(kill(pid, signal_number), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void company_make(void)
{
    must("mkdir co && $A init --company Acme --host 127.0.0.1 --port 18443 --listen 127.0.0.1 && "
         "sed -i 's/^port = .*/port = 0/' co/fieldbookd.conf");
    must("printf 'code,name,kind\\nR1,East,region\\n' >o.csv && $A import org_unit o.csv");
    must("$A add territory code=T1 name=T1 org_unit_id=R1 && "
         "$A add app_user code=U1 name=U1 org_unit_id=R1 status=active");
    must("$A add user_role user_id=U1 role_id=REP && "
         "$A add user_territory user_id=U1 territory_id=T1");
    must("$A add customer code=C1 name=C1 party_type=customer status=active territory_id=T1 "
         "phone=13800000000");
    must("$A add contact customer_id=C1 name=Zqwertz mobile=13900000000 hobby=Zqwertz");
}

#define URL "--server https://127.0.0.1:$(cat ready)"

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fb_erase_XXXXXX");
    assert_non_null(mkdtemp(folder));
    company_make();
    return 0;
}

static int teardown(void **state)
{
    char line[100];
    (void)state;
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line);
}

#define NOWHERE "! grep -rlE '13[89]00000000|Zqwertz' "

static void erase__goes_through_the_programs(void **state)
{
    (void)state;
    must("$A backup shelf/ >/dev/null && grep -qrE 13800000000 co");
    pid_t pid = server_start();
    must("$A code make U1 | sed -n 's/.*U1: \\([0-9A-Z-]*\\) (.*/\\1/p' >code && "
         "$F u.db enrol " URL " --ca co/ca.pem --code $(cat code) && $F u.db sync && "
         "grep -q Zqwertz u.db*");
    must("head -c 30000 /dev/urandom >a.jpg && head -c 900 /dev/urandom >b.jpg && "
         "$F u.db visit in C1 && $F u.db attachment add a.jpg --thumb b.jpg --kind storefront && "
         "$F u.db sync && test $(find co/master.db.blobs -type f | wc -l) = 2");
    must("$A erase customer C1 --reason R7 --dry-run | grep -q '3 records' && "
         "grep -qrE 13800000000 co");
    must("$A --json erase customer C1 --reason R7 | "
         "grep -q '{\"rows\":3,\"kept\":0,\"held\":0,\"files\":2,\"listed\":2,\"written\":true}'");
    must(NOWHERE "co && test -z \"$(find co/master.db.blobs -type f)\"");
    must("$F u.db sync && " NOWHERE "u.db*");
    must("$F u.db sync && test -z \"$(find u.db.blobs -type f)\"");
    must("$A query 'SELECT count(*) AS n FROM visit' | grep -q 1"); /* the work stays */
    must("$A check && $A audit --limit 5 | grep -q 'privacy.erase'");
    must("$A erase customer C1 --reason R7 | grep -q 'erased already'");
    server_stop(pid, SIGTERM);
}

static void erase__survives_an_older_backup(void **state)
{
    (void)state;
    must("$A backup shelf/ >/dev/null && $A backup whole.db >/dev/null && "
         "$A erase customer C1 --reason R7 >/dev/null");
    must("$A restore shelf/ --replace && " NOWHERE "co");
    must("$A list contact | grep -q '\\*'");
    must("rm co/master.db.erased && $A restore shelf/ --replace && "
         "grep -qrE 13800000000 co"); /* nothing beside it, nothing in the folder: nobody knows */
    must("$A erase customer C1 --reason R7 >/dev/null && $A backup shelf/ >/dev/null && "
         "rm -r co/master.db*");
    must("$A restore shelf/ --number 1 && " NOWHERE "co"); /* the folder knows */
    must("$A restore whole.db --replace && " NOWHERE "co/master.db*");
}

static void erase__says_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(shell("$A erase customer C1"), 2);
    assert_int_equal(shell("$A erase customer --reason R7"), 2);
    assert_int_equal(shell("$A erase customer C9 --reason R7"), 1);
    must("$A erase customer C9 --reason R7 2>&1 | grep -q 'business key or id'");
    must("$A erase app_user U1 --reason R7 2>&1 | grep -q 'an employee is disabled'");
    must("$B/fieldbook-admin --lang zh erase --help | grep -q '个人信息'");
    /* A reason typed in a terminal that is not UTF-8 would reach every device, and none could read
     * it. */
    assert_int_equal(shell("$A erase customer K1 --reason \"$(printf 'GBK \\320\\324')\""), 2);
    must("! grep -rq GBK co");
    must("grep -qrE 13800000000 co");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(erase__goes_through_the_programs, setup, teardown),
        cmocka_unit_test_setup_teardown(erase__survives_an_older_backup, setup, teardown),
        cmocka_unit_test_setup_teardown(erase__says_what_is_wrong, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
