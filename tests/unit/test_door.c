/* test_door.c - codes, tokens, device status, rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/raw_device.h"
#include "sync-server/door/code.h"
#include "sync-server/door/door.h"

#include <cmocka.h>

static int setup(void **state)
{
    static raw_world w;
    raw_world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    raw_world_close(*state);
    return 0;
}

static fb_code enrol(raw_world *w, fb_text code, uint8_t token, arena *memory, enrol_reply *out)
{
    const door_enrolment how = {.now_ms = w->now_ms, .port = &w->port};
    enrol_request m = {
        .protocol = 1, .code = code, .platform = text_of("linux"), .name = text_of("phone")};
    memset(m.token.b, token, sizeof m.token.b);
    assert_int_equal(store_begin(w->admin), FB_OK);
    fb_code rc = door_enrol(w->admin, &how, &m, memory, out);
    if (rc == FB_OK) {
        assert_int_equal(store_commit(w->admin), FB_OK);
    } else {
        store_rollback(w->admin);
    }
    return rc;
}

static void code_makes_one_device_and_the_same_answer_again(void **state)
{
    raw_world *w = *state;
    arena *memory = arena_new(1 << 20);
    char room[32];
    enrol_reply first, second;
    fb_text code = raw_code_make(w, &w->users[0], room);
    assert_int_equal(enrol(w, code, 1, memory, &first), FB_OK);
    assert_true(text_is(first.device_code, "A1"));
    assert_true(id_equal(&first.user, &w->users[0]));
    assert_true(text_is(first.user_code, "R1"));
    int64_t head = 0, after = 0;
    assert_int_equal(ledger_head(w->admin, &head), FB_OK);
    assert_int_equal(enrol(w, code, 1, memory, &second), FB_OK); /* the reply was lost */
    assert_int_equal(ledger_head(w->admin, &after), FB_OK);
    assert_int_equal(head, after);
    assert_true(id_equal(&first.device, &second.device));
    assert_int_equal(enrol(w, code, 2, memory, &second), FB_E_CODE); /* another phone */
    assert_int_equal(enrol(w, raw_code_make(w, &w->users[1], room), 3, memory, &second), FB_OK);
    assert_true(text_is(second.device_code, "A2"));
    arena_free(memory);
}

static void enrolment_writes_the_rows_people_see(void **state)
{
    raw_world *w = *state;
    arena *memory = arena_new(1 << 20);
    char room[32], text[256];
    enrol_reply reply;
    assert_int_equal(enrol(w, raw_code_make(w, &w->users[0], room), 1, memory, &reply), FB_OK);
    raw_server_text(w, "device", &reply.device, "device_code", text);
    assert_string_equal(text, "A1");
    raw_server_text(w, "device", &reply.device, "status", text);
    assert_string_equal(text, "active");
    const cat_entity *e = catalog_entity_str(store_catalog(w->admin), "number_range");
    fb_value equal = {.kind = FB_KIND_ID, .u.id = reply.device}, row[CATALOG_COLUMNS_LIMIT];
    assert_int_equal(store_row_by(w->admin, e, cat_column_str(e, "device_id"), &equal, memory, row),
                     FB_OK);
    assert_int_equal(row[cat_column_str(e, "next_no")].u.i, 1);
    fb_value visit = {.kind = FB_KIND_TEXT, .u.text = text_of("visit")};
    assert_int_equal(store_row_by(w->admin, e, cat_column_str(e, "doc_type"), &visit, memory, row),
                     FB_OK);
    assert_true(
        text_is(row[cat_column_str(e, "prefix")].u.text, "VI-A1-")); /* as the device draws them */
    arena_free(memory);
}

static void code_expires_and_wrong_codes_are_refused(void **state)
{
    raw_world *w = *state;
    arena *memory = arena_new(1 << 20);
    char room[32];
    enrol_reply reply;
    fb_text code = raw_code_make(w, &w->users[0], room);
    assert_int_equal(enrol(w, text_of("0000000000000"), 1, memory, &reply), FB_E_CODE);
    assert_int_equal(enrol(w, text_of("short"), 1, memory, &reply), FB_E_CODE);
    w->now_ms += 3600001;
    assert_int_equal(enrol(w, code, 1, memory, &reply), FB_E_CODE);
    company_set(&w->company, "app_user", &w->users[1], PAIRS("status", "locked"));
    assert_int_equal(enrol(w, raw_code_make(w, &w->users[1], room), 1, memory, &reply), FB_E_CODE);
    arena_free(memory);
}

static void code_is_read_as_people_type_it(void **state)
{
    static const char *const typed[] = {"7k3qf9tzam2xo", "7K3QF-9TZA-M2X0", " 7K3QF 9TZA m2xo "};
    static const char *const wrong[] = {"7K3QF9TZAM2X", "7K3QF9TZAM2X00", "7K3QF9TZAM2X!",
                                        "UUUUUUUUUUUUU"};
    digest first, other;
    (void)state;
    assert_true(code_hash(text_of(typed[0]), &first));
    for (size_t i = 1; i < 3; i++) {
        assert_true(code_hash(text_of(typed[i]), &other));
        assert_memory_equal(first.b, other.b, sizeof first.b);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_false(code_hash(text_of(wrong[i]), &other));
    }
    assert_true(code_hash(text_of("I000000000000"), &first) &&
                code_hash(text_of("l000000000000"), &other));
    assert_memory_equal(first.b, other.b, sizeof first.b);
}

static void token_opens_the_door_only_in_its_exact_form(void **state)
{
    raw_world *w = *state;
    arena *memory = arena_new(1 << 20);
    char room[32];
    enrol_reply reply;
    door_device d;
    buf good, bad;
    assert_int_equal(enrol(w, raw_code_make(w, &w->users[0], room), 0xab, memory, &reply), FB_OK);
    buf_init(&good, 256);
    buf_init(&bad, 256);
    buf_printf(&good, "Fieldbook %s:", id_text(&reply.device));
    for (int i = 0; i < 32; i++) {
        buf_put_str(&good, "ab");
    }
    assert_int_equal(door_check(w->admin, buf_text(&good), &d), FB_OK);
    assert_true(id_equal(&d.user, &w->users[0]));
    for (size_t i = 0; i < good.size; i++) { /* every byte counts */
        buf_reset(&bad);
        buf_put_text(&bad, buf_text(&good));
        bad.data[i] = bad.data[i] == 'c' ? 'd' : 'c';
        assert_int_equal(door_check(w->admin, buf_text(&bad), &d), FB_E_AUTH);
    }
    assert_int_equal(door_check(w->admin, (fb_text){good.data, good.size - 1}, &d), FB_E_AUTH);
    assert_int_equal(door_check(w->admin, text_of(""), &d), FB_E_AUTH);
    buf_clear(&good);
    buf_clear(&bad);
    arena_free(memory);
}

static void blocked_comes_back_and_wiped_does_not(void **state)
{
    raw_world *w = *state;
    arena *memory = arena_new(1 << 20);
    char room[32], text[256];
    enrol_reply reply;
    door_device d;
    buf token;
    assert_int_equal(enrol(w, raw_code_make(w, &w->users[0], room), 0xab, memory, &reply), FB_OK);
    buf_init(&token, 256);
    buf_printf(&token, "Fieldbook %s:", id_text(&reply.device));
    for (int i = 0; i < 32; i++) {
        buf_put_str(&token, "ab");
    }
    assert_int_equal(store_begin(w->admin), FB_OK);
    assert_int_equal(door_device_block(w->admin, &reply.device, w->now_ms), FB_OK);
    assert_int_equal(door_device_get(w->admin, &reply.device, &d), FB_OK);
    assert_int_equal(d.status, DOOR_BLOCKED);
    assert_int_equal(door_check(w->admin, buf_text(&token), &d), FB_E_DEVICE);
    assert_int_equal(door_device_allow(w->admin, &reply.device, w->now_ms), FB_OK);
    assert_int_equal(door_check(w->admin, buf_text(&token), &d), FB_OK);
    assert_int_equal(door_device_get(w->admin, &reply.device, &d), FB_OK);
    assert_int_equal(d.status, DOOR_ACTIVE);
    assert_int_equal(door_device_wipe(w->admin, &reply.device, w->now_ms), FB_OK);
    assert_int_equal(door_check(w->admin, buf_text(&token), &d), FB_E_DEVICE);
    assert_int_equal(door_device_allow(w->admin, &reply.device, w->now_ms), FB_E_STATE);
    assert_int_equal(door_device_block(w->admin, &reply.device, w->now_ms), FB_E_STATE);
    assert_int_equal(door_device_block(w->admin, &w->users[0], w->now_ms), FB_E_NOT_FOUND);
    assert_int_equal(store_commit(w->admin), FB_OK);
    raw_server_text(w, "device", &reply.device, "status", text);
    assert_string_equal(text, "wiped");
    buf_clear(&token);
    arena_free(memory);
}

static void bucket_empties_and_fills_with_time(void **state)
{
    static const door_rate_limit limit = {40, 10};
    static const uint64_t CLOCKS[] = {1000, 1760000000000, (UINT64_C(1) << 38) - 50};
    (void)state;
    for (size_t c = 0; c < sizeof CLOCKS / sizeof CLOCKS[0]; c++) {
        const uint64_t at = CLOCKS[c];
        door_rate *r = door_rate_new();
        uint32_t retry_ms = 0;
        for (int i = 0; i < 40; i++) {
            assert_true(door_rate_take(r, "device", 6, &limit, at, &retry_ms));
        }
        assert_false(door_rate_take(r, "device", 6, &limit, at, &retry_ms));
        assert_int_equal(retry_ms, 100);
        assert_true(door_rate_take(r, "another", 7, &limit, at, &retry_ms));
        assert_false(door_rate_take(r, "device", 6, &limit, at + 99, &retry_ms));
        assert_true(door_rate_take(r, "device", 6, &limit, at + 100, &retry_ms));
        assert_false(door_rate_take(r, "device", 6, &limit, at + 100, &retry_ms));
        for (int i = 0; i < 40; i++) { /* an hour fills it, not more */
            assert_true(door_rate_take(r, "device", 6, &limit, at + 3600100, &retry_ms));
        }
        assert_false(door_rate_take(r, "device", 6, &limit, at + 3600100, &retry_ms));
        /* a clock that goes back */
        assert_false(door_rate_take(r, "device", 6, &limit, at + 3600000, &retry_ms));
        door_rate_free(r);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(code_makes_one_device_and_the_same_answer_again),
        CASE(enrolment_writes_the_rows_people_see),
        CASE(code_expires_and_wrong_codes_are_refused),
        cmocka_unit_test(code_is_read_as_people_type_it),
        CASE(token_opens_the_door_only_in_its_exact_form),
        CASE(blocked_comes_back_and_wiped_does_not),
        cmocka_unit_test(bucket_empties_and_fills_with_time),
    };
    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
