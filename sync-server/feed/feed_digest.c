/* feed_digest.c - the reader's side of the digest: what a device's rows sum up to, which of its
 * buckets are wrong, and what they should hold (protocol.md section 6.5).
 *
 * The sum of the classes that the device's scopes meet: exact, each row once, and no list of who
 * has what is kept anywhere. Classes are remembered per connection and renewed by the commits that
 * changed them, so that a page costs one look at a small table. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sync-server/feed/feed_inside.h"

enum { SCOPES_BYTES_MAX = 32 << 10 };

/* ---- the classes remembered ---- */

void known_classes_clear(known_classes *k)
{
    for (uint32_t i = 0; i < k->count; i++) {
        free(k->list[i].scopes.scopes);
    }
    free(k->list);
    *k = (known_classes){.count = 0};
}

static struct known_class *known_of(known_classes *k, int64_t number)
{
    uint32_t low = 0;
    uint32_t high = k->count; /* numbers ascend: a class is never removed */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (k->list[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < k->count && k->list[low].number == number ? &k->list[low] : NULL;
}

static fb_code known_add(known_classes *k, int64_t number, fb_text scopes, arena *memory)
{
    scope_list list;
    FB_TRY(scope_list_read(scopes, memory, &list));
    if (k->count == k->capacity) {
        uint32_t capacity = k->capacity > 0 ? k->capacity * 2 : 64;
        struct known_class *grown = realloc(k->list, capacity * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        k->list = grown;
        k->capacity = capacity;
    }
    int64_t *copy = malloc((list.count + 1) * sizeof *copy);
    if (copy == NULL) {
        return FB_E_NO_MEMORY;
    }
    memcpy(copy, list.scopes, list.count * sizeof *copy);
    uint32_t at = k->count++;
    for (; at > 0 && k->list[at - 1].number > number; at--) {
        k->list[at] = k->list[at - 1];
    }
    k->list[at] = (struct known_class){.number = number, .scopes = {copy, list.count}};
    return FB_OK;
}

static fb_code known_take(known_classes *k, store_stmt *q, arena *memory)
{
    struct known_class *c = known_of(k, store_int(q, 0));
    if (c == NULL) {
        FB_TRY(known_add(k, store_int(q, 0), store_text(q, 1), memory));
        c = known_of(k, store_int(q, 0));
    }
    c->totals = (row_totals){.rows = store_int(q, 2), .sum = (uint64_t)store_int(q, 3)};
    return FB_OK;
}

static fb_code known_read(store *s, known_classes *k, arena *memory)
{
    bool row = true;
    store_stmt *q = store_prepare(s, STORE_feed_classes_since);
    store_bind_int(q, 1, k->cid);
    fb_code rc = store_step(q, &row);
    while (rc == FB_OK && row) {
        rc = known_take(k, q, memory);
        if (rc == FB_OK) {
            rc = store_step(q, &row);
        }
    }
    store_reset(q);
    return rc;
}

/* What changed since the last look; everything after something was undone here. */
static fb_code known_renew(store *s, known_classes *k, arena *memory)
{
    int64_t head = 0;
    FB_TRY(store_one(store_prepare(s, STORE_ledger_head), &head));
    if (k->undos != store_undos(s) || head < k->cid) {
        known_classes_clear(k);
        k->undos = store_undos(s);
        k->cid = -1;
    }
    if (k->cid == head && k->count > 0) {
        return FB_OK;
    }
    FB_TRY(known_read(s, k, memory));
    k->cid = head;
    return FB_OK;
}

/* ---- a device's sums ---- */

static bool scopes_meet(const scope_list *set, const scope_list *scopes)
{
    for (uint32_t i = 0; i < scopes->count; i++) {
        if (scope_list_has(set, scopes->scopes[i])) {
            return true;
        }
    }
    return false;
}

static fb_code known_get(store *s, arena *memory, known_classes **out)
{
    feed_state *f = NULL;
    FB_TRY(feed_state_get(s, &f));
    *out = &f->known;
    return known_renew(s, *out, memory);
}

fb_code feed_digest_totals(store *s, const scope_list *set, arena *memory, row_totals *out)
{
    known_classes *k = NULL;
    row_totals sum = {.rows = 0};
    FB_TRY(known_get(s, memory, &k));
    for (uint32_t i = 0; i < k->count; i++) {
        if (k->list[i].totals.rows != 0 && scopes_meet(set, &k->list[i].scopes)) {
            sum.rows += k->list[i].totals.rows;
            sum.sum += k->list[i].totals.sum;
        }
    }
    *out = sum;
    return FB_OK;
}

static fb_code class_join(store *s, int64_t number, row_sums *into)
{
    store_stmt *q = store_prepare(s, STORE_feed_class_buckets);
    row_sums sums = {.rows = 0};
    bool row = false;
    store_bind_int(q, 1, number);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_CORRUPT;
    }
    fb_code rc = class_sums_get(q, 0, &sums);
    store_reset(q);
    row_sums_join(into, &sums);
    return rc;
}

fb_code feed_digest_wrong(store *s, const scope_list *set, const row_sums *device, arena *memory,
                          bucket_set *wrong, int64_t *rows_out)
{
    known_classes *k = NULL;
    row_sums right = {.rows = 0};
    FB_TRY(known_get(s, memory, &k));
    for (uint32_t i = 0; i < k->count; i++) {
        if (scopes_meet(set, &k->list[i].scopes)) {
            FB_TRY(class_join(s, k->list[i].number, &right));
            right.rows += k->list[i].totals.rows;
        }
    }
    *wrong = (bucket_set){{0}};
    for (unsigned b = 0; b < ROW_BUCKETS; b++) {
        if (right.bucket[b] != device->bucket[b]) {
            bucket_set_add(wrong, b);
        }
    }
    *rows_out = right.rows;
    return FB_OK;
}

/* ---- checking the table itself ---- */

static fb_code class_check(store_stmt *q, class_map *counted, arena *memory, bool *good)
{
    row_sums sums = {.rows = store_int(q, 1)};
    scope_list scopes;
    arena_reset(memory);
    FB_TRY(scope_list_read(store_text(q, 0), memory, &scopes));
    FB_TRY(class_sums_get(q, 3, &sums));
    row_sums *right = NULL;
    FB_TRY(class_map_sums(counted, &scopes, &right));
    *good = row_sums_equal(&sums, right) && (uint64_t)store_int(q, 2) == row_totals_of(right).sum;
    *right = (row_sums){.rows = 0};
    return FB_OK;
}

/* Every class of the table against the count; what is left of the count stands in no row. */
static fb_code classes_check(store *s, class_map *counted, bool *good)
{
    static const row_sums nothing;
    bool row = true;
    store_stmt *q = store_prepare(s, STORE_feed_class_all);
    arena *memory = arena_new(SCOPES_BYTES_MAX * 4);
    fb_code rc = memory != NULL ? store_step(q, &row) : FB_E_NO_MEMORY;
    *good = true;
    while (rc == FB_OK && row && *good) {
        rc = class_check(q, counted, memory, good);
        if (rc == FB_OK) {
            rc = store_step(q, &row);
        }
    }
    store_reset(q);
    arena_free(memory);
    for (uint32_t i = 0; *good && i < counted->count; i++) {
        *good = row_sums_equal(&counted->list[i]->sums, &nothing);
    }
    return rc;
}

fb_code feed_digest_check(store *s, fb_error *err)
{
    class_map counted = {.count = 0};
    bool built = false;
    bool good = true;
    FB_TRY(feed_digest_built(s, &built));
    if (!built) {
        return FB_OK; /* CLS-2: nobody has written since the upgrade */
    }
    fb_code rc = class_map_count(s, &counted);
    if (rc == FB_OK) {
        rc = classes_check(s, &counted, &good);
    }
    class_map_clear(&counted);
    if (rc == FB_OK && !good) {
        return fail(err, FB_E_CORRUPT, "fs_scope_class",
                    "the digests do not count what the feed holds: entries were lost or changed "
                    "behind the server's back; restore a backup and compare");
    }
    return rc;
}
