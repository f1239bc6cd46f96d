/* server_write.c - a batch of jobs in one synced transaction.
 *
 * The batch is written without savepoints. Where one job cannot be, the transaction is rolled back
 * and run again: once with every inserted id looked up (a group reused an id), else without the job
 * at fault, whose group is noted (intake/attempt.h). Trouble of disk or memory fails them all:
 * nobody is told anything that is not durable (SRV-1). */
#include "sync-server/server_inside.h"

#include "base/id.h"
#include "sync-server/intake/attempt.h"
#include "sync-server/ledger/ledger.h"

/* One run over the batch. */
typedef struct batch {
    server *s;
    server_job **jobs;
    uint32_t count;
    int64_t now_ms;
    server_job *failed; /* the job at fault, NULL when it is not a job's fault */
    int64_t failed_gseq;
} batch;

static fb_code enrol_write(batch *b, server_job *job)
{
    const door_enrolment how = {
        .now_ms = b->now_ms, .port = b->s->port, .epoch = b->s->epoch, .pack_key = &b->s->key.open};
    enrol_reply reply;
    FB_TRY(store_savepoint(b->s->db));
    fb_code rc = door_enrol(b->s->db, &how, &job->enrol, job->memory, &reply);
    if (rc != FB_OK) {
        store_savepoint_undo(b->s->db);
        decide_cache_drop(b->s->in.cache);
        fb_class c = fb_code_class(rc);
        if (c == FB_CLASS_STORAGE) {
            return rc;
        }
        job_fail(job, rc, c == FB_CLASS_RETRY ? RETRY_MS : 0);
        return decide_cache_begin(b->s->in.cache, b->s->db, 0, b->now_ms);
    }
    FB_TRY(store_savepoint_release(b->s->db));
    enrol_reply_put(&job->out, &reply);
    decide_cache_drop(b->s->in.cache);
    return decide_cache_begin(b->s->in.cache, b->s->db, 0, b->now_ms);
}

static fb_code sync_write(batch *b, server_job *job)
{
    const intake_request r = {.q = &job->q,
                              .lines = job->lines,
                              .device = job->device,
                              .now_ms = b->now_ms,
                              .groups_ignored = job->epoch_differs};
    intake_result result;
    fb_code rc = intake_sync(&b->s->in, &r, &result);
    if (rc != FB_OK) {
        b->failed_gseq = result.failed_gseq;
        return rc;
    }
    if (result.answer != FB_OK) {
        job_fail(job, result.answer, 0);
    }
    job->taken = result.answer == FB_OK;
    job->gap = result.answer == FB_E_GAP;
    job->poison_gseq = result.poison_gseq;
    return job->taken && job->q.buckets.size > 0 && !job->epoch_differs
               ? door_device_fault(b->s->db, &job->device, b->now_ms)
               : FB_OK;
}

static void job_rewind(server_job *job)
{
    buf_reset(&job->out);
    job->next = JOB_WRITE;
    job->taken = false;
    job->gap = false;
    job->poison_gseq = 0;
}

static fb_code job_write(batch *b, server_job *job)
{
    switch (job->kind) {
    case JOB_KIND_ENROL:
        return enrol_write(b, job);
    case JOB_KIND_BLOB:
        return server_blob_write(b->s, job);
    case JOB_KIND_PACK: /* only read, never given to the writer */
    case JOB_KIND_SYNC:
        break;
    }
    FB_ASSERT(job->kind == JOB_KIND_SYNC);
    return sync_write(b, job);
}

static fb_code jobs_write(batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        server_job *job = b->jobs[i];
        if (job->excluded) {
            continue;
        }
        job_rewind(job);
        fb_code rc = job_write(b, job);
        if (rc != FB_OK) {
            b->failed = job;
            return rc;
        }
    }
    return FB_OK;
}

static fb_code batch_run(batch *b)
{
    server *s = b->s;
    int64_t head = 0;
    fb_error err;
    b->failed = NULL;
    b->failed_gseq = 0;
    FB_TRY(store_catalog_refresh(s->db, &err));
    FB_TRY(store_begin(s->db));
    fb_code rc = ledger_head(s->db, &head);
    if (rc == FB_OK) {
        rc = decide_cache_begin(s->in.cache, s->db, head, b->now_ms);
    }
    if (rc == FB_OK) {
        rc = jobs_write(b);
    }
    if (rc == FB_OK) {
        rc = ledger_head(s->db, &head);
    }
    if (rc != FB_OK) {
        store_rollback(s->db);
        decide_cache_drop(s->in.cache);
        return rc;
    }
    rc = store_commit(s->db);
    if (rc != FB_OK) {
        decide_cache_drop(s->in.cache);
        return rc;
    }
    if (head > atomic_load(&s->head)) {
        atomic_store(&s->head, head);
    }
    server_mark_keep(s, false);
    return FB_OK;
}

/* ---- attempts (ATT-1, ATT-2) ---- */

static fb_code marks_write(batch *b)
{
    intake *in = &b->s->in;
    in->one_group = false;
    for (uint32_t i = 0; i < b->count; i++) {
        server_job *job = b->jobs[i];
        attempt_marked m = {.marked = false};
        if (job->kind == JOB_KIND_SYNC && !job->epoch_differs) {
            FB_TRY(attempt_mark(in, &job->device, &job->q, &m));
        }
        job->marked = m.marked;
        in->one_group |= m.stood;
    }
    return FB_OK;
}

static fb_code marks_take_back(batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const server_job *job = b->jobs[i];
        if (job->marked && !job->taken && !job->excluded) {
            FB_TRY(attempt_unmark(&b->s->in, &job->device));
        }
    }
    return FB_OK;
}

static fb_code in_transaction(batch *b, fb_code (*run)(batch *b))
{
    FB_TRY(store_begin(b->s->db));
    fb_code rc = run(b);
    if (rc != FB_OK) {
        store_rollback(b->s->db);
        return rc;
    }
    return store_commit(b->s->db);
}

/* Careful: one more attempt of every device in the batch, durable before it begins. */
static fb_code batch_mark(batch *b)
{
    fb_code rc = b->s->in.careful ? in_transaction(b, marks_write) : FB_OK;
    for (uint32_t i = 0; rc != FB_OK && i < b->count; i++) {
        b->jobs[i]->marked = false; /* rolled back */
    }
    return rc;
}

/* What was marked and not tried: a refusal, or a disk that failed. If it fails again the mark
 * stands until the device's next group is through. */
static void batch_unmark(batch *b, fb_code rc)
{
    bool any = false;
    for (uint32_t i = 0; i < b->count; i++) {
        server_job *job = b->jobs[i];
        job->taken &= rc == FB_OK;
        any |= job->marked && !job->taken && !job->excluded;
    }
    if (any && in_transaction(b, marks_take_back) != FB_OK) {
        server_log(b->s, FB_LOG_WARN, "attempt.mark left=1");
    }
    if (b->s->in.careful && attempt_look(&b->s->in) != FB_OK) {
        b->s->in.attempts = true; /* look again */
    }
}

/* IT is told when it is durable. `fieldbook-admin status` tells it as long as nobody has decided.
 */
static void poison_tell(const batch *b, const server_job *job)
{
    fb_text code;
    if (job->poison_gseq != 0 &&
        door_device_code(b->s->db, &job->device, job->memory, &code) == FB_OK) {
        server_log(b->s, FB_LOG_ERROR, "group.poison device=%.*s gseq=%lld cure=report_it",
                   (int)code.size, code.data, (long long)job->poison_gseq);
    }
}

static void batch_end(batch *b, fb_code rc)
{
    for (uint32_t i = 0; i < b->count; i++) {
        server_job *job = b->jobs[i];
        if (job->excluded) {
            continue;
        }
        if (rc == FB_OK) {
            poison_tell(b, job);
        }
        if (rc == FB_OK && job->gap) {
            server_gap_heard(b->s, &job->device);
        }
        if (rc != FB_OK) {
            job_trouble(job, rc);
        } else if (job->next != JOB_DONE && job->kind == JOB_KIND_ENROL) {
            job_answer(NULL, job);
        } else if (job->next != JOB_DONE) {
            job->next = JOB_READ;
        }
    }
}

static bool is_everybodys(fb_code rc)
{
    fb_class c = fb_code_class(rc);
    return c == FB_CLASS_RETRY || c == FB_CLASS_STORAGE;
}

/* The job at fault is out; its group is noted. False: the note failed, the disk is in trouble. */
static bool failed_exclude(batch *b, fb_code rc)
{
    server_job *job = b->failed;
    server_log(b->s, FB_LOG_ERROR, "write.failed code=%s gseq=%lld", fb_code_name(rc),
               (long long)b->failed_gseq);
    job->excluded = true;
    job_trouble(job, rc);
    return b->failed_gseq == 0 || attempt_note(&b->s->in, &job->device, b->failed_gseq) == FB_OK;
}

static void write_batch(server *s, server_job **jobs, uint32_t count)
{
    batch b = {.s = s, .jobs = jobs, .count = count, .now_ms = wall_ms(s)};
    bool ids_checked = false;
    fb_code rc = batch_mark(&b);
    for (uint32_t runs = 0; rc == FB_OK && runs < count + 2; runs++) {
        decide_cache_check_ids(s->in.cache, ids_checked);
        rc = batch_run(&b);
        if (rc == FB_OK || b.failed == NULL || is_everybodys(rc)) {
            break;
        }
        if (rc == FB_E_EXISTS && !ids_checked) {
            ids_checked = true;
        } else if (!failed_exclude(&b, rc)) {
            break;
        }
        rc = FB_OK;
    }
    decide_cache_check_ids(s->in.cache, false);
    batch_unmark(&b, rc);
    batch_end(&b, rc);
}

/* While somebody's mark stands nobody shares a batch: a crash names one device. */
void server_write(server *s, server_job **jobs, uint32_t count)
{
    uint32_t done = 0;
    while (done < count) {
        uint32_t n = s->in.careful && s->in.attempts ? 1 : count - done;
        write_batch(s, jobs + done, n);
        done += n;
    }
}
