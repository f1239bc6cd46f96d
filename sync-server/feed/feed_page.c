/* feed_page.c - pages: what a device has not seen yet, in blocks of one entity and kind each.
 *
 * First the scopes that the device lost are emptied, then everything after its positions is sent in
 * the order of positions until the page is full. Rows are gathered per entity, so a page has at
 * most one block per entity and kind, entities in catalogue order (parents first).
 *
 *   FED-1  a row is written only from an entry of one of the device's scopes, read in the same
 * snapshot FED-2  complete only when the merge of all scopes came to its end in this snapshot */
#include "base/check.h"
#include "sync-server/feed/feed_inside.h"

enum {
    BLOCK_KINDS = 4,
    FIX_BUCKETS_MAX = 64, /* when more are wrong, starting anew is cheaper */
    ROW_BYTES_GUESSED = 256
};

typedef struct page_sink {
    feed_view *view;
    const catalog *catalog;
    buf *blocks; /* [entity * BLOCK_KINDS + kind]; max 0: not begun */
    size_t size, size_wanted;
    uint32_t rows;
    int all_columns[CATALOG_COLUMNS_LIMIT];
    int move_columns[CATALOG_COLUMNS_LIMIT]; /* of the entity asked last */
} page_sink;

static uint32_t page_bytes_of(uint32_t wanted)
{
    return wanted == 0 || wanted > PAGE_BYTES_TARGET ? PAGE_BYTES_TARGET : wanted;
}

static bool sink_init(page_sink *k, feed_view *v, uint32_t page_bytes)
{
    k->view = v;
    k->catalog = store_catalog(v->store);
    k->size_wanted = page_bytes_of(page_bytes);
    k->blocks = arena_take(v->memory, k->catalog->entities_count * BLOCK_KINDS * sizeof(buf));
    for (int i = 0; i < CATALOG_COLUMNS_LIMIT; i++) {
        k->all_columns[i] = i;
    }
    return k->blocks != NULL;
}

static void sink_clear(page_sink *k)
{
    for (uint32_t i = 0; i < k->catalog->entities_count * BLOCK_KINDS; i++) {
        buf_clear(&k->blocks[i]);
    }
}

/* id, ver, and what names the row's scopes. */
static uint32_t move_columns(page_sink *k, const cat_entity *e)
{
    uint32_t count = 2;
    k->move_columns[1] = cat_ver_column(e);
    for (uint32_t i = 0; i < e->scopes_count; i++) {
        bool named = e->scopes[i].column <= 0;
        for (uint32_t n = 2; n < count; n++) {
            named = named || k->move_columns[n] == e->scopes[i].column;
        }
        if (!named) {
            k->move_columns[count++] = e->scopes[i].column;
        }
    }
    return count;
}

static fb_code sink_block(page_sink *k, const cat_entity *e, block_kind kind, const int *columns,
                          uint32_t count, const fb_value *values)
{
    buf *b = &k->blocks[(uint32_t)e->number * BLOCK_KINDS + (uint32_t)kind];
    if (b->max == 0) {
        buf_init(b, PAGE_BYTES_MAX);
        block_head_put(b, e, kind, columns, count);
    }
    size_t before = b->size;
    row_put(b, e, columns, count, values);
    k->size += b->size - before;
    k->rows++;
    return b->code;
}

static fb_code sink_row(page_sink *k, const cat_entity *e, block_kind kind, const fb_value *values)
{
    fb_value picked[CATALOG_COLUMNS_LIMIT];
    if (kind != BLOCK_MOVE) {
        uint32_t count = kind == BLOCK_ROW ? e->columns_count : 1;
        return sink_block(k, e, kind, k->all_columns, count, values);
    }
    uint32_t count = move_columns(k, e);
    for (uint32_t i = 0; i < count; i++) {
        picked[i] = values[k->move_columns[i]];
    }
    return sink_block(k, e, kind, k->move_columns, count, picked);
}

static fb_code sink_entry(page_sink *k, const feed_entry *entry, bool in_dropped)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    const cat_entity *e = NULL;
    feed_send send = SEND_NOTHING;
    FB_TRY(feed_view_judge(k->view, entry, in_dropped, &e, &send));
    if (send == SEND_NOTHING) {
        return FB_OK;
    }
    if (send == SEND_ROW || send == SEND_MOVE) {
        fb_code rc = store_row_view(k->view->store, e, &entry->id, values);
        FB_TRY(rc == FB_E_NOT_FOUND ? FB_E_CORRUPT : rc); /* STO-2 */
        int64_t ver = values[cat_ver_column(e)].u.i;
        if (entry->kind == FEED_CAME ? ver >= entry->pos : ver != entry->pos) {
            return FB_E_CORRUPT;
        }
        return sink_row(k, e, send == SEND_ROW ? BLOCK_ROW : BLOCK_MOVE, values);
    }
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = entry->id};
    return sink_row(k, e, send == SEND_LEAVE ? BLOCK_LEAVE : BLOCK_DELETE, values);
}

/* Which entries go into the sink. */
typedef struct sink_range {
    const scope_list *scopes;
    const int64_t *cursors; /* where each scope stands */
    const int64_t *wholes;  /* feed_view.wholes, or NULL */
    int64_t last;           /* nothing after this position */
    bool in_dropped;
} sink_range;

/* Entries until the page is full or the range ends; *pos: the last one done. */
static fb_code sink_scopes(page_sink *k, const sink_range *range, int64_t *pos, bool *ended_out)
{
    feed_merge *m = NULL;
    feed_entry entry;
    bool found = true;
    *ended_out = false;
    FB_TRY(feed_merge_open(k->view->store, range->scopes, range->cursors, k->view->memory, &m));
    if (range->wholes != NULL) {
        feed_merge_wholes(m, range->wholes);
    }
    while (k->size < k->size_wanted && found) {
        FB_TRY(feed_merge_next(m, &entry, &found));
        if (found && entry.pos > range->last) {
            *ended_out = true;
            return FB_OK;
        }
        if (found) {
            FB_ASSERT(entry.pos > *pos);
            FB_TRY(sink_entry(k, &entry, range->in_dropped));
            *pos = entry.pos;
        }
    }
    *ended_out = feed_merge_ended(m);
    return FB_OK;
}

static fb_code empty_dropped(page_sink *k)
{
    feed_view *v = k->view;
    scope_list dropped = {0};
    bool ended = false;
    FB_TRY(feed_view_dropped(v, &dropped));
    int64_t *cursors = arena_take(v->memory, (dropped.count + 1) * sizeof *cursors);
    if (cursors == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < dropped.count; i++) {
        cursors[i] = v->token.drop_pos;
    }
    const sink_range range = {
        .scopes = &dropped, .cursors = cursors, .last = INT64_MAX, .in_dropped = true};
    FB_TRY(sink_scopes(k, &range, &v->token.drop_pos, &ended));
    if (ended) {
        v->token.dropping = false;
    }
    return FB_OK;
}

/* After packs: what they do not hold, up to the position of the newest. */
static fb_code fill_after_packs(page_sink *k)
{
    feed_view *v = k->view;
    bool ended = false;
    const sink_range range = {
        .scopes = v->request->set, .cursors = v->cursors, .last = v->token.layers[1].pos};
    FB_TRY(sink_scopes(k, &range, &v->token.fill_pos, &ended));
    if (ended) {
        v->token.filling = false;
        feed_view_cursors(v);
    }
    return FB_OK;
}

/* Where the device stands after this page. */
static void token_advance(feed_token *t, int64_t head_pos, bool complete)
{
    struct token_layer last = t->layers[t->count - 1];
    bool even = t->layers[0].set > 0 && !t->dropping;
    for (uint32_t i = 0; i + 1 < t->count; i++) {
        even = even && t->layers[i].pos <= last.pos;
    }
    if (complete) {
        last.pos = head_pos;
    }
    if (complete) {
        t->whole_pos = head_pos;
    } else if (even && t->count > 1) {
        t->whole_pos = 0; /* what was won meanwhile was not whole then */
    }
    if (complete || even) {
        t->layers[0] = last;
        t->count = 1;
    }
}

static fb_code sink_fill(page_sink *k, bool *complete_out)
{
    feed_view *v = k->view;
    struct token_layer *last = &v->token.layers[v->token.count - 1];
    *complete_out = false;
    if (v->token.count == 1 && last->pos >= v->head_pos) {
        *complete_out = true; /* nothing was committed since: no scope need be asked */
        return FB_OK;
    }
    if (v->token.dropping) {
        FB_TRY(empty_dropped(k));
    }
    if (v->offered) {
        return FB_OK; /* its rows would be staged before the packs, which may hold older ones */
    }
    if (v->token.filling) {
        FB_TRY(fill_after_packs(k));
    }
    if (v->token.dropping || v->token.filling) {
        return FB_OK;
    }
    const sink_range range = {
        .scopes = v->request->set, .cursors = v->cursors, .wholes = v->wholes, .last = INT64_MAX};
    return sink_scopes(k, &range, &last->pos, complete_out);
}

static void put_blocks(const page_sink *k, buf *out)
{
    for (uint32_t kind = 0; kind < BLOCK_KINDS; kind++) {
        for (uint32_t e = 0; e < k->catalog->entities_count; e++) {
            buf_put_text(out, buf_text(&k->blocks[e * BLOCK_KINDS + kind]));
        }
    }
}

/* ---- the digest (protocol.md section 6.5) ---- */

typedef struct page_digest {
    bool built; /* this database has digests */
    bool anew;  /* too much is wrong to mend */
    bucket_set fix;
} page_digest;

/* Of the wrong buckets as many as a page holds, at least one: the device asks again for the rest.
 */
static fb_code digest_plan(store *s, const page_request *q, arena *memory, page_digest *d)
{
    row_sums device;
    bucket_set wrong;
    int64_t rows = 0;
    *d = (page_digest){.built = false};
    FB_TRY(feed_digest_built(s, &d->built));
    if (!d->built || q->buckets.size == 0) {
        return FB_OK;
    }
    FB_REQUIRE(row_buckets_get(q->buckets, &device));
    FB_TRY(feed_digest_wrong(s, q->set, &device, memory, &wrong, &rows));
    d->anew = bucket_set_count(&wrong) > FIX_BUCKETS_MAX;
    int64_t bytes = 0;
    int64_t most = page_bytes_of(q->page_bytes);
    for (unsigned b = 0; b < ROW_BUCKETS && bytes < most && !d->anew; b++) {
        if (bucket_set_has(&wrong, b)) {
            bucket_set_add(&d->fix, b);
            bytes += rows / ROW_BUCKETS * ROW_BYTES_GUESSED + 1;
        }
    }
    return FB_OK;
}

/* Every row of the wrong buckets, whether the device has it or not. */
static fb_code sink_fix(page_sink *k, const bucket_set *fix)
{
    feed_view *v = k->view;
    feed_merge *m = NULL;
    feed_entry entry;
    bool found = true;
    int64_t *from_nothing = arena_take(v->memory, v->request->set->count * sizeof *from_nothing);
    if (from_nothing == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(feed_merge_open(v->store, v->request->set, from_nothing, v->memory, &m));
    FB_TRY(feed_merge_next(m, &entry, &found));
    while (found) {
        const cat_entity *e = store_entity_by_number(v->store, entry.entity);
        if (e == NULL) {
            return FB_E_BUSY;
        }
        bool row = entry.kind == FEED_ROW || entry.kind == FEED_CAME;
        if (row && bucket_set_has(fix, row_bucket(e->name, &entry.id))) {
            fb_value values[CATALOG_COLUMNS_LIMIT];
            FB_TRY(store_row_view(v->store, e, &entry.id, values));
            FB_TRY(sink_row(k, e, BLOCK_ROW, values));
        }
        FB_TRY(feed_merge_next(m, &entry, &found));
    }
    return FB_OK;
}

/* Only a complete page can say what the device holds after it. */
static fb_code digest_write(page_sink *k, const page_digest *d, const page_request *q,
                            char room[ROW_TOTALS_TEXT_BYTES], page_head *head)
{
    row_totals totals;
    bool asked = q->check || q->buckets.size > 0;
    if (!d->built || !head->complete || (k->rows == 0 && !asked)) {
        return FB_OK;
    }
    if (bucket_set_count(&d->fix) > 0 && !head->reset) {
        FB_TRY(sink_fix(k, &d->fix));
        head->fix = d->fix;
    }
    FB_TRY(feed_digest_totals(k->view->store, q->set, k->view->memory, &totals));
    head->totals = row_totals_put(&totals, room);
    return FB_OK;
}

static fb_code page_put(page_sink *k, const page_digest *d, const page_request *q, buf *out,
                        page_head *head)
{
    char room[ROW_TOTALS_TEXT_BYTES];
    char of[TOKEN_MARK_TEXT_BYTES];
    buf token;
    FB_TRY(digest_write(k, d, q, room, head));
    buf_init(&token, q->token.size + k->view->token.packed.size + 256);
    feed_token_put(&token, &k->view->token);
    head->token = buf_text(&token);
    if (!head->reset) {
        token_mark(q->token, of);
        head->of = text_of(of);
    }
    if (token.code == FB_OK) {
        page_head_put(out, head);
        put_blocks(k, out);
    }
    fb_code rc = token.code != FB_OK ? token.code : out->code;
    buf_clear(&token);
    return rc;
}

static fb_code page_write(page_sink *k, const page_digest *d, const page_request *q, buf *out,
                          page_result *result)
{
    feed_view *v = k->view;
    page_head head = {.reset = v->reset};
    bool same_set = v->token.count == 1;
    if (v->reset && q->packs != NULL) {
        FB_TRY(feed_pack_offer(v, out));
    }
    FB_TRY(sink_fill(k, &head.complete));
    token_advance(&v->token, v->head_pos, head.complete);
    FB_TRY(page_put(k, d, q, out, &head));
    *result =
        (page_result){.complete = head.complete,
                      .empty = head.complete && same_set && k->rows == 0 && head.totals.size == 0,
                      .reset = v->reset,
                      .rows = k->rows,
                      .fixed = bucket_set_count(&head.fix)};
    return FB_OK;
}

fb_code feed_page(store *s, const page_request *q, arena *memory, buf *out, page_result *result)
{
    feed_view view;
    page_sink sink = {0};
    page_request asked = *q;
    page_digest d;
    FB_TRY(digest_plan(s, q, memory, &d));
    if (d.anew) {
        asked.token = text_of(""); /* VIE-1 */
    }
    FB_TRY(feed_view_open(s, &asked, memory, &view));
    if (!sink_init(&sink, &view, q->page_bytes)) {
        return FB_E_NO_MEMORY;
    }
    fb_code rc = page_write(&sink, &d, q, out, result);
    sink_clear(&sink);
    return rc;
}

fb_code feed_is_empty(store *s, const page_request *q, bool *out)
{
    arena *memory = arena_new(PAGE_BYTES_MAX);
    feed_view view;
    feed_merge *m = NULL;
    feed_entry entry;
    const cat_entity *e = NULL;
    feed_send send = SEND_NOTHING;
    bool found = true;
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : feed_view_open(s, q, memory, &view);
    if (rc == FB_OK && view.token.count == 1 && view.token.layers[0].pos < view.head_pos) {
        rc = feed_merge_open(s, q->set, view.cursors, memory, &m);
        if (rc == FB_OK) {
            feed_merge_wholes(m, view.wholes);
        }
    }
    while (rc == FB_OK && m != NULL && found && send == SEND_NOTHING) {
        rc = feed_merge_next(m, &entry, &found);
        if (rc == FB_OK && found) {
            rc = feed_view_judge(&view, &entry, false, &e, &send);
        }
    }
    if (rc == FB_OK) {
        *out = view.token.count == 1 && send == SEND_NOTHING;
    }
    arena_free(memory);
    return rc;
}
