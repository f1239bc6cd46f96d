/* status.h - what is unsent, refused, waiting, and how old the picture is. */
#ifndef FIELDBOOK_STATUS_H
#define FIELDBOOK_STATUS_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_status {
    uint32_t size_bytes; /* set by the caller: sizeof(fb_status) */
    uint32_t catalog_version;
    int64_t pending_count;   /* groups saved here that the server has not judged yet */
    int64_t rejected_count;  /* groups in the tray: refused, nothing of them stands */
    int64_t held_count;      /* groups that wait for a manager */
    int64_t blocked_count;   /* groups in the tray because one they depend on is there */
    int64_t conflicts_count; /* open conflict records */
    int64_t drafts_count;
    int64_t oldest_pending_ms; /* when the oldest pending group was captured; 0: none */
    int64_t last_sync_ms;      /* milliseconds UTC of the last complete sync; 0: never */
    int64_t lag_ms;            /* age of the picture: now - last_sync_ms; -1: never synced */
    int64_t head_cid;          /* server commit the picture shows */
    int64_t clock_offset_ms;   /* added to the device's clock */
    bool clock_suspect;
    bool enrolled;
    bool digest_alarm; /* what is shown is not what the server says, and stays so: tell IT */
    int64_t digest_faults_count;  /* times that was found, mended or not */
    int64_t digest_fault_ms;      /* when last; 0: never */
    int64_t digest_buckets_count; /* of 256, fetched anew in all */
    int64_t salvaged_ms;     /* when this file was made again because the one before was damaged or
                                lost; 0: never */
    int64_t salvaged_groups; /* saved groups that came over then: all that no backup had */
    int64_t parked_count;    /* records that left while work on them is open: parked.h */
    int64_t warnings_count;  /* parts of pending work that cannot be shown: parked.h */
    int64_t chunks_count; /* pieces of a first download that are here; its rows show when all are */
    int64_t chunks_left;  /* and still missing; both 0: no such download is under way */
    int64_t next_sync_ms; /* milliseconds UTC at which the server expects the next sync when
                             nothing happens before: let background work begin then; every
                             device has another moment. 0: the app's own schedule */
} fb_status;

/* clang-format off */
#define FB_STATUS_INIT {sizeof(fb_status), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
/* clang-format on */

/* Fill *out. A few index reads. */
FB_API FB_MUST_USE fb_code fb_status_get(fb_db *db, fb_status *out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif
