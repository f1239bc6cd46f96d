/* raw_device.c - see raw_device.h. */
#include "support/raw_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/row_check.h"
#include "sync-server/door/door.h"
#include "wire/pack.h"

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "raw_device: %s\n", what);
        abort();
    }
}

static void must_ok(fb_code rc, const fb_error *err, const char *what)
{
    if (rc != FB_OK) {
        fprintf(stderr, "raw_device: %s: %s %s %s\n", what, fb_code_name(rc),
                err != NULL ? err->field : "", err != NULL ? err->message : "");
        abort();
    }
}

/* ---- the company ---- */

static uint64_t world_mono(void *ctx)
{
    return (uint64_t)((raw_world *)ctx)->now_ms;
}

static int64_t world_wall(void *ctx)
{
    return ((raw_world *)ctx)->now_ms;
}

static fb_code world_random(void *ctx, void *out, size_t size)
{
    raw_world *w = ctx;
    for (size_t i = 0; i < size; i++) {
        w->random = w->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(w->random >> 56);
    }
    return FB_OK;
}

static void people(raw_world *w)
{
    static const char *const codes[] = {"R1", "R2", "R3"};
    static const int territory[] = {0, 1, 0};
    company *c = &w->company;
    fb_id rep = company_find(c, "role", "REP"), mgr = company_find(c, "role", "MGR");
    w->root = company_find(c, "org_unit", "ACME");
    for (int i = 0; i < 2; i++) {
        const char *code = i == 0 ? "T1" : "T2";
        w->territories[i] = company_add(
            c, "territory", PAIRS("code", code, "name", code, "org_unit_id", id_text(&w->root)));
    }
    for (int i = 0; i < 3; i++) {
        w->users[i] = company_add(c, "app_user",
                                  PAIRS("code", codes[i], "name", codes[i], "org_unit_id",
                                        id_text(&w->root), "status", "active"));
        company_add(c, "user_role",
                    PAIRS("user_id", id_text(&w->users[i]), "role_id", id_text(&rep)));
        company_add(c, "user_territory",
                    PAIRS("user_id", id_text(&w->users[i]), "territory_id",
                          id_text(&w->territories[territory[i]])));
    }
    w->manager = company_add(
        c, "app_user",
        PAIRS("code", "M1", "name", "M1", "org_unit_id", id_text(&w->root), "status", "active"));
    company_add(c, "user_role", PAIRS("user_id", id_text(&w->manager), "role_id", id_text(&mgr)));
}

static void goods(raw_world *w)
{
    company *c = &w->company;
    for (int i = 0; i < 2; i++) {
        const char *code = i == 0 ? "C1" : "C2";
        w->customers[i] =
            company_add(c, "customer",
                        PAIRS("code", code, "name", code, "status", "active", "phone",
                              "+861381234567", "territory_id", id_text(&w->territories[i])));
    }
    w->tax = company_add(c, "tax_code", PAIRS("code", "V13", "name", "VAT 13", "rate_bp", "13.00"));
    w->product = company_add(
        c, "product",
        PAIRS("code", "P1", "name", "P1", "base_uom", "EA", "tax_code_id", id_text(&w->tax)));
    w->list = company_add(c, "price_list", PAIRS("code", "L1", "name", "L1", "currency", "CNY"));
    company_add(c, "price_list_item",
                PAIRS("price_list_id", id_text(&w->list), "product_id", id_text(&w->product), "uom",
                      "EA", "price_4dp", "10.00"));
    if (catalog_entity_str(store_catalog(w->admin), "price_assignment") != NULL) {
        company_add(c, "price_assignment",
                    PAIRS("target_kind", "global", "price_list_id", id_text(&w->list)));
    }
}

void raw_server_start(raw_world *w, bool trace)
{
    fb_error err = {0};
    server_options o = {.path = w->path, .port = &w->port, .trace = trace, .catalog = w->catalog};
    must_ok(server_open(&o, &w->srv, &err), &err, "server_open");
    must_ok(server_reader_open(w->srv, &w->reader, &err), &err, "server_reader_open");
}

void raw_world_open(raw_world *w)
{
    fb_error err = {0};
    *w = (raw_world){.now_ms = 1760000000000, .random = 11, .catalog = w->catalog};
    w->port =
        (fb_port){.ctx = w, .mono_ms = world_mono, .wall_ms = world_wall, .random = world_random};
    snprintf(w->folder, sizeof w->folder, "/tmp/fb-raw-XXXXXX");
    must(mkdtemp(w->folder) != NULL, "mkdtemp");
    snprintf(w->path, sizeof w->path, "%s/master.db", w->folder);
    server_create_options c = {.path = w->path,
                               .port = &w->port,
                               .company_code = "ACME",
                               .company_name = "Acme",
                               .admin_code = "IT1",
                               .catalog = w->catalog};
    must_ok(server_create(&c, &err), &err, "server_create");
    must_ok(store_open(&(store_options){.path = w->path}, &w->admin, &err), &err, "store_open");
    company_init(&w->company, w->admin, &w->port, 5);
    people(w);
    goods(w);
    raw_server_start(w, false);
}

void raw_server_stop(raw_world *w)
{
    server_reader_close(w->reader);
    server_close(w->srv);
    w->reader = NULL;
    w->srv = NULL;
}

void raw_server_restart(raw_world *w, bool crash)
{
    raw_server_stop(w);
    if (crash) {
        must_ok(store_begin(w->admin), NULL, "begin");
        must_ok(store_meta_int_set(w->admin, "running", 1), NULL, "running");
        must_ok(store_commit(w->admin), NULL, "commit");
    }
    raw_server_start(w, false);
}

void raw_world_close(raw_world *w)
{
    char name[128];
    static const char *const suffixes[] = {"", "-wal", "-shm", ".high-water"};
    raw_server_stop(w);
    store_close(w->admin);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", w->path, suffixes[i]);
        (void)unlink(name);
    }
    (void)rmdir(w->folder);
}

fb_text raw_code_make(raw_world *w, const fb_id *user, char room[32])
{
    buf code;
    buf_init(&code, 64);
    must_ok(store_begin(w->admin), NULL, "begin");
    must_ok(door_code_make(w->admin, user, w->now_ms, 3600000, &w->port, &code), NULL, "code");
    must_ok(store_commit(w->admin), NULL, "commit");
    snprintf(room, 32, "%s", buf_cstr(&code));
    buf_clear(&code);
    return text_of(room);
}

/* ---- the device ---- */

static server_request post_of(const char *path, fb_text authorization, const buf *body)
{
    return (server_request){.method = text_of("POST"),
                            .path = text_of(path),
                            .authorization = authorization,
                            .content_type = text_of("application/x-fieldbook"),
                            .peer = text_of("127.0.0.1"),
                            .body = buf_text(body)};
}

static server_job *post(raw_world *w, const char *path, fb_text authorization, const buf *body)
{
    server_request q = post_of(path, authorization, body);
    w->now_ms += 200; /* the rate's bucket fills */
    return server_handle(w->srv, w->reader, &q);
}

static server_job *enrol_post(raw_world *w, fb_text code, const digest *token)
{
    buf body;
    buf_init(&body, 4096);
    enrol_request m = {.protocol = 1,
                       .code = code,
                       .token = *token,
                       .platform = text_of("linux"),
                       .app_version = text_of("1"),
                       .name = text_of("test")};
    enrol_request_put(&body, &m);
    server_job *job = post(w, "/v1/enrol", text_of(""), &body);
    buf_clear(&body);
    return job;
}

int raw_enrol_try(raw_world *w, fb_text code, uint8_t token)
{
    digest secret;
    memset(secret.b, token, sizeof secret.b);
    server_job *job = enrol_post(w, code, &secret);
    int status = server_job_reply(job)->status;
    server_job_free(job);
    return status;
}

void raw_enrol(raw_world *w, raw_device *d, const fb_id *user, uint64_t seed)
{
    char code[32];
    enrol_reply reply;
    *d = (raw_device){.w = w};
    memset(d->token.b, (int)seed, sizeof d->token.b);
    arena *memory = arena_new(1 << 20);
    server_job *job = enrol_post(w, raw_code_make(w, user, code), &d->token);
    const server_reply *r = server_job_reply(job);
    must(r->status == 200, "enrolment");
    buf plain;
    buf_init(&plain, 1 << 16);
    if (r->zstd) {
        must_ok(pack_get(&plain, r->body, 1 << 16), NULL, "unpack");
    } else {
        buf_put_text(&plain, r->body);
    }
    must_ok(enrol_reply_get(buf_text(&plain), memory, &reply), NULL, "enrol reply");
    d->id = reply.device;
    d->user = reply.user;
    d->epoch = reply.epoch;
    snprintf(d->code, sizeof d->code, "%.*s", (int)reply.device_code.size, reply.device_code.data);
    uint8_t random[8];
    memcpy(random, &seed, sizeof random);
    id_maker_init(&d->ids, random);
    raw_incarnation(d);
    server_job_free(job);
    buf_clear(&plain);
    arena_free(memory);
}

void raw_incarnation(raw_device *d)
{
    must_ok(world_random(d->w, d->incarnation.b, sizeof d->incarnation.b), NULL, "random");
    int64_t kept = 0;
    for (int64_t i = d->settled; i < d->last; i++, kept++) {
        buf line = d->groups[i];
        d->groups[i] = d->groups[kept];
        d->groups[kept] = line;
    }
    d->last = kept;
    d->acked = d->settled = 0;
    digest_of(d->incarnation.b, sizeof d->incarnation.b, &d->chain[0]);
    for (int64_t i = 0; i < kept; i++) {
        digest_chain(&d->chain[i], d->groups[i].data, d->groups[i].size, &d->chain[i + 1]);
    }
}

void raw_device_clear(raw_device *d)
{
    for (int i = 0; i < RAW_GROUPS_MAX; i++) {
        buf_clear(&d->groups[i]);
    }
}

static buf *next_line(raw_device *d)
{
    must(d->last < RAW_GROUPS_MAX, "too many groups");
    buf *line = &d->groups[d->last];
    buf_clear(line);
    buf_init(line, 1 << 20);
    return line;
}

static int64_t line_done(raw_device *d)
{
    buf *line = &d->groups[d->last];
    if (line->size > 0 && line->data[line->size - 1] == '\n') {
        line->size--;
    }
    digest_chain(&d->chain[d->last], line->data, line->size, &d->chain[d->last + 1]);
    return ++d->last;
}

int64_t raw_line(raw_device *d, const char *text)
{
    buf_put_str(next_line(d), text);
    return line_done(d);
}

void raw_begin(raw_group *g, raw_device *d, const char *kind, int64_t at_ms, int64_t replaces)
{
    *g = (raw_group){.d = d, .memory = arena_new(1 << 20), .cat = store_catalog(d->w->admin)};
    group_head head = {.kind = text_of(kind),
                       .captured_at_ms = at_ms != 0 ? at_ms : d->w->now_ms,
                       .catalog_version = 1,
                       .replaces = replaces};
    group_put_begin(&g->writer, next_line(d), &head);
}

static fb_value value_of(raw_group *g, const cat_entity *e, int column, const char *text)
{
    fb_value v = {.kind = FB_KIND_NULL};
    fb_error err = {0};
    if (text != NULL && e->columns[column].type == CAT_REF) {
        v.kind = FB_KIND_ID;
        must(id_get(text_of(text), &v.u.id), "an id");
    } else if (text != NULL) {
        must_ok(cat_value_parse(e, column, text_of(arena_str(g->memory, text)), false, &v, &err),
                &err, text);
    }
    return v;
}

static const cat_entity *entity_of(raw_group *g, const char *name)
{
    const cat_entity *e = catalog_entity_str(g->cat, name);
    must(e != NULL, name);
    return e;
}

void raw_insert_id(raw_group *g, const char *entity, const fb_id *id, const char *const *pairs)
{
    const cat_entity *e = entity_of(g, entity);
    fb_value row[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value mine[CATALOG_COLUMNS_LIMIT];
    uint32_t count = 0;
    for (size_t i = 0; pairs[i] != NULL; i += 2) {
        int column = cat_column_str(e, pairs[i]);
        must(column > 0, pairs[i]);
        row[column] = value_of(g, e, column, pairs[i + 1]);
    }
    row[0] = (fb_value){.kind = FB_KIND_ID, .u.id = *id};
    must_ok(row_derive(e, row, g->memory), NULL, "derive"); /* as a device does at capture */
    for (int i = 1; i < cat_ver_column(e); i++) {
        if (row[i].kind != FB_KIND_NULL) {
            columns[count] = i;
            mine[count++] = row[i];
        }
    }
    group_op op = {.kind = OP_INSERT,
                   .entity = e,
                   .id = *id,
                   .columns = columns,
                   .mine = mine,
                   .columns_count = count};
    group_put_op(&g->writer, &op);
}

fb_id raw_insert(raw_group *g, const char *entity, const char *const *pairs)
{
    fb_id id = id_make(&g->d->ids, g->d->w->now_ms);
    raw_insert_id(g, entity, &id, pairs);
    return id;
}

void raw_update(raw_group *g, const char *entity, const fb_id *id, int64_t base_ver,
                const char *const *triples)
{
    const cat_entity *e = entity_of(g, entity);
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value base[CATALOG_COLUMNS_LIMIT], mine[CATALOG_COLUMNS_LIMIT];
    uint32_t count = 0;
    for (size_t i = 0; triples[i] != NULL; i += 3, count++) {
        columns[count] = cat_column_str(e, triples[i]);
        must(columns[count] > 0, triples[i]);
        base[count] =
            value_of(g, e, columns[count], triples[i + 1][0] != '\0' ? triples[i + 1] : NULL);
        mine[count] =
            value_of(g, e, columns[count], triples[i + 2][0] != '\0' ? triples[i + 2] : NULL);
    }
    group_op op = {.kind = OP_UPDATE,
                   .entity = e,
                   .id = *id,
                   .base_ver = base_ver,
                   .columns = columns,
                   .base = base,
                   .mine = mine,
                   .columns_count = count};
    group_put_op(&g->writer, &op);
}

void raw_delete(raw_group *g, const char *entity, const fb_id *id, int64_t base_ver)
{
    group_op op = {
        .kind = OP_DELETE, .entity = entity_of(g, entity), .id = *id, .base_ver = base_ver};
    group_put_op(&g->writer, &op);
}

int64_t raw_end(raw_group *g)
{
    group_put_end(&g->writer);
    must(g->d->groups[g->d->last].code == FB_OK, "group");
    arena_free(g->memory);
    return line_done(g->d);
}

/* ---- exchange ---- */

sync_request raw_request(const raw_device *d)
{
    sync_request q = {.protocol = 1,
                      .device = d->id,
                      .incarnation = d->incarnation,
                      .catalog_version = d->catalog_version,
                      .epoch = d->epoch,
                      .token = text_of(d->page_token),
                      .settled = d->settled,
                      .acked = d->acked,
                      .last = d->last,
                      .wall_ms = d->w->now_ms,
                      .groups_count = (uint32_t)(d->last - d->acked)};
    q.first = q.groups_count > 0 ? d->acked + 1 : 0;
    q.chain_before = d->chain[d->acked]; /* of `last` when none is carried: the same */
    return q;
}

static bool is_verdict(const reply_item *i)
{
    return i->line == LINE_RUN || i->line == LINE_VERDICT;
}

static void reply_line_take(raw_reply *out, fb_text line)
{
    reply_item *item = &out->items[out->items_count];
    must(out->items_count < RAW_VERDICTS_MAX, "too many lines");
    must_ok(reply_item_get(line, out->memory, item), NULL, "reply line");
    if (is_verdict(item)) {
        out->verdicts.data = out->verdicts.data != NULL ? out->verdicts.data : line.data;
        out->verdicts.size = (size_t)(line.data + line.size - out->verdicts.data);
        out->items_count++;
    }
    out->has_catalog |= item->line == LINE_CATALOG;
    if (item->line == LINE_PAGE) {
        out->complete = item->page.complete;
        out->reset = item->page.reset;
        out->items[RAW_VERDICTS_MAX - 1].page = item->page;
    }
}

static void reply_take(raw_reply *out)
{
    line_reader l;
    fb_text line;
    bool in_page = false;
    line_reader_init(&l, buf_text(&out->body));
    must(line_next(&l, &line), "a sync line");
    must_ok(sync_reply_get(line, out->memory, &out->sync), NULL, "sync line");
    while (line_next(&l, &line)) {
        bool block = line.data[0] == '[' || (line.size > 4 && memcmp(line.data, "{\"e\"", 4) == 0);
        must(!block || in_page, "a block outside a page");
        if (!block) {
            in_page |= line.size > 11 && memcmp(line.data, "{\"m\":\"page\"", 11) == 0;
            reply_line_take(out, line);
        }
    }
    must(l.code == FB_OK, "a whole reply");
}

static void authorization_put(const raw_device *d, buf *out)
{
    buf_printf(out, "Fieldbook %s:", id_text(&d->id));
    hex_put(out, d->token.b, sizeof d->token.b);
}

static void request_put(raw_device *d, const sync_request *q, buf *body, buf *auth)
{
    buf_init(body, 16 << 20);
    buf_init(auth, 256);
    sync_request_put(body, q);
    for (uint32_t i = 0; i < q->groups_count; i++) {
        sync_group_put(body, buf_text(&d->groups[q->first - 1 + i]));
    }
    sync_end_put(body);
    authorization_put(d, auth);
}

server_job *raw_prepare(raw_device *d, const sync_request *q, job_next *next)
{
    buf body, auth;
    request_put(d, q, &body, &auth);
    server_request r = post_of("/v1/sync", buf_text(&auth), &body);
    server_job *job = server_prepare(d->w->srv, d->w->reader, &r, next);
    buf_clear(&body);
    buf_clear(&auth);
    return job;
}

void raw_sync_with(raw_device *d, const sync_request *q, raw_reply *out)
{
    buf body, auth;
    *out = (raw_reply){.memory = arena_new(64 << 20)};
    buf_init(&out->body, 64 << 20);
    if (d->w->trial != NULL) {
        d->w->trial(d, q);
    }
    request_put(d, q, &body, &auth);
    server_job *job = post(d->w, "/v1/sync", buf_text(&auth), &body);
    const server_reply *r = server_job_reply(job);
    out->status = r->status;
    out->packed_bytes = r->body.size;
    if (r->zstd) {
        must_ok(pack_get(&out->body, r->body, 64 << 20), NULL, "unpack");
    } else {
        buf_put_text(&out->body, r->body);
    }
    if (r->status == 200) {
        reply_take(out);
    } else {
        error_msg m = {.code = FB_OK};
        must_ok(error_msg_get(buf_text(&out->body), out->memory, &m), NULL, "error body");
        out->error = m.code;
    }
    server_job_free(job);
    buf_clear(&body);
    buf_clear(&auth);
}

void raw_sync(raw_device *d, raw_reply *out)
{
    sync_request q = raw_request(d);
    raw_sync_with(d, &q, out);
}

void raw_exchange(raw_device *d, raw_reply *out)
{
    raw_sync(d, out);
    must(out->status == 200, fb_code_name(out->error));
    d->acked = out->sync.applied;
    fb_text token = out->items[RAW_VERDICTS_MAX - 1].page.token;
    snprintf(d->page_token, sizeof d->page_token, "%.*s", (int)token.size, token.data);
    d->epoch = out->sync.epoch;
    d->catalog_version =
        out->has_catalog ? store_catalog(d->w->admin)->version : d->catalog_version;
    if (out->complete) {
        d->settled = d->acked;
    }
}

bool raw_has_verdict(const raw_reply *r, int64_t gseq)
{
    for (uint32_t i = 0; i < r->items_count; i++) {
        const reply_item *item = &r->items[i];
        if ((item->line == LINE_RUN && gseq >= item->run_from && gseq <= item->run_to) ||
            (item->line == LINE_VERDICT && item->verdict.gseq == gseq)) {
            return true;
        }
    }
    return false;
}

verdict_msg raw_verdict(const raw_reply *r, int64_t gseq)
{
    for (uint32_t i = 0; i < r->items_count; i++) {
        const reply_item *item = &r->items[i];
        if (item->line == LINE_RUN && gseq >= item->run_from && gseq <= item->run_to) {
            return (verdict_msg){.gseq = gseq,
                                 .code = VERDICT_APPLIED,
                                 .cid = item->run_cid + gseq - item->run_from};
        }
        if (item->line == LINE_VERDICT && item->verdict.gseq == gseq) {
            return item->verdict;
        }
    }
    must(false, "no verdict");
    return (verdict_msg){0};
}

bool raw_page_has(const raw_reply *r, const fb_id *id)
{
    char start[FB_ID_TEXT_BYTES + 2];
    snprintf(start, sizeof start, "[\"%s", id_text(id));
    fb_text body = buf_text(&r->body);
    return memmem(body.data, body.size, start, strlen(start)) != NULL;
}

void raw_reply_clear(raw_reply *r)
{
    buf_clear(&r->body);
    arena_free(r->memory);
}

static void server_row(raw_world *w, const char *entity, const fb_id *id, arena *memory,
                       fb_value *values)
{
    const cat_entity *e = catalog_entity_str(store_catalog(w->admin), entity);
    must_ok(store_row_get(w->admin, e, id, memory, values), NULL, entity);
}

void raw_server_text(raw_world *w, const char *entity, const fb_id *id, const char *column,
                     char room[256])
{
    const cat_entity *e = catalog_entity_str(store_catalog(w->admin), entity);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    buf text;
    buf_init(&text, 255);
    server_row(w, entity, id, memory, values);
    int number = cat_column_str(e, column);
    cat_value_print(e, number, &values[number], false, &text);
    snprintf(room, 256, "%s", buf_cstr(&text));
    buf_clear(&text);
    arena_free(memory);
}

int64_t raw_server_ver(raw_world *w, const char *entity, const fb_id *id)
{
    const cat_entity *e = catalog_entity_str(store_catalog(w->admin), entity);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    server_row(w, entity, id, memory, values);
    arena_free(memory);
    return values[cat_ver_column(e)].u.i;
}
