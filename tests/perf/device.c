/* device.c - the product's side: what a device does, through the public API and libcurl's link or
 * the bench's own. Each role is one device in one process, except load and live. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fieldbook/fieldbook.h"
#include "perf/gen.h"
#include "perf/load.h"
#include "platform/posix/link_curl.h"
#include "platform/posix/port.h"
#include "replica/replica.h"
#include "schema/limits.h"

enum { WAIT_MS = 60000, CURL_KEPT = MODES, CURL_NEW, PARK_MS = 100, BYTES_MAX = 64 << 20 };

static fb_db *db_open(const char *path, bool sync_normal)
{
    fb_db *db = NULL;
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = fb_port_posix();
    o.sync_normal = sync_normal;
    must(fb_db_open(path, &o, &db, &err), &err, path);
    return db;
}

static fb_link *curl_link(int64_t port, const char *ca)
{
    char url[64];
    fb_link *link = NULL;
    fb_error err = {0};
    snprintf(url, sizeof url, "https://localhost:%lld", (long long)port);
    must(fb_link_curl_new(url, ca, &link, &err), &err, "link");
    return link;
}

/* Everything sent, everything fetched, nothing refused. */
static void sync_all(fb_sync *sync, const fb_link *link, fb_sync_report *report)
{
    fb_error err = {0};
    must(fb_sync_step(sync, link, 0, report, &err), &err, "sync");
    if (!report->complete ||
        report->rejected_count + report->held_count + report->merged_count > 0) {
        bench_die("a sync was not as planned: complete %d, rejected %u, held %u, merged %u",
                  report->complete, report->rejected_count, report->held_count,
                  report->merged_count);
    }
}

static void report_take(const fb_sync_report *report, sample *out)
{
    out->rows = report->rows_count;
    out->count = report->requests_count;
    out->up_bytes = (int64_t)report->bytes_up;
    out->down_bytes = (int64_t)report->bytes_down;
}

/* sync DB PORT SERVER CA: W2, W3. */
void role_sync(int argc, char **argv, sample *out)
{
    fb_error err = {0};
    fb_sync *sync = NULL;
    fb_sync_report report;
    stopwatch w;
    if (argc != 4) {
        bench_die("sync: DB PORT SERVER CA");
    }
    int64_t before = file_bytes_of(argv[0]);
    fb_db *db = db_open(argv[0], false);
    fb_link *link = curl_link(number_of(argv[1]), argv[3]);
    must(fb_sync_open(db, NULL, &sync, &err), &err, "sync");
    watch_begin(&w, (pid_t)number_of(argv[2]));
    sync_all(sync, link, &report);
    watch_end(&w, out);
    report_take(&report, out);
    fb_sync_close(sync);
    fb_link_curl_free(link);
    fb_db_close(db);
    out->file_bytes = file_bytes_of(argv[0]) - before;
}

/* enrol DB PORT SERVER CA CODE sync|only */
void role_enrol(int argc, char **argv, sample *out)
{
    char url[64];
    fb_error err = {0};
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    if (argc != 6) {
        bench_die("enrol: DB PORT SERVER CA CODE sync|only");
    }
    fb_db *db = db_open(argv[0], false);
    fb_link *link = curl_link(number_of(argv[1]), argv[3]);
    snprintf(url, sizeof url, "https://localhost:%s", argv[1]);
    o.server_url = url;
    o.code = argv[4];
    must(fb_enrol(db, link, &o, &err), &err, "enrolment");
    fb_link_curl_free(link);
    fb_db_close(db);
    if (strcmp(argv[5], "sync") == 0) {
        role_sync(4, argv, out);
    }
}

/* ---------------------------------------------------------------- W1: recording */

static gen *gen_of(fb_db *db, const catalog *cat, const char *size, uint32_t user)
{
    fb_error err = {0};
    fb_identity me = {.size_bytes = sizeof me};
    must(fb_db_identity(db, &me, &err), &err, "identity");
    return gen_new(
        cat, strcmp(size, "small") == 0 ? &GEN_SMALL : &GEN_FULL,
        &(gen_who){.user = user, .device = me.device, .device_code = text_of(me.device_code)});
}

static void record_order(fb_db *db, const gen_row *rows, uint32_t number)
{
    const char *names[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_error err = {0};
    must(fb_group_begin(db, "visit.done", gen_order_at_ms(number), &err), &err, "group");
    for (int i = 0; i < GEN_ORDER_ROWS; i++) {
        uint32_t count = gen_given(&rows[i], names, values);
        must(fb_record_insert(db, rows[i].entity->name.data,
                              &(fb_record_change){names, values, count}, NULL, &err),
             &err, "record");
    }
    must(fb_group_commit(db, NULL, &err), &err, "group");
}

/* The same through visit and order, priced by the library. */
static void submit_order(fb_db *db, const gen_row *rows, uint32_t number)
{
    fb_error err = {0};
    fb_visit_in_options in = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_out_options out = FB_VISIT_OUT_OPTIONS_INIT;
    fb_order_options how = FB_ORDER_OPTIONS_INIT;
    fb_visit_in visit;
    fb_order *order = NULL;
    int customer = cat_column_str(rows[1].entity, "customer_id");
    int product = cat_column_str(rows[2].entity, "product_id"),
        qty = cat_column_str(rows[2].entity, "qty_milli");
    const fb_id *to = NULL;
    for (uint32_t i = 0; i < rows[1].count; i++) {
        to = rows[1].columns[i] == customer ? &rows[1].values[i].u.id : to;
    }
    in.at_ms = gen_order_at_ms(number) - 600000;
    how.at_ms = out.at_ms = gen_order_at_ms(number);
    must(fb_group_begin(db, "visit.done", gen_order_at_ms(number), &err), &err, "group");
    must(fb_visit_check_in(db, to, &in, &visit, &err), &err, "check-in");
    must(fb_order_new(db, to, &how, &order, &err), &err, "order");
    for (int k = 2; k < GEN_ORDER_ROWS; k++) {
        const fb_value *p = NULL, *q = NULL;
        for (uint32_t i = 0; i < rows[k].count; i++) {
            p = rows[k].columns[i] == product ? &rows[k].values[i] : p;
            q = rows[k].columns[i] == qty ? &rows[k].values[i] : q;
        }
        must(fb_order_line_add(order, &p->u.id, NULL, q->u.i, NULL, NULL, &err), &err, "line");
    }
    must(fb_order_submit(order, NULL, &err), &err, "submit");
    fb_order_close(order);
    must(fb_visit_check_out(db, &visit.visit, &out, &err), &err, "check-out");
    must(fb_group_commit(db, NULL, &err), &err, "group");
}

static void checkpoint(const char *path)
{
    sql_db *db = NULL;
    fb_error err = {0};
    must(sql_open(path, &(sql_options){0}, &db, &err), &err, path);
    must(sql_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)"), NULL, path);
    sql_close(db);
}

/* record DB ORDERS full|normal record|order full|small USER */
void role_record(int argc, char **argv, sample *out)
{
    catalog *cat = NULL;
    fb_error err = {0};
    stopwatch w;
    if (argc != 6) {
        bench_die("record: DB ORDERS full|normal record|order full|small USER");
    }
    uint32_t orders = (uint32_t)number_of(argv[1]);
    bool typed = strcmp(argv[3], "order") == 0;
    checkpoint(argv[0]);
    int64_t before = file_bytes_of(argv[0]);
    must(catalog_load(catalog_builtin_text(), &cat, &err), &err, "catalogue");
    fb_db *db = db_open(argv[0], strcmp(argv[2], "normal") == 0);
    gen *g = gen_of(db, cat, argv[4], (uint32_t)number_of(argv[5]));
    gen_row *rows = calloc((size_t)orders * GEN_ORDER_ROWS, sizeof *rows);
    for (uint32_t i = 0; rows != NULL && i < orders; i++) {
        gen_order(g, i, &rows[(size_t)i * GEN_ORDER_ROWS]);
    }
    watch_begin(&w, 0);
    for (uint32_t i = 0; rows != NULL && i < orders; i++) {
        (typed ? submit_order : record_order)(db, &rows[(size_t)i * GEN_ORDER_ROWS], i);
    }
    watch_end(&w, out);
    out->count = orders;
    out->rows = (int64_t)orders * GEN_ORDER_ROWS;
    free(rows);
    gen_free(g);
    fb_db_close(db);
    catalog_free(cat);
    checkpoint(argv[0]);
    out->file_bytes = file_bytes_of(argv[0]) - before;
}

/* ---------------------------------------------------------------- W4: one device */

typedef struct everyday {
    fb_db *db;
    fb_sync *sync;
    gen *g;
    int64_t port;
    const char *ca;
    int mode;
    net_link own;
    fb_link *curl;
} everyday;

static const fb_link *everyday_link(everyday *d)
{
    if (d->mode < MODES) {
        return &d->own.link;
    }
    if (d->mode == CURL_NEW || d->curl == NULL) {
        fb_link_curl_free(d->curl);
        d->curl = curl_link(d->port, d->ca);
    }
    return d->curl;
}

/* Records one order, then synchronises; the sync alone is timed. */
static int64_t everyday_sync(everyday *d, uint32_t number, sample *out)
{
    gen_row rows[GEN_ORDER_ROWS];
    fb_sync_report report;
    int64_t up = 0, down = 0, up_before = 0, down_before = 0;
    gen_order(d->g, number, rows);
    record_order(d->db, rows, number);
    net_link_bytes(&d->own, &up_before, &down_before);
    int64_t start = now_ns();
    sync_all(d->sync, everyday_link(d), &report);
    int64_t took = now_ns() - start;
    net_link_bytes(&d->own, &up, &down);
    out->up_bytes = d->mode < MODES ? up - up_before : (int64_t)report.bytes_up;
    out->down_bytes = d->mode < MODES ? down - down_before : (int64_t)report.bytes_down;
    out->count = report.requests_count;
    return took;
}

/* What an idle device holds already. */
static int64_t heap_in_use_kib(void)
{
    struct mallinfo2 m = mallinfo2();
    return (int64_t)((m.uordblks + m.hblkhd) / 1024);
}

static void everyday_run(everyday *d, int64_t count, pid_t server, sample *out)
{
    enum { WARM = 5 };
    int64_t *took = calloc((size_t)count, sizeof *took);
    stopwatch w;
    if (took == NULL) {
        bench_die("out of memory");
    }
    for (uint32_t i = 0; i < WARM; i++) {
        (void)everyday_sync(d, i, out);
    }
    peak_restart();
    int64_t before = status_kib(0, "VmRSS"), heap_kib = heap_in_use_kib();
    watch_begin(&w, server);
    for (int64_t i = 0; i < count; i++) {
        took[i] = everyday_sync(d, WARM + (uint32_t)i, out);
    }
    watch_end(&w, out);
    out->growth_kib = out->peak_kib - before + heap_kib;
    sort_ns(took, (size_t)count);
    out->p50_ns = quantile_ns(took, (size_t)count, 500);
    out->p99_ns = quantile_ns(took, (size_t)count, 990);
    free(took);
}

/* everyday DB PORT SERVER CA MODE SYNCS USER; MODE 0..2 as net_mode, 3 libcurl kept, 4 libcurl new.
 */
void role_everyday(int argc, char **argv, sample *out)
{
    catalog *cat = NULL;
    fb_error err = {0};
    if (argc != 7) {
        bench_die("everyday: DB PORT SERVER CA MODE SYNCS USER");
    }
    everyday d = {.port = number_of(argv[1]), .ca = argv[3], .mode = (int)number_of(argv[4])};
    must(catalog_load(catalog_builtin_text(), &cat, &err), &err, "catalogue");
    d.db = db_open(argv[0], false);
    d.g = gen_of(d.db, cat, "small", (uint32_t)number_of(argv[6]));
    net *client = net_client(argv[3]);
    net_link_init(&d.own, client, (int)d.port, d.mode < MODES ? (net_mode)d.mode : NET_KEPT);
    must(fb_sync_open(d.db, NULL, &d.sync, &err), &err, "sync");
    everyday_run(&d, number_of(argv[5]), (pid_t)number_of(argv[2]), out);
    fb_sync_close(d.sync);
    net_link_clear(&d.own);
    fb_link_curl_free(d.curl);
    net_free(client);
    gen_free(d.g);
    fb_db_close(d.db);
    catalog_free(cat);
}
