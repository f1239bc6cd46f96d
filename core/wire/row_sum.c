/* row_sum.c - see row_sum.h. */
#include "wire/row_sum.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

enum { SUM_DIGITS = 16 };

/* The last step of splitmix64: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint64_t big_endian(const uint8_t *bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | bytes[i];
    }
    return v;
}

/* FNV-1a over the name, then the halves of the id. */
static uint64_t hash_of(fb_text entity, const fb_id *id)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < entity.size; i++) {
        h = (h ^ (uint8_t)entity.data[i]) * 0x100000001B3u;
    }
    return mix(mix(h ^ big_endian(id->b)) ^ big_endian(id->b + 8));
}

unsigned row_bucket(fb_text entity, const fb_id *id)
{
    return (unsigned)(hash_of(entity, id) >> 56);
}

void row_sums_add(row_sums *s, fb_text entity, const fb_id *id, int64_t ver)
{
    uint64_t h = hash_of(entity, id);
    s->bucket[h >> 56] += mix(h ^ (uint64_t)ver);
    s->rows++;
}

void row_sums_take(row_sums *s, fb_text entity, const fb_id *id, int64_t ver)
{
    uint64_t h = hash_of(entity, id);
    s->bucket[h >> 56] -= mix(h ^ (uint64_t)ver);
    s->rows--;
}

void row_sums_join(row_sums *s, const row_sums *more)
{
    for (int i = 0; i < ROW_BUCKETS; i++) {
        s->bucket[i] += more->bucket[i];
    }
    s->rows += more->rows;
}

bool row_sums_equal(const row_sums *a, const row_sums *b)
{
    return a->rows == b->rows && memcmp(a->bucket, b->bucket, sizeof a->bucket) == 0;
}

row_totals row_totals_of(const row_sums *s)
{
    row_totals t = {.rows = s->rows};
    for (int i = 0; i < ROW_BUCKETS; i++) {
        t.sum += s->bucket[i];
    }
    return t;
}

/* ---- as text ---- */

static bool number_get(fb_text digits, uint64_t *out)
{
    uint8_t bytes[8];
    if (!hex_get(digits, bytes, sizeof bytes)) {
        return false;
    }
    *out = big_endian(bytes);
    return true;
}

fb_text row_totals_put(const row_totals *t, char room[ROW_TOTALS_TEXT_BYTES])
{
    int n = snprintf(room, ROW_TOTALS_TEXT_BYTES, "%lld:%016llx", (long long)t->rows,
                     (unsigned long long)t->sum);
    return (fb_text){room, (size_t)n};
}

bool row_totals_get(fb_text text, row_totals *out)
{
    const size_t tail = SUM_DIGITS + 1;
    if (text.size <= tail || text.data[text.size - tail] != ':') {
        return false;
    }
    row_totals t = {.rows = 0};
    if (!i64_get((fb_text){text.data, text.size - tail}, &t.rows) || t.rows < 0 ||
        !number_get((fb_text){text.data + text.size - SUM_DIGITS, SUM_DIGITS}, &t.sum)) {
        return false;
    }
    *out = t;
    return true;
}

void row_buckets_put(buf *out, const row_sums *s)
{
    for (int i = 0; i < ROW_BUCKETS; i++) {
        buf_printf(out, "%016llx", (unsigned long long)s->bucket[i]);
    }
}

bool row_buckets_get(fb_text text, row_sums *out)
{
    row_sums s = {.rows = 0};
    if (text.size != (size_t)ROW_BUCKETS * SUM_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < ROW_BUCKETS; i++) {
        if (!number_get((fb_text){text.data + i * SUM_DIGITS, SUM_DIGITS}, &s.bucket[i])) {
            return false;
        }
    }
    *out = s;
    return true;
}

/* ---- sets of buckets ---- */

void bucket_set_add(bucket_set *set, unsigned bucket)
{
    set->bits[bucket / 8] |= (uint8_t)(1u << bucket % 8);
}

bool bucket_set_has(const bucket_set *set, unsigned bucket)
{
    return (set->bits[bucket / 8] >> bucket % 8 & 1) != 0;
}

uint32_t bucket_set_count(const bucket_set *set)
{
    uint32_t count = 0;
    for (unsigned b = 0; b < ROW_BUCKETS; b++) {
        count += bucket_set_has(set, b);
    }
    return count;
}
