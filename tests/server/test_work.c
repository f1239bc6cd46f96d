/* test_work.c - the queues behind the listener when more comes than can be done: what waits is
 * bounded, who is sent away has a time of his own, and nobody's batch is without end.
 *
 * Method: a pretended server whose writer stands still until it is let go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/posix/port.h"
#include "platform/posix/work.h"

#include <cmocka.h>

enum { SENT_AWAY = 2000, LARGE_BYTES = 300 << 10, LARGE_ITEMS = 12 };

/* The pretended server. `lock` guards all. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool held;     /* the writer waits */
    bool arrived;  /* and has arrived there */
    uint32_t most; /* jobs in one batch */
    uint32_t prepared, written;
} pretend = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static fb_code reader_open(server *s, server_reader **out, fb_error *err)
{
    (void)s;
    (void)err;
    *out = (server_reader *)(void *)&pretend;
    return FB_OK;
}

static void reader_close(server_reader *r)
{
    (void)r;
}

static server_job *prepare(server *s, server_reader *r, const server_request *q, job_next *next)
{
    (void)s;
    (void)r;
    (void)q;
    pthread_mutex_lock(&pretend.lock);
    pretend.prepared++;
    pthread_mutex_unlock(&pretend.lock);
    *next = JOB_WRITE;
    return (server_job *)(void *)&pretend;
}

static void write_all(server *s, server_job **jobs, uint32_t count)
{
    (void)s;
    (void)jobs;
    pthread_mutex_lock(&pretend.lock);
    pretend.arrived = true;
    pthread_cond_broadcast(&pretend.moved);
    while (pretend.held) {
        pthread_cond_wait(&pretend.moved, &pretend.lock);
    }
    pretend.most = count > pretend.most ? count : pretend.most;
    pretend.written += count;
    pthread_cond_broadcast(&pretend.moved);
    pthread_mutex_unlock(&pretend.lock);
}

static void read_one(server *s, server_reader *r, server_job *job)
{
    (void)s;
    (void)r;
    (void)job;
}

static job_next next_of(const server_job *job)
{
    (void)job;
    return JOB_DONE;
}

static uint64_t wait_until_ms(const server_job *job)
{
    (void)job;
    return 0;
}

static void job_free(server_job *job)
{
    (void)job;
}

static int64_t head(server *s)
{
    (void)s;
    return 0;
}

static void tick(server *s, uint64_t mono_ms)
{
    (void)s;
    (void)mono_ms;
}

static void notify(void *ctx)
{
    (void)ctx;
}

static const server_ops OPS = {.reader_open = reader_open,
                               .reader_close = reader_close,
                               .prepare = prepare,
                               .write = write_all,
                               .read = read_one,
                               .job_next = next_of,
                               .job_wait_until_ms = wait_until_ms,
                               .job_free = job_free,
                               .head = head,
                               .tick = tick};

static void item_submit(work *w, size_t body_bytes)
{
    work_item *item = work_item_new();
    assert_non_null(item);
    buf_init(&item->body, body_bytes + 1);
    assert_true(body_bytes == 0 || buf_reserve(&item->body, body_bytes) != NULL);
    item->body.size = body_bytes;
    item->request.body = buf_text(&item->body);
    work_submit(w, item);
}

static void writer_hold(bool held)
{
    pthread_mutex_lock(&pretend.lock);
    pretend.held = held;
    pretend.arrived = false;
    pthread_cond_broadcast(&pretend.moved);
    pthread_mutex_unlock(&pretend.lock);
}

/* The first item is with the writer, so that all others wait. */
static void writer_busy(work *w)
{
    writer_hold(true);
    item_submit(w, 0);
    pthread_mutex_lock(&pretend.lock);
    while (!pretend.arrived) {
        pthread_cond_wait(&pretend.moved, &pretend.lock);
    }
    pthread_mutex_unlock(&pretend.lock);
}

static void all_taken(work *w, uint32_t count)
{
    pthread_mutex_lock(&pretend.lock);
    while (pretend.written < count) {
        pthread_cond_wait(&pretend.moved, &pretend.lock);
    }
    pthread_mutex_unlock(&pretend.lock);
    for (uint32_t got = 0; got < count;) {
        for (work_item *item = work_take_done(w), *next = NULL; item != NULL; item = next) {
            next = item->next;
            work_item_free(w, item);
            got++;
        }
    }
}

static int setup(void **state)
{
    work *w = NULL;
    fb_error err = {0};
    pretend.most = pretend.written = pretend.prepared = 0;
    const work_options o = {
        .ops = &OPS, .port = fb_port_posix(), .readers_count = 1, .notify = notify};
    assert_int_equal(work_open(&o, &w, &err), FB_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    work_close(*state);
    return 0;
}

static void queue_is_bounded_and_everybody_has_a_time_of_his_own(void **state)
{
    work *w = *state;
    uint32_t last = 0, queue_max = 0, sent_away = 0;
    writer_busy(w);
    for (int i = 0; i < WORK_QUEUE_MAX; i++) {
        assert_int_equal(work_admit(w), 0);
        item_submit(w, 0);
    }
    for (int i = 0; i < SENT_AWAY; i++) {
        uint32_t retry_ms = work_admit(w);
        assert_in_range(retry_ms, WORK_QUEUE_MAX / WORK_RATE_MIN * 1000, WORK_SLOT_MS_MAX + 1);
        /* One after the other, at the rate that is sure: never two at once, never a crowd. */
        assert_true(retry_ms + 1000 > last);
        last = retry_ms;
    }
    assert_true(last >= (uint32_t)((WORK_QUEUE_MAX + SENT_AWAY) / WORK_RATE_MIN - 2) * 1000);
    work_counts_take(w, &queue_max, &sent_away);
    assert_int_equal(queue_max, WORK_QUEUE_MAX);
    assert_int_equal(sent_away, SENT_AWAY);
    writer_hold(false);
    all_taken(w, WORK_QUEUE_MAX + 1);
    assert_int_equal(work_admit(w), 0); /* there is room again, at once */
    assert_true(pretend.most <= WORK_BATCH_MAX);
}

static void batch_ends_after_so_many_bytes(void **state)
{
    work *w = *state;
    writer_busy(w);
    for (int i = 0; i < LARGE_ITEMS; i++) {
        item_submit(w, LARGE_BYTES);
    }
    /* Large bodies are prepared by a reader: wait until all of them are in the writer's queue. */
    for (uint32_t waiting = 0, ready = 0, ignored = 0;
         waiting < LARGE_ITEMS || ready <= LARGE_ITEMS;) {
        pthread_mutex_lock(&pretend.lock);
        ready = pretend.prepared;
        pthread_mutex_unlock(&pretend.lock);
        (void)work_admit(w);
        work_counts_take(w, &waiting, &ignored);
    }
    writer_hold(false);
    all_taken(w, LARGE_ITEMS + 1);
    assert_in_range(pretend.most, 1, WORK_BATCH_BYTES / LARGE_BYTES + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queue_is_bounded_and_everybody_has_a_time_of_his_own, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(batch_ends_after_so_many_bytes, setup, teardown),
    };
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
