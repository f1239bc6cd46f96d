/* server_pack.c - row packs at the top: built beside the writer, offered with a download from
 * nothing, served chunk by chunk. The rooms that do it: feed/feed_build.c, feed/feed_pack.c,
 * store/store_pack.c.
 *
 * A chunk goes only to a device that may come in and whose person is in the pack's scope now; what
 * left the scope since the offer is taken away by the pages that follow, before anything is shown.
 */
#include "sync-server/server_inside.h"

#include <stdlib.h>

#include "base/id.h"

/* Opened when first needed; the builder makes the file. */
static fb_code reader_packs(server_reader *r)
{
    fb_error err;
    if (r->packs == NULL) {
        return pack_store_open(r->s->packs_path, r->s->vfs, false, &r->packs, &err);
    }
    return FB_OK;
}

/* After trouble the file may be another one: look again next time. */
static void reader_packs_close(server_reader *r)
{
    pack_store_close(r->packs);
    r->packs = NULL;
}

const pack_source *server_packs(server_reader *r)
{
    if (r->s->packs_off || reader_packs(r) != FB_OK) {
        return NULL;
    }
    r->source = (pack_source){.store = r->packs, .key = &r->s->key, .epoch = r->s->epoch};
    return &r->source;
}

/* ---- serving ---- */

static fb_code chunk_find(server_reader *r, const server_job *job, const door_device *d,
                          pack_info *info)
{
    scope_list scopes;
    bool found = false;
    FB_TRY(pack_store_find(r->packs, &job->piece.name, info));
    if (!id_equal(&info->epoch, &r->s->epoch)) {
        return FB_E_NOT_FOUND;
    }
    FB_TRY(feed_scopes_of_user(r->db, &d->user, wall_ms(r->s), job->memory, &scopes));
    for (uint32_t i = 0; i < scopes.count; i++) {
        found = found || scopes.scopes[i] == info->scope;
    }
    return found ? FB_OK : FB_E_SCOPE;
}

fb_code server_pack_read(server_reader *r, server_job *job)
{
    door_device d;
    pack_info info;
    FB_TRY(door_device_get(r->db, &job->device, &d));
    if (d.status != DOOR_ACTIVE) {
        return FB_E_DEVICE;
    }
    fb_code rc = r->s->packs_off ? FB_E_NOT_FOUND : reader_packs(r);
    if (rc == FB_OK) {
        rc = chunk_find(r, job, &d, &info);
    }
    if (rc == FB_OK) {
        rc = pack_store_chunk_get(r->packs, info.no, job->piece.chunk, &job->out);
    }
    if (rc == FB_E_CORRUPT) {
        server_log(r->s, FB_LOG_ERROR, "pack.damaged scope=%lld chunk=%u", (long long)info.scope,
                   job->piece.chunk);
        if (r->packs != NULL && pack_store_drop(r->packs, info.no) != FB_OK) {
            reader_packs_close(r);
        }
        return FB_E_NOT_FOUND;
    }
    return rc;
}

/* ---- building ---- */

struct server_builder {
    store *view;
    pack_store *packs;
    pack_source source;
    pack_builder *builder;
};

static void builder_close(server *s)
{
    struct server_builder *b = s->builder;
    if (b != NULL) {
        pack_builder_free(b->builder);
        pack_store_close(b->packs);
        store_close(b->view);
        free(b);
    }
    s->builder = NULL;
}

static fb_code builder_parts(server *s, struct server_builder *b)
{
    fb_error err;
    const store_options so = {.path = s->path,
                              .vfs = s->vfs,
                              .read_only = true,
                              .spills = true,
                              .cache_kib = s->cache_kib};
    FB_TRY(store_open(&so, &b->view, &err));
    FB_TRY(pack_store_open(s->packs_path, s->vfs, true, &b->packs, &err));
    FB_TRY(pack_store_keep_epoch(b->packs, &s->epoch));
    b->source = (pack_source){.store = b->packs, .key = &s->key, .epoch = s->epoch};
    b->builder = pack_builder_new(b->view, &b->source, &s->pack_limits);
    return b->builder != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static fb_code builder_open(server *s)
{
    struct server_builder *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return FB_E_NO_MEMORY;
    }
    s->builder = b;
    fb_code rc = builder_parts(s, b);
    if (rc != FB_OK) {
        builder_close(s);
    }
    return rc;
}

/* Somebody was erased, here or by the administrator's program: packs from before hold the person.
 */
static fb_code erased_forget(server *s)
{
    int64_t before = 0;
    FB_TRY(store_meta_int(s->builder->view, "erased_pos", 0, &before));
    if (before > s->packs_forgot_pos) {
        FB_TRY(pack_store_forget(s->builder->packs, before));
        s->packs_forgot_pos = before;
    }
    return FB_OK;
}

bool server_build(server *s, uint64_t now_mono_ms)
{
    bool more = false;
    if (s->packs_off || server_is_suspect(s) || now_mono_ms < s->build_after_ms) {
        return false;
    }
    fb_code rc = s->builder != NULL ? FB_OK : builder_open(s);
    if (rc == FB_OK) {
        rc = pack_builder_step(s->builder->builder, now_mono_ms, wall_ms(s), &more);
    }
    if (rc == FB_OK && !more) { /* between two packs */
        rc = erased_forget(s);
    }
    if (rc != FB_OK) {
        server_log(s, FB_LOG_WARN, "pack.failed code=%s", fb_code_name(rc));
        builder_close(s); /* begins anew later, with files looked at again */
        s->build_after_ms = now_mono_ms + BUILD_REST_MS;
    }
    return more;
}

void server_packs_close(server *s)
{
    builder_close(s);
    sign_key_clear(&s->key);
}
