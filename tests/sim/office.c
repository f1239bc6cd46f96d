/* office.c - what the administrator changes while devices work: who sees what, who may do what,
 * what there is. See sim.h. Works on a sound server only: its own faults are the server's. */
#include "sim/sim.h"

#include <stdio.h>
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

static bool office_open(office *o, sim *s)
{
    *o = (office){.s = s, .db = world_store_open(s), .look = open_file(s, "server/master.db")};
    if (o->db == NULL || o->look == NULL) {
        store_close(o->db);
        sqlite3_close(o->look);
        return false;
    }
    company_init(&o->c, o->db, &s->server_port, s->random);
    return true;
}

static void office_close(office *o)
{
    store_close(o->db);
    sqlite3_close(o->look);
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

static const fb_id *rep_pick(sim *s)
{
    const sim_device *d = &s->devices[sim_random(s, (uint64_t)s->devices_count)];
    return d->manager ? NULL : &d->user;
}

/* A person joins or leaves a territory. */
static void membership_change(office *o)
{
    sim *s = o->s;
    const fb_id *user = rep_pick(s), *territory = &s->territories[sim_random(s, SIM_TERRITORIES)];
    fb_id row;
    if (user == NULL) {
        return;
    }
    sim_trace(s, "office changes a membership");
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
}

static void assignment_change(office *o)
{
    sim *s = o->s;
    const fb_id *customer = &s->customers[sim_random(s, SIM_CUSTOMERS)];
    const fb_id *territory = &s->territories[sim_random(s, SIM_TERRITORIES)];
    fb_id row;
    sim_trace(s, "office changes an assignment");
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

static void role_change(office *o)
{
    const fb_id *user = rep_pick(o->s);
    fb_id row;
    if (user == NULL) {
        return;
    }
    bool had = id_find(o, "SELECT id FROM user_role WHERE user_id = ?1", user, NULL, &row);
    sim_trace(o->s, "office %s a role", had ? "takes" : "gives");
    if (had) {
        company_delete(&o->c, "user_role", &row);
    } else {
        role_give(o, user);
    }
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
    office_close(&o);
}

static void office_work(office *o)
{
    sim *s = o->s;
    if (sim_fault_draw(s, FAULT_MEMBERSHIP, 25)) {
        membership_change(o);
    }
    if (sim_fault_draw(s, FAULT_ASSIGNMENT, 25)) {
        assignment_change(o);
    }
    if (sim_fault_draw(s, FAULT_ROLE, 20)) {
        role_change(o);
    }
    if (s->growths < SIM_GROWTHS_MAX && sim_fault_draw(s, FAULT_CATALOGUE, 5)) {
        s->growths++;
        sim_trace(s, "office adds module %d to the catalogue", s->growths);
        module_install(o, s->growths);
    }
}

static bool server_is_sound(sim *s)
{
    return server_alive(s) && !s->faults[FAULT_CRASH_SERVER] &&
           !s->faults[FAULT_DISK_FULL_SERVER] && !server_is_suspect(s->srv);
}

void office_step(sim *s)
{
    office o;
    bool any = s->faults[FAULT_MEMBERSHIP] || s->faults[FAULT_ASSIGNMENT] ||
               s->faults[FAULT_ROLE] || s->faults[FAULT_CATALOGUE];
    if (any && sim_chance(s, 15) && server_is_sound(s) && office_open(&o, s)) {
        office_work(&o);
        office_close(&o);
    }
}

/* Whoever lost the role has it back: what still waits is judged under it. */
void office_heal(sim *s)
{
    office o;
    if (!s->faults[FAULT_ROLE] || !server_alive(s) || !office_open(&o, s)) {
        return;
    }
    for (int i = 0; i < s->devices_count; i++) {
        fb_id row;
        const sim_device *d = &s->devices[i];
        if (!d->manager &&
            !id_find(&o, "SELECT id FROM user_role WHERE user_id = ?1", &d->user, NULL, &row)) {
            role_give(&o, &d->user);
        }
    }
    office_close(&o);
}
