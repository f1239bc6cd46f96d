/* feed_token.c - the text that says where a device's download stands; opaque to devices.
 *
 *   <set>.<pos>                     settled: everything of the set's scopes up to pos
 *   <set>.<pos>+<set>.<pos>...      the scopes changed meanwhile: layers, oldest first. A scope of
 * the last set stands at the greatest pos of the unbroken run of last layers that have it; one that
 * only the last set has is being filled from 0.
 *   ...-<pos>                       before filling: scopes that the last set lacks are being
 * emptied, done up to pos
 *   ...~<pos>                       in the course of a download: what the device held when the last
 * one was complete, at pos, it holds still, in the scopes of all layers. Absent: the pos of the
 * only layer; with several layers 0, nothing is known Set 0 is "nothing": 0.<head>+<set>.<pos> is a
 * first download in its course that began when the feed stood at <head>.
 *   0.<P>+<set>.<Q>*<pos>:<packs>   the same after packs, "scope.pos" each, joined by commas: these
 * scopes stand at the positions of their packs, of which P is the least and Q the greatest, the
 * others of the set at nothing; all are being filled up to Q, done up to pos. Then * goes, and
 * everything after Q follows. Anything else is refused. */
#include <string.h>

#include "base/decimal.h"
#include "sync-server/feed/feed_inside.h"

/* The digits before the next mark. */
static bool take_number(fb_text *rest, int64_t *out)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] >= '0' && rest->data[size] <= '9') {
        size++;
    }
    if (!i64_get((fb_text){rest->data, size}, out)) {
        return false;
    }
    rest->data += size;
    rest->size -= size;
    return true;
}

static bool take_mark(fb_text *rest, char mark)
{
    if (rest->size == 0 || rest->data[0] != mark) {
        return false;
    }
    rest->data++;
    rest->size--;
    return true;
}

static bool take_layer(fb_text *rest, feed_token *t)
{
    if (t->count == TOKEN_LAYERS_MAX) {
        return false;
    }
    uint32_t i = t->count++;
    struct token_layer *layer = &t->layers[i];
    if (!take_number(rest, &layer->set) || !take_mark(rest, '.') ||
        !take_number(rest, &layer->pos)) {
        return false;
    }
    return i == 0 || layer->set > t->layers[i - 1].set; /* numbers of sets grow */
}

/* "*<pos>:<packs>", or nothing; the list is read by feed_view.c. */
static bool take_filling(fb_text *rest, feed_token *t)
{
    if (!take_mark(rest, '*')) {
        return true;
    }
    bool first = t->count == 2 && !t->dropping && t->layers[0].set == 0;
    if (!first || !take_number(rest, &t->fill_pos) || !take_mark(rest, ':')) {
        return false;
    }
    t->filling = true;
    t->packed = *rest;
    rest->size = 0;
    return true;
}

bool feed_token_get(fb_text text, feed_token *out)
{
    feed_token t = {0};
    if (!take_layer(&text, &t)) {
        return false;
    }
    while (take_mark(&text, '+')) {
        if (!take_layer(&text, &t)) {
            return false;
        }
    }
    if (take_mark(&text, '-')) {
        t.dropping = true;
        if (t.count < 2 || !take_number(&text, &t.drop_pos)) {
            return false;
        }
    }
    t.whole_pos = t.count == 1 ? t.layers[0].pos : 0;
    if (take_mark(&text, '~') &&
        (!take_number(&text, &t.whole_pos) || t.whole_pos > t.layers[0].pos)) {
        return false;
    }
    if (!take_filling(&text, &t)) {
        return false;
    }
    if (text.size != 0 || t.layers[t.count - 1].set == 0) {
        return false;
    }
    *out = t;
    return true;
}

void feed_token_put(buf *out, const feed_token *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        buf_printf(out, i == 0 ? "%lld.%lld" : "+%lld.%lld", (long long)t->layers[i].set,
                   (long long)t->layers[i].pos);
    }
    if (t->dropping) {
        buf_printf(out, "-%lld", (long long)t->drop_pos);
    }
    if (t->whole_pos != (t->count == 1 ? t->layers[0].pos : 0)) {
        buf_printf(out, "~%lld", (long long)t->whole_pos);
    }
    if (t->filling) {
        buf_printf(out, "*%lld:", (long long)t->fill_pos);
        buf_put_text(out, t->packed);
    }
}
