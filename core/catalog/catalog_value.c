/* catalog_value.c - one value of one column: is it allowed, from text, to text.
 *
 * Human form: minor 2 digits, price 4, milli 3, bp 2 (percent: 12.5 is 1250), e7 7; instants as
 * 2026-11-22T08:00:00.000Z; bools as true/false. Raw form: integers. Exact, no floating point. */
#include "catalog/catalog.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/text.h"
#include "schema/limits.h"
#include "wire/json.h"

enum { JSON_SCRATCH_BYTES_MAX = 1 << 20, DAY_MS = 24 * 60 * 60 * 1000 };

bool cat_is_integer(cat_type t)
{
    return t >= CAT_BOOL;
}

bool cat_is_wide(cat_type t)
{
    return t >= CAT_INT64;
}

fb_kind cat_kind(cat_type t)
{
    if (cat_is_integer(t)) {
        return FB_KIND_INT;
    }
    return t == CAT_ID || t == CAT_REF ? FB_KIND_ID : FB_KIND_TEXT;
}

bool fb_value_equal(const fb_value *a, const fb_value *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case FB_KIND_NULL:
        return true;
    case FB_KIND_INT:
        return a->u.i == b->u.i;
    case FB_KIND_TEXT:
        return text_equal(a->u.text, b->u.text);
    case FB_KIND_ID:
        return id_equal(&a->u.id, &b->u.id);
    }
    return false;
}

static fb_code refuse_value(const cat_entity *e, int column, fb_error *err, fb_code code,
                            const char *why)
{
    fb_text name = e->columns[column].name;
    char field[96];

    (void)snprintf(field, sizeof field, "%.*s.%.*s", (int)e->name.size, e->name.data,
                   (int)name.size, name.data);
    return fail(err, code, field, "%s", why);
}

static bool is_enum_value(const cat_column *c, fb_text text)
{
    for (uint32_t i = 0; i < c->values_count; i++) {
        if (text_equal(c->values[i], text)) {
            return true;
        }
    }
    return false;
}

/* FB_E_NO_MEMORY says nothing about the text. */
static fb_code check_json(fb_text text)
{
    arena *scratch = arena_new(JSON_SCRATCH_BYTES_MAX);
    fb_code rc = scratch != NULL ? json_check(text, scratch) : FB_E_NO_MEMORY;

    arena_free(scratch);
    return rc;
}

static fb_code check_int(const cat_entity *e, int column, int64_t value, fb_error *err)
{
    const cat_column *c = &e->columns[column];
    char why[128];

    if (value >= c->min && value <= c->max) {
        return FB_OK;
    }
    (void)snprintf(why, sizeof why, "the number must be between %lld and %lld: correct it",
                   (long long)c->min, (long long)c->max);
    return refuse_value(e, column, err, FB_E_RANGE, why);
}

static fb_code check_text(const cat_entity *e, int column, fb_text text, fb_error *err)
{
    const cat_column *c = &e->columns[column];
    char why[96];

    if (c->max_bytes > 0 && text.size > c->max_bytes) {
        (void)snprintf(why, sizeof why, "the text is longer than %u bytes: shorten it",
                       c->max_bytes);
        return refuse_value(e, column, err, FB_E_LENGTH, why);
    }
    if (!utf8_valid(text)) {
        return refuse_value(e, column, err, FB_E_FORMAT,
                            "the text is not valid UTF-8: enter it again");
    }
    if (c->type == CAT_ENUM && !is_enum_value(c, text)) {
        return refuse_value(e, column, err, FB_E_ENUM,
                            "the value is not one of the allowed codes: choose one");
    }
    if (c->type == CAT_DATE && !text_date_valid(text)) {
        return refuse_value(e, column, err, FB_E_FORMAT,
                            "the date must exist and be written YYYY-MM-DD: correct it");
    }
    fb_code rc = c->type == CAT_JSON ? check_json(text) : FB_OK;
    if (rc == FB_E_NO_MEMORY) {
        return refuse_value(e, column, err, rc, "there is not enough memory: try again");
    }
    return rc == FB_OK ? FB_OK
                       : refuse_value(e, column, err, FB_E_FORMAT,
                                      "the text is not strict JSON: correct it");
}

fb_code cat_value_check(const cat_entity *e, int column, const fb_value *v, fb_error *err)
{
    FB_REQUIRE(e != NULL && v != NULL && column >= 0 && (uint32_t)column < e->columns_count);

    if (v->kind == FB_KIND_NULL) {
        return FB_OK;
    }
    if (v->kind != cat_kind(e->columns[column].type)) {
        return refuse_value(e, column, err, FB_E_INVALID,
                            "the value has the wrong type for its column: correct it");
    }
    if (v->kind == FB_KIND_INT) {
        return check_int(e, column, v->u.i, err);
    }
    if (v->kind == FB_KIND_TEXT) {
        return check_text(e, column, v->u.text, err);
    }
    if (id_is_none(&v->u.id)) {
        return refuse_value(e, column, err, FB_E_INVALID,
                            "the identity is all zero: leave it empty or give a real one");
    }
    return FB_OK;
}

/* Decimals of the human form; 0: none. */
static unsigned human_digits(cat_type t)
{
    switch (t) {
    case CAT_MINOR:
    case CAT_BP:
        return 2;
    case CAT_MILLI:
        return 3;
    case CAT_PRICE:
        return 4;
    case CAT_E7:
        return 7;
    default:
        return 0;
    }
}

static bool bool_get(fb_text text, bool human, int64_t *out)
{
    static const char *const yes[] = {"1", "true", "yes", "是"};
    static const char *const no[] = {"0", "false", "no", "否"};
    size_t words = human ? sizeof yes / sizeof yes[0] : 1;

    for (size_t i = 0; i < words; i++) {
        if (text_is(text, yes[i]) || text_is(text, no[i])) {
            *out = text_is(text, yes[i]) ? 1 : 0;
            return true;
        }
    }
    return false;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar; years begin in March here, so that
 * the leap day is the last. Method: Howard Hinnant, chrono-compatible date algorithms. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;

    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

/* Two or more digits at `at`; -1 when they are no digits. */
static int64_t digits_at(fb_text t, size_t at, size_t count)
{
    int64_t value = 0;

    for (size_t i = at; i < at + count; i++) {
        if (i >= t.size || t.data[i] < '0' || t.data[i] > '9') {
            return -1;
        }
        value = value * 10 + (t.data[i] - '0');
    }
    return value;
}

/* 2026-11-22T08:00:00Z or with .mmm before the Z; nothing else. */
static bool instant_get(fb_text t, int64_t *out)
{
    bool has_ms = t.size == 24 && t.data[19] == '.';
    int64_t hour = digits_at(t, 11, 2);
    int64_t minute = digits_at(t, 14, 2);
    int64_t second = digits_at(t, 17, 2);
    int64_t ms = has_ms ? digits_at(t, 20, 3) : 0;

    if ((t.size != 20 && !has_ms) || t.data[t.size - 1] != 'Z' || t.data[10] != 'T' ||
        t.data[13] != ':' || t.data[16] != ':' || !text_date_valid((fb_text){t.data, 10})) {
        return false;
    }
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || ms < 0) {
        return false;
    }
    *out = days_of(digits_at(t, 0, 4), digits_at(t, 5, 2), digits_at(t, 8, 2)) * DAY_MS +
           ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    return true;
}

static void instant_put(buf *out, int64_t ms)
{
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    int64_t rest = ms % DAY_MS;

    if (ms < 0) { /* never stored: cat_value_check refuses it */
        decimal_put(out, ms, 0, false);
        return;
    }
    date_of(ms / DAY_MS, &year, &month, &day);
    buf_printf(out, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ", (long long)year,
               (long long)month, (long long)day, (long long)(rest / 3600000),
               (long long)(rest / 60000 % 60), (long long)(rest / 1000 % 60),
               (long long)(rest % 1000));
}

static bool integer_get(cat_type type, fb_text text, bool human, int64_t *out)
{
    if (type == CAT_BOOL) {
        return bool_get(text, human, out);
    }
    if (human && type == CAT_INSTANT) {
        return instant_get(text, out);
    }
    if (human && human_digits(type) > 0) {
        return decimal_get(text, human_digits(type), out);
    }
    return i64_get(text, out);
}

static fb_code refuse_number(const cat_entity *e, int column, bool human, fb_error *err)
{
    cat_type type = e->columns[column].type;
    char why[128];

    if (type == CAT_BOOL) {
        return refuse_value(e, column, err, FB_E_FORMAT,
                            "a yes/no value is expected: write 1 or 0");
    }
    if (human && type == CAT_INSTANT) {
        return refuse_value(e, column, err, FB_E_FORMAT,
                            "a time is expected: write 2026-11-22T08:00:00Z");
    }
    (void)snprintf(why, sizeof why, "a number with at most %u decimals is expected: correct it",
                   human ? human_digits(type) : 0U);
    return refuse_value(e, column, err, FB_E_FORMAT, why);
}

/* The limits as the person writes numbers of this column. */
static fb_code refuse_range(const cat_entity *e, int column, fb_error *err)
{
    const cat_column *c = &e->columns[column];
    char why[192];
    buf low;
    buf high;

    buf_init(&low, 64);
    buf_init(&high, 64);
    decimal_put(&low, c->min, human_digits(c->type), true);
    decimal_put(&high, c->max, human_digits(c->type), true);
    if (c->type == CAT_BP) {
        (void)snprintf(why, sizeof why, "percent between %s and %s is expected: 13 means 13 %%",
                       buf_cstr(&low), buf_cstr(&high));
    } else {
        (void)snprintf(why, sizeof why, "the number must be between %s and %s: correct it",
                       buf_cstr(&low), buf_cstr(&high));
    }
    buf_clear(&low);
    buf_clear(&high);
    return refuse_value(e, column, err, FB_E_RANGE, why);
}

fb_code cat_value_parse(const cat_entity *e, int column, fb_text text, bool human, fb_value *out,
                        fb_error *err)
{
    fb_value value = {0};

    FB_REQUIRE(e != NULL && out != NULL && column >= 0 && (uint32_t)column < e->columns_count);
    if (text.size > 0) {
        cat_type type = e->columns[column].type;
        value.kind = cat_kind(type);
        if (value.kind == FB_KIND_INT && !integer_get(type, text, human, &value.u.i)) {
            return refuse_number(e, column, human, err);
        }
        if (value.kind == FB_KIND_ID && !id_get(text, &value.u.id)) {
            return refuse_value(e, column, err, FB_E_FORMAT,
                                "an identity of 36 lower-case characters is expected: correct it");
        }
        if (value.kind == FB_KIND_TEXT) {
            value.u.text = text;
        }
    }
    fb_code rc = cat_value_check(e, column, &value, err);
    if (rc == FB_E_RANGE && human && human_digits(e->columns[column].type) > 0) {
        rc = refuse_range(e, column, err);
    }
    FB_TRY(rc);
    *out = value;
    return FB_OK;
}

static void integer_print(cat_type type, int64_t value, bool human, buf *out)
{
    if (human && type == CAT_BOOL) {
        buf_put_str(out, value != 0 ? "true" : "false");
    } else if (human && type == CAT_INSTANT) {
        instant_put(out, value);
    } else {
        decimal_put(out, value, human ? human_digits(type) : 0, false);
    }
}

void cat_value_print(const cat_entity *e, int column, const fb_value *v, bool human, buf *out)
{
    char id[FB_ID_TEXT_BYTES];

    FB_ASSERT(column >= 0 && (uint32_t)column < e->columns_count);
    switch (v->kind) {
    case FB_KIND_NULL:
        break;
    case FB_KIND_INT:
        integer_print(e->columns[column].type, v->u.i, human, out);
        break;
    case FB_KIND_TEXT:
        buf_put_text(out, v->u.text);
        break;
    case FB_KIND_ID:
        id_put(&v->u.id, id);
        buf_put_str(out, id);
        break;
    }
}
