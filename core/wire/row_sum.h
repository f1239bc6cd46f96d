/* row_sum.h - the digest of rows that device and server keep alike (protocol.md section 6.5).
 *
 * A row counts by entity, id and version. Rows fall into 256 buckets by entity and id alone, so a
 * row that changes stays in its bucket; a bucket is the wrapping sum of its rows' hashes, whatever
 * their order. Finds mistakes and damage, not attackers: the hash has no secret. */
#ifndef FB_WIRE_ROW_SUM_H
#define FB_WIRE_ROW_SUM_H

#include "base/bytes.h"
#include "base/id.h"

enum { ROW_BUCKETS = 256, ROW_TOTALS_TEXT_BYTES = 48, ROW_BUCKET_SET_BYTES = ROW_BUCKETS / 8 };

typedef struct row_sums {
    uint64_t bucket[ROW_BUCKETS];
    int64_t rows;
} row_sums;

unsigned row_bucket(fb_text entity, const fb_id *id);
void row_sums_add(row_sums *s, fb_text entity, const fb_id *id, int64_t ver);
void row_sums_take(row_sums *s, fb_text entity, const fb_id *id, int64_t ver);
/* All rows of `more` as well; wrapping, so differences can be added. */
void row_sums_join(row_sums *s, const row_sums *more);
bool row_sums_equal(const row_sums *a, const row_sums *b);

/* All buckets as one number, as a complete page carries it. */
typedef struct row_totals {
    int64_t rows;
    uint64_t sum;
} row_totals;
row_totals row_totals_of(const row_sums *s);
/* "<rows>:<sum, 16 hexadecimal digits>" */
fb_text row_totals_put(const row_totals *t, char room[ROW_TOTALS_TEXT_BYTES]);
bool row_totals_get(fb_text text, row_totals *out);

/* The buckets' sums alone: 256 times 16 hexadecimal digits. */
void row_buckets_put(buf *out, const row_sums *s);
bool row_buckets_get(fb_text text, row_sums *out); /* rows stays 0 */

/* A set of buckets: 64 hexadecimal digits; bucket b is bit b % 8 of byte b / 8. */
typedef struct bucket_set {
    uint8_t bits[ROW_BUCKET_SET_BYTES];
} bucket_set;
void bucket_set_add(bucket_set *set, unsigned bucket);
bool bucket_set_has(const bucket_set *set, unsigned bucket);
uint32_t bucket_set_count(const bucket_set *set);

#endif
