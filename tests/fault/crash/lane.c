/* lane.c - see crash.h: photos taken, carried and let go; and what may be found of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/crash/crash.h"
#include "sync-server/blob/blob.h"

enum { PIECE_BYTES = 16 << 10, PHOTO_BYTES = 40000, THUMB_BYTES = 1500, ROUNDS_MAX = 6 };
static const int64_t RETRY_MS = 16 * 60000;
static const char MASTER[] = "server/master.db";

/* --- what people do ----------------------------------------------------------------------------
 */

/* Every photo has bytes of its own; the whole of it, or a file that the app wrote. */
fb_code lane_photo(fleet_device *d, const fb_id *shop, uint32_t number)
{
    static char photo[PHOTO_BYTES];
    static const char CAMERA[] = "dev1/camera.jpg";
    const fb_files *f = mem_files_port(d->world->files);
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    for (size_t i = 0; i < PHOTO_BYTES; i += 4) {
        uint32_t word = (uint32_t)mix(number, i);
        memcpy(photo + i, &word, sizeof word);
    }
    a.media_type = "image/jpeg";
    a.customer = *shop;
    a.thumb = (fb_text){photo + number % THUMB_BYTES, THUMB_BYTES};
    a.data = (fb_text){photo, PHOTO_BYTES};
    if (number % 2 == 0) {
        fleet_must(f->write(f->ctx, CAMERA, 0, a.data, true), NULL, "camera");
        a.file = CAMERA;
    }
    return fb_attachment_add(d->db, &a, NULL, NULL);
}

fb_code lane_round(fleet_device *d, fb_lane_report *out, fb_error *err)
{
    fb_lane *lane = NULL;
    fb_link link = fleet_link(d);
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    o.piece_bytes_max = PIECE_BYTES;
    *out = (fb_lane_report){.complete = false};
    fb_code rc = fb_lane_open(d->db, &o, &lane, err);
    if (rc == FB_OK) {
        rc = fb_lane_step(lane, &link, 0, out, err);
    }
    fb_lane_close(lane);
    return rc;
}

typedef struct ids {
    fb_id list[200];
    uint32_t count;
} ids;

static fb_code id_take(void *ctx, const fb_row *row)
{
    ids *all = ctx;
    const fb_value *v = &row->values[0];
    if (all->count == sizeof all->list / sizeof *all->list) {
        return FB_E_LIMIT;
    }
    return v->kind == FB_KIND_TEXT && id_get(v->u.text, &all->list[all->count++]) ? FB_OK
                                                                                  : FB_E_CORRUPT;
}

static fb_code photos_of(fleet_device *d, ids *out, fb_error *err)
{
    out->count = 0;
    return fb_query(d->db, "SELECT id FROM attachment ORDER BY id", NULL, id_take, out, err);
}

/* Room is made, and the photos are wanted again. */
void lane_let_go(fleet_device *d)
{
    ids all;
    fb_error err = {0};
    fleet_must(fb_attachment_free(d->db, 0, NULL, &err), &err, "free");
    fleet_must(photos_of(d, &all, &err), &err, "photos");
    for (uint32_t i = 0; i < all.count; i++) {
        fleet_must(fb_attachment_want(d->db, &all.list[i], FB_PART_ORIGINAL, false, &err), &err,
                   "want");
    }
}

static fb_code place_of(fleet *f, blob_place *out)
{
    memset(out, 0, sizeof *out);
    return blob_place_init(out, mem_files_port(f->files), MASTER,
                           &(blob_limits){.unnamed_days = 30});
}

void lane_backup(fleet *f)
{
    blob_place p;
    blob_report r = {0};
    fb_error err = {0};
    fleet_must(place_of(f, &p), NULL, "place");
    fleet_must(
        blob_backup(&p, f->admin, f->admin, LANE_BACKUP, &(blob_moment){f->now_ms, 0}, &r, &err),
        &err, "blob_backup");
    blob_place_clear(&p);
    if (r.missing + r.damaged > 0) {
        fleet_must(FB_E_CORRUPT, NULL, "the server lacks bytes without any accident");
    }
}

/* --- what must be found ------------------------------------------------------------------------
 */

static bool no(const char *what, fb_code rc, const fb_error *err, char why[LANE_WHY_BYTES])
{
    snprintf(why, LANE_WHY_BYTES, "%s: %s %s", what, fb_code_name(rc), err->message);
    return false;
}

static fb_code eat(void *ctx, fb_text piece)
{
    *(size_t *)ctx += piece.size;
    return FB_OK;
}

/* What the device calls here is whole. Before anything was healed: BLO-1. */
bool lane_whole(fleet_device *d, bool all, char why[LANE_WHY_BYTES])
{
    ids photos;
    fb_error err = {0};
    fb_code rc = photos_of(d, &photos, &err);
    for (uint32_t i = 0; i < photos.count && rc == FB_OK; i++) {
        fb_attachment_state s = {.size_bytes = sizeof s};
        size_t size = 0;
        rc = fb_attachment_status(d->db, &photos.list[i], &s, &err);
        if (rc == FB_OK && (all || s.original.state >= FB_BYTES_UNSENT)) {
            rc = fb_attachment_read(d->db, &photos.list[i], FB_PART_ORIGINAL, eat, &size, &err);
        }
        if (rc == FB_OK && s.thumb.state >= FB_BYTES_UNSENT) {
            rc = fb_attachment_read(d->db, &photos.list[i], FB_PART_THUMB, eat, &size, &err);
        }
    }
    return rc == FB_OK || no("a photo is not whole", rc, &err, why);
}

static bool is_still(fleet_device *d, char why[LANE_WHY_BYTES])
{
    fb_lane_report r = {.complete = false};
    fb_error err = {0};
    for (int i = 0; i < ROUNDS_MAX && !r.complete; i++) {
        d->world->now_ms += RETRY_MS;
        fb_code rc = lane_round(d, &r, &err);
        if (rc != FB_OK && rc != FB_E_BUSY) {
            return no("the lane after the crash", rc, &err, why);
        }
    }
    return r.complete || no("the lane does not end", r.trouble, &err, why);
}

/* Up what is only here, down what is only there: then every photo of the device is whole on it. */
bool lane_heals(fleet_device *d, char why[LANE_WHY_BYTES])
{
    ids all;
    fb_error err = {0};
    if (!is_still(d, why)) {
        return false;
    }
    fb_code rc = photos_of(d, &all, &err);
    for (uint32_t i = 0; i < all.count && rc == FB_OK; i++) {
        rc = fb_attachment_want(d->db, &all.list[i], FB_PART_ORIGINAL, false, &err);
    }
    return rc == FB_OK ? is_still(d, why) && lane_whole(d, true, why)
                       : no("a photo cannot be wanted", rc, &err, why);
}

typedef struct strays {
    const char *machine;
    int count;
} strays;

static void stray_count(void *ctx, const char *path, const void *data, size_t size)
{
    strays *s = ctx;
    const char *name = strrchr(path, '/');
    (void)data;
    (void)size;
    s->count += strncmp(path, s->machine, strlen(s->machine)) == 0 && name != NULL &&
                strncmp(name, "/new-", 5) == 0;
}

/* Every photo that a row names is whole on the server, and no copy was left half made. */
bool lane_arrived(fleet *f, store *s, char why[LANE_WHY_BYTES])
{
    blob_place p;
    blob_report r = {0};
    strays left = {.machine = "dev"};
    fb_error err = {0};
    fb_code rc = place_of(f, &p);
    if (rc == FB_OK) {
        rc = blob_check(&p, s, f->now_ms, false, NULL, NULL, &r);
    }
    blob_place_clear(&p);
    mem_files_each(f->files, stray_count, &left);
    if (rc != FB_OK) {
        return no("the server's check of photos", rc, &err, why);
    }
    if (r.missing + r.damaged + r.waiting + left.count > 0) {
        snprintf(why, LANE_WHY_BYTES, "photos: missing=%lld damaged=%lld waiting=%lld strays=%d",
                 (long long)r.missing, (long long)r.damaged, (long long)r.waiting, left.count);
        return false;
    }
    return true;
}

bool lane_backup_sound(fleet *f, store *copy, char why[LANE_WHY_BYTES])
{
    blob_report r = {0};
    fb_error err = {0};
    fb_code rc = blob_backup_verify(mem_files_port(f->files), copy, LANE_BACKUP, &r, &err);
    return rc == FB_OK || no("photos of the backup", rc, &err, why);
}
