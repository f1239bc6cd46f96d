/* test_poison.c - a server that is killed: groups that do it are counted before they are tried,
 * held after three crashes, and nobody else's work is counted with them; and what was sent when
 * somebody else did it is taken exactly once, wherever it stood.
 *
 * Method: the server runs in a process of its own that is killed by SIGKILL at the station where
 * the poisonous group is seen, so that what survives is what was synced. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/raw_work.h"
#include "sync-server/intake/attempt.h"
#include "sync-server/intake/intake.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 2: the same territory */
    char deadly[40]; /* a log line that begins so kills the process */
    char alarm[200]; /* last log line about a poisonous group */
} bench;

static void deadly_log(void *ctx, fb_level level, const char *line)
{
    bench *b = ctx; /* its first member is what the port's clock takes */
    (void)level;
    if (b->deadly[0] != '\0' && strstr(line, b->deadly) != NULL) {
        (void)kill(getpid(), SIGKILL);
    }
    if (strncmp(line, "group.poison", strlen("group.poison")) == 0) {
        snprintf(b->alarm, sizeof b->alarm, "%s", line);
    }
}

static int setup(void **state)
{
    static bench b;
    raw_reply r;
    memset(&b, 0, sizeof b);
    raw_world_open(&b.w);
    b.w.port.log = deadly_log;
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_exchange(&b.a, &r);
    raw_reply_clear(&r);
    raw_exchange(&b.b, &r);
    raw_reply_clear(&r);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_world_close(&b->w);
    return 0;
}

static attempt tried(bench *b, const raw_device *d)
{
    attempt a;
    assert_int_equal(attempt_get(b->w.admin, &d->id, &a), FB_OK);
    return a;
}

/* Every device sends what it has, and the writer takes all of it at once. Nobody hears the answer.
 */
static void everybody_sends(bench *b, raw_device *const *devices, uint32_t count)
{
    server_job *jobs[4];
    job_next next;
    for (uint32_t i = 0; i < count; i++) {
        sync_request q = raw_request(devices[i]);
        jobs[i] = raw_prepare(devices[i], &q, &next);
        assert_int_equal(next, JOB_WRITE);
    }
    server_write(b->w.srv, jobs, count);
    for (uint32_t i = 0; i < count; i++) {
        server_job_free(jobs[i]);
    }
}

/* One device sends and reads its answer. */
static void one_syncs(bench *b, raw_device *const *devices, uint32_t count)
{
    raw_reply r;
    (void)b;
    (void)count;
    raw_sync(devices[0], &r);
    raw_reply_clear(&r);
}

typedef void (*life_work)(bench *b, raw_device *const *devices, uint32_t count);

/* One life of the server, in which they send four times. True: it was killed. */
static bool life_is_killed(bench *b, life_work work, raw_device *const *devices, uint32_t count)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        raw_server_start(&b->w, true);
        for (int i = 0; i < 4; i++) {
            b->w.now_ms += 1000;
            work(b, devices, count);
        }
        raw_server_stop(&b->w);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static verdict_msg answer(raw_device *d, int64_t gseq, raw_reply *r)
{
    raw_exchange(d, r);
    assert_int_equal(r->status, 200);
    return raw_verdict(r, gseq);
}

/* Seen with a proxy that cut every reply after a crash: the phone's next order was held as poison
 * although the server had never tried it. */
static void repeats_of_an_applied_request_are_no_attempts(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_server_restart(&b->w, true);
    for (int i = 0; i < ATTEMPTS_MAX + 2; i++) {
        raw_sync(&b->a, &r); /* the reply is lost */
        assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
        raw_reply_clear(&r);
        assert_false(tried(b, &b->a).found);
    }
    raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order);
    assert_int_equal(answer(&b->a, 2, &r).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void refused_requests_are_no_attempts(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_server_restart(&b->w, true);
    for (int i = 0; i < ATTEMPTS_MAX + 2; i++) {
        sync_request q = raw_request(&b->a);
        q.chain_before.b[0] ^= 1;
        raw_sync_with(&b->a, &q, &r);
        assert_int_equal(r.error, FB_E_FORK);
        raw_reply_clear(&r);
        assert_false(tried(b, &b->a).found);
    }
    assert_int_equal(answer(&b->a, 1, &r).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

/* Killed while deciding and killed between effect and commit. */
static void group_that_kills_the_server_is_held_and_told(const char *deadly, bench *b)
{
    raw_reply r;
    fb_id order;
    raw_device *all[] = {&b->b, &b->a};
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_push_order(&b->b, "SO-A2-1", &RAW_GOOD, 0, &order);
    raw_push_order(&b->b, "SO-A2-2", &RAW_GOOD, 0, &order);
    raw_push_order(&b->b, "SO-A2-3", &RAW_GOOD, 0, &order);
    snprintf(b->deadly, sizeof b->deadly, "%s", deadly);
    raw_server_stop(&b->w);
    int lives = 0;
    while (life_is_killed(b, everybody_sends, all, 2)) {
        assert_true(++lives < 12);
        attempt a = tried(b, &b->b);
        assert_true(lives == 1 || a.found); /* durable before it is tried */
    }
    assert_in_range(lives, ATTEMPTS_MAX, 2 * ATTEMPTS_MAX);
    raw_server_start(&b->w, false);
    raw_exchange(&b->b, &r);
    raw_reply_clear(&r);
    for (int64_t g = 1; g <= 3; g++) {
        sync_request q = raw_request(&b->b);
        q.acked = q.settled = 0;
        q.first = 1;
        q.groups_count = 3;
        q.chain_before = b->b.chain[0];
        raw_sync_with(&b->b, &q, &r);
        verdict_msg m = raw_verdict(&r, g);
        assert_int_equal(m.code, g == 2 ? VERDICT_HELD : VERDICT_APPLIED);
        assert_int_equal(m.error, g == 2 ? FB_E_POISON : FB_OK);
        raw_reply_clear(&r);
    }
    assert_int_equal(answer(&b->a, 1, &r).code, VERDICT_APPLIED); /* the neighbour in the batch */
    raw_reply_clear(&r);
}

static void group_that_kills_while_it_is_decided_is_held(void **state)
{
    group_that_kills_the_server_is_held_and_told("intake gseq=2", *state);
}

static void group_that_kills_before_its_commit_is_held(void **state)
{
    group_that_kills_the_server_is_held_and_told("ledger gseq=2", *state);
}

/* N2: before, inside and behind the transaction, and between commit and reply. */
static void server_killed_at_any_station_takes_a_group_once(void **state)
{
    static const struct {
        const char *station;
        bool committed;
    } STATIONS[] = {{"door ", false},
                    {"intake ", false},
                    {"decide ", false},
                    {"ledger ", false},
                    {"feed ", true}};
    bench *b = *state;
    raw_device *only[] = {&b->a};
    for (size_t i = 0; i < sizeof STATIONS / sizeof STATIONS[0]; i++) {
        raw_reply first, second;
        fb_id order;
        char no[16];
        snprintf(no, sizeof no, "SO-A1-%d", (int)i + 1);
        int64_t gseq = raw_push_order(&b->a, no, &RAW_GOOD, 0, &order);
        int64_t head = server_head(b->w.srv);
        raw_server_stop(&b->w);
        snprintf(b->deadly, sizeof b->deadly, "%s", STATIONS[i].station);
        assert_true(life_is_killed(b, one_syncs, only, 1));
        raw_server_start(&b->w, false);
        assert_int_equal(server_head(b->w.srv) > head, STATIONS[i].committed);
        raw_sync(&b->a, &first);
        raw_sync(&b->a, &second);
        assert_int_equal(raw_verdict(&first, gseq).code, VERDICT_APPLIED);
        assert_true(text_equal(first.verdicts, second.verdicts)); /* byte for byte */
        assert_int_equal(server_head(b->w.srv), head + 1);        /* once */
        raw_reply_clear(&first);
        raw_reply_clear(&second);
        raw_exchange(&b->a, &first);
        raw_reply_clear(&first);
    }
}

static void poison_is_told_with_device_and_number(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    char expected[80];
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_server_restart(&b->w, true);
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(attempt_put(b->w.admin, &b->a.id, 1, ATTEMPTS_MAX), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    raw_server_restart(&b->w, true);
    assert_int_equal(answer(&b->a, 1, &r).error, FB_E_POISON);
    raw_reply_clear(&r);
    snprintf(expected, sizeof expected, "group.poison device=%s gseq=1", b->a.code);
    assert_memory_equal(b->alarm, expected, strlen(expected));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(repeats_of_an_applied_request_are_no_attempts),
        CASE(refused_requests_are_no_attempts),
        CASE(group_that_kills_while_it_is_decided_is_held),
        CASE(group_that_kills_before_its_commit_is_held),
        CASE(server_killed_at_any_station_takes_a_group_once),
        CASE(poison_is_told_with_device_and_number),
    };
    return cmocka_run_group_tests_name("poison", tests, NULL, NULL);
}
