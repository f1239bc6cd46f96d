/* attachment.c - photos, signatures and documents. See fieldbook/attachment.h. */
#include "fieldbook/attachment.h"

#include <string.h>

#include "api/handle.h"
#include "replica/blob.h"

/* --- adding ---------------------------------------------------------------------------------- */

typedef struct owner {
    const char *entity, *column, *field;
    const fb_id *id;
} owner;

enum { OWNERS = 4 };

static void owners_of(const fb_attachment_in *in, owner out[OWNERS])
{
    out[0] = (owner){"visit", "visit_id", "attachment.visit_id", &in->visit};
    out[1] = (owner){"sales_order", "order_id", "attachment.order_id", &in->order};
    out[2] = (owner){"payment", "payment_id", "attachment.payment_id", &in->payment};
    out[3] = (owner){"customer", "customer_id", "attachment.customer_id", &in->customer};
}

static fb_code check_in(const fb_attachment_in *in, fb_error *err)
{
    owner owners[OWNERS];
    bool owned = false;

    owners_of(in, owners);
    for (int i = 0; i < OWNERS; i++) {
        owned = owned || !id_is_none(owners[i].id);
    }
    if (in->media_type == NULL || in->media_type[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "attachment.media_type",
                    "the media type is missing: give it, e.g. image/jpeg");
    }
    if (in->file == NULL && in->data.size == 0) {
        return fail(err, FB_E_REQUIRED, "attachment.data",
                    "there are no bytes: give a file or data");
    }
    if (!owned) {
        return fail(err, FB_E_REQUIRED, "attachment.visit_id",
                    "it belongs to nothing: give a visit, an order, a payment or a customer");
    }
    return FB_OK;
}

static fb_code put_owners(rec *r, const fb_attachment_in *in, fb_error *err)
{
    owner owners[OWNERS];
    rec seen;

    owners_of(in, owners);
    for (int i = 0; i < OWNERS; i++) {
        if (id_is_none(owners[i].id)) {
            continue;
        }
        arena *memory = arena_new(CALL_BYTES_MAX);
        fb_code rc = memory == NULL
                         ? FB_E_NO_MEMORY
                         : rec_read(&seen, r->db, owners[i].entity, owners[i].id, memory, err);
        arena_free(memory);
        FB_TRY(rc);
        rec_id(r, owners[i].column, owners[i].id);
    }
    return FB_OK;
}

static fb_code put_bytes(rec *r, const fb_attachment_in *in, char names[2][BLOB_NAME_BYTES + 1],
                         fb_error *err)
{
    digest hash;
    int64_t size = (int64_t)in->data.size;

    FB_TRY(in->file != NULL ? blob_add_file(r->db->r, in->file, &hash, &size, err)
                            : blob_add_bytes(r->db->r, in->data, false, &hash, err));
    blob_name_put(&hash, names[0]);
    rec_str(r, "sha256", names[0]);
    rec_int(r, "size_bytes", size);
    if (in->thumb.size > 0) {
        FB_TRY(blob_add_bytes(r->db->r, in->thumb, true, &hash, err));
        blob_name_put(&hash, names[1]);
        rec_str(r, "thumb_sha256", names[1]);
        rec_int(r, "thumb_size_bytes", (int64_t)in->thumb.size);
    }
    return FB_OK;
}

static fb_code add(fb_db *db, const fb_attachment_in *in, int64_t at_ms, fb_id *id_out,
                   fb_error *err)
{
    rec r;
    char names[2][BLOB_NAME_BYTES + 1];

    FB_TRY(not_in_future(db, at_ms, "attachment.taken_at", err));
    rec_new(&r, db, "attachment");
    FB_TRY(put_owners(&r, in, err));
    rec_str(&r, "kind", in->kind == NULL ? "photo" : in->kind);
    rec_str(&r, "media_type", in->media_type);
    rec_int(&r, "taken_at", at_ms);
    if (in->fix) {
        rec_int(&r, "lat_e7", in->lat_e7);
        rec_int(&r, "lon_e7", in->lon_e7);
    }
    rec_str(&r, "signer_name", in->signer_name);
    rec_str(&r, "note", in->note);
    FB_TRY(put_bytes(&r, in, names, err));
    *id_out = r.values[0].u.id;
    return rec_insert(&r, err);
}

fb_code fb_attachment_add(fb_db *db, const fb_attachment_in *in, fb_id *id_out, fb_error *err)
{
    fb_attachment_in o = FB_ATTACHMENT_IN_INIT;
    fb_id id = {{0}};
    api_write w;

    FB_REQUIRE(db != NULL && in != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, in));
    FB_TRY(check_in(&o, err));
    FB_TRY(write_begin(db, "attachment.add", o.taken_at_ms, &w, err));
    fb_code rc = write_end(&w, add(db, &o, w.at_ms, &id, err), NULL, err);
    if (rc == FB_OK && id_out != NULL) {
        *id_out = id;
    }
    return rc;
}

/* --- looking --------------------------------------------------------------------------------- */

/* What the row says of one part; size 0: it has none. */
typedef struct part_row {
    digest hash;
    int64_t size;
} part_row;

static fb_code part_of(fb_db *db, const fb_id *id, fb_part part, part_row *out, fb_error *err)
{
    rec r;
    arena *memory = arena_new(CALL_BYTES_MAX);

    if (memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    *out = (part_row){.size = 0};
    fb_code rc = rec_read(&r, db, "attachment", id, memory, err);
    if (rc == FB_OK) {
        bool thumb = part == FB_PART_THUMB;
        fb_text name = rec_get_text(&r, thumb ? "thumb_sha256" : "sha256");
        /* A name that is no hash came from somebody who means harm: there is no such part. */
        if (blob_name_get(name, &out->hash)) {
            out->size = rec_get_int(&r, thumb ? "thumb_size_bytes" : "size_bytes", 0);
        }
    }
    arena_free(memory);
    return rc;
}

static fb_bytes bytes_of(const blob_info *b)
{
    switch (b->stage) {
    case BLOB_ASK:
    case BLOB_SEND:
        return FB_BYTES_UNSENT;
    case BLOB_SENT:
        return FB_BYTES_SENT;
    case BLOB_SAFE:
    case BLOB_HERE:
        return FB_BYTES_HERE;
    case BLOB_WANTED:
        return b->absent ? FB_BYTES_ABSENT : FB_BYTES_WANTED;
    case BLOB_NONE:
    case BLOB_GONE:
        break;
    }
    return FB_BYTES_AWAY;
}

static fb_code part_status(fb_db *db, const fb_id *id, fb_part part, fb_part_status *out,
                           fb_error *err)
{
    part_row p;
    blob_info b;

    FB_TRY(part_of(db, id, part, &p, err));
    *out = (fb_part_status){.state = FB_BYTES_NONE};
    if (p.size == 0) {
        return FB_OK;
    }
    FB_TRY(blob_find(db->r, &p.hash, &b));
    *out = (fb_part_status){.state = bytes_of(&b),
                            .size = p.size,
                            .moved = b.offset,
                            .tries = b.tries,
                            .error = b.error};
    return FB_OK;
}

fb_code fb_attachment_status(fb_db *db, const fb_id *id, fb_attachment_state *out, fb_error *err)
{
    fb_attachment_state s = {.size_bytes = sizeof s};

    FB_REQUIRE(db != NULL && id != NULL && out != NULL &&
               out->size_bytes >= sizeof out->size_bytes);
    api_clear(err);
    bool own = false;
    fb_code rc = replica_view_begin(db->r, &own);
    if (rc == FB_OK && (rc = part_status(db, id, FB_PART_ORIGINAL, &s.original, err)) == FB_OK) {
        rc = part_status(db, id, FB_PART_THUMB, &s.thumb, err);
    }
    replica_view_end(db->r, own);
    if (rc == FB_OK) {
        s.size_bytes = out->size_bytes;
        memcpy(out, &s, out->size_bytes < sizeof s ? out->size_bytes : sizeof s);
    }
    return api_said(db, rc, err);
}

/* The part exists; else E_NOT_FOUND. */
static fb_code part_needed(fb_db *db, const fb_id *id, fb_part part, part_row *out, fb_error *err)
{
    FB_TRY(part_of(db, id, part, out, err));
    return out->size > 0 ? FB_OK
                         : fail(err, FB_E_NOT_FOUND, "attachment.thumb_sha256",
                                "the attachment has no such part: ask for the other one");
}

static fb_code read_part(fb_db *db, const part_row *p, fb_bytes_fn fn, void *ctx, fb_error *err)
{
    fb_code rc = blob_lend(db->r, &p->hash, fn, ctx);
    if (rc == FB_E_CONFIG) {
        return fail(err, rc, "files", "no files port was given: set fb_db_options.files");
    }
    if (rc == FB_E_NOT_FOUND) {
        return fail(err, rc, "attachment.sha256",
                    "the bytes are not on this device: ask for them and run the lane");
    }
    if (rc == FB_E_CORRUPT) {
        return fail(err, rc, "attachment.sha256",
                    "the copy on this device is damaged: run the lane to fetch it again");
    }
    return rc;
}

fb_code fb_attachment_read(fb_db *db, const fb_id *id, fb_part part, fb_bytes_fn fn, void *ctx,
                           fb_error *err)
{
    part_row p;

    FB_REQUIRE(db != NULL && id != NULL && fn != NULL);
    FB_REQUIRE(part == FB_PART_ORIGINAL || part == FB_PART_THUMB);
    api_clear(err);
    fb_code rc = part_needed(db, id, part, &p, err);
    return api_said(db, rc == FB_OK ? read_part(db, &p, fn, ctx, err) : rc, err);
}

fb_code fb_attachment_want(fb_db *db, const fb_id *id, fb_part part, bool metered, fb_error *err)
{
    part_row p;

    FB_REQUIRE(db != NULL && id != NULL);
    FB_REQUIRE(part == FB_PART_ORIGINAL || part == FB_PART_THUMB);
    api_clear(err);
    if (capture_is_open(db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    fb_code rc = part_needed(db, id, part, &p, err);
    if (rc == FB_OK) {
        rc = blob_want(db->r, &p.hash, p.size, part == FB_PART_THUMB, metered);
    }
    return api_said(db, rc, err);
}

fb_code fb_attachment_free(fb_db *db, int64_t keep_bytes, int64_t *freed_out, fb_error *err)
{
    int64_t freed = 0;

    FB_REQUIRE(db != NULL && keep_bytes >= 0);
    api_clear(err);
    if (capture_is_open(db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    fb_code rc = blob_evict(db->r, keep_bytes, &freed);
    if (rc == FB_OK && freed_out != NULL) {
        *freed_out = freed;
    }
    return api_said(db, rc, err);
}

fb_code fb_attachment_count(fb_db *db, fb_attachment_totals *out, fb_error *err)
{
    blob_totals t;

    FB_REQUIRE(db != NULL && out != NULL && out->size_bytes >= sizeof out->size_bytes);
    api_clear(err);
    fb_code rc = blob_totals_get(db->r, &t);
    if (rc == FB_OK) {
        fb_attachment_totals made = {.size_bytes = out->size_bytes,
                                     .here_count = t.here_count,
                                     .here_bytes = t.here_bytes,
                                     .unsent_count = t.unsent_count,
                                     .unsent_bytes = t.unsent_bytes,
                                     .wanted_count = t.wanted_count,
                                     .wanted_bytes = t.wanted_bytes,
                                     .failed_count = t.failed_count};
        memcpy(out, &made, out->size_bytes < sizeof made ? out->size_bytes : sizeof made);
    }
    return api_said(db, rc, err);
}
