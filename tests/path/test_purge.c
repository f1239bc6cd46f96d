/* test_purge.c - what has left a device's scopes leaves its files: database, write-ahead log,
 * second copy, free pages. Rows carry a text that stands nowhere else, and every file is searched
 * for it. Work that was saved on them stays and is judged. Over a server and devices in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>

enum { CUSTOMERS = 300 };
#define CANARY "zq-canary-7f3a"

static fleet f;

typedef struct search {
    const char *machine;
    uint32_t files, hits;
    char where[160];
} search;

static void search_file(void *ctx, const char *file, const void *data, size_t size)
{
    search *s = ctx;
    const char *at = data;
    const char *end = at + size;
    if (strncmp(file, s->machine, strlen(s->machine)) != 0) {
        return;
    }
    s->files++;
    while (size > 0 && (at = memmem(at, (size_t)(end - at), CANARY, strlen(CANARY))) != NULL) {
        s->hits++;
        snprintf(s->where, sizeof s->where, "%s at %zu", file, (size_t)(at - (const char *)data));
        at++;
    }
}

static search search_files(const char *machine)
{
    search s = {.machine = machine};
    crash_vfs_each(f.vfs, search_file, &s);
    assert_true(s.files > 0);
    return s;
}

static void customers_put(fb_id *ids)
{
    char name[96];
    char code[16];
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        snprintf(code, sizeof code, "K%05u", i);
        snprintf(name, sizeof name, "%s number %u of the western shops", CANARY, i);
        ids[i] = company_add(&f.company, "customer",
                             PAIRS("code", code, "name", name, "remark", CANARY, "territory_id",
                                   id_text(&f.territories[0])));
    }
}

static void customers_move(const fb_id *ids)
{
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        company_set(&f.company, "customer", &ids[i],
                    PAIRS("territory_id", id_text(&f.territories[1])));
    }
}

static void visit_save(fleet_device *d, const fb_id *customer)
{
    fb_error err = {0};
    fb_visit_in visit;
    int64_t gseq = 0;
    fleet_must(fb_group_begin(d->db, "visit.done", 0, &err), &err, "group");
    fleet_must(fb_visit_check_in(d->db, customer, NULL, &visit, &err), &err, "check in");
    fleet_must(fb_visit_check_out(d->db, &visit.visit, NULL, &err), &err, "check out");
    fleet_must(fb_group_commit(d->db, &gseq, &err), &err, "commit");
}

static void purge__no_byte_of_a_row_that_left_stays_in_any_file(void **state)
{
    (void)state;
    static fb_id ids[CUSTOMERS];
    fb_error err = {0};
    fleet_open(&f);
    customers_put(ids);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *other = fleet_device_add(&f, &f.users[1]);
    fleet_sync(rep);
    assert_true(search_files("dev1").hits >= CUSTOMERS); /* the search can find */
    visit_save(rep, &ids[7]);
    f.now_ms += 60000;
    customers_move(ids);
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code LIKE 'K%'"), 0);
    search s = search_files("dev1");
    if (s.hits > 0) {
        fail_msg("%u times, last in %s", s.hits, s.where);
    }
    /* The visit was saved while the customer was here: it counts, and is not lost. */
    fleet_must(store_snapshot(f.admin), NULL, "snapshot");
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    const fb_value key = {.kind = FB_KIND_ID, .u.id = ids[7]};
    const cat_entity *visit = catalog_entity_str(store_catalog(f.admin), "visit");
    fleet_must(
        store_row_by(f.admin, visit, cat_column_str(visit, "customer_id"), &key, memory, values),
        NULL, "the visit at the server");
    arena_free(memory);
    store_snapshot_end(f.admin);
    fleet_sync(other);
    assert_int_equal(fleet_number(other, "SELECT count(*) FROM visit"), 1);
    assert_true(search_files("dev2").hits >= CUSTOMERS);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purge__no_byte_of_a_row_that_left_stays_in_any_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
