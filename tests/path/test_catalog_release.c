/* test_catalog_release.c - a release brings entities: to a company that runs, to servers and apps
 * that were upgraded at different times, and never at the cost of what is pending. */
#include "support/fleet.h"
#include "sync-server/door/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#define AUDIT                                                                                      \
    "{\"name\":\"shelf_audit\",\"label\":{\"en\":\"Shelf audit\",\"zh\":\"货架检查\"},"        \
    "\"class\":\"fact\",\"stamps\":true,\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}" \
    "],\"columns\":[{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\","               \
    "\"required\":true,\"label\":{\"en\":\"Customer\",\"zh\":\"客户\"}},"                        \
    "{\"name\":\"facings\",\"type\":\"int32\",\"label\":{\"en\":\"Facings\",\"zh\":\"排面\"}}]," \
    "\"grants\":{\"REP\":\"cr\",\"MGR\":\"r\"}}"
static const char ACME[] =
    "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":\"fridge_no\""
    ",\"type\":\"text\",\"max\":20,\"label\":{\"en\":\"Fridge\",\"zh\":\"冰柜\"}}]}]}";
static const char TAKES_THE_NAME[] = "{\"module\":\"acme\",\"entities\":[" AUDIT "]}";

static fleet f;

/* The built-in catalogue with one more module, as a later release has it. */
static char *later_release(void)
{
    cJSON *root = cJSON_ParseWithLength(catalog_builtin_text().data, catalog_builtin_text().size);
    cJSON *module = cJSON_Parse("{\"module\":\"shelf\",\"entities\":[" AUDIT "]}");
    assert_true(cJSON_AddItemToArray(cJSON_GetObjectItem(root, "modules"), module));
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

/* The built-in catalogue without an entity, as an earlier release had it. */
static char *earlier_release(const char *without)
{
    cJSON *root = cJSON_ParseWithLength(catalog_builtin_text().data, catalog_builtin_text().size);
    cJSON *module = NULL;
    cJSON_ArrayForEach(module, cJSON_GetObjectItem(root, "modules"))
    {
        cJSON *entities = cJSON_GetObjectItem(module, "entities");
        for (int i = cJSON_GetArraySize(entities) - 1; i >= 0; i--) {
            const cJSON *e = cJSON_GetArrayItem(entities, i);
            if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(e, "name")), without) == 0) {
                cJSON_DeleteItemFromArray(entities, i);
            }
        }
    }
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static void world_open(char *release_take)
{
    f.catalog = release_take != NULL ? text_of(release_take) : (fb_text){NULL, 0};
    fleet_open(&f);
}

static void world_close(void)
{
    char *release = (char *)(uintptr_t)f.catalog.data;
    fleet_close(&f);
    f.catalog = (fb_text){NULL, 0};
    free(release);
}

static void upgrade(char *release_take)
{
    free((char *)(uintptr_t)f.catalog.data);
    f.catalog = text_of(release_take);
    fleet_server_restart(&f);
}

static fb_code add_module(const char *text)
{
    fb_error err = {0};
    return door_catalog_grow(f.admin, text_of(text), &f.port, &err);
}

/* A row of the first customer: `members` are the others, ',"facings":4'. */
static void put(fleet_device *d, const char *entity, const char *members)
{
    char json[300];
    fb_error err = {0};
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\"%s}", id_text(&f.customers[0]), members);
    fleet_must(fb_record_put_json(d->db, entity, json, NULL, &err), &err, entity);
}

static void release__brings_its_entities_to_a_company_that_runs(void **state)
{
    (void)state;
    fb_error err = {0};
    world_open(NULL);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *manager = fleet_device_add(&f, &f.manager);
    assert_int_equal(add_module(ACME), FB_OK);
    fleet_must(fb_activity_log(rep->db, &f.customers[0], "waits", NULL, NULL, &err), &err, "log");

    upgrade(later_release());
    assert_int_equal(store_catalog(f.admin)->version, 3); /* 1 built in, 2 of IT, 3 the release */
    fleet_sync(rep);
    put(rep, "shelf_audit", ",\"facings\":4");
    fleet_must(fb_customer_update(rep->db, &f.customers[0], "{\"fridge_no\":\"F-1\"}", NULL, &err),
               &err, "what IT added is still there");
    fleet_sync(rep);
    fleet_sync(manager);
    assert_int_equal(fleet_number(manager, "SELECT sum(facings) FROM shelf_audit"), 4);
    assert_int_equal(fleet_number(manager, "SELECT count(*) FROM activity"), 1);

    upgrade(later_release()); /* nothing new: nothing done */
    assert_int_equal(store_catalog(f.admin)->version, 3);
    world_close();
}

static void release__that_does_not_go_with_what_it_added_leaves_the_server_working(void **state)
{
    (void)state;
    world_open(NULL);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(add_module(TAKES_THE_NAME), FB_OK);
    upgrade(later_release());
    assert_int_equal(store_catalog(f.admin)->version, 2);
    fleet_sync(rep);
    put(rep, "shelf_audit", ",\"facings\":2");
    fleet_sync(rep);
    assert_int_equal(rep->report.applied_count, 1);
    upgrade(earlier_release("customer_tag")); /* an older program over a newer database */
    assert_int_equal(store_catalog(f.admin)->version, 2);
    fleet_sync(rep);
    world_close();
}

static void app__newer_than_the_server_works_with_what_the_server_has(void **state)
{
    (void)state;
    fb_error err = {0};
    fb_status s = FB_STATUS_INIT;
    world_open(earlier_release("customer_tag"));
    fleet_device *rep = fleet_device_add(&f, &f.users[0]); /* its app has customer_tag built in */
    assert_int_equal(fb_record_put_json(rep->db, "customer_tag", "{}", NULL, &err), FB_E_NOT_FOUND);
    fleet_must(fb_activity_log(rep->db, &f.customers[0], "one", NULL, NULL, &err), &err, "log");
    assert_int_equal(add_module(ACME), FB_OK);
    fleet_sync(rep); /* the server's next catalogue builds on the server's, not on the app's */
    fleet_must(fb_customer_update(rep->db, &f.customers[0], "{\"fridge_no\":\"F-1\"}", NULL, &err),
               &err, "fridge_no");
    fleet_sync(rep);
    assert_int_equal(rep->report.applied_count, 1);

    upgrade(earlier_release("no_such_entity")); /* the server follows: all that is built in */
    fleet_sync(rep);
    put(rep, "customer_tag", ",\"tag\":\"vip\"");
    fleet_sync(rep);
    assert_int_equal(rep->report.applied_count, 1);
    fleet_must(fb_status_get(rep->db, &s, &err), &err, "status");
    assert_int_equal(s.rejected_count + s.blocked_count + s.held_count, 0);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    world_close();
}

/* One request and its answer, in the smallest pages: the download is not complete after it. */
static void exchange_once(fleet_device *d)
{
    fb_error err = {0};
    fb_sync *sync = NULL;
    fb_sync_action action = FB_SYNC_DONE;
    fb_link_request q;
    fb_link_response r;
    uint32_t wait_ms = 0;
    fb_link link = fleet_link(d);
    fb_sync_options o = FB_SYNC_OPTIONS_INIT;
    o.page_bytes = 1;
    fleet_must(fb_sync_open(d->db, &o, &sync, &err), &err, "fb_sync_open");
    fleet_must(fb_sync_next(sync, &action, &q, &wait_ms, &err), &err, "fb_sync_next");
    assert_int_equal(action, FB_SYNC_SEND);
    fleet_must(link.exchange(link.ctx, &q, &r), NULL, "exchange");
    fleet_must(fb_sync_reply(sync, &r, &err), &err, "fb_sync_reply");
    fb_sync_close(sync);
}

static void restore__that_loses_a_catalogue_keeps_the_groups_that_used_it(void **state)
{
    (void)state;
    fb_error err = {0};
    fb_status s = FB_STATUS_INIT;
    fb_db *other = NULL; /* another handle of the same replica, as a background worker has */
    fb_db_options o = FB_DB_OPTIONS_INIT;
    world_open(NULL);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_server_stop(&f);
    crash_vfs_copy(f.vfs, "server", "backup");
    fleet_server_start(&f);
    assert_int_equal(add_module(TAKES_THE_NAME), FB_OK);
    fleet_sync(rep);
    put(rep, "shelf_audit", ",\"facings\":2");
    o.port = &rep->port;
    o.vfs = "fleetfs";
    fleet_must(fb_db_open(rep->path, &o, &other, &err), &err, "the other handle");
    fleet_must(fb_activity_log(rep->db, &f.customers[0], "with it", NULL, NULL, &err), &err, "log");
    fleet_sync(rep);

    fleet_server_stop(&f);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "backup", "server");
    int64_t commit = 0;
    server_epoch_options epoch = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_must(server_epoch_new(&epoch, &commit, &err), &err, "server_epoch_new");
    fleet_server_start(&f);
    fleet_must(fb_activity_log(rep->db, &f.customers[0], "waits", NULL, NULL, &err), &err, "log");
    exchange_once(rep); /* the tables are made anew; what is pending is seen all the while */
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity"), 2);
    fleet_sync(rep);
    fleet_must(fb_status_get(rep->db, &s, &err), &err, "status");
    assert_int_equal(s.rejected_count, 1); /* the audit: the server cannot read it, nothing lost */
    assert_int_equal(s.pending_count, 0);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity"), 2);
    assert_int_equal(add_module(ACME), FB_OK); /* version 2 again, another one */
    fleet_sync(rep);
    fleet_must(fb_customer_update(other, &f.customers[0], "{\"fridge_no\":\"F-1\"}", NULL, &err),
               &err, "fridge_no");
    fleet_sync(rep);
    assert_int_equal(rep->report.applied_count, 1);
    fb_db_close(other);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release__brings_its_entities_to_a_company_that_runs),
        cmocka_unit_test(release__that_does_not_go_with_what_it_added_leaves_the_server_working),
        cmocka_unit_test(app__newer_than_the_server_works_with_what_the_server_has),
        cmocka_unit_test(restore__that_loses_a_catalogue_keeps_the_groups_that_used_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
