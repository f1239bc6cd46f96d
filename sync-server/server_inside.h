/* server_inside.h - what the files of the server's top share; nobody outside includes it.
 *
 *   server.c          open, close, clock, the steps in one call
 *   server_prepare.c  route, authenticate, unpack, find the lines    any thread
 *   server_write.c    a batch in one transaction                     the writer
 *   server_read.c     verdicts, catalogue, page, reply body          any thread
 *   server_pack.c     row packs: built, offered, served             a thread of its own; any
 *   server_blob.c     bytes of attachments: files by readers, tables by the writer
 *   server_create.c   the database of a new company
 *   server_mark.c     is it the database that was here last; a new epoch after a restore
 *
 *   a job:   prepare -> WRITE -> READ -> DONE
 *                    -> READ -> DONE, or WAIT -> READ ...
 *                    -> DONE (refused, health)   enrolment: WRITE -> DONE
 *                    -> READ -> DONE, or WRITE -> READ -> DONE   a piece of an attachment */
#ifndef FB_SERVER_INSIDE_H
#define FB_SERVER_INSIDE_H

#include <stdatomic.h>

#include "schema/limits.h"
#include "sync-server/blob/blob.h"
#include "sync-server/door/door.h"
#include "sync-server/erase/erase.h"
#include "sync-server/feed/feed.h"
#include "sync-server/intake/intake.h"
#include "sync-server/server.h"
#include "wire/pack.h"
#include "wire/pack_msg.h"

enum {
    JOB_BYTES_MAX = 64 << 20, /* arena of one request */
    REPLY_BYTES_MAX =
        PAGE_BYTES_MAX,          /* page, catalogue and verdicts together: all a device takes */
    REPLY_SLACK_BYTES = 2 << 20, /* a page's heads and the row that makes it full */
    PACK_BYTES_MIN = 300,        /* smaller replies go plain */
    SEEN_MS = 60000,             /* last contact is kept to the minute */
    RETRY_MS = 1000,             /* after trouble of ours */
    BUILD_REST_MS = 60000,       /* after trouble with packs */
    CLOCK_REST_MS = 60000,       /* between two looks at what begins or ends by itself */
    HORIZON_REST_MS = 86400000,  /* between two looks at what may be forgotten */
    SUSPECT_RETRY_MS = 300000,   /* a person must act first */
    TEXT_BYTES_KEPT = 128
};

typedef enum job_kind { JOB_KIND_SYNC, JOB_KIND_ENROL, JOB_KIND_PACK, JOB_KIND_BLOB } job_kind;
struct blob_job; /* server_blob.c */

struct server_job {
    job_kind kind;
    job_next next;
    arena *memory;
    buf body; /* unpacked request; lines point into it */
    sync_request q;
    fb_text *lines;
    fb_id device;
    pack_piece piece; /* of a pack, what is asked for */
    bool epoch_differs;
    bool accepts_zstd;
    enrol_request enrol;
    struct blob_job *blob; /* in `memory` */
    bool excluded;         /* from a batch that is run again */
    bool marked;           /* an attempt is counted for it (intake/attempt.h) */
    bool taken;            /* its groups were decided in the last run of the batch */
    bool gap;              /* answered E_GAP */
    int64_t poison_gseq;   /* a group of it is held as E_POISON with this batch */
    bool waited;           /* a long poll that has begun */
    bool is_spare;         /* the server's own, see job_new: never freed, never changed */
    uint64_t wait_until_ms;
    server_reply reply;
    buf out; /* the reply's body */
};

struct server {
    store *db;
    const fb_port *port;
    char *path, *vfs;
    char *packs_path;
    bool packs_off;
    uint32_t sync_interval_ms;
    int cache_kib;
    fb_id epoch;
    intake in;
    door_rate *rate;
    blob_place blobs;
    uint64_t collected_ms;   /* mono clock */
    uint64_t clock_after_ms; /* mono clock: the next look at assignments that begin or end */
    uint32_t gone_days;
    uint64_t horizon_after_ms; /* mono clock: the next look at what may be forgotten */
    _Atomic int64_t head;
    uint64_t careful_until_ms; /* mono clock */
    _Atomic bool suspect;      /* MRK-2: nothing is taken, nothing told */
    fb_id gap_user;            /* first person whose device knows more than we do; none: nobody */
    int64_t marked_cid;        /* the high-water mark as written last, and when */
    uint64_t marked_ms;        /* mono clock */
    sign_key key;              /* under the manifests of packs */
    pack_limits pack_limits;
    struct server_builder *builder; /* of the building thread */
    uint64_t build_after_ms;        /* mono clock */
    int64_t packs_forgot_pos;       /* packs from before the newest erasure are gone */
    server_job spare;               /* answers where there is no memory for a job (SRV-2) */
};

struct server_reader {
    server *s;
    store *db;
    packer *packer;
    pack_store *packs; /* NULL until needed */
    pack_source source;
};

static inline int64_t wall_ms(const server *s)
{
    return s->port->wall_ms(s->port->ctx);
}
static inline uint64_t mono_ms(const server *s)
{
    return s->port->mono_ms(s->port->ctx);
}

/* The job ends with this failure; the status is the code's. */
void job_fail(server_job *job, fb_code code, uint32_t retry_ms);
/* Trouble of ours: what a person cannot cure is told as "try again". */
void job_trouble(server_job *job, fb_code code);
/* The job ends with 200 and job->out, packed where that pays. r NULL: plain. */
void job_answer(server_reader *r, server_job *job);
/* What a download from nothing may be offered; NULL: nothing. Borrowed until the next call. */
const pack_source *server_packs(server_reader *r);
/* The chunk that the job asks for into job->out. */
FB_MUST_USE fb_code server_pack_read(server_reader *r, server_job *job);
void server_packs_close(server *s);
/* Must this request go to the writer although it carries no groups? */
FB_MUST_USE fb_code job_needs_write(server_reader *r, const server_job *job, const door_device *d,
                                    int64_t now_ms, bool *out);
/* The device's scopes as this snapshot has them, and whether they are its registered set. */
FB_MUST_USE fb_code scopes_now(store *view, const fb_id *user, const fb_id *device, int64_t now_ms,
                               arena *memory, scope_list *scopes, int64_t *number,
                               bool *registered);
/* The high-water mark (server_mark.c): judged at open; kept by the writer's thread, `now` or when
 * due. */
FB_MUST_USE fb_code server_mark_open(server *s, fb_error *err);
void server_mark_keep(server *s, bool now);
void server_epoch_watch(server *s);
/* A device knows answers that this database never gave (E_GAP). */
void server_gap_heard(server *s, const fb_id *device);
FB_MUST_USE fb_code server_mark_begin(const char *path, const char *vfs, store *db, fb_error *err);
/* A request about attachments (server_blob.c). The door has let `d` in and `body` is unpacked. */
typedef enum blob_route { BLOB_ROUTE_HAVE, BLOB_ROUTE_PUT, BLOB_ROUTE_GET } blob_route;
void server_blob_prepare(server *s, server_reader *r, const door_device *d, blob_route route,
                         server_job *job);
void server_blob_read(server *s, server_reader *r, server_job *job);
FB_MUST_USE fb_code server_blob_write(server *s, server_job *job);
void server_blob_tick(server *s, uint64_t now_mono_ms);
void server_log(const server *s, fb_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
