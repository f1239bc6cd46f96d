/* test_replica.c - the file itself: opening, identity, clock, a new incarnation, and power loss at
 * every single write of a workload that saves and promotes. */
#include <unistd.h>

#include <sqlite3.h>

#include "support/crash_vfs.h"
#include "support/lab.h"

#define DB lab_path("replica")

static void replica__refuses_files_that_are_not_its_own(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    sql_db *db = NULL;
    const sql_options o = {.create = true};
    (void)state;
    lab_init(&l, DB, NULL, 1);
    assert_int_equal(sql_open(DB, &o, &db, &err), FB_OK);
    assert_int_equal(sql_exec(db, "CREATE TABLE other (x)"), FB_OK);
    assert_int_equal(lab_open(&l, &err), FB_E_INVALID);
    assert_int_equal(sql_exec(db, "DROP TABLE other"), FB_OK);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_close(&l);
    assert_int_equal(sql_exec(db, "PRAGMA user_version=999"), FB_OK);
    assert_int_equal(lab_open(&l, &err), FB_E_NEWER);
    assert_true(strstr(err.message, "upgrade") != NULL);
    sql_close(db);
    lab_stop(&l);
}

static void replica__read_only_reads_and_writes_nothing(void **state)
{
    lab l;
    replica *reader = NULL;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 2);
    lab_save(&l, 1, "one", 1);
    const replica_options o = {.path = DB, .port = &l.port, .read_only = true};
    assert_int_equal(replica_open(&o, &reader, &err), FB_OK);
    assert_int_equal(capture_begin(reader, "lab.save", 0, 0, &err), FB_E_READ_ONLY);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_id one = lab_id(1);
    arena *memory = arena_new(1 << 20);
    const cat_entity *item = catalog_entity_str(replica_catalog(reader), "lab_item");
    assert_int_equal(row_read(reader, item, &one, memory, values), FB_OK);
    const fb_value name = {.kind = FB_KIND_TEXT, .u.text = T("one")};
    assert_int_equal(row_find(reader, item, l.name, &name, memory, values), FB_OK);
    assert_true(id_equal(&values[0].u.id, &one));
    assert_int_equal(replica_check(reader, &err), FB_OK);
    arena_free(memory);
    replica_close(reader);
    lab_stop(&l);
}

static void replica__identity_and_texts_survive(void **state)
{
    lab l;
    replica_identity a;
    replica_identity b;
    buf text;
    (void)state;
    lab_start(&l, DB, 3);
    assert_int_equal(replica_identity_get(l.r, &a), FB_OK);
    assert_false(id_is_none(&a.incarnation));
    assert_int_equal(replica_meta_set(l.r, "app.note", T("hello")), FB_OK);
    assert_int_equal(replica_meta_set(l.r, "acked", T("5")),
                     FB_E_MISUSE); /* the sync state is ours */
    lab_reopen(&l);
    assert_int_equal(replica_identity_get(l.r, &b), FB_OK);
    assert_memory_equal(&a, &b, sizeof a);
    buf_init(&text, 100);
    assert_int_equal(replica_meta_get(l.r, "app.note", &text), FB_OK);
    assert_string_equal(buf_cstr(&text), "hello");
    buf_clear(&text);
    lab_stop(&l);
}

static void replica__another_person_takes_over_only_a_settled_device(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 4);
    lab_save(&l, 1, "unsent", 1);
    replica_identity me;
    assert_int_equal(replica_identity_get(l.r, &me), FB_OK);
    me.user = lab_id(0xF00009);
    assert_int_equal(replica_identity_set(l.r, &me), FB_E_STATE);
    assert_true(lab_has(&l, 1));
    reply_begin(&l, &out, 1, 0, 6);
    verdict_run_put(&out, 1, 1, 6);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    assert_int_equal(replica_identity_set(l.r, &me), FB_OK);
    assert_false(lab_has(&l, 1)); /* nothing of the person before stays readable */
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM user_role"), 0);
    lab_check(&l);
    lab_stop(&l);
}

static void replica__clock_is_corrected_and_doubted(void **state)
{
    lab l;
    int64_t offset = 0;
    bool suspect = true;
    (void)state;
    lab_start(&l, DB, 5);
    assert_int_equal(replica_now_ms(l.r, &offset, &suspect), l.wall_ms);
    assert_false(suspect);
    assert_int_equal(replica_clock_seen(l.r, l.wall_ms + 100, l.wall_ms), FB_OK);
    (void)replica_now_ms(l.r, &offset, &suspect);
    assert_int_equal(offset, 0); /* the network's jitter, not the clock's error */
    assert_int_equal(replica_clock_seen(l.r, l.wall_ms + 3600000, l.wall_ms), FB_OK);
    lab_reopen(&l);
    assert_int_equal(replica_now_ms(l.r, &offset, &suspect), l.wall_ms + 3600000);
    assert_int_equal(offset, 3600000);
    assert_false(suspect);
    l.wall_ms -= 10000000;
    (void)replica_now_ms(l.r, &offset, &suspect);
    assert_true(suspect);
    l.wall_ms += INT64_C(75) * 365 * 86400000;
    (void)replica_now_ms(l.r, &offset, &suspect);
    assert_true(suspect);
    lab_stop(&l);
}

static void replica__rebirth_renumbers_what_was_not_answered(void **state)
{
    lab l;
    buf out;
    buf number;
    outbox_state box;
    replica_identity before;
    replica_identity after;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 6);
    buf_init(&number, 100);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_OK);
    lab_insert(&l, 1, "one", 1);
    lab_commit(&l);
    lab_save(&l, 2, "two", 2);
    lab_save(&l, 3, "three", 3);
    lab_change(&l, 2, l.name, "two again");
    reply_begin(&l, &out, 2, 1, 7);
    verdict_run_put(&out, 1, 2, 6);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_int_equal(replica_identity_get(l.r, &before), FB_OK);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    assert_int_equal(replica_identity_get(l.r, &after), FB_OK);
    assert_false(id_equal(&before.incarnation, &after.incarnation));
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, 2);
    assert_int_equal(box.acked, 0);
    assert_true(lab_has(&l, 1) && lab_has(&l, 2) && lab_has(&l, 3)); /* nothing flickers */
    /* In no backup yet: kept, though not sent again. */
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE gseq < 0 AND state=5"), 1);
    lab_check(&l);
    buf_reset(&number);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_OK);
    assert_string_equal(buf_cstr(&number),
                        "SO-A1-001002"); /* never one that an earlier life may have used */
    buf_reset(&number);
    assert_int_equal(capture_number(l.r, "VI", &number, &err), FB_OK);
    assert_string_equal(buf_cstr(&number), "VI-A1-001001"); /* nor of a series not begun here */
    capture_abort(l.r);
    buf_clear(&number);

    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "0.7", true, false);
    stage_result got;
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_E_PROTOCOL); /* VIS-3: only a reset */
    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "0.7", true, true);
    reply_rights(&l, &out);
    reply_row(&l, &out, 1, "one", NULL, 1, 60);
    reply_row(&l, &out, 2, "two", NULL, 2, 61);
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 2, l.name), "two again");
    assert_true(lab_has(&l, 3));
    lab_check(&l);
    lab_stop(&l);
}

static void replica__check_finds_damage(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 7);
    lab_save(&l, 1, "one", 1);
    lab_change(&l, 1, l.name, "two");
    lab_check(&l);
    static const struct {
        const char *damage, *name;
    } cases[] = {
        {"DELETE FROM fb_outbox WHERE gseq=1", "OUT-2"},
        {"UPDATE fb_outbox SET chain=zeroblob(32) WHERE gseq=1", "OUT-3"},
        {"DELETE FROM fb_undo", "PRO-1"},
        {"UPDATE lab_item SET name='nobody wrote this'", "PRO-1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        replica *other = NULL;
        char sql[300];
        const char *damaged = lab_path("damaged");
        (void)unlink(damaged); /* of a run that was killed */
        snprintf(sql, sizeof sql, "VACUUM INTO '%s'", damaged);
        assert_int_equal(sql_exec(replica_sql(l.r), sql), FB_OK);
        const replica_options o = {.path = damaged, .port = &l.port};
        assert_int_equal(replica_open(&o, &other, &err), FB_OK);
        assert_int_equal(sql_exec(replica_sql(other), cases[i].damage), FB_OK);
        replica_close(other);
        assert_int_equal(replica_open(&o, &other, &err), FB_OK);
        assert_int_equal(replica_check(other, &err), FB_E_CORRUPT);
        assert_string_equal(err.field, cases[i].name);
        replica_close(other);
        assert_int_equal(unlink(damaged), 0);
        snprintf(sql, sizeof sql, "%s-broken", damaged); /* what was noted of it */
        assert_int_equal(unlink(sql), 0);
    }
    lab_stop(&l);
}

/* --- power loss ---------------------------------------------------------------------- */

enum { SAVES = 4 };

/* What a workload managed before the power went: commits that were reported, replies taken. */
typedef struct progress {
    int64_t saved;
    bool staged, promoted;
} progress;

static bool save_pair(lab *l, unsigned n, progress *done)
{
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    int64_t gseq = 0;
    if (capture_begin(l->r, "lab.save", 0, 0, NULL) != FB_OK) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        memset(values, 0, sizeof values);
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(100 + 2 * n + i)};
        values[l->name] = (fb_value){.kind = FB_KIND_TEXT, .u.text = T("pair")};
        if (capture_insert(l->r, l->item, values, NULL) != FB_OK) {
            capture_abort(l->r);
            return false;
        }
    }
    if (capture_commit(l->r, &gseq, NULL) != FB_OK) {
        return false;
    }
    done->saved = gseq;
    return true;
}

static bool take(lab *l, int64_t applied, bool complete)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, applied, complete ? applied : 0, complete ? 9 : 8);
    if (!complete) {
        verdict_run_put(&out, 1, 1, 5);
        reply_verdict(&out, 2, VERDICT_REJECTED, false);
    }
    reply_page(&out, complete ? "0.9" : "0.8+", complete, false);
    for (unsigned i = 1; i <= 20; i++) {
        reply_row(l, &out, complete ? i : 20 + i, complete ? "one" : "two",
                  "long enough a note to fill some pages", i, 80);
    }
    return reply_try(l, &out, &got, NULL) == FB_OK;
}

/* Groups 1..4 of two rows each; 1 and 2 answered, 2 refused; pages one and two. */
static void work(lab *l, progress *done)
{
    for (unsigned n = 0; n < 2; n++) {
        if (!save_pair(l, n, done)) {
            return;
        }
    }
    done->staged = take(l, 2, false);
    if (!done->staged || !save_pair(l, 2, done)) {
        return;
    }
    done->promoted = take(l, 2, true);
    if (done->promoted) {
        (void)save_pair(l, 3, done);
    }
}

static bool is_pair_whole(lab *l, unsigned n, bool *there)
{
    *there = lab_has(l, 100 + 2 * n);
    return *there == lab_has(l, 101 + 2 * n);
}

static void look_after_crash(lab *l, const progress *done, uint64_t at)
{
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    /* Reported saves are there; at most the one under way may be there as well. */
    if (box.last < done->saved || box.last > done->saved + 1) {
        fail_msg("call %llu: %lld groups, %lld were reported", (unsigned long long)at,
                 (long long)box.last, (long long)done->saved);
    }
    bool promoted = box.settled > 0;
    /* What the server said may be lost, it says it again; a save that was reported later took it
     * along. */
    bool carried = done->promoted && done->saved == SAVES;
    assert_true(promoted || !carried);
    assert_true(box.acked == 2 || !carried);
    for (unsigned n = 0; n < SAVES; n++) {
        bool there = false;
        assert_true(is_pair_whole(l, n, &there));
        assert_int_equal(there, (int64_t)n < box.last && !(promoted && n == 1));
    }
    assert_int_equal(lab_count(l, "SELECT count(*) FROM lab_item WHERE name IN ('one', 'two')"),
                     promoted ? 40 : 0);
    assert_int_equal(sql_check(replica_sql(l->r), NULL), FB_OK);
    lab_check(l);
}

static void replica__keeps_its_promises_after_a_crash_at_every_write(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    bool crashed = true;
    uint64_t points = 0;
    (void)state;
    crash_vfs *v = crash_vfs_new("replica_crash", 11);
    lab_init(&l, "first/db", "replica_crash", 8);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    lab_close(&l);
    snprintf(l.path, sizeof l.path, "phone/db");
    for (uint64_t at = 1; crashed; at++) {
        progress done = {.saved = 0};
        crash_vfs_copy(v, "first", "phone");
        assert_int_equal(lab_open(&l, &err), FB_OK);
        lab_find_columns(&l);
        crash_vfs_crash_after(v, "phone", at);
        work(&l, &done);
        crashed = crash_vfs_is_crashed(v, "phone");
        lab_close(&l);
        crash_vfs_reboot(v, "phone");
        crash_vfs_crash_after(v, "phone", 0);
        if (lab_open(&l, &err) != FB_OK) {
            fail_msg("call %llu: %s", (unsigned long long)at, err.message);
        }
        lab_find_columns(&l);
        look_after_crash(&l, &done, at);
        lab_close(&l);
        crash_vfs_remove(v, "phone");
        points++;
    }
    assert_true(points > 30);
    crash_vfs_free(v);
}

static void replica__a_full_disk_refuses_and_changes_nothing(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    progress done = {.saved = 0};
    outbox_state box;
    (void)state;
    crash_vfs *v = crash_vfs_new("replica_full", 12);
    lab_init(&l, "phone/db", "replica_full", 9);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    crash_vfs_quota(v, "phone", crash_vfs_used(v, "phone"));
    for (unsigned n = 0; n < 50; n++) { /* the WAL may have room for a few */
        (void)save_pair(&l, n, &done);
    }
    assert_true(done.saved < 50);
    assert_false(capture_is_open(l.r));
    assert_int_equal(capture_begin(l.r, "lab.save", 0, 0, &err), FB_OK);
    capture_abort(l.r);
    crash_vfs_quota(v, "phone", 0);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, done.saved);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 2 * done.saved);
    assert_true(save_pair(&l, 60, &done));
    lab_check(&l);
    lab_close(&l);
    crash_vfs_free(v);
}

/* The reply is undone by a full disk while nothing can be read either: true when the n-th read
 * failed. */
static bool reply_fails_unread(lab *l, crash_vfs *v, uint64_t n)
{
    buf out;
    fb_error err = {.code = FB_OK};
    stage_result result;
    crash_vfs_quota(v, "phone", crash_vfs_used(v, "phone"));
    crash_vfs_fail(v, "phone", n, SQLITE_IOERR_READ, true);
    reply_begin(l, &out, 1, 0, 5);
    verdict_run_put(&out, 1, 1, 5);
    assert_int_not_equal(reply_try(l, &out, &result, &err), FB_OK);
    bool failed = crash_vfs_failed(v, "phone");
    crash_vfs_fail(v, "phone", 0, SQLITE_OK, false);
    crash_vfs_quota(v, "phone", 0);
    return failed;
}

/* The simulator's seed 259: `acked` of a reply that was undone stayed in memory and was not written
 * with the next one. After a crash the device named numbers that contradict themselves. */
static void replica__forgets_a_reply_that_was_undone(void **state)
{
    lab l;
    buf out;
    bool failed = true;
    fb_error err = {.code = FB_OK};
    (void)state;
    crash_vfs *v = crash_vfs_new("replica_undone", 12);
    lab_init(&l, "phone/db", "replica_undone", 9);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    crash_vfs_copy(v, "phone", "before");
    for (uint64_t n = 1; failed; n++) {
        crash_vfs_remove(v, "phone");
        crash_vfs_copy(v, "before", "phone");
        assert_int_equal(lab_open(&l, &err), FB_OK);
        failed = reply_fails_unread(&l, v, n);
        reply_begin(&l, &out, 1, 0, 5);
        verdict_run_put(&out, 1, 1, 5);
        reply_page(&out, "0.5", true, false);
        (void)reply_take(&l, &out);
        lab_close(&l);
        if (lab_open(&l, &err) != FB_OK) {
            fail_msg("read %u: %s: %s", (unsigned)n, err.field, err.message);
        }
        lab_check(&l);
        lab_close(&l);
    }
    crash_vfs_free(v);
}

/* Two lives were answered by a server that is then restored: all of it goes up again, oldest first.
 */
static void replica__sends_again_what_earlier_lives_were_answered(void **state)
{
    lab l;
    buf out;
    outbox_state box;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 8);
    for (unsigned life = 0; life < 2; life++) {
        lab_save(&l, 1 + 2 * life, "answered", 1);
        lab_save(&l, 2 + 2 * life, "answered too", 2);
        reply_begin(&l, &out, 2, 0, 7);
        verdict_run_put(&out, 1, 2, 6);
        if (life == 0) {
            reply_page(&out, "0.7", true, false);
        }
        reply_take(&l, &out);
        assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    }
    lab_save(&l, 5, "waits", 5);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, 1);

    l.epoch = lab_id(0xE0FFFF);
    reply_begin(&l, &out, 0, 0, 3);
    reply_page(&out, "0.3", true, true);
    stage_result got = reply_take(&l, &out);
    assert_true(got.epoch_changed);
    assert_true(got.reborn);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.acked, 0);
    assert_int_equal(box.last, 5);
    for (int64_t g = 1; g <= 5; g++) {
        char id[FB_ID_TEXT_BYTES];
        uint32_t count = 0;
        digest before;
        fb_id row = lab_id((unsigned)g);
        id_put(&row, id);
        buf_reset(&out);
        assert_int_equal(outbox_read(l.r, g, 1, 1, &out, &count, &before), FB_OK);
        assert_int_equal(count, 1);
        assert_non_null(strstr(buf_cstr(&out), id));
    }
    buf_clear(&out);
    reply_begin(&l, &out, 0, 0, 3);
    reply_page(&out, "0.3", true, true);
    reply_take(&l, &out);
    assert_true(lab_has(&l, 1) && lab_has(&l, 4) && lab_has(&l, 5));
    lab_check(&l);
    lab_stop(&l);
}

/* A backup that holds a group of this life holds everything that was answered before. */
static void replica__forgets_earlier_lives_once_a_backup_holds_this_one(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 9);
    lab_save(&l, 1, "answered", 1);
    reply_begin(&l, &out, 1, 0, 6);
    verdict_run_put(&out, 1, 1, 6);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    lab_save(&l, 2, "of this life", 2);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=5"), 1);
    reply_begin(&l, &out, 1, 1, 7);
    verdict_run_put(&out, 1, 1, 7);
    reply_page(&out, "0.7", true, true);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=5"), 0);
    lab_stop(&l);
}

/* Restored from an older backup than the one it had told of: nothing is stuck, all that is left
 * goes. */
static void replica__outlives_a_backup_older_than_the_one_it_heard_of(void **state)
{
    lab l;
    buf out;
    outbox_state box;
    (void)state;
    lab_start(&l, DB, 10);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_save(&l, 3, "three", 3);
    reply_begin(&l, &out, 3, 2, 8);
    verdict_run_put(&out, 1, 3, 6);
    reply_page(&out, "0.8", true, false);
    reply_take(&l, &out);
    l.epoch = lab_id(0xE0FFFE);
    reply_begin(&l, &out, 1, 0, 6);
    reply_page(&out, "0.6", true, true);
    stage_result got = reply_take(&l, &out);
    assert_true(got.reborn);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.acked, 0);
    assert_int_equal(box.last, 1); /* 1 and 2 were pruned on the server's word */
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replica__refuses_files_that_are_not_its_own),
        cmocka_unit_test(replica__read_only_reads_and_writes_nothing),
        cmocka_unit_test(replica__identity_and_texts_survive),
        cmocka_unit_test(replica__another_person_takes_over_only_a_settled_device),
        cmocka_unit_test(replica__clock_is_corrected_and_doubted),
        cmocka_unit_test(replica__rebirth_renumbers_what_was_not_answered),
        cmocka_unit_test(replica__sends_again_what_earlier_lives_were_answered),
        cmocka_unit_test(replica__forgets_earlier_lives_once_a_backup_holds_this_one),
        cmocka_unit_test(replica__outlives_a_backup_older_than_the_one_it_heard_of),
        cmocka_unit_test(replica__check_finds_damage),
        cmocka_unit_test(replica__keeps_its_promises_after_a_crash_at_every_write),
        cmocka_unit_test(replica__a_full_disk_refuses_and_changes_nothing),
        cmocka_unit_test(replica__forgets_a_reply_that_was_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
