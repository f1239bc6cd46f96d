/* test_row_msg.c - blocks of rows. Method: one row with every column type goes round and is
 * compared byte for byte; each wrong shape is refused; what this catalogue does not know is read
 * over and never mixed up with what it knows. */
#include "support/wire_fixture.h"

#include "wire/row_msg.h"

static catalog *cat;
static arena *scratch;
static const cat_entity *customer;

static int setup(void **state)
{
    (void)state;
    cat = fixture_catalog();
    scratch = arena_new(1 << 20);
    customer = catalog_entity_str(cat, "customer");
    return cat == NULL || scratch == NULL || customer == NULL;
}

static int teardown(void **state)
{
    (void)state;
    catalog_free(cat);
    arena_free(scratch);
    return 0;
}

static fb_code head_get(const char *line, block_head *out)
{
    arena_reset(scratch);
    return block_head_get(text_of(line), cat, scratch, out);
}

static fb_text without_newline(const buf *b)
{
    fb_text t = buf_text(b);
    assert_true(t.size > 0 && t.data[t.size - 1] == '\n');
    t.size--;
    return t;
}

static void row__every_type_goes_round(void **state)
{
    (void)state;
    int columns[12];
    fb_value values[12], back[12];
    for (int i = 0; i < 12; i++) {
        columns[i] = i;
    }
    assert_int_equal(customer->columns_count, 12);
    values[0] = (fb_value){FB_KIND_ID, {.id = id_of(1)}};
    values[1] = (fb_value){FB_KIND_TEXT, {.text = T("C\"1\n")}};
    values[2] = (fb_value){FB_KIND_TEXT, {.text = T("北京")}};
    values[3] = (fb_value){.kind = FB_KIND_NULL};
    values[4] = (fb_value){FB_KIND_TEXT, {.text = T("A")}};
    values[5] = (fb_value){FB_KIND_ID, {.id = id_of(2)}};
    values[6] = (fb_value){FB_KIND_INT, {.i = 1}};
    values[7] = (fb_value){FB_KIND_INT, {.i = -1164000000}};
    values[8] = (fb_value){FB_KIND_INT, {.i = INT64_MIN}};
    values[9] = (fb_value){FB_KIND_TEXT, {.text = T("2026-01-31")}};
    values[10] = (fb_value){FB_KIND_TEXT, {.text = T("{\"a\":1}")}};
    values[11] = (fb_value){FB_KIND_INT, {.i = 5242880}};
    buf head, row;
    buf_init(&head, 10000);
    buf_init(&row, 10000);
    block_head_put(&head, customer, BLOCK_ROW, columns, 12);
    row_put(&row, customer, columns, 12, values);
    assert_buf_is(
        &head,
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\",\"code\",\"name\",\"phone\",\"grade\","
        "\"parent_id\",\"active\",\"latitude\",\"credit_minor\",\"since\",\"extra\",\"ver\"]}\n");
    assert_buf_is(&row,
                  "[\"018bcfe5-6800-7000-8000-000000000001\",\"C\\\"1\\n\",\"北京\",null,\"A\","
                  "\"018bcfe5-6800-7000-8000-000000000002\",1,-1164000000,"
                  "\"-9223372036854775808\",\"2026-01-31\",\"{\\\"a\\\":1}\",\"5242880\"]\n");
    block_head h;
    arena_reset(scratch);
    assert_int_equal(block_head_get(without_newline(&head), cat, scratch, &h), FB_OK);
    assert_ptr_equal(h.entity, customer);
    assert_int_equal(h.columns_count, 12);
    assert_int_equal(row_get(without_newline(&row), &h, scratch, back), FB_OK);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(h.columns[i], i);
        assert_true(fb_value_equal(&values[i], &back[i]));
    }
    buf_clear(&head);
    buf_clear(&row);
}

static void row__id_of_zeros_is_written_as_null_and_never_read(void **state)
{
    (void)state;
    const int columns[2] = {0, 5};
    const fb_value values[2] = {{FB_KIND_ID, {.id = id_of(1)}}, {FB_KIND_ID, {.id = {{0}}}}};
    fb_value back[2];
    buf b;
    buf_init(&b, 1000);
    row_put(&b, customer, columns, 2, values);
    assert_buf_is(&b, "[\"018bcfe5-6800-7000-8000-000000000001\",null]\n");
    buf_clear(&b);
    block_head h;
    assert_int_equal(head_get("{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\"]}", &h), FB_OK);
    assert_int_equal(row_get(T("[\"00000000-0000-0000-0000-000000000000\"]"), &h, scratch, back),
                     FB_E_PROTOCOL);
}

static void block__unknown_columns_are_read_over(void **state)
{
    (void)state;
    block_head h;
    fb_value back[4];
    assert_int_equal(head_get("{\"x\":[1],\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\",\"new_a\","
                              "\"code\",\"new_b\"]}",
                              &h),
                     FB_OK);
    assert_int_equal(h.columns[0], 0);
    assert_int_equal(h.columns[1], -1);
    assert_int_equal(h.columns[2], 1);
    assert_int_equal(h.columns[3], -1);
    assert_int_equal(
        row_get(T("[\"018bcfe5-6800-7000-8000-000000000001\",{\"deep\":[1,2]},\"C1\",7]"), &h,
                scratch, back),
        FB_OK);
    assert_int_equal(back[1].kind, FB_KIND_NULL);
    assert_text_is(back[2].u.text, "C1");
    assert_int_equal(back[3].kind, FB_KIND_NULL);
}

static void block__unknown_entity_is_told_by_name(void **state)
{
    (void)state;
    block_head h;
    fb_value back[2];
    assert_int_equal(head_get("{\"e\":\"acme_thing\",\"k\":\"row\",\"c\":[\"id\",\"size\"]}", &h),
                     FB_OK);
    assert_null(h.entity);
    assert_text_is(h.entity_name, "acme_thing");
    assert_int_equal(h.columns_count, 2);
    assert_int_equal(h.columns[0], -1);
    assert_int_equal(row_get(T("[]"), &h, scratch, back), FB_E_MISUSE);
}

static void block__leave_and_delete_carry_the_id_alone(void **state)
{
    (void)state;
    static const char *const lines[] = {"{\"e\":\"customer\",\"k\":\"leave\"}",
                                        "{\"e\":\"customer\",\"k\":\"delete\"}"};
    const block_kind kinds[] = {BLOCK_LEAVE, BLOCK_DELETE};
    for (int i = 0; i < 2; i++) {
        block_head h;
        fb_value id;
        assert_int_equal(head_get(lines[i], &h), FB_OK);
        assert_int_equal(h.kind, kinds[i]);
        assert_int_equal(h.columns_count, 1);
        assert_int_equal(h.columns[0], 0);
        assert_int_equal(row_get(T("[\"018bcfe5-6800-7000-8000-000000000001\"]"), &h, scratch, &id),
                         FB_OK);
        assert_int_equal(id.kind, FB_KIND_ID);
        buf b;
        buf_init(&b, 1000);
        const int columns[2] = {0, 11};
        block_head_put(&b, customer, kinds[i], columns, 1);
        assert_int_equal(b.size, strlen(lines[i]) + 1);
        buf_reset(&b);
        block_head_put(&b, customer, kinds[i], columns, 2);
        assert_int_equal(head_get(buf_cstr(&b), &h), FB_OK);
        assert_int_equal(h.columns_count, 2);
        assert_int_equal(h.columns[1], 11);
        buf_clear(&b);
    }
}

static void block__wrong_heads_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"e\":\"\",\"k\":\"delete\"}",
        "{\"k\":\"row\",\"c\":[\"id\"]}",
        "{\"e\":\"customer\",\"c\":[\"id\"]}",
        "{\"e\":\"customer\",\"k\":\"row\"}",
        "{\"e\":\"customer\",\"k\":\"rows\",\"c\":[\"id\"]}",
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":[]}",
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"code\"]}",
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\",\"id\"]}",
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\",\"code\",\"code\"]}",
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":\"id\"}",
        "{\"e\":\"customer\",\"k\":\"row\",\"c\":[1]}",
        "{\"e\":1,\"k\":\"row\",\"c\":[\"id\"]}",
        "[]",
        "null"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        block_head h = {.columns_count = 77};
        fb_code code = head_get(bad[i], &h);
        if (code != FB_E_PROTOCOL) {
            fail_msg("<%s> gave %s", bad[i], fb_code_name(code));
        }
        assert_int_equal(h.columns_count, 77);
    }
    block_head h;
    assert_int_equal(head_get("{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\"]", &h), FB_E_JSON);
    assert_int_equal(head_get("{\"e\":\"customer\",\"e\":\"customer\",\"k\":\"leave\"}", &h),
                     FB_E_JSON);
    buf b;
    buf_init(&b, 10000);
    buf_put_str(&b, "{\"e\":\"customer\",\"k\":\"row\",\"c\":[\"id\"");
    for (int i = 0; i < CATALOG_COLUMNS_LIMIT; i++) {
        buf_printf(&b, ",\"x%d\"", i);
    }
    buf_put_str(&b, "]}");
    assert_int_equal(head_get(buf_cstr(&b), &h), FB_E_LIMIT);
    buf_clear(&b);
}

static void row__wrong_shapes_are_refused(void **state)
{
    (void)state;
#define ID "\"018bcfe5-6800-7000-8000-000000000001\""
    static const struct {
        const char *columns, *row;
        fb_code code;
    } bad[] = {
        {"\"id\",\"code\"", "[" ID "]", FB_E_PROTOCOL},
        {"\"id\",\"code\"", "[" ID ",\"a\",\"b\"]", FB_E_PROTOCOL},
        {"\"id\",\"code\"", "[]", FB_E_PROTOCOL},
        {"\"id\",\"code\"", "[" ID ",1]", FB_E_PROTOCOL},
        {"\"id\",\"code\"", "[" ID ",[\"a\"]]", FB_E_PROTOCOL},
        {"\"id\",\"active\"", "[" ID ",true]", FB_E_PROTOCOL},
        {"\"id\",\"active\"", "[" ID ",\"1\"]", FB_E_PROTOCOL},
        {"\"id\",\"latitude\"", "[" ID ",1.5]", FB_E_PROTOCOL},
        {"\"id\",\"credit_minor\"", "[" ID ",100]", FB_E_PROTOCOL},
        {"\"id\",\"credit_minor\"", "[" ID ",\"1.00\"]", FB_E_PROTOCOL},
        {"\"id\",\"credit_minor\"", "[" ID ",\"\"]", FB_E_PROTOCOL},
        {"\"id\",\"parent_id\"", "[" ID ",\"abc\"]", FB_E_PROTOCOL},
        {"\"id\",\"parent_id\"", "[" ID ",\"018BCFE5-6800-7000-8000-000000000001\"]",
         FB_E_PROTOCOL},
        {"\"id\",\"ver\"", "[" ID ",5]", FB_E_PROTOCOL},
        {"\"id\",\"code\"", "{\"id\":" ID "}", FB_E_PROTOCOL},
        {"\"id\",\"code\"", "[" ID ",\"a\"", FB_E_JSON},
        {"\"id\",\"code\"", "[" ID ",\"a\"]]", FB_E_JSON},
        {"\"id\",\"code\"", "[" ID ",\"a\"] 1", FB_E_JSON},
        {"\"id\",\"code\"", "[" ID ",\"\xFF\"]", FB_E_JSON},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char head[200];
        block_head h;
        fb_value back[4];
        snprintf(head, sizeof head, "{\"e\":\"customer\",\"k\":\"row\",\"c\":[%s]}",
                 bad[i].columns);
        assert_int_equal(head_get(head, &h), FB_OK);
        back[h.columns_count] = (fb_value){FB_KIND_INT, {.i = 4711}};
        fb_code code = row_get(text_of(bad[i].row), &h, scratch, back);
        assert_int_equal(back[h.columns_count].u.i, 4711); /* nobody else's value is touched */
        if (code != bad[i].code) {
            fail_msg("<%s> gave %s", bad[i].row, fb_code_name(code));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row__every_type_goes_round),
        cmocka_unit_test(row__id_of_zeros_is_written_as_null_and_never_read),
        cmocka_unit_test(block__unknown_columns_are_read_over),
        cmocka_unit_test(block__unknown_entity_is_told_by_name),
        cmocka_unit_test(block__leave_and_delete_carry_the_id_alone),
        cmocka_unit_test(block__wrong_heads_are_refused),
        cmocka_unit_test(row__wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
