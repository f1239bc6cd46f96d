/* data.c - see demo.h. The expected figures are computed here with plain 64-bit integers, apart
 * from the product's own pricing, so that the two can disagree. */
#include "demo/demo.h"

#include <stdio.h>
#include <string.h>

#include "base/csv.h"

static void table_load(demo_data *d, demo_table *t, const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.csv", folder, name);
    buf file;
    buf_init(&file, 64 << 20);
    if (!file_read(path, &file)) {
        demo_die("cannot read %s", path);
    }
    fb_text text = arena_text(d->memory, buf_text(&file));
    buf_clear(&file);
    csv_reader r;
    csv_reader_init(&r, text, d->memory);
    fb_text fields[CSV_FIELDS_MAX];
    uint32_t count = 0;
    if (csv_next(&r, t->names, &t->columns) != FB_OK || t->columns == 0) {
        demo_die("%s has no header", path);
    }
    t->cells = arena_take(d->memory, sizeof(fb_text) * t->columns * DEMO_LINES_MAX);
    while (csv_next(&r, fields, &count) == FB_OK && count > 0) {
        if (count != t->columns || t->rows == DEMO_LINES_MAX) {
            demo_die("%s line %u is not as expected", path, r.line);
        }
        memcpy(&t->cells[t->rows++ * t->columns], fields, count * sizeof *fields);
    }
    if (r.why != NULL) {
        demo_die("%s line %u: %s", path, r.line, r.why);
    }
}

void data_load(demo_data *d, const char *folder)
{
    *d = (demo_data){.memory = arena_new(64 << 20)};
    table_load(d, &d->regions, folder, "regions");
    table_load(d, &d->territories, folder, "territories");
    table_load(d, &d->employees, folder, "employees");
    table_load(d, &d->employee_territories, folder, "employee_territories");
    table_load(d, &d->customers, folder, "customers");
    table_load(d, &d->categories, folder, "categories");
    table_load(d, &d->products, folder, "products");
    table_load(d, &d->orders, folder, "orders");
    table_load(d, &d->lines, folder, "order_details");
}

fb_text cell(const demo_table *t, uint32_t row, const char *column)
{
    for (uint32_t c = 0; c < t->columns; c++) {
        if (text_is(t->names[c], column)) {
            return t->cells[row * t->columns + c];
        }
    }
    demo_die("the data has no column %s", column);
}

uint32_t row_where(const demo_table *t, const char *column, fb_text value)
{
    for (uint32_t r = 0; r < t->rows; r++) {
        if (text_equal(cell(t, r, column), value)) {
            return r;
        }
    }
    demo_die("the data has no row with %s = %.*s", column, (int)value.size, value.data);
}

fb_text rep_territory(const demo_data *d, uint32_t employee_row)
{
    fb_text id = cell(&d->employees, employee_row, "employee_id");
    fb_text best = {NULL, 0};
    for (uint32_t r = 0; r < d->employee_territories.rows; r++) {
        fb_text code = cell(&d->employee_territories, r, "territory_id");
        if (text_equal(cell(&d->employee_territories, r, "employee_id"), id) &&
            (best.data == NULL || text_compare(code, best) < 0)) {
            best = code;
        }
    }
    return best;
}

int rep_region(const demo_data *d, uint32_t employee_row)
{
    uint32_t t = row_where(&d->territories, "territory_id", rep_territory(d, employee_row));
    return (int)row_where(&d->regions, "region_id", cell(&d->territories, t, "region_id"));
}

int64_t fixed_point(fb_text text, unsigned digits)
{
    int64_t value = 0;
    unsigned decimals = 0;
    bool point = false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (text.data[i] < '0' || text.data[i] > '9' || (point && decimals == digits)) {
            demo_die("not a number: %.*s", (int)text.size, text.data);
        }
        value = value * 10 + (text.data[i] - '0');
        decimals += point;
    }
    for (; decimals < digits; decimals++) {
        value *= 10;
    }
    return value;
}

/* Net of one line in cents, half away from zero: price in 1/10000, discount in 1/10000. */
static int64_t line_net_minor(const demo_data *d, uint32_t row)
{
    int64_t price = fixed_point(cell(&d->lines, row, "unit_price"), 4);
    int64_t quantity = fixed_point(cell(&d->lines, row, "quantity"), 0);
    int64_t discount = fixed_point(cell(&d->lines, row, "discount"), 4);
    int64_t exact = quantity * price * (10000 - discount); /* in 1/100000000 */
    return (exact + 500000) / 1000000;
}

void figures_of_region(const demo_data *d, int region, demo_figures *out)
{
    *out = (demo_figures){0};
    for (uint32_t o = 0; o < d->orders.rows; o++) {
        uint32_t rep = row_where(&d->employees, "employee_id", cell(&d->orders, o, "employee_id"));
        if (rep_region(d, rep) != region) {
            continue;
        }
        out->orders++;
        fb_text order_id = cell(&d->orders, o, "order_id");
        for (uint32_t l = 0; l < d->lines.rows; l++) {
            if (text_equal(cell(&d->lines, l, "order_id"), order_id)) {
                out->lines++;
                out->net_minor += line_net_minor(d, l);
            }
        }
    }
}
