/* people.c - what people do on their devices. See sim.h. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mark_text(const sim *s, uint32_t mark, char out[40])
{
    snprintf(out, 40, "mark-%llu-%06u", (unsigned long long)s->seed, (unsigned)mark);
}

static fb_code act_activity(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    a->entity = "activity";
    a->column = "subject";
    return fb_activity_log(d->db, customer, mark, NULL, NULL, NULL);
}

static fb_code act_task(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    (void)customer;
    a->entity = "task";
    a->column = "title";
    return fb_task_add(d->db, mark, NULL, NULL, NULL);
}

static fb_code act_contact(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    char json[200];
    a->entity = "contact";
    a->column = "name";
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"%s\"}", id_text(customer),
             mark);
    return fb_record_put_json(d->db, "contact", json, NULL, NULL);
}

static fb_code act_tag(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    char json[200];
    a->entity = "customer_tag";
    a->column = "tag";
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"tag\":\"%s\"}", id_text(customer), mark);
    return fb_record_put_json(d->db, "customer_tag", json, NULL, NULL);
}

/* Free columns of a shared row, few values: conflicts are likely. */
static fb_code act_customer_edit(sim_device *d, const fb_id *customer, sim_action *a,
                                 const char *mark)
{
    static const char *const COLUMNS[] = {"phone", "email", "remark", "opening_hours",
                                          "sim_grade1"}; /* the last: where IT has added it */
    char json[200];
    sim *s = d->world;
    const char *column = COLUMNS[sim_random(s, s->growths > 0 ? 5 : 4)];
    (void)mark;
    a->entity = "customer";
    a->column = NULL;
    if (strcmp(column, "phone") == 0) {
        snprintf(json, sizeof json, "{\"phone\":\"+861380000%04d\"}", (int)sim_random(s, 6));
    } else if (strcmp(column, "email") == 0) {
        snprintf(json, sizeof json, "{\"email\":\"a%d@example.com\"}", (int)sim_random(s, 6));
    } else {
        snprintf(json, sizeof json, "{\"%s\":\"%s %d\"}", column, column, (int)sim_random(s, 6));
    }
    fb_customer_change done;
    return fb_customer_update(d->db, customer, json, &done, NULL);
}

static fb_code order_lines(sim_device *d, fb_order *order, int lines)
{
    for (int i = 0; i < lines; i++) {
        const fb_id *product = &d->world->company->products[sim_random(d->world, SIM_PRODUCTS)];
        int64_t qty_milli = 1000 * (1 + (int64_t)sim_random(d->world, 20));
        fb_order_line_options o = FB_ORDER_LINE_OPTIONS_INIT;
        o.discount_bp = (int32_t)sim_random(d->world, 4) * 500;
        fb_code rc = fb_order_line_add(order, product, NULL, qty_milli, &o, NULL, NULL);
        if (rc != FB_OK) {
            return rc;
        }
    }
    return fb_order_submit(order, NULL, NULL);
}

/* A visit with an order inside: many rows that stand or fall together. */
static fb_code act_visit(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    a->entity = "visit";
    a->column = "note";
    fb_visit_in_options in = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_in visit;
    in.note = mark;
    fb_code rc = fb_visit_check_in(d->db, customer, &in, &visit, NULL);
    if (rc != FB_OK) {
        return rc;
    }
    char note[32];
    int lines = 1 + (int)sim_random(d->world, 5);
    snprintf(note, sizeof note, "lines %d", lines);
    fb_order_options o = FB_ORDER_OPTIONS_INIT;
    o.note = note;
    fb_order *order = NULL;
    rc = fb_order_new(d->db, customer, &o, &order, NULL);
    if (rc == FB_OK) {
        rc = order_lines(d, order, lines);
    }
    fb_order_close(order);
    return rc == FB_OK ? fb_visit_check_out(d->db, &visit.visit, NULL, NULL) : rc;
}

/* A new shop and the first talk with it: the second row depends on the first. */
static fb_code act_new_customer(sim_device *d, const fb_id *customer, sim_action *a,
                                const char *mark)
{
    (void)customer;
    char json[200];
    fb_id id;
    a->entity = "customer";
    a->column = "name";
    snprintf(json, sizeof json, "{\"name\":\"%s\"}", mark);
    fb_code rc = fb_customer_create(d->db, json, &id, NULL);
    return rc == FB_OK ? fb_activity_log(d->db, &id, "first talk", NULL, NULL, NULL) : rc;
}

/* A contact that this device shows; none when there is none. */
static fb_code contact_seen(void *ctx, const fb_row *row)
{
    return id_get(row->values[0].u.text, ctx) ? FB_OK : FB_E_CORRUPT;
}

static bool contact_pick(sim_device *d, fb_id *out)
{
    char sql[120];
    *out = (fb_id){{0}};
    snprintf(sql, sizeof sql, "SELECT id FROM contact ORDER BY id LIMIT 1 OFFSET %d",
             (int)sim_random(d->world, 6));
    return fb_query(d->db, sql, NULL, contact_seen, out, NULL) == FB_OK && !id_is_none(out);
}

/* A row that somebody else may delete or change meanwhile. */
static fb_code act_contact_edit(sim_device *d, const fb_id *customer, sim_action *a,
                                const char *mark)
{
    char json[200];
    fb_id contact;
    if (!contact_pick(d, &contact)) {
        return act_contact(d, customer, a, mark);
    }
    a->entity = "contact";
    a->column = NULL;
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"%s\":\"%s %d\"}", id_text(&contact),
             sim_chance(d->world, 50) ? "title" : "department", "room",
             (int)sim_random(d->world, 6));
    return fb_record_put_json(d->db, "contact", json, NULL, NULL);
}

static const act ACTS[] = {
    act_visit,         act_visit,        act_visit,        act_visit, act_activity,
    act_task,          act_contact,      act_tag,          act_tag,   act_customer_edit,
    act_customer_edit, act_new_customer, act_contact_edit,
};

static void action_keep(sim *s, const sim_action *a)
{
    if (s->actions_count == s->actions_room) {
        s->actions_room = s->actions_room * 2 + 256;
        s->actions = realloc(s->actions, (size_t)s->actions_room * sizeof *s->actions);
        if (s->actions == NULL) {
            abort();
        }
    }
    s->actions[s->actions_count++] = *a;
}

bool customer_pick(sim_device *d, fb_id *out)
{
    char *json = NULL;
    for (int tries = 0; tries < 4; tries++) {
        *out = d->world->company->customers[sim_random(d->world, SIM_CUSTOMERS)];
        if (fb_record_get_json(d->db, "customer", out, &json, NULL) == FB_OK) {
            fb_string_free(json);
            return true;
        }
    }
    return false;
}

/* One group. What a failed commit leaves is in doubt until somebody looks. */
bool act_do(sim_device *d, act what, const fb_id *customer)
{
    sim *s = d->world;
    sim_action a = {.device = d->number, .mark = ++s->marks, .number_shared = d->number_shared};
    char mark[40];
    fb_error err = {0};
    mark_text(s, a.mark, mark);
    record_save(d);
    heap_fail_after(s->healing ? 0 : d->heap_in);
    d->heap_in = 0;
    fb_code rc = fb_group_begin(d->db, "sim.act", 0, &err);
    if (rc == FB_OK) {
        rc = what(d, customer, &a, mark);
        if (rc == FB_OK) {
            rc = fb_group_commit(d->db, &a.gseq, &err);
            a.doubt = rc != FB_OK;
        } else {
            fb_group_abort(d->db);
        }
    }
    s->fired[KIND_NO_MEMORY_DEVICE] += heap_failed();
    heap_fail_after(0);
    record_saved(d, rc);
    sim_trace(s, "%s saves %s %s -> %s gseq=%lld", d->machine, a.entity != NULL ? a.entity : "-",
              mark, fb_code_name(rc), (long long)a.gseq);
    if ((rc == FB_OK && a.gseq > 0) || a.doubt) {
        action_keep(s, &a);
    }
    if (rc == FB_E_CORRUPT) {
        device_restart(d);
    }
    return rc == FB_OK && a.gseq > 0;
}

bool people_act(sim *s, sim_device *d)
{
    fb_id customer;
    if (!device_alive(d) || !customer_pick(d, &customer)) {
        return false;
    }
    return act_do(d, ACTS[sim_random(s, sizeof ACTS / sizeof *ACTS)], &customer);
}

bool people_sync(sim *s, sim_device *d)
{
    if (!device_alive(d) || d->session) {
        return false;
    }
    d->session = true;
    d->wake_ms = s->now_ms;
    return true;
}

static fb_code act_remark(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    char json[80];
    fb_customer_change done;
    (void)mark;
    a->entity = "customer";
    snprintf(json, sizeof json, "{\"remark\":\"race %d\"}", (int)sim_random(d->world, 100));
    return fb_customer_update(d->db, customer, json, &done, NULL);
}

/* Three devices change the same column of the same row before any of them hears of the others. */
bool people_race(sim *s, sim_device *d)
{
    const fb_id *customer = &s->company->customers[sim_random(s, SIM_CUSTOMERS)];
    int racers = 0;
    for (int i = 0; i < s->plan->devices_count && racers < 3; i++) {
        sim_device *r = &s->devices[(d->number + i) % s->plan->devices_count];
        racers += device_alive(r) && act_do(r, act_remark, customer);
    }
    return racers > 1;
}

/* The same shop, entered by two people who have not met: one of the two becomes an alias. */
static fb_code act_same_shop(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    (void)customer;
    char json[200];
    fb_id id;
    int shop = (int)sim_random(d->world, 3);
    a->entity = "activity";
    a->column = "subject";
    snprintf(json, sizeof json, "{\"name\":\"Twin shop %d\",\"phone\":\"+86139000000%02d\"}", shop,
             shop);
    fb_code rc = fb_customer_create(d->db, json, &id, NULL);
    return rc == FB_OK ? fb_activity_log(d->db, &id, mark, NULL, NULL, NULL) : rc;
}

bool people_same_shop(sim *s, sim_device *d)
{
    return device_alive(d) && act_do(d, act_same_shop, &s->company->customers[0]);
}

/* A lot of work while nobody hears of it. */
bool people_backlog(sim *s, sim_device *d)
{
    fb_id customer;
    int saved = 0;
    for (int i = 0; i < 150 && device_alive(d) && customer_pick(d, &customer); i++) {
        saved += act_do(d, i % 10 == 0 ? act_visit : act_activity, &customer);
    }
    (void)s;
    return saved > 100;
}

/* A second program opens the same replica, saves, and ends; the first goes on. */
bool people_second_process(sim *s, sim_device *d)
{
    fb_id customer;
    fb_db *first = d->db;
    fb_db_options o = FB_DB_OPTIONS_INIT;
    if (!device_alive(d) || !customer_pick(d, &customer)) {
        return false;
    }
    o.port = &d->port;
    o.vfs = "simfs";
    o.files = &s->files;
    if (fb_db_open(d->path, &o, &d->db, NULL) != FB_OK) {
        d->db = first;
        return false;
    }
    bool saved = act_do(d, ACTS[sim_random(s, sizeof ACTS / sizeof *ACTS)], &customer);
    fb_db_close(d->db);
    d->db = first;
    return saved;
}
