/* problem.c - the tray: see, correct and send again, or give up. See fieldbook/problem.h. */
#include "fieldbook/problem.h"

#include "api/problem_inside.h"

const char *problem_state_name(verdict_code v)
{
    switch (v) {
    case VERDICT_HELD:
        return "held";
    case VERDICT_BLOCKED:
        return "blocked";
    default:
        return "rejected";
    }
}

static void fill_problem(const problem *p, fb_problem *out)
{
    *out = (fb_problem){
        .gseq = p->gseq,
        .state = text_of(problem_state_name(p->code)),
        .kind = p->kind,
        .error = p->error,
        .field = p->field,
        .text_en = p->text_en,
        .text_zh = p->text_zh,
        .cure_en = p->cure_en,
        .cure_zh = p->cure_zh,
        .who = p->who,
        .captured_at_ms = p->captured_at_ms,
        .blocked_by = p->blocked_by,
        .body = p->body,
        .verdict = p->verdict_json,
    };
}

typedef struct lending {
    fb_problem_fn fn;
    void *ctx;
    int64_t gseq; /* 0: all */
    bool found;
} lending;

static fb_code lend_problem(void *ctx, const problem *p)
{
    lending *l = ctx;
    fb_problem lent;

    if (l->gseq != 0 && p->gseq != l->gseq) {
        return FB_OK;
    }
    l->found = true;
    fill_problem(p, &lent);
    return l->fn(l->ctx, &lent);
}

fb_code fb_problem_each(fb_db *db, fb_problem_fn fn, void *ctx, fb_error *err)
{
    lending l = {.fn = fn, .ctx = ctx};

    FB_REQUIRE(db != NULL && fn != NULL);
    api_clear(err);
    return api_said(db, problem_each(db->r, lend_problem, &l), err);
}

static fb_code no_problem(fb_error *err)
{
    return fail(err, FB_E_NOT_FOUND, "gseq",
                "no open problem has this number: see the list of problems");
}

fb_code fb_problem_get(fb_db *db, int64_t gseq, fb_problem_fn fn, void *ctx, fb_error *err)
{
    lending l = {.fn = fn, .ctx = ctx, .gseq = gseq};

    FB_REQUIRE(db != NULL && fn != NULL);
    api_clear(err);
    if (gseq == 0) { /* a number below it: what an earlier life of the device was refused */
        return no_problem(err);
    }
    fb_code rc = problem_each(db->r, lend_problem, &l);
    return rc == FB_OK && !l.found ? no_problem(err) : api_said(db, rc, err);
}

fb_code fb_problem_discard(fb_db *db, int64_t gseq, fb_error *err)
{
    FB_REQUIRE(db != NULL);
    api_clear(err);
    if (db->group_open) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    return api_said(db, problem_discard(db->r, gseq, err), err);
}

/* --- send again ---------------------------------------------------------------------------------
 */

static fb_code keep_body(void *ctx, const fb_problem *p)
{
    resubmission *s = ctx;

    s->body = arena_text(s->memory, p->body);
    return s->body.data == NULL ? FB_E_NO_MEMORY : FB_OK;
}

static fb_code resubmission_load(resubmission *s, fb_error *err)
{
    s->memory = arena_new(CALL_BYTES_MAX);
    if (s->memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(fb_problem_get(s->db, s->gseq, keep_body, s, err));
    return group_get(s->body, replica_catalog(s->db->r), s->memory, &s->group, err);
}

fb_code resubmission_patch(resubmission *s, const problem_patch *patch)
{
    if (s->count == s->capacity) {
        uint32_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        problem_patch *wider = arena_take(s->memory, capacity * sizeof *wider);
        if (wider == NULL) {
            return FB_E_NO_MEMORY;
        }
        for (uint32_t i = 0; i < s->count; i++) {
            wider[i] = s->patches[i];
        }
        s->patches = wider;
        s->capacity = capacity;
    }
    s->patches[s->count++] = *patch;
    return FB_OK;
}

fb_code resubmission_target(fb_db *db, const char *entity, const char *column, problem_patch *out,
                            fb_error *err)
{
    FB_TRY(api_entity(db, entity, &out->entity, err));
    out->column = column == NULL ? -1 : cat_column_str(out->entity, column);
    if (out->column <= 0 || out->column == cat_ver_column(out->entity)) {
        return fail(err, FB_E_INVALID, column == NULL ? "column" : column,
                    "the entity has no such column: correct the name");
    }
    return FB_OK;
}

/* Where the patches come from: an array of the caller, or JSON. */
typedef struct patch_source {
    const fb_problem_patch *array;
    uint32_t count;
    const char *json;
} patch_source;

static fb_code take_array(resubmission *s, const patch_source *from, fb_error *err)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const fb_problem_patch *in = &from->array[i];
        problem_patch p = {.id = in->id, .value = in->value};
        FB_TRY(resubmission_target(s->db, in->entity, in->column, &p, err));
        FB_TRY(cat_value_check(p.entity, p.column, &p.value, err));
        FB_TRY(resubmission_patch(s, &p));
    }
    return FB_OK;
}

static fb_code send_again(resubmission *s, const patch_source *from, int64_t *gseq_out,
                          fb_error *err)
{
    int64_t made = 0;

    if (s->db->group_open) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    FB_TRY(resubmission_load(s, err));
    FB_TRY(take_array(s, from, err));
    if (from->json != NULL) {
        FB_TRY(resubmission_json(s, from->json, err));
    }
    FB_TRY(resubmission_orders(s, err));
    FB_TRY(problem_resubmit(s->db->r, s->gseq, s->patches, s->count, &made, err));
    if (gseq_out != NULL) {
        *gseq_out = made;
    }
    return FB_OK;
}

fb_code fb_problem_resubmit(fb_db *db, int64_t gseq, const fb_problem_patch *patches,
                            uint32_t count, int64_t *gseq_out, fb_error *err)
{
    resubmission s = {.db = db, .gseq = gseq};
    patch_source from = {.array = patches, .count = count};

    FB_REQUIRE(db != NULL && (count == 0 || patches != NULL));
    api_clear(err);
    fb_code rc = send_again(&s, &from, gseq_out, err);
    arena_free(s.memory);
    return api_said(db, rc, err);
}

fb_code fb_problem_resubmit_json(fb_db *db, int64_t gseq, const char *patches_json,
                                 int64_t *gseq_out, fb_error *err)
{
    resubmission s = {.db = db, .gseq = gseq};
    patch_source from = {.json = patches_json};

    FB_REQUIRE(db != NULL);
    api_clear(err);
    fb_code rc = send_again(&s, &from, gseq_out, err);
    arena_free(s.memory);
    return api_said(db, rc, err);
}
