/* test_erase.c - a person's data goes, from the server and from every phone, and does not come back
 * (D10): rows, what is kept of groups that were not applied, files, free pages, logs; work that
 * waits on phones; a server that was put back.
 *
 * The person's columns carry a text that stands nowhere else, and every file of a machine is
 * searched for it. Bodies are short, so that none of them is packed and hidden from the search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/erase/erase.h"
#include "sync-server/store/fill.h"
#include "sync-server/store/store_pack.h"

#include <cmocka.h>
#undef fail

#define CANARY "zq-canary-51be"
#define DAY_MS INT64_C(86400000)

static fleet f;
static fb_id shop, person, place;

typedef struct search {
    const char *machine;
    uint32_t files, hits;
    char where[160];
} search;

static void search_file(void *ctx, const char *file, const void *data, size_t size)
{
    search *s = ctx;
    const char *at = data, *end = at + size;
    if (strncmp(file, s->machine, strlen(s->machine)) != 0 || file[strlen(s->machine)] != '/') {
        return;
    }
    s->files++;
    while (size > 0 && (at = memmem(at, (size_t)(end - at), CANARY, strlen(CANARY))) != NULL) {
        s->hits++;
        snprintf(s->where, sizeof s->where, "%s at %zu", file, (size_t)(at - (const char *)data));
        at++;
    }
}

static uint32_t found(const char *machine)
{
    search s = {.machine = machine};
    crash_vfs_each(f.vfs, search_file, &s);
    assert_true(s.files > 0);
    if (s.hits > 0) {
        print_message("%u in %s, last %s\n", s.hits, machine, s.where);
    }
    return s.hits;
}

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    shop = company_add(&f.company, "customer",
                       PAIRS("code", "K1", "name", "Corner", "phone", "13800000000", "email",
                             CANARY "@x.cn", "territory_id", id_text(&f.territories[0])));
    person = company_add(&f.company, "contact",
                         PAIRS("customer_id", id_text(&shop), "name", CANARY " Wu", "hobby", CANARY,
                               "mobile", "13900000000"));
    place = company_add(
        &f.company, "customer_address",
        PAIRS("customer_id", id_text(&shop), "kind", "visit", "street", CANARY " road 7"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static erase_report erase(const char *entity, const fb_id *id)
{
    const erase_order o = {
        .entity = text_of(entity), .id = *id, .reason = text_of("request 7"), .at_ms = f.now_ms};
    erase_report r;
    fb_error err = {0};
    arena *memory = arena_new(64 << 20);
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(erase_person(f.admin, &o, memory, &r, &err), &err, "erase");
    fleet_must(store_commit(f.admin), NULL, "commit");
    fleet_must(erase_list_keep(f.admin, "server/master.db", "fleetfs", &err), &err, "list");
    fleet_must(store_compact("server/master.db", "fleetfs", &err), &err, "compact");
    arena_free(memory);
    server_tick(f.srv, (uint64_t)f.now_ms);
    return r;
}

/* Everything so far is inside a verified backup. */
static void backup(void)
{
    int64_t cid = 0;
    fleet_must(ledger_head(f.admin, &cid), NULL, "head");
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(store_meta_int_set(f.admin, "backed_up_cid", cid), NULL, "backed_up_cid");
    fleet_must(store_commit(f.admin), NULL, "commit");
    f.now_ms += 3600000; /* a device is looked at anew now and then only */
    server_tick(f.srv, (uint64_t)f.now_ms);
}

static fb_code say(fleet_device *d, const char *entity, const fb_id *id, const char *column,
                   const char *text)
{
    const fb_value value = {.kind = FB_KIND_TEXT, .u.text = text_of(text)};
    const fb_record_change c = {&column, &value, 1};
    fb_error err = {0};
    return fb_record_update(d->db, entity, id, &c, &err);
}

static fb_id contact_new(fleet_device *d, const fb_id *customer)
{
    static const char *const columns[] = {"customer_id", "name"};
    const fb_value values[] = {{.kind = FB_KIND_ID, .u.id = *customer},
                               {.kind = FB_KIND_TEXT, .u.text = text_of(CANARY " new")}};
    const fb_record_change c = {columns, values, 2};
    fb_error err = {0};
    fb_id id;
    fleet_must(fb_record_insert(d->db, "contact", &c, &id, &err), &err, "contact");
    return id;
}

static void row_at_server(const char *entity, const fb_id *id, arena *memory, fb_value *row)
{
    fleet_must(
        store_row_get(f.admin, catalog_entity_str(store_catalog(f.admin), entity), id, memory, row),
        NULL, entity);
}

static void erase__leaves_no_byte_at_the_server_and_on_the_phones(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *boss = fleet_device_add(&f, &f.manager);
    assert_true(found("server") > 0 && found("dev1") > 0 && found("dev2") > 0);
    erase_report r = erase("customer", &shop);
    assert_int_equal(r.rows, 3);
    assert_int_equal(found("server"), 0);
    fleet_sync(rep);
    fleet_sync(boss);
    assert_int_equal(found("dev1"), 0);
    assert_int_equal(found("dev2"), 0);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM contact WHERE name='*' AND mobile IS "
                                       "NULL AND mobile_key IS NULL AND name_key IS NULL"),
                     1);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code='K1' AND "
                                       "name='Corner' AND phone IS NULL AND phone_key IS NULL"),
                     1);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    r = erase("customer", &shop); /* ERS-5 */
    assert_int_equal(r.rows + r.kept + r.listed, 0);
    int64_t entries = 0, bad = 0;
    fleet_must(audit_verify(f.admin, &entries, &bad), NULL, "audit");
    assert_int_equal(bad, 0);
}

static int64_t verdicts_like(const char *pattern)
{
    char text[200];
    sql_stmt *q = NULL;
    fb_error err = {0};
    bool row = false;
    snprintf(text, sizeof text, "SELECT count(*) FROM fs_verdict WHERE verdict LIKE '%s'", pattern);
    fleet_must(store_query(f.admin, text_of(text), &q, &err), &err, "query");
    fleet_must(sql_step(q, &row), NULL, "step");
    int64_t n = sql_int(q, 0);
    sql_finalize(q);
    return n;
}

/* What a person reads in the tray, or nothing. */
static fb_code problem_seen(void *ctx, const fb_problem *p)
{
    (void)p;
    ++*(int *)ctx;
    return FB_OK;
}

static void erase__what_waits_on_three_phones_brings_nothing_back_and_loses_no_work(void **state)
{
    (void)state;
    fb_error err = {0};
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    int problems = 0;
    fleet_device *d[3];
    for (int i = 0; i < 3; i++) {
        d[i] = fleet_device_add(&f, i == 2 ? &f.manager : &f.users[0]);
    }
    fleet_must(say(d[0], "contact", &person, "hobby", CANARY " and golf"), NULL, "hobby");
    fb_id fresh = contact_new(d[1], &shop);
    fleet_must(fb_activity_log(d[2]->db, &shop, "called about the order", NULL, NULL, &err), &err,
               "activity");
    fleet_must(say(d[2], "contact", &person, "title", "buyer"), NULL, "title");
    erase("customer", &shop);
    for (int i = 0; i < 3; i++) {
        fleet_sync(d[i]);
        fleet_must(fb_problem_each(d[i]->db, problem_seen, &problems, &err), &err, "tray");
    }
    assert_int_equal(problems, 0);
    row_at_server("contact", &fresh, memory, row); /* the work is there, the person is not */
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), "contact");
    assert_true(text_is(row_text(e, row, "name"), "*"));
    row_at_server("contact", &person, memory, row);
    assert_true(text_is(row_text(e, row, "title"), "buyer"));
    assert_int_equal(row_text(e, row, "hobby").size, 0);
    assert_int_equal(verdicts_like("%\"code\":\"merged\"%\"err\":\"E_ERASED\"%删除%"), 2);
    fleet_must(store_compact("server/master.db", "fleetfs", &err), &err, "compact");
    assert_int_equal(found("server"), 0);
    backup();
    for (int i = 0; i < 3; i++) {
        char name[8];
        fleet_sync(d[i]);
        fleet_sync(d[i]);
        snprintf(name, sizeof name, "dev%d", i + 1);
        assert_int_equal(found(name), 0);
        assert_int_equal(fleet_number(d[i], "SELECT count(*) FROM activity"), 1);
        fleet_must(fb_db_check(d[i]->db, &err), &err, "check");
    }
    arena_free(memory);
}

/* Edited offline, the shop moved, met again so late that a manager must decide. */
static void work_is_held(fleet_device *d)
{
    fleet_must(say(d, "contact", &person, "hobby", CANARY " held"), NULL, "hobby");
    f.now_ms += 40 * DAY_MS;
    company_set(&f.company, "customer", &shop, PAIRS("territory_id", id_text(&f.territories[1])));
    f.now_ms += 40 * DAY_MS;
    fleet_sync(d);
}

static int64_t held_open(void)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), "held_group");
    fb_id ids[8], after = {{0}};
    uint32_t count = 0;
    fleet_must(store_ids_after(f.admin, e, cat_column_str(e, "state"), &after, 8, ids, &count),
               NULL, "held");
    return count;
}

/* A new contact and a change of an address that is gone: the server refuses both. */
static void work_is_refused(fleet_device *d)
{
    fb_error err = {0};
    int64_t gseq = 0;
    fleet_must(fb_group_begin(d->db, "shop.visit", 0, &err), &err, "group");
    (void)contact_new(d, &shop);
    fleet_must(say(d, "customer_address", &place, "street", CANARY " lane"), NULL, "street");
    fleet_must(fb_group_commit(d->db, &gseq, &err), &err, "commit");
    company_delete(&f.company, "customer_address", &place);
    fleet_sync(d);
}

static void manager_accepts(fleet_device *d)
{
    char id[64], args[100];
    char *json = NULL;
    fb_error err = {0};
    fleet_text(d,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\"}", id);
    fleet_must(fb_command_run(d->db, "held.accept", args, &json, &err), &err, "held.accept");
    fb_string_free(json);
    fleet_sync(d);
}

static void erase__reaches_work_that_waits_for_a_manager_and_the_tray(void **state)
{
    (void)state;
    fb_error err = {0};
    int problems = 0;
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *boss = fleet_device_add(&f, &f.manager);
    work_is_refused(rep);
    work_is_held(rep);
    fleet_must(fb_problem_each(rep->db, problem_seen, &problems, &err), &err, "tray");
    assert_int_equal(problems, 2);
    assert_int_equal(held_open(), 1);
    fleet_must(store_compact("server/master.db", "fleetfs", &err), &err, "compact");
    assert_true(found("server") > 0);
    erase_report r = erase("contact", &person);
    assert_int_equal(r.kept, 1); /* the contact that was new is another person */
    assert_int_equal(r.held, 1);
    /* the address is the customer's: only the contact was asked for */
    erase("customer", &shop);
    assert_int_equal(found("server"), 0);
    backup();
    fleet_sync(rep);
    fleet_sync(rep);
    assert_int_equal(found("dev1"), 0);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM held_group WHERE state='open' AND "
                                       "content IS NOT NULL"),
                     1);
    fleet_sync(boss);
    manager_accepts(boss); /* the row is the one of the group, whatever was taken out of it */
    fleet_sync(rep);
    problems = 0;
    fleet_must(fb_problem_each(rep->db, problem_seen, &problems, &err), &err, "tray");
    assert_int_equal(problems, 1); /* what was refused is there, without the person */
    assert_int_equal(held_open(), 1);
    fleet_must(store_compact("server/master.db", "fleetfs", &err), &err, "compact");
    assert_int_equal(found("server") + found("dev1") + found("dev2"), 0);
}

typedef struct kept_file {
    char name[80];
    void *data;
    size_t size;
} kept_file;
static kept_file kept[4];

static void keep_file(void *ctx, const char *file, const void *data, size_t size)
{
    int *count = ctx;
    bool wanted = strncmp(file, "server/master.db.erased", 23) == 0 ||
                  strcmp(file, "server/master.db.high-water") == 0;
    if (wanted && *count < 4) {
        kept_file *k = &kept[(*count)++];
        snprintf(k->name, sizeof k->name, "%s", file);
        k->data = malloc(size + 1);
        k->size = size;
        memcpy(k->data, data, size);
    }
}

static void erase__holds_for_a_database_that_was_put_back(void **state)
{
    (void)state;
    fb_error err = {0};
    int count = 0;
    int64_t commit = 0;
    const server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    crash_vfs_copy(f.vfs, "server", "copy");
    (void)contact_new(rep, &shop); /* behind the copy: sent again after it is put back */
    fleet_sync(rep);
    erase("customer", &shop);
    fleet_sync(rep);
    fleet_server_stop(&f);
    crash_vfs_each(f.vfs, keep_file, &count);
    assert_true(count >= 2);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "copy", "server");
    for (int i = 0; i < count; i++) {
        crash_vfs_put(f.vfs, kept[i].name, kept[i].data, kept[i].size);
        free(kept[i].data);
    }
    assert_true(found("server") > 0);
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    fleet_server_start(&f);
    assert_int_equal(found("server"), 0); /* before anybody is served */
    fleet_sync(rep);
    fleet_sync(rep);
    fleet_must(store_compact("server/master.db", "fleetfs", &err), &err, "compact");
    assert_int_equal(found("server"), 0);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM contact WHERE name='*'"), 2);
    backup();
    fleet_sync(rep);
    fleet_sync(rep);
    assert_int_equal(found("dev1"), 0);
}

static void erase__drops_packs_from_before_it(void **state)
{
    (void)state;
    fb_error err = {0};
    pack_store *packs = NULL;
    digest name = {{7}};
    int64_t no = 0;
    pack_info made = {.name = name, .scope = 1, .position = 5 << 20, .chunks = 1}, got;
    buf epoch;
    buf_init(&epoch, 64);
    fleet_must(store_meta_get(f.admin, "epoch", &epoch), NULL, "epoch");
    memcpy(made.epoch.b, epoch.data, sizeof made.epoch.b);
    buf_clear(&epoch);
    fleet_must(pack_store_open("server/master.db.packs", "fleetfs", true, &packs, &err), &err,
               "packs");
    fleet_must(pack_store_begin(packs, 1, &no), NULL, "begin");
    made.no = no;
    fleet_must(pack_store_chunk_put(packs, no, 0, &name, text_of(CANARY)), NULL, "chunk");
    fleet_must(pack_store_finish(packs, &made), NULL, "finish");
    assert_int_equal(pack_store_find(packs, &name, &got), FB_OK);
    pack_store_close(packs);
    erase("customer", &shop);
    fleet_build(&f);
    fleet_must(pack_store_open("server/master.db.packs", "fleetfs", true, &packs, &err), &err,
               "packs");
    assert_int_equal(pack_store_find(packs, &name, &got), FB_E_NOT_FOUND);
    pack_store_close(packs);
    assert_int_equal(found("server"), 0);
}

static void erase__refuses_what_is_no_person_of_a_customer(void **state)
{
    (void)state;
    erase_report r;
    fb_error err = {0};
    arena *memory = arena_new(1 << 20);
    erase_order o = {.entity = text_of("app_user"), .id = f.users[0], .reason = text_of("r")};
    fleet_must(store_begin(f.admin), NULL, "begin");
    assert_int_equal(erase_person(f.admin, &o, memory, &r, &err), FB_E_INVALID);
    assert_non_null(strstr(err.message, "disabled"));
    o.entity = text_of("customer");
    o.id = person;
    assert_int_equal(erase_person(f.admin, &o, memory, &r, &err), FB_E_NOT_FOUND);
    store_rollback(f.admin);
    arena_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(erase__leaves_no_byte_at_the_server_and_on_the_phones),
        T(erase__what_waits_on_three_phones_brings_nothing_back_and_loses_no_work),
        T(erase__reaches_work_that_waits_for_a_manager_and_the_tray),
        T(erase__holds_for_a_database_that_was_put_back),
        T(erase__drops_packs_from_before_it),
        T(erase__refuses_what_is_no_person_of_a_customer),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
