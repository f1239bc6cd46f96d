/* server_prepare.c - a request becomes a job: route, door, unpacking, lines. Any thread, own
 * reader.
 *
 * Nothing is believed before the door: the body is unpacked only for a device that showed its
 * token. */
#include "sync-server/server_inside.h"

#include "base/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"

static const door_rate_limit DEVICE_RATE = {40, 10};
/* Chunks of packs: a bucket of their own, so that a long download is not slowed by its size. */
static const door_rate_limit CHUNK_RATE = {400, 100};
static const door_rate_limit STRANGER_RATE = {20, 2}; /* enrolments and failed doors, per address */

/* One request on its way in. */
typedef struct arrival {
    server *s;
    server_reader *r;
    const server_request *q;
    server_job *job;
} arrival;

typedef void (*route_serve)(arrival *a);

static bool is_busy_stranger(const arrival *a, uint32_t *retry_ms)
{
    return !door_rate_take(a->s->rate, a->q->peer.data, a->q->peer.size, &STRANGER_RATE,
                           mono_ms(a->s), retry_ms);
}

/* ---- body ---- */

static bool is_zstd(fb_text encoding)
{
    return text_is(encoding, "zstd");
}

static fb_code media_check(const server_request *q)
{
    bool plain = q->content_encoding.size == 0; /* as http_head_check: absent or zstd */
    return text_is(q->content_type, "application/x-fieldbook") &&
                   (plain || is_zstd(q->content_encoding))
               ? FB_OK
               : FB_E_MEDIA;
}

/* The body as lines: unpacked or copied, since the job outlives the call. */
static fb_code body_take(arrival *a, size_t packed_max, size_t max)
{
    buf *body = &a->job->body;
    FB_TRY(media_check(a->q));
    if (a->q->body.size > (is_zstd(a->q->content_encoding) ? packed_max : max)) {
        return FB_E_LIMIT;
    }
    buf_init(body, max);
    if (is_zstd(a->q->content_encoding)) {
        return packer_get(a->r->packer, body, a->q->body, max);
    }
    buf_put_text(body, a->q->body);
    return body->code;
}

/* The sync line, then the groups, then {"m":"end"}. */
static fb_code lines_find(server_job *job)
{
    line_reader l;
    fb_text line;
    uint32_t count = 0;
    line_reader_init(&l, buf_text(&job->body));
    if (!line_next(&l, &line)) {
        return l.code != FB_OK ? l.code : FB_E_TRUNCATED;
    }
    FB_TRY(sync_request_get(line, job->memory, &job->q));
    job->lines = arena_take(job->memory, ((size_t)job->q.groups_count + 1) * sizeof *job->lines);
    if (job->q.groups_count > PUSH_GROUPS_MAX || job->lines == NULL) {
        return job->lines == NULL ? FB_E_NO_MEMORY : FB_E_LIMIT;
    }
    while (count < job->q.groups_count && line_next(&l, &job->lines[count])) {
        count++;
    }
    if (l.code != FB_OK || count < job->q.groups_count || !line_next(&l, &line)) {
        return l.code != FB_OK ? l.code : FB_E_TRUNCATED;
    }
    bool ended = text_is(line, "{\"m\":\"end\"}") && !line_next(&l, &line);
    return ended && l.code == FB_OK ? FB_OK : FB_E_PROTOCOL;
}

/* ---- routes ---- */

static void serve_health(arrival *a)
{
    buf_printf(&a->job->out, "{\"m\":\"health\",\"v\":%d}\n", PROTOCOL_VERSION);
    job_answer(a->r, a->job);
}

static void serve_enrol(arrival *a)
{
    uint32_t retry_ms = 0;
    if (server_is_suspect(a->s)) {
        job_fail(a->job, FB_E_EPOCH, SUSPECT_RETRY_MS);
        return;
    }
    if (is_busy_stranger(a, &retry_ms)) {
        job_fail(a->job, FB_E_RATE, retry_ms);
        return;
    }
    fb_code rc = body_take(a, ENROL_BODY_BYTES_MAX, ENROL_BODY_BYTES_MAX);
    if (rc == FB_OK) {
        rc = enrol_request_get(buf_text(&a->job->body), a->job->memory, &a->job->enrol);
    }
    if (rc == FB_OK && a->job->enrol.protocol != PROTOCOL_VERSION) {
        rc = FB_E_VERSION;
    }
    if (rc != FB_OK) {
        job_fail(a->job, rc, 0);
        return;
    }
    a->job->kind = JOB_KIND_ENROL;
    a->job->next = JOB_WRITE;
}

fb_code scopes_now(store *view, const fb_id *user, const fb_id *device, int64_t now_ms,
                   arena *memory, scope_list *scopes, int64_t *number, bool *registered)
{
    scope_list set;
    FB_TRY(feed_scopes_of_user(view, user, now_ms, memory, scopes));
    FB_TRY(feed_scope_set_get(view, device, memory, &set, number));
    *registered = *number > 0 && scope_list_equal(&set, scopes);
    return FB_OK;
}

fb_code job_needs_write(server_reader *r, const server_job *job, const door_device *d,
                        int64_t now_ms, bool *out)
{
    const sync_request *q = &job->q;
    *out = q->groups_count > 0 || q->buckets.size > 0 ||
           !id_equal(&q->incarnation, &d->incarnation) || q->acked != d->acked ||
           q->settled != d->settled || q->catalog_version != d->catalog_version ||
           now_ms - d->seen_ms >= SEEN_MS || q->last != d->applied;
    if (*out) {
        return FB_OK;
    }
    scope_list scopes;
    int64_t number = 0;
    bool registered = false;
    fb_code rc =
        scopes_now(r->db, &d->user, &d->device, now_ms, job->memory, &scopes, &number, &registered);
    *out = !registered || memcmp(q->chain_before.b, d->chain.b, sizeof d->chain.b) != 0;
    return rc;
}

typedef enum pass_kind { PASS_SYNC, PASS_CHUNK } pass_kind;

static bool take_rate(const arrival *a, pass_kind kind, const fb_id *device, uint32_t *retry_ms)
{
    uint8_t key[sizeof device->b + 1];
    memcpy(key, device->b, sizeof device->b);
    key[sizeof device->b] = (uint8_t)kind;
    return door_rate_take(a->s->rate, key, sizeof key,
                          kind == PASS_CHUNK ? &CHUNK_RATE : &DEVICE_RATE, mono_ms(a->s), retry_ms);
}

static fb_code door_pass(arrival *a, pass_kind kind, door_device *d)
{
    uint32_t retry_ms = 0;
    fb_code rc = door_check(a->r->db, a->q->authorization, d);
    trace(a->s->in.trace, TRACE_DOOR, "code=%s", fb_code_name(rc));
    if (rc == FB_E_AUTH && is_busy_stranger(a, &retry_ms)) {
        job_fail(a->job, FB_E_RATE, retry_ms);
    } else if (rc != FB_OK) {
        job_fail(a->job, rc, 0);
    } else if (!take_rate(a, kind, &d->device, &retry_ms)) {
        job_fail(a->job, FB_E_RATE, retry_ms);
        rc = FB_E_RATE;
    }
    return rc;
}

/* The door lets it in, and the database is the one that was here last (MRK-2). */
static bool may_enter(arrival *a, pass_kind kind, door_device *d)
{
    if (door_pass(a, kind, d) != FB_OK) {
        return false;
    }
    if (server_is_suspect(a->s)) {
        job_fail(a->job, FB_E_EPOCH, SUSPECT_RETRY_MS);
        return false;
    }
    return true;
}

static fb_code sync_read(arrival *a, const door_device *d)
{
    server_job *job = a->job;
    FB_TRY(body_take(a, SYNC_BODY_BYTES_MAX, SYNC_BODY_UNPACKED_BYTES_MAX));
    FB_TRY(lines_find(job));
    if (job->q.protocol != PROTOCOL_VERSION) {
        return FB_E_VERSION;
    }
    if (!id_equal(&job->q.device, &d->device)) {
        return FB_E_AUTH; /* another device's request under this one's token */
    }
    job->device = d->device;
    job->epoch_differs = !id_is_none(&job->q.epoch) && !id_equal(&job->q.epoch, &a->s->epoch);
    return FB_OK;
}

static void serve_sync(arrival *a)
{
    door_device d;
    bool write = false;
    if (!may_enter(a, PASS_SYNC, &d)) {
        return;
    }
    fb_code rc = sync_read(a, &d);
    if (rc != FB_OK) {
        job_fail(a->job, rc, 0);
        return;
    }
    rc = job_needs_write(a->r, a->job, &d, wall_ms(a->s), &write);
    if (rc != FB_OK) {
        job_trouble(a->job, rc);
        return;
    }
    a->job->next = write ? JOB_WRITE : JOB_READ;
}

/* One chunk of a pack: who may have it is asked when it is read. */
static void serve_pack(arrival *a)
{
    door_device d;
    if (!may_enter(a, PASS_CHUNK, &d)) {
        return;
    }
    if (!pack_path_get(a->q->path, &a->job->piece)) {
        job_fail(a->job, FB_E_PATH, 0);
    } else {
        a->job->kind = JOB_KIND_PACK;
        a->job->device = d.device;
        a->job->next = JOB_READ;
    }
}

static void serve_blob(arrival *a, blob_route route, size_t body_bytes_max)
{
    door_device d;
    if (a->s->blobs.files == NULL || !blob_is_known(a->r->db)) {
        job_fail(a->job, FB_E_PATH, 0);
        return;
    }
    if (!may_enter(a, PASS_CHUNK, &d)) {
        return;
    }
    fb_code rc = body_take(a, body_bytes_max, body_bytes_max);
    if (rc != FB_OK) {
        job_fail(a->job, rc, 0);
        return;
    }
    server_blob_prepare(a->s, a->r, &d, route, a->job);
}

static void serve_blob_have(arrival *a)
{
    serve_blob(a, BLOB_ROUTE_HAVE, BLOB_ASK_BYTES_MAX);
}

static void serve_blob_put(arrival *a)
{
    serve_blob(a, BLOB_ROUTE_PUT, BLOB_CHUNK_BYTES_MAX + BLOB_LINE_BYTES_MAX);
}

static void serve_blob_get(arrival *a)
{
    serve_blob(a, BLOB_ROUTE_GET, BLOB_LINE_BYTES_MAX);
}

static const struct {
    const char *method, *path; /* a path that ends with a slash: everything below it */
    route_serve serve;
} ROUTES[] = {{"POST", "/v1/sync", serve_sync},           {"POST", "/v1/enrol", serve_enrol},
              {"POST", "/v1/blob/have", serve_blob_have}, {"POST", "/v1/blob/put", serve_blob_put},
              {"POST", "/v1/blob/get", serve_blob_get},   {"GET", "/v1/pack/", serve_pack},
              {"GET", "/v1/health", serve_health}};

static bool is_below(fb_text path, const char *route)
{
    size_t size = strlen(route);
    return route[size - 1] == '/' && path.size > size && memcmp(path.data, route, size) == 0;
}

static void route(arrival *a)
{
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        if (text_is(a->q->path, ROUTES[i].path) || is_below(a->q->path, ROUTES[i].path)) {
            if (text_is(a->q->method, ROUTES[i].method)) {
                ROUTES[i].serve(a);
            } else {
                job_fail(a->job, FB_E_METHOD, 0);
            }
            return;
        }
    }
    job_fail(a->job, FB_E_PATH, 0);
}

static server_job *job_new(void)
{
    server_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    job->next = JOB_DONE;
    job->memory = arena_new(JOB_BYTES_MAX);
    buf_init(&job->out, REPLY_BYTES_MAX);
    if (job->memory == NULL) {
        free(job);
        return NULL;
    }
    return job;
}

server_job *server_prepare(server *s, server_reader *r, const server_request *q, job_next *next_out)
{
    server_job *job = job_new();
    if (job == NULL) {
        *next_out = JOB_DONE;
        return &s->spare; /* SRV-2 */
    }
    arrival a = {.s = s, .r = r, .q = q, .job = job};
    job->accepts_zstd = true; /* every device unpacks it (protocol.md section 1) */
    fb_error err;
    fb_code rc = store_snapshot(r->db); /* all questions in one: the file's locks are taken once */
    if (rc == FB_OK) {
        rc = store_catalog_refresh(r->db, &err);
        if (rc == FB_OK) {
            route(&a);
        }
        store_snapshot_end(r->db);
    }
    if (rc != FB_OK) {
        job_trouble(job, rc);
    }
    *next_out = job->next;
    return job;
}
