/* tls.c - see cut.h: the encrypted stream between fb_link_curl and the real listener is cut. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/cut/tls_inside.h"
#include "platform/posix/ca.h"
#include "platform/posix/files.h"
#include "sql/sql.h"
#include "sync-server/door/door.h"

enum { PACK_ROWS = 12, NEVER_MS = 2000000000 };

static const server_ops OPS = {
    .reader_open = server_reader_open,
    .reader_close = server_reader_close,
    .prepare = server_prepare,
    .write = server_write,
    .read = server_read,
    .job_next = server_job_next,
    .job_wait_until_ms = server_job_wait_until_ms,
    .job_reply = server_job_reply,
    .job_free = server_job_free,
    .head = server_head,
    .tick = server_tick,
    .build = server_build,
};

static void *run(void *ctx)
{
    wire *w = ctx;
    if (listener_run(w->l) != FB_OK) {
        fputs("cut: the listener broke down\n", stderr);
    }
    return NULL;
}

static void paths_make(wire *w)
{
    snprintf(w->folder, sizeof w->folder, "/tmp/fb-cut-XXXXXX");
    if (mkdtemp(w->folder) == NULL) {
        abort();
    }
    snprintf(w->master, sizeof w->master, "%s/master.db", w->folder);
    snprintf(w->replica, sizeof w->replica, "%s/replica.db", w->folder);
    snprintf(w->ca, sizeof w->ca, "%s/ca.pem", w->folder);
    snprintf(w->ca_key, sizeof w->ca_key, "%s/ca.key", w->folder);
    snprintf(w->cert, sizeof w->cert, "%s/server.pem", w->folder);
    snprintf(w->key, sizeof w->key, "%s/server.key", w->folder);
}

static void company_make(wire *w)
{
    company *c = &w->company;
    company_init(c, w->admin, &w->port, 7);
    fb_id region =
        company_add(c, "org_unit", PAIRS("code", "R1", "name", "East", "kind", "region"));
    fb_id territory = company_add(
        c, "territory", PAIRS("code", "T1", "name", "T1", "org_unit_id", id_text(&region)));
    fb_id rep = company_find(c, "role", "REP");
    w->user = company_add(
        c, "app_user",
        PAIRS("code", "U1", "name", "U1", "org_unit_id", id_text(&region), "status", "active"));
    company_add(c, "user_role", PAIRS("user_id", id_text(&w->user), "role_id", id_text(&rep)));
    company_add(c, "user_territory",
                PAIRS("user_id", id_text(&w->user), "territory_id", id_text(&territory)));
    fb_id mgr = company_find(c, "role", "MGR");
    w->manager = company_add(
        c, "app_user",
        PAIRS("code", "M1", "name", "M1", "org_unit_id", id_text(&region), "status", "active"));
    company_add(c, "user_role", PAIRS("user_id", id_text(&w->manager), "role_id", id_text(&mgr)));
    for (int i = 0; i < PACK_ROWS; i++) {
        char code[12];
        snprintf(code, sizeof code, "K%d", i);
        company_add(c, "customer",
                    PAIRS("code", code, "name", code, "party_type", "customer", "status", "active",
                          "territory_id", id_text(&territory)));
    }
    w->customer = company_add(c, "customer",
                              PAIRS("code", "C1", "name", "C1", "party_type", "customer", "status",
                                    "active", "territory_id", id_text(&territory)));
}

static uint64_t hasty_mono(void *ctx)
{
    const wire *w = ctx;
    return w->port.mono_ms(w->port.ctx) * 50;
}

static int64_t hasty_wall(void *ctx)
{
    const wire *w = ctx;
    return w->port.wall_ms(w->port.ctx);
}

static fb_code hasty_random(void *ctx, void *out, size_t size)
{
    const wire *w = ctx;
    return w->port.random(w->port.ctx, out, size);
}

static void server_up(wire *w)
{
    fb_error err = {0};
    static const char *const NAMES[] = {"127.0.0.1"};
    ca_leaf leaf = {
        .names = NAMES, .names_count = 1, .days = 30, .cert_path = w->cert, .key_path = w->key};
    w->quiet = (posix_log){.fd = STDERR_FILENO, .level = 0};
    w->port = fb_port_posix_to(&w->quiet);
    w->hasty = (fb_port){w, hasty_mono, hasty_wall, hasty_random, NULL};
    fleet_must(ca_create(w->ca, w->ca_key, "Cut", &err), &err, "ca");
    fleet_must(ca_issue(w->ca, w->ca_key, &leaf, &err), &err, "certificate");
    server_create_options c = {
        .path = w->master, .port = &w->port, .company_code = "CUT", .company_name = "Cut"};
    fleet_must(server_create(&c, &err), &err, "server_create");
    fleet_must(store_open(&(store_options){.path = w->master}, &w->admin, &err), &err, "store");
    company_make(w);
    server_options so = {
        .path = w->master,
        .port = &w->hasty,
        .files = fb_files_posix(),
        .blobs = {.free_bytes_min = 1},
        .packing = {.rows_min = 10, .chunk_bytes = 4000, .rest_ms = NEVER_MS, .age_ms = NEVER_MS}};
    fleet_must(server_open(&so, &w->srv, &err), &err, "server_open");
    while (server_build(w->srv, hasty_mono(w))) { /* packs, once for all */
    }
    listen_options lo = {.address = "127.0.0.1",
                         .cert_file = w->cert,
                         .key_file = w->key,
                         .port_of_os = &w->port,
                         .server = w->srv,
                         .ops = &OPS,
                         .readers_count = 1,
                         .limits = LISTEN_LIMITS_DEFAULT};
    fleet_must(listener_open(&lo, &w->l, &err), &err, "listener");
    if (pthread_create(&w->thread, NULL, run, w) != 0 ||
        (w->p = proxy_start(listener_get_port(w->l))) == NULL) {
        abort();
    }
    snprintf(w->url, sizeof w->url, "https://127.0.0.1:%u", (unsigned)proxy_port(w->p));
}

static int gone(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void server_down(wire *w)
{
    proxy_stop(w->p);
    listener_stop(w->l);
    pthread_join(w->thread, NULL);
    listener_close(w->l);
    server_close(w->srv);
    store_close(w->admin);
    (void)nftw(w->folder, gone, 8, FTW_DEPTH | FTW_PHYS);
}

fb_link *wire_link(wire *w)
{
    fb_link *link = NULL;
    fb_error err = {0};
    fleet_must(fb_link_curl_new(w->url, w->ca, &link, &err), &err, "link");
    return link;
}

fb_db *wire_open(wire *w, const char *path)
{
    fb_db *db = NULL;
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &w->port;
    o.files = fb_files_posix();
    fleet_must(fb_db_open(path, &o, &db, &err), &err, "replica");
    return db;
}

void wire_code(wire *w, const fb_id *user, buf *out)
{
    buf_init(out, 100);
    fleet_must(store_begin(w->admin), NULL, "begin");
    fleet_must(door_code_make(w->admin, user, w->port.wall_ms(w->port.ctx), 3600000, &w->port, out),
               NULL, "code");
    fleet_must(store_commit(w->admin), NULL, "commit");
}

static void device_up(wire *w)
{
    buf code;
    fb_error err = {0};
    fb_enrol_options e = FB_ENROL_OPTIONS_INIT;
    w->db = wire_open(w, w->replica);
    wire_code(w, &w->user, &code);
    e.server_url = w->url;
    e.code = buf_cstr(&code);
    for (int64_t k = 0; k < 4000; k += 250) { /* the enrolment is cut too: same code, same device */
        fb_link *cut = wire_link(w);
        proxy_cut(w->p, k, -1);
        fb_code rc = fb_enrol(w->db, cut, &e, &err);
        fb_link_curl_free(cut);
        w->n->tls++;
        if (rc == FB_OK) {
            break;
        }
    }
    proxy_cut(w->p, -1, -1);
    fb_link *link = wire_link(w);
    fb_code rc = fb_enrol(w->db, link, &e, &err);
    fleet_must(rc == FB_E_EXISTS ? FB_OK : rc, &err, "enrol");
    fb_link_curl_free(link);
    buf_clear(&code);
}

fb_code wire_sync(wire *w, fb_db *db, fb_sync_report *report)
{
    fb_sync *sync = NULL;
    fb_error err = {0};
    fb_link *link = wire_link(w);
    *report = (fb_sync_report){.complete = false};
    fleet_must(fb_sync_open(db, NULL, &sync, &err), &err, "sync");
    fb_code rc = fb_sync_step(sync, link, 0, report, &err);
    fb_sync_close(sync);
    fb_link_curl_free(link);
    return rc;
}

static int64_t number_of(wire *w, const char *sql)
{
    sql_stmt *s = NULL;
    bool row = false;
    int64_t v = -1;
    fb_error err = {0};
    fleet_must(store_query(w->admin, text_of(sql), &s, &err), &err, sql);
    if (sql_step(s, &row) == FB_OK && row) {
        v = sql_int(s, 0);
    }
    sql_finalize(s);
    return v;
}

/* One group, one cut, one repeat. False: the stream was shorter than that. */
static bool cut_once(wire *w, int64_t up, int64_t down)
{
    char text[40];
    fb_sync_report report;
    const char *direction = up >= 0 ? "up" : "down";
    uint64_t at = (uint64_t)(up >= 0 ? up : down);
    snprintf(text, sizeof text, "mark %lld", (long long)++w->marks);
    fleet_must(fb_activity_log(w->db, &w->customer, text, NULL, NULL, NULL), NULL, "activity");
    proxy_cut(w->p, up, down);
    (void)wire_sync(w, w->db, &report);
    bool was_cut = proxy_did_cut(w->p);
    proxy_cut(w->p, -1, -1);
    w->n->tls += was_cut;
    fb_code rc = wire_sync(w, w->db, &report);
    if (rc != FB_OK || !report.complete) {
        char why[60];
        snprintf(why, sizeof why, "the repeat does not complete: %s", fb_code_name(rc));
        cut_bad(w->n, "tls", direction, at, why);
    }
    return was_cut;
}

static void group_cuts(wire *w)
{
    const cut_options *o = w->o;
    fb_error err = {0};
    for (int64_t k = (int64_t)(o->seed % o->tls_every); cut_once(w, k, -1);
         k += (int64_t)o->tls_every) {
    }
    for (int64_t k = (int64_t)(o->seed % o->tls_every); cut_once(w, -1, k);
         k += (int64_t)o->tls_every) {
    }
    if (number_of(w, "SELECT count(*) FROM activity WHERE subject LIKE 'mark %'") != w->marks ||
        number_of(w, "SELECT count(DISTINCT subject) FROM activity WHERE subject LIKE 'mark %'") !=
            w->marks) {
        cut_bad(w->n, "tls", "both", 0, "groups do not stand exactly once");
    }
    if (fb_db_check(w->db, &err) != FB_OK) {
        cut_bad(w->n, "tls", "both", 0, err.message);
    }
}

void tls_cuts(const cut_options *o, cut_counters *n)
{
    wire *w = calloc(1, sizeof *w);
    fb_sync_report report;
    if (w == NULL) {
        abort();
    }
    w->o = o;
    w->n = n;
    paths_make(w);
    server_up(w);
    device_up(w);
    if (number_of(w, "SELECT count(*) FROM fs_device") != 1) {
        cut_bad(n, "tls", "both", 0, "the device does not stand exactly once");
    }
    fleet_must(wire_sync(w, w->db, &report), NULL, "first sync");
    tls_health_cuts(w);
    tls_pack_cuts(w);
    tls_lane_cuts(w);
    group_cuts(w);
    fb_db_close(w->db);
    server_down(w);
    free(w);
}
