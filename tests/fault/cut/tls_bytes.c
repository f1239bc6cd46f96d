/* tls_bytes.c - see cut.h: what is not rows, inside the encrypted stream: the pieces of
 * attachments, up from a rep and down to the manager, the chunks of a first download and the
 * requests for them, and the question whether the server is well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "fault/cut/tls_inside.h"
#include "platform/posix/file.h"
#include "platform/posix/files.h"
#include "sync-server/blob/blob.h"

enum { PHOTO_BYTES = 700, THUMB_BYTES = 90, LANE_CUTS_MAX = 12000, PATH_BYTES = 100 };

typedef struct bytes_run {
    wire *w;
    fb_db *rep, *manager;
    fb_id *photos;
    uint32_t count;
} bytes_run;

/* --- attachments -------------------------------------------------------------------------------
 */

static fb_code lane_once(wire *w, fb_db *db, bool *complete)
{
    fb_lane *lane = NULL;
    fb_lane_report report = {.complete = false};
    fb_error err = {0};
    fb_link *link = wire_link(w);
    fleet_must(fb_lane_open(db, NULL, &lane, &err), &err, "lane");
    fb_code rc = fb_lane_step(lane, link, 0, &report, &err);
    *complete = rc == FB_OK && report.complete;
    fb_lane_close(lane);
    fb_link_curl_free(link);
    return rc;
}

/* Bytes of its own; its row is on the server, it is not. */
static void photo_add(bytes_run *b)
{
    char photo[PHOTO_BYTES];
    fb_error err = {0};
    fb_sync_report report = {.complete = false};
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    for (size_t i = 0; i < PHOTO_BYTES; i++) {
        photo[i] = (char)(i * 13 + b->count / 251);
    }
    memcpy(photo, &b->count, sizeof b->count);
    a.media_type = "image/png";
    a.data = (fb_text){photo, PHOTO_BYTES};
    a.thumb = (fb_text){photo, THUMB_BYTES};
    a.customer = b->w->customer;
    fleet_must(fb_attachment_add(b->rep, &a, &b->photos[b->count++], &err), &err, "add");
    fleet_must(wire_sync(b->w, b->rep, &report), NULL, "the row of a photo");
}

/* One cut, one repeat. False: the stream was shorter than that. */
static bool lane_cut(bytes_run *b, fb_db *db, int64_t up, int64_t down)
{
    wire *w = b->w;
    bool complete = false;
    proxy_cut(w->p, up, down);
    (void)lane_once(w, db, &complete);
    bool was_cut = proxy_did_cut(w->p);
    proxy_cut(w->p, -1, -1);
    w->n->tls += was_cut;
    fb_code rc = lane_once(w, db, &complete);
    if (rc != FB_OK || !complete) {
        cut_bad(w->n, "tls lane", up >= 0 ? "up" : "down", (uint64_t)(up >= 0 ? up : down),
                "the repeat does not complete");
    }
    return was_cut;
}

static fb_code eat(void *ctx, fb_text piece)
{
    *(size_t *)ctx += piece.size;
    return FB_OK;
}

static void photo_want(bytes_run *b, uint32_t i)
{
    fb_error err = {0};
    fleet_must(fb_attachment_want(b->manager, &b->photos[i], FB_PART_ORIGINAL, false, &err), &err,
               "want");
}

static void photo_read(bytes_run *b, uint32_t i)
{
    fb_error err = {0};
    size_t size = 0;
    fb_code rc = fb_attachment_read(b->manager, &b->photos[i], FB_PART_ORIGINAL, eat, &size, &err);
    if (rc != FB_OK || size != PHOTO_BYTES) {
        cut_bad(b->w->n, "tls lane", "down", i, "the manager does not read what the rep saved");
    }
}

/* CUT-4 for bytes: one file for each part, and each whole. */
static void files_judge(bytes_run *b)
{
    blob_report found = {0};
    blob_place p;
    memset(&p, 0, sizeof p);
    fleet_must(
        blob_place_init(&p, fb_files_posix(), b->w->master, &(blob_limits){.unnamed_days = 30}),
        NULL, "place");
    fb_code rc =
        blob_check(&p, b->w->admin, b->w->port.wall_ms(b->w->port.ctx), false, NULL, NULL, &found);
    blob_place_clear(&p);
    if (rc != FB_OK || found.files != 2 * (int64_t)b->count ||
        found.missing + found.damaged + found.waiting != 0) {
        cut_bad(b->w->n, "tls lane", "up", b->count, "the server's files are not whole");
    }
}

static void up_cuts(bytes_run *b)
{
    const cut_options *o = b->w->o;
    bool more = true;
    for (int64_t k = (int64_t)(o->seed % o->tls_every); more; k += (int64_t)o->tls_every) {
        photo_add(b);
        more = lane_cut(b, b->rep, k, -1) && b->count < LANE_CUTS_MAX;
    }
    more = true;
    for (int64_t k = (int64_t)(o->seed % o->tls_every); more; k += (int64_t)o->tls_every) {
        photo_add(b);
        more = lane_cut(b, b->rep, -1, k) && b->count < LANE_CUTS_MAX;
    }
}

/* A photo for each cut; thumbnails come unasked, before them. False: there were too few. */
static bool down_cuts(bytes_run *b)
{
    const cut_options *o = b->w->o;
    bool complete = false, more = true;
    uint32_t i = 0;
    fleet_must(lane_once(b->w, b->manager, &complete), NULL, "thumbnails");
    for (int side = 0; side < 2; side++) {
        more = true;
        for (int64_t k = (int64_t)(o->seed % o->tls_every); more && i < b->count;
             k += (int64_t)o->tls_every) {
            photo_want(b, i);
            more = side == 0 ? lane_cut(b, b->manager, -1, k) : lane_cut(b, b->manager, k, -1);
            photo_read(b, i++);
        }
    }
    return !more;
}

static fb_db *enrolled(wire *w, const char *path, const fb_id *user)
{
    buf code;
    fb_error err = {0};
    fb_sync_report report;
    fb_enrol_options e = FB_ENROL_OPTIONS_INIT;
    fb_db *db = wire_open(w, path);
    fb_link *link = wire_link(w);
    wire_code(w, user, &code);
    e.server_url = w->url;
    e.code = buf_cstr(&code);
    fleet_must(fb_enrol(db, link, &e, &err), &err, "enrol");
    fb_link_curl_free(link);
    buf_clear(&code);
    fleet_must(wire_sync(w, db, &report), NULL, "first sync");
    return db;
}

void tls_lane_cuts(wire *w)
{
    char path[PATH_BYTES];
    fb_sync_report report;
    bytes_run b = {.w = w, .rep = w->db};
    b.photos = calloc(LANE_CUTS_MAX + 2, sizeof *b.photos);
    if (b.photos == NULL) {
        abort();
    }
    snprintf(path, sizeof path, "%s/manager.db", w->folder);
    b.manager = enrolled(w, path, &w->manager);
    w->n->messages += 6; /* have, put, get, and their answers */
    up_cuts(&b);
    files_judge(&b);
    fleet_must(wire_sync(w, b.manager, &report), NULL, "the manager's sync");
    if (!down_cuts(&b)) {
        cut_bad(w->n, "tls lane", "down", b.count, "not every byte of the way down was cut");
    }
    fb_db_close(b.manager);
    free(b.photos);
}

/* --- packs ---------------------------------------------------------------------------------------
 */

static const char TEMPLATE[] = "template.db", TWIN[] = "twin.db";

static void file_copy(const char *from, const char *to)
{
    buf bytes;
    fb_error err = {0};
    buf_init(&bytes, CUT_BODY_BYTES_MAX);
    fleet_must(file_get(from, &bytes, &err), &err, from);
    fleet_must(file_replace(to, buf_text(&bytes), true, &err), &err, to);
    buf_clear(&bytes);
}

static fb_code twin_drop(void *ctx, const char *name)
{
    char path[PATH_BYTES * 2];
    snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
    return strncmp(name, TWIN, strlen(TWIN)) == 0 && unlink(path) != 0 ? FB_E_IO : FB_OK;
}

/* With what stands beside it. */
static fb_code twin_copy(void *ctx, const char *name)
{
    char from[PATH_BYTES * 2], to[PATH_BYTES * 2];
    if (strncmp(name, TEMPLATE, strlen(TEMPLATE)) == 0) {
        snprintf(from, sizeof from, "%s/%s", (const char *)ctx, name);
        snprintf(to, sizeof to, "%s/%s%s", (const char *)ctx, TWIN, name + strlen(TEMPLATE));
        file_copy(from, to);
    }
    return FB_OK;
}

static void twin_make(wire *w)
{
    const fb_files *f = fb_files_posix();
    fleet_must(f->each(f->ctx, w->folder, twin_drop, w->folder), NULL, "the twin before");
    fleet_must(f->each(f->ctx, w->folder, twin_copy, w->folder), NULL, "a twin");
}

static int64_t chunks_left(fb_db *db)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(db, &s, &err), &err, "status");
    return s.chunks_left;
}

/* A replica that was enrolled and never synced, copied anew; its download is cut, and repeated. */
static bool download_cut(wire *w, const char *twin, int64_t up, int64_t down)
{
    const char *direction = up >= 0 ? "up" : "down";
    uint64_t at = (uint64_t)(up >= 0 ? up : down);
    fb_error err = {0};
    fb_sync_report report = {.complete = false}, again = {.complete = false};
    twin_make(w);
    fb_db *db = wire_open(w, twin);
    proxy_cut(w->p, up, down);
    (void)wire_sync(w, db, &report);
    bool was_cut = proxy_did_cut(w->p);
    proxy_cut(w->p, -1, -1);
    w->n->tls += was_cut;
    fb_code rc = wire_sync(w, db, &again);
    if (rc != FB_OK || !again.complete || chunks_left(db) != 0 ||
        report.chunks_count + again.chunks_count == 0) {
        cut_bad(w->n, "tls pack", direction, at, "the download does not end in packs");
    } else if (again.packs_dropped + again.digest_faults_count > 0) {
        cut_bad(w->n, "tls pack", direction, at, "a cut chunk was kept");
    }
    if (fb_db_check(db, &err) != FB_OK) {
        cut_bad(w->n, "tls pack", direction, at, err.message);
    }
    fb_db_close(db);
    return was_cut;
}

void tls_pack_cuts(wire *w)
{
    char template[PATH_BYTES], twin[PATH_BYTES];
    buf code;
    fb_error err = {0};
    fb_enrol_options e = FB_ENROL_OPTIONS_INIT;
    snprintf(template, sizeof template, "%s/%s", w->folder, TEMPLATE);
    snprintf(twin, sizeof twin, "%s/%s", w->folder, TWIN);
    fb_db *db = wire_open(w, template);
    fb_link *link = wire_link(w);
    wire_code(w, &w->user, &code);
    e.server_url = w->url;
    e.code = buf_cstr(&code);
    fleet_must(fb_enrol(db, link, &e, &err), &err, "enrol");
    fb_link_curl_free(link);
    buf_clear(&code);
    fb_db_close(db);
    w->n->messages += 2;
    int64_t step = (int64_t)(w->o->tls_every * w->o->ask_every);
    for (int64_t k = (int64_t)w->o->seed % step; download_cut(w, twin, k, -1); k += step) {
    }
    for (int64_t k = (int64_t)(w->o->seed % w->o->tls_every); download_cut(w, twin, -1, k);
         k += (int64_t)w->o->tls_every) {
    }
}

/* --- is the server well? ------------------------------------------------------------------------
 */

/* The whole answer, or none. */
static fb_code health_ask(wire *w, bool *whole)
{
    static const char WELL[] = "{\"m\":\"health\",\"v\":1}";
    const fb_link_request q = {
        .method = "GET", .path = "/v1/health", .timeout_ms = 10000, .response_bytes_max = 1000};
    fb_link_response r = {0};
    fb_link *link = wire_link(w);
    fb_code rc = link->exchange(link->ctx, &q, &r);
    *whole = rc == FB_OK && r.status == 200 && r.body.size >= sizeof WELL - 1 &&
             memcmp(r.body.data, WELL, sizeof WELL - 1) == 0;
    fb_link_curl_free(link);
    return rc;
}

static bool health_cut(wire *w, int64_t up, int64_t down)
{
    const char *direction = up >= 0 ? "up" : "down";
    uint64_t at = (uint64_t)(up >= 0 ? up : down);
    bool whole = false;
    proxy_cut(w->p, up, down);
    fb_code rc = health_ask(w, &whole);
    bool was_cut = proxy_did_cut(w->p);
    proxy_cut(w->p, -1, -1);
    w->n->tls += was_cut;
    if (rc == FB_OK && !whole) {
        cut_bad(w->n, "tls health", direction, at, "a part of an answer was taken for one");
    }
    if (health_ask(w, &whole) != FB_OK || !whole) {
        cut_bad(w->n, "tls health", direction, at, "the repeat is not answered");
    }
    return was_cut;
}

void tls_health_cuts(wire *w)
{
    w->n->messages += 2;
    for (int64_t k = (int64_t)(w->o->seed % w->o->tls_every); health_cut(w, k, -1);
         k += (int64_t)w->o->tls_every) {
    }
    for (int64_t k = (int64_t)(w->o->seed % w->o->tls_every); health_cut(w, -1, k);
         k += (int64_t)w->o->tls_every) {
    }
}
