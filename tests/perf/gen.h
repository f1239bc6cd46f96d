/* gen.h - the data of the benches: one seed, the same rows every time.
 *
 * Rows are complete: defaults, derived columns and stamps are filled, so that the floor can insert
 * them as they are and the product is given what a person would give (gen_given). Ids are UUIDv7 in
 * the order of time. Address and position of a customer stand in its remark, so that the count of
 * rows is that of performance.md: 5,000 + 2,000 + 6,000 + 10 rows an order.
 *
 *   GEN-1  a row depends only on the seed, its number and gen_who, never on the order of calls */
#ifndef FB_BENCH_GEN_H
#define FB_BENCH_GEN_H

#include "catalog/catalog.h"
#include "perf/bench.h"

enum {
    GEN_LINES = 8,
    GEN_ORDER_ROWS = GEN_LINES + 2, /* visit, order, lines */
    GEN_LISTS = 3,
    GEN_USERS_MAX = BENCH_DEVICES_MAX,
};

typedef struct gen_size {
    uint32_t customers, products, territories;
    bool
        apart; /* reps share territory 0 only, where nobody sells; rep u sells in territory u + 1 */
} gen_size;
extern const gen_size GEN_FULL; /* 5,000 and 2,000; the rep sells everywhere */
extern const gen_size
    GEN_SMALL; /* 1,020 and 200, apart: an order of one rep is no news for others */

/* Which rep: its orders and numbers differ from those of others. */
typedef struct gen_who {
    uint32_t user; /* 0 .. GEN_USERS_MAX - 1 */
    fb_id device;  /* for stamps */
    fb_text device_code;
} gen_who;

typedef enum gen_kind {
    GEN_ORG_UNIT = 1,
    GEN_TERRITORY,
    GEN_USER,
    GEN_USER_ROLE,
    GEN_USER_TERRITORY,
    GEN_TAX,
    GEN_LIST,
    GEN_LIST_FOR,
    GEN_CATEGORY,
    GEN_CUSTOMER,
    GEN_PRODUCT,
    GEN_PRICE,
    GEN_ROLE,
    GEN_VISIT,
    GEN_ORDER,
    GEN_LINE
} gen_kind;
fb_id gen_id(gen_kind kind, uint32_t number);

/* The non-null columns of one row, ascending. */
typedef struct gen_row {
    const cat_entity *entity;
    uint32_t count;
    const uint8_t *columns;
    const fb_value *values;
} gen_row;

typedef struct gen gen;
gen *gen_new(const catalog *cat, const gen_size *size, const gen_who *who);
void gen_free(gen *g);
const gen_size *gen_size_of(const gen *g);

/* Rows live until gen_free. */
gen_row gen_customer(gen *g, uint32_t number);
gen_row gen_product(gen *g, uint32_t number);
gen_row gen_price(gen *g, uint32_t number); /* customers... three lists of every product */
static inline uint32_t gen_prices(const gen_size *s)
{
    return s->products * GEN_LISTS;
}
/* GEN_ORDER_ROWS rows: visit, order, lines. */
void gen_order(gen *g, uint32_t number, gen_row *rows);
int64_t gen_order_at_ms(uint32_t number);
bool gen_is_member(const gen_size *s, uint32_t user, uint32_t territory);
enum { GEN_SHARED_CUSTOMER = 0 }; /* of territory 0 */

/* Any other row of the company, from columns named in pairs: see company.c. */
typedef struct gen_cell {
    const char *column;
    fb_value value;
} gen_cell;
gen_row gen_make(gen *g, const char *entity, const gen_cell *cells, uint32_t count);
fb_value gen_int(int64_t v);
fb_value gen_text(gen *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
fb_value gen_str(const char *terminated); /* borrowed */
fb_value gen_ref(gen_kind kind, uint32_t number);

/* What a person gives: the row with its id, without derived columns and ver. names and values have
 * room for CATALOG_COLUMNS_LIMIT. Returns how many. */
uint32_t gen_given(const gen_row *row, const char **names, fb_value *values);

#endif
