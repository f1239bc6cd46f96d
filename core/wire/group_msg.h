/* group_msg.h - one group: a user's action as the device stored it and the server reads it.
 *
 * One JSON object on one line (protocol.md section 4). The exact bytes are what the chain hash
 * covers (OUT-3): a group is written once at capture and never re-encoded.
 *
 *   {"k":"order.submit","at":"1700000000000","off":"12","sus":0,"cv":3,"rp":"17","why":"...",
 *    "ops":[["+","visit",["id","customer_id",...],[[...],[...]]],
 *           ["~","customer","<id>","<base ver>",["phone"],["old"],["new"]],
 *           ["-","customer_tag","<id>","<base ver>"],
 *           ["^","promotion_quota","<id>",["used"],["3"]]]}
 */
#ifndef FB_WIRE_GROUP_MSG_H
#define FB_WIRE_GROUP_MSG_H

#include "schema/limits.h"
#include "wire/json.h"
#include "wire/row_msg.h"

typedef enum op_kind { OP_INSERT = '+', OP_UPDATE = '~', OP_DELETE = '-', OP_DELTA = '^' } op_kind;

typedef struct group_head {
    fb_text kind;           /* what the person did, "order.submit"; for people and logs */
    int64_t captured_at_ms; /* corrected wall time */
    int64_t offset_ms;      /* correction that was added to the device's wall clock */
    bool clock_suspect;
    uint32_t catalog_version;
    int64_t replaces;  /* gseq of the rejected or held group this one replaces; 0 none */
    fb_id replaces_in; /* the incarnation that counts so; none: whichever sends this */
} group_head;

/* One operation on one row. Values are in catalogue type (fb_value). */
typedef struct group_op {
    op_kind kind;
    const struct cat_entity *entity;
    fb_id id;
    int64_t base_ver; /* OP_UPDATE, OP_DELETE: row.ver the device had; 0 = own unsent/unseen */
    uint32_t columns_count; /* INSERT: without id and ver */
    const int *columns;     /* catalogue column indexes */
    const fb_value *base;   /* OP_UPDATE: values before, else NULL */
    const fb_value *mine;   /* INSERT, UPDATE: values; DELTA: differences */
} group_op;

typedef struct group {
    group_head head;
    group_op *ops;
    uint32_t ops_count;
} group;

/* Writing: begin, ops in order, end. Consecutive inserts of one entity with the same columns
 * share one column list. */
typedef struct group_writer {
    json_writer json;
    const struct cat_entity *open_entity;  /* insert block being written, or NULL */
    int open_columns[CATALOG_COLUMNS_MAX]; /* a copy: the caller may use its own for the next op */
    uint32_t open_columns_count;
} group_writer;

void group_put_begin(group_writer *w, buf *out, const group_head *head);
void group_put_op(group_writer *w, const group_op *op);
void group_put_end(group_writer *w);

/* Reading. Everything lives in `memory` or borrows `text`. Unknown entities or columns:
 * E_PROTOCOL with why (the server answers with a verdict, it never drops the group). */
FB_MUST_USE fb_code group_get(fb_text text, const struct catalog *cat, arena *memory, group *out,
                              fb_error *err);

#endif
