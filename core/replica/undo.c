/* undo.c - before-images: what a group overwrote, so that it can be taken off again.
 *
 * An image is written once per group, ops in order, and run backwards (PRO-1 needs the exact
 * reverse). A group of inserts only has none: its body says which ids to delete. Names, not
 * numbers, because a newer catalogue may number differently:
 *
 *   '+' entity id                      it inserted: delete
 *   '=' entity id n (column value)*    it set columns: set them back
 *   '*' entity id n (column value)*    it deleted: insert the row again
 *   name: length u8, bytes   n: u8   value: kind u8, then int 8 bytes | size u32, bytes | id 16 */
#include <string.h>

#include "replica/room.h"

/* --- writing ------------------------------------------------------------------------- */

static void put_name(buf *out, fb_text name)
{
    FB_ASSERT(name.size < 256);
    buf_put_char(out, (char)name.size);
    buf_put_text(out, name);
}

static void put_number(buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buf_put_char(out, (char)(uint8_t)(v >> (8 * i)));
    }
}

static void put_value(buf *out, const fb_value *v)
{
    buf_put_char(out, (char)v->kind);
    switch (v->kind) {
    case FB_KIND_INT:
        put_number(out, (uint64_t)v->u.i, 8);
        break;
    case FB_KIND_TEXT:
        put_number(out, v->u.text.size, 4);
        buf_put_text(out, v->u.text);
        break;
    case FB_KIND_ID:
        buf_put(out, v->u.id.b, sizeof v->u.id.b);
        break;
    case FB_KIND_NULL:
        break;
    }
}

static void put_entry(buf *out, char kind, const cat_entity *e, const fb_id *id)
{
    buf_put_char(out, kind);
    put_name(out, e->name);
    buf_put(out, id->b, sizeof id->b);
}

void image_put_insert(buf *out, const cat_entity *e, const fb_id *id)
{
    put_entry(out, '+', e, id);
}

void image_put_set(buf *out, const cat_entity *e, const fb_id *id, const int *columns,
                   const fb_value *old, uint32_t count)
{
    FB_ASSERT(count > 0 && count < 256);
    put_entry(out, '=', e, id);
    buf_put_char(out, (char)(uint8_t)count);
    for (uint32_t i = 0; i < count; i++) {
        put_name(out, e->columns[columns[i]].name);
        put_value(out, &old[i]);
    }
}

void image_put_row(buf *out, const cat_entity *e, const fb_value *values)
{
    put_entry(out, '*', e, &values[0].u.id);
    buf_put_char(out, (char)(uint8_t)e->columns_count);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        put_name(out, e->columns[i].name);
        put_value(out, &values[i]);
    }
}

fb_code image_store(replica *r, int64_t gseq, const buf *image)
{
    FB_TRY(image->code);
    sql_stmt *s = sql_prepare(r->db, "INSERT OR REPLACE INTO fb_undo (gseq, body) VALUES (?1, ?2)");
    sql_bind_int(s, 1, gseq);
    sql_bind_blob(s, 2, image->size > 0 ? image->data : "", image->size); /* empty, not NULL */
    return sql_run(s);
}

/* --- reading ------------------------------------------------------------------------- */

typedef struct image_reader {
    const uint8_t *at, *end;
    bool failed;
} image_reader;

typedef struct image_entry {
    char kind;
    fb_text entity;
    fb_id id;
    uint32_t count;
    image_reader values; /* stands on the first column */
} image_entry;

static const uint8_t *take(image_reader *in, size_t n)
{
    if (in->failed || (size_t)(in->end - in->at) < n) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *p = in->at;
    in->at += n;
    return p;
}

static uint64_t get_number(image_reader *in, unsigned bytes)
{
    const uint8_t *p = take(in, bytes);
    uint64_t v = 0;
    for (unsigned i = 0; p != NULL && i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

static fb_text get_bytes(image_reader *in, size_t size)
{
    const uint8_t *p = take(in, size);
    return p != NULL ? (fb_text){(const char *)p, size} : (fb_text){NULL, 0};
}

static fb_text get_name(image_reader *in)
{
    return get_bytes(in, (size_t)get_number(in, 1));
}

static void get_id(image_reader *in, fb_id *out)
{
    const uint8_t *p = take(in, sizeof out->b);
    if (p != NULL) {
        memcpy(out->b, p, sizeof out->b);
    }
}

static void get_value(image_reader *in, fb_value *out)
{
    *out = (fb_value){.kind = (fb_kind)get_number(in, 1)};
    switch (out->kind) {
    case FB_KIND_INT:
        out->u.i = (int64_t)get_number(in, 8);
        break;
    case FB_KIND_TEXT:
        out->u.text = get_bytes(in, (size_t)get_number(in, 4));
        break;
    case FB_KIND_ID:
        get_id(in, &out->u.id);
        break;
    case FB_KIND_NULL:
        break;
    default:
        in->failed = true;
    }
}

static void get_entry(image_reader *in, image_entry *out)
{
    *out = (image_entry){.kind = (char)get_number(in, 1)};
    out->entity = get_name(in);
    get_id(in, &out->id);
    if (out->kind != '+') {
        out->count = (uint32_t)get_number(in, 1);
        out->values = *in;
        for (uint32_t i = 0; i < out->count; i++) {
            fb_value skipped;
            (void)get_name(in);
            get_value(in, &skipped);
        }
    }
}

/* --- undoing ------------------------------------------------------------------------- */

/* Columns and values of an entry; false when a name is not known. */
static bool entry_values(image_entry *entry, const cat_entity *e, int *columns, fb_value *values)
{
    image_reader in = entry->values;
    if (entry->count == 0 || entry->count > CATALOG_COLUMNS_LIMIT) {
        return false;
    }
    for (uint32_t i = 0; i < entry->count; i++) {
        columns[i] = cat_column_find(e, get_name(&in));
        get_value(&in, &values[i]);
        if (columns[i] < 0) {
            return false;
        }
    }
    return !in.failed;
}

fb_code image_row_get(fb_text image, const cat_entity *e, fb_value *values)
{
    image_reader in = {.at = (const uint8_t *)image.data,
                       .end = (const uint8_t *)image.data + image.size};
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value got[CATALOG_COLUMNS_LIMIT];
    image_entry entry;
    get_entry(&in, &entry);
    if (entry.kind != '*' || !entry_values(&entry, e, columns, got)) {
        return FB_E_CORRUPT;
    }
    memset(values, 0, e->columns_count * sizeof *values);
    for (uint32_t i = 0; i < entry.count; i++) {
        values[columns[i]] = got[i];
    }
    return FB_OK;
}

static fb_code entry_undo(replica *r, image_entry *entry)
{
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_value row[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    const cat_entity *e = catalog_entity(r->edition->catalog, entry->entity);

    if (e == NULL) {
        return file_broken(r);
    }
    entity_plan *p = plan_of(r, e);
    observe_entity(r, e);
    if (entry->kind == '+') {
        return row_remove(r, p, &entry->id);
    }
    if (!entry_values(entry, e, columns, values)) {
        return file_broken(r);
    }
    if (entry->kind == '=') {
        return row_update(r, p, &entry->id, columns, values, entry->count);
    }
    for (uint32_t i = 0; i < entry->count; i++) {
        row[columns[i]] = values[i];
    }
    return row_insert(r, p, row);
}

static fb_code image_undo(replica *r, fb_text image)
{
    const uint8_t *start = image.size > 0 ? (const uint8_t *)image.data : (const uint8_t *)"";
    image_reader in = {start, start + image.size, false};
    size_t count = 0;
    image_reader counting = in;
    image_entry *entries = NULL;

    while (!counting.failed && counting.at < counting.end) {
        image_entry entry;
        get_entry(&counting, &entry);
        count++;
    }
    arena_reset(r->scratch);
    entries = arena_take(r->scratch, (count + 1) * sizeof *entries);
    if (counting.failed || entries == NULL) {
        return counting.failed ? file_broken(r) : FB_E_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        get_entry(&in, &entries[i]);
    }
    for (size_t i = count; i > 0; i--) {
        FB_TRY(entry_undo(r, &entries[i - 1]));
    }
    return FB_OK;
}

static bool image_deletes(fb_text image)
{
    const uint8_t *start = image.size > 0 ? (const uint8_t *)image.data : (const uint8_t *)"";
    image_reader in = {start, start + image.size, false};
    image_entry entry = {.kind = '+'};
    while (!in.failed && in.at < in.end && entry.kind != '*') {
        get_entry(&in, &entry);
    }
    return entry.kind == '*';
}

fb_code images_delete(replica *r, int64_t from, int64_t to, bool *out)
{
    bool row = false;
    *out = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT body FROM fb_undo WHERE gseq > ?1 AND gseq <= ?2");
    sql_bind_int(s, 1, from);
    sql_bind_int(s, 2, to);
    FB_TRY(sql_step(s, &row));
    while (row && !*out) {
        *out = image_deletes(sql_blob(s, 0));
        FB_TRY(sql_step(s, &row));
    }
    sql_reset(s);
    return FB_OK;
}

/* A group without an image: it only inserted, so its ids are deleted, the last first. */
static fb_code inserts_undo(replica *r, int64_t gseq)
{
    group g;
    FB_TRY(group_load(r, gseq, &g));
    for (uint32_t i = g.ops_count; i > 0; i--) {
        const group_op *op = &g.ops[i - 1];
        if (op->kind != OP_INSERT) {
            return file_broken(r);
        }
        entity_plan *p = plan_of(r, op->entity);
        fb_id id = op->id;
        FB_TRY(row_remove(r, p, &id));
        observe_entity(r, op->entity);
    }
    return FB_OK;
}

fb_code group_undo(replica *r, int64_t gseq)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT body FROM fb_undo WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    FB_TRY(sql_step(s, &row));
    if (!row) {
        return inserts_undo(r, gseq);
    }
    fb_code rc = image_undo(r, sql_blob(s, 0)); /* s stands on its row meanwhile */
    sql_reset(s);
    return rc;
}
