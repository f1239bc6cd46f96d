/* lives_office.c - see lives_inside.h: what two phones and the office do to the same rows, so that
 * every rule of the server has something to say. */
#include <stdio.h>
#include <string.h>

#include "fault/torture/lives_inside.h"

static const char MODULE[] =
    "{\"module\":\"acme\",\"entities\":[{\"name\":\"shelf_count\",\"label\":{\"en\":\"Shelf\","
    "\"zh\":\"货架\"},\"class\":\"shared\",\"stamps\":true,\"scope\":[{\"by\":\"parent\","
    "\"column\":\"customer_id\"}],\"columns\":[{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":"
    "\"customer\",\"required\":true,\"label\":{\"en\":\"Customer\",\"zh\":\"客户\"}},{\"name\":"
    "\"qty\",\"type\":\"int64\",\"min\":-1000000,\"max\":1000000,\"policy\":\"DELTA\",\"label\":{"
    "\"en\":\"Quantity\",\"zh\":\"数量\"}},{\"name\":\"widest\",\"type\":\"int32\",\"policy\":"
    "\"MAX\",\"label\":{\"en\":\"Widest\",\"zh\":\"最宽\"}}],\"grants\":{\"REP\":\"crud\"}}],"
    "\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":\"second_phone\",\"type\":"
    "\"text\",\"max\":30,\"label\":{\"en\":\"Phone 2\",\"zh\":\"电话2\"}},{\"name\":"
    "\"shelf_class\",\"type\":\"enum\",\"values\":[\"A\",\"B\"],\"label\":{\"en\":\"Class\","
    "\"zh\":\"等级\"}}]}]}";
static const char NEWER[] =
    "{\"module\":\"later\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":\"mobile\","
    "\"type\":\"text\",\"max\":20,\"from\":{\"column\":\"second_phone\"},\"label\":{\"en\":"
    "\"Mobile\",\"zh\":\"手机\"}},{\"name\":\"shelf_level\",\"type\":\"enum\",\"values\":["
    "\"gold\",\"plain\"],\"from\":{\"column\":\"shelf_class\",\"values\":{\"A\":\"gold\",\"B\":"
    "\"plain\"}},\"label\":{\"en\":\"Level\",\"zh\":\"级别\"}}]}]}";

typedef struct office {
    life l;
    fleet_device *rep, *mate, *manager; /* mate: another phone of the same person */
    fb_id shop, other, count, contact;
    moment *all;
} office;

static fb_id of_shop(fleet_device *d, const char *entity, const fb_id *shop, const char *more)
{
    char json[200];
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\"%s}", id_text(shop), more);
    return person_adds(d, entity, json);
}

static void count_add(fleet_device *d, const fb_id *id, int64_t by)
{
    fb_error err = {0};
    fleet_must(fb_record_add(d->db, "shelf_count", id, "qty", by, &err), &err, "add");
}

static void all_sync(office *o)
{
    fleet_sync(o->rep);
    fleet_sync(o->mate);
    fleet_sync(o->manager);
}

static void office_opens(office *o, const lives_ear *ear)
{
    fleet *f = &o->l.f;
    life_open(&o->l, ear, (server_packing){0});
    catalogue_grow(f, MODULE);
    company_add(&f->company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "global", "value", "7000"));
    o->shop = shop_add(f, "K1", 0);
    o->other = shop_add(f, "K2", 0);
    o->rep = fleet_device_add(f, &f->users[0]);
    o->mate = fleet_device_add(f, &f->users[0]);
    o->manager = fleet_device_add(f, &f->manager);
    o->count = of_shop(o->rep, "shelf_count", &o->shop, ",\"qty\":\"5\",\"widest\":3");
    o->contact = of_shop(o->rep, "contact", &o->shop, ",\"name\":\"Li\"");
    all_sync(o);
}

/* Differences, the larger one, a list without repeats, a row that goes while another edits it. */
static void two_phones(office *o)
{
    fb_error err = {0};
    count_add(o->mate, &o->count, 4);
    (void)of_shop(o->mate, "customer_tag", &o->shop, ",\"tag\":\"vip\"");
    fleet_must(fb_record_delete(o->manager->db, "contact", &o->contact, &err), &err, "delete");
    fleet_sync(o->mate);
    fleet_sync(o->manager);
    count_add(o->rep, &o->count, 3);
    (void)of_shop(o->rep, "customer_tag", &o->shop, ",\"tag\":\"vip\"");
    person_writes(o->rep, "contact", &o->contact, "name", "Li Lei");
}

/* A guarded column is asked for and approved, one is refused; an order is stepped on from both
 * sides; what goes above the limit waits. */
static void with_the_office(office *o)
{
    fb_error err = {0};
    fb_visit_in in;
    customer_says(o->rep, &o->shop, "{\"name\":\"Corner shop\"}");
    customer_says(o->rep, &o->other, "{\"name\":\"Other shop\"}");
    fb_id order = order_take(o->rep, &o->shop, true);
    order_pay(o->rep, &o->shop, &order);
    fleet_must(fb_visit_check_in(o->mate->db, &o->shop, NULL, &in, &err), &err, "check in");
    all_sync(o);
    fb_id first = shown_row(o->manager, "SELECT lower(hex(r.id)) FROM change_request r JOIN "
                                        "customer c ON c.id = r.customer_id WHERE c.code = 'K1'");
    fb_id second = shown_row(o->manager, "SELECT lower(hex(r.id)) FROM change_request r JOIN "
                                         "customer c ON c.id = r.customer_id WHERE c.code = 'K2'");
    person_writes(o->manager, "change_request", &first, "status", "approved");
    char json[200];
    snprintf(json, sizeof json,
             "{\"id\":\"%s\",\"status\":\"rejected\",\"decision_comment\":\"not now\"}",
             id_text(&second));
    (void)person_adds(o->manager, "change_request", json);
    fleet_must(fb_order_cancel(o->rep->db, &order, "changed mind", &err), &err, "cancel");
    fleet_sync(o->manager);
    fleet_must(fb_visit_check_in(o->rep->db, &o->other, NULL, &in, &err), &err, "check in");
    fleet_must(fb_visit_check_out(o->rep->db, &in.visit, NULL, &err), &err, "check out");
    for (int i = 0; i < 3; i++) {
        (void)order_take(o->rep, &o->shop, true);
    }
    two_phones(o);
    moment_keep(&o->all[MOMENT_OFFICE], &o->l.f, o->rep);
    fleet_sync(o->rep);
    insist(o->rep->report.rejected_count > 0 && o->rep->report.held_count > 0, "both kinds");
    all_sync(o);
    insist(o->manager->report.complete, "the manager is done");
}

/* A backup holds everything so far: the phone forgets what it need not send again. */
static void backed_up(office *o)
{
    fleet *f = &o->l.f;
    int64_t head = 0;
    fleet_must(store_begin(f->admin), NULL, "begin");
    fleet_must(ledger_head(f->admin, &head), NULL, "head");
    fleet_must(store_meta_int_set(f->admin, "backed_up_cid", head), NULL, "backed up");
    fleet_must(store_commit(f->admin), NULL, "commit");
    server_tick(f->srv, (uint64_t)f->now_ms);
}

/* Work of yesterday by a person who is not one any more, and again one with more to see. */
static void rights_change(office *o)
{
    fleet *f = &o->l.f;
    fb_id role = company_find(&f->company, "role", "REP");
    fb_id held = shown_row(
        o->rep, "SELECT lower(hex(u.id)) FROM user_role u JOIN role r ON r.id = u.role_id "
                "WHERE r.code = 'REP' AND u.user_id = (SELECT id FROM app_user WHERE code "
                "= 'U1')");
    talk_log(o->rep, &o->shop, "of yesterday");
    f->now_ms += 86400000;
    company_delete(&f->company, "user_role", &held);
    talk_log(o->rep, &o->shop, "without a right to it");
    fleet_sync(o->mate);
    company_add(&f->company, "user_territory",
                PAIRS("user_id", id_text(&f->users[0]), "territory_id", id_text(&f->territories[1]),
                      "valid_to", "2099-12-31"));
    company_add(&f->company, "customer_assignment",
                PAIRS("customer_id", id_text(&f->customers[1]), "user_id", id_text(&f->users[0]),
                      "from_at", "2025-10-09T08:00:00Z"));
    backed_up(o);
    moment_keep(&o->all[MOMENT_RIGHTS], f, o->rep);
    fleet_sync(o->rep);
    company_add(&f->company, "user_role",
                PAIRS("user_id", id_text(&f->users[0]), "role_id", id_text(&role)));
    all_sync(o);
    shop_move(f, &o->other, 1); /* both have both territories: it only moves */
    company_set(&f->company, "org_unit", &f->region, PAIRS("name", "East and north"));
    all_sync(o);
}

static void column_replaced(office *o)
{
    customer_says(o->rep, &o->shop, "{\"second_phone\":\"111\",\"shelf_class\":\"A\"}");
    customer_says(o->mate, &o->shop, "{\"second_phone\":\"222\"}");
    catalogue_grow(&o->l.f, NEWER);
    fleet_sync(o->mate);
    moment_keep(&o->all[MOMENT_COLUMN], &o->l.f, o->rep);
    all_sync(o);
}

/* The phone was copied to another one; both go on. */
static void phone_cloned(office *o)
{
    fleet *f = &o->l.f;
    talk_log(o->rep, &o->shop, "before the copy");
    fb_db_close(o->rep->db);
    o->rep->db = NULL;
    crash_vfs_copy(f->vfs, "dev1", "dev4");
    mem_files_copy(f->files, "dev1", "dev4");
    fleet_device *copy = &f->devices[f->devices_count++];
    *copy = *o->rep;
    copy->port.ctx = copy;
    snprintf(copy->path, sizeof copy->path, "dev4/replica.db");
    fleet_open_again(o->rep);
    fleet_open_again(copy);
    talk_log(copy, &o->shop, "on the copy");
    talk_log(o->rep, &o->shop, "on the phone");
    fleet_sync(copy);
    moment_keep(&o->all[MOMENT_CLONE], f, o->rep);
    fb_error err = {0};
    fleet_must(fleet_enrol_again(copy, &f->users[0], &err), &err, "enrol again");
    fleet_sync(copy);
    fleet_sync(o->rep);
}

void office_live(moment all[MOMENTS], const lives_ear *ear)
{
    static office o;
    o = (office){.all = all};
    office_opens(&o, ear);
    with_the_office(&o);
    rights_change(&o);
    column_replaced(&o);
    phone_cloned(&o);
    fleet_close(&o.l.f);
}
