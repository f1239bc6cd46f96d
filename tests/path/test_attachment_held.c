/* test_attachment_held.c - a photo whose group waits for a person: neither side may let go of the
 * only bytes while no row at the server names them.
 *
 * Method: real devices over a server in memory. A rep photographs a customer offline; the customer
 * moves and the phone comes so late that a manager must decide. The bytes are at the server and in
 * its backup long before that, and the server forgets bytes that no row has named for 30 days. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "support/fleet.h"
#include "sync-server/blob/blob.h"

#include <cmocka.h>
#undef fail

#define DAY_MS INT64_C(86400000)
enum { PHOTO_BYTES = 40000 };

static fleet f;
static fleet_device *rep, *manager;
static fb_id shop, attachment;
static char photo[PHOTO_BYTES];

static void photo_add(const fb_id *customer, size_t size, fb_id *id_out)
{
    fb_error err = {0};
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    a.media_type = "image/jpeg";
    a.data = (fb_text){photo, size};
    a.customer = *customer;
    fleet_must(fb_attachment_add(rep->db, &a, id_out, &err), &err, "add");
}

/* Photographed in time, sent 80 days later, when the shop is another rep's: held. */
static int photo_is_held(void **state)
{
    (void)state;
    fleet_open(&f);
    shop = company_add(
        &f.company, "customer",
        PAIRS("code", "K1", "name", "Corner", "territory_id", id_text(&f.territories[0])));
    rep = fleet_device_add(&f, &f.users[0]);
    manager = fleet_device_add(&f, &f.manager);
    for (int i = 0; i < PHOTO_BYTES; i++) {
        photo[i] = (char)(i * 7 + i / 251);
    }
    photo_add(&shop, PHOTO_BYTES, &attachment);
    f.now_ms += 40 * DAY_MS;
    company_set(&f.company, "customer", &shop, PAIRS("territory_id", id_text(&f.territories[1])));
    f.now_ms += 40 * DAY_MS;
    fleet_sync(rep);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static void lane_run(fleet_device *d)
{
    fb_lane *lane = NULL;
    fb_lane_report r = {0};
    fb_error err = {0};
    fb_link link = fleet_link(d);
    f.now_ms += 1000;
    fleet_must(fb_lane_open(d->db, NULL, &lane, &err), &err, "lane");
    fleet_must(fb_lane_step(lane, &link, 0, &r, &err), &err, "step");
    fb_lane_close(lane);
    assert_true(r.complete);
}

static void backup(void)
{
    const blob_moment at = {f.now_ms, 0};
    blob_place p;
    blob_report r = {0};
    fb_error err = {0};
    memset(&p, 0, sizeof p);
    fleet_must(blob_place_init(&p, mem_files_port(f.files), "server/master.db",
                               &(blob_limits){.unnamed_days = 30}),
               NULL, "place");
    fleet_must(blob_backup(&p, f.admin, f.admin, "safe/backup.blobs", &at, &r, &err), &err,
               "backup");
    blob_place_clear(&p);
}

static int64_t room_made(void)
{
    int64_t freed = -1;
    fb_error err = {0};
    fleet_must(fb_attachment_free(rep->db, 0, &freed, &err), &err, "free");
    return freed;
}

static void run(fleet_device *d, const char *name, const char *args)
{
    fb_error err = {0};
    char *json = NULL;
    fleet_must(fb_command_run(d->db, name, args, &json, &err), &err, name);
    fb_string_free(json);
}

static void manager_accepts(void)
{
    char id[64], args[200];
    fleet_sync(manager);
    fleet_text(manager,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\"}", id);
    run(manager, "held.accept", args);
    fleet_sync(manager);
    fleet_sync(rep);
}

static uint64_t held(void)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(rep->db, &s, &err), &err, "status");
    return (uint64_t)s.held_count;
}

static fb_bytes bytes_state(void)
{
    fb_attachment_state a = {.size_bytes = sizeof a};
    fb_error err = {0};
    fleet_must(fb_attachment_status(rep->db, &attachment, &a, &err), &err, "status");
    return a.original.state;
}

/* At the server and in its backup, and asked about again. */
static void bytes_are_safe(void)
{
    lane_run(rep);
    backup();
    f.now_ms += 7 * 3600000;
    lane_run(rep);
    assert_int_equal(bytes_state(), FB_BYTES_HERE);
}

/* The server's hourly round, after more days than it keeps what no row names. */
static void server_collects(void)
{
    f.now_ms += 40 * DAY_MS;
    server_tick(f.srv, (uint64_t)f.now_ms);
}

typedef struct taken {
    size_t size;
    bool same;
} taken;

static fb_code take(void *ctx, fb_text piece)
{
    taken *t = ctx;
    t->same = t->same && t->size + piece.size <= PHOTO_BYTES &&
              memcmp(photo + t->size, piece.data, piece.size) == 0;
    t->size += piece.size;
    return FB_OK;
}

static void manager_sees_the_photo(void)
{
    taken t = {.same = true};
    fb_error err = {0};
    fleet_must(fb_attachment_want(manager->db, &attachment, FB_PART_ORIGINAL, true, &err), &err,
               "want");
    lane_run(manager);
    fleet_must(fb_attachment_read(manager->db, &attachment, FB_PART_ORIGINAL, take, &t, &err), &err,
               "read");
    assert_true(t.same && t.size == PHOTO_BYTES);
}

/* A phone that makes room while its group waits would give away what the server forgets. */
static void room_is_not_made_with_what_no_row_names(void **state)
{
    (void)state;
    assert_int_equal(held(), 1);
    bytes_are_safe();
    assert_int_equal(room_made(), 0);
    server_collects();
    lane_run(rep); /* told that the server has nothing: sent again */
    manager_accepts();
    manager_sees_the_photo();
}

/* What the server has a row for may go, whatever else is still open. */
static void room_is_made_with_what_a_row_names(void **state)
{
    enum { OTHER_BYTES = PHOTO_BYTES / 2 };
    fb_id other;
    (void)state;
    photo_add(&f.customers[0], OTHER_BYTES, &other);
    fleet_sync(rep);
    company_set(&f.company, "customer", &f.customers[0], PAIRS("remark", "seen"));
    fleet_sync(rep); /* rows came: own ones have the server's versions since */
    bytes_are_safe();
    assert_int_equal(held(), 1);
    assert_int_equal(room_made(), OTHER_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(room_is_not_made_with_what_no_row_names, photo_is_held,
                                        end),
        cmocka_unit_test_setup_teardown(room_is_made_with_what_a_row_names, photo_is_held, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
