/* catalog_column.c - one column of an entity: its type, limits, policy and default.
 *
 * Refs are resolved here because all entity names are known before any column is read. */
#include "catalog/catalog_in.h"

#include <string.h>

#include "base/check.h"
#include "schema/limits.h"

#define ENUM_VALUES_MAX 200
/* Money and quantities stay this far from the ends of int64, so that a sum over thousands of
 * rows cannot overflow. */
#define AMOUNT_MAX INT64_C(1000000000000000)
#define INSTANT_MAX INT64_C(253402300799999) /* the last millisecond of the year 9999 */

/* clang-format off */
static const struct type_word {
    const char *word;
    cat_type type;
    int64_t min, max;
} type_words[] = {
    {"ref",     CAT_REF,     0, 0},
    {"text",    CAT_TEXT,    0, 0},
    {"enum",    CAT_ENUM,    0, 0},
    {"date",    CAT_DATE,    0, 0},
    {"json",    CAT_JSON,    0, 0},
    {"bool",    CAT_BOOL,    0, 1},
    {"int32",   CAT_INT32,   INT32_MIN, INT32_MAX},
    {"bp",      CAT_BP,      INT32_MIN, INT32_MAX},
    {"e7",      CAT_E7,      -1800000000, 1800000000},
    {"int64",   CAT_INT64,   INT64_MIN, INT64_MAX},
    {"minor",   CAT_MINOR,   -AMOUNT_MAX, AMOUNT_MAX},
    {"price",   CAT_PRICE,   -AMOUNT_MAX, AMOUNT_MAX},
    {"milli",   CAT_MILLI,   -AMOUNT_MAX, AMOUNT_MAX},
    {"instant", CAT_INSTANT, 0, INSTANT_MAX},
};

static const struct policy_word {
    const char *word;
    cat_policy policy;
} policy_words[] = {
    {"SW", CAT_SW}, {"LWW", CAT_LWW}, {"AO", CAT_AO}, {"DELTA", CAT_DELTA}, {"SM", CAT_SM},
    {"MAX", CAT_MAX}, {"MIN", CAT_MIN}, {"SEQ", CAT_SEQ}, {"RES", CAT_RES}, {"MAN", CAT_MAN},
    {"SIG", CAT_SIG},
};

static const char *const column_keys[] = {
    "name", "label", "type", "to", "values", "max", "min", "default", "policy", "required",
    "unique", "personal", "guarded", "derived", "from", NULL,
};
/* clang-format on */

static const struct type_word *type_find(fb_text word)
{
    for (size_t i = 0; i < sizeof type_words / sizeof type_words[0]; i++) {
        if (text_is(word, type_words[i].word)) {
            return &type_words[i];
        }
    }
    return NULL;
}

static bool is_counted(cat_type t)
{
    return cat_is_integer(t) && t != CAT_BOOL && t != CAT_INSTANT;
}

void column_limits(cat_column *c)
{
    for (size_t i = 0; i < sizeof type_words / sizeof type_words[0]; i++) {
        if (type_words[i].type == c->type) {
            c->min = type_words[i].min;
            c->max = type_words[i].max;
        }
    }
    if (c->type == CAT_TEXT) {
        c->max_bytes = TEXT_BYTES_DEFAULT;
    } else if (c->type == CAT_JSON) {
        c->max_bytes = JSON_STRING_BYTES_MAX;
    }
}

void column_fixed(cat_column *out, const char *name, cat_type type, const char *en, const char *zh)
{
    *out = (cat_column){.name = text_of(name),
                        .label_en = text_of(en),
                        .label_zh = text_of(zh),
                        .type = type,
                        .policy = CAT_SW,
                        .derived = true,
                        .to_entity = -1};
    column_limits(out);
}

static fb_code read_type(loader *l, const cJSON *object, cat_column *out)
{
    fb_text word = {0};
    const struct type_word *found = NULL;

    FB_TRY(member_text(l, object, "type", MEMBER_NEEDED, &word));
    found = type_find(word);
    if (found == NULL) {
        return catalog_refuse(
            l,
            "unknown type \"%.*s\": use text, enum, date, json, bool, int32, bp, e7, int64, "
            "minor, price, milli, instant or ref",
            SHOWN(word));
    }
    out->type = found->type;
    column_limits(out);
    return FB_OK;
}

static fb_code read_target(loader *l, const cJSON *object, cat_column *out)
{
    const cat_entity *target = NULL;
    fb_text to = {0};

    out->to_entity = -1;
    FB_TRY(member_text(l, object, "to", MEMBER_OPTIONAL, &to));
    if (out->type != CAT_REF) {
        return to.size == 0 ? FB_OK : catalog_refuse(l, "\"to\" is for type ref only: remove it");
    }
    if (to.size == 0) {
        return catalog_refuse(l, "a ref needs \"to\": name the entity it refers to");
    }
    target = catalog_entity(l->c, to);
    if (target == NULL) {
        return catalog_refuse(
            l, "it refers to the unknown entity \"%.*s\": add that entity or correct \"to\"",
            SHOWN(to));
    }
    out->to_entity = target->number;
    return FB_OK;
}

static bool has_value(const cat_column *c, fb_text value)
{
    for (uint32_t i = 0; i < c->values_count; i++) {
        if (text_equal(c->values[i], value)) {
            return true;
        }
    }
    return false;
}

static fb_code read_values(loader *l, const cJSON *object, cat_column *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "values");
    const cJSON *item = NULL;

    if (out->type != CAT_ENUM) {
        return list == NULL ? FB_OK
                            : catalog_refuse(l, "\"values\" is for type enum only: remove it");
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0) {
        return catalog_refuse(l, "an enum needs \"values\": list at least one code");
    }
    if (cJSON_GetArraySize(list) > ENUM_VALUES_MAX) {
        return catalog_refuse(l, "an enum holds at most %d values: use a ref to an entity instead",
                              ENUM_VALUES_MAX);
    }
    out->values = load_take(l, (size_t)cJSON_GetArraySize(list), sizeof *out->values);
    if (out->values == NULL) {
        return refuse_memory(l);
    }
    cJSON_ArrayForEach(item, list)
    {
        fb_text code = {0};
        if (!json_text_of(item, &code) || !word_is_code(code)) {
            return catalog_refuse(
                l, "an enum value must be a code of letters, digits and _: correct \"values\"");
        }
        if (has_value(out, code)) {
            return catalog_refuse(l, "the value \"%.*s\" is listed twice: remove one", SHOWN(code));
        }
        FB_TRY(load_text(l, code, &out->values[out->values_count]));
        out->values_count++;
    }
    return FB_OK;
}

static fb_code read_text_limit(loader *l, const cJSON *object, cat_column *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "max");
    int64_t max = 0;

    if (cJSON_HasObjectItem(object, "min")) {
        return catalog_refuse(l, "\"min\" is for numbers only: remove it");
    }
    if (item == NULL) {
        return FB_OK;
    }
    if (!json_integer(item, &max) || max < 1 || max > JSON_STRING_BYTES_MAX) {
        return catalog_refuse(l, "\"max\" of a text must be 1 to %d bytes: correct it",
                              JSON_STRING_BYTES_MAX);
    }
    out->max_bytes = (uint32_t)max;
    return FB_OK;
}

static fb_code read_bound(loader *l, const cJSON *object, const char *key, int64_t *bound,
                          const cat_column *c)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    int64_t value = 0;

    if (item == NULL) {
        return FB_OK;
    }
    if (!json_integer(item, &value) || value < c->min || value > c->max) {
        return catalog_refuse(
            l,
            "\"%s\" must be an integer between %lld and %lld (as a text beyond 32 bits): "
            "correct it",
            key, (long long)c->min, (long long)c->max);
    }
    *bound = value;
    return FB_OK;
}

static fb_code read_limits(loader *l, const cJSON *object, cat_column *out)
{
    int64_t min = out->min;
    int64_t max = out->max;

    if (out->type == CAT_TEXT || out->type == CAT_JSON) {
        return read_text_limit(l, object, out);
    }
    if (!is_counted(out->type)) {
        if (cJSON_HasObjectItem(object, "min") || cJSON_HasObjectItem(object, "max")) {
            return catalog_refuse(l, "\"min\" and \"max\" do not apply to this type: remove them");
        }
        return FB_OK;
    }
    FB_TRY(read_bound(l, object, "min", &min, out));
    FB_TRY(read_bound(l, object, "max", &max, out));
    if (min > max) {
        return catalog_refuse(l, "\"min\" is greater than \"max\": swap them");
    }
    out->min = min;
    out->max = max;
    return FB_OK;
}

static fb_code read_policy(loader *l, const cJSON *object, const cat_entity *e, cat_column *out)
{
    fb_text word = {0};

    out->policy = e->klass == CAT_FACT ? CAT_AO : e->klass == CAT_REFERENCE ? CAT_SW : CAT_LWW;
    FB_TRY(member_text(l, object, "policy", MEMBER_OPTIONAL, &word));
    if (word.size == 0) {
        return FB_OK;
    }
    for (size_t i = 0; i < sizeof policy_words / sizeof policy_words[0]; i++) {
        if (text_is(word, policy_words[i].word)) {
            out->policy = policy_words[i].policy;
            return FB_OK;
        }
    }
    return catalog_refuse(
        l, "unknown policy \"%.*s\": use SW, LWW, AO, DELTA, SM, MAX, MIN, SEQ, RES, MAN or SIG",
        SHOWN(word));
}

static fb_code check_policy(loader *l, const cat_column *c)
{
    bool ordered = is_counted(c->type) || c->type == CAT_DATE || c->type == CAT_INSTANT;

    if (c->policy == CAT_DELTA && !is_counted(c->type)) {
        return catalog_refuse(l, "policy DELTA needs a number: change the policy or the type");
    }
    if ((c->policy == CAT_MAX || c->policy == CAT_MIN) && !ordered) {
        return catalog_refuse(
            l, "policy MAX and MIN need a number, date or instant: change the policy or the type");
    }
    if (c->policy == CAT_SEQ && c->type != CAT_TEXT) {
        return catalog_refuse(
            l, "policy SEQ gives document numbers and needs type text: change one of them");
    }
    if (c->policy == CAT_SM && c->type != CAT_ENUM) {
        return catalog_refuse(l, "policy SM needs type enum: change the policy or the type");
    }
    if (c->guarded && c->policy != CAT_SW) {
        return catalog_refuse(
            l, "a guarded column needs policy SW: change the policy or remove \"guarded\"");
    }
    if (c->unique && (c->type == CAT_JSON || c->type == CAT_BOOL)) {
        return catalog_refuse(l, "json and bool cannot be unique: remove \"unique\"");
    }
    return FB_OK;
}

fb_code column_read(loader *l, const cJSON *object, const cat_entity *e, cat_column *out)
{
    FB_TRY(member_only(l, object, column_keys));
    FB_TRY(member_text(l, object, "name", MEMBER_NEEDED, &out->name));
    l->column = out->name;
    FB_TRY(word_check_name(l, out->name));
    FB_TRY(member_labels(l, object, &out->label_en, &out->label_zh));
    FB_TRY(read_type(l, object, out));
    FB_TRY(read_target(l, object, out));
    FB_TRY(read_values(l, object, out));
    FB_TRY(read_limits(l, object, out));
    FB_TRY(member_bool(l, object, "required", &out->required));
    FB_TRY(member_bool(l, object, "unique", &out->unique));
    FB_TRY(member_bool(l, object, "personal", &out->personal));
    FB_TRY(member_bool(l, object, "guarded", &out->guarded));
    FB_TRY(member_bool(l, object, "derived", &out->derived));
    FB_TRY(read_policy(l, object, e, out));
    return check_policy(l, out);
}

static bool default_value(const cJSON *item, cat_type type, fb_value *out)
{
    out->kind = cat_kind(type);
    if (type == CAT_BOOL) {
        out->u.i = cJSON_IsTrue(item) ? 1 : 0;
        return cJSON_IsBool(item);
    }
    if (out->kind == FB_KIND_INT) {
        return json_integer(item, &out->u.i);
    }
    return out->kind == FB_KIND_TEXT && json_text_of(item, &out->u.text);
}

fb_code column_default(loader *l, const cJSON *object, const cat_entity *e, int column)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "default");
    cat_column *c = &e->columns[column];
    fb_value value = {0};
    fb_error why = {0};

    if (item == NULL) {
        return FB_OK;
    }
    if (c->type == CAT_REF) {
        return catalog_refuse(l, "a ref has no default: remove \"default\"");
    }
    if (!default_value(item, c->type, &value)) {
        return catalog_refuse(l, "\"default\" has the wrong type for the column: correct it");
    }
    if (cat_value_check(e, column, &value, &why) != FB_OK) {
        return catalog_refuse(l, "\"default\" is not valid: %s", why.message);
    }
    if (value.kind == FB_KIND_TEXT) {
        FB_TRY(load_text(l, value.u.text, &value.u.text));
    }
    c->default_value = value;
    return FB_OK;
}
