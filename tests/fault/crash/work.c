/* work.c - see crash.h: some hundred operations of every kind, from one seed. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/crash/crash.h"
#include "sync-server/door/door.h"

enum {
    SHOPS = 6,
    SYNC_EVERY = 6,
    REOPEN_EVERY = 37,
    GROW_EVERY = 90,
    BACKUP_EVERY = 70,
    PACK_EVERY = 60,
    SHELF_EVERY = 15,
    SHELF_FULL_EVERY = 60,
    LATE_TAGS = 2001 /* LATE_INDEX_ROWS of replica/room.h, and one */
};

typedef struct work {
    fleet f;
    tape *t;
    uint64_t state;
    work_report *report;
    fb_id shops[SHOPS];
    uint32_t number, grown;
    int64_t last; /* newest group of the first device */
    folder *shelf;
    bool planted;
} work;

static uint64_t below(work *w, uint64_t n)
{
    w->state = mix(w->state, 0x3071);
    return w->state % n;
}

int64_t judge_number(const char *vfs, const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int64_t v = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, vfs) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        v = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return v;
}

int64_t judge_last_group(const char *vfs, const char *path)
{
    return judge_number(vfs, path,
                        "SELECT max(coalesce((SELECT max(gseq) FROM fb_outbox WHERE gseq > 0), 0),"
                        " coalesce((SELECT value FROM fb_meta WHERE key = 'pruned'), 0))");
}

int64_t judge_indexes(const char *vfs, const char *path)
{
    return judge_number(
        vfs, path, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL");
}

/* Of dev1's file it is one only when a group was saved: a group given up writes nothing. */
static void promise_made(work *w, bool device)
{
    int64_t last = judge_last_group("fleetfs", "dev1/replica.db");
    bool saved = device && last > w->last;
    w->last = last;
    tape_promise_add(w->t, &(tape_promise){.now_ms = w->f.now_ms,
                                           .moment = w->report->moments,
                                           .last = last,
                                           .device = saved});
}

/* Not of dev1's file: what the server said may be lost with the power, it says it again. */
static void promise(work *w)
{
    promise_made(w, false);
}

/* --- what people do on a device --------------------------------------------------------------- */

static fb_code do_activity(work *w, fleet_device *d, const fb_id *shop)
{
    char text[40];
    snprintf(text, sizeof text, "talk %u", w->number);
    return fb_activity_log(d->db, shop, text, NULL, NULL, NULL);
}

static fb_code do_task(work *w, fleet_device *d, const fb_id *shop)
{
    fb_id task;
    (void)shop;
    fb_code rc = fb_task_add(d->db, "call back", NULL, &task, NULL);
    return rc == FB_OK && below(w, 2) ? fb_task_done(d->db, &task, "done", 0, NULL) : rc;
}

static fb_code do_contact(work *w, fleet_device *d, const fb_id *shop)
{
    char json[200];
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Person %u\"}", id_text(shop),
             w->number);
    return fb_record_put_json(d->db, "contact", json, NULL, NULL);
}

static fb_code do_tag(work *w, fleet_device *d, const fb_id *shop)
{
    char json[200];
    fb_id id;
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"tag\":\"tag %u\"}", id_text(shop),
             w->number);
    fb_code rc = fb_record_put_json(d->db, "customer_tag", json, &id, NULL);
    return rc == FB_OK && below(w, 2) ? fb_record_delete(d->db, "customer_tag", &id, NULL) : rc;
}

static fb_code do_edit(work *w, fleet_device *d, const fb_id *shop)
{
    char json[120];
    snprintf(json, sizeof json, "{\"remark\":\"remark %u\",\"opening_hours\":\"%u\"}", w->number,
             (unsigned)below(w, 5));
    return fb_customer_update(d->db, shop, json, NULL, NULL);
}

static fb_code do_customer(work *w, fleet_device *d, const fb_id *shop)
{
    char json[80];
    (void)shop;
    snprintf(json, sizeof json, "{\"name\":\"New shop %u\"}", w->number);
    return fb_customer_create(d->db, json, NULL, NULL);
}

static fb_code do_payment(work *w, fleet_device *d, const fb_id *shop)
{
    fb_payment_receipt r;
    return fb_payment_add(d->db, shop, 100 + (int64_t)below(w, 90000), NULL, &r, NULL);
}

static fb_code order_take(work *w, fleet_device *d, const fb_id *shop, uint64_t lines)
{
    fb_order *order = NULL;
    fb_code rc = fb_order_new(d->db, shop, NULL, &order, NULL);
    for (uint64_t i = 0; i < lines && rc == FB_OK; i++) {
        rc = fb_order_line_add(order, &w->f.product, NULL, 1000 * (1 + (int64_t)below(w, 9)), NULL,
                               NULL, NULL);
    }
    rc = rc == FB_OK ? fb_order_submit(order, NULL, NULL) : rc;
    fb_order_close(order);
    return rc;
}

static fb_code do_visit(work *w, fleet_device *d, const fb_id *shop)
{
    fb_visit_in in;
    fb_code rc = fb_group_begin(d->db, "visit.done", 0, NULL);
    if (rc != FB_OK) {
        return rc;
    }
    rc = fb_visit_check_in(d->db, shop, NULL, &in, NULL);
    if (rc == FB_OK) {
        rc = order_take(w, d, shop, 1 + below(w, 12));
    }
    if (rc == FB_OK) {
        rc = fb_visit_check_out(d->db, &in.visit, NULL, NULL);
    }
    if (rc == FB_OK) {
        return fb_group_commit(d->db, NULL, NULL);
    }
    fb_group_abort(d->db);
    return rc;
}

/* Begun and given up: nothing of it may be found. */
static fb_code do_abort(work *w, fleet_device *d, const fb_id *shop)
{
    fb_code rc = fb_group_begin(d->db, "given.up", 0, NULL);
    rc = rc == FB_OK ? do_activity(w, d, shop) : rc;
    fb_group_abort(d->db);
    return rc;
}

static fb_code do_photo(work *w, fleet_device *d, const fb_id *shop)
{
    w->report->photos++;
    return lane_photo(d, shop, w->number);
}

static fb_code (*const ACTS[])(work *w, fleet_device *d, const fb_id *shop) = {
    do_activity, do_task,  do_contact, do_tag,   do_edit,  do_customer,
    do_payment,  do_visit, do_visit,   do_abort, do_photo,
};

/* --- office and administrator -------------------------------------------------------------------
 */

/* The product is taken off the list while a device sells it: its next order is rejected. */
static void office_block_product(work *w, bool blocked)
{
    company_set(&w->f.company, "product", &w->f.product,
                PAIRS("status", blocked ? "suspended" : "active"));
}

static void office_edit(work *w)
{
    char remark[40];
    snprintf(remark, sizeof remark, "office %u", w->number);
    company_set(&w->f.company, "customer", &w->shops[below(w, SHOPS)], PAIRS("remark", remark));
}

static void catalogue_grow(work *w)
{
    char module[700];
    fb_error err = {0};
    snprintf(module, sizeof module,
             "{\"module\":\"acme\",\"entities\":[{\"name\":\"shelf_note_%u\",\"label\":{\"en\":"
             "\"Shelf\",\"zh\":\"货架\"},"
             "\"class\":\"fact\",\"stamps\":true,\"scope\":[{\"by\":\"parent\",\"column\":"
             "\"customer_id\"}],\"columns\":["
             "{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\",\"required\":true,"
             "\"label\":{\"en\":\"Customer\","
             "\"zh\":\"客户\"}}],\"grants\":{\"REP\":\"cr\"}}],\"extend\":[{\"entity\":"
             "\"customer\",\"columns\":[{\"name\":"
             "\"shelf_%u\",\"type\":\"text\",\"max\":20,\"policy\":\"LWW\",\"label\":{\"en\":"
             "\"Shelf\",\"zh\":\"货架\"}}]}]}",
             w->grown, w->grown);
    fleet_must(door_catalog_grow(w->f.admin, text_of(module), &w->f.port, &err), &err, "grow");
    w->grown++;
    w->report->migrations++;
}

/* As fieldbook-admin backup: copy, verify, and only then say that it counts. */
static void backup(work *w)
{
    fb_error err = {0};
    store *copy = NULL;
    int64_t head = 0;
    char path[40];
    snprintf(path, sizeof path, "server/backup%u.db", ++w->report->backups);
    fleet_must(store_backup(w->f.admin, path, NULL, NULL, &err), &err, "backup");
    fleet_must(store_open(&(store_options){.path = path, .vfs = "fleetfs", .read_only = true},
                          &copy, &err),
               &err, "backup opens");
    fleet_must(store_check(copy, &err), &err, "backup check");
    fleet_must(ledger_head(copy, &head), NULL, "backup head");
    store_close(copy);
    lane_backup(&w->f);
    fleet_must(store_begin(w->f.admin), NULL, "begin");
    fleet_must(store_meta_int_set(w->f.admin, "backed_up_cid", head), NULL, "backed_up_cid");
    fleet_must(store_meta_int_set(w->f.admin, "test_backup", w->report->backups), NULL,
               "test_backup");
    fleet_must(audit_put(w->f.admin, w->f.now_ms, text_of("admin"), text_of("backup"),
                         (fb_text){NULL, 0}, NULL, text_of("{}")),
               NULL, "audit");
    fleet_must(store_commit(w->f.admin), NULL, "commit");
}

static void reopen(work *w, fleet_device *d)
{
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &d->port;
    o.vfs = "fleetfs";
    o.files = mem_files_port(w->f.files);
    o.sync_normal = w->planted;
    fb_db_close(d->db);
    fleet_must(fb_db_open(d->path, &o, &d->db, &err), &err, "reopen");
    w->report->reopened++;
}

typedef struct oldest {
    int64_t gseq;
    bool held;
} oldest;

static fb_code problem_take(void *ctx, const fb_problem *p)
{
    oldest *o = ctx;
    if (o->gseq == 0) {
        *o = (oldest){p->gseq, text_is(p->state, "held")};
    }
    return FB_OK;
}

/* The tray is worked off: sent again, or given up. */
static void tray(work *w, fleet_device *d)
{
    oldest o = {0};
    fb_error err = {0};
    fleet_must(fb_problem_each(d->db, problem_take, &o, &err), &err, "tray");
    if (o.gseq == 0 || o.held) {
        return;
    }
    fb_code rc = below(w, 2) ? fb_problem_resubmit(d->db, o.gseq, NULL, 0, NULL, &err)
                             : fb_problem_discard(d->db, o.gseq, &err);
    if (rc != FB_OK) {
        fleet_must(fb_problem_discard(d->db, o.gseq, &err), &err, "discard");
    }
}

static void sync_one(work *w, fleet_device *d)
{
    fleet_sync(d);
    w->report->syncs++;
    w->report->rejected += d->report.rejected_count;
}

static void lane_run(work *w, fleet_device *d)
{
    fb_lane_report r;
    fb_error err = {0};
    fleet_must(lane_round(d, &r, &err), &err, "lane");
    w->report->stored += r.stored_count;
    w->report->fetched += r.fetched_count;
}

/* Hours after a backup the device hears that its photos are safe. */
static void let_go(work *w, fleet_device *d)
{
    w->f.now_ms += 24 * 3600000LL;
    sync_one(w, d);
    lane_run(w, d);
    promise(w);
    lane_let_go(d);
    promise(w);
    lane_run(w, d);
    promise(w);
}

static void housekeeping(work *w, fleet_device *first, fleet_device *second)
{
    uint32_t n = w->number;
    if (n % SYNC_EVERY == 0) {
        sync_one(w, first);
        promise(w);
        tray(w, first);
        promise(w);
    }
    if (n % (SYNC_EVERY * 2) == 0) {
        sync_one(w, second);
        promise(w);
        lane_run(w, first);
        promise(w);
        lane_run(w, second);
        promise(w);
    }
    if (n % REOPEN_EVERY == 17) {
        reopen(w, first);
        promise(w);
    }
    if (n % GROW_EVERY == 20) {
        catalogue_grow(w);
        promise(w);
    }
    if (n % BACKUP_EVERY == 12) {
        backup(w);
        promise(w);
        let_go(w, first);
    }
    if (n % SHELF_EVERY == 8) {
        if (!folder_backup(&w->f, w->shelf, n % SHELF_FULL_EVERY == 38)) {
            fleet_must(FB_E_IO, NULL, "backup into a folder");
        }
        w->report->moments++;
        promise(w);
    }
    if (n % PACK_EVERY == 22) {
        fleet_build(&w->f);
        promise(w);
    }
    if (n % 9 == 4) {
        office_edit(w);
        promise(w);
    }
    if (n % 25 == 10 || n % 25 == 18) {
        office_block_product(w, n % 25 == 10);
        promise(w);
    }
}

static void op(work *w, fleet_device *first, fleet_device *second)
{
    fleet_device *d = below(w, 5) == 0 ? second : first;
    const fb_id *shop = d == first ? &w->shops[below(w, SHOPS)] : &w->f.customers[1];
    w->f.now_ms += 60000;
    fb_code rc = ACTS[below(w, sizeof ACTS / sizeof *ACTS)](w, d, shop);
    w->report->groups += rc == FB_OK;
    w->report->ops++;
    promise_made(w, d == first && rc == FB_OK);
    housekeeping(w, first, second);
}

/* A first download in packs, each chunk by a session of its own: staged, then promoted at once. */
static uint32_t download(fleet_device *d)
{
    uint32_t chunks = 0;
    bool done = false;
    fb_error err = {0};
    while (!done) {
        fleet_must(fleet_exchange(d, &done, &err), &err, "download");
        chunks += d->report.chunks_count;
    }
    if (chunks == 0) {
        fleet_must(FB_E_BUG, NULL, "the first download came without packs");
    }
    return chunks;
}

/* More rows of one entity than a device loads without leaving its indexes for the end. */
static void tags_add(fleet *f)
{
    for (int i = 0; i < LATE_TAGS; i++) {
        char tag[20];
        snprintf(tag, sizeof tag, "tag %d", i);
        company_add(&f->company, "customer_tag",
                    PAIRS("customer_id", id_text(&f->customers[0]), "tag", tag));
    }
}

void work_run_late(tape *t, work_report *out)
{
    work *w = calloc(1, sizeof *w);
    if (w == NULL) {
        abort();
    }
    *out = (work_report){0};
    w->t = t;
    w->report = out;
    w->f.packing = WORK_PACKING;
    fleet_open(&w->f);
    tags_add(&w->f);
    fleet_build(&w->f);
    folder_vfs("fleetfs");
    tape_start(t, w->f.vfs, w->f.files);
    promise(w);
    fleet_device *d = fleet_device_new(&w->f, &w->f.users[0]);
    out->indexes = judge_indexes("fleetfs", d->path);
    promise(w);
    out->chunks = download(d);
    promise(w);
    w->number++;
    promise_made(w, do_activity(w, d, &w->f.customers[0]) == FB_OK);
    sync_one(w, d);
    promise(w);
    out->late_rows = (uint32_t)fleet_number(d, "SELECT count(*) FROM customer_tag");
    if (judge_indexes("fleetfs", d->path) != out->indexes) {
        fleet_must(FB_E_BUG, NULL, "a download left other indexes than there were");
    }
    tape_stop(t);
    fleet_close(&w->f);
    free(w);
}

void work_run(tape *t, const work_options *options, work_report *out)
{
    work *w = calloc(1, sizeof *w);
    if (w == NULL) {
        abort();
    }
    *out = (work_report){0};
    w->t = t;
    w->state = options->seed;
    w->planted = options->planted;
    w->report = out;
    w->f.packing = WORK_PACKING;
    fleet_open(&w->f);
    for (int i = 0; i < SHOPS; i++) {
        char code[8];
        snprintf(code, sizeof code, "S%d", i);
        w->shops[i] =
            company_add(&w->f.company, "customer",
                        PAIRS("code", code, "name", code, "party_type", "customer", "status",
                              "active", "territory_id", id_text(&w->f.territories[0])));
    }
    fleet_build(&w->f);
    folder_vfs("fleetfs"); /* a backup goes to the default file layer */
    w->shelf = folder_new(w->f.files);
    tape_start(t, w->f.vfs, w->f.files);
    promise(w);
    fleet_device *first = fleet_device_new(&w->f, &w->f.users[0]);
    promise(w);
    out->chunks = download(first);
    promise(w);
    if (w->planted) {
        reopen(w, first);
    }
    fleet_device *second = fleet_device_add(&w->f, &w->f.users[1]);
    promise(w);
    while (w->number < options->ops) {
        w->number++;
        op(w, first, second);
    }
    sync_one(w, first);
    promise(w);
    tape_stop(t);
    folder_free(w->shelf);
    fleet_close(&w->f);
    free(w);
}
