/* company.c - what IT imports before the first rep comes: CSV files derived from Northwind.
 *
 * Derived, because Northwind has no such thing:
 *   regions     org units below one company; managers M1..M4, one for each
 *   prices      two lists, before and from PRICE_CHANGE; two products were cheaper on the first day
 *   assignments a customer is assigned to every rep who ever sold to it; its own territory is the
 *               main rep's */
#include "demo/demo.h"

#include <stdio.h>
#include <string.h>

#include "base/csv.h"

#define FIRST_DAY "1996-07-04"
#define SECOND_DAY "1996-07-05"
#define LAST_OF_OLD_PRICES "1997-04-06"
#define PRICE_CHANGE "1997-04-07"

const import_file IMPORTS[] = {
    {"org_unit", "org_unit.csv"},
    {"territory", "territory.csv"},
    {"app_user", "app_user.csv"},
    {"user_role", "user_role.csv"},
    {"user_territory", "user_territory.csv"},
    {"product_category", "product_category.csv"},
    {"tax_code", "tax_code.csv"},
    {"product", "product.csv"},
    {"price_list", "price_list.csv"},
    {"price_list_item", "price_list_item.csv"},
    {"price_assignment", "price_assignment.csv"},
    {"customer", "customer.csv"},
    {"customer_address", "customer_address.csv"},
    {"contact", "contact.csv"},
    {"customer_assignment", "customer_assignment.csv"},
};
const size_t IMPORTS_COUNT = sizeof IMPORTS / sizeof *IMPORTS;

static buf out;

static void start(const char *header)
{
    buf_init(&out, 64 << 20);
    buf_printf(&out, "%s\r\n", header);
}

static void finish(const char *folder, const char *file)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    file_write(path, &out);
    buf_clear(&out);
}

/* Fields of one record; a text field is quoted where needed. */
static void field(fb_text t)
{
    csv_put(&out, t);
}

static void comma(void)
{
    buf_put_char(&out, ',');
}

static void end(void)
{
    buf_put_str(&out, "\r\n");
}

static void organisation(const demo_data *d, const char *folder)
{
    start("code,name,kind,parent_id");
    buf_put_str(&out, "NW,Northwind Traders,company,\r\n");
    for (uint32_t r = 0; r < d->regions.rows; r++) {
        buf_printf(&out, "R%u,", r + 1);
        field(cell(&d->regions, r, "region_description"));
        buf_put_str(&out, ",region,NW\r\n");
    }
    finish(folder, "org_unit.csv");
    start("code,name,org_unit_id");
    for (uint32_t t = 0; t < d->territories.rows; t++) {
        field(cell(&d->territories, t, "territory_id"));
        comma();
        field(cell(&d->territories, t, "territory_description"));
        buf_printf(&out, ",R%u\r\n",
                   row_where(&d->regions, "region_id", cell(&d->territories, t, "region_id")) + 1);
    }
    finish(folder, "territory.csv");
}

static void people(const demo_data *d, const char *folder)
{
    start("code,login,name,org_unit_id,status,locale");
    for (uint32_t e = 0; e < d->employees.rows; e++) {
        fb_text last = cell(&d->employees, e, "last_name"),
                first = cell(&d->employees, e, "first_name");
        buf_printf(&out, "E%u,rep%u,%.*s %.*s,R%d,active,en\r\n", e + 1, e + 1, (int)first.size,
                   first.data, (int)last.size, last.data, rep_region(d, e) + 1);
    }
    for (uint32_t r = 0; r < d->regions.rows; r++) {
        fb_text name = cell(&d->regions, r, "region_description");
        buf_printf(&out, "M%u,manager%u,Manager %.*s,R%u,active,en\r\n", r + 1, r + 1,
                   (int)name.size, name.data, r + 1);
    }
    finish(folder, "app_user.csv");
    start("user_id,role_id");
    for (uint32_t e = 0; e < d->employees.rows; e++) {
        buf_printf(&out, "E%u,REP\r\n", e + 1);
    }
    for (uint32_t r = 0; r < d->regions.rows; r++) {
        buf_printf(&out, "M%u,MGR\r\n", r + 1);
    }
    finish(folder, "user_role.csv");
    start("user_id,territory_id,is_primary");
    for (uint32_t i = 0; i < d->employee_territories.rows; i++) {
        fb_text territory = cell(&d->employee_territories, i, "territory_id");
        uint32_t e = row_where(&d->employees, "employee_id",
                               cell(&d->employee_territories, i, "employee_id"));
        buf_printf(&out, "E%u,%.*s,%d\r\n", e + 1, (int)territory.size, territory.data,
                   text_equal(territory, rep_territory(d, e)));
    }
    finish(folder, "user_territory.csv");
}

static void products(const demo_data *d, const char *folder)
{
    start("code,name");
    for (uint32_t c = 0; c < d->categories.rows; c++) {
        buf_printf(&out, "C%u,", c + 1);
        field(cell(&d->categories, c, "category_name"));
        end();
    }
    finish(folder, "product_category.csv");
    start("code,name,rate_bp,included,active");
    buf_put_str(&out, "T0,No tax,0,0,1\r\n");
    finish(folder, "tax_code.csv");
    start("code,name,category_id,spec,base_uom,type,tax_code_id,status");
    for (uint32_t p = 0; p < d->products.rows; p++) {
        field(cell(&d->products, p, "product_id"));
        comma();
        field(cell(&d->products, p, "product_name"));
        buf_printf(&out, ",C%u,",
                   row_where(&d->categories, "category_id", cell(&d->products, p, "category_id")) +
                       1);
        field(cell(&d->products, p, "quantity_per_unit"));
        buf_put_str(&out, ",EA,good,T0,active\r\n"); /* discontinued ones were sold too */
    }
    finish(folder, "product.csv");
}

/* Price of the product on the first order line in [from, to], or none. */
static fb_text price_between(const demo_data *d, fb_text product, const char *from, const char *to)
{
    for (uint32_t l = 0; l < d->lines.rows; l++) {
        if (!text_equal(cell(&d->lines, l, "product_id"), product) || price_is_override(d, l)) {
            continue;
        }
        uint32_t o = row_where(&d->orders, "order_id", cell(&d->lines, l, "order_id"));
        fb_text date = cell(&d->orders, o, "order_date");
        if (text_compare(date, text_of(from)) >= 0 && text_compare(date, text_of(to)) <= 0) {
            return cell(&d->lines, l, "unit_price");
        }
    }
    return (fb_text){NULL, 0};
}

static void item(const char *list, fb_text product, fb_text price, const char *from, const char *to)
{
    if (price.size > 0) {
        buf_printf(&out, "%s,%.*s,EA,0,%.*s,%s,%s\r\n", list, (int)product.size, product.data,
                   (int)price.size, price.data, from, to);
    }
}

/* The override: product 72 on the first day cost what it cost a year later. */
bool price_is_override(const demo_data *d, uint32_t line_row)
{
    uint32_t o = row_where(&d->orders, "order_id", cell(&d->lines, line_row, "order_id"));
    return text_is(cell(&d->lines, line_row, "product_id"), "72") &&
           text_is(cell(&d->orders, o, "order_date"), FIRST_DAY);
}

static void prices(const demo_data *d, const char *folder)
{
    start("code,name,currency,tax_included,priority,valid_from,valid_to,active");
    buf_put_str(&out, "NW-1996,Prices of 1996,USD,0,0," FIRST_DAY "," LAST_OF_OLD_PRICES ",1\r\n");
    buf_put_str(&out, "NW-1997,Prices of 1997,USD,0,0," PRICE_CHANGE ",,1\r\n");
    finish(folder, "price_list.csv");
    start("price_list_id,product_id,uom,min_qty_milli,price_4dp,valid_from,valid_to");
    for (uint32_t p = 0; p < d->products.rows; p++) {
        fb_text code = cell(&d->products, p, "product_id");
        fb_text first = price_between(d, code, FIRST_DAY, FIRST_DAY);
        fb_text old = price_between(d, code, SECOND_DAY, LAST_OF_OLD_PRICES);
        bool own_first_day = first.size > 0 && !text_equal(first, old);
        if (own_first_day) {
            item("NW-1996", code, first, FIRST_DAY, FIRST_DAY);
        }
        item("NW-1996", code, old, own_first_day ? SECOND_DAY : "", "");
        item("NW-1997", code, price_between(d, code, PRICE_CHANGE, "9999-12-31"), "", "");
    }
    finish(folder, "price_list_item.csv");
    start("target_kind,price_list_id,priority");
    buf_put_str(&out, "global,NW-1996,0\r\nglobal,NW-1997,0\r\n");
    finish(folder, "price_assignment.csv");
}

/* How often the employee sold to the customer. */
static uint32_t sold(const demo_data *d, uint32_t employee, fb_text customer)
{
    uint32_t count = 0;
    fb_text id = cell(&d->employees, employee, "employee_id");
    for (uint32_t o = 0; o < d->orders.rows; o++) {
        count += text_equal(cell(&d->orders, o, "employee_id"), id) &&
                 text_equal(cell(&d->orders, o, "customer_id"), customer);
    }
    return count;
}

static uint32_t main_rep(const demo_data *d, fb_text customer)
{
    uint32_t best = 0, most = 0;
    for (uint32_t e = 0; e < d->employees.rows; e++) {
        uint32_t n = sold(d, e, customer);
        if (n > most) {
            most = n;
            best = e;
        }
    }
    return best;
}

static void customer_row(const demo_data *d, uint32_t c)
{
    fb_text code = cell(&d->customers, c, "customer_id");
    uint32_t rep = main_rep(d, code);
    fb_text territory = rep_territory(d, rep);
    field(code);
    comma();
    field(cell(&d->customers, c, "company_name"));
    buf_printf(&out, ",customer,E%u,%.*s,", rep + 1, (int)territory.size, territory.data);
    field(cell(&d->customers, c, "phone"));
    buf_put_str(&out, ",active,import\r\n");
}

static void customers(const demo_data *d, const char *folder)
{
    start("code,name,party_type,owner_id,territory_id,phone,status,acquisition_source");
    for (uint32_t c = 0; c < d->customers.rows; c++) {
        customer_row(d, c);
    }
    finish(folder, "customer.csv");
    start("customer_id,kind,street,postcode");
    for (uint32_t c = 0; c < d->customers.rows; c++) {
        field(cell(&d->customers, c, "customer_id"));
        buf_put_str(&out, ",visit,");
        buf street;
        buf_init(&street, 4096);
        buf_put_text(&street, cell(&d->customers, c, "address"));
        buf_put_str(&street, ", ");
        buf_put_text(&street, cell(&d->customers, c, "city"));
        buf_put_str(&street, ", ");
        buf_put_text(&street, cell(&d->customers, c, "country"));
        field(buf_text(&street));
        buf_clear(&street);
        comma();
        field(cell(&d->customers, c, "postal_code"));
        end();
    }
    finish(folder, "customer_address.csv");
    start("customer_id,name,title,is_primary,status");
    for (uint32_t c = 0; c < d->customers.rows; c++) {
        field(cell(&d->customers, c, "customer_id"));
        comma();
        field(cell(&d->customers, c, "contact_name"));
        comma();
        field(cell(&d->customers, c, "contact_title"));
        buf_put_str(&out, ",1,active\r\n");
    }
    finish(folder, "contact.csv");
    start("customer_id,user_id,territory_id,from_at,reason");
    for (uint32_t c = 0; c < d->customers.rows; c++) {
        fb_text code = cell(&d->customers, c, "customer_id");
        for (uint32_t e = 0; e < d->employees.rows; e++) {
            fb_text territory = rep_territory(d, e);
            if (sold(d, e, code) > 0) {
                field(code);
                buf_printf(&out, ",E%u,%.*s,1996-07-04T00:00:00Z,develop\r\n", e + 1,
                           (int)territory.size, territory.data);
            }
        }
    }
    finish(folder, "customer_assignment.csv");
}

void company_write(const demo_data *d, const char *folder)
{
    organisation(d, folder);
    people(d, folder);
    products(d, folder);
    prices(d, folder);
    customers(d, folder);
}
