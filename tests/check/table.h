/* table.h - names as numbers, one hash table for everything, arrays that grow.
 *
 * A table maps a 64-bit key to a 64-bit value; keys are made with key_of and are never 0. Arrays
 * are plain pointers with a hidden head: array_add(a, v), array_count(a), array_free(a). Memory
 * that cannot be had ends the program: a judge that goes on without it would lie. */
#ifndef CHECK_TABLE_H
#define CHECK_TABLE_H

#include "read.h"

typedef uint32_t name_id; /* 0: none */

typedef struct table {
    uint64_t *keys;
    int64_t *values;
    size_t count, slots; /* slots: a power of two, or 0 */
} table;

uint64_t key_of(uint64_t a, uint64_t b);
bool table_get(const table *t, uint64_t key, int64_t *out);
void table_put(table *t, uint64_t key, int64_t v);
void table_remove(table *t, uint64_t key);
void table_clear(table *t);

typedef struct name_set {
    table at; /* hash of the text -> newest name of that hash */
    char **texts;
    uint32_t *lengths;
    name_id *next; /* same hash */
} name_set;

name_id name_of(name_set *n, str text);
str name_text(const name_set *n, name_id name);
void names_free(name_set *n);

void *must_take(void *p, size_t size); /* realloc or exit */
uint64_t hash_of(const void *data, size_t size);

void *array_room(void *a, size_t element);
size_t array_count(const void *a);
void array_trim(void *a, size_t count);
void array_free(void *a);
#define array_add(a, v) ((a) = array_room((a), sizeof *(a)), (a)[array_grow(a)] = (v))
size_t array_grow(void *a); /* the index of the new last element */

#endif
