/* reply.c - a reply taken apart: sync line, verdicts, catalogue, page. Writes nothing and looks at
 * no row; page.c reads the blocks. A body that is cut or out of order is refused here. */
#include <string.h>

#include "replica/room.h"
#include "schema/limits.h"

typedef struct reply_reader {
    line_reader lines;
    arena *memory;
    reply *out;
    uint32_t room;
    bool ended;
} reply_reader;

static fb_code add_verdict(reply_reader *in, const reply_item *item, fb_text line)
{
    reply *out = in->out;
    if (out->verdicts_count == in->room) {
        uint32_t room = in->room > 0 ? in->room * 2 : 16;
        reply_verdict *grown = arena_take(in->memory, room * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (in->room > 0) {
            memcpy(grown, out->verdicts, in->room * sizeof *grown);
        }
        out->verdicts = grown;
        in->room = room;
    }
    out->verdicts[out->verdicts_count++] = (reply_verdict){*item, line};
    return FB_OK;
}

/* A line of a page is a block or a row; what ends it is the one object that begins with "m". */
static bool is_message(fb_text line)
{
    static const char start[] = "{\"m\":";
    return line.size >= sizeof start - 1 && memcmp(line.data, start, sizeof start - 1) == 0;
}

static fb_code take_page(reply_reader *in, const reply_item *item)
{
    const char *start = in->lines.at;
    fb_text line = {NULL, 0};
    in->out->has_page = true;
    in->out->page = item->page;
    while (line_next(&in->lines, &line)) {
        if (is_message(line)) {
            reply_item last;
            FB_TRY(reply_item_get(line, in->memory, &last));
            in->out->lines = (fb_text){start, (size_t)(line.data - start)};
            in->ended = true;
            return last.line == LINE_END ? FB_OK : FB_E_PROTOCOL;
        }
    }
    return in->lines.code != FB_OK ? in->lines.code : FB_E_TRUNCATED;
}

static fb_code take_item(reply_reader *in, fb_text line)
{
    reply_item item;
    FB_TRY(reply_item_get(line, in->memory, &item));
    switch (item.line) {
    case LINE_RUN:
    case LINE_VERDICT:
        return in->out->catalog_json.size == 0 && in->out->packs.size == 0
                   ? add_verdict(in, &item, line)
                   : FB_E_PROTOCOL;
    case LINE_CATALOG:
        if (in->out->catalog_json.size > 0 || in->out->packs.size > 0) {
            return FB_E_PROTOCOL;
        }
        in->out->catalog_json = item.catalog_json;
        return FB_OK;
    case LINE_PACK: /* one behind the other */
        in->out->packs.data = in->out->packs.size == 0 ? line.data : in->out->packs.data;
        in->out->packs.size = (size_t)(line.data + line.size + 1 - in->out->packs.data);
        return FB_OK;
    case LINE_PAGE:
        return take_page(in, &item);
    case LINE_END:
        in->ended = true;
        return FB_OK;
    }
    return FB_E_PROTOCOL;
}

static fb_code read_lines(reply_reader *in)
{
    fb_text line;
    if (!line_next(&in->lines, &line)) {
        return in->lines.code != FB_OK ? in->lines.code : FB_E_TRUNCATED;
    }
    FB_TRY(sync_reply_get(line, in->memory, &in->out->head));
    while (!in->ended && line_next(&in->lines, &line)) {
        FB_TRY(take_item(in, line));
    }
    FB_TRY(in->lines.code);
    if (!in->ended) {
        return FB_E_TRUNCATED;
    }
    if (in->out->packs.size > 0 && !in->out->has_page) {
        return FB_E_PROTOCOL; /* the page says what the packs do not */
    }
    return in->lines.at == in->lines.end ? FB_OK : FB_E_PROTOCOL;
}

static fb_code check_head(const sync_reply *h, fb_error *err)
{
    if (h->protocol != PROTOCOL_VERSION) {
        return fail(err, FB_E_VERSION, "v",
                    "the server speaks version %u of the protocol: upgrade the app", h->protocol);
    }
    return FB_OK; /* no epoch: the one the request named still stands */
}

fb_code reply_get(fb_text body, arena *memory, reply *out, fb_error *err)
{
    reply made = {.has_page = false};
    reply_reader in = {.memory = memory, .out = &made};
    if (body.size > PAGE_BYTES_MAX) {
        return fail(err, FB_E_LIMIT, "body",
                    "the reply is larger than %d bytes: report it; nothing was changed",
                    (int)PAGE_BYTES_MAX);
    }
    line_reader_init(&in.lines, body);
    fb_code rc = read_lines(&in);
    if (rc == FB_E_TRUNCATED) {
        return fail(err, rc, "body", "the reply was cut short: try again; nothing was changed");
    }
    if (rc != FB_OK) {
        return fail(err, rc, "body", "the reply cannot be read: report it; nothing was changed");
    }
    FB_TRY(check_head(&made.head, err));
    *out = made;
    return FB_OK;
}
