/* text.h - UTF-8, search keys and the forms of everyday texts.
 *
 * Keys: text_key folds case, width (full to half), accents and blanks, so that "Ｍüller  AG"
 * and "muller ag" meet; text_initials gives the pinyin initials of Chinese text ("北京大学" ->
 * "bjdx") and the first letters of other words. Both are what customer.name_key / name_py hold. */
#ifndef FB_BASE_TEXT_H
#define FB_BASE_TEXT_H

#include "base/bytes.h"

bool utf8_valid(fb_text t);   /* strict: no surrogates, overlongs, NUL allowed=false */
size_t utf8_count(fb_text t); /* code points of valid text */
void text_key(buf *out, fb_text t);
void text_initials(buf *out, fb_text t);
void text_normalise(buf *out,
                    fb_text t); /* trims, folds full-width digits/letters, collapses blanks */
bool text_phone(buf *out, fb_text raw,
                const char *country_default); /* E.164 or false; "+8613..." */
bool text_usc_valid(fb_text code);            /* GB 32100 18 characters with check character */
bool text_gtin_valid(fb_text code);           /* GTIN-8/12/13/14 check digit */
bool text_email_valid(fb_text t);
bool text_date_valid(fb_text t); /* YYYY-MM-DD, a day that exists */
/* YYYY-MM-DD of a day counted from 1970-01-01; outside the years 1 to 9999 their first or last. */
enum { TEXT_DATE_BYTES = 11 };
void text_date_put(int64_t day, char out[TEXT_DATE_BYTES]);
/* from <= day <= to; an empty one binds nothing. */
bool text_date_within(fb_text day, fb_text from, fb_text to);

#endif
