/* test_disk_fails.c - the database, or its second copy, is not what it was, and while it is put in
 * order a call of the disk fails too: a write, a read, the opening of a file, the question for its
 * size, or there is no room, or no memory.
 *
 * Method: from the same files a step runs once for each call that fails. It says that the
 * machine is in trouble, or it has done its work; then the disk works again and every group is
 * there, also when the database is deleted after that. fb-torture does the same through the public
 * calls, with their own files. */
#include "base/check.h"
#include "disk_fixture.h"
#include "fault/torture/calls.h"
#include "replica/journal.h"

#ifdef __SANITIZE_ADDRESS__
enum { SAMPLED = 1 }; /* one fault and one call of a step, for every test run */
#else
enum { SAMPLED = 0 }; /* ./run coverage */
#endif
enum { GROUPS = 3, LENT_BYTES_MAX = 1 << 16, NO_MEMORY = -1, IN_FIRST_PAGE = 50 };
enum { UNREAD_OPENINGS = 4 }; /* as salvage.h */

/* --- what happened -------------------------------------------------------------------------- */

/* Where the table begins, in the database's file. */
static uint64_t place_of(const char *table)
{
    enum { PAGE_BYTES = 4096 };
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open_v2(DB, &db, SQLITE_OPEN_READWRITE, VFS), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name=?1", -1, &q, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(q, 1, table, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    uint64_t page = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return (page - 1) * PAGE_BYTES;
}

/* Packed, its group is longer than the identity. */
static const char *long_note(void)
{
    static char note[LENT_BYTES_MAX / 8];
    uint32_t random = 1;
    for (size_t i = 0; i + 1 < sizeof note; i++) {
        random = random * 1664525 + 1013904223;
        note[i] = (char)('a' + random / (1 << 28));
    }
    return note;
}

static void three_groups(lab *l)
{
    start(l);
    for (unsigned i = 1; i <= GROUPS; i++) {
        buf number;
        buf_init(&number, LENT_BYTES_MAX);
        fb_error err;
        lab_begin(l, "lab.save");
        assert_int_equal(capture_number(l->r, "SO", &number, &err), FB_OK);
        lab_insert(l, i, "saved", 1);
        if (i == GROUPS) {
            lab_set(l, i, l->note, long_note());
        }
        lab_commit(l);
        buf_clear(&number);
    }
    draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{}")};
    assert_int_equal(draft_put(l->r, &d), FB_OK);
}

static void database_lost(lab *l)
{
    three_groups(l);
    lab_close(l);
    lose_database();
}

static void second_copy_lost(lab *l)
{
    three_groups(l);
    lab_close(l);
    file_delete(DB "-outbox1");
    file_delete(DB "-outbox2");
}

static void database_older(lab *l)
{
    start(l);
    lab_close(l);
    file_bytes old = file_read(DB);
    lab_reopen(l);
    for (unsigned i = 1; i <= GROUPS; i++) {
        lab_save(l, i, "saved", 1);
    }
    lab_close(l);
    file_write(&old);
    free(old.data);
}

/* It was found damaged, and nothing else has the groups. */
static void database_alone_and_damaged(lab *l)
{
    second_copy_lost(l);
    crash_vfs_put(disk, DB "-broken", "1", 1);
}

static void both_and_damaged(lab *l)
{
    three_groups(l);
    lab_close(l);
    crash_vfs_put(disk, DB "-broken", "1", 1);
}

static fb_code keep_last(void *ctx, const journal_record *record)
{
    if (record->type == JOURNAL_GROUP) {
        buf_reset(ctx);
        buf_put_text(ctx, record->payload);
    }
    return FB_OK;
}

static void killed(lab *l)
{
    three_groups(l);
    crash_vfs_kill(disk, "phone");
    lab_close(l);
    crash_vfs_reboot(disk, "phone");
}

/* Between the record of a fourth group and its commit, which never came. */
static void killed_between(lab *l)
{
    journal j;
    buf third;
    three_groups(l);
    lab_close(l);
    buf_init(&third, LENT_BYTES_MAX);
    assert_int_equal(journal_init(&j, VFS, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, keep_last, &third), FB_OK);
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, GROUPS + 1, buf_text(&third), true), FB_OK);
    journal_clear(&j);
    buf_clear(&third);
}

static const char *bad_file; /* has a place that cannot be read, in the next step; NULL: none has */
static uint64_t bad_place;

/* That a place could not be read was counted often enough. */
static void unread_counted(const char *file, uint64_t place)
{
    bad_file = file;
    bad_place = place;
    crash_vfs_put(disk, DB "-unread", "????", UNREAD_OPENINGS);
}

static void place_unread(lab *l)
{
    three_groups(l);
    lab_close(l);
    unread_counted(DB, IN_FIRST_PAGE);
}

static void place_unread_and_killed(lab *l)
{
    three_groups(l);
    crash_vfs_kill(disk, "phone"); /* the power stays: the newest group's mark is there */
    lab_close(l);
    unread_counted(DB, IN_FIRST_PAGE);
}

static void place_unread_and_damaged(lab *l)
{
    database_alone_and_damaged(l);
    unread_counted(DB, place_of("fb_draft"));
}

static void place_back_and_killed(lab *l)
{
    place_unread_and_killed(l);
    bad_file = NULL;
}

static void place_of_the_log_unread(lab *l)
{
    place_unread_and_killed(l);
    bad_file = DB "-wal";
}

/* --- what is done about it ------------------------------------------------------------------ */

/* Whose second copy cannot be read just now may look at what the database has; but a database of
 * nobody is none. */
static fb_code open_it(lab *l, fb_error *err)
{
    replica_identity me;
    fb_code rc = lab_open(l, err);
    if (rc == FB_OK) {
        fb_code looked = replica_identity_get(l->r, &me);
        assert_true(looked == FB_OK ? me.enrolled : code_is_machines(looked));
    }
    lab_close(l);
    return rc;
}

static fb_code count_line(void *ctx, const rescued *r)
{
    assert_true(r->line.size > 0);
    ++*(int *)ctx;
    return FB_OK;
}

static fb_code lend(lab *l, fb_error *err)
{
    int lent = 0;
    const replica_options o = {.path = DB, .port = &l->port, .vfs = VFS, .read_only = true};
    fb_code rc = rescue_each(&o, count_line, &lent, err);
    assert_true(rc != FB_OK || lent == GROUPS);
    return rc;
}

static fb_code new_life(lab *l, fb_error *err)
{
    fb_code rc = lab_open(l, err);
    if (rc == FB_OK) {
        rc = replica_rebirth(l->r, err);
    }
    lab_close(l);
    return rc;
}

static const struct step {
    const char *why;
    void (*make)(lab *l);
    fb_code (*play)(lab *l, fb_error *err);
} STEPS[] = {
    {"the database is lost", database_lost, open_it},
    {"the second copy is lost", second_copy_lost, open_it},
    {"the database is older", database_older, open_it},
    {"the database is damaged, and alone", database_alone_and_damaged, open_it},
    {"the database is damaged", both_and_damaged, open_it},
    {"the program was killed", killed, open_it},
    {"the program was killed in the midst of a save", killed_between, open_it},
    {"its outbox is lent", killed_between, lend},
    {"the outbox is lent from the second copy", database_lost, lend},
    {"the outbox is lent from the database", second_copy_lost, lend},
    {"a new life begins", second_copy_lost, new_life},
    {"a place cannot be read", place_unread, open_it},
    {"a place cannot be read, and the program was killed", place_unread_and_killed, open_it},
    {"a place cannot be read, and the database is damaged", place_unread_and_damaged, open_it},
    {"a place of the log cannot be read", place_of_the_log_unread, open_it},
    {"a place can be read again, and the program was killed", place_back_and_killed, open_it},
};

/* --- the loop ------------------------------------------------------------------------------- */

static const struct fault {
    const char *why;
    int result; /* NO_MEMORY: of an allocation */
    bool for_ever;
} FAULTS[] = {
    {"a write fails", SQLITE_IOERR_WRITE, false},
    {"writes fail", SQLITE_IOERR_WRITE, true},
    {"no room", SQLITE_FULL, true},
    {"a read fails", SQLITE_IOERR_READ, false},
    {"a file cannot be opened", SQLITE_CANTOPEN, false},
    {"a size cannot be told", SQLITE_IOERR_FSTAT, false},
    {"no memory", NO_MEMORY, false},
};
enum { FAULTS_COUNT = sizeof FAULTS / sizeof FAULTS[0] };

static char tried[160]; /* what was tried last */

/* The disk works again. What the catalogue of the second copy names is shown, too. */
static void all_is_there(lab *l)
{
    fb_error err = {.code = FB_OK};
    for (int turn = 0; turn < 2; turn++) {
        fb_code rc = lab_open(l, &err);
        int64_t pending = rc == FB_OK ? groups_pending(l) : 0;
        if (pending != GROUPS) {
            fail_msg("%s, and then %d groups: %s: %s %s", tried, (int)pending, fb_code_name(rc),
                     err.field, err.message);
        }
        bool known = catalog_entity_str(replica_catalog(l->r), "lab_item") != NULL;
        for (unsigned i = 1; known && i <= GROUPS; i++) {
            lab_find_columns(l);
            assert_true(lab_has(l, i));
        }
        lab_close(l);
        lose_database();
    }
}

/* Whoever is told of a failure is told in words what it was. */
static bool is_told(fb_code rc, const fb_error *err)
{
    size_t size = strlen(err->message);
    return err->code == rc && size > 2 && err->message[size - 1] != ' ';
}

static void begin_again(void)
{
    crash_vfs_remove(disk, "phone");
    crash_vfs_copy(disk, "before", "phone");
    crash_vfs_bad_sector(disk, bad_file, bad_place);
}

static void fault_begin(const struct fault *f, uint64_t call)
{
    if (f->result == NO_MEMORY) {
        calls_arm(CALL_HEAP, call, false);
    } else {
        crash_vfs_fail(disk, "phone", call, f->result, f->for_ever);
    }
}

/* Did it fire? */
static bool fault_end(const struct fault *f)
{
    bool fired = f->result == NO_MEMORY ? calls_disarm() : crash_vfs_failed(disk, "phone");
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    return fired;
}

/* False: no call failed any more. */
static bool call_fails(lab *l, const struct step *s, const struct fault *f, uint64_t call)
{
    fb_error err = {.code = FB_OK};
    begin_again();
    snprintf(tried, sizeof tried, "%s, %s at call %llu", s->why, f->why, (unsigned long long)call);
    fault_begin(f, call);
    fb_code rc = s->play(l, &err);
    bool fired = fault_end(f);
    bool told = s->play == lend || is_told(rc, &err); /* of lending the api room tells */
    if (rc != FB_OK && (!fired || !code_is_machines(rc) || !told)) {
        fail_msg("%s: %s: %s %s", tried, fb_code_name(rc), err.field, err.message);
    }
    all_is_there(l);
    return fired;
}

/* Only calls of the disk that are the first below some call of the product (calls.h). */
static void calls_fail(lab *l, const struct step *s, const struct fault *f, int set)
{
    static uint64_t found[SITES_MAX];
    size_t count = 0;
    fb_error err = {.code = FB_OK};
    begin_again();
    sites_begin(set);
    if (f->result == NO_MEMORY) {
        calls_arm(CALL_HEAP, 0, false);
    } else {
        crash_vfs_watch(disk, "phone", f->result, sites_pass);
    }
    assert_int_equal(s->play(l, &err), FB_OK);
    crash_vfs_watch(disk, "phone", f->result, NULL);
    (void)calls_disarm();
    memcpy(found, sites_end(&count), sizeof found);
    for (size_t i = 0; i < count; i++) {
        (void)call_fails(l, s, f, found[i]);
    }
}

static void step__fails_whole_or_succeeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        lab l;
        crash_vfs_remove(disk, "phone");
        crash_vfs_remove(disk, "before");
        bad_file = NULL;
        STEPS[i].make(&l);
        crash_vfs_copy(disk, "phone", "before");
        for (size_t k = 0; k < FAULTS_COUNT; k++) {
            if (SAMPLED && k != (i + 3) % FAULTS_COUNT) {
                continue;
            }
            if (SAMPLED) {
                (void)call_fails(&l, &STEPS[i], &FAULTS[k], 1 + i);
            } else {
                calls_fail(&l, &STEPS[i], &FAULTS[k], (int)k);
            }
        }
    }
    bad_file = NULL;
}

/* --- reads ---------------------------------------------------------------------------------- */

/* Nothing but this file has the groups: what a read that fails keeps back now is read later. */
static void read_that_fails__is_no_damage(void **state)
{
    static const struct fault a_read = {"a read fails", SQLITE_IOERR_READ, false};
    static const struct step alone[] = {
        {"the database is damaged, and alone", database_alone_and_damaged, open_it},
        {"the outbox is lent from the database", second_copy_lost, lend},
    };
    (void)state;
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        lab l;
        uint64_t call = 1;
        crash_vfs_remove(disk, "phone");
        crash_vfs_remove(disk, "before");
        alone[i].make(&l);
        crash_vfs_copy(disk, "phone", "before");
        while (call_fails(&l, &alone[i], &a_read, call)) {
            call += SAMPLED ? 29 : 1;
        }
        assert_true(call > 10);
    }
}

/* So often the opening fails, and every time all is as it was. */
static void opening_fails(lab *l, int times)
{
    fb_error err = {.code = FB_OK};
    file_bytes before = file_read(DB);
    for (int i = 0; i < times; i++) {
        assert_int_equal(lab_open(l, &err), FB_E_IO);
        assert_true(err.message[0] != '\0');
        file_bytes now = file_read(DB);
        assert_int_equal(now.size, before.size);
        assert_memory_equal(now.data, before.data, now.size);
        free(now.data);
    }
    free(before.data);
}

static int64_t drafts(lab *l)
{
    return lab_count(l, "SELECT count(*) FROM fb_draft");
}

/* Times that a place could not be read. */
static size_t unread_count(void)
{
    file_bytes f = file_read(DB "-unread");
    free(f.data);
    return f.size;
}

/* A damaged database without a second copy, on a disk with a place that cannot be read: whoever
 * tries again may have luck, and whoever has none for ever gets what is left. */
static void bad_sector_of_a_damaged_file__is_given_up_in_the_end(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        bool for_ever = turn == 1;
        crash_vfs_remove(disk, "phone");
        database_alone_and_damaged(&l);
        crash_vfs_bad_sector(disk, DB, place_of("fb_draft"));
        opening_fails(&l, for_ever ? UNREAD_OPENINGS : UNREAD_OPENINGS - 1);
        if (!for_ever) {
            crash_vfs_bad_sector(disk, NULL, 0);
        }
        assert_int_equal(lab_open(&l, &err), FB_OK);
        assert_int_equal(groups_pending(&l), GROUPS);
        assert_int_equal(drafts(&l), for_ever ? 0 : 1);
        lab_close(&l);
        file_bytes kept = file_read(DB "-damaged1"); /* what could be read of it */
        assert_true(kept.size > 0);
        free(kept.data);
        assert_int_equal(unread_count(), 0);
    }
}

/* Nothing is damaged but what cannot be read, and the second copy has all. */
static void bad_sector__does_not_keep_the_app_out_for_ever(void **state)
{
    static const char *const places[] = {NULL, "fb_meta"};
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        lab l;
        crash_vfs_remove(disk, "phone");
        three_groups(&l);
        lab_close(&l);
        crash_vfs_bad_sector(disk, DB, places[i] == NULL ? IN_FIRST_PAGE : place_of(places[i]));
        opening_fails(&l, UNREAD_OPENINGS);
        lab_reopen(&l);
        assert_int_equal(groups_pending(&l), GROUPS);
        assert_int_equal(drafts(&l), 1);
        lab_check(&l);
        lab_close(&l);
    }
}

/* The opening does not meet the place, every use of its table does: the app would never take a
 * page of the server any more. Where the place comes back nothing is made again. */
static void bad_sector_met_in_use__ends_with_a_new_file(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        lab l;
        bool comes_back = turn == 1, by_call = turn == 2;
        crash_vfs_remove(disk, "phone");
        three_groups(&l);
        lab_close(&l);
        crash_vfs_bad_sector(disk, DB, place_of("lab_item"));
        for (int i = 0; i < UNREAD_OPENINGS; i++) {
            lab_reopen(&l);
            for (int again = 0; again < 2; again++) { /* counts once for an opening */
                bool row = false;
                sql_stmt *s =
                    sql_prepare(replica_sql(l.r), "SELECT count(*) FROM lab_item NOT INDEXED");
                assert_int_equal(sql_step(s, &row), FB_E_IO);
                if (by_call) {
                    replica_remember_damage(l.r, NULL);
                }
            }
            assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 0);
            if (by_call) { /* the app never closes it */
                crash_vfs_kill(disk, "phone");
            }
            lab_close(&l);
            assert_int_equal(unread_count(), i + 1);
        }
        if (comes_back) {
            crash_vfs_bad_sector(disk, NULL, 0);
        }
        lab_reopen(&l);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"),
                         comes_back ? 0 : 1);
        assert_int_equal(groups_pending(&l), GROUPS);
        assert_int_equal(drafts(&l), 1);
        assert_int_equal(unread_count(), 0);
        lab_check(&l);
        lab_close(&l);
    }
}

/* Every read of an opening fails once: it is said why, and the next one is as if nothing had been.
 */
static void opening_that_fails__says_why(void **state)
{
    lab l;
    int failed = 0;
    bool fired = true;
    (void)state;
    crash_vfs_remove(disk, "phone");
    three_groups(&l);
    lab_close(&l);
    for (uint64_t call = 1; fired; call++) {
        fb_error err = {.code = FB_OK};
        crash_vfs_fail(disk, "phone", call, SQLITE_IOERR_READ, false);
        fb_code rc = lab_open(&l, &err);
        fired = crash_vfs_failed(disk, "phone");
        crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
        lab_close(&l);
        failed += rc != FB_OK;
        if (rc != FB_OK && !is_told(rc, &err)) {
            fail_msg("read %d: %s: '%s'", (int)call, fb_code_name(rc), err.message);
        }
    }
    assert_true(failed > 2 * UNREAD_OPENINGS);
    lab_reopen(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 0);
    assert_int_equal(groups_pending(&l), GROUPS);
    lab_close(&l);
}

/* The opening of a file says nothing of what is in it, however often it fails. */
static void file_that_cannot_be_opened__is_never_given_up(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    crash_vfs_remove(disk, "phone"); /* and what earlier ones counted */
    three_groups(&l);
    lab_close(&l);
    for (int i = 0; i < UNREAD_OPENINGS; i++) {
        bool counted = i > 0; /* what was counted is read first */
        crash_vfs_fail(disk, "phone", counted ? 2 : 1, SQLITE_CANTOPEN, false);
        assert_int_equal(lab_open(&l, &err), FB_E_IO);
    }
    for (int i = 0; i < 2; i++) { /* the look for the place cannot open it either, or can */
        crash_vfs_fail(disk, "phone", i == 0 ? 2 : 0, SQLITE_CANTOPEN, false);
        lab_reopen(&l);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 0);
        assert_int_equal(groups_pending(&l), GROUPS);
        lab_close(&l);
    }
}

/* --- others --------------------------------------------------------------------------------- */

/* Somebody else has the file: nothing may be put in its place. */
static void damaged_file_in_use__waits_for_the_other(void **state)
{
    lab l, m;
    fb_error err = {.code = FB_OK};
    (void)state;
    three_groups(&l);
    lab_init(&m, DB, VFS, 8);
    assert_int_equal(lab_open(&m, &err), FB_OK);
    lab_close(&l);
    crash_vfs_put(disk, DB "-broken", "1", 1);
    assert_int_equal(lab_open(&l, NULL), FB_E_LOCKED);
    assert_int_equal(lab_open(&l, &err), FB_E_LOCKED);
    assert_string_equal(err.field, "path");
    assert_non_null(strstr(err.message, "end that one first"));
    lab_close(&m);
    all_is_there(&l);
}

/* Somebody else holds its lock: that says nothing of the disk. */
static void damaged_file_of_another__is_not_counted_as_unread(void **state)
{
    lab l;
    sql_file *other = NULL;
    fb_error err = {.code = FB_OK};
    (void)state;
    both_and_damaged(&l);
    assert_int_equal(sql_file_open_alone(VFS, DB, &other), FB_OK);
    for (int i = 0; i < 2 * UNREAD_OPENINGS; i++) {
        assert_int_equal(lab_open(&l, &err), FB_E_BUSY);
        assert_non_null(strstr(err.message, "nothing was changed"));
        assert_int_equal(unread_count(), 0);
    }
    sql_file_close(other);
    all_is_there(&l);
}

/* A log that cannot be looked into is none that reads whole: what was counted stands. */
static void log_that_cannot_be_opened__does_not_take_back_the_count(void **state)
{
    enum { OPENS_BEFORE_THE_LOG = 2 }; /* the count and the database */
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    crash_vfs_remove(disk, "phone");
    place_of_the_log_unread(&l);
    crash_vfs_bad_sector(disk, bad_file, bad_place);
    bad_file = NULL;
    crash_vfs_fail(disk, "phone", OPENS_BEFORE_THE_LOG + 1, SQLITE_CANTOPEN, true);
    assert_int_equal(lab_open(&l, &err), FB_E_IO);
    crash_vfs_fail(disk, "phone", 0, SQLITE_OK, false);
    assert_int_equal(unread_count(), UNREAD_OPENINGS);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='salvaged'"), 1);
    assert_int_equal(groups_pending(&l), GROUPS);
    lab_close(&l);
}

/* Who only reads changes nothing, and so counts nothing. */
static void reader_that_cannot_read__is_not_counted(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    crash_vfs_remove(disk, "phone");
    three_groups(&l);
    lab_close(&l);
    crash_vfs_bad_sector(disk, DB, IN_FIRST_PAGE);
    const replica_options o = {.path = DB, .port = &l.port, .vfs = VFS, .read_only = true};
    assert_int_equal(replica_open(&o, &l.r, &err), FB_E_IO);
    assert_int_equal(unread_count(), 0);
    assert_int_equal(lab_open(&l, &err), FB_E_IO);
    assert_int_equal(unread_count(), 1);
    crash_vfs_bad_sector(disk, NULL, 0);
    all_is_there(&l);
}

typedef struct looked_for {
    const char *name;
    bool there; /* empty or not */
} looked_for;

static void look_for(void *ctx, const char *file, const void *data, size_t size)
{
    looked_for *l = ctx;
    (void)data;
    (void)size;
    l->there |= strcmp(file, l->name) == 0;
}

static bool is_there(const char *name)
{
    looked_for l = {.name = name};
    crash_vfs_each(disk, look_for, &l);
    return l.there;
}

/* What was counted of a file says nothing of one that is gone, and makes none. */
static void lost_file__is_not_looked_at_for_what_was_counted(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    crash_vfs_remove(disk, "phone");
    second_copy_lost(&l);
    lose_database();
    unread_counted(NULL, 0);
    const replica_options o = {.path = DB, .port = &l.port, .vfs = VFS};
    assert_int_equal(replica_open(&o, &l.r, &err), FB_E_NOT_FOUND);
    assert_false(is_there(DB));
    assert_true(is_there(DB "-unread"));
}

/* Who opens without making a file gets what its second copy holds, and nothing from nothing. */
static void open_without_making__finds_what_there_is(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    database_lost(&l);
    const replica_options o = {.path = DB, .port = &l.port, .vfs = VFS};
    assert_int_equal(replica_open(&o, &l.r, NULL), FB_OK);
    assert_int_equal(groups_pending(&l), GROUPS);
    lab_close(&l);
    crash_vfs_remove(disk, "phone");
    assert_int_equal(replica_open(&o, &l.r, &err), FB_E_NOT_FOUND);
    assert_int_equal(replica_open(&o, &l.r, NULL), FB_E_NOT_FOUND);
}

static fb_code no_random(void *ctx, void *out, size_t size)
{
    (void)ctx;
    memset(out, 0, size);
    return FB_E_IO;
}

/* The salvage draws its mark; without it nothing of the old files goes. */
static void salvage_without_random_bytes__changes_nothing(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    both_and_damaged(&l);
    l.port.random = no_random;
    assert_int_equal(lab_open(&l, &err), FB_E_IO);
    lab_port(&l);
    all_is_there(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(step__fails_whole_or_succeeds),
        TEST(read_that_fails__is_no_damage),
        TEST(bad_sector_of_a_damaged_file__is_given_up_in_the_end),
        TEST(bad_sector__does_not_keep_the_app_out_for_ever),
        TEST(bad_sector_met_in_use__ends_with_a_new_file),
        TEST(opening_that_fails__says_why),
        TEST(file_that_cannot_be_opened__is_never_given_up),
        TEST(damaged_file_in_use__waits_for_the_other),
        TEST(damaged_file_of_another__is_not_counted_as_unread),
        TEST(log_that_cannot_be_opened__does_not_take_back_the_count),
        TEST(reader_that_cannot_read__is_not_counted),
        TEST(lost_file__is_not_looked_at_for_what_was_counted),
        TEST(open_without_making__finds_what_there_is),
        TEST(salvage_without_random_bytes__changes_nothing),
    };
    return cmocka_run_group_tests_name("disk_fails", tests, NULL, NULL);
}
