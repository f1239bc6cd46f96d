/* photos.c - photos and signatures: what people do with them, what strikes their files. See sim.h
 * and photos.h.
 *
 * Bytes are lost for good only where a disaster took the last copy; who holds which is looked up in
 * the files when it happens. */
#include "sim/photos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sync-server/blob/blob.h"

enum {
    PIECE_BYTES_MAX = 16 << 10,
    SHARED = 3 /* pictures that several people take */
};

bool photos_have(const sim *s)
{
    return s->plan->enabled[KIND_PHOTO];
}

/* ---- what people do ---- */

/* Some pictures are taken twice, by one person or by two: the same bytes. */
static void pictures_draw(sim *s, sim_action *a)
{
    a->bytes[ORIGINAL] =
        sim_chance(s, 25) ? 1 + sim_random(s, SHARED) : mix64(s->seed, 2 * (uint64_t)a->mark);
    a->bytes[THUMB] = sim_chance(s, 60) ? mix64(s->seed, 2 * (uint64_t)a->mark + 1) : 0;
}

static fb_code picture_add(sim_device *d, sim_action *a, const char *mark, fb_attachment_in *in)
{
    content parts[PARTS];
    in->media_type = "image/jpeg";
    in->note = mark;
    content_make(a->bytes[ORIGINAL], ORIGINAL, &parts[ORIGINAL]);
    in->data = content_text(&parts[ORIGINAL]);
    if (a->bytes[THUMB] != 0) {
        content_make(a->bytes[THUMB], THUMB, &parts[THUMB]);
        in->thumb = content_text(&parts[THUMB]);
    }
    return fb_attachment_add(d->db, in, NULL, NULL);
}

/* A shelf on a visit, a signature under an order, or a shop front: with what it belongs to in one
 * group. */
static fb_code act_photo(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    fb_visit_in visit;
    a->entity = "attachment";
    a->column = "note";
    pictures_draw(d->world, a);
    in.customer = *customer;
    in.kind = "storefront";
    if (sim_chance(d->world, 30)) {
        return picture_add(d, a, mark, &in);
    }
    fb_code rc = fb_visit_check_in(d->db, customer, NULL, &visit, NULL);
    in.customer = (fb_id){{0}};
    in.visit = visit.visit;
    in.kind = "shelf";
    if (rc == FB_OK) {
        rc = picture_add(d, a, mark, &in);
    }
    return rc == FB_OK ? fb_visit_check_out(d->db, &visit.visit, NULL, NULL) : rc;
}

bool people_photo(sim *s, sim_device *d)
{
    fb_id customer;
    (void)s;
    return device_alive(d) && customer_pick(d, &customer) && act_do(d, act_photo, &customer);
}

typedef struct picked {
    fb_id ids[64];
    size_t count;
} picked;

static fb_code picture_take(void *ctx, const fb_row *row)
{
    picked *p = ctx;
    if (p->count < sizeof p->ids / sizeof *p->ids &&
        id_get(row->values[0].u.text, &p->ids[p->count])) {
        p->count++;
    }
    return FB_OK;
}

static bool pictures_of(sim_device *d, picked *p)
{
    p->count = 0;
    return fb_query(d->db, "SELECT id FROM attachment ORDER BY id", NULL, picture_take, p, NULL) ==
               FB_OK &&
           p->count > 0;
}

/* Somebody wants to see the picture itself. */
bool people_photo_wanted(sim *s, sim_device *d)
{
    picked p;
    if (!device_alive(d) || !pictures_of(d, &p)) {
        return false;
    }
    return fb_attachment_want(d->db, &p.ids[sim_random(s, p.count)], FB_PART_ORIGINAL,
                              sim_chance(s, 50), NULL) == FB_OK;
}

/* The phone is full: what the server can give again goes. */
bool people_photo_free(sim *s, sim_device *d)
{
    int64_t freed = 0;
    return device_alive(d) &&
           fb_attachment_free(d->db, (int64_t)sim_random(s, SMALL_BYTES_MAX), &freed, NULL) ==
               FB_OK &&
           freed > 0;
}

fb_code lane_open(sim_device *d)
{
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    if (d->lane != NULL) {
        return FB_OK;
    }
    o.piece_bytes_max = PIECE_BYTES_MAX;
    o.metered = !d->world->healing && d->number % 3 == 2;
    return fb_lane_open(d->db, &o, &d->lane, NULL);
}

/* ---- what strikes ---- */

/* Nobody else has it: what happens to this copy happens to the picture. */
static void copy_lost(sim *s, sim_action *a, int part)
{
    content c;
    content_make(a->bytes[part], part, &c);
    a->bytes_server_only = true;
    a->bytes_doubt |= !server_has(s, SERVER_FOLDER, &c);
}

void photos_device_lost(sim *s, int device, int actions)
{
    for (int i = actions; i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        for (int part = 0; part < PARTS && a->device == device; part++) {
            if (a->bytes[part] != 0) {
                copy_lost(s, a, part);
            }
        }
    }
}

void photos_server_lost(sim *s)
{
    for (int i = 0; i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        for (int part = 0; part < PARTS && a->bytes_server_only; part++) {
            content c;
            content_make(a->bytes[part], part, &c);
            a->bytes_doubt |= a->bytes[part] != 0 && !server_has(s, BACKUP_FOLDER, &c);
        }
    }
}

typedef struct damage {
    sim *s;
    const char *folder;
    char file[160];
    unsigned char *bytes;
    size_t size;
    uint64_t seen;
} damage;

/* One of the folder's files, each as likely. */
static void damage_pick(void *ctx, const char *file, const void *data, size_t size)
{
    damage *w = ctx;
    digest hash;
    if (strncmp(file, w->folder, strlen(w->folder)) != 0 || !name_of(file, &hash) || size == 0 ||
        sim_random(w->s, ++w->seen) != 0) {
        return;
    }
    snprintf(w->file, sizeof w->file, "%s", file);
    free(w->bytes);
    w->bytes = malloc(size);
    w->size = size;
    if (w->bytes == NULL) {
        abort();
    }
    memcpy(w->bytes, data, size);
}

/* A bit is another one, the end is missing, or the file is gone. */
static void damage_do(damage *w)
{
    switch (sim_random(w->s, 3)) {
    case 0:
        w->bytes[sim_random(w->s, w->size)] ^= 4;
        break;
    case 1:
        w->size /= 2;
        break;
    default:
        crash_vfs_remove_under(w->s->vfs, w->file);
        sim_trace(w->s, "%s is gone", w->file);
        return;
    }
    crash_vfs_put(w->s->vfs, w->file, w->bytes, w->size);
    sim_trace(w->s, "%s is damaged", w->file);
}

/* The pictures of these bytes: their maker's copy is what was struck. */
static void damage_note(sim *s, const damage *w, int device)
{
    digest hash, found;
    content c;
    (void)name_of(w->file, &hash);
    for (int i = 0; i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        for (int part = 0; part < PARTS; part++) {
            if (a->bytes[part] == 0 ||
                memcmp(&s->devices[a->device].user, &s->devices[device].user, sizeof(fb_id)) != 0) {
                continue;
            }
            content_make(a->bytes[part], part, &c);
            digest_of(c.bytes, c.size, &found);
            if (memcmp(&found, &hash, sizeof hash) == 0) {
                copy_lost(s, a, part);
            }
        }
    }
}

bool fault_photo_damaged(sim *s, sim_device *d)
{
    char folder[64];
    damage w = {.s = s, .folder = folder};
    snprintf(folder, sizeof folder, "%s.blobs/", d->path);
    crash_vfs_each(s->vfs, damage_pick, &w);
    if (w.bytes == NULL || s->damaged_count == SIM_DAMAGED_MAX) {
        free(w.bytes);
        return false;
    }
    damage_note(s, &w, d->number);
    damage_do(&w);
    snprintf(s->damaged[s->damaged_count++], sizeof s->damaged[0], "%s", w.file);
    free(w.bytes);
    return true;
}

bool fault_blob_damaged(sim *s, sim_device *d)
{
    damage w = {.s = s, .folder = SERVER_FOLDER "/"};
    digest hash, found;
    content c;
    (void)d;
    crash_vfs_each(s->vfs, damage_pick, &w);
    if (w.bytes == NULL) {
        return false;
    }
    (void)name_of(w.file, &hash);
    damage_do(&w);
    free(w.bytes);
    s->blobs_damaged = true;
    for (int i = 0; i < s->actions_count; i++) {
        sim_action *a = &s->actions[i];
        for (int part = 0; part < PARTS && a->bytes_server_only; part++) {
            content_make(a->bytes[part], part, &c);
            digest_of(c.bytes, c.size, &found);
            a->bytes_doubt |= memcmp(&found, &hash, sizeof hash) == 0;
        }
    }
    return true;
}

/* ---- the server's copies ---- */

static void place_of(sim *s, blob_place *p)
{
    memset(p, 0, sizeof *p);
    if (blob_place_init(p, &s->files, "server/master.db", &(blob_limits){.unnamed_days = 30}) !=
        FB_OK) {
        abort();
    }
}

/* What fieldbook-admin does with a folder of backups: one folder of photos that only grows. */
void photos_backup(sim *s, store *db)
{
    blob_place p;
    blob_report r = {0};
    fb_error err = {0};
    if (!photos_have(s) || db == NULL) {
        return;
    }
    place_of(s, &p);
    fb_code rc = blob_backup(&p, db, db, BACKUP_FOLDER, &(blob_moment){s->now_ms, 0}, &r, &err);
    blob_place_clear(&p);
    if (rc != FB_OK) {
        sim_violation(s, "photos of a sound server cannot be backed up: %s %s", fb_code_name(rc),
                      err.message);
    }
}

void photos_put_back(sim *s)
{
    blob_place p;
    blob_report r = {0};
    fb_error err = {0};
    if (!photos_have(s)) {
        return;
    }
    store *db = world_store_open("server/master.db");
    place_of(s, &p);
    fb_code rc = db != NULL ? blob_restore(&p, db, BACKUP_FOLDER, &r, &err) : FB_E_IO;
    blob_place_clear(&p);
    store_close(db);
    if (rc != FB_OK) {
        sim_violation(s, "photos cannot be put back: %s %s", fb_code_name(rc), err.message);
    }
}

#define ASIDE "srvaside"

static void aside_take(void *ctx, const char *file, const void *data, size_t size)
{
    char to[160];
    size_t n = strlen(ASIDE);
    if (strncmp(file, ASIDE "/master.db.blobs/", n + 17) == 0) {
        snprintf(to, sizeof to, "server%s", file + n);
        crash_vfs_put(((sim *)ctx)->vfs, to, data, size);
    }
}

void photos_aside(sim *s)
{
    if (photos_have(s)) {
        crash_vfs_copy(s->vfs, "server", ASIDE);
    }
}

void photos_aside_back(sim *s)
{
    crash_vfs_each(s->vfs, aside_take, s);
    crash_vfs_remove(s->vfs, ASIDE);
}

/* ---- what may not happen ---- */

/* A1: a device's own picture goes only where it can come back from. */
static void watch(void *ctx, const crash_vfs_event *e)
{
    sim *s = ctx;
    digest hash, found;
    content c;
    int device = -1;
    if (e->op != CRASH_VFS_DELETE || sscanf(e->file, "dev%d/", &device) != 1 ||
        device >= s->devices_count || !name_of(e->file, &hash)) {
        return;
    }
    for (int i = 0; i < s->actions_count; i++) {
        const sim_action *a = &s->actions[i];
        for (int part = 0; part < PARTS && a->device == device; part++) {
            content_make(a->bytes[part], part, &c);
            digest_of(c.bytes, c.size, &found);
            if (a->bytes[part] != 0 && !a->bytes_doubt && !a->doubt &&
                memcmp(&hash, &found, sizeof hash) == 0 && stands(s, e->file, &c) &&
                !server_has(s, SERVER_FOLDER, &c) && !server_has(s, BACKUP_FOLDER, &c)) {
                sim_violation(s, "A1: dev%d lets go of a picture that nobody else has: %s", device,
                              e->file);
            }
        }
    }
}

void photos_watch(sim *s)
{
    if (photos_have(s)) {
        crash_vfs_listen(s->vfs, watch, s);
    }
}

/* ---- healing ---- */

enum { HOURS_7_MS = 7 * 3600 * 1000, MINUTES_10_MS = 600000 };

/* Time passes until each device asks again whether the server has what it had; the operator has
 * every file checked, and each app starts again. */
void photos_heal(sim *s)
{
    blob_place p;
    blob_report r = {0};
    if (!photos_have(s)) {
        return;
    }
    s->now_ms += HOURS_7_MS;
    machines_tend(s);
    if (s->blobs_damaged) {
        store *db = world_store_open("server/master.db");
        place_of(s, &p);
        fb_code rc = db != NULL ? blob_check(&p, db, s->now_ms, true, NULL, NULL, &r) : FB_E_IO;
        blob_place_clear(&p);
        store_close(db);
        if (rc != FB_OK) {
            sim_violation(s, "the operator cannot check the photos: %s", fb_code_name(rc));
        }
    }
    for (int i = 0; i < s->devices_count; i++) {
        device_restart(&s->devices[i]);
    }
}

typedef struct glance {
    digest_run run;
} glance;

static fb_code glance_take(void *ctx, fb_text piece)
{
    digest_add(&((glance *)ctx)->run, piece.data, piece.size);
    return FB_OK;
}

/* A2: what is shown is what the row names. */
static void picture_look(sim_device *d, const fb_id *id, fb_part part, fb_text named)
{
    glance g;
    digest found;
    char name[BLOB_NAME_BYTES + 1];
    digest_begin(&g.run);
    fb_code rc = fb_attachment_read(d->db, id, part, glance_take, &g, NULL);
    digest_end(&g.run, &found);
    blob_name_put(&found, name);
    bool wrong = rc == FB_OK && !text_is(named, name);
    if (wrong || (rc != FB_OK && rc != FB_E_NOT_FOUND && rc != FB_E_CORRUPT)) {
        sim_violation(d->world, "A2: %s shows a wrong picture: %s", d->machine, fb_code_name(rc));
    }
}

static fb_code row_look(void *ctx, const fb_row *row)
{
    fb_id id;
    if (!id_get(row->values[0].u.text, &id)) {
        return FB_E_CORRUPT;
    }
    picture_look(ctx, &id, FB_PART_ORIGINAL, row->values[1].u.text);
    if (row->values[2].kind == FB_KIND_TEXT) {
        picture_look(ctx, &id, FB_PART_THUMB, row->values[2].u.text);
    }
    return FB_OK;
}

/* Damage that nobody has seen yet is met now, and the picture is wanted again. */
void photos_heal_look(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[i];
        if (fb_query(d->db, "SELECT id, sha256, thumb_sha256 FROM attachment", NULL, row_look, d,
                     NULL) != FB_OK) {
            sim_violation(s, "A2: %s cannot list its pictures", d->machine);
        }
    }
    s->now_ms += MINUTES_10_MS; /* what was not there yet is asked for again */
}

bool photos_settled(sim_device *d)
{
    fb_attachment_totals t = {.size_bytes = sizeof t};
    return !photos_have(d->world) ||
           (fb_attachment_count(d->db, &t, NULL) == FB_OK && t.unsent_count == 0);
}
