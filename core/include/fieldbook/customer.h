/* customer.h - find a customer, see everything about it, create and change it.
 *
 * Threads: as fb_db. */
#ifndef FIELDBOOK_CUSTOMER_H
#define FIELDBOOK_CUSTOMER_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_find_options {
    uint32_t size_bytes;
    bool near;        /* use lat_e7, lon_e7 and radius_m: nearest first */
    int32_t lat_e7;   /* 1e-7 degree, -900000000..900000000 */
    int32_t lon_e7;   /* 1e-7 degree, -1800000000..1800000000 */
    int32_t radius_m; /* metres; 0: 5000; at most 200000 */
    uint32_t limit;   /* rows; 0: 20; at most 1000 */
} fb_find_options;

/* clang-format off */
#define FB_FIND_OPTIONS_INIT {sizeof(fb_find_options), false, 0, 0, 0, 0}
/* clang-format on */

/* Lend the customers that match `text` to `fn`, best first: equal code, code that begins so, name,
 * pinyin initials (拼音首字母), phone digits (at least three). NULL or "" matches all, which is
 * useful with options->near. Letter case, width and accents do not matter. Columns: id, code, name,
 * grade, status, phone, match ("code" "name" "pinyin" "phone" "near"), distance_m (null without
 * near); form FB_FORM_RAW. Distance: great circle in whole metres, see fb_distance_m. */
FB_API FB_MUST_USE fb_code fb_customer_find(fb_db *db, const char *text,
                                            const fb_find_options *options, fb_row_fn fn, void *ctx,
                                            fb_error *err);

/* The id of the customer with this code, or of this id in text form. FB_E_NOT_FOUND: not on this
 * device; *out untouched. */
FB_API FB_MUST_USE fb_code fb_customer_lookup(fb_db *db, const char *code_or_id, fb_id *out,
                                              fb_error *err);

/* Everything a person wants to see before going in, as one JSON object: customer, contacts,
 * addresses, orders, visits, activities (the last five of each, newest first), tasks (open),
 * balance (known balance, limit, own orders and payments the server has not taken yet), problems
 * (rejected or held groups about it). *json_out ends with fb_string_free. FB_E_NOT_FOUND. */
FB_API FB_MUST_USE fb_code fb_customer_360(fb_db *db, const fb_id *customer, char **json_out,
                                           fb_error *err);

/* Create a customer from a JSON object (record.h form). Without "code" a provisional one from the
 * device's own number range is given; without "status" it is pending (待审核) until the office
 * approves; owner and territory default to the person's own. Errors as fb_record_insert. */
FB_API FB_MUST_USE fb_code fb_customer_create(fb_db *db, const char *json, fb_id *id_out,
                                              fb_error *err);

typedef struct fb_customer_change {
    uint32_t columns_written;   /* columns changed at once */
    uint32_t columns_requested; /* guarded columns put into a change request */
    fb_id change_request;       /* none when columns_requested is 0 */
} fb_customer_change;

/* Change a customer. Free columns are written at once; guarded ones (name, grade, terms ...) become
 * a change_request (资料审核) with the values before and after, in the same group. *out may be
 * NULL. */
FB_API FB_MUST_USE fb_code fb_customer_update(fb_db *db, const fb_id *customer, const char *json,
                                              fb_customer_change *out, fb_error *err);

/* Metres between two points, whole numbers only. Within 0.2 % or 1 m of the great circle, whichever
 * is larger, up to 200 km and latitudes to 70 degrees; beyond that good enough for ordering. */
FB_API int64_t fb_distance_m(int32_t lat1_e7, int32_t lon1_e7, int32_t lat2_e7, int32_t lon2_e7);

#ifdef __cplusplus
}
#endif
#endif
