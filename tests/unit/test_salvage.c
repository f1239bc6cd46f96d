/* test_salvage.c - the second copy: what was saved outlives the loss of the database (JRN-1..4,
 * SEC-1..3, SLV-1..4).
 *
 * Over files in memory (crash_vfs), so that the database can be deleted, put back older, or damaged
 * while the second copy stays; the server's part is in tests/path/test_disaster.c. */
#include "disk_fixture.h"
#include "fieldbook/fieldbook.h"

static void lost_database__comes_back_with_every_saved_group(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_change(&l, 1, l.name, "one more");
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 3);
    assert_string_equal(lab_text(&l, 1, l.name), "one more");
    assert_string_equal(lab_text(&l, 2, l.name), "two");
    replica_identity me;
    assert_int_equal(replica_identity_get(l.r, &me), FB_OK);
    assert_true(me.enrolled && id_equal(&me.user, &l.user) && id_equal(&me.device, &l.device));
    lab_check(&l);
    /* And once more, with what was salvaged. */
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 3);
    lab_close(&l);
}

/* The database of before the last two groups; its second copy has them. */
static void older_database__is_not_trusted_and_nothing_is_lost(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    file_bytes old = file_read(DB);
    lab_reopen(&l);
    lab_save(&l, 2, "two", 2);
    lab_save(&l, 3, "three", 3);
    lab_close(&l);
    file_write(&old);
    free(old.data);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 3);
    assert_string_equal(lab_text(&l, 3, l.name), "three");
    lab_close(&l);
}

static void log_lost__while_the_database_stays(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    crash_vfs_crash(disk, "phone"); /* killed: the log was not brought into the database */
    lab_close(&l);
    crash_vfs_reboot(disk, "phone");
    file_delete(DB "-wal");
    lab_reopen(&l);
    lab_close(&l);
}

static void second_copy_lost__is_written_again(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    file_delete(DB "-outbox1");
    file_delete(DB "-outbox2");
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 1);
    lab_save(&l, 2, "two", 2);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 2);
    lab_close(&l);
}

/* The commit fails after the record was written, and the database is lost before another group is
 * saved: what the person was told failed does not come back (JRN-1). */
static void failed_commit__never_comes_back(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    crash_vfs_copy(disk, "phone", "before");
    for (uint64_t call = 1; call < 40; call++) {
        fb_error err = {.code = FB_OK};
        int64_t gseq = 0;
        crash_vfs_remove(disk, "phone");
        crash_vfs_copy(disk, "before", "phone");
        lab_reopen(&l);
        lab_begin(&l, "lab.save");
        lab_insert(&l, 2, "two", 2);
        crash_vfs_fail(disk, "phone", call, SQLITE_IOERR_WRITE, false);
        fb_code rc = capture_commit(l.r, &gseq, &err);
        bool fired = crash_vfs_failed(disk, "phone");
        crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
        lab_close(&l);
        lose_database();
        lab_reopen(&l);
        assert_int_equal(groups_pending(&l), rc == FB_OK ? 2 : 1);
        lab_close(&l);
        if (!fired) {
            return;
        }
    }
    fail_msg("the fault fired at every call");
}

/* A group that failed, then another one under the same number: only that one is known. */
static void number_used_again__is_told_apart_by_the_chain(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_begin(&l, "lab.save");
    lab_insert(&l, 2, "told failed", 2);
    crash_vfs_fail_sync(disk, "phone", 1);
    assert_int_not_equal(capture_commit(l.r, &gseq, &err), FB_OK);
    lab_save(&l, 3, "kept", 3);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 2);
    assert_true(lab_has(&l, 3));
    assert_false(lab_has(&l, 2));
    lab_close(&l);
}

/* What a backup holds leaves the second copy too, and the tray's and closed ones stay what they
 * are. */
static void pruned__groups_leave_and_closed_ones_stay_closed(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_save(&l, 3, "three", 3);
    reply_begin(&l, &out, 2, 1, 5);
    reply_verdict(&out, 1, VERDICT_APPLIED, false);
    reply_verdict(&out, 2, VERDICT_REJECTED, false);
    reply_page(&out, "0.5", true, false);
    reply_take(&l, &out);
    assert_int_equal(problem_discard(l.r, 2, &err), FB_OK);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=4"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=0"), 2);
    lab_close(&l);
}

static void numbers_and_drafts__are_salvaged(void **state)
{
    lab l;
    buf number;
    buf body;
    fb_error err = {.code = FB_OK};
    (void)state;
    start(&l);
    buf_init(&number, 100);
    buf_init(&body, 1000);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_OK);
    assert_string_equal(buf_cstr(&number), "SO-A1-000001");
    lab_insert(&l, 1, "one", 1);
    lab_commit(&l);
    draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{\"a\":1}")};
    assert_int_equal(draft_put(l.r, &d), FB_OK);
    d.id = lab_id(501);
    assert_int_equal(draft_put(l.r, &d), FB_OK);
    assert_int_equal(draft_delete(l.r, &d.id), FB_OK);
    lab_close(&l);
    lose_database();
    lab_reopen(&l);
    d.id = lab_id(500);
    assert_int_equal(draft_get(l.r, T("order"), &d.id, &body), FB_OK);
    assert_string_equal(buf_cstr(&body), "{\"a\":1}");
    d.id = lab_id(501);
    assert_int_equal(draft_get(l.r, T("order"), &d.id, &body), FB_E_NOT_FOUND);
    assert_int_equal(lab_count(&l, "SELECT next FROM fb_counter WHERE name='SO'"), 1002);
    buf_clear(&number);
    buf_clear(&body);
    lab_close(&l);
}

/* The power goes at a file call of the salvage, and then the machine comes back: the outcome is the
 * same. A sample here; fb-crash does all of them. */
static void crash_in_a_salvage__is_followed_by_the_same_one(void **state)
{
    uint64_t step = getenv("FB_ALL_PAGES") != NULL ? 1 : 37;
    lab l;
    uint64_t call = 3;
    bool crashed = true;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_close(&l);
    lose_database();
    crash_vfs_copy(disk, "phone", "before");
    for (; crashed; call += step) {
        fb_error err = {.code = FB_OK};
        crash_vfs_remove(disk, "phone");
        crash_vfs_copy(disk, "before", "phone");
        crash_vfs_crash_after(disk, "phone", call);
        if (lab_open(&l, &err) == FB_OK) {
            lab_close(&l);
        }
        crashed = crash_vfs_is_crashed(disk, "phone");
        crash_vfs_crash_after(disk, "phone", 0);
        crash_vfs_reboot(disk, "phone");
        lab_reopen(&l);
        assert_int_equal(groups_pending(&l), 2);
        assert_true(lab_has(&l, 1) && lab_has(&l, 2));
        lab_close(&l);
    }
    assert_true(call > (step == 1 ? 50 : 80));
}

static bool stands(const char *name)
{
    file_bytes f = file_read(name);
    free(f.data);
    return f.size > 0;
}

static int64_t head = 10; /* of the server */

/* Every group up to this one is applied, and in a backup. */
static void answer(lab *l, int64_t gseq)
{
    buf out;
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    reply_begin(l, &out, gseq, gseq, ++head);
    verdict_run_put(&out, box.acked + 1, gseq, head);
    reply_page(&out, "0.9", true, false);
    (void)reply_take(l, &out);
}

static void first_page(lab *l)
{
    buf out;
    reply_begin(l, &out, 0, 0, ++head);
    reply_page(&out, "0.9", true, true);
    reply_rights(l, &out);
    (void)reply_take(l, &out);
}

static void one_row(lab *l, unsigned id, bool leaves)
{
    buf out;
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    reply_begin(l, &out, box.acked, box.backed_up, ++head);
    reply_page(&out, "0.9", true, false);
    if (leaves) {
        reply_gone(l, &out, BLOCK_LEAVE, id);
    } else {
        reply_row(l, &out, id, "of a territory", NULL, 1, head);
    }
    (void)reply_take(l, &out);
}

/* A row comes and leaves the scope. */
static void purge(lab *l, unsigned id)
{
    one_row(l, id, false);
    one_row(l, id, true);
}

static void foreign_database__is_moved_aside(void **state)
{
    lab l;
    lab other;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&other, "other/replica.db", VFS, 99);
    assert_int_equal(lab_open(&other, &err), FB_OK);
    lab_enrol(&other);
    lab_first_sync(&other);
    lab_save(&other, 77, "of the other", 1);
    lab_close(&other);
    file_bytes foreign = file_read("other/replica.db");
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    foreign.name = DB;
    file_write(&foreign);
    free(foreign.data);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 1);
    assert_false(lab_has(&l, 77));
    first_page(&l);
    answer(&l, 1);
    purge(&l, 50);
    lab_close(&l);
    assert_true(stands(DB "-foreign1")); /* nobody here knows what of it was sent: SLV-4 */
    assert_false(stands(DB "-damaged1"));
}

static void version_is(int64_t version)
{
    const sql_options o = {.vfs = VFS, .page_sums = true};
    sql_db *db = NULL;
    char text[64];
    snprintf(text, sizeof text, "PRAGMA user_version=%lld", (long long)version);
    assert_int_equal(sql_open(DB, &o, &db, NULL), FB_OK);
    assert_int_equal(sql_exec(db, text), FB_OK);
    sql_close(db);
}

/* A newer app found it damaged, and an older one comes first. */
static void file_of_a_newer_app__is_not_made_again(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    int64_t version = lab_count(&l, "PRAGMA user_version");
    lab_close(&l);
    version_is(9999);
    crash_vfs_put(disk, DB "-broken", "1", 1);
    file_bytes before = file_read(DB);
    assert_int_equal(lab_open(&l, &err), FB_E_NEWER);
    assert_non_null(strstr(err.message, "upgrade the app"));
    file_bytes now = file_read(DB);
    assert_int_equal(now.size, before.size);
    assert_memory_equal(now.data, before.data, now.size);
    assert_true(stands(DB "-broken"));
    free(now.data);
    free(before.data);
    version_is(version);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), 1);
    lab_close(&l);
}

/* What left the scope, or was erased, may stand in a file that was set aside: it goes with the same
 * purge, but not while it could be the last copy of work that no backup has (SLV-6). */
static void file_set_aside__goes_with_a_purge_when_a_backup_has_all(void **state)
{
    lab l;
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_close(&l);
    crash_vfs_put(disk, DB "-broken", "1", 1);
    lab_reopen(&l);
    first_page(&l);
    lab_save(&l, 3, "saved later", 2);
    answer(&l, 1);
    purge(&l, 50);
    lab_reopen(&l);
    assert_true(stands(DB "-damaged1")); /* the second group waits */
    answer(&l, 2);
    assert_true(stands(DB "-damaged1")); /* nothing has to go */
    purge(&l, 51);
    assert_false(stands(DB "-damaged1"));
    assert_int_equal(groups_pending(&l), 1);
    lab_close(&l);
}

/* Nothing stands beside a file in memory. */
static void replica_in_memory__has_no_files_to_forget(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&l, ":memory:", NULL, 5);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    one_row(&l, 50, false);
    assert_true(lab_has(&l, 50));
    one_row(&l, 50, true);
    assert_false(lab_has(&l, 50));
    lab_check(&l);
    lab_close(&l);
}

/* --- damaged pages ------------------------------------------------------------------- */

enum { PAGE_BYTES = 4096, ROWS = 120, SAVED = 4 };

static void with_rows(lab *l)
{
    buf out;
    char name[40];
    char note[400];
    start(l);
    reply_begin(l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(name, sizeof name, "name %u", i);
        memset(note, 'a' + (int)(i % 26), sizeof note);
        note[sizeof note - 1] = '\0';
        reply_row(l, &out, 1000 + i, name, note, (int64_t)i, 50);
    }
    reply_take(l, &out);
    for (unsigned i = 1; i <= SAVED; i++) {
        snprintf(name, sizeof name, "saved %u", i);
        lab_save(l, i, name, (int64_t)i);
    }
    lab_close(l);
    crash_vfs_copy(disk, "phone", "before");
}

/* Every row that can be read is the one that was there, column by column. */
static bool rows_are_right(lab *l, fb_code *rc_out)
{
    char name[40];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    bool right = true;
    *rc_out = FB_OK;
    for (unsigned i = 0; i < ROWS && right && *rc_out == FB_OK; i++) {
        fb_id id = lab_id(1000 + i);
        arena_reset(memory);
        fb_code rc = row_read(l->r, l->item, &id, memory, values);
        if (rc == FB_OK) {
            snprintf(name, sizeof name, "name %u", i);
            fb_text note = values[l->note].u.text;
            right = text_is(values[l->name].u.text, name) && values[l->qty].u.i == (int64_t)i &&
                    note.size == 399 && note.data[0] == 'a' + (char)(i % 26) &&
                    note.data[398] == note.data[0];
        } else if (rc != FB_E_NOT_FOUND) {
            *rc_out = rc;
        }
    }
    arena_free(memory);
    return right;
}

/* The device is opened with this file, used, and opened again if the damage was met only then:
 * healthy or salvaged, with all that was saved, and never a wrong row. True: salvaged. */
static bool damage_is_met(file_bytes *damaged, const char *what)
{
    lab l;
    fb_code rc = FB_OK;
    fb_error err = {.code = FB_OK};
    lab_init(&l, DB, VFS, 3);
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    file_write(damaged);
    for (int turn = 0; turn < 2; turn++) {
        if (lab_open(&l, &err) != FB_OK) {
            fail_msg("%s: open: %s %s", what, err.field, err.message);
        }
        if (groups_pending(&l) != SAVED) {
            fail_msg("%s: %d groups", what, (int)groups_pending(&l));
        }
        lab_find_columns(&l);
        if (!rows_are_right(&l, &rc)) {
            fail_msg("%s: a wrong row is shown", what);
        }
        if (rc == FB_OK) {
            rc = replica_check(l.r, &err);
        }
        if (rc == FB_OK) {
            break;
        }
        assert_int_equal(turn, 0);
        lab_close(&l);
    }
    for (unsigned i = 1; i <= SAVED; i++) {
        if (!lab_has(&l, i)) {
            fail_msg("%s: group %u is not shown", what, i);
        }
    }
    bool salvaged = lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'") == 1;
    lab_close(&l);
    return salvaged;
}

static void damage(file_bytes *f, const unsigned char *sound, size_t page, int how)
{
    unsigned char *at = f->data + page * PAGE_BYTES;
    size_t pages = f->size / PAGE_BYTES;
    memcpy(f->data, sound, f->size);
    if (how == 0) {
        at[(page * 7919) % PAGE_BYTES] ^= (unsigned char)(1u << page % 8);
    } else if (how == 1) {
        memset(at, 0, PAGE_BYTES);
    } else if (how == 2) {
        memset(at + PAGE_BYTES / 2, 0, PAGE_BYTES / 2);
    } else {
        memcpy(at, sound + (page + 1) % pages * PAGE_BYTES, PAGE_BYTES);
    }
}

/* Flipped, zeroed, half zeroed, another page's bytes; every page in the full run. */
static void damaged_page__is_met_and_nothing_is_lost(void **state)
{
    lab l;
    char what[60];
    size_t salvaged = 0;
    size_t step = getenv("FB_ALL_PAGES") != NULL ? 1 : 23;
    (void)state;
    with_rows(&l);
    file_bytes f = file_read(DB);
    unsigned char *sound = malloc(f.size);
    assert_non_null(sound);
    memcpy(sound, f.data, f.size);
    for (size_t i = 0; i < f.size / PAGE_BYTES * 4; i += step) {
        snprintf(what, sizeof what, "page %zu, damage %zu", i / 4, i % 4);
        damage(&f, sound, i / 4, (int)(i % 4));
        salvaged += damage_is_met(&f, what);
    }
    assert_true(salvaged > 3);
    if (step == 1) {
        printf("damage ok: pages=%zu cases=%zu salvaged=%zu bad=0\n", f.size / PAGE_BYTES,
               f.size / PAGE_BYTES * 4, salvaged);
    }
    free(sound);
    free(f.data);
}

/* Byte by byte, where SQLite looks before it reads a page whole. */
static void damaged_header__is_met_and_nothing_is_lost(void **state)
{
    lab l;
    char what[60];
    size_t step = getenv("FB_ALL_PAGES") != NULL ? 1 : 9;
    (void)state;
    with_rows(&l);
    file_bytes f = file_read(DB);
    for (size_t i = 0; i < 112; i += step) {
        snprintf(what, sizeof what, "byte %zu of the header", i);
        f.data[i] ^= 0x55;
        (void)damage_is_met(&f, what);
        f.data[i] ^= 0x55;
    }
    free(f.data);
}

/* --- damage met in use ---------------------------------------------------------------- */

/* One bit of an index's page: no open reads it, and the check reads it first. */
static void damage_out_of_the_way(void)
{
    file_bytes f = file_read(DB);
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open_v2(DB, &db, SQLITE_OPEN_READWRITE, VFS), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT rootpage FROM sqlite_schema WHERE type='index' AND "
                                        "sql LIKE '% lab_item%name%'",
                                        -1, &q, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    size_t page = (size_t)sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    f.data[page * PAGE_BYTES - PAGE_BYTES / 2] ^= 1;
    file_write(&f);
    free(f.data);
}

/* A program that was told of damage is killed, as phones do, and never closes its file; the next
 * one has no reason to read that page. It is made again all the same. */
static void damage_that_a_check_finds__is_remembered_by_a_killed_program(void **state)
{
    lab l;
    fb_db *db = NULL;
    fb_error err = {.code = FB_OK};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    (void)state;
    with_rows(&l);
    damage_out_of_the_way();
    lab_reopen(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 0);
    lab_close(&l);
    o.port = &l.port;
    o.vfs = VFS;
    assert_int_equal(fb_db_open(DB, &o, &db, &err), FB_OK);
    assert_int_equal(fb_db_check(db, &err), FB_E_CORRUPT);
    crash_vfs_crash(disk, "phone"); /* closing writes nothing any more */
    fb_db_close(db);
    crash_vfs_reboot(disk, "phone");
    lab_reopen(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 1);
    assert_int_equal(groups_pending(&l), SAVED);
    lab_close(&l);
}

/* The file that was damaged is gone, with everything of it: a new one begins. */
static void note_of_damage__says_nothing_of_another_file(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    with_rows(&l);
    lab_reopen(&l);
    assert_int_equal(sql_exec(replica_sql(l.r), "UPDATE fb_outbox SET body=x'00' WHERE gseq=2"),
                     FB_OK);
    assert_int_equal(replica_check(l.r, &err), FB_E_CORRUPT);
    lab_close(&l);
    lose_database();
    file_delete(DB "-outbox1");
    file_delete(DB "-outbox2");
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(lab_open(&l, &err), FB_OK);
        assert_int_equal(groups_pending(&l), 0);
        lab_close(&l);
    }
}

/* What the file says contradicts itself, though every page is as it was written. */
static void broken_chain__is_remembered_like_a_damaged_page(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    with_rows(&l);
    lab_reopen(&l);
    assert_int_equal(sql_exec(replica_sql(l.r), "UPDATE fb_outbox SET body=x'00' WHERE gseq=2"),
                     FB_OK);
    assert_int_equal(replica_check(l.r, &err), FB_E_CORRUPT);
    lab_close(&l);
    lab_reopen(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 1);
    assert_int_equal(groups_pending(&l), SAVED);
    lab_check(&l);
    lab_close(&l);
}

/* --- a full disk --------------------------------------------------------------------- */

static void full_disk__lets_the_last_order_be_saved(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    unsigned id = 1;
    (void)state;
    start(&l);
    crash_vfs_quota(disk, "phone", crash_vfs_used(disk, "phone") + 1);
    lab_begin(&l, "lab.save");
    lab_insert(&l, id, "last", 1);
    fb_code rc = capture_commit(l.r, &gseq, &err);
    for (; rc == FB_OK; rc = capture_commit(l.r, &gseq, &err)) { /* the log has room yet */
        lab_begin(&l, "lab.save");
        lab_insert(&l, ++id, "last", 1);
    }
    assert_int_equal(rc, FB_E_DISK_FULL);
    assert_false(lab_has(&l, id));
    lab_save(&l, id, "last", 1); /* the same again: the reserve is its room */
    assert_true(lab_has(&l, id));
    assert_int_equal(groups_pending(&l), id);
    lab_close(&l);
    lose_database();
    crash_vfs_quota(disk, "phone", 0);
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), id);
    lab_close(&l);
}

/* --- without the database ------------------------------------------------------------ */

typedef struct lines {
    buf all;
    int count, closed;
} lines;

static fb_code keep_line(void *ctx, const rescued *r)
{
    lines *k = ctx;
    if (r->state == 4) {
        k->closed++;
        return FB_OK;
    }
    buf_put_text(&k->all, r->line);
    buf_put_char(&k->all, '\n');
    k->count++;
    return k->all.code;
}

static uint64_t changes_so_far(void)
{
    const crash_vfs_counters *n = crash_vfs_count(disk);
    return n->writes;
}

/* A newer version wrote it: refused, untouched, and its groups go into another replica. */
static void newer_file__is_refused_and_its_outbox_can_be_taken_over(void **state)
{
    lab l;
    lab other;
    fb_error err = {.code = FB_OK};
    lines k = {.count = 0};
    line_reader reader;
    fb_text line;
    int64_t gseq = 0;
    (void)state;
    buf_init(&k.all, 1 << 20);
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    assert_int_equal(sql_exec(replica_sql(l.r), "PRAGMA user_version=999"), FB_OK);
    lab_close(&l);
    assert_int_equal(lab_open(&l, &err), FB_E_NEWER);
    file_bytes before = file_read(DB);
    const replica_options o = {.path = DB, .port = &l.port, .vfs = VFS, .read_only = true};
    uint64_t writes = changes_so_far();
    assert_int_equal(rescue_each(&o, keep_line, &k, &err), FB_OK);
    assert_int_equal(changes_so_far(), writes);
    file_bytes after = file_read(DB);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    free(before.data);
    free(after.data);
    assert_int_equal(k.count, 2);
    lab_init(&other, "other/replica.db", VFS, 8);
    assert_int_equal(lab_open(&other, &err), FB_OK);
    lab_enrol(&other);
    lab_first_sync(&other);
    for (int turn = 0; turn < 2; turn++) { /* twice: once is enough */
        line_reader_init(&reader, buf_text(&k.all));
        while (line_next(&reader, &line)) {
            assert_int_equal(rescue_take(other.r, line, &gseq, &err), FB_OK);
            assert_true((gseq == 0) == (turn == 1));
        }
    }
    assert_int_equal(groups_pending(&other), 2);
    assert_string_equal(lab_text(&other, 2, other.name), "two");
    lab_check(&other);
    assert_int_equal(rescue_take(other.r, T("{\"k\":\"nonsense\"}"), &gseq, &err), FB_E_PROTOCOL);
    assert_int_equal(groups_pending(&other), 2);
    lab_close(&other);
    buf_clear(&k.all);
}

/* Nothing of the database is left, nor of the order to make it again. */
static void damaged_file__still_has_an_outbox(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    lines k = {.count = 0};
    (void)state;
    buf_init(&k.all, 1 << 20);
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    file_bytes f = file_read(DB);
    memset(f.data, 0x5a, f.size);
    file_write(&f);
    free(f.data);
    const replica_options o = {.path = DB, .port = &l.port, .vfs = VFS, .read_only = true};
    assert_int_equal(rescue_each(&o, keep_line, &k, &err), FB_OK);
    assert_int_equal(k.count, 1);
    const replica_options nowhere = {
        .path = "nowhere/x.db", .port = &l.port, .vfs = VFS, .read_only = true};
    assert_int_equal(rescue_each(&nowhere, keep_line, &k, &err), FB_E_NOT_FOUND);
    buf_clear(&k.all);
}

/* Only the database has the groups: with however little memory, they are lent, or it is said that
 * there was too little; never that there are none. */
static void little_memory__leaves_no_group_out(void **state)
{
    enum { STEP_BYTES = 1000, STEPS_MAX = 2000 };
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    start(&l);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 2);
    lab_close(&l);
    file_delete(DB "-outbox1");
    file_delete(DB "-outbox2");
    const replica_options o = {.path = DB, .port = &l.port, .vfs = VFS, .read_only = true};
    fb_code rc = FB_E_NO_MEMORY;
    int tries = 0;
    for (; rc != FB_OK && tries < STEPS_MAX; tries++) {
        lines k = {.count = 0};
        buf_init(&k.all, 1 << 20);
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + 1 + tries * STEP_BYTES);
        rc = rescue_each(&o, keep_line, &k, &err);
        sqlite3_hard_heap_limit64(0);
        if (rc != FB_E_NO_MEMORY) {
            assert_int_equal(rc, FB_OK);
            assert_int_equal(k.count, 2);
        }
        buf_clear(&k.all);
    }
    assert_int_equal(rc, FB_OK);
    assert_true(tries > 1);
}

/* Half a checkpoint leaves pages of two moments, each with a sum that fits: the server refuses
 * every request with such numbers. */
static void marks_of_two_moments__are_damage(void **state)
{
    lab l;
    buf out;
    (void)state;
    start(&l);
    lab_save(&l, 1, "answered", 1);
    lab_save(&l, 2, "waits", 2);
    reply_begin(&l, &out, 1, 0, 7);
    verdict_run_put(&out, 1, 1, 6);
    reply_page(&out, "0.7", true, false);
    (void)reply_take(&l, &out);
    assert_int_equal(groups_pending(&l), 1);
    assert_int_equal(sql_exec(replica_sql(l.r), "UPDATE fb_meta SET value=0 WHERE key='acked'"),
                     FB_OK);
    lab_close(&l);
    lab_reopen(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 1);
    assert_int_equal(groups_pending(&l), 2); /* the server knows the first one */
    lab_check(&l);
    lab_close(&l);
}

/* --- clocks -------------------------------------------------------------------------- */

/* Whatever the clock says, what is saved is saved, numbered in order, and comes back. */
static void clock__of_any_year_loses_nothing(void **state)
{
    static const int64_t clocks[] = {0,
                                     -1,
                                     -INT64_C(62135596800000),
                                     INT64_C(2147483647000),
                                     INT64_C(2147483648000),
                                     INT64_C(4294967296000),
                                     INT64_C(4291747200000),
                                     INT64_MAX / 2,
                                     INT64_MIN / 2,
                                     LAB_WALL_MS};
    lab l;
    unsigned id = 0;
    (void)state;
    start(&l);
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        l.wall_ms = clocks[i];
        id++;
        assert_int_equal(lab_save(&l, id, "at any time", 1), id);
        lab_reopen(&l);
        assert_int_equal(groups_pending(&l), id);
    }
    lab_check(&l);
    lab_close(&l);
    lose_database();
    l.wall_ms = 0;
    lab_reopen(&l);
    assert_int_equal(groups_pending(&l), id);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(damaged_page__is_met_and_nothing_is_lost),
        TEST(damaged_header__is_met_and_nothing_is_lost),
        TEST(damage_that_a_check_finds__is_remembered_by_a_killed_program),
        TEST(note_of_damage__says_nothing_of_another_file),
        TEST(broken_chain__is_remembered_like_a_damaged_page),
        TEST(full_disk__lets_the_last_order_be_saved),
        TEST(newer_file__is_refused_and_its_outbox_can_be_taken_over),
        TEST(damaged_file__still_has_an_outbox),
        TEST(little_memory__leaves_no_group_out),
        TEST(marks_of_two_moments__are_damage),
        TEST(clock__of_any_year_loses_nothing),
        TEST(lost_database__comes_back_with_every_saved_group),
        TEST(older_database__is_not_trusted_and_nothing_is_lost),
        TEST(log_lost__while_the_database_stays),
        TEST(second_copy_lost__is_written_again),
        TEST(failed_commit__never_comes_back),
        TEST(number_used_again__is_told_apart_by_the_chain),
        TEST(pruned__groups_leave_and_closed_ones_stay_closed),
        TEST(numbers_and_drafts__are_salvaged),
        TEST(crash_in_a_salvage__is_followed_by_the_same_one),
        TEST(foreign_database__is_moved_aside),
        TEST(replica_in_memory__has_no_files_to_forget),
        TEST(file_of_a_newer_app__is_not_made_again),
        TEST(file_set_aside__goes_with_a_purge_when_a_backup_has_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
