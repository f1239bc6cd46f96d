/* test_group_msg.c - groups of operations. Method: one group with every kind of operation is
 * written, compared byte for byte and read back; every cut of it and every wrong shape in a table
 * is refused with the place named; limits are met exactly and exceeded by one. */
#include "support/wire_fixture.h"

#include "schema/limits.h"
#include "wire/group_msg.h"

static catalog *cat;
static arena *memory;

static int setup(void **state)
{
    (void)state;
    cat = fixture_catalog();
    memory = arena_new(64 << 20);
    return cat == NULL || memory == NULL;
}

static int teardown(void **state)
{
    (void)state;
    catalog_free(cat);
    arena_free(memory);
    return 0;
}

#define ID1 "018bcfe5-6800-7000-8000-000000000001"
#define ID2 "018bcfe5-6800-7000-8000-000000000002"
#define ID3 "018bcfe5-6800-7000-8000-000000000003"
#define HEAD "{\"k\":\"a.b\",\"at\":\"1\",\"cv\":3,\"ops\":["

static const char WHOLE[] =
    "{\"k\":\"order.submit\",\"at\":\"1700000000000\",\"off\":\"-12\",\"sus\":1,\"cv\":3,\"rp\":"
    "\"17\",\"ri\":\"" ID3 "\",\"ops\":["
    "[\"+\",\"sales_order\",[\"id\",\"customer_id\",\"order_no\",\"total_minor\"],[[\"" ID1
    "\",\"" ID2 "\",\"T17-1\",\"1250\"]]],"
    "[\"+\",\"sales_order_line\",[\"id\",\"order_id\",\"line_no\",\"qty_milli\"],[[\"" ID2
    "\",\"" ID1 "\",1,\"1000\"],[\"" ID3 "\",\"" ID1 "\",2,null]]],"
    "[\"~\",\"customer\",\"" ID2 "\",\"1048577\",[\"phone\",\"active\"],[\"1\",0],[\"2\",1]],"
    "[\"-\",\"customer\",\"" ID3 "\",\"0\"],"
    "[\"^\",\"promotion_quota\",\"" ID1 "\",[\"used\"],[\"-3\"]]]}";

static fb_value text_value(const char *s)
{
    return (fb_value){FB_KIND_TEXT, {.text = text_of(s)}};
}

static fb_value int_value(int64_t i)
{
    return (fb_value){FB_KIND_INT, {.i = i}};
}

static fb_value id_value(unsigned n)
{
    return (fb_value){FB_KIND_ID, {.id = id_of(n)}};
}

static void whole_put(buf *out)
{
    const cat_entity *order = catalog_entity_str(cat, "sales_order");
    const cat_entity *line = catalog_entity_str(cat, "sales_order_line");
    const cat_entity *customer = catalog_entity_str(cat, "customer");
    const cat_entity *quota = catalog_entity_str(cat, "promotion_quota");
    const int order_columns[] = {cat_column_str(order, "customer_id"),
                                 cat_column_str(order, "order_no"),
                                 cat_column_str(order, "total_minor")};
    const int line_columns[] = {1, 2, 3}, line_columns_again[] = {1, 2, 3};
    const int customer_columns[] = {cat_column_str(customer, "phone"),
                                    cat_column_str(customer, "active")};
    const int quota_columns[] = {1};
    const fb_value order_values[] = {id_value(2), text_value("T17-1"), int_value(1250)};
    const fb_value line_1[] = {id_value(1), int_value(1), int_value(1000)};
    const fb_value line_2[] = {id_value(1), int_value(2), {.kind = FB_KIND_NULL}};
    const fb_value before[] = {text_value("1"), int_value(0)},
                   after[] = {text_value("2"), int_value(1)};
    const fb_value difference[] = {int_value(-3)};
    const group_op ops[] = {
        {OP_INSERT, order, id_of(1), 0, 3, order_columns, NULL, order_values},
        {OP_INSERT, line, id_of(2), 0, 3, line_columns, NULL, line_1},
        {OP_INSERT, line, id_of(3), 0, 3, line_columns_again, NULL, line_2},
        {OP_UPDATE, customer, id_of(2), 1048577, 2, customer_columns, before, after},
        {OP_DELETE, customer, id_of(3), 0, 0, NULL, NULL, NULL},
        {OP_DELTA, quota, id_of(1), 0, 1, quota_columns, NULL, difference},
    };
    const group_head head = {text_of("order.submit"), 1700000000000, -12, true, 3, 17, id_of(3)};
    group_writer w;
    group_put_begin(&w, out, &head);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        group_put_op(&w, &ops[i]);
    }
    group_put_end(&w);
}

static void group__is_written_as_specified(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 10000);
    whole_put(&b);
    assert_buf_is(&b, WHOLE);
    buf_clear(&b);
}

/* The list of columns is the caller's, who may put the next op's into the same place. */
static void group__keeps_no_columns_of_the_caller(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"line_no", "qty_milli"};
    const cat_entity *line = catalog_entity_str(cat, "sales_order_line");
    const fb_value one = int_value(7);
    const group_head head = {.kind = text_of("order.submit")};
    int column = 0;
    group_writer w;
    group g;
    fb_error err = {0};
    buf b;
    buf_init(&b, 10000);
    group_put_begin(&w, &b, &head);
    for (int i = 0; i < 2; i++) {
        column = cat_column_str(line, NAMES[i]);
        group_put_op(&w, &(group_op){.kind = OP_INSERT,
                                     .entity = line,
                                     .id = id_of((uint8_t)(i + 1)),
                                     .columns_count = 1,
                                     .columns = &column,
                                     .mine = &one});
    }
    group_put_end(&w);
    arena_reset(memory);
    assert_int_equal(group_get(buf_text(&b), cat, memory, &g, &err), FB_OK);
    assert_int_equal(g.ops_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(g.ops[i].columns[0], cat_column_str(line, NAMES[i]));
    }
    buf_clear(&b);
}

static void group__is_read_as_written(void **state)
{
    (void)state;
    group g;
    fb_error err = {0};
    arena_reset(memory);
    assert_int_equal(group_get(T(WHOLE), cat, memory, &g, &err), FB_OK);
    assert_text_is(g.head.kind, "order.submit");
    assert_true(g.head.captured_at_ms == 1700000000000 && g.head.offset_ms == -12);
    assert_true(g.head.clock_suspect && g.head.catalog_version == 3 && g.head.replaces == 17);
    const fb_id life = id_of(3);
    assert_true(id_equal(&g.head.replaces_in, &life));
    assert_int_equal(g.ops_count, 6);
    const group_op *o = g.ops;
    fb_id wanted = id_of(3);
    assert_int_equal(o[0].kind, OP_INSERT);
    assert_text_is(o[0].entity->name, "sales_order");
    assert_int_equal(o[0].columns_count, 3);
    assert_text_is(o[0].mine[1].u.text, "T17-1");
    assert_true(o[0].mine[2].u.i == 1250);
    assert_int_equal(o[2].kind, OP_INSERT);
    assert_true(id_equal(&o[2].id, &wanted));
    assert_ptr_equal(o[1].columns, o[2].columns); /* one list for the block */
    assert_true(o[1].mine[1].u.i == 1 && o[2].mine[1].u.i == 2);
    assert_int_equal(o[2].mine[2].kind, FB_KIND_NULL);
    assert_int_equal(o[3].kind, OP_UPDATE);
    assert_true(o[3].base_ver == 1048577);
    assert_text_is(o[3].base[0].u.text, "1");
    assert_text_is(o[3].mine[0].u.text, "2");
    assert_true(o[3].base[1].u.i == 0 && o[3].mine[1].u.i == 1);
    assert_int_equal(o[4].kind, OP_DELETE);
    assert_true(id_equal(&o[4].id, &wanted) && o[4].base_ver == 0 && o[4].columns_count == 0);
    assert_int_equal(o[5].kind, OP_DELTA);
    assert_null(o[5].base);
    assert_true(o[5].mine[0].u.i == -3);
}

static void group__every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof WHOLE - 1; n++) {
        group g = {.ops_count = 77};
        char *copy = malloc(n > 0 ? n : 1);
        memcpy(copy, WHOLE, n);
        arena_reset(memory);
        assert_int_equal(group_get((fb_text){copy, n}, cat, memory, &g, NULL), FB_E_JSON);
        assert_int_equal(g.ops_count, 77);
        free(copy);
    }
}

static void group__members_come_in_any_order_and_unknown_ones_are_skipped(void **state)
{
    (void)state;
    group g;
    arena_reset(memory);
    assert_int_equal(
        group_get(T("{\"why\":{\"x\":[1]},\"ops\":[],\"cv\":3,\"at\":\"1\",\"k\":\"a\"}"), cat,
                  memory, &g, NULL),
        FB_OK);
    assert_int_equal(g.ops_count, 0);
    assert_false(g.head.clock_suspect);
}

static void group__blocks_are_split_where_columns_or_entities_change(void **state)
{
    (void)state;
    const cat_entity *line = catalog_entity_str(cat, "sales_order_line");
    const cat_entity *quota = catalog_entity_str(cat, "promotion_quota");
    const int first[] = {1, 2}, second[] = {2, 1};
    const fb_value a[] = {id_value(1), int_value(1)}, b[] = {int_value(1), id_value(1)};
    const group_op ops[] = {{OP_INSERT, line, id_of(1), 0, 2, first, NULL, a},
                            {OP_INSERT, line, id_of(2), 0, 2, second, NULL, b},
                            {OP_INSERT, line, id_of(3), 0, 1, second, NULL, b},
                            {OP_INSERT, quota, id_of(4), 0, 0, first, NULL, NULL},
                            {OP_DELETE, quota, id_of(9), 0, 0, NULL, NULL, NULL},
                            {OP_INSERT, quota, id_of(5), 0, 0, first, NULL, NULL},
                            {OP_INSERT, quota, id_of(6), 0, 0, second, NULL, NULL}};
    const group_head head = {.kind = text_of("a.b"), .captured_at_ms = 1, .catalog_version = 3};
    buf out;
    group_writer w;
    group g;
    buf_init(&out, 10000);
    group_put_begin(&w, &out, &head);
    for (size_t i = 0; i < 7; i++) {
        group_put_op(&w, &ops[i]);
    }
    group_put_end(&w);
    arena_reset(memory);
    assert_int_equal(group_get(buf_text(&out), cat, memory, &g, NULL), FB_OK);
    assert_int_equal(g.ops_count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(g.ops[i].kind, ops[i].kind);
        assert_ptr_equal(g.ops[i].entity, ops[i].entity);
        assert_true(id_equal(&g.ops[i].id, &ops[i].id));
        assert_int_equal(g.ops[i].columns_count, ops[i].columns_count);
        for (uint32_t c = 0; c < ops[i].columns_count; c++) {
            assert_int_equal(g.ops[i].columns[c], ops[i].columns[c]);
            assert_true(fb_value_equal(&g.ops[i].mine[c], &ops[i].mine[c]));
        }
    }
    buf_clear(&out);
}

/* clang-format off */
static const struct refusal {
    const char *text;
    fb_code code;
    const char *field;
} REFUSALS[] = {
    {"[]", FB_E_PROTOCOL, "group"},
    {"{}", FB_E_PROTOCOL, "group"},
    {"{\"at\":\"1\",\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, "group"},
    {"{\"k\":\"a\",\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, "group"},
    {"{\"k\":\"a\",\"at\":\"1\",\"ops\":[]}", FB_E_PROTOCOL, "group"},
    {"{\"k\":\"a\",\"at\":\"1\",\"cv\":3}", FB_E_PROTOCOL, "group"},
    {"{\"k\":\"\",\"at\":\"1\",\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, NULL},
    {"{\"k\":\"1234567890123456789012345678901234567890123456789\",\"at\":\"1\",\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, NULL},
    {"{\"k\":\"a\",\"at\":1,\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, NULL},
    {"{\"k\":\"a\",\"at\":\"1\",\"cv\":\"3\",\"ops\":[]}", FB_E_PROTOCOL, "group.cv"},
    {"{\"k\":\"a\",\"at\":\"1\",\"cv\":-1,\"ops\":[]}", FB_E_PROTOCOL, "group.cv"},
    {"{\"k\":\"a\",\"at\":\"1\",\"cv\":4294967296,\"ops\":[]}", FB_E_PROTOCOL, "group.cv"},
    {"{\"k\":\"a\",\"at\":\"1\",\"sus\":2,\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, "group.sus"},
    {"{\"k\":\"a\",\"at\":\"1\",\"rp\":\"-1\",\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, NULL},
    {"{\"k\":\"a\",\"at\":\"1\",\"ri\":\"1\",\"cv\":3,\"ops\":[]}", FB_E_PROTOCOL, "group.ri"},
    {"{\"k\":\"a\",\"k\":\"a\",\"at\":\"1\",\"cv\":3,\"ops\":[]}", FB_E_JSON, NULL},
    {HEAD "]}x", FB_E_JSON, "group"},
    {HEAD "1]}", FB_E_PROTOCOL, "ops[0]"},
    {HEAD "[]]}", FB_E_PROTOCOL, "ops[0]"},
    {HEAD "[\"+\"]]}", FB_E_PROTOCOL, "ops[0]"},
    {HEAD "[\"*\",\"customer\",\"" ID1 "\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"\",\"customer\",\"" ID1 "\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+-\",\"customer\",\"" ID1 "\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"-\",\"nobody\",\"" ID1 "\",\"0\"]]}", FB_E_PROTOCOL, "ops[0].nobody"},
    {HEAD "[\"-\",\"Bobby'); DROP\",\"" ID1 "\",\"0\"]]}", FB_E_PROTOCOL, "ops[0]"},
    {HEAD "[\"-\",\"customer\",\"" ID1 "\",\"0\"],[\"-\",\"nobody\",\"" ID1 "\",\"0\"]]}", FB_E_PROTOCOL, "ops[1].nobody"},
    {HEAD "[\"-\",\"customer\",\"" ID1 "\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"-\",\"customer\",\"" ID1 "\",0]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"-\",\"customer\",\"" ID1 "\",\"-1\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"-\",\"customer\",\"" ID1 "\",\"0\",1]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"-\",\"customer\",\"x\",\"0\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"-\",\"customer\",\"00000000-0000-0000-0000-000000000000\",\"0\"]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[],[]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"code\"],[[\"a\"]]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\"],[]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\"]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"id\"],[[\"" ID1 "\",\"" ID1 "\"]]]]}", FB_E_PROTOCOL, "ops[0].id"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"ver\"],[[\"" ID1 "\",\"5\"]]]]}", FB_E_PROTOCOL, "ops[0].ver"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"code\",\"code\"],[[\"" ID1 "\",\"a\",\"b\"]]]]}", FB_E_PROTOCOL, "ops[0].code"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"colour\"],[[\"" ID1 "\",\"a\"]]]]}", FB_E_PROTOCOL, "ops[0].colour"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"code\"],[[\"" ID1 "\"]]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"code\"],[[\"" ID1 "\",\"a\",\"b\"]]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"code\"],[[\"" ID1 "\",7]]]]}", FB_E_PROTOCOL, "ops[0].code"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"code\"],[[]]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\",\"code\"],[7]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"+\",\"customer\",[\"id\"],[[\"" ID1 "\"]],7]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"~\",\"customer\",\"" ID1 "\",\"0\",[],[],[]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"~\",\"customer\",\"" ID1 "\",\"0\",[\"code\"],[\"a\"]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"~\",\"customer\",\"" ID1 "\",\"0\",[\"code\"],[],[\"b\"]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"~\",\"customer\",\"" ID1 "\",\"0\",[\"code\"],[\"a\"],[\"b\",\"c\"]]]}", FB_E_PROTOCOL, "ops[0].customer"},
    {HEAD "[\"~\",\"customer\",\"" ID1 "\",\"0\",[\"id\"],[\"a\"],[\"b\"]]]}", FB_E_PROTOCOL, "ops[0].id"},
    {HEAD "[\"^\",\"promotion_quota\",\"" ID1 "\",[\"used\"],[3]]]}", FB_E_PROTOCOL, "ops[0].used"},
    {HEAD "[\"^\",\"promotion_quota\",\"" ID1 "\",[\"used\"],[\"3\"],[\"3\"]]]}", FB_E_PROTOCOL, "ops[0].promotion_quota"},
    {HEAD "[\"^\",\"promotion_quota\",\"" ID1 "\"]]}", FB_E_PROTOCOL, "ops[0].promotion_quota"},
};
/* clang-format on */

static void group__wrong_shapes_are_refused_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        const struct refusal *x = &REFUSALS[i];
        group g = {.ops_count = 77};
        fb_error err = {0};
        arena_reset(memory);
        fb_code code = group_get(text_of(x->text), cat, memory, &g, &err);
        if (code != x->code || (x->field != NULL && strcmp(err.field, x->field) != 0)) {
            fail_msg("<%s> gave %s at %s: %s", x->text, fb_code_name(code), err.field, err.message);
        }
        assert_int_equal(err.code, code);
        assert_true(strlen(err.message) > 0);
        assert_int_equal(g.ops_count, 77);
    }
}

/* Columns mostly come in the order of the catalogue: here the last but one is followed by another.
 */
static void group__columns_come_in_any_order(void **state)
{
    (void)state;
    const cat_entity *e = catalog_entity_str(cat, "customer");
    const int last = cat_ver_column(e) - 1;
    buf b;
    group g;
    fb_error err = {0};
    buf_init(&b, 1 << 12);
    buf_printf(&b,
               HEAD "[\"+\",\"customer\",[\"id\",\"%.*s\",\"code\"],[[\"" ID1 "\",null,\"c\"]]]]}",
               (int)e->columns[last].name.size, e->columns[last].name.data);
    arena_reset(memory);
    assert_int_equal(group_get(buf_text(&b), cat, memory, &g, &err), FB_OK);
    assert_int_equal(g.ops[0].columns_count, 2);
    assert_int_equal(g.ops[0].columns[0], last);
    assert_int_equal(g.ops[0].columns[1], cat_column_str(e, "code"));
    buf_clear(&b);
}

static void group__wrong_calls_are_refused(void **state)
{
    (void)state;
    group g;
    assert_int_equal(group_get(T(WHOLE), NULL, memory, &g, NULL), FB_E_MISUSE);
    assert_int_equal(group_get(T(WHOLE), cat, NULL, &g, NULL), FB_E_MISUSE);
    assert_int_equal(group_get(T(WHOLE), cat, memory, NULL, NULL), FB_E_MISUSE);
}

static fb_code many_get(int entries, int rows_each, group *g)
{
    buf b;
    buf_init(&b, 4 << 20);
    buf_put_str(&b, HEAD);
    for (int e = 0; e < entries; e++) {
        buf_put_str(&b,
                    e > 0 ? ",[\"+\",\"customer\",[\"id\"],[" : "[\"+\",\"customer\",[\"id\"],[");
        for (int r = 0; r < rows_each; r++) {
            buf_put_str(&b, r > 0 ? ",[\"" ID1 "\"]" : "[\"" ID1 "\"]");
        }
        buf_put_str(&b, "]]");
    }
    buf_put_str(&b, "]}");
    arena_reset(memory);
    fb_code code = group_get(buf_text(&b), cat, memory, g, NULL);
    buf_clear(&b);
    return code;
}

static void group__limits_are_kept(void **state)
{
    (void)state;
    group g;
    assert_int_equal(many_get(GROUP_OPS_MAX, 1, &g), FB_OK);
    assert_int_equal(g.ops_count, GROUP_OPS_MAX);
    assert_int_equal(many_get(GROUP_OPS_MAX + 1, 1, &g), FB_E_LIMIT);
    assert_int_equal(many_get(1, GROUP_ROWS_MAX, &g), FB_OK);
    assert_int_equal(g.ops_count, GROUP_ROWS_MAX);
    assert_int_equal(many_get(1, GROUP_ROWS_MAX + 1, &g), FB_E_LIMIT);
    fb_error err = {0};
    static char large[GROUP_BYTES_MAX + 1];
    memset(large, ' ', sizeof large);
    memcpy(large, HEAD "]}", sizeof HEAD + 1);
    arena_reset(memory);
    assert_int_equal(group_get((fb_text){large, GROUP_BYTES_MAX}, cat, memory, &g, &err), FB_OK);
    assert_int_equal(group_get((fb_text){large, sizeof large}, cat, memory, &g, &err), FB_E_LIMIT);
    assert_string_equal(err.field, "group");
}

static void group__out_of_memory_is_told(void **state)
{
    (void)state;
    for (size_t max = 0; max < 4096; max += 64) {
        arena *small = arena_new(max);
        group g;
        fb_code code = group_get(T(WHOLE), cat, small, &g, NULL);
        assert_true(code == FB_OK || code == FB_E_NO_MEMORY);
        arena_free(small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group__is_written_as_specified),
        cmocka_unit_test(group__is_read_as_written),
        cmocka_unit_test(group__keeps_no_columns_of_the_caller),
        cmocka_unit_test(group__every_cut_is_refused),
        cmocka_unit_test(group__members_come_in_any_order_and_unknown_ones_are_skipped),
        cmocka_unit_test(group__blocks_are_split_where_columns_or_entities_change),
        cmocka_unit_test(group__wrong_shapes_are_refused_with_their_place),
        cmocka_unit_test(group__columns_come_in_any_order),
        cmocka_unit_test(group__wrong_calls_are_refused),
        cmocka_unit_test(group__limits_are_kept),
        cmocka_unit_test(group__out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
