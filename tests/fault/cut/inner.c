/* inner.c - see cut.h: bodies cut between a device and a server in one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "fault/cut/cut.h"
#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/door/door.h"

/* Strangers may ask twice a second. */
enum { ROUNDS_MAX = 6 };

typedef struct inner {
    fleet f;
    const cut_options *o;
    cut_counters *n;
    fleet_device *d;
    fb_sync *sync;
    const char *message; /* what is being cut */
    const char *wanted;  /* what an answer must have in it, so that this is cut; NULL: anything */
    bool wanted_seen;
    bool fresh_line; /* the device does not know that the line is bad: what a thin line leaves out,
                        because it is large and can wait, is cut only so */
    int64_t marks;
    char *unpacked;
} inner;

/* A body of its own: the link's and the job's do not last. */
typedef struct copy {
    char *data;
    size_t size;
    bool zstd;
    int status;
} copy;

static void copy_take(copy *c, fb_text body, bool zstd, int status)
{
    free(c->data);
    *c = (copy){malloc(body.size + 1), body.size, zstd, status};
    if (c->data == NULL) {
        abort();
    }
    if (body.size > 0) {
        memcpy(c->data, body.data, body.size);
    }
}

static void ask(inner *w, const fb_link_request *q, fb_text body, copy *out)
{
    server_request r = {text_of(q->method),
                        text_of(q->path),
                        text_of(q->authorization),
                        text_of(q->content_type),
                        text_of(q->content_encoding),
                        text_of("test"),
                        body};
    w->f.now_ms += CUT_PACE_MS;
    server_tick(w->f.srv, (uint64_t)w->f.now_ms);
    server_job *job = server_handle(w->f.srv, w->f.reader, &r);
    const server_reply *reply = server_job_reply(job);
    copy_take(out, reply->body, reply->zstd, reply->status);
    server_job_free(job);
}

static void count(inner *w, bool packed)
{
    w->n->plain += !packed;
    w->n->packed += packed;
}

/* Every byte, or every N-th; the last few always. */
static size_t step(const inner *w, size_t k, size_t size)
{
    return k + w->o->every + 8 < size ? (size_t)w->o->every : 1;
}

/* --- verdicts ------------------------------------------------------------------------------- */

/* An answer, unpacked; SIZE_MAX: it cannot be. */
static size_t text_of_reply(inner *w, const copy *reply, const char **text)
{
    *text = reply->zstd ? w->unpacked : reply->data;
    size_t size = reply->zstd
                      ? ZSTD_decompress(w->unpacked, CUT_BODY_BYTES_MAX, reply->data, reply->size)
                      : reply->size;
    return reply->zstd && ZSTD_isError(size) ? SIZE_MAX : size;
}

/* The verdict lines of an answer, one after the other. */
static size_t verdicts(inner *w, const copy *reply, char *out)
{
    const char *text = NULL;
    size_t size = text_of_reply(w, reply, &text), total = 0;
    if (size == SIZE_MAX) {
        return SIZE_MAX;
    }
    w->wanted_seen |= w->wanted != NULL && memmem(text, size, w->wanted, strlen(w->wanted)) != NULL;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end == NULL ? size - at : (size_t)(end - (text + at)) + 1;
        if (n > 9 && (memcmp(text + at, "{\"m\":\"ok\"", 9) == 0 ||
                      memcmp(text + at, "{\"m\":\"ver", 9) == 0)) {
            memcpy(out + total, text + at, n);
            total += n;
        }
        at += n;
    }
    return total;
}

/* --- enrolment -------------------------------------------------------------------------------- */

typedef struct enrolling {
    inner *w;
    int64_t up, down; /* -1: whole */
    size_t up_size, down_size;
    copy reply;
} enrolling;

static fb_code enrol_exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    enrolling *e = ctx;
    fb_text body = q->body;
    e->up_size = body.size;
    if (e->up >= 0) {
        body.size = (size_t)e->up;
    }
    ask(e->w, q, body, &e->reply);
    if (e->up >= 0) {
        if (e->reply.status == 200) {
            cut_bad(e->w->n, "enrol", "up", (uint64_t)e->up, "a cut request was answered with 200");
        }
        return FB_E_TRUNCATED;
    }
    e->down_size = e->reply.size;
    size_t size = e->down >= 0 ? (size_t)e->down : e->reply.size;
    *out = (fb_link_response){
        .status = e->reply.status, .zstd = e->reply.zstd, .body = {e->reply.data, size}};
    return FB_OK;
}

static fb_code enrol_try(inner *w, enrolling *e, const char *code)
{
    fb_error err = {0};
    fb_link link = {e, enrol_exchange};
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    o.server_url = "https://test";
    o.code = code;
    count(w, false);
    return fb_enrol(w->d->db, &link, &o, &err);
}

static int64_t number_of(inner *w, const char *sql)
{
    sql_stmt *s = NULL;
    bool row = false;
    int64_t v = -1;
    fb_error err = {0};
    fleet_must(store_query(w->f.admin, text_of(sql), &s, &err), &err, sql);
    if (sql_step(s, &row) == FB_OK && row) {
        v = sql_int(s, 0);
    }
    sql_finalize(s);
    return v;
}

static void enrol_cuts(inner *w, const char *code)
{
    enrolling e = {.w = w, .up = 0, .down = -1, .up_size = 2};
    int64_t before = number_of(w, "SELECT count(*) FROM fs_device");
    w->n->messages += 2;
    /* One line each: without its last byte, the line end, it is whole. */
    for (size_t k = 0; k + 1 < e.up_size; k += step(w, k, e.up_size)) {
        e.up = (int64_t)k;
        if (enrol_try(w, &e, code) == FB_OK) {
            cut_bad(w->n, "enrol", "up", k, "the device believes it is enrolled");
        }
    }
    if (number_of(w, "SELECT count(*) FROM fs_device") != before) {
        cut_bad(w->n, "enrol", "up", e.up_size, "a cut request made a device");
    }
    e.up = -1;
    e.down_size = 2;
    for (size_t k = 0; k + 1 < e.down_size; k += step(w, k, e.down_size)) {
        e.down = (int64_t)k;
        if (enrol_try(w, &e, code) == FB_OK) {
            cut_bad(w->n, "enrolled", "down", k, "a cut answer was believed");
        }
    }
    e.down = -1;
    if (enrol_try(w, &e, code) != FB_OK ||
        number_of(w, "SELECT count(*) FROM fs_device") != before + 1) {
        cut_bad(w->n, "enrolled", "down", e.down_size,
                "in the end there is not exactly one more device");
    }
    free(e.reply.data);
}

/* --- synchronisation -----------------------------------------------------------------------------
 */

static void tamper(inner *w, const char *sql)
{
    sql_db *db = NULL;
    fb_error err = {0};
    fleet_must(sql_open(w->d->path, &(sql_options){.vfs = "fleetfs"}, &db, &err), &err, "tamper");
    fleet_must(sql_exec(db, sql), NULL, sql);
    sql_close(db);
}

/* The next request; false: nothing is left. */
static bool next_request(inner *w, fb_link_request *q)
{
    fb_error err = {0};
    if (w->fresh_line) {
        fb_sync_close(w->sync);
        tamper(w, "DELETE FROM fb_meta WHERE key = 'sync_chunk'");
        fleet_must(fb_sync_open(w->d->db, NULL, &w->sync, &err), &err, w->message);
    }
    for (int i = 0; i < 8; i++) {
        fb_sync_action action;
        uint32_t wait_ms = 0;
        fleet_must(fb_sync_next(w->sync, &action, q, &wait_ms, &err), &err, w->message);
        if (action != FB_SYNC_WAIT) {
            return action == FB_SYNC_SEND;
        }
        w->f.now_ms += wait_ms;
    }
    fleet_must(FB_E_BUG, NULL, "the session waits for ever");
    return false;
}

/* Groups may be sent in smaller parts after failures; what must not change are the bytes of a
 * group. */
static void up_cuts(inner *w)
{
    fb_link_request q;
    copy reply = {0};
    fb_error err = {0};
    size_t size = 1;
    server_tick(w->f.srv, (uint64_t)w->f.now_ms); /* the office's commits */
    int64_t head = server_head(w->f.srv),
            verdicts_before = number_of(w, "SELECT count(*) FROM fs_verdict");
    for (size_t k = 0; k < size; k += step(w, k, size)) {
        if (!next_request(w, &q)) {
            cut_bad(w->n, w->message, "up", k, "the device sends nothing");
            break;
        }
        size = q.body.size;
        ask(w, &q, (fb_text){q.body.data, k < size ? k : size - 1}, &reply);
        count(w, q.content_encoding != NULL);
        if (reply.status == 200) {
            cut_bad(w->n, w->message, "up", k, "a cut request was answered with 200");
        }
        fleet_must(fb_sync_failed(w->sync, FB_E_TRUNCATED, &err), &err, "fb_sync_failed");
    }
    if (server_head(w->f.srv) != head ||
        number_of(w, "SELECT count(*) FROM fs_verdict") != verdicts_before) {
        cut_bad(w->n, w->message, "up", size, "a cut request had an effect");
    }
    free(reply.data);
}

static void down_cuts(inner *w, bool refused)
{
    fb_link_request q;
    copy first = {0}, again = {0};
    char *lost = malloc(CUT_BODY_BYTES_MAX), *got = malloc(CUT_BODY_BYTES_MAX);
    fb_error err = {0};
    if (lost == NULL || got == NULL || !next_request(w, &q)) {
        abort();
    }
    ask(w, &q, q.body, &first);
    size_t lost_size = verdicts(w, &first, lost);
    int64_t head = server_head(w->f.srv);
    copy_take(&again, (fb_text){first.data, first.size}, first.zstd, first.status);
    for (size_t k = 0; k < again.size; k += step(w, k, again.size)) {
        fb_link_response r = {.status = again.status, .zstd = again.zstd, .body = {again.data, k}};
        count(w, again.zstd);
        if (fb_sync_reply(w->sync, &r, &err) == FB_OK && !refused) {
            cut_bad(w->n, w->message, "down", k, "a cut answer was taken");
        }
        if (!next_request(w, &q)) {
            cut_bad(w->n, w->message, "down", k, "the device does not ask again");
            break;
        }
        ask(w, &q, q.body, &again);
        size_t size = verdicts(w, &again, got);
        if (size != lost_size || memcmp(lost, got, size) != 0) {
            cut_bad(w->n, w->message, "down", k, "the repeated verdict differs from the lost one");
        }
    }
    if (server_head(w->f.srv) != head) {
        cut_bad(w->n, w->message, "down", again.size, "the repeats had an effect");
    }
    fb_link_response whole = {
        .status = again.status, .zstd = again.zstd, .body = {again.data, again.size}};
    fb_code rc = fb_sync_reply(w->sync, &whole, &err);
    if ((rc == FB_OK) == refused) {
        cut_bad(w->n, w->message, "down", again.size,
                "the whole answer was not taken as it should");
    }
    free(first.data);
    free(again.data);
    free(lost);
    free(got);
}

static void sync_begin(inner *w, const char *message)
{
    fb_error err = {0};
    w->message = message;
    w->f.now_ms += 60000;
    w->n->messages += 2;
    fleet_must(fb_sync_open(w->d->db, NULL, &w->sync, &err), &err, message);
}

/* Every exchange of one session. wanted: what one of its answers has in it; NULL: anything. */
static void sync_cuts(inner *w, const char *message, const char *wanted)
{
    fb_error err = {0};
    fb_link_request q;
    int rounds = 0;
    w->wanted = wanted;
    w->wanted_seen = wanted == NULL;
    sync_begin(w, message);
    do {
        up_cuts(w);
        down_cuts(w, false);
        rounds++;
    } while (rounds < ROUNDS_MAX && !(w->fresh_line && w->wanted_seen) && next_request(w, &q));
    w->n->messages += 2 * (uint64_t)(rounds - 1);
    if (!w->wanted_seen) {
        cut_bad(w->n, message, "down", 0, "no answer carried what was to be cut");
    }
    fb_sync_close(w->sync);
    fleet_sync(w->d); /* what else there is, over a good line */
    if (fb_db_check(w->d->db, &err) != FB_OK) {
        cut_bad(w->n, message, "down", 0, err.message);
    }
    if (number_of(w, "SELECT count(*) FROM activity WHERE subject LIKE 'mark %'") != w->marks ||
        number_of(w, "SELECT count(DISTINCT subject) FROM activity WHERE subject LIKE 'mark %'") !=
            w->marks) {
        cut_bad(w->n, message, "down", 0, "the groups do not stand exactly once");
    }
}

static void groups_add(inner *w, int groups)
{
    for (int i = 0; i < groups; i++) {
        char text[40];
        snprintf(text, sizeof text, "mark %lld", (long long)++w->marks);
        fleet_must(fb_activity_log(w->d->db, &w->f.customers[0], text, NULL, NULL, NULL), NULL,
                   "activity");
    }
}

static void order_add(inner *w)
{
    fb_error err = {0};
    fb_order *order = NULL;
    fleet_must(fb_order_new(w->d->db, &w->f.customers[0], NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, &w->f.product, NULL, 1000, NULL, NULL, &err), &err, "line");
    fleet_must(fb_order_submit(order, NULL, &err), &err, "submit");
    fb_order_close(order);
}

static void device_block(inner *w, bool blocked)
{
    fb_identity me = {.size_bytes = sizeof me};
    fleet_must(fb_db_identity(w->d->db, &me, NULL), NULL, "identity");
    fleet_must(store_begin(w->f.admin), NULL, "begin");
    fleet_must(blocked ? door_device_block(w->f.admin, &me.device, w->f.now_ms)
                       : door_device_allow(w->f.admin, &me.device, w->f.now_ms),
               NULL, "block");
    fleet_must(store_commit(w->f.admin), NULL, "commit");
}

/* An error body: whatever is left of it, the device knows that it was refused and keeps its groups.
 */
static void error_cuts(inner *w)
{
    fb_error err = {0};
    fb_link_request q;
    copy reply = {0};
    groups_add(w, 1);
    device_block(w, true);
    sync_begin(w, "error body");
    if (!next_request(w, &q)) {
        abort();
    }
    ask(w, &q, q.body, &reply);
    for (size_t k = 0; k <= reply.size; k++) {
        fb_sync *sync = NULL;
        fb_link_response r = {.status = reply.status, .zstd = reply.zstd, .body = {reply.data, k}};
        fb_sync_action action;
        uint32_t wait_ms;
        fleet_must(fb_sync_open(w->d->db, NULL, &sync, &err), &err, "open");
        fleet_must(fb_sync_next(sync, &action, &q, &wait_ms, &err), &err, "next");
        fb_code rc = fb_sync_reply(sync, &r, &err);
        if (rc == FB_OK) { /* what is left says only "later" */
            rc = fb_sync_next(sync, &action, &q, &wait_ms, &err);
            if (rc != FB_OK || action != FB_SYNC_WAIT) {
                cut_bad(w->n, w->message, "down", k, "a refusal was taken for an answer");
            }
        }
        fb_status st = FB_STATUS_INIT;
        if (fb_status_get(w->d->db, &st, &err) != FB_OK || st.pending_count != 1) {
            cut_bad(w->n, w->message, "down", k, "the refused group is gone");
        }
        fb_sync_close(sync);
        count(w, false);
    }
    fb_sync_close(w->sync);
    free(reply.data);
    device_block(w, false);
    sync_cuts(w, "sync after a refusal", NULL);
}

/* --- every kind of verdict and page ------------------------------------------------------------
 */

static void customer_put(inner *w, const char *json, fb_id *id_out)
{
    fb_error err = {0};
    fleet_must(fb_customer_create(w->d->db, json, id_out, &err), &err, "customer");
}

static void contact_put(inner *w, const fb_id *customer)
{
    char json[120];
    fb_error err = {0};
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Ms Wu\"}", id_text(customer));
    fleet_must(fb_record_put_json(w->d->db, "contact", json, NULL, &err), &err, "contact");
}

static fb_id shop_add(inner *w, const char *code, const char *phone)
{
    return company_add(&w->f.company, "customer",
                       PAIRS("code", code, "name", code, "phone", phone, "party_type", "customer",
                             "status", "active", "territory_id", id_text(&w->f.territories[0])));
}

static void remark_put(inner *w, const fb_id *shop, const char *json)
{
    fb_error err = {0};
    fleet_must(fb_customer_update(w->d->db, shop, json, NULL, &err), &err, "remark");
}

/* Both wrote the same column; the same shop was made twice; a shop that cannot be, and who hangs on
 * it. */
static void verdict_cuts(inner *w)
{
    fb_id mine;
    remark_put(w, &w->f.customers[0], "{\"remark\":\"by the rep\"}");
    company_set(&w->f.company, "customer", &w->f.customers[0], PAIRS("remark", "by the office"));
    sync_cuts(w, "a merged group", "\"code\":\"merged\"");
    (void)shop_add(w, "TWIN", "13900000001");
    customer_put(w, "{\"name\":\"TWIN\",\"phone\":\"13900000001\"}", &mine);
    contact_put(w, &mine);
    sync_cuts(w, "a duplicate", "\"alias\":[[");
    (void)shop_add(w, "TAKEN", "13900000002");
    customer_put(w, "{\"code\":\"TAKEN\",\"name\":\"Other\",\"phone\":\"13900000003\"}", &mine);
    contact_put(w, &mine);
    sync_cuts(w, "a blocked group", "\"code\":\"blocked\"");
}

/* Work on a shop that went elsewhere meanwhile waits for the manager; then what he decided. */
static void held_cuts(inner *w)
{
    static const int64_t LONG_MS = 40 * 86400000LL;
    char id[64], args[120], *json = NULL;
    fb_error err = {0};
    fb_id shop = shop_add(w, "MOVES", "13900000004");
    fleet_sync(w->d);
    fleet_device *manager = fleet_device_add(&w->f, &w->f.manager);
    remark_put(w, &shop, "{\"remark\":\"seen\"}");
    w->f.now_ms += LONG_MS;
    company_set(&w->f.company, "customer", &shop,
                PAIRS("territory_id", id_text(&w->f.territories[1])));
    w->f.now_ms += LONG_MS;
    sync_cuts(w, "a held group, and a row that leaves", "\"code\":\"held\"");
    fleet_sync(manager);
    fleet_text(manager,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group "
               "WHERE state='open')",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\"}", id);
    fleet_must(fb_command_run(manager->db, "held.accept", args, &json, &err), &err, "accept");
    fb_string_free(json);
    fleet_sync(manager);
    sync_cuts(w, "a held group that was settled", "\"m\":\"verdict\"");
}

static void epoch_new(inner *w)
{
    fb_error err = {0};
    int64_t commit = 0;
    fleet_server_stop(&w->f);
    const server_epoch_options o = {
        .path = "server/master.db", .vfs = "fleetfs", .port = &w->f.port};
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "a new epoch");
    fleet_server_start(&w->f);
    groups_add(w, 1);
}

static void page_cuts(inner *w)
{
    static const char MODULE[] =
        "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":"
        "\"shelf\",\"type\":\"text\",\"max\":20,\"policy\":\"LWW\",\"label\":{\"en\":\"Shelf\","
        "\"zh\":\"货架\"}}]}]}";
    fb_error err = {0};
    fleet_must(door_catalog_grow(w->f.admin, text_of(MODULE), &w->f.port, &err), &err, "grow");
    w->fresh_line = true;
    sync_cuts(w, "a catalogue", "\"m\":\"catalog\"");
    tamper(w, "DELETE FROM customer WHERE code IN ('N3', 'N4')");
    w->f.now_ms += 86400000;
    sync_cuts(w, "rows that the digest misses", "\"fix\":");
    epoch_new(w);
    sync_cuts(w, "a new epoch", "\"reset\":1");
    w->fresh_line = false; /* to a bad line the epoch comes alone, and groups go before rows */
    epoch_new(w);
    sync_cuts(w, "a new epoch over a bad line", "\"ep\":");
}

static void code_make(inner *w, char *out, size_t size)
{
    buf code;
    buf_init(&code, 100);
    fleet_must(store_begin(w->f.admin), NULL, "begin");
    fleet_must(door_code_make(w->f.admin, &w->f.users[0], w->f.now_ms, 3600000, &w->f.port, &code),
               NULL, "code");
    fleet_must(store_commit(w->f.admin), NULL, "commit");
    snprintf(out, size, "%s", buf_cstr(&code));
    buf_clear(&code);
}

void inner_cuts(const cut_options *o, cut_counters *n)
{
    inner *w = calloc(1, sizeof *w);
    char code[60];
    fb_error err = {0};
    if (w == NULL || (w->unpacked = malloc(CUT_BODY_BYTES_MAX)) == NULL) {
        abort();
    }
    w->o = o;
    w->n = n;
    fleet_open(&w->f);
    fleet_device *other = fleet_device_add(&w->f, &w->f.users[1]);
    w->d = &w->f.devices[w->f.devices_count++];
    *w->d = (fleet_device){
        .world = &w->f, .random = 99 + o->seed, .path = "dev9/replica.db", .port = other->port};
    w->d->port.ctx = w->d;
    fb_db_options open = FB_DB_OPTIONS_INIT;
    open.port = &w->d->port;
    open.vfs = "fleetfs";
    fleet_must(fb_db_open(w->d->path, &open, &w->d->db, &err), &err, "open");
    code_make(w, code, sizeof code);
    enrol_cuts(w, code);
    sync_cuts(w, "first sync", NULL);
    groups_add(w, 1);
    sync_cuts(w, "one group", NULL);
    groups_add(w, 60);
    sync_cuts(w, "many groups", NULL);
    order_add(w);
    company_set(&w->f.company, "product", &w->f.product, PAIRS("status", "suspended"));
    sync_cuts(w, "a rejected group", "\"code\":\"rejected\"");
    company_set(&w->f.company, "product", &w->f.product, PAIRS("status", "active"));
    sync_cuts(w, "a page", "\"m\":\"page\"");
    for (int i = 0; i < 40; i++) {
        char code_text[12];
        snprintf(code_text, sizeof code_text, "N%d", i);
        company_add(&w->f.company, "customer",
                    PAIRS("code", code_text, "name", code_text, "party_type", "customer", "status",
                          "active", "territory_id", id_text(&w->f.territories[0])));
    }
    sync_cuts(w, "a long page", NULL);
    error_cuts(w);
    verdict_cuts(w);
    held_cuts(w);
    page_cuts(w);
    fleet_close(&w->f);
    free(w->unpacked);
    free(w);
}
