/* test_history.c - a fleet's own life, written down and judged by fb-check.
 *
 * The recorder looks from outside (support/history.h); the judge shares no code with the product.
 * So what is accepted here is accepted by two that do not know each other. What was written is then
 * damaged, one line at a time, and the judge must say what it says about the line: a recorder that
 * leaves things out would be believed otherwise. */
#include "support/fleet.h"
#include "support/history.h"
#include "sync-server/door/door.h"
#include "sync-server/erase/erase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static fleet f;
static char path[400];

/* What fb-check says of a file; its exit code. */
static int judge(const char *file, const char *options, char *out, size_t room)
{
    char command[1000];
    snprintf(command, sizeof command, "%s/fb-check %s %s 2>&1", FB_BINARY_DIR, options, file);
    FILE *said = popen(command, "r");
    assert_non_null(said);
    size_t n = fread(out, 1, room - 1, said);
    out[n] = '\0';
    while (fgetc(said) != EOF) {
    }
    return pclose(said) >> 8;
}

static void accepted(const char *needed)
{
    char said[4000], options[200];
    snprintf(options, sizeof options, "--need %s", needed);
    if (judge(path, options, said, sizeof said) != 0) {
        fail_msg("%s", said);
    }
    assert_non_null(strstr(said, "check ok: "));
}

/* Without, or with another text in, the last line that holds both texts. */
static void damaged(const char *one, const char *two, const char *with, const char *invariant)
{
    char said[4000], bad[420], *line = NULL;
    size_t room = 0;
    long last = -1, at = 0;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    for (; getline(&line, &room, in) > 0; at++) {
        if (strstr(line, one) != NULL && strstr(line, two) != NULL) {
            last = at;
        }
    }
    assert_true(last >= 0);
    rewind(in);
    snprintf(bad, sizeof bad, "%s.bad", path);
    FILE *out = fopen(bad, "w");
    assert_non_null(out);
    for (at = 0; getline(&line, &room, in) > 0; at++) {
        if (at != last) {
            fputs(line, out);
        } else if (with != NULL) {
            char *from = strstr(line, two);
            fprintf(out, "%.*s%s%s", (int)(from - line), line, with, from + strlen(two));
        }
    }
    free(line);
    fclose(in);
    fclose(out);
    assert_int_equal(judge(bad, "", said, sizeof said), 1);
    if (strstr(said, invariant) == NULL) {
        fail_msg("%s was expected: %s", invariant, said);
    }
}

/* A column of which a person decides who is right. */
static const char BY_HAND[] =
    "{\"module\":\"acme\",\"entities\":[{\"name\":\"acme_box\",\"label\":{\"en\":\"Box\",\"zh\":"
    "\"箱\"},"
    "\"class\":\"fact\",\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],\"columns\":[{"
    "\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\",\"required\":true,\"label\":{"
    "\"en\":\"Customer\",\"zh\":\"客户\"}}],\"grants\":{\"REP\":\"cr\"}}],\"extend\":[{\"entity\":"
    "\"customer\",\"columns\":[{"
    "\"name\":\"note_by_hand\",\"type\":\"text\",\"max\":40,\"policy\":\"MAN\",\"label\":{\"en\":"
    "\"Note\",\"zh\":\"备注\"}}]}]}";

static void begin(const char *name)
{
    fb_error err = {0};
    snprintf(path, sizeof path, "%s/history-%s.jsonl", FB_BINARY_DIR, name);
    f.recorder = history_open(&(history_options){
        .path = path, .name = name, .server = "server/master.db", .vfs = "fleetfs"});
    fleet_open(&f);
    fleet_must(door_catalog_grow(f.admin, text_of(BY_HAND), &f.port, &err), &err, "module");
    history_server(f.recorder);
    history_note(f.recorder, "rule",
                 "\"kind\":\"sum\",\"e\":\"sales_order\",\"col\":\"total\",\"plus\":[\"rounding\","
                 "\"freight_amount\"],\"child\":\"sales_order_line\",\"ref\":\"order_id\",\"add\":"
                 "\"gross\"");
}

static void end(void)
{
    history *h = f.recorder;
    history_dump_server(h);
    for (int i = 0; i < f.devices_count; i++) {
        history_dump_device(h, i + 1, false);
    }
    f.recorder = NULL;
    fleet_close(&f);
    history_close(h);
}

static fb_id note(fleet_device *d, const fb_id *customer, const char *subject)
{
    fb_error err = {0};
    fb_id id = {{0}};
    fleet_saving(d);
    fb_code rc = fb_activity_log(d->db, customer, subject, NULL, &id, &err);
    fleet_saved(d, rc);
    fleet_must(rc, &err, "activity");
    return id;
}

static void edit(fleet_device *d, const fb_id *customer, const char *json)
{
    fb_error err = {0};
    fb_customer_change done;
    fleet_saving(d);
    fb_code rc = fb_customer_update(d->db, customer, json, &done, &err);
    fleet_saved(d, rc);
    fleet_must(rc, &err, "customer");
}

static fb_id contact(fleet_device *d, const fb_id *customer)
{
    fb_error err = {0};
    fb_id id = {{0}};
    char json[200];
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Li\"}", id_text(customer));
    fleet_saving(d);
    fb_code rc = fb_record_put_json(d->db, "contact", json, &id, &err);
    fleet_saved(d, rc);
    fleet_must(rc, &err, "contact");
    return id;
}

/* An order inside a visit: its header and lines are one group. */
static void order(fleet_device *d, const fb_id *customer)
{
    fb_error err = {0};
    fb_visit_in visit;
    fb_order *o = NULL;
    fleet_saving(d);
    fleet_must(fb_group_begin(d->db, "visit", 0, &err), &err, "group");
    fleet_must(fb_visit_check_in(d->db, customer, NULL, &visit, &err), &err, "check in");
    fleet_must(fb_order_new(d->db, customer, NULL, &o, &err), &err, "order");
    fleet_must(fb_order_line_add(o, &f.product, NULL, 3000, NULL, NULL, &err), &err, "line");
    fleet_must(fb_order_line_add(o, &f.product, NULL, 2500, NULL, NULL, &err), &err, "line");
    fleet_must(fb_order_submit(o, NULL, &err), &err, "submit");
    fb_order_close(o);
    fleet_must(fb_visit_check_out(d->db, &visit.visit, NULL, &err), &err, "check out");
    fb_code rc = fb_group_commit(d->db, NULL, &err);
    fleet_saved(d, rc);
    fleet_must(rc, &err, "commit");
}

static void a_days_work_is_accepted(void **state)
{
    (void)state;
    begin("day");
    fleet_device *one = fleet_device_add(&f, &f.users[0]);
    fleet_device *two = fleet_device_add(&f, &f.users[1]);
    fleet_device *boss = fleet_device_add(&f, &f.manager);
    fb_id talk = note(one, &f.customers[0], "first talk");
    history_show(f.recorder, 1, "activity", &talk);
    edit(one, &f.customers[0], "{\"phone\":\"+8613800000001\"}");
    history_show(f.recorder, 1, "customer", &f.customers[0]);
    order(one, &f.customers[0]);
    note(two, &f.customers[1], "second talk");
    fleet_sync(one);
    history_show(f.recorder, 1, "activity", &talk);
    fleet_sync(two);
    fleet_sync(boss);
    edit(boss, &f.customers[0], "{\"remark\":\"late payer\"}");
    fleet_sync(boss);
    fleet_sync(one);
    fleet_sync(two);
    end();
    accepted("I1,I2,I4,I5,I6,I7,I8,I9,I11,I12,I13,I14,I15,L2");

    damaged("\"ev\":\"has\"", "first talk", "first walk", " I1 ");
    damaged("\"ev\":\"has\"", "second talk", NULL, " I1 ");
    damaged("\"ev\":\"saved\"", "second talk", NULL, " I13 ");
    damaged("\"ev\":\"change\"", "second talk", NULL, " I5 ");
    damaged("\"ev\":\"change\"", "sales_order_line", NULL, " I4 ");
    damaged("\"ev\":\"change\"", "second talk", "second walk", " I1 ");
    damaged("\"ev\":\"decide\"", "\"g\":2", "\"g\":4", " I6 ");
    damaged("\"ev\":\"decide\"", "\"h\":\"", "\"h\":\"0", " I13 ");
    damaged("\"ev\":\"commit\"", "\"h\":\"", "\"h\":\"0", " I13 ");
    damaged("\"ev\":\"audit\"", "\"rows\"", "\"row_\"", " I15 ");
    damaged("\"ev\":\"row\"", "late payer", "late player", " I12 ");
    damaged("\"ev\":\"show\"", "first talk", "first walk", " I12 ");
    damaged("\"ev\":\"show\"", "+8613800000001", "+8613800000002", " I7 ");
    damaged("\"ev\":\"member\"", "\"in\":1", "\"in\":0", " I8 ");
    damaged("\"ev\":\"reply\"", "\"q\":", "\"q\":9", " I13 ");
}

static void people_who_differ_are_accepted(void **state)
{
    (void)state;
    begin("differ");
    fleet_device *one = fleet_device_add(&f, &f.users[0]);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    fleet_device *boss = fleet_device_add(&f, &f.manager);
    edit(one, &f.customers[0], "{\"phone\":\"+8613800000001\",\"remark\":\"from one\"}");
    f.now_ms += 60000;
    edit(boss, &f.customers[0], "{\"phone\":\"+8613800000002\"}");
    fleet_sync(boss);
    fleet_sync(one);
    assert_int_equal(one->report.merged_count, 1);
    fb_id person = contact(one, &f.customers[0]);
    fleet_sync(one);
    fleet_sync(other);
    fb_error err = {0};
    char json[200];
    fleet_saving(one);
    fb_code rc = fb_record_delete(one->db, "contact", &person, &err);
    fleet_saved(one, rc);
    fleet_must(rc, &err, "remove");
    fleet_saving(other);
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"name\":\"Wang\"}", id_text(&person));
    rc = fb_record_put_json(other->db, "contact", json, NULL, &err);
    fleet_saved(other, rc);
    fleet_must(rc, &err, "set");
    fleet_sync(one);
    fleet_sync(other);
    assert_int_equal(other->report.rejected_count, 1);
    for (int i = 0; i < f.devices_count; i++) {
        fleet_sync(&f.devices[i]);
    }
    end();
    accepted("I1,I2,I3,I5,I6,I8,I13,I15");

    damaged("\"ev\":\"change\"", "\"e\":\"conflict\"", NULL, " I2 ");
    damaged("\"ev\":\"decide\"", "\"code\":\"merged\"", "\"code\":\"applied\"", " I2 ");
    damaged("\"ev\":\"holds\"", "\"state\":\"rejected\"", "\"state\":\"kept\"", " I2 ");
}

/* Says of the only conflict which value stands; the record's and the customer's change follow. */
static void settle(fleet_device *d, const char *how)
{
    fb_error err = {0};
    char id[64], json[300];
    fleet_text(d,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM conflict)",
               id, sizeof id);
    snprintf(json, sizeof json, "{\"id\":\"%s\",%s,\"state\":\"resolved\"}", id, how);
    fleet_saving(d);
    fb_code rc = fb_record_put_json(d->db, "conflict", json, NULL, &err);
    fleet_saved(d, rc);
    fleet_must(rc, &err, "settle");
}

static void a_settled_conflict_is_accepted(void **state)
{
    (void)state;
    begin("settled");
    fleet_device *one = fleet_device_add(&f, &f.users[0]);
    fleet_device *boss = fleet_device_add(&f, &f.manager);
    edit(one, &f.customers[0], "{\"note_by_hand\":\"ring twice\"}");
    f.now_ms += 60000;
    edit(boss, &f.customers[0], "{\"note_by_hand\":\"use the back door\"}");
    fleet_sync(boss);
    fleet_sync(one);
    assert_int_equal(one->report.merged_count, 1);
    fleet_sync(one);
    settle(one, "\"winner\":\"mine\"");
    fleet_sync(one);
    fleet_sync(boss);
    assert_int_equal(
        fleet_number(boss, "SELECT count(*) FROM customer WHERE note_by_hand = 'ring twice'"), 1);
    end();
    accepted("I1,I2,I4,I5,I13");

    damaged("\"ev\":\"change\"", "\"winner\",", NULL, " I5 ");
    damaged("\"ev\":\"change\"", "ring twice\"", "ring thrice\"", " I1 ");
}

static void a_customer_that_moves_is_accepted(void **state)
{
    (void)state;
    begin("move");
    fleet_device *one = fleet_device_add(&f, &f.users[0]);
    fleet_device *two = fleet_device_add(&f, &f.users[1]);
    note(one, &f.customers[0], "before the move");
    fleet_sync(one);
    note(one, &f.customers[0], "late, and theirs when it was said");
    company_set(&f.company, "customer", &f.customers[0],
                PAIRS("territory_id", id_text(&f.territories[1])));
    fleet_sync(one);
    fleet_sync(two);
    history_dump_device(f.recorder, 1, true);
    history_dump_device(f.recorder, 2, true);
    end();
    accepted("I1,I2,I4,I8,I10");

    damaged("\"why\":\"scope\"", "\"of\":\"d2\"", "\"of\":\"d1\"", " I10 ");
}

#define CANARY "zq-canary-77aa"

static void canary_search(void *ctx, const char *file, const void *data, size_t size)
{
    int *hits = ctx;
    bool lives = strncmp(file, "server/", 7) == 0 || strncmp(file, "dev", 3) == 0;
    *hits += lives && size > 0 && memmem(data, size, CANARY, strlen(CANARY)) != NULL;
}

static int canary_files(void)
{
    int hits = 0;
    crash_vfs_each(f.vfs, canary_search, &hits);
    return hits;
}

static void person_erase(const fb_id *person)
{
    const erase_order o = {.entity = text_of("contact"),
                           .id = *person,
                           .reason = text_of("request 9"),
                           .at_ms = f.now_ms};
    erase_report r;
    fb_error err = {0};
    arena *memory = arena_new(16 << 20);
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(erase_person(f.admin, &o, memory, &r, &err), &err, "erase");
    fleet_must(store_commit(f.admin), NULL, "commit");
    arena_free(memory);
    history_server(f.recorder);
}

/* I16 on real work: what the judge is told of the files is what was found in them. */
static void an_erased_person_is_accepted(void **state)
{
    (void)state;
    char members[120];
    fb_error err = {0};
    begin("erase");
    fb_id person = company_add(
        &f.company, "contact",
        PAIRS("customer_id", id_text(&f.customers[0]), "name", CANARY, "hobby", "golf"));
    fleet_device *one = fleet_device_add(&f, &f.users[0]);
    fleet_device *boss = fleet_device_add(&f, &f.manager);
    note(one, &f.customers[0], "talked to the buyer");
    assert_int_equal(canary_files() > 2, true);
    person_erase(&person);
    snprintf(members, sizeof members, "\"e\":\"contact\",\"id\":\"%s\"", id_text(&person));
    history_note(f.recorder, "erase", members);
    fleet_sync(one);
    fleet_sync(boss);
    fleet_must(store_compact("server/master.db", "fleetfs", &err), &err, "compact");
    snprintf(members, sizeof members, "\"of\":\"erased:%s\",\"place\":\"files\",\"hits\":%d",
             id_text(&person), canary_files());
    history_note(f.recorder, "canary", members);
    end();
    accepted("I1,I2,I16");

    damaged("\"ev\":\"canary\"", "\"hits\":0", "\"hits\":2", " I16 ");
}

static void server_stop(void)
{
    server_job_free(f.job);
    store_close(f.admin);
    server_reader_close(f.reader);
    server_close(f.srv);
    f.job = NULL;
}

static void server_start(void)
{
    fb_error err = {0};
    server_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    store_options admin = {.path = "server/master.db", .vfs = "fleetfs"};
    fleet_must(store_open(&admin, &f.admin, &err), &err, "store_open");
    company_init(&f.company, f.admin, &f.port, (uint64_t)f.now_ms);
    fleet_must(server_open(&o, &f.srv, &err), &err, "server_open");
    fleet_must(server_reader_open(f.srv, &f.reader, &err), &err, "server_reader_open");
}

static void a_restored_server_is_accepted(void **state)
{
    (void)state;
    fb_error err = {0};
    int64_t commit = 0;
    begin("restored");
    fleet_device *one = fleet_device_add(&f, &f.users[0]);
    fleet_device *two = fleet_device_add(&f, &f.users[0]);
    note(one, &f.customers[0], "in the backup");
    fleet_sync(one);
    fleet_sync(two);
    server_stop();
    crash_vfs_copy(f.vfs, "server", "backup");
    server_start();
    note(one, &f.customers[0], "after the backup");
    fleet_sync(one);
    note(two, &f.customers[0], "not sent yet");
    history_server(f.recorder);

    server_stop();
    history_crash(f.recorder, -1);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "backup", "server");
    server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    server_start();
    history_server(f.recorder);
    for (int round = 0; round < 2; round++) {
        fleet_sync(one);
        fleet_sync(two);
    }
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM activity"), 3);
    end();
    accepted("I1,I2,I5,I6,I9,I13,I15");

    damaged("\"ev\":\"have\"", "in the backup", "in no backup", " I9 ");
    damaged("\"ev\":\"have\"", "in the backup", NULL, " I9 ");
    damaged("\"ev\":\"promote\"", "\"head\":", "\"head\":9", " I9 ");
    damaged("\"ev\":\"decide\"", "\"code\":\"applied\"", "\"code\":\"rejected\"", " I5 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_days_work_is_accepted),
        cmocka_unit_test(people_who_differ_are_accepted),
        cmocka_unit_test(a_settled_conflict_is_accepted),
        cmocka_unit_test(a_customer_that_moves_is_accepted),
        cmocka_unit_test(an_erased_person_is_accepted),
        cmocka_unit_test(a_restored_server_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
