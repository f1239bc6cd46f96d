/* story.c - see story.h. */
#include "fault/torture_server/story.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MASTER[] = "server/master.db";

/* --- keeping ------------------------------------------------------------------------------- */

static void *copy_of(const void *data, size_t size)
{
    void *copy = malloc(size + 1);
    if (copy == NULL) {
        abort(); /* the test machine itself is out of memory */
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static void text_keep(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static talk *talk_new(story *s, fleet *f, const char *what)
{
    if (s->talks_count == TALKS_MAX) {
        abort();
    }
    talk *t = &s->talks[s->talks_count++];
    snprintf(t->name, sizeof t->name, "%s %d", what, s->talks_count);
    t->random = f->random;
    t->of_lives = f != &s->f;
    moment_keep(&t->before, f, NULL);
    return t;
}

/* Before the server sees it. */
static void request_keep(void *ctx, fleet *f, const fb_link_request *q)
{
    talk *t = talk_new(ctx, f,
                       strncmp(q->path, "/v1/pack/", 9) == 0 ? "pack" : strrchr(q->path, '/') + 1);
    text_keep(t->method, sizeof t->method, q->method);
    text_keep(t->path, sizeof t->path, q->path);
    text_keep(t->authorization, sizeof t->authorization, q->authorization);
    text_keep(t->content_type, sizeof t->content_type, q->content_type);
    text_keep(t->content_encoding, sizeof t->content_encoding, q->content_encoding);
    t->body = copy_of(q->body.data, q->body.size);
    t->body_size = q->body.size;
}

static void build_keep(void *ctx, fleet *f)
{
    talk_new(ctx, f, "build")->build = true;
}

static void own_request_keep(void *ctx, const fb_link_request *q)
{
    request_keep(ctx, &((story *)ctx)->f, q);
}

/* --- the life ----------------------------------------------------------------------------------
 */

static void order_take(fleet_device *d, const fb_id *customer, const fb_id *product, int64_t qty)
{
    fb_error err = {0};
    fb_order *order = NULL;
    fleet_must(fb_order_new(d->db, customer, NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, product, NULL, qty, NULL, NULL, &err), &err, "line");
    fleet_must(fb_order_line_add(order, product, NULL, qty + 1000, NULL, NULL, &err), &err, "line");
    fleet_must(fb_order_submit(order, NULL, &err), &err, "submit");
    fb_order_close(order);
}

static void phone_set(fleet_device *d, const fb_id *customer, const char *phone)
{
    static const char *const COLUMNS[] = {"phone"};
    fb_error err = {0};
    fb_value value = {.kind = FB_KIND_TEXT, .u.text = {phone, strlen(phone)}};
    fb_record_change edit = {COLUMNS, &value, 1};
    fleet_must(fb_record_update(d->db, "customer", customer, &edit, &err), &err, "phone");
}

static void visit_with_photo(fleet_device *d, const fb_id *customer)
{
    fb_error err = {0};
    fb_visit_in in;
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    a.media_type = "image/jpeg";
    a.data = text_of("the whole picture");
    a.thumb = text_of("small");
    fleet_must(fb_visit_check_in(d->db, customer, NULL, &in, &err), &err, "in");
    a.visit = in.visit;
    fleet_must(fb_attachment_add(d->db, &a, NULL, &err), &err, "photo");
    fleet_must(fb_visit_check_out(d->db, &in.visit, NULL, &err), &err, "out");
}

static void lane(fleet_device *d)
{
    fb_error err = {0};
    fb_lane *l = NULL;
    fb_link link = fleet_link(d);
    fleet_must(fb_lane_open(d->db, NULL, &l, &err), &err, "lane open");
    fleet_must(fb_lane_step(l, &link, 0, NULL, &err), &err, "lane");
    fb_lane_close(l);
}

static void customer_make(fleet_device *d, const char *name)
{
    char json[120];
    fb_error err = {0};
    snprintf(json, sizeof json, "{\"name\":\"%s\",\"phone\":\"13800000000\"}", name);
    fleet_must(fb_customer_create(d->db, json, NULL, &err), &err, "customer");
}

void story_make(story *s)
{
    static moment unused[MOMENTS];
    fleet *f = &s->f;
    life_ids ids = {.refused = 0};
    memset(s, 0, sizeof *s);
    lives_make(unused, &ids, &(lives_ear){request_keep, build_keep, s});
    for (int i = 0; i < MOMENTS; i++) {
        moment_drop(&unused[i]);
    }
    fleet_open(f);
    f->asked = own_request_keep;
    f->asked_ctx = s;
    fleet_device *rep = fleet_device_add(f, &f->users[0]);
    fleet_device *manager = fleet_device_add(f, &f->manager);
    order_take(rep, &f->customers[0], &f->product, 3000);
    visit_with_photo(rep, &f->customers[0]);
    customer_make(rep, "Corner shop");
    phone_set(rep, &f->customers[0], "111");
    phone_set(manager, &f->customers[0], "222");
    fleet_sync(rep);
    lane(rep);
    fleet_sync(manager); /* its phone and the other one meet */
    company_set(&f->company, "product", &f->product, PAIRS("status", "suspended"));
    order_take(rep, &f->customers[0], &f->product, 5000); /* refused */
    fleet_sync(rep);
    company_set(&f->company, "customer", &f->customers[0],
                PAIRS("territory_id", id_text(&f->territories[1]))); /* leaves */
    fleet_sync(rep);
    fleet_sync(manager);
    lane(manager);
    for (int i = 0; i < f->devices_count; i++) {
        fb_db_close(f->devices[i].db);
        f->devices[i].db = NULL;
    }
    fleet_server_stop(f);
    f->asked = NULL;
}

void story_free(story *s)
{
    for (int i = 0; i < s->talks_count; i++) {
        free(s->talks[i].body);
        moment_drop(&s->talks[i].before);
    }
    fleet_close(&s->f);
}

/* --- one request again --------------------------------------------------------------------- */

void story_stop(story *s)
{
    fleet_server_stop(&s->f);
}

void story_files(story *s, const talk *t)
{
    crash_vfs_fail(s->f.vfs, "server", 0, SQLITE_OK, false);
    moment_put(&t->before, &s->f, "server");
    s->f.now_ms = t->before.now_ms;
    s->f.packing = t->before.packing;
    s->f.random = t->random;
}

fb_code story_start(story *s, fb_error *err)
{
    server_options open = {.path = MASTER,
                           .vfs = "fleetfs",
                           .port = &s->f.port,
                           .files = mem_files_port(s->f.files),
                           .packing = s->f.packing};
    fb_code rc = server_open(&open, &s->f.srv, err);
    return rc == FB_OK ? server_reader_open(s->f.srv, &s->f.reader, err) : rc;
}

void story_turn_to(story *s, const talk *t)
{
    fb_error err = {0};
    story_stop(s);
    story_files(s, t);
    fleet_must(story_start(s, &err), &err, "server");
}

const server_reply *story_ask(story *s, const talk *t)
{
    fleet *f = &s->f;
    server_request q = {.method = text_of(t->method),
                        .path = text_of(t->path),
                        .authorization = text_of(t->authorization),
                        .content_type = text_of(t->content_type),
                        .content_encoding = text_of(t->content_encoding),
                        .peer = text_of("test"),
                        .body = {t->body, t->body_size}};
    server_job_free(f->job);
    f->random = t->random;
    f->job = server_handle(f->srv, f->reader, &q);
    return server_job_reply(f->job);
}

#define HASH_BEGIN 14695981039346656037ULL

static uint64_t hash_more(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    }
    return hash;
}

static uint64_t query_hash(sqlite3 *db, const char *sql, uint64_t hash)
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

/* Of tables of which not every row or column has to be the same: which groups were settled
 * together, and the commit of a sum, do not matter; a device that tells of wrong rows twice,
 * because it did not hear the answer, is noted twice. */
static const struct {
    const char *table, *columns, *where;
} LOOSE[] = {
    {"fs_verdict", "*", "plain = 0"},
    {"fs_scope_class", "class, scopes, rows, total, buckets", "1"},
    {"fs_audit", "*", "action <> 'digest.fault'"},
    {"fs_device",
     "id, code, user_id, token_hash, status, incarnation, epoch, catalog_version, scope_set, "
     "pushed_groups, refused_groups, enrolled_ms, last_seen_ms",
     "1"},
};

static uint64_t rows_hash(sqlite3 *db, const char *table, uint64_t hash)
{
    char sql[240];
    const char *columns = "*", *where = "1";
    for (size_t i = 0; i < sizeof LOOSE / sizeof *LOOSE; i++) {
        if (strcmp(table, LOOSE[i].table) == 0) {
            columns = LOOSE[i].columns;
            where = LOOSE[i].where;
        }
    }
    snprintf(sql, sizeof sql, "SELECT %s FROM \"%.60s\" WHERE %s", columns, table, where);
    return query_hash(db, sql, hash);
}

void story_build(story *s)
{
    s->f.now_ms += 3600000;
    while (server_build(s->f.srv, (uint64_t)s->f.now_ms)) {
    }
}

uint64_t story_packs(void)
{
    sqlite3 *db = NULL;
    uint64_t hash = 0;
    if (sqlite3_open_v2("server/master.db.packs", &db, SQLITE_OPEN_READWRITE, "fleetfs") ==
        SQLITE_OK) {
        hash = query_hash(db,
                          "SELECT p.scope, p.pos, p.rows, c.n, c.hash FROM pack p JOIN chunk c ON "
                          "c.pack = p.no WHERE p.name IS NOT NULL ORDER BY p.scope, p.pos, c.n",
                          HASH_BEGIN);
    }
    sqlite3_close(db);
    return hash;
}

uint64_t story_dump(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *tables = NULL;
    uint64_t hash = HASH_BEGIN;
    if (sqlite3_open_v2(MASTER, &db, SQLITE_OPEN_READWRITE, "fleetfs") == SQLITE_OK &&
        sqlite3_prepare_v2(db,
                           "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                           "'sqlite_%' ORDER BY name",
                           -1, &tables, NULL) == SQLITE_OK) {
        while (sqlite3_step(tables) == SQLITE_ROW) {
            const char *name = (const char *)sqlite3_column_text(tables, 0);
            hash = rows_hash(db, name, hash_more(hash, name, strlen(name)));
        }
    }
    sqlite3_finalize(tables);
    sqlite3_close(db);
    return hash;
}
