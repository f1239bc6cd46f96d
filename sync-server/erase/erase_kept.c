/* erase_kept.c - what is kept of groups that were not applied, and of answers. See erase.h.
 *
 * Hashes, marks and codes stay (ERS-3): a group that is sent again is the same group, and is
 * answered with what is left of its verdict. */
#include <string.h>

#include "base/id.h"
#include "sync-server/erase/erase_inside.h"
#include "sync-server/intake/intake.h"
#include "sync-server/store/fill.h"

enum { HELD_PAGE = 256, TEXT_BYTES_MAX = 16 << 20, WORK_BYTES_MAX = 256 << 20 };

/* A text without what was erased; *changed_out false: as it was. Lives in x->memory. */
static fb_code text_erase(const erasing *x, fb_text text, bool is_verdict, fb_text *out,
                          bool *changed_out)
{
    buf less;
    arena *work = arena_new(WORK_BYTES_MAX);
    bool changed = false;
    if (work == NULL) {
        return FB_E_NO_MEMORY;
    }
    buf_init(&less, TEXT_BYTES_MAX);
    fb_code rc = is_verdict ? erased_verdict(&x->view, text, work, &less, &changed)
                            : erased_line(&x->view, text, work, &less, &changed);
    if (rc == FB_OK && changed) {
        *out = arena_text(x->memory, buf_text(&less));
        rc = out->data == NULL ? FB_E_NO_MEMORY : FB_OK;
        *changed_out = true;
    }
    buf_clear(&less);
    arena_free(work);
    return rc;
}

static fb_code held_row_erase(erasing *x, const cat_entity *e, int column, const fb_id *id)
{
    fb_value *row = arena_take(x->memory, e->columns_count * sizeof *row);
    fb_value *less = arena_take(x->memory, sizeof *less);
    int *columns = arena_take(x->memory, sizeof *columns);
    bool changed = false;
    if (row == NULL || less == NULL || columns == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_row_get(x->s, e, id, x->memory, row));
    *columns = column;
    *less = (fb_value){.kind = FB_KIND_TEXT};
    FB_TRY(text_erase(x, value_text(row, column), false, &less->u.text, &changed));
    if (!changed) {
        return FB_OK;
    }
    if (less->u.text.size > e->columns[column].max_bytes) {
        *less = (fb_value){.kind = FB_KIND_NULL};
    }
    x->out->held++;
    return erasing_change(x, &(change){.kind = CHANGE_UPDATE,
                                       .entity = e,
                                       .id = *id,
                                       .columns = columns,
                                       .values = less,
                                       .columns_count = 1,
                                       .before = row});
}

fb_code held_rows_erase(erasing *x)
{
    const cat_entity *e = catalog_entity_str(x->cat, "held_group");
    int column = e != NULL ? cat_column_str(e, "content") : -1;
    fb_id ids[HELD_PAGE], after = {{0}};
    uint32_t count = 0;
    do {
        FB_TRY(column < 0 ? FB_OK
                          : store_ids_after(x->s, e, column, &after, HELD_PAGE, ids, &count));
        for (uint32_t i = 0; i < count; i++) {
            FB_TRY(held_row_erase(x, e, column, &ids[i]));
        }
        after = count > 0 ? ids[count - 1] : after;
    } while (count == HELD_PAGE);
    return FB_OK;
}

/* ---- fs_verdict ---- */

typedef struct kept_row {
    int64_t incarnation_no, gseq;
    fb_text verdict, payload; /* data NULL: none */
    fb_id held_row, user;
} kept_row;

static fb_code kept_next(const erasing *x, kept_row *k, bool *more)
{
    store_stmt *q = store_prepare(x->s, STORE_erase_verdict_next);
    store_bind_int(q, 1, k->incarnation_no);
    store_bind_int(q, 2, k->gseq);
    FB_TRY(store_step(q, more));
    if (!*more) {
        return FB_OK;
    }
    *k = (kept_row){.incarnation_no = store_int(q, 0), .gseq = store_int(q, 1)};
    if (!store_is_null(q, 2)) {
        k->verdict = arena_text(x->memory, store_text(q, 2));
    }
    if (!store_is_null(q, 3)) {
        k->payload = arena_text(x->memory, store_blob(q, 3));
    }
    k->held_row = store_is_null(q, 4) ? k->held_row : store_id(q, 4);
    k->user = store_id(q, 5);
    store_reset(q);
    return arena_failed(x->memory) ? FB_E_NO_MEMORY : FB_OK;
}

static fb_code kept_put(const erasing *x, const kept_row *k)
{
    store_stmt *q = store_prepare(x->s, STORE_erase_verdict_put);
    store_bind_int(q, 1, k->incarnation_no);
    store_bind_int(q, 2, k->gseq);
    if (k->verdict.data != NULL) {
        store_bind_text(q, 3, k->verdict);
    }
    if (k->payload.data != NULL) {
        store_bind_blob(q, 4, k->payload.data, k->payload.size);
    }
    if (!id_is_none(&k->held_row)) {
        store_bind_id(q, 5, &k->held_row);
    }
    return store_run(q);
}

static fb_code kept_erase(erasing *x, kept_row *k)
{
    bool payload_changed = false, verdict_changed = false;
    fb_text payload = k->payload, verdict = k->verdict, words = k->verdict;
    words.size -= words.size > 0 && words.data[words.size - 1] == '\n';
    FB_TRY(payload.data != NULL ? text_erase(x, k->payload, false, &payload, &payload_changed)
                                : FB_OK);
    FB_TRY(words.size > 0 ? text_erase(x, words, true, &verdict, &verdict_changed) : FB_OK);
    if (!payload_changed && !verdict_changed) {
        return FB_OK;
    }
    if (payload_changed && id_is_none(&k->held_row)) { /* held by an earlier version */
        k->held_row = held_row_id(&k->user, k->payload);
    }
    k->payload = payload;
    k->verdict = verdict;
    x->out->kept++;
    return kept_put(x, k);
}

fb_code verdicts_erase(erasing *x)
{
    kept_row k = {.incarnation_no = 0};
    erasing one = *x;
    bool more = true;
    one.memory = arena_new(WORK_BYTES_MAX);
    fb_code rc = one.memory == NULL ? FB_E_NO_MEMORY : FB_OK;
    while (rc == FB_OK && more) {
        rc = kept_next(&one, &k, &more);
        rc = rc == FB_OK && more ? kept_erase(&one, &k) : rc;
        if (one.memory != NULL) {
            arena_reset(one.memory);
        }
    }
    arena_free(one.memory);
    return rc;
}
