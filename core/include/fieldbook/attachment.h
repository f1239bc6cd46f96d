/* attachment.h - photos, signatures and documents: rows that travel in groups, bytes that travel in
 * a lane of their own.
 *
 * The row says what it is, to what it belongs and the SHA-256 of the bytes; it is saved, judged and
 * shown like any other row. The bytes are files beside the replica (PATH.blobs). A row may be here
 * long before its bytes: fb_attachment_status says so. The app makes thumbnails and small pictures;
 * the library never looks inside.
 *
 *   fb_attachment_add -> (rows: fb_sync_step) -> (bytes: fb_lane_step) ... fb_attachment_read
 *
 * Bytes made here stay until a verified backup of days ago holds them, and leave only when
 * fb_attachment_free is asked to make room. All calls answer FB_E_CONFIG when the handle was opened
 * without fb_db_options.files. Threads: as fb_db. */
#ifndef FIELDBOOK_ATTACHMENT_H
#define FIELDBOOK_ATTACHMENT_H

#include "fieldbook/db.h"
#include "fieldbook/sync.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_attachment_in {
    uint32_t size_bytes;
    const char *media_type; /* "image/jpeg"; required */
    const char *kind; /* "photo" "storefront" "shelf" "receipt" "signature" "document" "selfie";
                         NULL: "photo" */
    const char *file; /* the bytes are copied from this file; NULL: from `data` */
    fb_text data;     /* 1 byte to 256 MiB */
    fb_text thumb;    /* a small picture, at most 256 KiB; empty: none */
    fb_id visit, order, payment, customer; /* what it belongs to; at least one */
    int64_t taken_at_ms;                   /* 0: now, or the group's time */
    bool fix;                              /* lat_e7, lon_e7 are known */
    int32_t lat_e7, lon_e7;                /* 1e-7 degree */
    const char *signer_name;               /* of a signature */
    const char *note;
} fb_attachment_in;

/* clang-format off */
#define FB_ATTACHMENT_IN_INIT                                                                      \
    {sizeof(fb_attachment_in), NULL, NULL, NULL, {NULL, 0}, {NULL, 0}, {{0}}, {{0}}, {{0}}, {{0}}, \
     0, false, 0, 0, NULL, NULL}
/* clang-format on */

/* Save an attachment, in the open group or one of its own. Afterwards the bytes are on the disk and
 * the row is queued; both survive power loss, or neither is kept. Everything in *in is borrowed for
 * the call. FB_E_REQUIRED: media type, bytes or owner missing. FB_E_LENGTH: the bytes. FB_E_ENUM:
 * kind. FB_E_NOT_FOUND: the file, or an owner. FB_E_DISK_FULL, FB_E_IO: nothing changed. */
FB_API FB_MUST_USE fb_code fb_attachment_add(fb_db *db, const fb_attachment_in *in, fb_id *id_out,
                                             fb_error *err);

typedef enum fb_part { FB_PART_ORIGINAL = 0, FB_PART_THUMB = 1 } fb_part;

typedef enum fb_bytes {
    FB_BYTES_NONE = 0,   /* the attachment has no such part */
    FB_BYTES_AWAY = 1,   /* not here and not asked for */
    FB_BYTES_WANTED = 2, /* asked for; the lane will fetch it */
    FB_BYTES_ABSENT = 3, /* asked for; the server has not got it yet either */
    FB_BYTES_UNSENT = 4, /* here; the server is not known to have it whole */
    FB_BYTES_SENT = 5,   /* here; the server has it, no backup yet */
    FB_BYTES_HERE = 6    /* here; the server can give it again */
} fb_bytes;

typedef struct fb_part_status {
    fb_bytes state;
    int64_t size;   /* bytes */
    int64_t moved;  /* of them on the other side already: a progress bar */
    uint32_t tries; /* failures in a row */
    fb_code error;  /* of the last try */
} fb_part_status;

typedef struct fb_attachment_state {
    uint32_t size_bytes; /* set by the caller: sizeof(fb_attachment_state) */
    fb_part_status original, thumb;
} fb_attachment_state;

/* FB_E_NOT_FOUND: no such attachment on this device. */
FB_API FB_MUST_USE fb_code fb_attachment_status(fb_db *db, const fb_id *id,
                                                fb_attachment_state *out, fb_error *err);

/* Lend the bytes to fn piece by piece, in order; the whole file was checked against its hash
 * before. Anything but FB_OK from fn ends the call with it. FB_E_NOT_FOUND: not here: see
 * fb_attachment_want. FB_E_CORRUPT: the copy here was damaged and is wanted from the server again.
 */
typedef fb_code (*fb_bytes_fn)(void *ctx, fb_text piece);
FB_API FB_MUST_USE fb_code fb_attachment_read(fb_db *db, const fb_id *id, fb_part part,
                                              fb_bytes_fn fn, void *ctx, fb_error *err);

/* Fetch it with the next rounds of the lane; thumbnails are fetched unasked. metered: also over a
 * metered network, whatever the lane's policy. FB_E_STATE inside a group. */
FB_API FB_MUST_USE fb_code fb_attachment_want(fb_db *db, const fb_id *id, fb_part part,
                                              bool metered, fb_error *err);

/* Make room: remove originals that the server can give again, oldest first, until all files take at
 * most keep_bytes. *freed_out (may be NULL): bytes. What no verified backup holds stays. */
FB_API FB_MUST_USE fb_code fb_attachment_free(fb_db *db, int64_t keep_bytes, int64_t *freed_out,
                                              fb_error *err);

typedef struct fb_attachment_totals {
    uint32_t size_bytes; /* set by the caller */
    int64_t here_count, here_bytes;
    int64_t unsent_count, unsent_bytes; /* bytes still to go up */
    int64_t wanted_count, wanted_bytes; /* bytes still to come */
    int64_t failed_count;               /* whose last try failed */
} fb_attachment_totals;
FB_API FB_MUST_USE fb_code fb_attachment_count(fb_db *db, fb_attachment_totals *out, fb_error *err);

/* --- the lane ---------------------------------------------------------------------------------
 *
 * Runs beside fb_sync and never blocks it: use it after a synchronisation, in the same background
 * window, or on another handle. Thumbnails go first, then originals a person waits for, then the
 * other originals, oldest first, piece by piece; every piece that got through is kept. */

typedef enum fb_metered {
    FB_METERED_THUMBS = 0, /* over a metered network only thumbnails, and what a person allowed */
    FB_METERED_NOTHING = 1,
    FB_METERED_ALL = 2
} fb_metered;

typedef struct fb_lane fb_lane;

typedef struct fb_lane_options {
    uint32_t size_bytes;
    bool metered;             /* the present network costs money */
    fb_metered policy;        /* what may go over it then */
    uint32_t piece_bytes_max; /* largest piece, 16 KiB .. 4 MiB; 0: 1 MiB */
    uint32_t timeout_ms;      /* longest exchange; 0: 120000 */
} fb_lane_options;

/* clang-format off */
#define FB_LANE_OPTIONS_INIT {sizeof(fb_lane_options), false, FB_METERED_THUMBS, 0, 0}
/* clang-format on */

typedef struct fb_lane_report {
    bool complete; /* nothing is left that may go now */
    bool waiting;  /* a retry is due in retry_ms */
    uint32_t retry_ms;
    uint32_t requests_count;
    uint32_t stored_count;  /* files that became whole at the server */
    uint32_t fetched_count; /* files that became whole here */
    uint32_t failed_count;  /* answers that meant trouble with one file */
    fb_code trouble;        /* the last such */
    uint64_t bytes_up, bytes_down;
} fb_lane_report;

/* FB_E_AUTH: not enrolled. *out ends with fb_lane_close before its fb_db. */
FB_API FB_MUST_USE fb_code fb_lane_open(fb_db *db, const fb_lane_options *options, fb_lane **out,
                                        fb_error *err);
FB_API void fb_lane_close(fb_lane *lane);

/* As fb_sync_next, fb_sync_reply and fb_sync_failed: for an app that carries bytes itself. */
FB_API FB_MUST_USE fb_code fb_lane_next(fb_lane *lane, fb_sync_action *action_out,
                                        fb_link_request *request_out, uint32_t *wait_ms_out,
                                        fb_error *err);
FB_API FB_MUST_USE fb_code fb_lane_reply(fb_lane *lane, const fb_link_response *response,
                                         fb_error *err);
FB_API FB_MUST_USE fb_code fb_lane_failed(fb_lane *lane, fb_code code, fb_error *err);

/* Carry until nothing is left that may go now (report.complete), budget_ms are used up (FB_OK, not
 * complete) or a failure; 0: no limit. *report_out may be NULL; it is filled in every case. */
FB_API FB_MUST_USE fb_code fb_lane_step(fb_lane *lane, const fb_link *link, uint32_t budget_ms,
                                        fb_lane_report *report_out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
