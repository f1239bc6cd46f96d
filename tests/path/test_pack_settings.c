/* test_pack_settings.c - what fieldbookd.conf says about packs: whether, where. A first download
 * ends the same with and without them. */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/fleet.h"
#include "sync-server/store/store_pack.h"

#include <cmocka.h>

enum { CUSTOMERS = 60, EXCHANGES_MAX = 400 };

static fleet f;

static int setup(void **state)
{
    (void)state;
    f = (fleet){.packing = {.rows_min = 20, .chunk_bytes = 3000, .rest_ms = 1000, .age_ms = 1000}};
    fleet_open(&f);
    for (int i = 0; i < CUSTOMERS; i++) {
        char code[16];
        snprintf(code, sizeof code, "K%d", i);
        company_add(&f.company, "customer",
                    PAIRS("code", code, "name", code, "territory_id", id_text(&f.territories[0])));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

/* Exchanges until nothing is left; the number of chunks that came. */
static uint32_t download(fleet_device *d)
{
    uint32_t chunks = 0;
    bool done = false;
    fb_error err = {0};
    for (int i = 0; !done && i < EXCHANGES_MAX; i++) {
        fleet_must(fleet_exchange(d, &done, &err), &err, "exchange");
        chunks += d->report.chunks_count;
    }
    assert_true(done);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE code LIKE 'K%'"),
                     CUSTOMERS);
    return chunks;
}

static fb_code packs_at(const char *path)
{
    pack_store *packs = NULL;
    fb_error err = {0};
    fb_code rc = pack_store_open(path, "fleetfs", false, &packs, &err);
    pack_store_close(packs);
    return rc;
}

static void switched_off_first_downloads_come_as_pages(void **state)
{
    (void)state;
    bool done = false;
    fb_error err = {0};
    fleet_build(&f);
    fleet_device *begun = fleet_device_new(&f, &f.users[0]);
    fleet_must(fleet_exchange(begun, &done, &err), &err, "offer");
    f.packing.off = true;
    fleet_server_restart(&f);
    f.now_ms += 3600000;
    assert_false(server_build(f.srv, (uint64_t)f.now_ms));
    /* What was offered is not to be had any more: the device begins again, and comes to its end. */
    fb_code rc = fleet_exchange(begun, &done, &err);
    assert_true(rc != FB_OK || !done);
    assert_int_equal(download(begun), 0);
    assert_int_equal(download(fleet_device_new(&f, &f.users[0])), 0);
}

static void none_is_made_where_they_are_off_from_the_beginning(void **state)
{
    (void)state;
    f.packing.off = true;
    fleet_server_restart(&f);
    fleet_build(&f);
    assert_int_equal(packs_at("server/master.db.packs"), FB_E_NOT_FOUND);
    assert_int_equal(download(fleet_device_new(&f, &f.users[0])), 0);
}

static void they_lie_where_the_company_says(void **state)
{
    (void)state;
    f.packing.path = "server/elsewhere";
    fleet_server_restart(&f);
    fleet_build(&f);
    assert_int_equal(packs_at("server/elsewhere"), FB_OK);
    assert_int_equal(packs_at("server/master.db.packs"), FB_E_NOT_FOUND);
    assert_true(download(fleet_device_new(&f, &f.users[0])) > 0);
}

static void scopes_of_fewer_rows_have_none(void **state)
{
    (void)state;
    f.packing.rows_min = 1000000;
    fleet_server_restart(&f);
    fleet_build(&f);
    assert_int_equal(download(fleet_device_new(&f, &f.users[0])), 0);
}

/* A disk that lost a page of the server's: no pack is made, and the server goes on. */
static void scope_with_a_lost_row_has_none(void **state)
{
    sqlite3 *raw = NULL;
    (void)state;
    assert_int_equal(sqlite3_open_v2("server/master.db", &raw, SQLITE_OPEN_READWRITE, "fleetfs"),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "DELETE FROM customer WHERE code = 'K7'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(raw);
    bool more = true, done = false;
    fb_error err = {0};
    for (int i = 0; more && i < EXCHANGES_MAX; i++) {
        more = server_build(f.srv, (uint64_t)f.now_ms);
    }
    assert_false(more);
    fleet_device *d = fleet_device_new(&f, &f.users[0]);
    assert_true(fleet_exchange(d, &done, &err) != FB_OK || d->report.chunks_count == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(switched_off_first_downloads_come_as_pages),
        TEST(none_is_made_where_they_are_off_from_the_beginning),
        TEST(they_lie_where_the_company_says),
        TEST(scopes_of_fewer_rows_have_none),
        TEST(scope_with_a_lost_row_has_none),
    };
    return cmocka_run_group_tests_name("pack settings", tests, NULL, NULL);
}
