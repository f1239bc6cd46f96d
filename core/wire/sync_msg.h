/* sync_msg.h - POST /v1/sync, both directions (protocol.md sections 3, 5, 6).
 *
 * A body is lines, each one JSON value, the last is {"m":"end"}: a cut body is seen as cut.
 * up    sync line, then one line per group (the exact bytes of the outbox), end
 * down  sync line, verdict lines, optional catalogue line, offers of packs, optional page line with
 *       its blocks, end */
#ifndef FB_WIRE_SYNC_MSG_H
#define FB_WIRE_SYNC_MSG_H

#include "base/digest.h"
#include "wire/group_msg.h"
#include "wire/pack_msg.h"
#include "wire/row_msg.h"
#include "wire/row_sum.h"

/* Walks the lines of a body. A line is never empty; "\n" ends each, also the last. */
typedef struct line_reader {
    const char *at, *end;
    fb_code code;
} line_reader;
void line_reader_init(line_reader *l, fb_text body);
bool line_next(line_reader *l, fb_text *line_out); /* false at the end or on failure */

typedef struct sync_request {
    uint32_t protocol;
    fb_id device;
    fb_id incarnation;        /* 128 random bits */
    uint32_t catalog_version; /* the device's; the server sends a newer one if it has it */
    fb_id epoch;              /* server epoch the device knows; none at first contact */
    fb_text token;            /* where the device's download stands; "" = from nothing; opaque */
    int64_t settled; /* groups up to here are promoted: their effect is in the base state */
    int64_t acked;   /* verdicts up to here are known to the device */
    int64_t first;   /* gseq of the first group carried; 0 when none */
    uint32_t groups_count;
    digest
        chain_before; /* chain hash of group first-1, or of the last group when none is carried */
    int64_t last;     /* last gseq this incarnation has written (for fork and gap checks) */
    int64_t old_base; /* groups up to here name versions that a server of an earlier epoch gave */
    int64_t wall_ms;  /* device clock when sent; the reply carries the server's */
    uint32_t wait_ms; /* long poll: hold the reply until there is news, at most so long */
    uint32_t page_bytes; /* wanted page size, 0 = server's choice */
    bool check;          /* the complete page shall carry totals even if it carries no row */
    fb_text buckets;  /* the device's 256 sums, when the totals did not agree (row_buckets_get) */
    bool takes_packs; /* a download from nothing may come as packs */
    bool takes_moves; /* rows that stay may be told as moves (block kind "move") */
    bool no_page;     /* only verdicts are wanted: chunks of packs are still missing */
    bool no_catalog;  /* a newer catalogue may wait: the line carries little */
} sync_request;

void sync_request_put(buf *out, const sync_request *m); /* writes the sync line only */
void sync_group_put(buf *out, fb_text group_line);
void sync_end_put(buf *out);
FB_MUST_USE fb_code sync_request_get(fb_text line, arena *scratch, sync_request *out);

typedef struct sync_reply {
    uint32_t protocol;
    fb_id epoch; /* none: the one the request named */
    int64_t server_wall_ms;
    int64_t applied;   /* every group up to here has a verdict */
    int64_t backed_up; /* every group up to here is inside a verified backup: may be pruned */
    int64_t head;      /* server's commit number in this reply's snapshot */
    uint32_t retry_ms; /* when the device should come back at the earliest; 0 = its own schedule */
    uint32_t
        next_ms; /* when the server expects it next, if nothing happens; 0 = its own schedule */
    fb_id
        audit_head; /* first 16 bytes of the audit chain head: devices witness it; none = absent */
    uint32_t catalog_waits; /* version of the catalogue that the request said may wait; 0 = none */
} sync_reply;

void sync_reply_put(buf *out, const sync_reply *m);
FB_MUST_USE fb_code sync_reply_get(fb_text line, arena *scratch, sync_reply *out);

typedef enum verdict_code {
    VERDICT_APPLIED = 1, /* everything stands as sent */
    VERDICT_MERGED = 2,  /* stands, but some columns kept the server's value (columns say which) */
    VERDICT_REJECTED = 3,
    VERDICT_HELD = 4,
    VERDICT_ALIAS = 5, /* applied, but a row is an existing one under another id */
    VERDICT_BLOCKED = 6
} verdict_code;
const char *verdict_name(verdict_code v); /* "applied" ... */

typedef struct verdict_column {
    fb_text entity, id, column; /* id as text */
    bool mine_won;
    fb_text base, mine, theirs; /* as JSON values */
    fb_text policy;             /* "LWW" ... */
} verdict_column;

typedef struct verdict_msg {
    int64_t gseq;
    verdict_code code;
    int64_t cid;              /* commit, 0 if nothing was committed */
    bool echo;                /* rows differ from what was sent: they come in the page */
    fb_code error;            /* REJECTED, HELD, BLOCKED; MERGED: E_ERASED */
    fb_text field;            /* "sales_order_line[3].discount_bp" */
    fb_text text_en, text_zh; /* what is wrong */
    fb_text cure_en, cure_zh; /* what to do */
    int64_t blocked_by;       /* gseq */
    fb_text who;              /* HELD: role that decides */
    fb_text row;              /* the server's row as JSON object, or "" */
    verdict_column *columns;
    uint32_t columns_count;
    struct verdict_alias {
        fb_text entity, from, to;
    } * aliases;
    uint32_t aliases_count;
} verdict_msg;

/* A run of plain applied groups whose commits are consecutive: one short line. */
void verdict_run_put(buf *out, int64_t from, int64_t to, int64_t cid_of_from);
void verdict_put(buf *out, const verdict_msg *m);

typedef struct page_head {
    fb_text token;  /* store with the page, send with the next request */
    bool complete;  /* nothing was left when the page was read: staged pages may be promoted */
    bool reset;     /* drop everything downloaded before (not the outbox): the page starts anew */
    fb_text totals; /* with `complete`: of the device's rows after this page (row_totals_get) */
    bucket_set fix; /* with `complete`: the page holds every row of these buckets */
    fb_text of;     /* goes on from this token and no other (token_mark); empty: from any */
} page_head;

enum { TOKEN_MARK_TEXT_BYTES = 17 };
/* The short name of a token, with its NUL; "" for the empty token. */
void token_mark(fb_text token, char out[TOKEN_MARK_TEXT_BYTES]);
void page_head_put(buf *out, const page_head *m);
void catalog_line_put(buf *out, fb_text catalog_json);

typedef enum reply_line {
    LINE_RUN,
    LINE_VERDICT,
    LINE_CATALOG,
    LINE_PACK,
    LINE_PAGE,
    LINE_END
} reply_line;
typedef struct reply_item {
    reply_line line;
    int64_t run_from, run_to, run_cid;
    verdict_msg verdict;
    fb_text catalog_json;
    pack_offer pack;
    page_head page; /* after LINE_PAGE the blocks follow until LINE_END */
} reply_item;
/* Decode one line that is not a block head or a row. */
FB_MUST_USE fb_code reply_item_get(fb_text line, arena *scratch, reply_item *out);

/* Any non-200 body: {"m":"error","code":"E_AUTH","text":..,"retry":ms} */
typedef struct error_msg {
    fb_code code;
    fb_text text;
    uint32_t retry_ms;
} error_msg;
void error_msg_put(buf *out, const error_msg *m);
FB_MUST_USE fb_code error_msg_get(fb_text body, arena *scratch, error_msg *out);

#endif
