/* test_memory_fails.c - an allocation of the replica fails while it takes a reply, forgets a
 * person, checks itself or looks after its files. Opening and putting in order: test_disk_fails.c.
 *
 * Method: from the same files a scene runs once for each allocation that fails. It says that memory
 * was short, or it has done its work; the same call made again does it, and what is seen then is
 * what would have been seen. */
#include "disk_fixture.h"
#include "fault/torture/calls.h"
#include "person_fixture.h"
#include "replica/blob.h"
#include "schema/limits.h"
#include "sql/sql.h"
#include "support/disk_files.h"
#include "sync/lane_work.h"
#include "sync/pull.h"
#include "wire/pack.h"

enum {
    UNKNOWN_COLUMNS = 12,
    NOTE_BYTES = 5000,
    NOW_MS = 5000,
    CALLS_MAX = 5000,
    ANSWER_MAX = 4096
};
enum { LATE_INDEX_ROWS = 2000 }; /* as room.h */
enum { WIDE_INDEXES = 12 };
#define WIDE_COLUMN "%c_is_a_column_with_a_long_name_indeed"

static buf answer; /* the reply of a scene */

static fb_code take_answer(lab *l, fb_error *err)
{
    stage_result got;
    return stage_reply(l->r, buf_text(&answer), l->wall_ms, &got, err);
}

static void answer_end(void)
{
    sync_end_put(&answer);
    assert_int_equal(answer.code, FB_OK);
}

/* --- what is not known yet ------------------------------------------------------------------ */

/* A row of an entity that no catalogue here knows, and columns of one that it does. */
static void strangers_put(buf *out)
{
    buf_put_str(out, "{\"e\":\"lab_more\",\"k\":\"row\",\"c\":[\"title\",\"id\",\"ver\"]}\n"
                     "[\"hello\",\"01900000-0000-7000-8000-000000000001\",\"5\"]\n");
    buf_put_str(out, "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"extra\"");
    for (int i = 0; i < UNKNOWN_COLUMNS; i++) {
        buf_printf(out, ",\"a_column_that_this_device_does_not_know_%d\"", i);
    }
    buf_put_str(out, "]}\n[\"01900000-0000-7000-8000-000000000001\",\"51\",\"later\"");
    for (int i = 0; i < UNKNOWN_COLUMNS; i++) {
        buf_put_str(out, ",null");
    }
    buf_put_str(out, "]\n");
}

static void strangers_come(lab *l)
{
    start(l);
    reply_begin(l, &answer, 0, 0, 5);
    reply_page(&answer, "0.5", true, false);
    reply_row(l, &answer, 1, "one", NULL, 3, 50);
    strangers_put(&answer);
    answer_end();
}

static void strangers_are_kept(lab *l)
{
    assert_string_equal(lab_text(l, 1, l->name), "one");
    assert_int_equal(lab_count(l, "SELECT count(*) FROM fb_unknown"), 2);
    assert_int_equal(lab_count(l, "SELECT length(body) > 500 FROM fb_unknown"
                                  " WHERE entity='lab_item'"),
                     1);
}

static void catalogue_comes(lab *l)
{
    fb_error err;
    strangers_come(l);
    assert_int_equal(take_answer(l, &err), FB_OK);
    buf_clear(&answer);
    buf more = lab_catalog(true);
    reply_begin(l, &answer, 0, 0, 6);
    catalog_line_put(&answer, buf_text(&more));
    reply_page(&answer, "0.6", true, false);
    answer_end();
    buf_clear(&more);
}

static void strangers_are_rows(lab *l)
{
    assert_int_equal(lab_count(l, "SELECT count(*) FROM lab_more WHERE title='hello'"), 1);
    assert_int_equal(lab_count(l, "SELECT count(*) FROM lab_item WHERE extra='later'"), 1);
}

/* --- many rows at once ---------------------------------------------------------------------- */

/* An entity whose indexes have long names: to drop them takes a long text. */
static void wide_put(buf *out)
{
    buf_put_str(out, "{\"module\":\"wide\",\"entities\":[{\"name\":\"lab_wide\",\"label\":{\"en\":"
                     "\"W\",\"zh\":\"W\"},\"class\":\"reference\",\"scope\":[{\"by\":\"global\"}],"
                     "\"columns\":[");
    for (int i = 0; i < WIDE_INDEXES; i++) {
        buf_printf(out,
                   "%s{\"name\":\"" WIDE_COLUMN "\",\"type\":\"text\",\"label\":{\"en\":\"C\","
                   "\"zh\":\"C\"}}",
                   i > 0 ? "," : "", 'a' + i);
    }
    buf_put_str(out, "],\"indexes\":[");
    for (int i = 0; i < WIDE_INDEXES; i++) {
        buf_printf(out, "%s[\"" WIDE_COLUMN "\"]", i > 0 ? "," : "", 'a' + i);
    }
    buf_put_str(out, "],\"grants\":{\"LAB\":\"r\"}}]}");
}

static void many_rows_come(lab *l)
{
    buf more, wide, module;
    catalog *c = NULL;
    fb_error err;
    start(l);
    more = lab_catalog(true);
    buf_init(&wide, CATALOG_BYTES_MAX);
    buf_init(&module, CATALOG_BYTES_MAX);
    wide_put(&module);
    assert_int_equal(catalog_load(buf_text(&more), &c, &err), FB_OK);
    assert_int_equal(catalog_add(c, buf_text(&module), &wide, &err), FB_OK);
    catalog_free(c);
    reply_begin(l, &answer, 0, 0, 6);
    catalog_line_put(&answer, buf_text(&wide));
    reply_page(&answer, "0.6", true, false);
    reply_take(l, &answer);
    buf_clear(&more);
    buf_clear(&wide);
    buf_clear(&module);
    reply_begin(l, &answer, 0, 0, 7);
    reply_page(&answer, "0.7", true, false);
    buf_put_str(&answer, "{\"e\":\"lab_wide\",\"k\":\"row\",\"c\":[\"id\",\"ver\"]}\n");
    for (int i = 0; i <= LATE_INDEX_ROWS; i++) {
        buf_printf(&answer, "[\"01900000-0000-7000-8000-%012d\",\"50\"]\n", i);
    }
    answer_end();
}

static void many_rows_are_here(lab *l)
{
    assert_int_equal(lab_count(l, "SELECT count(*) FROM lab_wide"), LATE_INDEX_ROWS + 1);
    assert_int_equal(lab_count(l, "SELECT count(*) FROM sqlite_schema WHERE type='index' AND"
                                  " tbl_name='lab_wide' AND sql IS NOT NULL"),
                     WIDE_INDEXES);
}

/* --- a person is erased --------------------------------------------------------------------- */

static void erasure_comes(lab *l)
{
    start(l);
    person_make(l);
    reply_begin(l, &answer, 1, 1, 8);
    reply_page(&answer, "0.8", true, false);
    buf_put_str(&answer, ERASED);
    answer_end();
}

static void person_is_erased(lab *l)
{
    assert_int_equal(
        lab_count(l, "SELECT (SELECT count(*) FROM fb_outbox WHERE instr(CAST(body AS TEXT),"
                     " '0202') > 0) + (SELECT count(*) FROM fb_verdict WHERE instr(body, '0303')"
                     " > 0) + (SELECT count(*) FROM fb_parked WHERE instr(CAST(body AS TEXT),"
                     " '0101') > 0)"),
        0);
}

/* --- a file set aside ----------------------------------------------------------------------- */

static bool stands(const char *name)
{
    file_bytes f = file_read(name);
    free(f.data);
    return f.size > 0;
}

/* A damaged file was set aside, and a row that may stand in it leaves the scope. */
static void row_leaves_beside_evidence(lab *l)
{
    start(l);
    lab_save(l, 1, "one", 1);
    lab_close(l);
    crash_vfs_put(disk, DB "-broken", "1", 1);
    lab_reopen(l);
    assert_true(stands(DB "-damaged1"));
    reply_begin(l, &answer, 0, 0, 11);
    reply_page(&answer, "0.9", true, true);
    reply_rights(l, &answer);
    reply_take(l, &answer);
    lab_find_columns(l);
    reply_begin(l, &answer, 1, 1, 12);
    verdict_run_put(&answer, 1, 1, 12);
    reply_page(&answer, "0.9", true, false);
    reply_row(l, &answer, 50, "of a territory", NULL, 1, 12);
    reply_take(l, &answer);
    reply_begin(l, &answer, 1, 1, 13);
    reply_page(&answer, "0.9", true, false);
    reply_gone(l, &answer, BLOCK_LEAVE, 50);
    answer_end();
}

/* SLV-6: at the latest with the commit after the one that could not delete it. */
static void evidence_is_gone(lab *l)
{
    lab_find_columns(l);
    lab_save(l, 2, "two", 1);
    assert_false(stands(DB "-damaged1"));
}

/* --- the replica itself --------------------------------------------------------------------- */

/* A row of the server, larger than any group. */
static void long_row(lab *l)
{
    static char note[NOTE_BYTES + 1];
    memset(note, 'n', NOTE_BYTES);
    start(l);
    lab_save(l, 1, "one", 1);
    reply_begin(l, &answer, 0, 0, 5);
    reply_page(&answer, "0.5", true, false);
    reply_row(l, &answer, 2, "two", note, 1, 5);
    reply_take(l, &answer);
}

static fb_code check_it(lab *l, fb_error *err)
{
    return replica_check(l->r, err);
}

/* Its reserve was used. */
static fb_code open_it(lab *l, fb_error *err)
{
    lab_close(l);
    file_delete(DB "-reserve");
    return lab_open(l, err);
}

/* At the latest with the next reply. */
static void reserve_is_filled(lab *l)
{
    buf out;
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
    assert_true(stands(DB "-reserve"));
}

static void nothing_more(lab *l)
{
    (void)l;
}

static fb_files files;
static digest photo;

/* A photo that the server called wrong although it is as it was. */
static void photo_is_sent(lab *l)
{
    fb_error err;
    start(l);
    files = disk_files(disk);
    l->files = &files;
    lab_reopen(l);
    lab_begin(l, "lab.save");
    lab_insert(l, 1, "one", 1);
    assert_int_equal(blob_add_bytes(l->r, T("a photo of a shelf"), false, &photo, &err), FB_OK);
    lab_commit(l);
    assert_int_equal(sql_exec(replica_sql(l->r), "UPDATE fb_blob SET state=2"), FB_OK);
}

static fb_code photo_is_refused(lab *l, fb_error *err)
{
    blob_info b;
    fb_code rc = blob_find(l->r, &photo, &b);
    *err = (fb_error){.code = FB_E_NO_MEMORY, .message = "the lane tells"};
    return rc == FB_OK ? blob_failed(l->r, &b, FB_E_INVALID, NOW_MS) : rc;
}

static void photo_is_sent_again(lab *l)
{
    blob_info b;
    assert_int_equal(blob_find(l->r, &photo, &b), FB_OK);
    assert_int_equal(b.stage, BLOB_SEND);
    assert_int_equal(b.tries, 1);
}

/* --- the loop ------------------------------------------------------------------------------- */

static const struct scene {
    const char *why;
    void (*make)(lab *l);
    fb_code (*call)(lab *l, fb_error *err);
    void (*look)(lab *l);
    bool disk_too; /* each change of a file fails, too */
} SCENES[] = {
    {"rows that are not known", strangers_come, take_answer, strangers_are_kept, false},
    {"the catalogue that knows them", catalogue_comes, take_answer, strangers_are_rows, false},
    {"many rows of an empty table", many_rows_come, take_answer, many_rows_are_here, false},
    {"a person is erased", erasure_comes, take_answer, person_is_erased, false},
    {"a row leaves", row_leaves_beside_evidence, take_answer, evidence_is_gone, true},
    {"a check", long_row, check_it, nothing_more, false},
    {"it is opened", long_row, open_it, reserve_is_filled, true},
    {"a photo is refused", photo_is_sent, photo_is_refused, photo_is_sent_again, false},
};

/* Every error has a message. */
static bool says_why(const fb_error *err, fb_code rc)
{
    return err->code == rc && err->message[0] != '\0';
}

/* Did it fail? */
static bool call_fails(lab *l, const struct scene *s, bool of_disk, uint64_t n)
{
    fb_error err = {.code = FB_OK};
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    lab_reopen(l);
    if (of_disk) {
        crash_vfs_fail(disk, "phone", n, SQLITE_IOERR_WRITE, false);
    } else {
        calls_arm(CALL_HEAP, n, false);
    }
    fb_code rc = s->call(l, &err);
    bool fired = of_disk ? crash_vfs_failed(disk, "phone") : calls_disarm();
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    if (rc != FB_OK) {
        bool right = of_disk ? code_is_machines(rc) : rc == FB_E_NO_MEMORY;
        if (!fired || !right || !says_why(&err, rc)) {
            fail_msg("%s, call %llu: %s: %s: %s", s->why, (unsigned long long)n, fb_code_name(rc),
                     err.field, err.message);
        }
        assert_int_equal(s->call(l, &err), FB_OK);
    }
    s->look(l);
    lab_check(l);
    lab_close(l);
    return fired;
}

/* The allocations that are the first below some call of the product (calls.h). */
static size_t sites_find(lab *l, const struct scene *s, uint64_t found[SITES_MAX])
{
    size_t count = 0;
    fb_error err;
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    lab_reopen(l);
    calls_arm(CALL_HEAP, 0, false);
    sites_begin(0);
    assert_int_equal(s->call(l, &err), FB_OK);
    memcpy(found, sites_end(&count), SITES_MAX * sizeof *found);
    (void)calls_disarm();
    lab_close(l);
    return count;
}

static void changes_fail(lab *l, const struct scene *s)
{
    uint64_t n = 1;
    while (n < CALLS_MAX && call_fails(l, s, true, n)) {
        n++;
    }
    assert_true(n > 2 && n < CALLS_MAX);
}

static void scene__fails_whole_or_succeeds(void **state)
{
    static uint64_t found[SITES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof SCENES / sizeof SCENES[0]; i++) {
        const struct scene *s = &SCENES[i];
        lab l;
        crash_vfs_remove(disk, "phone");
        s->make(&l);
        lab_close(&l);
        crash_vfs_copy(disk, "phone", "before");
        size_t count = sites_find(&l, s, found);
        assert_true(count > 0);
        for (size_t k = 0; k < count; k++) {
            (void)call_fails(&l, s, false, found[k]);
        }
        if (s->disk_too) {
            changes_fail(&l, s);
        }
        buf_clear(&answer);
    }
}

/* Whatever a reply could not have: what is saved behind it waits for the disk. It once did not, or
 * the handle was for reading only from then on. With memory short for longer nothing is saved. */
static bool save_follows(lab *l, uint64_t n, bool for_longer)
{
    fb_error err = {.code = FB_OK};
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    lab_reopen(l);
    calls_arm(CALL_HEAP, n, for_longer);
    fb_code rc = take_answer(l, &err);
    assert_true(rc == FB_OK || says_why(&err, rc));
    fb_code begun = for_longer ? capture_begin(l->r, "lab.save", 0, 0, &err) : FB_OK;
    bool fired = calls_disarm();
    assert_true(rc == FB_OK || (fired && rc == FB_E_NO_MEMORY));
    assert_true(begun == FB_OK || (fired && begun == FB_E_NO_MEMORY));
    capture_abort(l->r);
    lab_find_columns(l);
    lab_save(l, 1, "saved behind it", 1);
    assert_int_equal(lab_count(l, "PRAGMA synchronous"), 2);
    lab_close(l);
    return fired;
}

static void save__waits_for_the_disk_behind_a_reply_that_failed(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    reply_begin(&l, &answer, 0, 0, 2);
    reply_page(&answer, "0.2", true, false);
    answer_end();
    for (int for_longer = 0; for_longer < 2; for_longer++) {
        uint64_t n = 1;
        while (save_follows(&l, n, for_longer == 1)) {
            n++;
        }
        assert_true(n > 10);
    }
    buf_clear(&answer);
}

/* --- an answer that is not a reply ---------------------------------------------------------- */

/* The server asks for an enrolment. Who has no memory to read it knows no more than that: it once
 * sent people to look for a network that wants a sign-in. */
static bool refusal_is_read(lab *l, uint64_t n, bool lane)
{
    fb_error err = {.code = FB_OK};
    pull_result got;
    lane_result worked;
    const pull_answer a = {.status = 401, .zstd = true, .body = buf_text(&answer)};
    const lane_request q = {.path = "/v1/blob/have", .work = {.todo = BLOB_TODO_ASK}};
    calls_arm(CALL_HEAP, n, false);
    fb_code rc = lane ? lane_take(l->r, &q, &a, &(lane_clock){NOW_MS, 1}, &worked, &err)
                      : pull_take(l->r, &a, &got, &err);
    bool fired = calls_disarm();
    assert_int_equal(rc, fired ? FB_E_NO_MEMORY : FB_E_AUTH);
    assert_int_equal(lane ? worked.event : got.event, fired ? EV_LATER : EV_REFUSED);
    assert_true(says_why(&err, rc));
    assert_string_equal(err.field, "server");
    return fired;
}

static void refusal__is_read_or_memory_was_short(void **state)
{
    lab l;
    buf plain;
    (void)state;
    start(&l);
    buf_init(&plain, ANSWER_MAX);
    buf_init(&answer, ANSWER_MAX);
    error_msg_put(&plain, &(error_msg){.code = FB_E_AUTH, .text = T("no")});
    assert_int_equal(pack_put(&answer, buf_text(&plain)), FB_OK);
    for (int lane = 0; lane < 2; lane++) {
        uint64_t n = 1;
        while (refusal_is_read(&l, n, lane == 1)) {
            n++;
        }
        assert_true(n > 3);
    }
    buf_clear(&plain);
    buf_clear(&answer);
    lab_close(&l);
}

/* --- damage that is remembered -------------------------------------------------------------- */

/* Who has no memory to write it down meets it again; here it was met in another file. */
static void damage__is_written_down_or_met_again(void **state)
{
    static const char nonsense[4096] = "no database";
    bool fired = true;
    (void)state;
    for (uint64_t n = 1; fired; n++) {
        lab l;
        crash_vfs_remove(disk, "phone");
        start(&l);
        lab_save(&l, 1, "one", 1);
        crash_vfs_put(disk, "phone/nonsense", nonsense, sizeof nonsense);
        assert_int_equal(sql_exec(replica_sql(l.r), "ATTACH 'phone/nonsense' AS n"), FB_E_CORRUPT);
        calls_arm(CALL_HEAP, n, false);
        replica_remember_damage(l.r, NULL);
        fired = calls_disarm();
        assert_true(fired == !stands(DB "-broken"));
        assert_true(fired || n > 2);
        lab_close(&l);
        lab_reopen(&l);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"),
                         !fired);
        assert_int_equal(groups_pending(&l), 1);
        assert_true(lab_has(&l, 1));
        lab_check(&l);
        lab_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scene__fails_whole_or_succeeds, setup, teardown),
        cmocka_unit_test_setup_teardown(save__waits_for_the_disk_behind_a_reply_that_failed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refusal__is_read_or_memory_was_short, setup, teardown),
        cmocka_unit_test_setup_teardown(damage__is_written_down_or_met_again, setup, teardown),
    };
    return cmocka_run_group_tests_name("memory_fails", tests, NULL, NULL);
}
