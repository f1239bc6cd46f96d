/* test_stage.c - what a replica refuses or does not believe of a reply, and how it reads its outbox
 * for the next request. Each case is a fault that a mutant once planted and no test noticed. */
#include "support/lab.h"

#include <sqlite3.h>

#include "base/id.h"
#include "support/crash_vfs.h"
#include "wire/sync_msg.h"

#define DB lab_path("stage")

static void expect_refused(lab *l, buf *out, fb_code wanted)
{
    stage_result got;
    fb_error err = {.code = FB_OK};
    assert_int_equal(reply_try(l, out, &got, &err), wanted);
    assert_int_equal(err.code, wanted);
}

static void stage__verdicts_come_without_a_gap(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    for (unsigned i = 1; i <= 3; i++) {
        lab_save(&l, i, "mine", 1);
    }
    reply_begin(&l, &out, 2, 0, 7); /* as many as applied, but the second is the third's */
    reply_verdict(&out, 1, VERDICT_MERGED, true);
    reply_verdict(&out, 3, VERDICT_MERGED, true);
    reply_page(&out, "0.7", true, false);
    expect_refused(&l, &out, FB_E_PROTOCOL);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_verdict"), 0);
    lab_stop(&l);
}

static int64_t backed_up(lab *l)
{
    outbox_state s;
    assert_int_equal(outbox_state_get(l->r, &s), FB_OK);
    return s.backed_up;
}

static void stage__backed_up_never_passes_what_was_answered_and_never_goes_back(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 2);
    for (unsigned i = 1; i <= 3; i++) {
        lab_save(&l, i, "mine", 1);
    }
    reply_begin(&l, &out, 2, 3, 7);
    verdict_run_put(&out, 1, 2, 6);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_int_equal(backed_up(&l), 2);
    reply_begin(&l, &out, 2, 1, 8);
    reply_page(&out, "0.8", true, false);
    reply_take(&l, &out);
    assert_int_equal(backed_up(&l), 2);
    lab_stop(&l);
}

static void stage__a_later_verdict_changes_only_what_was_held(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 3);
    lab_save(&l, 1, "mine", 1);
    reply_begin(&l, &out, 1, 0, 7);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    reply_begin(&l, &out, 1, 0, 8); /* nobody held it: it stays refused */
    reply_verdict(&out, 1, VERDICT_APPLIED, true);
    reply_page(&out, "0.8", true, false);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    assert_int_equal(lab_count(&l, "SELECT code FROM fb_verdict WHERE gseq=1"), VERDICT_REJECTED);
    assert_int_equal(lab_count(&l, "SELECT state FROM fb_outbox WHERE gseq=1"), 2); /* the tray */
    lab_check(&l);
    lab_stop(&l);
}

static void stage__a_server_that_forgot_its_answers_is_refused(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 8);
    lab_save(&l, 1, "mine", 1);
    reply_begin(&l, &out, 1, 0, 7);
    verdict_run_put(&out, 1, 1, 6);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    reply_begin(&l, &out, 0, 0, 8); /* the same epoch, and one answer less */
    reply_page(&out, "0.8", true, false);
    expect_refused(&l, &out, FB_E_PROTOCOL);
    lab_stop(&l);
}

static void stage__a_new_epoch_takes_back_aliases_that_no_backup_holds(void **state)
{
    lab l;
    buf out;
    char from[FB_ID_TEXT_BYTES], to[FB_ID_TEXT_BYTES];
    fb_id one = lab_id(1), two = lab_id(2);
    (void)state;
    lab_start(&l, DB, 9);
    lab_save(&l, 1, "the same", 1);
    id_put(&one, from);
    id_put(&two, to);
    struct verdict_alias alias = {T("lab_item"), text_of(from), text_of(to)};
    const verdict_msg v = {
        .gseq = 1, .code = VERDICT_ALIAS, .echo = true, .aliases = &alias, .aliases_count = 1};
    reply_begin(&l, &out, 1, 0, 6);
    verdict_put(&out, &v);
    reply_page(&out, "0.6", true, false);
    reply_row(&l, &out, 2, "the same", NULL, 1, 60);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_alias"), 1);
    l.epoch = lab_id(0xE00002);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, true);
    reply_rights(&l, &out);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_alias"), 0);
    assert_true(lab_has(&l, 1)); /* pending again, under its own id */
    lab_check(&l);
    lab_stop(&l);
}

/* A device revived by a new epoch may send under its new life at once: what it then is must be on
 * the disk when the reply was taken, also when the second copy cannot be begun anew. */
static void stage__a_new_epoch_outlives_a_power_loss(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    replica_identity before, then, after;
    (void)state;
    crash_vfs *v = crash_vfs_new("stage_epoch", 14);
    lab_init(&l, "first/db", "stage_epoch", 14);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    lab_save(&l, 1, "answered, in a backup that is lost too", 1);
    reply_begin(&l, &out, 1, 1, 6);
    verdict_run_put(&out, 1, 1, 6);
    reply_take(&l, &out);
    assert_int_equal(replica_identity_get(l.r, &before), FB_OK);
    lab_close(&l);
    snprintf(l.path, sizeof l.path, "phone/db");
    for (uint64_t seed = 1; seed <= 20; seed++) {
        crash_vfs_copy(v, "first", "phone");
        crash_vfs_reseed(v, seed);
        assert_int_equal(lab_open(&l, &err), FB_OK);
        l.epoch = before.epoch;
        reply_begin(&l, &out, 1, 1, 7); /* whatever an opening leaves for later is done now */
        reply_take(&l, &out);
        l.epoch = lab_id(0xE00002);
        reply_begin(&l, &out, 0, 0, 5);
        crash_vfs_fail(v, "phone", 1, SQLITE_CANTOPEN, true);
        assert_true(reply_take(&l, &out).reborn);
        crash_vfs_fail(v, "phone", 0, SQLITE_OK, false);
        assert_int_equal(replica_identity_get(l.r, &then), FB_OK);
        assert_false(id_equal(&then.incarnation, &before.incarnation));
        crash_vfs_crash(v, "phone");
        lab_close(&l);
        crash_vfs_reboot(v, "phone");
        assert_int_equal(lab_open(&l, &err), FB_OK);
        assert_int_equal(replica_identity_get(l.r, &after), FB_OK);
        assert_true(id_equal(&after.epoch, &l.epoch));
        assert_true(id_equal(&after.incarnation, &then.incarnation));
        lab_check(&l);
        lab_close(&l);
        crash_vfs_remove(v, "phone");
    }
    crash_vfs_free(v);
}

/* The first group is applied, and another's row comes. A second group waits all the while. */
static fb_code take_verdict_and_row(lab *l)
{
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    reply_begin(l, &out, 1, 1, 7);
    verdict_run_put(&out, 1, 1, 6);
    reply_page(&out, "0.7", true, false);
    reply_row(l, &out, 3, "of another", NULL, 1, 70);
    return reply_try(l, &out, &got, &err);
}

/* The commit reached the log, what came after it failed: the caller hears E_IO, and the next
 * opening may find the reply taken. Whichever it is, asked again the device gets to the same place.
 */
static void stage__a_reply_that_failed_at_the_disk_may_be_taken_twice(void **state)
{
    static const int faults[] = {SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ};
    enum { KINDS = sizeof faults / sizeof faults[0], CALLS_MAX = 600 };
    lab l;
    fb_error err = {.code = FB_OK};
    bool fired = true;
    int failed = 0, n = 0;
    (void)state;
    crash_vfs *v = crash_vfs_new("stage_twice", 15);
    lab_init(&l, "first/db", "stage_twice", 15);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    lab_save(&l, 1, "answered", 1);
    lab_save(&l, 2, "waits", 1);
    lab_close(&l);
    snprintf(l.path, sizeof l.path, "phone/db");
    for (; fired && n < CALLS_MAX; n++) {
        crash_vfs_copy(v, "first", "phone");
        lab_reopen(&l);
        crash_vfs_fail(v, "phone", 1 + (uint64_t)(n / KINDS), faults[n % KINDS], false);
        fb_code rc = take_verdict_and_row(&l);
        fired = crash_vfs_failed(v, "phone") || n % KINDS != 0;
        crash_vfs_fail(v, "phone", 0, SQLITE_OK, false);
        assert_true(rc == FB_OK || code_is_machines(rc));
        failed += rc != FB_OK;
        if (n / KINDS % 2 == 1) {
            crash_vfs_kill(v, "phone"); /* before it could ask again */
            lab_close(&l);
            crash_vfs_reboot(v, "phone");
            lab_reopen(&l);
        }
        assert_int_equal(take_verdict_and_row(&l), FB_OK);
        outbox_state box;
        assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
        assert_true(box.last == 2 && box.acked == 1 && box.backed_up == 1);
        assert_true(lab_has(&l, 1) && lab_has(&l, 2) && lab_has(&l, 3));
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 3);
        lab_check(&l);
        lab_close(&l);
        crash_vfs_remove(v, "phone");
    }
    assert_true(failed > 4 && n < CALLS_MAX);
    crash_vfs_free(v);
}

static void stage__a_page_that_starts_anew_drops_what_was_staged(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 4);
    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "0.7", false, false);
    reply_row(&l, &out, 1, "of the old download", NULL, 1, 70);
    reply_take(&l, &out);
    reply_begin(&l, &out, 0, 0, 8);
    reply_page(&out, "0.8", false, true);
    reply_rights(&l, &out);
    reply_take(&l, &out);
    reply_begin(&l, &out, 0, 0, 8);
    reply_page(&out, "0.9", true, false);
    reply_row(&l, &out, 2, "of the new one", NULL, 1, 80);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    assert_true(lab_has(&l, 2));
    lab_stop(&l);
}

static void stage__the_clock_is_read_in_the_middle_of_the_exchange(void **state)
{
    lab l;
    buf out;
    stage_result got;
    int64_t offset = 0;
    (void)state;
    lab_start(&l, DB, 10);
    reply_begin(&l, &out, 0, 0, 7);
    sync_end_put(&out);
    assert_int_equal(stage_reply(l.r, buf_text(&out), l.wall_ms - 20000, &got, NULL), FB_OK);
    buf_clear(&out);
    (void)replica_now_ms(l.r, &offset, NULL);
    assert_int_equal(offset, 10000);
    lab_stop(&l);
}

static void clock__an_older_reply_does_not_take_back_what_was_seen(void **state)
{
    lab l;
    int64_t offset = 0;
    bool suspect = false;
    (void)state;
    lab_start(&l, DB, 11);
    assert_int_equal(replica_clock_seen(l.r, l.wall_ms + 3600000, l.wall_ms), FB_OK);
    assert_int_equal(replica_clock_seen(l.r, l.wall_ms + 1000, l.wall_ms - 3599000), FB_OK);
    l.wall_ms -= 1000000;
    (void)replica_now_ms(l.r, &offset, &suspect);
    assert_int_equal(offset, 3600000);
    assert_true(suspect);
    lab_stop(&l);
}

static void stage__a_device_without_a_base_takes_only_a_page_that_starts_anew(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 12);
    l.epoch = lab_id(0xE00002);
    reply_begin(&l, &out, 0, 0, 6);
    reply_take(&l, &out);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_row(&l, &out, 1, "on nothing", NULL, 1, 60);
    expect_refused(&l, &out, FB_E_PROTOCOL);
    assert_false(lab_has(&l, 1));
    lab_stop(&l);
}

static void stage__a_base_that_starts_anew_forgets_rows_it_did_not_know(void **state)
{
    lab l;
    buf out;
    fb_id id = lab_id(1);
    char text[FB_ID_TEXT_BYTES];
    (void)state;
    lab_start(&l, DB, 13);
    id_put(&id, text);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    buf_printf(&out, "{\"e\":\"of_tomorrow\",\"k\":\"row\",\"c\":[\"id\"]}\n[\"%s\"]\n", text);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 1);
    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "0.7", true, true);
    reply_rights(&l, &out);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 0);
    lab_stop(&l);
}

static void stage__what_a_person_closed_stays_closed_in_a_new_epoch(void **state)
{
    static const verdict_code AGAIN[] = {VERDICT_REJECTED, VERDICT_BLOCKED};
    (void)state;
    for (size_t i = 0; i < sizeof AGAIN / sizeof AGAIN[0]; i++) {
        lab l;
        buf out;
        fb_error err = {.code = FB_OK};
        lab_start(&l, DB, 14);
        lab_save(&l, 1, "mine", 1);
        reply_begin(&l, &out, 1, 0, 6);
        reply_verdict(&out, 1, VERDICT_REJECTED, false);
        reply_page(&out, "0.6", true, false);
        reply_take(&l, &out);
        assert_int_equal(problem_discard(l.r, 1, &err), FB_OK);
        l.epoch = lab_id(0xE00002);
        reply_begin(&l, &out, 0, 0, 5);
        reply_page(&out, "0.5", true, true);
        reply_rights(&l, &out);
        reply_take(&l, &out);
        reply_begin(&l, &out, 1, 0, 7);
        reply_verdict(&out, 1, AGAIN[i], false);
        reply_page(&out, "0.7", true, false);
        reply_take(&l, &out);
        assert_int_equal(lab_count(&l, "SELECT state FROM fb_outbox WHERE gseq=1"), 4);
        lab_stop(&l);
    }
}

/* --- the outbox, read for a request --------------------------------------------------- */

static fb_code read_from(lab *l, int64_t first, size_t bytes_target, uint32_t *count, digest *chain)
{
    buf body;
    buf_init(&body, 8 << 20);
    fb_code rc = outbox_read(l->r, first, 100, bytes_target, &body, count, chain);
    buf_clear(&body);
    return rc;
}

static void outbox__reads_no_more_than_the_target_and_at_least_one(void **state)
{
    lab l;
    uint32_t count = 0;
    digest chain;
    (void)state;
    lab_start(&l, DB, 5);
    for (unsigned i = 1; i <= 5; i++) {
        lab_save(&l, i, "mine", 1);
    }
    assert_int_equal(read_from(&l, 1, 1, &count, &chain), FB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(read_from(&l, 1, 1 << 20, &count, &chain), FB_OK);
    assert_int_equal(count, 5);
    lab_stop(&l);
}

static void outbox__a_group_that_is_missing_is_damage_OUT_2(void **state)
{
    lab l;
    uint32_t count = 0;
    digest chain;
    (void)state;
    lab_start(&l, DB, 6);
    for (unsigned i = 1; i <= 3; i++) {
        lab_save(&l, i, "mine", 1);
    }
    assert_int_equal(sql_exec(replica_sql(l.r), "DELETE FROM fb_outbox WHERE gseq=2"), FB_OK);
    assert_int_equal(read_from(&l, 1, 1 << 20, &count, &chain), FB_E_CORRUPT);
    lab_stop(&l);
}

static void outbox__tells_the_chain_before_its_first_group(void **state)
{
    lab l;
    outbox_state s;
    uint32_t count = 0;
    digest after_two, found;
    (void)state;
    lab_start(&l, DB, 7);
    lab_save(&l, 1, "mine", 1);
    lab_save(&l, 2, "mine", 1);
    assert_int_equal(outbox_state_get(l.r, &s), FB_OK);
    after_two = s.chain_last;
    lab_save(&l, 3, "mine", 1);
    assert_int_equal(read_from(&l, 3, 1 << 20, &count, &found), FB_OK);
    assert_memory_equal(found.b, after_two.b, sizeof found.b);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stage__verdicts_come_without_a_gap),
        cmocka_unit_test(stage__backed_up_never_passes_what_was_answered_and_never_goes_back),
        cmocka_unit_test(stage__a_later_verdict_changes_only_what_was_held),
        cmocka_unit_test(stage__a_server_that_forgot_its_answers_is_refused),
        cmocka_unit_test(stage__a_new_epoch_takes_back_aliases_that_no_backup_holds),
        cmocka_unit_test(stage__a_new_epoch_outlives_a_power_loss),
        cmocka_unit_test(stage__a_reply_that_failed_at_the_disk_may_be_taken_twice),
        cmocka_unit_test(stage__a_page_that_starts_anew_drops_what_was_staged),
        cmocka_unit_test(stage__the_clock_is_read_in_the_middle_of_the_exchange),
        cmocka_unit_test(clock__an_older_reply_does_not_take_back_what_was_seen),
        cmocka_unit_test(stage__a_device_without_a_base_takes_only_a_page_that_starts_anew),
        cmocka_unit_test(stage__a_base_that_starts_anew_forgets_rows_it_did_not_know),
        cmocka_unit_test(stage__what_a_person_closed_stays_closed_in_a_new_epoch),
        cmocka_unit_test(outbox__reads_no_more_than_the_target_and_at_least_one),
        cmocka_unit_test(outbox__a_group_that_is_missing_is_damage_OUT_2),
        cmocka_unit_test(outbox__tells_the_chain_before_its_first_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
