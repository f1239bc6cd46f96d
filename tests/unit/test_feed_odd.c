/* test_feed_odd.c - the feed of a file that was tampered with or comes from before there were
 * digests, of companies larger than usual, of devices that say odd things: a page, or a refusal,
 * and never a wrong row. Many scenes fail at each site once (each_site.h). */
#include "device_fixture.h"

#include "fault/torture/calls.h"
#include "sync-server/feed/feed_inside.h"

/* Territory 1: user 1; customer 1 with a visit and a note. */
static void one_rep(fixture *f, device *one)
{
    company(f);
    put_user_territory(f, 1, 1, 1);
    put_customer(f, 1, 1, 0);
    put_visit(f, 1, 1);
    put_note(f, 1, 1);
    batch_commit(f);
    device_init(f, one, 1, 1);
    device_pull_all(one, f, 0);
}

static void one_closed(fixture *f, device *one)
{
    device_clear(one);
    fixture_close(f);
}

typedef struct asking {
    fixture *f;
    arena *memory;
    scope_list set;
    page_request q;
    row_sums sums;
    buf buckets, out;
    page_result result;
} asking;

static void asking_begin(asking *a, fixture *f, const device *d)
{
    *a = (asking){.f = f, .memory = arena_new(1 << 26)};
    buf_init(&a->out, 1 << 26);
    buf_init(&a->buckets, 1 << 16);
    a->q = (page_request){.device = DEVICE(d->number),
                          .incarnation = INCARNATION(d->number),
                          .user = USER(d->user),
                          .token = text_of(d->token),
                          .set = &a->set};
    ok(store_snapshot(f->reader));
    ok(feed_scope_set_get(f->reader, &a->q.device, a->memory, &a->set, &a->q.set_number));
    store_snapshot_end(f->reader);
}

/* What the device says it holds: nothing in the buckets of these rows; the others as they are. */
static void nothing_in(asking *a, const char *const *names, const fb_id *ids, int count)
{
    static const row_sums nothing;
    bucket_set wrong;
    int64_t rows = 0;
    ok(store_snapshot(a->f->reader));
    ok(feed_digest_wrong(a->f->reader, &a->set, &nothing, a->memory, &wrong, &rows));
    store_snapshot_end(a->f->reader);
    a->sums = nothing;
    for (unsigned b = 0; b < ROW_BUCKETS; b++) {
        bool asked = false;
        for (int i = 0; i < count; i++) {
            asked = asked || row_bucket(text_of(names[i]), &ids[i]) == b;
        }
        a->sums.bucket[b] = bucket_set_has(&wrong, b) && !asked ? 1 : 0;
    }
    row_buckets_put(&a->buckets, &a->sums);
    a->q.buckets = buf_text(&a->buckets);
}

static fb_code page_once(void *ctx)
{
    asking *a = ctx;
    buf_reset(&a->out);
    FB_TRY(store_snapshot(a->f->reader));
    fb_code rc = feed_page(a->f->reader, &a->q, a->memory, &a->out, &a->result);
    store_snapshot_end(a->f->reader);
    return rc;
}

static void asking_end(asking *a)
{
    buf_clear(&a->out);
    buf_clear(&a->buckets);
    arena_free(a->memory);
}

/* ---- tokens and positions ---- */

static void feed__token_of_a_set_that_is_ahead_starts_anew(void **state)
{
    static const char *const TOKENS[] = {"2.1", "1.1+2.1", "0.1+1.1*0:5.", "0.1+1.1*0:"};
    (void)state;
    fixture f;
    device one;
    asking a;
    scope_list more = {0};
    int64_t number = 0;
    one_rep(&f, &one);
    asking_begin(&a, &f, &one);
    more = (scope_list){.scopes = (int64_t[]){1, 2}, .count = 2};
    ok(store_begin(f.writer));
    ok(feed_scope_set(f.writer, &a.q.device, &more, &number));
    ok(store_commit(f.writer));
    assert_int_equal(number, 2); /* the server was put back to before it */
    for (size_t i = 0; i < sizeof TOKENS / sizeof TOKENS[0]; i++) {
        a.q.token = text_of(TOKENS[i]);
        ok(page_once(&a));
        assert_true(a.result.reset);
    }
    asking_end(&a);
    one_closed(&f, &one);
}

/* A device that nobody knows has made nothing, and a commit that nobody knows is nobody's. */
static void feed__rows_of_unknown_commits_are_sent(void **state)
{
    (void)state;
    fixture f;
    device one;
    asking a;
    char sql[100];
    one_rep(&f, &one);
    put_visit(&f, 5, 1);
    int64_t cid = batch_commit(&f);
    put_visit(&f, 6, 1);
    batch_commit(&f);
    asking_begin(&a, &f, &one);
    a.q.incarnation = (fb_id){{9}};
    ok(page_once(&a));
    assert_true(a.result.rows >= 2);
    snprintf(sql, sizeof sql, "DELETE FROM fs_commit WHERE cid = %lld", (long long)cid);
    raw_run(&f, sql);
    a.q.incarnation = INCARNATION(1);
    ok(page_once(&a));
    assert_true(a.result.rows >= 2);
    asking_end(&a);
    one_closed(&f, &one);
}

/* Deleted, and made again where the device does not see it: it leaves, it is not gone. */
static void feed__row_that_was_made_again_elsewhere_leaves(void **state)
{
    (void)state;
    fixture f;
    device one;
    one_rep(&f, &one);
    batch_delete(&f, "note", NOTE(1));
    batch_commit(&f);
    put_customer(&f, 9, 4, 0);
    put_visit(&f, 9, 9);
    put_note(&f, 1, 9);
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves, 1);
    assert_int_equal(one.deletes, 0);
    one_closed(&f, &one);
}

/* Two of an entity's scopes hang on one column: a move names it once. */
static void feed__move_names_each_column_once(void **state)
{
    static const char NAME[] = "\"user_territory\"", SCOPE[] = "\"scope\":[",
                      MORE[] = "{\"by\":\"parent\",\"column\":\"user_id\"},";
    (void)state;
    fixture f;
    device one;
    asking a;
    scope_list set;
    int64_t number = 0;
    const fb_id user = USER(1), phone = DEVICE(1);
    arena *memory = arena_new(1 << 20);
    fb_text text = quoted(memory, SMALL_CATALOG);
    const char *at = strstr(strstr(text.data, NAME), SCOPE) + sizeof SCOPE - 1;
    char *more = arena_take(memory, text.size + sizeof MORE);
    assert_non_null(more);
    snprintf(more, text.size + sizeof MORE, "%.*s%s%s", (int)(at - text.data), text.data, MORE, at);
    fixture_open(&f, text_of(more));
    arena_free(memory);
    put_unit(&f, 1, 0);
    put_territory(&f, 1, 0, 1);
    put_user(&f, 1, 1);
    put_user(&f, 2, 1);
    put_user_territory(&f, 1, 1, 1);
    batch_commit(&f);
    device_init(&f, &one, 1, 1);
    ok(store_begin(f.writer));
    ok(feed_scopes_of_user(f.writer, &user, f.now_ms, f.memory, &set));
    ok(feed_scope_set(f.writer, &phone, &set, &number));
    ok(store_commit(f.writer));
    snprintf(one.token, sizeof one.token, "%lld.%lld", (long long)number,
             (long long)raw_int(&f, "SELECT max(pos) FROM fs_feed"));
    asking_begin(&a, &f, &one);
    a.q.takes_moves = true;
    batch_update(&f, "user_territory", USER_TERRITORY(1));
    batch_set(&f, "user_id", id_value(USER(2))); /* of the same unit */
    batch_commit(&f);
    ok(page_once(&a));
    static const char HEAD[] =
        "{\"e\":\"user_territory\",\"k\":\"move\",\"c\":[\"id\",\"ver\",\"user_id\"]}";
    if (strstr(buf_cstr(&a.out), HEAD) == NULL) {
        fail_msg("%s", buf_cstr(&a.out));
    }
    asking_end(&a);
    one_closed(&f, &one);
}

/* ---- files that were tampered with ---- */

/* An entity of a catalogue that this reader has not: later, when it has looked again. */
static void feed__entry_of_an_unknown_entity_is_for_later(void **state)
{
    (void)state;
    fixture f;
    device one;
    asking a;
    const char *const names[] = {"note"};
    const fb_id ids[] = {NOTE(1)};
    one_rep(&f, &one);
    asking_begin(&a, &f, &one);
    nothing_in(&a, names, ids, 1);
    put_note(&f, 2, 1);
    batch_commit(&f);
    raw_run(&f, "UPDATE fs_feed SET entity = 9999 WHERE pos = (SELECT max(pos) FROM fs_feed)");
    assert_int_equal(page_once(&a), FB_E_BUSY);
    snprintf(one.token, sizeof one.token, "1.%lld",
             (long long)raw_int(&f, "SELECT max(pos) FROM fs_feed"));
    assert_int_equal(page_once(&a), FB_E_BUSY); /* nor is it left out where rows are mended */
    asking_end(&a);
    one_closed(&f, &one);
}

/* Entries that are missing make nothing fail: the row has its entries again when it changes. */
static void feed__missing_entries_are_made_with_the_next_change(void **state)
{
    (void)state;
    fixture f;
    device one;
    one_rep(&f, &one);
    raw_run(&f, "DELETE FROM fs_feed WHERE entity IN (SELECT number FROM fs_entity WHERE name IN "
                "('customer', 'visit'))");
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    assert_int_equal(
        raw_int(&f, "SELECT count(*) FROM feed_wrong WHERE entity IN ('customer', 'visit')"), 0);
    one_closed(&f, &one);
}

static void feed__class_that_was_tampered_with_stops_the_writer(void **state)
{
    (void)state;
    fixture f;
    device one;
    one_rep(&f, &one);
    raw_run(&f, "UPDATE fs_scope_class SET buckets = x'00'");
    put_visit(&f, 5, 1);
    int64_t cid = 0;
    commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    assert_int_equal(store_commit(f.writer), FB_E_CORRUPT);
    store_rollback(f.writer);
    one_closed(&f, &one);
}

/* A class that was there a moment ago is gone, and no commit says so. */
static void feed__class_that_vanished_is_damage(void **state)
{
    static const row_sums nothing;
    (void)state;
    fixture f;
    device one;
    asking a;
    bucket_set wrong;
    row_totals totals;
    int64_t rows = 0;
    one_rep(&f, &one);
    asking_begin(&a, &f, &one);
    ok(store_snapshot(f.reader));
    ok(feed_digest_totals(f.reader, &a.set, a.memory, &totals));
    store_snapshot_end(f.reader);
    raw_run(&f, "CREATE TEMP TABLE kept AS SELECT * FROM fs_scope_class;"
                "DELETE FROM fs_scope_class");
    ok(store_snapshot(f.reader));
    assert_int_equal(feed_digest_wrong(f.reader, &a.set, &nothing, a.memory, &wrong, &rows),
                     FB_E_CORRUPT);
    store_snapshot_end(f.reader);
    /* Commits that are gone: what is known of them is forgotten, and so of no class at all. */
    raw_run(&f, "DELETE FROM fs_commit WHERE cid = (SELECT max(cid) FROM fs_commit)");
    for (int i = 0; i < 2; i++) {
        ok(store_snapshot(f.reader));
        ok(feed_digest_totals(f.reader, &a.set, a.memory, &totals));
        store_snapshot_end(f.reader);
        assert_int_equal(totals.rows, 0);
    }
    asking_end(&a);
    one_closed(&f, &one);
}

/* A disk that lost pages: an entry names a row that is not there, or is there as of another commit.
 */
static void feed__entry_without_its_row_is_damage(void **state)
{
    static const char *const DAMAGE[] = {"UPDATE visit SET ver = ver + 1", "DELETE FROM visit",
                                         "UPDATE fs_feed SET kind = 3, pos = pos - 1, since = pos"
                                         " WHERE entity = (SELECT number FROM fs_entity WHERE name"
                                         " = 'customer')"};
    (void)state;
    for (size_t i = 0; i < sizeof DAMAGE / sizeof DAMAGE[0]; i++) {
        fixture f;
        device one;
        asking a;
        one_rep(&f, &one);
        asking_begin(&a, &f, &one);
        a.q.token = text_of("");
        ok(page_once(&a));
        raw_run(&f, DAMAGE[i]);
        assert_int_equal(page_once(&a), FB_E_CORRUPT);
        asking_end(&a);
        one_closed(&f, &one);
    }
}

/* A scope whose number was lost: rows in it are in the others all the same. */
static void feed__row_of_a_lost_scope_is_in_its_others(void **state)
{
    (void)state;
    fixture f;
    device one;
    asking a;
    store_options o = {.read_only = true};
    fb_error err = {0};
    one_rep(&f, &one);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "owner_id", id_value(USER(1)));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    raw_run(&f, "DELETE FROM fs_scope WHERE kind = 2");
    put_assignment(&f, 1, 1, 4, 0, f.now_ms, 0);
    batch_commit(&f);
    batch_delete(&f, "customer_assignment", ASSIGNMENT(1));
    batch_commit(&f);
    raw_run(&f, "DELETE FROM fs_scope WHERE kind = 2");
    store_close(f.reader);
    o.path = f.path;
    ok_with(store_open(&o, &f.reader, &err), &err);
    asking_begin(&a, &f, &one);
    snprintf(one.token, sizeof one.token, "1.1");
    ok(page_once(&a));
    asking_end(&a);
    one_closed(&f, &one);
}

/* A device that gets one more scope of a row whose entry in its first one was lost: it is sent. */
static void feed__row_without_an_entry_in_a_kept_scope_is_sent(void **state)
{
    (void)state;
    fixture f;
    device one;
    bool in = true;
    one_rep(&f, &one);
    put_assignment(&f, 1, 1, 4, 0, f.now_ms, 0);
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    const int64_t kept = raw_int(&f, "SELECT scope FROM fs_feed f JOIN fs_entity e ON e.number = "
                                     "f.entity WHERE e.name = 'customer' AND f.kind = 0 ORDER BY "
                                     "scope LIMIT 1");
    char sql[200];
    snprintf(sql, sizeof sql,
             "DELETE FROM fs_feed WHERE scope = %lld AND entity = (SELECT number FROM fs_entity "
             "WHERE name = 'customer')",
             (long long)kept);
    raw_run(&f, sql);
    put_user_territory(&f, 3, 1, 4);
    batch_commit(&f);
    asking a;
    asking_begin(&a, &f, &one);
    const fb_id user = USER(1);
    ok(store_begin(f.writer));
    ok(feed_scopes_of_user(f.writer, &user, f.now_ms, a.memory, &a.set));
    ok(feed_scope_set(f.writer, &a.q.device, &a.set, &a.q.set_number));
    ok(store_commit(f.writer));
    ok(page_once(&a));
    assert_non_null(strstr(buf_cstr(&a.out), "\"customer\""));
    const fb_id shop = CUSTOMER(1);
    const scope_list none = {(int64_t[]){kept, 9999}, 2};
    ok(store_snapshot(f.reader));
    ok(feed_row_is_in(f.reader, catalog_entity_str(store_catalog(f.reader), "customer"), &shop,
                      raw_int(&f, "SELECT ver FROM customer"), &none, &in));
    store_snapshot_end(f.reader);
    assert_false(in);
    asking_end(&a);
    one_closed(&f, &one);
}

/* ---- before there were digests ---- */

static void digest_built(fixture *f, int built)
{
    char sql[120];
    snprintf(sql, sizeof sql,
             "UPDATE fs_meta SET value = CAST('%d' AS BLOB) WHERE key = 'digest_built'", built);
    raw_run(f, sql);
}

static void feed__page_without_digests_says_no_totals(void **state)
{
    static const row_sums nothing;
    (void)state;
    fixture f;
    device one;
    asking a;
    store_options o = {.read_only = true};
    fb_error err = {0};
    one_rep(&f, &one);
    /* Rows that are where they are by moving alone are counted like the others (CLS-2). */
    put_customer(&f, 2, 1, 0);
    put_visit(&f, 2, 2);
    batch_commit(&f);
    batch_update(&f, "customer", CUSTOMER(2));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    digest_built(&f, 0);
    store_close(f.reader);
    o.path = f.path;
    ok_with(store_open(&o, &f.reader, &err), &err);
    asking_begin(&a, &f, &one);
    row_buckets_put(&a.buckets, &nothing);
    a.q.buckets = buf_text(&a.buckets);
    ok(page_once(&a));
    assert_int_equal(a.result.fixed, 0);
    assert_null(strstr(buf_cstr(&a.out), "\"sums\""));
    o.read_only = false;
    store_close(f.writer);
    ok_with(store_open(&o, &f.writer, &err), &err);
    put_visit(&f, 5, 1);
    batch_commit(&f); /* each site fails: the count is made or not */
    assert_feed_right(&f);
    asking_end(&a);
    one_closed(&f, &one);
}

static fb_code check_once(void *ctx)
{
    const fixture *f = ctx;
    fb_error err = {0};
    FB_TRY(store_snapshot(f->reader));
    fb_code rc = feed_digest_check(f->reader, &err);
    store_snapshot_end(f->reader);
    return rc;
}

static void feed__check_of_digests_passes_trouble_up(void **state)
{
    (void)state;
    fixture f;
    device one;
    store *fresh = NULL;
    row_totals totals;
    store_options o = {.read_only = true};
    fb_error err = {0};
    one_rep(&f, &one);
    o.path = f.path;
    ok_with(store_open(&o, &fresh, &err), &err);
    ok(store_snapshot(fresh));
    calls_arm(CALL_STATEMENT, 1, false);
    fb_code rc = feed_digest_check(fresh, &err);
    assert_true(calls_disarm());
    assert_true(code_is_machines(rc));
    store_close(fresh);
    ok_with(store_open(&o, &fresh, &err), &err);
    ok(store_snapshot(fresh));
    calls_arm(CALL_STATEMENT, 1, false);
    rc = feed_digest_totals(fresh, &(scope_list){(int64_t[]){1}, 1}, f.memory, &totals);
    assert_true(calls_disarm());
    assert_true(code_is_machines(rc));
    ok(feed_digest_check(fresh, &err));
    store_snapshot_end(fresh);
    store_close(fresh);
    batch_update(&f, "customer", CUSTOMER(1)); /* the class that it leaves is empty now */
    batch_set(&f, "territory_id", id_value(TERRITORY(2)));
    batch_commit(&f);
    each_site_fails(&(each_site){check_once, NULL, &f});
    one_closed(&f, &one);
}

/* ---- mending ---- */

/* Only what is wrong comes again, of many rows and some that left; with a download that begins anew
 * it comes anyhow. */
static void feed__mending_sends_the_wrong_buckets_alone(void **state)
{
    (void)state;
    fixture f;
    device one;
    asking a;
    const char *const names[] = {"visit", "note"};
    const fb_id ids[] = {VISIT(25), NOTE(1)};
    one_rep(&f, &one);
    for (uint32_t n = 10; n < 40; n++) {
        put_visit(&f, n, 1);
    }
    put_customer(&f, 2, 1, 0);
    batch_commit(&f);
    batch_update(&f, "customer", CUSTOMER(2)); /* leaves */
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    asking_begin(&a, &f, &one);
    /* As it is, but for two buckets. */
    row_sums right = {.rows = 0};
    for (size_t i = 0; i < one.base.count; i++) {
        const sim_row *r = &one.base.rows[i];
        row_sums_add(&right, r->entity->name, &r->id, r->ver);
    }
    for (int i = 0; i < 2; i++) {
        right.bucket[row_bucket(text_of(names[i]), &ids[i])] ^= 5;
    }
    row_buckets_put(&a.buckets, &right);
    a.q.buckets = buf_text(&a.buckets);
    each_site_fails(&(each_site){page_once, NULL, &a});
    assert_int_equal(a.result.fixed, 1 + (row_bucket(text_of("visit"), &ids[0]) !=
                                          row_bucket(text_of("note"), &ids[1])));
    assert_false(a.result.reset);
    a.q.token = text_of("");
    ok(page_once(&a));
    assert_true(a.result.reset && a.result.complete);
    assert_int_equal(a.result.fixed, 0);
    a.q.token = text_of(one.token);
    raw_run(&f, "UPDATE note SET text = printf('%.*c', 17000000, 'x')"); /* fits no page */
    assert_int_equal(page_once(&a), FB_E_LIMIT);
    asking_end(&a);
    one_closed(&f, &one);
}

/* ---- large companies ---- */

/* More units than a tree may have, and a set of many scopes. */
static void feed__tree_is_followed_as_far_as_it_may_be(void **state)
{
    enum { UNITS = 4200, SCOPES = 70 };
    (void)state;
    fixture f;
    device one;
    asking a;
    int64_t numbers[SCOPES];
    scope_list list = {0};
    const fb_id user = USER(1);
    one_rep(&f, &one);
    put_user_role(&f, 2, 1, 2); /* region */
    batch_commit(&f);
    char sql[300];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT "
             "INTO org_unit (id, ver, parent_id) SELECT CAST(printf('%%016d', i) AS BLOB), 1, "
             "(SELECT org_unit_id FROM app_user WHERE org_unit_id IS NOT NULL LIMIT 1) FROM n",
             UNITS);
    raw_run(&f, sql);
    ok(feed_scopes_of_user(f.reader, &user, f.now_ms, f.memory, &list));
    assert_true(list.count > 3);
    asking_begin(&a, &f, &one);
    for (int i = 0; i < SCOPES; i++) {
        numbers[i] = i + 1;
    }
    a.set = (scope_list){numbers, SCOPES};
    a.q.token = text_of("");
    ok(page_once(&a));
    assert_true(a.result.reset && a.result.complete);
    asking_end(&a);
    one_closed(&f, &one);
}

typedef struct seeing {
    fixture *f;
    int64_t at_ms;
} seeing;

static fb_code scopes_of_all(void *ctx)
{
    seeing *s = ctx;
    const fb_id user = USER(1);
    scope_list list = {0};
    s->at_ms += INT64_C(86400000); /* another day: nothing is remembered */
    return feed_scopes_of_user(s->f->reader, &user, s->at_ms, s->f->memory, &list);
}

static void feed__list_of_everything_fails_as_a_whole(void **state)
{
    (void)state;
    fixture f;
    device one;
    one_rep(&f, &one);
    put_user_role(&f, 3, 1, 3); /* all */
    for (uint32_t n = 10; n < 20; n++) {
        put_territory(&f, n, 0, 0);
    }
    batch_commit(&f);
    each_site_fails(&(each_site){scopes_of_all, NULL, &(seeing){&f, f.now_ms}});
    one_closed(&f, &one);
}

/* So many classes in one transaction that they are written before it ends. */
static fb_code many_classes(fixture *f, change *all, uint32_t count, uint64_t fail_at, bool *fired)
{
    commit_source from = {.at_ms = f->now_ms, .kind = text_of("test")};
    int64_t cid = 0;
    ok(store_begin(f->writer));
    ok(ledger_commit(f->writer, &from, all, count, &cid));
    calls_arm(CALL_STATEMENT, fail_at, false);
    fb_code rc = ledger_commit(f->writer, &from, f->changes, f->count, &cid);
    *fired = calls_disarm();
    return rc;
}

static void feed__classes_of_a_large_commit_are_written_in_between(void **state)
{
    enum { MANY = 1024 }; /* as PENDING_MAX in feed_class.c: the change behind them writes them */
    (void)state;
    fixture f;
    device one;
    bool fired = false;
    one_rep(&f, &one);
    change *all = calloc(MANY, sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < MANY; i++) {
        f.count = 0;
        put_customer(&f, 100 + i, 0, 100 + i); /* each in a scope of its own */
        all[i] = f.changes[0];
    }
    f.count = 0;
    put_visit(&f, 9, 1);
    uint64_t failed = 0;
    for (bool more = true; more; failed += more) {
        fb_code rc = many_classes(&f, all, MANY, 1 + failed, &fired);
        more = fired && failed < 16; /* what is written of the classes lies among the first */
        assert_true(!fired || code_is_machines(rc));
        store_rollback(f.writer);
    }
    assert_true(failed > 3);
    ok(many_classes(&f, all, MANY, 0, &fired));
    ok(store_commit(f.writer));
    f.count = 0;
    assert_feed_right(&f);
    free(all);
    one_closed(&f, &one);
}

/* What a transaction adds and takes away again is nothing. */
static void feed__row_that_came_and_went_in_one_transaction_is_no_row(void **state)
{
    (void)state;
    fixture f;
    device one;
    int64_t cid = 0;
    one_rep(&f, &one);
    const commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
    ok(store_begin(f.writer));
    batch_begin(&f);
    batch_insert(&f, "task", TASK(1));
    batch_set(&f, "user_id", id_value(USER(3)));
    batch_insert(&f, "secret", id_no(0x16, 1)); /* in no scope */
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    batch_begin(&f);
    batch_delete(&f, "task", TASK(1));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    ok(store_commit(f.writer));
    f.count = 0;
    assert_feed_right(&f);
    one_closed(&f, &one);
}

/* ---- work of the writer that fails ---- */

/* The second of two commits is the quick one: rows that nothing depends on yet. */
static fb_code quick_commit(void *ctx)
{
    fixture *f = ctx;
    commit_source from = {.at_ms = f->now_ms, .kind = text_of("test")};
    int64_t cid = 0;
    FB_TRY(store_begin(f->writer));
    fb_code rc = ledger_commit(f->writer, &from, f->changes, 1, &cid);
    if (rc == FB_OK) {
        rc = ledger_commit(f->writer, &from, f->changes + 1, f->count - 1, &cid);
    }
    store_rollback(f->writer);
    return rc;
}

static fb_code horizon_once(void *ctx)
{
    fixture *f = ctx;
    FB_TRY(store_begin(f->writer));
    fb_code rc = feed_horizon_set(f->writer, INT64_C(5) << 20);
    store_rollback(f->writer);
    return rc;
}

static void feed__quick_commit_and_horizon_fail_as_a_whole(void **state)
{
    (void)state;
    fixture f;
    device one;
    one_rep(&f, &one);
    for (uint32_t n = 50; n < 70; n++) {
        put_visit(&f, n, 1);
    }
    each_site_fails(&(each_site){quick_commit, NULL, &f});
    f.count = 0;
    each_site_fails(&(each_site){horizon_once, NULL, &f});
    assert_feed_right(&f);
    one_closed(&f, &one);
}

/* Twenty rows that the device made itself are no news, however they are read. */
static fb_code empty_once(void *ctx)
{
    asking *a = ctx;
    bool empty = false;
    FB_TRY(store_snapshot(a->f->reader));
    fb_code rc = feed_is_empty(a->f->reader, &a->q, &empty);
    store_snapshot_end(a->f->reader);
    assert_true(rc != FB_OK || empty);
    return rc;
}

static void feed__own_rows_are_no_news(void **state)
{
    (void)state;
    fixture f;
    device one;
    asking a;
    one_rep(&f, &one);
    for (uint32_t n = 50; n < 75; n++) {
        commit_source from = {.device = DEVICE(1),
                              .incarnation = INCARNATION(1),
                              .user = USER(1),
                              .gseq = n,
                              .plain = true,
                              .at_ms = f.now_ms,
                              .kind = text_of("visit.log")};
        int64_t cid = 0;
        batch_begin(&f);
        put_visit(&f, n, 1);
        ok(store_begin(f.writer));
        ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
        ok(store_commit(f.writer));
    }
    f.count = 0;
    asking_begin(&a, &f, &one);
    each_site_fails(&(each_site){empty_once, NULL, &a});
    asking_end(&a);
    one_closed(&f, &one);
}

/* ---- packs ---- */

/* FED-6, condition by condition. */
static void feed__pack_is_good_while_it_says_what_a_page_would(void **state)
{
    (void)state;
    fixture f;
    device one;
    one_rep(&f, &one);
    const fb_id epoch = {{1}}, other = {{2}};
    const uint32_t version = store_catalog(f.reader)->version;
    const struct {
        fb_id epoch;
        int64_t position, head;
        uint32_t version;
        bool good;
    } CASES[] = {
        {epoch, INT64_C(9) << 20, INT64_C(9) << 20, version, true},
        {other, INT64_C(9) << 20, INT64_C(9) << 20, version, false},
        {epoch, INT64_C(9) << 20, INT64_C(8) << 20, version, false},
        {epoch, INT64_C(9) << 20, INT64_C(9) << 20, version + 1, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        bool good = !CASES[i].good;
        const pack_info info = {.scope = 1,
                                .position = CASES[i].position,
                                .epoch = CASES[i].epoch,
                                .catalog_version = CASES[i].version};
        ok(store_snapshot(f.reader));
        ok(feed_pack_is_good(f.reader, &info, &epoch, CASES[i].head, &good));
        store_snapshot_end(f.reader);
        assert_int_equal(good, CASES[i].good);
    }
    one_closed(&f, &one);
}

/* A first download of many scopes: what the offers of one reply have no room for comes as pages. */
static void feed__offers_no_more_packs_than_a_reply_holds(void **state)
{
    enum { MANIFEST = 600 << 10, SCOPES = 2 };
    (void)state;
    fixture f;
    device one;
    asking a;
    char path[128];
    fb_error err = {0};
    pack_source packs = {.epoch = {{1}}, .key = &(sign_key){.secret = {7}}};
    one_rep(&f, &one);
    asking_begin(&a, &f, &one);
    assert_true(a.set.count >= SCOPES);
    snprintf(path, sizeof path, "%s.packs", f.path);
    ok_with(pack_store_open(path, NULL, true, &packs.store, &err), &err);
    for (int i = 0; i < SCOPES; i++) {
        pack_info info = {.scope = a.set.scopes[i],
                          .position = raw_int(&f, "SELECT max(pos) FROM fs_feed"),
                          .rows = 1,
                          .chunks = 1,
                          .catalog_version = store_catalog(f.reader)->version,
                          .epoch = packs.epoch};
        char *text = arena_take(f.memory, MANIFEST);
        assert_non_null(text);
        memset(text, '1' + i, MANIFEST);
        info.manifest = (fb_text){text, MANIFEST};
        digest_of(text, MANIFEST, &info.name);
        ok(pack_store_begin(packs.store, info.scope, &info.no));
        ok(pack_store_finish(packs.store, &info));
    }
    a.q.packs = &packs;
    a.q.token = text_of("");
    ok(page_once(&a));
    assert_true(a.out.size > MANIFEST && a.out.size < SCOPES * MANIFEST);
    assert_non_null(strstr(buf_cstr(&a.out), "{\"m\":\"pack\""));
    asking_end(&a);
    pack_store_close(packs.store);
    unlink(path);
    one_closed(&f, &one);
}

/* The token names each pack, and one beyond what a request holds would stop every push: the rest
 * comes as pages. */
static void feed__offers_no_more_packs_than_a_token_holds(void **state)
{
    enum { SCOPES = TOKEN_PACKS_MAX + 5 };
    (void)state;
    fixture f;
    device one;
    asking a;
    char path[128];
    fb_error err = {0};
    pack_source packs = {.epoch = {{1}}, .key = &(sign_key){.secret = {7}}};
    one_rep(&f, &one);
    asking_begin(&a, &f, &one);
    a.set = (scope_list){arena_take(f.memory, SCOPES * sizeof(int64_t)), SCOPES};
    snprintf(path, sizeof path, "%s.packs", f.path);
    ok_with(pack_store_open(path, NULL, true, &packs.store, &err), &err);
    for (int i = 0; i < SCOPES; i++) {
        a.set.scopes[i] = INT64_C(1000000000000000000) + i; /* as long as one may be */
        pack_info info = {.scope = a.set.scopes[i],
                          .position = raw_int(&f, "SELECT max(pos) FROM fs_feed"),
                          .rows = 1,
                          .chunks = 1,
                          .catalog_version = store_catalog(f.reader)->version,
                          .manifest = text_of("{}"),
                          .epoch = packs.epoch};
        memcpy(info.name.b, &i, sizeof i);
        ok(pack_store_begin(packs.store, info.scope, &info.no));
        ok(pack_store_finish(packs.store, &info));
    }
    a.q.packs = &packs;
    a.q.token = text_of("");
    ok(page_once(&a));
    uint32_t offers = 0;
    for (const char *at = buf_cstr(&a.out); (at = strstr(at, "{\"m\":\"pack\"")) != NULL; at++) {
        offers++;
    }
    assert_int_equal(offers, TOKEN_PACKS_MAX);
    const char *token = strstr(buf_cstr(&a.out), "\"tok\":\"");
    assert_non_null(token);
    assert_true(strcspn(token + 7, "\"") < TOKEN_BYTES_MAX);
    asking_end(&a);
    pack_store_close(packs.store);
    unlink(path);
    one_closed(&f, &one);
}

/* After packs: what fails while the rest is filled up is asked again from where it stood. */
static void feed__filling_after_packs_fails_as_a_whole(void **state)
{
    (void)state;
    fixture f;
    device one;
    asking a;
    char token[100];
    one_rep(&f, &one);
    asking_begin(&a, &f, &one);
    int64_t last = raw_int(&f, "SELECT max(pos) FROM fs_feed");
    snprintf(token, sizeof token, "0.%lld+%lld.%lld*0:%lld.%lld", (long long)last,
             (long long)a.q.set_number, (long long)last, (long long)a.set.scopes[0],
             (long long)last);
    a.q.token = text_of(token);
    each_site_fails(&(each_site){page_once, NULL, &a});
    assert_false(a.result.reset);
    assert_true(a.result.rows > 0);
    asking_end(&a);
    one_closed(&f, &one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed__token_of_a_set_that_is_ahead_starts_anew),
        cmocka_unit_test(feed__rows_of_unknown_commits_are_sent),
        cmocka_unit_test(feed__row_that_was_made_again_elsewhere_leaves),
        cmocka_unit_test(feed__move_names_each_column_once),
        cmocka_unit_test(feed__entry_of_an_unknown_entity_is_for_later),
        cmocka_unit_test(feed__missing_entries_are_made_with_the_next_change),
        cmocka_unit_test(feed__class_that_was_tampered_with_stops_the_writer),
        cmocka_unit_test(feed__class_that_vanished_is_damage),
        cmocka_unit_test(feed__entry_without_its_row_is_damage),
        cmocka_unit_test(feed__row_of_a_lost_scope_is_in_its_others),
        cmocka_unit_test(feed__row_without_an_entry_in_a_kept_scope_is_sent),
        cmocka_unit_test(feed__page_without_digests_says_no_totals),
        cmocka_unit_test(feed__check_of_digests_passes_trouble_up),
        cmocka_unit_test(feed__mending_sends_the_wrong_buckets_alone),
        cmocka_unit_test(feed__tree_is_followed_as_far_as_it_may_be),
        cmocka_unit_test(feed__list_of_everything_fails_as_a_whole),
        cmocka_unit_test(feed__classes_of_a_large_commit_are_written_in_between),
        cmocka_unit_test(feed__row_that_came_and_went_in_one_transaction_is_no_row),
        cmocka_unit_test(feed__quick_commit_and_horizon_fail_as_a_whole),
        cmocka_unit_test(feed__own_rows_are_no_news),
        cmocka_unit_test(feed__pack_is_good_while_it_says_what_a_page_would),
        cmocka_unit_test(feed__offers_no_more_packs_than_a_reply_holds),
        cmocka_unit_test(feed__offers_no_more_packs_than_a_token_holds),
        cmocka_unit_test(feed__filling_after_packs_fails_as_a_whole),
    };
    return cmocka_run_group_tests_name("feed_odd", tests, NULL, NULL);
}
