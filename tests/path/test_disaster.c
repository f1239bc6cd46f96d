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

#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/store/fill.h"

#include <cmocka.h>

static fleet f;

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
    fleet_server_stop(&f);
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
    fleet_server_start(&f);
    assert_true(server_is_suspect(f.srv));
    assert_int_equal(fleet_try_sync(d, &err), FB_E_EPOCH);
    fleet_server_stop(&f);
    epoch_new();
    fleet_server_start(&f);
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
    fleet_server_stop(&f);
    fleet_server_start(&f);
    assert_false(server_is_suspect(f.srv));
    talk(d, "two");
    fleet_sync(d);
    crash_vfs_crash(f.vfs, "server");
    fleet_server_stop(&f);
    crash_vfs_reboot(f.vfs, "server");
    fleet_server_start(&f);
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
    fleet_server_start(&f);
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
    fleet_server_start(&f);
    fleet_sync(d); /* was E_GAP for ever */
    assert_int_equal(d->report.rejected_count, 1);
}

static void industry_set(fleet_device *d, const char *json)
{
    fb_error err = {0};
    fb_customer_change done;
    f.now_ms += 1000;
    fleet_must(fb_customer_update(d->db, &f.customers[0], json, &done, &err), &err, "update");
}

static void commits_until_beyond(int64_t lost)
{
    while (head() <= lost) {
        company_set(&f.company, "product", &f.product, PAIRS("name", "unrelated"));
        company_set(&f.company, "product", &f.product, PAIRS("name", "again"));
    }
}

/* What both saw is lost with its number, which another commit gets: its time says nothing of when
 * they wrote. The later one stands, whoever comes first. Nor does it after a second restore, of a
 * backup that was made after the first: they have met neither epoch. */
static void race_after_restores(int restores)
{
    static int64_t conflicts; /* of all rounds */
    for (int first = 0; first < 2; first++) {
        char stands[40];
        fleet_device *d[2] = {fleet_device_add(&f, &f.users[0]), fleet_device_add(&f, &f.users[0])};
        fleet_sync(d[0]);
        backup_take();
        company_set(&f.company, "customer", &f.customers[0], PAIRS("remark", "lost"));
        int64_t lost = head();
        fleet_sync(d[0]);
        fleet_sync(d[1]);
        industry_set(d[0], "{\"industry\":\"earlier\"}");
        industry_set(d[1], "{\"industry\":\"later\"}");
        f.now_ms += 3600000;
        for (int i = 0; i < restores; i++) {
            database_put_back();
            epoch_new();
            fleet_server_start(&f);
            commits_until_beyond(lost);
            backup_take();
        }
        for (int i = 0; i < 6; i++) {
            fleet_sync(d[(first + i) % 2]);
        }
        for (int i = 0; i < 2; i++) {
            fleet_text(d[i], "SELECT industry FROM customer WHERE code = 'C1'", stands,
                       sizeof stands);
            assert_string_equal(stands, "later");
        }
        conflicts++;
        assert_int_equal(fleet_number(d[0], "SELECT count(*) FROM conflict WHERE field = "
                                            "'industry'"),
                         conflicts);
        industry_set(d[0], "{\"industry\":\"\"}");
        fleet_sync(d[0]);
    }
}

static void race__is_not_decided_by_the_number_of_a_lost_commit(void **state)
{
    (void)state;
    race_after_restores(1);
    race_after_restores(2);
}

/* Up to which group the base was an earlier epoch's is counted anew in a new life. */
static void enrolled_anew__after_a_new_epoch_it_counts_from_one(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    backup_take();
    talk(d, "one");
    talk(d, "two");
    database_put_back();
    epoch_new();
    fleet_server_start(&f);
    fleet_sync(d);
    assert_true(d->report.epoch_changed);
    fleet_must(fleet_enrol_again(d, &f.users[0], &err), &err, "enrol again");
    fleet_sync(d);
    talk(d, "three");
    fleet_sync(d);
    assert_int_equal(d->report.applied_count, 1);
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
    fleet_server_start(&f);
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
    fleet_server_start(&f);
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

/* ---- the same end, with and without the accident (T6) ---- */

typedef struct story {
    fleet_device *a, *b, *other, *manager; /* b: the same person as a; other: another territory */
    fb_id contact;
} story;

static void customer_says(fleet_device *d, const char *json)
{
    fb_error err = {0};
    f.now_ms += 60000;
    fleet_must(fb_customer_update(d->db, &f.customers[0], json, NULL, &err), &err, json);
}

static fb_id row_says(fleet_device *d, const char *entity, const char *json)
{
    fb_error err = {0};
    fb_id id = {{0}};
    f.now_ms += 60000;
    fleet_must(fb_record_put_json(d->db, entity, json, &id, &err), &err, json);
    return id;
}

static void everybody_syncs(const story *s)
{
    fleet_sync(s->manager);
    fleet_sync(s->a);
    fleet_sync(s->b);
    fleet_sync(s->other);
}

/* Before the backup: an edit of both, merged. */
static void story_begins(story *s)
{
    char json[200];
    company_set(&f.company, "customer", &f.customers[0], PAIRS("licence_no", "L-1"));
    s->a = fleet_device_add(&f, &f.users[0]);
    s->b = fleet_device_add(&f, &f.users[0]);
    s->other = fleet_device_add(&f, &f.users[1]);
    s->manager = fleet_device_add(&f, &f.manager);
    talk(s->a, "a1");
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Li\"}",
             id_text(&f.customers[0]));
    s->contact = row_says(s->a, "contact", json);
    customer_says(s->a, "{\"phone\":\"+8613800000001\"}");
    customer_says(s->b, "{\"phone\":\"+8613800000002\",\"remark\":\"b\"}");
    fleet_sync(s->a);
    fleet_sync(s->b); /* merged, with a conflict record */
    everybody_syncs(s);
}

/* After it: plain, merged, rejected (its row was deleted by another), held (known elsewhere). */
static void story_goes_on(story *s)
{
    char json[200], id[FB_ID_TEXT_BYTES];
    fb_error err = {0};
    talk(s->a, "a2");
    fleet_must(fb_activity_log(s->other->db, &f.customers[1], "o2", NULL, NULL, &err), &err, "o2");
    customer_says(s->a, "{\"email\":\"a@example.com\"}");
    customer_says(s->b, "{\"email\":\"b@example.com\"}");
    fleet_must(fb_record_delete(s->manager->db, "contact", &s->contact, &err), &err, "delete");
    id_put(&s->contact, id);
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"name\":\"Li Lei\"}", id);
    (void)row_says(s->a, "contact", json);
    (void)row_says(s->other, "customer",
                   "{\"code\":\"C9\",\"name\":\"Elsewhere\",\"licence_no\":\"L-1\"}");
    everybody_syncs(s);
    everybody_syncs(s);
    assert_int_equal(fleet_number(s->b, "SELECT count(*) FROM conflict"), 2);
    assert_int_equal(s->a->report.rejected_count, 0);
}

static void rows_put(buf *out, const char *sql)
{
    sql_stmt *q = NULL;
    fb_error err = {0};
    bool row = true;
    fleet_must(store_query(f.admin, text_of(sql), &q, &err), &err, sql);
    for (;;) {
        fleet_must(sql_step(q, &row), NULL, sql);
        if (!row) {
            break;
        }
        buf_put_text(out, sql_text(q, 0));
        buf_put_char(out, '\n');
    }
    sql_finalize(q);
}

/* All that devices made, and every verdict that was not "applied". */
static void story_ends(buf *out)
{
    static const char *const QUERIES[] = {
        "SELECT 'activity ' || subject || ' ' || at FROM activity ORDER BY subject",
        "SELECT 'contact ' || name FROM contact ORDER BY name",
        "SELECT 'customer ' || code || ' ' || ifnull(phone, '') || ' ' || ifnull(email, '') || ' ' "
        "|| "
        "ifnull(remark, '') FROM customer ORDER BY code",
        "SELECT 'conflict ' || field || ' ' || ifnull(base, '-') || ' ' || mine || ' ' || theirs "
        "|| "
        "' ' || winner || ' ' || state || ' ' || mine_at || ' ' || theirs_at FROM conflict ORDER "
        "BY "
        "field, mine, theirs",
        "SELECT 'verdict ' || d.code || ' ' || v.gseq || ' ' || v.code || ' ' || v.state || ' ' || "
        "(v.payload IS NULL) FROM fs_verdict v JOIN fs_incarnation i ON i.no = v.incarnation JOIN "
        "fs_device d ON d.id = i.device WHERE v.code <> 1 ORDER BY d.code, v.gseq",
    };
    buf_init(out, 1 << 16);
    for (size_t i = 0; i < sizeof QUERIES / sizeof QUERIES[0]; i++) {
        rows_put(out, QUERIES[i]);
    }
}

static void restored_server__ends_where_it_would_have_without_the_accident(void **state)
{
    (void)state;
    buf ends[2];
    for (int accident = 0; accident < 2; accident++) {
        story s = {.a = NULL};
        if (accident != 0) {
            fleet_close(&f);
            fleet_open(&f);
        }
        story_begins(&s);
        backup_take();
        backup_tell(head());
        everybody_syncs(&s);
        story_goes_on(&s);
        if (accident != 0) {
            database_put_back();
            epoch_new();
            fleet_server_start(&f);
        }
        everybody_syncs(&s);
        everybody_syncs(&s);
        story_ends(&ends[accident]);
        assert_int_equal(s.a->report.epoch_changed, 0);
    }
    assert_non_null(strstr(buf_cstr(&ends[0]), "customer C1 +8613800000002 b@example.com b"));
    for (verdict_code v = VERDICT_MERGED; v <= VERDICT_HELD; v++) { /* merged, rejected, held */
        char line[24];
        snprintf(line, sizeof line, " %d 0 %d\n", (int)v, v == VERDICT_MERGED);
        assert_non_null(strstr(buf_cstr(&ends[0]), line));
    }
    assert_string_equal(buf_cstr(&ends[1]), buf_cstr(&ends[0]));
    buf_clear(&ends[0]);
    buf_clear(&ends[1]);
}

/* ---- a mark that is gone, older or damaged (T7) ---- */

/* Without the file beside it the server cannot know; two people's devices do. */
static void server__refuses_everybody_when_two_people_know_more_than_it(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *a = fleet_device_add(&f, &f.users[0]), *b = fleet_device_add(&f, &f.users[1]),
                 *again = fleet_device_add(&f, &f.users[0]), *c = fleet_device_add(&f, &f.manager);
    backup_take();
    talk(a, "a");
    talk(again, "again");
    fleet_must(fb_activity_log(b->db, &f.customers[1], "b", NULL, NULL, &err), &err, "b");
    fleet_sync(a);
    fleet_sync(again);
    fleet_sync(b);
    database_put_back();
    crash_vfs_put(f.vfs, "server/master.db.high-water", NULL, 0);
    fleet_server_start(&f);
    assert_false(server_is_suspect(f.srv));
    assert_int_equal(fleet_try_sync(a, &err), FB_E_GAP);
    assert_int_equal(fleet_try_sync(again, &err), FB_E_GAP); /* the same person: no new witness */
    assert_false(server_is_suspect(f.srv));
    fleet_sync(c); /* one person alone stops nobody */
    assert_int_equal(fleet_try_sync(b, &err), FB_E_GAP);
    assert_true(server_is_suspect(f.srv));
    assert_int_equal(fleet_try_sync(c, &err), FB_E_EPOCH);
    fleet_server_stop(&f);
    epoch_new(); /* a person confirms */
    fleet_server_start(&f);
    fleet_sync(a);
    fleet_sync(again);
    fleet_sync(b);
    fleet_sync(c);
    assert_int_equal(fleet_number(c, "SELECT count(*) FROM activity"), 3);
}

/* An older mark accuses nobody: the database is ahead of it, and its audit chain runs through it.
 */
static void server__takes_an_older_mark_for_what_it_is(void **state)
{
    (void)state;
    mark_file old = {.name = "server/master.db.high-water"};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fleet_server_stop(&f);
    crash_vfs_each(f.vfs, mark_take, &old);
    fleet_server_start(&f);
    talk(d, "one");
    fleet_sync(d);
    fleet_server_stop(&f);
    crash_vfs_put(f.vfs, "server/master.db.high-water", old.data, old.size);
    fleet_server_start(&f);
    assert_false(server_is_suspect(f.srv));
    fleet_sync(d);
    free(old.data);
}

static void server__says_that_its_mark_is_damaged(void **state)
{
    (void)state;
    fb_error err = {0};
    server_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_server_stop(&f);
    crash_vfs_put(f.vfs, "server/master.db.high-water", "this is no mark, whatever it says", 33);
    assert_int_not_equal(server_open(&o, &f.srv, &err), FB_OK);
    assert_true(strstr(err.message, "remove it") != NULL ||
                strstr(err.field, "high-water") != NULL || err.message[0] != '\0');
    crash_vfs_put(f.vfs, "server/master.db.high-water", NULL, 0);
    fleet_server_start(&f);
}

/* ---- a server that is empty, and one that answers beside the first (T8, T9) ---- */

static void person_put(const fb_id *id)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), "app_user");
    arena *memory = arena_new(1 << 20);
    fb_value *row = fill_row(e, id, memory);
    fb_id unit = company_find(&f.company, "org_unit", "ACME");
    int64_t cid = 0;
    assert_non_null(row);
    fill_str(e, row, "code", "U1");
    fill_str(e, row, "login", "U1");
    fill_str(e, row, "name", "U1");
    fill_id(e, row, "org_unit_id", &unit);
    fill_str(e, row, "status", "active");
    const change ch = {.kind = CHANGE_INSERT,
                       .entity = e,
                       .id = *id,
                       .values = row,
                       .columns_count = e->columns_count};
    const commit_source from = {.at_ms = f.now_ms, .kind = text_of("import")};
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(ledger_commit(f.admin, &from, &ch, 1, &cid), NULL, "a person");
    fleet_must(store_commit(f.admin), NULL, "commit");
    arena_free(memory);
}

/* Another company's database under the same name: nobody is known there, and nothing on the phone
 * goes. Enrolled anew by a person, the phone gives all it holds that no backup had. */
static void empty_server__takes_nothing_from_a_phone(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "kept");
    fleet_sync(d);
    int64_t rows = fleet_number(d, "SELECT count(*) FROM customer");
    talk(d, "not sent yet");
    fleet_server_stop(&f);
    crash_vfs_remove(f.vfs, "server");
    server_create_options create = {.path = "server/master.db",
                                    .vfs = "fleetfs",
                                    .port = &f.port,
                                    .company_code = "ACME",
                                    .company_name = "Acme",
                                    .admin_code = "IT1"};
    fleet_must(server_create(&create, &err), &err, "server_create");
    fleet_server_start(&f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fleet_try_sync(d, &err), FB_E_AUTH);
        assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer"), rows);
        assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity"), 2);
    }
    person_put(&f.users[0]); /* IT has imported people anew, with the ids they had */
    fleet_must(fleet_enrol_again(d, &f.users[0], &err), &err, "a person says so: enrol again");
    (void)fleet_try_sync(d, &err);
    fb_status s = FB_STATUS_INIT;
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    /* Both are offered to the new server: judged there, or still here; none is gone. */
    assert_int_equal(s.pending_count + s.rejected_count + s.blocked_count + s.held_count, 2);
}

/* Blue and green: a copy with an epoch of its own answers under the same address in turn with the
 * first. The device takes it for a restore once, and never goes back. */
static void two_servers__do_not_get_a_phone_to_mix_them(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    talk(d, "one");
    fleet_sync(d);
    fleet_server_stop(&f);
    crash_vfs_copy(f.vfs, "server", "blue");
    epoch_new();
    crash_vfs_copy(f.vfs, "server", "green");
    fleet_server_start(&f);
    fleet_sync(d);
    assert_true(d->report.epoch_changed);
    for (int i = 0; i < 4; i++) {
        bool green = i % 2 == 1;
        char cursor[300], after[300];
        talk(d, "more");
        fleet_text(d, "SELECT count(*) || ' ' || ifnull(group_concat(subject), '') FROM activity",
                   cursor, sizeof cursor);
        fleet_server_stop(&f);
        crash_vfs_remove(f.vfs, "server");
        crash_vfs_copy(f.vfs, green ? "green" : "blue", "server");
        fleet_server_start(&f);
        assert_int_equal(fleet_try_sync(d, &err), green ? FB_OK : FB_E_EPOCH);
        fleet_text(d, "SELECT count(*) || ' ' || ifnull(group_concat(subject), '') FROM activity",
                   after, sizeof after);
        assert_string_equal(after, cursor); /* nothing of it is gone, nothing twice */
        fleet_server_stop(&f);
        crash_vfs_remove(f.vfs, green ? "green" : "blue");
        crash_vfs_copy(f.vfs, "server", green ? "green" : "blue");
        fleet_server_start(&f);
    }
    fb_status s = FB_STATUS_INIT;
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    assert_int_equal(s.pending_count, 0); /* green has them all */
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
        cmocka_unit_test_setup_teardown(
            restored_server__ends_where_it_would_have_without_the_accident, setup, teardown),
        cmocka_unit_test_setup_teardown(server__refuses_everybody_when_two_people_know_more_than_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(server__takes_an_older_mark_for_what_it_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(server__says_that_its_mark_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_server__takes_nothing_from_a_phone, setup, teardown),
        cmocka_unit_test_setup_teardown(two_servers__do_not_get_a_phone_to_mix_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(race__is_not_decided_by_the_number_of_a_lost_commit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(enrolled_anew__after_a_new_epoch_it_counts_from_one, setup,
                                        teardown),
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
