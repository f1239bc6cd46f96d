/* history_rows.c - the catalogue and rows as a history holds them; final dumps. See history.h. */
#include "support/history_inside.h"

#include <stdlib.h>
#include <string.h>

#include "wire/pack.h"

enum { GROUP_BYTES_MAX = 16 << 20 };

/* As on the wire (protocol.md 1.2). */
void value_write(history *h, const cat_column *c, const cell *v)
{
    fb_id id;
    switch (v->type) {
    case SQLITE_NULL:
        json_put_null(&h->w);
        break;
    case SQLITE_INTEGER:
        if (cat_is_wide(c->type)) {
            json_put_int_string(&h->w, v->number);
        } else {
            json_put_int(&h->w, v->number);
        }
        break;
    case SQLITE_BLOB:
        memset(&id, 0, sizeof id);
        memcpy(id.b, v->bytes, v->size < sizeof id.b ? v->size : sizeof id.b);
        json_put_id(&h->w, &id);
        break;
    default:
        json_put_string(&h->w, (fb_text){v->bytes, v->size});
        break;
    }
}

static int column_at(const cat_entity *e, const char *name)
{
    return cat_column_str(e, name);
}

void row_write(history *h, const cat_entity *e, char *const *names, const cell *cells, int count,
               bool version)
{
    int ver = cat_ver_column(e);
    put_text(h, "e", e->name.data);
    for (int i = 0; i < count; i++) {
        int column = column_at(e, names[i]);
        if (column == 0) {
            json_put_key(&h->w, "id");
            value_write(h, &e->columns[0], &cells[i]);
        } else if (column == ver && version) {
            put_number(h, "ver", cells[i].number);
        }
    }
    for (int list = 0; list < 2 && count > 1; list++) {
        json_put_key(&h->w, list == 0 ? "c" : "r");
        json_put_array(&h->w);
        for (int i = 0; i < count; i++) {
            int column = column_at(e, names[i]);
            if (column <= 0 || column == ver || cells[i].type == SQLITE_NULL) {
                continue;
            }
            if (list == 0) {
                json_put_str(&h->w, names[i]);
            } else {
                value_write(h, &e->columns[column], &cells[i]);
            }
        }
        json_put_end(&h->w);
    }
}

static void row_event(history *h, const cat_entity *e, sqlite3_stmt *q, const char *event,
                      bool version, int device)
{
    char *names[HISTORY_COLUMNS_MAX] = {NULL};
    cell cells[HISTORY_COLUMNS_MAX] = {{0}};
    int count = sqlite3_column_count(q);
    if (count > HISTORY_COLUMNS_MAX) {
        history_fail(h, e->name.data, "it has too many columns");
    }
    for (int i = 0; i < count; i++) {
        names[i] = strdup(sqlite3_column_name(q, i));
        cells[i] = cell_copy(sqlite3_column_value(q, i));
    }
    event_begin(h, event);
    if (device >= 0) {
        put_device(h, "d", device);
    }
    row_write(h, e, names, cells, count, version);
    event_end(h);
    for (int i = 0; i < count; i++) {
        free(names[i]);
        free(cells[i].bytes);
    }
}

void rows_of_table(history *h, sqlite3 *db, const cat_entity *e, const char *event, bool version)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY id", e->name.data);
    sqlite3_stmt *q = history_query(h, db, sql);
    while (history_row(h, q)) {
        row_event(h, e, q, event, version, -1);
    }
}

/* --- the catalogue ------------------------------------------------------------------------------
 */

/* Columns that the server sets by rules which the judge does not know: derived ones, stamps, and
 * those that a device may not write. */
static const char *policy_of(const cat_entity *e, int column)
{
    static const char *const NAMES[] = {"SRV", "LWW", "AO",  "DELTA", "SM", "MAX",
                                        "MIN", "SRV", "RES", "MAN",   "SIG"};
    static const char *const STAMPS[] = {"created_by", "created_at", "created_device", "updated_by",
                                         "updated_at"};
    const cat_column *c = &e->columns[column];
    for (size_t i = 0; i < sizeof STAMPS / sizeof *STAMPS; i++) {
        if (e->stamps && text_is(c->name, STAMPS[i])) {
            return "SRV";
        }
    }
    return c->derived ? "SRV" : NAMES[c->policy];
}

static void scope_write(history *h, const catalog *cat, const cat_entity *e)
{
    static const char *const KINDS[] = {"global", "territory", "region", "user", "parent", "link"};
    json_put_key(&h->w, "scope");
    json_put_array(&h->w);
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        const cat_scope_rule *r = &e->scopes[i];
        json_put_array(&h->w);
        json_put_str(&h->w, KINDS[r->kind]);
        if (r->column >= 0) {
            json_put_str(&h->w, e->columns[r->column].name.data);
        }
        if (r->kind == SCOPE_PARENT) {
            json_put_str(&h->w, cat->entities[e->columns[r->column].to_entity].name.data);
        }
        json_put_end(&h->w);
    }
    json_put_end(&h->w);
}

static bool is_judged_by_scope(const cat_entity *e)
{
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        if (e->scopes[i].kind == SCOPE_REGION || e->scopes[i].kind == SCOPE_NONE) {
            return false; /* a history knows no regions: README.md */
        }
    }
    return true;
}

static void steps_write(history *h, const cat_entity *e)
{
    if (e->states.column < 0) {
        return;
    }
    json_put_key(&h->w, "steps");
    json_put_array(&h->w);
    for (uint32_t i = 0; i < e->states.transitions_count; i++) {
        const cat_transition *t = &e->states.transitions[i];
        json_put_array(&h->w);
        json_put_str(&h->w, e->columns[e->states.column].name.data);
        json_put_string(&h->w, t->from);
        json_put_string(&h->w, t->to);
        json_put_end(&h->w);
    }
    json_put_end(&h->w);
}

static void entity_write(history *h, const catalog *cat, const cat_entity *e, const char *event)
{
    event_begin(h, event);
    put_text(h, "e", e->name.data);
    json_put_key(&h->w, "cols");
    json_put_array(&h->w);
    for (int i = 1; i < cat_ver_column(e); i++) {
        json_put_array(&h->w);
        json_put_str(&h->w, e->columns[i].name.data);
        json_put_str(&h->w, policy_of(e, i));
        json_put_end(&h->w);
    }
    json_put_end(&h->w);
    if (is_judged_by_scope(e)) {
        scope_write(h, cat, e);
    }
    steps_write(h, e);
    if (e->stamps) {
        put_text(h, "at", "updated_at");
    }
    if (cat_column_str(e, "assigner_id") >= 0) {
        put_text(h, "charge", "assigner_id");
    }
    event_end(h);
}

static catalog *catalog_read(history *h, sqlite3 *db, int64_t *version)
{
    catalog *cat = NULL;
    fb_error err = {0};
    sqlite3_stmt *q =
        history_query(h, db, "SELECT version, body FROM fs_catalog ORDER BY version DESC LIMIT 1");
    while (history_row(h, q)) {
        fb_text body = {(const char *)sqlite3_column_text(q, 1),
                        (size_t)sqlite3_column_bytes(q, 1)};
        *version = sqlite3_column_int64(q, 0);
        if (catalog_load(body, &cat, &err) != FB_OK) {
            history_fail(h, "the catalogue", err.message);
        }
    }
    if (cat == NULL) {
        history_fail(h, "the catalogue", "the server has none");
    }
    return cat;
}

static bool is_grown(const history *h, const cat_entity *e)
{
    const cat_entity *before = h->cat != NULL ? catalog_entity_str(h->cat, e->name.data) : NULL;
    return before == NULL || e->columns_count > before->columns_count;
}

void catalog_look(history *h, sqlite3 *db)
{
    int64_t version = 0;
    sqlite3_stmt *q = history_query(h, db, "SELECT coalesce(max(version), 0) FROM fs_catalog");
    while (history_row(h, q)) {
        version = sqlite3_column_int64(q, 0);
    }
    if (h->cat != NULL && version == h->catalog_version) {
        return;
    }
    bool first = h->cat == NULL;
    catalog *now = catalog_read(h, db, &h->catalog_version);
    for (uint32_t i = 0; i < now->entities_count; i++) {
        if (is_grown(h, &now->entities[i])) {
            entity_write(h, now, &now->entities[i], first ? "entity" : "catalog");
        }
    }
    catalog_free(h->cat);
    h->cat = now;
    if (first) {
        event_begin(h, "link");
        put_text(h, "e", "customer_assignment");
        put_text(h, "key", "customer_id");
        put_text(h, "territory", "territory_id");
        put_text(h, "user", "user_id");
        put_text(h, "end", "to_at");
        event_end(h);
    }
}

/* --- dumps --------------------------------------------------------------------------------------
 */

/* A device does not know the exact version of a row that it made itself. */
static void dump_rows(history *h, sqlite3 *db, bool versions)
{
    for (uint32_t i = 0; i < h->cat->entities_count; i++) {
        rows_of_table(h, db, &h->cat->entities[i], "has", versions);
    }
    event_begin(h, "dumped");
    event_end(h);
    sqlite3_close(db);
}

void history_dump_server(history *h)
{
    if (!history_server(h)) {
        history_fail(h, h->o.server, "it cannot be read for its dump");
    }
    event_begin(h, "dump");
    put_text(h, "of", "server");
    put_text(h, "why", "final");
    put_number(h, "head", h->cid);
    event_end(h);
    dump_rows(h, history_file(h, h->o.server), true);
}

static int64_t meta_number(history *h, sqlite3 *db, const char *key)
{
    int64_t n = 0;
    sqlite3_stmt *q = history_query(h, db, "SELECT value FROM fb_meta WHERE key = ?1");
    sqlite3_bind_text(q, 1, key, -1, SQLITE_TRANSIENT);
    while (history_row(h, q)) {
        n = sqlite3_column_int64(q, 0);
    }
    return n;
}

void history_show(history *h, int device, const char *entity, const fb_id *id)
{
    const cat_entity *e = catalog_entity_str(h->cat, entity);
    sqlite3 *db = history_file(h, h->devices[device].path);
    char sql[160];
    bool there = false;
    if (e == NULL || db == NULL) {
        history_fail(h, entity, "it cannot be shown");
    }
    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" WHERE id = ?1", entity);
    sqlite3_stmt *q = history_query(h, db, sql);
    sqlite3_bind_blob(q, 1, id->b, sizeof id->b, SQLITE_TRANSIENT);
    while (history_row(h, q)) {
        there = true;
        row_event(h, e, q, "show", false, device);
    }
    if (!there) {
        event_begin(h, "show");
        put_device(h, "d", device);
        put_text(h, "e", entity);
        put_id(h, "id", id);
        put_number(h, "gone", 1);
        event_end(h);
    }
    sqlite3_close(db);
}

static void holds_write(history *h, int device, sqlite3 *db)
{
    static const char *const STATES[] = {"pending", "held",   "rejected",
                                         "blocked", "closed", "kept"};
    int64_t acked = meta_number(h, db, "acked");
    sqlite3_stmt *q = history_query(h, db, "SELECT gseq, state, body FROM fb_outbox ORDER BY gseq");
    while (history_row(h, q)) {
        int64_t gseq = sqlite3_column_int64(q, 0);
        int state = sqlite3_column_int(q, 1);
        fb_text body = {sqlite3_column_blob(q, 2), (size_t)sqlite3_column_bytes(q, 2)};
        char hex[65];
        digest hash;
        buf line;
        buf_init(&line, GROUP_BYTES_MAX);
        bool packed = body.size > 0 && body.data[0] != '{';
        if (packed && pack_get(&line, body, GROUP_BYTES_MAX) != FB_OK) {
            history_fail(h, h->devices[device].path, "a group cannot be unpacked");
        }
        digest_of(packed ? line.data : body.data, packed ? line.size : body.size, &hash);
        for (int i = 0; i < 32; i++) {
            snprintf(hex + 2 * i, 3, "%02x", hash.b[i]);
        }
        event_begin(h, "holds");
        put_id(h, "inc", &h->devices[device].incarnation);
        put_number(h, "g", gseq);
        put_text(h, "h", hex);
        put_text(h, "state", state == 0 && gseq <= acked ? "kept" : STATES[state]);
        event_end(h);
        buf_clear(&line);
    }
}

void history_dump_device(history *h, int device, bool scope)
{
    sqlite3 *db = history_file(h, h->devices[device].path);
    if (db == NULL) {
        history_fail(h, h->devices[device].path, "it cannot be read for its dump");
    }
    device_look(h, device);
    event_begin(h, "dump");
    put_device(h, "of", device);
    put_text(h, "why", scope ? "scope" : "final");
    put_number(h, "head", meta_number(h, db, "head"));
    event_end(h);
    holds_write(h, device, db);
    dump_rows(h, db, false);
}
