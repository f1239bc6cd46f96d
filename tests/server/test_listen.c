/* test_listen.c - the listener under many clients: replies, order, long polls, stopping, slowness.
 * Method: a real listener and real sockets (support/server_rig.h), the server behind it pretended.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "support/server_rig.h"

enum { CLIENTS_MANY = 100, ANSWER_BYTES = 256 };

static const char ECHO_HEAD[] = "POST /v1/sync HTTP/1.1\r\nHost: h\r\nContent-Type: "
                                "application/x-fieldbook\r\nContent-Length: ";

static fb_link *open_link(const rig *r)
{
    fb_link *link = NULL;
    assert_int_equal(fb_link_curl_new(rig_url(r), rig_ca(r), &link, NULL), FB_OK);
    return link;
}

static listen_limits limits_for_tests(void)
{
    listen_limits limits = LISTEN_LIMITS_DEFAULT;
    limits.connections_max = 500;
    return limits;
}

/* One client on a thread: asks `times` times, keeps the last answer. */
typedef struct client {
    pthread_t thread;
    const rig *r;
    const char *body;
    int times, fine;
    char answer[ANSWER_BYTES];
    int status;
    fb_code code;
    uint64_t answered_at_ms;
} client;

static void *run_client(void *ctx)
{
    client *c = ctx;
    fb_link *link = open_link(c->r);
    for (int i = 0; i < c->times; i++) {
        c->status = rig_ask(link, c->body, c->answer, sizeof c->answer, &c->code);
        c->fine += c->status == 200;
    }
    c->answered_at_ms = rig_now_ms();
    fb_link_curl_free(link);
    return NULL;
}

static void start_clients(client *clients, int count, const rig *r, const char *body, int times)
{
    memset(clients, 0, sizeof *clients * (size_t)count);
    for (int i = 0; i < count; i++) {
        clients[i].r = r;
        clients[i].body = body;
        clients[i].times = times;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
}

static void join_clients(client *clients, int count)
{
    for (int i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
    }
}

static void wait_until_seen(const rig *r, uint32_t count)
{
    for (int i = 0; i < 2000 && rig_seen(r) < count; i++) {
        rig_sleep_ms(5);
    }
    assert_true(rig_seen(r) >= count);
}

static void listen__every_client_gets_its_own_answers(void **state)
{
    rig *r = rig_start(NULL);
    client clients[24];
    char bodies[24][32];
    (void)state;
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < 24; i++) {
        snprintf(bodies[i], sizeof bodies[i], "echo of client %d", i);
        clients[i] = (client){.r = r, .body = bodies[i], .times = 20};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    join_clients(clients, 24);
    for (int i = 0; i < 24; i++) {
        assert_int_equal(clients[i].fine, 20);
        assert_string_equal(clients[i].answer, bodies[i]);
    }
    rig_stop(r);
}

/* WRK-1 */
static void listen__writes_that_come_together_share_a_commit(void **state)
{
    rig *r = rig_start(NULL);
    client clients[16];
    (void)state;
    start_clients(clients, 16, r, "write", 10);
    join_clients(clients, 16);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(clients[i].fine, 10);
        assert_string_equal(clients[i].answer, "written");
    }
    assert_int_equal(rig_written(r), 160);
    assert_true(rig_batches(r) < 100);
    rig_stop(r);
}

/* WRK-2, and the workload W5 of the performance targets. */
static void listen__one_commit_reaches_a_hundred_waiting_devices(void **state)
{
    rig *r = rig_start(NULL);
    static client clients[CLIENTS_MANY];
    (void)state;
    start_clients(clients, CLIENTS_MANY, r, "wait 30000", 1);
    wait_until_seen(r, CLIENTS_MANY);
    rig_sleep_ms(100);
    fb_link *writer = open_link(r);
    char answer[ANSWER_BYTES];
    uint64_t before_ms = rig_now_ms();
    assert_int_equal(rig_ask(writer, "write", answer, sizeof answer, NULL), 200);
    join_clients(clients, CLIENTS_MANY);
    uint64_t last_ms = 0;
    for (int i = 0; i < CLIENTS_MANY; i++) {
        assert_string_equal(clients[i].answer, "news");
        uint64_t took_ms = clients[i].answered_at_ms - before_ms;
        last_ms = took_ms > last_ms ? took_ms : last_ms;
    }
    print_message("           the last of %d heard after %u ms\n", CLIENTS_MANY, (unsigned)last_ms);
    assert_true(last_ms < 1000); /* generous: sanitizers and a busy machine */
    fb_link_curl_free(writer);
    rig_stop(r);
}

/* WRK-2: the commit falls between the look of a waiting job and its parking. */
static void listen__a_commit_during_a_look_is_not_missed(void **state)
{
    rig *r = rig_start(NULL);
    fb_link *writer = open_link(r);
    char answer[ANSWER_BYTES];
    client waiting;
    (void)state;
    uint64_t before_ms = rig_now_ms();
    start_clients(&waiting, 1, r, "wait late 10000", 1);
    wait_until_seen(r, 1);
    rig_sleep_ms(100);
    assert_int_equal(rig_ask(writer, "write", answer, sizeof answer, NULL), 200);
    join_clients(&waiting, 1);
    assert_string_equal(waiting.answer, "news");
    assert_true(rig_now_ms() - before_ms < 5000);
    fb_link_curl_free(writer);
    rig_stop(r);
}

static void listen__a_wait_without_news_ends_in_time(void **state)
{
    rig *r = rig_start(NULL);
    fb_link *link = open_link(r);
    char answer[ANSWER_BYTES];
    (void)state;
    uint64_t before_ms = rig_now_ms();
    assert_int_equal(rig_ask(link, "wait 600", answer, sizeof answer, NULL), 200);
    uint64_t took_ms = rig_now_ms() - before_ms;
    assert_string_equal(answer, "time");
    assert_true(took_ms >= 600 && took_ms < 2500);
    fb_link_curl_free(link);
    rig_stop(r);
}

static void listen__a_kept_connection_is_used_again(void **state)
{
    rig *r = rig_start(NULL);
    fb_link *link = open_link(r);
    char answer[ANSWER_BYTES];
    (void)state;
    assert_int_equal(rig_ask(link, "echo 1", answer, sizeof answer, NULL), 200);
    assert_int_equal(fb_link_curl_get_connects(link), 1);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(rig_ask(link, "echo 2", answer, sizeof answer, NULL), 200);
        assert_int_equal(fb_link_curl_get_connects(link), 0);
    }
    fb_link_curl_free(link);
    rig_stop(r);
}

static void listen__requests_per_connection_are_bounded(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.requests_per_connection_max = 3;
    rig *r = rig_start(&limits);
    fb_link *link = open_link(r);
    char answer[ANSWER_BYTES];
    uint32_t connects = 0;
    (void)state;
    for (int i = 0; i < 9; i++) {
        assert_int_equal(rig_ask(link, "echo", answer, sizeof answer, NULL), 200);
        connects += fb_link_curl_get_connects(link);
    }
    assert_int_equal(connects, 3);
    fb_link_curl_free(link);
    rig_stop(r);
}

static void listen__a_large_answer_arrives_whole(void **state)
{
    rig *r = rig_start(NULL);
    fb_link *link = open_link(r);
    fb_link_request q = {.method = "POST",
                         .path = "/v1/sync",
                         .content_type = "application/x-fieldbook",
                         .body = {.data = "big 7000003", .size = 11},
                         .timeout_ms = 20000,
                         .response_bytes_max = 8 << 20};
    fb_link_response a = {0};
    (void)state;
    assert_int_equal(link->exchange(link->ctx, &q, &a), FB_OK);
    assert_int_equal(a.body.size, 7000003);
    for (size_t i = 0; i < a.body.size; i++) {
        assert_int_equal(a.body.data[i], 'x');
    }
    fb_link_curl_free(link);
    rig_stop(r);
}

/* Sent in one piece: answered one after the other, in order. */
static void listen__pipelined_requests_are_answered_in_order(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    char out[8192], sent[2048];
    (void)state;
    snprintf(sent, sizeof sent,
             "%s8\r\n\r\nslow 200%s6\r\n\r\necho-2%s6\r\n\r\necho-3"
             "GET /v1/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
             ECHO_HEAD, ECHO_HEAD, ECHO_HEAD);
    raw_open(&line, r);
    assert_true(raw_send(&line, sent, strlen(sent)));
    assert_true(raw_get(&line, out, sizeof out, 5000));
    const char *first = strstr(out, "slept"), *second = strstr(out, "echo-2");
    const char *third = strstr(out, "echo-3");
    assert_non_null(first);
    assert_true(second != NULL && second > first && third != NULL && third > second);
    assert_int_equal(rig_seen(r), 4);
    raw_close(&line);
    rig_stop(r);
}

static void listen__a_request_in_single_bytes_is_served(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    char out[4096], sent[512];
    (void)state;
    snprintf(sent, sizeof sent, "%s4\r\n\r\necho", ECHO_HEAD);
    raw_open(&line, r);
    for (size_t i = 0; i < strlen(sent); i++) {
        assert_true(raw_send(&line, sent + i, 1));
    }
    assert_false(raw_get(&line, out, sizeof out, 500));
    assert_non_null(strstr(out, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(out, "\r\n\r\necho"));
    raw_close(&line);
    rig_stop(r);
}

/* LIS-2 */
static void listen__stopping_answers_what_is_in_work(void **state)
{
    rig *r = rig_start(NULL);
    client slow, waiting;
    char answer[ANSWER_BYTES];
    fb_code code = FB_OK;
    (void)state;
    start_clients(&slow, 1, r, "slow 700", 1);
    start_clients(&waiting, 1, r, "wait 30000", 1);
    wait_until_seen(r, 2);
    rig_sleep_ms(50);
    rig_begin_stop(r);
    rig_sleep_ms(100);
    fb_link *late = open_link(r);
    assert_int_equal(rig_ask(late, "echo", answer, sizeof answer, &code), 0);
    assert_int_equal(code, FB_E_OFFLINE);
    join_clients(&slow, 1);
    join_clients(&waiting, 1);
    assert_string_equal(slow.answer, "slept");
    assert_int_equal(waiting.status, 503);
    assert_non_null(strstr(waiting.answer, "E_BUSY"));
    fb_link_curl_free(late);
    rig_stop(r);
}

static void listen__a_client_that_leaves_its_wait_leaves_nothing_behind(void **state)
{
    rig *r = rig_start(NULL);
    raw_line line;
    char sent[512];
    (void)state;
    snprintf(sent, sizeof sent, "%s10\r\n\r\nwait 30000", ECHO_HEAD);
    for (int i = 0; i < 5; i++) {
        raw_open(&line, r);
        assert_true(raw_send(&line, sent, strlen(sent)));
        wait_until_seen(r, (uint32_t)i + 1);
        raw_close(&line);
    }
    rig_stop(r); /* would hang, or the sanitizer complain */
}

static void listen__a_slow_head_is_told_and_cut(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.head_ms = 500;
    rig *r = rig_start(&limits);
    raw_line line;
    char out[4096];
    (void)state;
    raw_open(&line, r);
    uint64_t before_ms = rig_now_ms();
    assert_true(raw_send(&line, "POST /v1/sync HT", 16));
    assert_true(raw_get(&line, out, sizeof out, 5000));
    assert_non_null(strstr(out, "HTTP/1.1 408 "));
    assert_true(rig_now_ms() - before_ms < 2500);
    raw_close(&line);
    rig_stop(r);
}

static void listen__a_slow_body_is_told_and_cut(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.progress_ms = 500;
    rig *r = rig_start(&limits);
    raw_line line;
    char out[4096], sent[512];
    (void)state;
    snprintf(sent, sizeof sent, "%s100000\r\n\r\nslowly", ECHO_HEAD);
    raw_open(&line, r);
    assert_true(raw_send(&line, sent, strlen(sent)));
    assert_true(raw_get(&line, out, sizeof out, 5000));
    assert_non_null(strstr(out, "HTTP/1.1 408 "));
    assert_int_equal(rig_seen(r), 0);
    raw_close(&line);
    rig_stop(r);
}

/* A body that moves enough is not cut, though it takes several windows. */
static void listen__a_body_that_moves_is_not_cut(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.progress_ms = 400;
    rig *r = rig_start(&limits);
    raw_line line;
    static char piece[2048], out[32768], sent[512];
    (void)state;
    memset(piece, 'p', sizeof piece);
    snprintf(sent, sizeof sent, "%s%zu\r\n\r\n", ECHO_HEAD, 12 * sizeof piece);
    raw_open(&line, r);
    assert_true(raw_send(&line, sent, strlen(sent)));
    for (int i = 0; i < 12; i++) {
        rig_sleep_ms(150);
        assert_true(raw_send(&line, piece, sizeof piece));
    }
    assert_false(raw_get(&line, out, sizeof out, 600));
    assert_non_null(strstr(out, "HTTP/1.1 200 OK\r\n"));
    raw_close(&line);
    rig_stop(r);
}

static void listen__a_client_that_does_not_read_is_cut(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.progress_ms = 500;
    rig *r = rig_start(&limits);
    raw_line line;
    char sent[512];
    (void)state;
    int small = 4096;
    snprintf(sent, sizeof sent, "%s11\r\n\r\nbig 8000000", ECHO_HEAD);
    raw_open(&line, r);
    setsockopt(line.socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(raw_send(&line, sent, strlen(sent)));
    wait_until_seen(r, 1);
    for (int i = 0; i < 100 && listener_get_connections(rig_listener(r)) > 0; i++) {
        rig_sleep_ms(50);
    }
    assert_int_equal(listener_get_connections(rig_listener(r)), 0);
    raw_close(&line);
    rig_stop(r);
}

static void listen__an_idle_connection_is_closed(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.idle_ms = 400;
    rig *r = rig_start(&limits);
    raw_line line;
    char out[4096], sent[512];
    (void)state;
    snprintf(sent, sizeof sent, "%s4\r\n\r\necho", ECHO_HEAD);
    raw_open(&line, r);
    assert_true(raw_send(&line, sent, strlen(sent)));
    assert_true(raw_get(&line, out, sizeof out, 3000));
    assert_non_null(strstr(out, "\r\n\r\necho"));
    raw_close(&line);
    rig_stop(r);
}

static void listen__strangers_of_one_address_are_bounded(void **state)
{
    listen_limits limits = limits_for_tests();
    limits.strangers_per_address_max = 2;
    rig *r = rig_start(&limits);
    raw_line first, second;
    fb_link *known = open_link(r), *third = open_link(r);
    char answer[ANSWER_BYTES];
    fb_code code = FB_OK;
    (void)state;
    /* An authorised device does not count. */
    assert_int_equal(rig_ask(known, "echo", answer, sizeof answer, NULL), 200);
    raw_open(&first, r);
    raw_open(&second, r);
    assert_int_equal(rig_ask(third, "echo", answer, sizeof answer, &code), 0);
    assert_int_equal(code, FB_E_OFFLINE);
    raw_close(&second);
    rig_sleep_ms(50);
    assert_int_equal(rig_ask(third, "echo", answer, sizeof answer, &code), 200);
    raw_close(&first);
    fb_link_curl_free(known);
    fb_link_curl_free(third);
    rig_stop(r);
}

/* TLS-3: what a resting connection gave back to the system is not missed, whatever comes next. */
static void listen__a_resting_connection_goes_on(void **state)
{
    rig *r = rig_start(NULL);
    fb_link *link = open_link(r);
    static char body[200001], answer[200002];
    (void)state;
    memset(body, 'b', sizeof body - 1);
    assert_int_equal(rig_ask(link, "wait 2000", answer, sizeof answer, NULL), 200);
    assert_string_equal(answer, "time");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_ask(link, body, answer, sizeof answer, NULL), 200);
        assert_int_equal(fb_link_curl_get_connects(link), 0);
        assert_string_equal(answer, body);
        rig_sleep_ms(1600);
    }
    fb_link_curl_free(link);
    rig_stop(r);
}

static void listen__limits_can_only_be_lowered(void **state)
{
    listen_limits limits = LISTEN_LIMITS_DEFAULT;
    listener *l = NULL;
    fb_error err = {0};
    static const server_ops NO_OPS;
    fb_port port = {0};
    (void)state;
    limits.head_ms++;
    listen_options o = {.address = "127.0.0.1",
                        .cert_file = "-",
                        .key_file = "-",
                        .ops = &NO_OPS,
                        .port_of_os = &port,
                        .readers_count = 1,
                        .limits = limits};
    assert_int_equal(listener_open(&o, &l, &err), FB_E_CONFIG);
    assert_string_equal(err.field, "head_ms");
    assert_null(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listen__every_client_gets_its_own_answers),
        cmocka_unit_test(listen__writes_that_come_together_share_a_commit),
        cmocka_unit_test(listen__one_commit_reaches_a_hundred_waiting_devices),
        cmocka_unit_test(listen__a_commit_during_a_look_is_not_missed),
        cmocka_unit_test(listen__a_wait_without_news_ends_in_time),
        cmocka_unit_test(listen__a_kept_connection_is_used_again),
        cmocka_unit_test(listen__requests_per_connection_are_bounded),
        cmocka_unit_test(listen__a_large_answer_arrives_whole),
        cmocka_unit_test(listen__pipelined_requests_are_answered_in_order),
        cmocka_unit_test(listen__a_request_in_single_bytes_is_served),
        cmocka_unit_test(listen__stopping_answers_what_is_in_work),
        cmocka_unit_test(listen__a_client_that_leaves_its_wait_leaves_nothing_behind),
        cmocka_unit_test(listen__a_slow_head_is_told_and_cut),
        cmocka_unit_test(listen__a_slow_body_is_told_and_cut),
        cmocka_unit_test(listen__a_body_that_moves_is_not_cut),
        cmocka_unit_test(listen__a_client_that_does_not_read_is_cut),
        cmocka_unit_test(listen__an_idle_connection_is_closed),
        cmocka_unit_test(listen__strangers_of_one_address_are_bounded),
        cmocka_unit_test(listen__a_resting_connection_goes_on),
        cmocka_unit_test(listen__limits_can_only_be_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
