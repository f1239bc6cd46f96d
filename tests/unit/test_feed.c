/* test_feed.c - who sees what: scopes of users, tokens, pages, the echo rule. One promise per test
 * on a small company; random histories are in test_feed_sim.c. Every page is also checked by
 * device_fixture.h. */
#include "device_fixture.h"
#include "sync-server/decide/decide.h"

/* ---- scopes of users ---- */

/* The user's scopes as text: "g" global, t, r, u with the number of the row named. */
static const char *scopes_text(fixture *f, store *s, uint32_t user, int64_t now_ms)
{
    static char text[512];
    scope_list list = {0};
    fb_id id = USER(user);
    ok(feed_scopes_of_user(s, &id, now_ms, f->memory, &list));
    size_t size = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT kind FROM fs_scope WHERE scope = %lld",
                 (long long)list.scopes[i]);
        int64_t kind = raw_int(f, sql);
        snprintf(sql, sizeof sql,
                 "SELECT unicode(CAST(substr(ref, 16) AS TEXT)) FROM fs_scope WHERE scope = %lld",
                 (long long)list.scopes[i]);
        size += (size_t)snprintf(text + size, sizeof text - size, kind == 1 ? "g" : " %c%lld",
                                 kind == 2   ? 't'
                                 : kind == 3 ? 'r'
                                             : 'u',
                                 (long long)raw_int(f, sql));
    }
    return text;
}

static const char *sorted(const char *text)
{
    static char out[512];
    const char *words[32];
    size_t count = 0;
    static char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        size_t at = count++;
        while (at > 0 && strcmp(words[at - 1], w) > 0) {
            words[at] = words[at - 1];
            at--;
        }
        words[at] = w;
    }
    size_t size = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(out + size, sizeof out - size, i == 0 ? "%s" : " %s", words[i]);
    }
    return out;
}

static void assert_scopes(fixture *f, uint32_t user, int64_t now_ms, const char *expected)
{
    assert_string_equal(sorted(scopes_text(f, f->reader, user, now_ms)), expected);
    assert_string_equal(sorted(scopes_text(f, f->writer, user, now_ms)), expected);
    assert_string_equal(sorted(scopes_text(f, f->reader, user, now_ms)), expected); /* remembered */
}

static void feed__scopes_of_a_user_follow_roles_and_memberships(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 u1");
    put_user_territory(&f, 1, 1, 4);
    put_user_role(&f, 1, 1, 1);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 t4 u1");
    put_user_role(&f, 2, 1, 2);
    batch_commit(&f);
    /* Unit 2 and 3 below it; territories 1 and 3 of those units, 2 below 1. */
    assert_scopes(&f, 1, f.now_ms, "g r2 r3 t1 t2 t3 t4 u1");
    batch_update(&f, "role", ROLE(2));
    batch_set(&f, "active", int_value(0));
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 t4 u1");
    batch_delete(&f, "user_territory", USER_TERRITORY(1));
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 u1");
    batch_update(&f, "app_user", USER(1));
    batch_set(&f, "org_unit_id", null_value());
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g u1");
    put_user_role(&f, 3, 1, 3);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 r4 t1 t2 t3 t4 u1 u2 u3 u4");
    put_territory(&f, 9, 0, 0);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 r4 t1 t2 t3 t4 t9 u1 u2 u3 u4");
    put_customer(&f, 1, 77, 0); /* a territory that has no row has a scope all the same */
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 r4 t1 t2 t3 t4 t77 t9 u1 u2 u3 u4");
    fixture_close(&f);
}

static void feed__membership_counts_from_its_first_to_its_last_day(void **state)
{
    (void)state;
    /* 2026-05-01 00:00 in the company's zone (UTC+8). */
    const int64_t first_ms = 1777564800000;
    const int64_t day_ms = 86400000;
    fixture f;
    company(&f);
    put_user_territory(&f, 1, 1, 4);
    batch_set(&f, "valid_from", text_value(&f, "2026-05-01"));
    batch_set(&f, "valid_to", text_value(&f, "2026-05-02"));
    put_user_role(&f, 1, 2, 2);
    batch_set(&f, "valid_to", text_value(&f, "2026-05-01"));
    batch_commit(&f);
    assert_scopes(&f, 1, first_ms - 1, "g r2 u1");
    assert_scopes(&f, 1, first_ms, "g r2 t4 u1");
    assert_scopes(&f, 1, first_ms + 2 * day_ms - 1, "g r2 t4 u1");
    assert_scopes(&f, 1, first_ms + 2 * day_ms, "g r2 u1");
    assert_scopes(&f, 2, first_ms + day_ms - 1, "g r2 r3 t1 t2 t3 u2");
    assert_scopes(&f, 2, first_ms + day_ms, "g r2 u2");
    fixture_close(&f);
}

static void feed__org_unit_that_is_below_itself_ends(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    batch_update(&f, "org_unit", UNIT(1));
    batch_set(&f, "parent_id", id_value(UNIT(3)));
    put_user_role(&f, 1, 1, 2);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 t1 t2 t3 u1");
    fixture_close(&f);
}

/* ---- pages read by one device ---- */

/* Territory 1: user 1. Territory 4: user 2. Customers 1, 2 in 1, customer 3 in 4; each with visit
 * and note. */
static void two_reps(fixture *f, device *one, device *two)
{
    company(f);
    put_user_territory(f, 1, 1, 1);
    put_user_territory(f, 2, 2, 4);
    for (uint32_t n = 1; n <= 3; n++) {
        put_customer(f, n, n == 3 ? 4 : 1, 0);
        put_visit(f, n, n);
        put_note(f, n, n);
    }
    batch_commit(f);
    device_init(f, one, 1, 1);
    device_init(f, two, 2, 2);
    device_pull_all(one, f, 0);
    device_pull_all(two, f, 0);
    assert_true(one->reset);
    device_pull(one, f, 0);
    assert_true(one->empty);
}

static void finish(fixture *f, device *one, device *two)
{
    device_clear(one);
    device_clear(two);
    fixture_close(f);
}

static void feed__moved_customer_leaves_one_and_reaches_the_other_with_its_children(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    size_t before = two.base.count;
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves, 3);
    assert_int_equal(one.rows, 0);
    device_pull_all(&two, &f, 0);
    assert_int_equal(two.rows, 3);
    assert_int_equal(two.base.count, before + 3);
    finish(&f, &one, &two);
}

static void feed__FED_3_leaving_one_of_two_scopes_is_an_update_at_most(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_assignment(&f, 1, 1, 4, 0, f.now_ms, 0); /* customer 1 is in territories 1 and 4 */
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    device_pull_all(&two, &f, 0);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "owner_id", id_value(USER(1)));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", null_value()); /* user 1 still owns it */
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves + one.rows, 0);
    assert_int_equal(one.moves, 1); /* the customer that was changed; what is below it stays */
    finish(&f, &one, &two);
}

static void feed__FED_5_a_move_inside_the_scopes_sends_what_changed_alone(void **state)
{
    (void)state;
    fixture f;
    device one, two, both;
    two_reps(&f, &one, &two);
    put_user_role(&f, 7, 3, 3); /* user 3 sees everything */
    batch_commit(&f);
    device_init(&f, &both, 3, 3);
    device_pull_all(&both, &f, 0);
    for (uint32_t to = 4, n = 0; n < 2; to = 1, n++) { /* to territory 4, and back */
        batch_update(&f, "customer", CUSTOMER(1));
        batch_set(&f, "territory_id", id_value(TERRITORY(to)));
        batch_commit(&f);
        device_pull_all(&both, &f, 1);
        device_pull_all(&one, &f, 0);
        device_pull_all(&two, &f, 0);
        assert_int_equal(both.leaves, 0);
        assert_int_equal(both.rows, 0); /* of the last, empty page: the customer came before it */
        assert_int_equal(to == 4 ? two.rows : one.rows, 3);
        assert_int_equal(to == 4 ? one.leaves : two.leaves, 3);
    }
    /* Twice between two downloads: held from a place the row left long ago, so it comes again. */
    for (uint32_t to = 4, n = 0; n < 2; to = 1, n++) {
        batch_update(&f, "customer", CUSTOMER(1));
        batch_set(&f, "territory_id", id_value(TERRITORY(to)));
        batch_commit(&f);
    }
    device_pull_all(&both, &f, 0);
    assert_int_equal(both.leaves, 0);
    device_clear(&both);
    finish(&f, &one, &two);
}

static void feed__delete_reaches_who_had_the_row_and_nobody_else(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    batch_delete(&f, "note", NOTE(1));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.deletes, 1);
    device_pull_all(&two, &f, 0);
    assert_int_equal(two.deletes, 0);
    assert_true(two.empty);
    finish(&f, &one, &two);
}

static void feed__change_of_scopes_fills_and_empties_in_small_pages(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    batch_delete(&f, "user_territory", USER_TERRITORY(1));
    put_user_territory(&f, 3, 1, 4);
    batch_commit(&f);
    /* A commit arrives between any two pages, one of them takes a row away that was sent already.
     */
    for (uint32_t i = 0; !one.complete || i == 0; i++) {
        device_pull(&one, &f, 1);
        assert_true(i < 100);
        if (i == 1) {
            assert_non_null(strchr(one.token, '+'));
            batch_delete(&f, "note", NOTE(3));
            batch_commit(&f);
        } else if (i < 20) {
            batch_update(&f, "visit", VISIT(3));
            batch_set(&f, "text", text_value(&f, "again"));
            batch_commit(&f);
        }
    }
    assert_false(one.reset);
    assert_null(row_find(&one.base, entity_of(&f, "customer"), &(fb_id){{0x10, 1, [15] = 1}}));
    assert_non_null(row_find(&one.base, entity_of(&f, "customer"), &(fb_id){{0x10, 1, [15] = 3}}));
    finish(&f, &one, &two);
}

static void feed__row_seen_through_a_kept_scope_is_not_sent_again(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_assignment(&f, 1, 1, 4, 0, f.now_ms, 0);
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    put_user_territory(&f, 3, 1, 4); /* customers 1 (known) and 3 (new) */
    batch_commit(&f);
    uint32_t rows = 0;
    for (one.complete = false; !one.complete; rows += one.rows) {
        device_pull(&one, &f, 1);
    }
    assert_int_equal(rows, 3 + 1); /* customer 3, visit 3, note 3, the membership itself */
    finish(&f, &one, &two);
}

/* Customer 1 goes from territory 1 to 4; its device has both. */
static void move_within(device *one, fixture *f, const char *also)
{
    put_user_territory(f, 3, 1, 4);
    batch_commit(f);
    device_pull_all(one, f, 0);
    batch_update(f, "customer", CUSTOMER(1));
    batch_set(f, "territory_id", id_value(TERRITORY(4)));
    if (also != NULL) {
        batch_set(f, "name", text_value(f, also));
    }
    batch_commit(f);
}

static void feed__FED_5_row_that_only_moved_is_told_as_a_move(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    move_within(&one, &f, NULL);
    device_pull(&one, &f, 0);
    assert_true(one.complete);
    assert_int_equal(one.moves, 1);
    assert_int_equal(one.rows + one.leaves, 0); /* nor its visit and note */
    device_pull(&two, &f, 0);
    assert_int_equal(two.rows, 3); /* new to it: the customer, its visit, its note */
    assert_int_equal(two.moves, 0);
    /* There and back between two syncs: what the device saw is two versions ago. */
    for (uint32_t to = 1; to <= 4; to += 3) {
        batch_update(&f, "customer", CUSTOMER(1));
        batch_set(&f, "territory_id", id_value(TERRITORY(to)));
        batch_commit(&f);
    }
    device_pull(&one, &f, 0);
    assert_int_equal(one.rows, 3); /* with what is below it */
    assert_int_equal(one.moves, 0);
    finish(&f, &one, &two);
}

static void feed__FED_5_row_that_moved_and_changed_is_sent_whole(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    move_within(&one, &f, "new name");
    device_pull(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    assert_int_equal(one.moves, 0);
    /* The same move, and a change behind it. */
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(1)));
    batch_commit(&f);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "name", text_value(&f, "newer name"));
    batch_commit(&f);
    device_pull(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    assert_int_equal(one.moves, 0);
    finish(&f, &one, &two);
}

static void feed__FED_5_older_app_gets_the_row(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    one.takes_moves = false;
    move_within(&one, &f, NULL);
    device_pull(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    assert_int_equal(one.moves, 0);
    finish(&f, &one, &two);
}

static void feed__change_of_scopes_without_rows_is_not_empty(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_user_territory(&f, 9, 1, 3); /* nobody is in territory 3 */
    batch_set(&f, "valid_to", text_value(&f, "2023-11-20"));
    f.now_ms = 1700300000000; /* 2023-11-18 */
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    f.now_ms += (int64_t)4 * 86400000;
    device_pull(&one, &f, 0);
    assert_true(one.complete);
    assert_int_equal(one.rows + one.leaves + one.deletes, 0);
    assert_false(one.empty); /* its token names the new set */
    device_pull(&one, &f, 0);
    assert_true(one.empty);
    finish(&f, &one, &two);
}

static void feed__token_of_an_idle_device_moves_with_the_head(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_visit(&f, 20, 3); /* not for device one */
    int64_t cid = batch_commit(&f);
    device_pull(&one, &f, 0);
    assert_true(one.empty);
    ok(store_begin(f.writer));
    ok(feed_horizon_set(f.writer, cid << 20));
    ok(store_commit(f.writer));
    device_pull(&one, &f, 0);
    assert_false(
        one.reset); /* it has seen everything before the horizon, though nothing was for it */
    finish(&f, &one, &two);
}

static void feed__second_change_of_scopes_during_a_fill(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_user_territory(&f, 3, 1, 4);
    batch_commit(&f);
    device_pull(&one, &f, 1);
    device_pull(&one, &f, 1);
    batch_delete(&f, "user_territory", USER_TERRITORY(1));
    batch_commit(&f);
    device_pull(&one, &f, 1);
    batch_delete(&f, "user_territory", USER_TERRITORY(3));
    batch_commit(&f);
    device_pull(&one, &f, 1);
    put_user_territory(&f, 4, 1, 4);
    put_user_territory(&f, 5, 1, 1);
    batch_commit(&f);
    device_pull_all(&one, &f, 1);
    finish(&f, &one, &two);
}

/* A group of the device's own: insert a visit to a customer, or change the text of one. */
static void own_visit(device *d, fixture *f, uint32_t visit, uint32_t customer, bool plain)
{
    commit_source from = {.device = DEVICE(d->number),
                          .incarnation = INCARNATION(d->number),
                          .user = USER(d->user),
                          .gseq = ++d->gseq,
                          .at_ms = f->now_ms,
                          .plain = plain,
                          .kind = text_of("visit")};
    int64_t cid = 0;
    if (customer > 0) {
        put_visit(f, visit, customer);
    } else {
        batch_update(f, "visit", VISIT(visit));
        batch_set(f, "text", text_value(f, "own"));
    }
    ok(store_begin(f->writer));
    ok(ledger_commit(f->writer, &from, f->changes, f->count, &cid));
    ok(store_commit(f->writer));
    f->count = 0;
}

static void feed__FED_4_own_plain_groups_are_left_out_until_settled(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    own_visit(&one, &f, 10, 1, true);
    const cat_entity *e = entity_of(&f, "visit");
    const fb_id visit = VISIT(10);
    ok(store_row_get(f.writer, e, &visit, f.memory, values));
    sim_row *own = row_add(&one.own);
    *own = (sim_row){.entity = e, .id = visit, .ver = values[cat_ver_column(e)].u.i, .gseq = 1};
    buf line;
    buf_init(&line, 1 << 16);
    int columns[8] = {0, 1, 2, 3};
    row_put(&line, e, columns, e->columns_count, values);
    own->text = text_kept((fb_text){line.data, line.size - 1});
    buf_clear(&line);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 0);
    /* Not plain: it comes. Another device's: it comes. Settled: it comes when it is asked for
     * again. */
    own_visit(&one, &f, 10, 0, false);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    own_visit(&two, &f, 10, 0, true);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    own_visit(&one, &f, 10, 0, true);
    one.settled = one.gseq;
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    finish(&f, &one, &two);
}

/* Its visit left with an earlier page of the same download, came back, and was changed by a group
 * of its own that had waited: what it has staged is that the visit is gone. */
static void feed__FED_4_own_row_that_an_earlier_page_took_away_comes(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    uint32_t left = 0;
    two_reps(&f, &one, &two);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    batch_update(&f, "note", NOTE(2));
    batch_set(&f, "text", text_value(&f, "more"));
    batch_commit(&f);
    while (left < 3) {
        device_pull(&one, &f, 1);
        left += one.leaves;
    }
    assert_false(one.complete);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(1)));
    batch_commit(&f);
    own_visit(&one, &f, 1, 0, true);
    device_pull_all(&one, &f, 1);
    finish(&f, &one, &two);
}

static void feed__row_that_an_own_group_moved_out_of_scope_leaves(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    int64_t cid = 0;
    two_reps(&f, &one, &two);
    commit_source from = {.device = DEVICE(1),
                          .incarnation = INCARNATION(1),
                          .user = USER(1),
                          .gseq = ++one.gseq,
                          .at_ms = f.now_ms,
                          .plain = true,
                          .kind = text_of("customer.move")};
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    ok(store_commit(f.writer));
    f.count = 0;
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves, 3);
    finish(&f, &one, &two);
}

/* ---- tokens ---- */

static void feed__token_that_cannot_be_honoured_starts_anew(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "", "1", "1.", ".1", "1.1x", "1.1~", "1.1~2", "1.1~1+2.1", "1.1+", "1.1-", "1.1-5",
        "1.1+1.5", "2.1+1.5", "0.5", "-1.5", "1.-5", "1.99999999999999999999", "1.999999999999",
        "7.1048575", "1.01", "01.1", "1.1+2.1+3.1+4.1+5.1", "1.1+2.1-", "0.1048575+9.5",
        "1.1048575 ", "reset", "1.1048575+2.0-99999999999999", "1.1,2.2",
        /* a download from packs: where each of them stands */
        "0.1048575+1.1048575*5", "0.1048575+1.1048575*:1.5",
        "0.1048575+1.1048575*5:", "0.1048575+1.1048575*5:1", "0.1048575+1.1048575*5:x.5",
        "0.1048575+1.1048575*5:1.x", "0.1048575+1.1048575*5:0.5",
        "0.1048575+1.1048575*5:1.99999999999", "0.1048575+1.1048575*5:2.5,1.5",
        "0.1048575+1.1048575*99999999999999:1.5", "0.1048575+1.1048575-3*5:1.5",
        "1.1048575+2.1048575*5:1.5", "1.1048575*5:1.5"};
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        snprintf(one.token, sizeof one.token, "%s", tokens[i]);
        device_pull(&one, &f, 0);
        if (!one.reset) {
            print_error("honoured: %s\n", tokens[i]);
        }
        assert_true(one.reset);
        assert_true(one.complete);
    }
    finish(&f, &one, &two);
}

static void feed__token_before_the_horizon_starts_anew_but_a_fill_goes_on(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    batch_delete(&f, "note", NOTE(1));
    int64_t cid = batch_commit(&f);
    ok(store_begin(f.writer));
    ok(feed_horizon_set(f.writer, (cid + 1) << 20));
    ok(store_commit(f.writer));
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind <> 0"), 0);
    batch_insert(&f, "product", PRODUCT(1));
    batch_commit(&f);
    device_pull(&one, &f,
                1); /* one small page of a first download, positions far below the horizon */
    assert_true(one.reset);
    assert_false(one.complete);
    while (!one.complete) {
        device_pull(&one, &f, 1);
        assert_false(one.reset);
    }
    ok(store_begin(f.writer));
    ok(feed_horizon_set(f.writer, 1)); /* never goes back */
    ok(store_commit(f.writer));
    device_pull(&two, &f, 0);
    assert_true(two.reset);
    finish(&f, &one, &two);
}

static void feed__scope_set_has_one_number_while_it_is_the_same(void **state)
{
    (void)state;
    fixture f;
    int64_t a[] = {1, 3, 9};
    int64_t numbers[40];
    fb_id d = DEVICE(1);
    scope_list read;
    company(&f);
    ok(store_begin(f.writer));
    for (uint32_t i = 0; i < 40; i++) {
        const scope_list list = {.scopes = a, .count = 2 + i / 2 % 2};
        ok(feed_scope_set(f.writer, &d, &list, &numbers[i]));
        assert_int_equal(numbers[i], 1 + i / 2);
    }
    ok(store_commit(f.writer));
    ok(feed_scope_set_get(f.reader, &d, f.memory, &read, &numbers[0]));
    assert_int_equal(numbers[0], 20);
    assert_int_equal(read.count, 3);
    assert_int_equal(read.scopes[2], 9);
    assert_true(raw_int(&f, "SELECT count(*) FROM fs_scope_set") <= 16);
    d = DEVICE(2);
    ok(feed_scope_set_get(f.reader, &d, f.memory, &read, &numbers[0]));
    assert_int_equal(numbers[0], 0);
    fixture_close(&f);
}

static void feed__first_download_does_not_carry_old_tombstones(void **state)
{
    (void)state;
    fixture f;
    device one, two, three;
    two_reps(&f, &one, &two);
    batch_delete(&f, "note", NOTE(1));
    batch_update(&f, "customer", CUSTOMER(2));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    device_init(&f, &three, 3, 1);
    device_pull(&three, &f, 0);
    assert_true(three.complete);
    assert_int_equal(three.leaves + three.deletes, 0);
    device_clear(&three);
    finish(&f, &one, &two);
}

static void feed__block_of_each_entity_once_parents_first(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    arena *memory = arena_new(1 << 24);
    buf out;
    buf_init(&out, 1 << 24);
    scope_list set = {0};
    page_result result;
    page_request q = {
        .device = DEVICE(1), .incarnation = INCARNATION(1), .user = USER(1), .set = &set};
    ok(store_snapshot(f.reader));
    ok(feed_scope_set_get(f.reader, &q.device, memory, &set, &q.set_number));
    ok(feed_page(f.reader, &q, memory, &out, &result));
    store_snapshot_end(f.reader);
    line_reader lines;
    fb_text line;
    int last = -1;
    line_reader_init(&lines, buf_text(&out));
    assert_true(line_next(&lines, &line));
    while (line_next(&lines, &line)) {
        block_head head;
        if (line.data[0] == '{') {
            ok(block_head_get(line, store_catalog(f.writer), memory, &head));
            assert_true(head.entity->number > last);
            last = head.entity->number;
        }
    }
    assert_true(last > 0);
    buf_clear(&out);
    arena_free(memory);
    finish(&f, &one, &two);
}

/* ---- the built-in catalogue ---- */

static void feed__every_entity_of_the_built_in_catalogue_travels(void **state)
{
    (void)state;
    fixture f;
    uint32_t expected = 0;
    fixture_open(&f, catalog_builtin_text());
    const catalog *c = store_catalog(f.writer);
    for (uint32_t n = 0; n < c->entities_count; n++) { /* children before parents, in one commit */
        const cat_entity *e = &c->entities[c->entities_count - 1 - n];
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)e->name.size, e->name.data);
        batch_insert(&f, name, id_no(0x70, (uint32_t)e->number));
        fb_value *values = (fb_value *)(uintptr_t)f.changes[f.count - 1].values;
        for (uint32_t i = 1; i < e->columns_count; i++) {
            if (e->columns[i].type == CAT_REF) {
                values[i] = id_value(id_no(0x70, (uint32_t)e->columns[i].to_entity));
            }
        }
        if (text_is(e->name, "role")) {
            values[cat_column_str(e, "data_scope")] = text_value(&f, "all");
        }
        expected += e->scopes[0].kind == SCOPE_NONE ? 0 : 1;
    }
    uint32_t user = (uint32_t)entity_of(&f, "app_user")->number;
    assert_true(f.count > 20);
    batch_commit(&f);
    scope_list set = {0};
    page_request q = {.device = DEVICE(1), .user = id_no(0x70, user), .set = &set};
    page_result result;
    buf out;
    buf_init(&out, 1 << 24);
    ok(store_begin(f.writer));
    ok(feed_scopes_of_user(f.writer, &q.user, f.now_ms, f.memory, &set));
    ok(feed_scope_set(f.writer, &q.device, &set, &q.set_number));
    ok(feed_page(f.writer, &q, f.memory, &out, &result));
    ok(store_commit(f.writer));
    assert_true(result.complete);
    assert_int_equal(result.rows, expected);
    buf_clear(&out);
    fixture_close(&f);
}

/* ---- the digest ---- */

/* A device that says it holds nothing gets every row of the wrong buckets in one page. */
static void feed__page_that_mends_fails_as_a_whole(void **state)
{
    (void)state;
    static const row_sums nothing;
    fixture f;
    device one, two;
    scope_list set = {0};
    page_result result;
    bool empty = false;
    buf out, sums;
    two_reps(&f, &one, &two);
    device_pull_all(&one, &f, 0);
    arena *memory = arena_new(1 << 24);
    buf_init(&out, 1 << 24);
    buf_init(&sums, 1 << 16);
    row_buckets_put(&sums, &nothing);
    page_request q = {.device = DEVICE(1),
                      .incarnation = INCARNATION(1),
                      .user = USER(1),
                      .token = text_of(one.token),
                      .set = &set,
                      .buckets = buf_text(&sums)};
    ok(store_snapshot(f.reader));
    ok(feed_scope_set_get(f.reader, &q.device, memory, &set, &q.set_number));
    store_snapshot_end(f.reader);
    each_site_fails(&(each_site){page_try, NULL, &(page_trial){&f, q}});
    ok(store_snapshot(f.reader));
    ok(feed_is_empty(f.reader, &q, &empty));
    assert_true(empty); /* of news */
    ok(feed_page(f.reader, &q, memory, &out, &result));
    assert_true(result.complete && result.fixed > 0);
    q.buckets = text_of("no sums");
    assert_int_equal(feed_page(f.reader, &q, memory, &out, &result), FB_E_MISUSE);
    store_snapshot_end(f.reader);
    buf_clear(&out);
    buf_clear(&sums);
    arena_free(memory);
    finish(&f, &one, &two);
}

static void feed__digest_that_was_tampered_with_is_found(void **state)
{
    (void)state;
    static const char *const TAMPERING[] = {
        "UPDATE fs_scope_class SET rows = rows + 1 WHERE class = 2",
        "UPDATE fs_scope_class SET total = total + 1 WHERE class = 2",
        "UPDATE fs_scope_class SET buckets = x'00' WHERE class = 2",
        "UPDATE fs_scope_class SET scopes = '' WHERE class = 2",
        "UPDATE fs_scope_class SET scopes = 'x' WHERE class = 2",
        "UPDATE fs_scope_class SET scopes = '-3' WHERE class = 2",
        "UPDATE fs_scope_class SET scopes = '5,3' WHERE class = 2",
        "DELETE FROM fs_scope_class WHERE class = 2",
        "UPDATE fs_feed SET entity = 999 WHERE pos = (SELECT min(pos) FROM fs_feed)",
    };
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    for (size_t i = 0; i < sizeof TAMPERING / sizeof TAMPERING[0]; i++) {
        fb_error err = {0};
        raw_run(&f, "CREATE TABLE kept AS SELECT * FROM fs_scope_class;"
                    "CREATE TABLE kept_feed AS SELECT * FROM fs_feed");
        raw_run(&f, TAMPERING[i]);
        ok(store_snapshot(f.reader));
        if (feed_digest_check(f.reader, &err) != FB_E_CORRUPT) {
            fail_msg("not found: %s", TAMPERING[i]);
        }
        store_snapshot_end(f.reader);
        raw_run(&f, "DELETE FROM fs_scope_class; INSERT INTO fs_scope_class SELECT * FROM kept;"
                    "DELETE FROM fs_feed; INSERT INTO fs_feed SELECT * FROM kept_feed;"
                    "DROP TABLE kept; DROP TABLE kept_feed");
    }
    /* Nobody has written since the upgrade: there is nothing to compare yet. */
    const store_options o = {.path = f.path, .read_only = true};
    fb_error err = {0};
    store *first = NULL;
    raw_run(&f, "UPDATE fs_meta SET value = x'30' WHERE key = 'digest_built'; UPDATE "
                "fs_scope_class SET total = total + 1");
    ok_with(store_open(&o, &first, &err), &err);
    ok(store_snapshot(first));
    ok(feed_digest_check(first, &err));
    store_snapshot_end(first);
    store_close(first);
    raw_run(&f, "UPDATE fs_meta SET value = x'31' WHERE key = 'digest_built'; UPDATE "
                "fs_scope_class SET total = total - 1");
    finish(&f, &one, &two);
}

/* ---- the key of packs ---- */

static fb_code zeros(void *ctx, void *out, size_t size)
{
    ++*(int *)ctx;
    memset(out, 0, size);
    return FB_OK;
}

static fb_code nothing_drawn(void *ctx, void *out, size_t size)
{
    (void)ctx;
    (void)out;
    (void)size;
    return FB_E_IO;
}

static void sign__key_that_is_none_is_not_taken(void **state)
{
    (void)state;
    fixture f;
    sign_key key;
    int draws = 0;
    fb_port port = {.ctx = &draws, .random = nothing_drawn};
    company(&f);
    ok(store_begin(f.writer));
    assert_int_equal(sign_key_open(f.writer, &port, &key), FB_E_IO);
    port.random = zeros; /* which is no key: drawn again, not for ever */
    assert_int_not_equal(sign_key_open(f.writer, &port, &key), FB_OK);
    assert_in_range(draws, 2, 100);
    ok(store_meta_set(f.writer, "sign_key", text_of("too short")));
    assert_int_equal(sign_key_open(f.writer, &port, &key), FB_E_CORRUPT);
    store_rollback(f.writer);
    fixture_close(&f);
}

static void feed__wrong_calls_change_nothing(void **state)
{
    (void)state;
    fixture f;
    int64_t one[] = {1}, number = 0;
    scope_list none = {.scopes = one}, global = {one, 1}, out = {0};
    fb_id user = USER(1), phone = DEVICE(1);
    page_result result;
    bool empty = false;
    buf page;
    const commit_source from = {.at_ms = 1};
    company(&f);
    buf_init(&page, 1 << 16);
    const page_request WRONG[] = {{.set_number = 0, .set = &global},
                                  {.set_number = 1, .set = NULL},
                                  {.set_number = 1, .set = &none}};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        assert_int_equal(feed_page(f.reader, &WRONG[i], f.memory, &page, &result), FB_E_MISUSE);
        assert_int_equal(feed_is_empty(f.reader, &WRONG[i], &empty), FB_E_MISUSE);
    }
    assert_int_equal(page.size, 0);
    assert_int_equal(feed_scopes_of_user(f.writer, NULL, 1, f.memory, &out), FB_E_MISUSE);
    assert_int_equal(feed_scopes_of_user(f.writer, &user, 1, f.memory, NULL), FB_E_MISUSE);
    int64_t head = 0, after = 0;
    ok(ledger_head(f.writer, &head));
    ok(store_begin(f.writer));
    assert_int_equal(feed_scope_set(f.writer, &phone, &none, &number), FB_E_MISUSE);
    assert_int_equal(ledger_commit(f.writer, NULL, f.changes, 1, &number), FB_E_MISUSE);
    assert_int_equal(ledger_commit(f.writer, &from, f.changes, 1, NULL), FB_E_MISUSE);
    assert_int_equal(ledger_commit(f.writer, &from, NULL, 1, &number), FB_E_MISUSE);
    assert_int_equal(ledger_commit(f.writer, &from, f.changes, 1u << 20, &number), FB_E_MISUSE);
    assert_int_equal(ledger_time(f.writer, 1, NULL), FB_E_MISUSE);
    ok(store_commit(f.writer));
    ok(ledger_head(f.writer, &after));
    assert_int_equal(after, head);
    buf_clear(&page);
    fixture_close(&f);
}

/* ---- many scopes ---- */

/* Until there are so many. */
static void company_fills(fixture *f, int64_t scopes)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT max(scope) + 1 FROM fs_scope UNION ALL SELECT i + 1 "
             "FROM n WHERE i < %lld) INSERT INTO fs_scope (scope, kind, ref) SELECT i, 2, "
             "CAST(printf('%%016d', i) AS BLOB) FROM n",
             (long long)scopes);
    raw_run(f, sql);
    /* Something in each of them, for the page to look at. */
    snprintf(
        sql, sizeof sql,
        "INSERT INTO fs_feed SELECT s.scope, t.* FROM fs_scope s, (SELECT pos, entity, id, kind, "
        "since FROM fs_feed ORDER BY pos DESC LIMIT 1) t WHERE NOT EXISTS (SELECT 1 FROM fs_feed x "
        "WHERE x.scope = s.scope)");
    raw_run(f, sql);
    ok(store_begin(f->writer));
    ok(feed_scopes_changed(f->writer));
    ok(store_commit(f->writer));
}

/* Who sees all gets pages, and may wait for news, with memory for an ordinary request. */
static void sees_it_all(fixture *f, const fb_id *user, const scope_list *set)
{
    page_request q = {.device = {{9}}, .user = *user, .token = text_of(""), .set = set};
    page_result result;
    bool empty = true;
    buf out;
    arena *memory = arena_new(64 << 20);
    ok(store_begin(f->writer));
    ok(feed_scope_set(f->writer, &q.device, set, &q.set_number));
    ok(store_commit(f->writer));
    buf_init(&out, PAGE_BYTES_MAX);
    ok(store_snapshot(f->reader));
    ok(feed_page(f->reader, &q, memory, &out, &result));
    assert_true(result.reset && result.complete && result.rows > 200);
    char token[64];
    snprintf(token, sizeof token, "%lld.0", (long long)q.set_number);
    q.token = text_of(token);
    ok(feed_is_empty(f->reader, &q, &empty));
    assert_false(empty);
    store_snapshot_end(f->reader);
    buf_clear(&out);
    arena_free(memory);
}

/* Where it is caused, and with the words for it; what exists goes on. */
static void is_refused_one_more(fixture *f)
{
    const commit_source from = {.at_ms = f->now_ms, .kind = text_of("test")};
    fb_error err = {.code = FB_OK};
    int64_t cid = 0;
    batch_begin(f);
    put_unit(f, 77, 0);
    ok(store_begin(f->writer));
    fb_code rc = ledger_commit(f->writer, &from, f->changes, f->count, &cid);
    store_rollback(f->writer);
    assert_int_equal(rc, FB_E_LIMIT);
    const catalog *c = store_catalog(f->writer);
    assert_int_equal(feed_scope_refused(catalog_entity_str(c, "org_unit"), rc, &err), FB_E_LIMIT);
    assert_string_equal(err.field, "org_unit");
    assert_non_null(strstr(err.message, "rename"));
    err = (fb_error){.code = FB_OK};
    assert_int_equal(feed_scope_refused(catalog_entity_str(c, "customer"), rc, &err), rc);
    assert_int_equal(err.code, FB_OK);
    batch_begin(f);
    put_customer(f, 4000, 100, 0);
    batch_commit(f);
}

static void feed__more_scopes_than_a_device_can_have_are_refused(void **state)
{
    (void)state;
    fixture f;
    scope_list list = {0};
    fb_id user = USER(1);
    company(&f);
    for (uint32_t n = 0; n < 200; n++) { /* their numbers are remembered in a table that grows */
        put_customer(&f, n + 1, 100 + n, 0);
        if (n % 50 == 49) {
            batch_commit(&f);
        }
    }
    for (uint32_t n = 0; n < 200; n++) {
        batch_update(&f, "customer", CUSTOMER(n + 1));
        batch_set(&f, "territory_id", id_value(TERRITORY(299 - n)));
        if (n % 50 == 49) {
            batch_commit(&f);
        }
    }
    assert_feed_right(&f);
    put_user_role(&f, 1, 1, 3);
    batch_commit(&f);
    ok(feed_scopes_of_user(f.writer, &user, f.now_ms, f.memory, &list));
    assert_true(list.count > 200);
    company_fills(&f, DEVICE_SCOPES_MAX);
    ok(feed_scopes_of_user(f.writer, &user, f.now_ms, f.memory, &list));
    assert_int_equal(list.count, DEVICE_SCOPES_MAX);
    sees_it_all(&f, &user, &list);
    is_refused_one_more(&f);
    company_fills(&f, DEVICE_SCOPES_MAX + 1); /* by an earlier version */
    assert_int_equal(feed_scopes_of_user(f.writer, &user, f.now_ms, f.memory, &list), FB_E_LIMIT);
    fixture_close(&f);
}

/* Who may see what cannot be said without these: nothing is shown and nothing written. */
static void feed__catalogue_without_the_words_is_refused(void **state)
{
    static const char *const NEEDED[] = {"'to_at'", "'data_scope'", "'name':'user_role'"};
    (void)state;
    for (size_t i = 0; i < sizeof NEEDED / sizeof NEEDED[0]; i++) {
        arena *memory = arena_new(1 << 20);
        char *text = arena_str(memory, SMALL_CATALOG);
        for (char *at = strstr(text, NEEDED[i]); at != NULL; at = strstr(at, NEEDED[i])) {
            at[strlen(NEEDED[i]) - 2] = 'q'; /* another name */
        }
        fixture f;
        fixture_open(&f, quoted(memory, text));
        arena_free(memory);
        const commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
        fb_id user = USER(1);
        scope_list list = {0};
        int64_t cid = 0;
        batch_begin(&f);
        put_unit(&f, 1, 0);
        ok(store_begin(f.writer));
        assert_int_equal(ledger_commit(f.writer, &from, f.changes, f.count, &cid), FB_E_CATALOG);
        store_rollback(f.writer);
        assert_int_equal(feed_scopes_of_user(f.reader, &user, f.now_ms, f.memory, &list),
                         FB_E_CATALOG);
        assert_int_equal(raw_int(&f, "SELECT count(*) FROM org_unit"), 0);
        decide_cache *cache = decide_cache_new(); /* nor may anybody do anything */
        assert_int_equal(decide_cache_begin(cache, f.writer, 0, f.now_ms), FB_E_CATALOG);
        decide_cache_free(cache);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed__scopes_of_a_user_follow_roles_and_memberships),
        cmocka_unit_test(feed__membership_counts_from_its_first_to_its_last_day),
        cmocka_unit_test(feed__org_unit_that_is_below_itself_ends),
        cmocka_unit_test(feed__moved_customer_leaves_one_and_reaches_the_other_with_its_children),
        cmocka_unit_test(feed__FED_3_leaving_one_of_two_scopes_is_an_update_at_most),
        cmocka_unit_test(feed__FED_5_a_move_inside_the_scopes_sends_what_changed_alone),
        cmocka_unit_test(feed__delete_reaches_who_had_the_row_and_nobody_else),
        cmocka_unit_test(feed__change_of_scopes_fills_and_empties_in_small_pages),
        cmocka_unit_test(feed__row_seen_through_a_kept_scope_is_not_sent_again),
        cmocka_unit_test(feed__FED_5_row_that_only_moved_is_told_as_a_move),
        cmocka_unit_test(feed__FED_5_row_that_moved_and_changed_is_sent_whole),
        cmocka_unit_test(feed__FED_5_older_app_gets_the_row),
        cmocka_unit_test(feed__change_of_scopes_without_rows_is_not_empty),
        cmocka_unit_test(feed__token_of_an_idle_device_moves_with_the_head),
        cmocka_unit_test(feed__second_change_of_scopes_during_a_fill),
        cmocka_unit_test(feed__FED_4_own_plain_groups_are_left_out_until_settled),
        cmocka_unit_test(feed__FED_4_own_row_that_an_earlier_page_took_away_comes),
        cmocka_unit_test(feed__row_that_an_own_group_moved_out_of_scope_leaves),
        cmocka_unit_test(feed__token_that_cannot_be_honoured_starts_anew),
        cmocka_unit_test(feed__token_before_the_horizon_starts_anew_but_a_fill_goes_on),
        cmocka_unit_test(feed__scope_set_has_one_number_while_it_is_the_same),
        cmocka_unit_test(feed__first_download_does_not_carry_old_tombstones),
        cmocka_unit_test(feed__block_of_each_entity_once_parents_first),
        cmocka_unit_test(feed__every_entity_of_the_built_in_catalogue_travels),
        cmocka_unit_test(feed__page_that_mends_fails_as_a_whole),
        cmocka_unit_test(feed__digest_that_was_tampered_with_is_found),
        cmocka_unit_test(sign__key_that_is_none_is_not_taken),
        cmocka_unit_test(feed__wrong_calls_change_nothing),
        cmocka_unit_test(feed__more_scopes_than_a_device_can_have_are_refused),
        cmocka_unit_test(feed__catalogue_without_the_words_is_refused),
    };
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
