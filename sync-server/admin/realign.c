/* realign.c - many customers to other territories in one go: from a CSV file, or from one territory
 * to another with conditions. See admin.h.
 *
 * All of it is one transaction, in commits of REALIGN_ROWS customers (what is below a customer
 * moves with it, and a commit holds 2^20 rows), with one audit entry that says how many went where.
 * A customer that is there already is left alone, so a second run changes nothing. Devices that
 * have both territories are told only the new one (feed.h FED-5), those that lose a customer remove
 * it and what is below it, those that win one get it; pending work is judged as ever
 * (decide/scope.c).
 *
 *   RAL-1  one refused line, and nothing is moved
 *   RAL-2  a customer stands at most once among the changes */
#include "sync-server/admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "wire/json.h"

enum {
    REALIGN_ROWS = 500,
    REALIGN_FILE_BYTES_MAX = 64 << 20,
    CONDITIONS_MAX = 8,
    SLOTS_FIRST = 1024,
    DETAIL_PAIRS_MAX = 400
};

/* How many customers went from one territory to another. */
typedef struct pair {
    struct pair *next;
    fb_id from, to;
    fb_text from_code, to_code; /* "-": none */
    uint32_t customers;
} pair;

typedef struct realign {
    admin *a;
    const cat_entity *customer, *territory;
    int column; /* customer.territory_id */
    fb_id from, to;
    int conditions[CONDITIONS_MAX];
    fb_value wanted[CONDITIONS_MAX];
    uint32_t conditions_count;
    change pending[REALIGN_ROWS];
    uint32_t pending_count;
    arena *rows; /* of pending changes; reset with them */
    arena *kept; /* of the whole run */
    fb_id *seen; /* customers named so far, open addressing; all zero: free */
    uint32_t slots, seen_count;
    pair *pairs, **pairs_end;
    int64_t at_ms;
    uint32_t moved, same, refused;
    fb_error *err; /* while rows are read */
} realign;

/* ---- what was named ---- */

static fb_id *slot_of(fb_id *slots, uint32_t count, const fb_id *id)
{
    uint64_t high, low;
    memcpy(&high, id->b, sizeof high);
    memcpy(&low, id->b + sizeof high, sizeof low);
    uint64_t mixed = (high ^ low * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    uint32_t at = (uint32_t)(mixed >> 32) & (count - 1);
    while (!id_is_none(&slots[at]) && !id_equal(&slots[at], id)) {
        at = (at + 1) & (count - 1);
    }
    return &slots[at];
}

static fb_code seen_grow(realign *r)
{
    if (r->seen_count * 2 < r->slots) {
        return FB_OK;
    }
    uint32_t count = r->slots == 0 ? SLOTS_FIRST : r->slots * 2;
    fb_id *slots = calloc(count, sizeof *slots);
    if (slots == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < r->slots; i++) {
        if (!id_is_none(&r->seen[i])) {
            *slot_of(slots, count, &r->seen[i]) = r->seen[i];
        }
    }
    free(r->seen);
    r->seen = slots;
    r->slots = count;
    return FB_OK;
}

/* RAL-2. */
static fb_code seen_add(realign *r, const fb_id *id, fb_error *err)
{
    FB_TRY(seen_grow(r));
    fb_id *slot = slot_of(r->seen, r->slots, id);
    if (!id_is_none(slot)) {
        return fail(err, FB_E_EXISTS, "customer",
                    "this customer stands in the file before: leave one of the lines");
    }
    *slot = *id;
    r->seen_count++;
    return FB_OK;
}

/* ---- one customer ---- */

static fb_code flush(realign *r)
{
    const commit_source from = {.at_ms = r->at_ms, .kind = text_of("admin.realign")};
    int64_t cid = 0;
    if (r->pending_count == 0) {
        return FB_OK;
    }
    FB_TRY(ledger_commit(r->a->db, &from, r->pending, r->pending_count, &cid));
    r->pending_count = 0;
    arena_reset(r->rows);
    return FB_OK;
}

static fb_code code_of(realign *r, const fb_id *territory, fb_text *out)
{
    fb_value row[CATALOG_COLUMNS_LIMIT];
    char id[FB_ID_TEXT_BYTES];
    *out = text_of("-");
    if (id_is_none(territory)) {
        return FB_OK;
    }
    fb_code rc = store_row_get(r->a->db, r->territory, territory, r->kept, row);
    if (rc == FB_OK && row[r->territory->business_key].kind == FB_KIND_TEXT) {
        *out = row[r->territory->business_key].u.text;
        return FB_OK;
    }
    id_put(territory, id);
    *out = arena_text(r->kept, text_of(id));
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static fb_code pair_count(realign *r, const fb_id *from, const fb_id *to)
{
    pair *p = r->pairs;
    while (p != NULL && (!id_equal(&p->from, from) || !id_equal(&p->to, to))) {
        p = p->next;
    }
    if (p == NULL) {
        p = arena_take(r->kept, sizeof *p);
        if (p == NULL) {
            return FB_E_NO_MEMORY;
        }
        *p = (pair){.from = *from, .to = *to};
        FB_TRY(code_of(r, from, &p->from_code));
        FB_TRY(code_of(r, to, &p->to_code));
        *r->pairs_end = p;
        r->pairs_end = &p->next;
    }
    p->customers++;
    return FB_OK;
}

/* `row`: the whole customer; it must live until the next flush. */
static fb_code customer_move(realign *r, const fb_value *row, const fb_id *to, fb_error *err)
{
    const fb_value given = {.kind = FB_KIND_ID, .u.id = *to};
    const fb_id none = {{0}};
    const fb_value *now = &row[r->column];
    row_result result = ROW_SAME;
    FB_TRY(seen_add(r, &row[0].u.id, err));
    FB_TRY(row_store(r->a, r->customer, row, &r->column, &given, 1, r->rows,
                     &r->pending[r->pending_count], &result, err));
    if (result == ROW_SAME) {
        r->same++;
        return FB_OK;
    }
    r->moved++;
    r->pending_count++;
    FB_TRY(pair_count(r, now->kind == FB_KIND_ID ? &now->u.id : &none, to));
    return r->pending_count == REALIGN_ROWS ? flush(r) : FB_OK;
}

/* ---- from a file ---- */

typedef struct file_columns {
    uint32_t customer, territory, count;
} file_columns;

static bool columns_find(const fb_text *names, uint32_t count, file_columns *out)
{
    bool customer = false, territory = false;
    for (uint32_t i = 0; i < count; i++) {
        if (text_is(names[i], "customer")) {
            out->customer = i;
            customer = true;
        } else if (text_is(names[i], "territory")) {
            out->territory = i;
            territory = true;
        }
    }
    out->count = count;
    return customer && territory;
}

static fb_code row_named(realign *r, const cat_entity *e, const char *field, fb_text key,
                         fb_value **out, fb_error *err)
{
    *out = arena_take(r->rows, e->columns_count * sizeof **out);
    fb_code rc = *out == NULL ? FB_E_NO_MEMORY : row_by_key(r->a, e, key, r->rows, *out);
    if (rc != FB_E_NOT_FOUND) {
        return rc;
    }
    return fail(err, FB_E_REFERENCE, field, "there is no %s '%.*s': correct the line", field,
                (int)key.size, key.data);
}

static fb_code line_take(realign *r, const file_columns *c, const fb_text *fields, uint32_t count,
                         fb_error *err)
{
    fb_value *row = NULL, *to = NULL;
    if (count != c->count) {
        return fail(err, FB_E_FORMAT, "", "the line has %u fields, the first line %u", count,
                    c->count);
    }
    FB_TRY(row_named(r, r->customer, "customer", fields[c->customer], &row, err));
    FB_TRY(row_named(r, r->territory, "territory", fields[c->territory], &to, err));
    return customer_move(r, row, &to[0].u.id, err);
}

static bool is_refusal(fb_code rc)
{
    return fb_code_class(rc) == FB_CLASS_USER || fb_code_class(rc) == FB_CLASS_AUTH;
}

static void line_refuse(realign *r, uint32_t line, fb_code rc, const fb_error *err)
{
    r->refused++;
    admin_warn(r->a, TEXT_IMPORT_ROW, line, err->field[0] != '\0' ? err->field : "customer",
               err->message[0] != '\0' ? err->message
                                       : fb_code_text(rc, r->a->chinese ? "zh" : "en"));
}

static fb_code file_take(realign *r, fb_text text, fb_error *err)
{
    csv_reader reader;
    file_columns columns = {0};
    fb_text *fields = arena_take(r->kept, CSV_FIELDS_MAX * sizeof *fields);
    uint32_t count = 0;
    csv_reader_init(&reader, text, r->kept);
    fb_code rc = fields == NULL ? FB_E_NO_MEMORY : csv_next(&reader, fields, &count);
    if (rc == FB_OK && !columns_find(fields, count, &columns)) {
        return fail(err, FB_E_FORMAT, "", "the first line must be customer,territory");
    }
    while (rc == FB_OK && (rc = csv_next(&reader, fields, &count)) == FB_OK && count > 0) {
        fb_error why = {0};
        rc = line_take(r, &columns, fields, count, &why);
        if (rc != FB_OK && is_refusal(rc)) {
            line_refuse(r, reader.line, rc, &why);
            rc = FB_OK;
        }
    }
    return rc == FB_OK || reader.why == NULL
               ? rc
               : fail(err, rc, "", "line %u: %s", reader.line, reader.why);
}

/* ---- from one territory to another ---- */

static fb_code customer_of_from(void *ctx, const fb_value *values)
{
    realign *r = ctx;
    for (uint32_t i = 0; i < r->conditions_count; i++) {
        if (!fb_value_equal(&values[r->conditions[i]], &r->wanted[i])) {
            return FB_OK;
        }
    }
    return customer_move(r, values, &r->to, r->err);
}

static fb_code territory_take(realign *r, fb_error *err)
{
    r->err = err;
    const fb_value from = {.kind = FB_KIND_ID, .u.id = r->from};
    return store_rows_by(r->a->db, r->customer, r->column, &from, r->kept, customer_of_from, r);
}

/* ---- the command ---- */

static void pairs_put(json_writer *w, const realign *r, uint32_t most)
{
    uint32_t shown = 0;
    json_put_array(w);
    for (const pair *p = r->pairs; p != NULL && shown < most; p = p->next, shown++) {
        json_put_object(w);
        json_put_key(w, "from");
        json_put_string(w, p->from_code);
        json_put_key(w, "to");
        json_put_string(w, p->to_code);
        json_put_key(w, "customers");
        json_put_int(w, p->customers);
        json_put_end(w);
    }
    json_put_end(w);
}

/* How many went where; the single changes stand with their commits. */
static fb_code audit(realign *r)
{
    buf detail;
    json_writer w;
    buf_init(&detail, 1 << 20);
    json_writer_init(&w, &detail);
    pairs_put(&w, r, DETAIL_PAIRS_MAX);
    fb_code rc = detail.code;
    if (rc == FB_OK) {
        rc = audit_put(r->a->db, r->at_ms, text_of("server"), text_of("territory.realign"),
                       text_of("customer"), NULL, buf_text(&detail));
    }
    buf_clear(&detail);
    return rc;
}

static fb_code realign_all(realign *r, const buf *file, fb_error *err)
{
    FB_TRY(file != NULL ? file_take(r, buf_text(file), err) : territory_take(r, err));
    FB_TRY(flush(r));
    return r->moved > 0 ? audit(r) : FB_OK;
}

static void report_json(const realign *r, bool written)
{
    buf moves;
    json_writer w;
    buf_init(&moves, 16 << 20);
    json_writer_init(&w, &moves);
    pairs_put(&w, r, UINT32_MAX);
    printf("{\"customers\":%u,\"unchanged\":%u,\"refused\":%u,\"written\":%s,\"moves\":%s}\n",
           r->moved, r->same, r->refused, written ? "true" : "false", buf_cstr(&moves));
    buf_clear(&moves);
}

static void report(const realign *r, bool dry, bool written)
{
    for (const pair *p = r->pairs; p != NULL; p = p->next) {
        admin_say(r->a, TEXT_REALIGN_PAIR, (int)p->from_code.size, p->from_code.data,
                  (int)p->to_code.size, p->to_code.data, p->customers);
    }
    if (r->a->json) {
        report_json(r, written);
    }
    admin_say(r->a, TEXT_REALIGN_DONE, r->moved, r->same, r->refused);
    if (dry) {
        admin_say(r->a, TEXT_IMPORT_DRY);
    } else if (r->refused > 0) {
        admin_warn(r->a, TEXT_REALIGN_REFUSED);
    }
}

static int realign_run(realign *r, const buf *file, bool dry)
{
    fb_error err = {0};
    fb_code rc = store_begin(r->a->db);
    if (rc != FB_OK) {
        rc = fail(&err, rc, "", "the database is in use by another writer: try again");
        return admin_failed(r->a, rc, &err);
    }
    r->at_ms = r->a->port->wall_ms(r->a->port->ctx);
    rc = realign_all(r, file, &err);
    bool keep = rc == FB_OK && !dry && r->refused == 0 && r->moved > 0; /* RAL-1 */
    if (!keep) {
        store_rollback(r->a->db);
    } else {
        rc = store_commit(r->a->db);
    }
    if (rc != FB_OK) {
        return admin_failed(r->a, rc, &err);
    }
    report(r, dry, keep);
    return r->refused > 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* --where column=value, as often as it is given: all must hold. */
static fb_code conditions_take(realign *r, fb_error *err)
{
    const char *given = option_take(r->a, "--where");
    for (; given != NULL; given = option_take(r->a, "--where")) {
        const char *equal = strchr(given, '=');
        fb_text name = {given, equal != NULL ? (size_t)(equal - given) : 0};
        int column = cat_column_find(r->customer, name);
        if (column < 0 || r->conditions_count == CONDITIONS_MAX) {
            return fail(err, FB_E_INVALID, "--where",
                        "it takes column=value with a column of customer, at most %d times: '%s'",
                        CONDITIONS_MAX, given);
        }
        FB_TRY(value_by_text(r->a, r->customer, column, text_of(equal + 1), r->kept,
                             &r->wanted[r->conditions_count], err));
        r->conditions[r->conditions_count++] = column;
    }
    return FB_OK;
}

static fb_code territories_take(realign *r, const char *from, const char *to, fb_error *err)
{
    fb_value *row = NULL;
    FB_TRY(row_named(r, r->territory, "territory", text_of(from), &row, err));
    r->from = row[0].u.id;
    FB_TRY(row_named(r, r->territory, "territory", text_of(to), &row, err));
    r->to = row[0].u.id;
    return FB_OK;
}

static int realign_file(realign *r, const char *path, bool dry)
{
    buf file;
    int exit_code = EXIT_FAILED;
    buf_init(&file, REALIGN_FILE_BYTES_MAX);
    if (file_load(path, &file)) {
        exit_code = realign_run(r, &file, dry);
    } else {
        fb_error err = {0};
        fb_code rc = fail(&err, FB_E_IO, path, "cannot read the file: check its name and rights");
        exit_code = admin_failed(r->a, rc, &err);
    }
    buf_clear(&file);
    return exit_code;
}

static int realign_asked(realign *r)
{
    admin *a = r->a;
    fb_error err = {0};
    bool dry = flag_take(a, "--dry-run");
    const char *from = option_take(a, "--from"), *to = option_take(a, "--to");
    fb_code rc = conditions_take(r, &err);
    bool by_file = a->argc == 1 && from == NULL && to == NULL && r->conditions_count == 0;
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (!by_file && (a->argc != 0 || from == NULL || to == NULL)) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "FILE.csv, or --from TERRITORY --to TERRITORY",
                   a->command);
        return EXIT_USAGE;
    }
    if (by_file) {
        return realign_file(r, a->argv[0], dry);
    }
    rc = territories_take(r, from, to, &err);
    return rc == FB_OK ? realign_run(r, NULL, dry) : admin_failed(a, rc, &err);
}

int command_realign(admin *a)
{
    const catalog *c = store_catalog(a->db);
    realign *r = calloc(1, sizeof *r);
    arena *rows = arena_new(256 << 20), *kept = arena_new(1 << 30);
    int exit_code = EXIT_FAILED;
    if (r != NULL && rows != NULL && kept != NULL) {
        *r = (realign){.a = a,
                       .customer = catalog_entity_str(c, "customer"),
                       .territory = catalog_entity_str(c, "territory"),
                       .rows = rows,
                       .kept = kept};
        r->pairs_end = &r->pairs;
        r->column = r->customer != NULL ? cat_column_str(r->customer, "territory_id") : -1;
        exit_code = r->column >= 0 && r->territory != NULL && r->territory->business_key >= 0
                        ? realign_asked(r)
                        : admin_failed(a, FB_E_CATALOG, NULL);
        free(r->seen);
    } else {
        exit_code = admin_failed(a, FB_E_NO_MEMORY, NULL);
    }
    arena_free(rows);
    arena_free(kept);
    free(r);
    return exit_code;
}
