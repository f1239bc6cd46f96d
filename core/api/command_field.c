/* command_field.c - customers, visits, payments, activities and tasks by name. See
 * command_inside.h. */
#include "api/command_inside.h"

/* --- customers -------------------------------------------------------------------------------- */

static void put_value(json_writer *w, const fb_value *v)
{
    switch (v->kind) {
    case FB_KIND_NULL:
        json_put_null(w);
        break;
    case FB_KIND_INT:
        json_put_int(w, v->u.i);
        break;
    case FB_KIND_TEXT:
        json_put_string(w, v->u.text);
        break;
    case FB_KIND_ID:
        json_put_id(w, &v->u.id);
        break;
    }
}

static fb_code put_row(void *ctx, const fb_row *row)
{
    json_writer *w = ctx;

    json_put_object(w);
    for (uint32_t i = 0; i < row->columns_count; i++) {
        json_put_key(w, row->names[i]);
        put_value(w, &row->values[i]);
    }
    json_put_end(w);
    return w->out->code;
}

fb_code cmd_customer_find(command_call *c)
{
    fb_find_options o = FB_FIND_OPTIONS_INIT;
    bool lat = false;
    bool lon = false;
    int64_t radius = 0;
    int64_t limit = 0;

    FB_TRY(arg_e7(c, "lat", &lat, &o.lat_e7));
    FB_TRY(arg_e7(c, "lon", &lon, &o.lon_e7));
    FB_TRY(arg_int(c, "radius", 0, 200000, &radius));
    FB_TRY(arg_int(c, "limit", 0, 1000, &limit));
    if (lat != lon) {
        return arg_wrong(c, lat ? "lon" : "lat", FB_E_REQUIRED,
                         "latitude and longitude go together: give both");
    }
    o.near = lat;
    o.radius_m = (int32_t)radius;
    o.limit = (uint32_t)limit;
    json_put_array(c->w);
    FB_TRY(fb_customer_find(c->db, arg_text(c, "text"), &o, put_row, c->w, c->err));
    json_put_end(c->w);
    return FB_OK;
}

fb_code cmd_customer_show(command_call *c)
{
    fb_id id;
    char *json = NULL;

    FB_TRY(arg_ref(c, "customer", "customer", &id));
    return out_json(c, fb_record_get_json(c->db, "customer", &id, &json, c->err), &json);
}

fb_code cmd_customer_360(command_call *c)
{
    fb_id id;
    char *json = NULL;

    FB_TRY(arg_ref(c, "customer", "customer", &id));
    return out_json(c, fb_customer_360(c->db, &id, &json, c->err), &json);
}

fb_code cmd_customer_add(command_call *c)
{
    fb_id id;

    FB_TRY(fb_customer_create(c->db, arg_text(c, "data"), &id, c->err));
    out_id_object(c, &id);
    return FB_OK;
}

fb_code cmd_customer_set(command_call *c)
{
    fb_id id;
    fb_customer_change done;

    FB_TRY(arg_ref(c, "customer", "customer", &id));
    FB_TRY(fb_customer_update(c->db, &id, arg_text(c, "data"), &done, c->err));
    json_put_object(c->w);
    out_id(c, "id", &id);
    out_int(c, "columns_written", done.columns_written);
    out_int(c, "columns_requested", done.columns_requested);
    out_id(c, "change_request", &done.change_request);
    json_put_end(c->w);
    return FB_OK;
}

/* --- visits ----------------------------------------------------------------------------------- */

static fb_code arg_position(command_call *c, bool *fix, int32_t *lat_e7, int32_t *lon_e7)
{
    bool lat = false;
    bool lon = false;

    FB_TRY(arg_e7(c, "lat", &lat, lat_e7));
    FB_TRY(arg_e7(c, "lon", &lon, lon_e7));
    *fix = lat && lon;
    return lat == lon ? FB_OK
                      : arg_wrong(c, lat ? "lon" : "lat", FB_E_REQUIRED,
                                  "latitude and longitude go together: give both");
}

fb_code cmd_visit_check_in(command_call *c)
{
    fb_visit_in_options o = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_in in;
    fb_id customer;
    int64_t accuracy = 0;

    FB_TRY(arg_ref(c, "customer", "customer", &customer));
    FB_TRY(arg_position(c, &o.fix, &o.lat_e7, &o.lon_e7));
    FB_TRY(arg_int(c, "accuracy", 0, 1000000, &accuracy));
    FB_TRY(arg_bool(c, "mock", &o.mock));
    FB_TRY(arg_instant(c, "at", &o.at_ms));
    FB_TRY(arg_ref(c, "plan", "visit_plan", &o.plan));
    o.accuracy_m = (int32_t)accuracy;
    o.kind = arg_text(c, "kind");
    o.reason = arg_text(c, "reason");
    o.note = arg_text(c, "note");
    FB_TRY(fb_visit_check_in(c->db, &customer, &o, &in, c->err));
    json_put_object(c->w);
    out_id(c, "id", &in.visit);
    if (in.distance_known) {
        out_int(c, "distance_m", in.distance_m);
    }
    out_text(c, "geo_result", in.geo_result);
    json_put_end(c->w);
    return FB_OK;
}

/* The visit named, else the one of the open group, else the open one. */
static fb_code arg_visit(command_call *c, fb_id *out)
{
    if (arg_text(c, "visit") != NULL) {
        return arg_ref(c, "visit", "visit", out);
    }
    if (c->db->group_open && !id_is_none(&c->db->group_visit)) {
        *out = c->db->group_visit;
        return FB_OK;
    }
    return fb_visit_get_open(c->db, out, c->err);
}

fb_code cmd_visit_action(command_call *c)
{
    fb_visit_action_options o = FB_VISIT_ACTION_OPTIONS_INIT;
    fb_id visit;
    fb_id made;
    const char *ref = arg_text(c, "ref");

    FB_TRY(arg_visit(c, &visit));
    FB_TRY(arg_instant(c, "at", &o.at_ms));
    if (ref != NULL && !id_get(text_of(ref), &o.ref)) {
        return arg_wrong(c, "ref", FB_E_FORMAT,
                         "an identity of 36 lower-case characters is expected: correct it");
    }
    o.status = arg_text(c, "status");
    o.note = arg_text(c, "note");
    FB_TRY(fb_visit_action(c->db, &visit, arg_text(c, "action"), &o, &made, c->err));
    out_id_object(c, &made);
    return FB_OK;
}

fb_code cmd_visit_check_out(command_call *c)
{
    fb_visit_out_options o = FB_VISIT_OUT_OPTIONS_INIT;
    fb_id visit;

    FB_TRY(arg_visit(c, &visit));
    FB_TRY(arg_position(c, &o.fix, &o.lat_e7, &o.lon_e7));
    FB_TRY(arg_instant(c, "at", &o.at_ms));
    o.no_sale_reason = arg_text(c, "no_sale_reason");
    o.next_visit_date = arg_text(c, "next_visit_date");
    o.note = arg_text(c, "note");
    FB_TRY(fb_visit_check_out(c->db, &visit, &o, c->err));
    out_id_object(c, &visit);
    return FB_OK;
}

fb_code cmd_visit_cancel(command_call *c)
{
    fb_id visit;

    FB_TRY(arg_visit(c, &visit));
    FB_TRY(fb_visit_cancel(c->db, &visit, arg_text(c, "reason"), c->err));
    out_id_object(c, &visit);
    return FB_OK;
}

static fb_code show_open(command_call *c)
{
    fb_id visit;
    char *json = NULL;
    fb_code rc = fb_visit_get_open(c->db, &visit, c->err);

    if (rc == FB_E_NOT_FOUND) {
        api_clear(c->err);
        json_put_null(c->w);
        return FB_OK;
    }
    FB_TRY(rc);
    return out_json(c, fb_record_get_json(c->db, "visit", &visit, &json, c->err), &json);
}

fb_code cmd_visit_open(command_call *c)
{
    return view_run(c, show_open);
}

/* --- payments --------------------------------------------------------------------------------- */

enum { ALLOCATIONS_READ_MAX = 100 };

static fb_code read_allocation(command_call *c, fb_text json, fb_allocation *out)
{
    command_call one = *c;

    *out = (fb_allocation){.amount_minor = 0};
    FB_TRY(args_read(&one, json));
    FB_TRY(arg_ref(&one, "order", "sales_order", &out->order));
    out->invoice_no = arg_text(&one, "invoice");
    return arg_decimal(&one, "amount", 2, &out->amount_minor);
}

static fb_code arg_allocations(command_call *c, fb_allocation *out, uint32_t *count_out)
{
    json_reader r;
    uint32_t count = 0;
    const char *text = arg_text(c, "allocations");

    if (text == NULL) {
        return FB_OK;
    }
    json_reader_init(&r, text_of(text), c->memory);
    json_array_begin(&r);
    while (json_array_next(&r)) {
        fb_text item = json_raw(&r);
        if (r.code != FB_OK || count == ALLOCATIONS_READ_MAX) {
            break;
        }
        FB_TRY(read_allocation(c, item, &out[count]));
        count++;
    }
    if (json_finish(&r) != FB_OK) {
        return arg_wrong(c, "allocations", FB_E_JSON,
                         "a list of {\"order\", \"amount\"} is expected: correct it");
    }
    *count_out = count;
    return FB_OK;
}

fb_code cmd_payment_add(command_call *c)
{
    fb_payment_options o = FB_PAYMENT_OPTIONS_INIT;
    fb_allocation allocations[ALLOCATIONS_READ_MAX];
    fb_payment_receipt receipt;
    fb_id customer;
    int64_t amount = 0;

    FB_TRY(arg_ref(c, "customer", "customer", &customer));
    FB_TRY(arg_decimal(c, "amount", 2, &amount));
    FB_TRY(arg_instant(c, "at", &o.at_ms));
    FB_TRY(arg_ref(c, "visit", "visit", &o.visit));
    FB_TRY(arg_allocations(c, allocations, &o.allocations_count));
    o.allocations = allocations;
    o.method = arg_text(c, "method");
    o.currency = arg_text(c, "currency");
    o.ref_no = arg_text(c, "ref_no");
    o.note = arg_text(c, "note");
    FB_TRY(fb_payment_add(c->db, &customer, amount, &o, &receipt, c->err));
    json_put_object(c->w);
    out_id(c, "id", &receipt.id);
    out_text(c, "payment_no", receipt.payment_no);
    json_put_end(c->w);
    return FB_OK;
}

/* --- activities ------------------------------------------------------------------------------- */

fb_code cmd_activity_add(command_call *c)
{
    fb_activity_options o = FB_ACTIVITY_OPTIONS_INIT;
    fb_id customer;
    fb_id made;
    int64_t duration = 0;

    FB_TRY(arg_ref(c, "customer", "customer", &customer));
    FB_TRY(arg_ref(c, "contact", "contact", &o.contact));
    FB_TRY(arg_instant(c, "at", &o.at_ms));
    FB_TRY(arg_instant(c, "next_at", &o.next_at_ms));
    FB_TRY(arg_int(c, "duration", 0, INT32_MAX, &duration));
    o.duration_s = (int32_t)duration;
    o.type = arg_text(c, "type");
    o.direction = arg_text(c, "direction");
    o.content = arg_text(c, "content");
    o.result_code = arg_text(c, "result");
    o.next_action = arg_text(c, "next_action");
    FB_TRY(fb_activity_log(c->db, &customer, arg_text(c, "subject"), &o, &made, c->err));
    out_id_object(c, &made);
    return FB_OK;
}

fb_code cmd_activity_correct(command_call *c)
{
    fb_id id;
    fb_id made;

    FB_TRY(arg_ref(c, "activity", "activity", &id));
    FB_TRY(fb_activity_correct(c->db, &id, arg_text(c, "data"), &made, c->err));
    out_id_object(c, &made);
    return FB_OK;
}

fb_code cmd_activity_void(command_call *c)
{
    fb_id id;
    fb_id made;

    FB_TRY(arg_ref(c, "activity", "activity", &id));
    FB_TRY(fb_activity_void(c->db, &id, arg_text(c, "reason"), &made, c->err));
    out_id_object(c, &made);
    return FB_OK;
}

/* --- tasks ------------------------------------------------------------------------------------ */

fb_code cmd_task_add(command_call *c)
{
    fb_task_options o = FB_TASK_OPTIONS_INIT;
    fb_id made;

    FB_TRY(arg_ref(c, "customer", "customer", &o.customer));
    FB_TRY(arg_ref(c, "assignee", "app_user", &o.assignee));
    FB_TRY(arg_instant(c, "due", &o.due_at_ms));
    FB_TRY(arg_instant(c, "at", &o.at_ms));
    o.kind = arg_text(c, "kind");
    o.priority = arg_text(c, "priority");
    FB_TRY(fb_task_add(c->db, arg_text(c, "title"), &o, &made, c->err));
    out_id_object(c, &made);
    return FB_OK;
}

fb_code cmd_task_done(command_call *c)
{
    fb_id id;
    int64_t at_ms = 0;

    FB_TRY(arg_ref(c, "task", "task", &id));
    FB_TRY(arg_instant(c, "at", &at_ms));
    FB_TRY(fb_task_done(c->db, &id, arg_text(c, "result"), at_ms, c->err));
    out_id_object(c, &id);
    return FB_OK;
}
