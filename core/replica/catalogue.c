/* catalogue.c - the catalogue in use: installed with its tables, adopted from a server that is met
 * anew, followed when another connection brought one.
 *
 *   install  a newer catalogue that only adds: tables grow, rows and groups stay
 *   adopt    the device has no token: whatever the server has counts
 *
 * Each catalogue in use is an edition; earlier ones stay until close (edition.c). */
#include <string.h>

#include "replica/room.h"

static fb_code run_ddl(void *ctx, const char *sql)
{
    replica *r = ctx;
    return sql_exec(r->db, sql);
}

static fb_code catalog_write(replica *r, const catalog *c)
{
    sql_stmt *s = sql_prepare(r->db, "INSERT INTO fb_catalog (version, body) VALUES (?1, ?2)");
    sql_bind_int(s, 1, c->version);
    sql_bind_text(s, 2, c->text);
    return sql_run(s);
}

static void edition_push(replica *r, edition *e)
{
    e->before = r->edition;
    r->edition = e;
    observe_all(r);
}

/* Ours brought to `next`, which only adds to it. */
static fb_code tables_extend(replica *r, const catalog *now, const catalog *next, fb_error *err)
{
    FB_TRY(now != NULL ? catalog_extends(now, next, err) : FB_OK);
    return catalog_migrate(now, next, CAT_DEVICE, run_ddl, r);
}

/* How often the catalogue of a server met anew has replaced ours: numbers may go back then. */
static fb_code adopted_read(replica *r, int64_t *out)
{
    return read_count(r, "SELECT coalesce((SELECT value FROM fb_meta WHERE key='adopted'), 0)",
                      out);
}

/* Consumes `next`, also on failure. */
static fb_code catalog_use(replica *r, catalog *next, int64_t adopted, bool *changed_out)
{
    edition *made = NULL;
    fb_code rc = catalog_write(r, next);
    if (rc == FB_OK) {
        rc = edition_new(next, &made);
    }
    if (rc != FB_OK) {
        catalog_free(next);
        return rc;
    }
    made->adopted = adopted;
    edition_push(r, made);
    rights_forget(r);
    *changed_out = true;
    return FB_OK;
}

/* Inside a transaction. A catalogue that is not newer than ours changes nothing. */
fb_code catalog_install(replica *r, fb_text text, bool *changed_out, fb_error *err)
{
    catalog *next = NULL;
    const catalog *now = r->edition != NULL ? r->edition->catalog : NULL;

    FB_TRY(catalog_load(text, &next, err));
    if (now != NULL && next->version <= now->version) {
        catalog_free(next);
        return FB_OK;
    }
    fb_code rc = tables_extend(r, now, next, err);
    if (rc != FB_OK) {
        catalog_free(next);
    } else {
        rc = catalog_use(r, next, r->edition != NULL ? r->edition->adopted : 0, changed_out);
    }
    return rc == FB_OK || rc == FB_E_CATALOG ? rc : sql_fail(r, rc, err);
}

/* --- the catalogue of a server that is met anew -------------------------------------------- */

static fb_code tables_drop(replica *r, const catalog *now)
{
    for (uint32_t i = 0; i < now->entities_count; i++) {
        buf_reset(&r->text);
        buf_printf(&r->text, "DROP TABLE IF EXISTS %.*s", (int)now->entities[i].name.size,
                   now->entities[i].name.data);
        FB_TRY(run_text(r, buf_cstr(&r->text)));
    }
    return run_text(r, "DELETE FROM fb_undo");
}

/* The rows were another catalogue's: they come again, and what is on top is put on at once. */
static fb_code groups_put_on(replica *r)
{
    int64_t state = 0;
    bool found = false;
    for (int64_t gseq = 1; gseq <= r->state.last; gseq++) {
        FB_TRY(read_int(r, "SELECT state FROM fb_outbox WHERE gseq=?1", gseq, &found, &state));
        if (found && group_is_on_top(r, gseq, state)) {
            FB_TRY(group_replay(r, gseq, REPLAY_PENDING));
        }
    }
    return FB_OK;
}

static fb_code tables_replace(replica *r, const catalog *now, const catalog *next)
{
    FB_TRY(tables_drop(r, now));
    r->state.base_stale |= r->state.visible > 0;
    return catalog_migrate(NULL, next, CAT_DEVICE, run_ddl, r);
}

static fb_code adopt(replica *r, catalog *next_take, bool *changed_out, fb_error *err)
{
    const catalog *now = r->edition->catalog;
    int64_t adopted = r->edition->adopted + 1;
    bool adds = next_take->version > now->version && catalog_extends(now, next_take, NULL) == FB_OK;
    fb_code rc = run_int(r, "DELETE FROM fb_catalog WHERE version >= ?1", next_take->version);
    if (rc == FB_OK) {
        rc = meta_put_int(r, "adopted", adopted);
    }
    if (rc == FB_OK) {
        rc = adds ? tables_extend(r, now, next_take, err) : tables_replace(r, now, next_take);
    }
    if (rc != FB_OK) {
        catalog_free(next_take);
        return rc;
    }
    FB_TRY(catalog_use(r, next_take, adopted, changed_out));
    return adds ? FB_OK : groups_put_on(r);
}

/* Inside a transaction, while the device has no token: the base is nobody's, so the server's
 * catalogue counts whatever its number is. (A new app may have more entities built in than an older
 * server knows; a restored server may have lost what IT had added.) If it only adds to ours nothing
 * is lost; otherwise the tables are made anew, rows come with the reset page, and what a group in
 * the outbox holds of entities that are gone is kept there. */
fb_code catalog_adopt(replica *r, fb_text text, bool *changed_out, fb_error *err)
{
    catalog *next = NULL;

    FB_TRY(catalog_load(text, &next, err));
    if (memcmp(&next->hash, &r->edition->catalog->hash, sizeof next->hash) == 0) {
        catalog_free(next);
        return FB_OK;
    }
    fb_code rc = adopt(r, next, changed_out, err);
    return rc == FB_OK ? rc : sql_fail(r, rc, err);
}

static fb_code catalog_read_newest(replica *r, fb_error *err)
{
    sql_stmt *s = sql_prepare(r->db, "SELECT body FROM fb_catalog ORDER BY version DESC LIMIT 1");
    bool row = false;
    catalog *c = NULL;
    edition *made = NULL;

    fb_code rc = sql_step(s, &row);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    if (!row) {
        return FB_OK;
    }
    rc = catalog_load(sql_text(s, 0), &c, err);
    sql_reset(s);
    FB_TRY(rc);
    rc = edition_new(c, &made);
    if (rc == FB_OK) {
        edition_push(r, made);
        rc = adopted_read(r, &made->adopted);
    } else {
        catalog_free(c);
    }
    return rc == FB_OK ? FB_OK : sql_fail(r, rc, err);
}

/* After another connection installed a newer one, or after a rollback took ours away. */
fb_code catalog_follow(replica *r)
{
    int64_t version = 0;
    int64_t adopted = 0;
    FB_TRY(read_count(r, "SELECT coalesce(max(version), 0) FROM fb_catalog", &version));
    FB_TRY(adopted_read(r, &adopted));
    while (r->edition != NULL &&
           (r->edition->adopted > adopted ||
            (r->edition->adopted == adopted && r->edition->catalog->version > version))) {
        edition *gone = r->edition; /* never shown to anybody: its transaction did not commit */
        r->edition = gone->before;
        edition_free(gone);
    }
    if (r->edition == NULL || r->edition->adopted < adopted ||
        r->edition->catalog->version < version) {
        FB_TRY(catalog_read_newest(r, NULL));
    }
    return FB_OK;
}

/* The built-in catalogue replaces a stored one only if it is newer and takes nothing away: fields
 * that IT added stand until the server sends its joined catalogue. */
fb_code catalog_boot(replica *r, fb_error *err)
{
    bool changed = false;
    FB_TRY(catalog_read_newest(r, err));
    if (r->read_only) {
        return r->edition != NULL ? FB_OK
                                  : fail(err, FB_E_CORRUPT, "fb_catalog",
                                         "the file holds no catalogue: restore it");
    }
    fb_code rc = catalog_install(r, catalog_builtin_text(), &changed, err);
    return rc == FB_E_CATALOG ? FB_OK : rc;
}
