/* test_sync_answers.c - what the rooms of core/sync make of calls and answers that are not what
 * they should be: each is refused by name, the outbox stays, and the session learns whether to go
 * on. */
#include <stdlib.h>

#include "base/id.h"
#include "schema/limits.h"
#include "support/lab.h"
#include "sync/fetch.h"
#include "sync/lane_work.h"
#include "sync/pull.h"
#include "sync/push.h"
#include "wire/sync_msg.h"

#define DB lab_path("sync_answers")
#define REFUSED(call) assert_int_equal(call, FB_E_MISUSE)
enum { OK_STATUS = 200, NO_STATUS = 403, BODY_MAX = 4 << 20 };

/* --- wrong calls ---------------------------------------------------------------------------- */

static void wrong_calls__are_refused(void **state)
{
    lab l;
    buf body;
    fb_error err;
    pack_want want = {.any = true};
    pull_answer a = {.status = OK_STATUS};
    pull_result pulled;
    fetch_result fetched;
    push_plan plan = {.wait_ms = 0};
    push_request pushed;
    blob_rules rules = {true, true};
    lane_clock clock = {1, 1};
    lane_request q = {.path = "/v1/blob/have"};
    lane_result got;
    lane_machine machine;
    session_action action;
    (void)state;
    buf_init(&body, BODY_MAX);
    lab_start(&l, DB, 1);
    REFUSED(fetch_build(NULL, 1, &want, &body));
    REFUSED(fetch_build(l.r, 1, NULL, &body));
    REFUSED(fetch_build(l.r, 1, &want, NULL));
    REFUSED(fetch_build(l.r, 0, &want, &body));
    REFUSED(fetch_take(NULL, &want, &a, &fetched, &err));
    REFUSED(fetch_take(l.r, NULL, &a, &fetched, &err));
    REFUSED(fetch_take(l.r, &want, NULL, &fetched, &err));
    REFUSED(fetch_take(l.r, &want, &a, NULL, &err));
    REFUSED(pull_take(NULL, &a, &pulled, &err));
    REFUSED(pull_take(l.r, NULL, &pulled, &err));
    REFUSED(pull_take(l.r, &a, NULL, &err));
    REFUSED(pull_refusal(NULL, &a, &pulled, &err));
    REFUSED(pull_refusal(l.r, NULL, &pulled, &err));
    REFUSED(pull_refusal(l.r, &a, NULL, &err));
    REFUSED(push_build(NULL, &plan, &body, &pushed, &err));
    REFUSED(push_build(l.r, NULL, &body, &pushed, &err));
    REFUSED(push_build(l.r, &plan, NULL, &pushed, &err));
    REFUSED(push_build(l.r, &plan, &body, NULL, &err));
    REFUSED(lane_build(NULL, &rules, 1, &clock, &body, &q));
    REFUSED(lane_build(l.r, NULL, 1, &clock, &body, &q));
    REFUSED(lane_build(l.r, &rules, 1, &clock, NULL, &q));
    REFUSED(lane_build(l.r, &rules, 1, &clock, &body, NULL));
    REFUSED(lane_take(NULL, &q, &a, &clock, &got, &err));
    REFUSED(lane_take(l.r, NULL, &a, &clock, &got, &err));
    REFUSED(lane_take(l.r, &q, NULL, &clock, &got, &err));
    REFUSED(lane_take(l.r, &q, &a, &clock, NULL, &err));
    q.path = NULL; /* nothing was asked */
    REFUSED(lane_take(l.r, &q, &a, &clock, &got, &err));
    lane_init(&machine, 0);
    REFUSED(lane_step(NULL, EV_START, 0, 0, &action));
    REFUSED(session_step(NULL, EV_START, 0, 0, &action));
    REFUSED(session_step(&machine.session, EV_START, 0, 0, NULL));
    assert_int_equal(machine.session.state, SES_IDLE);
    lab_check(&l);
    lab_stop(&l);
    buf_clear(&body);
}

/* --- up ------------------------------------------------------------------------------------- */

static void push__a_device_that_nobody_enrolled_says_so(void **state)
{
    lab l;
    buf body;
    push_request out;
    fb_error err = {.code = FB_OK};
    (void)state;
    buf_init(&body, BODY_MAX);
    lab_init(&l, DB, NULL, 1);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    assert_int_equal(push_build(l.r, &(push_plan){.wait_ms = 5}, &body, &out, &err), FB_E_AUTH);
    assert_string_equal(err.field, "device");
    lab_stop(&l);
    buf_clear(&body);
}

/* Twenty groups of 100 KB that do not shrink: a plan without limits takes as many as one body
 * carries, and asks to wait only when it carries none. */
static void push__a_body_carries_what_fits(void **state)
{
    enum { GROUPS = 20, ROWS = 50, NOTE = 1900 };
    lab l;
    buf body;
    push_request out;
    fb_error err = {.code = FB_OK};
    (void)state;
    buf_init(&body, BODY_MAX);
    lab_start(&l, DB, 1);
    assert_int_equal(push_build(l.r, &(push_plan){.wait_ms = 5}, &body, &out, &err), FB_OK);
    assert_true(out.groups_count == 0 && out.wait_ms == 5);
    for (unsigned g = 0; g < GROUPS; g++) {
        lab_begin(&l, "lab.save");
        for (unsigned i = 0; i < ROWS; i++) {
            char note[NOTE + 1];
            for (size_t k = 0; k < NOTE; k++) {
                note[k] = (char)('0' + lab_random(&l) % 64);
            }
            note[NOTE] = '\0';
            lab_insert(&l, 10 + g * ROWS + i, "one", 1);
            lab_set(&l, 10 + g * ROWS + i, l.note, note);
        }
        lab_commit(&l);
    }
    assert_int_equal(push_build(l.r, &(push_plan){.wait_ms = 5}, &body, &out, &err), FB_OK);
    assert_true(body.size <= PUSH_BODY_BYTES_TARGET);
    assert_true(out.first == 1 && out.groups_count > 1 && out.groups_count < GROUPS);
    assert_int_equal(out.wait_ms, 0);
    uint32_t most = out.groups_count;
    assert_int_equal(push_build(l.r, &(push_plan){.groups_max = 2}, &body, &out, &err), FB_OK);
    assert_true(out.groups_count == 2 && most > 2);
    assert_int_equal(push_build(l.r, &(push_plan){.group_bytes = 1}, &body, &out, &err), FB_OK);
    assert_int_equal(out.groups_count, 1);
    lab_stop(&l);
    buf_clear(&body);
}

/* Text in which every byte tells as much as UTF-8 lets it: zstd makes it no shorter. */
static fb_text dense_text(lab *l, char *room, size_t size)
{
    size_t at = 0;
    while (at + 3 <= size) {
        uint64_t pick = lab_random(l) % 20, c = lab_random(l);
        if (pick < 14) {
            char plain = (char)(0x20 + c % 0x5f);
            room[at] = plain;
            at += plain != '"' && plain != '\\';
        } else if (pick < 19) {
            room[at++] = (char)(0xc2 + c % 0x1e);
            room[at++] = (char)(0x80 + (c >> 8) % 0x40);
        } else {
            room[at++] = (char)(0xe1 + c % 0x0c);
            room[at++] = (char)(0x80 + (c >> 8) % 0x40);
            room[at++] = (char)(0x80 + (c >> 16) % 0x40);
        }
    }
    return (fb_text){room, at};
}

/* A group as large as one may be, of text that does not shrink, was saved: the server, which takes
 * SYNC_BODY_BYTES_MAX, must take it too. It was refused, again and again, and all behind it waited.
 */
static void push__the_largest_group_fits_a_body(void **state)
{
    enum { ROWS = 16, NOTE = 65470 };
    static char room[NOTE];
    lab l;
    buf body;
    push_request out;
    fb_error err = {.code = FB_OK};
    (void)state;
    buf_init(&body, BODY_MAX);
    lab_start(&l, DB, 1);
    lab_begin(&l, "lab.save");
    for (unsigned i = 0; i < ROWS; i++) {
        fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(10 + i)};
        values[l.note] = (fb_value){.kind = FB_KIND_TEXT, .u.text = dense_text(&l, room, NOTE)};
        if (capture_insert(l.r, l.item, values, &err) != FB_OK) {
            fail_msg("%s: %s", err.field, err.message);
        }
    }
    lab_commit(&l);
    lab_save(&l, 2, "behind it", 1);
    assert_int_equal(push_build(l.r, &(push_plan){.wait_ms = 5}, &body, &out, &err), FB_OK);
    assert_true(out.first == 1 && out.groups_count == 1);
    assert_true(body.size > GROUP_BYTES_MAX && body.size <= SYNC_BODY_BYTES_MAX);
    lab_stop(&l);
    buf_clear(&body);
}

/* --- down ----------------------------------------------------------------------------------- */

/* Two groups wait and both were sent. */
static void world(lab *l)
{
    lab_start(l, DB, 1);
    lab_save(l, 1, "one", 1);
    lab_save(l, 2, "two", 2);
}

static const struct {
    const char *why, *lines; /* behind the head */
    fb_code code;
    session_event event;
    int64_t applied;
    bool reborn, other_epoch;
} REPLIES[] = {
    {"nothing judged, nothing new", "{\"m\":\"page\",\"tok\":\"0.6\",\"done\":1}\n", FB_OK,
     EV_LATER, 0, false, false},
    {"one judged",
     "{\"m\":\"ok\",\"g\":\"1\",\"to\":\"1\",\"cid\":\"6\"}\n"
     "{\"m\":\"page\",\"tok\":\"0.6\",\"done\":1}\n",
     FB_OK, EV_MORE, 1, false, false},
    {"both judged",
     "{\"m\":\"ok\",\"g\":\"1\",\"to\":\"2\",\"cid\":\"6\"}\n"
     "{\"m\":\"page\",\"tok\":\"0.6\",\"done\":1}\n",
     FB_OK, EV_DONE, 2, false, false},
    {"none judged, but a row",
     "{\"m\":\"page\",\"tok\":\"0.6\",\"done\":1}\n"
     "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\"]}\n"
     "[\"00000000-0000-0000-0000-000000000007\",\"6\",\"seven\"]\n",
     FB_OK, EV_MORE, 0, false, false},
    {"verdicts for groups that this file never wrote",
     "{\"m\":\"page\",\"tok\":\"0.6\",\"done\":1}\n", FB_OK, EV_MORE, 9, true, false},
    {"another epoch", "{\"m\":\"page\",\"tok\":\"0.6\",\"done\":0,\"reset\":1}\n", FB_OK, EV_MORE,
     0, false, true},
};

static void pull__what_was_judged_says_whether_to_go_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REPLIES / sizeof REPLIES[0]; i++) {
        lab l;
        buf out;
        pull_result got;
        fb_error err = {.code = FB_OK};
        world(&l);
        l.epoch.b[3] ^= REPLIES[i].other_epoch;
        reply_begin(&l, &out, REPLIES[i].applied, 0, 6);
        buf_put_text(&out, text_of(REPLIES[i].lines));
        buf_put_text(&out, T("{\"m\":\"end\"}\n"));
        const pull_answer a = {.status = OK_STATUS,
                               .body = buf_text(&out),
                               .request_wall_ms = l.wall_ms,
                               .groups_sent = 2};
        fb_code rc = pull_take(l.r, &a, &got, &err);
        if (rc != REPLIES[i].code || got.event != REPLIES[i].event ||
            got.reborn != REPLIES[i].reborn) {
            fail_msg("%s: %s %s (%s), event %d, reborn %d", REPLIES[i].why, fb_code_name(rc),
                     err.field, err.message, got.event, got.reborn);
        }
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 2);
        buf_clear(&out);
        lab_stop(&l);
    }
}

/* Answers that are not 200. `code` FB_OK: bytes that are no message. */
static const struct {
    const char *bytes;
    fb_code code;
    int status;
    bool zstd;
    fb_code rc; /* of pull_take */
    session_event event, chunk_event;
    bool chunk_dropped;
} NOS[] = {
    {NULL, FB_E_NOT_FOUND, NO_STATUS, false, FB_E_NOT_FOUND, EV_LATER, EV_MORE, true},
    {NULL, FB_E_SCOPE, NO_STATUS, false, FB_E_SCOPE, EV_REFUSED, EV_MORE, true},
    {NULL, FB_E_PATH, NO_STATUS, false, FB_E_PATH, EV_LATER, EV_MORE, true},
    {NULL, FB_E_METHOD, NO_STATUS, false, FB_E_METHOD, EV_LATER, EV_MORE, true},
    {NULL, FB_E_AUTH, NO_STATUS, false, FB_E_AUTH, EV_REFUSED, EV_REFUSED, false},
    {NULL, FB_E_VERSION, NO_STATUS, false, FB_E_VERSION, EV_REFUSED, EV_REFUSED, false},
    {NULL, FB_E_GAP, NO_STATUS, false, FB_E_GAP, EV_LATER, EV_LATER, false},
    {NULL, FB_E_BUSY, NO_STATUS, false, FB_OK, EV_LATER, EV_LATER, false},
    {NULL, FB_E_DISK_FULL, NO_STATUS, false, FB_OK, EV_LATER, EV_LATER, false},
    {"<html>sign in</html>", FB_OK, 302, false, FB_E_OFFLINE, EV_LATER, EV_LATER, false},
    {"<html>sign in</html>", FB_OK, 511, false, FB_E_OFFLINE, EV_LATER, EV_LATER, false},
    {"<html>too much</html>", FB_OK, 429, false, FB_OK, EV_LATER, EV_LATER, false},
    {"<html>no backend</html>", FB_OK, 502, false, FB_OK, EV_LATER, EV_LATER, false},
    {"{\"m\":\"error\",\"code\":\"OK\"}", FB_OK, NO_STATUS, false, FB_E_PROTOCOL, EV_LATER,
     EV_LATER, false},
    {"not packed", FB_OK, NO_STATUS, true, FB_E_OFFLINE, EV_LATER, EV_LATER, false},
};

static void refusal__says_what_to_do_and_leaves_the_outbox(void **state)
{
    lab l;
    (void)state;
    world(&l);
    for (size_t i = 0; i < sizeof NOS / sizeof NOS[0]; i++) {
        buf out;
        pull_result got;
        fetch_result fetched;
        fb_error err = {.code = FB_OK};
        buf_init(&out, BODY_MAX);
        if (NOS[i].bytes != NULL) {
            buf_put_text(&out, text_of(NOS[i].bytes));
        } else {
            error_msg_put(&out, &(error_msg){.code = NOS[i].code, .text = T("no")});
        }
        const pull_answer a = {
            .status = NOS[i].status, .zstd = NOS[i].zstd, .body = buf_text(&out), .groups_sent = 2};
        fb_code rc = pull_take(l.r, &a, &got, &err);
        if (rc != NOS[i].rc || got.event != NOS[i].event ||
            (rc != FB_OK && strcmp(err.field, "server") != 0)) {
            fail_msg("pull %zu: %s %s, event %d", i, fb_code_name(rc), err.field, got.event);
        }
        rc = fetch_take(l.r, &(pack_want){.any = true, .left = 3}, &a, &fetched, &err);
        if (rc != (NOS[i].chunk_dropped ? FB_OK : NOS[i].rc) ||
            fetched.event != NOS[i].chunk_event || fetched.dropped != NOS[i].chunk_dropped) {
            fail_msg("fetch %zu: %s, event %d", i, fb_code_name(rc), fetched.event);
        }
        buf_clear(&out);
    }
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=0"), 2);
    lab_check(&l);
    lab_stop(&l);
}

static void answers__larger_than_any_page_are_left_alone(void **state)
{
    lab l;
    char *large = calloc(1, PAGE_BYTES_MAX + 1);
    pull_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    assert_non_null(large);
    world(&l);
    const pull_answer a = {.status = OK_STATUS, .body = {large, PAGE_BYTES_MAX + 1}};
    assert_int_equal(pull_take(l.r, &a, &got, &err), FB_E_LIMIT);
    assert_string_equal(err.field, "reply");
    assert_int_equal(got.event, EV_LATER);
    const pull_answer no = {.status = NO_STATUS, .body = {large, PAGE_BYTES_MAX + 1}};
    assert_int_equal(pull_take(l.r, &no, &got, &err), FB_E_OFFLINE);
    lab_check(&l);
    lab_stop(&l);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_calls__are_refused),
        cmocka_unit_test(push__a_device_that_nobody_enrolled_says_so),
        cmocka_unit_test(push__a_body_carries_what_fits),
        cmocka_unit_test(push__the_largest_group_fits_a_body),
        cmocka_unit_test(pull__what_was_judged_says_whether_to_go_on),
        cmocka_unit_test(refusal__says_what_to_do_and_leaves_the_outbox),
        cmocka_unit_test(answers__larger_than_any_page_are_left_alone),
    };
    return cmocka_run_group_tests_name("sync_answers", tests, NULL, NULL);
}
