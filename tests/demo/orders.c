/* orders.c - what a rep does in the field, as groups for `fieldbook batch`: one line per order,
 * each a visit with check-in and check-out, the order and its lines: one atomic group. */
#include "demo/demo.h"

#include <stdio.h>

#include "wire/json.h"

enum { BROKEN_DISCOUNT_BP = 3000 };

static int64_t discount_bp(const demo_data *d, uint32_t line_row)
{
    return fixed_point(cell(&d->lines, line_row, "discount"), 4);
}

/* The first order with a line at the highest discount: only the limit makes it wrong. */
broken_order broken_pick(const demo_data *d)
{
    for (uint32_t o = 0; o < d->orders.rows; o++) {
        uint32_t index = 0;
        for (uint32_t l = 0; l < d->lines.rows; l++) {
            if (!text_equal(cell(&d->lines, l, "order_id"), cell(&d->orders, o, "order_id"))) {
                continue;
            }
            if (discount_bp(d, l) == 2500) {
                return (broken_order){
                    .order_row = o, .line_index = index, .true_discount_bp = 2500};
            }
            index++;
        }
    }
    demo_die("the data has no line with a discount of 25 %%");
}

static void percent_put(json_writer *w, const char *key, int64_t bp)
{
    char text[32];
    snprintf(text, sizeof text, "%lld.%02lld", (long long)(bp / 100), (long long)(bp % 100));
    json_put_key(w, key);
    json_put_str(w, text);
}

static void line_put(json_writer *w, const demo_data *d, uint32_t line_row, bool broken)
{
    json_put_object(w);
    json_put_key(w, "product");
    json_put_string(w, cell(&d->lines, line_row, "product_id"));
    json_put_key(w, "qty");
    json_put_string(w, cell(&d->lines, line_row, "quantity"));
    int64_t bp = broken ? BROKEN_DISCOUNT_BP : discount_bp(d, line_row);
    if (bp > 0) {
        percent_put(w, "discount", bp);
    }
    if (price_is_override(d, line_row)) {
        json_put_key(w, "price");
        json_put_string(w, cell(&d->lines, line_row, "unit_price"));
        json_put_key(w, "reason");
        json_put_str(w, "price agreed before the list was published");
    }
    json_put_end(w);
}

static void lines_put(json_writer *w, const demo_data *d, uint32_t order_row,
                      const broken_order *broken)
{
    uint32_t index = 0;
    json_put_key(w, "lines");
    json_put_array(w);
    for (uint32_t l = 0; l < d->lines.rows; l++) {
        if (text_equal(cell(&d->lines, l, "order_id"), cell(&d->orders, order_row, "order_id"))) {
            line_put(w, d, l, broken->order_row == order_row && broken->line_index == index);
            index++;
        }
    }
    json_put_end(w);
}

static void op_begin(json_writer *w, const char *op)
{
    json_put_object(w);
    json_put_key(w, "op");
    json_put_str(w, op);
}

static void text_put(json_writer *w, const char *key, fb_text value)
{
    json_put_key(w, key);
    json_put_string(w, value);
}

static void time_put(json_writer *w, fb_text date, const char *time)
{
    char text[40];
    snprintf(text, sizeof text, "%.*sT%sZ", (int)date.size, date.data, time);
    json_put_key(w, "at");
    json_put_str(w, text);
}

static void group_put(buf *out, const demo_data *d, uint32_t o, const broken_order *broken)
{
    fb_text customer = cell(&d->orders, o, "customer_id"), date = cell(&d->orders, o, "order_date");
    json_writer w;
    json_writer_init(&w, out);
    json_put_object(&w);
    text_put(&w, "kind", text_of("visit.done"));
    json_put_key(&w, "ops");
    json_put_array(&w);
    op_begin(&w, "visit.check_in");
    text_put(&w, "customer", customer);
    time_put(&w, date, "09:00:00");
    json_put_end(&w);
    op_begin(&w, "order.submit");
    text_put(&w, "customer", customer);
    text_put(&w, "date", date);
    text_put(&w, "requested_date", cell(&d->orders, o, "required_date"));
    text_put(&w, "note", cell(&d->orders, o, "order_id"));
    lines_put(&w, d, o, broken);
    json_put_end(&w);
    op_begin(&w, "visit.check_out");
    time_put(&w, date, "09:30:00");
    json_put_end(&w);
    json_put_end(&w);
    json_put_end(&w);
    buf_put_char(out, '\n');
}

uint32_t orders_write(const demo_data *d, uint32_t employee_row, const broken_order *broken,
                      const char *path)
{
    buf out;
    buf_init(&out, 64 << 20);
    uint32_t count = 0;
    for (uint32_t o = 0; o < d->orders.rows; o++) {
        if (text_equal(cell(&d->orders, o, "employee_id"),
                       cell(&d->employees, employee_row, "employee_id"))) {
            group_put(&out, d, o, broken);
            count++;
        }
    }
    file_write(path, &out);
    buf_clear(&out);
    return count;
}
