/* decimal.h - exact numbers: fixed-point text to integers and back, and rounding half away
 * from zero (四舍五入). No floating point anywhere. Source: domain.md 3.2. */
#ifndef FB_BASE_DECIMAL_H
#define FB_BASE_DECIMAL_H

#include "base/bytes.h"

/* "12.5" with digits 4 -> 125000. Refuses (false) blanks, exponents, more than `digits`
 * decimals that are not zero, and overflow. A leading '-' is allowed, '+' is not. */
bool decimal_get(fb_text text, unsigned digits, int64_t *out);
/* 125000 with digits 4 -> "12.5000"; trim drops trailing zeros ("12.5"). */
void decimal_put(buf *out, int64_t value, unsigned digits, bool trim);
/* round_half_away(a * b * c / divisor), exact over 192 bits; false on overflow of int64 or divisor
 * <= 0. */
bool mul_div_round(int64_t a, int64_t b, int64_t c, int64_t divisor, int64_t *out);
bool i64_add(int64_t a, int64_t b, int64_t *out); /* false on overflow */
bool i64_get(fb_text text,
             int64_t *out); /* strict integer: -?(0|[1-9][0-9]*) within int64, no "-0" */

#endif
