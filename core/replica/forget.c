/* forget.c - what this device still keeps of a person whose data was erased.
 *
 * The rows of `erasure` say whom; the person's rows come empty in the same download. What is left
 * is work that was not applied: the tray, groups that are held, rows parked for them; and groups
 * that are kept for their decision (OUT-5). The rule is the server's (wire/erased.h).
 *
 *   FGT-1  a body is emptied once its group is settled and inside a backup (OUT-4): until then a
 *          restored server may ask for it, and takes nothing of the person
 *   FGT-2  behind it no file holds the old bytes: pages are cleared, the log and the second copy
 *          are written anew (PUR-1)
 *
 * Looked at only when the list, or what is settled, is not what it was the last time. */
#include "replica/room.h"
#include "schema/limits.h"
#include "wire/erased.h"

typedef struct forgetting {
    replica *r;
    arena *memory;
    erased_view view;
} forgetting;

/* Who is erased, how far the outbox was pruned, and in which life: what the last look saw. */
static fb_code mark_now(replica *r, buf *out, bool *any_out)
{
    int64_t count = 0;
    char incarnation[FB_ID_TEXT_BYTES];
    *any_out = false;
    if (catalog_entity_str(r->edition->catalog, "erasure") == NULL) {
        return FB_OK;
    }
    FB_TRY(read_count(r, "SELECT count(*) FROM erasure", &count));
    id_put(&r->me.incarnation, incarnation);
    buf_printf(out, "%lld %lld %s", (long long)count, (long long)r->state.pruned, incarnation);
    *any_out = count > 0;
    return out->code;
}

fb_code forget_due(replica *r, bool *due_out)
{
    buf now, seen;
    bool any = false;
    buf_init(&now, 256);
    buf_init(&seen, 256);
    fb_code rc = mark_now(r, &now, &any);
    if (rc == FB_OK && any) {
        rc = replica_meta_get(r, "erased_seen", &seen);
    }
    *due_out = rc == FB_OK && any && !text_equal(buf_text(&now), buf_text(&seen));
    buf_clear(&now);
    buf_clear(&seen);
    return rc;
}

static fb_code mark_keep(replica *r)
{
    buf now;
    bool any = false;
    buf_init(&now, 256);
    fb_code rc = mark_now(r, &now, &any);
    if (rc == FB_OK) {
        rc = meta_put_text(r, "erased_seen", buf_text(&now));
    }
    buf_clear(&now);
    return rc;
}

static fb_code listed(void *ctx, const fb_id *id, bool *out)
{
    replica *r = ctx;
    fb_id at = *id;
    char text[FB_ID_TEXT_BYTES];
    *out = false;
    for (int i = 0; i < 2 && !*out; i++) { /* by its own name, and by the one it has now */
        sql_stmt *s = sql_prepare(r->db, "SELECT 1 FROM erasure WHERE entity_id=?1 LIMIT 1");
        id_put(&at, text);
        sql_bind_text(s, 1, text_of(text));
        FB_TRY(sql_step(s, out));
        sql_reset(s);
        FB_TRY(alias_of(r, &at));
    }
    return FB_OK;
}

static fb_code row_of(void *ctx, const cat_entity *e, const fb_id *id, arena *memory,
                      fb_value *values)
{
    return row_read(ctx, e, id, memory, values);
}

/* ---- one group ---- */

static fb_code body_put(forgetting *f, int64_t gseq, fb_text body)
{
    fb_text stored = outbox_pack(f->r, body);
    sql_stmt *s = sql_prepare(f->r->db, "UPDATE fb_outbox SET body=?2 WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    sql_bind_blob(s, 2, stored.data, stored.size);
    return sql_run(s);
}

static fb_code body_forget(forgetting *f, int64_t gseq)
{
    buf line, less;
    bool changed = false;
    buf_init(&line, GROUP_BYTES_MAX);
    buf_init(&less, GROUP_BYTES_MAX + 4096);
    fb_code rc = outbox_body(f->r, gseq, &line);
    if (rc == FB_OK) {
        rc = erased_line(&f->view, buf_text(&line), f->memory, &less, &changed);
    }
    if (rc == FB_OK && changed) {
        rc = body_put(f, gseq, buf_text(&less));
    }
    if (rc == FB_OK && changed) { /* the server would not know it again: rebirth.c */
        rc = run_int(f->r, "INSERT OR REPLACE INTO fb_meta (key, value) VALUES ('emptied/'||?1, 1)",
                     gseq);
    }
    buf_clear(&line);
    buf_clear(&less);
    return rc;
}

static fb_code verdict_read(forgetting *f, int64_t gseq, fb_text *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(f->r->db, "SELECT body FROM fb_verdict WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    FB_TRY(sql_step(s, &row));
    *out = row ? arena_text(f->memory, sql_text(s, 0)) : text_of("");
    sql_reset(s);
    return out->data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static fb_code verdict_forget(forgetting *f, int64_t gseq)
{
    buf less;
    fb_text line;
    bool changed = false;
    FB_TRY(verdict_read(f, gseq, &line));
    if (line.size == 0) {
        return FB_OK;
    }
    buf_init(&less, SYNC_BODY_BYTES_MAX);
    fb_code rc = erased_verdict(&f->view, line, f->memory, &less, &changed);
    if (rc == FB_OK && changed) {
        sql_stmt *s = sql_prepare(f->r->db, "UPDATE fb_verdict SET body=?2 WHERE gseq=?1");
        less.size--; /* kept without its "\n" */
        sql_bind_int(s, 1, gseq);
        sql_bind_text(s, 2, buf_text(&less));
        rc = sql_run(s);
    }
    buf_clear(&less);
    return rc;
}

/* ---- rows that left while open groups need them ---- */

static fb_code parked_put(forgetting *f, const cat_entity *e, const fb_id *id, const fb_value *row)
{
    buf image;
    buf_init(&image, (size_t)4 * GROUP_BYTES_MAX); /* as parked.c made it */
    image_put_row(&image, e, row);
    fb_code rc = image.code;
    if (rc == FB_OK) {
        sql_stmt *s =
            sql_prepare(f->r->db, "UPDATE fb_parked SET body=?3 WHERE entity=?1 AND id=?2");
        sql_bind_text(s, 1, e->name);
        sql_bind_id(s, 2, id);
        sql_bind_blob(s, 3, image.data, image.size);
        rc = sql_run(s);
    }
    buf_clear(&image);
    return rc;
}

static fb_code parked_empty(void *ctx, const cat_entity *e, const fb_id *id)
{
    forgetting *f = ctx;
    fb_value row[CATALOG_COLUMNS_LIMIT];
    parked_row at;
    erased_columns gone;
    arena_reset(f->memory);
    FB_TRY(parked_load(f->r, e, id, f->memory, &at, row));
    FB_TRY(erased_columns_of(&f->view, e, id, row, f->memory, &gone));
    for (int i = 1; gone.any && i < cat_ver_column(e); i++) {
        if (gone.column[i]) {
            FB_TRY(erased_value(&f->view, e, i, row, f->memory, &row[i]));
        }
    }
    return gone.any ? parked_put(f, e, id, row) : FB_OK;
}

/* ---- the tray ---- */

/* State 0 among those that were pruned: kept for the sake of a decision (OUT-5). */
static const char tray_text[] =
    "SELECT gseq FROM fb_outbox WHERE state IN (0, 1, 2, 3, 4) AND gseq > ?1 AND gseq <= ?2"
    " ORDER BY gseq LIMIT 1";

static fb_code tray_next(replica *r, int64_t *gseq, bool *found)
{
    sql_stmt *s = sql_prepare(r->db, tray_text);
    sql_bind_int(s, 1, *gseq);
    sql_bind_int(s, 2, r->state.pruned);
    FB_TRY(sql_step(s, found));
    if (*found) {
        *gseq = sql_int(s, 0);
        sql_reset(s);
    }
    return FB_OK;
}

static fb_code tray_forget(forgetting *f)
{
    int64_t gseq = INT64_MIN;
    bool found = true;
    FB_TRY(tray_next(f->r, &gseq, &found));
    while (found) {
        FB_TRY(body_forget(f, gseq));
        FB_TRY(verdict_forget(f, gseq));
        arena_reset(f->memory);
        FB_TRY(tray_next(f->r, &gseq, &found));
    }
    return FB_OK;
}

fb_code forget_erased(replica *r)
{
    forgetting f = {.r = r, .memory = arena_new(ARENA_BYTES_LIMIT)};
    bool due = false;
    fb_code rc = f.memory == NULL ? FB_E_NO_MEMORY : forget_due(r, &due);
    f.view = (erased_view){r, r->edition->catalog, listed, row_of};
    if (rc == FB_OK && due) {
        rc = parked_walk(r, parked_empty, &f);
    }
    if (rc == FB_OK && due) {
        rc = tray_forget(&f);
    }
    arena_free(f.memory);
    if (rc == FB_OK && due) {
        r->purge_due = true; /* FGT-2 */
        r->second.seen.catalog_version = 0;
        rc = mark_keep(r);
    }
    return rc;
}
