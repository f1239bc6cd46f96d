/* attempt.c - see attempt.h. */
#include "sync-server/intake/attempt.h"

#include "base/id.h"

fb_code attempt_get(store *s, const fb_id *device, attempt *out)
{
    store_stmt *q = store_prepare(s, STORE_intake_attempt_get);
    *out = (attempt){.found = false};
    store_bind_id(q, 1, device);
    FB_TRY(store_step(q, &out->found));
    if (out->found) {
        out->gseq = store_int(q, 0);
        out->tries = store_int(q, 1);
        store_reset(q);
    }
    return FB_OK;
}

fb_code attempt_put(store *s, const fb_id *device, int64_t gseq, int64_t tries)
{
    store_stmt *q = store_prepare(s, STORE_intake_attempt_put);
    store_bind_id(q, 1, device);
    store_bind_int(q, 2, gseq);
    store_bind_int(q, 3, tries);
    return store_run(q);
}

fb_code attempt_delete(store *s, const fb_id *device)
{
    store_stmt *q = store_prepare(s, STORE_intake_attempt_delete);
    store_bind_id(q, 1, device);
    return store_run(q);
}

static fb_code one_more(store *s, const fb_id *device, int64_t gseq)
{
    attempt a;
    FB_TRY(attempt_get(s, device, &a));
    return attempt_put(s, device, gseq, a.found && a.gseq == gseq ? a.tries + 1 : 1);
}

fb_code attempt_note(intake *in, const fb_id *device, int64_t gseq)
{
    attempt a;
    FB_TRY(store_begin(in->db));
    fb_code rc = attempt_get(in->db, device, &a);
    if (rc == FB_OK && in->careful && a.found && a.gseq == gseq) {
        rc = attempt_put(in->db, device, gseq, a.tries); /* its mark has counted this one */
    } else if (rc == FB_OK) {
        rc = one_more(in->db, device, gseq);
    }
    if (rc != FB_OK) {
        store_rollback(in->db);
        return rc;
    }
    in->attempts = true;
    return store_commit(in->db);
}

/* The first group of the request that has no verdict yet; 0: they all have. A new incarnation has
 * none. */
static int64_t first_new(const door_device *d, const sync_request *q)
{
    int64_t applied = id_equal(&d->incarnation, &q->incarnation) ? d->applied : 0;
    return q->groups_count > 0 && q->first + q->groups_count - 1 > applied ? applied + 1 : 0;
}

fb_code attempt_mark(intake *in, const fb_id *device, const sync_request *q, attempt_marked *out)
{
    door_device d;
    attempt a;
    *out = (attempt_marked){.marked = false};
    fb_code rc = door_device_get(in->db, device, &d);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    int64_t gseq = first_new(&d, q);
    if (gseq == 0) {
        return FB_OK;
    }
    FB_TRY(attempt_get(in->db, device, &a));
    FB_TRY(one_more(in->db, device, gseq));
    in->attempts = true;
    *out = (attempt_marked){.marked = true, .stood = a.found};
    return FB_OK;
}

fb_code attempt_unmark(intake *in, const fb_id *device)
{
    attempt a;
    FB_TRY(attempt_get(in->db, device, &a));
    if (!a.found) {
        return FB_OK;
    }
    return a.tries > 1 ? attempt_put(in->db, device, a.gseq, a.tries - 1)
                       : attempt_delete(in->db, device);
}

fb_code attempt_look(intake *in)
{
    int64_t count = 0;
    FB_TRY(store_one(store_prepare(in->db, STORE_intake_attempts_count), &count));
    in->attempts = count > 0;
    return FB_OK;
}
