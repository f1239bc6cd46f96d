/* observe.c - what changed since a screen was drawn. A stamp per entity, in memory: it costs a
 * store per op and nothing on disk. What another connection changed is not told apart: all did. */
#include "replica/room.h"

void observe_entity(replica *r, const cat_entity *e)
{
    const catalog *c = r->edition->catalog;
    bool is_ours = (uint32_t)e->number < c->entities_count && e == &c->entities[e->number];
    const cat_entity *now = is_ours ? e : catalog_entity(c, e->name); /* of an earlier edition */
    FB_ASSERT(now != NULL); /* a row of it was written, and a table is gone with its entity */
    r->edition->changed_at[now->number] = ++r->stamp;
}

void observe_all(replica *r)
{
    r->stamp++;
    for (uint32_t i = 0; i < r->edition->catalog->entities_count; i++) {
        r->edition->changed_at[i] = r->stamp;
    }
}

int64_t replica_stamp(replica *r)
{
    if (!r->capture.open) {
        (void)!replica_refresh(r); /* a stamp that is not refreshed is only late */
    }
    return r->stamp;
}

fb_code replica_changed_since(replica *r, int64_t stamp, bool *entities_changed, int64_t *stamp_out)
{
    FB_REQUIRE(r != NULL && entities_changed != NULL && stamp_out != NULL);
    if (!r->capture.open) {
        FB_TRY(replica_refresh(r));
    }
    for (uint32_t i = 0; i < r->edition->catalog->entities_count; i++) {
        entities_changed[i] = r->edition->changed_at[i] > stamp;
    }
    *stamp_out = r->stamp;
    return FB_OK;
}
