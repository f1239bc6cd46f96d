/* moment.c - see moment.h. */
#include "fault/torture/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct keeping {
    moment *m;
    const char *machine; /* whose files: "dev3"; they are kept as those of "dev1" */
    const char *kept_as;
    bool beside;
} keeping;

static void keep(void *ctx, const char *name, const void *data, size_t size)
{
    const keeping *k = ctx;
    size_t prefix = strlen(k->machine);
    if (strncmp(name, k->machine, prefix) != 0 || name[prefix] != '/' ||
        strstr(name, "-shm") != NULL) {
        return;
    }
    if (k->m->files_count == MOMENT_FILES_MAX) {
        abort();
    }
    kept_file *file = &k->m->files[k->m->files_count++];
    snprintf(file->name, sizeof file->name, "%s%s", k->kept_as, name + prefix);
    file->data = malloc(size + 1);
    file->size = size;
    file->beside = k->beside;
    if (file->data == NULL) {
        abort(); /* the test machine itself is out of memory */
    }
    if (size > 0) {
        memcpy(file->data, data, size);
    }
}

static void machine_keep(moment *m, const fleet *f, const char *machine, const char *kept_as)
{
    keeping k = {m, machine, kept_as, false};
    crash_vfs_each(f->vfs, keep, &k);
    k.beside = true;
    mem_files_each(f->files, keep, &k);
}

void moment_keep(moment *m, fleet *f, fleet_device *d)
{
    m->now_ms = f->now_ms;
    m->packing = f->packing;
    machine_keep(m, f, "server", "server");
    if (d != NULL) {
        char machine[16];
        snprintf(machine, sizeof machine, "%.*s", (int)strcspn(d->path, "/"), d->path);
        bool open = d->db != NULL;
        fb_db_close(d->db);
        d->db = NULL;
        machine_keep(m, f, machine, "dev1");
        if (open) {
            fleet_open_again(d);
        }
    }
}

void moment_put(const moment *m, fleet *f, const char *machine)
{
    size_t prefix = strlen(machine);
    crash_vfs_remove(f->vfs, machine);
    mem_files_remove(f->files, machine);
    for (int i = 0; i < m->files_count; i++) {
        const kept_file *file = &m->files[i];
        if (strncmp(file->name, machine, prefix) != 0) {
            continue;
        }
        if (file->beside) {
            mem_files_put(f->files, file->name, file->data, file->size);
        } else {
            crash_vfs_put(f->vfs, file->name, file->data, file->size);
        }
    }
}

void moment_drop(moment *m)
{
    for (int i = 0; i < m->files_count; i++) {
        free(m->files[i].data);
    }
    m->files_count = 0;
}
