/* alias.c - two ids that turned out to be one thing: the server keeps one, everything here follows.
 *
 * References in new ops, in replayed ops, in base rows and in drafts name the surviving id. Chains
 * are followed, not flattened: a server restored from a backup takes back what it had not kept. */
#include <stdio.h>

#include "replica/room.h"

enum { CHAIN_MAX = 16 };

fb_code alias_notice(replica *r)
{
    int64_t any = 0;
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_alias)", &any));
    r->has_alias = any != 0;
    return FB_OK;
}

/* One step; *found false when the id is nobody's alias. */
static fb_code alias_step(replica *r, fb_id *id, bool *found)
{
    sql_stmt *s = sql_prepare(r->db, "SELECT to_id FROM fb_alias WHERE from_id=?1");
    fb_id from = *id;
    sql_bind_id(s, 1, &from);
    FB_TRY(sql_step(s, found));
    if (*found) {
        *id = sql_id(s, 0);
        sql_reset(s);
    }
    return FB_OK;
}

fb_code alias_of(replica *r, fb_id *id)
{
    bool found = r->has_alias;
    for (int i = 0; found && i < CHAIN_MAX; i++) {
        FB_TRY(alias_step(r, id, &found));
    }
    return FB_OK;
}

fb_code alias_values(replica *r, const cat_entity *e, const int *columns, fb_value *values,
                     uint32_t count)
{
    if (!r->has_alias) {
        return FB_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        const cat_column *c = &e->columns[columns != NULL ? columns[i] : (int)i];
        if (c->type == CAT_REF && values[i].kind == FB_KIND_ID) {
            FB_TRY(alias_of(r, &values[i].u.id));
        }
    }
    return FB_OK;
}

fb_code alias_store(replica *r, int64_t gseq, fb_text entity, const fb_id *from, const fb_id *to)
{
    sql_stmt *s =
        sql_prepare(r->db, "INSERT OR REPLACE INTO fb_alias (from_id, entity, to_id, gseq)"
                           " VALUES (?1, ?2, ?3, ?4)");
    sql_bind_id(s, 1, from);
    sql_bind_text(s, 2, entity);
    sql_bind_id(s, 3, to);
    sql_bind_int(s, 4, gseq);
    FB_TRY(sql_run(s));
    r->has_alias = true;
    return FB_OK;
}

static fb_code rewrite_column(replica *r, const cat_entity *e, const cat_column *c,
                              const fb_id *from, const fb_id *to)
{
    buf_reset(&r->text);
    buf_printf(&r->text, "UPDATE %.*s SET %.*s=?2 WHERE %.*s=?1", (int)e->name.size, e->name.data,
               (int)c->name.size, c->name.data, (int)c->name.size, c->name.data);
    sql_stmt *s = sql_prepare(r->db, buf_cstr(&r->text));
    sql_bind_id(s, 1, from);
    sql_bind_id(s, 2, to);
    return sql_run(s);
}

static fb_code rewrite_drafts(replica *r, const fb_id *from, const fb_id *to)
{
    char from_text[FB_ID_TEXT_BYTES];
    char to_text[FB_ID_TEXT_BYTES];
    sql_stmt *s = sql_prepare(
        r->db, "UPDATE fb_draft SET body=replace(body, ?1, ?2) WHERE instr(body, ?1) > 0");
    id_put(from, from_text);
    id_put(to, to_text);
    sql_bind_text(s, 1, text_of(from_text));
    sql_bind_text(s, 2, text_of(to_text));
    return sql_run(s);
}

static fb_code rewrite_rows(replica *r, const cat_entity *target, const fb_id *from,
                            const fb_id *to)
{
    const catalog *c = r->edition->catalog;
    entity_plan *p = plan_of(r, target);
    FB_TRY(sums_take_row(r, p, from));
    FB_TRY(row_remove(r, p, from));
    observe_entity(r, target);
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        for (uint32_t k = 0; k < e->columns_count; k++) {
            if (e->columns[k].type == CAT_REF && e->columns[k].to_entity == target->number) {
                FB_TRY(rewrite_column(r, e, &e->columns[k], from, to));
                observe_entity(r, e);
            }
        }
    }
    return FB_OK;
}

fb_code alias_rewrite(replica *r, fb_text entity, const fb_id *from, const fb_id *to)
{
    const cat_entity *target = catalog_entity(r->edition->catalog, entity);
    FB_TRY(target != NULL ? rewrite_rows(r, target, from, to) : FB_OK);
    return rewrite_drafts(r, from, to);
}
