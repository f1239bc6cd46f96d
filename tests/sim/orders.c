/* orders.c - three people change one column before they hear of each other, and their groups arrive
 * in all six orders, each on copies of the server and of the three devices. See sim.h, D9.
 *
 * The column is one that nobody else changes, and each writes a text of its own. Which of them
 * stands follows from when they were captured, never from who came first; the others are in
 * conflict rows. Afterwards life goes on as if nobody had looked. */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

enum { RACERS = 3, ORDERS = 6, APART_MS = 2000 };

typedef struct racer {
    sim_device *d;
    char mark[40];
    int64_t at_ms; /* when it counts as captured */
} racer;

typedef struct race {
    sim *s;
    fb_id customer;
    racer racers[RACERS];
    char name[RACERS][16]; /* machines of the copies */
    char stands[80];       /* what stands on the server after the first order */
} race;

static fb_code act_industry(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    char json[80];
    fb_customer_change done;
    a->entity = "customer";
    snprintf(json, sizeof json, "{\"industry\":\"%s\"}", mark);
    return fb_customer_update(d->db, customer, json, &done, NULL);
}

static int64_t id_number(sim *s, const char *path, const char *sql, const fb_id *id)
{
    sqlite3_stmt *q = NULL;
    int64_t n = -1;
    sqlite3 *db = open_file(s, path);
    if (db != NULL && sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK) {
        sqlite3_bind_blob(q, 1, id->b, sizeof id->b, SQLITE_TRANSIENT);
        n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

/* What the person saw has its version of this server, and not of one that was put back since: that
 * number may come to be another commit's, whose time then counts. */
static bool saw_this_server(const sim_device *d)
{
    return epoch_is_of(d, "server/master.db");
}

/* The capture time that the server will count with: not before what the person had seen. */
static int64_t counts_at(race *r, const sim_device *d, int64_t base_cid)
{
    char sql[80];
    const fb_id none = {{0}};
    snprintf(sql, sizeof sql, "SELECT at_ms FROM fs_commit WHERE cid = %lld", (long long)base_cid);
    int64_t base_ms = id_number(r->s, "server/master.db", sql, &none);
    int64_t at_ms =
        id_number(r->s, d->path,
                  "SELECT at_ms FROM fb_outbox WHERE gseq > 0 ORDER BY gseq DESC LIMIT 1", &none);
    return at_ms > base_ms ? at_ms : base_ms;
}

static bool racer_runs(race *r, racer *one, sim_device *d)
{
    if (!device_alive(d) || !saw_this_server(d)) {
        return false;
    }
    int64_t base_cid =
        id_number(r->s, d->path, "SELECT ver >> 20 FROM customer WHERE id = ?1", &r->customer);
    r->s->now_ms += APART_MS;
    if (!act_do(d, act_industry, &r->customer) || !device_alive(d)) {
        return false;
    }
    one->d = d;
    mark_text(r->s, r->s->marks, one->mark);
    one->at_ms = counts_at(r, d, base_cid);
    return true;
}

/* Who captured last wins; where the clocks do not tell who did, nothing is promised. */
static bool times_tell(const race *r)
{
    for (int i = 0; i < RACERS; i++) {
        for (int k = 0; k < RACERS; k++) {
            if ((k != i && r->racers[k].at_ms == r->racers[i].at_ms) ||
                r->racers[i].at_ms > r->s->now_ms) {
                return false;
            }
        }
    }
    return true;
}

/* ---- one order ---- */

typedef struct copies {
    server *srv;
    server_reader *reader;
    sim_device devices[RACERS]; /* for their clocks and random numbers */
} copies;

static bool copies_open(race *r, copies *c)
{
    sim *s = r->s;
    crash_vfs_copy(s->vfs, "server", "order");
    if (server_start(s, "order/master.db", &c->srv, &c->reader) != FB_OK) {
        sim_violation(s, "D9: a copy of a sound server does not start");
        return false;
    }
    for (int i = 0; i < RACERS; i++) {
        fb_db_options o = FB_DB_OPTIONS_INIT;
        sim_device *d = &c->devices[i];
        crash_vfs_copy(s->vfs, r->racers[i].d->machine, r->name[i]);
        *d = *r->racers[i].d;
        snprintf(d->path, sizeof d->path, "%s/replica.db", r->name[i]);
        d->port = device_port(d);
        d->db = NULL;
        o.port = &d->port;
        o.vfs = "simfs";
        o.files = &s->files;
        if (fb_db_open(d->path, &o, &d->db, NULL) != FB_OK) {
            return false; /* a page of it was damaged before: the real one will meet it */
        }
    }
    return true;
}

static void copies_close(race *r, copies *c)
{
    for (int i = 0; i < RACERS; i++) {
        fb_db_close(c->devices[i].db);
        crash_vfs_remove(r->s->vfs, r->name[i]);
    }
    server_reader_close(c->reader);
    server_close(c->srv);
    crash_vfs_remove(r->s->vfs, "order");
}

/* Each in turn, and then once more to hear of the others. */
static bool deliver(race *r, copies *c, const int *order)
{
    for (int turn = 0; turn < 2 * RACERS; turn++) {
        r->s->now_ms += APART_MS;
        if (direct_sync(c->srv, c->reader, c->devices[order[turn % RACERS]].db) != FB_OK) {
            return false; /* blocked, or a person must be asked */
        }
    }
    return true;
}

/* Whoever lost without being refused can be read in a conflict row. */
static void losers_check(race *r, sqlite3 *db, const char *stands)
{
    for (int i = 0; i < RACERS; i++) {
        const char *mark = r->racers[i].mark;
        if (strcmp(mark, stands) != 0 &&
            number(db, "SELECT count(*) FROM fs_verdict WHERE instr(payload, ?1) > 0", mark) == 0 &&
            number(db,
                   "SELECT count(*) FROM conflict WHERE field = 'industry' AND (instr(mine, ?1) "
                   "> 0 OR instr(theirs, ?1) > 0)",
                   mark) == 0) {
            sim_violation(r->s, "D9: %s lost, and no conflict row keeps it", mark);
        }
    }
}

static void order_judge(race *r, const int *order)
{
    sim *s = r->s;
    sqlite3 *db = open_file(s, "order/master.db");
    sqlite3_stmt *q = NULL;
    char stands[80] = "";
    if (db != NULL && sqlite3_prepare_v2(db, "SELECT industry FROM customer WHERE id = ?1", -1, &q,
                                         NULL) == SQLITE_OK) {
        sqlite3_bind_blob(q, 1, r->customer.b, sizeof r->customer.b, SQLITE_TRANSIENT);
        const char *text =
            sqlite3_step(q) == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
        snprintf(stands, sizeof stands, "%s", text != NULL ? text : "(nothing)");
        losers_check(r, db, stands);
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    sim_trace(s, "order %d%d%d: %s stands", order[0], order[1], order[2], stands);
    if (r->stands[0] == '\0') {
        memcpy(r->stands, stands, sizeof r->stands);
    } else if (strcmp(r->stands, stands) != 0) {
        sim_violation(s, "D9: delivered in another order, %s stands instead of %s", stands,
                      r->stands);
    }
}

static bool order_try(race *r, const int *order)
{
    copies c = {0};
    bool done = copies_open(r, &c) && deliver(r, &c, order);
    if (done) {
        order_judge(r, order);
    }
    copies_close(r, &c);
    return done;
}

bool people_all_orders(sim *s, sim_device *d)
{
    static const int ALL[ORDERS][RACERS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                            {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    race r = {.s = s, .customer = s->company->customers[sim_random(s, SIM_CUSTOMERS)]};
    int found = 0;
    for (int i = 0; i < s->plan->devices_count && found < RACERS && server_sound(s); i++) {
        sim_device *one = &s->devices[(d->number + i) % s->plan->devices_count];
        snprintf(r.name[found], sizeof r.name[0], "order%d", found);
        found += racer_runs(&r, &r.racers[found], one);
    }
    if (found < RACERS || !times_tell(&r)) {
        return false;
    }
    bool done = true;
    uint64_t random = s->server_random;
    int64_t now_ms = s->now_ms;
    for (int i = 0; i < ORDERS && done && s->violations == 0; i++) {
        done = order_try(&r, ALL[i]);
        s->server_random = random;
        s->now_ms = now_ms;
    }
    return done;
}
