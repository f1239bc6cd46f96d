/* page.c - the blocks and rows of a page: checked when they arrive, applied when promoted.
 *
 * Values go straight from the reader into prepared upserts, one per entity and column list. What of
 * a row this catalogue does not know, its entity or some columns, is kept as text in fb_unknown
 * (kept_row.c) and applied by the first promotion that knows more: nothing that was sent is lost.
 */
#include <string.h>

#include "base/decimal.h"
#include "replica/room.h"

typedef struct walk {
    replica *r;
    fb_text head_line;
    block_head head;
    bool has_head, has_gap; /* has_gap: entity or a column is not known */
    uint32_t id_at,
        ver_at; /* where id and ver stand among the block's columns; UINT32_MAX: nowhere */
    sql_stmt *upsert;
    bool has_unknown; /* fb_unknown holds rows: they may have to go */
    fb_value values[CATALOG_COLUMNS_LIMIT];
} walk;

typedef fb_code (*row_fn)(walk *w, fb_text line, void *ctx);

static fb_code take_head(walk *w, fb_text line)
{
    arena *memory = w->r->capture.memory; /* no capture is open while pages are */
    arena_reset(memory);
    w->head_line = line;
    w->upsert = NULL;
    FB_TRY(block_head_get(line, w->r->edition->catalog, memory, &w->head));
    w->has_head = true;
    w->has_gap = w->head.entity == NULL;
    w->ver_at = UINT32_MAX;
    for (uint32_t i = 0; i < w->head.columns_count; i++) {
        w->has_gap = w->has_gap || w->head.columns[i] < 0;
        if (w->head.columns[i] == 0) {
            w->id_at = i;
        } else if (!w->has_gap && w->head.columns[i] == cat_ver_column(w->head.entity)) {
            w->ver_at = i;
        }
    }
    return FB_OK;
}

/* Every row of the text, in order, with its block's head in *w. */
static fb_code walk_rows(walk *w, fb_text lines, row_fn fn, void *ctx)
{
    line_reader l;
    fb_text line;
    line_reader_init(&l, lines);
    while (line_next(&l, &line)) {
        if (line.data[0] != '[') {
            FB_TRY(take_head(w, line));
        } else if (w->has_head) {
            FB_TRY(fn(w, line, ctx));
        } else {
            return FB_E_PROTOCOL;
        }
    }
    return l.code;
}

static fb_code refuse_page(fb_code rc, fb_error *err)
{
    switch (rc) {
    case FB_OK:
        return FB_OK;
    case FB_E_JSON:
    case FB_E_PROTOCOL:
    case FB_E_LIMIT:
    case FB_E_TRUNCATED:
        return fail(err, rc, "page",
                    "a block or row of the page cannot be read: report it; nothing was changed");
    default:
        return rc;
    }
}

/* --- ids of rows that are not known -------------------------------------------------- */

/* Where the column stands in the block's "c"; E_PROTOCOL when it is not there. */
static fb_code column_position(fb_text head_line, const char *name, arena *scratch, uint32_t *out)
{
    json_reader r;
    fb_text key;
    bool found = false;
    bool named = false;
    json_reader_init(&r, head_line, scratch);
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        if (!text_is(key, "c")) {
            json_skip(&r);
            continue;
        }
        named = true;
        uint32_t at = 0;
        json_array_begin(&r);
        while (json_array_next(&r)) {
            if (text_is(json_string(&r), name)) {
                found = true;
                *out = at;
            }
            at++;
        }
    }
    if (!named) { /* leave, delete: the id alone */
        *out = 0;
    }
    FB_TRY(json_finish(&r)); /* memory may be short: that is no fault of the page */
    return found || !named ? FB_OK : FB_E_PROTOCOL;
}

static fb_code unknown_id(const walk *w, fb_text line, fb_id *out)
{
    json_reader r;
    uint32_t at = 0;
    bool found = false;
    FB_TRY(column_position(w->head_line, "id", w->r->scratch, &at));
    json_reader_init(&r, line, w->r->scratch);
    json_array_begin(&r);
    for (uint32_t i = 0; json_array_next(&r); i++) {
        if (i == at) {
            found = id_get(json_string(&r), out) && !id_is_none(out);
        } else {
            json_skip(&r);
        }
    }
    FB_TRY(json_finish(&r));
    return found ? FB_OK : FB_E_PROTOCOL;
}

/* --- checking ------------------------------------------------------------------------ */

static fb_code check_row(walk *w, fb_text line, void *ctx)
{
    page_counts *counts = ctx;
    fb_id id;
    arena_reset(w->r->scratch);
    counts->total++;
    if (w->head.entity == NULL) {
        return unknown_id(w, line, &id);
    }
    counts->rows[w->head.entity->number]++;
    FB_TRY(row_get(line, &w->head, w->r->scratch, w->values));
    return w->values[w->id_at].kind == FB_KIND_ID ? FB_OK : FB_E_PROTOCOL;
}

fb_code page_check(replica *r, fb_text lines, page_counts *counts, fb_error *err)
{
    walk w = {.r = r};
    return refuse_page(walk_rows(&w, lines, check_row, counts), err);
}

/* Without reading the rows: only their blocks and how many they are. */
static fb_code count_row(walk *w, fb_text line, void *ctx)
{
    page_counts *counts = ctx;
    (void)line;
    counts->total++;
    if (w->head.entity != NULL) {
        counts->rows[w->head.entity->number]++;
    }
    return FB_OK;
}

fb_code page_count(replica *r, fb_text lines, page_counts *counts, fb_error *err)
{
    walk w = {.r = r};
    return refuse_page(walk_rows(&w, lines, count_row, counts), err);
}

fb_code page_counts_new(replica *r, arena *memory, page_counts *out)
{
    *out = (page_counts){.total = 0};
    out->rows = arena_take(memory, (r->edition->catalog->entities_count + 1) * sizeof *out->rows);
    return out->rows != NULL ? FB_OK : FB_E_NO_MEMORY;
}

void page_counts_put(replica *r, const page_counts *counts, buf *out)
{
    const catalog *c = r->edition->catalog;
    for (uint32_t i = 0; i < c->entities_count; i++) {
        if (counts->rows[i] > 0) {
            buf_put_text(out, c->entities[i].name);
            buf_printf(out, " %u\n", counts->rows[i]);
        }
    }
}

fb_code page_counts_add(replica *r, fb_text text, page_counts *counts)
{
    line_reader l;
    fb_text line;
    line_reader_init(&l, text);
    while (line_next(&l, &line)) {
        const char *blank = memchr(line.data, ' ', line.size);
        int64_t rows = 0;
        if (blank == NULL) {
            return FB_E_CORRUPT;
        }
        size_t name = (size_t)(blank - line.data);
        const cat_entity *e = catalog_entity(r->edition->catalog, (fb_text){line.data, name});
        if (!i64_get((fb_text){blank + 1, line.size - name - 1}, &rows) || rows < 0 ||
            rows > UINT32_MAX) {
            return FB_E_CORRUPT;
        }
        if (e != NULL) {
            counts->rows[e->number] += (uint32_t)rows;
        }
        counts->total += (uint32_t)rows;
    }
    return l.code == FB_OK ? FB_OK : FB_E_CORRUPT; /* it was whole when it was stored */
}

/* --- rows that are not known yet ----------------------------------------------------- */

static fb_code unknown_put(walk *w, fb_text line, const fb_id *id)
{
    buf_reset(&w->r->text);
    FB_TRY(kept_row_put(&w->head, w->head_line, w->id_at, line, w->r->scratch, &w->r->text));
    sql_stmt *s = sql_prepare(
        w->r->db, "INSERT OR REPLACE INTO fb_unknown (entity, id, body) VALUES (?1, ?2, ?3)");
    sql_bind_text(s, 1, w->head.entity_name);
    sql_bind_id(s, 2, id);
    sql_bind_text(s, 3, buf_text(&w->r->text));
    w->has_unknown = true;
    w->r->sums.uncertain = true;
    return sql_run(s);
}

static fb_code unknown_drop(walk *w, const fb_id *id)
{
    if (!w->has_unknown) {
        return FB_OK;
    }
    sql_stmt *s = sql_prepare(w->r->db, "DELETE FROM fb_unknown WHERE entity=?1 AND id=?2");
    sql_bind_text(s, 1, w->head.entity_name);
    sql_bind_id(s, 2, id);
    return sql_run(s);
}

/* --- applying ------------------------------------------------------------------------ */

static void put_names(buf *out, const block_head *h, const char *format_first, const char *format)
{
    bool first = true;
    for (uint32_t i = 0; i < h->columns_count; i++) {
        if (h->columns[i] >= 0) {
            const fb_text name = h->entity->columns[h->columns[i]].name;
            buf_put_str(out, first ? format_first : format);
            buf_put_text(out, name);
            first = false;
        }
    }
}

static void put_sets(buf *out, const block_head *h)
{
    bool first = true;
    for (uint32_t i = 0; i < h->columns_count; i++) {
        if (h->columns[i] > 0) {
            const fb_text name = h->entity->columns[h->columns[i]].name;
            buf_put_str(out, first ? " DO UPDATE SET " : ",");
            buf_put_text(out, name);
            buf_put_str(out, "=excluded.");
            buf_put_text(out, name);
            first = false;
        }
    }
    if (first) {
        buf_put_str(out, " DO NOTHING");
    }
}

/* The row must be there: what a move does not name, it has. */
static fb_code prepare_move(walk *w)
{
    const block_head *h = &w->head;
    buf *out = &w->r->text;
    bool first = true;
    buf_reset(out);
    buf_put_str(out, "UPDATE ");
    buf_put_text(out, h->entity->name);
    for (uint32_t i = 0; i < h->columns_count; i++) {
        if (h->columns[i] > 0) {
            buf_put_str(out, first ? " SET " : ",");
            buf_put_text(out, h->entity->columns[h->columns[i]].name);
            buf_printf(out, "=?%u", i + 1);
            first = false;
        }
    }
    buf_printf(out, " WHERE id=?%u", w->id_at + 1);
    if (first) {
        return FB_E_PROTOCOL;
    }
    w->upsert = sql_prepare(w->r->db, buf_cstr(out));
    return FB_OK;
}

static void prepare_upsert(walk *w)
{
    const block_head *h = &w->head;
    buf *out = &w->r->text;
    bool first = true;

    buf_reset(out);
    buf_put_str(out, "INSERT INTO ");
    buf_put_text(out, h->entity->name);
    put_names(out, h, " (", ",");
    buf_put_str(out, ") VALUES (");
    for (uint32_t i = 0; i < h->columns_count; i++) {
        if (h->columns[i] >= 0) {
            buf_put_str(out, first ? "?" : ",?");
            first = false;
        }
    }
    buf_put_str(out, ") ON CONFLICT (id)");
    put_sets(out, h);
    w->upsert = sql_prepare(w->r->db, buf_cstr(out));
}

static fb_code upsert_row(walk *w)
{
    int at = 1;
    if (w->upsert == NULL) {
        prepare_upsert(w);
    }
    for (uint32_t i = 0; i < w->head.columns_count; i++) {
        if (w->head.columns[i] >= 0) {
            sql_bind_value(w->upsert, at++, &w->values[i]);
        }
    }
    return sql_run(w->upsert);
}

/* A row without a version, or beside rows that await a newer catalogue, is counted afterwards. */
static void count_row_in(walk *w, const fb_id *id)
{
    if (w->ver_at == UINT32_MAX || w->has_unknown) { /* null is none: the table refuses it */
        w->r->sums.uncertain = true;
        return;
    }
    sums_add(w->r, w->head.entity, id, w->values[w->ver_at].u.i);
}

/* A row that is not there, or kept aside: the digest says what is wrong and mends it. */
static fb_code move_row(walk *w)
{
    if (w->upsert == NULL) {
        FB_TRY(prepare_move(w));
    }
    for (uint32_t i = 0; i < w->head.columns_count; i++) {
        if (w->head.columns[i] >= 0) {
            sql_bind_value(w->upsert, (int)i + 1, &w->values[i]);
        }
    }
    FB_TRY(sql_run(w->upsert));
    if (sql_changes(w->r->db) == 0) {
        w->r->sums.uncertain = true;
        return FB_OK;
    }
    count_row_in(w, &w->values[w->id_at].u.id);
    return FB_OK;
}

static fb_code apply_unknown_entity(walk *w, fb_text line)
{
    fb_id id;
    FB_TRY(unknown_id(w, line, &id));
    if (w->head.kind == BLOCK_MOVE) {
        w->r->sums.uncertain = true;
        return FB_OK;
    }
    return w->head.kind == BLOCK_ROW ? unknown_put(w, line, &id) : unknown_drop(w, &id);
}

/* An attachment that is gone for everybody was erased: its bytes go, wherever they stand on their
 * way (BLO-2 is for bytes that the server may ask for again). */
static fb_code bytes_drop(walk *w, const fb_id *id)
{
    static const char text[] =
        "DELETE FROM fb_blob WHERE hash IN (SELECT sha256 FROM attachment WHERE id=?1 UNION ALL "
        "SELECT thumb_sha256 FROM attachment WHERE id=?1) AND NOT EXISTS (SELECT 1 FROM attachment "
        "a WHERE a.id<>?1 AND fb_blob.hash IN (a.sha256, a.thumb_sha256))";
    replica *r = w->r;
    if (w->head.kind != BLOCK_DELETE || !text_is(w->head.entity->name, "attachment")) {
        return FB_OK;
    }
    sql_stmt *s = sql_prepare(r->db, text);
    sql_bind_id(s, 1, id);
    r->blobs_swept = false;
    return sql_run(s);
}

static fb_code apply_row(walk *w, fb_text line, void *ctx)
{
    (void)ctx;
    arena_reset(w->r->scratch);
    if (w->head.entity == NULL) {
        return apply_unknown_entity(w, line);
    }
    FB_TRY(row_get(line, &w->head, w->r->scratch, w->values));
    const fb_value *id = &w->values[w->id_at];
    if (id->kind != FB_KIND_ID) {
        return FB_E_PROTOCOL;
    }
    entity_plan *p = plan_of(w->r, w->head.entity);
    observe_entity(w->r, w->head.entity);
    FB_TRY(sums_take_row(w->r, p, &id->u.id));
    if (w->head.kind == BLOCK_MOVE) {
        return move_row(w);
    }
    if (w->head.kind != BLOCK_ROW) {
        w->r->purge_due = true;
        FB_TRY(bytes_drop(w, &id->u.id));
        FB_TRY(row_remove(w->r, p, &id->u.id));
        FB_TRY(w->head.kind == BLOCK_DELETE ? parked_forget(w->r, p->entity, &id->u.id) : FB_OK);
        return unknown_drop(w, &id->u.id);
    }
    FB_TRY(upsert_row(w));
    count_row_in(w, &id->u.id);
    return w->has_gap ? unknown_put(w, line, &id->u.id) : unknown_drop(w, &id->u.id);
}

static fb_code walk_start(replica *r, walk *w)
{
    int64_t any = 0;
    *w = (walk){.r = r};
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_unknown)", &any));
    w->has_unknown = any != 0;
    r->sums.uncertain |= w->has_unknown;
    return FB_OK;
}

fb_code page_apply(replica *r, fb_text lines, fb_error *err)
{
    walk w;
    FB_TRY(walk_start(r, &w));
    return refuse_page(walk_rows(&w, lines, apply_row, NULL), err);
}

static bool knows_a_column(const walk *w)
{
    bool known = false;
    for (uint32_t i = 0; i < w->head.columns_count; i++) {
        known |= w->head.columns[i] > 0;
    }
    return known;
}

/* A kept body is two lines. */
static fb_code kept_lines(fb_text body, fb_text *head, fb_text *row)
{
    line_reader l;
    line_reader_init(&l, body);
    return line_next(&l, head) && line_next(&l, row) ? FB_OK : FB_E_CORRUPT;
}

/* One kept row with today's catalogue: applied, and kept on only if something is still unknown. */
static fb_code unknown_try(walk *w, fb_text body)
{
    fb_text head;
    fb_text row;
    fb_id id;
    FB_TRY(kept_lines(body, &head, &row));
    FB_TRY(take_head(w, head));
    if (w->head.entity == NULL) {
        return FB_OK;
    }
    if (w->head.kind != BLOCK_MOVE || knows_a_column(w)) {
        FB_TRY(apply_row(w, row, NULL));
    }
    if (w->head.kind != BLOCK_MOVE) {
        return FB_OK;
    }
    FB_TRY(unknown_id(w, row, &id));
    return w->has_gap ? unknown_put(w, row, &id) : unknown_drop(w, &id);
}

/* The kept row behind (entity, id), copied into memory that holds nothing else; *found false at the
 * end. */
typedef struct kept_row {
    fb_text entity, body;
    fb_id id;
} kept_row;

static fb_code unknown_next(replica *r, arena *memory, kept_row *at, bool *found)
{
    sql_stmt *s =
        sql_prepare(r->db, "SELECT entity, id, body FROM fb_unknown WHERE (entity, id) > (?1, ?2)"
                           " ORDER BY entity, id LIMIT 1");
    sql_bind_text(s, 1, at->entity);
    sql_bind_blob(s, 2, at->id.b, sizeof at->id.b);
    FB_TRY(sql_step(s, found));
    if (!*found) {
        return FB_OK;
    }
    arena_reset(memory); /* of the row before, which the step has passed: they may be many */
    *at = (kept_row){arena_text(memory, sql_text(s, 0)), arena_text(memory, sql_text(s, 2)),
                     sql_id(s, 1)};
    sql_reset(s);
    return at->entity.data != NULL && at->body.data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static fb_code unknown_walk(walk *w, arena *memory)
{
    kept_row at = {.entity = {"", 0}};
    bool found = false;
    FB_TRY(unknown_next(w->r, memory, &at, &found));
    while (found) { /* one at a time: applying a row may delete it */
        FB_TRY(unknown_try(w, at.body));
        FB_TRY(unknown_next(w->r, memory, &at, &found));
    }
    return FB_OK;
}

fb_code unknown_apply(replica *r, fb_error *err)
{
    walk w;
    FB_TRY(walk_start(r, &w));
    if (!w.has_unknown) {
        return FB_OK;
    }
    arena *memory = arena_new(ARENA_BYTES_LIMIT);
    if (memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = unknown_walk(&w, memory);
    arena_free(memory);
    return refuse_page(rc, err);
}

/* The version in a kept row of an entity that is not known; 0 when it has none. */
static fb_code unknown_ver(const walk *w, fb_text line, int64_t *out)
{
    json_reader r;
    uint32_t at = 0;
    *out = 0;
    fb_code rc = column_position(w->head_line, "ver", w->r->scratch, &at);
    if (rc != FB_OK) {
        return rc == FB_E_NO_MEMORY ? rc : FB_OK;
    }
    json_reader_init(&r, line, w->r->scratch);
    json_array_begin(&r);
    for (uint32_t i = 0; json_array_next(&r); i++) {
        if (i != at) {
            json_skip(&r);
        } else if (!i64_get(json_string(&r), out)) {
            *out = 0;
        }
    }
    return json_finish(&r) == FB_E_NO_MEMORY ? FB_E_NO_MEMORY : FB_OK;
}

/* One that has a table is counted there: what is kept is only the columns that are not known. */
static fb_code unknown_count_row(replica *r, fb_text entity, const fb_id *id, fb_text body,
                                 row_sums *out)
{
    walk w = {.r = r};
    fb_text row;
    FB_TRY(kept_lines(body, &w.head_line, &row));
    arena_reset(r->scratch);
    if (catalog_entity(r->edition->catalog, entity) == NULL) {
        int64_t ver = 0;
        FB_TRY(unknown_ver(&w, row, &ver));
        row_sums_add(out, entity, id, ver);
    }
    return FB_OK;
}

fb_code unknown_count(replica *r, row_sums *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(r->db, "SELECT entity, id, body FROM fb_unknown");
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        fb_id id = sql_id(s, 1);
        rc = unknown_count_row(r, sql_text(s, 0), &id, sql_text(s, 2), out);
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    return rc;
}
