/* problem_patch.c - patches as JSON: [{"entity", "id" or "line", "column", "value"}]. See
 * fieldbook/problem.h. */
#include "api/problem_inside.h"

typedef struct patch_text {
    fb_text entity, id, column, value;
    int64_t line; /* 0: not given */
    bool has_value;
} patch_text;

static void read_patch(json_reader *r, patch_text *out)
{
    fb_text key;

    *out = (patch_text){.line = 0};
    json_object_begin(r);
    while (json_object_next(r, &key)) {
        if (text_is(key, "entity")) {
            out->entity = json_string(r);
        } else if (text_is(key, "id")) {
            out->id = json_string(r);
        } else if (text_is(key, "line")) {
            out->line = json_int(r);
        } else if (text_is(key, "column")) {
            out->column = json_string(r);
        } else if (text_is(key, "value")) {
            out->value = json_raw(r);
            out->has_value = true;
        } else {
            json_fail(r, FB_E_JSON, "a patch has entity, id or line, column, value");
        }
    }
}

/* The number people see on a row: its line_no, else its place in the group. */
static int64_t number_of(const group_op *op, int64_t place)
{
    int column = cat_column_str(op->entity, "line_no");

    for (uint32_t i = 0; column >= 0 && i < op->columns_count; i++) {
        if (op->columns[i] == column && op->mine[i].kind == FB_KIND_INT) {
            return op->mine[i].u.i;
        }
    }
    return place;
}

/* line 0: the only row of the entity. */
static fb_code find_row(const resubmission *s, problem_patch *p, int64_t line, fb_error *err)
{
    uint32_t rows = 0;
    uint32_t matches = 0;

    for (uint32_t i = 0; i < s->group.ops_count; i++) {
        const group_op *op = &s->group.ops[i];
        bool seen = op->entity == p->entity && matches > 0 && id_equal(&op->id, &p->id);
        if (op->entity != p->entity || seen) {
            continue;
        }
        rows++;
        if (line == 0 || number_of(op, rows) == line) {
            p->id = op->id;
            matches++;
        }
    }
    if (matches == 1) {
        return FB_OK;
    }
    return fail(err, matches == 0 ? FB_E_NOT_FOUND : FB_E_REQUIRED, line == 0 ? "id" : "line",
                "the group holds %u such rows: name one by id or line", matches);
}

static fb_code take_patch(resubmission *s, const patch_text *t, fb_error *err)
{
    json_reader value;
    problem_patch p = {.column = -1};
    fb_text entity = arena_text(s->memory, t->entity);
    fb_text column = arena_text(s->memory, t->column);

    if (entity.data == NULL || column.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(resubmission_target(s->db, entity.data, column.data, &p, err));
    if (!t->has_value) {
        return fail(err, FB_E_REQUIRED, "value", "a patch needs a value: give one, null for none");
    }
    if (t->id.size == 0) {
        FB_TRY(find_row(s, &p, t->line, err));
    } else if (!id_get(t->id, &p.id)) {
        return fail(err, FB_E_FORMAT, "id",
                    "an identity of 36 lower-case characters is expected: correct it");
    }
    json_reader_init(&value, t->value, s->memory);
    FB_TRY(form_get(s->db, &value, p.entity, p.column, s->memory, &p.value, err));
    return resubmission_patch(s, &p);
}

fb_code resubmission_json(resubmission *s, const char *json, fb_error *err)
{
    json_reader r;
    patch_text t;

    json_reader_init(&r, text_of(json), s->memory);
    if (json_peek(&r) != JSON_ARRAY) {
        return fail(err, FB_E_JSON, "patches", "patches are a JSON array: correct it");
    }
    json_array_begin(&r);
    while (json_array_next(&r)) {
        read_patch(&r, &t);
        if (r.code != FB_OK) {
            break;
        }
        FB_TRY(take_patch(s, &t, err));
    }
    if (json_finish(&r) != FB_OK) {
        return fail(err, r.code, "patches", "patches are a JSON array of objects (%s): correct it",
                    r.why);
    }
    return FB_OK;
}
