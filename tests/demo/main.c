/* main.c - the six steps of the demo: see demo.h. Prints what happens and compares every figure
 * with the one computed from the CSV files; the exit code is 0 only if all agree. */
#include "demo/demo.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct demo {
    demo_data data;
    char home[1024], log[1100], import_folder[1100];
    bool keep;
    int port;
    pid_t server;
    broken_order broken;
    int broken_rep;
    uint32_t wrong; /* figures that do not agree */
} demo;

static void db_path(const demo *d, const char *who, char out[1200])
{
    snprintf(out, 1200, "%s/%s.db", d->home, who);
}

static void heading(int number, const char *text)
{
    printf("\n== %d. %s\n", number, text);
    fflush(stdout);
}

static cJSON *json_of(run_result *r)
{
    cJSON *j = cJSON_Parse(buf_cstr(&r->out));
    if (j == NULL) {
        demo_die("a program answered with something that is not JSON: %.200s", buf_cstr(&r->out));
    }
    return j;
}

/* Integer of a member that may be a number or a text. */
static int64_t number_of(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsString(v)) {
        return strtoll(v->valuestring, NULL, 10);
    }
    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
}

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

/* --- 1: the company ------------------------------------------------------------------------ */

static void step_company(demo *d)
{
    char port[16];
    heading(1, "a company: certificate authority, server, organisation, people, products, prices, "
               "customers");
    d->port = free_port();
    snprintf(port, sizeof port, "%d", d->port);
    const char *init[] = {
        "fieldbook-admin",   "--home",    d->home,  "init",   "--company",
        "Northwind Traders", "--code",    "NW",     "--host", "localhost,127.0.0.1",
        "--listen",          "127.0.0.1", "--port", port,     NULL};
    run_result r = run_ok(init, d->log);
    run_free(&r);
    snprintf(d->import_folder, sizeof d->import_folder, "%s/import", d->home);
    make_folder(d->import_folder);
    company_write(&d->data, d->import_folder);
    for (size_t i = 0; i < IMPORTS_COUNT; i++) {
        char path[1300];
        snprintf(path, sizeof path, "%s/%s", d->import_folder, IMPORTS[i].file);
        const char *import[] = {"fieldbook-admin", "--home", d->home, "import",
                                IMPORTS[i].entity, path,     NULL};
        r = run_ok(import, d->log);
        printf("   %s", buf_cstr(&r.out));
        run_free(&r);
    }
    const char *setting[] = {"fieldbook-admin",       "--home", d->home, "setting", "set",
                             "order.discount_max_bp", "3000",   NULL};
    r = run_ok(setting, d->log);
    printf("   %s", buf_cstr(&r.out));
    run_free(&r);
}

/* --- 2: devices ------------------------------------------------------------------------------ */

static void enrol(demo *d, const char *user)
{
    char db[1200], url[64], ca[1200], name[64];
    db_path(d, user, db);
    snprintf(url, sizeof url, "https://localhost:%d", d->port);
    snprintf(ca, sizeof ca, "%s/ca.pem", d->home);
    snprintf(name, sizeof name, "phone of %s", user);
    const char *make[] = {
        "fieldbook-admin", "--home", d->home, "--json", "code", "make", user, NULL};
    run_result r = run_ok(make, d->log);
    cJSON *j = json_of(&r);
    const char *argv[] = {"fieldbook", "--db", db,  "enrol",  "--server",
                          url,         "--ca", ca,  "--code", string_of(j, "code"),
                          "--name",    name,   NULL};
    run_result e = run_ok(argv, d->log);
    run_free(&e);
    cJSON_Delete(j);
    run_free(&r);
}

/* One sync; returns the report. */
static cJSON *sync_one(demo *d, const char *user, int64_t *elapsed_ms)
{
    char db[1200];
    db_path(d, user, db);
    const char *argv[] = {"fieldbook", "--db", db, "--json", "sync", NULL};
    run_result r = run_ok(argv, d->log);
    cJSON *j = json_of(&r);
    if (elapsed_ms != NULL) {
        *elapsed_ms = r.elapsed_ms;
    }
    run_free(&r);
    return j;
}

static void sync_print(const char *user, const cJSON *j, int64_t elapsed_ms)
{
    printf("   %-3s %5lld groups up  %4lld applied %3lld merged %3lld rejected %3lld held  %6lld "
           "rows down  %8lld bytes up %8lld "
           "down  %5lld ms\n",
           user, (long long)number_of(j, "groups_sent"), (long long)number_of(j, "applied"),
           (long long)number_of(j, "merged"), (long long)number_of(j, "rejected"),
           (long long)number_of(j, "held"), (long long)number_of(j, "rows"),
           (long long)number_of(j, "bytes_up"), (long long)number_of(j, "bytes_down"),
           (long long)elapsed_ms);
    fflush(stdout);
}

static void sync_shown(demo *d, const char *user)
{
    int64_t elapsed_ms = 0;
    cJSON *j = sync_one(d, user, &elapsed_ms);
    sync_print(user, j, elapsed_ms);
    cJSON_Delete(j);
}

static const char *user_code(char letter, int number, char out[8])
{
    snprintf(out, 8, "%c%d", letter, number);
    return out;
}

static void everybody(demo *d, void (*what)(demo *d, const char *user))
{
    char user[8];
    for (int e = 1; e <= REPS; e++) {
        what(d, user_code('E', e, user));
    }
    for (int m = 1; m <= REGIONS; m++) {
        what(d, user_code('M', m, user));
    }
}

static void step_devices(demo *d)
{
    heading(2, "9 reps and 4 managers enrol their devices over TLS and download what they may see");
    d->server = server_start(d->home, d->log);
    everybody(d, enrol);
    everybody(d, sync_shown);
}

/* --- 3: a day without a network -----------------------------------------------------------------
 */

static void step_offline(demo *d)
{
    heading(3, "the server is stopped; the reps record 830 real orders offline");
    server_stop(d->server);
    int64_t start = now_ms();
    uint32_t orders = 0;
    for (int e = 1; e <= REPS; e++) {
        char user[8], file[1200], db[1200];
        user_code('E', e, user);
        snprintf(file, sizeof file, "%s/%s.ndjson", d->home, user);
        db_path(d, user, db);
        uint32_t count = orders_write(&d->data, (uint32_t)(e - 1), &d->broken, file);
        const char *argv[] = {"fieldbook", "--db", db, "--json", "batch", file, NULL};
        run_result r = run_ok(argv, d->log);
        printf("   %s: %3u visits with an order saved in %lld ms, each one atomic group, each "
               "synced to disk\n",
               user, count, (long long)r.elapsed_ms);
        run_free(&r);
        orders += count;
    }
    printf("   %u orders in %lld ms, no server in sight\n", orders, (long long)(now_ms() - start));
}

/* --- 4: back online
 * ------------------------------------------------------------------------------- */

static void step_online(demo *d)
{
    heading(
        4,
        "meanwhile IT lowers the discount limit to 25 %; the server starts again, everybody syncs");
    const char *setting[] = {"fieldbook-admin",       "--home", d->home, "setting", "set",
                             "order.discount_max_bp", "2500",   NULL};
    run_result r = run_ok(setting, d->log);
    run_free(&r);
    d->server = server_start(d->home, d->log);
    everybody(d, sync_shown);
}

/* --- 5: conflicts and a rejected order
 * --------------------------------------------------------------- */

static void customer_set(demo *d, const char *user, const char *customer, const char *a,
                         const char *b)
{
    char db[1200];
    db_path(d, user, db);
    const char *argv[] = {"fieldbook", "--db", db, "customer", "set", customer, a, b, NULL};
    run_result r = run_ok(argv, d->log);
    run_free(&r);
    printf("   %s offline: %s %s%s%s\n", user, customer, a, b != NULL ? " " : "",
           b != NULL ? b : "");
}

static void indented(const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        printf("      %.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

static void show(demo *d, const char *user, const char *const *tail)
{
    char db[1200];
    db_path(d, user, db);
    const char *argv[16] = {"fieldbook", "--db", db};
    for (int i = 0; i < 12 && tail[i] != NULL; i++) {
        argv[3 + i] = tail[i];
    }
    run_result r = run_ok(argv, d->log);
    indented(buf_cstr(&r.out));
    run_free(&r);
}

/* A customer that E1 and E4 share: both may edit it. */
static const char *shared_customer(const demo_data *d)
{
    static char code[16];
    for (uint32_t c = 0; c < d->customers.rows; c++) {
        fb_text id = cell(&d->customers, c, "customer_id");
        bool by1 = false, by4 = false;
        for (uint32_t o = 0; o < d->orders.rows; o++) {
            bool mine = text_equal(cell(&d->orders, o, "customer_id"), id);
            by1 |= mine && text_is(cell(&d->orders, o, "employee_id"), "1");
            by4 |= mine && text_is(cell(&d->orders, o, "employee_id"), "4");
        }
        if (by1 && by4) {
            snprintf(code, sizeof code, "%.*s", (int)id.size, id.data);
            return code;
        }
    }
    demo_die("no customer is shared by two reps");
}

static void conflicts(demo *d)
{
    const char *customer = shared_customer(&d->data);
    printf("   E1 and E4 both look after %s and edit it with no network:\n", customer);
    customer_set(d, "E1", customer, "email=office@example.com", "remark=closed on Mondays");
    customer_set(d, "E4", customer, "website=www.example.com", "remark=ask for the new buyer");
    sync_shown(d, "E1");
    sync_shown(d, "E4");
    sync_shown(d, "E1");
    printf("   merged, as E1 sees it now (different columns: both stand; the same column: policy "
           "LWW, later capture wins):\n");
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT code, email, website, remark FROM customer WHERE code = '%s'",
             customer);
    const char *customer_show[] = {"query", sql, NULL};
    show(d, "E1", customer_show);
    printf("   the losing value is kept in a conflict record, visible to both reps and their "
           "managers:\n");
    const char *conflict_show[] = {
        "query", "SELECT field, base, mine, theirs, policy, winner, state FROM conflict", NULL};
    show(d, "E1", conflict_show);
}

static void rejected_order(demo *d)
{
    char user[8], db[1200], gseq[32], set[64];
    user_code('E', d->broken_rep, user);
    db_path(d, user, db);
    printf("   %s's order %.*s was submitted with 30 %% discount, which was allowed when the phone "
           "was last online:\n",
           user, (int)cell(&d->data.orders, d->broken.order_row, "order_id").size,
           cell(&d->data.orders, d->broken.order_row, "order_id").data);
    const char *argv[] = {"fieldbook", "--db", db, "--json", "problems", "list", NULL};
    run_result r = run_ok(argv, d->log);
    cJSON *j = json_of(&r);
    const cJSON *first = cJSON_IsArray(j)
                             ? cJSON_GetArrayItem(j, 0)
                             : cJSON_GetArrayItem(cJSON_GetObjectItem(j, "problems"), 0);
    snprintf(gseq, sizeof gseq, "%lld", (long long)number_of(first, "gseq"));
    printf("      group %s is %s: %s\n      %s\n      cure: %s\n      %s\n", gseq,
           string_of(first, "state"), string_of(first, "field"), string_of(first, "text"),
           string_of(first, "cure"), string_of(first, "text_zh"));
    cJSON_Delete(j);
    run_free(&r);
    snprintf(set, sizeof set, "sales_order_line[%u].discount_bp=25", d->broken.line_index + 1);
    const char *resubmit[] = {"fieldbook", "--db", db, "problems", "resubmit", gseq, set, NULL};
    r = run_ok(resubmit, d->log);
    run_free(&r);
    printf("   corrected to 25 %% and sent again:\n");
    sync_shown(d, user);
}

static void step_conflicts(demo *d)
{
    heading(5, "two reps edit one customer offline; a rejected order comes back with its cure");
    conflicts(d);
    rejected_order(d);
}

/* --- 6: the managers
 * ---------------------------------------------------------------------------------- */

static void money(char out[48], int64_t minor)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)(minor / 100));
    size_t n = strlen(digits), k = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) {
            out[k++] = ',';
        }
        out[k++] = digits[i];
    }
    snprintf(out + k, 48 - k, ".%02lld", (long long)(minor % 100));
}

static demo_figures manager_figures(demo *d, int region)
{
    char user[8], db[1200], sql[700];
    user_code('M', region + 1, user);
    db_path(d, user, db);
    snprintf(
        sql, sizeof sql,
        "SELECT count(DISTINCT o.id) AS orders, count(*) AS lines, coalesce(sum(l.net),0) AS net "
        "FROM sales_order o JOIN sales_order_line l ON l.order_id = o.id "
        "JOIN territory t ON t.id = o.territory_id JOIN org_unit u ON u.id = t.org_unit_id WHERE "
        "u.code = 'R%d'",
        region + 1);
    const char *argv[] = {"fieldbook", "--db", db, "--json", "query", sql, NULL};
    run_result r = run_ok(argv, d->log);
    cJSON *j = json_of(&r);
    const cJSON *row = cJSON_IsArray(j) ? cJSON_GetArrayItem(j, 0) : j;
    if (cJSON_GetObjectItem(row, "rows") != NULL) {
        row = cJSON_GetArrayItem(cJSON_GetObjectItem(row, "rows"), 0);
    }
    demo_figures f = {number_of(row, "orders"), number_of(row, "lines"), number_of(row, "net")};
    cJSON_Delete(j);
    run_free(&r);
    return f;
}

static void figures_print(demo *d, const char *name, const demo_figures *is,
                          const demo_figures *must)
{
    char net_is[48], net_must[48];
    money(net_is, is->net_minor);
    money(net_must, must->net_minor);
    bool good =
        is->orders == must->orders && is->lines == must->lines && is->net_minor == must->net_minor;
    d->wrong += !good;
    printf("   %-10s %6lld %7lld %15s   | %6lld %7lld %15s   %s\n", name, (long long)is->orders,
           (long long)is->lines, net_is, (long long)must->orders, (long long)must->lines, net_must,
           good ? "ok" : "DIFFERENT");
}

static demo_figures step_managers(demo *d)
{
    heading(6, "the managers sync and pull the merged data of their regions");
    demo_figures sum_is = {0}, sum_must = {0};
    char user[8], db[1200], out[1200];
    for (int m = 1; m <= REGIONS; m++) {
        sync_shown(d, user_code('M', m, user));
        db_path(d, user, db);
        snprintf(out, sizeof out, "%s/pull-%s", d->home, user);
        const char *pull[] = {"fieldbook", "--db",     db,    "pull", "--out",
                              out,         "--format", "csv", NULL};
        run_result r = run_ok(pull, d->log);
        run_free(&r);
    }
    printf("\n   %-10s %6s %7s %15s   | %6s %7s %15s\n", "region", "orders", "lines", "net",
           "orders", "lines", "net (from CSV)");
    for (int m = 0; m < REGIONS; m++) {
        char name[64];
        fb_text region = cell(&d->data.regions, (uint32_t)m, "region_description");
        snprintf(name, sizeof name, "%.*s", (int)region.size, region.data);
        demo_figures is = manager_figures(d, m), must;
        figures_of_region(&d->data, m, &must);
        figures_print(d, name, &is, &must);
        sum_is = (demo_figures){sum_is.orders + is.orders, sum_is.lines + is.lines,
                                sum_is.net_minor + is.net_minor};
        sum_must = (demo_figures){sum_must.orders + must.orders, sum_must.lines + must.lines,
                                  sum_must.net_minor + must.net_minor};
    }
    figures_print(d, "in all", &sum_is, &sum_must);
    return sum_is;
}

/* --- around
 * --------------------------------------------------------------------------------------------- */

static void keep_say(const demo *d)
{
    printf("\nThe company is kept in %s. Go on by hand, with the programs of build/release:\n"
           "  start the server     fieldbookd --config %s/fieldbookd.conf\n"
           "  a rep's replica      sqlite3 -readonly %s/E1.db \"SELECT code, name, phone FROM "
           "customer LIMIT 5\"\n"
           "  find a customer      fieldbook --db %s/E1.db find alf\n"
           "  sync                 fieldbook --db %s/E1.db sync\n"
           "  a manager's query    fieldbook --db %s/M1.db query \"SELECT count(*) FROM "
           "sales_order\"\n"
           "  administration       fieldbook-admin --home %s --help\n\n",
           d->home, d->home, d->home, d->home, d->home, d->home, d->home);
}

static void home_make(demo *d, const char *keep)
{
    if (keep != NULL) {
        d->keep = true;
        if (access(keep, F_OK) == 0) {
            demo_die("%s exists already: choose a new folder", keep);
        }
        make_folder(keep);
        char *whole = realpath(keep, NULL);
        if (whole == NULL || strlen(whole) >= sizeof d->home) {
            demo_die("cannot use the folder %s", keep);
        }
        snprintf(d->home, sizeof d->home, "%s", whole);
        free(whole);
    } else {
        const char *base = getenv("TMPDIR");
        snprintf(d->home, sizeof d->home, "%s/fieldbook-demo-XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(d->home) == NULL) {
            demo_die("cannot make a temporary folder below %s", base != NULL ? base : "/tmp");
        }
    }
    snprintf(d->log, sizeof d->log, "%s/demo.log", d->home);
}

static void home_remove(const demo *d)
{
    if (d->keep || fork() != 0) {
        return;
    }
    execlp("rm", "rm", "-rf", "--", d->home, (char *)NULL);
    _exit(127);
}

static void prepare(demo *d, const char *keep)
{
    const char *source = getenv("FIELDBOOK_SOURCE_DIR");
    char folder[1200];
    snprintf(folder, sizeof folder, "%s/tests/data/northwind",
             source != NULL ? source : FB_SOURCE_DIR);
    data_load(&d->data, folder);
    home_make(d, keep);
    d->broken = broken_pick(&d->data);
    d->broken_rep = (int)row_where(&d->data.employees, "employee_id",
                                   cell(&d->data.orders, d->broken.order_row, "employee_id")) +
                    1;
}

int main(int argc, char **argv)
{
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    if (help || !(argc == 1 || (argc == 3 && strcmp(argv[1], "--keep") == 0))) {
        puts("fb-demo [--keep DIR] - the main job on real data; --keep leaves the company in DIR");
        return help ? 0 : 2;
    }
    static demo d;
    prepare(&d, argc == 3 ? argv[2] : NULL);
    int64_t start = now_ms();
    step_company(&d);
    step_devices(&d);
    step_offline(&d);
    step_online(&d);
    step_conflicts(&d);
    demo_figures sum = step_managers(&d);
    server_stop(d.server);
    printf("\n   everything took %lld ms\n", (long long)(now_ms() - start));
    if (d.keep) {
        keep_say(&d);
    } else {
        home_remove(&d);
    }
    arena_free(d.data.memory);
    printf("demo %s: orders=%lld lines=%lld net=%lld.%02lld\n", d.wrong == 0 ? "ok" : "failed",
           (long long)sum.orders, (long long)sum.lines, (long long)(sum.net_minor / 100),
           (long long)(sum.net_minor % 100));
    return d.wrong == 0 ? 0 : 1;
}
