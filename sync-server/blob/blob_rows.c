/* blob_rows.c - the tables of blob.h: what is whole, who sent it, who may have it. */
#include "base/check.h"
#include "sync-server/blob/blob_inside.h"

enum { NAMED_ROWS_MAX = 1000 }; /* rows that name one hash and are looked at */
#define DAY_MS INT64_C(86400000)

bool blob_is_known(store *s)
{
    const catalog *c = store_catalog(s);
    return c != NULL && catalog_entity_str(c, "attachment") != NULL;
}

void blob_bind(store_stmt *q, int i, const digest *hash, char room[BLOB_NAME_BYTES + 1])
{
    blob_name_put(hash, room);
    store_bind_text(q, i, (fb_text){room, BLOB_NAME_BYTES});
}

fb_code blob_row_get(store *s, const digest *hash, blob_row *out)
{
    char name[BLOB_NAME_BYTES + 1];
    bool row = false;
    store_stmt *q = store_prepare(s, STORE_blob_get);
    blob_bind(q, 1, hash, name);
    FB_TRY(store_step(q, &row));
    *out = (blob_row){.found = false};
    if (row) {
        *out = (blob_row){
            .found = store_int(q, 2) == 0, .backed = store_int(q, 1) > 0, .size = store_int(q, 0)};
        store_reset(q);
    }
    return FB_OK;
}

static fb_code has_sent(store *s, const digest *hash, const fb_id *user, bool *out)
{
    char name[BLOB_NAME_BYTES + 1];
    store_stmt *q = store_prepare(s, STORE_blob_source_get);
    blob_bind(q, 1, hash, name);
    store_bind_id(q, 2, user);
    FB_TRY(store_step(q, out));
    if (*out) {
        store_reset(q);
    }
    return FB_OK;
}

/* The whole file, as far as this person has shown to have it; else where their upload stands. */
static fb_code where_it_stands(const blob_place *p, store *s, const blob_caller *c,
                               const digest *hash, struct blob_had_item *out)
{
    blob_row b;
    bool sent = false;
    bool there = false;
    FB_TRY(blob_row_get(s, hash, &b));
    if (b.found) {
        FB_TRY(has_sent(s, hash, &c->user, &sent));
    }
    if (b.found && sent) {
        FB_TRY(blob_is_there(p, hash, b.size, &there)); /* BSV-5 */
    }
    *out = (struct blob_had_item){.offset = b.size,
                                  .state = b.backed ? BLOB_STATE_BACKED : BLOB_STATE_STORED};
    if (!there) {
        out->state = BLOB_STATE_PART;
        FB_TRY(blob_part_size(p, hash, &c->device, &out->offset));
    }
    return FB_OK;
}

fb_code blob_have(const blob_place *p, store *view, const blob_caller *c, const blob_ask *q,
                  blob_had *out)
{
    for (uint32_t i = 0; i < q->count; i++) {
        FB_TRY(where_it_stands(p, view, c, &q->hashes[i], &out->items[i]));
    }
    out->count = q->count;
    return FB_OK;
}

/* ---- a piece up ---- */

static fb_code number_of(store_stmt *q, int64_t *out)
{
    bool row = false;
    FB_TRY(store_step(q, &row));
    *out = row ? store_int(q, 0) : 0;
    store_reset(q);
    return FB_OK;
}

static fb_code quota_check(const blob_place *p, store *s, const blob_caller *c, const blob_put *q)
{
    int64_t parts = 0;
    int64_t sent = 0;
    bool row = false;
    store_stmt *of_parts = store_prepare(s, STORE_blob_parts_of_device);
    store_bind_id(of_parts, 1, &c->device);
    FB_TRY(number_of(of_parts, &parts));
    store_stmt *of_sources = store_prepare(s, STORE_blob_sources_of_device);
    store_bind_id(of_sources, 1, &c->device);
    store_bind_int(of_sources, 2, c->now_ms - DAY_MS);
    FB_TRY(number_of(of_sources, &sent));
    if (p->limits.device_day_bytes > 0 && parts + sent + q->size > p->limits.device_day_bytes) {
        return FB_E_RATE;
    }
    if (p->limits.total_bytes <= 0) {
        return FB_OK;
    }
    FB_TRY(number_of(store_prepare(s, STORE_blob_parts_size), &parts));
    store_stmt *whole = store_prepare(s, STORE_blob_count);
    FB_TRY(store_step(whole, &row));
    sent = row ? store_int(whole, 1) : 0;
    store_reset(whole);
    return parts + sent + q->size <= p->limits.total_bytes ? FB_OK : FB_E_DISK_FULL;
}

fb_code blob_part_known(store *s, const digest *hash, const fb_id *device, bool *row_out,
                        int64_t *size_out)
{
    char name[BLOB_NAME_BYTES + 1];
    store_stmt *x = store_prepare(s, STORE_blob_part_get);
    blob_bind(x, 1, hash, name);
    store_bind_id(x, 2, device);
    FB_TRY(store_step(x, row_out));
    if (*row_out) {
        if (size_out != NULL) {
            *size_out = store_int(x, 0);
        }
        store_reset(x);
    }
    return FB_OK;
}

fb_code blob_put_check(const blob_place *p, store *view, const blob_caller *c, const blob_put *q,
                       bool *begun_out, blob_stored *stored_out)
{
    struct blob_had_item now;
    int64_t size = 0;
    FB_TRY(where_it_stands(p, view, c, &q->hash, &now));
    stored_out->state = now.state;
    stored_out->offset = now.offset;
    FB_TRY(blob_part_known(view, &q->hash, &c->device, begun_out, &size));
    if (now.state != BLOB_STATE_PART) {
        return FB_OK;
    }
    if (!*begun_out) {
        return quota_check(p, view, c, q);
    }
    return size == q->size ? FB_OK : FB_E_INVALID; /* it was announced with another size */
}

fb_code blob_part_begin(store *s, const blob_caller *c, const blob_put *q)
{
    char name[BLOB_NAME_BYTES + 1];
    store_stmt *x = store_prepare(s, STORE_blob_part_add);
    blob_bind(x, 1, &q->hash, name);
    store_bind_id(x, 2, &c->device);
    store_bind_int(x, 3, q->size);
    store_bind_int(x, 4, c->now_ms);
    return store_run(x);
}

fb_code blob_whole(store *s, const blob_caller *c, const blob_put *q)
{
    char name[BLOB_NAME_BYTES + 1];
    store_stmt *x = store_prepare(s, STORE_blob_add);
    blob_bind(x, 1, &q->hash, name);
    store_bind_int(x, 2, q->size);
    store_bind_int(x, 3, c->now_ms);
    FB_TRY(store_run(x));
    x = store_prepare(s, STORE_blob_source_add);
    blob_bind(x, 1, &q->hash, name);
    store_bind_id(x, 2, &c->user);
    store_bind_id(x, 3, &c->device);
    store_bind_int(x, 4, q->size);
    store_bind_int(x, 5, c->now_ms);
    FB_TRY(store_run(x));
    x = store_prepare(s, STORE_blob_part_drop);
    blob_bind(x, 1, &q->hash, name);
    store_bind_id(x, 2, &c->device);
    return store_run(x);
}

/* ---- a piece down ---- */

/* seen: a row in these scopes names the hash. rightful: and its maker has sent the bytes. */
static fb_code named_look(store *s, const digest *hash, const scope_list *scopes, bool *seen_out,
                          bool *rightful_out)
{
    char name[BLOB_NAME_BYTES + 1];
    bool row = true;
    fb_code rc = FB_OK;
    const cat_entity *e = catalog_entity_str(store_catalog(s), "attachment");
    store_stmt *q = store_prepare(s, STORE_blob_named);
    blob_bind(q, 1, hash, name);
    for (int i = 0; rc == FB_OK && !*rightful_out && i < NAMED_ROWS_MAX; i++) {
        bool seen = false;
        rc = store_step(q, &row);
        if (rc != FB_OK || !row) {
            return rc;
        }
        fb_id id = store_id(q, 0);
        fb_id maker = store_id(q, 2);
        rc = feed_row_is_in(s, e, &id, store_int(q, 1), scopes, &seen);
        *seen_out = *seen_out || seen;
        if (rc == FB_OK && seen) {
            rc = has_sent(s, hash, &maker, rightful_out);
        }
    }
    store_reset(q);
    return rc;
}

fb_code blob_get_find(const blob_place *p, store *view, const blob_caller *c, const blob_get *q,
                      arena *memory, blob_got *out)
{
    scope_list scopes;
    blob_row b;
    bool seen = false;
    bool rightful = false;
    bool there = false;
    FB_TRY(feed_scopes_of_user(view, &c->user, c->now_ms, memory, &scopes));
    FB_TRY(named_look(view, &q->hash, &scopes, &seen, &rightful));
    if (!seen) {
        return FB_E_NOT_FOUND; /* BSV-4 */
    }
    FB_TRY(blob_row_get(view, &q->hash, &b));
    if (rightful && b.found) {
        FB_TRY(blob_is_there(p, &q->hash, b.size, &there));
    }
    *out = (blob_got){.absent = true};
    if (!there) {
        return FB_OK;
    }
    if (q->offset >= b.size) {
        return FB_E_RANGE;
    }
    int64_t left = b.size - q->offset;
    *out = (blob_got){.size = b.size,
                      .offset = q->offset,
                      .count = left < (int64_t)q->count ? (uint32_t)left : q->count};
    return FB_OK;
}
