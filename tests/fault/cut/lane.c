/* lane.c - see cut.h: requests and answers of the attachment lane cut after every byte, up from a
 * rep and down to the manager. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fault/cut/cut.h"
#include "support/fleet.h"
#include "sync-server/blob/blob.h"

enum { PHOTO_BYTES = 400, THUMB_BYTES = 90, MESSAGES = 4 };

typedef struct lane_run {
    fleet f;
    const cut_options *o;
    cut_counters *n;
    fleet_device *d;
    fb_lane *lane;
    char body[4096], answer[4096]; /* own copies: those of the link do not last */
    size_t body_size, answer_size;
    int status;
} lane_run;

static void ask(lane_run *w, const fb_link_request *q, size_t size)
{
    fb_link link = fleet_link(&w->f.devices[0]);
    fb_link_request cut = *q;
    fb_link_response r = {.status = 0};
    w->f.now_ms += CUT_PACE_MS;
    memcpy(w->body, q->body.data, q->body.size);
    w->body_size = q->body.size;
    cut.body = (fb_text){w->body, size};
    fleet_must(link.exchange(link.ctx, &cut, &r), NULL, "exchange");
    if (r.body.size > sizeof w->answer) {
        abort();
    }
    memcpy(w->answer, r.body.data, r.body.size);
    w->answer_size = r.body.size;
    w->status = r.status;
    w->n->plain++;
}

/* Bytes that are still on their way. */
static bool is_under_way(lane_run *w)
{
    fb_attachment_totals t = {.size_bytes = sizeof t};
    fleet_must(fb_attachment_count(w->d->db, &t, NULL), NULL, "count");
    return t.unsent_count + t.wanted_count > 0;
}

/* The next request; false: the lane has nothing to do. */
static bool next_request(lane_run *w, fb_link_request *q)
{
    fb_error err = {0};
    for (int i = 0; i < 8; i++) {
        fb_sync_action action;
        uint32_t wait_ms = 0;
        fleet_must(fb_lane_next(w->lane, &action, q, &wait_ms, &err), &err, "fb_lane_next");
        if (action == FB_SYNC_SEND) {
            return true;
        }
        w->f.now_ms += action == FB_SYNC_WAIT ? wait_ms : 16 * 60000;
    }
    return false;
}

static size_t step(const lane_run *w, size_t k, size_t size)
{
    return k + w->o->every + 8 < size ? (size_t)w->o->every : 1;
}

/* A message of one line is whole without its line end. */
static size_t cuts_of(const char *path, bool down, size_t size)
{
    bool bytes = strcmp(path, down ? "/v1/blob/get" : "/v1/blob/put") == 0;
    return bytes ? size : size - 1;
}

static void up_cuts(lane_run *w, const fb_link_request *q)
{
    size_t size = cuts_of(q->path, false, q->body.size);
    for (size_t k = 0; k < size; k += step(w, k, size)) {
        ask(w, q, k); /* CUT-1 */
        if (w->status == 200) {
            cut_bad(w->n, q->path, "up", k, "a cut request was answered with 200");
        }
    }
}

/* One message: its request cut everywhere, then carried, and its answer cut everywhere. */
static void message_cuts(lane_run *w, const fb_link_request *first)
{
    fb_link_request q = *first;
    fb_error err = {0};
    up_cuts(w, &q);
    w->n->messages += 2;
    for (size_t k = 0;; k += step(w, k, w->answer_size)) {
        ask(w, &q, q.body.size);
        size_t size = cuts_of(q.path, true, w->answer_size);
        fb_link_response r = {.status = w->status, .body = {w->answer, k < size ? k : 0}};
        if (k >= size) {
            r.body = (fb_text){w->answer, w->answer_size};
        }
        fb_code rc = fb_lane_reply(w->lane, &r, &err);
        if (k >= size) {
            if (rc != FB_OK) {
                cut_bad(w->n, q.path, "down", k, "the whole answer was not taken");
            }
            return;
        }
        if (rc == FB_OK) {
            cut_bad(w->n, q.path, "down", k, "a cut answer was taken"); /* CUT-2 */
        }
        if (!next_request(w, &q)) {
            cut_bad(w->n, q.path, "down", k, "the device does not ask again");
            return;
        }
    }
}

/* What is left, over a good line. */
static void finish(lane_run *w)
{
    fb_link link = fleet_link(&w->f.devices[0]);
    for (int i = 0; i < 10 && is_under_way(w); i++) {
        fb_lane_report r;
        fb_error err = {0};
        w->f.now_ms += 16 * 60000;
        fleet_must(fb_lane_step(w->lane, &link, 0, &r, &err), &err, "fb_lane_step");
    }
    if (is_under_way(w)) {
        cut_bad(w->n, "lane", "up", 0, "what is left does not get through");
    }
}

/* Cuts take hours of waiting, after which the lane asks anew about what it has sent: so the
 * messages are counted, not awaited. */
static void lane_cut(lane_run *w, fleet_device *d)
{
    fb_error err = {0};
    fb_link_request q;
    w->d = d;
    w->f.now_ms += 60000;
    fleet_must(fb_lane_open(d->db, NULL, &w->lane, &err), &err, "fb_lane_open");
    for (int i = 0; i < MESSAGES && next_request(w, &q); i++) {
        message_cuts(w, &q);
    }
    finish(w);
    fb_lane_close(w->lane);
}

typedef struct read_back {
    char bytes[PHOTO_BYTES];
    size_t size;
} read_back;

static fb_code take(void *ctx, fb_text piece)
{
    read_back *r = ctx;
    if (r->size + piece.size > sizeof r->bytes) {
        return FB_E_LIMIT;
    }
    memcpy(r->bytes + r->size, piece.data, piece.size);
    r->size += piece.size;
    return FB_OK;
}

/* CUT-4 for bytes: the server's files are sound, and the manager reads what the rep saved. */
static void judge(lane_run *w, fleet_device *manager, const fb_id *id, const char *photo)
{
    read_back r = {.size = 0};
    blob_report found = {0};
    blob_place p;
    fb_error err = {0};
    memset(&p, 0, sizeof p);
    fleet_must(blob_place_init(&p, mem_files_port(w->f.files), "server/master.db",
                               &(blob_limits){.unnamed_days = 30}),
               NULL, "place");
    fb_code rc = blob_check(&p, w->f.admin, w->f.now_ms, false, NULL, NULL, &found);
    blob_place_clear(&p);
    if (rc != FB_OK || found.files != 2 || found.missing + found.damaged + found.waiting != 0) {
        cut_bad(w->n, "lane", "up", 0, "the server's files are not whole");
    }
    rc = fb_attachment_read(manager->db, id, FB_PART_ORIGINAL, take, &r, &err);
    if (rc != FB_OK || r.size != PHOTO_BYTES || memcmp(r.bytes, photo, PHOTO_BYTES) != 0) {
        cut_bad(w->n, "lane", "down", 0, "the manager does not read what the rep saved");
    }
}

void lane_cuts(const cut_options *o, cut_counters *n)
{
    lane_run *w = calloc(1, sizeof *w);
    char photo[PHOTO_BYTES], thumb[THUMB_BYTES];
    fb_error err = {0};
    fb_id id;
    if (w == NULL) {
        abort();
    }
    w->o = o;
    w->n = n;
    fleet_open(&w->f);
    fleet_device *rep = fleet_device_add(&w->f, &w->f.users[0]);
    fleet_device *manager = fleet_device_add(&w->f, &w->f.manager);
    for (int i = 0; i < PHOTO_BYTES; i++) {
        photo[i] = (char)(i * 13 + (int)o->seed);
    }
    memcpy(thumb, photo + 7, sizeof thumb);
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    a.media_type = "image/png";
    a.data = (fb_text){photo, PHOTO_BYTES};
    a.thumb = (fb_text){thumb, THUMB_BYTES};
    a.customer = w->f.customers[0];
    fleet_must(fb_attachment_add(rep->db, &a, &id, &err), &err, "add");
    fleet_sync(rep);
    lane_cut(w, rep);
    fleet_sync(manager);
    fleet_must(fb_attachment_want(manager->db, &id, FB_PART_ORIGINAL, false, &err), &err, "want");
    lane_cut(w, manager);
    judge(w, manager, &id, photo);
    fleet_close(&w->f);
    free(w);
}
