/* judge.c - after healing, from outside: the files of server and phones, read with SQL of our own
 * and with the programs that a person would use. See soak.h.
 *
 *   JDG-1  every group that was acknowledged stands on the server whole and once, or its text lies
 *          in a tray with its verdict; one whose call failed stands nowhere
 *   JDG-2  the money on the server and on every phone is what the harness counted itself
 *   JDG-3  every row of a phone is the server's row, column for column; what belongs to the
 *          phone's customers is all there
 *   JDG-4  `fieldbook check` and `fieldbook-admin check`, `blobs check` find nothing */
#include "soak/soak.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { SQL_BYTES = 8192, SHOWN_MAX = 5 };

typedef struct part_row {
    unsigned part;
    const char *entity, *column;
} part_row;
static const part_row PART_ROWS[PARTS_COUNT] = {
    {PART_VISIT, "visit", "note"},       {PART_ORDER, "sales_order", "note"},
    {PART_PAYMENT, "payment", "ref_no"}, {PART_ACTIVITY, "activity", "subject"},
    {PART_PHOTO, "attachment", "note"},
};

static sqlite3 *open_copy(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        give_up("cannot read %s: %s", path, sqlite3_errmsg(db));
    }
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) {
        give_up("the judge's question is wrong: %s: %s", sqlite3_errmsg(db), sql);
    }
    return q;
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = prepare(db, sql);
    int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    return n;
}

/* ---------------------------------------------------------------- JDG-1 */

static group *group_named(soak *s, const char *marker)
{
    int device = 0, number = 0;
    return marker != NULL && marker_get(marker, &device, &number)
               ? book_find(&s->book, device, number)
               : NULL;
}

static void count_parts(soak *s, sqlite3 *server)
{
    char sql[SQL_BYTES];
    for (int i = 0; i < PARTS_COUNT; i++) {
        snprintf(sql, sizeof sql, "SELECT %s, count(*) FROM %s WHERE %s LIKE 'sk-%%' GROUP BY 1",
                 PART_ROWS[i].column, PART_ROWS[i].entity, PART_ROWS[i].column);
        sqlite3_stmt *q = prepare(server, sql);
        while (sqlite3_step(q) == SQLITE_ROW) {
            const char *marker = (const char *)sqlite3_column_text(q, 0);
            group *g = group_named(s, marker);
            if (g == NULL) {
                violation(s, "the server has %s %s, which nobody saved", PART_ROWS[i].entity,
                          marker);
                continue;
            }
            g->found[i] = sqlite3_column_int(q, 1);
        }
        sqlite3_finalize(q);
    }
    sqlite3_stmt *q =
        prepare(server, "SELECT o.note, count(*) FROM sales_order_line l JOIN sales_order o ON "
                        "o.id = l.order_id WHERE o.note LIKE 'sk-%' GROUP BY 1");
    while (sqlite3_step(q) == SQLITE_ROW) {
        group *g = group_named(s, (const char *)sqlite3_column_text(q, 0));
        if (g != NULL) {
            g->found_lines = sqlite3_column_int(q, 1);
        }
    }
    sqlite3_finalize(q);
}

/* The text of a stored group: as it is, or in one zstd frame. Ends with free. */
static char *group_text(const void *blob, int size)
{
    unsigned long long full = size > 0 ? ZSTD_getFrameContentSize(blob, (size_t)size) : 0;
    if (full == ZSTD_CONTENTSIZE_ERROR || full == ZSTD_CONTENTSIZE_UNKNOWN || full > (1U << 26)) {
        return strndup(blob, (size_t)size);
    }
    char *text = calloc(1, (size_t)full + 1);
    if (text != NULL && full > 0) {
        (void)ZSTD_decompress(text, (size_t)full, blob, (size_t)size);
    }
    return text;
}

static void count_tray(soak *s, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = prepare(db, sql);
    while (sqlite3_step(q) == SQLITE_ROW) {
        char *text = group_text(sqlite3_column_blob(q, 0), sqlite3_column_bytes(q, 0));
        const char *at = text != NULL ? strstr(text, "sk-") : NULL;
        group *g = group_named(s, at);
        if (g != NULL) {
            g->in_tray = true;
        }
        free(text);
    }
    sqlite3_finalize(q);
}

static void judge_group(soak *s, const group *g)
{
    char marker[MARKER_BYTES];
    int whole = 0, none = 0, more = 0;
    marker_of(g, marker);
    for (int i = 0; i < PARTS_COUNT; i++) {
        int wanted = (g->parts & PART_ROWS[i].part) != 0 ? 1 : 0;
        whole += g->found[i] == wanted;
        none += g->found[i] == 0;
        more += g->found[i] > wanted;
    }
    bool is_whole = whole == PARTS_COUNT && g->found_lines == g->lines;
    bool is_none = none == PARTS_COUNT && g->found_lines == 0;
    if (more > 0 || g->found_lines > g->lines) {
        s->doubled++;
        violation(s, "group %s is doubled", marker);
    } else if (!is_whole && !is_none) {
        violation(s, "group %s is half there", marker);
    } else if (is_none && !g->in_tray && g->state == GROUP_SAVED && !g->excused) {
        s->lost++;
        violation(s, "group %s was acknowledged and is lost", marker);
    } else if ((is_whole || g->in_tray) && g->state == GROUP_FAILED) {
        violation(s, "group %s is there, and its call had failed", marker);
    }
}

static void judge_groups(soak *s, sqlite3 *server)
{
    unsigned trays = 0, excused = 0;
    count_parts(s, server);
    count_tray(s, server, "SELECT payload FROM fs_verdict WHERE code <> 1 AND payload IS NOT NULL");
    for (size_t i = 0; i < s->book.count; i++) {
        const group *g = &s->book.groups[i];
        judge_group(s, g);
        trays += g->in_tray;
        excused += g->state == GROUP_SAVED && g->excused && g->found[0] == 0;
    }
    printf("groups: begun=%zu in_trays=%u taken_by_disasters=%u\n", s->book.count, trays, excused);
}

/* ---------------------------------------------------------------- JDG-2 */

static void judge_money(soak *s, sqlite3 *db, int device, const char *whose)
{
    int64_t orders = 0, payments = 0, visits = 0;
    for (size_t i = 0; i < s->book.count; i++) {
        const group *g = &s->book.groups[i];
        if (g->found[0] > 0 && (device < 0 || g->device == device)) {
            orders += g->order_minor;
            payments += g->payment_minor;
            visits++;
        }
    }
    int64_t has_orders = number_of(db, "SELECT coalesce(sum(total), 0) FROM sales_order");
    int64_t has_payments = number_of(db, "SELECT coalesce(sum(amount), 0) FROM payment");
    int64_t has_visits = number_of(db, "SELECT count(*) FROM visit");
    int64_t lines =
        number_of(db, "SELECT count(*) FROM sales_order o WHERE o.total <> (SELECT sum(l.gross) "
                      "FROM sales_order_line l WHERE l.order_id = o.id)");
    if (orders != has_orders || payments != has_payments || visits != has_visits || lines != 0) {
        violation(s,
                  "%s has orders of %lld, payments of %lld in %lld visits; counted were %lld, "
                  "%lld, %lld; "
                  "%lld orders are not the sum of their lines",
                  whose, (long long)has_orders, (long long)has_payments, (long long)has_visits,
                  (long long)orders, (long long)payments, (long long)visits, (long long)lines);
    }
}

/* ---------------------------------------------------------------- JDG-3 */

static void columns_of(sqlite3 *db, const char *entity, char out[SQL_BYTES / 4])
{
    char sql[256];
    size_t used = 0;
    snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s') WHERE name <> 'ver'",
             entity);
    sqlite3_stmt *q = prepare(db, sql);
    while (sqlite3_step(q) == SQLITE_ROW) {
        used += (size_t)snprintf(out + used, SQL_BYTES / 4 - used, "%s%s", used == 0 ? "" : ",",
                                 (const char *)sqlite3_column_text(q, 0));
    }
    sqlite3_finalize(q);
}

/* Rows of `entity` for which `where` holds that are in one and not, as they are, in the other. */
static void compare(soak *s, const soak_device *d, sqlite3 *db, const char *entity,
                    const char *where)
{
    char columns[SQL_BYTES / 4], sql[SQL_BYTES];
    columns_of(db, entity, columns);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT %s FROM main.%s EXCEPT SELECT %s FROM srv.%s)", columns,
             entity, columns, entity);
    int64_t extra = number_of(db, sql), missing = 0;
    /* A row that the phone made itself has no version until the server sends it. */
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM main.%s m JOIN srv.%s r USING (id) WHERE m.ver NOT IN (0, r.ver)",
        entity, entity);
    int64_t other = number_of(db, sql);
    if (where != NULL) {
        snprintf(
            sql, sizeof sql,
            "SELECT count(*) FROM (SELECT %s FROM srv.%s WHERE %s EXCEPT SELECT %s FROM main.%s)",
            columns, entity, where, columns, entity);
        missing = number_of(db, sql);
    }
    if (other != 0) {
        violation(s, "device %d: %lld rows of %s have another version than the server's", d->index,
                  (long long)other, entity);
    }
    if (extra != 0 || missing != 0) {
        violation(
            s, "device %d: %lld rows of %s are not the server's, %lld of the server's are missing",
            d->index, (long long)extra, entity, (long long)missing);
    }
}

/* What belongs to the phone's customers; everything for the manager. */
static const char *belongs(const soak_device *d, const char *entity, char out[400])
{
    char mine[160] = "SELECT id FROM srv.customer";
    if (!d->is_manager) {
        snprintf(mine, sizeof mine, "SELECT id FROM srv.customer WHERE code LIKE 'K%d-%%'",
                 d->index + 1);
    }
    if (strcmp(entity, "customer") == 0) {
        snprintf(out, 400, "id IN (%s)", mine);
    } else if (strcmp(entity, "sales_order_line") == 0) {
        snprintf(out, 400, "order_id IN (SELECT id FROM srv.sales_order WHERE customer_id IN (%s))",
                 mine);
    } else if (strcmp(entity, "attachment") == 0) {
        snprintf(out, 400, "visit_id IN (SELECT id FROM srv.visit WHERE customer_id IN (%s))",
                 mine);
    } else if (strcmp(entity, "visit") == 0 || strcmp(entity, "sales_order") == 0 ||
               strcmp(entity, "payment") == 0 || strcmp(entity, "activity") == 0) {
        snprintf(out, 400, "customer_id IN (%s)", mine);
    } else {
        return NULL;
    }
    return out;
}

static void judge_rows(soak *s, const soak_device *d, sqlite3 *db, const char *server_path)
{
    char sql[PATH_BYTES + 64], names[100][64], where[400];
    int count = 0;
    snprintf(sql, sizeof sql, "ATTACH '%s' AS srv", server_path);
    sqlite3_stmt *q = prepare(db, sql);
    (void)sqlite3_step(q);
    sqlite3_finalize(q);
    q = prepare(
        db, "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'fb\\_%' "
            "ESCAPE '\\' AND name NOT LIKE 'sqlite%'");
    while (count < 100 && sqlite3_step(q) == SQLITE_ROW) {
        snprintf(names[count++], sizeof names[0], "%s", (const char *)sqlite3_column_text(q, 0));
    }
    sqlite3_finalize(q);
    for (int i = 0; i < count; i++) {
        compare(s, d, db, names[i], belongs(d, names[i], where));
    }
}

/* ---------------------------------------------------------------- all */

static void judge_program(soak *s, const char *const *argv, const char *what)
{
    char out[PATH_BYTES + 16];
    snprintf(out, sizeof out, "%s/judge.out", s->folder);
    if (proc_run(s, argv, out, out) != 0) {
        char *text = file_text(out);
        violation(s, "%s: %.500s", what, text);
        free(text);
    }
}

static void judge_server(soak *s)
{
    const char *const check[] = {"fieldbook-admin", "--home", s->home, "check", NULL};
    const char *const blobs[] = {"fieldbook-admin", "--home", s->home, "blobs", "check", NULL};
    judge_program(s, check, "fieldbook-admin check");
    judge_program(s, blobs, "fieldbook-admin blobs check");
    char *log = file_text(s->server_log);
    if (strstr(log, "Sanitizer") != NULL || strstr(log, "runtime error") != NULL ||
        strstr(log, "broken promise") != NULL) {
        violation(s, "the server's log speaks of a bug: %s", s->server_log);
    }
    free(log);
}

static void judge_status(soak *s, const soak_device *d)
{
    char out[PATH_BYTES + 16];
    const char *const argv[] = {"fieldbook", "--json", "--db", d->db, "status", NULL};
    snprintf(out, sizeof out, "%s/judge.out", s->folder);
    int code = proc_run(s, argv, out, NULL);
    char *text = file_text(out);
    if (code != 0 || strstr(text, "\"pending\":0,") == NULL) {
        violation(s, "device %d still has something to send: %.300s", d->index, text);
    }
    free(text);
}

static void judge_device(soak *s, const soak_device *d, const char *server_path)
{
    char path[PATH_BYTES + 16], folder[PATH_BYTES + 16], whose[32];
    const char *const check[] = {"fieldbook", "--json", "--db", d->db, "check", NULL};
    judge_program(s, check, "fieldbook check");
    snprintf(folder, sizeof folder, "%s/judge.d%d", s->folder, d->index);
    snprintf(path, sizeof path, "%s/me.db", folder);
    if (!folder_copy(s, d->folder, folder)) {
        give_up("cannot copy %s", d->folder);
    }
    sqlite3 *db = open_copy(path);
    snprintf(whose, sizeof whose, "device %d", d->index);
    judge_money(s, db, d->is_manager ? -1 : d->index, whose);
    judge_rows(s, d, db, server_path);
    judge_status(s, d);
    sqlite3_close(db);
    folder_remove(folder);
}

void judge_run(soak *s)
{
    char folder[PATH_BYTES + 16], path[PATH_BYTES + 32];
    snprintf(folder, sizeof folder, "%s/judge.server", s->folder);
    snprintf(path, sizeof path, "%s/master.db", folder);
    judge_server(s);
    if (!folder_copy(s, s->home, folder)) {
        give_up("cannot copy %s", s->home);
    }
    sqlite3 *server = open_copy(path);
    judge_groups(s, server);
    judge_money(s, server, -1, "the server");
    sqlite3_close(server);
    for (int i = 0; i < s->devices_count; i++) {
        judge_device(s, &s->devices[i], path);
    }
    folder_remove(folder);
}
