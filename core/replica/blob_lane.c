/* blob_lane.c - bytes of attachments on their way: what is next, what came of it. See blob.h.
 *
 * Progress is durable piece by piece: a piece down is synced into HASH.part before its offset is
 * committed, a piece up counts as far as the server says it holds it. Both happen inside a write
 * transaction, so that two processes on one file never write the same part at once; nothing is
 * written while a request is out. */
#include <string.h>

#include "replica/blob_inside.h"

#define HOUR_MS INT64_C(3600000)
enum {
    ASK_HOURS = 6,    /* after which the server is asked again whether it still has what it had */
    THUMBS_NEW = 500, /* thumbnails taken note of in one round */
    FORGET_MAX = 100, /* bytes let go in one round */
    NAME_BYTES_LIMIT = 256
};

/* --- before a round -------------------------------------------------------------------------- */

static const char ask_epoch_text[] =
    "UPDATE fb_blob SET state=1, offset=0, next_ms=0 WHERE direction=1 AND state IN (3,4)"
    " AND epoch IS NOT ?1";
static const char ask_all_text[] =
    "UPDATE fb_blob SET state=1, offset=0, next_ms=0 WHERE direction=1 AND state IN (3,4)";
static const char asked_text[] =
    "SELECT coalesce((SELECT value FROM fb_meta WHERE key='blob_asked_ms'), 0)";

static fb_code ask_again(replica *r, int64_t now_ms)
{
    int64_t asked_ms = 0;
    sql_stmt *s = sql_prepare(r->db, ask_epoch_text);
    sql_bind_id(s, 1, &r->me.epoch);
    FB_TRY(sql_run(s));
    FB_TRY(read_count(r, asked_text, &asked_ms));
    if (now_ms >= asked_ms && now_ms - asked_ms < ASK_HOURS * HOUR_MS) {
        return FB_OK;
    }
    FB_TRY(run_text(r, ask_all_text));
    return meta_put_int(r, "blob_asked_ms", now_ms);
}

static const char thumbs_text[] =
    "INSERT OR IGNORE INTO fb_blob (hash, size, thumb, direction, state, at_ms)"
    " SELECT a.thumb_sha256, a.thumb_size_bytes, 1, 2, 5, a.taken_at FROM attachment a"
    " WHERE a.thumb_sha256 IS NOT NULL AND a.thumb_size_bytes BETWEEN 1 AND ?1"
    " AND length(a.thumb_sha256) = 64 AND a.thumb_sha256 NOT GLOB '*[^0-9a-f]*'"
    " AND NOT EXISTS (SELECT 1 FROM fb_blob b WHERE b.hash = a.thumb_sha256) LIMIT ?2";

fb_code blob_all_is_settled(replica *r, bool *out)
{
    int64_t open = 0;
    FB_TRY(
        read_count(r, "SELECT count(*) FROM fb_outbox WHERE state<>0 AND state IN (1,2,3)", &open));
    *out = open == 0 && r->state.settled == r->state.last && !r->state.base_stale;
    return FB_OK;
}

static const char unnamed_text[] =
    "SELECT hash FROM fb_blob b WHERE (b.direction=2 OR b.state IN (4,7))"
    " AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.sha256 = b.hash)"
    " AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.thumb_sha256 = b.hash) LIMIT ?1";
static const char forget_text[] = "DELETE FROM fb_blob WHERE hash=?1";

static fb_code forget_one(replica *r, fb_text name, bool *row_out)
{
    sql_stmt *s = sql_prepare(r->db, forget_text);
    sql_bind_text(s, 1, name);
    *row_out = true;
    return sql_run(s);
}

/* The row left this device's scope: so do its bytes. Their file becomes an orphan (BLO-4). */
static fb_code forget_unnamed(replica *r)
{
    bool settled = false;
    bool row = true;
    char name[BLOB_NAME_BYTES + 1];
    FB_TRY(blob_all_is_settled(r, &settled));
    for (int i = 0; settled && row && i < FORGET_MAX; i++) {
        sql_stmt *s = sql_prepare(r->db, unnamed_text);
        sql_bind_int(s, 1, 1);
        FB_TRY(sql_step(s, &row));
        if (row) {
            fb_text hash = sql_text(s, 0);
            size_t size = hash.size < BLOB_NAME_BYTES ? hash.size : BLOB_NAME_BYTES;
            memcpy(name, hash.data, size);
            sql_reset(s);
            FB_TRY(forget_one(r, (fb_text){name, size}, &row));
            r->blobs_swept = false;
        }
    }
    return FB_OK;
}

/* --- orphans --------------------------------------------------------------------------------- */

static fb_code name_is_wanted(replica *r, fb_text name, bool *out)
{
    digest hash;
    blob_info b;
    size_t ending = strlen(BLOB_PART);
    bool part = name.size == BLOB_NAME_BYTES + ending &&
                memcmp(name.data + BLOB_NAME_BYTES, BLOB_PART, ending) == 0;
    *out = false;
    if (!blob_name_get((fb_text){name.data, part ? BLOB_NAME_BYTES : name.size}, &hash)) {
        return FB_OK;
    }
    FB_TRY(blob_find(r, &hash, &b));
    *out = part ? b.stage == BLOB_WANTED : blob_is_here(&b);
    return FB_OK;
}

/* After a salvage no row says what is owed to the server: every whole file may be, so the server is
 * asked whether it has it. */
static fb_code adopt(replica *r, const char *path, const char *name, bool *adopted)
{
    blob_info b = {.stage = BLOB_ASK, .made_here = true};
    digest found;
    if (!blob_name_get(text_of(name), &b.hash)) {
        return FB_OK;
    }
    FB_TRY(blob_file_hash(r->files, path, &found, &b.size));
    if (memcmp(&found, &b.hash, sizeof found) != 0) {
        return FB_OK;
    }
    b.thumb = b.size <= BLOB_THUMB_BYTES_MAX;
    *adopted = true;
    return blob_row_put(r, &b, replica_now_ms(r, NULL, NULL));
}

/* Power was lost between the name of a fetched file and its row: what is whole is not fetched
 * again. */
static fb_code arrive(replica *r, const char *path, const char *name, bool *kept)
{
    digest hash;
    blob_info b;
    if (!blob_name_get(text_of(name), &hash)) {
        return FB_OK;
    }
    FB_TRY(blob_find(r, &hash, &b));
    if (b.stage != BLOB_WANTED) {
        return FB_OK;
    }
    fb_code rc = blob_file_check(r->files, path, &hash, b.size);
    if (rc == FB_E_CORRUPT) {
        return FB_OK;
    }
    FB_TRY(rc);
    *kept = true;
    b.stage = b.made_here ? BLOB_ASK : BLOB_HERE;
    b.offset = b.made_here ? 0 : b.size;
    return blob_row_put(r, &b, replica_now_ms(r, NULL, NULL));
}

typedef struct sweep {
    replica *r;
    bool adopts; /* the database was made again: salvage.h */
} sweep;

static fb_code sweep_one(void *ctx, const char *name)
{
    const sweep *w = ctx;
    replica *r = w->r;
    bool wanted = false;
    buf path;
    FB_TRY(name_is_wanted(r, text_of(name), &wanted));
    if (wanted) {
        return FB_OK;
    }
    buf_init(&path, strlen(r->blob_folder) + NAME_BYTES_LIMIT);
    buf_printf(&path, "%s/%s", r->blob_folder, name);
    const char *whole = buf_cstr(&path);
    fb_code rc = path.code;
    if (rc == FB_OK) {
        rc = w->adopts ? adopt(r, whole, name, &wanted) : arrive(r, whole, name, &wanted);
    }
    if (rc == FB_OK && !wanted) {
        rc = r->files->remove(r->files->ctx, whole);
    }
    buf_clear(&path);
    return rc;
}

static fb_code round_inside(replica *r, int64_t now_ms)
{
    FB_TRY(ask_again(r, now_ms));
    if (catalog_entity_str(r->edition->catalog, "attachment") != NULL) {
        FB_TRY(run_int2(r, thumbs_text, BLOB_THUMB_BYTES_MAX, THUMBS_NEW));
        FB_TRY(forget_unnamed(r));
    }
    return FB_OK;
}

/* Run fn(r, ctx) as one transaction on a replica that is up to date. */
typedef fb_code (*inside_fn)(replica *r, const void *ctx);
static fb_code transaction(replica *r, inside_fn fn, const void *ctx)
{
    FB_REQUIRE(!r->capture.open);
    FB_TRY(blobs_need_files(r, NULL));
    FB_TRY(sql_begin(r->db));
    fb_code rc = replica_refresh(r);
    if (rc == FB_OK) {
        rc = fn(r, ctx);
    }
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    return sql_commit(r->db);
}

static fb_code begin_inside(replica *r, const void *ctx)
{
    return round_inside(r, *(const int64_t *)ctx);
}

/* Inside a transaction: no capture of another handle is between its file and its row. One of its
 * own: files go only after the rows that let go of them are committed. */
static fb_code sweep_inside(replica *r, const void *ctx)
{
    int64_t adopts = 0;
    (void)ctx;
    FB_TRY(read_count(r, "SELECT coalesce((SELECT value FROM fb_meta WHERE key='blobs_adopt'), 0)",
                      &adopts));
    sweep w = {.r = r, .adopts = adopts != 0};
    FB_TRY(r->files->each(r->files->ctx, r->blob_folder, sweep_one, &w));
    return w.adopts ? meta_put_int(r, "blobs_adopt", 0) : FB_OK;
}

fb_code blob_round_begin(replica *r, int64_t now_ms)
{
    FB_TRY(transaction(r, begin_inside, &now_ms));
    if (!r->blobs_swept) {
        FB_TRY(transaction(r, sweep_inside, NULL));
        r->blobs_swept = true;
    }
    return FB_OK;
}

/* --- what is next ---------------------------------------------------------------------------- */

/* A time far ahead was written by a clock that has been put back since. */
#define MAY_GO                                                                              \
    " AND (next_ms <= ?1 OR next_ms > ?1 + 3600000) AND (metered=1 OR (thumb=1 AND ?2) OR " \
    "(thumb=0 AND ?3)) "

static sql_stmt *ready(replica *r, const char *text, const blob_rules *rules, int64_t now_ms)
{
    sql_stmt *s = sql_prepare(r->db, text);
    sql_bind_int(s, 1, now_ms);
    sql_bind_int(s, 2, rules->thumbs);
    sql_bind_int(s, 3, rules->originals);
    return s;
}

static fb_code next_asks(replica *r, const blob_rules *rules, int64_t now_ms, blob_work *out)
{
    bool row = false;
    sql_stmt *s = ready(r,
                        "SELECT hash FROM fb_blob WHERE state=1" MAY_GO
                        "ORDER BY thumb DESC, at_ms, hash LIMIT ?4",
                        rules, now_ms);
    sql_bind_int(s, 4, BLOB_ASK_MAX);
    out->count = 0;
    fb_code rc = FB_OK;
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        if (!blob_name_get(sql_text(s, 0), &out->hashes[out->count])) {
            rc = FB_E_CORRUPT;
            break;
        }
        out->count++;
    }
    sql_reset(s);
    return rc;
}

static const char next_text[] =
    "SELECT hash, size, state, thumb, direction, metered, offset, next_ms, tries, error FROM"
    " fb_blob WHERE state IN (2,5)" MAY_GO
    "ORDER BY CASE WHEN thumb=1 THEN state ELSE 10 - state END, at_ms, hash LIMIT 1";

fb_code blob_next(replica *r, const blob_rules *rules, int64_t now_ms, blob_work *out)
{
    bool row = false;
    FB_REQUIRE(r != NULL && rules != NULL && out != NULL);
    FB_TRY(blobs_need_files(r, NULL));
    FB_TRY(next_asks(r, rules, now_ms, out));
    out->todo = out->count > 0 ? BLOB_TODO_ASK : BLOB_TODO_NONE;
    if (out->count > 0) {
        return FB_OK;
    }
    sql_stmt *s = ready(r, next_text, rules, now_ms);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return FB_OK;
    }
    bool good = blob_name_get(sql_text(s, 0), &out->blob.hash);
    blob_info_read(s, 1, &out->blob);
    sql_reset(s);
    out->todo = out->blob.stage == BLOB_SEND ? BLOB_TODO_PUT : BLOB_TODO_GET;
    return good ? FB_OK : FB_E_CORRUPT;
}

static fb_code damaged_inside(replica *r, const void *ctx)
{
    return blob_damaged(r, ctx);
}

fb_code blob_piece(replica *r, const blob_info *b, uint32_t count, buf *out)
{
    buf path;
    size_t got = 0;
    int64_t left = b->size - b->offset;
    size_t wanted = (int64_t)count < left ? count : (size_t)left;

    FB_REQUIRE(b->offset >= 0 && left > 0);
    char *room = buf_reserve(out, wanted);
    if (room == NULL) {
        return out->code;
    }
    const char *name = blob_path(r, &path, &b->hash, "");
    fb_code rc = path.code != FB_OK
                     ? path.code
                     : r->files->read(r->files->ctx, name, b->offset, room, wanted, &got);
    buf_clear(&path);
    if (rc == FB_E_NOT_FOUND || (rc == FB_OK && got < wanted)) {
        FB_TRY(transaction(r, damaged_inside, b));
        return FB_E_CORRUPT;
    }
    FB_TRY(rc);
    out->size += got;
    return FB_OK;
}

/* --- answers --------------------------------------------------------------------------------- */

static const char progress_text[] =
    "UPDATE fb_blob SET state=?2, offset=?3, tries=?4, next_ms=?5, error=?6, epoch=?7"
    " WHERE hash=?1 AND state=?8";

/* What an answer makes of a row; a row that moved on meanwhile stays as it is. */
typedef struct progress {
    blob_stage from, to;
    int64_t offset, next_ms;
    uint32_t tries;
    const char *error;
    const fb_id *epoch; /* NULL: none */
} progress;

static fb_code progress_put(replica *r, const digest *hash, const progress *p)
{
    char name[BLOB_NAME_BYTES + 1];
    sql_stmt *s = sql_prepare(r->db, progress_text);
    blob_name_put(hash, name);
    sql_bind_text(s, 1, text_of(name));
    sql_bind_int(s, 2, p->to);
    sql_bind_int(s, 3, p->offset);
    sql_bind_int(s, 4, p->tries);
    sql_bind_int(s, 5, p->next_ms);
    sql_bind_text(s, 6, text_of(p->error != NULL ? p->error : ""));
    sql_bind_id(s, 7, p->epoch);
    sql_bind_int(s, 8, p->from);
    return sql_run(s);
}

/* Where the server stands: it has all of it, or goes on at `offset`. */
static progress server_says(const blob_info *b, blob_state state, int64_t offset,
                            const fb_id *epoch)
{
    progress p = {.from = b->stage, .to = BLOB_SEND, .offset = offset, .epoch = epoch};
    if (state != BLOB_STATE_PART) {
        p.to = state == BLOB_STATE_BACKED ? BLOB_SAFE : BLOB_SENT;
        p.offset = b->size;
    } else if (offset >= b->size) {
        p.offset = 0; /* an answer about another file: begin again */
    }
    return p;
}

typedef struct had_context {
    const blob_work *work;
    const blob_had *m;
} had_context;

static fb_code had_inside(replica *r, const void *ctx)
{
    const had_context *c = ctx;
    for (uint32_t i = 0; i < c->work->count; i++) {
        blob_info b;
        FB_TRY(blob_find(r, &c->work->hashes[i], &b));
        progress p = server_says(&b, c->m->items[i].state, c->m->items[i].offset, &c->m->epoch);
        p.from = BLOB_ASK;
        FB_TRY(progress_put(r, &b.hash, &p));
    }
    return FB_OK;
}

fb_code blob_had_take(replica *r, const blob_work *w, const blob_had *m)
{
    if (m->count != w->count) {
        return FB_E_PROTOCOL;
    }
    return transaction(r, had_inside, &(had_context){w, m});
}

typedef struct answer_context {
    const blob_info *b;
    const blob_stored *stored;
    const blob_got *got;
    fb_code code;
    int64_t next_ms;
} answer_context;

static fb_code stored_inside(replica *r, const void *ctx)
{
    const answer_context *c = ctx;
    progress p =
        server_says(c->b, (blob_state)c->stored->state, c->stored->offset, &c->stored->epoch);
    if (p.to == BLOB_SEND && p.offset <= c->b->offset) {
        p.tries = c->b->tries + 1; /* no progress: do not spin */
        p.next_ms = c->next_ms;
    }
    return progress_put(r, &c->b->hash, &p);
}

fb_code blob_stored_take(replica *r, const blob_info *b, const blob_stored *m, int64_t next_ms)
{
    return transaction(r, stored_inside,
                       &(answer_context){.b = b, .stored = m, .next_ms = next_ms});
}

/* The piece is in the part; is the part whole? */
static fb_code got_piece(replica *r, const answer_context *c, const char *part, const char *name)
{
    const blob_got *m = c->got;
    int64_t end = m->offset + (int64_t)m->bytes.size;
    FB_TRY(r->files->folder(r->files->ctx, r->blob_folder));
    FB_TRY(r->files->write(r->files->ctx, part, m->offset, m->bytes, true));
    progress p = {.from = BLOB_WANTED, .to = BLOB_WANTED, .offset = end};
    if (end == c->b->size) {
        fb_code rc = blob_file_finish(r->files, part, name, &c->b->hash, c->b->size);
        if (rc == FB_E_CORRUPT) {
            p = (progress){.from = BLOB_WANTED,
                           .to = BLOB_WANTED,
                           .tries = c->b->tries + 1,
                           .next_ms = c->next_ms,
                           .error = fb_code_name(rc)};
        } else {
            FB_TRY(rc);
            p.to = c->b->made_here ? BLOB_ASK : BLOB_HERE;
        }
    }
    return progress_put(r, &c->b->hash, &p);
}

static fb_code got_inside(replica *r, const void *ctx)
{
    const answer_context *c = ctx;
    buf part;
    buf name;
    blob_info now;
    FB_TRY(blob_find(r, &c->b->hash, &now));
    if (now.stage != BLOB_WANTED || now.offset != c->b->offset) {
        return FB_OK; /* another process was faster */
    }
    const char *part_path = blob_path(r, &part, &c->b->hash, BLOB_PART);
    const char *path = blob_path(r, &name, &c->b->hash, "");
    fb_code rc = part.code != FB_OK ? part.code : name.code;
    if (rc == FB_OK) {
        rc = got_piece(r, c, part_path, path);
    }
    buf_clear(&part);
    buf_clear(&name);
    return rc;
}

static fb_code absent_inside(replica *r, const void *ctx)
{
    const answer_context *c = ctx;
    return progress_put(
        r, &c->b->hash,
        &(progress){
            .from = BLOB_WANTED, .to = BLOB_WANTED, .next_ms = c->next_ms, .error = BLOB_ABSENT});
}

fb_code blob_got_take(replica *r, const blob_info *b, const blob_got *m, int64_t next_ms)
{
    answer_context c = {.b = b, .got = m, .next_ms = next_ms};
    if (m->absent) {
        return transaction(r, absent_inside, &c);
    }
    if (m->offset != b->offset || m->size != b->size) {
        return FB_E_PROTOCOL; /* another file, or not the piece that was asked for */
    }
    return transaction(r, got_inside, &c);
}

/* A part that the disk holds less of than the row says was not synced: begin again. A file that the
 * server does not show to this device is not wanted any more; the person may ask again. Nobody asks
 * for a thumbnail: it is tried again for as long as its row is here. */
static fb_code failed_put(replica *r, const answer_context *c)
{
    blob_stage from = c->b->stage;
    bool hidden = c->code == FB_E_NOT_FOUND && from == BLOB_WANTED;
    bool lost = hidden && !c->b->thumb;
    bool anew = from == BLOB_WANTED && c->code == FB_E_IO;
    bool wrong = c->code == FB_E_INVALID && from == BLOB_SEND;
    progress p = {.from = from,
                  .to = lost ? BLOB_GONE : from,
                  .offset = hidden || anew || wrong ? 0 : c->b->offset,
                  .tries = c->b->tries + 1,
                  .next_ms = c->next_ms,
                  .error = hidden && !lost ? BLOB_ABSENT : fb_code_name(c->code)};
    return progress_put(r, &c->b->hash, &p);
}

/* The server says that the bytes are not what they were announced as. Either they changed on the
 * way, and go again, or the file here went bad before it was sent: that is said, not sent for ever.
 */
static fb_code failed_inside(replica *r, const void *ctx)
{
    const answer_context *c = ctx;
    buf path;
    if (c->code != FB_E_INVALID || c->b->stage != BLOB_SEND) {
        return failed_put(r, c);
    }
    const char *name = blob_path(r, &path, &c->b->hash, "");
    fb_code rc =
        path.code == FB_OK ? blob_file_check(r->files, name, &c->b->hash, c->b->size) : path.code;
    buf_clear(&path);
    if (rc == FB_E_CORRUPT || rc == FB_E_NOT_FOUND) {
        return blob_damaged(r, c->b);
    }
    return rc == FB_OK ? failed_put(r, c) : rc;
}

fb_code blob_failed(replica *r, const blob_info *b, fb_code code, int64_t next_ms)
{
    return transaction(r, failed_inside,
                       &(answer_context){.b = b, .code = code, .next_ms = next_ms});
}
