/* server_blob.c - requests about attachments become jobs; see server_inside.h for their way.
 *
 * The file is written first, by the reader that took the request; the writer only notes that an
 * upload has begun, or that a file is whole. What a crash leaves in between is taken up again. */
#include "sync-server/server_inside.h"

#include <string.h>

#define COLLECT_MS UINT64_C(3600000)
enum { BUSY_RETRY_MS = 200, DAY_RETRY_MS = 3600000 };

struct blob_job {
    blob_route route;
    blob_caller caller;
    blob_ask ask;
    blob_put put;
    blob_get get;
    bool begun, whole, noted; /* PUT: the part has a row; the file has its name; the writer was here
                               */
    blob_stored stored;
};

static fb_code message_take(server_job *job, struct blob_job *b, uint32_t *protocol_out)
{
    fb_text body = buf_text(&job->body);
    fb_code rc = FB_OK;
    switch (b->route) {
    case BLOB_ROUTE_HAVE:
        rc = blob_ask_get(body, job->memory, &b->ask);
        *protocol_out = b->ask.protocol;
        break;
    case BLOB_ROUTE_PUT:
        rc = blob_put_get(body, job->memory, &b->put);
        *protocol_out = b->put.protocol;
        break;
    case BLOB_ROUTE_GET:
        rc = blob_get_get(body, job->memory, &b->get);
        *protocol_out = b->get.protocol;
        break;
    }
    return rc;
}

static void refuse(server_job *job, fb_code code)
{
    fb_class c = fb_code_class(code);
    if (code == FB_E_BUSY) {
        job_fail(job, code, BUSY_RETRY_MS);
    } else if (c == FB_CLASS_RETRY || c == FB_CLASS_STORAGE) {
        job_trouble(job, code);
    } else {
        job_fail(job, code, 0);
    }
}

/* A refusal whose reason and cure its code does not say. */
static void refuse_words(server_job *job, fb_code code, const char *words, uint32_t retry_ms)
{
    const error_msg m = {code, text_of(words), retry_ms};
    buf_reset(&job->out);
    error_msg_put(&job->out, &m);
    job->reply = (server_reply){
        .status = fb_code_http(code), .body = buf_text(&job->out), .retry_s = retry_ms / 1000};
    job->next = JOB_DONE;
}

static void refuse_bytes(server_job *job)
{
    refuse_words(job, FB_E_INVALID,
                 "the bytes do not have the hash or size they were announced with: "
                 "the upload was dropped, send it again from the start",
                 0);
}

/* Nothing was taken and nothing changed; the device keeps the bytes and comes again. */
static void refuse_quota(server_job *job, fb_code code)
{
    refuse_words(job, code,
                 code == FB_E_RATE
                     ? "this device has sent its share of photos for 24 hours: it goes on by "
                       "itself later, or IT raises blob_device_day_mib"
                     : "the company's room for photos is full: IT raises blob_total_mib",
                 DAY_RETRY_MS);
}

static void answer(server_job *job)
{
    job->accepts_zstd = false; /* photos do not shrink */
    job_answer(NULL, job);
}

static void stored_answer(server *s, server_job *job)
{
    job->blob->stored.epoch = s->epoch;
    buf_reset(&job->out);
    blob_stored_put(&job->out, &job->blob->stored);
    answer(job);
}

static fb_code put_prepare(server *s, server_reader *r, server_job *job)
{
    struct blob_job *b = job->blob;
    fb_code rc = blob_put_check(&s->blobs, r->db, &b->caller, &b->put, &b->begun, &b->stored);
    if (rc == FB_E_RATE || rc == FB_E_DISK_FULL) {
        refuse_quota(job, rc);
        return FB_OK;
    }
    FB_TRY(rc);
    if (b->stored.state != BLOB_STATE_PART) {
        stored_answer(s, job);
    } else {
        job->next = JOB_READ;
    }
    return FB_OK;
}

void server_blob_prepare(server *s, server_reader *r, const door_device *d, blob_route route,
                         server_job *job)
{
    uint32_t protocol = 0;
    struct blob_job *b = arena_take(job->memory, sizeof *b);
    if (b == NULL) {
        job_trouble(job, FB_E_NO_MEMORY);
        return;
    }
    b->route = route;
    b->caller = (blob_caller){.device = d->device, .user = d->user, .now_ms = wall_ms(s)};
    job->kind = JOB_KIND_BLOB;
    job->blob = b;
    job->device = d->device;
    fb_code rc = message_take(job, b, &protocol);
    if (rc == FB_OK && protocol != PROTOCOL_VERSION) {
        rc = FB_E_VERSION;
    }
    if (rc == FB_OK && route == BLOB_ROUTE_PUT) {
        rc = put_prepare(s, r, job);
    } else if (rc == FB_OK) {
        job->next = JOB_READ;
    }
    if (rc == FB_E_INVALID) {
        refuse_bytes(job);
    } else if (rc != FB_OK) {
        refuse(job, rc);
    }
}

/* ---- files: any reader ---- */

static fb_code put_read(server *s, server_job *job)
{
    struct blob_job *b = job->blob;
    if (!b->noted) {
        FB_TRY(blob_put_write(&s->blobs, &b->caller, &b->put, &b->stored.offset, &b->whole));
        b->stored.state = b->whole ? BLOB_STATE_STORED : BLOB_STATE_PART;
        if (b->whole || !b->begun) {
            job->next = JOB_WRITE;
            return FB_OK;
        }
    }
    stored_answer(s, job);
    return FB_OK;
}

static fb_code have_read(server *s, server_reader *r, server_job *job)
{
    blob_had *m = arena_take(job->memory, sizeof *m);
    if (m == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(blob_have(&s->blobs, r->db, &job->blob->caller, &job->blob->ask, m));
    m->epoch = s->epoch;
    blob_had_put(&job->out, m);
    answer(job);
    return FB_OK;
}

static fb_code get_read(server *s, server_reader *r, server_job *job)
{
    const struct blob_job *b = job->blob;
    blob_got m;
    buf bytes;
    FB_TRY(blob_get_find(&s->blobs, r->db, &b->caller, &b->get, job->memory, &m));
    buf_init(&bytes, BLOB_CHUNK_BYTES_MAX);
    fb_code rc = m.absent ? FB_OK : blob_get_read(&s->blobs, &b->get.hash, &m, &bytes);
    if (rc == FB_OK) {
        blob_got_put(&job->out, &m);
        answer(job);
    }
    buf_clear(&bytes);
    return rc;
}

/* A device that was blocked meanwhile gets nothing more. */
static fb_code still_active(server_reader *r, const server_job *job)
{
    door_device d;
    FB_TRY(door_device_get(r->db, &job->device, &d));
    return d.status == DOOR_ACTIVE ? FB_OK : FB_E_DEVICE;
}

static fb_code view_read(server *s, server_reader *r, server_job *job)
{
    fb_error err;
    FB_TRY(store_snapshot(r->db));
    fb_code rc = store_catalog_refresh(r->db, &err);
    if (rc == FB_OK) {
        rc = still_active(r, job);
    }
    if (rc == FB_OK) {
        rc = job->blob->route == BLOB_ROUTE_HAVE ? have_read(s, r, job) : get_read(s, r, job);
    }
    store_snapshot_end(r->db);
    return rc;
}

void server_blob_read(server *s, server_reader *r, server_job *job)
{
    buf_reset(&job->out);
    fb_code rc = job->blob->route == BLOB_ROUTE_PUT ? put_read(s, job) : view_read(s, r, job);
    if (rc == FB_E_INVALID) {
        refuse_bytes(job);
    } else if (rc != FB_OK) {
        refuse(job, rc);
    }
}

/* ---- tables: the writer, inside its batch ---- */

fb_code server_blob_write(server *s, server_job *job)
{
    struct blob_job *b = job->blob;
    b->noted = true;
    return b->whole ? blob_whole(s->db, &b->caller, &b->put)
                    : blob_part_begin(s->db, &b->caller, &b->put);
}

/* ---- the timer ---- */

void server_blob_tick(server *s, uint64_t now_mono_ms)
{
    blob_report report = {0};
    if (s->blobs.files == NULL || now_mono_ms - s->collected_ms < COLLECT_MS) {
        return;
    }
    s->collected_ms = now_mono_ms;
    fb_code rc = blob_collect(&s->blobs, s->db, wall_ms(s), &report);
    if (rc != FB_OK || report.removed > 0) {
        server_log(s, rc == FB_OK ? FB_LOG_INFO : FB_LOG_WARN, "blobs.collect removed=%lld code=%s",
                   (long long)report.removed, fb_code_name(rc));
    }
}
