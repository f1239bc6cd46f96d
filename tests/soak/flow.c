/* flow.c - see proxy.h. */
#include "soak/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool flow_init(flow *f)
{
    memset(f, 0, sizeof *f);
    f->data = malloc(FLOW_BYTES);
    return f->data != NULL;
}

void flow_clear(flow *f)
{
    free(f->data);
    f->data = NULL;
}

bool flow_has_room(const flow *f)
{
    return f->count < PIECES_MAX && f->size + PIECE_BYTES <= FLOW_BYTES && !f->ended;
}

static void append(flow *f, const char *data, size_t size)
{
    size_t at = (f->head + f->size) % FLOW_BYTES;
    size_t first = size < FLOW_BYTES - at ? size : FLOW_BYTES - at;
    memcpy(f->data + at, data, first);
    memcpy(f->data, data + first, size - first);
    f->size += size;
    f->passed += size;
}

bool flow_take(flow *f, int fd, int64_t now, uint32_t delay_ms, uint32_t rate)
{
    char block[PIECE_BYTES];
    size_t most = rate > 0 && rate / 4 < sizeof block ? (rate < 256 ? 64 : rate / 4) : sizeof block;
    ssize_t n = recv(fd, block, most, MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
        f->ended = true;
        return true;
    }
    append(f, block, (size_t)n);
    int64_t due = now + delay_ms;
    if (due < f->last_due_ms) {
        due = f->last_due_ms; /* in order */
    }
    if (rate > 0) {
        due += (int64_t)n * 1000 / rate;
    }
    f->last_due_ms = due;
    f->pieces[(f->first + f->count++) % PIECES_MAX] = (piece){due, (size_t)n};
    return true;
}

bool flow_give(flow *f, int fd, int64_t now)
{
    while (f->count > 0 && f->pieces[f->first].due_ms <= now) {
        piece *p = &f->pieces[f->first];
        size_t run = p->size < FLOW_BYTES - f->head ? p->size : FLOW_BYTES - f->head;
        ssize_t n = send(fd, f->data + f->head, run, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        f->head = (f->head + (size_t)n) % FLOW_BYTES;
        f->size -= (size_t)n;
        p->size -= (size_t)n;
        if (p->size == 0) {
            f->first = (f->first + 1) % PIECES_MAX;
            f->count--;
        }
    }
    if (f->count == 0 && f->ended && !f->told) {
        f->told = true;
        (void)shutdown(fd, SHUT_WR);
    }
    return true;
}

int64_t flow_due_ms(const flow *f)
{
    return f->count > 0 ? f->pieces[f->first].due_ms : INT64_MAX;
}
