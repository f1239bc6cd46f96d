/* test_server_handle.c - groups through server_handle: verdicts of every kind, and what the page
 * says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/raw_trial.h"
#include "support/raw_work.h"
#include "sync-server/door/door.h"
#include "sync-server/intake/intake.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 2: the same territory */
} bench;

static int setup(void **state)
{
    static bench b;
    raw_world_open(&b.w);
    b.w.trial = raw_trial;
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_reply r;
    raw_exchange(&b.a, &r);
    raw_reply_clear(&r);
    raw_exchange(&b.b, &r);
    raw_reply_clear(&r);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_world_close(&b->w);
    return 0;
}

static int64_t push_phone(raw_device *d, const fb_id *customer, int64_t at_ms, int64_t ver,
                          const char *base, const char *mine)
{
    raw_group g;
    raw_begin(&g, d, "customer.change", at_ms, 0);
    raw_update(&g, "customer", customer, ver, PAIRS("phone", base, mine));
    return raw_end(&g);
}

static void applied_group_is_a_short_line_and_stays_out_of_the_own_page(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    int64_t g = raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(r.items_count, 1);
    assert_int_equal(r.items[0].line, LINE_RUN);
    assert_true(raw_has_verdict(&r, g));
    assert_true(raw_verdict(&r, g).cid > 0);
    assert_false(raw_page_has(&r, &order));
    assert_true(r.complete);
    assert_true(r.packed_bytes < 400);
    raw_reply_clear(&r);
    raw_exchange(&b->b, &r);
    assert_true(raw_page_has(&r, &order)); /* the colleague of the same territory */
    raw_reply_clear(&r);
}

static int64_t note(raw_device *d, int64_t replaces)
{
    raw_group g;
    raw_begin(&g, d, "activity.log", 0, replaces);
    raw_insert(&g, "activity",
               PAIRS("customer_id", id_text(&d->w->customers[0]), "user_id", id_text(&d->user),
                     "type", "call", "at", "1760000000000", "subject", "instead"));
    return raw_end(&g);
}

/* The commit that closes what was held lies between the two groups: each has a line of its own. */
static void groups_behind_one_that_replaces_have_their_own_commits(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    company_add(&b->w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "user", "target_id",
                      id_text(&b->a.user), "value", "1"));
    int64_t held = raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, held).code, VERDICT_HELD);
    raw_reply_clear(&r);
    int64_t instead = note(&b->a, held), behind = note(&b->a, 0);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, instead).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, behind).cid, raw_verdict(&r, instead).cid + 2);
    raw_reply_clear(&r);
}

/* One order each; what the server says to it. */
static const struct {
    const char *what;
    raw_order_texts order;
    verdict_code code;
    fb_code error;
    const char *field;
} ORDERS[] = {
    {"the list's price", {"100000", "11300", "submitted", "account"}, VERDICT_APPLIED, FB_OK, ""},
    {"another price",
     {"99999", "11300", "submitted", "account"},
     VERDICT_REJECTED,
     FB_E_PRICE,
     "sales_order_line[1].unit_price_4dp"},
    {"a wrong total",
     {"100000", "11301", "submitted", "account"},
     VERDICT_REJECTED,
     FB_E_TOTALS,
     "sales_order.total"},
    {"a draft is not asked", {"99999", "1", "draft", "account"}, VERDICT_APPLIED, FB_OK, ""},
    {"a state nobody starts in",
     {"100000", "11300", "shipped", "account"},
     VERDICT_REJECTED,
     FB_E_STATE,
     "sales_order.status"},
};

static void orders_are_checked_with_the_servers_prices(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof ORDERS / sizeof ORDERS[0]; i++) {
        char no[24];
        raw_reply r;
        fb_id order;
        snprintf(no, sizeof no, "SO-A1-%d", (int)i);
        int64_t g = raw_push_order(&b->a, no, &ORDERS[i].order, 0, &order);
        raw_exchange(&b->a, &r);
        verdict_msg v = raw_verdict(&r, g);
        if (v.code != ORDERS[i].code || v.error != ORDERS[i].error) {
            print_error("%s: %s %s\n", ORDERS[i].what, verdict_name(v.code), fb_code_name(v.error));
        }
        assert_int_equal(v.code, ORDERS[i].code);
        assert_int_equal(v.error, ORDERS[i].error);
        if (v.error != FB_OK) {
            assert_true(text_is(v.field, ORDERS[i].field));
            assert_true(v.cure_en.size > 0 && v.cure_zh.size > 0 && v.text_zh.size > 0);
            assert_int_equal(v.cid, 0);
        }
        raw_reply_clear(&r);
    }
}

static void order_over_the_limit_is_held_until_the_manager_decides(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order, other;
    company_add(&b->w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "global", "value", "12000"));
    int64_t first = raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    int64_t second = raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &other);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, first).code, VERDICT_APPLIED);
    verdict_msg v = raw_verdict(&r, second);
    assert_int_equal(v.code, VERDICT_HELD);
    assert_int_equal(v.error, FB_E_CREDIT);
    assert_true(text_is(v.who, "MGR"));
    raw_reply_clear(&r);
    intake in = {.db = b->w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    intake_decision how = {
        .device = b->a.id, .gseq = second, .now_ms = b->w.now_ms, .accept = true};
    int64_t head = 0;
    raw_trial_held(&b->w, &how);
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(ledger_head(b->w.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, b->w.admin, head, b->w.now_ms), FB_OK);
    assert_int_equal(intake_held_decide(&in, &how), FB_OK);
    assert_int_equal(intake_held_decide(&in, &how), FB_E_STATE);
    how.gseq = first; /* which nobody holds */
    assert_int_equal(intake_held_decide(&in, &how), FB_E_STATE);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    decide_cache_free(in.cache);
    arena_free(in.work);
    raw_exchange(&b->a, &r); /* acked long ago, and told again */
    assert_int_equal(raw_verdict(&r, second).code, VERDICT_APPLIED);
    assert_true(raw_verdict(&r, second).echo);
    assert_true(raw_page_has(&r, &other));
    raw_reply_clear(&r);
    raw_exchange(&b->a, &r); /* once it has the page, no more */
    assert_false(raw_has_verdict(&r, second));
    raw_reply_clear(&r);
}

static void later_write_wins_and_the_loser_is_kept(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_reply r;
    char text[256];
    int64_t ver = raw_server_ver(w, "customer", &w->customers[0]);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    int64_t now = w->now_ms;
    w->now_ms += 100000;
    push_phone(&b->b, &w->customers[0], now + 50000, ver, text, "+861380000002");
    raw_exchange(&b->b, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    push_phone(&b->a, &w->customers[0], now + 40000, ver, text,
               "+861380000001"); /* earlier: loses */
    raw_exchange(&b->a, &r);
    verdict_msg lost = raw_verdict(&r, 1);
    assert_int_equal(lost.code, VERDICT_MERGED);
    assert_true(lost.echo);
    assert_int_equal(lost.columns_count, 1);
    assert_true(text_is(lost.columns[0].column, "phone"));
    assert_false(lost.columns[0].mine_won);
    assert_true(text_is(lost.columns[0].theirs, "\"+861380000002\""));
    assert_non_null(memmem(r.body.data, r.body.size, "+861380000001", 13)); /* the conflict row */
    raw_reply_clear(&r);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    assert_string_equal(text, "+861380000002");
    push_phone(&b->a, &w->customers[0], now + 60000, ver, "+861381234567",
               "+861380000003"); /* later: wins */
    raw_exchange(&b->a, &r);
    verdict_msg won = raw_verdict(&r, 2);
    assert_int_equal(won.code, VERDICT_MERGED);
    assert_true(won.columns[0].mine_won);
    raw_reply_clear(&r);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    assert_string_equal(text, "+861380000003");
}

/* The person whose value lost looks at the record and takes it after all. */
static void decided_conflict_writes_its_value(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_reply r;
    raw_group g;
    char text[256];
    int64_t ver = raw_server_ver(w, "customer", &w->customers[0]);
    company_set(&w->company, "customer", &w->customers[0], PAIRS("phone", "+861380000002"));
    w->now_ms += 1000;
    push_phone(&b->a, &w->customers[0], w->now_ms - 100000, ver, "+861381234567", "+861380000001");
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_MERGED);
    raw_reply_clear(&r);
    const cat_entity *e = catalog_entity_str(store_catalog(w->admin), "conflict");
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of(id_text(&w->customers[0]))};
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    assert_int_equal(store_row_by(w->admin, e, cat_column_str(e, "entity_id"), &equal, memory, row),
                     FB_OK);
    fb_id conflict = row[0].u.id;
    arena_free(memory);
    raw_server_text(w, "conflict", &conflict, "winner", text);
    assert_string_equal(text, "theirs");
    company_set(&w->company, "conflict", &conflict, PAIRS("state", "open", "winner", ""));
    raw_begin(&g, &b->a, "conflict.decide", 0, 0);
    raw_update(&g, "conflict", &conflict, raw_server_ver(w, "conflict", &conflict),
               PAIRS("winner", "", "mine", "state", "open", "resolved"));
    raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_APPLIED);
    assert_true(raw_page_has(&r, &w->customers[0]));
    raw_reply_clear(&r);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    assert_string_equal(text, "+861380000001");
    raw_server_text(w, "conflict", &conflict, "resolved_by", text);
    assert_string_equal(text, id_text(&b->a.user));
}

static void clock_in_the_future_gains_nothing(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_reply r;
    char text[256];
    int64_t ver = raw_server_ver(w, "customer", &w->customers[0]);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    push_phone(&b->a, &w->customers[0], w->now_ms + 70LL * 365 * 86400000, ver, text,
               "+861380000001");
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    w->now_ms += 1000;
    push_phone(&b->b, &w->customers[0], w->now_ms, ver, text, "+861380000002");
    raw_exchange(&b->b, &r);
    raw_reply_clear(&r);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    assert_string_equal(text, "+861380000002");
}

static void own_chain_of_changes_is_plain(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_reply r;
    char text[256];
    int64_t ver = raw_server_ver(w, "customer", &w->customers[0]);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    push_phone(&b->a, &w->customers[0], 0, ver, text, "+861380000001");
    push_phone(&b->a, &w->customers[0], 0, ver, "+861380000001", "+861380000002");
    raw_exchange(&b->a, &r);
    assert_int_equal(r.items_count, 1);
    assert_int_equal(r.items[0].line, LINE_RUN);
    assert_int_equal(r.items[0].run_to, 2);
    assert_false(raw_page_has(&r, &w->customers[0]));
    raw_reply_clear(&r);
}

/* Updates of a customer that the server refuses. */
static const struct {
    const char *column, *mine;
    fb_code error;
} REFUSED[] = {
    {"name", "New name", FB_E_GUARDED},     {"grade", "A", FB_E_GUARDED},
    {"value_class", "vip", FB_E_FORBIDDEN}, {"email", "no-at-sign", FB_E_FORMAT},
    {"status", "suspended", FB_E_STATE},
};

static void refused_updates_name_field_and_row(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        raw_group g;
        raw_reply r;
        char text[256], field[64];
        raw_server_text(w, "customer", &w->customers[0], REFUSED[i].column, text);
        raw_begin(&g, &b->a, "customer.change", 0, 0);
        raw_update(&g, "customer", &w->customers[0],
                   raw_server_ver(w, "customer", &w->customers[0]),
                   PAIRS(REFUSED[i].column, text, REFUSED[i].mine));
        int64_t n = raw_end(&g);
        raw_exchange(&b->a, &r);
        verdict_msg v = raw_verdict(&r, n);
        snprintf(field, sizeof field, "customer.%s", REFUSED[i].column);
        if (v.error != REFUSED[i].error) {
            print_error("%s: %s\n", REFUSED[i].column, fb_code_name(v.error));
        }
        assert_int_equal(v.code, VERDICT_REJECTED);
        assert_int_equal(v.error, REFUSED[i].error);
        assert_true(text_is(v.field, field));
        assert_non_null(memmem(v.row.data, v.row.size, "\"code\":\"C1\"", 11));
        raw_reply_clear(&r);
    }
}

static void rejected_customer_blocks_its_order_and_nothing_else(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    fb_id bad, order, fine;
    raw_begin(&g, &b->a, "customer.add", 0, 0);
    bad = raw_insert(&g, "customer",
                     PAIRS("code", "N1", "name", "New", "email", "nonsense", "status", "draft",
                           "owner_id", id_text(&b->a.user)));
    int64_t rejected = raw_end(&g);
    raw_begin(&g, &b->a, "order.draft", 0, 0);
    order = raw_order(&g, "SO-A1-1", &bad, &(raw_order_texts){"1", "1", "draft", "account"});
    int64_t blocked = raw_end(&g);
    raw_begin(&g, &b->a, "order.change", 0, 0);
    raw_update(&g, "sales_order", &order, 0, PAIRS("note", "", "hello"));
    int64_t too = raw_end(&g);
    int64_t other = raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &fine);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, rejected).code, VERDICT_REJECTED);
    assert_true(text_is(raw_verdict(&r, rejected).field, "customer.email"));
    assert_int_equal(raw_verdict(&r, blocked).code, VERDICT_BLOCKED);
    assert_int_equal(raw_verdict(&r, blocked).blocked_by, rejected);
    assert_int_equal(raw_verdict(&r, too).code, VERDICT_BLOCKED);
    assert_int_equal(raw_verdict(&r, too).blocked_by, blocked);
    assert_int_equal(raw_verdict(&r, other).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    /* Corrected and sent again: replaces the rejected one; the order's second try goes through. */
    raw_begin(&g, &b->a, "customer.add", 0, rejected);
    raw_insert_id(
        &g, "customer", &bad,
        PAIRS("code", "N1", "name", "New", "status", "draft", "owner_id", id_text(&b->a.user)));
    int64_t again = raw_end(&g);
    raw_begin(&g, &b->a, "order.draft", 0, blocked);
    raw_order(&g, "SO-A1-1", &bad, &(raw_order_texts){"1", "1", "draft", "account"});
    int64_t order_again = raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, again).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, order_again).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void reference_to_nowhere_is_named(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    fb_id nobody = id_make(&b->a.ids, b->w.now_ms);
    raw_begin(&g, &b->a, "visit.add", 0, 0);
    raw_visit(&g, &nobody);
    int64_t n = raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, n).error, FB_E_REFERENCE);
    assert_true(text_is(raw_verdict(&r, n).field, "visit.customer_id"));
    raw_reply_clear(&r);
}

static void same_customer_twice_becomes_an_alias(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    char text[256];
    raw_begin(&g, &b->a, "customer.add", 0, 0);
    fb_id first =
        raw_insert(&g, "customer",
                   PAIRS("code", "N1", "name", "Green Shop", "phone", "+861390000001", "status",
                         "draft", "territory_id", id_text(&b->w.territories[0])));
    raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    raw_begin(&g, &b->b, "customer.add", 0, 0);
    fb_id second =
        raw_insert(&g, "customer",
                   PAIRS("code", "N2", "name", "GREEN  shop", "phone", "+861390000001", "status",
                         "draft", "territory_id", id_text(&b->w.territories[0])));
    fb_id contact = raw_insert(&g, "contact", PAIRS("customer_id", id_text(&second), "name", "Li"));
    int64_t n = raw_end(&g);
    raw_begin(&g, &b->b, "visit.add", 0, 0);
    fb_id visit = raw_visit(&g, &second);
    int64_t later = raw_end(&g);
    raw_exchange(&b->b, &r);
    verdict_msg v = raw_verdict(&r, n);
    assert_int_equal(v.code, VERDICT_ALIAS);
    assert_int_equal(v.aliases_count, 1);
    assert_true(text_is(v.aliases[0].from, id_text(&second)));
    assert_true(text_is(v.aliases[0].to, id_text(&first)));
    assert_int_equal(raw_verdict(&r, later).code, VERDICT_APPLIED);
    assert_true(raw_verdict(&r, later).echo);
    assert_true(raw_page_has(&r, &contact));
    raw_server_text(&b->w, "visit", &visit, "customer_id", text);
    assert_string_equal(text, id_text(&first));
    raw_reply_clear(&r);
}

static void work_outside_the_territory_is_held(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    raw_begin(&g, &b->a, "visit.add", 0, 0);
    raw_visit(&g, &b->w.customers[1]);
    int64_t insert = raw_end(&g);
    int64_t update = push_phone(&b->a, &b->w.customers[1], 0, 0, "x", "+861380000001");
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, insert).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, insert).error, FB_E_SCOPE);
    assert_int_equal(raw_verdict(&r, update).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, update).row.size, 0); /* nothing of the row is told */
    raw_reply_clear(&r);
}

static void work_captured_before_the_customer_moved_stands(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    raw_begin(&g, &b->a, "visit.add", 0, 0);
    raw_visit(&g, &b->w.customers[0]);
    int64_t n = raw_end(&g);
    b->w.now_ms += 3600000;
    company_set(&b->w.company, "customer", &b->w.customers[0],
                PAIRS("territory_id", id_text(&b->w.territories[1])));
    b->w.now_ms += 3600000;
    raw_begin(&g, &b->a, "visit.add", 0, 0);
    raw_visit(&g, &b->w.customers[0]);
    int64_t after = raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, n).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, after).code, VERDICT_HELD);
    raw_reply_clear(&r);
}

static void one_open_visit_at_a_time(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    char at[24];
    fb_id visits[2];
    snprintf(at, sizeof at, "%lld", (long long)b->w.now_ms);
    for (int i = 0; i < 2; i++) {
        raw_begin(&g, &b->a, "visit.open", 0, 0);
        visits[i] = raw_insert(&g, "visit",
                               PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                     id_text(&b->a.user), "visit_date", "2025-10-09", "check_in_at",
                                     at, "status", "open"));
        raw_end(&g);
    }
    raw_begin(&g, &b->a, "visit.close", 0, 0);
    raw_update(&g, "visit", &visits[0], 0,
               PAIRS("check_out_at", "", "1", "status", "open", "completed"));
    int64_t backwards = raw_end(&g);
    raw_begin(&g, &b->a, "visit.close", 0, 0);
    raw_update(&g, "visit", &visits[0], 0,
               PAIRS("check_out_at", "", at, "status", "open", "completed"));
    int64_t close = raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, 2).error, FB_E_VISIT_OPEN);
    assert_int_equal(raw_verdict(&r, backwards).error, FB_E_INVALID);
    assert_int_equal(raw_verdict(&r, close).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void allocations_never_exceed_the_payment(void **state)
{
    static const struct {
        const char *amount;
        fb_code error;
    } parts[] = {{"600", FB_OK}, {"500", FB_E_OVERPAID}, {"400", FB_OK}};
    bench *b = *state;
    raw_group g;
    raw_reply r;
    char at[24];
    snprintf(at, sizeof at, "%lld", (long long)b->w.now_ms);
    raw_begin(&g, &b->a, "payment.record", 0, 0);
    fb_id payment =
        raw_insert(&g, "payment",
                   PAIRS("payment_no", "PM-A1-1", "customer_id", id_text(&b->w.customers[0]),
                         "collected_by", id_text(&b->a.user), "method", "cash", "amount", "1000",
                         "payment_date", "2025-10-09", "received_at", at));
    raw_end(&g);
    for (int i = 0; i < 3; i++) {
        raw_begin(&g, &b->a, "payment.allocate", 0, 0);
        raw_insert(&g, "payment_allocation",
                   PAIRS("payment_id", id_text(&payment), "amount", parts[i].amount));
        raw_end(&g);
    }
    raw_exchange(&b->a, &r);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(raw_verdict(&r, i + 2).error, parts[i].error);
    }
    raw_reply_clear(&r);
}

static void approved_request_changes_its_customer(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_device manager;
    raw_group g;
    raw_reply r;
    char text[256];
    raw_begin(&g, &b->a, "customer.propose", 0, 0);
    fb_id request =
        raw_insert(&g, "change_request",
                   PAIRS("target_entity", "customer", "target_id", id_text(&w->customers[0]),
                         "customer_id", id_text(&w->customers[0]), "diff_json",
                         "{\"name\":{\"base\":\"C1\",\"mine\":\"Corner Shop\"},\"grade\":\"A\"}",
                         "requested_by", id_text(&b->a.user), "status", "submitted"));
    raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    raw_enrol(w, &manager, &w->manager, 4);
    raw_begin(&g, &manager, "request.approve", 0, 0);
    raw_update(&g, "change_request", &request, raw_server_ver(w, "change_request", &request),
               PAIRS("status", "submitted", "approved"));
    raw_end(&g);
    raw_exchange(&manager, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_true(raw_verdict(&r, 1).echo);
    raw_reply_clear(&r);
    raw_server_text(w, "customer", &w->customers[0], "name", text);
    assert_string_equal(text, "Corner Shop");
    raw_server_text(w, "customer", &w->customers[0], "grade", text);
    assert_string_equal(text, "A");
    raw_server_text(w, "change_request", &request, "decided_by", text);
    assert_string_equal(text, id_text(&w->manager));
    raw_device_clear(&manager);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(applied_group_is_a_short_line_and_stays_out_of_the_own_page),
        CASE(groups_behind_one_that_replaces_have_their_own_commits),
        CASE(orders_are_checked_with_the_servers_prices),
        CASE(order_over_the_limit_is_held_until_the_manager_decides),
        CASE(later_write_wins_and_the_loser_is_kept),
        CASE(decided_conflict_writes_its_value),
        CASE(clock_in_the_future_gains_nothing),
        CASE(own_chain_of_changes_is_plain),
        CASE(refused_updates_name_field_and_row),
        CASE(rejected_customer_blocks_its_order_and_nothing_else),
        CASE(reference_to_nowhere_is_named),
        CASE(same_customer_twice_becomes_an_alias),
        CASE(work_outside_the_territory_is_held),
        CASE(work_captured_before_the_customer_moved_stands),
        CASE(one_open_visit_at_a_time),
        CASE(allocations_never_exceed_the_payment),
        CASE(approved_request_changes_its_customer),
    };
    return cmocka_run_group_tests_name("server_handle", tests, NULL, NULL);
}
