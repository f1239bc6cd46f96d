/* test_server_handle.c - requests through server_handle: verdicts of every kind, repeats, forks, pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/raw_device.h"
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

/* A completed visit of the device's user at the customer. */
static fb_id add_visit(raw_group *g, const fb_id *customer)
{
    char at[24], out[24];
    snprintf(at, sizeof at, "%lld", (long long)g->d->w->now_ms - 60000);
    snprintf(out, sizeof out, "%lld", (long long)g->d->w->now_ms - 1000);
    return raw_insert(g, "visit", PAIRS("customer_id", id_text(customer), "user_id", id_text(&g->d->user),
                                        "visit_date", "2025-10-09", "check_in_at", at, "check_out_at", out,
                                        "status", "completed"));
}

/* Ten pieces at 10.00, 13 % on top: 100.00 + 13.00. */
typedef struct order_texts {
    const char *price, *total, *status, *term;
} order_texts;
static const order_texts GOOD = {"100000", "11300", "submitted", "account"};

static fb_id add_order(raw_group *g, const char *no, const fb_id *customer, const order_texts *t)
{
    raw_world *w = g->d->w;
    fb_id order = raw_insert(g, "sales_order",
                             PAIRS("order_no", no, "customer_id", id_text(customer), "user_id", id_text(&g->d->user),
                                   "order_date", "2025-10-09", "subtotal", "10000", "tax", "1300", "total", t->total,
                                   "payment_term", t->term, "status", t->status));
    raw_insert(g, "sales_order_line",
               PAIRS("order_id", id_text(&order), "line_no", "1", "product_id", id_text(&w->product), "uom", "EA",
                     "qty_milli", "10000", "base_qty_milli", "10000", "unit_price_4dp", t->price, "list_price_4dp",
                     t->price, "tax_code_id", id_text(&w->tax), "net", "10000", "tax", "1300", "gross", "11300"));
    return order;
}

static int64_t push_order(raw_device *d, const char *no, const order_texts *t, int64_t replaces, fb_id *order)
{
    raw_group g;
    raw_begin(&g, d, "order.submit", 0, replaces);
    add_visit(&g, &d->w->customers[0]);
    *order = add_order(&g, no, &d->w->customers[0], t);
    return raw_end(&g);
}

static int64_t push_phone(raw_device *d, const fb_id *customer, int64_t at_ms, int64_t ver, const char *base,
                          const char *mine)
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
    int64_t g = push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
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

static void page_holds_nothing_outside_the_scopes(void **state)
{
    bench *b = *state;
    raw_device other;
    raw_reply r;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    raw_enrol(&b->w, &other, &b->w.users[1], 3);
    raw_exchange(&other, &r);
    assert_true(r.complete);
    assert_true(raw_page_has(&r, &b->w.customers[1]));
    assert_false(raw_page_has(&r, &b->w.customers[0]));
    assert_false(raw_page_has(&r, &order));
    raw_reply_clear(&r);
    raw_device_clear(&other);
}

static void repeated_request_gets_the_same_verdicts(void **state)
{
    bench *b = *state;
    raw_reply first, second;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    push_order(&b->a, "SO-A1-2", &(order_texts){"99999", "11300", "submitted", "account"}, 0, &order);
    push_order(&b->a, "SO-A1-3", &GOOD, 0, &order);
    raw_sync(&b->a, &first);
    int64_t head = server_head(b->w.srv);
    raw_sync(&b->a, &second);
    assert_int_equal(server_head(b->w.srv), head); /* nothing was done twice */
    assert_int_equal(first.items_count, 3);
    assert_int_equal(first.verdicts.size, second.verdicts.size);
    assert_memory_equal(first.verdicts.data, second.verdicts.data, first.verdicts.size);
    raw_reply_clear(&first);
    /* A shorter repeat does not reach what was applied: known by its marks. */
    sync_request q = raw_request(&b->a);
    q.groups_count = 1;
    raw_sync_with(&b->a, &q, &first);
    assert_int_equal(first.status, 200);
    assert_memory_equal(first.verdicts.data, second.verdicts.data, first.verdicts.size);
    raw_reply_clear(&first);
    raw_reply_clear(&second);
}

/* One order each; what the server says to it. */
static const struct {
    const char *what;
    order_texts order;
    verdict_code code;
    fb_code error;
    const char *field;
} ORDERS[] = {
    {"the list's price", {"100000", "11300", "submitted", "account"}, VERDICT_APPLIED, FB_OK, ""},
    {"another price", {"99999", "11300", "submitted", "account"}, VERDICT_REJECTED, FB_E_PRICE,
     "sales_order_line[1].unit_price_4dp"},
    {"a wrong total", {"100000", "11301", "submitted", "account"}, VERDICT_REJECTED, FB_E_TOTALS,
     "sales_order.total"},
    {"a draft is not asked", {"99999", "1", "draft", "account"}, VERDICT_APPLIED, FB_OK, ""},
    {"a state nobody starts in", {"100000", "11300", "shipped", "account"}, VERDICT_REJECTED, FB_E_STATE,
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
        int64_t g = push_order(&b->a, no, &ORDERS[i].order, 0, &order);
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
    company_add(&b->w.company, "setting", PAIRS("key", "order.credit_limit_minor", "level", "global", "value", "12000"));
    int64_t first = push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    int64_t second = push_order(&b->a, "SO-A1-2", &GOOD, 0, &other);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, first).code, VERDICT_APPLIED);
    verdict_msg v = raw_verdict(&r, second);
    assert_int_equal(v.code, VERDICT_HELD);
    assert_int_equal(v.error, FB_E_CREDIT);
    assert_true(text_is(v.who, "MGR"));
    raw_reply_clear(&r);
    intake in = {.db = b->w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    intake_decision how = {.device = b->a.id, .gseq = second, .now_ms = b->w.now_ms, .accept = true};
    int64_t head = 0;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(ledger_head(b->w.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, b->w.admin, head, b->w.now_ms), FB_OK);
    assert_int_equal(intake_held_decide(&in, &how), FB_OK);
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
    push_phone(&b->a, &w->customers[0], now + 40000, ver, text, "+861380000001"); /* earlier: loses */
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
    push_phone(&b->a, &w->customers[0], now + 60000, ver, "+861381234567", "+861380000003"); /* later: wins */
    raw_exchange(&b->a, &r);
    verdict_msg won = raw_verdict(&r, 2);
    assert_int_equal(won.code, VERDICT_MERGED);
    assert_true(won.columns[0].mine_won);
    raw_reply_clear(&r);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    assert_string_equal(text, "+861380000003");
}

static void clock_in_the_future_gains_nothing(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_reply r;
    char text[256];
    int64_t ver = raw_server_ver(w, "customer", &w->customers[0]);
    raw_server_text(w, "customer", &w->customers[0], "phone", text);
    push_phone(&b->a, &w->customers[0], w->now_ms + 70LL * 365 * 86400000, ver, text, "+861380000001");
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
    {"name", "New name", FB_E_GUARDED},
    {"grade", "A", FB_E_GUARDED},
    {"value_class", "vip", FB_E_FORBIDDEN},
    {"email", "no-at-sign", FB_E_FORMAT},
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
        raw_update(&g, "customer", &w->customers[0], raw_server_ver(w, "customer", &w->customers[0]),
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
    bad = raw_insert(&g, "customer", PAIRS("code", "N1", "name", "New", "email", "nonsense", "status", "draft",
                                           "owner_id", id_text(&b->a.user)));
    int64_t rejected = raw_end(&g);
    raw_begin(&g, &b->a, "order.draft", 0, 0);
    order = add_order(&g, "SO-A1-1", &bad, &(order_texts){"1", "1", "draft", "account"});
    int64_t blocked = raw_end(&g);
    raw_begin(&g, &b->a, "order.change", 0, 0);
    raw_update(&g, "sales_order", &order, 0, PAIRS("note", "", "hello"));
    int64_t too = raw_end(&g);
    int64_t other = push_order(&b->a, "SO-A1-2", &GOOD, 0, &fine);
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
    raw_insert_id(&g, "customer", &bad, PAIRS("code", "N1", "name", "New", "status", "draft", "owner_id",
                                              id_text(&b->a.user)));
    int64_t again = raw_end(&g);
    raw_begin(&g, &b->a, "order.draft", 0, blocked);
    add_order(&g, "SO-A1-1", &bad, &(order_texts){"1", "1", "draft", "account"});
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
    add_visit(&g, &nobody);
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
    fb_id first = raw_insert(&g, "customer", PAIRS("code", "N1", "name", "Green Shop", "phone", "+861390000001",
                                                   "status", "draft", "territory_id",
                                                   id_text(&b->w.territories[0])));
    raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    raw_begin(&g, &b->b, "customer.add", 0, 0);
    fb_id second = raw_insert(&g, "customer", PAIRS("code", "N2", "name", "GREEN  shop", "phone", "+861390000001",
                                                    "status", "draft", "territory_id",
                                                    id_text(&b->w.territories[0])));
    fb_id contact = raw_insert(&g, "contact", PAIRS("customer_id", id_text(&second), "name", "Li"));
    int64_t n = raw_end(&g);
    raw_begin(&g, &b->b, "visit.add", 0, 0);
    fb_id visit = add_visit(&g, &second);
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
    add_visit(&g, &b->w.customers[1]);
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
    add_visit(&g, &b->w.customers[0]);
    int64_t n = raw_end(&g);
    b->w.now_ms += 3600000;
    company_set(&b->w.company, "customer", &b->w.customers[0],
                PAIRS("territory_id", id_text(&b->w.territories[1])));
    b->w.now_ms += 3600000;
    raw_begin(&g, &b->a, "visit.add", 0, 0);
    add_visit(&g, &b->w.customers[0]);
    int64_t after = raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, n).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, after).code, VERDICT_HELD);
    raw_reply_clear(&r);
}

static void unreadable_group_does_not_block_the_next(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    int64_t bad = raw_line(&b->a, "{\"k\":\"x\",\"at\":\"1\",\"cv\":1,\"ops\":[[\"+\",\"no_such_entity\",[\"id\"],[]]]}");
    int64_t worse = raw_line(&b->a, "{not json");
    int64_t good = push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, bad).code, VERDICT_REJECTED);
    assert_int_equal(raw_verdict(&r, bad).error, FB_E_PROTOCOL);
    assert_int_equal(raw_verdict(&r, worse).error, FB_E_JSON);
    assert_int_equal(raw_verdict(&r, good).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void identity_used_twice_is_rejected(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    raw_begin(&g, &b->a, "order.draft", 0, 0);
    raw_insert_id(&g, "sales_order", &order, PAIRS("order_no", "SO-A1-9", "customer_id", id_text(&b->w.customers[0]),
                                                   "user_id", id_text(&b->a.user), "order_date", "2025-10-09"));
    int64_t twice = raw_end(&g);
    int64_t good = push_order(&b->a, "SO-A1-2", &GOOD, 0, &order);
    int64_t number = push_order(&b->a, "SO-A1-2", &GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, twice).error, FB_E_EXISTS);
    assert_int_equal(raw_verdict(&r, good).code, VERDICT_APPLIED);
    assert_int_equal(raw_verdict(&r, number).error, FB_E_EXISTS);
    assert_true(text_is(raw_verdict(&r, number).field, "sales_order.order_no"));
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
        visits[i] = raw_insert(&g, "visit", PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                                  id_text(&b->a.user), "visit_date", "2025-10-09", "check_in_at",
                                                  at, "status", "open"));
        raw_end(&g);
    }
    raw_begin(&g, &b->a, "visit.close", 0, 0);
    raw_update(&g, "visit", &visits[0], 0, PAIRS("check_out_at", "", "1", "status", "open", "completed"));
    int64_t backwards = raw_end(&g);
    raw_begin(&g, &b->a, "visit.close", 0, 0);
    raw_update(&g, "visit", &visits[0], 0, PAIRS("check_out_at", "", at, "status", "open", "completed"));
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
    fb_id payment = raw_insert(&g, "payment",
                               PAIRS("payment_no", "PM-A1-1", "customer_id", id_text(&b->w.customers[0]),
                                     "collected_by", id_text(&b->a.user), "method", "cash", "amount", "1000",
                                     "payment_date", "2025-10-09", "received_at", at));
    raw_end(&g);
    for (int i = 0; i < 3; i++) {
        raw_begin(&g, &b->a, "payment.allocate", 0, 0);
        raw_insert(&g, "payment_allocation", PAIRS("payment_id", id_text(&payment), "amount", parts[i].amount));
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
    fb_id request = raw_insert(&g, "change_request",
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

static void restored_device_is_told_and_loses_nothing(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order[4];
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order[0]);
    push_order(&b->a, "SO-A1-2", &(order_texts){"99999", "11300", "submitted", "account"}, 0, &order[1]);
    push_order(&b->a, "SO-A1-3", &GOOD, 0, &order[2]);
    raw_sync(&b->a, &r); /* the device never hears of it: it is restored to before */
    int64_t cid = raw_verdict(&r, 3).cid;
    raw_reply_clear(&r);
    b->a.last = 2;
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 409);
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
    b->a.last = 3;
    fb_id kept = b->a.incarnation;
    raw_incarnation(&b->a);
    push_order(&b->a, "SO-A1-4", &GOOD, 0, &order[3]);
    int64_t head = server_head(b->w.srv);
    raw_exchange(&b->a, &r);
    assert_int_equal(r.sync.applied, 4);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_APPLIED);
    assert_true(raw_verdict(&r, 1).echo);
    assert_int_equal(raw_verdict(&r, 2).error, FB_E_PRICE);
    assert_int_equal(raw_verdict(&r, 3).cid, cid);
    assert_true(raw_page_has(&r, &order[0]));
    assert_int_equal(server_head(b->w.srv), head + 1); /* only the fourth was new */
    raw_reply_clear(&r);
    sync_request q = raw_request(&b->a);
    q.incarnation = kept; /* the copy that kept the old one */
    raw_sync_with(&b->a, &q, &r);
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
}

static void chain_that_differs_is_a_fork(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    raw_exchange(&b->a, &r);
    raw_reply_clear(&r);
    b->a.chain[1].b[0] ^= 1;
    push_order(&b->a, "SO-A1-2", &GOOD, 0, &order);
    raw_sync(&b->a, &r);
    assert_int_equal(r.error, FB_E_FORK);
    raw_reply_clear(&r);
}

static void gap_is_named(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    push_order(&b->a, "SO-A1-2", &GOOD, 0, &order);
    b->a.acked = 1; /* of a verdict nobody gave */
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 409);
    assert_int_equal(r.error, FB_E_GAP);
    raw_reply_clear(&r);
}

static void other_epoch_gets_a_reset_and_no_verdicts(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    b->a.epoch.b[0] ^= 1;
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.items_count, 0);
    assert_true(r.reset);
    assert_int_equal(r.sync.applied, 0);
    raw_reply_clear(&r);
}

static void crashing_group_is_held_after_its_attempts(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order;
    push_order(&b->a, "SO-A1-1", &GOOD, 0, &order);
    push_order(&b->a, "SO-A1-2", &GOOD, 0, &order);
    /* As three crashes leave it. */
    raw_server_restart(&b->w, true);
    store_stmt *q = NULL;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    q = store_prepare(b->w.admin, STORE_intake_attempt_put);
    store_bind_id(q, 1, &b->a.id);
    store_bind_int(q, 2, 1);
    store_bind_int(q, 3, 3);
    assert_int_equal(store_run(q), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, 1).error, FB_E_POISON);
    assert_true(text_is(raw_verdict(&r, 1).who, "IT"));
    assert_int_equal(r.sync.applied, 1); /* careful: one group at a time */
    raw_reply_clear(&r);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void blocked_device_is_turned_away(void **state)
{
    bench *b = *state;
    raw_reply r;
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(door_device_block(b->w.admin, &b->a.id, b->w.now_ms), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    raw_sync(&b->a, &r);
    assert_int_equal(r.status, 403);
    assert_int_equal(r.error, FB_E_DEVICE);
    raw_reply_clear(&r);
    b->b.token.b[0] ^= 1;
    raw_sync(&b->b, &r);
    assert_int_equal(r.status, 401);
    raw_reply_clear(&r);
}

/* Requests that never reach a room. */
static const struct {
    const char *method, *path, *type, *encoding;
    int status;
} ROUTES[] = {
    {"GET", "/v1/health", "", "", 200},
    {"GET", "/v1/sync", "application/x-fieldbook", "", 405},
    {"POST", "/v2/sync", "application/x-fieldbook", "", 404},
    {"POST", "/v1/sync", "application/x-fieldbook", "", 401},
    {"POST", "/v1/enrol", "text/plain", "", 415},
    {"POST", "/v1/enrol", "application/x-fieldbook", "gzip", 415},
    {"POST", "/v1/enrol", "application/x-fieldbook", "", 400},
};

static void strange_requests_get_their_status(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        server_request q = {.method = text_of(ROUTES[i].method), .path = text_of(ROUTES[i].path),
                            .content_type = text_of(ROUTES[i].type), .content_encoding = text_of(ROUTES[i].encoding),
                            .peer = text_of("10.0.0.1"), .body = text_of("{}")};
        server_job *job = server_handle(b->w.srv, b->w.reader, &q);
        assert_int_equal(server_job_reply(job)->status, ROUTES[i].status);
        server_job_free(job);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(applied_group_is_a_short_line_and_stays_out_of_the_own_page),
        CASE(page_holds_nothing_outside_the_scopes),
        CASE(repeated_request_gets_the_same_verdicts),
        CASE(orders_are_checked_with_the_servers_prices),
        CASE(order_over_the_limit_is_held_until_the_manager_decides),
        CASE(later_write_wins_and_the_loser_is_kept),
        CASE(clock_in_the_future_gains_nothing),
        CASE(own_chain_of_changes_is_plain),
        CASE(refused_updates_name_field_and_row),
        CASE(rejected_customer_blocks_its_order_and_nothing_else),
        CASE(reference_to_nowhere_is_named),
        CASE(same_customer_twice_becomes_an_alias),
        CASE(work_outside_the_territory_is_held),
        CASE(work_captured_before_the_customer_moved_stands),
        CASE(unreadable_group_does_not_block_the_next),
        CASE(identity_used_twice_is_rejected),
        CASE(one_open_visit_at_a_time),
        CASE(allocations_never_exceed_the_payment),
        CASE(approved_request_changes_its_customer),
        CASE(restored_device_is_told_and_loses_nothing),
        CASE(chain_that_differs_is_a_fork),
        CASE(gap_is_named),
        CASE(other_epoch_gets_a_reset_and_no_verdicts),
        CASE(crashing_group_is_held_after_its_attempts),
        CASE(blocked_device_is_turned_away),
        CASE(strange_requests_get_their_status),
    };
    return cmocka_run_group_tests_name("server_handle", tests, NULL, NULL);
}
