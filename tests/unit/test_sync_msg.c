/* test_sync_msg.c - the lines of a sync body beyond the golden messages: walking lines, size of
 * the everyday reply, texts of any kind, the long catalogue line, lists that grow. */
#include "support/wire_fixture.h"

#include "schema/limits.h"
#include "wire/sync_msg.h"

static arena *scratch;

static int setup(void **state)
{
    (void)state;
    scratch = arena_new(32 << 20);
    return scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(scratch);
    return 0;
}

static void lines__are_walked_to_the_end(void **state)
{
    (void)state;
    line_reader l;
    fb_text line;
    line_reader_init(&l, T("a\nbc\n{}\n"));
    assert_true(line_next(&l, &line));
    assert_text_is(line, "a");
    assert_true(line_next(&l, &line));
    assert_text_is(line, "bc");
    assert_true(line_next(&l, &line));
    assert_text_is(line, "{}");
    assert_false(line_next(&l, &line));
    assert_null(line.data);
    assert_int_equal(l.code, FB_OK);
    line_reader_init(&l, (fb_text){NULL, 0});
    assert_false(line_next(&l, &line));
    assert_int_equal(l.code, FB_OK);
}

static fb_code lines_code(fb_text body, int *count)
{
    line_reader l;
    fb_text line;
    *count = 0;
    line_reader_init(&l, body);
    while (line_next(&l, &line)) {
        (*count)++;
    }
    assert_false(line_next(&l, &line)); /* a failure stays */
    return l.code;
}

static void lines__cut_or_empty_ones_are_refused(void **state)
{
    (void)state;
    int count;
    assert_int_equal(lines_code(T("a\nb"), &count), FB_E_TRUNCATED);
    assert_int_equal(count, 1);
    assert_int_equal(lines_code(T("a\n\nb\n"), &count), FB_E_PROTOCOL);
    assert_int_equal(count, 1);
    assert_int_equal(lines_code(T("\n"), &count), FB_E_PROTOCOL);
}

static void lines__have_a_longest_length_and_the_catalogue_a_longer_one(void **state)
{
    (void)state;
    static const char start[] = "{\"m\":\"catalog\",\"catalog\":";
    const size_t more = sizeof start - 1 + 1;
    static const struct {
        bool catalog;
        size_t size;
        fb_code code;
    } cases[] = {
        {false, LINE_BYTES_MAX, FB_OK},
        {false, LINE_BYTES_MAX + 1, FB_E_LIMIT},
        {true, LINE_BYTES_MAX + 1, FB_OK},
        {true, CATALOG_BYTES_MAX, FB_OK},
    };
    char *body = malloc(CATALOG_BYTES_MAX + 100);
    int count;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(body, ' ', cases[i].size);
        if (cases[i].catalog) {
            memcpy(body, start, sizeof start - 1);
        }
        body[cases[i].size] = '\n';
        assert_int_equal(lines_code((fb_text){body, cases[i].size + 1}, &count), cases[i].code);
    }
    for (size_t over = 0; over < 2; over++) {
        size_t size = CATALOG_BYTES_MAX + more + over;
        memset(body, ' ', size);
        memcpy(body, start, sizeof start - 1);
        body[size] = '\n';
        assert_int_equal(lines_code((fb_text){body, size + 1}, &count), over ? FB_E_LIMIT : FB_OK);
    }
    free(body);
}

static void sync__everyday_reply_is_tiny(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 10000);
    const sync_reply reply = {.protocol = 1,
                              .epoch = id_of(1),
                              .server_wall_ms = 1700000000123,
                              .applied = 14,
                              .backed_up = 9,
                              .head = 5120};
    const page_head page = {.token = T("AAECAwQFBgcICQoLDA0ODw"), .complete = true};
    sync_reply_put(&b, &reply);
    verdict_run_put(&b, 14, 14, 5120);
    page_head_put(&b, &page);
    sync_end_put(&b);
    assert_int_equal(b.code, FB_OK);
    if (b.size >= 300) {
        fail_msg("%zu bytes: %s", b.size, buf_cstr(&b));
    }
    buf_clear(&b);
}

static void sync__groups_travel_as_they_are_stored(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1000);
    sync_group_put(&b, T("{\"k\": 1 }"));
    sync_end_put(&b);
    assert_buf_is(&b, "{\"k\": 1 }\n{\"m\":\"end\"}\n");
    buf_clear(&b);
}

static void sync__unknown_members_are_skipped(void **state)
{
    (void)state;
    sync_request q;
    sync_reply a;
    reply_item i;
    error_msg e;
    arena_reset(scratch);
#define ID "\"018bcfe5-6800-7000-8000-000000000001\""
    assert_int_equal(
        sync_request_get(T("{\"m\":\"sync\",\"v\":1,\"new\":[{\"m\":1}],\"dev\":" ID ",\"inc\":" ID
                           ",\"cat\":3,\"last\":\"0\",\"wall\":\"5\",\"later\":null}"),
                         scratch, &q),
        FB_OK);
    assert_int_equal(q.catalog_version, 3);
    assert_true(q.wall_ms == 5 && id_is_none(&q.epoch) && q.token.size == 0);
    assert_int_equal(sync_reply_get(T("{\"m\":\"sync\",\"v\":1,\"ep\":" ID
                                      ",\"wall\":\"5\",\"head\":\"6\",\"x\":{}}"),
                                    scratch, &a),
                     FB_OK);
    assert_true(a.head == 6);
    assert_int_equal(
        reply_item_get(
            T("{\"m\":\"verdict\",\"g\":\"1\",\"code\":\"merged\",\"x\":1,\"cols\":[[\"e\",\"i\","
              "\"c\",\"LWW\",1,1,{\"a\":2},null,\"more\"]]}"),
            scratch, &i),
        FB_OK);
    assert_int_equal(i.verdict.columns_count, 1);
    assert_true(i.verdict.columns[0].mine_won);
    assert_text_is(i.verdict.columns[0].mine, "{\"a\":2}");
    assert_text_is(i.verdict.columns[0].theirs, "null");
    assert_int_equal(reply_item_get(T("{\"m\":\"end\",\"x\":1}"), scratch, &i), FB_OK);
    assert_int_equal(i.line, LINE_END);
    assert_int_equal(
        error_msg_get(T("{\"m\":\"error\",\"code\":\"E_FROM_THE_FUTURE\",\"x\":1}\n"), scratch, &e),
        FB_OK);
    assert_int_equal(e.code, FB_E_INVALID);
}

static void sync__failure_leaves_the_output_alone(void **state)
{
    (void)state;
    sync_request q = {.last = 77};
    sync_reply a = {.head = 77};
    reply_item i = {.run_cid = 77};
    error_msg e = {.retry_ms = 77};
    arena_reset(scratch);
    assert_int_not_equal(sync_request_get(T("{\"m\":\"sync\",\"last\":\"5\"}"), scratch, &q),
                         FB_OK);
    assert_int_not_equal(sync_reply_get(T("{\"m\":\"sync\",\"head\":\"5\"}"), scratch, &a), FB_OK);
    assert_int_not_equal(reply_item_get(T("{\"m\":\"ok\",\"cid\":\"5\"}"), scratch, &i), FB_OK);
    assert_int_not_equal(error_msg_get(T("{\"m\":\"error\",\"retry\":5}"), scratch, &e), FB_OK);
    assert_true(q.last == 77 && a.head == 77 && i.run_cid == 77 && e.retry_ms == 77);
}

static void run__one_group_needs_no_end(void **state)
{
    (void)state;
    reply_item i;
    arena_reset(scratch);
    assert_int_equal(reply_item_get(T("{\"m\":\"ok\",\"g\":\"7\",\"cid\":\"9\"}"), scratch, &i),
                     FB_OK);
    assert_true(i.line == LINE_RUN && i.run_from == 7 && i.run_to == 7 && i.run_cid == 9);
}

static void run__ends_with_a_commit_that_a_number_can_name(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        fb_code code;
    } CASES[] = {
        {"{\"m\":\"ok\",\"g\":\"1\",\"to\":\"2\",\"cid\":\"9223372036854775806\"}", FB_OK},
        {"{\"m\":\"ok\",\"g\":\"1\",\"cid\":\"9223372036854775807\"}", FB_OK},
        {"{\"m\":\"ok\",\"g\":\"1\",\"to\":\"2\",\"cid\":\"9223372036854775807\"}", FB_E_PROTOCOL},
        {"{\"m\":\"ok\",\"g\":\"2\",\"to\":\"1\",\"cid\":\"9\"}", FB_E_PROTOCOL},
        {"{\"m\":\"ok\",\"g\":\"0\",\"to\":\"1\",\"cid\":\"9\"}", FB_E_PROTOCOL},
    };
    reply_item i;
    for (size_t n = 0; n < sizeof CASES / sizeof CASES[0]; n++) {
        arena_reset(scratch);
        assert_int_equal(reply_item_get(text_of(CASES[n].line), scratch, &i), CASES[n].code);
    }
}

static void verdict__texts_of_any_kind_and_long_lists_go_round(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    verdict_column columns[COUNT];
    struct verdict_alias aliases[COUNT];
    char names[COUNT][24];
    for (int n = 0; n < COUNT; n++) {
        snprintf(names[n], sizeof names[n], "column_%d", n);
        columns[n] = (verdict_column){
            T("customer"), T("id"), text_of(names[n]), n % 2 == 0, (fb_text){NULL, 0},
            T("\"m\\n\""), T("7"),  T("LWW")};
        aliases[n] = (struct verdict_alias){T("customer"), text_of(names[n]), T("to")};
    }
    const verdict_msg v = {.gseq = INT64_MAX,
                           .code = VERDICT_MERGED,
                           .error = FB_E_CREDIT,
                           .text_en = T("a \"quoted\" \\ line\nand \x01 more"),
                           .text_zh = T("客户😀\xE2\x80\xA8"),
                           .row = T("{\"a\":[1,2]}"),
                           .columns = columns,
                           .columns_count = COUNT,
                           .aliases = aliases,
                           .aliases_count = COUNT};
    buf b;
    reply_item i;
    buf_init(&b, 1 << 20);
    verdict_put(&b, &v);
    assert_int_equal(b.code, FB_OK);
    assert_null(memchr(b.data, '\n', b.size - 1));
    arena_reset(scratch);
    assert_int_equal(reply_item_get((fb_text){b.data, b.size - 1}, scratch, &i), FB_OK);
    assert_int_equal(i.line, LINE_VERDICT);
    assert_true(i.verdict.gseq == INT64_MAX && i.verdict.code == VERDICT_MERGED);
    assert_int_equal(i.verdict.error, FB_E_CREDIT);
    assert_true(text_equal(i.verdict.text_en, v.text_en));
    assert_true(text_equal(i.verdict.text_zh, v.text_zh));
    assert_text_is(i.verdict.row, "{\"a\":[1,2]}");
    assert_int_equal(i.verdict.columns_count, COUNT);
    assert_int_equal(i.verdict.aliases_count, COUNT);
    for (int n = 0; n < COUNT; n++) {
        assert_text_is(i.verdict.columns[n].column, names[n]);
        assert_text_is(i.verdict.columns[n].base, "null");
        assert_text_is(i.verdict.columns[n].mine, "\"m\\n\"");
        assert_text_is(i.verdict.columns[n].policy, "LWW");
        assert_int_equal(i.verdict.columns[n].mine_won, n % 2 == 0);
        assert_text_is(i.verdict.aliases[n].from, names[n]);
    }
    buf_clear(&b);
}

/* What a group of the most rows can need, and no more. */
static void verdict__lists_have_a_longest_length(void **state)
{
    static const struct {
        const char *list, *entry;
    } LISTS[] = {{"cols", "[\"e\",\"i\",\"c\",\"p\",0,1,2,3]"}, {"alias", "[\"e\",\"f\",\"t\"]"}};
    (void)state;
    for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++) {
        for (int more = 0; more < 2; more++) {
            buf b;
            reply_item item;
            buf_init(&b, 1 << 20);
            buf_printf(&b, "{\"m\":\"verdict\",\"g\":\"1\",\"code\":\"merged\",\"%s\":[",
                       LISTS[i].list);
            for (int n = 0; n < GROUP_ROWS_MAX + more; n++) {
                buf_put_str(&b, n > 0 ? "," : "");
                buf_put_str(&b, LISTS[i].entry);
            }
            buf_put_str(&b, "]}");
            arena_reset(scratch);
            assert_int_equal(reply_item_get(buf_text(&b), scratch, &item),
                             more ? FB_E_LIMIT : FB_OK);
            buf_clear(&b);
        }
    }
}

static void verdict__every_code_has_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"applied", "merged", "rejected",
                                        "held",    "alias",  "blocked"};
    for (int c = 1; c <= 6; c++) {
        assert_string_equal(verdict_name((verdict_code)c), names[c - 1]);
    }
    assert_string_equal(verdict_name((verdict_code)0), "unknown");
    assert_string_equal(verdict_name((verdict_code)7), "unknown");
}

static void catalog_line__is_one_line_whatever_the_text(void **state)
{
    (void)state;
    buf b;
    reply_item i;
    buf_init(&b, 1000);
    catalog_line_put(&b, T("{\r\n \"version\": 1,\n \"x\":\"a\\nb\"\n}\n"));
    assert_int_equal(b.data[b.size - 1], '\n');
    assert_null(memchr(b.data, '\n', b.size - 1));
    arena_reset(scratch);
    assert_int_equal(reply_item_get((fb_text){b.data, b.size - 1}, scratch, &i), FB_OK);
    assert_int_equal(i.line, LINE_CATALOG);
    assert_text_is(i.catalog_json, "{   \"version\": 1,  \"x\":\"a\\nb\" }");
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines__are_walked_to_the_end),
        cmocka_unit_test(lines__cut_or_empty_ones_are_refused),
        cmocka_unit_test(lines__have_a_longest_length_and_the_catalogue_a_longer_one),
        cmocka_unit_test(sync__everyday_reply_is_tiny),
        cmocka_unit_test(sync__groups_travel_as_they_are_stored),
        cmocka_unit_test(sync__unknown_members_are_skipped),
        cmocka_unit_test(sync__failure_leaves_the_output_alone),
        cmocka_unit_test(run__one_group_needs_no_end),
        cmocka_unit_test(run__ends_with_a_commit_that_a_number_can_name),
        cmocka_unit_test(verdict__texts_of_any_kind_and_long_lists_go_round),
        cmocka_unit_test(verdict__lists_have_a_longest_length),
        cmocka_unit_test(verdict__every_code_has_its_name),
        cmocka_unit_test(catalog_line__is_one_line_whatever_the_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
