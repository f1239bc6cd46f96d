/* db.c - the handle, its groups, and the small things every call needs. See fieldbook/db.h. */
#include "fieldbook/db.h"

#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/decimal.h"
#include "schema/limits.h"

enum { TZ_MIN = -720, TZ_MAX = 840, KIND_BYTES_MAX = 40 };

uint32_t fb_version_number(void)
{
    return FB_VERSION_NUMBER;
}

const char *fb_version_text(void)
{
    return FB_VERSION_TEXT;
}

uint32_t fb_version_protocol(void)
{
    return PROTOCOL_VERSION;
}

void api_clear(fb_error *err)
{
    if (err != NULL) {
        *err = (fb_error){.code = FB_OK};
    }
}

fb_code api_said(fb_db *db, fb_code rc, fb_error *err)
{
    if ((rc == FB_E_CORRUPT || rc == FB_E_IO) && db != NULL && db->r != NULL) {
        replica_remember_damage(db->r, db->reader);
    }
    if (rc == FB_OK || err == NULL || err->code == rc) {
        return rc;
    }
    bool of_file = db != NULL && db->r != NULL && fb_code_class(rc) == FB_CLASS_STORAGE;
    return fail(err, rc, "", "%s%s%s", fb_code_text(rc, "en"), of_file ? ": " : "",
                of_file ? sql_message(replica_sql(db->r)) : "");
}

fb_code options_copy(void *dst, size_t dst_size, const void *src)
{
    uint32_t size = 0;

    if (src == NULL) {
        return FB_OK;
    }
    memcpy(&size, src, sizeof size);
    FB_REQUIRE(size >= sizeof size);
    memcpy(dst, src, size < dst_size ? size : dst_size);
    return FB_OK;
}

static char *copy_str(const char *s)
{
    size_t size = s == NULL ? 0 : strlen(s) + 1;
    char *copy = size == 0 ? NULL : malloc(size);

    if (copy != NULL) {
        memcpy(copy, s, size);
    }
    return copy;
}

static fb_code options_check(const char *path, const fb_db_options *o, fb_db **out, fb_error *err)
{
    if (path == NULL || path[0] == '\0' || out == NULL) {
        return fail(err, FB_E_MISUSE, "path",
                    "a path and a place for the handle are needed: give both");
    }
    if (o->port == NULL) {
        return fail(err, FB_E_MISUSE, "port",
                    "no port was given: set options.port, e.g. fb_port_posix()");
    }
    if (o->tz_offset_min < TZ_MIN || o->tz_offset_min > TZ_MAX) {
        return fail(err, FB_E_RANGE, "tz_offset_min",
                    "minutes east of UTC must be %d..%d: correct them", TZ_MIN, TZ_MAX);
    }
    return FB_OK;
}

static fb_code handle_fill(fb_db *db, const char *path, const fb_db_options *o, fb_error *err)
{
    replica_options ro = {.path = path,
                          .port = o->port,
                          .vfs = o->vfs,
                          .create = o->create,
                          .read_only = o->read_only,
                          .sync_normal = o->sync_normal,
                          .cache_kib = o->cache_kib,
                          .tz_offset_min = o->tz_offset_min,
                          .files = o->files};

    db->port = o->port;
    db->read_only = o->read_only;
    db->tz_offset_min = o->tz_offset_min;
    db->path = copy_str(path);
    db->vfs = copy_str(o->vfs);
    if (db->path == NULL || (o->vfs != NULL && db->vfs == NULL)) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(replica_open(&ro, &db->r, err));
    db->observed_stamp = replica_stamp(db->r);
    return FB_OK;
}

fb_code fb_db_open(const char *path, const fb_db_options *options, fb_db **out, fb_error *err)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;

    api_clear(err);
    fb_code rc = options_copy(&o, sizeof o, options);
    if (rc != FB_OK || (rc = options_check(path, &o, out, err)) != FB_OK) {
        return api_said(NULL, rc, err);
    }
    fb_db *db = calloc(1, sizeof *db);
    rc = db == NULL ? FB_E_NO_MEMORY : handle_fill(db, path, &o, err);
    if (rc != FB_OK) {
        fb_db_close(db);
        return api_said(NULL, rc, err);
    }
    *out = db;
    return FB_OK;
}

void fb_db_close(fb_db *db)
{
    if (db == NULL) {
        return;
    }
    if (db->r != NULL) {
        fb_group_abort(db);
        fb_snapshot_end(db);
    }
    sql_close(db->reader);
    replica_close(db->r);
    free(db->path);
    free(db->vfs);
    free(db);
}

fb_code fb_db_check(fb_db *db, fb_error *err)
{
    FB_REQUIRE(db != NULL);
    api_clear(err);
    fb_code rc = sql_check(replica_sql(db->r), err);

    return api_said(db, rc == FB_OK ? replica_check(db->r, err) : rc, err);
}

static void copy_into(char *out, size_t size, const char *text)
{
    size_t used = strnlen(text, size - 1);

    memcpy(out, text, used);
    out[used] = '\0';
}

fb_code fb_db_identity(fb_db *db, fb_identity *out, fb_error *err)
{
    replica_identity who;
    fb_identity mine = {.size_bytes = sizeof mine};

    FB_REQUIRE(db != NULL && out != NULL && out->size_bytes >= sizeof out->size_bytes);
    api_clear(err);
    fb_code rc = replica_identity_get(db->r, &who);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    mine.enrolled = who.enrolled;
    mine.device = who.device;
    mine.user = who.user;
    copy_into(mine.device_code, sizeof mine.device_code, who.device_code);
    copy_into(mine.user_code, sizeof mine.user_code, who.user_code);
    copy_into(mine.user_name, sizeof mine.user_name, who.user_name);
    copy_into(mine.server_url, sizeof mine.server_url, who.server_url);
    bytes_wipe(&who, sizeof who);
    mine.size_bytes = out->size_bytes;
    memcpy(out, &mine, out->size_bytes < sizeof mine ? out->size_bytes : sizeof mine);
    return FB_OK;
}

int64_t fb_db_now_ms(fb_db *db, bool *suspect_out)
{
    int64_t offset = 0;
    bool suspect = false;
    int64_t now = db == NULL ? 0 : replica_now_ms(db->r, &offset, &suspect);

    if (suspect_out != NULL) {
        *suspect_out = suspect;
    }
    return now;
}

/* --- groups ---------------------------------------------------------------------------------- */

static bool is_kind(const char *kind)
{
    size_t size = strlen(kind);

    return size > 0 && size <= KIND_BYTES_MAX &&
           strspn(kind, "abcdefghijklmnopqrstuvwxyz._") == size;
}

fb_code fb_group_begin(fb_db *db, const char *kind, int64_t at_ms, fb_error *err)
{
    FB_REQUIRE(db != NULL);
    api_clear(err);
    if (db->group_open) {
        return fail(err, FB_E_STATE, "group", "a group is open already: commit or abort it first");
    }
    if (kind != NULL && !is_kind(kind)) {
        return fail(err, FB_E_FORMAT, "kind", "a kind is 1..%d of a-z . _ : correct it",
                    KIND_BYTES_MAX);
    }
    fb_code rc = capture_begin(db->r, kind == NULL ? "group" : kind, at_ms, 0, err);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    db->group_open = true;
    db->group_failed = false;
    db->group_at_ms = at_ms;
    db->group_visit = db->group_visit_customer = db->group_order = db->group_customer =
        (fb_id){{0}};
    return FB_OK;
}

fb_code fb_group_commit(fb_db *db, int64_t *gseq_out, fb_error *err)
{
    int64_t gseq = 0;

    FB_REQUIRE(db != NULL);
    api_clear(err);
    if (!db->group_open) {
        return fail(err, FB_E_STATE, "group", "no group is open: begin one first");
    }
    db->group_open = false;
    if (db->group_failed) {
        return fail(err, FB_E_STATE, "group",
                    "a call inside the group failed and aborted it: begin it again");
    }
    fb_code rc = capture_commit(db->r, &gseq, err);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    if (gseq_out != NULL) {
        *gseq_out = gseq;
    }
    return FB_OK;
}

void fb_group_abort(fb_db *db)
{
    if (db != NULL && db->group_open) {
        if (!db->group_failed) {
            capture_abort(db->r);
        }
        db->group_open = false;
    }
}

fb_code write_begin(fb_db *db, const char *kind, int64_t at_ms, api_write *w, fb_error *err)
{
    *w = (api_write){.db = db, .own = !db->group_open, .at_ms = at_ms};
    if (db->group_open && db->group_failed) {
        return fail(err, FB_E_STATE, "group",
                    "an earlier call of the group failed and aborted it: begin it again");
    }
    if (w->at_ms == 0) {
        w->at_ms =
            db->group_open && db->group_at_ms != 0 ? db->group_at_ms : fb_db_now_ms(db, NULL);
    }
    return w->own ? capture_begin(db->r, kind, at_ms, 0, err) : FB_OK;
}

fb_code write_end(api_write *w, fb_code rc, int64_t *gseq_out, fb_error *err)
{
    int64_t gseq = 0;

    if (w->own && rc == FB_OK) {
        rc = capture_commit(w->db->r, &gseq, err);
    } else if (w->own) {
        capture_abort(w->db->r);
    } else if (rc != FB_OK && !w->db->group_failed) {
        capture_abort(w->db->r);
        w->db->group_failed = true;
    }
    if (rc == FB_OK && gseq_out != NULL) {
        *gseq_out = gseq;
    }
    return api_said(w->db, rc, err);
}

/* --- small things ---------------------------------------------------------------------------- */

static fb_code first_territory(fb_db *db, const fb_id *user, fb_id *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(replica_sql(db->r),
                              "SELECT territory_id FROM user_territory WHERE user_id = ?1 "
                              "ORDER BY is_primary DESC, id LIMIT 1");
    sql_bind_id(s, 1, user);
    FB_TRY(sql_step(s, &row));
    *out = row ? sql_id(s, 0) : (fb_id){{0}};
    sql_reset(s);
    return FB_OK;
}

fb_code api_person_get(fb_db *db, api_person *out, fb_error *err)
{
    replica_identity who;

    FB_TRY(replica_identity_get(db->r, &who));
    bool enrolled = who.enrolled;
    *out = (api_person){.user = who.user, .device = who.device};
    copy_into(out->device_code, sizeof out->device_code, who.device_code);
    bytes_wipe(&who, sizeof who);
    if (!enrolled) {
        return fail(err, FB_E_AUTH, "device",
                    "this device is not enrolled: enrol it with a code first");
    }
    return first_territory(db, &out->user, &out->territory);
}

fb_id api_id(fb_db *db)
{
    return id_make(replica_ids(db->r), fb_db_now_ms(db, NULL));
}

fb_code api_text_out(buf *b, char **out)
{
    FB_TRY(b->code);
    char *text = malloc(b->size + 1);
    if (text == NULL) {
        return FB_E_NO_MEMORY;
    }
    if (b->size > 0) {
        memcpy(text, b->data, b->size);
    }
    text[b->size] = '\0';
    *out = text;
    return FB_OK;
}

void fb_string_free(char *text)
{
    if (text != NULL) {
        bytes_wipe(text, strlen(text));
        free(text);
    }
}

void fb_id_put(const fb_id *id, char out[FB_ID_TEXT_BYTES])
{
    static const fb_id NONE = {{0}};

    id_put(id == NULL ? &NONE : id, out);
}

bool fb_id_get(const char *text, fb_id *out)
{
    return text != NULL && out != NULL && id_get(text_of(text), out);
}

fb_code api_entity(fb_db *db, const char *name, const cat_entity **out, fb_error *err)
{
    /* A background worker may have brought a catalogue. */
    fb_code rc = capture_is_open(db->r) ? FB_OK : replica_refresh(db->r);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    const cat_entity *e = name == NULL ? NULL : catalog_entity_str(replica_catalog(db->r), name);
    if (e == NULL) {
        return fail(err, FB_E_NOT_FOUND, name == NULL ? "entity" : name,
                    "the catalogue has no such entity: see the list of entities");
    }
    *out = e;
    return FB_OK;
}

fb_code api_read_int(fb_db *db, const char *sql, const fb_id *id, int64_t otherwise, int64_t *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(replica_sql(db->r), sql);

    if (id != NULL) {
        sql_bind_id(s, 1, id);
    }
    FB_TRY(sql_step(s, &row));
    *out = row && !sql_is_null(s, 0) ? sql_int(s, 0) : otherwise;
    sql_reset(s);
    return FB_OK;
}

fb_code api_setting(fb_db *db, const char *key, buf *out)
{
    bool row = false;
    api_person me;
    char user[FB_ID_TEXT_BYTES];
    sql_stmt *s = sql_prepare(
        replica_sql(db->r),
        "SELECT value FROM setting WHERE key = ?1 AND (level = 'global' OR (level = 'user' AND "
        "target_id = ?2) OR (level = 'role' AND target_id IN (SELECT r.code FROM user_role u JOIN "
        "role r ON r.id = u.role_id WHERE u.user_id = ?3))) "
        "ORDER BY CASE level WHEN 'user' THEN 0 WHEN 'role' THEN 1 ELSE 2 END, id LIMIT 1");
    FB_TRY(api_person_get(db, &me, NULL));
    id_put(&me.user, user);
    sql_bind_text(s, 1, text_of(key));
    sql_bind_text(s, 2, text_of(user));
    sql_bind_id(s, 3, &me.user);
    FB_TRY(sql_step(s, &row));
    if (row) {
        buf_put_text(out, sql_text(s, 0));
    }
    sql_reset(s);
    return out->code;
}

fb_code api_setting_int(fb_db *db, const char *key, int64_t otherwise, int64_t *out)
{
    buf text;

    buf_init(&text, 4096);
    fb_code rc = api_setting(db, key, &text);
    if (rc == FB_OK && !i64_get(buf_text(&text), out)) {
        *out = otherwise;
    }
    buf_clear(&text);
    return rc;
}
