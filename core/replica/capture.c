/* capture.c - a person's action while it is being saved: rows, before-images and the group's line
 * grow together inside one write transaction, and commit makes all of it durable at once (OUT-1).
 *
 * Asks rules/ whether each op is allowed and writes nothing it refuses. Leaves what later happens
 * to the group to promote.c. A failed op leaves the group as it was; the caller aborts or goes on.
 */
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "base/trace.h"
#include "replica/room.h"
#include "schema/limits.h"

/* --- begin, end ---------------------------------------------------------------------- */

static fb_code check_may_begin(replica *r, const char *kind, fb_error *err)
{
    if (r->capture.open) {
        return fail(err, FB_E_MISUSE, "", "a group is open already: commit or abort it first");
    }
    if (kind == NULL || kind[0] == '\0' || strlen(kind) > NAME_BYTES_MAX) {
        return fail(err, FB_E_MISUSE, "kind", "a group needs a kind of 1 to %d bytes",
                    (int)NAME_BYTES_MAX);
    }
    return FB_OK;
}

static void capture_start(replica *r, const char *kind, int64_t captured_at_ms, int64_t replaces)
{
    capture *c = &r->capture;
    int64_t offset = 0;
    bool suspect = false;
    int64_t now = replica_now_ms(r, &offset, &suspect);

    c->open = true;
    c->serial++;
    c->ops = 0;
    c->needs_image = false;
    c->drafts_gone_count = 0;
    arena_reset(c->memory);
    buf_reset(&c->numbers);
    buf_reset(&c->body);
    buf_reset(&c->image);
    c->head = (group_head){.kind = arena_text(c->memory, text_of(kind)),
                           .captured_at_ms = captured_at_ms != 0 ? captured_at_ms : now,
                           .offset_ms = offset,
                           .clock_suspect = suspect,
                           .catalog_version = r->edition->catalog->version,
                           .replaces = replaces > 0 ? replaces : 0};
    if (c->head.replaces != 0) {
        c->head.replaces_in = r->me.incarnation;
    }
    c->replaces = replaces;
    group_put_begin(&c->writer, &c->body, &c->head);
}

fb_code capture_begin(replica *r, const char *kind, int64_t captured_at_ms, int64_t replaces,
                      fb_error *err)
{
    FB_REQUIRE(r != NULL);
    FB_TRY(check_may_begin(r, kind, err));
    if (r->read_only) {
        return fail(err, FB_E_READ_ONLY, "",
                    "the database was opened for reading: open it for writing");
    }
    fb_code rc = sql_begin(r->db);
    if (rc != FB_OK) {
        return sql_fail(r, rc, err);
    }
    rc = replica_refresh(r);
    if (rc != FB_OK) {
        sql_rollback(r->db);
        return sql_fail(r, rc, err);
    }
    if (!r->me.enrolled) {
        sql_rollback(r->db);
        return fail(err, FB_E_AUTH, "", "the device is not enrolled yet: enrol it first");
    }
    capture_start(r, kind, captured_at_ms, replaces);
    if (r->capture.head.kind.data == NULL) {
        capture_abort(r);
        return fail(err, FB_E_NO_MEMORY, "", "out of memory: close something and try again");
    }
    return FB_OK;
}

bool capture_is_open(const replica *r)
{
    return r->capture.open;
}

void capture_abort(replica *r)
{
    if (r->capture.open) {
        sql_rollback(r->db);
        r->capture.open = false;
        rights_forget(r); /* they may have been read from rows that are gone now */
    }
}

static void note_drafts_gone(replica *r)
{
    buf payload;
    buf_init(&payload, 256);
    for (uint32_t i = 0; i < r->capture.drafts_gone_count; i++) {
        const draft gone = {.id = r->capture.drafts_gone[i]};
        buf_reset(&payload);
        second_draft_put(&payload, &gone);
        second_note(r, JOURNAL_DRAFT, 0, buf_text(&payload));
    }
    buf_clear(&payload);
}

/* Rows, group and before-images are in the transaction; the second copy's record comes last, so
 * that nothing but the commit is between it and its mark. */
static fb_code write_group(replica *r, const digest *chain)
{
    capture *c = &r->capture;
    int64_t gseq = r->state.last + 1;
    if (c->needs_image) {
        FB_TRY(image_store(r, gseq, &c->image));
    }
    fb_text stored = outbox_pack(r, buf_text(&c->body));
    FB_TRY(outbox_append(r, gseq, &c->head, stored, chain));
    const stored_group g = {.at_ms = c->head.captured_at_ms,
                            .replaces = c->replaces,
                            .chain = *chain,
                            .kind = c->head.kind,
                            .numbers = buf_text(&c->numbers),
                            .body = stored};
    FB_TRY(c->numbers.code);
    note_drafts_gone(r);
    FB_TRY(second_payload(r, &g));
    return second_prepare(r, gseq);
}

static fb_code refuse_broken(replica *r, fb_error *err)
{
    fb_code code = r->capture.body.code != FB_OK ? r->capture.body.code : r->capture.image.code;
    capture_abort(r);
    if (code == FB_E_LIMIT) {
        return fail(err, code, "", "one action may hold at most %d bytes: split it",
                    (int)GROUP_BYTES_MAX);
    }
    return fail(err, code, "", "a step of this action failed before: nothing was saved; try again");
}

fb_code capture_commit(replica *r, int64_t *gseq_out, fb_error *err)
{
    FB_REQUIRE(r != NULL && gseq_out != NULL && r->capture.open);
    capture *c = &r->capture;
    digest chain;

    if (c->ops == 0) {
        capture_abort(r);
        *gseq_out = 0;
        return FB_OK;
    }
    group_put_end(&c->writer);
    if (c->body.code != FB_OK || c->image.code != FB_OK) {
        return refuse_broken(r, err);
    }
    digest_chain(&r->state.chain_last, c->body.data, c->body.size, &chain);
    fb_code rc = write_group(r, &chain);
    if (rc == FB_OK) {
        rc = sql_commit(r->db);
    }
    if (rc != FB_OK) {
        (void)sql_fail(r, rc, err);
        second_withdraw(r);
        capture_abort(r);
        return rc;
    }
    c->open = false;
    r->state.last++;
    r->state.chain_last = chain;
    *gseq_out = r->state.last;
    second_confirm(r, r->state.last, &chain);
    second_tend(r);
    trace(r->port, TRACE_CAPTURE, "gseq=%lld ops=%u bytes=%zu", (long long)*gseq_out,
          (unsigned)c->ops, c->body.size);
    return FB_OK;
}

/* --- what every op asks first -------------------------------------------------------- */

/* SQLite may have rolled the whole transaction back (disk full): nothing may be added to this group
 * any more, and its commit must fail. The sticky code of the body says so. */
static fb_code op_broke(replica *r, fb_code rc, fb_error *err)
{
    if (r->capture.body.code == FB_OK) {
        r->capture.body.code = rc;
    }
    return sql_fail(r, rc, err);
}

static fb_code op_start(replica *r, const cat_entity *e, entity_plan **plan_out, fb_error *err)
{
    FB_REQUIRE(r != NULL && e != NULL && r->capture.open);
    if (r->capture.body.code != FB_OK || r->capture.image.code != FB_OK) {
        return fail(err, FB_E_STATE, "",
                    "an earlier step of this action failed: abort it and start again");
    }
    if (r->capture.ops >= GROUP_OPS_MAX) {
        return fail(err, FB_E_LIMIT, "", "one action may change at most %d records: split it",
                    (int)GROUP_OPS_MAX);
    }
    entity_plan *p = plan_if_ours(r, e);
    if (p == NULL) {
        return fail(err, FB_E_MISUSE, "", "the entity is not one of this replica's catalogue");
    }
    if (p->rights_serial != r->rights_serial) {
        fb_code rc = replica_rights(r, e, &p->rights);
        if (rc == FB_E_AUTH) {
            return fail(err, rc, "",
                        "nothing was synced yet, so your rights are not known: sync once first");
        }
        if (rc != FB_OK) {
            return op_broke(r, rc, err);
        }
        p->rights_serial = r->rights_serial;
    }
    *plan_out = p;
    return FB_OK;
}

static void op_done(replica *r, const cat_entity *e, const group_op *op)
{
    group_put_op(&r->capture.writer, op);
    r->capture.ops++;
    observe_entity(r, e);
}

static fb_code op_row(replica *r, entity_plan *p, const fb_id *id, fb_value *current, fb_error *err)
{
    bool parked = false;
    fb_code rc = row_load(r, p, id, r->capture.memory, current);
    bool missing = rc == FB_E_NOT_FOUND;
    rc = missing ? parked_has(r, p->entity, id, &parked) : rc;
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    if (parked) {
        return fail(err, FB_E_SCOPE, "id",
                    "this %.*s has left your area: what you changed before is sent, no more can be "
                    "changed; ask your manager",
                    (int)p->entity->name.size, p->entity->name.data);
    }
    if (missing) {
        return fail(err, FB_E_NOT_FOUND, "id",
                    "there is no such %.*s: it may have left your territory; read again",
                    (int)p->entity->name.size, p->entity->name.data);
    }
    return FB_OK;
}

/* --- insert -------------------------------------------------------------------------- */

/* The op's columns: the last list of this entity when it covers the row (rows of one order then
 * share one list), else the row's own. */
static const int *insert_columns(replica *r, entity_plan *p, const fb_value *values,
                                 uint32_t *count_out)
{
    uint8_t wanted[CATALOG_COLUMNS_LIMIT] = {0};
    uint32_t count = 0;
    uint32_t covered = 0;

    for (uint32_t i = 0; i < p->entity->columns_count; i++) {
        wanted[i] = p->carried[i] && values[i].kind != FB_KIND_NULL;
        count += wanted[i];
    }
    if (p->insert_serial == r->capture.serial) {
        for (uint32_t i = 0; i < p->insert_count; i++) {
            covered += wanted[p->insert_columns[i]];
        }
        if (covered == count) {
            *count_out = p->insert_count;
            return p->insert_columns;
        }
    }
    int *made = arena_take(r->capture.memory, (count + 1) * sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    uint32_t n = 0;
    for (int i = 0; i < (int)p->entity->columns_count; i++) {
        if (wanted[i]) {
            made[n++] = i;
        }
    }
    p->insert_columns = made;
    p->insert_count = count;
    p->insert_serial = r->capture.serial;
    *count_out = count;
    return made;
}

static fb_code put_insert(replica *r, entity_plan *p, const fb_value *values)
{
    fb_value mine[CATALOG_COLUMNS_LIMIT];
    group_op op = {.kind = OP_INSERT, .entity = p->entity, .id = values[0].u.id, .mine = mine};

    op.columns = insert_columns(r, p, values, &op.columns_count);
    if (op.columns == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < op.columns_count; i++) {
        mine[i] = values[op.columns[i]];
    }
    image_put_insert(&r->capture.image, p->entity, &op.id);
    op_done(r, p->entity, &op);
    return FB_OK;
}

static fb_code check_insert(replica *r, const entity_plan *p, const fb_value *values, fb_error *err)
{
    issue found;
    fb_code rc =
        row_check_insert(p->entity, values, &p->rights, r->capture.head.captured_at_ms, &found);
    return rc == FB_OK ? FB_OK : issue_to_error(&found, err);
}

fb_code capture_insert(replica *r, const cat_entity *e, fb_value *values, fb_error *err)
{
    entity_plan *p = NULL;
    FB_REQUIRE(values != NULL);
    FB_TRY(op_start(r, e, &p, err));
    if (values[0].kind != FB_KIND_ID || id_is_none(&values[0].u.id)) {
        return fail(err, FB_E_REQUIRED, "id", "a new %.*s needs an id: make one with id_make",
                    (int)e->name.size, e->name.data);
    }
    values[cat_ver_column(e)] = (fb_value){.kind = FB_KIND_INT, .u.i = 0};
    stamp_insert(r, p, r->capture.head.captured_at_ms, values);
    fb_code rc = alias_values(r, e, NULL, values, e->columns_count);
    if (rc == FB_OK) {
        rc = row_derive(e, values, r->capture.memory);
    }
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    FB_TRY(check_insert(r, p, values, err));
    rc = row_insert(r, p, values);
    if (rc == FB_E_EXISTS) {
        return fail(err, rc, "id", "this %.*s exists already: change it instead", (int)e->name.size,
                    e->name.data);
    }
    if (rc == FB_OK) {
        rc = put_insert(r, p, values);
    }
    return rc == FB_OK ? FB_OK : op_broke(r, rc, err);
}

/* --- update -------------------------------------------------------------------------- */

/* A change in the making: the person's columns first, then derived ones and stamps. */
typedef struct change {
    int columns[CATALOG_COLUMNS_LIMIT + 8];
    fb_value values[CATALOG_COLUMNS_LIMIT + 8];
    uint32_t count;
} change;

static fb_code change_take(const cat_entity *e, const int *columns, const fb_value *mine,
                           uint32_t count, change *out, fb_error *err)
{
    if (count > CATALOG_COLUMNS_LIMIT) {
        return fail(err, FB_E_LIMIT, "", "a change names more columns than there are");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i] <= 0 || columns[i] >= cat_ver_column(e)) {
            return fail(err, FB_E_MISUSE, "id", "id and ver cannot be set: leave them out");
        }
        for (uint32_t k = 0; k < i; k++) {
            if (columns[k] == columns[i]) {
                return fail(err, FB_E_MISUSE, "", "a column is named twice: name it once");
            }
        }
        out->columns[i] = columns[i];
        out->values[i] = mine[i];
    }
    out->count = count;
    return FB_OK;
}

/* Drop what is unchanged, and keep the order: carried columns first. Returns how many of them. */
static uint32_t change_reduce(const entity_plan *p, const fb_value *current, change *c)
{
    change kept = {.count = 0};
    uint32_t carried = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < c->count; i++) {
            bool mine = p->carried[c->columns[i]];
            if (mine != (pass == 0) || fb_value_equal(&c->values[i], &current[c->columns[i]])) {
                continue;
            }
            kept.columns[kept.count] = c->columns[i];
            kept.values[kept.count] = c->values[i];
            kept.count++;
            carried += mine;
        }
    }
    *c = kept;
    return carried;
}

static fb_code put_change(replica *r, entity_plan *p, const fb_id *id, const fb_value *current,
                          op_kind kind, change *c, uint32_t carried, const fb_value *mine)
{
    fb_value old[CATALOG_COLUMNS_LIMIT + 8];
    stamp_update(r, p, r->capture.head.captured_at_ms, c->columns, c->values, &c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        old[i] = current[c->columns[i]];
    }
    FB_TRY(row_update(r, p, id, c->columns, c->values, c->count));
    image_put_set(&r->capture.image, p->entity, id, c->columns, old, c->count);
    r->capture.needs_image = true;
    const group_op op = {.kind = kind,
                         .entity = p->entity,
                         .id = *id,
                         .base_ver = current[cat_ver_column(p->entity)].u.i,
                         .columns_count = carried,
                         .columns = c->columns,
                         .base = kind == OP_UPDATE ? old : NULL,
                         .mine = mine};
    op_done(r, p->entity, &op);
    return FB_OK;
}

static fb_code check_update(replica *r, const entity_plan *p, const fb_value *current,
                            const change *c, uint32_t carried, fb_error *err)
{
    issue found;
    fb_code rc = row_check_update(p->entity, current, c->columns, c->values, carried, &p->rights,
                                  r->capture.head.captured_at_ms, &found);
    return rc == FB_OK ? FB_OK : issue_to_error(&found, err);
}

fb_code capture_update(replica *r, const cat_entity *e, const fb_id *id, const int *columns,
                       const fb_value *mine, uint32_t count, fb_error *err)
{
    fb_value current[CATALOG_COLUMNS_LIMIT];
    entity_plan *p = NULL;
    change c;
    FB_REQUIRE(id != NULL && (count == 0 || (columns != NULL && mine != NULL)));
    FB_TRY(op_start(r, e, &p, err));
    FB_TRY(change_take(e, columns, mine, count, &c, err));
    fb_id row = *id;
    fb_code rc = alias_of(r, &row);
    if (rc == FB_OK) {
        rc = alias_values(r, e, c.columns, c.values, c.count);
    }
    if (rc == FB_OK) {
        rc = row_derive_update(e, c.columns, c.values, &c.count, CATALOG_COLUMNS_LIMIT,
                               r->capture.memory);
    }
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    FB_TRY(op_row(r, p, &row, current, err));
    uint32_t carried = change_reduce(p, current, &c);
    if (carried == 0) {
        return FB_OK;
    }
    FB_TRY(check_update(r, p, current, &c, carried, err));
    rc = put_change(r, p, &row, current, OP_UPDATE, &c, carried, c.values);
    return rc == FB_OK ? FB_OK : op_broke(r, rc, err);
}

/* --- delta, delete ------------------------------------------------------------------- */

static fb_code check_delta(const entity_plan *p, int column, const fb_value *sum, fb_error *err)
{
    const cat_column *c = &p->entity->columns[column];
    if (c->policy != CAT_DELTA) {
        return fail(err, FB_E_FORBIDDEN, "column",
                    "%.*s is not a quantity that takes differences: set it instead",
                    (int)c->name.size, c->name.data);
    }
    if (!p->rights.update || !p->entity->device_writes) {
        return fail(err, FB_E_FORBIDDEN, "", "your role may not change %.*s: ask the administrator",
                    (int)p->entity->name.size, p->entity->name.data);
    }
    return cat_value_check(p->entity, column, sum, err);
}

fb_code capture_delta(replica *r, const cat_entity *e, const fb_id *id, int column,
                      int64_t difference, fb_error *err)
{
    fb_value current[CATALOG_COLUMNS_LIMIT];
    entity_plan *p = NULL;
    int64_t sum = 0;
    FB_REQUIRE(id != NULL && e != NULL && column > 0 && column < cat_ver_column(e));
    FB_TRY(op_start(r, e, &p, err));
    fb_id row = *id;
    fb_code rc = alias_of(r, &row);
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    FB_TRY(op_row(r, p, &row, current, err));
    if (difference == 0) {
        return FB_OK;
    }
    if (!i64_add(value_number(&current[column]), difference, &sum)) {
        return fail(err, FB_E_RANGE, "difference",
                    "the sum is too large: use a smaller difference");
    }
    change c = {.columns = {column}, .values = {{.kind = FB_KIND_INT, .u.i = sum}}, .count = 1};
    const fb_value mine = {.kind = FB_KIND_INT, .u.i = difference};
    FB_TRY(check_delta(p, column, &c.values[0], err));
    rc = put_change(r, p, &row, current, OP_DELTA, &c, 1, &mine);
    return rc == FB_OK ? FB_OK : op_broke(r, rc, err);
}

fb_code capture_delete(replica *r, const cat_entity *e, const fb_id *id, fb_error *err)
{
    fb_value current[CATALOG_COLUMNS_LIMIT];
    entity_plan *p = NULL;
    issue found;
    FB_REQUIRE(id != NULL);
    FB_TRY(op_start(r, e, &p, err));
    fb_id row = *id;
    fb_code rc = alias_of(r, &row);
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    FB_TRY(op_row(r, p, &row, current, err));
    if (row_check_delete(e, current, &p->rights, &found) != FB_OK) {
        return issue_to_error(&found, err);
    }
    rc = row_remove(r, p, &row);
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    image_put_row(&r->capture.image, e, current);
    r->capture.needs_image = true;
    const group_op op = {
        .kind = OP_DELETE, .entity = e, .id = row, .base_ver = current[cat_ver_column(e)].u.i};
    op_done(r, e, &op);
    return FB_OK;
}

/* --- document numbers ---------------------------------------------------------------- */

fb_code capture_number(replica *r, const char *prefix, buf *out, fb_error *err)
{
    FB_REQUIRE(r != NULL && prefix != NULL && out != NULL && r->capture.open);
    bool row = false;
    sql_stmt *s =
        sql_prepare(r->db, "INSERT INTO fb_counter (name, next) VALUES (?1, 2)"
                           " ON CONFLICT (name) DO UPDATE SET next=next+1 RETURNING next-1");
    sql_bind_text(s, 1, text_of(prefix));
    fb_code rc = sql_step(s, &row);
    if (rc != FB_OK) {
        return op_broke(r, rc, err);
    }
    FB_ASSERT(row); /* RETURNING always has one */
    long long number = (long long)sql_int(s, 0);
    sql_reset(s);
    buf_printf(&r->capture.numbers, "%s %lld\n", prefix, number + 1);
    buf_printf(out, "%s-%s-%06lld", prefix, r->me.device_code, number);
    return out->code == FB_OK
               ? FB_OK
               : fail(err, out->code, "prefix", "the number does not fit its buffer");
}
