/* gen.c - see gen.h. */
#include "perf/gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "rules/price.h"
#include "rules/row_check.h"

#define MASTER_FROM_MS INT64_C(1748736000000) /* 2025-06-01 */
#define ORDERS_FROM_MS INT64_C(1769994000000) /* 2026-02-02 01:00 */

enum {
    DAY_MS = 86400000,
    ORDERS_A_DAY = 100,
    ORDER_EVERY_MS = 300000,
    TAX_BP = 1300,
    MEMORY_BYTES = 1 << 30,
};

const gen_size GEN_FULL = {5000, 2000, 8, false};
const gen_size GEN_SMALL = {1020, 200, 102, true};

struct gen {
    const catalog *cat;
    gen_size size;
    gen_who who;
    arena *memory;
    char device_code[16];
};

gen *gen_new(const catalog *cat, const gen_size *size, const gen_who *who)
{
    gen *g = calloc(1, sizeof *g);
    if (g == NULL || (g->memory = arena_new(MEMORY_BYTES)) == NULL) {
        bench_die("out of memory");
    }
    g->cat = cat;
    g->size = *size;
    g->who = *who;
    snprintf(g->device_code, sizeof g->device_code, "%.*s", (int)who->device_code.size,
             who->device_code.data);
    return g;
}

void gen_free(gen *g)
{
    if (g != NULL) {
        arena_free(g->memory);
        free(g);
    }
}

const gen_size *gen_size_of(const gen *g)
{
    return &g->size;
}

/* ---------------------------------------------------------------- chance, ids, values */

/* splitmix64 over (what, number): GEN-1. */
static uint32_t draw(uint64_t what, uint64_t number, uint32_t below)
{
    uint64_t z = UINT64_C(0x5DEECE66D) + what * UINT64_C(0x9E3779B97F4A7C15) +
                 number * UINT64_C(0xD1B54A32D192ED03);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ (z >> 31)) % below);
}

static fb_id id_at(int64_t ms, uint32_t counter, uint64_t tail)
{
    fb_id id;
    for (unsigned i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    }
    id.b[6] = (uint8_t)(0x70 | (counter >> 8 & 15));
    id.b[7] = (uint8_t)counter;
    for (unsigned i = 0; i < 8; i++) {
        id.b[8 + i] = (uint8_t)(tail >> (8 * (7 - i)));
    }
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 63));
    return id;
}

fb_id gen_id(gen_kind kind, uint32_t number)
{
    return id_at(MASTER_FROM_MS + (int64_t)kind * DAY_MS + number / 8, number % 8,
                 UINT64_C(0x2A6F31C95B7E8D04));
}

/* Rows of one rep share their tail, as the ids of one device do. */
static fb_id order_row_id(const gen *g, uint32_t order, uint32_t row)
{
    return id_at(gen_order_at_ms(order), row,
                 UINT64_C(0x2B17C4E3A9D85F10) + g->who.user * UINT64_C(0x10001));
}

int64_t gen_order_at_ms(uint32_t number)
{
    return ORDERS_FROM_MS + (int64_t)(number / ORDERS_A_DAY) * DAY_MS +
           (int64_t)(number % ORDERS_A_DAY) * ORDER_EVERY_MS;
}

fb_value gen_int(int64_t v)
{
    return (fb_value){.kind = FB_KIND_INT, .u.i = v};
}

fb_value gen_str(const char *terminated)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(terminated)};
}

fb_value gen_text(gen *g, const char *format, ...)
{
    char room[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(room, sizeof room, format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof room) {
        bench_die("a generated text is too long");
    }
    fb_text text = arena_text(g->memory, (fb_text){room, (size_t)n});
    if (text.data == NULL) {
        bench_die("out of memory");
    }
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text};
}

static fb_value id_value(fb_id id)
{
    return (fb_value){.kind = FB_KIND_ID, .u.id = id};
}

fb_value gen_ref(gen_kind kind, uint32_t number)
{
    return id_value(gen_id(kind, number));
}

/* Year, month and day of a day number since 1970 (proleptic Gregorian). */
static fb_value date_value(gen *g, int64_t at_ms)
{
    int64_t z = at_ms / DAY_MS + 719468;
    int64_t era = z / 146097, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    return gen_text(g, "%04d-%02d-%02d", (int)(yoe + era * 400 + (month <= 2)), (int)month,
                    (int)day);
}

/* ---------------------------------------------------------------- rows */

static void stamp(const cat_entity *e, const gen *g, fb_value *values, int64_t at_ms)
{
    static const char *const PERSONS[] = {"created_by", "updated_by"}, *const TIMES[] = {
                                                                           "created_at",
                                                                           "updated_at"};
    for (int i = 0; i < 2; i++) {
        values[cat_column_str(e, PERSONS[i])] = gen_ref(GEN_USER, g->who.user);
        values[cat_column_str(e, TIMES[i])] = gen_int(at_ms);
    }
    values[cat_column_str(e, "created_device")] = id_value(g->who.device);
}

static gen_row row_keep(gen *g, const cat_entity *e, const fb_value *values)
{
    gen_row row = {.entity = e};
    uint8_t *columns = arena_take(g->memory, e->columns_count);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        row.count += values[i].kind != FB_KIND_NULL;
    }
    fb_value *kept = arena_take(g->memory, row.count * sizeof *kept);
    if (columns == NULL || kept == NULL) {
        bench_die("out of memory");
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (values[i].kind != FB_KIND_NULL) {
            columns[n] = (uint8_t)i;
            kept[n++] = values[i];
        }
    }
    row.columns = columns;
    row.values = kept;
    return row;
}

static gen_row row_make(gen *g, const char *entity, const gen_cell *cells, uint32_t count,
                        int64_t at_ms)
{
    const cat_entity *e = catalog_entity_str(g->cat, entity);
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        int column = cat_column_str(e, cells[i].column);
        if (column < 0) {
            bench_die("%s has no column %s", entity, cells[i].column);
        }
        values[column] = cells[i].value;
    }
    if (e->stamps) {
        stamp(e, g, values, at_ms);
    }
    values[cat_ver_column(e)] = gen_int(0);
    must(row_derive(e, values, g->memory), NULL, "a generated row");
    return row_keep(g, e, values);
}

gen_row gen_make(gen *g, const char *entity, const gen_cell *cells, uint32_t count)
{
    return row_make(g, entity, cells, count, MASTER_FROM_MS);
}

#define ROW(g, entity, at_ms, ...)                       \
    row_make(g, entity, (const gen_cell[]){__VA_ARGS__}, \
             sizeof((const gen_cell[]){__VA_ARGS__}) / sizeof(gen_cell), at_ms)

uint32_t gen_given(const gen_row *row, const char **names, fb_value *values)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        const cat_column *c = &row->entity->columns[row->columns[i]];
        bool made = c->derived || row->columns[i] == cat_ver_column(row->entity);
        if (!made || row->columns[i] == 0) {
            names[count] = c->name.data;
            values[count++] = row->values[i];
        }
    }
    return count;
}

/* ---------------------------------------------------------------- master data */

static const char *const PLACES[] = {"上海", "北京", "广州", "深圳", "杭州", "成都",
                                     "武汉", "南京", "西安", "苏州", "青岛", "大连",
                                     "厦门", "宁波", "长沙", "郑州"};
static const char *const TRADES[] = {"便利店",   "超市",         "食品商行",     "烟酒店",
                                     "百货公司", "餐饮有限公司", "贸易有限公司", "粮油店"};
static const char *const WORDS[] = {"华联",   "永辉", "美佳", "家乐", "惠民", "天天",
                                    "新世纪", "金桥", "东方", "红旗", "丰源", "百姓",
                                    "好邻居", "乐购", "福满", "顺发"};
static const char *const LATIN[] = {"Müller",       "Nordic",  "Blue Harbour", "Café Lumière",
                                    "Old Mill",     "Sunrise", "García",       "Kowalski",
                                    "Green Valley", "Atlas",   "Riverside",    "Øresund"};
static const char *const LATIN_TRADES[] = {"Foods",       "Market", "Deli & Co.",
                                           "Trading Ltd", "Stores", "Bistro"};
static const char *const ROADS[] = {"南京路", "人民路", "解放大道", "中山路",
                                    "建设街", "和平路", "长江路",   "文化街"};
static const char *const GRADES[] = {"A", "B", "C", "D"};
static const char *const BRANDS[] = {"Lotus", "清泉", "Tiger", "金麦", "Alpine", "东海"};
static const char *const GOODS[] = {"矿泉水", "绿茶",         "牛奶饼干", "Dark Chocolate",
                                    "方便面", "Orange Juice", "酱油",     "大米"};
static const char *const SPECS[] = {"500ml*24", "330ml*12", "1kg", "5kg", "200g*10", "75g*48"};

#define PICK(list, what, number) list[draw(what, number, sizeof list / sizeof *list)]

static fb_value customer_name(gen *g, uint32_t n)
{
    if (draw(1, n, 5) == 0) {
        return gen_text(g, "%s %s %u", PICK(LATIN, 2, n), PICK(LATIN_TRADES, 3, n), n % 97 + 1);
    }
    return gen_text(g, "%s%s%s%u店", PICK(PLACES, 4, n), PICK(WORDS, 5, n), PICK(TRADES, 6, n),
                    n % 97 + 1);
}

/* The owner sees a customer wherever it is. */
static uint32_t owner_of(const gen *g, uint32_t customer)
{
    uint32_t territory = customer % g->size.territories;
    return g->size.apart && territory > 0 ? territory - 1 : 0;
}

gen_row gen_customer(gen *g, uint32_t n)
{
    fb_value place =
        gen_text(g, "%s市%s%u号 (31.%07u, 121.%07u)", PICK(PLACES, 4, n), PICK(ROADS, 7, n),
                 draw(8, n, 2000) + 1, draw(9, n, 10000000), draw(10, n, 10000000));
    return ROW(g, "customer", MASTER_FROM_MS + n, {"id", gen_ref(GEN_CUSTOMER, n)},
               {"code", gen_text(g, "C%05u", n + 1)}, {"name", customer_name(g, n)},
               {"party_type", gen_str("customer")},
               {"channel", gen_str(draw(11, n, 2) == 0 ? "retail" : "direct")},
               {"grade", gen_str(PICK(GRADES, 12, n))},
               {"phone", gen_text(g, "+861%u%08u", 30 + draw(13, n, 60), draw(14, n, 100000000))},
               {"owner_id", gen_ref(GEN_USER, owner_of(g, n))},
               {"territory_id", gen_ref(GEN_TERRITORY, n % g->size.territories)}, {"remark", place},
               {"status", gen_str("active")});
}

gen_row gen_product(gen *g, uint32_t n)
{
    return ROW(
        g, "product", MASTER_FROM_MS, {"id", gen_ref(GEN_PRODUCT, n)},
        {"code", gen_text(g, "P%04u", n + 1)},
        {"name", gen_text(g, "%s %s %u", PICK(BRANDS, 20, n), PICK(GOODS, 21, n), n % 89 + 1)},
        {"category_id", gen_ref(GEN_CATEGORY, n % 8)}, {"brand", gen_str(PICK(BRANDS, 20, n))},
        {"spec", gen_str(PICK(SPECS, 22, n))}, {"base_uom", gen_str("EA")},
        {"gtin", gen_text(g, "69%011u", draw(23, n, 1000000000))},
        {"tax_code_id", gen_ref(GEN_TAX, 0)}, {"status", gen_str("active")});
}

/* 1/10000, in whole cents. */
static int64_t price_4dp(uint32_t product, uint32_t list)
{
    int64_t cents = 150 + (int64_t)draw(30, product, 20000);
    return (cents - cents * (int64_t)list * 5 / 100) * 100;
}

gen_row gen_price(gen *g, uint32_t n)
{
    uint32_t product = n / GEN_LISTS, list = n % GEN_LISTS;
    return ROW(g, "price_list_item", MASTER_FROM_MS, {"id", gen_ref(GEN_PRICE, n)},
               {"price_list_id", gen_ref(GEN_LIST, list)},
               {"product_id", gen_ref(GEN_PRODUCT, product)}, {"uom", gen_str("EA")},
               {"min_qty_milli", gen_int(0)}, {"price_4dp", gen_int(price_4dp(product, list))});
}

/* ---------------------------------------------------------------- orders */

typedef struct order_plan {
    uint32_t number, customer;
    int64_t at_ms;
    price_line lines[GEN_LINES];
    uint32_t products[GEN_LINES];
    price_totals totals;
} order_plan;

bool gen_is_member(const gen_size *s, uint32_t user, uint32_t territory)
{
    return !s->apart || territory == 0 || territory == user + 1;
}

static uint32_t customer_of(const gen *g, uint64_t seed)
{
    if (!g->size.apart) {
        return draw(40, seed, g->size.customers);
    }
    return g->who.user + 1 +
           g->size.territories * draw(40, seed, g->size.customers / g->size.territories);
}

/* Products of one order differ: a start and a stride. Prices are the first list's. */
static void order_plan_make(gen *g, uint32_t n, order_plan *o)
{
    uint64_t seed = n + (uint64_t)g->who.user * 1000003;
    *o = (order_plan){.number = n, .customer = customer_of(g, seed), .at_ms = gen_order_at_ms(n)};
    uint32_t start = draw(41, seed, g->size.products), stride = g->size.products / GEN_LINES;
    for (uint32_t i = 0; i < GEN_LINES; i++) {
        o->products[i] =
            (start + i * stride + draw(42, seed * GEN_LINES + i, stride)) % g->size.products;
        o->lines[i] =
            (price_line){.qty_milli = 1000 * (1 + (int64_t)draw(43, seed * GEN_LINES + i, 24)),
                         .price_4dp = price_4dp(o->products[i], 0),
                         .tax_rate_bp = TAX_BP,
                         .currency_digits = 2};
        must(price_line_compute(&o->lines[i]), NULL, "a generated line");
    }
    must(price_totals_compute(o->lines, GEN_LINES, 0, 0, &o->totals), NULL, "a generated order");
}

static gen_row visit_row(gen *g, const order_plan *o)
{
    uint32_t n = o->number;
    return ROW(g, "visit", o->at_ms, {"id", id_value(order_row_id(g, n, 0))},
               {"visit_no", gen_text(g, "VS-%s-%06u", g->device_code, n + 1)},
               {"customer_id", gen_ref(GEN_CUSTOMER, o->customer)},
               {"user_id", gen_ref(GEN_USER, g->who.user)},
               {"territory_id", gen_ref(GEN_TERRITORY, o->customer % g->size.territories)},
               {"visit_date", date_value(g, o->at_ms)}, {"check_in_at", gen_int(o->at_ms - 600000)},
               {"check_in_lat_e7", gen_int(310000000 + draw(50, n, 10000000))},
               {"check_in_lon_e7", gen_int(1210000000 + draw(51, n, 10000000))},
               {"check_in_accuracy_m", gen_int(5 + draw(52, n, 40))},
               {"geo_result", gen_str("no_address")}, {"check_out_at", gen_int(o->at_ms)},
               {"duration_s", gen_int(600)}, {"productive", gen_int(1)},
               {"status", gen_str("completed")});
}

static gen_row order_row(gen *g, const order_plan *o)
{
    uint32_t n = o->number;
    return ROW(g, "sales_order", o->at_ms, {"id", id_value(order_row_id(g, n, 1))},
               {"order_no", gen_text(g, "SO-%s-%06u", g->device_code, n + 1)},
               {"customer_id", gen_ref(GEN_CUSTOMER, o->customer)},
               {"user_id", gen_ref(GEN_USER, g->who.user)},
               {"territory_id", gen_ref(GEN_TERRITORY, o->customer % g->size.territories)},
               {"visit_id", id_value(order_row_id(g, n, 0))},
               {"order_date", date_value(g, o->at_ms)},
               {"requested_date", date_value(g, o->at_ms + 2 * (int64_t)DAY_MS)},
               {"price_list_id", gen_ref(GEN_LIST, 0)}, {"currency", gen_str("CNY")},
               {"subtotal", gen_int(o->totals.subtotal_minor)},
               {"line_discount", gen_int(o->totals.line_discount_minor)},
               {"tax", gen_int(o->totals.tax_minor)}, {"total", gen_int(o->totals.total_minor)},
               {"price_as_of", gen_int(o->at_ms)}, {"submitted_at", gen_int(o->at_ms)},
               {"status", gen_str("submitted")});
}

static gen_row line_row(gen *g, const order_plan *o, uint32_t i)
{
    const price_line *l = &o->lines[i];
    return ROW(g, "sales_order_line", o->at_ms, {"id", id_value(order_row_id(g, o->number, 2 + i))},
               {"order_id", id_value(order_row_id(g, o->number, 1))},
               {"line_no", gen_int(1 + (int64_t)i)},
               {"product_id", gen_ref(GEN_PRODUCT, o->products[i])}, {"uom", gen_str("EA")},
               {"qty_milli", gen_int(l->qty_milli)}, {"base_qty_milli", gen_int(l->qty_milli)},
               {"unit_price_4dp", gen_int(l->price_4dp)}, {"list_price_4dp", gen_int(l->price_4dp)},
               {"price_source", gen_str("list")}, {"tax_code_id", gen_ref(GEN_TAX, 0)},
               {"net", gen_int(l->net_minor)}, {"tax", gen_int(l->tax_minor)},
               {"gross", gen_int(l->gross_minor)});
}

void gen_order(gen *g, uint32_t number, gen_row *rows)
{
    order_plan o;
    order_plan_make(g, number, &o);
    rows[0] = visit_row(g, &o);
    rows[1] = order_row(g, &o);
    for (uint32_t i = 0; i < GEN_LINES; i++) {
        rows[2 + i] = line_row(g, &o, i);
    }
}
