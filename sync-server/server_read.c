/* server_read.c - the reply: sync line, verdicts, catalogue, page, end; read in one snapshot. */
#include "sync-server/server_inside.h"

#include "base/trace.h"

#include <string.h>

#include "base/id.h"
#include "sync-server/ledger/ledger.h"

/* ---- endings ---- */

void job_fail(server_job *job, fb_code code, uint32_t retry_ms)
{
    const error_msg m = {code, text_of(fb_code_text(code, "en")), retry_ms};
    buf_reset(&job->out);
    error_msg_put(&job->out, &m);
    job->reply = (server_reply){.status = fb_code_http(code),
                                .body = buf_text(&job->out),
                                .retry_s = (retry_ms + 999) / 1000};
    job->next = JOB_DONE;
}

void job_trouble(server_job *job, fb_code code)
{
    fb_class c = fb_code_class(code);
    bool ours = c == FB_CLASS_RETRY || c == FB_CLASS_STORAGE;
    job_fail(job, ours && fb_code_http(code) == 503 ? code : FB_E_BUSY, RETRY_MS);
}

void job_answer(server_reader *r, server_job *job)
{
    job->reply = (server_reply){.status = 200};
    if (job->out.code == FB_OK && r != NULL && job->accepts_zstd &&
        job->out.size > PACK_BYTES_MIN) {
        buf packed;
        buf_init(&packed, REPLY_BYTES_MAX);
        if (packer_put(r->packer, &packed, buf_text(&job->out)) == FB_OK &&
            packed.size < job->out.size) {
            buf_clear(&job->out);
            job->out = packed;
            job->reply.zstd = true;
        } else {
            buf_clear(&packed);
        }
    }
    if (job->out.code != FB_OK) {
        job_trouble(job, job->out.code);
        return;
    }
    job->reply.body = buf_text(&job->out);
    job->next = JOB_DONE;
}

/* ---- the parts ---- */

typedef struct reading {
    server *s;
    server_reader *reader;
    store *view;
    server_job *job;
    door_device d;
    int64_t head;
    scope_list scopes;
    int64_t set_number;
    page_result page;
    bool shown_ends; /* groups are known behind the last one that the request carried */
} reading;

/* Every device has a moment of its own in the interval, so that a fleet that comes together once
 * (eight o'clock, an outage) does not go on doing so: the first one that is at least half an
 * interval away. Whole seconds: every byte counts. */
static uint32_t next_ms(const server *s, const fb_id *device)
{
    int64_t interval_s = s->sync_interval_ms / 1000, now_s = wall_ms(s) / 1000;
    uint64_t mixed;
    if (interval_s == 0) {
        return 0;
    }
    memcpy(&mixed, device->b + 8, sizeof mixed);
    for (int i = 0; i < 8; i++) {
        mixed = (mixed ^ device->b[i]) * UINT64_C(0x9E3779B97F4A7C15);
        mixed ^= mixed >> 32;
    }
    int64_t moment = (int64_t)(mixed % (uint64_t)interval_s), least = now_s + interval_s / 2;
    int64_t wait = ((moment - least) % interval_s + interval_s) % interval_s;
    int64_t away = least + wait - now_s;
    return (uint32_t)(away > 0 ? away : interval_s) * 1000;
}

/* The device lacks the catalogue of this snapshot. */
static bool catalog_is_newer(const reading *x)
{
    return store_catalog(x->view)->version > x->job->q.catalog_version;
}

/* A line that breaks early carries a new epoch's name, but not what goes along with it. */
static bool epoch_alone(const reading *x)
{
    return x->job->epoch_differs && x->job->q.no_catalog;
}

/* It has another one, with which it can go on for now, or it asks for no row. */
static bool catalog_may_wait(const reading *x)
{
    const sync_request *q = &x->job->q;
    return q->no_catalog && (q->catalog_version > 0 || q->no_page || x->job->epoch_differs);
}

static fb_code sync_line_put(reading *x)
{
    bool same = id_equal(&x->d.incarnation, &x->job->q.incarnation);
    sync_reply m = {.protocol = PROTOCOL_VERSION,
                    .server_wall_ms = wall_ms(x->s),
                    .applied = same ? x->d.applied : 0,
                    .backed_up = same ? x->d.backed_up : 0,
                    .head = x->head,
                    .next_ms = next_ms(x->s, &x->d.device)};
    /* Every byte counts in the everyday reply: the epoch goes only to who does not know it. */
    if (!id_equal(&x->job->q.epoch, &x->s->epoch)) {
        m.epoch = x->s->epoch;
    }
    if (catalog_is_newer(x) && catalog_may_wait(x)) {
        m.catalog_waits = store_catalog(x->view)->version;
    }
    sync_reply_put(&x->job->out, &m);
    return x->job->out.code;
}

static fb_code verdicts_put(reading *x)
{
    const sync_request *q = &x->job->q;
    if (x->job->epoch_differs || !id_equal(&x->d.incarnation, &q->incarnation)) {
        return FB_OK;
    }
    return intake_verdicts_put(x->view, &x->d, q->acked, q->token, &x->job->out);
}

static void catalog_put(reading *x)
{
    /* A restore may have taken a catalogue back: numbers say nothing to who knows another epoch. */
    if ((x->job->epoch_differs || catalog_is_newer(x)) && !catalog_may_wait(x)) {
        catalog_line_put(&x->job->out, store_catalog(x->view)->text);
    }
}

/* What verdicts and catalogue left: a page never makes the reply larger than a device takes. */
static uint32_t page_bytes_left(const reading *x)
{
    uint32_t wanted = x->job->q.page_bytes;
    size_t used = x->job->out.size + REPLY_SLACK_BYTES;
    uint32_t left = used < REPLY_BYTES_MAX ? (uint32_t)(REPLY_BYTES_MAX - used) : 1;
    return wanted == 0 || wanted > left ? left : wanted;
}

static fb_code page_put(reading *x)
{
    const sync_request *q = &x->job->q;
    const page_request page = {.device = x->d.device,
                               .incarnation = x->d.incarnation,
                               .user = x->d.user,
                               .token = x->job->epoch_differs ? text_of("epoch") : q->token,
                               .settled = q->settled,
                               .page_bytes = page_bytes_left(x),
                               .set_number = x->set_number,
                               .set = &x->scopes,
                               .check = q->check,
                               .buckets = x->job->epoch_differs ? text_of("") : q->buckets,
                               .takes_moves = q->takes_moves &&
                                              q->catalog_version == store_catalog(x->view)->version,
                               .packs = q->takes_packs ? server_packs(x->reader) : NULL};
    FB_TRY(feed_page(x->view, &page, x->job->memory, &x->job->out, &x->page));
    trace(x->s->in.trace, TRACE_FEED, "rows=%u complete=%d", x->page.rows, x->page.complete);
    return FB_OK;
}

/* Nothing to say to a device that is willing to wait. */
static bool may_wait(const reading *x, size_t verdicts_size)
{
    const server_job *job = x->job;
    return job->q.wait_ms > 0 && !job->epoch_differs && verdicts_size == 0 && x->page.complete &&
           x->page.empty && !x->page.reset && job->q.groups_count == 0 && !catalog_is_newer(x);
}

static bool keep_waiting(reading *x)
{
    server_job *job = x->job;
    uint64_t now = mono_ms(x->s);
    if (!job->waited) {
        uint32_t wait = job->q.wait_ms < WAIT_MS_MAX ? job->q.wait_ms : WAIT_MS_MAX;
        job->waited = true;
        job->wait_until_ms = now + wait;
    }
    return now < job->wait_until_ms;
}

/* What the request carried was compared; what is known behind it may be a copy's, whose groups with
 * these numbers are not this device's. So no verdict goes beyond what was shown, and no page goes
 * along, whose snapshot holds more: the device shows the rest in its next request. */
static void end_with_shown(reading *x)
{
    const sync_request *q = &x->job->q;
    int64_t shown = q->first + (int64_t)q->groups_count - 1;
    x->shown_ends = q->groups_count > 0 && !x->job->epoch_differs && shown < x->d.applied;
    if (x->shown_ends) {
        x->d.applied = shown;
        x->d.backed_up = x->d.backed_up < shown ? x->d.backed_up : shown;
    }
}

static fb_code reply_put(reading *x)
{
    server_job *job = x->job;
    bool registered = false;
    FB_TRY(door_device_get(x->view, &job->device, &x->d));
    if (x->d.status != DOOR_ACTIVE) {
        return FB_E_DEVICE;
    }
    /* Between the write and this snapshot a copy of the device may have taken its numbers: its
     * verdicts are not for this one, which would settle a group that was never sent. */
    bool mine = id_equal(&x->d.incarnation, &job->q.incarnation) && x->d.applied <= job->q.last;
    if (!mine && !job->epoch_differs) {
        return FB_E_FORK;
    }
    end_with_shown(x);
    FB_TRY(scopes_now(x->view, &x->d.user, &x->d.device, wall_ms(x->s), job->memory, &x->scopes,
                      &x->set_number, &registered));
    if (!registered) {
        return FB_E_BUSY; /* scopes moved after this request was written: the next one registers
                             them */
    }
    FB_TRY(ledger_head(x->view, &x->head));
    FB_TRY(sync_line_put(x));
    size_t before = job->out.size;
    FB_TRY(verdicts_put(x));
    size_t verdicts_size = job->out.size - before;
    catalog_put(x);
    /* With a new epoch the chunks that no_page waits for are gone. */
    if (!x->shown_ends && (job->epoch_differs ? !epoch_alone(x) : !job->q.no_page)) {
        FB_TRY(page_put(x));
    }
    sync_end_put(&job->out);
    if (may_wait(x, verdicts_size) && keep_waiting(x)) {
        job->next = JOB_WAIT;
    }
    return job->out.code;
}

/* One chunk: a frame as it lies in the store; of a piece, which is no frame, its bytes. */
static fb_code chunk_put(server_reader *r, server_job *job)
{
    const pack_piece *p = &job->piece;
    FB_TRY(server_pack_read(r, job));
    fb_text body = buf_text(&job->out);
    if (p->bytes > 0) {
        size_t left = p->offset < body.size ? body.size - p->offset : 0;
        if (left == 0) {
            return FB_E_NOT_FOUND;
        }
        body = (fb_text){body.data + p->offset, p->bytes < left ? p->bytes : left};
    }
    job->reply = (server_reply){.status = 200, .body = body, .zstd = p->bytes == 0};
    job->next = JOB_DONE;
    return FB_OK;
}

void server_read(server *s, server_reader *r, server_job *job)
{
    reading x = {.s = s, .reader = r, .view = r->db, .job = job};
    fb_error err;
    if (job->kind == JOB_KIND_BLOB) {
        server_blob_read(s, r, job);
        return;
    }
    buf_reset(&job->out);
    fb_code rc = store_snapshot(r->db);
    if (rc == FB_OK) {
        job->next = JOB_READ;
        rc = store_catalog_refresh(r->db, &err);
        if (rc == FB_OK) {
            rc = job->kind == JOB_KIND_PACK ? chunk_put(r, job) : reply_put(&x);
        }
        store_snapshot_end(r->db);
    }
    if (rc == FB_E_DEVICE || rc == FB_E_FORK || rc == FB_E_SCOPE || rc == FB_E_NOT_FOUND) {
        job_fail(job, rc, 0);
    } else if (rc == FB_E_BUSY) {
        job_fail(job, rc, 50);
    } else if (rc != FB_OK) {
        server_log(s, FB_LOG_ERROR, "read.failed code=%s", fb_code_name(rc));
        job_trouble(job, rc);
    } else if (job->next != JOB_WAIT && job->next != JOB_DONE) {
        job_answer(r, job);
    }
}
