/* target_csv.c - CSV: every record that is read is written and read again with the same fields; the
 * safe form never begins a field with a character that a spreadsheet runs (CSV-1). */
#include "fuzz.h"

#include "base/csv.h"

enum { TEXT_BYTES = 4 << 20 };
static arena *first_memory, *second_memory;

void fuzz_open(void)
{
    first_memory = arena_new(TEXT_BYTES);
    second_memory = arena_new(TEXT_BYTES);
    MUST(first_memory != NULL && second_memory != NULL);
}

void fuzz_finish(void)
{
    arena_free(first_memory);
    arena_free(second_memory);
}

static void put_record(buf *out, const fb_text *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_put_char(out, ',');
        }
        csv_put(out, fields[i]);
    }
    buf_put_str(out, "\r\n");
}

static void safe_field(fb_text field)
{
    buf out;
    buf_init(&out, TEXT_BYTES);
    csv_put_safe(&out, field);
    MUST_OK(out.code);
    size_t at = out.size > 0 && out.data[0] == '"' ? 1 : 0;
    MUST(at >= out.size || memchr("=+-@\t\r", out.data[at], 6) == NULL);
    buf_clear(&out);
}

static void same_record(csv_reader *again, const fb_text *fields, uint32_t count)
{
    fb_text got[CSV_FIELDS_MAX];
    uint32_t got_count = 0;
    MUST_OK(csv_next(again, got, &got_count));
    MUST(got_count == count);
    for (uint32_t i = 0; i < count; i++) {
        MUST(text_equal(fields[i], got[i]));
        safe_field(got[i]);
    }
}

/* Records up to the end or the first failure; how many. */
static uint32_t read_all(fb_text in, buf *out)
{
    csv_reader r;
    fb_text fields[CSV_FIELDS_MAX];
    uint32_t count = 0, records = 0;
    fb_code rc = FB_OK;
    csv_reader_init(&r, in, first_memory);
    while ((rc = csv_next(&r, fields, &count)) == FB_OK && count > 0) {
        put_record(out, fields, count);
        records++;
    }
    MUST(rc == FB_OK || rc == FB_E_FORMAT || rc == FB_E_LIMIT);
    MUST(rc != FB_E_FORMAT || (r.why != NULL && r.line > 0));
    return records;
}

static void compare(fb_text in, fb_text written, uint32_t records)
{
    csv_reader r, again;
    fb_text fields[CSV_FIELDS_MAX];
    uint32_t count = 0;
    arena_reset(first_memory);
    csv_reader_init(&r, in, first_memory);
    csv_reader_init(&again, written, second_memory);
    for (uint32_t i = 0; i < records; i++) {
        MUST_OK(csv_next(&r, fields, &count));
        same_record(&again, fields, count);
    }
    MUST_OK(csv_next(&again, fields, &count));
    MUST(count == 0);
}

void fuzz_run(fb_text in)
{
    buf out;
    buf_init(&out, TEXT_BYTES);
    arena_reset(first_memory);
    arena_reset(second_memory);
    uint32_t records = read_all(in, &out);
    MUST_OK(out.code);
    compare(in, buf_text(&out), records);
    buf_clear(&out);
}

void fuzz_seeds(void)
{
    static const char *const TEXTS[] = {"a,b\r\n\"x \"\"y\"\"\",\"1\n2\"\r\n",
                                        "\357\273\277code,name\nC1,\345\214\227\n",
                                        "=1+1,+2,-3,@a,\"\t\"\n,,\n",
                                        "\"a\"b\n",
                                        "a\"b\n",
                                        "\"open"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        seed_put(text_of(TEXTS[i]));
    }
    seed_whole("", "tests/data/northwind/categories.csv");
    seed_whole("", "tests/data/northwind/regions.csv");
}
