/* row_derive.c - columns the core fills itself: defaults, first states, search keys, and phone
 * numbers brought to one form.
 *
 * A derived column is one the catalogue marks `derived` and this table knows by name; others that
 * are marked (grades, sums) are the server's jobs' business. */
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "rules/row_rule.h"

enum { DERIVED_BYTES_MAX = 2048 };

/* False: nothing can be derived, the column becomes null. Depends on the source column alone, so
 * that a change of this column brings all that is needed. */
typedef bool (*derive_form)(fb_text source, buf *out);

static bool derive_key(fb_text source, buf *out)
{
    text_key(out, source);
    return true;
}

static bool derive_initials(fb_text source, buf *out)
{
    text_initials(out, source);
    return true;
}

static const struct derive_rule {
    const char *target, *source;
    derive_form form;
} RULES[] = {
    {"name_key", "name", derive_key},
    {"name_py", "name", derive_initials},
};

enum { RULES_COUNT = sizeof RULES / sizeof RULES[0] };

/* Columns of rule number i in this entity; false when it has not both. */
static bool rule_columns(const cat_entity *e, size_t i, int *target, int *source)
{
    *target = cat_column_str(e, RULES[i].target);
    *source = cat_column_str(e, RULES[i].source);
    return *target >= 0 && *source >= 0 && e->columns[*target].derived;
}

/* At most max bytes, cut between characters. */
static fb_text cut_to(fb_text t, size_t max_bytes)
{
    if (t.size <= max_bytes) {
        return t;
    }
    size_t size = max_bytes;
    while (size > 0 && ((unsigned char)t.data[size] & 0xC0) == 0x80) {
        size--;
    }
    return (fb_text){t.data, size};
}

/* What rule i makes of the row: null, or a text in `room`. */
static fb_value derived_value(const cat_entity *e, size_t i, const fb_value *row, char *room)
{
    fb_value made = {.kind = FB_KIND_NULL};
    int target = -1, source = -1;
    if (!rule_columns(e, i, &target, &source) || row[source].kind != FB_KIND_TEXT) {
        return made;
    }
    buf b = {.data = room, .capacity = DERIVED_BYTES_MAX, .max = DERIVED_BYTES_MAX - 1};
    if (!RULES[i].form(row[source].u.text, &b) || b.code != FB_OK || b.size == 0) {
        return made;
    }
    made.kind = FB_KIND_TEXT;
    made.u.text = cut_to(buf_text(&b), e->columns[target].max_bytes);
    return made;
}

/* The same with the text moved into the arena. */
static fb_code derive_into(const cat_entity *e, size_t i, const fb_value *row, arena *memory,
                           fb_value *out)
{
    char room[DERIVED_BYTES_MAX];
    fb_value made = derived_value(e, i, row, room);
    if (made.kind == FB_KIND_TEXT) {
        made.u.text = arena_text(memory, made.u.text);
        if (made.u.text.data == NULL) {
            return FB_E_NO_MEMORY;
        }
    }
    *out = made;
    return FB_OK;
}

static bool is_phone(const cat_column *c)
{
    return c->type == CAT_TEXT && (row_named(c->name, "phone") || row_named(c->name, "mobile"));
}

/* International form where the country is written (+86 .., 0086 ..). A local number is only trimmed
 * and brought to half width: which country it belongs to is not ours to guess. */
static fb_code phone_into(const cat_column *c, arena *memory, fb_value *v)
{
    char room[DERIVED_BYTES_MAX];
    buf b = {.data = room, .capacity = sizeof room, .max = sizeof room - 1};
    if (!is_phone(c) || v->kind != FB_KIND_TEXT) {
        return FB_OK;
    }
    if (!text_phone(&b, v->u.text, NULL)) {
        buf_reset(&b);
        text_normalise(&b, v->u.text);
    }
    if (b.code != FB_OK) {
        return FB_OK; /* longer than any number: row_check refuses it as it stands */
    }
    fb_text made = arena_text(memory, buf_text(&b));
    if (made.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    v->u.text = made;
    return FB_OK;
}

bool row_derived_holds(const cat_entity *e, const fb_value *row, int column)
{
    char room[DERIVED_BYTES_MAX];
    for (size_t i = 0; i < RULES_COUNT; i++) {
        int target = -1, source = -1;
        if (rule_columns(e, i, &target, &source) && target == column) {
            fb_value right = derived_value(e, i, row, room);
            return fb_value_equal(&row[column], &right);
        }
    }
    return false;
}

static void fill_defaults(const cat_entity *e, fb_value *values)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (values[i].kind == FB_KIND_NULL) {
            values[i] = e->columns[i].default_value;
        }
    }
    int state = e->states.column;
    if (state >= 0 && values[state].kind == FB_KIND_NULL && e->states.initial_count > 0) {
        values[state] = (fb_value){.kind = FB_KIND_TEXT, .u.text = e->states.initial[0]};
    }
}

fb_code row_derive(const cat_entity *e, fb_value *values, arena *memory)
{
    FB_REQUIRE(e != NULL && values != NULL && memory != NULL);
    fill_defaults(e, values);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        FB_TRY(phone_into(&e->columns[i], memory, &values[i]));
    }
    for (size_t i = 0; i < RULES_COUNT; i++) {
        int target = -1, source = -1;
        if (rule_columns(e, i, &target, &source)) {
            FB_TRY(derive_into(e, i, values, memory, &values[target]));
        }
    }
    return FB_OK;
}

static int position_of(const int *columns, uint32_t count, int column)
{
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i] == column) {
            return (int)i;
        }
    }
    return -1;
}

/* A row that holds the changed columns only. */
static void row_of_change(const cat_entity *e, const int *columns, const fb_value *values,
                          uint32_t count, fb_value row[CATALOG_COLUMNS_LIMIT])
{
    memset(row, 0, CATALOG_COLUMNS_LIMIT * sizeof *row);
    for (uint32_t i = 0; i < count; i++) {
        FB_ASSERT(columns[i] >= 0 && columns[i] < (int)e->columns_count);
        row[columns[i]] = values[i];
    }
}

fb_code row_derive_update(const cat_entity *e, int *columns, fb_value *values, uint32_t *count,
                          uint32_t capacity, arena *memory)
{
    FB_REQUIRE(e != NULL && columns != NULL && values != NULL && count != NULL && memory != NULL);
    FB_REQUIRE(e->columns_count <= CATALOG_COLUMNS_LIMIT && *count <= capacity);
    fb_value row[CATALOG_COLUMNS_LIMIT];
    uint32_t used = *count;
    row_of_change(e, columns, values, used, row);
    for (uint32_t i = 0; i < used; i++) {
        FB_TRY(phone_into(&e->columns[columns[i]], memory, &values[i]));
    }
    for (size_t i = 0; i < RULES_COUNT; i++) {
        int target = -1, source = -1;
        if (!rule_columns(e, i, &target, &source) || position_of(columns, *count, source) < 0) {
            continue;
        }
        int at = position_of(columns, used, target);
        if (at < 0 && used == capacity) {
            return FB_E_LIMIT;
        }
        at = at < 0 ? (int)used++ : at;
        columns[at] = target;
        FB_TRY(derive_into(e, i, row, memory, &values[at]));
    }
    *count = used;
    return FB_OK;
}
