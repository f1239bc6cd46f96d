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

static void file_keep(void *ctx, const char *name, const void *data, size_t size)
{
    talk *t = ctx;
    if (strncmp(name, "server/", 7) != 0 || strstr(name, "-shm") != NULL) {
        return;
    }
    if (t->files_count == IMAGE_FILES_MAX) {
        abort();
    }
    image_file *file = &t->files[t->files_count++];
    snprintf(file->name, sizeof file->name, "%s", name);
    file->data = copy_of(data, size);
    file->size = size;
}

static void beside_name(const talk *t, char out[24], const story *s)
{
    snprintf(out, 24, "kept%d", (int)(t - s->talks));
}

/* Before the server sees it. */
static void request_keep(void *ctx, const fb_link_request *q)
{
    story *s = ctx;
    char beside[24];
    if (s->talks_count == TALKS_MAX) {
        abort();
    }
    talk *t = &s->talks[s->talks_count];
    const char *what = strrchr(q->path, '/') + 1;
    snprintf(t->name, sizeof t->name, "%s %d", what, s->talks_count + 1);
    s->talks_count++;
    text_keep(t->method, sizeof t->method, q->method);
    text_keep(t->path, sizeof t->path, q->path);
    text_keep(t->authorization, sizeof t->authorization, q->authorization);
    text_keep(t->content_type, sizeof t->content_type, q->content_type);
    text_keep(t->content_encoding, sizeof t->content_encoding, q->content_encoding);
    t->body = copy_of(q->body.data, q->body.size);
    t->body_size = q->body.size;
    t->now_ms = s->f.now_ms;
    t->random = s->f.random;
    crash_vfs_each(s->f.vfs, file_keep, t);
    beside_name(t, beside, s);
    mem_files_copy(s->f.files, "server", beside);
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
    fleet *f = &s->f;
    memset(s, 0, sizeof *s);
    fleet_open(f);
    f->asked = request_keep;
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
        for (int k = 0; k < s->talks[i].files_count; k++) {
            free(s->talks[i].files[k].data);
        }
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
    char beside[24];
    beside_name(t, beside, s);
    crash_vfs_remove(s->f.vfs, "server");
    crash_vfs_fail(s->f.vfs, "server", 0, SQLITE_OK, false);
    for (int i = 0; i < t->files_count; i++) {
        crash_vfs_put(s->f.vfs, t->files[i].name, t->files[i].data, t->files[i].size);
    }
    mem_files_remove(s->f.files, "server");
    mem_files_copy(s->f.files, beside, "server");
    s->f.now_ms = t->now_ms;
    s->f.random = t->random;
}

fb_code story_start(story *s, fb_error *err)
{
    server_options open = {
        .path = MASTER, .vfs = "fleetfs", .port = &s->f.port, .files = mem_files_port(s->f.files)};
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

static uint64_t hash_more(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    }
    return hash;
}

static uint64_t rows_hash(sqlite3 *db, const char *table, uint64_t hash)
{
    char sql[200];
    sqlite3_stmt *s = NULL;
    bool runs =
        strcmp(table, "fs_verdict") == 0; /* which groups were settled together: no matter */
    bool classes = strcmp(table, "fs_scope_class") == 0; /* neither is the commit */
    snprintf(sql, sizeof sql, "SELECT %s FROM \"%.100s\"%s",
             classes ? "class, scopes, rows, total, buckets" : "*", table,
             runs ? " WHERE plain = 0" : "");
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

uint64_t story_dump(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *tables = NULL;
    uint64_t hash = 14695981039346656037ULL;
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
