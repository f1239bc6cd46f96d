/* erased.c - see erased.h for ERA-1..3. */
#include "wire/erased.h"

#include <string.h>

#include "base/id.h"
#include "wire/sync_msg.h"

static const char STAR[] = "*";

static fb_text text_at(const cat_entity *e, const fb_value *values, const char *column)
{
    int i = cat_column_str(e, column);
    return i >= 0 && values[i].kind == FB_KIND_TEXT ? values[i].u.text : (fb_text){NULL, 0};
}

static bool has_personal(const cat_entity *e)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (e->columns[i].personal) {
            return true;
        }
    }
    return false;
}

/* ---- ERA-1: is the row listed, or what it hangs on? ---- */

static fb_code row_need(const erased_view *v, const cat_entity *e, const fb_id *id,
                        const fb_value **values, arena *memory)
{
    fb_value *row = NULL;
    if (*values != NULL) {
        return FB_OK;
    }
    row = arena_take(memory, e->columns_count * sizeof *row);
    FB_TRY(row == NULL ? FB_E_NO_MEMORY : v->row(v->ctx, e, id, memory, row));
    *values = row;
    return FB_OK;
}

/* It ends: a catalogue whose parents go in a circle is not loaded. */
static fb_code is_gone(const erased_view *v, const cat_entity *e, const fb_id *id,
                       const fb_value *values, arena *memory, bool *out)
{
    FB_TRY(v->listed(v->ctx, id, out));
    if (*out) {
        return FB_OK;
    }
    fb_code rc = row_need(v, e, id, &values, memory);
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    for (uint32_t i = 0; !*out && i < e->scopes_count; i++) {
        int column = e->scopes[i].column;
        if (e->scopes[i].kind == SCOPE_PARENT && values[column].kind == FB_KIND_ID) {
            const cat_entity *parent = &v->cat->entities[e->columns[column].to_entity];
            FB_TRY(is_gone(v, parent, &values[column].u.id, NULL, memory, out));
        }
    }
    return FB_OK;
}

/* ---- ERA-2: rows about other rows ---- */

static fb_code target_gone(const erased_view *v, const cat_entity *e, const fb_value *values,
                           const char *name, const char *ref, arena *memory,
                           const cat_entity **target_out)
{
    const cat_entity *target = catalog_entity(v->cat, text_at(e, values, name));
    bool gone = false;
    fb_id id;
    *target_out = NULL;
    if (target != NULL && id_get(text_at(e, values, ref), &id)) {
        FB_TRY(is_gone(v, target, &id, NULL, memory, &gone));
        *target_out = gone ? target : NULL;
    }
    return FB_OK;
}

static fb_code about_others(const erased_view *v, const cat_entity *e, const fb_value *values,
                            arena *memory, erased_columns *out)
{
    const cat_entity *target = NULL;
    bool is_conflict = text_is(e->name, "conflict");
    FB_TRY(is_conflict ? target_gone(v, e, values, "entity", "entity_id", memory, &target)
                       : target_gone(v, e, values, "target_entity", "target_id", memory, &target));
    int column =
        target != NULL && is_conflict ? cat_column_find(target, text_at(e, values, "field")) : -1;
    out->any =
        target != NULL && (!is_conflict || (column >= 0 && target->columns[column].personal));
    return FB_OK;
}

fb_code erased_columns_of(const erased_view *v, const cat_entity *e, const fb_id *id,
                          const fb_value *values, arena *memory, erased_columns *out)
{
    *out = (erased_columns){.any = false};
    if (!has_personal(e) || text_is(e->name, "held_group")) { /* that one holds a group */
        return FB_OK;
    }
    bool others = text_is(e->name, "conflict") || text_is(e->name, "change_request");
    fb_code rc = row_need(v, e, id, &values, memory);
    out->absent = rc == FB_E_NOT_FOUND;
    if (rc == FB_OK && others) {
        rc = about_others(v, e, values, memory, out);
    } else if (rc == FB_OK || rc == FB_E_NOT_FOUND) {
        rc = is_gone(v, e, id, values, memory, &out->any);
    }
    for (uint32_t i = 0; i < e->columns_count; i++) {
        out->column[i] = e->columns[i].personal;
    }
    out->whole = out->any && text_is(e->name, "attachment");
    return rc;
}

/* What a change request asks of columns that are not personal stays. */
static fb_code diff_keep(const cat_entity *target, fb_text diff, arena *memory, fb_value *out)
{
    json_reader r;
    json_writer w;
    buf text;
    fb_text key;
    buf_init(&text, diff.size + 16);
    json_writer_init(&w, &text);
    json_reader_init(&r, diff, memory);
    json_put_object(&w);
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        int column = cat_column_find(target, key);
        fb_text raw = json_raw(&r);
        if (r.code == FB_OK && column >= 0 && !target->columns[column].personal) {
            json_put_key_text(&w, key);
            json_put_raw(&w, raw);
        }
    }
    json_put_end(&w);
    fb_code read = json_finish(&r);
    fb_text kept = read == FB_OK ? buf_text(&text) : text_of("{}");
    bool room = read != FB_E_NO_MEMORY && text.code == FB_OK; /* want of memory is no wrong diff */
    *out = (fb_value){.kind = FB_KIND_TEXT,
                      .u.text = room ? arena_text(memory, kept) : (fb_text){NULL, 0}};
    buf_clear(&text);
    return out->u.text.data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

/* A required value cannot be empty; the least telling one that the column takes. */
static fb_code least_value(const cat_entity *e, const cat_column *c, const fb_value *row,
                           arena *memory, fb_value *out)
{
    char unique[sizeof STAR + FB_ID_TEXT_BYTES];
    if (cat_is_integer(c->type)) {
        *out = (fb_value){.kind = FB_KIND_INT, .u.i = c->min > 0 ? c->min : 0};
        out->u.i = c->max < out->u.i ? c->max : out->u.i;
        return FB_OK;
    }
    fb_text least = text_of(STAR);
    if (c->type == CAT_DATE) {
        least = text_of("1900-01-01");
    } else if (c->type == CAT_JSON) {
        least = text_of("{}");
    } else if (c->type == CAT_ENUM) {
        least = c->values[0];
    } else if (c->unique && row[0].kind == FB_KIND_ID) {
        unique[0] = STAR[0];
        id_put(&row[0].u.id, unique + 1);
        least = text_of(unique);
    }
    (void)e;
    *out = (fb_value){.kind = FB_KIND_TEXT, .u.text = arena_text(memory, least)};
    return out->u.text.data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

fb_code erased_value(const erased_view *v, const cat_entity *e, int column, const fb_value *row,
                     arena *memory, fb_value *out)
{
    const cat_column *c = &e->columns[column];
    const cat_entity *target = catalog_entity(v->cat, text_at(e, row, "target_entity"));
    *out = (fb_value){.kind = FB_KIND_NULL};
    if (c->type == CAT_JSON && target != NULL && row[column].kind == FB_KIND_TEXT) {
        return diff_keep(target, row[column].u.text, memory, out);
    }
    bool must = c->required && !c->derived && c->type != CAT_REF;
    return must ? least_value(e, c, row, memory, out) : FB_OK;
}

/* ---- a group ---- */

/* Rows that the group itself makes are looked for first. */
typedef struct group_view {
    const erased_view *outer;
    const group *g;
} group_view;

static fb_code listed_outside(void *ctx, const fb_id *id, bool *out)
{
    const group_view *w = ctx;
    return w->outer->listed(w->outer->ctx, id, out);
}

static void op_values(const group_op *op, fb_value *values)
{
    for (uint32_t i = 0; i < op->entity->columns_count; i++) {
        values[i] = (fb_value){.kind = FB_KIND_NULL};
    }
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = op->id};
    for (uint32_t i = 0; i < op->columns_count; i++) {
        values[op->columns[i]] = op->mine[i];
    }
}

static fb_code row_inside(void *ctx, const cat_entity *e, const fb_id *id, arena *memory,
                          fb_value *values)
{
    const group_view *w = ctx;
    for (uint32_t i = 0; i < w->g->ops_count; i++) {
        const group_op *op = &w->g->ops[i];
        if (op->kind == OP_INSERT && op->entity == e && id_equal(&op->id, id)) {
            op_values(op, values);
            return FB_OK;
        }
    }
    return w->outer->row(w->outer->ctx, e, id, memory, values);
}

static fb_code part_add(erased_parts *out, const group_op *op, int column, arena *memory)
{
    if (out->count == out->capacity) {
        uint32_t capacity = out->capacity == 0 ? 16 : out->capacity * 2;
        erased_part *part = arena_take(memory, capacity * sizeof *part);
        if (part == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (out->count > 0) {
            memcpy(part, out->part, out->count * sizeof *part);
        }
        out->part = part;
        out->capacity = capacity;
    }
    out->part[out->count++] = (erased_part){op->entity, op->id, column};
    return FB_OK;
}

/* Values of an insert: emptied in place, the columns stay. */
static fb_code insert_empty(const erased_view *v, const erased_columns *gone, const fb_value *row,
                            group_op *op, arena *memory, erased_parts *out)
{
    fb_value *mine = arena_take(memory, (op->columns_count + 1) * sizeof *mine);
    if (mine == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < op->columns_count; i++) {
        int column = op->columns[i];
        mine[i] = op->mine[i];
        if (gone->column[column] && mine[i].kind != FB_KIND_NULL) {
            FB_TRY(erased_value(v, op->entity, column, row, memory, &mine[i]));
            if (!fb_value_equal(&mine[i], &op->mine[i])) {
                FB_TRY(part_add(out, op, column, memory));
            }
        }
    }
    op->mine = mine;
    return FB_OK;
}

/* Columns of a change: left out, so that what the row has stays. */
static fb_code change_empty(const erased_columns *gone, group_op *op, arena *memory,
                            erased_parts *out)
{
    uint32_t count = 0;
    int *columns = arena_take(memory, (op->columns_count + 1) * sizeof *columns);
    fb_value *base = arena_take(memory, (op->columns_count + 1) * sizeof *base);
    fb_value *mine = arena_take(memory, (op->columns_count + 1) * sizeof *mine);
    if (columns == NULL || base == NULL || mine == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < op->columns_count; i++) {
        if (gone->column[op->columns[i]]) {
            FB_TRY(part_add(out, op, op->columns[i], memory));
            continue;
        }
        columns[count] = op->columns[i];
        base[count] = op->base != NULL ? op->base[i] : (fb_value){.kind = FB_KIND_NULL};
        mine[count++] = op->mine[i];
    }
    op->base = op->base != NULL ? base : NULL;
    op->columns = columns;
    op->mine = mine;
    op->columns_count = count;
    return FB_OK;
}

/* *keep_out false: nothing of the operation is left. `also`: of rows that are gone as well. */
static fb_code op_empty(const erased_view *v, bool also, group_op *op, arena *memory,
                        erased_parts *out, bool *keep_out)
{
    erased_columns gone;
    bool inserts = op->kind == OP_INSERT;
    *keep_out = true;
    if (op->kind == OP_DELETE) {
        return FB_OK;
    }
    fb_value *row = arena_take(memory, op->entity->columns_count * sizeof *row);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    op_values(op, row);
    FB_TRY(erased_columns_of(v, op->entity, &op->id, inserts ? row : NULL, memory, &gone));
    if (!gone.any && !(also && gone.absent)) {
        return FB_OK;
    }
    if (gone.whole && inserts) {
        *keep_out = false;
        return part_add(out, op, -1, memory);
    }
    if (inserts) {
        return insert_empty(v, &gone, row, op, memory, out);
    }
    FB_TRY(change_empty(&gone, op, memory, out));
    *keep_out = op->columns_count > 0;
    return FB_OK;
}

static fb_code ops_empty(const erased_view *v, bool also, group *g, arena *memory,
                         erased_parts *out)
{
    const group before = *g;
    group_view inside = {v, &before};
    const erased_view both = {&inside, v->cat, listed_outside, row_inside};
    group_op *ops = arena_take(memory, (g->ops_count + 1) * sizeof *ops);
    if (ops == NULL) {
        return FB_E_NO_MEMORY;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < before.ops_count; i++) {
        bool keep = true;
        ops[count] = before.ops[i];
        FB_TRY(op_empty(&both, also, &ops[count], memory, out, &keep));
        count += keep;
    }
    g->ops = ops;
    g->ops_count = count;
    return FB_OK;
}

fb_code erased_group(const erased_view *v, group *g, arena *memory, erased_parts *out)
{
    *out = (erased_parts){.count = 0};
    FB_TRY(ops_empty(v, false, g, memory, out));
    return out->count > 0 ? ops_empty(v, true, g, memory, out) : FB_OK; /* ERA-2 */
}

/* ---- lines ---- */

static void line_put(const group *g, buf *out)
{
    group_writer w;
    group_put_begin(&w, out, &g->head);
    for (uint32_t i = 0; i < g->ops_count; i++) {
        group_put_op(&w, &g->ops[i]);
    }
    group_put_end(&w);
}

/* A line of another catalogue, or of none: does it name a listed row anywhere? */
static fb_code names_listed(const erased_view *v, fb_text line, bool *out)
{
    enum { ID_CHARS = FB_ID_TEXT_BYTES - 1 };
    *out = false;
    for (size_t i = 0; !*out && i + ID_CHARS <= line.size; i++) {
        fb_id id;
        if (id_get((fb_text){line.data + i, ID_CHARS}, &id)) {
            FB_TRY(v->listed(v->ctx, &id, out));
        }
    }
    return FB_OK;
}

static fb_code unread_line(const erased_view *v, fb_text line, buf *out, bool *changed_out)
{
    const group empty = {.head = {.kind = text_of("erased")}};
    FB_TRY(names_listed(v, line, changed_out));
    if (*changed_out) {
        line_put(&empty, out);
    }
    return out->code;
}

fb_code erased_line(const erased_view *v, fb_text line, arena *memory, buf *out, bool *changed_out)
{
    group g;
    erased_parts parts;
    fb_error err;
    *changed_out = false;
    fb_code rc = group_get(line, v->cat, memory, &g, &err);
    if (rc != FB_OK) {
        return rc == FB_E_NO_MEMORY ? rc : unread_line(v, line, out, changed_out);
    }
    FB_TRY(erased_group(v, &g, memory, &parts));
    *changed_out = parts.count > 0;
    if (*changed_out) {
        line_put(&g, out);
    }
    return out->code;
}

static fb_code row_gone(const erased_view *v, const verdict_msg *m, arena *memory, bool *out)
{
    erased_columns gone = {.any = false};
    fb_text name = m->field, key, id_text = {NULL, 0};
    fb_id id;
    json_reader r;
    *out = false;
    name.size = 0;
    while (name.size < m->field.size && m->field.data[name.size] != '.' &&
           m->field.data[name.size] != '[') {
        name.size++;
    }
    const cat_entity *e = catalog_entity(v->cat, name);
    json_reader_init(&r, m->row, memory);
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        if (text_is(key, "id")) {
            id_text = json_string(&r);
        } else {
            json_skip(&r);
        }
    }
    if (json_finish(&r) != FB_OK || !id_get(id_text, &id)) {
        *out = r.code != FB_E_NO_MEMORY;
        return r.code == FB_E_NO_MEMORY ? r.code : FB_OK;
    }
    FB_TRY(e != NULL ? erased_columns_of(v, e, &id, NULL, memory, &gone)
                     : v->listed(v->ctx, &id, &gone.any));
    *out = gone.any;
    return FB_OK;
}

static fb_code column_empty(const erased_view *v, verdict_column *c, arena *memory, bool *changed)
{
    static const fb_text NOTHING = {"null", 4};
    const cat_entity *e = catalog_entity(v->cat, c->entity);
    int column = e != NULL ? cat_column_find(e, c->column) : -1;
    erased_columns gone;
    fb_id id;
    if (column < 0 || !id_get(c->id, &id)) {
        return FB_OK;
    }
    FB_TRY(erased_columns_of(v, e, &id, NULL, memory, &gone));
    if (gone.any && gone.column[column]) {
        *changed = *changed || !text_equal(c->base, NOTHING) || !text_equal(c->mine, NOTHING) ||
                   !text_equal(c->theirs, NOTHING);
        c->base = c->mine = c->theirs = NOTHING;
    }
    return FB_OK;
}

fb_code erased_verdict(const erased_view *v, fb_text line, arena *memory, buf *out,
                       bool *changed_out)
{
    reply_item item;
    *changed_out = false;
    FB_TRY(reply_item_get(line, memory, &item));
    verdict_msg *m = &item.verdict;
    if (item.line != LINE_VERDICT) {
        return FB_OK;
    }
    if (m->row.size > 0) {
        FB_TRY(row_gone(v, m, memory, changed_out));
        m->row = *changed_out ? (fb_text){NULL, 0} : m->row;
    }
    for (uint32_t i = 0; i < m->columns_count; i++) {
        FB_TRY(column_empty(v, &m->columns[i], memory, changed_out));
    }
    if (*changed_out) {
        verdict_put(out, m);
    }
    return out->code;
}
