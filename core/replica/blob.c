/* blob.c - bytes of attachments at rest. See blob.h. */
#include "replica/blob.h"

#include <string.h>

#include "replica/blob_inside.h"
#include "replica/room.h"

enum { PIECE_BYTES = 256 << 10, PATH_BYTES_LIMIT = 8192 };

static const char columns_text[] =
    "SELECT size, state, thumb, direction, metered, offset, next_ms, tries, error FROM fb_blob ";

bool blob_is_here(const blob_info *b)
{
    return (b->stage >= BLOB_ASK && b->stage <= BLOB_SAFE) || b->stage == BLOB_HERE;
}

fb_code blobs_need_files(const replica *r, fb_error *err)
{
    return r->files != NULL ? FB_OK
                            : fail(err, FB_E_CONFIG, "files",
                                   "no files port was given: set fb_db_options.files, e.g. "
                                   "fb_files_posix()");
}

/* --- names ----------------------------------------------------------------------------------- */

const char *blob_path(replica *r, buf *path, const digest *hash, const char *ending)
{
    char name[BLOB_NAME_BYTES + 1];
    blob_name_put(hash, name);
    buf_init(path, PATH_BYTES_LIMIT);
    buf_printf(path, "%s/%s%s", r->blob_folder, name, ending);
    return buf_cstr(path);
}

static const char *fresh_path(replica *r, buf *path)
{
    uint8_t bits[8];
    buf_init(path, PATH_BYTES_LIMIT);
    if (r->port->random(r->port->ctx, bits, sizeof bits) != FB_OK) {
        path->code = FB_E_IO;
        return "";
    }
    buf_printf(path, "%s/new-", r->blob_folder);
    hex_put(path, bits, sizeof bits);
    return buf_cstr(path);
}

fb_code blob_file_drop(replica *r, const digest *hash, const char *ending)
{
    buf path;
    const char *name = blob_path(r, &path, hash, ending);
    fb_code rc = path.code == FB_OK ? r->files->remove(r->files->ctx, name) : path.code;
    buf_clear(&path);
    return rc;
}

/* --- rows ------------------------------------------------------------------------------------ */

void blob_info_read(sql_stmt *s, int at, blob_info *out)
{
    fb_text error = sql_text(s, at + 8);
    out->size = sql_int(s, at);
    out->stage = (blob_stage)sql_int(s, at + 1);
    out->thumb = sql_int(s, at + 2) != 0;
    out->made_here = sql_int(s, at + 3) == BLOB_UP;
    out->metered = sql_int(s, at + 4) != 0;
    out->offset = sql_int(s, at + 5);
    out->next_ms = sql_int(s, at + 6);
    out->tries = (uint32_t)sql_int(s, at + 7);
    out->absent = text_is(error, BLOB_ABSENT);
    out->error = error.size == 0 || out->absent ? FB_OK : fb_code_from_name(error.data, error.size);
}

fb_code blob_find(replica *r, const digest *hash, blob_info *out)
{
    bool row = false;
    char name[BLOB_NAME_BYTES + 1];
    buf text;

    blob_name_put(hash, name);
    buf_init(&text, 1024);
    buf_printf(&text, "%sWHERE hash=?1", columns_text);
    sql_stmt *s = sql_prepare(r->db, buf_cstr(&text));
    buf_clear(&text);
    sql_bind_text(s, 1, text_of(name));
    FB_TRY(sql_step(s, &row));
    *out = (blob_info){.hash = *hash};
    if (row) {
        blob_info_read(s, 0, out);
        sql_reset(s);
    }
    return FB_OK;
}

fb_code blob_row_put(replica *r, const blob_info *b, int64_t at_ms)
{
    char name[BLOB_NAME_BYTES + 1];
    sql_stmt *s = sql_prepare(
        r->db, "INSERT OR REPLACE INTO fb_blob (hash, size, thumb, direction, state, offset, "
               "metered, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    blob_name_put(&b->hash, name);
    sql_bind_text(s, 1, text_of(name));
    sql_bind_int(s, 2, b->size);
    sql_bind_int(s, 3, b->thumb);
    sql_bind_int(s, 4, b->made_here ? BLOB_UP : BLOB_DOWN);
    sql_bind_int(s, 5, b->stage);
    sql_bind_int(s, 6, b->offset);
    sql_bind_int(s, 7, b->metered);
    sql_bind_int(s, 8, at_ms);
    return sql_run(s);
}

fb_code blob_stage_put(replica *r, const digest *hash, blob_stage stage, fb_code error)
{
    char name[BLOB_NAME_BYTES + 1];
    sql_stmt *s = sql_prepare(
        r->db, "UPDATE fb_blob SET state=?2, error=?3, offset=0, tries=0, next_ms=0 WHERE hash=?1");
    blob_name_put(hash, name);
    sql_bind_text(s, 1, text_of(name));
    sql_bind_int(s, 2, stage);
    sql_bind_text(s, 3, text_of(error == FB_OK ? "" : fb_code_name(error)));
    return sql_run(s);
}

/* --- adding ---------------------------------------------------------------------------------- */

/* The file stands under a name of its own; now its hash is known. */
static fb_code file_name(replica *r, const char *fresh, const digest *hash)
{
    buf path;
    const char *name = blob_path(r, &path, hash, "");
    fb_code rc = path.code == FB_OK ? r->files->rename(r->files->ctx, fresh, name) : path.code;
    buf_clear(&path);
    return rc;
}

/* The same bytes again cost nothing, unless they are only here because the server sent them: then
 * this person has to show the server that they have them. */
static fb_code row_added(replica *r, const digest *hash, int64_t size, bool thumb)
{
    blob_info b;
    FB_TRY(blob_find(r, hash, &b));
    if (b.made_here && blob_is_here(&b)) {
        return FB_OK;
    }
    bool metered = b.metered;
    b = (blob_info){.hash = *hash,
                    .size = size,
                    .stage = BLOB_ASK,
                    .thumb = thumb,
                    .made_here = true,
                    .metered = metered};
    return blob_row_put(r, &b, replica_now_ms(r, NULL, NULL));
}

static fb_code add_ready(replica *r, fb_error *err)
{
    FB_REQUIRE(r->capture.open);
    FB_TRY(blobs_need_files(r, err));
    fb_code rc = r->files->folder(r->files->ctx, r->blob_folder);
    return rc == FB_OK ? FB_OK
                       : fail(err, rc, "files", "the folder for attachments cannot be made: %s",
                              fb_code_text(rc, "en"));
}

static fb_code wrong_size(fb_error *err, int64_t max)
{
    return fail(err, FB_E_LENGTH, "attachment", "a file must have 1 to %lld bytes: make it smaller",
                (long long)max);
}

fb_code blob_add_bytes(replica *r, fb_text bytes, bool thumb, digest *hash_out, fb_error *err)
{
    buf path;
    digest hash;
    int64_t max = thumb ? BLOB_THUMB_BYTES_MAX : BLOB_BYTES_MAX;

    FB_TRY(add_ready(r, err));
    if (bytes.size == 0 || bytes.size > (size_t)max) {
        return wrong_size(err, max);
    }
    digest_of(bytes.data, bytes.size, &hash);
    const char *fresh = fresh_path(r, &path);
    fb_code rc = path.code;
    if (rc == FB_OK && (rc = r->files->write(r->files->ctx, fresh, 0, bytes, true)) == FB_OK) {
        rc = file_name(r, fresh, &hash);
    }
    if (rc == FB_OK) {
        rc = row_added(r, &hash, (int64_t)bytes.size, thumb);
    }
    buf_clear(&path);
    if (rc == FB_OK) {
        *hash_out = hash;
    }
    return rc;
}

/* Copy block by block, hashing on the way; the last write syncs. */
static fb_code copy_file(replica *r, const char *from, const char *to, char *block, digest *hash,
                         int64_t *size_out)
{
    const fb_files *f = r->files;
    digest_run run;
    int64_t at = 0;
    size_t got = PIECE_BYTES;
    fb_code rc = FB_OK;

    digest_begin(&run);
    while (rc == FB_OK && got == PIECE_BYTES && at <= BLOB_BYTES_MAX) {
        rc = f->read(f->ctx, from, at, block, PIECE_BYTES, &got);
        if (rc == FB_OK) {
            digest_add(&run, block, got);
            rc = f->write(f->ctx, to, at, (fb_text){block, got}, got < PIECE_BYTES);
            at += (int64_t)got;
        }
    }
    digest_end(&run, hash);
    *size_out = at;
    return rc;
}

static fb_code add_copied(replica *r, const char *path, const char *fresh, digest *hash,
                          int64_t *size_out, fb_error *err)
{
    char *block = arena_take(r->capture.memory, PIECE_BYTES);
    if (block == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = copy_file(r, path, fresh, block, hash, size_out);
    if (rc == FB_E_NOT_FOUND) {
        return fail(err, rc, "file", "the file cannot be found: check its name");
    }
    FB_TRY(rc);
    if (*size_out == 0 || *size_out > BLOB_BYTES_MAX) {
        return wrong_size(err, BLOB_BYTES_MAX);
    }
    FB_TRY(file_name(r, fresh, hash));
    return row_added(r, hash, *size_out, false);
}

fb_code blob_add_file(replica *r, const char *path, digest *hash_out, int64_t *size_out,
                      fb_error *err)
{
    buf fresh;
    digest hash;
    int64_t size = 0;

    FB_TRY(add_ready(r, err));
    const char *name = fresh_path(r, &fresh);
    fb_code rc = fresh.code == FB_OK ? add_copied(r, path, name, &hash, &size, err) : fresh.code;
    if (rc == FB_OK) {
        *hash_out = hash;
        *size_out = size;
    } else if (fresh.code == FB_OK) {
        /* What is left of it is an orphan: the next round removes what this cannot. */
        fb_code ignored = r->files->remove(r->files->ctx, name);
        (void)ignored;
    }
    buf_clear(&fresh);
    return rc;
}

/* --- lending --------------------------------------------------------------------------------- */

static fb_code lend_pieces(replica *r, const char *path, int64_t size,
                           fb_code (*fn)(void *ctx, fb_text piece), void *ctx)
{
    buf block;
    fb_code rc = FB_OK;

    buf_init(&block, PIECE_BYTES);
    char *room = buf_reserve(&block, PIECE_BYTES);
    if (room == NULL) {
        rc = block.code;
    }
    for (int64_t at = 0; rc == FB_OK && at < size;) {
        size_t got = 0;
        rc = r->files->read(r->files->ctx, path, at, room, PIECE_BYTES, &got);
        if (rc == FB_OK && got == 0) {
            rc = FB_E_CORRUPT;
        }
        if (rc == FB_OK) {
            rc = fn(ctx, (fb_text){room, got});
            at += (int64_t)got;
        }
    }
    buf_clear(&block);
    return rc;
}

fb_code blob_damaged(replica *r, const blob_info *b)
{
    /* What the server has, or may have, can be fetched again; what it lacks is lost, and said so.
     */
    bool again = !b->made_here || b->stage != BLOB_SEND;
    FB_TRY(blob_stage_put(r, &b->hash, again ? BLOB_WANTED : BLOB_GONE, FB_E_CORRUPT));
    return blob_file_drop(r, &b->hash, "");
}

static fb_code note_damage(replica *r, const blob_info *b)
{
    if (r->read_only) {
        return FB_OK;
    }
    if (r->capture.open) {
        return blob_damaged(r, b);
    }
    FB_TRY(sql_begin(r->db));
    fb_code rc = blob_damaged(r, b);
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    return sql_commit(r->db);
}

fb_code blob_lend(replica *r, const digest *hash, fb_code (*fn)(void *ctx, fb_text piece),
                  void *ctx)
{
    blob_info b;
    buf path;

    FB_TRY(blobs_need_files(r, NULL));
    FB_TRY(blob_find(r, hash, &b));
    if (!blob_is_here(&b)) {
        return FB_E_NOT_FOUND;
    }
    const char *name = blob_path(r, &path, hash, "");
    fb_code rc = path.code == FB_OK ? blob_file_check(r->files, name, hash, b.size) : path.code;
    if (rc == FB_E_CORRUPT || rc == FB_E_NOT_FOUND) {
        rc = note_damage(r, &b);
        rc = rc == FB_OK ? FB_E_CORRUPT : rc;
    } else if (rc == FB_OK) {
        rc = lend_pieces(r, name, b.size, fn, ctx);
    }
    buf_clear(&path);
    return rc;
}

/* --- wanting and letting go ------------------------------------------------------------------ */

static fb_code want_inside(replica *r, blob_info *b, int64_t size, bool thumb, bool metered)
{
    bool again = b->stage == BLOB_NONE || b->stage == BLOB_GONE;
    if (!again && b->metered == metered && b->next_ms == 0) {
        return FB_OK;
    }
    if (again) {
        bool made_here = b->made_here;
        *b = (blob_info){.hash = b->hash,
                         .size = size,
                         .stage = BLOB_WANTED,
                         .thumb = thumb,
                         .made_here = made_here};
    }
    b->metered = metered;
    if (b->stage != BLOB_WANTED) {
        return FB_OK; /* here, or on its way up */
    }
    return blob_row_put(r, b, replica_now_ms(r, NULL, NULL)); /* a person asks: no waiting */
}

fb_code blob_want(replica *r, const digest *hash, int64_t size, bool thumb, bool metered)
{
    blob_info b;

    FB_TRY(blobs_need_files(r, NULL));
    FB_TRY(sql_begin(r->db));
    fb_code rc = blob_find(r, hash, &b);
    if (rc == FB_OK) {
        rc = want_inside(r, &b, size, thumb, metered);
    }
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    return sql_commit(r->db);
}

fb_code blob_totals_get(replica *r, blob_totals *out)
{
    bool row = false;
    sql_stmt *s =
        sql_prepare(r->db, "SELECT count(*) FILTER (WHERE state IN (1,2,3,4,6)),"
                           " coalesce(sum(size) FILTER (WHERE state IN (1,2,3,4,6)), 0),"
                           " count(*) FILTER (WHERE state IN (1,2)),"
                           " coalesce(sum(size - offset) FILTER (WHERE state IN (1,2)), 0),"
                           " count(*) FILTER (WHERE state = 5),"
                           " coalesce(sum(size - offset) FILTER (WHERE state = 5), 0),"
                           " count(*) FILTER (WHERE tries > 0 AND state IN (1,2,5)) FROM fb_blob");
    FB_TRY(sql_step(s, &row));
    FB_ASSERT(row); /* a count always has one */
    *out = (blob_totals){sql_int(s, 0), sql_int(s, 1), sql_int(s, 2), sql_int(s, 3),
                         sql_int(s, 4), sql_int(s, 5), sql_int(s, 6)};
    sql_reset(s);
    return FB_OK;
}

/* BLO-2 in SQL; ?2: no group is open here. */
#define EVICTABLE                                                    \
    "SELECT hash, size FROM fb_blob b WHERE thumb=0 AND (state=6 OR" \
    " (state=4 AND epoch=?1 AND (?2"
static const char evictable_text[] =
    EVICTABLE " OR EXISTS (SELECT 1 FROM attachment a WHERE a.sha256=b.hash AND a.ver>0))))"
              " ORDER BY at_ms, hash LIMIT 1";
static const char evictable_unnamed_text[] = EVICTABLE "))) ORDER BY at_ms, hash LIMIT 1";

static fb_code evict_one(replica *r, int64_t *size_out, digest *hash_out)
{
    bool row = false;
    bool settled = false;
    bool known = catalog_entity_str(r->edition->catalog, "attachment") != NULL;
    FB_TRY(blob_all_is_settled(r, &settled));
    sql_stmt *s = sql_prepare(r->db, known ? evictable_text : evictable_unnamed_text);
    sql_bind_id(s, 1, &r->me.epoch);
    sql_bind_int(s, 2, settled);
    FB_TRY(sql_step(s, &row));
    *size_out = 0;
    if (!row) {
        return FB_OK;
    }
    bool good = blob_name_get(sql_text(s, 0), hash_out);
    *size_out = sql_int(s, 1);
    sql_reset(s);
    return good ? blob_stage_put(r, hash_out, BLOB_GONE, FB_OK) : FB_E_CORRUPT;
}

static fb_code evict_inside(replica *r, int64_t *size_out, digest *hash_out)
{
    FB_TRY(replica_refresh(r));
    return evict_one(r, size_out, hash_out);
}

/* Its row let go of it, and has not come back: another process may have been given the same bytes
 * since. */
static fb_code evict_file(replica *r, const digest *hash)
{
    blob_info b;
    FB_TRY(blob_find(r, hash, &b));
    return blob_is_here(&b) ? FB_OK : blob_file_drop(r, hash, "");
}

/* The row lets go first: a crash in between leaves an orphan, never a row without its file. The
 * file goes inside a transaction, so that no capture is between a file and its row. */
static fb_code evict_next(replica *r, int64_t *size_out)
{
    digest hash;
    FB_TRY(sql_begin(r->db));
    fb_code rc = evict_inside(r, size_out, &hash);
    if (rc != FB_OK || *size_out == 0) {
        sql_rollback(r->db);
        return rc;
    }
    FB_TRY(sql_commit(r->db));
    r->blobs_swept = false; /* should what follows not come to pass */
    FB_TRY(sql_begin(r->db));
    rc = evict_file(r, &hash);
    sql_rollback(r->db); /* nothing was written */
    return rc;
}

fb_code blob_evict(replica *r, int64_t keep_bytes, int64_t *freed_out)
{
    blob_totals t;
    int64_t size = 1;

    FB_TRY(blobs_need_files(r, NULL));
    *freed_out = 0;
    FB_TRY(blob_totals_get(r, &t));
    while (size > 0 && t.here_bytes - *freed_out > keep_bytes) {
        FB_TRY(evict_next(r, &size));
        *freed_out += size;
    }
    return FB_OK;
}
