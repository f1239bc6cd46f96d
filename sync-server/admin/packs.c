/* packs.c - row packs for first downloads: list, rebuild, drop. See admin.h.
 *
 * Packs are a cache beside the database (master.db.packs, or packs_file of fieldbookd.conf). A
 * running server renews them by itself; rebuild makes them all now, which pays before a day on
 * which many devices begin anew. Nothing in the master database changes, so nothing stands in the
 * audit. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "platform/posix/config.h"
#include "sql/sql.h"
#include "sync-server/feed/feed.h"

enum { SCOPE_TEXT_BYTES = 80 };

/* What one command works with. */
typedef struct pack_room {
    admin *a;
    char path[4096], packs_path[4200];
    uint32_t rows_min;
    pack_store *packs;
    fb_id epoch;
    int64_t head;
    uint32_t count;
    int64_t rows, bytes;
} pack_room;

static const char SCOPE_SQL[] =
    "SELECT CASE s.kind WHEN 1 THEN 'global' WHEN 2 THEN 'territory ' || coalesce(t.code, '?')"
    " WHEN 3 THEN 'region ' || coalesce(o.code, '?') ELSE 'user ' || coalesce(u.code, '?') END"
    " FROM fs_scope s LEFT JOIN territory t ON s.kind = 2 AND t.id = s.ref"
    " LEFT JOIN org_unit o ON s.kind = 3 AND o.id = s.ref"
    " LEFT JOIN app_user u ON s.kind = 4 AND u.id = s.ref WHERE s.scope = %lld";

static void scope_text(pack_room *p, int64_t scope, char out[SCOPE_TEXT_BYTES])
{
    char sql[sizeof SCOPE_SQL + 24];
    sql_stmt *q = NULL;
    bool row = false;
    fb_error err;
    snprintf(sql, sizeof sql, SCOPE_SQL, (long long)scope);
    snprintf(out, SCOPE_TEXT_BYTES, "%lld", (long long)scope);
    if (store_query(p->a->db, text_of(sql), &q, &err) == FB_OK && sql_step(q, &row) == FB_OK &&
        row) {
        fb_text t = sql_text(q, 0);
        snprintf(out, SCOPE_TEXT_BYTES, "%.*s", (int)t.size, t.data);
    }
    sql_finalize(q);
}

static fb_code show_one(void *ctx, const pack_info *i)
{
    pack_room *p = ctx;
    char scope[SCOPE_TEXT_BYTES], made[TIME_TEXT_BYTES];
    bool good = false;
    FB_TRY(feed_pack_is_good(p->a->db, i, &p->epoch, p->head, &good));
    scope_text(p, i->scope, scope);
    time_text(i->made_ms, made);
    p->count++;
    p->rows += i->rows;
    p->bytes += i->bytes;
    if (p->a->json) {
        printf("{\"scope\":\"%s\",\"rows\":%lld,\"chunks\":%u,\"bytes\":%lld,\"commit\":%lld,"
               "\"made\":\"%s\",\"offered\":%s}\n",
               scope, (long long)i->rows, i->chunks, (long long)i->bytes,
               (long long)(i->position >> 20), made, good ? "true" : "false");
    } else {
        admin_say(p->a, good ? TEXT_PACK_LINE : TEXT_PACK_LINE_OLD, scope, (long long)i->rows,
                  i->chunks, (long long)i->bytes, (long long)(i->position >> 20), made);
    }
    return FB_OK;
}

static fb_code epoch_read(pack_room *p)
{
    buf value;
    buf_init(&value, 64);
    fb_code rc = store_meta_get(p->a->db, "epoch", &value);
    if (rc == FB_OK && value.size == sizeof p->epoch.b) {
        memcpy(p->epoch.b, value.data, sizeof p->epoch.b);
    }
    buf_clear(&value);
    FB_TRY(rc);
    FB_TRY(ledger_head(p->a->db, &p->head));
    p->head = (p->head + 1) << 20;
    return FB_OK;
}

static fb_code list(pack_room *p)
{
    FB_TRY(store_snapshot(p->a->db));
    fb_code rc = epoch_read(p);
    if (rc == FB_OK) {
        rc = pack_store_each(p->packs, show_one, p);
    }
    store_snapshot_end(p->a->db);
    FB_TRY(rc);
    admin_say(p->a, TEXT_PACKS_SUM, p->count, (long long)p->rows, (long long)p->bytes, p->rows_min);
    return FB_OK;
}

static fb_code key_open(admin *a, sign_key *key)
{
    FB_TRY(store_begin(a->db));
    fb_code rc = sign_key_open(a->db, a->port, key);
    if (rc != FB_OK) {
        store_rollback(a->db);
        return rc;
    }
    return store_commit(a->db);
}

static fb_code build_all(pack_room *p, store *view, const pack_source *source)
{
    const pack_limits limits = {.rows_min = p->rows_min};
    bool more = true;
    fb_code rc = FB_OK;
    pack_builder *b = pack_builder_new(view, source, &limits);
    if (b == NULL) {
        return FB_E_NO_MEMORY;
    }
    while (rc == FB_OK && more) {
        rc = pack_builder_step(b, 0, p->a->port->wall_ms(p->a->port->ctx), &more);
    }
    pack_builder_free(b);
    return rc;
}

static fb_code rebuild(pack_room *p, fb_error *err)
{
    sign_key key;
    store *view = NULL;
    const store_options so = {.path = p->path, .read_only = true, .spills = true};
    FB_TRY(epoch_read(p));
    FB_TRY(key_open(p->a, &key));
    fb_code rc = store_open(&so, &view, err);
    if (rc == FB_OK) {
        rc = pack_store_drop(p->packs, 0);
    }
    if (rc == FB_OK) {
        const pack_source source = {.store = p->packs, .key = &key, .epoch = p->epoch};
        rc = build_all(p, view, &source);
    }
    store_close(view);
    sign_key_clear(&key);
    return rc == FB_OK ? list(p) : rc;
}

static fb_code drop(pack_room *p)
{
    FB_TRY(pack_store_drop(p->packs, 0));
    admin_say(p->a, TEXT_PACKS_DROPPED);
    return FB_OK;
}

/* Where fieldbookd keeps them: its configuration says so, and how many rows pay. A home without one
 * has them beside the database. */
static fb_code place_read(pack_room *p, fb_error *err)
{
    char config[4096];
    server_config c;
    snprintf(p->path, sizeof p->path, "%s/master.db", p->a->home);
    snprintf(p->packs_path, sizeof p->packs_path, "%s.packs", p->path);
    snprintf(config, sizeof config, "%s/fieldbookd.conf", p->a->home);
    fb_code rc = config_get(config, &c, err);
    if (rc == FB_E_NOT_FOUND) {
        config_init(&c);
        rc = FB_OK;
    }
    FB_TRY(rc);
    if (c.packs_file[0] != '\0') {
        snprintf(p->packs_path, sizeof p->packs_path, "%s", c.packs_file);
    }
    p->rows_min = c.packs_rows_min;
    return FB_OK;
}

fb_code packs_forget(admin *a, int64_t before, fb_error *err)
{
    pack_room p = {.a = a};
    FB_TRY(place_read(&p, err));
    fb_code rc = pack_store_open(p.packs_path, NULL, false, &p.packs, err);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    rc = pack_store_forget(p.packs, before);
    pack_store_close(p.packs);
    return rc == FB_OK ? FB_OK : fail(err, rc, p.packs_path, "the packs could not be written anew");
}

int command_packs(admin *a)
{
    pack_room p = {.a = a};
    fb_error err = {0};
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    const char *what = a->argc == 1 ? a->argv[0] : "";
    bool lists = strcmp(what, "list") == 0, rebuilds = strcmp(what, "rebuild") == 0;
    if (!lists && !rebuilds && strcmp(what, "drop") != 0) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "list | rebuild | drop", a->command);
        return EXIT_USAGE;
    }
    fb_code rc = place_read(&p, &err);
    if (rc == FB_OK) {
        rc = pack_store_open(p.packs_path, NULL, true, &p.packs, &err);
    }
    if (rc == FB_OK) {
        rc = lists ? list(&p) : rebuilds ? rebuild(&p, &err) : drop(&p);
    }
    pack_store_close(p.packs);
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, &err);
}
