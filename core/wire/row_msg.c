/* row_msg.c - see row_msg.h. Every put writes a whole line with its "\n"; every get takes a line
 * without it.
 *
 *   {"e":"customer","k":"row","c":["id","code",...,"ver"]}    then one array per row
 *   {"e":"customer","k":"leave"}  {"e":"customer","k":"delete"}   then ["<id>"] per row
 * {"e":"customer","k":"move","c":["id","ver","territory_id"]}   then one array per row
 * "c" is left out where it is ["id"] alone; row and move blocks always name their columns. A column
 * name stands once; "id" is always among them. Columns and entities that this catalogue does not
 * know are read over (-1, NULL). */
#include "wire/row_msg.h"

#include "base/id.h"
#include "schema/limits.h"

_Static_assert((int)CATALOG_COLUMNS_LIMIT == (int)CATALOG_COLUMNS_MAX, "catalog.h, limits.h agree");

static const char *const KINDS[] = {
    [BLOCK_ROW] = "row", [BLOCK_LEAVE] = "leave", [BLOCK_DELETE] = "delete", [BLOCK_MOVE] = "move"};

void value_put(json_writer *w, const cat_column *c, const fb_value *v)
{
    FB_ASSERT(v->kind == FB_KIND_NULL || v->kind == cat_kind(c->type));
    switch (v->kind) {
    case FB_KIND_NULL:
        json_put_null(w);
        return;
    case FB_KIND_INT:
        if (cat_is_wide(c->type)) {
            json_put_int_string(w, v->u.i);
        } else {
            json_put_int(w, v->u.i);
        }
        return;
    case FB_KIND_TEXT:
        json_put_string(w, v->u.text);
        return;
    case FB_KIND_ID:
        if (id_is_none(&v->u.id)) {
            json_put_null(w);
        } else {
            json_put_id(w, &v->u.id);
        }
        return;
    }
}

/* An id that names something: all zeros is written as null, never as an id. */
static void id_value_get(json_reader *r, fb_value *out)
{
    fb_text s = json_string(r);
    if (r->code != FB_OK) {
        return;
    }
    if (!id_get(s, &out->u.id) || id_is_none(&out->u.id)) {
        json_fail(r, FB_E_PROTOCOL, "an id is 36 lower-case characters, not all zero");
        return;
    }
    out->kind = FB_KIND_ID;
}

void value_get(json_reader *r, const cat_column *c, fb_value *out)
{
    *out = (fb_value){.kind = FB_KIND_NULL};
    if (json_null(r)) {
        return;
    }
    switch (cat_kind(c->type)) {
    case FB_KIND_ID:
        id_value_get(r, out);
        break;
    case FB_KIND_INT:
        out->u.i = cat_is_wide(c->type) ? json_int_string(r) : json_int(r);
        out->kind = FB_KIND_INT;
        break;
    case FB_KIND_TEXT:
        out->u.text = json_string(r);
        out->kind = FB_KIND_TEXT;
        break;
    case FB_KIND_NULL:
        break;
    }
    if (r->code != FB_OK) {
        *out = (fb_value){.kind = FB_KIND_NULL};
    }
}

void block_head_put(buf *out, const cat_entity *e, block_kind kind, const int *columns,
                    uint32_t count)
{
    json_writer w;
    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_key(&w, "e");
    json_put_string(&w, e->name);
    json_put_key(&w, "k");
    json_put_str(&w, KINDS[kind]);
    FB_ASSERT(count > 0 && columns[0] == 0); /* the id comes first: block_head_get demands it */
    if (kind == BLOCK_ROW || kind == BLOCK_MOVE || count > 1) {
        json_put_key(&w, "c");
        json_put_array(&w);
        for (uint32_t i = 0; i < count; i++) {
            FB_ASSERT(columns[i] >= 0 && (uint32_t)columns[i] < e->columns_count);
            json_put_string(&w, e->columns[columns[i]].name);
        }
        json_put_end(&w);
    }
    json_put_end(&w);
    buf_put_char(out, '\n');
}

static bool kind_get(json_reader *r, block_kind *out)
{
    fb_text s = json_string(r);
    for (unsigned i = 0; r->code == FB_OK && i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (text_is(s, KINDS[i])) {
            *out = (block_kind)i;
            return true;
        }
    }
    json_fail(r, FB_E_PROTOCOL, "the kind of a block is row, move, leave or delete");
    return false;
}

/* Names into `names`; their meaning is found when the entity is known. */
static uint32_t names_get(json_reader *r, fb_text names[CATALOG_COLUMNS_LIMIT])
{
    uint32_t count = 0;
    json_array_begin(r);
    while (json_array_next(r)) {
        fb_text name = json_string(r);
        if (count == CATALOG_COLUMNS_LIMIT) {
            json_fail(r, FB_E_LIMIT, "a block has too many columns");
            return 0;
        }
        names[count++] = name;
    }
    return count;
}

/* Names -> catalogue indexes. Columns mostly come in the order of the catalogue: look next to the
 * last one found first. */
static void columns_resolve(json_reader *r, block_head *h, const fb_text *names)
{
    bool seen[CATALOG_COLUMNS_LIMIT] = {false};
    uint32_t hint = 0;
    for (uint32_t i = 0; i < h->columns_count; i++) {
        bool next =
            hint < h->entity->columns_count && text_equal(h->entity->columns[hint].name, names[i]);
        int found = next ? (int)hint : cat_column_find(h->entity, names[i]);
        h->columns[i] = found;
        if (found < 0) {
            continue;
        }
        if (seen[found]) {
            json_fail(r, FB_E_PROTOCOL, "a column stands twice in a block");
            return;
        }
        seen[found] = true;
        hint = (uint32_t)found + 1;
    }
    if (!seen[0]) {
        json_fail(r, FB_E_PROTOCOL, "a block has no column id");
    }
}

/* The members of a block head; the names of its columns into `names`. */
static void head_members_get(json_reader *r, block_head *h, fb_text *names, bool *named_out)
{
    bool has_kind = false;
    fb_text key;
    json_object_begin(r);
    while (json_object_next(r, &key)) {
        if (text_is(key, "e")) {
            h->entity_name = json_string(r);
        } else if (text_is(key, "k")) {
            has_kind = kind_get(r, &h->kind);
        } else if (text_is(key, "c")) {
            h->columns_count = names_get(r, names);
            *named_out = true;
        } else {
            json_skip(r);
        }
    }
    bool names_columns = h->kind == BLOCK_ROW || h->kind == BLOCK_MOVE;
    if (h->entity_name.size == 0 || !has_kind || (names_columns && !*named_out)) {
        json_fail(r, FB_E_PROTOCOL, "a block needs e, k and, for rows and moves, c");
    }
}

fb_code block_head_get(fb_text line, const catalog *cat, arena *scratch, block_head *out)
{
    json_reader r;
    block_head h = {.kind = BLOCK_ROW};
    fb_text names[CATALOG_COLUMNS_LIMIT];
    bool named = false;
    json_reader_init(&r, line, scratch);
    head_members_get(&r, &h, names, &named);
    FB_TRY(json_finish(&r));

    h.entity = catalog_entity(cat, h.entity_name);
    if (!named) { /* leave, delete: the id alone */
        h.columns_count = 1;
        h.columns[0] = 0;
    } else if (h.entity != NULL) {
        columns_resolve(&r, &h, names);
    } else {
        for (uint32_t i = 0; i < h.columns_count; i++) {
            h.columns[i] = -1;
        }
    }
    if (r.code == FB_OK) {
        *out = h;
    }
    return r.code;
}

void row_put(buf *out, const cat_entity *e, const int *columns, uint32_t count,
             const fb_value *values)
{
    json_writer w;
    json_writer_init(&w, out);
    json_put_array(&w);
    for (uint32_t i = 0; i < count; i++) {
        value_put(&w, &e->columns[columns[i]], &values[i]);
    }
    json_put_end(&w);
    buf_put_char(out, '\n');
}

fb_code row_get(fb_text line, const block_head *head, arena *scratch, fb_value *values_out)
{
    FB_REQUIRE(head->entity != NULL);
    json_reader r;
    uint32_t count = 0;
    json_reader_init(&r, line, scratch);
    json_array_begin(&r);
    while (json_array_next(&r)) {
        if (count == head->columns_count) {
            json_fail(&r, FB_E_PROTOCOL, "a row has more values than its block has columns");
            break;
        }
        int column = head->columns[count];
        if (column >= 0) {
            value_get(&r, &head->entity->columns[column], &values_out[count]);
        } else {
            json_skip(&r);
            values_out[count] = (fb_value){.kind = FB_KIND_NULL};
        }
        count++;
    }
    if (r.code == FB_OK && count != head->columns_count) {
        json_fail(&r, FB_E_PROTOCOL, "a row has fewer values than its block has columns");
    }
    return json_finish(&r);
}
