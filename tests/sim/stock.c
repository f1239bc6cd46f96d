/* stock.c - goods on hand that several people sell at once, with no network. See sim.h, D6.
 *
 * The stock is an entity that IT added: a counter that may not fall below zero. Each sale is one
 * group, the difference and a marked activity: whether it was accepted can be read from the
 * activity, so what must be on hand follows by adding up, whoever was first. What is too much is
 * refused as a whole and waits in its person's tray. */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "sync-server/door/door.h"

enum { OPENING = 40, SALE_MAX = 30, SELLERS = 3, RETURN_PERCENT = 30 };

void stock_make(sim_company *k, company *c)
{
    static const char MODULE[] =
        "{\"module\":\"simstock\",\"entities\":[{\"name\":\"sim_stock\",\"label\":{\"en\":"
        "\"Stock\",\"zh\":\"库存\"},\"class\":\"quantity\",\"device_writes\":true,\"scope\":[{"
        "\"by\":\"global\"}],\"columns\":[{\"name\":\"product_id\",\"type\":\"ref\",\"to\":"
        "\"product\",\"required\":true,\"policy\":\"AO\",\"label\":{\"en\":\"Product\",\"zh\":"
        "\"产品\"}},{\"name\":\"on_hand\",\"type\":\"int64\",\"min\":0,\"policy\":\"DELTA\","
        "\"required\":true,\"label\":{\"en\":\"On hand\",\"zh\":\"现存量\"}}],\"grants\":{\"REP\":"
        "\"ru\",\"MGR\":\"ru\"}}]}";
    fb_error err = {0};
    fb_code rc = door_catalog_grow(c->db, text_of(MODULE), c->port, &err);
    if (rc != FB_OK || store_catalog_refresh(c->db, &err) != FB_OK) {
        setup_failed(err.message, rc);
    }
    for (int p = 0; p < SIM_PRODUCTS; p++) {
        char opening[16];
        snprintf(opening, sizeof opening, "%d", OPENING);
        k->stocks[p] = company_add(
            c, "sim_stock", PAIRS("product_id", id_text(&k->products[p]), "on_hand", opening));
    }
}

static fb_code act_sale(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    sim *s = d->world;
    a->entity = "activity";
    a->column = "subject";
    a->stock = s->selling;
    a->sold = 1 + (int64_t)sim_random(s, SALE_MAX);
    if (sim_chance(s, RETURN_PERCENT)) {
        a->sold = -a->sold; /* goods come back */
    }
    fb_code rc =
        fb_record_add(d->db, "sim_stock", &s->company->stocks[a->stock], "on_hand", -a->sold, NULL);
    return rc == FB_OK ? fb_activity_log(d->db, customer, mark, NULL, NULL, NULL) : rc;
}

/* Several people sell of one product what each of them sees on hand. */
bool people_oversold(sim *s, sim_device *d)
{
    int from = s->actions_count, sellers = 0;
    int64_t sold = 0;
    s->selling = (int)sim_random(s, SIM_PRODUCTS);
    for (int i = 0; i < s->plan->devices_count && sellers < SELLERS; i++) {
        fb_id customer;
        sim_device *one = &s->devices[(d->number + i) % s->plan->devices_count];
        sellers +=
            device_alive(one) && customer_pick(one, &customer) && act_do(one, act_sale, &customer);
    }
    for (int i = from; i < s->actions_count; i++) {
        sold += s->actions[i].sold;
    }
    return sellers > 1 && sold > OPENING;
}

/* Nothing is sold that is not there, and nothing is sold twice. */
void stock_check(sim *s, sqlite3 *master, const uint8_t *marks)
{
    for (int p = 0; p < SIM_PRODUCTS; p++) {
        int64_t want = OPENING;
        char code[8];
        for (int i = 0; i < s->actions_count; i++) {
            const sim_action *a = &s->actions[i];
            want -= a->stock == p && marks[a->mark] > 0 ? a->sold : 0;
        }
        snprintf(code, sizeof code, "P%d", p);
        int64_t have =
            number(master,
                   "SELECT s.on_hand FROM sim_stock s JOIN product p ON p.id = s.product_id "
                   "WHERE p.code = ?1",
                   code);
        if (have != want || have < 0) {
            sim_violation(s, "D6: %lld of product %d are on hand, and by the sales %lld must be",
                          (long long)have, p, (long long)want);
        }
    }
}
