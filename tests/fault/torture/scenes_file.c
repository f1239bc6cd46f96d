/* scenes_file.c - see torture.h: what a phone does to the files. The database, its second copy or a
 * picture is damaged, older or gone before the call; faults come on top. */
#include <string.h>

#include "fault/torture/torture.h"

enum { PAGE_BYTES = 4096, FILE_BYTES_MAX = 8 << 20 };
static const char DATABASE[] = "dev1/replica.db";
static const char SECOND[] = "dev1/replica.db-outbox";

/* --- files ---------------------------------------------------------------------------------- */

typedef struct finding {
    const char *name;
    char bytes[FILE_BYTES_MAX];
    size_t size;
} finding;

static void find(void *ctx, const char *name, const void *data, size_t size)
{
    finding *f = ctx;
    if (strcmp(name, f->name) == 0 && size <= sizeof f->bytes) {
        memcpy(f->bytes, data, size);
        f->size = size;
    }
}

/* A file's bytes, to be changed and put back; size 0: there is none. */
static finding *file_take(stage *s, const char *name)
{
    static finding f;
    f.name = name;
    f.size = 0;
    crash_vfs_each(s->f.vfs, find, &f);
    return &f;
}

static fb_code pages_spoil(stage *s, size_t every)
{
    finding *f = file_take(s, DATABASE);
    for (size_t at = every * PAGE_BYTES; at + PAGE_BYTES <= f->size; at += every * PAGE_BYTES) {
        memset(f->bytes + at, 0, PAGE_BYTES);
    }
    crash_vfs_put(s->f.vfs, DATABASE, f->bytes, f->size);
    return FB_OK;
}

/* Each segment of the second copy: with `keep` of 256 parts of its bytes, or not at all. */
static void second_cut(stage *s, size_t keep)
{
    static const char *const NAMES[] = {"dev1/replica.db-outbox0", "dev1/replica.db-outbox1",
                                        "dev1/replica.db-outbox2"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        finding *f = file_take(s, NAMES[i]);
        if (f->size > 0) {
            crash_vfs_remove_under(s->f.vfs, NAMES[i]);
        }
        if (f->size > 0 && keep > 0) {
            crash_vfs_put(s->f.vfs, NAMES[i], f->bytes, f->size * keep / 256);
        }
    }
}

/* The second copy as it was at an earlier moment. */
static void second_older(stage *s, moment_name at)
{
    const moment *m = &s->moments[at];
    second_cut(s, 0);
    for (int i = 0; i < m->files_count; i++) {
        const kept_file *f = &m->files[i];
        if (!f->beside && strncmp(f->name, SECOND, sizeof SECOND - 1) == 0) {
            crash_vfs_put(s->f.vfs, f->name, f->data, f->size);
        }
    }
}

static fb_code few_pages_bad(stage *s)
{
    return pages_spoil(s, 7);
}

static fb_code many_pages_bad(stage *s)
{
    return pages_spoil(s, 2);
}

static fb_code second_gone(stage *s)
{
    second_cut(s, 0);
    return FB_OK;
}

static fb_code second_torn(stage *s)
{
    second_cut(s, 150);
    return FB_OK;
}

static fb_code second_behind(stage *s)
{
    second_older(s, MOMENT_VERDICTS);
    return FB_OK;
}

static fb_code both_bad(stage *s)
{
    second_cut(s, 200);
    return pages_spoil(s, 5);
}

static fb_code only_bad_pages(stage *s)
{
    second_cut(s, 0);
    return pages_spoil(s, 5);
}

/* --- calls ---------------------------------------------------------------------------------- */

static fb_code open_and_save(stage *s, fb_error *err)
{
    fb_db_close(s->db);
    s->db = NULL;
    fb_code rc = stage_open(s, err);
    return rc == FB_OK ? fb_activity_log(s->db, &s->life.shop, "saved", NULL, NULL, err) : rc;
}

static fb_code open_only(stage *s, fb_error *err)
{
    fb_db_close(s->db);
    s->db = NULL;
    return stage_open(s, err);
}

/* Nothing is made of a database that has no second copy: the file is kept, and said so. */
static fb_code open_refused(stage *s, fb_error *err)
{
    fb_code rc = open_only(s, err);
    return rc == FB_E_CORRUPT ? FB_OK : rc == FB_OK ? FB_E_BUG : rc;
}

static fb_code line_look(void *ctx, const fb_outbox_group *g)
{
    (void)ctx;
    return g->line.size > 0 ? FB_OK : FB_E_BUG;
}

static fb_code outbox_each(stage *s, fb_error *err)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &s->port;
    o.vfs = STAGE_VFS;
    return fb_outbox_each(DATABASE, &o, line_look, NULL, err);
}

/* --- pictures ------------------------------------------------------------------------------- */

static fb_code photo_before(stage *s)
{
    mem_files_put(s->f.files, "camera/photo.jpg", "of the camera", 13);
    return FB_OK;
}

static fb_code attachment_add_file(stage *s, fb_error *err)
{
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    in.media_type = "image/jpeg";
    in.file = "camera/photo.jpg";
    in.customer = s->customer;
    return fb_attachment_add(s->db, &in, NULL, err);
}

/* The same bytes as a picture that is here already. */
static fb_code attachment_add_same(stage *s, fb_error *err)
{
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    in.media_type = "image/jpeg";
    in.data = text_of("a photo that waits");
    in.thumb = in.data;
    in.customer = s->customer;
    return fb_attachment_add(s->db, &in, NULL, err);
}

typedef struct flipping {
    stage *s;
    char names[8][160];
    int count;
} flipping;

static void flip_find(void *ctx, const char *path, const void *data, size_t size)
{
    flipping *f = ctx;
    (void)data;
    if (strncmp(path, "dev1/", 5) == 0 && size > 0 && f->count < 8) {
        size_t n = strlen(path);
        memcpy(f->names[f->count++], path, n < 159 ? n + 1 : 0);
    }
}

static fb_code photos_spoil(stage *s)
{
    flipping f = {.s = s};
    mem_files_each(s->f.files, flip_find, &f);
    for (int i = 0; i < f.count; i++) {
        (void)mem_files_flip(s->f.files, f.names[i], 3);
    }
    return f.count > 0 ? FB_OK : FB_E_BUG;
}

static fb_code piece_take(void *ctx, fb_text piece)
{
    (void)ctx;
    return piece.size > 0 ? FB_OK : FB_E_BUG;
}

/* Damaged bytes are never lent as good ones; the call says so, and a second one that they are not
 * here. */
static fb_code read_bad(stage *s, const fb_id *id, fb_error *err)
{
    fb_code rc = fb_attachment_read(s->db, id, FB_PART_ORIGINAL, piece_take, NULL, err);
    return rc == FB_E_CORRUPT || rc == FB_E_NOT_FOUND ? FB_OK : rc == FB_OK ? FB_E_BUG : rc;
}

static fb_code read_bad_unsent(stage *s, fb_error *err)
{
    return read_bad(s, &s->photo, err);
}

static fb_code read_bad_sent(stage *s, fb_error *err)
{
    return read_bad(s, &s->photo_sent, err);
}

static fb_code want_before(stage *s)
{
    return fb_attachment_want(s->db, &s->photo_sent, FB_PART_ORIGINAL, true, NULL);
}

static fb_code want_more(stage *s, fb_error *err)
{
    fb_code rc = fb_attachment_want(s->db, &s->photo_sent, FB_PART_THUMB, true, err);
    return rc == FB_OK ? fb_attachment_want(s->db, &s->photo_sent, FB_PART_ORIGINAL, false, err)
                       : rc;
}

static fb_code lane_before(stage *s)
{
    return fb_lane_open(s->db, NULL, &s->lane, NULL);
}

/* Damaged ones are found by the lane and do not go up as good ones. */
static fb_code lane_spoiled_before(stage *s)
{
    fb_code rc = photos_spoil(s);
    return rc == FB_OK ? lane_before(s) : rc;
}

/* Another phone took them: small pictures come down by themselves, whole ones when asked for. */
static fb_code fetch_before(stage *s)
{
    fb_code rc = fb_attachment_want(s->db, &s->life.picture, FB_PART_ORIGINAL, true, NULL);
    return rc == FB_OK ? lane_before(s) : rc;
}

/* clang-format off */
const scene FILE_SCENES[] = {
    {"fb_db_open: bad pages", few_pages_bad, open_only, BARE | STEPS | SEEN | AT(MOMENT_AGAIN)},
    {"fb_db_open: many bad pages", many_pages_bad, open_only, BARE | STEPS | SEEN | AT(MOMENT_AGAIN)},
    {"fb_db_open: bad pages of the tray", few_pages_bad, open_only,
     BARE | STEPS | SEEN | AT(MOMENT_TRAY)},
    {"fb_db_open: no second copy", second_gone, open_and_save, BARE | STEPS | AT(MOMENT_TRAY)},
    {"fb_db_open: a torn second copy", second_torn, open_and_save, BARE | STEPS | AT(MOMENT_TRAY)},
    {"fb_db_open: an older second copy", second_behind, open_and_save,
     BARE | STEPS | AT(MOMENT_TRAY)},
    {"fb_db_open: both copies bad", both_bad, open_only, BARE | STEPS | SEEN | AT(MOMENT_AGAIN)},
    {"fb_db_open: bad pages alone", only_bad_pages, open_refused, BARE | STEPS | AT(MOMENT_AGAIN)},
    {"fb_outbox_each: the second copy alone", NULL, outbox_each, BARE | AT(MOMENT_LOST)},
    {"fb_outbox_each: bad pages", both_bad, outbox_each, BARE | AT(MOMENT_AGAIN)},
    {"fb_attachment_add: a file", photo_before, attachment_add_file, 0},
    {"fb_attachment_add: again", NULL, attachment_add_same, 0},
    {"fb_attachment_read: damaged, unsent", photos_spoil, read_bad_unsent, 0},
    {"fb_attachment_read: damaged, sent", photos_spoil, read_bad_sent, 0},
    {"fb_attachment_want: more and less", want_before, want_more, STEPS},
    {"fb_lane_step: damaged pictures", lane_spoiled_before, stage_lane, STEPS},
    {"fb_lane_step: another's pictures", fetch_before, stage_lane, STEPS | AT(MOMENT_PICTURES)},
};
/* clang-format on */
const int FILE_SCENES_COUNT = sizeof FILE_SCENES / sizeof *FILE_SCENES;
