/* oldapp.c - a phone whose app was never upgraded: it speaks the protocol as the first version did
 * and does not understand a newer catalogue. See sim.h, N12 and D7.
 *
 * The app is today's; what tells them apart is taken out of its messages on the way: members that
 * came later out of its requests, the catalogue out of the answers. It goes on pushing groups of
 * the catalogue it has, and rows come with columns and entities that it never heard of. It must
 * keep what it cannot read: when the app is upgraded everything is there, and what others wrote
 * into those columns has survived its edits. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pack.h"

enum { HOUR_MS = 3600 * 1000, BODY_BYTES_MAX = 16 << 20 };

static bool is_old(const sim_device *d)
{
    return !d->world->healing && d->world->now_ms < d->old_until_ms;
}

bool old_app(sim *s, sim_device *d)
{
    /* Most are upgraded at the very end: nothing sends again what they could not read. */
    if (is_old(d)) {
        return false;
    }
    d->old_until_ms =
        sim_chance(s, 75) ? INT64_MAX : s->now_ms + (6 + (int64_t)sim_random(s, 60)) * HOUR_MS;
    sim_trace(s, "%s has an old app", d->machine);
    return false; /* counted when a catalogue is kept from it */
}

/* The body as lines; false: it is none, for example cut. */
static bool body_read(const sim_flight *f, buf *out)
{
    fb_text body = {f->body, f->size};
    buf_init(out, BODY_BYTES_MAX);
    if (f->zstd) {
        return pack_get(out, body, BODY_BYTES_MAX) == FB_OK && out->size > 0;
    }
    buf_put_text(out, body);
    return out->size > 0;
}

/* Takes over the buffer's bytes. */
static void body_write(sim_flight *f, buf *in)
{
    free(f->body);
    f->body = malloc(in->size + 1);
    if (f->body == NULL || in->code != FB_OK) {
        abort();
    }
    memcpy(f->body, in->data, in->size);
    f->size = in->size;
    f->zstd = false;
    buf_clear(in);
}

static void member_leave_out(buf *line, const char *member)
{
    char *at = memmem(line->data, line->size, member, strlen(member));
    if (at != NULL) {
        size_t behind = (size_t)((char *)line->data + line->size - at) - strlen(member);
        memmove(at, at + strlen(member), behind);
        line->size -= strlen(member);
    }
}

void old_app_request(sim_device *d, sim_flight *f)
{
    buf whole, line;
    if (!is_old(d) || strcmp(f->path, "/v1/sync") != 0) {
        return;
    }
    bool read = body_read(f, &whole);
    const char *end = read ? memchr(whole.data, '\n', whole.size) : NULL;
    if (end == NULL) {
        buf_clear(&whole);
        return;
    }
    size_t size = (size_t)(end - (const char *)whole.data);
    buf_init(&line, BODY_BYTES_MAX);
    buf_put(&line, whole.data, size);
    d->meets_anew = memmem(line.data, line.size, ",\"cat\":0,", 9) != NULL;
    member_leave_out(&line, ",\"packs\":1");
    member_leave_out(&line, ",\"moves\":1");
    buf_put(&line, end, whole.size - size);
    buf_clear(&whole);
    body_write(f, &line);
}

/* What meets its server anew takes whatever catalogue there is. */
void old_app_reply(sim_device *d, sim_flight *f)
{
    static const char LINE[] = "\n{\"m\":\"catalog\"";
    buf whole;
    if (!is_old(d) || d->meets_anew || f->photo || f->asks || f->status != 200) {
        return;
    }
    bool read = body_read(f, &whole);
    char *at = read ? memmem(whole.data, whole.size, LINE, sizeof LINE - 1) : NULL;
    const char *end = at != NULL
                          ? memchr(at + 1, '\n', whole.size - (size_t)(at + 1 - (char *)whole.data))
                          : NULL;
    if (end == NULL) {
        buf_clear(&whole);
        return;
    }
    size_t rest = (size_t)((char *)whole.data + whole.size - end);
    memmove(at, end, rest);
    whole.size = (size_t)(at - (char *)whole.data) + rest;
    d->world->fired[KIND_OLD_APP]++;
    body_write(f, &whole);
}
