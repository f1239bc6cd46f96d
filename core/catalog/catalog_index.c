/* catalog_index.c - the secondary indexes of an entity: the listed ones, one for each unique
 * column, and on the server one for each ref that a scope follows (moving a customer looks up
 * all rows that go where it goes). */
#include "catalog/catalog_in.h"

#include <string.h>

#include "base/check.h"

typedef struct cat_index cat_index;

static bool has_index(const cat_entity *e, const cat_index *index)
{
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        if (e->indexes[i].columns_count == index->columns_count &&
            memcmp(e->indexes[i].columns, index->columns, index->columns_count * sizeof(int)) ==
                0) {
            return true;
        }
    }
    return false;
}

static fb_code read_index(loader *l, const cat_entity *e, const cJSON *list, cat_index *out)
{
    const size_t room = sizeof out->columns / sizeof out->columns[0];
    const cJSON *item = NULL;

    l->column = (fb_text){0};
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0 ||
        (size_t)cJSON_GetArraySize(list) > room) {
        return catalog_refuse(l, "an index is a list of 1 to %zu column names: correct it", room);
    }
    cJSON_ArrayForEach(item, list)
    {
        if (!json_text_of(item, &l->column) || cat_column_find(e, l->column) < 0) {
            return catalog_refuse(l, "an index names an unknown column: correct it");
        }
        out->columns[out->columns_count++] = cat_column_find(e, l->column);
    }
    if (has_index(e, out)) {
        return catalog_refuse(l, "the index is listed twice: remove one");
    }
    return FB_OK;
}

static fb_code read_list(loader *l, cat_entity *e, const cJSON *list, cat_index kind)
{
    const cJSON *item = NULL;

    cJSON_ArrayForEach(item, list)
    {
        cat_index index = kind;
        FB_TRY(read_index(l, e, item, &index));
        e->indexes[e->indexes_count++] = index;
    }
    return FB_OK;
}

static void add_unique(cat_entity *e)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        cat_index index = {.columns = {(int)i}, .columns_count = 1, .unique = true};
        if (e->columns[i].unique && !has_index(e, &index)) {
            e->indexes[e->indexes_count++] = index;
        }
    }
}

/* A column that begins any index is found through it. */
static void add_followed(cat_entity *e, int column)
{
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        if (e->indexes[i].columns[0] == column) {
            return;
        }
    }
    e->indexes[e->indexes_count++] =
        (cat_index){.columns = {column}, .columns_count = 1, .server_only = true};
}

static void add_automatic(cat_entity *e)
{
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        if (e->scopes[i].kind == SCOPE_PARENT) {
            add_followed(e, e->scopes[i].column);
        }
    }
    if (text_is(e->name, "customer_assignment") && cat_column_str(e, "customer_id") >= 0) {
        add_followed(e, cat_column_str(e, "customer_id"));
    }
}

static fb_code check_unique_listed(loader *l, const cat_entity *e)
{
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        const cat_index *index = &e->indexes[i];
        if (index->columns_count == 1 && !index->unique && e->columns[index->columns[0]].unique) {
            l->column = e->columns[index->columns[0]].name;
            return catalog_refuse(l,
                                  "a unique column has an index already: remove it from the list");
        }
    }
    return FB_OK;
}

fb_code indexes_read(loader *l, cat_entity *e, const cJSON *object)
{
    const cJSON *shared = NULL;
    const cJSON *server = NULL;
    const cJSON *unique = NULL;
    size_t room = e->columns_count + SCOPE_RULES_MAX + 1;

    l->column = (fb_text){0};
    FB_TRY(member_array(l, object, "indexes", MEMBER_OPTIONAL, &shared));
    FB_TRY(member_array(l, object, "server_indexes", MEMBER_OPTIONAL, &server));
    FB_TRY(member_array(l, object, "unique_together", MEMBER_OPTIONAL, &unique));
    room += (size_t)(cJSON_GetArraySize(shared) + cJSON_GetArraySize(server) +
                     cJSON_GetArraySize(unique));
    e->indexes = load_take(l, room, sizeof *e->indexes);
    if (e->indexes == NULL) {
        return refuse_memory(l);
    }
    FB_TRY(read_list(l, e, shared, (cat_index){0}));
    FB_TRY(read_list(l, e, server, (cat_index){.server_only = true}));
    FB_TRY(read_list(l, e, unique, (cat_index){.unique = true}));
    FB_TRY(check_unique_listed(l, e));
    add_unique(e);
    add_automatic(e);
    FB_ASSERT(e->indexes_count <= room);
    l->column = (fb_text){0};
    return FB_OK;
}
