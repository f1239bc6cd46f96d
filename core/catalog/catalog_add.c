/* catalog_add.c - a newer catalogue: joining one more module, and the proof that it only adds
 * (CAT-4), without which devices that have not changed yet would lose or misread rows. */
#include "catalog/catalog_in.h"

#include <stdio.h>

#include "base/check.h"
#include "schema/limits.h"
#include "wire/json.h"

static fb_code changed(fb_error *err, const cat_entity *e, const cat_column *c, const char *what)
{
    char field[96];

    (void)snprintf(field, sizeof field, "%.*s.%.*s%s%.*s", SHOWN(e->module), SHOWN(e->name),
                   c != NULL ? "." : "", SHOWN(c != NULL ? c->name : (fb_text){0}));
    return fail(err, FB_E_CATALOG, field, "%s", what);
}

static fb_code keeps_values(const cat_entity *e, const cat_column *a, const cat_column *b,
                            fb_error *err)
{
    for (uint32_t i = 0; i < a->values_count; i++) {
        bool kept = false;
        for (uint32_t n = 0; n < b->values_count && !kept; n++) {
            kept = text_equal(a->values[i], b->values[n]);
        }
        if (!kept) {
            return changed(err, e, a, "an enum value was removed: put it back");
        }
    }
    return FB_OK;
}

/* By name: columns may stand elsewhere in the next catalogue. Without a source both name "id". */
static bool keeps_source(const cat_entity *base, const cat_column *a, const cat_entity *next,
                         const cat_column *b)
{
    bool same =
        (a->from_column == 0) == (b->from_column == 0) && a->from_part == b->from_part &&
        text_equal(base->columns[a->from_column].name, next->columns[b->from_column].name) &&
        text_equal(a->from_separator, b->from_separator) &&
        a->from_pairs_count <= b->from_pairs_count;
    for (uint32_t i = 0; same && i < a->from_pairs_count; i++) {
        same = text_equal(a->from_pairs[i].before, b->from_pairs[i].before) &&
               text_equal(a->from_pairs[i].now, b->from_pairs[i].now);
    }
    return same;
}

static fb_code keeps_column(const catalog *base, const catalog *next, const cat_entity *e,
                            const cat_column *a, const cat_column *b, fb_error *err)
{
    if (a->type != b->type) {
        return changed(err, e, a, "the type was changed: restore it and add a new column instead");
    }
    if (a->type == CAT_REF &&
        !text_equal(base->entities[a->to_entity].name, next->entities[b->to_entity].name)) {
        return changed(err, e, a,
                       "the ref points elsewhere: restore it and add a new column instead");
    }
    if (a->policy != b->policy) {
        return changed(err, e, a, "the merge policy was changed: restore it");
    }
    if (b->max_bytes < a->max_bytes || b->max < a->max || b->min > a->min) {
        return changed(err, e, a,
                       "the limits became narrower: restore them, stored rows may be outside");
    }
    if ((b->required && !a->required) || (b->unique && !a->unique)) {
        return changed(
            err, e, a,
            "the column became required or unique: restore it, stored rows may break it");
    }
    return keeps_values(e, a, b, err);
}

static fb_code keeps_columns(const catalog *base, const catalog *next, const cat_entity *a,
                             const cat_entity *b, fb_error *err)
{
    for (uint32_t i = 0; i < a->columns_count; i++) {
        int at = cat_column_find(b, a->columns[i].name);
        if (at < 0) {
            return changed(err, a, &a->columns[i], "the column was removed: put it back");
        }
        FB_TRY(keeps_column(base, next, a, &a->columns[i], &b->columns[at], err));
        if (!keeps_source(a, &a->columns[i], b, &b->columns[at])) {
            return changed(err, a, &a->columns[i],
                           "\"from\" was changed: restore it, rows were made by it");
        }
    }
    for (uint32_t i = 0; i < b->columns_count; i++) {
        const cat_column *c = &b->columns[i];
        if (c->required && c->default_value.kind == FB_KIND_NULL &&
            cat_column_find(a, c->name) < 0) {
            return changed(
                err, b, c,
                "a new column cannot be required: give it a default or make it optional");
        }
    }
    return FB_OK;
}

static bool same_scope(const cat_entity *a, const cat_scope_rule *x, const cat_entity *b,
                       const cat_scope_rule *y)
{
    if (x->kind != y->kind) {
        return false;
    }
    return x->column < 0 || text_equal(a->columns[x->column].name, b->columns[y->column].name);
}

static fb_code keeps_scopes(const cat_entity *a, const cat_entity *b, fb_error *err)
{
    bool same = a->scopes_count == b->scopes_count;

    for (uint32_t i = 0; same && i < a->scopes_count; i++) {
        same = same_scope(a, &a->scopes[i], b, &b->scopes[i]);
    }
    return same ? FB_OK
                : changed(err, a, NULL,
                          "the scope was changed: restore it, rows would be lost on devices");
}

static fb_code keeps_grants(const cat_entity *a, const cat_entity *b, fb_error *err)
{
    for (uint32_t i = 0; i < a->grants_count; i++) {
        const cat_grant *x = &a->grants[i];
        const cat_grant *y = grant_find(b, x->role);
        if (y == NULL || (x->create && !y->create) || (x->read && !y->read) ||
            (x->update && !y->update) || (x->remove && !y->remove) || (x->approve && !y->approve)) {
            return changed(err, a, NULL,
                           "a role lost a right: put it back, or take it away in role_permission");
        }
    }
    return FB_OK;
}

static bool has_transition(const cat_states *s, const cat_transition *t)
{
    for (uint32_t i = 0; i < s->transitions_count; i++) {
        const cat_transition *x = &s->transitions[i];
        if (text_equal(x->from, t->from) && text_equal(x->to, t->to) && (x->device || !t->device)) {
            return true;
        }
    }
    return false;
}

static fb_code keeps_states(const cat_entity *a, const cat_entity *b, fb_error *err)
{
    const cat_states *s = &a->states;

    if (s->column < 0) {
        return FB_OK;
    }
    if (b->states.column < 0 ||
        !text_equal(a->columns[s->column].name, b->columns[b->states.column].name) ||
        !text_equal(s->sealed_from, b->states.sealed_from)) {
        return changed(err, a, NULL,
                       "the state machine was removed or sealed elsewhere: restore it");
    }
    for (uint32_t i = 0; i < s->transitions_count; i++) {
        if (!has_transition(&b->states, &s->transitions[i])) {
            return changed(err, a, &a->columns[s->column], "a transition was removed: put it back");
        }
    }
    return FB_OK;
}

fb_code catalog_extends(const catalog *base, const catalog *next, fb_error *err)
{
    FB_REQUIRE(base != NULL && next != NULL);
    if (next->version <= base->version) {
        return fail(err, FB_E_CATALOG, "version", "the version must be greater than %u: raise it",
                    base->version);
    }
    for (uint32_t i = 0; i < base->entities_count; i++) {
        const cat_entity *a = &base->entities[i];
        const cat_entity *b = catalog_entity(next, a->name);
        if (b == NULL) {
            return changed(err, a, NULL, "the entity was removed: put it back");
        }
        if (a->klass != b->klass || (a->device_writes && !b->device_writes)) {
            return changed(err, a, NULL,
                           "the class was changed or devices lost the right to write: restore it");
        }
        FB_TRY(keeps_columns(base, next, a, b, err));
        FB_TRY(keeps_scopes(a, b, err));
        FB_TRY(keeps_grants(a, b, err));
        FB_TRY(keeps_states(a, b, err));
    }
    return FB_OK;
}

/* As row_put writes it: of a text each byte may be an escape of six, such as \u0001. */
static uint64_t value_bytes_max(const cat_column *c)
{
    enum { ESCAPE_BYTES = 6, NUMBER_BYTES = 22, QUOTES_AND_COMMA = 3 };
    if (cat_is_integer(c->type)) {
        return NUMBER_BYTES + QUOTES_AND_COMMA;
    }
    bool is_text = c->type == CAT_TEXT || c->type == CAT_JSON;
    uint64_t text = is_text ? (uint64_t)ESCAPE_BYTES * c->max_bytes : NAME_BYTES_MAX;
    return text + QUOTES_AND_COMMA; /* a word, a date, an id */
}

uint64_t cat_row_bytes_max(const cat_entity *e)
{
    uint64_t bytes = 2; /* the brackets */
    for (uint32_t i = 0; i < e->columns_count; i++) {
        bytes += value_bytes_max(&e->columns[i]);
    }
    return bytes;
}

fb_code catalog_rows_fit(const catalog *base, const catalog *next, fb_error *err)
{
    for (uint32_t i = 0; i < next->entities_count; i++) {
        const cat_entity *e = &next->entities[i];
        const cat_entity *before = base != NULL ? catalog_entity(base, e->name) : NULL;
        uint64_t bytes = cat_row_bytes_max(e);
        if (bytes <= LINE_BYTES_MAX || (before != NULL && bytes <= cat_row_bytes_max(before))) {
            continue;
        }
        char field[96];
        (void)snprintf(field, sizeof field, "%.*s.%.*s", SHOWN(e->module), SHOWN(e->name));
        return fail(err, FB_E_LIMIT, field,
                    "a row of it could take %llu KiB on the wire, where %d is the most: give its "
                    "long texts a smaller \"max\", or a new entity some of them",
                    (unsigned long long)(bytes >> 10), LINE_BYTES_MAX >> 10);
    }
    return FB_OK;
}

static fb_code parse_module(fb_text module, cJSON **out, fb_error *err)
{
    arena *scratch = arena_new(CATALOG_BYTES_MAX);
    fb_code rc = scratch == NULL ? FB_E_NO_MEMORY : json_check(module, scratch);

    arena_free(scratch);
    if (rc != FB_OK) {
        return fail(err, rc, "module", "the text is not strict JSON: correct it first");
    }
    *out = cJSON_ParseWithLength(module.data, module.size);
    if (*out == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory: free memory and retry");
    }
    if (!cJSON_IsObject(*out) || cJSON_HasObjectItem(*out, "since")) {
        cJSON_Delete(*out);
        return fail(err, FB_E_CATALOG, "module",
                    "a module is an object with \"module\" and \"entities\" or \"extend\", without "
                    "\"since\": correct it");
    }
    return FB_OK;
}

/* The joined text, or NULL when out of memory. `module` is consumed. */
static char *join(const catalog *base, cJSON *module_take)
{
    cJSON *root = cJSON_ParseWithLength(base->text.data, base->text.size);
    cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "version");
    char *text = NULL;

    if (cJSON_AddNumberToObject(module_take, "since", base->version + 1U) == NULL ||
        !cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(root, "modules"), module_take)) {
        cJSON_Delete(module_take);
    } else {
        /* In place: a replacement whose name memory did not suffice for would be no failure. */
        (void)cJSON_SetNumberValue(version, base->version + 1U);
        text = cJSON_PrintUnformatted(root);
    }
    cJSON_Delete(root);
    return text;
}

fb_code catalog_add(const catalog *base, fb_text module, buf *text_out, fb_error *err)
{
    catalog *next = NULL;
    cJSON *parsed = NULL;
    char *text = NULL;
    fb_code rc = FB_OK;

    FB_REQUIRE(base != NULL && text_out != NULL);
    FB_TRY(parse_module(module, &parsed, err));
    text = join(base, parsed);
    if (text == NULL) {
        return fail(err, FB_E_NO_MEMORY, "", "out of memory: free memory and retry");
    }
    rc = catalog_load(text_of(text), &next, err);
    if (rc == FB_OK) {
        rc = catalog_extends(base, next, err);
    }
    if (rc == FB_OK) {
        rc = catalog_rows_fit(base, next, err);
    }
    if (rc == FB_OK) {
        buf_put_str(text_out, text);
        rc = text_out->code == FB_OK
                 ? FB_OK
                 : fail(err, text_out->code, "module",
                        "the joined catalogue does not fit: make the module smaller");
    }
    catalog_free(next);
    cJSON_free(text);
    return rc;
}
