/* office.c - what the administrator changes while devices work: who sees what, who may do what,
 * what there is. See sim.h. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/door/door.h"

static const char ENDED[] = "2001-01-01";

/* The administrator at work, with a look into the same file by plain SQL. */
typedef struct office {
    sim *s;
    store *db;
    sqlite3 *look;
    company c;
} office;

/* Both connections stay open while the server is up. */
static bool office_open(office *o, sim *s)
{
    if (!server_sound(s)) {
        return false;
    }
    if (s->admin == NULL) {
        s->admin = world_store_open("server/master.db");
    }
    if (s->look == NULL) {
        s->look = open_file(s, "server/master.db");
    }
    *o = (office){.s = s, .db = s->admin, .look = s->look};
    if (o->db == NULL || o->look == NULL || store_catalog_refresh(o->db, NULL) != FB_OK) {
        return false;
    }
    company_init(&o->c, o->db, &s->server_port, mix64(s->random, ++s->offices));
    return true;
}

/* First column of the first row: an id. */
static bool id_find(office *o, const char *sql, const fb_id *a, const fb_id *b, fb_id *out)
{
    sqlite3_stmt *q = NULL;
    bool found = false;
    if (sqlite3_prepare_v2(o->look, sql, -1, &q, NULL) != SQLITE_OK) {
        sim_violation(o->s, "the office's SQL is wrong: %s", sqlite3_errmsg(o->look));
        return false;
    }
    sqlite3_bind_blob(q, 1, a->b, sizeof a->b, SQLITE_TRANSIENT);
    if (b != NULL) {
        sqlite3_bind_blob(q, 2, b->b, sizeof b->b, SQLITE_TRANSIENT);
    }
    if (sqlite3_step(q) == SQLITE_ROW && sqlite3_column_bytes(q, 0) == (int)sizeof out->b) {
        memcpy(out->b, sqlite3_column_blob(q, 0), sizeof out->b);
        found = true;
    }
    sqlite3_finalize(q);
    return found;
}

/* A person joins or leaves a territory. */
static bool membership_change(office *o, const sim_device *d)
{
    sim *s = o->s;
    const fb_id *user = &d->user,
                *territory = &s->company->territories[sim_random(s, SIM_TERRITORIES)];
    fb_id row;
    if (d->manager) {
        return false;
    }
    if (id_find(o,
                "SELECT id FROM user_territory WHERE user_id = ?1 AND territory_id = ?2 AND "
                "valid_to IS NULL",
                user, territory, &row)) {
        company_set(&o->c, "user_territory", &row, PAIRS("valid_to", ENDED));
    } else if (id_find(o, "SELECT id FROM user_territory WHERE user_id = ?1 AND territory_id = ?2",
                       user, territory, &row)) {
        company_set(&o->c, "user_territory", &row, PAIRS("valid_to", ""));
    } else {
        company_add(&o->c, "user_territory",
                    PAIRS("user_id", id_text(user), "territory_id", id_text(territory)));
    }
    return true;
}

static void assignment_change(office *o)
{
    sim *s = o->s;
    const fb_id *customer = &s->company->customers[sim_random(s, SIM_CUSTOMERS)];
    const fb_id *territory = &s->company->territories[sim_random(s, SIM_TERRITORIES)];
    fb_id row;
    if (sim_chance(s, 60) &&
        id_find(o, "SELECT id FROM customer_assignment WHERE customer_id = ?1 AND to_at IS NULL",
                customer, NULL, &row)) {
        company_set(&o->c, "customer_assignment", &row, PAIRS("to_at", "2001-10-10T00:00:00Z"));
        return;
    }
    company_add(&o->c, "customer_assignment",
                PAIRS("customer_id", id_text(customer), "territory_id", id_text(territory),
                      "from_at", "2001-09-09T00:00:00Z"));
}

static void role_give(office *o, const fb_id *user)
{
    fb_id role = company_find(&o->c, "role", "REP");
    company_add(&o->c, "user_role", PAIRS("user_id", id_text(user), "role_id", id_text(&role)));
}

static bool role_change(office *o, const sim_device *d)
{
    fb_id row;
    if (d->manager) {
        return false;
    }
    bool had = id_find(o, "SELECT id FROM user_role WHERE user_id = ?1", &d->user, NULL, &row);
    sim_trace(o->s, "office %s a role", had ? "takes" : "gives");
    if (had) {
        company_delete(&o->c, "user_role", &row);
    } else {
        role_give(o, &d->user);
    }
    return had;
}

/* Module n: one more column of customer and one more entity. */
static void module_install(office *o, int n)
{
    char text[900];
    fb_error err = {0};
    snprintf(text, sizeof text,
             "{\"module\":\"sim%d\",\"entities\":[{\"name\":\"sim_thing%d\",\"label\":{\"en\":"
             "\"Thing\",\"zh\":\"物\"},"
             "\"class\":\"shared\",\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],"
             "\"columns\":["
             "{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\",\"required\":true,"
             "\"label\":{\"en\":\"Customer\",\"zh\":\"客户\"}},"
             "{\"name\":\"title\",\"type\":\"text\",\"label\":{\"en\":\"Title\",\"zh\":\"标题\"}}],"
             "\"grants\":{\"REP\":\"cru\",\"MGR\":\"crua\"}}],"
             "\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":\"sim_grade%d\",\"type\":"
             "\"text\",\"max\":20,"
             "\"label\":{\"en\":\"Grade\",\"zh\":\"等级\"}}]}]}",
             n, n, n);
    fb_code rc = door_catalog_grow(o->db, text_of(text), &o->s->server_port, &err);
    if (rc != FB_OK) {
        sim_violation(o->s, "the catalogue does not grow: %s %s %s", fb_code_name(rc), err.field,
                      err.message);
    }
}

void office_grow(sim *s)
{
    office o;
    if (!office_open(&o, s)) {
        return;
    }
    for (int n = 1; n <= s->growths && s->violations == 0; n++) {
        char column[24];
        snprintf(column, sizeof column, "sim_grade%d", n);
        if (cat_column_str(catalog_entity_str(store_catalog(o.db), "customer"), column) < 0) {
            module_install(&o, n);
        }
    }
}

/* Somebody fills in what IT added. */
static void module_use(office *o)
{
    sim *s = o->s;
    int n = sim_chance(s, 70) ? s->growths : 1 + (int)sim_random(s, (uint64_t)s->growths);
    char name[24], text[24];
    const fb_id *customer = &s->company->customers[sim_random(s, SIM_CUSTOMERS)];
    snprintf(text, sizeof text, "office %d", (int)sim_random(s, 6));
    snprintf(name, sizeof name, "sim_grade%d", n);
    company_set(&o->c, "customer", customer, PAIRS(name, text));
    snprintf(name, sizeof name, "sim_thing%d", n);
    company_add(&o->c, name, PAIRS("customer_id", id_text(customer), "title", text));
}

bool office_edit(sim *s, sim_device *d)
{
    office o;
    char remark[40];
    (void)d;
    if (!office_open(&o, s)) {
        return false;
    }
    if (s->growths > 0 && sim_chance(s, 50)) {
        module_use(&o);
        return true;
    }
    snprintf(remark, sizeof remark, "office %d", (int)sim_random(s, 6));
    company_set(&o.c, "customer", &s->company->customers[sim_random(s, SIM_CUSTOMERS)],
                PAIRS("remark", remark));
    return true;
}

bool office_territory_move(sim *s, sim_device *d)
{
    office o;
    (void)d;
    if (!office_open(&o, s)) {
        return false;
    }
    company_set(
        &o.c, "customer", &s->company->customers[sim_random(s, SIM_CUSTOMERS)],
        PAIRS("territory_id", id_text(&s->company->territories[sim_random(s, SIM_TERRITORIES)])));
    return true;
}

bool office_price_change(sim *s, sim_device *d)
{
    office o;
    char price[16];
    (void)d;
    if (!office_open(&o, s)) {
        return false;
    }
    snprintf(price, sizeof price, "%d.%02d", 2 + (int)sim_random(s, 40), (int)sim_random(s, 100));
    company_set(&o.c, "price_list_item", &s->company->prices[sim_random(s, SIM_PRODUCTS)],
                PAIRS("price_4dp", price));
    return true;
}

/* A contact is deleted while devices may hold a change of it. */
bool office_row_deleted(sim *s, sim_device *d)
{
    office o;
    sqlite3_stmt *q = NULL;
    fb_id contact = {{0}};
    unsigned mark = 0;
    (void)d;
    if (!office_open(&o, s) ||
        sqlite3_prepare_v2(o.look, "SELECT id, name FROM contact ORDER BY id LIMIT 1 OFFSET ?1", -1,
                           &q, NULL) != SQLITE_OK) {
        return false;
    }
    sqlite3_bind_int(q, 1, (int)sim_random(s, 8));
    bool found =
        sqlite3_step(q) == SQLITE_ROW && sqlite3_column_bytes(q, 0) == (int)sizeof contact.b;
    if (found) {
        memcpy(contact.b, sqlite3_column_blob(q, 0), sizeof contact.b);
        const char *name = (const char *)sqlite3_column_text(q, 1);
        const char *number = name != NULL ? strrchr(name, '-') : NULL;
        mark = number != NULL ? (unsigned)strtoul(number + 1, NULL, 10) : 0;
    }
    sqlite3_finalize(q);
    if (!found) {
        return false;
    }
    company_delete(&o.c, "contact", &contact);
    for (int i = 0; i < s->actions_count; i++) {
        s->actions[i].doubt |=
            s->actions[i].mark == mark; /* it was there, and is gone on purpose */
    }
    return true;
}

bool office_membership(sim *s, sim_device *d)
{
    office o;
    return office_open(&o, s) && membership_change(&o, d);
}

bool office_assignment(sim *s, sim_device *d)
{
    office o;
    (void)d;
    if (!office_open(&o, s)) {
        return false;
    }
    assignment_change(&o);
    return true;
}

bool office_role(sim *s, sim_device *d)
{
    office o;
    return office_open(&o, s) && role_change(&o, d);
}

/* A phone is reported lost; later it is found. */
bool office_device_blocked(sim *s, sim_device *d)
{
    office o;
    fb_identity who = {.size_bytes = sizeof who};
    if (!device_alive(d) || fb_db_identity(d->db, &who, NULL) != FB_OK || !who.enrolled ||
        !office_open(&o, s) || store_begin(o.db) != FB_OK) {
        return false;
    }
    fb_code rc = d->blocked ? door_device_allow(o.db, &who.device, s->now_ms)
                            : door_device_block(o.db, &who.device, s->now_ms);
    if (rc == FB_OK && store_commit(o.db) == FB_OK) {
        d->blocked = !d->blocked;
        return d->blocked;
    }
    store_rollback(o.db);
    return false;
}

bool office_catalogue(sim *s, sim_device *d)
{
    office o;
    (void)d;
    if (!office_open(&o, s)) {
        return false;
    }
    if (s->growths == 0 || (s->growths < SIM_GROWTHS_MAX && sim_chance(s, 20))) {
        s->growths++;
        sim_trace(s, "office adds module %d to the catalogue", s->growths);
        module_install(&o, s->growths);
    }
    module_use(&o);
    return true;
}

static void devices_allow(office *o)
{
    sim *s = o->s;
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        fb_identity who = {.size_bytes = sizeof who};
        if (d->db == NULL || fb_db_identity(d->db, &who, NULL) != FB_OK || !who.enrolled ||
            store_begin(o->db) != FB_OK) {
            continue;
        }
        /* Unknown here after a restore: it will enrol anew. */
        if (door_device_allow(o->db, &who.device, s->now_ms) != FB_OK ||
            store_commit(o->db) != FB_OK) {
            store_rollback(o->db);
        }
        d->blocked = false;
    }
}

/* Whoever lost the role has it back: what still waits is judged under it. Blocked phones are
 * allowed again. */
void office_heal(sim *s)
{
    office o;
    bool roles = s->plan->enabled[KIND_ROLE], blocks = s->plan->enabled[KIND_DEVICE_BLOCKED];
    if ((!roles && !blocks) || !office_open(&o, s)) {
        return;
    }
    if (blocks) {
        devices_allow(&o);
    }
    for (int i = 0; roles && i < s->devices_count; i++) {
        fb_id row;
        const sim_device *d = &s->devices[i];
        if (!d->manager &&
            !id_find(&o, "SELECT id FROM user_role WHERE user_id = ?1", &d->user, NULL, &row)) {
            role_give(&o, &d->user);
        }
    }
}
