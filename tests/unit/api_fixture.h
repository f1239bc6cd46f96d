/* api_fixture.h - a replica of one rep beside a server made of a few lines: what the tests of
 * core/api and core/sync share. The server answers every group with `ok` unless told otherwise, and
 * sends the rows that were put into its page. */
#ifndef FB_TESTS_UNIT_API_FIXTURE_H
#define FB_TESTS_UNIT_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h" /* before cmocka, whose macro fail() hides our function */

#include <cmocka.h>

#include "base/id.h"
#include "catalog/catalog.h"
#include "fieldbook/fieldbook.h"
#include "wire/enrol_msg.h"
#include "wire/pack.h"
#include "wire/sync_msg.h"

#define NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define TEXT(literal) ((fb_text){(literal), sizeof(literal) - 1})

typedef struct world {
    char folder[64], path[96];
    fb_port port;
    int64_t wall_ms;
    uint64_t mono_ms;
    uint64_t random;
    fb_db *db;
    fb_link link;
    fb_error err;
    /* the server */
    catalog *cat;
    arena *memory;
    id_maker ids;
    buf page, reply, last_request;
    int64_t cid, applied;
    fb_id device, user, epoch, territory;
    fb_code fail_with; /* the next exchange fails so */
    int status;        /* not 200: the next answer is an error with this code */
    fb_code error_code;
    uint32_t error_retry_ms;
    fb_code reject_with; /* groups are rejected with this code */
    const char *reject_field;
    bool mute;       /* no verdicts */
    bool backs_up;   /* whatever is answered is in a backup */
    bool incomplete; /* the next page is not the last one */
    int exchanges, groups_seen;
    digest token;
} world;

static inline uint64_t world_mono(void *ctx)
{
    return ((world *)ctx)->mono_ms++;
}

static inline int64_t world_wall(void *ctx)
{
    return ((world *)ctx)->wall_ms;
}

static inline fb_code world_random(void *ctx, void *out, size_t size)
{
    world *w = ctx;
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        w->random = w->random * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(w->random >> 56);
    }
    return FB_OK;
}

static inline void world_enrol_reply(world *w, fb_text body)
{
    enrol_request m;
    assert_int_equal(enrol_request_get(body, w->memory, &m), FB_OK);
    w->token = m.token;
    enrol_reply r = {.device = w->device,
                     .device_code = TEXT("A1"),
                     .user = w->user,
                     .user_code = TEXT("E1"),
                     .user_name = TEXT("Anna"),
                     .epoch = w->epoch,
                     .server_wall_ms = w->wall_ms};
    enrol_reply_put(&w->reply, &r);
}

static inline void world_verdict(world *w, int64_t gseq)
{
    if (w->reject_with == FB_OK) {
        w->cid++;
        verdict_run_put(&w->reply, gseq, gseq, w->cid);
        return;
    }
    verdict_msg v = {.gseq = gseq,
                     .code = VERDICT_REJECTED,
                     .error = w->reject_with,
                     .field = text_of(w->reject_field),
                     .text_en = TEXT("not like this"),
                     .text_zh = TEXT("不可以"),
                     .cure_en = TEXT("do it otherwise"),
                     .cure_zh = TEXT("请修改")};
    verdict_put(&w->reply, &v);
}

static inline void world_sync_reply(world *w, fb_text body)
{
    line_reader lines;
    fb_text line;
    sync_request m;
    line_reader_init(&lines, body);
    assert_true(line_next(&lines, &line));
    assert_int_equal(sync_request_get(line, w->memory, &m), FB_OK);
    if (m.first == 1) { /* a new incarnation begins at nothing */
        w->applied = 0;
    }
    int64_t last = m.first > 0 ? m.first + m.groups_count - 1 : 0;
    w->groups_seen += (int)m.groups_count;
    if (!w->mute && last > w->applied) {
        w->applied = last;
    }
    sync_reply r = {.protocol = 1,
                    .epoch = w->epoch,
                    .server_wall_ms = w->wall_ms,
                    .applied = w->applied,
                    .backed_up = w->backs_up ? w->applied : 0,
                    .head = w->cid};
    sync_reply_put(&w->reply, &r);
    for (int64_t g = m.first; m.first > 0 && !w->mute && g <= last; g++) {
        world_verdict(w, g);
    }
    page_head p = {.token = TEXT("s.1"), .complete = !w->incomplete, .reset = m.token.size == 0};
    w->incomplete = false;
    page_head_put(&w->reply, &p);
    buf_put_text(&w->reply, buf_text(&w->page));
    buf_reset(&w->page);
    sync_end_put(&w->reply);
}

static inline fb_code world_exchange(void *ctx, const fb_link_request *request,
                                     fb_link_response *response)
{
    world *w = ctx;
    fb_code failing = w->fail_with;
    w->exchanges++;
    w->fail_with = FB_OK;
    if (failing != FB_OK) {
        return failing;
    }
    buf_reset(&w->reply);
    buf_reset(&w->last_request);
    if (request->content_encoding != NULL) {
        assert_int_equal(pack_get(&w->last_request, request->body, 8 << 20), FB_OK);
    } else {
        buf_put_text(&w->last_request, request->body);
    }
    int status = w->status;
    w->status = 200;
    if (status != 200) {
        error_msg m = {.code = w->error_code, .text = TEXT("no"), .retry_ms = w->error_retry_ms};
        error_msg_put(&w->reply, &m);
    } else if (strcmp(request->path, "/v1/enrol") == 0) {
        world_enrol_reply(w, buf_text(&w->last_request));
    } else {
        world_sync_reply(w, buf_text(&w->last_request));
    }
    assert_int_equal(w->reply.code, FB_OK);
    *response = (fb_link_response){.status = status, .body = buf_text(&w->reply)};
    return FB_OK;
}

/* Put a row into the next page: pairs of column and text as a person writes it, ended by NULL. */
static inline fb_id world_row_id(world *w, const char *entity, const fb_id *id,
                                 const char *const *pairs)
{
    const cat_entity *e = catalog_entity_str(w->cat, entity);
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    int columns[CATALOG_COLUMNS_LIMIT];
    assert_non_null(e);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        columns[i] = (int)i;
        values[i] = e->columns[i].default_value;
    }
    for (; pairs[0] != NULL; pairs += 2) {
        int c = cat_column_str(e, pairs[0]);
        if (c < 0 || cat_value_parse(e, c, text_of(pairs[1]), true, &values[c], &w->err) != FB_OK) {
            fail_msg("%s.%s = %s: %s", entity, pairs[0], pairs[1], w->err.message);
        }
    }
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = *id};
    w->cid++;
    values[cat_ver_column(e)] = (fb_value){.kind = FB_KIND_INT, .u.i = w->cid << 20};
    block_head_put(&w->page, e, BLOCK_ROW, columns, e->columns_count);
    row_put(&w->page, e, columns, e->columns_count, values);
    assert_int_equal(w->page.code, FB_OK);
    return *id;
}

static inline fb_id world_row(world *w, const char *entity, const char *const *pairs)
{
    fb_id id = id_make(&w->ids, w->wall_ms);
    return world_row_id(w, entity, &id, pairs);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Text of an id, in one of a few rotating buffers. */
static inline const char *idt(const fb_id *id)
{
    static char texts[8][FB_ID_TEXT_BYTES];
    static int next;
    next = (next + 1) % 8;
    id_put(id, texts[next]);
    return texts[next];
}

static inline void world_check(world *w, fb_code rc)
{
    if (rc != FB_OK) {
        fail_msg("%s %s: %s", fb_code_name(rc), w->err.field, w->err.message);
    }
}

#define OK(call) world_check(w, (call))
/* The call fails so, err says the same and names the field. */
#define REFUSED(code_, field_, call)                                  \
    do {                                                              \
        assert_string_equal(fb_code_name(call), fb_code_name(code_)); \
        assert_int_equal(w->err.code, code_);                         \
        assert_string_equal(w->err.field, field_);                    \
        assert_true(w->err.message[0] != '\0');                       \
    } while (0)

static inline void world_sync(world *w)
{
    fb_sync *sync = NULL;
    fb_sync_report report;
    OK(fb_sync_open(w->db, NULL, &sync, &w->err));
    OK(fb_sync_step(sync, &w->link, 0, &report, &w->err));
    assert_true(report.complete);
    fb_sync_close(sync);
}

/* Closes and opens again: what is on the disk counts. */
static inline void world_reopen(world *w)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &w->port;
    fb_db_close(w->db);
    w->db = NULL;
    OK(fb_db_open(w->path, &o, &w->db, &w->err));
}

static inline void world_company(world *w)
{
    fb_id role = world_row(w, "role", PAIRS("code", "REP", "name", "Rep", "data_scope", "self"));
    world_row_id(w, "app_user", &w->user, PAIRS("code", "E1", "name", "Anna", "status", "active"));
    world_row(w, "user_role", PAIRS("user_id", idt(&w->user), "role_id", idt(&role)));
    world_row_id(w, "territory", &w->territory, PAIRS("code", "T1", "name", "North"));
    world_row(
        w, "user_territory",
        PAIRS("user_id", idt(&w->user), "territory_id", idt(&w->territory), "is_primary", "1"));
}

/* An enrolled replica with the rep's own rights, nothing else. */
static inline int world_setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    fb_enrol_options enrol = FB_ENROL_OPTIONS_INIT;
    uint8_t seed[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    *w = (world){.wall_ms = NOW_MS, .mono_ms = 1000, .random = 42, .status = 200};
    snprintf(w->folder, sizeof w->folder, "/tmp/fb_api_XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->path, sizeof w->path, "%s/rep.db", w->folder);
    w->port =
        (fb_port){.ctx = w, .mono_ms = world_mono, .wall_ms = world_wall, .random = world_random};
    w->link = (fb_link){.ctx = w, .exchange = world_exchange};
    w->memory = arena_new(64 << 20);
    id_maker_init(&w->ids, seed);
    buf_init(&w->page, 16 << 20);
    buf_init(&w->reply, 16 << 20);
    buf_init(&w->last_request, 16 << 20);
    OK(catalog_load(catalog_builtin_text(), &w->cat, &w->err));
    w->device = id_make(&w->ids, NOW_MS);
    w->user = id_make(&w->ids, NOW_MS);
    w->epoch = id_make(&w->ids, NOW_MS);
    w->territory = id_make(&w->ids, NOW_MS);
    world_reopen(w);
    enrol.server_url = "https://fieldbook.example";
    enrol.code = "ABCD";
    OK(fb_enrol(w->db, &w->link, &enrol, &w->err));
    world_company(w);
    world_sync(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    world *w = *state;
    char command[128];
    fb_db_close(w->db);
    catalog_free(w->cat);
    arena_free(w->memory);
    buf_clear(&w->page);
    buf_clear(&w->reply);
    buf_clear(&w->last_request);
    snprintf(command, sizeof command, "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

/* A customer with an address, a product with tax and a price list for everybody. */
typedef struct shop {
    fb_id customer, product, list, item, tax;
} shop;

static inline shop world_shop(world *w)
{
    shop s;
    s.customer =
        world_row(w, "customer",
                  PAIRS("code", "C1", "name", "北京大学 Shop", "name_key", "北京大学shop",
                        "name_py", "bjdxs", "party_type", "customer", "status", "active", "grade",
                        "A", "phone", "+861390001111", "territory_id", idt(&w->territory)));
    world_row(w, "customer_address",
              PAIRS("customer_id", idt(&s.customer), "kind", "visit", "lat_e7", "31.2304", "lon_e7",
                    "121.4737", "geofence_m", "200"));
    s.tax = world_row(w, "tax_code", PAIRS("code", "V13", "name", "13 %", "rate_bp", "13"));
    s.product = world_row(w, "product",
                          PAIRS("code", "P1", "name", "Tea", "base_uom", "EA", "tax_code_id",
                                idt(&s.tax), "status", "active"));
    world_row(w, "product_uom",
              PAIRS("product_id", idt(&s.product), "uom", "CT", "num", "12", "den", "1"));
    s.list = world_row(w, "price_list", PAIRS("code", "L1", "name", "List", "currency", "CNY"));
    s.item = world_row(w, "price_list_item",
                       PAIRS("price_list_id", idt(&s.list), "product_id", idt(&s.product), "uom",
                             "EA", "price_4dp", "14"));
    world_row(w, "price_assignment", PAIRS("target_kind", "global", "price_list_id", idt(&s.list)));
    world_sync(w);
    return s;
}

/* One integer of a query. */
static inline fb_code keep_first_int(void *ctx, const fb_row *row)
{
    *(int64_t *)ctx = row->values[0].kind == FB_KIND_INT ? row->values[0].u.i : -1;
    return FB_OK;
}

static inline int64_t count_of(world *w, const char *sql)
{
    int64_t n = -2;
    OK(fb_query(w->db, sql, NULL, keep_first_int, &n, &w->err));
    return n;
}

#endif
