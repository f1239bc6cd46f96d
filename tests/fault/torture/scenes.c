/* scenes.c - see torture.h: each public function, called once in earnest. */
#include <stdio.h>
#include <string.h>

#include "fault/torture/torture.h"

static fb_code row_take(void *ctx, const fb_row *row)
{
    (void)ctx;
    return row->columns_count > 0 ? FB_OK : FB_E_BUG;
}

static fb_code entity_take(void *ctx, const fb_entity *entity)
{
    (void)ctx;
    return entity->columns_count > 0 ? FB_OK : FB_E_BUG;
}

static fb_code command_take(void *ctx, const fb_command_info *info)
{
    (void)ctx;
    return info->name != NULL ? FB_OK : FB_E_BUG;
}

static fb_code problem_look(void *ctx, const fb_problem *p)
{
    (void)ctx;
    return p->gseq != 0 ? FB_OK : FB_E_BUG;
}

static fb_code parked_look(void *ctx, const fb_parked *p)
{
    (void)ctx;
    return p->gseq != 0 ? FB_OK : FB_E_BUG;
}

static fb_code warning_look(void *ctx, const fb_warning *w)
{
    (void)ctx;
    return w->gseq != 0 ? FB_OK : FB_E_BUG;
}

static void heard(void *ctx, const char *entity)
{
    (void)entity;
    ++*(uint32_t *)ctx;
}

static fb_code json_end(fb_code rc, char **json)
{
    fb_string_free(*json);
    return rc;
}

/* --- db.h ------------------------------------------------------------------------------------ */

static fb_code open_it(stage *s, fb_error *err)
{
    fb_db_close(s->db);
    s->db = NULL;
    return stage_open(s, err);
}

static fb_code check_it(stage *s, fb_error *err)
{
    return fb_db_check(s->db, err);
}

static fb_code identity(stage *s, fb_error *err)
{
    fb_identity me = {.size_bytes = sizeof me};
    return fb_db_identity(s->db, &me, err);
}

static fb_code now(stage *s, fb_error *err)
{
    bool suspect;
    (void)err;
    return fb_db_now_ms(s->db, &suspect) > 0 ? FB_OK : FB_E_BUG;
}

static fb_code group_commit(stage *s, fb_error *err)
{
    fb_id task;
    fb_code rc = fb_group_begin(s->db, "torture.group", 0, err);
    if (rc != FB_OK) {
        return rc;
    }
    rc = fb_activity_log(s->db, &s->customer, "one", NULL, NULL, err);
    rc = rc == FB_OK ? fb_task_add(s->db, "two", NULL, &task, err) : rc;
    if (rc != FB_OK) {
        fb_group_abort(s->db);
        return rc;
    }
    return fb_group_commit(s->db, NULL, err);
}

static fb_code group_abort(stage *s, fb_error *err)
{
    fb_code rc = fb_group_begin(s->db, NULL, 0, err);
    rc = rc == FB_OK ? fb_activity_log(s->db, &s->customer, "never", NULL, NULL, err) : rc;
    fb_group_abort(s->db);
    return rc;
}

static fb_code pure(stage *s, fb_error *err)
{
    char text[FB_ID_TEXT_BYTES];
    fb_id id;
    (void)err;
    fb_id_put(&s->customer, text);
    bool good = fb_id_get(text, &id) && fb_version_number() > 0 && fb_version_text() != NULL &&
                fb_version_protocol() > 0 && fb_code_class(FB_E_IO) == FB_CLASS_STORAGE &&
                fb_code_http(FB_E_IO) > 0 && fb_code_name(FB_E_IO) != NULL &&
                fb_code_text(FB_E_IO, "zh") != NULL && fb_code_from_name("E_IO", 4) == FB_E_IO &&
                fb_distance_m(0, 0, 10000000, 0) > 0;
    return good ? FB_OK : FB_E_BUG;
}

/* --- record.h, query.h -------------------------------------------------------------------------
 */

static fb_code record_get(stage *s, fb_error *err)
{
    return fb_record_get(s->db, "customer", &s->customer, FB_FORM_TEXT, row_take, NULL, err);
}

static fb_code record_each(stage *s, fb_error *err)
{
    return fb_record_each(s->db, "activity", FB_FORM_TEXT, row_take, NULL, err);
}

static fb_code record_insert(stage *s, fb_error *err)
{
    static const char *const COLUMNS[] = {"customer_id", "tag"};
    fb_value values[2] = {{.kind = FB_KIND_ID, .u.id = s->customer},
                          {.kind = FB_KIND_TEXT, .u.text = {"new", 3}}};
    return fb_record_insert(s->db, "customer_tag", &(fb_record_change){COLUMNS, values, 2}, NULL,
                            err);
}

static fb_code record_update(stage *s, fb_error *err)
{
    static const char *const COLUMNS[] = {"title"};
    fb_value values[1] = {{.kind = FB_KIND_TEXT, .u.text = {"other", 5}}};
    return fb_record_update(s->db, "task", &s->task, &(fb_record_change){COLUMNS, values, 1}, err);
}

static fb_code record_delete(stage *s, fb_error *err)
{
    return fb_record_delete(s->db, "customer_tag", &s->tag, err);
}

static fb_code record_add(stage *s, fb_error *err)
{
    return fb_record_add(s->db, "shelf_count", &s->note, "qty", 3, err);
}

static fb_code record_get_json(stage *s, fb_error *err)
{
    char *json = NULL;
    return json_end(fb_record_get_json(s->db, "customer", &s->customer, &json, err), &json);
}

static fb_code record_put_json(stage *s, fb_error *err)
{
    char text[120];
    snprintf(text, sizeof text, "{\"customer_id\":\"%s\",\"name\":\"Li\"}", id_text(&s->customer));
    return fb_record_put_json(s->db, "contact", text, NULL, err);
}

static fb_code entity_each(stage *s, fb_error *err)
{
    return fb_entity_each(s->db, entity_take, NULL, err);
}

static fb_code query(stage *s, fb_error *err)
{
    return fb_query(s->db, "SELECT code, name FROM customer WHERE code = ?1", "[\"C1\"]", row_take,
                    NULL, err);
}

static fb_code query_json(stage *s, fb_error *err)
{
    char *json = NULL;
    return json_end(fb_query_json(s->db, "SELECT * FROM customer", NULL, &json, err), &json);
}

static fb_code snapshot(stage *s, fb_error *err)
{
    fb_code rc = fb_snapshot_begin(s->db, err);
    if (rc == FB_OK) {
        rc = query(s, err);
        fb_snapshot_end(s->db);
    }
    return rc;
}

static fb_code status(stage *s, fb_error *err)
{
    fb_status st = FB_STATUS_INIT;
    return fb_status_get(s->db, &st, err);
}

static fb_code export(stage *s, fb_error *err)
{
    fb_export_report report;
    char path[40];
    snprintf(path, sizeof path, "dev1/export%u.db",
             ++s->exports); /* one that failed late has left its file */
    return fb_export_sqlite(s->db, path, &report, err);
}

static fb_code observe(stage *s, fb_error *err)
{
    uint32_t id = 0, times = 0, called = 0;
    fb_code rc = fb_observe_add(s->db, "activity", heard, &times, &id, err);
    if (rc == FB_OK) {
        rc = fb_observe_poll(s->db, &called, err);
        fb_observe_remove(s->db, id);
    }
    return rc;
}

/* --- customer.h, activity.h, task.h, payment.h
 * ----------------------------------------------------- */

static fb_code customer_find(stage *s, fb_error *err)
{
    return fb_customer_find(s->db, "c", NULL, row_take, NULL, err);
}

static fb_code customer_lookup(stage *s, fb_error *err)
{
    fb_id id;
    return fb_customer_lookup(s->db, "C1", &id, err);
}

static fb_code customer_360(stage *s, fb_error *err)
{
    char *json = NULL;
    return json_end(fb_customer_360(s->db, &s->customer, &json, err), &json);
}

static fb_code customer_create(stage *s, fb_error *err)
{
    return fb_customer_create(s->db, "{\"name\":\"New shop\"}", NULL, err);
}

static fb_code customer_update(stage *s, fb_error *err)
{
    fb_customer_change done;
    return fb_customer_update(s->db, &s->customer, "{\"remark\":\"r\",\"name\":\"Other name\"}",
                              &done, err);
}

static fb_code activity_log(stage *s, fb_error *err)
{
    return fb_activity_log(s->db, &s->customer, "subject", NULL, NULL, err);
}

static fb_code activity_correct(stage *s, fb_error *err)
{
    return fb_activity_correct(s->db, &s->activity, "{\"subject\":\"right\"}", NULL, err);
}

static fb_code activity_void(stage *s, fb_error *err)
{
    return fb_activity_void(s->db, &s->activity, "mistake", NULL, err);
}

static fb_code task_add(stage *s, fb_error *err)
{
    return fb_task_add(s->db, "title", NULL, NULL, err);
}

static fb_code task_done(stage *s, fb_error *err)
{
    return fb_task_done(s->db, &s->task, "well", 0, err);
}

static fb_code payment_add(stage *s, fb_error *err)
{
    fb_allocation part = {.order = s->sent_order, .amount_minor = 500};
    fb_payment_options o = FB_PAYMENT_OPTIONS_INIT;
    fb_payment_receipt receipt;
    o.allocations = &part;
    o.allocations_count = 1;
    return fb_payment_add(s->db, &s->customer, 1000, &o, &receipt, err);
}

/* --- visit.h
 * ------------------------------------------------------------------------------------------ */

static fb_code visit_in(stage *s, fb_error *err)
{
    fb_visit_in in;
    fb_code rc = fb_visit_check_in(s->db, &s->customer, NULL, &in, err);
    s->visit = rc == FB_OK ? in.visit : s->visit;
    return rc;
}

static fb_code visit_before(stage *s)
{
    return visit_in(s, NULL);
}

static fb_code visit_action(stage *s, fb_error *err)
{
    return fb_visit_action(s->db, &s->visit, "presentation", NULL, NULL, err);
}

static fb_code visit_out(stage *s, fb_error *err)
{
    return fb_visit_check_out(s->db, &s->visit, NULL, err);
}

static fb_code visit_cancel(stage *s, fb_error *err)
{
    return fb_visit_cancel(s->db, &s->visit, "closed", err);
}

static fb_code visit_get_open(stage *s, fb_error *err)
{
    fb_id id;
    return fb_visit_get_open(s->db, &id, err);
}

/* --- order.h
 * ------------------------------------------------------------------------------------------- */

static fb_code order_new(stage *s, fb_error *err)
{
    return fb_order_new(s->db, &s->customer, NULL, &s->order, err);
}

static fb_code order_open(stage *s, fb_error *err)
{
    return fb_order_open(s->db, &s->draft, &s->order, err);
}

static fb_code order_before(stage *s)
{
    return order_open(s, NULL);
}

static fb_code order_id(stage *s, fb_error *err)
{
    (void)err;
    return fb_order_id(s->order) != NULL ? FB_OK : FB_E_BUG;
}

static fb_code line_add(stage *s, fb_error *err)
{
    return fb_order_line_add(s->order, &s->product, NULL, 2000, NULL, NULL, err);
}

static fb_code line_set(stage *s, fb_error *err)
{
    return fb_order_line_set(s->order, 1, 7000, NULL, err);
}

static fb_code line_remove(stage *s, fb_error *err)
{
    return fb_order_line_remove(s->order, 1, err);
}

static fb_code order_totals(stage *s, fb_error *err)
{
    fb_order_totals_out out;
    return fb_order_totals(s->order, &out, err);
}

static fb_code order_json(stage *s, fb_error *err)
{
    char *json = NULL;
    return json_end(fb_order_json(s->order, &json, err), &json);
}

static fb_code order_submit(stage *s, fb_error *err)
{
    fb_order_receipt receipt;
    return fb_order_submit(s->order, &receipt, err);
}

static fb_code order_discard(stage *s, fb_error *err)
{
    return fb_order_discard(s->order, err);
}

static fb_code order_cancel(stage *s, fb_error *err)
{
    return fb_order_cancel(s->db, &s->sent_order, "changed mind", err);
}

static fb_code order_drafts(stage *s, fb_error *err)
{
    char *json = NULL;
    return json_end(fb_order_drafts(s->db, &json, err), &json);
}

/* --- problem.h, command.h
 * ------------------------------------------------------------------------------- */

static fb_code problem_each(stage *s, fb_error *err)
{
    return fb_problem_each(s->db, problem_look, NULL, err);
}

static fb_code problem_get(stage *s, fb_error *err)
{
    return fb_problem_get(s->db, s->problem, problem_look, NULL, err);
}

static fb_code problem_resubmit(stage *s, fb_error *err)
{
    return fb_problem_resubmit(s->db, s->problem, NULL, 0, NULL, err);
}

static fb_code problem_resubmit_json(stage *s, fb_error *err)
{
    return fb_problem_resubmit_json(
        s->db, s->problem,
        "[{\"entity\":\"sales_order_line\",\"line\":1,\"column\":\"qty_milli\",\"value\":\"2\"}]",
        NULL, err);
}

static fb_code problem_discard(stage *s, fb_error *err)
{
    return fb_problem_discard(s->db, s->problem, err);
}

static fb_code command_run(stage *s, fb_error *err)
{
    char *json = NULL;
    return json_end(fb_command_run(s->db, "visit.check_in", "{\"customer\":\"C1\"}", &json, err),
                    &json);
}

static fb_code command_group(stage *s, fb_error *err)
{
    static const char GROUP[] =
        "{\"kind\":\"visit.done\",\"ops\":[{\"op\":\"visit.check_in\",\"customer\":\"C1\"},"
        "{\"op\":\"order.submit\",\"customer\":\"C1\",\"lines\":[{\"product\":\"P1\",\"qty\":"
        "\"12\"}]},"
        "{\"op\":\"visit.check_out\"}]}";
    char *json = NULL;
    return json_end(fb_command_group(s->db, GROUP, &json, err), &json);
}

static fb_code command_each(stage *s, fb_error *err)
{
    (void)s;
    (void)err;
    return fb_command_each(command_take, NULL);
}

/* --- sync.h
 * ------------------------------------------------------------------------------------------------
 */

static fb_code enrol(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    o.server_url = "https://test";
    o.code = s->code;
    return fb_enrol(s->db, &link, &o, err);
}

static fb_code sync_open(stage *s, fb_error *err)
{
    return fb_sync_open(s->db, NULL, &s->sync, err);
}

static fb_code sync_before(stage *s)
{
    return sync_open(s, NULL);
}

/* Everything: choose, encode, unpack, verdicts, page, promotion. */
static fb_code sync_step(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    fb_sync_report report = {0};
    fb_code rc = fb_sync_step(s->sync, &link, 0, &report, err);
    fb_sync_get_report(s->sync, &report);
    return rc;
}

/* The same by hand. */
static fb_code sync_loop(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    for (int i = 0; i < 20; i++) {
        fb_sync_action action;
        fb_link_request q;
        fb_link_response r;
        uint32_t wait_ms;
        fb_code rc = fb_sync_next(s->sync, &action, &q, &wait_ms, err);
        if (rc != FB_OK || action == FB_SYNC_DONE) {
            return rc;
        }
        if (action == FB_SYNC_WAIT) {
            s->waited_ms += wait_ms;
            continue;
        }
        rc = link.exchange(link.ctx, &q, &r);
        rc = rc == FB_OK ? fb_sync_reply(s->sync, &r, err) : fb_sync_failed(s->sync, rc, err);
        if (rc != FB_OK) {
            return rc;
        }
    }
    return FB_E_BUG;
}

static fb_code sync_failed(stage *s, fb_error *err)
{
    fb_sync_action action;
    fb_link_request q;
    uint32_t wait_ms;
    fb_code rc = fb_sync_next(s->sync, &action, &q, &wait_ms, err);
    return rc == FB_OK && action == FB_SYNC_SEND ? fb_sync_failed(s->sync, FB_E_OFFLINE, err) : rc;
}

static fb_code parked(stage *s, fb_error *err)
{
    return fb_parked_each(s->db, FB_FORM_TEXT, parked_look, NULL, err);
}

static fb_code warnings(stage *s, fb_error *err)
{
    return fb_warning_each(s->db, warning_look, NULL, err);
}

/* clang-format off */
const scene SCENES[] = {
    {"fb_db_open", NULL, open_it, BARE}, {"fb_db_check", NULL, check_it, 0},
    {"fb_db_identity", NULL, identity, 0}, {"fb_db_now_ms", NULL, now, 0},
    {"fb_group_commit", NULL, group_commit, 0}, {"fb_group_abort", NULL, group_abort, 0},
    {"fb_id_put and other pure ones", NULL, pure, 0},
    {"fb_record_get", NULL, record_get, 0}, {"fb_record_each", NULL, record_each, 0},
    {"fb_record_insert", NULL, record_insert, 0}, {"fb_record_update", NULL, record_update, 0},
    {"fb_record_delete", NULL, record_delete, 0}, {"fb_record_add", NULL, record_add, 0},
    {"fb_record_get_json", NULL, record_get_json, 0},
    {"fb_record_put_json", NULL, record_put_json, 0},
    {"fb_entity_each", NULL, entity_each, 0},
    {"fb_query", NULL, query, 0}, {"fb_query_json", NULL, query_json, 0},
    {"fb_snapshot_begin", NULL, snapshot, 0}, {"fb_status_get", NULL, status, 0},
    {"fb_export_sqlite", NULL, export, 0}, {"fb_observe_poll", NULL, observe, 0},
    {"fb_customer_find", NULL, customer_find, 0},
    {"fb_customer_lookup", NULL, customer_lookup, 0},
    {"fb_customer_360", NULL, customer_360, 0},
    {"fb_customer_create", NULL, customer_create, 0},
    {"fb_customer_update", NULL, customer_update, 0},
    {"fb_activity_log", NULL, activity_log, 0},
    {"fb_activity_correct", NULL, activity_correct, 0},
    {"fb_activity_void", NULL, activity_void, 0},
    {"fb_task_add", NULL, task_add, 0}, {"fb_task_done", NULL, task_done, 0},
    {"fb_payment_add", NULL, payment_add, 0},
    {"fb_visit_check_in", NULL, visit_in, 0}, {"fb_visit_action", visit_before, visit_action, 0},
    {"fb_visit_check_out", visit_before, visit_out, 0},
    {"fb_visit_cancel", visit_before, visit_cancel, 0},
    {"fb_visit_get_open", visit_before, visit_get_open, 0},
    {"fb_order_new", NULL, order_new, 0}, {"fb_order_open", NULL, order_open, 0},
    {"fb_order_id", order_before, order_id, 0}, {"fb_order_line_add", order_before, line_add, 0},
    {"fb_order_line_set", order_before, line_set, 0},
    {"fb_order_line_remove", order_before, line_remove, 0},
    {"fb_order_totals", order_before, order_totals, 0},
    {"fb_order_json", order_before, order_json, 0},
    {"fb_order_submit", order_before, order_submit, 0},
    {"fb_order_discard", order_before, order_discard, 0},
    {"fb_order_cancel", NULL, order_cancel, 0}, {"fb_order_drafts", NULL, order_drafts, 0},
    {"fb_parked_each", NULL, parked, 0}, {"fb_warning_each", NULL, warnings, 0},
    {"fb_problem_each", NULL, problem_each, 0}, {"fb_problem_get", NULL, problem_get, 0},
    {"fb_problem_resubmit", NULL, problem_resubmit, 0},
    {"fb_problem_resubmit_json", NULL, problem_resubmit_json, 0},
    {"fb_problem_discard", NULL, problem_discard, 0},
    {"fb_command_run", NULL, command_run, 0}, {"fb_command_group", NULL, command_group, 0},
    {"fb_command_each", NULL, command_each, 0},
    {"fb_enrol", NULL, enrol, UNENROLLED | STEPS}, {"fb_sync_open", NULL, sync_open, 0},
    {"fb_sync_step", sync_before, sync_step, STEPS},
    {"fb_sync_reply", sync_before, sync_loop, STEPS},
    {"fb_sync_failed", sync_before, sync_failed, STEPS | HINT},
};
/* clang-format on */
const int SCENES_COUNT = sizeof SCENES / sizeof *SCENES;
