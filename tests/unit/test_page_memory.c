/* test_page_memory.c - a page that comes while memory is short: it is told as that, never as a page
 * that cannot be read, and nothing is changed. Who hears E_PROTOCOL reports the server; who hears
 * E_NO_MEMORY tries again.
 *
 * Method: arena_take is wrapped by the linker and fails at its n-th call, for every n. */
#include "support/lab.h"

#define DB lab_path("page_memory")

enum { TAKES_MAX = 2000 };

static uint64_t fails_in; /* 0: never; the linker's wrapper has no context */
static bool failed;

void *__real_arena_take(arena *a, size_t size);
void *__wrap_arena_take(arena *a, size_t size);
void *__wrap_arena_take(arena *a, size_t size)
{
    if (fails_in > 0 && --fails_in == 0) {
        failed = true;
        return NULL;
    }
    return __real_arena_take(a, size);
}

/* Rows of an entity that no catalogue here knows, and a column of one that it does; names are
 * escaped, so that reading them takes memory. */
static void page_put(lab *l, buf *out)
{
    reply_begin(l, out, 0, 0, 5);
    reply_page(out, "0.5", true, false);
    reply_row(l, out, 1, "one", NULL, 3, 50);
    buf_put_str(
        out,
        "{\"e\":\"lab_more\",\"k\":\"row\",\"c\":[\"t\\u0069tle\",\"\\u0069d\",\"v\\u0065r\"]}\n");
    buf_put_str(out, "[\"hello\",\"\\u00301900000-0000-7000-8000-000000000001\",\"\\u0035\"]\n");
    buf_put_str(
        out, "{\"e\":\"lab_item\",\"k\":\"row\",\"\\u0063\":[\"id\",\"ver\",\"l\\u0061ter\"]}\n");
    buf_put_str(
        out,
        "[\"01900000-0000-7000-8000-000000000001\",\"51\",{\"hell\\u006f\":\"\\u0068ello\"}]\n");
}

static void page__told_as_lack_of_memory(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 21);
    uint64_t n = 0;
    do {
        buf out;
        stage_result got = {.complete = false};
        fb_error err = {0};
        page_put(&l, &out);
        failed = false;
        fails_in = ++n;
        fb_code rc = reply_try(&l, &out, &got, &err);
        fails_in = 0;
        if (rc != FB_OK && rc != FB_E_NO_MEMORY) {
            fail_msg("at %llu: %s %s: %s", (unsigned long long)n, fb_code_name(rc), err.field,
                     err.message);
        }
        assert_true(failed || rc == FB_OK);
    } while (failed && n < TAKES_MAX);
    assert_true(n > 10 && n < TAKES_MAX);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 2);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page__told_as_lack_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
