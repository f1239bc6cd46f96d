/* catalog_load.c - from a JSON text to a checked catalogue, and finding things in it.
 *
 * Order of a load: strict check of the text, names of all entities, then each entity's parts,
 * then what needs the whole (catalog_check.c). Everything lives in one arena: a refused load
 * frees it and leaves the caller's pointer alone. See catalog.h. */
#include "catalog/catalog_in.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "schema/limits.h"
#include "wire/json.h"

enum { ARENA_BYTES_MAX = 64 << 20, COLUMN_SLOTS = 256 };
_Static_assert(CATALOG_COLUMNS_LIMIT < COLUMN_SLOTS - 1,
               "a slot stays empty, a column fits a byte");

static const char *const root_keys[] = {"version", "modules", NULL};
static const char *const module_keys[] = {"module", "since", "entities", "extend", NULL};

/* Number of the first name in by_name that is not before `name`. */
static uint32_t name_position(const catalog *c, uint32_t count, fb_text name)
{
    uint32_t low = 0;
    uint32_t high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (text_compare(c->entities[c->by_name[middle]].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const cat_entity *catalog_entity(const catalog *c, fb_text name)
{
    uint32_t at = name_position(c, c->entities_count, name);

    if (at == c->entities_count || !text_equal(c->entities[c->by_name[at]].name, name)) {
        return NULL;
    }
    return &c->entities[c->by_name[at]];
}

const cat_entity *catalog_entity_str(const catalog *c, const char *name)
{
    return catalog_entity(c, text_of(name));
}

/* Columns are asked for by name in every row written: found by hash, open addressing. */
static uint32_t column_slot(fb_text name)
{
    uint32_t h = (uint32_t)name.size;
    for (size_t i = 0; i < name.size; i++) {
        h = h * 33 ^ (unsigned char)name.data[i];
    }
    return (h ^ h >> 8 ^ h >> 16) % COLUMN_SLOTS;
}

fb_code column_slots_make(loader *l, cat_entity *e)
{
    uint8_t *slots = arena_take(l->c->memory, COLUMN_SLOTS);
    if (slots == NULL) {
        return refuse_memory(l);
    }
    for (uint32_t i = 0; i < e->columns_count; i++) {
        uint32_t at = column_slot(e->columns[i].name);
        while (slots[at] != 0) {
            at = (at + 1) % COLUMN_SLOTS;
        }
        slots[at] = (uint8_t)(i + 1);
    }
    e->column_slots = slots;
    return FB_OK;
}

static int column_search(const cat_entity *e, fb_text name)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (text_equal(e->columns[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

int cat_column_find(const cat_entity *e, fb_text name)
{
    if (e->column_slots == NULL) {
        return column_search(e, name);
    }
    for (uint32_t at = column_slot(name); e->column_slots[at] != 0; at = (at + 1) % COLUMN_SLOTS) {
        int column = e->column_slots[at] - 1;
        if (text_equal(e->columns[column].name, name)) {
            return column;
        }
    }
    return -1;
}

int cat_column_str(const cat_entity *e, const char *name)
{
    return cat_column_find(e, text_of(name));
}

static fb_code enter_name(loader *l, cat_entity *e)
{
    catalog *c = l->c;
    uint32_t at = name_position(c, c->entities_count, e->name);

    if (at < c->entities_count && text_equal(c->entities[c->by_name[at]].name, e->name)) {
        return catalog_refuse(
            l,
            "the entity exists already in module \"%.*s\": choose another name or use \"extend\"",
            SHOWN(c->entities[c->by_name[at]].module));
    }
    memmove(&c->by_name[at + 1], &c->by_name[at], (c->entities_count - at) * sizeof *c->by_name);
    c->by_name[at] = (uint32_t)e->number;
    c->entities_count++;
    return FB_OK;
}

static fb_code name_entity(loader *l, const cJSON *object, uint32_t since)
{
    cat_entity *e = &l->c->entities[l->c->entities_count];

    FB_ASSERT(l->c->entities_count < l->entities_room);
    l->entity = l->column = (fb_text){0};
    if (!cJSON_IsObject(object)) {
        return catalog_refuse(l, "an entity must be an object {...}: correct it");
    }
    e->number = (int)l->c->entities_count;
    e->module = l->module;
    e->added_in = since;
    FB_TRY(member_text(l, object, "name", MEMBER_NEEDED, &e->name));
    l->entity = e->name;
    FB_TRY(word_check_name(l, e->name));
    l->sources[e->number] = object;
    return enter_name(l, e);
}

/* The same module name may come again in a later version (IT adds twice), not twice in one. */
static fb_code check_module_once(loader *l, const cJSON *module, uint32_t since)
{
    const cJSON *other = NULL;

    cJSON_ArrayForEach(other, l->modules)
    {
        int64_t other_since = 1;
        fb_text name = {0};
        if (other == module) {
            break;
        }
        (void)json_text_of(cJSON_GetObjectItemCaseSensitive(other, "module"), &name);
        (void)json_integer(cJSON_GetObjectItemCaseSensitive(other, "since"), &other_since);
        if (text_equal(name, l->module) && other_since == since) {
            return catalog_refuse(l, "the module is listed twice: join the two");
        }
    }
    return FB_OK;
}

static fb_code module_since(loader *l, const cJSON *module, uint32_t *since)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(module, "since");
    int64_t value = 1;

    if (item != NULL && (!json_integer(item, &value) || value < 1 || value > l->c->version)) {
        return catalog_refuse(
            l, "\"since\" must be between 1 and the catalogue's version: correct it");
    }
    *since = (uint32_t)value;
    return FB_OK;
}

static fb_code name_module(loader *l, const cJSON *module)
{
    const cJSON *entities = NULL;
    const cJSON *extend = NULL;
    const cJSON *item = NULL;
    uint32_t since = 1;

    l->module = l->entity = l->column = (fb_text){0};
    FB_TRY(member_only(l, module, module_keys));
    FB_TRY(member_text(l, module, "module", MEMBER_NEEDED, &l->module));
    FB_TRY(word_check_name(l, l->module));
    FB_TRY(module_since(l, module, &since));
    FB_TRY(check_module_once(l, module, since));
    FB_TRY(member_array(l, module, "extend", MEMBER_OPTIONAL, &extend));
    FB_TRY(member_array(l, module, "entities", extend == NULL ? MEMBER_NEEDED : MEMBER_OPTIONAL,
                        &entities));
    cJSON_ArrayForEach(item, entities)
    {
        FB_TRY(name_entity(l, item, since));
    }
    return FB_OK;
}

static fb_code take_entities(loader *l)
{
    const cJSON *module = NULL;
    size_t count = 0;

    cJSON_ArrayForEach(module, l->modules)
    {
        count += (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(module, "entities"));
    }
    if (count > CATALOG_ENTITIES_MAX) {
        return fail(l->err, FB_E_LIMIT, "entities",
                    "the catalogue has more than %d entities: remove some", CATALOG_ENTITIES_MAX);
    }
    l->entities_room = (uint32_t)count;
    l->c->entities = load_take(l, count, sizeof *l->c->entities);
    l->c->by_name = load_take(l, count, sizeof *l->c->by_name);
    l->sources = load_take(l, count, sizeof *l->sources);
    return l->c->entities == NULL || l->c->by_name == NULL || l->sources == NULL ? refuse_memory(l)
                                                                                 : FB_OK;
}

static fb_code check_extends(loader *l)
{
    const cJSON *module = NULL;
    const cJSON *extend = NULL;

    cJSON_ArrayForEach(module, l->modules)
    {
        l->module = (fb_text){0};
        (void)json_text_of(cJSON_GetObjectItemCaseSensitive(module, "module"), &l->module);
        cJSON_ArrayForEach(extend, cJSON_GetObjectItemCaseSensitive(module, "extend"))
        {
            FB_TRY(extend_check(l, extend));
        }
    }
    return FB_OK;
}

static fb_code read_root(loader *l, const cJSON *root)
{
    const cJSON *module = NULL;
    int64_t version = 0;

    FB_TRY(member_only(l, root, root_keys));
    if (!json_integer(cJSON_GetObjectItemCaseSensitive(root, "version"), &version) || version < 1 ||
        version > INT32_MAX) {
        return catalog_refuse(l, "\"version\" must be an integer from 1: correct it");
    }
    l->c->version = (uint32_t)version;
    FB_TRY(member_array(l, root, "modules", MEMBER_NEEDED, &l->modules));
    FB_TRY(take_entities(l));
    cJSON_ArrayForEach(module, l->modules)
    {
        FB_TRY(name_module(l, module));
    }
    FB_TRY(check_extends(l));
    for (uint32_t i = 0; i < l->c->entities_count; i++) {
        FB_TRY(entity_read(l, &l->c->entities[i], l->sources[i]));
    }
    return check_whole(l);
}

/* Drop the blanks between values; the text is strict JSON already. */
static fb_text without_blanks(fb_text text, char *to)
{
    size_t size = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!quoted && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            continue;
        }
        to[size++] = c;
        if (quoted && c == '\\') {
            i++;
            to[size++] = text.data[i]; /* an escape always has a next byte */
        } else if (c == '"') {
            quoted = !quoted;
        }
    }
    return (fb_text){to, size};
}

static fb_code check_text(fb_text text, fb_error *err)
{
    arena *scratch = NULL;
    fb_code rc = FB_OK;

    if (text.size > CATALOG_BYTES_MAX) {
        return fail(err, FB_E_LIMIT, "catalog", "the catalogue is larger than %d bytes: shorten it",
                    CATALOG_BYTES_MAX);
    }
    scratch = arena_new(ARENA_BYTES_MAX);
    if (scratch == NULL) {
        return fail(err, FB_E_NO_MEMORY, "",
                    "out of memory while loading the catalogue: free memory and retry");
    }
    rc = json_check(text, scratch);
    arena_free(scratch);
    return rc == FB_OK ? FB_OK
                       : fail(err, rc, "catalog", "the text is not strict JSON: correct it first");
}

static fb_code catalog_new(fb_text text, catalog **out)
{
    arena *memory = arena_new(ARENA_BYTES_MAX);
    catalog *c = memory == NULL ? NULL : arena_take(memory, sizeof *c);
    char *copy = c == NULL ? NULL : arena_take(memory, text.size + 1);

    if (copy == NULL) {
        arena_free(memory);
        return FB_E_NO_MEMORY;
    }
    c->memory = memory;
    c->text = without_blanks(text, copy);
    digest_of(c->text.data, c->text.size, &c->hash);
    *out = c;
    return FB_OK;
}

fb_code catalog_load(fb_text text, catalog **out, fb_error *err)
{
    loader l = {.err = err};
    cJSON *root = NULL;
    fb_code rc = FB_OK;

    FB_REQUIRE(out != NULL);
    FB_TRY(check_text(text, err));
    root = cJSON_ParseWithLength(text.data, text.size);
    if (root == NULL || catalog_new(text, &l.c) != FB_OK) {
        cJSON_Delete(root);
        return refuse_memory(&l);
    }
    rc = read_root(&l, root);
    cJSON_Delete(root);
    if (rc != FB_OK) {
        catalog_free(l.c);
        return rc;
    }
    *out = l.c;
    return FB_OK;
}

void catalog_free(catalog *c)
{
    if (c != NULL) {
        arena_free(c->memory);
    }
}
