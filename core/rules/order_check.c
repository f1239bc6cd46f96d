/* order_check.c - see order_check.h. The rules are two tables, one for the order and one for every
 * line; what is said to the person stands in a third.
 *
 *   ORD-1  the first breach in line order wins; credit is asked last, so held means otherwise right
 *   ORD-2  every amount on the order is recomputed by price.c and must agree to the cent */
#include "rules/order_check.h"

#include "base/check.h"
#include "base/decimal.h"

enum { NUMBERS_MAX = 4, BP_LIMIT = 10000 };

typedef enum word {
    W_STATUS,
    W_NO_CUSTOMER,
    W_CUSTOMER_CLOSED,
    W_CURRENCY,
    W_NO_LINES,
    W_NO_PRODUCT,
    W_PRODUCT_CLOSED,
    W_NO_UOM,
    W_QTY_POSITIVE,
    W_BASE_QTY,
    W_QTY_MINIMUM,
    W_QTY_MINIMUM_BASE,
    W_QTY_MULTIPLE,
    W_QTY_MULTIPLE_FIRST,
    W_PRICE_SOURCE,
    W_PRICE_NEGATIVE,
    W_NO_PRICE,
    W_NOT_LIST_PRICE,
    W_OVERRIDE_FORBIDDEN,
    W_OVERRIDE_REASON,
    W_NO_PROMOTION,
    W_NOT_PROMO_PRICE,
    W_DISCOUNT_RANGE,
    W_DISCOUNT_LIMIT,
    W_NO_TAX,
    W_AMOUNT_RANGE,
    W_LINE_NET,
    W_LINE_TAX,
    W_LINE_GROSS,
    W_HEADER_NEGATIVE,
    W_FREIGHT_NEGATIVE,
    W_HEADER_DISCOUNT,
    W_ROUNDING,
    W_TOTALS_RANGE,
    W_SUBTOTAL,
    W_LINE_DISCOUNT,
    W_TAX,
    W_TOTAL,
    W_CASH_ONLY,
    W_CREDIT,
} word;

#define ORDER(column) "sales_order." column
#define LINE(column) "sales_order_line[{1}]." column

/* Fields are columns of the catalogue. {1} is the line number; {2} .. the numbers of the breach. */
/* clang-format off */
static const issue_words WORDS[] = {
    [W_STATUS] = {FB_E_STATE, ORDER("status"),
        "the order is not being submitted", "订单不处于提交状态",
        "set its status to submitted and send it again", "请将状态设为“已提交”后重新发送"},
    [W_NO_CUSTOMER] = {FB_E_REFERENCE, ORDER("customer_id"),
        "the customer is not known", "客户不存在",
        "choose a customer from the list, or save the new customer first", "请从列表中选择客户，或先保存新客户"},
    [W_CUSTOMER_CLOSED] = {FB_E_STATE, ORDER("customer_id"),
        "the customer may not order now", "该客户当前不可下单",
        "submit the customer for approval, or ask your manager to lift the suspension", "请先提交客户审核，或请经理解除停用"},
    [W_CURRENCY] = {FB_E_REQUIRED, ORDER("currency"),
        "the order has no currency", "订单缺少币种",
        "set the currency of its price list, such as CNY", "请填写价目表的币种，例如CNY"},
    [W_NO_LINES] = {FB_E_REQUIRED, "sales_order_line",
        "the order has no lines", "订单没有明细行",
        "add at least one product", "请至少添加一个商品"},
    [W_NO_PRODUCT] = {FB_E_REFERENCE, LINE("product_id"),
        "line {1}: the product is not known", "第{1}行：商品不存在",
        "choose a product from the list", "请从商品列表中选择"},
    [W_PRODUCT_CLOSED] = {FB_E_PRODUCT, LINE("product_id"),
        "line {1}: the product is not on sale", "第{1}行：该商品已停售",
        "remove the line or choose another product", "请删除该行或改选其他商品"},
    [W_NO_UOM] = {FB_E_PRODUCT, LINE("uom"),
        "line {1}: the product is not sold in this unit", "第{1}行：该商品不按此单位销售",
        "choose a unit that the product lists", "请选择该商品已有的销售单位"},
    [W_QTY_POSITIVE] = {FB_E_QUANTITY, LINE("qty_milli"),
        "line {1}: the quantity {2} is not above zero", "第{1}行：数量{2}必须大于零",
        "enter the quantity ordered, or remove the line", "请填写订购数量，或删除该行"},
    [W_BASE_QTY] = {FB_E_QUANTITY, LINE("base_qty_milli"),
        "line {1}: {2} in base units does not agree with the quantity, which makes {3}", "第{1}行：基本单位数量{2}与订购数量不符，应为{3}",
        "recalculate the line", "请重新计算该行"},
    [W_QTY_MINIMUM] = {FB_E_QUANTITY, LINE("qty_milli"),
        "line {1}: {2} is below the minimum of {3}", "第{1}行：{2}低于起订量{3}",
        "order at least {4}", "请至少订购{4}"},
    [W_QTY_MINIMUM_BASE] = {FB_E_QUANTITY, LINE("qty_milli"),
        "line {1}: {2} is below the minimum of {3}", "第{1}行：{2}低于起订量{3}",
        "order at least {4} (counted in base units)", "请至少订购{4}（按基本单位）"},
    [W_QTY_MULTIPLE] = {FB_E_QUANTITY, LINE("qty_milli"),
        "line {1}: {2} is not a multiple of {3}", "第{1}行：{2}不是{3}的倍数",
        "order {4} or {5}", "请订购{4}或{5}"},
    [W_QTY_MULTIPLE_FIRST] = {FB_E_QUANTITY, LINE("qty_milli"),
        "line {1}: {2} is not a multiple of {3}", "第{1}行：{2}不是{3}的倍数",
        "order {4}", "请订购{4}"},
    [W_PRICE_SOURCE] = {FB_E_PRICE, LINE("price_source"),
        "line {1}: it is not said where the price comes from", "第{1}行：未说明价格来源",
        "set the price source to list, override, promo or free", "请将价格来源设为list、override、promo或free"},
    [W_PRICE_NEGATIVE] = {FB_E_PRICE, LINE("unit_price_4dp"),
        "line {1}: the price {2} is below zero", "第{1}行：单价{2}小于零",
        "enter a price of zero or more; goods coming back belong on a return", "请填写不小于零的单价；退回的商品请用退货单"},
    [W_NO_PRICE] = {FB_E_PRICE, LINE("unit_price_4dp"),
        "line {1}: no list price is valid on the order date for this unit and quantity", "第{1}行：订单日期没有适用于该单位和数量的价目",
        "choose another unit or quantity, or mark the price as an override and give a reason", "请更换单位或数量，或标为改价并填写原因"},
    [W_NOT_LIST_PRICE] = {FB_E_PRICE, LINE("unit_price_4dp"),
        "line {1}: price {2} is not the list price {3} valid on the order date", "第{1}行：单价{2}不是订单日期有效的价目价{3}",
        "use the list price, or mark it as an override and give a reason", "请使用价目价，或标为改价并填写原因"},
    [W_OVERRIDE_FORBIDDEN] = {FB_E_PRICE, LINE("price_source"),
        "line {1}: you may not change prices", "第{1}行：您无权改价",
        "use the list price or ask your manager", "请使用价目价或联系经理"},
    [W_OVERRIDE_REASON] = {FB_E_REQUIRED, LINE("reason"),
        "line {1}: the changed price has no reason", "第{1}行：改价未填写原因",
        "say why the price differs from the list", "请填写与价目价不同的原因"},
    [W_NO_PROMOTION] = {FB_E_PRICE, LINE("price_source"),
        "line {1}: no promotion is valid for it on the order date", "第{1}行：订单日期没有适用的促销",
        "use the list price", "请使用价目价"},
    [W_NOT_PROMO_PRICE] = {FB_E_PRICE, LINE("unit_price_4dp"),
        "line {1}: price {2} is not the promotion price {3}", "第{1}行：单价{2}不是促销价{3}",
        "use the promotion price or the list price", "请使用促销价或价目价"},
    [W_DISCOUNT_RANGE] = {FB_E_DISCOUNT, LINE("discount_bp"),
        "line {1}: discount {2}% is not between 0% and 100%", "第{1}行：折扣{2}%不在0%至100%之间",
        "enter a discount between 0% and 100%", "请填写0%至100%之间的折扣"},
    [W_DISCOUNT_LIMIT] = {FB_E_DISCOUNT, LINE("discount_bp"),
        "line {1}: discount {2}% is above your limit of {3}%", "第{1}行：折扣{2}%超过您的上限{3}%",
        "lower it to {3}% or ask your manager", "请降到{3}%或联系经理"},
    [W_NO_TAX] = {FB_E_REFERENCE, LINE("tax_code_id"),
        "line {1}: the tax rate is not known", "第{1}行：税率未知",
        "choose a tax code, or ask the office to set the product's", "请选择税码，或请后台维护该商品的税码"},
    [W_AMOUNT_RANGE] = {FB_E_RANGE, LINE("qty_milli"),
        "line {1}: quantity times price is too large to be stored", "第{1}行：数量乘以单价超出可存范围",
        "check quantity and price, or split the line", "请检查数量和单价，或拆分该行"},
    [W_LINE_NET] = {FB_E_TOTALS, LINE("net"),
        "line {1}: the net amount {2} must be {3}", "第{1}行：不含税金额{2}应为{3}",
        "recalculate the line", "请重新计算该行"},
    [W_LINE_TAX] = {FB_E_TOTALS, LINE("tax"),
        "line {1}: the tax {2} must be {3}", "第{1}行：税额{2}应为{3}",
        "recalculate the line", "请重新计算该行"},
    [W_LINE_GROSS] = {FB_E_TOTALS, LINE("gross"),
        "line {1}: the amount with tax {2} must be {3}", "第{1}行：含税金额{2}应为{3}",
        "recalculate the line", "请重新计算该行"},
    [W_HEADER_NEGATIVE] = {FB_E_DISCOUNT, ORDER("header_discount"),
        "the order discount {2} is below zero", "整单折扣{2}小于零",
        "enter zero or more", "请填写不小于零的金额"},
    [W_FREIGHT_NEGATIVE] = {FB_E_RANGE, ORDER("freight_amount"),
        "the freight {2} is below zero", "运费{2}小于零",
        "enter zero or more", "请填写不小于零的金额"},
    [W_HEADER_DISCOUNT] = {FB_E_DISCOUNT, ORDER("header_discount"),
        "the order discount {2} is above your limit of {3}% of the order, {4}", "整单折扣{2}超过您的上限：订单的{3}%即{4}",
        "lower it to {4} or ask your manager", "请降到{4}或联系经理"},
    [W_ROUNDING] = {FB_E_TOTALS, ORDER("rounding"),
        "the rounding {2} is not below {3}", "抹零金额{2}必须小于{3}",
        "round by less, or enter a discount", "请减小抹零金额，或改填折扣"},
    [W_TOTALS_RANGE] = {FB_E_RANGE, ORDER("total"),
        "the total is too large to be stored", "合计超出可存范围",
        "split the order", "请拆分订单"},
    [W_SUBTOTAL] = {FB_E_TOTALS, ORDER("subtotal"),
        "the subtotal {2} must be {3}, the sum of the lines before discount", "小计{2}应为{3}（各行折前金额之和）",
        "recalculate the order", "请重新计算订单"},
    [W_LINE_DISCOUNT] = {FB_E_TOTALS, ORDER("line_discount"),
        "the line discounts {2} must be {3}", "行折扣合计{2}应为{3}",
        "recalculate the order", "请重新计算订单"},
    [W_TAX] = {FB_E_TOTALS, ORDER("tax"),
        "the tax {2} must be {3}", "税额合计{2}应为{3}",
        "recalculate the order", "请重新计算订单"},
    [W_TOTAL] = {FB_E_TOTALS, ORDER("total"),
        "the total {2} must be {3}", "合计{2}应为{3}",
        "recalculate the order", "请重新计算订单"},
    [W_CASH_ONLY] = {FB_E_CREDIT, ORDER("total"),
        "the customer is not approved yet and has no credit for {2}", "客户尚未审核通过，{2}不可赊销",
        "take cash, or wait until your manager has decided", "请收取现金，或等待经理审批"},
    [W_CREDIT] = {FB_E_CREDIT, ORDER("total"),
        "{2} on top of {3} already used is above the credit limit of {4}", "已用额度{3}加上本单{2}超过信用额度{4}",
        "take a payment first, or wait until your manager has decided", "请先收款，或等待经理审批"},
};
/* clang-format on */

/* A number of a message: value / 10^digits, at least `keep` decimals shown. */
typedef struct number {
    int64_t value;
    unsigned digits, keep;
} number;

#define NUMBERS(...) \
    (const number[]){__VA_ARGS__}, sizeof((const number[]){__VA_ARGS__}) / sizeof(number)

static number money(const order_facts *o, int64_t minor)
{
    unsigned digits = currency_digits(o->currency);
    return (number){minor, digits, digits};
}

static number price(int64_t price_4dp)
{
    return (number){price_4dp, 4, 2};
}

static number quantity(int64_t qty_milli)
{
    return (number){qty_milli, 3, 0};
}

static number percent(int32_t bp)
{
    return (number){bp, 2, 2};
}

static fb_code say(issue *out, word w, int32_t line_no, const number *numbers, size_t count)
{
    FB_ASSERT(count <= NUMBERS_MAX);
    char rooms[NUMBERS_MAX + 1][ISSUE_NUMBER_BYTES];
    issue_arg args[NUMBERS_MAX + 1];
    args[0] = issue_number(rooms[0], line_no, 0, 0);
    for (size_t i = 0; i < count; i++) {
        args[i + 1] =
            issue_number(rooms[i + 1], numbers[i].value, numbers[i].digits, numbers[i].keep);
    }
    return issue_fill(out, &WORDS[w], args, count + 1);
}

static fb_code say_plain(issue *out, word w, int32_t line_no)
{
    return say(out, w, line_no, NULL, 0);
}

/* The line as price.c wants it; amounts not yet computed. */
static price_line priced(const order_facts *o, const order_line_facts *l)
{
    return (price_line){.qty_milli = l->qty_milli,
                        .price_4dp = l->unit_price_4dp,
                        .discount_bp = l->discount_bp,
                        .tax_rate_bp = l->tax_rate_bp,
                        .tax_included = l->tax_included,
                        .is_free = text_is(l->price_source, "free"),
                        .currency_digits = currency_digits(o->currency)};
}

static fb_code line_product(const order_facts *o, const order_line_facts *l, issue *out)
{
    (void)o;
    if (!l->product_found) {
        return say_plain(out, W_NO_PRODUCT, l->line_no);
    }
    if (!l->product_active) {
        return say_plain(out, W_PRODUCT_CLOSED, l->line_no);
    }
    if (!l->uom_found || l->uom_num <= 0 || l->uom_den <= 0) {
        return say_plain(out, W_NO_UOM, l->line_no);
    }
    return FB_OK;
}

static fb_code line_base_quantity(const order_facts *o, const order_line_facts *l, issue *out)
{
    (void)o;
    int64_t base_milli = 0;
    if (l->qty_milli <= 0) {
        return say(out, W_QTY_POSITIVE, l->line_no, NUMBERS(quantity(l->qty_milli)));
    }
    if (price_base_qty(l->qty_milli, l->uom_num, l->uom_den, &base_milli) != FB_OK) {
        return say_plain(out, W_AMOUNT_RANGE, l->line_no);
    }
    if (l->base_qty_milli != base_milli) {
        return say(out, W_BASE_QTY, l->line_no,
                   NUMBERS(quantity(l->base_qty_milli), quantity(base_milli)));
    }
    return FB_OK;
}

/* The multiple at or below q; step 0 means every quantity is one. */
static int64_t multiple_below(int64_t q, int64_t step)
{
    return step > 0 ? q - q % step : q;
}

/* The multiple at or above q; q itself where that would leave int64. */
static int64_t multiple_above(int64_t q, int64_t step)
{
    int64_t above = multiple_below(q, step);
    if (above == q || !i64_add(above, step, &above)) {
        return q;
    }
    return above;
}

/* Minimum and multiple are the product's, so they count base units. */
static fb_code line_minimum(const order_facts *o, const order_line_facts *l, issue *out)
{
    (void)o;
    int64_t least_milli = l->min_order_qty_milli;
    if (least_milli <= 0 || l->base_qty_milli >= least_milli) {
        return FB_OK;
    }
    word w = l->uom_num == l->uom_den ? W_QTY_MINIMUM : W_QTY_MINIMUM_BASE;
    int64_t better_milli = multiple_above(least_milli, l->order_multiple_milli);
    return say(out, w, l->line_no,
               NUMBERS(quantity(l->base_qty_milli), quantity(least_milli), quantity(better_milli)));
}

static fb_code line_multiple(const order_facts *o, const order_line_facts *l, issue *out)
{
    (void)o;
    int64_t step_milli = l->order_multiple_milli;
    if (step_milli <= 0 || l->base_qty_milli % step_milli == 0) {
        return FB_OK;
    }
    number is = quantity(l->base_qty_milli), step = quantity(step_milli);
    int64_t below_milli = multiple_below(l->base_qty_milli, step_milli);
    number above = quantity(multiple_above(l->base_qty_milli, step_milli));
    if (below_milli == 0 || below_milli < l->min_order_qty_milli) {
        return say(out, W_QTY_MULTIPLE_FIRST, l->line_no, NUMBERS(is, step, above));
    }
    return say(out, W_QTY_MULTIPLE, l->line_no, NUMBERS(is, step, quantity(below_milli), above));
}

static fb_code price_list_check(const order_facts *o, const order_line_facts *l, issue *out)
{
    (void)o;
    if (!l->price_found) {
        return say_plain(out, W_NO_PRICE, l->line_no);
    }
    if (l->unit_price_4dp != l->price_4dp) {
        return say(out, W_NOT_LIST_PRICE, l->line_no,
                   NUMBERS(price(l->unit_price_4dp), price(l->price_4dp)));
    }
    return FB_OK;
}

static fb_code price_override_check(const order_facts *o, const order_line_facts *l, issue *out)
{
    if (!o->may_override_price) {
        return say_plain(out, W_OVERRIDE_FORBIDDEN, l->line_no);
    }
    return l->reason.size > 0 ? FB_OK : say_plain(out, W_OVERRIDE_REASON, l->line_no);
}

static fb_code price_promo_check(const order_facts *o, const order_line_facts *l, issue *out)
{
    (void)o;
    if (!l->promo_found) {
        return say_plain(out, W_NO_PROMOTION, l->line_no);
    }
    if (l->unit_price_4dp != l->promo_price_4dp) {
        return say(out, W_NOT_PROMO_PRICE, l->line_no,
                   NUMBERS(price(l->unit_price_4dp), price(l->promo_price_4dp)));
    }
    return FB_OK;
}

typedef fb_code (*line_rule)(const order_facts *o, const order_line_facts *l, issue *out);

/* A free line needs no price: its amounts must be 0, which ORD-2 sees to. */
static const struct {
    const char *source;
    line_rule check;
} PRICE_SOURCES[] = {
    {"list", price_list_check},
    {"override", price_override_check},
    {"promo", price_promo_check},
    {"free", NULL},
};

static fb_code line_price(const order_facts *o, const order_line_facts *l, issue *out)
{
    if (l->unit_price_4dp < 0) {
        return say(out, W_PRICE_NEGATIVE, l->line_no, NUMBERS(price(l->unit_price_4dp)));
    }
    for (size_t i = 0; i < sizeof PRICE_SOURCES / sizeof PRICE_SOURCES[0]; i++) {
        if (text_is(l->price_source, PRICE_SOURCES[i].source)) {
            line_rule check = PRICE_SOURCES[i].check;
            return check != NULL ? check(o, l, out) : FB_OK;
        }
    }
    return say_plain(out, W_PRICE_SOURCE, l->line_no);
}

static int32_t discount_limit(const order_facts *o, const order_line_facts *l)
{
    bool by_promotion = l->promo_found && text_is(l->price_source, "promo") &&
                        l->promo_discount_bp > o->discount_max_bp;
    return by_promotion ? l->promo_discount_bp : o->discount_max_bp;
}

static fb_code line_discount(const order_facts *o, const order_line_facts *l, issue *out)
{
    int32_t limit_bp = discount_limit(o, l);
    if (l->discount_bp < 0 || l->discount_bp > BP_LIMIT) {
        return say(out, W_DISCOUNT_RANGE, l->line_no, NUMBERS(percent(l->discount_bp)));
    }
    if (l->discount_bp > limit_bp && !text_is(l->price_source, "free")) {
        return say(out, W_DISCOUNT_LIMIT, l->line_no,
                   NUMBERS(percent(l->discount_bp), percent(limit_bp)));
    }
    return FB_OK;
}

/* An amount as written beside what it must be. */
typedef struct amount_pair {
    word w;
    int64_t written_minor, right_minor;
} amount_pair;

static fb_code amounts_agree(const order_facts *o, int32_t line_no, const amount_pair *pairs,
                             size_t count, issue *out)
{
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].written_minor != pairs[i].right_minor) {
            return say(out, pairs[i].w, line_no,
                       NUMBERS(money(o, pairs[i].written_minor), money(o, pairs[i].right_minor)));
        }
    }
    return FB_OK;
}

static fb_code line_amounts(const order_facts *o, const order_line_facts *l, issue *out)
{
    if (!l->tax_known) {
        return say_plain(out, W_NO_TAX, l->line_no);
    }
    price_line p = priced(o, l);
    if (price_line_compute(&p) != FB_OK) {
        return say_plain(out, W_AMOUNT_RANGE, l->line_no);
    }
    const amount_pair pairs[] = {
        {W_LINE_NET, l->net_minor, p.net_minor},
        {W_LINE_TAX, l->tax_minor, p.tax_minor},
        {W_LINE_GROSS, l->gross_minor, p.gross_minor},
    };
    return amounts_agree(o, l->line_no, pairs, sizeof pairs / sizeof pairs[0], out);
}

static const line_rule LINE_RULES[] = {
    line_product, line_base_quantity, line_minimum, line_multiple,
    line_price,   line_discount,      line_amounts,
};

static fb_code check_line(const order_facts *o, const order_line_facts *l, issue *out)
{
    for (size_t i = 0; i < sizeof LINE_RULES / sizeof LINE_RULES[0]; i++) {
        FB_TRY(LINE_RULES[i](o, l, out));
    }
    return FB_OK;
}

static fb_code check_head(const order_facts *o, issue *out)
{
    const struct {
        bool holds;
        word w;
    } facts[] = {
        {text_is(o->status, "submitted"), W_STATUS},
        {o->customer_found, W_NO_CUSTOMER},
        {o->customer_orderable, W_CUSTOMER_CLOSED},
        {o->currency.size > 0, W_CURRENCY},
        {o->lines_count > 0, W_NO_LINES},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (!facts[i].holds) {
            return say_plain(out, facts[i].w, 0);
        }
    }
    return FB_OK;
}

/* Sums of the lines, before anything of the header. */
static fb_code sum_lines(const order_facts *o, price_totals *sums, issue *out)
{
    *sums = (price_totals){0};
    for (size_t i = 0; i < o->lines_count; i++) {
        price_line p = priced(o, &o->lines[i]);
        if (price_line_compute(&p) != FB_OK || price_totals_add(sums, &p) != FB_OK) {
            return say_plain(out, W_TOTALS_RANGE, 0);
        }
    }
    return FB_OK;
}

/* Less than one whole unit of the currency; below ten where it has no decimals. */
static int64_t rounding_bound(const order_facts *o)
{
    static const int64_t bounds[] = {10, 10, 100, 1000};
    return bounds[currency_digits(o->currency)];
}

/* The order's own amounts: a discount on the whole order is bound like one on a line. */
static fb_code check_header_amounts(const order_facts *o, int64_t lines_net_minor, issue *out)
{
    int64_t most_minor = 0, bound_minor = rounding_bound(o);
    if (o->header_discount_minor < 0) {
        return say(out, W_HEADER_NEGATIVE, 0, NUMBERS(money(o, o->header_discount_minor)));
    }
    if (o->freight_minor < 0) {
        return say(out, W_FREIGHT_NEGATIVE, 0, NUMBERS(money(o, o->freight_minor)));
    }
    if (!mul_div_round(lines_net_minor, o->discount_max_bp, 1, BP_LIMIT, &most_minor)) {
        return say_plain(out, W_TOTALS_RANGE, 0);
    }
    if (o->header_discount_minor > most_minor) {
        return say(out, W_HEADER_DISCOUNT, 0,
                   NUMBERS(money(o, o->header_discount_minor), percent(o->discount_max_bp),
                           money(o, most_minor)));
    }
    if (o->rounding_minor <= -bound_minor || o->rounding_minor >= bound_minor) {
        return say(out, W_ROUNDING, 0, NUMBERS(money(o, o->rounding_minor), money(o, bound_minor)));
    }
    return FB_OK;
}

static fb_code check_totals(const order_facts *o, issue *out)
{
    price_totals t;
    FB_TRY(sum_lines(o, &t, out));
    FB_TRY(check_header_amounts(o, t.net_minor, out));
    t.rounding_minor = o->rounding_minor;
    if (price_totals_finish(&t, o->header_discount_minor, o->freight_minor) != FB_OK) {
        return say_plain(out, W_TOTALS_RANGE, 0);
    }
    const amount_pair pairs[] = {
        {W_SUBTOTAL, o->subtotal_minor, t.subtotal_minor},
        {W_LINE_DISCOUNT, o->line_discount_minor, t.line_discount_minor},
        {W_TAX, o->tax_minor, t.tax_minor},
        {W_TOTAL, o->total_minor, t.total_minor},
    };
    return amounts_agree(o, 0, pairs, sizeof pairs / sizeof pairs[0], out);
}

static fb_code check_credit(const order_facts *o, issue *out)
{
    int64_t used_minor = 0;
    if (o->total_minor <= 0) {
        return FB_OK;
    }
    if (o->customer_cash_only) {
        return say(out, W_CASH_ONLY, 0, NUMBERS(money(o, o->total_minor)));
    }
    if (!o->credit_known) {
        return FB_OK;
    }
    if (i64_add(o->credit_used_minor, o->total_minor, &used_minor) &&
        used_minor <= o->credit_limit_minor) {
        return FB_OK;
    }
    return say(out, W_CREDIT, 0,
               NUMBERS(money(o, o->total_minor), money(o, o->credit_used_minor),
                       money(o, o->credit_limit_minor)));
}

fb_code order_check(const order_facts *o, issue *out)
{
    FB_REQUIRE(o != NULL && out != NULL && (o->lines != NULL || o->lines_count == 0));
    FB_TRY(check_head(o, out));
    for (size_t i = 0; i < o->lines_count; i++) {
        FB_TRY(check_line(o, &o->lines[i], out)); /* ORD-1 */
    }
    FB_TRY(check_totals(o, out)); /* ORD-2 */
    return check_credit(o, out);
}
