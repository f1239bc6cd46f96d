/* test_earlier_catalogue.c - a server that goes on with the catalogue of an earlier release (its
 * company took a name that the new one needs): what the rules of today would write beside a verdict
 * has no place there, and everything else works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "support/raw_trial.h"
#include "support/raw_work.h"
#include "sync-server/intake/verdict_rows.h"

#include <cmocka.h>

typedef struct bench {
    raw_world w;
    raw_device a, b; /* of users 0 and 2: the same territory */
    char *catalog;
} bench;

/* An entity of the built-in catalogue that is not there, or one column of it. */
typedef struct absent {
    const char *entity, *column;
} absent;

static bool is_named(const cJSON *item, const char *key, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(item, key));
    return value != NULL && strcmp(value, name) == 0;
}

/* What names the column goes with it: states, scopes (everybody sees the rows then), indexes. */
static void column_take(cJSON *entity, const char *column)
{
    cJSON *columns = cJSON_GetObjectItem(entity, "columns"), *item = NULL;
    cJSON *states = cJSON_GetObjectItem(entity, "states");
    bool scoped = false;
    for (int i = cJSON_GetArraySize(columns) - 1; i >= 0; i--) {
        if (is_named(cJSON_GetArrayItem(columns, i), "name", column)) {
            cJSON_DeleteItemFromArray(columns, i);
        }
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(entity, "scope"))
    {
        scoped = scoped || is_named(item, "column", column);
    }
    if (scoped) {
        cJSON_ReplaceItemInObject(entity, "scope", cJSON_Parse("[{\"by\":\"global\"}]"));
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(states, "transitions"))
    {
        if (is_named(item, "requires", column)) {
            cJSON_DeleteItemFromObject(item, "requires");
        }
    }
    if (is_named(states, "column", column)) {
        cJSON_DeleteItemFromObject(entity, "states");
    }
    cJSON_DeleteItemFromObject(entity, "indexes");
    cJSON_DeleteItemFromObject(entity, "server_indexes");
}

static char *release_without(const absent *list, size_t count)
{
    cJSON *root = cJSON_ParseWithLength(catalog_builtin_text().data, catalog_builtin_text().size);
    cJSON *module = NULL;
    cJSON_ArrayForEach(module, cJSON_GetObjectItem(root, "modules"))
    {
        cJSON *entities = cJSON_GetObjectItem(module, "entities");
        for (size_t n = 0; n < count; n++) {
            for (int i = cJSON_GetArraySize(entities) - 1; i >= 0; i--) {
                cJSON *e = cJSON_GetArrayItem(entities, i);
                bool named = is_named(e, "name", list[n].entity);
                if (named && list[n].column == NULL) {
                    cJSON_DeleteItemFromArray(entities, i);
                } else if (named) {
                    column_take(e, list[n].column);
                }
            }
        }
    }
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static bench *bench_open(const absent *list, size_t count)
{
    static bench b;
    raw_reply r;
    b.catalog = release_without(list, count);
    b.w.catalog = (fb_text){b.catalog, strlen(b.catalog)};
    raw_world_open(&b.w);
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_exchange(&b.a, &r);
    raw_reply_clear(&r);
    raw_exchange(&b.b, &r);
    raw_reply_clear(&r);
    return &b;
}

/* Without rows for held groups, for conflicts and for who was erased. */
static int setup(void **state)
{
    static const absent LIST[] = {{"held_group", NULL}, {"conflict", NULL}, {"erasure", NULL}};
    bench *b = bench_open(LIST, 3);
    b->w.trial = raw_trial;
    assert_null(catalog_entity_str(store_catalog(b->w.admin), "held_group"));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_world_close(&b->w);
    free(b->catalog);
    return 0;
}

static fb_code decide_held(bench *b, int64_t gseq, bool accept)
{
    intake in = {.db = b->w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    const intake_decision how = {
        .device = b->a.id, .gseq = gseq, .now_ms = b->w.now_ms, .accept = accept};
    int64_t head = 0;
    if (b->w.trial != NULL) {
        raw_trial_held(&b->w, &how);
    }
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(ledger_head(b->w.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, b->w.admin, head, b->w.now_ms), FB_OK);
    fb_code rc = intake_held_decide(&in, &how);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    decide_cache_free(in.cache);
    arena_free(in.work);
    return rc;
}

/* Held, refused, replaced, accepted: the device hears each, by a commit of its own. */
static void held_groups_are_decided_without_a_row_for_them(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_id order[3];
    company_add(&b->w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "user", "target_id",
                      id_text(&b->a.user), "value", "12000"));
    raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order[0]);
    int64_t first = raw_push_order(&b->a, "SO-A1-2", &RAW_GOOD, 0, &order[1]);
    int64_t second = raw_push_order(&b->a, "SO-A1-3", &RAW_GOOD, 0, &order[2]);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, first).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, second).code, VERDICT_HELD);
    raw_reply_clear(&r);
    assert_int_equal(decide_held(b, first, false), FB_OK);
    server_tick(b->w.srv, (uint64_t)b->w.now_ms);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, first).code, VERDICT_REJECTED);
    assert_false(raw_page_has(&r, &order[1]));
    raw_reply_clear(&r);
    /* What replaces the other one is held too, and that one is no longer open. */
    int64_t third = raw_push_order(&b->a, "SO-A1-4", &RAW_GOOD, second, &order[1]);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, third).code, VERDICT_HELD);
    raw_reply_clear(&r);
    assert_int_equal(decide_held(b, third, true), FB_OK);
    server_tick(b->w.srv, (uint64_t)b->w.now_ms);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, third).code, VERDICT_APPLIED);
    assert_true(raw_page_has(&r, &order[1]));
    raw_reply_clear(&r);
}

/* Both numbers cannot stand; the one that lost is in the verdict, if nowhere else. */
static void merge_needs_no_row_for_what_was_lost(void **state)
{
    bench *b = *state;
    raw_reply r;
    raw_group g;
    raw_device *both[] = {&b->a, &b->b};
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    for (int i = 0; i < 2; i++) {
        raw_begin(&g, both[i], "customer.change", 0, 0);
        raw_update(&g, "customer", &b->w.customers[0], ver,
                   PAIRS("phone", "+861381234567", i == 0 ? "+8613800000001" : "+8613800000002"));
        raw_end(&g);
        raw_exchange(both[i], &r);
        verdict_msg v = raw_verdict(&r, both[i]->last);
        assert_int_equal(v.code, i == 0 ? VERDICT_APPLIED : VERDICT_MERGED);
        assert_int_equal(v.columns_count, i);
        raw_reply_clear(&r);
    }
}

/* ---- what a company's own catalogue has not ---- */

static int setup_bare(void **state)
{
    static const absent LIST[] = {{"held_group", NULL},
                                  {"price_assignment", NULL},
                                  {"payment_allocation", "payment_id"},
                                  {"customer", "licence_no"},
                                  {"conflict", "state"},
                                  {"device", "last_seen_at"}};
    *state = bench_open(LIST, sizeof LIST / sizeof LIST[0]);
    return 0;
}

static int setup_no_winner(void **state)
{
    static const absent LIST[] = {{"conflict", "winner"}};
    *state = bench_open(LIST, 1);
    return 0;
}

static verdict_code verdict_got(raw_device *d, int64_t gseq)
{
    raw_reply r;
    int status = 0;
    for (int i = 0; status != 200 && i < 5; i++) { /* a group that fails three times is held */
        raw_sync(d, &r);
        status = r.status;
        raw_reply_clear(&r);
    }
    raw_exchange(d, &r); /* asked again it is the same */
    verdict_code code = raw_verdict(&r, gseq).code;
    raw_reply_clear(&r);
    return code;
}

/* An order that cannot be priced waits for a person; its decision cannot be told without the column
 * that is touched for it, and that is said. */
static void order_that_cannot_be_judged_is_held(void **state)
{
    bench *b = *state;
    fb_id order;
    int64_t gseq = raw_push_order(&b->a, "SO-A1-1", &RAW_GOOD, 0, &order);
    assert_int_equal(verdict_got(&b->a, gseq), VERDICT_HELD);
    assert_int_equal(decide_held(b, gseq, false), FB_E_CATALOG);
}

/* Rules are about columns: where those are not there, rows are rows like any others. */
static void rule_without_its_column_is_none(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->a, "payment.allocate", 0, 0);
    raw_insert(&g, "payment_allocation",
               PAIRS("invoice_no", "I-1", "amount", "100", "at", "1760000000000"));
    raw_end(&g);
    assert_int_equal(verdict_got(&b->a, b->a.last), VERDICT_APPLIED);
    raw_begin(&g, &b->a, "customer.new", 0, 0);
    raw_insert(&g, "customer",
               PAIRS("code", "N1", "name", "New", "status", "draft", "territory_id",
                     id_text(&b->w.territories[0])));
    raw_end(&g);
    assert_int_equal(verdict_got(&b->a, b->a.last), VERDICT_APPLIED);
    fb_id conflict =
        company_add(&b->w.company, "conflict",
                    PAIRS("entity", "customer", "entity_id", id_text(&b->w.customers[0]), "field",
                          "phone", "customer_id", id_text(&b->w.customers[0])));
    raw_begin(&g, &b->a, "conflict.decide", 0, 0);
    raw_update(&g, "conflict", &conflict, raw_server_ver(&b->w, "conflict", &conflict),
               PAIRS("winner", "", "mine"));
    raw_end(&g);
    assert_int_equal(verdict_got(&b->a, b->a.last), VERDICT_APPLIED);
}

/* Who does not say which value stands has decided nothing. */
static void conflict_without_a_winner_is_not_decided(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id conflict =
        company_add(&b->w.company, "conflict",
                    PAIRS("entity", "customer", "entity_id", id_text(&b->w.customers[0]), "field",
                          "phone", "customer_id", id_text(&b->w.customers[0]), "state", "open"));
    raw_begin(&g, &b->a, "conflict.decide", 0, 0);
    raw_update(&g, "conflict", &conflict, raw_server_ver(&b->w, "conflict", &conflict),
               PAIRS("state", "open", "decided"));
    raw_end(&g);
    assert_int_equal(verdict_got(&b->a, b->a.last), VERDICT_REJECTED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(held_groups_are_decided_without_a_row_for_them),
        CASE(merge_needs_no_row_for_what_was_lost),
        cmocka_unit_test_setup_teardown(order_that_cannot_be_judged_is_held, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(rule_without_its_column_is_none, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(conflict_without_a_winner_is_not_decided, setup_no_winner,
                                        teardown),
    };
    return cmocka_run_group_tests_name("earlier_catalogue", tests, NULL, NULL);
}
