/* server_fixture.h - for test_store.c, test_ledger.c, test_feed.c: a small catalogue that has every
 * kind of scope, a database of it in a folder of its own, and commits written row by row.
 *
 * `raw` is a plain SQLite connection: the oracle reads the tables through it, with SQL that shares
 * nothing with the rooms under test. */
#ifndef FB_TESTS_UNIT_SERVER_FIXTURE_H
#define FB_TESTS_UNIT_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "support/each_site.h"
#include "sync-server/feed/feed.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/store.h"

/* After our own headers, because it makes `fail` a macro. */
#include <cmocka.h>
#include <sqlite3.h>

/* Written with ' for ", so that it can be read. */
/* clang-format off */
#define LABEL "'label':{'en':'x','zh':'名'}"
#define ENTITY(name, class, scope, columns) \
    "{'name':'" name "'," LABEL ",'class':'" class "','scope':[" scope "],'columns':[" columns "]," \
    "'grants':{'REP':'cruda'}}"
#define TEXT(name) "{'name':'" name "'," LABEL ",'type':'text','max':200}"
#define SECRET(name) "{'name':'" name "'," LABEL ",'type':'text','max':200,'personal':true}"
#define NUMBER(name, type) "{'name':'" name "'," LABEL ",'type':'" type "'}"
#define REF(name, to) "{'name':'" name "'," LABEL ",'type':'ref','to':'" to "'}"
#define BY(kind, column) "{'by':'" kind "','column':'" column "'}"

static const char SMALL_CATALOG[] =
    "{'version':1,'modules':[{'module':'org','entities':["
    ENTITY("org_unit", "reference", "{'by':'global'}", TEXT("name") "," REF("parent_id", "org_unit")) ","
    ENTITY("territory", "reference", "{'by':'global'}",
           TEXT("name") "," REF("parent_id", "territory") "," REF("org_unit_id", "org_unit")) ","
    ENTITY("app_user", "reference", BY("region", "org_unit_id") "," BY("user", "id"),
           SECRET("name") "," REF("org_unit_id", "org_unit")) ","
    ENTITY("role", "reference", "{'by':'global'}",
           TEXT("data_scope") "," NUMBER("active", "bool")) ","
    ENTITY("user_role", "reference", BY("user", "user_id"),
           REF("user_id", "app_user") "," REF("role_id", "role") ","
           NUMBER("valid_from", "date") "," NUMBER("valid_to", "date")) ","
    ENTITY("user_territory", "reference", BY("user", "user_id"),
           REF("user_id", "app_user") "," REF("territory_id", "territory") ","
           NUMBER("valid_from", "date") "," NUMBER("valid_to", "date"))
    "]},{'module':'shop','entities':["
    ENTITY("customer", "shared", BY("territory", "territory_id") ",{'by':'assignment'}," BY("user", "owner_id"),
           TEXT("name") "," SECRET("phone") "," REF("territory_id", "territory") ","
           REF("owner_id", "app_user")) ","
    ENTITY("customer_assignment", "shared", BY("parent", "customer_id"),
           REF("customer_id", "customer") "," REF("territory_id", "territory") ","
           REF("user_id", "app_user") "," NUMBER("from_at", "instant") "," NUMBER("to_at", "instant")) ","
    ENTITY("visit", "shared", BY("parent", "customer_id"),
           REF("customer_id", "customer") "," TEXT("text")) ","
    ENTITY("note", "shared", BY("parent", "visit_id"), REF("visit_id", "visit") "," TEXT("text")) ","
    ENTITY("task", "shared", BY("user", "user_id") "," BY("parent", "customer_id"),
           REF("user_id", "app_user") "," REF("customer_id", "customer") "," TEXT("text")) ","
    ENTITY("product", "reference", "{'by':'global'}", TEXT("name") "," NUMBER("price", "price")) ","
    ENTITY("secret", "reference", "{'by':'none'}", TEXT("name"))
    "]}]}";
/* clang-format on */

/* Every row with the scopes it must be in now (kind and ref of fs_scope), by SQL alone. Assignments
 * count from from_at on, until before to_at, at the scope clock. */
#define ACTIVE                                                    \
    " (a.from_at IS NULL OR a.from_at <= (SELECT ms FROM clock))" \
    " AND (a.to_at IS NULL OR a.to_at > (SELECT ms FROM clock))"

static const char *const ORACLE_VIEWS[] = {
    "CREATE TEMP VIEW clock AS SELECT ifnull((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM "
    "fs_meta"
    " WHERE key = 'scope_clock_ms'), 0) AS ms",
    "CREATE TEMP VIEW customer_scope AS"
    " SELECT id, 2 AS kind, territory_id AS ref FROM customer WHERE territory_id IS NOT NULL"
    " UNION SELECT id, 4, owner_id FROM customer WHERE owner_id IS NOT NULL"
    " UNION SELECT c.id, 2, a.territory_id FROM customer_assignment a JOIN customer c ON c.id = "
    "a.customer_id"
    " WHERE a.territory_id IS NOT NULL AND" ACTIVE
    " UNION SELECT c.id, 4, a.user_id FROM customer_assignment a JOIN customer c ON c.id = "
    "a.customer_id"
    " WHERE a.user_id IS NOT NULL AND" ACTIVE,
    "CREATE TEMP VIEW row_scope AS"
    " SELECT 'org_unit' AS entity, id, ver, 1 AS kind, x'' AS ref FROM org_unit"
    " UNION SELECT 'territory', id, ver, 1, x'' FROM territory"
    " UNION SELECT 'role', id, ver, 1, x'' FROM role"
    " UNION SELECT 'product', id, ver, 1, x'' FROM product"
    " UNION SELECT 'app_user', id, ver, 3, org_unit_id FROM app_user WHERE org_unit_id IS NOT NULL"
    " UNION SELECT 'app_user', id, ver, 4, id FROM app_user"
    " UNION SELECT 'user_role', id, ver, 4, user_id FROM user_role WHERE user_id IS NOT NULL"
    " UNION SELECT 'user_territory', id, ver, 4, user_id FROM user_territory WHERE user_id IS NOT "
    "NULL"
    " UNION SELECT 'customer', r.id, r.ver, s.kind, s.ref FROM customer r JOIN customer_scope s ON "
    "s.id = r.id"
    " UNION SELECT 'customer_assignment', r.id, r.ver, s.kind, s.ref FROM customer_assignment r"
    "  JOIN customer_scope s ON s.id = r.customer_id"
    " UNION SELECT 'visit', r.id, r.ver, s.kind, s.ref FROM visit r JOIN customer_scope s ON s.id "
    "= r.customer_id"
    " UNION SELECT 'note', r.id, r.ver, s.kind, s.ref FROM note r JOIN visit v ON v.id = r.visit_id"
    "  JOIN customer_scope s ON s.id = v.customer_id"
    " UNION SELECT 'task', id, ver, 4, user_id FROM task WHERE user_id IS NOT NULL"
    " UNION SELECT 'task', r.id, r.ver, s.kind, s.ref FROM task r JOIN customer_scope s ON s.id = "
    "r.customer_id",
    /* STO-2 both ways: an entry that should be there and is not, or the reverse. */
    "CREATE TEMP VIEW feed_wrong AS"
    " SELECT 'missing' AS what, r.entity, r.id FROM row_scope r WHERE NOT EXISTS (SELECT 1 FROM "
    "fs_feed f"
    "  JOIN fs_scope s ON s.scope = f.scope JOIN fs_entity e ON e.number = f.entity"
    "  WHERE s.kind = r.kind AND s.ref = r.ref AND f.id = r.id AND e.name = r.entity"
    "  AND (f.pos = r.ver AND f.kind = 0 OR f.pos > r.ver AND f.kind = 3))"
    " UNION ALL SELECT 'stray', e.name, f.id FROM fs_feed f JOIN fs_scope s ON s.scope = f.scope"
    "  JOIN fs_entity e ON e.number = f.entity WHERE f.kind IN (0, 3) AND NOT EXISTS (SELECT 1 "
    "FROM "
    "row_scope r"
    "  WHERE s.kind = r.kind AND s.ref = r.ref AND f.id = r.id AND e.name = r.entity"
    "  AND (f.pos = r.ver AND f.kind = 0 OR f.pos > r.ver AND f.kind = 3))"
    " UNION ALL SELECT 'twice', f.entity, f.id FROM fs_feed f GROUP BY f.scope, f.entity, f.id "
    "HAVING count(*) > 1",
};

enum { BATCH_CHANGES_MAX = 64, FIXTURE_BYTES_MAX = 64 << 20 };

typedef struct fixture {
    char folder[64], path[96];
    store *writer, *reader;
    sqlite3 *raw;
    arena *memory;
    int64_t now_ms;
    /* The commit being put together. */
    change changes[BATCH_CHANGES_MAX];
    uint32_t count;
} fixture;

static inline fb_text quoted(arena *memory, const char *text)
{
    char *made = arena_str(memory, text);
    assert_non_null(made);
    for (char *at = made; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return text_of(made);
}

static inline void ok(fb_code code)
{
    if (code != FB_OK) {
        print_error("unexpected %s\n", fb_code_name(code));
    }
    assert_int_equal(code, FB_OK);
}

static inline void ok_with(fb_code code, const fb_error *err)
{
    if (code != FB_OK) {
        print_error("%s: %s\n", err->field, err->message);
    }
    ok(code);
}

static inline void raw_run(fixture *f, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(f->raw, sql, NULL, NULL, &why) != SQLITE_OK) {
        print_error("%s\n%s\n", why, sql);
        fail();
    }
}

static inline int64_t raw_int(fixture *f, const char *sql)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(f->raw, sql, -1, &q, NULL) != SQLITE_OK) {
        print_error("%s\n%s\n", sqlite3_errmsg(f->raw), sql);
        fail();
    }
    int64_t value = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    return value;
}

/* An id whose text shows what it is: kind and number. */
static inline fb_id id_no(uint8_t kind, uint32_t n)
{
    fb_id id = {{kind, 1}};
    id.b[12] = (uint8_t)(n >> 24);
    id.b[13] = (uint8_t)(n >> 16);
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static inline void fixture_files(fixture *f)
{
    memset(f, 0, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/fb-unit-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/master.db", f->folder);
    f->memory = arena_new(FIXTURE_BYTES_MAX);
    assert_non_null(f->memory);
    f->now_ms = 1700000000000;
}

/* A new database with this catalogue, a writer, a reader, and the oracle's connection. */
static inline void fixture_open(fixture *f, fb_text catalog_text)
{
    fb_error err = {0};
    store_options o = {.create = true};
    fixture_files(f);
    o.path = f->path;
    ok_with(store_open(&o, &f->writer, &err), &err);
    ok(store_begin(f->writer));
    ok_with(store_catalog_install(f->writer, catalog_text, &err), &err);
    ok(store_commit(f->writer));
    o.create = false;
    o.read_only = true;
    ok_with(store_open(&o, &f->reader, &err), &err);
    assert_int_equal(sqlite3_open_v2(f->path, &f->raw, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(f->raw, 5000);
}

static inline void fixture_small(fixture *f)
{
    arena *memory = arena_new(1 << 20);
    fixture_open(f, quoted(memory, SMALL_CATALOG));
    arena_free(memory);
    for (size_t i = 0; i < sizeof ORACLE_VIEWS / sizeof ORACLE_VIEWS[0]; i++) {
        raw_run(f, ORACLE_VIEWS[i]);
    }
}

static inline void fixture_close(fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".copy", ".copy-wal", ".copy-shm"};
    char path[128];
    store_close(f->reader);
    store_close(f->writer);
    sqlite3_close(f->raw);
    arena_free(f->memory);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
        unlink(path);
    }
    rmdir(f->folder);
}

/* ---- commits ---- */

static inline const cat_entity *entity_of(fixture *f, const char *name)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f->writer), name);
    assert_non_null(e);
    return e;
}

static inline fb_value null_value(void)
{
    return (fb_value){.kind = FB_KIND_NULL};
}

static inline fb_value int_value(int64_t v)
{
    return (fb_value){.kind = FB_KIND_INT, .u.i = v};
}

static inline fb_value id_value(fb_id id)
{
    return (fb_value){.kind = FB_KIND_ID, .u.id = id};
}

static inline fb_value text_value(fixture *f, const char *text)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(arena_str(f->memory, text))};
}

/* Start putting a commit together; what was not committed is forgotten. */
static inline void batch_begin(fixture *f)
{
    f->count = 0;
}

static inline change *batch_add(fixture *f, change_kind kind, const char *entity, fb_id id)
{
    assert_true(f->count < BATCH_CHANGES_MAX);
    change *c = &f->changes[f->count++];
    *c = (change){.kind = kind, .entity = entity_of(f, entity), .id = id};
    return c;
}

/* Set one column of the change added last. Values in an INSERT start as NULL. */
static inline void batch_set(fixture *f, const char *column, fb_value v)
{
    change *c = &f->changes[f->count - 1];
    int at = cat_column_str(c->entity, column);
    assert_true(at > 0);
    if (c->kind == CHANGE_INSERT) {
        ((fb_value *)(uintptr_t)c->values)[at] = v;
        return;
    }
    ((int *)(uintptr_t)c->columns)[c->columns_count] = at;
    ((fb_value *)(uintptr_t)c->values)[c->columns_count++] = v;
}

static inline void batch_insert(fixture *f, const char *entity, fb_id id)
{
    change *c = batch_add(f, CHANGE_INSERT, entity, id);
    fb_value *values = arena_take(f->memory, c->entity->columns_count * sizeof *values);
    assert_non_null(values);
    values[0] = id_value(id);
    c->values = values;
    c->columns_count = c->entity->columns_count;
}

static inline const fb_value *row_before(fixture *f, const cat_entity *e, fb_id id)
{
    fb_value *values = arena_take(f->memory, e->columns_count * sizeof *values);
    assert_non_null(values);
    ok(store_row_get(f->writer, e, &id, f->memory, values));
    return values;
}

static inline void batch_update(fixture *f, const char *entity, fb_id id)
{
    change *c = batch_add(f, CHANGE_UPDATE, entity, id);
    c->columns = arena_take(f->memory, c->entity->columns_count * sizeof(int));
    c->values = arena_take(f->memory, c->entity->columns_count * sizeof(fb_value));
    c->before = row_before(f, c->entity, id);
}

static inline void batch_delete(fixture *f, const char *entity, fb_id id)
{
    change *c = batch_add(f, CHANGE_DELETE, entity, id);
    c->before = row_before(f, c->entity, id);
}

/* A commit that is undone. */
static inline fb_code commit_try(void *ctx)
{
    fixture *f = ctx;
    commit_source from = {.at_ms = f->now_ms, .kind = text_of("test")};
    int64_t cid = 0;
    FB_TRY(store_begin(f->writer));
    fb_code rc = ledger_commit(f->writer, &from, f->changes, f->count, &cid);
    store_rollback(f->writer);
    return rc;
}

/* Commit what was put together, from the server itself; a transaction of its own. */
static inline int64_t batch_commit(fixture *f)
{
    commit_source from = {.at_ms = f->now_ms, .kind = text_of("test")};
    int64_t cid = 0;
#ifdef FB_EACH_SITE
    each_site_fails(&(each_site){commit_try, NULL, f});
#endif
    ok(store_begin(f->writer));
    ok(ledger_commit(f->writer, &from, f->changes, f->count, &cid));
    ok(store_commit(f->writer));
    f->count = 0;
    return cid;
}

/* Every feed entry is where the tables say it must be (LED-3, STO-2). */
static inline void assert_feed_right(fixture *f)
{
    int64_t wrong = raw_int(f, "SELECT count(*) FROM feed_wrong");
    if (wrong != 0) {
        sqlite3_stmt *q = NULL;
        sqlite3_prepare_v2(f->raw, "SELECT what || ' ' || entity || ' ' || hex(id) FROM feed_wrong",
                           -1, &q, NULL);
        while (sqlite3_step(q) == SQLITE_ROW) {
            print_error("%s\n", (const char *)sqlite3_column_text(q, 0));
        }
        sqlite3_finalize(q);
    }
    assert_int_equal(wrong, 0);
    fb_error err = {.code = FB_OK};
    ok(store_snapshot(f->reader)); /* CLS-1 */
    if (feed_digest_check(f->reader, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    store_snapshot_end(f->reader);
}

/* Ids of the company: U1.. users, T1.. territories, O1.. org units, C1.. customers. */
#define UNIT(n) id_no(0x01, n)
#define TERRITORY(n) id_no(0x02, n)
#define USER(n) id_no(0x03, n)
#define ROLE(n) id_no(0x04, n)
#define USER_ROLE(n) id_no(0x05, n)
#define USER_TERRITORY(n) id_no(0x06, n)
#define CUSTOMER(n) id_no(0x10, n)
#define ASSIGNMENT(n) id_no(0x11, n)
#define VISIT(n) id_no(0x12, n)
#define NOTE(n) id_no(0x13, n)
#define TASK(n) id_no(0x14, n)
#define PRODUCT(n) id_no(0x15, n)
#define DEVICE(n) id_no(0x20, n)
#define INCARNATION(n) id_no(0x21, n)

static inline void put_customer(fixture *f, uint32_t n, uint32_t territory, uint32_t owner)
{
    batch_insert(f, "customer", CUSTOMER(n));
    batch_set(f, "name", text_value(f, "shop"));
    batch_set(f, "phone", text_value(f, "+8613900000000"));
    batch_set(f, "territory_id", territory == 0 ? null_value() : id_value(TERRITORY(territory)));
    batch_set(f, "owner_id", owner == 0 ? null_value() : id_value(USER(owner)));
}

static inline void put_visit(fixture *f, uint32_t n, uint32_t customer)
{
    batch_insert(f, "visit", VISIT(n));
    batch_set(f, "customer_id", id_value(CUSTOMER(customer)));
    batch_set(f, "text", text_value(f, "was there"));
}

static inline void put_note(fixture *f, uint32_t n, uint32_t visit)
{
    batch_insert(f, "note", NOTE(n));
    batch_set(f, "visit_id", id_value(VISIT(visit)));
    batch_set(f, "text", text_value(f, "said hello"));
}

/* Times 0: NULL. */
static inline void put_assignment(fixture *f, uint32_t n, uint32_t customer, uint32_t territory,
                                  uint32_t user, int64_t from_ms, int64_t to_ms)
{
    batch_insert(f, "customer_assignment", ASSIGNMENT(n));
    batch_set(f, "customer_id", id_value(CUSTOMER(customer)));
    batch_set(f, "territory_id", territory == 0 ? null_value() : id_value(TERRITORY(territory)));
    batch_set(f, "user_id", user == 0 ? null_value() : id_value(USER(user)));
    batch_set(f, "from_at", from_ms == 0 ? null_value() : int_value(from_ms));
    batch_set(f, "to_at", to_ms == 0 ? null_value() : int_value(to_ms));
}

static inline void put_user(fixture *f, uint32_t n, uint32_t unit)
{
    batch_insert(f, "app_user", USER(n));
    batch_set(f, "name", text_value(f, "somebody"));
    batch_set(f, "org_unit_id", unit == 0 ? null_value() : id_value(UNIT(unit)));
}

static inline void put_territory(fixture *f, uint32_t n, uint32_t parent, uint32_t unit)
{
    batch_insert(f, "territory", TERRITORY(n));
    batch_set(f, "parent_id", parent == 0 ? null_value() : id_value(TERRITORY(parent)));
    batch_set(f, "org_unit_id", unit == 0 ? null_value() : id_value(UNIT(unit)));
}

static inline void put_unit(fixture *f, uint32_t n, uint32_t parent)
{
    batch_insert(f, "org_unit", UNIT(n));
    batch_set(f, "parent_id", parent == 0 ? null_value() : id_value(UNIT(parent)));
}

static inline void put_user_territory(fixture *f, uint32_t n, uint32_t user, uint32_t territory)
{
    batch_insert(f, "user_territory", USER_TERRITORY(n));
    batch_set(f, "user_id", id_value(USER(user)));
    batch_set(f, "territory_id", id_value(TERRITORY(territory)));
}

static inline void put_role(fixture *f, uint32_t n, const char *data_scope)
{
    batch_insert(f, "role", ROLE(n));
    batch_set(f, "data_scope", text_value(f, data_scope));
    batch_set(f, "active", int_value(1));
}

static inline void put_user_role(fixture *f, uint32_t n, uint32_t user, uint32_t role)
{
    batch_insert(f, "user_role", USER_ROLE(n));
    batch_set(f, "user_id", id_value(USER(user)));
    batch_set(f, "role_id", id_value(ROLE(role)));
}

/* A device of a user as the door would have made it. */
static inline void put_device(fixture *f, uint32_t n, uint32_t user)
{
    char sql[512];
    char device[33], incarnation[33], owner[33];
    const fb_id ids[3] = {DEVICE(n), INCARNATION(n), USER(user)};
    char *const texts[3] = {device, incarnation, owner};
    for (int i = 0; i < 3; i++) {
        for (int b = 0; b < 16; b++) {
            snprintf(texts[i] + 2 * b, 3, "%02X", ids[i].b[b]);
        }
    }
    snprintf(sql, sizeof sql,
             "INSERT INTO fs_incarnation (device, incarnation, user_id, chain)"
             " VALUES (x'%s', x'%s', x'%s', zeroblob(32))",
             device, incarnation, owner);
    raw_run(f, sql);
}

#endif
