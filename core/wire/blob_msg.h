/* blob_msg.h - the bytes of attachments: what is there, a piece up, a piece down.
 *
 *   POST /v1/blob/have   blob_ask    -> blob_had      which of these files does the server hold?
 *   POST /v1/blob/put    blob_put    -> blob_stored   one piece; the bytes stand behind the line
 *   POST /v1/blob/get    blob_get    -> blob_got      one piece; the bytes stand behind the line
 *
 * Each body is one line; with put and got exactly `bytes.size` bytes follow it. Source: protocol.md
 * section 13. */
#ifndef FB_WIRE_BLOB_MSG_H
#define FB_WIRE_BLOB_MSG_H

#include "base/digest.h"
#include "schema/limits.h"
#include "wire/json.h"

typedef enum blob_state {
    BLOB_STATE_PART = 0,   /* not whole at the server: goes on at `offset` */
    BLOB_STATE_STORED = 1, /* whole, checked, synced */
    BLOB_STATE_BACKED = 2  /* and inside a verified backup */
} blob_state;

typedef struct blob_ask {
    uint32_t protocol;
    digest hashes[BLOB_ASK_MAX];
    uint32_t count; /* 1..BLOB_ASK_MAX */
} blob_ask;
void blob_ask_put(buf *out, const blob_ask *m);
FB_MUST_USE fb_code blob_ask_get(fb_text body, arena *scratch, blob_ask *out);

typedef struct blob_had {
    fb_id epoch;
    struct blob_had_item {
        int64_t offset; /* bytes the server holds; meaningful for PART only */
        blob_state state;
    } items[BLOB_ASK_MAX]; /* in the order that was asked */
    uint32_t count;
} blob_had;
void blob_had_put(buf *out, const blob_had *m);
FB_MUST_USE fb_code blob_had_get(fb_text body, arena *scratch, blob_had *out);

typedef struct blob_put {
    uint32_t protocol;
    digest hash;
    int64_t size, offset;
    uint32_t count; /* bytes behind the line */
    fb_text bytes;  /* borrowed from the body */
} blob_put;
void blob_put_put(buf *out, const blob_put *m);
/* E_TRUNCATED: fewer bytes than the line promises; E_PROTOCOL: more, or beyond the file's end. */
FB_MUST_USE fb_code blob_put_get(fb_text body, arena *scratch, blob_put *out);

typedef struct blob_stored {
    fb_id epoch;
    int64_t offset; /* where the server stands now */
    uint32_t state; /* blob_state */
} blob_stored;
void blob_stored_put(buf *out, const blob_stored *m);
FB_MUST_USE fb_code blob_stored_get(fb_text body, arena *scratch, blob_stored *out);

typedef struct blob_get {
    uint32_t protocol;
    digest hash;
    int64_t offset;
    uint32_t count; /* bytes wanted at most */
} blob_get;
void blob_get_put(buf *out, const blob_get *m);
FB_MUST_USE fb_code blob_get_get(fb_text body, arena *scratch, blob_get *out);

typedef struct blob_got {
    bool absent; /* a row tells of it, but its bytes have not arrived at the server */
    int64_t size, offset;
    uint32_t count;
    fb_text bytes; /* borrowed from the body */
} blob_got;
void blob_got_put(buf *out, const blob_got *m);
FB_MUST_USE fb_code blob_got_get(fb_text body, arena *scratch, blob_got *out);

#endif
