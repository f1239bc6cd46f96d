/* parked.c - rows that left this device while groups which nobody has judged yet need them.
 *
 * A row is needed by an open group (pending, held, or in the tray) that changes it or refers to it.
 * When it leaves (another territory, a right taken away) its copy is parked: out of every table and
 * list, shown with what the person has pending on it, no longer to be edited.
 *
 *   before rows go   parked_gather   copies of all that open groups need
 *   pages            page.c          what the server deleted is forgotten at once (parked_forget)
 *   after them       parked_settle   copies of rows that are still here go
 *   at the end       parked_prune    copies that no open group needs go, their bytes too (PUR-1)
 *
 *   PRK-1  a parked row is in no table of its entity
 *   PRK-2  after a promotion every parked row is needed by an open group
 *
 * A group that itself inserts the row needs no copy: its own effect is shown. */
#include <string.h>

#include "base/decimal.h"
#include "replica/room.h"
#include "schema/limits.h"

typedef fb_code (*need_fn)(void *ctx, const cat_entity *e, const fb_id *id, int64_t gseq);

typedef struct parking {
    replica *r;
    arena *memory;
    buf image;
} parking;

/* --- what open groups need ----------------------------------------------------------- */

static fb_code need_refs(replica *r, const group_op *op, int64_t gseq, need_fn fn, void *ctx)
{
    const cat_entity *e = op->entity;
    for (uint32_t i = 0; i < op->columns_count; i++) {
        const cat_column *c = &e->columns[op->columns[i]];
        if (c->type != CAT_REF || op->mine[i].kind != FB_KIND_ID) {
            continue;
        }
        fb_id id = op->mine[i].u.id;
        FB_TRY(alias_of(r, &id));
        FB_TRY(fn(ctx, &r->edition->catalog->entities[c->to_entity], &id, gseq));
    }
    return FB_OK;
}

static fb_code group_needs(replica *r, int64_t gseq, need_fn fn, void *ctx)
{
    group g;
    fb_code rc = group_load(r, gseq, &g);
    if (rc == FB_E_PROTOCOL) {
        return FB_OK; /* of a catalogue that is not here: nothing of it is shown either */
    }
    FB_TRY(rc);
    for (uint32_t i = 0; i < g.ops_count; i++) {
        const group_op *op = &g.ops[i];
        if (op->kind != OP_INSERT) {
            fb_id id = op->id;
            FB_TRY(alias_of(r, &id));
            FB_TRY(fn(ctx, op->entity, &id, gseq));
        }
        if (op->kind == OP_INSERT || op->kind == OP_UPDATE) {
            FB_TRY(need_refs(r, op, gseq, fn, ctx));
        }
    }
    return FB_OK;
}

static const char next_open_text[] =
    "SELECT gseq FROM fb_outbox WHERE gseq > ?1 AND gseq > 0 AND (state IN (1, 2, 3) OR"
    " (state=0 AND gseq > ?2)) ORDER BY gseq LIMIT 1";

static fb_code next_open(replica *r, int64_t *gseq, bool *found)
{
    sql_stmt *s = sql_prepare(r->db, next_open_text);
    sql_bind_int(s, 1, *gseq);
    sql_bind_int(s, 2, r->state.settled);
    FB_TRY(sql_step(s, found));
    if (*found) {
        *gseq = sql_int(s, 0);
        sql_reset(s);
    }
    return FB_OK;
}

static fb_code needs_each(replica *r, need_fn fn, void *ctx)
{
    int64_t gseq = 0;
    bool found = false;
    FB_TRY(next_open(r, &gseq, &found));
    while (found) {
        FB_TRY(group_needs(r, gseq, fn, ctx));
        FB_TRY(next_open(r, &gseq, &found));
    }
    return FB_OK;
}

static fb_code parked_any(replica *r, bool *out)
{
    int64_t any = 0;
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_parked)", &any));
    *out = any != 0;
    return FB_OK;
}

/* --- a promotion --------------------------------------------------------------------- */

static sql_stmt *statement_of(replica *r, const char *text, fb_text entity, const fb_id *id)
{
    sql_stmt *s = sql_prepare(r->db, text);
    sql_bind_text(s, 1, entity);
    sql_bind_id(s, 2, id);
    return s;
}

fb_code parked_has(replica *r, const cat_entity *e, const fb_id *id, bool *out)
{
    sql_stmt *s = statement_of(r, "SELECT 1 FROM fb_parked WHERE entity=?1 AND id=?2", e->name, id);
    FB_TRY(sql_step(s, out));
    sql_reset(s);
    return FB_OK;
}

static fb_code copy_row(void *ctx, const cat_entity *e, const fb_id *id, int64_t gseq)
{
    parking *w = ctx;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    bool here = false;
    FB_TRY(parked_has(w->r, e, id, &here));
    if (here) {
        return FB_OK;
    }
    arena_reset(w->memory);
    fb_code rc = row_load(w->r, plan_of(w->r, e), id, w->memory, values);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    buf_reset(&w->image);
    image_put_row(&w->image, e, values);
    FB_TRY(w->image.code);
    sql_stmt *s = statement_of(w->r,
                               "INSERT INTO fb_parked (entity, id, left_ms, gseq, body)"
                               " VALUES (?1, ?2, 0, ?3, ?4)",
                               e->name, id);
    sql_bind_int(s, 3, gseq);
    sql_bind_blob(s, 4, w->image.data, w->image.size);
    return sql_run(s);
}

fb_code parked_gather(replica *r)
{
    parking w = {.r = r, .memory = arena_new(ARENA_BYTES_LIMIT)};
    if (w.memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    buf_init(&w.image, (size_t)4 * GROUP_BYTES_MAX);
    fb_code rc = needs_each(r, copy_row, &w);
    buf_clear(&w.image);
    arena_free(w.memory);
    return rc;
}

fb_code parked_forget(replica *r, const cat_entity *e, const fb_id *id)
{
    return sql_run(statement_of(r, "DELETE FROM fb_parked WHERE entity=?1 AND id=?2", e->name, id));
}

/* The parked row behind (*entity, *id), whose name stands in entity->data. */
static fb_code parked_next(replica *r, fb_text *entity, char name[NAME_BYTES_MAX], fb_id *id,
                           bool *found)
{
    sql_stmt *s = sql_prepare(r->db, "SELECT entity, id FROM fb_parked WHERE (entity, id) >"
                                     " (?1, ?2) AND length(CAST(entity AS BLOB)) <= ?3"
                                     " ORDER BY entity, id LIMIT 1");
    sql_bind_text(s, 1, *entity);
    sql_bind_blob(s, 2, id->b, sizeof id->b);
    sql_bind_int(s, 3, NAME_BYTES_MAX);
    FB_TRY(sql_step(s, found));
    if (*found) {
        fb_text read = sql_text(s, 0);
        memcpy(name, read.data, read.size);
        *entity = (fb_text){name, read.size};
        *id = sql_id(s, 1);
        sql_reset(s);
    }
    return FB_OK;
}

fb_code parked_walk(replica *r, fb_code (*fn)(void *ctx, const cat_entity *e, const fb_id *id),
                    void *ctx)
{
    char name[NAME_BYTES_MAX];
    fb_text entity = {"", 0};
    fb_id id = {{0}};
    bool found = false;
    FB_TRY(parked_next(r, &entity, name, &id, &found));
    while (found) {
        const cat_entity *e = catalog_entity(r->edition->catalog, entity);
        FB_TRY(e != NULL ? fn(ctx, e, &id) : FB_OK);
        FB_TRY(parked_next(r, &entity, name, &id, &found));
    }
    return FB_OK;
}

static fb_code settle_one(void *ctx, const cat_entity *e, const fb_id *id)
{
    replica *r = ctx;
    bool here = false;
    entity_plan *p = plan_of(r, e);
    FB_TRY(row_exists(r, p, id, &here));
    if (here) {
        return parked_forget(r, e, id); /* PRK-1 */
    }
    sql_stmt *s = statement_of(r,
                               "UPDATE fb_parked SET left_ms=?3 WHERE entity=?1 AND id=?2 AND"
                               " left_ms=0",
                               e->name, id);
    int64_t now_ms = replica_now_ms(r, NULL, NULL);
    sql_bind_int(s, 3, now_ms > 0 ? now_ms : 1);
    return sql_run(s);
}

fb_code parked_settle(replica *r)
{
    return parked_walk(r, settle_one, r);
}

static fb_code mark_needed(void *ctx, const cat_entity *e, const fb_id *id, int64_t gseq)
{
    replica *r = ctx;
    sql_stmt *s =
        statement_of(r, "UPDATE fb_parked SET gseq=?3 WHERE entity=?1 AND id=?2", e->name, id);
    sql_bind_int(s, 3, gseq);
    return sql_run(s);
}

fb_code parked_prune(replica *r)
{
    bool any = false;
    FB_TRY(parked_any(r, &any));
    if (!any) {
        return FB_OK;
    }
    FB_TRY(run_text(r, "UPDATE fb_parked SET gseq=0"));
    FB_TRY(needs_each(r, mark_needed, r));
    FB_TRY(run_text(r, "DELETE FROM fb_parked WHERE gseq=0"));
    r->purge_due |= sql_changes(r->db) > 0;
    return FB_OK;
}

/* --- showing ------------------------------------------------------------------------- */

/* What is on top of the parked row: changes of columns, differences, a deletion. */
static void op_on(const group_op *op, fb_value *mine, arena *memory, bool *deleted)
{
    *deleted |= op->kind == OP_DELETE;
    for (uint32_t i = 0; i < op->columns_count; i++) {
        fb_value *at = &mine[op->columns[i]];
        if (op->kind == OP_DELTA) {
            int64_t now = value_number(at);
            *at = (fb_value){.kind = FB_KIND_INT, .u.i = now};
            (void)!i64_add(now, op->mine[i].u.i, &at->u.i);
        } else {
            *at = op->mine[i];
            copy_value(memory, at);
        }
    }
}

static fb_code groups_on(replica *r, parked_row *row, fb_value *mine, arena *memory)
{
    int64_t gseq = 0;
    bool found = false;
    FB_TRY(next_open(r, &gseq, &found));
    while (found) {
        group g;
        fb_code rc = group_load(r, gseq, &g);
        for (uint32_t i = 0; rc == FB_OK && i < g.ops_count; i++) {
            fb_id id = g.ops[i].id;
            FB_TRY(alias_of(r, &id));
            if (g.ops[i].kind != OP_INSERT && g.ops[i].entity == row->e &&
                id_equal(&id, &row->id)) {
                op_on(&g.ops[i], mine, memory, &row->deleted);
                row->changed = true;
            }
        }
        FB_TRY(rc == FB_E_PROTOCOL ? FB_OK : rc);
        FB_TRY(next_open(r, &gseq, &found));
    }
    return FB_OK;
}

fb_code parked_load(replica *r, const cat_entity *e, const fb_id *id, arena *memory,
                    parked_row *out, fb_value *theirs)
{
    bool found = false;
    sql_stmt *s = statement_of(
        r, "SELECT left_ms, gseq, body FROM fb_parked WHERE entity=?1 AND id=?2", e->name, id);
    FB_TRY(sql_step(s, &found));
    if (!found) {
        return FB_E_NOT_FOUND; /* another program's sync took it since it was listed */
    }
    *out = (parked_row){
        .e = e, .id = *id, .left_ms = sql_int(s, 0), .gseq = sql_int(s, 1), .theirs = theirs};
    fb_text body = arena_text(memory, sql_blob(s, 2));
    sql_reset(s);
    return body.data != NULL ? image_row_get(body, e, theirs) : FB_E_NO_MEMORY;
}

typedef struct showing {
    replica *r;
    arena *memory;
    fb_code (*fn)(void *ctx, const parked_row *row);
    void *ctx;
} showing;

static fb_code load_one(const showing *w, const cat_entity *e, const fb_id *id, parked_row *row,
                        fb_value *theirs, fb_value *mine)
{
    arena_reset(w->memory);
    FB_TRY(parked_load(w->r, e, id, w->memory, row, theirs));
    memcpy(mine, theirs, e->columns_count * sizeof *mine);
    row->mine = mine;
    return groups_on(w->r, row, mine, w->memory);
}

/* The row and the groups on it as of one moment. Who is shown it may write. */
static fb_code show_one(void *ctx, const cat_entity *e, const fb_id *id)
{
    const showing *w = ctx;
    fb_value theirs[CATALOG_COLUMNS_LIMIT];
    fb_value mine[CATALOG_COLUMNS_LIMIT];
    parked_row row;
    bool own = false;
    fb_code rc = replica_view_begin(w->r, &own);
    if (rc == FB_OK) {
        e = catalog_entity(w->r->edition->catalog, e->name); /* it may have come just now */
        rc = e != NULL ? load_one(w, e, id, &row, theirs, mine) : FB_E_NOT_FOUND;
    }
    replica_view_end(w->r, own);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    return w->fn(w->ctx, &row);
}

fb_code parked_each(replica *r, fb_code (*fn)(void *ctx, const parked_row *row), void *ctx)
{
    FB_REQUIRE(r != NULL && fn != NULL && !r->capture.open);
    FB_TRY(replica_refresh(r));
    arena *memory = arena_new(ARENA_BYTES_LIMIT);
    if (memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = parked_walk(r, show_one, &(showing){r, memory, fn, ctx});
    arena_free(memory);
    return rc;
}
