/* test_attachment_crash.c - power lost at every file call that an attachment makes, on the device
 * and on the server: what was saved is whole afterwards, and in the end the server has it. */
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

enum { PHOTO_BYTES = 40000, THUMB_BYTES = 1500, PIECE_BYTES = 16 << 10, CALLS_MAX = 60 };

typedef struct stage {
    fleet f;
    fleet_device *rep;
    char photo[PHOTO_BYTES], thumb[THUMB_BYTES];
    fb_id attachment; /* of the last photo that was saved */
} stage;

static stage *stage_open(void)
{
    static stage s;
    memset(&s, 0, sizeof s);
    fleet_open(&s.f);
    for (int i = 0; i < PHOTO_BYTES; i++) {
        s.photo[i] = (char)(i * 7 + i / 251);
    }
    for (int i = 0; i < THUMB_BYTES; i++) {
        s.thumb[i] = (char)(i * 3 + i / 19);
    }
    s.rep = fleet_device_add(&s.f, &s.f.users[0]);
    return &s;
}

static fb_code photo_add(stage *s)
{
    fb_error err = {0};
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    a.media_type = "image/jpeg";
    a.data = (fb_text){s->photo, PHOTO_BYTES};
    a.thumb = (fb_text){s->thumb, THUMB_BYTES};
    a.customer = s->f.customers[0];
    return fb_attachment_add(s->rep->db, &a, &s->attachment, &err);
}

static fb_code lane_once(stage *s, fb_lane_report *report)
{
    fb_lane *lane = NULL;
    fb_error err = {0};
    fb_link link = fleet_link(&s->f.devices[0]);
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    o.piece_bytes_max = PIECE_BYTES;
    s->f.now_ms += 1000;
    fleet_must(fb_lane_open(s->rep->db, &o, &lane, &err), &err, "fb_lane_open");
    fb_code rc = fb_lane_step(lane, &link, 0, report, &err);
    fb_lane_close(lane);
    return rc;
}

/* The bytes and the database of one machine lose power at the same moment. */
static void device_dies(stage *s)
{
    crash_vfs_crash(s->f.vfs, "dev1");
    mem_files_reboot(s->f.files, "dev1");
    fleet_device_reopen(s->rep);
}

static void server_dies(stage *s)
{
    crash_vfs_crash(s->f.vfs, "server");
    mem_files_reboot(s->f.files, "server");
    store_close(s->f.admin);
    s->f.admin = NULL;
    crash_vfs_reboot(s->f.vfs, "server");
    fleet_server_restart(&s->f);
    fb_error err = {0};
    fleet_must(store_open(&(store_options){.path = "server/master.db", .vfs = "fleetfs"},
                          &s->f.admin, &err),
               &err, "store_open");
}

static fb_code eat(void *ctx, fb_text piece)
{
    *(size_t *)ctx += piece.size;
    return FB_OK;
}

/* Every attachment that the device shows can be read whole. */
static int64_t assert_whole(stage *s)
{
    int64_t count = fleet_number(s->rep, "SELECT count(*) FROM attachment");
    const fb_id *id = &s->attachment;
    fb_error err = {0};
    if (count > 0) {
        size_t size = 0;
        fleet_must(fb_attachment_read(s->rep->db, id, FB_PART_ORIGINAL, eat, &size, &err), &err,
                   "read");
        assert_int_equal(size, PHOTO_BYTES);
        fleet_must(fb_attachment_read(s->rep->db, id, FB_PART_THUMB, eat, &size, &err), &err,
                   "read");
    }
    return count;
}

/* Lane rounds until nothing is left; what the server holds then is sound and complete. */
static void assert_arrives(stage *s)
{
    fb_lane_report r = {0};
    blob_report found = {0};
    blob_place p;
    fleet_sync(s->rep);
    for (int i = 0; i < 5 && !r.complete; i++) {
        s->f.now_ms += 16 * 60000;
        fb_code rc = lane_once(s, &r);
        assert_true(rc == FB_OK || rc == FB_E_BUSY);
    }
    assert_true(r.complete);
    memset(&p, 0, sizeof p);
    fleet_must(blob_place_init(&p, mem_files_port(s->f.files), "server/master.db",
                               &(blob_limits){.unnamed_days = 30}),
               NULL, "place");
    fleet_must(blob_check(&p, s->f.admin, s->f.now_ms, false, NULL, NULL, &found), NULL, "check");
    blob_place_clear(&p);
    assert_int_equal(found.files, 2);
    assert_int_equal(found.missing + found.damaged + found.waiting, 0);
}

static void device_loses_power_at_every_call_of_adding(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool fired = true; fired; n++) {
        stage *s = stage_open();
        mem_files_crash_after(s->f.files, n);
        fb_code rc = photo_add(s);
        fired = mem_files_is_crashed(s->f.files);
        assert_true(fired ? rc == FB_E_IO : rc == FB_OK);
        device_dies(s);
        assert_int_equal(assert_whole(s), rc == FB_OK ? 1 : 0);
        if (rc != FB_OK) {
            fleet_sync(s->rep); /* pages are not synced to the disk: they come again */
            assert_int_equal(photo_add(s), FB_OK);
        }
        assert_arrives(s);
        fleet_close(&s->f);
        assert_true(n < CALLS_MAX);
    }
    assert_true(n > 4); /* write and rename of both files */
}

/* Both machines use the same files: whose call it was decides who dies. */
static void either_side_loses_power_at_every_call_of_the_lane(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool fired = true; fired; n++) {
        stage *s = stage_open();
        fb_lane_report r = {0};
        assert_int_equal(photo_add(s), FB_OK);
        fleet_sync(s->rep);
        mem_files_crash_after(s->f.files, n);
        fb_code rc = lane_once(s, &r);
        fired = mem_files_is_crashed(s->f.files);
        assert_true(fired || rc == FB_OK);
        server_dies(s);
        device_dies(s);
        assert_int_equal(assert_whole(s), 1);
        assert_arrives(s);
        fleet_close(&s->f);
        assert_true(n < CALLS_MAX);
    }
    assert_true(n > 5);
}

/* The device has let its photo go after a backup, and wants it again. */
static stage *stage_wanting(void)
{
    stage *s = stage_open();
    fb_lane_report r = {0};
    blob_report backed = {0};
    blob_place p;
    fb_error err = {0};
    assert_int_equal(photo_add(s), FB_OK);
    assert_arrives(s);
    memset(&p, 0, sizeof p);
    fleet_must(blob_place_init(&p, mem_files_port(s->f.files), "server/master.db",
                               &(blob_limits){.unnamed_days = 30}),
               NULL, "place");
    fleet_must(blob_backup(&p, s->f.admin, s->f.admin, "server/backup.blobs",
                           &(blob_moment){s->f.now_ms, 0}, &backed, &err),
               &err, "backup");
    blob_place_clear(&p);
    s->f.now_ms += 24 * 3600000LL;
    assert_int_equal(lane_once(s, &r), FB_OK);
    fleet_must(fb_attachment_free(s->rep->db, 0, NULL, &err), &err, "free");
    fleet_must(fb_attachment_want(s->rep->db, &s->attachment, FB_PART_ORIGINAL, false, &err), &err,
               "want");
    return s;
}

/* At each call of the database: before and after the pieces and the name. What was fetched is not
 * fetched twice, but for the piece at hand. */
static void device_loses_power_at_every_commit_of_fetching(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool fired = true; fired; n++) {
        stage *s = stage_wanting();
        fb_lane_report before = {0}, after = {0};
        crash_vfs_crash_after(s->f.vfs, "dev1", n);
        fb_code rc = lane_once(s, &before);
        fired = crash_vfs_is_crashed(s->f.vfs, "dev1");
        assert_true(fired || rc == FB_OK);
        device_dies(s);
        assert_int_equal(lane_once(s, &after), FB_OK);
        assert_int_equal(assert_whole(s), 1);
        assert_true(before.bytes_down + after.bytes_down < PHOTO_BYTES + PIECE_BYTES + 1000);
        fleet_close(&s->f);
        assert_true(n < CALLS_MAX);
    }
    assert_true(n > 4);
}

/* A call that fails once, and the process lives on. */
static void failing_calls_lose_nothing(void **state)
{
    (void)state;
    static const fb_code CODES[] = {FB_E_IO, FB_E_DISK_FULL};
    for (size_t k = 0; k < 2; k++) {
        for (uint64_t n = 1; n < 10; n++) {
            stage *s = stage_open();
            fb_lane_report r = {0};
            mem_files_fail(s->f.files, n, CODES[k], false);
            if (photo_add(s) != FB_OK) {
                assert_int_equal(fleet_number(s->rep, "SELECT count(*) FROM attachment"), 0);
                assert_int_equal(photo_add(s), FB_OK);
            }
            fleet_sync(s->rep);
            fb_code ignored = lane_once(s, &r);
            (void)ignored;
            assert_int_equal(assert_whole(s), 1);
            assert_arrives(s);
            fleet_close(&s->f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_loses_power_at_every_call_of_adding),
        cmocka_unit_test(either_side_loses_power_at_every_call_of_the_lane),
        cmocka_unit_test(device_loses_power_at_every_commit_of_fetching),
        cmocka_unit_test(failing_calls_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
