/* catalog_in.h - what the files of this room share and nobody else sees: the state of a load,
 * its refusals, and the readers of the parts of an entity. */
#ifndef FB_CATALOG_CATALOG_IN_H
#define FB_CATALOG_CATALOG_IN_H

#include <cjson/cJSON.h>

#include "catalog/catalog.h"

/* One load. module, entity and column say where it stands, for refusals. */
typedef struct loader {
    catalog *c;
    fb_error *err;
    fb_text module, entity, column;
    const cJSON *modules;   /* the array */
    const cJSON **sources;  /* per entity number: its object */
    uint32_t entities_room; /* entries in sources and c->entities */
} loader;

/* E_CATALOG with field "module.entity.column"; the format ends with the cure. */
fb_code catalog_refuse(const loader *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
fb_code refuse_memory(const loader *l);

/* What to call a text in a message: its start only. */
#define SHOWN(t) (int)((t).size < 48 ? (t).size : 48), ((t).data != NULL ? (t).data : "")

/* Members of a JSON object. Absent ones leave *out as it is unless `needed`. Texts are copied. */
typedef enum member_need { MEMBER_OPTIONAL, MEMBER_NEEDED } member_need;
fb_code member_only(const loader *l, const cJSON *object, const char *const *keys);
fb_code member_text(const loader *l, const cJSON *object, const char *key, member_need need,
                    fb_text *out);
fb_code member_bool(const loader *l, const cJSON *object, const char *key, bool *out);
fb_code member_array(const loader *l, const cJSON *object, const char *key, member_need need,
                     const cJSON **out);
fb_code member_labels(const loader *l, const cJSON *object, fb_text *en, fb_text *zh);
/* A JSON integer within int32, or a string that holds an integer within int64. */
bool json_integer(const cJSON *item, int64_t *out);
bool json_text_of(const cJSON *item, fb_text *borrowed_out);

/* catalog_word.c: a code such as "draft" or "A", a role such as "REP", a name of CAT-1. */
bool word_is_code(fb_text t);
bool word_is_role(fb_text t);
fb_code word_check_name(const loader *l, fb_text name);

/* catalog_column.c */
fb_code column_read(loader *l, const cJSON *object, const cat_entity *e, cat_column *out);
fb_code column_default(loader *l, const cJSON *object, const cat_entity *e, int column);
/* catalog_from.c: "from", when the columns before it are read. */
fb_code column_from(loader *l, const cJSON *object, cat_entity *e, int column);
void column_fixed(cat_column *out, const char *name, cat_type type, const char *en, const char *zh);
void column_limits(cat_column *c);

/* catalog_entity.c */
fb_code entity_read(loader *l, cat_entity *e, const cJSON *object);
fb_code extend_check(loader *l, const cJSON *extend); /* names an entity that exists */
/* catalog_states.c */
fb_code states_read(loader *l, cat_entity *e, const cJSON *object);
fb_code grants_read(loader *l, cat_entity *e, const cJSON *object);
const cat_grant *grant_find(const cat_entity *e, fb_text role);
/* catalog_index.c: listed, unique and automatic indexes. */
fb_code indexes_read(loader *l, cat_entity *e, const cJSON *object);
/* catalog_check.c: everything that needs all entities (CAT-3); fills children. */
fb_code check_whole(loader *l);

/* catalog_load.c: the columns are complete: find them by hash from now on. */
fb_code column_slots_make(loader *l, cat_entity *e);
void *load_take(const loader *l, size_t count, size_t size);
fb_code load_text(const loader *l, fb_text t, fb_text *out);

#endif
