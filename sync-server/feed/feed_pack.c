/* feed_pack.c - offers of packs to a download from nothing. FED-6 in feed.h.
 *
 * The offers stand in the order of positions, so that a row that is in two packs ends at its newer
 * version. The token then says where each pack stands, and what came later follows as pages: a
 * scope that seldom changes has an old pack, which must not make the others come twice. Nothing
 * here writes. */
#include "base/check.h"
#include "base/id.h"
#include "sync-server/feed/feed_inside.h"
#include "wire/pack_msg.h"

enum { OFFERS_BYTES_MAX = 1 << 20, PACKED_BYTES = 40, TOKEN_REST_BYTES = 256 };
_Static_assert(TOKEN_PACKS_MAX *PACKED_BYTES + TOKEN_REST_BYTES <= TOKEN_BYTES_MAX,
               "a token that names all packs that may be offered fits a request");

fb_code feed_pack_is_good(store *s, const pack_info *info, const fb_id *epoch, int64_t head_pos,
                          bool *out)
{
    int64_t horizon = 0;
    bool gone = false;
    *out = id_equal(&info->epoch, epoch) && info->position <= head_pos &&
           info->catalog_version == store_catalog(s)->version;
    if (!*out) {
        return FB_OK;
    }
    FB_TRY(store_meta_int(s, "horizon", 0, &horizon));
    store_stmt *q = store_prepare(s, STORE_feed_gone_since);
    store_bind_int(q, 1, info->scope);
    store_bind_int(q, 2, info->position);
    FB_TRY(store_step(q, &gone));
    store_reset(q);
    *out = !gone && info->position >= horizon;
    return FB_OK;
}

/* Packs of the device's scopes, least position first. */
typedef struct offers {
    pack_info *infos;
    uint32_t count;
    size_t bytes;
} offers;

static void insert_sorted(offers *o, const pack_info *info)
{
    uint32_t at = o->count++;
    while (at > 0 && o->infos[at - 1].position > info->position) {
        o->infos[at] = o->infos[at - 1];
        at--;
    }
    o->infos[at] = *info;
}

/* A pack that cannot be read is as good as none. */
static fb_code offers_find(feed_view *v, offers *o)
{
    const scope_list *set = v->request->set;
    const pack_source *packs = v->request->packs;
    o->infos = arena_take(v->memory, set->count * sizeof *o->infos);
    if (o->infos == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < set->count && o->count < TOKEN_PACKS_MAX; i++) {
        pack_info info;
        bool good = false;
        fb_code rc = pack_store_newest(packs->store, set->scopes[i], v->memory, &info);
        if (rc == FB_E_NO_MEMORY) {
            return rc;
        }
        if (rc != FB_OK) {
            continue;
        }
        FB_TRY(feed_pack_is_good(v->store, &info, &packs->epoch, v->head_pos, &good));
        if (good && o->bytes + info.manifest.size <= OFFERS_BYTES_MAX) {
            o->bytes += info.manifest.size;
            insert_sorted(o, &info);
        }
    }
    return FB_OK;
}

/* Where each pack stands, by scope, as the token says it. */
static fb_code packed_write(feed_view *v, const offers *o)
{
    const scope_list *set = v->request->set;
    int64_t *scopes = arena_take(v->memory, o->count * sizeof *scopes);
    v->packed_pos = arena_take(v->memory, o->count * sizeof *v->packed_pos);
    if (scopes == NULL || v->packed_pos == NULL) {
        return FB_E_NO_MEMORY;
    }
    uint32_t n = 0;
    buf text;
    buf_init(&text, OFFERS_BYTES_MAX);
    for (uint32_t i = 0; i < set->count; i++) {
        for (uint32_t at = 0; at < o->count; at++) {
            if (o->infos[at].scope == set->scopes[i]) {
                scopes[n] = set->scopes[i];
                v->packed_pos[n] = o->infos[at].position;
                buf_printf(&text, n == 0 ? "%lld.%lld" : ",%lld.%lld", (long long)scopes[n],
                           (long long)v->packed_pos[n]);
                n++;
            }
        }
    }
    v->packed = (scope_list){.scopes = scopes, .count = n};
    fb_code rc = text.code;
    if (rc == FB_OK) {
        v->token.packed = arena_text(v->memory, buf_text(&text));
        rc = v->token.packed.data != NULL ? FB_OK : FB_E_NO_MEMORY;
    }
    buf_clear(&text);
    return rc;
}

static fb_code token_after(feed_view *v, const offers *o)
{
    FB_TRY(packed_write(v, o));
    v->token.layers[0].pos = o->infos[0].position;
    v->token.layers[1].pos = o->infos[o->count - 1].position;
    v->token.filling = true;
    v->token.fill_pos = 0;
    v->offered = true;
    feed_view_cursors(v);
    return FB_OK;
}

fb_code feed_pack_offer(feed_view *v, buf *out)
{
    offers o = {.count = 0};
    FB_ASSERT(v->reset && v->token.count == 2 && v->token.layers[0].set == 0);
    FB_TRY(offers_find(v, &o));
    if (o.count == 0) {
        return FB_OK;
    }
    FB_TRY(token_after(v, &o));
    for (uint32_t i = 0; i < o.count; i++) {
        pack_offer_put(out, &v->request->packs->key->open, &o.infos[i].sig, o.infos[i].manifest);
    }
    return out->code;
}
