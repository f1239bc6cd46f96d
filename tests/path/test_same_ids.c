/* test_same_ids.c - two devices make the same id (a source of randomness that failed, a copied
 * state of it): the first row stands, the second device is told, keeps what it wrote, and nothing
 * of it reaches the first one's row, neither later changes nor rows that refer to it (T10, I5).
 *
 * Method: a fleet in which ids are given by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sql/sql.h"
#include "support/fleet.h"

#include <cmocka.h>
#undef fail

static fleet f;
static const fb_id SAME = {{0x01, 0x90, 1, 2, 3, 4, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 9}};

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static fb_value text(const char *v)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = {v, strlen(v)}};
}

static fb_value id_value(const fb_id *id)
{
    return (fb_value){.kind = FB_KIND_ID, .u.id = *id};
}

static void insert_contact(fleet_device *d, const fb_id *id, const fb_id *customer,
                           const char *name)
{
    static const char *const columns[] = {"id", "customer_id", "name"};
    const fb_value values[] = {id_value(id), id_value(customer), text(name)};
    const fb_record_change c = {columns, values, 3};
    fb_error err = {0};
    fleet_must(fb_record_insert(d->db, "contact", &c, NULL, &err), &err, "contact");
}

static void title_contact(fleet_device *d, const fb_id *id, const char *title)
{
    static const char *const columns[] = {"title"};
    const fb_value values[] = {text(title)};
    const fb_record_change c = {columns, values, 1};
    fb_error err = {0};
    fleet_must(fb_record_update(d->db, "contact", id, &c, &err), &err, "contact");
}

static void log_call(fleet_device *d, const fb_id *customer, const fb_id *contact,
                     const char *subject)
{
    static const char *const columns[] = {"type",    "customer_id", "contact_id",
                                          "user_id", "subject",     "at"};
    const fb_value values[] = {text("call"),      id_value(customer),
                               id_value(contact), id_value(&f.users[0]),
                               text(subject),     {.kind = FB_KIND_INT, .u.i = f.now_ms}};
    const fb_record_change c = {columns, values, 6};
    fb_error err = {0};
    fleet_must(fb_record_insert(d->db, "activity", &c, NULL, &err), &err, "activity");
}

static void server_text(const char *sql, char *out, size_t size)
{
    sql_stmt *q = NULL;
    fb_error err = {0};
    bool row = false;
    out[0] = '\0';
    fleet_must(store_query(f.admin, (fb_text){sql, strlen(sql)}, &q, &err), &err, sql);
    fleet_must(sql_step(q, &row), NULL, sql);
    if (row) {
        fb_text v = sql_text(q, 0);
        snprintf(out, size, "%.*s", (int)v.size, v.data);
    }
    sql_finalize(q);
}

static void server_has(const char *sql, const char *expected)
{
    char found[100];
    server_text(sql, found, sizeof found);
    assert_string_equal(found, expected);
}

typedef struct tray {
    int rejected, blocked;
    fb_code error;
    char body[2000], cure[200];
} tray;

static fb_code look(void *ctx, const fb_problem *p)
{
    tray *t = ctx;
    bool rejected = p->state.size == 8 && memcmp(p->state.data, "rejected", 8) == 0;
    t->rejected += rejected;
    t->blocked += !rejected;
    if (rejected) {
        t->error = p->error;
        snprintf(t->body, sizeof t->body, "%.*s", (int)p->body.size, p->body.data);
        snprintf(t->cure, sizeof t->cure, "%.*s", (int)p->cure_en.size, p->cure_en.data);
    } else {
        assert_int_equal(p->error, FB_E_BLOCKED);
        assert_true(p->blocked_by > 0);
    }
    return FB_OK;
}

static tray tray_of(fleet_device *d)
{
    tray t = {0};
    fb_error err = {0};
    fleet_must(fb_problem_each(d->db, look, &t, &err), &err, "problems");
    return t;
}

/* Both of one territory: the second one may see and change the first one's row. */
static void same_id__the_first_row_stands_and_the_second_is_kept(void **state)
{
    (void)state;
    fleet_device *a = fleet_device_add(&f, &f.users[0]);
    fleet_device *b = fleet_device_add(&f, &f.users[0]);
    insert_contact(b, &SAME, &f.customers[0], "of b");
    title_contact(b, &SAME, "title of b");
    log_call(b, &f.customers[0], &SAME, "b spoke with his contact");
    insert_contact(a, &SAME, &f.customers[0], "of a");
    fleet_sync(a);
    fleet_sync(b);
    server_has("SELECT name FROM contact WHERE remark IS NULL", "of a");
    server_has("SELECT title FROM contact", "");
    server_has("SELECT count(*) FROM contact", "1");
    server_has("SELECT count(*) FROM activity WHERE subject LIKE 'b spoke%'", "0");
    tray t = tray_of(b);
    assert_int_equal(t.rejected, 1);
    assert_int_equal(t.blocked, 2);
    assert_int_equal(t.error, FB_E_EXISTS);
    assert_non_null(strstr(t.body, "of b")); /* the payload */
    assert_non_null(strstr(t.cure, "new record"));
    fleet_sync(a);
    char shown[40];
    fleet_text(a, "SELECT name || coalesce(title, '') FROM contact", shown, sizeof shown);
    assert_string_equal(shown, "of a");
    fleet_text(b, "SELECT name || coalesce(title, '') FROM contact", shown, sizeof shown);
    assert_string_equal(shown, "of a");
}

/* The first one's row arrives while the second one's is still unsent. */
static void same_id__met_by_a_pull_is_kept_and_told_of(void **state)
{
    (void)state;
    fleet_device *a = fleet_device_add(&f, &f.users[0]);
    fleet_device *b = fleet_device_add(&f, &f.users[0]);
    insert_contact(a, &SAME, &f.customers[0], "of a");
    fleet_sync(a);
    insert_contact(b, &SAME, &f.customers[0], "of b");
    fleet_sync(b);
    title_contact(b, &SAME, "known"); /* from here on it is a's, seen and changed on purpose */
    fleet_sync(b);
    server_has("SELECT name || coalesce(title, '') FROM contact", "of aknown");
    tray t = tray_of(b);
    assert_int_equal(t.rejected, 1);
    assert_int_equal(t.blocked, 0);
}

/* The other one's row is in a territory that this one never sees. */
static void same_id__of_a_row_out_of_scope_says_nothing_of_it(void **state)
{
    (void)state;
    fleet_device *a = fleet_device_add(&f, &f.users[1]);
    fleet_device *b = fleet_device_add(&f, &f.users[0]);
    insert_contact(a, &SAME, &f.customers[1], "of a");
    insert_contact(b, &SAME, &f.customers[0], "of b");
    title_contact(b, &SAME, "title of b");
    fleet_sync(a);
    fleet_sync(b);
    server_has("SELECT name || coalesce(title, '') FROM contact", "of a");
    tray t = tray_of(b);
    assert_int_equal(t.rejected, 1);
    assert_int_equal(t.blocked, 1);
    assert_null(strstr(t.body, "of a"));
    assert_int_equal(fleet_number(b, "SELECT count(*) FROM contact"), 0);
}

/* An id that is a row of another entity there: they are told apart, both stand. */
static void same_id__in_another_entity_is_another_row(void **state)
{
    (void)state;
    fleet_device *b = fleet_device_add(&f, &f.users[0]);
    insert_contact(b, &f.customers[0], &f.customers[0], "of b");
    fleet_sync(b);
    server_has("SELECT name FROM contact", "of b");
    assert_int_equal(tray_of(b).rejected, 0);
    assert_int_equal(fleet_number(b, "SELECT count(*) FROM customer"), 1);
    fleet_device *c = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(fleet_number(c, "SELECT count(*) FROM contact"), 1);
    assert_int_equal(fleet_number(c, "SELECT count(*) FROM customer"), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(same_id__the_first_row_stands_and_the_second_is_kept),
        CASE(same_id__met_by_a_pull_is_kept_and_told_of),
        CASE(same_id__of_a_row_out_of_scope_says_nothing_of_it),
        CASE(same_id__in_another_entity_is_another_row),
    };
    return cmocka_run_group_tests_name("same ids", tests, NULL, NULL);
}
