/* enrol_msg.c - see enrol_msg.h. The tables are the format (protocol.md):
 *
 *   up    {"m":"enrol","v":1,"code":"ABCD-1234","token":"<64 hex>","platform":"android",
 *          "app":"1.0.0","name":"..."}
 *   down  {"m":"enrolled","device":"<id>","device_code":"T17","user":"<id>","user_code":"...",
 *          "user_name":"...","epoch":"<id>","wall":"<ms>",
 *          "pack_key":"<128 hex>"}
 * platform, app, name, user_name, pack_key are left out when empty. */
#include "wire/enrol_msg.h"

#include "schema/limits.h"
#include "wire/fields.h"

#define AT(name) offsetof(enrol_request, name)
static const field REQUEST_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(protocol)},
    {"code", FIELD_TEXT, FIELD_REQUIRED, AT(code)},
    {"token", FIELD_DIGEST, FIELD_REQUIRED, AT(token)},
    {"platform", FIELD_TEXT, FIELD_OPTIONAL, AT(platform)},
    {"app", FIELD_TEXT, FIELD_OPTIONAL, AT(app_version)},
    {"name", FIELD_TEXT, FIELD_OPTIONAL, AT(name)},
};
#undef AT

#define AT(name) offsetof(enrol_reply, name)
static const field REPLY_FIELDS[] = {
    {"device", FIELD_ID, FIELD_REQUIRED, AT(device)},
    {"device_code", FIELD_TEXT, FIELD_REQUIRED, AT(device_code)},
    {"user", FIELD_ID, FIELD_REQUIRED, AT(user)},
    {"user_code", FIELD_TEXT, FIELD_REQUIRED, AT(user_code)},
    {"user_name", FIELD_TEXT, FIELD_OPTIONAL, AT(user_name)},
    {"epoch", FIELD_ID, FIELD_REQUIRED, AT(epoch)},
    {"wall", FIELD_I64, FIELD_REQUIRED, AT(server_wall_ms)},
    {"pack_key", FIELD_TEXT, FIELD_OPTIONAL, AT(pack_key)},
};
#undef AT

static const message REQUEST = MESSAGE("enrol", REQUEST_FIELDS);
static const message REPLY = MESSAGE("enrolled", REPLY_FIELDS);

void enrol_request_put(buf *out, const enrol_request *m)
{
    message_line_put(out, &REQUEST, m);
}

fb_code enrol_request_get(fb_text body, arena *scratch, enrol_request *out)
{
    if (body.size > ENROL_BODY_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    enrol_request m = {0};
    FB_TRY(message_get(body, scratch, &REQUEST, &m));
    *out = m;
    return FB_OK;
}

void enrol_reply_put(buf *out, const enrol_reply *m)
{
    message_line_put(out, &REPLY, m);
}

fb_code enrol_reply_get(fb_text body, arena *scratch, enrol_reply *out)
{
    if (body.size > ENROL_BODY_BYTES_MAX) {
        return FB_E_LIMIT;
    }
    enrol_reply m = {0};
    sign_public key;
    FB_TRY(message_get(body, scratch, &REPLY, &m));
    if (m.pack_key.size > 0 && !hex_get(m.pack_key, key.b, sizeof key.b)) {
        return FB_E_PROTOCOL;
    }
    *out = m;
    return FB_OK;
}
