/* salvage_build.c - see salvage.h: from the segment to a new database.
 *
 * Everything that was not yet in a backup is pending again, in its old order, under a new
 * incarnation: the server recognises lines it has and answers them as before, so nothing happens
 * twice and the tray fills itself. The base is empty and stale until a reset page comes; what the
 * pending groups inserted is shown meanwhile. */
#include <string.h>

#include "base/check.h"
#include "base/decimal.h"
#include "base/trace.h"
#include "replica/salvage.h"
#include "schema/limits.h"
#include "wire/pack.h"

typedef struct building {
    replica *r;
    uint8_t nonce[16];
    bool identity;
    int64_t pruned, groups, drafts;
    fb_error *err;
} building;

static fb_code take_identity(building *b, fb_text payload)
{
    named_value n;
    bool found = true;
    b->identity = true;
    while (found) {
        char key[64];
        FB_TRY(named_get(&payload, &n, &found));
        if (!found || n.name.size >= sizeof key) {
            continue;
        }
        memcpy(key, n.name.data, n.name.size);
        key[n.name.size] = '\0';
        if (strcmp(key, "pruned") == 0) {
            b->pruned = n.number;
        }
        fb_code rc = n.kind == NAMED_INT    ? meta_put_int(b->r, key, n.number)
                     : n.kind == NAMED_TEXT ? meta_put_text(b->r, key, n.bytes)
                                            : meta_put_blob(b->r, key, n.bytes.data, n.bytes.size);
        FB_TRY(rc);
    }
    return FB_OK;
}

static fb_code raise_counter(replica *r, fb_text name, int64_t next)
{
    sql_stmt *s = sql_prepare(r->db, "INSERT INTO fb_counter (name, next) VALUES (?1, ?2) ON"
                                     " CONFLICT (name) DO UPDATE SET next=max(next, ?2)");
    sql_bind_text(s, 1, name);
    sql_bind_int(s, 2, next);
    return sql_run(s);
}

static fb_code take_counters(building *b, fb_text payload)
{
    named_value n;
    bool found = true;
    FB_TRY(named_get(&payload, &n, &found));
    while (found) {
        FB_TRY(raise_counter(b->r, n.name, n.number));
        FB_TRY(named_get(&payload, &n, &found));
    }
    return FB_OK;
}

/* Lines "name next". */
static fb_code take_numbers(building *b, fb_text lines)
{
    while (lines.size > 0) {
        const char *end = memchr(lines.data, '\n', lines.size);
        const char *blank = memchr(lines.data, ' ', lines.size);
        int64_t next = 0;
        if (end == NULL || blank == NULL || blank > end ||
            !i64_get((fb_text){blank + 1, (size_t)(end - blank) - 1}, &next)) {
            return FB_E_CORRUPT;
        }
        FB_TRY(raise_counter(b->r, (fb_text){lines.data, (size_t)(blank - lines.data)}, next));
        lines.size -= (size_t)(end - lines.data) + 1;
        lines.data = end + 1;
    }
    return FB_OK;
}

static fb_code insert_group(replica *r, int64_t gseq, const stored_group *g, int64_t state)
{
    sql_stmt *s = sql_prepare(r->db, "INSERT OR REPLACE INTO fb_outbox (gseq, at_ms, kind, body,"
                                     " chain, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    sql_bind_int(s, 1, gseq);
    sql_bind_int(s, 2, g->at_ms);
    sql_bind_text(s, 3, g->kind);
    sql_bind_blob(s, 4, g->body.data, g->body.size);
    sql_bind_blob(s, 5, g->chain.b, sizeof g->chain.b);
    sql_bind_int(s, 6, state);
    return sql_run(s);
}

static fb_code insert_verdict(replica *r, int64_t gseq, fb_text line)
{
    reply_item item = {.line = LINE_END};
    arena_reset(r->scratch);
    fb_code rc = line.size > 0 ? reply_item_get(line, r->scratch, &item) : FB_OK;
    if (code_is_machines(rc)) {
        return rc;
    }
    if (rc != FB_OK || item.line != LINE_VERDICT) {
        return FB_OK; /* the tray shows the group without its reason */
    }
    sql_stmt *s =
        sql_prepare(r->db, "INSERT OR REPLACE INTO fb_verdict (gseq, code, cid, echo, in_effect,"
                           " body) VALUES (?1, ?2, ?3, ?4, 1, ?5)");
    sql_bind_int(s, 1, gseq);
    sql_bind_int(s, 2, item.verdict.code);
    sql_bind_int(s, 3, item.verdict.cid);
    sql_bind_int(s, 4, item.verdict.echo);
    sql_bind_text(s, 5, line);
    return sql_run(s);
}

static fb_code close_group(replica *r, int64_t gseq)
{
    return run_int(r, "UPDATE fb_outbox SET state=4 WHERE gseq=?1", gseq);
}

static fb_code take_group(building *b, const journal_record *record)
{
    stored_group g;
    FB_TRY(stored_group_get(record->payload, &g));
    if (record->type == JOURNAL_ARCHIVED) {
        FB_TRY(insert_group(b->r, record->gseq, &g, g.state));
        return insert_verdict(b->r, record->gseq, g.verdict);
    }
    b->groups++;
    bool closed = g.state == STATE_CLOSED;
    FB_TRY(insert_group(b->r, record->gseq, &g, closed ? STATE_CLOSED : STATE_PENDING));
    if (g.replaces != 0) {
        FB_TRY(close_group(b->r, g.replaces));
    }
    return take_numbers(b, g.numbers);
}

static fb_code take_draft(building *b, fb_text payload)
{
    draft d;
    FB_TRY(second_draft_get(payload, &d));
    sql_stmt *s = sql_prepare(
        b->r->db, d.body.size == 0 ? "DELETE FROM fb_draft WHERE id=?1"
                                   : "INSERT OR REPLACE INTO fb_draft (id, kind, updated_ms, body)"
                                     " VALUES (?1, ?2, ?3, ?4)");
    sql_bind_id(s, 1, &d.id);
    if (d.body.size > 0) {
        sql_bind_text(s, 2, d.kind);
        sql_bind_int(s, 3, d.updated_ms);
        sql_bind_text(s, 4, d.body);
    }
    return sql_run(s);
}

/* IT's fields; where the app's own catalogue is newer the server sends the joined one. */
static fb_code take_catalog(building *b, fb_text payload)
{
    buf text;
    bool changed = false;
    buf_init(&text, CATALOG_BYTES_MAX);
    fb_code rc = pack_get(&text, payload, CATALOG_BYTES_MAX);
    if (rc == FB_OK) {
        rc = catalog_install(b->r, buf_text(&text), &changed, b->err);
    }
    buf_clear(&text);
    return rc == FB_E_CATALOG ? FB_OK : rc;
}

static fb_code take(void *ctx, const journal_record *record)
{
    building *b = ctx;
    switch (record->type) {
    case JOURNAL_IDENTITY:
        return b->identity ? FB_OK : take_identity(b, record->payload);
    case JOURNAL_CATALOG:
        return take_catalog(b, record->payload);
    case JOURNAL_COUNTERS:
        return take_counters(b, record->payload);
    case JOURNAL_GROUP:
    case JOURNAL_ARCHIVED:
        return take_group(b, record);
    case JOURNAL_CLOSED:
        return close_group(b->r, record->gseq);
    case JOURNAL_DRAFT:
        return take_draft(b, record->payload);
    case JOURNAL_SALVAGE:
        if (record->payload.size == sizeof b->nonce) { /* as second_see */
            memcpy(b->nonce, record->payload.data, sizeof b->nonce);
        }
        return FB_OK;
    }
    return FB_OK;
}

/* As if everything up to the pruned end had been answered and backed up, and nothing behind. */
static fb_code set_marks(building *b)
{
    static const char *const marks[] = {"settled", "acked", "backed_up", "based", "pruned"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        FB_TRY(meta_put_int(b->r, marks[i], b->pruned));
    }
    FB_TRY(meta_put_int(b->r, "base_stale", 1));
    FB_TRY(meta_put_int(b->r, "blobs_adopt", 1)); /* before the first sweep: BLO-4 */
    FB_TRY(meta_put_blob(b->r, "salvaged", b->nonce, sizeof b->nonce));
    FB_TRY(meta_put_int(b->r, "salvaged_ms", b->r->port->wall_ms(b->r->port->ctx)));
    return meta_put_int(b->r, "salvaged_groups", b->groups);
}

/* What the pending groups inserted is seen at once. One that does not fit the empty base, or a
 * catalogue that is not here yet, is sent all the same. */
static fb_code show_pending(replica *r)
{
    for (int64_t g = 1; g <= r->state.last; g++) {
        bool found = false;
        int64_t state = 0;
        FB_TRY(read_int(r, "SELECT state FROM fb_outbox WHERE gseq=?1", g, &found, &state));
        if (!group_is_on_top(r, g, state)) {
            continue;
        }
        FB_TRY(sql_savepoint(r->db));
        fb_code rc = group_replay(r, g, REPLAY_PENDING);
        if (rc == FB_OK) {
            FB_TRY(sql_savepoint_release(r->db));
            continue;
        }
        sql_savepoint_undo(r->db);
        if (code_is_machines(rc)) {
            return rc;
        }
    }
    return FB_OK;
}

static fb_code fill(building *b, journal *j)
{
    FB_TRY(journal_follow(j, take, b));
    if (!b->identity) {
        return FB_E_CORRUPT;
    }
    FB_TRY(read_count(b->r, "SELECT count(*) FROM fb_draft", &b->drafts));
    FB_TRY(set_marks(b));
    FB_TRY(replica_reload(b->r));
    FB_TRY(rebirth_inside(b->r));
    FB_TRY(replica_reload(b->r));
    return show_pending(b->r);
}

static fb_code fill_in_transaction(building *b, journal *j)
{
    fb_code rc = sql_begin(b->r->db);
    if (rc != FB_OK) {
        return rc;
    }
    rc = fill(b, j);
    if (rc != FB_OK) {
        sql_rollback(b->r->db);
        return rc;
    }
    return sql_commit(b->r->db);
}

fb_code salvage_build(const replica_options *o, journal *j, replica **out, fb_error *err)
{
    replica *r = NULL;
    replica_options create = *o;
    create.create = true;
    FB_TRY(replica_open_plain(&create, &r, err));
    building b = {.r = r, .err = err};
    fb_code rc = fill_in_transaction(&b, j);
    if (rc == FB_OK) {
        second_verdict verdict;
        rc = second_start(r, &create, &verdict);
    }
    if (rc != FB_OK) {
        rc = code_is_machines(rc)
                 ? sql_fail(r, rc, err)
                 : fail(err, rc, "path",
                        "the second copy beside the database says what cannot be: keep the files, "
                        "enrol a new one, and export what is left of its outbox");
        replica_close(r);
        return rc;
    }
    observe_all(r);
    trace(r->port, TRACE_SALVAGE, "groups=%lld drafts=%lld life=%lld", (long long)b.groups,
          (long long)b.drafts, (long long)r->life);
    *out = r;
    return FB_OK;
}
