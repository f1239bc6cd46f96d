/* rows.c - single rows by business key: entities, add, set, list, setting. See admin.h. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sync-server/feed/feed.h"
#include "wire/json.h"

row_rights admin_rights(void)
{
    return (row_rights){.create = true,
                        .read = true,
                        .update = true,
                        .remove = true,
                        .approve = true,
                        .actor = ACTOR_SERVER};
}

/* What a change starts from is read in its own transaction: the server writes the same rows. */
static int admin_begin(admin *a)
{
    fb_error err = {0};
    fb_code rc = store_begin(a->db);
    if (rc != FB_OK) {
        rc = fail(&err, rc, "", "the database is in use by another writer: try again");
    }
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, &err);
}

static fb_code admin_commit(admin *a, const char *kind, const change *changes, uint32_t count,
                            int64_t *cid_out)
{
    commit_source from = {.at_ms = a->port->wall_ms(a->port->ctx), .kind = text_of(kind)};
    FB_TRY(ledger_commit(a->db, &from, changes, count, cid_out));
    return store_commit(a->db);
}

fb_code row_by_key(admin *a, const cat_entity *e, fb_text key, arena *memory, fb_value *values)
{
    fb_id id;
    if (id_get(key, &id)) {
        return store_row_get(a->db, e, &id, memory, values);
    }
    if (e->business_key < 0) {
        return FB_E_NOT_FOUND;
    }
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = key};
    return store_row_by(a->db, e, e->business_key, &equal, memory, values);
}

static fb_code reference_by_text(admin *a, const cat_entity *e, int column, fb_text text,
                                 arena *memory, fb_value *out, fb_error *err)
{
    const cat_entity *to = &store_catalog(a->db)->entities[e->columns[column].to_entity];
    fb_value *row = arena_take(memory, sizeof *row * to->columns_count);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = row_by_key(a, to, text, memory, row);
    if (rc == FB_E_NOT_FOUND) {
        char field[96];
        snprintf(field, sizeof field, "%.*s", (int)e->columns[column].name.size,
                 e->columns[column].name.data);
        return fail(err, FB_E_REFERENCE, field, "there is no %.*s '%.*s': import it first",
                    (int)to->name.size, to->name.data, (int)text.size, text.data);
    }
    FB_TRY(rc);
    *out = row[0];
    return FB_OK;
}

fb_code value_by_text(admin *a, const cat_entity *e, int column, fb_text text, arena *memory,
                      fb_value *out, fb_error *err)
{
    *out = (fb_value){.kind = FB_KIND_NULL};
    if (text.size == 0) {
        return FB_OK;
    }
    if (e->columns[column].type == CAT_REF) {
        return reference_by_text(a, e, column, text, memory, out, err);
    }
    return cat_value_parse(e, column, text, true, out, err);
}

static fb_code row_add(admin *a, const cat_entity *e, const int *columns, const fb_value *given,
                       uint32_t count, arena *memory, change *out, fb_error *err)
{
    fb_value *values = arena_take(memory, sizeof *values * e->columns_count);
    if (values == NULL) {
        return FB_E_NO_MEMORY;
    }
    int64_t now_ms = a->port->wall_ms(a->port->ctx);
    for (uint32_t i = 0; i < count; i++) {
        values[columns[i]] = given[i];
    }
    if (values[0].kind == FB_KIND_NULL) {
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = id_make(&a->ids, now_ms)};
    }
    int created = cat_column_str(e, "created_at");
    if (e->stamps && created >= 0 && values[created].kind == FB_KIND_NULL) {
        values[created] = (fb_value){.kind = FB_KIND_INT, .u.i = now_ms};
    }
    FB_TRY(row_derive(e, values, memory));
    values[cat_ver_column(e)] = (fb_value){.kind = FB_KIND_INT};
    row_rights rights = admin_rights();
    issue why = {0};
    if (row_check_insert(e, values, &rights, now_ms, &why) != FB_OK) {
        return issue_to_error(&why, err);
    }
    *out = (change){.kind = CHANGE_INSERT,
                    .entity = e,
                    .id = values[0].u.id,
                    .values = values,
                    .columns_count = e->columns_count};
    return FB_OK;
}

/* Keeps only what differs from the row as it stands. */
static uint32_t differences(const fb_value *current, const int *columns, const fb_value *given,
                            uint32_t count, int *columns_out, fb_value *values_out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i] != 0 && !fb_value_equal(&current[columns[i]], &given[i])) {
            columns_out[n] = columns[i];
            values_out[n++] = given[i];
        }
    }
    return n;
}

fb_code row_store(admin *a, const cat_entity *e, const fb_value *current, const int *columns,
                  const fb_value *given, uint32_t count, arena *memory, change *out,
                  row_result *result, fb_error *err)
{
    if (current == NULL) {
        *result = ROW_ADDED;
        return row_add(a, e, columns, given, count, memory, out, err);
    }
    int *changed = arena_take(memory, sizeof *changed * e->columns_count);
    fb_value *values = arena_take(memory, sizeof *values * e->columns_count);
    if (changed == NULL || values == NULL) {
        return FB_E_NO_MEMORY;
    }
    uint32_t n = differences(current, columns, given, count, changed, values);
    *result = n == 0 ? ROW_SAME : ROW_CHANGED;
    if (n == 0) {
        return FB_OK;
    }
    row_rights rights = admin_rights();
    issue why = {0};
    int64_t now_ms = a->port->wall_ms(a->port->ctx);
    if (row_check_update(e, current, changed, values, n, &rights, now_ms, &why) != FB_OK) {
        return issue_to_error(&why, err);
    }
    FB_TRY(row_derive_update(e, changed, values, &n, e->columns_count, memory));
    *out = (change){.kind = CHANGE_UPDATE,
                    .entity = e,
                    .id = current[0].u.id,
                    .columns = changed,
                    .values = values,
                    .columns_count = n,
                    .before = current};
    return FB_OK;
}

static const cat_entity *entity_argument(admin *a)
{
    if (a->argc == 0) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "ENTITY", a->command);
        return NULL;
    }
    const cat_entity *e = catalog_entity_str(store_catalog(a->db), a->argv[0]);
    if (e == NULL) {
        admin_warn(a, TEXT_NO_ENTITY, a->argv[0]);
    }
    return e;
}

/* column=value arguments from argv[first] on. */
static int assignments_get(admin *a, const cat_entity *e, int first, arena *memory, int *columns,
                           fb_value *values, uint32_t *count)
{
    fb_error err = {0};
    *count = 0;
    for (int i = first; i < a->argc && *count < e->columns_count; i++) {
        const char *equal = strchr(a->argv[i], '=');
        fb_text name = {a->argv[i],
                        equal != NULL ? (size_t)(equal - a->argv[i]) : strlen(a->argv[i])};
        int column = equal != NULL ? cat_column_find(e, name) : -1;
        if (column < 0) {
            admin_warn(a, TEXT_NO_COLUMN, e->name.data, arena_text(memory, name).data,
                       e->name.data);
            return EXIT_USAGE;
        }
        fb_code rc = value_by_text(a, e, column, text_of(equal + 1), memory, &values[*count], &err);
        if (rc != FB_OK) {
            return admin_failed(a, rc, &err);
        }
        columns[(*count)++] = column;
    }
    return EXIT_DONE;
}

static void saved_say(admin *a, const cat_entity *e, const fb_id *id, int64_t cid)
{
    char text[FB_ID_TEXT_BYTES];
    id_put(id, text);
    admin_say(a, TEXT_SAVED, e->name.data, text, (long long)cid);
    if (a->json) {
        printf("{\"entity\":\"%s\",\"id\":\"%s\",\"commit\":\"%lld\"}\n", e->name.data, text,
               (long long)cid);
    }
}

/* add and set share everything but the row they start from. */
static int put_run(admin *a, const cat_entity *e, const fb_value *current, int first, arena *memory)
{
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    uint32_t count = 0;
    int exit_code = assignments_get(a, e, first, memory, columns, values, &count);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    change c = {0};
    row_result result = ROW_SAME;
    fb_error err = {0};
    int64_t cid = 0;
    fb_code rc = row_store(a, e, current, columns, values, count, memory, &c, &result, &err);
    if (rc == FB_OK && result != ROW_SAME) {
        rc = admin_commit(a, current == NULL ? "admin.add" : "admin.set", &c, 1, &cid);
        rc = feed_scope_refused(e, rc, &err);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    saved_say(a, e, current != NULL ? &current[0].u.id : &c.id, cid);
    return EXIT_DONE;
}

int command_add(admin *a)
{
    const cat_entity *e = entity_argument(a);
    if (e == NULL || options_left(a)) {
        return EXIT_USAGE;
    }
    arena *memory = arena_new(16 << 20);
    int exit_code = memory == NULL ? EXIT_FAILED : admin_begin(a);
    if (exit_code == EXIT_DONE) {
        exit_code = put_run(a, e, NULL, 1, memory);
        store_rollback(a->db); /* of what was not committed */
    }
    arena_free(memory);
    return exit_code;
}

static int set_found(admin *a, const cat_entity *e, const char *key, int first, arena *memory)
{
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = row_by_key(a, e, text_of(key), memory, row);
    if (rc == FB_E_NOT_FOUND) {
        admin_warn(a, TEXT_NO_ROW, e->name.data,
                   e->business_key >= 0 ? e->columns[e->business_key].name.data : "id", key);
        return EXIT_REFUSED;
    }
    return rc != FB_OK ? admin_failed(a, rc, NULL) : put_run(a, e, row, first, memory);
}

int command_set(admin *a)
{
    const cat_entity *e = entity_argument(a);
    if (e == NULL || options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc < 3) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "KEY column=value", a->command);
        return EXIT_USAGE;
    }
    arena *memory = arena_new(16 << 20);
    int exit_code = memory == NULL ? EXIT_FAILED : admin_begin(a);
    if (exit_code == EXIT_DONE) {
        exit_code = set_found(a, e, a->argv[1], 2, memory);
        store_rollback(a->db);
    }
    arena_free(memory);
    return exit_code;
}

/* The company-wide row of a setting; E_NOT_FOUND when there is none yet. */
static fb_code setting_find(admin *a, const cat_entity *e, const char *key, arena *memory,
                            fb_value *row)
{
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of(key)};
    return store_row_by(a->db, e, cat_column_str(e, "key"), &equal, memory, row);
}

static int setting_set(admin *a, const cat_entity *e, const char *key, const char *value,
                       arena *memory)
{
    fb_value row[CATALOG_COLUMNS_LIMIT], values[3];
    int columns[3] = {cat_column_str(e, "key"), cat_column_str(e, "value"),
                      cat_column_str(e, "level")};
    values[0] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(key)};
    values[1] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(value)};
    values[2] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of("global")};
    fb_code rc = setting_find(a, e, key, memory, row);
    if (rc != FB_OK && rc != FB_E_NOT_FOUND) {
        return admin_failed(a, rc, NULL);
    }
    change c = {0};
    row_result result = ROW_SAME;
    fb_error err = {0};
    int64_t cid = 0;
    rc = row_store(a, e, rc == FB_OK ? row : NULL, columns, values, 3, memory, &c, &result, &err);
    if (rc == FB_OK && result != ROW_SAME) {
        rc = admin_commit(a, "admin.setting", &c, 1, &cid);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_SETTING_DONE, key, value);
    return EXIT_DONE;
}

int command_setting(admin *a)
{
    const cat_entity *e = catalog_entity_str(store_catalog(a->db), "setting");
    if (a->argc == 3 && strcmp(a->argv[0], "set") == 0) {
        arena *memory = arena_new(16 << 20);
        int exit_code = memory == NULL ? EXIT_FAILED : admin_begin(a);
        if (exit_code == EXIT_DONE) {
            exit_code = setting_set(a, e, a->argv[1], a->argv[2], memory);
            store_rollback(a->db);
        }
        arena_free(memory);
        return exit_code;
    }
    if (a->argc == 1 && strcmp(a->argv[0], "list") == 0) {
        static char entity[] = "setting";
        char *arguments[] = {entity};
        a->argv = arguments;
        return command_list(a);
    }
    admin_warn(a, TEXT_MISSING_ARGUMENT, "list | set KEY VALUE", a->command);
    return EXIT_USAGE;
}
