/* issue.h - one breach of a rule, in words for people: what is wrong and the cure, en and zh. */
#ifndef FB_RULES_ISSUE_H
#define FB_RULES_ISSUE_H

#include "fieldbook/error.h"
#include "fieldbook/types.h"

typedef struct issue {
    fb_code code;
    char field[96]; /* "sales_order_line[3].discount_bp", "customer.phone" */
    char text_en[240], text_zh[240];
    char cure_en[240], cure_zh[240];
} issue;

/* Fill and return the code. Texts are taken as they stand and cut, where too long, between two
 * characters, never within one (ISS-1). */
fb_code issue_set(issue *out, fb_code code, const char *field, const char *text_en,
                  const char *text_zh, const char *cure_en, const char *cure_zh);
/* One row of a table of messages: {1}..{9} stand for the arguments, in any order per language. */
typedef struct issue_words {
    fb_code code;
    const char *field; /* takes arguments too: "sales_order_line[{1}].discount_bp" */
    const char *text_en, *text_zh, *cure_en, *cure_zh;
} issue_words;
typedef struct issue_arg {
    fb_text en, zh; /* the same for numbers and codes */
} issue_arg;
fb_code issue_fill(issue *out, const issue_words *words, const issue_arg *args, size_t args_count);

enum { ISSUE_NUMBER_BYTES = 40 };
/* value / 10^digits in `room` with at least `keep` decimals: 305000 of 4 digits, keep 2 -> "30.50".
 */
issue_arg issue_number(char room[ISSUE_NUMBER_BYTES], int64_t value, unsigned digits,
                       unsigned keep);
issue_arg issue_code(fb_text code);

/* The issue as an fb_error for API callers. */
fb_code issue_to_error(const issue *i, fb_error *err);

#endif
