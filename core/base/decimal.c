/* decimal.c - see decimal.h. Only 32 and 64-bit unsigned arithmetic: builds on 32-bit phones. */
#include "base/decimal.h"

enum { DIGITS_MAX = 18, LIMBS = 6 };

/* |v| without the overflow of INT64_MIN. */
static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

/* +-m as int64; false when it does not fit. */
static bool with_sign(uint64_t m, bool negative, int64_t *out)
{
    if (m > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *out = negative && m > 0 ? -1 - (int64_t)(m - 1) : (int64_t)m;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Append one digit to *m. */
static bool shift_in(uint64_t *m, char c)
{
    uint64_t digit = (uint64_t)(c - '0');
    if (*m > (UINT64_MAX - digit) / 10) {
        return false;
    }
    *m = *m * 10 + digit;
    return true;
}

/* The digits from text[i] on; *i_io ends behind them. False when there is none or too many. */
static bool whole_get(fb_text text, size_t *i_io, uint64_t *m_out)
{
    size_t i = *i_io;
    uint64_t m = 0;
    while (i < text.size && is_digit(text.data[i])) {
        if (!shift_in(&m, text.data[i])) {
            return false;
        }
        i++;
    }
    bool some = i > *i_io;
    *i_io = i;
    *m_out = m;
    return some;
}

bool decimal_get(fb_text text, unsigned digits, int64_t *out)
{
    size_t i = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    bool negative = i == 1;
    uint64_t m = 0;
    unsigned taken = 0;
    if (digits > DIGITS_MAX || !whole_get(text, &i, &m)) {
        return false;
    }
    if (i < text.size) {
        if (text.data[i] != '.' || i + 1 == text.size) {
            return false;
        }
        for (i++; i < text.size; i++) {
            char c = text.data[i];
            if (!is_digit(c) || (taken == digits && c != '0')) {
                return false;
            }
            if (taken < digits) {
                if (!shift_in(&m, c)) {
                    return false;
                }
                taken++;
            }
        }
    }
    for (; taken < digits; taken++) {
        if (!shift_in(&m, '0')) {
            return false;
        }
    }
    return with_sign(m, negative, out);
}

void decimal_put(buf *out, int64_t value, unsigned digits, bool trim)
{
    char text[48]; /* at most: sign, 20 digits, point, 18 zeros */
    size_t at = sizeof text;
    uint64_t m = magnitude(value);
    bool started = !trim;
    if (digits > DIGITS_MAX) {
        digits = DIGITS_MAX;
    }
    for (unsigned i = 0; i < digits; i++) {
        char c = (char)('0' + m % 10);
        m /= 10;
        started = started || c != '0';
        if (started) {
            text[--at] = c;
        }
    }
    if (at < sizeof text) {
        text[--at] = '.';
    }
    do {
        text[--at] = (char)('0' + m % 10);
        m /= 10;
    } while (m > 0);
    if (value < 0) {
        text[--at] = '-';
    }
    buf_put(out, text + at, sizeof text - at);
}

/* limbs (little end first, 32 bits each) *= m. */
static void limbs_mul(uint32_t limbs[LIMBS], uint64_t m)
{
    const uint64_t low = m & UINT32_MAX, high = m >> 32;
    uint32_t made[LIMBS];
    uint64_t carry = 0;
    for (unsigned i = 0; i < LIMBS; i++) {
        uint64_t x = limbs[i] * low + (carry & UINT32_MAX);
        uint64_t y = i > 0 ? limbs[i - 1] * high : 0;
        uint64_t sum = (x & UINT32_MAX) + (y & UINT32_MAX);
        made[i] = (uint32_t)sum;
        carry = (carry >> 32) + (x >> 32) + (y >> 32) + (sum >> 32);
    }
    for (unsigned i = 0; i < LIMBS; i++) {
        limbs[i] = made[i];
    }
}

/* limbs / divisor bit by bit; divisor < 2^63. False when the quotient exceeds 64 bits. */
static bool limbs_div(const uint32_t limbs[LIMBS], uint64_t divisor, uint64_t *quotient_out,
                      uint64_t *rest_out)
{
    uint64_t quotient = 0, rest = 0;
    for (int bit = LIMBS * 32 - 1; bit >= 0; bit--) {
        if (quotient >> 63 != 0) {
            return false;
        }
        rest = rest << 1 | (limbs[bit / 32] >> (bit % 32) & 1);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
    }
    *quotient_out = quotient;
    *rest_out = rest;
    return true;
}

/* a * b * c when it fits in 64 bits: the everyday case. */
static bool product64(uint64_t a, uint64_t b, uint64_t c, uint64_t *out)
{
    if (a > UINT32_MAX || b > UINT32_MAX) {
        return false;
    }
    uint64_t ab = a * b;
    if (ab != 0 && c > UINT64_MAX / ab) {
        return false;
    }
    *out = ab * c;
    return true;
}

bool mul_div_round(int64_t a, int64_t b, int64_t c, int64_t divisor, int64_t *out)
{
    if (divisor <= 0) {
        return false;
    }
    const uint64_t ua = magnitude(a), ub = magnitude(b), uc = magnitude(c);
    const uint64_t by = (uint64_t)divisor;
    const bool negative = (a < 0) != (b < 0) ? c >= 0 : c < 0;
    uint64_t product = 0, quotient = 0, rest = 0;
    if (product64(ua, ub, uc, &product)) {
        quotient = product / by;
        rest = product % by;
    } else {
        uint32_t limbs[LIMBS] = {(uint32_t)ua, (uint32_t)(ua >> 32)};
        limbs_mul(limbs, ub);
        limbs_mul(limbs, uc);
        if (!limbs_div(limbs, by, &quotient, &rest)) {
            return false;
        }
    }
    if (rest >= by - rest) { /* half and more: away from zero */
        if (quotient == UINT64_MAX) {
            return false;
        }
        quotient++;
    }
    return with_sign(quotient, negative, out);
}

bool i64_add(int64_t a, int64_t b, int64_t *out)
{
    if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < INT64_MIN - b)) {
        return false;
    }
    *out = a + b;
    return true;
}

bool i64_get(fb_text text, int64_t *out)
{
    size_t i = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    bool negative = i == 1;
    if (i == text.size || (text.data[i] == '0' && text.size > 1)) { /* "", "-", "-0", "012" */
        return false;
    }
    uint64_t m = 0;
    if (!whole_get(text, &i, &m) || i != text.size) {
        return false;
    }
    return with_sign(m, negative, out);
}
