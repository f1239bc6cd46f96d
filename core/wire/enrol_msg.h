/* enrol_msg.h - POST /v1/enrol: a one-time code and a token made by the device become a device.
 *
 * Repeatable: the same code with the same token within the code's life gives the same answer,
 * so a lost reply costs nothing. The token is 256 random bits; the server keeps only its hash. */
#ifndef FB_WIRE_ENROL_MSG_H
#define FB_WIRE_ENROL_MSG_H

#include "base/digest.h"
#include "base/sign.h"
#include "wire/json.h"

typedef struct enrol_request {
    uint32_t protocol;
    fb_text code;     /* as typed; blanks and dashes are dropped, case folded by the server */
    digest token;     /* the device's secret */
    fb_text platform; /* "linux", "android", "ios" */
    fb_text app_version;
    fb_text name; /* what the person calls the device */
} enrol_request;
void enrol_request_put(buf *out, const enrol_request *m);
FB_MUST_USE fb_code enrol_request_get(fb_text body, arena *scratch, enrol_request *out);

typedef struct enrol_reply {
    fb_id device;
    fb_text device_code; /* used in document numbers */
    fb_id user;
    fb_text user_code, user_name;
    fb_id epoch;
    int64_t server_wall_ms;
    fb_text pack_key; /* 128 hexadecimal digits, checked; empty: an older server's */
} enrol_reply;
void enrol_reply_put(buf *out, const enrol_reply *m);
FB_MUST_USE fb_code enrol_reply_get(fb_text body, arena *scratch, enrol_reply *out);

#endif
