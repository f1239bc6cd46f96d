/* problem.c - the tray: groups that were refused or wait for a person, with what can be done.
 *
 * A refused group is closed in two ways only: discarded, or replaced by a new group with the same
 * ops as the person corrected them. A held one waits for the server. Nothing is rewritten (OUT-4).
 */
#include <stdio.h>

#include "replica/room.h"

/* --- reading ------------------------------------------------------------------------- */

typedef struct tray {
    replica *r;
    arena *memory;
    buf body;
    fb_code (*fn)(void *ctx, const problem *p);
    void *ctx;
} tray;

static verdict_code code_of_state(int64_t state)
{
    return state == STATE_HELD      ? VERDICT_HELD
           : state == STATE_BLOCKED ? VERDICT_BLOCKED
                                    : VERDICT_REJECTED;
}

static fb_code fill_verdict(tray *t, fb_text line, problem *out)
{
    reply_item item;
    if (line.size == 0) {
        return FB_OK; /* after a new epoch: not answered again yet */
    }
    FB_TRY(reply_item_get(line, t->memory, &item));
    const verdict_msg *v = &item.verdict;
    if (item.line != LINE_VERDICT || v->code != out->code) {
        return FB_OK;
    }
    out->error = v->error;
    out->field = v->field;
    out->text_en = v->text_en;
    out->text_zh = v->text_zh;
    out->cure_en = v->cure_en;
    out->cure_zh = v->cure_zh;
    out->who = v->who;
    out->blocked_by = v->blocked_by;
    out->verdict_json = line;
    return FB_OK;
}

static const char next_text[] =
    "SELECT o.gseq, o.kind, o.at_ms, o.state, o.body, coalesce(v.body, '') FROM fb_outbox o"
    " LEFT JOIN fb_verdict v ON v.gseq=o.gseq WHERE o.gseq > ?1 AND o.state<>0 AND o.state IN (1, "
    "2, 3)"
    " ORDER BY o.gseq LIMIT 1";

/* The one behind out->gseq. */
static fb_code tray_next(tray *t, problem *out, bool *found)
{
    sql_stmt *s = sql_prepare(t->r->db, next_text);
    sql_bind_int(s, 1, out->gseq);
    FB_TRY(sql_step(s, found));
    if (!*found) {
        return FB_OK;
    }
    *out = (problem){.gseq = sql_int(s, 0),
                     .code = code_of_state(sql_int(s, 3)),
                     .captured_at_ms = sql_int(s, 2)};
    out->kind = arena_text(t->memory, sql_text(s, 1));
    fb_text line = arena_text(t->memory, sql_text(s, 5));
    fb_code rc = body_unpack(&t->body, sql_blob(s, 4), (size_t)4 << 20);
    sql_reset(s);
    FB_TRY(rc);
    out->body = buf_text(&t->body);
    return out->kind.data != NULL && line.data != NULL ? fill_verdict(t, line, out)
                                                       : FB_E_NO_MEMORY;
}

/* One statement each: fn may close what it is shown. */
static fb_code tray_each(tray *t)
{
    problem p = {.gseq = INT64_MIN};
    bool found = false;
    FB_TRY(tray_next(t, &p, &found));
    while (found) {
        FB_TRY(t->fn(t->ctx, &p));
        FB_TRY(tray_next(t, &p, &found));
    }
    return FB_OK;
}

fb_code problem_each(replica *r, fb_code (*fn)(void *ctx, const problem *p), void *ctx)
{
    FB_REQUIRE(r != NULL && fn != NULL);
    tray t = {.r = r, .memory = arena_new(ARENA_BYTES_LIMIT), .fn = fn, .ctx = ctx};
    if (t.memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    buf_init(&t.body, (size_t)4 << 20);
    fb_code rc = tray_each(&t);
    buf_clear(&t.body);
    arena_free(t.memory);
    return rc;
}

/* --- closing ------------------------------------------------------------------------- */

/* Only refused groups may be closed by a person. */
static fb_code check_refused(replica *r, int64_t gseq, fb_error *err)
{
    bool found = false;
    int64_t state = 0;
    fb_code rc = read_int(r, "SELECT state FROM fb_outbox WHERE gseq=?1", gseq, &found, &state);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    if (!found) {
        return fail(err, FB_E_NOT_FOUND, "gseq", "there is no such problem: list them again");
    }
    if (state == STATE_HELD) {
        return fail(err, FB_E_STATE, "gseq",
                    "it waits for a decision on the server: ask the person named there");
    }
    if (state != STATE_REJECTED && state != STATE_BLOCKED) {
        return fail(err, FB_E_STATE, "gseq", "it is not an open problem: list them again");
    }
    return FB_OK;
}

static fb_code discard_inside(replica *r, int64_t gseq, fb_error *err)
{
    fb_code rc = replica_refresh(r);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    FB_TRY(check_refused(r, gseq, err));
    rc = outbox_state_put(r, gseq, STATE_CLOSED);
    second_note(r, JOURNAL_CLOSED, gseq, (fb_text){"", 0});
    rc = rc == FB_OK ? parked_prune(r) : rc;
    return rc == FB_OK ? FB_OK : sql_fail(r, rc, err);
}

fb_code problem_discard(replica *r, int64_t gseq, fb_error *err)
{
    FB_REQUIRE(r != NULL && !r->capture.open);
    fb_code rc = sql_begin(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    rc = discard_inside(r, gseq, err);
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return rc;
    }
    rc = sql_commit(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    second_tend(r); /* PUR-1: what was parked for it */
    return FB_OK;
}

/* --- sending again, corrected -------------------------------------------------------- */

static bool patch_is_for(const problem_patch *patch, const group_op *op)
{
    return text_equal(patch->entity->name, op->entity->name) && id_equal(&patch->id, &op->id);
}

static fb_code resubmit_insert(replica *r, const group_op *op, const problem_patch *patches,
                               uint32_t count, fb_error *err)
{
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = op->id};
    for (uint32_t i = 0; i < op->columns_count; i++) {
        values[op->columns[i]] = op->mine[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        if (patch_is_for(&patches[i], op)) {
            values[patches[i].column] = patches[i].value;
        }
    }
    return capture_insert(r, op->entity, values, err);
}

/* The group holds a difference of this column: the correction is one too, and no new value. */
static bool is_difference(const group *g, const problem_patch *patch)
{
    bool found = false;
    for (uint32_t i = 0; i < g->ops_count; i++) {
        const group_op *op = &g->ops[i];
        for (uint32_t k = 0; op->kind == OP_DELTA && k < op->columns_count; k++) {
            found |= op->columns[k] == patch->column && patch_is_for(patch, op);
        }
    }
    return found;
}

static fb_code resubmit_update(replica *r, const group *g, const group_op *op,
                               const problem_patch *patches, uint32_t count, fb_error *err)
{
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    uint32_t n = op->columns_count;
    for (uint32_t i = 0; i < n; i++) {
        columns[i] = op->columns[i];
        values[i] = op->mine[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        if (!patch_is_for(&patches[i], op) || is_difference(g, &patches[i])) {
            continue;
        }
        while (at < n && columns[at] != patches[i].column) {
            at++;
        }
        n += at == n;
        columns[at] = patches[i].column;
        values[at] = patches[i].value;
    }
    return capture_update(r, op->entity, &op->id, columns, values, n, err);
}

static fb_code resubmit_delta(replica *r, const group_op *op, const problem_patch *patches,
                              uint32_t count, fb_error *err)
{
    for (uint32_t i = 0; i < op->columns_count; i++) {
        int64_t difference = op->mine[i].u.i;
        for (uint32_t k = 0; k < count; k++) {
            if (patch_is_for(&patches[k], op) && patches[k].column == op->columns[i]) {
                difference = patches[k].value.u.i;
            }
        }
        FB_TRY(capture_delta(r, op->entity, &op->id, op->columns[i], difference, err));
    }
    return FB_OK;
}

static fb_code resubmit_op(replica *r, const group *g, const group_op *op,
                           const problem_patch *patches, uint32_t count, fb_error *err)
{
    switch (op->kind) {
    case OP_INSERT:
        return resubmit_insert(r, op, patches, count, err);
    case OP_UPDATE:
        return resubmit_update(r, g, op, patches, count, err);
    case OP_DELETE:
        return capture_delete(r, op->entity, &op->id, err);
    case OP_DELTA:
        return resubmit_delta(r, op, patches, count, err);
    }
    return FB_E_CORRUPT;
}

static fb_code check_patches(const group *g, const problem_patch *patches, uint32_t count,
                             fb_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        bool used = false;
        FB_REQUIRE(patches[i].entity != NULL && patches[i].column > 0 &&
                   (uint32_t)patches[i].column < patches[i].entity->columns_count);
        for (uint32_t k = 0; k < g->ops_count && !used; k++) {
            used = patch_is_for(&patches[i], &g->ops[k]);
        }
        if (!used) {
            return fail(err, FB_E_NOT_FOUND, "patches",
                        "a correction names a record that the group does not hold: leave it out");
        }
        const fb_text name = patches[i].entity->columns[patches[i].column].name;
        if (patches[i].value.kind != FB_KIND_INT && is_difference(g, &patches[i])) {
            char field[96];
            (void)snprintf(field, sizeof field, "%.*s", (int)name.size, name.data);
            return fail(err, FB_E_INVALID, field, "a difference is corrected with a whole number");
        }
    }
    return FB_OK;
}

/* The correction in the numbering of the catalogue the group is read with. */
static fb_code resubmit_inside(replica *r, int64_t gseq, const problem_patch *patches,
                               uint32_t count, fb_error *err)
{
    group g;
    FB_TRY(check_refused(r, gseq, err));
    fb_code rc = group_load(r, gseq, &g);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    FB_TRY(check_patches(&g, patches, count, err));
    for (uint32_t i = 0; i < g.ops_count; i++) {
        FB_TRY(resubmit_op(r, &g, &g.ops[i], patches, count, err));
    }
    if (r->capture.ops == 0) {
        return fail(err, FB_E_STATE, "gseq", "nothing is left to send: discard it instead");
    }
    rc = outbox_state_put(r, gseq, STATE_CLOSED);
    return rc == FB_OK ? FB_OK : sql_fail(r, rc, err);
}

static fb_code kind_of_group(replica *r, int64_t gseq, char *out, size_t size, fb_error *err)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT kind FROM fb_outbox WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    fb_code rc = sql_step(s, &row);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    if (!row) {
        return fail(err, FB_E_NOT_FOUND, "gseq", "there is no such problem: list them again");
    }
    fb_text kind = sql_text(s, 0);
    size_t n = kind.size < size ? kind.size : size - 1;
    for (size_t i = 0; i < n; i++) {
        out[i] = kind.data[i];
    }
    out[n] = '\0';
    sql_reset(s);
    return FB_OK;
}

fb_code problem_resubmit(replica *r, int64_t gseq, const problem_patch *patches, uint32_t count,
                         int64_t *gseq_out, fb_error *err)
{
    char kind[64];
    FB_REQUIRE(r != NULL && gseq_out != NULL && (patches != NULL || count == 0) &&
               !r->capture.open);
    FB_TRY(kind_of_group(r, gseq, kind, sizeof kind, err));
    FB_TRY(capture_begin(r, kind, 0, gseq, err));
    fb_code rc = resubmit_inside(r, gseq, patches, count, err);
    if (rc != FB_OK) {
        capture_abort(r);
        return rc;
    }
    return capture_commit(r, gseq_out, err);
}
