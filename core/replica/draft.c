/* draft.c - drafts: work that is no group yet. See replica.h.
 *
 * One row of fb_draft each; nothing here touches the outbox or the visible state. */
#include "base/check.h"
#include "replica/replica.h"

fb_code draft_put(replica *r, const draft *d)
{
    FB_REQUIRE(r != NULL && d != NULL && !id_is_none(&d->id));

    sql_stmt *s = sql_prepare(
        replica_sql(r), "INSERT INTO fb_draft(id, kind, updated_ms, body) VALUES(?1, ?2, ?3, ?4) "
                        "ON CONFLICT(id) DO UPDATE SET updated_ms = ?3, body = ?4");
    if (s == NULL) {
        return sql_code(replica_sql(r));
    }
    sql_bind_id(s, 1, &d->id);
    sql_bind_text(s, 2, d->kind);
    sql_bind_int(s, 3, d->updated_ms);
    sql_bind_text(s, 4, d->body);
    return sql_run(s);
}

fb_code draft_get(replica *r, fb_text kind, const fb_id *id, buf *body_out)
{
    bool row = false;

    FB_REQUIRE(r != NULL && id != NULL && body_out != NULL);
    sql_stmt *s =
        sql_prepare(replica_sql(r), "SELECT body FROM fb_draft WHERE id = ?1 AND kind = ?2");
    if (s == NULL) {
        return sql_code(replica_sql(r));
    }
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

    sql_stmt *s = sql_prepare(replica_sql(r), "DELETE FROM fb_draft WHERE id = ?1");
    if (s == NULL) {
        return sql_code(replica_sql(r));
    }
    sql_bind_id(s, 1, id);
    return sql_run(s);
}

fb_code draft_each(replica *r, fb_text kind, fb_code (*fn)(void *ctx, const draft *d), void *ctx)
{
    bool row = false;
    fb_code rc = FB_OK;

    FB_REQUIRE(r != NULL && fn != NULL);
    sql_stmt *s = sql_prepare(
        replica_sql(r), "SELECT id, updated_ms, body FROM fb_draft WHERE kind = ?1 ORDER BY id");
    if (s == NULL) {
        return sql_code(replica_sql(r));
    }
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
