/* test_csv.c - CSV is read strictly (CSV-1) and what is written is read again. Method: tables of
 * texts and of fields; tests/fuzz/target_csv.c does the same with texts from anywhere. */
#include "support/wire_fixture.h"

#include "base/csv.h"

static arena *memory;

static int setup(void **state)
{
    (void)state;
    memory = arena_new(1 << 20);
    return memory == NULL;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(memory);
    return 0;
}

/* Records up to the end as "[a|b][c]", or the reason and line of the refusal. */
static const char *read_text(fb_text text)
{
    static char out[512];
    size_t used = 0;
    csv_reader r;
    fb_text fields[CSV_FIELDS_MAX];
    uint32_t count = 0;
    fb_code rc = FB_OK;
    out[0] = '\0';
    csv_reader_init(&r, text, memory);
    while ((rc = csv_next(&r, fields, &count)) == FB_OK && count > 0) {
        for (uint32_t i = 0; i < count; i++) {
            used += (size_t)snprintf(out + used, sizeof out - used, "%c%.*s", i == 0 ? '[' : '|',
                                     (int)fields[i].size, fields[i].data);
        }
        used += (size_t)snprintf(out + used, sizeof out - used, "]");
    }
    if (rc != FB_OK) {
        snprintf(out, sizeof out, "%s %u %s", fb_code_name(rc), (unsigned)r.line, r.why);
    }
    return out;
}

static void csv__records_are_read(void **state)
{
    (void)state;
    assert_string_equal(read_text(T("a,b\nc\r\n")), "[a|b][c]");
    assert_string_equal(read_text(T("\"a,\"\"b\"\"\n\",\n,")), "[a,\"b\"\n|][|]");
    assert_string_equal(read_text(T("\xEF\xBB\xBF"
                                    "a\n")),
                        "[a]");
    assert_string_equal(read_text(T("\n")), "[]");
}

static void csv__a_text_of_nothing_has_no_records(void **state)
{
    (void)state;
    assert_string_equal(read_text((fb_text){NULL, 0}), "");
    assert_string_equal(read_text(T("\xEF\xBB\xBF")), "");
}

static void csv__doubt_stops_with_the_line(void **state)
{
    (void)state;
    assert_string_equal(read_text(T("a\nb\"\n")),
                        "E_FORMAT 2 a quote stands inside a field that is not quoted");
    assert_string_equal(read_text(T("\"a\"b\n")), "E_FORMAT 1 text stands behind a closing quote");
    assert_string_equal(read_text(T("a\n\n\"b\n")), "E_FORMAT 3 a quote is never closed");
    assert_string_equal(read_text(T("a\n\xFF\n")), "E_FORMAT 2 a field is not valid UTF-8");
}

/* Found by fuzzing: a first field that began with U+FEFF lost it when it was read again. */
static void csv__fields_survive_writing_and_reading(void **state)
{
    static const char *const FIELDS[] = {"a",
                                         "",
                                         "a\"b",
                                         "1\r\n2",
                                         ",",
                                         "\xEF\xBB\xBF"
                                         "a",
                                         "\"\""};
    (void)state;
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        char wanted[64];
        buf out;
        buf_init(&out, 1024);
        csv_put(&out, text_of(FIELDS[i]));
        buf_put_str(&out, "\r\n");
        snprintf(wanted, sizeof wanted, "[%s]", FIELDS[i]);
        assert_string_equal(read_text(buf_text(&out)), wanted);
        buf_clear(&out);
    }
}

static void csv__a_spreadsheet_runs_nothing(void **state)
{
    static const char *const FIELDS[] = {"=1", "+1", "-1", "@a", "\ta", "\ra"};
    (void)state;
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        buf out;
        buf_init(&out, 1024);
        csv_put_safe(&out, text_of(FIELDS[i]));
        assert_true(out.data[0] == '\'' || (out.data[0] == '"' && out.data[1] == '\''));
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv__records_are_read),
        cmocka_unit_test(csv__a_text_of_nothing_has_no_records),
        cmocka_unit_test(csv__doubt_stops_with_the_line),
        cmocka_unit_test(csv__fields_survive_writing_and_reading),
        cmocka_unit_test(csv__a_spreadsheet_runs_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
