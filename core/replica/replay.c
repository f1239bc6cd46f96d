/* replay.c - a stored group onto the tables, as data: it cannot throw, only no longer apply.
 *
 * Two modes (room.h). Stamps and derived columns are made again from the group's head and the
 * identity, exactly as capture made them, so that undo and replay change nothing (PRO-1).
 *
 *   insert  row is there already, or its id became an alias: left alone
 *   update  row is gone: skipped, with a warning when pending
 *   delete  row is gone: nothing to do
 *   delta   row is gone or the sum does not fit: skipped, with a warning when pending
 *   all     the catalogue in use lacks the entity: the group is skipped, with a warning
 *
 * An image is kept for every group that did anything but insert all its rows; a group of inserts
 * that found one already there needs one too, because its body would delete that row. */
#include <string.h>

#include "base/decimal.h"
#include "replica/room.h"

typedef struct replay {
    replica *r;
    int64_t gseq;
    replay_mode mode;
    const group *g;
    const int64_t *versions; /* REPLAY_BASE: by op; NULL: not known */
    bool needs_image;
} replay;

fb_code group_load(replica *r, int64_t gseq, group *out)
{
    FB_TRY(outbox_body(r, gseq, &r->packed));
    arena_reset(r->scratch);
    fb_text body = arena_text(r->scratch, buf_text(&r->packed));
    if (body.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = group_get(body, r->edition->catalog, r->scratch, out, NULL);
    return rc == FB_OK || rc == FB_E_NO_MEMORY || rc == FB_E_PROTOCOL ? rc : file_broken(r);
}

static fb_code warn(replay *w, const group_op *op, const char *word)
{
    return w->mode == REPLAY_BASE ? FB_OK : warning_add(w->r, w->gseq, word, op);
}

static fb_code warn_missing(replay *w, const group_op *op, const fb_id *id)
{
    bool parked = false;
    FB_TRY(parked_has(w->r, op->entity, id, &parked));
    return warn(w, op, parked ? "left" : "gone");
}

static bool keeps_image(const replay *w)
{
    return w->mode == REPLAY_PENDING;
}

/* The version that the server gave to the op's row; 0: none, or not known. */
static int64_t version_of(const replay *w, const group_op *op)
{
    return w->versions != NULL ? w->versions[op - w->g->ops] : 0;
}

static fb_code replay_insert(replay *w, entity_plan *p, const group_op *op)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    const cat_entity *e = op->entity;
    fb_id id = op->id;
    bool there = false;

    FB_TRY(alias_of(w->r, &id));
    if (id_equal(&id, &op->id)) {
        FB_TRY(row_exists(w->r, p, &id, &there));
    } else {
        there = true;
    }
    if (there) {
        w->needs_image = true;
        return FB_OK;
    }
    memset(values, 0, e->columns_count * sizeof values[0]);
    for (uint32_t i = 0; i < op->columns_count; i++) {
        values[op->columns[i]] = op->mine[i];
    }
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = id};
    values[cat_ver_column(e)] = (fb_value){.kind = FB_KIND_INT, .u.i = version_of(w, op)};
    stamp_insert(w->r, p, w->g->head.captured_at_ms, values);
    FB_TRY(alias_values(w->r, e, NULL, values, e->columns_count));
    FB_TRY(row_derive(e, values, w->r->scratch));
    FB_TRY(row_insert(w->r, p, values));
    sums_add(w->r, e, &id, version_of(w, op));
    if (keeps_image(w)) {
        image_put_insert(&w->r->capture.image, e, &id);
    }
    return FB_OK;
}

/* Set columns of a row that is there, remembering what they were. */
static fb_code set_columns(replay *w, entity_plan *p, const fb_id *id, const fb_value *current,
                           int *columns, fb_value *values, uint32_t count, int64_t version)
{
    fb_value old[CATALOG_COLUMNS_LIMIT];
    const int ver = cat_ver_column(p->entity);
    if (version > 0) {
        sums_take(w->r, p->entity, id, value_number(&current[ver]));
        sums_add(w->r, p->entity, id, version);
        columns[count] = ver;
        values[count++] = (fb_value){.kind = FB_KIND_INT, .u.i = version};
    }
    for (uint32_t i = 0; i < count; i++) {
        old[i] = current[columns[i]];
    }
    if (keeps_image(w)) {
        image_put_set(&w->r->capture.image, p->entity, id, columns, old, count);
        w->needs_image = true;
    }
    return row_update(w->r, p, id, columns, values, count);
}

static fb_code replay_update(replay *w, entity_plan *p, const group_op *op)
{
    fb_value current[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    int columns[CATALOG_COLUMNS_LIMIT];
    uint32_t count = op->columns_count;
    fb_id id = op->id;

    FB_TRY(alias_of(w->r, &id));
    fb_code rc = row_load(w->r, p, &id, w->r->scratch, current);
    if (rc == FB_E_NOT_FOUND) {
        w->needs_image = true;
        return warn_missing(w, op, &id);
    }
    FB_TRY(rc);
    memcpy(columns, op->columns, count * sizeof columns[0]);
    memcpy(values, op->mine, count * sizeof values[0]);
    FB_TRY(alias_values(w->r, op->entity, columns, values, count));
    FB_TRY(row_derive_update(op->entity, columns, values, &count, CATALOG_COLUMNS_LIMIT,
                             w->r->scratch));
    stamp_update(w->r, p, w->g->head.captured_at_ms, columns, values, &count);
    return set_columns(w, p, &id, current, columns, values, count, version_of(w, op));
}

static fb_code replay_delete(replay *w, entity_plan *p, const group_op *op)
{
    fb_value current[CATALOG_COLUMNS_LIMIT];
    fb_id id = op->id;

    FB_TRY(alias_of(w->r, &id));
    w->needs_image = true;
    fb_code rc = row_load(w->r, p, &id, w->r->scratch, current);
    if (rc == FB_E_NOT_FOUND) {
        return FB_OK;
    }
    FB_TRY(rc);
    if (keeps_image(w)) {
        image_put_row(&w->r->capture.image, op->entity, current);
    }
    sums_take(w->r, op->entity, &id, value_number(&current[cat_ver_column(op->entity)]));
    return row_remove(w->r, p, &id);
}

/* current + difference for every column of the op; false when one does not fit. */
static bool sum_columns(const group_op *op, const fb_value *current, int *columns, fb_value *values)
{
    for (uint32_t i = 0; i < op->columns_count; i++) {
        int64_t sum = 0;
        if (!i64_add(value_number(&current[op->columns[i]]), op->mine[i].u.i, &sum)) {
            return false;
        }
        columns[i] = op->columns[i];
        values[i] = (fb_value){.kind = FB_KIND_INT, .u.i = sum};
    }
    return true;
}

static fb_code replay_delta(replay *w, entity_plan *p, const group_op *op)
{
    fb_value current[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    int columns[CATALOG_COLUMNS_LIMIT];
    uint32_t count = op->columns_count;
    fb_id id = op->id;

    FB_TRY(alias_of(w->r, &id));
    w->needs_image = true;
    fb_code rc = row_load(w->r, p, &id, w->r->scratch, current);
    if (rc == FB_E_NOT_FOUND) {
        return warn_missing(w, op, &id);
    }
    FB_TRY(rc);
    if (!sum_columns(op, current, columns, values)) {
        return warn(w, op, "sum");
    }
    stamp_update(w->r, p, w->g->head.captured_at_ms, columns, values, &count);
    return set_columns(w, p, &id, current, columns, values, count, version_of(w, op));
}

static fb_code replay_op(replay *w, const group_op *op)
{
    entity_plan *p = plan_of(w->r, op->entity);
    observe_entity(w->r, op->entity);
    switch (op->kind) {
    case OP_INSERT:
        return replay_insert(w, p, op);
    case OP_UPDATE:
        return replay_update(w, p, op);
    case OP_DELETE:
        return replay_delete(w, p, op);
    case OP_DELTA:
        return replay_delta(w, p, op);
    }
    return file_broken(w->r);
}

fb_code group_replay(replica *r, int64_t gseq, replay_mode mode)
{
    group g;
    FB_ASSERT(!r->capture.open);
    replay w = {.r = r, .gseq = gseq, .mode = mode, .g = &g};
    buf_reset(&r->capture.image);
    fb_code rc = group_load(r, gseq, &g);
    if (rc == FB_E_PROTOCOL && mode == REPLAY_PENDING) {
        /* The server that is met anew does not know an entity: it will say so in its verdict. */
        FB_TRY(warn(&w, NULL, "catalog"));
        return image_store(r, gseq, &r->capture.image);
    }
    FB_TRY(rc == FB_E_PROTOCOL ? file_broken(r) : rc);
    int64_t *versions = NULL;
    if (mode == REPLAY_BASE) {
        FB_TRY(own_versions(r, gseq, &g, &versions));
        r->sums.uncertain |= versions == NULL;
    }
    w.versions = versions;
    for (uint32_t i = 0; i < g.ops_count; i++) {
        FB_TRY(replay_op(&w, &g.ops[i]));
    }
    return w.needs_image && keeps_image(&w) ? image_store(r, gseq, &r->capture.image) : FB_OK;
}
