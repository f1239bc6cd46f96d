/* erased.h - what a group, or a verdict, says of a person whose data was erased, taken out of it.
 *
 * The server does it to what arrives late and to what it keeps of groups that were not applied, the
 * device to its tray: one rule for both.
 *
 *   ERA-1  a row is erased if it is listed, or hangs, by the scope rules of the catalogue, on one
 *          that is: its personal columns are empty, or "*" where a value is required
 *   ERA-2  a conflict is erased with the personal column it is about, a change request with what it
 *          asks of personal columns; a file (attachment) cannot be emptied: its row goes as a whole
 *          and a change of a row that is gone goes with what else its group says of the person
 *   ERA-3  nothing else of a group changes: an order for that customer is the order it was */
#ifndef FB_WIRE_ERASED_H
#define FB_WIRE_ERASED_H

#include "wire/group_msg.h"

/* Where the rule looks. */
typedef struct erased_view {
    void *ctx;
    const catalog *cat;
    fb_code (*listed)(void *ctx, const fb_id *id, bool *out);
    /* All columns of a row, in `memory`. E_NOT_FOUND. */
    fb_code (*row)(void *ctx, const cat_entity *e, const fb_id *id, arena *memory,
                   fb_value *values);
} erased_view;

/* Which columns of this row must be empty (ERA-1, ERA-2). `values`: the row, NULL: look it up. */
typedef struct erased_columns {
    bool any;
    bool whole;  /* the row itself goes */
    bool absent; /* there is no such row, and nobody knows what it hung on */
    bool column[CATALOG_COLUMNS_LIMIT];
} erased_columns;
FB_MUST_USE fb_code erased_columns_of(const erased_view *v, const cat_entity *e, const fb_id *id,
                                      const fb_value *values, arena *memory, erased_columns *out);
/* What stands in such a column afterwards. */
FB_MUST_USE fb_code erased_value(const erased_view *v, const cat_entity *e, int column,
                                 const fb_value *row, arena *memory, fb_value *out);

/* A value that was taken out of a group; column -1: the row. */
typedef struct erased_part {
    const cat_entity *entity;
    fb_id id;
    int column;
} erased_part;
typedef struct erased_parts {
    erased_part *part;
    uint32_t count, capacity;
} erased_parts;
/* Takes them out of *g; operations and values are copied into `memory` where they change. */
FB_MUST_USE fb_code erased_group(const erased_view *v, group *g, arena *memory, erased_parts *out);
/* A group's line. Appends the new one to `out`; *changed_out false: it says nothing, and nothing is
 * appended. Of a line that cannot be read and names a listed row only the head's kind is left. */
FB_MUST_USE fb_code erased_line(const erased_view *v, fb_text line, arena *memory, buf *out,
                                bool *changed_out);
/* A verdict's line without its "\n", likewise; the new one has its "\n". */
FB_MUST_USE fb_code erased_verdict(const erased_view *v, fb_text line, arena *memory, buf *out,
                                   bool *changed_out);

#endif
