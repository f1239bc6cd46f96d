/* sync.h - synchronise with the company's server, over whatever carries bytes.
 *
 * The library opens no socket. Two ways to drive it:
 *   blocking   give fb_sync_step an fb_link; it returns when all is done, the time is used up, or
 * it failed own loop   fb_sync_next says SEND, WAIT or DONE; hand the answer to fb_sync_reply or
 * fb_sync_failed Everything that arrived is kept at once: a sync cut anywhere goes on from there. A
 * group leaves the outbox only through the server's verdict, never through sending (SES-1).
 * Threads: an fb_sync uses its fb_db; for a background thread open a second fb_db on the same file.
 */
#ifndef FIELDBOOK_SYNC_H
#define FIELDBOOK_SYNC_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- what carries bytes
 * --------------------------------------------------------------------------- */

/* One HTTPS request. Everything is borrowed until the response is handed back. */
typedef struct fb_link_request {
    const char *method;           /* "POST", or "GET" without a body */
    const char *path;             /* "/v1/sync" */
    const char *content_type;     /* "application/x-fieldbook"; NULL without a body */
    const char *content_encoding; /* "zstd" or NULL */
    const char *authorization;    /* value of the header; secret: not for logs; NULL at enrolment */
    fb_text body;                 /* exact bytes; Content-Length = body.size */
    uint32_t timeout_ms;          /* longest time for the whole exchange */
    uint32_t response_bytes_max;  /* a longer response body is refused: FB_E_LIMIT */
} fb_link_request;

typedef struct fb_link_response {
    int status;        /* HTTP status */
    bool zstd;         /* Content-Encoding: zstd */
    uint32_t retry_ms; /* Retry-After in milliseconds; 0: none */
    fb_text body;      /* owned by the link until its next exchange or its end */
} fb_link_response;

typedef struct fb_link {
    void *ctx;
    /* Send and wait for the whole answer. Any HTTP status is FB_OK. FB_E_OFFLINE, FB_E_TIMEOUT,
     * FB_E_TLS, FB_E_TRUNCATED, FB_E_LIMIT: nothing usable came; *response untouched. */
    fb_code (*exchange)(void *ctx, const fb_link_request *request, fb_link_response *response);
} fb_link;

/* --- enrolment (注册)
 * ----------------------------------------------------------------------------- */

typedef struct fb_enrol_options {
    uint32_t size_bytes;
    const char *server_url;  /* kept for later; at most 255 bytes */
    const char *code;        /* the one-time code from the administrator; required */
    const char *device_name; /* what the person calls the device; NULL: "device" */
    const char *platform;    /* "linux" "android" "ios"; NULL: "linux" */
    bool again; /* enrol a replica anew that is enrolled already: after FB_E_AUTH, or FB_E_DEVICE of
                   a wiped device */
} fb_enrol_options;

/* clang-format off */
#define FB_ENROL_OPTIONS_INIT {sizeof(fb_enrol_options), NULL, NULL, NULL, NULL, false}
/* clang-format on */

/* Make this replica the person's device. The device's secret is drawn and stored before it is sent,
 * so a lost answer costs nothing: call again with the same code. FB_E_CODE: wrong, used or expired.
 * FB_E_EXISTS: enrolled already, and `again` is false. FB_E_OFFLINE, FB_E_TLS ...: as the link
 * said; not enrolled. Two synced transactions.
 *
 * With `again` the replica becomes a new device of the same person under a new incarnation: groups
 * that the server has not answered are kept and sent again, what it has answered is not unless the
 * server was restored meanwhile, and the picture is fetched anew. Groups that the old device had
 * sent without hearing of it are recognised and get their old verdict. A code of another person:
 * FB_E_STATE until everything here is settled, and nothing changed; the same code may be used again
 * after that. */
FB_API FB_MUST_USE fb_code fb_enrol(fb_db *db, const fb_link *link, const fb_enrol_options *options,
                                    fb_error *err);

/* --- synchronisation
 * ------------------------------------------------------------------------------ */

typedef struct fb_sync fb_sync;

typedef struct fb_sync_options {
    uint32_t size_bytes;
    uint32_t wait_ms;      /* hold the last request at the server until there is news, 0..60000 */
    uint32_t page_bytes;   /* wanted size of a page, unpacked; 0: the server's choice */
    uint32_t timeout_ms;   /* longest exchange, beside wait_ms; 0: 60000 */
    uint64_t budget_bytes; /* fb_sync_step: bytes one call may carry, both ways; 0: no limit */
    bool within_budget;    /* fb_sync_step: an exchange may not outlast the call's budget_ms, as in
                              a background window that ends with the process */
} fb_sync_options;

/* clang-format off */
#define FB_SYNC_OPTIONS_INIT {sizeof(fb_sync_options), 0, 0, 0, 0, false}
/* clang-format on */

typedef struct fb_sync_report {
    bool complete; /* everything sent, everything of the server is visible */
    bool waiting;  /* a retry is due in retry_ms */
    uint32_t retry_ms;
    uint32_t requests_count;
    uint32_t groups_sent; /* including repeats */
    uint32_t verdicts_count;
    uint32_t applied_count, merged_count, rejected_count, held_count; /* of the verdicts */
    uint32_t rows_count;                                              /* rows received */
    uint32_t rebirths_count; /* new incarnations taken: the file had been copied or restored */
    bool epoch_changed;      /* the server was restored: the picture was built anew */
    bool catalog_changed;
    uint32_t digest_faults_count;  /* the rows here were not what the server says */
    uint32_t digest_buckets_count; /* of 256, fetched anew for that */
    bool digest_alarm;             /* and they still are not: tell IT */
    uint64_t bytes_up, bytes_down; /* bodies as carried */
    uint64_t elapsed_ms;           /* fb_sync_step only */
    uint32_t chunks_count;   /* of packs, received: a first download comes as packs where it can */
    uint32_t chunks_left;    /* still missing */
    uint32_t packs_dropped;  /* offers or chunks that were not what the server had signed, or gone:
                                the download began anew */
    int64_t groups_left;     /* saved here and not answered yet */
    uint32_t budget_ms_left; /* fb_sync_step: of the last call; 0: used up or no limit */
    uint64_t budget_bytes_left;
    uint32_t chunk_level; /* 0: exchanges carry what there is; up to 6, one group: they broke */
    bool crowded;         /* another handle synchronises this replica just now */
} fb_sync_report;

/* Begin: reads where things stand, sends nothing. *out ends with fb_sync_close before its fb_db.
 * FB_E_AUTH: not enrolled. */
FB_API FB_MUST_USE fb_code fb_sync_open(fb_db *db, const fb_sync_options *options, fb_sync **out,
                                        fb_error *err);
FB_API void fb_sync_close(fb_sync *sync);

typedef enum fb_sync_action {
    FB_SYNC_SEND = 1, /* carry *request, then fb_sync_reply or fb_sync_failed */
    FB_SYNC_WAIT = 2, /* come back after *wait_ms */
    FB_SYNC_DONE = 3  /* nothing is left; the next call begins a new round */
} fb_sync_action;

/* What to do now. request_out is filled for SEND and borrowed until the next call on `sync`;
 * wait_ms_out for WAIT. A call while a request is out answers with the same request again. Errors:
 * the replica's (FB_E_DISK_FULL, FB_E_CORRUPT ...), FB_E_STATE while a group is open; the same call
 * may be made again. */
FB_API FB_MUST_USE fb_code fb_sync_next(fb_sync *sync, fb_sync_action *action_out,
                                        fb_link_request *request_out, uint32_t *wait_ms_out,
                                        fb_error *err);

/* Take the answer; `response` is borrowed for the call. Verdicts and page are stored in one
 * transaction. FB_OK also for answers that only mean "later" (503, 429): fb_sync_next then says
 * WAIT. FB_E_AUTH, FB_E_DEVICE, FB_E_VERSION, FB_E_FORK (copies of this file take turns): going on
 * is useless until a person does something; nothing is lost, nothing is scheduled: end the session
 * here. FB_E_OFFLINE: something else answered, such as a network that wants a sign-in;
 * FB_E_PROTOCOL, FB_E_JSON, FB_E_TRUNCATED, FB_E_LIMIT: the answer was refused as a whole; a retry
 * is scheduled. */
FB_API FB_MUST_USE fb_code fb_sync_reply(fb_sync *sync, const fb_link_response *response,
                                         fb_error *err);

/* The request could not be carried; `code` says why. A retry is scheduled: 1 s doubled up to 15
 * min, with jitter. */
FB_API FB_MUST_USE fb_code fb_sync_failed(fb_sync *sync, fb_code code, fb_error *err);

/* What happened since fb_sync_open or the last DONE. */
FB_API void fb_sync_get_report(const fb_sync *sync, fb_sync_report *out);

/* Synchronise, blocking: until complete (FB_OK, report.complete), until budget_ms milliseconds or
 * options.budget_bytes are used up (FB_OK, not complete: call again; the report says what is left),
 * or until a failure, which is returned (FB_E_OFFLINE ...; retry_ms says when to come back). What
 * was exchanged before a failure is kept. budget_ms 0: no limit; a request that is out is not cut
 * short by it unless options.within_budget says so. At least one exchange is tried. *report_out may
 * be NULL; it is filled in every case.
 *
 * Exchanges that break (cut, timeout) carry less the next time, down to one group and a page, or a
 * piece of a chunk, of 1 KiB, also by the next fb_sync of this replica; when they succeed they grow
 * again. So every window makes durable progress as soon as one small exchange gets through.
 * FB_E_BUSY with report.crowded: another process or handle synchronises this replica at this
 * moment; it brings the news here as well. */
FB_API FB_MUST_USE fb_code fb_sync_step(fb_sync *sync, const fb_link *link, uint32_t budget_ms,
                                        fb_sync_report *report_out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
