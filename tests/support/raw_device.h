/* raw_device.h - a company served by server_handle, and devices that speak the wire without a
 * replica.
 *
 * For tests of the server alone: a group is written with group_writer, pushed, its verdicts and the
 * page's rows are read back. Failures of the machinery abort the test. */
#ifndef FB_TESTS_RAW_DEVICE_H
#define FB_TESTS_RAW_DEVICE_H

#include "base/id.h"
#include "support/company.h"
#include "sync-server/server.h"
#include "wire/enrol_msg.h"
#include "wire/sync_msg.h"

typedef struct raw_device raw_device;
typedef struct raw_world {
    char folder[64], path[96];
    fb_port port;
    int64_t now_ms;
    uint64_t random;
    store *admin;
    company company;
    server *srv;
    server_reader *reader;
    fb_text catalog; /* the server's release, borrowed; empty: the built-in one. Kept over open */
    fb_id root, territories[2], users[3], manager, customers[2], product, tax,
        list; /* user 2 shares territory 0 */
    /* Before the server gets a request, or NULL: raw_trial. */
    void (*trial)(raw_device *d, const sync_request *q);
} raw_world;

void raw_world_open(raw_world *w);
void raw_world_close(raw_world *w);
/* Close and open the server on the same file; crash: as if the process had died. */
void raw_server_restart(raw_world *w, bool crash);
/* The two halves, for tests whose server lives in another process. trace: stations go to the log.
 */
void raw_server_stop(raw_world *w);
void raw_server_start(raw_world *w, bool trace);
/* Writer connection of the administrator: begin ... commit around it. */
fb_text raw_code_make(raw_world *w, const fb_id *user, char room[32]);

enum { RAW_GROUPS_MAX = 64, RAW_VERDICTS_MAX = 64 };
struct raw_device {
    raw_world *w;
    fb_id id, user, incarnation, epoch;
    digest token;
    char code[16], page_token[256];
    id_maker ids;
    uint32_t catalog_version;
    int64_t acked, settled, last;
    buf groups[RAW_GROUPS_MAX]; /* line of gseq - 1 */
    digest chain[RAW_GROUPS_MAX + 1];
};

/* What came back from one exchange. Texts live in `memory` until raw_reply_clear. */
typedef struct raw_reply {
    int status;
    fb_code error;
    sync_reply sync;
    reply_item items[RAW_VERDICTS_MAX];
    uint32_t items_count;
    bool has_catalog, complete, reset;
    buf body;         /* unpacked */
    fb_text verdicts; /* the verdict lines, as they came */
    size_t packed_bytes;
    arena *memory;
} raw_reply;

void raw_enrol(raw_world *w, raw_device *d, const fb_id *user, uint64_t seed);
/* The HTTP status of an enrolment by this code, which nobody goes on with. */
int raw_enrol_try(raw_world *w, fb_text code, uint8_t token);
void raw_device_clear(raw_device *d);
/* A new incarnation: everything not settled is renumbered from 1. */
void raw_incarnation(raw_device *d);

/* Build the next group: begin, ops, end. */
typedef struct raw_group {
    raw_device *d;
    group_writer writer;
    arena *memory;
    const catalog *cat;
} raw_group;
void raw_begin(raw_group *g, raw_device *d, const char *kind, int64_t at_ms, int64_t replaces);
fb_id raw_insert(raw_group *g, const char *entity, const char *const *pairs); /* its new id */
void raw_insert_id(raw_group *g, const char *entity, const fb_id *id, const char *const *pairs);
/* triples column, base, mine */
void raw_update(raw_group *g, const char *entity, const fb_id *id, int64_t base_ver,
                const char *const *triples);
void raw_delete(raw_group *g, const char *entity, const fb_id *id, int64_t base_ver);
int64_t raw_end(raw_group *g);                     /* gseq */
int64_t raw_line(raw_device *d, const char *line); /* a group line as it stands */

/* Groups acked+1 .. last go up. */
void raw_sync(raw_device *d, raw_reply *out);
void raw_sync_with(raw_device *d, const sync_request *q, raw_reply *out);
sync_request raw_request(const raw_device *d);
/* The first step alone: what server_write takes. */
server_job *raw_prepare(raw_device *d, const sync_request *q, job_next *next);
/* raw_sync, and the device believes it: acked, settled, token, catalogue. */
void raw_exchange(raw_device *d, raw_reply *out);
/* The verdict for gseq; a run gives code APPLIED without echo. Aborts when there is none. */
verdict_msg raw_verdict(const raw_reply *r, int64_t gseq);
bool raw_has_verdict(const raw_reply *r, int64_t gseq);
/* Does the page hold a row of this id? */
bool raw_page_has(const raw_reply *r, const fb_id *id);
void raw_reply_clear(raw_reply *r);
/* Column of a row on the server as text. */
void raw_server_text(raw_world *w, const char *entity, const fb_id *id, const char *column,
                     char room[256]);
int64_t raw_server_ver(raw_world *w, const char *entity, const fb_id *id);

#endif
