/* check.c - the device behind a request: header, token, status, incarnation. See door.h. */
#include "sync-server/door/door.h"

#include <string.h>

#include "base/id.h"

static const struct {
    const char *word;
    door_status status;
} STATUSES[] = {{"active", DOOR_ACTIVE}, {"blocked", DOOR_BLOCKED}, {"wiped", DOOR_WIPED}};

static door_status status_of(fb_text word)
{
    for (size_t i = 0; i < sizeof STATUSES / sizeof STATUSES[0]; i++) {
        if (text_is(word, STATUSES[i].word)) {
            return STATUSES[i].status;
        }
    }
    return DOOR_BLOCKED; /* an unknown word opens nothing */
}

static void digest_from(fb_text blob, digest *out)
{
    memset(out, 0, sizeof *out);
    if (blob.size == sizeof out->b) {
        memcpy(out->b, blob.data, sizeof out->b);
    }
}

/* The row at hand; the order of columns is that of door_device_get. */
static void device_take(store_stmt *q, const fb_id *device, door_device *d, digest *token_hash)
{
    memset(d, 0, sizeof *d);
    d->device = *device;
    d->user = store_id(q, 0);
    d->status = status_of(store_text(q, 1));
    digest_from(store_blob(q, 2), token_hash);
    d->seen_ms = store_int(q, 3);
    d->catalog_version = (uint32_t)store_int(q, 4);
    d->incarnation_no = store_int(q, 5);
    d->incarnation = store_id(q, 6);
    d->applied = store_int(q, 7);
    digest_from(store_blob(q, 8), &d->chain);
    d->fork_last = store_int(q, 9);
    d->acked = store_int(q, 10);
    d->settled = store_int(q, 11);
    d->backed_up = store_int(q, 12);
    d->backed_cid = store_int(q, 13);
}

static fb_code device_read(store *s, const fb_id *device, door_device *out, digest *token_hash)
{
    store_stmt *q = store_prepare(s, STORE_door_device_get);
    bool row = false;
    store_bind_id(q, 1, device);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    device_take(q, device, out, token_hash);
    store_reset(q);
    return FB_OK;
}

fb_code door_device_get(store *s, const fb_id *device, door_device *out)
{
    digest ignored;
    return device_read(s, device, out, &ignored);
}

/* "Fieldbook <uuid>:<64 hex>" */
static bool authorization_get(fb_text header, fb_id *device, digest *token)
{
    static const char scheme[] = "Fieldbook ";
    enum { SCHEME = sizeof scheme - 1, UUID = 36, HEX = 2 * DIGEST_BYTES };
    if (header.size != SCHEME + UUID + 1 + HEX || memcmp(header.data, scheme, SCHEME) != 0 ||
        header.data[SCHEME + UUID] != ':') {
        return false;
    }
    fb_text id = {header.data + SCHEME, UUID};
    fb_text hex = {header.data + SCHEME + UUID + 1, HEX};
    return id_get(id, device) && hex_get(hex, token->b, sizeof token->b);
}

fb_code door_check(store *s, fb_text authorization, door_device *out)
{
    fb_id device;
    digest token, hash, kept;
    door_device d;
    if (!authorization_get(authorization, &device, &token)) {
        return FB_E_AUTH;
    }
    digest_of(token.b, sizeof token.b, &hash);
    bytes_wipe(&token, sizeof token);
    fb_code rc = device_read(s, &device, &d, &kept);
    if (rc == FB_E_NOT_FOUND) {
        return FB_E_AUTH;
    }
    FB_TRY(rc);
    if (!bytes_equal_ct(hash.b, kept.b, sizeof hash.b)) { /* DOR-1 */
        return FB_E_AUTH;
    }
    if (d.status != DOOR_ACTIVE) {
        return FB_E_DEVICE;
    }
    *out = d;
    return FB_OK;
}

static fb_code incarnation_put(store *s, const door_device *d)
{
    store_stmt *q = store_prepare(s, STORE_door_incarnation_put);
    store_bind_int(q, 1, d->incarnation_no);
    store_bind_int(q, 2, d->applied);
    store_bind_blob(q, 3, d->chain.b, sizeof d->chain.b);
    store_bind_int(q, 4, d->acked);
    store_bind_int(q, 5, d->settled);
    store_bind_int(q, 6, d->fork_last);
    store_bind_int(q, 7, d->backed_up);
    store_bind_int(q, 8, d->backed_cid);
    return store_run(q);
}

fb_code door_device_put(store *s, const door_device *d, const door_contact *contact)
{
    if (d->incarnation_no != 0) {
        FB_TRY(incarnation_put(s, d));
    }
    store_stmt *q = store_prepare(s, STORE_door_device_seen);
    store_bind_id(q, 1, &d->device);
    store_bind_int(q, 2, contact->now_ms);
    store_bind_int(q, 3, contact->catalog_version);
    store_bind_id(q, 4, &contact->epoch);
    store_bind_int(q, 5, contact->pushed);
    store_bind_int(q, 6, contact->refused);
    return store_run(q);
}

fb_code door_incarnation_known(store *s, const fb_id *device, const fb_id *incarnation, bool *out)
{
    store_stmt *q = store_prepare(s, STORE_door_incarnation_known);
    store_bind_id(q, 1, device);
    store_bind_id(q, 2, incarnation);
    FB_TRY(store_step(q, out));
    store_reset(q);
    return FB_OK;
}

static fb_code incarnation_add(store *s, const door_device *d, int64_t now_ms, int64_t *no_out)
{
    store_stmt *q = store_prepare(s, STORE_door_incarnation_add);
    bool row = false;
    store_bind_id(q, 1, &d->device);
    store_bind_id(q, 2, &d->incarnation);
    store_bind_id(q, 3, &d->user);
    store_bind_blob(q, 4, d->chain.b, sizeof d->chain.b);
    store_bind_int(q, 5, d->fork_last);
    store_bind_int(q, 6, now_ms);
    FB_TRY(store_step(q, &row));
    FB_ASSERT(row);
    *no_out = store_int(q, 0);
    store_reset(q);
    return FB_OK;
}

fb_code door_incarnation_begin(store *s, door_device *d, const fb_id *incarnation, int64_t last,
                               int64_t now_ms)
{
    door_device next = *d;
    next.incarnation = *incarnation;
    next.fork_last =
        last; /* an older incarnation, or the same person's device before it was enrolled anew */
    next.applied = next.acked = next.settled = next.backed_up = next.backed_cid = 0;
    digest_of(incarnation->b, sizeof incarnation->b, &next.chain);
    FB_TRY(incarnation_add(s, &next, now_ms, &next.incarnation_no));
    store_stmt *q = store_prepare(s, STORE_door_incarnation_current);
    store_bind_id(q, 1, &d->device);
    store_bind_int(q, 2, next.incarnation_no);
    FB_TRY(store_run(q));
    *d = next;
    return FB_OK;
}
