/* test_reply_refused.c - what a device does not believe of a reply, line by line: it says so and
 * its rows, its outbox and its marks are what they were. */
#include <stdlib.h>

#include "support/lab.h"

#include "base/id.h"
#include "wire/sync_msg.h"

#define DB lab_path("reply_refused")
#define PAGE "{\"m\":\"page\",\"tok\":\"0.7\",\"done\":1,\"reset\":0}\n"
#define PART "{\"m\":\"page\",\"tok\":\"0.7\",\"done\":0,\"reset\":0}\n"
#define ANEW "{\"m\":\"page\",\"tok\":\"0.7\",\"done\":0,\"reset\":1}\n"
#define END "{\"m\":\"end\"}\n"
#define RUN(from, to) "{\"m\":\"ok\",\"g\":\"" from "\",\"to\":\"" to "\",\"cid\":\"6\"}\n"
#define CATALOG "{\"m\":\"catalog\",\"catalog\":{\"version\":9,\"modules\":[]}}\n"
#define ID "\"00000000-0000-0000-0000-000000000007\""
#define BLOCK(columns) "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[" columns "]}\n"
#define OFFERED "{\"m\":\"pack\",\"key\":\"00\",\"sig\":\"00\",\"of\":{}}\n"
#define NEWER(columns) "{\"e\":\"from_later\",\"k\":\"row\",\"c\":[" columns "]}\n"

/* The lines behind the head of a reply; what a device that waits for three verdicts says. */
static const struct {
    const char *why, *lines;
    fb_code code;
} REPLIES[] = {
    {"nothing but the head", "", FB_E_TRUNCATED},
    {"no end", PAGE, FB_E_TRUNCATED},
    {"end, and more", PAGE END END, FB_E_PROTOCOL},
    {"a page ends with no other message", PAGE RUN("1", "1") END, FB_E_PROTOCOL},
    {"a verdict behind the catalogue", CATALOG RUN("1", "1") PAGE END, FB_E_PROTOCOL},
    {"two catalogues", CATALOG CATALOG PAGE END, FB_E_PROTOCOL},
    {"a message of which nobody knows", "{\"m\":\"later\"}\n" PAGE END, FB_E_PROTOCOL},
    {"no message", "{}\n" PAGE END, FB_E_PROTOCOL},
    {"not JSON", "{\"m\":\"ok\"\n" PAGE END, FB_E_JSON},
    {"a verdict that nobody asked for", RUN("1", "4") PAGE END, FB_E_PROTOCOL},
    {"a run that begins before the first", RUN("0", "2") PAGE END, FB_E_PROTOCOL},
    {"a run that ends before it begins", RUN("2", "1") PAGE END, FB_E_PROTOCOL},
    {"a run with a gap", RUN("2", "3") PAGE END, FB_E_PROTOCOL},
    {"a row without a block", PAGE "[" ID "]\n" END, FB_E_PROTOCOL},
    {"a block of no kind", PAGE "{\"e\":\"lab_item\",\"k\":\"rows\",\"c\":[\"id\"]}\n" END,
     FB_E_PROTOCOL},
    {"a block without columns", PAGE "{\"e\":\"lab_item\",\"k\":\"row\"}\n" END, FB_E_PROTOCOL},
    {"a column twice", PAGE BLOCK("\"id\",\"ver\",\"name\",\"name\"") END, FB_E_PROTOCOL},
    {"a row shorter than its block", PAGE BLOCK("\"id\",\"ver\",\"name\"") "[" ID ",\"60\"]\n" END,
     FB_E_PROTOCOL},
    {"a row longer than its block", PAGE BLOCK("\"id\",\"ver\"") "[" ID ",\"60\",1]\n" END,
     FB_E_PROTOCOL},
    {"a value of another type", PAGE BLOCK("\"id\",\"ver\",\"name\"") "[" ID ",\"60\",7]\n" END,
     FB_E_PROTOCOL},
    {"a row without an id", PAGE BLOCK("\"id\",\"ver\"") "[null,\"60\"]\n" END, FB_E_PROTOCOL},
    {"a block without ids", PAGE BLOCK("\"ver\",\"name\"") "[\"60\",\"x\"]\n" END, FB_E_PROTOCOL},
    {"a reference in the place of an id",
     PAGE BLOCK("\"parent_id\",\"ver\"") "[" ID ",\"60\"]\n" END, FB_E_PROTOCOL},
    {"an id that is none", PAGE BLOCK("\"id\",\"ver\"") "[\"7\",\"60\"]\n" END, FB_E_PROTOCOL},
    {"later: no ids", PAGE NEWER("\"name\"") "[\"x\"]\n" END, FB_E_PROTOCOL},
    {"later: an id that is none", PAGE NEWER("\"name\",\"id\"") "[\"x\",\"7\"]\n" END,
     FB_E_PROTOCOL},
    {"later: no id", PAGE NEWER("\"id\"") "[null]\n" END, FB_E_PROTOCOL},
    {"later: not JSON", PAGE NEWER("\"id\"") "[" ID "\n" END, FB_E_JSON},
    {"a message among the rows that is none", PAGE "{\"m\":7}\n" END, FB_E_PROTOCOL},
    {"a row of nothing", PAGE BLOCK("\"id\"") "[]\n" END, FB_E_PROTOCOL},
    {"a move that moves nothing",
     PAGE "{\"e\":\"lab_item\",\"k\":\"move\",\"c\":[\"id\"]}\n[" ID "]\n" END, FB_E_PROTOCOL},
    {"a move without an id",
     PAGE "{\"e\":\"lab_item\",\"k\":\"move\",\"c\":[\"name\"]}\n[\"x\"]\n" END, FB_E_PROTOCOL},
    {"packs and no page", OFFERED END, FB_E_PROTOCOL},
    {"packs with a page that goes on", OFFERED PART END, FB_E_PROTOCOL},
    {"packs with all there is",
     OFFERED "{\"m\":\"page\",\"tok\":\"0.7\",\"done\":1,\"reset\":1}\n" END, FB_E_PROTOCOL},
    {"a verdict behind packs", OFFERED RUN("1", "1") ANEW END, FB_E_PROTOCOL},
    {"a catalogue behind packs", OFFERED CATALOG ANEW END, FB_E_PROTOCOL},
    {"a later page has nothing to go on from",
     "{\"m\":\"page\",\"tok\":\"0.7\",\"of\":\"0000000000000000\",\"done\":1,\"reset\":0}\n" END,
     FB_E_PROTOCOL},
};

static fb_code stage(lab *l, const char *lines, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 7);
    buf_put_text(&out, text_of(lines));
    fb_code rc = stage_reply(l->r, buf_text(&out), l->wall_ms, &got, err);
    buf_clear(&out);
    return rc;
}

static int64_t marks(lab *l)
{
    return lab_count(l, "SELECT (SELECT total(value) + total(length(quote(value))) FROM fb_meta) + "
                        "(SELECT count(*) FROM fb_verdict) + (SELECT count(*) FROM fb_stage) + "
                        "(SELECT count(*) FROM fb_unknown)");
}

static void reply__a_line_that_cannot_be_so_changes_nothing(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    for (unsigned i = 1; i <= 3; i++) {
        lab_save(&l, i, "mine", 1);
    }
    int64_t before = marks(&l);
    for (size_t i = 0; i < sizeof REPLIES / sizeof REPLIES[0]; i++) {
        fb_error err = {.code = FB_OK};
        fb_code rc = stage(&l, REPLIES[i].lines, &err);
        if (rc != REPLIES[i].code || err.code != rc || err.field[0] == '\0') {
            fail_msg("%s: %s, in %s", REPLIES[i].why, fb_code_name(rc), err.field);
        }
        if (marks(&l) != before || lab_count(&l, "SELECT count(*) FROM lab_item") != 3) {
            fail_msg("%s: something was changed", REPLIES[i].why);
        }
    }
    lab_check(&l);
    fb_error err = {.code = FB_OK};
    assert_int_equal(stage(&l, RUN("1", "3") PAGE END, &err), FB_OK); /* the sound one passes */
    lab_check(&l);
    lab_stop(&l);
}

/* The clock is corrected by the middle of the exchange, where there is one to speak of; nobody has
 * to want to know what is wrong. */
static void reply__any_time_of_the_request_will_do(void **state)
{
    lab l;
    buf out;
    stage_result got;
    (void)state;
    lab_start(&l, DB, 2);
    const int64_t asked_ms[] = {0, -5, l.wall_ms - 2000, l.wall_ms + 5000,
                                l.wall_ms - INT64_C(86400000)};
    for (size_t i = 0; i < sizeof asked_ms / sizeof asked_ms[0]; i++) {
        reply_begin(&l, &out, 0, 0, 7);
        buf_put_text(&out, text_of(PAGE END));
        assert_int_equal(stage_reply(l.r, buf_text(&out), asked_ms[i], &got, NULL), FB_OK);
        buf_clear(&out);
    }
    reply_begin(&l, &out, 5, 0, 7);
    buf_put_text(&out, text_of(PAGE END));
    assert_int_equal(stage_reply(l.r, buf_text(&out), l.wall_ms, &got, NULL), FB_E_FORK);
    buf_clear(&out);
    lab_check(&l);
    lab_stop(&l);
}

static void reply__larger_than_any_page_is_not_read(void **state)
{
    lab l;
    stage_result got;
    fb_error err = {.code = FB_OK};
    char *large = calloc(1, PAGE_BYTES_MAX + 1);
    (void)state;
    assert_non_null(large);
    lab_start(&l, DB, 2);
    assert_int_equal(stage_reply(l.r, (fb_text){large, PAGE_BYTES_MAX + 1}, l.wall_ms, &got, &err),
                     FB_E_LIMIT);
    assert_string_equal(err.field, "body");
    lab_check(&l);
    lab_stop(&l);
    free(large);
}

static void reply__another_version_of_the_protocol_is_named(void **state)
{
    lab l;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 2);
    const sync_reply m = {
        .protocol = PROTOCOL_VERSION + 1, .epoch = l.epoch, .server_wall_ms = l.wall_ms};
    buf_init(&out, PAGE_BYTES_MAX);
    sync_reply_put(&out, &m);
    buf_put_text(&out, text_of(PAGE END));
    assert_int_equal(stage_reply(l.r, buf_text(&out), l.wall_ms, &got, &err), FB_E_VERSION);
    assert_string_equal(err.field, "v");
    buf_clear(&out);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reply__a_line_that_cannot_be_so_changes_nothing),
        cmocka_unit_test(reply__any_time_of_the_request_will_do),
        cmocka_unit_test(reply__larger_than_any_page_is_not_read),
        cmocka_unit_test(reply__another_version_of_the_protocol_is_named),
    };
    return cmocka_run_group_tests_name("reply_refused", tests, NULL, NULL);
}
