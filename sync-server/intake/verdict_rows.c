/* verdict_rows.c - see verdict_rows.h. */
#include "sync-server/intake/verdict_rows.h"

uint64_t mark_get(const uint8_t at[8])
{
    uint64_t mark = 0;
    for (int i = 7; i >= 0; i--) {
        mark = mark << 8 | at[i];
    }
    return mark;
}

void mark_put(uint64_t mark, uint8_t at[8])
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(mark >> (8 * i));
    }
}

void run_begin(verdict_run *r, int64_t incarnation_no)
{
    r->incarnation_no = incarnation_no;
    r->from = r->to = r->cid = 0;
}

bool run_add(verdict_run *r, int64_t gseq, int64_t cid, uint64_t mark)
{
    if (r->from == 0) {
        r->from = gseq;
        r->cid = cid;
    } else if (gseq != r->to + 1 || cid != r->cid + (gseq - r->from) ||
               gseq - r->from >= INTAKE_GROUPS_MAX) {
        return false;
    }
    r->to = gseq;
    mark_put(mark, &r->marks[8 * (gseq - r->from)]);
    return true;
}

typedef struct row_in {
    int64_t gseq, upto, cid, head;
    verdict_code code;
    bool plain, old_base;
    const uint8_t *marks;
    fb_text line, payload;
    fb_id held_row;
} row_in;

static fb_code row_add(store *s, int64_t incarnation_no, const row_in *v)
{
    store_stmt *q = store_prepare(s, STORE_intake_verdict_add);
    store_bind_int(q, 1, incarnation_no);
    store_bind_int(q, 2, v->gseq);
    store_bind_int(q, 3, v->upto);
    store_bind_int(q, 4, v->cid);
    store_bind_int(q, 5, v->head);
    store_bind_int(q, 6, v->code);
    store_bind_int(q, 7, v->plain);
    store_bind_blob(q, 8, v->marks, 8 * (size_t)(v->upto - v->gseq + 1));
    if (v->line.data != NULL) {
        store_bind_text(q, 9, v->line);
    }
    if (v->payload.data != NULL) {
        store_bind_blob(q, 10, v->payload.data, v->payload.size);
    }
    if (!id_is_none(&v->held_row)) {
        store_bind_id(q, 11, &v->held_row);
    }
    store_bind_int(q, 12, v->old_base);
    return store_run(q);
}

fb_code run_flush(store *s, verdict_run *r)
{
    if (r->from == 0) {
        return FB_OK;
    }
    int64_t last_cid = r->cid + (r->to - r->from);
    const row_in row = {.gseq = r->from,
                        .upto = r->to,
                        .cid = r->cid,
                        .head = last_cid,
                        .code = VERDICT_APPLIED,
                        .plain = true,
                        .marks = r->marks};
    r->from = 0;
    return row_add(s, r->incarnation_no, &row);
}

fb_code verdict_row_add(store *s, const verdict_row *v)
{
    uint8_t marks[8];
    mark_put(v->mark, marks);
    const row_in row = {.gseq = v->gseq,
                        .upto = v->gseq,
                        .cid = v->cid,
                        .head = v->head,
                        .code = v->code,
                        .marks = marks,
                        .line = v->line,
                        .payload = v->payload,
                        .held_row = v->held_row,
                        .old_base = v->old_base};
    return row_add(s, v->incarnation_no, &row);
}

static fb_code keep(arena *memory, fb_text from, fb_text *out)
{
    *out = (fb_text){NULL, 0};
    if (from.data != NULL) {
        *out = arena_text(memory, from);
    }
    return from.data == NULL || out->data != NULL ? FB_OK : FB_E_NO_MEMORY;
}

fb_code verdict_aliases_add(store *s, const verdict_msg *m)
{
    for (uint32_t i = 0; i < m->aliases_count; i++) {
        fb_id from, to;
        FB_ASSERT(id_get(m->aliases[i].from, &from) && id_get(m->aliases[i].to, &to));
        store_stmt *q = store_prepare(s, STORE_decide_alias_add);
        store_bind_id(q, 1, &from);
        store_bind_text(q, 2, m->aliases[i].entity);
        store_bind_id(q, 3, &to);
        FB_TRY(store_run(q));
    }
    return FB_OK;
}

bool verdict_stands(verdict_code code)
{
    return code != VERDICT_REJECTED && code != VERDICT_HELD && code != VERDICT_BLOCKED;
}

fb_code verdict_line_get(fb_text line, arena *memory, verdict_msg *out)
{
    reply_item item;
    line_reader l;
    fb_text text;
    line_reader_init(&l, line);
    if (!line_next(&l, &text)) {
        return FB_E_CORRUPT;
    }
    FB_TRY(reply_item_get(text, memory, &item));
    *out = item.verdict;
    return FB_OK;
}

fb_code verdict_find(store *s, int64_t incarnation_no, int64_t gseq, arena *memory,
                     verdict_found *out)
{
    store_stmt *q = store_prepare(s, STORE_intake_verdict_at);
    bool row = false;
    store_bind_int(q, 1, incarnation_no);
    store_bind_int(q, 2, gseq);
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    *out = (verdict_found){.gseq = store_int(q, 0),
                           .upto = store_int(q, 1),
                           .cid = store_int(q, 2),
                           .head = store_int(q, 3),
                           .code = (verdict_code)store_int(q, 4),
                           .plain = store_int(q, 5) != 0,
                           .old_base = store_int(q, 11) != 0,
                           .state = store_int(q, 9)};
    out->held_row = store_is_null(q, 10) ? out->held_row : store_id(q, 10);
    fb_code rc = keep(memory, store_blob(q, 6), &out->marks);
    if (rc == FB_OK) {
        rc = keep(memory, store_text(q, 7), &out->line);
    }
    if (rc == FB_OK) {
        rc = keep(memory, store_blob(q, 8), &out->payload);
    }
    store_reset(q);
    return rc == FB_OK && out->upto < gseq ? FB_E_NOT_FOUND : rc;
}

uint64_t verdict_mark(const verdict_found *v, int64_t gseq)
{
    FB_ASSERT(gseq >= v->gseq && gseq <= v->upto &&
              v->marks.size == 8 * (size_t)(v->upto - v->gseq + 1));
    return mark_get((const uint8_t *)v->marks.data + 8 * (gseq - v->gseq));
}

/* First layer's position of a token: up to there the device has everything, verdicts included. */
static int64_t token_position(fb_text token)
{
    int64_t pos = 0;
    size_t i = 0;
    while (i < token.size && token.data[i] != '.') {
        i++;
    }
    for (i++;
         i < token.size && token.data[i] >= '0' && token.data[i] <= '9' && pos < INT64_MAX / 16;
         i++) {
        pos = pos * 10 + (token.data[i] - '0');
    }
    return pos;
}

static fb_code later_put(store *view, const door_device *d, int64_t acked, fb_text token, buf *out)
{
    store_stmt *q = store_prepare(view, STORE_intake_verdicts_later);
    int64_t seen = token_position(token) >> 20;
    bool row = false;
    store_bind_int(q, 1, d->incarnation_no);
    store_bind_int(q, 2, acked);
    for (;;) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            return FB_OK;
        }
        if (store_int(q, 2) > seen) {
            buf_put_text(out, store_text(q, 1));
        }
    }
}

/* Runs that follow each other without a gap in their commits are one line. */
typedef struct open_run {
    int64_t from, to, cid;
} open_run;

static void open_run_put(buf *out, open_run *r)
{
    if (r->from > 0) {
        verdict_run_put(out, r->from, r->to, r->cid);
        r->from = 0;
    }
}

static void run_take(buf *out, open_run *r, int64_t from, int64_t to, int64_t cid)
{
    if (r->from > 0 && from == r->to + 1 && cid == r->cid + (from - r->from)) {
        r->to = to;
        return;
    }
    open_run_put(out, r);
    *r = (open_run){from, to, cid};
}

/* One stored row; runs begin at the first group the device does not know. */
static void row_take(store_stmt *q, int64_t acked, int64_t applied, buf *out, open_run *run)
{
    int64_t gseq = store_int(q, 0), upto = store_int(q, 1), cid = store_int(q, 2);
    if (upto <= acked) {
        return;
    }
    if (store_int(q, 3) == 0) {
        open_run_put(out, run);
        buf_put_text(out, store_text(q, 4));
        return;
    }
    int64_t from = gseq > acked ? gseq : acked + 1;
    run_take(out, run, from, upto < applied ? upto : applied, cid + (from - gseq));
}

fb_code intake_verdicts_put(store *view, const door_device *d, int64_t acked, fb_text token,
                            buf *out)
{
    open_run run = {0};
    bool row = true;
    FB_TRY(later_put(view, d, acked, token, out));
    if (acked >= d->applied) {
        return out->code;
    }
    store_stmt *q = store_prepare(view, STORE_intake_verdicts);
    store_bind_int(q, 1, d->incarnation_no);
    store_bind_int(q, 2, acked + 1);
    store_bind_int(q, 3, d->applied);
    for (;;) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            break;
        }
        row_take(q, acked, d->applied, out, &run);
    }
    open_run_put(out, &run);
    return out->code;
}
