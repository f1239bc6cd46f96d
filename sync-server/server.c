/* server.c - open, close, timers, and all steps in one call. See server.h for SRV-1 and SRV-2.
 *
 * fs_meta running is "1" while a server has the database open: found at the next open it tells that
 * the last run did not end well, and the writer is careful for a while (intake/attempt.h). */
#include "sync-server/server_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "sync-server/intake/attempt.h"
#include "sync-server/ledger/ledger.h"

enum {
    CAREFUL_MS = 10 * 60000,
    WORK_BYTES_MAX = 256 << 20,
    BLOB_UNNAMED_DAYS = 30,
    GONE_DAYS = 400
};
#define BLOB_DEVICE_DAY_BYTES (INT64_C(4) << 30)
#define BLOB_FREE_BYTES_MIN (INT64_C(1) << 30)

void server_log(const server *s, fb_level level, const char *format, ...)
{
    char line[256];
    va_list args;
    if (s->port->log == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    s->port->log(s->port->ctx, level, line);
}

static fb_code epoch_read(server *s, fb_error *err)
{
    buf value;
    buf_init(&value, 64);
    fb_code rc = store_meta_get(s->db, "epoch", &value);
    if (rc == FB_OK && value.size == sizeof s->epoch.b) {
        memcpy(s->epoch.b, value.data, sizeof s->epoch.b);
    } else if (rc == FB_OK || rc == FB_E_NOT_FOUND) {
        rc = fail(err, FB_E_CONFIG, "database",
                  "no company lives in this database: run fieldbook-admin init");
    }
    buf_clear(&value);
    return rc;
}

/* Was it left open? And leave it open from now on. */
static fb_code running_set(server *s, int64_t value, int64_t *before_out)
{
    FB_TRY(store_begin(s->db));
    fb_code rc = store_meta_int(s->db, "running", 0, before_out);
    if (rc == FB_OK && *before_out != value) {
        rc = store_meta_int_set(s->db, "running", value);
    }
    if (rc != FB_OK) {
        store_rollback(s->db);
        return rc;
    }
    return store_commit(s->db);
}

static fb_code key_open(server *s)
{
    FB_TRY(store_begin(s->db));
    fb_code rc = sign_key_open(s->db, s->port, &s->key);
    if (rc != FB_OK) {
        store_rollback(s->db);
        return rc;
    }
    return store_commit(s->db);
}

static fb_code writer_open(server *s)
{
    int64_t before = 0, head = 0;
    s->in = (intake){.db = s->db, .cache = decide_cache_new(), .work = arena_new(WORK_BYTES_MAX)};
    s->rate = door_rate_new();
    if (s->in.cache == NULL || s->in.work == NULL || s->rate == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_settle(s->db));
    FB_TRY(running_set(s, 1, &before));
    FB_TRY(key_open(s));
    FB_TRY(attempt_look(&s->in));
    FB_TRY(store_meta_int(s->db, "backed_up_cid", 0, &s->in.backed_cid));
    FB_TRY(ledger_head(s->db, &head));
    atomic_store(&s->head, head);
    s->in.careful = before != 0;
    s->careful_until_ms = mono_ms(s) + CAREFUL_MS;
    s->marked_ms = mono_ms(s);
    if (s->in.careful) {
        server_log(s, FB_LOG_WARN, "server.careful reason=last_run_did_not_end");
    }
    return FB_OK;
}

/* A release may bring entities and columns. What IT has in use does not stand back for them: if the
 * two do not go together the server goes on with the old catalogue and says so. */
static fb_code catalogue_renew(server *s, fb_text builtin, fb_error *err)
{
    bool changed = false;
    if (atomic_load(&s->suspect)) {
        return FB_OK; /* MRK-2 */
    }
    fb_code rc = door_catalog_renew(s->db, builtin, s->port, &changed, err);
    if (rc == FB_E_CATALOG) {
        server_log(s, FB_LOG_ERROR, "server.catalogue_stays field=%s reason=%s",
                   err != NULL ? err->field : "", err != NULL ? err->message : "");
        return FB_OK;
    }
    FB_TRY(rc);
    if (changed) {
        int64_t head = 0;
        FB_TRY(ledger_head(s->db, &head));
        atomic_store(&s->head, head);
        server_log(s, FB_LOG_WARN, "server.catalogue_renewed version=%u",
                   (unsigned)store_catalog(s->db)->version);
    }
    return FB_OK;
}

/* ERS-4: before anybody is served. */
static fb_code erased_again(server *s, fb_error *err)
{
    bool erased = false;
    int64_t head = 0;
    if (atomic_load(&s->suspect)) {
        return FB_OK; /* MRK-2 */
    }
    FB_TRY(erase_again(s->db, s->path, s->vfs, &erased, err));
    if (erased) {
        FB_TRY(store_compact(s->path, s->vfs, err));
        FB_TRY(ledger_head(s->db, &head));
        atomic_store(&s->head, head);
        server_log(s, FB_LOG_WARN, "server.erased_again head=%lld", (long long)head);
    }
    return FB_OK;
}

static void spare_init(server *s)
{
    static const char busy[] =
        "{\"m\":\"error\",\"code\":\"E_NO_MEMORY\",\"text\":\"out of memory\",\"retry\":1000}\n";
    s->spare = (server_job){.next = JOB_DONE, .is_spare = true};
    s->spare.reply = (server_reply){.status = 503, .body = {busy, sizeof busy - 1}, .retry_s = 1};
}

static char *copy_of(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

static int64_t or_default(int64_t given, int64_t otherwise)
{
    return given > 0 ? given : otherwise;
}

static fb_code blobs_open(server *s, const server_options *o)
{
    const blob_limits limits = {
        .device_day_bytes = or_default(o->blobs.device_day_bytes, BLOB_DEVICE_DAY_BYTES),
        .total_bytes = o->blobs.total_bytes,
        .free_bytes_min = or_default(o->blobs.free_bytes_min, BLOB_FREE_BYTES_MIN),
        .unnamed_days = or_default(o->blobs.unnamed_days, BLOB_UNNAMED_DAYS)};
    s->collected_ms = mono_ms(s);
    return blob_place_init(&s->blobs, o->files, o->path, &limits);
}

fb_code server_open(const server_options *o, server **out, fb_error *err)
{
    FB_REQUIRE(o != NULL && o->path != NULL && o->port != NULL && out != NULL);
    server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return fail(err, FB_E_NO_MEMORY, "server", "out of memory");
    }
    const store_options so = {.path = o->path, .vfs = o->vfs, .cache_kib = o->cache_kib};
    s->port = o->port;
    s->path = copy_of(o->path);
    s->vfs = copy_of(o->vfs);
    s->cache_kib = o->cache_kib;
    s->sync_interval_ms = o->sync_interval_ms;
    s->gone_days = (uint32_t)or_default(o->gone_days, GONE_DAYS);
    s->packs_off = o->packing.off;
    s->packs_path = o->packing.path != NULL ? copy_of(o->packing.path) : pack_store_path(o->path);
    s->pack_limits = (pack_limits){.rows_min = o->packing.rows_min,
                                   .chunk_bytes = o->packing.chunk_bytes,
                                   .rest_ms = o->packing.rest_ms,
                                   .age_ms = o->packing.age_ms};
    spare_init(s);
    bool copied = s->path != NULL && s->packs_path != NULL && (s->vfs != NULL || o->vfs == NULL);
    fb_code rc = copied ? store_open(&so, &s->db, err)
                        : fail(err, FB_E_NO_MEMORY, "server", "out of memory");
    if (rc == FB_OK) {
        rc = blobs_open(s, o);
    }
    if (rc == FB_OK) {
        rc = epoch_read(s, err);
    }
    if (rc == FB_OK) {
        rc = writer_open(s);
        if (rc == FB_OK) {
            rc = server_mark_open(s, err);
        } else {
            (void)fail(err, rc, "database", "the writer cannot start: %s", fb_code_text(rc, "en"));
        }
    }
    if (rc == FB_OK) {
        fb_text builtin = o->catalog.size > 0 ? o->catalog : catalog_builtin_text();
        rc = catalogue_renew(s, builtin, err);
    }
    if (rc == FB_OK) {
        rc = erased_again(s, err);
    }
    if (rc != FB_OK) {
        server_close(s);
        return rc;
    }
    s->in.trace = o->trace ? o->port : NULL;
    *out = s;
    return FB_OK;
}

void server_close(server *s)
{
    int64_t before = 0;
    if (s == NULL) {
        return;
    }
    server_packs_close(s);
    if (s->db != NULL && !id_is_none(&s->epoch)) {
        server_mark_keep(s, true);
    }
    if (s->db != NULL && !id_is_none(&s->epoch) && running_set(s, 0, &before) != FB_OK) {
        server_log(s, FB_LOG_WARN,
                   "server.close mark=left"); /* the next start is careful, no more */
    }
    decide_cache_free(s->in.cache);
    arena_free(s->in.work);
    door_rate_free(s->rate);
    blob_place_clear(&s->blobs);
    store_close(s->db);
    free(s->path);
    free(s->packs_path);
    free(s->vfs);
    free(s);
}

fb_code server_reader_open(server *s, server_reader **out, fb_error *err)
{
    FB_REQUIRE(s != NULL && out != NULL);
    server_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return fail(err, FB_E_NO_MEMORY, "reader", "out of memory");
    }
    const store_options so = {
        .path = s->path, .vfs = s->vfs, .read_only = true, .cache_kib = s->cache_kib};
    r->s = s;
    r->packer = packer_new();
    fb_code rc = r->packer == NULL ? fail(err, FB_E_NO_MEMORY, "reader", "out of memory")
                                   : store_open(&so, &r->db, err);
    if (rc != FB_OK) {
        packer_free(r->packer);
        free(r);
        return rc;
    }
    *out = r;
    return FB_OK;
}

void server_reader_close(server_reader *r)
{
    if (r != NULL) {
        pack_store_close(r->packs);
        store_close(r->db);
        packer_free(r->packer);
        free(r);
    }
}

int64_t server_head(server *s)
{
    return atomic_load(&s->head);
}

struct store *server_store(server *s)
{
    return s->db;
}

/* An assignment begins and ends also where nobody commits anything. What fails is tried again a
 * minute later, and by the next commit. */
static void scope_clock_tick(server *s, uint64_t now_mono_ms)
{
    int64_t cid = 0;
    if (atomic_load(&s->suspect) || now_mono_ms < s->clock_after_ms) {
        return; /* MRK-2 */
    }
    s->clock_after_ms = now_mono_ms + CLOCK_REST_MS;
    fb_code rc = store_begin(s->db);
    if (rc == FB_OK) {
        rc = ledger_time(s->db, wall_ms(s), &cid);
        if (rc != FB_OK) {
            store_rollback(s->db);
        } else {
            rc = store_commit(s->db);
        }
    }
    if (rc != FB_OK) {
        server_log(s, FB_LOG_WARN, "scope.clock code=%s", fb_code_name(rc));
    } else if (cid > 0) {
        atomic_store(&s->head, cid);
    }
}

static fb_code horizon_move(server *s, bool *moved_out)
{
    int64_t age_ms = (int64_t)s->gone_days * 86400000;
    FB_TRY(store_begin(s->db));
    fb_code rc = feed_horizon_age(s->db, wall_ms(s), age_ms, moved_out);
    if (rc != FB_OK || !*moved_out) {
        store_rollback(s->db);
        return rc;
    }
    return store_commit(s->db);
}

/* Entries of rows that left or were deleted are for devices that were away; once a day those that
 * are older than any that may still come go. */
static void horizon_tick(server *s, uint64_t now_mono_ms)
{
    bool moved = false;
    if (atomic_load(&s->suspect) || now_mono_ms < s->horizon_after_ms) {
        return; /* MRK-2 */
    }
    s->horizon_after_ms = now_mono_ms + HORIZON_REST_MS;
    fb_code rc = horizon_move(s, &moved);
    if (rc != FB_OK || moved) {
        server_log(s, rc == FB_OK ? FB_LOG_INFO : FB_LOG_WARN, "feed.horizon code=%s",
                   fb_code_name(rc));
    }
}

/* Commits of others (the administrator) move the head too; backups move backed_up_cid. */
void server_tick(server *s, uint64_t now_mono_ms)
{
    int64_t head = 0, backed_cid = 0;
    if (ledger_head(s->db, &head) == FB_OK && head > atomic_load(&s->head)) {
        atomic_store(&s->head, head);
    }
    if (store_meta_int(s->db, "backed_up_cid", 0, &backed_cid) == FB_OK) {
        s->in.backed_cid = backed_cid;
    }
    server_epoch_watch(s);
    scope_clock_tick(s, now_mono_ms);
    horizon_tick(s, now_mono_ms);
    server_mark_keep(s, false);
    server_blob_tick(s, now_mono_ms);
    if (s->in.careful && now_mono_ms >= s->careful_until_ms) {
        s->in.careful = false;
        server_log(s, FB_LOG_INFO, "server.careful over=1");
    }
}

/* ---- jobs ---- */

job_next server_job_next(const server_job *job)
{
    return job->next;
}

uint64_t server_job_wait_until_ms(const server_job *job)
{
    return job->wait_until_ms;
}

const server_reply *server_job_reply(const server_job *job)
{
    FB_ASSERT(job->next == JOB_DONE);
    return &job->reply;
}

void server_job_free(server_job *job)
{
    if (job != NULL && !job->is_spare) {
        buf_clear(&job->body);
        buf_clear(&job->out);
        arena_free(job->memory);
        free(job);
    }
}

server_job *server_handle(server *s, server_reader *r, const server_request *q)
{
    job_next next = JOB_DONE;
    server_job *job = server_prepare(s, r, q, &next);
    for (; next == JOB_WRITE || next == JOB_READ; next = server_job_next(job)) {
        if (next == JOB_WRITE) {
            server_write(s, &job, 1);
        } else {
            server_read(s, r, job);
        }
    }
    if (server_job_next(job) == JOB_WAIT) { /* answered at once: the wait is over before it began */
        job->wait_until_ms = 0;
        server_read(s, r, job);
    }
    return job;
}
