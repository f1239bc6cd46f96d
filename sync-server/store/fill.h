/* fill.h - a row built and read by column names, as for rows the server makes itself (conflict,
 * role
 * ...).
 *
 * A column the active catalogue does not have is left out: names are the built-in catalogue's.
 * Values are borrowed, not copied. */
#ifndef FB_STORE_FILL_H
#define FB_STORE_FILL_H

#include "catalog/catalog.h"

/* columns_count null values with the id set; NULL when the arena is full. */
fb_value *fill_row(const cat_entity *e, const fb_id *id, arena *memory);
void fill_text(const cat_entity *e, fb_value *values, const char *column,
               fb_text text); /* no data: null */
void fill_str(const cat_entity *e, fb_value *values, const char *column, const char *text);
void fill_int(const cat_entity *e, fb_value *values, const char *column, int64_t v);
void fill_id(const cat_entity *e, fb_value *values, const char *column,
             const fb_id *id); /* none: null */

/* Columns of a row by name; empty values where there is no such column. */
fb_text row_text(const cat_entity *e, const fb_value *values, const char *column);
int64_t row_int(const cat_entity *e, const fb_value *values, const char *column);
fb_id row_id(const cat_entity *e, const fb_value *values, const char *column);
/* The same by column number; -1 gives the empty value. */
fb_text value_text(const fb_value *values, int column);
int64_t value_int(const fb_value *values, int column);
fb_id value_id(const fb_value *values, int column);

#endif
