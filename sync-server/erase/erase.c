/* erase.c - the rows of one person. See erase.h. */
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/erase/erase_inside.h"
#include "sync-server/store/fill.h"

static const char KIND[] = "privacy.erase";

fb_code erasing_change(erasing *x, const change *c)
{
    if (x->count == x->capacity) {
        uint32_t capacity = x->capacity == 0 ? 64 : x->capacity * 2;
        change *grown = arena_take(x->memory, capacity * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (x->count > 0) {
            memcpy(grown, x->changes, x->count * sizeof *grown);
        }
        x->changes = grown;
        x->capacity = capacity;
    }
    x->changes[x->count++] = *c;
    return FB_OK;
}

static bool is_changed_already(const erasing *x, const fb_id *id)
{
    for (uint32_t i = 0; i < x->count; i++) {
        if (id_equal(&x->changes[i].id, id)) {
            return true;
        }
    }
    return false;
}

static fb_code changes_commit(erasing *x)
{
    const commit_source from = {.at_ms = x->o->at_ms, .kind = text_of(KIND)};
    int64_t cid = 0;
    fb_code rc = x->count > 0 ? ledger_commit(x->s, &from, x->changes, x->count, &cid) : FB_OK;
    x->count = 0;
    return rc;
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

static bool is_about_rows(const cat_entity *e)
{
    return text_is(e->name, "conflict") || text_is(e->name, "change_request") ||
           text_is(e->name, "held_group");
}

/* ---- the list ---- */

/* One row of the list for one id, the same however often it is written. */
fb_id erasure_id(const fb_id *id)
{
    static const char NAME[] = "erasure";
    digest_run run;
    digest hash;
    fb_id out;
    digest_begin(&run);
    digest_add(&run, NAME, sizeof NAME);
    digest_add(&run, id->b, sizeof id->b);
    digest_end(&run, &hash);
    memcpy(out.b, hash.b, sizeof out.b);
    out.b[6] = (uint8_t)(0x80 | (out.b[6] & 0x0f));
    out.b[8] = (uint8_t)(0x80 | (out.b[8] & 0x3f));
    return out;
}

static fb_code list_add(erasing *x, const cat_entity *e, const fb_id *id)
{
    fb_id at = erasure_id(id);
    bool known = false;
    char text[FB_ID_TEXT_BYTES];
    FB_TRY(store_row_exists(x->s, x->list, &at, &known));
    known = known || is_changed_already(x, &at);
    fb_value *row = fill_row(x->list, &at, x->memory);
    if (known || row == NULL) {
        return known ? FB_OK : FB_E_NO_MEMORY;
    }
    id_put(id, text);
    fill_text(x->list, row, "entity", e->name);
    fill_text(x->list, row, "entity_id", arena_text(x->memory, text_of(text)));
    fill_text(x->list, row, "reason", x->o->reason);
    fill_int(x->list, row, "erased_at", x->o->at_ms);
    x->out->listed++;
    return erasing_change(x, &(change){.kind = CHANGE_INSERT,
                                       .entity = x->list,
                                       .id = at,
                                       .values = row,
                                       .columns_count = x->list->columns_count});
}

/* Ids under which devices may still send it. */
static fb_code aliases_list(erasing *x, const cat_entity *e, const fb_id *id, int depth)
{
    enum { ALIAS_DEPTH_MAX = 8, ALIASES_MAX = 64 };
    fb_id from[ALIASES_MAX];
    uint32_t count = 0;
    bool more = true;
    store_stmt *q = store_prepare(x->s, STORE_erase_aliases);
    store_bind_id(q, 1, id);
    FB_TRY(store_step(q, &more));
    while (more && count < ALIASES_MAX) {
        from[count++] = store_id(q, 0);
        FB_TRY(store_step(q, &more));
    }
    store_reset(q);
    for (uint32_t i = 0; i < count && depth < ALIAS_DEPTH_MAX; i++) {
        FB_TRY(list_add(x, e, &from[i]));
        FB_TRY(aliases_list(x, e, &from[i], depth + 1));
    }
    return FB_OK;
}

/* ---- what hangs on it ---- */

typedef struct walking {
    erasing *x;
    const cat_entity *e;
    int depth;
    fb_code (*row)(erasing *x, const cat_entity *e, const fb_value *values);
} walking;

static fb_code below(const walking *w, const fb_id *id);

static fb_code child_row(void *ctx, const fb_value *values)
{
    const walking *w = ctx;
    FB_TRY(w->row(w->x, w->e, values));
    return below(w, &values[0].u.id);
}

static fb_code below(const walking *w, const fb_id *id)
{
    const fb_value equal = {.kind = FB_KIND_ID, .u.id = *id};
    for (uint32_t i = 0; w->depth < SCOPE_DEPTH_MAX && i < w->e->children_count; i++) {
        walking child = {w->x, &w->x->cat->entities[w->e->children[i].entity], w->depth + 1,
                         w->row};
        FB_TRY(store_rows_by(w->x->s, child.e, w->e->children[i].column, &equal, w->x->memory,
                             child_row, &child));
    }
    return FB_OK;
}

/* What can be moved to another customer, or was merged, is found only by its own name then. */
static fb_code row_list(erasing *x, const cat_entity *e, const fb_value *values)
{
    if (e->klass != CAT_SHARED || !has_personal(e) || is_about_rows(e)) {
        return FB_OK;
    }
    FB_TRY(list_add(x, e, &values[0].u.id));
    return aliases_list(x, e, &values[0].u.id, 0);
}

/* ---- what of a row goes ---- */

static fb_code file_note(erasing *x, fb_text name)
{
    enum { NAME_BYTES = 2 * DIGEST_BYTES };
    erase_report *r = x->out;
    if ((r->files_count & (r->files_count - 1)) == 0) {
        uint32_t capacity = r->files_count == 0 ? 1 : r->files_count * 2;
        digest *files = arena_take(x->memory, capacity * sizeof *files);
        if (files == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (r->files_count > 0) {
            memcpy(files, r->files, r->files_count * sizeof *files);
        }
        r->files = files;
    }
    if (name.size == NAME_BYTES && hex_get(name, r->files[r->files_count].b, DIGEST_BYTES)) {
        r->files_count++;
    }
    return FB_OK;
}

/* Nobody is to choose between values that are gone. */
static fb_code conflict_close(const cat_entity *e, const fb_value *row, int *columns,
                              fb_value *values, uint32_t *count)
{
    int state = cat_column_str(e, "state"), winner = cat_column_str(e, "winner");
    if (!text_is(e->name, "conflict") || state < 0 || winner < 0 ||
        !text_is(value_text(row, state), "open")) {
        return FB_OK;
    }
    columns[*count] = state;
    values[(*count)++] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of("resolved")};
    columns[*count] = winner;
    values[(*count)++] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of("theirs")};
    return FB_OK;
}

static fb_code row_empty(erasing *x, const cat_entity *e, const fb_value *row,
                         const erased_columns *gone, change *c)
{
    int *columns = arena_take(x->memory, e->columns_count * sizeof *columns);
    fb_value *values = arena_take(x->memory, e->columns_count * sizeof *values);
    uint32_t count = 0;
    if (columns == NULL || values == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (int i = 1; i < cat_ver_column(e); i++) {
        if (gone->column[i] && row[i].kind != FB_KIND_NULL) {
            FB_TRY(erased_value(&x->view, e, i, row, x->memory, &values[count]));
            columns[count] = i;
            count += !fb_value_equal(&values[count], &row[i]);
        }
    }
    FB_TRY(conflict_close(e, row, columns, values, &count));
    *c = (change){.kind = CHANGE_UPDATE,
                  .entity = e,
                  .id = row[0].u.id,
                  .columns = columns,
                  .values = values,
                  .columns_count = count,
                  .before = row};
    return FB_OK;
}

static fb_code row_erase(erasing *x, const cat_entity *e, const fb_value *values);

static fb_code about_row(void *ctx, const fb_value *values)
{
    const walking *w = ctx;
    return row_erase(w->x, w->e, values);
}

/* Conflicts and change requests that name the row, wherever they hang. */
static fb_code about_erase(erasing *x, const fb_id *id)
{
    static const char *const ABOUT[][2] = {{"conflict", "entity_id"},
                                           {"change_request", "target_id"}};
    char text[FB_ID_TEXT_BYTES];
    id_put(id, text);
    const fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of(text)};
    for (size_t i = 0; i < sizeof ABOUT / sizeof ABOUT[0]; i++) {
        walking w = {x, catalog_entity_str(x->cat, ABOUT[i][0]), 0, NULL};
        int column = w.e != NULL ? cat_column_str(w.e, ABOUT[i][1]) : -1;
        FB_TRY(column < 0 ? FB_OK
                          : store_rows_by(x->s, w.e, column, &equal, x->memory, about_row, &w));
    }
    return FB_OK;
}

static fb_code row_erase(erasing *x, const cat_entity *e, const fb_value *values)
{
    erased_columns gone;
    change c;
    FB_TRY(erased_columns_of(&x->view, e, &values[0].u.id, values, x->memory, &gone));
    if (!gone.any || is_changed_already(x, &values[0].u.id)) {
        return FB_OK;
    }
    FB_TRY(row_empty(x, e, values, &gone, &c));
    if (gone.whole) {
        FB_TRY(file_note(x, row_text(e, values, "sha256")));
        FB_TRY(file_note(x, row_text(e, values, "thumb_sha256")));
        c = (change){.kind = CHANGE_DELETE, .entity = e, .id = c.id, .before = values};
    }
    if (gone.whole || c.columns_count > 0) {
        x->out->rows++;
        FB_TRY(erasing_change(x, &c));
    }
    return is_about_rows(e) ? FB_OK : about_erase(x, &values[0].u.id);
}

/* ---- the whole ---- */

static fb_code entity_check(const erasing *x, const cat_entity *e)
{
    if (x->list == NULL) {
        return fail(x->err, FB_E_CATALOG, "erasure",
                    "the catalogue in use does not know erasure yet: start the server of this "
                    "version once");
    }
    bool may = e != NULL && e->klass == CAT_SHARED && has_personal(e) && !is_about_rows(e);
    return may ? FB_OK
               : fail(x->err, FB_E_INVALID, "entity",
                      "rows of this entity are not erased by themselves: erase the customer or "
                      "contact; an employee is disabled");
}

static fb_code every_row(erasing *x, const cat_entity *e, const fb_value *row,
                         fb_code (*fn)(erasing *x, const cat_entity *e, const fb_value *values))
{
    const walking w = {x, e, 0, fn};
    FB_TRY(fn(x, e, row));
    return below(&w, &row[0].u.id);
}

static fb_code audit_tell(const erasing *x)
{
    buf detail;
    json_writer w;
    buf_init(&detail, 64 << 10);
    json_writer_init(&w, &detail);
    json_put_object(&w);
    json_put_key(&w, "rows");
    json_put_int(&w, x->out->rows);
    json_put_key(&w, "kept");
    json_put_int(&w, x->out->kept);
    json_put_key(&w, "reason");
    json_put_string(&w, x->o->reason);
    json_put_end(&w);
    fb_code rc = detail.code;
    if (rc == FB_OK) {
        rc = audit_put(x->s, x->o->at_ms, text_of("server"), text_of(KIND), x->o->entity, &x->o->id,
                       buf_text(&detail));
    }
    buf_clear(&detail);
    return rc;
}

/* The list stands, so the rule of decide/erased.c sees the person everywhere. */
static fb_code content_erase(erasing *x, decide_cache *c, const cat_entity *e, const fb_value *row)
{
    int64_t head = 0;
    FB_TRY(ledger_head(x->s, &head));
    FB_TRY(decide_cache_begin(c, x->s, head, x->o->at_ms));
    (void)decide_erased_view(c, x->s, &x->view);
    FB_TRY(row != NULL ? every_row(x, e, row, row_erase) : about_erase(x, &x->o->id));
    FB_TRY(held_rows_erase(x));
    FB_TRY(changes_commit(x));
    return verdicts_erase(x);
}

static fb_code person_run(erasing *x, const cat_entity *e)
{
    decide_cache *c = decide_cache_new();
    fb_value *row = arena_take(x->memory, e->columns_count * sizeof *row);
    fb_code rc = c == NULL || row == NULL ? FB_E_NO_MEMORY
                                          : store_row_get(x->s, e, &x->o->id, x->memory, row);
    if (rc == FB_E_NOT_FOUND && x->o->row_may_lack) {
        rc = FB_OK;
        row = NULL;
    }
    if (rc == FB_OK) {
        rc = list_add(x, e, &x->o->id);
    }
    if (rc == FB_OK) {
        rc = row != NULL ? every_row(x, e, row, row_list) : aliases_list(x, e, &x->o->id, 0);
    }
    if (rc == FB_OK) {
        rc = changes_commit(x);
    }
    if (rc == FB_OK) {
        rc = content_erase(x, c, e, row);
    }
    decide_cache_free(c);
    return rc;
}

fb_code erase_person(store *s, const erase_order *o, arena *memory, erase_report *out,
                     fb_error *err)
{
    const catalog *cat = store_catalog(s);
    const cat_entity *e = catalog_entity(cat, o->entity);
    erasing x = {.s = s,
                 .o = o,
                 .memory = memory,
                 .cat = cat,
                 .list = catalog_entity_str(cat, "erasure"),
                 .out = out,
                 .err = err};
    *out = (erase_report){.rows = 0};
    FB_TRY(entity_check(&x, e));
    FB_TRY(person_run(&x, e));
    int64_t head = 0;
    FB_TRY(ledger_head(s, &head));
    FB_TRY(store_meta_int_set(s, "erased_pos", (head + 1) << 20)); /* packs older than that go */
    bool anything = out->rows + out->listed + out->kept > 0;
    return anything ? audit_tell(&x) : FB_OK; /* ERS-5 */
}

fb_code erase_files(const blob_place *p, store *s, const erase_report *r)
{
    for (uint32_t i = 0; i < r->files_count; i++) {
        bool removed = false;
        FB_TRY(blob_forget(p, s, &r->files[i], &removed));
    }
    return FB_OK;
}
