/* rows.c - the server's rows: one of each, and a hash of each version it ever had. See check.h. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

row *row_find(judge *j, uint32_t entity, name_id id)
{
    int64_t at = 0;
    return table_get(&j->row_at, key_of(entity, id), &at) ? &j->rows[at] : NULL;
}

row *row_make(judge *j, uint32_t entity, name_id id)
{
    row *r = row_find(j, entity, id);
    if (r != NULL) {
        return r;
    }
    const row made = {.entity = entity, .id = id};
    int64_t index = (int64_t)array_count(j->rows);
    array_add(j->rows, made);
    table_put(&j->row_at, key_of(entity, id), index);
    return &j->rows[index];
}

value value_read(const json *v)
{
    value out = {NULL, 0};
    if (v->kind == JSON_NULL || v->kind == JSON_NONE) {
        return out;
    }
    out.p = must_take(NULL, v->raw.n + 1);
    out.p[0] = v->kind == JSON_TEXT ? 's' : 'i';
    if (v->kind == JSON_TEXT) {
        out.n = 1 + (uint32_t)json_text(v->raw, out.p + 1);
    } else {
        memcpy(out.p + 1, v->raw.p, v->raw.n);
        out.n = 1 + (uint32_t)v->raw.n;
    }
    return out;
}

value value_copy(value v)
{
    value out = {NULL, v.n};
    if (v.p != NULL) {
        out.p = must_take(NULL, v.n);
        memcpy(out.p, v.p, v.n);
    }
    return out;
}

void values_free(value *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(values[i].p);
    }
    free(values);
}

bool value_same(value a, value b)
{
    if (a.p == NULL || b.p == NULL) {
        return a.p == b.p;
    }
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* null counts as 0, as for counters. */
bool value_int(value v, int64_t *out)
{
    json text = {.kind = JSON_TEXT,
                 .raw = {v.p != NULL ? v.p + 1 : "0", v.p != NULL ? v.n - 1 : 1}};
    return json_int(&text, out);
}

name_id value_name(judge *j, value v)
{
    if (v.p == NULL) {
        return 0;
    }
    name_id name = name_of(&j->names, (str){v.p + 1, v.n - 1});
    int64_t other = 0;
    for (int hops = 0; hops < 16 && table_get(&j->alias_at, key_of(name, 0), &other); hops++) {
        name = (name_id)other;
    }
    return name;
}

value row_value(const row *r, int column)
{
    return column >= 0 && (uint32_t)column < r->count ? r->values[column] : (value){NULL, 0};
}

/* The values by the entity's columns; *given (COLUMNS_MAX, may be NULL) says which were named. */
bool values_read(judge *j, uint32_t entity, const event *ev, value **out, uint32_t *count,
                 bool *given)
{
    json list_c = event_get(ev, "c"), list = event_get(ev, "r"), name, v;
    size_t at_name = 0, at_value = 0;
    value made[COLUMNS_MAX] = {{0}};
    uint32_t width = 0;
    if (given != NULL) {
        memset(given, 0, COLUMNS_MAX * sizeof *given);
    }
    while (json_next(&list_c, &at_name, NULL, &name)) {
        int column = name.kind == JSON_TEXT ? column_of(j, entity, name.raw) : -1;
        if (column < 0 || !json_next(&list, &at_value, NULL, &v) || v.kind > JSON_TEXT) {
            for (uint32_t i = 0; i < width; i++) {
                free(made[i].p);
            }
            return refuse(j, "\"c\" must name columns and \"r\" hold as many values");
        }
        money_fractions(j, &v);
        free(made[column].p);
        made[column] = value_read(&v);
        width = (uint32_t)column + 1 > width ? (uint32_t)column + 1 : width;
        if (given != NULL) {
            given[column] = true;
        }
    }
    *count = width;
    *out = must_take(NULL, width * sizeof **out);
    memcpy(*out, made, width * sizeof **out);
    return true;
}

/* Of the values that are not null, in the order of their names' numbers. */
static int64_t values_hash(const judge *j, uint32_t entity, const value *values, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].p != NULL) {
            sum += key_of(j->entities[entity].columns[i].name, hash_of(values[i].p, values[i].n));
        }
    }
    return (int64_t)sum;
}

static uint64_t version_key(const row *r, int64_t ver)
{
    return key_of(key_of(r->entity, r->id), (uint64_t)ver);
}

int version_same(judge *j, const row *r, int64_t ver, const value *values, uint32_t count)
{
    int64_t known = 0;
    if (!table_get(&j->version_at, version_key(r, ver), &known)) {
        return -1;
    }
    return known == values_hash(j, r->entity, values, count);
}

/* A row that assigns another one is found from that one. */
static void link_keep(judge *j, uint32_t entity, name_id id)
{
    const entity_info *e = &j->entities[entity];
    const row *link = row_find(j, entity, id);
    if (e->link_key < 0 || link == NULL) {
        return;
    }
    name_id target = value_name(j, row_value(link, e->link_key));
    uint32_t index = (uint32_t)(link - j->rows);
    for (size_t i = 0; i < array_count(j->entities) && target != 0; i++) {
        row *r = row_find(j, (uint32_t)i, target);
        bool known = false;
        for (size_t n = 0; r != NULL && n < array_count(r->links); n++) {
            known |= r->links[n] == index;
        }
        if (r != NULL && !known) {
            array_add(r->links, index);
        }
    }
}

/* When what this commit writes was captured: the row says so, but the office need not have. */
static int64_t captured_at(const judge *j, const row *r, const value *values, uint32_t count)
{
    int at = j->entities[r->entity].at;
    value now = at >= 0 && (uint32_t)at < count ? values[at] : (value){NULL, 0};
    bool said = now.p != NULL && !(j->tx.office && r->alive && value_same(row_value(r, at), now));
    int64_t ms = 0;
    return said && value_int(now, &ms) ? ms : j->tx.at_ms;
}

static void times_keep(judge *j, row *r, const value *values, uint32_t count)
{
    int64_t at = captured_at(j, r, values, count);
    if (!r->alive) {
        row_times_forget(r);
        r->made_at = at;
        return;
    }
    for (int i = 0; i < COLUMNS_MAX; i++) {
        value now = (uint32_t)i < count ? values[i] : (value){NULL, 0};
        if (value_same(row_value(r, i), now)) {
            continue;
        }
        if (r->times == NULL) {
            r->times = must_take(NULL, COLUMNS_MAX * sizeof *r->times);
            for (int n = 0; n < COLUMNS_MAX; n++) {
                r->times[n] = r->made_at;
            }
        }
        r->times[i] = at;
    }
}

void row_times_forget(row *r)
{
    free(r->times);
    r->times = NULL;
    r->made_at = TIME_UNKNOWN;
}

int64_t row_time(const row *r, int column)
{
    return r->times != NULL ? r->times[column] : r->made_at;
}

void row_write(judge *j, row *r, int64_t ver, value *values, uint32_t count)
{
    times_keep(j, r, values, count);
    money_row(j, r->entity, r->id, r->values, r->alive ? r->count : 0, values, count);
    values_free(r->values, r->count);
    r->values = values;
    r->count = count;
    r->ver = ver;
    r->born = r->born == 0 ? ver : r->born;
    r->alive = true;
    table_put(&j->version_at, version_key(r, ver), values_hash(j, r->entity, values, count));
    link_keep(j, r->entity, r->id);
}

void row_delete(judge *j, row *r, int64_t ver)
{
    money_row(j, r->entity, r->id, r->values, r->alive ? r->count : 0, NULL, 0);
    r->ver = ver;
    r->alive = false;
    j->evidence[I3] = true;
}
