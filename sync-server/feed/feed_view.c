/* feed_view.c - one device's view of the feed in one snapshot: where each scope stands, and what
 * the device must be told about an entry.
 *
 *   VIE-1  a token that cannot be honoured means "from nothing", never a failure
 *   VIE-2  an entry is judged by the scopes its row has in this snapshot, so the order in which
 *          scopes are read does not matter
 *
 * What a device may hold: rows of its earlier sets up to their positions. Hence
 *   a row entry      is sent, unless the device holds it: another scope stands at or after the
 * row's entry there, or it made the row itself (echo rule, FED-4: only while the token is settled)
 *   a row that came  is sent, unless the device holds it from another scope that the row stays in
 * or left by the same move (FED-5); one that moved is sent as a move then a leave, delete  counts
 * only after the first layer's position: before, the device never had the row; and only if the row
 * is in none of the device's scopes now (FED-3) a dropped scope  its rows leave unless they are in
 * one of the device's scopes now */
#include <string.h>

#include "base/check.h"
#include "base/decimal.h"
#include "sync-server/feed/feed_inside.h"

/* ---- opening ---- */

static fb_code read_head(store *s, int64_t *pos_out)
{
    int64_t head = 0;
    FB_TRY(store_one(store_prepare(s, STORE_ledger_head), &head));
    *pos_out = head << COMMIT_BITS | POS_IN_COMMIT_MAX;
    return FB_OK;
}

static fb_code set_read(store *s, const fb_id *device, int64_t number, arena *memory,
                        scope_list *out)
{
    store_stmt *q = store_prepare(s, STORE_feed_set_get);
    bool row = false;
    store_bind_id(q, 1, device);
    store_bind_int(q, 2, number);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    fb_code rc = scope_list_read(store_text(q, 0), memory, out);
    store_reset(q);
    return rc;
}

/* Every set it names, or E_NOT_FOUND. */
static fb_code read_sets(feed_view *v)
{
    for (uint32_t i = 0; i < v->token.count; i++) {
        int64_t number = v->token.layers[i].set;
        if (number == v->request->set_number) {
            v->sets[i] = *v->request->set;
        } else if (number > 0) {
            FB_TRY(set_read(v->store, &v->request->device, number, v->memory, &v->sets[i]));
        }
    }
    return FB_OK;
}

/* Positions this server has made, and nothing forgotten since the download stood there. */
static bool is_within(const feed_view *v, int64_t horizon)
{
    for (uint32_t i = 0; i < v->token.count; i++) {
        if (v->token.layers[i].pos > v->head_pos) {
            return false;
        }
    }
    return v->token.layers[0].pos >= horizon && v->token.drop_pos <= v->head_pos &&
           v->token.fill_pos <= v->head_pos;
}

/* The device's set is not the one its token ends with: empty what was lost, fill what was won. */
static bool add_layer(feed_view *v)
{
    feed_token *t = &v->token;
    if (t->layers[t->count - 1].set == v->request->set_number) {
        return true;
    }
    if (t->filling) {
        return false; /* layers cannot say which scopes stand where: begin anew */
    }
    if (t->count == TOKEN_LAYERS_MAX || t->layers[t->count - 1].set > v->request->set_number) {
        return false;
    }
    t->layers[t->count] = (struct token_layer){.set = v->request->set_number, .pos = 0};
    v->sets[t->count] = *v->request->set;
    t->count++;
    t->dropping = true;
    t->drop_pos = 0;
    return true;
}

static void start_anew(feed_view *v)
{
    memset(&v->token, 0, sizeof v->token);
    memset(v->sets, 0, sizeof v->sets);
    v->token.count = 2;
    v->token.layers[0].pos = v->head_pos;
    v->token.layers[1].set = v->request->set_number;
    v->sets[1] = *v->request->set;
    v->reset = true;
}

/* One number before `mark`, or before the end of the text where the mark is a comma. */
static bool packed_number(fb_text *rest, char mark, int64_t *out)
{
    const char *at = rest->size > 0 ? memchr(rest->data, mark, rest->size) : NULL;
    size_t size = at != NULL ? (size_t)(at - rest->data) : rest->size;
    if ((at == NULL && mark != ',') || !i64_get((fb_text){rest->data, size}, out) || *out <= 0) {
        return false;
    }
    size_t taken = at != NULL ? size + 1 : size;
    *rest = (fb_text){rest->data + taken, rest->size - taken};
    return true;
}

/* token.packed: ascending scopes with their positions, none beyond the last layer's. */
static fb_code packed_read(feed_view *v, bool *good_out)
{
    fb_text rest = v->token.packed;
    uint32_t room = 1, n = 0;
    for (size_t i = 0; i < rest.size; i++) {
        room += rest.data[i] == ',' ? 1 : 0;
    }
    int64_t *scopes = arena_take(v->memory, room * sizeof *scopes);
    v->packed_pos = arena_take(v->memory, room * sizeof *v->packed_pos);
    if (scopes == NULL || v->packed_pos == NULL) {
        return FB_E_NO_MEMORY;
    }
    *good_out = true;
    for (; *good_out && rest.size > 0; n++) { /* each takes its comma */
        *good_out =
            packed_number(&rest, '.', &scopes[n]) && packed_number(&rest, ',', &v->packed_pos[n]) &&
            v->packed_pos[n] <= v->token.layers[1].pos && (n == 0 || scopes[n] > scopes[n - 1]);
    }
    *good_out &= n > 0;
    v->packed = (scope_list){.scopes = scopes, .count = n};
    return FB_OK;
}

static fb_code open_token(feed_view *v)
{
    int64_t horizon = 0;
    FB_TRY(store_meta_int(v->store, "horizon", 0, &horizon));
    bool good = feed_token_get(v->request->token, &v->token) && is_within(v, horizon);
    if (good && v->token.filling) {
        FB_TRY(packed_read(v, &good));
    }
    if (good) {
        fb_code rc = read_sets(v);
        if (rc != FB_OK && rc != FB_E_NOT_FOUND) {
            return rc;
        }
        good = rc == FB_OK && add_layer(v);
    }
    if (!good) {
        start_anew(v); /* VIE-1 */
    }
    return FB_OK;
}

/* Where a scope of the device's set stands: see feed_token.c. */
static int64_t cursor_of(const feed_view *v, int64_t scope)
{
    int64_t cursor = 0;
    if (v->token.filling) {
        uint32_t at = scope_list_at(&v->packed, scope);
        int64_t packed = at < v->packed.count ? v->packed_pos[at] : 0;
        return packed > v->token.fill_pos ? packed : v->token.fill_pos;
    }
    for (uint32_t i = 0; i < v->token.count; i++) {
        if (!scope_list_has(&v->sets[i], scope)) {
            cursor = 0; /* it was dropped in between: its rows may be gone from the device */
        } else if (v->token.layers[i].pos > cursor) {
            cursor = v->token.layers[i].pos;
        }
    }
    return cursor;
}

/* Up to where the device holds all of a scope of its set: at its last complete state it had the
 * scope, and has had it since. */
static int64_t whole_of(const feed_view *v, int64_t scope)
{
    for (uint32_t i = 0; i < v->token.count; i++) {
        if (!scope_list_has(&v->sets[i], scope)) {
            return 0;
        }
    }
    return v->token.whole_pos;
}

void feed_view_cursors(feed_view *v)
{
    const scope_list *set = v->request->set;
    v->cursor_max = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        v->wholes[i] = whole_of(v, set->scopes[i]);
        v->cursors[i] = cursor_of(v, set->scopes[i]);
        v->cursor_max = v->cursors[i] > v->cursor_max ? v->cursors[i] : v->cursor_max;
    }
}

fb_code feed_view_open(store *s, const page_request *q, arena *memory, feed_view *v)
{
    FB_REQUIRE(q->set_number > 0 && q->set != NULL && q->set->count > 0);
    *v = (feed_view){.store = s, .request = q, .memory = memory, .incarnation = -1};
    FB_TRY(read_head(s, &v->head_pos));
    FB_TRY(open_token(v));
    /* Not in the course of a download: an earlier page of it may have taken the row away, before it
     * came back and was changed by a group that had waited. */
    v->echo = v->token.count == 1 && v->token.whole_pos == v->token.layers[0].pos;
    v->cache = scope_cache_new(memory);
    v->cursors = arena_take(memory, q->set->count * sizeof *v->cursors);
    v->wholes = arena_take(memory, q->set->count * sizeof *v->wholes);
    if (v->cache == NULL || v->cursors == NULL || v->wholes == NULL) {
        return FB_E_NO_MEMORY;
    }
    feed_view_cursors(v);
    return FB_OK;
}

fb_code feed_view_dropped(const feed_view *v, scope_list *out)
{
    scope_builder b = {.memory = v->memory};
    for (uint32_t i = 0; i + 1 < v->token.count; i++) {
        for (uint32_t n = 0; n < v->sets[i].count; n++) {
            if (!scope_list_has(v->request->set, v->sets[i].scopes[n])) {
                FB_TRY(scope_builder_add(&b, v->sets[i].scopes[n]));
            }
        }
    }
    *out = (scope_list){.scopes = b.scopes, .count = b.count};
    return FB_OK;
}

/* ---- judging ---- */

static fb_code incarnation_read(feed_view *v)
{
    store_stmt *q = store_prepare(v->store, STORE_feed_incarnation_no);
    store_bind_id(q, 1, &v->request->device);
    store_bind_id(q, 2, &v->request->incarnation);
    return store_one(q, &v->incarnation);
}

/* FED-4: a plain group of this incarnation that is not yet part of the device's base state. */
static fb_code is_own(feed_view *v, int64_t pos, bool *out)
{
    int64_t cid = pos >> COMMIT_BITS;
    if (v->incarnation < 0) {
        FB_TRY(incarnation_read(v));
    }
    if (cid != v->commit_cid && v->incarnation > 0) {
        store_stmt *q = store_prepare(v->store, STORE_feed_commit_get);
        bool row = false;
        store_bind_int(q, 1, cid);
        FB_TRY(store_step(q, &row));
        v->commit_cid = cid;
        v->commit_own = row && store_int(q, 0) == v->incarnation &&
                        store_int(q, 1) > v->request->settled && store_int(q, 2) == 1;
        store_reset(q);
    }
    *out = v->incarnation > 0 && v->commit_own;
    return FB_OK;
}

/* Scopes the row has now, and its version; *ver_out 0 when it is gone. */
static fb_code scopes_now(feed_view *v, const cat_entity *e, const fb_id *id, int64_t *ver_out,
                          scope_list *out)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_code rc = store_row_keys(v->store, e, id, values);
    *out = (scope_list){0};
    *ver_out = 0;
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    *ver_out = values[cat_ver_column(e)].u.i;
    return feed_scopes_of_row(v->store, v->cache, e, values, false, v->memory, out);
}

/* The next of the device's scopes, from number *at on, that the row is in; false at the end. */
static bool next_shared(const feed_view *v, const scope_list *scopes, uint32_t *at)
{
    while (*at < v->request->set->count && !scope_list_has(scopes, v->request->set->scopes[*at])) {
        (*at)++;
    }
    return *at < v->request->set->count;
}

/* Does one of the device's scopes stand at or after the row's entry in it? What lies before this
 * entry was read with it, in this page or an earlier one. */
static fb_code is_held(feed_view *v, const feed_entry *entry, const cat_entity *e, bool *out)
{
    int64_t ver = 0;
    scope_list scopes = {0};
    *out = false;
    FB_TRY(scopes_now(v, e, &entry->id, &ver, &scopes));
    for (uint32_t at = 0; !*out && next_shared(v, &scopes, &at); at++) {
        int64_t read = v->cursors[at] >= entry->pos ? v->cursors[at] : entry->pos - 1;
        int64_t pos = 0;
        if (read >= ver) {
            FB_TRY(feed_entry_at(v->store, v->request->set->scopes[at], e, &entry->id, ver, &pos));
            *out = pos > 0 && pos <= read;
        }
    }
    return FB_OK;
}

static fb_code judge_row(feed_view *v, const feed_entry *entry, const cat_entity *e, feed_send *out)
{
    bool held = entry->kind == FEED_CAME && entry->kept;
    bool moved = entry->kind == FEED_ROW && entry->kept; /* only what names its scopes differs */
    if (entry->kind == FEED_ROW && v->echo) {
        FB_TRY(is_own(v, entry->pos, &held));
    } else if (!held && (entry->kind == FEED_CAME || v->cursor_max >= entry->pos)) {
        FB_TRY(is_held(v, entry, e, &held));
    }
    *out = held ? SEND_NOTHING : moved && v->request->takes_moves ? SEND_MOVE : SEND_ROW;
    return FB_OK;
}

static fb_code judge_gone(feed_view *v, const feed_entry *entry, const cat_entity *e,
                          feed_send *out)
{
    int64_t ver = 0;
    uint32_t first = 0;
    scope_list scopes = {0};
    bool gone = entry->kind == FEED_LEAVE || entry->kind == FEED_DELETE;
    *out = SEND_NOTHING;
    if (gone && entry->pos <= v->token.layers[0].pos) {
        return FB_OK;
    }
    FB_TRY(scopes_now(v, e, &entry->id, &ver, &scopes));
    if (!next_shared(v, &scopes, &first)) {
        *out = entry->kind == FEED_DELETE && ver == 0 ? SEND_DELETE : SEND_LEAVE;
    }
    return FB_OK;
}

fb_code feed_view_judge(feed_view *v, const feed_entry *entry, bool in_dropped,
                        const cat_entity **entity_out, feed_send *out)
{
    const cat_entity *e = store_entity_by_number(v->store, entry->entity);
    if (e == NULL) {
        return FB_E_BUSY; /* a newer catalogue was installed: refreshed before the next try */
    }
    *entity_out = e;
    if ((entry->kind == FEED_ROW || entry->kind == FEED_CAME) && !in_dropped) {
        return judge_row(v, entry, e, out);
    }
    return judge_gone(v, entry, e, out);
}
