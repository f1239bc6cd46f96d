/* work.h - the threads behind the listener: one writer, some readers, and their queues.
 *
 *                 prepare (body large)       .-- parked <--- WAIT ---.
 *   loop --.----------------------------> readers ------ DONE ------ | --.
 *          |   prepare on the loop           ^  |                    |   |
 *          |   (body small)                  |  '--------------------'   v
 *          '---- WRITE ---> writer -- READ --'                         loop
 *                              '--------- DONE, small READ --------------^
 *
 * One more thread calls `build` while there is something to build, and every WORK_TICK_MS else.
 *
 *   WRK-1  the writer takes everything that is queued, up to WORK_BATCH_MAX, into one server_write:
 *          one synced transaction for all devices that came meanwhile (group commit)
 *   WRK-2  a job that waits sees every commit: it is parked only if the head is still the one its
 *          last read began with, under the lock that the writer takes to wake the parked
 *   WRK-3  waking is bounded: with many parked jobs and a stream of commits, the next wake-up comes
 *          no sooner than parked / WORK_WAKES_PER_MS milliseconds after the last
 *   WRK-5  what waits is bounded: beyond WORK_QUEUE_MAX nobody is let in, and each who is sent away
 * is given a time of its own to come back, as fast as the server has been answering lately WRK-4
 * every submitted item comes back through work_take_done, unless work_cancel freed it */
#ifndef FB_POSIX_WORK_H
#define FB_POSIX_WORK_H

#include "base/bytes.h"
#include "sync-server/server.h"

enum {
    WORK_BATCH_MAX = 128,
    WORK_READERS_MAX = 16,
    WORK_WAKES_PER_MS = 5,
    /* A lone writer reads for its own few jobs, which spares each a change of thread. */
    WORK_OWN_READS_MAX = 4,
    /* A request this small is prepared where it arrived. */
    WORK_SMALL_BYTES = 8192,
    WORK_TICK_MS = 1000,
    WORK_QUEUE_MAX = 512,
    /* Also where nothing was measured yet, or hardly anything was asked. */
    WORK_RATE_MIN = 50,
    WORK_SLOT_MS_MAX = 15 * 60000,
    /* A batch is bounded in bytes too: a phone of three months' work does not hold up the others.
     */
    WORK_BATCH_BYTES = 1 << 20,
    WORK_PEER_BYTES = 48,
};

/* The server as the listener sees it: server.h's functions, or a test's. */
typedef struct server_ops {
    fb_code (*reader_open)(server *s, server_reader **out, fb_error *err);
    void (*reader_close)(server_reader *r);
    server_job *(*prepare)(server *s, server_reader *r, const server_request *q,
                           job_next *next_out);
    void (*write)(server *s, server_job **jobs, uint32_t count);
    void (*read)(server *s, server_reader *r, server_job *job);
    job_next (*job_next)(const server_job *job);
    uint64_t (*job_wait_until_ms)(const server_job *job);
    const server_reply *(*job_reply)(const server_job *job);
    void (*job_free)(server_job *job);
    int64_t (*head)(server *s);
    void (*tick)(server *s, uint64_t mono_ms);
    bool (*build)(server *s, uint64_t mono_ms); /* NULL: nothing is done in the background */
} server_ops;

typedef struct work_item {
    struct work_item *next, *prev; /* in one queue at a time */
    void *owner;                   /* the loop's; NULL when nobody wants the reply any more */
    server_job *job;               /* NULL until prepared, and when memory failed */
    server_request request;        /* refers to head, body, peer */
    buf head, body;                /* owned; freed when prepared */
    char peer[WORK_PEER_BYTES];
    size_t body_bytes; /* as it came, packed */
    int64_t head_seen; /* server head when the last read began */
    bool is_parked;    /* under the lock */
} work_item;

typedef struct work_options {
    server *server;
    const server_ops *ops; /* outlives the work */
    const fb_port *port;
    uint32_t readers_count;
    void (*notify)(void *ctx); /* any thread: there is something for work_take_done */
    void *ctx;
} work_options;

typedef struct work work;

FB_MUST_USE fb_code work_open(const work_options *o, work **out, fb_error *err);
/* Joins the threads; everything submitted must have come back. NULL is fine. */
void work_close(work *w);

/* NULL when out of memory. */
work_item *work_item_new(void);
void work_item_free(work *w, work_item *item);

/* The functions below belong to the loop's thread. */
void work_submit(work *w, work_item *item);
/* Before submitting: 0 when there is room, else when to come back, in ms (WRK-5). */
uint32_t work_admit(work *w);
/* Since the last call: most that waited at once, and how many were sent away. */
void work_counts_take(work *w, uint32_t *queue_max_out, uint32_t *sent_away_out);
/* Finished items as a list by `next`, first come first; NULL when none. */
work_item *work_take_done(work *w);
/* Nobody wants the reply: freed now if parked, else it comes back with owner NULL. */
void work_cancel(work *w, work_item *item);
/* Read again what has waited long enough. */
void work_expire(work *w, uint64_t now_ms);
/* From now on waiting jobs come back as they are, still JOB_WAIT. */
void work_stop_waiting(work *w);
/* Items that are inside: queued, in work or parked, or done and not taken. */
uint32_t work_inside_count(work *w);

#endif
