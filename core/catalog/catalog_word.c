/* catalog_word.c - which words may stand in a catalogue: names, codes, roles (CAT-1).
 *
 * Reserved are the words that SQLite or PostgreSQL refuse as a bare name, so that no statement
 * of ours ever has to quote one. Refusals and the reading of JSON members live here too. */
#include "catalog/catalog_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/decimal.h"
#include "schema/limits.h"

/* clang-format off */
static const char *const reserved_words[] = {
    "abort", "add", "all", "alter", "analyse", "analyze", "and", "any", "array", "as", "asc",
    "asymmetric", "attach", "authorization", "autoincrement", "before", "begin", "between",
    "binary", "both", "by", "cascade", "case", "cast", "check", "collate", "collation", "column",
    "commit", "concurrently", "constraint", "create", "cross", "current", "current_catalog",
    "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "database", "default", "deferrable", "deferred", "delete", "desc", "detach",
    "distinct", "do", "drop", "each", "else", "end", "escape", "except", "exclude", "exclusive",
    "exists", "explain", "fail", "false", "fetch", "filter", "for", "foreign", "freeze", "from",
    "full", "generated", "glob", "grant", "group", "having", "if", "ignore", "ilike", "immediate",
    "in", "index", "indexed", "initially", "inner", "insert", "instead", "intersect", "into", "is",
    "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
    "localtimestamp", "match", "materialized", "natural", "not", "nothing", "notnull", "null",
    "of", "offset", "on", "only", "or", "order", "outer", "over", "overlaps", "partition",
    "placing", "pragma", "primary", "raise", "recursive", "references", "regexp", "reindex",
    "release", "rename", "replace", "restrict", "returning", "right", "rollback", "row", "rowid",
    "rows", "savepoint", "select", "session_user", "set", "similar", "some", "symmetric", "table",
    "tablesample", "temp", "temporary", "then", "to", "trailing", "transaction", "trigger",
    "true", "union", "unique", "update", "user", "using", "vacuum", "values", "variadic",
    "verbose", "view", "virtual", "when", "where", "window", "with", "without",
};
/* clang-format on */

fb_code catalog_refuse(const loader *l, const char *format, ...)
{
    char field[96];
    char message[256];
    va_list args;

    (void)snprintf(field, sizeof field, "%.*s%s%.*s%s%.*s", SHOWN(l->module),
                   l->entity.size > 0 ? "." : "", SHOWN(l->entity), l->column.size > 0 ? "." : "",
                   SHOWN(l->column));
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return fail(l->err, FB_E_CATALOG, field, "%s", message);
}

fb_code refuse_memory(const loader *l)
{
    return fail(l->err, FB_E_NO_MEMORY, "",
                "out of memory while loading the catalogue: free memory and retry");
}

void *load_take(const loader *l, size_t count, size_t size)
{
    size_t bytes = 0;

    if (!size_mul(count == 0 ? 1 : count, size, &bytes)) {
        return NULL;
    }
    return arena_take(l->c->memory, bytes);
}

fb_code load_text(const loader *l, fb_text t, fb_text *out)
{
    fb_text copy = arena_text(l->c->memory, t);

    if (copy.data == NULL) {
        return refuse_memory(l);
    }
    *out = copy;
    return FB_OK;
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool word_is_code(fb_text t)
{
    for (size_t i = 0; i < t.size; i++) {
        if (!is_lower(t.data[i]) && !is_upper(t.data[i]) && !is_digit(t.data[i]) &&
            t.data[i] != '_') {
            return false;
        }
    }
    return t.size > 0 && t.size <= NAME_BYTES_MAX;
}

bool word_is_role(fb_text t)
{
    for (size_t i = 0; i < t.size; i++) {
        if (!is_upper(t.data[i]) && (i == 0 || (!is_digit(t.data[i]) && t.data[i] != '_'))) {
            return false;
        }
    }
    return t.size > 0 && t.size <= 16;
}

static bool has_name_form(fb_text t)
{
    if (t.size == 0 || !is_lower(t.data[0]) || t.data[t.size - 1] == '_') {
        return false;
    }
    for (size_t i = 1; i < t.size; i++) {
        if (!is_lower(t.data[i]) && !is_digit(t.data[i]) && t.data[i] != '_') {
            return false;
        }
        if (t.data[i] == '_' && t.data[i - 1] == '_') {
            return false;
        }
    }
    return true;
}

static bool starts_with(fb_text t, const char *prefix)
{
    size_t size = strlen(prefix);

    return t.size >= size && memcmp(t.data, prefix, size) == 0;
}

static bool is_reserved(fb_text t)
{
    for (size_t i = 0; i < sizeof reserved_words / sizeof reserved_words[0]; i++) {
        if (text_is(t, reserved_words[i])) {
            return true;
        }
    }
    return false;
}

fb_code word_check_name(const loader *l, fb_text name)
{
    if (name.size > NAME_BYTES_MAX) {
        return catalog_refuse(l, "the name is longer than %d bytes: shorten it", NAME_BYTES_MAX);
    }
    if (!has_name_form(name)) {
        return catalog_refuse(
            l, "the name \"%.*s\" is not allowed: use a-z, 0-9 and single _ between words",
            SHOWN(name));
    }
    if (starts_with(name, "fb_") || starts_with(name, "sqlite_")) {
        return catalog_refuse(
            l, "names beginning with fb_ or sqlite_ are kept for the system: choose another");
    }
    if (is_reserved(name)) {
        return catalog_refuse(l, "\"%.*s\" is a reserved word of SQL: choose another name",
                              SHOWN(name));
    }
    return FB_OK;
}

fb_code member_only(const loader *l, const cJSON *object, const char *const *keys)
{
    const cJSON *item = NULL;

    if (!cJSON_IsObject(object)) {
        return catalog_refuse(l, "an object {...} is expected here: correct the type");
    }
    cJSON_ArrayForEach(item, object)
    {
        size_t i = 0;
        while (keys[i] != NULL && strcmp(keys[i], item->string) != 0) {
            i++;
        }
        if (keys[i] == NULL) {
            return catalog_refuse(l, "unknown key \"%.48s\": remove it or correct its spelling",
                                  item->string);
        }
    }
    return FB_OK;
}

bool json_text_of(const cJSON *item, fb_text *borrowed_out)
{
    if (!cJSON_IsString(item)) {
        return false;
    }
    *borrowed_out = text_of(item->valuestring);
    return true;
}

bool json_integer(const cJSON *item, int64_t *out)
{
    fb_text text;

    if (json_text_of(item, &text)) {
        return i64_get(text, out);
    }
    /* valueint is clamped to the range of int: a number beyond it, or a fraction, differs. */
    if (!cJSON_IsNumber(item) || item->valuedouble != item->valueint) {
        return false;
    }
    *out = item->valueint;
    return true;
}

fb_code member_text(const loader *l, const cJSON *object, const char *key, member_need need,
                    fb_text *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    fb_text text;

    if (item == NULL && need == MEMBER_OPTIONAL) {
        return FB_OK;
    }
    if (item == NULL) {
        return catalog_refuse(l, "\"%s\" is missing: add it", key);
    }
    if (!json_text_of(item, &text) || text.size == 0 || text.size > TEXT_BYTES_DEFAULT) {
        return catalog_refuse(l, "\"%s\" must be a text of 1 to %d bytes: correct it", key,
                              TEXT_BYTES_DEFAULT);
    }
    return load_text(l, text, out);
}

fb_code member_bool(const loader *l, const cJSON *object, const char *key, bool *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (item == NULL) {
        return FB_OK;
    }
    if (!cJSON_IsBool(item)) {
        return catalog_refuse(l, "\"%s\" must be true or false: correct it", key);
    }
    *out = cJSON_IsTrue(item);
    return FB_OK;
}

fb_code member_array(const loader *l, const cJSON *object, const char *key, member_need need,
                     const cJSON **out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (item == NULL && need == MEMBER_OPTIONAL) {
        return FB_OK;
    }
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) == 0) {
        return catalog_refuse(l, "\"%s\" must be a list with at least one entry: add one", key);
    }
    *out = item;
    return FB_OK;
}

fb_code member_labels(const loader *l, const cJSON *object, fb_text *en, fb_text *zh)
{
    static const char *const keys[] = {"en", "zh", NULL};
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "label");

    if (item == NULL) {
        return catalog_refuse(l, "\"label\" is missing: add {\"en\": ..., \"zh\": ...}");
    }
    FB_TRY(member_only(l, item, keys));
    FB_TRY(member_text(l, item, "en", MEMBER_NEEDED, en));
    return member_text(l, item, "zh", MEMBER_NEEDED, zh);
}
