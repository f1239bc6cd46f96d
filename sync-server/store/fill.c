/* fill.c - see fill.h. */
#include "sync-server/store/fill.h"

#include <string.h>

#include "base/id.h"

fb_value *fill_row(const cat_entity *e, const fb_id *id, arena *memory)
{
    fb_value *values = arena_take(memory, e->columns_count * sizeof *values);
    if (values != NULL) {
        values[0].kind = FB_KIND_ID;
        values[0].u.id = *id;
    }
    return values;
}

static fb_value *place(const cat_entity *e, fb_value *values, const char *column)
{
    int i = cat_column_str(e, column);
    return i >= 0 ? &values[i] : NULL;
}

void fill_text(const cat_entity *e, fb_value *values, const char *column, fb_text text)
{
    fb_value *v = place(e, values, column);
    if (v != NULL) {
        v->kind = text.data != NULL ? FB_KIND_TEXT : FB_KIND_NULL;
        v->u.text = text;
    }
}

void fill_str(const cat_entity *e, fb_value *values, const char *column, const char *text)
{
    fill_text(e, values, column, text_of(text));
}

void fill_int(const cat_entity *e, fb_value *values, const char *column, int64_t number)
{
    fb_value *v = place(e, values, column);
    if (v != NULL) {
        v->kind = FB_KIND_INT;
        v->u.i = number;
    }
}

void fill_id(const cat_entity *e, fb_value *values, const char *column, const fb_id *id)
{
    fb_value *v = place(e, values, column);
    if (v != NULL) {
        v->kind = id_is_none(id) ? FB_KIND_NULL : FB_KIND_ID;
        v->u.id = *id;
    }
}

fb_text value_text(const fb_value *values, int column)
{
    return column >= 0 && values[column].kind == FB_KIND_TEXT ? values[column].u.text
                                                              : (fb_text){NULL, 0};
}

int64_t value_int(const fb_value *values, int column)
{
    return column >= 0 && values[column].kind == FB_KIND_INT ? values[column].u.i : 0;
}

fb_id value_id(const fb_value *values, int column)
{
    return column >= 0 && values[column].kind == FB_KIND_ID ? values[column].u.id : (fb_id){{0}};
}

fb_text row_text(const cat_entity *e, const fb_value *values, const char *column)
{
    return value_text(values, cat_column_str(e, column));
}

int64_t row_int(const cat_entity *e, const fb_value *values, const char *column)
{
    return value_int(values, cat_column_str(e, column));
}

fb_id row_id(const cat_entity *e, const fb_value *values, const char *column)
{
    return value_id(values, cat_column_str(e, column));
}
