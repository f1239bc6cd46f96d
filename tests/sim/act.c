/* act.c - what people do, and what goes wrong: one step each, chosen by the seed. See sim.h. */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

static sim_device *device_pick(sim *s)
{
    return &s->devices[sim_random(s, (uint64_t)s->devices_count)];
}

static void marker_make(sim *s, sim_action *a)
{
    snprintf(a->marker, sizeof a->marker, "mark-%llu-%06llu", (unsigned long long)s->seed,
             (unsigned long long)++s->markers);
}

static fb_code act_activity(sim_device *d, const fb_id *customer, sim_action *a)
{
    a->entity = "activity";
    a->column = "subject";
    return fb_activity_log(d->db, customer, a->marker, NULL, NULL, NULL);
}

static fb_code act_task(sim_device *d, const fb_id *customer, sim_action *a)
{
    (void)customer;
    a->entity = "task";
    a->column = "title";
    return fb_task_add(d->db, a->marker, NULL, NULL, NULL);
}

static fb_code act_contact(sim_device *d, const fb_id *customer, sim_action *a)
{
    char json[200];
    a->entity = "contact";
    a->column = "name";
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"%s\"}", id_text(customer),
             a->marker);
    return fb_record_put_json(d->db, "contact", json, NULL, NULL);
}

static fb_code act_tag(sim_device *d, const fb_id *customer, sim_action *a)
{
    char json[200];
    a->entity = "customer_tag";
    a->column = "tag";
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"tag\":\"%s\"}", id_text(customer),
             a->marker);
    return fb_record_put_json(d->db, "customer_tag", json, NULL, NULL);
}

/* Free columns of a shared row, few values: conflicts are likely. */
static fb_code act_customer_edit(sim_device *d, const fb_id *customer, sim_action *a)
{
    static const char *const COLUMNS[] = {"phone", "email", "remark", "opening_hours"};
    char json[200];
    sim *s = d->world;
    const char *column = COLUMNS[sim_random(s, 4)];
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
        const fb_id *product = &d->world->products[sim_random(d->world, SIM_PRODUCTS)];
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
static fb_code act_visit(sim_device *d, const fb_id *customer, sim_action *a)
{
    a->entity = "visit";
    a->column = "note";
    fb_visit_in_options in = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_in visit;
    in.note = a->marker;
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
static fb_code act_new_customer(sim_device *d, const fb_id *customer, sim_action *a)
{
    (void)customer;
    char json[200];
    fb_id id;
    a->entity = "customer";
    a->column = "name";
    snprintf(json, sizeof json, "{\"name\":\"%s\"}", a->marker);
    fb_code rc = fb_customer_create(d->db, json, &id, NULL);
    return rc == FB_OK ? fb_activity_log(d->db, &id, "first talk", NULL, NULL, NULL) : rc;
}

static fb_code (*const ACTS[])(sim_device *d, const fb_id *customer, sim_action *a) = {
    act_activity,      act_task,  act_contact, act_tag,          act_customer_edit,
    act_customer_edit, act_visit, act_visit,   act_new_customer,
};

static void action_keep(sim *s, const sim_action *a)
{
    if (s->actions_count < SIM_ACTIONS_MAX) {
        s->actions[s->actions_count++] = *a;
    }
}

/* A customer this device sees; none when it sees none. */
static bool customer_pick(sim_device *d, fb_id *out)
{
    char *json = NULL;
    for (int tries = 0; tries < 4; tries++) {
        *out = d->world->customers[sim_random(d->world, SIM_CUSTOMERS)];
        if (fb_record_get_json(d->db, "customer", out, &json, NULL) == FB_OK) {
            fb_string_free(json);
            return true;
        }
    }
    return false;
}

void act_step(sim *s)
{
    sim_device *d = device_pick(s);
    fb_id customer;
    if (!device_alive(d) || d->manager || !sim_chance(s, 60) || !customer_pick(d, &customer)) {
        return;
    }
    sim_action a = {.device = d->number};
    marker_make(s, &a);
    size_t which = (size_t)sim_random(s, sizeof ACTS / sizeof *ACTS);
    fb_error err = {0};
    fb_code rc = fb_group_begin(d->db, "sim.act", 0, &err);
    if (rc == FB_OK) {
        rc = ACTS[which](d, &customer, &a);
        if (rc == FB_OK) {
            rc = fb_group_commit(d->db, &a.gseq, &err);
            a.doubt = rc != FB_OK;
        } else {
            fb_group_abort(d->db);
        }
    }
    sim_trace(s, "%s acts %zu %s -> %s gseq=%lld", d->machine, which, a.marker, fb_code_name(rc),
              (long long)a.gseq);
    if ((rc == FB_OK && a.gseq > 0) || a.doubt) {
        action_keep(s, &a);
    }
}

static void server_edit(sim *s)
{
    store *db = world_store_open(s);
    if (db == NULL) {
        return;
    }
    company c;
    company_init(&c, db, &s->server_port, s->random);
    const fb_id *customer = &s->customers[sim_random(s, SIM_CUSTOMERS)];
    if (sim_fault_draw(s, FAULT_TERRITORY_MOVE, 50)) {
        const fb_id *territory = &s->territories[sim_random(s, SIM_TERRITORIES)];
        company_set(&c, "customer", customer, PAIRS("territory_id", id_text(territory)));
        sim_trace(s, "server moves a customer");
    } else if (sim_fault_draw(s, FAULT_SERVER_EDIT, 60)) {
        char remark[40];
        snprintf(remark, sizeof remark, "office %d", (int)sim_random(s, 6));
        company_set(&c, "customer", customer, PAIRS("remark", remark));
        sim_trace(s, "server edits a customer");
    }
    store_close(db);
}

static void device_fault(sim *s, sim_device *d)
{
    if (sim_fault_draw(s, FAULT_PARTITION, 3)) {
        d->partitioned = !d->partitioned;
        sim_trace(s, "%s partitioned=%d", d->machine, d->partitioned);
    }
    if (sim_fault_draw(s, FAULT_CRASH_DEVICE, 2)) {
        crash_vfs_crash_after(s->vfs, d->machine, 1 + sim_random(s, 60));
    }
    if (sim_fault_draw(s, FAULT_DISK_FULL_DEVICE, 1)) {
        crash_vfs_quota(s->vfs, d->machine,
                        crash_vfs_used(s->vfs, d->machine) + 1 + sim_random(s, 60000));
    } else if (sim_chance(s, 5)) {
        crash_vfs_quota(s->vfs, d->machine, 0);
    }
    if (sim_fault_draw(s, FAULT_CLOCK_JUMP, 1)) {
        d->clock_skew_ms =
            (int64_t)sim_random(s, 4) * 400LL * 24 * 3600 * 1000 - 600LL * 24 * 3600 * 1000;
        sim_trace(s, "%s clock off by %lld ms", d->machine, (long long)d->clock_skew_ms);
    }
    if (sim_fault_draw(s, FAULT_SYNC_ERROR, 1)) {
        crash_vfs_fail_sync(s->vfs, d->machine, 1 + sim_random(s, 10));
    }
}

void fault_step(sim *s)
{
    device_fault(s, device_pick(s));
    if (sim_fault_draw(s, FAULT_CRASH_SERVER, 1)) {
        crash_vfs_crash_after(s->vfs, "server", 1 + sim_random(s, 80));
    }
    if (sim_fault_draw(s, FAULT_DISK_FULL_SERVER, 1)) {
        crash_vfs_quota(s->vfs, "server",
                        crash_vfs_used(s->vfs, "server") + 1 + sim_random(s, 100000));
    } else if (sim_chance(s, 5)) {
        crash_vfs_quota(s->vfs, "server", 0);
    }
    /* The office works on a sound machine only: its own faults are the server's. */
    bool office =
        (s->faults[FAULT_SERVER_EDIT] || s->faults[FAULT_TERRITORY_MOVE]) && sim_chance(s, 6);
    if (office && server_alive(s) && !s->faults[FAULT_CRASH_SERVER] &&
        !s->faults[FAULT_DISK_FULL_SERVER]) {
        server_edit(s);
    }
}
