/* fleet.c - see fleet.h. */
#include "support/fleet.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/door/door.h"

void fleet_must(fb_code code, const fb_error *err, const char *what)
{
    if (code != FB_OK) {
        fprintf(stderr, "fleet: %s: %s field=%s %s\n", what, fb_code_name(code),
                err != NULL ? err->field : "", err != NULL ? err->message : "");
        abort();
    }
}

static fb_code fill(uint64_t *state, void *out, size_t size)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
        bytes[i] = (unsigned char)(*state >> 56);
    }
    return FB_OK;
}

static uint64_t mono(void *ctx)
{
    return (uint64_t)((fleet *)ctx)->now_ms;
}

static int64_t wall(void *ctx)
{
    return ((fleet *)ctx)->now_ms;
}

static fb_code random_bytes(void *ctx, void *out, size_t size)
{
    return fill(&((fleet *)ctx)->random, out, size);
}

static void hear(void *ctx, fb_level level, const char *line)
{
    fleet *f = ctx;
    (void)level;
    if (f->heard != NULL) {
        f->heard(f->heard_ctx, line);
    }
}

static uint64_t device_mono(void *ctx)
{
    return mono(((fleet_device *)ctx)->world);
}

static int64_t device_wall(void *ctx)
{
    return wall(((fleet_device *)ctx)->world);
}

static fb_code device_random(void *ctx, void *out, size_t size)
{
    return fill(&((fleet_device *)ctx)->random, out, size);
}

static void device_hear(void *ctx, fb_level level, const char *line)
{
    hear(((fleet_device *)ctx)->world, level, line);
}

static void company_fill(fleet *f)
{
    company *c = &f->company;
    f->region = company_add(c, "org_unit", PAIRS("code", "R1", "name", "East", "kind", "region"));
    fb_id rep = company_find(c, "role", "REP"), mgr = company_find(c, "role", "MGR");
    for (int i = 0; i < 2; i++) {
        char territory[4] = {'T', (char)('1' + i)}, user[4] = {'U', (char)('1' + i)},
             customer[4] = {'C', (char)('1' + i)};
        f->territories[i] = company_add(
            c, "territory",
            PAIRS("code", territory, "name", territory, "org_unit_id", id_text(&f->region)));
        f->users[i] = company_add(c, "app_user",
                                  PAIRS("code", user, "name", user, "org_unit_id",
                                        id_text(&f->region), "status", "active"));
        company_add(c, "user_role",
                    PAIRS("user_id", id_text(&f->users[i]), "role_id", id_text(&rep)));
        company_add(
            c, "user_territory",
            PAIRS("user_id", id_text(&f->users[i]), "territory_id", id_text(&f->territories[i])));
        f->customers[i] =
            company_add(c, "customer",
                        PAIRS("code", customer, "name", customer, "party_type", "customer",
                              "status", "active", "territory_id", id_text(&f->territories[i])));
    }
    f->manager = company_add(
        c, "app_user",
        PAIRS("code", "M1", "name", "M1", "org_unit_id", id_text(&f->region), "status", "active"));
    company_add(c, "user_role", PAIRS("user_id", id_text(&f->manager), "role_id", id_text(&mgr)));
    f->product = company_add(
        c, "product",
        PAIRS("code", "P1", "name", "P1", "base_uom", "EA", "type", "good", "status", "active"));
    fb_id list = company_add(c, "price_list",
                             PAIRS("code", "L1", "name", "L1", "currency", "CNY", "tax_included",
                                   "0", "priority", "0", "active", "1"));
    company_add(c, "price_list_item",
                PAIRS("price_list_id", id_text(&list), "product_id", id_text(&f->product), "uom",
                      "EA", "min_qty_milli", "0", "price_4dp", "10.00"));
    company_add(c, "price_assignment",
                PAIRS("target_kind", "global", "price_list_id", id_text(&list), "priority", "0"));
}

static void admin_open(fleet *f, uint64_t seed)
{
    fb_error err = {0};
    fleet_must(
        store_open(&(store_options){.path = "server/master.db", .vfs = "fleetfs"}, &f->admin, &err),
        &err, "store_open");
    company_init(&f->company, f->admin, &f->port, seed);
}

static void serve(fleet *f)
{
    fb_error err = {0};
    server_options open = {.path = "server/master.db",
                           .vfs = "fleetfs",
                           .port = &f->port,
                           .trace = true,
                           .sync_interval_ms = f->sync_interval_ms,
                           .gone_days = f->gone_days,
                           .packing = f->packing,
                           .files = mem_files_port(f->files),
                           .blobs = f->blobs,
                           .catalog = f->catalog};
    fleet_must(server_open(&open, &f->srv, &err), &err, "server_open");
    fleet_must(server_reader_open(f->srv, &f->reader, &err), &err, "server_reader_open");
}

static void db_open(fleet_device *d)
{
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &d->port;
    o.vfs = "fleetfs";
    o.files = mem_files_port(d->world->files);
    fleet_must(fb_db_open(d->path, &o, &d->db, &err), &err, "fb_db_open");
}

void fleet_device_reopen(fleet_device *d)
{
    char machine[40];
    snprintf(machine, sizeof machine, "%.*s", (int)strcspn(d->path, "/"), d->path);
    fb_db_close(d->db);
    if (crash_vfs_is_crashed(d->world->vfs, machine)) {
        crash_vfs_reboot(d->world->vfs, machine);
    }
    db_open(d);
}

static fleet_device *device_open(fleet *f, uint64_t seed)
{
    fleet_device *d = &f->devices[f->devices_count++];
    *d = (fleet_device){.world = f, .random = seed + (uint64_t)f->devices_count};
    snprintf(d->path, sizeof d->path, "dev%d/replica.db", f->devices_count);
    d->port = (fb_port){d, device_mono, device_wall, device_random, device_hear};
    db_open(d);
    return d;
}

void fleet_open(fleet *f)
{
    void (*heard)(void *, const char *) = f->heard;
    void *heard_ctx = f->heard_ctx;
    history *recorder = f->recorder;
    fb_text release = f->catalog;
    server_packing packing = f->packing;
    uint32_t sync_interval_ms = f->sync_interval_ms;
    uint32_t gone_days = f->gone_days;
    server_blob_limits blobs = f->blobs;
    *f = (fleet){.now_ms = 1760000000000LL,
                 .random = 42,
                 .catalog = release,
                 .heard = heard,
                 .heard_ctx = heard_ctx,
                 .recorder = recorder,
                 .sync_interval_ms = sync_interval_ms,
                 .gone_days = gone_days,
                 .blobs = blobs,
                 .packing = packing};
    f->vfs = crash_vfs_new("fleetfs", 1);
    f->files = mem_files_new(1);
    f->port = (fb_port){f, mono, wall, random_bytes, hear};
    fb_error err = {0};
    server_create_options create = {.path = "server/master.db",
                                    .vfs = "fleetfs",
                                    .port = &f->port,
                                    .company_code = "ACME",
                                    .company_name = "Acme",
                                    .catalog = release};
    fleet_must(server_create(&create, &err), &err, "server_create");
    admin_open(f, 7);
    company_fill(f);
    serve(f);
}

void fleet_go_on(fleet *f, crash_vfs *take, int64_t now_ms, int devices)
{
    *f = (fleet){.vfs = take, .now_ms = now_ms, .random = (uint64_t)now_ms};
    f->files = mem_files_new(1);
    f->port = (fb_port){f, mono, wall, random_bytes, hear};
    serve(f);
    admin_open(f, (uint64_t)now_ms);
    for (int i = 0; i < devices; i++) {
        device_open(f, (uint64_t)now_ms);
    }
}

void fleet_server_restart(fleet *f)
{
    fb_error err = {0};
    server_job_free(f->job);
    f->job = NULL;
    server_reader_close(f->reader);
    server_close(f->srv);
    serve(f);
    if (f->admin != NULL) {
        fleet_must(store_catalog_refresh(f->admin, &err), &err, "store_catalog_refresh");
    }
}

void fleet_server_stop(fleet *f)
{
    server_job_free(f->job);
    store_close(f->admin);
    server_reader_close(f->reader);
    server_close(f->srv);
    f->job = NULL;
    f->admin = NULL;
    f->reader = NULL;
    f->srv = NULL;
}

void fleet_server_start(fleet *f)
{
    admin_open(f, (uint64_t)f->now_ms);
    serve(f);
}

void fleet_close(fleet *f)
{
    for (int i = 0; i < f->devices_count; i++) {
        fb_db_close(f->devices[i].db);
    }
    fleet_server_stop(f);
    crash_vfs_free(f->vfs);
    mem_files_free(f->files);
}

static int number_of(const fleet_device *d)
{
    return (int)(d - d->world->devices) + 1;
}

void fleet_saving(fleet_device *d)
{
    if (d->world->recorder != NULL) {
        history_time(d->world->recorder, d->world->now_ms);
        history_save(d->world->recorder, number_of(d));
    }
}

void fleet_saved(fleet_device *d, fb_code code)
{
    if (d->world->recorder != NULL) {
        history_saved(d->world->recorder, number_of(d), code, false);
    }
}

/* The reply that was given last is taken when the device speaks again, or its sync ends. */
static void recorded_take(fleet_device *d, fb_code code)
{
    fleet *f = d->world;
    if (f->recorder != NULL && d->answer != 0) {
        history_take(f->recorder, d->answer, number_of(d), &d->answered, code);
        d->answer = 0;
    }
}

static int64_t recorded_send(fleet_device *d, const fb_link_request *q)
{
    fleet *f = d->world;
    recorded_take(d, FB_OK);
    if (f->recorder == NULL || !d->enrolled) {
        return 0;
    }
    history_time(f->recorder, f->now_ms);
    history_server(f->recorder);
    int64_t number = history_send(f->recorder, number_of(d), q);
    history_arrive(f->recorder, number);
    return number;
}

static void recorded_reply(fleet_device *d, int64_t number, const fb_link_response *r)
{
    fleet *f = d->world;
    if (f->recorder != NULL && number != 0) {
        history_server(f->recorder);
        history_reply(f->recorder, number, number_of(d), r);
        d->answer = number;
        d->answered = *r; /* its body is the job's, which the next exchange ends */
    }
}

/* A network that never fails: straight into the server library. */
static fb_code exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    fleet_device *d = ctx;
    fleet *f = d->world;
    int64_t number = recorded_send(d, q);
    if (f->asked != NULL) {
        f->asked(f->asked_ctx, q);
    }
    server_job_free(f->job);
    server_request r = {
        .method = text_of(q->method),
        .path = text_of(q->path),
        .authorization = text_of(q->authorization),
        .content_type = text_of(q->content_type),
        .content_encoding = text_of(q->content_encoding),
        .peer = text_of("test"),
        .body = q->body,
    };
    server_tick(f->srv, (uint64_t)f->now_ms); /* notices the administrator's commits */
    f->job = server_handle(f->srv, f->reader, &r);
    const server_reply *reply = server_job_reply(f->job);
    *out = (fb_link_response){.status = reply->status,
                              .zstd = reply->zstd,
                              .retry_ms = reply->retry_s * 1000,
                              .body = reply->body};
    recorded_reply(d, number, out);
    if (f->answered != NULL) {
        f->answered(f->answered_ctx, q, out);
    }
    return FB_OK;
}

fb_code fleet_exchange(fleet_device *d, bool *done_out, fb_error *err)
{
    fleet *f = d->world;
    fb_sync *sync = NULL;
    fb_sync_action action = FB_SYNC_DONE;
    fb_link_request q;
    fb_link_response r;
    uint32_t wait_ms = 0;
    f->now_ms += 100;
    fb_code rc = fb_sync_open(d->db, NULL, &sync, err);
    if (rc == FB_OK) {
        rc = fb_sync_next(sync, &action, &q, &wait_ms, err);
    }
    if (rc == FB_OK && action == FB_SYNC_SEND) {
        (void)exchange(d, &q, &r);
        rc = fb_sync_reply(sync, &r, err);
    }
    fb_sync_get_report(sync, &d->report);
    *done_out = rc == FB_OK && d->report.complete;
    fb_sync_close(sync);
    return rc;
}

fb_link fleet_link(fleet_device *d)
{
    return (fb_link){d, exchange};
}

fb_code fleet_try_sync(fleet_device *d, fb_error *err)
{
    fb_link link = {d, exchange};
    fb_sync *sync = NULL;
    fb_code rc = fb_sync_open(d->db, NULL, &sync, err);
    if (rc == FB_OK) {
        rc = fb_sync_step(sync, &link, 0, &d->report, err);
        recorded_take(d, rc);
    }
    if (d->world->recorder != NULL && rc == FB_OK && d->report.complete) {
        history_synced(d->world->recorder, number_of(d));
    }
    fb_sync_close(sync);
    return rc;
}

void fleet_sync(fleet_device *d)
{
    fb_error err = {0};
    d->world->now_ms += 1000;
    fleet_must(fleet_try_sync(d, &err), &err, "sync");
    if (!d->report.complete) {
        fleet_must(FB_E_BUG, NULL, "a sync over a perfect network is not complete");
    }
}

static fb_code enrol(fleet_device *d, const fb_id *user, bool again, fb_error *err)
{
    fleet *f = d->world;
    buf code;
    buf_init(&code, 100);
    fleet_must(store_begin(f->admin), NULL, "begin");
    fleet_must(door_code_make(f->admin, user, f->now_ms, 3600000, &f->port, &code), NULL, "code");
    fleet_must(store_commit(f->admin), NULL, "commit");
    fb_link link = {d, exchange};
    fb_enrol_options e = FB_ENROL_OPTIONS_INIT;
    e.server_url = "https://test";
    e.code = buf_cstr(&code);
    e.again = again;
    d->enrolled = false;
    fb_code rc = fb_enrol(d->db, &link, &e, err);
    buf_clear(&code);
    d->enrolled = true;
    if (rc == FB_OK && f->recorder != NULL) {
        history_time(f->recorder, f->now_ms);
        history_server(f->recorder);
        history_device(f->recorder, number_of(d), d->path, user);
    }
    return rc;
}

void fleet_build(fleet *f)
{
    f->now_ms += 3600000; /* every pack may be made anew */
    while (server_build(f->srv, (uint64_t)f->now_ms)) {
    }
}

fleet_device *fleet_device_new(fleet *f, const fb_id *user)
{
    fleet_device *d = device_open(f, 1000);
    fb_error err = {0};
    fleet_must(enrol(d, user, false, &err), &err, "enrol");
    return d;
}

fleet_device *fleet_device_add(fleet *f, const fb_id *user)
{
    fleet_device *d = fleet_device_new(f, user);
    fleet_sync(d);
    return d;
}

void fleet_open_again(fleet_device *d)
{
    db_open(d);
}

void fleet_reopen(fleet_device *d)
{
    fb_db_close(d->db);
    fleet_open_again(d);
}

static void file_delete(const char *name)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("fleetfs");
    (void)vfs->xDelete(vfs, name, 0); /* an absent one is fine */
}

void fleet_put_file(fleet *f, const char *name, const void *data, size_t size)
{
    file_delete(name);
    crash_vfs_put(f->vfs, name, data, size);
}

void fleet_lose_database(fleet_device *d)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[64];
    fb_db_close(d->db);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", d->path, ends[i]);
        file_delete(name);
    }
    fleet_open_again(d);
}

fb_code fleet_enrol_again(fleet_device *d, const fb_id *user, fb_error *err)
{
    return enrol(d, user, true, err);
}

typedef struct first_cell {
    int64_t number;
    char *text;
    size_t size;
} first_cell;

static fb_code cell_take(void *ctx, const fb_row *row)
{
    first_cell *c = ctx;
    const fb_value *v = &row->values[0];
    c->number = v->kind == FB_KIND_INT ? v->u.i : -1;
    if (c->text != NULL && v->kind == FB_KIND_TEXT) {
        snprintf(c->text, c->size, "%.*s", (int)v->u.text.size, v->u.text.data);
    }
    return FB_OK;
}

int64_t fleet_number(fleet_device *d, const char *sql)
{
    first_cell c = {.number = -1};
    fb_error err = {0};
    fleet_must(fb_query(d->db, sql, NULL, cell_take, &c, &err), &err, sql);
    return c.number;
}

void fleet_text(fleet_device *d, const char *sql, char *out, size_t size)
{
    first_cell c = {.text = out, .size = size};
    out[0] = '\0';
    fb_error err = {0};
    fleet_must(fb_query(d->db, sql, NULL, cell_take, &c, &err), &err, sql);
}
