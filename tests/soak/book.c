/* book.c - what the harness knows of every group. See soak.h.
 *
 * A disaster may take what nobody else had: a phone put back to an older copy has forgotten what it
 * saved since, unless the server has it; a server put back to a backup has forgotten what came
 * since, unless the phone has it. The book decides at the moment of the disaster which groups it
 * excuses; all others must be there in the end.
 *
 *   BOK-1  a group is synchronised when a whole synchronisation ended well that began after the
 *          group was saved; a server put back takes that away again */
#include "soak/soak.h"

#include <stdlib.h>
#include <string.h>

void book_init(book *b, const char *path)
{
    *b = (book){.log = fopen(path, "abe")};
    if (b->log == NULL) {
        give_up("cannot write %s", path);
    }
}

group *book_add(book *b, int device, int number)
{
    if (b->count == b->capacity) {
        b->capacity = b->capacity == 0 ? 256 : b->capacity * 2;
        b->groups = realloc(b->groups, b->capacity * sizeof *b->groups);
        if (b->groups == NULL) {
            give_up("out of memory");
        }
    }
    group *g = &b->groups[b->count++];
    *g = (group){.device = device, .number = number};
    return g;
}

group *book_find(book *b, int device, int number)
{
    for (size_t i = b->count; i > 0; i--) {
        if (b->groups[i - 1].device == device && b->groups[i - 1].number == number) {
            return &b->groups[i - 1];
        }
    }
    return NULL;
}

void marker_of(const group *g, char out[MARKER_BYTES])
{
    snprintf(out, MARKER_BYTES, "sk-%d-%06d-", g->device, g->number);
}

bool marker_get(const char *text, int *device, int *number)
{
    int used = 0;
    return sscanf(text, "sk-%d-%d-%n", device, number, &used) == 2 && used > 0;
}

static void take_line(soak *s, const soak_device *d, char *line)
{
    char word[16] = "", marker[MARKER_BYTES] = "";
    int from = 0, number = 0, used = 0;
    if (sscanf(line, "%15s %31s %n", word, marker, &used) != 2 ||
        !marker_get(marker, &from, &number)) {
        violation(s, "device %d: the acknowledgement '%s' is not readable", d->index, line);
        return;
    }
    group *g = book_find(&s->book, from, number);
    if (g == NULL || g->state != GROUP_UNSURE) {
        violation(s, "group %s is acknowledged twice, or was never begun", marker);
        return;
    }
    g->state = strcmp(word, "saved") == 0 ? GROUP_SAVED : GROUP_FAILED;
    g->saved_at = ++s->book.tick;
    fprintf(s->book.log, "%lld %s\n", (long long)s->book.tick, line);
    fflush(s->book.log);
    if (g->state == GROUP_FAILED) {
        refusal_count(s, line + used);
    }
}

void book_take_acks(soak *s, soak_device *d)
{
    FILE *f = fopen(d->acks, "rbe");
    char *line = NULL;
    size_t capacity = 0;
    if (f == NULL) {
        return;
    }
    (void)fseek(f, d->acks_read, SEEK_SET);
    for (ssize_t n; (n = getline(&line, &capacity, f)) > 0 && line[n - 1] == '\n';) {
        d->acks_read += n;
        line[n - 1] = '\0';
        take_line(s, d, line);
    }
    free(line);
    (void)fclose(f);
}

void book_synced(soak *s, const soak_device *d, int64_t started_tick)
{
    book *b = &s->book;
    b->tick++;
    fprintf(b->log, "%lld synced %d since %lld\n", (long long)b->tick, d->index,
            (long long)started_tick);
    for (size_t i = 0; i < b->count; i++) {
        group *g = &b->groups[i];
        if (g->device == d->index && g->state == GROUP_SAVED && g->saved_at <= started_tick &&
            g->synced_at == 0) {
            g->synced_at = b->tick;
        }
    }
}

/* A group whose call never returned may have been saved all the same: nothing is expected of it. */
void book_phone_restored(soak *s, const soak_device *d)
{
    book *b = &s->book;
    fprintf(b->log, "%lld phone %d put back to %lld\n", (long long)++b->tick, d->index,
            (long long)d->copy_tick);
    for (size_t i = 0; i < b->count; i++) {
        group *g = &b->groups[i];
        if (g->device != d->index || g->state != GROUP_SAVED || g->saved_at <= d->copy_tick) {
            continue;
        }
        if (g->synced_at == 0) {
            g->excused = true;
        } else {
            g->forgotten = true;
        }
    }
}

void book_server_restored(soak *s)
{
    book *b = &s->book;
    fprintf(b->log, "%lld server put back to %lld\n", (long long)++b->tick,
            (long long)s->backup_tick);
    for (size_t i = 0; i < b->count; i++) {
        group *g = &b->groups[i];
        if (g->synced_at > s->backup_tick) {
            g->synced_at = 0;
            g->excused = g->excused || g->forgotten;
        }
    }
}
