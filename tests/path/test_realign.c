/* test_realign.c - hundreds of customers change their territory at once: fieldbook-admin realign.
 *
 * Who has both territories is told where they are now, a few bytes each, and nothing of what is
 * below them; who loses them keeps no row and every group; who wins them gets them whole. The
 * command itself runs here, on the administrator's connection of a fleet. REALIGN_CUSTOMERS in the
 * environment takes another number (10000: the figure of the manual). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fleet.h"
#include "sync-server/admin/admin.h"

#include <cmocka.h>

enum { CUSTOMERS_DEFAULT = 300, BATCH = 100 };

static fleet f;
static fleet_device *rep, *other, *manager;
static int customers;
static char csv_path[64];

static fb_id customer_put(int i)
{
    char code[16], name[64];
    snprintf(code, sizeof code, "K%05d", i);
    snprintf(name, sizeof name, "Shop number %d in the western street", i);
    return company_add(&f.company, "customer",
                       PAIRS("code", code, "name", name, "phone", "02155501234", "opening_hours",
                             "Mo-Fr 8-18", "remark", i % 2 == 0 ? "even" : "odd", "territory_id",
                             id_text(&f.territories[0])));
}

static int setup(void **state)
{
    (void)state;
    const char *wanted = getenv("REALIGN_CUSTOMERS");
    customers = wanted != NULL ? atoi(wanted) : CUSTOMERS_DEFAULT;
    memset(&f, 0, sizeof f);
    fleet_open(&f);
    snprintf(csv_path, sizeof csv_path, "/tmp/fb-realign-XXXXXX");
    int fd = mkstemp(csv_path);
    assert_true(fd >= 0);
    close(fd);
    for (int i = 0; i < customers; i++) {
        fb_id id = customer_put(i);
        company_add(&f.company, "contact",
                    PAIRS("customer_id", id_text(&id), "name", "Buyer of the shop"));
    }
    rep = fleet_device_add(&f, &f.users[0]);
    other = fleet_device_add(&f, &f.users[1]);
    manager = fleet_device_add(&f, &f.manager);
    fleet_sync(manager);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(csv_path);
    fleet_close(&f);
    return 0;
}

/* The command as its program runs it. */
static int realign(const char *const *words)
{
    char *argv[16];
    admin a = {.home = ".", .command = "realign", .json = true, .port = &f.port, .db = f.admin};
    for (; words[a.argc] != NULL; a.argc++) {
        argv[a.argc] = (char *)(uintptr_t)words[a.argc];
    }
    a.argv = argv;
    return command_realign(&a);
}
#define REALIGN(...) realign((const char *const[]){__VA_ARGS__, NULL})

static void csv_write(const char *text)
{
    FILE *out = fopen(csv_path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static int64_t head(void)
{
    int64_t cid = 0;
    assert_int_equal(ledger_head(f.admin, &cid), FB_OK);
    return cid;
}

static int64_t audit_number(void)
{
    store_stmt *q = store_prepare(f.admin, STORE_ledger_audit_last);
    bool row = false;
    assert_int_equal(store_step(q, &row), FB_OK);
    int64_t seq = store_int(q, 0);
    store_reset(q);
    return seq;
}

static int64_t in_territory(fleet_device *d, const char *code)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM customer c JOIN territory t ON t.id = c.territory_id"
             " WHERE t.code = '%s' AND c.code LIKE 'K%%'",
             code);
    return fleet_number(d, sql);
}

static int64_t rows_below(fleet_device *d)
{
    return fleet_number(d, "SELECT count(*) FROM contact WHERE name LIKE 'Buyer%'");
}

static void visit_save(fleet_device *d, const char *code)
{
    fb_error err = {0};
    fb_visit_in visit;
    fb_id customer;
    int64_t gseq = 0;
    fleet_must(fb_customer_lookup(d->db, code, &customer, &err), &err, "lookup");
    fleet_must(fb_group_begin(d->db, "visit.done", 0, &err), &err, "begin");
    fleet_must(fb_visit_check_in(d->db, &customer, NULL, &visit, &err), &err, "check in");
    fleet_must(fb_visit_check_out(d->db, &visit.visit, NULL, &err), &err, "check out");
    fleet_must(fb_group_commit(d->db, &gseq, &err), &err, "commit");
}

static void who_has_both_is_told_where_they_are_and_nothing_else(void **state)
{
    (void)state;
    visit_save(rep, "K00003");
    assert_int_equal(REALIGN("--from", "T1", "--to", "T2", "--where", "status=draft"), EXIT_DONE);
    fleet_sync(manager);
    print_message("moved=%d manager: rows=%u bytes_down=%llu, a customer %.1f\n", customers,
                  manager->report.rows_count, (unsigned long long)manager->report.bytes_down,
                  (double)manager->report.bytes_down / customers);
    assert_int_equal(manager->report.rows_count, customers);
    assert_true(manager->report.bytes_down < (uint64_t)customers * 16 + 600);
    assert_int_equal(manager->report.digest_faults_count, 0);
    assert_int_equal(in_territory(manager, "T2"), customers);
    assert_int_equal(rows_below(manager), customers);
    assert_int_equal(fleet_number(manager, "SELECT count(*) FROM customer WHERE code LIKE 'K%'"
                                           " AND opening_hours = 'Mo-Fr 8-18'"),
                     customers);
    fleet_sync(other);
    assert_int_equal(other->report.rows_count, 2 * customers);
    assert_int_equal(in_territory(other, "T2"), customers);
    assert_int_equal(rows_below(other), customers);
    /* The rep's visit was captured while the customer was theirs: it stands, and nothing stays. */
    fleet_sync(rep);
    assert_int_equal(rep->report.applied_count, 1);
    assert_int_equal(rep->report.held_count + rep->report.rejected_count, 0);
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code LIKE 'K%'"), 0);
    assert_int_equal(rows_below(rep), 0);
    fleet_sync(manager);
    assert_int_equal(fleet_number(manager, "SELECT count(*) FROM visit"), 1);
}

static void second_run_changes_nothing(void **state)
{
    (void)state;
    int64_t audit = audit_number(), cid = head();
    assert_int_equal(REALIGN("--from", "T1", "--to", "T2", "--dry-run"), EXIT_DONE);
    assert_int_equal(head(), cid);
    assert_int_equal(audit_number(), audit);
    assert_int_equal(REALIGN("--from", "T1", "--to", "T2"), EXIT_DONE);
    int64_t after = head(), after_audit = audit_number();
    assert_int_equal(after,
                     cid + customers / 500 + 1); /* customers of a commit: 500, C1 is one more */
    assert_int_equal(after_audit - audit, after - cid + 1); /* and one entry for all */
    assert_int_equal(REALIGN("--from", "T1", "--to", "T2"), EXIT_DONE);
    assert_int_equal(head(), after);
    assert_int_equal(audit_number(), after_audit);
}

static void file_moves_each_customer_where_it_says(void **state)
{
    (void)state;
    fb_id third =
        company_add(&f.company, "territory",
                    PAIRS("code", "T3", "name", "Three", "org_unit_id", id_text(&f.region)));
    (void)third;
    csv_write("territory,customer,why\nT2,K00000,x\nT3,K00001,x\nT1,K00002,\"stays, here\"\n");
    assert_int_equal(REALIGN(csv_path, "--dry-run"), EXIT_DONE);
    fleet_sync(manager);
    assert_int_equal(in_territory(manager, "T1"), customers);
    assert_int_equal(REALIGN(csv_path), EXIT_DONE);
    fleet_sync(manager);
    assert_int_equal(in_territory(manager, "T1"), customers - 2);
    assert_int_equal(in_territory(manager, "T2"), 1);
    assert_int_equal(in_territory(manager, "T3"), 1);
}

/* RAL-1, RAL-2, and every other wrong file. */
static void wrong_line_moves_nobody(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "customer,territory\nK00000,T2\nNOBODY,T2\n",
        "customer,territory\nK00000,T2\nK00001,NOWHERE\n",
        "customer,territory\nK00000,T2\nK00001\n",
        "customer,territory\nK00000,T2\nK00000,T1\n",
        "customer,territory\nK00000,T2\nK00001,\n",
        "customer,place\nK00000,T2\n",
        "customer,territory\nK00000,\"T2\n",
        "",
    };
    int64_t cid = head(), audit = audit_number();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        csv_write(wrong[i]);
        assert_int_equal(REALIGN(csv_path), EXIT_REFUSED);
    }
    assert_int_equal(REALIGN("--from", "T1", "--to", "NOWHERE"), EXIT_REFUSED);
    assert_int_equal(REALIGN("--from", "T1", "--to", "T2", "--where", "nothing=1"), EXIT_REFUSED);
    assert_int_equal(REALIGN("--from", "T1"), EXIT_USAGE);
    assert_int_equal(REALIGN(csv_path, "--to", "T2"), EXIT_USAGE);
    assert_int_equal(REALIGN("--from", "T1", "--to", "T2", "--quick"), EXIT_USAGE);
    assert_int_equal(head(), cid);
    assert_int_equal(audit_number(), audit);
}

static void only_what_the_conditions_say(void **state)
{
    (void)state;
    assert_int_equal(
        REALIGN("--from", "T1", "--to", "T2", "--where", "remark=even", "--where", "status=draft"),
        EXIT_DONE);
    fleet_sync(manager);
    assert_int_equal(in_territory(manager, "T2"), (customers + 1) / 2);
    assert_int_equal(manager->report.rows_count, (customers + 1) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_both_is_told_where_they_are_and_nothing_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(second_run_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(file_moves_each_customer_where_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_line_moves_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_the_conditions_say, setup, teardown),
    };
    return cmocka_run_group_tests_name("realign", tests, NULL, NULL);
}
