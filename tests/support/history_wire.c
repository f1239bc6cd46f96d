/* history_wire.c - messages as they pass: who asked, which rows went to whom, which verdicts were
 * taken. See history.h. */
#include "support/history_inside.h"

#include <stdlib.h>
#include <string.h>

#include "wire/pack.h"
#include "wire/sync_msg.h"

enum { BODY_BYTES_MAX = 64 << 20 };

bool body_open(const fb_link_response *r, buf *out)
{
    buf_init(out, BODY_BYTES_MAX);
    if (r->zstd) {
        return pack_get(out, r->body, BODY_BYTES_MAX) == FB_OK;
    }
    buf_put_text(out, r->body);
    return out->code == FB_OK;
}

static void line_keep(history *h, recorded_inc *inc, int64_t gseq, fb_text line)
{
    if (gseq > inc->lines_count) {
        inc->lines = realloc(inc->lines, (size_t)gseq * sizeof *inc->lines);
        if (inc->lines == NULL) {
            history_fail(h, "a line", "no memory");
        }
        memset(&inc->lines[inc->lines_count], 0,
               (size_t)(gseq - inc->lines_count) * sizeof *inc->lines);
        inc->lines_count = gseq;
    }
    digest_of(line.data, line.size, &inc->lines[gseq - 1]);
}

static void request_read(history *h, int device, fb_text body, arena *scratch, fb_id *epoch)
{
    line_reader lines;
    fb_text line;
    sync_request m;
    line_reader_init(&lines, body);
    if (!line_next(&lines, &line) || sync_request_get(line, scratch, &m) != FB_OK) {
        return;
    }
    recorded_inc *inc = inc_get(h, &m.incarnation, device);
    for (uint32_t i = 0; i < m.groups_count && line_next(&lines, &line); i++) {
        line_keep(h, inc, m.first + i, line);
    }
    *epoch = m.epoch;
}

int64_t history_send(history *h, int device, const fb_link_request *q)
{
    const fb_link_response as_reply = {.zstd = q->content_encoding != NULL, .body = q->body};
    arena *scratch = arena_new(BODY_BYTES_MAX);
    fb_id epoch = {{0}};
    buf body;
    device_look(h, device);
    if (h->quiet && !h->devices[device].asked) {
        h->devices[device].asked = true;
        h->devices[device].asked_ms = h->now_ms;
    }
    if (scratch == NULL) {
        history_fail(h, "a request", "no memory");
    }
    if (strcmp(q->path, "/v1/sync") == 0 && body_open(&as_reply, &body)) {
        request_read(h, device, buf_text(&body), scratch, &epoch);
        buf_clear(&body);
    }
    arena_free(scratch);
    event_begin(h, "send");
    put_device(h, "d", device);
    put_number(h, "q", ++h->requests);
    put_id(h, "ep", &epoch);
    event_end(h);
    return h->requests;
}

void history_arrive(history *h, int64_t q)
{
    event_begin(h, "arrive");
    put_number(h, "q", q);
    event_end(h);
}

/* One array of a page: id and ver are members, the rest "c" and "r", byte for byte. */
static void page_row_write(history *h, int64_t q, int device, fb_text head, fb_text row,
                           arena *scratch)
{
    fb_text names[HISTORY_COLUMNS_MAX] = {{NULL, 0}}, values[HISTORY_COLUMNS_MAX], key,
            entity = {0}, kind = {0};
    uint32_t count = 0, width = 1;
    json_reader r;
    names[0] = text_of("\"id\"");
    json_reader_init(&r, head, scratch);
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        if (text_is(key, "e")) {
            entity = json_string(&r);
        } else if (text_is(key, "k")) {
            kind = json_string(&r);
        } else if (text_is(key, "c")) {
            json_array_begin(&r);
            for (width = 0; json_array_next(&r) && width < HISTORY_COLUMNS_MAX; width++) {
                names[width] = json_raw(&r);
            }
        } else {
            json_skip(&r);
        }
    }
    event_begin(h, "row");
    put_number(h, "q", q);
    put_device(h, "d", device);
    json_put_key(&h->w, "e");
    json_put_string(&h->w, entity);
    json_put_key(&h->w, "k");
    json_put_string(&h->w, text_is(kind, "move") ? text_of("row") : kind); /* its version tells */
    json_reader_init(&r, row, scratch);
    json_array_begin(&r);
    while (json_array_next(&r) && count < width) {
        values[count++] = json_raw(&r);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (text_is(names[i], "\"id\"") || text_is(names[i], "\"ver\"")) {
            json_put_key(&h->w, text_is(names[i], "\"id\"") ? "id" : "ver");
            json_put_raw(&h->w, values[i]);
        }
    }
    for (int list = 0; list < 2 && text_is(kind, "row"); list++) {
        json_put_key(&h->w, list == 0 ? "c" : "r");
        json_put_array(&h->w);
        for (uint32_t i = 0; i < count; i++) {
            if (!text_is(names[i], "\"id\"") && !text_is(names[i], "\"ver\"")) {
                json_put_raw(&h->w, list == 0 ? names[i] : values[i]);
            }
        }
        json_put_end(&h->w);
    }
    event_end(h);
}

static void page_write(history *h, int64_t q, int device, line_reader *lines, arena *scratch)
{
    fb_text line, head = {NULL, 0};
    while (line_next(lines, &line) && line.size > 0) {
        if (line.data[0] == '[') {
            page_row_write(h, q, device, head, line, scratch);
        } else {
            head = line;
        }
    }
}

/* Calls for the reply's lines up to the page; true when it is a sync reply. */
typedef void (*reply_visit)(history *h, int64_t q, int device, const sync_reply *m,
                            const reply_item *item, fb_text line);

static bool reply_walk(history *h, int64_t q, int device, const fb_link_response *r,
                       reply_visit visit, bool rows)
{
    arena *scratch = arena_new(BODY_BYTES_MAX);
    line_reader lines;
    fb_text line;
    sync_reply m;
    reply_item item;
    buf body = {0};
    bool sync = scratch != NULL && r->status == 200 && body_open(r, &body);
    line_reader_init(&lines, buf_text(&body));
    sync = sync && line_next(&lines, &line) && sync_reply_get(line, scratch, &m) == FB_OK;
    if (sync) {
        visit(h, q, device, &m, NULL, line);
    }
    while (sync && line_next(&lines, &line) && reply_item_get(line, scratch, &item) == FB_OK) {
        visit(h, q, device, &m, &item, line);
        if (item.line == LINE_PAGE) {
            if (rows) {
                page_write(h, q, device, &lines, scratch);
            }
            break;
        }
    }
    buf_clear(&body);
    arena_free(scratch);
    return sync;
}

static void reply_head_write(history *h, int64_t q, int device, const sync_reply *m,
                             const reply_item *item, fb_text line)
{
    (void)line;
    if (item != NULL) {
        return;
    }
    event_begin(h, "reply");
    put_number(h, "q", q);
    put_device(h, "d", device);
    if (!id_is_none(&m->epoch)) {
        put_id(h, "ep", &m->epoch);
    }
    put_number(h, "head", m->head);
    event_end(h);
}

void history_reply(history *h, int64_t q, int device, const fb_link_response *r)
{
    if (!reply_walk(h, q, device, r, reply_head_write, true)) {
        event_begin(h, "reply");
        put_number(h, "q", q);
        put_device(h, "d", device);
        event_end(h);
    }
}

static void one_told(history *h, int device, int64_t gseq, const char *code, fb_text line)
{
    event_begin(h, "told");
    put_device(h, "d", device);
    put_id(h, "inc", &h->devices[device].incarnation);
    put_number(h, "g", gseq);
    put_text(h, "code", code);
    if (line.size > 0) {
        json_put_key(&h->w, "line");
        json_put_string(&h->w, line);
    }
    event_end(h);
}

static void taken_write(history *h, int64_t q, int device, const sync_reply *m,
                        const reply_item *item, fb_text line)
{
    (void)q;
    if (item == NULL) {
        return;
    }
    if (item->line == LINE_RUN) {
        for (int64_t g = item->run_from; g <= item->run_to; g++) {
            one_told(h, device, g, "applied", (fb_text){NULL, 0});
        }
    } else if (item->line == LINE_VERDICT) {
        one_told(h, device, item->verdict.gseq, verdict_name(item->verdict.code), line);
    } else if (item->line == LINE_PAGE && item->page.complete) {
        event_begin(h, "promote");
        put_device(h, "d", device);
        put_id(h, "ep", id_is_none(&m->epoch) ? &h->epoch : &m->epoch);
        put_number(h, "head", m->head);
        event_end(h);
    }
}

void history_take(history *h, int64_t q, int device, const fb_link_response *r, fb_code code)
{
    if (code == FB_OK && r->status == 200) {
        event_begin(h, "take");
        put_device(h, "d", device);
        put_number(h, "q", q);
        event_end(h);
        reply_walk(h, q, device, r, taken_write, false);
    }
    device_look(h, device); /* it may have taken a new incarnation */
}
