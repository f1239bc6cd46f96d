/* work.c - see work.h. */
#include "platform/posix/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

typedef struct item_list {
    work_item *first, *last;
    uint32_t count;
} item_list;

typedef struct work_thread {
    work *work;
    server_reader *reader;
    pthread_t thread;
    bool started;
} work_thread;

struct work {
    work_options o;
    server_reader *loop_reader;
    work_thread writer;
    work_thread readers[WORK_READERS_MAX];
    pthread_t builder;
    bool builder_started;

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t write_due, read_due, build_due;
    item_list to_write, to_read, parked, done;
    uint32_t inside;
    bool stopping, no_waiting;
    bool wake_due;        /* the head moved, but WRK-3 said later */
    uint64_t woken_at_ms; /* last time the parked were woken */
    uint32_t done_count;  /* since rate_at_ms */
    uint32_t per_second;  /* how many were answered, of late */
    uint64_t rate_at_ms;
    uint64_t slot_us; /* the last time to come back that was given away */
    uint32_t queue_max, sent_away;
};

/* ---------------------------------------------------------------- lists */

static void list_put(item_list *list, work_item *item)
{
    item->next = NULL;
    item->prev = list->last;
    if (list->last != NULL) {
        list->last->next = item;
    } else {
        list->first = item;
    }
    list->last = item;
    list->count++;
}

static void list_remove(item_list *list, work_item *item)
{
    if (item->prev != NULL) {
        item->prev->next = item->next;
    } else {
        list->first = item->next;
    }
    if (item->next != NULL) {
        item->next->prev = item->prev;
    } else {
        list->last = item->prev;
    }
    item->next = NULL;
    item->prev = NULL;
    list->count--;
}

static work_item *list_take(item_list *list)
{
    work_item *item = list->first;
    if (item != NULL) {
        list_remove(list, item);
    }
    return item;
}

/* ---------------------------------------------------------------- moving items, under the lock */

static uint64_t now_ms(const work *w)
{
    return w->o.port->mono_ms(w->o.port->ctx);
}

static void put_done(work *w, work_item *item)
{
    bool was_empty = w->done.first == NULL;
    w->done_count++;
    list_put(&w->done, item);
    if (was_empty) {
        w->o.notify(w->o.ctx);
    }
}

static void put_read(work *w, work_item *item)
{
    list_put(&w->to_read, item);
    pthread_cond_signal(&w->read_due);
}

/* WRK-2 */
static void park(work *w, work_item *item)
{
    if (w->no_waiting) {
        put_done(w, item);
        return;
    }
    if (w->o.ops->head(w->o.server) != item->head_seen) {
        put_read(w, item);
        return;
    }
    item->is_parked = true;
    list_put(&w->parked, item);
}

static void move_on(work *w, work_item *item, job_next next)
{
    switch (next) {
    case JOB_WRITE:
        list_put(&w->to_write, item);
        pthread_cond_signal(&w->write_due);
        break;
    case JOB_READ:
        put_read(w, item);
        break;
    case JOB_WAIT:
        park(w, item);
        break;
    case JOB_DONE:
        put_done(w, item);
        break;
    }
}

static void unpark(work *w, work_item *item)
{
    list_remove(&w->parked, item);
    item->is_parked = false;
    list_put(&w->to_read, item);
}

static bool wake_parked(work *w)
{
    uint64_t now = now_ms(w);
    uint64_t gap_ms = w->parked.count / WORK_WAKES_PER_MS; /* WRK-3 */
    if (w->parked.first == NULL) {
        w->wake_due = false;
        return true;
    }
    if (now - w->woken_at_ms < gap_ms) {
        w->wake_due = true;
        return false;
    }
    while (w->parked.first != NULL) {
        unpark(w, w->parked.first);
    }
    w->woken_at_ms = now;
    w->wake_due = false;
    pthread_cond_broadcast(&w->read_due);
    return true;
}

/* ---------------------------------------------------------------- steps, without the lock */

static job_next prepare(work *w, server_reader *reader, work_item *item)
{
    job_next next = JOB_DONE;
    item->head_seen = -1;
    item->job = w->o.ops->prepare(w->o.server, reader, &item->request, &next);
    buf_clear(&item->head);
    buf_clear(&item->body);
    memset(&item->request, 0, sizeof item->request);
    return item->job != NULL ? next : JOB_DONE;
}

static job_next read_page(work *w, server_reader *reader, work_item *item)
{
    item->head_seen = w->o.ops->head(w->o.server); /* before the read: WRK-2 */
    w->o.ops->read(w->o.server, reader, item->job);
    return w->o.ops->job_next(item->job);
}

static void *run_reader(void *ctx)
{
    work_thread *t = ctx;
    work *w = t->work;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        work_item *item = list_take(&w->to_read);
        if (item == NULL && w->stopping) {
            break;
        }
        if (item == NULL) {
            pthread_cond_wait(&w->read_due, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        job_next next =
            item->job == NULL ? prepare(w, t->reader, item) : read_page(w, t->reader, item);
        pthread_mutex_lock(&w->lock);
        move_on(w, item, next);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---------------------------------------------------------------- the writer */

static uint32_t take_batch(work *w, work_item **items, server_job **jobs)
{
    uint32_t count = 0;
    size_t bytes = 0;
    while (count < WORK_BATCH_MAX && bytes < WORK_BATCH_BYTES && w->to_write.first != NULL) {
        items[count] = list_take(&w->to_write);
        bytes += items[count]->body_bytes;
        jobs[count] = items[count]->job;
        count++;
    }
    return count;
}

static void write_batch(work_thread *t, work_item **items, server_job **jobs, uint32_t count)
{
    work *w = t->work;
    int64_t head_before = w->o.ops->head(w->o.server);
    w->o.ops->write(w->o.server, jobs, count);
    bool moved = w->o.ops->head(w->o.server) != head_before;

    pthread_mutex_lock(&w->lock);
    if (moved) {
        (void)wake_parked(w); /* later, if it is too soon */
    }
    bool read_here = count <= WORK_OWN_READS_MAX && w->to_write.first == NULL;
    pthread_mutex_unlock(&w->lock);

    for (uint32_t i = 0; i < count; i++) {
        job_next next = w->o.ops->job_next(jobs[i]);
        if (next == JOB_READ && read_here) {
            next = read_page(w, t->reader, items[i]);
        }
        pthread_mutex_lock(&w->lock);
        move_on(w, items[i], next);
        pthread_mutex_unlock(&w->lock);
    }
}

/* Only a second in which something waited says how fast the server is. */
static void rate_measure(work *w)
{
    uint64_t now = now_ms(w), elapsed = now - w->rate_at_ms;
    if (elapsed > 0 && (w->to_write.count > 0 || w->to_read.count > 0)) {
        uint64_t lately = (uint64_t)w->done_count * 1000 / elapsed;
        uint64_t rate = (w->per_second + lately) / 2;
        w->per_second = rate > WORK_RATE_MIN ? (uint32_t)rate : WORK_RATE_MIN;
    }
    w->done_count = 0;
    w->rate_at_ms = now;
}

static void tick(work_thread *t)
{
    work *w = t->work;
    int64_t head_before = w->o.ops->head(w->o.server);
    pthread_mutex_lock(&w->lock);
    rate_measure(w);
    pthread_mutex_unlock(&w->lock);
    w->o.ops->tick(w->o.server, now_ms(w));
    if (w->o.ops->head(w->o.server) != head_before) {
        pthread_mutex_lock(&w->lock);
        (void)wake_parked(w);
        pthread_mutex_unlock(&w->lock);
    }
}

static void wait_for(work *w, pthread_cond_t *due, uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(due, &w->lock, &until);
}

static void *run_writer(void *ctx)
{
    work_thread *t = ctx;
    work *w = t->work;
    work_item *items[WORK_BATCH_MAX];
    server_job *jobs[WORK_BATCH_MAX];
    uint64_t tick_at_ms = now_ms(w);
    pthread_mutex_lock(&w->lock);
    while (!w->stopping || w->to_write.first != NULL) {
        uint32_t count = take_batch(w, items, jobs);
        bool wake_later = w->wake_due && !wake_parked(w);
        uint64_t now = now_ms(w);
        if (count == 0 && now < tick_at_ms) {
            wait_for(w, &w->write_due, wake_later ? 1 : tick_at_ms - now);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        if (count > 0) {
            write_batch(t, items, jobs, count);
        }
        if (now >= tick_at_ms) {
            tick(t);
            tick_at_ms = now_ms(w) + WORK_TICK_MS;
        }
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---------------------------------------------------------------- the background */

static void *run_builder(void *ctx)
{
    work *w = ctx;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping) {
        pthread_mutex_unlock(&w->lock);
        bool more = w->o.ops->build(w->o.server, now_ms(w));
        pthread_mutex_lock(&w->lock);
        if (!more && !w->stopping) {
            wait_for(w, &w->build_due, WORK_TICK_MS);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static fb_code start_builder(work *w, fb_error *err)
{
    if (w->o.ops->build == NULL) {
        return FB_OK;
    }
    if (pthread_create(&w->builder, NULL, run_builder, w) != 0) {
        return fail(err, FB_E_NO_MEMORY, "readers", "a thread cannot be started: lower readers");
    }
    w->builder_started = true;
    return FB_OK;
}

/* ---------------------------------------------------------------- life */

static fb_code start_thread(work *w, work_thread *t, void *(*run)(void *), fb_error *err)
{
    t->work = w;
    FB_TRY(w->o.ops->reader_open(w->o.server, &t->reader, err));
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        return fail(err, FB_E_NO_MEMORY, "readers", "a thread cannot be started: lower readers");
    }
    t->started = true;
    return FB_OK;
}

static void join_thread(work *w, work_thread *t)
{
    if (t->started) {
        pthread_join(t->thread, NULL);
    }
    if (t->reader != NULL) {
        w->o.ops->reader_close(t->reader);
    }
}

static void init_waiting(work *w)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->write_due, &monotonic);
    pthread_cond_init(&w->build_due, &monotonic);
    pthread_cond_init(&w->read_due, NULL);
    pthread_condattr_destroy(&monotonic);
}

fb_code work_open(const work_options *o, work **out, fb_error *err)
{
    FB_REQUIRE(o != NULL && o->ops != NULL && o->port != NULL && o->notify != NULL && out != NULL);
    FB_REQUIRE(o->readers_count >= 1 && o->readers_count <= WORK_READERS_MAX);
    work *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory");
    }
    w->o = *o;
    w->per_second = WORK_RATE_MIN;
    w->rate_at_ms = now_ms(w);
    init_waiting(w);
    fb_code rc = o->ops->reader_open(o->server, &w->loop_reader, err);
    if (rc == FB_OK) {
        rc = start_thread(w, &w->writer, run_writer, err);
    }
    for (uint32_t i = 0; rc == FB_OK && i < o->readers_count; i++) {
        rc = start_thread(w, &w->readers[i], run_reader, err);
    }
    if (rc == FB_OK) {
        rc = start_builder(w, err);
    }
    if (rc != FB_OK) {
        work_close(w);
        return rc;
    }
    *out = w;
    return FB_OK;
}

void work_close(work *w)
{
    if (w == NULL) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->write_due);
    pthread_cond_broadcast(&w->read_due);
    pthread_cond_broadcast(&w->build_due);
    pthread_mutex_unlock(&w->lock);
    if (w->builder_started) {
        pthread_join(w->builder, NULL);
    }
    join_thread(w, &w->writer);
    for (uint32_t i = 0; i < WORK_READERS_MAX; i++) {
        join_thread(w, &w->readers[i]);
    }
    FB_ASSERT(w->inside == 0); /* WRK-4 */
    if (w->loop_reader != NULL) {
        w->o.ops->reader_close(w->loop_reader);
    }
    pthread_cond_destroy(&w->write_due);
    pthread_cond_destroy(&w->read_due);
    pthread_cond_destroy(&w->build_due);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

work_item *work_item_new(void)
{
    work_item *item = calloc(1, sizeof *item);
    if (item != NULL) {
        buf_init(&item->head, 0);
        buf_init(&item->body, 0);
    }
    return item;
}

void work_item_free(work *w, work_item *item)
{
    if (item == NULL) {
        return;
    }
    if (item->job != NULL) {
        w->o.ops->job_free(item->job);
    }
    buf_clear(&item->head);
    buf_clear(&item->body);
    free(item);
}

/* ---------------------------------------------------------------- the loop's side */

uint32_t work_admit(work *w)
{
    uint64_t retry_ms = 0;
    pthread_mutex_lock(&w->lock);
    uint32_t waiting = w->to_write.count + w->to_read.count;
    w->queue_max = waiting > w->queue_max ? waiting : w->queue_max;
    if (waiting >= WORK_QUEUE_MAX) {
        uint64_t now_us = now_ms(w) * 1000, gap_us = 1000000 / w->per_second;
        uint64_t soonest = now_us + waiting * gap_us,
                 latest = now_us + WORK_SLOT_MS_MAX * UINT64_C(1000);
        w->slot_us = w->slot_us + gap_us > soonest ? w->slot_us + gap_us : soonest;
        w->slot_us = w->slot_us < latest ? w->slot_us : latest;
        retry_ms = (w->slot_us - now_us) / 1000 + 1;
        w->sent_away++;
    }
    pthread_mutex_unlock(&w->lock);
    return (uint32_t)retry_ms;
}

void work_counts_take(work *w, uint32_t *queue_max_out, uint32_t *sent_away_out)
{
    pthread_mutex_lock(&w->lock);
    *queue_max_out = w->queue_max;
    *sent_away_out = w->sent_away;
    w->queue_max = w->sent_away = 0;
    pthread_mutex_unlock(&w->lock);
}

void work_submit(work *w, work_item *item)
{
    item->body_bytes = item->request.body.size;
    bool small = item->request.body.size <= WORK_SMALL_BYTES;
    job_next next = small ? prepare(w, w->loop_reader, item) : JOB_READ;
    pthread_mutex_lock(&w->lock);
    w->inside++;
    move_on(w, item, next);
    pthread_mutex_unlock(&w->lock);
}

work_item *work_take_done(work *w)
{
    pthread_mutex_lock(&w->lock);
    work_item *first = w->done.first;
    FB_ASSERT(w->inside >= w->done.count);
    w->inside -= w->done.count;
    memset(&w->done, 0, sizeof w->done);
    pthread_mutex_unlock(&w->lock);
    return first;
}

void work_cancel(work *w, work_item *item)
{
    pthread_mutex_lock(&w->lock);
    item->owner = NULL;
    bool was_parked = item->is_parked;
    if (was_parked) {
        list_remove(&w->parked, item);
        w->inside--;
    }
    pthread_mutex_unlock(&w->lock);
    if (was_parked) {
        work_item_free(w, item);
    }
}

void work_expire(work *w, uint64_t now)
{
    bool any = false;
    pthread_mutex_lock(&w->lock);
    for (work_item *item = w->parked.first, *next = NULL; item != NULL; item = next) {
        next = item->next;
        if (w->o.ops->job_wait_until_ms(item->job) <= now) {
            unpark(w, item);
            any = true;
        }
    }
    if (any) {
        pthread_cond_broadcast(&w->read_due);
    }
    pthread_mutex_unlock(&w->lock);
}

void work_stop_waiting(work *w)
{
    pthread_mutex_lock(&w->lock);
    w->no_waiting = true;
    while (w->parked.first != NULL) {
        work_item *item = w->parked.first;
        list_remove(&w->parked, item);
        item->is_parked = false;
        put_done(w, item);
    }
    pthread_mutex_unlock(&w->lock);
}

uint32_t work_inside_count(work *w)
{
    pthread_mutex_lock(&w->lock);
    uint32_t count = w->inside;
    pthread_mutex_unlock(&w->lock);
    return count;
}
