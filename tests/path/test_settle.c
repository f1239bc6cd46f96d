/* test_settle.c - the value that lost a merge: seen by both people and the manager, settled on a
 * device or by fieldbook-admin, each time a commit that everybody gets.
 *
 * Method: raw devices over a real file, so that the program can work on it beside the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/raw_device.h"
#include "support/raw_trial.h"
#include "sync-server/door/door.h"

#include <cmocka.h>

static const char MODULE[] =
    "{\"module\":\"acme\",\"entities\":[{\"name\":\"crate_check\",\"label\":{\"en\":"
    "\"Crates\",\"zh\":\"箱\"},\"class\":\"fact\",\"scope\":[{\"by\":\"parent\",\"column\":"
    "\"customer_id\"}],\"columns\":[{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\","
    "\"required\":true,\"label\":{\"en\":\"Customer\",\"zh\":\"客户\"}}],\"grants\":{\"REP\":"
    "\"cr\"}}],"
    "\"extend\":[{\"entity\":\"customer\",\"columns\":[{"
    "\"name\":\"note_by_hand\",\"type\":\"text\",\"max\":40,\"policy\":\"MAN\",\"label\":{\"en\":"
    "\"Note\",\"zh\":\"备注\"}},{\"name\":\"crates\",\"type\":\"int32\",\"policy\":\"MAN\","
    "\"label\":{\"en\":\"Crates\",\"zh\":\"箱数\"}}]}]}";

typedef struct bench {
    raw_world w;
    raw_device a, b, m; /* two people of a territory, and their manager */
} bench;

static void hear(raw_device *d)
{
    raw_reply r;
    raw_exchange(d, &r);
    assert_int_equal(r.status, 200);
    raw_reply_clear(&r);
}

static int setup(void **state)
{
    static bench b;
    fb_error err = {0};
    raw_world_open(&b.w);
    b.w.trial = raw_trial;
    if (door_catalog_grow(b.w.admin, text_of(MODULE), &b.w.port, &err) != FB_OK) {
        print_error("%s: %s\n", err.field, err.message);
        return 1;
    }
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_enrol(&b.w, &b.m, &b.w.manager, 3);
    hear(&b.a);
    hear(&b.b);
    hear(&b.m);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_device_clear(&b->m);
    raw_world_close(&b->w);
    return 0;
}

static void edit(raw_device *d, int64_t ver, const char *column, const char *base, const char *mine)
{
    raw_group g;
    raw_begin(&g, d, "customer.edit", 0, 0);
    raw_update(&g, "customer", &d->w->customers[0], ver, PAIRS(column, base, mine));
    raw_end(&g);
}

/* a was first, b comes with the same base: theirs stands, a person is asked. */
static fb_id conflict_make(bench *b, const char *column, const char *first, const char *second)
{
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "conflict");
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    arena *memory = arena_new(1 << 20);
    fb_value row[CATALOG_COLUMNS_LIMIT];
    raw_reply r;
    edit(&b->a, ver, column, "", first);
    hear(&b->a);
    edit(&b->b, ver, column, "", second);
    raw_exchange(&b->b, &r);
    assert_int_equal(raw_verdict(&r, b->b.last).code, VERDICT_MERGED);
    raw_reply_clear(&r);
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of(second)};
    assert_int_equal(store_row_by(b->w.admin, e, cat_column_str(e, "mine"), &equal, memory, row),
                     FB_OK);
    fb_id id = row[0].u.id;
    arena_free(memory);
    return id;
}

static void says(bench *b, const fb_id *conflict, const char *column, const char *text)
{
    char room[256];
    raw_server_text(&b->w, "conflict", conflict, column, room);
    assert_string_equal(room, text);
}

static void customer_says(bench *b, const char *column, const char *text)
{
    char room[256];
    raw_server_text(&b->w, "customer", &b->w.customers[0], column, room);
    assert_string_equal(room, text);
}

/* Everybody concerned has both rows in the next page: the record and the conflict. */
static void all_get(bench *b, const fb_id *conflict, bool customer_too)
{
    raw_device *all[] = {&b->a, &b->b, &b->m};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        raw_reply r;
        raw_exchange(all[i], &r);
        assert_true(raw_page_has(&r, conflict));
        assert_true(!customer_too || raw_page_has(&r, &b->w.customers[0]));
        raw_reply_clear(&r);
    }
}

/* fieldbook-admin conflict settle ID `how`. */
static int settle(bench *b, const fb_id *id, const char *how)
{
    char line[600];
    snprintf(line, sizeof line,
             FB_BINARY_DIR "/fieldbook-admin --home %s conflict settle %s %s >%s/out 2>&1",
             b->w.folder, id_text(id), how, b->w.folder);
    int status = system(line);
    snprintf(line, sizeof line, "%s/out", b->w.folder);
    (void)remove(line);
    server_tick(b->w.srv, (uint64_t)b->w.now_ms);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void lost_value_is_seen_by_both_and_the_manager(void **state)
{
    bench *b = *state;
    fb_id c = conflict_make(b, "note_by_hand", "ring twice", "use the back door");
    char other[FB_ID_TEXT_BYTES], mine[FB_ID_TEXT_BYTES];
    id_put(&b->a.user, other);
    id_put(&b->b.user, mine);
    says(b, &c, "state", "open");
    says(b, &c, "base", "");
    says(b, &c, "mine", "use the back door");
    says(b, &c, "theirs", "ring twice");
    says(b, &c, "policy", "MAN");
    says(b, &c, "user_id", mine);
    says(b, &c, "other_user_id", other);
    customer_says(b, "note_by_hand", "ring twice");
    raw_device *others[] = {&b->a, &b->m};
    for (size_t i = 0; i < 2; i++) {
        raw_reply r;
        raw_exchange(others[i], &r);
        assert_true(raw_page_has(&r, &c));
        raw_reply_clear(&r);
    }
}

static void settlement_on_a_device_is_a_group_like_any_other(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    char by[FB_ID_TEXT_BYTES];
    fb_id c = conflict_make(b, "note_by_hand", "ring twice", "use the back door");
    hear(&b->a);
    hear(&b->m);
    raw_begin(&g, &b->a, "conflict.settle", 0, 0); /* the one who had won gives in */
    raw_update(&g, "conflict", &c, raw_server_ver(&b->w, "conflict", &c),
               PAIRS("winner", "", "mine", "state", "open", "resolved", "reason", "", "she asked"));
    raw_end(&g);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, b->a.last).code, VERDICT_APPLIED);
    assert_true(raw_verdict(&r, b->a.last).echo);
    assert_true(raw_page_has(&r, &c) && raw_page_has(&r, &b->w.customers[0]));
    raw_reply_clear(&r);
    customer_says(b, "note_by_hand", "use the back door");
    id_put(&b->a.user, by);
    says(b, &c, "state", "resolved");
    says(b, &c, "resolved_by", by);
    says(b, &c, "reason", "she asked");
    says(b, &c, "theirs", "ring twice"); /* nothing of the record goes */
    raw_exchange(&b->m, &r);
    assert_true(raw_page_has(&r, &c) && raw_page_has(&r, &b->w.customers[0]));
    raw_reply_clear(&r);
}

/* Somebody else changed the field before the settlement arrived: the choice stands, and what it
 * took the place of is kept for both, with who and when. */
static void settlement_over_a_value_nobody_saw_keeps_it(void **state)
{
    bench *b = *state;
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "conflict");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    raw_group g;
    raw_reply r;
    char who[FB_ID_TEXT_BYTES];
    fb_id c = conflict_make(b, "note_by_hand", "ring twice", "use the back door");
    hear(&b->a);
    hear(&b->m);
    raw_begin(&g, &b->a, "conflict.settle", 0, 0);
    raw_update(&g, "conflict", &c, raw_server_ver(&b->w, "conflict", &c),
               PAIRS("winner", "", "mine", "state", "open", "resolved", "reason", "", "she asked"));
    raw_end(&g); /* offline */
    edit(&b->m, raw_server_ver(&b->w, "customer", &b->w.customers[0]), "note_by_hand", "ring twice",
         "closed on Mondays");
    hear(&b->m);
    customer_says(b, "note_by_hand", "closed on Mondays");
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, b->a.last).code, VERDICT_MERGED);
    raw_reply_clear(&r);
    customer_says(b, "note_by_hand", "use the back door");
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of("closed on Mondays")};
    assert_int_equal(store_row_by(b->w.admin, e, cat_column_str(e, "theirs"), &equal, memory, row),
                     FB_OK);
    fb_id kept = row[0].u.id;
    arena_free(memory);
    says(b, &kept, "base", "ring twice");
    says(b, &kept, "mine", "use the back door");
    id_put(&b->m.user, who);
    says(b, &kept, "other_user_id", who);
    hear(&b->b);
    hear(&b->m);
    /* Nothing more is kept where the record says what stands. */
    raw_begin(&g, &b->m, "conflict.settle", 0, 0);
    raw_update(&g, "conflict", &kept, raw_server_ver(&b->w, "conflict", &kept),
               PAIRS("winner", "", "theirs", "state", "open", "resolved"));
    raw_end(&g);
    raw_exchange(&b->m, &r);
    assert_int_equal(raw_verdict(&r, b->m.last).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
    customer_says(b, "note_by_hand", "closed on Mondays");
}

static void settlement_by_the_administrator_reaches_everybody(void **state)
{
    bench *b = *state;
    fb_id c = conflict_make(b, "note_by_hand", "ring twice", "use the back door");
    hear(&b->a);
    hear(&b->m);
    int64_t head = server_head(b->w.srv);
    assert_int_equal(settle(b, &c, "mine --reason 'asked them'"), 0);
    assert_int_equal(server_head(b->w.srv), head + 1); /* one commit */
    customer_says(b, "note_by_hand", "use the back door");
    says(b, &c, "winner", "mine");
    says(b, &c, "state", "resolved");
    says(b, &c, "reason", "asked them");
    all_get(b, &c, true);
    assert_int_equal(settle(b, &c, "theirs --reason again"), 4);
    customer_says(b, "note_by_hand", "use the back door");
    int64_t entries = 0, bad = 0;
    assert_int_equal(audit_verify(b->w.admin, &entries, &bad), FB_OK);
    assert_int_equal(bad, 0);
}

static void administrator_is_told_of_a_value_that_is_new(void **state)
{
    bench *b = *state;
    fb_id c = conflict_make(b, "note_by_hand", "ring twice", "use the back door");
    hear(&b->m);
    edit(&b->m, raw_server_ver(&b->w, "customer", &b->w.customers[0]), "note_by_hand", "ring twice",
         "closed on Mondays");
    hear(&b->m);
    assert_int_equal(settle(b, &c, "mine --reason 'asked them'"), 4);
    customer_says(b, "note_by_hand", "closed on Mondays");
    says(b, &c, "state", "open");
    assert_int_equal(settle(b, &c, "value --value 'ring twice' --reason 'asked them all'"), 0);
    customer_says(b, "note_by_hand", "ring twice");
}

/* No value is one too: only that nobody typed one says nothing. */
static void field_that_was_emptied_since_is_news(void **state)
{
    bench *b = *state;
    fb_id c = conflict_make(b, "note_by_hand", "ring twice", "use the back door");
    company_set(&b->w.company, "conflict", &c, PAIRS("base", "as it was"));
    hear(&b->m);
    edit(&b->m, raw_server_ver(&b->w, "customer", &b->w.customers[0]), "note_by_hand", "ring twice",
         "");
    hear(&b->m);
    customer_says(b, "note_by_hand", "");
    assert_int_equal(settle(b, &c, "mine --reason 'asked them'"), 4);
    customer_says(b, "note_by_hand", "");
}

static void settlement_takes_a_value_of_its_own_and_checks_it(void **state)
{
    bench *b = *state;
    fb_id c = conflict_make(b, "crates", "4", "6");
    int64_t head = server_head(b->w.srv);
    static const char *const WRONG[] = {
        "value --value many --reason counted",
        "value --reason counted",
        "mine --value 5 --reason counted",
        "somebody --reason counted",
        "mine",
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        assert_int_not_equal(settle(b, &c, WRONG[i]), 0);
        assert_int_equal(server_head(b->w.srv), head);
    }
    assert_int_equal(settle(b, &c, "value --value 5 --reason counted"), 0);
    customer_says(b, "crates", "5");
    says(b, &c, "winner", "person");
    says(b, &c, "resolved_value", "5");
    fb_id d = conflict_make(b, "note_by_hand", "x", "y");
    assert_int_equal(settle(b, &d, "base --reason neither"), 0);
    customer_says(b, "note_by_hand", ""); /* there was none before */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lost_value_is_seen_by_both_and_the_manager),
        CASE(settlement_on_a_device_is_a_group_like_any_other),
        CASE(settlement_over_a_value_nobody_saw_keeps_it),
        CASE(settlement_by_the_administrator_reaches_everybody),
        CASE(administrator_is_told_of_a_value_that_is_new),
        CASE(field_that_was_emptied_since_is_news),
        CASE(settlement_takes_a_value_of_its_own_and_checks_it),
    };
    return cmocka_run_group_tests_name("settle", tests, NULL, NULL);
}
