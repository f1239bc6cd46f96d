/* group_msg.c - see group_msg.h for the format; both directions side by side.
 *
 * head   k (kind), at (captured), off (clock correction, "0" left out), sus (1 = the clock is
 *        suspect, left out when not), cv (catalogue version), rp (gseq it replaces) and ri (the
 *        incarnation that counts so), left out when none, then ops. Members may come in any order;
 *        unknown ones are skipped.
 *
 * ops    ["+", entity, ["id", columns...], [[id, values...], ...]]
 *        ["~", entity, id, base ver, [columns], [values before], [values]]
 *        ["-", entity, id, base ver]
 *        ["^", entity, id, [columns], [differences]]
 * "id" comes first in an insert and nowhere else, "ver" nowhere: the server gives versions. */
#include "wire/group_msg.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"

enum { OPS_ROOM_FIRST = 16 };

/* ---- writing ---- */

void group_put_begin(group_writer *w, buf *out, const group_head *head)
{
    *w = (group_writer){.open_entity = NULL};
    json_writer *j = &w->json;
    json_writer_init(j, out);
    json_put_object(j);
    json_put_key(j, "k");
    json_put_string(j, head->kind);
    json_put_key(j, "at");
    json_put_int_string(j, head->captured_at_ms);
    if (head->offset_ms != 0) {
        json_put_key(j, "off");
        json_put_int_string(j, head->offset_ms);
    }
    if (head->clock_suspect) {
        json_put_key(j, "sus");
        json_put_int(j, 1);
    }
    json_put_key(j, "cv");
    json_put_int(j, head->catalog_version);
    if (head->replaces != 0) {
        json_put_key(j, "rp");
        json_put_int_string(j, head->replaces);
        if (!id_is_none(&head->replaces_in)) {
            json_put_key(j, "ri");
            json_put_id(j, &head->replaces_in);
        }
    }
    json_put_key(j, "ops");
    json_put_array(j);
}

static void block_close(group_writer *w)
{
    if (w->open_entity != NULL) {
        json_put_end(&w->json); /* rows */
        json_put_end(&w->json); /* operation */
        w->open_entity = NULL;
    }
}

static void op_open(json_writer *j, const group_op *op)
{
    const char sign[1] = {(char)op->kind};
    json_put_array(j);
    json_put_string(j, (fb_text){sign, 1});
    json_put_string(j, op->entity->name);
}

static void columns_put(json_writer *j, const group_op *op)
{
    for (uint32_t i = 0; i < op->columns_count; i++) {
        int c = op->columns[i];
        FB_ASSERT(c > 0 && c < cat_ver_column(op->entity)); /* neither id nor ver */
        json_put_string(j, op->entity->columns[c].name);
    }
}

static void values_put(json_writer *j, const group_op *op, const fb_value *values)
{
    for (uint32_t i = 0; i < op->columns_count; i++) {
        value_put(j, &op->entity->columns[op->columns[i]], &values[i]);
    }
}

/* [columns] or [values] as an array of its own */
static void columns_array_put(json_writer *j, const group_op *op)
{
    json_put_array(j);
    columns_put(j, op);
    json_put_end(j);
}

static void values_array_put(json_writer *j, const group_op *op, const fb_value *values)
{
    json_put_array(j);
    values_put(j, op, values);
    json_put_end(j);
}

/* Does the row of `op` belong into the insert block that is open? */
static bool block_fits(const group_writer *w, const group_op *op)
{
    if (w->open_entity != op->entity || w->open_columns_count != op->columns_count) {
        return false;
    }
    return memcmp(w->open_columns, op->columns, op->columns_count * sizeof(int)) == 0;
}

static void insert_put(group_writer *w, const group_op *op)
{
    json_writer *j = &w->json;
    if (!block_fits(w, op)) {
        block_close(w);
        op_open(j, op);
        json_put_array(j);
        json_put_str(j, "id");
        columns_put(j, op);
        json_put_end(j);
        json_put_array(j);
        w->open_entity = op->entity;
        memcpy(w->open_columns, op->columns, op->columns_count * sizeof(int));
        w->open_columns_count = op->columns_count;
    }
    json_put_array(j);
    json_put_id(j, &op->id);
    values_put(j, op, op->mine);
    json_put_end(j);
}

void group_put_op(group_writer *w, const group_op *op)
{
    json_writer *j = &w->json;
    FB_ASSERT(op->entity != NULL && !id_is_none(&op->id));
    FB_ASSERT(op->columns_count <= CATALOG_COLUMNS_MAX);
    if (op->kind == OP_INSERT) {
        insert_put(w, op);
        return;
    }
    block_close(w);
    op_open(j, op);
    json_put_id(j, &op->id);
    switch (op->kind) {
    case OP_UPDATE:
        json_put_int_string(j, op->base_ver);
        columns_array_put(j, op);
        values_array_put(j, op, op->base);
        values_array_put(j, op, op->mine);
        break;
    case OP_DELETE:
        json_put_int_string(j, op->base_ver);
        break;
    case OP_DELTA:
        columns_array_put(j, op);
        values_array_put(j, op, op->mine);
        break;
    case OP_INSERT:
        break;
    }
    json_put_end(j);
}

void group_put_end(group_writer *w)
{
    block_close(w);
    json_put_end(&w->json); /* ops */
    json_put_end(&w->json);
    FB_ASSERT(w->json.depth == 0);
}

/* ---- reading ---- */

typedef struct group_in {
    json_reader r;
    const catalog *cat;
    arena *memory;
    const cat_entity *entity; /* of the operation being read; kept for the next one */
    uint32_t entries;         /* operations as written: an insert block is one */
    group_op *ops;
    uint32_t ops_count, ops_room;
    bool in_ops; /* where the reader is, and the member, entity or column: for the error */
    fb_text at_name;
} group_in;

static void *take(group_in *g, size_t count, size_t size)
{
    size_t bytes = 0;
    void *p = size_mul(count, size, &bytes) ? arena_take(g->memory, bytes) : NULL;
    if (p == NULL) {
        json_fail(&g->r, FB_E_NO_MEMORY, "no memory for a group");
    }
    return p;
}

/* A new operation at the end of the list; NULL after a failure. */
static group_op *op_add(group_in *g, op_kind kind)
{
    if (g->ops_count == GROUP_ROWS_MAX) {
        json_fail(&g->r, FB_E_LIMIT, "a group has too many rows");
        return NULL;
    }
    if (g->ops_count == g->ops_room) {
        uint32_t room = g->ops_room == 0 ? OPS_ROOM_FIRST : g->ops_room * 2;
        group_op *ops = take(g, room, sizeof(group_op));
        if (ops == NULL) {
            return NULL;
        }
        if (g->ops_count > 0) {
            memcpy(ops, g->ops, g->ops_count * sizeof(group_op));
        }
        g->ops = ops;
        g->ops_room = room;
    }
    group_op *op = &g->ops[g->ops_count++];
    *op = (group_op){.kind = kind, .entity = g->entity};
    return op;
}

/* One more element of the array that holds an operation; fails when it is at its end. */
static bool element(group_in *g)
{
    if (!json_array_next(&g->r)) {
        json_fail(&g->r, FB_E_PROTOCOL, "an operation has too few parts");
        return false;
    }
    return true;
}

static void entity_get(group_in *g)
{
    fb_text name = element(g) ? json_string(&g->r) : (fb_text){NULL, 0};
    if (g->r.code != FB_OK) {
        return;
    }
    g->at_name = name;
    if (g->entity == NULL || !text_equal(g->entity->name, name)) {
        g->entity = catalog_entity(g->cat, name);
    }
    if (g->entity == NULL) {
        json_fail(&g->r, FB_E_PROTOCOL, "this catalogue has no such entity: update the catalogue");
    }
}

static fb_id row_id_get(group_in *g)
{
    fb_id id = {{0}};
    fb_text s = json_string(&g->r);
    if (g->r.code == FB_OK && (!id_get(s, &id) || id_is_none(&id))) {
        json_fail(&g->r, FB_E_PROTOCOL, "an id is 36 lower-case characters, not all zero");
    }
    return id;
}

static int64_t base_ver_get(group_in *g)
{
    int64_t ver = element(g) ? json_int_string(&g->r) : 0;
    if (ver < 0) {
        json_fail(&g->r, FB_E_PROTOCOL, "a base version below 0");
    }
    return ver;
}

/* The column of this name; columns mostly come in the order of the catalogue, so `hint` first.
 * Behind the last column that may be taken stands ver. */
static int column_of(group_in *g, fb_text name, int hint)
{
    const cat_entity *e = g->entity;
    FB_ASSERT(hint <= cat_ver_column(e));
    bool next = text_equal(e->columns[hint].name, name);
    int column = next ? hint : cat_column_find(e, name);
    if (column < 0) {
        g->at_name = name;
        json_fail(&g->r, FB_E_PROTOCOL, "the entity has no such column: update the catalogue");
    } else if (column == 0 || column == cat_ver_column(e)) {
        g->at_name = name;
        json_fail(&g->r, FB_E_PROTOCOL, "id and ver are not set by an operation");
    }
    return column;
}

/* The rest of an array of column names, whose begin is taken. */
static const int *columns_get(group_in *g, uint32_t *count_out)
{
    int found[CATALOG_COLUMNS_LIMIT];
    bool seen[CATALOG_COLUMNS_LIMIT] = {false};
    uint32_t count = 0;
    int hint = 1;
    while (json_array_next(&g->r)) {
        fb_text name = json_string(&g->r);
        int column = g->r.code == FB_OK ? column_of(g, name, hint) : -1;
        if (g->r.code != FB_OK) {
            return NULL;
        }
        if (seen[column]) {
            g->at_name = name;
            json_fail(&g->r, FB_E_PROTOCOL, "a column stands twice in an operation");
            return NULL;
        }
        seen[column] = true;
        found[count++] = column; /* distinct columns: never more than the catalogue has */
        hint = column + 1;
    }
    int *columns = g->r.code == FB_OK ? take(g, count > 0 ? count : 1, sizeof(int)) : NULL;
    if (columns != NULL) {
        memcpy(columns, found, count * sizeof(int));
        *count_out = count;
    }
    return columns;
}

/* Values of `op`'s columns up to the end of the array, whose begin is taken. */
static const fb_value *values_get(group_in *g, const group_op *op)
{
    uint32_t count = op->columns_count;
    fb_value *values = take(g, count > 0 ? count : 1, sizeof(fb_value));
    for (uint32_t i = 0; values != NULL && i < count; i++) {
        const cat_column *c = &op->entity->columns[op->columns[i]];
        if (!json_array_next(&g->r)) {
            json_fail(&g->r, FB_E_PROTOCOL, "there are fewer values than columns");
            return NULL;
        }
        value_get(&g->r, c, &values[i]);
        if (g->r.code != FB_OK) {
            g->at_name = c->name;
            return NULL;
        }
    }
    if (json_array_next(&g->r)) {
        json_fail(&g->r, FB_E_PROTOCOL, "there are more values than columns");
    }
    return g->r.code == FB_OK ? values : NULL;
}

static const fb_value *values_array_get(group_in *g, const group_op *op)
{
    if (!element(g)) {
        return NULL;
    }
    json_array_begin(&g->r);
    return values_get(g, op);
}

static void inserts_get(group_in *g)
{
    uint32_t count = 0, rows = 0;
    if (!element(g)) {
        return;
    }
    json_array_begin(&g->r);
    if (!json_array_next(&g->r) || !text_is(json_string(&g->r), "id")) {
        json_fail(&g->r, FB_E_PROTOCOL, "the first column of an insert is id");
        return;
    }
    const int *columns = columns_get(g, &count);
    if (columns == NULL || !element(g)) {
        return;
    }
    json_array_begin(&g->r);
    while (json_array_next(&g->r)) {
        json_array_begin(&g->r);
        group_op *op = element(g) ? op_add(g, OP_INSERT) : NULL;
        if (op == NULL) {
            return;
        }
        op->id = row_id_get(g);
        op->columns = columns;
        op->columns_count = count;
        op->mine = values_get(g, op);
        rows++;
    }
    if (rows == 0) {
        json_fail(&g->r, FB_E_PROTOCOL, "an insert has no rows");
    }
}

/* Update, delete, delta: one row. */
static void change_get(group_in *g, op_kind kind)
{
    group_op *op = element(g) ? op_add(g, kind) : NULL;
    if (op == NULL) {
        return;
    }
    op->id = row_id_get(g);
    op->base_ver = kind != OP_DELTA ? base_ver_get(g) : 0;
    if (kind == OP_DELETE || !element(g)) {
        return;
    }
    json_array_begin(&g->r);
    op->columns = columns_get(g, &op->columns_count);
    if (op->columns == NULL) {
        return;
    }
    if (op->columns_count == 0) {
        json_fail(&g->r, FB_E_PROTOCOL, "a change names no columns");
        return;
    }
    if (kind == OP_UPDATE) {
        op->base = values_array_get(g, op);
    }
    op->mine = values_array_get(g, op);
}

static void op_get(group_in *g)
{
    json_array_begin(&g->r);
    fb_text sign = element(g) ? json_string(&g->r) : (fb_text){NULL, 0};
    entity_get(g);
    if (g->r.code != FB_OK) {
        return;
    }
    switch (sign.size == 1 ? sign.data[0] : 0) {
    case OP_INSERT:
        inserts_get(g);
        break;
    case OP_UPDATE:
    case OP_DELETE:
    case OP_DELTA:
        change_get(g, (op_kind)sign.data[0]);
        break;
    default:
        json_fail(&g->r, FB_E_PROTOCOL, "an operation is +, ~, - or ^");
        break;
    }
    if (json_array_next(&g->r)) {
        json_fail(&g->r, FB_E_PROTOCOL, "an operation has too many parts");
    }
}

static void ops_get(group_in *g)
{
    g->in_ops = true;
    g->at_name = (fb_text){NULL, 0};
    json_array_begin(&g->r);
    while (json_array_next(&g->r)) {
        if (g->entries == GROUP_OPS_MAX) {
            json_fail(&g->r, FB_E_LIMIT, "a group has too many operations");
        }
        op_get(g);
        if (g->r.code == FB_OK) {
            g->entries++;
            g->at_name = (fb_text){NULL, 0};
        }
    }
    g->in_ops = g->r.code != FB_OK;
}

enum { SEEN_KIND = 1, SEEN_AT = 2, SEEN_CATALOG = 4, SEEN_OPS = 8, SEEN_ALL = 15 };

static int64_t int_within(json_reader *r, int64_t v, int64_t min, int64_t max)
{
    if (v < min || v > max) {
        json_fail(r, FB_E_PROTOCOL, "a number of the group's head is out of range");
    }
    return v;
}

/* One member of the group; the bit of a required one. */
static unsigned member_get(group_in *g, fb_text key, group_head *head)
{
    json_reader *r = &g->r;
    g->at_name = key;
    if (text_is(key, "k")) {
        head->kind = json_string(r);
        if (head->kind.size == 0 || head->kind.size > NAME_BYTES_MAX) {
            json_fail(r, FB_E_PROTOCOL, "the kind of a group has 1 to 48 bytes");
        }
        return SEEN_KIND;
    }
    if (text_is(key, "at")) {
        head->captured_at_ms = json_int_string(r);
        return SEEN_AT;
    }
    if (text_is(key, "off")) {
        head->offset_ms = json_int_string(r);
    } else if (text_is(key, "sus")) {
        head->clock_suspect = int_within(r, json_int(r), 0, 1) != 0;
    } else if (text_is(key, "cv")) {
        head->catalog_version = (uint32_t)int_within(r, json_int(r), 0, UINT32_MAX);
        return SEEN_CATALOG;
    } else if (text_is(key, "rp")) {
        head->replaces = int_within(r, json_int_string(r), 0, INT64_MAX);
    } else if (text_is(key, "ri")) {
        head->replaces_in = row_id_get(g);
    } else if (text_is(key, "ops")) {
        ops_get(g);
        return SEEN_OPS;
    } else {
        json_skip(r);
    }
    return 0;
}

/* A name may be shown in an error only when it looks like a name. */
static bool is_name(fb_text t)
{
    for (size_t i = 0; i < t.size; i++) {
        char c = t.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return t.size > 0 && t.size <= NAME_BYTES_MAX;
}

/* "ops[3].phone", "ops[3]", "group.cv" or "group" */
static fb_code group_fail(const group_in *g, fb_error *err)
{
    char field[96], place[24] = "group";
    if (g->in_ops) {
        snprintf(place, sizeof place, "ops[%u]", (unsigned)g->entries);
    }
    bool named = is_name(g->at_name);
    snprintf(field, sizeof field, "%s%s%.*s", place, named ? "." : "",
             named ? (int)g->at_name.size : 0, named ? g->at_name.data : "");
    return fail(err, g->r.code, field, "%s", g->r.why);
}

fb_code group_get(fb_text text, const catalog *cat, arena *memory, group *out, fb_error *err)
{
    FB_REQUIRE(cat != NULL && memory != NULL && out != NULL);
    if (text.size > GROUP_BYTES_MAX) {
        return fail(err, FB_E_LIMIT, "group", "a group has at most %d bytes: save in smaller steps",
                    (int)GROUP_BYTES_MAX);
    }
    group_in g = {.cat = cat, .memory = memory};
    group_head head = {.captured_at_ms = 0};
    unsigned seen = 0;
    fb_text key;
    json_reader_init(&g.r, text, memory);
    json_object_begin(&g.r);
    while (json_object_next(&g.r, &key)) {
        seen |= member_get(&g, key, &head);
    }
    if (g.r.code == FB_OK) {
        g.at_name = (fb_text){NULL, 0};
    }
    if (seen != SEEN_ALL) {
        json_fail(&g.r, FB_E_PROTOCOL, "a group needs k, at, cv and ops");
    }
    if (json_finish(&g.r) != FB_OK) {
        return group_fail(&g, err);
    }
    *out = (group){.head = head, .ops = g.ops, .ops_count = g.ops_count};
    return FB_OK;
}
