/* activity.c - the contact log: append-only, corrections supersede. See fieldbook/activity.h. */
#include "fieldbook/activity.h"

#include "api/handle.h"

static void fill_options(rec *r, const fb_activity_options *o, int64_t at_ms)
{
    rec_str(r, "type", o->type == NULL ? "call" : o->type);
    rec_str(r, "direction", o->direction == NULL ? "out" : o->direction);
    rec_str(r, "content", o->content);
    rec_str(r, "result_code", o->result_code);
    rec_str(r, "next_action", o->next_action);
    rec_id(r, "contact_id", &o->contact);
    rec_int(r, "at", at_ms);
    if (o->next_at_ms != 0) {
        rec_int(r, "next_at", o->next_at_ms);
    }
    if (o->duration_s > 0) {
        rec_int(r, "duration_s", o->duration_s);
    }
}

static fb_code log_activity(fb_db *db, const fb_id *customer, const char *subject,
                            const fb_activity_options *o, int64_t at_ms, fb_id *id_out,
                            fb_error *err)
{
    api_person me;
    rec r;
    fb_id visit;
    api_customer known;

    FB_TRY(not_in_future(db, at_ms, "activity.at", err));
    FB_TRY(api_person_get(db, &me, err));
    FB_TRY(api_customer_get(db, customer, &known, err));
    FB_TRY(visit_for(db, &known.id, at_ms, &visit));
    rec_new(&r, db, "activity");
    fill_options(&r, o, at_ms);
    rec_id(&r, "customer_id", customer);
    rec_id(&r, "user_id", &me.user);
    rec_id(&r, "visit_id", &visit);
    rec_str(&r, "subject", subject);
    *id_out = r.values[0].u.id;
    return rec_insert(&r, err);
}

fb_code fb_activity_log(fb_db *db, const fb_id *customer, const char *subject,
                        const fb_activity_options *options, fb_id *id_out, fb_error *err)
{
    fb_activity_options o = FB_ACTIVITY_OPTIONS_INIT;
    api_write w;
    fb_id made;

    FB_REQUIRE(db != NULL && customer != NULL);
    api_clear(err);
    if (subject == NULL || subject[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "activity.subject",
                    "a subject is needed: say what it was about");
    }
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_TRY(write_begin(db, "activity.log", o.at_ms, &w, err));
    fb_code rc =
        write_end(&w, log_activity(db, customer, subject, &o, w.at_ms, &made, err), NULL, err);
    if (rc == FB_OK && id_out != NULL) {
        *id_out = made;
    }
    return rc;
}

/* --- corrections -------------------------------------------------------------------------------
 */

/* What a new entry never takes over from the old one. */
static bool is_fresh(const cat_entity *e, int column)
{
    static const char *const FRESH[] = {
        "id",         "ver",        "created_by",    "created_at", "created_device",
        "updated_by", "updated_at", "supersedes_id", "void_reason"};

    for (size_t i = 0; i < sizeof FRESH / sizeof FRESH[0]; i++) {
        if (text_is(e->columns[column].name, FRESH[i])) {
            return true;
        }
    }
    return false;
}

static fb_code refuse_superseded(fb_db *db, const fb_id *activity, const fb_id *customer,
                                 fb_error *err)
{
    bool row = false;
    sql_stmt *s =
        sql_prepare(replica_sql(db->r),
                    "SELECT 1 FROM activity WHERE customer_id IS ?2 AND supersedes_id = ?1");

    sql_bind_id(s, 1, activity);
    sql_bind_id(s, 2, customer);
    FB_TRY(sql_step(s, &row));
    sql_reset(s);
    if (row) {
        return fail(err, FB_E_STATE, "activity.supersedes_id",
                    "it was corrected before: correct the newer entry");
    }
    return FB_OK;
}

/* The successor: a copy of the old entry that names it; the caller changes it and inserts it. */
static fb_code begin_successor(fb_db *db, const fb_id *activity, arena *memory, rec *out,
                               fb_error *err)
{
    rec old;

    FB_TRY(rec_read(&old, db, "activity", activity, memory, err));
    fb_id customer = rec_get_id(&old, "customer_id");
    FB_TRY(refuse_superseded(db, activity, &customer, err));
    rec_new(out, db, "activity");
    for (int i = 0; i < (int)old.e->columns_count; i++) {
        if (!is_fresh(old.e, i)) {
            out->values[i] = old.values[i];
        }
    }
    rec_id(out, "supersedes_id", activity);
    return FB_OK;
}

static fb_code lay_json(fb_db *db, const char *json, arena *memory, rec *r, fb_error *err)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    bool given[CATALOG_COLUMNS_LIMIT];

    FB_TRY(form_get_row(db, text_of(json), r->e, memory, values, given, err));
    for (int i = 0; i < (int)r->e->columns_count; i++) {
        if (given[i] && !is_fresh(r->e, i)) {
            r->values[i] = values[i];
        }
    }
    return FB_OK;
}

/* One of json and void_reason is given. */
static fb_code supersede(fb_db *db, const fb_id *activity, const char *json,
                         const char *void_reason, fb_id *id_out, fb_error *err)
{
    api_write w;
    rec r;

    FB_TRY(write_begin(db, json != NULL ? "activity.correct" : "activity.void", 0, &w, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : begin_successor(db, activity, memory, &r, err);
    if (rc == FB_OK && json != NULL) {
        rc = lay_json(db, json, memory, &r, err);
    }
    if (rc == FB_OK) {
        rec_str(&r, "void_reason", void_reason);
        rc = rec_insert(&r, err);
    }
    arena_free(memory);
    rc = write_end(&w, rc, NULL, err);
    if (rc == FB_OK && id_out != NULL) {
        *id_out = r.values[0].u.id;
    }
    return rc;
}

fb_code fb_activity_correct(fb_db *db, const fb_id *activity, const char *json, fb_id *id_out,
                            fb_error *err)
{
    FB_REQUIRE(db != NULL && activity != NULL && json != NULL);
    api_clear(err);
    return supersede(db, activity, json, NULL, id_out, err);
}

fb_code fb_activity_void(fb_db *db, const fb_id *activity, const char *reason, fb_id *id_out,
                         fb_error *err)
{
    FB_REQUIRE(db != NULL && activity != NULL);
    api_clear(err);
    if (reason == NULL || reason[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "activity.void_reason", "a reason is needed: give one");
    }
    return supersede(db, activity, NULL, reason, id_out, err);
}
