/* enrol.c - a one-time code becomes a device. See fieldbook/sync.h and protocol.md section 2.
 *
 *   draw token -> store it (synced) -> send -> store the identity (synced) -> forget the stored
 * token
 *
 * A lost reply leaves the token stored; the same code then gives the same device again. */
#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "schema/limits.h"
#include "wire/enrol_msg.h"
#include "wire/pack.h"
#include "wire/sync_msg.h"

enum { SCRATCH_BYTES_MAX = 64 << 10, ENROL_TIMEOUT_MS = 30000, NAME_BYTES_LIMIT = 100 };

static const char TOKEN_KEY[] = "enrol_token";

/* The token of an earlier try, or a new one that is stored before anybody hears of it. */
static fb_code token_keep(fb_db *db, digest *out)
{
    buf stored;

    buf_init(&stored, 4096);
    fb_code rc = replica_meta_get(db->r, TOKEN_KEY, &stored);
    if (rc == FB_OK && !hex_get(buf_text(&stored), out->b, DIGEST_BYTES)) {
        rc = db->port->random(db->port->ctx, out->b, DIGEST_BYTES);
        buf_reset(&stored);
        hex_put(&stored, out->b, DIGEST_BYTES);
        if (rc == FB_OK) {
            rc = stored.code == FB_OK ? replica_meta_set(db->r, TOKEN_KEY, buf_text(&stored))
                                      : stored.code;
        }
    }
    if (stored.data != NULL) {
        bytes_wipe(stored.data, stored.capacity);
    }
    buf_clear(&stored);
    return rc;
}

static fb_code check_input(fb_db *db, const fb_enrol_options *o, fb_error *err)
{
    replica_identity who;

    if (o->code == NULL || o->code[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "code",
                    "the enrolment code is missing: ask your administrator for one");
    }
    if (o->server_url == NULL || strlen(o->server_url) >= sizeof who.server_url) {
        return fail(err, FB_E_REQUIRED, "server_url",
                    "the server's address is missing or too long: give https://host:port");
    }
    if (o->device_name != NULL && strlen(o->device_name) > NAME_BYTES_LIMIT) {
        return fail(err, FB_E_LENGTH, "device_name", "at most %d bytes: shorten the name",
                    NAME_BYTES_LIMIT);
    }
    FB_TRY(replica_identity_get(db->r, &who));
    bytes_wipe(&who.token, sizeof who.token);
    if (who.enrolled && !o->again) {
        return fail(err, FB_E_EXISTS, "device",
                    "this replica is enrolled already: use another file for another person, or ask "
                    "to enrol it again when the server no longer knows the device");
    }
    return FB_OK;
}

static void copy_text(char *out, size_t size, fb_text t)
{
    (void)snprintf(out, size, "%.*s", (int)(t.size < size ? t.size : size - 1),
                   t.data == NULL ? "" : t.data);
}

static fb_code keep_identity(fb_db *db, const enrol_reply *reply, const digest *token,
                             const char *server_url, int64_t sent_wall_ms, fb_error *err)
{
    replica_identity me = {.device = reply->device,
                           .user = reply->user,
                           .epoch = reply->epoch,
                           .token = *token,
                           .enrolled = true,
                           .has_pack_key = reply->pack_key.size > 0};

    if (me.has_pack_key) {
        FB_ASSERT(hex_get(reply->pack_key, me.pack_key.b, sizeof me.pack_key.b));
    }
    copy_text(me.device_code, sizeof me.device_code, reply->device_code);
    copy_text(me.user_code, sizeof me.user_code, reply->user_code);
    copy_text(me.user_name, sizeof me.user_name, reply->user_name);
    copy_text(me.server_url, sizeof me.server_url, text_of(server_url));
    fb_code rc = replica_identity_set(db->r, &me);
    bytes_wipe(&me, sizeof me);
    if (rc == FB_E_STATE) {
        return fail(err, rc, "user",
                    "the code is another person's, and work of the person before is unanswered, in "
                    "the tray or a draft: settle it first, or use another file");
    }
    FB_TRY(rc);
    FB_TRY(replica_clock_seen(db->r, reply->server_wall_ms, sent_wall_ms));
    return replica_meta_set(db->r, TOKEN_KEY, (fb_text){"", 0});
}

static fb_code refuse(const fb_link_response *response, fb_text body, arena *scratch, fb_error *err)
{
    error_msg m = {.code = FB_E_OFFLINE};

    if (error_msg_get(body, scratch, &m) != FB_OK || m.code == FB_OK) {
        m.code = FB_E_OFFLINE;
    }
    return fail(err, m.code, m.code == FB_E_CODE ? "code" : "server",
                "the server refused the enrolment (HTTP %d)%s", response->status,
                m.code == FB_E_CODE ? ": ask your administrator for a new code" : "");
}

static fb_code take_answer(fb_db *db, const fb_link_response *response, const digest *token,
                           const fb_enrol_options *o, int64_t sent_wall_ms, fb_error *err)
{
    enrol_reply reply;
    buf memory;
    fb_text body = response->body;
    arena *scratch = arena_new(SCRATCH_BYTES_MAX);

    buf_init(&memory, SCRATCH_BYTES_MAX);
    fb_code rc = scratch == NULL ? FB_E_NO_MEMORY : FB_OK;
    if (rc == FB_OK && response->zstd &&
        (rc = pack_get(&memory, body, SCRATCH_BYTES_MAX)) == FB_OK) {
        body = buf_text(&memory);
    }
    if (rc == FB_OK && response->status != 200) {
        rc = refuse(response, body, scratch, err);
    } else if (rc == FB_OK && (rc = enrol_reply_get(body, scratch, &reply)) == FB_OK) {
        rc = keep_identity(db, &reply, token, o->server_url, sent_wall_ms, err);
    }
    buf_clear(&memory);
    arena_free(scratch);
    return rc;
}

static fb_code exchange(fb_db *db, const fb_link *link, const fb_enrol_options *o,
                        const digest *token, buf *body, fb_error *err)
{
    enrol_request m = {.protocol = PROTOCOL_VERSION,
                       .code = text_of(o->code),
                       .token = *token,
                       .platform = text_of(o->platform == NULL ? "linux" : o->platform),
                       .app_version = text_of(FB_VERSION_TEXT),
                       .name = text_of(o->device_name == NULL ? "device" : o->device_name)};
    fb_link_response response = {.status = 0};
    int64_t sent_wall_ms = db->port->wall_ms(db->port->ctx);

    enrol_request_put(body, &m);
    bytes_wipe(&m.token, sizeof m.token);
    FB_TRY(body->code);
    fb_link_request request = {.method = "POST",
                               .path = "/v1/enrol",
                               .content_type = "application/x-fieldbook",
                               .body = buf_text(body),
                               .timeout_ms = ENROL_TIMEOUT_MS,
                               .response_bytes_max = SCRATCH_BYTES_MAX};
    fb_code rc = link->exchange(link->ctx, &request, &response);
    if (rc != FB_OK) {
        return fail(
            err, rc, "server",
            "the server was not reached: check address, network and certificate, then try again");
    }
    return take_answer(db, &response, token, o, sent_wall_ms, err);
}

fb_code fb_enrol(fb_db *db, const fb_link *link, const fb_enrol_options *options, fb_error *err)
{
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    digest token;
    buf body;

    FB_REQUIRE(db != NULL && link != NULL && link->exchange != NULL && options != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    fb_code rc = check_input(db, &o, err);
    if (rc != FB_OK || (rc = token_keep(db, &token)) != FB_OK) {
        return api_said(db, rc, err);
    }
    buf_init(&body, ENROL_BODY_BYTES_MAX);
    rc = exchange(db, link, &o, &token, &body, err);
    if (body.data != NULL) {
        bytes_wipe(body.data, body.capacity);
    }
    buf_clear(&body);
    bytes_wipe(&token, sizeof token);
    return api_said(db, rc, err);
}
