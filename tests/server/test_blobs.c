/* test_blobs.c - photos with the programs themselves: fieldbook adds and sends one, the server is
 * killed, fieldbook-admin checks, repairs, backs up and puts back. */
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
    must("$A add customer code=C1 name=C1 party_type=customer status=active territory_id=T1");
}

#define URL "--server https://127.0.0.1:$(cat ready)"

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fb_blobs_XXXXXX");
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

static void photo__survives_the_programs(void **state)
{
    (void)state;
    pid_t pid = server_start();
    must("$A code make U1 | sed -n 's/.*U1: \\([0-9A-Z-]*\\) (.*/\\1/p' >code && "
         "$F u.db enrol " URL " --ca co/ca.pem --code $(cat code) && $F u.db sync");
    must("head -c 300000 /dev/urandom >a.jpg && head -c 5000 /dev/urandom >b.jpg && "
         "$F u.db visit in C1 && $F u.db attachment add a.jpg --thumb b.jpg --kind shelf");
    must("$F u.db sync --no-files && $A --json blobs check | grep -q '\"waiting\":\"2\"'");
    must("$F u.db sync --metered thumbs && $A --json blobs check | grep -q '\"waiting\":\"1\"'");
    server_stop(pid, SIGKILL);
    pid = server_start();
    must("$F u.db sync " URL " && $A --json blobs check | grep -q "
         "'\"files\":\"2\".*\"missing\":\"0\",\"damaged\":\"0\",\"waiting\":\"0\"'");
    must("$F u.db --json attachment list | grep -o '\"id\":\"[^\"]*' | cut -c7- >id && "
         "$F u.db attachment save $(cat id) c.jpg && cmp a.jpg c.jpg && "
         "$F u.db attachment save $(cat id) d.jpg --thumbnail && cmp b.jpg d.jpg");
    must("$F u.db attachment free --keep-mib 0 | grep -q 'freed_bytes: 0'"); /* no backup yet */
    server_stop(pid, SIGTERM);
}

static void photo__is_in_backups(void **state)
{
    (void)state;
    must("$A backup b.db && $A backup verify b.db && $A backup d/ && $A backup drill d");
    must("H=$(ls co/master.db.blobs/[0-9a-f][0-9a-f]/*/* | head -1) && "
         "printf '\\0\\0\\0\\0' | dd of=$H bs=1 seek=9 conv=notrunc");
    assert_int_equal(shell("$A blobs check"), 1);
    must("$A blobs check --repair && $A --json blobs check | grep -q '\"waiting\":\"1\"'");
    must("$A restore b.db --replace && $A blobs check");
    must("mkdir x && $A restore d --to x/master.db && $B/fieldbook-admin --home x blobs check");
    must("H=$(ls b.db.blobs/*/*/* | head -1) && printf '\\0\\0\\0\\0' | dd of=$H bs=1 seek=9 "
         "conv=notrunc");
    assert_int_equal(shell("$A backup verify b.db"), 1);
    must("$A backup verify d && H=$(ls d/blobs/*/*/* | tail -1) && cp $H whole && "
         "printf '\\0\\0\\0\\0' | dd of=$H bs=1 seek=9 conv=notrunc");
    assert_int_equal(shell("$A backup verify d"), 1);
    must("$A backup verify d 2>&1 | grep -q 'is damaged'");
    must("cp whole $(ls d/blobs/*/*/* | tail -1) && $A backup verify d");
    must("rm -r d/blobs");
    assert_int_equal(shell("$A backup drill d"), 1);
    assert_int_equal(shell("$A blobs"), 2);
    assert_int_equal(shell("$A blobs list --repair"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(photo__survives_the_programs),
        cmocka_unit_test(photo__is_in_backups),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
