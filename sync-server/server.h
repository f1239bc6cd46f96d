/* server.h - the sync server as a library: bytes in, bytes out. No sockets, no clock, no threads of
 * its own.
 *
 * platform/posix brings TLS, HTTP and threads; the simulator calls it directly.
 *
 *   server_prepare  any thread with its own reader: authenticate, unpack, check the lines
 *   server_write    the one writer: intake, decide, ledger for a batch of prepared jobs, ONE synced
 * transaction; a job's failure does not touch the others (the batch is run again without it)
 *   server_read     any thread with its own reader: page and reply body
 *
 *   SRV-1  a reply leaves only after the transaction that holds its verdicts is synced
 *   SRV-2  every job ends with exactly one reply, also when memory or disk fails (503) */
#ifndef FB_SERVER_H
#define FB_SERVER_H

#include "base/port.h"
#include "fieldbook/files.h"
#include "wire/sync_msg.h"

struct store;
typedef struct server server;
typedef struct server_reader server_reader; /* one per thread */
typedef struct server_job server_job;

/* Row packs: 0 stands for the default everywhere (feed/feed.h, pack_limits). */
typedef struct server_packing {
    bool off;             /* none are made or offered: first downloads come as pages */
    const char *path;     /* where they are kept; NULL: PATH.packs */
    uint32_t rows_min;    /* rows of a scope from which on it has a pack: 2000 */
    uint32_t chunk_bytes; /* of a chunk, unpacked: 1 MiB */
    uint32_t rest_ms;     /* between two rounds over all scopes: a minute */
    uint32_t age_ms;      /* least age of a pack before a newer one is made: ten minutes */
} server_packing;

/* Zero: the default in brackets. */
typedef struct server_blob_limits {
    int64_t device_day_bytes; /* what one device may send in 24 hours [4 GiB] */
    int64_t total_bytes;      /* all files together [no limit] */
    int64_t free_bytes_min;   /* left on the disk for the database [1 GiB] */
    int64_t unnamed_days;     /* after which bytes that no row names are removed [30] */
} server_blob_limits;

typedef struct server_options {
    const char *path; /* master database */
    const char *vfs;
    const fb_port *port;
    int cache_kib;
    bool trace;      /* a line per group and station goes to the port's log (schema/events.def) */
    fb_text catalog; /* the release's catalogue; empty: the built-in one */
    server_packing packing;
    uint32_t sync_interval_ms; /* about how often a device should come by itself; 0: not said */
    const fb_files *files; /* for the bytes of attachments, in PATH.blobs; NULL: none are served */
    server_blob_limits blobs;
    /* for how long it is remembered what was deleted or left a scope; a device that was away longer
     * begins anew and keeps what it has saved [400] */
    uint32_t gone_days;
} server_options;
/* After an upgrade the catalogue in use grows by what the release brings (door_catalog_renew). */
FB_MUST_USE fb_code server_open(const server_options *o, server **out,
                                fb_error *err); /* must exist: fieldbook-admin init */
/* Make the database of a new company: tables, built-in catalogue, roles with the catalogue's
 * grants, settings, labels of codes, the root org_unit, the epoch; with admin_code also a person
 * with role IT. E_EXISTS: there is one already. */
typedef struct server_create_options {
    const char *path, *vfs;
    const fb_port *port;
    const char *company_code, *company_name;
    const char *admin_code, *admin_login, *admin_name; /* NULL: no first person */
    fb_text catalog;                                   /* empty: the built-in one */
} server_create_options;
FB_MUST_USE fb_code server_create(const server_create_options *o, fb_error *err);
/* The database is not the one that was here last (put back from an older copy): every device is
 * refused with E_EPOCH until server_epoch_new and a new start. */
bool server_is_suspect(const server *s);
/* After a restore, with the server stopped: draws a new epoch, notes it in the audit, moves the
 * high-water mark. Devices then send again what they hold and no backup does. *commit_out: where
 * the database stands. */
typedef struct server_epoch_options {
    const char *path, *vfs;
    const fb_port *port;
} server_epoch_options;
FB_MUST_USE fb_code server_epoch_new(const server_epoch_options *o, int64_t *commit_out,
                                     fb_error *err);
/* What a restore makes beside the database before it takes its name. */
#define SERVER_RESTORING ".restoring"
/* No database stands here because a restore was cut short between two names. */
bool server_restore_was_cut(const char *path);
/* Is this open database the one that was here last? FB_OK also where no mark was kept; E_EPOCH: it
 * was put back from an older copy. */
FB_MUST_USE fb_code server_mark_check(const char *path, const char *vfs, struct store *db,
                                      fb_error *err);
void server_close(server *s);
FB_MUST_USE fb_code server_reader_open(server *s, server_reader **out, fb_error *err);
void server_reader_close(server_reader *r);

typedef struct server_request {
    fb_text method, path, authorization, content_type, content_encoding,
        peer; /* borrowed for the call */
    fb_text body;
} server_request;

typedef struct server_reply {
    int status;
    fb_text body;     /* owned by the job; as it goes out */
    bool zstd;        /* Content-Encoding */
    uint32_t retry_s; /* Retry-After, 0 none */
    bool close;       /* close the connection after it */
} server_reply;

typedef enum job_next {
    JOB_WRITE, /* hand to server_write */
    JOB_READ,  /* hand to server_read */
    JOB_DONE,  /* reply is ready */
    JOB_WAIT /* long poll: hand to server_read again when server_head moved or wait_until passed */
} job_next;

/* Never fails: trouble becomes a reply. */
server_job *server_prepare(server *s, server_reader *r, const server_request *q,
                           job_next *next_out);
void server_write(server *s, server_job **jobs,
                  uint32_t count); /* each: JOB_READ or JOB_DONE afterwards */
void server_read(server *s, server_reader *r, server_job *job);
job_next server_job_next(const server_job *job);
uint64_t server_job_wait_until_ms(const server_job *job); /* mono clock */
const server_reply *server_job_reply(const server_job *job);
void server_job_free(server_job *job);

/* Commit number of the last synced transaction: long polls compare it. Thread safe. */
int64_t server_head(server *s);
/* Timers: call about once a second from the writer's thread. */
void server_tick(server *s, uint64_t mono_ms);
/* Work that nobody waits for: row packs, a bounded piece of it. One thread at a time, any one,
 * beside all the others. True: there is more, call again at once; else about once a second. */
bool server_build(server *s, uint64_t mono_ms);
/* All steps in one call, for tests and the simulator: prepare, write, read. JOB_WAIT is answered at
 * once. */
server_job *server_handle(server *s, server_reader *r, const server_request *q);

/* Administration shares the writer's rooms: opened by fieldbook-admin on its own connection
 * (door/admin ops). */
struct store *server_store(server *s);

#endif
