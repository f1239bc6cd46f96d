/* test_decide_odd.c - groups, rows and files that no ordinary day brings about: ids that collide,
 * commits nobody knows, rows that the office took away or a disk got wrong, people with too many
 * roles. Each has an answer, and it is the careful one. */
#include "decide_fixture.h"

#include "support/raw_work.h"
#include "sync-server/decide/decide_inside.h"

static fb_id contact_stored(bench *b)
{
    return company_add(&b->w.company, "contact",
                       PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
}

static fb_id contact_put(bench *b, raw_group *g, const char *name)
{
    return raw_insert(g, "contact",
                      PAIRS("customer_id", id_text(&b->w.customers[0]), "name", name));
}

/* --- whose word it is --------------------------------------------------------------------- */

/* The server read sixteen roles of a person: who had more lost on the server what the phone
 * allowed. */
static void every_role_of_a_person_counts(void **state)
{
    enum { ROLES = 70 };
    bench *b = *state;
    raw_group g;
    fb_id role = {{0}};
    for (int i = 0; i < ROLES; i++) {
        char code[8];
        snprintf(code, sizeof code, "X%02d", i);
        role = company_add(&b->w.company, "role",
                           PAIRS("code", code, "name", code, "data_scope", "self"));
        company_add(&b->w.company, "user_role",
                    PAIRS("user_id", id_text(&b->d.user), "role_id", id_text(&role)));
    }
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    contact_put(b, &g, "Li");
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
    store_says(b, "UPDATE role_permission SET permission = '' WHERE permission = 'contact.create'");
    d = asked_of(b, &b->d);
    is(&d, FB_E_FORBIDDEN, "contact");
    company_add(&b->w.company, "role_permission",
                PAIRS("role_id", id_text(&role), "permission", "contact.create"));
    d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
}

/* Whether he still had the right when he wrote it: of a commit that nobody knows, it is not said.
 */
static void change_of_a_person_in_no_known_commit_is_no_excuse(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    contact_put(b, &g, "Li");
    raw_end(&g);
    b->w.now_ms += 1000;
    company_set(&b->w.company, "app_user", &b->d.user, PAIRS("status", "locked"));
    decision d = asked_of(b, &b->d);
    assert_int_equal(d.verdict.code, VERDICT_HELD);
    store_says(b, "UPDATE app_user SET ver = 1152921504606846976 WHERE status = 'locked'");
    d = asked_of(b, &b->d);
    is(&d, FB_E_FORBIDDEN, "contact");
}

/* Late work that would be held for another reason is held; a decision about others' work is for who
 * has the role now. */
static void late_work_is_for_the_manager(void **state)
{
    bench *b = *state;
    fb_id order;
    company_add(&b->w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "user", "target_id",
                      id_text(&b->d.user), "value", "1"));
    raw_push_order(&b->d, "SO-A1-1", &RAW_GOOD, 0, &order);
    b->w.now_ms += 1000;
    company_set(&b->w.company, "app_user", &b->d.user, PAIRS("status", "locked"));
    decision d = asked_of(b, &b->d);
    assert_int_equal(d.verdict.code, VERDICT_HELD);
    assert_int_equal(d.verdict.error, FB_E_FORBIDDEN); /* the first reason */
}

/* --- held groups -------------------------------------------------------------------------- */

static fb_id held_make(bench *b, const char *no)
{
    raw_reply r;
    fb_id order, found = {{0}};
    sqlite3 *raw = NULL;
    sqlite3_stmt *q = NULL;
    raw_push_order(&b->d, no, &RAW_GOOD, 0, &order);
    raw_exchange(&b->d, &r);
    assert_int_equal(raw_verdict(&r, b->d.last).code, VERDICT_HELD);
    raw_reply_clear(&r);
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, "SELECT id FROM held_group ORDER BY ver DESC LIMIT 1",
                                        -1, &q, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    memcpy(found.b, sqlite3_column_blob(q, 0), sizeof found.b);
    sqlite3_finalize(q);
    sqlite3_close(raw);
    return found;
}

static decision held_decided(bench *b, const fb_id *ids, int count, const char *state)
{
    raw_group g;
    raw_begin(&g, &b->manager, "held.decide", 0, 0);
    for (int i = 0; i < count; i++) {
        raw_update(&g, "held_group", &ids[i], raw_server_ver(&b->w, "held_group", &ids[i]),
                   PAIRS("state", "open", state, "reason", "", "why not"));
    }
    raw_end(&g);
    return asked_of(b, &b->manager);
}

static void held_group_is_decided_alone_by_who_may(void **state)
{
    bench *b = *state;
    fb_id held[2];
    company_add(&b->w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "user", "target_id",
                      id_text(&b->d.user), "value", "1"));
    held[0] = held_make(b, "SO-A1-1");
    held[1] = held_make(b, "SO-A1-2");
    decision d = held_decided(b, held, 1, "rejected");
    is(&d, FB_OK, NULL);
    assert_true(d.held.number > 0 && !d.held.accept);
    d = held_decided(b, held, 1, "open");
    is(&d, FB_E_REQUIRED, "held_group.state");
    d = held_decided(b, held, 2, "accepted");
    is(&d, FB_E_LIMIT, "held_group.id");
    b->waived = true; /* it was itself held, and accepted: not even then */
    d = held_decided(b, held, 1, "accepted");
    b->waived = false;
    is(&d, FB_E_FORBIDDEN, "held_group.state");
    /* Decided on the phone, sent after the role was gone. */
    d = held_decided(b, held, 1, "accepted");
    is(&d, FB_OK, NULL);
    b->w.now_ms += 1000;
    company_set(&b->w.company, "app_user", &b->w.manager, PAIRS("status", "locked"));
    d = asked_of(b, &b->manager);
    is(&d, FB_E_FORBIDDEN, "held_group");
    assert_int_equal(d.held.number, 0);
}

/* --- ids ---------------------------------------------------------------------------------- */

static void id_that_leads_on_is_followed_to_its_end(void **state)
{
    bench *b = *state;
    raw_group g;
    const fb_id was = {{7, 1}}, a = {{7, 2}}, back = {{7, 3}};
    fb_id contact = contact_stored(b);
    alias_is(b, &was, "contact", &contact);
    alias_is(b, &a, "customer", &back);
    alias_is(b, &back, "customer", &a);
    raw_begin(&g, &b->d, "contact.change", 0, 0);
    raw_update(&g, "contact", &was, 0, PAIRS("title", "", "Buyer"));
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
    assert_true(id_equal(&change_to(&d, "contact")->id, &contact));
    assert_false(d.plain); /* the device holds another id */
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    raw_insert(&g, "contact", PAIRS("customer_id", id_text(&a), "name", "Li"));
    raw_end(&g);
    d = decided(b); /* in a circle */
    is(&d, FB_E_REFERENCE, "contact.customer_id");
    alias_is(b, &a, "customer", &b->w.customers[0]);
    d = decided(b);
    is(&d, FB_OK, NULL);
    assert_true(
        id_equal(&value_in(change_to(&d, "contact"), "customer_id")->u.id, &b->w.customers[0]));
    company_delete(&b->w.company, "contact", &contact);
    raw_begin(&g, &b->d, "contact.change", 0, 0);
    raw_update(&g, "contact", &was, 0, PAIRS("title", "", "Buyer"));
    raw_end(&g);
    d = decided(b); /* to a row that is gone */
    is(&d, FB_E_NOT_FOUND, "contact.id");
}

/* What this very group found out about one entity's ids says nothing of another's. */
static void alias_is_of_one_entity(void **state)
{
    bench *b = *state;
    raw_group g;
    company_add(&b->w.company, "customer",
                PAIRS("code", "K1", "name", "Green", "status", "active", "licence_no", "L-77",
                      "territory_id", id_text(&b->w.territories[0])));
    raw_begin(&g, &b->d, "customer.new", 0, 0);
    fb_id id = raw_insert(&g, "customer",
                          PAIRS("code", "N1", "name", "Mine", "status", "draft", "licence_no",
                                "L-77", "territory_id", id_text(&b->w.territories[0])));
    raw_update(&g, "contact", &id, 0, PAIRS("title", "", "Buyer"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_E_NOT_FOUND, "contact.id");
}

static void id_is_given_once(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id there = contact_stored(b);
    decide_cache_check_ids(b->cache, true);
    for (int again = 0; again < 3; again++) {
        raw_begin(&g, &b->d, "contact.add", 0, 0);
        fb_id mine = contact_put(b, &g, "Li");
        raw_insert(&g, "activity",
                   PAIRS("user_id", id_text(&b->d.user), "type", "call", "at", "1760000000000",
                         "customer_id", id_text(&b->w.customers[0]), "contact_id", id_text(&mine)));
        raw_insert_id(&g, "contact", again == 0 ? &mine : &there,
                      PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Wu"));
        if (again == 2) { /* and taken away again: there is no row to be */
            raw_delete(&g, "contact", &there, 0);
        }
        raw_end(&g);
        decision d = asked_of(b, &b->d);
        if (again == 2) {
            is(&d, FB_OK, NULL);
            continue;
        }
        is(&d, FB_E_EXISTS, "contact.id");
        assert_true(d.blocked_count >= 2);
        for (uint32_t i = 0; i < d.blocked_count; i++) {
            assert_int_equal(d.blocked[i].collided, id_equal(&d.blocked[i].id, &there));
        }
    }
    decide_cache_check_ids(b->cache, false);
}

/* A device one of whose rows was refused for its id means that row when it names no version; what
 * it made in this group, and what it has from the server, it means as it says. */
static void device_that_collided_once_is_taken_at_its_word_otherwise(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id there = contact_stored(b);
    b->collided = true;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    fb_id mine = contact_put(b, &g, "Li");
    raw_update(&g, "contact", &mine, 0, PAIRS("title", "", "Buyer"));
    raw_update(&g, "contact", &there, 0, PAIRS("title", "", "Cook"));
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
    assert_int_equal(d.changes_count, 2);
}

/* Two rows that fall on one place in the table of known ids: the one that was forgotten is read. */
static void row_that_was_forgotten_is_looked_up_again(void **state)
{
    bench *b = *state;
    raw_group g;
    char sql[200];
    fb_id visit = company_add(&b->w.company, "visit",
                              PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                    id_text(&b->d.user), "visit_date", "2025-10-09", "check_in_at",
                                    "2025-10-09T08:00:00Z", "status", "completed", "check_out_at",
                                    "2025-10-09T09:00:00Z"));
    fb_id same = b->w.customers[0];
    same.b[9] ^= 1; /* of an id bytes 4 to 7 and 12 to 15 say where */
    int n = snprintf(sql, sizeof sql, "UPDATE visit SET id = x'");
    for (int i = 0; i < 16; i++) {
        n += snprintf(sql + n, sizeof sql - (size_t)n, "%02x", same.b[i]);
    }
    snprintf(sql + n, sizeof sql - (size_t)n, "'");
    (void)visit;
    store_says(b, sql);
    raw_begin(&g, &b->d, "photo.add", 0, 0);
    raw_insert(&g, "attachment",
               PAIRS("visit_id", id_text(&same), "customer_id", id_text(&b->w.customers[0]), "kind",
                     "photo", "media_type", "image/jpeg", "size_bytes", "5", "sha256",
                     "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "taken_at",
                     "1760000000000"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
}

/* --- versions ----------------------------------------------------------------------------- */

/* Its own plain group made it: the device has exactly that row, though it knows no version of it.
 * In another life of the device it is not known any more. */
static void row_of_the_devices_own_group_is_as_it_holds_it(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    fb_id contact = contact_put(b, &g, "Li");
    raw_end(&g);
    raw_exchange(&b->d, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    raw_begin(&g, &b->d, "contact.change", 0, 0);
    raw_update(&g, "contact", &contact, 0, PAIRS("title", "", "Buyer"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
    assert_true(d.plain);
    fb_id before = b->d.incarnation;
    b->d.incarnation.b[15] ^= 1;
    d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
    assert_false(d.plain);
    b->d.incarnation = before;
    store_says(b, "UPDATE contact SET ver = 1152921504606846976"); /* of a commit nobody knows */
    d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
    assert_false(d.plain);
}

static int64_t merged_at(bench *b, const fb_id *contact, int64_t base_ver, fb_id *other_out)
{
    raw_group g;
    raw_begin(&g, &b->manager, "contact.change", 0, 0);
    raw_update(&g, "contact", contact, base_ver, PAIRS("name", "what it never was", "Mine"));
    raw_end(&g);
    decision d = asked_of(b, &b->manager);
    assert_int_equal(d.verdict.code, VERDICT_MERGED);
    const change *c = change_to(&d, "conflict");
    const fb_value *other = value_in(c, "other_user_id");
    *other_out = other->kind == FB_KIND_ID ? other->u.id : (fb_id){{0}};
    return value_in(c, "theirs_at")->u.i;
}

static void column_times_since(bench *b, int64_t ms)
{
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(store_meta_int_set(b->w.admin, "column_times_ms", ms), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
}

/* Who has what the server holds of a column that was never changed: who made the row, or, from
 * before that was kept column by column, who changed the row last; else the commit. */
static void value_that_was_never_changed_has_the_rows_author(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    fb_id other;
    const int64_t made_ms = b->w.now_ms - 5000, changed_ms = b->w.now_ms - 3000;
    raw_begin(&g, &b->d, "contact.add", made_ms, 0);
    fb_id contact = contact_put(b, &g, "Li");
    raw_end(&g);
    raw_begin(&g, &b->d, "contact.change", changed_ms, 0);
    raw_update(&g, "contact", &contact, 0, PAIRS("title", "", "Buyer"));
    raw_end(&g);
    raw_exchange(&b->d, &r);
    raw_reply_clear(&r);
    int64_t ver = raw_server_ver(&b->w, "contact", &contact);
    column_times_since(b, 1);
    assert_int_equal(merged_at(b, &contact, ver, &other), made_ms);
    assert_true(id_equal(&other, &b->d.user));
    column_times_since(b, b->w.now_ms);
    assert_int_equal(merged_at(b, &contact, ver, &other), changed_ms);
    fb_id office = contact_stored(b);
    assert_int_equal(merged_at(b, &office, raw_server_ver(&b->w, "contact", &office), &other),
                     b->w.now_ms);
    assert_true(id_is_none(&other));
    /* A version of a commit that nobody knows says nothing of the time. */
    assert_int_equal(merged_at(b, &office, INT64_C(1) << 60, &other), b->w.now_ms);
    b->old_base = true; /* of an earlier epoch, and lost with it */
    assert_int_equal(merged_at(b, &office, INT64_C(1) << 60, &other), b->w.now_ms);
    (void)decided_of(b, &b->manager);
    b->old_base = false;
}

/* A person who only looked at a step that somebody else has taken since: theirs stands, and nothing
 * is lost. A row whose state a disk lost is not taken for one in which any step is possible. */
static void step_that_was_not_taken_is_no_clash(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id task = company_add(&b->w.company, "task",
                             PAIRS("title", "Call", "kind", "todo", "priority", "normal",
                                   "assignee_id", id_text(&b->d.user), "customer_id",
                                   id_text(&b->w.customers[0]), "status", "todo"));
    int64_t seen = raw_server_ver(&b->w, "task", &task);
    company_set(&b->w.company, "task", &task, PAIRS("status", "doing"));
    raw_begin(&g, &b->d, "task.note", 0, 0);
    raw_update(&g, "task", &task, seen, PAIRS("status", "todo", "todo", "note", "", "rang"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
    assert_null(value_in(change_to(&d, "task"), "status"));
}

/* --- rows below --------------------------------------------------------------------------- */

static void row_below_that_is_changed_by_the_group_is_below(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id order =
        company_add(&b->w.company, "sales_order",
                    PAIRS("order_no", "SO-1", "customer_id", id_text(&b->w.customers[0]), "user_id",
                          id_text(&b->d.user), "order_date", "2025-10-09", "status", "draft"));
    fb_id line = company_add(&b->w.company, "sales_order_line",
                             PAIRS("order_id", id_text(&order), "line_no", "1", "product_id",
                                   id_text(&b->w.product), "uom", "EA", "qty_milli", "10",
                                   "unit_price_4dp", "10"));
    raw_begin(&g, &b->d, "order.drop", 0, 0);
    raw_update(&g, "sales_order_line", &line, raw_server_ver(&b->w, "sales_order_line", &line),
               PAIRS("qty_milli", "10", "10")); /* as it is */
    raw_delete(&g, "sales_order", &order, raw_server_ver(&b->w, "sales_order", &order));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_E_STATE, "sales_order.id");
    raw_begin(&g, &b->d, "line.drop", 0, 0);
    raw_delete(&g, "sales_order_line", &line, raw_server_ver(&b->w, "sales_order_line", &line));
    raw_end(&g);
    d = decided(b);
    is(&d, FB_OK, NULL);
}

/* --- scopes ------------------------------------------------------------------------------- */

/* It left somebody else's scope and the person's own after it was captured: his own counts. */
static void row_that_left_the_persons_scope_later_was_in_it(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id shop = b->w.customers[1]; /* in another territory, but his */
    company_set(&b->w.company, "customer", &shop, PAIRS("owner_id", id_text(&b->d.user)));
    for (int left = 0; left < 2; left++) {
        b->w.now_ms += 1000;
        raw_begin(&g, &b->d, "customer.change", 0, 0);
        raw_update(&g, "customer", &shop, raw_server_ver(&b->w, "customer", &shop),
                   PAIRS("remark", "", "back door"));
        raw_end(&g);
        b->w.now_ms += 1000;
        if (left == 0) {
            company_set(&b->w.company, "customer", &shop,
                        PAIRS("owner_id", "", "territory_id", ""));
        }
        decision d = decided(b);
        assert_int_equal(d.verdict.code, left == 0 ? VERDICT_APPLIED : VERDICT_HELD);
        assert_false(d.plain);
    }
}

static void task_for_somebody_elsewhere_is_for_the_manager(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "task.new", 0, 0);
    raw_insert(&g, "task",
               PAIRS("title", "Call", "kind", "todo", "priority", "normal", "assignee_id",
                     id_text(&b->w.users[1]), "status", "todo"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    assert_int_equal(d.verdict.code, VERDICT_HELD);
    assert_int_equal(d.verdict.error, FB_E_SCOPE);
    assert_true(text_is(d.verdict.field, "task.id"));
}

/* --- the cache ---------------------------------------------------------------------------- */

/* CCH-2: so many people that all is dropped and read anew. */
static void cache_lets_go_of_what_it_held_for_many(void **state)
{
    enum { PEOPLE = 320 };
    bench *b = *state;
    store *db = b->w.admin;
    int64_t head = 0;
    assert_int_equal(ledger_head(db, &head), FB_OK);
    assert_int_equal(decide_cache_begin(b->cache, db, head, b->w.now_ms), FB_OK);
    decide_cache_drop(b->cache); /* a batch was undone: the next question reads all again */
    for (uint32_t i = 0; i < PEOPLE; i++) {
        scope_list scopes;
        const fb_id user = {{9, 9, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}};
        assert_int_equal(decide_scopes_of_user(b->cache, db, &user, &scopes), FB_OK);
    }
    assert_int_equal(b->cache->users_count, PEOPLE);
    assert_int_equal(decide_cache_begin(b->cache, db, head, b->w.now_ms), FB_OK);
    assert_int_equal(b->cache->users_count, 0);
    const change told = {.kind = CHANGE_UPDATE,
                         .entity = catalog_entity_str(store_catalog(db), "app_user"),
                         .id = b->d.user};
    for (int why = 0; why < 2; why++) { /* a change of a person; a catalogue in the same place */
        scope_list scopes;
        assert_int_equal(decide_scopes_of_user(b->cache, db, &b->d.user, &scopes), FB_OK);
        assert_int_equal(b->cache->users_count, 1);
        if (why == 0) {
            decide_cache_committed(b->cache, &told, 1, 0);
        } else {
            b->cache->cat_version++;
        }
        assert_int_equal(decide_cache_begin(b->cache, db, head, b->w.now_ms), FB_OK);
        assert_int_equal(b->cache->users_count, 0);
    }
}

/* The middle of a batch, after something was undone in it: what fails then fails as at its start.
 */
static void batch_goes_on_after_it_was_undone(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    contact_put(b, &g, "Li");
    raw_end(&g);
    deciding t = {
        .b = b, .from = &b->d, .memory = arena_new(16 << 20), .cold = true, .going_on = true};
    (void)asked_of(b, &b->d);
    each_site_fails(&(each_site){newest_decide, same_verdict, &t});
    is(&t.d, FB_OK, NULL);
    arena_free(t.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_role_of_a_person_counts),
        CASE(change_of_a_person_in_no_known_commit_is_no_excuse),
        CASE(late_work_is_for_the_manager),
        CASE(held_group_is_decided_alone_by_who_may),
        CASE(id_that_leads_on_is_followed_to_its_end),
        CASE(alias_is_of_one_entity),
        CASE(id_is_given_once),
        CASE(device_that_collided_once_is_taken_at_its_word_otherwise),
        CASE(row_that_was_forgotten_is_looked_up_again),
        CASE(row_of_the_devices_own_group_is_as_it_holds_it),
        CASE(value_that_was_never_changed_has_the_rows_author),
        CASE(step_that_was_not_taken_is_no_clash),
        CASE(row_below_that_is_changed_by_the_group_is_below),
        CASE(row_that_left_the_persons_scope_later_was_in_it),
        CASE(task_for_somebody_elsewhere_is_for_the_manager),
        CASE(cache_lets_go_of_what_it_held_for_many),
        CASE(batch_goes_on_after_it_was_undone),
    };
    return cmocka_run_group_tests_name("decide_odd", tests, NULL, NULL);
}
