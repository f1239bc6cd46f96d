/* device_fixture.h - for test_feed.c and test_feed_sim.c: a device that reads pages as the protocol
 * says, and checks each against the oracle of server_fixture.h.
 *
 *   base     what it holds since the last complete page
 *   staged   lines of pages since then, in order
 *   own      rows of its own plain groups that are not settled
 *   packs    names of packs it was offered, chunks of them still missing: fetched one by one before
 *            the next page; a pack that cannot be had lets it begin anew
 * Every page is checked for FED-1, FED-3 and FED-4; every complete one for FED-2: the base is then
 * exactly the projection of the tables, text by text. */
#ifndef FB_TESTS_UNIT_DEVICE_FIXTURE_H
#define FB_TESTS_UNIT_DEVICE_FIXTURE_H

#include "wire/pack.h"
#include "wire/sync_msg.h"

#include "server_fixture.h"

/* Units 1 > 2 > 3, and 4; territories of them; roles self, region, all; users 1 to 4 in unit 2. */
static inline void company(fixture *f)
{
    fixture_small(f);
    batch_begin(f);
    put_unit(f, 1, 0);
    put_unit(f, 2, 1);
    put_unit(f, 3, 2);
    put_unit(f, 4, 0);
    put_territory(f, 1, 0, 2);
    put_territory(f, 2, 1, 0); /* below territory 1 */
    put_territory(f, 3, 0, 3);
    put_territory(f, 4, 0, 4);
    put_role(f, 1, "self");
    put_role(f, 2, "region");
    put_role(f, 3, "all");
    for (uint32_t user = 1; user <= 4; user++) {
        put_user(f, user, 2);
    }
    batch_commit(f);
}

typedef struct sim_row {
    const cat_entity *entity; /* of the writer's catalogue */
    fb_id id;
    int64_t ver;
    char *text; /* its line */
    block_kind kind;
    fb_value set[4]; /* of a move: what it says beside id and ver */
    int set_columns[4];
    uint32_t set_count;
    bool reset;   /* staged only: everything before is void */
    int64_t gseq; /* own only */
} sim_row;

typedef struct row_set {
    sim_row *rows;
    size_t count, capacity;
} row_set;

enum { OFFERS_MAX = 32 };

typedef struct device {
    uint32_t number, user;
    const pack_source *packs; /* NULL: it takes none */
    struct offered {
        digest name;
        uint32_t next, chunks;
    } offers[OFFERS_MAX];
    uint32_t offers_count, chunks, refused;
    row_set base, staged, own;
    char token[512];
    int64_t settled, gseq;
    /* What the last page was. */
    bool complete, reset, empty;
    uint32_t rows, leaves, deletes, moves;
    bool takes_moves;
    bool has_totals;
    row_totals totals;
} device;

static inline sim_row *row_add(row_set *s)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity == 0 ? 32 : s->capacity * 2;
        s->rows = realloc(s->rows, s->capacity * sizeof *s->rows);
        assert_non_null(s->rows);
    }
    s->rows[s->count] = (sim_row){0};
    return &s->rows[s->count++];
}

static inline sim_row *row_find(const row_set *s, const cat_entity *e, const fb_id *id)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->rows[i].entity == e && id_equal(&s->rows[i].id, id)) {
            return &s->rows[i];
        }
    }
    return NULL;
}

static inline void row_remove(row_set *s, sim_row *r)
{
    free(r->text);
    *r = s->rows[--s->count];
}

static inline void rows_clear(row_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->rows[i].text);
    }
    s->count = 0;
}

static inline void device_clear(device *d)
{
    row_set *const sets[] = {&d->base, &d->staged, &d->own};
    for (size_t i = 0; i < 3; i++) {
        rows_clear(sets[i]);
        free(sets[i]->rows);
        *sets[i] = (row_set){0};
    }
}

static inline void device_init(fixture *f, device *d, uint32_t number, uint32_t user)
{
    memset(d, 0, sizeof *d);
    d->number = number;
    d->user = user;
    d->takes_moves = number % 2 == 1; /* the others are of an older app */
    put_device(f, number, user);
}

static inline char *text_kept(fb_text t)
{
    char *made = malloc(t.size + 1);
    assert_non_null(made);
    memcpy(made, t.data, t.size);
    made[t.size] = '\0';
    return made;
}

/* One row or leave or delete of a page. */
static inline void stage_line(device *d, fixture *f, const block_head *head, fb_text line)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    sim_row *r = row_add(&d->staged);
    r->kind = head->kind;
    r->entity = entity_of(
        f, head->entity->name.data == NULL ? "" : arena_str(f->memory, head->entity->name.data));
    ok(row_get(line, head, f->memory, values));
    r->id = values[0].u.id;
    if (head->kind == BLOCK_ROW) {
        assert_int_equal(head->columns_count, head->entity->columns_count);
        r->ver = values[cat_ver_column(head->entity)].u.i;
        r->text = text_kept(line);
        d->rows++;
        return;
    }
    if (head->kind == BLOCK_MOVE) {
        r->ver = values[1].u.i;
        assert_true(head->columns_count > 2 && head->columns_count <= 6);
        for (uint32_t i = 2; i < head->columns_count; i++) {
            assert_true(values[i].kind == FB_KIND_ID || values[i].kind == FB_KIND_NULL);
            r->set[r->set_count] = values[i];
            r->set_columns[r->set_count++] = head->columns[i];
        }
        d->moves++;
        return;
    }
    d->leaves += head->kind == BLOCK_LEAVE ? 1 : 0;
    d->deletes += head->kind == BLOCK_DELETE ? 1 : 0;
}

static inline void offer_take(device *d, fixture *f, const pack_offer *o)
{
    pack_manifest m;
    struct offered *to = &d->offers[d->offers_count++];
    assert_true(d->offers_count <= OFFERS_MAX);
    ok(pack_offer_check(o, &d->packs->key->open));
    ok(pack_manifest_get(o->manifest, f->memory, &m));
    digest_of(o->manifest.data, o->manifest.size, &to->name);
    to->next = 0;
    to->chunks = m.chunks_count;
}

/* Rows of blocks, in their order. */
static inline void stage_blocks(device *d, fixture *f, line_reader *lines)
{
    block_head head;
    fb_text line;
    bool in_block = false;
    while (line_next(lines, &line)) {
        if (line.data[0] == '{') {
            ok(block_head_get(line, store_catalog(f->writer), f->memory, &head));
            in_block = true;
            continue;
        }
        assert_true(in_block);
        stage_line(d, f, &head, line);
    }
    ok(lines->code);
}

static inline void stage_page(device *d, fixture *f, fb_text page)
{
    line_reader lines;
    reply_item item;
    fb_text line;
    line_reader_init(&lines, page);
    assert_true(line_next(&lines, &line));
    ok(reply_item_get(line, f->memory, &item));
    d->offers_count = 0;
    for (; item.line == LINE_PACK; ok(reply_item_get(line, f->memory, &item))) {
        offer_take(d, f, &item.pack);
        assert_true(line_next(&lines, &line));
    }
    assert_int_equal(item.line, LINE_PAGE);
    assert_true(item.page.token.size < sizeof d->token);
    snprintf(d->token, sizeof d->token, "%.*s", (int)item.page.token.size, item.page.token.data);
    assert_int_equal(item.page.complete, d->complete);
    assert_int_equal(item.page.reset, d->reset);
    d->has_totals = item.page.totals.size > 0;
    assert_true(!d->has_totals || row_totals_get(item.page.totals, &d->totals));
    assert_int_equal(d->has_totals, d->complete); /* device_pull asks for them */
    if (item.page.reset) {
        row_add(&d->staged)->reset = true;
    }
    stage_blocks(d, f, &lines);
}

/* FED-5: only of a row that the device has; what it does not say stays. */
static inline void base_move(sim_row *old, const sim_row *r)
{
    block_head head = {.entity = r->entity, .columns_count = r->entity->columns_count};
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    buf line;
    assert_non_null(old);
    old->ver = r->ver;
    for (int i = 0; i < CATALOG_COLUMNS_LIMIT; i++) {
        head.columns[i] = i;
    }
    buf_init(&line, 1 << 20);
    if (old->text != NULL) {
        ok(row_get(text_of(old->text), &head, memory, values));
        values[cat_ver_column(r->entity)].u.i = r->ver;
        for (uint32_t i = 0; i < r->set_count; i++) {
            values[r->set_columns[i]] = r->set[i];
        }
        row_put(&line, r->entity, head.columns, head.columns_count, values);
        free(old->text);
        old->text = text_kept((fb_text){line.data, line.size - 1});
    }
    buf_clear(&line);
    arena_free(memory);
}

static inline void base_put(row_set *base, const sim_row *r)
{
    sim_row *old = row_find(base, r->entity, &r->id);
    if (r->kind == BLOCK_MOVE) {
        base_move(old, r);
        return;
    }
    if (old != NULL && (r->kind != BLOCK_ROW || old->text != NULL)) {
        row_remove(base, old);
    }
    if (r->kind == BLOCK_ROW) {
        sim_row *made = row_add(base);
        *made = *r;
        made->text = strdup(r->text);
        assert_non_null(made->text);
    }
}

/* Own groups first, then what was staged, in its order. */
static inline void promote(device *d)
{
    for (size_t i = 0; i < d->own.count; i++) {
        base_put(&d->base, &d->own.rows[i]);
    }
    for (size_t i = 0; i < d->staged.count; i++) {
        if (d->staged.rows[i].reset) {
            rows_clear(&d->base);
        } else {
            base_put(&d->base, &d->staged.rows[i]);
        }
    }
    rows_clear(&d->own);
    rows_clear(&d->staged);
    d->settled = d->gseq;
}

/* One layer, of the set the device has now: the echo rule holds. */
static inline bool is_settled_token(const char *token, int64_t set_number)
{
    return strpbrk(token, "+-~") == NULL && strtoll(token, NULL, 10) == set_number;
}

/* Ids of all rows in these scopes, by the oracle. */
typedef struct id_list {
    fb_id ids[4096];
    size_t count;
} id_list;

static inline int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(fb_id));
}

static inline void ids_in_scope(fixture *f, const char *set, id_list *out)
{
    char sql[8192];
    sqlite3_stmt *q = NULL;
    snprintf(
        sql, sizeof sql,
        "SELECT DISTINCT r.id FROM row_scope r JOIN fs_scope s ON s.kind = r.kind AND s.ref = r.ref"
        " WHERE s.scope IN (%s)",
        set);
    assert_int_equal(sqlite3_prepare_v2(f->raw, sql, -1, &q, NULL), SQLITE_OK);
    out->count = 0;
    while (sqlite3_step(q) == SQLITE_ROW) {
        assert_true(out->count < sizeof out->ids / sizeof out->ids[0]);
        memcpy(out->ids[out->count++].b, sqlite3_column_blob(q, 0), sizeof(fb_id));
    }
    sqlite3_finalize(q);
    qsort(out->ids, out->count, sizeof out->ids[0], compare_ids);
}

static inline bool has_id(const id_list *list, const fb_id *id)
{
    return bsearch(id, list->ids, list->count, sizeof *id, compare_ids) != NULL;
}

static inline void set_text(const scope_list *list, char *out, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        used += (size_t)snprintf(out + used, size - used, i == 0 ? "%lld" : ",%lld",
                                 (long long)list->scopes[i]);
    }
}

/* FED-1, FED-3, FED-4 of the page staged last. */
static inline void check_page(device *d, fixture *f, const id_list *in_scope, size_t from,
                              bool was_settled)
{
    for (size_t i = from; i < d->staged.count; i++) {
        const sim_row *r = &d->staged.rows[i];
        if (r->reset) {
            continue;
        }
        bool there = r->kind == BLOCK_ROW || r->kind == BLOCK_MOVE;
        assert_int_equal(has_id(in_scope, &r->id), there);
        for (size_t n = from; n < i && there; n++) {
            assert_false(d->staged.rows[n].entity == r->entity &&
                         id_equal(&d->staged.rows[n].id, &r->id));
        }
        const sim_row *own = row_find(&d->own, r->entity, &r->id);
        if (was_settled && !d->reset && own != NULL && own->kind == BLOCK_ROW &&
            own->ver == r->ver && own->gseq > d->settled) {
            char sql[256]; /* a row that moved since is sent if the device may lack it */
            int n = snprintf(sql, sizeof sql,
                             "SELECT plain AND NOT EXISTS (SELECT 1 FROM fs_feed WHERE kind = 3"
                             " AND id = x'");
            for (size_t b = 0; b < sizeof r->id.b; b++) {
                n += snprintf(sql + n, sizeof sql - (size_t)n, "%02x", r->id.b[b]);
            }
            snprintf(sql + n, sizeof sql - (size_t)n, "') FROM fs_commit WHERE cid = %lld",
                     (long long)(r->ver >> 20));
            assert_int_equal(raw_int(f, sql), 0);
        }
    }
}

/* The device's base state is what the tables say. */
static inline void check_base(device *d, fixture *f, const id_list *in_scope)
{
    row_sums sums = {.rows = 0};
    assert_int_equal(d->base.count, in_scope->count);
    for (size_t i = 0; i < d->base.count; i++) {
        const sim_row *r = &d->base.rows[i];
        row_sums_add(&sums, r->entity->name, &r->id, r->ver);
    }
    assert_int_equal(d->totals.rows, sums.rows);
    assert_true(d->totals.sum == row_totals_of(&sums).sum);
    for (size_t i = 0; i < d->base.count; i++) {
        const sim_row *r = &d->base.rows[i];
        fb_value values[CATALOG_COLUMNS_LIMIT];
        int columns[CATALOG_COLUMNS_LIMIT];
        assert_true(has_id(in_scope, &r->id));
        ok(store_row_get(f->writer, r->entity, &r->id, f->memory, values));
        assert_int_equal(values[cat_ver_column(r->entity)].u.i, r->ver);
        buf line;
        buf_init(&line, 1 << 20);
        for (int c = 0; c < CATALOG_COLUMNS_LIMIT; c++) {
            columns[c] = c;
        }
        row_put(&line, r->entity, columns, r->entity->columns_count, values);
        assert_int_equal(line.size, strlen(r->text) + 1);
        assert_memory_equal(line.data, r->text, line.size - 1);
        buf_clear(&line);
    }
}

/* The next chunk of its packs, if the server would give it now; else it begins anew. */
static inline void device_fetch(device *d, fixture *f)
{
    struct offered *o = d->offers;
    fb_id user = USER(d->user);
    pack_info info;
    scope_list scopes = {0};
    buf frame, raw;
    buf_init(&frame, 1 << 20);
    buf_init(&raw, 1 << 20);
    fb_code rc = pack_store_find(d->packs->store, &o->name, &info);
    ok(feed_scopes_of_user(f->writer, &user, f->now_ms, f->memory, &scopes));
    bool mine = false;
    for (uint32_t i = 0; rc == FB_OK && i < scopes.count; i++) {
        mine = mine || scopes.scopes[i] == info.scope;
    }
    if (mine) {
        line_reader lines;
        ok(pack_store_chunk_get(d->packs->store, info.no, o->next++, &frame));
        ok(pack_get(&raw, buf_text(&frame), 1 << 20));
        line_reader_init(&lines, buf_text(&raw));
        stage_blocks(d, f, &lines);
        d->chunks++;
        if (o->next == o->chunks) {
            memmove(o, o + 1, --d->offers_count * sizeof *o);
        }
    } else {
        rows_clear(&d->staged);
        d->token[0] = '\0';
        d->offers_count = 0;
        d->refused++;
    }
    d->complete = d->reset = d->empty = false;
    d->rows = d->leaves = d->deletes = d->moves = 0;
    buf_clear(&frame);
    buf_clear(&raw);
}

/* A page that nobody reads. */
typedef struct page_trial {
    fixture *f;
    page_request q;
} page_trial;

static inline fb_code page_try(void *ctx)
{
    const page_trial *t = ctx;
    const store_options o = {.path = t->f->path, .read_only = true};
    store *reader = NULL; /* which remembers nothing yet */
    FB_TRY(store_open(&o, &reader, NULL));
    arena *memory = arena_new(FIXTURE_BYTES_MAX);
    scope_list scopes = {0};
    int64_t number = 0;
    page_request q = t->q;
    page_result result = {0};
    bool empty = false;
    buf out;
    buf_init(&out, 32 << 20);
    fb_code rc = memory != NULL ? store_snapshot(reader) : FB_E_NO_MEMORY;
    if (rc == FB_OK) {
        rc = feed_scope_set_get(reader, &q.device, memory, &scopes, &number);
        q.set = &scopes;
    }
    if (rc == FB_OK) {
        rc = feed_is_empty(reader, &q, &empty);
    }
    if (rc == FB_OK) {
        rc = feed_page(reader, &q, memory, &out, &result);
    }
    store_snapshot_end(reader);
    store_close(reader);
    buf_clear(&out);
    arena_free(memory);
    return rc;
}

/* One request and its page; promotes when the page is complete. */
static inline void device_pull(device *d, fixture *f, uint32_t page_bytes)
{
    fb_id user = USER(d->user);
    char set[4096];
    scope_list scopes = {0};
    int64_t number = 0;
    arena *memory = arena_new(FIXTURE_BYTES_MAX);
    if (d->offers_count > 0) {
        device_fetch(d, f);
        arena_free(memory);
        return;
    }
    page_request q = {.device = DEVICE(d->number),
                      .incarnation = INCARNATION(d->number),
                      .user = user,
                      .settled = d->settled,
                      .packs = d->packs,
                      .takes_moves = d->takes_moves,
                      .page_bytes = page_bytes};
    ok(store_begin(f->writer));
    ok(feed_scopes_of_user(f->writer, &user, f->now_ms, memory, &scopes));
    ok(feed_scope_set(f->writer, &q.device, &scopes, &number));
    ok(store_commit(f->writer));
    set_text(&scopes, set, sizeof set);
    buf out;
    buf_init(&out, 32 << 20);
    page_result result = {0};
    bool empty = false;
    bool was_settled = is_settled_token(d->token, number);
    scope_list read = {0};
    ok(store_snapshot(f->reader));
    ok(feed_scope_set_get(f->reader, &q.device, memory, &read, &q.set_number));
    assert_int_equal(q.set_number, number);
    assert_true(scope_list_equal(&read, &scopes));
    q.set = &read;
    q.token = text_of(d->token);
    q.check = true;
#ifdef FB_EACH_SITE
    store_snapshot_end(f->reader);
    each_site_fails(&(each_site){page_try, NULL, &(page_trial){f, q}});
    ok(store_snapshot(f->reader));
#endif
    ok(feed_is_empty(f->reader, &q, &empty));
    ok(feed_page(f->reader, &q, memory, &out, &result));
    store_snapshot_end(f->reader);
    d->complete = result.complete;
    d->reset = result.reset;
    d->empty = empty;
    d->rows = d->leaves = d->deletes = d->moves = 0;
    assert_true(!empty || (result.complete && result.rows == 0));
    assert_false(result.empty); /* it carries totals */
    size_t from = d->staged.count;
    stage_page(d, f, buf_text(&out));
    assert_int_equal(result.rows, d->rows + d->moves + d->leaves + d->deletes);
    static id_list in_scope;
    ids_in_scope(f, set, &in_scope);
    check_page(d, f, &in_scope, from, was_settled);
    if (d->complete) {
        promote(d);
        check_base(d, f, &in_scope);
    }
    buf_clear(&out);
    arena_free(memory);
}

static inline void device_pull_all(device *d, fixture *f, uint32_t page_bytes)
{
    for (int i = 0; i < 10000; i++) {
        device_pull(d, f, page_bytes);
        if (d->complete) {
            return;
        }
    }
    fail();
}

#endif
