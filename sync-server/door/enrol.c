/* enrol.c - a one-time code becomes a device. See door.h for DOR-1..3.
 *
 * Writes fs_enrol, fs_device and, through the ledger, the rows `device` and `number_range`. */
#include "sync-server/door/door.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "schema/numbers.h"
#include "sync-server/door/code.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/fill.h"

/* What fs_enrol says about a code. */
typedef struct code_row {
    fb_id user, device;
    int64_t expires_ms;
    bool used;
    digest token_hash;
} code_row;

static fb_code code_get(store *s, const digest *hash, code_row *out)
{
    store_stmt *q = store_prepare(s, STORE_door_code_get);
    bool row = false;
    store_bind_blob(q, 1, hash->b, sizeof hash->b);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_CODE;
    }
    out->user = store_id(q, 0);
    out->expires_ms = store_int(q, 1);
    fb_text token = store_blob(q, 2);
    out->used = token.size == sizeof out->token_hash.b;
    if (out->used) {
        memcpy(out->token_hash.b, token.data, token.size);
    }
    out->device = store_id(q, 3);
    store_reset(q);
    return FB_OK;
}

static fb_code code_is_taken(store *s, const char *code, bool *out)
{
    store_stmt *q = store_prepare(s, STORE_door_code_taken);
    store_bind_text(q, 1, text_of(code));
    FB_TRY(store_step(q, out));
    store_reset(q);
    return FB_OK;
}

/* n-th device code: A1..A9, B1..Z9 (letters that cannot be misread), then AA1..; 2 to 4 characters.
 */
static void device_code_make(int64_t n, char out[5])
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ";
    enum { LETTERS = sizeof letters - 1, DIGITS = 9 };
    char digit = (char)('1' + n % DIGITS);
    char back[4];
    int length = 0;
    for (n = n / DIGITS + 1; n > 0 && length < 3; n = (n - 1) / LETTERS) {
        back[length++] = letters[(n - 1) % LETTERS];
    }
    int at = 0;
    while (length > 0) {
        out[at++] = back[--length];
    }
    out[at++] = digit;
    out[at] = '\0';
}

static fb_code device_code_next(store *s, char out[5])
{
    store_stmt *q = store_prepare(s, STORE_door_devices_count);
    bool row = false, taken = true;
    FB_TRY(store_step(q, &row));
    int64_t n = row ? store_int(q, 0) : 0;
    store_reset(q);
    for (; taken; n++) {
        device_code_make(n, out);
        FB_TRY(code_is_taken(s, out, &taken)); /* DOR-3 */
    }
    return FB_OK;
}

typedef struct new_device {
    const enrol_request *m;
    fb_id id, user;
    fb_text code;
    const digest *token_hash;
    int64_t now_ms;
} new_device;

static fb_code device_add(store *s, const new_device *d)
{
    store_stmt *q = store_prepare(s, STORE_door_device_add);
    store_bind_id(q, 1, &d->id);
    store_bind_text(q, 2, d->code);
    store_bind_id(q, 3, &d->user);
    store_bind_text(q, 4, d->m->name.data != NULL ? d->m->name : text_of(""));
    store_bind_text(q, 5, d->m->platform.data != NULL ? d->m->platform : text_of(""));
    store_bind_text(q, 6, d->m->app_version.data != NULL ? d->m->app_version : text_of(""));
    store_bind_blob(q, 7, d->token_hash->b, sizeof d->token_hash->b);
    store_bind_int(q, 8, d->now_ms);
    return store_run(q);
}

/* One of the platforms the catalogue knows, else "other". */
static fb_text platform_of(const cat_entity *e, fb_text platform)
{
    int column = cat_column_str(e, "platform");
    for (uint32_t i = 0; column >= 0 && i < e->columns[column].values_count; i++) {
        if (text_equal(e->columns[column].values[i], platform)) {
            return platform;
        }
    }
    return text_of("other");
}

static fb_value *device_row(const cat_entity *e, const new_device *d, arena *memory)
{
    fb_value *row = fill_row(e, &d->id, memory);
    if (row != NULL) {
        fill_text(e, row, "device_code", d->code);
        fill_id(e, row, "user_id", &d->user);
        fill_text(e, row, "name", d->m->name);
        fill_text(e, row, "platform", platform_of(e, d->m->platform));
        fill_text(e, row, "app_version", d->m->app_version);
        fill_int(e, row, "last_seen_at", d->now_ms);
        fill_str(e, row, "status", "active");
    }
    return row;
}

static const struct {
    const char *doc_type, *prefix;
} RANGES[] = {{"sales_order", NUMBER_PREFIX_ORDER},
              {"payment", NUMBER_PREFIX_PAYMENT},
              {"visit", NUMBER_PREFIX_VISIT},
              {"customer", NUMBER_PREFIX_CUSTOMER}};
enum { RANGES_COUNT = sizeof RANGES / sizeof RANGES[0] };

static fb_value *range_row(const cat_entity *e, const new_device *d, size_t i, const fb_id *id,
                           arena *memory)
{
    char prefix[32];
    fb_value *row = fill_row(e, id, memory);
    snprintf(prefix, sizeof prefix, "%s-%.*s-", RANGES[i].prefix, (int)d->code.size, d->code.data);
    fb_text kept = arena_text(memory, text_of(prefix));
    if (row == NULL || kept.data == NULL) {
        return NULL;
    }
    fill_id(e, row, "device_id", &d->id);
    fill_id(e, row, "user_id", &d->user);
    fill_str(e, row, "doc_type", RANGES[i].doc_type);
    fill_text(e, row, "prefix", kept);
    fill_int(e, row, "next_no", 1);
    fill_int(e, row, "last_no", 999999);
    return row;
}

/* The rows people see of a device: one commit. */
static fb_code rows_commit(store *s, const new_device *d, id_maker *ids, arena *memory)
{
    const cat_entity *device = catalog_entity_str(store_catalog(s), "device");
    const cat_entity *range = catalog_entity_str(store_catalog(s), "number_range");
    change changes[1 + RANGES_COUNT];
    uint32_t count = 0;
    if (device != NULL) {
        changes[count++] = (change){.kind = CHANGE_INSERT,
                                    .entity = device,
                                    .id = d->id,
                                    .values = device_row(device, d, memory),
                                    .columns_count = device->columns_count};
    }
    for (size_t i = 0; range != NULL && i < RANGES_COUNT; i++) {
        fb_id id = id_make(ids, d->now_ms);
        changes[count++] = (change){.kind = CHANGE_INSERT,
                                    .entity = range,
                                    .id = id,
                                    .values = range_row(range, d, i, &id, memory),
                                    .columns_count = range->columns_count};
    }
    for (uint32_t i = 0; i < count; i++) {
        if (changes[i].values == NULL) {
            return FB_E_NO_MEMORY;
        }
    }
    const commit_source from = {
        .user = d->user, .at_ms = d->now_ms, .kind = text_of("device.enrol")};
    int64_t cid = 0;
    return ledger_commit(s, &from, changes, count, &cid);
}

static fb_code code_use(store *s, const digest *hash, const new_device *d)
{
    store_stmt *q = store_prepare(s, STORE_door_code_use);
    store_bind_blob(q, 1, hash->b, sizeof hash->b);
    store_bind_blob(q, 2, d->token_hash->b, sizeof d->token_hash->b);
    store_bind_id(q, 3, &d->id);
    return store_run(q);
}

static fb_code device_make(store *s, const door_enrolment *how, const digest *hash, new_device *d,
                           arena *memory)
{
    uint8_t random[8];
    id_maker ids;
    char code[5];
    FB_TRY(how->port->random(how->port->ctx, random, sizeof random));
    id_maker_init(&ids, random);
    FB_TRY(device_code_next(s, code));
    d->code = arena_text(memory, text_of(code));
    if (d->code.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    d->id = id_make(&ids, how->now_ms);
    FB_TRY(device_add(s, d));
    FB_TRY(code_use(s, hash, d)); /* DOR-2: in the same transaction */
    return rows_commit(s, d, &ids, memory);
}

static fb_code user_get(store *s, const fb_id *user, arena *memory, enrol_reply *out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(s), "app_user");
    fb_value *row = e != NULL ? arena_take(memory, e->columns_count * sizeof *row) : NULL;
    if (row == NULL) {
        return e == NULL ? FB_E_CATALOG : FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(s, e, user, memory, row));
    if (!text_is(row_text(e, row, "status"), "active")) {
        return FB_E_CODE; /* the person left meanwhile */
    }
    out->user = *user;
    out->user_code = row_text(e, row, "code");
    out->user_name = row_text(e, row, "name");
    return FB_OK;
}

fb_code door_device_code(store *s, const fb_id *device, arena *memory, fb_text *out)
{
    store_stmt *q = store_prepare(s, STORE_door_device_code);
    bool row = false;
    store_bind_id(q, 1, device);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    *out = arena_text(memory, store_text(q, 0));
    store_reset(q);
    return out->data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

/* The texts go into entity rows: refused here, where the person sees it. */
static bool texts_fit(const enrol_request *m)
{
    enum { TEXT_BYTES = 120 };
    const fb_text texts[] = {m->name, m->platform, m->app_version};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].size > TEXT_BYTES || !utf8_valid(texts[i])) {
            return false;
        }
    }
    return true;
}

static fb_code key_tell(const door_enrolment *how, arena *memory, enrol_reply *out)
{
    buf hex;
    if (how->pack_key == NULL) {
        return FB_OK;
    }
    buf_init(&hex, 4 * SIGN_BYTES);
    hex_put(&hex, how->pack_key->b, sizeof how->pack_key->b);
    out->pack_key = hex.code == FB_OK ? arena_text(memory, buf_text(&hex)) : (fb_text){NULL, 0};
    buf_clear(&hex);
    return out->pack_key.data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

fb_code door_enrol(store *s, const door_enrolment *how, const enrol_request *m, arena *memory,
                   enrol_reply *out)
{
    digest hash, token_hash;
    code_row row = {.used = false};
    enrol_reply reply = {.epoch = how->epoch, .server_wall_ms = how->now_ms};
    if (!texts_fit(m)) {
        return FB_E_LIMIT;
    }
    if (!code_hash(m->code, &hash)) {
        return FB_E_CODE;
    }
    FB_TRY(code_get(s, &hash, &row));
    digest_of(m->token.b, sizeof m->token.b, &token_hash);
    if (row.expires_ms < how->now_ms ||
        (row.used && !bytes_equal_ct(row.token_hash.b, token_hash.b, sizeof token_hash.b))) {
        return FB_E_CODE;
    }
    FB_TRY(user_get(s, &row.user, memory, &reply));
    FB_TRY(key_tell(how, memory, &reply));
    reply.device = row.device;
    if (!row.used) {
        new_device d = {.m = m, .user = row.user, .token_hash = &token_hash, .now_ms = how->now_ms};
        FB_TRY(device_make(s, how, &hash, &d, memory));
        reply.device = d.id;
    }
    fb_code rc = door_device_code(s, &reply.device, memory, &reply.device_code);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_E_CODE : rc;
    }
    *out = reply;
    return FB_OK;
}
