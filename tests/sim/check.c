/* check.c - what must hold once everything is quiet. See sim.h.
 *
 * Reads the databases with SQL of its own: no code of the feed, the replica or the rules. */
#include "sim/sim.h"

#include "sync-server/feed/feed.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which rows of an entity a person may see; :u the user, T and C the user's territories and
 * customers. */
typedef struct projection {
    const char *entity, *where;
} projection;

static const projection PROJECTIONS[] = {
    {"customer", "id IN C"},
    {"customer_address", "customer_id IN C"},
    {"contact", "customer_id IN C"},
    {"customer_assignment", "customer_id IN C"},
    {"customer_tag", "customer_id IN C"},
    {"visit", "customer_id IN C"},
    {"visit_action", "visit_id IN (SELECT id FROM visit WHERE customer_id IN C)"},
    {"activity", "customer_id IN C OR user_id = :u"},
    {"task", "customer_id IN C OR assignee_id = :u OR assigner_id = :u"},
    {"sales_order", "customer_id IN C"},
    {"sales_order_line", "order_id IN (SELECT id FROM sales_order WHERE customer_id IN C)"},
    {"payment", "customer_id IN C"},
    {"attachment", "customer_id IN C OR visit_id IN (SELECT id FROM visit WHERE customer_id IN C) "
                   "OR order_id IN (SELECT id FROM sales_order WHERE customer_id IN C)"},
    {"change_request", "customer_id IN C OR requested_by = :u"},
    {"held_group", "user_id = :u OR org_unit_id IS NOT NULL"}, /* everybody is of one region */
    {"conflict", "customer_id IN C OR user_id = :u OR other_user_id = :u"},
    {"product", "1"},
    {"sim_stock", "1"},
    {"sim_thing1", "customer_id IN C"},
    {"sim_thing2", "customer_id IN C"},
    {"sim_thing3", "customer_id IN C"},
    {"price_list_item", "1"},
    {"erasure", "1"},
    {"setting", "1"},
    {"territory", "1"},
    {"user_territory", "user_id = :u"},
};

static const char WITH_REP[] =
    "WITH T AS (SELECT territory_id FROM user_territory WHERE user_id = :u AND valid_to IS NULL), "
    "C AS (SELECT id FROM customer WHERE territory_id IN T OR owner_id = :u OR id IN "
    "(SELECT customer_id FROM customer_assignment WHERE to_at IS NULL AND (user_id = :u OR "
    "territory_id IN T))) ";
static const char WITH_MANAGER[] =
    "WITH T AS (SELECT id FROM territory), "
    "C AS (SELECT id FROM customer WHERE territory_id IN T OR owner_id = :u OR id IN "
    "(SELECT customer_id FROM customer_assignment WHERE to_at IS NULL AND (user_id = :u OR "
    "territory_id IN T))) ";

/* The oracle's own look meets no fault: what lies in wait on this machine is for its programs. */
sqlite3 *open_file(sim *s, const char *path)
{
    sqlite3 *db = NULL;
    char machine[16];
    snprintf(machine, sizeof machine, "%.*s", (int)strcspn(path, "/"), path);
    crash_vfs_fail(s->vfs, machine, 0, SQLITE_OK, false);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "simfs") != SQLITE_OK) {
        sim_violation(s, "%s cannot be opened after healing", path);
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

/* The entity's columns but ver, the id first. */
static void row_columns(const cat_entity *e, buf *sql)
{
    for (uint32_t i = 0; i + 1 < e->columns_count; i++) {
        buf_printf(sql, "%s%s", i > 0 ? ", " : "", e->columns[i].name.data);
    }
}

static sqlite3_stmt *rows_of(sim *s, sqlite3 *db, const cat_entity *e, const char *with,
                             const char *where, const fb_id *user)
{
    buf sql;
    buf_init(&sql, 1 << 16);
    buf_printf(&sql, "%sSELECT ", with);
    row_columns(e, &sql);
    buf_printf(&sql, " FROM %s WHERE %s ORDER BY id", e->name.data, where);
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, buf_cstr(&sql), -1, &q, NULL) != SQLITE_OK) {
        sim_violation(s, "the checker's SQL is wrong: %s", sqlite3_errmsg(db));
    }
    int u = q != NULL ? sqlite3_bind_parameter_index(q, ":u") : 0;
    if (u > 0) {
        sqlite3_bind_blob(q, u, user->b, sizeof user->b, SQLITE_TRANSIENT);
    }
    buf_clear(&sql);
    return q;
}

static bool row_next(sqlite3_stmt *q)
{
    return q != NULL && sqlite3_step(q) == SQLITE_ROW;
}

static bool value_same(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
    int type = sqlite3_column_type(a, column);
    if (type != sqlite3_column_type(b, column)) {
        return false;
    }
    switch (type) {
    case SQLITE_NULL:
        return true;
    case SQLITE_INTEGER:
        return sqlite3_column_int64(a, column) == sqlite3_column_int64(b, column);
    case SQLITE_FLOAT: {
        double x = sqlite3_column_double(a, column), y = sqlite3_column_double(b, column);
        return memcmp(&x, &y, sizeof x) == 0;
    }
    default: {
        const void *x = sqlite3_column_blob(a, column), *y = sqlite3_column_blob(b, column);
        int size = sqlite3_column_bytes(a, column);
        return size == sqlite3_column_bytes(b, column) &&
               (size == 0 || memcmp(x, y, (size_t)size) == 0);
    }
    }
}

static bool row_same(sqlite3_stmt *a, sqlite3_stmt *b)
{
    for (int i = 0; i < sqlite3_column_count(a); i++) {
        if (!value_same(a, b, i)) {
            return false;
        }
    }
    return true;
}

static void row_show(sim *s, const char *whose, sqlite3_stmt *q, bool any)
{
    buf line;
    buf_init(&line, 1 << 16);
    for (int i = 0; any && i < sqlite3_column_count(q); i++) {
        buf_printf(&line, " %s=", sqlite3_column_name(q, i));
        if (sqlite3_column_type(q, i) == SQLITE_BLOB) {
            hex_put(&line, sqlite3_column_blob(q, i), (size_t)sqlite3_column_bytes(q, i));
        } else {
            const char *text = (const char *)sqlite3_column_text(q, i);
            buf_printf(&line, "%s", text != NULL ? text : "NULL");
        }
    }
    sim_trace(s, "%s%s", whose, any ? buf_cstr(&line) : " (no row)");
    buf_clear(&line);
}

/* What the feed and the commits say of the row that differs: the first thing one asks. */
static void row_explain(sim *s, sqlite3 *master, sqlite3_stmt *row)
{
    static const char SQL[] = "SELECT 'feed scope='||f.scope||' cid='||(f.pos>>20)||' "
                              "kind='||f.kind||' by='||c.incarnation||'/'||"
                              "c.gseq||' plain='||c.plain||' at='||(c.at_ms % 100000000000) FROM "
                              "fs_feed f JOIN fs_commit c ON "
                              "c.cid = f.pos>>20 WHERE f.id = ?1 ORDER BY f.pos";
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(master, SQL, -1, &q, NULL) != SQLITE_OK) {
        return;
    }
    sqlite3_bind_value(q, 1, sqlite3_column_value(row, 0));
    while (sqlite3_step(q) == SQLITE_ROW) {
        sim_trace(s, "  %s", (const char *)sqlite3_column_text(q, 0));
    }
    sqlite3_finalize(q);
}

/* Bodies of the groups that are held: their effect stays visible on the device until a manager
 * decides. */
static fb_code held_collect(void *ctx, const fb_problem *p)
{
    if (text_is(p->state, "held")) {
        buf_put_text(ctx, p->body);
    }
    return FB_OK;
}

/* The next row that no held group names. */
static bool row_judged_next(sqlite3_stmt *q, buf *held)
{
    fb_id id;
    char text[FB_ID_TEXT_BYTES];
    bool any = row_next(q);
    while (any && held->size > 0 && sqlite3_column_bytes(q, 0) == (int)sizeof id.b) {
        memcpy(id.b, sqlite3_column_blob(q, 0), sizeof id.b);
        id_put(&id, text);
        if (strstr(buf_cstr(held), text) == NULL) {
            break;
        }
        any = row_next(q);
    }
    return any;
}

/* I1 for one entity of one device: byte by byte, but for rows of held groups. */
static void entity_compare(sim_device *d, sqlite3 *master, sqlite3 *replica, const cat_entity *e,
                           const char *where, buf *held)
{
    sim *s = d->world;
    sqlite3_stmt *want =
        rows_of(s, master, e, d->manager ? WITH_MANAGER : WITH_REP, where, &d->user);
    sqlite3_stmt *have = rows_of(s, replica, e, "", "1", &d->user);
    bool w = true, h = true;
    while (w && h) {
        w = row_judged_next(want, held);
        h = row_judged_next(have, held);
        if (w != h || (w && !row_same(want, have))) {
            row_show(s, "server", want, w);
            row_show(s, "replica", have, h);
            row_explain(s, master, w ? want : have);
            sim_violation(s, "I1: %s differs from the server in %s", d->machine, e->name.data);
            break;
        }
    }
    sqlite3_finalize(want);
    sqlite3_finalize(have);
}

static void replica_compare(sim_device *d, sqlite3 *master, const catalog *cat)
{
    sqlite3 *replica = open_file(d->world, d->path);
    buf held;
    buf_init(&held, 64 << 20);
    if (fb_problem_each(d->db, held_collect, &held, NULL) != FB_OK) {
        sim_violation(d->world, "the tray of %s cannot be read", d->machine);
    }
    for (size_t i = 0; replica != NULL && i < sizeof PROJECTIONS / sizeof *PROJECTIONS; i++) {
        const cat_entity *e = catalog_entity_str(cat, PROJECTIONS[i].entity);
        if (e != NULL) {
            entity_compare(d, master, replica, e, PROJECTIONS[i].where, &held);
        }
    }
    buf_clear(&held);
    sqlite3_close(replica);
}

int64_t number(sqlite3 *db, const char *sql, const char *text)
{
    sqlite3_stmt *q = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK) {
        if (text != NULL) {
            sqlite3_bind_text(q, 1, text, -1, SQLITE_TRANSIENT);
        }
        if (sqlite3_step(q) == SQLITE_ROW) {
            n = sqlite3_column_int64(q, 0);
        }
    }
    sqlite3_finalize(q);
    return n;
}

/* Which tables hold marks. */
static const char *const MARKED[][2] = {
    {"activity", "subject"}, {"task", "title"},    {"contact", "name"},   {"customer_tag", "tag"},
    {"visit", "note"},       {"customer", "name"}, {"attachment", "note"}};

uint8_t *marks_count(sim *s, sqlite3 *db)
{
    uint8_t *counts = calloc((size_t)s->marks + 2, 1);
    if (counts == NULL) {
        abort();
    }
    for (size_t i = 0; i < sizeof MARKED / sizeof *MARKED; i++) {
        char sql[120];
        sqlite3_stmt *q = NULL;
        snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s LIKE 'mark-%%'", MARKED[i][1],
                 MARKED[i][0], MARKED[i][1]);
        if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) {
            sim_violation(s, "I2: the checker cannot read %s: %s", MARKED[i][0],
                          sqlite3_errmsg(db));
        }
        while (row_next(q)) {
            const char *text = (const char *)sqlite3_column_text(q, 0);
            unsigned long mark = strtoul(strrchr(text, '-') + 1, NULL, 10);
            if (mark <= s->marks && counts[mark] < 255) {
                counts[mark]++;
            }
        }
        sqlite3_finalize(q);
    }
    return counts;
}

typedef struct tray {
    const char *marker;
    bool found;
} tray;

static fb_code tray_look(void *ctx, const fb_problem *p)
{
    tray *t = ctx;
    t->found |= memmem(p->body.data, p->body.size, t->marker, strlen(t->marker)) != NULL;
    return FB_OK;
}

/* Where the group is, if anywhere: the first thing one asks. */
static void action_explain(sim *s, const char *mark, sqlite3 *master)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(master,
                           "SELECT incarnation, gseq, code, state, replaced_by, verdict FROM "
                           "fs_verdict WHERE instr(payload, ?1) > 0",
                           -1, &q, NULL) != SQLITE_OK) {
        return;
    }
    sqlite3_bind_text(q, 1, mark, -1, SQLITE_TRANSIENT);
    while (sqlite3_step(q) == SQLITE_ROW) {
        sim_trace(s, "  server: %lld/%lld code=%d state=%d replaced_by=%lld %.120s",
                  (long long)sqlite3_column_int64(q, 0), (long long)sqlite3_column_int64(q, 1),
                  sqlite3_column_int(q, 2), sqlite3_column_int(q, 3),
                  (long long)sqlite3_column_int64(q, 4), (const char *)sqlite3_column_text(q, 5));
    }
    sqlite3_finalize(q);
}

/* I2 and I5 for one saved group. */
static void action_check(sim *s, const sim_action *a, int count, sqlite3 *master)
{
    char mark[40];
    if (a->column == NULL) {
        return; /* a change of a shared column: others may have overwritten it; its verdict is
                   checked by L1 */
    }
    mark_text(s, a->mark, mark);
    if (count == 1 || (a->doubt && count == 0)) {
        return;
    }
    if (count > 1) {
        sim_violation(s, "I5: %s stands %d times in %s", mark, count, a->entity);
        return;
    }
    if (number(master,
               "SELECT count(*) FROM fs_verdict WHERE code = 4 AND state = 0 AND instr(payload, "
               "?1) > 0",
               mark) > 0) {
        return; /* held: it waits on the server, also when the device has begun a new life since */
    }
    if (a->server_only &&
        number(master,
               "SELECT count(*) FROM fs_verdict WHERE code = 3 AND state = 1 AND instr(payload, "
               "?1) > 0",
               mark) > 0) {
        return; /* a person refused it; its device was put back to before it, and lost it: its row
                   says so */
    }
    tray t = {.marker = mark};
    if (fb_problem_each(s->devices[a->device].db, tray_look, &t, NULL) != FB_OK || !t.found) {
        action_explain(s, mark, master);
        sim_violation(
            s,
            "I2: %s of dev%d (group %lld) was saved and is neither on the server nor in the tray",
            mark, a->device, (long long)a->gseq);
    }
}

static void actions_check(sim *s, sqlite3 *master)
{
    uint8_t *counts = marks_count(s, master);
    for (int i = 0; i < s->actions_count; i++) {
        action_check(s, &s->actions[i], counts[s->actions[i].mark], master);
    }
    stock_check(s, master, counts);
    free(counts);
}

static void groups_check(sim *s, sqlite3 *master)
{
    /* I4: an order says in its note how many lines it was saved with. */
    int64_t halves = number(master,
                            "SELECT count(*) FROM sales_order o WHERE o.note LIKE 'lines %' AND "
                            "CAST(substr(o.note, 7) AS INTEGER) <> "
                            "(SELECT count(*) FROM sales_order_line l WHERE l.order_id = o.id)",
                            NULL);
    if (halves != 0) {
        sim_violation(s, "I4: %lld orders are half there", (long long)halves);
    }
    /* I5: one verdict for each group, contiguous per incarnation. */
    int64_t twice = number(master,
                           "SELECT count(*) FROM (SELECT incarnation, sum(upto - gseq + 1) AS n, "
                           "max(upto) AS m FROM fs_verdict "
                           "GROUP BY incarnation HAVING n <> m)",
                           NULL);
    if (twice != 0) {
        sim_violation(s, "I5: %lld incarnations have gaps or repeats in their verdicts",
                      (long long)twice);
    }
}

void check_all(sim *s)
{
    sqlite3 *master = open_file(s, "server/master.db");
    store *admin = world_store_open("server/master.db");
    if (master == NULL || admin == NULL) {
        sim_violation(s, "the server cannot be read after healing");
        sqlite3_close(master);
        return;
    }
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        fb_error err = {0};
        replica_compare(d, master, store_catalog(admin));
        fb_status status = FB_STATUS_INIT;
        if (fb_db_check(d->db, &err) != FB_OK) {
            sim_violation(s, "%s: %s", d->machine, err.message);
        }
        if (fb_status_get(d->db, &status, &err) != FB_OK || status.digest_faults_count > 0) {
            sim_violation(s, "%s: the digest did not agree %lld times", d->machine,
                          (long long)status.digest_faults_count);
        }
    }
    actions_check(s, master);
    groups_check(s, master);
    numbers_check(s, master);
    photos_check(s, master);
    erase_check(s);
    fb_error err = {0};
    int64_t entries = 0, bad = 0;
    if (feed_digest_check(admin, &err) != FB_OK || store_check(admin, &err) != FB_OK ||
        audit_verify(admin, &entries, &bad) != FB_OK || bad != 0) {
        sim_violation(s, "the server's database or audit chain is damaged: %s", err.message);
    }
    store_close(admin);
    sqlite3_close(master);
}
