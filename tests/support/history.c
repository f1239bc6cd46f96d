/* history.c - the recorder's file, SQLite's hook, and what devices do. See history.h. */
#include "support/history_inside.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wire/pack.h"

/* In builds with sanitizers: 0 when everything that was taken is still pointed to. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

enum { LINE_BYTES_MAX = 64 << 20, GROUP_BYTES_MAX = 16 << 20 };

_Noreturn void history_fail(history *h, const char *what, const char *why)
{
    fprintf(stderr, "history %s: %s: %s\n", h->o.path, what, why);
    abort();
}

/* --- events -------------------------------------------------------------------------------------
 */

void event_begin(history *h, const char *name)
{
    buf_reset(&h->line);
    json_writer_init(&h->w, &h->line);
    json_put_object(&h->w);
    put_text(h, "ev", name);
    if (h->begun) {
        put_number(h, "t", h->now_ms);
    }
}

void event_end(history *h)
{
    json_put_end(&h->w);
    buf_put_str(&h->line, "\n");
    if (h->line.code != FB_OK || fwrite(h->line.data, 1, h->line.size, h->out) != h->line.size) {
        history_fail(h, "an event", "it cannot be written");
    }
}

void put_text(history *h, const char *key, const char *text)
{
    json_put_key(&h->w, key);
    json_put_str(&h->w, text);
}

void put_number(history *h, const char *key, int64_t n)
{
    json_put_key(&h->w, key);
    json_put_int(&h->w, n);
}

void put_id(history *h, const char *key, const fb_id *id)
{
    json_put_key(&h->w, key);
    json_put_id(&h->w, id);
}

void put_device(history *h, const char *key, int device)
{
    char name[16];
    snprintf(name, sizeof name, "d%d", device);
    put_text(h, key, name);
}

void history_note(history *h, const char *event, const char *members)
{
    event_begin(h, event);
    buf_put_str(&h->line, ",");
    buf_put_str(&h->line, members);
    event_end(h);
}

/* --- files --------------------------------------------------------------------------------------
 */

sqlite3 *history_file(const history *h, const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, h->o.vfs) != SQLITE_OK ||
        sqlite3_exec(db, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL) != SQLITE_OK) {
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

sqlite3_stmt *history_query(history *h, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) {
        history_fail(h, sql, sqlite3_errmsg(db));
    }
    return q;
}

bool history_row(history *h, sqlite3_stmt *q)
{
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        return true;
    }
    if (rc != SQLITE_DONE) {
        history_fail(h, sqlite3_sql(q), sqlite3_errmsg(sqlite3_db_handle(q)));
    }
    sqlite3_finalize(q);
    return false;
}

fb_id column_id(sqlite3_stmt *q, int column)
{
    fb_id id = {{0}};
    if (sqlite3_column_bytes(q, column) == (int)sizeof id.b) {
        memcpy(id.b, sqlite3_column_blob(q, column), sizeof id.b);
    }
    return id;
}

/* --- the hook -----------------------------------------------------------------------------------
 */

static history *listening; /* SQLite's hook for new connections has no context of its own */

cell cell_copy(sqlite3_value *v)
{
    cell c = {.type = sqlite3_value_type(v)};
    if (c.type == SQLITE_INTEGER) {
        c.number = sqlite3_value_int64(v);
    } else if (c.type != SQLITE_NULL) {
        c.size = (size_t)sqlite3_value_bytes(v);
        c.bytes = malloc(c.size + 1);
        if (c.bytes == NULL) {
            abort();
        }
        const void *from = sqlite3_value_blob(v);
        memcpy(c.bytes, from != NULL ? from : "", c.size);
        c.bytes[c.size] = '\0';
    }
    return c;
}

void written_free(written *w)
{
    for (int i = 0; i < w->count; i++) {
        free(w->cells[i].bytes);
    }
    free(w->cells);
}

static written *pending_add(history *h, const char *table)
{
    if (h->pending_count == h->pending_room) {
        h->pending_room = h->pending_room * 2 + 64;
        h->pending = realloc(h->pending, h->pending_room * sizeof *h->pending);
    }
    if (h->pending == NULL) {
        history_fail(h, "a row", "no memory");
    }
    written *w = &h->pending[h->pending_count++];
    *w = (written){.count = 0};
    snprintf(w->table, sizeof w->table, "%s", table);
    return w;
}

static void on_write(void *ctx, sqlite3 *db, int op, const char *schema, const char *table,
                     sqlite3_int64 before, sqlite3_int64 after)
{
    history *h = ctx;
    (void)before;
    (void)after;
    bool commit = strcmp(table, "fs_commit") == 0 && op == SQLITE_INSERT;
    if (strcmp(schema, "main") != 0 || (strncmp(table, "fs_", 3) == 0 && !commit) ||
        strncmp(table, "sqlite_", 7) == 0) {
        return;
    }
    written *w = pending_add(h, table);
    w->gone = op == SQLITE_DELETE;
    w->count = sqlite3_preupdate_count(db);
    w->cells = calloc((size_t)w->count, sizeof *w->cells);
    for (int i = 0; w->cells != NULL && i < w->count; i++) {
        sqlite3_value *v = NULL;
        int rc = w->gone ? sqlite3_preupdate_old(db, i, &v) : sqlite3_preupdate_new(db, i, &v);
        if (rc == SQLITE_OK) {
            w->cells[i] = cell_copy(v);
        }
    }
}

static void on_rollback(void *ctx)
{
    history *h = ctx;
    while (h->pending_count > 0 &&
           strcmp(h->pending[h->pending_count - 1].table, "fs_commit") != 0) {
        written_free(&h->pending[--h->pending_count]);
    }
}

static int on_connection(sqlite3 *db, char **err, const struct sqlite3_api_routines *api)
{
    (void)err;
    (void)api;
    const char *file = sqlite3_db_filename(db, "main");
    size_t want = listening != NULL ? strlen(listening->o.server) : 0,
           have = file != NULL ? strlen(file) : 0;
    if (want > 0 && have >= want && strcmp(file + have - want, listening->o.server) == 0) {
        sqlite3_preupdate_hook(db, on_write, listening);
        sqlite3_rollback_hook(db, on_rollback, listening);
    }
    return SQLITE_OK;
}

void hook_set(history *h)
{
    listening = h;
    if (h != NULL) {
        sqlite3_auto_extension((void (*)(void))on_connection);
    } else {
        sqlite3_cancel_auto_extension((void (*)(void))on_connection);
    }
}

static int64_t files_open(void)
{
    int64_t n = -1; /* without the one that counts */
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        n += e->d_name[0] != '.';
    }
    if (d != NULL) {
        closedir(d);
    }
    return n;
}

history *history_open(const history_options *o)
{
    history *h = calloc(1, sizeof *h);
    if (h == NULL) {
        abort();
    }
    h->o = *o;
    h->files = files_open();
    h->out = fopen(o->path, "w");
    if (h->out == NULL) {
        history_fail(h, "the file", "it cannot be made");
    }
    buf_init(&h->line, LINE_BYTES_MAX);
    event_begin(h, "history");
    put_number(h, "v", 1);
    put_text(h, "name", o->name);
    put_number(h, "seed", (int64_t)o->seed);
    event_end(h);
    hook_set(h);
    return h;
}

void history_close(history *h)
{
    hook_set(NULL);
    if (fclose(h->out) != 0) {
        history_fail(h, "the file", "it cannot be written");
    }
    for (size_t i = 0; i < h->pending_count; i++) {
        written_free(&h->pending[i]);
    }
    for (size_t i = 0; i < h->incs_count; i++) {
        free(h->incs[i].lines);
        free(h->incs[i].held);
    }
    for (size_t i = 0; i < h->members_count; i++) {
        free(h->members[i]);
    }
    free(h->audit_hashes);
    free(h->pending);
    free(h->incs);
    free(h->members);
    catalog_free(h->cat);
    buf_clear(&h->line);
    free(h);
}

void history_time(history *h, int64_t now_ms)
{
    h->now_ms = now_ms > h->now_ms ? now_ms : h->now_ms;
}

/* --- devices ------------------------------------------------------------------------------------
 */

recorded_inc *inc_get(history *h, const fb_id *incarnation, int device)
{
    for (size_t i = 0; i < h->incs_count; i++) {
        if (id_equal(&h->incs[i].incarnation, incarnation)) {
            if (device >= 0) { /* the server may have been seen to know it first */
                h->incs[i].device = device;
            }
            return &h->incs[i];
        }
    }
    h->incs = realloc(h->incs, (h->incs_count + 1) * sizeof *h->incs);
    if (h->incs == NULL) {
        history_fail(h, "an incarnation", "no memory");
    }
    h->incs[h->incs_count] = (recorded_inc){.incarnation = *incarnation, .device = device};
    return &h->incs[h->incs_count++];
}

static fb_id meta_id(history *h, sqlite3 *db, const char *key)
{
    fb_id id = {{0}};
    sqlite3_stmt *q = history_query(h, db, "SELECT value FROM fb_meta WHERE key = ?1");
    sqlite3_bind_text(q, 1, key, -1, SQLITE_TRANSIENT);
    while (history_row(h, q)) {
        id = column_id(q, 0);
    }
    return id;
}

static void group_write(history *h, int device, const fb_id *inc, sqlite3_stmt *q)
{
    recorded_device *d = &h->devices[device];
    fb_text stored = {sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1)};
    buf line;
    buf_init(&line, GROUP_BYTES_MAX);
    bool packed = stored.size > 0 && stored.data[0] != '{';
    if ((packed ? pack_get(&line, stored, GROUP_BYTES_MAX) : FB_OK) != FB_OK) {
        history_fail(h, d->path, "a group cannot be unpacked");
    }
    if (!d->calling) { /* a call that saves more than one group, or was found after a crash */
        history_save(h, device);
    }
    event_begin(h, "saved");
    put_device(h, "d", device);
    put_number(h, "call", d->calls);
    put_id(h, "inc", inc);
    put_number(h, "g", sqlite3_column_int64(q, 0));
    json_put_key(&h->w, "group");
    json_put_raw(&h->w, packed ? buf_text(&line) : stored);
    event_end(h);
    d->calling = false;
    d->seen = sqlite3_column_int64(q, 0);
    buf_clear(&line);
}

/* A new incarnation: pending groups have new numbers, and are the ones that were known. */
static void rebirth_write(history *h, int device, const fb_id *inc, sqlite3 *db)
{
    recorded_device *d = &h->devices[device];
    sqlite3_stmt *q =
        history_query(h, db, "SELECT coalesce(max(gseq), 0) FROM fb_outbox WHERE gseq > 0");
    int64_t last = 0;
    while (history_row(h, q)) {
        last = sqlite3_column_int64(q, 0);
    }
    event_begin(h, "rebirth");
    put_device(h, "d", device);
    put_id(h, "inc", inc);
    put_number(h, "n", last);
    event_end(h);
    d->incarnation = *inc;
    d->seen = last;
    inc_get(h, inc, device);
}

void device_look(history *h, int device)
{
    recorded_device *d = &h->devices[device];
    sqlite3 *db = d->known ? history_file(h, d->path) : NULL;
    if (db == NULL) {
        return;
    }
    fb_id inc = meta_id(h, db, "incarnation");
    if (!id_equal(&inc, &d->incarnation)) {
        rebirth_write(h, device, &inc, db);
    }
    sqlite3_stmt *q =
        history_query(h, db, "SELECT gseq, body FROM fb_outbox WHERE gseq > ?1 ORDER BY gseq");
    sqlite3_bind_int64(q, 1, d->seen);
    while (history_row(h, q)) {
        group_write(h, device, &inc, q);
    }
    sqlite3_close(db);
}

void history_device(history *h, int device, const char *path, const fb_id *user)
{
    recorded_device *d = &h->devices[device];
    sqlite3 *db = history_file(h, path);
    if (db == NULL) {
        history_fail(h, path, "it cannot be read");
    }
    *d = (recorded_device){.known = true, .user = *user, .calls = d->calls};
    snprintf(d->path, sizeof d->path, "%s", path);
    d->incarnation = meta_id(h, db, "incarnation");
    sqlite3_close(db);
    inc_get(h, &d->incarnation, device);
    event_begin(h, "device");
    put_device(h, "d", device);
    put_id(h, "u", user);
    put_id(h, "inc", &d->incarnation);
    event_end(h);
}

void history_save(history *h, int device)
{
    recorded_device *d = &h->devices[device];
    event_begin(h, "save");
    put_device(h, "d", device);
    put_number(h, "call", ++d->calls);
    event_end(h);
    d->calling = true;
}

void history_saved(history *h, int device, fb_code code, bool gone)
{
    recorded_device *d = &h->devices[device];
    if (code == FB_OK) {
        device_look(h, device);
    }
    if (d->calling) {
        event_begin(h, gone ? "unsure" : "failed");
        put_device(h, "d", device);
        put_number(h, "call", d->calls);
        event_end(h);
    }
    d->calling = false;
}

void history_synced(history *h, int device)
{
    event_begin(h, "synced");
    put_device(h, "d", device);
    event_end(h);
}

void history_crash(history *h, int device)
{
    event_begin(h, "crash");
    if (device >= 0) {
        put_device(h, "d", device);
    } else {
        put_number(h, "server", 1);
    }
    event_end(h);
}

void history_reopen(history *h, int device)
{
    recorded_device *d = &h->devices[device];
    device_look(h, device);
    event_begin(h, "open");
    put_device(h, "d", device);
    put_id(h, "inc", &d->incarnation);
    put_number(h, "last", d->seen);
    event_end(h);
}

void history_quiet(history *h, int64_t rtt_ms, int64_t chunks)
{
    if (h->quiet) {
        return;
    }
    h->quiet = true;
    event_begin(h, "quiet");
    put_number(h, "rtt", rtt_ms);
    put_number(h, "chunks", chunks);
    event_end(h);
}

void history_drained(history *h, int device)
{
    recorded_device *d = &h->devices[device];
    if (!h->quiet || d->drained) {
        return;
    }
    d->drained = true;
    event_begin(h, "drained");
    put_device(h, "d", device);
    put_number(h, "began", d->asked ? d->asked_ms : h->now_ms);
    event_end(h);
}

static recorded_bound *bound_get(history *h, int device, const char *what, int64_t max)
{
    for (int i = 0; i < h->bounds_count; i++) {
        if (h->bounds[i].device == device && strcmp(h->bounds[i].what, what) == 0) {
            return &h->bounds[i];
        }
    }
    if (h->bounds_count == (int)(sizeof h->bounds / sizeof *h->bounds)) {
        history_fail(h, what, "too many bounds");
    }
    recorded_bound *b = &h->bounds[h->bounds_count++];
    *b = (recorded_bound){.device = device, .most = -1};
    snprintf(b->what, sizeof b->what, "%s", what);
    event_begin(h, "cap");
    put_device(h, "who", device);
    put_text(h, "what", what);
    put_number(h, "max", max);
    event_end(h);
    return b;
}

void history_bound(history *h, int device, const char *what, int64_t value, int64_t max)
{
    recorded_bound *b = bound_get(h, device, what, max);
    if (value <= b->most) {
        return;
    }
    b->most = value;
    event_begin(h, "sample");
    put_device(h, "who", device);
    put_text(h, "what", what);
    put_number(h, "value", value);
    event_end(h);
}

void history_memory(history *h)
{
    if (__lsan_do_recoverable_leak_check == NULL) {
        return;
    }
    event_begin(h, "sanitizer");
    put_number(h, "reports", 0);
    put_number(h, "leaks", __lsan_do_recoverable_leak_check() != 0);
    put_number(h, "fds", files_open() - 1 - h->files); /* its own file */
    event_end(h);
}

const char *history_build(void)
{
    static char text[65];
    char piece[1 << 14];
    digest sum = {{0}};
    FILE *in = fopen("/proc/self/exe", "rb");
    for (size_t n = 0; in != NULL && (n = fread(piece, 1, sizeof piece, in)) > 0;) {
        digest_chain(&sum, piece, n, &sum);
    }
    if (in != NULL) {
        fclose(in);
    }
    for (size_t i = 0; i < sizeof sum.b; i++) {
        snprintf(text + 2 * i, 3, "%02x", sum.b[i]);
    }
    return text;
}
