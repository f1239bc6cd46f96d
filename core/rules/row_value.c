/* row_value.c - is one value fit for its column? Limits come from the catalogue, forms from the
 * column's name, so that a column added by IT as `fax_phone` is checked like every other phone. */
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "rules/row_rule.h"

enum { FUTURE_MS_MAX = 10 * 60 * 1000, MINUTE_MS = 60 * 1000, LIST_BYTES = 160 };
enum { PHONE_DIGITS_MIN = 3, PHONE_DIGITS_MAX = 15, PHONE_BYTES = 512 };

bool row_is_empty(const fb_value *v)
{
    return v->kind == FB_KIND_NULL || (v->kind == FB_KIND_TEXT && v->u.text.size == 0);
}

bool row_named(fb_text name, const char *word)
{
    size_t size = strlen(word);
    if (name.size < size || memcmp(name.data + name.size - size, word, size) != 0) {
        return false;
    }
    return name.size == size || name.data[name.size - size - 1] == '_';
}

/* Digits with the separators people write; + only in front. Full-width ones were folded before.
 * Shorter than text_phone asks for: 110 and 95588 are numbers too. */
static bool phone_form(fb_text t)
{
    size_t digits = 0;
    for (size_t i = 0; i < t.size; i++) {
        char c = t.data[i];
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (!(c == '+' && digits == 0) && memchr(" -()./", c, 6) == NULL) {
            return false;
        }
    }
    return digits >= PHONE_DIGITS_MIN && digits <= PHONE_DIGITS_MAX;
}

/* Whatever has an international form, or else looks like a number once normalised. */
static bool phone_ok(fb_text t)
{
    char room[PHONE_BYTES];
    buf b = {.data = room, .capacity = sizeof room, .max = sizeof room - 1};
    if (text_phone(&b, t, "CN")) {
        return true;
    }
    buf_reset(&b);
    text_normalise(&b, t);
    return b.code == FB_OK && phone_form(buf_text(&b));
}

static const struct {
    const char *name;
    bool (*holds)(fb_text t);
    row_word w;
} FORMS[] = {
    {"phone", phone_ok, ROW_PHONE},         {"mobile", phone_ok, ROW_PHONE},
    {"email", text_email_valid, ROW_EMAIL}, {"usc_code", text_usc_valid, ROW_USC},
    {"gtin", text_gtin_valid, ROW_GTIN},
};

static fb_code form_check(const row_case *c, int column, fb_text t)
{
    fb_text name = c->e->columns[column].name;
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0] && t.size > 0; i++) {
        if (row_named(name, FORMS[i].name) && !FORMS[i].holds(t)) {
            return row_say(c, FORMS[i].w, column, NULL, 0);
        }
    }
    return FB_OK;
}

static const struct {
    const char *name;
    int32_t degrees;
} ANGLES[] = {{"lat_e7", 90}, {"lon_e7", 180}};

static fb_code angle_check(const row_case *c, int column, int64_t e7)
{
    const int64_t one = 10000000;
    for (size_t i = 0; i < sizeof ANGLES / sizeof ANGLES[0]; i++) {
        int64_t most = ANGLES[i].degrees * one;
        if (!row_named(c->e->columns[column].name, ANGLES[i].name) || (e7 >= -most && e7 <= most)) {
            continue;
        }
        char rooms[2][ISSUE_NUMBER_BYTES];
        const issue_arg args[] = {issue_number(rooms[0], e7, 7, 0),
                                  issue_number(rooms[1], ANGLES[i].degrees, 0, 0)};
        return row_say(c, ROW_DEGREES, column, args, 2);
    }
    return FB_OK;
}

/* Times at which something happened, so they cannot lie ahead. */
static const char *const PAST_TIMES[] = {"at", "check_in_at", "check_out_at", "received_at",
                                         "taken_at"};

static fb_code future_check(const row_case *c, int column, int64_t at_ms)
{
    int64_t latest_ms =
        c->now_ms <= INT64_MAX - FUTURE_MS_MAX ? c->now_ms + FUTURE_MS_MAX : INT64_MAX;
    for (size_t i = 0; i < sizeof PAST_TIMES / sizeof PAST_TIMES[0]; i++) {
        if (at_ms > latest_ms && text_is(c->e->columns[column].name, PAST_TIMES[i])) {
            char room[ISSUE_NUMBER_BYTES];
            uint64_t ahead_ms = (uint64_t)at_ms - (uint64_t)c->now_ms;
            const issue_arg args[] = {issue_number(room, (int64_t)(ahead_ms / MINUTE_MS), 0, 0)};
            return row_say(c, ROW_FUTURE, column, args, 1);
        }
    }
    return FB_OK;
}

/* Decimals a person sees; money keeps minor units because its currency is in another column. */
static unsigned decimals_of(cat_type type)
{
    switch (type) {
    case CAT_BP:
        return 2;
    case CAT_PRICE:
        return 4;
    case CAT_MILLI:
        return 3;
    case CAT_E7:
        return 7;
    default:
        return 0;
    }
}

static fb_code say_range(const row_case *c, int column, int64_t value)
{
    const cat_column *col = &c->e->columns[column];
    unsigned digits = decimals_of(col->type);
    char rooms[3][ISSUE_NUMBER_BYTES];
    const issue_arg args[] = {issue_number(rooms[0], value, digits, 0),
                              issue_number(rooms[1], col->min, digits, 0),
                              issue_number(rooms[2], col->max, digits, 0)};
    return row_say(c, ROW_RANGE, column, args, 3);
}

static fb_code say_length(const row_case *c, int column, size_t size)
{
    char rooms[2][ISSUE_NUMBER_BYTES];
    const issue_arg args[] = {issue_number(rooms[0], (int64_t)size, 0, 0),
                              issue_number(rooms[1], c->e->columns[column].max_bytes, 0, 0)};
    return row_say(c, ROW_LENGTH, column, args, 2);
}

static fb_code say_enum(const row_case *c, int column)
{
    const cat_column *col = &c->e->columns[column];
    char room[LIST_BYTES];
    const issue_arg args[] = {
        issue_code(row_list(room, sizeof room, col->values, col->values_count))};
    return row_say(c, ROW_ENUM, column, args, 1);
}

/* The catalogue's refusal in both languages; codes without words of their own keep its text. */
static fb_code say_refused(const row_case *c, int column, const fb_value *v, const fb_error *err)
{
    if (err->code == FB_E_RANGE && v->kind == FB_KIND_INT) {
        return say_range(c, column, v->u.i);
    }
    if (err->code == FB_E_LENGTH && v->kind == FB_KIND_TEXT) {
        return say_length(c, column, v->u.text.size);
    }
    if (err->code == FB_E_ENUM) {
        return say_enum(c, column);
    }
    const issue_arg args[] = {{text_of(err->message), text_of(fb_code_text(err->code, "zh"))}};
    (void)row_say(c, ROW_VALUE, column, args, 1);
    c->out->code = err->code;
    return err->code;
}

fb_code row_value_check(const row_case *c, int column, const fb_value *v)
{
    fb_error err = {.code = FB_OK};
    fb_code rc = cat_value_check(c->e, column, v, &err);
    if (rc != FB_OK) {
        err.code = rc;
        return say_refused(c, column, v, &err);
    }
    if (v->kind == FB_KIND_TEXT) {
        return form_check(c, column, v->u.text);
    }
    if (v->kind == FB_KIND_INT) {
        FB_TRY(angle_check(c, column, v->u.i));
        return future_check(c, column, v->u.i);
    }
    return FB_OK;
}

/* The first must not lie after the second. */
static const char *const DATE_PAIRS[][2] = {
    {"valid_from", "valid_to"},
    {"from_at", "to_at"},
    {"start", "end"},
    {"start_at", "end_at"},
    {"start_date", "end_date"},
    {"starts_at", "ends_at"},
    {"starts_on", "ends_on"},
    {"window_start", "window_end"},
    {"period_start", "period_end"},
    {"from_date", "to_date"},
    {"date_from", "date_to"},
    {"check_in_at", "check_out_at"},
    {"started_at", "ended_at"},
    {"window_start_min", "window_end_min"},
};

static bool in_order(const fb_value *first, const fb_value *second)
{
    if (row_is_empty(first) || row_is_empty(second) || first->kind != second->kind) {
        return true;
    }
    if (first->kind == FB_KIND_TEXT) {
        return text_compare(first->u.text, second->u.text) <= 0;
    }
    return first->kind != FB_KIND_INT || first->u.i <= second->u.i;
}

fb_code row_dates_check(const row_case *c, const fb_value *row, const bool *changed)
{
    for (size_t i = 0; i < sizeof DATE_PAIRS / sizeof DATE_PAIRS[0]; i++) {
        int first = cat_column_str(c->e, DATE_PAIRS[i][0]);
        int second = cat_column_str(c->e, DATE_PAIRS[i][1]);
        if (first < 0 || second < 0 || in_order(&row[first], &row[second]) ||
            (changed != NULL && !changed[first] && !changed[second])) {
            continue;
        }
        const cat_column *col = &c->e->columns[first];
        const issue_arg args[] = {{col->label_en, col->label_zh}};
        return row_say(c, ROW_DATES, second, args, 1);
    }
    return FB_OK;
}
