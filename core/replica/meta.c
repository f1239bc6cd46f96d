/* meta.c - fb_meta: where the sync stands, who this device is, and texts of the rooms above.
 *
 * The sync state lives in memory (replica_state) and is written as differences, so that an
 * everyday sync touches three or four rows of one page. */
#include <stdio.h>
#include <string.h>

#include "replica/room.h"

/* clang-format off */
/* Integers of replica_state and their keys. */
static const struct { const char *key; size_t offset; } state_keys[] = {
    {"settled", offsetof(replica_state, settled)},
    {"acked", offsetof(replica_state, acked)},
    {"backed_up", offsetof(replica_state, backed_up)},
    {"based", offsetof(replica_state, based)},
    {"pruned", offsetof(replica_state, pruned)},
    {"old_base", offsetof(replica_state, old_base)},
    {"head", offsetof(replica_state, head_cid)},
    {"last_sync", offsetof(replica_state, last_sync_ms)},
    {"next_sync", offsetof(replica_state, next_sync_ms)},
    {"clock_offset", offsetof(replica_state, clock_offset_ms)},
    {"server_seen", offsetof(replica_state, server_seen_ms)},
    {"visible", offsetof(replica_state, visible)},
    {"versioned", offsetof(replica_state, versioned)},
    {"digest_state", offsetof(replica_state, digest_state)},
    {"digest_faults", offsetof(replica_state, digest_faults)},
    {"digest_fault_ms", offsetof(replica_state, digest_fault_ms)},
    {"digest_checked_ms", offsetof(replica_state, digest_checked_ms)},
    {"digest_buckets", offsetof(replica_state, digest_buckets)},
};
/* Keys that only this room writes. */
static const char *const own_keys[] = {
    "pruned_chain", "base_stale", "digest_fixed", "epoch", "token", "token_staged", "packs",
    "packs_failed", "pack_key", "device", "user",
    "incarnation", "device_code", "user_code", "user_name", "secret", "server_url", "enrolled",
    "life", "file_id", "salvaged", "salvaged_ms", "salvaged_groups", "evidence", "outbox_generation",
    "adopted",
    "epochs_left",
    "page_sums",   "blobs_adopt",
};
/* clang-format on */
enum {
    STATE_KEYS = sizeof state_keys / sizeof state_keys[0],
    OWN_KEYS = sizeof own_keys / sizeof own_keys[0]
};

static int64_t *state_field(replica_state *s, size_t i)
{
    return (int64_t *)(void *)((char *)s + state_keys[i].offset);
}

/* --- one key ------------------------------------------------------------------------- */

static sql_stmt *put_stmt(replica *r, const char *key)
{
    sql_stmt *s = sql_prepare(r->db, "INSERT OR REPLACE INTO fb_meta (key, value) VALUES (?1, ?2)");
    sql_bind_text(s, 1, text_of(key));
    return s;
}

fb_code meta_put_int(replica *r, const char *key, int64_t v)
{
    sql_stmt *s = put_stmt(r, key);
    sql_bind_int(s, 2, v);
    return sql_run(s);
}

fb_code meta_put_blob(replica *r, const char *key, const void *data, size_t size)
{
    sql_stmt *s = put_stmt(r, key);
    sql_bind_blob(s, 2, data, size);
    return sql_run(s);
}

fb_code meta_put_text(replica *r, const char *key, fb_text v)
{
    sql_stmt *s = put_stmt(r, key);
    sql_bind_text(s, 2, v.data != NULL ? v : text_of(""));
    return sql_run(s);
}

fb_code meta_drop(replica *r, const char *key)
{
    sql_stmt *s = sql_prepare(r->db, "DELETE FROM fb_meta WHERE key=?1");
    sql_bind_text(s, 1, text_of(key));
    return sql_run(s);
}

/* The statement stands on the key's row, or *found is false. The caller resets it. */
static fb_code meta_find(replica *r, const char *key, sql_stmt **out, bool *found)
{
    *out = sql_prepare(r->db, "SELECT value FROM fb_meta WHERE key=?1");
    sql_bind_text(*out, 1, text_of(key));
    return sql_step(*out, found);
}

fb_code replica_meta_get(replica *r, const char *key, buf *out)
{
    sql_stmt *s = NULL;
    bool found = false;
    FB_REQUIRE(r != NULL && key != NULL && out != NULL);
    FB_TRY(meta_find(r, key, &s, &found));
    if (found) {
        buf_put_text(out, sql_text(s, 0));
        sql_reset(s);
    }
    return out->code;
}

static bool is_own(const char *key)
{
    for (size_t i = 0; i < STATE_KEYS; i++) {
        if (strcmp(key, state_keys[i].key) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < OWN_KEYS; i++) {
        if (strcmp(key, own_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

fb_code replica_meta_set(replica *r, const char *key, fb_text value)
{
    FB_REQUIRE(r != NULL && key != NULL && !is_own(key));
    return meta_put_text(r, key, value);
}

static fb_code find_blob(replica *r, const char *key, void *out, size_t size, bool *found)
{
    sql_stmt *s = NULL;
    bool row = false;
    FB_TRY(meta_find(r, key, &s, &row));
    *found = false;
    if (row) {
        fb_text blob = sql_blob(s, 0);
        *found = blob.size == size;
        if (*found) {
            memcpy(out, blob.data, size);
        }
        sql_reset(s);
    }
    return FB_OK;
}

fb_code meta_find_blob(replica *r, const char *key, void *out, size_t size)
{
    bool found = false;
    return find_blob(r, key, out, size, &found);
}

fb_code meta_get_int(replica *r, const char *key, int64_t *out)
{
    sql_stmt *s = NULL;
    bool row = false;
    FB_TRY(meta_find(r, key, &s, &row));
    *out = row ? sql_int(s, 0) : 0;
    if (row) {
        sql_reset(s);
    }
    return FB_OK;
}

static fb_code find_str(replica *r, const char *key, char *out, size_t size)
{
    sql_stmt *s = NULL;
    bool row = false;
    FB_TRY(meta_find(r, key, &s, &row));
    out[0] = '\0';
    if (row) {
        fb_text t = sql_text(s, 0);
        size_t n = t.size < size ? t.size : size - 1;
        memcpy(out, t.data, n);
        out[n] = '\0';
        sql_reset(s);
    }
    return FB_OK;
}

/* --- sync state ---------------------------------------------------------------------- */

void chain_start(const fb_id *incarnation, digest *out)
{
    digest_of(incarnation->b, sizeof incarnation->b, out);
}

bool state_agrees(const replica_state *s)
{
    return s->settled <= s->based && s->settled <= s->acked && s->acked <= s->last &&
           s->backed_up <= s->last && s->pruned <= s->settled && s->pruned <= s->backed_up;
}

fb_code state_load(replica *r)
{
    replica_state s = {0};
    int64_t stale = 0;
    bool found = false;

    for (size_t i = 0; i < STATE_KEYS; i++) {
        FB_TRY(meta_get_int(r, state_keys[i].key, state_field(&s, i)));
    }
    FB_TRY(meta_get_int(r, "base_stale", &stale));
    s.base_stale = stale != 0;
    FB_TRY(find_blob(r, "pruned_chain", s.pruned_chain.b, sizeof s.pruned_chain.b, &found));
    if (!found) {
        chain_start(&r->me.incarnation, &s.pruned_chain);
    }
    r->state = s;
    return outbox_last_load(r);
}

fb_code state_save(replica *r, const replica_state *before)
{
    replica_state was = *before;
    replica_state *now = &r->state;

    FB_ASSERT(now->settled <= now->based && now->settled <= now->acked && now->acked <= now->last);
    for (size_t i = 0; i < STATE_KEYS; i++) {
        if (*state_field(&was, i) != *state_field(now, i)) {
            FB_TRY(meta_put_int(r, state_keys[i].key, *state_field(now, i)));
        }
    }
    if (was.base_stale != now->base_stale) {
        FB_TRY(meta_put_int(r, "base_stale", now->base_stale));
    }
    if (memcmp(&was.pruned_chain, &now->pruned_chain, sizeof was.pruned_chain) != 0) {
        FB_TRY(meta_put_blob(r, "pruned_chain", now->pruned_chain.b, sizeof now->pruned_chain.b));
    }
    return FB_OK;
}

/* --- identity ------------------------------------------------------------------------ */

fb_code identity_load(replica *r)
{
    replica_identity me = {0};
    int64_t enrolled = 0;
    bool found = false;

    FB_TRY(find_blob(r, "device", me.device.b, sizeof me.device.b, &found));
    FB_TRY(find_blob(r, "user", me.user.b, sizeof me.user.b, &found));
    FB_TRY(find_blob(r, "incarnation", me.incarnation.b, sizeof me.incarnation.b, &found));
    FB_TRY(find_blob(r, "epoch", me.epoch.b, sizeof me.epoch.b, &found));
    FB_TRY(find_blob(r, "secret", me.token.b, sizeof me.token.b, &found));
    FB_TRY(find_str(r, "device_code", me.device_code, sizeof me.device_code));
    FB_TRY(find_str(r, "user_code", me.user_code, sizeof me.user_code));
    FB_TRY(find_str(r, "user_name", me.user_name, sizeof me.user_name));
    FB_TRY(find_str(r, "server_url", me.server_url, sizeof me.server_url));
    FB_TRY(meta_get_int(r, "enrolled", &enrolled));
    FB_TRY(meta_get_int(r, "life", &r->life));
    FB_TRY(find_blob(r, "salvaged", r->salvaged_nonce, sizeof r->salvaged_nonce, &found));
    if (!found) {
        memset(r->salvaged_nonce, 0, sizeof r->salvaged_nonce);
    }
    me.enrolled = enrolled != 0;
    r->me = me;
    bytes_wipe(&me.token, sizeof me.token);
    return FB_OK;
}

fb_code replica_identity_get(replica *r, replica_identity *out)
{
    FB_REQUIRE(r != NULL && out != NULL);
    if (!r->capture.open) {
        FB_TRY(replica_refresh(r));
    }
    *out = r->me;
    return FB_OK;
}

static fb_code identity_write(replica *r, const replica_identity *in)
{
    FB_TRY(meta_put_blob(r, "device", in->device.b, sizeof in->device.b));
    FB_TRY(meta_put_blob(r, "user", in->user.b, sizeof in->user.b));
    FB_TRY(meta_put_blob(r, "epoch", in->epoch.b, sizeof in->epoch.b));
    FB_TRY(meta_drop(r, "epochs_left")); /* a person said which server it is */
    FB_TRY(meta_put_blob(r, "secret", in->token.b, sizeof in->token.b));
    FB_TRY(meta_put_text(r, "device_code", text_of(in->device_code)));
    FB_TRY(meta_put_text(r, "user_code", text_of(in->user_code)));
    FB_TRY(meta_put_text(r, "user_name", text_of(in->user_name)));
    FB_TRY(meta_put_text(r, "server_url", text_of(in->server_url)));
    FB_TRY(in->has_pack_key ? meta_put_blob(r, "pack_key", in->pack_key.b, sizeof in->pack_key.b)
                            : meta_drop(r, "pack_key"));
    return meta_put_int(r, "enrolled", in->enrolled);
}

/* What the person before left must be settled first: nobody's work is thrown away or sent under
 * another name. Then nothing of theirs stays readable. */
static fb_code hand_over(replica *r)
{
    int64_t open = 0;
    FB_TRY(
        read_count(r,
                   "SELECT (SELECT count(*) FROM fb_outbox WHERE state<>0 AND state IN (1, 2, 3)) +"
                   " (SELECT count(*) FROM fb_draft)",
                   &open));
    if (open > 0 || r->state.last > r->state.acked) {
        return FB_E_STATE;
    }
    FB_TRY(run_text(r, "DELETE FROM fb_outbox"));
    FB_TRY(run_text(r, "DELETE FROM fb_verdict"));
    FB_TRY(run_text(r, "DELETE FROM fb_alias"));
    FB_TRY(run_text(r, "DELETE FROM fb_unknown"));
    FB_TRY(run_text(r, "DELETE FROM fb_parked"));
    observe_all(r);
    return base_wipe(r);
}

static fb_code identity_set_inside(replica *r, const replica_identity *in)
{
    FB_TRY(replica_refresh(r));
    if (r->me.enrolled && !id_equal(&r->me.user, &in->user)) {
        FB_TRY(hand_over(r));
    }
    bool restored = r->me.enrolled && !id_equal(&r->me.epoch, &in->epoch);
    if (restored) {
        r->state.old_base = BASE_IS_OLD;
        FB_TRY(meta_put_int(r, "old_base", r->state.old_base));
    }
    FB_TRY(identity_write(r, in));
    FB_TRY(restored ? rebirth_revive(r) : rebirth_inside(r));
    return replica_reload(r);
}

fb_code replica_identity_set(replica *r, const replica_identity *in)
{
    FB_REQUIRE(r != NULL && in != NULL && !r->capture.open);
    FB_TRY(sql_begin(r->db));
    fb_code rc = identity_set_inside(r, in);
    if (rc != FB_OK) {
        sql_rollback(r->db);
    } else {
        rc = sql_commit(r->db);
    }
    if (rc != FB_OK) {
        (void)!replica_reload(r); /* the first failure is the one to report */
        return rc;
    }
    second_tend(r);
    return FB_OK;
}
