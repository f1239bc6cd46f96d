/* second_form.c - the payloads of the second copy's records, put and get together. See second.h.
 *
 *   group   chain 32 | at i64 | replaces i64 | state u8 | kind u8 | numbers u16 | verdict u32 |
 *           kind | numbers | verdict | body
 *   named   name u8 | kind u8 | bytes u32 | name | bytes       (a number: 8 bytes)
 *   draft   id 16 | updated_ms i64 | kind u8 | kind | body */
#include <string.h>

#include "replica/second.h"

enum { GROUP_HEAD_BYTES = 56, NAMED_HEAD_BYTES = 6, DRAFT_HEAD_BYTES = 25 };

static void put_number(uint8_t *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(v >> (8 * i));
    }
}

static uint64_t get_number(const char *at, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes; i-- > 0;) {
        v = v << 8 | (uint8_t)at[i];
    }
    return v;
}

void stored_group_put(buf *out, const stored_group *g)
{
    uint8_t head[GROUP_HEAD_BYTES] = {0};
    if (g->kind.size > UINT8_MAX || g->numbers.size > UINT16_MAX || g->verdict.size > UINT32_MAX) {
        out->code = FB_E_LIMIT;
        return;
    }
    memcpy(head, g->chain.b, sizeof g->chain.b);
    put_number(head + 32, (uint64_t)g->at_ms, 8);
    put_number(head + 40, (uint64_t)g->replaces, 8);
    head[48] = g->state;
    head[49] = (uint8_t)g->kind.size;
    put_number(head + 50, g->numbers.size, 2);
    put_number(head + 52, g->verdict.size, 4);
    buf_put(out, head, sizeof head);
    buf_put_text(out, g->kind);
    buf_put_text(out, g->numbers);
    buf_put_text(out, g->verdict);
    buf_put_text(out, g->body);
}

/* Cut `size` bytes off the front. */
static bool cut(fb_text *rest, size_t size, fb_text *out)
{
    if (size > rest->size) {
        return false;
    }
    *out = (fb_text){rest->data, size};
    rest->data += size;
    rest->size -= size;
    return true;
}

fb_code stored_group_get(fb_text payload, stored_group *out)
{
    stored_group g = {.at_ms = 0};
    fb_text head;
    fb_text rest = payload;
    if (!cut(&rest, GROUP_HEAD_BYTES, &head)) {
        return FB_E_CORRUPT;
    }
    memcpy(g.chain.b, head.data, sizeof g.chain.b);
    g.at_ms = (int64_t)get_number(head.data + 32, 8);
    g.replaces = (int64_t)get_number(head.data + 40, 8);
    g.state = (uint8_t)head.data[48];
    if (!cut(&rest, (uint8_t)head.data[49], &g.kind) ||
        !cut(&rest, (size_t)get_number(head.data + 50, 2), &g.numbers) ||
        !cut(&rest, (size_t)get_number(head.data + 52, 4), &g.verdict)) {
        return FB_E_CORRUPT;
    }
    g.body = rest;
    *out = g;
    return FB_OK;
}

void named_put(buf *out, const named_value *n)
{
    uint8_t head[NAMED_HEAD_BYTES];
    uint8_t number[8];
    fb_text bytes = n->bytes;
    if (n->kind == NAMED_INT) {
        put_number(number, (uint64_t)n->number, 8);
        bytes = (fb_text){(const char *)number, sizeof number};
    }
    if (n->name.size > UINT8_MAX || bytes.size > UINT32_MAX) {
        out->code = FB_E_LIMIT;
        return;
    }
    head[0] = (uint8_t)n->name.size;
    head[1] = (uint8_t)n->kind;
    put_number(head + 2, bytes.size, 4);
    buf_put(out, head, sizeof head);
    buf_put_text(out, n->name);
    buf_put_text(out, bytes);
}

fb_code named_get(fb_text *rest, named_value *out, bool *found)
{
    named_value n = {.number = 0};
    fb_text head;
    *found = rest->size > 0;
    if (!*found) {
        return FB_OK;
    }
    if (!cut(rest, NAMED_HEAD_BYTES, &head) || !cut(rest, (uint8_t)head.data[0], &n.name) ||
        !cut(rest, (size_t)get_number(head.data + 2, 4), &n.bytes)) {
        return FB_E_CORRUPT;
    }
    n.kind = (named_value_kind)head.data[1];
    if (n.kind == NAMED_INT) {
        if (n.bytes.size != 8) {
            return FB_E_CORRUPT;
        }
        n.number = (int64_t)get_number(n.bytes.data, 8);
    }
    *out = n;
    return FB_OK;
}

void second_draft_put(buf *out, const draft *d)
{
    uint8_t head[DRAFT_HEAD_BYTES];
    if (d->kind.size > UINT8_MAX) {
        out->code = FB_E_LIMIT;
        return;
    }
    memcpy(head, d->id.b, sizeof d->id.b);
    put_number(head + 16, (uint64_t)d->updated_ms, 8);
    head[24] = (uint8_t)d->kind.size;
    buf_put(out, head, sizeof head);
    buf_put_text(out, d->kind);
    buf_put_text(out, d->body);
}

fb_code second_draft_get(fb_text payload, draft *out)
{
    draft d = {.updated_ms = 0};
    fb_text head;
    if (!cut(&payload, DRAFT_HEAD_BYTES, &head) ||
        !cut(&payload, (uint8_t)head.data[24], &d.kind)) {
        return FB_E_CORRUPT;
    }
    memcpy(d.id.b, head.data, sizeof d.id.b);
    d.updated_ms = (int64_t)get_number(head.data + 16, 8);
    d.body = payload;
    *out = d;
    return FB_OK;
}
