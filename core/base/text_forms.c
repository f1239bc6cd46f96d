/* text_forms.c - the forms of everyday texts, see text.h: phones, codes with check characters,
 * e-mail addresses, dates. Pure tests of a text; nothing is looked up. */
#include <string.h>

#include "base/text.h"

enum { PHONE_DIGITS_MIN = 7, PHONE_DIGITS_MAX = 15, EMAIL_BYTES_MAX = 254, EMAIL_LOCAL_MAX = 64 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of a separator a person may write in a number, 0 if it is none. */
static size_t separator_size(fb_text rest)
{
    static const char *const wide[] = {"（", "）", "－", "—", "–", "‐", "　", "\xC2\xA0"};
    if (strchr(" -.()/\t", rest.data[0]) != NULL && rest.data[0] != '\0') {
        return 1;
    }
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        size_t n = strlen(wide[i]);
        if (rest.size >= n && memcmp(rest.data, wide[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

/* One digit, half or full width (EF BC 90..99): its value, and the bytes it takes; -1 if none. */
static int digit_take(fb_text rest, size_t *size_out)
{
    *size_out = 1;
    if (is_digit(rest.data[0])) {
        return rest.data[0] - '0';
    }
    const unsigned char *p = (const unsigned char *)rest.data;
    if (rest.size >= 3 && p[0] == 0xEF && p[1] == 0xBC && p[2] >= 0x90 && p[2] <= 0x99) {
        *size_out = 3;
        return p[2] - 0x90;
    }
    return -1;
}

typedef struct phone {
    char digits[24];
    size_t count;
    bool plus; /* written with + or 00 */
} phone;

static bool phone_read(fb_text raw, phone *out)
{
    phone p = {.count = 0};
    while (raw.size > 0) {
        size_t n = separator_size(raw);
        if (n == 0) {
            int digit = digit_take(raw, &n);
            bool wide_plus = raw.size >= 3 && memcmp(raw.data, "＋", 3) == 0;
            if (digit >= 0) {
                if (p.count == sizeof p.digits) {
                    return false;
                }
                p.digits[p.count++] = (char)('0' + digit);
            } else if ((raw.data[0] == '+' || wide_plus) && p.count == 0 && !p.plus) {
                p.plus = true;
                n = wide_plus ? 3 : 1;
            } else {
                return false; /* letters, an extension, a second number */
            }
        }
        raw.data += n;
        raw.size -= n;
    }
    *out = p;
    return true;
}

static void drop_front(phone *p, size_t n)
{
    memmove(p->digits, p->digits + n, p->count - n);
    p->count -= n;
}

/* National number -> with country code. Drops the trunk prefix: 0 in most countries, 1 in +1. */
static bool add_country(phone *p, const char *country)
{
    size_t n = strlen(country);
    bool china = strcmp(country, "86") == 0, america = strcmp(country, "1") == 0;
    if (china && p->count == 13 && memcmp(p->digits, "861", 3) == 0) {
        return true; /* a mobile number written with 86 but without + */
    }
    if (america && p->count == 11 && p->digits[0] == '1') {
        return true;
    }
    if (p->count > 1 && p->digits[0] == '0' && strcmp(country, "39") != 0) { /* Italy keeps it */
        drop_front(p, 1);
    }
    if ((america && p->count != 10) || p->count + n > PHONE_DIGITS_MAX) {
        return false;
    }
    memmove(p->digits + n, p->digits, p->count);
    memcpy(p->digits, country, n);
    p->count += n;
    return true;
}

/* The dialling code in `country`: "86", "+86" or the two-letter code of a few countries. */
static bool country_get(const char *country, char out[4])
{
    static const char known[][2][4] = {
        {"CN", "86"}, {"HK", "852"}, {"MO", "853"}, {"TW", "886"}, {"US", "1"},  {"CA", "1"},
        {"GB", "44"}, {"DE", "49"},  {"FR", "33"},  {"IT", "39"},  {"ES", "34"}, {"JP", "81"},
        {"KR", "82"}, {"SG", "65"},  {"MY", "60"},  {"IN", "91"},  {"AU", "61"}, {"BR", "55"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(country, known[i][0]) == 0) {
            memcpy(out, known[i][1], 4);
            return true;
        }
    }
    country += country[0] == '+';
    size_t n = strlen(country);
    if (n < 1 || n > 3 || country[0] == '0' || strspn(country, "0123456789") != n) {
        return false;
    }
    memcpy(out, country, n + 1);
    return true;
}

/* Rules of the Chinese numbering plan that catch mistyped numbers. */
static bool china_valid(const phone *p)
{
    if (p->count < 2 || memcmp(p->digits, "86", 2) != 0) {
        return true;
    }
    bool mobile = p->digits[2] == '1' && p->digits[3] >= '3';
    return mobile ? p->count == 13 : p->count >= 9 && p->count <= 13;
}

bool text_phone(buf *out, fb_text raw, const char *country_default)
{
    phone p;
    char country[4];
    if (!phone_read(raw, &p)) {
        return false;
    }
    if (!p.plus && p.count > 2 && memcmp(p.digits, "00", 2) == 0) {
        p.plus = true;
        drop_front(&p, 2);
    }
    if (!p.plus && (p.count < 5 || country_default == NULL ||
                    !country_get(country_default, country) || !add_country(&p, country))) {
        return false;
    }
    if (p.count < PHONE_DIGITS_MIN || p.count > PHONE_DIGITS_MAX || p.digits[0] == '0' ||
        !china_valid(&p)) {
        return false;
    }
    buf_put_char(out, '+');
    buf_put(out, p.digits, p.count);
    return out->code == FB_OK;
}

/* GB 32100-2015: 31 characters without I O S V Z; weights 3^i mod 31. */
bool text_usc_valid(fb_text code)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    if (code.size != 18) {
        return false;
    }
    unsigned sum = 0, weight = 1, value = 0;
    for (size_t i = 0; i < 18; i++) {
        const char *at = memchr(alphabet, code.data[i], sizeof alphabet - 1);
        if (at == NULL) {
            return false;
        }
        value = (unsigned)(at - alphabet);
        if (i < 17) {
            sum += value * weight;
            weight = weight * 3 % 31;
        }
    }
    return value == (31 - sum % 31) % 31;
}

bool text_gtin_valid(fb_text code)
{
    if (code.size != 8 && code.size != 12 && code.size != 13 && code.size != 14) {
        return false;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < code.size; i++) {
        if (!is_digit(code.data[i])) {
            return false;
        }
        unsigned digit = (unsigned)(code.data[i] - '0');
        sum += (code.size - i) % 2 == 0 ? 3 * digit : digit; /* from the right: 1, 3, 1, 3 ... */
    }
    return sum % 10 == 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Local part: letters, digits and the usual marks; dots only between. */
static bool email_local_valid(fb_text t)
{
    if (t.size == 0 || t.size > EMAIL_LOCAL_MAX || t.data[0] == '.' || t.data[t.size - 1] == '.') {
        return false;
    }
    for (size_t i = 0; i < t.size; i++) {
        char c = t.data[i];
        bool mark = c != '\0' && strchr("!#$%&'*+/=?^_`{|}~-.", c) != NULL;
        if (!is_letter(c) && !is_digit(c) && !mark) {
            return false;
        }
        if (c == '.' && t.data[i + 1] == '.') {
            return false;
        }
    }
    return true;
}

/* Domain: at least two labels of letters, digits and inner hyphens; the last is not a number. */
static bool email_domain_valid(fb_text t)
{
    size_t label = 0, labels = 0;
    bool letters = false;
    for (size_t i = 0; i <= t.size; i++) {
        char c = i < t.size ? t.data[i] : '.';
        if (c != '.') {
            if ((!is_letter(c) && !is_digit(c) && c != '-') || (c == '-' && label == 0)) {
                return false;
            }
            letters = letters || is_letter(c);
            label++;
            continue;
        }
        if (label == 0 || label > 63 || t.data[i - 1] == '-') {
            return false;
        }
        labels++;
        if (i < t.size) {
            letters = false;
        }
        label = 0;
    }
    return labels >= 2 && letters;
}

bool text_email_valid(fb_text t)
{
    const char *at = t.size > 0 ? memchr(t.data, '@', t.size) : NULL;
    if (at == NULL || t.size > EMAIL_BYTES_MAX || !utf8_valid(t)) {
        return false;
    }
    fb_text local = {t.data, (size_t)(at - t.data)};
    fb_text domain = {at + 1, t.size - local.size - 1};
    return email_local_valid(local) && email_domain_valid(domain);
}

static unsigned number_of(const char *digits, size_t count)
{
    unsigned n = 0;
    for (size_t i = 0; i < count; i++) {
        n = n * 10 + (unsigned)(digits[i] - '0');
    }
    return n;
}

bool text_date_valid(fb_text t)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (t.size != 10 || t.data[4] != '-' || t.data[7] != '-') {
        return false;
    }
    for (size_t i = 0; i < 10; i++) {
        if (i != 4 && i != 7 && !is_digit(t.data[i])) {
            return false;
        }
    }
    unsigned year = number_of(t.data, 4);
    unsigned month = number_of(t.data + 5, 2);
    unsigned day = number_of(t.data + 8, 2);
    if (year == 0 || month < 1 || month > 12) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    unsigned last = days[month - 1] + (month == 2 && leap ? 1u : 0u);
    return day >= 1 && day <= last;
}

/* By the calendar's 400-year cycle; the year is taken to begin in March, so that the leap day is
 * its last. */
void text_date_put(int64_t day, char out[TEXT_DATE_BYTES])
{
    enum { CYCLE_DAYS = 146097, EPOCH_DAYS = 719468, FIRST_DAY = -719162, LAST_DAY = 2932896 };
    static const char PLACES[] = "0000-00-00";
    int64_t shifted = (day < FIRST_DAY ? FIRST_DAY : day > LAST_DAY ? LAST_DAY : day) + EPOCH_DAYS;
    int64_t cycle = shifted / CYCLE_DAYS, of_cycle = shifted % CYCLE_DAYS;
    int64_t year = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    int64_t of_year = of_cycle - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int64_t digits = (cycle * 400 + year + (month >= 10)) * 10000 +
                     (month < 10 ? month + 3 : month - 9) * 100 + of_year - (153 * month + 2) / 5 +
                     1;

    for (int i = TEXT_DATE_BYTES - 1; i >= 0; i--) {
        out[i] = PLACES[i];
        if (PLACES[i] == '0') {
            out[i] = (char)('0' + digits % 10);
            digits /= 10;
        }
    }
}

bool text_date_within(fb_text day, fb_text from, fb_text to)
{
    return (from.size == 0 || text_compare(from, day) <= 0) &&
           (to.size == 0 || text_compare(day, to) <= 0);
}
