/* test_api_sync.c - enrolment and the driver of the session against a server of a few lines. */
#include "api_fixture.h"

static fb_sync *sync_new(world *w)
{
    fb_sync *s = NULL;
    OK(fb_sync_open(w->db, NULL, &s, &w->err));
    return s;
}

static void save_task(world *w, const char *title)
{
    OK(fb_task_add(w->db, title, NULL, NULL, &w->err));
}

static void enrol__lost_reply_is_repeated_with_the_same_token(void **state)
{
    world *w = *state;
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    char path[128];
    fb_db *db = NULL;
    fb_db_options dbo = FB_DB_OPTIONS_INIT;
    fb_identity who = {.size_bytes = sizeof who};
    snprintf(path, sizeof path, "%s/second.db", w->folder);
    dbo.port = &w->port;
    OK(fb_db_open(path, &dbo, &db, &w->err));
    o.server_url = "https://x";
    REFUSED(FB_E_REQUIRED, "code", fb_enrol(db, &w->link, &o, &w->err));
    o.code = "WXYZ";
    w->status = 503;
    w->error_code = FB_E_BUSY;
    REFUSED(FB_E_BUSY, "server", fb_enrol(db, &w->link, &o, &w->err));
    enrol_request first, second;
    assert_int_equal(enrol_request_get(buf_text(&w->last_request), w->memory, &first), FB_OK);
    fb_db_close(db); /* the app dies */
    db = NULL;
    OK(fb_db_open(path, &dbo, &db, &w->err));
    OK(fb_enrol(db, &w->link, &o, &w->err));
    assert_int_equal(enrol_request_get(buf_text(&w->last_request), w->memory, &second), FB_OK);
    assert_memory_equal(first.token.b, second.token.b, DIGEST_BYTES);
    OK(fb_db_identity(db, &who, &w->err));
    assert_true(who.enrolled);
    assert_string_equal(who.user_code, "E1");
    assert_string_equal(who.server_url, "https://x");
    REFUSED(FB_E_EXISTS, "device", fb_enrol(db, &w->link, &o, &w->err));
    o.again = true; /* the server lost the device */
    w->device.b[0] ^= 1;
    OK(fb_enrol(db, &w->link, &o, &w->err));
    assert_int_equal(enrol_request_get(buf_text(&w->last_request), w->memory, &second), FB_OK);
    assert_memory_not_equal(first.token.b, second.token.b, DIGEST_BYTES);
    OK(fb_db_identity(db, &who, &w->err));
    assert_memory_equal(who.device.b, w->device.b, sizeof who.device.b);
    fb_db_close(db);
}

static void enrol__wrong_code_is_told(void **state)
{
    world *w = *state;
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    char path[128];
    fb_db *db = NULL;
    fb_db_options dbo = FB_DB_OPTIONS_INIT;
    fb_sync *sync = NULL;
    snprintf(path, sizeof path, "%s/third.db", w->folder);
    dbo.port = &w->port;
    OK(fb_db_open(path, &dbo, &db, &w->err));
    REFUSED(FB_E_AUTH, "device", fb_sync_open(db, NULL, &sync, &w->err));
    o.server_url = "https://x";
    o.code = "WRONG";
    w->status = 410;
    w->error_code = FB_E_CODE;
    REFUSED(FB_E_CODE, "code", fb_enrol(db, &w->link, &o, &w->err));
    fb_db_close(db);
}

static void sync__everyday_sync_is_one_request(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_status s = FB_STATUS_INIT;
    save_task(w, "one");
    save_task(w, "two");
    OK(fb_status_get(w->db, &s, &w->err));
    assert_int_equal(s.pending_count, 2);
    fb_sync *sync = sync_new(w);
    w->exchanges = 0;
    OK(fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_int_equal(w->exchanges, 1);
    assert_true(r.complete && !r.waiting);
    assert_int_equal(r.groups_sent, 2);
    assert_int_equal(r.applied_count, 2);
    assert_int_equal(r.requests_count, 1);
    assert_true(r.bytes_up > 0 && r.bytes_down > 0);
    OK(fb_status_get(w->db, &s, &w->err));
    assert_int_equal(s.pending_count, 0);
    assert_int_equal(s.last_sync_ms, NOW_MS);
    assert_int_equal(s.lag_ms, 0);
    fb_sync_close(sync);
}

static void sync__goes_on_until_the_page_is_complete(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_sync *sync = sync_new(w);
    w->incomplete = true;
    w->exchanges = 0;
    OK(fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_int_equal(w->exchanges, 2);
    assert_true(r.complete);
    fb_sync_close(sync);
}

static void sync__budget_ends_between_requests(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_sync *sync = sync_new(w);
    w->incomplete = true;
    OK(fb_sync_step(sync, &w->link, 1, &r, &w->err));
    assert_false(r.complete);
    OK(fb_sync_step(sync, &w->link, 1, &r, &w->err));
    assert_true(r.complete);
    assert_int_equal(r.requests_count, 2);
    fb_sync_close(sync);
}

/* SES-1: a request that gets lost costs nothing; the group goes again. */
static void sync__offline_keeps_the_outbox_and_schedules_a_retry(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_sync_action action;
    fb_link_request request;
    uint32_t wait_ms = 0;
    fb_status s = FB_STATUS_INIT;
    save_task(w, "one");
    fb_sync *sync = sync_new(w);
    w->fail_with = FB_E_OFFLINE;
    REFUSED(FB_E_OFFLINE, "server", fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_true(r.waiting && r.retry_ms > 0 && r.retry_ms <= 1000);
    OK(fb_status_get(w->db, &s, &w->err));
    assert_int_equal(s.pending_count, 1);
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_WAIT);
    assert_true(wait_ms > 0);
    w->mono_ms += 2000;
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_SEND);
    OK(fb_sync_failed(sync, FB_E_TIMEOUT, &w->err));
    OK(fb_sync_step(sync, &w->link, 0, &r, &w->err)); /* a person insists */
    assert_true(r.complete);
    assert_int_equal(w->groups_seen, 1);
    fb_sync_close(sync);
}

static void sync__server_that_says_later_is_obeyed(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_sync *sync = sync_new(w);
    w->status = 503;
    w->error_code = FB_E_BUSY;
    w->error_retry_ms = 30000;
    REFUSED(FB_E_BUSY, "server", fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_true(r.waiting && r.retry_ms >= 29000);
    fb_sync_close(sync);
}

/* An app steps again as long as a step is fine: a short budget must not hide that the server asked
 * to wait, or the app asks it as fast as the line permits. */
static void sync__server_that_says_later_is_obeyed_on_any_budget(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_sync *sync = sync_new(w);
    w->status = 503;
    w->error_code = FB_E_BUSY;
    w->error_retry_ms = 30000;
    REFUSED(FB_E_BUSY, "server", fb_sync_step(sync, &w->link, 1, &r, &w->err));
    assert_true(r.waiting && r.retry_ms >= 29000);
    fb_sync_close(sync);
}

/* Found by the soak: a phone whose line had been bad fetched a page of 1 KiB at a time for ever,
 * because each of its windows was over before the climb was. */
static void sync__what_good_exchanges_taught_is_kept(void **state)
{
    world *w = *state;
    fb_sync_report r;
    uint32_t level = 0;
    fb_sync *sync = sync_new(w);
    for (int i = 0; i < 4; i++) {
        w->fail_with = FB_E_TRUNCATED;
        REFUSED(FB_E_TRUNCATED, "server", fb_sync_step(sync, &w->link, 0, &r, &w->err));
    }
    level = r.chunk_level;
    assert_true(level > 2);
    for (int window = 0; window < 40 && level > 0; window++) {
        fb_sync_close(sync);
        sync = sync_new(w);
        for (int i = 0; i < 16; i++) { /* CHUNK_PATIENCE_MAX */
            OK(fb_sync_step(sync, &w->link, 0, &r, &w->err));
        }
        assert_true(r.chunk_level < level);
        level = r.chunk_level;
    }
    assert_int_equal(level, 0);
    fb_sync_close(sync);
}

static void sync__blocked_device_stops_and_loses_nothing(void **state)
{
    world *w = *state;
    fb_sync_report r;
    fb_status s = FB_STATUS_INIT;
    save_task(w, "one");
    fb_sync *sync = sync_new(w);
    w->status = 403;
    w->error_code = FB_E_DEVICE;
    REFUSED(FB_E_DEVICE, "server", fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_false(r.waiting);
    OK(fb_status_get(w->db, &s, &w->err));
    assert_int_equal(s.pending_count, 1);
    fb_sync_close(sync);
}

static void sync__server_without_verdicts_does_not_spin(void **state)
{
    world *w = *state;
    fb_sync_report r;
    save_task(w, "one");
    fb_sync *sync = sync_new(w);
    w->mute = true;
    w->exchanges = 0;
    REFUSED(FB_E_BUSY, "server", fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_int_equal(w->exchanges, 1);
    fb_sync_close(sync);
}

static void sync__fork_takes_a_new_incarnation_and_sends_again(void **state)
{
    world *w = *state;
    fb_sync_report r;
    save_task(w, "one");
    fb_sync *sync = sync_new(w);
    w->status = 409;
    w->error_code = FB_E_FORK;
    OK(fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_true(r.complete);
    assert_int_equal(r.rebirths_count, 1);
    assert_int_equal(w->groups_seen, 1);
    fb_sync_close(sync);
    OK(fb_db_check(w->db, &w->err));
}

/* A network that wants a sign-in is not a busy server: the person can do something. */
static void sync__a_portal_is_told_from_a_busy_server(void **state)
{
    static const struct {
        int status;
        fb_code code;
    } answers[] = {{302, FB_E_OFFLINE}, {511, FB_E_OFFLINE}, {404, FB_E_OFFLINE},
                   {204, FB_E_OFFLINE}, {429, FB_OK},        {502, FB_OK}};
    world *w = *state;
    fb_status s = FB_STATUS_INIT;
    save_task(w, "one");
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        fb_sync_action action;
        fb_link_request request;
        uint32_t wait_ms = 0;
        fb_link_response response = {.status = answers[i].status, .body = TEXT("<html>log in")};
        fb_sync *sync = sync_new(w);
        OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
        assert_int_equal(fb_sync_reply(sync, &response, &w->err), answers[i].code);
        assert_true(answers[i].code == FB_OK || strstr(w->err.message, "sign in") != NULL);
        OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
        assert_int_equal(action, FB_SYNC_WAIT); /* tried again by itself */
        fb_sync_close(sync);
    }
    OK(fb_status_get(w->db, &s, &w->err));
    assert_int_equal(s.pending_count, 1);
}

/* Two copies of a file that take turns would never end: a person is asked. */
static void sync__fork_without_end_ends_the_session(void **state)
{
    world *w = *state;
    fb_sync_action action;
    fb_link_request request;
    uint32_t wait_ms = 0;
    fb_code rc = FB_OK;
    const error_msg refusal = {.code = FB_E_FORK, .text = TEXT("no")};
    int answers = 0;
    save_task(w, "one");
    buf_reset(&w->reply);
    error_msg_put(&w->reply, &refusal);
    fb_link_response forked = {.status = 409, .body = buf_text(&w->reply)};
    fb_sync *sync = sync_new(w);
    for (; rc == FB_OK && answers < 20; answers++) {
        OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
        assert_int_equal(action, FB_SYNC_SEND);
        rc = fb_sync_reply(sync, &forked, &w->err);
    }
    REFUSED(FB_E_FORK, "device", rc);
    assert_int_equal(answers, 4);
    /* Nothing is scheduled: the next call is another session's. */
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_SEND);
    fb_sync_report r;
    fb_sync_get_report(sync, &r);
    assert_int_equal(r.rebirths_count, 0);
    assert_false(r.waiting);
    fb_sync_close(sync);
}

static void sync__damaged_reply_changes_nothing(void **state)
{
    world *w = *state;
    fb_sync_action action;
    fb_link_request request;
    uint32_t wait_ms = 0;
    fb_link_response response = {.status = 200, .body = TEXT("{\"m\":\"sync\"")};
    save_task(w, "one");
    fb_sync *sync = sync_new(w);
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_SEND);
    assert_true(strncmp(request.authorization, "Fieldbook ", 10) == 0);
    assert_true(fb_sync_reply(sync, &response, &w->err) != FB_OK);
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_WAIT);
    response = (fb_link_response){.status = 502, .body = TEXT("<html>proxy</html>")};
    w->mono_ms += 5000;
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_SEND);
    OK(fb_sync_reply(sync, &response, &w->err));
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    assert_int_equal(action, FB_SYNC_WAIT);
    fb_sync_close(sync);
    OK(fb_db_check(w->db, &w->err));
}

static void sync__waits_for_the_open_group(void **state)
{
    world *w = *state;
    fb_sync_action action;
    fb_link_request request;
    uint32_t wait_ms = 0;
    fb_sync *sync = sync_new(w);
    OK(fb_group_begin(w->db, NULL, 0, &w->err));
    REFUSED(FB_E_STATE, "group", fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    fb_group_abort(w->db);
    OK(fb_sync_next(sync, &action, &request, &wait_ms, &w->err));
    fb_sync_close(sync);
}

static void sync__big_bodies_are_packed_and_all_groups_arrive(void **state)
{
    world *w = *state;
    fb_sync_report r;
    char title[200];
    OK(fb_group_begin(w->db, "task.add", 0, &w->err));
    fb_group_abort(w->db);
    for (int i = 0; i < 1200; i++) { /* more than PUSH_GROUPS_MAX */
        snprintf(title, sizeof title, "task number %d", i);
        save_task(w, title);
    }
    fb_sync *sync = sync_new(w);
    w->exchanges = 0;
    OK(fb_sync_step(sync, &w->link, 0, &r, &w->err));
    assert_int_equal(w->exchanges, 2);
    assert_int_equal(w->groups_seen, 1200);
    assert_int_equal(r.applied_count, 1200);
    fb_sync_close(sync);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(enrol__lost_reply_is_repeated_with_the_same_token),
        TEST(enrol__wrong_code_is_told),
        TEST(sync__everyday_sync_is_one_request),
        TEST(sync__goes_on_until_the_page_is_complete),
        TEST(sync__budget_ends_between_requests),
        TEST(sync__offline_keeps_the_outbox_and_schedules_a_retry),
        TEST(sync__server_that_says_later_is_obeyed),
        TEST(sync__server_that_says_later_is_obeyed_on_any_budget),
        TEST(sync__what_good_exchanges_taught_is_kept),
        TEST(sync__blocked_device_stops_and_loses_nothing),
        TEST(sync__server_without_verdicts_does_not_spin),
        TEST(sync__fork_takes_a_new_incarnation_and_sends_again),
        TEST(sync__a_portal_is_told_from_a_busy_server),
        TEST(sync__fork_without_end_ends_the_session),
        TEST(sync__damaged_reply_changes_nothing),
        TEST(sync__waits_for_the_open_group),
        TEST(sync__big_bodies_are_packed_and_all_groups_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
