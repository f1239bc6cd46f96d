/* catalog_entity.c - one entity: its columns with id, stamps and ver around them, its scopes.
 *
 * CAT-2 is made here: id first, own columns, columns of "extend", stamps, ver last. */
#include "catalog/catalog_in.h"

#include <string.h>

#include "base/check.h"
#include "schema/limits.h"

enum { STAMPS_COUNT = 5 };

/* clang-format off */
static const char *const entity_keys[] = {
    "name", "label", "class", "device_writes", "stamps", "key", "scope", "columns", "indexes",
    "server_indexes", "unique_together", "states", "grants", NULL,
};
static const char *const extend_keys[] = {"entity", "columns", NULL};
static const char *const scope_keys[] = {"by", "column", NULL};

static const struct class_word {
    const char *word;
    cat_class klass;
} class_words[] = {
    {"fact", CAT_FACT}, {"shared", CAT_SHARED}, {"reference", CAT_REFERENCE},
    {"quantity", CAT_QUANTITY}, {"own", CAT_OWN},
};

static const struct scope_word {
    const char *word;
    cat_scope_kind kind;
    bool has_column;
    const char *target; /* the entity its column must refer to; NULL: any */
} scope_words[] = {
    {"global",     SCOPE_GLOBAL,     false, NULL},
    {"territory",  SCOPE_TERRITORY,  true,  "territory"},
    {"region",     SCOPE_REGION,     true,  "org_unit"},
    {"user",       SCOPE_USER,       true,  "app_user"},
    {"parent",     SCOPE_PARENT,     true,  NULL},
    {"assignment", SCOPE_ASSIGNMENT, false, NULL},
    {"none",       SCOPE_NONE,       false, NULL},
};

static const struct stamp {
    const char *name;
    cat_type type;
    const char *target, *en, *zh;
} stamps[STAMPS_COUNT] = {
    {"created_by",     CAT_REF,     "app_user", "Created by", "创建人"},
    {"created_at",     CAT_INSTANT, NULL,       "Created at", "创建时间"},
    {"created_device", CAT_REF,     "device",   "Created on", "创建设备"},
    {"updated_by",     CAT_REF,     "app_user", "Changed by", "修改人"},
    {"updated_at",     CAT_INSTANT, NULL,       "Changed at", "修改时间"},
};
/* clang-format on */

static fb_code read_class(loader *l, cat_entity *e, const cJSON *object)
{
    fb_text word = {0};

    FB_TRY(member_text(l, object, "class", MEMBER_NEEDED, &word));
    for (size_t i = 0; i < sizeof class_words / sizeof class_words[0]; i++) {
        if (text_is(word, class_words[i].word)) {
            e->klass = class_words[i].klass;
            e->device_writes = e->klass != CAT_REFERENCE;
            return FB_OK;
        }
    }
    return catalog_refuse(l, "unknown class \"%.*s\": use fact, shared, reference, quantity or own",
                          SHOWN(word));
}

/* Columns that "extend" entries of any module add to the entity: counted, or read. */
static fb_code each_extension(loader *l, cat_entity *e,
                              fb_code (*fn)(loader *l, cat_entity *e, const cJSON *columns,
                                            bool custom),
                              bool custom)
{
    const cJSON *module = NULL;
    const cJSON *extend = NULL;

    cJSON_ArrayForEach(module, l->modules)
    {
        cJSON_ArrayForEach(extend, cJSON_GetObjectItemCaseSensitive(module, "extend"))
        {
            fb_text name = {0};
            if (json_text_of(cJSON_GetObjectItemCaseSensitive(extend, "entity"), &name) &&
                text_equal(name, e->name)) {
                FB_TRY(fn(l, e, cJSON_GetObjectItemCaseSensitive(extend, "columns"), custom));
            }
        }
    }
    return FB_OK;
}

static fb_code count_columns(loader *l, cat_entity *e, const cJSON *columns, bool custom)
{
    (void)custom;
    if (!cJSON_IsArray(columns) || cJSON_GetArraySize(columns) == 0) {
        return catalog_refuse(l, "\"columns\" must be a list with at least one column: add one");
    }
    e->columns_count += (uint32_t)cJSON_GetArraySize(columns);
    return FB_OK;
}

static fb_code take_columns(loader *l, cat_entity *e, const cJSON *object)
{
    FB_TRY(count_columns(l, e, cJSON_GetObjectItemCaseSensitive(object, "columns"), false));
    FB_TRY(each_extension(l, e, count_columns, true));
    e->columns_count += 2U + (e->stamps ? (uint32_t)STAMPS_COUNT : 0U);
    if (e->columns_count > CATALOG_COLUMNS_MAX) {
        return catalog_refuse(
            l, "%u columns are too many, at most %d with id, ver and stamps: split the entity",
            e->columns_count, CATALOG_COLUMNS_MAX);
    }
    e->columns = load_take(l, e->columns_count, sizeof *e->columns);
    e->columns_count = 0; /* counts again as they are read */
    return e->columns == NULL ? refuse_memory(l) : FB_OK;
}

static bool is_kept_name(const cat_entity *e, fb_text name)
{
    for (size_t i = 0; e->stamps && i < STAMPS_COUNT; i++) {
        if (text_is(name, stamps[i].name)) {
            return true;
        }
    }
    return text_is(name, "id") || text_is(name, "ver");
}

static fb_code append_columns(loader *l, cat_entity *e, const cJSON *columns, bool custom)
{
    const cJSON *item = NULL;

    cJSON_ArrayForEach(item, columns)
    {
        cat_column column = {.custom = custom};
        l->column = (fb_text){0};
        FB_TRY(column_read(l, item, e, &column));
        if (is_kept_name(e, column.name)) {
            return catalog_refuse(
                l, "every entity has id and ver, and the stamps it asks for: remove this column");
        }
        if (cat_column_find(e, column.name) >= 0) {
            return catalog_refuse(l, "the column exists already: choose another name");
        }
        e->columns[e->columns_count++] = column;
        FB_TRY(column_default(l, item, e, (int)e->columns_count - 1));
        FB_TRY(column_from(l, item, e, (int)e->columns_count - 1));
    }
    l->column = (fb_text){0};
    return FB_OK;
}

static fb_code append_stamps(loader *l, cat_entity *e)
{
    for (size_t i = 0; e->stamps && i < STAMPS_COUNT; i++) {
        cat_column *column = &e->columns[e->columns_count];
        column_fixed(column, stamps[i].name, stamps[i].type, stamps[i].en, stamps[i].zh);
        if (stamps[i].target != NULL) {
            const cat_entity *target = catalog_entity_str(l->c, stamps[i].target);
            if (target == NULL) {
                return catalog_refuse(
                    l, "\"stamps\" needs the entities app_user and device: add them or remove it");
            }
            column->to_entity = target->number;
        }
        e->columns_count++;
    }
    return FB_OK;
}

static fb_code read_columns(loader *l, cat_entity *e, const cJSON *object)
{
    FB_TRY(take_columns(l, e, object));
    column_fixed(&e->columns[0], "id", CAT_ID, "Identity", "标识");
    e->columns[0].policy = CAT_AO;
    e->columns[0].required = true;
    e->columns_count = 1;
    FB_TRY(append_columns(l, e, cJSON_GetObjectItemCaseSensitive(object, "columns"), false));
    FB_TRY(each_extension(l, e, append_columns, true));
    FB_TRY(append_stamps(l, e));
    column_fixed(&e->columns[e->columns_count++], "ver", CAT_INT64, "Version", "版本");
    return column_slots_make(l, e);
}

static fb_code scope_column(loader *l, const cat_entity *e, const struct scope_word *word, int *at)
{
    const cat_column *column = NULL;
    bool is_own_row = false;

    *at = cat_column_find(e, l->column);
    if (*at < 0) {
        return catalog_refuse(l, "the scope names an unknown column: add it or correct the scope");
    }
    column = &e->columns[*at];
    /* A user's own row goes to the user: the one rule whose column is id. */
    is_own_row = word->kind == SCOPE_USER && column->type == CAT_ID && text_is(e->name, "app_user");
    if (is_own_row) {
        return FB_OK;
    }
    if (column->type != CAT_REF) {
        return catalog_refuse(l, "scope \"%s\" needs a ref column: name another column",
                              word->word);
    }
    if (word->target != NULL && !text_is(l->c->entities[column->to_entity].name, word->target)) {
        return catalog_refuse(l, "scope \"%s\" needs a ref to %s: name another column", word->word,
                              word->target);
    }
    return FB_OK;
}

static fb_code read_scope(loader *l, cat_entity *e, const cJSON *item)
{
    fb_text by = {0};
    cat_scope_rule rule = {.column = -1};
    const struct scope_word *word = NULL;

    l->column = (fb_text){0};
    FB_TRY(member_only(l, item, scope_keys));
    FB_TRY(member_text(l, item, "by", MEMBER_NEEDED, &by));
    for (size_t i = 0; i < sizeof scope_words / sizeof scope_words[0]; i++) {
        word = text_is(by, scope_words[i].word) ? &scope_words[i] : word;
    }
    if (word == NULL) {
        return catalog_refuse(
            l,
            "unknown scope \"%.*s\": use global, territory, region, user, parent, "
            "assignment or none",
            SHOWN(by));
    }
    rule.kind = word->kind;
    FB_TRY(member_text(l, item, "column", word->has_column ? MEMBER_NEEDED : MEMBER_OPTIONAL,
                       &l->column));
    if (!word->has_column && l->column.size > 0) {
        return catalog_refuse(l, "scope \"%s\" takes no column: remove it", word->word);
    }
    if (word->has_column) {
        FB_TRY(scope_column(l, e, word, &rule.column));
    }
    e->scopes[e->scopes_count++] = rule;
    return FB_OK;
}

static fb_code read_scopes(loader *l, cat_entity *e, const cJSON *object)
{
    const cJSON *list = NULL;
    const cJSON *item = NULL;

    FB_TRY(member_array(l, object, "scope", MEMBER_NEEDED, &list));
    if (cJSON_GetArraySize(list) > SCOPE_RULES_MAX) {
        return catalog_refuse(l, "more than %d scope rules: join or remove some", SCOPE_RULES_MAX);
    }
    cJSON_ArrayForEach(item, list)
    {
        FB_TRY(read_scope(l, e, item));
    }
    l->column = (fb_text){0};
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        bool alone = e->scopes[i].kind == SCOPE_GLOBAL || e->scopes[i].kind == SCOPE_NONE;
        if (alone && e->scopes_count > 1) {
            return catalog_refuse(l, "scope global or none stands alone: remove the other rules");
        }
    }
    return FB_OK;
}

static fb_code read_key(loader *l, cat_entity *e, const cJSON *object)
{
    fb_text name = {0};

    e->business_key = -1;
    FB_TRY(member_text(l, object, "key", MEMBER_OPTIONAL, &name));
    if (name.size == 0) {
        return FB_OK;
    }
    e->business_key = cat_column_find(e, name);
    return e->business_key >= 0
               ? FB_OK
               : catalog_refuse(l, "\"key\" names the unknown column \"%.*s\": correct it",
                                SHOWN(name));
}

fb_code entity_read(loader *l, cat_entity *e, const cJSON *object)
{
    l->module = e->module;
    l->entity = e->name;
    l->column = (fb_text){0};
    FB_TRY(member_only(l, object, entity_keys));
    FB_TRY(member_labels(l, object, &e->label_en, &e->label_zh));
    FB_TRY(read_class(l, e, object));
    FB_TRY(member_bool(l, object, "device_writes", &e->device_writes));
    FB_TRY(member_bool(l, object, "stamps", &e->stamps));
    FB_TRY(read_columns(l, e, object));
    FB_TRY(read_key(l, e, object));
    FB_TRY(read_scopes(l, e, object));
    FB_TRY(grants_read(l, e, object));
    FB_TRY(states_read(l, e, object));
    return indexes_read(l, e, object);
}

fb_code extend_check(loader *l, const cJSON *extend)
{
    fb_text name = {0};

    l->entity = l->column = (fb_text){0};
    FB_TRY(member_only(l, extend, extend_keys));
    FB_TRY(member_text(l, extend, "entity", MEMBER_NEEDED, &name));
    l->entity = name;
    if (catalog_entity(l->c, name) == NULL) {
        return catalog_refuse(l,
                              "\"extend\" names an unknown entity: correct it or add the entity");
    }
    return FB_OK;
}
