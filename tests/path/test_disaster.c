/* test_disaster.c - files that are put back: the high-water mark, a new epoch, backups and
 * verdicts, a device enrolled anew. Over a server and devices in memory; tests/sim does the same at
 * random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>

static fleet f;

static void server_stop(void)
{
    server_job_free(f.job);
    f.job = NULL;
    store_close(f.admin);
    server_reader_close(f.reader);
    server_close(f.srv);
    f.admin = NULL;
    f.reader = NULL;
    f.srv = NULL;
}

static void server_start(void)
{
    fb_error err = {0};
    server_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_must(
        store_open(&(store_options){.path = "server/master.db", .vfs = "fleetfs"}, &f.admin, &err),
        &err, "store_open");
    company_init(&f.company, f.admin, &f.port, (uint64_t)f.now_ms);
    fleet_must(server_open(&o, &f.srv, &err), &err, "server_open");
    fleet_must(server_reader_open(f.srv, &f.reader, &err), &err, "server_reader_open");
}

typedef struct mark_file {
    const char *name;
    void *data;
    size_t size;
} mark_file;

static void mark_take(void *ctx, const char *file, const void *data, size_t size)
{
    mark_file *m = ctx;
    if (strcmp(file, m->name) == 0) {
        m->data = malloc(size);
        assert_non_null(m->data);
        memcpy(m->data, data, size);
        m->size = size;
    }
}

static void backup_take(void)
{
    crash_vfs_copy(f.vfs, "server", "backup");
}

/* What a person does who copies the old database over the new one. */
static void database_put_back(void)
{
    mark_file mark = {.name = "server/master.db.high-water"};
    server_stop();
    crash_vfs_each(f.vfs, mark_take, &mark);
    assert_non_null(mark.data);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "backup", "server");
    crash_vfs_put(f.vfs, "server/master.db.high-water", mark.data, mark.size);
    free(mark.data);
}

static int64_t epoch_new(void)
{
    fb_error err = {0};
    int64_t commit = 0;
    server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    return commit;
}

static void backup_tell(int64_t commit)
{
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(store_meta_int_set(f.admin, "backed_up_cid", commit), NULL, "backed_up_cid");
    fleet_must(store_commit(f.admin), NULL, "commit");
    server_tick(f.srv, (uint64_t)f.now_ms);
}

static int64_t head(void)
{
    int64_t cid = 0;
    fleet_must(ledger_head(f.admin, &cid), NULL, "ledger_head");
    return cid;
}

static void talk(fleet_device *d, const char *subject)
{
    fb_error err = {0};
    fleet_must(fb_activity_log(d->db, &f.customers[0], subject, NULL, NULL, &err), &err,
               "fb_activity_log");
}

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static void server__refuses_everybody_when_its_database_was_put_back(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    backup_take();
    talk(d, "after the backup");
    fleet_sync(d);
    database_put_back();
    server_start();
    assert_true(server_is_suspect(f.srv));
    assert_int_equal(fleet_try_sync(d, &err), FB_E_EPOCH);
    server_stop();
    epoch_new();
    server_start();
    assert_false(server_is_suspect(f.srv));
    fleet_sync(d);
    assert_true(d->report.epoch_changed);
    assert_int_equal(d->report.groups_sent, 1); /* the backup had not got it */
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(fleet_number(other, "SELECT count(*) FROM activity"), 1);
}

static void server__starts_again_after_a_clean_end_and_after_a_crash(void **state)
{
    (void)state;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "one");
    fleet_sync(d);
    server_stop();
    server_start();
    assert_false(server_is_suspect(f.srv));
    talk(d, "two");
    fleet_sync(d);
    crash_vfs_crash(f.vfs, "server");
    server_stop();
    crash_vfs_reboot(f.vfs, "server");
    server_start();
    assert_false(server_is_suspect(f.srv));
    talk(d, "three");
    fleet_sync(d);
}

/* Other commits have brought the number beyond the mark: the audit chain still tells. */
static void server__notices_a_database_that_went_another_way(void **state)
{
    (void)state;
    backup_take();
    fb_id customer = f.customers[0];
    company_set(&f.company, "customer", &customer, PAIRS("remark", "kept"));
    server_tick(f.srv, (uint64_t)f.now_ms);
    database_put_back();
    store *db = NULL;
    fb_error err = {0};
    fleet_must(
        store_open(&(store_options){.path = "server/master.db", .vfs = "fleetfs"}, &db, &err), &err,
        "store_open");
    company c;
    company_init(&c, db, &f.port, 99);
    company_set(&c, "customer", &customer, PAIRS("remark", "another"));
    company_set(&c, "customer", &customer, PAIRS("remark", "and another"));
    store_close(db);
    server_start();
    assert_true(server_is_suspect(f.srv));
}

static void server__that_runs_stops_answering_when_the_epoch_changes_under_it(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    epoch_new();
    assert_int_equal(fleet_try_sync(d, &err), FB_E_EPOCH);
}

/* A refusal makes no commit: the backup taken before it must not count as holding it (seed 51: a
 * restored server and the device then disagreed for ever, E_GAP). */
static void backup__holds_a_verdict_without_a_commit_only_when_taken_after_it(void **state)
{
    (void)state;
    char hex[40];
    fb_id role;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fleet_text(d, "SELECT lower(hex(id)) FROM user_role", hex, sizeof hex);
    assert_true(hex_get(text_of(hex), role.b, sizeof role.b));
    talk(d, "kept");
    fleet_sync(d);
    talk(d, "refused");
    company_delete(&f.company, "user_role", &role);
    backup_take();
    int64_t backed_up = head();
    fleet_sync(d);
    assert_int_equal(d->report.rejected_count, 1);
    assert_int_equal(head(), backed_up); /* nothing was committed */
    backup_tell(backed_up);
    fleet_sync(d);
    fleet_sync(d);
    database_put_back();
    epoch_new();
    server_start();
    fleet_sync(d); /* was E_GAP for ever */
    assert_int_equal(d->report.rejected_count, 1);
}

static void enrolled_anew__sends_again_what_the_restored_server_lacks(void **state)
{
    (void)state;
    fb_error err = {0};
    backup_take(); /* before the device is known at all */
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "answered");
    fleet_sync(d);
    database_put_back();
    epoch_new();
    server_start();
    assert_int_equal(fleet_try_sync(d, &err), FB_E_AUTH);
    fleet_must(fleet_enrol_again(d, &f.users[0], &err), &err, "enrol again");
    fleet_sync(d);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity WHERE subject = 'answered'"),
                     1);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(
        fleet_number(other, "SELECT count(*) FROM activity WHERE subject = 'answered'"), 1);
}

/* The backup has the group under the old device: the new one's repeat is recognised by its line. */
static void enrolled_anew__is_not_refused_what_the_old_device_had_delivered(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "answered");
    fleet_sync(d);
    backup_take();
    database_put_back();
    epoch_new();
    server_start();
    fleet_must(fleet_enrol_again(d, &f.users[0], &err), &err, "enrol again");
    fleet_sync(d);
    assert_int_equal(d->report.groups_sent, 1);
    assert_int_equal(d->report.rejected_count, 0);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity WHERE subject = 'answered'"),
                     1);
}

static int64_t talks(fleet_device *d, const char *subject)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM activity WHERE subject = '%s'", subject);
    return fleet_number(d, sql);
}

/* What was answered, refused and never sent: all of it goes up again, the server knows what it has,
 * and the tray fills itself. */
static void phone__that_lost_its_database_sends_everything_once(void **state)
{
    (void)state;
    fb_status st = FB_STATUS_INIT;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "answered");
    fleet_sync(d);
    talk(d, "never sent");
    fleet_lose_database(d);
    assert_int_equal(talks(d, "never sent"), 1); /* seen before any network */
    fleet_sync(d);
    assert_int_equal(d->report.groups_sent, 2);
    assert_int_equal(d->report.rejected_count, 0);
    assert_int_equal(talks(d, "answered"), 1);
    assert_int_equal(talks(d, "never sent"), 1);
    fleet_must(fb_status_get(d->db, &st, NULL), NULL, "status");
    assert_int_equal(st.pending_count, 0);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(talks(other, "answered"), 1);
    assert_int_equal(talks(other, "never sent"), 1);
}

/* The operating system's backup brought an old database back, the second copy stayed. */
static void phone__with_an_older_database_goes_on_where_it_was(void **state)
{
    (void)state;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "one");
    fleet_reopen(d);
    crash_vfs_copy(f.vfs, "dev1", "cloud");
    talk(d, "two");
    fleet_sync(d);
    talk(d, "three");
    fb_db_close(d->db);
    d->db = NULL;
    mark_file old = {.name = "cloud/replica.db"};
    crash_vfs_each(f.vfs, mark_take, &old);
    fleet_put_file(&f, "dev1/replica.db", old.data, old.size);
    free(old.data);
    fleet_open_again(d);
    fleet_sync(d);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(talks(other, "one"), 1);
    assert_int_equal(talks(other, "two"), 1);
    assert_int_equal(talks(other, "three"), 1);
}

/* Kept by a person who was told that it was refused. */
static void phone__that_lost_its_database_has_its_tray_again(void **state)
{
    char hex[40];
    fb_id role;
    (void)state;
    fb_status st = FB_STATUS_INIT;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fleet_text(d, "SELECT lower(hex(id)) FROM user_role", hex, sizeof hex);
    assert_true(hex_get(text_of(hex), role.b, sizeof role.b));
    talk(d, "refused");
    company_delete(&f.company, "user_role", &role);
    fleet_sync(d);
    assert_int_equal(d->report.rejected_count, 1);
    fleet_lose_database(d);
    fleet_sync(d);
    fleet_must(fb_status_get(d->db, &st, NULL), NULL, "status");
    assert_int_equal(st.rejected_count, 1);
    assert_int_equal(st.pending_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(server__refuses_everybody_when_its_database_was_put_back,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(server__starts_again_after_a_clean_end_and_after_a_crash,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(server__notices_a_database_that_went_another_way, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            server__that_runs_stops_answering_when_the_epoch_changes_under_it, setup, teardown),
        cmocka_unit_test_setup_teardown(
            backup__holds_a_verdict_without_a_commit_only_when_taken_after_it, setup, teardown),
        cmocka_unit_test_setup_teardown(
            enrolled_anew__is_not_refused_what_the_old_device_had_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(enrolled_anew__sends_again_what_the_restored_server_lacks,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(phone__that_lost_its_database_sends_everything_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(phone__with_an_older_database_goes_on_where_it_was, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(phone__that_lost_its_database_has_its_tray_again, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
