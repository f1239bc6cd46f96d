/* facts.c - see facts.h. Each product, list and tax code is read once and kept in the cache. */
#include "sync-server/decide/facts.h"

enum { SHELF_BUCKETS = 1024 };
typedef struct price_shelf {
    product_facts *products[SHELF_BUCKETS];
    list_facts *lists;
    tax_facts *taxes;
    order_columns columns;
} price_shelf;

/* clang-format off */
#define AT(part, name) {#name, offsetof(order_columns, part.name)}
static const struct column_name {
    const char *name;
    size_t at;
} ORDER_COLUMNS[] = {
    AT(o, status), AT(o, customer_id), AT(o, order_date), AT(o, currency), AT(o, price_list_id), AT(o, payment_term),
    AT(o, header_discount), AT(o, freight_amount), AT(o, rounding), AT(o, subtotal), AT(o, line_discount), AT(o, tax),
    AT(o, total),
}, LINE_COLUMNS[] = {
    AT(l, order_id), AT(l, line_no), AT(l, product_id), AT(l, uom), AT(l, qty_milli), AT(l, base_qty_milli),
    AT(l, unit_price_4dp), AT(l, list_price_4dp), AT(l, price_source), AT(l, reason), AT(l, discount_bp),
    AT(l, tax_code_id), AT(l, net), AT(l, tax), AT(l, gross),
}, CUSTOMER_COLUMNS[] = {
    AT(c, status), AT(c, territory_id), AT(c, channel), AT(c, grade), AT(c, price_list_id),
};
#undef AT
/* clang-format on */

static void columns_find(const cat_entity *e, const struct column_name *names, size_t count,
                         order_columns *out)
{
    for (size_t i = 0; i < count; i++) {
        *(int *)(void *)((char *)out + names[i].at) = cat_column_str(e, names[i].name);
    }
}

/* Without them no order can be judged. Columns that are missing count as empty. */
static const struct {
    const char *entity;
    size_t at; /* in order_columns */
} NEEDED[] = {
    {"sales_order", offsetof(order_columns, order)},
    {"sales_order_line", offsetof(order_columns, line)},
    {"customer", offsetof(order_columns, customer)},
    {"product", offsetof(order_columns, product)},
    {"product_uom", offsetof(order_columns, uom)},
    {"tax_code", offsetof(order_columns, tax)},
    {"price_list", offsetof(order_columns, list)},
    {"price_list_item", offsetof(order_columns, item)},
    {"price_assignment", offsetof(order_columns, assignment)},
};

static fb_code columns_read(decide *d, order_columns *out)
{
    for (size_t i = 0; i < sizeof NEEDED / sizeof NEEDED[0]; i++) {
        const cat_entity *e = catalog_entity_str(d->cat, NEEDED[i].entity);
        if (e == NULL) {
            return FB_E_CATALOG;
        }
        *(const cat_entity **)(void *)((char *)out + NEEDED[i].at) = e;
    }
    columns_find(out->order, ORDER_COLUMNS, sizeof ORDER_COLUMNS / sizeof ORDER_COLUMNS[0], out);
    columns_find(out->line, LINE_COLUMNS, sizeof LINE_COLUMNS / sizeof LINE_COLUMNS[0], out);
    columns_find(out->customer, CUSTOMER_COLUMNS,
                 sizeof CUSTOMER_COLUMNS / sizeof CUSTOMER_COLUMNS[0], out);
    return FB_OK;
}

fb_code facts_columns(decide *d, const order_columns **out)
{
    price_shelf *shelf = d->cache->shelf;
    if (shelf == NULL) {
        shelf = arena_take(d->cache->memory, sizeof *shelf);
        if (shelf == NULL) {
            return FB_E_NO_MEMORY;
        }
        FB_TRY(columns_read(d, &shelf->columns));
        d->cache->shelf = shelf;
    }
    *out = &shelf->columns;
    return FB_OK;
}

/* A row read into the cache's memory; *found false when there is none. */
static fb_code cached_row(decide *d, const cat_entity *e, const fb_id *id, fb_value **row_out,
                          bool *found)
{
    *found = false;
    *row_out = arena_take(d->cache->memory, e->columns_count * sizeof **row_out);
    if (*row_out == NULL) {
        return FB_E_NO_MEMORY;
    }
    d->cache->weight += 4;
    fb_code rc = store_row_get(d->view, e, id, d->cache->memory, *row_out);
    *found = rc == FB_OK;
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

typedef struct facts_load {
    decide *d;
    const cat_entity *e;
    product_facts *product;
    list_facts *list;
} facts_load;

static fb_code rows_read(facts_load *l, const cat_entity *e, const char *column, const fb_id *id,
                         fb_code (*take)(void *ctx, const fb_value *values))
{
    fb_value equal = {.kind = FB_KIND_ID, .u.id = *id};
    l->e = e;
    return store_rows_by(l->d->view, e, cat_column_str(e, column), &equal, l->d->cache->memory,
                         take, l);
}

fb_code facts_tax(decide *d, const fb_id *id, tax_facts **out)
{
    price_shelf *shelf = d->cache->shelf;
    const cat_entity *e = shelf->columns.tax;
    fb_value *row = NULL;
    for (*out = shelf->taxes; *out != NULL; *out = (*out)->next) {
        if (id_equal(&(*out)->id, id)) {
            return FB_OK;
        }
    }
    tax_facts *t = arena_take(d->cache->memory, sizeof *t);
    if (t == NULL) {
        return FB_E_NO_MEMORY;
    }
    t->id = *id;
    FB_TRY(cached_row(d, e, id, &row, &t->found));
    t->rate_bp = t->found ? (int32_t)row_int(e, row, "rate_bp") : 0;
    t->next = shelf->taxes;
    shelf->taxes = t;
    *out = t;
    return FB_OK;
}

static fb_code assignment_take(void *ctx, const fb_value *values)
{
    facts_load *l = ctx;
    struct assignment_facts *a = arena_take(l->d->cache->memory, sizeof *a);
    if (a == NULL) {
        return FB_E_NO_MEMORY;
    }
    a->kind = row_text(l->e, values, "target_kind");
    a->code = row_text(l->e, values, "target_code");
    a->customer = row_id(l->e, values, "customer_id");
    a->territory = row_id(l->e, values, "territory_id");
    a->priority = (int32_t)row_int(l->e, values, "priority");
    a->next = l->list->assignments;
    l->list->assignments = a;
    l->d->cache->weight++;
    return FB_OK;
}

static fb_code list_read(decide *d, list_facts *l)
{
    const order_columns *cols = &d->cache->shelf->columns;
    const cat_entity *e = cols->list;
    fb_value *row = NULL;
    facts_load load = {.d = d, .list = l};
    FB_TRY(cached_row(d, e, &l->id, &row, &l->found));
    if (!l->found) {
        return FB_OK;
    }
    l->active = row_int(e, row, "active") != 0;
    l->tax_included = row_int(e, row, "tax_included") != 0;
    l->currency = row_text(e, row, "currency");
    l->from = row_text(e, row, "valid_from");
    l->to = row_text(e, row, "valid_to");
    l->priority = (int32_t)row_int(e, row, "priority");
    return rows_read(&load, cols->assignment, "price_list_id", &l->id, assignment_take);
}

fb_code facts_list(decide *d, const fb_id *id, list_facts **out)
{
    price_shelf *shelf = d->cache->shelf;
    for (*out = shelf->lists; *out != NULL; *out = (*out)->next) {
        if (id_equal(&(*out)->id, id)) {
            return FB_OK;
        }
    }
    list_facts *l = arena_take(d->cache->memory, sizeof *l);
    if (l == NULL) {
        return FB_E_NO_MEMORY;
    }
    l->id = *id;
    FB_TRY(list_read(d, l));
    l->next = shelf->lists;
    shelf->lists = l;
    *out = l;
    return FB_OK;
}

/* The list is looked up afterwards: store_rows_by is busy now. */
static fb_code item_take(void *ctx, const fb_value *values)
{
    facts_load *l = ctx;
    item_facts *i = arena_take(l->d->cache->memory, sizeof *i);
    list_facts *named = arena_take(l->d->cache->memory, sizeof *named);
    if (i == NULL || named == NULL) {
        return FB_E_NO_MEMORY;
    }
    named->id = row_id(l->e, values, "price_list_id");
    i->id = values[0].u.id;
    i->list = named;
    i->uom = row_text(l->e, values, "uom");
    i->from = row_text(l->e, values, "valid_from");
    i->to = row_text(l->e, values, "valid_to");
    i->min_qty_milli = row_int(l->e, values, "min_qty_milli");
    i->price_4dp = row_int(l->e, values, "price_4dp");
    i->next = l->product->items;
    l->product->items = i;
    l->product->items_count++;
    l->d->cache->weight++;
    return FB_OK;
}

static fb_code uom_take(void *ctx, const fb_value *values)
{
    facts_load *l = ctx;
    uom_facts *u = arena_take(l->d->cache->memory, sizeof *u);
    if (u == NULL) {
        return FB_E_NO_MEMORY;
    }
    u->uom = row_text(l->e, values, "uom");
    u->num = row_int(l->e, values, "num");
    u->den = row_int(l->e, values, "den");
    u->next = l->product->uoms;
    l->product->uoms = u;
    l->d->cache->weight++;
    return FB_OK;
}

static fb_code product_read(decide *d, product_facts *p)
{
    const order_columns *cols = &d->cache->shelf->columns;
    const cat_entity *e = cols->product;
    fb_value *row = NULL;
    facts_load load = {.d = d, .product = p};
    FB_TRY(cached_row(d, e, &p->id, &row, &p->found));
    if (!p->found) {
        return FB_OK;
    }
    p->active = text_is(row_text(e, row, "status"), "active");
    p->base_uom = row_text(e, row, "base_uom");
    p->tax_code = row_id(e, row, "tax_code_id");
    p->min_order_qty_milli = row_int(e, row, "min_order_qty");
    p->order_multiple_milli = row_int(e, row, "order_multiple");
    FB_TRY(rows_read(&load, cols->uom, "product_id", &p->id, uom_take));
    FB_TRY(rows_read(&load, cols->item, "product_id", &p->id, item_take));
    for (item_facts *i = p->items; i != NULL; i = i->next) {
        fb_id list = i->list->id;
        FB_TRY(facts_list(d, &list, &i->list));
    }
    return FB_OK;
}

fb_code facts_product(decide *d, const fb_id *id, product_facts **out)
{
    price_shelf *shelf = d->cache->shelf;
    product_facts **bucket =
        &shelf->products[(id->b[5] * 251u + id->b[6] * 67u + id->b[7] * 31u + id->b[15]) %
                         SHELF_BUCKETS];
    for (*out = *bucket; *out != NULL; *out = (*out)->next) {
        if (id_equal(&(*out)->id, id)) {
            return FB_OK;
        }
    }
    product_facts *p = arena_take(d->cache->memory, sizeof *p);
    if (p == NULL) {
        return FB_E_NO_MEMORY;
    }
    p->id = *id;
    FB_TRY(product_read(d, p));
    p->next = *bucket;
    *bucket = p;
    *out = p;
    return FB_OK;
}
