/* kept_row.c - the text in which a row is kept that this device's catalogue does not know, or not
 * whole: a block's head and the row, a line each. See page.c, protocol.md 10.6.
 *
 * Of a row that has a table only what found no place in it is kept, in the form of a move: the
 * other columns may be changed by this device's own groups, which no page repeats, before the
 * catalogue comes. */
#include "replica/room.h"

/* The elements of a list that belong to columns that are not known, and the id. */
static fb_code put_gaps(const block_head *h, uint32_t id_at, json_reader *r, buf *out)
{
    bool first = true;
    buf_put_char(out, '[');
    json_array_begin(r);
    for (uint32_t i = 0; json_array_next(r); i++) {
        fb_text value = json_raw(r);
        if (i < h->columns_count && (i == id_at || h->columns[i] < 0)) {
            buf_put_str(out, first ? "" : ",");
            buf_put_text(out, value);
            first = false;
        }
    }
    buf_put_char(out, ']');
    return out->code;
}

static fb_code put_gap_head(const block_head *h, fb_text head_line, uint32_t id_at, arena *scratch,
                            buf *out)
{
    json_reader r;
    fb_text key;
    buf_put_str(out, "{\"e\":\"");
    buf_put_text(out, h->entity_name);
    buf_put_str(out, "\",\"k\":\"move\",\"c\":");
    json_reader_init(&r, head_line, scratch);
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        if (text_is(key, "c")) {
            FB_TRY(put_gaps(h, id_at, &r, out));
        } else {
            json_skip(&r);
        }
    }
    buf_put_str(out, "}\n");
    return json_finish(&r);
}

fb_code kept_row_put(const block_head *h, fb_text head_line, uint32_t id_at, fb_text line,
                     arena *scratch, buf *out)
{
    if (h->entity == NULL) {
        buf_put_text(out, head_line);
        buf_put_char(out, '\n');
        buf_put_text(out, line);
    } else {
        json_reader r;
        FB_TRY(put_gap_head(h, head_line, id_at, scratch, out));
        json_reader_init(&r, line, scratch);
        FB_TRY(put_gaps(h, id_at, &r, out));
        FB_TRY(json_finish(&r));
    }
    buf_put_char(out, '\n');
    return out->code;
}
