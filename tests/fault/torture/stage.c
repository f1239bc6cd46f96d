/* stage.c - see torture.h. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/torture/torture.h"
#include "sync-server/door/door.h"

static const char PATH[] = "dev1/replica.db";
static const char MODULE[] = "{\"module\":\"acme\",\"entities\":[{\"name\":\"shelf_count\","
                             "\"label\":{\"en\":\"Shelf\",\"zh\":\"货架\"},\"class\":\"shared\","
                             "\"stamps\":true,\"scope\":[{\"by\":\"parent\",\"column\":\"customer_"
                             "id\"}],\"columns\":[{\"name\":\"customer_id\",\"type\":\"ref\","
                             "\"to\":\"customer\",\"required\":true,\"label\":{\"en\":\"Customer\","
                             "\"zh\":\"客户\"}},{\"name\":\"qty\",\"type\":\"int64\","
                             "\"min\":-1000000,\"max\":1000000,\"policy\":\"DELTA\",\"label\":{"
                             "\"en\":\"Quantity\",\"zh\":\"数量\"}}],"
                             "\"grants\":{\"REP\":\"crud\"}}]}";

static fb_code device_random(void *ctx, void *out, size_t size)
{
    stage *s = ctx;
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        s->random = s->random * 6364136223846793005ULL + 1442695040888963407ULL;
        bytes[i] = (unsigned char)(s->random >> 56);
    }
    return FB_OK;
}

static uint64_t device_mono(void *ctx)
{
    const stage *s = ctx;
    return (uint64_t)s->f.now_ms + s->waited_ms;
}

static int64_t device_wall(void *ctx)
{
    return ((stage *)ctx)->f.now_ms;
}

/* --- files ---------------------------------------------------------------------------------- */

typedef struct keeping {
    stage *s;
    int set;
} keeping;

static void file_keep(void *ctx, const char *name, const void *data, size_t size)
{
    keeping *k = ctx;
    if (strncmp(name, "dev1/", 5) != 0 || k->s->files_count[k->set] == STAGE_FILES_MAX) {
        return;
    }
    stage_file *f = &k->s->files[k->set][k->s->files_count[k->set]++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->data = malloc(size + 1);
    f->size = size;
    if (f->data == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(f->data, data, size);
    }
}

fb_code stage_open(stage *s, fb_error *err)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &s->port;
    o.vfs = STAGE_VFS;
    o.files = mem_files_port(s->f.files);
    return fb_db_open(PATH, &o, &s->db, err);
}

static void files_put(stage *s, bool unenrolled)
{
    crash_vfs_remove(s->f.vfs, "dev1");
    for (int i = 0; i < s->files_count[unenrolled]; i++) {
        const stage_file *f = &s->files[unenrolled][i];
        crash_vfs_put(s->f.vfs, f->name, f->data, f->size);
    }
    mem_files_remove(s->f.files, "dev1");
    if (!unenrolled) {
        mem_files_copy(s->f.files, "kept", "dev1");
    }
}

void stage_set(stage *s, const scene *played)
{
    fb_error err = {0};
    bool unenrolled = (played->flags & UNENROLLED) != 0;
    s->asked_count = 0;
    s->server_moved = false;
    s->enrolled = false;
    crash_vfs_fail(s->f.vfs, "dev1", 0, SQLITE_OK, false);
    moment_name at = scene_moment(played);
    if (at != MOMENT_STAGE) {
        moment_put(&s->moments[at], &s->f, "dev1");
    } else {
        files_put(s, unenrolled);
    }
    s->random = unenrolled ? 77 : 7777; /* enrolment repeats the recorded one; other ids are new */
    if ((played->flags & BARE) == 0) {
        fleet_must(stage_open(s, &err), &err, "stage: open");
    }
    if (played->before != NULL) {
        fleet_must(played->before(s), NULL, played->name);
    }
}

void stage_close(stage *s)
{
    fb_order_close(s->order);
    fb_sync_close(s->sync);
    fb_lane_close(s->lane);
    fb_db_close(s->db);
    s->order = NULL;
    s->sync = NULL;
    s->lane = NULL;
    s->db = NULL;
    s->waited_ms = 0;
    s->exports = 0;
}

/* --- a link that answers from memory ------------------------------------------------------------
 */

static char *bytes_keep(stage_talk *t, const void *data, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL || t->owned_count == TALK_OWNED_MAX) {
        abort();
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    t->owned[t->owned_count++] = copy;
    return copy;
}

static void talk_keep(stage *s, const fb_link_request *q, const server_reply *reply)
{
    bool of_moment = s->at != MOMENT_STAGE;
    if (s->talks_count[of_moment] == STAGE_TALKS_MAX) {
        abort();
    }
    stage_talk *t = &s->talks[of_moment][s->talks_count[of_moment]++];
    *t = (stage_talk){.request = *q};
    t->request.method = q->method[0] == 'G' ? "GET" : "POST";
    t->request.path = bytes_keep(t, q->path, strlen(q->path) + 1);
    t->request.authorization = q->authorization != NULL
                                   ? bytes_keep(t, q->authorization, strlen(q->authorization) + 1)
                                   : NULL;
    t->request.content_type = q->content_type != NULL ? "application/x-fieldbook" : NULL;
    t->request.content_encoding = q->content_encoding != NULL ? "zstd" : NULL;
    t->request.body.data = bytes_keep(t, q->body.data, q->body.size);
    t->response = (fb_link_response){
        .status = reply->status,
        .zstd = reply->zstd,
        .body = {bytes_keep(t, reply->body.data, reply->body.size), reply->body.size}};
}

static server_job *ask(stage *s, const fb_link_request *q)
{
    server_request r = {text_of(q->method),
                        text_of(q->path),
                        text_of(q->authorization),
                        text_of(q->content_type),
                        text_of(q->content_encoding),
                        text_of("test"),
                        q->body};
    server_tick(s->f.srv, (uint64_t)s->f.now_ms);
    return server_handle(s->f.srv, s->f.reader, &r);
}

static void server_set(stage *s, moment_name at)
{
    const moment *m = &s->moments[at];
    fleet_server_stop(&s->f);
    moment_put(m, &s->f, "server");
    s->f.now_ms = m->now_ms;
    s->f.random = (uint64_t)m->now_ms;
    s->f.packing = m->packing;
    fleet_server_start(&s->f);
    s->at = at;
}

/* At its moment, and then with what this attempt has asked so far. */
static void server_follow(stage *s)
{
    server_set(s, s->at);
    for (int i = 0; i < s->asked_count; i++) {
        const stage_talk *t = &s->talks[1][s->asked[i]];
        server_job_free(ask(s, &t->request));
    }
    s->server_moved = true;
}

enum { TOO_MANY = 429 };

static const server_reply *asked(stage *s, const fb_link_request *q)
{
    server_job_free(s->f.job);
    s->f.job = ask(s, q);
    return server_job_reply(s->f.job);
}

/* A request that a fault made different. Its clock stands still in all attempts, which together ask
 * more often than one device may. The stage's server has seen its groups and answers as it
 * did. */
static void ask_again(stage *s, const fb_link_request *q, fb_link_response *out)
{
    heap_pause();
    if (s->at != MOMENT_STAGE && !s->server_moved) {
        server_follow(s);
    }
    const server_reply *reply = asked(s, q);
    if (reply->status == TOO_MANY) {
        fleet_server_stop(&s->f); /* whoever starts has counted nothing */
        fleet_server_start(&s->f);
        reply = asked(s, q);
    }
    heap_resume();
    *out = (fb_link_response){.status = reply->status, .zstd = reply->zstd, .body = reply->body};
}

static bool is_asked(const stage_talk *t, const fb_link_request *q)
{
    return strcmp(t->request.path, q->path) == 0 && text_equal(t->request.body, q->body);
}

static fb_code exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    stage *s = ctx;
    bool of_moment = s->at != MOMENT_STAGE;
    if (s->recording) {
        server_job *job = ask(s, q);
        talk_keep(s, q, server_job_reply(job));
        server_job_free(job);
        *out = s->talks[of_moment][s->talks_count[of_moment] - 1].response;
        return FB_OK;
    }
    for (int i = 0; i < s->talks_count[of_moment] && !s->server_moved; i++) {
        const stage_talk *t = &s->talks[of_moment][i];
        if (is_asked(t, q)) {
            if (of_moment && s->asked_count < STAGE_TALKS_MAX) {
                s->asked[s->asked_count++] = i;
            }
            *out = t->response;
            return FB_OK;
        }
    }
    ask_again(s, q, out);
    return FB_OK;
}

fb_link stage_link(stage *s)
{
    return (fb_link){s, exchange};
}

/* --- content
 * --------------------------------------------------------------------------------------- */

static void sync_now(stage *s)
{
    fb_error err = {0};
    fb_link link = stage_link(s);
    fb_sync *sync = NULL;
    fb_sync_report report;
    fleet_must(fb_sync_open(s->db, NULL, &sync, &err), &err, "sync open");
    fleet_must(fb_sync_step(sync, &link, 0, &report, &err), &err, "sync");
    fb_sync_close(sync);
}

fb_code stage_lane(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    fb_lane_report report;
    return fb_lane_step(s->lane, &link, 0, &report, err);
}

static void lane_now(stage *s)
{
    fb_error err = {0};
    fleet_must(fb_lane_open(s->db, NULL, &s->lane, &err), &err, "lane open");
    fleet_must(stage_lane(s, &err), &err, "lane");
    fb_lane_close(s->lane);
    s->lane = NULL;
}

static void photo_take(stage *s, const char *bytes, fb_id *id)
{
    fb_error err = {0};
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    in.media_type = "image/jpeg";
    in.data = in.thumb = text_of(bytes);
    in.customer = s->customer;
    fleet_must(fb_attachment_add(s->db, &in, id, &err), &err, "photo");
}

static void order_take(stage *s, fb_id *id, bool submit)
{
    fb_error err = {0};
    fb_order *order = NULL;
    fleet_must(fb_order_new(s->db, &s->customer, NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, &s->product, NULL, 3000, NULL, NULL, &err), &err, "line");
    *id = *fb_order_id(order);
    if (submit) {
        fleet_must(fb_order_submit(order, NULL, &err), &err, "submit");
    }
    fb_order_close(order);
}

static fb_code problem_take(void *ctx, const fb_problem *p)
{
    *(int64_t *)ctx = p->gseq;
    return FB_OK;
}

static void content_make(stage *s)
{
    char json[120];
    fb_error err = {0};
    fb_id rejected;
    order_take(s, &s->sent_order, true);
    fleet_must(fb_activity_log(s->db, &s->customer, "talk", NULL, &s->activity, &err), &err,
               "activity");
    fleet_must(fb_task_add(s->db, "call", NULL, &s->task, &err), &err, "task");
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"tag\":\"vip\"}", id_text(&s->customer));
    fleet_must(fb_record_put_json(s->db, "customer_tag", json, &s->tag, &err), &err, "tag");
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"qty\":\"5\"}", id_text(&s->customer));
    fleet_must(fb_record_put_json(s->db, "shelf_count", json, &s->note, &err), &err, "shelf_count");
    photo_take(s, "a photo that went up", &s->photo_sent);
    sync_now(s);
    lane_now(s);
    order_take(s, &rejected, true);
    company_set(&s->f.company, "product", &s->product, PAIRS("status", "suspended"));
    sync_now(s);
    company_set(&s->f.company, "product", &s->product, PAIRS("status", "active"));
    sync_now(s);
    fleet_must(fb_problem_each(s->db, problem_take, &s->problem, &err), &err, "problem");
    if (s->problem == 0) {
        fleet_must(FB_E_BUG, NULL, "the order of a suspended product was not refused");
    }
    photo_take(s, "a photo that waits", &s->photo);
    order_take(s, &s->draft, false);
    fleet_must(fb_activity_log(s->db, &s->customer, "pending", NULL, NULL, &err), &err, "pending");
}

static void talks_drop(stage *s, bool of_moment)
{
    for (int i = 0; i < s->talks_count[of_moment]; i++) {
        stage_talk *t = &s->talks[of_moment][i];
        for (int k = 0; k < t->owned_count; k++) {
            free(t->owned[k]);
        }
        *t = (stage_talk){.owned_count = 0};
    }
    s->talks_count[of_moment] = 0;
}

static void code_make(stage *s)
{
    buf code;
    buf_init(&code, 100);
    fleet_must(store_begin(s->f.admin), NULL, "begin");
    fleet_must(door_code_make(s->f.admin, &s->f.users[0], s->f.now_ms, 3600000, &s->f.port, &code),
               NULL, "code");
    fleet_must(store_commit(s->f.admin), NULL, "commit");
    snprintf(s->code, sizeof s->code, "%s", buf_cstr(&code));
    buf_clear(&code);
}

static void enrol(stage *s)
{
    fb_error err = {0};
    fb_link link = stage_link(s);
    fb_enrol_options e = FB_ENROL_OPTIONS_INIT;
    e.server_url = "https://test";
    e.code = s->code;
    fleet_must(fb_enrol(s->db, &link, &e, &err), &err, "enrol");
}

static void keep_files(stage *s, int set)
{
    keeping k = {s, set};
    fb_db_close(s->db);
    s->db = NULL;
    crash_vfs_each(s->f.vfs, file_keep, &k);
}

void stage_make(stage *s)
{
    fb_error err = {0};
    *s = (stage){.recording = true, .random = 77};
    lives_make(s->moments, &s->life, &(lives_ear){NULL});
    fleet_open(&s->f);
    fleet_must(door_catalog_grow(s->f.admin, text_of(MODULE), &s->f.port, &err), &err, "grow");
    s->port = (fb_port){s, device_mono, device_wall, device_random, NULL};
    s->customer = s->f.customers[0];
    s->product = s->f.product;
    fleet_must(stage_open(s, &err), &err, "open");
    keep_files(s, 1);
    code_make(s);
    s->random = 77;
    fleet_must(stage_open(s, &err), &err, "open");
    enrol(s);
    stage_talk first = s->talks[0][0]; /* the answer to the enrolment stays */
    s->talks_count[0] = 0;
    sync_now(s);
    talks_drop(s, false);
    content_make(s);
    talks_drop(s, false);
    keep_files(s, 0);
    mem_files_copy(s->f.files, "dev1", "kept");
    s->talks[0][s->talks_count[0]++] = first;
    stage_set(s, &(scene){.name = "recording"});
    sync_now(s);
    lane_now(s);
    stage_close(s);
    s->recording = false;
    moment_keep(&s->moments[MOMENT_STAGE], &s->f, NULL);
    sqlite3_vfs_register(sqlite3_vfs_find(STAGE_VFS), 1); /* exports go to the default file layer */
}

void stage_turn(stage *s, const scene *played)
{
    moment_name at = scene_moment(played);
    s->recording = at != MOMENT_STAGE;
    if (at == MOMENT_STAGE && s->at == at) {
        return;
    }
    server_set(s, at);
    talks_drop(s, true);
}

void stage_free(stage *s)
{
    talks_drop(s, false);
    talks_drop(s, true);
    for (int i = 0; i < MOMENTS; i++) {
        moment_drop(&s->moments[i]);
    }
    for (int set = 0; set < 2; set++) {
        for (int i = 0; i < s->files_count[set]; i++) {
            free(s->files[set][i].data);
        }
    }
    fleet_close(&s->f);
}

/* --- looking
 * --------------------------------------------------------------------------------------- */

static uint64_t hash_more(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    }
    return hash;
}

static uint64_t rows_hash(sqlite3 *db, const char *sql, uint64_t hash)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) {
        return 0;
    }
    while (sqlite3_step(s) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            int size = sqlite3_column_bytes(s, i);
            const void *data = sqlite3_column_blob(s, i);
            hash = hash_more(hash + (uint64_t)sqlite3_column_type(s, i), data,
                             data != NULL ? (size_t)size : 0);
        }
    }
    sqlite3_finalize(s);
    return hash;
}

/* Of the tables that `which` names, their `columns`. */
static uint64_t tables_hash(sqlite3 *db, const char *which, const char *columns, uint64_t hash)
{
    sqlite3_stmt *tables = NULL;
    if (sqlite3_prepare_v2(db, which, -1, &tables, NULL) == SQLITE_OK) {
        while (sqlite3_step(tables) == SQLITE_ROW) {
            char sql[160];
            const char *name = (const char *)sqlite3_column_text(tables, 0);
            snprintf(sql, sizeof sql, "SELECT %s FROM %.100s", columns, name);
            hash = rows_hash(db, sql, hash_more(hash, name, strlen(name)));
        }
    }
    sqlite3_finalize(tables);
    return hash;
}

enum { HASH_BEGIN = 1469598103 };

uint64_t stage_dump(const stage *s, bool counts_only)
{
    sqlite3 *db = NULL;
    uint64_t hash = HASH_BEGIN;
    (void)s;
    if (sqlite3_open_v2(PATH, &db, SQLITE_OPEN_READWRITE, STAGE_VFS) == SQLITE_OK) {
        hash = tables_hash(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
                           counts_only ? "count(*)" : "*", hash);
    }
    sqlite3_close(db);
    return hash;
}

uint64_t stage_seen(const stage *s)
{
    sqlite3 *db = NULL;
    uint64_t hash = HASH_BEGIN;
    (void)s;
    if (sqlite3_open_v2(PATH, &db, SQLITE_OPEN_READWRITE, STAGE_VFS) == SQLITE_OK) {
        hash = tables_hash(db,
                           "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                           "'fb\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY name",
                           "*", hash);
        hash = rows_hash(db, "SELECT state, count(*) FROM fb_outbox GROUP BY state", hash);
        hash = rows_hash(db, "SELECT id, body FROM fb_draft ORDER BY id", hash);
        hash = rows_hash(db, "SELECT entity, id FROM fb_parked ORDER BY id", hash);
    }
    sqlite3_close(db);
    return hash;
}
