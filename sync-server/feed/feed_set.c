/* feed_set.c - scope sets: what the set number in a device's token means.
 *
 * The newest set of a device is what it may see now; older ones are kept so that tokens which name
 * them can be honoured, at most SETS_KEPT of them (an older token gets a reset page). */
#include <string.h>

#include "base/check.h"
#include "base/decimal.h"
#include "sync-server/feed/feed_inside.h"

enum { SETS_KEPT = 16, SET_BYTES_MAX = DEVICE_SCOPES_MAX * 20 };

/* Ascending numbers joined by commas; E_CORRUPT for anything else. */
fb_code scope_list_read(fb_text text, arena *memory, scope_list *out)
{
    uint32_t count = text.size > 0 ? 1 : 0;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == ',' ? 1 : 0;
    }
    scope_list list = {.scopes = arena_take(memory, (count + 1) * sizeof(int64_t))};
    if (list.scopes == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (size_t start = 0; list.count < count;) {
        size_t end = start;
        while (end < text.size && text.data[end] != ',') {
            end++;
        }
        int64_t *scope = &list.scopes[list.count];
        if (!i64_get((fb_text){text.data + start, end - start}, scope) || *scope <= 0 ||
            (list.count > 0 && *scope <= scope[-1])) {
            return FB_E_CORRUPT;
        }
        list.count++;
        start = end + 1;
    }
    *out = list;
    return FB_OK;
}

void scope_list_write(buf *out, const scope_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        FB_ASSERT(list->scopes[i] > 0 && (i == 0 || list->scopes[i] > list->scopes[i - 1]));
        buf_printf(out, i == 0 ? "%lld" : ",%lld", (long long)list->scopes[i]);
    }
}

static fb_code newest_equal(store *s, const fb_id *device, fb_text text, int64_t *number_out,
                            bool *equal_out)
{
    store_stmt *q = store_prepare(s, STORE_feed_set_newest);
    bool row = false;
    store_bind_id(q, 1, device);
    FB_TRY(store_step(q, &row));
    *number_out = row ? store_int(q, 0) : 0;
    *equal_out = row && text_equal(store_text(q, 1), text);
    if (row) {
        store_reset(q);
    }
    return FB_OK;
}

static fb_code set_add(store *s, const fb_id *device, int64_t number, fb_text text)
{
    store_stmt *q = store_prepare(s, STORE_feed_set_add);
    store_bind_id(q, 1, device);
    store_bind_int(q, 2, number);
    store_bind_text(q, 3, text);
    FB_TRY(store_run(q));
    q = store_prepare(s, STORE_feed_set_prune);
    store_bind_id(q, 1, device);
    store_bind_int(q, 2, number - SETS_KEPT + 1);
    return store_run(q);
}

fb_code feed_scope_set(store *s, const fb_id *device, const scope_list *set, int64_t *number_out)
{
    FB_REQUIRE(set->count > 0 && set->count <= DEVICE_SCOPES_MAX);
    int64_t number = 0;
    bool equal = false;
    buf text;
    buf_init(&text, SET_BYTES_MAX);
    scope_list_write(&text, set);
    fb_code rc = text.code;
    if (rc == FB_OK) {
        rc = newest_equal(s, device, buf_text(&text), &number, &equal);
    }
    if (rc == FB_OK && !equal) {
        number++;
        rc = set_add(s, device, number, buf_text(&text));
    }
    if (rc == FB_OK) {
        *number_out = number;
    }
    buf_clear(&text);
    return rc;
}

fb_code feed_scope_set_get(store *s, const fb_id *device, arena *memory, scope_list *out,
                           int64_t *number_out)
{
    store_stmt *q = store_prepare(s, STORE_feed_set_newest);
    bool row = false;
    store_bind_id(q, 1, device);
    FB_TRY(store_step(q, &row));
    if (!row) {
        *out = (scope_list){0};
        *number_out = 0;
        return FB_OK;
    }
    int64_t number = store_int(q, 0);
    fb_code rc = scope_list_read(store_text(q, 1), memory, out);
    store_reset(q);
    if (rc == FB_OK) {
        *number_out = number;
    }
    return rc;
}
