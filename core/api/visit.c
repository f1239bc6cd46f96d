/* visit.c - check in, act, check out. See fieldbook/visit.h. */
#include "fieldbook/visit.h"

#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "schema/numbers.h"

enum { GEOFENCE_DEFAULT_M = 300, OPEN_DAYS = 7, DAY_MS = 86400000 };

/* An open visit is looked for among those of a week around: older ones the server closes at day
 * end. */
static fb_code read_open(fb_db *db, const fb_id *user, const fb_id *customer, int64_t at_ms,
                         fb_id *out)
{
    char from[DAY_TEXT_BYTES];
    char to[DAY_TEXT_BYTES];
    bool row = false;
    sql_stmt *s = sql_prepare(
        replica_sql(db->r),
        "SELECT id FROM visit WHERE user_id = ?1 AND visit_date BETWEEN ?2 AND ?3 AND status IN "
        "('open', 'paused') AND (?4 IS NULL OR customer_id = ?4) ORDER BY id DESC LIMIT 1");
    day_of(db, at_ms - OPEN_DAYS * (int64_t)DAY_MS, from);
    day_of(db, at_ms + (int64_t)DAY_MS, to);
    sql_bind_id(s, 1, user);
    sql_bind_text(s, 2, text_of(from));
    sql_bind_text(s, 3, text_of(to));
    sql_bind_id(s, 4, customer);
    FB_TRY(sql_step(s, &row));
    *out = row ? sql_id(s, 0) : (fb_id){{0}};
    sql_reset(s);
    /* A row without an id: SQLite had no memory to hand it out. */
    return row && id_is_none(out) ? FB_E_NO_MEMORY : FB_OK;
}

static fb_code read_own_open(fb_db *db, const fb_id *customer, int64_t at_ms, fb_id *out)
{
    replica_identity who;

    FB_TRY(replica_identity_get(db->r, &who));
    bytes_wipe(&who.token, sizeof who.token);
    return read_open(db, &who.user, customer, at_ms, out);
}

fb_code visit_for(fb_db *db, const fb_id *customer, int64_t at_ms, fb_id *out)
{
    if (db->group_open && !id_is_none(&db->group_visit) &&
        id_equal(&db->group_visit_customer, customer)) {
        *out = db->group_visit;
        return FB_OK;
    }
    return read_own_open(db, customer, at_ms, out);
}

fb_code fb_visit_get_open(fb_db *db, fb_id *out, fb_error *err)
{
    fb_id found;

    FB_REQUIRE(db != NULL && out != NULL);
    api_clear(err);
    fb_code rc = read_own_open(db, NULL, fb_db_now_ms(db, NULL), &found);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    if (id_is_none(&found)) {
        return fail(err, FB_E_NOT_FOUND, "visit", "no visit is open: check in first");
    }
    *out = found;
    return FB_OK;
}

/* --- check in -------------------------------------------------------------------------------- */

/* Where the customer is: the verified visit address first. */
typedef struct place {
    bool known;
    int32_t lat_e7, lon_e7;
    int64_t geofence_m;
} place;

static fb_code read_place(fb_db *db, const fb_id *customer, place *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(
        replica_sql(db->r),
        "SELECT lat_e7, lon_e7, geofence_m FROM customer_address WHERE customer_id = ?1 AND "
        "kind = 'visit' AND lat_e7 IS NOT NULL AND lon_e7 IS NOT NULL "
        "ORDER BY verified DESC, id DESC LIMIT 1");
    sql_bind_id(s, 1, customer);
    FB_TRY(sql_step(s, &row));
    *out = (place){.known = row};
    if (row) {
        out->lat_e7 = (int32_t)sql_int(s, 0);
        out->lon_e7 = (int32_t)sql_int(s, 1);
        out->geofence_m =
            sql_is_null(s, 2) || sql_int(s, 2) <= 0 ? GEOFENCE_DEFAULT_M : sql_int(s, 2);
    }
    sql_reset(s);
    return FB_OK;
}

/* The accuracy counts for the person: a point whose circle touches the fence is inside. */
static void judge_place(const place *p, const fb_visit_in_options *o, fb_visit_in *out)
{
    const char *result = "in_range";

    out->distance_known = o->fix && p->known;
    if (out->distance_known) {
        out->distance_m = fb_distance_m(p->lat_e7, p->lon_e7, o->lat_e7, o->lon_e7);
    }
    if (!o->fix) {
        result = "no_fix";
    } else if (o->mock) {
        result = "mock";
    } else if (!p->known) {
        result = "no_address";
    } else if (out->distance_m - o->accuracy_m > p->geofence_m) {
        result = "out_of_range";
    }
    (void)snprintf(out->geo_result, sizeof out->geo_result, "%s", result);
}

static void fill_position(rec *r, const fb_visit_in_options *o, const fb_visit_in *in)
{
    if (o->fix) {
        rec_int(r, "check_in_lat_e7", o->lat_e7);
        rec_int(r, "check_in_lon_e7", o->lon_e7);
    }
    if (o->fix && o->accuracy_m > 0) {
        rec_int(r, "check_in_accuracy_m", o->accuracy_m);
    }
    if (in->distance_known) {
        rec_int(r, "distance_m", in->distance_m);
    }
    rec_str(r, "geo_result", in->geo_result);
    rec_str(r, "out_of_range_reason", o->reason);
}

static fb_code fill_visit(rec *r, const fb_id *customer, const fb_visit_in_options *o,
                          const api_person *me, int64_t at_ms, fb_error *err)
{
    buf number;
    fb_db *db = r->db;

    buf_init(&number, 64);
    fb_code rc = capture_number(db->r, NUMBER_PREFIX_VISIT, &number, err);
    if (rc == FB_OK) {
        char day[DAY_TEXT_BYTES];
        day_of(db, at_ms, day);
        rec_text(r, "visit_no", buf_text(&number));
        rec_id(r, "customer_id", customer);
        rec_id(r, "user_id", &me->user);
        rec_id(r, "territory_id", &me->territory);
        rec_id(r, "plan_id", &o->plan);
        rec_str(r, "kind",
                o->kind != NULL        ? o->kind
                : id_is_none(&o->plan) ? "unplanned"
                                       : "planned");
        rec_str(r, "visit_date", day);
        rec_int(r, "tz_offset_min", db->tz_offset_min);
        rec_int(r, "check_in_at", at_ms);
        rec_str(r, "note", o->note);
        rec_str(r, "status", "open");
        rc = rec_insert(r, err);
    }
    buf_clear(&number);
    return rc;
}

static fb_code start_plan(fb_db *db, const fb_id *plan, fb_error *err)
{
    change c;

    if (id_is_none(plan)) {
        return FB_OK;
    }
    change_new(&c, db, "visit_plan");
    change_str(&c, "status", "in_progress");
    return change_apply(&c, plan, err);
}

static fb_code refuse_second(fb_db *db, const api_person *me, int64_t at_ms, fb_error *err)
{
    fb_id open;

    FB_TRY(read_open(db, &me->user, NULL, at_ms, &open));
    if (!id_is_none(&open)) {
        return fail(err, FB_E_VISIT_OPEN, "visit",
                    "another visit is still open: check out of it first");
    }
    return FB_OK;
}

static fb_code check_in(fb_db *db, const fb_id *customer, const fb_visit_in_options *o,
                        int64_t at_ms, fb_visit_in *out, fb_error *err)
{
    api_person me;
    place where = {0};
    rec r;
    api_customer known;

    FB_TRY(not_in_future(db, at_ms, "visit.check_in_at", err));
    FB_TRY(api_person_get(db, &me, err));
    FB_TRY(api_customer_get(db, customer, &known, err));
    FB_TRY(refuse_second(db, &me, at_ms, err));
    FB_TRY(read_place(db, customer, &where));
    *out = (fb_visit_in){.distance_known = false};
    judge_place(&where, o, out);
    if (id_is_none(&me.territory)) {
        me.territory = known.territory;
    }
    rec_new(&r, db, "visit");
    fill_position(&r, o, out);
    out->visit = r.values[0].u.id;
    FB_TRY(fill_visit(&r, customer, o, &me, at_ms, err));
    return start_plan(db, &o->plan, err);
}

fb_code fb_visit_check_in(fb_db *db, const fb_id *customer, const fb_visit_in_options *options,
                          fb_visit_in *out, fb_error *err)
{
    fb_visit_in_options o = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_in done;
    api_write w;

    FB_REQUIRE(db != NULL && customer != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    fb_id stands = *customer; /* the address, and a later call of the group, name it */
    FB_TRY(alias_of(db->r, &stands));
    FB_TRY(write_begin(db, "visit.check_in", o.at_ms, &w, err));
    fb_code rc = write_end(&w, check_in(db, &stands, &o, w.at_ms, &done, err), NULL, err);
    if (rc == FB_OK) {
        db->group_visit = done.visit;
        db->group_visit_customer = stands;
        if (out != NULL) {
            *out = done;
        }
    }
    return rc;
}

/* --- actions --------------------------------------------------------------------------------- */

static fb_code require_open(fb_db *db, const fb_id *visit, arena *memory, rec *r, fb_error *err)
{
    FB_TRY(rec_read(r, db, "visit", visit, memory, err));
    fb_text status = rec_get_text(r, "status");
    if (!text_is(status, "open") && !text_is(status, "paused")) {
        return fail(err, FB_E_STATE, "visit.status", "the visit is not open: check in again");
    }
    return FB_OK;
}

static fb_code next_seq(fb_db *db, const fb_id *visit, int64_t *out)
{
    return api_read_int(db, "SELECT count(*) + 1 FROM visit_action WHERE visit_id = ?1", visit, 1,
                        out);
}

static fb_code add_action(fb_db *db, const fb_id *visit, const char *action,
                          const fb_visit_action_options *o, const api_write *w, fb_id *id_out,
                          fb_error *err)
{
    rec r;
    int64_t seq = 0;
    char ref[FB_ID_TEXT_BYTES];
    bool skipped = o->status != NULL && text_is(text_of(o->status), "skipped");

    FB_TRY(next_seq(db, visit, &seq));
    rec_new(&r, db, "visit_action");
    rec_id(&r, "visit_id", visit);
    rec_str(&r, "type", action);
    rec_int(&r, "seq", seq);
    rec_str(&r, "status", o->status == NULL ? "done" : o->status);
    rec_int(&r, "started_at", w->at_ms);
    if (o->status == NULL || text_is(text_of(o->status), "done")) {
        rec_int(&r, "ended_at", w->at_ms);
    }
    rec_str(&r, skipped ? "skip_reason" : "note", o->note);
    if (!id_is_none(&o->ref)) {
        id_put(&o->ref, ref);
        rec_str(&r, "ref_id", ref);
    }
    *id_out = r.values[0].u.id;
    return rec_insert(&r, err);
}

fb_code fb_visit_action(fb_db *db, const fb_id *visit, const char *action,
                        const fb_visit_action_options *options, fb_id *id_out, fb_error *err)
{
    fb_visit_action_options o = FB_VISIT_ACTION_OPTIONS_INIT;
    api_write w;
    rec current;
    fb_id made;

    FB_REQUIRE(db != NULL && visit != NULL && action != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_TRY(write_begin(db, "visit.action", o.at_ms, &w, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : require_open(db, visit, memory, &current, err);
    if (rc == FB_OK) {
        rc = add_action(db, visit, action, &o, &w, &made, err);
    }
    arena_free(memory);
    rc = write_end(&w, rc, NULL, err);
    if (rc == FB_OK && id_out != NULL) {
        *id_out = made;
    }
    return rc;
}

/* --- check out, cancel -------------------------------------------------------------------------
 */

static fb_code is_productive(fb_db *db, const fb_id *visit, const fb_id *customer, bool *out)
{
    int64_t orders = 0;
    bool row = false;
    sql_stmt *s = sql_prepare(
        replica_sql(db->r),
        "SELECT EXISTS(SELECT 1 FROM sales_order WHERE customer_id = ?2 AND visit_id = ?1) OR "
        "EXISTS(SELECT 1 FROM payment WHERE customer_id = ?2 AND visit_id = ?1)");
    sql_bind_id(s, 1, visit);
    sql_bind_id(s, 2, customer);
    FB_TRY(sql_step(s, &row));
    orders = row ? sql_int(s, 0) : 0;
    sql_reset(s);
    *out = orders != 0;
    return FB_OK;
}

static fb_code finish_plan(fb_db *db, const rec *visit, fb_error *err)
{
    change c;
    fb_id plan = rec_get_id(visit, "plan_id");

    if (id_is_none(&plan)) {
        return FB_OK;
    }
    change_new(&c, db, "visit_plan");
    change_str(&c, "status", "done");
    return change_apply(&c, &plan, err);
}

static fb_code check_out(fb_db *db, const rec *visit, const fb_visit_out_options *o, int64_t at_ms,
                         fb_error *err)
{
    change c;
    bool productive = false;
    fb_id id = visit->values[0].u.id;
    fb_id customer = rec_get_id(visit, "customer_id");
    int64_t in_at_ms = rec_get_int(visit, "check_in_at", at_ms);

    FB_TRY(not_in_future(db, at_ms, "visit.check_out_at", err));
    if (at_ms < in_at_ms) {
        return fail(err, FB_E_RANGE, "visit.check_out_at",
                    "the check-out lies before the check-in: correct the time");
    }
    FB_TRY(is_productive(db, &id, &customer, &productive));
    change_new(&c, db, "visit");
    change_int(&c, "check_out_at", at_ms);
    if (o->fix) {
        change_int(&c, "check_out_lat_e7", o->lat_e7);
        change_int(&c, "check_out_lon_e7", o->lon_e7);
    }
    change_int(&c, "duration_s", (at_ms - in_at_ms) / 1000);
    change_int(&c, "productive", productive);
    change_str(&c, "no_sale_reason", o->no_sale_reason);
    change_str(&c, "next_visit_date", o->next_visit_date);
    change_str(&c, "note", o->note);
    change_str(&c, "status", "completed");
    FB_TRY(change_apply(&c, &id, err));
    return finish_plan(db, visit, err);
}

fb_code fb_visit_check_out(fb_db *db, const fb_id *visit, const fb_visit_out_options *options,
                           fb_error *err)
{
    fb_visit_out_options o = FB_VISIT_OUT_OPTIONS_INIT;
    api_write w;
    rec current;

    FB_REQUIRE(db != NULL && visit != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_TRY(write_begin(db, "visit.check_out", o.at_ms, &w, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : require_open(db, visit, memory, &current, err);
    if (rc == FB_OK) {
        rc = check_out(db, &current, &o, w.at_ms, err);
    }
    arena_free(memory);
    return write_end(&w, rc, NULL, err);
}

fb_code fb_visit_cancel(fb_db *db, const fb_id *visit, const char *reason, fb_error *err)
{
    api_write w;
    rec current;
    change c;

    FB_REQUIRE(db != NULL && visit != NULL);
    api_clear(err);
    if (reason == NULL || reason[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "visit.cancel_reason", "a reason is needed: give one");
    }
    FB_TRY(write_begin(db, "visit.cancel", 0, &w, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : require_open(db, visit, memory, &current, err);
    if (rc == FB_OK) {
        change_new(&c, db, "visit");
        change_str(&c, "cancel_reason", reason);
        change_str(&c, "status", "cancelled");
        rc = change_apply(&c, visit, err);
    }
    arena_free(memory);
    return write_end(&w, rc, NULL, err);
}
