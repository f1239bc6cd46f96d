/* feed_merge.c - entries of several scopes in the order of positions: a heap over runs that are
 * read in chunks. A row that is in several scopes has one position in all it entered together
 * (STO-1), so it comes once. */
#include <string.h>

#include "base/check.h"
#include "sync-server/feed/feed_inside.h"

/* Entries that a run holds, first and later on: the more scopes there are the fewer each. */
static const struct chunk_size {
    uint32_t scopes_max, first, later;
} CHUNKS[] = {{64, 16, 512}, {4096, 16, 64}, {UINT32_MAX, 4, 8}};

typedef struct feed_run {
    int64_t scope, after;
    int64_t whole; /* the device holds what was in the scope up to there */
    feed_entry *entries;
    uint32_t capacity, count, at;
    bool ended; /* the last chunk was not full */
} feed_run;

struct feed_merge {
    store *store;
    arena *memory;
    feed_run *runs;
    uint32_t *heap; /* indexes of runs that have an entry, least position first */
    uint32_t runs_count, heap_count;
    struct chunk_size chunk;
};

static int64_t pos_of(const feed_merge *m, uint32_t heap_at)
{
    const feed_run *run = &m->runs[m->heap[heap_at]];
    return run->entries[run->at].pos;
}

static void heap_swap(feed_merge *m, uint32_t a, uint32_t b)
{
    uint32_t kept = m->heap[a];
    m->heap[a] = m->heap[b];
    m->heap[b] = kept;
}

static void sift_down(feed_merge *m, uint32_t at)
{
    while (true) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < m->heap_count; child++) {
            if (pos_of(m, child) < pos_of(m, least)) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        heap_swap(m, at, least);
        at = least;
    }
}

static fb_code run_grow(feed_merge *m, feed_run *run)
{
    if (run->capacity == m->chunk.later) {
        return FB_OK;
    }
    uint32_t capacity = run->capacity == 0 ? m->chunk.first : m->chunk.later;
    run->entries = arena_take(m->memory, capacity * sizeof *run->entries);
    run->capacity = capacity;
    return run->entries != NULL ? FB_OK : FB_E_NO_MEMORY;
}

static void entry_read(store_stmt *q, feed_entry *out)
{
    out->pos = store_int(q, 0);
    out->entity = store_int(q, 1);
    out->id = store_id(q, 2);
    out->kind = (feed_kind)store_int(q, 3);
    out->since = store_int(q, 4);
    out->kept = false;
}

/* The next chunk of a run; memory is taken only once there is something to hold. */
static fb_code run_fill(feed_merge *m, feed_run *run)
{
    uint32_t wanted = run->capacity == 0 ? m->chunk.first : m->chunk.later;
    store_stmt *q = store_prepare(m->store, STORE_feed_read);
    bool row = true;
    run->count = 0;
    run->at = 0;
    store_bind_int(q, 1, run->scope);
    store_bind_int(q, 2, run->after);
    store_bind_int(q, 3, wanted);
    FB_TRY(store_step(q, &row));
    if (row) {
        fb_code rc = run_grow(m, run);
        if (rc != FB_OK) {
            store_reset(q);
            return rc;
        }
    }
    while (row) {
        FB_ASSERT(run->count < run->capacity);
        entry_read(q, &run->entries[run->count++]);
        FB_TRY(store_step(q, &row));
    }
    run->ended = run->count < wanted;
    if (run->count > 0) {
        run->after = run->entries[run->count - 1].pos;
    }
    return FB_OK;
}

fb_code feed_merge_open(store *s, const scope_list *scopes, const int64_t *cursors, arena *memory,
                        feed_merge **out)
{
    feed_merge *m = arena_take(memory, sizeof *m);
    if (m == NULL) {
        return FB_E_NO_MEMORY;
    }
    m->store = s;
    m->memory = memory;
    m->runs_count = scopes->count;
    for (size_t i = 0; m->chunk.first == 0; i++) {
        m->chunk = scopes->count <= CHUNKS[i].scopes_max ? CHUNKS[i] : m->chunk;
    }
    m->runs = arena_take(memory, (scopes->count + 1) * sizeof *m->runs);
    m->heap = arena_take(memory, (scopes->count + 1) * sizeof *m->heap);
    if (m->runs == NULL || m->heap == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < scopes->count; i++) {
        m->runs[i].scope = scopes->scopes[i];
        m->runs[i].after = cursors[i];
        FB_TRY(run_fill(m, &m->runs[i]));
        if (m->runs[i].count > 0) {
            m->heap[m->heap_count++] = i;
        }
    }
    for (uint32_t i = m->heap_count / 2; i-- > 0;) {
        sift_down(m, i);
    }
    *out = m;
    return FB_OK;
}

void feed_merge_wholes(feed_merge *m, const int64_t *wholes)
{
    for (uint32_t i = 0; i < m->runs_count; i++) {
        m->runs[i].whole = wholes[i];
    }
}

/* Take the least entry away. */
static fb_code advance(feed_merge *m)
{
    feed_run *run = &m->runs[m->heap[0]];
    run->at++;
    if (run->at == run->count && !run->ended) {
        FB_TRY(run_fill(m, run));
    }
    if (run->at == run->count) {
        m->heap[0] = m->heap[--m->heap_count];
    }
    if (m->heap_count > 0) {
        sift_down(m, 0);
    }
    return FB_OK;
}

/* The row left this scope, or moved in it, after the device was complete there with it. */
static bool is_kept(const feed_run *run)
{
    const feed_entry *entry = &run->entries[run->at];
    return entry->since > 0 && entry->since <= run->whole; /* it is read from `whole` or later on */
}

fb_code feed_merge_next(feed_merge *m, feed_entry *out, bool *found_out)
{
    *found_out = m->heap_count > 0;
    if (m->heap_count == 0) {
        return FB_OK;
    }
    const feed_run *run = &m->runs[m->heap[0]];
    *out = run->entries[run->at];
    out->kept = is_kept(run);
    FB_TRY(advance(m));
    while (m->heap_count > 0 && pos_of(m, 0) == out->pos) {
        run = &m->runs[m->heap[0]];
        feed_kind kind = run->entries[run->at].kind;
        out->kept = out->kept || is_kept(run);
        if (kind == FEED_ROW || kind == FEED_CAME) {
            out->kind = kind;
        }
        FB_TRY(advance(m));
    }
    FB_ASSERT(m->heap_count == 0 || pos_of(m, 0) > out->pos);
    return FB_OK;
}

bool feed_merge_ended(const feed_merge *m)
{
    return m->heap_count == 0;
}
