/* tape.c - see tape.h. */
#include "fault/crash/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const FATE_NAMES[FATES + 1] = {"lost",      "torn-512", "torn-4096",
                                           "reordered", "garbage",  "kept"};

static void *must(void *p)
{
    if (p == NULL) {
        abort(); /* the test machine itself is out of memory */
    }
    return p;
}

/* Room for one more element behind `count`. */
static void *grown(void *array, size_t count, size_t *room, size_t element)
{
    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 64 : *room * 2;
    return must(realloc(array, *room * element));
}

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = (a ^ (b * 0x9E3779B97F4A7C15ULL)) + 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static uint64_t draw(uint64_t *state)
{
    return *state = mix(*state, 0x5eed);
}

/* --- tape ------------------------------------------------------------------------------------ */

static int machine_of(tape *t, const char *file)
{
    size_t n = strcspn(file, "/");
    for (int i = 0; i < t->machines_count; i++) {
        if (strlen(t->machines[i]) == n && memcmp(t->machines[i], file, n) == 0) {
            return i;
        }
    }
    if (t->machines_count == TAPE_MACHINES_MAX || n >= TAPE_NAME_BYTES) {
        abort();
    }
    memcpy(t->machines[t->machines_count], file, n);
    return t->machines_count++;
}

int tape_machine(const tape *t, const char *name)
{
    for (int i = 0; i < t->machines_count; i++) {
        if (strcmp(t->machines[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static uint64_t name_sum(const char *name)
{
    uint64_t sum = 14695981039346656037ULL;
    for (; *name != '\0'; name++) {
        sum = (sum ^ (unsigned char)*name) * 1099511628211ULL;
    }
    return sum;
}

static int file_find(const tape *t, const char *name)
{
    uint64_t sum = name_sum(name);
    for (int i = 0; i < t->files_count; i++) {
        if (t->names[i] == sum && strcmp(t->files[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static int file_of(tape *t, const char *name)
{
    int known = file_find(t, name);
    if (known >= 0) {
        return known;
    }
    if (t->files_count == TAPE_FILES_MAX || strlen(name) >= TAPE_NAME_BYTES) {
        abort();
    }
    tape_file *f = &t->files[t->files_count];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->machine = machine_of(t, name);
    t->names[t->files_count] = name_sum(name);
    return t->files_count++;
}

static void base_take(void *ctx, const char *name, const void *data, size_t size)
{
    tape_file *f = &((tape *)ctx)->files[file_of(ctx, name)];
    f->base = must(malloc(size + 1));
    if (size > 0) {
        memcpy(f->base, data, size);
    }
    f->base_size = size;
    f->base_exists = true;
}

static void plain_take(void *ctx, const char *name, const void *data, size_t size)
{
    base_take(ctx, name, data, size);
    ((tape *)ctx)->files[file_of(ctx, name)].plain = true;
}

static void event_take(void *ctx, const crash_vfs_event *e)
{
    tape *t = ctx;
    size_t room = t->events_room;
    t->events = grown(t->events, t->events_count, &room, sizeof *t->events);
    t->events_room = room;
    tape_event *to = &t->events[t->events_count++];
    *to = (tape_event){
        .op = e->op, .file = file_of(t, e->file), .offset = e->offset, .size = (uint32_t)e->size};
    if (e->op == CRASH_VFS_RENAME) {
        to->to = file_of(t, e->to);
        t->files[to->to].plain = true;
    }
    if (e->size > 0) {
        to->data = must(malloc(e->size));
        memcpy(to->data, e->data, e->size);
    }
}

static void plain_event_take(void *ctx, const crash_vfs_event *e)
{
    event_take(ctx, e);
    tape *t = ctx;
    t->files[t->events[t->events_count - 1].file].plain = true;
}

void tape_start(tape *t, crash_vfs *vfs, mem_files *plain)
{
    memset(t, 0, sizeof *t);
    t->vfs = vfs;
    t->plain = plain;
    crash_vfs_each(vfs, base_take, t);
    mem_files_each(plain, plain_take, t);
    crash_vfs_listen(vfs, event_take, t);
    mem_files_listen(plain, plain_event_take, t);
}

void tape_stop(tape *t)
{
    crash_vfs_listen(t->vfs, NULL, NULL);
    mem_files_listen(t->plain, NULL, NULL);
}

void tape_free(tape *t)
{
    for (uint64_t i = 0; i < t->events_count; i++) {
        free(t->events[i].data);
    }
    for (int i = 0; i < t->files_count; i++) {
        free(t->files[i].base);
    }
    free(t->events);
    free(t->promises);
    memset(t, 0, sizeof *t);
}

void tape_promise_add(tape *t, const tape_promise *p)
{
    size_t room = t->promises_room;
    t->promises = grown(t->promises, t->promises_count, &room, sizeof *t->promises);
    t->promises_room = room;
    t->promises[t->promises_count] = *p;
    t->promises[t->promises_count++].events = t->events_count;
}

const tape_promise *tape_promise_at(const tape *t, uint64_t step)
{
    size_t low = 0, high = t->promises_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (t->promises[middle].events <= step) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &t->promises[low - 1];
}

/* --- disk: changes that can be taken back ---------------------------------------------------- */

/* Bytes from `offset`, or from the end of a shorter file, will not be what they were. */
static void pages_touch(disk *d, int file, uint64_t offset, size_t size)
{
    disk_file *f = &d->files[file];
    size_t from = (offset < f->size ? (size_t)offset : f->size) / DISK_PAGE_BYTES;
    size_t to = ((size_t)offset + size + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES;
    if (to > f->pages_room) {
        size_t room = to * 2;
        f->pages = must(realloc(f->pages, room * sizeof *f->pages));
        memset(f->pages + f->pages_room, 0, (room - f->pages_room) * sizeof *f->pages);
        f->pages_room = room;
    }
    for (size_t i = from; i < to; i++) {
        if (d->undoing) {
            f->pages[i].changed = d->images;
        } else {
            f->pages[i].sum = 0;
        }
    }
}

static void undo_note(disk *d, int file, uint64_t offset, size_t size)
{
    pages_touch(d, file, offset, size);
    if (!d->undoing) {
        return;
    }
    const disk_file *f = &d->files[file];
    d->undo = grown(d->undo, d->undo_count, &d->undo_room, sizeof *d->undo);
    size_t kept = offset >= f->size                 ? 0
                  : f->size - (size_t)offset < size ? f->size - (size_t)offset
                                                    : size;
    d->undo[d->undo_count++] =
        (disk_undo){file, f->exists, offset, f->size, d->undo_bytes_count, kept};
    if (kept == 0) {
        return;
    }
    while (d->undo_bytes_room < d->undo_bytes_count + kept) {
        d->undo_bytes_room = d->undo_bytes_room * 2 + 65536;
        d->undo_bytes = must(realloc(d->undo_bytes, d->undo_bytes_room));
    }
    memcpy(d->undo_bytes + d->undo_bytes_count, f->data + offset, kept);
    d->undo_bytes_count += kept;
}

static void file_grow(disk_file *f, size_t size)
{
    if (size > f->room) {
        f->room = size * 2 + 4096;
        f->data = must(realloc(f->data, f->room));
    }
    if (size > f->size) {
        memset(f->data + f->size, 0, size - f->size);
        f->size = size;
    }
}

void disk_write(disk *d, int file, uint64_t offset, const void *data, size_t size)
{
    disk_file *f = &d->files[file];
    undo_note(d, file, offset, size);
    file_grow(f, (size_t)offset + size);
    if (size > 0) { /* a file may begin empty, without bytes of its own */
        memcpy(f->data + offset, data, size);
    }
    f->exists = true;
}

void disk_truncate(disk *d, int file, uint64_t size)
{
    disk_file *f = &d->files[file];
    undo_note(d, file, size, f->size);
    if (size < f->size) {
        f->size = (size_t)size;
    } else {
        file_grow(f, (size_t)size);
    }
    f->exists = true;
}

void disk_delete(disk *d, int file)
{
    undo_note(d, file, 0, d->files[file].size);
    d->files[file].size = 0;
    d->files[file].exists = false;
}

/* TAP-4: what is there of it now gets the other name; nothing: an empty file. */
static void disk_rename(disk *d, int from, int to)
{
    disk_delete(d, to);
    disk_write(d, to, 0, d->files[from].data, d->files[from].size);
    disk_delete(d, from);
}

void disk_revert(disk *d)
{
    while (d->undo_count > 0) {
        const disk_undo *u = &d->undo[--d->undo_count];
        disk_file *f = &d->files[u->file];
        file_grow(f, u->file_size);
        f->size = u->file_size;
        f->exists = u->exists;
        if (u->bytes_size > 0) {
            memcpy(f->data + u->offset, d->undo_bytes + u->bytes_at, u->bytes_size);
        }
    }
    d->undo_bytes_count = 0;
    d->undoing = false;
}

int disk_find(const disk *d, const char *name)
{
    return file_find(d->tape, name);
}

/* --- disk: walking -----------------------------------------------------------------------------
 */

void disk_open(disk *d, const tape *t)
{
    *d = (disk){.tape = t, .version = 1};
    for (int i = 0; i < t->files_count; i++) {
        if (t->files[i].base_exists) {
            disk_write(d, i, 0, t->files[i].base, t->files[i].base_size);
        }
    }
}

void disk_close(disk *d)
{
    for (int i = 0; i < TAPE_FILES_MAX; i++) {
        free(d->files[i].data);
        free(d->files[i].pages);
    }
    for (int i = 0; i < TAPE_MACHINES_MAX; i++) {
        free(d->pending[i]);
    }
    free(d->undo);
    free(d->undo_bytes);
    *d = (disk){0};
}

static void event_apply(disk *d, const tape_event *e)
{
    if (e->op == CRASH_VFS_WRITE) {
        disk_write(d, e->file, e->offset, e->data, e->size);
    } else if (e->op == CRASH_VFS_TRUNCATE) {
        disk_truncate(d, e->file, e->offset);
    } else if (e->op == CRASH_VFS_DELETE) {
        disk_delete(d, e->file);
    } else if (e->op == CRASH_VFS_RENAME) {
        disk_rename(d, e->file, e->to);
    }
}

static bool is_pending(const disk *d, const uint64_t *list, size_t count, int file)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found |= d->tape->events[list[i]].file == file;
    }
    return found;
}

/* A sync makes its file durable, and every deletion of the machine before it. */
static void settle(disk *d, int machine, int file)
{
    uint64_t deleted[TAPE_FILES_MAX] = {0}; /* number of the last deletion, plus one */
    uint64_t *list = d->pending[machine];
    size_t count = d->pending_count[machine], kept = 0;
    for (size_t i = 0; i < count; i++) {
        const tape_event *e = &d->tape->events[list[i]];
        if (e->op == CRASH_VFS_DELETE) {
            deleted[e->file] = list[i] + 1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const tape_event *e = &d->tape->events[list[i]];
        bool named = e->op == CRASH_VFS_RENAME && e->to == file && /* its folder was synced */
                     !is_pending(d, list, kept, e->file);
        if (e->file == file || named || list[i] < deleted[e->file]) {
            event_apply(d, e);
            d->version++;
        } else {
            list[kept++] = list[i];
        }
    }
    d->pending_count[machine] = kept;
}

void disk_walk(disk *d, uint64_t step)
{
    for (; d->step < step && d->step < d->tape->events_count; d->step++) {
        const tape_event *e = &d->tape->events[d->step];
        int m = d->tape->files[e->file].machine;
        if (e->op == CRASH_VFS_SYNC) {
            settle(d, m, e->file);
            continue;
        }
        d->pending[m] =
            grown(d->pending[m], d->pending_count[m], &d->pending_room[m], sizeof *d->pending[m]);
        d->pending[m][d->pending_count[m]++] = d->step;
    }
}

bool disk_step_is_of(const disk *d, int machine)
{
    if (d->step == 0) {
        return true;
    }
    return d->tape->files[d->tape->events[d->step - 1].file].machine == machine;
}

/* --- images ------------------------------------------------------------------------------------
 */

typedef struct imaging {
    disk *d;
    uint64_t state, key;
    bool dead[TAPE_FILES_MAX]; /* a deletion was lost: TAP-2 */
} imaging;

static void survive_whole(imaging *g, uint64_t number)
{
    g->key = mix(g->key, number * 4 + 1);
    event_apply(g->d, &g->d->tape->events[number]);
}

static void lose(imaging *g, uint64_t number)
{
    const tape_event *e = &g->d->tape->events[number];
    bool renamed = e->op == CRASH_VFS_RENAME;
    g->dead[e->file] |= e->op == CRASH_VFS_DELETE || renamed;
    g->dead[e->to] |= renamed;
}

/* Bytes of the write up to a boundary of the disk, or from one on. */
static void survive_torn(imaging *g, uint64_t number, uint64_t unit)
{
    const tape_event *e = &g->d->tape->events[number];
    uint64_t first = e->offset / unit + 1, last = (e->offset + e->size + unit - 1) / unit;
    if (e->op != CRASH_VFS_WRITE || last <= first) {
        lose(g, number); /* nothing to tear: a write within one unit is whole or lost */
        return;
    }
    uint64_t at = (first + draw(&g->state) % (last - first)) * unit - e->offset;
    bool head = draw(&g->state) % 4 != 0;
    g->key = mix(g->key, mix(number * 4 + 2, at * 2 + head));
    if (head) {
        disk_write(g->d, e->file, e->offset, e->data, (size_t)at);
    } else {
        disk_write(g->d, e->file, e->offset + at, e->data + at, e->size - (size_t)at);
    }
}

static void survive_garbage(imaging *g, uint64_t number)
{
    const tape_event *e = &g->d->tape->events[number];
    if (e->op != CRASH_VFS_WRITE || e->size == 0) {
        lose(g, number);
        return;
    }
    uint64_t sectors = (e->size + 511) / 512, from = draw(&g->state) % sectors * 512;
    uint64_t noise = draw(&g->state);
    g->key = mix(g->key, mix(number * 4 + 3, noise));
    disk_write(g->d, e->file, e->offset, e->data, e->size);
    unsigned char *bytes = g->d->files[e->file].data + e->offset;
    for (uint64_t i = from; i < e->size; i += 8) {
        uint64_t word = draw(&noise);
        memcpy(bytes + i, &word, e->size - i < 8 ? e->size - i : 8);
    }
}

static void survive(imaging *g, uint64_t number, fate_mode mode, int place, uint64_t odds)
{
    const tape_event *e = &g->d->tape->events[number];
    if (g->dead[e->file] || mode == FATE_LOST) {
        lose(g, number);
    } else if (mode == FATE_KEPT) {
        survive_whole(g, number);
    } else if (mode == FATE_REORDERED) {
        if (draw(&g->state) % 4 < odds) {
            survive_whole(g, number);
        } else {
            lose(g, number);
        }
    } else if (place < 0) {
        survive_whole(g, number);
    } else if (mode == FATE_GARBAGE) {
        if (place == 0 || draw(&g->state) % 4 == 0) {
            survive_garbage(g, number);
        } else {
            lose(g, number);
        }
    } else if (place == 0) {
        survive_torn(g, number, mode == FATE_TORN_512 ? 512 : 4096);
    } else {
        lose(g, number);
    }
}

uint64_t disk_image(disk *d, int machine, fate how)
{
    size_t count = d->pending_count[machine];
    imaging g = {.d = d, .state = how.seed, .key = mix(d->version, (uint64_t)machine)};
    d->undoing = true;
    d->images++;
    uint64_t first = draw(&g.state), odds = 1 + draw(&g.state) % 3;
    /* Half of the time it is the newest write: what was being written when the power went. */
    size_t hit = count == 0 ? 0 : first % 2 == 0 ? count - 1 : (size_t)(first / 2 % count);
    for (size_t i = 0; i < count; i++) {
        survive(&g, d->pending[machine][i], how.mode, i < hit ? -1 : i > hit, odds);
    }
    return g.key;
}
