/* command_attachment.c - photos, signatures and documents by name. See command_inside.h. */
#include <string.h>

#include "api/command_inside.h"

enum { THUMB_BYTES_READ = 256 << 10 };

/* A small picture from a file, as fb_attachment_add wants it: in memory. */
static fb_code read_thumb(command_call *c, const char *path, fb_text *out)
{
    const fb_files *f = replica_files(c->db->r);
    size_t got = 0;
    int64_t size = 0;

    if (f == NULL) {
        return FB_OK; /* fb_attachment_add says what is missing */
    }
    fb_code rc = f->size(f->ctx, path, &size);
    if (rc == FB_OK && size > THUMB_BYTES_READ) {
        return arg_wrong(c, "thumb", FB_E_LENGTH, "at most 256 KiB: make the picture smaller");
    }
    char *room = rc == FB_OK ? arena_take(c->memory, (size_t)size + 1) : NULL;
    if (rc == FB_OK) {
        rc = room == NULL ? FB_E_NO_MEMORY : f->read(f->ctx, path, 0, room, (size_t)size, &got);
    }
    if (rc == FB_E_NOT_FOUND) {
        return arg_wrong(c, "thumb", rc, "the file cannot be found: check its name");
    }
    *out = (fb_text){room, got};
    return rc;
}

static const char *media_type_of(const char *path)
{
    static const char *const TYPES[][2] = {{".jpg", "image/jpeg"},     {".jpeg", "image/jpeg"},
                                           {".png", "image/png"},      {".webp", "image/webp"},
                                           {".heic", "image/heic"},    {".svg", "image/svg+xml"},
                                           {".pdf", "application/pdf"}};
    const char *ending = strrchr(path, '.');

    for (size_t i = 0; ending != NULL && i < sizeof TYPES / sizeof TYPES[0]; i++) {
        if (strcmp(ending, TYPES[i][0]) == 0) {
            return TYPES[i][1];
        }
    }
    return NULL;
}

static fb_code read_owners(command_call *c, fb_attachment_in *in)
{
    FB_TRY(arg_ref(c, "visit", "visit", &in->visit));
    FB_TRY(arg_ref(c, "order", "sales_order", &in->order));
    FB_TRY(arg_ref(c, "payment", "payment", &in->payment));
    FB_TRY(arg_ref(c, "customer", "customer", &in->customer));
    bool given = !id_is_none(&in->visit) || !id_is_none(&in->order) || !id_is_none(&in->payment) ||
                 !id_is_none(&in->customer);
    if (!given && c->db->group_open) {
        in->visit = c->db->group_visit; /* the one checked in within this group */
    }
    if (!given && id_is_none(&in->visit)) {
        fb_error ignored;
        fb_code rc = fb_visit_get_open(c->db, &in->visit, &ignored);
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    return FB_OK;
}

fb_code cmd_attachment_add(command_call *c)
{
    fb_attachment_in in = FB_ATTACHMENT_IN_INIT;
    fb_id id;
    bool lat = false;
    bool lon = false;
    const char *thumb = arg_text(c, "thumb");

    in.file = arg_text(c, "file");
    in.media_type = arg_text(c, "media_type");
    if (in.media_type == NULL) {
        in.media_type = media_type_of(in.file);
    }
    in.kind = arg_text(c, "kind");
    in.signer_name = arg_text(c, "signer");
    in.note = arg_text(c, "note");
    FB_TRY(arg_e7(c, "lat", &lat, &in.lat_e7));
    FB_TRY(arg_e7(c, "lon", &lon, &in.lon_e7));
    in.fix = lat && lon;
    FB_TRY(arg_instant(c, "at", &in.taken_at_ms));
    FB_TRY(read_owners(c, &in));
    if (thumb != NULL) {
        FB_TRY(read_thumb(c, thumb, &in.thumb));
    }
    FB_TRY(fb_attachment_add(c->db, &in, &id, c->err));
    out_id_object(c, &id);
    return FB_OK;
}

/* --- looking --------------------------------------------------------------------------------- */

static const char *state_name(fb_bytes b)
{
    static const char *const NAMES[] = {
        [FB_BYTES_NONE] = "none",     [FB_BYTES_AWAY] = "away",     [FB_BYTES_WANTED] = "wanted",
        [FB_BYTES_ABSENT] = "absent", [FB_BYTES_UNSENT] = "unsent", [FB_BYTES_SENT] = "sent",
        [FB_BYTES_HERE] = "here"};
    return NAMES[b];
}

static void put_part(command_call *c, const char *key, const fb_part_status *p)
{
    json_put_key(c->w, key);
    json_put_object(c->w);
    out_text(c, "state", state_name(p->state));
    out_int(c, "size", p->size);
    out_int(c, "moved", p->moved);
    out_int(c, "tries", (int64_t)p->tries);
    out_text(c, "error", p->error == FB_OK ? NULL : fb_code_name(p->error));
    json_put_end(c->w);
}

static fb_code arg_attachment(command_call *c, fb_id *out)
{
    return fb_id_get(arg_text(c, "attachment"), out)
               ? FB_OK
               : arg_wrong(c, "attachment", FB_E_FORMAT, "the id of an attachment is expected");
}

static fb_code put_status(command_call *c, const fb_id *id)
{
    fb_attachment_state s = {.size_bytes = sizeof s};

    FB_TRY(fb_attachment_status(c->db, id, &s, c->err));
    json_put_object(c->w);
    out_id(c, "id", id);
    put_part(c, "original", &s.original);
    put_part(c, "thumb", &s.thumb);
    json_put_end(c->w);
    return FB_OK;
}

fb_code cmd_attachment_show(command_call *c)
{
    fb_id id;

    FB_TRY(arg_attachment(c, &id));
    return put_status(c, &id);
}

fb_code cmd_attachment_want(command_call *c)
{
    fb_id id;
    bool thumb = false;
    bool metered = false;

    FB_TRY(arg_attachment(c, &id));
    FB_TRY(arg_bool(c, "thumbnail", &thumb));
    FB_TRY(arg_bool(c, "metered", &metered));
    FB_TRY(
        fb_attachment_want(c->db, &id, thumb ? FB_PART_THUMB : FB_PART_ORIGINAL, metered, c->err));
    return put_status(c, &id);
}

fb_code cmd_attachment_free(command_call *c)
{
    int64_t keep_mib = 0;
    int64_t freed = 0;

    FB_TRY(arg_int(c, "keep_mib", 0, 1 << 20, &keep_mib));
    FB_TRY(fb_attachment_free(c->db, keep_mib << 20, &freed, c->err));
    json_put_object(c->w);
    out_int(c, "freed_bytes", freed);
    json_put_end(c->w);
    return FB_OK;
}

fb_code cmd_attachment_count(command_call *c)
{
    fb_attachment_totals t = {.size_bytes = sizeof t};

    FB_TRY(fb_attachment_count(c->db, &t, c->err));
    json_put_object(c->w);
    out_int(c, "here", t.here_count);
    out_int(c, "here_bytes", t.here_bytes);
    out_int(c, "unsent", t.unsent_count);
    out_int(c, "unsent_bytes", t.unsent_bytes);
    out_int(c, "wanted", t.wanted_count);
    out_int(c, "wanted_bytes", t.wanted_bytes);
    out_int(c, "failed", t.failed_count);
    json_put_end(c->w);
    return FB_OK;
}
