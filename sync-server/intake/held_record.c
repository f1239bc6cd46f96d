/* held_record.c - see held_record.h for HLD-1 and HLD-2. */
#include "sync-server/intake/held_record.h"

#include <string.h>

#include "base/id.h"
#include "sync-server/intake/verdict_rows.h"
#include "sync-server/store/fill.h"

enum { CONTENT_BYTES_MAX = 16384, WORDS_BYTES_MAX = 400, FIELD_BYTES_MAX = 120 };

/* Work on one row. */
typedef struct recording {
    intake *in;
    const held_place *p;
    const cat_entity *e;
    fb_id id;
    fb_value *before; /* NULL: there is no such row */
} recording;

/* At most `size` bytes of a text in UTF-8, no character cut in two: none has more than four bytes.
 */
static fb_text cut(fb_text t, size_t size)
{
    if (t.size > size) {
        t.size = size;
        while (((uint8_t)t.data[t.size] & 0xc0) == 0x80) {
            t.size--;
        }
    }
    return t;
}

/* A catalogue from before this entity: no row, and e stays NULL. */
static fb_code recording_begin(intake *in, const held_place *p, recording *r)
{
    *r =
        (recording){.in = in, .p = p, .e = catalog_entity_str(store_catalog(in->db), "held_group")};
    if (r->e == NULL) {
        return FB_OK;
    }
    r->id = id_is_none(&p->row) ? held_row_id(&p->d->user, p->line) : p->row;
    r->before = arena_take(in->work, r->e->columns_count * sizeof *r->before);
    if (r->before == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = store_row_get(in->db, r->e, &r->id, in->work, r->before);
    r->before = rc == FB_OK ? r->before : NULL;
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

/* What of `row` differs from the row that is there, or the whole row. */
static fb_code change_of(const recording *r, const fb_value *row, change *out)
{
    uint32_t count = 0;
    *out = (change){.kind = CHANGE_INSERT,
                    .entity = r->e,
                    .id = r->id,
                    .values = row,
                    .columns_count = r->e->columns_count};
    if (r->before == NULL) {
        return FB_OK;
    }
    int *columns = arena_take(r->in->work, r->e->columns_count * sizeof *columns);
    fb_value *values = arena_take(r->in->work, r->e->columns_count * sizeof *values);
    if (columns == NULL || values == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (int i = 1; i < cat_ver_column(r->e); i++) {
        if (!fb_value_equal(&row[i], &r->before[i])) {
            columns[count] = i;
            values[count++] = row[i];
        }
    }
    out->kind = CHANGE_UPDATE;
    out->columns = columns;
    out->values = values;
    out->columns_count = count;
    out->before = r->before;
    return FB_OK;
}

static fb_code commit(const recording *r, const fb_value *row, const char *kind)
{
    change ch;
    int64_t cid = 0;
    const commit_source from = {.at_ms = r->p->now_ms, .kind = text_of(kind)};
    FB_TRY(change_of(r, row, &ch));
    if (ch.columns_count == 0) {
        return FB_OK;
    }
    FB_TRY(ledger_commit(r->in->db, &from, &ch, 1, &cid));
    decide_cache_committed(r->in->cache, &ch, 1, cid);
    return FB_OK;
}

/* The author's unit says which managers see it. */
static fb_code unit_of(const recording *r, fb_id *out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(r->in->db), "app_user");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = store_row_get(r->in->db, e, &r->p->d->user, r->in->work, row);
    *out = rc == FB_OK ? row_id(e, row, "org_unit_id") : (fb_id){{0}};
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static void fill_verdict(const recording *r, fb_value *row, const verdict_msg *v)
{
    fill_str(r->e, row, "code", fb_code_name(v->error));
    fill_text(r->e, row, "field", cut(v->field, FIELD_BYTES_MAX));
    fill_text(r->e, row, "text_en", cut(v->text_en, WORDS_BYTES_MAX));
    fill_text(r->e, row, "text_zh", cut(v->text_zh, WORDS_BYTES_MAX));
    fill_text(r->e, row, "role", v->who);
}

/* A group that cannot be read (poison) is shown without its content. */
static void fill_group(const recording *r, fb_value *row)
{
    group g;
    fb_error err;
    fb_text line = r->p->line;
    if (group_get(line, store_catalog(r->in->db), r->in->work, &g, &err) != FB_OK) {
        return;
    }
    fill_text(r->e, row, "kind", g.head.kind);
    fill_int(r->e, row, "captured_at",
             g.head.captured_at_ms < r->p->now_ms ? g.head.captured_at_ms : r->p->now_ms);
    if (line.size <= CONTENT_BYTES_MAX) {
        fill_text(r->e, row, "content", line);
    }
}

static fb_code row_make(const recording *r, fb_value **out)
{
    verdict_msg verdict;
    fb_id unit;
    fb_value *row = fill_row(r->e, &r->id, r->in->work);
    if (row == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(verdict_line_get(r->p->words, r->in->work, &verdict));
    FB_TRY(unit_of(r, &unit));
    fill_id(r->e, row, "user_id", &r->p->d->user);
    fill_id(r->e, row, "org_unit_id", &unit);
    fill_id(r->e, row, "device_id", &r->p->d->device);
    fill_int(r->e, row, "number", r->p->gseq);
    fill_int(r->e, row, "held_at", r->p->now_ms);
    fill_group(r, row);
    fill_verdict(r, row, &verdict);
    fill_str(r->e, row, "state", "open");
    *out = row;
    return FB_OK;
}

/* Sent again while it waits (HLD-1): it waits since then and has the name it had. Copies of one
 * phone that take turns would otherwise change it at every sync, for everybody who sees it. */
static void keep_place(const recording *r, fb_value *row)
{
    static const char *const PLACE[] = {"device_id", "number", "captured_at", "held_at"};
    int state = cat_column_str(r->e, "state");
    if (r->before == NULL || !text_is(r->before[state].u.text, "open")) {
        return;
    }
    for (size_t i = 0; i < sizeof PLACE / sizeof PLACE[0]; i++) {
        int column = cat_column_str(r->e, PLACE[i]);
        row[column] = r->before[column];
    }
}

fb_code held_record_open(intake *in, const held_place *p)
{
    recording r;
    fb_value *row = NULL;
    FB_TRY(recording_begin(in, p, &r));
    if (r.e == NULL) {
        return FB_OK;
    }
    FB_TRY(row_make(&r, &row));
    keep_place(&r, row);
    return commit(&r, row, "held.open");
}

/* A copy of the row that is there. */
static fb_code row_copy(const recording *r, fb_value **out)
{
    *out = arena_take(r->in->work, r->e->columns_count * sizeof **out);
    if (*out == NULL) {
        return FB_E_NO_MEMORY;
    }
    memcpy(*out, r->before, r->e->columns_count * sizeof **out);
    return FB_OK;
}

fb_code held_record_withdraw(intake *in, const held_place *p)
{
    recording r;
    fb_value *row = NULL;
    FB_TRY(recording_begin(in, p, &r));
    if (r.e == NULL || r.before == NULL) {
        return FB_OK;
    }
    FB_TRY(row_copy(&r, &row));
    fill_str(r.e, row, "state", "withdrawn");
    return commit(&r, row, "held.withdraw");
}

fb_code held_record_close(intake *in, const held_place *p, const intake_decision *how,
                          verdict_code result, change *change_out, bool *any_out)
{
    recording r;
    fb_value *row = NULL;
    FB_TRY(recording_begin(in, p, &r));
    *any_out = r.e != NULL;
    if (r.e == NULL) {
        return FB_OK;
    }
    FB_TRY(r.before != NULL ? row_copy(&r, &row) : row_make(&r, &row));
    fill_str(r.e, row, "state", how->accept ? "accepted" : "rejected");
    fill_text(r.e, row, "reason", cut(how->reason, WORDS_BYTES_MAX));
    fill_str(r.e, row, "result", verdict_name(result));
    if (row[cat_column_str(r.e, "decided_at")].kind == FB_KIND_NULL) {
        fill_int(r.e, row, "decided_at", how->now_ms);
    }
    return change_of(&r, row, change_out);
}
