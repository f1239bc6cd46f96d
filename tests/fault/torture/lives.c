/* lives.c - see lives.h. */
#include "fault/torture/lives_inside.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/door/door.h"
#include "sync-server/feed/feed.h"

static const int64_t DAY_MS = 86400000;
static const char DATABASE[] = "dev1/replica.db";
static const char MASTER[] = "server/master.db";
/* A column whose conflicts a person settles. */
static const char BY_HAND[] =
    "{\"module\":\"hand\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":"
    "\"note_by_hand\",\"type\":\"text\",\"max\":40,\"policy\":\"MAN\",\"label\":{\"en\":"
    "\"Note\",\"zh\":\"备注\"}}]}]}";
static const char MODULE[] =
    "{\"module\":\"acme\",\"entities\":[{\"name\":\"fridge_check\",\"label\":{\"en\":\"Fridge\","
    "\"zh\":\"冰柜\"},\"class\":\"fact\",\"stamps\":true,\"scope\":[{\"by\":\"parent\",\"column\":"
    "\"customer_id\"}],\"columns\":[{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\","
    "\"required\":true,\"label\":{\"en\":\"Customer\",\"zh\":\"客户\"}},{\"name\":\"state\","
    "\"type\":\"enum\",\"values\":[\"clean\",\"dirty\"],\"label\":{\"en\":\"State\",\"zh\":"
    "\"状态\"}}],\"grants\":{\"REP\":\"cr\"}}],\"extend\":[{\"entity\":\"customer\",\"columns\":["
    "{\"name\":\"fridge_no\",\"type\":\"text\",\"max\":20,\"label\":{\"en\":\"Fridge\",\"zh\":"
    "\"冰柜\"}}]}]}";

static void asked(void *ctx, const fb_link_request *q)
{
    life *l = ctx;
    if (l->ear.asked != NULL) {
        l->ear.asked(l->ear.ctx, &l->f, q);
    }
}

void life_open(life *l, const lives_ear *ear, server_packing packing)
{
    l->f = (fleet){.packing = packing};
    l->ear = *ear;
    fleet_open(&l->f);
    l->f.asked = asked;
    l->f.asked_ctx = l;
}

void insist(bool holds, const char *what)
{
    fleet_must(holds ? FB_OK : FB_E_BUG, NULL, what);
}

/* Behind the back of whoever has the file open. */
static void tamper(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    insist(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "fleetfs") == SQLITE_OK &&
               sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK,
           sql);
    sqlite3_close(db);
}

fb_id shop_add(fleet *f, const char *code, int territory)
{
    fb_id id = company_add(&f->company, "customer",
                           PAIRS("code", code, "name", code, "remark", "as it was", "status",
                                 "active", "territory_id", id_text(&f->territories[territory])));
    company_add(&f->company, "contact", PAIRS("customer_id", id_text(&id), "name", "Buyer"));
    return id;
}

void shop_move(fleet *f, const fb_id *id, int territory)
{
    company_set(&f->company, "customer", id,
                PAIRS("territory_id", id_text(&f->territories[territory])));
}

void customer_says(fleet_device *d, const fb_id *id, const char *json)
{
    fb_error err = {0};
    d->world->now_ms += 60000;
    fleet_must(fb_customer_update(d->db, id, json, NULL, &err), &err, json);
}

fb_id customer_new(fleet_device *d, const char *json)
{
    fb_error err = {0};
    fb_id made;
    d->world->now_ms += 60000;
    fleet_must(fb_customer_create(d->db, json, &made, &err), &err, json);
    return made;
}

void talk_log(fleet_device *d, const fb_id *customer, const char *subject)
{
    fb_error err = {0};
    d->world->now_ms += 60000;
    fleet_must(fb_activity_log(d->db, customer, subject, NULL, NULL, &err), &err, subject);
}

fb_id order_take(fleet_device *d, const fb_id *customer, bool submit)
{
    fb_error err = {0};
    fb_order *order = NULL;
    const fb_id *product = &d->world->product;
    d->world->now_ms += 60000;
    fleet_must(fb_order_new(d->db, customer, NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, product, NULL, 3000, NULL, NULL, &err), &err, "line");
    fb_id id = *fb_order_id(order);
    if (submit) {
        fleet_must(fb_order_submit(order, NULL, &err), &err, "submit");
    }
    fb_order_close(order);
    return id;
}

fb_id person_adds(fleet_device *d, const char *entity, const char *json)
{
    fb_error err = {0};
    fb_id id = {{0}};
    d->world->now_ms += 60000;
    fleet_must(fb_record_put_json(d->db, entity, json, &id, &err), &err, json);
    return id;
}

void person_writes(fleet_device *d, const char *entity, const fb_id *id, const char *column,
                   const char *text)
{
    fb_error err = {0};
    fb_value value = {.kind = FB_KIND_TEXT, .u.text = text_of(text)};
    d->world->now_ms += 60000;
    fleet_must(fb_record_update(d->db, entity, id, &(fb_record_change){&column, &value, 1}, &err),
               &err, text);
}

fb_id shown_row(fleet_device *d, const char *sql)
{
    char hex[40];
    fb_id id;
    fleet_text(d, sql, hex, sizeof hex);
    insist(hex_get(text_of(hex), id.b, sizeof id.b), sql);
    return id;
}

void order_pay(fleet_device *d, const fb_id *customer, const fb_id *order)
{
    fb_error err = {0};
    fb_allocation part = {.order = *order, .amount_minor = 500};
    fb_payment_options o = FB_PAYMENT_OPTIONS_INIT;
    fb_payment_receipt receipt;
    o.allocations = &part;
    o.allocations_count = 1;
    fleet_must(fb_payment_add(d->db, customer, 1000, &o, &receipt, &err), &err, "payment");
}

void catalogue_grow(fleet *f, const char *module)
{
    fb_error err = {0};
    fleet_must(door_catalog_grow(f->admin, text_of(module), &f->port, &err), &err, module);
}

void code_make(fleet *f, char *out, size_t size)
{
    buf code;
    buf_init(&code, 100);
    fleet_must(store_begin(f->admin), NULL, "begin");
    fleet_must(door_code_make(f->admin, &f->users[0], f->now_ms, 3600000, &f->port, &code), NULL,
               "code");
    fleet_must(store_commit(f->admin), NULL, "commit");
    snprintf(out, size, "%s", buf_cstr(&code));
    buf_clear(&code);
}

/* As fb_attachment_add, and up with it. */
fb_id picture_send(fleet_device *d, const fb_id *customer)
{
    fb_error err = {0};
    fb_id id;
    fb_lane *lane = NULL;
    fb_link link = fleet_link(d);
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    in.media_type = "image/jpeg";
    in.data = text_of("the whole picture");
    in.thumb = text_of("small");
    in.customer = *customer;
    fleet_must(fb_attachment_add(d->db, &in, &id, &err), &err, "picture");
    fleet_sync(d);
    fleet_must(fb_lane_open(d->db, NULL, &lane, &err), &err, "lane open");
    fleet_must(fb_lane_step(lane, &link, 0, NULL, &err), &err, "lane");
    fb_lane_close(lane);
    return id;
}

/* --- packs -------------------------------------------------------------------------------------
 */

static void horizon_pass(fleet *f)
{
    int64_t head = 0;
    fleet_must(store_begin(f->admin), NULL, "begin");
    fleet_must(ledger_head(f->admin, &head), NULL, "head");
    fleet_must(feed_horizon_set(f->admin, (head + 1) << 20), NULL, "horizon");
    fleet_must(store_commit(f->admin), NULL, "commit");
}

static void packs_build(life *l)
{
    if (l->ear.builds != NULL) {
        l->ear.builds(l->ear.ctx, &l->f);
    }
    fleet_build(&l->f);
}

static void packs_live(moment all[MOMENTS], const lives_ear *ear)
{
    static life l;
    fleet *f = &l.f;
    fb_error err = {0};
    fb_id shops[20];
    bool done = false;
    life_open(
        &l, ear,
        (server_packing){.rows_min = 20, .chunk_bytes = 6000, .rest_ms = 1000, .age_ms = 1000});
    for (int i = 0; i < 20; i++) {
        shops[i] = shop_add(f,
                            PAIRS("A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "B0",
                                  "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9")[i],
                            0);
    }
    fleet_device *old = fleet_device_add(f, &f->users[0]);
    packs_build(&l);
    fleet_device *d = fleet_device_new(f, &f->users[0]);
    moment_keep(&all[MOMENT_PACKS], f, d);
    talk_log(old, &shops[1], "before");
    shop_move(f, &shops[7], 1);
    horizon_pass(f);
    company_set(&f->company, "customer", &shops[2], PAIRS("name", "behind the horizon"));
    packs_build(&l);
    fleet_must(fleet_exchange(old, &done, &err), &err, "offer");
    insist(old->report.chunks_left > 2, "packs are offered");
    fleet_must(fleet_exchange(old, &done, &err), &err, "chunk");
    insist(old->report.chunks_count == 1, "a chunk came");
    talk_log(old, &shops[1], "between");
    customer_says(old, &shops[3], "{\"remark\":\"pending\"}");
    company_set(&f->company, "customer", &shops[4], PAIRS("name", "after the packs"));
    company_delete(&f->company, "customer", &shops[5]);
    moment_keep(&all[MOMENT_RESET], f, old);
    fleet_close(f);
}

/* --- people ------------------------------------------------------------------------------------
 */

typedef struct people {
    life l;
    fleet_device *rep, *mate, *manager; /* mate: another phone of the same person */
    fb_id edited, late, visited, gone, left;
    life_ids *ids;
    void *cloud; /* the phone's database as its backup has it */
    size_t cloud_size;
} people;

static void people_meet(people *p, const lives_ear *ear)
{
    fleet *f = &p->l.f;
    life_open(&p->l, ear, (server_packing){0});
    catalogue_grow(f, BY_HAND);
    p->edited = shop_add(f, "K1", 0);
    p->late = shop_add(f, "K2", 0);
    p->visited = shop_add(f, "K3", 0);
    p->gone = shop_add(f, "K4", 0);
    p->left = shop_add(f, "K5", 0);
    p->rep = fleet_device_add(f, &f->users[0]);
    p->mate = fleet_device_add(f, &f->users[0]);
    p->manager = fleet_device_add(f, &f->manager);
    talk_log(p->rep, &p->edited, "first");
    fleet_sync(p->rep);
    crash_vfs_copy(f->vfs, "server", "backup");
}

/* Work on two shops that leave before the server hears of it. */
static void work_too_late(people *p)
{
    fleet *f = &p->l.f;
    fb_error err = {0};
    fb_visit_in in;
    customer_says(p->rep, &p->late, "{\"remark\":\"by the rep\"}");
    fleet_must(fb_visit_check_in(p->rep->db, &p->visited, NULL, &in, &err), &err, "check in");
    fleet_must(fb_visit_check_out(p->rep->db, &in.visit, NULL, &err), &err, "check out");
    f->now_ms += 40 * DAY_MS;
    shop_move(f, &p->late, 1);
    shop_move(f, &p->visited, 1);
    f->now_ms += 40 * DAY_MS;
}

static void refused_with_a_dependant(people *p)
{
    fb_id order = order_take(p->rep, &p->edited, true);
    order_pay(p->rep, &p->edited, &order);
    company_set(&p->l.f.company, "product", &p->l.f.product, PAIRS("status", "suspended"));
}

static fb_code refused_find(void *ctx, const fb_problem *g)
{
    if (text_equal(g->state, text_of("rejected"))) {
        *(int64_t *)ctx = g->gseq;
    }
    return FB_OK;
}

static void verdicts_live(people *p, moment all[MOMENTS])
{
    fleet *f = &p->l.f;
    fb_error err = {0};
    work_too_late(p);
    customer_says(p->mate, &p->edited, "{\"phone\":\"+8613800000002\",\"note_by_hand\":\"ring\"}");
    (void)customer_new(p->mate, "{\"name\":\"Green Shop\",\"phone\":\"+861390000001\"}");
    customer_says(p->rep, &p->edited,
                  "{\"phone\":\"+8613800000001\",\"email\":\"a@b.example\",\"note_by_hand\":"
                  "\"knock\"}");
    fleet_sync(p->mate);
    fb_id twice = customer_new(p->rep, "{\"name\":\"GREEN  shop\",\"phone\":\"+861390000001\"}");
    talk_log(p->rep, &twice, "of one that is two");
    (void)order_take(p->rep, &twice, false);
    refused_with_a_dependant(p);
    talk_log(p->rep, &p->edited, "plain");
    company_delete(&f->company, "customer", &p->gone);
    shop_move(f, &p->left, 1);
    moment_keep(&all[MOMENT_VERDICTS], f, p->rep);
    fleet_sync(p->rep);
    const fb_sync_report *r = &p->rep->report;
    fb_status st = FB_STATUS_INIT;
    fleet_must(fb_status_get(p->rep->db, &st, &err), &err, "status");
    insist(r->merged_count > 0, "merged");
    insist(r->rejected_count > 0 && st.blocked_count > 0, "rejected and blocked");
    insist(st.held_count > 0 && st.parked_count > 0, "held and parked");
    insist(fleet_number(p->rep, "SELECT count(*) FROM conflict") > 0, "a conflict");
    p->ids->conflict =
        shown_row(p->rep, "SELECT lower(hex(id)) FROM conflict WHERE state = 'open'");
    fleet_must(fb_problem_each(p->rep->db, refused_find, &p->ids->refused, &err), &err, "tray");
    company_set(&f->company, "product", &f->product, PAIRS("status", "active"));
    fleet_sync(p->rep);
    moment_keep(&all[MOMENT_TRAY], f, p->rep);
}

static void held_decide(people *p)
{
    fb_error err = {0};
    char id[40], args[100], *json = NULL;
    fleet_sync(p->manager);
    fleet_text(p->manager,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group "
               "LIMIT 1)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\"}", id);
    fleet_must(fb_command_run(p->manager->db, "held.accept", args, &json, &err), &err, args);
    fb_string_free(json);
    fleet_sync(p->manager);
}

static void wrong_rows_live(people *p, moment all[MOMENTS])
{
    fleet *f = &p->l.f;
    f->now_ms += DAY_MS;
    talk_log(p->rep, &p->edited, "pending");
    tamper(DATABASE, "UPDATE customer SET name = 'wrong', ver = ver - 1 WHERE code = 'K1';"
                     "DELETE FROM contact; UPDATE fb_digest SET rows = rows + 1");
    moment_keep(&all[MOMENT_DIGEST], f, p->rep);
    tamper(DATABASE, "DELETE FROM customer; DELETE FROM role_permission; DELETE FROM enum_value");
    moment_keep(&all[MOMENT_RUIN], f, p->rep);
    fleet_sync(p->rep);
}

static void cloud_take(void *ctx, const char *name, const void *data, size_t size)
{
    people *p = ctx;
    if (strcmp(name, DATABASE) == 0) {
        p->cloud = malloc(size);
        p->cloud_size = size;
        insist(p->cloud != NULL, "memory");
        memcpy(p->cloud, data, size);
    }
}

static void database_delete(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("fleetfs");
    insist(vfs->xDelete(vfs, DATABASE, 0) == SQLITE_OK, "delete");
}

/* The phone's database goes back a little, and goes. */
static void phone_disasters(people *p, moment all[MOMENTS])
{
    fleet *f = &p->l.f;
    talk_log(p->rep, &p->edited, "before the phone's backup");
    fleet_reopen(p->rep);
    fb_db_close(p->rep->db);
    p->rep->db = NULL;
    crash_vfs_each(f->vfs, cloud_take, p);
    fleet_open_again(p->rep);
    talk_log(p->rep, &p->edited, "answered");
    fleet_sync(p->rep);
    (void)order_take(p->rep, &p->edited, false);
    talk_log(p->rep, &p->edited, "never sent");
    code_make(f, p->ids->code, sizeof p->ids->code);
    moment_keep(&all[MOMENT_AGAIN], f, p->rep);
    fb_db_close(p->rep->db);
    p->rep->db = NULL;
    fleet_put_file(f, DATABASE, p->cloud, p->cloud_size);
    moment_keep(&all[MOMENT_COPIED], f, p->rep);
    database_delete();
    moment_keep(&all[MOMENT_LOST], f, p->rep);
    free(p->cloud);
}

static void server_restored(people *p, moment all[MOMENTS])
{
    fleet *f = &p->l.f;
    fb_error err = {0};
    int64_t commit = 0;
    server_epoch_options o = {.path = MASTER, .vfs = "fleetfs", .port = &f->port};
    fleet_server_stop(f);
    crash_vfs_remove(f->vfs, "server");
    crash_vfs_copy(f->vfs, "backup", "server");
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "epoch");
    fleet_server_start(f);
    moment_keep(&all[MOMENT_EPOCH], f, p->rep);
}

static void people_live(moment all[MOMENTS], life_ids *ids, const lives_ear *ear)
{
    static people p;
    p = (people){.ids = ids};
    people_meet(&p, ear);
    verdicts_live(&p, all);
    held_decide(&p);
    shop_move(&p.l.f, &p.visited, 0);
    moment_keep(&all[MOMENT_DECIDED], &p.l.f, p.rep);
    fleet_sync(p.rep);
    wrong_rows_live(&p, all);
    talk_log(p.rep, &p.edited, "while the catalogue grows");
    catalogue_grow(&p.l.f, MODULE);
    moment_keep(&all[MOMENT_CATALOG], &p.l.f, p.rep);
    fleet_sync(p.rep);
    ids->shop = p.edited;
    ids->picture = picture_send(p.mate, &p.edited);
    fleet_sync(p.rep);
    moment_keep(&all[MOMENT_PICTURES], &p.l.f, p.rep);
    phone_disasters(&p, all);
    fleet_close(&p.l.f);
    p = (people){.ids = ids};
    people_meet(&p, ear);
    static moment again[MOMENTS];
    verdicts_live(&p, again);
    talk_log(p.rep, &p.edited, "pending");
    server_restored(&p, all);
    for (int i = 0; i < MOMENTS; i++) {
        moment_drop(&again[i]);
    }
    fleet_close(&p.l.f);
}

void lives_make(moment all[MOMENTS], life_ids *ids, const lives_ear *ear)
{
    packs_live(all, ear);
    people_live(all, ids, ear);
    office_live(all, ear);
}
