/* test_tap_to_manager.c - one order from the rep's tap to the manager's screen.
 *
 * Runs every station of README's path in one process and asserts the trace: which stations spoke,
 * in which order, and what they said. Whoever has read this test knows the system. */
#include "support/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINES_MAX = 200 };

typedef struct trace_log {
    char lines[LINES_MAX][160];
    int count;
} trace_log;

static void line_keep(void *ctx, const char *line)
{
    trace_log *log = ctx;
    if (log->count < LINES_MAX) {
        snprintf(log->lines[log->count++], sizeof log->lines[0], "%s", line);
    }
}

/* The kept lines begin with these words, in this order; lines in between are allowed. */
static void trace_expect(trace_log *log, const char *const *expected)
{
    int at = 0;
    for (int i = 0; expected[i] != NULL; i++) {
        while (at < log->count && strncmp(log->lines[at], expected[i], strlen(expected[i])) != 0) {
            at++;
        }
        if (at == log->count) {
            fprintf(stderr, "the trace has no '%s' in its place:\n", expected[i]);
            for (int k = 0; k < log->count; k++) {
                fprintf(stderr, "  %s\n", log->lines[k]);
            }
            abort();
        }
        at++;
    }
    log->count = 0;
}

static int observed;

static void order_seen(void *ctx, const char *entity)
{
    (void)ctx;
    observed += strcmp(entity, "sales_order") == 0;
}

static void order_take(fleet_device *rep, const fb_id *customer, const fb_id *product)
{
    fb_error err = {0};
    fb_visit_in visit;
    fb_order *order = NULL;
    fb_order_receipt receipt;
    fleet_must(fb_group_begin(rep->db, "visit.done", 0, &err), &err, "group");
    fleet_must(fb_visit_check_in(rep->db, customer, NULL, &visit, &err), &err, "check in");
    fleet_must(fb_order_new(rep->db, customer, NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, product, NULL, 3000, NULL, NULL, &err), &err, "line");
    fleet_must(fb_order_submit(order, &receipt, &err), &err, "submit");
    fb_order_close(order);
    assert_int_equal(receipt.totals.total_minor, 3000); /* 3 x 10.00, to the cent */
    fleet_must(fb_visit_check_out(rep->db, &visit.visit, NULL, &err), &err, "check out");
    int64_t gseq = 0;
    fleet_must(fb_group_commit(rep->db, &gseq, &err), &err, "commit");
    assert_int_equal(gseq, 1);
}

static void path__tap_to_manager(void **state)
{
    (void)state;
    static fleet f;
    static trace_log log;
    f.heard = line_keep;
    f.heard_ctx = &log;
    fleet_open(&f);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *manager = fleet_device_add(&f, &f.manager);
    fb_error err = {0};
    uint32_t observer = 0, called = 0;
    fleet_must(fb_observe_add(manager->db, "sales_order", order_seen, NULL, &observer, &err), &err,
               "observe");
    fleet_must(fb_observe_poll(manager->db, &called, &err), &err, "poll");
    log.count = 0;
    observed = 0;

    /* 1-5: tap, public call, rules, capture: saved, and nobody was asked */
    order_take(rep, &f.customers[0], &f.product);
    trace_expect(&log, (const char *const[]){"capture gseq=1 ops=4", NULL});
    assert_int_equal(fleet_number(rep, "SELECT total FROM sales_order"), 3000);

    /* 6-16 on the rep's side: choose, encode, carry, door, intake, decide, ledger, feed, pull,
     * promote */
    fleet_sync(rep);
    trace_expect(&log, (const char *const[]){"push first=1 groups=1", "door code=OK",
                                             "intake gseq=1 ops=4",
                                             "decide gseq=1 verdict=applied error=OK",
                                             "ledger gseq=1 cid=", "feed rows=0 complete=1",
                                             "promote settled=1 rows_move=0",
                                             "pull applied=1 rows=0 verdicts=1 complete=1", NULL});

    /* 14-17 on the manager's side: feed, pull, promote, view */
    fleet_sync(manager);
    trace_expect(&log, (const char *const[]){
                           "push first=0 groups=0", "door code=OK", "feed rows=3 complete=1",
                           "promote settled=0 rows_move=1", "pull applied=0 rows=3", NULL});
    fleet_must(fb_observe_poll(manager->db, &called, &err), &err, "poll");
    trace_expect(&log, (const char *const[]){"observe called=1", NULL});
    assert_int_equal(observed, 1);
    assert_int_equal(
        fleet_number(
            manager,
            "SELECT sum(l.net) FROM sales_order o JOIN sales_order_line l ON l.order_id = o.id"),
        3000);

    /* Nothing happened twice: another round is silent. */
    fleet_sync(rep);
    trace_expect(&log,
                 (const char *const[]){"push first=0 groups=0", "feed rows=0 complete=1", NULL});
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    fleet_must(fb_db_check(manager->db, &err), &err, "check");
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path__tap_to_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
