/* image.c - the company and its freshly enrolled devices, made once and copied for each seed.
 *
 * What is made depends on the variant alone, never on the seed that asked for it first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

enum { START_MS_HIGH = 1759999 };

typedef struct image_file {
    struct image_file *next;
    char name[64];
    size_t size;
    unsigned char data[];
} image_file;

struct sim_image {
    image_file *files;
};

_Noreturn void setup_failed(const char *what, fb_code rc)
{
    fprintf(stderr, "sim: setting up failed: %s: %s\n", what, fb_code_name(rc));
    abort();
}

static void company_people(sim *s, sim_company *k, company *c, int variant)
{
    fb_id region =
        company_add(c, "org_unit", PAIRS("code", "R1", "name", "Region", "kind", "region"));
    fb_id rep = company_find(c, "role", "REP"), mgr = company_find(c, "role", "MGR");
    for (int t = 0; t < SIM_TERRITORIES; t++) {
        char code[8];
        snprintf(code, sizeof code, "T%d", t);
        k->territories[t] = company_add(
            c, "territory", PAIRS("code", code, "name", code, "org_unit_id", id_text(&region)));
    }
    for (int i = 0; i < SIM_PEOPLE_MAX; i++) {
        char key[8];
        snprintf(key, sizeof key, "U%d", i);
        if (variant == 1 && i >= 2 && i % 2 == 0) { /* a second device for the person before */
            k->users[i] = k->users[i - 1];
            continue;
        }
        k->users[i] = company_add(
            c, "app_user",
            PAIRS("code", key, "name", key, "org_unit_id", id_text(&region), "status", "active"));
        company_add(
            c, "user_role",
            PAIRS("user_id", id_text(&k->users[i]), "role_id", id_text(i == 0 ? &mgr : &rep)));
        if (i > 0) {
            const fb_id *t = &k->territories[i % SIM_TERRITORIES];
            company_add(c, "user_territory",
                        PAIRS("user_id", id_text(&k->users[i]), "territory_id", id_text(t)));
        }
    }
    (void)s;
}

static void company_goods(sim_company *k, company *c)
{
    fb_id list = company_add(c, "price_list",
                             PAIRS("code", "L1", "name", "List", "currency", "CNY", "tax_included",
                                   "0", "priority", "0", "active", "1"));
    company_add(c, "price_assignment",
                PAIRS("target_kind", "global", "price_list_id", id_text(&list), "priority", "0"));
    for (int p = 0; p < SIM_PRODUCTS; p++) {
        char code[8], price[16];
        snprintf(code, sizeof code, "P%d", p);
        snprintf(price, sizeof price, "%d.25", 3 + 7 * p);
        k->products[p] = company_add(c, "product",
                                     PAIRS("code", code, "name", code, "base_uom", "EA", "type",
                                           "good", "status", "active"));
        k->prices[p] = company_add(c, "price_list_item",
                                   PAIRS("price_list_id", id_text(&list), "product_id",
                                         id_text(&k->products[p]), "uom", "EA", "min_qty_milli",
                                         "0", "price_4dp", price));
    }
    for (int n = 0; n < SIM_CUSTOMERS; n++) {
        char code[8], name[16];
        snprintf(code, sizeof code, "C%d", n);
        snprintf(name, sizeof name, "Shop %d", n);
        k->customers[n] = company_add(c, "customer",
                                      PAIRS("code", code, "name", name, "party_type", "customer",
                                            "status", "active", "territory_id",
                                            id_text(&k->territories[n % SIM_TERRITORIES])));
    }
    /* Two customers belong to two territories. */
    for (int n = 0; n < 2; n++) {
        company_add(c, "customer_assignment",
                    PAIRS("customer_id", id_text(&k->customers[n]), "territory_id",
                          id_text(&k->territories[(n + 1) % SIM_TERRITORIES]), "from_at",
                          "2001-09-09T00:00:00Z"));
    }
}

static void file_keep(void *ctx, const char *file, const void *data, size_t size)
{
    sim_image *image = ctx;
    image_file *f = size > 0 ? malloc(sizeof *f + size) : NULL;
    if (f == NULL) {
        return; /* an emptied WAL */
    }
    f->next = image->files;
    f->size = size;
    snprintf(f->name, sizeof f->name, "%s", file);
    memcpy(f->data, data, size);
    image->files = f;
}

static void devices_make(sim *s, int count)
{
    s->devices_count = count;
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        *d = (sim_device){.world = s, .number = i, .random = mix64(s->seed, 100 + (uint64_t)i)};
        d->user = s->company->users[i];
        d->port = device_port(d);
        snprintf(d->machine, sizeof d->machine, "dev%d", i);
        snprintf(d->path, sizeof d->path, "dev%d/replica.db", i);
        device_boot(d);
        if (d->db == NULL) {
            setup_failed("replica", FB_E_IO);
        }
        (void)device_enrol(s, d);
        device_down(d);
    }
}

void company_build(sim *s, sim_company *k, int variant, int devices)
{
    fb_error err = {0};
    server_create_options o = {.path = "server/master.db",
                               .vfs = "simfs",
                               .port = &s->server_port,
                               .company_code = "SIM",
                               .company_name = "Simulated"};
    fb_code rc = server_create(&o, &err);
    if (rc != FB_OK) {
        setup_failed("server", rc);
    }
    store *db = world_store_open("server/master.db");
    company c;
    company_init(&c, db, &s->server_port, s->seed);
    company_people(s, k, &c, variant);
    company_goods(k, &c);
    stock_make(k, &c);
    store_close(db);
    crash_vfs_copy(s->vfs, "server", "bare"); /* nobody is enrolled yet */
    server_boot(s);
    if (s->srv == NULL) {
        setup_failed("server", FB_E_IO);
    }
    devices_make(s, devices);
    server_down(s);
}

static void company_make(sim_company *k, int variant)
{
    sim_plan plan = {.seed = 1000000 + (uint64_t)variant};
    sim *s = calloc(1, sizeof *s);
    k->image = calloc(1, sizeof *k->image);
    if (s == NULL || k->image == NULL) {
        abort();
    }
    s->plan = &plan;
    s->seed = plan.seed;
    s->now_ms = (int64_t)START_MS_HIGH * 1000000;
    s->company = k;
    world_open(s, NULL);
    company_build(s, k, variant, SIM_PEOPLE_MAX);
    crash_vfs_each(s->vfs, file_keep, k->image);
    world_close(s);
    free(s);
}

static bool needed(const sim *s, const char *file)
{
    int device = -1;
    return sscanf(file, "dev%d/", &device) != 1 || device < s->devices_count;
}

void companies_make(sim_company *all)
{
    for (int i = 0; i < SIM_VARIANTS; i++) {
        company_make(&all[i], i);
    }
}

void company_copy(sim *s, sim_company *all)
{
    const sim_company *k = &all[s->plan->variant];
    s->company = k;
    for (const image_file *f = k->image->files; f != NULL; f = f->next) {
        if (needed(s, f->name)) {
            crash_vfs_put(s->vfs, f->name, f->data, f->size);
        }
    }
}

void companies_free(sim_company *all)
{
    for (int i = 0; i < SIM_VARIANTS; i++) {
        sim_image *image = all[i].image;
        while (image != NULL && image->files != NULL) {
            image_file *next = image->files->next;
            free(image->files);
            image->files = next;
        }
        free(image);
        all[i].image = NULL;
    }
}
