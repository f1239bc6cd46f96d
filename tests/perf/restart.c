/* restart.c - RESTART: the server is killed with a large database and requests in flight; how long
 * until it serves again, and is everything there exactly once?
 *
 * Time runs from the start of the new process to the first answer to GET /v1/health, and to the
 * first whole sync of a device that had been cut off. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/id.h"
#include "perf/company.h"
#include "perf/net.h"
#include "perf/storm.h"
#include "platform/posix/port.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/fill.h"

enum {
    DEVICES = 64,
    GROUPS = 40,
    ROWS_AT_ONCE = 2000,
    CONTENT_BYTES = 380, /* of the column's 400 */
    BYTES_MAX = 64 << 20,
    KILLS_MAX = 5
};
static const int64_t BYTES_FULL = INT64_C(1) << 30, BYTES_QUICK = INT64_C(64) << 20;

typedef struct restart {
    company c;
    net *client;
    crowd_device d[DEVICES];
    net_conn *conns[DEVICES];
    buf request;
} restart;

/* ---- the data ---- */

typedef struct heap_of_rows {
    store *db;
    arena *memory;
    id_maker ids;
    fb_id user;
    char content[CONTENT_BYTES + 1];
    change changes[ROWS_AT_ONCE];
} heap_of_rows;

static void rows_add(heap_of_rows *h)
{
    const cat_entity *e = catalog_entity_str(store_catalog(h->db), "activity");
    int64_t now = fb_port_posix()->wall_ms(fb_port_posix()->ctx), cid = 0;
    const commit_source from = {.at_ms = now, .kind = text_of("import")};
    for (int i = 0; i < ROWS_AT_ONCE; i++) {
        fb_id id = id_make(&h->ids, now);
        fb_value *row = fill_row(e, &id, h->memory);
        if (row == NULL) {
            bench_die("out of memory");
        }
        fill_str(e, row, "type", "call");
        fill_id(e, row, "user_id", &h->user);
        fill_str(e, row, "content", h->content);
        fill_int(e, row, "at", now);
        h->changes[i] = (change){.kind = CHANGE_INSERT,
                                 .entity = e,
                                 .id = id,
                                 .values = row,
                                 .columns_count = e->columns_count};
    }
    must(store_begin(h->db), NULL, "rows");
    must(ledger_commit(h->db, &from, h->changes, ROWS_AT_ONCE, &cid), NULL, "rows");
    must(store_commit(h->db), NULL, "rows");
    arena_reset(h->memory);
}

static int64_t database_grow(const company *c, int64_t bytes)
{
    static heap_of_rows h;
    char path[PATH_BYTES];
    fb_error err = {0};
    uint8_t random[8] = {7};
    int64_t rows = 0;
    path_of(path, "%s/master.db", c->home);
    h = (heap_of_rows){.memory = arena_new(256 << 20), .user = gen_id(GEN_USER, 0)};
    memset(h.content, 'x', CONTENT_BYTES);
    id_maker_init(&h.ids, random);
    must(store_open(&(store_options){.path = path, .cache_kib = 262144}, &h.db, &err), &err, path);
    while (file_bytes_of(path) < bytes) {
        rows_add(&h);
        rows += ROWS_AT_ONCE;
    }
    store_close(h.db);
    arena_free(h.memory);
    return rows;
}

/* ---- one kill ---- */

static void send_all(restart *r)
{
    for (int i = 0; i < DEVICES; i++) {
        r->conns[i] = net_connect(r->client, r->c.port, NULL);
    }
    for (int i = 0; i < DEVICES; i++) {
        buf_reset(&r->request);
        crowd_ask(&r->d[i], &r->request);
        net_send(r->conns[i], r->request.data, r->request.size);
    }
}

/* Some have their answer, most are in the queue, in the batch or on the wire. */
static void kill_at_first_answer(restart *r)
{
    net_read(r->conns[0]);
    kill(r->c.server, SIGKILL);
    (void)waitpid(r->c.server, NULL, 0);
    r->c.server = 0;
    for (int i = 0; i < DEVICES; i++) {
        net_close(r->conns[i]);
        r->conns[i] = NULL;
    }
}

static void exchange(restart *r, fb_text request, fb_link_response *out, net_conn **conn)
{
    *conn = net_connect(r->client, r->c.port, NULL);
    net_send(*conn, request.data, request.size);
    while (!http_next(*conn, out)) {
        net_read(*conn);
        if ((*conn)->closed) {
            bench_die("the server closed the connection");
        }
    }
}

static void device_drain(restart *r, int i)
{
    uint32_t retry_ms = 0;
    for (crowd_state state = CROWD_AGAIN; state != CROWD_THROUGH;) {
        fb_link_response answer;
        net_conn *conn = NULL;
        buf_reset(&r->request);
        crowd_ask(&r->d[i], &r->request);
        exchange(r, buf_text(&r->request), &answer, &conn);
        state = crowd_take(&r->d[i], &answer, &retry_ms);
        net_close(conn);
    }
}

static void one_kill(restart *r, sample *out)
{
    static const char HEALTH[] = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    fb_link_response answer;
    net_conn *conn = NULL;
    char wal[PATH_BYTES];
    company_start(&r->c);
    for (int i = 0; i < DEVICES; i++) {
        r->d[i].groups += GROUPS;
    }
    send_all(r);
    kill_at_first_answer(r);
    path_of(wal, "%s/master.db-wal", r->c.home);
    out->file_bytes = file_bytes_of(wal);
    int64_t start = now_ns();
    company_start(&r->c);
    exchange(r, text_of(HEALTH), &answer, &conn);
    out->p50_ns = now_ns() - start;
    net_close(conn);
    if (answer.status != 200) {
        bench_die("health answered %d", answer.status);
    }
    device_drain(r, DEVICES - 1);
    out->p99_ns = now_ns() - start;
    for (int i = 0; i < DEVICES; i++) {
        device_drain(r, i);
    }
    company_stop(&r->c);
}

void restart_run(const bench *b)
{
    static restart r;
    series kills = {.count = 0};
    char path[PATH_BYTES];
    r = (restart){.client = NULL};
    path_of(path, "%s/restart", b->home);
    company_make(&r.c, path, &GEN_SMALL, 1);
    crowd *people = crowd_make(r.c.home, DEVICES, 0);
    for (uint32_t i = 0; i < DEVICES; i++) {
        r.d[i] = *crowd_device_of(people, i);
    }
    int64_t filled = database_grow(&r.c, b->quick ? BYTES_QUICK : BYTES_FULL);
    int64_t bytes = company_bytes(&r.c);
    r.client = net_client(r.c.ca);
    buf_init(&r.request, BYTES_MAX);
    uint32_t times = b->repeats < KILLS_MAX ? b->repeats : KILLS_MAX;
    for (uint32_t i = 0; i < times; i++) {
        sample s = {0};
        one_kill(&r, &s);
        series_add(&kills, &s);
    }
    int64_t wanted = filled + (int64_t)DEVICES * GROUPS * times;
    int64_t rows = crowd_rows(r.c.home, false);
    report_note(
        "RESTART: killed %u times with %lld MiB and %d requests in flight; rows %lld of %lld",
        times, (long long)(bytes >> 20), DEVICES, (long long)rows, (long long)wanted);
    report_add(&(figure){"RESTART", "WAL at the kill", UNIT_KIB, MEDIAN(&kills, file_bytes) / 1024,
                         0, GOAL_NONE, 0, 0});
    report_add(&(figure){"RESTART", "until health answers", UNIT_MS, MEDIAN(&kills, p50_ns), 0,
                         GOAL_VALUE_MAX, 2000000, 500000});
    report_add(&(figure){"RESTART", "until a device's sync is whole", UNIT_MS,
                         MEDIAN(&kills, p99_ns), 0, GOAL_VALUE_MAX, 2000000, 500000});
    report_add(&(figure){"RESTART", "rows lost or doubled", UNIT_COUNT,
                         rows > wanted ? rows - wanted : wanted - rows, 0, GOAL_VALUE_MAX, 0, 0});
    crowd_free(people);
    buf_clear(&r.request);
    net_free(r.client);
}
