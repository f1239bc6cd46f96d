/* server_mark.c - is this the database that was here last? And a new epoch after a restore.
 *
 * A database that was put back from an older copy looks sound, but devices hold answers it no
 * longer knows it gave, and its commit numbers are about to be used twice. The high-water mark
 * beside the database (store.h) tells: the epoch differs, or the database is behind it, or the
 * audit chain does not run through the entry it names. Then every device is answered E_EPOCH until
 * a person draws a new epoch (server_epoch_new, `fieldbook-admin restore`): devices send again what
 * no backup holds. Where that file is gone too, the devices of two people who know answers that the
 * database never gave say the same.
 *
 *   MRK-1  the mark is written after the commit it names is synced: it is never ahead by itself
 *   MRK-2  a server that is behind its mark takes nothing and tells nothing */
#include "sync-server/server_inside.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "sync-server/ledger/ledger.h"

enum { MARK_COMMITS = 1000, MARK_MS = 60000 };

static fb_code epoch_get(store *db, fb_id *out)
{
    buf value;
    buf_init(&value, 64);
    fb_code rc = store_meta_get(db, "epoch", &value);
    if (rc == FB_OK && value.size == sizeof out->b) {
        memcpy(out->b, value.data, sizeof out->b);
    } else if (rc == FB_OK) {
        rc = FB_E_CORRUPT;
    }
    buf_clear(&value);
    return rc;
}

/* Where the database stands. */
static fb_code mark_make(store *db, store_mark *out)
{
    bool row = false;
    memset(out, 0, sizeof *out);
    FB_TRY(epoch_get(db, &out->epoch));
    FB_TRY(ledger_head(db, &out->cid));
    store_stmt *q = store_prepare(db, STORE_ledger_audit_last);
    FB_TRY(store_step(q, &row));
    if (row) {
        fb_text hash = store_blob(q, 1);
        out->audit_seq = store_int(q, 0);
        memcpy(out->audit.b, hash.data,
               hash.size < sizeof out->audit.b ? hash.size : sizeof out->audit.b);
        store_reset(q);
    }
    return FB_OK;
}

static fb_code audit_runs_through(store *db, const store_mark *mark, bool *out)
{
    bool row = false;
    *out = mark->audit_seq == 0;
    if (*out) {
        return FB_OK;
    }
    store_stmt *q = store_prepare(db, STORE_ledger_audit_at);
    store_bind_int(q, 1, mark->audit_seq);
    FB_TRY(store_step(q, &row));
    if (row) {
        fb_text hash = store_blob(q, 0);
        *out =
            hash.size == sizeof mark->audit.b && memcmp(hash.data, mark->audit.b, hash.size) == 0;
        store_reset(q);
    }
    return FB_OK;
}

static fb_code mark_judge(store *db, const store_mark *mark, fb_error *err)
{
    store_mark now;
    bool runs_through = false;
    FB_TRY(mark_make(db, &now));
    FB_TRY(audit_runs_through(db, mark, &runs_through));
    if (id_equal(&now.epoch, &mark->epoch) && now.cid >= mark->cid && runs_through) {
        return FB_OK;
    }
    return fail(err, FB_E_EPOCH, "database",
                "this is not the database that was here last: it stands at commit %lld, the last "
                "one stood at %lld. It "
                "was put back from an older copy. If that is meant: fieldbook-admin restore "
                "--confirm, then start the "
                "server again; if not, put the newest database back",
                (long long)now.cid, (long long)mark->cid);
}

fb_code server_mark_check(const char *path, const char *vfs, store *db, fb_error *err)
{
    store_mark mark;
    fb_code rc = store_mark_get(path, vfs, &mark, err);
    if (rc == FB_E_NOT_FOUND) {
        return FB_OK;
    }
    return rc == FB_OK ? mark_judge(db, &mark, err) : rc;
}

fb_code server_mark_open(server *s, fb_error *err)
{
    store_mark mark;
    fb_code rc = store_mark_get(s->path, s->vfs, &mark, err);
    if (rc == FB_OK) {
        rc = mark_judge(s->db, &mark, err);
    }
    if (rc == FB_E_EPOCH) {
        atomic_store(&s->suspect, true);
        server_log(s, FB_LOG_ERROR,
                   "server.refuses reason=database_put_back commit=%lld expected=%lld",
                   (long long)atomic_load(&s->head), (long long)mark.cid);
        return FB_OK;
    }
    if (rc == FB_OK) {
        s->marked_cid = mark.cid;
        s->marked_ms = mono_ms(s);
    }
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

void server_mark_keep(server *s, bool now)
{
    store_mark mark;
    int64_t behind = atomic_load(&s->head) - s->marked_cid;
    bool due = now || behind >= MARK_COMMITS || mono_ms(s) - s->marked_ms >= MARK_MS;
    if (atomic_load(&s->suspect) || behind <= 0 || !due) {
        return;
    }
    s->marked_ms = mono_ms(s);
    if (mark_make(s->db, &mark) != FB_OK || !id_equal(&mark.epoch, &s->epoch) ||
        store_mark_put(s->path, s->vfs, &mark, NULL) != FB_OK) {
        server_log(s, FB_LOG_WARN, "server.mark kept=0"); /* MRK-1 holds: the old one stands */
        return;
    }
    s->marked_cid = mark.cid;
}

/* A restore under our feet: what we remember of the epoch is wrong until the next start. */
void server_epoch_watch(server *s)
{
    fb_id epoch;
    if (!atomic_load(&s->suspect) && epoch_get(s->db, &epoch) == FB_OK &&
        !id_equal(&epoch, &s->epoch)) {
        atomic_store(&s->suspect, true);
        server_log(s, FB_LOG_ERROR, "server.refuses reason=new_epoch cure=start_the_server_again");
    }
}

/* One device may be damaged, or lie, and one person may have several: the second person is proof.
 */
void server_gap_heard(server *s, const fb_id *device)
{
    door_device d;
    if (door_device_get(s->db, device, &d) != FB_OK || id_equal(&d.user, &s->gap_user)) {
        return;
    }
    if (id_is_none(&s->gap_user)) {
        s->gap_user = d.user;
        server_log(s, FB_LOG_ERROR, "device.knows_more reason=answers_this_database_never_gave");
        return;
    }
    atomic_store(&s->suspect, true);
    server_log(s, FB_LOG_ERROR,
               "server.refuses reason=two_people_know_more cure=fieldbook-admin_restore_--confirm");
}

bool server_is_suspect(const server *s)
{
    return atomic_load(&s->suspect);
}

/* ---- a new epoch ---- */

static fb_code epoch_write(store *db, const server_epoch_options *o)
{
    fb_id epoch;
    int64_t head = 0, shared = 0;
    char detail[128];
    FB_TRY(o->port->random(o->port->ctx, epoch.b, sizeof epoch.b));
    FB_TRY(store_meta_set(db, "epoch", (fb_text){(const char *)epoch.b, sizeof epoch.b}));
    FB_TRY(ledger_head(db, &head));
    /* Up to here every earlier epoch shares it: a phone may have slept over several. */
    FB_TRY(store_meta_int(db, "epoch_cid", head, &shared));
    FB_TRY(store_meta_int_set(db, "epoch_cid", shared < head ? shared : head));
    FB_TRY(store_meta_int_set(db, "epoch_ms", o->port->wall_ms(o->port->ctx)));
    snprintf(detail, sizeof detail, "{\"commit\":\"%lld\"}", (long long)head);
    return audit_put(db, o->port->wall_ms(o->port->ctx), text_of("admin"), text_of("restore"),
                     (fb_text){NULL, 0}, NULL, text_of(detail));
}

static fb_code epoch_commit(store *db, const server_epoch_options *o)
{
    FB_TRY(store_begin(db));
    fb_code rc = epoch_write(db, o);
    if (rc != FB_OK) {
        store_rollback(db);
        return rc;
    }
    return store_commit(db);
}

fb_code server_epoch_new(const server_epoch_options *o, int64_t *commit_out, fb_error *err)
{
    FB_REQUIRE(o != NULL && o->path != NULL && o->port != NULL);
    store *db = NULL;
    store_mark mark;
    FB_TRY(store_open(&(store_options){.path = o->path, .vfs = o->vfs}, &db, err));
    fb_code rc = epoch_commit(db, o);
    if (rc == FB_OK) {
        rc = mark_make(db, &mark);
    }
    if (rc == FB_OK) {
        rc = store_mark_put(o->path, o->vfs, &mark, err);
    } else {
        (void)fail(err, rc, "database", "the new epoch cannot be written: %s",
                   fb_code_text(rc, "en"));
    }
    store_close(db);
    if (rc == FB_OK && commit_out != NULL) {
        *commit_out = mark.cid;
    }
    return rc;
}

bool server_restore_was_cut(const char *path)
{
    char made[4200];
    int size = snprintf(made, sizeof made, "%s" SERVER_RESTORING, path);
    return size < (int)sizeof made && access(path, F_OK) != 0 && access(made, F_OK) == 0;
}

fb_code server_mark_begin(const char *path, const char *vfs, store *db, fb_error *err)
{
    store_mark mark;
    fb_code rc = mark_make(db, &mark);
    return rc == FB_OK ? store_mark_put(path, vfs, &mark, err) : rc;
}
