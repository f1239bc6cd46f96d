/* row_msg.h - rows on the wire: arrays under a column list given once (protocol.md section 6).
 *
 *   {"e":"customer","k":"row","c":["id","code",...,"ver"]}
 *   ["0190...","C001",...,"123"]
 * Integers of 64-bit types travel as strings, of 32-bit types as numbers; ids as text. */
#ifndef FB_WIRE_ROW_MSG_H
#define FB_WIRE_ROW_MSG_H

#include "catalog/catalog.h"
#include "wire/json.h"

void value_put(json_writer *w, const cat_column *c, const fb_value *v);
/* Takes one value; text is borrowed from the reader's text or its scratch. A value of the wrong
 * shape fails the reader with E_PROTOCOL. Does not check ranges (cat_value_check does). */
void value_get(json_reader *r, const cat_column *c, fb_value *out);

/* BLOCK_MOVE: columns of rows that the device holds, the others stay. */
typedef enum block_kind { BLOCK_ROW, BLOCK_LEAVE, BLOCK_DELETE, BLOCK_MOVE } block_kind;

typedef struct block_head {
    const cat_entity
        *entity; /* NULL: an entity this catalogue does not know; rows are kept aside */
    fb_text entity_name;
    block_kind kind;
    int columns[CATALOG_COLUMNS_LIMIT]; /* catalogue indexes, -1 for unknown columns */
    uint32_t columns_count;
} block_head;

void block_head_put(buf *out, const cat_entity *e, block_kind kind, const int *columns,
                    uint32_t count);
FB_MUST_USE fb_code block_head_get(fb_text line, const catalog *cat, arena *scratch,
                                   block_head *out);
/* One array line: `count` values in the block's column order. */
void row_put(buf *out, const cat_entity *e, const int *columns, uint32_t count,
             const fb_value *values);
FB_MUST_USE fb_code row_get(fb_text line, const block_head *head, arena *scratch,
                            fb_value *values_out);

#endif
