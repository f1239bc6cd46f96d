/* storm.h - many light devices: made in a company's database, asking and answering by message.
 * crowd.c; STORM is storm.c, RESTART is restart.c. */
#ifndef FB_BENCH_STORM_H
#define FB_BENCH_STORM_H

#include "fieldbook/sync.h"
#include "perf/bench.h"
#include "wire/sync_msg.h"

/* A device of one person, with groups that it has not sent. */
typedef struct crowd_device {
    sync_request next; /* of the request to come; its token points into `token` */
    uint8_t secret[32];
    fb_id user;
    char token[256];
    uint32_t number, groups;
} crowd_device;

typedef struct crowd crowd;

/* `count` people with a device each, enrolled and synchronised once, in a company that is not
 * running. Each has `groups` groups to send: one activity each, the same bytes at every call. */
crowd *crowd_make(const char *home, uint32_t count, uint32_t groups);
void crowd_free(crowd *c);
const crowd_device *crowd_device_of(const crowd *c, uint32_t number);

/* The HTTP request with all groups that have no verdict yet. */
void crowd_ask(const crowd_device *d, buf *out);
/* What an answer means: go on asking, come back later, or through. Dies of what must not be. */
typedef enum crowd_state { CROWD_AGAIN, CROWD_SENT_AWAY, CROWD_THROUGH } crowd_state;
crowd_state crowd_take(crowd_device *d, const fb_link_response *r, uint32_t *retry_ms_out);
/* Activities in the company's database, all or with different contents. */
int64_t crowd_rows(const char *home, bool distinct);

/* Whole scenarios, run only when asked for by name. */
void storm_run_all(const bench *b);
void restart_run(const bench *b);

#endif
