/* find.c - customers by code, name, pinyin initials, phone, or nearby. See fieldbook/customer.h.
 *
 * The text is folded once (text_key) and matched in one statement; with a position only the
 * addresses inside a box are read, and the distance decides the order. */
#include "fieldbook/customer.h"

#include <stdlib.h>
#include <string.h>

#include "api/handle.h"

enum {
    LIMIT_DEFAULT = 20,
    LIMIT_MAX = 1000,
    RADIUS_DEFAULT_M = 5000,
    RADIUS_MAX_M = 200000,
    NEAR_ROWS_MAX = 20000,
    DIGITS_MIN = 3,
    HIT_COLUMNS = 8
};

/* By rank of the statement below: the smaller the better. */
static const char *const MATCH_NAMES[] = {"code", "code",   "name",  "pinyin",
                                          "name", "pinyin", "phone", "near"};

#define DIGITS(column) "replace(replace(replace(" column ", ' ', ''), '-', ''), '.', '')"

/* ?1 key, ?2 digits of a phone or NULL, ?3 the code as typed. */
#define RANK                                                                                     \
    "CASE WHEN ?1 = '' THEN 7 WHEN lower(c.code) = lower(?3) THEN 0 "                            \
    "WHEN substr(lower(c.code), 1, length(?3)) = lower(?3) THEN 1 "                              \
    "WHEN substr(c.name_key, 1, length(?1)) = ?1 THEN 2 "                                        \
    "WHEN substr(c.name_py, 1, length(?1)) = ?1 THEN 3 "                                         \
    "WHEN instr(c.name_key, ?1) > 0 THEN 4 WHEN instr(c.name_py, ?1) > 0 THEN 5 "                \
    "WHEN ?2 IS NOT NULL AND (instr(" DIGITS(                                                    \
        "c.phone") ", ?2) > 0 OR c.id IN "                                                       \
                   "(SELECT k.customer_id FROM contact k WHERE instr(" DIGITS(                   \
                       "k.phone") ", ?2) > 0 OR instr(" DIGITS("k.mobile") ", ?2) > 0)) THEN 6 " \
                                                                           "END"

static const char BY_TEXT[] =
    "SELECT c.id, c.code, c.name, c.grade, c.status, c.phone, " RANK " AS rank FROM customer c "
    "WHERE rank IS NOT NULL AND c.status <> 'merged' ORDER BY rank, c.name_key, c.id LIMIT ?4";

static const char NEARBY[] =
    "SELECT c.id, c.code, c.name, c.grade, c.status, c.phone, " RANK " AS rank, a.lat_e7, a.lon_e7 "
    "FROM customer_address a JOIN customer c ON c.id = a.customer_id "
    "WHERE a.kind = 'visit' AND a.lat_e7 BETWEEN ?5 AND ?6 AND a.lon_e7 BETWEEN ?7 AND ?8 "
    "AND rank IS NOT NULL AND c.status <> 'merged' LIMIT ?4";

typedef struct hit {
    fb_value columns[HIT_COLUMNS];
    int64_t distance_m;
} hit;

typedef struct finder {
    fb_db *db;
    fb_find_options o;
    arena *memory;
    buf key, digits;
    fb_text typed;
    hit *hits;
    uint32_t count, capacity;
} finder;

static fb_code options_bound(const fb_find_options *o, fb_error *err)
{
    bool place = o->lat_e7 >= -900000000 && o->lat_e7 <= 900000000 && o->lon_e7 >= -1800000000 &&
                 o->lon_e7 <= 1800000000;

    if (o->near && !place) {
        return fail(err, FB_E_RANGE, "lat_e7",
                    "latitude within 90 and longitude within 180 degrees: correct them");
    }
    if (o->radius_m < 0 || o->radius_m > RADIUS_MAX_M) {
        return fail(err, FB_E_RANGE, "radius_m", "a radius of 0..%d metres: correct it",
                    RADIUS_MAX_M);
    }
    if (o->limit > LIMIT_MAX) {
        return fail(err, FB_E_RANGE, "limit", "at most %d rows: correct it", LIMIT_MAX);
    }
    return FB_OK;
}

static void keep_digits(buf *out, fb_text t)
{
    for (size_t i = 0; i < t.size; i++) {
        if (t.data[i] >= '0' && t.data[i] <= '9') {
            buf_put_char(out, t.data[i]);
        }
    }
}

/* Digits count as a phone only when nothing but digits and the usual marks was typed. */
static bool is_phone(fb_text t)
{
    for (size_t i = 0; i < t.size; i++) {
        if (strchr("0123456789 +-().", t.data[i]) == NULL || t.data[i] == '\0') {
            return false;
        }
    }
    return true;
}

static fb_code finder_init(finder *f, const char *text)
{
    f->typed = text_of(text == NULL ? "" : text);
    if (f->o.limit == 0) {
        f->o.limit = LIMIT_DEFAULT;
    }
    if (f->o.radius_m == 0) {
        f->o.radius_m = RADIUS_DEFAULT_M;
    }
    buf_init(&f->key, 4096);
    buf_init(&f->digits, 4096);
    text_key(&f->key, f->typed);
    if (is_phone(f->typed)) {
        keep_digits(&f->digits, f->typed);
    }
    f->memory = arena_new(CALL_BYTES_MAX);
    f->capacity = f->o.near ? NEAR_ROWS_MAX : f->o.limit;
    f->hits = f->memory == NULL ? NULL : arena_take(f->memory, f->capacity * sizeof *f->hits);
    return f->hits == NULL ? FB_E_NO_MEMORY : f->key.code;
}

static void finder_clear(finder *f)
{
    arena_free(f->memory);
    buf_clear(&f->key);
    buf_clear(&f->digits);
}

static void bind_text_params(finder *f, sql_stmt *s)
{
    fb_text key = f->key.size > 0 ? buf_text(&f->key) : (fb_text){"", 0};

    sql_bind_text(s, 1, key);
    if (f->digits.size >= DIGITS_MIN) {
        sql_bind_text(s, 2, buf_text(&f->digits));
    }
    sql_bind_text(s, 3, f->typed);
    sql_bind_int(s, 4, f->capacity);
}

/* The box around the circle; cos is taken at the circle's end nearer the pole, so the box holds it.
 */
static void bind_box(const finder *f, sql_stmt *s)
{
    int64_t reach_e7 = (int64_t)f->o.radius_m * 10000000 / 111195 + 1;
    int64_t pole_e7 = (f->o.lat_e7 < 0 ? -(int64_t)f->o.lat_e7 : f->o.lat_e7) + reach_e7;
    int64_t wide_e7 = 1800000000;
    int64_t metres =
        pole_e7 < 890000000 ? fb_distance_m((int32_t)pole_e7, 0, (int32_t)pole_e7, 10000000) : 0;

    if (metres > 0) {
        wide_e7 = (int64_t)f->o.radius_m * 10000000 / metres + 1;
    }
    sql_bind_int(s, 5, f->o.lat_e7 - reach_e7);
    sql_bind_int(s, 6, f->o.lat_e7 + reach_e7);
    sql_bind_int(s, 7, f->o.lon_e7 - wide_e7);
    sql_bind_int(s, 8, f->o.lon_e7 + wide_e7);
}

static fb_code keep_hit(finder *f, sql_stmt *s)
{
    hit *h = &f->hits[f->count];
    int64_t rank = sql_int(s, 6);

    if (f->o.near) {
        h->distance_m =
            fb_distance_m(f->o.lat_e7, f->o.lon_e7, (int32_t)sql_int(s, 7), (int32_t)sql_int(s, 8));
        if (h->distance_m > f->o.radius_m) {
            return FB_OK;
        }
    }
    for (int i = 0; i < 6; i++) {
        h->columns[i] = sql_value(s, i);
        if (h->columns[i].kind == FB_KIND_TEXT) {
            h->columns[i].u.text = arena_text(f->memory, h->columns[i].u.text);
        }
    }
    h->columns[6] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(MATCH_NAMES[rank])};
    h->columns[7] = f->o.near ? (fb_value){.kind = FB_KIND_INT, .u.i = h->distance_m}
                              : (fb_value){.kind = FB_KIND_NULL};
    f->count++;
    return FB_OK;
}

static fb_code read_hits(finder *f)
{
    bool row = false;
    fb_code rc = FB_OK;
    sql_stmt *s = sql_prepare(replica_sql(f->db->r), f->o.near ? NEARBY : BY_TEXT);

    bind_text_params(f, s);
    if (f->o.near) {
        bind_box(f, s);
    }
    while (f->count < f->capacity && (rc = sql_step(s, &row)) == FB_OK && row) {
        if ((rc = keep_hit(f, s)) != FB_OK) {
            break;
        }
    }
    sql_reset(s);
    return rc;
}

static int nearer(const void *a, const void *b)
{
    const hit *x = a;
    const hit *y = b;

    if (x->distance_m != y->distance_m) {
        return x->distance_m < y->distance_m ? -1 : 1;
    }
    return id_compare(&x->columns[0].u.id, &y->columns[0].u.id);
}

static fb_code lend_hits(finder *f, fb_row_fn fn, void *ctx)
{
    static const char *const NAMES[HIT_COLUMNS] = {"id",     "code",  "name",  "grade",
                                                   "status", "phone", "match", "distance_m"};

    if (f->o.near) {
        qsort(f->hits, f->count, sizeof *f->hits, nearer);
    }
    for (uint32_t i = 0; i < f->count && i < f->o.limit; i++) {
        fb_row row = {.columns_count = HIT_COLUMNS, .names = NAMES, .values = f->hits[i].columns};
        FB_TRY(fn(ctx, &row));
    }
    return FB_OK;
}

fb_code fb_customer_find(fb_db *db, const char *text, const fb_find_options *options, fb_row_fn fn,
                         void *ctx, fb_error *err)
{
    finder f = {.db = db, .o = FB_FIND_OPTIONS_INIT};

    FB_REQUIRE(db != NULL && fn != NULL);
    api_clear(err);
    FB_TRY(options_copy(&f.o, sizeof f.o, options));
    FB_TRY(options_bound(&f.o, err));
    fb_code rc = finder_init(&f, text);
    if (rc == FB_OK && (rc = read_hits(&f)) == FB_OK) {
        rc = lend_hits(&f, fn, ctx);
    }
    finder_clear(&f);
    return api_said(db, rc, err);
}
