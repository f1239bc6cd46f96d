/* import.c - CSV into the master data: dry run, an error for each bad row, all or nothing.
 *
 * The first record names columns. References are given by the business key of their entity or by
 * id. A row that exists (same --key columns, by default the business key) is changed, others are
 * added. All rows go into one transaction, in commits of IMPORT_ROWS each; any refused row stops
 * the import at the end of the file with nothing written, unless --skip-bad. */
#include "sync-server/admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "sync-server/feed/feed.h"

enum { IMPORT_ROWS = 500, IMPORT_BYTES_MAX = 512 << 20, KEY_COLUMNS_MAX = 4 };

typedef struct import {
    admin *a;
    const cat_entity *entity;
    int columns[CATALOG_COLUMNS_LIMIT];
    uint32_t columns_count;
    int key[KEY_COLUMNS_MAX]; /* positions in columns */
    uint32_t key_count;
    change pending[IMPORT_ROWS];
    uint32_t pending_count;
    arena *rows; /* values of pending changes; reset with them */
    uint32_t read, added, changed, same, refused;
    bool skip_bad;
} import;

static fb_code import_flush(import *m)
{
    if (m->pending_count == 0) {
        return FB_OK;
    }
    commit_source from = {.at_ms = m->a->port->wall_ms(m->a->port->ctx),
                          .kind = text_of("admin.import")};
    int64_t cid;
    FB_TRY(ledger_commit(m->a->db, &from, m->pending, m->pending_count, &cid));
    m->pending_count = 0;
    arena_reset(m->rows);
    return FB_OK;
}

static int header_read(import *m, const fb_text *names, uint32_t count)
{
    if (count > CATALOG_COLUMNS_LIMIT) {
        return EXIT_USAGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        m->columns[i] = cat_column_find(m->entity, names[i]);
        if (m->columns[i] < 0 || m->columns[i] == cat_ver_column(m->entity)) {
            admin_warn(m->a, TEXT_NO_COLUMN, m->entity->name.data,
                       arena_text(m->rows, names[i]).data, m->entity->name.data);
            return EXIT_USAGE;
        }
    }
    m->columns_count = count;
    return EXIT_DONE;
}

static bool key_add(import *m, fb_text name)
{
    int column = cat_column_find(m->entity, name);
    for (uint32_t i = 0; column >= 0 && i < m->columns_count && m->key_count < KEY_COLUMNS_MAX;
         i++) {
        if (m->columns[i] == column) {
            m->key[m->key_count++] = (int)i;
            return true;
        }
    }
    return false;
}

/* --key a,b; without it the id column or the business key, when the file has it. */
static int key_read(import *m, const char *option)
{
    if (option == NULL) {
        if (!key_add(m, text_of("id")) && m->entity->business_key >= 0) {
            key_add(m, m->entity->columns[m->entity->business_key].name);
        }
        return EXIT_DONE;
    }
    for (const char *at = option; at != NULL;) {
        const char *comma = strchr(at, ',');
        fb_text name = {at, comma != NULL ? (size_t)(comma - at) : strlen(at)};
        if (!key_add(m, name)) {
            admin_warn(m->a, TEXT_NO_COLUMN, m->entity->name.data, option, m->entity->name.data);
            return EXIT_USAGE;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return EXIT_DONE;
}

typedef struct key_match {
    const import *m;
    const fb_value *given;
    fb_value *found; /* columns_count of the entity; [0] NULL until found */
    arena *memory;
} key_match;

static fb_code key_compare(void *ctx, const fb_value *values)
{
    key_match *k = ctx;
    const import *m = k->m;
    for (uint32_t i = 1; i < m->key_count; i++) {
        if (!fb_value_equal(&values[m->columns[m->key[i]]], &k->given[m->key[i]])) {
            return FB_OK;
        }
    }
    for (uint32_t c = 0; c < m->entity->columns_count; c++) {
        k->found[c] = values[c];
        if (values[c].kind == FB_KIND_TEXT) {
            k->found[c].u.text = arena_text(k->memory, values[c].u.text);
        }
    }
    return FB_OK;
}

/* The row that this record means, or NULL. */
static fb_code row_match(import *m, const fb_value *given, const fb_value **out)
{
    *out = NULL;
    if (m->key_count == 0) {
        return FB_OK;
    }
    const fb_value *first = &given[m->key[0]];
    fb_value *found = arena_take(m->rows, sizeof *found * m->entity->columns_count);
    if (found == NULL) {
        return FB_E_NO_MEMORY;
    }
    if (m->columns[m->key[0]] == 0) {
        fb_code rc = store_row_get(m->a->db, m->entity, &first->u.id, m->rows, found);
        *out = rc == FB_OK ? found : NULL;
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    key_match k = {m, given, found, m->rows};
    FB_TRY(
        store_rows_by(m->a->db, m->entity, m->columns[m->key[0]], first, m->rows, key_compare, &k));
    *out = found[0].kind == FB_KIND_NULL ? NULL : found;
    return FB_OK;
}

static fb_code record_take(import *m, const fb_text *fields, fb_error *err)
{
    fb_value given[CATALOG_COLUMNS_LIMIT];
    for (uint32_t i = 0; i < m->columns_count; i++) {
        fb_code rc =
            value_by_text(m->a, m->entity, m->columns[i], fields[i], m->rows, &given[i], err);
        if (rc == FB_E_REFERENCE && m->pending_count > 0) {
            /* It may be a row of this file that is not flushed yet. */
            return FB_E_BUSY;
        }
        FB_TRY(rc);
    }
    const fb_value *current;
    FB_TRY(row_match(m, given, &current));
    row_result result;
    FB_TRY(row_store(m->a, m->entity, current, m->columns, given, m->columns_count, m->rows,
                     &m->pending[m->pending_count], &result, err));
    m->added += result == ROW_ADDED;
    m->changed += result == ROW_CHANGED;
    m->same += result == ROW_SAME;
    m->pending_count += result != ROW_SAME;
    return m->pending_count == IMPORT_ROWS ? import_flush(m) : FB_OK;
}

static void record_refuse(import *m, uint32_t line, const fb_error *err)
{
    m->refused++;
    const char *field = err->field[0] != '\0' ? err->field : m->entity->name.data;
    fprintf(stderr, "line %u: %s: %s\n", line, field,
            err->message[0] != '\0' ? err->message
                                    : fb_code_text(err->code, m->a->chinese ? "zh" : "en"));
}

/* One record; a refused one is reported and counted, other failures stop the import. */
static fb_code record_run(import *m, const fb_text *fields, uint32_t count, uint32_t line)
{
    fb_error err = {0};
    fb_code rc = FB_E_FORMAT;
    m->read++;
    if (count != m->columns_count) {
        (void)fail(&err, rc, "", "the record has %u fields, the header %u", count,
                   m->columns_count);
    } else {
        rc = record_take(m, fields, &err);
        if (rc == FB_E_BUSY) {
            FB_TRY(import_flush(m));
            rc = record_take(m, fields, &err);
        }
    }
    if (rc == FB_OK) {
        return FB_OK;
    }
    err.code = rc;
    if (fb_code_class(rc) != FB_CLASS_USER && fb_code_class(rc) != FB_CLASS_AUTH) {
        return rc;
    }
    record_refuse(m, line, &err);
    return FB_OK;
}

static int import_file(import *m, fb_text text, const char *key_option, arena *memory)
{
    csv_reader r;
    csv_reader_init(&r, text, memory);
    fb_text *fields = arena_take(memory, sizeof *fields * CSV_FIELDS_MAX);
    uint32_t count = 0;
    fb_code rc = fields == NULL ? FB_E_NO_MEMORY : csv_next(&r, fields, &count);
    if (rc == FB_OK) {
        int exit_code = header_read(m, fields, count);
        exit_code = exit_code == EXIT_DONE ? key_read(m, key_option) : exit_code;
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
    }
    while (rc == FB_OK && (rc = csv_next(&r, fields, &count)) == FB_OK && count > 0) {
        rc = record_run(m, fields, count, r.line);
    }
    if (rc == FB_OK) {
        rc = import_flush(m);
    }
    if (rc != FB_OK) {
        fb_error err = {.code = rc};
        snprintf(err.message, sizeof err.message, "line %u: %s", r.line,
                 r.why != NULL ? r.why : fb_code_text(rc, "en"));
        return admin_failed(m->a, feed_scope_refused(m->entity, rc, &err), &err);
    }
    return EXIT_DONE;
}

static int import_run(import *m, fb_text text, const char *key_option, bool dry, arena *memory)
{
    if (store_begin(m->a->db) != FB_OK) {
        return admin_failed(m->a, FB_E_BUSY, NULL);
    }
    int exit_code = import_file(m, text, key_option, memory);
    bool keep = exit_code == EXIT_DONE && !dry && (m->refused == 0 || m->skip_bad);
    if (!keep) {
        store_rollback(m->a->db);
    } else if (store_commit(m->a->db) != FB_OK) {
        return admin_failed(m->a, FB_E_IO, NULL);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    admin_say(m->a, TEXT_IMPORT_DONE, m->entity->name.data, m->read, m->added, m->changed, m->same,
              m->refused);
    if (dry) {
        admin_say(m->a, TEXT_IMPORT_DRY);
    } else if (!keep) {
        admin_warn(m->a, TEXT_IMPORT_REFUSED);
    }
    if (m->a->json) {
        printf("{\"entity\":\"%s\",\"read\":%u,\"added\":%u,\"changed\":%u,\"same\":%u,\"refused\":"
               "%u,\"written\":%s}\n",
               m->entity->name.data, m->read, m->added, m->changed, m->same, m->refused,
               keep ? "true" : "false");
    }
    return m->refused > 0 && !m->skip_bad ? EXIT_REFUSED : EXIT_DONE;
}

int command_import(admin *a)
{
    bool dry = flag_take(a, "--dry-run"), skip_bad = flag_take(a, "--skip-bad");
    const char *key = option_take(a, "--key");
    if (options_left(a) || a->argc != 2) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "ENTITY FILE.csv", a->command);
        return EXIT_USAGE;
    }
    const cat_entity *e = catalog_entity_str(store_catalog(a->db), a->argv[0]);
    if (e == NULL) {
        admin_warn(a, TEXT_NO_ENTITY, a->argv[0]);
        return EXIT_REFUSED;
    }
    buf file;
    buf_init(&file, IMPORT_BYTES_MAX);
    arena *memory = arena_new(1 << 30);
    import *m = calloc(1, sizeof *m);
    arena *rows = arena_new(256 << 20);
    int exit_code = EXIT_FAILED;
    if (memory != NULL && rows != NULL && m != NULL && file_load(a->argv[1], &file)) {
        *m = (import){.a = a, .entity = e, .rows = rows, .skip_bad = skip_bad};
        exit_code = import_run(m, buf_text(&file), key, dry, memory);
    } else {
        fb_error err = {0};
        exit_code = admin_failed(
            a, fail(&err, FB_E_IO, a->argv[1], "cannot read the file: check its name and rights"),
            &err);
    }
    free(m);
    arena_free(rows);
    arena_free(memory);
    buf_clear(&file);
    return exit_code;
}
