/* crowd.c - see storm.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "perf/gen.h"
#include "perf/net.h"
#include "perf/storm.h"
#include "platform/posix/port.h"
#include "schema/limits.h"
#include "sql/sql.h"
#include "sync-server/door/door.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/server.h"
#include "sync-server/store/fill.h"
#include "wire/enrol_msg.h"
#include "wire/pack.h"

enum { PEOPLE_AT_ONCE = 250, BYTES_MAX = 64 << 20, CODE_VALID_MS = 3600000, LINE_BYTES = 1024 };

struct crowd {
    uint32_t count;
    crowd_device *d;
};

/* One thread, and a bench dies of every failure: so what a request is made in may be shared. */
typedef struct workshop {
    buf body, packed, plain, authorization;
    arena *memory;
    packer *packer;
} workshop;
static workshop shop;

static void shop_open(void)
{
    if (shop.memory == NULL) {
        buf_init(&shop.body, BYTES_MAX);
        buf_init(&shop.packed, BYTES_MAX);
        buf_init(&shop.plain, BYTES_MAX);
        buf_init(&shop.authorization, 512);
        shop.memory = arena_new(BYTES_MAX);
        shop.packer = packer_new();
    }
    if (shop.memory == NULL || shop.packer == NULL) {
        bench_die("out of memory");
    }
}

static int64_t wall_ms(void)
{
    return fb_port_posix()->wall_ms(fb_port_posix()->ctx);
}

/* ---- what a device says ---- */

static fb_id row_id_of(const crowd_device *d, uint32_t number)
{
    fb_id id = d->user;
    id.b[6] = 0x70;
    id.b[8] = 0x80;
    id.b[12] = (uint8_t)(d->number >> 8);
    id.b[13] = (uint8_t)d->number;
    id.b[14] = (uint8_t)(number >> 8);
    id.b[15] = (uint8_t)number;
    return id;
}

static void group_line(const crowd_device *d, uint32_t number, buf *out)
{
    char id[FB_ID_TEXT_BYTES], user[FB_ID_TEXT_BYTES];
    fb_id row = row_id_of(d, number);
    id_put(&row, id);
    id_put(&d->user, user);
    buf_printf(out,
               "{\"k\":\"activity.log\",\"at\":\"1760000000000\",\"cv\":%u,\"ops\":[[\"+\","
               "\"activity\",[\"id\",\"type\",\"direction\",\"user_id\",\"subject\",\"at\"],[[\"%"
               "s\",\"call\","
               "\"out\",\"%s\",\"device %u says %u\",\"1760000000000\"]]]]}",
               d->next.catalog_version, id, user, d->number, number);
}

/* Chain hash of the device's group `upto`. */
static digest chain_of(const crowd_device *d, uint32_t upto)
{
    digest chain;
    buf line;
    buf_init(&line, LINE_BYTES);
    digest_of(d->next.incarnation.b, sizeof d->next.incarnation.b, &chain);
    for (uint32_t g = 1; g <= upto; g++) {
        buf_reset(&line);
        group_line(d, g, &line);
        digest before = chain;
        digest_chain(&before, line.data, line.size, &chain);
    }
    buf_clear(&line);
    return chain;
}

/* The body, packed, in shop.packed; the header in shop.authorization. */
static void request_make(const crowd_device *d)
{
    sync_request q = d->next;
    char id[FB_ID_TEXT_BYTES];
    shop_open();
    q.token = text_of(d->token);
    q.wall_ms = wall_ms();
    q.last = d->groups;
    q.groups_count = d->groups - (uint32_t)q.acked;
    q.first = q.groups_count > 0 ? q.acked + 1 : 0;
    q.chain_before = chain_of(d, (uint32_t)q.acked);
    buf_reset(&shop.body);
    buf_reset(&shop.packed);
    buf_reset(&shop.authorization);
    sync_request_put(&shop.body, &q);
    for (uint32_t g = (uint32_t)q.acked + 1; g <= d->groups; g++) {
        group_line(d, g, &shop.body);
        buf_put_char(&shop.body, '\n');
    }
    sync_end_put(&shop.body);
    must(packer_put(shop.packer, &shop.packed, buf_text(&shop.body)), NULL, "a request");
    id_put(&d->next.device, id);
    buf_printf(&shop.authorization, "Fieldbook %s:", id);
    hex_put(&shop.authorization, d->secret, sizeof d->secret);
}

void crowd_ask(const crowd_device *d, buf *out)
{
    request_make(d);
    http_put(out, &(fb_link_request){.method = "POST",
                                     .path = "/v1/sync",
                                     .content_type = "application/x-fieldbook",
                                     .content_encoding = "zstd",
                                     .authorization = buf_cstr(&shop.authorization),
                                     .body = buf_text(&shop.packed)});
}

/* ---- what it hears ---- */

static bool page_take(crowd_device *d, fb_text body)
{
    line_reader lines;
    fb_text line;
    sync_reply head;
    int64_t told = d->next.acked;
    bool complete = false;
    arena_reset(shop.memory);
    line_reader_init(&lines, body);
    if (!line_next(&lines, &line)) {
        bench_die("an answer without a line");
    }
    must(sync_reply_get(line, shop.memory, &head), NULL, "an answer");
    while (line_next(&lines, &line)) {
        reply_item item;
        must(reply_item_get(line, shop.memory, &item), NULL, "an answer");
        if (item.line == LINE_VERDICT) {
            bench_die("a group was not applied as sent: %.*s", (int)line.size, line.data);
        }
        told = item.line == LINE_RUN ? item.run_to : told;
        if (item.line == LINE_PAGE) {
            snprintf(d->token, sizeof d->token, "%.*s", (int)item.page.token.size,
                     item.page.token.data);
            complete = item.page.complete;
            break;
        }
    }
    if (told != head.applied) {
        bench_die("%lld groups are applied, %lld were answered", (long long)head.applied,
                  (long long)told);
    }
    d->next.acked = d->next.settled = head.applied;
    return complete;
}

crowd_state crowd_take(crowd_device *d, const fb_link_response *r, uint32_t *retry_ms_out)
{
    fb_text body = r->body;
    shop_open();
    if (r->zstd) {
        buf_reset(&shop.plain);
        must(packer_get(shop.packer, &shop.plain, body, PAGE_BYTES_MAX), NULL, "an answer");
        body = buf_text(&shop.plain);
    }
    if (r->status == 503 || r->status == 429) {
        error_msg m = {.code = FB_OK};
        arena_reset(shop.memory);
        must(error_msg_get(body, shop.memory, &m), NULL, "a refusal");
        *retry_ms_out = m.retry_ms;
        return CROWD_SENT_AWAY;
    }
    if (r->status != 200) {
        bench_die("the server answered %d: %.*s", r->status,
                  (int)(body.size < 200 ? body.size : 200), body.data);
    }
    bool complete = page_take(d, body);
    return complete && d->next.acked == d->groups ? CROWD_THROUGH : CROWD_AGAIN;
}

/* ---- how they come to be ---- */

typedef struct making {
    store *db;
    arena *memory;
    id_maker ids;
    fb_id rep, unit;
    change changes[2 * PEOPLE_AT_ONCE];
    uint32_t count;
} making;

static fb_id id_by_code(making *m, const char *entity, const char *code)
{
    const cat_entity *e = catalog_entity_str(store_catalog(m->db), entity);
    fb_value values[CATALOG_COLUMNS_LIMIT], equal = gen_str(code);
    must(store_row_by(m->db, e, cat_column_str(e, "code"), &equal, m->memory, values), NULL, code);
    return values[0].u.id;
}

static fb_value *row_add(making *m, const char *entity, const cat_entity **e_out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(m->db), entity);
    fb_id id = id_make(&m->ids, wall_ms());
    fb_value *row = fill_row(e, &id, m->memory);
    if (row == NULL) {
        bench_die("out of memory");
    }
    m->changes[m->count++] = (change){.kind = CHANGE_INSERT,
                                      .entity = e,
                                      .id = id,
                                      .values = row,
                                      .columns_count = e->columns_count};
    *e_out = e;
    return row;
}

static void person_add(making *m, crowd_device *d)
{
    const cat_entity *e = NULL;
    char code[16];
    snprintf(code, sizeof code, "S%05u", d->number);
    fb_text text = arena_text(m->memory, text_of(code));
    fb_value *row = row_add(m, "app_user", &e);
    fill_text(e, row, "code", text);
    fill_text(e, row, "login", text);
    fill_text(e, row, "name", text);
    fill_id(e, row, "org_unit_id", &m->unit);
    fill_str(e, row, "status", "active");
    d->user = row[0].u.id;
    row = row_add(m, "user_role", &e);
    fill_id(e, row, "user_id", &d->user);
    fill_id(e, row, "role_id", &m->rep);
}

static void people_commit(making *m)
{
    int64_t cid = 0;
    const commit_source from = {.at_ms = wall_ms(), .kind = text_of("import")};
    must(ledger_commit(m->db, &from, m->changes, m->count, &cid), NULL, "people");
    m->count = 0;
}

static void device_enrol(making *m, crowd_device *d, const fb_id *epoch)
{
    const fb_port *port = fb_port_posix();
    const door_enrolment how = {.now_ms = wall_ms(), .port = port, .epoch = *epoch};
    enrol_reply reply;
    buf code;
    buf_init(&code, 256);
    must(door_code_make(m->db, &d->user, how.now_ms, CODE_VALID_MS, port, &code), NULL, "a code");
    enrol_request q = {.protocol = PROTOCOL_VERSION,
                       .code = buf_text(&code),
                       .platform = text_of("linux"),
                       .app_version = text_of("1"),
                       .name = text_of("storm")};
    must(port->random(port->ctx, d->secret, sizeof d->secret), NULL, "random");
    memcpy(q.token.b, d->secret, sizeof d->secret);
    must(door_enrol(m->db, &how, &q, m->memory, &reply), NULL, "enrolment");
    d->next = (sync_request){.protocol = PROTOCOL_VERSION, .device = reply.device, .epoch = *epoch};
    must(port->random(port->ctx, d->next.incarnation.b, sizeof d->next.incarnation.b), NULL,
         "random");
    d->next.catalog_version = store_catalog(m->db)->version;
    buf_clear(&code);
}

static fb_id epoch_of(store *db)
{
    fb_id epoch;
    buf value;
    buf_init(&value, 64);
    must(store_meta_get(db, "epoch", &value), NULL, "epoch");
    memcpy(epoch.b, value.data, sizeof epoch.b);
    buf_clear(&value);
    return epoch;
}

static void people_make(crowd *c, const char *path)
{
    static making m;
    fb_error err = {0};
    uint8_t random[8] = {1};
    m = (making){.memory = arena_new(256 << 20)};
    must(store_open(&(store_options){.path = path}, &m.db, &err), &err, path);
    id_maker_init(&m.ids, random);
    m.rep = id_by_code(&m, "role", "REP");
    m.unit = id_by_code(&m, "org_unit", "BE");
    fb_id epoch = epoch_of(m.db);
    for (uint32_t from = 0; from < c->count; from += PEOPLE_AT_ONCE) {
        uint32_t to = from + PEOPLE_AT_ONCE < c->count ? from + PEOPLE_AT_ONCE : c->count;
        must(store_begin(m.db), NULL, "begin");
        for (uint32_t i = from; i < to; i++) {
            c->d[i].number = i;
            person_add(&m, &c->d[i]);
        }
        people_commit(&m);
        for (uint32_t i = from; i < to; i++) {
            device_enrol(&m, &c->d[i], &epoch);
            c->d[i].groups = 0;
        }
        must(store_commit(m.db), NULL, "commit");
        arena_reset(m.memory);
    }
    arena_free(m.memory);
    store_close(m.db);
}

/* Yesterday's sync: the whole download, so that today's is small. */
static void device_sync(server *s, server_reader *reader, crowd_device *d)
{
    uint32_t retry_ms = 0;
    for (crowd_state state = CROWD_AGAIN; state == CROWD_AGAIN;) {
        request_make(d);
        server_request q = {.method = text_of("POST"),
                            .path = text_of("/v1/sync"),
                            .authorization = buf_text(&shop.authorization),
                            .content_type = text_of("application/x-fieldbook"),
                            .content_encoding = text_of("zstd"),
                            .peer = text_of("crowd"),
                            .body = buf_text(&shop.packed)};
        server_job *job = server_handle(s, reader, &q);
        const server_reply *r = server_job_reply(job);
        fb_link_response answer = {.status = r->status, .zstd = r->zstd, .body = r->body};
        state = crowd_take(d, &answer, &retry_ms);
        server_job_free(job);
    }
}

static void all_sync(crowd *c, const char *path, uint32_t groups)
{
    server *s = NULL;
    server_reader *reader = NULL;
    fb_error err = {0};
    must(server_open(&(server_options){.path = path, .port = fb_port_posix(), .cache_kib = 65536},
                     &s, &err),
         &err, path);
    must(server_reader_open(s, &reader, &err), &err, path);
    for (uint32_t i = 0; i < c->count; i++) {
        device_sync(s, reader, &c->d[i]);
        c->d[i].groups = groups;
    }
    server_reader_close(reader);
    server_close(s);
}

crowd *crowd_make(const char *home, uint32_t count, uint32_t groups)
{
    char path[PATH_BYTES];
    crowd *c = calloc(1, sizeof *c);
    if (c == NULL || (c->d = calloc(count, sizeof *c->d)) == NULL) {
        bench_die("out of memory");
    }
    c->count = count;
    path_of(path, "%s/master.db", home);
    people_make(c, path);
    all_sync(c, path, groups);
    return c;
}

void crowd_free(crowd *c)
{
    free(c->d);
    free(c);
}

const crowd_device *crowd_device_of(const crowd *c, uint32_t number)
{
    return &c->d[number];
}

int64_t crowd_rows(const char *home, bool distinct)
{
    char path[PATH_BYTES];
    sql_db *db = NULL;
    fb_error err = {0};
    bool row = false;
    path_of(path, "%s/master.db", home);
    must(sql_open(path, &(sql_options){.busy_timeout_ms = 10000}, &db, &err), &err, path);
    sql_stmt *q = sql_prepare(db, distinct ? "SELECT count(DISTINCT subject) FROM activity"
                                           : "SELECT count(*) FROM activity");
    must(sql_step(q, &row), NULL, "rows");
    int64_t count = sql_int(q, 0);
    sql_reset(q);
    sql_close(db);
    return count;
}
