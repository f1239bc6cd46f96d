/* draft.c - drafts: work that is no group yet. See replica.h.
 *
 * One row of fb_draft each; nothing here touches the outbox or the visible state. */
#include "replica/room.h"

static void note_draft(replica *r, const draft *d)
{
    buf payload;
    buf_init(&payload, JOURNAL_RECORD_BYTES_MAX);
    second_draft_put(&payload, d);
    if (payload.code == FB_OK) {
        second_note(r, JOURNAL_DRAFT, 0, buf_text(&payload));
    }
    buf_clear(&payload);
}

static fb_code put_row(replica *r, const draft *d)
{
    sql_stmt *s =
        sql_prepare(r->db, "INSERT INTO fb_draft(id, kind, updated_ms, body) VALUES(?1, ?2, ?3, ?4)"
                           " ON CONFLICT(id) DO UPDATE SET updated_ms = ?3, body = ?4");
    sql_bind_id(s, 1, &d->id);
    sql_bind_text(s, 2, d->kind);
    sql_bind_int(s, 3, d->updated_ms);
    sql_bind_text(s, 4, d->body);
    return sql_run(s);
}

static fb_code delete_row(replica *r, const draft *d)
{
    sql_stmt *s = sql_prepare(r->db, "DELETE FROM fb_draft WHERE id = ?1");
    sql_bind_id(s, 1, &d->id);
    return sql_run(s);
}

/* A synced transaction of its own, with the second copy's note in it. */
static fb_code write_alone(replica *r, fb_code (*write)(replica *r, const draft *d), const draft *d)
{
    FB_TRY(sql_begin(r->db));
    fb_code rc = replica_refresh(r);
    if (rc == FB_OK) {
        rc = write(r, d);
    }
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    note_draft(r, d);
    return sql_commit(r->db);
}

fb_code draft_put(replica *r, const draft *d)
{
    FB_REQUIRE(r != NULL && d != NULL && !id_is_none(&d->id));
    return r->capture.open ? put_row(r, d) : write_alone(r, put_row, d);
}

fb_code draft_get(replica *r, fb_text kind, const fb_id *id, buf *body_out)
{
    bool row = false;

    FB_REQUIRE(r != NULL && id != NULL && body_out != NULL);
    sql_stmt *s =
        sql_prepare(replica_sql(r), "SELECT body FROM fb_draft WHERE id = ?1 AND kind = ?2");
    sql_bind_id(s, 1, id);
    sql_bind_text(s, 2, kind);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    buf_put_text(body_out, sql_text(s, 0));
    sql_reset(s);
    return body_out->code;
}

fb_code draft_delete(replica *r, const fb_id *id)
{
    FB_REQUIRE(r != NULL && id != NULL);
    capture *c = &r->capture;
    const draft gone = {.id = *id};
    if (!c->open) {
        return write_alone(r, delete_row, &gone);
    }
    if (c->drafts_gone_count < CAPTURE_DRAFTS_MAX) {
        c->drafts_gone[c->drafts_gone_count++] = *id; /* the group's commit notes it */
    }
    return delete_row(r, &gone);
}

fb_code draft_each(replica *r, fb_text kind, fb_code (*fn)(void *ctx, const draft *d), void *ctx)
{
    bool row = false;
    fb_code rc = FB_OK;

    FB_REQUIRE(r != NULL && fn != NULL);
    sql_stmt *s = sql_prepare(
        replica_sql(r), "SELECT id, updated_ms, body FROM fb_draft WHERE kind = ?1 ORDER BY id");
    sql_bind_text(s, 1, kind);
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        draft d = {
            .id = sql_id(s, 0), .kind = kind, .updated_ms = sql_int(s, 1), .body = sql_text(s, 2)};
        if ((rc = fn(ctx, &d)) != FB_OK) {
            break;
        }
    }
    sql_reset(s);
    return rc;
}
