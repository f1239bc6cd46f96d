/* replay.c - fb-model-replay: runs of the model (model.sh --traces) against the real library and
 * the real server, over files in memory.
 *
 * Every line of a trace is one step of sync.pml; the function of the same name below does it. At
 * `end` what the model expects of a device is compared: which of the groups' own rows it shows,
 * that nothing is pending, and that all devices show the same shared row. (Which group wins the
 * shared row is not compared: the model knows arrival only, the merge goes by capture times.) A
 * `lose` is a lost message, a crash of the device or a crash of the server, in turn: to the model
 * they are the same. Leaves to tests/sim: cut bodies, full disks, clocks, scopes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "fieldbook/fieldbook.h"
#include "support/fleet.h"

enum { GROUPS_MAX = 7, LINE_BYTES = 200, WAYS_TO_LOSE = 3 };
static const char SERVER[] = "server", SERVER_BACKUP[] = "serverbak", PHONE[] = "phone";

/* One exchange that is out. */
typedef struct flight {
    fb_sync *sync;   /* NULL: none */
    server_job *job; /* written, not read; NULL: not yet */
    buf body;
    char authorization[200];
    bool zstd;
} flight;

typedef struct replaying {
    fleet world;
    bool open;
    int devices, groups_saved, loses, trace;
    flight flights[FLEET_DEVICES_MAX];
    bool healed;
    char shared[64]; /* of the first device that ended */
    bool failed;
    long steps, traces, failures;
} replaying;

static void complain(replaying *p, const char *what, int device)
{
    p->failed = true;
    printf("trace %d, device %d: %s\n", p->trace, device, what);
}

static void must(fb_code code, const fb_error *err, const char *what)
{
    fleet_must(code, err, what);
}

/* --- machines ------------------------------------------------------------------------- */

static void machine_of(int device, char out[16])
{
    snprintf(out, 16, "dev%d", device + 1);
}

static void job_drop(flight *f)
{
    server_job_free(f->job);
    f->job = NULL;
}

static void flight_end(flight *f)
{
    job_drop(f);
    fb_sync_close(f->sync);
    f->sync = NULL;
    buf_clear(&f->body);
}

static void device_open(fleet_device *d)
{
    fb_error err = {0};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &d->port;
    o.vfs = "fleetfs";
    must(fb_db_open(d->path, &o, &d->db, &err), &err, "fb_db_open");
}

static void device_close(replaying *p, int device)
{
    flight_end(&p->flights[device]);
    fb_db_close(p->world.devices[device].db);
    p->world.devices[device].db = NULL;
}

static void server_down(replaying *p)
{
    fleet *f = &p->world;
    for (int i = 0; i < FLEET_DEVICES_MAX; i++) {
        job_drop(&p->flights[i]);
    }
    server_job_free(f->job);
    f->job = NULL;
    server_reader_close(f->reader);
    server_close(f->srv);
    store_close(f->admin);
}

static void server_up(replaying *p, bool new_epoch)
{
    fleet *f = &p->world;
    fb_error err = {0};
    if (new_epoch) {
        int64_t head = 0;
        const server_epoch_options o = {
            .path = "server/master.db", .vfs = "fleetfs", .port = &f->port};
        must(server_epoch_new(&o, &head, &err), &err, "server_epoch_new");
    }
    must(
        store_open(&(store_options){.path = "server/master.db", .vfs = "fleetfs"}, &f->admin, &err),
        &err, "store_open");
    f->company.db = f->admin;
    server_options open = {.path = "server/master.db", .vfs = "fleetfs", .port = &f->port};
    must(server_open(&open, &f->srv, &err), &err, "server_open");
    must(server_reader_open(f->srv, &f->reader, &err), &err, "server_reader_open");
}

/* --- what people do ------------------------------------------------------------------- */

static void step_save(replaying *p, int device, int number)
{
    fleet *f = &p->world;
    fleet_device *d = &f->devices[device];
    fb_error err = {0};
    char text[32], json[64];
    int64_t gseq = 0;
    f->now_ms += 1000;
    snprintf(text, sizeof text, "group %d", number);
    snprintf(json, sizeof json, "{\"remark\":\"%s\"}", text);
    must(fb_group_begin(d->db, "model.save", 0, &err), &err, "fb_group_begin");
    must(fb_activity_log(d->db, &f->customers[0], text, NULL, NULL, &err), &err, "fb_activity_log");
    must(fb_customer_update(d->db, &f->customers[0], json, NULL, &err), &err, "fb_customer_update");
    must(fb_group_commit(d->db, &gseq, &err), &err, "fb_group_commit");
    p->groups_saved = number > p->groups_saved ? number : p->groups_saved;
}

/* --- the network ---------------------------------------------------------------------- */

static void step_send(replaying *p, int device)
{
    fleet_device *d = &p->world.devices[device];
    flight *f = &p->flights[device];
    fb_error err = {0};
    fb_link_request q;
    fb_sync_action action;
    uint32_t wait_ms = 0;
    p->world.now_ms += 1000;
    flight_end(f);
    must(fb_sync_open(d->db, NULL, &f->sync, &err), &err, "fb_sync_open");
    must(fb_sync_next(f->sync, &action, &q, &wait_ms, &err), &err, "fb_sync_next");
    if (action != FB_SYNC_SEND) {
        complain(p, "a sync does not begin with a request", device);
        return;
    }
    buf_init(&f->body, q.body.size + 1);
    buf_put_text(&f->body, q.body);
    snprintf(f->authorization, sizeof f->authorization, "%s", q.authorization);
    f->zstd = q.content_encoding != NULL;
}

static server_job *request_write(replaying *p, flight *f)
{
    fleet *w = &p->world;
    job_next next;
    const server_request q = {.method = text_of("POST"),
                              .path = text_of("/v1/sync"),
                              .authorization = text_of(f->authorization),
                              .content_type = text_of("application/x-fieldbook"),
                              .content_encoding = text_of(f->zstd ? "zstd" : ""),
                              .peer = text_of("test"),
                              .body = buf_text(&f->body)};
    w->now_ms += 100;
    server_tick(w->srv, (uint64_t)w->now_ms);
    server_job *job = server_prepare(w->srv, w->reader, &q, &next);
    if (next == JOB_WRITE) {
        server_write(w->srv, &job, 1);
    }
    return job;
}

static void reply_give(replaying *p, int device)
{
    flight *f = &p->flights[device];
    fb_error err = {0};
    const server_reply *r = server_job_reply(f->job);
    const fb_link_response response = {
        .status = r->status, .zstd = r->zstd, .retry_ms = r->retry_s * 1000, .body = r->body};
    (void)!fb_sync_reply(f->sync, &response, &err); /* what it means is seen at the end */
    flight_end(f);
}

/* A refusal is answered in the same step, as in the model. A crash may have taken a reply back
 * (stage.c take_relaxed), so a request can end here where the model's goes on: then it is over. */
static void step_write(replaying *p, int device)
{
    flight *f = &p->flights[device];
    if (f->sync == NULL) {
        return;
    }
    job_drop(f);
    f->job = request_write(p, f);
    if (server_job_next(f->job) == JOB_DONE) {
        reply_give(p, device);
    }
}

static void step_again(replaying *p, int device)
{
    if (p->flights[device].sync != NULL) {
        server_job_free(request_write(p, &p->flights[device]));
    }
}

static void step_reply(replaying *p, int device)
{
    flight *f = &p->flights[device];
    if (f->sync == NULL) {
        return;
    }
    if (f->job == NULL) { /* the server crashed after its commit: asked again */
        f->job = request_write(p, f);
    }
    if (server_job_next(f->job) == JOB_READ) {
        server_read(p->world.srv, p->world.reader, f->job);
    }
    reply_give(p, device);
}

static void step_lose(replaying *p, int device)
{
    fleet *f = &p->world;
    char machine[16];
    int way = p->loses++ % WAYS_TO_LOSE;
    machine_of(device, machine);
    flight_end(&p->flights[device]);
    if (way == 1) {
        crash_vfs_crash(f->vfs, machine);
        device_close(p, device);
        crash_vfs_reboot(f->vfs, machine);
        device_open(&f->devices[device]);
    } else if (way == 2) {
        crash_vfs_crash(f->vfs, SERVER);
        server_down(p);
        crash_vfs_reboot(f->vfs, SERVER);
        server_up(p, false);
    }
}

/* --- disasters ------------------------------------------------------------------------ */

static void step_backup(replaying *p)
{
    fleet *f = &p->world;
    int64_t head = 0;
    crash_vfs_copy(f->vfs, SERVER, SERVER_BACKUP);
    must(ledger_head(f->admin, &head), NULL, "ledger_head");
    must(store_begin(f->admin), NULL, "begin");
    must(store_meta_int_set(f->admin, "backed_up_cid", head), NULL, "backed_up_cid");
    must(store_commit(f->admin), NULL, "commit");
}

static void step_server_restore(replaying *p)
{
    for (int i = 0; i < FLEET_DEVICES_MAX; i++) {
        flight_end(&p->flights[i]);
    }
    server_down(p);
    crash_vfs_copy(p->world.vfs, SERVER_BACKUP, SERVER);
    server_up(p, true);
}

static void step_phone_restore(replaying *p)
{
    device_close(p, 0);
    crash_vfs_copy(p->world.vfs, PHONE, "dev1");
    device_open(&p->world.devices[0]);
}

static void step_clone(replaying *p, int device)
{
    fleet *f = &p->world;
    fleet_device *d = &f->devices[device];
    char machine[16];
    machine_of(device, machine);
    crash_vfs_copy(f->vfs, "dev1", machine);
    *d = (fleet_device){.world = f, .random = 5000 + (uint64_t)device, .port = f->devices[0].port};
    d->port.ctx = d;
    snprintf(d->path, sizeof d->path, "%s/replica.db", machine);
    device_open(d);
    f->devices_count = device + 1;
}

/* --- the end -------------------------------------------------------------------------- */

static void step_heal(replaying *p)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < p->devices; i++) {
            fleet_device *d = &p->world.devices[i];
            fb_error err = {0};
            p->world.now_ms += 60000;
            if (d->db != NULL && (fleet_try_sync(d, &err) != FB_OK || !d->report.complete)) {
                char text[160];
                snprintf(text, sizeof text, "a sync over a good network is not complete: %s %.100s",
                         fb_code_name(err.code), err.message);
                complain(p, text, i);
            }
        }
    }
    p->healed = true;
}

static void step_end(replaying *p, int device, int rows)
{
    fleet_device *d = &p->world.devices[device];
    char sql[120], shared[64];
    fb_status st = FB_STATUS_INIT;
    int shown = 0;
    for (int x = 1; x <= p->groups_saved; x++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM activity WHERE subject='group %d'", x);
        int64_t count = fleet_number(d, sql);
        shown |= count > 0 ? 1 << (x - 1) : 0;
        if (count > 1) {
            complain(p, "a group took effect twice", device);
        }
    }
    if (shown != rows) {
        char text[80];
        snprintf(text, sizeof text, "shows groups %d (bits), the model says %d", shown, rows);
        complain(p, text, device);
    }
    if (fb_status_get(d->db, &st, NULL) != FB_OK || st.pending_count != 0) {
        complain(p, "the outbox is not drained", device);
    }
    snprintf(sql, sizeof sql, "SELECT coalesce(remark, '-') FROM customer WHERE code='C1'");
    fleet_text(d, sql, shared, sizeof shared);
    if (p->shared[0] == '\0') {
        snprintf(p->shared, sizeof p->shared, "%s", shared);
    } else if (strcmp(p->shared, shared) != 0) {
        complain(p, "shows another shared row than the first device", device);
    }
}

/* --- traces --------------------------------------------------------------------------- */

static void trace_close(replaying *p)
{
    if (!p->open) {
        return;
    }
    for (int i = 0; i < FLEET_DEVICES_MAX; i++) {
        flight_end(&p->flights[i]);
    }
    if (!p->healed) {
        complain(p, "the trace has no end", 0);
    }
    fleet_close(&p->world);
    p->open = false;
    p->failures += p->failed;
}

static void trace_open(replaying *p, int number, int devices, bool clone)
{
    trace_close(p);
    p->trace = number;
    p->devices = devices;
    p->groups_saved = 0;
    p->loses = number;
    p->healed = false;
    p->failed = false;
    p->shared[0] = '\0';
    fleet_open(&p->world);
    p->open = true;
    p->traces++;
    for (int i = 0; i < devices - (clone ? 1 : 0); i++) {
        fleet_device *d = fleet_device_add(&p->world, &p->world.users[0]);
        fb_db_close(
            d->db); /* a reply is not synced (stage.c take_relaxed); the first one must stay */
        device_open(d);
    }
}

static void step(replaying *p, const char *line)
{
    char name[32] = "";
    int a = 0, b = 0;
    if (sscanf(line, "%31s %d", name, &a) < 1) {
        return;
    }
    p->steps++;
    if (strcmp(name, "trace") == 0) {
        const char *devices = strstr(line, "-DND=");
        trace_open(p, a, devices != NULL ? devices[5] - '0' : 2, strstr(line, "-DCLONE=1") != NULL);
    } else if (strcmp(name, "save") == 0 && sscanf(line, "%*s %*d %d", &b) == 1) {
        step_save(p, a, b);
    } else if (strcmp(name, "send") == 0) {
        step_send(p, a);
    } else if (strcmp(name, "write") == 0) {
        step_write(p, a);
    } else if (strcmp(name, "again") == 0) {
        step_again(p, a);
    } else if (strcmp(name, "reply") == 0) {
        step_reply(p, a);
    } else if (strcmp(name, "lose") == 0) {
        step_lose(p, a);
    } else if (strcmp(name, "backup") == 0) {
        step_backup(p);
    } else if (strcmp(name, "server_restore") == 0) {
        step_server_restore(p);
    } else if (strcmp(name, "phone_backup") == 0) {
        crash_vfs_copy(p->world.vfs, "dev1", PHONE);
    } else if (strcmp(name, "phone_restore") == 0) {
        step_phone_restore(p);
    } else if (strcmp(name, "clone") == 0) {
        step_clone(p, a);
    } else if (strcmp(name, "heal") == 0) {
        step_heal(p);
    } else if (strcmp(name, "end") == 0 && sscanf(line, "%*s %*d rows=%d", &b) == 1) {
        step_end(p, a, b);
    } else if (strcmp(name, "reborn") != 0) {
        printf("unknown step: %s", line);
        p->failed = true;
    }
}

int main(int argc, char **argv)
{
    static replaying p;
    char line[LINE_BYTES];
    FILE *in = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (in == NULL) {
        fputs("usage: fb-model-replay FILE   (FILE as model.sh --traces prints it)\n", stderr);
        return 2;
    }
    while (fgets(line, sizeof line, in) != NULL) {
        step(&p, line);
    }
    trace_close(&p);
    fclose(in);
    printf("replay %s: traces=%ld steps=%ld failed=%ld\n",
           p.failures == 0 && p.traces > 0 ? "ok" : "failed", p.traces, p.steps, p.failures);
    return p.failures == 0 && p.traces > 0 ? 0 : 1;
}
