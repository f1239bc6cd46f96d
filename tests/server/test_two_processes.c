/* test_two_processes.c - real processes on one replica: two that save, one that is killed, one that
 * synchronises while another wants to. The app and its background worker are such a pair.
 *
 * Children report each saved group over a pipe; what was reported must be there afterwards, in the
 * database and, when that is deleted, in its second copy. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fieldbook/fieldbook.h"
#include "support/lab.h"

enum { EACH = 12, CHILDREN = 2, ROUNDS = 10, AT_ONCE = 60 };

static void wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* In the child: `count` groups, or without end for 0; a byte for each. */
static void save_and_report(const char *path, unsigned from, unsigned count, int pipe_end)
{
    lab l;
    fb_error err = {.code = FB_OK};
    l = (lab){.wall_ms = LAB_WALL_MS, .random = from};
    snprintf(l.path, sizeof l.path, "%s", path);
    lab_port(&l);
    if (lab_open(&l, &err) != FB_OK) {
        _exit(2);
    }
    lab_find_columns(&l);
    for (unsigned i = 0; count == 0 || i < count; i++) {
        lab_save(&l, from + i, "from a child", 1);
        if (write(pipe_end, "s", 1) != 1) {
            _exit(3);
        }
    }
    lab_close(&l);
}

static pid_t child_start(const char *path, unsigned from, unsigned count, int ends[2])
{
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        save_and_report(path, from, count, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    return pid;
}

static void lose_database(const lab *l)
{
    char name[160];
    (void)unlink(l->path);
    snprintf(name, sizeof name, "%s-wal", l->path);
    (void)unlink(name);
    snprintf(name, sizeof name, "%s-shm", l->path);
    (void)unlink(name);
}

static int64_t groups_pending(lab *l)
{
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    return box.last - box.acked;
}

static void two_that_save__do_not_lose_each_others_groups(void **state)
{
    lab l;
    pid_t pids[CHILDREN];
    int ends[CHILDREN][2];
    (void)state;
    lab_start(&l, lab_path("two_savers"), 1);
    lab_save(&l, 1, "before", 1);
    lab_close(&l);
    for (unsigned i = 0; i < CHILDREN; i++) {
        pids[i] = child_start(l.path, 1000 * (i + 1), EACH, ends[i]);
    }
    for (int i = 0; i < CHILDREN; i++) {
        wait_for(pids[i]);
        close(ends[i][0]);
    }
    lab_reopen(&l);
    lab_check(&l);
    assert_int_equal(groups_pending(&l), 1 + CHILDREN * EACH);
    lab_close(&l);
    lose_database(&l);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 1 + CHILDREN * EACH);
    for (unsigned i = 0; i < CHILDREN * EACH; i++) {
        assert_true(lab_has(&l, 1000 * (i / EACH + 1) + i % EACH));
    }
    lab_stop(&l);
}

static void one_that_is_killed__loses_nothing_it_reported(void **state)
{
    lab l;
    char byte;
    (void)state;
    for (int until = 1; until < 14; until += 4) {
        int ends[2];
        int64_t reported = 0;
        lab_start(&l, lab_path("killed"), 1);
        lab_close(&l);
        pid_t pid = child_start(l.path, 1000, 0, ends);
        while (reported < until && read(ends[0], &byte, 1) == 1) {
            reported++;
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (read(ends[0], &byte, 1) == 1) {
            reported++;
        }
        close(ends[0]);
        lose_database(&l);
        lab_reopen(&l);
        assert_true(groups_pending(&l) >= reported && groups_pending(&l) <= reported + 1);
        lab_stop(&l);
    }
}

/* In the child: AT_ONCE groups for each byte that comes, a byte back after the last. */
static void save_when_told(const char *path, int told, int pipe_end)
{
    lab l = {.wall_ms = LAB_WALL_MS, .random = 1};
    fb_error err = {.code = FB_OK};
    char byte;
    snprintf(l.path, sizeof l.path, "%s", path);
    lab_port(&l);
    if (lab_open(&l, &err) != FB_OK) {
        _exit(2);
    }
    lab_find_columns(&l);
    for (unsigned i = 0; read(told, &byte, 1) == 1; i++) {
        for (unsigned k = 0; k < AT_ONCE; k++) {
            lab_save(&l, 1000 + AT_ONCE * i + k, "from a child", 1);
        }
        if (write(pipe_end, "s", 1) != 1) {
            _exit(3);
        }
    }
    _exit(0); /* killed, as far as the file can tell */
}

/* A worker that opens the file while the app saves must not take the app's group, of which it sees
 * only the half, for one that was never committed, nor the file for one that lacks it. */
static void one_that_opens__does_not_disturb_one_that_saves(void **state)
{
    lab l;
    int told[2], ends[2];
    char byte, name[160];
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, lab_path("opener"), 1);
    lab_close(&l);
    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(told[1]);
        save_when_told(l.path, told[0], ends[1]);
    }
    for (int i = 0; i < ROUNDS; i++) {
        struct pollfd done = {.fd = ends[0], .events = POLLIN};
        assert_int_equal(write(told[1], "g", 1), 1);
        do {
            assert_int_equal(lab_open(&l, &err), FB_OK);
            lab_close(&l);
        } while (poll(&done, 1, 0) == 0);
        assert_int_equal(read(ends[0], &byte, 1), 1);
    }
    close(told[1]);
    wait_for(pid);
    snprintf(name, sizeof name, "%s-damaged1", l.path);
    assert_int_not_equal(access(name, F_OK), 0);
    lose_database(&l);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), ROUNDS * AT_ONCE);
    close(told[0]);
    close(ends[0]);
    close(ends[1]);
    lab_stop(&l);
}

/* --- synchronising ------------------------------------------------------------------- */

static fb_code nobody_there(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    (void)ctx;
    (void)q;
    (void)out;
    return FB_E_OFFLINE;
}

static void child_synchronises(const char *path, const fb_port *port, int pipe_end)
{
    fb_db *db = NULL;
    fb_sync *sync = NULL;
    fb_sync_action action;
    fb_link_request request;
    uint32_t wait_ms = 0;
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = port;
    if (fb_db_open(path, &o, &db, NULL) != FB_OK || fb_sync_open(db, NULL, &sync, NULL) != FB_OK ||
        fb_sync_next(sync, &action, &request, &wait_ms, NULL) != FB_OK || action != FB_SYNC_SEND ||
        write(pipe_end, "s", 1) != 1) {
        _exit(2);
    }
    for (;;) {
        pause();
    }
}

static void one_that_synchronises__keeps_others_waiting_until_it_ends(void **state)
{
    lab l;
    int ends[2];
    char byte;
    fb_db *db = NULL;
    fb_sync *sync = NULL;
    fb_sync_report r;
    fb_error err = {.code = FB_OK};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    fb_link link = {NULL, nobody_there};
    (void)state;
    lab_start(&l, lab_path("two_syncs"), 1);
    lab_close(&l);
    o.port = &l.port;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child_synchronises(l.path, &l.port, ends[1]);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(fb_db_open(l.path, &o, &db, &err), FB_OK);
    assert_int_equal(fb_sync_open(db, NULL, &sync, &err), FB_OK);
    assert_int_equal(fb_sync_step(sync, &link, 0, &r, &err), FB_E_BUSY);
    assert_true(r.crowded);
    assert_int_equal(fb_task_add(db, "saving goes on", NULL, NULL, &err), FB_E_FORBIDDEN);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(fb_sync_step(sync, &link, 0, &r, &err), FB_E_OFFLINE); /* its turn now */
    assert_false(r.crowded);
    fb_sync_close(sync);
    fb_db_close(db);
    close(ends[0]);
    close(ends[1]);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_save__do_not_lose_each_others_groups),
        cmocka_unit_test(one_that_is_killed__loses_nothing_it_reported),
        cmocka_unit_test(one_that_opens__does_not_disturb_one_that_saves),
        cmocka_unit_test(one_that_synchronises__keeps_others_waiting_until_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
