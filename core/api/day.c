/* day.c - instants and business dates, as text and back; the calendar itself stands in
 * catalog_value.c. */
#include "api/handle.h"
#include "base/decimal.h"

#include <string.h>

#define MINUTE_MS INT64_C(60000)

/* A one-column entity, so that the catalogue's own reader and printer of instants serve here too.
 */
static const cat_column INSTANT = {
    .name = {"at", 2}, .type = CAT_INSTANT, .min = 0, .max = INT64_MAX, .to_entity = -1};
static const cat_entity TIMES = {
    .name = {"time", 4}, .columns = (cat_column *)(uintptr_t)&INSTANT, .columns_count = 1};

void instant_print(int64_t at_ms, buf *out)
{
    fb_value v = {.kind = FB_KIND_INT, .u.i = at_ms};

    cat_value_print(&TIMES, 0, &v, true, out);
}

static void digits_put(char *out, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Without the heap: a date that lacked memory once made an open visit invisible (fb-torture). The
 * years begin in March here, so that the leap day is their last; an era is 400 years. */
void day_of(const fb_db *db, int64_t at_ms, char out[DAY_TEXT_BYTES])
{
    enum {
        DAY_MS = 86400000,
        ERA_DAYS = 146097,
        EPOCH_DAYS = 719468 /* 0000-03-01 to 1970-01-01 */
    };
    int64_t local = at_ms + db->tz_offset_min * MINUTE_MS;
    int64_t days = (local > 0 ? local : 0) / DAY_MS + EPOCH_DAYS;
    int64_t of_era = days % ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;

    digits_put(out, days / ERA_DAYS * 400 + year + (month >= 10), 4);
    out[4] = '-';
    digits_put(out + 5, month < 10 ? month + 3 : month - 9, 2);
    out[7] = '-';
    digits_put(out + 8, of_year - (153 * month + 2) / 5 + 1, 2);
    out[DAY_TEXT_BYTES - 1] = '\0';
}

static bool iso_parse(const char *text, size_t size, int64_t *out_ms)
{
    fb_value v;

    if (cat_value_parse(&TIMES, 0, (fb_text){text, size}, true, &v, NULL) != FB_OK ||
        v.kind != FB_KIND_INT) {
        return false;
    }
    *out_ms = v.u.i;
    return true;
}

bool instant_parse(const fb_db *db, fb_text text, int64_t *out_ms)
{
    char noon[] = "YYYY-MM-DDT12:00:00Z";

    if (text.size == DAY_TEXT_BYTES - 1 && text_date_valid(text)) {
        memcpy(noon, text.data, text.size);
        if (!iso_parse(noon, sizeof noon - 1, out_ms)) {
            return false;
        }
        *out_ms -= db->tz_offset_min * MINUTE_MS;
        return true;
    }
    if (i64_get(text, out_ms)) {
        return *out_ms >= 0;
    }
    return iso_parse(text.data, text.size, out_ms);
}

fb_code not_in_future(fb_db *db, int64_t at_ms, const char *field, fb_error *err)
{
    if (at_ms > fb_db_now_ms(db, NULL) + FUTURE_MS_MAX) {
        return fail(err, FB_E_FUTURE, field,
                    "the time lies more than ten minutes ahead: correct it or the clock");
    }
    return FB_OK;
}
