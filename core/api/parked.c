/* parked.c - records that left, and pending work that cannot be shown. See fieldbook/parked.h. */
#include "fieldbook/parked.h"

#include <string.h>

#include "api/handle.h"

typedef struct lending {
    fb_form form;
    fb_parked_fn fn;
    void *ctx;
    arena *memory;
    const char *names[CATALOG_COLUMNS_LIMIT];
    fb_value theirs[CATALOG_COLUMNS_LIMIT], mine[CATALOG_COLUMNS_LIMIT];
} lending;

static fb_code fill(lending *l, const parked_row *p, const fb_value *from, fb_value *to,
                    fb_row *out)
{
    memcpy(to, from, p->e->columns_count * sizeof *to);
    *out = (fb_row){.columns_count = p->e->columns_count, .names = l->names, .values = to};
    return l->form == FB_FORM_TEXT ? form_values_text(p->e, to, l->memory) : FB_OK;
}

static fb_code lend(void *ctx, const parked_row *p)
{
    lending *l = ctx;
    fb_row theirs, mine;
    arena_reset(l->memory);
    for (uint32_t i = 0; i < p->e->columns_count; i++) {
        l->names[i] = p->e->columns[i].name.data;
    }
    FB_TRY(fill(l, p, p->theirs, l->theirs, &theirs));
    FB_TRY(fill(l, p, p->mine, l->mine, &mine));
    const fb_parked lent = {.entity = p->e->name,
                            .id = p->id,
                            .left_ms = p->left_ms,
                            .gseq = p->gseq,
                            .changed = p->changed,
                            .deleted = p->deleted,
                            .theirs = &theirs,
                            .mine = &mine};
    return l->fn(l->ctx, &lent);
}

static fb_code refuse_open(const fb_db *db, fb_error *err)
{
    return capture_is_open(db->r) ? fail(err, FB_E_STATE, "",
                                         "a group is open on this handle: commit or abort it first")
                                  : FB_OK;
}

fb_code fb_parked_each(fb_db *db, fb_form form, fb_parked_fn fn, void *ctx, fb_error *err)
{
    lending l = {.form = form, .fn = fn, .ctx = ctx};
    FB_REQUIRE(db != NULL && fn != NULL && (form == FB_FORM_RAW || form == FB_FORM_TEXT));
    api_clear(err);
    FB_TRY(refuse_open(db, err));
    l.memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = l.memory != NULL ? parked_each(db->r, lend, &l) : FB_E_NO_MEMORY;
    arena_free(l.memory);
    return api_said(db, rc, err);
}

typedef struct warning_lending {
    fb_warning_fn fn;
    void *ctx;
} warning_lending;

static fb_code lend_warning(void *ctx, const warning *w)
{
    const warning_lending *l = ctx;
    const fb_warning lent = {.gseq = w->gseq,
                             .entity = w->entity,
                             .id = w->id,
                             .text_en = w->text_en,
                             .text_zh = w->text_zh};
    return l->fn(l->ctx, &lent);
}

fb_code fb_warning_each(fb_db *db, fb_warning_fn fn, void *ctx, fb_error *err)
{
    warning_lending l = {fn, ctx};
    FB_REQUIRE(db != NULL && fn != NULL);
    api_clear(err);
    FB_TRY(refuse_open(db, err));
    return api_said(db, warning_each(db->r, lend_warning, &l), err);
}
