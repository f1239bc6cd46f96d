/* catalog_check.c - what can be judged only when all entities are known (CAT-3): that every
 * row's scope chain ends at a root, and who follows whom. */
#include "catalog/catalog_in.h"

#include "base/check.h"

static void stand_at(loader *l, const cat_entity *e, int column)
{
    l->module = e->module;
    l->entity = e->name;
    l->column = column >= 0 ? e->columns[column].name : (fb_text){0};
}

/* Entities between `first` and the one under judgement, as a list on the stack. */
typedef struct hop {
    const struct hop *before;
    const cat_entity *entity;
    int depth;
} hop;

static bool was_passed(const hop *h, const cat_entity *e)
{
    for (; h != NULL; h = h->before) {
        if (h->entity == e) {
            return true;
        }
    }
    return false;
}

static fb_code walk_up(loader *l, const hop *at)
{
    const cat_entity *e = at->entity;

    for (uint32_t i = 0; i < e->scopes_count; i++) {
        hop next = {.before = at, .depth = at->depth + 1};
        if (e->scopes[i].kind != SCOPE_PARENT) {
            continue;
        }
        next.entity = &l->c->entities[e->columns[e->scopes[i].column].to_entity];
        stand_at(l, e, e->scopes[i].column);
        if (was_passed(at, next.entity)) {
            return catalog_refuse(
                l, "the parent scope is circular: %.*s follows itself; use another scope",
                SHOWN(next.entity->name));
        }
        if (next.depth > SCOPE_DEPTH_MAX) {
            return catalog_refuse(
                l, "the parent scope is deeper than %d hops: refer to a row nearer to the root",
                SCOPE_DEPTH_MAX);
        }
        if (next.entity->scopes[0].kind == SCOPE_NONE) {
            return catalog_refuse(
                l, "the parent %.*s is never on a device: give it a scope or use another parent",
                SHOWN(next.entity->name));
        }
        FB_TRY(walk_up(l, &next));
    }
    return FB_OK;
}

static bool refers_to(const catalog *c, const cat_entity *e, const char *column, const char *target)
{
    int at = cat_column_str(e, column);

    return at >= 0 && e->columns[at].type == CAT_REF &&
           text_is(c->entities[e->columns[at].to_entity].name, target);
}

static fb_code check_assignment(loader *l, const cat_entity *e)
{
    const cat_entity *links = catalog_entity_str(l->c, "customer_assignment");

    for (uint32_t i = 0; i < e->scopes_count; i++) {
        if (e->scopes[i].kind != SCOPE_ASSIGNMENT) {
            continue;
        }
        stand_at(l, e, -1);
        if (!text_is(e->name, "customer")) {
            return catalog_refuse(l, "scope assignment is for entity customer only: use parent");
        }
        if (links == NULL || !refers_to(l->c, links, "customer_id", "customer") ||
            !refers_to(l->c, links, "territory_id", "territory")) {
            return catalog_refuse(
                l, "scope assignment needs entity customer_assignment with refs customer_id and "
                   "territory_id: add it");
        }
    }
    return FB_OK;
}

static fb_code fill_children(loader *l, cat_entity *parent)
{
    uint32_t room = 0;

    for (int pass = 0; pass < 2; pass++) { /* count, then fill */
        for (uint32_t n = 0; n < l->c->entities_count; n++) {
            const cat_entity *child = &l->c->entities[n];
            for (uint32_t i = 0; i < child->scopes_count; i++) {
                int column = child->scopes[i].column;
                if (child->scopes[i].kind != SCOPE_PARENT ||
                    child->columns[column].to_entity != parent->number) {
                    continue;
                }
                if (pass == 0) {
                    room++;
                } else {
                    parent->children[parent->children_count++] =
                        (struct cat_child){child->number, column};
                }
            }
        }
        if (pass == 0) {
            parent->children = load_take(l, room, sizeof *parent->children);
            if (parent->children == NULL) {
                return refuse_memory(l);
            }
        }
    }
    FB_ASSERT(parent->children_count == room);
    return FB_OK;
}

fb_code check_whole(loader *l)
{
    for (uint32_t i = 0; i < l->c->entities_count; i++) {
        cat_entity *e = &l->c->entities[i];
        hop start = {.entity = e};
        FB_TRY(walk_up(l, &start));
        FB_TRY(check_assignment(l, e));
        FB_TRY(fill_children(l, e));
    }
    return FB_OK;
}
