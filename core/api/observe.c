/* observe.c - observers are told at a poll, on the caller's thread. See fieldbook/observe.h. */
#include "fieldbook/observe.h"

#include "api/handle.h"

#include "base/trace.h"
#include "schema/limits.h"

fb_code fb_observe_add(fb_db *db, const char *entity, fb_observe_fn fn, void *ctx, uint32_t *id_out,
                       fb_error *err)
{
    const cat_entity *e = NULL;

    FB_REQUIRE(db != NULL && fn != NULL);
    api_clear(err);
    if (entity != NULL) {
        FB_TRY(api_entity(db, entity, &e, err));
    }
    for (int i = 0; i < OBSERVERS_MAX; i++) {
        if (db->observers[i].id == 0) {
            db->observer_last_id++;
            db->observers[i] =
                (observer){db->observer_last_id, e == NULL ? -1 : e->number, fn, ctx};
            if (id_out != NULL) {
                *id_out = db->observer_last_id;
            }
            return FB_OK;
        }
    }
    return fail(err, FB_E_LIMIT, "observers", "at most %d observers: remove one first",
                OBSERVERS_MAX);
}

void fb_observe_remove(fb_db *db, uint32_t id)
{
    for (int i = 0; db != NULL && id != 0 && i < OBSERVERS_MAX; i++) {
        if (db->observers[i].id == id) {
            db->observers[i] = (observer){0};
        }
    }
}

/* The observer is copied before the call: the callback may remove it. */
static uint32_t call_one(const observer *of, const catalog *cat, const bool *changed)
{
    observer o = *of;
    uint32_t called = 0;

    for (uint32_t i = 0; o.id != 0 && of->id == o.id && i < cat->entities_count; i++) {
        if (changed[i] && (o.entity < 0 || o.entity == (int)i)) {
            o.fn(o.ctx, cat->entities[i].name.data);
            called++;
        }
    }
    return called;
}

fb_code fb_observe_poll(fb_db *db, uint32_t *called_out, fb_error *err)
{
    bool changed[CATALOG_ENTITIES_MAX] = {false};
    int64_t stamp = 0;
    uint32_t called = 0;

    FB_REQUIRE(db != NULL);
    api_clear(err);
    fb_code rc = replica_changed_since(db->r, db->observed_stamp, changed, &stamp);
    if (rc != FB_OK) {
        return api_said(db, rc, err);
    }
    db->observed_stamp = stamp;
    const catalog *cat = replica_catalog(db->r);
    for (int i = 0; i < OBSERVERS_MAX; i++) {
        called += call_one(&db->observers[i], cat, changed);
    }
    trace(db->port, TRACE_OBSERVE, "called=%u", called);
    if (called_out != NULL) {
        *called_out = called;
    }
    return FB_OK;
}
