/* price.c - see price.h for PRC-1 and PRC-2. Where a number must be exact over more than 64 bits,
 * base/decimal does it; nothing here divides or rounds by itself. */
#include "rules/price.h"

#include "base/check.h"
#include "base/decimal.h"
#include "base/id.h"

enum { BP_WHOLE = 10000, DIGITS_LIMIT = 4, SCALE_DIGITS = 11 /* 1000 * 10000 * 10000 */ };

static bool dates_hold(fb_text from, fb_text to, fb_text date)
{
    return (from.size == 0 || text_compare(from, date) <= 0) &&
           (to.size == 0 || text_compare(date, to) <= 0);
}

static bool candidate_fits(const price_candidate *c, fb_text uom, int64_t qty_milli, fb_text date)
{
    return text_equal(c->uom, uom) && c->min_qty_milli <= qty_milli &&
           dates_hold(c->item_from, c->item_to, date) && dates_hold(c->list_from, c->list_to, date);
}

static int order_of(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* > 0 when a is the better candidate. A total order over distinct items: PRC-2. An open date ("")
 * sorts before every day. */
static int candidate_order(const price_candidate *a, const price_candidate *b)
{
    const int keys[] = {
        order_of(a->list_on_order, b->list_on_order),
        order_of(a->assignment_rank, b->assignment_rank),
        order_of(a->assignment_priority, b->assignment_priority),
        order_of(a->list_priority, b->list_priority),
        order_of(a->min_qty_milli, b->min_qty_milli),
        text_compare(a->list_from, b->list_from),
        text_compare(a->item_from, b->item_from),
        id_compare(&b->item, &a->item),
        id_compare(&b->list, &a->list),
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i] != 0) {
            return keys[i];
        }
    }
    return 0;
}

const price_candidate *price_pick(const price_candidate *c, size_t count, fb_text uom,
                                  int64_t qty_milli, fb_text date)
{
    const price_candidate *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (candidate_fits(&c[i], uom, qty_milli, date) &&
            (best == NULL || candidate_order(&c[i], best) > 0)) {
            best = &c[i];
        }
    }
    return best;
}

static int64_t power_of_ten(unsigned exponent)
{
    int64_t power = 1;
    for (unsigned i = 0; i < exponent; i++) {
        power *= 10;
    }
    return power;
}

/* qty * price * keep_bp in minor units, rounded once (PRC-1). */
static bool amount_of(const price_line *line, int32_t keep_bp, int64_t *out)
{
    int64_t divisor = power_of_ten(SCALE_DIGITS - line->currency_digits);
    return mul_div_round(line->qty_milli, line->price_4dp, keep_bp, divisor, out);
}

/* Net, tax and gross of what remains after the discount. */
static bool tax_split(price_line *line, int64_t remains_minor)
{
    if (line->tax_included) {
        line->gross_minor = remains_minor;
        if (!mul_div_round(remains_minor, line->tax_rate_bp, 1,
                           (int64_t)BP_WHOLE + line->tax_rate_bp, &line->tax_minor)) {
            return false;
        }
        line->net_minor = line->gross_minor - line->tax_minor; /* 0 <= tax <= gross */
        return true;
    }
    line->net_minor = remains_minor;
    return mul_div_round(remains_minor, line->tax_rate_bp, 1, BP_WHOLE, &line->tax_minor) &&
           i64_add(line->net_minor, line->tax_minor, &line->gross_minor);
}

fb_code price_line_compute(price_line *line)
{
    FB_REQUIRE(line != NULL && line->currency_digits <= DIGITS_LIMIT);
    if (line->discount_bp < 0 || line->discount_bp > BP_WHOLE) {
        return FB_E_DISCOUNT;
    }
    if (line->qty_milli < 0 || line->price_4dp < 0 || line->tax_rate_bp < 0) {
        return FB_E_RANGE;
    }
    price_line made = *line;
    int64_t remains_minor = 0;
    int32_t keep_bp = line->is_free ? 0 : BP_WHOLE - line->discount_bp;
    if (!amount_of(line, BP_WHOLE, &made.gross_list_minor) ||
        !amount_of(line, keep_bp, &remains_minor) || !tax_split(&made, remains_minor)) {
        return FB_E_RANGE;
    }
    made.discount_minor = made.gross_list_minor - remains_minor;
    FB_ASSERT(made.discount_minor >= 0 && made.gross_minor == made.net_minor + made.tax_minor);
    *line = made;
    return FB_OK;
}

fb_code price_totals_add(price_totals *totals, const price_line *line)
{
    price_totals t = *totals;
    if (!i64_add(t.subtotal_minor, line->gross_list_minor, &t.subtotal_minor) ||
        !i64_add(t.line_discount_minor, line->discount_minor, &t.line_discount_minor) ||
        !i64_add(t.net_minor, line->net_minor, &t.net_minor) ||
        !i64_add(t.tax_minor, line->tax_minor, &t.tax_minor)) {
        return FB_E_RANGE;
    }
    *totals = t;
    return FB_OK;
}

fb_code price_totals_finish(price_totals *totals, int64_t header_discount_minor,
                            int64_t freight_minor)
{
    if (header_discount_minor < 0 || freight_minor < 0) {
        return FB_E_RANGE;
    }
    price_totals t = *totals;
    t.header_discount_minor = header_discount_minor;
    t.freight_minor = freight_minor;
    if (!i64_add(t.net_minor, -header_discount_minor, &t.net_minor) ||
        !i64_add(t.net_minor, t.tax_minor, &t.total_minor) ||
        !i64_add(t.total_minor, freight_minor, &t.total_minor) ||
        !i64_add(t.total_minor, t.rounding_minor, &t.total_minor)) {
        return FB_E_RANGE;
    }
    *totals = t;
    return FB_OK;
}

fb_code price_totals_compute(const price_line *lines, size_t count, int64_t header_discount_minor,
                             int64_t freight_minor, price_totals *out)
{
    FB_REQUIRE(out != NULL && (lines != NULL || count == 0));
    price_totals t = {0};
    for (size_t i = 0; i < count; i++) {
        FB_TRY(price_totals_add(&t, &lines[i]));
    }
    FB_TRY(price_totals_finish(&t, header_discount_minor, freight_minor));
    *out = t;
    return FB_OK;
}

fb_code price_base_qty(int64_t qty_milli, int64_t num, int64_t den, int64_t *out)
{
    if (num <= 0 || den <= 0 || !mul_div_round(qty_milli, num, 1, den, out)) {
        return FB_E_RANGE;
    }
    return FB_OK;
}

/* ISO 4217: currencies that do not have two digits. */
static const struct {
    char code[4];
    uint32_t digits;
} CURRENCIES[] = {
    {"BHD", 3}, {"BIF", 0}, {"CLP", 0}, {"DJF", 0}, {"GNF", 0}, {"IQD", 3}, {"ISK", 0}, {"JOD", 3},
    {"JPY", 0}, {"KMF", 0}, {"KRW", 0}, {"KWD", 3}, {"LYD", 3}, {"OMR", 3}, {"PYG", 0}, {"RWF", 0},
    {"TND", 3}, {"UGX", 0}, {"UYI", 0}, {"VND", 0}, {"VUV", 0}, {"XAF", 0}, {"XOF", 0}, {"XPF", 0},
};

uint32_t currency_digits(fb_text code)
{
    for (size_t i = 0; i < sizeof CURRENCIES / sizeof CURRENCIES[0]; i++) {
        if (text_is(code, CURRENCIES[i].code)) {
            return CURRENCIES[i].digits;
        }
    }
    return 2;
}
