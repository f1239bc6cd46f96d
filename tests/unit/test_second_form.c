/* test_second_form.c - records of the second copy: what is put comes back, and a record that is cut
 * anywhere, or says lengths it has not, is refused and not read past its end. */
#include "support/wire_fixture.h"

#include "replica/room.h"

/* In memory that ends with the bytes: a sanitizer sees the byte behind them. */
static fb_text cut_to(const buf *b, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, b->data, size);
    }
    return (fb_text){copy, size};
}

static void cut_end(fb_text t)
{
    free((char *)(uintptr_t)t.data);
}

static void group__comes_back_and_no_cut_of_its_head_does(void **state)
{
    static const char KIND[] = "visit.done", NUMBERS[] = "SO 7\n", VERDICT[] = "{\"m\":\"v\"}";
    const stored_group g = {.at_ms = 5,
                            .replaces = 3,
                            .state = 2,
                            .kind = text_of(KIND),
                            .numbers = text_of(NUMBERS),
                            .verdict = text_of(VERDICT),
                            .body = T("{}")};
    stored_group got;
    buf b;
    (void)state;
    buf_init(&b, 4096);
    stored_group_put(&b, &g);
    assert_int_equal(stored_group_get(buf_text(&b), &got), FB_OK);
    assert_int_equal(got.at_ms, 5);
    assert_int_equal(got.replaces, 3);
    assert_int_equal(got.state, 2);
    assert_true(text_equal(got.kind, g.kind) && text_equal(got.numbers, g.numbers));
    assert_true(text_equal(got.verdict, g.verdict) && text_equal(got.body, g.body));
    for (size_t size = 0; size < b.size; size++) {
        fb_text part = cut_to(&b, size);
        fb_code rc = stored_group_get(part, &got);
        assert_int_equal(rc, size < b.size - g.body.size ? FB_E_CORRUPT : FB_OK);
        cut_end(part);
    }
    buf_clear(&b);
}

static void named_values__come_back_and_no_cut_does(void **state)
{
    const named_value values[] = {
        {.name = T("last"), .kind = NAMED_INT, .number = -9},
        {.name = T("url"), .kind = NAMED_TEXT, .bytes = T("https://x")},
        {.name = T("epoch"), .kind = NAMED_BLOB, .bytes = T("0123456789abcdef")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        named_value got;
        bool found = false;
        buf b;
        buf_init(&b, 4096);
        named_put(&b, &values[i]);
        fb_text rest = buf_text(&b);
        assert_int_equal(named_get(&rest, &got, &found), FB_OK);
        assert_true(found && text_equal(got.name, values[i].name) && got.kind == values[i].kind);
        assert_int_equal(got.number, values[i].number);
        assert_true(values[i].kind == NAMED_INT || text_equal(got.bytes, values[i].bytes));
        assert_int_equal(named_get(&rest, &got, &found), FB_OK);
        assert_false(found);
        for (size_t size = 1; size < b.size; size++) {
            fb_text part = cut_to(&b, size);
            rest = part;
            assert_int_equal(named_get(&rest, &got, &found), FB_E_CORRUPT);
            cut_end(part);
        }
        if (values[i].kind == NAMED_BLOB) { /* says that it is a number, and is too long for one */
            b.data[1] = NAMED_INT;
            rest = buf_text(&b);
            assert_int_equal(named_get(&rest, &got, &found), FB_E_CORRUPT);
        }
        buf_clear(&b);
    }
}

static void draft__comes_back_and_no_cut_of_its_head_does(void **state)
{
    const draft d = {.id = {{7}}, .kind = T("order"), .updated_ms = 11, .body = T("{\"c\":1}")};
    draft got;
    buf b;
    (void)state;
    buf_init(&b, 4096);
    second_draft_put(&b, &d);
    assert_int_equal(second_draft_get(buf_text(&b), &got), FB_OK);
    assert_true(id_equal(&got.id, &d.id) && text_equal(got.kind, d.kind));
    assert_true(got.updated_ms == 11 && text_equal(got.body, d.body));
    for (size_t size = 0; size < b.size - d.body.size; size++) {
        fb_text part = cut_to(&b, size);
        assert_int_equal(second_draft_get(part, &got), FB_E_CORRUPT);
        cut_end(part);
    }
    buf_clear(&b);
}

/* One byte says how long a name or kind is, two how long the numbers are. */
static void what_does_not_fit_its_length__is_refused(void **state)
{
    static char many[70000];
    buf b;
    (void)state;
    memset(many, 'n', sizeof many);
    const stored_group kind = {.kind = {many, 256}, .body = T("{}")};
    const stored_group numbers = {.kind = T("k"), .numbers = {many, 65536}, .body = T("{}")};
    const named_value name = {.name = {many, 256}, .kind = NAMED_TEXT, .bytes = T("x")};
    const draft wide = {.kind = {many, 256}, .body = T("{}")};
    for (int i = 0; i < 4; i++) {
        buf_init(&b, 1 << 20);
        if (i < 2) {
            stored_group_put(&b, i == 0 ? &kind : &numbers);
        } else if (i == 2) {
            named_put(&b, &name);
        } else {
            second_draft_put(&b, &wide);
        }
        assert_int_equal(b.code, FB_E_LIMIT);
        assert_int_equal(b.size, 0);
        buf_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group__comes_back_and_no_cut_of_its_head_does),
        cmocka_unit_test(named_values__come_back_and_no_cut_does),
        cmocka_unit_test(draft__comes_back_and_no_cut_of_its_head_does),
        cmocka_unit_test(what_does_not_fit_its_length__is_refused),
    };
    return cmocka_run_group_tests_name("second form", tests, NULL, NULL);
}
