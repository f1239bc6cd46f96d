/* table.c - see table.h. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *must_take(void *p, size_t size)
{
    void *q = realloc(p, size > 0 ? size : 1);
    if (q == NULL) {
        fprintf(stderr, "check: no memory for %zu bytes\n", size);
        exit(2);
    }
    return q;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

uint64_t hash_of(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325ULL ^ size;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w) + 0x9E3779B97F4A7C15ULL;
    }
    for (; size > 0; size--) {
        h = (h ^ *p++) * 0x100000001b3ULL;
    }
    return mix(h);
}

uint64_t key_of(uint64_t a, uint64_t b)
{
    uint64_t k = mix(mix(a + 0x9E3779B97F4A7C15ULL) ^ b);
    return k != 0 ? k : 1;
}

static size_t slot_of(const table *t, uint64_t key)
{
    size_t i = (size_t)key & (t->slots - 1);
    while (t->keys[i] != 0 && t->keys[i] != key) {
        i = (i + 1) & (t->slots - 1);
    }
    return i;
}

bool table_get(const table *t, uint64_t key, int64_t *out)
{
    if (t->slots == 0) {
        return false;
    }
    size_t i = slot_of(t, key);
    if (t->keys[i] == 0) {
        return false;
    }
    *out = t->values[i];
    return true;
}

static void table_double(table *t)
{
    table bigger = {.slots = t->slots == 0 ? 64 : t->slots * 2};
    bigger.keys = must_take(NULL, bigger.slots * sizeof *bigger.keys);
    bigger.values = must_take(NULL, bigger.slots * sizeof *bigger.values);
    memset(bigger.keys, 0, bigger.slots * sizeof *bigger.keys);
    for (size_t i = 0; i < t->slots; i++) {
        if (t->keys[i] != 0) {
            size_t to = slot_of(&bigger, t->keys[i]);
            bigger.keys[to] = t->keys[i];
            bigger.values[to] = t->values[i];
        }
    }
    bigger.count = t->count;
    free(t->keys);
    free(t->values);
    *t = bigger;
}

void table_put(table *t, uint64_t key, int64_t v)
{
    if (t->count * 3 >= t->slots * 2) {
        table_double(t);
    }
    size_t i = slot_of(t, key);
    t->count += t->keys[i] == 0;
    t->keys[i] = key;
    t->values[i] = v;
}

void table_remove(table *t, uint64_t key)
{
    if (t->slots == 0) {
        return;
    }
    size_t hole = slot_of(t, key);
    if (t->keys[hole] == 0) {
        return;
    }
    /* What stands behind the hole moves up, so that searches need no gravestones. */
    for (size_t i = (hole + 1) & (t->slots - 1); t->keys[i] != 0; i = (i + 1) & (t->slots - 1)) {
        size_t home = (size_t)t->keys[i] & (t->slots - 1);
        if (((i - home) & (t->slots - 1)) >= ((i - hole) & (t->slots - 1))) {
            t->keys[hole] = t->keys[i];
            t->values[hole] = t->values[i];
            hole = i;
        }
    }
    t->keys[hole] = 0;
    t->count--;
}

void table_clear(table *t)
{
    free(t->keys);
    free(t->values);
    *t = (table){0};
}

/* --- arrays -------------------------------------------------------------------------------------
 */

typedef struct array_head {
    size_t count, room;
} array_head;

void *array_room(void *a, size_t element)
{
    array_head *h = a != NULL ? (array_head *)a - 1 : NULL;
    size_t room = h != NULL ? h->room : 0, count = h != NULL ? h->count : 0;
    if (count == room) {
        room = room == 0 ? 4 : room * 2;
        h = must_take(h, sizeof *h + room * element);
        *h = (array_head){count, room};
    }
    return h + 1;
}

size_t array_grow(void *a)
{
    return ((array_head *)a - 1)->count++;
}

size_t array_count(const void *a)
{
    return a != NULL ? ((const array_head *)a - 1)->count : 0;
}

void array_trim(void *a, size_t count)
{
    if (a != NULL) {
        ((array_head *)a - 1)->count = count;
    }
}

void array_free(void *a)
{
    if (a != NULL) {
        free((array_head *)a - 1);
    }
}

/* --- names --------------------------------------------------------------------------------------
 */

name_id name_of(name_set *n, str text)
{
    uint64_t key = hash_of(text.p, text.n) | 1;
    int64_t first = 0;
    table_get(&n->at, key, &first);
    for (name_id i = (name_id)first; i != 0; i = n->next[i - 1]) {
        if (n->lengths[i - 1] == text.n && memcmp(n->texts[i - 1], text.p, text.n) == 0) {
            return i;
        }
    }
    char *copy = must_take(NULL, text.n + 1);
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    array_add(n->texts, copy);
    array_add(n->lengths, (uint32_t)text.n);
    array_add(n->next, (name_id)first);
    name_id made = (name_id)array_count(n->texts);
    table_put(&n->at, key, made);
    return made;
}

str name_text(const name_set *n, name_id name)
{
    return name == 0 ? (str){"(none)", 6} : (str){n->texts[name - 1], n->lengths[name - 1]};
}

void names_free(name_set *n)
{
    for (size_t i = 0; i < array_count(n->texts); i++) {
        free(n->texts[i]);
    }
    array_free(n->texts);
    array_free(n->lengths);
    array_free(n->next);
    table_clear(&n->at);
}
