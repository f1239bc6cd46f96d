/* admin.c - what the administrator does at the door: codes, blocking, wiping. See door.h. */
#include "sync-server/door/door.h"

#include "base/id.h"
#include "sync-server/door/code.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/fill.h"

enum { MEMORY_BYTES = 1 << 16 };

fb_code door_code_make(store *s, const fb_id *user, int64_t now_ms, int64_t valid_ms,
                       const fb_port *port, buf *code_out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(s), "app_user");
    uint8_t random[CODE_RANDOM_BYTES];
    bool exists = false;
    digest hash;
    FB_REQUIRE(e != NULL && valid_ms > 0);
    FB_TRY(store_row_exists(s, e, user, &exists));
    if (!exists) {
        return FB_E_NOT_FOUND;
    }
    FB_TRY(port->random(port->ctx, random, sizeof random));
    size_t from = code_out->size;
    code_put(random, code_out);
    bytes_wipe(random, sizeof random);
    if (code_out->code != FB_OK) {
        return code_out->code;
    }
    FB_ASSERT(code_hash((fb_text){code_out->data + from, code_out->size - from}, &hash));
    store_stmt *q = store_prepare(s, STORE_door_code_add);
    store_bind_blob(q, 1, hash.b, sizeof hash.b);
    store_bind_id(q, 2, user);
    store_bind_int(q, 3, now_ms);
    store_bind_int(q, 4, now_ms + valid_ms);
    return store_run(q);
}

fb_code door_codes_expire(store *s, int64_t now_ms)
{
    store_stmt *q = store_prepare(s, STORE_door_codes_expire);
    store_bind_int(q, 1, now_ms);
    return store_run(q);
}

static fb_code status_put(store *s, const fb_id *device, const char *status)
{
    store_stmt *q = store_prepare(s, STORE_door_device_status);
    store_bind_id(q, 1, device);
    store_bind_text(q, 2, text_of(status));
    return store_run(q);
}

/* The entity row `device`, for people: one column, one commit. */
static fb_code row_status_put(store *s, const fb_id *device, const char *status, int64_t now_ms,
                              arena *memory)
{
    const cat_entity *e = catalog_entity_str(store_catalog(s), "device");
    int column = e != NULL ? cat_column_str(e, "status") : -1;
    if (column < 0) {
        return FB_OK;
    }
    fb_value *row = arena_take(memory, e->columns_count * sizeof *row);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(s, e, device, memory, row));
    fb_value mine = {.kind = FB_KIND_TEXT, .u.text = text_of(status)};
    if (fb_value_equal(&row[column], &mine)) {
        return FB_OK;
    }
    const change ch = {.kind = CHANGE_UPDATE,
                       .entity = e,
                       .id = *device,
                       .columns = &column,
                       .values = &mine,
                       .columns_count = 1,
                       .before = row};
    const commit_source from = {.at_ms = now_ms, .kind = text_of("device.status")};
    int64_t cid = 0;
    return ledger_commit(s, &from, &ch, 1, &cid);
}

static fb_code status_change(store *s, const fb_id *device, const char *status,
                             const char *row_status, int64_t now_ms)
{
    arena *memory = arena_new(MEMORY_BYTES);
    if (memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = status_put(s, device, status);
    if (rc == FB_OK) {
        rc = row_status_put(s, device, row_status, now_ms, memory);
    }
    arena_free(memory);
    return rc;
}

fb_code door_device_block(store *s, const fb_id *device, int64_t now_ms)
{
    door_device d;
    FB_TRY(door_device_get(s, device, &d));
    if (d.status == DOOR_WIPED) {
        return FB_E_STATE;
    }
    return status_change(s, device, "blocked", "lost", now_ms);
}

fb_code door_device_wipe(store *s, const fb_id *device, int64_t now_ms)
{
    door_device d;
    FB_TRY(door_device_get(s, device, &d));
    return status_change(s, device, "wiped", "wiped", now_ms);
}

fb_code door_device_allow(store *s, const fb_id *device, int64_t now_ms)
{
    door_device d;
    FB_TRY(door_device_get(s, device, &d));
    if (d.status == DOOR_WIPED) {
        return FB_E_STATE;
    }
    return status_change(s, device, "active", "active", now_ms);
}

fb_code door_device_fault(store *s, const fb_id *device, int64_t now_ms)
{
    store_stmt *q = store_prepare(s, STORE_door_device_fault_add);
    store_bind_id(q, 1, device);
    store_bind_int(q, 2, now_ms);
    FB_TRY(store_run(q));
    return audit_put(s, now_ms, text_of("device"), text_of("digest.fault"), text_of("device"),
                     device, text_of("{}"));
}

fb_code door_device_faults(store *s, int64_t *devices_out, int64_t *faults_out)
{
    store_stmt *q = store_prepare(s, STORE_door_device_faults);
    bool row = false;
    FB_TRY(store_step(q, &row));
    *devices_out = row ? store_int(q, 0) : 0;
    *faults_out = row ? store_int(q, 1) : 0;
    store_reset(q);
    return FB_OK;
}
