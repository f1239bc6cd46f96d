/* merge.c - three-way merge of the columns an op changes, and the records of what lost.
 *
 * base is what the device saw, mine what it wrote, theirs what the server has. base is what the
 * group names: a version proves nothing, the database may have been put back and given it again. A
 * step of a state machine that is still possible from the server's state is taken, otherwise the
 * server's state stays (DEC-3 keeps mine).
 */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

#include "rules/merge.h"

/* One op on its way: what will be written, in catalogue order of the op. */
typedef struct merging {
    const group_op *op;
    view_row *row;
    int64_t mine_at_ms; /* capture time, between the base's commit and receipt */
    int *columns;
    fb_value *values;
    uint32_t count, capacity;
} merging;

static const saying LOST = {FB_E_STATE, "this value can no longer be changed: someone was first",
                            "该值已被他人先行修改，不能再改", "sync and look at the record",
                            "请同步后查看该记录"};
static const saying NO_MEMBER = {
    FB_E_INVALID, "this value changes by differences only, or not at all",
    "该值只能按差额变更或不可变更", "sync and enter it again", "请同步后重新录入"};

/* A row that the device made itself has no base version yet, and a difference has none at all. */
static fb_code mine_time(decide *d, merging *m)
{
    int64_t base_at_ms = 0;
    m->mine_at_ms = d->at_ms;
    if (m->op->kind != OP_UPDATE || m->op->base_ver <= 0) {
        return FB_OK;
    }
    FB_TRY(base_time(d, m->op->base_ver, &base_at_ms));
    m->mine_at_ms = merge_clamp(d->g->head.captured_at_ms, base_at_ms, d->who->received_at_ms);
    return FB_OK;
}

/* Whose value the server has, and when it was captured. */
typedef struct author {
    int64_t at_ms;
    fb_id user;
} author;

/* A row whose column was not changed since it was made; one from before entries were kept is taken
 * for as late as its last change. */
static fb_code author_of_row(decide *d, const view_row *row, author *out)
{
    const entity_facts *f = facts_of(d, row->e);
    int64_t since_ms = 0, made_ms = value_int(row->before, f->created_at);
    FB_TRY(store_meta_int(d->view, "column_times_ms", 0, &since_ms));
    bool as_made = made_ms > 0 && made_ms >= since_ms;
    out->at_ms = as_made ? made_ms : value_int(row->before, f->updated_at);
    out->user = value_id(row->before, as_made ? f->created_by : f->updated_by);
    return out->at_ms > 0
               ? FB_OK
               : commit_time(d, value_int(row->before, cat_ver_column(row->e)), &out->at_ms);
}

/* Asked only where the server's value is not what the device saw. */
static fb_code theirs_read(decide *d, const view_row *row, int column, author *out)
{
    bool known = false;
    *out = (author){.user = value_id(row->values, facts_of(d, row->e)->updated_by)};
    if (row->before == NULL) {
        return FB_OK; /* made by this group: what it says last stands */
    }
    store_stmt *q = store_prepare(d->view, STORE_decide_column_time);
    store_bind_text(q, 1, row->e->name);
    store_bind_id(q, 2, &row->id);
    store_bind_text(q, 3, row->e->columns[column].name);
    FB_TRY(store_step(q, &known));
    if (!known) {
        return author_of_row(d, row, out);
    }
    out->at_ms = store_int(q, 0);
    out->user = store_is_null(q, 1) ? (fb_id){{0}} : store_id(q, 1);
    store_reset(q);
    return FB_OK;
}

static bool is_person_in_charge(const decide *d, const view_row *row)
{
    fb_id assigner = row_id(row->e, row->values, "assigner_id");
    return !id_is_none(&assigner) && id_equal(&assigner, &d->who->user);
}

static void take_column(merging *m, int column, const fb_value *v)
{
    FB_ASSERT(m->count < m->capacity);
    m->columns[m->count] = column;
    m->values[m->count++] = *v;
}

static fb_text policy_name(cat_policy p)
{
    static const char *const names[] = {"SW",  "LWW", "AO",  "DELTA", "SM", "MAX",
                                        "MIN", "SEQ", "RES", "MAN",   "SIG"};
    return text_of(names[p]);
}

/* Everything about one column both sides changed. */
typedef struct clash {
    int column;
    const fb_value *base, *mine, *theirs;
    author other; /* of theirs */
    bool mine_won;
} clash;

static fb_code merged_add(decide *d, const merging *m, const clash *c)
{
    const cat_column *col = &m->row->e->columns[c->column];
    merged_column *at = arena_take(d->memory, sizeof *at);
    char id[FB_ID_TEXT_BYTES];
    if (at == NULL) {
        return FB_E_NO_MEMORY;
    }
    id_put(&m->row->id, id);
    at->column = (verdict_column){.entity = m->row->e->name,
                                  .id = arena_text(d->memory, text_of(id)),
                                  .column = col->name,
                                  .mine_won = c->mine_won,
                                  .policy = policy_name(col->policy)};
    at->column.base = value_json(col, c->base, d->memory);
    at->column.mine = value_json(col, c->mine, d->memory);
    at->column.theirs = value_json(col, c->theirs, d->memory);
    *d->merged_end = at;
    d->merged_end = &at->next;
    d->merged_count++;
    return FB_OK;
}

static void fill_printed(decide *d, const cat_entity *ce, fb_value *row, const char *name,
                         const cat_entity *e, int column, const fb_value *v)
{
    buf text;
    if (v->kind == FB_KIND_NULL) {
        return;
    }
    buf_init(&text, 1 << 20);
    cat_value_print(e, column, v, false, &text);
    fill_text(ce, row, name, arena_keep(d->memory, &text));
}

static fb_id customer_of(const view_row *row)
{
    return text_is(row->e->name, "customer") ? row->id : row_id(row->e, row->values, "customer_id");
}

fb_id made_id(decide *d)
{
    struct {
        fb_id device, incarnation;
        int64_t gseq;
        uint64_t number;
    } place;
    digest hash;
    fb_id id;
    memset(&place, 0, sizeof place);
    place.device = d->who->device;
    place.incarnation = d->who->incarnation;
    place.gseq = d->who->gseq;
    place.number = ++d->made;
    digest_of(&place, sizeof place, &hash);
    memcpy(id.b, hash.b, sizeof id.b);
    for (int i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)((uint64_t)d->g->head.captured_at_ms >> (40 - 8 * i));
    }
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

/* DEC-3: the conflict record both people see. */
static fb_code conflict_add(decide *d, const merging *m, const clash *c)
{
    const cat_entity *ce = catalog_entity_str(d->cat, "conflict"), *e = m->row->e;
    const cat_column *col = &e->columns[c->column];
    fb_id id = made_id(d), customer = customer_of(m->row);
    char text[FB_ID_TEXT_BYTES];
    view_row *made = NULL;
    fb_value *row = ce != NULL ? fill_row(ce, &id, d->memory) : NULL;
    if (row == NULL) {
        return ce == NULL ? FB_OK : FB_E_NO_MEMORY;
    }
    id_put(&m->row->id, text);
    fill_text(ce, row, "entity", e->name);
    fill_text(ce, row, "entity_id", arena_text(d->memory, text_of(text)));
    fill_id(ce, row, "customer_id", &customer);
    fill_text(ce, row, "field", col->name);
    fill_printed(d, ce, row, "base", e, c->column, c->base);
    fill_printed(d, ce, row, "mine", e, c->column, c->mine);
    fill_printed(d, ce, row, "theirs", e, c->column, c->theirs);
    fill_text(ce, row, "policy", policy_name(col->policy));
    fill_id(ce, row, "user_id", &d->who->user);
    fill_id(ce, row, "other_user_id", &c->other.user);
    fill_int(ce, row, "mine_at", m->mine_at_ms);
    fill_int(ce, row, "theirs_at", c->other.at_ms);
    if (col->policy == CAT_MAN) {
        fill_str(ce, row, "state", "open");
    } else {
        fill_str(ce, row, "winner", c->mine_won ? "mine" : "theirs");
        fill_str(ce, row, "state", "decided");
    }
    return view_add(d, ce, &id, row, &made);
}

static fb_code keep_clash(decide *d, const merging *m, const clash *c)
{
    cat_policy policy = m->row->e->columns[c->column].policy;
    d->plain = false;
    FB_TRY(merged_add(d, m, c));
    return policy == CAT_MAX || policy == CAT_MIN ? FB_OK : conflict_add(d, m, c);
}

fb_code number_lost(decide *d, view_row *row, int column, const fb_value *given,
                    const fb_id *holder)
{
    static const fb_value nothing = {.kind = FB_KIND_NULL};
    const merging m = {.row = row, .mine_at_ms = d->at_ms};
    clash c = {column, &nothing, given, &row->values[column], {.user = d->who->user}, false};
    view_row *other = NULL;
    fb_code rc = id_is_none(holder) ? FB_E_NOT_FOUND : view_get(d, row->e, holder, &other);
    if (rc == FB_OK) {
        c.other.user = value_id(other->values, facts_of(d, row->e)->created_by);
        c.other.at_ms = value_int(other->values, facts_of(d, row->e)->created_at);
    }
    return rc == FB_OK || rc == FB_E_NOT_FOUND ? keep_clash(d, &m, &c) : rc;
}

fb_code settled_over(decide *d, view_row *row, int column, const fb_value *base,
                     const fb_value *chosen)
{
    const merging m = {.row = row, .mine_at_ms = d->at_ms};
    clash c = {column, base, chosen, &row->values[column], {.at_ms = 0}, true};
    FB_TRY(theirs_read(d, row, column, &c.other));
    return keep_clash(d, &m, &c);
}

/* From the server's state the step may still be possible. */
static bool step_still_possible(decide *d, const merging *m, const merge_input *in)
{
    issue ignored;
    const cat_entity *e = m->row->e;
    fb_value after[CATALOG_COLUMNS_LIMIT];
    if (in->mine->kind != FB_KIND_TEXT || in->theirs->kind != FB_KIND_TEXT) {
        return false;
    }
    memcpy(after, m->row->values, e->columns_count * sizeof *after);
    for (uint32_t i = 0; i < m->op->columns_count; i++) {
        after[m->op->columns[i]] = m->op->mine[i];
    }
    return state_check(e, in->theirs->u.text, in->mine->u.text, rights_of(d, e), after, &ignored) ==
           FB_OK;
}

static fb_code refuse_lost(decide *d, const merging *m, int column)
{
    issue why;
    say(&why, m->op->kind == OP_DELTA ? &NO_MEMBER : &LOST, m->row->e, column);
    return refuse_row(d, VERDICT_REJECTED, &why, "", m->row);
}

/* A write the policy forbids: the row rules say it in their words; where they have none, ours. */
static fb_code refused_column(decide *d, merging *m, int column, const fb_value *mine)
{
    issue why;
    fb_code rc = row_check_update(m->row->e, m->row->values, &column, mine, 1,
                                  rights_of(d, m->row->e), d->who->received_at_ms, &why);
    return rc != FB_OK ? refuse_row(d, VERDICT_REJECTED, &why, "", m->row)
                       : refuse_lost(d, m, column);
}

static fb_code merge_one(decide *d, merging *m, uint32_t i)
{
    static const fb_value nothing = {.kind = FB_KIND_NULL};
    int column = m->op->columns[i];
    const fb_value *theirs = &m->row->values[column];
    const fb_value *base = m->op->kind == OP_UPDATE ? &m->op->base[i] : &nothing;
    merge_input in = {.policy = m->row->e->columns[column].policy,
                      .base = base,
                      .mine = &m->op->mine[i],
                      .theirs = theirs};
    author other = {0};
    if (m->op->kind == OP_UPDATE && !fb_value_equal(base, theirs)) {
        d->plain =
            false; /* also where the version is the one seen: after a restore numbers repeat */
        FB_TRY(theirs_read(d, m->row, column, &other));
    }
    in.mine_at_ms = m->mine_at_ms;
    in.theirs_at_ms = other.at_ms;
    in.mine_is_person_in_charge = m->mine_at_ms == other.at_ms && is_person_in_charge(d, m->row);
    merge_output out = merge_column(&in);
    if (in.policy == CAT_SM && out.result == MERGE_THEIRS && out.keep_loser &&
        step_still_possible(d, m, &in)) {
        out = (merge_output){.result = MERGE_MINE, .value = *in.mine};
    }
    if (out.result == MERGE_REFUSE) {
        return refused_column(d, m, column, in.mine);
    }
    if (out.result == MERGE_MINE || out.result == MERGE_SUM) {
        take_column(m, column, &out.value);
    }
    if (!out.keep_loser) {
        return FB_OK;
    }
    const clash c = {column, base, in.mine, theirs, other, out.result == MERGE_MINE};
    fb_value kept = *theirs; /* theirs is a place in the row that will be overwritten */
    clash stable = c;
    fb_value *copy = arena_take(d->memory, sizeof *copy);
    if (copy == NULL) {
        return FB_E_NO_MEMORY;
    }
    *copy = kept;
    stable.theirs = copy;
    return keep_clash(d, m, &stable);
}

/* Columns one by one, then what the row as a whole allows. */
static fb_code columns_merge(decide *d, merging *m)
{
    for (uint32_t i = 0; i < m->op->columns_count; i++) {
        int column = m->op->columns[i];
        if (facts_of(d, m->row->e)->servers[column]) {
            continue;
        }
        if (m->op->kind == OP_DELTA && m->row->e->columns[column].policy != CAT_DELTA) {
            return refuse_lost(d, m, column);
        }
        FB_TRY(merge_one(d, m, i));
    }
    return FB_OK;
}

static fb_code write_columns(decide *d, view_row *row, int64_t at_ms, const int *columns,
                             const fb_value *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        FB_TRY(view_set(d, row, columns[i], &values[i]));
    }
    stamps_add(d, row, at_ms);
    return FB_OK;
}

static fb_code rules_update(decide *d, merging *m)
{
    issue why;
    view_row *row = m->row;
    fb_code rc = row_check_update(row->e, row->values, m->columns, m->values, m->count,
                                  rights_of(d, row->e), d->who->received_at_ms, &why);
    if (rc != FB_OK) {
        return refuse_row(d, VERDICT_REJECTED, &why, "", row);
    }
    return row_derive_update(row->e, m->columns, m->values, &m->count, m->capacity, d->memory);
}

static fb_code merging_begin(decide *d, const group_op *op, merging *m)
{
    m->op = op;
    FB_TRY(op_row(d, op, &m->row));
    bool as_seen = m->row->before == NULL;
    m->capacity = op->columns_count + m->row->e->columns_count;
    m->columns = arena_take(d->memory, m->capacity * sizeof *m->columns);
    m->values = arena_take(d->memory, m->capacity * sizeof *m->values);
    if (m->columns == NULL || m->values == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(mine_time(d, m));
    if (op->kind == OP_UPDATE) {
        FB_TRY(seen_as_is(d, m->row, op->base_ver, &as_seen));
    }
    d->plain &= as_seen;
    return FB_OK;
}

fb_code op_update(decide *d, const group_op *op)
{
    merging m = {0};
    FB_TRY(merging_begin(d, op, &m));
    FB_TRY(held_check(d, m.row, false));
    FB_TRY(columns_merge(d, &m));
    FB_TRY(rules_update(d, &m));
    if (m.count == 0) {
        return FB_OK;
    }
    FB_TRY(others_check(d, m.row, m.columns, m.values, m.count));
    return write_columns(d, m.row, m.mine_at_ms, m.columns, m.values, m.count);
}

fb_code server_set(decide *d, view_row *row, const int *columns, const fb_value *values,
                   uint32_t count)
{
    row_rights server = *rights_of(d, row->e);
    issue why;
    FB_TRY(held_check(d, row, true));
    uint32_t n = count, capacity = count + row->e->columns_count;
    int *cols = arena_take(d->memory, capacity * sizeof *cols);
    fb_value *vals = arena_take(d->memory, capacity * sizeof *vals);
    if (cols == NULL || vals == NULL) {
        return FB_E_NO_MEMORY;
    }
    memcpy(cols, columns, count * sizeof *cols);
    memcpy(vals, values, count * sizeof *vals);
    server.actor = ACTOR_SERVER;
    server.update = true;
    if (row_check_update(row->e, row->values, cols, vals, n, &server, d->who->received_at_ms,
                         &why) != FB_OK) {
        return refuse_row(d, VERDICT_REJECTED, &why, "", row);
    }
    FB_TRY(row_derive_update(row->e, cols, vals, &n, capacity, d->memory));
    FB_TRY(others_check(d, row, cols, vals, n));
    d->plain = false;
    return write_columns(d, row, d->at_ms, cols, vals, n);
}
