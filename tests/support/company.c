/* company.c - see company.h. */
#include "support/company.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/row_check.h"

static void must(fb_code code, const fb_error *err, const char *what)
{
    if (code != FB_OK) {
        fprintf(stderr, "company: %s: %s %s %s\n", what, fb_code_name(code),
                err != NULL ? err->field : "", err != NULL ? err->message : "");
        abort();
    }
}

void company_init(company *c, store *db, const fb_port *port, uint64_t seed)
{
    *c = (company){.db = db, .port = port, .random = seed};
    uint8_t bytes[8];
    memcpy(bytes, &seed, sizeof bytes);
    id_maker_init(&c->ids, bytes);
}

const char *id_text(const fb_id *id)
{
    static char texts[8][FB_ID_TEXT_BYTES];
    static unsigned next;
    char *text = texts[next++ % 8];
    id_put(id, text);
    return text;
}

static const cat_entity *entity_of(company *c, const char *name)
{
    const cat_entity *e = catalog_entity_str(store_catalog(c->db), name);
    must(e != NULL ? FB_OK : FB_E_NOT_FOUND, NULL, name);
    return e;
}

static fb_value value_of(const cat_entity *e, int column, const char *text)
{
    fb_value v = {.kind = FB_KIND_NULL};
    fb_error err = {0};
    if (e->columns[column].type == CAT_REF) {
        v.kind = text[0] == '\0' ? FB_KIND_NULL : FB_KIND_ID;
        must(text[0] == '\0' || id_get(text_of(text), &v.u.id) ? FB_OK : FB_E_FORMAT, NULL, text);
        return v;
    }
    must(cat_value_parse(e, column, text_of(text), true, &v, &err), &err,
         e->columns[column].name.data);
    return v;
}

static void commit(company *c, const change *one)
{
    int64_t cid = 0;
    commit_source from = {.at_ms = c->port->wall_ms(c->port->ctx), .kind = text_of("test")};
    must(store_begin(c->db), NULL, "begin");
    must(ledger_commit(c->db, &from, one, 1, &cid), NULL, one->entity->name.data);
    must(store_commit(c->db), NULL, "commit");
}

fb_id company_add(company *c, const char *entity, const char *const *pairs)
{
    const cat_entity *e = entity_of(c, entity);
    arena *memory = arena_new(1 << 20);
    fb_value values[CATALOG_COLUMNS_LIMIT] = {0};
    values[0] =
        (fb_value){.kind = FB_KIND_ID, .u.id = id_make(&c->ids, c->port->wall_ms(c->port->ctx))};
    for (size_t i = 0; pairs[i] != NULL; i += 2) {
        int column = cat_column_str(e, pairs[i]);
        must(column >= 0 ? FB_OK : FB_E_CATALOG, NULL, pairs[i]);
        values[column] = value_of(e, column, pairs[i + 1]);
    }
    must(row_derive(e, values, memory), NULL, entity);
    values[cat_ver_column(e)] = (fb_value){.kind = FB_KIND_INT};
    row_rights rights = {.create = true,
                         .read = true,
                         .update = true,
                         .remove = true,
                         .approve = true,
                         .actor = ACTOR_SERVER};
    issue why = {0};
    fb_code rc = row_check_insert(e, values, &rights, c->port->wall_ms(c->port->ctx), &why);
    fb_error err = {0};
    if (rc != FB_OK) {
        rc = issue_to_error(&why, &err);
    }
    must(rc, &err, entity);
    commit(c, &(change){.kind = CHANGE_INSERT,
                        .entity = e,
                        .id = values[0].u.id,
                        .values = values,
                        .columns_count = e->columns_count});
    fb_id id = values[0].u.id;
    arena_free(memory);
    return id;
}

void company_set(company *c, const char *entity, const fb_id *id, const char *const *pairs)
{
    const cat_entity *e = entity_of(c, entity);
    arena *memory = arena_new(1 << 20);
    fb_value before[CATALOG_COLUMNS_LIMIT], values[CATALOG_COLUMNS_LIMIT];
    int columns[CATALOG_COLUMNS_LIMIT];
    uint32_t count = 0;
    must(store_row_get(c->db, e, id, memory, before), NULL, entity);
    for (size_t i = 0; pairs[i] != NULL; i += 2, count++) {
        columns[count] = cat_column_str(e, pairs[i]);
        must(columns[count] >= 0 ? FB_OK : FB_E_CATALOG, NULL, pairs[i]);
        values[count] = value_of(e, columns[count], pairs[i + 1]);
    }
    must(row_derive_update(e, columns, values, &count, CATALOG_COLUMNS_LIMIT, memory), NULL,
         entity);
    commit(c, &(change){.kind = CHANGE_UPDATE,
                        .entity = e,
                        .id = *id,
                        .columns = columns,
                        .values = values,
                        .columns_count = count,
                        .before = before});
    arena_free(memory);
}

void company_delete(company *c, const char *entity, const fb_id *id)
{
    const cat_entity *e = entity_of(c, entity);
    arena *memory = arena_new(1 << 20);
    fb_value before[CATALOG_COLUMNS_LIMIT];
    must(store_row_get(c->db, e, id, memory, before), NULL, entity);
    commit(c, &(change){.kind = CHANGE_DELETE, .entity = e, .id = *id, .before = before});
    arena_free(memory);
}

fb_id company_find(company *c, const char *entity, const char *key)
{
    const cat_entity *e = entity_of(c, entity);
    arena *memory = arena_new(1 << 20);
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_value equal = {.kind = FB_KIND_TEXT, .u.text = text_of(key)};
    must(store_row_by(c->db, e, e->business_key, &equal, memory, row), NULL, key);
    fb_id id = row[0].u.id;
    arena_free(memory);
    return id;
}
