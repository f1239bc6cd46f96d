/* fork.c - see fork.h. */
#include "sync-server/intake/fork.h"

#include <stdlib.h>

typedef struct fork_mark {
    uint64_t mark;
    int64_t incarnation_no, gseq;
} fork_mark;

enum { MARKS_BYTES_MAX = 256 << 20 };

void fork_marks_clear(fork_marks *f)
{
    if (f->read) {
        buf_clear(&f->marks);
        f->read = false;
    }
}

static int mark_order(const void *a, const void *b)
{
    const fork_mark *x = a, *y = b;
    if (x->mark != y->mark) {
        return x->mark < y->mark ? -1 : 1;
    }
    return (x->incarnation_no > y->incarnation_no) - (x->incarnation_no < y->incarnation_no);
}

static fb_code marks_read(store *s, fork_marks *f, const door_device *d)
{
    store_stmt *q = store_prepare(s, STORE_intake_old_marks);
    bool row = true;
    f->read = true;
    buf_init(&f->marks, MARKS_BYTES_MAX);
    store_bind_id(q, 1, &d->device);
    store_bind_int(q, 2, d->incarnation_no);
    for (;;) {
        FB_TRY(store_step(q, &row));
        if (!row) {
            break;
        }
        fb_text marks = store_blob(q, 2);
        for (size_t i = 0; i + 8 <= marks.size; i += 8) {
            fork_mark m = {mark_get((const uint8_t *)marks.data + i), store_int(q, 0),
                           store_int(q, 1) + (int64_t)(i / 8)};
            buf_put(&f->marks, &m, sizeof m);
        }
    }
    if (f->marks.code == FB_OK && f->marks.size > 0) {
        qsort(f->marks.data, f->marks.size / sizeof(fork_mark), sizeof(fork_mark), mark_order);
    }
    return f->marks.code;
}

/* The newest incarnation that has this mark. */
static bool mark_find(const fork_marks *f, uint64_t mark, fork_mark *out)
{
    const fork_mark *all = (const fork_mark *)(const void *)f->marks.data;
    size_t low = 0, high = f->marks.size / sizeof *all;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (all[middle].mark <= mark) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || all[low - 1].mark != mark) {
        return false;
    }
    *out = all[low - 1];
    return true;
}

/* The old verdict in words, under the new number; its rows come in the page (echo). */
static fb_code line_make(const verdict_found *v, const fork_mark *old, int64_t gseq, arena *memory,
                         fb_text *out)
{
    verdict_msg m = {.code = VERDICT_APPLIED, .cid = v->cid + (old->gseq - v->gseq)};
    buf line;
    if (!v->plain) {
        FB_TRY(verdict_line_get(v->line, memory, &m));
    }
    m.gseq = gseq;
    m.echo = verdict_stands(m.code);
    buf_init(&line, 8 << 20);
    verdict_put(&line, &m);
    *out = arena_keep(memory, &line);
    return out->data == NULL ? FB_E_NO_MEMORY : FB_OK;
}

static fb_code blocked_move(store *s, const fork_mark *old, int64_t incarnation_no, int64_t gseq)
{
    store_stmt *q = store_prepare(s, STORE_intake_blocked_move);
    store_bind_int(q, 1, old->incarnation_no);
    store_bind_int(q, 2, old->gseq);
    store_bind_int(q, 3, incarnation_no);
    store_bind_int(q, 4, gseq);
    return store_run(q);
}

/* What still waits for a person waits once: under the new number. */
static fb_code open_replace(store *s, const fork_mark *old, int64_t gseq)
{
    store_stmt *q = store_prepare(s, STORE_intake_verdict_replace);
    store_bind_int(q, 1, old->incarnation_no);
    store_bind_int(q, 2, old->gseq);
    store_bind_int(q, 3, gseq);
    return store_run(q);
}

fb_code fork_recognise(store *s, fork_marks *f, const door_device *d, int64_t gseq, uint64_t mark,
                       arena *memory, verdict_row *out, bool *found)
{
    fork_mark old;
    verdict_found v;
    *found = false;
    if (!f->read) {
        FB_TRY(marks_read(s, f, d));
    }
    if (!mark_find(f, mark, &old)) {
        return FB_OK;
    }
    FB_TRY(verdict_find(s, old.incarnation_no, old.gseq, memory, &v));
    *out = (verdict_row){.incarnation_no = d->incarnation_no,
                         .gseq = gseq,
                         .head = v.head,
                         .mark = mark,
                         .code = v.code,
                         .payload = v.payload,
                         .held_row = v.held_row,
                         .old_base = v.old_base};
    out->cid = v.plain ? v.cid + (old.gseq - v.gseq) : v.cid;
    FB_TRY(line_make(&v, &old, gseq, memory, &out->line));
    FB_TRY(open_replace(s, &old, gseq));
    FB_TRY(blocked_move(s, &old, d->incarnation_no, gseq));
    *found = true;
    return FB_OK;
}
